#include <string.h>

#include "fs/mime.h"

#define ROOT UINT32_MAX
#define MIXED "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"

/* A case is an ordinary structure with some entities changed, or another header or size. */
static const struct mime_entity ORDINARY[] = {
    {MIME_MULTIPART, ROOT, "", "multipart", "mixed", NULL, NULL, NULL, -1},
    {MIME_MULTIPART, 0, "1", "multipart", "alternative", NULL, NULL, NULL, -1},
    {MIME_LEAF, 1, "1.1", "text", "plain", "7bit", "utf-8", NULL, 100},
    {MIME_LEAF, 1, "1.2", "text", "html", "quoted-printable", "utf-8", NULL, 200},
    {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, "r\xc3\xa9port.pdf", 5000},
    {MIME_MESSAGE, 0, "3", "message", "rfc822", "7bit", NULL, "x.eml", 900},
    {MIME_LEAF, 5, "3.1", "text", "plain", "8bit", "utf-8", NULL, 300},
    {MIME_LEAF, 0, "4", "message", "delivery-status", "7bit", NULL, NULL, 50},
};
enum { COUNT = G_N_ELEMENTS(ORDINARY), SIZE = 7500 };

static const char *doubt(const struct mime_entity *entities, size_t count, const char *header,
                         uint64_t size)
{
    return mime_structure_doubt(entities, count, header, strlen(header), size);
}

static void test_ordinary(void)
{
    g_assert_cmpstr(doubt(ORDINARY, COUNT, MIXED, SIZE), ==, NULL);
    g_assert_cmpstr(doubt(ORDINARY, COUNT, MIXED, 0), ==, NULL);
    static const struct {
        struct mime_entity entity;
        const char *header;
    } singles[] = {
        {{MIME_LEAF, ROOT, "1", "text", "plain", "7bit", NULL, NULL, 10}, "\r\n"},
        {{MIME_LEAF, ROOT, "1", "text", "plain", "7bit", "us-ascii", NULL, 1}, ""},
        {{MIME_LEAF, ROOT, "1", "text", "html", "base64", "utf-8", NULL, 10},
         "Content-Type: TEXT/HTML; charset=utf-8\r\nContent-Transfer-Encoding: BASE64\r\n\r\n"},
        {{MIME_LEAF, ROOT, "1", "application", "pdf", "base64", NULL, "=.pdf", 10},
         "Content-Type: application/pdf;\r\n name=\"x.pdf\"\r\n"
         "Content-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(singles); i++)
        g_assert_cmpstr(doubt(&singles[i].entity, 1, singles[i].header, 1000), ==, NULL);
}

static void test_entities(void)
{
    static const struct {
        size_t index; /* of what is changed */
        struct mime_entity entity;
    } cases[] = {
        {0, {MIME_MULTIPART, 0, "", "multipart", "mixed", NULL, NULL, NULL, -1}},
        {0, {MIME_LEAF, ROOT, "1", "multipart", "mixed", NULL, NULL, NULL, 10}},
        {1, {MIME_MULTIPART, 0, "1", "multipart", "mixed", "base64", NULL, NULL, -1}},
        {2, {MIME_LEAF, 7, "1.1", "text", "plain", "7bit", NULL, NULL, 100}},
        {2, {MIME_LEAF, 1, "1.1", NULL, "plain", "7bit", NULL, NULL, 100}},
        {2, {MIME_LEAF, 1, "1.1", "te/xt", "plain", "7bit", NULL, NULL, 100}},
        {2, {MIME_LEAF, 1, NULL, "text", "plain", "7bit", NULL, NULL, 100}},
        {2, {MIME_LEAF, 1, "TEXT", "text", "plain", "7bit", NULL, NULL, 100}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "x-foo", NULL, NULL, 5000}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "\"base64\"", NULL, NULL, 5000}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, NULL, -1}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, NULL, 50000}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, NULL, INT64_MAX}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, "caf\xef\xbf\xbd", 5000}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, "caf\xe9", 5000}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, "=?utf-8?Q?x", 5000}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, "utf-8''x", 5000}},
        {4, {MIME_LEAF, 0, "2", "multipart", "mixed", "7bit", NULL, NULL, 5000}},
        {4, {MIME_MULTIPART, 0, "2", "multipart", "mixed", NULL, NULL, NULL, -1}},
        {5, {MIME_LEAF, 0, "3", "message", "rfc822", "7bit", NULL, NULL, 900}},
        {5, {MIME_MESSAGE, 0, "3", "message", "rfc822", "base64", NULL, NULL, 900}},
        {5, {MIME_MESSAGE, 0, "3", "message", "rfc822", "7bit", NULL, NULL, -1}},
        {5, {MIME_MESSAGE, 0, "3", "message", "rfc822", "7bit", NULL, NULL, 200}},
        {6, {MIME_LEAF, 0, "3.1", "text", "plain", "8bit", "utf-8", NULL, 300}},
        {2, {MIME_LEAF, 1, "1.1", "text", "plain", "7bit", "utf-8", NULL, 0}},
        {4, {MIME_LEAF, 0, "2", "application", "pdf", "base64", NULL, NULL, 0}},
        {7, {MIME_LEAF, 5, "4", "text", "plain", "8bit", "utf-8", NULL, 30}},
        {7, {MIME_LEAF, 0, "4", "message", "partial", "7bit", NULL, NULL, 50}},
        {7, {MIME_LEAF, 0, "4", "message", "external-body", "7bit", NULL, NULL, 50}},
        {7, {MIME_LEAF, 0, "4", "message", "global", "7bit", NULL, NULL, 50}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct mime_entity entities[COUNT];
        memcpy(entities, ORDINARY, sizeof entities);
        entities[cases[i].index] = cases[i].entity;
        if (!doubt(entities, COUNT, MIXED, SIZE))
            g_error("case %zu is not doubted", i);
    }
}

