/* MOVE and COPY that were sent and not answered: looks at the source, then at what has come to the
 * target since.
 *
 *      source   target
 *      there    has it      the copy is done; a MOVE goes on with removing the source
 *      there    has not     nothing was done: queued again
 *      gone     has it      done
 *      gone     has not     a MOVE: done, and taken further by others; a COPY: gone before it.
 *                           A MOVE that was answered OK without COPYUID, by a server that says
 *                           it: gone before it too, and what is to follow with it
 */
#include "fs/engine/push.h"

#define LOOK_AGAIN_US (2 * G_USEC_PER_SEC)

/* Whether it was sent as MOVE: then a source that is there proves that nothing was done. */
static bool recover_by_move(const struct push *push)
{
    return push_entry(push, 0)->kind == JOURNAL_MOVE && !push->job.engine->push->no_move &&
           (imap_session_capabilities(push->job.line->session) & IMAP_CAP_MOVE) != 0;
}

/* SENT: it can neither be said to be done nor be sent again. */
static enum journal_step recover_step(const struct push *push, struct journal_entry *entry)
{
    struct looked *source = looked_find(push->sources, entry->message.uid);
    struct looked *found = looked_match(push->looked, entry, source);
    bool move = entry->kind == JOURNAL_MOVE;
    if (found != NULL) {
        found->taken = true;
        entry->target_uid = found->uid;
        entry->target_uidvalidity = imap_session_state(push->job.line->session)->uidvalidity;
        return move && source != NULL ? JOURNAL_COPIED : JOURNAL_PLACED;
    }
    if (source == NULL && push->agreed && push->job.engine->push->tells)
        return JOURNAL_SENT;
    if (source == NULL)
        return move ? JOURNAL_PLACED : JOURNAL_SENT;
    if (push->agreed && !move) /* it said OK: sent again, it would be two */
        return JOURNAL_PLACED;
    return push->blind && !recover_by_move(push) ? JOURNAL_SENT : JOURNAL_QUEUED;
}

static bool entry_is_queued(const struct journal_entry *entry)
{
    return entry->step == JOURNAL_QUEUED;
}

static bool entry_is_copied(const struct journal_entry *entry)
{
    return entry->step == JOURNAL_COPIED;
}

/* A COPY may still be on its way through the server: what is not there is looked for once more. */
static bool recover_is_sure(const struct push *push)
{
    struct engine *engine = push->job.engine;
    return recover_by_move(push) || push_count_try(engine, push_entry(push, 0)->id) > 1;
}

static void recover_book(struct push *push)
{
    struct engine *engine = push->job.engine;
    for (guint i = 0; i < push->batch->len; i++)
        push_entry(push, i)->step = recover_step(push, push_entry(push, i));
    push_place(engine, push_pick(push->batch, push_is_placed));
    GPtrArray *queued = push_pick(push->batch, entry_is_queued);
    GPtrArray *copied = push_pick(push->batch, entry_is_copied);
    journal_update(engine->journal, copied);
    push_add_work(push, copied);
    if (push->blind)
        push_refuse(engine, g_steal_pointer(&push->batch), ENGINE_REFUSED,
                    "whether it was done cannot be seen");
    else
        push_refuse(engine, g_steal_pointer(&push->batch), ENGINE_GONE,
                    "the message was gone before");
    push->batch = queued;
    if (queued->len > 0 && push->agreed && push_count_try(engine, push_entry(push, 0)->id) > 3) {
        push_refuse(engine, g_steal_pointer(&push->batch), ENGINE_REFUSED,
                    "the server says OK and does nothing");
        push_next(push);
        return;
    }
    if (queued->len > 0 && !recover_is_sure(push)) {
        for (guint i = 0; i < queued->len; i++)
            push_entry(push, i)->step = JOURNAL_SENT;
        push_put_off(engine, g_steal_pointer(&push->batch), LOOK_AGAIN_US, NULL);
    } else {
        journal_update(engine->journal, queued);
        push_add_work(push, g_steal_pointer(&push->batch));
    }
    push_next(push);
}

static void recover_not_now(struct push *push)
{
    push_put_off(push->job.engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
    push_next(push);
}

static void recover_target_looked(struct push *push)
{
    if (push->refusal.imap != IMAP_OK)
        recover_not_now(push);
    else
        recover_book(push);
}

/* Where the first of them can lie: they may have been sent at different times. */
static uint32_t recover_first(const struct push *push)
{
    uint32_t uidvalidity = imap_session_state(push->job.line->session)->uidvalidity;
    uint32_t first = UINT32_MAX;
    for (guint i = 0; i < push->batch->len; i++) {
        const struct journal_entry *entry = push_entry(push, i);
        if (entry->target_uidvalidity != uidvalidity)
            return 1;
        first = MIN(first, entry->target_uidnext);
    }
    return first;
}

static void recover_target_selected(struct push *push)
{
    if (push->refusal.imap != IMAP_OK && push->refusal.passing) {
        recover_not_now(push);
        return;
    }
    if (push->refusal.imap != IMAP_OK) { /* only the source can tell, if anything is to be told */
        push->blind = push->refusal.error != ENGINE_GONE;
        recover_book(push);
        return;
    }
    push_look_from(push, recover_first(push), push->looked, recover_target_looked);
}

static void recover_source_looked(struct push *push)
{
    if (push->refusal.imap != IMAP_OK)
        recover_not_now(push);
    else
        push_select(push, push_entry(push, 0)->target, recover_target_selected);
}

static void recover_opened(struct push *push)
{
    g_autoptr(imap_uidset) uids = push_uids(push->batch);
    push_note_objects(push->job.engine, push->batch);
    push_look_uids(push, uids, push->sources, recover_source_looked);
}

/* Each mailbox is selected anew: what another connection has done may not show before. */
void push_recover(struct push *push)
{
    g_clear_pointer(&push->selected, g_free);
    push_forget_target(push);
    push_open(push, push_entry(push, 0)->message.mailbox, NULL, false, recover_opened);
}
