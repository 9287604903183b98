/* Opening a session in the clear: greetings, signing in, what comes after. */
#include "client.h"

#include "imap/dial.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREET "S:* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready."
#define PLAIN_IR "C:AUTHENTICATE PLAIN AGFsaWNlAHNlc2FtZQ=="
#define LOGGED_IN "S:$$ OK [CAPABILITY IMAP4rev1 UNSELECT] in"

static void steps_open(const char *const *steps, const char *auth, const char *secret)
{
    struct client client;

    client_init(&client, steps, NULL);
    client.login.auth = auth;
    client.login.secret = secret;
    client_open(&client);
    if (client.error)
        g_printerr("message: %s\n", client.error->message);
    if (client.session)
        g_assert_null(strstr(client.transcript->str, secret));
    g_clear_pointer(&client.session, imap_session_free);
    client_end(&client, true);
}

/* Conversations that must end in a session. */
static const struct good {
    const char *name, *auth, *secret;
    const char *const *steps;
} GOOD[] = {
    {"plain with an initial response", "auto", "sesame",
     (const char *[]){GREET, PLAIN_IR, LOGGED_IN, NULL}},
    {"plain without", "plain", "sesame",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED] hi",
                      "C:AUTHENTICATE PLAIN", "S:+ ", "L:AGFsaWNlAHNlc2FtZQ==", LOGGED_IN, NULL}},
    {"a bare plus", "auto", "sesame",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi", "C:AUTHENTICATE PLAIN", "S:+",
                      "L:AGFsaWNlAHNlc2FtZQ==", LOGGED_IN, NULL}},
    {"capabilities asked for", "auto", "sesame",
     (const char *[]){"S:* OK hi", "C:CAPABILITY", "S:* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR",
                      "S:$$ OK", PLAIN_IR, "S:$$ OK in", "C:CAPABILITY", "S:* CAPABILITY IMAP4rev1",
                      "S:$$ OK", NULL}},
    {"SASL LOGIN alone", "auto", "sesame",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 AUTH=LOGIN LOGINDISABLED SASL-IR] hi",
                      "C:AUTHENTICATE LOGIN", "S:+ VXNlcm5hbWU6", "L:YWxpY2U=", "S:+ UGFzc3dvcmQ6",
                      "L:c2VzYW1l", LOGGED_IN, NULL}},
    {"the LOGIN command", "auto", "sesame",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1] hi", "C:LOGIN \"alice\" \"sesame\"", LOGGED_IN,
                      NULL}},
    {"LOGIN by name", "login", "ses\"ame\\",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN] hi",
                      "C:LOGIN \"alice\" \"ses\\\"ame\\\\\"", LOGGED_IN, NULL}},
    {"LOGIN with a literal", "login",
     "s\xc3\xa9"
     "same",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1] hi", "C:LOGIN \"alice\" {7}", "S:+ go on",
                      "L:s\xc3\xa9"
                      "same",
                      LOGGED_IN, NULL}},
    {"LOGIN with LITERAL+", "login",
     "s\xc3\xa9"
     "same",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 LITERAL+] hi", "C:LOGIN \"alice\" {7+}",
                      "L:s\xc3\xa9"
                      "same",
                      "S:$1 OK [CAPABILITY IMAP4rev1] in", NULL}},
    {"PREAUTH", "auto", "sesame",
     (const char *[]){"S:* PREAUTH [CAPABILITY IMAP4rev1] as alice", NULL}},
    {"empty lines and NULs first", "auto", "sesame",
     (const char *[]){"P:\r\n\r\n", GREET, PLAIN_IR, LOGGED_IN, NULL}},
    {"ID and ENABLE in one write, refused", "auto", "sesame",
     (const char *[]){GREET, PLAIN_IR,
                      "S:$$ OK [CAPABILITY IMAP4rev1 ID ENABLE UTF8=ACCEPT CONDSTORE] in",
                      "C:ID (\"name\" \"mailmount\" \"version\" *",
                      "C:ENABLE UTF8=ACCEPT CONDSTORE", "S:$2 BAD no", "S:$3 NO no", NULL}},
    {"COMPRESS last, when all else is answered; refused", "auto", "sesame",
     (const char *[]){GREET, PLAIN_IR,
                      "S:$$ OK [CAPABILITY IMAP4rev1 ID ENABLE QRESYNC COMPRESS=DEFLATE] in",
                      "C:ID *", "C:ENABLE CONDSTORE QRESYNC", "S:$3 OK", "S:$2 OK",
                      "C:COMPRESS DEFLATE", "S:$4 NO [COMPRESSIONACTIVE] it is", NULL}},
    {"QRESYNC that is broken", "auto", "sesame",
     (const char *[]){GREET, PLAIN_IR,
                      "S:$$ OK [CAPABILITY IMAP4rev1 QRESYNC ENABLE XAPPLEPUSHSERVICE] in",
                      "C:ENABLE CONDSTORE", "S:$2 OK", NULL}},
    {"what the login did not tell is asked for", "auto", "sesame",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 ID AUTH=PLAIN SASL-IR] hi", PLAIN_IR,
                      "S:$$ OK in", "C:CAPABILITY", "C:ID *",
                      "S:* CAPABILITY IMAP4rev1 ID ENABLE IMAP4rev2", "S:$2 OK", "S:* ID NIL",
                      "S:$3 OK", "C:ENABLE IMAP4rev2", "S:* ENABLED IMAP4rev2", "S:$$ OK", NULL}},
};

