/* Runs a command that prints a secret. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

struct secret_command {
    const char *option; /* its name, for the log */
    const char *text;   /* for sh -c */
    unsigned seconds;   /* it may take */
    GCancellable *cancel;
};

/* Runs the command in the folder "/", a process group of its own, and nothing on its standard
 * input but the terminal lent if it asks there (fs/secret-terminal.h), and waits for its end, but
 * no longer than its time and not after it was cancelled; then the whole group is killed. At most
 * `max` bytes of what it prints are kept in `output`, which nothing else has a copy of; what it
 * says on standard error goes to the log, and its last line, safe on a terminal, to `said` (the
 * caller's; NULL: nothing). False, with `error` continuing "the command ...", if it could not be
 * run, failed or took too long, and with G_IO_ERROR_CANCELLED. Thread-safe. */
bool secret_command_run(const struct secret_command *how, char *output, size_t max, size_t *length,
                        char **said, GError **error);
