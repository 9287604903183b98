/* The job behind ENGINE_MAILBOX: one mailbox's message list.
 *
 * What is stored decides what goes out in the first write, together with EXAMINE:
 *
 *      nothing complete    UID SEARCH; then the records in pipelined ranges
 *      HIGHESTMODSEQ       UID FETCH 1:max (FLAGS) (CHANGEDSINCE m), UID FETCH max+1:* META
 *      else                UID FETCH 1:max (FLAGS),                  UID FETCH max+1:* META
 *
 * Afterwards the number of records must be EXISTS. Where it is not, whatever the reason, UID SEARCH
 * says which are gone and which are missing, and the missing are fetched: so a list heals itself.
 * Only then is it written down as complete, with the HIGHESTMODSEQ that EXAMINE told.
 *
 * Records come in batches (sync-batch.c). What a batch's reply lacks is asked for once more, then
 * as flags alone, then recorded with what is there; a batch that is refused is halved until the one
 * message is found that the server cannot give.
 */
#pragma once

#include "fs/engine/job.h"
#include "fs/engine/mirror.h"

enum sync_step {
    SYNC_EXAMINE,
    SYNC_FLAGS,
    SYNC_NEWS,
    SYNC_SEARCH,
    SYNC_RIGHTS,
    SYNC_BATCH, /* and above: one number a batch */
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
    bool flags_plain;   /* CHANGEDSINCE was refused */
    bool reconciled;
    struct imap_uidset *listed; /* the answer to UID SEARCH; NULL: none */
    struct mirror *mirror;
    GQueue todo, sent; /* struct batch */
    unsigned last_step, refusals;
};

/* The answer to MYRIGHTS on a line, its `data`: kept in the mailbox's record. */
void sync_note_rights(struct imap_session *session, const char *wire, const char *rights,
                      void *data);
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

/* The header block of a FETCH reply, NULL: none in it. `*there`: it was, be it NIL. */
GBytes *sync_header(const struct imap_fetch *fetch, bool *there);
/* Whether a reply holds all of META. */
bool sync_is_whole(const struct imap_fetch *fetch);

/* Brings the records in line with `sync->listed`: removes what is not in it, queues batches for
 * what is missing. */
enum engine_error sync_reconcile(struct sync *sync);
