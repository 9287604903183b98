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
