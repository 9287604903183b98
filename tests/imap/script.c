#include "script.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

enum { TAGS_MAX = 64 };

struct script {
    const char *const *steps;
    SSL_CTX *context;
    int64_t cut;
    gint sent; /* atomic */
    int listener, fd;
    uint16_t port;
    SSL *ssl;
    bool compressed;
    z_stream in, out;
    unsigned char raw[4096];
    char *tags[TAGS_MAX];
    unsigned tag_count;
    char *failure;
    GThread *thread;
};

static ssize_t wire_read(struct script *script, void *buffer, size_t size)
{
    return script->ssl ? SSL_read(script->ssl, buffer, (int)size)
                       : recv(script->fd, buffer, size, 0);
}

static ssize_t peer_read(struct script *script, char *buffer, size_t size)
{
    if (!script->compressed)
        return wire_read(script, buffer, size);
    for (;;) {
        script->in.next_out = (unsigned char *)buffer;
        script->in.avail_out = (uInt)size;
        int rc = inflate(&script->in, Z_SYNC_FLUSH);
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return -1;
        if (script->in.avail_out < size)
            return (ssize_t)(size - script->in.avail_out);
        ssize_t n = wire_read(script, script->raw, sizeof(script->raw));
        if (n <= 0)
            return n;
        script->in.next_in = script->raw;
        script->in.avail_in = (uInt)n;
    }
}

static void pack(struct script *script, GString *text)
{
    g_autoptr(GString) plain = g_string_new_len(text->str, (gssize)text->len);

    g_string_set_size(text, deflateBound(&script->out, plain->len) + 100);
    script->out.next_in = (unsigned char *)plain->str;
    script->out.avail_in = (uInt)plain->len;
    script->out.next_out = (unsigned char *)text->str;
    script->out.avail_out = (uInt)text->len;
    deflate(&script->out, Z_SYNC_FLUSH);
    g_assert_cmpuint(script->out.avail_out, >, 0);
    g_string_truncate(text, text->len - script->out.avail_out);
}

