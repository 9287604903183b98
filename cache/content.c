#include "cache/evict.h"

#define SECTION_MAX 64 /* bytes of a section's name */
#define PUT_TURNS 5    /* with waits of 31 ms in all */
#define CONTENT_OFFSET_MAX ((uint64_t)(UINT32_MAX - 2) * CONTENT_BLOCK) /* 16 TiB */

/* ---- sections ------------------------------------------------------------------------------- */

static bool key_section(struct key *key, uint64_t object, const char *section)
{
    key_u64(key, object);
    return strnlen(section, SECTION_MAX + 1) <= SECTION_MAX && key_add_text(key, section);
}

static int section_get(struct cache *cache, MDB_txn *txn, const struct key *key,
                       struct section_record *section)
{
    struct record record;
    int rc = env_get(&cache->content, txn, TABLE_SECTION, key, &record);
    return rc != CACHE_OK ? rc : record_decode_section(&record, section);
}

static int section_put(struct cache *cache, MDB_txn *txn, const struct key *key,
                       const struct section_record *section)
{
    struct record_writer writer;

    record_writer_init(&writer);
    record_begin(&writer);
    record_encode_section(&writer, section);
    int rc = env_put(&cache->content, txn, TABLE_SECTION, key, &writer);
    record_writer_clear(&writer);
    return rc;
}

/* Finds a section or begins it, under an id that was never used: blocks of an earlier one can't
 * show up in it. */
static int section_make(struct cache *cache, MDB_txn *txn, const struct key *key,
                        struct section_record *section)
{
    uint64_t last;
    int rc = section_get(cache, txn, key, section);

    if (rc != CACHE_NOT_FOUND && rc != CACHE_CORRUPT)
        return rc;
    rc = env_get_counter(&cache->content, txn, "section", &last);
    if (rc == CACHE_CORRUPT)
        last = (uint64_t)g_random_int() << 31;
    else if (rc == CACHE_NOT_FOUND)
        last = 0;
    else if (rc != CACHE_OK)
        return rc;
    *section = (struct section_record){.id = last + 1};
    rc = env_put_counter(&cache->content, txn, "section", section->id);
    return rc == CACHE_OK ? section_put(cache, txn, key, section) : rc;
}

/* ---- storing -------------------------------------------------------------------------------- */

struct range {
    struct cache *cache;
    uint64_t object;
    const char *section;
    uint64_t offset;
    const uint8_t *bytes;
    size_t length;
};

static int block_get(struct cache *cache, MDB_txn *txn, const struct key *key,
                     struct block_record *block)
{
    struct record record;
    int rc = env_get(&cache->content, txn, TABLE_BLOCK, key, &record);
    return rc != CACHE_OK ? rc : record_decode_block(&record, block);
}

/* Stores a part of a block. Bytes that are there already stay if they touch the new ones; apart
 * from them, they would leave a hole, and go. */
static int block_put(struct cache *cache, MDB_txn *txn, struct record_writer *writer,
                     const struct key *key, struct block_record block)
{
    uint8_t merged[CONTENT_BLOCK];
    struct block_record old;
    bool whole = block.from == 0 && block.to == CONTENT_BLOCK;

    int rc = whole ? CACHE_NOT_FOUND : block_get(cache, txn, key, &old);
    if (rc == CACHE_OK && old.from <= block.to && old.to >= block.from) {
        memcpy(merged + old.from, old.bytes, (size_t)(old.to - old.from));
        memcpy(merged + block.from, block.bytes, (size_t)(block.to - block.from));
        block.from = MIN(block.from, old.from);
        block.to = MAX(block.to, old.to);
        block.bytes = merged + block.from;
    } else if (rc != CACHE_OK && rc != CACHE_NOT_FOUND && rc != CACHE_CORRUPT) {
        return rc;
    }
    record_begin(writer);
    record_encode_block(writer, &block);
    return env_put(&cache->content, txn, TABLE_BLOCK, key, writer);
}

