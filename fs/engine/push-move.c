/* MOVE and COPY: UID MOVE (RFC 6851) where the server has it, else UID COPY first. */
#include "fs/engine/push.h"

static bool move_by_move(const struct push *push)
{
    const struct engine *engine = push->job.engine;
    unsigned capabilities = imap_session_capabilities(push->job.line->session);
    return push_entry(push, 0)->kind == JOURNAL_MOVE && (capabilities & IMAP_CAP_MOVE) != 0 &&
           !engine->push->no_move && push->round == 0;
}

/* ---- what the answer says -------------------------------------------------------------------- */

static void move_take_uids(struct push *push, const struct imap_copied *copied,
                           enum journal_step step)
{
    g_autoptr(GHashTable) to = g_hash_table_new(NULL, NULL);
    for (size_t i = 0; i < copied->count && copied->from != NULL; i++)
        g_hash_table_insert(to, GUINT_TO_POINTER(copied->from[i]), GUINT_TO_POINTER(copied->to[i]));
    for (guint i = 0; i < push->batch->len; i++) {
        struct journal_entry *entry = push_entry(push, i);
        uint32_t uid =
            GPOINTER_TO_UINT(g_hash_table_lookup(to, GUINT_TO_POINTER(entry->message.uid)));
        if (uid == 0)
            continue;
        entry->target_uidvalidity = copied->uidvalidity;
        entry->target_uid = uid;
        entry->step = step;
    }
}

/* A MOVE by COPY is half done then. */
static enum journal_step move_step(const struct push *push)
{
    bool half = push_entry(push, 0)->kind == JOURNAL_MOVE && !move_by_move(push);
    return half ? JOURNAL_COPIED : JOURNAL_PLACED;
}

static void move_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    push_note(push, result);
    if (result->copied != NULL) {
        push->told = push->job.engine->push->tells = true;
        push_raise_target(push, result->copied);
        move_take_uids(push, result->copied, move_step(push));
    } else {
        push_forget_target(push); /* where the next may lie is not known */
    }
}

/* ---- what follows ---------------------------------------------------------------------------- */

static bool entry_is_copied(const struct journal_entry *entry)
{
    return entry->step == JOURNAL_COPIED;
}

/* Books what was done; what was not stays in the batch. */
static void move_book(struct push *push)
{
    struct engine *engine = push->job.engine;
    push_place(engine, push_pick(push->batch, push_is_placed));
    GPtrArray *copied = push_pick(push->batch, entry_is_copied);
    if (copied->len > 0)
        journal_update(engine->journal, copied);
    push_add_work(push, copied);
}

static void move_start(struct push *push);

/* Each half by itself, so that one that the server does not take does not keep the others. */
static void move_halve(struct push *push)
{
    GPtrArray *second = push_entries_new();
    guint half = push->batch->len / 2;
    for (guint i = 0; i < push->batch->len; i++)
        push_entry_undone(push_entry(push, i));
    while (push->batch->len > half)
        g_ptr_array_insert(second, 0, g_ptr_array_steal_index(push->batch, push->batch->len - 1));
    push_add_work(push, second);
    push_add_work(push, g_steal_pointer(&push->batch));
    push_next(push);
}

static void move_refused(struct push *push)
{
    struct engine *engine = push->job.engine;
    bool odd = !push->refusal.coded || push->refusal.imap == IMAP_ERROR_BAD ||
               push->refusal.imap == IMAP_ERROR_CANNOT;
    if (push->refusal.passing) {
        for (guint i = 0; i < push->batch->len; i++)
            push_entry_undone(push_entry(push, i));
        journal_update(engine->journal, push->batch);
        push_put_off(engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
        push_next(push);
    } else if (odd && move_by_move(push)) {
        push->round = 1; /* perhaps it is MOVE itself that it does not want */
        move_start(push);
    } else if (push_may_split(push)) {
        move_halve(push);
    } else {
        push_refuse(engine, g_steal_pointer(&push->batch), push->refusal.error, push->refusal.text);
        push_next(push);
    }
}

/* Of what the server did not name, the messages that are still there were not moved. */
static void move_checked(struct push *push)
{
    struct engine *engine = push->job.engine;
    if (push->refusal.imap != IMAP_OK) { /* nothing is known of them: they stay SENT */
        push_put_off(engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
        push_next(push);
        return;
    }
    GPtrArray *again = push_entries_new();
    while (push->batch->len > 0) {
        struct journal_entry *entry = g_ptr_array_steal_index(push->batch, 0);
        push_entry_undone(entry);
        if (looked_find(push->sources, entry->message.uid) != NULL) {
            g_ptr_array_add(again, entry);
            continue;
        }
        GPtrArray *gone = push_entries_new();
        g_ptr_array_add(gone, entry);
        push_refuse(engine, gone, ENGINE_GONE, "the message was gone before");
    }
    g_autofree uint64_t *first = NULL;
    if (again->len > 0)
        first = g_memdup2(&((struct journal_entry *)again->pdata[0])->id, sizeof *first);
    if (first != NULL && push_count_try(engine, *first) > 3)
        push_refuse(engine, again, ENGINE_REFUSED, "the server says OK and does nothing");
    else
        push_add_work(push, again);
    push_next(push);
}

static void move_done(struct push *push)
{
    enum journal_step step = move_step(push);
    if (push->round == 1 && push->refusal.imap == IMAP_OK)
        push->job.engine->push->no_move = true;
    move_book(push);
    if (push->batch->len == 0) {
        push_next(push);
    } else if (push->refusal.imap != IMAP_OK) {
        move_refused(push);
    } else if (push->told) {
        g_autoptr(imap_uidset) uids = push_uids(push->batch);
        push_look_uids(push, uids, push->sources, move_checked);
    } else if (step == JOURNAL_COPIED) { /* it never says where to; what is marked is ours */
        for (guint i = 0; i < push->batch->len; i++)
            push_entry(push, i)->step = JOURNAL_COPIED;
        move_book(push);
        push_next(push);
    } else {
        push->agreed = true;
        push_recover(push);
    }
}

static void move_send(struct push *push)
{
    if (!push_mark_sent(push))
        return;
    const struct journal_entry *first = push_entry(push, 0);
    struct imap_session *session = push->job.line->session;
    g_autoptr(imap_uidset) uids = push_uids(push->batch);
    push_note_objects(push->job.engine, push->batch);
    push->told = false;
    void *ticket = push_ticket(push, PUSH_CHANGE);
    if (move_by_move(push))
        imap_send_uid_move(session, uids, first->target, job_done, ticket);
    else
        imap_send_uid_copy(session, uids, first->target, job_done, ticket);
    push_await(push, move_heard, move_done);
}

static void move_start(struct push *push)
{
    const struct journal_entry *first = push_entry(push, 0);
    push_open(push, first->message.mailbox, first->target, first->kind == JOURNAL_MOVE, move_send);
}

void push_move(struct push *push)
{
    move_start(push);
}
