/* From an address alone to its IMAP server: what was found before, else SRV records (RFC 6186),
 * else the settings file that the provider keeps at a well-known place. Names of hosts are never
 * guessed, and nothing here knows a password. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "fs/account.h"

enum autoconfig_error {
    AUTOCONFIG_NOTHING,   /* the domain tells of no server */
    AUTOCONFIG_UNSURE,    /* nobody has said that the server found is the right one */
    AUTOCONFIG_UNUSABLE,  /* what the domain tells cannot be believed or understood */
    AUTOCONFIG_NETWORK,   /* it cannot be looked up now */
    AUTOCONFIG_CANCELLED, /* by `cancel`, or by the user who was asked */
};
#define AUTOCONFIG_ERROR autoconfig_error_quark()
GQuark autoconfig_error_quark(void);

/* Settles where the account of account->address is: host, port, tls, source, and user unless that
 * is set; and found, if it was kept. A server in another domain that only DNS tells of is asked
 * about on the terminal. Blocks, about 40 s at most and as long as the user
 * thinks.
 * `*found`: one line that says what and by which means, the caller's; `*anew`: whether it was
 * looked up just now. False with `error` (AUTOCONFIG_ERROR) set, one line that says what to do. */
bool autoconfig_find(struct account *account, GCancellable *cancel, char **found, bool *anew,
                     GError **error);

/* What autoconfig_find() looked up is right, since the server let us in: keeps it in
 * account->state_dir. Nothing to do where it was kept before, or was not looked up. */
void autoconfig_keep(const struct account *account);
