/* Messages taken apart here: where their parts lie. A few are kept, because a message's parts are
 * read one after the other; their bytes are not. */
#pragma once

#include "cache/cache.h"
#include "fs/mime.h"

/* The octets of a part in the message it is of. */
struct parsed_extent {
    bool found; /* the message has the part, as it was announced */
    uint64_t offset, length;
};

/* Looks for a part of the message `object`. `raw`: the whole message, to be parsed if it is not;
 * with NULL false is returned then. */
bool parsed_part(const struct cache *cache, uint64_t object, GBytes *raw,
                 const struct cache_part *part, struct parsed_extent *extent);
/* Frees what is kept. */
void parsed_clear(void);
