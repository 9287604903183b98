#include <string.h>

#include "fs/mime-private.h"
#include "fs/name.h"
#include "fs/node.h"

enum { TYPE_MAX = 127 };
#define NONE UINT32_MAX

/* What an unnamed part of a type ends in. */
static const struct {
    const char *type, *extension;
} EXTENSIONS[] = {
    {"application/applefile", "bin"},
    {"application/calendar", "ics"},
    {"application/epub+zip", "epub"},
    {"application/gzip", "gz"},
    {"application/ics", "ics"},
    {"application/java-archive", "jar"},
    {"application/javascript", "js"},
    {"application/json", "json"},
    {"application/ms-tnef", "dat"},
    {"application/msword", "doc"},
    {"application/ogg", "ogg"},
    {"application/pdf", "pdf"},
    {"application/pgp-encrypted", "txt"},
    {"application/pgp-keys", "asc"},
    {"application/pgp-signature", "asc"},
    {"application/pkcs7-mime", "p7m"},
    {"application/pkcs7-signature", "p7s"},
    {"application/pkix-cert", "cer"},
    {"application/postscript", "ps"},
    {"application/rtf", "rtf"},
    {"application/vnd.ms-excel", "xls"},
    {"application/vnd.ms-outlook", "msg"},
    {"application/vnd.ms-powerpoint", "ppt"},
    {"application/vnd.ms-tnef", "dat"},
    {"application/vnd.oasis.opendocument.presentation", "odp"},
    {"application/vnd.oasis.opendocument.spreadsheet", "ods"},
    {"application/vnd.oasis.opendocument.text", "odt"},
    {"application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"},
    {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
    {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
    {"application/x-7z-compressed", "7z"},
    {"application/x-bzip2", "bz2"},
    {"application/x-gzip", "gz"},
    {"application/x-pkcs7-mime", "p7m"},
    {"application/x-pkcs7-signature", "p7s"},
    {"application/x-tar", "tar"},
    {"application/x-zip-compressed", "zip"},
    {"application/xhtml+xml", "xhtml"},
    {"application/xml", "xml"},
    {"application/zip", "zip"},
    {"audio/basic", "au"},
    {"audio/mp4", "m4a"},
    {"audio/mpeg", "mp3"},
    {"audio/ogg", "ogg"},
    {"audio/wav", "wav"},
    {"audio/x-wav", "wav"},
    {"font/ttf", "ttf"},
    {"font/woff2", "woff2"},
    {"image/bmp", "bmp"},
    {"image/gif", "gif"},
    {"image/heic", "heic"},
    {"image/jpeg", "jpg"},
    {"image/jpg", "jpg"},
    {"image/pjpeg", "jpg"},
    {"image/png", "png"},
    {"image/svg+xml", "svg"},
    {"image/tiff", "tif"},
    {"image/webp", "webp"},
    {"message/delivery-status", "txt"},
    {"message/disposition-notification", "txt"},
    {"message/external-body", "txt"},
    {"message/feedback-report", "txt"},
    {"message/global", "eml"},
    {"message/news", "eml"},
    {"message/partial", "eml"},
    {"message/rfc822", "eml"},
    {"text/calendar", "ics"},
    {"text/css", "css"},
    {"text/csv", "csv"},
    {"text/directory", "vcf"},
    {"text/markdown", "md"},
    {"text/rtf", "rtf"},
    {"text/vcard", "vcf"},
    {"text/x-vcard", "vcf"},
    {"text/xml", "xml"},
    {"video/mp4", "mp4"},
    {"video/mpeg", "mpg"},
    {"video/ogg", "ogv"},
    {"video/quicktime", "mov"},
    {"video/webm", "webm"},
};

/* Directories go no deeper than this many bytes of path below the message's own: half of PATH_MAX,
 * so that programs which walk the tree by path can reach all that is listed. */
#define PATH_MOST 2048

/* The directory of one message, while its parts are named. */
struct place {
    uint16_t number; /* of the directory */
    unsigned leaves; /* counted so far */
    size_t path;     /* bytes of its path below the message's directory */
    struct name_set *names;
};

struct builder {
    const struct mime_entity *entities;
    size_t count;
    uint32_t *first, *next; /* child and sibling of each entity, NONE */
    uint32_t *place_of;     /* index in places of the directory that holds it */
    GArray *places;         /* struct place */
    struct mime_tree *tree;
    unsigned number; /* the next node's */
    bool local;
    bool hidden; /* messages too deep for a directory were met */
};

/* ---- the order ------------------------------------------------------------------------------ */

/* Links children to parents. Entities whose parent does not come before them are left out. */
static void builder_link(struct builder *b)
{
    g_autofree uint32_t *last = g_new(uint32_t, b->count);
    b->first = g_new(uint32_t, b->count);
    b->next = g_new(uint32_t, b->count);
    b->place_of = g_new0(uint32_t, b->count);
    for (uint32_t i = 0; i < b->count; i++) {
        b->first[i] = b->next[i] = last[i] = NONE;
        uint32_t parent = b->entities[i].parent;
        if (i == 0 || parent >= i || b->entities[parent].kind == MIME_LEAF)
            continue;
        if (last[parent] == NONE)
            b->first[parent] = i;
        else
            b->next[last[parent]] = i;
        last[parent] = i;
    }
}

/* The entity after `i` in pre-order; NONE: it was the last. */
static uint32_t builder_next(const struct builder *b, uint32_t i)
{
    if (b->first[i] != NONE)
        return b->first[i];
    while (i != 0 && b->next[i] == NONE)
        i = b->entities[i].parent;
    return i == 0 ? NONE : b->next[i];
}

/* ---- nodes ---------------------------------------------------------------------------------- */

static uint32_t place_new(struct builder *b, uint16_t number, size_t path)
{
    struct place place = {.number = number, .path = path, .names = name_set_new()};
    g_free(name_set_add(place.names, "headers.txt", NAME_PART_MAX));
    g_array_append_val(b->places, place);
    return b->places->len - 1;
}

static const char *builder_keep(struct builder *b, const char *text)
{
    return g_string_chunk_insert_const(b->tree->strings, text ? text : "");
}

static char *entity_type(const struct mime_entity *entity)
{
    return g_strdup_printf("%.*s/%.*s", TYPE_MAX, entity->type ? entity->type : "", TYPE_MAX,
                           entity->subtype ? entity->subtype : "");
}

/* Adds a node with what all nodes of an entity share. */
static struct cache_part *builder_add(struct builder *b, const struct mime_entity *entity,
                                      enum cache_part_kind kind, uint16_t parent, const char *name)
{
    g_autofree char *type = entity_type(entity);
    struct cache_part part = {
        .number = (uint16_t)b->number++,
        .parent = parent,
        .kind = kind,
        .flags = b->local ? CACHE_PART_LOCAL : 0,
        .octets = entity->octets,
        .name = builder_keep(b, name),
        .section = builder_keep(b, entity->section),
        .type = builder_keep(b, type),
        .charset = builder_keep(b, entity->charset),
    };
    g_array_append_val(b->tree->parts, part);
    return &g_array_index(b->tree->parts, struct cache_part, b->tree->parts->len - 1);
}

/* Whether `count` more nodes can have numbers. */
static bool builder_has_room(struct builder *b, unsigned count)
{
    if (b->number + count - 1 <= NODE_PART_LAST)
        return true;
    b->tree->truncated = true;
    return false;
}

/* ---- leaves --------------------------------------------------------------------------------- */

static const char *type_extension(const char *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(EXTENSIONS); i++)
        if (strcmp(EXTENSIONS[i].type, type) == 0)
            return EXTENSIONS[i].extension;
    bool text = g_str_has_prefix(type, "text/") || g_str_has_prefix(type, "multipart/");
    return text ? "txt" : "bin";
}

static char *leaf_fallback(const char *type, unsigned number)
{
    if (strcmp(type, "text/plain") == 0)
        return g_strdup("body.txt");
    if (strcmp(type, "text/html") == 0)
        return g_strdup("body.html");
    if (strcmp(type, "message/rfc822") == 0 || strcmp(type, "message/global") == 0)
        return g_strdup("forwarded.eml");
    return g_strdup_printf("part-%u.%s", number, type_extension(type));
}

static uint32_t leaf_flags(const struct mime_entity *entity, bool named)
{
    if (named || !entity->type || strcmp(entity->type, "text") != 0)
        return 0;
    bool html = entity->subtype && strcmp(entity->subtype, "html") == 0;
    return CACHE_PART_TEXT | (html ? CACHE_PART_HTML : 0);
}

static void builder_leaf(struct builder *b, const struct mime_entity *entity, struct place *place)
{
    g_autofree char *type = entity_type(entity);
    g_autofree char *wanted = name_of_part(entity->name, "");
    bool named = *wanted != '\0';
    place->leaves++;
    if (!builder_has_room(b, 1))
        return;
    g_autofree char *fallback = leaf_fallback(type, place->leaves);
    g_autofree char *name = name_set_add(place->names, named ? wanted : fallback, NAME_PART_MAX);
    struct cache_part *part = builder_add(b, entity, CACHE_PART_LEAF, place->number, name);
    part->encoding = mime_encoding(entity->encoding);
    part->flags |= leaf_flags(entity, named);
}

/* ---- messages ------------------------------------------------------------------------------- */

/* A message part's name without ".eml". */
static char *message_stem(const char *wanted)
{
    g_autofree char *name = name_of_part(wanted, "forwarded");
    size_t length = strlen(name);
    if (length > 4 && g_ascii_strcasecmp(name + length - 4, ".eml") == 0)
        name[length - 4] = '\0';
    return name_of_part(name, "forwarded");
}

/* X.eml, X/ and X/headers.txt. Returns the place of what is in X/, NONE: no room, or X.eml alone
 * because X/ would be too deep. */
static uint32_t builder_message(struct builder *b, const struct mime_entity *entity, uint32_t at)
{
    struct place *place = &g_array_index(b->places, struct place, at);
    place->leaves++;
    if (!builder_has_room(b, 3))
        return NONE;
    g_autofree char *stem = message_stem(entity->name);
    g_autofree char *name = name_set_add_message(place->names, stem, NAME_PART_MAX);
    g_autofree char *file = g_strconcat(name, ".eml", NULL);
    uint16_t parent = place->number;
    size_t path = place->path + strlen(name) + 1;
    builder_add(b, entity, CACHE_PART_MESSAGE, parent, file);
    if (path > PATH_MOST) {
        b->hidden = true;
        return NONE;
    }
    uint16_t directory = builder_add(b, entity, CACHE_PART_DIRECTORY, parent, name)->number;
    builder_add(b, entity, CACHE_PART_HEADERS, directory, "headers.txt");
    return place_new(b, directory, path);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Adds the nodes of entity `i`. Returns false if nothing more can be added. */
static bool builder_visit(struct builder *b, uint32_t i)
{
    const struct mime_entity *entity = &b->entities[i];
    uint32_t place = b->place_of[i];
    if (entity->kind == MIME_LEAF)
        builder_leaf(b, entity, &g_array_index(b->places, struct place, place));
    else if (entity->kind == MIME_MESSAGE)
        place = builder_message(b, entity, place);
    if (b->tree->truncated)
        return false;
    if (place == NONE)
        b->first[i] = NONE;
    for (uint32_t child = b->first[i]; child != NONE; child = b->next[child])
        b->place_of[child] = place;
    return true;
}

static void builder_clear(struct builder *b)
{
    for (guint i = 0; i < b->places->len; i++)
        name_set_free(g_array_index(b->places, struct place, i).names);
    g_array_free(b->places, TRUE);
    g_free(b->first);
    g_free(b->next);
    g_free(b->place_of);
}

struct mime_tree *mime_tree_build(const struct mime_entity *entities, size_t count, uint16_t first,
                                  bool local)
{
    struct mime_tree *tree = g_new0(struct mime_tree, 1);
    tree->parts = g_array_new(FALSE, FALSE, sizeof(struct cache_part));
    tree->strings = g_string_chunk_new(1024);
    if (count == 0)
        return tree;
    struct builder b = {
        .entities = entities,
        .count = MIN(count, NONE - 1),
        .places = g_array_new(FALSE, FALSE, sizeof(struct place)),
        .tree = tree,
        .number = first,
        .local = local,
    };
    builder_link(&b);
    place_new(&b, NODE_PART_DIRECTORY, 0);
    for (uint32_t i = 0; i != NONE && builder_visit(&b, i);)
        i = builder_next(&b, i);
    tree->truncated |= b.hidden;
    builder_clear(&b);
    return tree;
}

void mime_tree_free(struct mime_tree *tree)
{
    if (!tree)
        return;
    g_array_free(tree->parts, TRUE);
    g_string_chunk_free(tree->strings);
    g_free(tree);
}
