/* Talking to proxies: what is said, what their answers mean, and that no byte too many is read. */
#include "imap/proxy.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- its URI --------------------------------------------------------------------------------- */

static void test_uri(void)
{
    static const struct {
        const char *uri, *host, *user, *password;
        enum imap_proxy_kind kind;
        uint16_t port;
    } GOOD[] = {
        {"socks5://proxy.example:1080", "proxy.example", NULL, NULL, IMAP_PROXY_SOCKS5, 1080},
        {"socks5h://127.0.0.1:9050/", "127.0.0.1", NULL, NULL, IMAP_PROXY_SOCKS5, 9050},
        {"socks://[::1]:1", "::1", NULL, NULL, IMAP_PROXY_SOCKS5, 1},
        {"http://u%40x:p%3Aw@proxy:8080", "proxy", "u@x", "p:w", IMAP_PROXY_HTTP, 8080},
        {"http://u@proxy:65535", "proxy", "u", NULL, IMAP_PROXY_HTTP, 65535},
    };
    static const char *const BAD[] = {
        "",
        "proxy:1080",
        "socks5://",
        "socks5://proxy",
        "socks5://u:sesame@:1080",
        "socks4://u:sesame@proxy:1080",
        "https://u:sesame@proxy:443",
        "http://u:sesame@proxy:0",
        "http://u:sesame@proxy:65536",
        "http://u:sesame@pro xy:80",
        "http://u:ses%zzame@proxy:80",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(GOOD); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(imap_proxy) proxy = imap_proxy_parse(GOOD[i].uri, &error);
        g_assert_no_error(error);
        g_assert_cmpint(proxy->kind, ==, GOOD[i].kind);
        g_assert_cmpstr(proxy->host, ==, GOOD[i].host);
        g_assert_cmpuint(proxy->port, ==, GOOD[i].port);
        g_assert_cmpstr(proxy->user, ==, GOOD[i].user);
        g_assert_cmpstr(proxy->password, ==, GOOD[i].password);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(BAD); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", BAD[i]);
        g_assert_null(imap_proxy_parse(BAD[i], &error));
        g_assert_error(error, IMAP_ERROR, IMAP_ERROR_CONNECT);
        g_assert_null(strstr(error->message, "sesame"));
    }
}

/* ---- conversations --------------------------------------------------------------------------- */

#define BYTES(text) text, sizeof(text) - 1
#define BEHIND "* OK hi"

/* What the proxy says lies ready, with the server's first words right behind. */
struct talk {
    const char *uri, *host;
    const char *answer;
    size_t answer_length;
    const char *said;
    size_t said_length;
    enum imap_error error; /* IMAP_OK: it goes well */
    const char *words;
};

#define GREET "\5\1\0"
#define ASK_NAME GREET "\5\1\0\3\14mail.example\0\217"
#define SOCKS "socks5://proxy:1080"
#define SOCKS_USER "socks5://al:sesame@proxy:1080"
#define ASK_USER "\5\2\0\2\1\2al\6sesame"
#define HTTP "http://proxy:8080"
#define HTTP_USER "http://al:sesame@proxy:8080"
#define CONNECT "CONNECT mail.example:143 HTTP/1.1\r\nHost: mail.example:143\r\n"

