#include "fs/request.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fs/error.h"
#include "fs/events.h"

/* A step that still needs something after so many rounds will never be served. */
#define ROUNDS_MAX 64
#define WATCH_EVERY_US (100 * G_TIME_SPAN_MILLISECOND)
#define ANSWER_THREADS 4
#define DECODER_THREADS 2

struct parked {
    struct request request;
    uint64_t id;
    pid_t thread; /* the caller's; 0: not known */
    gint pending; /* atomic: wishes not answered, and one while they are being asked */
    gint error;   /* atomic: the first enum engine_error of this round */
    /* under `lock` */
    uint64_t wishes[NEED_MAX];
    struct engine *engine;
    unsigned wish_count;
    bool listens; /* it waits for events */
    bool watched; /* the kernel sent an INTERRUPT */
    bool ended;   /* a fatal signal is pending */
};

static GMutex lock;
static GCond changed;     /* something became watched, or `table` empty, or `closing` */
static GHashTable *table; /* id -> struct parked, not owned */
static uint64_t last_id;
static bool closing;
static GThread *watcher;
static GThreadPool *answers, *decoders;

/* ---- one round ---- */

static void parked_free(struct parked *parked)
{
    g_mutex_lock(&lock);
    g_hash_table_remove(table, &parked->id);
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    g_free((char *)parked->request.name);
    g_free((char *)parked->request.new_name);
    g_free(parked);
}

static void parked_answer(struct parked *parked, int error)
{
    /* without an error the step has answered, and libfuse freed its request */
    if (error != 0)
        fuse_reply_err(parked->request.fuse, error);
    need_clear(&parked->request.need);
    parked_free(parked);
}

static void round_over(struct parked *parked)
{
    if (g_atomic_int_dec_and_test(&parked->pending))
        g_thread_pool_push(answers, parked, NULL);
}

static void wish_done(enum engine_error error, void *data)
{
    struct parked *parked = data;
    if (error != ENGINE_OK)
        g_atomic_int_compare_and_exchange(&parked->error, ENGINE_OK, (gint)error);
    round_over(parked);
}

static void parked_unlisten(struct parked *parked)
{
    g_atomic_int_compare_and_exchange(&parked->error, ENGINE_OK, ENGINE_INTERRUPTED);
    events_cancel(parked->request.reader, parked);
}

/* Asks for everything in the need. A signal that came before the ids were known is caught up on. */
static void parked_ask(struct parked *parked)
{
    struct need *need = &parked->request.need;
    struct engine *engine = need->engine;
    unsigned count = need->count;
    uint64_t ids[NEED_MAX];
    g_atomic_int_set(&parked->error, ENGINE_OK);
    g_atomic_int_set(&parked->pending, (gint)count + 1);
    for (unsigned i = 0; i < count; i++)
        ids[i] = engine_ask(engine, &need->wishes[i], wish_done, parked);

    g_mutex_lock(&lock);
    memcpy(parked->wishes, ids, count * sizeof(ids[0]));
    parked->engine = engine;
    parked->wish_count = count;
    bool ended = parked->ended;
    g_mutex_unlock(&lock);
    for (unsigned i = 0; i < count && ended; i++)
        engine_cancel(engine, ids[i], ENGINE_INTERRUPTED);
    round_over(parked);
}

static void event_done(void *data)
{
    round_over(data);
}

/* Waits for events. */
static void parked_listen(struct parked *parked)
{
    g_atomic_int_set(&parked->error, ENGINE_OK);
    g_atomic_int_set(&parked->pending, 2);
    events_wait(parked->request.reader, event_done, parked);
    g_mutex_lock(&lock);
    parked->listens = true;
    bool ended = parked->ended;
    g_mutex_unlock(&lock);
    if (ended)
        parked_unlisten(parked);
    round_over(parked);
}

/* Takes the step of a parked request. */
static void parked_step(struct parked *parked)
{
    struct request *request = &parked->request;
    bool served = request->need.round < ROUNDS_MAX;
    int error = served ? request->step(request) : EIO;
    if (!served)
        g_warning("what was fetched for a file was gone again %d times before it could be read: "
                  "the cache is too small, or its disk full",
                  ROUNDS_MAX);
    if (error == NEED_WAIT) {
        parked_ask(parked);
    } else if (error == NEED_DECODER) {
        need_clear(&request->need);
        g_thread_pool_push(decoders, parked, NULL);
    } else if (error == NEED_EVENT) {
        parked_listen(parked);
    } else {
        parked_answer(parked, error);
    }
}

static void parked_decode(void *data, void *unused)
{
    struct parked *parked = data;
    parked->request.need.may_decode = true;
    parked_step(parked);
}

