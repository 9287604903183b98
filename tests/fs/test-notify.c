/* Notifications to the kernel, whose end is played here. */
#include "fs/notify.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define ROUNDS 50
#define WAIT_US G_USEC_PER_SEC

static gint entries, inodes, over; /* atomic */

int fuse_lowlevel_notify_inval_entry(struct fuse_session *session, fuse_ino_t parent,
                                     const char *name, size_t length)
{
    g_assert_cmpuint(strlen(name), ==, length);
    g_atomic_int_inc(&entries);
    return 0;
}

int fuse_lowlevel_notify_inval_inode(struct fuse_session *session, fuse_ino_t inode, off_t offset,
                                     off_t length)
{
    g_atomic_int_inc(&inodes);
    return 0;
}

static void test_told(void)
{
    g_assert_false(notify_entry(1, "early"));
    g_assert_false(notify_wait(WAIT_US));
    notify_start(NULL);
    g_assert_true(notify_entry(1, "a name"));
    notify_inode(2);
    while (!notify_wait(WAIT_US))
        ;
    g_assert_cmpint(g_atomic_int_get(&entries), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&inodes), ==, 1);
    notify_stop();
    g_assert_false(notify_entry(1, "late"));
    g_assert_false(notify_wait(WAIT_US));
    notify_free();
    notify_free();
}

static void *teller(void *data)
{
    while (g_atomic_int_get(&over) == 0) {
        notify_entry(1, "a name");
        notify_attributes(3);
        notify_wait(1000);
    }
    return NULL;
}

/* Others go on telling while it ends. */
static void test_stopped(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        GThread *threads[4];
        g_atomic_int_set(&over, 0);
        notify_start(NULL);
        for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
            threads[i] = g_thread_new("teller", teller, NULL);
        gint told = g_atomic_int_get(&inodes);
        while (g_atomic_int_get(&inodes) == told)
            g_usleep(100);
        notify_stop();
        g_atomic_int_set(&over, 1);
        for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
            g_thread_join(threads[i]);
        notify_free();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/notify/told", test_told);
    g_test_add_func("/notify/stopped", test_stopped);
    return g_test_run();
}
