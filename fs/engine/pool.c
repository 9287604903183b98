#include "fs/engine/pool.h"

#include <string.h>

#include "fs/engine/flaws.h"
#include "fs/engine/job.h"
#include "fs/engine/mechanism.h"
#include "fs/engine/mirror.h"
#include "fs/engine/opening.h"
#include "fs/engine/push.h"
#include "fs/engine/watch.h"

#define SECOND G_USEC_PER_SEC
#define BACKOFF_FIRST SECOND
#define BACKOFF_MOST (60 * SECOND)
/* Who asks while it is out of reach makes another attempt, this often at most, about. */
#define NUDGE_AFTER SECOND
#define CAP_RISES (300 * SECOND)
#define CAP_PAUSE (10 * SECOND)
/* A connection that lived so long was a good one: the next failure is the first again. */
#define LINE_GOOD (10 * SECOND)
/* An unused line beyond the first is closed, and the first says NOOP, after so long. */
#define LINE_UNUSED (120 * SECOND)
/* So many times account.timeout_s are the words of a server good for that gives nothing else; and
 * where a change would have to be found out about if the connection ended. */
#define TALK_TIMES 4
#define TALK_TIMES_CHANGE 20

/* ---- lines ----------------------------------------------------------------------------------- */

static struct line *line_new(struct engine *engine, struct imap_session *session)
{
    struct line *line = g_new0(struct line, 1);
    line->engine = engine;
    line->id = ++engine->pool.last_line;
    line->session = session;
    g_queue_init(&line->jobs);
    line->opened_us = line->heard_us = line->moved_us = line->used_us = engine_now(engine);
    g_ptr_array_add(engine->pool.lines, line);
    imap_session_attach(session, engine->context, &JOB_EVENTS, line);
    return line;
}

struct line *pool_line(const struct engine *engine, uint32_t id)
{
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        struct line *line = engine->pool.lines->pdata[i];
        if (line->id == id)
            return line;
    }
    return NULL;
}

static void line_drop(struct line *line, bool blameless)
{
    struct engine *engine = line->engine;
    line->doomed = true;
    engine->bytes_closed += imap_session_bytes_in(line->session);
    imap_session_free(g_steal_pointer(&line->session));
    g_ptr_array_remove(engine->pool.lines, line);
    job_line_lost(line, blameless);
    g_free(line);
}

static gint64 pool_backoff(struct pool *pool)
{
    pool->backoff_us = CLAMP(pool->backoff_us * 2, BACKOFF_FIRST, BACKOFF_MOST);
    return pool->backoff_us / 2 + (gint64)(g_random_double() * (double)pool->backoff_us);
}

/* The server is silent: it counts as out of reach until a connection succeeds. */
static void pool_lose(struct engine *engine, gint64 now)
{
    struct pool *pool = &engine->pool;
    g_autoptr(GError) error = g_error_new(IMAP_ERROR, IMAP_ERROR_TIMEOUT,
                                          "%s: the server does not answer", engine->account->host);
    engine_note_error(engine, error);
    pool->failing = true;
    pool->why = ENGINE_OFFLINE;
    pool->rests = false;
    pool->next_us = now;
    job_fail_waiting(engine, ENGINE_TIMEOUT); /* who comes later hears that it is out of reach */
}

/* Whether it is known by now what the connection ended of, so that the jobs will fare better. */
static bool pool_learned(struct pool *pool)
{
    unsigned before = pool->flaws_seen;
    pool->flaws_seen = imap_flaws_known(pool->flaws);
    return (pool->flaws_seen & ~before) != 0;
}

struct doom {
    struct engine *engine;
    uint32_t line;
};

static gboolean line_drop_later(gpointer data)
{
    const struct doom *doom = data;
    struct engine *engine = doom->engine;
    struct line *line = pool_line(engine, doom->line);
    if (line == NULL)
        return G_SOURCE_REMOVE;
    struct pool *pool = &engine->pool;
    gint64 now = engine_now(engine);
    if (now - line->opened_us >= LINE_GOOD && line->refusals == 0)
        pool->backoff_us = 0;
    bool silent = line->reason == IMAP_ERROR_TIMEOUT;
    if (silent)
        imap_session_stalled(line->session);
    line_drop(line, pool_learned(pool));
    if (silent && pool->lines->len == 0)
        pool_lose(engine, now);
    if (pool->lines->len == 0 && pool->openings->len == 0 && pool->next_us == 0)
        pool->next_us = pool->barred_us > now
                            ? pool->barred_us
                            : now + pool_backoff(pool); /* sooner, if somebody asks */
    job_schedule(engine);
    return G_SOURCE_REMOVE;
}

