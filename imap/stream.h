/* A connection's bytes: TCP, TLS on it or a SASL security layer, deflate in that, a buffer of what
 * is yet to be written, the transcript.
 * Never blocks, except in the three functions that take a struct imap_wait. Private to imap/. */
#pragma once

#include "imap/auth.h"
#include "imap/dial.h"
#include "imap/hidden.h"
#include "imap/imap.h"

#include <sys/types.h>

struct imap_stream;

/* Resolves and connects, or starts the tunnel; TLS comes with imap_stream_secure(). `server` must
 * live until then. `connection` is the number for the transcript. Returns NULL with `error` set. */
struct imap_stream *imap_stream_open(const struct imap_server *server, unsigned connection,
                                     struct imap_wait *wait, GError **error);
void imap_stream_free(struct imap_stream *stream);

/* Makes TLS on the stream, whose write buffer is empty. False with `error` set. */
bool imap_stream_secure(struct imap_stream *stream, const struct imap_server *server,
                        struct imap_wait *wait, GError **error);
bool imap_stream_is_secure(const struct imap_stream *stream);
/* Whether the other end is this machine itself, or a tunnel: nobody can be between. */
bool imap_stream_is_near(const struct imap_stream *stream);
/* What a SASL mechanism can bind to (RFC 5929, RFC 9266), and its registered name: in the usual way
 * of this version of TLS, or in the other one. NULL: nothing, as without TLS. The caller's. */
GBytes *imap_stream_binding(const struct imap_stream *stream, bool other, const char **name);
/* Everything from here on goes through the security layer of `auth`, which is referenced; nothing
 * must be queued or compressed yet. */
void imap_stream_protect(struct imap_stream *stream, struct imap_auth *auth);
/* Everything from here on is compressed, both ways; nothing must be queued, and nothing read of
 * what the server compressed. False: no memory. */
bool imap_stream_compress(struct imap_stream *stream);
bool imap_stream_is_compressed(const struct imap_stream *stream);
/* What the transcript is not to show where the server repeats it. Borrowed; NULL ends it. */
void imap_stream_hide(struct imap_stream *stream, const struct imap_hidden *hidden);

/* Whether what the server asks while signing in is left out of the transcript. */
void imap_stream_hush(struct imap_stream *stream, bool hush);

/* Reads up to `size` bytes: their number; 0: none now; -1: the connection is over, see
 * imap_stream_reason(). */
ssize_t imap_stream_read(struct imap_stream *stream, void *buffer, size_t size);
/* Queues bytes to be written (copied; what was sent, or moved within the buffer, is wiped). `shown`
 * is the line that the transcript shows instead of them; NULL: themselves. */
void imap_stream_put(struct imap_stream *stream, const void *bytes, size_t length,
                     const char *shown);
/* Writes what the socket takes. 1: all is gone; 0: some waits; -1: the connection is over. */
int imap_stream_flush(struct imap_stream *stream);
/* Why reading or writing returned -1, in words. */
const char *imap_stream_reason(const struct imap_stream *stream);
/* The same, longer if it is a tunnel that ended; may wait a second to know. The caller's. */
char *imap_stream_reason_wait(const struct imap_stream *stream);

/* The socket and what to poll it for (G_IO_IN, G_IO_OUT). */
int imap_stream_fd(const struct imap_stream *stream);
GIOCondition imap_stream_condition(const struct imap_stream *stream);
/* Whether bytes can be read that poll() does not show. */
bool imap_stream_pending(const struct imap_stream *stream);
/* Waits until there is something to do as in imap_stream_condition(). */
bool imap_stream_wait(struct imap_stream *stream, const struct imap_wait *wait, GError **error);

/* Of the bytes that were put: how many were not yet, and how many in all were handed to the socket.
 */
size_t imap_stream_queued(const struct imap_stream *stream);
uint64_t imap_stream_handed(const struct imap_stream *stream);

/* Bytes received, and sent, so far: compressed and sealed, before TLS. */
uint64_t imap_stream_bytes_in(const struct imap_stream *stream);
uint64_t imap_stream_bytes_out(const struct imap_stream *stream);
