#include "fs/engine/push.h"

#include <string.h>
#include <unistd.h>

#include "fs/engine/folders.h"
#include "fs/engine/mirror.h"

/* What the user is just adding to is waited for so long: rm of thousands becomes few commands. */
#define GATHER_US (G_USEC_PER_SEC / 4)
#define GATHER_MOST_US (2 * G_USEC_PER_SEC)
#define SETTLE_LATER_US (5 * G_USEC_PER_SEC)
#define REST_FIRST_US (G_USEC_PER_SEC / 4)
#define REST_MOST_US (60 * G_USEC_PER_SEC)

static const struct push_kind {
    const char *name;
    push_then begin, resume; /* resume: it was SENT, the outcome is not known */
    bool gathers;
} KINDS[] = {
    [JOURNAL_MOVE] = {"move", push_move, push_recover, true},
    [JOURNAL_COPY] = {"copy", push_move, push_recover, true},
    [JOURNAL_EXPUNGE] = {"delete", push_remove, push_remove, true},
    [JOURNAL_FLAGS] = {"flag", push_flags, push_flags, true},
    [JOURNAL_APPEND] = {"store", push_append, push_find, false},
    [JOURNAL_CREATE] = {"make", push_create, push_create, false},
    [JOURNAL_REMOVE] = {"remove", push_delete, push_delete, false},
    [JOURNAL_RENAME] = {"rename", push_rename, push_rename, false},
};

const char *push_kind_name(enum journal_kind kind)
{
    return KINDS[kind].name;
}

/* ---- entries --------------------------------------------------------------------------------- */

GPtrArray *push_entries_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
}

bool push_is_placed(const struct journal_entry *entry)
{
    return entry->step == JOURNAL_PLACED;
}

GPtrArray *push_pick(GPtrArray *entries, bool (*which)(const struct journal_entry *entry))
{
    GPtrArray *picked = push_entries_new();
    GPtrArray *left = push_entries_new();
    while (entries->len > 0) {
        struct journal_entry *entry = g_ptr_array_steal_index(entries, entries->len - 1);
        g_ptr_array_add(which(entry) ? picked : left, entry);
    }
    while (left->len > 0)
        g_ptr_array_add(entries, g_ptr_array_steal_index(left, left->len - 1));
    g_ptr_array_unref(left);
    for (guint i = 0; i < picked->len / 2; i++) {
        gpointer swapped = picked->pdata[i];
        picked->pdata[i] = picked->pdata[picked->len - 1 - i];
        picked->pdata[picked->len - 1 - i] = swapped;
    }
    return picked;
}

struct imap_uidset *push_uids(const GPtrArray *entries)
{
    struct imap_uidset *uids = imap_uidset_new();
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        if (entry->message.uid != 0)
            imap_uidset_add(uids, entry->message.uid, entry->message.uid);
    }
    return uids;
}

/* ---- phases ---------------------------------------------------------------------------------- */

void *push_ticket(struct push *push, unsigned step)
{
    push->awaited += step != PUSH_IGNORED;
    return job_ticket(&push->job, step, 0);
}

static void push_phase_done(struct push *push)
{
    push_then then = push->then;
    push->then = NULL;
    push->heard = NULL;
    push->fetch = NULL;
    if (then != NULL)
        then(push);
}

void push_await(struct push *push, push_heard heard, push_then then)
{
    push->heard = heard;
    push->then = then;
    if (push->awaited == 0)
        push_phase_done(push);
}

void push_forget_refusal(struct push *push)
{
    g_free(push->refusal.text);
    push->refusal = (struct refusal){.imap = IMAP_OK};
}

void push_note(struct push *push, const struct imap_result *result)
{
    if (result->error == IMAP_OK || push->refusal.imap != IMAP_OK)
        return;
    push->refusal.imap = result->error;
    push->refusal.error = job_error_of(result);
    push->refusal.passing = job_is_passing(result);
    push->refusal.coded = result->code != NULL;
    push->refusal.text = g_strdup(result->text);
}