static bool begin_compression(struct script *script)
{
    script->compressed = true;
    return inflateInit2(&script->in, -MAX_WBITS) == Z_OK &&
           deflateInit2(&script->out, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool peer_write(struct script *script, const char *bytes, size_t length)
{
    g_atomic_int_add(&script->sent, (int)length); /* before the other side can have it */
    while (length > 0) {
        ssize_t n = script->ssl ? SSL_write(script->ssl, bytes, (int)length)
                                : send(script->fd, bytes, length, MSG_NOSIGNAL);
        if (n <= 0) {
            g_atomic_int_add(&script->sent, -(int)length);
            return false;
        }
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

static bool say(struct script *script, const char *text, bool line, bool raw)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (*p == '$' && p[1] == '$') {
            g_string_append(out, script->tags[script->tag_count - 1]);
            p++;
        } else if (*p == '$' && g_ascii_isdigit(p[1])) {
            g_string_append(out, script->tags[g_ascii_digit_value(p[1]) - 1]);
            p++;
        } else {
            g_string_append_c(out, *p);
        }
    }
    if (line)
        g_string_append(out, "\r\n");
    if (script->compressed && !raw)
        pack(script, out);
    if (script->cut >= 0 && g_atomic_int_get(&script->sent) + (int64_t)out->len >= script->cut) {
        g_string_truncate(out, (gsize)(script->cut - g_atomic_int_get(&script->sent)));
        peer_write(script, out->str, out->len);
        return false;
    }
    return peer_write(script, out->str, out->len);
}

static bool matches(const char *heard, const char *wanted)
{
    size_t length = strlen(wanted);

    if (length > 0 && wanted[length - 1] == '*')
        return strncmp(heard, wanted, length - 1) == 0;
    return strcmp(heard, wanted) == 0;
}

/* A line without its CRLF; NULL: the client is gone. */
static char *hear(struct script *script)
{
    GString *line = g_string_new(NULL);
    char c;

    while (peer_read(script, &c, 1) == 1) {
        g_string_append_c(line, c);
        if (!g_str_has_suffix(line->str, "\r\n"))
            continue;
        g_string_truncate(line, line->len - 2);
        return g_string_free(line, FALSE);
    }
    g_string_free(line, TRUE);
    return NULL;
}

static bool expect(struct script *script, const char *wanted, bool tagged)
{
    g_autofree char *line = hear(script);
    const char *heard = line;
    char *space = line && tagged ? strchr(line, ' ') : NULL;

    if (line && tagged && space) {
        if (script->tag_count == TAGS_MAX)
            g_free(script->tags[--script->tag_count]);
        script->tags[script->tag_count++] = g_strndup(line, (gsize)(space - line));
        heard = space + 1;
    }
    if (line && matches(heard, wanted))
        return true;
    script->failure =
        g_strdup_printf("heard \"%s\" instead of \"%s\"", line ? heard : "(end)", wanted);
    return false;
}

char script_octet(uint64_t offset)
{
    uint64_t column = offset % 80;
    return column == 78 ? '\r' : column == 79 ? '\n' : (char)('!' + (offset / 80 + column) % 90);
}

static bool expect_octets(struct script *script, const char *count)
{
    uint64_t wanted = g_ascii_strtoull(count, NULL, 10), heard = 0;
    char buffer[4096];

    while (heard < wanted) {
        ssize_t n = peer_read(script, buffer, (size_t)MIN(sizeof(buffer), wanted - heard));
        for (ssize_t i = 0; i < n; i++, heard++) {
            if (buffer[i] == script_octet(heard))
                continue;
            script->failure = g_strdup_printf("octet %" G_GUINT64_FORMAT " is wrong", heard);
            return false;
        }
        if (n <= 0)
            script->failure = g_strdup_printf("%" G_GUINT64_FORMAT " octets, then the end", heard);
        if (n <= 0)
            return false;
    }
    return true;
}

static bool begin_tls(struct script *script)
{
    script->ssl = SSL_new(script->context);
    SSL_set_fd(script->ssl, script->fd);
    return SSL_accept(script->ssl) == 1;
}

static void hang_up(struct script *script)
{
    if (script->ssl)
        SSL_free(script->ssl);
    script->ssl = NULL;
    if (script->compressed)
        inflateEnd(&script->in);
    if (script->compressed)
        deflateEnd(&script->out);
    script->compressed = false;
    if (script->fd >= 0)
        close(script->fd);
    script->fd = -1;
}

static bool step(struct script *script, const char *text)
{
    if (script->fd < 0)
        script->fd = accept(script->listener, NULL, NULL);
    switch (text[0]) {
    case 'S':
        return say(script, text + 2, true, false);
    case 'P':
        return say(script, text + 2, false, false);
    case 'R':
        return say(script, text + 2, false, true);
    case 'Z':
        return begin_compression(script);
    case 'C':
        return expect(script, text + 2, true);
    case 'L':
        return expect(script, text + 2, false);
    case 'N':
        return expect_octets(script, text + 2);
    case 'T':
        return begin_tls(script);
    case 'X':
        hang_up(script);
        return true;
    default:
        abort();
    }
}

static gpointer run(gpointer data)
{
    struct script *script = data;
    const char *const *p = script->steps;
    char byte;

    while (*p && step(script, *p))
        p++;
    bool whole = *p == NULL;
    while (whole && script->fd >= 0 && peer_read(script, &byte, 1) == 1)
        ;
    hang_up(script);
    close(script->listener);
    return NULL;
}

struct script *script_start(const char *const *steps, int64_t cut, SSL_CTX *tls)
{
    struct script *script = g_new0(struct script, 1);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    script->steps = steps;
    script->cut = cut;
    script->context = tls;
    script->fd = -1;
    script->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(script->listener, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(listen(script->listener, 5), ==, 0);
    g_assert_cmpint(getsockname(script->listener, (struct sockaddr *)&address, &length), ==, 0);
    script->port = ntohs(address.sin_port);
    script->thread = g_thread_new("script", run, script);
    return script;
}

uint16_t script_port(const struct script *script)
{
    return script->port;
}

int64_t script_sent(const struct script *script)
{
    return g_atomic_int_get(&script->sent);
}

char *script_end(struct script *script)
{
    g_thread_join(script->thread);
    char *failure = script->failure;
    for (unsigned i = 0; i < script->tag_count; i++)
        g_free(script->tags[i]);
    g_free(script);
    return failure;
}