void pool_bar(struct engine *engine)
{
    engine->pool.barred_us = engine_now(engine) + pool_backoff(&engine->pool);
}

void pool_doom(struct line *line, enum imap_error reason)
{
    if (line->doomed)
        return;
    line->doomed = true;
    line->reason = reason;
    struct doom *doom = g_new0(struct doom, 1);
    doom->engine = line->engine;
    doom->line = line->id;
    engine_post(line->engine->context, line_drop_later, doom, g_free);
}

bool pool_is_asking(const struct engine *engine)
{
    for (guint i = 0; i < engine->pool.openings->len; i++) {
        struct opening *opening = engine->pool.openings->pdata[i];
        if (g_atomic_int_get(&opening->asking))
            return true;
    }
    return false;
}

void pool_moved(struct line *line)
{
    line->moved_us = engine_now(line->engine);
}

/* At most `times` the usual deadline goes by on words alone. */
static gint64 line_progress(const struct line *line, gint64 times)
{
    gint64 limit = (gint64)line->engine->account->timeout_s * SECOND;
    gint64 most = line->moved_us + (times - 1) * limit;
    return MAX(line->moved_us, MIN(line->heard_us, most));
}

gint64 pool_line_progress(const struct line *line, bool talk)
{
    return talk && line->flying ? line_progress(line, TALK_TIMES) : line->moved_us;
}

gint64 pool_progress(const struct engine *engine, bool talk)
{
    gint64 newest = 0;
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        const struct line *line = engine->pool.lines->pdata[i];
        newest = MAX(newest, pool_line_progress(line, talk));
    }
    for (guint i = 0; i < engine->pool.openings->len; i++) {
        const struct opening *opening = engine->pool.openings->pdata[i];
        newest = MAX(newest, opening->began_us);
    }
    return newest;
}

/* ---- attempts -------------------------------------------------------------------------------- */

static void pool_opened(struct engine *engine, struct opening *opening)
{
    struct pool *pool = &engine->pool;
    if (signin_accepted(&pool->signin, opening))
        pool->cap_until_us = MIN(pool->cap_until_us, engine_now(engine));
    struct line *line = line_new(engine, g_steal_pointer(&opening->session));
    unsigned has = imap_session_capabilities(line->session);
    bool utf8 = (has & (IMAP_CAP_ENABLE | IMAP_CAP_IMAP4REV2)) != 0 &&
                (has & (IMAP_CAP_UTF8_ACCEPT | IMAP_CAP_IMAP4REV2)) != 0;
    g_atomic_int_set(&engine->utf8, utf8);
    pool->failing = false;
    pool->next_us = 0;
    g_mutex_lock(&engine->lock);
    g_strlcpy(engine->status.server, imap_session_server_name(line->session),
              sizeof engine->status.server);
    engine->status.last_error[0] = '\0';
    engine->status.append_limit = imap_session_append_limit(line->session);
    g_clear_error(&engine->open_error);
    g_mutex_unlock(&engine->lock);
    mechanism_used(engine, line->session);
    watch_opened(line);
    push_opened(engine);
}

static void pool_refused(struct engine *engine, const struct opening *opening)
{
    const GError *error = opening->error;
    struct pool *pool = &engine->pool;
    gint64 now = engine_now(engine);
    if (opening->outcome == OPENING_TRIED || opening->outcome == OPENING_NOTHING)
        engine_note_error(engine, error); /* else the refusal itself says more */
    bool crowd = opening->outcome == OPENING_TRIED &&
                 g_error_matches(error, IMAP_ERROR, IMAP_ERROR_UNAVAILABLE);
    bool login = error->domain == OPENING_ERROR ||
                 g_error_matches(error, IMAP_ERROR, IMAP_ERROR_LOGIN) ||
                 g_error_matches(error, IMAP_ERROR, IMAP_ERROR_MECHANISM);
    gint64 rest = login ? signin_failed(&pool->signin, opening) : 0;
    gint64 until = rest < 0 ? G_MAXINT64 : now + rest;
    if (pool->lines->len > 0) { /* those that are open must do */
        pool->cap = pool->lines->len;
        pool->cap_until_us = login ? until : now + (crowd ? CAP_RISES : CAP_PAUSE);
        return;
    }
    pool->why = login ? ENGINE_LOGIN : ENGINE_OFFLINE;
    pool->rests = crowd;
    pool->next_us = !login ? now + pool_backoff(pool) : rest < 0 ? 0 : until;
    if (pool->openings->len > 0)
        return; /* another may still succeed */
    pool->failing = true;
    bool silent = g_error_matches(error, IMAP_ERROR, IMAP_ERROR_TIMEOUT);
    job_fail_waiting(engine, silent ? ENGINE_TIMEOUT : pool->why);
}

