/* Whether the list of mailboxes is to be asked for in a session begun since it changed.
 *
 * A session of Dovecot's that begins while others make and rename mailboxes may go on for ever to
 * tell those that there were then; NOTIFY tells it of no others, and nothing that it says gives it
 * away. So when the list has changed, and then has not for some seconds, a session begun since is
 * asked for it. If it tells another list, older sessions are given up, and later one more is asked:
 * it is over when two agree. Servers that are not Dovecot are not asked twice.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct engine;
struct line;

struct relist {
    gint64 changed_us; /* when the list changed last, monotonic; 0: it is sure */
    gint64 next_us;    /* nothing is done before */
    gint64 pause_us;   /* grows while each session tells another list */
};

/* The list has changed, by what the server says or by what it was asked to do. */
void relist_changed(struct engine *engine);
/* A list that came on this line was taken; whether it `changed` what was known. */
void relist_taken(const struct line *line, bool changed);
/* Opens a session, or asks for the list, if it is time. */
void relist_tick(struct engine *engine, gint64 now);
