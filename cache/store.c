#include "cache/store.h"

#include "cache/directory.h"
#include <unistd.h>

#define META_MAP_BYTES (64ull << 30)
#define CONTENT_BYTES_MIN (16ull << 20)

static const enum table META_TABLES[] = {
    TABLE_ENV,
    TABLE_NOTE,
    TABLE_MAILBOX,
    TABLE_MAILBOX_WIRE,
    TABLE_MAILBOX_NAME,
    TABLE_MAILBOX_CHILD,
    TABLE_MAILBOX_MESSAGES,
    TABLE_MESSAGE,
    TABLE_MESSAGE_COUNT,
    TABLE_OBJECT,
    TABLE_OBJECT_SERVER,
    TABLE_ORPHAN,
    TABLE_HEADER,
    TABLE_PARTS,
    TABLE_SIZE,
    TABLE_TWIN,
    TABLE_IDENTITY,
    TABLE_DEPARTED,
};
static const enum table CONTENT_TABLES[] = {
    TABLE_ENV, TABLE_SECTION, TABLE_SEGMENT, TABLE_USE, TABLE_BLOCK,
};

/* ---- opening -------------------------------------------------------------------------------- */

static int cache_open_envs(struct cache *cache, int directory, const char *path,
                           const struct cache_options *options, GError **error)
{
    const struct env_spec meta = {
        .name = "meta",
        .tables = META_TABLES,
        .table_count = G_N_ELEMENTS(META_TABLES),
        .walked = TABLE_MESSAGE,
        .flags = MDB_NOMETASYNC,
        .map_bytes = META_MAP_BYTES,
        .keep_broken = true,
        .begin_anew = options->begin_anew,
        .tie = slots_generation(cache->slots),
    };
    int rc = env_open(&cache->meta, directory, path, &meta, error);
    if (rc != CACHE_OK)
        return rc;
    cache->is_new = cache->meta.fresh;
    const struct env_spec content = {
        .name = "content",
        .tables = CONTENT_TABLES,
        .table_count = G_N_ELEMENTS(CONTENT_TABLES),
        .walked = TABLE_BLOCK,
        .flags = MDB_NOSYNC,
        .map_bytes = MAX(options->content_bytes, CONTENT_BYTES_MIN) & ~(uint64_t)0xffff,
        .bounded = true,
        .unsynced = true,
        .begin_anew = options->begin_anew,
        .tie = cache->meta.generation,
    };
    return env_open(&cache->content, directory, path, &content, error);
}

static bool cache_open_account(struct cache *cache, int root, const struct cache_options *options,
                               GError **error)
{
    g_autofree char *name = directory_account_name(options->account);
    g_autofree char *path = g_build_filename(options->directory, name, NULL);
    int directory = directory_open_at(root, name, error);

    if (directory < 0)
        return false;
    cache->lock = directory_lock(directory, options->owner != NULL ? options->owner : "",
                                 options->lock_wait_ms, error);
    bool opened = cache->lock >= 0;
    if (opened)
        cache->slots = slots_open(root, options->directory, options->begin_anew, error);
    if (opened && cache->slots != NULL)
        opened = cache_open_envs(cache, directory, path, options, error) == CACHE_OK;
    close(directory);
    return opened && cache->slots != NULL;
}

bool cache_is_there(const char *directory, const char *account)
{
    g_autofree char *name = directory_account_name(account);
    g_autofree char *path = g_build_filename(directory, name, "meta", NULL);

    return g_file_test(path, G_FILE_TEST_IS_DIR);
}

struct cache *cache_open(const struct cache_options *options, GError **error)
{
    int root = directory_open(options->directory, error);
    if (root < 0)
        return NULL;
    struct cache *cache = g_new0(struct cache, 1);
    cache->lock = -1;
    cache->account = g_strdup(options->account);
    bool opened = cache_open_account(cache, root, options, error);
    close(root);
    int rc = opened ? mailbox_forget_unnumbered(cache) : CACHE_OK;
    if (rc != CACHE_OK)
        g_set_error(error, CACHE_ERROR, rc, "cannot use the cache in %s%s", options->directory,
                    rc == CACHE_FULL ? ": no space left on the disk" : "");
    if (opened && rc == CACHE_OK) {
        cache->uses = uses_new(&cache->content);
        return cache;
    }
    cache_close(cache);
    return NULL;
}

void cache_close(struct cache *cache)
{
    if (cache == NULL)
        return;
    if (cache->uses != NULL)
        uses_flush(cache->uses);
    uses_free(cache->uses);
    env_close(&cache->content);
    env_close(&cache->meta);
    slots_close(cache->slots);
    if (cache->lock >= 0)
        close(cache->lock);
    g_free(cache->account);
    g_free(cache);
}

bool cache_is_new(const struct cache *cache)
{
    return cache->is_new;
}

int cache_sync(struct cache *cache)
{
    int used = uses_flush(cache->uses);
    int slots = slots_sync(cache->slots);
    int meta = env_sync(&cache->meta);
    int content = env_sync(&cache->content);
    return slots != CACHE_OK     ? slots
           : meta != CACHE_OK    ? meta
           : content != CACHE_OK ? content
                                 : used;
}

