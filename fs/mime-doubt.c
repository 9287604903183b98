#include <string.h>

#include "fs/mime-private.h"

/* Beyond these, servers differ; and how much of a message may be outside its parts. */
enum { DEPTH_SURE = 20, PARTS_SURE = 1000, BOUNDARY_SURE = 70 };
#define OVERHEAD_SURE (256 << 10)
#define OVERHEAD_PART (4 << 10)
/* Messages up to this size are looked at where a part seems to be empty. */
#define EMPTY_SURE (64 << 10)

static bool is_one_of(const char *text, const char *const *list)
{
    return text && g_strv_contains(list, text);
}

static bool is_plain(const char *encoding)
{
    static const char *const plain[] = {"7bit", "8bit", "binary", NULL};
    return !encoding || is_one_of(encoding, plain);
}

static bool is_known(const char *encoding)
{
    static const char *const known[] = {"base64", "quoted-printable", NULL};
    return is_plain(encoding) || is_one_of(encoding, known);
}

/* A token of RFC 2045, not too long. */
static bool is_token(const char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length == 0 || length > 127)
        return false;
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p >= 127 || strchr("()<>@,;:\\\"/[]?=", *p))
            return false;
    return true;
}

static bool is_section(const char *section)
{
    return section && strlen(section) < 200 && strspn(section, "0123456789.") == strlen(section);
}

/* Whether a decoded name shows signs that it was mangled on the way. */
static bool is_mangled(const char *name)
{
    return !g_utf8_validate(name, -1, NULL) || strstr(name, "\xef\xbf\xbd") || strstr(name, "=?") ||
           strstr(name, "''") || strlen(name) > 1000;
}

/* ---- one entity ----------------------------------------------------------------------------- */

static const char *doubt_leaf(const struct mime_entity *entity)
{
    static const char *const messages[] = {"rfc822", "global", "partial", "external-body", NULL};
    if (strcmp(entity->type, "multipart") == 0)
        return "a multipart without parts";
    if (strcmp(entity->type, "message") == 0 && is_one_of(entity->subtype, messages))
        return "a message that is not taken apart";
    if (!is_known(entity->encoding))
        return "an odd transfer encoding";
    return NULL;
}

static const char *doubt_entity(const struct mime_entity *entity)
{
    if (!is_token(entity->type) || !is_token(entity->subtype))
        return "an odd type";
    if (!is_section(entity->section))
        return "an odd section";
    if (entity->name && is_mangled(entity->name))
        return "an odd file name";
    if (entity->kind != MIME_LEAF && !is_plain(entity->encoding))
        return "an encoded multipart or message";
    if (entity->kind != MIME_MULTIPART && entity->octets < 0)
        return "a part without a size";
    return entity->kind == MIME_LEAF ? doubt_leaf(entity) : NULL;
}

/* ---- all of them together ------------------------------------------------------------------- */

struct sums {
    uint32_t *children; /* of each entity */
    int64_t *inside;    /* octets of leaves and messages directly or through multiparts in it */
    unsigned *depth;
};

static const char *doubt_place(const struct mime_entity *entities, size_t i, struct sums *sums)
{
    uint32_t parent = entities[i].parent;
    if (i == 0)
        return parent == UINT32_MAX ? NULL : "a first part with a parent";
    if (parent >= i || entities[parent].kind == MIME_LEAF)
        return "a part without a parent";
    sums->children[parent]++;
    sums->depth[i] = sums->depth[parent] + 1;
    return sums->depth[i] > DEPTH_SURE ? "deeply nested parts" : NULL;
}

static const char *doubt_children(const struct mime_entity *entities, size_t i,
                                  const struct sums *sums)
{
    const struct mime_entity *entity = &entities[i];
    if (entity->kind == MIME_MULTIPART && sums->children[i] == 0)
        return "a multipart without parts";
    if (entity->kind == MIME_MESSAGE && sums->children[i] != 1)
        return "a message part without a body";
    if (entity->kind == MIME_MESSAGE && sums->inside[i] > entity->octets)
        return "parts bigger than their message";
    /* what servers invent for a multipart without a boundary in it */
    if (i > 0 && entity->kind == MIME_LEAF && entity->octets == 0 &&
        entities[entity->parent].kind == MIME_MULTIPART && sums->children[entity->parent] == 1)
        return "an only part that is empty";
    return NULL;
}

/* Adds up from the last to the first, since parents come before children. */
static void sums_add(const struct mime_entity *entities, size_t count, struct sums *sums)
{
    for (size_t i = count; i-- > 1;) {
        int64_t octets = entities[i].kind == MIME_MULTIPART ? sums->inside[i] : entities[i].octets;
        int64_t *sum = &sums->inside[entities[i].parent];
        *sum = octets > INT64_MAX - *sum ? INT64_MAX : *sum + octets;
    }
}

