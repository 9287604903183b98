/* A thread for each tunnel starts the command, reads its standard error, and waits for its end: so
 * nobody else ever waits, and the command is told of our death (PR_SET_PDEATHSIG is sent when the
 * thread ends that made the process). */
#include "imap/tunnel.h"

#include "imap/transcript.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 400, /* of its standard error, the rest is left out */
    LINES_MAX = 100,      /* that are logged */
    GRACE_S = 2,          /* between SIGTERM and SIGKILL */
    EXIT_GRACE_MS = 500,  /* the same where the program ends */
};

struct imap_tunnel {
    gint references; /* atomic: the caller's and the thread's */
    char *command;
    int stop; /* eventfd: readable when nobody wants it any more */
    /* the thread's */
    int socket;  /* the command's end, until it is started */
    int process; /* pidfd */
    int complaints;
    GString *line;
    bool cut; /* the rest of the line is left out */
    unsigned lines;
    /* under `lock` */
    GMutex lock;
    GCond changed;
    bool started, ended;
    GError *error;
    GPid pid; /* of the group; 0: none, so that no signal goes to somebody else's */
    int status;
    char *last; /* line; NULL: it said nothing */
};

static void end_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void tunnel_unref(struct imap_tunnel *tunnel)
{
    if (!g_atomic_int_dec_and_test(&tunnel->references))
        return;
    end_close(&tunnel->stop);
    end_close(&tunnel->socket);
    end_close(&tunnel->process);
    end_close(&tunnel->complaints);
    g_string_free(tunnel->line, TRUE);
    g_clear_error(&tunnel->error);
    g_mutex_clear(&tunnel->lock);
    g_cond_clear(&tunnel->changed);
    g_free(tunnel->last);
    g_free(tunnel->command);
    g_free(tunnel);
}

/* ---- starting it ------------------------------------------------------------------------------
 */

/* After fork: only async-signal-safe calls. */
static void child_prepare(gpointer data)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid(); /* no terminal that it could ask on: nobody would see it */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void tunnel_spawn(struct imap_tunnel *tunnel)
{
    const char *const argv[] = {"/bin/sh", "-c", tunnel->command, NULL};
    GError *error = NULL;
    GPid pid = 0;

    g_spawn_async_with_pipes_and_fds("/", argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, child_prepare,
                                     NULL, tunnel->socket, tunnel->socket, -1, NULL, NULL, 0, &pid,
                                     NULL, NULL, &tunnel->complaints, &error);
    end_close(&tunnel->socket);
    if (!error) {
        tunnel->process = pidfd_open(pid, 0);
        fcntl(tunnel->complaints, F_SETFL, O_NONBLOCK);
        fcntl(tunnel->complaints, F_SETFD, FD_CLOEXEC);
    }
    g_mutex_lock(&tunnel->lock);
    tunnel->pid = pid;
    tunnel->error = error;
    tunnel->started = true;
    g_cond_broadcast(&tunnel->changed);
    g_mutex_unlock(&tunnel->lock);
}

/* ---- what it says on standard error -----------------------------------------------------------
 */

static void line_end(struct imap_tunnel *tunnel)
{
    g_autofree char *text =
        g_strchomp(imap_text_safe(tunnel->line->str, tunnel->line->len, LINE_MAX_BYTES));

    g_string_truncate(tunnel->line, 0);
    tunnel->cut = false;
    if (*text == '\0')
        return;
    if (tunnel->lines < LINES_MAX)
        g_message("tunnel_command: %s", text);
    else if (tunnel->lines == LINES_MAX)
        g_message("tunnel_command says more than %d lines; the rest is left out", LINES_MAX);
    if (tunnel->lines <= LINES_MAX)
        tunnel->lines++;
    g_mutex_lock(&tunnel->lock);
    g_free(tunnel->last);
    tunnel->last = g_steal_pointer(&text);
    g_mutex_unlock(&tunnel->lock);
}

static void line_add(struct imap_tunnel *tunnel, char byte)
{
    if (byte == '\n')
        line_end(tunnel);
    else if (tunnel->line->len < LINE_MAX_BYTES)
        g_string_append_c(tunnel->line, byte);
    else if (!tunnel->cut) {
        tunnel->cut = true;
        g_string_append(tunnel->line, " ...");
    }
}

/* Reads what is there, but not for ever. */
static void complaints_read(struct imap_tunnel *tunnel)
{
    char piece[4096];

    for (int round = 0; round < 32 && tunnel->complaints >= 0; round++) {
        ssize_t n = read(tunnel->complaints, piece, sizeof(piece));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0)
            end_close(&tunnel->complaints);
        for (ssize_t i = 0; i < n; i++)
            line_add(tunnel, piece[i]);
    }
}

/* ---- its end ----------------------------------------------------------------------------------
 */

/* The group is signalled while its first process is there, at least as a zombie. */
static void group_signal(struct imap_tunnel *tunnel, int signal)
{
    g_mutex_lock(&tunnel->lock);
    if (tunnel->pid > 0)
        kill(-tunnel->pid, signal);
    g_mutex_unlock(&tunnel->lock);
}

/* Those that run. Who would kill what does not heed SIGTERM is a thread, which ends with the
 * program; so that is done then, after a moment. */
static GMutex living_lock;
static GPtrArray *living;

static bool living_is_empty(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&living_lock);
    return living->len == 0;
}

