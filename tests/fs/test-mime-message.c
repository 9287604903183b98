#include <string.h>

#include "fs/mime.h"
#include "fs/node.h"

static struct mime_message *parse(const char *text, size_t length)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, length);
    return mime_message_parse(bytes);
}

/* "section name|content" of files, a line each; CR as \r, LF as \n. */
static char *message_text(struct mime_message *message)
{
    g_autoptr(mime_tree) tree = mime_message_tree(message, NODE_PART_FIRST);
    g_autoptr(GString) out = g_string_new(NULL);
    for (guint i = 0; i < tree->parts->len; i++) {
        const struct cache_part *part = &g_array_index(tree->parts, struct cache_part, i);
        g_assert_true(part->flags & CACHE_PART_LOCAL);
        g_autoptr(GBytes) content = mime_message_part(message, part);
        g_assert_cmpint(content != NULL, ==, part->kind != CACHE_PART_DIRECTORY);
        if (!content)
            continue;
        gsize length;
        const char *bytes = g_bytes_get_data(content, &length);
        g_assert_cmpuint(length, <=, mime_part_bound(part));
        g_autofree char *copy = g_strndup(bytes ? bytes : "", length);
        g_autofree char *escaped = g_strescape(copy, NULL);
        g_string_append_printf(out, "%s %s|%s\n", part->section, part->name, escaped);
    }
    return g_strdup(out->str);
}

#define MIXED "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"