void push_note_text(struct push *push, enum engine_error error, const char *text)
{
    push_forget_refusal(push);
    push->refusal =
        (struct refusal){.imap = IMAP_ERROR_CANCELLED, .error = error, .text = g_strdup(text)};
}

bool push_may_split(const struct push *push)
{
    return push->batch->len > 1 && push->refusal.imap != IMAP_ERROR_NONEXISTENT &&
           push->refusal.imap != IMAP_ERROR_NOPERM;
}

/* Where a new message can lie. One that was sent before, over a connection that was cut, may be
 * done only now: it can lie where it could then. */
static void push_note_target(const struct push *push, struct journal_entry *entry)
{
    uint32_t uidvalidity = push->target_told ? push->status.uidvalidity : 0;
    uint32_t uidnext = push->target_told ? push->status.uidnext : 0;
    if (uidvalidity == entry->target_uidvalidity && entry->target_uidnext != 0)
        uidnext = MIN(uidnext, entry->target_uidnext);
    entry->target_uidvalidity = uidvalidity;
    entry->target_uidnext = uidnext;
}

bool push_mark_sent(struct push *push)
{
    for (guint i = 0; i < push->batch->len; i++) {
        struct journal_entry *entry = push_entry(push, i);
        entry->step = JOURNAL_SENT;
        entry->target_uid = 0;
        push_note_target(push, entry);
    }
    int rc = journal_update(push->job.engine->journal, push->batch);
    if (rc == CACHE_OK)
        return true;
    g_warning("the journal cannot be written; changes wait");
    for (guint i = 0; i < push->batch->len; i++)
        push_entry(push, i)->step = JOURNAL_QUEUED;
    push_put_off(push->job.engine, g_steal_pointer(&push->batch), 10 * G_USEC_PER_SEC,
                 "the journal cannot be written");
    push_next(push);
    return false;
}

/* ---- batches --------------------------------------------------------------------------------- */

static void push_close_descriptors(struct push *push)
{
    for (guint i = 0; i < push->descriptors->len; i++)
        close(g_array_index(push->descriptors, int, i));
    g_array_set_size(push->descriptors, 0);
}

void push_next(struct push *push)
{
    g_clear_pointer(&push->batch, g_ptr_array_unref);
    g_clear_pointer(&push->modified, imap_uidset_free);
    push_expunge_clear(push);
    g_clear_pointer(&push->body, g_bytes_unref);
    g_clear_pointer(&push->mirror, mirror_free);
    push_close_descriptors(push);
    push_forget_refusal(push);
    push_look_clear(push);
    push->told = push->rewound = push->agreed = push->blind = false;
    push->round = 0;
    push->again = true;
}

void push_add_work(struct push *push, GPtrArray *entries)
{
    if (entries->len > 0)
        g_queue_push_head(&push->work, entries);
    else
        g_ptr_array_unref(entries);
}

static bool is_within(const struct engine *engine, const struct journal_entry *entry, gint64 us)
{
    gint64 age = engine->clock->wall() - entry->asked_us;
    return entry->asked_us != 0 && age >= 0 && age < us;
}

/* Whether the user is probably still adding to it; or a program is in the middle of many changes,
 * which it ends sooner if the server's work on the first of them does not compete with it. */
static bool batch_is_young(struct engine *engine, const GPtrArray *batch)
{
    const struct journal_entry *first = batch->pdata[0], *last = batch->pdata[batch->len - 1];
    gint64 asked = atomic_load(&engine->push->asked_us);
    bool young = batch->len < PUSH_BATCH && is_within(engine, last, GATHER_US);
    bool storm = engine_now(engine) - asked < GATHER_US && is_within(engine, first, GATHER_MOST_US);
    return KINDS[last->kind].gathers && last->step == JOURNAL_QUEUED && (young || storm) &&
           engine->push->waiters == 0;
}

/* On the only line, others get their turn between two batches. */
static bool push_should_yield(const struct engine *engine)
{
    return engine->waiting.length > 0 && !pool_may_open(engine) && engine->pool.lines->len == 1;
}

