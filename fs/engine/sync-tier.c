/* How changes are asked for, and when the server is not believed. */
#include <string.h>

#include "fs/engine/sync.h"

#define LOWERED_US ((gint64)24 * 3600 * G_USEC_PER_SEC)
/* Tier 3 asks for the flags of so many at each look. */
#define NEWEST 1000

struct sync_memory *sync_memory(struct engine *engine, uint32_t folder)
{
    struct sync_memory *memory = g_hash_table_lookup(engine->syncs, GUINT_TO_POINTER(folder));
    if (memory == NULL) {
        memory = g_new0(struct sync_memory, 1);
        g_hash_table_insert(engine->syncs, GUINT_TO_POINTER(folder), memory);
    }
    return memory;
}

/* Its VANISHED is malformed and its sequence numbers are wrong. */
static bool host_fails_qresync(const struct engine *engine)
{
    return g_str_has_suffix(engine->account->host, ".mail.me.com");
}

enum sync_tier sync_tier_choose(struct sync *sync)
{
    struct engine *engine = sync->job.engine;
    const struct imap_session *session = sync->job.line->session;
    const struct sync_memory *memory = sync_memory(engine, sync->job.folder);
    enum sync_tier best = SYNC_PLAIN;
    if (sync->stored_modseq != 0 && (imap_session_capabilities(session) & IMAP_CAP_CONDSTORE) != 0)
        best = SYNC_CONDSTORE;
    if (sync->stored_modseq != 0 && sync->stored_uidvalidity != 0 && sync->complete &&
        sync->last > 0 && imap_session_qresync(session) && !host_fails_qresync(engine))
        best = SYNC_QRESYNC;
    return engine_now(engine) < memory->lowered_until_us ? MAX(best, memory->tier) : best;
}

void sync_tier_lower(struct sync *sync, const char *why)
{
    static const char *const NAMES[] = {
        [SYNC_QRESYNC] = "QRESYNC", [SYNC_CONDSTORE] = "CONDSTORE", [SYNC_PLAIN] = "its flags"};
    struct sync_memory *memory = sync_memory(sync->job.engine, sync->job.folder);
    g_message("%s: %s; the server is not asked by %s here for a day", sync->job.mailbox, why,
              NAMES[sync->tier]);
    memory->tier = MIN(sync->tier + 1, SYNC_PLAIN);
    memory->lowered_until_us = engine_now(sync->job.engine) + LOWERED_US;
}

void sync_resync(struct sync *sync)
{
    g_autoptr(imap_uidset) known = imap_uidset_new();
    imap_uidset_add(known, 1, sync->last);
    const struct imap_resync resync = {
        .uidvalidity = sync->stored_uidvalidity,
        .modseq = sync->stored_modseq,
        .known = known,
    };
    sync->mirror = mirror_new(sync->job.engine, sync->job.folder, sync->stored_uidvalidity);
    if (sync->mirror != NULL)
        mirror_set_whole(sync->mirror);
    sync->resyncing = sync->mirror != NULL;
    job_send_resync(&sync->job, SYNC_EXAMINE, &resync);
}

/* The records there are between two UIDs. */
static void range_collect(struct sync *sync, const struct imap_range *range, GArray *uids)
{
    g_autoptr(cache_txn) txn = cache_txn_read(sync->job.engine->cache);
    struct cache_message message;
    uint32_t from = range->first;
    while (cache_message_next(txn, sync->messages, from, &message) == CACHE_OK &&
           message.uid <= range->last) {
        g_array_append_val(uids, message.uid);
        if (message.uid == UINT32_MAX)
            return;
        from = message.uid + 1;
    }
}

bool sync_is_resynced(const struct sync *sync)
{
    const struct imap_session *session = sync->job.line->session;
    return sync->resyncing && !sync->examined && imap_session_opening(session) &&
           imap_session_state(session)->uidvalidity == sync->stored_uidvalidity;
}

void sync_vanished(struct job *job, const struct imap_uidset *uids)
{
    struct sync *sync = (struct sync *)job;
    if (!sync_is_resynced(sync))
        return;
    g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    const struct imap_range *ranges;
    size_t count = imap_uidset_ranges(uids, &ranges);
    for (size_t i = 0; i < count && ranges[i].first <= sync->last; i++)
        range_collect(sync, &ranges[i], gone);
    for (guint i = 0; i < gone->len; i++)
        mirror_remove(sync->mirror, g_array_index(gone, uint32_t, i));
}

/* What is told with lower ones from now on is no old news. */
static bool message_forget_modseq(struct cache_txn *txn, uint32_t messages, uint32_t uid)
{
    struct cache_message message;
    if (cache_message_get(txn, messages, uid, &message) != CACHE_OK || message.modseq == 0)
        return true;
    message.modseq = 0;
    return cache_message_put(txn, messages, &message) == CACHE_OK;
}

static bool record_forget_modseq(struct sync *sync, struct cache_txn *txn,
                                 struct cache_mailbox *mailbox)
{
    struct cache_message message;
    bool done = true;
    for (uint32_t uid = 1;
         done && cache_message_next(txn, sync->messages, uid, &message) == CACHE_OK;
         uid = message.uid + 1) {
        done = message_forget_modseq(txn, sync->messages, message.uid);
        if (message.uid == UINT32_MAX)
            break;
    }
    mailbox->highestmodseq = 0;
    return done;
}

enum engine_error sync_doubt_modseq(struct sync *sync)
{
    if (sync->stale || sync->state.highestmodseq >= sync->stored_modseq)
        return ENGINE_OK;
    enum engine_error error = sync_record(sync, record_forget_modseq);
    if (error != ENGINE_OK || !sync->complete || sync->tier == SYNC_PLAIN || sync->last == 0)
        return error;
    if (sync->state.highestmodseq != 0) {
        sync->tier = SYNC_CONDSTORE;
        sync_tier_lower(sync, "HIGHESTMODSEQ went back");
    } else if (sync->tier == SYNC_CONDSTORE) {
        return ENGINE_OK; /* CHANGEDSINCE is refused, which says the same */
    }
    sync->tier = SYNC_PLAIN;
    sync_ask_flags(sync);
    return ENGINE_OK;
}

/* The UID from which on there are about NEWEST records: guessed as if UIDs were spread evenly, and
 * then counted, so that a big mailbox is not walked from its start. */
static uint32_t sync_newest(struct sync *sync)
{
    if (sync->had <= NEWEST)
        return 1;
    uint64_t span = (uint64_t)sync->last * NEWEST / sync->had;
    const struct imap_range range = {sync->last - (uint32_t)MIN(span, sync->last - 1), sync->last};
    g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    range_collect(sync, &range, uids);
    return uids->len <= NEWEST ? range.first : g_array_index(uids, uint32_t, uids->len - NEWEST);
}

void sync_ask_flags(struct sync *sync)
{
    bool all = sync->tier != SYNC_PLAIN || !sync->complete;
    uint32_t first = all ? 1 : sync_newest(sync);
    g_autoptr(imap_uidset) uids = imap_uidset_new();
    imap_uidset_add(uids, first, sync->last);
    struct imap_fetch_request request = {.items = IMAP_ITEM_UID | IMAP_ITEM_FLAGS};
    if (sync->tier == SYNC_CONDSTORE)
        request.changed_since = sync->stored_modseq;
    sync->flags_partly = first > 1;
    sync_memory(sync->job.engine, sync->job.folder)->partly = sync->flags_partly;
    job_send_fetch(&sync->job, SYNC_FLAGS, uids, &request, 0);
}
