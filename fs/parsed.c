#include "fs/parsed.h"

struct parsed {
    const struct cache *cache; /* with `object`: which message */
    uint64_t object;
    struct mime_message *message; /* NULL: a free place */
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

static struct parsed *add(const struct cache *cache, uint64_t object, GBytes *raw)
{
    struct parsed *oldest = &kept[0];
    for (unsigned i = 1; i < KEPT; i++)
        if (kept[i].used < oldest->used)
            oldest = &kept[i];
    g_clear_pointer(&oldest->message, mime_message_free);
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
    *bytes = mime_message_part(parsed->message, part);
    return true;
}

void parsed_clear(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    for (unsigned i = 0; i < KEPT; i++)
        g_clear_pointer(&kept[i].message, mime_message_free);
}
