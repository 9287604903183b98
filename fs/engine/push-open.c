/* Which mailbox is selected for a batch, and what is known of its target. */
#include <string.h>

#include "fs/engine/push.h"

void push_forget_target(struct push *push)
{
    g_clear_pointer(&push->target, g_free);
    push->target_told = false;
}

void push_raise_target(struct push *push, const struct imap_copied *copied)
{
    if (!push->target_told || copied == NULL)
        return;
    if (copied->uidvalidity != push->status.uidvalidity) {
        push_forget_target(push);
        return;
    }
    for (size_t i = 0; i < copied->count; i++)
        if (copied->to[i] >= push->status.uidnext && copied->to[i] < UINT32_MAX)
            push->status.uidnext = copied->to[i] + 1;
}

/* ---- selecting ------------------------------------------------------------------------------- */

static bool push_has_selected(const struct push *push, const char *mailbox)
{
    const struct imap_session *session = push->job.line->session;
    return push->selected != NULL && strcmp(push->selected, mailbox) == 0 &&
           imap_session_mailbox(session) != NULL;
}

/* The same for the batch's messages: the mailbox that was listed since may be another. */
static bool push_has_opened(const struct push *push, const char *mailbox)
{
    const struct journal_address *message = &push_entry(push, 0)->message;
    const struct imap_mailbox_state *state = imap_session_state(push->job.line->session);
    return push_has_selected(push, mailbox) &&
           (message->uid == 0 || message->uidvalidity == state->uidvalidity);
}

static void push_send_select(struct push *push, const char *mailbox)
{
    struct push_box box = {0};
    push_box(push->job.engine, mailbox, &box);
    g_free(push->selected);
    push->selected = g_strdup(mailbox);
    push->awaited++;
    job_send_select(&push->job, PUSH_SELECT, mailbox, box.folder);
}

/* What the server grants on selecting is kept for the file side. */
static void push_note_read_only(struct push *push)
{
    struct engine *engine = push->job.engine;
    bool read_only = imap_session_state(push->job.line->session)->read_only;
    struct cache_txn *txn = cache_txn_write(engine->cache);
    struct cache_mailbox mailbox;
    bool known = push->job.line->folder != 0 &&
                 cache_mailbox_get(txn, push->job.line->folder, &mailbox) == CACHE_OK;
    if (!known || ((mailbox.flags & CACHE_MAILBOX_READONLY) != 0) == read_only) {
        cache_txn_end(txn);
        return;
    }
    mailbox.flags ^= CACHE_MAILBOX_READONLY;
    if (cache_mailbox_put(txn, &mailbox) == CACHE_OK)
        cache_txn_commit(txn);
    else
        cache_txn_end(txn);
}

static void push_select_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    if (step != PUSH_SELECT)
        return;
    push_note(push, result);
    if (result->error == IMAP_OK)
        push_note_read_only(push);
    else
        g_clear_pointer(&push->selected, g_free);
    if (result->error == IMAP_ERROR_BAD)
        push->refusal.passing = true; /* Exchange, when it has lost its own store */
    if (imap_is_trouble(result) && push_may_retry(push, 0))
        push->refusal.passing = true;
    if (result->error == IMAP_ERROR_NO && result->code == NULL)
        push->refusal.error = job_examine_error(result);
}

void push_select(struct push *push, const char *mailbox, push_then then)
{
    push_forget_refusal(push);
    push_send_select(push, mailbox);
    push_await(push, push_select_heard, then);
}

/* ---- for a batch ----------------------------------------------------------------------------- */

static void open_failed(struct push *push, enum engine_error error, const char *text)
{
    push_refuse(push->job.engine, g_steal_pointer(&push->batch), error, text);
    push_next(push);
}

static void open_done(struct push *push)
{
    const struct journal_entry *first = push_entry(push, 0);
    const struct imap_mailbox_state *state = imap_session_state(push->job.line->session);
    bool selects = first->message.uid != 0;
    if (push->refusal.imap != IMAP_OK && push->refusal.passing) {
        push_put_off(push->job.engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
        push_next(push);
    } else if (push->refusal.imap != IMAP_OK) {
        open_failed(push, push->refusal.error, push->refusal.text);
    } else if (selects && state->uidvalidity != first->message.uidvalidity) {
        open_failed(push, ENGINE_GONE, "the mailbox was renumbered since (UIDVALIDITY)");
    } else if (selects && push->writes && state->read_only) {
        open_failed(push, ENGINE_REFUSED, "the mailbox can only be read");
    } else {
        push->opened(push);
    }
}

void push_open(struct push *push, const char *mailbox, const char *target, bool writes,
               push_then then)
{
    push->opened = then;
    push->writes = writes;
    push_forget_refusal(push);
    bool asked = push->target != NULL && target != NULL && strcmp(push->target, target) == 0;
    if (target != NULL && !(asked && push->target_told)) {
        push_forget_target(push);
        push->target = g_strdup(target);
        imap_send_status(push->job.line->session, target, job_done, push_ticket(push, PUSH_STATUS));
    }
    if (mailbox != NULL && !push_has_opened(push, mailbox))
        push_send_select(push, mailbox);
    push_await(push, push_select_heard, open_done);
}
