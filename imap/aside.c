#include "imap/aside.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct aside {
    gint references; /* atomic */
    gint done;       /* atomic: what the thread wrote before is seen by who reads it */
    int done_fd;     /* eventfd, so that it can be waited for */
    void (*work)(void *data);
    void *data;
    GDestroyNotify release;
};

static void aside_unref(struct aside *aside)
{
    if (!g_atomic_int_dec_and_test(&aside->references))
        return;
    aside->release(aside->data);
    close(aside->done_fd);
    g_free(aside);
}

static gpointer aside_run(gpointer data)
{
    struct aside *aside = data;

    aside->work(aside->data);
    g_atomic_int_set(&aside->done, 1);
    if (eventfd_write(aside->done_fd, 1) < 0)
        g_debug("eventfd: %s", g_strerror(errno));
    aside_unref(aside);
    return NULL;
}

bool imap_aside(void (*work)(void *data), void *data, GDestroyNotify release,
                const struct imap_wait *wait, GError **error)
{
    struct aside *aside = g_new0(struct aside, 1);

    aside->references = 2;
    aside->work = work;
    aside->data = data;
    aside->release = release;
    aside->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (aside->done_fd < 0) {
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_UNAVAILABLE, "%s: %s", wait->host,
                    g_strerror(errno));
        release(data);
        g_free(aside);
        return false;
    }
    g_thread_unref(g_thread_new("imap-aside", aside_run, aside));
    bool done =
        imap_wait_ready(wait, aside->done_fd, POLLIN, error) && g_atomic_int_get(&aside->done) != 0;
    aside_unref(aside);
    return done;
}
