#include "cache/store.h"

/* ---- how many there are --------------------------------------------------------------------- */

static uint32_t message_stored_count(struct cache_txn *txn, uint32_t messages)
{
    uint64_t count;
    struct key key;

    key_u32(&key, messages);
    return store_get_number(txn, TABLE_MESSAGE_COUNT, &key, &count) == CACHE_OK ? (uint32_t)count
                                                                                : 0;
}

int message_flush_tally(struct cache_txn *txn)
{
    struct key key;

    if (txn->tally.messages == 0)
        return CACHE_OK;
    key_u32(&key, txn->tally.messages);
    txn->tally.messages = 0;
    if (txn->tally.count == 0)
        return store_remove(txn, TABLE_MESSAGE_COUNT, &key);
    return store_put_number(txn, TABLE_MESSAGE_COUNT, &key, txn->tally.count);
}

static int message_tally(struct cache_txn *txn, uint32_t messages, int change)
{
    int rc = CACHE_OK;

    if (txn->tally.messages != messages) {
        rc = message_flush_tally(txn);
        txn->tally.count = message_stored_count(txn, messages);
        txn->tally.messages = messages;
    }
    if (change > 0 || txn->tally.count > 0)
        txn->tally.count += (uint32_t)change;
    return rc;
}

uint32_t cache_message_count(struct cache_txn *txn, uint32_t messages)
{
    if (txn->tally.messages == messages && messages != 0)
        return txn->tally.count;
    return message_stored_count(txn, messages);
}

/* ---- reading -------------------------------------------------------------------------------- */

int cache_message_get(struct cache_txn *txn, uint32_t messages, uint32_t uid,
                      struct cache_message *message)
{
    struct record record;
    struct key key;

    key_u32_u32(&key, messages, uid);
    int rc = store_get(txn, TABLE_MESSAGE, &key, &record);
    if (rc != CACHE_OK)
        return rc;
    message->uid = uid;
    return record_decode_message(&record, message);
}

static MDB_cursor *message_cursor(struct cache_txn *txn)
{
    if (txn->cursor == NULL && txn->txn != NULL &&
        mdb_cursor_open(txn->txn, txn->cache->meta.dbis[TABLE_MESSAGE], &txn->cursor) != 0)
        txn->cursor = NULL;
    return txn->cursor;
}

/* Moves the cursor to the record with the smallest UID >= `from`; 0: there is none. */
static uint32_t message_seek(struct cache_txn *txn, uint32_t messages, uint32_t from,
                             MDB_val *value)
{
    struct walk *walk = &txn->walk;
    bool follows = walk->valid && walk->messages == messages && walk->uid + 1 == from;
    struct key key;

    key_u32_u32(&key, messages, from);
    MDB_val name = {key.length, key.bytes};
    int rc = mdb_cursor_get(txn->cursor, &name, value, follows ? MDB_NEXT : MDB_SET_RANGE);
    walk->valid = rc == 0 && name.mv_size == 8 && key_read_u32(name.mv_data) == messages;
    walk->messages = messages;
    walk->uid = walk->valid ? key_read_u32((const uint8_t *)name.mv_data + 4) : 0;
    return walk->uid;
}

static int message_at(struct cache_txn *txn, uint32_t messages, uint32_t uid, const MDB_val *value,
                      struct cache_message *message)
{
    struct record record;
    struct key key;

    if ((txn->written & 1u << TABLE_MESSAGE) != 0)
        return cache_message_get(txn, messages, uid, message);
    key_u32_u32(&key, messages, uid);
    int rc =
        record_open(&record, TABLE_MESSAGE, key.bytes, key.length, value->mv_data, value->mv_size);
    if (rc != CACHE_OK)
        return rc;
    message->uid = uid;
    return record_decode_message(&record, message);
}

int cache_message_next(struct cache_txn *txn, uint32_t messages, uint32_t from,
                       struct cache_message *message)
{
    MDB_val value;

