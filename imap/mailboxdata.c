/* Replies about mailboxes (RFC 9051, 9: mailbox-data). */
#include "imap/decode.h"

#include <string.h>

/* More namespaces than this are passed over. */
#define NAMESPACES_MAX 32

static const struct list_flag {
    const char *name;
    unsigned flag;
} LIST_FLAGS[] = {
    {"\\Noselect", IMAP_LIST_NOSELECT},
    {"\\NonExistent", IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT},
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
static bool list_flags_read(struct imap_decoder *decoder)
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

/* The rest of the line, taken as one name. The cursor goes to the extended data, if there are any.
 */
static char *bare_name(struct imap_decoder *decoder)
{
    struct imap_cursor *cursor = &decoder->cursor;
    char *rest = imap_cursor_rest(cursor), *end;
    size_t length = strlen(rest);
    if (length >= 2 && rest[0] == '"' && rest[length - 1] == '"') {
        rest[length - 1] = '\0'; /* there are quotes inside that nobody escaped */
        imap_cursor_init(cursor, decoder->parser, (size_t)(rest - cursor->text) + length);
        return rest + 1;
    }
    end = bare_name_end(rest);
    imap_cursor_init(cursor, decoder->parser, (size_t)(end - cursor->text) + (*end == ' '));
    *end = '\0';
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
static char *list_name(struct imap_decoder *decoder)
{
    struct imap_cursor *cursor = &decoder->cursor;
    struct imap_token token;
    char *name, c = imap_cursor_blank(cursor);
    if (c != '\0' && !is_quoted_well(cursor->text + cursor->pos)) {
        name = bare_name(decoder);
    } else {
        if (imap_cursor_next(cursor, &token) == IMAP_TOKEN_END)
            return NULL;
        name = imap_token_string(&token);
    }
    return name == NULL || strlen(name) > IMAP_MAILBOX_MAX ? NULL : name;
}

static const char *name_decode(struct imap_decoder *decoder, const char *wire)
{
    g_autofree char *decoded = decoder->utf8 ? NULL : imap_utf7_decode(wire);
    if (decoded == NULL)
        decoded = g_utf8_make_valid(wire, -1);
    size_t size = strlen(decoded) + 1;
    return memcpy(imap_arena_alloc(decoder->parser->arena, size), decoded, size);
}

/* OLDNAME in the extended data: (... "OLDNAME" ("name") ...) (RFC 9051, 6.3.9.7). NULL: none. */
static const char *old_name(const struct imap_parser *parser)
{
    if (parser->tokens->len == 0 || imap_token_at(parser, 0)->kind != IMAP_TOKEN_LIST)
        return NULL;
    guint end = imap_token_at(parser, 0)->next;
    for (guint i = 1; i + 1 < end; i = imap_token_at(parser, i + 1)->next) {
        const char *key = imap_token_string(imap_token_at(parser, i));
        const struct imap_token *value = imap_token_at(parser, i + 1);
        if (key == NULL || g_ascii_strcasecmp(key, "OLDNAME") != 0)
            continue;
        if (value->kind == IMAP_TOKEN_LIST && value->next > i + 2)
            value = imap_token_at(parser, i + 2);
        const char *name = imap_token_string(value);
        return name == NULL || strlen(name) > IMAP_MAILBOX_MAX ? NULL : name;
    }
    return NULL;
}

enum imap_outcome imap_read_list(struct imap_decoder *decoder)
{
    struct imap_list *list = &decoder->reply->list;
    struct imap_token delimiter;
    if (!list_flags_read(decoder))
        return IMAP_NONSENSE;
    if (imap_cursor_next(&decoder->cursor, &delimiter) >= IMAP_TOKEN_LIST)
        return IMAP_NONSENSE;
    const char *text = imap_token_string(&delimiter);
    list->delimiter = text == NULL ? '\0' : text[0];
    list->wire = list_name(decoder);
    if (list->wire == NULL)
        return IMAP_NONSENSE;
    list->name = name_decode(decoder, list->wire);
    if (!imap_tokens_read(&decoder->cursor))
        return IMAP_TOO_BIG;
    list->old_wire = old_name(decoder->parser);
    return IMAP_UNDERSTOOD;
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
static char *status_name(struct imap_decoder *decoder)
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
    return name == NULL || strlen(name) > IMAP_MAILBOX_MAX ? NULL : name;
}

static const struct status_item {
    const char *name;
    size_t offset; /* in struct imap_status */
    bool wide;     /* an int64_t, else a uint32_t */
} STATUS_ITEMS[] = {
    {"MESSAGES", offsetof(struct imap_status, messages), true},
    {"UNSEEN", offsetof(struct imap_status, unseen), true},
    {"HIGHESTMODSEQ", offsetof(struct imap_status, highestmodseq), true},
    {"UIDNEXT", offsetof(struct imap_status, uidnext), false},
    {"UIDVALIDITY", offsetof(struct imap_status, uidvalidity), false},
};

static void status_item(struct imap_status *status, const struct imap_token *name,
                        const struct imap_token *value)
{
    uint64_t number;
    if (!imap_token_number(value, &number))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(STATUS_ITEMS); i++) {
        if (!imap_token_is(name, STATUS_ITEMS[i].name))
            continue;
        void *field = (char *)status + STATUS_ITEMS[i].offset;
        if (STATUS_ITEMS[i].wide)
            *(int64_t *)field = (int64_t)number;
        else if (number <= G_MAXUINT32)
            *(uint32_t *)field = (uint32_t)number;
    }
}

/* RFC 8474, 7: objectid. Some servers send garbage. */
bool imap_objectid_valid(const char *id)
{
    size_t length = strspn(id, "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    return length > 0 && length <= IMAP_OBJECTID_MAX && id[length] == '\0';
}

/* The object id in token `index`, "(F1)"; NULL: there is none. */
static const char *objectid(const struct imap_parser *parser, guint index)
{
    const struct imap_token *token = imap_token_at(parser, index);
    if (token->kind == IMAP_TOKEN_LIST) {
        if (token->next <= index + 1)
            return NULL;
        token = imap_token_at(parser, index + 1);
    }
    const char *id = imap_token_string(token);
    return id != NULL && imap_objectid_valid(id) ? id : NULL;
}

enum imap_outcome imap_read_status(struct imap_decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    struct imap_status *status = &decoder->reply->status;
    *status = (struct imap_status){.messages = -1, .unseen = -1, .highestmodseq = -1};
    status->wire = status_name(decoder);
    if (!imap_tokens_read(&decoder->cursor))
        return IMAP_TOO_BIG;
    if (status->wire == NULL || parser->tokens->len == 0 ||
        imap_token_at(parser, 0)->kind != IMAP_TOKEN_LIST)
        return IMAP_NONSENSE;
    for (guint i = 1; i + 1 < parser->tokens->len;) {
        const struct imap_token *value = imap_token_at(parser, i + 1);
        status_item(status, imap_token_at(parser, i), value);
        if (imap_token_is(imap_token_at(parser, i), "MAILBOXID"))
            status->mailboxid = objectid(parser, i + 1);
        i = value->next;
    }
    return IMAP_UNDERSTOOD;
}

/* (((prefix delimiter ...) ...) or NIL, three times: personal, other users', shared. */
enum imap_outcome imap_read_namespace(struct imap_decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    if (!imap_tokens_read(&decoder->cursor))
        return IMAP_TOO_BIG;
    const char **prefixes =
        imap_arena_alloc(parser->arena, (NAMESPACES_MAX + 1) * sizeof(prefixes[0]));
    guint count = 0, length = parser->tokens->len;
    for (guint i = 0; i < length; i = imap_token_at(parser, i)->next) {
        const struct imap_token *kind = imap_token_at(parser, i);
        if (kind->kind != IMAP_TOKEN_LIST)
            continue;
        for (guint j = i + 1; j < kind->next; j = imap_token_at(parser, j)->next) {
            const struct imap_token *one = imap_token_at(parser, j);
            bool has_prefix = one->kind == IMAP_TOKEN_LIST && one->next > j + 1;
            const char *prefix =
                has_prefix ? imap_token_string(imap_token_at(parser, j + 1)) : NULL;
            if (prefix != NULL && count < NAMESPACES_MAX)
                prefixes[count++] = prefix;
        }
    }
    prefixes[count] = NULL;
    decoder->reply->words = prefixes;
    return IMAP_UNDERSTOOD;
}
