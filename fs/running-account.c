#include "fs/running-account.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *key;
    size_t offset;
} LINES[] = {
    {"account: ", offsetof(struct running_account, name)},
    {"source: ", offsetof(struct running_account, source)},
    {"state: ", offsetof(struct running_account, state)},
    {"last error: ", offsetof(struct running_account, last_error)},
};

static void line_take(const char *line, struct running_account *account)
{
    for (size_t i = 0; i < G_N_ELEMENTS(LINES); i++)
        if (g_str_has_prefix(line, LINES[i].key))
            *(const char **)((char *)account + LINES[i].offset) = line + strlen(LINES[i].key);
}

/* One that could not be mounted has no source. */
static void account_end(struct running_account *account, GArray *accounts)
{
    if (account->name != NULL && account->source != NULL && account->state != NULL)
        g_array_append_val(accounts, *account);
    *account = (struct running_account){0};
}

GArray *running_accounts(char *text)
{
    GArray *accounts = g_array_new(FALSE, FALSE, sizeof(struct running_account));
    struct running_account account = {0};

    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end++ = '\0';
        if (g_str_has_prefix(line, "account: "))
            account_end(&account, accounts);
        line_take(line, &account);
        line = end;
    }
    account_end(&account, accounts);
    return accounts;
}
