#include "imap/stream.h"

#include "imap/deflate.h"
#include "imap/layer.h"
#include "imap/proxy.h"
#include "imap/tls.h"
#include "imap/transcript.h"
#include "imap/tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACK_MAX = 32 * 1024 }; /* bytes compressed at once */

struct imap_stream {
    int fd;
    struct imap_tunnel *tunnel; /* NULL: a socket of the network */
    bool direct;                /* no proxy is between */
    struct imap_tls_layer *tls; /* NULL: in the clear */
    struct imap_transcriber *transcriber;
    uint64_t bytes_in, bytes_out, handed;
    const char *reason;
    /* TLS may need the other direction: what the last call that could not go on waits for */
    short read_wants, write_wants;
    /* to be written: bytes[start .. end) of size */
    char *bytes;
    size_t start, end, size;
    struct imap_layer *layer; /* NULL: none */
    /* compression; deflate is NULL: none */
    struct imap_deflate *deflate;
    GByteArray *packed; /* bytes[start .. start + packing), compressed; sent up to packed_at */
    size_t packing, packed_at;
};

static int tunnel_open(const struct imap_server *server, struct imap_tunnel **tunnel,
                       struct imap_wait *wait, GError **error)
{
    int fd;

    imap_wait_tell(wait, IMAP_STEP_CONNECT, NULL);
    *tunnel = imap_tunnel_start(server->tunnel, &fd, error);
    if (!*tunnel) {
        g_prefix_error(error, "%s: ", server->host);
        return -1;
    }
    imap_wait_tell(wait, IMAP_STEP_CONNECT, "through tunnel_command");
    return fd;
}

struct imap_stream *imap_stream_open(const struct imap_server *server, unsigned connection,
                                     struct imap_wait *wait, GError **error)
{
    struct imap_tunnel *tunnel = NULL;
    bool direct = false;
    int fd = server->tunnel ? tunnel_open(server, &tunnel, wait, error)
                            : imap_proxy_dial(server, wait, &direct, error);
    if (fd < 0)
        return NULL;

    struct imap_stream *stream = g_new0(struct imap_stream, 1);
    stream->fd = fd;
    stream->tunnel = tunnel;
    stream->direct = direct;
    stream->reason = "";
    stream->read_wants = POLLIN;
    stream->write_wants = POLLOUT;
    stream->transcriber =
        imap_transcriber_new(server->transcript, server->transcript_data, connection);
    return stream;
}

void imap_stream_free(struct imap_stream *stream)
{
    if (!stream)
        return;
    imap_tls_free(stream->tls);
    close(stream->fd);
    imap_tunnel_free(stream->tunnel);
    imap_transcriber_free(stream->transcriber);
    if (stream->bytes)
        explicit_bzero(stream->bytes, stream->size);
    g_free(stream->bytes);
    imap_layer_free(stream->layer);
    imap_deflate_free(stream->deflate);
    if (stream->packed)
        g_byte_array_unref(stream->packed);
    g_free(stream);
}

bool imap_stream_secure(struct imap_stream *stream, const struct imap_server *server,
                        struct imap_wait *wait, GError **error)
{
    imap_wait_tell(wait, IMAP_STEP_TLS, NULL);
    struct imap_tls_layer *tls = imap_tls_new(stream->fd, server, error);
    int done = tls ? 0 : -1;

    while (done == 0) {
        done = imap_tls_handshake(tls, error);
        if (done == 0 && !imap_wait_ready(wait, stream->fd, imap_tls_wants(tls), error))
            done = -1;
    }
    if (done < 0) {
        imap_tls_free(tls);
        return false;
    }
    imap_wait_progress(wait);
    g_autofree char *found = imap_tls_describe(tls);
    imap_wait_tell(wait, IMAP_STEP_TLS, found);
    stream->tls = tls;
    return true;
}

bool imap_stream_is_secure(const struct imap_stream *stream)
{
    return stream->tls != NULL;
}

bool imap_stream_is_near(const struct imap_stream *stream)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer;
    socklen_t length = sizeof(peer);

    if (stream->tunnel)
        return true;
    if (!stream->direct || getpeername(stream->fd, &peer.any, &length) < 0)
        return false;
    if (peer.any.sa_family == AF_INET)
        return ntohl(peer.in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return peer.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&peer.in6.sin6_addr);
}

GBytes *imap_stream_binding(const struct imap_stream *stream, bool other, const char **name)
{
    return stream->tls ? imap_tls_binding(stream->tls, other, name) : NULL;
}

void imap_stream_protect(struct imap_stream *stream, struct imap_auth *auth)
{
    stream->layer = imap_layer_new(auth);
}

bool imap_stream_compress(struct imap_stream *stream)
{
    stream->deflate = imap_deflate_new(0);
    stream->packed = g_byte_array_new();
    return stream->deflate != NULL;
}