static const struct talk TALKS[] = {
    {SOCKS, "mail.example", BYTES("\5\0\5\0\0\1\1\2\3\4\0\1"), BYTES(ASK_NAME), IMAP_OK, NULL},
    {SOCKS, "mail.example", BYTES("\5\0\5\0\0\3\2ab\0\1"), BYTES(ASK_NAME), IMAP_OK, NULL},
    {SOCKS, "192.0.2.7", BYTES("\5\0\5\0\0\1\1\2\3\4\0\1"), BYTES(GREET "\5\1\0\1\300\0\2\7\0\217"),
     IMAP_OK, NULL},
    {SOCKS, "::1", BYTES("\5\0\5\0\0\4\1\2\3\4\5\6\7\10\1\2\3\4\5\6\7\10\0\1"),
     BYTES(GREET "\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\217"), IMAP_OK, NULL},
    {SOCKS_USER, "mail.example", BYTES("\5\2\1\0\5\0\0\1\1\2\3\4\0\1"),
     BYTES(ASK_USER "\5\1\0\3\14mail.example\0\217"), IMAP_OK, NULL},
    {SOCKS_USER, "mail.example", BYTES("\5\0\5\0\0\1\1\2\3\4\0\1"),
     BYTES("\5\2\0\2\5\1\0\3\14mail.example\0\217"), IMAP_OK, NULL},
    {SOCKS, "mail.example", BYTES("\5\377"), BYTES(GREET), IMAP_ERROR_CONNECT,
     "wants a user and password"},
    {SOCKS, "mail.example", BYTES("\5\2"), BYTES(GREET), IMAP_ERROR_CONNECT,
     "wants a user and password"},
    {SOCKS_USER, "mail.example", BYTES("\5\377"), BYTES("\5\2\0\2"), IMAP_ERROR_CONNECT,
     "takes no user and password"},
    {SOCKS_USER, "mail.example", BYTES("\5\2\1\1"), BYTES(ASK_USER), IMAP_ERROR_CONNECT,
     "refuses its user or password"},
    {SOCKS, "mail.example", BYTES("\5\0\5\2\0\1\0\0\0\0\0\0"), BYTES(ASK_NAME), IMAP_ERROR_CONNECT,
     "does not permit"},
    {SOCKS, "mail.example", BYTES("\5\0\5\4\0\1\0\0\0\0\0\0"), BYTES(ASK_NAME), IMAP_ERROR_RESOLVE,
     "not known"},
    {SOCKS, "mail.example", BYTES("\5\0\5\5\0\1\0\0\0\0\0\0"), BYTES(ASK_NAME), IMAP_ERROR_CONNECT,
     "connection refused"},
    {SOCKS, "mail.example", BYTES("\5\0\5\11\0\1"), BYTES(ASK_NAME), IMAP_ERROR_CONNECT,
     "none of SOCKS5"},
    {SOCKS, "mail.example", BYTES("\5\0\5\0\0\2\1\2\3\4\0\1"), BYTES(ASK_NAME), IMAP_ERROR_CONNECT,
     "does not speak SOCKS5"},
    {SOCKS, "mail.example", BYTES("HTTP/1.1 400 what"), BYTES(GREET), IMAP_ERROR_CONNECT,
     "does not speak SOCKS5"},
    {SOCKS, "fe80::1%eth0", BYTES("\5\0"), BYTES(GREET), IMAP_ERROR_CONNECT, "such an address"},
    {HTTP, "mail.example", BYTES("HTTP/1.1 200 fine\r\nServer: x\r\n\r\n"), BYTES(CONNECT "\r\n"),
     IMAP_OK, NULL},
    {HTTP, "mail.example", BYTES("HTTP/1.0 204\n\n"), BYTES(CONNECT "\r\n"), IMAP_OK, NULL},
    {HTTP, "::1", BYTES("HTTP/1.1 200 \r\n\r\n"),
     BYTES("CONNECT [::1]:143 HTTP/1.1\r\nHost: [::1]:143\r\n\r\n"), IMAP_OK, NULL},
    {HTTP_USER, "mail.example", BYTES("HTTP/1.1 200 fine\r\n\r\n"),
     BYTES(CONNECT "Proxy-Authorization: Basic YWw6c2VzYW1l\r\n\r\n"), IMAP_OK, NULL},
    {HTTP, "mail.example", BYTES("HTTP/1.1 407 Who\r\n\r\n"), BYTES(CONNECT "\r\n"),
     IMAP_ERROR_CONNECT, "wants a user and password"},
    {HTTP_USER, "mail.example", BYTES("HTTP/1.1 407 Who\r\n\r\n"),
     BYTES(CONNECT "Proxy-Authorization: Basic YWw6c2VzYW1l\r\n\r\n"), IMAP_ERROR_CONNECT,
     "refuses its user or password"},
    {HTTP, "mail.example", BYTES("HTTP/1.1 403 No\033mail here\r\nX: y\r\n\r\n"),
     BYTES(CONNECT "\r\n"), IMAP_ERROR_CONNECT, "refuses the connection: 403 No?mail here"},
    {HTTP, "mail.example", BYTES("HTTP/1.1\r\n\r\n"), BYTES(CONNECT "\r\n"), IMAP_ERROR_CONNECT,
     "does not speak HTTP"},
    {HTTP, "mail.example", BYTES("HTTP/1.1 99999999999999999999\r\n\r\n"), BYTES(CONNECT "\r\n"),
     IMAP_ERROR_CONNECT, "does not speak HTTP"},
    {HTTP, "mail.example", BYTES("220 mail ESMTP\r\n"), BYTES(CONNECT "\r\n"), IMAP_ERROR_CONNECT,
     "does not speak HTTP"},
    {HTTP, "mail.example\r\nX: y", BYTES(""), BYTES(""), IMAP_ERROR_CONNECT, "such an address"},
};