static GPtrArray *push_take(struct push *push)
{
    struct engine *engine = push->job.engine;
    struct pusher *pusher = engine->push;
    if (push->did && push_should_yield(engine)) {
        push->more = true;
        return NULL;
    }
    GPtrArray *batch = journal_take(engine->journal, PUSH_BATCH);
    if (batch == NULL) {
        pusher->wanted = false;
        return NULL;
    }
    if (batch_is_young(engine, batch)) {
        journal_give_back(engine->journal, batch);
        g_ptr_array_unref(batch);
        pusher->gather_us = engine_now(engine) + GATHER_US;
        return NULL;
    }
    return batch;
}

static void push_begin(struct push *push)
{
    push->batch = g_queue_pop_head(&push->work);
    if (push->batch == NULL)
        push->batch = push_take(push);
    if (push->batch == NULL) {
        job_end(&push->job, ENGINE_OK);
        return;
    }
    push->did = true;
    const struct journal_entry *first = push_entry(push, 0);
    const struct push_kind *kind = &KINDS[first->kind];
    if (first->step == JOURNAL_PLACED) /* an APPEND: stored, and it is not known where */
        push_find_again(push);
    else if (first->step == JOURNAL_QUEUED)
        kind->begin(push);
    else if (first->step == JOURNAL_SENT)
        kind->resume(push);
    else
        push_remove(push);
}

static void push_run(struct push *push)
{
    while (push->again && push->job.state == JOB_RUNNING && !push->job.lost) {
        push->again = false;
        push_begin(push);
    }
}

/* ---- the job --------------------------------------------------------------------------------- */

static void push_start(struct job *job)
{
    struct push *push = (struct push *)job;
    push->looked = push_looked_new();
    push->sources = push_looked_new();
    push->descriptors = g_array_new(FALSE, FALSE, sizeof(int));
    push->again = true;
    push_run(push);
}

static void push_answered(struct job *job, unsigned step, const struct imap_result *result)
{
    struct push *push = (struct push *)job;
    if (step != PUSH_IGNORED) {
        if (push->heard != NULL)
            push->heard(push, step, result);
        if (--push->awaited == 0)
            push_phase_done(push);
    }
    push_run(push);
}

static bool push_fetched(struct job *job, const struct imap_fetch *fetch)
{
    struct push *push = (struct push *)job;
    return push->fetch != NULL && push->fetch(push, fetch);
}

static void push_status(struct job *job, const struct imap_status *status)
{
    struct push *push = (struct push *)job;
    if (push->target == NULL || strcmp(push->target, status->wire) != 0)
        return;
    push->status = *status;
    push->status.wire = NULL;
    push->target_told = true;
}

static void push_list(struct job *job, const struct imap_list *list)
{
    struct push *push = (struct push *)job;
    if (push->listed != NULL && push->listed->len < 100000 && list->wire[0] != '\0')
        g_ptr_array_add(push->listed, folder_entry_new(list));
}

/* An APPEND that was not wholly handed over when the connection ended has stored nothing. */
static void push_lost(struct job *job, const struct imap_session *session, unsigned step)
{
    struct push *push = (struct push *)job;
    guint index = step - PUSH_APPEND;
    if (push->batch == NULL || step < PUSH_APPEND || index >= push->batch->len)
        return;
    struct journal_entry *entry = push_entry(push, index);
    if (entry->kind != JOURNAL_APPEND || entry->step != JOURNAL_SENT || imap_append_is_out(session))
        return;
    entry->step = JOURNAL_QUEUED;
    push->rewound = true;
}

static bool entry_is_queued(const struct journal_entry *entry)
{
    return entry->step == JOURNAL_QUEUED;
}

