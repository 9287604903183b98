/* Files over 1 MiB by range, out of the content cache: as the server's bytes are, or base64 decoded
 * by line arithmetic. Private to fs/content.c and fs/stream.c. */
#pragma once

#include "fs/mime.h"
#include "fs/origin.h"

enum stream_kind { STREAM_RAW, STREAM_BASE64 };
struct stream {
    enum stream_kind kind;
    const char *section; /* the origin's own string, or "" */
    uint64_t base;       /* where in the section it begins; not 0 only in a whole message */
    uint64_t octets;     /* how long it is, as the server sends it */
    uint64_t end;        /* length of the section */
    uint64_t size;       /* length of the file */
    struct mime_base64_layout layout;
    /* read-ahead; under `lock` */
    GMutex lock;
    uint64_t next;   /* where the last read ended, from `base` */
    uint64_t window; /* bytes fetched at once, doubling while reading is sequential */
    uint64_t asked;  /* wished for up to here */
    bool tight; /* the cache could not keep what was fetched: no more than is read is asked for */
};

/* Finds out how the origin can be streamed and its exact size. 0; NEED_WAIT; ENOTSUP: it must be
 * decoded whole. */
int stream_probe(const struct origin *origin, struct stream *stream, struct need *need);
void stream_init(struct stream *stream, const struct stream *probed);
void stream_clear(struct stream *stream);
/* As content_read(). EILSEQ: the base64 is not regular after all. */
int stream_read(struct stream *stream, const struct origin *origin, uint64_t offset, size_t length,
                void *buffer, size_t *got, struct need *need);
