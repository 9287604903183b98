/* Mailboxes that are fetched whole, so that they can be read without a server: by a request, once
 * (ENGINE_PREFETCH), or kept so by the account's prefetch= patterns.
 *
 * One mailbox at a time is listed, then scanned for what it lacks: of each message its bytes and
 * its part tree. Small messages come in sets (bulk.c), all else one by one through ENGINE_BYTES and
 * ENGINE_PARTS; then it is scanned again, until nothing is lacking or nothing more comes. Nobody
 * waits behind it: everything here is `ahead`, and sets have a connection of their own where one
 * may be opened.
 *
 * It never fetches more than the content cache holds beside itself: of a mailbox that is too big
 * the newest messages come, and the state says that it is not whole. What is evicted of a kept
 * mailbox is noticed and fetched again. Kept mailboxes share a budget of bytes a day; where the
 * server says that it is too much, everything here rests for hours.
 */
#pragma once

#include "fs/engine/state.h"

/* A message that is not whole. */
struct lack {
    uint32_t uid;
    uint32_t size;   /* RFC822.SIZE, UINT32_MAX if above; 0: only its part tree is lacking */
    uint64_t before; /* what the messages before it take in the cache */
};

/* A mailbox that is, or was, to be fetched. */
struct keep {
    struct engine_prefetch shown; /* written by the engine's thread under engine->lock */
    bool asked;                   /* by a request that is not done */
    bool due;                     /* to be scanned */
    gint64 again_us;              /* not before; monotonic */
    uint64_t cost;                /* what its messages take in the cache, as far as is known */
};

/* A message that is fetched alone. */
struct single {
    struct engine *engine;
    unsigned pass;
    struct lack lack;
    uint32_t messages;
    uint64_t wish; /* its id, 0: none */
};

struct prefetch {
    GPtrArray *keeps;   /* struct keep; changed under engine->lock */
    bool folders_due;   /* the patterns are to be matched */
    uint64_t evicted;   /* cache_content_evicted() when last looked */
    gint64 evicting_us; /* when that changed, 0: it did not */
    gint64 evicted_us;  /* when what is kept was last looked at for it */
    /* the one that is worked on */
    struct keep *now;               /* NULL: none */
    unsigned pass;                  /* wishes of an earlier one do not count */
    char *mailbox;                  /* wire name */
    uint32_t messages, uidvalidity; /* the slot of its messages */
    bool scan_posted, scanning;
    uint32_t scan_from;
    struct engine_prefetch counts; /* while it is scanned */
    uint64_t cost;
    bool small;        /* not all fits */
    GArray *lacks;     /* struct lack, ascending */
    GArray *odd;       /* those that come one by one */
    GQueue singles;    /* struct single, under way */
    uint64_t bytes;    /* of the singles */
    unsigned passes;   /* scans of this mailbox */
    unsigned got;      /* messages since the last scan */
    unsigned losses;   /* sets in a row that brought nothing */
    unsigned stalls;   /* commands that the server left unanswered, since it last gave a message */
    struct job *bulk;  /* NULL: none runs */
    bool fetch_posted; /* what is next is looked for soon */
    /* how much */
    gint64 paused_until_us; /* wall clock; the server wants less */
    char *paused_why;
    uint32_t day;   /* year, month, day as one number */
    uint64_t spent; /* bytes for kept mailboxes on that day */
};

void prefetch_init(struct engine *engine);
void prefetch_free(struct engine *engine);
void prefetch_tick(struct engine *engine);
/* Names of a mailbox came or went. */
void prefetch_changed(struct engine *engine, uint32_t folder);
/* Mailboxes came or went. */
void prefetch_folders_changed(struct engine *engine);

/* ---- for its own rooms ---- */

/* Matches the account's patterns against the mailboxes (prefetch-scan.c). */
void prefetch_match(struct engine *engine);
/* Begins to look for what the mailbox that is worked on lacks; prefetch_scanned() follows. */
void prefetch_scan(struct engine *engine);
void prefetch_scanned(struct engine *engine);
/* The mailbox's keep; made if there is none. */
struct keep *prefetch_keep(struct engine *engine, uint32_t folder);

/* Fetches what is lacking (prefetch-fetch.c). */
void prefetch_fetch(struct engine *engine);
/* Ends all that is under way. */
void prefetch_fetch_stop(struct engine *engine);
/* Takes up to `most` messages of `bytes` together for a set, newest first; ascending in `set`
 * (struct lack). False: there are none now. */
bool prefetch_take(struct engine *engine, GArray *set, guint most, uint64_t bytes);
/* These were not in what the server sent: they come one by one. */
void prefetch_leave(struct engine *engine, const struct lack *lack);
/* A message is whole. */
void prefetch_got(struct engine *engine, const struct lack *lack);
/* Sets are over, since none is left, or by a lost connection. */
void prefetch_bulk_over(struct engine *engine, bool fruitless);
/* The server was silent until the deadline when it was asked for messages. */
void prefetch_stalled(struct engine *engine);
/* The server's words if an answer says that so much is not to be fetched; rests then. */
bool prefetch_refused(struct engine *engine, const struct imap_result *result);
/* The work on the mailbox is over, with this state. */
void prefetch_over(struct engine *engine, enum engine_prefetch_state state,
                   enum engine_error error);
/* Bytes for kept mailboxes that the day's budget has left. */
uint64_t prefetch_budget(struct engine *engine);
/* Writes what was spent, in a transaction over the metadata. */
void prefetch_write_spent(struct engine *engine, struct cache_txn *txn);
/* Shows `shown` as the keep's state. */
void prefetch_show(struct engine *engine, struct keep *keep, const struct engine_prefetch *shown);
