/* For builds with ThreadSanitizer only: tells it what GLib's locks and hand-overs order.
 *
 * GLib is not built for ThreadSanitizer and locks with futexes of its own, so that everything that
 * a GMutex guards would look like a race. These functions stand before GLib's, call them, and say
 * what they mean. What GLib and GIO do among themselves is not seen, and need not be.
 */
#include <dlfcn.h>
#include <glib.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);
const char *__tsan_default_suppressions(void);

/* GLib hands memory from thread to thread under locks that nobody sees. */
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libglib-2.0.so.0\n";
}

/* The next definition of a function: GLib's. */
#define REAL(function)                   \
    static __typeof__(&(function)) real; \
    real_find((void **)(void *)&real, #function)

static void real_find(void **real, const char *name)
{
    if (__atomic_load_n(real, __ATOMIC_RELAXED) == NULL)
        __atomic_store_n(real, dlsym(RTLD_NEXT, name), __ATOMIC_RELAXED);
}

/* ---- locks ----------------------------------------------------------------------------------- */

void g_mutex_lock(GMutex *mutex)
{
    REAL(g_mutex_lock);
    real(mutex);
    __tsan_acquire(mutex);
}

gboolean g_mutex_trylock(GMutex *mutex)
{
    REAL(g_mutex_trylock);
    gboolean got = real(mutex);
    if (got)
        __tsan_acquire(mutex);
    return got;
}

void g_mutex_unlock(GMutex *mutex)
{
    REAL(g_mutex_unlock);
    __tsan_release(mutex);
    real(mutex);
}

void g_cond_wait(GCond *cond, GMutex *mutex)
{
    REAL(g_cond_wait);
    __tsan_release(mutex);
    real(cond, mutex);
    __tsan_acquire(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    REAL(g_cond_wait_until);
    __tsan_release(mutex);
    gboolean signalled = real(cond, mutex, end_time);
    __tsan_acquire(mutex);
    return signalled;
}

/* ---- what is handed over --------------------------------------------------------------------- */

void g_bytes_unref(GBytes *bytes)
{
    REAL(g_bytes_unref);
    if (bytes != NULL) {
        __tsan_release(bytes);
        __tsan_acquire(bytes);
    }
    real(bytes);
}

/* A source's callback sees what was so when it was set. */
struct call {
    GSourceFunc function;
    gpointer data;
    GDestroyNotify free;
};

static gboolean call_run(gpointer data)
{
    struct call *call = data;
    __tsan_acquire(call);
    return call->function(call->data);
}

static void call_free(gpointer data)
{
    struct call *call = data;
    __tsan_acquire(call);
    if (call->free != NULL)
        call->free(call->data);
    g_free(call);
}

/* Only for plain functions: those of sockets take other arguments. */
static gboolean call_is_plain(const GSource *source)
{
    return source->source_funcs == &g_idle_funcs || source->source_funcs == &g_timeout_funcs;
}

void g_source_set_callback(GSource *source, GSourceFunc function, gpointer data,
                           GDestroyNotify free)
{
    REAL(g_source_set_callback);
    if (!call_is_plain(source)) {
        real(source, function, data, free);
        return;
    }
    struct call *call = g_new(struct call, 1);
    *call = (struct call){function, data, free};
    __tsan_release(call);
    real(source, call_run, call, call_free);
}

struct pool_call {
    GFunc function;
    gpointer data;
};

static void pool_run(gpointer item, gpointer data)
{
    const struct pool_call *call = data;
    __tsan_acquire(item);
    call->function(item, call->data);
}

/* The pool's struct pool_call lives as long as the process. */
GThreadPool *g_thread_pool_new(GFunc function, gpointer data, gint threads, gboolean exclusive,
                               GError **error)
{
    static GPtrArray *calls;
    static GMutex lock;
    REAL(g_thread_pool_new);
    struct pool_call *call = g_new(struct pool_call, 1);
    *call = (struct pool_call){function, data};
    g_mutex_lock(&lock);
    if (calls == NULL)
        calls = g_ptr_array_new();
    g_ptr_array_add(calls, call);
    g_mutex_unlock(&lock);
    return real(pool_run, call, threads, exclusive, error);
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer data, GError **error)
{
    REAL(g_thread_pool_push);
    __tsan_release(data);
    return real(pool, data, error);
}
