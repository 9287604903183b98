/* The job behind ENGINE_MAILBOX: one mailbox's message list.
 *
 * What is stored, and what the server can, decide what goes out in one write:
 *
 *      nothing complete    EXAMINE, UID SEARCH; then the records in pipelined ranges
 *      tier 1, QRESYNC     EXAMINE (QRESYNC (uidvalidity m 1:max)),        UID FETCH max+1:* META
 *      tier 2, CONDSTORE   EXAMINE, UID FETCH 1:max (FLAGS) (CHANGEDSINCE m), the same
 *      tier 3, plain       EXAMINE, UID FETCH of the newest (FLAGS),          the same
 *
 * and in tiers 2 and 3 UID SEARCH 1:max behind it, if it is known that messages are gone
 * (sync-gone.c).
 *
 * Afterwards the number of records must be EXISTS. Where it is not, whatever the reason, UID SEARCH
 * says which are gone and which are missing, and the missing are fetched: so a list heals itself.
 * Only then is it written down as complete, with the HIGHESTMODSEQ that EXAMINE told, in the same
 * transaction as what changed. A tier whose word proves wrong is not used for this mailbox for a
 * day (sync-tier.c).
 *
 * Behind the answer comes what nobody waits for (sync-look.c): the flags of older messages in tier
 * 3, each hour, and in each tier once a day a comparison of everything. Both only for a mailbox in
 * use; where no other sync comes, since all is told, one is made for that (watch-spread.c).
 *
 * Records come in batches (sync-batch.c). What a batch's reply lacks is asked for once more, then
 * as flags alone, then recorded with what is there; a batch that is refused is halved until the one
 * message is found that the server cannot give.
 */
#pragma once

#include "fs/engine/job.h"
#include "fs/engine/mirror.h"
#include "fs/engine/rest.h"

enum sync_step {
    SYNC_EXAMINE,
    SYNC_FLAGS,
    SYNC_NEWS,
    SYNC_SEARCH,
    SYNC_RIGHTS,
    SYNC_LOOK,  /* a part of what nobody waits for */
    SYNC_GONE,  /* the old ones that are still there */
    SYNC_BIND,  /* headers of messages that may be known */
    SYNC_BATCH, /* and above: one number a batch */
};

/* How changes are asked for, the best first. */
enum sync_tier { SYNC_QRESYNC, SYNC_CONDSTORE, SYNC_PLAIN };

/* What is remembered of a mailbox's syncs in this run. */
struct sync_memory {
    enum sync_tier tier;     /* no better one */
    gint64 lowered_until_us; /* until then; monotonic */
    bool lacks;              /* STATUS told that messages are gone */
    gint64 looked_us;        /* when all flags were last compared; monotonic, 0: not in this run */
    uint32_t look_next;      /* a comparison was interrupted here, 0: none */
    bool renumbered;         /* what was listed before was told as removed: what comes is news */
    bool partly;             /* the last sync did not compare all flags */
    gint64 nowhere_us;       /* since when the server says that it does not exist; 0: it does */
    struct rest rest;        /* from syncs that nobody waits for, since one failed */
};

/* UIDs to fetch together, ascending. */
struct batch {
    unsigned step; /* 0: not sent */
    unsigned round;
    bool whole; /* no other message lies between them: may be asked for as first:last */
    guint count, cursor;
    uint32_t *uids;
    guint8 *got;
};

struct sync {
    struct job job;
    /* stored */
    uint32_t messages, stored_uidvalidity, last, had;
    uint64_t stored_modseq;
    bool complete;
    int64_t stored_synced_us;
    /* told by EXAMINE */
    bool examined;
    struct imap_mailbox_state state;
    /* on the way */
    bool stale;         /* UIDVALIDITY differs: what is in flight is of no use */
    bool flags_unknown; /* the stored ones could not be checked: HIGHESTMODSEQ stays */
    enum sync_tier tier;
    bool resyncing;    /* what QRESYNC tells comes before EXAMINE is answered */
    bool flags_partly; /* not all flags were asked for */
    bool reconciled;
    bool sealed;  /* written down as complete */
    bool exactly; /* only if the number of records is EXISTS */
    /* what nobody waits for */
    bool looking, whole_look; /* whole: a comparison of everything */
    uint32_t look_last;       /* up to this UID */
    uint64_t look_changes;
    struct imap_uidset *listed; /* the answer to UID SEARCH; NULL: none */
    struct imap_uidset *left;   /* the same of those up to `last`, asked ahead; NULL: none */
    bool ask_left;              /* it is on its way */
    uint32_t news;              /* messages above `last` that came */
    struct mirror *mirror;
    GQueue todo, sent; /* struct batch */
    GArray *bindings;  /* what may be known, and its headers are asked for; NULL: none */
    unsigned last_step, refusals;
    bool granted; /* some batch was not refused */
};

/* The answer to MYRIGHTS on a line, its `data`: kept in the mailbox's record. */
void sync_note_rights(struct imap_session *session, const char *wire, const char *rights,
                      void *data);
/* Asks for the rights, once a minute. */
void sync_ask_rights(struct sync *sync);
/* What META asks for on this connection. */
unsigned sync_items(const struct sync *sync);

