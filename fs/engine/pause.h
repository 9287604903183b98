/* Pauses that the server asks for: it answers, but wants less of everything. "Try again later" is
 * no such wish, since it may be about one mailbox or message; whoever asked for that hears it as an
 * error. Until a pause is over no job is placed; what is in the cache is served as ever, and who
 * waits waits until his deadline.
 *
 * A pause is as long as the server says, but never shorter than a minimum that doubles from one
 * pause to the next while they follow each other closely, and a little longer by chance, so that
 * several clients do not come back at once.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct engine;
struct imap_result;
struct job;

struct pause {
    gint64 until_us; /* monotonic, 0: none */
    gint64 least_us; /* of the last one */
    bool due;        /* its end must be noticed */
    char words[128]; /* the server's, of the last one */
};

/* A command of `job` was answered: begins a pause if the server asks for one. Returns whether the
 * job shall be run again after it. Time goes on for who waits for the job: its refusals are no
 * progress. */
bool pause_heard(struct job *job, const struct imap_result *result);
/* The same of a command that is no job's. */
void pause_wanted(struct engine *engine, const struct imap_result *result);
bool pause_lasts(const struct engine *engine);
/* Its end by the wall clock, 0: none lasts. Microseconds. */
gint64 pause_end(const struct engine *engine);
/* The job got something of what it asked for. */
void pause_eased(struct job *job);
/* Ends the pause that lasts, if one does; should another follow soon, it is longer all the same. */
void pause_cease(struct engine *engine);
/* Ends a pause whose time has come. */
void pause_tick(struct engine *engine, gint64 now);
