/* Choosing a mechanism, and our own answers for where libsasl2 finds no plugins. */
#include "imap/auth.h"

#include <string.h>

enum { TLS = 1, IDENTITY = 2, NO_SECRET = 4, TOKEN = 8, UNBINDABLE = 16 };

static const struct pick_case {
    const char *auth, *offered;
    unsigned with;
    const char *names; /* all that may be tried, best first; "LOGIN!" is the command; NULL: none */
} PICKS[] = {
    {"auto", "AUTH=PLAIN AUTH=LOGIN", TLS, "PLAIN LOGIN LOGIN!"},
    {"auto", "auth=plain LOGINDISABLED", TLS, "PLAIN"},
    {NULL, "AUTH=PLAIN", TLS, "PLAIN LOGIN!"},
    {"auto", "", TLS, "LOGIN!"},
    {"auto", "LOGINDISABLED", TLS, NULL},
    {"auto", "AUTH=XYMCOOKIE LOGINDISABLED", TLS, NULL},
    /* the whole order */
    {"auto",
     "AUTH=LOGIN AUTH=PLAIN AUTH=OTP AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-384 "
     "AUTH=SCRAM-SHA-512 AUTH=SCRAM-SHA-1-PLUS AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-384-PLUS "
     "AUTH=SCRAM-SHA-512-PLUS AUTH=GS2-KRB5 AUTH=GSSAPI AUTH=EXTERNAL LOGINDISABLED",
     TLS | IDENTITY,
     "EXTERNAL GSSAPI GS2-KRB5 SCRAM-SHA-512-PLUS SCRAM-SHA-384-PLUS SCRAM-SHA-256-PLUS "
     "SCRAM-SHA-1-PLUS SCRAM-SHA-512 SCRAM-SHA-384 SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN OTP"},
    /* a one-time password: where it is named, or nothing else is left */
    {"auto", "AUTH=OTP AUTH=PLAIN", TLS, "PLAIN LOGIN! OTP"},
    {"auto", "AUTH=OTP AUTH=PLAIN LOGINDISABLED", 0, "PLAIN OTP"},
    {"auto", "AUTH=OTP AUTH=CRAM-MD5 LOGINDISABLED", TLS, "CRAM-MD5 OTP"},
    {"auto", "AUTH=OTP LOGINDISABLED", TLS, "OTP"},
    {"otp", "AUTH=OTP AUTH=PLAIN", TLS, "OTP"},
    {"auto", "AUTH=EXTERNAL AUTH=PLAIN LOGINDISABLED", TLS, "PLAIN"},
    {"auto", "AUTH=EXTERNAL LOGINDISABLED", TLS, NULL},
    {"auto", "AUTH=EXTERNAL AUTH=PLAIN LOGINDISABLED", IDENTITY, "PLAIN"},
    {"auto", "AUTH=SCRAM-SHA-1-PLUS AUTH=SCRAM-SHA-1 LOGINDISABLED", 0, "SCRAM-SHA-1"},
    {"auto", "AUTH=SCRAM-SHA-1-PLUS AUTH=SCRAM-SHA-1 LOGINDISABLED", TLS | UNBINDABLE,
     "SCRAM-SHA-1"},
    /* old hashes: before a password in the clear, else last */
    {"auto", "AUTH=PLAIN AUTH=CRAM-MD5", TLS, "PLAIN LOGIN! CRAM-MD5"},
    {"auto", "AUTH=CRAM-MD5 LOGINDISABLED", TLS, "CRAM-MD5"},
    {"auto", "AUTH=PLAIN AUTH=CRAM-MD5 AUTH=DIGEST-MD5 LOGINDISABLED", 0,
     "DIGEST-MD5 CRAM-MD5 PLAIN"},
    {"auto", "AUTH=SCRAM-SHA-1 AUTH=CRAM-MD5 LOGINDISABLED", 0, "SCRAM-SHA-1 CRAM-MD5"},
    /* without a password, and with a token */
    {"auto", "AUTH=GSSAPI AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS | NO_SECRET, "GSSAPI"},
    {"auto", "AUTH=PLAIN", TLS | NO_SECRET, NULL},
    {"auto", "AUTH=XOAUTH2 AUTH=OAUTHBEARER AUTH=PLAIN", TLS | NO_SECRET | TOKEN,
     "OAUTHBEARER XOAUTH2"},
    {"auto", "AUTH=XOAUTH2 AUTH=PLAIN", TLS | TOKEN, "XOAUTH2"},
    {"auto", "AUTH=PLAIN", TLS | TOKEN, NULL},
    {"auto", "AUTH=XOAUTH2 AUTH=PLAIN LOGINDISABLED", TLS, "PLAIN"},
    {"xoauth2", "AUTH=XOAUTH2 AUTH=OAUTHBEARER", TLS | TOKEN, "XOAUTH2"},
    {"xoauth2", "AUTH=XOAUTH2", TLS, NULL},
    /* by name */
    {"login", "AUTH=PLAIN AUTH=LOGIN", TLS, "LOGIN! LOGIN"},
    {"LOGIN", "AUTH=LOGIN LOGINDISABLED", TLS, "LOGIN"},
    {"login", "AUTH=PLAIN LOGINDISABLED", TLS, NULL},
    {"plain", "AUTH=PLAIN AUTH=SCRAM-SHA-256", TLS, "PLAIN"},
    {"plain", "AUTH=LOGIN", TLS, NULL},
    {"cram-md5", "AUTH=PLAIN AUTH=CRAM-MD5", TLS, "CRAM-MD5"},
    {"scram-sha-256", "AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS", TLS, "SCRAM-SHA-256"},
    {"scram-sha-256", "AUTH=SCRAM-SHA-256-PLUS", TLS, NULL},
    {"scram-sha-256-plus", "AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256", TLS, "SCRAM-SHA-256-PLUS"},
    {"scram-sha-256-plus", "AUTH=SCRAM-SHA-256-PLUS", 0, NULL},
    {"external", "AUTH=EXTERNAL", TLS, NULL},
    {"external", "AUTH=EXTERNAL", IDENTITY, NULL},
    {"external", "AUTH=EXTERNAL", TLS | IDENTITY | NO_SECRET, "EXTERNAL"},
    {"gssapi", "AUTH=PLAIN", TLS, NULL},
    {"", "AUTH=PLAIN", TLS, NULL},
    {"scram-md5", "AUTH=SCRAM-MD5", TLS, NULL},
};

static void settle(const char *auth, unsigned with, struct imap_login *login,
                   struct imap_line *line, GBytes *binding)
{
    *login = (struct imap_login){.user = "u", .auth = auth};
    login->secret = with & NO_SECRET ? NULL : "p";
    login->token = with & TOKEN ? "t" : NULL;
    *line = (struct imap_line){.host = "host", .port = 993};
    line->secure = with & TLS;
    line->identity = with & IDENTITY;
    line->binding_name = "tls-unique";
    line->binding = (with & TLS) && !(with & UNBINDABLE) ? binding : NULL;
}

static GPtrArray *choose(const char *auth, unsigned with, const char *offered, GError **error)
{
    g_autoptr(GBytes) binding = g_bytes_new_static("12 finished!", 12);
    g_auto(GStrv) words = g_strsplit(offered, " ", -1);
    struct imap_capabilities capabilities = {0};
    struct imap_login login;
    struct imap_line line;

    settle(auth, with, &login, &line, binding);
    imap_capabilities_set(&capabilities, (const char *const *)words);
    GPtrArray *found = imap_mechanisms_choose(&login, &capabilities, &line, error);
    imap_capabilities_clear(&capabilities);
    return found;
}

static void test_pick(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(PICKS); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) names = g_string_new(NULL);
        g_autoptr(GPtrArray) found = choose(PICKS[i].auth, PICKS[i].with, PICKS[i].offered, &error);
        for (guint n = 0; found && n < found->len; n++) {
            const struct imap_mechanism *row = found->pdata[n];
            g_string_append_printf(names, "%s%s%s", n ? " " : "", row->name,
                                   row->flags & IMAP_MECH_COMMAND ? "!" : "");
        }
        g_test_message("%zu: %s of %s", i, PICKS[i].auth, PICKS[i].offered);
        g_assert_cmpstr(found ? names->str : NULL, ==, PICKS[i].names);
        if (!found)
            g_assert_error(error, IMAP_ERROR, IMAP_ERROR_MECHANISM);
    }
}

