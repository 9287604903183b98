#include "fs/engine/engine.h"

#include <string.h>

#include "fs/engine/advice.h"
#include "fs/engine/flaws.h"
#include "fs/engine/identity.h"
#include "fs/engine/job.h"
#include "fs/engine/parse.h"
#include "fs/engine/prefetch.h"
#include "fs/engine/push.h"
#include "fs/engine/reader.h"
#include "fs/engine/remade.h"
#include "fs/engine/watch.h"
#include "imap/imap.h"

#define TICK_US (G_USEC_PER_SEC / 4)
#define TICK_IDLE_US (5 * G_USEC_PER_SEC)
#define SUSPENDED_US (10 * G_USEC_PER_SEC)
#define STOP_WAIT_US G_USEC_PER_SEC
/* Less than mailboxes that were opened stay in use, by more than from one look to the next. */
#define WATCHED_AGAIN_US (180 * G_USEC_PER_SEC)
#define TIDY_EVERY_US (60 * G_USEC_PER_SEC)
#define TIDY_MOST 500
#define TIDY_AGE_S (24 * 3600)

/* ---- the inbox ------------------------------------------------------------------------------- */

/* What other threads ask: a wish, or with done NULL that one be answered. */
struct letter {
    uint64_t id;
    struct engine_wish wish; /* `section` is owned */
    engine_done done;
    void *data;
    enum engine_error error;
};

static void letter_free(struct letter *letter)
{
    g_free((char *)letter->wish.section);
    g_free(letter);
}

void engine_post(GMainContext *context, GSourceFunc run, void *data, GDestroyNotify free)
{
    g_autoptr(GSource) source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, run, data, free);
    g_source_attach(source, context);
}

/* Hands a letter to the engine's thread; false if it takes none any more. */
static bool engine_send(struct engine *engine, struct letter *letter, uint64_t *id)
{
    g_mutex_lock(&engine->lock);
    bool taken = !engine->stopped;
    uint64_t given = ++engine->last_id;
    if (id != NULL)
        *id = letter->id = given;
    if (taken) {
        g_queue_push_tail(&engine->inbox, letter);
        if (engine->inbox.length == 1)
            g_source_set_ready_time(engine->inbox_source, 0);
    }
    g_mutex_unlock(&engine->lock);
    return taken;
}

uint64_t engine_ask(struct engine *engine, const struct engine_wish *wish, engine_done done,
                    void *data)
{
    struct letter *letter = g_new0(struct letter, 1);
    letter->wish = *wish;
    letter->wish.section = g_strdup(wish->section != NULL ? wish->section : "");
    letter->done = done;
    letter->data = data;
    uint64_t id = 0;
    if (!engine_send(engine, letter, &id)) {
        letter_free(letter);
        done(ENGINE_STOPPED, data);
    }
    return id;
}

void engine_cancel(struct engine *engine, uint64_t id, enum engine_error error)
{
    struct letter *letter = g_new0(struct letter, 1);
    letter->id = id;
    letter->error = error;
    if (!engine_send(engine, letter, NULL))
        letter_free(letter);
}

/* How long a list that is whole in the cache waits for a server that says nothing. */
#define PATIENCE_US (5 * (gint64)G_USEC_PER_SEC / 2)

/* ---- wishes ---------------------------------------------------------------------------------- */

void engine_hurry(struct engine *engine)
{
    gint64 soon = g_get_monotonic_time() + TICK_US;
    gint64 due = g_source_get_ready_time(engine->timer);
    if (due < 0 || due > soon)
        g_source_set_ready_time(engine->timer, soon);
}

static void engine_take(struct engine *engine, uint64_t id, const struct engine_wish *what,
                        engine_done done, void *data, bool inside)
{
    struct wish *wish = g_new0(struct wish, 1);
    wish->id = id;
    wish->inside = inside;
    wish->done = done;
    wish->data = data;
    wish->ahead = what->ahead;
    wish->brief = what->brief;
    wish->asked_us = engine_now(engine);
    g_hash_table_insert(engine->wishes, &wish->id, wish);
    job_join(engine, what, wish);
    engine_hurry(engine);
}

