/* CREATE, RENAME and DELETE of mailboxes; subscriptions follow. */
#include <string.h>

#include "fs/engine/folders.h"
#include "fs/engine/push.h"
#include "fs/engine/remade.h"

/* One mailbox at a time. */
static void mailbox_single(struct push *push)
{
    GPtrArray *rest = push_entries_new();
    while (push->batch->len > 1)
        g_ptr_array_insert(rest, 0, g_ptr_array_steal_index(push->batch, push->batch->len - 1));
    push_add_work(push, rest);
}

static void mailbox_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    if (step != PUSH_STATUS)
        push_note(push, result);
    if (step == PUSH_LIST)
        folder_entries_settle(push->listed);
}

static void mailbox_done(struct push *push)
{
    remade_note(push->job.engine, push_entry(push, 0));
    push_entry(push, 0)->step = JOURNAL_PLACED;
    push_place(push->job.engine, g_steal_pointer(&push->batch));
    push_next(push);
}

static void mailbox_refuse(struct push *push, enum engine_error error, const char *text)
{
    push_refuse(push->job.engine, g_steal_pointer(&push->batch), error, text);
    push_next(push);
}

static void mailbox_not_now(struct push *push)
{
    struct engine *engine = push->job.engine;
    if (push->round == 0) /* else it may be done by what was sent before */
        push_entry(push, 0)->step = JOURNAL_QUEUED;
    journal_update(engine->journal, push->batch);
    push_put_off(engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
    push_next(push);
}

static void mailbox_refused(struct push *push)
{
    bool name = push->refusal.imap == IMAP_ERROR_CANNOT || push->refusal.imap == IMAP_ERROR_BAD;
    if (push->refusal.passing)
        mailbox_not_now(push);
    else
        mailbox_refuse(push, name ? ENGINE_INVALID : push->refusal.error, push->refusal.text);
}

static void mailbox_subscribe(struct push *push, const char *mailbox, bool subscribe)
{
    imap_send_subscribe(push->job.line->session, mailbox, subscribe, job_done,
                        push_ticket(push, PUSH_IGNORED));
}

/* ---- LIST ------------------------------------------------------------------------------------ */

static void mailbox_ask_list(struct push *push)
{
    g_clear_pointer(&push->listed, g_ptr_array_unref);
    push->listed = g_ptr_array_new_with_free_func((GDestroyNotify)folder_entry_free);
    push_forget_refusal(push);
    imap_send_list(push->job.line->session, false, job_done, push_ticket(push, PUSH_LIST));
}

static const struct folder_entry *mailbox_listed(const struct push *push, const char *wire)
{
    for (guint i = 0; i < push->listed->len; i++) {
        const struct folder_entry *entry = push->listed->pdata[i];
        if (strcmp(entry->wire, wire) == 0)
            return entry;
    }
    return NULL;
}

static bool mailbox_has_children(const struct push *push, const char *wire)
{
    size_t length = strlen(wire);
    for (guint i = 0; i < push->listed->len; i++) {
        const struct folder_entry *entry = push->listed->pdata[i];
        if (entry->delimiter != 0 && strncmp(entry->wire, wire, length) == 0 &&
            entry->wire[length] == entry->delimiter)
            return true;
    }
    return false;
}

/* ---- CREATE ---------------------------------------------------------------------------------- */

static void create_made(struct push *push)
{
    mailbox_subscribe(push, push_entry(push, 0)->target, true);
    mailbox_done(push);
}

/* Nothing need be asked to know what is in it. */
static void create_note_empty(struct engine *engine, const char *made)
{
    g_autofree char *wire = journal_renamed(engine->journal, made);
    g_autoptr(cache_txn) txn = cache_txn_write(engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_by_wire(txn, wire, &mailbox) != CACHE_OK || mailbox.messages != 0)
        return;
    mailbox.flags |= CACHE_MAILBOX_MADE;
    if (cache_mailbox_put(txn, &mailbox) == CACHE_OK)
        cache_txn_commit(g_steal_pointer(&txn));
}

static void create_listed(struct push *push)
{
    if (push->refusal.imap == IMAP_OK && mailbox_listed(push, push_entry(push, 0)->target) != NULL)
        create_made(push);
    else
        mailbox_refuse(push, ENGINE_REFUSED, "the server does not make the mailbox");
}

static void create_done(struct push *push)
{
    if (push->refusal.imap == IMAP_OK || push->refusal.imap == IMAP_ERROR_EXISTS) {
        if (push->refusal.imap == IMAP_OK)
            create_note_empty(push->job.engine, push_entry(push, 0)->target);
        create_made(push);
    } else if (push->refusal.imap == IMAP_ERROR_NO && !push->refusal.coded) {
        mailbox_ask_list(push); /* many say NO without a code to what is there */
        push_await(push, mailbox_heard, create_listed);
    } else {
        mailbox_refused(push);
    }
}

void push_create(struct push *push)
{
    mailbox_single(push);
    push_forget_refusal(push);
    push_forget_target(push);
    if (!push_mark_sent(push))
        return;
    imap_send_create(push->job.line->session, push_entry(push, 0)->target, job_done,
                     push_ticket(push, PUSH_CHANGE));
    push_await(push, mailbox_heard, create_done);
}

/* ---- RENAME ---------------------------------------------------------------------------------- */

static void rename_made(struct push *push)
{
    const struct journal_entry *entry = push_entry(push, 0);
    mailbox_subscribe(push, entry->message.mailbox, false);
    mailbox_subscribe(push, entry->target, true);
    mailbox_done(push);
}

static void rename_look(struct push *push);

static void rename_done(struct push *push)
{
    if (push->refusal.imap == IMAP_OK)
        rename_made(push);
    else if (push->round == 1 && !push->refusal.passing)
        rename_look(push); /* what was sent before was done only now */
    else
        mailbox_refused(push);
}

static void rename_send(struct push *push)
{
    const struct journal_entry *entry = push_entry(push, 0);
    if (!push_mark_sent(push))
        return;
    imap_send_rename(push->job.line->session, entry->message.mailbox, entry->target, job_done,
                     push_ticket(push, PUSH_CHANGE));
    push_await(push, mailbox_heard, rename_done);
}

enum { RENAME_OLD = PUSH_CHANGE, RENAME_NEW };

static void rename_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    if (step == RENAME_OLD)
        push->agreed = result->error == IMAP_OK;
    else if (step == RENAME_NEW)
        push->told = result->error == IMAP_OK;
    else
        push_note(push, result);
}

