/* A message of any bytes: its facts, its tree, all of its parts. */
#include <string.h>

#include "fs/mime.h"
#include "fs/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(GBytes *content)
{
    gsize length;
    const char *bytes = g_bytes_get_data(content, &length);
    g_assert_true(length == 0 || g_utf8_validate(bytes, (gssize)length, NULL));
}

static void check_part(struct mime_message *message, const struct cache_part *part)
{
    g_autoptr(GBytes) content = mime_message_part(message, part);
    if (part->kind == CACHE_PART_DIRECTORY)
        return;
    g_assert_nonnull(content);
    g_assert_cmpuint(g_bytes_get_size(content), <=, mime_part_bound(part));
    if (part->kind == CACHE_PART_HEADERS)
        check_text(content);
}

static void check_message(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(mime_message) message = mime_message_parse(bytes);
    g_autoptr(mime_tree) tree = mime_message_tree(message, NODE_PART_FIRST);
    g_assert_cmpuint(tree->parts->len, >, 0);
    for (guint i = 0; i < tree->parts->len && i < 300; i++) {
        const struct cache_part *part = &g_array_index(tree->parts, struct cache_part, i);
        g_assert_cmpuint(part->number, ==, NODE_PART_FIRST + i);
        g_assert_true(g_utf8_validate(part->name, -1, NULL) && *part->name);
        g_assert_null(strchr(part->name, '/'));
        check_part(message, part);
    }
}

static void check_header(const uint8_t *data, size_t size)
{
    g_auto(mime_facts) facts;
    mime_facts_read(data, size, &facts);
    g_autofree char *name = mime_message_name(&facts, 1795000000, size & 1, 1);
    g_assert_true(g_utf8_validate(name, -1, NULL) && strlen(name) <= 200);
    g_autoptr(GBytes) text = mime_headers_text(data, size, NULL);
    check_text(text);
    struct mime_entity leaf = {MIME_LEAF, UINT32_MAX, "1", "text", "plain", "7bit", NULL, NULL, 1};
    mime_structure_doubt(&leaf, 1, data, size, size);
}

static void check_base64(const uint8_t *data, size_t size)
{
    struct mime_base64_layout layout;
    if (!mime_base64_learn(data, size, true, &layout))
        return;
    g_autoptr(GBytes) lines = mime_base64_decode(&layout, data, size, true);
    struct cache_part part = {.encoding = CACHE_ENCODING_BASE64};
    g_autoptr(GBytes) whole = mime_part_decode(&part, data, size);
    g_assert_true(lines && g_bytes_equal(lines, whole));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mime_init();
    check_header(data, size);
    check_message(data, size);
    check_base64(data, size);
    return 0;
}
