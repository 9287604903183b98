/* Work in a thread of its own: done, too slow, given up; and who frees what it works on. */
#include "imap/aside.h"

struct work {
    GMutex lock;
    GCond changed;
    bool go, released; /* under `lock` */
    int done;
};

static void work_run(void *data)
{
    struct work *work = data;

    g_mutex_lock(&work->lock);
    while (!work->go)
        g_cond_wait(&work->changed, &work->lock);
    work->done++;
    g_mutex_unlock(&work->lock);
}

static void work_release(void *data)
{
    struct work *work = data;

    g_mutex_lock(&work->lock);
    work->released = true;
    g_cond_broadcast(&work->changed);
    g_mutex_unlock(&work->lock);
}

/* Lets it go, and waits until both sides are through with it. */
static void work_end(struct work *work)
{
    g_mutex_lock(&work->lock);
    work->go = true;
    g_cond_broadcast(&work->changed);
    while (!work->released)
        g_cond_wait(&work->changed, &work->lock);
    g_mutex_unlock(&work->lock);
    g_assert_cmpint(work->done, ==, 1);
    g_mutex_clear(&work->lock);
    g_cond_clear(&work->changed);
}

static void work_init(struct work *work, bool go)
{
    *work = (struct work){.go = go};
    g_mutex_init(&work->lock);
    g_cond_init(&work->changed);
}

static void test_done(void)
{
    g_autoptr(GError) error = NULL;
    struct imap_wait wait;
    struct work work;

    work_init(&work, true);
    imap_wait_start(&wait, "host", 3600, NULL);
    g_assert_true(imap_aside(work_run, &work, work_release, &wait, &error));
    g_assert_no_error(error);
    work_end(&work);
}

static void test_slow(void)
{
    g_autoptr(GError) error = NULL;
    struct imap_wait wait;
    struct work work;

    work_init(&work, false);
    imap_wait_start(&wait, "host", 1, NULL);
    g_assert_false(imap_aside(work_run, &work, work_release, &wait, &error));
    g_assert_error(error, IMAP_ERROR, IMAP_ERROR_TIMEOUT);
    g_assert_false(work.released); /* the thread still has it */
    work_end(&work);
}

static void test_cancelled(void)
{
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_autoptr(GError) error = NULL;
    struct imap_wait wait;
    struct work work;

    work_init(&work, false);
    imap_wait_start(&wait, "host", 3600, cancel);
    g_cancellable_cancel(cancel);
    g_assert_false(imap_aside(work_run, &work, work_release, &wait, &error));
    g_assert_error(error, IMAP_ERROR, IMAP_ERROR_CANCELLED);
    work_end(&work);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/aside/done", test_done);
    g_test_add_func("/imap/aside/slow", test_slow);
    g_test_add_func("/imap/aside/cancelled", test_cancelled);
    return g_test_run();
}