bool imap_stream_is_compressed(const struct imap_stream *stream)
{
    return stream->deflate != NULL;
}

void imap_stream_hide(struct imap_stream *stream, const struct imap_hidden *hidden)
{
    imap_transcriber_hide(stream->transcriber, hidden);
}

void imap_stream_hush(struct imap_stream *stream, bool hush)
{
    imap_transcriber_hush(stream->transcriber, hush);
}

/* As imap_tls_read() and _write(), with or without TLS. */
static ssize_t plain_result(struct imap_stream *stream, ssize_t n)
{
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    stream->reason = stream->tunnel ? "tunnel_command ended it"
                     : n == 0       ? "the server closed the connection"
                                    : g_strerror(errno);
    return -1;
}

static ssize_t secure_result(struct imap_stream *stream, ssize_t n, short *wants)
{
    if (n == 0)
        *wants = imap_tls_wants(stream->tls);
    else if (n < 0)
        stream->reason = imap_tls_reason(stream->tls);
    return n;
}

static ssize_t raw_read(struct imap_stream *stream, void *buffer, size_t size)
{
    ssize_t n;

    if (stream->tls)
        n = secure_result(stream, imap_tls_read(stream->tls, buffer, size), &stream->read_wants);
    else
        n = plain_result(stream, recv(stream->fd, buffer, size, 0));
    if (n > 0)
        stream->bytes_in += (uint64_t)n;
    return n;
}

static ssize_t raw_write(struct imap_stream *stream, const void *bytes, size_t length)
{
    ssize_t n;

    if (stream->tls)
        n = secure_result(stream, imap_tls_write(stream->tls, bytes, length), &stream->write_wants);
    else
        n = plain_result(stream, send(stream->fd, bytes, length, MSG_NOSIGNAL));
    if (n > 0)
        stream->bytes_out += (uint64_t)n;
    return n;
}

/* Through the security layer, if there is one. */
static ssize_t wire_read(struct imap_stream *stream, void *buffer, size_t size)
{
    ssize_t n = stream->layer ? imap_layer_read(stream->layer, buffer, size) : 0;

    if (!stream->layer)
        return raw_read(stream, buffer, size);
    if (n == 0) {
        char raw[16 * 1024];
        ssize_t received = raw_read(stream, raw, sizeof(raw));
        if (received <= 0)
            return received;
        imap_layer_received(stream->layer, raw, (size_t)received);
        n = imap_layer_read(stream->layer, buffer, size);
    }
    if (n < 0)
        stream->reason = "the server broke the security layer";
    return n;
}

/* A packet counts when all of it is sent. */
static ssize_t wire_write(struct imap_stream *stream, const void *bytes, size_t length)
{
    const char *sealed;
    size_t left;

    if (!stream->layer)
        return raw_write(stream, bytes, length);
    if (!imap_layer_seal(stream->layer, bytes, length)) {
        stream->reason = "the security layer broke";
        return -1;
    }
    while ((left = imap_layer_sealed(stream->layer, &sealed)) > 0) {
        ssize_t n = raw_write(stream, sealed, left);
        if (n <= 0)
            return n;
        imap_layer_sent(stream->layer, (size_t)n);
    }
    return (ssize_t)imap_layer_unsealed(stream->layer);
}

/* Receives once at most, so that data that inflate to nothing hold nobody up. */
static ssize_t inflated_read(struct imap_stream *stream, void *buffer, size_t size)
{
    ssize_t n = imap_deflate_read(stream->deflate, buffer, size);

    if (n == 0) {
        size_t room;
        void *raw = imap_deflate_room(stream->deflate, &room);
        ssize_t received = wire_read(stream, raw, room);
        if (received <= 0)
            return received;
        imap_deflate_received(stream->deflate, (size_t)received);
        n = imap_deflate_read(stream->deflate, buffer, size);
    }
    if (n < 0)
        stream->reason = imap_deflate_reason(stream->deflate);
    return n;
}

ssize_t imap_stream_read(struct imap_stream *stream, void *buffer, size_t size)
{
    stream->read_wants = POLLIN;
    ssize_t n =
        stream->deflate ? inflated_read(stream, buffer, size) : wire_read(stream, buffer, size);
    if (n > 0)
        imap_transcriber_bytes(stream->transcriber, true, buffer, (size_t)n);
    return n;
}

/* Moves what is held to the front. */
static void buffer_compact(struct imap_stream *stream)
{
    size_t held = stream->end - stream->start;

    memmove(stream->bytes, stream->bytes + stream->start, held);
    explicit_bzero(stream->bytes + held, stream->end - held);
    stream->start = 0;
    stream->end = held;
}