/* What is said where nothing can be chosen. */
static void test_pick_words(void)
{
    static const struct {
        const char *auth, *offered;
        unsigned with;
        const char *words;
    } rows[] = {
        {"auto", "AUTH=GSSAPI AUTH=X LOGINDISABLED", TLS | TOKEN,
         "host offers no way to sign in that takes an access token; it offers GSSAPI, X"},
        {"gssapi", "", TLS,
         "host offers no way to sign in that auth=gssapi allows; it offers none"},
        {"sesame", "AUTH=SESAME", TLS, "host: auth=sesame is not known here"},
        {"auto", "AUTH=EXTERNAL AUTH=PLAIN", TLS | NO_SECRET, "host wants a password"},
        {"external", "AUTH=EXTERNAL", TLS, "host wants a client certificate; tls_cert= names it"},
        {"external", "AUTH=EXTERNAL", IDENTITY, "host can do that only in TLS"},
        {"xoauth2", "AUTH=XOAUTH2", TLS, "host wants an access token; token_command= gets one"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(choose(rows[i].auth, rows[i].with, rows[i].offered, &error));
        g_assert_cmpstr(error->message, ==, rows[i].words);
    }
}

static void test_better(void)
{
    g_assert_true(imap_mechanism_better("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"));
    g_assert_true(imap_mechanism_better("SCRAM-SHA-1", "PLAIN"));
    g_assert_false(imap_mechanism_better("PLAIN", "PLAIN"));
    g_assert_false(imap_mechanism_better("LOGIN", "PLAIN"));
    g_assert_false(imap_mechanism_better("UNKNOWN", "PLAIN"));
}

/* What is said of a server that offers less than before. */
static void test_missed(void)
{
    static const struct {
        const char *before, *now, *offered;
        bool missed;
    } rows[] = {
        {"SCRAM-SHA-256", "PLAIN", "AUTH=PLAIN", true},
        {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "AUTH=SCRAM-SHA-256", true},
        {"GSSAPI", "PLAIN", "AUTH=PLAIN", true},
        {"GSSAPI", "PLAIN", "AUTH=PLAIN AUTH=GSSAPI", false}, /* no ticket this time */
        {"SCRAM-SHA-256", "SCRAM-SHA-512", "AUTH=SCRAM-SHA-512", false},
        {"SCRAM-SHA-256", "SCRAM-SHA-256", "AUTH=SCRAM-SHA-256", false},
        {"PLAIN", "LOGIN", "", false},
        {"LOGIN", "PLAIN", "AUTH=PLAIN", false},
        {"EXTERNAL", "PLAIN", "AUTH=PLAIN", false},
        {"XOAUTH2", "PLAIN", "AUTH=PLAIN", false},
        {"something", "PLAIN", "AUTH=PLAIN", false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct imap_capabilities capabilities = {0};
        g_auto(GStrv) words = g_strsplit(rows[i].offered, " ", -1);
        imap_capabilities_set(&capabilities, (const char *const *)words);
        g_test_message("%s %s", rows[i].before, rows[i].now);
        g_assert_true(imap_mechanism_missed(rows[i].before, rows[i].now, &capabilities) ==
                      rows[i].missed);
        imap_capabilities_clear(&capabilities);
    }
}

/* ---- our own answers ------------------------------------------------------------------------ */

struct run {
    struct imap_login login;
    struct imap_line line;
    struct imap_auth *auth;
};

static void run_start(struct run *run, const char *name, const char *user, const char *secret)
{
    g_autofree char *offered = g_strdup_printf("AUTH=%s LOGINDISABLED", name);
    g_autoptr(GPtrArray) found = choose(name, TLS | IDENTITY | TOKEN, offered, NULL);

    run->login = (struct imap_login){.user = user, .secret = secret, .token = secret, .auth = name};
    run->line = (struct imap_line){.host = "host", .port = 993, .secure = true, .identity = true};
    run->auth = imap_auth_new(found->pdata[0], &run->login, &run->line);
    imap_auth_step(run->auth, NULL);
}

static char *answer(struct run *run, const char *challenge)
{
    imap_auth_step(run->auth, challenge);
    return imap_auth_response(run->auth);
}

static void run_end(struct run *run)
{
    imap_auth_unref(run->auth);
}

/* Bytes of any kind go through unchanged. */
static void test_plain(void)
{
    struct run run;
    gsize length = 0;

    run_start(&run, "PLAIN", "a\xff", "\x01\"\\ \r\n");
    g_autoptr(imap_secret) initial = imap_auth_response(run.auth);
    g_autofree guchar *raw = g_base64_decode(initial, &length);
    g_assert_cmpmem(raw, length, "\0a\xff\0\x01\"\\ \r\n", 10);
    g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_DONE);
    g_autoptr(imap_secret) more = answer(&run, "");
    g_assert_null(more);
    g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_FAILED);
    run_end(&run);
}

