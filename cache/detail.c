/* What is stored under an object besides its references: header fields, part tree, exact sizes; and
 * the account's notes. */
#include "cache/store.h"

int cache_header_put(struct cache_txn *txn, uint64_t object, const void *bytes, size_t length)
{
    struct key key;

    key_u64(&key, object);
    record_begin(&txn->writer);
    record_add_bytes(&txn->writer, bytes, length);
    return store_put(txn, TABLE_HEADER, &key);
}

int cache_header_get(struct cache_txn *txn, uint64_t object, const void **bytes, size_t *length)
{
    struct record record;
    struct key key;

    key_u64(&key, object);
    int rc = store_get(txn, TABLE_HEADER, &key, &record);
    if (rc != CACHE_OK)
        return rc;
    *bytes = record.at;
    *length = (size_t)(record.end - record.at);
    return CACHE_OK;
}

int cache_parts_put(struct cache_txn *txn, uint64_t object, const struct cache_part *parts,
                    size_t count, bool truncated)
{
    struct key key;

    key_u64(&key, object);
    record_begin(&txn->writer);
    record_encode_parts(&txn->writer, parts, count, truncated);
    return store_put(txn, TABLE_PARTS, &key);
}

int cache_parts_get(struct cache_txn *txn, uint64_t object, struct cache_parts *parts)
{
    struct record record;
    struct key key;

    key_u64(&key, object);
    int rc = store_get(txn, TABLE_PARTS, &key, &record);
    return rc != CACHE_OK ? rc : record_decode_parts(&record, parts);
}

static void key_size(struct key *key, uint64_t object, uint16_t number)
{
    key_u64(key, object);
    key_add_u16(key, number);
}

int cache_size_put(struct cache_txn *txn, uint64_t object, uint16_t number, uint64_t size)
{
    struct key key;

    key_size(&key, object, number);
    return store_put_number(txn, TABLE_SIZE, &key, size);
}

int cache_size_get(struct cache_txn *txn, uint64_t object, uint16_t number, uint64_t *size)
{
    struct key key;

    key_size(&key, object, number);
    return store_get_number(txn, TABLE_SIZE, &key, size);
}

int cache_size_remove(struct cache_txn *txn, uint64_t object, uint16_t number)
{
    struct key key;

    key_size(&key, object, number);
    return store_remove(txn, TABLE_SIZE, &key);
}

static bool key_note(struct key *key, const char *name)
{
    key->length = 0;
    return *name != 0 && key_add_text(key, name);
}

int cache_note_put(struct cache_txn *txn, const char *key, const char *value)
{
    struct key name;

    if (!key_note(&name, key))
        return CACHE_CORRUPT;
    record_begin(&txn->writer);
    record_add_string(&txn->writer, value);
    return store_put(txn, TABLE_NOTE, &name);
}

int cache_note_get(struct cache_txn *txn, const char *key, const char **value)
{
    struct record record;
    struct key name;

    if (!key_note(&name, key))
        return CACHE_NOT_FOUND;
    int rc = store_get(txn, TABLE_NOTE, &name, &record);
    if (rc != CACHE_OK)
        return rc;
    *value = record_string(&record);
    return record_close(&record);
}