/* Makes room for `length` more bytes, leaving no copy of what was there. It grows only if they and
 * what is held would fill half of it, so that a long upload goes through a buffer of one size and
 * every byte moves once or so. */
static void buffer_reserve(struct imap_stream *stream, size_t length)
{
    size_t held = stream->end - stream->start;

    if (stream->size - stream->end >= length)
        return;
    if (held + length <= stream->size / 2) {
        buffer_compact(stream);
        return;
    }
    size_t size = MAX(MAX(2 * stream->size, held + length), 4096);
    char *bytes = g_malloc(size);
    if (held > 0)
        memcpy(bytes, stream->bytes + stream->start, held);
    if (stream->bytes)
        explicit_bzero(stream->bytes, stream->size);
    g_free(stream->bytes);
    stream->bytes = bytes;
    stream->size = size;
    stream->start = 0;
    stream->end = held;
}

void imap_stream_put(struct imap_stream *stream, const void *bytes, size_t length,
                     const char *shown)
{
    if (length == 0)
        return;
    buffer_reserve(stream, length);
    memcpy(stream->bytes + stream->end, bytes, length);
    stream->end += length;
    if (shown)
        imap_transcriber_line(stream->transcriber, false, shown);
    else
        imap_transcriber_bytes(stream->transcriber, false, bytes, length);
}

/* The first `length` bytes that were held are handed over. */
static void buffer_took(struct imap_stream *stream, size_t length)
{
    explicit_bzero(stream->bytes + stream->start, length);
    stream->start += length;
    stream->handed += length;
}

/* As write(), of what is held, compressing the next of it when all before is sent. */
static ssize_t packed_write(struct imap_stream *stream)
{
    GByteArray *packed = stream->packed;

    if (stream->packed_at == packed->len) {
        stream->packing = MIN(stream->end - stream->start, PACK_MAX);
        stream->packed_at = 0;
        g_byte_array_set_size(packed, 0);
        imap_deflate_write(stream->deflate, stream->bytes + stream->start, stream->packing, packed);
    }
    ssize_t n =
        wire_write(stream, packed->data + stream->packed_at, packed->len - stream->packed_at);
    if (n > 0)
        stream->packed_at += (size_t)n;
    if (n > 0 && stream->packed_at == packed->len)
        buffer_took(stream, stream->packing);
    return n;
}

static ssize_t plain_write(struct imap_stream *stream)
{
    ssize_t n = wire_write(stream, stream->bytes + stream->start, stream->end - stream->start);

    if (n > 0)
        buffer_took(stream, (size_t)n);
    return n;
}

int imap_stream_flush(struct imap_stream *stream)
{
    stream->write_wants = POLLOUT;
    while (stream->start < stream->end) {
        ssize_t n = stream->deflate ? packed_write(stream) : plain_write(stream);
        if (n <= 0)
            return (int)n;
    }
    stream->start = stream->end = 0;
    return 1;
}

const char *imap_stream_reason(const struct imap_stream *stream)
{
    return stream->reason;
}

char *imap_stream_reason_wait(const struct imap_stream *stream)
{
    g_autofree char *end = stream->tunnel ? imap_tunnel_end(stream->tunnel, G_USEC_PER_SEC) : NULL;

    return end ? g_strdup_printf("tunnel_command %s", end) : g_strdup(stream->reason);
}

int imap_stream_fd(const struct imap_stream *stream)
{
    return stream->fd;
}

GIOCondition imap_stream_condition(const struct imap_stream *stream)
{
    short wants = stream->read_wants;

    if (stream->start < stream->end)
        wants |= stream->write_wants;
    return (wants & POLLIN ? G_IO_IN : 0) | (wants & POLLOUT ? G_IO_OUT : 0);
}

bool imap_stream_pending(const struct imap_stream *stream)
{
    if (stream->deflate && imap_deflate_pending(stream->deflate))
        return true;
    if (stream->layer && imap_layer_pending(stream->layer))
        return true;
    return stream->tls && imap_tls_pending(stream->tls);
}

bool imap_stream_wait(struct imap_stream *stream, const struct imap_wait *wait, GError **error)
{
    GIOCondition condition = imap_stream_condition(stream);
    short events = (condition & G_IO_IN ? POLLIN : 0) | (condition & G_IO_OUT ? POLLOUT : 0);

    return imap_stream_pending(stream) || imap_wait_ready(wait, stream->fd, events, error);
}

size_t imap_stream_queued(const struct imap_stream *stream)
{
    return stream->end - stream->start;
}

uint64_t imap_stream_handed(const struct imap_stream *stream)
{
    return stream->handed;
}

uint64_t imap_stream_bytes_out(const struct imap_stream *stream)
{
    return stream->bytes_out;
}

uint64_t imap_stream_bytes_in(const struct imap_stream *stream)
{
    return stream->bytes_in;
}
