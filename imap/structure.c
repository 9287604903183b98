/* BODYSTRUCTURE to a flat array (RFC 9051, 7.5.2: body; 6.4.5.1: section numbers).
 *
 * What a list is gets decided by its shape, since servers leave out fields, add parentheses or put
 * NIL where they know nothing:
 *   first element a list                          multipart, the leading lists are its children
 *   ("mixed" NIL NIL NIL), (NIL "mixed" ...)      multipart without children
 *   (list), nothing else                          the list in it
 *   message/rfc822 with a body in it              message, that body is its only child
 *   all else                                      leaf, missing fields get their defaults
 */
#include "imap/parse.h"

#include <string.h>

#define PARTS_MAX 100000
#define SECTIONS_MAX ((size_t)20 << 20) /* bytes of all section numbers together */
#define ELEMENTS_MAX 16

struct reader {
    struct imap_parser *parser;
    size_t section_bytes;
};

/* The first elements of a list, as indices of tokens. */
struct elements {
    guint index[ELEMENTS_MAX];
    guint count;
};

static const struct imap_token *token_at(const struct reader *reader, guint index)
{
    return imap_token_at(reader->parser, index);
}

static struct elements elements_read(const struct reader *reader, guint from, guint end)
{
    struct elements elements = {.count = 0};
    for (guint i = from; i < end && elements.count < ELEMENTS_MAX; i = token_at(reader, i)->next)
        elements.index[elements.count++] = i;
    return elements;
}

static struct elements elements_of(const struct reader *reader, guint list)
{
    return elements_read(reader, list + 1, token_at(reader, list)->next);
}

/* The element, NULL if there are not so many. */
static const struct imap_token *element(const struct reader *reader,
                                        const struct elements *elements, guint n)
{
    return n < elements->count ? token_at(reader, elements->index[n]) : NULL;
}

static char *element_string(const struct reader *reader, const struct elements *elements, guint n)
{
    const struct imap_token *token = element(reader, elements, n);
    return token == NULL ? NULL : imap_token_string(token);
}

static bool is_list(const struct imap_token *token)
{
    return token != NULL && token->kind == IMAP_TOKEN_LIST;
}

static bool is_nil(const struct imap_token *token)
{
    return token != NULL && token->kind == IMAP_TOKEN_NIL;
}

static bool is_string(const struct imap_token *token)
{
    return token != NULL && !is_list(token) && !is_nil(token);
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (text != NULL && g_ascii_strcasecmp(text, *words) == 0)
            return true;
    return false;
}

