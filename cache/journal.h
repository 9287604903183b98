/* The journal: what the user asked for and the server has not been seen to have.
 *
 * Every change of mail goes through here first. An entry is durable when it was added; it is shown
 * in the tree at once (by the index below), sent by the engine in the order of its ids, and removed
 * when the server's state is known. So a change survives the end of the process at any point, and
 * whether it was carried out is always found out from the server, never assumed.
 *
 *      QUEUED ---> SENT ---> [COPIED ---> [MARKED --->]] PLACED ---> removed
 *         ^          |  the outcome is not known until the answer comes, or until it was looked up
 *         '----------'  looked up: the server has done nothing
 *
 * The journal lies in the state folder, in a directory an account with a lock of its own, apart
 * from the cache, which a user may delete at any time:
 *
 *      ACCOUNT/lock  ACCOUNT/journal/ (LMDB)  ACCOUNT/staged/N  ACCOUNT/failed/NAME.eml
 *
 * Entries name mailboxes by wire name and messages by (wire name, UIDVALIDITY, UID), never by
 * slots. All entries are also in memory, indexed for the tree. Functions may be called from any
 * thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

enum journal_kind {
    JOURNAL_MOVE = 1, /* the message to `target` */
    JOURNAL_COPY,     /* a second message in `target` */
    JOURNAL_EXPUNGE,  /* the message is removed for good */
    JOURNAL_FLAGS,    /* `add` and `remove` */
    JOURNAL_APPEND,   /* the staged file to `target` */
    JOURNAL_CREATE,   /* the mailbox `target` */
    JOURNAL_REMOVE,   /* the mailbox `mailbox`, if it is empty */
    JOURNAL_RENAME,   /* the mailbox `mailbox` to `target` */
};
enum journal_step {
    JOURNAL_QUEUED,
    JOURNAL_SENT,   /* a command may have reached the server; its outcome is not known */
    JOURNAL_COPIED, /* MOVE without MOVE: the copy is in the target */
    JOURNAL_MARKED, /* MOVE, EXPUNGE: and the message is \Deleted. Stays so, and hidden, where the
                       server cannot expunge by UID */
    JOURNAL_PLACED, /* the server has done it; `target_uid` is known if the server said it */
};

struct journal_address { /* of a message; uid 0: none */
    const char *mailbox; /* wire name; NULL or "": none */
    uint32_t uidvalidity, uid;
};

enum { JOURNAL_DIGEST = 32 };
struct journal_entry {
    uint64_t id; /* given out by journal_add(), ascending */
    enum journal_kind kind;
    enum journal_step step;
    /* What it is about. A message that another entry brings has no UID yet: `source` is that
     * entry's id then, and the address is filled in when it is settled. */
    struct journal_address message; /* of REMOVE and RENAME only the mailbox */
    uint64_t source;
    const char *target;       /* wire name, "": none */
    const char *name;         /* directory entry that the user asked for in the target; "": none */
    uint64_t after;           /* only if this entry succeeds; dropped with it. 0: unconditional */
    const char *add, *remove; /* flags between spaces; APPEND: `add` are the message's */
    /* Facts by which the message is known again in the target */
    const char *message_id;         /* "" : none */
    uint64_t size;                  /* RFC822.SIZE, or of the staged file */
    int64_t internaldate;           /* seconds since 1970 */
    uint8_t digest[JOURNAL_DIGEST]; /* SHA-256 of the staged file; zeros: not known */
    uint64_t staged;                /* APPEND, and what has it as `source`: number of the file */
    char delimiter;                 /* CREATE, REMOVE, RENAME: of the hierarchy, 0: none */
    /* What the tree shows for it in the target: the message that it was at first, wherever earlier
     * entries have moved it. Filled in by journal_add(). uid 0: the staged file */
    struct journal_address origin;
    /* Since it was sent */
    uint32_t target_uidvalidity; /* 0: not known */
    uint32_t target_uidnext;     /* before it was sent: it can only have a UID from here on */
    uint32_t target_uid;         /* 0: not known */
    int64_t asked_us;            /* wall clock; 0 in journal_add(): now */
    bool kept;                   /* MARKED for good: the server cannot expunge by UID */
    uint64_t failed;             /* refused: the number that journal_fail() gave; 0: none */
};

