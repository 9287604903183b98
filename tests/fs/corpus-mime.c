/* Prints what we make of messages, for corpus-mime.py to compare: for each file a line "file PATH",
 * then a line a node with tabs between number, parent, kind, flags, encoding, octets, name,
 * section, type, charset, and for leaves the content without and with conversion in base64. */
#include <stdio.h>

#include "fs/mime.h"

static char *content_base64(struct mime_message *message, struct cache_part part, bool convert)
{
    if (!convert)
        part.flags &= ~(unsigned)(CACHE_PART_TEXT | CACHE_PART_HTML);
    g_autoptr(GBytes) content = mime_message_part(message, &part);
    if (!content)
        g_error("no content of section %s", part.section);
    if (part.octets >= 0 && g_bytes_get_size(content) > mime_part_bound(&part))
        g_error("section %s is longer than its bound", part.section);
    gsize length;
    const void *bytes = g_bytes_get_data(content, &length);
    return g_base64_encode(bytes ? bytes : "", length);
}

static void part_print(struct mime_message *message, const struct cache_part *part)
{
    printf("%u\t%u\t%d\t%u\t%d\t%lld\t%s\t%s\t%s\t%s", part->number, part->parent, (int)part->kind,
           part->flags, (int)part->encoding, (long long)part->octets, part->name, part->section,
           part->type, part->charset);
    if (part->kind == CACHE_PART_LEAF) {
        g_autofree char *raw = content_base64(message, *part, false);
        g_autofree char *shown = content_base64(message, *part, true);
        printf("\t%s\t%s", raw, shown);
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    mime_init();
    for (int i = 1; i < argc; i++) {
        char *text;
        gsize length;
        if (!g_file_get_contents(argv[i], &text, &length, NULL))
            g_error("%s cannot be read", argv[i]);
        g_autoptr(GBytes) bytes = g_bytes_new_take(text, length);
        g_autoptr(mime_message) message = mime_message_parse(bytes);
        g_autoptr(mime_tree) tree = mime_message_tree(message, 4);
        printf("file %s\n", argv[i]);
        for (guint p = 0; p < tree->parts->len; p++)
            part_print(message, &g_array_index(tree->parts, struct cache_part, p));
    }
    return 0;
}
