#include "fs/running-child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX (64 * 1024) /* bytes of an answer that are taken */

/* Whoever reads our standard output is not to wait for a child that hangs. */
static void streams_close(void)
{
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (none < 0 || dup2(none, fd) < 0)
            close(fd);
}

void running_child_start(struct running_child *child, running_work work, const char *path,
                         const char *line)
{
    int ends[2];

    *child = (struct running_child){.process = -1, .from = -1, .path = path};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    child->process = fork();
    if (child->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        streams_close();
        work(ends[1], path, line);
        _exit(0);
    }
    close(ends[1]);
    child->from = ends[0];
}

/* Whether there is something to read, or the end, before `until_us`. */
static bool wait_until(int fd, gint64 until_us)
{
    for (;;) {
        gint64 left_ms = (until_us - g_get_monotonic_time() + 999) / 1000;
        struct pollfd event = {.fd = fd, .events = POLLIN};
        int count = poll(&event, 1, (int)CLAMP(left_ms, 0, G_MAXINT));
        if (count > 0)
            return true;
        if (left_ms <= 0 || (count < 0 && errno != EINTR))
            return false;
    }
}

/* Reads to the end. False: it does not come. */
static bool answer_read(int fd, const char *path, gint64 patience_us, running_patience patient,
                        GString *answer)
{
    gint64 until_us = g_get_monotonic_time() + patience_us;
    char piece[4096];

    while (answer->len < ANSWER_MAX) {
        if (!wait_until(fd, until_us)) {
            if (patient == NULL || !patient(path))
                return false;
            until_us = g_get_monotonic_time() + patience_us;
            continue;
        }
        ssize_t count = read(fd, piece, MIN(sizeof piece, ANSWER_MAX - answer->len));
        if (count <= 0)
            return count == 0;
        g_string_append_len(answer, piece, count);
    }
    return true;
}

GString *running_child_end(struct running_child *child, gint64 patience_us,
                           running_patience patient)
{
    GString *answer = g_string_new(NULL);
    bool answered =
        child->process > 0 && answer_read(child->from, child->path, patience_us, patient, answer);

    if (child->from >= 0)
        close(child->from);
    /* one that still writes is not wanted any more; one that hangs may heed this when the mount
     * goes on, or away */
    if (child->process > 0)
        kill(child->process, SIGKILL);
    if (child->process > 0)
        waitpid(child->process, NULL, answered ? 0 : WNOHANG);
    if (!answered)
        g_string_free(g_steal_pointer(&answer), TRUE);
    return answer;
}
