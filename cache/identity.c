/* What messages are known by where the server has no id for them, and where they are known. Two
 * tables: one finds objects by size and INTERNALDATE, with what else must be equal; the other leads
 * from the object back to them. Only objects whose header was seen whole are in them. */
#include "cache/store.h"

#define ALIKE_MOST 64 /* objects of one size and date that are looked at */

struct identity {
    uint64_t size;
    int64_t internaldate;
};

static void key_prefix(struct key *key, const struct identity *identity)
{
    key_u64(key, identity->size);
    key_add_u64(key, (uint64_t)identity->internaldate);
}

static void key_twin(struct key *key, const struct identity *identity, uint64_t object)
{
    key_prefix(key, identity);
    key_add_u64(key, object);
}

/* ---- Message-ID ----------------------------------------------------------------------------- */

/* The end of the field that begins at `at`: the first line end not followed by white space. */
static size_t field_end(const char *bytes, size_t length, size_t at)
{
    while (at < length) {
        const char *line = memchr(bytes + at, '\n', length - at);
        if (line == NULL)
            return length;
        at = (size_t)(line - bytes) + 1;
        if (at == length || (bytes[at] != ' ' && bytes[at] != '\t'))
            return at;
    }
    return length;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The first Message-ID field's value in a stored header, without the space around it. NULL: there
 * is none, or nothing in it. */
static const char *header_message_id(const char *bytes, size_t length, size_t *id_length)
{
    static const char NAME[] = "Message-ID:";
    const size_t name = sizeof NAME - 1;

    for (size_t at = 0, end; at < length; at = end) {
        end = field_end(bytes, length, at);
        if (end - at < name || g_ascii_strncasecmp(bytes + at, NAME, name) != 0)
            continue;
        size_t from = at + name, to = end;
        while (from < to && is_space(bytes[from]))
            from++;
        while (to > from && is_space(bytes[to - 1]))
            to--;
        *id_length = to - from;
        return to > from ? bytes + from : NULL;
    }
    return NULL;
}

bool cache_object_same_id(struct cache_txn *txn, uint64_t a, uint64_t b)
{
    const void *one, *other;
    size_t one_length, other_length;

    if (cache_header_get(txn, a, &one, &one_length) != CACHE_OK)
        return false;
    one = header_message_id(one, one_length, &one_length);
    if (one == NULL || cache_header_get(txn, b, &other, &other_length) != CACHE_OK)
        return false;
    other = header_message_id(other, other_length, &other_length);
    return other != NULL && one_length == other_length && memcmp(one, other, one_length) == 0;
}

/* ---- the tables ----------------------------------------------------------------------------- */

static int identity_of(struct cache_txn *txn, uint64_t object, struct identity *identity)
{
    struct record record;
    struct key key;

    key_u64(&key, object);
    int rc = store_get(txn, TABLE_IDENTITY, &key, &record);
    if (rc != CACHE_OK)
        return rc;
    identity->size = record_u64(&record);
    identity->internaldate = (int64_t)record_u64(&record);
    return record_close(&record);
}

int identity_remove(struct cache_txn *txn, uint64_t object)
{
    struct identity identity;
    struct key key;

    int rc = identity_of(txn, object, &identity);
    if (rc == CACHE_NOT_FOUND)
        return CACHE_OK;
    key_twin(&key, &identity, object);
    if (rc == CACHE_OK)
        rc = store_remove(txn, TABLE_TWIN, &key);
    key_u64(&key, object);
    return rc == CACHE_OK || rc == CACHE_CORRUPT ? store_remove(txn, TABLE_IDENTITY, &key) : rc;
}

/* Objects other than `object` of this size and date, at most ALIKE_MOST. */
static GArray *identity_alike(struct cache_txn *txn, const struct identity *identity,
                              uint64_t object)
{
    GArray *objects = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    MDB_cursor *cursor;
    struct key key;
    MDB_val value;

    if (txn->txn == NULL ||
        mdb_cursor_open(txn->txn, txn->cache->meta.dbis[TABLE_TWIN], &cursor) != 0)
        return objects;
    key_prefix(&key, identity);
    MDB_val name = {key.length, key.bytes};
    int rc = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    while (rc == 0 && name.mv_size == 24 && memcmp(name.mv_data, key.bytes, 16) == 0 &&
           objects->len < ALIKE_MOST) {
        uint64_t found = key_read_u64((const uint8_t *)name.mv_data + 16);
        if (found != object)
            g_array_append_val(objects, found);
        rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return objects;
}

int identity_blur(struct cache_txn *txn, const struct cache_message *message)
{
    const struct identity identity = {message->size, message->internaldate};
    g_autoptr(GArray) alike = identity_alike(txn, &identity, message->object);
    int rc = CACHE_OK;

    for (guint i = 0; i < alike->len && rc == CACHE_OK; i++) {
        uint64_t object = g_array_index(alike, uint64_t, i);
        if (cache_object_same_id(txn, object, message->object))
            rc = identity_remove(txn, object);
    }
    return rc;
}

/* ---- for the engine ------------------------------------------------------------------------- */

int cache_identity_put(struct cache_txn *txn, uint32_t messages, uint32_t uid,
                       const uint8_t digest[CACHE_DIGEST])
{
    struct cache_message message;
    struct key key;

    int rc = cache_message_get(txn, messages, uid, &message);
    if (rc == CACHE_OK)
        rc = identity_remove(txn, message.object);
    if (rc != CACHE_OK)
        return rc;
    const struct identity identity = {message.size, message.internaldate};
    key_twin(&key, &identity, message.object);
    record_begin(&txn->writer);
    record_add_u32(&txn->writer, messages);
    record_add_bytes(&txn->writer, digest, CACHE_DIGEST);
    rc = store_put(txn, TABLE_TWIN, &key);
    if (rc != CACHE_OK)
        return rc;
    key_u64(&key, message.object);
    record_begin(&txn->writer);
    record_add_u64(&txn->writer, identity.size);
    record_add_u64(&txn->writer, (uint64_t)identity.internaldate);
    return store_put(txn, TABLE_IDENTITY, &key);
}

bool cache_identity_has(struct cache_txn *txn, uint64_t object)
{
    struct identity identity;
    return identity_of(txn, object, &identity) == CACHE_OK;
}

static int twin_get(struct cache_txn *txn, const struct cache_message *message, uint64_t object,
                    struct cache_identity *found)
{
    const struct identity identity = {message->size, message->internaldate};
    struct record record;
    struct key key;

    key_twin(&key, &identity, object);
    int rc = store_get(txn, TABLE_TWIN, &key, &record);
    if (rc != CACHE_OK)
        return rc;
    found->object = object;
    found->messages = record_u32(&record);
    for (size_t i = 0; i < CACHE_DIGEST; i += 8)
        memcpy(found->digest + i, record_take(&record, 8), 8);
    return record_close(&record);
}

int cache_identity_find(struct cache_txn *txn, uint32_t messages, uint32_t uid,
                        struct cache_identity *found)
{
    struct cache_message message;

    int rc = cache_message_get(txn, messages, uid, &message);
    if (rc != CACHE_OK)
        return rc;
    const struct identity identity = {message.size, message.internaldate};
    g_autoptr(GArray) alike = identity_alike(txn, &identity, message.object);
    uint64_t object = 0;
    for (guint i = 0; i < alike->len; i++) {
        uint64_t other = g_array_index(alike, uint64_t, i);
        if (!cache_object_same_id(txn, other, message.object))
            continue;
        if (object != 0)
            return CACHE_NOT_FOUND; /* which of them it is cannot be said */
        object = other;
    }
    if (object == 0 || alike->len >= ALIKE_MOST)
        return CACHE_NOT_FOUND;
    return twin_get(txn, &message, object, found);
}
