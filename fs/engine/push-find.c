/* An APPEND whose answer was lost, or said no UID: the message is looked for in the target, among
 * what has come there since. Candidates have its Message-ID, or, if it has none, its date and about
 * its size; they are ours for certain if their bytes are (servers may change bytes on storing: then
 * Message-ID, date and about the size must do). If it was stored twice, the later goes. */
#include <stdlib.h>
#include <string.h>

#include "fs/engine/push.h"

#define LOOK_AGAIN_US (2 * G_USEC_PER_SEC)

static const struct journal_entry *find_entry(const struct push *push)
{
    return push_entry(push, 0);
}

static bool size_is_near(uint64_t one, uint64_t other)
{
    uint64_t apart = one > other ? one - other : other - one;
    return apart <= MAX(other / 50, 2);
}

static bool find_has_id(const struct push *push)
{
    return find_entry(push)->message_id[0] != '\0';
}

static bool find_may_be(const struct push *push, const struct looked *looked)
{
    const struct journal_entry *entry = find_entry(push);
    if (looked->taken)
        return false;
    if (find_has_id(push)) {
        g_autofree char *id = looked_id(entry->message_id, strlen(entry->message_id));
        return strcmp(id, looked->message_id) == 0;
    }
    return looked->message_id[0] == '\0' && looked->date == entry->internaldate &&
           size_is_near(looked->size, entry->size);
}

/* ---- found ----------------------------------------------------------------------------------- */

static void find_settle(struct push *push, const struct looked *found)
{
    struct journal_entry *entry = push_entry(push, 0);
    entry->step = JOURNAL_PLACED;
    if (found != NULL) {
        entry->target_uid = found->uid;
        entry->target_uidvalidity = imap_session_state(push->job.line->session)->uidvalidity;
    }
    push_place(push->job.engine, g_steal_pointer(&push->batch));
    push_next(push);
}

static void find_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    push_note(push, result);
}

static void find_twin_removed(struct push *push)
{
    find_settle(push, looked_find(push->looked, push->found));
}

/* Whether another APPEND of the same bytes waits for its answer: then a second copy may be its. */
static bool find_has_sibling(const struct push *push)
{
    const struct journal_entry *entry = find_entry(push);
    uint64_t at = 0;
    for (;;) {
        g_autoptr(journal_entry) other = journal_next(push->job.engine->journal, at);
        if (other == NULL)
            return false;
        at = other->id;
        if (at != entry->id && other->kind == JOURNAL_APPEND &&
            memcmp(other->digest, entry->digest, sizeof entry->digest) == 0)
            return true;
    }
}

/* Stored twice, byte for byte the same, above where it could have been before: both are ours. */
static void find_remove_twin(struct push *push, uint32_t uid)
{
    struct imap_uidset *uids = imap_uidset_new();
    imap_uidset_add(uids, uid, uid);
    g_message("%s: a message was stored twice; its second copy, UID %u, is removed",
              find_entry(push)->target, uid);
    push_expunge(push, uids, find_twin_removed);
}

/* ---- none ------------------------------------------------------------------------------------ */

/* What another connection was cut off from may still be at work on the server. */
static void find_none(struct push *push)
{
    struct engine *engine = push->job.engine;
    struct journal_entry *entry = push_entry(push, 0);
    if (entry->step == JOURNAL_PLACED) { /* the server has said that it has it */
        find_settle(push, NULL);
        return;
    }
    if (push_count_try(engine, entry->id) <= 1) {
        push_put_off(engine, g_steal_pointer(&push->batch), LOOK_AGAIN_US, NULL);
    } else {
        entry->step = JOURNAL_QUEUED;
        journal_update(engine->journal, push->batch);
        push_add_work(push, g_steal_pointer(&push->batch));
    }
    push_next(push);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool find_body(struct push *push, const struct imap_fetch *fetch)
{
    for (uint32_t i = 0; i < fetch->body_count; i++) {
        if (fetch->uid != push->asked || fetch->bodies[i].section[0] != '\0')
            continue;
        g_clear_pointer(&push->body, g_bytes_unref);
        if (fetch->bodies[i].bytes != NULL)
            push->body = g_bytes_ref(fetch->bodies[i].bytes);
        return true;
    }
    return false;
}

static bool find_is_equal(const struct push *push)
{
    if (push->body == NULL)
        return false;
    uint8_t digest[JOURNAL_DIGEST];
    gsize length = sizeof digest, size;
    const void *bytes = g_bytes_get_data(push->body, &size);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, bytes, (gssize)size);
    g_checksum_get_digest(checksum, digest, &length);
    return memcmp(digest, find_entry(push)->digest, sizeof digest) == 0;
}

