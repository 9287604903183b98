/* The journal sent to the server.
 *
 * One job, the *push*, has a line for itself and takes entries from the journal in their order, as
 * batches that one command can carry. What becomes of a batch:
 *
 *      SELECT of its mailbox, STATUS of its target    (both only where they are not known)
 *      journal: SENT, and where a new message can lie in the target
 *      the command
 *      placed: the server has done it    refused for good    not now: put off, and tried again
 *
 * A batch that is found SENT in the journal was interrupted: its outcome is looked up on the server
 * (push-look.c) before anything is sent for it again. What a batch does is a row of functions: each
 * phase sends its commands, hears their results, and when all are answered goes to the next.
 *
 * A message that was placed in a mailbox whose list is kept is not settled at once: first that list
 * is brought up to date (push-settle.c), so that the message is never missing in between. Its
 * content goes along: the new record gets the object of the old one.
 */
#pragma once

#include <stdatomic.h>

#include "fs/engine/job.h"

/* Entries that one command carries at most. */
#define PUSH_BATCH 500

struct push;
typedef void (*push_heard)(struct push *push, unsigned step, const struct imap_result *result);
typedef void (*push_then)(struct push *push);

enum push_step {
    PUSH_IGNORED, /* nobody waits for the answer */
    PUSH_STATUS,
    PUSH_SELECT,
    PUSH_LIST,
    PUSH_LOOK,
    PUSH_CHANGE,      /* and above: one number a command */
    PUSH_APPEND = 64, /* and above: one number an APPEND, its place in the batch */
};

/* A message as FETCH told it while an outcome is looked up. */
struct looked {
    uint32_t uid;
    uint64_t size;
    int64_t date;
    char *message_id, *server_id; /* "" : none */
    bool taken;                   /* stands for an entry by now */
};

/* The first refusal in a phase. */
struct refusal {
    enum imap_error imap; /* IMAP_OK: none */
    enum engine_error error;
    bool passing, coded;
    char *text;
};

struct push {
    struct job job;
    GQueue work;      /* batches to do before new ones are taken: GPtrArray of journal_entry */
    GPtrArray *batch; /* what is being done; NULL: nothing */
    bool again;       /* the next batch may begin */
    bool did;         /* one was done since it has the line */
    bool more;        /* it ends, and there is more to send */
    bool rewound;     /* entries of the batch are known not to have been sent, though SENT */
    /* the phase */
    unsigned awaited; /* commands */
    push_heard heard;
    push_then then;
    bool (*fetch)(struct push *push, const struct imap_fetch *fetch);
    struct refusal refusal;
    struct imap_uidset *modified;  /* told by STORE; NULL: none */
    struct push_expunge {          /* push-expunge.c; sets are NULL outside of it */
        struct imap_uidset *uids;  /* to be expunged */
        struct imap_uidset *gone;  /* what was told to be */
        struct imap_uidset *found; /* what was told to be there, after that */
        unsigned rounds;
        push_then then;
    } expunge;
    bool told;   /* COPYUID or APPENDUID was said */
    bool agreed; /* the command whose outcome is looked up was answered OK */
    bool blind;  /* the target cannot be read */
    bool marked; /* the messages bear \Deleted by our command */
    unsigned round;
    push_then opened; /* what follows once mailbox and target are known */
    bool writes;      /* the mailbox must be selected for changing */
    /* what is known on this line */
    char *selected;            /* wire name; NULL: look at the session */
    char *target;              /* that STATUS was asked for */
    bool target_told;          /* it was answered */
    struct imap_status status; /* `wire` is not set */
    GArray *looked, *sources;  /* struct looked */
    GArray *into;              /* which of these FETCH fills */
    uint32_t look_first;
    bool look_above; /* what was there before the change lies below that */
    push_then look_then;
    GBytes *body;                   /* a whole message, to compare */
    uint32_t asked, found;          /* its UID; the UID of what is ours, 0: none yet */
    bool found_equal;               /* it is so byte for byte */
    enum engine_error undone_error; /* why a MOVE is undone; the words for it */
    char *undone_text;
    GArray *descriptors;   /* int: staged files on their way */
    GPtrArray *listed;     /* struct folder_entry: what LIST said */
    struct mirror *mirror; /* flags on their way into the cache */
};

