#include <gmime/gmime.h>
#include <string.h>

#include "fs/mime-private.h"

#define BOM "\xef\xbb\xbf"

static gpointer mime_begin(gpointer unused)
{
    g_mime_init();
    return NULL;
}

void mime_init(void)
{
    static GOnce once = G_ONCE_INIT;
    g_once(&once, mime_begin, NULL);
}

/* ---- text ----------------------------------------------------------------------------------- */

static void text_to_lf(GString *text)
{
    char *to = text->str;
    const char *end = text->str + text->len;
    for (const char *from = text->str; from < end; from++)
        if (*from != '\r' || from + 1 == end || from[1] != '\n')
            *to++ = *from;
    g_string_truncate(text, (gsize)(to - text->str));
}

static GBytes *text_convert(const struct cache_part *part, GBytes *content)
{
    gsize length;
    const char *bytes = g_bytes_get_data(content, &length);
    GString *text = g_string_sized_new(length + sizeof BOM);
    bool known = length == 0 || mime_text_convert(part->charset, bytes, length, text);
    if (!known)
        g_string_append_len(text, bytes, (gssize)length);
    else if (text->len >= strlen(BOM) && memcmp(text->str, BOM, strlen(BOM)) == 0)
        g_string_erase(text, 0, strlen(BOM));
    text_to_lf(text);
    if (known && part->flags & CACHE_PART_HTML)
        g_string_prepend(text, BOM);
    return g_string_free_to_bytes(text);
}

GBytes *mime_part_decode(const struct cache_part *part, const void *bytes, size_t length)
{
    if (part->kind == CACHE_PART_HEADERS)
        return mime_headers_text(bytes, length, NULL);
    if (!(part->flags & CACHE_PART_TEXT))
        return mime_encoding_remove(part->encoding, bytes, length);
    g_autoptr(GBytes) content = part->encoding == CACHE_ENCODING_IDENTITY
                                    ? g_bytes_new_static(bytes, length) /* lasts long enough */
                                    : mime_encoding_remove(part->encoding, bytes, length);
    return text_convert(part, content);
}

uint64_t mime_part_bound(const struct cache_part *part)
{
    if (part->octets < 0)
        return INT64_MAX / 2;
    uint64_t bound = (uint64_t)MIN(part->octets, INT64_MAX / 16);
    if (part->kind == CACHE_PART_HEADERS)
        return 4 * bound + 64;
    if (part->encoding == CACHE_ENCODING_BASE64)
        bound = bound / 4 * 3 + 3;
    else if (part->encoding != CACHE_ENCODING_IDENTITY)
        bound += 4;
    if (part->flags & CACHE_PART_TEXT)
        bound = 3 * bound + strlen(BOM);
    return bound;
}
