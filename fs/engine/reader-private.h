/* Shared by reader.c (when to ask, what to believe) and reader-piece.c (what came). */
#pragma once

#include "fs/engine/job.h"
#include "fs/engine/message.h"
#include "fs/engine/reader.h"

enum reader_step {
    READER_NOOP,
    READER_CHECK, /* UID FETCH (RFC822.SIZE): is the message there, and how long is it now? */
    READER_PIECE, /* and above */
};
#define PIECE_WHOLE 0

struct piece {
    unsigned step;
    uint64_t origin, length; /* length PIECE_WHOLE: the section without a partial */
    bool got;
};

struct reader {
    struct job job;
    uint64_t object;
    uint64_t announced; /* how long the section should be; meaningless unless has_announced */
    bool has_announced, message; /* message: the section is "" */
    uint64_t from, to;           /* wished for; `to` may grow to find the end of a section */
    uint64_t next;               /* nothing was asked for from here on */
    bool whole;    /* without partials: the message is small, or partials do not work */
    GQueue pieces; /* struct piece in flight */
    unsigned last_step;
    /* what came */
    bool ended; /* the end is proved: */
    uint64_t end;
    bool again_whole;        /* a partial was answered with something longer */
    unsigned missing, backs; /* answers without the body; looks for the end below */
    bool oversized;          /* longer than may be kept */
    enum engine_error full;  /* why the cache did not take it */
    enum engine_error refused;
    uint64_t back; /* look for the end so far below, 0: not yet */
    /* a body that is not as long as announced, not stored before it is checked */
    GBytes *held;
    uint64_t held_origin, held_end;
    bool checked, checking, seen; /* seen: the UID is there */
    bool has_seen_size;
    uint64_t seen_size;
    bool repeated;       /* fetched once more */
    uint64_t repeat_end; /* the end that it showed the first time */
};

/* Sends pieces while there is something to ask for and room. */
void reader_fill(struct reader *reader);
void reader_send_piece(struct reader *reader, uint64_t origin, uint64_t length);
bool reader_fetch(struct job *job, const struct imap_fetch *fetch);
/* Puts a piece into the content cache. */
void reader_store(struct reader *reader, uint64_t origin, GBytes *bytes);
void reader_forget_pieces(struct reader *reader);
