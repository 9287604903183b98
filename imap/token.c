/* Tokens, read in place from a reply's text. */
#include "imap/parse.h"

#include <string.h>

static bool ends_atom(char c)
{
    return c == ' ' || c == '(' || c == ')' || c == '"' || c == '\r' || c == '\t' || c == '\n';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\r' || c == '\t' || c == '\n';
}

static void cursor_move(struct imap_cursor *cursor, size_t pos)
{
    cursor->pos = pos;
    cursor->c = cursor->text[pos];
}

/* Finds where the piece of text that is read next ends: at cursor->literal. */
static void cursor_limit(struct imap_cursor *cursor)
{
    const GArray *literals = cursor->parser->literals;
    bool more = cursor->literal < literals->len;
    cursor->limit = more ? g_array_index(literals, struct imap_literal, cursor->literal).header
                         : cursor->parser->text->len;
    cursor->no_quote_ahead = cursor->no_bracket_ahead = false;
}

void imap_cursor_init(struct imap_cursor *cursor, struct imap_parser *parser, size_t pos)
{
    *cursor = (struct imap_cursor){.parser = parser, .text = parser->text->str};
    cursor_move(cursor, pos);
    cursor_limit(cursor);
}

char imap_cursor_blank(struct imap_cursor *cursor)
{
    while (cursor->pos < cursor->limit && is_blank(cursor->c))
        cursor_move(cursor, cursor->pos + 1);
    return cursor->pos < cursor->limit ? cursor->c : '\0';
}

char *imap_cursor_rest(struct imap_cursor *cursor)
{
    char *rest = cursor->text + cursor->pos;
    if (cursor->pos < cursor->limit)
        rest[0] = cursor->c;
    cursor->text[cursor->limit] = '\0';
    return rest;
}

static void literal_read(struct imap_cursor *cursor, struct imap_token *token)
{
    const struct imap_literal *literal =
        &g_array_index(cursor->parser->literals, struct imap_literal, cursor->literal);
    token->kind = IMAP_TOKEN_LITERAL;
    token->literal = cursor->literal++;
    size_t start = literal->start, end = literal->end;
    cursor_move(cursor, end);
    cursor_limit(cursor);
    if (literal->oversized || literal->damaged)
        return;
    token->data = literal->bytes != NULL ? literal->bytes : cursor->text + start;
    token->length = (uint32_t)literal->size;
    token->data[token->length] = '\0'; /* cursor->c keeps what stood there */
}

/* Finds the quote that closes the string that begins at pos. Returns limit if there is none. */
static size_t quote_find(const struct imap_cursor *cursor, bool *escaped)
{
    *escaped = false;
    for (size_t at = cursor->pos + 1; at < cursor->limit; at++) {
        if (cursor->text[at] == '"')
            return at;
        if (cursor->text[at] == '\\') {
            *escaped = true;
            at++;
        }
    }
    return cursor->limit;
}

static char *unescape(char *from)
{
    char *to = from;
    while (*from != '\0') {
        if (*from == '\\' && from[1] != '\0')
            from++;
        *to++ = *from++;
    }
    *to = '\0';
    return to;
}

/* Returns false, doing nothing, if the string does not end. */
static bool quoted_read(struct imap_cursor *cursor, struct imap_token *token)
{
    bool escaped;
    if (cursor->no_quote_ahead)
        return false;
    size_t end = quote_find(cursor, &escaped);
    if (end >= cursor->limit) {
        cursor->no_quote_ahead = true;
        return false;
    }
    token->kind = IMAP_TOKEN_STRING;
    token->data = cursor->text + cursor->pos + 1;
    cursor->text[end] = '\0';
    token->length = (uint32_t)(end - cursor->pos - 1);
    if (escaped)
        token->length = (uint32_t)(unescape(token->data) - token->data);
    cursor_move(cursor, end + 1);
    return true;
}

/* The blanks and parentheses of "BODY[HEADER.FIELDS (A B)]<0>" belong to the atom. Returns where to
 * look for its end: behind "]", or `start` if this is no such atom. */