static inline struct journal_entry *push_entry(const struct push *push, guint i)
{
    return push->batch->pdata[i];
}

/* The server says that it has not done it: it is sent as if for the first time. */
static inline void push_entry_undone(struct journal_entry *entry)
{
    entry->step = JOURNAL_QUEUED;
    entry->target_uidnext = 0;
}

/* What the engine remembers between pushes. */
struct pusher {
    struct job *job; /* the push; its own until it ends; NULL: none */
    gint posted;     /* atomic: engine_push() was heard; until the next tick there is no need to
                        wake the engine's thread again */
    atomic_llong asked_us;     /* when engine_push() was called last, monotonic */
    bool wanted;               /* there may be something to send */
    bool unsettled;            /* placed entries may wait for a list */
    bool no_move;              /* the server has MOVE and refuses it */
    bool tells;                /* it has said COPYUID: where it says none, it has moved nothing */
    unsigned losses;           /* lines lost in a row */
    gint64 gather_us, rest_us; /* not to begin before, unless somebody waits; at all */
    unsigned waiters;          /* PUSHED jobs */
    uint64_t scanned;          /* id up to which `hierarchy` is complete */
    GHashTable *hierarchy;     /* id -> wire name that a CREATE or RENAME will make */
    GQueue later;              /* struct push_later */
    GQueue placed;             /* struct push_placed */
    GHashTable *objects;       /* entry -> object of its message, uint64_t */
    GHashTable *moved;         /* messages slot and UID in the target -> object */
    GHashTable *claims;        /* "UIDVALIDITY/UID/target": stands for an entry by now */
    GHashTable *tries;         /* entry -> how often it was put off or looked for */
    GHashTable *gone;          /* entries whose target was looked for anew */
    GTree *put_off;            /* struct engine_put_off by the entry; under the engine's lock */
    GHashTable *refusals;      /* entry -> enum engine_error, of the last ones refused */
    GQueue refused;            /* their ids, oldest first */
    gint64 quota_us;           /* when the quota was asked for */
};

/* ---- push-refused.c: what the status says of them -------------------------------------------- */

/* The server refused it for good, in these words. */
void push_note_refusal(struct engine *engine, const struct journal_entry *entry, const char *text);
/* They are put off for what is not said to last; NULL: for nothing. Until they are forgotten. */
void push_note_put_off(struct engine *engine, const GPtrArray *entries, const char *why);
void push_forget_put_off(struct engine *engine, const GPtrArray *entries);
GTree *push_put_offs_new(void);

/* ---- push-bars.c: mailboxes that are about to be --------------------------------------------- */

/* Whether the job's mailbox is about to be made or renamed on the server. */
bool push_bars(struct engine *engine, const struct job *job);
/* Brings `hierarchy` up to date. Any transaction may be open. */
void push_scan(struct engine *engine);

/* ---- push.c: the job ------------------------------------------------------------------------- */

void push_init(struct engine *engine);
void push_free(struct engine *engine);
/* There may be something to send: begins, if nothing speaks against it. */
void push_kick(struct engine *engine);
/* A line was opened. */
void push_opened(struct engine *engine);
void push_tick(struct engine *engine, gint64 now);
/* Whether time matters. */
bool push_is_busy(const struct engine *engine);
/* For the log: "move". */
const char *push_kind_name(enum journal_kind kind);

