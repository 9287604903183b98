/* Framing: the stream to replies, each a line with its literals. */
#include "imap/parse.h"

#include <string.h>

#define LINE_MAX_DEFAULT ((size_t)32 << 20)
#define LITERAL_MAX_DEFAULT ((size_t)64 << 20)
#define DEPTH_MAX_DEFAULT 4096
#define TOKEN_MAX_DEFAULT 4000000

/* A literal up to this size stays in the text: copying it again costs less than its own memory. */
#define LITERAL_INLINE_MAX 8192
/* A reply is long from here on: what somebody says in between is shorter. */
#define AMID_LEAST 512
/* Memory above this is given back after a reply. */
#define KEEP_MAX ((size_t)1 << 20)

/* What a state did. */
enum step { STEP_FAILED = -1, STEP_STARVED = 0, STEP_WHOLE = 1, STEP_ON };

static size_t or_default(size_t value, size_t standard)
{
    return value == 0 ? standard : value;
}

struct imap_parser *imap_parser_new(const struct imap_limits *limits)
{
    static const struct imap_limits none;
    struct imap_parser *parser = g_new0(struct imap_parser, 1);
    if (limits == NULL)
        limits = &none;
    parser->limits.line_max = MIN(or_default(limits->line_max, LINE_MAX_DEFAULT), G_MAXINT32);
    parser->limits.literal_max =
        MIN(or_default(limits->literal_max, LITERAL_MAX_DEFAULT), G_MAXINT32);
    parser->limits.depth_max = or_default(limits->depth_max, DEPTH_MAX_DEFAULT);
    parser->limits.token_max = MIN(or_default(limits->token_max, TOKEN_MAX_DEFAULT), G_MAXINT32);
    parser->raw = g_byte_array_new();
    parser->text = g_string_new(NULL);
    parser->literals = g_array_new(FALSE, FALSE, sizeof(struct imap_literal));
    parser->tokens = g_array_new(FALSE, FALSE, sizeof(struct imap_token));
    parser->open = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    parser->bodies = g_array_new(FALSE, FALSE, sizeof(struct imap_body));
    parser->parts = g_array_new(FALSE, FALSE, sizeof(struct imap_part));
    parser->frames = g_array_new(FALSE, FALSE, sizeof(struct imap_frame));
    parser->arena = imap_arena_new();
    return parser;
}

/* Empties an array, giving back its memory if it had grown out of proportion. */
static void array_empty(GArray **array)
{
    size_t element = g_array_get_element_size(*array);
    if ((*array)->len * element > KEEP_MAX) {
        g_array_unref(*array);
        *array = g_array_new(FALSE, FALSE, (guint)element);
    } else {
        g_array_set_size(*array, 0);
    }
}

static void reply_drop(struct imap_parser *parser)
{
    for (guint i = 0; i < parser->literals->len; i++)
        g_free(g_array_index(parser->literals, struct imap_literal, i).bytes);
    for (guint i = 0; i < parser->bodies->len; i++)
        g_clear_pointer(&g_array_index(parser->bodies, struct imap_body, i).bytes, g_bytes_unref);
    array_empty(&parser->literals);
    array_empty(&parser->tokens);
    array_empty(&parser->open);
    array_empty(&parser->bodies);
    array_empty(&parser->parts);
    array_empty(&parser->frames);
    g_clear_pointer(&parser->uids, imap_uidset_free);
    imap_arena_reset(parser->arena);
    if (parser->text->allocated_len > KEEP_MAX) {
        g_string_free(parser->text, TRUE);
        parser->text = g_string_new(NULL);
    }
    g_string_truncate(parser->text, 0);
    parser->segment = parser->inline_bytes = 0;
    parser->literal_bytes = 0;
    parser->whole = false;
}

void imap_parser_free(struct imap_parser *parser)
{
    if (parser == NULL)
        return;
    reply_drop(parser);
    g_byte_array_unref(parser->raw);
    g_string_free(parser->text, TRUE);
    g_array_unref(parser->literals);
    g_array_unref(parser->tokens);
    g_array_unref(parser->open);
    g_array_unref(parser->bodies);
    g_array_unref(parser->parts);
    g_array_unref(parser->frames);
    imap_arena_free(parser->arena);
    g_free(parser);
}

static struct imap_literal *literal_last(struct imap_parser *parser)
{
    return &g_array_index(parser->literals, struct imap_literal, parser->literals->len - 1);
}