uint64_t engine_ask_inside(struct engine *engine, const struct engine_wish *wish, engine_done done,
                           void *data)
{
    g_mutex_lock(&engine->lock);
    uint64_t id = ++engine->last_id;
    g_mutex_unlock(&engine->lock);
    struct engine_wish copy = *wish;
    if (copy.section == NULL)
        copy.section = "";
    engine_take(engine, id, &copy, done, data, true);
    return id;
}

void engine_answer(struct engine *engine, struct wish *wish, enum engine_error error)
{
    g_hash_table_remove(engine->wishes, &wish->id);
    engine_publish(engine); /* who has his answer finds the status true */
    wish->done(error, wish->data);
    g_free(wish);
}

static void engine_withdraw(struct engine *engine, uint64_t id, enum engine_error error)
{
    struct wish *wish = g_hash_table_lookup(engine->wishes, &id);
    if (wish == NULL)
        return;
    job_leave(wish);
    engine_answer(engine, wish, error);
}

static void engine_wished(struct engine *engine, const struct letter *letter)
{
    if (letter->wish.want == ENGINE_MAILBOX && !letter->wish.ahead)
        watch_used(engine, letter->wish.folder);
    engine_take(engine, letter->id, &letter->wish, letter->done, letter->data, false);
}

struct sight {
    struct engine *engine;
    uint32_t folder;
};

static gboolean engine_saw(gpointer data)
{
    const struct sight *sight = data;
    struct engine *engine = sight->engine;
    gint64 used = watch_used_us(engine, sight->folder);
    /* those that were really opened since come first, for as long as can be */
    if (!g_atomic_int_get(&engine->stopping) && engine_now(engine) - used >= WATCHED_AGAIN_US)
        watch_used(engine, sight->folder);
    return G_SOURCE_REMOVE;
}

void engine_watched(struct engine *engine, uint32_t folder)
{
    struct sight *sight = g_new(struct sight, 1);
    *sight = (struct sight){engine, folder};
    engine_post(engine->context, engine_saw, sight, g_free);
}

static gboolean engine_read_inbox(gpointer data)
{
    struct engine *engine = data;
    g_source_set_ready_time(engine->inbox_source, -1);
    g_mutex_lock(&engine->lock);
    GQueue letters = engine->inbox;
    g_queue_init(&engine->inbox);
    g_mutex_unlock(&engine->lock);

    struct letter *letter;
    while ((letter = g_queue_pop_head(&letters)) != NULL) {
        if (letter->done != NULL)
            engine_wished(engine, letter);
        else
            engine_withdraw(engine, letter->id, letter->error);
        letter_free(letter);
    }
    engine_publish(engine);
    return G_SOURCE_CONTINUE;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* When something last moved that this wish waits for (pool_line_progress()). */
static gint64 wish_progress(const struct engine *engine, const struct wish *wish, gint64 now,
                            bool talk)
{
    const struct job *job = wish->job;
    const struct job *push = engine->push->job;
    if (job != NULL && job->class == &PUSHED_CLASS)
        job = push != NULL ? push : job;
    else if (job == NULL || job->state == JOB_PARKED)
        return now; /* what it waits for has a deadline of its own */
    if (job->refused_us != 0)
        return MAX(wish->asked_us, job->refused_us);
    if (job->state == JOB_RUNNING && job->line != NULL)
        return MAX(wish->asked_us, pool_line_progress(job->line, talk));
    return MAX(wish->asked_us, pool_progress(engine, talk));
}

bool engine_hears(const struct engine *engine)
{
    gint64 now = engine_now(engine);
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        const struct line *line = engine->pool.lines->pdata[i];
        if (!line->doomed && (imap_session_in_flight(line->session) == 0 ||
                              imap_session_bytes_amid(line->session) != line->bytes_amid ||
                              now - line->moved_us < PATIENCE_US))
            return true;
    }
    return false;
}

/* Whether what the cache holds is answer enough, if the server says nothing. */
static bool wish_is_modest(const struct wish *wish)
{
    struct job *job = wish->job;
    return !wish->inside && job != NULL && job->class->cached != NULL && job->class->cached(job);
}

static bool wish_is_late(const struct engine *engine, const struct wish *wish, gint64 now)
{
    gint64 limit = (gint64)engine->account->timeout_s * G_USEC_PER_SEC;
    bool placed = wish->job != NULL && wish->job->line != NULL;
    if (!placed && pool_is_asking(engine))
        return false; /* for a password, perhaps of somebody who types: this has its own limit */
    return now - wish_progress(engine, wish, now, true) >= limit;
}

