#include "fs/retry-command.h"

#include <errno.h>
#include <gio/gio.h>
#include <stdbool.h>
#include <stdio.h>

#include "fs/log.h"
#include "fs/running-account.h"
#include "fs/running.h"

#define fail(error, ...) g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, __VA_ARGS__)

static const struct outcome {
    int error;
    enum retry_result result;
    const char *words;
} OUTCOMES[] = {
    {EACCES, RETRY_REFUSED, "signing in failed"},
    {ENETUNREACH, RETRY_NO_SERVER, "the server cannot be reached"},
    {ETIMEDOUT, RETRY_NO_SERVER, "the server does not answer"},
    {EROFS, RETRY_NO_MOUNT, "it is mounted with ro, and takes no requests"},
    {RUNNING_SILENT, RETRY_NO_MOUNT,
     "the mount does not answer; see mailmount(1) for unmounting it"},
};

/* How it went, a line each; the first that is bad becomes the error, the others are written. */
struct retry {
    enum retry_result worst;
    GError **error;
};

static void retry_good(const char *where)
{
    g_autofree char *shown = log_escape(where);
    printf("%s: signed in\n", shown);
    fflush(stdout);
}

static void retry_bad(struct retry *retry, enum retry_result result, const char *where,
                      const char *words, const char *reason)
{
    g_autofree char *line = g_strdup_printf("%s: %s%s%s", where, words, reason != NULL ? ": " : "",
                                            reason != NULL ? reason : "");
    g_autofree char *shown = log_escape(line);
    if (retry->worst == RETRY_OK)
        fail(retry->error, "%s", line);
    else
        fprintf(stderr, "mailmount: %s\n", shown);
    retry->worst = MAX(retry->worst, result);
}

static const struct outcome *outcome_of(int error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(OUTCOMES); i++)
        if (OUTCOMES[i].error == error)
            return &OUTCOMES[i];
    return NULL;
}

/* What the mount knows of why, after an attempt: the words of the account `name`, NULL: of the only
 * one. The caller's; NULL: it says nothing. */
static char *reason_of(const char *mountpoint, const char *name)
{
    g_autofree char *status = running_status(mountpoint);
    g_autoptr(GArray) accounts = running_accounts(status);
    for (guint i = 0; i < accounts->len; i++) {
        const struct running_account *account = &g_array_index(accounts, struct running_account, i);
        if (name == NULL || g_str_equal(account->name, name))
            return g_strdup(account->last_error);
    }
    return NULL;
}

static void failure_say(struct retry *retry, const char *mountpoint, const char *name, int error)
{
    const struct outcome *outcome = outcome_of(error);
    enum retry_result result = outcome != NULL ? outcome->result : RETRY_NO_MOUNT;
    g_autofree char *reason = result != RETRY_NO_MOUNT ? reason_of(mountpoint, name) : NULL;
    g_autofree char *where = g_build_filename(mountpoint, name, NULL);
    retry_bad(retry, result, where, outcome != NULL ? outcome->words : g_strerror(error), reason);
}

/* Each account says how it went for itself. */
static void accounts_say(struct retry *retry, const char *mountpoint, char **names,
                         const int *errors)
{
    for (guint i = 0; names[i] != NULL; i++) {
        g_autofree char *where = g_build_filename(mountpoint, names[i], NULL);
        if (errors[i] == 0)
            retry_good(where);
        else
            failure_say(retry, mountpoint, names[i], errors[i]);
    }
}

/* All at once, since one may take as long as its server keeps silent. What is wrong with the mount,
 * or with no account, is said once. */
static void accounts_retry(struct retry *retry, const char *mountpoint, char **names)
{
    guint count = g_strv_length(names);
    g_auto(GStrv) lines = g_new0(char *, count + 1);
    g_autofree int *errors = g_new0(int, count);
    bool good = true;
    int whole = 0;
    for (guint i = 0; i < count; i++)
        lines[i] = g_strconcat("retry ", names[i], NULL);
    running_requests(mountpoint, (const char *const *)lines, errors);
    for (guint i = 0; i < count; i++) {
        const struct outcome *outcome = outcome_of(errors[i]);
        good &= errors[i] == 0;
        if (outcome != NULL && outcome->result == RETRY_NO_MOUNT)
            whole = errors[i];
    }
    if (whole != 0)
        failure_say(retry, mountpoint, NULL, whole);
    else if (good)
        retry_good(mountpoint);
    else
        accounts_say(retry, mountpoint, names, errors);
}

/* NULL-terminated, the caller's. */
static GStrv mount_accounts(const char *mountpoint)
{
    g_autofree char *status = running_status(mountpoint);
    g_autoptr(GArray) accounts = running_accounts(status);
    GStrv names = g_new0(char *, accounts->len + 1);
    for (guint i = 0; i < accounts->len; i++)
        names[i] = g_strdup(g_array_index(accounts, struct running_account, i).name);
    return names;
}

static void mount_retry(struct retry *retry, const char *mountpoint)
{
    g_auto(GStrv) names = mount_accounts(mountpoint);
    if (g_strv_length(names) > 1) {
        accounts_retry(retry, mountpoint, names);
        return;
    }
    int error = running_request(mountpoint, "retry");
    if (error == 0)
        retry_good(mountpoint);
    else
        failure_say(retry, mountpoint, NULL, error);
}

static GStrv mounts_meant(const struct command *command, GError **error)
{
    g_autoptr(GStrvBuilder) one = g_strv_builder_new();
    if (command->mountpoint == NULL) {
        g_auto(GStrv) mine = running_mine();
        if (*mine == NULL)
            fail(error, "there is no mount of mailmount that is yours");
        return *mine != NULL ? g_steal_pointer(&mine) : NULL;
    }
    g_autofree char *above = running_above(command->mountpoint);
    if (above == NULL) {
        fail(error, "there is no mount of mailmount at %s", command->mountpoint);
        return NULL;
    }
    g_strv_builder_add(one, above);
    return g_strv_builder_end(one);
}

enum retry_result retry_command(const struct command *command, GError **error)
{
    struct retry retry = {.worst = RETRY_OK, .error = error};
    g_auto(GStrv) mounts = mounts_meant(command, error);
    if (mounts == NULL)
        return RETRY_NO_MOUNT;
    for (char **mount = mounts; *mount != NULL; mount++)
        mount_retry(&retry, *mount);
    return retry.worst;
}
