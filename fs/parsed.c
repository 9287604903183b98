#include "fs/parsed.h"

#include <string.h>

#include "fs/node.h"

/* So much memory is kept at most, with the newest whatever it takes: that is bounded by how many
 * entities are looked at. */
#define KEPT_BYTES (4u << 20)

struct parsed {
    gatomicrefcount references;
    /* fixed */
    const struct cache *cache; /* with `object`: which message */
    uint64_t object;
    size_t weight;
    GMutex lock; /* over the use of: */
    struct mime_message *message;
    struct mime_tree *tree; /* NULL: not asked for yet */
};

static GQueue kept = G_QUEUE_INIT; /* newest first; each holds a reference */
static size_t kept_bytes;
static GMutex lock; /* over the two */

static void parsed_unref(struct parsed *parsed)
{
    if (!g_atomic_ref_count_dec(&parsed->references))
        return;
    g_clear_pointer(&parsed->tree, mime_tree_free);
    g_clear_pointer(&parsed->message, mime_message_free);
    g_mutex_clear(&parsed->lock);
    g_free(parsed);
}

static void drop_oldest(void)
{
    struct parsed *parsed = g_queue_pop_tail(&kept);
    kept_bytes -= parsed->weight;
    parsed_unref(parsed);
}

static struct parsed *find(const struct cache *cache, uint64_t object)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    for (GList *at = kept.head; at != NULL; at = at->next) {
        struct parsed *parsed = at->data;
        if (parsed->cache != cache || parsed->object != object)
            continue;
        g_queue_unlink(&kept, at);
        g_queue_push_head_link(&kept, at);
        g_atomic_ref_count_inc(&parsed->references);
        return parsed;
    }
    return NULL;
}

/* Two who parse the same message at once keep one each; the older goes first. */
static struct parsed *add(const struct cache *cache, uint64_t object, GBytes *raw)
{
    struct parsed *parsed = g_new0(struct parsed, 1);
    g_atomic_ref_count_init(&parsed->references);
    g_atomic_ref_count_inc(&parsed->references); /* one for `kept`, one for the caller */
    g_mutex_init(&parsed->lock);
    parsed->cache = cache;
    parsed->object = object;
    parsed->message = mime_message_parse(raw);
    mime_message_forget(parsed->message);
    parsed->weight = 2 * mime_message_weight(parsed->message); /* the tree takes as much */

    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    g_queue_push_head(&kept, parsed);
    kept_bytes += parsed->weight;
    while (kept.length > 1 && kept_bytes > KEPT_BYTES)
        drop_oldest();
    return parsed;
}

static bool is_same(const struct cache_part *a, const struct cache_part *b)
{
    return a->kind == b->kind && a->encoding == b->encoding && a->octets == b->octets &&
           strcmp(a->section, b->section) == 0 && strcmp(a->type, b->type) == 0;
}

/* Whether our own count of the message has the very part that the server's structure announced. */
static bool has_same(struct parsed *parsed, const struct cache_part *part)
{
    if (parsed->tree == NULL)
        parsed->tree = mime_message_tree(parsed->message, NODE_PART_FIRST);
    for (guint i = 0; i < parsed->tree->parts->len; i++)
        if (is_same(&g_array_index(parsed->tree->parts, struct cache_part, i), part))
            return true;
    return false;
}

bool parsed_part(const struct cache *cache, uint64_t object, GBytes *raw,
                 const struct cache_part *part, struct parsed_extent *extent)
{
    *extent = (struct parsed_extent){0};
    struct parsed *parsed = find(cache, object);
    if (parsed == NULL && raw == NULL)
        return false;
    if (parsed == NULL)
        parsed = add(cache, object, raw);
    size_t offset = 0, length = 0;
    g_mutex_lock(&parsed->lock);
    bool ours = (part->flags & CACHE_PART_LOCAL) != 0 || has_same(parsed, part);
    bool found = ours && mime_message_extent(parsed->message, part, &offset, &length);
    g_mutex_unlock(&parsed->lock);
    *extent = (struct parsed_extent){found, offset, length};
    parsed_unref(parsed);
    return true;
}

void parsed_clear(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    while (kept.length > 0)
        drop_oldest();
}