static const char *doubt_size(const struct mime_entity *entities, size_t count,
                              const struct sums *sums, uint64_t size)
{
    uint64_t octets =
        (uint64_t)(entities[0].kind == MIME_MULTIPART ? sums->inside[0] : entities[0].octets);
    if (size == 0)
        return NULL;
    if (octets > size)
        return "parts bigger than the message";
    if (size - octets > OVERHEAD_SURE + count * OVERHEAD_PART)
        return "parts far smaller than the message";
    return NULL;
}

/* Servers take all that comes before an empty line as a part's header. Where there is none, what
 * the sender wrote would not be seen. */
static const char *doubt_empty(const struct mime_entity *entities, size_t count, uint64_t size)
{
    for (size_t i = 0; i < count && size <= EMPTY_SURE; i++)
        if (entities[i].kind == MIME_LEAF && entities[i].octets == 0)
            return "a part that is empty";
    return NULL;
}

static const char *doubt_tree(const struct mime_entity *entities, size_t count, uint64_t size)
{
    g_autofree uint32_t *children = g_new0(uint32_t, count);
    g_autofree int64_t *inside = g_new0(int64_t, count);
    g_autofree unsigned *depth = g_new0(unsigned, count);
    struct sums sums = {children, inside, depth};
    const char *doubt = NULL;
    for (size_t i = 0; i < count && !doubt; i++)
        if (!(doubt = doubt_place(entities, i, &sums)))
            doubt = doubt_entity(&entities[i]);
    if (doubt)
        return doubt;
    sums_add(entities, count, &sums);
    for (size_t i = 0; i < count && !doubt; i++)
        doubt = doubt_children(entities, i, &sums);
    if (!doubt)
        doubt = doubt_empty(entities, count, size);
    return doubt ? doubt : doubt_size(entities, count, &sums, size);
}

/* ---- the top header ------------------------------------------------------------------------- */

/* Whether it stands in the field without quotes, which its characters would need: each server ends
 * it elsewhere. */
static bool is_bare(const char *field, const char *boundary)
{
    const char *at = is_token(boundary) ? NULL : strstr(field, boundary);
    return at && at > field && at[-1] != '"';
}

static const char *doubt_boundary(const char *field, const struct mime_value *value)
{
    const char *boundary = NULL;
    for (guint i = 0; i < value->parameters->len; i++) {
        struct mime_parameter *p = &g_array_index(value->parameters, struct mime_parameter, i);
        if (!g_str_has_prefix(p->name, "boundary"))
            continue;
        if (boundary || strcmp(p->name, "boundary") != 0)
            return "an odd boundary";
        boundary = p->value;
    }
    size_t length = boundary ? strlen(boundary) : 0;
    if (length == 0)
        return "a multipart without a boundary";
    if (length > BOUNDARY_SURE || boundary[length - 1] == ' ' || !g_str_is_ascii(boundary) ||
        is_bare(field, boundary))
        return "an odd boundary";
    return NULL;
}

static const char *doubt_type(const struct mime_entity *top, const char *field)
{
    g_auto(mime_value) value;
    mime_value_parse(field ? field : "text/plain", &value);
    if (field && strchr(field, '('))
        return "a comment in Content-Type";
    if (!is_token(value.type) || !is_token(value.subtype))
        return "a Content-Type that makes no sense";
    if (g_ascii_strcasecmp(value.type, top->type) != 0 ||
        g_ascii_strcasecmp(value.subtype, top->subtype) != 0)
        return "a structure of another type than the header's";
    return top->kind == MIME_MULTIPART ? doubt_boundary(field, &value) : NULL;
}

static const char *doubt_encoding(const struct mime_entity *top, const char *field)
{
    g_autofree char *encoding = field ? g_ascii_strdown(field, -1) : NULL;
    if (top->kind != MIME_LEAF)
        return is_plain(encoding) ? NULL : "an encoded multipart or message";
    if (!is_known(encoding))
        return "an odd transfer encoding";
    if (is_plain(encoding) && is_plain(top->encoding))
        return NULL;
    return g_strcmp0(encoding, top->encoding) == 0
               ? NULL
               : "a structure of another encoding than the header's";
}

static const char *doubt_header(const struct mime_entity *top, const void *header, size_t length)
{
    unsigned types, encodings;
    g_autofree char *type = mime_field_find(header, length, "content-type", &types);
    g_autofree char *encoding =
        mime_field_find(header, length, "content-transfer-encoding", &encodings);
    g_autofree char *version = mime_field_find(header, length, "mime-version", NULL);
    if (types > 1 || encodings > 1)
        return "a field twice";
    if (!version && top->kind != MIME_LEAF)
        return "parts without MIME-Version";
    const char *doubt = doubt_type(top, type);
    return doubt ? doubt : doubt_encoding(top, encoding);
}

const char *mime_structure_doubt(const struct mime_entity *entities, size_t count,
                                 const void *header, size_t header_length, uint64_t size)
{
    if (count == 0)
        return "no parts";
    if (count > PARTS_SURE)
        return "very many parts";
    const char *doubt = doubt_tree(entities, count, size);
    return doubt ? doubt : doubt_header(&entities[0], header, header_length);
}
