#include "fs/engine/sync.h"

#include <string.h>

#include "fs/engine/push.h"
#include "fs/engine/watch.h"
#include "fs/mime.h"

#define FRESH_US G_USEC_PER_SEC

/* ---- what is stored -------------------------------------------------------------------------- */

static enum engine_error sync_prepare(struct job *job)
{
    g_autoptr(cache_txn) txn = cache_txn_read(job->engine->cache);
    struct cache_mailbox mailbox;
    if (job->folder == 0) /* the root holds no messages */
        return ENGINE_OK;
    if (cache_mailbox_get(txn, job->folder, &mailbox) != CACHE_OK)
        return ENGINE_GONE;
    job->mailbox = g_strdup(mailbox.wire);
    if (job->wish.anew)
        g_hash_table_remove(job->engine->fresh, GUINT_TO_POINTER(job->folder));
    return ENGINE_OK;
}

/* Whether the list was compared just now, or all changes since then are told. */
static bool sync_is_fresh(const struct engine *engine, uint32_t folder)
{
    const gint64 *at = g_hash_table_lookup(engine->fresh, GUINT_TO_POINTER(folder));
    return at != NULL && (engine_now(engine) - *at < FRESH_US || watch_covers(engine, folder, *at));
}

static bool sync_satisfied(struct job *job)
{
    if (job->folder == 0)
        return true;
    if (sync_is_fresh(job->engine, job->folder))
        watch_flush(job->engine, job->folder);
    bool fresh = sync_is_fresh(job->engine, job->folder); /* not if that could not be written */
    g_autoptr(cache_txn) txn = cache_txn_read(job->engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, job->folder, &mailbox) != CACHE_OK)
        return false;
    if ((mailbox.flags & CACHE_MAILBOX_NOSELECT) != 0)
        return true;
    return fresh && (mailbox.flags & CACHE_MAILBOX_COMPLETE) != 0;
}

static bool sync_cached(struct job *job)
{
    if (job->wish.anew)
        return false;
    g_autoptr(cache_txn) txn = cache_txn_read(job->engine->cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_get(txn, job->folder, &mailbox) == CACHE_OK &&
           (mailbox.flags & (CACHE_MAILBOX_COMPLETE | CACHE_MAILBOX_MADE)) != 0;
}

static enum engine_error sync_offline(struct job *job, enum engine_error why)
{
    return sync_cached(job) ? ENGINE_OK : why;
}

static bool sync_load(struct sync *sync)
{
    g_autoptr(cache_txn) txn = cache_txn_read(sync->job.engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, sync->job.folder, &mailbox) != CACHE_OK)
        return false;
    sync->messages = mailbox.messages;
    sync->stored_uidvalidity = mailbox.uidvalidity;
    sync->stored_modseq = mailbox.highestmodseq;
    sync->stored_synced_us = mailbox.synced_us;
    sync->complete = (mailbox.flags & CACHE_MAILBOX_COMPLETE) != 0 && mailbox.messages != 0;
    sync->last = sync->messages != 0 ? cache_message_last(txn, sync->messages) : 0;
    sync->had = sync->messages != 0 ? cache_message_count(txn, sync->messages) : 0;
    return true;
}

enum engine_error sync_record(struct sync *sync,
                              bool (*change)(struct sync *sync, struct cache_txn *txn,
                                             struct cache_mailbox *mailbox))
{
    struct cache_txn *txn = cache_txn_write(sync->job.engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, sync->job.folder, &mailbox) != CACHE_OK) {
        cache_txn_end(txn);
        return ENGINE_GONE;
    }
    if (!change(sync, txn, &mailbox)) {
        cache_txn_end(txn);
        return ENGINE_OK;
    }
    int rc = cache_mailbox_put(txn, &mailbox);
    if (rc == CACHE_OK)
        rc = cache_txn_commit(txn);
    else
        cache_txn_end(txn);
    return engine_error_of_cache(rc);
}

/* ---- another UIDVALIDITY --------------------------------------------------------------------- */

static bool record_adopt(struct sync *sync, struct cache_txn *txn, struct cache_mailbox *mailbox)
{
    mailbox->messages = sync->messages;
    mailbox->uidvalidity = sync->state.uidvalidity;
    mailbox->flags &= ~(uint32_t)CACHE_MAILBOX_COMPLETE;
    mailbox->highestmodseq = 0;
    mailbox->uidnext = 0;
    mailbox->count = 0;
    return true;
}

