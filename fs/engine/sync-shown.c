/* Which lists are fetched for the first time: what takes long, and is asked about. */
#include "fs/engine/sync.h"

/* The place of a mailbox among them; their number: it is not there. Under the lock. */
static guint listing_place(const struct engine *engine, uint32_t folder)
{
    guint count = engine->listings != NULL ? engine->listings->len : 0;
    for (guint i = 0; i < count; i++)
        if (g_array_index(engine->listings, struct engine_listing, i).folder == folder)
            return i;
    return count;
}

void sync_show(struct sync *sync, uint64_t messages)
{
    struct engine *engine = sync->job.engine;
    const struct engine_listing listing = {sync->job.folder, messages};

    sync_show_no_more(sync);
    g_mutex_lock(&engine->lock);
    if (engine->listings == NULL)
        engine->listings = g_array_new(FALSE, FALSE, sizeof listing);
    g_array_append_val(engine->listings, listing);
    g_mutex_unlock(&engine->lock);
}

void sync_show_no_more(struct sync *sync)
{
    struct engine *engine = sync->job.engine;

    g_mutex_lock(&engine->lock);
    guint place = listing_place(engine, sync->job.folder);
    if (engine->listings != NULL && place < engine->listings->len)
        g_array_remove_index(engine->listings, place);
    g_mutex_unlock(&engine->lock);
}

GArray *engine_listings_read(struct engine *engine)
{
    GArray *copy = g_array_new(FALSE, FALSE, sizeof(struct engine_listing));

    g_mutex_lock(&engine->lock);
    if (engine->listings != NULL)
        g_array_append_vals(copy, engine->listings->data, engine->listings->len);
    g_mutex_unlock(&engine->lock);
    return copy;
}

/* The first record from `uid` on, 0: none; `*name` is replaced. */
static uint32_t record_from(const struct sync *sync, uint32_t uid, char **name)
{
    g_autoptr(cache_txn) txn = cache_txn_read(sync->job.engine->cache);
    struct cache_message message;
    if (cache_message_next(txn, sync->messages, uid, &message) != CACHE_OK)
        return 0;
    g_free(*name);
    *name = g_strdup(message.name);
    return message.uid;
}

/* Not before content is bound to them again: so who is told knows them by their objects. */
void sync_tell_renumbered(struct sync *sync)
{
    struct engine *engine = sync->job.engine;
    const struct engine_events *events = engine->events;
    struct sync_memory *memory = sync_memory(engine, sync->job.folder);
    if (!memory->renumbered)
        return;
    memory->renumbered = false;
    if (events == NULL || events->message_arrived == NULL)
        return;
    g_autofree char *name = NULL;
    for (uint32_t uid = 1; (uid = record_from(sync, uid, &name)) != 0; uid++) {
        events->message_arrived(sync->job.folder, sync->messages, uid, name, engine->events_data);
        if (uid == UINT32_MAX)
            return;
    }
}
