/* What a running mount says of its accounts. */
#include "fs/running-account.h"

static const char TEXT[] = "mailmount 1.0\n"
                           "\n"
                           "account: one\n"
                           "source: imaps://a@h\n"
                           "state: online, changes on the server: looked for now and then\n"
                           "server: account: x\n"
                           "connections: 1 of 4\n"
                           "\n"
                           "account: two\n"
                           "source: imaps://b@h\n"
                           "state: offline, next attempt in 3 s\n"
                           "last error: cannot connect: account: refused\n"
                           "sign-in refused: wrong password\n"
                           "\n"
                           "account: three\n"
                           "state: not shown: its server is not found\n";

static const struct running_account ACCOUNTS[] = {
    {"one", "imaps://a@h", "online, changes on the server: looked for now and then", NULL},
    {"two", "imaps://b@h", "offline, next attempt in 3 s", "cannot connect: account: refused"},
};

static void test_accounts(void)
{
    g_autofree char *text = g_strdup(TEXT);
    g_autoptr(GArray) accounts = running_accounts(text);
    g_assert_cmpuint(accounts->len, ==, G_N_ELEMENTS(ACCOUNTS));
    for (guint i = 0; i < accounts->len; i++) {
        const struct running_account *found = &g_array_index(accounts, struct running_account, i);
        g_assert_cmpstr(found->name, ==, ACCOUNTS[i].name);
        g_assert_cmpstr(found->source, ==, ACCOUNTS[i].source);
        g_assert_cmpstr(found->state, ==, ACCOUNTS[i].state);
        g_assert_cmpstr(found->last_error, ==, ACCOUNTS[i].last_error);
    }
}

static void test_none(void)
{
    static const char *const TEXTS[] = {NULL,
                                        "",
                                        "\n",
                                        "account: x",
                                        "account: x\nsource: y\n",
                                        "source: y\nstate: online\n",
                                        "mailmount 1.0\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
        g_autofree char *text = g_strdup(TEXTS[i]);
        g_autoptr(GArray) accounts = running_accounts(text);
        g_assert_cmpuint(accounts->len, ==, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/running/accounts", test_accounts);
    g_test_add_func("/running/none", test_none);
    return g_test_run();
}