static void living_end(void)
{
    gint64 until = g_get_monotonic_time() + EXIT_GRACE_MS * G_TIME_SPAN_MILLISECOND;

    while (!living_is_empty() && g_get_monotonic_time() < until)
        g_usleep(5000);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&living_lock);
    for (guint i = 0; i < living->len; i++)
        group_signal(living->pdata[i], SIGKILL);
}

static void living_add(struct imap_tunnel *tunnel)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&living_lock);
    if (living == NULL) {
        living = g_ptr_array_new();
        atexit(living_end);
    }
    g_ptr_array_add(living, tunnel);
}

static void living_remove(struct imap_tunnel *tunnel)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&living_lock);
    g_ptr_array_remove_fast(living, tunnel);
}

/* Waits for the end of the command, or kills it when its time is over. Returns whether it ended by
 * itself. */
static bool tunnel_watch(struct imap_tunnel *tunnel)
{
    gint64 kill_us = 0; /* 0: nobody wants it to end */

    for (;;) {
        struct pollfd fds[] = {{tunnel->process, POLLIN, 0},
                               {tunnel->complaints, POLLIN, 0},
                               {kill_us ? -1 : tunnel->stop, POLLIN, 0}};
        gint64 left_us = kill_us - g_get_monotonic_time();
        if (kill_us && left_us <= 0)
            return false;
        int rc = poll(fds, G_N_ELEMENTS(fds), kill_us ? (int)(left_us / 1000 + 1) : -1);
        if (rc < 0 && errno != EINTR)
            return false;
        if (rc < 0)
            continue;
        complaints_read(tunnel);
        if (fds[2].revents)
            kill_us = g_get_monotonic_time() + GRACE_S * G_USEC_PER_SEC;
        if (fds[0].revents)
            return kill_us == 0;
    }
}

static void tunnel_reap(struct imap_tunnel *tunnel)
{
    int status = 0;
    GPid pid = tunnel->pid;

    group_signal(tunnel, SIGKILL); /* what the command left behind, too */
    if (tunnel->line->len > 0)
        line_end(tunnel);
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    g_mutex_lock(&tunnel->lock);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    tunnel->pid = 0;
    tunnel->status = status;
    tunnel->ended = true;
    g_cond_broadcast(&tunnel->changed);
    g_mutex_unlock(&tunnel->lock);
}

static gpointer tunnel_run(gpointer data)
{
    struct imap_tunnel *tunnel = data;

    living_add(tunnel); /* before anybody hears that it runs */
    tunnel_spawn(tunnel);
    if (tunnel->pid > 0) {
        bool itself = tunnel_watch(tunnel);
        tunnel_reap(tunnel);
        g_autofree char *how = imap_tunnel_end(tunnel, 0);
        g_log(G_LOG_DOMAIN, itself ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_DEBUG, "tunnel_command %s",
              how);
    }
    living_remove(tunnel);
    tunnel_unref(tunnel);
    return NULL;
}

/* ---- outside ----------------------------------------------------------------------------------
 */

static struct imap_tunnel *tunnel_new(const char *command, int socket)
{
    struct imap_tunnel *tunnel = g_new0(struct imap_tunnel, 1);

    tunnel->references = 2;
    tunnel->command = g_strdup(command);
    tunnel->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    tunnel->socket = socket;
    tunnel->process = tunnel->complaints = -1;
    tunnel->line = g_string_new(NULL);
    g_mutex_init(&tunnel->lock);
    g_cond_init(&tunnel->changed);
    return tunnel;
}

struct imap_tunnel *imap_tunnel_start(const char *command, int *fd, GError **error)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CONNECT, "tunnel_command cannot be run: %s",
                    g_strerror(errno));
        return NULL;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    struct imap_tunnel *tunnel = tunnel_new(command, ends[1]);
    g_thread_unref(g_thread_new("imap-tunnel", tunnel_run, tunnel));
    g_mutex_lock(&tunnel->lock);
    while (!tunnel->started)
        g_cond_wait(&tunnel->changed, &tunnel->lock);
    if (tunnel->error)
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CONNECT, "tunnel_command cannot be run: %s",
                    tunnel->error->message);
    bool failed = tunnel->error != NULL;
    g_mutex_unlock(&tunnel->lock);
    if (failed) {
        close(ends[0]);
        tunnel_unref(tunnel);
        return NULL;
    }
    *fd = ends[0];
    return tunnel;
}

void imap_tunnel_free(struct imap_tunnel *tunnel)
{
    if (!tunnel)
        return;
    group_signal(tunnel, SIGTERM);
    if (eventfd_write(tunnel->stop, 1) < 0)
        g_debug("eventfd: %s", g_strerror(errno));
    tunnel_unref(tunnel);
}

/* Under the lock. */
static char *end_text(const struct imap_tunnel *tunnel)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (WIFSIGNALED(tunnel->status))
        g_string_printf(text, "was killed by signal %d", WTERMSIG(tunnel->status));
    else
        g_string_printf(text, "ended with status %d", WEXITSTATUS(tunnel->status));
    if (tunnel->last)
        g_string_append_printf(text, ": %s", tunnel->last);
    while (g_str_has_suffix(text->str, "."))
        g_string_truncate(text, text->len - 1);
    return g_strdup(text->str);
}

char *imap_tunnel_end(struct imap_tunnel *tunnel, gint64 wait_us)
{
    gint64 until = g_get_monotonic_time() + wait_us;

    g_mutex_lock(&tunnel->lock);
    while (!tunnel->ended && g_cond_wait_until(&tunnel->changed, &tunnel->lock, until))
        ;
    char *text = tunnel->ended ? end_text(tunnel) : NULL;
    g_mutex_unlock(&tunnel->lock);
    return text;
}
