#include "cache/evict.h"

#define STEP_BLOCKS 1024 /* in one transaction, about: its list of free pages stays small */
#define NEAR_PERCENT 85  /* of the bound, above which is evicted */
#define DOWN_PERCENT 75  /* down to which */

int evict_blocks(struct cache *cache, MDB_txn *txn, uint64_t id, uint32_t first, uint32_t last,
                 unsigned *count)
{
    struct key key;
    MDB_cursor *cursor;
    MDB_val value;

    int rc = mdb_cursor_open(txn, cache->content.dbis[TABLE_BLOCK], &cursor);
    if (rc != 0)
        return env_error(&cache->content, rc, "write");
    key_u64_u32(&key, id, first);
    MDB_val name = {key.length, key.bytes};
    rc = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    while (rc == 0 && name.mv_size == 12 && key_read_u64(name.mv_data) == id &&
           key_read_u32((const uint8_t *)name.mv_data + 8) <= last) {
        rc = mdb_cursor_del(cursor, 0);
        ++*count;
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? CACHE_OK : env_error(&cache->content, rc, "write");
}

/* Removes a section's record once it has no segment left. */
static int evict_section(struct cache *cache, MDB_txn *txn, uint64_t id,
                         const struct key *section_key)
{
    struct section_record section;
    struct record record;
    MDB_cursor *cursor;
    struct key key;
    MDB_val value;

    int rc = mdb_cursor_open(txn, cache->content.dbis[TABLE_SEGMENT], &cursor);
    if (rc != 0)
        return env_error(&cache->content, rc, "write");
    key_u64_u32(&key, id, 0);
    MDB_val name = {key.length, key.bytes};
    rc = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    bool used = rc == 0 && name.mv_size == 12 && key_read_u64(name.mv_data) == id;
    mdb_cursor_close(cursor);
    if (used)
        return CACHE_OK;
    rc = env_get(&cache->content, txn, TABLE_SECTION, section_key, &record);
    if (rc == CACHE_OK && record_decode_section(&record, &section) == CACHE_OK && section.id != id)
        return CACHE_OK;
    return env_remove(&cache->content, txn, TABLE_SECTION, section_key);
}

static int evict_segment(struct cache *cache, MDB_txn *txn, uint64_t id, uint32_t segment,
                         unsigned *count)
{
    struct segment_record owner;
    struct record record;
    struct key key, section_key;

    key_u64_u32(&key, id, segment);
    bool owned = env_get(&cache->content, txn, TABLE_SEGMENT, &key, &record) == CACHE_OK &&
                 record_decode_segment(&record, &owner) == CACHE_OK;
    if (owned) {
        key_u64(&section_key, owner.object);
        owned = key_add_text(&section_key, owner.section);
    }
    uint32_t first = segment * SEGMENT_BLOCKS;
    int rc = evict_blocks(cache, txn, id, first, first + SEGMENT_BLOCKS - 1, count);
    if (rc == CACHE_OK)
        rc = uses_remove(cache->uses, txn, id, segment);
    return rc == CACHE_OK && owned ? evict_section(cache, txn, id, &section_key) : rc;
}

/* ---- by use --------------------------------------------------------------------------------- */

/* The oldest segment goes, with its stamp even where its record is damaged. */
static int evict_oldest(struct cache *cache, MDB_txn *txn, unsigned *count)
{
    uint64_t stamp, id;
    uint32_t segment;
    struct key key;

    int rc = uses_oldest(cache->uses, txn, &stamp, &id, &segment);
    if (rc == CACHE_OK)
        rc = evict_segment(cache, txn, id, segment, count);
    if (rc != CACHE_OK)
        return rc;
    ++*count;
    ++cache->evicted;
    key_use(&key, stamp, id, segment);
    return env_remove(&cache->content, txn, TABLE_USE, &key);
}

/* One transaction of evicting towards `target` bytes. CACHE_NOT_FOUND: that is reached. */
static int evict_step(struct cache *cache, uint64_t target)
{
    unsigned count = 0;
    MDB_txn *txn;

    int rc = env_write_begin(&cache->content, &txn);
    if (rc != CACHE_OK)
        return rc;
    while (rc == CACHE_OK && count < STEP_BLOCKS && env_used(&cache->content, txn) > target)
        rc = evict_oldest(cache, txn, &count);
    if (count > 0 && (rc == CACHE_OK || rc == CACHE_NOT_FOUND))
        return env_commit(&cache->content, txn);
    mdb_txn_abort(txn);
    return rc == CACHE_OK ? CACHE_NOT_FOUND : rc;
}

/* A transaction that only makes the pages of the one before it free: LMDB uses again what was freed
 * two transactions ago. */
static int evict_turn(struct cache *cache)
{
    uint64_t turn = 0;
    MDB_txn *txn;

    int rc = env_write_begin(&cache->content, &txn);
    if (rc != CACHE_OK)
        return rc;
    if (env_get_counter(&cache->content, txn, "turn", &turn) != CACHE_OK)
        turn = 0;
    rc = env_put_counter(&cache->content, txn, "turn", turn + 1);
    if (rc == CACHE_OK)
        return env_commit(&cache->content, txn);
    mdb_txn_abort(txn);
    return rc;
}

/* What a range takes, with branch pages and records. */
static uint64_t evict_need(uint64_t bytes)
{
    return bytes + bytes / 8 + (64 << 10);
}

bool evict_can(struct cache *cache, uint64_t bytes)
{
    return evict_need(bytes) <= cache->content.map_bytes / 100 * DOWN_PERCENT;
}

int evict_for(struct cache *cache, uint64_t bytes, bool hard)
{
    uint64_t bound = cache->content.map_bytes, need = evict_need(bytes);
    uint64_t used = cache_content_used(cache), down = bound / 100 * DOWN_PERCENT;

    if (!hard && used + need <= bound / 100 * NEAR_PERCENT)
        return CACHE_OK;
    uint64_t target = down - need;
    if (hard)
        target = MIN(target, used - MIN(used, 2 * need));
    uses_flush(cache->uses);
    int rc = CACHE_OK;
    while (rc == CACHE_OK)
        rc = evict_step(cache, target);
    return rc == CACHE_NOT_FOUND ? evict_turn(cache) : rc;
}

/* ---- by object ------------------------------------------------------------------------------ */

/* A section of the object: its key and id. */
static int evict_find_section(struct cache *cache, MDB_txn *txn, uint64_t object, struct key *key,
                              uint64_t *id)
{
    struct section_record section = {0};
    struct record record;
    MDB_cursor *cursor;
    MDB_val value;

    int rc = mdb_cursor_open(txn, cache->content.dbis[TABLE_SECTION], &cursor);
    if (rc != 0)
        return env_error(&cache->content, rc, "read");
    key_u64(key, object);
    MDB_val name = {key->length, key->bytes};
    rc = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    if (rc == 0 && (name.mv_size < 8 || name.mv_size > sizeof key->bytes ||
                    key_read_u64(name.mv_data) != object))
        rc = MDB_NOTFOUND;
    if (rc == 0) {
        memcpy(key->bytes, name.mv_data, name.mv_size);
        key->length = name.mv_size;
        if (record_open(&record, TABLE_SECTION, key->bytes, key->length, value.mv_data,
                        value.mv_size) == CACHE_OK)
            record_decode_section(&record, &section);
    }
    *id = section.id;
    mdb_cursor_close(cursor);
    return rc == 0 ? CACHE_OK : env_error(&cache->content, rc, "read");
}

/* Takes segments from a section until `count` is enough; the section's record goes last. Blocks
 * whose section is damaged are left to eviction by use. */
static int evict_from_section(struct cache *cache, MDB_txn *txn, uint64_t id,
                              const struct key *section_key, unsigned *count)
{
    struct key key;
    MDB_val value;
    MDB_cursor *cursor;
    int rc = CACHE_OK;

    while (rc == CACHE_OK && *count < STEP_BLOCKS) {
        if (mdb_cursor_open(txn, cache->content.dbis[TABLE_SEGMENT], &cursor) != 0)
            return CACHE_IO;
        key_u64_u32(&key, id, 0);
        MDB_val name = {key.length, key.bytes};
        bool found = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE) == 0 &&
                     name.mv_size == 12 && key_read_u64(name.mv_data) == id;
        uint32_t segment = found ? key_read_u32((const uint8_t *)name.mv_data + 8) : 0;
        mdb_cursor_close(cursor);
        ++*count;
        if (!found || id == 0)
            return env_remove(&cache->content, txn, TABLE_SECTION, section_key);
        rc = evict_segment(cache, txn, id, segment, count);
    }
    return rc;
}