/* A phase: `heard` gets each answer, `then` comes after the last. At once if nothing was sent. */
void push_await(struct push *push, push_heard heard, push_then then);
/* For imap_send_*() with job_done: a command of the phase. */
void *push_ticket(struct push *push, unsigned step);
/* The batch is done with, what was left of it is dropped by the caller: the next one. */
void push_next(struct push *push);
/* More to do, before anything new. Takes `entries`. */
void push_add_work(struct push *push, GPtrArray *entries);
/* Notes what a command said, the first refusal. */
void push_note(struct push *push, const struct imap_result *result);
void push_note_text(struct push *push, enum engine_error error, const char *text);
void push_forget_refusal(struct push *push);
/* Whether the refusal may be one message's: not where it is a matter of mailbox or account. */
bool push_may_split(const struct push *push);
/* Writes down that the batch is SENT. False: it cannot be written; the batch is put off. */
bool push_mark_sent(struct push *push);
/* The UIDs of the entries' messages. */
struct imap_uidset *push_uids(const GPtrArray *entries);
/* Takes those entries out for which `which` says so; free with g_ptr_array_unref(). */
GPtrArray *push_pick(GPtrArray *entries, bool (*which)(const struct journal_entry *entry));
GPtrArray *push_entries_new(void);
bool push_is_placed(const struct journal_entry *entry);

/* ---- push-open.c: mailbox and target --------------------------------------------------------- */

/* Selects the mailbox of the batch (not for APPEND and the like: NULL) and asks for the target
 * (NULL: none); then goes on, with the batch refused or put off if the mailbox is not to be had. */
void push_open(struct push *push, const char *mailbox, const char *target, bool writes,
               push_then then);
/* Selects `mailbox` anew; `then` comes in any case, the refusal noted. */
void push_select(struct push *push, const char *mailbox, push_then then);
/* The target is not as STATUS said any more. */
void push_forget_target(struct push *push);
/* UIDs that were given out in the target. */
void push_raise_target(struct push *push, const struct imap_copied *copied);

/* ---- push-expunge.c: \Deleted and UID EXPUNGE -------------------------------------------------
 */

/* Of these in the selected mailbox; takes `uids`, which are not empty. Only marks them where the
 * server has no UID EXPUNGE. Then goes on, a refusal noted, push->marked as it is. */
void push_expunge(struct push *push, struct imap_uidset *uids, push_then then);
bool push_can_expunge(const struct push *push);
void push_expunged(struct job *job, uint32_t uid);
void push_expunge_clear(struct push *push);

/* ---- push-look.c: what became of it ---------------------------------------------------------- */

/* FETCH of what tells messages apart, of `uids` or from `first` on, in the selected mailbox, into
 * `into`; then goes on. */
void push_look_uids(struct push *push, const struct imap_uidset *uids, GArray *into,
                    push_then then);
void push_look_from(struct push *push, uint32_t first, GArray *into, push_then then);
struct looked *looked_find(const GArray *looked, uint32_t uid);
/* The one that is not taken and is the same message as `source` (NULL: not known), or as the entry
 * says; NULL: none. */
struct looked *looked_match(const GArray *looked, const struct journal_entry *entry,
                            const struct looked *source);
/* Without blanks and brackets; the caller's. */
char *looked_id(const char *text, size_t length);
void push_look_clear(struct push *push);
GArray *push_looked_new(void);

/* ---- the kinds --------------------------------------------------------------------------------
 */

void push_move(struct push *push);    /* push-move.c; COPY too */
void push_remove(struct push *push);  /* push-remove.c: EXPUNGE, and MOVE once it is COPIED */
void push_recover(struct push *push); /* push-recover.c: MOVE and COPY found SENT */
void push_flags(struct push *push);   /* push-flags.c */
void push_append(struct push *push);  /* push-append.c */
void push_find(struct push *push);    /* push-find.c: APPEND found SENT */
/* Goes on with a search for what the batch's only entry, an APPEND, has stored. */
void push_find_again(struct push *push);
void push_create(struct push *push); /* push-mailbox.c */
void push_rename(struct push *push);
void push_delete(struct push *push);

/* ---- push-settle.c: how it ended. Each takes the entries. -------------------------------------
 */

