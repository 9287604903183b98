/* What mail says of itself: header fields, part trees, decoding. The only place that knows GMime.
 * Nothing here does I/O; all of it may run in any thread at once after mime_init(). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

void mime_init(void);

/* ---- header fields -------------------------------------------------------------------------- */

/* The fields that a listing asks of the server. */
#define MIME_LIST_FIELDS                                                                     \
    "DATE FROM SENDER TO CC SUBJECT MESSAGE-ID IN-REPLY-TO REFERENCES LIST-ID MIME-VERSION " \
    "CONTENT-TYPE CONTENT-TRANSFER-ENCODING"

struct mime_facts {
    bool has_date; /* the Date field is there and valid: its own calendar day, and the instant */
    int year, month, day;
    int64_t date;     /* seconds since 1970 */
    char *from;       /* display name, else address, of the first From (else Sender); NULL: none */
    char *to;         /* of the first To, else Cc */
    char *subject;    /* decoded; NULL: no field */
    char *message_id; /* without angle brackets; NULL: none */
};
/* Reads a header block (any line ends, any bytes). */
void mime_facts_read(const void *bytes, size_t length, struct mime_facts *facts);
void mime_facts_clear(struct mime_facts *facts);
typedef struct mime_facts mime_facts; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(mime_facts, mime_facts_clear)

/* The message's file name without ".eml", from its facts: the Date field's day, or INTERNALDATE's
 * in UTC where Date is missing, invalid or over a day after it; `outgoing`: the recipient stands
 * for the sender. The caller's. */
char *mime_message_name(const struct mime_facts *facts, int64_t internaldate, bool outgoing,
                        uint32_t uid);

/* headers.txt: the fields of a header block, unfolded, RFC 2047 and 2231 decoded, UTF-8, one a
 * line, LF. `note`: a last line, or NULL. */
GBytes *mime_headers_text(const void *bytes, size_t length, const char *note);

/* ---- part trees ----------------------------------------------------------------------------- */

/* One MIME entity, as a server's BODYSTRUCTURE or our own parser sees it; parents before children,
 * siblings in order. A MESSAGE has one child, the body of the message in it. Strings are borrowed.
 */
enum mime_entity_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };
struct mime_entity {
    enum mime_entity_kind kind;
    uint32_t parent;            /* index, UINT32_MAX for the first */
    const char *section;        /* as in BODY[section] */
    const char *type, *subtype; /* lower case */
    const char *encoding;       /* lower case, or NULL */
    const char *charset;        /* or NULL */
    const char *name;           /* decoded file name; NULL: none */
    int64_t octets;             /* encoded; -1: unknown */
};

/* Decodes a file name out of raw parameters (RFC 2231 continuations, RFC 2047 words, raw 8-bit):
 * Content-Disposition's filename first, then Content-Type's name. NULL: none. Parameters are pairs
 * of name and value, `count` of them each. The caller's. */
struct mime_parameter {
    const char *name, *value;
};
char *mime_file_name(const struct mime_parameter *disposition, size_t disposition_count,
                     const struct mime_parameter *type, size_t type_count);

/* Builds what the message's directory shows, with safe and unique names (see mailmount-tree(7)), as
 * cache_part records numbered from `first` on. `local`: sections are our own count. The array and
 * its strings are the result's. */
struct mime_tree {
    GArray *parts; /* struct cache_part */
    GStringChunk *strings;
    bool truncated;
};
struct mime_tree *mime_tree_build(const struct mime_entity *entities, size_t count, uint16_t first,
                                  bool local);
void mime_tree_free(struct mime_tree *tree);
typedef struct mime_tree mime_tree; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(mime_tree, mime_tree_free)

/* Whether a BODYSTRUCTURE can be shown without a look at the message: no; the words say why (for
 * the log), NULL: it can. `header` is the block of MIME_LIST_FIELDS, `size` RFC822.SIZE. */
const char *mime_structure_doubt(const struct mime_entity *entities, size_t count,
                                 const void *header, size_t header_length, uint64_t size);

/* A whole message as parsed here. `bytes` is kept by reference. */
struct mime_message;
struct mime_message *mime_message_parse(GBytes *bytes);
void mime_message_free(struct mime_message *message);
typedef struct mime_message mime_message; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(mime_message, mime_message_free)
/* Its tree, as mime_tree_build() with local sections. */
struct mime_tree *mime_message_tree(struct mime_message *message, uint16_t first);
/* The content of one part of that tree, as its file shows it: decoded, and converted where the part
 * has CACHE_PART_TEXT; a MESSAGE's octets; a HEADERS' text. NULL if there is no such part. */
GBytes *mime_message_part(struct mime_message *message, const struct cache_part *part);
/* Where the octets lie of which mime_part_decode() makes that. Returns false if there is no such
 * part. */
bool mime_message_extent(struct mime_message *message, const struct cache_part *part,
                         size_t *offset, size_t *length);
/* Lets go of the bytes: from now on only the tree and the extents are known. */
void mime_message_forget(struct mime_message *message);
/* About how many bytes of memory that takes. */
size_t mime_message_weight(const struct mime_message *message);

/* ---- content -------------------------------------------------------------------------------- */

/* The transfer encoding that a name stands for. */
enum cache_part_encoding mime_encoding(const char *name);
/* A part's encoded bytes as its file shows them: transfer encoding removed; with CACHE_PART_TEXT
 * also converted to UTF-8 with LF, with CACHE_PART_HTML a BOM in front. Undecodable text: an
 * unknown charset keeps its bytes, invalid sequences become U+FFFD, 8-bit in us-ascii is UTF-8 if
 * valid, else windows-1252. */
GBytes *mime_part_decode(const struct cache_part *part, const void *bytes, size_t length);
/* An upper bound of that size from the part alone. */
uint64_t mime_part_bound(const struct cache_part *part);

/* ---- base64 by line arithmetic (RFC 2045, 6.8) ----------------------------------------------- */

/* How a base64 part is laid out, learned from its first bytes: full lines of `line` characters, a
 * multiple of 4, each followed by `end` bytes (1: LF, 2: CRLF). */
struct mime_base64_layout {
    uint32_t line, end;
};
/* Returns false if the first `length` bytes of a part (the whole part if `whole`) are not regular.
 */
bool mime_base64_learn(const void *bytes, size_t length, bool whole,
                       struct mime_base64_layout *layout);
/* The encoded range [*from, *to) that holds the decoded range [offset, offset + length) of a part
 * of `octets` encoded bytes; whole lines, cut at octets. */
void mime_base64_range(const struct mime_base64_layout *layout, uint64_t octets, uint64_t offset,
                       uint64_t length, uint64_t *from, uint64_t *to);
/* Where the tail must begin that mime_base64_size() wants to see. */
uint64_t mime_base64_tail(const struct mime_base64_layout *layout, uint64_t octets);
/* The exact decoded size, from the bytes from mime_base64_tail() to the end. Returns false if they
 * are not regular. */
bool mime_base64_size(const struct mime_base64_layout *layout, uint64_t octets, const void *tail,
                      size_t length, uint64_t *size);
/* Decodes whole lines that begin at `from` (a line's start); checks every line's length and
 * alphabet, except the last line of the part (`last`: the range ends at octets). NULL at the first
 * irregular one. */
GBytes *mime_base64_decode(const struct mime_base64_layout *layout, const void *bytes,
                           size_t length, bool last);
