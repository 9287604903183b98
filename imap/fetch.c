/* The items of a FETCH reply, one table row each (RFC 9051, 7.5.2). */
#include "imap/parse.h"

#include <string.h>

/* Each reads token `index`, its item's value. Returns whether it makes sense. */
typedef bool (*item_read)(struct imap_parser *parser, guint index, struct imap_fetch *fetch);

static bool read_uid(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    uint64_t uid;
    if (!imap_token_number(imap_token_at(parser, index), &uid) || uid == 0 || uid > G_MAXUINT32)
        return false;
    fetch->uid = (uint32_t)uid;
    return true;
}

static bool read_flags(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    const struct imap_token *value = imap_token_at(parser, index);
    if (value->kind != IMAP_TOKEN_LIST && value->kind != IMAP_TOKEN_NIL)
        return false;
    guint count = 0;
    const char **flags =
        imap_arena_alloc(parser->arena, (value->next - index) * sizeof(*fetch->flags));
    for (guint i = index + 1; i < value->next; i = imap_token_at(parser, i)->next) {
        const char *flag = imap_token_string(imap_token_at(parser, i));
        if (flag != NULL && *flag != '\0')
            flags[count++] = flag;
    }
    flags[count] = NULL;
    fetch->flags = flags;
    return true;
}

static bool read_internaldate(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    const char *date = imap_token_string(imap_token_at(parser, index));
    return date != NULL && imap_date_parse(date, &fetch->internaldate);
}

static bool read_size(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    return imap_token_number(imap_token_at(parser, index), &fetch->size);
}

/* "(12345)", also without the parentheses. */
static const struct imap_token *only_element(struct imap_parser *parser, guint index)
{
    const struct imap_token *value = imap_token_at(parser, index);
    return value->kind == IMAP_TOKEN_LIST && value->next > index + 1
               ? imap_token_at(parser, index + 1)
               : value;
}

static bool read_modseq(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    return imap_token_number(only_element(parser, index), &fetch->modseq);
}

static bool read_emailid(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    fetch->emailid = imap_token_string(only_element(parser, index));
    return fetch->emailid != NULL && *fetch->emailid != '\0';
}

static bool read_gm_msgid(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    const struct imap_token *value = imap_token_at(parser, index);
    return (value->kind == IMAP_TOKEN_ATOM || value->kind == IMAP_TOKEN_STRING) &&
           imap_digits_parse(value->data, G_MAXUINT64, &fetch->gm_msgid);
}

static bool read_structure(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    if (imap_structure_read(parser, index, &fetch->structure)) {
        fetch->items &= ~(unsigned)IMAP_ITEM_STRUCTURE_BROKEN;
        return true;
    }
    fetch->structure = (struct imap_structure){0};
    fetch->items &= ~(unsigned)IMAP_ITEM_STRUCTURE;
    fetch->items |= IMAP_ITEM_STRUCTURE_BROKEN;
    return false;
}

static const struct item {
    const char *name;
    unsigned bit; /* enum imap_item, 0: passed over */
    item_read read;
} ITEMS[] = {
    {"UID", IMAP_ITEM_UID, read_uid},
    {"FLAGS", IMAP_ITEM_FLAGS, read_flags},
    {"INTERNALDATE", IMAP_ITEM_INTERNALDATE, read_internaldate},
    {"RFC822.SIZE", IMAP_ITEM_SIZE, read_size},
    {"MODSEQ", IMAP_ITEM_MODSEQ, read_modseq},
    {"EMAILID", IMAP_ITEM_EMAILID, read_emailid},
    {"X-GM-MSGID", IMAP_ITEM_GM_MSGID, read_gm_msgid},
    {"BODYSTRUCTURE", IMAP_ITEM_STRUCTURE, read_structure},
    {"BODY", 0, NULL},
    {"ENVELOPE", 0, NULL},
    {"RFC822", 0, NULL},
    {"THREADID", 0, NULL},
};

static const struct item *item_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ITEMS); i++)
        if (g_ascii_strcasecmp(ITEMS[i].name, name) == 0)
            return &ITEMS[i];
    return NULL;
}

static bool is_section(const struct imap_token *token)
{
    return token->kind == IMAP_TOKEN_ATOM && g_ascii_strncasecmp(token->data, "BODY[", 5) == 0;
}