static void test_good(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(GOOD); i++) {
        g_test_message("%s", GOOD[i].name);
        steps_open(GOOD[i].steps, GOOD[i].auth, GOOD[i].secret);
    }
}

#define TOO_MANY "S:$$ NO [ALERT] Too many simultaneous connections."

/* Conversations that must not; with what the message says. */
static const struct bad {
    enum imap_tls tls;
    enum imap_error error;
    const char *words;
    const char *const *steps;
} BAD[] = {
    {IMAP_TLS_NONE, IMAP_ERROR_LOGIN, "refused to sign in alice: wrong <secret>",
     (const char *[]){GREET, PLAIN_IR, "S:$$ NO [AUTHENTICATIONFAILED] wrong sesame.", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_LOGIN, "no reason given",
     (const char *[]){GREET, PLAIN_IR, "S:$$ NO", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_UNAVAILABLE, "Too many",
     (const char *[]){GREET, PLAIN_IR, TOO_MANY, NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_UNAVAILABLE, "later",
     (const char *[]){GREET, PLAIN_IR, "S:$$ NO [UNAVAILABLE] later", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_UNAVAILABLE, "busy", (const char *[]){"S:* BYE busy.", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_UNAVAILABLE, "enough",
     (const char *[]){GREET, PLAIN_IR, "S:* BYE enough", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_LOGIN, "Too many failed login attempts",
     (const char *[]){GREET, PLAIN_IR, "S:* BYE Too many failed login attempts", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_UNAVAILABLE, "blocked", /* nobody signed in */
     (const char *[]){"S:* BYE blocked", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_MECHANISM, "it offers XYMCOOKIE, NTLM",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=XYMCOOKIE AUTH=NTLM] x",
                      NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_LOST, "ended the connection",
     (const char *[]){GREET, PLAIN_IR, "X:", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_LOST, "ended the connection", (const char *[]){"P:", "X:", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_NOT_IMAP, "it says \"220 mail ESMTP\"",
     (const char *[]){"S:220 mail ESMTP", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_NOT_IMAP, "it says \"+OK POP3\"",
     (const char *[]){"S:+OK POP3", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_NOT_IMAP, "it says \"SSH-2.0\"",
     (const char *[]){"P:SSH-2.0", NULL}},
    {IMAP_TLS_NONE, IMAP_ERROR_NOT_IMAP, "use imaps://", (const char *[]){"P:\x15\x03\x01", NULL}},
    {IMAP_TLS_STARTTLS, IMAP_ERROR_TLS, "offers no STARTTLS",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x", NULL}},
    {IMAP_TLS_STARTTLS, IMAP_ERROR_TLS, "PREAUTH",
     (const char *[]){"S:* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] x", NULL}},
    {IMAP_TLS_STARTTLS, IMAP_ERROR_TLS, "refuses STARTTLS: no",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 STARTTLS] x", "C:STARTTLS", "S:$$ BAD no",
                      NULL}},
    {IMAP_TLS_STARTTLS, IMAP_ERROR_TLS, "slipped in",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 STARTTLS] x", "C:STARTTLS",
                      "S:$$ OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN", NULL}},
    {IMAP_TLS_STARTTLS, IMAP_ERROR_TLS, "slipped in",
     (const char *[]){"S:* OK [CAPABILITY IMAP4rev1 STARTTLS] x", "C:STARTTLS",
                      "P:$$ OK go\r\n* CAPA", NULL}},
};

static void test_bad(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(BAD); i++) {
        g_test_message("%zu: %s", i, BAD[i].words);
        client_refuses(BAD[i].steps, BAD[i].tls, NULL, BAD[i].error, BAD[i].words);
    }
}

/* What a server says of a failure, with a secret in it or what only looks like one. */
static void test_secret_hidden(void)
{
    static const struct {
        const char *secret, *said, *told;
    } rows[] = {
        {"sesame", "sesame is not it", ": <secret> is not it"},
        {"sesame", "not sesame, nor pass=sesame!", ": not <secret>, nor pass=<secret>!"},
        {"sesame", "sesames, asesame", ": sesames, asesame"},
        {"sesame", "sesamesesame sesame", ": sesamesesame <secret>"},
        {"wrong", "wrong user or password", ": wrong user or password"},
        {"(open)", "it(open)ed", ": it<secret>ed"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) plain = g_string_new_len("\0alice\0", 7);
        g_string_append(plain, rows[i].secret);
        g_autofree char *base64 = g_base64_encode((const guchar *)plain->str, plain->len);
        g_autofree char *sent = g_strconcat("C:AUTHENTICATE PLAIN ", base64, NULL);
        g_autofree char *answered = g_strconcat("S:$$ NO ", rows[i].said, NULL);
        const char *const steps[] = {GREET, sent, answered, NULL};
        struct client client;
        client_init(&client, steps, NULL);
        client.login.secret = rows[i].secret;
        client_open(&client);
        g_assert_error(client.error, IMAP_ERROR, IMAP_ERROR_LOGIN);
        g_assert_true(g_str_has_suffix(client.error->message, rows[i].told));
        client_end(&client, true);
    }
}

/* In the clear, what is less than before is for the user to say; with what is heard then. */
static void test_downgrade(void)
{
    static const struct {
        const char *before, *auth;
        bool taken;
    } rows[] = {
        {"SCRAM-SHA-256", "auto", false},
        {"SCRAM-SHA-256", NULL, false},
        {"GSSAPI", "auto", false},
        {"CRAM-MD5", "auto", false},
        {"SCRAM-SHA-256", "plain", true},
        {"PLAIN", "auto", true},
        {NULL, "auto", true},
    };
    static const char *const taken[] = {GREET, PLAIN_IR, "S:$$ NO no", NULL};
    static const char *const refused[] = {GREET, NULL};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct client client;
        client_init(&client, rows[i].taken ? taken : refused, NULL);
        client.login.auth = rows[i].auth;
        client.login.before = rows[i].before;
        client_open(&client);
        g_test_message("%zu: %s", i, client.error->message);
        gint code = (gint)(rows[i].taken ? IMAP_ERROR_LOGIN : IMAP_ERROR_MECHANISM);
        g_assert_error(client.error, IMAP_ERROR, code);
        g_assert_true(rows[i].taken || strstr(client.error->message, "no longer offers"));
        client_end(&client, true);
    }
}

static void test_mechanism_names(void)
{
    static const char *const steps[] = {"S:* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x", NULL};
    static const struct {
        const char *auth, *secret, *words;
    } rows[] = {
        {"kerberos9", "x", "auth=kerberos9 is not known"},
        {"plain", NULL, "wants a password"},
        {"auto", NULL, "wants a password"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct client client;
        client_init(&client, steps, NULL);
        client.login.auth = rows[i].auth;
        client.login.secret = rows[i].secret;
        client_open(&client);
        g_assert_error(client.error, IMAP_ERROR, IMAP_ERROR_MECHANISM);
        g_assert_nonnull(strstr(client.error->message, rows[i].words));
        client_end(&client, true);
    }
}

static void on_progress(enum imap_step step, const char *found, void *data)
{
    g_string_append_printf(data, "%u%s ", step, found ? "!" : "");
}

/* Each step is begun before it is done, and the one that fails is begun only. */
static void test_progress(void)
{
    static const struct {
        const char *login, *told;
    } CASES[] = {
        {"S:$$ OK [CAPABILITY IMAP4rev1] in", "0 0! 1 1! 3 3 3! 4 4! "},
        {"S:$$ NO [AUTHENTICATIONFAILED] out", "0 0! 1 1! 3 3 3! 4 "},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        const char *const steps[] = {GREET, PLAIN_IR, CASES[i].login, NULL};
        g_autoptr(GString) told = g_string_new(NULL);
        struct client client;

        client_init(&client, steps, NULL);
        client.login.auth = "auto";
        client.login.secret = "sesame";
        client.server.progress = on_progress;
        client.server.progress_data = told;
        client_open(&client);
        g_assert_cmpstr(told->str, ==, CASES[i].told);
        g_clear_pointer(&client.session, imap_session_free);
        client_end(&client, client.error == NULL);
    }
}

static void test_unknown_host(void)
{
    struct imap_server server = {.host = "nowhere.invalid", .port = 993};
    struct imap_login login = {.user = "alice", .secret = "sesame", .auth = "auto"};
    g_autoptr(GError) error = NULL;

    g_assert_null(imap_session_open(&server, &login, NULL, &error));
    g_assert_error(error, IMAP_ERROR, IMAP_ERROR_RESOLVE);
    g_assert_nonnull(strstr(error->message, "nowhere.invalid"));
}

/* A port where nobody listens: one that was just given back. */
static void test_refused(void)
{
    static const char *const steps[] = {"X:", NULL};
    struct client client;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    client_init(&client, steps, NULL);
    uint16_t port = client.server.port;
    client.server.port = ntohs(address.sin_port); /* bound, but nobody listens */
    client_open(&client);
    g_assert_error(client.error, IMAP_ERROR, IMAP_ERROR_CONNECT);
    g_assert_nonnull(strstr(client.error->message, "refused"));
    g_clear_error(&client.error);
    close(fd);
    client.server.port = port; /* so that the script ends */
    client_open(&client);
    client_end(&client, true);
}

/* "localhost" is often ::1 first, where nobody listens. */
static void test_second_address(void)
{
    static const char *const steps[] = {GREET, PLAIN_IR, LOGGED_IN, NULL};
    struct client client;

    client_init(&client, steps, NULL);
    client.server.host = "localhost";
    client_open(&client);
    g_assert_no_error(client.error);
    client_end(&client, true);
}

static void test_silence(void)
{
    static const char *const steps[] = {"P:", NULL};

    for (int worked = 0; worked <= 1; worked++) { /* then the port is not to blame */
        struct client client;
        client_init(&client, steps, NULL);
        client.server.timeout_s = 1;
        client.server.worked = worked != 0;
        client_open(&client);
        g_assert_error(client.error, IMAP_ERROR, IMAP_ERROR_TIMEOUT);
        bool advised = strstr(client.error->message, "if that is a TLS port") != NULL;
        g_assert_cmpint(advised, ==, !worked);
        client_end(&client, true);
    }
}

static gpointer cancel_soon(gpointer cancel)
{
    g_usleep(50000);
    g_cancellable_cancel(cancel);
    return NULL;
}

/* The server is silent and the time-out is long: only the cancelling can end it. */
static void test_cancel(void)
{
    static const char *const steps[] = {GREET, PLAIN_IR, NULL};
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    struct client client;

    client_init(&client, steps, NULL);
    client.server.timeout_s = 3600;
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);
    g_assert_null(imap_session_open(&client.server, &client.login, cancel, &client.error));
    g_assert_error(client.error, IMAP_ERROR, IMAP_ERROR_CANCELLED);
    g_thread_join(thread);
    client_end(&client, true);
}

static void test_learned(void)
{
    static const char *const steps[] = {
        GREET,
        PLAIN_IR,
        "S:$$ OK [CAPABILITY IMAP4rev1 ID ENABLE UTF8=ACCEPT QRESYNC X-GM-EXT-1 QUOTA=RES-X] in",
        "C:ID *",
        "C:ENABLE UTF8=ACCEPT CONDSTORE QRESYNC",
        "S:* ID (\"name\" \"Toy\" \"version\" \"1\")",
        "S:* OK [ALERT] beware\r\n$2 OK",
        "S:$3 OK",
        NULL};
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    client_until(&client, "alert beware");
    unsigned has = imap_session_capabilities(client.session);
    g_assert_cmpuint(has, ==,
                     IMAP_CAP_ID | IMAP_CAP_ENABLE | IMAP_CAP_UTF8_ACCEPT | IMAP_CAP_QRESYNC |
                         IMAP_CAP_CONDSTORE | IMAP_CAP_GMAIL | IMAP_CAP_QUOTA);
    g_assert_false(imap_session_qresync(client.session)); /* no ENABLED, no QRESYNC */
    g_assert_cmpstr(imap_session_server_name(client.session), ==, "Toy");
    g_assert_nonnull(strstr(client.transcript->str, "AUTHENTICATE PLAIN <secret>\n"));
    g_assert_null(strstr(client.transcript->str, "AGFs"));
    client_end(&client, true);
}

static void test_socket(void)
{
    static const struct {
        int level, name, value;
    } OPTIONS[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},   {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60}, {IPPROTO_TCP, TCP_KEEPINTVL, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 4},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 20000},
    };
    static const char *const steps[] = {"S:* OK hi", NULL};
    struct script *script = script_start(steps, -1, NULL);
    struct imap_wait wait;
    GError *error = NULL;

    imap_wait_start(&wait, "127.0.0.1", 20, NULL);
    int fd = imap_dial("127.0.0.1", script_port(script), &wait, &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(OPTIONS); i++) {
        int value = -1;
        socklen_t length = sizeof(value);
        g_assert_cmpint(getsockopt(fd, OPTIONS[i].level, OPTIONS[i].name, &value, &length), ==, 0);
        g_assert_cmpint(value, ==, OPTIONS[i].value);
    }
    close(fd);
    g_assert_null(script_end(script));
}

/* Cut after every byte of a conversation: an error, never a crash or a hang. */
static void test_cut(void)
{
    static const char *const steps[] = {"S:* OK hi",
                                        "C:CAPABILITY",
                                        "S:* CAPABILITY IMAP4rev1 AUTH=PLAIN",
                                        "S:$$ OK",
                                        "C:AUTHENTICATE PLAIN",
                                        "S:+ ",
                                        "L:AGFsaWNlAHNlc2FtZQ==",
                                        LOGGED_IN,
                                        NULL};
    bool opened = false;

    for (int cut = 0; !opened; cut++) {
        struct client client;
        client_init_cut(&client, steps, cut);
        client_open(&client);
        opened = client.session != NULL;
        if (!opened)
            g_assert_error(client.error, IMAP_ERROR, IMAP_ERROR_LOST);
        client_end(&client, false);
        g_assert_cmpint(cut, <, 200);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/open/good", test_good);
    g_test_add_func("/imap/open/bad", test_bad);
    g_test_add_func("/imap/open/secret-hidden", test_secret_hidden);
    g_test_add_func("/imap/open/downgrade", test_downgrade);
    g_test_add_func("/imap/open/mechanism-names", test_mechanism_names);
    g_test_add_func("/imap/open/progress", test_progress);
    g_test_add_func("/imap/open/unknown-host", test_unknown_host);
    g_test_add_func("/imap/open/refused", test_refused);
    g_test_add_func("/imap/open/second-address", test_second_address);
    g_test_add_func("/imap/open/silence", test_silence);
    g_test_add_func("/imap/open/cancel", test_cancel);
    g_test_add_func("/imap/open/learned", test_learned);
    g_test_add_func("/imap/open/socket", test_socket);
    g_test_add_func("/imap/open/cut", test_cut);
    return g_test_run();
}
