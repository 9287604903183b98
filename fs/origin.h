/* Where a file's bytes come from: its records copied out of the cache, so that no transaction is
 * held while bytes are fetched and decoded. Private to fs/content.c, fs/stream.c and fs/origin.c.
 */
#pragma once

#include "fs/parsed.h"
#include "fs/place.h"

struct origin {
    struct mounted_account *account;
    enum place_kind kind; /* MESSAGE, HEADERS, PART */
    uint64_t inode;
    struct node node;
    uint64_t object;
    uint64_t message_size; /* RFC822.SIZE */
    bool truncated;        /* the part tree is not whole: headers.txt says so */
    struct cache_part part;
};

/* Copies a place; the place's transaction is over afterwards. NEED_WAIT: the part tree must be
 * fetched first (for headers.txt). */
int origin_of(struct place *place, struct origin *origin, struct need *need);
void origin_copy(struct origin *to, const struct origin *from);
void origin_clear(struct origin *origin);
typedef struct origin origin; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(origin, origin_clear)

/* Wishes bytes [offset, offset + length) of an IMAP section of the origin's message. NEED_WAIT, or
 * EIO for a section that is not asked of servers. */
int origin_wish(const struct origin *origin, const char *section, uint64_t offset, uint64_t length,
                struct need *need);

/* The whole of an IMAP section, which is about `expected` bytes long. */
int origin_section(const struct origin *origin, const char *section, uint64_t expected,
                   GBytes **bytes, struct need *need);

/* Where in section "" the octets of the origin's part lie, for one that origin_parses(). EIO: the
 * message has no such part. */
int origin_extent(const struct origin *origin, struct parsed_extent *extent, struct need *need);

/* The whole file as it is shown, and remembers its exact size. */
int origin_whole(const struct origin *origin, GBytes **bytes, struct need *need);

/* Whether the file is taken out of the whole message, since that is in the cache, or small, and the
 * part alone is not. */
bool origin_parses(const struct origin *origin);

/* Remembers the file's exact size. */
void origin_size_store(const struct origin *origin, uint64_t size);
/* A base64 part whose lines proved irregular: its size is forgotten, and it is decoded whole from
 * now on. */
void origin_irregular_store(const struct origin *origin);
bool origin_irregular(const struct origin *origin);