static void pool_attempt(struct engine *engine);

/* The user asked for an attempt while one was under way that would not make it. */
static bool pool_is_urged(const struct engine *engine, const struct opening *opening)
{
    const struct pool *pool = &engine->pool;
    return pool->signin.insist && opening->session == NULL && pool->lines->len == 0 &&
           pool_may_open(engine);
}

static gboolean pool_ready(gpointer data)
{
    struct opening *opening = data;
    struct engine *engine = opening->owner;
    if (!g_ptr_array_remove(engine->pool.openings, opening))
        return G_SOURCE_REMOVE; /* abandoned: suspended meanwhile, or stopping */
    engine->pool.attempt_us = engine_now(engine);
    if (opening->session != NULL)
        pool_opened(engine, opening);
    else
        pool_refused(engine, opening);
    if (pool_is_urged(engine, opening))
        pool_attempt(engine);
    connect_settle(engine);
    job_schedule(engine);
    engine_publish(engine);
    return G_SOURCE_REMOVE;
}

bool pool_may_open(const struct engine *engine)
{
    const struct pool *pool = &engine->pool;
    return !g_atomic_int_get(&engine->stopping) && engine_now(engine) >= pool->barred_us &&
           pool->lines->len + pool->openings->len < pool->cap;
}

static void pool_attempt(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    gint64 now = engine_now(engine);
    struct signin *signin = &pool->signin;
    enum opening_ask ask = signin_ask(signin, engine->account, now);
    struct secret *secret = ask == OPENING_ASK_ANOTHER ? signin->refused : signin->secret;
    g_autofree char *before = mechanism_before(engine);
    struct opening *opening =
        opening_start(engine->account, pool->flaws, secret, ask, before, mechanism_worked(engine),
                      engine->transcript, pool->crew, engine->context, pool_ready, engine);
    signin->insist = false;
    opening->began_us = now;
    g_ptr_array_add(pool->openings, opening);
    engine_publish(engine);
}

void pool_open(struct engine *engine)
{
    if (engine->pool.failing && engine->pool.lines->len == 0)
        return; /* pool_tick() and pool_nudge() say when */
    if (engine->pool.openings->len == 0 && pool_may_open(engine))
        pool_attempt(engine);
}

void pool_try(struct engine *engine)
{
    const struct pool *pool = &engine->pool;
    if (pool->lines->len == 0 && pool->openings->len == 0 && pool_may_open(engine))
        pool_attempt(engine);
}

void pool_retry(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    pause_cease(engine);
    pool->backoff_us = 0;
    pool->next_us = pool->barred_us = 0;
    while (!engine_hears(engine) && pool->lines->len > 0)
        line_drop(pool->lines->pdata[pool->lines->len - 1], true);
    pool->signin.insist = pool->lines->len == 0;
    pool_try(engine);
    engine_hurry(engine);
}

void pool_nudge(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    gint64 now = engine_now(engine);
    gint64 after = NUDGE_AFTER * 3 / 4 + g_random_int_range(0, NUDGE_AFTER / 2);
    if (pool->lines->len > 0 || pool->openings->len > 0 || pool->why == ENGINE_LOGIN)
        return;
    if (pool->rests && pool->next_us != 0)
        return;
    pool->next_us = MAX(pool->attempt_us + after, now);
    if (pool->next_us <= now)
        pool_try(engine);
    engine_hurry(engine);
}