static void test_login(void)
{
    struct run run;

    run_start(&run, "LOGIN", "alice", "");
    g_assert_null(imap_auth_response(run.auth));
    g_autoptr(imap_secret) user = answer(&run, "VXNlcjo=");
    g_autoptr(imap_secret) secret = answer(&run, "???");
    g_autoptr(imap_secret) more = answer(&run, "");
    g_assert_cmpstr(user, ==, "YWxpY2U=");
    g_assert_cmpstr(secret, ==, "");
    g_assert_null(more);
    run_end(&run);
}

static void test_external(void)
{
    struct run run;

    run_start(&run, "EXTERNAL", "alice", NULL);
    g_autoptr(imap_secret) initial = imap_auth_response(run.auth);
    g_assert_cmpstr(initial, ==, "YWxpY2U=");
    run_end(&run);
}

/* RFC 7628, 4.1 and 4.3, of our host and port; and XOAUTH2 as Google documents it. */
static void test_bearer(void)
{
    static const struct {
        const char *name, *user, *initial, *acknowledgement;
    } rows[] = {
        {"OAUTHBEARER", "user@example.com",
         "n,a=user@example.com,\1host=server.example.com\1port=143\1"
         "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1",
         "AQ=="},
        {"OAUTHBEARER", "a,b=c",
         "n,a=a=2Cb=3Dc,\1host=server.example.com\1port=143\1"
         "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1",
         "AQ=="},
        {"XOAUTH2", "user@example.com",
         "user=user@example.com\1"
         "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1",
         ""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct run run;
        gsize length = 0;
        run_start(&run, rows[i].name, rows[i].user, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        run.line.host = "server.example.com";
        run.line.port = 143;
        imap_auth_step(run.auth, NULL);
        g_autoptr(imap_secret) initial = imap_auth_response(run.auth);
        g_autofree guchar *raw = g_base64_decode(initial, &length);
        g_assert_cmpmem(raw, length, rows[i].initial, strlen(rows[i].initial));
        g_autoptr(imap_secret) refused =
            answer(&run, "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIn0=");
        g_assert_cmpstr(refused, ==, rows[i].acknowledgement);
        g_assert_cmpstr(imap_auth_why(run.auth), ==,
                        "the access token is not valid, or no longer (it wants the scope "
                        "example_scope)");
        g_autoptr(imap_secret) more = answer(&run, "");
        g_assert_null(more);
        run_end(&run);
    }
}

/* What would break out of its place in the message is not sent. */
static void test_bearer_bad(void)
{
    g_autofree char *long_token = g_strnfill(60000, 'x');
    const char *const rows[][2] = {{"alice", ""},        {"alice", "to ken"},
                                   {"alice", "tok\1en"}, {"alice", "tok\xff"},
                                   {"al\1ice", "token"}, {"alice", long_token}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        for (int n = 0; n < 2; n++) {
            struct run run;
            run_start(&run, n ? "XOAUTH2" : "OAUTHBEARER", rows[i][0], rows[i][1]);
            g_assert_null(imap_auth_response(run.auth));
            g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_FAILED);
            g_assert_cmpint(imap_auth_code(run.auth), ==, IMAP_ERROR_LOGIN);
            run_end(&run);
        }
}

static void test_bearer_words(void)
{
    g_autofree char *long_status = g_strdup_printf("{\"status\":\"%0200d\"}", 1);
    const char *const rows[][2] = {
        {"{\"status\":\"401\",\"schemes\":\"bearer mac\",\"scope\":\"https://mail.google.com/\"}",
         "the access token is not valid, or no longer (it wants the scope "
         "https://mail.google.com/)"},
        {"{ \"status\" : 403 }", "the access token does not permit IMAP"},
        {"{\"status\":\"teapot\"}", "it answers with status teapot"},
        {"{\"status\":\"a\x1b[1m\"}", "it answers with status a?[1m"},
        {"{\"status\":\"\"}", NULL},
        {"{\"status\":", NULL},
        {"{\"status\"", NULL},
        {"status", NULL},
        {"", NULL},
        {"\xff\xfe", NULL},
        {long_status, NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct run run;
        g_autofree char *challenge =
            g_base64_encode((const guchar *)rows[i][0], strlen(rows[i][0]));
        run_start(&run, "XOAUTH2", "alice", "token");
        g_autoptr(imap_secret) refused = answer(&run, challenge);
        g_assert_cmpstr(refused, ==, "");
        g_assert_cmpstr(imap_auth_why(run.auth), ==, rows[i][1]);
        run_end(&run);
    }
}

/* ---- without plugins ------------------------------------------------------------------------ */

static void test_absent(void)
{
    static const char *const rows[][2] = {
        {"SCRAM-SHA-256", "sign-in by SCRAM-SHA-256 needs the Debian package libsasl2-modules"},
        {"OTP", "sign-in by OTP needs the Debian package libsasl2-modules-otp"},
        {"GSSAPI", "sign-in by GSSAPI needs the Debian package libsasl2-modules-gssapi-mit"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct run run;
        run_start(&run, rows[i][0], "alice", "sesame");
        g_assert_true(imap_auth_blocks(run.auth));
        g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_ABSENT);
        g_assert_cmpstr(imap_auth_why(run.auth), ==, rows[i][1]);
        g_assert_cmpint(imap_auth_code(run.auth), ==, IMAP_ERROR_MECHANISM);
        run_end(&run);
    }
}

/* Without a plugin there is no ticket, and nobody waits for one. */
static void test_ticket(void)
{
    const struct imap_server server = {.host = "localhost", .port = 993, .timeout_s = 600};
    const struct imap_login login = {.user = "alice", .auth = "auto"};

    g_assert_cmpstr(imap_mechanism_kerberos()->name, ==, "GSSAPI");
    g_assert_false(imap_ticket(&server, &login, NULL));
}

/* ---- refusals ------------------------------------------------------------------------------- */

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
    {"AUTHENTICATIONFAILED", "Too many failed login attempts, again later", IMAP_ERROR_LOGIN},
    {"UNAVAILABLE", "locked", IMAP_ERROR_UNAVAILABLE},
    {"ALERT", "Too many failed login attempts", IMAP_ERROR_LOGIN},
    {NULL, "Too many login attempts, please try again later", IMAP_ERROR_LOGIN},
    {NULL, "Account temporarily locked: wrong password", IMAP_ERROR_LOGIN},
    {NULL, "Your IP is temporarily blocked", IMAP_ERROR_LOGIN},
    {NULL, "Mailbox is locked by another session", IMAP_ERROR_UNAVAILABLE},
    {NULL, "Mailbox is locked after 5 invalid logins", IMAP_ERROR_LOGIN},
    {NULL, "Mailbox locked: too many failed passwords", IMAP_ERROR_LOGIN},
    {NULL, "INBOX is locked, 3 unsuccessful attempts", IMAP_ERROR_LOGIN},
    {NULL, "Temporary authentication failure.", IMAP_ERROR_UNAVAILABLE},
    {NULL, "Simultaneous logins exceeded", IMAP_ERROR_UNAVAILABLE},
    {"ALERT", "TOO MANY simultaneous connections", IMAP_ERROR_UNAVAILABLE},
    {NULL, "Maximum number of connections from user+IP exceeded", IMAP_ERROR_UNAVAILABLE},
    {NULL, "User is authenticated but not connected.", IMAP_ERROR_UNAVAILABLE},
    {"PRIVACYREQUIRED", "x", IMAP_ERROR_MECHANISM},
};

static void test_refusals(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSALS); i++)
        g_assert_cmpint(imap_auth_error(REFUSALS[i].code, REFUSALS[i].text, IMAP_ERROR_LOGIN), ==,
                        REFUSALS[i].error);
    g_assert_cmpint(imap_auth_error(NULL, "goodbye", IMAP_OK), ==, IMAP_OK);
}

int main(int argc, char **argv)
{
    g_setenv("SASL_PATH", "/nowhere", TRUE); /* no plugins: what answers here is our own */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/auth/pick", test_pick);
    g_test_add_func("/imap/auth/ticket", test_ticket);
    g_test_add_func("/imap/auth/pick-words", test_pick_words);
    g_test_add_func("/imap/auth/better", test_better);
    g_test_add_func("/imap/auth/missed", test_missed);
    g_test_add_func("/imap/auth/plain", test_plain);
    g_test_add_func("/imap/auth/login", test_login);
    g_test_add_func("/imap/auth/external", test_external);
    g_test_add_func("/imap/auth/bearer", test_bearer);
    g_test_add_func("/imap/auth/bearer-bad", test_bearer_bad);
    g_test_add_func("/imap/auth/bearer-words", test_bearer_words);
    g_test_add_func("/imap/auth/absent", test_absent);
    g_test_add_func("/imap/auth/refusals", test_refusals);
    return g_test_run();
}