static void answer_put(int fd, const char *bytes, size_t length)
{
    g_assert_cmpint(write(fd, bytes, length), ==, (ssize_t)length);
}

static bool ask(const struct talk *talk, int fd, unsigned timeout_s, GError **error)
{
    g_autoptr(imap_proxy) proxy = imap_proxy_parse(talk->uri, NULL);
    struct imap_wait wait;

    imap_wait_start(&wait, "the proxy", timeout_s, NULL);
    return imap_proxy_ask(proxy, fd, talk->host, 143, &wait, error);
}

static void ends_new(int ends[2])
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static void test_talks(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(TALKS); i++) {
        const struct talk *talk = &TALKS[i];
        g_autoptr(GError) error = NULL;
        char said[4096] = "", behind[100] = "";
        int ends[2];

        ends_new(ends);
        answer_put(ends[1], talk->answer, talk->answer_length);
        answer_put(ends[1], BEHIND, strlen(BEHIND));
        bool good = ask(talk, ends[0], 20, &error);
        g_test_message("%zu: %s", i, error ? error->message : "good");
        g_assert_cmpint(good, ==, talk->error == IMAP_OK);
        if (good) {
            g_assert_cmpint(read(ends[0], behind, sizeof(behind)), ==, strlen(BEHIND));
            g_assert_cmpstr(behind, ==, BEHIND);
        } else {
            g_assert_error(error, IMAP_ERROR, (gint)talk->error);
            g_assert_nonnull(strstr(error->message, talk->words));
            g_assert_null(strstr(error->message, "sesame"));
            g_assert_null(strpbrk(error->message, "\r\n\033"));
        }
        shutdown(ends[0], SHUT_WR);
        ssize_t length = recv(ends[1], said, sizeof(said), 0);
        g_assert_cmpmem(said, length, talk->said, talk->said_length);
        close(ends[0]);
        close(ends[1]);
    }
}

/* Every answer cut short, by an end and by silence. */
static void test_cut(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(TALKS); i++) {
        for (size_t cut = 0; TALKS[i].error == IMAP_OK && cut < TALKS[i].answer_length; cut++) {
            g_autoptr(GError) error = NULL;
            int ends[2];
            ends_new(ends);
            answer_put(ends[1], TALKS[i].answer, cut);
            shutdown(ends[1], SHUT_WR);
            g_assert_false(ask(&TALKS[i], ends[0], 20, &error));
            g_assert_error(error, IMAP_ERROR, IMAP_ERROR_CONNECT);
            close(ends[0]);
            close(ends[1]);
        }
    }
}