/* Lists that are in the cache need not wait for a server that is silent. */
static bool wish_is_served(const struct engine *engine, const struct wish *wish, gint64 now)
{
    gint64 since = wish->brief ? wish->asked_us : wish_progress(engine, wish, now, false);
    if (now - since >= PATIENCE_US)
        return wish->brief || wish_is_modest(wish);
    return pause_lasts(engine) && wish_is_modest(wish);
}

static void engine_serve_cached(struct engine *engine, gint64 now)
{
    g_autoptr(GArray) served = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, engine->wishes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct wish *wish = value;
        if (wish_is_served(engine, wish, now))
            g_array_append_val(served, wish->id);
    }
    for (guint i = 0; i < served->len; i++)
        engine_withdraw(engine, g_array_index(served, uint64_t, i), ENGINE_OK);
}

static void engine_expire(struct engine *engine, gint64 now)
{
    g_autoptr(GArray) late = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, engine->wishes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct wish *wish = value;
        if (wish_is_late(engine, wish, now))
            g_array_append_val(late, wish->id);
    }
    for (guint i = 0; i < late->len; i++)
        engine_withdraw(engine, g_array_index(late, uint64_t, i), ENGINE_TIMEOUT);
}

static void engine_look_for_suspend(struct engine *engine, gint64 now)
{
    gint64 skew = engine->clock->boottime() - now;
    bool slept = skew - engine->skew_us > SUSPENDED_US;
    engine->skew_us = skew;
    if (slept)
        pool_wake(engine);
}

/* Forgets content that no message has used for a day, a little at a time, while nobody waits. Not
 * at once: a mailbox that is listed anew, or one to which others moved it, may want it back. */
static void engine_tidy(struct engine *engine, gint64 now)
{
    if (g_hash_table_size(engine->wishes) > 0 || now - engine->tidied_us < TIDY_EVERY_US)
        return;
    engine->tidied_us = now;
    cache_collect_old(engine->cache, TIDY_MOST,
                      engine->clock->wall() / G_USEC_PER_SEC - TIDY_AGE_S);
}

static gboolean engine_tick(gpointer data)
{
    struct engine *engine = data;
    gint64 now = engine_now(engine);
    engine_look_for_suspend(engine, now);
    pool_tick(engine, now);
    push_tick(engine, now);
    watch_tick(engine, now);
    prefetch_tick(engine);
    identity_tick(engine);
    engine_serve_cached(engine, now);
    engine_expire(engine, now);
    pause_tick(engine, now);
    engine_tidy(engine, now);
    engine_publish(engine);
    bool busy = g_hash_table_size(engine->wishes) > 0 || engine->pool.openings->len > 0 ||
                engine->pool.next_us != 0 || engine->pause.due || push_is_busy(engine) ||
                watch_is_busy(engine);
    g_source_set_ready_time(engine->timer,
                            g_get_monotonic_time() + (busy ? TICK_US : TICK_IDLE_US));
    return G_SOURCE_CONTINUE;
}

/* ---- start ----------------------------------------------------------------------------------- */

static const struct {
    enum imap_error imap;
    enum engine_start_reason reason;
} REASONS[] = {
    {IMAP_ERROR_RESOLVE, ENGINE_START_NETWORK},     {IMAP_ERROR_CONNECT, ENGINE_START_NETWORK},
    {IMAP_ERROR_TIMEOUT, ENGINE_START_NETWORK},     {IMAP_ERROR_LOST, ENGINE_START_NETWORK},
    {IMAP_ERROR_UNAVAILABLE, ENGINE_START_NETWORK}, {IMAP_ERROR_LOGIN, ENGINE_START_LOGIN},
    {IMAP_ERROR_MECHANISM, ENGINE_START_LOGIN},     {IMAP_ERROR_TLS, ENGINE_START_TLS},
    {IMAP_ERROR_CERTIFICATE, ENGINE_START_TLS},
};

enum engine_start_reason engine_reason(const GError *error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(REASONS); i++)
        if (g_error_matches(error, IMAP_ERROR, REASONS[i].imap))
            return REASONS[i].reason;
    return error->domain == OPENING_ERROR ? ENGINE_START_SECRET : ENGINE_START_OTHER;
}

