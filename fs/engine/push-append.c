/* APPEND: several at once, each answered by itself. */
#include <errno.h>
#include <string.h>

#include "fs/engine/push.h"

/* So many, or so many bytes, are on their way at once. */
#define APPEND_MOST 32
#define APPEND_BYTES (4u << 20)

/* The rest of the batch comes afterwards. */
static void append_bound(struct push *push)
{
    GPtrArray *rest = push_entries_new();
    uint64_t bytes = 0;
    guint count = 0;
    while (count < push->batch->len && count < APPEND_MOST && (count == 0 || bytes < APPEND_BYTES))
        bytes += push_entry(push, count++)->size;
    while (push->batch->len > count)
        g_ptr_array_insert(rest, 0, g_ptr_array_steal_index(push->batch, push->batch->len - 1));
    push_add_work(push, rest);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Elsewhere it may pass; here it is Dovecot's word for a message above the size that it takes. */
static bool is_above_limit(const struct imap_result *result)
{
    return result->code != NULL && strcmp(result->code, "LIMIT") == 0;
}

/* Whether it is tried again, later; push_put_off() counts. */
static bool append_may_pass(struct push *push, guint index, const struct imap_result *result)
{
    if (job_is_passing(result))
        return !is_above_limit(result);
    return imap_is_trouble(result) && push_may_retry(push, index);
}

/* "BAD" to a message is about the message: the command is right. */
static enum engine_error append_error(const struct imap_result *result)
{
    static const struct {
        enum imap_error imap;
        enum engine_error engine;
    } ERRORS[] = {
        {IMAP_ERROR_BAD, ENGINE_INVALID},
        {IMAP_ERROR_CANNOT, ENGINE_INVALID},
        {IMAP_ERROR_NO, ENGINE_INVALID},
    };
    enum engine_error error = job_error_of(result);
    if (is_above_limit(result))
        return ENGINE_TOO_BIG;
    if (imap_is_not_permitted(result))
        return ENGINE_REFUSED;
    for (size_t i = 0; i < G_N_ELEMENTS(ERRORS); i++)
        if (ERRORS[i].imap == result->error && (error == ENGINE_REFUSED || error == ENGINE_BROKEN))
            return ERRORS[i].engine;
    return error;
}

static void append_refuse_one(struct push *push, guint index, enum engine_error error,
                              const char *text)
{
    GPtrArray *one = push_entries_new();
    g_ptr_array_add(one, push->batch->pdata[index]);
    push->batch->pdata[index] = NULL;
    push_refuse(push->job.engine, one, error, text);
}

static void append_not_now(struct push *push, guint index, const char *words)
{
    struct engine *engine = push->job.engine;
    GPtrArray *one = push_entries_new();
    struct journal_entry *entry = push_entry(push, index);
    push->batch->pdata[index] = NULL;
    push_entry_undone(entry);
    g_ptr_array_add(one, entry);
    journal_update(engine->journal, one);
    push_put_off(engine, one, 0, words);
}

static void append_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    guint index = step - PUSH_APPEND;
    struct journal_entry *entry = push_entry(push, index);
    const struct imap_copied *copied = result->copied;
    bool gone = imap_is_mailbox_gone(result);
    if (gone && push_look_anew(push, index, result->text))
        return;
    if (gone) {
        append_refuse_one(push, index, ENGINE_GONE, result->text);
    } else if (append_may_pass(push, index, result)) {
        append_not_now(push, index, result->text);
    } else if (result->error != IMAP_OK) {
        append_refuse_one(push, index, append_error(result), result->text);
    } else {
        bool told = copied != NULL && copied->count == 1 && copied->to[0] != 0 &&
                    (!push->target_told || copied->uidvalidity == push->status.uidvalidity);
        entry->step = JOURNAL_PLACED;
        entry->target_uid = told ? copied->to[0] : 0;
        entry->target_uidvalidity = told ? copied->uidvalidity : entry->target_uidvalidity;
        push_raise_target(push, told ? copied : NULL);
    }
}

static bool entry_has_uid(const struct journal_entry *entry)
{
    return entry->target_uid != 0;
}

static void append_drop_answered(struct push *push)
{
    for (guint i = push->batch->len; i-- > 0;)
        if (push->batch->pdata[i] == NULL)
            g_ptr_array_steal_index(push->batch, i);
}

static void append_done(struct push *push)
{
    append_drop_answered(push);
    push_place(push->job.engine, push_pick(push->batch, entry_has_uid));
    if (push->batch->len > 0) { /* stored, the server does not say where */
        push_forget_target(push);
        while (push->batch->len > 0) {
            GPtrArray *one = push_entries_new();
            g_ptr_array_add(one, g_ptr_array_steal_index(push->batch, push->batch->len - 1));
            push_add_work(push, one);
        }
    }
    push_next(push);
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool append_is_too_big(const struct push *push, const struct journal_entry *entry)
{
    uint64_t limit = imap_session_append_limit(push->job.line->session);
    return limit != 0 && entry->size > limit;
}

/* Opens the staged files; what cannot be sent is refused. */
static void append_open_files(struct push *push)
{
    struct journal *journal = push->job.engine->journal;
    for (guint i = 0; i < push->batch->len; i++) {
        const struct journal_entry *entry = push_entry(push, i);
        int descriptor = -1;
        if (append_is_too_big(push, entry)) {
            append_refuse_one(push, i, ENGINE_TOO_BIG,
                              "the message is larger than the server takes");
            continue;
        }
        descriptor = journal_staged_open(journal, entry->staged);
        if (descriptor < 0)
            append_refuse_one(push, i, ENGINE_CACHE, g_strerror(errno));
        else
            g_array_append_val(push->descriptors, descriptor);
    }
    append_drop_answered(push);
}

static void append_send(struct push *push)
{
    append_open_files(push);
    if (push->batch->len == 0) {
        push_next(push);
        return;
    }
    if (!push_mark_sent(push))
        return;
    for (guint i = 0; i < push->batch->len; i++) {
        const struct journal_entry *entry = push_entry(push, i);
        const struct imap_append append = {
            .mailbox = entry->target,
            .flags = entry->add,
            .internaldate = entry->internaldate,
            .descriptor = g_array_index(push->descriptors, int, i),
            .size = entry->size,
        };
        imap_send_append(push->job.line->session, &append, job_done,
                         push_ticket(push, PUSH_APPEND + i));
    }
    push_await(push, append_heard, append_done);
}

void push_append(struct push *push)
{
    append_bound(push);
    push_open(push, NULL, push_entry(push, 0)->target, false, append_send);
}
