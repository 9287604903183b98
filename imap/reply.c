/* Replies by kind, each untagged one with a row in a table (RFC 9051, 7). */
#include "imap/parse.h"

#include <string.h>

#define MAILBOX_MAX 16384 /* bytes of a mailbox name; longer ones are passed over */

struct decoder {
    struct imap_parser *parser;
    struct imap_reply *reply;
    struct imap_cursor cursor;
    bool utf8;
};

/* What a handler says of its reply. */
enum outcome { TOO_BIG = -1, NONSENSE = 0, UNDERSTOOD = 1 };

/* ---- words ----------------------------------------------------------------------------------- */

static void upper(char *text)
{
    for (; *text != '\0'; text++)
        *text = g_ascii_toupper(*text);
}

/* Splits at blanks. "LITERAL +" becomes one word, as it was meant. */
static const char *const *words_split(struct decoder *decoder, char *text)
{
    size_t size = 2;
    for (const char *c = text; *c != '\0'; c++)
        size += *c == ' ';
    char **words = imap_arena_alloc(decoder->parser->arena, size * sizeof(*words));
    size_t count = 0;
    upper(text);
    for (char *save, *word = strtok_r(text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        if (count > 0 && strcmp(word, "+") == 0)
            memcpy(words[count - 1] + strlen(words[count - 1]), "+", 2);
        else
            words[count++] = word;
    }
    words[count] = NULL;
    return (const char *const *)words;
}

static enum outcome read_words(struct decoder *decoder)
{
    imap_cursor_blank(&decoder->cursor);
    decoder->reply->words = words_split(decoder, imap_cursor_rest(&decoder->cursor));
    return UNDERSTOOD;
}

/* ---- conditions ------------------------------------------------------------------------------ */

static const struct condition {
    const char *name;
    enum imap_condition condition;
    bool tagged; /* may stand behind a tag */
} CONDITIONS[] = {
    {"OK", IMAP_COND_OK, true},
    {"NO", IMAP_COND_NO, true},
    {"BAD", IMAP_COND_BAD, true},
    {"BYE", IMAP_COND_BYE, false},
    {"PREAUTH", IMAP_COND_PREAUTH, false},
};

static const struct condition *condition_find(const char *word)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CONDITIONS); i++)
        if (g_ascii_strcasecmp(CONDITIONS[i].name, word) == 0)
            return &CONDITIONS[i];
    return NULL;
}

/* The "]" that ends a code: one before a blank or the end of the line, since flags hold "]" too. */
static char *code_end(char *text)
{
    char *first = strchr(text, ']');
    for (char *end = first; end != NULL; end = strchr(end + 1, ']'))
        if (end[1] == ' ' || end[1] == '\0')
            return end;
    return first;
}

static void code_read(struct decoder *decoder, char *code)
{
    struct imap_reply *reply = decoder->reply;
    code += strspn(code, " ");
    char *value = code + strcspn(code, " ");
    if (*value != '\0') {
        *value++ = '\0';
        value += strspn(value, " ");
    }
    upper(code);
    reply->code = code;
    if (*value == '\0')
        return;
    reply->code_value = value;
    for (const char *digit = value; g_ascii_isdigit(*digit); digit++) {
        if (reply->code_number > G_MAXINT64 / 10 - 1) {
            reply->code_number = 0;
            return;
        }
        reply->code_number = reply->code_number * 10 + (uint64_t)(*digit - '0');
    }
}

/* "[CODE value] text" (RFC 9051, 9: resp-text); code and text may both be missing. */
static void text_read(struct decoder *decoder)
{
    imap_cursor_blank(&decoder->cursor);
    char *text = imap_cursor_rest(&decoder->cursor);
    char *end = *text == '[' ? code_end(text) : NULL;
    decoder->reply->text = text;
    if (end == NULL || end == text + 1)
        return;
    *end++ = '\0';
    decoder->reply->text = end + strspn(end, " ");
    code_read(decoder, text + 1);
    if (strcmp(decoder->reply->code, "CAPABILITY") == 0 && decoder->reply->code_value != NULL) {
        size_t size = strlen(decoder->reply->code_value) + 1;
        char *copy = imap_arena_alloc(decoder->parser->arena, size);
        memcpy(copy, decoder->reply->code_value, size);
        decoder->reply->words = words_split(decoder, copy);
    }
}

static enum outcome read_condition(struct decoder *decoder, const struct condition *condition)
{
    decoder->reply->condition = condition->condition;
    text_read(decoder);
    return UNDERSTOOD;
}

