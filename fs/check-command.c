#include "fs/check-command.h"

#include <stdio.h>

#include "fs/autoconfig.h"
#include "fs/config.h"
#include "fs/engine/advice.h"
#include "fs/engine/check.h"
#include "fs/engine/ticket.h"
#include "fs/interrupt.h"
#include "fs/log.h"
#include "fs/secret.h"

/* ---- lines ----------------------------------------------------------------------------------- */

static const char *const MARKS[] = {
    [CHECK_GOOD] = "ok", [CHECK_NOTE] = "note", [CHECK_BAD] = "FAIL"};

static void line_write(const char *step, enum check_mark mark, const char *text, void *data)
{
    g_autofree char *safe = log_escape(text);

    printf("  %-4s  %-13s  %s\n", MARKS[mark], step, safe);
    fflush(stdout);
}

static void title_write(const struct account *account)
{
    g_autofree char *name = log_escape(account->name);
    g_autofree char *source =
        log_escape(account->source != NULL ? account->source : account->address);

    printf("%s (%s)\n", name, source);
    fflush(stdout);
}

/* ---- one account ----------------------------------------------------------------------------- */

/* Where secret_ask() finds it without asking anybody. */
static char *secret_origin(const struct account *account)
{
    if (account->token_command != NULL)
        return g_strdup("token_command printed a token");
    if (account->password_command != NULL)
        return g_strdup("password_command printed one");
    if (account->password_file != NULL)
        return g_strdup_printf("in password_file=%s", account->password_file);
    return g_strdup_printf("in systemd's credentials or in %s",
                           account->netrc != NULL ? account->netrc : "~/.netrc");
}

/* False if there is none and one is needed. */
static bool account_secret(const struct account *account, bool transcript, GCancellable *cancel,
                           struct secret **found)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *origin = secret_origin(account);
    struct secret *secret = secret_ask(account, false, cancel, &error);
    *found = NULL;

    if (secret == NULL && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) &&
        engine_ticket(account, transcript, cancel)) {
        line_write("password", CHECK_GOOD, "none is needed: there is a Kerberos ticket", NULL);
        return true;
    }
    if (secret == NULL && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) &&
        account_needs_password(account)) {
        if (!engine_is_worth_asking(account, cancel, NULL)) {
            line_write("password", CHECK_NOTE, "not asked for, since the server is out of reach",
                       NULL);
            return true;
        }
        g_clear_error(&error);
        secret = secret_ask(account, true, cancel, &error);
        g_free(origin);
        origin = g_strdup("typed; password_command= or password_file= would spare that");
    }
    bool needless = secret == NULL && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) &&
                    !account_needs_password(account);
    if (needless) {
        g_free(origin);
        origin = g_strdup_printf("none is needed for auth=%s", account->auth);
    }
    bool good = secret != NULL || needless;
    line_write("password", good ? CHECK_GOOD : CHECK_BAD, good ? origin : error->message, NULL);
    *found = secret;
    return good;
}

/* Where an account is that is only known by an address. */
static enum check_status account_locate(struct account *account, GCancellable *cancel)
{
    static const enum check_status STATUS[] = {[AUTOCONFIG_NOTHING] = CHECK_CONFIG,
                                               [AUTOCONFIG_UNSURE] = CHECK_CONFIG,
                                               [AUTOCONFIG_UNUSABLE] = CHECK_CONFIG,
                                               [AUTOCONFIG_NETWORK] = CHECK_NETWORK,
                                               [AUTOCONFIG_CANCELLED] = CHECK_INTERRUPTED};
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;
    bool anew;

    if (account->address == NULL)
        return CHECK_OK;
    bool good = autoconfig_find(account, cancel, &found, &anew, &error);
    line_write("address", good ? CHECK_GOOD : CHECK_BAD, good ? found : error->message, NULL);
    return good ? CHECK_OK : STATUS[error->code];
}

static enum check_status account_check(struct account *account, const struct command *command,
                                       GCancellable *cancel)
{
    static const enum check_status STATUS[] = {
        [ENGINE_START_NETWORK] = CHECK_NETWORK, [ENGINE_START_SECRET] = CHECK_LOGIN,
        [ENGINE_START_LOGIN] = CHECK_LOGIN,     [ENGINE_START_TLS] = CHECK_NETWORK,
        [ENGINE_START_CACHE] = CHECK_NETWORK,   [ENGINE_START_OTHER] = CHECK_NETWORK,
    };
    enum engine_start_reason reason = ENGINE_START_OTHER;

    title_write(account);
    enum check_status status = account_locate(account, cancel);
    if (status != CHECK_OK)
        return status;
    g_autoptr(secret) secret = NULL;
    if (!account_secret(account, command->debug, cancel, &secret))
        return g_cancellable_is_cancelled(cancel) ? CHECK_INTERRUPTED : CHECK_LOGIN;
    const struct check check = {.account = account,
                                .secret = secret,
                                .transcript = command->debug,
                                .cancel = cancel,
                                .report = line_write};
    if (engine_check(&check, &reason)) {
        autoconfig_keep(account);
        return CHECK_OK;
    }
    return g_cancellable_is_cancelled(cancel) ? CHECK_INTERRUPTED : STATUS[reason];
}

/* ---- all of them ----------------------------------------------------------------------------- */

static GPtrArray *accounts_read(const struct command *command, GPtrArray *faults)
{
    g_autoptr(GError) error = NULL;
    bool several;
    GPtrArray *accounts = config_accounts(command->source, command->config, command->settings,
                                          &several, faults, &error);

    for (guint i = 0; i < faults->len && accounts != NULL; i++)
        line_write("configuration", CHECK_BAD, ((struct config_fault *)faults->pdata[i])->why,
                   NULL);
    if (accounts == NULL)
        line_write("configuration", CHECK_BAD, error->message, NULL);
    return accounts;
}

enum check_status check_command(const struct command *command)
{
    g_autoptr(interrupt) interrupt = interrupt_new();
    GCancellable *cancel = interrupt_cancel(interrupt);
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(config_fault_free);
    g_autoptr(GPtrArray) accounts = accounts_read(command, faults);
    enum check_status first = faults->len > 0 ? CHECK_CONFIG : CHECK_OK;

    if (accounts == NULL)
        return CHECK_CONFIG;
    for (guint i = 0; i < accounts->len && first != CHECK_INTERRUPTED; i++) {
        enum check_status status = account_check(accounts->pdata[i], command, cancel);
        if (first == CHECK_OK || status == CHECK_INTERRUPTED)
            first = status;
    }
    return first;
}
