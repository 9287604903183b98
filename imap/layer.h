/* A SASL security layer (RFC 4422, 3.7) on a stream of bytes: what goes out is sealed packet by
 * packet, what comes in is opened. No I/O. Private to imap/. */
#pragma once

#include "imap/auth.h"

#include <sys/types.h>

struct imap_layer;

/* `auth` has a layer; it is referenced. */
struct imap_layer *imap_layer_new(struct imap_auth *auth);
void imap_layer_free(struct imap_layer *layer);

/* Takes what was received; all of it must have been read before. */
void imap_layer_received(struct imap_layer *layer, const void *bytes, size_t length);
/* Opened bytes: their number; 0: none yet; -1: the layer is broken for good. */
ssize_t imap_layer_read(struct imap_layer *layer, void *buffer, size_t size);
/* Whether some wait to be read. */
bool imap_layer_pending(const struct imap_layer *layer);

/* Seals the first of these bytes into a packet, unless one is being sent: then the caller must give
 * the same bytes again, or more. False: the layer is broken. */
bool imap_layer_seal(struct imap_layer *layer, const void *bytes, size_t length);
/* What of the packet is still to be sent; 0: nothing. */
size_t imap_layer_sealed(const struct imap_layer *layer, const char **bytes);
void imap_layer_sent(struct imap_layer *layer, size_t length);
/* The packet is sent: how many of the bytes it was made of. */
size_t imap_layer_unsealed(struct imap_layer *layer);
