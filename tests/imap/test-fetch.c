/* The items of FETCH replies. */
#include "imap/reply.h"

#include <string.h>

static struct imap_parser *parser_of(const char *line, size_t length, struct imap_reply *reply)
{
    struct imap_parser *parser = imap_parser_new(NULL);
    imap_parser_feed(parser, line, length);
    imap_parser_feed(parser, "\r\n", 2);
    g_test_message("%s", line);
    g_assert_cmpint(imap_parser_next(parser, false, reply), ==, 1);
    g_assert_cmpint(reply->kind, ==, IMAP_REPLY_FETCH);
    return parser;
}

/* All that a reply says, in one line: "3 UID=5 FLAGS=(a b) BODY[1]<0>=abc". */
static char *describe(const struct imap_fetch *fetch)
{
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "%u", fetch->sequence);
    if (fetch->items & IMAP_ITEM_UID)
        g_string_append_printf(out, " UID=%u", fetch->uid);
    if (fetch->items & IMAP_ITEM_FLAGS) {
        g_autofree char *flags = g_strjoinv(" ", (char **)fetch->flags);
        g_string_append_printf(out, " FLAGS=(%s)", flags);
    }
    if (fetch->items & IMAP_ITEM_INTERNALDATE)
        g_string_append_printf(out, " DATE=%" G_GINT64_FORMAT, fetch->internaldate);
    if (fetch->items & IMAP_ITEM_SIZE)
        g_string_append_printf(out, " SIZE=%" G_GUINT64_FORMAT, fetch->size);
    if (fetch->items & IMAP_ITEM_MODSEQ)
        g_string_append_printf(out, " MODSEQ=%" G_GUINT64_FORMAT, fetch->modseq);
    if (fetch->items & IMAP_ITEM_EMAILID)
        g_string_append_printf(out, " EMAILID=%s", fetch->emailid);
    if (fetch->items & IMAP_ITEM_GM_MSGID)
        g_string_append_printf(out, " MSGID=%" G_GUINT64_FORMAT, fetch->gm_msgid);
    if (fetch->items & IMAP_ITEM_STRUCTURE)
        g_string_append_printf(out, " STRUCTURE=%u", fetch->structure.count);
    if (fetch->items & IMAP_ITEM_STRUCTURE_BROKEN)
        g_string_append(out, " STRUCTURE=broken");
    for (guint i = 0; i < fetch->body_count; i++) {
        const struct imap_body *body = &fetch->bodies[i];
        g_string_append_printf(out, " BODY[%s]", body->section);
        if (body->origin >= 0)
            g_string_append_printf(out, "<%" G_GINT64_FORMAT ">", body->origin);
        g_string_append(out, body->nil ? "=NIL" : "=");
        if (body->bytes != NULL) {
            gsize size;
            const char *bytes = g_bytes_get_data(body->bytes, &size);
            g_assert_cmpuint(size, ==, body->size);
            g_string_append_len(out, bytes, (gssize)size);
        }
    }
    return g_string_free(out, FALSE);
}