/* What a list that failed without a failed connection says. */
static const char *const FOLDERS_WORDS[] = {
    [ENGINE_TIMEOUT] = "the server does not answer",
    [ENGINE_OFFLINE] = "the server is out of reach",
    [ENGINE_LOGIN] = "signing in failed",
    [ENGINE_REFUSED] = "the server refuses to list its mailboxes",
    [ENGINE_BROKEN] = "the server gives no list of mailboxes",
    [ENGINE_CACHE] = "the cache cannot be written",
    [ENGINE_FULL] = "there is no space for the cache",
    [ENGINE_STOPPED] = "stopped",
};

struct start {
    struct engine *engine;
    bool done; /* under the engine's lock */
    enum engine_error error;
};

static void engine_started(enum engine_error error, void *data)
{
    struct start *start = data;
    struct engine *engine = start->engine;
    g_mutex_lock(&engine->lock);
    start->error = error;
    start->done = true;
    g_cond_broadcast(&engine->changed);
    g_mutex_unlock(&engine->lock);
}

static void engine_start_failed(struct engine *engine, enum engine_error why,
                                enum engine_start_reason *reason, GError **error)
{
    g_mutex_lock(&engine->lock);
    g_autoptr(GError) open_error =
        engine->open_error != NULL ? g_error_copy(engine->open_error) : NULL;
    g_mutex_unlock(&engine->lock);
    bool opened =
        why != ENGINE_OFFLINE && why != ENGINE_LOGIN &&
        !(why == ENGINE_TIMEOUT && g_error_matches(open_error, IMAP_ERROR, IMAP_ERROR_TIMEOUT));
    if (open_error == NULL || opened) {
        const char *words = why < G_N_ELEMENTS(FOLDERS_WORDS) ? FOLDERS_WORDS[why] : NULL;
        g_clear_error(&open_error);
        open_error = g_error_new(
            IMAP_ERROR, why == ENGINE_TIMEOUT ? IMAP_ERROR_TIMEOUT : IMAP_ERROR_PROTOCOL, "%s: %s",
            engine->account->host, words != NULL ? words : "the server cannot be used");
    }
    bool unwritten = why == ENGINE_FULL || why == ENGINE_CACHE;
    if (reason != NULL)
        *reason = unwritten ? ENGINE_START_CACHE : engine_reason(open_error);
    advice_add(engine->account, engine->cache, &open_error);
    g_propagate_error(error, g_steal_pointer(&open_error));
}

bool engine_start(struct engine *engine, enum engine_start_reason *reason, GError **error)
{
    struct start start = {.engine = engine};
    const struct engine_wish wish = {.want = ENGINE_FOLDERS};
    engine_ask(engine, &wish, engine_started, &start);
    g_mutex_lock(&engine->lock);
    while (!start.done)
        g_cond_wait(&engine->changed, &engine->lock);
    g_mutex_unlock(&engine->lock);
    if (start.error == ENGINE_OK)
        return true;
    engine_start_failed(engine, start.error, reason, error);
    return false;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void engine_read_notes(struct engine *engine)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *sizes = NULL;
    if (cache_note_get(txn, "server.sizes", &sizes) != CACHE_OK)
        return;
    if (strcmp(sizes, "right") == 0)
        g_atomic_int_set(&engine->sizes, ENGINE_SIZES_RIGHT);
    else if (strcmp(sizes, "wrong") == 0)
        g_atomic_int_set(&engine->sizes, ENGINE_SIZES_WRONG);
}

static void engine_end_jobs(struct engine *engine)
{
    for (;;) {
        GHashTableIter iter;
        gpointer job;
        g_hash_table_iter_init(&iter, engine->jobs);
        if (!g_hash_table_iter_next(&iter, NULL, &job))
            return;
        job_end(job, ENGINE_STOPPED);
    }
}