/* The next round of a parked request, on a thread of the pool. */
static void parked_resume(void *data, void *unused)
{
    struct parked *parked = data;
    struct need *need = &parked->request.need;
    g_mutex_lock(&lock);
    parked->wish_count = 0;
    parked->listens = false;
    g_mutex_unlock(&lock);

    int error = g_atomic_int_get(&parked->error);
    bool fatal = error == ENGINE_INTERRUPTED || error == ENGINE_STOPPED || !need->optional;
    if (error != ENGINE_OK && fatal) {
        bool gone = error == ENGINE_GONE && parked->request.gone != 0;
        parked_answer(parked,
                      gone ? parked->request.gone : error_of_engine((enum engine_error)error));
        return;
    }
    need_clear(need);
    if (parked->request.reader == NULL) /* events may take any number */
        need->round++;
    need->answer = (enum engine_error)error;
    need->may_decode = false;
    parked_step(parked);
}

/* ---- signals ---- */

/* Whether a signal is pending for the thread that is meant to end it. */
static bool caller_is_ended(pid_t thread)
{
    static const uint64_t FATAL = UINT64_C(1) << (SIGHUP - 1) | UINT64_C(1) << (SIGINT - 1) |
                                  UINT64_C(1) << (SIGQUIT - 1) | UINT64_C(1) << (SIGABRT - 1) |
                                  UINT64_C(1) << (SIGKILL - 1) | UINT64_C(1) << (SIGTERM - 1);
    char path[64], line[256];
    g_snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
    FILE *status = thread > 0 ? fopen(path, "re") : NULL;
    if (status == NULL)
        return true;
    uint64_t pending = 0;
    while (fgets(line, sizeof(line), status) != NULL)
        if (g_str_has_prefix(line, "SigPnd:") || g_str_has_prefix(line, "ShdPnd:"))
            pending |= g_ascii_strtoull(line + strlen("SigPnd:") + 1, NULL, 16);
    fclose(status);
    return (pending & FATAL) != 0;
}

static void on_interrupt(fuse_req_t fuse, void *data)
{
    uint64_t id = GPOINTER_TO_SIZE(data);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    struct parked *parked = g_hash_table_lookup(table, &id);
    if (parked != NULL) {
        parked->watched = true;
        g_cond_broadcast(&changed);
    }
}

/* Looks at one watched request; true if there is more to watch. Called with the lock. */
static bool watch_one(struct parked *parked)
{
    if (!parked->watched || parked->ended)
        return false;
    parked->ended = parked->request.reader != NULL || caller_is_ended(parked->thread);
    if (parked->ended && parked->listens)
        parked_unlisten(parked);
    for (unsigned i = 0; i < parked->wish_count && parked->ended; i++)
        engine_cancel(parked->engine, parked->wishes[i], ENGINE_INTERRUPTED);
    return !parked->ended;
}

static void *watch(void *data)
{
    g_mutex_lock(&lock);
    while (!closing) {
        bool again = false;
        GHashTableIter each;
        void *parked;
        g_hash_table_iter_init(&each, table);
        while (g_hash_table_iter_next(&each, NULL, &parked))
            again |= watch_one(parked);
        if (again)
            g_cond_wait_until(&changed, &lock, g_get_monotonic_time() + WATCH_EVERY_US);
        else
            g_cond_wait(&changed, &lock);
    }
    g_mutex_unlock(&lock);
    return NULL;
}

/* ---- parking ---- */

static void request_park(struct request *request, int why)
{
    struct parked *parked = g_new0(struct parked, 1);
    parked->request = *request;
    parked->request.name = g_strdup(request->name);
    parked->request.new_name = g_strdup(request->new_name);
    parked->thread = fuse_req_ctx(request->fuse)->pid;
    g_mutex_lock(&lock);
    parked->id = ++last_id;
    g_hash_table_insert(table, &parked->id, parked);
    g_mutex_unlock(&lock);
    fuse_req_interrupt_func(request->fuse, on_interrupt, GSIZE_TO_POINTER(parked->id));
    if (why == NEED_WAIT)
        parked_ask(parked);
    else if (why == NEED_EVENT)
        parked_listen(parked);
    else
        g_thread_pool_push(decoders, parked, NULL);
}

void request_start(const struct request *start)
{
    struct request request = *start;
    int error = request.step(&request);
    if (error == NEED_WAIT || error == NEED_DECODER || error == NEED_EVENT) {
        request_park(&request, error);
        return;
    }
    if (error != 0)
        fuse_reply_err(request.fuse, error);
    need_clear(&request.need);
}

void request_init(void)
{
    table = g_hash_table_new(g_int64_hash, g_int64_equal);
    closing = false;
    answers = g_thread_pool_new(parked_resume, NULL, ANSWER_THREADS, FALSE, NULL);
    decoders = g_thread_pool_new(parked_decode, NULL, DECODER_THREADS, FALSE, NULL);
    watcher = g_thread_new("interrupts", watch, NULL);
}

void request_finish(void)
{
    g_mutex_lock(&lock);
    while (g_hash_table_size(table) > 0)
        g_cond_wait(&changed, &lock);
    closing = true;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    g_thread_join(watcher);
    g_thread_pool_free(answers, FALSE, TRUE);
    g_thread_pool_free(decoders, FALSE, TRUE);
    g_clear_pointer(&table, g_hash_table_unref);
}

unsigned request_parked(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    return table != NULL ? g_hash_table_size(table) : 0;
}
