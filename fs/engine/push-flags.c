/* FLAGS: what was changed by others since is read anew first (RFC 7162), then changed all the same:
 * who adds or removes a flag means that flag, whatever else was done to the message. */
#include <string.h>

#include "fs/engine/mirror.h"
#include "fs/engine/push.h"

enum { STEP_ADD = PUSH_CHANGE, STEP_REMOVE, STEP_READ };

/* The lowest MODSEQ of the messages' records, which is right for all; 0: not all have one. */
static uint64_t flags_modseq(struct push *push)
{
    struct push_box box;
    const struct journal_entry *first = push_entry(push, 0);
    if (!push_box(push->job.engine, first->message.mailbox, &box) ||
        box.uidvalidity != first->message.uidvalidity)
        return 0;
    g_autoptr(cache_txn) txn = cache_txn_read(push->job.engine->cache);
    uint64_t lowest = UINT64_MAX;
    for (guint i = 0; i < push->batch->len; i++) {
        struct cache_message message;
        if (cache_message_get(txn, box.messages, push_entry(push, i)->message.uid, &message) !=
            CACHE_OK)
            return 0;
        lowest = MIN(lowest, message.modseq);
    }
    return lowest;
}

static bool flags_fetch(struct push *push, const struct imap_fetch *fetch)
{
    if (push->mirror == NULL || fetch->uid == 0 || (fetch->items & IMAP_ITEM_FLAGS) == 0)
        return false;
    mirror_flags(push->mirror, fetch);
    return true;
}

static void flags_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    if (step != STEP_READ)
        push_note(push, result);
    const struct imap_range *ranges;
    size_t count = result->modified != NULL ? imap_uidset_ranges(result->modified, &ranges) : 0;
    for (size_t i = 0; i < count; i++) {
        if (push->modified == NULL)
            push->modified = imap_uidset_new();
        imap_uidset_add(push->modified, ranges[i].first, ranges[i].last);
    }
}

static void flags_send(struct push *push, const struct imap_uidset *uids, uint64_t since);

static bool flags_have_keyword(const char *flags)
{
    g_auto(GStrv) words = g_strsplit(flags, " ", -1);
    for (char **at = words; *at != NULL; at++)
        if (**at != '\0' && **at != '\\')
            return true;
    return false;
}

static void flags_refused(struct push *push)
{
    struct engine *engine = push->job.engine;
    if (push->refusal.passing) {
        push_put_off(engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
    } else if (push_may_split(push)) { /* one by one: the others may go through */
        while (push->batch->len > 1) {
            GPtrArray *one = push_entries_new();
            g_ptr_array_add(one, g_ptr_array_steal_index(push->batch, push->batch->len - 1));
            push_add_work(push, one);
        }
        push_add_work(push, g_steal_pointer(&push->batch));
    } else {
        bool rights = push->refusal.imap == IMAP_ERROR_NOPERM;
        if (!rights && flags_have_keyword(push_entry(push, 0)->add)) {
            g_mutex_lock(&engine->lock);
            engine->status.new_keywords = false;
            g_mutex_unlock(&engine->lock);
        }
        push_refuse(engine, g_steal_pointer(&push->batch), push->refusal.error, push->refusal.text);
    }
    push_next(push);
}

static void flags_done(struct push *push)
{
    if (push->mirror != NULL)
        mirror_flush(push->mirror);
    if (push->refusal.imap != IMAP_OK) {
        flags_refused(push);
        return;
    }
    if (push->modified != NULL && push->round++ == 0) {
        g_autoptr(imap_uidset) modified = g_steal_pointer(&push->modified);
        flags_send(push, modified, 0);
        return;
    }
    for (guint i = 0; i < push->batch->len; i++)
        push_entry(push, i)->step = JOURNAL_PLACED;
    push_settle(push->job.engine, g_steal_pointer(&push->batch));
    push_next(push);
}

/* The flags are read in the same breath: who asks for them next finds them changed. */
static void flags_send(struct push *push, const struct imap_uidset *uids, uint64_t since)
{
    const struct journal_entry *first = push_entry(push, 0);
    struct imap_session *session = push->job.line->session;
    const struct imap_fetch_request request = {.items = IMAP_ITEM_UID | IMAP_ITEM_FLAGS |
                                                        IMAP_ITEM_MODSEQ};
    if (first->add[0] != '\0')
        imap_send_uid_store(session, uids, true, first->add, since, job_done,
                            push_ticket(push, STEP_ADD));
    /* the condition holds for the first change only: the second would see that one */
    if (first->remove[0] != '\0')
        imap_send_uid_store(session, uids, false, first->remove, first->add[0] == '\0' ? since : 0,
                            job_done, push_ticket(push, STEP_REMOVE));
    push_await(push, flags_heard, flags_done);
    push->fetch = flags_fetch;
    if (push->awaited > 0)
        imap_send_uid_fetch(session, uids, &request, job_done, push_ticket(push, STEP_READ));
}

static void flags_opened(struct push *push)
{
    const struct journal_entry *first = push_entry(push, 0);
    if (first->step == JOURNAL_QUEUED && !push_mark_sent(push))
        return;
    struct push_box box;
    if (push_box(push->job.engine, first->message.mailbox, &box))
        push->mirror = mirror_new(push->job.engine, box.folder, first->message.uidvalidity);
    if (push->mirror != NULL)
        mirror_set_unasked(push->mirror); /* no list is sealed with what is read */
    g_autoptr(imap_uidset) uids = push_uids(push->batch);
    flags_send(push, uids, flags_modseq(push));
}

void push_flags(struct push *push)
{
    push_open(push, push_entry(push, 0)->message.mailbox, NULL, true, flags_opened);
}
