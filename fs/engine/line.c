/* Which job runs on which line, and what a line's session says while they run. */
#include "fs/engine/job.h"
#include "fs/engine/mirror.h"
#include "fs/engine/push.h"
#include "fs/engine/sync.h"
#include "fs/engine/watch.h"

/* Bytes on the way on one line at once. Counted in bytes, since a window of messages is either too
 * small for the small ones or too big for the big. */
#define WINDOW (4u << 20)
/* Behind more than this somebody who waits would rather not stand. */
#define WINDOW_BEHIND (256u << 10)
/* Commands of one line at once, whatever they ask for. */
#define WINDOW_JOBS 256

/* ---- placing --------------------------------------------------------------------------------- */

static bool job_selected_on(const struct job *job, const struct line *line)
{
    return !job->class->mailless && line->folder == job->folder && line->folder != 0;
}

static bool line_has_ahead(const struct line *line)
{
    for (GList *at = line->jobs.head; at != NULL; at = at->next)
        if (((struct job *)at->data)->ahead)
            return true;
    return false;
}

/* Whether a job runs there that shares with none. */
static bool line_is_taken(const struct line *line)
{
    const struct job *first = g_queue_peek_head((GQueue *)&line->jobs);
    return first != NULL && first->class->exclusive;
}

/* Whether what nobody waits for takes long there. */
static bool line_is_slow(const struct line *line)
{
    const struct job *first = g_queue_peek_head((GQueue *)&line->jobs);
    return first != NULL && (first->class->bulk || line->owed > WINDOW_BEHIND) &&
           line_has_ahead(line);
}

/* How well a line fits, the best first. */
enum fit { FIT_WELL, FIT_FREE, FIT_WATCHES, FIT_BEHIND, FIT_NOT };

/* A line without jobs. One that watches over a mailbox in use leaves that for the job's. */
static enum fit job_fit_free(const struct job *job, const struct line *line)
{
    if (job->class->bulk && watch_needs(line))
        return FIT_WATCHES;
    bool stays = job->class->mailless && !job->class->exclusive;
    if (job_selected_on(job, line) || stays)
        return FIT_WELL;
    return watch_in_use(line->engine, line->folder) ? FIT_WATCHES : FIT_FREE;
}

static enum fit job_fit(const struct job *job, const struct line *line)
{
    if (line->doomed || (line->jobs.length > 0 && (job->class->exclusive || line_is_taken(line))))
        return FIT_NOT;
    if (line->jobs.length == 0)
        return job_fit_free(job, line);
    if (!job->ahead && line->engine->pool.cap > 1 && line_is_slow(line))
        return FIT_NOT;
    bool room =
        (line->owed == 0 || line->owed + job->cost <= WINDOW) && line->jobs.length < WINDOW_JOBS;
    if (!room || !(job->class->mailless || job_selected_on(job, line)))
        return FIT_NOT;
    bool behind = line->owed > WINDOW_BEHIND || line_has_ahead(line);
    return behind && !job->ahead ? FIT_BEHIND : FIT_WELL;
}

/* Of lines that fit the same: what is asked for there already, then whose mailbox was not opened
 * for the longest time. */
static bool line_is_better(const struct job *job, const struct line *line, const struct line *than)
{
    if (job->class->newest)
        return line->opened_us > than->opened_us;
    if (line->owed != than->owed)
        return line->owed < than->owed;
    return watch_used_us(line->engine, line->folder) < watch_used_us(than->engine, than->folder);
}

/* Whether a job that nobody waits for leaves a line, or room for one, to those that somebody does.
 */
static bool job_ahead_may(const struct job *job, const struct line *line)
{
    const struct pool *pool = &job->engine->pool;
    bool may_open = pool->lines->len + pool->openings->len < pool->cap;
    if (pool->cap <= 1 || (may_open && !job->class->bulk))
        return true;
    for (guint i = 0; i < pool->lines->len; i++) {
        const struct line *other = pool->lines->pdata[i];
        if (other != line && !other->doomed && !line_has_ahead(other))
            return true;
    }
    return false;
}

static struct line *job_choose(const struct job *job)
{
    const struct pool *pool = &job->engine->pool;
    struct line *best = NULL;
    enum fit best_fit = FIT_NOT;
    for (guint i = 0; i < pool->lines->len; i++) {
        struct line *line = pool->lines->pdata[i];
        enum fit fit = job_fit(job, line);
        if (fit == FIT_NOT || (job->ahead && !job_ahead_may(job, line)))
            continue;
        if (best == NULL || fit < best_fit ||
            (fit == best_fit && line_is_better(job, line, best))) {
            best = line;
            best_fit = fit;
        }
    }
    return best;
}

static bool job_clashes(const struct job *job)
{
    const struct pool *pool = &job->engine->pool;
    for (guint i = 0; job->class->clashes != NULL && i < pool->lines->len; i++) {
        const struct line *line = pool->lines->pdata[i];
        for (GList *at = line->jobs.head; at != NULL; at = at->next) {
            const struct job *running = at->data;
            if (running->state == JOB_RUNNING && running->class == job->class &&
                running->wish.messages == job->wish.messages && job->class->clashes(job, running))
                return true;
        }
    }
    return false;
}

