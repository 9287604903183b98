/* Our own look at a message: which bytes are which entity.
 *
 * GMime's parser is not used for this: it gives up at some depth without a word, and cannot
 * say which octets an enclosed message has, which X.eml must show. What is needed is little: one
 * pass over the lines, with a stack of open multiparts and messages beside it. A line "--boundary"
 * ends all that was opened inside that boundary's multipart, whether it was closed or not (RFC
 * 2046, 5.1.2). Which boundaries are open is kept in a hash table, so that a line costs the same at
 * any depth. Values of fields are taken apart in mime-parameter.c, as those from a server are, so
 * that names come out the same.
 */
#include <string.h>

#include "fs/mime-private.h"

enum { SECTION_BYTES_MAX = 8 << 20 };
#define NONE UINT32_MAX

/* Where an entity's header and body lie; entity i of the message. */
struct extent {
    size_t header, body, end;
};

struct mime_message {
    GBytes *bytes;    /* NULL: forgotten */
    size_t texts;     /* bytes in `strings` */
    GArray *entities; /* struct mime_entity, in pre-order */
    GArray *extents;  /* struct extent */
    GStringChunk *strings;
    GHashTable *sections; /* section of a leaf or message -> its index + 1 */
    bool truncated;
};

/* A boundary's text. */
struct slice {
    const char *text;
    size_t length;
};

/* An open multipart (with a boundary) or message part. */
struct frame {
    uint32_t entity;
    struct slice boundary;
    int shadowed; /* the frame of the same boundary further out, -1: none */
    bool digest;  /* its parts are messages where they do not say */
    bool any;     /* it has a part */
};

struct scanner {
    struct mime_message *message;
    const char *bytes;
    size_t length, at;
    struct frame frames[MIME_DEPTH_MAX];
    int depth;              /* open frames */
    GHashTable *boundaries; /* struct slice in a frame -> the innermost such frame's index + 1 */
};

static guint slice_hash(gconstpointer key)
{
    const struct slice *slice = key;
    guint hash = 5381;
    for (size_t i = 0; i < slice->length; i++)
        hash = hash * 33 + (unsigned char)slice->text[i];
    return hash;
}

static gboolean slice_equal(gconstpointer a, gconstpointer b)
{
    const struct slice *x = a, *y = b;
    return x->length == y->length && memcmp(x->text, y->text, x->length) == 0;
}

/* ---- frames --------------------------------------------------------------------------------- */

static struct mime_entity *entity_at(struct scanner *s, uint32_t i)
{
    return &g_array_index(s->message->entities, struct mime_entity, i);
}

static struct extent *extent_at(struct scanner *s, uint32_t i)
{
    return &g_array_index(s->message->extents, struct extent, i);
}

static int boundary_find(struct scanner *s, const char *text, size_t length)
{
    struct slice slice = {text, length};
    return GPOINTER_TO_INT(g_hash_table_lookup(s->boundaries, &slice)) - 1;
}

static void frame_push(struct scanner *s, uint32_t entity, const char *boundary, bool digest)
{
    struct frame *frame = &s->frames[s->depth];
    *frame = (struct frame){.entity = entity, .shadowed = -1, .digest = digest};
    if (boundary) {
        frame->boundary = (struct slice){boundary, strlen(boundary)};
        frame->shadowed = boundary_find(s, boundary, frame->boundary.length);
        g_hash_table_replace(s->boundaries, &frame->boundary, GINT_TO_POINTER(s->depth + 1));
    }
    s->depth++;
}

/* A multipart in which no boundary was found is shown as the leaf that it then is. */
static void entity_close(struct scanner *s, struct frame *frame)
{
    struct mime_entity *entity = entity_at(s, frame->entity);
    if (entity->kind == MIME_MULTIPART && !frame->any)
        entity->kind = MIME_LEAF;
}

static void frame_pop(struct scanner *s, size_t end)
{
    struct frame *frame = &s->frames[--s->depth];
    extent_at(s, frame->entity)->end = end;
    entity_close(s, frame);
    if (!frame->boundary.text)
        return;
    if (frame->shadowed < 0)
        g_hash_table_remove(s->boundaries, &frame->boundary);
    else
        g_hash_table_replace(s->boundaries, &s->frames[frame->shadowed].boundary,
                             GINT_TO_POINTER(frame->shadowed + 1));
}