static const struct {
    const char *line, *said;
} CASES[] = {
    {"* 3 FETCH (UID 5 FLAGS (\\Seen $Forwarded) INTERNALDATE \"01-Jan-1970 00:00:09 +0000\" "
     "RFC822.SIZE 77 MODSEQ (12) EMAILID (M1-x_) X-GM-MSGID 18446744073709551615)",
     "3 UID=5 FLAGS=(\\Seen $Forwarded) DATE=9 SIZE=77 MODSEQ=12 EMAILID=M1-x_ "
     "MSGID=18446744073709551615"},
    {"* 3 fetch (rfc822.size 77 flags () uid 5)", "3 UID=5 FLAGS=() SIZE=77"},
    {"* 0 FETCH (UID 5)", "0 UID=5"},
    {"* 3 FETCH()", "3"},
    {"* 3 FETCH ()", "3"},
    {"* 3 FETCH", "3"},
    {"* 3 FETCH (UID", "3"},
    {"* 3 FETCH UID 5", "3 UID=5"},
    {"* 7 UIDFETCH (FLAGS (a))", "0 UID=7 FLAGS=(a)"},
    {"* 7 UIDFETCH (UID 8 FLAGS (a))", "0 UID=7 FLAGS=(a)"},
    /* values that are none */
    {"* 3 FETCH (UID 0 FLAGS (a))", "3 FLAGS=(a)"},
    {"* 3 FETCH (UID 4294967296 FLAGS (a))", "3 FLAGS=(a)"},
    {"* 3 FETCH (UID -5 RFC822.SIZE -1 MODSEQ (-1) FLAGS (a))", "3 FLAGS=(a)"},
    {"* 3 FETCH (RFC822.SIZE 9.37e+06 X-GM-MSGID -3 UID 5)", "3 UID=5"},
    {"* 3 FETCH (RFC822.SIZE 99999999999999999999 UID 5)", "3 UID=5"},
    {"* 3 FETCH (RFC822.SIZE 5000000000 MODSEQ 9 UID \"5\")", "3 UID=5 SIZE=5000000000 MODSEQ=9"},
    {"* 3 FETCH (MODSEQ (18446744073709551615) UID 5)", "3 UID=5"},
    {"* 3 FETCH (UID NIL FLAGS NIL INTERNALDATE NIL RFC822.SIZE NIL MODSEQ NIL EMAILID NIL "
     "X-GM-MSGID NIL)",
     "3 FLAGS=()"},
    {"* 3 FETCH (UID () MODSEQ () EMAILID () INTERNALDATE () FLAGS (a))", "3 FLAGS=(a)"},
    {"* 3 FETCH (FLAGS a UID 5)", "3 UID=5"},
    {"* 3 FETCH (FLAGS (NIL (x) \"q\" {1}\r\nl a] $b[c) UID 5)", "3 UID=5 FLAGS=(q l a] $b[c)"},
    {"* 3 FETCH (INTERNALDATE \"31-Feb-2020 00:00:09 +0000\" UID 5)", "3 UID=5"},
    {"* 3 FETCH (INTERNALDATE 5 UID 5)", "3 UID=5"},
    {"* 3 FETCH (EMAILID M1 UID 5)", "3 UID=5 EMAILID=M1"},
    {"* 3 FETCH (EMAILID (\"\") UID 5)", "3 UID=5"},
    /* missing and unknown ones */
    {"* 3 FETCH (BODY[] UID 5)", "3 UID=5"},
    {"* 3 FETCH (BODY[1] BODY[2] \"b\" UID 5)", "3 UID=5 BODY[2]=b"},
    {"* 3 FETCH (UID 5 BODY[])", "3 UID=5"},
    {"* 3 FETCH (RFC822.SIZE UID 5)", "3 UID=5"},
    {"* 3 FETCH (INTERNALDATE BODY[] \"b\" UID 5)", "3 UID=5 BODY[]=b"},
    {"* 3 FETCH (X-GM-LABELS (\\Inbox \"a (b\") X ((a) (b)) Y NIL UID 5)", "3 UID=5"},
    {"* 3 FETCH (ENVELOPE (\"d\" \"s\" ((\"n\" NIL \"m\" \"h\")) NIL NIL) UID 5)", "3 UID=5"},
    {"* 3 FETCH ((X) \"y\" {1}\r\nz UID 5)", "3 UID=5"},
    {"* 3 FETCH (X (a b UID 5)", "3"},
    {"* 3 FETCH (FLAGS (a)) UID 5)", "3 UID=5 FLAGS=(a)"},
    {"* 3 FETCH (FLAGS (a))) UID 5 )", "3 UID=5 FLAGS=(a)"},
    {"* 3 FETCH (FLAGS (a b UID 5", "3 FLAGS=(a b UID 5)"},
    {"* 3 FETCH (UID 5 UID 6)", "3 UID=6"},
    {"* 3 FETCH (X \"unescaped \"quotes\" inside\" UID 5)", "3 UID=5"},
    {"* 3 FETCH (X \"a\\\\\" UID 5 Y \"open)", "3 UID=5"},
    /* sections */
    {"* 3 FETCH (BODY[] {3}\r\nabc)", "3 BODY[]=abc"},
    {"* 3 FETCH (body[1.mime] \"a\\\"b\" BODY[1.2.HEADER] {0}\r\n UID 5)",
     "3 UID=5 BODY[1.MIME]=a\"b BODY[1.2.HEADER]="},
    {"* 3 FETCH (BODY[HEADER.FIELDS (DATE FROM)] {3}\r\nabc UID 5)",
     "3 UID=5 BODY[HEADER.FIELDS]=abc"},
    {"* 3 FETCH (BODY[header.fields (\"DATE\" \"FROM\")] {3}\r\nabc UID 5)",
     "3 UID=5 BODY[HEADER.FIELDS]=abc"},
    {"* 3 FETCH (BODY[HEADER.FIELDS.NOT (DATE)]<3> {3}\r\nabc UID 5)",
     "3 UID=5 BODY[HEADER.FIELDS.NOT]<3>=abc"},
    {"* 3 FETCH (BODY[HEADER.FIELDS ({4}\r\nDATE FROM)] {3}\r\nabc UID 5)",
     "3 UID=5 BODY[HEADER.FIELDS]=abc"},
    {"* 3 FETCH (BODY[HEADER.FIELDS ({4}\r\nDATE) {3}\r\nabc UID 5)", "3 UID=5"},
    {"* 3 FETCH (BODY[]<0> {3}\r\nabc BODY[2]<0.20> \"x\" UID 5)",
     "3 UID=5 BODY[]<0>=abc BODY[2]<0>=x"},
    {"* 3 FETCH (BODY[]<123456789012> \"\")", "3 BODY[]<123456789012>="},
    {"* 3 FETCH (BODY[]<99999999999999999999> \"x\" UID 5)", "3 UID=5"},
    {"* 3 FETCH (BODY[]<> \"x\" BODY[]<-1> \"x\" BODY[]<1 \"x\" BODY[]x \"x\" UID 5)", "3 UID=5"},
    {"* 3 FETCH (BODY[ \"x\" UID 5)", "3 UID=5"},
    {"* 3 FETCH (UID 5 BODY[ \"x\")", "3 UID=5"},
    {"* 3 FETCH (BODY[1] NIL BODY[2] nil UID 5)", "3 UID=5 BODY[1]=NIL BODY[2]=NIL"},
    {"* 3 FETCH (BODY[1] \"NIL\" BODY[2] (x) UID 5)", "3 UID=5 BODY[1]=NIL"},
    {"* 3 FETCH (BINARY[1] ~{3}\r\nabc BINARY.SIZE[1] 3 BINARY[1]<0> \"x\" UID 5)", "3 UID=5"},
    {"* 3 FETCH (RFC822 {3}\r\nabc RFC822.HEADER \"x\" RFC822.TEXT NIL UID 5)", "3 UID=5"},
    {"* 3 FETCH (BODY (\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1) UID 5)", "3 UID=5"},
    {"* 3 FETCH (BODY[1] {5}\r\n)\r\n*  UID 5)", "3 UID=5 BODY[1]=)\r\n* "},
    /* structures; the rest is intact whatever they are */
    {"* 3 FETCH (BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1) UID 5)",
     "3 UID=5 STRUCTURE=1"},
    {"* 3 FETCH (BODYSTRUCTURE NIL UID 5)", "3 UID=5 STRUCTURE=broken"},
    {"* 3 FETCH (BODYSTRUCTURE () UID 5)", "3 UID=5 STRUCTURE=broken"},
    {"* 3 FETCH (BODYSTRUCTURE \"x\" UID 5)", "3 UID=5 STRUCTURE=broken"},
    {"* 3 FETCH (BODYSTRUCTURE UID 5)", "3 UID=5"},
    {"* 3 FETCH (BODYSTRUCTURE (\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1)) UID 5)",
     "3 UID=5 STRUCTURE=1"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser =
            parser_of(CASES[i].line, strlen(CASES[i].line), &reply);
        g_autofree char *said = describe(&reply.fetch);
        g_assert_cmpstr(said, ==, CASES[i].said);
    }
}

