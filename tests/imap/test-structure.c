/* BODYSTRUCTURE: right ones, those that real servers send, and those that nobody should. */
#include "imap/reply.h"

#include <string.h>

static struct imap_parser *parser_of(const char *structure, const struct imap_limits *limits,
                                     struct imap_reply *reply)
{
    struct imap_parser *parser = imap_parser_new(limits);
    g_autofree char *line =
        g_strconcat("* 1 FETCH (UID 5 BODYSTRUCTURE ", structure, " RFC822.SIZE 6)\r\n", NULL);
    imap_parser_feed(parser, line, strlen(line));
    g_test_message("%.2000s", structure);
    g_assert_cmpint(imap_parser_next(parser, false, reply), ==, 1);
    g_assert_cmpuint(reply->fetch.uid, ==, 5);
    g_assert_cmpuint(reply->fetch.size, ==, 6);
    return parser;
}

static void describe_parameters(GString *out, const struct imap_parameter *parameters,
                                uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        g_string_append_printf(out, " %s=%s", parameters[i].name, parameters[i].value);
}

/* "1 text/plain 7bit 5 charset=x; 2 ..." with "+" for a multipart and "@" for a message. */
static char *describe(const struct imap_fetch *fetch)
{
    GString *out = g_string_new(NULL);
    if (fetch->items & IMAP_ITEM_STRUCTURE_BROKEN)
        g_string_append(out, "broken");
    for (uint32_t i = 0; i < fetch->structure.count; i++) {
        const struct imap_part *part = &fetch->structure.parts[i];
        g_assert_true(i == 0 ? part->parent == UINT32_MAX : part->parent < i);
        g_string_append_printf(out, "%s%s%s %s/%s", i == 0 ? "" : "; ",
                               part->kind == IMAP_PART_MULTIPART ? "+"
                               : part->kind == IMAP_PART_MESSAGE ? "@"
                                                                 : "",
                               part->section, part->type, part->subtype);
        if (part->kind == IMAP_PART_MULTIPART) {
            g_assert_null(part->encoding);
            g_assert_cmpint(part->octets, ==, -1);
        } else {
            g_string_append_printf(out, " %s %" G_GINT64_FORMAT, part->encoding, part->octets);
        }
        describe_parameters(out, part->parameters, part->parameter_count);
        if (part->id != NULL)
            g_string_append_printf(out, " id:%s", part->id);
        if (part->description != NULL)
            g_string_append_printf(out, " about:%s", part->description);
        if (part->disposition != NULL)
            g_string_append_printf(out, " as:%s", part->disposition);
        describe_parameters(out, part->disposition_parameters, part->disposition_parameter_count);
    }
    return g_string_free(out, FALSE);
}

#define TEXT "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 5 1)"
#define TEXT_SAID " text/plain 7bit 5"
#define ENVELOPE "(\"d\" \"s\" ((\"n\" NIL \"m\" \"h\")) NIL NIL NIL NIL NIL NIL \"<id>\")"
#define MESSAGE(body) "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 " ENVELOPE " " body " 7)"

