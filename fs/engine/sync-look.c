/* What a sync does when everybody has his answer: it compares what the server did not say. */
#include <stdlib.h>
#include <string.h>

#include "fs/engine/sync.h"
#include "fs/engine/watch.h"

#define HOUR_US ((gint64)3600 * G_USEC_PER_SEC)
#define DAY_S (24 * 3600)
/* UIDs of one command. */
#define PIECE 5000

static char *look_note(uint32_t folder)
{
    return g_strdup_printf("compared.%u", folder);
}

int sync_look_note(const struct sync *sync, struct cache_txn *txn)
{
    g_autofree char *key = look_note(sync->job.folder);
    g_autofree char *now =
        g_strdup_printf("%" G_GINT64_FORMAT, sync->job.engine->clock->wall() / G_USEC_PER_SEC);
    return cache_note_put(txn, key, now);
}

static void look_write_note(struct sync *sync)
{
    struct cache_txn *txn = cache_txn_write(sync->job.engine->cache);
    if (sync_look_note(sync, txn) == CACHE_OK)
        cache_txn_commit(txn);
    else
        cache_txn_end(txn);
}

/* Seconds of the wall clock since everything was compared, -1: never. */
static gint64 look_age(const struct engine *engine, uint32_t folder)
{
    g_autofree char *key = look_note(folder);
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *text = NULL;
    if (cache_note_get(txn, key, &text) != CACHE_OK)
        return -1;
    gint64 then = g_ascii_strtoll(text, NULL, 10);
    return MAX(engine->clock->wall() / G_USEC_PER_SEC - then, 0);
}

static bool look_hour(const struct engine *engine, const struct sync_memory *memory)
{
    return memory->looked_us == 0 || engine_now(engine) - memory->looked_us >= HOUR_US;
}

static bool folder_has_messages(const struct engine *engine, uint32_t folder)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_get(txn, folder, &mailbox) == CACHE_OK &&
           (mailbox.flags & CACHE_MAILBOX_COMPLETE) != 0 && mailbox.count > 0;
}

bool sync_look_waits(struct engine *engine, uint32_t folder)
{
    if (!folder_has_messages(engine, folder))
        return false;
    const struct sync_memory *memory = sync_memory(engine, folder);
    return (memory->partly && look_hour(engine, memory)) || look_age(engine, folder) >= DAY_S;
}

/* The first list that there is has just been fetched: that was a comparison. */
static bool look_is_due(struct sync *sync)
{
    struct engine *engine = sync->job.engine;
    const struct sync_memory *memory = sync_memory(engine, sync->job.folder);
    if (!sync->complete || sync->last == 0 || !watch_in_use(engine, sync->job.folder))
        return false;
    gint64 age = look_age(engine, sync->job.folder);
    if (age < 0)
        look_write_note(sync);
    sync->whole_look = age >= DAY_S;
    return sync->whole_look || (sync->flags_partly && look_hour(engine, memory));
}

static void look_send(struct sync *sync)
{
    struct sync_memory *memory = sync_memory(sync->job.engine, sync->job.folder);
    uint32_t first = MAX(memory->look_next, 1);
    uint32_t last = sync->look_last - first < PIECE ? sync->look_last : first + PIECE - 1;
    g_autoptr(imap_uidset) uids = imap_uidset_new();
    imap_uidset_add(uids, first, last);
    const struct imap_fetch_request request = {.items = IMAP_ITEM_UID | IMAP_ITEM_FLAGS};
    memory->look_next = last + 1;
    job_send_fetch(&sync->job, SYNC_LOOK, uids, &request, 0);
}

bool sync_look(struct sync *sync)
{
    if (!look_is_due(sync))
        return false;
    struct sync_memory *memory = sync_memory(sync->job.engine, sync->job.folder);
    job_answer_early(&sync->job, ENGINE_OK);
    sync->looking = sync->job.ahead = true;
    sync->reconciled = false;
    sync->look_last = sync->last;
    sync->look_changes = mirror_changes(sync->mirror);
    g_clear_pointer(&sync->listed, imap_uidset_free);
    if (sync->whole_look) {
        memory->look_next = 1;
        job_send_search(&sync->job, SYNC_SEARCH, 1, 0);
    }
    if (memory->look_next > sync->look_last)
        memory->look_next = 1;
    look_send(sync);
    return true;
}

/* Whether another wants the mailbox's list now. */
static bool look_yields(const struct sync *sync)
{
    g_autofree char *key = g_strdup_printf("M%u", sync->job.folder);
    return g_hash_table_contains(sync->job.engine->jobs, key);
}

static void look_end(struct sync *sync)
{
    struct sync_memory *memory = sync_memory(sync->job.engine, sync->job.folder);
    uint64_t found = mirror_changes(sync->mirror) - sync->look_changes;
    memory->looked_us = engine_now(sync->job.engine);
    memory->look_next = 0;
    sync->flags_partly = memory->partly = false;
    if (sync->whole_look)
        look_write_note(sync);
    if (sync->whole_look && found > 0 && sync->tier != SYNC_PLAIN)
        sync_tier_lower(sync, "a comparison found what the server did not tell");
    sync_seal(sync);
    job_end(&sync->job, ENGINE_OK);
}

void sync_look_next(struct sync *sync)
{
    const struct sync_memory *memory = sync_memory(sync->job.engine, sync->job.folder);
    if (sync->whole_look && sync->listed != NULL && !sync->reconciled) {
        sync->reconciled = true;
        if (sync_reconcile(sync) == ENGINE_OK)
            sync_batch_send(sync);
    }
    bool more = memory->look_next <= sync->look_last && memory->look_next > 0;
    bool yields = (more || sync->job.in_flight > 0) && look_yields(sync);
    if (mirror_flush(sync->mirror) != ENGINE_OK || yields)
        job_end(&sync->job, ENGINE_OK);
    else if (sync->job.in_flight > 0)
        return;
    else if (more)
        look_send(sync);
    else
        look_end(sync);
}
