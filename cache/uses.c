#include "cache/uses.h"

#define TOUCHED_MAX 32768 /* uses between two writes; later ones are not noted */

struct touch {
    uint64_t id, stamp;
    uint32_t segment;
};

struct uses {
    struct env *content;
    /* under `lock` */
    pthread_mutex_t lock;
    uint64_t stamp;      /* the last one given */
    GHashTable *touched; /* struct touch, by id and segment */
};

static guint touch_hash(gconstpointer key)
{
    const struct touch *touch = key;
    return (guint)((touch->id * 1048573 + touch->segment) * 0x9e3779b97f4a7c15 >> 32);
}

static gboolean touch_equal(gconstpointer a, gconstpointer b)
{
    const struct touch *first = a, *second = b;
    return first->id == second->id && first->segment == second->segment;
}

void key_use(struct key *key, uint64_t stamp, uint64_t id, uint32_t segment)
{
    key_u64(key, stamp);
    key_add_u64(key, id);
    key_add_u32(key, segment);
}

/* The stamp, id and segment at one end of the table. */
static int uses_end(struct uses *uses, MDB_txn *txn, MDB_cursor_op end, struct touch *touch)
{
    MDB_cursor *cursor;
    MDB_val name, value;

    int rc = mdb_cursor_open(txn, uses->content->dbis[TABLE_USE], &cursor);
    if (rc != 0)
        return env_error(uses->content, rc, "read");
    rc = mdb_cursor_get(cursor, &name, &value, end);
    if (rc == 0 && name.mv_size == 20) {
        const uint8_t *bytes = name.mv_data;
        *touch = (struct touch){
            .stamp = key_read_u64(bytes),
            .id = key_read_u64(bytes + 8),
            .segment = key_read_u32(bytes + 16),
        };
    } else if (rc == 0) {
        rc = MDB_CORRUPTED;
    }
    mdb_cursor_close(cursor);
    return rc == 0 ? CACHE_OK : env_error(uses->content, rc, "read");
}

struct uses *uses_new(struct env *content)
{
    struct uses *uses = g_new0(struct uses, 1);
    struct env_reader reader;
    struct touch last = {0};

    uses->content = content;
    pthread_mutex_init(&uses->lock, NULL);
    uses->touched = g_hash_table_new_full(touch_hash, touch_equal, g_free, NULL);
    if (env_read_begin(content, &reader) == CACHE_OK) {
        if (uses_end(uses, reader.txn, MDB_LAST, &last) == CACHE_OK)
            uses->stamp = last.stamp;
        env_read_end(content, &reader);
    }
    return uses;
}

void uses_free(struct uses *uses)
{
    if (uses == NULL)
        return;
    g_hash_table_unref(uses->touched);
    pthread_mutex_destroy(&uses->lock);
    g_free(uses);
}

void uses_touch(struct uses *uses, uint64_t id, uint32_t segment)
{
    struct touch wanted = {.id = id, .segment = segment};

    pthread_mutex_lock(&uses->lock);
    struct touch *touch = g_hash_table_lookup(uses->touched, &wanted);
    if (touch == NULL && g_hash_table_size(uses->touched) < TOUCHED_MAX) {
        touch = g_memdup2(&wanted, sizeof wanted);
        g_hash_table_add(uses->touched, touch);
    }
    if (touch != NULL)
        touch->stamp = ++uses->stamp;
    pthread_mutex_unlock(&uses->lock);
}

static int segment_get(struct uses *uses, MDB_txn *txn, uint64_t id, uint32_t segment,
                       struct segment_record *found)
{
    struct record record;
    struct key key;

    key_u64_u32(&key, id, segment);
    int rc = env_get(uses->content, txn, TABLE_SEGMENT, &key, &record);
    return rc != CACHE_OK ? rc : record_decode_segment(&record, found);
}

