#include "cache/store.h"

#define SERVER_ID_MAX 255 /* RFC 8474, 4: an object id has at most 255 characters */

/* The server's id in it is good until the table is written. */
static int object_get(struct cache_txn *txn, uint64_t object, struct object_record *found)
{
    struct record record;
    struct key key;

    key_u64(&key, object);
    int rc = env_get(&txn->cache->meta, txn->txn, TABLE_OBJECT, &key, &record);
    return rc != CACHE_OK ? rc : record_decode_object(&record, found);
}

static int object_put(struct cache_txn *txn, uint64_t object, const struct object_record *value)
{
    struct key key;

    key_u64(&key, object);
    record_begin(&txn->writer);
    record_encode_object(&txn->writer, value);
    return store_put(txn, TABLE_OBJECT, &key);
}

/* ---- references ----------------------------------------------------------------------------- */

static int object_orphan(struct cache_txn *txn, uint64_t object, bool orphan)
{
    struct key key;

    key_u64(&key, object);
    return orphan ? store_put_number(txn, TABLE_ORPHAN, &key,
                                     (uint64_t)(g_get_real_time() / G_USEC_PER_SEC))
                  : store_remove(txn, TABLE_ORPHAN, &key);
}

int object_hold(struct cache_txn *txn, uint64_t object)
{
    struct object_record record = {.references = 1, .server_id = ""};

    if (object == txn->fresh_object) {
        txn->fresh_object = 0;
        return object_put(txn, object, &record);
    }
    int rc = object_get(txn, object, &record);
    if (rc == CACHE_IO)
        return store_fail(txn, rc);
    if (rc != CACHE_OK)
        record = (struct object_record){.server_id = ""}; /* lost: the message brings it back */
    bool first = record.references == 0;
    record.references++;
    rc = object_put(txn, object, &record);
    return rc == CACHE_OK && first ? object_orphan(txn, object, false) : rc;
}

int object_drop(struct cache_txn *txn, uint64_t object)
{
    struct object_record record;
    int rc = object_get(txn, object, &record);

    if (rc == CACHE_IO)
        return store_fail(txn, rc);
    if (rc != CACHE_OK || record.references == 0)
        return CACHE_OK; /* lost: other messages may have it, so it stays */
    record.references--;
    rc = object_put(txn, object, &record);
    return rc == CACHE_OK && record.references == 0 ? object_orphan(txn, object, true) : rc;
}

/* ---- new ones ------------------------------------------------------------------------------- */

static int object_read_counter(struct cache_txn *txn)
{
    struct env *meta = &txn->cache->meta;
    int rc = env_get_counter(meta, txn->txn, "object", &txn->next_object);

    if (rc == CACHE_OK)
        return rc;
    /* The first, or the counter is damaged: ids start anywhere, and never meet earlier ones. */
    txn->next_object = ((uint64_t)g_random_int() << 30 ^ g_random_int()) + 1;
    return rc == CACHE_IO ? rc : CACHE_OK;
}

/* Stores the object that was given out last, if no message has taken it. */
static int object_settle(struct cache_txn *txn)
{
    uint64_t object = txn->fresh_object;
    struct object_record record = {.server_id = ""};

    if (object == 0)
        return CACHE_OK;
    txn->fresh_object = 0;
    int rc = object_put(txn, object, &record);
    return rc == CACHE_OK ? object_orphan(txn, object, true) : rc;
}

int object_flush(struct cache_txn *txn)
{
    if (txn->next_object == 0)
        return CACHE_OK;
    int rc = object_settle(txn);
    if (rc == CACHE_OK)
        rc = env_put_counter(&txn->cache->meta, txn->txn, "object", txn->next_object);
    return rc == CACHE_OK ? rc : store_fail(txn, rc);
}

uint64_t cache_object_new(struct cache_txn *txn)
{
    if (store_check(txn, true) != CACHE_OK || object_settle(txn) != CACHE_OK ||
        (txn->next_object == 0 && object_read_counter(txn) != CACHE_OK))
        return 0;
    txn->fresh_object = txn->next_object++;
    return txn->fresh_object;
}

static void key_server(struct key *key, char kind, const char *server_id)
{
    key->length = 0;
    key_add_u8(key, (uint8_t)kind);
    key_add_digest(key, server_id);
}

static bool object_is(struct cache_txn *txn, uint64_t object, char kind, const char *server_id)
{
    struct object_record record;
    return object_get(txn, object, &record) == CACHE_OK && record.kind == kind &&
           strcmp(record.server_id, server_id) == 0;
}

uint64_t cache_object_for(struct cache_txn *txn, char kind, const char *server_id)
{
    struct key key;
    uint64_t object;

    if (server_id == NULL || *server_id == 0 || strlen(server_id) > SERVER_ID_MAX)
        return cache_object_new(txn);
    if (store_check(txn, true) != CACHE_OK)
        return 0;
    key_server(&key, kind, server_id);
    if (store_get_number(txn, TABLE_OBJECT_SERVER, &key, &object) == CACHE_OK &&
        object_is(txn, object, kind, server_id))
        return object;
    object = cache_object_new(txn);
    struct object_record record = {.kind = kind, .server_id = server_id};
    txn->fresh_object = 0;
    if (object == 0 || object_put(txn, object, &record) != CACHE_OK ||
        object_orphan(txn, object, true) != CACHE_OK ||
        store_put_number(txn, TABLE_OBJECT_SERVER, &key, object) != CACHE_OK)
        return 0;
    return object;
}