void job_forget_mirror(struct line *line)
{
    if (line->mirror != NULL)
        mirror_flush(line->mirror);
    g_clear_pointer(&line->mirror, mirror_free);
}

/* The line's mailbox is not the one that the job's UIDs are of: either the job is old, or the line.
 */
static void job_start_apart(struct job *job, const struct line *line)
{
    if (line_is_kept(line))
        job_end(job, ENGINE_GONE);
    else
        job_send_examine(job, JOB_STEP_SELECT);
}

static void job_start(struct job *job, struct line *line)
{
    job_ref(job);
    job->state = JOB_RUNNING;
    job->line = line;
    g_queue_push_tail(&line->jobs, job);
    bool selected = job_selected_on(job, line) && imap_session_mailbox(line->session) != NULL;
    if (!job->class->mailless && !selected)
        job_forget_mirror(line);
    if (!job->class->mailless && !job->class->examines) {
        if (!selected)
            job_send_examine(job, JOB_STEP_SELECT);
        else if (line->examining == 0 && line->uidvalidity != job->uidvalidity)
            job_start_apart(job, line);
    }
    if (job->state == JOB_RUNNING)
        job->class->start(job);
    if (job->state == JOB_RUNNING && job->in_flight == 0 && !job->lost)
        job_end(job, ENGINE_BROKEN);
    job_unref(job);
}

/* Returns 1 if the job waits for want of a line. */
static unsigned job_place(GQueue *queue, struct job *job)
{
    if (job->class->satisfied != NULL && job->class->satisfied(job)) {
        job_end(job, ENGINE_OK);
        return 0;
    }
    struct line *line = job_choose(job);
    if (line == NULL)
        return 1;
    if (job_name_anew(job) && push_bars(job->engine, job))
        return 0; /* RENAME comes first */
    if (g_queue_remove(queue, job))
        job_start(job, line);
    return 0;
}

/* Runs what can run of one queue. Returns how many wait for want of a line. */
static unsigned job_place_all(struct engine *engine, GQueue *queue)
{
    unsigned left = 0;
    g_autoptr(GPtrArray) waiting = g_ptr_array_sized_new(queue->length);
    for (GList *at = queue->head; at != NULL; at = at->next)
        g_ptr_array_add(waiting, job_ref(at->data));
    for (guint i = 0; i < waiting->len; i++) {
        struct job *job = waiting->pdata[i];
        if (job->state == JOB_WAITING && !job_clashes(job) && !push_bars(engine, job))
            left += job_place(queue, job);
        job_unref(job);
    }
    return left;
}

static gboolean job_schedule_now(gpointer data)
{
    struct engine *engine = data;
    engine->schedule_queued = false;
    g_clear_pointer(&engine->schedule_source, g_source_unref);
    if (pause_lasts(engine))
        return G_SOURCE_REMOVE;
    unsigned left = job_place_all(engine, &engine->waiting);
    unsigned ahead = left == 0 ? job_place_all(engine, &engine->waiting_ahead) : 0;
    const struct pool *pool = &engine->pool;
    if (left > 0 || (ahead > 0 && pool->lines->len < 2))
        pool_open(engine);
    engine_publish(engine);
    return G_SOURCE_REMOVE;
}

void job_schedule(struct engine *engine)
{
    if (engine->schedule_queued || g_atomic_int_get(&engine->stopping))
        return;
    engine->schedule_queued = true;
    engine->schedule_source = g_idle_source_new();
    g_source_set_priority(engine->schedule_source, G_PRIORITY_DEFAULT);
    g_source_set_callback(engine->schedule_source, job_schedule_now, engine, NULL);
    g_source_attach(engine->schedule_source, engine->context);
}

/* ---- failure --------------------------------------------------------------------------------- */

static void job_fail_queue(GQueue *queue, enum engine_error why)
{
    GQueue waiting = *queue;
    g_queue_init(queue);
    struct job *job;
    while ((job = g_queue_pop_head(&waiting)) != NULL)
        job_end(job, job->class->offline(job, why));
}

void job_fail_waiting(struct engine *engine, enum engine_error why)
{
    job_fail_queue(&engine->waiting, why);
    job_fail_queue(&engine->waiting_ahead, why);
    pushed_fail(engine, why);
}

void job_line_lost(struct line *line, bool blameless)
{
    job_forget_mirror(line);
    GQueue jobs = line->jobs;
    g_queue_init(&line->jobs);
    line->jobs = (GQueue)G_QUEUE_INIT;
    struct job *job;
    while ((job = g_queue_pop_tail(&jobs)) != NULL) {
        job->line = NULL;
        /* those that were there before may have been dead for long, one like the other */
        job_lost(job, blameless || line->opened_us < job->made_us);
    }
}

/* ---- what the session says ------------------------------------------------------------------- */

/* Changes by others in the mailbox that is selected here, batched until the loop's next turn. */
static struct mirror *line_mirror(struct line *line)
{
    if (line->folder == 0 || line->examining > 0)
        return NULL;
    if (line->mirror == NULL)
        line->mirror = mirror_new(line->engine, line->folder, line->uidvalidity);
    if (line->mirror != NULL)
        mirror_set_unasked(line->mirror);
    return line->mirror;
}

