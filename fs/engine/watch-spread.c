/* Syncs and lines for the mailboxes in use, which nothing that the server said asks for. */
#include "fs/engine/sync.h"
#include "fs/engine/watch-private.h"

#define SECOND ((gint64)G_USEC_PER_SEC)
/* Of the mailboxes in use whose flags no STATUS tells of, a poll looks at those opened last and at
 * some of the others in turn. */
#define FLAGS_LAST 10
#define FLAGS_TURN 5
/* Whether a look is due is asked so often. */
#define LOOK_US (60 * SECOND)

/* ---- a line for each mailbox in use -----------------------------------------------------------
 */

static bool folder_has_line(const struct engine *engine, uint32_t folder)
{
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        const struct line *line = engine->pool.lines->pdata[i];
        if (line->folder == folder && !line->doomed)
            return true;
    }
    return false;
}

/* How many lines nobody watches by. */
static guint watch_spare(const struct engine *engine)
{
    guint spare = 0;
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        const struct line *line = engine->pool.lines->pdata[i];
        spare += !line->doomed && !watch_in_use(engine, line->folder);
    }
    return spare;
}

static gint used_order(gconstpointer a, gconstpointer b, gpointer data)
{
    gint64 one = watch_used_us(data, GPOINTER_TO_UINT(a));
    gint64 other = watch_used_us(data, GPOINTER_TO_UINT(b));
    return (one < other) - (one > other);
}

static GList *watch_folders(struct engine *engine)
{
    GHashTableIter iter;
    gpointer folder;
    GList *folders = NULL;
    g_hash_table_iter_init(&iter, engine->watch->used);
    while (g_hash_table_iter_next(&iter, &folder, NULL)) {
        if (watch_in_use(engine, GPOINTER_TO_UINT(folder)))
            folders = g_list_prepend(folders, folder);
        else
            g_hash_table_iter_remove(&iter);
    }
    return g_list_sort_with_data(folders, used_order, engine);
}

/* Whether lines for more than one mailbox are worth it: without IDLE they hear nothing, with NOTIFY
 * one hears of all. */
static bool watch_wants_lines(const struct engine *engine)
{
    const struct pool *pool = &engine->pool;
    if (pool->lines->len == 0 || pool->failing || watch_notifier(engine) != NULL)
        return false;
    return watch_may_idle(pool->lines->pdata[0]);
}

void watch_ended(struct engine *engine, uint32_t folder, enum engine_error error)
{
    if (error != ENGINE_OK && !engine->pool.failing)
        rest_refused(&sync_memory(engine, folder)->rest, engine);
}

static bool folder_rests(struct engine *engine, uint32_t folder)
{
    return rest_lasts(&sync_memory(engine, folder)->rest, engine);
}

/* Whether a sync of it may be begun that nothing asks for. */
static bool watch_may_sync(struct engine *engine, gpointer folder)
{
    return !g_hash_table_contains(engine->watch->syncing, folder) &&
           !folder_rests(engine, GPOINTER_TO_UINT(folder));
}

/* The mailboxes opened last get a line each, one short of the cap. One that rests takes none. */
void watch_spread(struct engine *engine, gint64 now)
{
    if (!watch_wants_lines(engine))
        return;
    guint most = MAX(engine->pool.cap, 2) - 1;
    g_autoptr(GList) folders = watch_folders(engine);
    guint at = 0;
    for (GList *each = folders; each != NULL && at < most; each = each->next) {
        uint32_t folder = GPOINTER_TO_UINT(each->data);
        bool has_line = folder_has_line(engine, folder);
        if (!has_line && folder_rests(engine, folder))
            continue;
        at++;
        if (has_line || g_hash_table_contains(engine->watch->syncing, each->data) ||
            now - watch_used_us(engine, folder) < WATCH_REST_US || !watch_is_kept(engine, folder))
            continue;
        if (watch_spare(engine) > 0)
            watch_sync(engine, folder);
        else if (engine->pool.lines->len < most + 1)
            pool_open(engine);
        return;
    }
}

static void watch_sync_once(struct engine *engine, gpointer folder)
{
    if (watch_may_sync(engine, folder))
        watch_sync(engine, GPOINTER_TO_UINT(folder));
}

static gint slot_order(gconstpointer a, gconstpointer b)
{
    guint one = GPOINTER_TO_UINT(*(const gconstpointer *)a);
    guint other = GPOINTER_TO_UINT(*(const gconstpointer *)b);
    return (one > other) - (one < other);
}

/* The next few by their slots, which stay the same whatever is opened meanwhile. */
static void watch_sync_turn(struct engine *engine, GPtrArray *folders)
{
    guint first = 0;
    g_ptr_array_sort(folders, slot_order);
    while (first < folders->len && GPOINTER_TO_UINT(folders->pdata[first]) <= engine->watch->turn)
        first++;
    for (guint i = 0; i < MIN(folders->len, FLAGS_TURN); i++) {
        gpointer folder = folders->pdata[(first + i) % folders->len];
        watch_sync_once(engine, folder);
        engine->watch->turn = GPOINTER_TO_UINT(folder);
    }
}

void watch_sync_flags(struct engine *engine)
{
    g_autoptr(GList) folders = watch_folders(engine);
    g_autoptr(GPtrArray) others = g_ptr_array_new();
    guint last = 0;
    for (GList *each = folders; each != NULL; each = each->next) {
        if (watch_has_modseq(engine, GPOINTER_TO_UINT(each->data)))
            continue;
        if (last++ < FLAGS_LAST)
            watch_sync_once(engine, each->data);
        else
            g_ptr_array_add(others, each->data);
    }
    watch_sync_turn(engine, others);
}

/* What no sync comes for, since all is told, is compared all the same when it is time. */
void watch_look(struct engine *engine, gint64 now)
{
    struct watch *watch = engine->watch;
    if (watch->looked_us != 0 && now - watch->looked_us < LOOK_US)
        return;
    watch->looked_us = now;
    g_autoptr(GList) folders = watch_folders(engine);
    for (GList *each = folders; each != NULL; each = each->next)
        if (watch_may_sync(engine, each->data) &&
            sync_look_waits(engine, GPOINTER_TO_UINT(each->data)))
            watch_sync(engine, GPOINTER_TO_UINT(each->data));
}