int cache_object_server_id(struct cache_txn *txn, uint64_t object, char *kind, const char **id)
{
    struct object_record record;
    int rc = store_check(txn, false);
    if (rc == CACHE_OK)
        rc = object_get(txn, object, &record);
    if (rc != CACHE_OK)
        return rc;
    *kind = record.kind;
    *id = record.server_id;
    return record.kind != 0 ? CACHE_OK : CACHE_NOT_FOUND;
}

uint32_t cache_object_messages(struct cache_txn *txn, uint64_t object)
{
    struct object_record record;
    bool found =
        store_check(txn, false) == CACHE_OK && object_get(txn, object, &record) == CACHE_OK;
    return found ? record.references : 0;
}

/* ---- collecting ----------------------------------------------------------------------------- */

/* So many are looked at, for each that is wanted, to find the old ones. */
#define ORPHANS_EACH 20

static bool orphan_is_old(struct cache_txn *txn, uint64_t object, int64_t before)
{
    uint64_t since;
    struct key key;

    key_u64(&key, object);
    return env_get_number(&txn->cache->meta, txn->txn, TABLE_ORPHAN, &key, &since) != CACHE_OK ||
           since < (uint64_t)before;
}

/* Objects without a message since before then, at most `most`. */
static GArray *object_orphans(struct cache_txn *txn, unsigned most, int64_t before)
{
    GArray *objects = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    MDB_val name, value;
    MDB_cursor *cursor;

    if (txn->txn == NULL ||
        mdb_cursor_open(txn->txn, txn->cache->meta.dbis[TABLE_ORPHAN], &cursor) != 0)
        return objects;
    int rc = mdb_cursor_get(cursor, &name, &value, MDB_FIRST);
    for (uint64_t seen = 0; rc == 0 && objects->len < most; seen++) {
        uint64_t object = name.mv_size == 8 ? key_read_u64(name.mv_data) : 0;
        if (seen > (uint64_t)most * ORPHANS_EACH)
            break;
        if (orphan_is_old(txn, object, before))
            g_array_append_val(objects, object);
        rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return objects;
}

static int object_remove_sizes(struct cache_txn *txn, uint64_t object)
{
    struct key key;
    MDB_val value;
    MDB_cursor *cursor;

    int rc = mdb_cursor_open(txn->txn, txn->cache->meta.dbis[TABLE_SIZE], &cursor);
    if (rc != 0)
        return store_fail(txn, env_error(&txn->cache->meta, rc, "write"));
    key_u64(&key, object);
    MDB_val name = {key.length, key.bytes};
    rc = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    while (rc == 0 && name.mv_size == 10 && key_read_u64(name.mv_data) == object) {
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND
               ? CACHE_OK
               : store_fail(txn, env_error(&txn->cache->meta, rc, "write"));
}

static int object_remove_server_id(struct cache_txn *txn, uint64_t object,
                                   const struct object_record *record)
{
    struct key key;
    uint64_t found;

    if (record->kind == 0)
        return CACHE_OK;
    key_server(&key, record->kind, record->server_id);
    if (store_get_number(txn, TABLE_OBJECT_SERVER, &key, &found) == CACHE_OK && found != object)
        return CACHE_OK;
    return store_remove(txn, TABLE_OBJECT_SERVER, &key);
}

static int object_remove(struct cache_txn *txn, uint64_t object)
{
    static const enum table TABLES[] = {TABLE_HEADER, TABLE_PARTS, TABLE_OBJECT, TABLE_ORPHAN};
    struct object_record record;
    struct key key;

    int rc = object_get(txn, object, &record);
    if (rc == CACHE_OK && record.references > 0)
        return object_orphan(txn, object, false);
    rc = rc == CACHE_OK ? object_remove_server_id(txn, object, &record) : CACHE_OK;
    if (rc == CACHE_OK)
        rc = object_remove_sizes(txn, object);
    if (rc == CACHE_OK)
        rc = identity_remove(txn, object);
    key_u64(&key, object);
    for (size_t i = 0; i < G_N_ELEMENTS(TABLES) && rc == CACHE_OK; i++)
        rc = store_remove(txn, TABLES[i], &key);
    return rc;
}

unsigned cache_collect(struct cache *cache, unsigned most)
{
    return cache_collect_old(cache, most, INT64_MAX);
}

unsigned cache_collect_old(struct cache *cache, unsigned most, int64_t before)
{
    struct cache_txn *txn = cache_txn_write(cache);
    g_autoptr(GArray) objects = object_orphans(txn, most, before);
    int rc = store_check(txn, true);

    for (guint i = 0; i < objects->len && rc == CACHE_OK; i++)
        rc = object_remove(txn, g_array_index(objects, uint64_t, i));
    if (objects->len == 0) {
        cache_txn_end(txn);
        return 0;
    }
    if (cache_txn_commit(txn) != CACHE_OK)
        return 0;
    for (guint i = 0; i < objects->len; i++)
        cache_content_forget(cache, g_array_index(objects, uint64_t, i));
    return objects->len;
}