static void push_give_back(struct push *push)
{
    struct journal *journal = push->job.engine->journal;
    GPtrArray *batch;
    if (push->batch != NULL && push->rewound) {
        g_autoptr(GPtrArray) unsent = push_pick(push->batch, entry_is_queued);
        journal_update(journal, unsent);
        journal_give_back(journal, unsent);
    }
    if (push->batch != NULL)
        g_queue_push_head(&push->work, g_steal_pointer(&push->batch));
    push->more = push->more || push->work.length > 0;
    while ((batch = g_queue_pop_head(&push->work)) != NULL) {
        journal_give_back(journal, batch);
        g_ptr_array_unref(batch);
    }
}

static gboolean push_posted(gpointer data)
{
    struct engine *engine = data;
    if (g_atomic_int_get(&engine->stopping))
        return G_SOURCE_REMOVE;
    engine_hurry(engine);
    push_kick(engine);
    return G_SOURCE_REMOVE;
}

static void push_clear(struct job *job)
{
    struct push *push = (struct push *)job;
    struct pusher *pusher = job->engine->push;
    push_give_back(push);
    if (push->descriptors != NULL) { /* it was started */
        push_next(push);
        g_array_unref(push->descriptors);
        g_array_unref(push->looked);
        g_array_unref(push->sources);
    }
    g_clear_pointer(&push->listed, g_ptr_array_unref);
    push_forget_refusal(push);
    g_free(push->undone_text);
    g_free(push->selected);
    g_free(push->target);
    pusher->job = NULL;
    if (push->job.lost || push->more)
        pusher->wanted = true;
    if (push->job.lost) {
        gint64 rest = REST_FIRST_US << MIN(pusher->losses, 8);
        pusher->losses++;
        pusher->rest_us = engine_now(job->engine) + MIN(rest, REST_MOST_US);
    }
    if (g_atomic_int_get(&job->engine->stopping))
        return;
    push_settle_placed(job->engine);
    engine_post(job->engine->context, push_posted, job->engine, NULL);
}

static enum engine_error push_offline(struct job *job, enum engine_error why)
{
    return why;
}

const struct job_class PUSH_CLASS = {
    .name = "push",
    .size = sizeof(struct push),
    .start = push_start,
    .answered = push_answered,
    .fetch = push_fetched,
    .expunged = push_expunged,
    .list = push_list,
    .status = push_status,
    .lost = push_lost,
    .offline = push_offline,
    .clear = push_clear,
    .mailless = true,
    .exclusive = true,
};

/* ---- when it runs ---------------------------------------------------------------------------- */

void push_kick(struct engine *engine)
{
    struct pusher *pusher = engine->push;
    gint64 now = engine_now(engine);
    push_scan(engine);
    if (pusher->job != NULL || !pusher->wanted || engine->pool.failing || now < pusher->rest_us)
        return;
    if (now < pusher->gather_us && pusher->waiters == 0 &&
        g_hash_table_size(pusher->hierarchy) == 0)
        return;
    pusher->job = job_begin(engine, &PUSH_CLASS, "J");
}

static gboolean push_wanted(gpointer data)
{
    struct engine *engine = data;
    engine->push->wanted = true;
    return push_posted(engine);
}

void engine_push(struct engine *engine)
{
    if (engine->journal != NULL)
        atomic_store(&engine->push->asked_us, engine_now(engine));
    if (engine->journal != NULL && g_atomic_int_compare_and_exchange(&engine->push->posted, 0, 1))
        engine_post(engine->context, push_wanted, engine, NULL);
}

/* The server can expunge by UID after all: what was marked for good is gone on with. */
static void push_unkeep(struct engine *engine)
{
    const struct line *line = engine->pool.lines->pdata[engine->pool.lines->len - 1];
    unsigned capabilities = imap_session_capabilities(line->session);
    struct journal_counts counts = {0};
    journal_counts(engine->journal, &counts);
    if (counts.marked == 0 || (capabilities & (IMAP_CAP_UIDPLUS | IMAP_CAP_IMAP4REV2)) == 0)
        return;
    g_autoptr(GPtrArray) kept = push_entries_new();
    struct journal_entry *entry;
    for (uint64_t at = 0; (entry = journal_next(engine->journal, at)) != NULL;) {
        at = entry->id;
        if (!entry->kept) {
            journal_entry_free(entry);
            continue;
        }
        entry->kept = false;
        entry->step = entry->kind == JOURNAL_MOVE ? JOURNAL_COPIED : JOURNAL_QUEUED;
        g_ptr_array_add(kept, entry);
    }
    journal_update(engine->journal, kept);
}

