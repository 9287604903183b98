/* Where secrets come from; shared by fs/secret*.c. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "fs/secret.h"

#define SECRET_MAX (64 * 1024) /* bytes; longer ones are a mistake */

/* A secret of zeros to be written into, with a NUL behind it. */
struct secret *secret_blank(size_t length);
char *secret_room(struct secret *secret);

/* The first line of what a command or a file gave, as a secret of its right length. NULL with
 * `error` set, "VERB no WHAT" or so, if it is empty or cannot be a secret. */
struct secret *secret_of_line(const struct secret *text, size_t length, bool token,
                              const char *verb, GError **error);

/* Asks on the terminal. NULL with `error` set. */
struct secret *secret_of_terminal(const struct account *account, int tty, GError **error);

/* From password_file; from what systemd gave for this account; from netrc. NULL with `error` set;
 * it is G_IO_ERROR_NOT_FOUND if there is nothing to read, which nobody had promised. */
struct secret *secret_of_file(const struct account *account, GError **error);
struct secret *secret_of_credential(const struct account *account, GError **error);
struct secret *secret_of_netrc(const struct account *account, GError **error);
