/* The engine's connections: which exist, how new ones are opened, and when not to.
 *
 * A *line* is one open session with the jobs that run on it. It is made when a short-lived thread
 * hands over a signed-in session, and dropped when the session has closed, is stalled, or the
 * machine was suspended. Dropping is always deferred to the loop: nobody frees a session that is
 * calling him.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/engine/engine.h"
#include "fs/engine/rest.h"
#include "fs/engine/signin.h"
#include "imap/imap.h"

struct job;
struct opening;
struct mirror;

struct line {
    struct engine *engine;
    uint32_t id;
    struct imap_session *session;
    /* the mailbox that is selected or about to be */
    uint32_t folder; /* the directory's slot, 0: none */
    uint32_t left;   /* that of the one before */
    uint32_t uidvalidity;
    gint64 selected_us;    /* when that was asked for */
    bool opened;           /* a mailbox was; until then: */
    unsigned refusals;     /* of mailboxes that can be, in a row */
    unsigned examining;    /* EXAMINEs not answered: what comes unasked is of no known mailbox */
    struct mirror *mirror; /* what came unasked and is not in the cache yet, NULL: nothing */
    GQueue jobs;           /* running here, in the order of their first command */
    uint64_t owed;         /* bytes asked for and not answered */
    uint64_t bytes_in;     /* received when last looked at */
    uint64_t bytes_amid;   /* and amid long replies */
    uint64_t bytes_out;    /* and written, in what stores a message */
    gint64 opened_us;
    gint64 heard_us; /* when anything came, or the first command went out */
    gint64 moved_us; /* when something came of what was asked for, or that went out */
    bool flying;     /* commands were not answered when last looked at */
    gint64 used_us;  /* when a job last ran here */
    /* hearing of changes */
    bool notifies; /* NOTIFY was asked for here, since: */
    gint64 notify_us;
    struct rest idle_rest;  /* the server offers IDLE and refuses it */
    gint64 idle_us;         /* when IDLE was last given */
    gint64 done_us;         /* since when DONE is not answered, 0: it is */
    uint32_t missed;        /* a mailbox that changed while something else ran here, 0: none */
    bool doomed;            /* will be dropped in the loop's next turn */
    enum imap_error reason; /* why it closed */
};

struct pool {
    GPtrArray *lines;    /* struct line */
    GPtrArray *openings; /* struct opening, references */
    struct crew *crew;   /* counts the threads that open */
    unsigned cap;        /* at most so many lines and openings */
    gint64 cap_until_us; /* when a lowered cap may rise again */
    uint32_t last_line;
    struct signin signin;
    struct imap_flaws *flaws; /* what the server does not stand */
    unsigned flaws_kept;      /* what of that is noted in the cache */
    unsigned flaws_unproved;  /* and noted as not sure */
    unsigned flaws_seen;      /* what was known when a line was last dropped */
    gint64 barred_us;         /* no attempt before, 0: at any time */
    /* the last attempt */
    bool failing;          /* it failed, and no line is open */
    enum engine_error why; /* while failing: ENGINE_OFFLINE or ENGINE_LOGIN */
    gint64 attempt_us;     /* when it ended */
    bool rests;            /* the server said so: nobody's wish makes the next one come sooner */
    gint64 next_us;        /* the next one in the background, 0: none is due */
    gint64 backoff_us;
};

void pool_init(struct engine *engine, struct secret *secret);
/* Ends every connection and attempt; jobs are answered by the caller before. */
void pool_clear(struct engine *engine);
/* Waits for the threads that open connections, at most `wait_us`. After the loop has ended. */
void pool_join(struct engine *engine, gint64 wait_us);
void pool_free(struct engine *engine);

/* Opens one more connection, as far as the cap allows. One after the other: each shows whether the
 * password is still right, and a server that locks out who fails is asked once. */
void pool_open(struct engine *engine);
/* Whether one more may be opened now. */
bool pool_may_open(const struct engine *engine);
/* Another attempt now, if none is under way. */
void pool_try(struct engine *engine);
/* The same whatever the back-off says and whatever was refused; connections that do not answer are
 * given up first, and a pause ends. */
void pool_retry(struct engine *engine);
/* A new wish while out of reach: an attempt is made if the last was a second ago, or when it was.
 * Not where the server refused it for the time being: it may count attempts. */
void pool_nudge(struct engine *engine);
/* Wall clock of the next attempt, 0: none is due, or one is under way. Microseconds. */
gint64 pool_next_try(const struct engine *engine);
/* A connection opened no mailbox: the next one is made after a pause that grows. */
void pool_bar(struct engine *engine);
/* Drops the line in the loop's next turn; its jobs go elsewhere. */
void pool_doom(struct line *line, enum imap_error reason);
/* Looks at time: lines stalled or long unused, attempts due. */
void pool_tick(struct engine *engine, gint64 now);
/* The machine was suspended: no connection can be trusted. */
void pool_wake(struct engine *engine);
/* The line with this id, NULL: it is gone. */
struct line *pool_line(const struct engine *engine, uint32_t id);
/* Whether an attempt waits for its secret. */
bool pool_is_asking(const struct engine *engine);
/* Something came of what was asked for. */
void pool_moved(struct line *line);
/* When the line last got on with what was asked for, monotonic. `talk`: a server that says
 * meanwhile that it is still there (RFC 9051, 7.1.1) has a few times as long, but not for ever. */
gint64 pool_line_progress(const struct line *line, bool talk);
/* The same on any line or attempt; 0: never. */
gint64 pool_progress(const struct engine *engine, bool talk);