uint32_t cache_slot_of_mailbox(struct cache *cache, const char *wire)
{
    return slots_get(cache->slots, cache->account, SLOT_MAILBOX, wire, 0);
}

uint32_t cache_slot_of_messages(struct cache *cache, const char *wire, uint32_t uidvalidity)
{
    return slots_get(cache->slots, cache->account, SLOT_MESSAGES, wire, uidvalidity);
}

/* ---- transactions --------------------------------------------------------------------------- */

struct cache_txn *cache_txn_read(struct cache *cache)
{
    struct cache_txn *txn = g_new0(struct cache_txn, 1);
    struct env_reader reader;

    txn->cache = cache;
    if (env_read_begin(&cache->meta, &reader) == CACHE_OK) {
        txn->txn = reader.txn;
        txn->cursor = reader.cursor;
    }
    return txn;
}

struct cache_txn *cache_txn_write(struct cache *cache)
{
    struct cache_txn *txn = g_new0(struct cache_txn, 1);

    txn->cache = cache;
    txn->write = true;
    record_writer_init(&txn->writer);
    txn->copies = g_ptr_array_new_with_free_func(g_free);
    if (env_write_begin(&cache->meta, &txn->txn) != CACHE_OK)
        txn->txn = NULL;
    return txn;
}

static void cache_txn_free(struct cache_txn *txn)
{
    if (txn->write) {
        record_writer_clear(&txn->writer);
        g_ptr_array_unref(txn->copies);
    }
    g_free(txn);
}

int cache_txn_commit(struct cache_txn *txn)
{
    int rc = txn->txn == NULL ? CACHE_IO : txn->failed;

    if (rc == CACHE_OK && txn->write)
        rc = message_flush_tally(txn);
    if (rc == CACHE_OK && txn->write)
        rc = object_flush(txn);
    if (rc == CACHE_OK && txn->write) {
        g_clear_pointer(&txn->cursor, mdb_cursor_close);
        rc = env_commit(&txn->cache->meta, txn->txn);
        txn->txn = NULL;
    }
    cache_txn_end(txn);
    return rc;
}

void cache_txn_end(struct cache_txn *txn)
{
    if (txn == NULL)
        return;
    struct env_reader reader = {txn->txn, txn->cursor};
    if (txn->txn != NULL && !txn->write) {
        env_read_end(&txn->cache->meta, &reader);
    } else if (txn->txn != NULL) {
        g_clear_pointer(&txn->cursor, mdb_cursor_close);
        mdb_txn_abort(txn->txn);
    }
    cache_txn_free(txn);
}

/* ---- records -------------------------------------------------------------------------------- */

int store_check(const struct cache_txn *txn, bool write)
{
    if (txn->txn == NULL || (write && !txn->write))
        return CACHE_IO;
    return txn->failed;
}

int store_fail(struct cache_txn *txn, int rc)
{
    if (txn->failed == CACHE_OK)
        txn->failed = rc;
    return rc;
}

int store_get(struct cache_txn *txn, enum table table, const struct key *key, struct record *record)
{
    int rc = store_check(txn, false);
    if (rc != CACHE_OK)
        return rc;
    rc = env_get(&txn->cache->meta, txn->txn, table, key, record);
    if (rc != CACHE_OK || (txn->written & 1u << table) == 0)
        return rc;
    size_t length = (size_t)(record->end - record->at);
    uint8_t *copy = g_memdup2(record->at, length);
    g_ptr_array_add(txn->copies, copy);
    *record = (struct record){copy, copy + length, false};
    return CACHE_OK;
}

int store_put(struct cache_txn *txn, enum table table, const struct key *key)
{
    int rc = store_check(txn, true);
    if (rc != CACHE_OK)
        return rc;
    rc = env_put(&txn->cache->meta, txn->txn, table, key, &txn->writer);
    if (rc == CACHE_CORRUPT)
        return rc;
    txn->written |= 1u << table;
    return rc == CACHE_OK ? rc : store_fail(txn, rc);
}

int store_put_number(struct cache_txn *txn, enum table table, const struct key *key,
                     uint64_t number)
{
    record_begin(&txn->writer);
    record_encode_number(&txn->writer, number);
    return store_put(txn, table, key);
}

int store_get_number(struct cache_txn *txn, enum table table, const struct key *key,
                     uint64_t *number)
{
    int rc = store_check(txn, false);
    if (rc != CACHE_OK)
        return rc;
    return env_get_number(&txn->cache->meta, txn->txn, table, key, number);
}

int store_remove(struct cache_txn *txn, enum table table, const struct key *key)
{
    int rc = store_check(txn, true);
    if (rc != CACHE_OK)
        return rc;
    txn->written |= 1u << table;
    rc = env_remove(&txn->cache->meta, txn->txn, table, key);
    return rc == CACHE_OK ? rc : store_fail(txn, rc);
}
