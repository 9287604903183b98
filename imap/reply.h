/* Bytes from the server to typed replies, without I/O (RFC 9051, 7 and 9).
 *
 * imap_parser cuts the stream into replies first (a line with its literals), so that one bad item
 * never desynchronises what follows; then the reply's text becomes tokens, and the tokens a struct
 * imap_reply. All sizes are bounded and nothing recurses on input. Private to imap/.
 */
#pragma once

#include "imap/imap.h"

/* Limits, all in bytes or counts; what goes over them is IMAP_ERROR_PROTOCOL, except literals,
 * which are skipped (struct imap_body.oversized; so is one that makes all literals of its reply
 * longer than twice literal_max), and BODYSTRUCTUREs, which become STRUCTURE_BROKEN. */
struct imap_limits {
    size_t line_max;    /* a reply without its literals; 0: 32 MiB */
    size_t literal_max; /* 0: 64 MiB */
    size_t depth_max;   /* levels of a BODYSTRUCTURE; 0: 4,096. Elsewhere depth costs nothing */
    size_t token_max;   /* tokens of one reply; 0: 4 million */
};

struct imap_parser;
struct imap_parser *imap_parser_new(const struct imap_limits *limits);
void imap_parser_free(struct imap_parser *parser);
typedef struct imap_parser imap_parser; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_parser, imap_parser_free)

enum imap_reply_kind {
    IMAP_REPLY_CONTINUE,   /* "+ ..." */
    IMAP_REPLY_TAGGED,     /* "A1 OK ..." */
    IMAP_REPLY_CONDITION,  /* "* OK|NO|BAD|BYE|PREAUTH ..." */
    IMAP_REPLY_CAPABILITY, /* also from a response code: then as `code` of the condition */
    IMAP_REPLY_ENABLED,
    IMAP_REPLY_LIST, /* LIST, LSUB, XLIST */
    IMAP_REPLY_STATUS,
    IMAP_REPLY_SEARCH, /* SEARCH and ESEARCH */
    IMAP_REPLY_FLAGS,
    IMAP_REPLY_EXISTS,
    IMAP_REPLY_EXPUNGE,
    IMAP_REPLY_VANISHED,
    IMAP_REPLY_FETCH, /* FETCH and UIDFETCH */
    IMAP_REPLY_NAMESPACE,
    IMAP_REPLY_ID,
    IMAP_REPLY_QUOTA,
    IMAP_REPLY_RIGHTS,  /* MYRIGHTS */
    IMAP_REPLY_IGNORED, /* understood enough to pass over: unknown data, a line that makes no sense
                         */
};
enum imap_condition { IMAP_COND_OK, IMAP_COND_NO, IMAP_COND_BAD, IMAP_COND_BYE, IMAP_COND_PREAUTH };
/* One reply. Strings live in the parser until the next call of imap_parser_next(). */
struct imap_reply {
    enum imap_reply_kind kind;
    /* TAGGED, CONDITION; CONTINUE has text only (base64 of a SASL challenge) */
    const char *tag;
    enum imap_condition condition;
    const char *code;       /* upper-case atom of the response code, NULL: none */
    const char *code_value; /* the rest of it as text ("1 4:7" of "[X 1 4:7]"), NULL: none */
    uint64_t code_number; /* its first number, where it starts with one (UIDNEXT, HIGHESTMODSEQ) */
    const char *text; /* the server's bytes, never NULL in these kinds; not checked to be UTF-8 */
    /* CAPABILITY, ENABLED: NULL-terminated words in upper case. Also a CAPABILITY code's.
     * NAMESPACE: the prefixes of all namespaces, in order */
    const char *const *words;
    uint32_t number;          /* EXISTS, EXPUNGE */
    struct imap_uidset *uids; /* SEARCH, VANISHED */
    bool earlier;             /* VANISHED (EARLIER) */
    struct imap_list list;
    struct imap_status status;
    struct imap_fetch fetch;
    const char *id_name; /* ID: the value of "name" */
    struct imap_quota quota;
    const char *rights_wire, *rights; /* RIGHTS */
};

/* Adds bytes from the server (copied). */
void imap_parser_feed(struct imap_parser *parser, const void *bytes, size_t length);

/* The next whole reply: 1 and `reply` filled, 0: more bytes are needed, -1: beyond repair (limits),
 * the connection must be closed. Strings of the reply before die. `utf8`: mailbox names are UTF-8
 * (UTF8=ACCEPT or IMAP4rev2 is enabled) instead of modified UTF-7. */
int imap_parser_next(struct imap_parser *parser, bool utf8, struct imap_reply *reply);

/* Whether any byte is waiting: what came before a STARTTLS handshake must not be there. */
bool imap_parser_pending(const struct imap_parser *parser);

/* Whether what was fed ends amid a long reply that holds data (RFC 9051, 2.2.2), of which the next
 * bytes are as good as replies of their own. Never amid "* OK still here". */
bool imap_parser_amid_data(const struct imap_parser *parser);

/* What a tagged reply, or a BYE, means for the command: finer than NO or BAD where the response
 * code (NULL: none) says so (RFC 9051, 7.1; RFC 5530). IMAP_OK for OK and PREAUTH. */
enum imap_error imap_error_of_code(enum imap_condition condition, const char *code);
