/* What an open journal is made of; private to the journal's files.
 *
 * A change goes first into the tail, a file of frames with checksums beside the LMDB environment:
 * one write(2), so that it survives the end of the process, and one fdatasync(2) where it must
 * survive more. Within a second the tail is carried over into LMDB in one synced transaction and
 * emptied, so the environment is always whole on the disk, without a sync for each change. At
 * opening, frames that LMDB has not seen are applied; frames are numbered for that.
 *
 * Lock order: `change_lock`, then `lock`. Who changes anything holds the first all the while and
 * the second while memory changes, never across a write; so he may read memory under the first
 * alone, and who only reads takes the second and never waits for the disk.
 */
#pragma once

#include "cache/env.h"
#include "cache/journal.h"
#include <pthread.h>
#include <stdatomic.h>

#define JOURNAL_TAIL_MAX (64u << 20) /* bytes; a longer one that LMDB cannot take is CACHE_FULL */
#define JOURNAL_NAMES_MAX 100000     /* names asked for that are kept of a mailbox */

/* What is waiting for one mailbox, under the name it will have. */
struct journal_box {
    char *name;
    unsigned holds;       /* items that stand here; 0: freed */
    GHashTable *messages; /* UIDVALIDITY and UID -> items about the message, by id */
    GHashTable *origins;  /* the same of what placed messages were at first */
    GTree *arrivals;      /* id -> item that the tree shows here */
    GHashTable *names;    /* name asked for -> arrivals */
    unsigned creates, removes;
};

struct journal_item {
    struct journal_entry *entry; /* replaced, never changed */
    bool taken;                  /* is with the engine */
    /* index: where it stands; NULL: nowhere */
    struct journal_box *message_box, *target_box, *origin_box;
    uint64_t message_key, origin_key;
    bool arrival; /* is among the arrivals of `target_box` */
};

/* How an entry that is gone has ended. */
struct journal_ended {
    uint64_t id;
    bool done;
    uint32_t uidvalidity, uid;
    char *mailbox;
};

struct journal_name_change { /* of the names asked for, not yet in LMDB */
    char *mailbox, *name;    /* or the old and new name of a mailbox */
    uint32_t uidvalidity, uid;
    bool rename;
    char delimiter;
};

struct journal {
    /* fixed by journal_open() */
    int directory, lock_file, staged_directory, failed_directory, tail;
    struct env env;

    _Atomic uint64_t settled; /* how often */
    pthread_mutex_t change_lock;
    /* under change_lock */
    GByteArray *frame; /* in the making */
    uint64_t tail_bytes, frame_number;
    uint64_t next_id, next_failed;
    GHashTable *dirty;   /* ids whose entries LMDB has not as they are */
    bool flush_failed;   /* and it was said */
    bool stop;           /* the timer ends */
    pthread_cond_t wake; /* of the timer: something is to be carried over, or `stop` */
    pthread_t timer;
    bool timed; /* there is a timer */

    pthread_mutex_t lock;
    /* under both to change, either to read */
    GTree *items;           /* id -> item; the ids lie in the entries */
    GPtrArray *renames;     /* waiting RENAMEs, by id */
    GPtrArray *hierarchy;   /* waiting CREATEs, REMOVEs, RENAMEs, by id */
    GHashTable *boxes;      /* name -> box */
    GHashTable *dependents; /* id -> items that have it as `source` or `after`, by id */
    GHashTable *files;      /* number of a staged file -> items that show it, by id */
    GHashTable *ended;      /* id -> struct journal_ended, the newest */
    GQueue ended_order;
    GPtrArray *name_changes;   /* in their order */
    GHashTable *names_changed; /* mailbox, NUL, name -> newest struct journal_name_change */
    GPtrArray *failed;         /* struct journal_failed, by number */
    uint64_t next_staged;
};

/* ---- journal-record.c ------------------------------------------------------------------------ */

/* A copy in one block, strings behind it; NULL strings become "". */
struct journal_entry *journal_entry_copy(const struct journal_entry *entry);
/* Whether its kind has what it needs. */
bool journal_entry_valid(const struct journal_entry *entry);
/* Strings point into the value; `id` is left to the caller. */
int record_decode_journal(struct record *record, struct journal_entry *entry);
void record_encode_journal(struct record_writer *writer, const struct journal_entry *entry);

/* ---- journal-store.c ------------------------------------------------------------------------- */

/* Opens environment and tail and reads all entries. `damaged` is set if something that was there
 * could not be read. */
int journal_store_open(struct journal *journal, const char *path, bool *damaged, GError **error);
void journal_store_close(struct journal *journal);
/* A change: begun, told what it does, and written, all or nothing. With `durable` it is on the disk
 * then. */
