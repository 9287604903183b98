/* One reply on its way from text to struct imap_reply: what reply.c, condition.c and mailboxdata.c
 * share. */
#pragma once

#include "imap/parse.h"

struct imap_decoder {
    struct imap_parser *parser;
    struct imap_reply *reply;
    struct imap_cursor cursor; /* behind what was read */
    bool utf8;                 /* as imap_parser_next() was told */
};

#define IMAP_MAILBOX_MAX 16384 /* bytes of a mailbox name; longer ones are passed over */

/* What a reader says of its reply. */
enum imap_outcome {
    IMAP_TOO_BIG = -1, /* beyond repair */
    IMAP_NONSENSE = 0, /* becomes IMAP_REPLY_IGNORED */
    IMAP_UNDERSTOOD = 1,
};

/* "OK" and its like. */
struct imap_condition_word {
    const char *name;
    enum imap_condition condition;
    bool tagged; /* may stand behind a tag */
};
const struct imap_condition_word *imap_condition_find(const char *word); /* NULL: none */

/* Each reads the rest of its reply, from the cursor on; the last two the whole. */
enum imap_outcome imap_read_words(struct imap_decoder *decoder); /* CAPABILITY, ENABLED */
enum imap_outcome imap_read_list(struct imap_decoder *decoder);
enum imap_outcome imap_read_status(struct imap_decoder *decoder);
enum imap_outcome imap_read_namespace(struct imap_decoder *decoder);
enum imap_outcome imap_read_quota(struct imap_decoder *decoder);
enum imap_outcome imap_read_rights(struct imap_decoder *decoder);
enum imap_outcome imap_read_condition(struct imap_decoder *decoder,
                                      const struct imap_condition_word *condition);
enum imap_outcome imap_read_tagged(struct imap_decoder *decoder);
enum imap_outcome imap_read_continue(struct imap_decoder *decoder);
