/* Which messages are gone, asked in the same write as what is new.
 *
 * Without QRESYNC the server does not tell what was expunged; it shows when the records are more
 * than EXISTS, and UID SEARCH then says which, for one more round trip. But as a rule STATUS was
 * told before, with the list of all mailboxes or by NOTIFY: where it has fewer messages than the
 * records and the UIDs given out since would make, some are gone, and UID SEARCH goes out together
 * with EXAMINE. It is not sent always, since its answer is long where many UIDs are missing.
 *
 * It asks for the UIDs that were known, so that what arrives meanwhile is not in doubt. The answer
 * is taken only if these and the new ones together are as many as EXISTS says. */
#include "fs/engine/sync.h"

void sync_note_status(struct engine *engine, const struct imap_status *status,
                      const struct cache_mailbox *mailbox)
{
    struct sync_memory *memory = sync_memory(engine, mailbox->slot);
    uint32_t given = status->uidnext > mailbox->uidnext ? status->uidnext - mailbox->uidnext : 0;
    memory->lacks = status->messages >= 0 && mailbox->uidnext != 0 &&
                    (uint64_t)status->messages < (uint64_t)mailbox->count + given;
}

void sync_ask_gone(struct sync *sync)
{
    if (!sync_memory(sync->job.engine, sync->job.folder)->lacks)
        return;
    sync->ask_left = true;
    job_send_search(&sync->job, SYNC_GONE, 1, sync->last);
}

void sync_gone_answered(struct sync *sync, const struct imap_result *result)
{
    sync->ask_left = false;
    if (result->error != IMAP_OK || sync->stale)
        g_clear_pointer(&sync->left, imap_uidset_free);
}

/* Whether the server left nothing out, as it was when EXAMINE was answered or as it is now. */
static bool left_is_all(const struct sync *sync)
{
    uint64_t count = imap_uidset_count(sync->left) + sync->news;
    return count == sync->state.exists ||
           count == imap_session_state(sync->job.line->session)->exists;
}

void sync_take_gone(struct sync *sync)
{
    if (sync->left != NULL && left_is_all(sync))
        sync_remove_others(sync, sync->left, sync->last, NULL);
    g_clear_pointer(&sync->left, imap_uidset_free);
}

/* ---- a mailbox that does not exist ----------------------------------------------------------- */

/* A list may be behind for so long, and a renamed mailbox is found by then. */
#define NOWHERE_US (30 * (gint64)G_USEC_PER_SEC)

enum engine_error sync_drop_records(struct sync *sync)
{
    struct mirror *mirror =
        mirror_new(sync->job.engine, sync->job.folder, sync->stored_uidvalidity);
    if (mirror == NULL)
        return ENGINE_OK;
    g_autoptr(imap_uidset) nothing = imap_uidset_new();
    struct imap_uidset *listed = sync->listed;
    struct mirror *current = sync->mirror;
    sync->listed = nothing;
    sync->mirror = mirror;
    mirror_set_quiet(mirror, true);
    enum engine_error error = sync_reconcile(sync);
    sync->listed = listed;
    sync->mirror = current;
    mirror_free(mirror);
    return error;
}

static bool record_empty(struct sync *sync, struct cache_txn *txn, struct cache_mailbox *mailbox)
{
    mailbox->flags &= ~(uint32_t)CACHE_MAILBOX_COMPLETE;
    mailbox->highestmodseq = 0;
    mailbox->uidnext = 0;
    mailbox->count = 0;
    return true;
}

static bool record_nowhere(struct sync *sync, struct cache_txn *txn, struct cache_mailbox *mailbox)
{
    bool news = (mailbox->flags & CACHE_MAILBOX_NOWHERE) == 0;
    mailbox->flags |= CACHE_MAILBOX_NOWHERE;
    return news;
}

void sync_note_there(struct sync *sync, const struct imap_result *result)
{
    struct engine *engine = sync->job.engine;
    struct sync_memory *memory = sync_memory(engine, sync->job.folder);
    if (result->error == IMAP_OK)
        memory->nowhere_us = 0;
    if (!imap_is_mailbox_gone(result))
        return;
    sync_record(sync, record_nowhere);
    if (!sync->complete)
        return;
    if (memory->nowhere_us == 0)
        memory->nowhere_us = engine_now(engine);
    if (engine->listed_us - memory->nowhere_us < NOWHERE_US)
        return;
    g_message("%s is listed and does not exist: its messages are gone", sync->job.mailbox);
    if (sync_drop_records(sync) == ENGINE_OK)
        sync_record(sync, record_empty);
}
