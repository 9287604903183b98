#include "fs/engine/job.h"

#include <stdlib.h>
#include <string.h>

#include "fs/engine/flaws.h"

#define ATTEMPTS_MAX 3

static const struct job_class *const CLASSES[] = {
    [ENGINE_FOLDERS] = &FOLDERS_CLASS,
    [ENGINE_MAILBOX] = &SYNC_CLASS,
    [ENGINE_PARTS] = &STRUCTURE_CLASS,
    [ENGINE_REPARTS] = &STRUCTURE_CLASS,
    [ENGINE_BYTES] = &READER_CLASS,
    [ENGINE_PUSHED] = &PUSHED_CLASS,
    [ENGINE_CONNECT] = &CONNECT_CLASS,
    [ENGINE_PREFETCH] = &PREFETCH_CLASS,
    [ENGINE_PREFETCH_STOP] = &PREFETCH_STOP_CLASS,
};

/* ---- life ------------------------------------------------------------------------------------ */

struct job *job_ref(struct job *job)
{
    job->references++;
    return job;
}

void job_unref(struct job *job)
{
    if (--job->references > 0)
        return;
    if (job->class->clear != NULL)
        job->class->clear(job);
    g_queue_clear(&job->wishes);
    g_free(job->key);
    g_free(job->mailbox);
    g_free((char *)job->wish.section);
    g_free(job);
}

static char *job_key(const struct engine_wish *what)
{
    if (what->want == ENGINE_FOLDERS || what->want == ENGINE_CONNECT)
        return g_strdup(what->want == ENGINE_FOLDERS ? "F" : "C");
    if (what->want == ENGINE_MAILBOX)
        return g_strdup_printf("%c%u", what->anew ? 'A' : 'M', what->folder);
    if (what->want == ENGINE_PREFETCH || what->want == ENGINE_PREFETCH_STOP)
        return NULL;
    if (what->want == ENGINE_PUSHED)
        return what->entry != 0 ? g_strdup_printf("W%" G_GUINT64_FORMAT, what->entry) : NULL;
    if (what->want != ENGINE_BYTES)
        return g_strdup_printf("%c%u/%u", what->want == ENGINE_PARTS ? 'P' : 'R', what->messages,
                               what->uid);
    return g_strdup_printf("B%u/%u/%s/%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, what->messages,
                           what->uid, what->section, what->offset, what->length);
}

static struct job *job_new(struct engine *engine, const struct job_class *class,
                           const struct engine_wish *what)
{
    struct job *job = g_malloc0(class->size);
    job->made_us = engine_now(engine);
    job->class = class;
    job->engine = engine;
    job->references = 1;
    job->wish = *what;
    job->wish.section = g_strdup(what->section);
    job->folder = what->folder;
    job->ahead = what->ahead || class->bulk;
    g_queue_init(&job->wishes);
    return job;
}

static GQueue *job_queue(struct job *job)
{
    return job->ahead ? &job->engine->waiting_ahead : &job->engine->waiting;
}

static void job_wait(struct job *job, bool first)
{
    job->state = JOB_WAITING;
    if (first)
        g_queue_push_head(job_queue(job), job);
    else
        g_queue_push_tail(job_queue(job), job);
    job_schedule(job->engine);
}

/* Somebody waits for what was asked ahead. */
static void job_hurry(struct job *job)
{
    if (!job->ahead)
        return;
    bool waits = job->state == JOB_WAITING && g_queue_remove(job_queue(job), job);
    job->ahead = false;
    if (waits)
        job_wait(job, false);
}

static void job_add(struct job *job, struct wish *wish)
{
    wish->job = job;
    g_queue_push_tail(&job->wishes, wish);
    if (!wish->ahead)
        job_hurry(job);
}

/* Whether the cache will do, since no connection can be expected to answer soon. */
static bool job_is_served(struct job *job)
{
    struct engine *engine = job->engine;
    bool hears = !pause_lasts(engine) && engine_hears(engine);
    if (engine->pool.failing || hears || job->class->cached == NULL || !job->class->cached(job))
        return false;
    if (!pause_lasts(engine))
        pool_try(engine);
    return true;
}

/* Whether a new job needs not run: it cannot, the cache will do, or there is no server. */
static bool job_is_settled(struct job *job, bool inside, enum engine_error *error)
{
    const struct job_class *class = job->class;
    struct engine *engine = job->engine;
    if (class->prepare != NULL)
        *error = class->prepare(job);
    if (*error != ENGINE_OK || (class->satisfied != NULL && class->satisfied(job)))
        return true;
    if (!inside && job_is_served(job))
        return true;
    job->state = class->alone != NULL && class->alone(job) ? JOB_PARKED : JOB_WAITING;
    if (job->state == JOB_PARKED || !engine->pool.failing)
        return false;
    *error = class->offline(job, engine->pool.why);
    pool_nudge(engine);
    return true;
}