void journal_change_begin(struct journal *journal);
int journal_change_put(struct journal *journal, const struct journal_entry *entry);
int journal_change_remove(struct journal *journal, uint64_t id);
int journal_change_name(struct journal *journal, const struct journal_name_change *change);
int journal_change_write(struct journal *journal, bool durable);
/* Carries the tail over into LMDB. */
int journal_flush(struct journal *journal);
/* Stores what is known of a failed message; `name` NULL: forgets it. On the disk when it returns.
 */
int journal_store_failed(struct journal *journal, uint64_t number, const char *name,
                         const char *why);
void journal_store_failed_each(struct journal *journal,
                               void (*each)(struct journal *journal, uint64_t number,
                                            const char *name, const char *why));

/* ---- journal-batch.c; under `change_lock` ---------------------------------------------------- */

struct journal_batch {
    struct journal *journal;
    GHashTable *changed; /* id -> entry as it will be; NULL: it goes */
    struct journal_name_change renamed;
    bool durable;
};

void journal_batch_init(struct journal_batch *batch, struct journal *journal, bool durable);
void journal_batch_clear(struct journal_batch *batch);
/* The entry will be so (a copy is made), or will be gone. The last word counts. */
void journal_batch_put(struct journal_batch *batch, const struct journal_entry *entry);
void journal_batch_remove(struct journal_batch *batch, uint64_t id);
bool journal_batch_removes(const struct journal_batch *batch, uint64_t id);
/* An entry as it will be, as far as is known. */
const struct journal_entry *journal_batch_entry(const struct journal_batch *batch,
                                                const struct journal_item *item);
/* First on the disk and then in memory. */
int journal_batch_commit(struct journal_batch *batch);

/* ---- journal-change.c ------------------------------------------------------------------------ */

/* Takes over what the engine has learnt of an entry. */
void journal_entry_learn(struct journal_entry *entry, const struct journal_entry *news);

/* ---- journal-name.c -------------------------------------------------------------------------- */

/* Notes a change in memory, as the tail has it. Takes `lock` itself. */
void journal_name_note(struct journal *journal, const struct journal_name_change *change);
void journal_name_change_free(struct journal_name_change *change);
/* Writes what was noted into the transaction. */
int journal_names_store(struct journal *journal, MDB_txn *txn);
/* Forgets what was noted, when LMDB has it. */
void journal_names_stored(struct journal *journal);

/* ---- journal-index.c; under `lock`, or `change_lock` where they only read ---------------------
 */

void journal_index_init(struct journal *journal);
void journal_index_clear(struct journal *journal);
struct journal_item *journal_item_find(struct journal *journal, uint64_t id);
/* The item with the smallest id above `after`, and so on. */
GTreeNode *journal_item_above(struct journal *journal, uint64_t after);
/* Adds an entry, replaces the one of its id, or removes it; `entry` is the journal's then. */
void journal_item_put(struct journal *journal, struct journal_entry *entry);
void journal_item_remove(struct journal *journal, uint64_t id);
GPtrArray *journal_dependents(struct journal *journal, uint64_t id); /* NULL: none */
/* The entry that has `id` as source and takes the message on, or away; NULL: none. */
struct journal_item *journal_item_onward(struct journal *journal, uint64_t id);
/* Items about a message; NULL: none. */
GPtrArray *journal_items_about(struct journal *journal, const struct journal_address *message);
GPtrArray *journal_items_from(struct journal *journal, const struct journal_address *origin);
/* The items among which an item's order is kept; NULL: it has no message. */
GPtrArray *journal_item_group(struct journal *journal, const struct journal_item *item);
struct journal_box *journal_box_find(struct journal *journal, const char *name);
/* The name that `name`, as it was when the entry `id` was added, will have; the caller's. */
char *journal_name_final(struct journal *journal, const char *name, uint64_t id);
/* The same, as it will be when the entry `until` is sent. */
char *journal_name_at(struct journal *journal, const char *name, uint64_t id, uint64_t until);
/* The other way round, of a name that was final just now. */
char *journal_name_original(struct journal *journal, const char *name);
/* `name` after a mailbox was renamed; NULL: it is not concerned. */
char *journal_name_replace(const char *name, const char *from, const char *to, char delimiter);
/* A message in its mailbox, as one number. */
uint64_t journal_key(uint32_t uidvalidity, uint32_t uid);

/* ---- journal-files.c ------------------------------------------------------------------------- */

int journal_files_open(struct journal *journal, GError **error);
/* Removes staged files that no entry has; with `keep` they go to failed/. */
void journal_files_tidy(struct journal *journal, bool keep);
void journal_files_close(struct journal *journal);
/* Writes a staged file and its name to the disk. CACHE_NOT_FOUND: it is not there. */
int journal_staged_sync(struct journal *journal, uint64_t staged);
/* As journal_fail(), with change_lock held. */
int journal_file_fail(struct journal *journal, uint64_t staged, const char *name, const char *why,
                      uint64_t *number);