/* What the server tells before it answers EXAMINE is of the mailbox that was left. */
static bool line_tells_left(const struct line *line)
{
    return line->examining > 0 && !imap_session_opening(line->session);
}

/* What the server tells while a change of ours is sent is mostly what that does. */
static void line_changed(struct line *line)
{
    if (line_tells_left(line)) {
        watch_sync(line->engine, line->left);
        return;
    }
    g_hash_table_remove(line->engine->fresh, GUINT_TO_POINTER(line->folder));
    if (line_is_taken(line))
        line->missed = line->folder;
    else
        watch_sync(line->engine, line->folder);
}

static void line_fetch(struct imap_session *session, const struct imap_fetch *fetch, void *data)
{
    struct line *line = data;
    GList *next;
    for (GList *at = line->jobs.head; at != NULL; at = next) {
        struct job *job = at->data;
        next = at->next;
        if (job->state != JOB_RUNNING || job->class->fetch == NULL || job->lost ||
            !job_is_current(job))
            continue;
        if (!job->class->fetch(job, fetch))
            continue;
        pause_eased(job);
        pool_moved(line);
        return;
    }
    struct mirror *mirror = line_mirror(line);
    bool changed = line_tells_left(line) || (mirror != NULL && fetch->uid == 0);
    if ((fetch->items & IMAP_ITEM_FLAGS) == 0)
        return;
    if (changed)
        line_changed(line);
    else if (mirror != NULL)
        mirror_flags(mirror, fetch);
}

static void line_expunged(struct imap_session *session, uint32_t uid, void *data)
{
    struct line *line = data;
    for (GList *at = line->jobs.head; at != NULL && uid != 0; at = at->next) {
        struct job *job = at->data;
        if (job->state == JOB_RUNNING && !job->lost && job->class->expunged != NULL)
            job->class->expunged(job, uid);
    }
    struct mirror *mirror = line_mirror(line);
    if (mirror != NULL && uid != 0)
        mirror_remove(mirror, uid);
    else
        line_changed(line);
}

/* QRESYNC tells what went before it tells that the mailbox is selected. */
static void line_vanished(struct imap_session *session, const struct imap_uidset *uids, void *data)
{
    struct line *line = data;
    for (GList *at = line->jobs.head; at != NULL; at = at->next) {
        struct job *job = at->data;
        if (job->state == JOB_RUNNING && !job->lost && job->class->vanished != NULL) {
            pool_moved(line);
            job->class->vanished(job, uids);
            return;
        }
    }
}

static void line_exists(struct imap_session *session, uint32_t count, void *data)
{
    line_changed(data);
}

/* Whose answer this is. */
static struct job *line_asker(struct line *line, bool search)
{
    for (GList *at = line->jobs.head; at != NULL; at = at->next) {
        struct job *job = at->data;
        bool asks = search ? job->class->search != NULL : job->class->list != NULL;
        if (job->state != JOB_RUNNING || job->lost || !asks)
            continue;
        pool_moved(line);
        return job;
    }
    return NULL;
}

static void line_search(struct imap_session *session, const struct imap_uidset *uids, void *data)
{
    struct job *job = line_asker(data, true);
    if (job != NULL)
        job->class->search(job, uids);
}

static void line_list(struct imap_session *session, const struct imap_list *list, void *data)
{
    struct job *job = line_asker(data, false);
    if (job != NULL)
        job->class->list(job, list);
}

static void line_status(struct imap_session *session, const struct imap_status *status, void *data)
{
    struct job *job = line_asker(data, false);
    if (job != NULL && job->class->status != NULL)
        job->class->status(job, status);
}

static void line_quota(struct imap_session *session, const struct imap_quota *quota, void *data)
{
    const struct line *line = data;
    struct engine *engine = line->engine;
    g_mutex_lock(&engine->lock);
    engine->status.quota_known = true;
    engine->status.quota_used = quota->storage_used;
    engine->status.quota_limit = quota->storage_limit;
    engine->status.quota_messages = quota->messages_used;
    engine->status.quota_messages_limit = quota->messages_limit;
    g_mutex_unlock(&engine->lock);
}

static void line_alert(struct imap_session *session, const char *text, void *data)
{
    g_message("the server says: %s", text);
}

static void line_closed(struct imap_session *session, enum imap_error error, const char *text,
                        void *data)
{
    struct line *line = data;
    g_info("connection %u closed: %s", imap_session_number(session), text != NULL ? text : "");
    pool_doom(line, error);
}

const struct imap_events JOB_EVENTS = {
    .fetch = line_fetch,
    .expunged = line_expunged,
    .vanished = line_vanished,
    .exists = line_exists,
    .list_news = watch_list_news,
    .status_news = watch_status_news,
    .overflow = watch_overflow,
    .list = line_list,
    .status = line_status,
    .search = line_search,
    .quota = line_quota,
    .rights = sync_note_rights,
    .alert = line_alert,
    .closed = line_closed,
};
