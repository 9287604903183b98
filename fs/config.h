/* Accounts from SOURCE, mailmount.conf(5) and the command line. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "fs/account.h"
#include "fs/options.h"

/* What is wrong in the configuration; what is wrong on the command line is G_OPTION_ERROR. */
#define CONFIG_ERROR config_error_quark()
GQuark config_error_quark(void);

/* $XDG_CONFIG_HOME/mailmount/mailmount.conf; the caller's. */
char *config_default_file(void);

/* An account that cannot be used as it is configured. */
struct config_fault {
    char *name; /* of its group */
    char *why;  /* one line, which names the file and the group */
};
void config_fault_free(void *fault);

/* The accounts that `source` means: one by its URL, or those of the names "NAME", "NAME,NAME" or
 * "all" in the configuration `file` (NULL: the default file, read only if a name is meant).
 * `settings` (struct setting) overrule the file. `several`: whether more than one could be meant,
 * so that each is shown as a directory; a mistake in one of
 * those adds to `faults` (struct config_fault) instead of ending it all, unless no account is left.
 * One in an account that is not meant is a warning in the log. Returns struct account in order,
 * NULL-terminated, the caller's with g_ptr_array_unref(); NULL with `error` set, one line. */
GPtrArray *config_accounts(const char *source, const char *file, const GPtrArray *settings,
                           bool *several, GPtrArray *faults, GError **error);

/* The same with the configuration's text, which `file` names in messages; for tests. */
GPtrArray *config_accounts_of_text(const char *source, const char *file, const char *text,
                                   size_t length, const GPtrArray *settings, bool *several,
                                   GPtrArray *faults, GError **error);