void job_join(struct engine *engine, const struct engine_wish *what, struct wish *wish)
{
    g_autofree char *key = job_key(what);
    struct job *job = key != NULL ? g_hash_table_lookup(engine->jobs, key) : NULL;
    if (job != NULL) {
        job_add(job, wish);
        return;
    }

    job = job_new(engine, CLASSES[what->want], what);
    enum engine_error error = ENGINE_OK;
    if (job_is_settled(job, wish->inside, &error)) {
        job_unref(job);
        engine_answer(engine, wish, error);
        return;
    }
    if (key == NULL) /* shared with nobody */
        key = g_strdup_printf("#%" G_GUINT64_FORMAT, wish->id);
    job->key = g_steal_pointer(&key);
    g_hash_table_insert(engine->jobs, job->key, job);
    job_add(job, wish);
    if (job->state != JOB_PARKED)
        job_wait(job, false);
    else
        job->class->start(job);
}

struct job *job_begin(struct engine *engine, const struct job_class *class, const char *key)
{
    static const struct engine_wish NOTHING = {0};
    struct job *job = job_new(engine, class, &NOTHING);
    job->key = g_strdup(key);
    g_hash_table_insert(engine->jobs, job->key, job);
    job_wait(job, false);
    return job;
}

static void job_forget_key(struct job *job)
{
    if (job->key != NULL && g_hash_table_lookup(job->engine->jobs, job->key) == job)
        g_hash_table_remove(job->engine->jobs, job->key);
}

static void job_leave_line(struct job *job)
{
    struct line *line = job->line;
    job->line = NULL;
    if (line == NULL)
        return;
    g_queue_remove(&line->jobs, job);
    line->used_us = engine_now(job->engine);
    job_schedule(job->engine);
}

/* Gives back the reference that the queue or the line held. */
static void job_drained(struct job *job)
{
    job_leave_line(job);
    job_unref(job);
}

void job_answer_early(struct job *job, enum engine_error error)
{
    job_forget_key(job);
    struct wish *wish;
    while ((wish = g_queue_pop_head(&job->wishes)) != NULL) {
        wish->job = NULL;
        engine_answer(job->engine, wish, error);
    }
}

void job_end(struct job *job, enum engine_error error)
{
    if (job->state == JOB_ENDED)
        return;
    job_ref(job);
    enum job_state before = job->state;
    if (before == JOB_WAITING)
        g_queue_remove(job_queue(job), job);
    job->state = JOB_ENDED;
    job_forget_key(job);
    if (before != JOB_RUNNING || job->in_flight == 0)
        job_drained(job);

    job_answer_early(job, error);
    job_schedule(job->engine); /* what clashed with it may run now */
    job_unref(job);
}

void job_park(struct job *job)
{
    g_return_if_fail(job->state == JOB_RUNNING && job->in_flight == 0);
    job->state = JOB_PARKED;
    job_leave_line(job);
}