static void test_headers(void)
{
    static const char *const bad[] = {
        "",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n", /* no MIME-Version */
        "MIME-Version: 1.0\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"\"\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b \"\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/(x)mixed; boundary=b\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=--=b\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b/c\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: ;;;\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Type: multipart/mixed; "
        "boundary=b\r\n\r\n",
        MIXED "x",
        "Content-Transfer-Encoding: base64\r\n" MIXED,
        "Content-Transfer-Encoding: 7bit\r\ncontent-transfer-encoding: 7bit\r\n" MIXED,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        bool good =
            strcmp(bad[i], MIXED "x") == 0; /* what follows the empty line is not looked at */
        if (!doubt(ORDINARY, COUNT, bad[i], SIZE) != good)
            g_error("header %zu: %s", i, doubt(ORDINARY, COUNT, bad[i], SIZE));
    }
    static const char *const fine[] = {
        MIXED,
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=--b_1.2\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"--=b/c\"\r\n\r\n",
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary = \"=\\b\"\r\n\r\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fine); i++)
        g_assert_cmpstr(doubt(ORDINARY, COUNT, fine[i], SIZE), ==, NULL);
    static const struct mime_entity text = {MIME_LEAF, ROOT, "1",  "text", "plain",
                                            "7bit",    NULL, NULL, 10};
    static const char *const worse[] = {
        "Content-Type: text\r\n\r\n",
        "Content-Type: text/html\r\n\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
        "Content-Type:\r\n\r\n",
        "Content-Transfer-Encoding: base64\r\n\r\n",
        "Content-Transfer-Encoding: (c) 7bit\r\n\r\n",
        "Content-Transfer-Encoding: x-foo\r\n\r\n",
        "Content-Transfer-Encoding:\r\n\r\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(worse); i++)
        if (!doubt(&text, 1, worse[i], 100))
            g_error("not doubted: %s", worse[i]);
}

static void test_shapes(void)
{
    enum { MANY = 1002 };
    struct mime_entity *entities = g_new0(struct mime_entity, MANY);
    entities[0] = ORDINARY[0];
    for (uint32_t i = 1; i < MANY; i++) {
        entities[i] = ORDINARY[2];
        entities[i].parent = 0;
    }
    g_assert_nonnull(doubt(entities, MANY, MIXED, 200000));
    g_assert_null(doubt(entities, 1000, MIXED, 200000));
    for (uint32_t i = 1; i < 30; i++) {
        entities[i] = ORDINARY[1];
        entities[i].parent = i - 1;
    }
    entities[30] = ORDINARY[2];
    entities[30].parent = 29;
    g_assert_nonnull(doubt(entities, 31, MIXED, SIZE));
    g_assert_null(doubt(entities + 10, 0, MIXED, SIZE) ? NULL : "no parts");
    g_free(entities);

    struct mime_entity empty[] = {ORDINARY[0], ORDINARY[1], ORDINARY[2]};
    empty[2].octets = 0;
    g_assert_nonnull(doubt(empty, 3, MIXED, SIZE)); /* what servers invent */
    struct mime_entity part[COUNT];
    memcpy(part, ORDINARY, sizeof part);
    part[2].octets = 0;
    g_assert_nonnull(doubt(part, COUNT, MIXED, SIZE)); /* its text may be in its header */
    g_assert_nonnull(doubt(part, COUNT, MIXED, 64 << 10));
    g_assert_null(doubt(part, COUNT, MIXED, (64 << 10) + 1)); /* too much to look at */
    g_assert_nonnull(doubt(ORDINARY, COUNT, MIXED, 1000));
    g_assert_nonnull(doubt(ORDINARY, COUNT, MIXED, 100 << 20));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
    g_test_add_func("/mime/doubt/ordinary", test_ordinary);
    g_test_add_func("/mime/doubt/entities", test_entities);
    g_test_add_func("/mime/doubt/headers", test_headers);
    g_test_add_func("/mime/doubt/shapes", test_shapes);
    return g_test_run();
}
