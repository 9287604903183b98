#include <string.h>

#include "fs/mime.h"
#include "fs/name.h"
#include "fs/node.h"

#define ROOT UINT32_MAX

/* "number parent kind flags section name", a line a node. */
static char *tree_text(const struct mime_tree *tree)
{
    static const char *const kinds[] = {"leaf", "message", "directory", "headers"};
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < tree->parts->len; i++) {
        const struct cache_part *part = &g_array_index(tree->parts, struct cache_part, i);
        g_string_append_printf(out, "%u %u %s%s%s%s %s %s\n", part->number, part->parent,
                               kinds[part->kind], part->flags & CACHE_PART_LOCAL ? " local" : "",
                               part->flags & CACHE_PART_TEXT ? " text" : "",
                               part->flags & CACHE_PART_HTML ? " html" : "", part->section,
                               part->name);
    }
    return g_string_free(out, FALSE);
}

static void assert_tree(const struct mime_entity *entities, size_t count, const char *expected)
{
    g_autoptr(mime_tree) tree = mime_tree_build(entities, count, 4, false);
    g_autofree char *text = tree_text(tree);
    g_assert_cmpstr(text, ==, expected);
    g_assert_false(tree->truncated);
}

static void test_ordinary(void)
{
    static const struct mime_entity entities[] = {
        {MIME_MULTIPART, ROOT, "", "multipart", "mixed", NULL, NULL, NULL, -1},
        {MIME_MULTIPART, 0, "1", "multipart", "alternative", NULL, NULL, NULL, -1},
        {MIME_LEAF, 1, "1.1", "text", "plain", "7bit", "utf-8", NULL, 10},
        {MIME_LEAF, 1, "1.2", "text", "html", "quoted-printable", "utf-8", NULL, 10},
        {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, "report.pdf", 100},
        {MIME_LEAF, 0, "3", "application", "pdf", "base64", NULL, "Report.PDF", 100},
        {MIME_LEAF, 0, "4", "image", "png", "base64", NULL, NULL, 100},
        {MIME_LEAF, 0, "5", "text", "calendar", "8bit", "utf-8", NULL, 100},
        {MIME_LEAF, 0, "6", "text", "x-other", "8bit", "utf-8", "/", 100},
        {MIME_LEAF, 0, "7", "application", "x-other", "base64", NULL, NULL, 100},
        {MIME_LEAF, 0, "8", "text", "plain", "base64", NULL, "notes.txt", 100},
        {MIME_LEAF, 0, "9", "text", "plain", "7bit", NULL, NULL, 100},
        {MIME_LEAF, 0, "10", "text", "plain", "7bit", NULL, "headers.txt", 100},
    };
    assert_tree(entities, G_N_ELEMENTS(entities),
                "4 1 leaf text 1.1 body.txt\n"
                "5 1 leaf text html 1.2 body.html\n"
                "6 1 leaf 2 report.pdf\n"
                "7 1 leaf 3 Report (2).PDF\n"
                "8 1 leaf 4 part-5.png\n"
                "9 1 leaf text 5 part-6.ics\n"
                "10 1 leaf text 6 part-7.txt\n"
                "11 1 leaf 7 part-8.bin\n"
                "12 1 leaf 8 notes.txt\n"
                "13 1 leaf text 9 body (2).txt\n"
                "14 1 leaf 10 headers (2).txt\n");
}