static int evict_object_step(struct cache *cache, uint64_t object)
{
    unsigned count = 0;
    struct key key;
    uint64_t id = 0;
    MDB_txn *txn;

    int rc = env_write_begin(&cache->content, &txn);
    if (rc != CACHE_OK)
        return rc;
    while (rc == CACHE_OK && count < STEP_BLOCKS) {
        rc = evict_find_section(cache, txn, object, &key, &id);
        if (rc == CACHE_OK)
            rc = evict_from_section(cache, txn, id, &key, &count);
    }
    if (rc == CACHE_OK || rc == CACHE_NOT_FOUND) {
        int committed = env_commit(&cache->content, txn);
        return committed == CACHE_OK ? rc : committed;
    }
    mdb_txn_abort(txn);
    return rc;
}

int cache_content_forget(struct cache *cache, uint64_t object)
{
    struct env_reader reader;
    struct key key;
    uint64_t id;

    int rc = env_read_begin(&cache->content, &reader);
    if (rc != CACHE_OK)
        return rc;
    rc = evict_find_section(cache, reader.txn, object, &key, &id);
    env_read_end(&cache->content, &reader);
    while (rc == CACHE_OK)
        rc = evict_object_step(cache, object);
    return rc == CACHE_NOT_FOUND ? CACHE_OK : rc;
}

bool cache_content_any(struct cache *cache, uint64_t object)
{
    struct env_reader reader;
    struct key key;
    uint64_t id;

    if (env_read_begin(&cache->content, &reader) != CACHE_OK)
        return false;
    int rc = evict_find_section(cache, reader.txn, object, &key, &id);
    env_read_end(&cache->content, &reader);
    return rc == CACHE_OK;
}