static size_t section_skip(struct imap_cursor *cursor, size_t start)
{
    static const char *const SECTIONED[] = {"BODY[", "BINARY[", "BINARY.SIZE["};
    const char *text = cursor->text + start;
    if ((text[0] != 'B' && text[0] != 'b') || cursor->no_bracket_ahead)
        return start;
    for (size_t i = 0; i < G_N_ELEMENTS(SECTIONED); i++) {
        if (g_ascii_strncasecmp(text, SECTIONED[i], strlen(SECTIONED[i])) != 0)
            continue;
        const char *close = memchr(text, ']', cursor->limit - start);
        cursor->no_bracket_ahead = close == NULL;
        return close == NULL ? start : start + (size_t)(close - text) + 1;
    }
    return start;
}

static void atom_read(struct imap_cursor *cursor, struct imap_token *token)
{
    size_t start = cursor->pos;
    if (cursor->text[start] == '\0') /* a stray quote that ends the atom before it */
        start++;
    size_t end = section_skip(cursor, start);
    if (end == cursor->pos)
        end++;
    while (end < cursor->limit &&
           (!ends_atom(cursor->text[end]) || (cursor->text[end] == '"' && cursor->no_quote_ahead)))
        end++;
    cursor_move(cursor, end);
    token->kind = IMAP_TOKEN_ATOM;
    token->data = cursor->text + start;
    token->length = (uint32_t)(end - start);
    token->data[token->length] = '\0'; /* cursor->c keeps what stood there */
    if (token->length == 3 && g_ascii_strcasecmp(token->data, "NIL") == 0)
        token->kind = IMAP_TOKEN_NIL;
}

enum imap_token_kind imap_cursor_next(struct imap_cursor *cursor, struct imap_token *token)
{
    *token = (struct imap_token){.kind = IMAP_TOKEN_END};
    char c = imap_cursor_blank(cursor);
    if (cursor->pos >= cursor->limit) {
        if (cursor->literal < cursor->parser->literals->len)
            literal_read(cursor, token);
    } else if (c == '(' || c == ')') {
        token->kind = c == '(' ? IMAP_TOKEN_LIST : IMAP_TOKEN_CLOSE;
        cursor_move(cursor, cursor->pos + 1);
    } else if (c != '"' || !quoted_read(cursor, token)) {
        atom_read(cursor, token);
    }
    return token->kind;
}

static void list_close(struct imap_parser *parser)
{
    guint depth = parser->open->len;
    if (depth == 0)
        return;
    uint32_t list = g_array_index(parser->open, uint32_t, depth - 1);
    g_array_index(parser->tokens, struct imap_token, list).next = parser->tokens->len;
    g_array_set_size(parser->open, depth - 1);
}

bool imap_tokens_read(struct imap_cursor *cursor)
{
    struct imap_parser *parser = cursor->parser;
    struct imap_token token;
    while (imap_cursor_next(cursor, &token) != IMAP_TOKEN_END) {
        if (token.kind == IMAP_TOKEN_CLOSE) {
            list_close(parser);
            continue;
        }
        if (parser->tokens->len >= parser->limits.token_max)
            return false;
        uint32_t index = parser->tokens->len;
        if (token.kind == IMAP_TOKEN_LIST)
            g_array_append_val(parser->open, index);
        token.next = index + 1;
        g_array_append_val(parser->tokens, token);
    }
    while (parser->open->len > 0)
        list_close(parser);
    return true;
}

bool imap_token_is(const struct imap_token *token, const char *word)
{
    return token->kind == IMAP_TOKEN_ATOM && g_ascii_strcasecmp(token->data, word) == 0;
}

bool imap_digits_parse(const char *text, uint64_t max, uint64_t *number)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (!g_ascii_isdigit(*text) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    if (value > max)
        return false;
    *number = value;
    return true;
}

bool imap_token_number(const struct imap_token *token, uint64_t *number)
{
    return (token->kind == IMAP_TOKEN_ATOM || token->kind == IMAP_TOKEN_STRING) &&
           imap_digits_parse(token->data, G_MAXINT64, number);
}

char *imap_token_string(const struct imap_token *token)
{
    if (token->kind == IMAP_TOKEN_LITERAL && token->data != NULL) {
        char *end = token->data + token->length, *nul = token->data;
        while ((nul = memchr(nul, '\0', (size_t)(end - nul))) != NULL)
            *nul = 0x1a;
    }
    return token->kind == IMAP_TOKEN_NIL || token->kind == IMAP_TOKEN_LIST ? NULL : token->data;
}