/* The server has done it: PLACED is written down, lists are brought up to date, then settled. */
void push_place(struct engine *engine, GPtrArray *entries);
/* Settled without more ado. */
void push_settle(struct engine *engine, GPtrArray *taken);
/* MARKED for good: hidden, and stays. */
void push_keep(struct engine *engine, GPtrArray *taken);
void push_refuse(struct engine *engine, GPtrArray *taken, enum engine_error error,
                 const char *text);
/* push_settle() once more after a while: the journal could not be written. Takes the array. */
void push_settle_later(struct engine *engine, GPtrArray *entries);
/* Not now: given back to the journal after `delay_us`, or, 0, after a time that grows. The status
 * says `why`; NULL: nothing is wrong. */
void push_put_off(struct engine *engine, GPtrArray *entries, gint64 delay_us, const char *why);
/* Brings the lists of targets up to date, so that what was placed there is settled. */
void push_settle_placed(struct engine *engine);
/* What was placed and not settled when the process ended. */
void push_load_placed(struct engine *engine);
/* Forgets it, in memory. */
void push_drop_placed(struct engine *engine);
/* Whether a message in the target is known to be another entry's. */
bool push_is_claimed(const struct engine *engine, const char *target, uint32_t uidvalidity,
                     uint32_t uid);
/* How often an entry was tried, counting this time. */
unsigned push_count_try(struct engine *engine, uint64_t id);
/* Whether an entry of the batch that met trouble of the server (imap_is_trouble()), which may last
 * for good, was not yet put off too often. */
bool push_may_retry(const struct push *push, guint index);

/* ---- push-gone.c: a target that is not there any more -----------------------------------------
 */

/* Takes an entry that was refused so out of the batch, and sends it again once the list of
 * mailboxes is new, if need be to another name. False: that was done before. */
bool push_look_anew(struct push *push, guint index, const char *words);
void push_gone_forget(struct engine *engine, const GPtrArray *entries);

/* ---- push-moved.c: content that moves along ---------------------------------------------------
 */

struct push_box {
    uint32_t folder, messages, uidvalidity;
    bool listed; /* the list of its messages is kept */
};
/* The mailbox that the server calls `wire` now, as the cache has it; false: it has none. */
bool push_box(struct engine *engine, const char *wire, struct push_box *box);
/* Whether a mailbox's list is being brought up to date at this moment. */
bool push_is_listing(const struct engine *engine, uint32_t folder);
/* Notes which objects the messages of the batch have, while they have records. */
void push_note_objects(struct engine *engine, const GPtrArray *entries);
/* The messages are in the target by now: their records there get these objects. */
void push_move_objects(struct engine *engine, const struct push_box *box, const GPtrArray *entries);
/* The object for a new record, 0: a new one. */
uint64_t push_moved_object(const struct engine *engine, uint32_t messages, uint32_t uid);
void push_forget_objects(struct engine *engine, const GPtrArray *entries);
/* Whether a message is on its way to where its list does not have it yet: when it leaves this one
 * its record is kept apart (cache_message_depart()), so that it is shown all the while. */
bool push_places(struct engine *engine, const char *wire, uint32_t uidvalidity, uint32_t uid);
/* Drops such records of entries that are settled or refused, and of no other. */
void push_forget_departed(struct engine *engine, const GPtrArray *entries);
/* The same of all that no entry has to do with: at the start. */
void push_check_departed(struct engine *engine);
/* Removes the records of messages that the entries have taken away. */
void push_remove_records(struct engine *engine, const GPtrArray *entries);
/* A mailbox's list is true as of now: entries MARKED for good whose message is gone are settled. */
void push_mailbox_listed(struct engine *engine, uint32_t folder);

/* ---- pushed.c: who waits ----------------------------------------------------------------------
 */

/* Answers who waits for this entry. True if somebody did. */
bool pushed_answer(struct engine *engine, uint64_t id, enum engine_error error);
bool pushed_is_awaited(const struct engine *engine, uint64_t id);
/* Looks whether those who wait for all have their answer. */
void pushed_check(struct engine *engine);
/* Out of reach. */
void pushed_fail(struct engine *engine, enum engine_error why);