static void test_silence(void)
{
    static const struct talk SILENT[] = {{SOCKS, "mail.example"}, {HTTP, "mail.example"}};

    for (size_t i = 0; i < G_N_ELEMENTS(SILENT); i++) {
        g_autoptr(GError) error = NULL;
        int ends[2];
        ends_new(ends);
        g_assert_false(ask(&SILENT[i], ends[0], 1, &error));
        g_assert_error(error, IMAP_ERROR, IMAP_ERROR_TIMEOUT);
        close(ends[0]);
        close(ends[1]);
    }
}

static void test_endless(void)
{
    g_autofree char *much = g_strnfill(40000, 'x');
    g_autoptr(GError) error = NULL;
    const struct talk talk = {HTTP, "mail.example"};
    int ends[2];

    ends_new(ends);
    memcpy(much, "HTTP/", 5);
    answer_put(ends[1], much, 40000);
    g_assert_false(ask(&talk, ends[0], 20, &error));
    g_assert_nonnull(strstr(error->message, "answers without end"));
    close(ends[0]);
    close(ends[1]);
}

/* ---- which proxy ----------------------------------------------------------------------------- */

/* Nothing is dialled here that exists: the message tells which way was taken. */
static void test_choice(void)
{
    static const struct {
        const char *proxy, *host, *all, *none, *words;
    } CASES[] = {
        {"auto", "mail.invalid", "socks5://127.0.0.1:1", NULL, "its proxy is out of reach"},
        {"auto", "mail.invalid", "socks5://127.0.0.1:1", "x.org, .invalid", "mail.invalid is not"},
        {"auto", "mail.invalid", "socks5://127.0.0.1:1", "*", "mail.invalid is not"},
        {"auto", "mail.invalid", "gopher://127.0.0.1:1", NULL, "gopher:// cannot be used"},
        {"auto", "127.0.0.1", "socks5://127.0.0.1:1", NULL, "to 127.0.0.1, port 2"},
        {"auto", "localhost", "socks5://127.0.0.1:1", NULL, "to localhost, port 2"},
        {"auto", "::1", "socks5://127.0.0.1:1", NULL, "to ::1, port 2"},
        {"none", "mail.invalid", "socks5://127.0.0.1:1", NULL, "mail.invalid is not"},
        {NULL, "mail.invalid", "socks5://127.0.0.1:1", NULL, "mail.invalid is not"},
        {"http://a:sesame@127.0.0.1:1", "localhost", NULL, NULL, "its proxy is out of reach"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        const struct imap_server server = {
            .host = CASES[i].host, .port = 2, .proxy = CASES[i].proxy, .timeout_s = 20};
        g_autoptr(GError) error = NULL;
        struct imap_wait wait;
        bool direct;

        g_unsetenv("all_proxy");
        g_unsetenv("no_proxy");
        if (CASES[i].all)
            g_setenv("all_proxy", CASES[i].all, TRUE);
        if (CASES[i].none)
            g_setenv("no_proxy", CASES[i].none, TRUE);
        imap_wait_start(&wait, server.host, 20, NULL);
        g_assert_cmpint(imap_proxy_dial(&server, &wait, &direct, &error), ==, -1);
        g_test_message("%zu: %s", i, error->message);
        bool looked = g_error_matches(error, IMAP_ERROR, IMAP_ERROR_RESOLVE); /* or cannot now */
        g_assert_true(strstr(error->message, CASES[i].words) ||
                      (looked && g_str_has_suffix(CASES[i].words, " is not")));
        g_assert_nonnull(strstr(error->message, CASES[i].host));
        g_assert_null(strstr(error->message, "sesame"));
    }
}

int main(int argc, char **argv)
{
    g_unsetenv("ALL_PROXY");
    g_unsetenv("NO_PROXY");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/proxy/uri", test_uri);
    g_test_add_func("/imap/proxy/talks", test_talks);
    g_test_add_func("/imap/proxy/cut", test_cut);
    g_test_add_func("/imap/proxy/silence", test_silence);
    g_test_add_func("/imap/proxy/endless", test_endless);
    g_test_add_func("/imap/proxy/choice", test_choice);
    return g_test_run();
}
