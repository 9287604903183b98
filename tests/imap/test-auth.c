/* Choosing a mechanism, and our own answers for where libsasl2 finds no plugins. */
#include "imap/auth.h"

#include <string.h>

static const struct pick_case {
    const char *auth, *offered, *name; /* name NULL: none */
    bool command;
} PICKS[] = {
    {"auto", "AUTH=PLAIN AUTH=LOGIN", "PLAIN", false},
    {"auto", "auth=plain", "PLAIN", false},
    {NULL, "AUTH=PLAIN", "PLAIN", false},
    {"auto", "AUTH=LOGIN AUTH=CRAM-MD5", "LOGIN", false},
    {"auto", "AUTH=CRAM-MD5", "LOGIN", true},
    {"auto", "", "LOGIN", true},
    {"auto", "AUTH=CRAM-MD5 LOGINDISABLED", NULL, false},
    {"login", "AUTH=PLAIN AUTH=LOGIN", "LOGIN", true},
    {"LOGIN", "AUTH=LOGIN LOGINDISABLED", "LOGIN", false},
    {"login", "AUTH=PLAIN LOGINDISABLED", NULL, false},
    {"plain", "AUTH=PLAIN", "PLAIN", false},
    {"plain", "AUTH=LOGIN", NULL, false},
    {"", "AUTH=PLAIN", NULL, false},
};

static void test_pick(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(PICKS); i++) {
        struct imap_login login = {.user = "u", .secret = "p", .auth = PICKS[i].auth};
        struct imap_capabilities capabilities = {0};
        g_auto(GStrv) words = g_strsplit(PICKS[i].offered, " ", -1);
        g_autoptr(GError) error = NULL;
        imap_capabilities_set(&capabilities, (const char *const *)words);
        const struct imap_mechanism *row =
            imap_mechanism_pick(&login, &capabilities, "host", &error);
        g_assert_cmpstr(row ? row->name : NULL, ==, PICKS[i].name);
        g_assert_true((row == NULL) == (error != NULL));
        if (row)
            g_assert_true(row->command == PICKS[i].command);
        imap_capabilities_clear(&capabilities);
    }
}

static const struct imap_mechanism *mechanism(const char *word)
{
    struct imap_login login = {.user = "u", .secret = "p", .auth = "auto"};
    struct imap_capabilities capabilities = {0};
    const char *const words[] = {word, NULL};

    imap_capabilities_set(&capabilities, words);
    const struct imap_mechanism *row = imap_mechanism_pick(&login, &capabilities, "host", NULL);
    imap_capabilities_clear(&capabilities);
    g_assert_nonnull(row);
    return row;
}

/* Bytes of any kind go through unchanged. */
static void test_plain(void)
{
    struct imap_login login = {.user = "a\xff", .secret = "\x01\"\\ \r\n", .auth = "plain"};
    g_autoptr(imap_auth) auth = imap_auth_new(mechanism("AUTH=PLAIN"), &login, "host", NULL);
    g_autoptr(imap_secret) initial = imap_auth_initial(auth);
    gsize length = 0;
    g_autofree guchar *raw = g_base64_decode(initial, &length);

    g_assert_cmpmem(raw, length, "\0a\xff\0\x01\"\\ \r\n", 10);
    g_autoptr(imap_secret) more = imap_auth_respond(auth, "");
    g_assert_null(more);
}

static void test_login(void)
{
    struct imap_login login = {.user = "alice", .secret = "", .auth = "login"};
    g_autoptr(imap_auth) auth = imap_auth_new(mechanism("AUTH=LOGIN"), &login, "host", NULL);

    g_assert_null(imap_auth_initial(auth));
    g_autoptr(imap_secret) user = imap_auth_respond(auth, "VXNlcjo=");
    g_autoptr(imap_secret) secret = imap_auth_respond(auth, "???");
    g_autoptr(imap_secret) more = imap_auth_respond(auth, "");
    g_assert_cmpstr(user, ==, "YWxpY2U=");
    g_assert_cmpstr(secret, ==, "");
    g_assert_null(more);
}

static const struct refusal_case {
    const char *code, *text;
    enum imap_error error;
} REFUSALS[] = {
    {NULL, "", IMAP_ERROR_LOGIN},
    {NULL, "LOGIN failed, please try again", IMAP_ERROR_LOGIN},
    {"AUTHENTICATIONFAILED", "Too many of them are temporarily wrong", IMAP_ERROR_LOGIN},
    {"UNAVAILABLE", "x", IMAP_ERROR_UNAVAILABLE},
    {"INUSE", "x", IMAP_ERROR_UNAVAILABLE},
    {"LIMIT", "x", IMAP_ERROR_UNAVAILABLE},
    {"ALERT", "TOO MANY simultaneous connections", IMAP_ERROR_UNAVAILABLE},
    {NULL, "Maximum number of connections from user+IP exceeded", IMAP_ERROR_UNAVAILABLE},
    {NULL, "User is authenticated but not connected.", IMAP_ERROR_UNAVAILABLE},
    {"PRIVACYREQUIRED", "x", IMAP_ERROR_MECHANISM},
};

static void test_refusals(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSALS); i++)
        g_assert_cmpint(imap_auth_error(REFUSALS[i].code, REFUSALS[i].text), ==, REFUSALS[i].error);
}

int main(int argc, char **argv)
{
    g_setenv("SASL_PATH", "/nowhere", TRUE); /* no plugins: what answers here is our own */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/auth/pick", test_pick);
    g_test_add_func("/imap/auth/plain", test_plain);
    g_test_add_func("/imap/auth/login", test_login);
    g_test_add_func("/imap/auth/refusals", test_refusals);
    return g_test_run();
}
