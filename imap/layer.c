#include "imap/layer.h"

#include <string.h>

struct imap_layer {
    struct imap_auth *auth;
    size_t most; /* bytes of a packet */
    bool broken;
    /* opened; the mechanism's */
    const char *opened;
    size_t opened_length;
    /* sealed and yet to be sent; the mechanism's */
    const char *sealed;
    size_t sealed_length;
    size_t sealing; /* what it was made of; 0: no packet */
};

struct imap_layer *imap_layer_new(struct imap_auth *auth)
{
    struct imap_layer *layer = g_new0(struct imap_layer, 1);

    layer->auth = imap_auth_ref(auth);
    layer->most = imap_auth_layer(auth);
    return layer;
}

void imap_layer_free(struct imap_layer *layer)
{
    if (!layer)
        return;
    imap_auth_unref(layer->auth);
    g_free(layer);
}

void imap_layer_received(struct imap_layer *layer, const void *bytes, size_t length)
{
    layer->opened_length = 0;
    layer->broken |=
        !imap_auth_decode(layer->auth, bytes, length, &layer->opened, &layer->opened_length);
}

ssize_t imap_layer_read(struct imap_layer *layer, void *buffer, size_t size)
{
    size_t n = MIN(size, layer->opened_length);

    if (layer->broken)
        return -1;
    if (n == 0)
        return 0;
    memcpy(buffer, layer->opened, n);
    layer->opened += n;
    layer->opened_length -= n;
    return (ssize_t)n;
}

bool imap_layer_pending(const struct imap_layer *layer)
{
    return layer->opened_length > 0 || layer->broken;
}

bool imap_layer_seal(struct imap_layer *layer, const void *bytes, size_t length)
{
    if (layer->sealing > 0)
        return true;
    size_t n = MIN(length, layer->most);
    layer->sealed_length = 0;
    if (layer->broken ||
        !imap_auth_encode(layer->auth, bytes, n, &layer->sealed, &layer->sealed_length))
        return false;
    layer->sealing = n;
    return true;
}

size_t imap_layer_sealed(const struct imap_layer *layer, const char **bytes)
{
    *bytes = layer->sealed;
    return layer->sealed_length;
}

void imap_layer_sent(struct imap_layer *layer, size_t length)
{
    layer->sealed += length;
    layer->sealed_length -= length;
}

size_t imap_layer_unsealed(struct imap_layer *layer)
{
    size_t n = layer->sealing;

    layer->sealing = 0;
    return n;
}
