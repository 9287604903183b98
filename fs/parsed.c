#include "fs/parsed.h"

#include <string.h>

#include "fs/node.h"

struct parsed {
    const struct cache *cache; /* with `object`: which message */
    uint64_t object;
    struct mime_message *message; /* NULL: a free place */
    struct mime_tree *tree;       /* of it; NULL: not asked for yet */
    gint64 used;
};
enum { KEPT = 4 };
static struct parsed kept[KEPT];
static GMutex lock; /* over `kept`, and the use of the messages in it */

static struct parsed *find(const struct cache *cache, uint64_t object)
{
    for (unsigned i = 0; i < KEPT; i++)
        if (kept[i].message != NULL && kept[i].cache == cache && kept[i].object == object)
            return &kept[i];
    return NULL;
}

static void drop(struct parsed *parsed)
{
    g_clear_pointer(&parsed->tree, mime_tree_free);
    g_clear_pointer(&parsed->message, mime_message_free);
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

static struct parsed *add(const struct cache *cache, uint64_t object, GBytes *raw)
{
    struct parsed *oldest = &kept[0];
    for (unsigned i = 1; i < KEPT; i++)
        if (kept[i].used < oldest->used)
            oldest = &kept[i];
    drop(oldest);
    *oldest = (struct parsed){.cache = cache, .object = object, .message = mime_message_parse(raw)};
    return oldest;
}

bool parsed_part(const struct cache *cache, uint64_t object, GBytes *raw,
                 const struct cache_part *part, GBytes **bytes)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    struct parsed *parsed = find(cache, object);
    if (parsed == NULL && raw == NULL)
        return false;
    if (parsed == NULL)
        parsed = add(cache, object, raw);
    parsed->used = g_get_monotonic_time();
    bool ours = (part->flags & CACHE_PART_LOCAL) != 0 || has_same(parsed, part);
    *bytes = ours ? mime_message_part(parsed->message, part) : NULL;
    return true;
}

void parsed_clear(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    for (unsigned i = 0; i < KEPT; i++)
        drop(&kept[i]);
}