/* STATUS is believed before LIST, which may be old (unlisted.h); of mere places only LIST knows. */
static bool rename_has_old(const struct push *push, const char *wire)
{
    const struct folder_entry *listed = mailbox_listed(push, wire);
    bool place = (listed != NULL && (listed->flags & IMAP_LIST_NOSELECT) != 0) ||
                 mailbox_has_children(push, wire);
    return push->agreed || (place && !push->told);
}

static void rename_looked(struct push *push)
{
    const struct journal_entry *entry = push_entry(push, 0);
    bool old = rename_has_old(push, entry->message.mailbox);
    bool new = push->told || mailbox_listed(push, entry->target) != NULL;
    if (push->refusal.imap != IMAP_OK)
        mailbox_refused(push);
    else if (new && !old)
        rename_made(push);
    else if (old && !new && push->round == 1)
        rename_send(push);
    else if (old && !new)
        mailbox_refuse(push, ENGINE_REFUSED, "the server does not rename the mailbox");
    else if (new)
        mailbox_refuse(push, ENGINE_EXISTS, "a mailbox of this name exists");
    else
        mailbox_refuse(push, ENGINE_GONE, "the mailbox is not there any more");
}

/* Whether a RENAME that was sent before is done. */
static void rename_look(struct push *push)
{
    const struct journal_entry *entry = push_entry(push, 0);
    struct imap_session *session = push->job.line->session;
    push->round++;
    push->agreed = push->told = false;
    mailbox_ask_list(push);
    imap_send_status(session, entry->message.mailbox, job_done, push_ticket(push, RENAME_OLD));
    imap_send_status(session, entry->target, job_done, push_ticket(push, RENAME_NEW));
    push_await(push, rename_heard, rename_looked);
}

/* The mailbox must be selected nowhere: servers end connections, or lose track. */
static void mailbox_unselect(struct push *push, const char *mailbox)
{
    struct engine *engine = push->job.engine;
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        struct line *line = engine->pool.lines->pdata[i];
        const char *selected = imap_session_mailbox(line->session);
        bool ours = line == push->job.line;
        if (line->doomed || selected == NULL || strcmp(selected, mailbox) != 0 ||
            (!ours && line->jobs.length > 0))
            continue;
        job_forget_mirror(line);
        line->folder = line->uidvalidity = 0;
        imap_send_unselect(line->session, NULL, NULL);
        if (ours)
            g_clear_pointer(&push->selected, g_free);
    }
}

void push_rename(struct push *push)
{
    mailbox_single(push);
    push_forget_refusal(push);
    push_forget_target(push);
    mailbox_unselect(push, push_entry(push, 0)->message.mailbox);
    if (push_entry(push, 0)->step == JOURNAL_QUEUED) {
        rename_send(push);
        return;
    }
    rename_look(push);
}

/* ---- DELETE ---------------------------------------------------------------------------------- */

static void delete_done(struct push *push)
{
    const struct journal_entry *entry = push_entry(push, 0);
    if (push->refusal.imap != IMAP_OK && push->refusal.imap != IMAP_ERROR_NONEXISTENT) {
        mailbox_refused(push);
        return;
    }
    mailbox_subscribe(push, entry->message.mailbox, false);
    mailbox_done(push);
}

static void delete_looked(struct push *push)
{
    const struct journal_entry *entry = push_entry(push, 0);
    const struct folder_entry *listed = mailbox_listed(push, entry->message.mailbox);
    bool place = listed != NULL && (listed->flags & IMAP_LIST_NOSELECT) != 0;
    if (push->refusal.imap != IMAP_OK)
        mailbox_refused(push);
    else if (mailbox_has_children(push, entry->message.mailbox))
        mailbox_refuse(push, ENGINE_NOT_EMPTY, "the mailbox holds other mailboxes");
    else if (listed == NULL && !push->target_told)
        mailbox_done(push);
    else if (!place && (!push->target_told || push->status.messages != 0))
        mailbox_refuse(push, ENGINE_NOT_EMPTY, "the mailbox holds messages");
    else {
        push_forget_target(push);
        if (!push_mark_sent(push))
            return;
        imap_send_delete(push->job.line->session, entry->message.mailbox, job_done,
                         push_ticket(push, PUSH_CHANGE));
        push_await(push, mailbox_heard, delete_done);
    }
}

/* What other mailboxes lie below, and directly before DELETE how many messages it holds: also one
 * that came this moment counts. */
void push_delete(struct push *push)
{
    const struct journal_entry *entry;
    mailbox_single(push);
    entry = push_entry(push, 0);
    push_forget_target(push);
    mailbox_unselect(push, entry->message.mailbox);
    mailbox_ask_list(push);
    push->target = g_strdup(entry->message.mailbox);
    imap_send_status(push->job.line->session, entry->message.mailbox, job_done,
                     push_ticket(push, PUSH_STATUS));
    push_await(push, mailbox_heard, delete_looked);
}
