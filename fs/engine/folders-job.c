/* The job behind ENGINE_FOLDERS: LIST and what comes with it; folders-store.c keeps it. */
#include "fs/engine/folders.h"
#include "fs/engine/push.h"
#include "fs/engine/remade.h"
#include "fs/engine/sync.h"
#include "fs/engine/unlisted.h"
#include "fs/engine/watch.h"

#define ENTRIES_MAX 100000
#define FRESH_US G_USEC_PER_SEC
#define QUOTA_US (60 * G_USEC_PER_SEC)
/* Key of the list itself among the fresh mailboxes: no slot is that high. */
#define FRESH_KEY GUINT_TO_POINTER(UINT32_MAX)

enum { STEP_LIST, STEP_QUOTA, STEP_STATUS, STEP_MISSING };

struct folders {
    struct job job;
    GPtrArray *entries;
    GArray *counts;  /* struct folder_count: what LIST-STATUS, or STATUS, says */
    GHashTable *ids; /* wire -> MAILBOXID, as LIST-STATUS says */
    struct unlisted unlisted;
    gint64 begun_us;
    bool polls, stored;
};
struct folder_count {
    char *wire;
    struct imap_status status;
};

static void folder_count_clear(struct folder_count *count)
{
    g_free(count->wire);
}

/* ---- the job --------------------------------------------------------------------------------- */

static enum engine_error folders_prepare(struct job *job)
{
    if (!job->wish.anew)
        return ENGINE_OK;
    g_hash_table_remove(job->engine->fresh, FRESH_KEY);
    watch_poll_now(job->engine);
    return ENGINE_OK;
}

static bool folders_satisfied(struct job *job)
{
    const gint64 *at = g_hash_table_lookup(job->engine->fresh, FRESH_KEY);
    return at != NULL && engine_now(job->engine) - *at < FRESH_US;
}

static void folders_clear(struct job *job)
{
    struct folders *folders = (struct folders *)job;
    g_clear_pointer(&folders->entries, g_ptr_array_unref);
    g_clear_pointer(&folders->counts, g_array_unref);
    g_clear_pointer(&folders->ids, g_hash_table_unref);
    unlisted_clear(&folders->unlisted);
}

/* Once a minute; the answer goes to the status. */
static void folders_ask_quota(struct folders *folders)
{
    struct engine *engine = folders->job.engine;
    struct imap_session *session = folders->job.line->session;
    gint64 now = engine_now(engine);
    bool due = engine->push->quota_us == 0 || now - engine->push->quota_us >= QUOTA_US;
    if ((imap_session_capabilities(session) & IMAP_CAP_QUOTA) == 0 || !due)
        return;
    engine->push->quota_us = now;
    imap_send_quota(session, "INBOX", job_done, job_ticket(&folders->job, STEP_QUOTA, 0));
}

static void folders_ask_status(struct folders *folders)
{
    struct job *job = &folders->job;
    g_autoptr(GPtrArray) wires = folders_to_ask(job->engine, job->line->folder);
    watch_sync(job->engine, job->line->folder); /* instead */
    for (guint i = 0; i < wires->len; i++)
        imap_send_status(job->line->session, wires->pdata[i], job_done,
                         job_ticket(job, STEP_STATUS, 0));
}

static void folders_start(struct job *job)
{
    struct folders *folders = (struct folders *)job;
    folders_clear(job);
    folders->entries = g_ptr_array_new_with_free_func((GDestroyNotify)folder_entry_free);
    folders->counts = g_array_new(FALSE, TRUE, sizeof(struct folder_count));
    g_array_set_clear_func(folders->counts, (GDestroyNotify)folder_count_clear);
    folders->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    folders->stored = false;
    folders->begun_us = engine_now(job->engine);
    folders->polls = watch_polls(job->engine);
    folders_know_apart(job->engine, job->line->session);
    job_send_list(job, STEP_LIST, true);
    folders_ask_quota(folders);
    unsigned capabilities = imap_session_capabilities(job->line->session);
    if (folders->polls && (capabilities & IMAP_CAP_LIST_STATUS) == 0)
        folders_ask_status(folders);
}

static void folders_list(struct job *job, const struct imap_list *list)
{
    struct folders *folders = (struct folders *)job;
    if (folders->entries->len < ENTRIES_MAX && list->wire[0] != '\0')
        g_ptr_array_add(folders->entries, folder_entry_new(list));
}

static void folder_note_status(struct engine *engine, const struct imap_status *status)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_by_wire(txn, status->wire, &mailbox) == CACHE_OK)
        sync_note_status(engine, status, &mailbox);
}

static void folders_status(struct job *job, const struct imap_status *status)
{
    struct folders *folders = (struct folders *)job;
    unlisted_told(&folders->unlisted, status->wire);
    if (folders->counts->len >= ENTRIES_MAX)
        return;
    struct folder_count count = {.wire = g_strdup(status->wire), .status = *status};
    g_array_append_val(folders->counts, count);
    folder_note_status(job->engine, status);
    if (status->mailboxid != NULL)
        g_hash_table_replace(folders->ids, g_strdup(status->wire), g_strdup(status->mailboxid));
}

/* Whether STATUS is what is stored: names and, where there are modification sequences, flags. */
static bool folder_is_same(const struct imap_status *status, const struct cache_mailbox *mailbox)
{
    return (mailbox->flags & CACHE_MAILBOX_COMPLETE) != 0 && mailbox->uidvalidity != 0 &&
           status->uidvalidity == mailbox->uidvalidity && status->uidnext != 0 &&
           status->uidnext == mailbox->uidnext && status->messages == mailbox->count &&
           (mailbox->highestmodseq == 0 ||
            status->highestmodseq == (int64_t)mailbox->highestmodseq);
}

