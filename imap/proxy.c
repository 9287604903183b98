#include "imap/proxy.h"

#include "imap/auth.h"
#include "imap/transcript.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
    FIELD_MAX = 255,      /* bytes of a name in SOCKS5 */
    HEAD_MAX = 16 * 1024, /* of an answer to CONNECT */
    WORDS_MAX = 100,
    SOCKS_VERSION = 5,
    SOCKS_NO_SIGN_IN = 0,
    SOCKS_PASSWORD = 2,
};

/* ---- its URI ----------------------------------------------------------------------------------
 */

static const struct {
    const char *scheme;
    enum imap_proxy_kind kind;
} SCHEMES[] = {
    {"socks5", IMAP_PROXY_SOCKS5},
    {"socks5h", IMAP_PROXY_SOCKS5},
    {"socks", IMAP_PROXY_SOCKS5},
    {"http", IMAP_PROXY_HTTP},
};

static bool scheme_find(const char *scheme, enum imap_proxy_kind *kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(SCHEMES); i++)
        if (strcmp(scheme, SCHEMES[i].scheme) == 0) {
            *kind = SCHEMES[i].kind;
            return true;
        }
    return false;
}

static bool host_is_good(const char *host)
{
    for (const char *at = host; at && *at; at++)
        if (*at <= ' ' && *at > '\0')
            return false;
    return host && *host;
}

static char *secret_dup(const char *text)
{
    return text && *text ? g_strdup(text) : NULL;
}

struct imap_proxy *imap_proxy_parse(const char *uri, GError **error)
{
    g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_HAS_PASSWORD, NULL);
    enum imap_proxy_kind kind;

    if (!parsed || !host_is_good(g_uri_get_host(parsed)) || g_uri_get_port(parsed) <= 0) {
        g_set_error_literal(error, IMAP_ERROR, IMAP_ERROR_CONNECT,
                            "the proxy's address is not SCHEME://HOST:PORT");
        return NULL;
    }
    if (!scheme_find(g_uri_get_scheme(parsed), &kind)) {
        g_autofree char *scheme =
            imap_text_safe(g_uri_get_scheme(parsed), strlen(g_uri_get_scheme(parsed)), 20);
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CONNECT,
                    "a proxy of the kind %s:// cannot be used, only socks5:// and http://", scheme);
        return NULL;
    }
    struct imap_proxy *proxy = g_new0(struct imap_proxy, 1);
    proxy->kind = kind;
    proxy->host = g_strdup(g_uri_get_host(parsed));
    proxy->port = (uint16_t)g_uri_get_port(parsed);
    proxy->user = secret_dup(g_uri_get_user(parsed));
    proxy->password = secret_dup(g_uri_get_password(parsed));
    return proxy;
}

void imap_proxy_free(struct imap_proxy *proxy)
{
    if (!proxy)
        return;
    g_free(proxy->host);
    imap_wipe(proxy->user);
    imap_wipe(proxy->password);
    g_free(proxy);
}

/* ---- talking ----------------------------------------------------------------------------------
 */

/* One conversation with a proxy. */
struct talk {
    const struct imap_proxy *proxy;
    int fd;
    const struct imap_wait *wait;
    GError **error;
};

static bool talk_fail(const struct talk *t, enum imap_error code, const char *words)
{
    g_set_error(t->error, IMAP_ERROR, (gint)code, "the proxy %s, port %u, %s", t->proxy->host,
                t->proxy->port, words);
    return false;
}

static bool say(const struct talk *t, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t n = send(t->fd, at, length, MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            length -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return talk_fail(t, IMAP_ERROR_CONNECT, g_strerror(errno));
        } else if (!imap_wait_ready(t->wait, t->fd, POLLOUT, t->error)) {
            return false;
        }
    }
    return true;
}

/* Reads exactly so many bytes. */
static bool hear(const struct talk *t, void *bytes, size_t length)
{
    char *at = bytes;

    while (length > 0) {
        ssize_t n = recv(t->fd, at, length, 0);
        if (n > 0) {
            at += n;
            length -= (size_t)n;
        } else if (n == 0) {
            return talk_fail(t, IMAP_ERROR_CONNECT, "closed the connection");
        } else if (errno != EAGAIN && errno != EINTR) {
            return talk_fail(t, IMAP_ERROR_CONNECT, g_strerror(errno));
        } else if (!imap_wait_ready(t->wait, t->fd, POLLIN, t->error)) {
            return false;
        }
    }
    return true;
}

/* ---- SOCKS5 -----------------------------------------------------------------------------------
 */

