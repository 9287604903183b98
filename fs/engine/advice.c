#include "fs/engine/advice.h"

#include "imap/imap.h"

static const struct {
    enum imap_error error;
    const char *advice;
} ADVICE[] = {
    {IMAP_ERROR_CONNECT, "is the port right, and is mail let through by the firewall?"},
    {IMAP_ERROR_TIMEOUT, "is the port right, and is mail let through by the firewall?"},
    {IMAP_ERROR_LOGIN, "check user name and password; many providers want an app password, made in "
                       "the account's settings, or OAuth2 (token_command=)"},
    {IMAP_ERROR_UNAVAILABLE, "try again later"},
};

const char *advice_of(const GError *error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ADVICE); i++)
        if (g_error_matches(error, IMAP_ERROR, (gint)ADVICE[i].error))
            return ADVICE[i].advice;
    return NULL;
}

static bool has_folders(struct cache *cache)
{
    g_autoptr(cache_txn) txn = cache_txn_read(cache);
    struct cache_mailbox mailbox;

    return cache_mailbox_next(txn, 0, 0, &mailbox) == CACHE_OK;
}

void advice_add(struct cache *cache, GError **error)
{
    const char *advice = advice_of(*error);
    bool refused = g_error_matches(*error, IMAP_ERROR, IMAP_ERROR_LOGIN);

    if (advice == NULL || (!refused && cache != NULL && has_folders(cache)))
        return;
    GError *longer =
        g_error_new((*error)->domain, (*error)->code, "%s; %s", (*error)->message, advice);
    g_error_free(*error);
    *error = longer;
}

bool engine_is_worth_asking(const struct account *account, GCancellable *cancel, GError **error)
{
    const struct imap_server server = {
        .host = account->host,
        .port = account->port,
        .timeout_s = account->timeout_s,
        .proxy = account->proxy,
    };
    g_autofree char *name =
        g_strdup_printf("%s@%s:%u", account->user, account->host, account->port);
    g_autoptr(GError) why = NULL;

    if (account->tunnel_command != NULL || cache_is_there(account->cache_dir, name) ||
        imap_answers(&server, cancel, &why))
        return true;
    bool cancelled = g_error_matches(why, IMAP_ERROR, IMAP_ERROR_CANCELLED);
    const char *advice = advice_of(why);
    g_set_error(error, G_IO_ERROR, cancelled ? G_IO_ERROR_CANCELLED : G_IO_ERROR_HOST_UNREACHABLE,
                "%s%s%s", why->message, advice != NULL ? "; " : "", advice != NULL ? advice : "");
    return false;
}