/* Batches for `uids`, sorted; queued behind what is there. `whole` as in struct batch. */
void sync_batch_add(struct sync *sync, const uint32_t *uids, guint count, bool whole);
/* Sends what the connection takes. */
void sync_batch_send(struct sync *sync);
/* Takes a reply that belongs to a batch; false if it belongs to none. */
bool sync_batch_fetch(struct sync *sync, const struct imap_fetch *fetch);
/* A batch was answered. Returns false if the server refuses everything. */
bool sync_batch_answered(struct sync *sync, unsigned step, const struct imap_result *result);
void sync_batch_clear(struct sync *sync);

/* ---- sync-shown.c ---- */

/* The first list of the mailbox is fetched, and will have so many messages: others see that until
 * it is forgotten. */
void sync_show(struct sync *sync, uint64_t messages);
void sync_show_no_more(struct sync *sync);
/* The list of a mailbox that was renumbered is there: tells each message as arrived. */
void sync_tell_renumbered(struct sync *sync);

/* ---- sync-tier.c ---- */

/* The mailbox's; made when first asked for. */
struct sync_memory *sync_memory(struct engine *engine, uint32_t folder);
/* The best that the connection and what is stored allow, and that did not prove wrong. */
enum sync_tier sync_tier_choose(struct sync *sync);
/* The tier's word was wrong: the next lower one for a day. */
void sync_tier_lower(struct sync *sync, const char *why);
/* EXAMINE was answered. No modification sequences here any more, or nonsense, or they went back
 * (RFC 7162, 3.1.2.2): those that are known are forgotten, and all flags are asked for. */
enum engine_error sync_doubt_modseq(struct sync *sync);
/* EXAMINE with QRESYNC; the mirror is made for what comes before its answer. */
void sync_resync(struct sync *sync);
/* Whether what comes now is what QRESYNC tells of this mailbox. That which was selected before may
 * have the same UIDVALIDITY. */
bool sync_is_resynced(const struct sync *sync);
/* VANISHED (EARLIER): the records among these are removed. */
void sync_vanished(struct job *job, const struct imap_uidset *uids);
/* Asks for flags as the tier does it. */
void sync_ask_flags(struct sync *sync);

/* ---- sync-gone.c ---- */

/* STATUS of a mailbox, with its record: notes whether messages must be gone. */
void sync_note_status(struct engine *engine, const struct imap_status *status,
                      const struct cache_mailbox *mailbox);
/* Asks which are left, if it was noted. The mailbox's list is complete and not empty. */
void sync_ask_gone(struct sync *sync);
void sync_gone_answered(struct sync *sync, const struct imap_result *result);
/* All is answered: removes the records that are gone, if the answer makes sense. */
void sync_take_gone(struct sync *sync);

/* Every record of the old list, told as removed; the objects keep their content. */
enum engine_error sync_drop_records(struct sync *sync);
/* EXAMINE was answered. A mailbox that does not exist, and that lists name half a minute later all
 * the same, is only a name for what lies below: its messages are gone. */
void sync_note_there(struct sync *sync, const struct imap_result *result);

/* ---- sync-look.c ---- */

/* Notes that all is compared as of now: as when a list is fetched for the first time. */
int sync_look_note(const struct sync *sync, struct cache_txn *txn);
/* Whether a sync of a mailbox in use would find something due beside it. */
bool sync_look_waits(struct engine *engine, uint32_t folder);
/* The list is true and everybody has his answer: begins what is due beside that. False: nothing. */
bool sync_look(struct sync *sync);
/* Everything that was asked for it is answered; asks for more, or ends the job. */
void sync_look_next(struct sync *sync);
/* Writes the mailbox down as complete, with all that was gathered, if it is to be `exactly`, else
 * as what there is. `sync->sealed` says whether it was. */
enum engine_error sync_seal(struct sync *sync);
/* Changes the mailbox's record: `change` works on a copy of it. */
enum engine_error sync_record(struct sync *sync,
                              bool (*change)(struct sync *sync, struct cache_txn *txn,
                                             struct cache_mailbox *mailbox));

/* ---- sync-bind.c ---- */

/* The list is there: asks for the headers of messages in it that may be known ones, and then gives
 * them their content back. True: answers are to be waited for, and it is to be called again. */
bool sync_bind(struct sync *sync);
/* Takes a reply with such a header; false: it holds none. */
bool sync_bind_fetch(struct sync *sync, const struct imap_fetch *fetch);
void sync_bind_clear(struct sync *sync);

/* ---- sync-batch.c ---- */

/* The header block of a FETCH reply, NULL: none in it. `*there`: it was, be it NIL. */
GBytes *sync_header(const struct imap_fetch *fetch, bool *there);
/* Whether a reply holds all of META. */
bool sync_is_whole(const struct imap_fetch *fetch);

/* Removes the records up to `last` that are not in `kept`. The UIDs of the others are appended to
 * `there`, ascending; NULL: nowhere. */
void sync_remove_others(struct sync *sync, const struct imap_uidset *kept, uint32_t last,
                        GArray *there);
/* Brings the records in line with `sync->listed`: removes what is not in it, queues batches for
 * what is missing. */
enum engine_error sync_reconcile(struct sync *sync);