static enum outcome read_tagged(struct decoder *decoder)
{
    struct imap_token tag, word;
    if (imap_cursor_next(&decoder->cursor, &tag) != IMAP_TOKEN_ATOM ||
        imap_cursor_next(&decoder->cursor, &word) != IMAP_TOKEN_ATOM)
        return NONSENSE;
    const struct condition *condition = condition_find(word.data);
    if (condition == NULL || !condition->tagged)
        return NONSENSE;
    decoder->reply->kind = IMAP_REPLY_TAGGED;
    decoder->reply->tag = tag.data;
    return read_condition(decoder, condition);
}

static enum outcome read_continue(struct decoder *decoder)
{
    struct imap_cursor *cursor = &decoder->cursor;
    imap_cursor_init(cursor, decoder->parser, 1);
    if (cursor->c != '\0' && cursor->c != ' ')
        return NONSENSE;
    imap_cursor_blank(cursor);
    decoder->reply->kind = IMAP_REPLY_CONTINUE;
    decoder->reply->text = imap_cursor_rest(cursor);
    return UNDERSTOOD;
}

/* ---- mailboxes ------------------------------------------------------------------------------- */

static const struct list_flag {
    const char *name;
    unsigned flag;
} LIST_FLAGS[] = {
    {"\\Noselect", IMAP_LIST_NOSELECT},
    {"\\NonExistent", IMAP_LIST_NOSELECT},
    {"\\Noinferiors", IMAP_LIST_NOINFERIORS},
    {"\\Subscribed", IMAP_LIST_SUBSCRIBED},
    {"\\All", IMAP_LIST_ALL},
    {"\\AllMail", IMAP_LIST_ALL}, /* from here: XLIST */
    {"\\Archive", IMAP_LIST_ARCHIVE},
    {"\\Drafts", IMAP_LIST_DRAFTS},
    {"\\Flagged", IMAP_LIST_FLAGGED},
    {"\\Starred", IMAP_LIST_FLAGGED},
    {"\\Junk", IMAP_LIST_JUNK},
    {"\\Spam", IMAP_LIST_JUNK},
    {"\\Sent", IMAP_LIST_SENT},
    {"\\Trash", IMAP_LIST_TRASH},
    {"\\Important", IMAP_LIST_IMPORTANT},
};

static unsigned list_flag(const char *name)
{
    for (size_t i = 0; name != NULL && i < G_N_ELEMENTS(LIST_FLAGS); i++)
        if (g_ascii_strcasecmp(LIST_FLAGS[i].name, name) == 0)
            return LIST_FLAGS[i].flag;
    return 0;
}

/* "(\Flag ...)" or NIL. Returns false if there is neither. */
static bool list_flags_read(struct decoder *decoder)
{
    struct imap_token token;
    enum imap_token_kind kind = imap_cursor_next(&decoder->cursor, &token);
    if (kind == IMAP_TOKEN_NIL)
        return true;
    if (kind != IMAP_TOKEN_LIST)
        return false;
    while ((kind = imap_cursor_next(&decoder->cursor, &token)) != IMAP_TOKEN_CLOSE) {
        if (kind == IMAP_TOKEN_END || kind == IMAP_TOKEN_LIST)
            return false;
        decoder->reply->list.flags |= list_flag(imap_token_string(&token));
    }
    return true;
}

/* Where an unquoted name ends: before " (" and a word and "(", the extended data of RFC 5258, or at
 * the end of the line, since names come with blanks and control characters in them. */