/* "<0>" or "<0.20>". Returns false if there is something else than such an origin or nothing. */
static bool origin_parse(const char *text, int64_t *origin)
{
    *origin = -1;
    if (*text == '\0')
        return true;
    if (*text++ != '<' || !g_ascii_isdigit(*text))
        return false;
    uint64_t number = 0;
    for (; g_ascii_isdigit(*text); text++) {
        if (number > G_MAXINT64 / 10 - 1)
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
    }
    *origin = (int64_t)number;
    return *text == '>' || *text == '.';
}

/* Splits "BODY[HEADER.FIELDS (DATE)]<0>" in place. The list of fields is left off. */
static bool section_parse(char *text, char *rest, struct imap_body *body)
{
    char *section = text + strlen("BODY[");
    char *close = strchr(rest == NULL ? section : rest, ']');
    if (close == NULL || !origin_parse(close + 1, &body->origin))
        return false;
    if (rest == NULL)
        *close = '\0';
    section[strcspn(section, " ")] = '\0';
    for (char *c = section; *c != '\0'; c++)
        *c = g_ascii_toupper(*c);
    body->section = section;
    return true;
}

static void body_add(struct imap_parser *parser, const struct imap_token *value,
                     struct imap_body body)
{
    body.nil = value->kind == IMAP_TOKEN_NIL;
    body.size = value->length;
    if (value->kind == IMAP_TOKEN_STRING) {
        body.bytes = g_bytes_new(value->data, value->length);
    } else if (!body.nil) {
        struct imap_literal *literal =
            &g_array_index(parser->literals, struct imap_literal, value->literal);
        if (literal->damaged)
            return;
        body.size = literal->size;
        body.oversized = literal->oversized;
        if (literal->bytes != NULL)
            body.bytes = g_bytes_new_take(g_steal_pointer(&literal->bytes), literal->size);
        else if (!literal->oversized)
            body.bytes = g_bytes_new(value->data, value->length);
    }
    g_array_append_val(parser->bodies, body);
}

/* Reads the section at `index` and its value. Returns the index behind them; a value that is no
 * string is not one: it is missing. */
static guint read_section(struct imap_parser *parser, guint index)
{
    const struct imap_token *name = imap_token_at(parser, index++), *rest = NULL;
    guint count = parser->tokens->len;
    struct imap_body body = {0};
    /* "BODY[HEADER.FIELDS (" literals ")]" came as three tokens */
    if (strchr(name->data, ']') == NULL && index < count) {
        index = imap_token_at(parser, index)->next;
        if (index >= count)
            return index;
        rest = imap_token_at(parser, index);
        if (rest->kind != IMAP_TOKEN_ATOM || rest->data[0] != ']')
            return index;
        index++;
    }
    bool understood = section_parse(name->data, rest != NULL ? rest->data : NULL, &body);
    if (index >= count)
        return index;
    const struct imap_token *value = imap_token_at(parser, index);
    if (value->kind == IMAP_TOKEN_ATOM)
        return index;
    if (understood && value->kind != IMAP_TOKEN_LIST)
        body_add(parser, value, body);
    return value->next;
}

/* Reads the item whose name is token `index`. Returns the index behind its value. */
static guint read_item(struct imap_parser *parser, guint index, struct imap_fetch *fetch)
{
    const struct imap_token *name = imap_token_at(parser, index);
    if (is_section(name))
        return read_section(parser, index);
    if (name->kind != IMAP_TOKEN_ATOM || ++index >= parser->tokens->len)
        return name->next;
    const struct item *item = item_find(name->data);
    const struct imap_token *value = imap_token_at(parser, index);
    if (value->kind == IMAP_TOKEN_ATOM && (is_section(value) || item_find(value->data) != NULL))
        return index; /* the next item: this one has no value */
    if (item != NULL && item->read != NULL && item->read(parser, index, fetch))
        fetch->items |= item->bit;
    return value->next;
}

void imap_fetch_read(struct imap_parser *parser, struct imap_fetch *fetch)
{
    guint index = 0, count = parser->tokens->len;
    /* only the opening parenthesis counts: one too many inside closes it too early */
    if (count > 0 && imap_token_at(parser, 0)->kind == IMAP_TOKEN_LIST)
        index = 1;
    while (index < count)
        index = read_item(parser, index, fetch);
    fetch->bodies = (const struct imap_body *)(void *)parser->bodies->data;
    fetch->body_count = parser->bodies->len;
}
