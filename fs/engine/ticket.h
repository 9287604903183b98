/* Whether an account can do without a password, since a Kerberos ticket lets it in. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "fs/account.h"

/* Tries it where there is a ticket for the account's server: signs in, and ends that again. True
 * too if the server was out of reach, so that nobody can tell. False: a password is needed. Blocks
 * as the server and a KDC make it wait, until `cancel` (NULL: none); `transcript`: protocol lines
 * to the log. */
bool engine_ticket(const struct account *account, bool transcript, GCancellable *cancel);