static char *bare_name_end(char *name)
{
    for (char *at = strstr(name, " ("); at != NULL; at = strstr(at + 1, " (")) {
        char *word = at + 2;
        size_t quote = *word == '"';
        size_t length = strspn(word + quote, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");
        if (length > 0 && strncmp(word + length + 2 * quote, " (", 2) == 0)
            return at;
    }
    return name + strlen(name);
}

/* The rest of the line, taken as one name. */
static char *bare_name(char *rest)
{
    size_t length = strlen(rest);
    if (length >= 2 && rest[0] == '"' && rest[length - 1] == '"') {
        rest[length - 1] = '\0'; /* there are quotes inside that nobody escaped */
        return rest + 1;
    }
    *bare_name_end(rest) = '\0';
    return rest;
}

/* Whether the quoted string at `text` is followed by nothing but extended data. */
static bool is_quoted_well(const char *text)
{
    if (*text++ != '"')
        return false;
    for (; *text != '"'; text++)
        if (*text == '\0' || (*text == '\\' && *++text == '\0'))
            return false;
    text += 1 + strspn(text + 1, " ");
    return *text == '\0' || *text == '(';
}

/* A mailbox's wire name, the last thing in a LIST. NULL: none, or too long. */
static char *list_name(struct decoder *decoder)
{
    struct imap_cursor *cursor = &decoder->cursor;
    struct imap_token token;
    char *name, c = imap_cursor_blank(cursor);
    if (c != '\0' && !is_quoted_well(cursor->text + cursor->pos)) {
        name = bare_name(imap_cursor_rest(cursor));
    } else {
        if (imap_cursor_next(cursor, &token) == IMAP_TOKEN_END)
            return NULL;
        name = imap_token_string(&token);
    }
    return name == NULL || strlen(name) > MAILBOX_MAX ? NULL : name;
}

static const char *name_decode(struct decoder *decoder, const char *wire)
{
    g_autofree char *decoded = decoder->utf8 ? NULL : imap_utf7_decode(wire);
    if (decoded == NULL)
        decoded = g_utf8_make_valid(wire, -1);
    size_t size = strlen(decoded) + 1;
    return memcpy(imap_arena_alloc(decoder->parser->arena, size), decoded, size);
}

static enum outcome read_list(struct decoder *decoder)
{
    struct imap_list *list = &decoder->reply->list;
    struct imap_token delimiter;
    if (!list_flags_read(decoder))
        return NONSENSE;
    if (imap_cursor_next(&decoder->cursor, &delimiter) >= IMAP_TOKEN_LIST)
        return NONSENSE;
    const char *text = imap_token_string(&delimiter);
    list->delimiter = text == NULL ? '\0' : text[0];
    list->wire = list_name(decoder);
    if (list->wire == NULL)
        return NONSENSE;
    list->name = name_decode(decoder, list->wire);
    return UNDERSTOOD;
}

/* The "(" of the list that ends the line, NULL if none does. */
static char *last_list(char *text, char *end)
{
    size_t depth = 0;
    while (end > text) {
        end--;
        depth += *end == ')';
        if (*end == '(' && depth > 0 && --depth == 0)
            return end;
        if (depth == 0 && *end != ' ')
            return NULL;
    }
    return NULL;
}

/* The name in a STATUS, before the items; an unquoted one may have blanks and parentheses in it. */
static char *status_name(struct decoder *decoder)
{
    struct imap_cursor *cursor = &decoder->cursor;
    struct imap_token token;
    char c = imap_cursor_blank(cursor);
    char *text = cursor->text + cursor->pos, *name;
    char *items =
        c == '\0' || is_quoted_well(text) ? NULL : last_list(text, cursor->text + cursor->limit);
    if (items != NULL && items > text && items[-1] == ' ') {
        name = text;
        imap_cursor_init(cursor, decoder->parser, (size_t)(items - cursor->text));
        items[-1] = '\0';
    } else {
        if (imap_cursor_next(cursor, &token) == IMAP_TOKEN_END)
            return NULL;
        name = imap_token_string(&token);
    }
    return name == NULL || strlen(name) > MAILBOX_MAX ? NULL : name;
}

static int64_t number_or_unknown(const struct imap_token *token)
{
    uint64_t number;
    return imap_token_number(token, &number) ? (int64_t)number : -1;
}

static uint32_t uid_or_zero(const struct imap_token *token)
{
    uint64_t number;
    return imap_token_number(token, &number) && number <= G_MAXUINT32 ? (uint32_t)number : 0;
}

static void status_item(struct imap_status *status, const struct imap_token *name,
                        const struct imap_token *value)
{
    if (imap_token_is(name, "MESSAGES"))
        status->messages = number_or_unknown(value);
    else if (imap_token_is(name, "UNSEEN"))
        status->unseen = number_or_unknown(value);
    else if (imap_token_is(name, "HIGHESTMODSEQ"))
        status->highestmodseq = number_or_unknown(value);
    else if (imap_token_is(name, "UIDNEXT"))
        status->uidnext = uid_or_zero(value);
    else if (imap_token_is(name, "UIDVALIDITY"))
        status->uidvalidity = uid_or_zero(value);
}

static enum outcome read_status(struct decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    struct imap_status *status = &decoder->reply->status;
    *status = (struct imap_status){.messages = -1, .unseen = -1, .highestmodseq = -1};
    status->wire = status_name(decoder);
    if (!imap_tokens_read(&decoder->cursor))
        return TOO_BIG;
    if (status->wire == NULL || parser->tokens->len == 0 ||
        imap_token_at(parser, 0)->kind != IMAP_TOKEN_LIST)
        return NONSENSE;
    for (guint i = 1; i + 1 < parser->tokens->len;) {
        status_item(status, imap_token_at(parser, i), imap_token_at(parser, i + 1));
        i = imap_token_at(parser, i + 1)->next;
    }
    return UNDERSTOOD;
}

static enum outcome read_namespace(struct decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    if (!imap_tokens_read(&decoder->cursor))
        return TOO_BIG;
    /* ((prefix delimiter ...) ...): the first two tokens are the lists' parentheses */
    if (parser->tokens->len < 4 || imap_token_at(parser, 0)->kind != IMAP_TOKEN_LIST ||
        imap_token_at(parser, 1)->kind != IMAP_TOKEN_LIST || imap_token_at(parser, 1)->next < 4)
        return UNDERSTOOD;
    const char *delimiter = imap_token_string(imap_token_at(parser, 3));
    decoder->reply->personal_prefix = imap_token_string(imap_token_at(parser, 2));
    decoder->reply->personal_delimiter = delimiter == NULL ? '\0' : delimiter[0];
    return UNDERSTOOD;
}

static enum outcome read_id(struct decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    if (!imap_tokens_read(&decoder->cursor))
        return TOO_BIG;
    for (guint i = 1; i + 1 < parser->tokens->len; i = imap_token_at(parser, i + 1)->next) {
        const char *key = imap_token_string(imap_token_at(parser, i));
        if (key != NULL && g_ascii_strcasecmp(key, "name") == 0)
            decoder->reply->id_name = imap_token_string(imap_token_at(parser, i + 1));
    }
    return UNDERSTOOD;
}

/* ---- sets of UIDs ---------------------------------------------------------------------------- */

static struct imap_uidset *uids_new(struct decoder *decoder)
{
    decoder->parser->uids = imap_uidset_new();
    decoder->reply->uids = decoder->parser->uids;
    return decoder->parser->uids;
}

static bool uids_parse(struct decoder *decoder, const char *text)
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
static enum outcome read_search(struct decoder *decoder)
{
    struct imap_uidset *uids = uids_new(decoder);
    imap_cursor_blank(&decoder->cursor);
    const char *at = imap_cursor_rest(&decoder->cursor);
    for (at += strspn(at, " "); *at != '\0' && *at != '('; at += strspn(at, " ")) {
        char *end;
        bool negative = *at == '-';
        if (!g_ascii_isdigit(at[negative]))
            return NONSENSE;
        guint64 uid = g_ascii_strtoull(at + negative, &end, 10);
        if (*end != ' ' && *end != '\0' && *end != '(')
            return NONSENSE;
        if (!negative && uid <= G_MAXUINT32)
            imap_uidset_add(uids, (uint32_t)uid, (uint32_t)uid);
        at = end;
    }
    return UNDERSTOOD;
}

/* "ESEARCH (TAG "A1") UID COUNT 2 ALL 1:4,7" (RFC 9051, 7.3.4). No ALL: nothing was found. */
static enum outcome read_esearch(struct decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    if (!imap_tokens_read(&decoder->cursor))
        return TOO_BIG;
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
            return NONSENSE;
    }
    return UNDERSTOOD;
}