gint64 pool_next_try(const struct engine *engine)
{
    const struct pool *pool = &engine->pool;
    if (pool->lines->len > 0 || pool->next_us == 0 || pool->openings->len > 0)
        return 0;
    return engine->clock->wall() + MAX(pool->next_us - engine_now(engine), 0);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* Bytes out are progress while a message is stored; else whoever asks a dead server again and again
 * would keep it alive. */
static void line_listen(struct line *line, gint64 now)
{
    const struct job *first = g_queue_peek_head(&line->jobs);
    bool stores = first != NULL && first->class->exclusive;
    bool flies = imap_session_in_flight(line->session) > 0;
    uint64_t in = imap_session_bytes_in(line->session);
    uint64_t amid = imap_session_bytes_amid(line->session);
    uint64_t out = imap_session_bytes_out(line->session);
    if (in != line->bytes_in)
        line->heard_us = now;
    if (amid != line->bytes_amid || (stores && out != line->bytes_out) || (flies && !line->flying))
        line->moved_us = now;
    line->flying = flies;
    line->bytes_in = in;
    line->bytes_amid = amid;
    line->bytes_out = out;
}

static void line_tick(struct line *line, gint64 now)
{
    struct engine *engine = line->engine;
    line_listen(line, now);
    gint64 limit = (gint64)engine->account->timeout_s * SECOND;
    const struct job *first = g_queue_peek_head(&line->jobs);
    bool changes = first != NULL && first->class->exclusive;
    if (line->flying) {
        if (now - line_progress(line, changes ? TALK_TIMES_CHANGE : TALK_TIMES) >= limit)
            pool_doom(line, IMAP_ERROR_TIMEOUT);
    } else if (g_queue_is_empty(&line->jobs) && !watch_needs(line) &&
               now - line->used_us >= LINE_UNUSED) {
        line->used_us = now;
        if (engine->pool.lines->len > 1)
            pool_doom(line, IMAP_OK);
        else
            imap_send_noop(line->session, NULL, NULL);
    }
}

void pool_tick(struct engine *engine, gint64 now)
{
    struct pool *pool = &engine->pool;
    for (guint i = 0; i < pool->lines->len; i++) {
        struct line *line = pool->lines->pdata[i];
        if (!line->doomed)
            line_tick(line, now);
    }
    if (pool->cap < engine->account->connections && now >= pool->cap_until_us)
        pool->cap = MAX(engine->account->connections, 1);
    flaws_keep(engine);
    flaws_tick(engine, now);
    if (pool->next_us == 0 || now < MAX(pool->next_us, pool->barred_us))
        return;
    pool->next_us = 0;
    if (pool->lines->len == 0 && pool->openings->len == 0 && pool_may_open(engine))
        pool_attempt(engine);
}

static void pool_abandon(struct pool *pool)
{
    while (pool->openings->len > 0)
        opening_abandon(g_ptr_array_steal_index(pool->openings, pool->openings->len - 1));
}

void pool_wake(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    g_info("the machine was suspended; connecting anew");
    pool_abandon(pool);
    while (pool->lines->len > 0)
        line_drop(pool->lines->pdata[pool->lines->len - 1], true);
    pool->failing = false;
    pool->backoff_us = 0;
    pool->next_us = pool->barred_us = 0;
    pool->signin.asked_us = 0;
    if (pool_may_open(engine))
        pool_attempt(engine);
    job_schedule(engine);
}

/* ---- start and stop -------------------------------------------------------------------------- */

void pool_init(struct engine *engine, struct secret *secret)
{
    struct pool *pool = &engine->pool;
    pool->lines = g_ptr_array_new();
    pool->openings = g_ptr_array_new_with_free_func((GDestroyNotify)opening_unref);
    pool->crew = crew_new();
    pool->flaws = imap_flaws_new(0, engine->clock->monotonic);
    pool->cap = MAX(engine->account->connections, 1);
    signin_init(&pool->signin, secret);
}

void pool_clear(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    flaws_keep(engine);
    pool_abandon(pool);
    while (pool->lines->len > 0)
        line_drop(pool->lines->pdata[pool->lines->len - 1], true);
}

void pool_join(struct engine *engine, gint64 wait_us)
{
    crew_wait(engine->pool.crew, wait_us);
}

void pool_free(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    crew_unref(pool->crew);
    g_ptr_array_unref(pool->lines);
    g_ptr_array_unref(pool->openings);
    signin_clear(&pool->signin);
    imap_flaws_unref(pool->flaws);
}
