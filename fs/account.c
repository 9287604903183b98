#include "fs/account.h"

void account_free(struct account *account)
{
    if (account == NULL)
        return;
    g_free(account->name);
    g_free(account->source);
    g_free(account->host);
    g_free(account->user);
    g_free(account->password_command);
    g_free(account->token_command);
    g_free(account->password_file);
    g_free(account->netrc);
    g_free(account->auth);
    g_free(account->tls_ca);
    g_free(account->tls_fingerprint);
    g_free(account->cache_dir);
    g_free(account->state_dir);
    g_free(account->trash);
    g_strfreev(account->folders);
    g_strfreev(account->prefetch);
    g_free(account);
}