static void test_shapes(void)
{
    static const struct {
        const char *message, *parts;
    } cases[] = {
        {"", "1 body.txt|\n"},
        {"\r\n", "1 body.txt|\n"},
        {"Subject: x", "1 body.txt|\n"},
        {"Subject: x\r\n\r\nHi\r\n", "1 body.txt|Hi\\n\n"},
        {"\r\nHi", "1 body.txt|Hi\n"},
        {"no mail at all\njust text\n", "1 body.txt|no mail at all\\njust text\\n\n"},
        {"From x@y Fri\nSubject: a\n\nHi", "1 body.txt|Hi\n"},
        {"junk\nContent-Type: text/html\n\n<p>", "1 body.html|\\357\\273\\277<p>\n"},
        {"Content-Type: text/html\nthis is no field\nnor this\n\nx",
         "1 body.html|\\357\\273\\277this is no field\\nnor this\\n\\nx\n"},
        {"Content-Type: application/pdf; name=a b.pdf\n\nx\n", "1 a b.pdf|x\\n\n"},
        {"Content-Type: application/pdf; name=\"no end\n\nx", "1 no end|x\n"},
        {"Content-Disposition: attachment (c); (d) filename (e) = \"c.txt\" (f)\n\nx\r\n",
         "1 c.txt|x\\r\\n\n"},
        {"Content-Type: (c) text (d) / (e) html (f) ; (g) charset (h) = (i) utf-8 (j)\n\nx",
         "1 body.html|\\357\\273\\277x\n"},
        {"Content-Type: text\n\nx", "1 body.txt|x\n"},
        {"Content-Type: ;;; //\\ \"\n\nx", "1 body.txt|x\n"},
        {"Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n\nQUJD",
         "1 body.txt|ABC\n"},
        {MIXED "pre\n--b\n\none\n--b\nContent-Type: text/html\n\n<p>\n--b--\nepi\n",
         "1 body.txt|one\n2 body.html|\\357\\273\\277<p>\n"},
        {MIXED "--b\r\n\r\none\r\n\r\n--b \t\r\n\r\ntwo\r\n--b-- \r\n",
         "1 body.txt|one\\n\n2 body (2).txt|two\n"},
        {MIXED "--b\n\none", "1 body.txt|one\n"},
        {MIXED "--b\n\n--bx\n--B\n--b\n\n--b--x\n-b--\n--b--",
         "1 body.txt|--bx\\n--B\n2 body (2).txt|--b--x\\n-b--\n"},
        {MIXED "--b\n--b\nContent-Type: text/plain\n--b--\n", "1 body.txt|\n2 body (2).txt|\n"},
        {MIXED "no boundary here\n", "1 part-1.txt|no boundary here\\n\n"},
        {MIXED "--b--\n", "1 part-1.txt|--b--\\n\n"},
        {MIXED "--b\nContent-Type: multipart/mixed; boundary=i\n--i\nA: b\n\nin\n--i--\n--b--\n",
         "1.1 body.txt|in\n"},
        {MIXED "--b\nContent-Type: text/plain\nno empty line\n\n--b\nX: y\n<p>\n--b--",
         "1 body.txt|no empty line\\n\n2 body (2).txt|<p>\n"},
        {"Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n",
         "1 part-1.txt|--b\\n\\nx\\n--b--\\n\n"},
        {"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n"
         "LS1iCg==",
         "1 part-1.txt|--b\\n\n"},
        {"Content-Type: multipart/mixed; boundary*0=\"a\"; boundary*1=b\n\n--ab\n\nx\n--ab--",
         "1 body.txt|x\n"},
        {MIXED "--b\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\nin\n--b\n\nout\n"
               "--bb\nstill\n--b--\n",
         "1.1 body.txt|in\n2 body (2).txt|out\\n--bb\\nstill\n"},
        {MIXED "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nin\n--b--\n\n--b\n\nout",
         "1.1 body.txt|in\n2 body (2).txt|out\n"},
        {MIXED "--b\nContent-Type: message/rfc822\n\nSubject: s\n\ninner\n--b--\n",
         "1 forwarded.eml|Subject: s\\n\\ninner\n1 headers.txt|Subject: s\\n\n"
         "1.1 body.txt|inner\n"},
        {MIXED "--b\nContent-Type: message/rfc822\n\n--b--\n",
         "1 forwarded.eml|\n1 headers.txt|\n1.1 body.txt|\n"},
        {MIXED "--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=i\n\n"
               "--i\n\none\n--i\n\ntwo\n--i--\nepilogue\n--b\n\nthree\n--b--\n",
         "1 forwarded.eml|Content-Type: multipart/mixed; "
         "boundary=i\\n\\n--i\\n\\none\\n--i\\n\\ntwo"
         "\\n--i--\\nepilogue\n1 headers.txt|Content-Type: multipart/mixed; boundary=i\\n\n"
         "1.1 body.txt|one\n1.2 body (2).txt|two\n2 body.txt|three\n"},
        {MIXED "--b\nContent-Type: message/external-body; name=\"there.ps\"\n\nA: b\n\n--b\n"
               "Content-Type: message/external-body; name=\"there.ps\"\n"
               "Content-Disposition: attachment; filename=\"here.txt\"\n\nA: b\n\n--b--",
         "1 part-1.txt|A: b\\n\n2 here.txt|A: b\\n\n"},
        {MIXED "--b\nContent-Type: message/news\n\nA: b\n\n--b--", "1 part-1.eml|A: b\\n\n"},
        {"Content-Type: message/rfc822\n\nSubject: s\n\nx",
         "1 forwarded.eml|Subject: s\\n\\nx\n1 headers.txt|Subject: s\\n\n1.1 body.txt|x\n"},
        {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nUzogcw==",
         "1 forwarded.eml|S: s\n"},
        {"Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\nx\n--b\n"
         "Content-Type: text/plain\n\ny\n--b--",
         "1 forwarded.eml|A: b\\n\\nx\n1 headers.txt|A: b\\n\n1.1 body.txt|x\n2 body.txt|y\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(mime_message) message = parse(cases[i].message, strlen(cases[i].message));
        g_autofree char *text = message_text(message);
        g_assert_cmpstr(text, ==, cases[i].parts);
    }
}

static void test_part_not_there(void)
{
    g_autoptr(mime_message) message = parse("A: b\n\nx", 7);
    static const struct cache_part parts[] = {
        {.kind = CACHE_PART_LEAF, .section = "2", .charset = ""},
        {.kind = CACHE_PART_LEAF, .section = "", .charset = ""},
        {.kind = CACHE_PART_MESSAGE, .section = "1", .charset = ""},
        {.kind = CACHE_PART_HEADERS, .section = "1", .charset = ""},
        {.kind = CACHE_PART_DIRECTORY, .section = "1", .charset = ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        g_assert_null(mime_message_part(message, &parts[i]));
}

/* Without the bytes it is still known where they lay. */
static void test_extents(void)
{
    static const char text[] =
        MIXED "--b\n\none\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\ntwo\n--b--\n";
    static const struct {
        struct cache_part part;
        const char *octets; /* NULL: no such part */
    } cases[] = {
        {{.kind = CACHE_PART_LEAF, .section = "1"}, "one"},
        {{.kind = CACHE_PART_MESSAGE, .section = "2"}, "Subject: x\n\ntwo"},
        {{.kind = CACHE_PART_HEADERS, .section = "2"}, "Subject: x\n\n"},
        {{.kind = CACHE_PART_LEAF, .section = "2.1"}, "two"},
        {{.kind = CACHE_PART_LEAF, .section = "2"}, NULL},
        {{.kind = CACHE_PART_MESSAGE, .section = "1"}, NULL},
        {{.kind = CACHE_PART_DIRECTORY, .section = "2"}, NULL},
        {{.kind = CACHE_PART_LEAF, .section = "3"}, NULL},
    };
    g_autoptr(mime_message) message = parse(text, strlen(text));
    mime_message_forget(message);
    g_assert_cmpuint(mime_message_weight(message), >, 0);
    g_assert_cmpuint(mime_message_weight(message), <, 4096);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t offset, length;
        bool found = mime_message_extent(message, &cases[i].part, &offset, &length);
        g_assert_cmpint(found, ==, cases[i].octets != NULL);
        if (found)
            g_assert_cmpmem(text + offset, length, cases[i].octets, strlen(cases[i].octets));
        g_assert_null(mime_message_part(message, &cases[i].part));
    }
}

/* ---- hostile shapes ------------------------------------------------------------------------- */

static struct mime_tree *tree_of(const GString *text)
{
    g_autoptr(mime_message) message = parse(text->str, text->len);
    return mime_message_tree(message, NODE_PART_FIRST);
}

static guint leaves(const struct mime_tree *tree)
{
    guint count = 0;
    for (guint i = 0; i < tree->parts->len; i++)
        count += g_array_index(tree->parts, struct cache_part, i).kind == CACHE_PART_LEAF;
    return count;
}

static void test_deep_messages(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 100000; i++)
        g_string_append(text, "Content-Type: message/rfc822\n\n");
    g_string_append(text, "Subject: core\n\nx");
    g_autoptr(mime_tree) deep = tree_of(text);
    g_assert_true(deep->truncated);
    g_assert_cmpuint(deep->parts->len, ==, 3 * (2048 / 10) + 1);
    g_string_erase(text, 0, (100000 - 150) * 30);
    g_autoptr(mime_tree) whole = tree_of(text);
    g_assert_false(whole->truncated);
    g_assert_cmpuint(leaves(whole), ==, 1);
    g_assert_cmpuint(whole->parts->len, ==, 3 * 150 + 1);
    g_assert_cmpstr(g_array_index(whole->parts, struct cache_part, 3 * 150).name, ==, "body.txt");
}

static void test_deep_multiparts(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 100000; i++)
        g_string_append_printf(text, "Content-Type: multipart/mixed; boundary=%d\n\n--%d\n", i, i);
    g_string_append(text, "\nx\n");
    for (int i = 100000; i-- > 0;)
        g_string_append_printf(text, "--%d\n\ny\n--%d--\n", i, i);
    g_autoptr(mime_tree) tree = tree_of(text);
    g_assert_cmpuint(leaves(tree), ==, 1 + 1024);
}

