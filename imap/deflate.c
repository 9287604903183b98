#include "imap/deflate.h"

#include <zlib.h>

enum { RAW_SIZE = 16 * 1024, PIECE = 4 * 1024, RATIO = 256, LEVEL = 6, MEMORY = 8 };
#define SLACK_DEFAULT (UINT64_C(256) << 20)

struct imap_deflate {
    z_stream out;
    /* from the server */
    z_stream in;
    uint64_t received, inflated, slack;
    bool more;          /* the last read filled its buffer: there may be more */
    const char *reason; /* not NULL: nothing is read any more */
    unsigned char raw[RAW_SIZE];
};

struct imap_deflate *imap_deflate_new(uint64_t slack)
{
    struct imap_deflate *deflate = g_new0(struct imap_deflate, 1);

    deflate->slack = slack ? slack : SLACK_DEFAULT;
    if (inflateInit2(&deflate->in, -MAX_WBITS) == Z_OK) {
        if (deflateInit2(&deflate->out, LEVEL, Z_DEFLATED, -MAX_WBITS, MEMORY,
                         Z_DEFAULT_STRATEGY) == Z_OK)
            return deflate;
        inflateEnd(&deflate->in);
    }
    g_free(deflate);
    return NULL;
}

void imap_deflate_free(struct imap_deflate *deflate)
{
    if (!deflate)
        return;
    inflateEnd(&deflate->in);
    deflateEnd(&deflate->out);
    g_free(deflate);
}

void *imap_deflate_room(struct imap_deflate *deflate, size_t *size)
{
    *size = deflate->in.avail_in == 0 ? sizeof(deflate->raw) : 0;
    return deflate->raw;
}

void imap_deflate_received(struct imap_deflate *deflate, size_t length)
{
    deflate->in.next_in = deflate->raw;
    deflate->in.avail_in = (uInt)length;
    deflate->received += length;
}

static void note_end(struct imap_deflate *deflate, int rc)
{
    if (rc == Z_STREAM_END)
        deflate->reason = "the server ended the compression";
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
        deflate->reason = "the server's compressed data are damaged";
    else if (deflate->inflated / RATIO > deflate->received + deflate->slack / RATIO)
        deflate->reason = "the server's compressed data inflate to too much";
}

ssize_t imap_deflate_read(struct imap_deflate *deflate, void *buffer, size_t size)
{
    if (deflate->reason)
        return -1;
    uInt room = (uInt)MIN(size, G_MAXINT32);
    deflate->in.next_out = buffer;
    deflate->in.avail_out = room;
    int rc = inflate(&deflate->in, Z_SYNC_FLUSH);
    uInt taken = room - deflate->in.avail_out;
    deflate->more = deflate->in.avail_out == 0;
    deflate->inflated += taken;
    note_end(deflate, rc);
    return taken == 0 && deflate->reason ? -1 : (ssize_t)taken;
}

bool imap_deflate_pending(const struct imap_deflate *deflate)
{
    return deflate->more || deflate->in.avail_in > 0 || deflate->reason;
}

const char *imap_deflate_reason(const struct imap_deflate *deflate)
{
    return deflate->reason;
}

static void pack_all(z_stream *z, GByteArray *out)
{
    do {
        guint held = out->len;
        g_byte_array_set_size(out, held + PIECE);
        z->next_out = out->data + held;
        z->avail_out = PIECE;
        deflate(z, Z_SYNC_FLUSH); /* fails on misuse only */
        g_byte_array_set_size(out, held + PIECE - z->avail_out);
    } while (z->avail_out == 0);
}

void imap_deflate_write(struct imap_deflate *deflate, const void *bytes, size_t length,
                        GByteArray *out)
{
    deflate->out.next_in = (z_const Bytef *)bytes;
    deflate->out.avail_in = (uInt)MIN(length, G_MAXINT32);
    pack_all(&deflate->out, out);
}
