#include "fs/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#define AGAIN_NS (50 * 1000 * 1000)

struct interrupt {
    pthread_t waiter;
    GThread *thread;
    GCancellable *cancel;
    sigset_t signals, before; /* `before`: the mask as it was */
    struct sigaction wake_before;
    atomic_bool over;
};

static void on_wake(int number)
{
}

/* A signal that comes just before the waiter falls asleep is lost on it: so it is sent until all is
 * over. */
static gpointer interrupt_run(gpointer data)
{
    struct interrupt *interrupt = data;
    const struct timespec again = {.tv_nsec = AGAIN_NS};

    while (!interrupt->over) {
        int number = sigtimedwait(&interrupt->signals, NULL, &again);
        if (number > 0)
            g_cancellable_cancel(interrupt->cancel);
        if (g_cancellable_is_cancelled(interrupt->cancel) && !interrupt->over)
            pthread_kill(interrupt->waiter, SIGUSR1);
    }
    return NULL;
}

struct interrupt *interrupt_new(void)
{
    struct interrupt *interrupt = g_new0(struct interrupt, 1);
    const struct sigaction wake = {.sa_handler = on_wake}; /* no SA_RESTART */

    interrupt->waiter = pthread_self();
    interrupt->cancel = g_cancellable_new();
    sigemptyset(&interrupt->signals);
    sigaddset(&interrupt->signals, SIGINT);
    sigaddset(&interrupt->signals, SIGTERM);
    sigaddset(&interrupt->signals, SIGHUP);
    sigaction(SIGUSR1, &wake, &interrupt->wake_before);
    pthread_sigmask(SIG_BLOCK, &interrupt->signals, &interrupt->before);
    interrupt->thread = g_thread_new("interrupt", interrupt_run, interrupt);
    return interrupt;
}

GCancellable *interrupt_cancel(const struct interrupt *interrupt)
{
    return interrupt->cancel;
}

void interrupt_free(struct interrupt *interrupt)
{
    if (interrupt == NULL)
        return;
    interrupt->over = true;
    g_thread_join(interrupt->thread);
    sigaction(SIGUSR1, &interrupt->wake_before, NULL);
    pthread_sigmask(SIG_SETMASK, &interrupt->before, NULL);
    g_object_unref(interrupt->cancel);
    g_free(interrupt);
}
