/* For builds with ThreadSanitizer only: tells it what GLib's locks and hand-overs order.
 *
 * GLib is not built for ThreadSanitizer and locks with futexes of its own, so that all that a
 * GMutex guards or a queue hands over would look like a race. The linker puts these functions in
 * the place of GLib's in our own objects (--wrap, see meson.build); each calls GLib's and says what
 * it means. What libraries do among themselves is not seen: what they report about their own memory
 * is suppressed below, by where the access is made from, so that none of ours is.
 *
 * GLib's slices go from thread to thread under its own locks too: run with G_SLICE=always-malloc,
 * as meson test and the tests on mounts do.
 *
 * tests/test-tsan.c holds that each still lets a race beside it be found.
 */
#include <glib.h>
#include <stdlib.h>

#include "tests/tsan.h"

const char *__tsan_default_suppressions(void);
const char *__tsan_default_options(void);

/* What GLib reads, writes and frees of its own accord is guarded by locks and atomics that nobody
 * sees. What our code does is seen, called by GLib or calling it, and so is what other libraries
 * do. */
QUIET const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libglib-2.0.so\n"
           "race:_dl_close_worker\n"; /* iconv(3) unloads its converters under a lock of its own */
}

QUIET const char *__tsan_default_options(void)
{
    return "second_deadlock_stack=1:history_size=4";
}

/* ---- locks ----------------------------------------------------------------------------------- */

WRAP(void, g_mutex_clear, GMutex *mutex)
{
    __tsan_mutex_destroy(mutex, 0);
    __real_g_mutex_clear(mutex);
}

WRAP(void, g_mutex_lock, GMutex *mutex)
{
    __tsan_mutex_pre_lock(mutex, 0);
    __real_g_mutex_lock(mutex);
    __tsan_mutex_post_lock(mutex, 0, 0);
}

WRAP(gboolean, g_mutex_trylock, GMutex *mutex)
{
    __tsan_mutex_pre_lock(mutex, __tsan_mutex_try_lock);
    gboolean got = __real_g_mutex_trylock(mutex);
    __tsan_mutex_post_lock(
        mutex, got ? __tsan_mutex_try_lock : __tsan_mutex_try_lock | __tsan_mutex_try_lock_failed,
        0);
    return got;
}

WRAP(void, g_mutex_unlock, GMutex *mutex)
{
    __tsan_mutex_pre_unlock(mutex, 0);
    __real_g_mutex_unlock(mutex);
    __tsan_mutex_post_unlock(mutex, 0);
}

static QUIET void wait_begin(GMutex *mutex)
{
    __tsan_mutex_pre_unlock(mutex, 0);
    __tsan_mutex_post_unlock(mutex, 0);
}

static QUIET void wait_end(GMutex *mutex)
{
    __tsan_mutex_pre_lock(mutex, 0);
    __tsan_mutex_post_lock(mutex, 0, 0);
}

WRAP(void, g_cond_wait, GCond *cond, GMutex *mutex)
{
    wait_begin(mutex);
    __real_g_cond_wait(cond, mutex);
    wait_end(mutex);
}

WRAP(gboolean, g_cond_wait_until, GCond *cond, GMutex *mutex, gint64 end_time)
{
    wait_begin(mutex);
    gboolean signalled = __real_g_cond_wait_until(cond, mutex, end_time);
    wait_end(mutex);
    return signalled;
}

/* ---- queues ---------------------------------------------------------------------------------- */

WRAP(void, g_async_queue_push, GAsyncQueue *queue, gpointer item)
{
    __tsan_release(queue);
    __real_g_async_queue_push(queue, item);
}

WRAP(void, g_async_queue_push_front, GAsyncQueue *queue, gpointer item)
{
    __tsan_release(queue);
    __real_g_async_queue_push_front(queue, item);
}

WRAP(gpointer, g_async_queue_pop, GAsyncQueue *queue)
{
    gpointer item = __real_g_async_queue_pop(queue);
    __tsan_acquire(queue);
    return item;
}

/* ---- pools of threads ------------------------------------------------------------------------ */

struct pool_call {
    GFunc function;
    gpointer data;
    char pushed, done; /* their addresses are what is synchronised on */
};

static QUIET void pool_run(gpointer item, gpointer data)
{
    struct pool_call *call = data;
    __tsan_acquire(&call->pushed);
    call->function(item, call->data);
    __tsan_release(&call->done);
}

WRAP(GThreadPool *, g_thread_pool_new, GFunc function, gpointer data, gint threads,
     gboolean exclusive, GError **error)
{
    struct pool_call *call = g_new0(struct pool_call, 1);
    call->function = function;
    call->data = data;
    return __real_g_thread_pool_new(pool_run, call, threads, exclusive, error);
}

WRAP(gboolean, g_thread_pool_push, GThreadPool *pool, gpointer item, GError **error)
{
    struct pool_call *call = pool->user_data;
    __tsan_release(&call->pushed);
    return __real_g_thread_pool_push(pool, item, error);
}

/* Without `wait` the threads may still need the call: it is left to them. */
WRAP(void, g_thread_pool_free, GThreadPool *pool, gboolean immediate, gboolean wait)
{
    struct pool_call *call = pool->user_data;
    __real_g_thread_pool_free(pool, immediate, wait);
    if (!wait)
        return;
    __tsan_acquire(&call->done);
    free(call);
}

/* ---- sources --------------------------------------------------------------------------------- */

/* A callback sees what was so when its source was attached. */
struct source_call {
    GSource *source;
    GSourceFunc function;
    gpointer data;
    GDestroyNotify free;
};

static QUIET gboolean source_run(gpointer data)
{
    struct source_call *call = data;
    __tsan_acquire(call->source);
    return call->function(call->data);
}

static QUIET void source_free(gpointer data)
{
    struct source_call *call = data;
    __tsan_acquire(call->source);
    if (call->free != NULL)
        call->free(call->data);
    free(call);
}

/* All sources of ours call plain functions. */
WRAP(void, g_source_set_callback, GSource *source, GSourceFunc function, gpointer data,
     GDestroyNotify free)
{
    struct source_call *call = g_new(struct source_call, 1);
    *call = (struct source_call){source, function, data, free};
    __real_g_source_set_callback(source, source_run, call, source_free);
}

WRAP(guint, g_source_attach, GSource *source, GMainContext *context)
{
    __tsan_release(source);
    return __real_g_source_attach(source, context);
}

/* ---- memory ---------------------------------------------------------------------------------- */

WRAP(gboolean, g_atomic_ref_count_dec, gatomicrefcount *count)
{
    __tsan_release(count);
    gboolean last = __real_g_atomic_ref_count_dec(count);
    if (last)
        __tsan_acquire(count);
    return last;
}

/* Frees here, not in GLib, so that a use after it is found. */
WRAP(void, g_free, gpointer memory)
{
    free(memory);
}
