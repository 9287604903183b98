#include "fs/engine/rest.h"

#include "fs/engine/state.h"

#define SECOND ((gint64)G_USEC_PER_SEC)
#define FIRST_US (60 * SECOND)
#define MOST_US (600 * SECOND)

void rest_refused(struct rest *rest, const struct engine *engine)
{
    rest->length_us = CLAMP(rest->length_us * 2, FIRST_US, MOST_US);
    rest->until_us = engine_now(engine) + rest->length_us;
}

bool rest_lasts(const struct rest *rest, const struct engine *engine)
{
    return engine_now(engine) < rest->until_us;
}