void push_opened(struct engine *engine)
{
    if (engine->journal == NULL)
        return;
    push_unkeep(engine);
    engine->push->wanted = true;
    push_settle_placed(engine);
    push_kick(engine);
}

struct push_later {
    GPtrArray *entries;
    gint64 due_us;
    bool done; /* they are to be settled, not to be sent again */
};

static void push_return_later(struct engine *engine, gint64 now)
{
    GQueue *later = &engine->push->later;
    GList *next;
    for (GList *at = later->head; at != NULL; at = next) {
        struct push_later *put_off = at->data;
        next = at->next;
        if (put_off->due_us > now)
            continue;
        g_queue_delete_link(later, at);
        if (put_off->done) {
            push_settle(engine, g_ptr_array_ref(put_off->entries));
        } else {
            journal_give_back(engine->journal, put_off->entries);
            engine->push->wanted = true;
        }
        g_ptr_array_unref(put_off->entries);
        g_free(put_off);
    }
}

void push_settle_later(struct engine *engine, GPtrArray *entries)
{
    struct push_later *later = g_new0(struct push_later, 1);
    later->entries = entries;
    later->due_us = engine_now(engine) + SETTLE_LATER_US;
    later->done = true;
    g_queue_push_tail(&engine->push->later, later);
    engine_hurry(engine);
}

void push_put_off(struct engine *engine, GPtrArray *entries, gint64 delay_us, const char *why)
{
    if (entries->len == 0) {
        g_ptr_array_unref(entries);
        return;
    }
    const struct journal_entry *first = entries->pdata[0];
    push_note_put_off(engine, entries, why);
    if (delay_us == 0) {
        unsigned tries = push_count_try(engine, first->id);
        delay_us = MIN(G_USEC_PER_SEC << MIN(tries, 8), REST_MOST_US);
    }
    struct push_later *later = g_new0(struct push_later, 1);
    later->entries = entries;
    later->due_us = engine_now(engine) + delay_us;
    g_queue_push_tail(&engine->push->later, later);
    engine_hurry(engine);
}

void push_tick(struct engine *engine, gint64 now)
{
    if (engine->journal == NULL)
        return;
    if (g_atomic_int_compare_and_exchange(&engine->push->posted, 1, 0))
        engine->push->wanted = true; /* more may have come since */
    push_return_later(engine, now);
    if (engine->push->unsettled)
        push_settle_placed(engine);
    if (engine->push->wanted)
        push_kick(engine);
}

bool push_is_busy(const struct engine *engine)
{
    const struct pusher *pusher = engine->push;
    return engine->journal != NULL &&
           (pusher->wanted || pusher->unsettled || pusher->later.length > 0);
}

/* ---- life ------------------------------------------------------------------------------------ */

void push_init(struct engine *engine)
{
    struct pusher *pusher = g_new0(struct pusher, 1);
    engine->push = pusher;
    pusher->wanted = engine->journal != NULL;
    pusher->hierarchy = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    pusher->objects = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    pusher->moved = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    pusher->claims = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    pusher->tries = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    pusher->gone = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    pusher->put_off = push_put_offs_new();
    pusher->refusals = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

void push_free(struct engine *engine)
{
    struct pusher *pusher = engine->push;
    push_return_later(engine, G_MAXINT64);
    push_drop_placed(engine);
    GHashTable *const tables[] = {pusher->hierarchy, pusher->objects, pusher->moved,
                                  pusher->claims,    pusher->tries,   pusher->gone,
                                  pusher->refusals};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        g_hash_table_unref(tables[i]);
    g_queue_clear_full(&pusher->refused, g_free);
    g_tree_unref(pusher->put_off);
    g_free(pusher);
}