static bool not_socks(const struct talk *t)
{
    return talk_fail(t, IMAP_ERROR_CONNECT, "does not speak SOCKS5");
}

/* Appends a length and a name. */
static bool field_add(GString *out, const char *text)
{
    size_t length = text ? strlen(text) : 0;

    g_string_append_c(out, (char)length);
    g_string_append_len(out, text ? text : "", (gssize)length);
    return length <= FIELD_MAX;
}

/* RFC 1929. */
static bool socks_sign_in(const struct talk *t)
{
    unsigned char answer[2];
    GString *request = g_string_sized_new(3 + 2 * FIELD_MAX);

    g_string_append_c(request, 1);
    bool fits = field_add(request, t->proxy->user) && field_add(request, t->proxy->password);
    bool said = fits && say(t, request->str, request->len);
    imap_wipe_string(request);
    if (!fits)
        return talk_fail(t, IMAP_ERROR_CONNECT, "takes no name or password above 255 bytes");
    if (!said || !hear(t, answer, sizeof(answer)))
        return false;
    if (answer[0] != 1)
        return not_socks(t);
    return answer[1] == 0 || talk_fail(t, IMAP_ERROR_CONNECT, "refuses its user or password");
}

static bool socks_greet(const struct talk *t)
{
    static const char ALONE[] = {SOCKS_VERSION, 1, SOCKS_NO_SIGN_IN};
    static const char BOTH[] = {SOCKS_VERSION, 2, SOCKS_NO_SIGN_IN, SOCKS_PASSWORD};
    bool signs_in = t->proxy->user != NULL;
    unsigned char answer[2];

    if (!say(t, signs_in ? BOTH : ALONE, signs_in ? sizeof(BOTH) : sizeof(ALONE)) ||
        !hear(t, answer, sizeof(answer)))
        return false;
    if (answer[0] != SOCKS_VERSION)
        return not_socks(t);
    if (answer[1] == SOCKS_NO_SIGN_IN)
        return true;
    if (answer[1] == SOCKS_PASSWORD && signs_in)
        return socks_sign_in(t);
    return talk_fail(t, IMAP_ERROR_CONNECT,
                     signs_in ? "takes no user and password" : "wants a user and password");
}

/* An address as one, a name for the proxy to look up. */
static bool target_add(const struct talk *t, GString *out, const char *host, uint16_t port)
{
    unsigned char address[sizeof(struct in6_addr)];
    unsigned char ends[] = {(unsigned char)(port >> 8), (unsigned char)(port & 0xff)};

    if (inet_pton(AF_INET, host, address) == 1) {
        g_string_append_c(out, 1);
        g_string_append_len(out, (char *)address, sizeof(struct in_addr));
    } else if (inet_pton(AF_INET6, host, address) == 1) {
        g_string_append_c(out, 4);
        g_string_append_len(out, (char *)address, sizeof(struct in6_addr));
    } else {
        g_string_append_c(out, 3);
        if (strchr(host, ':') || !field_add(out, host))
            return talk_fail(t, IMAP_ERROR_CONNECT, "cannot be asked for such an address");
    }
    g_string_append_len(out, (char *)ends, sizeof(ends));
    return true;
}

static const struct {
    enum imap_error error;
    const char *words;
} SOCKS_REFUSALS[] = {
    [1] = {IMAP_ERROR_CONNECT, "fails to connect"},
    [2] = {IMAP_ERROR_CONNECT, "does not permit the connection"},
    [3] = {IMAP_ERROR_CONNECT, "says: network unreachable"},
    [4] = {IMAP_ERROR_RESOLVE, "says: host unreachable or not known"},
    [5] = {IMAP_ERROR_CONNECT, "says: connection refused"},
    [6] = {IMAP_ERROR_CONNECT, "says: no answer in time"},
    [7] = {IMAP_ERROR_CONNECT, "cannot do CONNECT"},
    [8] = {IMAP_ERROR_CONNECT, "does not know this kind of address"},
};

/* Passes over the address at the end of the answer. */
static bool socks_bound(const struct talk *t, unsigned char kind)
{
    unsigned char bound[FIELD_MAX + 2], length;

    if (kind != 1 && kind != 3 && kind != 4)
        return not_socks(t);
    if (kind == 3 && !hear(t, &length, 1))
        return false;
    return hear(t, bound, (kind == 1 ? 4U : kind == 4 ? 16U : length) + 2U);
}

