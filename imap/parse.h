/* From the stream to tokens: what parse.c, token.c, reply.c, fetch.c and structure.c share.
 *
 * Framing comes first. parse.c cuts the stream into replies: `text` is a reply's line with its
 * short literals left in place, `literals` says where each is. A literal that is too long to be
 * copied twice has its own memory and leaves only its header in the text. Then token.c reads the
 * text as tokens, in place: strings are unescaped and terminated where they stand, so that a token
 * costs no memory of its own. Nothing here calls itself, however deep a reply is nested.
 */
#pragma once

#include "imap/arena.h"
#include "imap/reply.h"

struct imap_literal {
    size_t header;     /* offset of its "{" or "~{" in the text */
    size_t start, end; /* where its bytes are in the text; equal if they are not there */
    uint64_t size;     /* as the server announced it */
    char *bytes;       /* its own memory, NUL-terminated; NULL: in the text, or oversized */
    bool oversized;    /* skipped, nothing is kept */
    bool damaged;      /* what follows it shows that its length was wrong */
};

enum imap_token_kind {
    IMAP_TOKEN_ATOM, /* everything unquoted, also numbers */
    IMAP_TOKEN_NIL,
    IMAP_TOKEN_STRING,  /* quoted */
    IMAP_TOKEN_LITERAL, /* `data` is NULL if it is oversized or damaged */
    IMAP_TOKEN_LIST,    /* its elements follow it, up to `next` */
    IMAP_TOKEN_CLOSE,   /* from imap_cursor_next() only, not in parser->tokens */
    IMAP_TOKEN_END,     /* so is this */
};
struct imap_token {
    char *data;       /* NUL-terminated, in it no NUL but in a literal; may be written to */
    uint32_t length;  /* of data */
    uint32_t next;    /* index of the token after this one and all that is in it */
    uint32_t literal; /* LITERAL: index into parser->literals */
    enum imap_token_kind kind;
};

enum imap_frame_state {
    IMAP_FRAME_LINE,
    IMAP_FRAME_LITERAL,
    IMAP_FRAME_AFTER_LITERAL, /* one byte is to be looked at */
    IMAP_FRAME_SKIP_LINE,     /* the literal's length was wrong: what is left of the line */
};

/* A part of a BODYSTRUCTURE whose children are being read. */
struct imap_frame {
    uint32_t part;    /* index into the array of parts */
    uint32_t number;  /* of the child read last, from 1 */
    uint32_t at, end; /* tokens: the next child, behind the last */
};

struct imap_parser {
    struct imap_limits limits;
    /* bytes fed and not yet framed */
    GByteArray *raw;
    size_t raw_start; /* what is before it is used up */
    /* the reply that is being framed, or was returned last */
    enum imap_frame_state state;
    bool whole;             /* it was returned: the next call drops it */
    bool failed;            /* beyond repair, for good */
    GString *text;          /* without CRLF once it is whole */
    size_t segment;         /* offset in text of the line piece behind the last literal */
    size_t inline_bytes;    /* of text: they belong to literals */
    uint64_t literal_left;  /* bytes of the last literal to come */
    uint64_t literal_bytes; /* kept of all literals of the reply */
    GArray *literals;       /* struct imap_literal */
    /* decoded from it */
    GArray *tokens;           /* struct imap_token */
    GArray *open;             /* uint32_t: the lists that imap_tokens_read() has not seen end */
    GArray *bodies;           /* struct imap_body, owning their bytes */
    GArray *parts;            /* struct imap_part */
    GArray *frames;           /* struct imap_frame, the innermost last */
    struct imap_uidset *uids; /* owned, or NULL */
    struct imap_arena *arena;
};

/* Completes the next reply's text and literals. Returns as imap_parser_next(). */
int imap_frame_next(struct imap_parser *parser);

/* ---- tokens ---------------------------------------------------------------------------------- */

/* A place in the reply's text. */
struct imap_cursor {
    struct imap_parser *parser;
    char *text;
    size_t pos;
    char c;                /* the character at pos; the text may have a terminator there instead */
    size_t limit;          /* the next literal's header, or the end */
    guint literal;         /* the literal at limit */
    bool no_quote_ahead;   /* quotes before `limit` are characters like others: one is not closed */
    bool no_bracket_ahead; /* so are "[" */
};
void imap_cursor_init(struct imap_cursor *cursor, struct imap_parser *parser, size_t pos);
/* The next token; lists come as LIST and CLOSE. */
enum imap_token_kind imap_cursor_next(struct imap_cursor *cursor, struct imap_token *token);
/* Skips blanks. Returns the character there, 0 at the end or before a literal. */
char imap_cursor_blank(struct imap_cursor *cursor);
/* What is left before the next literal, as it stands, terminated. */
char *imap_cursor_rest(struct imap_cursor *cursor);

/* Reads all that is left into parser->tokens as a forest. Lists that are not closed end with the
 * reply, ")" without "(" is passed over. Returns false if there are more than token_max. */
bool imap_tokens_read(struct imap_cursor *cursor);

bool imap_token_is(const struct imap_token *token, const char *word); /* an atom, in any case */
/* An atom or a string that is all digits. Returns false if not, or above 2^63-1. */
bool imap_token_number(const struct imap_token *token, uint64_t *number);
/* Its text if it is an atom, a string or a literal that was kept; NUL becomes SUB (0x1A) in it.
 * NULL for NIL, lists and the rest. */
char *imap_token_string(const struct imap_token *token);
static inline const struct imap_token *imap_token_at(const struct imap_parser *parser, guint index)
{
    return &g_array_index(parser->tokens, struct imap_token, index);
}

/* Decimal digits and nothing else. Returns false if not, or above `max`. */
bool imap_digits_parse(const char *text, uint64_t max, uint64_t *number);

/* ---- what replies consist of ----------------------------------------------------------------- */

/* Decodes the items of a FETCH from parser->tokens into `fetch`. */
void imap_fetch_read(struct imap_parser *parser, struct imap_fetch *fetch);

/* Decodes the BODYSTRUCTURE that is token `index` (RFC 9051, 7.5.2: body). Returns false if it
 * makes no sense or goes over a limit. */
bool imap_structure_read(struct imap_parser *parser, guint index, struct imap_structure *structure);

/* Whether `id` is an objectid (RFC 8474, 7): 1 to 255 letters, digits, "-" and "_". */
bool imap_objectid_valid(const char *id);

/* "17-Jul-1996 02:44:25 -0700" (RFC 9051, 9: date-time) to seconds since 1970. Returns false if it
 * is not such a date between the years 1900 and 9999. */
bool imap_date_parse(const char *text, int64_t *seconds);
