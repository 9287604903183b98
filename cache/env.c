#include "cache/env.h"

#include "cache/directory.h"
#include <errno.h>
#include <unistd.h>

static const struct error_map {
    int lmdb;
    int error;
} ERRORS[] = {
    {MDB_SUCCESS, CACHE_OK},
    {MDB_NOTFOUND, CACHE_NOT_FOUND},
    {MDB_CORRUPTED, CACHE_CORRUPT},
    {MDB_PAGE_NOTFOUND, CACHE_CORRUPT},
    {MDB_MAP_FULL, CACHE_FULL},
    {MDB_TXN_FULL, CACHE_FULL},
    {ENOSPC, CACHE_FULL},
    {EDQUOT, CACHE_FULL},
    {EFBIG, CACHE_FULL},
    {EIO, CACHE_FULL}, /* LMDB's word for a short write */
};

static void env_mark_damaged(struct env *env)
{
    pthread_mutex_lock(&env->lock);
    bool known = env->damaged;
    env->damaged = true;
    pthread_mutex_unlock(&env->lock);
    int fd = known ? -1 : directory_file_open(env->directory, ENV_DAMAGED);
    if (fd >= 0)
        close(fd);
    if (!known)
        g_warning("the cache is damaged; it is begun anew at the next start");
}

int env_error(struct env *env, int rc, const char *doing)
{
    if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND)
        env_mark_damaged(env);
    for (size_t i = 0; i < G_N_ELEMENTS(ERRORS); i++) {
        if (ERRORS[i].lmdb == rc)
            return ERRORS[i].error;
    }
    g_warning("cannot %s the cache: %s", doing, mdb_strerror(rc));
    return CACHE_IO;
}

static int env_reader_new(struct env *env, struct env_reader *reader)
{
    int rc = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &reader->txn);
    if (rc != 0)
        return env_error(env, rc, "read");
    rc = mdb_cursor_open(reader->txn, env->dbis[env->walked], &reader->cursor);
    if (rc == 0)
        return CACHE_OK;
    mdb_txn_abort(reader->txn);
    return env_error(env, rc, "read");
}

static void env_reader_free(struct env_reader *reader)
{
    mdb_cursor_close(reader->cursor);
    mdb_txn_abort(reader->txn);
}

int env_read_begin(struct env *env, struct env_reader *reader)
{
    bool idle = false;

    pthread_mutex_lock(&env->lock);
    if (env->idle_count > 0) {
        *reader = env->idle[--env->idle_count];
        idle = true;
    }
    pthread_mutex_unlock(&env->lock);
    if (!idle)
        return env_reader_new(env, reader);
    int rc = mdb_txn_renew(reader->txn);
    if (rc == 0)
        rc = mdb_cursor_renew(reader->txn, reader->cursor);
    if (rc == 0)
        return CACHE_OK;
    env_reader_free(reader);
    return env_reader_new(env, reader);
}

void env_read_end(struct env *env, struct env_reader *reader)
{
    mdb_txn_reset(reader->txn);
    pthread_mutex_lock(&env->lock);
    bool kept = env->idle_count < ENV_IDLE_MAX;
    if (kept)
        env->idle[env->idle_count++] = *reader;
    pthread_mutex_unlock(&env->lock);
    if (!kept)
        env_reader_free(reader);
}

int env_write_begin(struct env *env, MDB_txn **txn)
{
    int rc = mdb_txn_begin(env->env, NULL, 0, txn);
    return rc == 0 ? CACHE_OK : env_error(env, rc, "write");
}

int env_get(struct env *env, MDB_txn *txn, enum table table, const struct key *key,
            struct record *record)
{
    MDB_val name = {key->length, (void *)key->bytes}, value;
    int rc = mdb_get(txn, env->dbis[table], &name, &value);

    if (rc != 0)
        return env_error(env, rc, "read");
    return record_open(record, table, key->bytes, key->length, value.mv_data, value.mv_size);
}

/* Tables that mostly grow at their end: there LMDB fills pages whole, and halves them elsewhere. */
static bool env_grows(enum table table)
{
    return table == TABLE_MESSAGE || table == TABLE_OBJECT || table == TABLE_HEADER ||
           table == TABLE_BLOCK;
}

int env_put(struct env *env, MDB_txn *txn, enum table table, const struct key *key,
            struct record_writer *writer)
{
    int rc = record_end(writer, table, key->bytes, key->length);
    if (rc != CACHE_OK)
        return rc;
    MDB_val name = {key->length, (void *)key->bytes};
    MDB_val value = {writer->buffer->len, writer->buffer->data};
    rc = MDB_KEYEXIST;
    if (env_grows(table))
        rc = mdb_put(txn, env->dbis[table], &name, &value, MDB_APPEND);
    if (rc == MDB_KEYEXIST) /* not above the last key */
        rc = mdb_put(txn, env->dbis[table], &name, &value, 0);
    return rc == 0 ? CACHE_OK : env_error(env, rc, "write");
}

int env_remove(struct env *env, MDB_txn *txn, enum table table, const struct key *key)
{
    MDB_val name = {key->length, (void *)key->bytes};
    int rc = mdb_del(txn, env->dbis[table], &name, NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? CACHE_OK : env_error(env, rc, "write");
}

int env_get_number(struct env *env, MDB_txn *txn, enum table table, const struct key *key,
                   uint64_t *number)
{
    struct record record;
    int rc = env_get(env, txn, table, key, &record);
    return rc != CACHE_OK ? rc : record_decode_number(&record, number);
}

int env_put_number(struct env *env, MDB_txn *txn, enum table table, const struct key *key,
                   uint64_t number)
{
    uint8_t bytes[RECORD_HEADER + sizeof number];
    GByteArray buffer = {bytes, RECORD_HEADER};
    struct record_writer writer = {&buffer, false};

    number = GUINT64_TO_LE(number);
    memcpy(bytes + RECORD_HEADER, &number, sizeof number);
    buffer.len += sizeof number;
    return env_put(env, txn, table, key, &writer);
}

int env_get_counter(struct env *env, MDB_txn *txn, const char *name, uint64_t *number)
{
    struct key key = {0};
    key_add_text(&key, name);
    return env_get_number(env, txn, TABLE_ENV, &key, number);
}

int env_put_counter(struct env *env, MDB_txn *txn, const char *name, uint64_t number)
{
    struct key key = {0};
    key_add_text(&key, name);
    return env_put_number(env, txn, TABLE_ENV, &key, number);
}

uint64_t env_used(struct env *env, MDB_txn *txn)
{
    uint64_t pages = 2; /* the meta pages */

    for (unsigned table = 0; table < TABLE_END; table++) {
        MDB_stat stat; /* database 0 is LMDB's list of free pages: what it takes is in use too */
        if ((table == 0 || env->dbis[table] != 0) &&
            mdb_stat(txn, table == 0 ? 0 : env->dbis[table], &stat) == 0)
            pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
    return pages * env->page_bytes;
}