static int uses_remove_stamp(struct uses *uses, MDB_txn *txn, uint64_t id, uint32_t segment)
{
    struct segment_record old;
    struct key key;

    int rc = segment_get(uses, txn, id, segment, &old);
    if (rc == CACHE_NOT_FOUND || rc == CACHE_CORRUPT)
        return CACHE_OK;
    key_use(&key, old.stamp, id, segment);
    return rc == CACHE_OK ? env_remove(uses->content, txn, TABLE_USE, &key) : rc;
}

static int uses_put(struct uses *uses, MDB_txn *txn, uint64_t id, uint32_t segment,
                    const struct segment_record *record)
{
    struct record_writer writer;
    struct key key;

    record_writer_init(&writer);
    record_begin(&writer);
    record_encode_segment(&writer, record);
    int rc = uses_remove_stamp(uses, txn, id, segment);
    key_u64_u32(&key, id, segment);
    if (rc == CACHE_OK)
        rc = env_put(uses->content, txn, TABLE_SEGMENT, &key, &writer);
    record_writer_clear(&writer);
    key_use(&key, record->stamp, id, segment);
    return rc == CACHE_OK ? env_put_number(uses->content, txn, TABLE_USE, &key, 0) : rc;
}

int uses_add(struct uses *uses, MDB_txn *txn, uint64_t id, uint32_t segment, uint64_t object,
             const char *section)
{
    pthread_mutex_lock(&uses->lock);
    struct segment_record record = {++uses->stamp, object, section};
    pthread_mutex_unlock(&uses->lock);
    return uses_put(uses, txn, id, segment, &record);
}

/* The table's entries as an array, and an empty table. */
static GPtrArray *uses_take(struct uses *uses)
{
    GPtrArray *taken = g_ptr_array_new_with_free_func(g_free);
    gpointer key;

    pthread_mutex_lock(&uses->lock);
    GHashTableIter iter;
    g_hash_table_iter_init(&iter, uses->touched);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_ptr_array_add(taken, key);
    g_hash_table_steal_all(uses->touched);
    pthread_mutex_unlock(&uses->lock);
    return taken;
}

int uses_write(struct uses *uses, MDB_txn *txn)
{
    g_autoptr(GPtrArray) taken = uses_take(uses);
    int rc = CACHE_OK;

    for (guint i = 0; i < taken->len && rc == CACHE_OK; i++) {
        const struct touch *touch = g_ptr_array_index(taken, i);
        struct segment_record record;
        rc = segment_get(uses, txn, touch->id, touch->segment, &record);
        if (rc == CACHE_OK && record.stamp < touch->stamp) {
            record.stamp = touch->stamp;
            rc = uses_put(uses, txn, touch->id, touch->segment, &record);
        } else if (rc == CACHE_NOT_FOUND || rc == CACHE_CORRUPT) {
            rc = CACHE_OK; /* evicted since */
        }
    }
    return rc;
}

int uses_flush(struct uses *uses)
{
    MDB_txn *txn;

    pthread_mutex_lock(&uses->lock);
    bool none = g_hash_table_size(uses->touched) == 0;
    pthread_mutex_unlock(&uses->lock);
    if (none)
        return CACHE_OK;
    int rc = env_write_begin(uses->content, &txn);
    if (rc != CACHE_OK)
        return rc;
    rc = uses_write(uses, txn);
    if (rc == CACHE_OK)
        return env_commit(uses->content, txn);
    mdb_txn_abort(txn);
    return rc;
}

int uses_remove(struct uses *uses, MDB_txn *txn, uint64_t id, uint32_t segment)
{
    struct key key;
    int rc = uses_remove_stamp(uses, txn, id, segment);

    key_u64_u32(&key, id, segment);
    return rc == CACHE_OK ? env_remove(uses->content, txn, TABLE_SEGMENT, &key) : rc;
}

int uses_oldest(struct uses *uses, MDB_txn *txn, uint64_t *stamp, uint64_t *id, uint32_t *segment)
{
    struct touch oldest = {0};
    int rc = uses_end(uses, txn, MDB_FIRST, &oldest);

    if (rc != CACHE_OK)
        return rc;
    *stamp = oldest.stamp;
    *id = oldest.id;
    *segment = oldest.segment;
    return CACHE_OK;
}