/* Many boundary-like lines under many open boundaries cost no more than their bytes. */
static void test_many_boundaries(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (int i = 0; i < 1000; i++)
        g_string_append_printf(text, "Content-Type: multipart/mixed; boundary=%04d\n\n--%04d\n", i,
                               i);
    g_string_append_c(text, '\n');
    for (int i = 0; i < 500000; i++)
        g_string_append(text, "--9999\n");
    g_autoptr(mime_tree) tree = tree_of(text);
    g_assert_cmpuint(leaves(tree), ==, 1);
}

static void test_wide(void)
{
    g_autoptr(GString) text = g_string_new(MIXED);
    for (int i = 0; i < 5000; i++)
        g_string_append_printf(text, "--b\n\np%d\n", i);
    g_string_append(text, "--b--\n");
    g_autoptr(mime_tree) tree = tree_of(text);
    g_assert_cmpuint(leaves(tree), ==, 5000);
    g_assert_false(tree->truncated);
    g_autoptr(GString) wider = g_string_new(MIXED);
    for (int i = 0; i < 200000; i++)
        g_string_append(wider, "--b\n");
    g_autoptr(mime_tree) most = tree_of(wider);
    g_assert_true(most->truncated);
    g_assert_cmpuint(most->parts->len, ==, NODE_PART_LAST - NODE_PART_FIRST + 1);
}

/* All that is cut out of a message lies in it. */
static void test_random(void)
{
    static const char *const lines[] = {
        "",
        "",
        "text",
        "--a",
        "--b",
        "--a--",
        "--b--",
        "--ab",
        " folded",
        "Subject: =?utf-8?q?x?=",
        "Content-Type: multipart/mixed; boundary=a",
        "Content-Type: multipart/digest; boundary=b",
        "Content-Type: multipart/mixed; boundary=ab",
        "Content-Type: message/rfc822",
        "Content-Type: text/html; charset=utf-16",
        "Content-Type: image/png; name=\"x.png\"",
        "Content-Transfer-Encoding: base64",
        "Content-Transfer-Encoding: quoted-printable",
        "Content-Disposition: attachment; filename*0*=utf-8''%41; filename*1=b",
        "QUJD",
        "=C3=\t"};
    g_autoptr(GRand) rand = g_rand_new_with_seed(13);
    for (int round = 0; round < 20000; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (int n = g_rand_int_range(rand, 0, 40); n > 0; n--) {
            g_string_append(text, lines[g_rand_int_range(rand, 0, G_N_ELEMENTS(lines))]);
            g_string_append(text, g_rand_int_range(rand, 0, 4) ? "\r\n" : "\n");
        }
        g_autoptr(mime_message) message = parse(text->str, text->len);
        g_autofree char *shown = message_text(message);
        g_assert_cmpuint(strlen(shown), >, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
    g_test_add_func("/mime/message/shapes", test_shapes);
    g_test_add_func("/mime/message/part-not-there", test_part_not_there);
    g_test_add_func("/mime/message/extents", test_extents);
    g_test_add_func("/mime/message/deep-messages", test_deep_messages);
    g_test_add_func("/mime/message/deep-multiparts", test_deep_multiparts);
    g_test_add_func("/mime/message/many-boundaries", test_many_boundaries);
    g_test_add_func("/mime/message/wide", test_wide);
    g_test_add_func("/mime/message/random", test_random);
    return g_test_run();
}
