/* LMDB environments: opened, checked, moved aside when they are of no use, read and written.
 *
 * LMDB trusts its file: a page that was overwritten, or a file that was cut while it is mapped, can
 * end the process. What can be checked at opening is (the two meta pages, and that the file is as
 * long as they say); values are checked one by one; a damaged branch page remains.
 */
#pragma once

#include "cache/key.h"
#include "cache/record.h"
#include "cache/table.h"
#include <lmdb.h>
#include <pthread.h>

#define ENV_LAYOUT 1          /* another number in the file: moved aside */
#define ENV_DAMAGED "damaged" /* a file of this name: moved aside */
#define ENV_READERS 512
#define ENV_IDLE_MAX 32

struct env_spec {
    const char *name;         /* of its directory */
    const enum table *tables; /* TABLE_ENV among them */
    size_t table_count;
    enum table walked;  /* whose cursor each reader keeps */
    unsigned flags;     /* of mdb_env_open() */
    uint64_t map_bytes; /* size of the map */
    bool bounded;       /* the map is a bound: a bigger file is begun anew */
    bool unsynced;      /* not synced: dirty after a crash of the machine is begun anew */
    bool keep_broken;   /* move aside to NAME.broken instead of removing */
    bool keep_all;      /* and to NAME.broken-2 and so on where there is one already */
    bool begin_anew;    /* even if nothing is wrong with it */
    uint64_t tie;       /* the generation this one depends on; another in it: begun anew */
};

/* A read transaction and a cursor, kept for the next reader. */
struct env_reader {
    MDB_txn *txn;
    MDB_cursor *cursor; /* over the walked table */
};

struct env {
    /* fixed by env_open() */
    MDB_env *env; /* NULL: not open */
    MDB_dbi dbis[TABLE_END];
    enum table walked;
    uint64_t generation; /* a random number of this environment's beginning */
    uint64_t map_bytes;
    unsigned page_bytes;
    bool begun;    /* its file was made by env_open() */
    bool fresh;    /* begun anew by env_open() */
    int directory; /* descriptor */
    bool marked;   /* there is a dirty mark to take away */
    /* under `lock`, which is pthread's: ThreadSanitizer does not see GLib's */
    pthread_mutex_t lock;
    struct env_reader idle[ENV_IDLE_MAX];
    unsigned idle_count;
    bool damaged; /* there is a mark that says so */
};

/* Opens `spec->name` in the directory `parent` (a descriptor; `path` is its name). Returns a
 * cache_error and sets `error` on failure. `env` stays at its address until env_close(). */
int env_open(struct env *env, int parent, const char *path, const struct env_spec *spec,
             GError **error);
/* Writes everything, and takes the dirty mark away. Fine on a zeroed one. */
void env_close(struct env *env);
int env_sync(struct env *env);

/* The cache_error of an LMDB result. What is neither expected nor a matter of space is logged;
 * where LMDB finds its pages damaged, the environment is begun anew next time. */
int env_error(struct env *env, int rc, const char *doing);

/* CACHE_OK or why not. A reader must end before its thread waits for anything. */
int env_read_begin(struct env *env, struct env_reader *reader);
void env_read_end(struct env *env, struct env_reader *reader);
int env_write_begin(struct env *env, MDB_txn **txn);
int env_commit(struct env *env, MDB_txn *txn);

/* Finds the record under `key`: CACHE_OK, CACHE_NOT_FOUND, CACHE_CORRUPT or CACHE_IO. */
int env_get(struct env *env, MDB_txn *txn, enum table table, const struct key *key,
            struct record *record);
/* Stores what was written since record_begin(). CACHE_CORRUPT: too long; nothing happened. */
int env_put(struct env *env, MDB_txn *txn, enum table table, const struct key *key,
            struct record_writer *writer);
/* CACHE_OK also if there was nothing. */
int env_remove(struct env *env, MDB_txn *txn, enum table table, const struct key *key);
int env_get_number(struct env *env, MDB_txn *txn, enum table table, const struct key *key,
                   uint64_t *number);
int env_put_number(struct env *env, MDB_txn *txn, enum table table, const struct key *key,
                   uint64_t number);
/* Numbers of TABLE_ENV by name: "layout", "generation", ... */
int env_get_counter(struct env *env, MDB_txn *txn, const char *name, uint64_t *number);
int env_put_counter(struct env *env, MDB_txn *txn, const char *name, uint64_t number);
/* Bytes of the pages that tables use now. */
uint64_t env_used(struct env *env, MDB_txn *txn);