/* Gives the messages of this UIDVALIDITY their slot. The old ones, if any, are dropped. */
static enum engine_error sync_adopt(struct sync *sync)
{
    struct engine *engine = sync->job.engine;
    if (sync->messages != 0) {
        g_message("%s: UIDVALIDITY is %u now, was %u: listing it anew", sync->job.mailbox,
                  sync->state.uidvalidity, sync->stored_uidvalidity);
        enum engine_error error = sync_drop_records(sync);
        if (error != ENGINE_OK)
            return error;
        if (sync->complete)
            sync_memory(engine, sync->job.folder)->renumbered = true;
    }
    sync->messages =
        cache_slot_of_messages(engine->cache, sync->job.mailbox, sync->state.uidvalidity);
    if (sync->messages == 0)
        return ENGINE_CACHE;
    sync->complete = false;
    sync->last = sync->had = 0;
    sync->stored_uidvalidity = sync->state.uidvalidity;
    if (sync->state.uidvalidity == 0)
        g_hash_table_add(engine->zero, GUINT_TO_POINTER(sync->job.folder));
    return sync_record(sync, record_adopt);
}

static bool sync_is_stale(const struct sync *sync)
{
    bool zero = sync->state.uidvalidity == 0 &&
                !g_hash_table_contains(sync->job.engine->zero, GUINT_TO_POINTER(sync->job.folder));
    return sync->messages == 0 || zero || sync->state.uidvalidity != sync->stored_uidvalidity;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* EXISTS as told; what came or went while we looked is not held against the list. */
static bool sync_counts(const struct sync *sync, uint32_t records, bool exactly)
{
    uint32_t now = imap_session_state(sync->job.line->session)->exists;
    if (exactly)
        return records == sync->state.exists || records == now;
    return records >= MIN(sync->state.exists, now);
}

static uint64_t record_modseq(const struct sync *sync, const struct cache_mailbox *mailbox)
{
    bool unknown = sync->flags_unknown || (sync->flags_partly && sync->state.highestmodseq != 0);
    return unknown ? mailbox->highestmodseq : sync->state.highestmodseq;
}

static bool record_complete(struct cache_txn *txn, struct cache_mailbox *mailbox, void *data)
{
    struct sync *sync = data;
    gint64 wall = sync->job.engine->clock->wall();
    uint32_t count = cache_message_count(txn, sync->messages);
    uint32_t uidnext = MAX(sync->state.uidnext, cache_message_last(txn, sync->messages) + 1);
    uint64_t modseq = record_modseq(sync, mailbox);
    if (sync->exactly && !sync_counts(sync, count, true))
        return false;
    sync->sealed = true;
    bool same = sync->complete && mailbox->count == count && mailbox->uidnext == uidnext &&
                mailbox->highestmodseq == modseq;
    if (same)
        return false; /* saves a write to the disk */
    if (!sync->complete)
        mailbox->mtime_ns = count > 0 && mirror_newest(sync->mirror) > 0
                                ? mirror_newest(sync->mirror) * 1000000000
                                : wall * 1000;
    if (!sync->complete)
        sync_look_note(sync, txn);
    mailbox->flags |= CACHE_MAILBOX_COMPLETE;
    mailbox->flags &= ~(uint32_t)(CACHE_MAILBOX_MADE | CACHE_MAILBOX_NOWHERE);
    mailbox->highestmodseq = modseq;
    mailbox->uidnext = uidnext;
    mailbox->count = count;
    mailbox->synced_us = wall;
    return true;
}

enum engine_error sync_seal(struct sync *sync)
{
    /* what the server said unasked meanwhile counts as well */
    struct mirror *unasked = sync->job.line->mirror;
    enum engine_error error = unasked != NULL ? mirror_flush(unasked) : ENGINE_OK;
    return error == ENGINE_OK ? mirror_commit(sync->mirror, record_complete, sync) : error;
}

static uint32_t sync_records(const struct sync *sync)
{
    g_autoptr(cache_txn) txn = cache_txn_read(sync->job.engine->cache);
    return cache_message_count(txn, sync->messages);
}

static void sync_note_partial(struct sync *sync)
{
    struct engine *engine = sync->job.engine;
    gpointer key = GUINT_TO_POINTER(sync->job.folder);
    if (sync_counts(sync, sync_records(sync), false)) {
        g_hash_table_remove(engine->partial, key);
    } else if (g_hash_table_add(engine->partial, key)) {
        g_warning("%s: the server has %u messages and lists only %u of them", sync->job.mailbox,
                  sync->state.exists, sync_records(sync));
    }
}

static void sync_finish(struct sync *sync)
{
    struct engine *engine = sync->job.engine;
    bool first = !sync->complete;
    if (sync_bind(sync))
        return;
    sync_note_partial(sync);
    sync->exactly = false;
    enum engine_error error = sync->sealed ? ENGINE_OK : sync_seal(sync);
    if (error != ENGINE_OK) {
        job_end(&sync->job, error);
        return;
    }
    struct sync_memory *memory = sync_memory(engine, sync->job.folder);
    memory->lacks = false;
    memory->rest = (struct rest){0};
    sync_show_no_more(sync);
    gint64 now = engine_now(engine);
    g_hash_table_insert(engine->fresh, GUINT_TO_POINTER(sync->job.folder),
                        g_memdup2(&now, sizeof now));
    sync_tell_renumbered(sync);
    const struct engine_events *events = engine->events;
    if (first && events != NULL && events->mailbox_changed != NULL)
        events->mailbox_changed(sync->job.folder, engine->events_data);
    push_mailbox_listed(engine, sync->job.folder);
    if (!sync_look(sync))
        job_end(&sync->job, ENGINE_OK);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void sync_reset(struct sync *sync)
{
    sync_show_no_more(sync);
    sync_batch_clear(sync);
    sync_bind_clear(sync);
    g_clear_pointer(&sync->listed, imap_uidset_free);
    g_clear_pointer(&sync->left, imap_uidset_free);
    g_clear_pointer(&sync->mirror, mirror_free);
    sync->ask_left = false;
    sync->news = 0;
    sync->examined = sync->stale = sync->flags_unknown = sync->reconciled = false;
    sync->resyncing = sync->flags_partly = sync->sealed = sync->looking = false;
    sync->refusals = 0;
    sync->granted = false;
    sync->last_step = 0;
}

static void sync_ask_news(struct sync *sync)
{
    if (sync->last == UINT32_MAX)
        return;
    g_autoptr(imap_uidset) uids = imap_uidset_new();
    imap_uidset_add(uids, sync->last + 1, UINT32_MAX);
    const struct imap_fetch_request request = {.items = sync_items(sync),
                                               .header_fields = MIME_LIST_FIELDS};
    job_send_fetch(&sync->job, SYNC_NEWS, uids, &request, 0);
}

static void sync_start(struct job *job)
{
    struct sync *sync = (struct sync *)job;
    sync_reset(sync);
    if (!sync_load(sync)) {
        job_end(job, ENGINE_GONE);
        return;
    }
    sync->tier = sync_tier_choose(sync);
    if (sync->tier == SYNC_QRESYNC)
        sync_resync(sync);
    else
        job_send_examine(job, SYNC_EXAMINE);
    sync_ask_rights(sync);
    if (!sync->complete) {
        job_send_search(job, SYNC_SEARCH, 1, 0);
        return;
    }
    if (sync->last > 0 && sync->tier != SYNC_QRESYNC)
        sync_ask_flags(sync);
    sync_ask_news(sync);
    if (sync->last > 0 && sync->tier != SYNC_QRESYNC)
        sync_ask_gone(sync);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void sync_folders_listed(enum engine_error error, void *data)
{
}

/* A mailbox that is gone: the list of them is old; or it names what does not exist, then its
 * messages go. */
static void sync_refused(struct sync *sync, enum engine_error error)
{
    struct engine *engine = sync->job.engine;
    job_end(&sync->job, error);
    const struct engine_wish folders = {.want = ENGINE_FOLDERS, .ahead = true};
    if (error == ENGINE_GONE)
        engine_ask_inside(engine, &folders, sync_folders_listed, NULL);
}

static void sync_examined(struct sync *sync, const struct imap_result *result)
{
    sync_note_there(sync, result);
    if (result->error != IMAP_OK) {
        sync_refused(sync, job_examine_error(result));
        return;
    }
    sync->examined = true;
    sync->state = *imap_session_state(sync->job.line->session);
    sync->stale = sync_is_stale(sync);
    line_leave_old(sync->job.line);
    if (sync->stale)
        g_clear_pointer(&sync->mirror, mirror_free);
    bool first = sync->messages == 0;
    enum engine_error error = sync->stale ? sync_adopt(sync) : ENGINE_OK;
    if (error != ENGINE_OK) {
        job_end(&sync->job, error);
        return;
    }
    if (first)
        sync->stale = false; /* nothing was asked on the strength of old UIDs */
    if (sync->mirror == NULL)
        sync->mirror = mirror_new(sync->job.engine, sync->job.folder, sync->state.uidvalidity);
    if (sync->mirror == NULL) {
        job_end(&sync->job, ENGINE_CACHE);
        return;
    }
    if (sync->complete)
        mirror_set_whole(sync->mirror);
    error = sync_doubt_modseq(sync);
    if (error != ENGINE_OK)
        job_end(&sync->job, error);
}

static bool sync_resynced(const struct sync *sync, const struct imap_fetch *fetch)
{
    return sync_is_resynced(sync) && fetch->uid <= sync->last &&
           (fetch->items & IMAP_ITEM_FLAGS) != 0;
}

static bool sync_fetch(struct job *job, const struct imap_fetch *fetch)
{
    struct sync *sync = (struct sync *)job;
    if (sync->stale || fetch->uid == 0)
        return false;
    if (!sync->examined) {
        if (!sync_resynced(sync, fetch))
            return false;
        mirror_flags(sync->mirror, fetch);
        return true;
    }
    if (sync_bind_fetch(sync, fetch) || sync_batch_fetch(sync, fetch))
        return true;
    bool there;
    GBytes *header = sync_header(fetch, &there);
    if (sync->complete && fetch->uid > sync->last && sync_is_whole(fetch) && !sync->looking) {
        mirror_add(sync->mirror, fetch, header);
        sync->news++;
        return true;
    }
    if ((fetch->items & IMAP_ITEM_FLAGS) == 0 || fetch->body_count > 0)
        return there;
    mirror_flags(sync->mirror, fetch);
    return true;
}

static void sync_search(struct job *job, const struct imap_uidset *uids)
{
    struct sync *sync = (struct sync *)job;
    if (!sync->examined || sync->stale)
        return;
    struct imap_uidset **into = sync->ask_left ? &sync->left : &sync->listed;
    if (*into == NULL)
        *into = imap_uidset_new();
    const struct imap_range *ranges;
    size_t count = imap_uidset_ranges(uids, &ranges);
    for (size_t i = 0; i < count; i++)
        imap_uidset_add(*into, ranges[i].first, ranges[i].last);
}

/* The list by UID SEARCH is there: makes batches of what is missing. */
static void sync_begin_batches(struct sync *sync)
{
    sync->reconciled = true;
    enum engine_error error = sync_reconcile(sync);
    if (error != ENGINE_OK) {
        job_end(&sync->job, error);
        return;
    }
    if (!sync->complete)
        sync_show(sync, imap_uidset_count(sync->listed));
    /* a list that was never completed may have old flags */
    if (!sync->complete && sync->had > 0 && sync->last > 0) {
        sync->tier = SYNC_PLAIN;
        sync_ask_flags(sync);
    }
    sync_batch_send(sync);
}

/* What went it did not tell, so neither, perhaps, what has other flags: that is asked for before
 * HIGHESTMODSEQ is written down. */
static void sync_disbelieve(struct sync *sync)
{
    sync_tier_lower(sync, "what QRESYNC told does not make the list that there is");
    sync->tier = SYNC_CONDSTORE;
    if (sync->last > 0)
        sync_ask_flags(sync);
}

/* The count says that something went or is missing. For tiers 2 and 3 that is how they learn that
 * messages went. */
static void sync_search_all(struct sync *sync)
{
    const struct imap_mailbox_state *now = imap_session_state(sync->job.line->session);
    bool partial =
        g_hash_table_contains(sync->job.engine->partial, GUINT_TO_POINTER(sync->job.folder));
    if (sync->complete && sync->tier == SYNC_QRESYNC && !partial &&
        now->exists == sync->state.exists)
        sync_disbelieve(sync);
    job_send_search(&sync->job, SYNC_SEARCH, 1, 0);
}

static void sync_listed(struct sync *sync)
{
    enum engine_error error = mirror_flush(sync->mirror);
    if (error != ENGINE_OK) {
        job_end(&sync->job, error);
        return;
    }
    if (!sync->reconciled)
        sync_begin_batches(sync);
    if (sync->job.state == JOB_RUNNING && sync->job.in_flight == 0)
        sync_finish(sync);
}

/* Everything asked for is answered: what next? */
static void sync_next(struct sync *sync)
{
    if (sync->listed != NULL && !sync->stale) {
        sync_listed(sync);
        return;
    }
    enum engine_error error = ENGINE_OK;
    sync->exactly = true;
    if (sync->complete && !sync->stale) {
        sync_take_gone(sync);
        error = sync_seal(sync);
    }
    if (error != ENGINE_OK)
        job_end(&sync->job, error);
    else if (sync->sealed)
        sync_finish(sync);
    else
        sync_search_all(sync);
    sync->stale = false;
}

static void sync_flags_answered(struct sync *sync, const struct imap_result *result)
{
    if (result->error == IMAP_OK || sync->stale)
        return;
    if (sync->tier == SYNC_PLAIN) {
        sync->flags_unknown = true;
        g_info("%s: flags were refused: %s", sync->job.mailbox, result->text);
        return;
    }
    sync_tier_lower(sync, "CHANGEDSINCE is refused");
    sync->tier = SYNC_PLAIN;
    sync_ask_flags(sync);
}

static void sync_search_answered(struct sync *sync, const struct imap_result *result)
{
    if (sync->stale)
        return;
    if (result->error != IMAP_OK) {
        job_end(&sync->job, sync->looking ? ENGINE_OK : job_error_of(result));
        return;
    }
    if (sync->listed == NULL) /* an empty mailbox may get no SEARCH reply at all */
        sync->listed = imap_uidset_new();
    if (imap_uidset_count(sync->listed) == 0 && sync->state.exists > 0 && sync->had > 0)
        job_end(&sync->job, ENGINE_BROKEN); /* nothing is thrown away on such a word */
}

static void sync_answered(struct job *job, unsigned step, const struct imap_result *result)
{
    struct sync *sync = (struct sync *)job;
    if (step == SYNC_EXAMINE)
        sync_examined(sync, result);
    else if (step == SYNC_FLAGS)
        sync_flags_answered(sync, result);
    else if (step == SYNC_SEARCH)
        sync_search_answered(sync, result);
    else if (step == SYNC_GONE)
        sync_gone_answered(sync, result);
    else if (step == SYNC_LOOK && result->error != IMAP_OK)
        job_end(job, ENGINE_OK);
    else if (step >= SYNC_BATCH && !sync_batch_answered(sync, step, result))
        job_end(job, job_error_of(result));
    /* SYNC_NEWS refused: the count will not fit, and UID SEARCH finds them */
    if (job->state != JOB_RUNNING || job->lost)
        return;
    if (step >= SYNC_BATCH)
        sync_batch_send(sync);
    if (job->in_flight == 0 && sync->looking)
        sync_look_next(sync);
    else if (job->in_flight == 0)
        sync_next(sync);
}

/* While one compares behind its answers, another waits for the end of a piece. */
static bool sync_clashes(const struct job *job, const struct job *running)
{
    return job->folder == running->folder;
}

static void sync_clear(struct job *job)
{
    sync_reset((struct sync *)job);
}

const struct job_class SYNC_CLASS = {
    .name = "sync",
    .size = sizeof(struct sync),
    .prepare = sync_prepare,
    .satisfied = sync_satisfied,
    .start = sync_start,
    .answered = sync_answered,
    .fetch = sync_fetch,
    .search = sync_search,
    .vanished = sync_vanished,
    .clashes = sync_clashes,
    .cached = sync_cached,
    .offline = sync_offline,
    .clear = sync_clear,
    .examines = true,
};