static void find_try(struct push *push);

static void find_compared(struct push *push)
{
    struct looked *looked = looked_find(push->looked, push->asked);
    bool equal = find_is_equal(push);
    g_clear_pointer(&push->body, g_bytes_unref);
    if (looked != NULL)
        looked->taken = true;
    if (looked != NULL && equal && push->found != 0 && push->found_equal && push->look_above &&
        !find_has_sibling(push)) {
        find_remove_twin(push, looked->uid);
        return;
    }
    bool loose = looked != NULL && find_has_id(push) &&
                 looked->date == find_entry(push)->internaldate &&
                 size_is_near(looked->size, find_entry(push)->size);
    if (looked != NULL && (equal || loose) && (push->found == 0 || (equal && !push->found_equal))) {
        push->found = looked->uid;
        push->found_equal = equal;
    }
    find_try(push);
}

/* The next candidate, in the order of UIDs. */
static void find_try(struct push *push)
{
    struct looked *next = NULL;
    for (guint i = 0; i < push->looked->len && next == NULL; i++) {
        struct looked *looked = &g_array_index(push->looked, struct looked, i);
        if (find_may_be(push, looked))
            next = looked;
    }
    if (next == NULL && push->found != 0) {
        find_settle(push, looked_find(push->looked, push->found));
        return;
    }
    if (next == NULL) {
        find_none(push);
        return;
    }
    g_autoptr(imap_uidset) uids = imap_uidset_new();
    const struct imap_fetch_request request = {.items = IMAP_ITEM_UID, .section = ""};
    imap_uidset_add(uids, next->uid, next->uid);
    push->asked = next->uid;
    push->fetch = find_body;
    imap_send_uid_fetch(push->job.line->session, uids, &request, job_done,
                        push_ticket(push, PUSH_LOOK));
    push_await(push, find_heard, find_compared);
}

static int looked_order(const void *a, const void *b)
{
    const struct looked *one = a, *other = b;
    return (one->uid > other->uid) - (one->uid < other->uid);
}

static void find_looked(struct push *push)
{
    if (push->refusal.imap != IMAP_OK) {
        push_put_off(push->job.engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
        push_next(push);
        return;
    }
    g_array_sort(push->looked, looked_order);
    push->found = 0;
    push->found_equal = false;
    find_try(push);
}

static void find_selected(struct push *push)
{
    struct engine *engine = push->job.engine;
    const struct journal_entry *entry = find_entry(push);
    if (push->refusal.imap == IMAP_OK) {
        uint32_t uidvalidity = imap_session_state(push->job.line->session)->uidvalidity;
        push->look_above = uidvalidity == entry->target_uidvalidity && entry->target_uidnext != 0;
        push_look_from(push, push->look_above ? entry->target_uidnext : 1, push->looked,
                       find_looked);
    } else if (entry->step == JOURNAL_PLACED) {
        find_settle(push, NULL);
    } else if (push->refusal.passing) {
        push_put_off(engine, g_steal_pointer(&push->batch), 0, push->refusal.text);
        push_next(push);
    } else {
        push_refuse(engine, g_steal_pointer(&push->batch), push->refusal.error, push->refusal.text);
        push_next(push);
    }
}

void push_find_again(struct push *push)
{
    push_select(push, find_entry(push)->target, find_selected);
}

void push_find(struct push *push)
{
    GPtrArray *rest = push_entries_new();
    while (push->batch->len > 1)
        g_ptr_array_insert(rest, 0, g_ptr_array_steal_index(push->batch, push->batch->len - 1));
    push_add_work(push, rest);
    push_forget_target(push);
    push_find_again(push);
}
