/* Whether ThreadSanitizer, told of GLib's locks by tsan.c, is silent about what they order and
 * still finds a race beside them. Each case runs in a process of its own. */
#include <glib.h>
#include <stdbool.h>

struct box {
    GMutex lock;
    GCond changed;
    GAsyncQueue *queue;
    GThreadPool *pool;
    GMainContext *context;
    gatomicrefcount references;
    bool given;      /* under `lock` */
    unsigned before; /* written before the hand-over */
    unsigned after;  /* written after it */
    bool wrong;      /* whether the taker looks at what was written after */
    volatile int told, waits;
};

struct hand_over {
    const char *name;
    void (*give)(struct box *box); /* in one thread */
    void (*take)(struct box *box); /* in the other: takes over, then look() */
};

/* ---- an order that ThreadSanitizer does not see ---------------------------------------------- */

__attribute__((no_sanitize("thread"))) static void tell(volatile int *told)
{
    *told = 1;
}

__attribute__((no_sanitize("thread"))) static void await(const volatile int *told)
{
    while (!*told)
        g_usleep(1000);
}

static void look(struct box *box)
{
    await(&box->told);
    unsigned seen = box->before;
    if (box->wrong)
        seen += box->after;
    g_assert_cmpuint(seen, >=, 1);
}

/* ---- locks ----------------------------------------------------------------------------------- */

static void mutex_pass(struct box *box)
{
    g_mutex_lock(&box->lock);
    g_mutex_unlock(&box->lock);
}

static void mutex_take(struct box *box)
{
    await(&box->told);
    mutex_pass(box);
    look(box);
}

static void trylock_take(struct box *box)
{
    await(&box->told);
    g_assert_true(g_mutex_trylock(&box->lock));
    g_mutex_unlock(&box->lock);
    look(box);
}

static void locker_pass(struct box *box)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&box->lock);
}

static void locker_take(struct box *box)
{
    await(&box->told);
    locker_pass(box);
    look(box);
}

static void cond_give(struct box *box)
{
    await(&box->waits);
    g_mutex_lock(&box->lock); /* not before the other waits */
    box->given = true;
    g_cond_broadcast(&box->changed);
    g_mutex_unlock(&box->lock);
}

static void cond_take(struct box *box)
{
    g_mutex_lock(&box->lock);
    tell(&box->waits);
    while (!box->given)
        g_cond_wait(&box->changed, &box->lock);
    g_mutex_unlock(&box->lock);
    look(box);
}

static void cond_until_take(struct box *box)
{
    g_mutex_lock(&box->lock);
    tell(&box->waits);
    while (!box->given)
        g_cond_wait_until(&box->changed, &box->lock, g_get_monotonic_time() + G_USEC_PER_SEC);
    g_mutex_unlock(&box->lock);
    look(box);
}

/* ---- queues, pools, sources ------------------------------------------------------------------ */

static void queue_push(struct box *box)
{
    g_async_queue_push(box->queue, box);
}

static void queue_push_front(struct box *box)
{
    g_async_queue_push_front(box->queue, box);
}

static void queue_take(struct box *box)
{
    look(g_async_queue_pop(box->queue));
}

static void pool_look(void *item, void *data)
{
    look(item);
}

static void pool_give(struct box *box)
{
    g_thread_pool_push(box->pool, box, NULL);
}

static int source_look(void *data)
{
    struct box *box = data;
    look(box);
    tell(&box->waits);
    return G_SOURCE_REMOVE;
}

static void source_free_look(void *data)
{
    source_look(data);
}

static int source_nothing(void *data)
{
    return G_SOURCE_REMOVE;
}

static void source_attach(struct box *box, GSourceFunc run, GDestroyNotify free)
{
    g_autoptr(GSource) source = g_idle_source_new();
    g_source_set_callback(source, run, box, free);
    g_source_attach(source, box->context);
}

static void source_give(struct box *box)
{
    source_attach(box, source_look, NULL);
}

static void source_free_give(struct box *box)
{
    source_attach(box, source_nothing, source_free_look);
}