static const struct {
    const char *structure, *said;
} CASES[] = {
    /* as the RFC says */
    {TEXT, "1" TEXT_SAID},
    {"(\"TEXT\" \"HTML\" (\"CHARSET\" \"UTF-8\" \"x\" \"Y\") \"<i@d>\" \"About\" \"BASE64\" 500 9 "
     "\"md5\" (\"INLINE\" (\"FileName\" \"A.html\")) (\"en\" \"de\") \"http://x/\")",
     "1 text/html base64 500 charset=UTF-8 x=Y id:<i@d> about:About as:inline filename=A.html"},
    {"(\"image\" \"png\" NIL NIL NIL \"base64\" 10 NIL (\"attachment\" NIL) NIL NIL)",
     "1 image/png base64 10 as:attachment"},
    {"(" TEXT TEXT " \"mixed\")", "+ multipart/mixed; 1" TEXT_SAID "; 2" TEXT_SAID},
    {"(" TEXT " " TEXT " \"Mixed\" (\"boundary\" \"b\") (\"inline\" (\"x\" \"y\")) \"en\")",
     "+ multipart/mixed boundary=b as:inline x=y; 1" TEXT_SAID "; 2" TEXT_SAID},
    {"((" TEXT TEXT " \"alternative\") (" TEXT " \"related\") \"mixed\")",
     "+ multipart/mixed; +1 multipart/alternative; 1.1" TEXT_SAID "; 1.2" TEXT_SAID
     "; +2 multipart/related; 2.1" TEXT_SAID},
    /* messages in messages: RFC 3501, 6.4.5 */
    {MESSAGE(TEXT), "@1 message/rfc822 7bit 99; 1.1" TEXT_SAID},
    {MESSAGE("(" TEXT TEXT " \"mixed\")"),
     "@1 message/rfc822 7bit 99; +1 multipart/mixed; 1.1" TEXT_SAID "; 1.2" TEXT_SAID},
    {"(" TEXT MESSAGE("((" TEXT TEXT
                      " \"alternative\")" MESSAGE(MESSAGE(TEXT)) " \"mixed\")") " \"mixed\")",
     "+ multipart/mixed; 1" TEXT_SAID "; @2 message/rfc822 7bit 99; +2 multipart/mixed; "
     "+2.1 multipart/alternative; 2.1.1" TEXT_SAID "; 2.1.2" TEXT_SAID
     "; @2.2 message/rfc822 7bit 99; @2.2.1 message/rfc822 7bit 99; 2.2.1.1" TEXT_SAID},
    {"(\"message\" \"rfc822\" NIL \"i\" \"d\" \"7bit\" 99 " ENVELOPE " " TEXT " 7 \"md5\" "
     "(\"attachment\" (\"filename\" \"a.eml\")) NIL NIL)",
     "@1 message/rfc822 7bit 99 id:i about:d as:attachment filename=a.eml; 1.1" TEXT_SAID},
    {"(\"message\" \"delivery-status\" NIL NIL NIL \"7bit\" 9)",
     "1 message/delivery-status 7bit 9"},
    {"(\"message\" \"global\" NIL NIL NIL \"8bit\" 99 " ENVELOPE " " TEXT " 7)",
     "@1 message/global 8bit 99; 1.1" TEXT_SAID},
    /* messages that lack something */
    {"(\"message\" \"rfc822\" NIL NIL NIL \"base64\" 99 NIL (\"attachment\" (\"filename\" \"a\")) "
     "NIL NIL)",
     "1 message/rfc822 base64 99 as:attachment filename=a"},
    {"(\"message\" \"rfc822\" NIL NIL NIL \"base64\" 99)", "1 message/rfc822 base64 99"},
    {"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 NIL " TEXT " 7)",
     "@1 message/rfc822 7bit 99; 1.1" TEXT_SAID},
    {"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 " TEXT " 7)",
     "@1 message/rfc822 7bit 99; 1.1" TEXT_SAID},
    {"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 " ENVELOPE " NIL 7)",
     "1 message/rfc822 7bit 99"},
    {"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 (" ENVELOPE ") " TEXT " 7)",
     "@1 message/rfc822 7bit 99; 1.1" TEXT_SAID},
    {MESSAGE("(\"mixed\" NIL NIL NIL)"), "@1 message/rfc822 7bit 99; +1 multipart/mixed"},
    /* multiparts without children */
    {"(\"mixed\" NIL NIL NIL)", "+ multipart/mixed"},
    {"(\"ALTERNATIVE\")", "+ multipart/alternative"},
    {"(\"mixed\" (\"boundary\" \"b\") NIL NIL)", "+ multipart/mixed boundary=b"},
    {"(NIL \"alternative\" (\"boundary\" \"b\") NIL NIL)", "+ multipart/alternative boundary=b"},
    {"(" TEXT "(\"alternative\")" TEXT " \"mixed\")",
     "+ multipart/mixed; 1" TEXT_SAID "; +2 multipart/alternative; 3" TEXT_SAID},
    {"(\"multipart\" \"mixed\" NIL NIL NIL \"8bit\" 18 NIL NIL NIL)", "1 multipart/mixed 8bit 18"},
    {"(" TEXT ")", "1" TEXT_SAID},
    {"((((" TEXT "))))", "1" TEXT_SAID},
    {"(((" TEXT ")) \"mixed\")", "+ multipart/mixed; 1" TEXT_SAID},
    {"(" TEXT " NIL)", "+ multipart/mixed; 1" TEXT_SAID},
    {"(" TEXT " \"mixed\" NIL NIL NIL NIL)", "+ multipart/mixed; 1" TEXT_SAID},
    {"(() " TEXT " \"mixed\")",
     "+ multipart/mixed; 1 application/octet-stream 7bit -1; 2" TEXT_SAID},
    /* leaves that lack something */
    {"(NIL NIL NIL NIL NIL \"7BIT\" 0 NIL NIL NIL NIL)", "1 application/octet-stream 7bit 0"},
    {"(NIL \"plain\" NIL NIL NIL \"7bit\" 3)", "1 application/octet-stream 7bit 3"},
    {"(\"text\" NIL NIL NIL NIL NIL 3 1)", "1 text/octet-stream 7bit 3"},
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" -1 -1)", "1 text/plain 7bit -1"},
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 9.37e+06 2)", "1 text/plain 7bit -1"},
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 5000000000 2)", "1 text/plain 7bit 5000000000"},
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" NIL NIL)", "1 text/plain 7bit -1"},
    {"(\"text\" \"plain\")", "1 text/plain 7bit -1"},
    {"(\"text\")", "1 text/octet-stream 7bit -1"},
    {"(\"text\" \"plain\" NIL \"base64\" 7 1)", "1 text/plain base64 7"},
    {"(\"text\" \"plain\" \"base64\" 7 1)", "1 text/plain base64 7"},
    {"(\"text\" \"plain\" (\"a\" \"b\") NIL NIL \"x-uuencode\" 7 1)",
     "1 text/plain x-uuencode 7 a=b"},
    {"(text plain nil nil nil 7bit 7)", "1 text/plain 7bit 7"},
    {"({4}\r\nTEXT {5}\r\nplain NIL NIL NIL {4}\r\n7BIT 7)", "1 text/plain 7bit 7"},
    /* parameters */
    {"(\"text\" \"plain\" \"charset\" NIL NIL \"7bit\" 7)", "1 text/plain 7bit 7"},
    {"(\"text\" \"plain\" () NIL NIL \"7bit\" 7)", "1 text/plain 7bit 7"},
    {"(\"text\" \"plain\" (\"a\" NIL \"b\" \"c\" \"d\") NIL NIL \"7bit\" 7)",
     "1 text/plain 7bit 7 b=c"},
    {"(\"text\" \"plain\" ((\"a\" \"b\") (\"c\" \"d\")) NIL NIL \"7bit\" 7)",
     "1 text/plain 7bit 7 a=b c=d"},
    {"(\"text\" \"plain\" (\"a\" (\"x\" \"y\") \"c\" \"d\") NIL NIL \"7bit\" 7)",
     "1 text/plain 7bit 7 x=y c=d"},
    {"(\"text\" \"plain\" (\"name\" {4}\r\n\"a)( \"Size\" 12) NIL NIL \"7bit\" 7)",
     "1 text/plain 7bit 7 name=\"a)( size=12"},
    /* dispositions */
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 7 1 NIL \"Attachment\" NIL NIL)",
     "1 text/plain 7bit 7 as:attachment"},
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 7 1 NIL (\"inline\") NIL NIL)",
     "1 text/plain 7bit 7 as:inline"},
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 7 1 NIL NIL \"en\" \"loc\")", "1 text/plain 7bit 7"},
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 7 1 NIL NIL (\"en\") \"loc\")",
     "1 text/plain 7bit 7"},
    {"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 7 (\"attachment\" (\"filename\" \"x\")))",
     "1 text/plain 7bit 7 as:attachment filename=x"},
    {"(\"image\" \"png\" NIL NIL NIL \"7bit\" 7 1 NIL (\"x-own\" (\"filename\" \"x\")))",
     "1 image/png 7bit 7 as:x-own filename=x"},
    {"(\"image\" \"png\" NIL NIL NIL \"7bit\" 7 NIL (NIL NIL) NIL)", "1 image/png 7bit 7"},
    {"(\"image\" \"png\" NIL NIL NIL \"7bit\" 7 NIL () NIL)", "1 image/png 7bit 7"},
    /* nothing to be had */
    {"()", "broken"},
    {"NIL", "broken"},
    {"\"text\"", "broken"},
    {"{4}\r\ntext", "broken"},
    {"(())", "1 application/octet-stream 7bit -1"},
    {"(NIL)", "1 application/octet-stream 7bit -1"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(CASES[i].structure, NULL, &reply);
        g_autofree char *said = describe(&reply.fetch);
        g_assert_cmpstr(said, ==, CASES[i].said);
    }
}