static enum outcome read_vanished(struct decoder *decoder)
{
    struct imap_token token;
    enum imap_token_kind kind = imap_cursor_next(&decoder->cursor, &token);
    while (kind == IMAP_TOKEN_LIST || kind == IMAP_TOKEN_CLOSE ||
           imap_token_is(&token, "EARLIER")) {
        decoder->reply->earlier |= imap_token_is(&token, "EARLIER");
        kind = imap_cursor_next(&decoder->cursor, &token);
    }
    return kind == IMAP_TOKEN_ATOM && uids_parse(decoder, token.data) ? UNDERSTOOD : NONSENSE;
}

/* ---- messages -------------------------------------------------------------------------------- */

static enum outcome read_number_only(struct decoder *decoder)
{
    return UNDERSTOOD;
}

static enum outcome read_fetch(struct decoder *decoder)
{
    decoder->reply->fetch.sequence = decoder->reply->number;
    if (!imap_tokens_read(&decoder->cursor))
        return TOO_BIG;
    imap_fetch_read(decoder->parser, &decoder->reply->fetch);
    return UNDERSTOOD;
}

/* RFC 9586: the number is the UID. */
static enum outcome read_uidfetch(struct decoder *decoder)
{
    if (!imap_tokens_read(&decoder->cursor))
        return TOO_BIG;
    imap_fetch_read(decoder->parser, &decoder->reply->fetch);
    decoder->reply->fetch.uid = decoder->reply->number;
    decoder->reply->fetch.items |= IMAP_ITEM_UID;
    return decoder->reply->number > 0 ? UNDERSTOOD : NONSENSE;
}

