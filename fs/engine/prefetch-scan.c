/* Which mailboxes are to be whole, and what of them is not. */
#include <string.h>

#include "fs/engine/job.h"
#include "fs/engine/prefetch.h"

/* Scanning goes on in turns of so long, so that it holds nobody up. */
#define TURN_US (4 * 1000)
/* What a message takes in the cache: pages are not full, and each has its records. */
#define COST(size) ((size) + (size)*2 / 5 + 1024)
#define PATH_MOST 4096

/* ---- patterns -------------------------------------------------------------------------------- */

static bool path_matches(char *const *patterns, const char *path)
{
    bool some = false, matched = false;
    for (char *const *at = patterns; *at != NULL; at++) {
        bool exclude = **at == '!';
        bool hit = g_pattern_match_simple(exclude ? *at + 1 : *at, path);
        if (exclude && hit)
            return false;
        some = some || !exclude;
        matched = matched || (!exclude && hit);
    }
    return matched || !some;
}

static void keep_match(struct engine *engine, const struct cache_mailbox *mailbox, const char *path)
{
    bool kept = (mailbox->flags & CACHE_MAILBOX_NOSELECT) == 0 &&
                path_matches(engine->account->prefetch, path);
    if (!kept)
        return;
    struct keep *keep = prefetch_keep(engine, mailbox->slot);
    if (keep->shown.kept)
        return;
    struct engine_prefetch shown = keep->shown;
    shown.kept = true;
    prefetch_show(engine, keep, &shown);
    keep->due = true;
}

struct level {
    uint32_t slot;
    char *path;
};

static void level_clear(void *data)
{
    g_free(((struct level *)data)->path);
}

/* All mailboxes, a level of the tree after the other. */
void prefetch_match(struct engine *engine)
{
    engine->prefetch->folders_due = false;
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    g_autoptr(GArray) levels = g_array_new(FALSE, FALSE, sizeof(struct level));
    g_array_set_clear_func(levels, level_clear);
    struct level root = {0, g_strdup("")};
    g_array_append_val(levels, root);
    for (guint i = 0; i < levels->len; i++) {
        struct level level = g_array_index(levels, struct level, i);
        struct cache_mailbox mailbox = {0};
        while (cache_mailbox_next(txn, level.slot, mailbox.slot, &mailbox) == CACHE_OK) {
            struct level child = {
                mailbox.slot,
                g_strconcat(level.path, level.path[0] != '\0' ? "/" : "", mailbox.name, NULL)};
            keep_match(engine, &mailbox, child.path);
            if (strlen(child.path) <= PATH_MOST && mailbox.slot != level.slot)
                g_array_append_val(levels, child);
            else
                g_free(child.path);
        }
    }
}

/* ---- scanning -------------------------------------------------------------------------------- */

/* Whether the bytes of a message are all there; those that are count as used, if the cache is
 * getting full. */
static bool scan_has_bytes(struct engine *engine, uint64_t object, bool touch)
{
    uint64_t size;
    if (cache_content_size(engine->cache, object, "", &size) != CACHE_OK || size > SIZE_MAX / 2 ||
        cache_content_have(engine->cache, object, "", 0, (size_t)size) != size)
        return false;
    if (touch)
        cache_content_touch(engine->cache, object, "", size);
    return true;
}

static void scan_message(struct engine *engine, struct cache_txn *txn,
                         const struct cache_message *message, bool touch)
{
    struct prefetch *prefetch = engine->prefetch;
    struct engine_prefetch *counts = &prefetch->counts;
    struct cache_parts parts;
    bool bytes = scan_has_bytes(engine, message->object, touch);
    bool tree = cache_parts_get(txn, message->object, &parts) == CACHE_OK;
    struct lack lack = {
        .uid = message->uid,
        .size = bytes ? 0 : (uint32_t)CLAMP(message->size, 1, UINT32_MAX),
        .before = prefetch->cost,
    };
    prefetch->cost += COST(MIN(message->size, UINT64_MAX / 4));
    counts->messages++;
    counts->bytes += message->size;
    counts->messages_done += bytes && tree;
    counts->bytes_done += bytes ? message->size : 0;
    if (!bytes || !tree)
        g_array_append_val(prefetch->lacks, lack);
}

static bool scan_some(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    gint64 until = g_get_monotonic_time() + TURN_US;
    bool touch = cache_content_used(engine->cache) > engine->account->cache_size / 2;
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_message message;
    do {
        if (prefetch->messages == 0 ||
            cache_message_next(txn, prefetch->messages, prefetch->scan_from, &message) != CACHE_OK)
            return false;
        scan_message(engine, txn, &message, touch);
        if (message.uid == UINT32_MAX)
            return false;
        prefetch->scan_from = message.uid + 1;
    } while (g_get_monotonic_time() < until);
    return true;
}

/* What the other mailboxes take that are to stay. */
static uint64_t prefetch_others(const struct engine *engine)
{
    const struct prefetch *prefetch = engine->prefetch;
    uint64_t sum = 0;
    for (guint i = 0; i < prefetch->keeps->len; i++) {
        const struct keep *keep = prefetch->keeps->pdata[i];
        if (keep != prefetch->now && keep->shown.kept)
            sum += keep->cost;
    }
    return sum;
}

/* Drops the oldest, until what is left fits. */
static void scan_fit(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    uint64_t room = cache_content_room(engine->cache), others = prefetch_others(engine);
    room = room > others ? room - others : 0;
    guint drop = 0;
    while (drop < prefetch->lacks->len &&
           prefetch->cost - g_array_index(prefetch->lacks, struct lack, drop).before > room)
        drop++;
    prefetch->small = prefetch->cost > room && drop > 0;
    if (drop > 0)
        g_array_remove_range(prefetch->lacks, 0, drop);
    prefetch->now->cost = MIN(prefetch->cost, room);
}

static gboolean scan_turn(gpointer data)
{
    struct engine *engine = data;
    struct prefetch *prefetch = engine->prefetch;
    if (!prefetch->scanning || g_atomic_int_get(&engine->stopping)) {
        prefetch->scan_posted = false;
        return G_SOURCE_REMOVE;
    }
    if (scan_some(engine))
        return G_SOURCE_CONTINUE;
    prefetch->scan_posted = prefetch->scanning = false;
    scan_fit(engine);
    prefetch_scanned(engine);
    return G_SOURCE_REMOVE;
}

static bool scan_load(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, prefetch->now->shown.folder, &mailbox) != CACHE_OK)
        return false;
    g_free(prefetch->mailbox);
    prefetch->mailbox = g_strdup(mailbox.wire);
    prefetch->messages = mailbox.messages;
    prefetch->uidvalidity = mailbox.uidvalidity;
    return true;
}

void prefetch_scan(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    if (!scan_load(engine)) {
        prefetch_over(engine, ENGINE_PREFETCH_FAILED, ENGINE_GONE);
        return;
    }
    prefetch->now->due = false;
    prefetch->scanning = true;
    prefetch->scan_from = 1;
    prefetch->cost = 0;
    prefetch->counts = (struct engine_prefetch){
        .folder = prefetch->now->shown.folder,
        .kept = prefetch->now->shown.kept,
    };
    g_array_set_size(prefetch->lacks, 0);
    g_array_set_size(prefetch->odd, 0);
    if (!prefetch->scan_posted)
        engine_post(engine->context, scan_turn, engine, NULL);
    prefetch->scan_posted = true;
}