    if (message_cursor(txn) == NULL)
        return CACHE_IO;
    from = MAX(from, 1);
    for (;;) {
        uint32_t uid = message_seek(txn, messages, from, &value);
        if (uid == 0)
            return CACHE_NOT_FOUND;
        if (message_at(txn, messages, uid, &value, message) == CACHE_OK)
            return CACHE_OK;
        if (uid == UINT32_MAX)
            return CACHE_NOT_FOUND;
        from = uid + 1;
    }
}

uint32_t cache_message_last(struct cache_txn *txn, uint32_t messages)
{
    struct key key;
    MDB_val value;

    if (message_cursor(txn) == NULL)
        return 0;
    txn->walk.valid = false;
    key_u32_u32(&key, messages, UINT32_MAX);
    MDB_val name = {key.length, key.bytes};
    int rc = mdb_cursor_get(txn->cursor, &name, &value, MDB_SET_RANGE);
    if (rc == 0 && name.mv_size == 8 && memcmp(name.mv_data, key.bytes, 8) == 0)
        return UINT32_MAX;
    rc = mdb_cursor_get(txn->cursor, &name, &value, rc == 0 ? MDB_PREV : MDB_LAST);
    if (rc != 0 || name.mv_size != 8 || key_read_u32(name.mv_data) != messages)
        return 0;
    return key_read_u32((const uint8_t *)name.mv_data + 4);
}

/* ---- storing -------------------------------------------------------------------------------- */

/* The object of the record that is there; 0: none, or it is not readable. `there`: whether there is
 * a record at all; `message`: its numbers, if there is an object. */
static uint64_t message_object(struct cache_txn *txn, const struct key *key,
                               struct cache_message *message, bool *there)
{
    struct record record;

    int rc = env_get(&txn->cache->meta, txn->txn, TABLE_MESSAGE, key, &record);
    *there = rc == CACHE_OK || rc == CACHE_CORRUPT;
    if (rc != CACHE_OK || record_decode_message(&record, message) != CACHE_OK)
        return 0;
    return message->object;
}

int cache_message_put(struct cache_txn *txn, uint32_t messages, const struct cache_message *message)
{
    struct cache_message before;
    struct key key;
    bool there;

    int rc = store_check(txn, true);
    if (rc != CACHE_OK)
        return rc;
    if (messages == 0 || message->uid == 0 || message->object == 0)
        return CACHE_CORRUPT;
    key_u32_u32(&key, messages, message->uid);
    record_begin(&txn->writer);
    record_encode_message(&txn->writer, message);
    if (txn->writer.bad)
        return CACHE_CORRUPT;
    uint64_t object = message->object, old = message_object(txn, &key, &before, &there);
    txn->walk.valid = false;
    rc = store_put(txn, TABLE_MESSAGE, &key);
    if (rc == CACHE_OK && !there)
        rc = message_tally(txn, messages, 1);
    if (rc == CACHE_OK && old != object)
        rc = object_hold(txn, object);
    if (rc == CACHE_OK && old != object && old != 0)
        rc = object_drop(txn, old);
    return rc;
}

int cache_message_remove(struct cache_txn *txn, uint32_t messages, uint32_t uid)
{
    struct cache_message message;
    struct key key;
    bool there;

    int rc = store_check(txn, true);
    if (rc != CACHE_OK)
        return rc;
    key_u32_u32(&key, messages, uid);
    uint64_t object = message_object(txn, &key, &message, &there);
    if (!there)
        return CACHE_NOT_FOUND;
    if (object != 0)
        rc = identity_blur(txn, &message);
    if (rc != CACHE_OK)
        return rc;
    txn->walk.valid = false;
    rc = store_remove(txn, TABLE_MESSAGE, &key);
    if (rc == CACHE_OK)
        rc = message_tally(txn, messages, -1);
    return rc == CACHE_OK && object != 0 ? object_drop(txn, object) : rc;
}

int message_remove_all(struct cache_txn *txn, uint32_t messages)
{
    MDB_val value;
    int rc = CACHE_OK;

    if (message_cursor(txn) == NULL)
        return CACHE_IO;
    txn->walk.valid = false;
    for (uint32_t uid = message_seek(txn, messages, 1, &value); uid != 0 && rc == CACHE_OK;
         uid = message_seek(txn, messages, 1, &value))
        rc = cache_message_remove(txn, messages, uid);
    return rc;
}