__attribute__((no_sanitize("thread"))) static void source_take(struct box *box)
{
    while (!box->waits)
        g_main_context_iteration(box->context, FALSE);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void count_drop(struct box *box)
{
    g_assert_false(g_atomic_ref_count_dec(&box->references));
}

static void count_take(struct box *box)
{
    await(&box->told);
    g_assert_true(g_atomic_ref_count_dec(&box->references));
    look(box);
}

static void nothing(struct box *box)
{
}

static const struct hand_over HAND_OVERS[] = {
    {"mutex", mutex_pass, mutex_take},
    {"trylock", mutex_pass, trylock_take},
    {"locker", locker_pass, locker_take},
    {"cond", cond_give, cond_take},
    {"cond-until", cond_give, cond_until_take},
    {"queue", queue_push, queue_take},
    {"queue-front", queue_push_front, queue_take},
    {"pool", pool_give, nothing},
    {"source", source_give, source_take},
    {"source-free", source_free_give, source_take},
    {"count", count_drop, count_take},
};

/* ---- running them ---------------------------------------------------------------------------- */

struct run {
    const struct hand_over *over; /* NULL: `alone` */
    void (*alone)(bool wrong);
    bool wrong;
    struct box box;
};

static void *taker(void *data)
{
    struct run *run = data;
    run->over->take(&run->box);
    return NULL;
}

static void hand_over(const struct hand_over *over, bool wrong)
{
    g_autofree struct run *run = g_new0(struct run, 1); /* clang 14 trusts the stack too much */
    struct box *box = &run->box;
    run->over = over;
    box->wrong = wrong;
    g_mutex_init(&box->lock);
    g_cond_init(&box->changed);
    box->queue = g_async_queue_new();
    box->context = g_main_context_new();
    box->pool = g_thread_pool_new(pool_look, NULL, 1, FALSE, NULL);
    g_atomic_ref_count_init(&box->references);
    g_atomic_ref_count_inc(&box->references);

    GThread *thread = g_thread_new("taker", taker, run);
    box->before = 1;
    over->give(box);
    box->after = 1;
    tell(&box->told);
    g_thread_join(thread);
    g_thread_pool_free(box->pool, FALSE, TRUE);
    g_main_context_unref(box->context);
    g_async_queue_unref(box->queue);
    g_cond_clear(&box->changed);
    g_mutex_clear(&box->lock);
}

/* ---- what is no hand-over -------------------------------------------------------------------- */

static void pool_write(void *item, void *data)
{
    struct box *box = item;
    box->before = 1;
    tell(&box->told);
}

/* What a pool did is seen by who waited for its end, and by nobody else. */
static void pool_end(bool wrong)
{
    g_autofree struct box *box = g_new0(struct box, 1);
    GThreadPool *pool = g_thread_pool_new(pool_write, NULL, 1, FALSE, NULL);
    g_thread_pool_push(pool, box, NULL);
    if (!wrong)
        g_thread_pool_free(pool, FALSE, TRUE);
    await(&box->told);
    g_assert_cmpuint(box->before, ==, 1);
}

struct freed {
    unsigned *memory;
    volatile int used, gone;
    bool wrong;
};

static void *freed_use(void *data)
{
    struct freed *freed = data;
    if (freed->wrong)
        await(&freed->gone);
    unsigned seen = *freed->memory;
    tell(&freed->used);
    return GUINT_TO_POINTER(seen);
}

/* g_free() of what another thread uses, before or afterwards, without an order. */
static void free_used(bool wrong)
{
    struct freed freed = {.memory = g_new0(unsigned, 64), .wrong = wrong};
    GThread *thread = g_thread_new("user", freed_use, &freed);
    if (!wrong)
        g_thread_join(thread);
    g_free(freed.memory);
    tell(&freed.gone);
    if (wrong)
        g_thread_join(thread);
}

static GMutex one, two;

static void both_lock(GMutex *first, GMutex *second)
{
    g_mutex_lock(first);
    g_mutex_lock(second);
    g_mutex_unlock(second);
    g_mutex_unlock(first);
}

/* Two locks taken in both orders. */
static void lock_order(bool wrong)
{
    both_lock(&one, &two);
    both_lock(wrong ? &two : &one, wrong ? &one : &two);
}

/* ---- */

static void test_one(const void *data)
{
    const struct run *run = data;
    if (g_test_subprocess()) {
        if (run->over != NULL)
            hand_over(run->over, run->wrong);
        else
            run->alone(run->wrong);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    if (run->wrong) {
        g_test_trap_assert_failed();
        g_test_trap_assert_stderr("*WARNING: ThreadSanitizer*test-tsan.c*");
    } else {
        g_test_trap_assert_passed();
        g_test_trap_assert_stderr_unmatched("*ThreadSanitizer*");
    }
}

static void add(const char *name, struct run run)
{
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        g_autofree char *path = g_strdup_printf("/tsan/%s/%s", name, wrong ? "race" : "right");
        run.wrong = wrong;
        g_test_add_data_func_full(path, g_memdup2(&run, sizeof(run)), test_one, g_free);
    }
}

int main(int argc, char *argv[])
{
    g_unsetenv("TSAN_OPTIONS"); /* a child's report goes to its standard error */
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(HAND_OVERS); i++)
        add(HAND_OVERS[i].name, (struct run){.over = &HAND_OVERS[i]});
    add("pool-end", (struct run){.alone = pool_end});
    add("free", (struct run){.alone = free_used});
    add("lock-order", (struct run){.alone = lock_order});
    return g_test_run();
}