struct journal;
struct journal_options {
    const char *directory; /* the state folder; made with mode 0700 if missing */
    const char *account;   /* as of struct cache_options */
    const char *owner;
    unsigned lock_wait_ms;
};
/* Returns NULL and sets `error` (CACHE_ERROR, one line). Staged files that no entry names are
 * removed. A journal that cannot be read is moved aside, never removed, and that is logged. */
struct journal *journal_open(const struct journal_options *options, GError **error);
void journal_close(struct journal *journal);
/* Writes what is not yet on the disk. */
int journal_sync(struct journal *journal);

/* ---- changes: the file side --------------------------------------------------------------- */

/* Adds an entry and gives it its id. With `durable` it is on the disk before this returns (what
 * carries the user's bytes); else within a second (the journal syncs itself), and safe against the
 * end of the process. A MOVE or EXPUNGE of a message that an entry still QUEUED moves replaces that
 * entry's target or kind instead, and one that would bring a message back to where it lies removes
 * the entry (then *id is 0). So does an EXPUNGE of what a COPY or APPEND still QUEUED brings. An
 * address that a waiting MOVE takes the message away from stands for the message, wherever it will
 * be; a `source` that was settled lately stands for where it placed the message. CACHE_NOT_FOUND:
 * `source` or `after` is not there, or was refused. CACHE_CORRUPT: the entry makes no sense.
 * CACHE_FULL, CACHE_IO. In all these cases nothing happened. */
int journal_add(struct journal *journal, const struct journal_entry *entry, bool durable,
                uint64_t *id);
/* Takes back an entry that is QUEUED and not with the engine, and what is `after` it or has it as
 * `source`. CACHE_NOT_FOUND: too late, or it is not there. A staged file is removed with it. */
int journal_cancel(struct journal *journal, uint64_t id);
/* The same where entry `by` takes its place (0: nothing does): what removes another message after
 * it removes that after `by` instead. An error of journal_add() means that such a message stays. */
int journal_supersede(struct journal *journal, uint64_t id, uint64_t by);

/* A number for a new staged file, and the file itself: open for reading and writing, mode 0600;
 * -1 with errno. The descriptor is the caller's. */
int journal_stage(struct journal *journal, uint64_t *staged);
int journal_staged_open(struct journal *journal, uint64_t staged); /* for reading */
void journal_staged_remove(struct journal *journal, uint64_t staged);

/* ---- the index: what the tree shows -------------------------------------------------------- */

/* These ask, and answer, with the names that mailboxes will have once all waiting RENAMEs are done
 * (journal_renamed() of the server's name). A message is found by its mailbox's old name too. */

/* Whether anything is waiting for messages of this mailbox, or to come to it: else the following
 * need not be asked. */
bool journal_concerns(struct journal *journal, const char *mailbox);
/* Whether the message is on its way out of its mailbox, so that it is not shown there. */
bool journal_hides(struct journal *journal, const struct journal_address *message);
/* Applies what is waiting for a message to its flags: enum cache_flag in `flags`, other words in
 * `keywords` (between spaces, owned by the caller). True if anything was changed. */
bool journal_flags(struct journal *journal, const struct journal_address *message, uint32_t *flags,
                   GString *keywords);
/* The same for what the entry `id` brings: what is waiting for the message before, and since. Asked
 * with the flags of `origin`. */
bool journal_flags_of(struct journal *journal, uint64_t id, uint32_t *flags, GString *keywords);
/* What is on its way into a mailbox: a copy of the first APPEND, COPY or MOVE to it with an id
 * above `after`, or the one with that `name`. Not those that went on elsewhere, and not those
 * PLACED whose `target_uid` the caller finds in his list. NULL: none. Free with
 * journal_entry_free(). */
struct journal_entry *journal_arrival(struct journal *journal, const char *mailbox, uint64_t after);
struct journal_entry *journal_arrival_named(struct journal *journal, const char *mailbox,
                                            const char *name);
/* The entry that places a message somewhere (MOVE, COPY, APPEND) and is not settled: by the address
 * that the message had at first, or by the staged file (if `message` has no UID). NULL: none. */
struct journal_entry *journal_placing(struct journal *journal,
                                      const struct journal_address *message, uint64_t staged);
