#include "imap/https.h"

#include "imap/stream.h"

#include <string.h>

enum { HEAD_MAX = 16 * 1024, CHUNK_LINE_MAX = 256, PIECE = 4096, HTTPS_PORT = 443 };

/* One exchange. */
struct exchange {
    const struct imap_https *how;
    struct imap_server server;
    struct imap_wait *wait;
    struct imap_stream *stream;
    GString *heard; /* received, and not yet taken from the front */
    bool ended;     /* the server has closed the connection */
    GString *body;
    char *location; /* where to go on; NULL: nowhere */
};

static void exchange_clear(struct exchange *exchange)
{
    imap_stream_free(exchange->stream);
    if (exchange->heard)
        g_string_free(exchange->heard, TRUE);
    if (exchange->body)
        g_string_free(exchange->body, TRUE);
    g_free(exchange->location);
}
typedef struct exchange exchange;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(exchange, exchange_clear)

static bool exchange_fail(const struct exchange *exchange, enum imap_error code, const char *words,
                          GError **error)
{
    g_set_error(error, IMAP_ERROR, (gint)code, "%s %s", exchange->server.host, words);
    return false;
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

/* Receives a piece more. False with `error` set, or without it if there is no more. */
static bool exchange_hear(struct exchange *exchange, GError **error)
{
    char piece[PIECE];

    while (!exchange->ended) {
        int written = imap_stream_flush(exchange->stream);
        ssize_t n = imap_stream_read(exchange->stream, piece, sizeof(piece));
        if (n > 0) {
            g_string_append_len(exchange->heard, piece, n);
            return true;
        }
        exchange->ended = n < 0 || written < 0;
        if (!exchange->ended && !imap_stream_wait(exchange->stream, exchange->wait, error))
            return false;
    }
    return false;
}

/* Takes what comes up to `mark` off the front, at most `most` bytes before it; NULL with `error`.
 * The caller's, without the mark. */
static char *exchange_take(struct exchange *exchange, const char *mark, size_t most, GError **error)
{
    const char *end;

    while (!(end = g_strstr_len(exchange->heard->str, (gssize)exchange->heard->len, mark))) {
        if (exchange->heard->len > most + strlen(mark) - 1)
            break; /* else the mark itself may have come in part */
        if (exchange_hear(exchange, error))
            continue;
        if (!*error)
            exchange_fail(exchange, IMAP_ERROR_LOST, "closed the connection too early", error);
        return NULL;
    }
    size_t length = end ? (size_t)(end - exchange->heard->str) : 0;
    if (!end || length > most || memchr(exchange->heard->str, '\0', length)) {
        exchange_fail(exchange, IMAP_ERROR_PROTOCOL, "gives an answer that is no HTTP", error);
        return NULL;
    }
    char *taken = g_strndup(exchange->heard->str, length);
    g_string_erase(exchange->heard, 0, (gssize)(length + strlen(mark)));
    return taken;
}

/* Moves `length` bytes to the body. */
static bool exchange_move(struct exchange *exchange, size_t length, GError **error)
{
    if (length > exchange->how->most - exchange->body->len)
        return exchange_fail(exchange, IMAP_ERROR_TOOBIG, "sends a file that is too big", error);
    while (exchange->heard->len < length) {
        if (exchange_hear(exchange, error))
            continue;
        if (!*error)
            exchange_fail(exchange, IMAP_ERROR_LOST, "closed the connection too early", error);
        return false;
    }
    g_string_append_len(exchange->body, exchange->heard->str, (gssize)length);
    g_string_erase(exchange->heard, 0, (gssize)length);
    return true;
}

/* ---- the body ---------------------------------------------------------------------------------
 */

/* RFC 9112, 7.1. What trails the last chunk is of no interest. */
static bool body_chunked(struct exchange *exchange, GError **error)
{
    for (;;) {
        g_autofree char *line = exchange_take(exchange, "\r\n", CHUNK_LINE_MAX, error);
        if (!line)
            return false;
        line[strcspn(line, "; \t")] = '\0';
        guint64 size;
        if (!g_ascii_string_to_unsigned(line, 16, 0, G_MAXUINT32, &size, NULL))
            return exchange_fail(exchange, IMAP_ERROR_PROTOCOL, "sends chunks that are none",
                                 error);
        if (size == 0)
            return true;
        if (!exchange_move(exchange, size, error))
            return false;
        g_autofree char *end = exchange_take(exchange, "\r\n", 0, error);
        if (!end)
            return false;
    }
}

static bool body_to_end(struct exchange *exchange, GError **error)
{
    GError *failure = NULL;

    do
        if (!exchange_move(exchange, exchange->heard->len, error))
            return false;
    while (exchange_hear(exchange, &failure));
    if (failure)
        g_propagate_error(error, failure);
    return !failure;
}

static bool body_read(struct exchange *exchange, const char *length, bool chunked, GError **error)
{
    guint64 size;

    if (chunked)
        return body_chunked(exchange, error);
    if (!length)
        return body_to_end(exchange, error);
    if (!g_ascii_string_to_unsigned(length, 10, 0, G_MAXUINT32, &size, NULL))
        return exchange_fail(exchange, IMAP_ERROR_PROTOCOL, "tells no length", error);
    return exchange_move(exchange, size, error);
}

/* ---- the head ---------------------------------------------------------------------------------
 */

/* The value of a field (RFC 9110, 5), NULL: it is not there. Borrowed. */
static const char *field_find(GStrv lines, const char *name)
{
    size_t length = strlen(name);

    for (char **line = lines; *line; line++)
        if (g_ascii_strncasecmp(*line, name, length) == 0 && (*line)[length] == ':')
            return g_strstrip(*line + length + 1);
    return NULL;
}

/* The status code; 0: it is no answer of HTTP/1. */
static unsigned status_read(const char *line)
{
    bool good = (g_str_has_prefix(line, "HTTP/1.0 ") || g_str_has_prefix(line, "HTTP/1.1 ")) &&
                strlen(line) >= 12 && g_ascii_isdigit(line[9]) && g_ascii_isdigit(line[10]) &&
                g_ascii_isdigit(line[11]);
    return good ? (unsigned)g_ascii_strtoull(line + 9, NULL, 10) : 0;
}

static bool answer_read(struct exchange *exchange, GError **error)
{
    g_autofree char *head = exchange_take(exchange, "\r\n\r\n", HEAD_MAX, error);
    if (!head)
        return false;
    g_auto(GStrv) lines = g_strsplit(head, "\r\n", -1);
    unsigned status = lines[0] ? status_read(lines[0]) : 0;
    const char *location = field_find(lines, "Location");

    if (status == 0)
        return exchange_fail(exchange, IMAP_ERROR_PROTOCOL, "gives an answer that is no HTTP",
                             error);
    if (status / 100 == 3 && location) {
        exchange->location = g_strdup(location);
        return true;
    }
    if (status != 200) {
        bool passes = status / 100 == 5;
        g_autofree char *words =
            g_strdup_printf("%s (HTTP status %u)",
                            passes ? "cannot give the file now" : "has no such file", status);
        return exchange_fail(exchange, passes ? IMAP_ERROR_UNAVAILABLE : IMAP_ERROR_NONEXISTENT,
                             words, error);
    }
    const char *coding = field_find(lines, "Transfer-Encoding");
    return body_read(exchange, field_find(lines, "Content-Length"),
                     coding && g_ascii_strcasecmp(coding, "chunked") == 0, error);
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static void request_write(struct exchange *exchange, GUri *uri)
{
    const char *path = g_uri_get_path(uri), *query = g_uri_get_query(uri);
    g_autoptr(GString) text = g_string_new("GET ");

    g_string_append_printf(text, "%s%s%s HTTP/1.1\r\nHost: %s", *path ? path : "/",
                           query ? "?" : "", query ? query : "", exchange->server.host);
    if (exchange->server.port != HTTPS_PORT)
        g_string_append_printf(text, ":%u", exchange->server.port);
    g_string_append(text, "\r\nUser-Agent: mailmount/" MAILMOUNT_VERSION
                          "\r\nAccept: text/xml, application/xml\r\nConnection: close\r\n\r\n");
    imap_stream_put(exchange->stream, text->str, text->len, NULL);
}

static bool exchange_run(struct exchange *exchange, GUri *uri, GError **error)
{
    int port = g_uri_get_port(uri);

    exchange->server = (struct imap_server){.host = g_uri_get_host(uri),
                                            .port = (uint16_t)(port > 0 ? port : HTTPS_PORT),
                                            .ca_file = exchange->how->ca_file,
                                            .proxy = exchange->how->proxy,
                                            .scheme = "https"};
    exchange->wait->host = exchange->server.host;
    exchange->heard = g_string_new(NULL);
    exchange->body = g_string_new(NULL);
    exchange->stream = imap_stream_open(&exchange->server, 0, exchange->wait, error);
    if (!exchange->stream ||
        !imap_stream_secure(exchange->stream, &exchange->server, exchange->wait, error))
        return false;
    request_write(exchange, uri);
    return answer_read(exchange, error);
}

/* Only with encryption, and to a host. Escapes stay as they are: nothing in it can end the line. */
static GUri *uri_read(GUri *base, const char *text, GError **error)
{
    g_autoptr(GUri) uri = base ? g_uri_parse_relative(base, text, G_URI_FLAGS_ENCODED, NULL)
                               : g_uri_parse(text, G_URI_FLAGS_ENCODED, NULL);
    const char *host = uri ? g_uri_get_host(uri) : NULL;
    bool good = host && *host && !strpbrk(host, "% \r\n") && !g_uri_get_userinfo(uri) &&
                g_strcmp0(g_uri_get_scheme(uri), "https") == 0;

    for (const char *at = text; *at; at++)
        good = good && g_ascii_isgraph(*at);
    if (good)
        return g_steal_pointer(&uri);
    g_set_error(error, IMAP_ERROR, IMAP_ERROR_PROTOCOL,
                "%s leads to something that is not https://", base ? g_uri_get_host(base) : "this");
    return NULL;
}

GBytes *imap_https_get(const char *url, const struct imap_https *how, GCancellable *cancel,
                       GError **error)
{
    g_autoptr(GUri) uri = uri_read(NULL, url, error);
    struct imap_wait wait;

    imap_wait_start(&wait, url, how->seconds, cancel);
    wait.last_us = wait.until_us; /* for all of it */
    for (unsigned i = 0; uri; i++) {
        g_auto(exchange) exchange = {.how = how, .wait = &wait};
        if (!exchange_run(&exchange, uri, error))
            return NULL;
        if (!exchange.location)
            return g_string_free_to_bytes(g_steal_pointer(&exchange.body));
        if (i == how->redirects) {
            exchange_fail(&exchange, IMAP_ERROR_PROTOCOL, "leads on and on", error);
            return NULL;
        }
        GUri *next = uri_read(uri, exchange.location, error);
        g_uri_unref(uri);
        uri = next;
    }
    return NULL;
}
