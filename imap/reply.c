/* Replies by kind, each untagged one with a row in a table (RFC 9051, 7). */
#include "imap/decode.h"

#include <string.h>

static struct imap_uidset *uids_new(struct imap_decoder *decoder)
{
    decoder->parser->uids = imap_uidset_new();
    decoder->reply->uids = decoder->parser->uids;
    return decoder->parser->uids;
}

static bool uids_parse(struct imap_decoder *decoder, const char *text)
{
    struct imap_uidset *set = imap_uidset_parse(text, strlen(text));
    if (set == NULL)
        return false;
    imap_uidset_free(decoder->parser->uids);
    decoder->parser->uids = decoder->reply->uids = set;
    return true;
}

/* "SEARCH 1 2 3 (MODSEQ 9)", read without tokens: there may be millions of them. A number that is
 * no UID is passed over, a word spoils the whole. */
static enum imap_outcome read_search(struct imap_decoder *decoder)
{
    struct imap_uidset *uids = uids_new(decoder);
    imap_cursor_blank(&decoder->cursor);
    const char *at = imap_cursor_rest(&decoder->cursor);
    for (at += strspn(at, " "); *at != '\0' && *at != '('; at += strspn(at, " ")) {
        char *end;
        bool negative = *at == '-';
        if (!g_ascii_isdigit(at[negative]))
            return IMAP_NONSENSE;
        guint64 uid = g_ascii_strtoull(at + negative, &end, 10);
        if (*end != ' ' && *end != '\0' && *end != '(')
            return IMAP_NONSENSE;
        if (!negative && uid <= G_MAXUINT32)
            imap_uidset_add(uids, (uint32_t)uid, (uint32_t)uid);
        at = end;
    }
    return IMAP_UNDERSTOOD;
}

/* "ESEARCH (TAG "A1") UID COUNT 2 ALL 1:4,7" (RFC 9051, 7.3.4). No ALL: nothing was found. */
static enum imap_outcome read_esearch(struct imap_decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    if (!imap_tokens_read(&decoder->cursor))
        return IMAP_TOO_BIG;
    guint i = 0;
    if (parser->tokens->len > 0 && imap_token_at(parser, 0)->kind == IMAP_TOKEN_LIST)
        i = imap_token_at(parser, 0)->next;
    if (i < parser->tokens->len && imap_token_is(imap_token_at(parser, i), "UID"))
        i++;
    uids_new(decoder);
    for (; i + 1 < parser->tokens->len; i = imap_token_at(parser, i + 1)->next) {
        const char *value = imap_token_string(imap_token_at(parser, i + 1));
        if (imap_token_is(imap_token_at(parser, i), "ALL") &&
            (value == NULL || !uids_parse(decoder, value)))
            return IMAP_NONSENSE;
    }
    return IMAP_UNDERSTOOD;
}

static enum imap_outcome read_vanished(struct imap_decoder *decoder)
{
    struct imap_token token;
    enum imap_token_kind kind = imap_cursor_next(&decoder->cursor, &token);
    while (kind == IMAP_TOKEN_LIST || kind == IMAP_TOKEN_CLOSE ||
           imap_token_is(&token, "EARLIER")) {
        decoder->reply->earlier |= imap_token_is(&token, "EARLIER");
        kind = imap_cursor_next(&decoder->cursor, &token);
    }
    return kind == IMAP_TOKEN_ATOM && uids_parse(decoder, token.data) ? IMAP_UNDERSTOOD
                                                                      : IMAP_NONSENSE;
}

/* ---- messages, and the server itself -------------------------------------------------------- */

static enum imap_outcome read_number_only(struct imap_decoder *decoder)
{
    return IMAP_UNDERSTOOD;
}

static enum imap_outcome read_fetch(struct imap_decoder *decoder)
{
    decoder->reply->fetch.sequence = decoder->reply->number;
    if (!imap_tokens_read(&decoder->cursor))
        return IMAP_TOO_BIG;
    imap_fetch_read(decoder->parser, &decoder->reply->fetch);
    return IMAP_UNDERSTOOD;
}

/* RFC 9586: the number is the UID. */
static enum imap_outcome read_uidfetch(struct imap_decoder *decoder)
{
    if (!imap_tokens_read(&decoder->cursor))
        return IMAP_TOO_BIG;
    imap_fetch_read(decoder->parser, &decoder->reply->fetch);
    decoder->reply->fetch.uid = decoder->reply->number;
    decoder->reply->fetch.items |= IMAP_ITEM_UID;
    return decoder->reply->number > 0 ? IMAP_UNDERSTOOD : IMAP_NONSENSE;
}

static enum imap_outcome read_id(struct imap_decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    if (!imap_tokens_read(&decoder->cursor))
        return IMAP_TOO_BIG;
    for (guint i = 1; i + 1 < parser->tokens->len; i = imap_token_at(parser, i + 1)->next) {
        const char *key = imap_token_string(imap_token_at(parser, i));
        if (key != NULL && g_ascii_strcasecmp(key, "name") == 0)
            decoder->reply->id_name = imap_token_string(imap_token_at(parser, i + 1));
    }
    return IMAP_UNDERSTOOD;
}

