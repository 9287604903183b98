#include "fs/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/log.h"
#include "fs/mountpoint.h"
#include "fs/systemd.h"

/* How often a worker that serves is looked at. */
#define LOOK_MS 5000

static void fd_clear(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int cannot_start(void)
{
    g_autofree char *why = g_strdup_printf("cannot start: %s", g_strerror(errno));

    log_end(why);
    return SUPERVISOR_CRASHED;
}

static void terminal_leave(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    if (chdir("/") != 0 || null < 0)
        return;
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
}

/* ---- the worker ----------------------------------------------------------------------------- */

/* What the worker says to the supervisor. */
struct readiness {
    dev_t device;
    int status;
};

static int worker_ready_fd = -1; /* to the supervisor */
static bool worker_foreground;

void supervisor_ready(dev_t device, int status)
{
    struct readiness ready = {.device = device, .status = status};

    if (!worker_foreground)
        terminal_leave();
    if (write(worker_ready_fd, &ready, sizeof(ready)) != sizeof(ready))
        g_warning("the supervisor is gone");
    fd_clear(&worker_ready_fd);
}

static int worker_run(const struct supervisor *supervisor, bool again, int ready_fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        return SUPERVISOR_CRASHED;
    unsetenv("NOTIFY_SOCKET");
    worker_ready_fd = ready_fd;
    worker_foreground = supervisor->foreground;
    return supervisor->work(again, supervisor->data);
}

/* ---- the supervisor ------------------------------------------------------------------------- */

struct watch {
    const struct supervisor *supervisor;
    pid_t worker;
    int signals;  /* signalfd */
    int ready;    /* from the worker; -1 after it has spoken or closed it */
    int launcher; /* to the launcher; -1 in the foreground and when it is told */
    bool usable;  /* the worker said so */
    dev_t device; /* of the mount, if usable */
    /* the end, when a signal has asked for it */
    bool stopped;
    bool killed;     /* patience is at its end */
    gint64 until_us; /* when it is; g_get_monotonic_time() */
};

static void launcher_tell(struct watch *watch, int status)
{
    unsigned char byte = (unsigned char)status;

    if (watch->launcher >= 0 && write(watch->launcher, &byte, 1) != 1)
        g_debug("the launcher is gone");
    fd_clear(&watch->launcher);
}

static void ready_take(struct watch *watch)
{
    struct readiness ready;

    if (watch->ready < 0)
        return;
    ssize_t n = read(watch->ready, &ready, sizeof(ready));
    fd_clear(&watch->ready);
    if (n != sizeof(ready))
        return;
    watch->device = ready.device;
    watch->usable = true;
    g_autofree char *status = g_strconcat("Mounted at ", watch->supervisor->mountpoint, NULL);
    systemd_notify("READY=1", status);
    if (watch->launcher >= 0) {
        log_open(true, G_LOG_LEVEL_MESSAGE);
        terminal_leave();
    }
    launcher_tell(watch, ready.status);
}

static void worker_stop(struct watch *watch)
{
    if (!watch->stopped)
        watch->until_us = g_get_monotonic_time() + watch->supervisor->patience_ms * 1000LL;
    watch->stopped = true;
    kill(watch->worker, SIGTERM);
}

/* Only the end of the connection frees what worker_is_stuck() tells of. */
static void worker_kill(struct watch *watch)
{
    g_critical("did not end when told to, and is killed");
    watch->killed = true;
    watch->until_us = g_get_monotonic_time() + watch->supervisor->patience_ms * 1000LL;
    kill(watch->worker, SIGKILL);
    if (!watch->usable)
        return;
    mountpoint_abort(watch->supervisor->mountpoint, watch->device);
    mountpoint_detach(watch->supervisor->mountpoint, watch->device);
}

/* How long poll() may wait, in ms; -1: for ever. */
static int patience_left(const struct watch *watch)
{
    gint64 left_us = watch->until_us - g_get_monotonic_time();

    if (!watch->stopped)
        return watch->usable ? LOOK_MS : -1;
    return (int)MIN(MAX(left_us, 0) / 1000 + 1, LOOK_MS);
}

/* Whether the worker was killed while a thread of it was stuck in the kernel, waiting for a reader
 * that waits for the worker: waitpid() and SIGCHLD say nothing of that. */
static bool worker_is_stuck(const struct watch *watch)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)watch->worker);
    g_autofree char *text = NULL;
    if (!watch->usable || !g_file_get_contents(path, &text, NULL, NULL))
        return false;
    const char *name_end = strrchr(text, ')'); /* the name may hold anything */
    return name_end != NULL && g_str_has_prefix(name_end, ") Z");
}

static bool patience_ended(const struct watch *watch)
{
    return watch->stopped && g_get_monotonic_time() >= watch->until_us;
}

/* Whether the worker has ended; then `*status` is as of waitpid(). */
static bool signal_take(struct watch *watch, int *status)
{
    struct signalfd_siginfo info;

    if (read(watch->signals, &info, sizeof(info)) != sizeof(info))
        return false;
    if (info.ssi_signo == SIGCHLD)
        return waitpid(watch->worker, status, WNOHANG) == watch->worker;
    systemd_notify("STOPPING=1", "Unmounting; what waits is sent, or kept");
    worker_stop(watch);
    return false;
}