static char *nested(const char *before, size_t levels, const char *after)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < levels; i++)
        g_string_append(out, before);
    g_string_append(out, TEXT);
    for (size_t i = 0; i < levels; i++)
        g_string_append(out, after);
    return g_string_free(out, FALSE);
}

static void test_depth(void)
{
    static const struct {
        size_t levels, depth_max;
        bool broken;
    } DEPTHS[] = {
        {1000, 0, false}, {4096, 0, false}, {4097, 0, true},    {100000, 0, true},
        {7, 7, false},    {8, 7, true},     {3, 100000, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(DEPTHS); i++) {
        const struct imap_limits limits = {.depth_max = DEPTHS[i].depth_max};
        g_autofree char *structure = nested("(", DEPTHS[i].levels, " \"mixed\")");
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(structure, &limits, &reply);
        unsigned item = DEPTHS[i].broken ? IMAP_ITEM_STRUCTURE_BROKEN : IMAP_ITEM_STRUCTURE;
        g_assert_cmpuint(reply.fetch.items, ==, IMAP_ITEM_UID | IMAP_ITEM_SIZE | item);
        if (DEPTHS[i].broken)
            continue;
        uint32_t last = reply.fetch.structure.count - 1;
        const char *section = reply.fetch.structure.parts[last].section;
        g_assert_cmpuint(last, ==, DEPTHS[i].levels);
        g_assert_cmpuint(strlen(section), ==, 2 * DEPTHS[i].levels - 1);
    }
}

static void test_messages_deep(void)
{
    g_autofree char *structure =
        nested("(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 NIL ", 1000, " 7)");
    struct imap_reply reply;
    G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(structure, NULL, &reply);
    g_assert_cmpuint(reply.fetch.structure.count, ==, 1001);
    g_assert_cmpuint(strlen(reply.fetch.structure.parts[1000].section), ==, 2001);
}

static void test_wide(void)
{
    static const struct {
        size_t parts;
        bool broken;
    } WIDTHS[] = {{5000, false}, {99999, false}, {100000, true}};
    for (size_t i = 0; i < G_N_ELEMENTS(WIDTHS); i++) {
        g_autoptr(GString) structure = g_string_new("(");
        struct imap_reply reply;
        for (size_t j = 0; j < WIDTHS[i].parts; j++)
            g_string_append(structure, TEXT);
        g_string_append(structure, " \"mixed\")");
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(structure->str, NULL, &reply);
        g_assert_true(!(reply.fetch.items & IMAP_ITEM_STRUCTURE) == WIDTHS[i].broken);
        if (WIDTHS[i].broken)
            continue;
        g_autofree char *last = g_strdup_printf("%zu", WIDTHS[i].parts);
        g_assert_cmpuint(reply.fetch.structure.count, ==, WIDTHS[i].parts + 1);
        g_assert_cmpstr(reply.fetch.structure.parts[WIDTHS[i].parts].section, ==, last);
    }
}

/* Many parts at a great depth: their section numbers would fill the memory. */
static void test_sections_bounded(void)
{
    g_autoptr(GString) structure = g_string_new(NULL);
    struct imap_reply reply;
    for (int i = 0; i < 4000; i++)
        g_string_append_c(structure, '(');
    for (int i = 0; i < 20000; i++)
        g_string_append(structure, TEXT);
    for (int i = 0; i < 4000; i++)
        g_string_append(structure, " \"mixed\")");
    G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(structure->str, NULL, &reply);
    g_assert_true(reply.fetch.items & IMAP_ITEM_STRUCTURE_BROKEN);
    g_assert_cmpuint(reply.fetch.structure.count, ==, 0);
}

/* Two structures in one reply: the later counts, wholly. */
static void test_twice(void)
{
    struct imap_reply reply;
    G_GNUC_UNUSED g_autoptr(imap_parser) first = parser_of(TEXT " BODYSTRUCTURE ()", NULL, &reply);
    g_assert_cmpuint(reply.fetch.items & (IMAP_ITEM_STRUCTURE | IMAP_ITEM_STRUCTURE_BROKEN), ==,
                     IMAP_ITEM_STRUCTURE_BROKEN);
    G_GNUC_UNUSED g_autoptr(imap_parser) second =
        parser_of("() BODYSTRUCTURE (" TEXT " \"mixed\")", NULL, &reply);
    g_assert_cmpuint(reply.fetch.items & (IMAP_ITEM_STRUCTURE | IMAP_ITEM_STRUCTURE_BROKEN), ==,
                     IMAP_ITEM_STRUCTURE);
    g_assert_cmpuint(reply.fetch.structure.count, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/structure/cases", test_cases);
    g_test_add_func("/imap/structure/depth", test_depth);
    g_test_add_func("/imap/structure/messages-deep", test_messages_deep);
    g_test_add_func("/imap/structure/wide", test_wide);
    g_test_add_func("/imap/structure/sections-bounded", test_sections_bounded);
    g_test_add_func("/imap/structure/twice", test_twice);
    return g_test_run();
}
