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

/* Takes the old error. */
static void message_lengthen(GError **error, const char *words)
{
    g_autoptr(GError) old = *error;

    *error = g_error_new(old->domain, old->code, "%s; %s", old->message, words);
}

/* Whether another server than the account's may be meant. */
static bool may_have_moved(const GError *error)
{
    static const enum imap_error SIGNS[] = {IMAP_ERROR_RESOLVE, IMAP_ERROR_CONNECT, IMAP_ERROR_TLS,
                                            IMAP_ERROR_CERTIFICATE, IMAP_ERROR_NOT_IMAP};

    for (size_t i = 0; i < G_N_ELEMENTS(SIGNS); i++)
        if (g_error_matches(error, IMAP_ERROR, (gint)SIGNS[i]))
            return true;
    return false;
}

void advice_add(const struct account *account, struct cache *cache, GError **error)
{
    const char *advice = advice_of(*error);
    bool refused = g_error_matches(*error, IMAP_ERROR, IMAP_ERROR_LOGIN);

    if (account->found != NULL && may_have_moved(*error)) {
        g_autofree char *anew =
            g_strdup_printf("that server was found before: remove %s to look anew", account->found);
        message_lengthen(error, anew);
    } else if (advice != NULL && (refused || cache == NULL || !has_folders(cache))) {
        message_lengthen(error, advice);
    }
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
