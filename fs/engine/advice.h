/* What a user can do about a server that lets us down, beside what the errors of imap/ say. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "cache/cache.h"
#include "fs/account.h"

/* NULL: nothing more. */
const char *advice_of(const GError *error);

/* Puts it behind the message of a start that failed; where the account can be shown as `cache` has
 * it (NULL: there is none), only that about a password, since a network may just be missing. Says
 * too if the server is one that was found before (account.found), and may have moved. */
void advice_add(const struct account *account, struct cache *cache, GError **error);

/* Whether it makes sense to ask the user for a password now: the account is known from an earlier
 * time, or its server takes connections. False with `error` set: G_IO_ERROR_HOST_UNREACHABLE, or
 * G_IO_ERROR_CANCELLED. Blocks, as long as account.timeout_s at most. */
bool engine_is_worth_asking(const struct account *account, GCancellable *cancel, GError **error);
