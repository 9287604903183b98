#include "imap/upload.h"

#include <errno.h>
#include <unistd.h>

/* What is read at once, and how much of it may wait in the stream. */
enum { CHUNK = 32 * 1024, WINDOW = 128 * 1024 };

static ssize_t chunk_read(const struct imap_upload *upload, char *buffer, size_t size)
{
    ssize_t n;

    do
        n = pread(upload->descriptor, buffer, size, (off_t)upload->at);
    while (n < 0 && errno == EINTR);
    return n;
}

int imap_upload_write(struct imap_upload *upload, struct imap_stream *stream)
{
    g_autofree char *buffer = g_malloc(CHUNK);

    while (upload->at < upload->size) {
        if (imap_stream_queued(stream) >= WINDOW)
            return 0;
        size_t size = (size_t)MIN(upload->size - upload->at, CHUNK);
        ssize_t n = chunk_read(upload, buffer, size);
        if (n <= 0)
            return -1;
        imap_stream_put(stream, buffer, (size_t)n, NULL);
        upload->at += (uint64_t)n;
    }
    return 1;
}
