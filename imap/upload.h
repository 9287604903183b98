/* A literal that is read from a file piece by piece, as the socket takes it. Private to imap/. */
#pragma once

#include "imap/stream.h"

struct imap_upload {
    int descriptor; /* borrowed */
    uint64_t size;  /* octets of the literal */
    bool unasked;   /* non-synchronising (RFC 7888) */
    uint64_t at;    /* octets that the stream was given */
    uint64_t end;   /* imap_stream_handed() when all of the command is out; 0: not known yet */
    bool out;       /* it is: all was handed to the socket */
};

/* Gives the stream what it may hold now: 1: all octets were given; 0: the stream has enough for
 * now; -1: the file cannot be read, or is shorter than it should be. */
int imap_upload_write(struct imap_upload *upload, struct imap_stream *stream);