/* ---- untagged replies ------------------------------------------------------------------------ */

static const struct handler {
    const char *name;
    bool numbered; /* "* 5 NAME" */
    enum imap_reply_kind kind;
    enum outcome (*read)(struct decoder *decoder);
} HANDLERS[] = {
    {"FETCH", true, IMAP_REPLY_FETCH, read_fetch},
    {"UIDFETCH", true, IMAP_REPLY_FETCH, read_uidfetch},
    {"EXISTS", true, IMAP_REPLY_EXISTS, read_number_only},
    {"EXPUNGE", true, IMAP_REPLY_EXPUNGE, read_number_only},
    {"EXPUNGED", true, IMAP_REPLY_EXPUNGE, read_number_only}, /* GNU mailutils */
    {"LIST", false, IMAP_REPLY_LIST, read_list},
    {"LSUB", false, IMAP_REPLY_LIST, read_list},
    {"XLIST", false, IMAP_REPLY_LIST, read_list},
    {"STATUS", false, IMAP_REPLY_STATUS, read_status},
    {"SEARCH", false, IMAP_REPLY_SEARCH, read_search},
    {"ESEARCH", false, IMAP_REPLY_SEARCH, read_esearch},
    {"VANISHED", false, IMAP_REPLY_VANISHED, read_vanished},
    {"FLAGS", false, IMAP_REPLY_FLAGS, read_number_only},
    {"CAPABILITY", false, IMAP_REPLY_CAPABILITY, read_words},
    {"ENABLED", false, IMAP_REPLY_ENABLED, read_words},
    {"NAMESPACE", false, IMAP_REPLY_NAMESPACE, read_namespace},
    {"ID", false, IMAP_REPLY_ID, read_id},
};

static const struct handler *handler_find(const char *name, bool numbered)
{
    for (size_t i = 0; i < G_N_ELEMENTS(HANDLERS); i++)
        if (HANDLERS[i].numbered == numbered && g_ascii_strcasecmp(HANDLERS[i].name, name) == 0)
            return &HANDLERS[i];
    return NULL;
}

static enum outcome read_untagged(struct decoder *decoder)
{
    static const struct condition CODE_ONLY = {"OK", IMAP_COND_OK, false};
    struct imap_token word;
    uint64_t number = 0;
    imap_cursor_init(&decoder->cursor, decoder->parser, 2);
    decoder->reply->kind = IMAP_REPLY_CONDITION;
    if (imap_cursor_blank(&decoder->cursor) == '[')
        return read_condition(decoder, &CODE_ONLY);
    if (imap_cursor_next(&decoder->cursor, &word) != IMAP_TOKEN_ATOM)
        return NONSENSE;
    const struct condition *condition = condition_find(word.data);
    if (condition != NULL)
        return read_condition(decoder, condition);
    bool numbered = imap_digits_parse(word.data, G_MAXUINT32, &number);
    if (numbered && imap_cursor_next(&decoder->cursor, &word) != IMAP_TOKEN_ATOM)
        return NONSENSE;
    const struct handler *handler = handler_find(word.data, numbered);
    if (handler == NULL)
        return NONSENSE;
    decoder->reply->kind = handler->kind;
    decoder->reply->number = (uint32_t)number;
    return handler->read(decoder);
}

static enum outcome reply_read(struct decoder *decoder)
{
    const char *text = decoder->cursor.text;
    if (text[0] == '+')
        return read_continue(decoder);
    if (text[0] == '*' && text[1] == ' ')
        return read_untagged(decoder);
    return read_tagged(decoder);
}

int imap_parser_next(struct imap_parser *parser, bool utf8, struct imap_reply *reply)
{
    struct decoder decoder = {.parser = parser, .reply = reply, .utf8 = utf8};
    memset(reply, 0, sizeof(*reply));
    reply->kind = IMAP_REPLY_IGNORED;
    int rc = imap_frame_next(parser);
    if (rc != 1)
        return rc;
    imap_cursor_init(&decoder.cursor, parser, 0);
    enum outcome outcome = reply_read(&decoder);
    if (outcome == TOO_BIG) {
        parser->failed = true;
        return -1;
    }
    if (outcome == NONSENSE)
        *reply = (struct imap_reply){.kind = IMAP_REPLY_IGNORED};
    return 1;
}