static const char *lower(char *text, const char *missing)
{
    if (text == NULL || *text == '\0')
        return missing;
    for (char *c = text; *c != '\0'; c++)
        *c = g_ascii_tolower(*c);
    return text;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* ("name" "value" ...), also (("name" "value") ...). What has no value is dropped. */
static const struct imap_parameter *parameters_read(const struct reader *reader,
                                                    const struct imap_token *list, guint index,
                                                    uint32_t *count)
{
    *count = 0;
    if (!is_list(list) || list->next == index + 1)
        return NULL;
    struct imap_parameter *parameters =
        imap_arena_alloc(reader->parser->arena, (list->next - index) / 2 * sizeof(*parameters));
    char *name = NULL;
    for (guint i = index + 1; i < list->next; i++) {
        const struct imap_token *token = token_at(reader, i);
        if (is_list(token)) {
            name = NULL;
        } else if (name == NULL) {
            name = imap_token_string(token);
        } else {
            char *value = imap_token_string(token);
            if (value != NULL)
                parameters[(*count)++] =
                    (struct imap_parameter){.name = lower(name, ""), .value = value};
            name = NULL;
        }
    }
    return parameters;
}

/* ("attachment" ("filename" "x")) or ("inline" NIL): nothing else in a BODYSTRUCTURE is so made. */
static bool is_disposition(const struct reader *reader, guint index)
{
    if (!is_list(token_at(reader, index)))
        return false;
    struct elements inner = elements_of(reader, index);
    const struct imap_token *second = element(reader, &inner, 1);
    return inner.count == 2 && is_string(element(reader, &inner, 0)) &&
           (is_list(second) || is_nil(second));
}

static void disposition_set(const struct reader *reader, guint index, struct imap_part *part)
{
    struct elements inner = elements_of(reader, index);
    part->disposition = lower(element_string(reader, &inner, 0), NULL);
    if (inner.count > 1)
        part->disposition_parameters = parameters_read(
            reader, element(reader, &inner, 1), inner.index[1], &part->disposition_parameter_count);
}

/* Finds it by its shape among the elements from `from` on, which need not be all there; a bare
 * string or a list without parameters only if it is one of the two well-known words. */
static void disposition_read(const struct reader *reader, const struct elements *elements,
                             guint from, struct imap_part *part)
{
    static const char *const KNOWN[] = {"inline", "attachment", NULL};
    for (guint n = from; n < elements->count; n++)
        if (is_disposition(reader, elements->index[n])) {
            disposition_set(reader, elements->index[n], part);
            return;
        }
    for (guint n = from; n < elements->count; n++) {
        guint index = elements->index[n];
        bool list = is_list(token_at(reader, index));
        if (list && token_at(reader, index)->next == index + 1)
            continue;
        char *word = imap_token_string(token_at(reader, list ? index + 1 : index));
        if (is_one_of(word, KNOWN)) {
            part->disposition = lower(word, NULL);
            return;
        }
    }
}

/* Where the encoding is: before the octets, in the sixth place unless fields before it are missing.
 */
static guint encoding_find(const struct reader *reader, const struct elements *elements)
{
    static const char *const KNOWN[] = {"7bit", "8bit", "binary", "base64", "quoted-printable",
                                        NULL};
    const struct imap_token *octets = element(reader, elements, 6);
    if (octets != NULL && octets->kind == IMAP_TOKEN_ATOM)
        return 5;
    for (guint n = 2; n < elements->count; n++) {
        octets = element(reader, elements, n + 1);
        if (is_one_of(element_string(reader, elements, n), KNOWN) && octets != NULL &&
            octets->kind == IMAP_TOKEN_ATOM)
            return n;
    }
    return 5;
}

static void leaf_fields(const struct reader *reader, const struct elements *elements,
                        struct imap_part *part)
{
    guint encoding = encoding_find(reader, elements);
    const struct imap_token *octets = element(reader, elements, encoding + 1);
    uint64_t number;
    part->type = lower(element_string(reader, elements, 0), NULL);
    part->subtype = lower(element_string(reader, elements, 1), "octet-stream");
    if (part->type == NULL) {
        part->type = "application";
        part->subtype = "octet-stream";
    }
    if (elements->count > 2 && encoding > 2)
        part->parameters = parameters_read(reader, element(reader, elements, 2), elements->index[2],
                                           &part->parameter_count);
    if (encoding == 5) {
        part->id = element_string(reader, elements, 3);
        part->description = element_string(reader, elements, 4);
    }
    part->encoding = lower(element_string(reader, elements, encoding), "7bit");
    part->octets = octets != NULL && imap_token_number(octets, &number) ? (int64_t)number : -1;
}

/* The tail of a multipart: subtype, parameters, disposition, language, location. */
static void multipart_fields(const struct reader *reader, const struct elements *tail,
                             struct imap_part *part)
{
    part->kind = IMAP_PART_MULTIPART;
    part->type = "multipart";
    part->subtype = lower(element_string(reader, tail, 0), "mixed");
    part->encoding = NULL;
    part->octets = -1;
    if (tail->count > 1)
        part->parameters = parameters_read(reader, element(reader, tail, 1), tail->index[1],
                                           &part->parameter_count);
    disposition_read(reader, tail, 2, part);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

/* The index among `elements` at which the tail of a multipart without children begins, or -1. */
static int childless_tail(const struct reader *reader, const struct elements *elements)
{
    static const char *const DISCRETE[] = {"text",    "image", "audio", "video", "application",
                                           "message", "font",  "model", NULL};
    const struct imap_token *first = element(reader, elements, 0);
    const struct imap_token *second = element(reader, elements, 1);
    if (elements->count >= 7 && element(reader, elements, 6)->kind == IMAP_TOKEN_ATOM)
        return -1;
    if (is_nil(first))
        return is_string(second) ? 1 : -1;
    if (!is_string(first) || is_string(second) ||
        is_one_of(element_string(reader, elements, 0), DISCRETE))
        return -1;
    return 0;
}

static bool is_body(const struct reader *reader, guint index)
{
    if (!is_list(token_at(reader, index)) || is_disposition(reader, index))
        return false;
    struct elements inner = elements_of(reader, index);
    const struct imap_token *octets = element(reader, &inner, 6);
    if (is_list(element(reader, &inner, 0)))
        return true;
    return (octets != NULL && octets->kind == IMAP_TOKEN_ATOM) ||
           childless_tail(reader, &inner) >= 0;
}

/* Finds the body of a message/rfc822: behind its envelope, or at once if that is missing. Returns
 * its place among the elements, 0 if it is missing too. */
static guint message_body_find(const struct reader *reader, const struct elements *elements)
{
    if (elements->count > 8 && is_body(reader, elements->index[8]))
        return 8;
    if (elements->count > 7 && is_body(reader, elements->index[7]))
        return 7;
    return 0;
}

/* One list in another, and nothing else: an extra pair of parentheses. */
static guint unwrap(const struct reader *reader, guint list)
{
    guint inner = list + 1, end = token_at(reader, list)->next;
    while (inner < end && is_list(token_at(reader, inner)) &&
           token_at(reader, inner)->next == end) {
        list = inner;
        inner = list + 1;
    }
    return list;
}

/* ---- the tree -------------------------------------------------------------------------------- */

static struct imap_part *part_at(const struct reader *reader, uint32_t part)
{
    return &g_array_index(reader->parser->parts, struct imap_part, part);
}

/* NULL if all sections together would be too long. */
static const char *section_of(struct reader *reader, enum imap_part_kind kind, uint32_t parent,
                              uint32_t number)
{
    bool top = parent == G_MAXUINT32;
    const struct imap_part *above = top ? NULL : part_at(reader, parent);
    if (kind == IMAP_PART_MULTIPART && (top || above->kind == IMAP_PART_MESSAGE))
        return top ? "" : above->section;
    size_t length = top ? 0 : strlen(above->section), size = length + sizeof(".4294967295");
    reader->section_bytes += size;
    if (reader->section_bytes > SECTIONS_MAX)
        return NULL;
    char *section = imap_arena_alloc(reader->parser->arena, size);
    if (length > 0)
        memcpy(section, above->section, length);
    g_snprintf(section + length, size - length, length > 0 ? ".%u" : "%u", number);
    return section;
}

/* Reads the list into a part and the frame of its children; a frame with none has at == end. */
static void part_read(struct reader *reader, guint list, struct imap_part *part,
                      struct imap_frame *frame)
{
    guint child = list + 1, end = token_at(reader, list)->next;
    frame->at = frame->end = end;
    if (child < end && is_list(token_at(reader, child))) {
        frame->at = child;
        while (child < end && is_list(token_at(reader, child)))
            child = token_at(reader, child)->next;
        frame->end = child;
        struct elements tail = elements_read(reader, child, end);
        multipart_fields(reader, &tail, part);
        return;
    }
    struct elements elements = elements_of(reader, list);
    int tail_at = childless_tail(reader, &elements);
    if (tail_at >= 0) {
        struct elements tail = elements_read(reader, elements.index[tail_at], end);
        multipart_fields(reader, &tail, part);
        return;
    }
    static const char *const MESSAGES[] = {"rfc822", "global", NULL};
    leaf_fields(reader, &elements, part);
    guint from = encoding_find(reader, &elements) + 2;
    if (strcmp(part->type, "message") == 0 && is_one_of(part->subtype, MESSAGES)) {
        guint body = message_body_find(reader, &elements);
        if (body != 0) {
            part->kind = IMAP_PART_MESSAGE;
            frame->at = elements.index[body];
            frame->end = token_at(reader, frame->at)->next;
            from = body + 1;
        }
    }
    disposition_read(reader, &elements, from, part);
}

static bool part_add(struct reader *reader, guint list, uint32_t parent, uint32_t number)
{
    struct imap_parser *parser = reader->parser;
    struct imap_part part = {.kind = IMAP_PART_LEAF, .parent = parent};
    struct imap_frame frame = {.part = parser->parts->len};
    if (parser->parts->len >= PARTS_MAX)
        return false;
    part_read(reader, unwrap(reader, list), &part, &frame);
    part.section = section_of(reader, part.kind, parent, number);
    if (part.section == NULL)
        return false;
    g_array_append_val(parser->parts, part);
    if (frame.at == frame.end)
        return true;
    if (parser->frames->len >= parser->limits.depth_max)
        return false;
    g_array_append_val(parser->frames, frame);
    return true;
}

bool imap_structure_read(struct imap_parser *parser, guint index, struct imap_structure *structure)
{
    struct reader reader = {.parser = parser};
    const struct imap_token *root = imap_token_at(parser, index);
    g_array_set_size(parser->parts, 0);
    g_array_set_size(parser->frames, 0);
    if (!is_list(root) || root->next == index + 1 || !part_add(&reader, index, G_MAXUINT32, 1))
        return false;
    while (parser->frames->len > 0) {
        struct imap_frame *frame =
            &g_array_index(parser->frames, struct imap_frame, parser->frames->len - 1);
        if (frame->at >= frame->end) {
            g_array_set_size(parser->frames, parser->frames->len - 1);
            continue;
        }
        guint child = frame->at;
        frame->at = token_at(&reader, child)->next;
        if (!part_add(&reader, child, frame->part, ++frame->number))
            return false;
    }
    structure->parts = (const struct imap_part *)(void *)parser->parts->data;
    structure->count = parser->parts->len;
    return true;
}