/* Until the worker has ended. Returns its status as of waitpid(). */
static int worker_watch(struct watch *watch)
{
    for (;;) {
        struct pollfd fds[] = {
            {watch->signals, POLLIN, 0}, {watch->ready, POLLIN, 0}, {watch->launcher, 0, 0}};
        int status;
        if (poll(fds, G_N_ELEMENTS(fds), patience_left(watch)) < 0 && errno != EINTR)
            return SUPERVISOR_CRASHED << 8;
        if (fds[1].revents != 0)
            ready_take(watch);
        if (fds[2].revents != 0 && watch->launcher >= 0) {
            fd_clear(&watch->launcher); /* the user has given up */
            worker_stop(watch);
        }
        if (fds[0].revents != 0 && signal_take(watch, &status))
            return status;
        if (worker_is_stuck(watch))
            mountpoint_abort(watch->supervisor->mountpoint, watch->device);
        if (!patience_ended(watch))
            continue;
        if (watch->killed)
            return SIGKILL; /* as good as dead */
        worker_kill(watch);
    }
}

/* The worker is gone: nothing of it stays mounted. */
static int worker_bury(struct watch *watch, int status)
{
    ready_take(watch);
    if (watch->usable || !WIFEXITED(status))
        mountpoint_detach(watch->supervisor->mountpoint, watch->usable ? watch->device : 0);
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    if (!watch->killed)
        g_critical("ended unexpectedly by signal %d", WTERMSIG(status));
    return SUPERVISOR_CRASHED;
}

static sigset_t signals_watched(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    return set;
}

/* In the parent: 0, and the watch has a new worker; an exit status if none could be started. In the
 * child: does not return before the worker's life is over, and says so in `*child`. */
static int worker_start(struct watch *watch, bool again, const sigset_t *before, bool *child)
{
    pid_t parent = getpid();
    int ready[2];

    watch->usable = false;
    if (pipe2(ready, O_CLOEXEC) != 0 || (watch->worker = fork()) < 0) {
        return cannot_start();
    }
    if (watch->worker == 0) {
        *child = true;
        close(ready[0]);
        fd_clear(&watch->signals);
        fd_clear(&watch->launcher);
        sigprocmask(SIG_SETMASK, before, NULL);
        return worker_run(watch->supervisor, again, ready[1], parent);
    }
    close(ready[1]);
    watch->ready = ready[0];
    return 0;
}

static bool worker_crashed(int status)
{
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS ||
                                   WTERMSIG(status) == SIGABRT);
}

/* The supervisor's life, and in the child the worker's; both return their exit status. */
static int supervise(const struct supervisor *supervisor, int launcher)
{
    struct watch watch = {.supervisor = supervisor, .launcher = launcher};
    sigset_t watched = signals_watched(), before;
    bool child = false, again = false;
    int result, status;

    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &watched, &before);
    watch.signals = signalfd(-1, &watched, SFD_CLOEXEC);
    do {
        systemd_notify("", again ? "Starting again after a crash" : "Connecting and signing in");
        result = worker_start(&watch, again, &before, &child);
        if (child || result != 0)
            return result;
        if (launcher >= 0 && !again)
            setsid(); /* the worker keeps the terminal */
        status = worker_watch(&watch);
        result = worker_bury(&watch, status);
    } while (worker_crashed(status) && !watch.stopped && !again && (again = true));
    systemd_notify("STOPPING=1", NULL);
    launcher_tell(&watch, result);
    return result;
}

/* ---- the launcher --------------------------------------------------------------------------- */

static volatile sig_atomic_t launcher_signal; /* that told us to end, 0: none */
static pid_t launcher_child;

/* The worker may be asking for a password: it ends first, so that the terminal gets its echo back
 * before the shell has it. A second signal does not wait. */
static void launcher_end(int number)
{
    launcher_signal = number;
    kill(launcher_child, SIGTERM);
}

static void launcher_catch(pid_t supervisor)
{
    const struct sigaction end = {.sa_handler = launcher_end, .sa_flags = (int)SA_RESETHAND};

    launcher_child = supervisor;
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGHUP, &end, NULL);
}

static int launcher_wait(int status_fd)
{
    unsigned char status;
    ssize_t n;

    while ((n = read(status_fd, &status, 1)) < 0 && errno == EINTR)
        ;
    close(status_fd);
    if (launcher_signal != 0) {
        signal(launcher_signal, SIG_DFL);
        raise(launcher_signal);
    }
    return n == 1 ? status : SUPERVISOR_CRASHED;
}

int supervisor_run(const struct supervisor *supervisor)
{
    int status[2];

    signal(SIGPIPE, SIG_IGN);
    if (supervisor->foreground)
        return supervise(supervisor, -1);
    if (pipe2(status, O_CLOEXEC) != 0)
        return SUPERVISOR_CRASHED;
    pid_t pid = fork();
    if (pid < 0) {
        return cannot_start();
    }
    if (pid == 0) {
        close(status[0]);
        return supervise(supervisor, status[1]);
    }
    launcher_catch(pid);
    close(status[1]);
    return launcher_wait(status[0]);
}
