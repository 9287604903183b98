/* Work that may never come back, done by a process of its own: a call into a FUSE filesystem whose
 * process is stopped cannot be ended, and holds the one who made it even against SIGKILL. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Runs in the child, which ends when it returns; what it writes to `out` is the answer. Not for
 * what needs threads or standard output. */
typedef void (*running_work)(int out, const char *path, const char *line);
/* Asked each time that `patience_us` have passed without an answer: false gives up. */
typedef bool (*running_patience)(const char *path);

struct running_child {
    pid_t process; /* below 1: there is none */
    int from;
    const char *path;
};

/* `path` and `line` are borrowed until the end. For a process with one thread. */
void running_child_start(struct running_child *child, running_work work, const char *path,
                         const char *line);
/* The work's answer, of which at most 64 KiB are taken; the caller's. NULL: there is none in time,
 * or there was no process for it. `patient` NULL: the first time is the last. */
GString *running_child_end(struct running_child *child, gint64 patience_us,
                           running_patience patient);
