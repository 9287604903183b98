/* Secrets in memory: locked, left out of core dumps, wiped when freed. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "fs/account.h"

struct secret;
/* Copies `length` bytes; the caller wipes its own. */
struct secret *secret_new(const char *bytes, size_t length);
const char *secret_text(const struct secret *secret); /* NUL-terminated */
bool secret_equal(const struct secret *a, const struct secret *b);
struct secret *secret_ref(struct secret *secret);
void secret_unref(struct secret *secret); /* NULL is fine */
typedef struct secret secret;             /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(secret, secret_unref)

/* Gets the account's password, or the token where it has a token_command, from the first of these
 * that it has: token_command or password_command (60 s, cwd /, no terminal on its standard input,
 * first line of its output), password_file, systemd's credentials (systemd.exec(5)), netrc, and, if
 * `may_prompt`, the terminal. Blocks until then or until `cancel` (NULL: none); thread-safe. NULL
 * with `error` set, one line, never with the secret in it; G_IO_ERROR_NOT_FOUND if there is nobody
 * to ask. */
struct secret *secret_ask(const struct account *account, bool may_prompt, GCancellable *cancel,
                          GError **error);
/* Whether nobody else can read or replace the key of the account's client certificate, which is in
 * tls_key or else in tls_cert; true if there is none. False with `error` set. */
bool secret_key_is_private(const struct account *account, GError **error);