static void test_messages(void)
{
    static const struct mime_entity entities[] = {
        {MIME_MULTIPART, ROOT, "", "multipart", "mixed", NULL, NULL, NULL, -1},
        {MIME_LEAF, 0, "1", "text", "plain", NULL, NULL, "forwarded", 1},
        {MIME_MESSAGE, 0, "2", "message", "rfc822", NULL, NULL, NULL, 50},
        {MIME_MULTIPART, 2, "2", "multipart", "mixed", NULL, NULL, NULL, -1},
        {MIME_LEAF, 3, "2.1", "text", "plain", NULL, NULL, NULL, 1},
        {MIME_MESSAGE, 3, "2.2", "message", "rfc822", NULL, NULL, "../a.EML", 20},
        {MIME_LEAF, 5, "2.2.1", "text", "html", NULL, NULL, NULL, 1},
        {MIME_MESSAGE, 0, "3", "message", "global", NULL, NULL, "forwarded.eml", 50},
        {MIME_LEAF, 7, "3.1", "text", "plain", NULL, NULL, NULL, 1},
        {MIME_LEAF, 0, "4", "text", "plain", NULL, NULL, NULL, 1},
    };
    assert_tree(entities, G_N_ELEMENTS(entities),
                "4 1 leaf 1 forwarded\n"
                "5 1 message 2 forwarded (2).eml\n"
                "6 1 directory 2 forwarded (2)\n"
                "7 6 headers 2 headers.txt\n"
                "8 6 leaf text 2.1 body.txt\n"
                "9 6 message 2.2 a.eml\n"
                "10 6 directory 2.2 a\n"
                "11 10 headers 2.2 headers.txt\n"
                "12 10 leaf text html 2.2.1 body.html\n"
                "13 1 message 3 forwarded (3).eml\n"
                "14 1 directory 3 forwarded (3)\n"
                "15 14 headers 3 headers.txt\n"
                "16 14 leaf text 3.1 body.txt\n"
                "17 1 leaf text 4 body.txt\n");
}

/* Parents first is all that is promised of the order; numbers are in pre-order all the same. */
static void test_breadth_first(void)
{
    static const struct mime_entity entities[] = {
        {MIME_MULTIPART, ROOT, "", "multipart", "mixed", NULL, NULL, NULL, -1},
        {MIME_MULTIPART, 0, "1", "multipart", "mixed", NULL, NULL, NULL, -1},
        {MIME_LEAF, 0, "2", "text", "plain", NULL, NULL, NULL, 1},
        {MIME_LEAF, 1, "1.1", "text", "plain", NULL, NULL, NULL, 1},
        {MIME_LEAF, 1, "1.2", "text", "plain", NULL, NULL, NULL, 1},
    };
    assert_tree(entities, G_N_ELEMENTS(entities),
                "4 1 leaf text 1.1 body.txt\n"
                "5 1 leaf text 1.2 body (2).txt\n"
                "6 1 leaf text 2 body (3).txt\n");
}

static void test_nonsense(void)
{
    static const struct mime_entity entities[] = {
        {MIME_MULTIPART, 3, NULL, NULL, NULL, NULL, NULL, NULL, -1},
        {MIME_LEAF, 5, "1", "text", "plain", NULL, NULL, NULL, 1},
        {MIME_LEAF, 0, NULL, NULL, NULL, "\xff", "\xff", "\xff", -1},
        {MIME_LEAF, 2, "3", "text", "plain", NULL, NULL, NULL, 1},
        {MIME_LEAF, 4, "4", "text", "plain", NULL, NULL, NULL, 1},
        {MIME_MESSAGE, 0, "5", "message", "rfc822", NULL, NULL, NULL, 1},
    };
    assert_tree(entities, G_N_ELEMENTS(entities),
                "4 1 leaf  \xef\xbf\xbd\n"
                "5 1 message 5 forwarded.eml\n"
                "6 1 directory 5 forwarded\n"
                "7 6 headers 5 headers.txt\n");
    assert_tree(entities, 0, "");
}

/* Very many parts, all with one name: as many as have numbers. */
static void test_many(void)
{
    static const struct mime_entity leaf = {MIME_LEAF, 0,    "1",        "image", "png",
                                            "base64",  NULL, "same.png", 1};
    enum { COUNT = 20000 };
    struct mime_entity *entities = g_new(struct mime_entity, COUNT);
    for (int i = 0; i < COUNT; i++)
        entities[i] = leaf;
    entities[0] = (struct mime_entity){.kind = MIME_MULTIPART, .parent = ROOT, .section = ""};
    g_autoptr(mime_tree) tree = mime_tree_build(entities, COUNT, 100, true);
    g_assert_true(tree->truncated);
    g_assert_cmpuint(tree->parts->len, ==, NODE_PART_LAST - 100 + 1);
    const struct cache_part *last =
        &g_array_index(tree->parts, struct cache_part, tree->parts->len - 1);
    g_assert_cmpuint(last->number, ==, NODE_PART_LAST);
    g_assert_cmpstr(last->name, ==, "same (15901).png");
    g_free(entities);
}

