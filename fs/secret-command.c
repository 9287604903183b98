#include "fs/secret-command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/log.h"
#include "fs/secret-terminal.h"

#define COMPLAINT_MAX 1024 /* bytes of standard error that are logged, its last */
#define LOOK_MS 50         /* whether it asks on the terminal */
#define LINE_MAX_BYTES 200 /* of its last line in the error */

struct command {
    GPid pid;
    int process;  /* pidfd */
    int cancel;   /* readable when nobody waits for it any more; -1: that never comes */
    int out, err; /* its standard output and error, non-blocking; -1 when they have ended */
    char *output; /* the caller's */
    size_t max, length;
    GString *complaint;
    struct secret_terminal terminal;
};

/* After fork: only async-signal-safe calls. */
static void child_prepare(gpointer data)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* if the thread that waits for it is killed */
}

static bool command_start(struct command *command, const char *text, GError **error)
{
    const char *const argv[] = {"/bin/sh", "-c", text, NULL};

    if (!g_spawn_async_with_pipes("/", (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                                  child_prepare, NULL, &command->pid, NULL, &command->out,
                                  &command->err, error)) {
        g_prefix_error(error, "cannot be run: ");
        return false;
    }
    setpgid(command->pid, command->pid);
    secret_terminal_open(&command->terminal, command->pid);
    command->process = pidfd_open(command->pid, 0);
    fcntl(command->out, F_SETFL, O_NONBLOCK);
    fcntl(command->err, F_SETFL, O_NONBLOCK);
    return true;
}

static void end_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Reads what is there, but not for ever; more than `max` bytes are read and dropped, so that the
 * command can end. */
static void output_drain(struct command *command)
{
    char rest[4096];

    for (int round = 0; round < 32 && command->out >= 0; round++) {
        bool full = command->length == command->max;
        ssize_t n = full ? read(command->out, rest, sizeof(rest))
                         : read(command->out, command->output + command->length,
                                command->max - command->length);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0)
            end_close(&command->out);
        else if (!full)
            command->length += (size_t)n;
    }
    explicit_bzero(rest, sizeof(rest));
}

static void complaint_drain(struct command *command)
{
    char piece[4096];

    for (int round = 0; round < 32 && command->err >= 0; round++) {
        ssize_t n = read(command->err, piece, sizeof(piece));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            end_close(&command->err);
            return;
        }
        g_string_append_len(command->complaint, piece, n);
        if (command->complaint->len > COMPLAINT_MAX)
            g_string_erase(command->complaint, 0,
                           (gssize)(command->complaint->len - COMPLAINT_MAX));
    }
}

/* False if the time was over first, or it was cancelled. */
static bool command_wait(struct command *command, unsigned seconds)
{
    gint64 end_us = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;

    for (;;) {
        struct pollfd fds[] = {{command->process, POLLIN, 0},
                               {command->out, POLLIN, 0},
                               {command->err, POLLIN, 0},
                               {command->cancel, POLLIN, 0}};
        gint64 left_us = end_us - g_get_monotonic_time();
        if (left_us <= 0)
            return false;
        int wait_ms = (int)(left_us / 1000 + 1);
        if (command->terminal.tty >= 0)
            wait_ms = MIN(wait_ms, LOOK_MS);
        if (poll(fds, G_N_ELEMENTS(fds), wait_ms) < 0 && errno != EINTR)
            return false;
        secret_terminal_look(&command->terminal);
        output_drain(command);
        complaint_drain(command);
        if (fds[3].revents != 0)
            return false;
        bool silent = command->process < 0 && command->out < 0 && command->err < 0;
        if (fds[0].revents != 0 || silent) {
            output_drain(command);
            complaint_drain(command);
            return true;
        }
    }
}

static void complaint_log(const char *option, const GString *complaint)
{
    g_auto(GStrv) lines = g_strsplit(complaint->str, "\n", 16);

    for (char **line = lines; *line != NULL; line++)
        if (**line != '\0')
            g_message("%s: %s", option, *line);
}

/* Its last line that is not blank, safe to show; NULL: it has none. The caller's. */
static char *complaint_last(const GString *complaint)
{
    g_autofree char *text = g_strdup(complaint->str);
    const char *line = strrchr(g_strchomp(text), '\n');
    g_autofree char *last = g_strdup(line != NULL ? line + 1 : text);
    g_autofree char *start = g_strndup(g_strchug(last), LINE_MAX_BYTES);
    return *start != '\0' ? log_escape(start) : NULL;
}

static int command_reap(struct command *command, bool ended)
{
    int status = 0;

    if (!ended)
        kill(-command->pid, SIGKILL);
    while (waitpid(command->pid, &status, 0) < 0 && errno == EINTR)
        ;
    secret_terminal_close(&command->terminal, status);
    end_close(&command->process);
    end_close(&command->out);
    end_close(&command->err);
    return status;
}

static void command_judge(const struct secret_command *how, bool ended, int status, GError **error)
{
    if (!ended && g_cancellable_set_error_if_cancelled(how->cancel, error))
        return;
    if (!ended)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "took more than %u seconds",
                    how->seconds);
    else if (WIFSIGNALED(status))
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "was killed by signal %d",
                    WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "ended with status %d",
                    WEXITSTATUS(status));
}

bool secret_command_run(const struct secret_command *how, char *output, size_t max, size_t *length,
                        char **said, GError **error)
{
    g_autoptr(GString) complaint = g_string_new(NULL);
    struct command command = {.output = output, .max = max, .complaint = complaint};

    *said = NULL;
    if (g_cancellable_set_error_if_cancelled(how->cancel, error) ||
        !command_start(&command, how->text, error))
        return false;
    command.cancel = g_cancellable_get_fd(how->cancel);
    bool ended = command_wait(&command, how->seconds);
    int status = command_reap(&command, ended);
    if (command.cancel >= 0)
        g_cancellable_release_fd(how->cancel);
    complaint_log(how->option, complaint);
    *said = complaint_last(complaint);
    *length = command.length;
    command_judge(how, ended, status, error);
    return ended && status == 0;
}