/* What is in a literal stays as it is, and may be kept. */
static void test_bytes(void)
{
    static const char LINE[] = "* 3 FETCH (BODY[] {8}\r\n\0\r\n)\0(\"\xff UID 5)";
    struct imap_reply reply;
    struct imap_parser *parser = parser_of(LINE, sizeof(LINE) - 1, &reply);
    g_assert_cmpuint(reply.fetch.body_count, ==, 1);
    g_autoptr(GBytes) bytes = g_bytes_ref(reply.fetch.bodies[0].bytes);
    imap_parser_free(parser);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), "\0\r\n)\0(\"\xff", 8);
}

/* A literal of its own memory gives it away. */
static void test_bytes_long(void)
{
    g_autoptr(GString) line = g_string_new("* 3 FETCH (BODY[] {100000}\r\n");
    struct imap_reply reply;
    g_autofree char *body = g_strnfill(100000, 'x');
    g_string_append(line, body);
    g_string_append(line, " UID 5)");
    struct imap_parser *parser = parser_of(line->str, line->len, &reply);
    g_assert_cmpuint(reply.fetch.uid, ==, 5);
    g_autoptr(GBytes) bytes = g_bytes_ref(reply.fetch.bodies[0].bytes);
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, 0);
    imap_parser_free(parser);
    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), body, 100000);
}