void job_leave(struct wish *wish)
{
    struct job *job = wish->job;
    wish->job = NULL;
    if (job == NULL)
        return;
    g_queue_remove(&job->wishes, wish);
    bool idle = job->state == JOB_WAITING || job->class == &PUSHED_CLASS;
    if (g_queue_is_empty(&job->wishes) && idle)
        job_end(job, ENGINE_INTERRUPTED);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct {
    enum imap_error imap;
    enum engine_error engine;
} ERRORS[] = {
    {IMAP_OK, ENGINE_OK},
    {IMAP_ERROR_TIMEOUT, ENGINE_TIMEOUT},
    {IMAP_ERROR_NO, ENGINE_REFUSED},
    {IMAP_ERROR_NOPERM, ENGINE_REFUSED},
    {IMAP_ERROR_CANNOT, ENGINE_REFUSED},
    {IMAP_ERROR_NONEXISTENT, ENGINE_GONE},
    {IMAP_ERROR_OVERQUOTA, ENGINE_QUOTA},
    {IMAP_ERROR_TOOBIG, ENGINE_TOO_BIG},
    {IMAP_ERROR_EXISTS, ENGINE_EXISTS},
};

enum engine_error job_error_of(const struct imap_result *result)
{
    bool corrupt = result->code != NULL && strcmp(result->code, "CORRUPTION") == 0;
    if (corrupt || job_is_passing(result))
        return ENGINE_BROKEN; /* no matter of rights */
    for (size_t i = 0; i < G_N_ELEMENTS(ERRORS); i++)
        if (ERRORS[i].imap == result->error)
            return ERRORS[i].engine;
    return ENGINE_BROKEN;
}

enum engine_error job_examine_error(const struct imap_result *result)
{
    bool bare = result->error == IMAP_ERROR_NO && result->code == NULL;
    if (imap_is_trouble(result))
        return ENGINE_BROKEN;
    bool gone = bare && !job_is_passing(result) && !imap_is_not_permitted(result);
    return gone ? ENGINE_GONE : job_error_of(result);
}

bool job_is_passing(const struct imap_result *result)
{
    enum imap_passing passing = imap_passing_of(result, NULL);
    return passing != IMAP_PASSING_NOT && passing != IMAP_PASSING_QUOTA;
}

bool job_is_loss(enum imap_error error)
{
    return error == IMAP_ERROR_LOST || error == IMAP_ERROR_TIMEOUT ||
           error == IMAP_ERROR_PROTOCOL || error == IMAP_ERROR_CANCELLED;
}

/* ---- commands -------------------------------------------------------------------------------- */

struct command {
    struct job *job; /* a reference */
    unsigned step;
    uint64_t bytes;
    bool examine;
};

static void job_again(struct job *job, bool blameless)
{
    job->lost = false;
    if (g_queue_is_empty(&job->wishes)) {
        job->lost = true;
        job_end(job, ENGINE_INTERRUPTED);
        return;
    }
    if (!blameless && ++job->attempts >= ATTEMPTS_MAX) {
        job_end(job, ENGINE_BROKEN);
        return;
    }
    job_leave_line(job);
    job_wait(job, true);
}

void job_lost(struct job *job, bool blameless)
{
    if (job->state == JOB_ENDED)
        job_unref(job);
    else
        job_again(job, blameless);
}

static void job_folders_listed(enum engine_error error, void *data)
{
}

/* A mailbox could not be selected: that is the answer to all who stand behind this EXAMINE, whoever
 * sent it: their commands the server can only refuse as out of place. And the list of mailboxes may
 * be old. */
static void job_examine_refused(struct line *line, enum engine_error error)
{
    g_autoptr(GPtrArray) behind = g_ptr_array_new_with_free_func((GDestroyNotify)job_unref);
    for (GList *at = line->jobs.head; at != NULL; at = at->next) {
        struct job *job = at->data;
        if (job->state == JOB_RUNNING && !job->lost && !job->class->mailless &&
            !job->class->examines)
            g_ptr_array_add(behind, job_ref(job));
    }
    for (guint i = 0; i < behind->len; i++)
        job_end(behind->pdata[i], error);
    const struct engine_wish folders = {.want = ENGINE_FOLDERS, .ahead = true};
    if (error == ENGINE_GONE && behind->len > 0)
        engine_ask_inside(line->engine, &folders, job_folders_listed, NULL);
}

/* The mailbox is not selected, but may be after a pause or by another name: what stands behind is
 * sent again then. Not what no wish asks for: that hears the refusal of its own command, and tries
 * again by itself. */
static void job_examine_again(struct line *line)
{
    for (GList *at = line->jobs.head; at != NULL; at = at->next) {
        struct job *job = at->data;
        if (job->state == JOB_RUNNING && !job->class->mailless && !job->class->bulk &&
            job->in_flight > 0)
            job->lost = true;
    }
}

bool job_name_anew(struct job *job)
{
    if (job->mailbox == NULL || job->folder == 0)
        return false;
    g_autoptr(cache_txn) txn = cache_txn_read(job->engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, job->folder, &mailbox) != CACHE_OK ||
        strcmp(mailbox.wire, job->mailbox) == 0)
        return false;
    g_free(job->mailbox);
    job->mailbox = g_strdup(mailbox.wire);
    return true;
}

static void job_examined(struct job *job, unsigned step, const struct imap_result *result)
{
    struct line *line = job->line;
    if (flaws_opened(job, result))
        job->lost = true;
    line->examining--;
    bool renamed = job_examine_error(result) == ENGINE_GONE && job_name_anew(job);
    job->lost = job->lost || (renamed && !job->class->bulk);
    if (renamed)
        job_examine_again(line);
    if (result->error == IMAP_OK)
        line_examined(line, job);
    else if (line->examining == 0)
        line->folder = line->uidvalidity = 0;
    if (result->error != IMAP_OK && !job->lost && !renamed)
        job_examine_refused(line, job_examine_error(result));
}

