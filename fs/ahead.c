#include "fs/ahead.h"

#include "fs/content.h"

/* Messages opened in a row before anything is fetched on suspicion, then how many bytes and
 * messages are kept under way, doubling from first to most. */
#define ROW_FIRST 3
#define BYTES_FIRST (256u << 10)
#define BYTES_MOST (4u << 20)
#define MESSAGES_MOST 200
/* For readers of parts only messages of which most is wanted, probably. */
#define PARTS_MOST (64u << 10)
/* Messages looked at in one go; most may be in the cache already. */
#define LOOKED_MOST 400

/* One reader's walk through a folder. */
struct walk {
    const struct cache *cache; /* with `messages`: which folder; NULL: free */
    uint32_t messages;
    uint32_t last;  /* UID opened last */
    uint32_t asked; /* asked for up to this UID */
    unsigned row;
    uint64_t window;
    gint64 used;
};
enum { WALKS = 8 };
static struct walk walks[WALKS];
static GMutex lock; /* over `walks` */

static struct walk *walk_of(const struct place *place)
{
    struct walk *oldest = &walks[0];
    for (unsigned i = 0; i < WALKS; i++) {
        if (walks[i].cache == place->account->cache && walks[i].messages == place->node.slot)
            return &walks[i];
        if (walks[i].used < oldest->used)
            oldest = &walks[i];
    }
    *oldest = (struct walk){.cache = place->account->cache, .messages = place->node.slot};
    return oldest;
}

static bool is_next(const struct place *place, uint32_t last)
{
    struct cache_message message;
    return last != 0 && last < place->node.uid &&
           cache_message_next(place->txn, place->node.slot, last + 1, &message) == CACHE_OK &&
           message.uid == place->node.uid;
}

static bool is_here(const struct place *place, uint64_t object)
{
    uint64_t size;
    return cache_content_size(place->account->cache, object, "", &size) == CACHE_OK;
}

/* Asks for messages after `from` until `bytes` are asked for; returns the last UID looked at. */
static uint32_t ask(const struct place *place, uint32_t from, uint64_t bytes)
{
    struct cache_message message;
    uint64_t limit = place->kind == PLACE_MESSAGE ? CONTENT_WHOLE_MAX : PARTS_MOST, sum = 0;
    unsigned asked = 0;
    for (unsigned i = 0; i < LOOKED_MOST && asked < MESSAGES_MOST && sum < bytes; i++) {
        if (from == UINT32_MAX ||
            cache_message_next(place->txn, place->node.slot, from + 1, &message) != CACHE_OK)
            return UINT32_MAX;
        from = message.uid;
        if (message.size > limit || is_here(place, message.object))
            continue;
        struct engine_wish wish = {
            .want = ENGINE_BYTES,
            .messages = place->node.slot,
            .uid = message.uid,
            .section = "",
            .length = message.size + 1,
        };
        wish_ahead(place->account->engine, &wish);
        sum += message.size;
        asked++;
    }
    return from;
}

/* The next batch is asked for when half of the one before is read, counted in UIDs. */
static bool is_due(const struct walk *walk, uint32_t uid)
{
    return walk->asked != UINT32_MAX &&
           (walk->asked <= uid || walk->asked - uid < (walk->asked - walk->last) / 2 ||
            walk->asked - uid < MESSAGES_MOST / 4);
}

void ahead_opened(const struct place *place)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    struct walk *walk = walk_of(place);
    walk->used = g_get_monotonic_time();
    if (walk->last == place->node.uid)
        return;
    if (is_next(place, walk->last)) {
        walk->row++;
    } else {
        walk->row = 0;
        walk->asked = place->node.uid;
        walk->window = BYTES_FIRST;
    }
    walk->last = place->node.uid;
    if (walk->row < ROW_FIRST || !is_due(walk, place->node.uid))
        return;
    walk->asked = ask(place, MAX(walk->asked, place->node.uid), walk->window);
    walk->window = MIN(walk->window * 2, BYTES_MOST);
}