/* Gives the literal that is being read its next bytes. Returns how many it took. */
static size_t literal_fill(struct imap_parser *parser, const char *bytes, size_t length)
{
    struct imap_literal *literal = literal_last(parser);
    size_t take = (size_t)MIN(parser->literal_left, length);
    if (literal->bytes != NULL) {
        memcpy(literal->bytes + (literal->size - parser->literal_left), bytes, take);
    } else if (!literal->oversized) {
        g_string_append_len(parser->text, bytes, (gssize)take);
        literal->end += take;
        parser->inline_bytes += take;
    }
    parser->literal_left -= take;
    if (parser->literal_left == 0) {
        parser->state = IMAP_FRAME_AFTER_LITERAL;
        parser->segment = parser->text->len;
    }
    return take;
}

/* Drops the used front once it is the larger half, so that every byte moves at most once or so. */
static void raw_compact(struct imap_parser *parser)
{
    size_t left = parser->raw->len - parser->raw_start;
    if (left > parser->raw_start)
        return;
    if (left > 0)
        memcpy(parser->raw->data, parser->raw->data + parser->raw_start, left);
    if (left == 0 && parser->raw->len > KEEP_MAX) {
        g_byte_array_unref(parser->raw);
        parser->raw = g_byte_array_new();
    }
    g_byte_array_set_size(parser->raw, (guint)left);
    parser->raw_start = 0;
}

void imap_parser_feed(struct imap_parser *parser, const void *bytes, size_t length)
{
    const char *from = bytes;
    if (parser->failed || length == 0)
        return;
    if (parser->raw_start > 0)
        raw_compact(parser);
    if (parser->raw->len == 0 && parser->state == IMAP_FRAME_LITERAL && !parser->whole) {
        size_t taken = literal_fill(parser, from, length);
        from += taken;
        length -= taken;
    }
    if (length > G_MAXINT32 - parser->raw->len)
        parser->failed = true;
    else if (length > 0)
        g_byte_array_append(parser->raw, (const guint8 *)from, (guint)length);
}

bool imap_parser_pending(const struct imap_parser *parser)
{
    return parser->raw->len > parser->raw_start ||
           (!parser->whole && (parser->text->len > 0 || parser->state != IMAP_FRAME_LINE));
}

/* Literals occur in untagged data only. Everything else ends in text that people read, where "{5}"
 * means nothing, or is what a wrong literal left behind. */
