/* Secrets in memory: locked, left out of core dumps, wiped when freed. */
#pragma once

#include <glib.h>

#include "fs/account.h"

struct secret;
/* Copies `length` bytes; the caller wipes its own. */
struct secret *secret_new(const char *bytes, size_t length);
const char *secret_text(const struct secret *secret); /* NUL-terminated */
struct secret *secret_ref(struct secret *secret);
void secret_unref(struct secret *secret); /* NULL is fine */
typedef struct secret secret;             /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(secret, secret_unref)

/* Gets the account's password: from password_command (60 s, cwd /, no terminal on its standard
 * input, first line of its output), else by a prompt on the terminal where there is one. Blocks;
 * thread-safe. NULL with `error` set, one line, never with the secret in it. */
struct secret *secret_ask(const struct account *account, bool may_prompt, GError **error);