/* No letter is taken from here on; every wish gets its answer. */
static void engine_wind_up(struct engine *engine)
{
    g_mutex_lock(&engine->lock);
    engine->stopped = true;
    g_mutex_unlock(&engine->lock);
    reader_flush(engine);
    identity_flush(engine);
    engine_end_jobs(engine);
    engine_read_inbox(engine); /* these find no line; answered below */
    engine_end_jobs(engine);
    pool_clear(engine);
    engine_end_jobs(engine);
    parse_stop(engine);
    if (engine->schedule_source != NULL)
        g_source_destroy(engine->schedule_source);
    g_clear_pointer(&engine->schedule_source, g_source_unref);
}

static gpointer engine_run(gpointer data)
{
    struct engine *engine = data;
    g_main_context_push_thread_default(engine->context);
    engine_read_notes(engine);
    flaws_load(engine);
    if (engine->journal != NULL) {
        push_load_placed(engine);
        push_kick(engine);
    }
    while (!g_atomic_int_get(&engine->stopping))
        g_main_context_iteration(engine->context, TRUE);
    engine_wind_up(engine);
    g_main_context_pop_thread_default(engine->context);
    return NULL;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    return callback(data);
}

/* A source that runs when its ready time says so. */
static GSource *engine_source(struct engine *engine, GSourceFunc run)
{
    static GSourceFuncs functions = {.dispatch = source_dispatch};
    GSource *source = g_source_new(&functions, sizeof(GSource));
    g_source_set_callback(source, run, engine, NULL);
    g_source_attach(source, engine->context);
    return source;
}

struct engine *engine_new(const struct engine_config *config)
{
    struct engine *engine = g_new0(struct engine, 1);
    engine->account = config->account;
    engine->cache = config->cache;
    engine->journal = config->journal;
    engine->status.new_keywords = true;
    engine->events = config->events;
    engine->events_data = config->events_data;
    engine->clock = config->clock != NULL ? config->clock : &ENGINE_CLOCK;
    engine->transcript = config->transcript;
    engine->tidied_us = engine->clock->monotonic();
    engine->skew_us = engine->clock->boottime() - engine->tidied_us;
    g_mutex_init(&engine->lock);
    g_cond_init(&engine->changed);
    engine->context = g_main_context_new();
    engine->inbox_source = engine_source(engine, engine_read_inbox);
    engine->timer = engine_source(engine, engine_tick);
    g_source_set_ready_time(engine->timer, g_get_monotonic_time() + TICK_US);
    engine->wishes = g_hash_table_new(g_int64_hash, g_int64_equal);
    engine->jobs = g_hash_table_new(g_str_hash, g_str_equal);
    engine->fresh = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    engine->syncs = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    engine->rights = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    engine->zero = g_hash_table_new(NULL, NULL);
    engine->partial = g_hash_table_new(NULL, NULL);
    engine->windows = g_hash_table_new(NULL, NULL);
    engine->unlisted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    engine->proofs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    engine->misfits = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    watch_init(engine);
    prefetch_init(engine);
    identity_init(engine);
    push_init(engine);
    pool_init(engine, config->secret);
    engine->thread = g_thread_new("engine", engine_run, engine);
    return engine;
}

void engine_stop(struct engine *engine)
{
    if (engine->thread == NULL)
        return;
    g_atomic_int_set(&engine->stopping, 1);
    g_main_context_wakeup(engine->context);
    g_thread_join(g_steal_pointer(&engine->thread));
    pool_join(engine, STOP_WAIT_US);
    /* What other threads still posted is let go, while all that it looks at is there. */
    g_source_destroy(engine->inbox_source);
    g_source_destroy(engine->timer);
    while (g_main_context_iteration(engine->context, FALSE))
        ;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    engine_stop(engine);
    g_source_unref(engine->inbox_source);
    g_source_unref(engine->timer);
    pool_free(engine);
    push_free(engine);
    watch_free(engine);
    remade_clear(engine);
    prefetch_free(engine);
    identity_free(engine);
    GHashTable *const tables[] = {engine->wishes, engine->jobs,    engine->fresh,
                                  engine->zero,   engine->partial, engine->windows,
                                  engine->proofs, engine->misfits, engine->rights,
                                  engine->syncs,  engine->unlisted};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        g_hash_table_unref(tables[i]);
    g_main_context_unref(engine->context);
    g_clear_error(&engine->open_error);
    g_clear_pointer(&engine->listings, g_array_unref);
    g_mutex_clear(&engine->lock);
    g_cond_clear(&engine->changed);
    g_free(engine);
}