/* Whether the connection is at its end. What was answered before what is answered only now, for
 * want of more, comes with its own result, but on a session that takes no commands any more. */
static bool job_is_cut(const struct job *job, const struct imap_result *result)
{
    return job_is_loss(result->error) || (job->line != NULL && job->line->session == NULL);
}

static void job_answered(struct imap_session *session, struct command *command,
                         const struct imap_result *result, bool cut)
{
    struct job *job = command->job;
    if (cut) {
        if (job->class->lost != NULL && job->state == JOB_RUNNING)
            job->class->lost(job, session, command->step);
        job->lost = true;
        return;
    }
    bool paused = pause_heard(job, result);
    job->lost = job->lost || paused;
    if (!paused && job->line != NULL)
        pool_moved(job->line);
    if (command->examine && paused)
        job_examine_again(job->line);
    if (command->examine)
        job_examined(job, command->step, result);
    if (job->state == JOB_RUNNING && !job->lost && command->step != JOB_STEP_SELECT)
        job->class->answered(job, command->step, result);
}

void job_done(struct imap_session *session, const struct imap_result *result, void *data)
{
    struct command *command = data;
    struct job *job = command->job;
    job->in_flight--;
    job->owed -= command->bytes;
    if (job->line != NULL)
        job->line->owed -= command->bytes;
    bool cut = job_is_cut(job, result);
    job_answered(session, command, result, cut);
    if (job->in_flight == 0 && !cut) {
        if (job->state == JOB_ENDED && job->line != NULL)
            job_drained(job);
        else if (job->state == JOB_RUNNING && job->lost)
            job_again(job, true);
        else if (job->state == JOB_RUNNING && command->step != JOB_STEP_SELECT)
            job_end(job, ENGINE_BROKEN); /* its class lost the thread */
    }
    job_unref(job);
    g_free(command);
}

void *job_ticket(struct job *job, unsigned step, uint64_t bytes)
{
    struct line *line = job->line;
    struct command *command = g_new0(struct command, 1);
    command->job = job_ref(job);
    command->step = step;
    command->bytes = bytes;
    if (imap_session_in_flight(line->session) == 0)
        line->heard_us = line->moved_us = engine_now(job->engine);
    job->in_flight++;
    job->owed += bytes;
    line->owed += bytes;
    job->engine->commands++;
    return command;
}

/* From here on the line is the mailbox's. */
static struct command *job_examine_ticket(struct job *job, unsigned step, uint32_t folder)
{
    struct command *command = job_ticket(job, step, 0);
    struct line *line = job->line;
    command->examine = true;
    if (line->folder != folder)
        line->left = line->folder;
    line->folder = folder;
    line->selected_us = engine_now(job->engine);
    line->examining++;
    return command;
}

void job_send_examine(struct job *job, unsigned step)
{
    struct command *command = job_examine_ticket(job, step, job->folder);
    imap_send_examine(job->line->session, job->mailbox, job_done, command);
}

void job_send_resync(struct job *job, unsigned step, const struct imap_resync *resync)
{
    struct command *command = job_examine_ticket(job, step, job->folder);
    imap_send_resync(job->line->session, job->mailbox, true, resync, job_done, command);
}

void job_send_fetch(struct job *job, unsigned step, const struct imap_uidset *uids,
                    const struct imap_fetch_request *request, uint64_t bytes)
{
    struct command *command = job_ticket(job, step, bytes);
    imap_send_uid_fetch(job->line->session, uids, request, job_done, command);
}

void job_send_search(struct job *job, unsigned step, uint32_t first, uint32_t last)
{
    struct command *command = job_ticket(job, step, 0);
    imap_send_uid_search(job->line->session, first, last, job_done, command);
}

void job_send_noop(struct job *job, unsigned step)
{
    struct command *command = job_ticket(job, step, 0);
    imap_send_noop(job->line->session, job_done, command);
}

void job_send_list(struct job *job, unsigned step, bool status)
{
    struct command *command = job_ticket(job, step, 0);
    imap_send_list(job->line->session, status, job_done, command);
}

void job_send_select(struct job *job, unsigned step, const char *mailbox, uint32_t folder)
{
    job_forget_mirror(job->line);
    struct command *command = job_examine_ticket(job, step, folder);
    imap_send_select(job->line->session, mailbox, job_done, command);
}