/* A mailbox whose STATUS is what is stored has just been checked; one of which it is not is synced,
 * if it is kept. */
static void folders_freshen(struct folders *folders)
{
    struct engine *engine = folders->job.engine;
    g_autoptr(GArray) changed = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    struct cache_txn *txn = cache_txn_read(engine->cache);
    gint64 now = engine_now(engine);
    for (guint i = 0; i < folders->counts->len; i++) {
        const struct folder_count *count = &g_array_index(folders->counts, struct folder_count, i);
        struct cache_mailbox mailbox;
        if (cache_mailbox_by_wire(txn, count->wire, &mailbox) != CACHE_OK)
            continue;
        if (folder_is_same(&count->status, &mailbox))
            g_hash_table_insert(engine->fresh, GUINT_TO_POINTER(mailbox.slot),
                                g_memdup2(&now, sizeof now));
        else if (!watch_fits(&count->status, &mailbox))
            g_array_append_val(changed, mailbox.slot);
    }
    cache_txn_end(txn);
    g_array_set_size(folders->counts, 0);
    for (guint i = 0; i < changed->len; i++)
        watch_sync(engine, g_array_index(changed, uint32_t, i));
}

static enum engine_error folders_take(struct folders *folders)
{
    struct job *job = &folders->job;
    unlisted_keep(job->engine, &folders->unlisted, folders->entries);
    bool changed = false;
    enum engine_error error = folders_store(job->engine, folders->entries, folders->ids, &changed);
    if (error != ENGINE_OK)
        return error;
    relist_taken(job->line, changed);
    folders_note_apart(job->engine, job->line->session);
    gint64 now = job->engine->listed_us = engine_now(job->engine);
    g_hash_table_insert(job->engine->fresh, FRESH_KEY, g_memdup2(&now, sizeof now));
    folders->stored = true;
    return ENGINE_OK;
}

/* Asks for the list again, in another session if this one tells none that is true. */
static void folders_again(struct job *job, bool elsewhere)
{
    job->lost = true;
    if (elsewhere)
        pool_doom(job->line, IMAP_OK);
}

/* Whether the list lacks what we have just changed ourselves: then it is asked for again. */
static bool folders_doubt(struct folders *folders)
{
    struct job *job = &folders->job;
    enum remade_doubt doubt =
        remade_doubt(job->engine, folders->entries, folders->begun_us, job->line->opened_us);
    if (doubt != REMADE_NONE)
        folders_again(job, doubt == REMADE_STALE);
    return doubt != REMADE_NONE;
}

/* What the list lacks is asked for by name; the list is taken when that is answered. */
static void folders_ask_missing(struct folders *folders)
{
    struct job *job = &folders->job;
    struct unlisted *unlisted = &folders->unlisted;
    unlisted_find(job->engine, folders->entries, unlisted);
    unlisted->asked = unlisted->missing->len;
    for (guint i = 0; i < unlisted->asked; i++)
        imap_send_status(job->line->session, unlisted->missing->pdata[i], job_done,
                         job_ticket(job, STEP_MISSING, 0));
}

static enum engine_error folders_heard(struct folders *folders, unsigned step,
                                       const struct imap_result *result)
{
    struct job *job = &folders->job;
    struct unlisted *unlisted = &folders->unlisted;
    if (step != STEP_LIST && (step != STEP_MISSING || --unlisted->asked > 0))
        return ENGINE_OK;
    if (step == STEP_LIST)
        folder_entries_settle(folders->entries);
    if (step == STEP_LIST && result->error != IMAP_OK)
        return job_error_of(result);
    if (step == STEP_LIST && folders->entries->len == 0) /* INBOX is always there: no list */
        return ENGINE_BROKEN;
    if (step == STEP_LIST && folders_doubt(folders))
        return ENGINE_OK;
    if (step == STEP_LIST)
        folders_ask_missing(folders);
    if (unlisted->asked > 0)
        return ENGINE_OK;
    if (step == STEP_MISSING && folders_doubt(folders)) /* we have changed something since */
        return ENGINE_OK;
    if (unlisted_doubt(job->engine, unlisted)) {
        folders_again(job, true);
        return ENGINE_OK;
    }
    enum engine_error error = folders_take(folders);
    if (error == ENGINE_OK)
        folders_freshen(folders); /* by what came with it: who lists one next need not ask */
    /* who waits for the list does not wait for every STATUS */
    if (error == ENGINE_OK && job->in_flight > 0)
        job_answer_early(job, ENGINE_OK);
    return error;
}

static void folders_answered(struct job *job, unsigned step, const struct imap_result *result)
{
    struct folders *folders = (struct folders *)job;
    enum engine_error error = folders_heard(folders, step, result);
    if (error != ENGINE_OK) {
        job_end(job, error);
        return;
    }
    if (job->lost || job->in_flight > 0 || !folders->stored)
        return;
    watch_polled(job->engine);
    folders_freshen(folders);
    if (folders->polls)
        watch_sync_flags(job->engine);
    job_end(job, ENGINE_OK);
}

static enum engine_error folders_offline(struct job *job, enum engine_error why)
{
    return why;
}

const struct job_class FOLDERS_CLASS = {
    .name = "folders",
    .size = sizeof(struct folders),
    .prepare = folders_prepare,
    .satisfied = folders_satisfied,
    .start = folders_start,
    .answered = folders_answered,
    .list = folders_list,
    .status = folders_status,
    .offline = folders_offline,
    .clear = folders_clear,
    .mailless = true,
    .newest = true,
};