static int range_put_blocks(const struct range *range, MDB_txn *txn, uint64_t id)
{
    struct record_writer writer;
    uint64_t at = range->offset, end = at + range->length;
    int rc = CACHE_OK;

    record_writer_init(&writer);
    while (at < end && rc == CACHE_OK) {
        uint64_t number = at / CONTENT_BLOCK;
        struct block_record block = {
            .from = (uint16_t)(at % CONTENT_BLOCK),
            .to = (uint16_t)MIN(end - number * CONTENT_BLOCK, CONTENT_BLOCK),
            .bytes = range->bytes + (at - range->offset),
        };
        struct key key;
        key_u64_u32(&key, id, (uint32_t)number);
        rc = block_put(range->cache, txn, &writer, &key, block);
        at += (uint64_t)(block.to - block.from);
    }
    record_writer_clear(&writer);
    return rc;
}

static uint32_t segment_of(uint64_t offset)
{
    return (uint32_t)(offset / CONTENT_BLOCK / SEGMENT_BLOCKS);
}

static int range_put_in(struct range *range, MDB_txn *txn)
{
    struct section_record section;
    struct key key;
    struct cache *cache = range->cache;

    if (!key_section(&key, range->object, range->section))
        return CACHE_CORRUPT;
    int rc = section_make(cache, txn, &key, &section);
    if (rc == CACHE_OK && section.ended && range->offset + range->length > section.size)
        range->length = section.size > range->offset ? (size_t)(section.size - range->offset) : 0;
    if (rc != CACHE_OK || range->length == 0)
        return rc;
    rc = range_put_blocks(range, txn, section.id);
    uint32_t last = segment_of(range->offset + range->length - 1);
    for (uint32_t segment = segment_of(range->offset); segment <= last && rc == CACHE_OK; segment++)
        rc = uses_add(cache->uses, txn, section.id, segment, range->object, range->section);
    return rc == CACHE_OK ? uses_write(cache->uses, txn) : rc;
}

static int range_put(struct range *range)
{
    struct env *content = &range->cache->content;
    MDB_txn *txn;

    int rc = env_write_begin(content, &txn);
    if (rc != CACHE_OK)
        return rc;
    rc = range_put_in(range, txn);
    if (rc == CACHE_OK)
        return env_commit(content, txn);
    mdb_txn_abort(txn);
    return rc;
}

