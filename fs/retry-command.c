#include "fs/retry-command.h"

#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#include "fs/log.h"
#include "fs/running.h"

#define fail(error, ...) g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, __VA_ARGS__)

static const struct {
    int error;
    enum retry_result result;
    const char *words;
} OUTCOMES[] = {
    {EACCES, RETRY_REFUSED, "signing in failed"},
    {ENETUNREACH, RETRY_NO_SERVER, "the server cannot be reached"},
    {ETIMEDOUT, RETRY_NO_SERVER, "the server does not answer"},
    {EROFS, RETRY_NO_MOUNT, "it is mounted with ro, and takes no requests"},
};

char *retry_reason(const char *status)
{
    static const char WORDS[] = "\nlast error: ";
    const char *at = strstr(status, WORDS);
    if (at == NULL)
        return NULL;
    at += strlen(WORDS);
    return g_strndup(at, strcspn(at, "\n"));
}

/* What to say of a mount that did not do it. */
static char *mount_words(const char *mountpoint, enum retry_result result, const char *words)
{
    g_autofree char *path = g_build_filename(mountpoint, ".mailmount/status", NULL);
    g_autofree char *status = NULL;
    g_autofree char *reason = NULL;
    if (result != RETRY_NO_MOUNT && g_file_get_contents(path, &status, NULL, NULL))
        reason = retry_reason(status);
    return g_strdup_printf("%s: %s%s%s", mountpoint, words, reason != NULL ? ": " : "",
                           reason != NULL ? reason : "");
}

/* NULL: it has signed in. Else the caller's. */
static char *mount_retry(const char *mountpoint, enum retry_result *result)
{
    int error = running_request(mountpoint, "retry");
    *result = RETRY_OK;
    if (error == 0)
        return NULL;
    *result = RETRY_NO_MOUNT;
    const char *words = g_strerror(error);
    for (size_t i = 0; i < G_N_ELEMENTS(OUTCOMES); i++) {
        if (OUTCOMES[i].error != error)
            continue;
        *result = OUTCOMES[i].result;
        words = OUTCOMES[i].words;
    }
    return mount_words(mountpoint, *result, words);
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
    g_auto(GStrv) mounts = mounts_meant(command, error);
    enum retry_result worst = RETRY_OK;
    if (mounts == NULL)
        return RETRY_NO_MOUNT;
    for (char **mount = mounts; *mount != NULL; mount++) {
        enum retry_result result;
        g_autofree char *words = mount_retry(*mount, &result);
        g_autofree char *shown = log_escape(*mount);
        if (words == NULL)
            printf("%s: signed in\n", shown);
        else if (worst == RETRY_OK)
            fail(error, "%s", words);
        else
            fprintf(stderr, "mailmount: %s\n", words);
        fflush(stdout);
        worst = MAX(worst, result);
    }
    return worst;
}
