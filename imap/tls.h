/* TLS on a connected socket: OpenSSL and the question whether this is the right server. Private to
 * imap/. */
#pragma once

#include "imap/imap.h"

#include <sys/types.h>

struct imap_tls_layer;

/* Prepares TLS 1.2 or newer on `fd`, which stays the caller's, for the host, CA file and
 * fingerprint of `server`, and our own certificate if it names one. Returns NULL with `error` set
 * (IMAP_ERROR_CERTIFICATE: a file cannot be read, the fingerprint is not one, the key does not
 * fit).
 */
struct imap_tls_layer *imap_tls_new(int fd, const struct imap_server *server, GError **error);
void imap_tls_free(struct imap_tls_layer *tls); /* says goodbye if the socket takes it */

/* Goes on with the handshake. 1: done, and the certificate is the right one; 0: wait for
 * imap_tls_wants() and call again; -1: failed, `error` says why (IMAP_ERROR_TLS, _CERTIFICATE,
 * _LOST, or _NOT_IMAP if whoever answers speaks no TLS). */
int imap_tls_handshake(struct imap_tls_layer *tls, GError **error);

/* What the handshake found, in plain words: version, certificate, why it is trusted. The caller's.
 */
char *imap_tls_describe(const struct imap_tls_layer *tls);

/* As read() and write(): bytes moved, 0: wait for imap_tls_wants(), -1: the connection is over.
 * Reading and writing may each wait for either direction. */
ssize_t imap_tls_read(struct imap_tls_layer *tls, void *buffer, size_t size);
ssize_t imap_tls_write(struct imap_tls_layer *tls, const void *bytes, size_t length);
/* What the last call that returned 0 waits for: POLLIN or POLLOUT. */
short imap_tls_wants(const struct imap_tls_layer *tls);
/* Whether bytes wait here that poll() on the socket does not show. */
bool imap_tls_pending(const struct imap_tls_layer *tls);
/* Why the last call returned -1. */
const char *imap_tls_reason(const struct imap_tls_layer *tls);

/* What a SASL mechanism can bind to after the handshake: tls-exporter (RFC 9266) in TLS 1.3 and
 * tls-unique (RFC 5929) before, or with `other` the other way round. The caller's; NULL: there is
 * none. `name` is set to its registered name. */
GBytes *imap_tls_binding(const struct imap_tls_layer *tls, bool other, const char **name);
