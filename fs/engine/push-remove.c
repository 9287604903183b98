/* EXPUNGE, and the second half of a MOVE by COPY. */
#include "fs/engine/push.h"

/* ---- the message cannot be taken away: its copy goes ------------------------------------------
 *
 * But only where the message is still there, unmarked: what another client has taken away since
 * lives in its copy alone. While the copy goes the entries are SENT: whoever finds them so looks
 * for it, and removes nothing on its account.
 */

static void undo_done(struct push *push)
{
    struct engine *engine = push->job.engine;
    if (push->refusal.passing)
        push_put_off(engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
    else
        push_refuse(engine, g_steal_pointer(&push->batch), push->undone_error, push->undone_text);
    g_clear_pointer(&push->undone_text, g_free);
    push_next(push);
}

/* Those whose copy still has the UID that it was given. */
static struct imap_uidset *undo_uids(const struct push *push)
{
    uint32_t uidvalidity = imap_session_state(push->job.line->session)->uidvalidity;
    struct imap_uidset *uids = imap_uidset_new();
    for (guint i = 0; i < push->batch->len; i++) {
        const struct journal_entry *entry = push_entry(push, i);
        if (entry->target_uidvalidity == uidvalidity)
            imap_uidset_add(uids, entry->target_uid, entry->target_uid);
    }
    return uids;
}

static void undo_selected(struct push *push)
{
    g_autoptr(imap_uidset) uids = undo_uids(push);
    if (push->refusal.imap == IMAP_OK && imap_uidset_count(uids) > 0)
        push_expunge(push, g_steal_pointer(&uids), undo_done);
    else
        undo_done(push);
}

/* Those whose message is gone are done: nothing is left to be taken away. */
static void undo_looked(struct push *push)
{
    struct engine *engine = push->job.engine;
    if (push->refusal.imap != IMAP_OK) {
        push_put_off(engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
        push_next(push);
        return;
    }
    for (guint i = 0; i < push->batch->len; i++) {
        struct journal_entry *entry = push_entry(push, i);
        bool gone = looked_find(push->sources, entry->message.uid) == NULL;
        entry->step = gone ? JOURNAL_PLACED : JOURNAL_SENT;
    }
    push_place(engine, push_pick(push->batch, push_is_placed));
    if (push->batch->len == 0) {
        push_next(push);
    } else if (journal_update(engine->journal, push->batch) != CACHE_OK) {
        push_put_off(engine, g_steal_pointer(&push->batch), 0, "the journal cannot be written");
        push_next(push);
    } else {
        push_select(push, push_entry(push, 0)->target, undo_selected);
    }
}

static void remove_undo(struct push *push)
{
    struct imap_session *session = push->job.line->session;
    g_autoptr(imap_uidset) uids = push_uids(push->batch);
    push->undone_error = push->refusal.error;
    g_free(push->undone_text);
    push->undone_text = g_strdup(push->refusal.text);
    if (push->marked)
        imap_send_uid_store(session, uids, false, "\\Deleted", 0, job_done,
                            push_ticket(push, PUSH_IGNORED));
    push_look_uids(push, uids, push->sources, undo_looked);
}

static bool remove_can_undo(const struct push *push)
{
    for (guint i = 0; i < push->batch->len; i++) {
        const struct journal_entry *entry = push_entry(push, i);
        if (entry->step != JOURNAL_COPIED || entry->target_uid == 0)
            return false;
    }
    return push_can_expunge(push);
}

static void remove_refused(struct push *push)
{
    struct engine *engine = push->job.engine;
    if (push->refusal.passing) {
        push_put_off(engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
    } else if (push_may_split(push)) {
        GPtrArray *second = push_entries_new();
        guint half = push->batch->len / 2;
        while (push->batch->len > half)
            g_ptr_array_insert(second, 0,
                               g_ptr_array_steal_index(push->batch, push->batch->len - 1));
        push_add_work(push, second);
        push_add_work(push, g_steal_pointer(&push->batch));
    } else if (remove_can_undo(push)) {
        remove_undo(push);
        return;
    } else {
        push_refuse(engine, g_steal_pointer(&push->batch), push->refusal.error, push->refusal.text);
    }
    push_next(push);
}

static void remove_done(struct push *push)
{
    struct engine *engine = push->job.engine;
    if (push->refusal.imap != IMAP_OK) {
        remove_refused(push);
        return;
    }
    bool expunged = push_can_expunge(push);
    for (guint i = 0; i < push->batch->len; i++) {
        struct journal_entry *entry = push_entry(push, i);
        entry->step = expunged ? JOURNAL_PLACED : JOURNAL_MARKED;
        entry->kept = !expunged;
    }
    if (expunged)
        push_place(engine, g_steal_pointer(&push->batch));
    else
        push_keep(engine, g_steal_pointer(&push->batch));
    push_next(push);
}

static void remove_send(struct push *push)
{
    bool fresh = push_entry(push, 0)->step == JOURNAL_QUEUED;
    if (fresh && !push_mark_sent(push))
        return;
    push_expunge(push, push_uids(push->batch), remove_done);
}

void push_remove(struct push *push)
{
    push_open(push, push_entry(push, 0)->message.mailbox, NULL, true, remove_send);
}