/* Mailboxes: whether a CREATE is waiting for it, a REMOVE; and the name it will have once all
 * waiting RENAMEs are done (owned by the caller; equal to `wire` if none concerns it). */
bool journal_creates(struct journal *journal, const char *wire);
bool journal_removes(struct journal *journal, const char *wire);
char *journal_renamed(struct journal *journal, const char *wire);
/* The other way round: the name on the server now of what has this name then. */
char *journal_original(struct journal *journal, const char *wire);
void journal_entry_free(struct journal_entry *entry);
typedef struct journal_entry journal_entry; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(journal_entry, journal_entry_free)

/* How often entries were settled. Who reads records in a transaction and asks the index beside it
 * has both of one moment if this number is the same before the transaction and at the end. */
uint64_t journal_settled(struct journal *journal);

struct journal_counts {
    unsigned waiting;   /* entries that the server has not yet done */
    unsigned marked;    /* hidden, \Deleted, and not to be expunged by UID */
    unsigned failed;    /* messages in failed/ */
    uint64_t oldest_us; /* wall clock of the oldest that waits; 0: none */
};
void journal_counts(struct journal *journal, struct journal_counts *counts);
/* The entry with the smallest id above `after`, a copy; NULL at the end. */
struct journal_entry *journal_next(struct journal *journal, uint64_t after);

/* ---- sending: the engine ------------------------------------------------------------------- */

/* Takes the oldest entry that can be sent, and those directly after it that can go out with the
 * same command (same kind, mailbox, UIDVALIDITY, target, flags and step; at most `most`), so that
 * nobody cancels or changes them. Entries whose `source` is not settled, whose `after` is neither
 * settled nor `kept`, that are PLACED, or MARKED for good, are passed over, but the order of
 * entries about one message or one mailbox name is kept. Copies, in an array that frees them; NULL:
 * there is nothing to send. */
GPtrArray *journal_take(struct journal *journal, unsigned most);
/* Gives entries back as they are; they will be taken again. */
void journal_give_back(struct journal *journal, const GPtrArray *entries);
/* Writes down how far an entry is: step, message and target facts; of an APPEND its target, too,
 * which another client may have renamed. In one transaction for all; on
 * the disk before it returns. What is `kept` counts as given back; a later update may undo that. */
int journal_update(struct journal *journal, const GPtrArray *entries);
/* Removes entries, whose fields say how they ended. With `done` those that have them as `source`
 * get the address (target, target_uidvalidity, target_uid) as their message, or go with them if
 * that is not known; without it all that depends on them goes too and is added to `dropped`
 * (copies, if not NULL). Staged files go, unless they were moved to failed/ before. */
int journal_settle(struct journal *journal, const GPtrArray *entries, bool done,
                   GPtrArray *dropped);
/* Keeps the bytes of an APPEND that will never be taken by the server as failed/NAME, and notes
 * why. `number`, if not NULL, becomes that of the file (struct journal_failed); 0: it was kept
 * before. */
int journal_fail(struct journal *journal, const struct journal_entry *entry, const char *why,
                 uint64_t *number);

/* ---- messages that could not be sent -------------------------------------------------------- */

struct journal_failed {
    uint64_t number; /* of the file; stable */
    char *name;      /* unique, ends in ".eml", safe as a directory entry */
    char *why;       /* one line */
    uint64_t size;
    int64_t mtime_ns;
};
/* The one with the smallest number above `after`; false at the end. Clear with the function below.
 */
bool journal_failed_next(struct journal *journal, uint64_t after, struct journal_failed *failed);
void journal_failed_clear(struct journal_failed *failed);
int journal_failed_open(struct journal *journal, uint64_t number); /* -1 with errno */
int journal_failed_remove(struct journal *journal, uint64_t number);

/* ---- names asked for ------------------------------------------------------------------------ */

/* Remembers under which name the user put a message into a mailbox (newest 100,000 of a mailbox),
 * so that he finds it there again; uid 0 forgets it. */
int journal_name_put(struct journal *journal, const char *mailbox, const char *name,
                     uint32_t uidvalidity, uint32_t uid);
/* False: nobody asked for it. */
bool journal_name_get(struct journal *journal, const char *mailbox, const char *name,
                      uint32_t *uidvalidity, uint32_t *uid);