/* NUL in what becomes a string would cut it short. */
static void test_nul(void)
{
    static const char LINE[] = "* 3 FETCH (EMAILID {3}\r\na\0b FLAGS (x\0y \"z\0\"))";
    struct imap_reply reply;
    G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(LINE, sizeof(LINE) - 1, &reply);
    g_assert_cmpstr(reply.fetch.emailid, ==,
                    "a\x1a"
                    "b");
    g_assert_cmpstr(reply.fetch.flags[0], ==, "x\x1ay");
    g_assert_cmpstr(reply.fetch.flags[1], ==, "z\x1a");
    g_assert_null(reply.fetch.flags[2]);
}

static void test_oversized(void)
{
    const struct imap_limits limits = {.literal_max = 10};
    g_autoptr(imap_parser) parser = imap_parser_new(&limits);
    struct imap_reply reply;
    static const char LINE[] = "* 3 FETCH (BODY[1] {11}\r\n01234567890 EMAILID {11}\r\n01234567890"
                               " BODY[2]<4> {10}\r\n0123456789 UID 5)\r\n";
    imap_parser_feed(parser, LINE, sizeof(LINE) - 1);
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, 1);
    g_assert_cmpuint(reply.fetch.items, ==, IMAP_ITEM_UID);
    g_assert_cmpuint(reply.fetch.body_count, ==, 2);
    g_assert_true(reply.fetch.bodies[0].oversized && reply.fetch.bodies[0].bytes == NULL);
    g_assert_cmpuint(reply.fetch.bodies[0].size, ==, 11);
    g_assert_false(reply.fetch.bodies[1].oversized);
    g_assert_cmpint(reply.fetch.bodies[1].origin, ==, 4);
}

/* Hostile nesting and quoting: linear work, no recursion. */
static void test_hostile(void)
{
    static const char *const PIECES[] = {"(",         ")",    "\"",   "\\\"", "BODY[ ",
                                         "BINARY[ (", "{0} ", "[",    "] ",   "((\"a\" ",
                                         "x\"",       "() ",  "NIL ", "\r"};
    for (size_t i = 0; i < G_N_ELEMENTS(PIECES); i++) {
        g_autoptr(GString) line = g_string_new("* 3 FETCH (UID 5 BODYSTRUCTURE (");
        g_autoptr(imap_parser) parser = imap_parser_new(NULL);
        struct imap_reply reply;
        for (int j = 0; j < 300000; j++)
            g_string_append(line, PIECES[i]);
        g_string_append(line, "\r\n* 4 EXISTS\r\n");
        imap_parser_feed(parser, line->str, line->len);
        g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, 1);
        g_assert_cmpuint(reply.fetch.uid, ==, 5);
        g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, 1);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_EXISTS);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/fetch/cases", test_cases);
    g_test_add_func("/imap/fetch/bytes", test_bytes);
    g_test_add_func("/imap/fetch/bytes-long", test_bytes_long);
    g_test_add_func("/imap/fetch/nul", test_nul);
    g_test_add_func("/imap/fetch/oversized", test_oversized);
    g_test_add_func("/imap/fetch/hostile", test_hostile);
    return g_test_run();
}
