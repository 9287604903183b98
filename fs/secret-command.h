/* Runs a command that prints a secret. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Runs `command` with sh -c in the folder "/", a process group of its own, and nothing on its
 * standard input, and waits at most `seconds` for its end; then the whole group is killed. At most
 * `max` bytes of what it prints are kept in `output`, which nothing else has a copy of; what it
 * says on standard error goes to the log. False, with `error` continuing "the command ...", if it
 * could not be run, failed or took too long. Thread-safe. */
bool secret_command_run(const char *command, unsigned seconds, char *output, size_t max,
                        size_t *length, GError **error);