static bool socks_ask(const struct talk *t, const char *host, uint16_t port)
{
    g_autoptr(GString) request = g_string_new(NULL);
    unsigned char answer[4];

    g_string_append_len(request, "\5\1\0", 3);
    if (!socks_greet(t) || !target_add(t, request, host, port) ||
        !say(t, request->str, request->len) || !hear(t, answer, sizeof(answer)))
        return false;
    if (answer[0] != SOCKS_VERSION)
        return not_socks(t);
    if (answer[1] == 0)
        return socks_bound(t, answer[3]);
    if (answer[1] < G_N_ELEMENTS(SOCKS_REFUSALS))
        return talk_fail(t, SOCKS_REFUSALS[answer[1]].error, SOCKS_REFUSALS[answer[1]].words);
    return talk_fail(t, IMAP_ERROR_CONNECT, "refuses for a reason that is none of SOCKS5");
}

/* ---- CONNECT ----------------------------------------------------------------------------------
 */

static void authorization_add(GString *out, const struct imap_proxy *proxy)
{
    if (!proxy->user)
        return;
    GString *pair = g_string_sized_new(strlen(proxy->user) +
                                       (proxy->password ? strlen(proxy->password) : 0) + 2);
    g_string_append_printf(pair, "%s:%s", proxy->user, proxy->password ? proxy->password : "");
    char *coded = g_base64_encode((const guchar *)pair->str, pair->len);
    g_string_append_printf(out, "Proxy-Authorization: Basic %s\r\n", coded);
    imap_wipe(coded);
    imap_wipe_string(pair);
}

static bool http_request(const struct talk *t, const char *host, uint16_t port)
{
    bool address = strchr(host, ':') != NULL;
    g_autofree char *target = g_strdup_printf(address ? "[%s]:%u" : "%s:%u", host, (unsigned)port);

    for (const char *at = host; *at; at++)
        if (*at <= ' ' || *at == 0x7f)
            return talk_fail(t, IMAP_ERROR_CONNECT, "cannot be asked for such an address");
    GString *request = g_string_sized_new(4096); /* so that the secret leaves no copies */
    g_string_append_printf(request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target);
    authorization_add(request, t->proxy);
    g_string_append(request, "\r\n");
    bool said = say(t, request->str, request->len);
    imap_wipe_string(request);
    return said;
}

/* The head of its answer, byte by byte, since the server's own words may come right behind. */
static bool http_head(const struct talk *t, GString *head)
{
    char byte;

    while (head->len < HEAD_MAX) {
        if (!hear(t, &byte, 1))
            return false;
        g_string_append_c(head, byte);
        if (head->len == 5 && g_ascii_strncasecmp(head->str, "HTTP/", 5) != 0)
            return talk_fail(t, IMAP_ERROR_CONNECT, "does not speak HTTP");
        if (byte == '\n' &&
            (g_str_has_suffix(head->str, "\r\n\r\n") || g_str_has_suffix(head->str, "\n\n")))
            return true;
    }
    return talk_fail(t, IMAP_ERROR_CONNECT, "answers without end");
}

static bool http_judge(const struct talk *t, const char *head)
{
    const char *space = strpbrk(head, " \n");
    guint64 status = space && *space == ' ' ? g_ascii_strtoull(space + 1, NULL, 10) : 0;

    if (status >= 200 && status < 300)
        return true;
    if (status < 100 || status > 999)
        return talk_fail(t, IMAP_ERROR_CONNECT, "does not speak HTTP");
    if (status == 407)
        return talk_fail(t, IMAP_ERROR_CONNECT,
                         t->proxy->user ? "refuses its user or password"
                                        : "wants a user and password");
    g_autofree char *line = imap_text_line(space + 1, strlen(space + 1), WORDS_MAX);
    g_autofree char *words = g_strdup_printf("refuses the connection: %s", g_strchomp(line));
    return talk_fail(t, IMAP_ERROR_CONNECT, words);
}

static bool http_ask(const struct talk *t, const char *host, uint16_t port)
{
    g_autoptr(GString) head = g_string_new(NULL);

    return http_request(t, host, port) && http_head(t, head) && http_judge(t, head->str);
}

bool imap_proxy_ask(const struct imap_proxy *proxy, int fd, const char *host, uint16_t port,
                    const struct imap_wait *wait, GError **error)
{
    static bool (*const ASK[])(const struct talk *, const char *, uint16_t) = {
        [IMAP_PROXY_SOCKS5] = socks_ask, [IMAP_PROXY_HTTP] = http_ask};
    const struct talk talk = {proxy, fd, wait, error};

    return ASK[proxy->kind](&talk, host, port);
}