/* ---- untagged replies ------------------------------------------------------------------------ */

static const struct handler {
    const char *name;
    bool numbered; /* "* 5 NAME" */
    enum imap_reply_kind kind;
    enum imap_outcome (*read)(struct imap_decoder *decoder);
} HANDLERS[] = {
    {"FETCH", true, IMAP_REPLY_FETCH, read_fetch},
    {"UIDFETCH", true, IMAP_REPLY_FETCH, read_uidfetch},
    {"EXISTS", true, IMAP_REPLY_EXISTS, read_number_only},
    {"EXPUNGE", true, IMAP_REPLY_EXPUNGE, read_number_only},
    {"EXPUNGED", true, IMAP_REPLY_EXPUNGE, read_number_only}, /* GNU mailutils */
    {"LIST", false, IMAP_REPLY_LIST, imap_read_list},
    {"LSUB", false, IMAP_REPLY_LIST, imap_read_list},
    {"XLIST", false, IMAP_REPLY_LIST, imap_read_list},
    {"STATUS", false, IMAP_REPLY_STATUS, imap_read_status},
    {"SEARCH", false, IMAP_REPLY_SEARCH, read_search},
    {"ESEARCH", false, IMAP_REPLY_SEARCH, read_esearch},
    {"VANISHED", false, IMAP_REPLY_VANISHED, read_vanished},
    {"FLAGS", false, IMAP_REPLY_FLAGS, read_number_only},
    {"CAPABILITY", false, IMAP_REPLY_CAPABILITY, imap_read_words},
    {"ENABLED", false, IMAP_REPLY_ENABLED, imap_read_words},
    {"NAMESPACE", false, IMAP_REPLY_NAMESPACE, imap_read_namespace},
    {"ID", false, IMAP_REPLY_ID, read_id},
    {"QUOTA", false, IMAP_REPLY_QUOTA, imap_read_quota},
    {"MYRIGHTS", false, IMAP_REPLY_RIGHTS, imap_read_rights},
};

static const struct handler *handler_find(const char *name, bool numbered)
{
    for (size_t i = 0; i < G_N_ELEMENTS(HANDLERS); i++)
        if (HANDLERS[i].numbered == numbered && g_ascii_strcasecmp(HANDLERS[i].name, name) == 0)
            return &HANDLERS[i];
    return NULL;
}

static enum imap_outcome read_untagged(struct imap_decoder *decoder)
{
    static const struct imap_condition_word CODE_ONLY = {"OK", IMAP_COND_OK, false};
    struct imap_token word;
    uint64_t number = 0;
    imap_cursor_init(&decoder->cursor, decoder->parser, 2);
    decoder->reply->kind = IMAP_REPLY_CONDITION;
    if (imap_cursor_blank(&decoder->cursor) == '[')
        return imap_read_condition(decoder, &CODE_ONLY);
    if (imap_cursor_next(&decoder->cursor, &word) != IMAP_TOKEN_ATOM)
        return IMAP_NONSENSE;
    const struct imap_condition_word *condition = imap_condition_find(word.data);
    if (condition != NULL)
        return imap_read_condition(decoder, condition);
    bool numbered = imap_digits_parse(word.data, G_MAXUINT32, &number);
    if (numbered && imap_cursor_next(&decoder->cursor, &word) != IMAP_TOKEN_ATOM)
        return IMAP_NONSENSE;
    const struct handler *handler = handler_find(word.data, numbered);
    if (handler == NULL)
        return IMAP_NONSENSE;
    decoder->reply->kind = handler->kind;
    decoder->reply->number = (uint32_t)number;
    return handler->read(decoder);
}

static enum imap_outcome reply_read(struct imap_decoder *decoder)
{
    const char *text = decoder->cursor.text;
    if (text[0] == '+')
        return imap_read_continue(decoder);
    if (text[0] == '*' && text[1] == ' ')
        return read_untagged(decoder);
    return imap_read_tagged(decoder);
}

int imap_parser_next(struct imap_parser *parser, bool utf8, struct imap_reply *reply)
{
    struct imap_decoder decoder = {.parser = parser, .reply = reply, .utf8 = utf8};
    memset(reply, 0, sizeof(*reply));
    reply->kind = IMAP_REPLY_IGNORED;
    int rc = imap_frame_next(parser);
    if (rc != 1)
        return rc;
    imap_cursor_init(&decoder.cursor, parser, 0);
    enum imap_outcome outcome = reply_read(&decoder);
    if (outcome == IMAP_TOO_BIG) {
        parser->failed = true;
        return -1;
    }
    if (outcome == IMAP_NONSENSE)
        *reply = (struct imap_reply){.kind = IMAP_REPLY_IGNORED};
    return 1;
}
