/* A command that the connection can do without (IDLE, NOTIFY) and that was refused, whatever the
 * words are, is not sent again for a minute; the next time for two, and so on, up to ten.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct engine;

struct rest {
    gint64 until_us;  /* monotonic */
    gint64 length_us; /* of the last one, 0: it was not refused */
};

void rest_refused(struct rest *rest, const struct engine *engine);
/* Whether it must not be sent yet. */
bool rest_lasts(const struct rest *rest, const struct engine *engine);