static bool may_have_literal(const char *text)
{
    static const char *const FREE_TEXT[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
    if (text[0] != '*' || text[1] != ' ' || text[2] == '[')
        return false;
    size_t length = strcspn(text + 2, " \r\n");
    for (size_t i = 0; i < G_N_ELEMENTS(FREE_TEXT); i++)
        if (strlen(FREE_TEXT[i]) == length &&
            g_ascii_strncasecmp(text + 2, FREE_TEXT[i], length) == 0)
            return false;
    return true;
}

bool imap_parser_amid_data(const struct imap_parser *parser)
{
    if (parser->whole || !may_have_literal(parser->text->str))
        return false;
    uint64_t come = parser->text->len;
    if (parser->literals->len > 0)
        come +=
            g_array_index(parser->literals, struct imap_literal, parser->literals->len - 1).size -
            parser->literal_left;
    return come >= AMID_LEAST;
}

/* Finds the "{n}", "{n+}" or "~{n}" that ends the line piece [segment, end). Returns false if there
 * is none; *size is over G_MAXINT64 if the number is. */
static bool literal_header(const struct imap_parser *parser, size_t end, size_t *header,
                           uint64_t *size)
{
    const char *text = parser->text->str;
    size_t at = end;
    if (at < parser->segment + 3 || text[--at] != '}')
        return false;
    if (text[at - 1] == '+')
        at--;
    size_t digits_end = at;
    while (at > parser->segment && g_ascii_isdigit(text[at - 1]))
        at--;
    if (at == digits_end || at == parser->segment || text[at - 1] != '{')
        return false;
    *size = 0;
    for (size_t i = at; i < digits_end; i++)
        *size = *size > G_MAXINT64 / 10 ? (uint64_t)G_MAXINT64 + 1 : *size * 10 + (text[i] - '0');
    at--;
    if (at > parser->segment && text[at - 1] == '~')
        at--;
    *header = at;
    return may_have_literal(text);
}

/* Keeps what the limits allow: one literal, and twice that in all literals of a reply. */
static void literal_begin(struct imap_parser *parser, size_t header, uint64_t size)
{
    struct imap_literal literal = {
        .header = header, .start = parser->text->len, .end = parser->text->len, .size = size};
    uint64_t max = parser->limits.literal_max;
    literal.oversized = size > max || parser->literal_bytes + size > 2 * max;
    if (!literal.oversized && size > LITERAL_INLINE_MAX) {
        literal.bytes = g_try_malloc(size + 1);
        literal.oversized = literal.bytes == NULL;
        if (literal.bytes != NULL)
            literal.bytes[size] = '\0';
    }
    if (!literal.oversized)
        parser->literal_bytes += size;
    g_array_append_val(parser->literals, literal);
    parser->literal_left = size;
    parser->segment = parser->text->len;
    parser->state = size == 0 ? IMAP_FRAME_AFTER_LITERAL : IMAP_FRAME_LITERAL;
}

/* The line piece that ends the text is whole. */
static enum step line_end(struct imap_parser *parser)
{
    size_t end = parser->text->len, header;
    uint64_t size;
    while (end > parser->segment && strchr("\r\n", parser->text->str[end - 1]) != NULL)
        end--;
    if (!literal_header(parser, end, &header, &size)) {
        g_string_truncate(parser->text, end);
        return STEP_WHOLE;
    }
    if (size > G_MAXINT64 || parser->literals->len >= parser->limits.token_max)
        return STEP_FAILED;
    literal_begin(parser, header, size);
    return STEP_ON;
}

/* Appends a piece of a line; a NUL in it would end strings too early. */
static void line_append(struct imap_parser *parser, const char *bytes, size_t length)
{
    size_t from = parser->text->len;
    g_string_append_len(parser->text, bytes, (gssize)length);
    char *nul = parser->text->str + from, *end = nul + length;
    while ((nul = memchr(nul, '\0', (size_t)(end - nul))) != NULL)
        *nul = 0x1a;
}

static enum step step_line(struct imap_parser *parser, const char *bytes, size_t length)
{
    size_t padding = 0;
    while (parser->text->len == 0 && padding < length && bytes[padding] == '\0')
        padding++;
    bytes += padding;
    length -= padding;
    const char *lf = length > 0 ? memchr(bytes, '\n', length) : NULL;
    size_t take = lf != NULL ? (size_t)(lf - bytes) + 1 : length;
    parser->raw_start += padding + take;
    if (parser->text->len - parser->inline_bytes + take > parser->limits.line_max)
        return STEP_FAILED;
    if (take > 0)
        line_append(parser, bytes, take);
    return lf != NULL ? line_end(parser) : STEP_STARVED;
}

static enum step step_after_literal(struct imap_parser *parser, const char *bytes)
{
    if (strchr(" )\r\n", bytes[0]) != NULL && bytes[0] != '\0') {
        parser->state = IMAP_FRAME_LINE;
    } else {
        literal_last(parser)->damaged = true;
        parser->state = IMAP_FRAME_SKIP_LINE;
    }
    return STEP_ON;
}

static enum step step_skip_line(struct imap_parser *parser, const char *bytes, size_t length)
{
    const char *lf = memchr(bytes, '\n', length);
    parser->raw_start += lf != NULL ? (size_t)(lf - bytes) + 1 : length;
    return lf != NULL ? STEP_WHOLE : STEP_STARVED;
}

static enum step step(struct imap_parser *parser)
{
    const char *bytes = (const char *)parser->raw->data + parser->raw_start;
    size_t length = parser->raw->len - parser->raw_start;
    if (length == 0)
        return STEP_STARVED;
    switch (parser->state) {
    case IMAP_FRAME_LITERAL:
        parser->raw_start += literal_fill(parser, bytes, length);
        return STEP_ON;
    case IMAP_FRAME_AFTER_LITERAL:
        return step_after_literal(parser, bytes);
    case IMAP_FRAME_SKIP_LINE:
        return step_skip_line(parser, bytes, length);
    default:
        return step_line(parser, bytes, length);
    }
}

int imap_frame_next(struct imap_parser *parser)
{
    enum step result = parser->failed ? STEP_FAILED : STEP_ON;
    if (parser->whole)
        reply_drop(parser);
    while (result == STEP_ON)
        result = step(parser);
    parser->failed = result == STEP_FAILED;
    if (result == STEP_WHOLE) {
        parser->whole = true;
        parser->state = IMAP_FRAME_LINE;
    }
    return (int)result;
}