int cache_content_put(struct cache *cache, uint64_t object, const char *section, uint64_t offset,
                      const void *bytes, size_t length)
{
    struct range range = {cache, object, section, offset, bytes, length};

    if (length == 0)
        return CACHE_OK;
    if (offset >= CONTENT_OFFSET_MAX || length > CONTENT_OFFSET_MAX - offset)
        return CACHE_CORRUPT;
    if (!evict_can(cache, length))
        return CACHE_FULL;
    /* A reader that was interrupted may hold the pages that could be used; it does not for long. */
    for (unsigned turn = 0;; turn++) {
        int rc = evict_for(cache, length, turn == 1);
        if (rc == CACHE_OK)
            rc = range_put(&range);
        if (rc != CACHE_FULL || turn == PUT_TURNS)
            return rc;
        if (turn > 0)
            g_usleep(500ul << turn);
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Removes what lies at or beyond `size`. */
static int section_cut(struct cache *cache, MDB_txn *txn, uint64_t id, uint64_t size)
{
    uint32_t last = (uint32_t)(size / CONTENT_BLOCK);
    uint16_t keep = (uint16_t)(size % CONTENT_BLOCK);
    struct record_writer writer;
    struct block_record block;
    unsigned count = 0;
    struct key key;

    key_u64_u32(&key, id, last);
    int rc = keep > 0 ? block_get(cache, txn, &key, &block) : CACHE_NOT_FOUND;
    bool kept = rc == CACHE_OK && block.from < keep;
    if (kept && block.to > keep) {
        block.to = keep;
        record_writer_init(&writer);
        record_begin(&writer);
        record_encode_block(&writer, &block);
        rc = env_put(&cache->content, txn, TABLE_BLOCK, &key, &writer);
        record_writer_clear(&writer);
    }
    if (rc != CACHE_OK && rc != CACHE_NOT_FOUND && rc != CACHE_CORRUPT)
        return rc;
    return evict_blocks(cache, txn, id, kept ? last + 1 : last, UINT32_MAX, &count);
}

static int section_end_in(struct cache *cache, MDB_txn *txn, uint64_t object, const char *name,
                          uint64_t size)
{
    struct section_record section;
    struct key key;

    if (!key_section(&key, object, name))
        return CACHE_CORRUPT;
    int rc = section_make(cache, txn, &key, &section);
    section.ended = true;
    section.size = size;
    if (rc == CACHE_OK)
        rc = section_put(cache, txn, &key, &section);
    if (rc == CACHE_OK)
        rc = section_cut(cache, txn, section.id, size);
    if (rc == CACHE_OK) /* so that an empty section can be evicted too */
        rc = uses_add(cache->uses, txn, section.id, segment_of(size), object, name);
    return rc;
}

static int section_end(struct cache *cache, uint64_t object, const char *section, uint64_t size)
{
    MDB_txn *txn;

    int rc = env_write_begin(&cache->content, &txn);
    if (rc != CACHE_OK)
        return rc;
    rc = section_end_in(cache, txn, object, section, size);
    if (rc == CACHE_OK)
        return env_commit(&cache->content, txn);
    mdb_txn_abort(txn);
    return rc;
}

int cache_content_end(struct cache *cache, uint64_t object, const char *section, uint64_t size)
{
    uint64_t known;

    if (size > CONTENT_OFFSET_MAX)
        return CACHE_CORRUPT;
    if (cache_content_size(cache, object, section, &known) == CACHE_OK && known == size)
        return CACHE_OK;
    int rc = evict_for(cache, 0, false);
    if (rc == CACHE_OK)
        rc = section_end(cache, object, section, size);
    if (rc == CACHE_FULL && evict_for(cache, 0, true) == CACHE_OK)
        rc = section_end(cache, object, section, size);
    return rc;
}

int cache_content_size(struct cache *cache, uint64_t object, const char *section, uint64_t *size)
{
    struct section_record found;
    struct env_reader reader;
    struct key key;

    if (!key_section(&key, object, section))
        return CACHE_NOT_FOUND;
    int rc = env_read_begin(&cache->content, &reader);
    if (rc != CACHE_OK)
        return rc;
    rc = section_get(cache, reader.txn, &key, &found);
    env_read_end(&cache->content, &reader);
    if (rc == CACHE_OK && !found.ended)
        return CACHE_NOT_FOUND;
    if (rc == CACHE_OK)
        *size = found.size;
    return rc;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* A walk over the blocks from an offset. */
struct walk_blocks {
    struct cache *cache;
    MDB_cursor *cursor;
    uint64_t id, at;
    uint8_t *buffer; /* NULL: only counts, without a look at the bytes */
    size_t left, done;
    bool corrupt; /* the block at `at` is damaged */
};

/* Goes through one block. Returns whether the next may follow. */
static bool walk_block(struct walk_blocks *walk, const MDB_val *name, const MDB_val *value)
{
    struct record record;
    struct block_record block;
    size_t skip = walk->at % CONTENT_BLOCK;

    record = (struct record){(const uint8_t *)value->mv_data + RECORD_HEADER,
                             (const uint8_t *)value->mv_data + value->mv_size, false};
    walk->corrupt =
        value->mv_size < RECORD_HEADER ||
        (walk->buffer != NULL && record_open(&record, TABLE_BLOCK, name->mv_data, name->mv_size,
                                             value->mv_data, value->mv_size) != CACHE_OK) ||
        record_decode_block(&record, &block) != CACHE_OK;
    if (walk->corrupt || block.from > skip || block.to <= skip)
        return false;
    size_t length = MIN(block.to - skip, walk->left);
    if (walk->buffer != NULL)
        memcpy(walk->buffer + walk->done, block.bytes + (skip - block.from), length);
    walk->done += length;
    walk->at += length;
    walk->left -= length;
    return block.to == CONTENT_BLOCK;
}

static void walk_blocks(struct walk_blocks *walk)
{
    struct key key;
    MDB_val value;
    MDB_cursor_op step = MDB_SET;

    for (bool follows = true; follows && walk->left > 0; step = MDB_NEXT) {
        key_u64_u32(&key, walk->id, (uint32_t)(walk->at / CONTENT_BLOCK));
        MDB_val name = {key.length, key.bytes};
        if (mdb_cursor_get(walk->cursor, &name, &value, step) != 0 || name.mv_size != key.length ||
            memcmp(name.mv_data, key.bytes, key.length) != 0)
            return;
        follows = walk_block(walk, &name, &value);
    }
}

/* Takes a damaged block away, so that it is known to be missing. */
static void block_drop(struct cache *cache, uint64_t id, uint64_t number)
{
    struct block_record block;
    struct key key;
    MDB_txn *txn;

    g_info("a block of the content cache is damaged and removed");
    key_u64_u32(&key, id, (uint32_t)number);
    if (env_write_begin(&cache->content, &txn) != CACHE_OK)
        return;
    if (block_get(cache, txn, &key, &block) == CACHE_CORRUPT &&
        env_remove(&cache->content, txn, TABLE_BLOCK, &key) == CACHE_OK)
        env_commit(&cache->content, txn);
    else
        mdb_txn_abort(txn);
}

static size_t content_walk(struct cache *cache, uint64_t object, const char *section,
                           uint64_t offset, void *buffer, size_t length)
{
    struct section_record found;
    struct env_reader reader;
    struct key key;

    if (offset >= CONTENT_OFFSET_MAX || !key_section(&key, object, section) ||
        env_read_begin(&cache->content, &reader) != CACHE_OK)
        return 0;
    struct walk_blocks walk = {cache, reader.cursor, 0, offset, buffer, length, 0, false};
    if (section_get(cache, reader.txn, &key, &found) == CACHE_OK) {
        walk.id = found.id;
        if (found.ended)
            walk.left = offset < found.size ? MIN(length, found.size - offset) : 0;
        walk_blocks(&walk);
    }
    env_read_end(&cache->content, &reader);
    if (walk.corrupt)
        block_drop(cache, walk.id, walk.at / CONTENT_BLOCK);
    if (buffer != NULL && walk.done > 0) {
        for (uint32_t at = segment_of(offset); at <= segment_of(offset + walk.done - 1); at++)
            uses_touch(cache->uses, walk.id, at);
    }
    return walk.done;
}

size_t cache_content_get(struct cache *cache, uint64_t object, const char *section, uint64_t offset,
                         void *buffer, size_t length)
{
    return content_walk(cache, object, section, offset, buffer, length);
}

size_t cache_content_have(struct cache *cache, uint64_t object, const char *section,
                          uint64_t offset, size_t length)
{
    return content_walk(cache, object, section, offset, NULL, length);
}

void cache_content_touch(struct cache *cache, uint64_t object, const char *section, uint64_t length)
{
    struct section_record found;
    struct env_reader reader;
    struct key key;

    if (length == 0 || length > CONTENT_OFFSET_MAX || !key_section(&key, object, section) ||
        env_read_begin(&cache->content, &reader) != CACHE_OK)
        return;
    int rc = section_get(cache, reader.txn, &key, &found);
    env_read_end(&cache->content, &reader);
    for (uint32_t at = 0; rc == CACHE_OK && at <= segment_of(length - 1); at++)
        uses_touch(cache->uses, found.id, at);
}

uint64_t cache_content_evicted(const struct cache *cache)
{
    return cache->evicted;
}

uint64_t cache_content_room(const struct cache *cache)
{
    return cache->content.map_bytes / 3 * 2;
}

uint64_t cache_content_used(struct cache *cache)
{
    struct env_reader reader;
    uint64_t used;

    if (env_read_begin(&cache->content, &reader) != CACHE_OK)
        return 0;
    used = env_used(&cache->content, reader.txn);
    env_read_end(&cache->content, &reader);
    return used;
}
