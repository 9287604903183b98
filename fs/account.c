#include "fs/account.h"

#include <string.h>

bool account_needs_password(const struct account *account)
{
    static const char *const OTHERWISE[] = {"external", "gssapi", "gs2-krb5", NULL};

    if (account->tunnel_command != NULL && account->password_file == NULL && account->netrc == NULL)
        return false; /* it signs in itself; what else it needs is to be said */
    if (account->auth == NULL || g_str_equal(account->auth, "auto"))
        return account->tls_cert == NULL;
    return !g_strv_contains(OTHERWISE, account->auth);
}

bool account_prefers_ticket(const struct account *account)
{
    return (account->auth == NULL || g_str_equal(account->auth, "auto")) &&
           account->token_command == NULL && account->tls_cert == NULL &&
           account->tunnel_command == NULL;
}

void account_wipe(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    g_free(text);
}

void account_free(struct account *account)
{
    if (account == NULL)
        return;
    g_free(account->name);
    g_free(account->source);
    g_free(account->address);
    g_free(account->found);
    g_free(account->host);
    g_free(account->user);
    g_free(account->password_command);
    g_free(account->token_command);
    g_free(account->password_file);
    g_free(account->netrc);
    g_free(account->auth);
    g_free(account->tls_ca);
    g_free(account->tls_fingerprint);
    g_free(account->tls_cert);
    g_free(account->tls_key);
    g_free(account->mountpoint);
    g_free(account->tunnel_command);
    account_wipe(account->proxy);
    g_free(account->cache_dir);
    g_free(account->state_dir);
    g_free(account->trash);
    g_strfreev(account->folders);
    g_strfreev(account->prefetch);
    g_free(account);
}

static void left_out_free(void *data)
{
    struct left_out *out = data;

    g_free(out->name);
    g_free(out->why);
    g_free(out);
}

GPtrArray *left_out_new(void)
{
    return g_ptr_array_new_with_free_func(left_out_free);
}

void left_out_add(GPtrArray *list, const char *name, const char *why, int error)
{
    struct left_out *out = g_new0(struct left_out, 1);

    out->name = g_strdup(name);
    out->why = g_strdup(why);
    out->error = error;
    g_ptr_array_add(list, out);
}
