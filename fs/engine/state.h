/* What the rooms of fs/engine/ share: the engine itself, its wishes and its settings.
 *
 * One thread owns everything here but what stands under `lock`. Other threads reach it through the
 * inbox (engine_ask, engine_cancel) and through idle sources on its context (sessions opened,
 * messages parsed). Between two turns of its loop nothing holds a pointer into the cache.
 */
#pragma once

#include "fs/engine/engine.h"
#include "fs/engine/pause.h"
#include "fs/engine/pool.h"
#include "fs/engine/relist.h"

/* A wish while it is not answered; the engine thread's own. */
struct wish {
    uint64_t id;
    bool inside; /* the engine's own: waits for the server whatever the cache holds */
    engine_done done;
    void *data;
    bool ahead;
    bool brief; /* does not wait for long, whatever the server does */
    gint64 asked_us;
    struct job *job; /* what will answer it */
};

struct engine {
    /* fixed at creation */
    const struct account *account;
    struct cache *cache;
    struct journal *journal;            /* NULL: nothing is ever changed */
    const struct engine_events *events; /* NULL: nobody listens */
    void *events_data;
    const struct engine_clock *clock;
    bool transcript;
    GMainContext *context;
    GSource *inbox_source;
    GThread *thread;

    /* under `lock` */
    GMutex lock;
    GCond changed;
    GQueue inbox; /* struct letter */
    bool stopped; /* nothing more is taken */
    uint64_t last_id;
    struct engine_status status;
    GArray *listings;   /* struct engine_listing; NULL: never any */
    GError *open_error; /* why the last attempt to connect failed */

    /* atomic */
    gint sizes;    /* enum engine_sizes */
    gint stopping; /* the loop shall end */
    gint utf8;     /* mailbox names are UTF-8 to the server, not modified UTF-7 */

    /* the engine thread's */
    GHashTable *wishes;        /* by id */
    GHashTable *jobs;          /* by key: not ended, wishes may still join */
    GQueue waiting;            /* jobs without a connection that somebody waits for */
    GQueue waiting_ahead;      /* and those that nobody waits for */
    struct pool pool;          /* the connections */
    struct pusher *push;       /* what is remembered between pushes */
    GHashTable *fresh;         /* folder -> gint64 *, monotonic time of the last complete check */
    GHashTable *syncs;         /* folder -> struct sync_memory */
    struct watch *watch;       /* what is known of changes by others */
    struct prefetch *prefetch; /* mailboxes that are fetched whole; shown under `lock` */
    GHashTable *rights;        /* folder -> gint64 *, when MYRIGHTS was asked for */
    GHashTable *zero;          /* folders without UIDVALIDITY that were listed in this run */
    GHashTable *partial;       /* folders whose EXISTS is above what FETCH gives */
    GHashTable *windows;       /* messages slot -> how many neighbours' structures to ask for */
    GHashTable *proofs;        /* objects whose RFC822.SIZE was right */
    GHashTable *misfits;       /* and was wrong: some of the first ones of each */
    GQueue remade;             /* struct remade */
    uint32_t status_turn;      /* the last folder that came by turn: folders_to_ask() */
    struct relist relist;
    gint64 listed_us;     /* when the list of mailboxes was last taken; monotonic, 0: never */
    GHashTable *unlisted; /* wire names that STATUS knew and the last LIST did not */
    GQueue ledger;        /* facts of bodies read, written together: see reader.c */
    GThreadPool *parsers; /* take whole messages apart; made when first needed */
    GSource *timer;       /* 250 ms while wishes or connections exist */
    struct pause pause;   /* the server wants less */
    gint64 skew_us;       /* boottime - monotonic when last looked at */
    gint64 tidied_us;     /* when orphaned content was last collected */
    uint64_t commands, bytes_closed;
    bool schedule_queued;
    GSource *schedule_source;
    struct identities *identities; /* what messages are known by */
};

/* What kind of failure an error of imap_session_open() is. */
enum engine_start_reason engine_reason(const GError *error);

static inline gint64 engine_now(const struct engine *engine)
{
    return engine->clock->monotonic();
}

/* Why the cache did not do what was asked (enum cache_error). */
static inline enum engine_error engine_error_of_cache(int error)
{
    if (error == CACHE_OK)
        return ENGINE_OK;
    return error == CACHE_FULL ? ENGINE_FULL : ENGINE_CACHE;
}

/* ---- engine.c ---- */

/* Whether some connection can be expected to answer soon. */
bool engine_hears(const struct engine *engine);
/* Asks from within the engine's thread, also while it is out of reach. */
uint64_t engine_ask_inside(struct engine *engine, const struct engine_wish *wish, engine_done done,
                           void *data);
/* Runs `run` once in the engine's thread, or never if it ends before; `free` comes after, once, in
 * whichever thread. From any thread; `context` is the engine's. */
void engine_post(GMainContext *context, GSourceFunc run, void *data, GDestroyNotify free);
/* Time matters: looks at it soon. */
void engine_hurry(struct engine *engine);
/* Takes a wish out of the table and answers it. */
void engine_answer(struct engine *engine, struct wish *wish, enum engine_error error);

/* ---- status.c ---- */

/* Brings the status up to date. */
void engine_publish(struct engine *engine);
/* What went wrong last, for the status and for engine_start(). */
void engine_note_error(struct engine *engine, const GError *error);
