/* Messages that have left one list and are not in another yet. */
#include "cache/store.h"

int cache_message_departed(struct cache_txn *txn, uint32_t messages, uint32_t uid,
                           struct cache_message *message)
{
    struct record record;
    struct key key;

    key_u32_u32(&key, messages, uid);
    int rc = store_get(txn, TABLE_DEPARTED, &key, &record);
    if (rc != CACHE_OK)
        return rc;
    message->uid = uid;
    return record_decode_message(&record, message);
}

static int departed_put(struct cache_txn *txn, uint32_t messages,
                        const struct cache_message *message)
{
    struct key key;

    key_u32_u32(&key, messages, message->uid);
    record_begin(&txn->writer);
    record_encode_message(&txn->writer, message);
    if (txn->writer.bad)
        return CACHE_CORRUPT;
    int rc = store_put(txn, TABLE_DEPARTED, &key);
    return rc == CACHE_OK ? object_hold(txn, message->object) : rc;
}

int cache_message_depart(struct cache_txn *txn, uint32_t messages, uint32_t uid)
{
    struct cache_message message;

    int rc = store_check(txn, true);
    if (rc != CACHE_OK)
        return rc;
    if (cache_message_get(txn, messages, uid, &message) != CACHE_OK)
        return cache_message_remove(txn, messages, uid); /* there, and not readable; or not there */
    rc = cache_message_forget(txn, messages, uid);
    if (rc == CACHE_OK || rc == CACHE_NOT_FOUND)
        rc = cache_message_get(txn, messages, uid, &message); /* its texts may have moved */
    if (rc == CACHE_OK)
        rc = departed_put(txn, messages, &message);
    return rc == CACHE_OK ? cache_message_remove(txn, messages, uid) : rc;
}

int cache_message_forget(struct cache_txn *txn, uint32_t messages, uint32_t uid)
{
    struct cache_message message;
    struct key key;

    int rc = store_check(txn, true);
    if (rc == CACHE_OK)
        rc = cache_message_departed(txn, messages, uid, &message);
    if (rc != CACHE_OK && rc != CACHE_CORRUPT)
        return rc;
    uint64_t object = rc == CACHE_OK ? message.object : 0;
    key_u32_u32(&key, messages, uid);
    rc = store_remove(txn, TABLE_DEPARTED, &key);
    return rc == CACHE_OK && object != 0 ? object_drop(txn, object) : rc;
}

bool cache_departed_next(struct cache_txn *txn, uint32_t *messages, uint32_t *uid)
{
    MDB_cursor *cursor;
    struct key key;
    MDB_val value;

    if (txn->txn == NULL ||
        mdb_cursor_open(txn->txn, txn->cache->meta.dbis[TABLE_DEPARTED], &cursor) != 0)
        return false;
    key_u32_u32(&key, *messages, *uid);
    MDB_val name = {key.length, key.bytes};
    int rc = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    if (rc == 0 && name.mv_size == 8 && memcmp(name.mv_data, key.bytes, 8) == 0)
        rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    bool there = rc == 0 && name.mv_size == 8;
    if (there) {
        *messages = key_read_u32(name.mv_data);
        *uid = key_read_u32((const uint8_t *)name.mv_data + 4);
    }
    mdb_cursor_close(cursor);
    return there;
}