/* Messages in messages: directories end where paths would get too long, the .eml files stay. */
static void test_deep(void)
{
    enum { COUNT = 8000 };
    struct mime_entity *entities = g_new0(struct mime_entity, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        entities[i] = (struct mime_entity){.kind = MIME_MESSAGE,
                                           .parent = i - 1,
                                           .section = "1",
                                           .type = "message",
                                           .subtype = "rfc822"};
    g_autoptr(mime_tree) tree = mime_tree_build(entities, COUNT, 4, true);
    g_assert_true(tree->truncated);
    enum { LEVELS = 2048 / 10 }; /* "forwarded/" */
    g_assert_cmpuint(tree->parts->len, ==, 3 * LEVELS + 1);
    const struct cache_part *last =
        &g_array_index(tree->parts, struct cache_part, tree->parts->len - 1);
    g_assert_cmpint(last->kind, ==, CACHE_PART_MESSAGE);
    g_free(entities);
}

/* Names of a directory differ without regard to case, whatever the parts are called. */
static void test_random(void)
{
    static const char *const names[] = {NULL,
                                        "a",
                                        "A",
                                        "a.eml",
                                        "a (2).eml",
                                        "body.txt",
                                        "a (2)",
                                        "BODY.TXT",
                                        "body (2).txt",
                                        "part-2.png",
                                        "headers.txt",
                                        "forwarded",
                                        "forwarded (2)",
                                        "x.eml.eml",
                                        ".eml",
                                        "\xff.eml",
                                        "con.eml",
                                        "a .eml"};
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);
    for (int round = 0; round < 3000; round++) {
        struct mime_entity entities[40] = {{.kind = MIME_MULTIPART, .parent = ROOT, .section = ""}};
        for (uint32_t i = 1; i < G_N_ELEMENTS(entities); i++)
            entities[i] = (struct mime_entity){
                .kind = (enum mime_entity_kind)g_rand_int_range(rand, 0, 3),
                .parent = (uint32_t)g_rand_int_range(rand, 0, (gint32)i),
                .section = "1",
                .type = g_rand_boolean(rand) ? "text" : "image",
                .subtype = g_rand_boolean(rand) ? "plain" : "png",
                .name = names[g_rand_int_range(rand, 0, G_N_ELEMENTS(names))],
            };
        g_autoptr(mime_tree) tree = mime_tree_build(entities, G_N_ELEMENTS(entities), 4, false);
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_assert_true(g_hash_table_add(seen, g_strdup("1/headers.txt")));
        unsigned number = 4;
        for (guint i = 0; i < tree->parts->len; i++) {
            const struct cache_part *part = &g_array_index(tree->parts, struct cache_part, i);
            g_assert_cmpuint(part->number, ==, number++);
            g_assert_cmpuint(part->parent, <, part->number);
            g_assert_cmpuint(strlen(part->name), <=, NAME_PART_MAX);
            g_assert_null(strchr(" .-", part->name[0]));
            g_assert_null(strchr(" .", part->name[strlen(part->name) - 1]));
            g_autofree char *folded = g_ascii_strdown(part->name, -1);
            g_assert_true(g_hash_table_add(seen, g_strdup_printf("%u/%s", part->parent, folded)));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
    g_test_add_func("/mime/tree/ordinary", test_ordinary);
    g_test_add_func("/mime/tree/messages", test_messages);
    g_test_add_func("/mime/tree/breadth-first", test_breadth_first);
    g_test_add_func("/mime/tree/nonsense", test_nonsense);
    g_test_add_func("/mime/tree/many", test_many);
    g_test_add_func("/mime/tree/deep", test_deep);
    g_test_add_func("/mime/tree/random", test_random);
    return g_test_run();
}
