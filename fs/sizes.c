#include "fs/sizes.h"

/* Sizes kept for one write. */
#define KEPT_MOST 512

struct learned {
    struct cache *cache; /* the first three are the key */
    uint64_t object;
    uint16_t number;
    uint64_t size;
};

static GHashTable *kept; /* struct learned, as a set */
static GMutex lock;

static guint learned_hash(gconstpointer data)
{
    const struct learned *learned = data;
    return (guint)(learned->object * 31 + learned->number);
}

static gboolean learned_equal(gconstpointer a, gconstpointer b)
{
    const struct learned *one = a, *two = b;
    return one->object == two->object && one->number == two->number && one->cache == two->cache;
}

bool sizes_get(struct cache *cache, struct cache_txn *txn, uint64_t object, uint16_t number,
               uint64_t *size)
{
    const struct learned key = {cache, object, number, 0};
    g_mutex_lock(&lock);
    const struct learned *learned = kept != NULL ? g_hash_table_lookup(kept, &key) : NULL;
    if (learned != NULL)
        *size = learned->size;
    g_mutex_unlock(&lock);
    return learned != NULL || cache_size_get(txn, object, number, size) == CACHE_OK;
}

/* The cache's own sizes, copied: they stay in the set until they are written. */
static GArray *copy(struct cache *cache)
{
    GArray *taken = g_array_new(FALSE, FALSE, sizeof(struct learned));
    GHashTableIter each;
    void *data;
    g_hash_table_iter_init(&each, kept);
    while (g_hash_table_iter_next(&each, &data, NULL)) {
        const struct learned *learned = data;
        if (learned->cache == cache)
            g_array_append_vals(taken, learned, 1);
    }
    return taken;
}

static bool write_out(struct cache *cache, GArray *taken)
{
    g_autoptr(cache_txn) txn = cache_txn_write(cache);
    for (guint i = 0; i < taken->len; i++) {
        const struct learned *learned = &g_array_index(taken, struct learned, i);
        if (cache_size_put(txn, learned->object, learned->number, learned->size) != CACHE_OK)
            return false;
    }
    return cache_txn_commit(g_steal_pointer(&txn)) == CACHE_OK;
}

/* Removes what is written, unless it was learned anew meanwhile. What could not be written is
 * dropped, lest the set grow without end; it can be learned again. */
static void forget(const GArray *taken)
{
    for (guint i = 0; i < taken->len; i++) {
        const struct learned *written = &g_array_index(taken, struct learned, i);
        const struct learned *learned = g_hash_table_lookup(kept, written);
        if (learned != NULL && learned->size == written->size)
            g_hash_table_remove(kept, written);
    }
}

void sizes_flush(struct cache *cache)
{
    g_mutex_lock(&lock);
    g_autoptr(GArray) taken = kept != NULL ? copy(cache) : NULL;
    g_mutex_unlock(&lock);
    if (taken == NULL || taken->len == 0)
        return;
    if (!write_out(cache, taken))
        g_info("exact sizes could not be written to the cache");
    g_mutex_lock(&lock);
    forget(taken);
    g_mutex_unlock(&lock);
}

void sizes_put(struct cache *cache, uint64_t object, uint16_t number, uint64_t size)
{
    struct learned *learned = g_new(struct learned, 1);
    *learned = (struct learned){cache, object, number, size};
    g_mutex_lock(&lock);
    if (kept == NULL)
        kept = g_hash_table_new_full(learned_hash, learned_equal, g_free, NULL);
    g_hash_table_replace(kept, learned, learned);
    bool full = g_hash_table_size(kept) >= KEPT_MOST;
    g_mutex_unlock(&lock);
    if (full)
        sizes_flush(cache);
}

void sizes_remove(struct cache *cache, uint64_t object, uint16_t number)
{
    struct learned key = {cache, object, number, 0};
    g_mutex_lock(&lock);
    if (kept != NULL)
        g_hash_table_remove(kept, &key);
    g_mutex_unlock(&lock);
    g_autoptr(cache_txn) txn = cache_txn_write(cache);
    if (cache_size_remove(txn, object, number) == CACHE_OK)
        cache_txn_commit(g_steal_pointer(&txn));
}