/* ---- boundaries ----------------------------------------------------------------------------- */

/* The frame whose boundary the line is, -1: none; and whether it closes it. White space after it is
 * padding (RFC 2046, 5.1.1). */
static int line_boundary(struct scanner *s, const char *line, size_t length, bool *close)
{
    if (length < 3 || line[0] != '-' || line[1] != '-' || s->depth == 0)
        return -1;
    while (length > 2 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
        length--;
    int open = boundary_find(s, line + 2, length - 2);
    int shut = length > 4 && line[length - 1] == '-' && line[length - 2] == '-'
                   ? boundary_find(s, line + 2, length - 4)
                   : -1;
    *close = shut > open;
    return MAX(open, shut);
}

/* The end of what comes before a line: the line end before it belongs to the boundary. */
static size_t end_before(struct scanner *s, size_t line, size_t least)
{
    size_t end = line;
    if (end > least && s->bytes[end - 1] == '\n')
        end--;
    if (end > least && end < line && s->bytes[end - 1] == '\r')
        end--;
    return end;
}

/* ---- entities ------------------------------------------------------------------------------- */

/* Whether a line that is no field ends the header: a single one among fields does not, unless it
 * looks like a boundary. */
static bool header_ends(struct scanner *s, const char *line, size_t length, size_t next)
{
    size_t after;
    if (length > 2 && line[0] == '-' && line[1] == '-')
        return true;
    size_t following = next < s->length ? mime_line(s->bytes, s->length, next, &after) : 0;
    return !mime_line_is_field(s->bytes + next, following);
}

/* Passes over a header. Afterwards `at` is at the body: behind the empty line, or at a line that
 * ends the header, or at a boundary. */
static void header_skip(struct scanner *s)
{
    size_t next;
    bool close;
    while (s->at < s->length) {
        const char *line = s->bytes + s->at;
        size_t length = mime_line(s->bytes, s->length, s->at, &next);
        if (line_boundary(s, line, length, &close) >= 0)
            return;
        if (length == 0) {
            s->at = next;
            return;
        }
        if (*line != ' ' && *line != '\t' && !mime_line_is_field(line, length) &&
            header_ends(s, line, length, next))
            return;
        s->at = next;
    }
}

static const char *keep(struct scanner *s, const char *text)
{
    s->message->texts += strlen(text) + 1;
    return g_string_chunk_insert_const(s->message->strings, text);
}

static bool is_message_type(const char *type, const char *subtype)
{
    return strcmp(type, "message") == 0 &&
           (strcmp(subtype, "rfc822") == 0 || strcmp(subtype, "global") == 0);
}

/* An external body's "name" is that of a file elsewhere (RFC 2046, 5.2.3). */
static bool is_name_own(const struct mime_value *type)
{
    return strcmp(type->type, "message") != 0 || strcmp(type->subtype, "external-body") != 0;
}

/* Fills in type and parameters. Returns the boundary of a multipart that has one. */
static const char *entity_type(struct scanner *s, struct mime_entity *entity, const char *field,
                               const char *disposition, bool digest)
{
    g_auto(mime_value) type, place;
    mime_value_parse(field ? field : "", &type);
    mime_value_parse(disposition ? disposition : "", &place);
    bool known = *type.type && *type.subtype;
    entity->type = known ? keep(s, type.type) : digest && !field ? "message" : "text";
    entity->subtype = known ? keep(s, type.subtype) : digest && !field ? "rfc822" : "plain";
    const struct mime_parameter *of_type = (void *)type.parameters->data;
    g_autofree char *charset = mime_parameter_decode(of_type, type.parameters->len, "charset");
    entity->charset = charset ? keep(s, charset) : NULL;
    g_autofree char *name = mime_file_name((void *)place.parameters->data, place.parameters->len,
                                           of_type, is_name_own(&type) ? type.parameters->len : 0);
    entity->name = name ? keep(s, name) : NULL;
    if (strcmp(entity->type, "multipart") != 0)
        return NULL;
    g_autofree char *boundary = mime_parameter_decode(of_type, type.parameters->len, "boundary");
    if (!boundary || !*g_strchomp(boundary))
        return NULL;
    return keep(s, boundary);
}

/* Reads the header of a new entity and decides what it is; opens it if there is something in it. */
static void entity_read(struct scanner *s, uint32_t i, bool digest)
{
    struct mime_entity *entity = entity_at(s, i);
    const char *header = s->bytes + extent_at(s, i)->header;
    size_t length = extent_at(s, i)->body - extent_at(s, i)->header;
    g_autofree char *type = mime_field_find(header, length, "content-type", NULL);
    g_autofree char *disposition = mime_field_find(header, length, "content-disposition", NULL);
    g_autofree char *encoding = mime_field_find(header, length, "content-transfer-encoding", NULL);
    entity->encoding = encoding ? keep(s, encoding) : NULL;
    const char *boundary = entity_type(s, entity, type, disposition, digest);
    if (s->depth == MIME_DEPTH_MAX)
        return;
    if (boundary) {
        entity->kind = MIME_MULTIPART;
        frame_push(s, i, boundary, strcmp(entity->subtype, "digest") == 0);
    } else if (is_message_type(entity->type, entity->subtype) &&
               mime_encoding(encoding) == CACHE_ENCODING_IDENTITY) {
        entity->kind = MIME_MESSAGE;
        frame_push(s, i, NULL, false);
    }
}

/* Begins an entity at the line `at`; returns its index. Enclosed messages begin with it. */
static uint32_t entity_begin(struct scanner *s)
{
    uint32_t i;
    do {
        struct frame *parent = s->depth > 0 ? &s->frames[s->depth - 1] : NULL;
        struct mime_entity entity = {.kind = MIME_LEAF, .parent = parent ? parent->entity : NONE};
        struct extent extent = {.header = s->at};
        if (parent)
            parent->any = true;
        header_skip(s);
        extent.body = extent.end = s->at;
        i = s->message->entities->len;
        g_array_append_val(s->message->entities, entity);
        g_array_append_val(s->message->extents, extent);
        entity_read(s, i, parent && parent->digest);
        if (i + 1 >= MIME_ENTITIES_MAX)
            s->message->truncated = true;
    } while (entity_at(s, i)->kind == MIME_MESSAGE && !s->message->truncated);
    return i;
}

/* ---- the pass ------------------------------------------------------------------------------- */

/* Ends the entity `leaf` and all frames from `depth` on before a line. */
static void close_to(struct scanner *s, uint32_t leaf, int depth, size_t line)
{
    struct extent *extent = extent_at(s, leaf);
    extent->end = end_before(s, line, extent->body);
    while (s->depth > depth) {
        extent = extent_at(s, s->frames[s->depth - 1].entity);
        frame_pop(s, end_before(s, line, extent->body));
    }
}

static void scan(struct scanner *s)
{
    size_t next;
    uint32_t leaf = entity_begin(s);
    while (s->at < s->length && !s->message->truncated) {
        bool close = false;
        size_t line = s->at, length = mime_line(s->bytes, s->length, s->at, &next);
        int found = line_boundary(s, s->bytes + line, length, &close);
        s->at = next;
        if (found < 0)
            continue;
        close_to(s, leaf, found + 1, line);
        leaf = s->frames[found].entity;
        if (!close) {
            leaf = entity_begin(s);
        } else {
            /* what follows is its epilogue, until a boundary further out */
            struct frame *frame = &s->frames[found];
            frame->digest = false;
            g_hash_table_remove(s->boundaries, &frame->boundary);
            if (frame->shadowed >= 0)
                g_hash_table_replace(s->boundaries, &s->frames[frame->shadowed].boundary,
                                     GINT_TO_POINTER(frame->shadowed + 1));
            frame->boundary.text = NULL;
        }
    }
    extent_at(s, leaf)->end = s->length;
    while (s->depth > 0)
        frame_pop(s, s->length);
}

/* ---- sections (RFC 9051, 6.4.5.1) ----------------------------------------------------------- */

static char *section_of(struct mime_message *message, uint32_t i, uint32_t ordinal)
{
    const struct mime_entity *entity = &g_array_index(message->entities, struct mime_entity, i);
    if (entity->parent == NONE)
        return g_strdup(entity->kind == MIME_MULTIPART ? "" : "1");
    const struct mime_entity *parent =
        &g_array_index(message->entities, struct mime_entity, entity->parent);
    if (parent->kind == MIME_MESSAGE)
        return g_strconcat(parent->section, entity->kind == MIME_MULTIPART ? "" : ".1", NULL);
    return g_strdup_printf("%s%s%u", parent->section, *parent->section ? "." : "", ordinal);
}

static void message_number(struct mime_message *message)
{
    size_t used = 0;
    g_autofree uint32_t *children = g_new0(uint32_t, message->entities->len);
    for (uint32_t i = 0; i < message->entities->len; i++) {
        struct mime_entity *entity = &g_array_index(message->entities, struct mime_entity, i);
        struct extent *extent = &g_array_index(message->extents, struct extent, i);
        uint32_t ordinal = entity->parent == NONE ? 1 : ++children[entity->parent];
        g_autofree char *section = section_of(message, i, ordinal);
        entity->section = g_string_chunk_insert(message->strings, section);
        entity->octets = (int64_t)(extent->end - extent->body);
        used += strlen(section);
        message->texts += strlen(section) + 1;
        if (used > SECTION_BYTES_MAX) {
            g_array_set_size(message->entities, i);
            message->truncated = true;
            return;
        }
        if (entity->kind != MIME_MULTIPART)
            g_hash_table_insert(message->sections, (char *)entity->section,
                                GUINT_TO_POINTER(i + 1));
    }
}

/* ---- the face ------------------------------------------------------------------------------- */

struct mime_message *mime_message_parse(GBytes *bytes)
{
    struct mime_message *message = g_new0(struct mime_message, 1);
    message->bytes = g_bytes_ref(bytes);
    message->entities = g_array_new(FALSE, TRUE, sizeof(struct mime_entity));
    message->extents = g_array_new(FALSE, TRUE, sizeof(struct extent));
    message->strings = g_string_chunk_new(4096);
    message->sections = g_hash_table_new(g_str_hash, g_str_equal);
    struct scanner *scanner = g_new0(struct scanner, 1);
    scanner->message = message;
    scanner->bytes = g_bytes_get_data(bytes, &scanner->length);
    scanner->boundaries = g_hash_table_new(slice_hash, slice_equal);
    if (!scanner->bytes)
        scanner->bytes = "";
    scan(scanner);
    g_hash_table_destroy(scanner->boundaries);
    g_free(scanner);
    message_number(message);
    return message;
}

void mime_message_free(struct mime_message *message)
{
    if (!message)
        return;
    g_hash_table_destroy(message->sections);
    g_array_free(message->entities, TRUE);
    g_array_free(message->extents, TRUE);
    g_string_chunk_free(message->strings);
    g_clear_pointer(&message->bytes, g_bytes_unref);
    g_free(message);
}

void mime_message_forget(struct mime_message *message)
{
    g_clear_pointer(&message->bytes, g_bytes_unref);
}

size_t mime_message_weight(const struct mime_message *message)
{
    enum { EACH = sizeof(struct mime_entity) + sizeof(struct extent) + 4 * sizeof(void *) };
    return (size_t)message->entities->len * EACH + message->texts;
}

struct mime_tree *mime_message_tree(struct mime_message *message, uint16_t first)
{
    struct mime_tree *tree =
        mime_tree_build((const void *)message->entities->data, message->entities->len, first, true);
    tree->truncated = tree->truncated || message->truncated;
    return tree;
}

bool mime_message_extent(struct mime_message *message, const struct cache_part *part,
                         size_t *offset, size_t *length)
{
    uint32_t i = GPOINTER_TO_UINT(g_hash_table_lookup(message->sections, part->section));
    if (i-- == 0 || part->kind == CACHE_PART_DIRECTORY)
        return false;
    const struct mime_entity *entity = &g_array_index(message->entities, struct mime_entity, i);
    if ((part->kind == CACHE_PART_LEAF) != (entity->kind == MIME_LEAF))
        return false;
    *offset = *length = 0;
    bool headers = part->kind == CACHE_PART_HEADERS;
    if (headers && ++i >= message->extents->len) /* the child's, which comes next */
        return true;
    const struct extent *extent = &g_array_index(message->extents, struct extent, i);
    *offset = headers ? extent->header : extent->body;
    *length = (headers ? extent->body : extent->end) - *offset;
    return true;
}

GBytes *mime_message_part(struct mime_message *message, const struct cache_part *part)
{
    size_t offset, length;
    if (message->bytes == NULL || !mime_message_extent(message, part, &offset, &length))
        return NULL;
    const char *bytes = g_bytes_get_data(message->bytes, NULL);
    return mime_part_decode(part, bytes != NULL ? bytes + offset : "", length);
}
