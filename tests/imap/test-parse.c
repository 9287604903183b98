/* Framing: where replies begin and end. What they say is the matter of test-reply. */
#include "imap/parse.h"

#include <string.h>

#define CASE(text) text, sizeof(text) - 1

static struct imap_parser *parser_with(const char *bytes, size_t length)
{
    struct imap_parser *parser = imap_parser_new(NULL);
    imap_parser_feed(parser, bytes, length);
    return parser;
}

/* One line per reply: kind, the FETCH's UID, items, flags and bodies, and the text. */
static void describe(GString *out, const struct imap_reply *reply)
{
    g_string_append_printf(out, "%d %s %s %s %u uid=%u items=%x", reply->kind, reply->tag,
                           reply->code, reply->text, reply->number, reply->fetch.uid,
                           reply->fetch.items);
    for (guint i = 0; reply->fetch.flags != NULL && reply->fetch.flags[i] != NULL; i++)
        g_string_append_printf(out, " %s", reply->fetch.flags[i]);
    for (guint i = 0; i < reply->fetch.body_count; i++) {
        const struct imap_body *body = &reply->fetch.bodies[i];
        g_string_append_printf(out, " [%s]%" G_GINT64_FORMAT "/%" G_GUINT64_FORMAT "=",
                               body->section, body->origin, body->size);
        g_string_append(out, body->nil ? "NIL" : body->oversized ? "oversized" : "");
        if (body->bytes != NULL) {
            g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_MD5, body->bytes);
            g_string_append(out, sum);
        }
    }
    for (guint i = 0; i < reply->fetch.structure.count; i++)
        g_string_append_printf(out, " (%s %s/%s)", reply->fetch.structure.parts[i].section,
                               reply->fetch.structure.parts[i].type,
                               reply->fetch.structure.parts[i].subtype);
    g_string_append_c(out, '\n');
}

/* Feeds `stream` in pieces of `piece` bytes and describes what comes out. */
static char *parse_in_pieces(const char *stream, size_t length, size_t piece,
                             const struct imap_limits *limits)
{
    g_autoptr(imap_parser) parser = imap_parser_new(limits);
    GString *out = g_string_new(NULL);
    struct imap_reply reply;
    int rc = 0;
    for (size_t at = 0; at < length && rc >= 0; at += piece) {
        imap_parser_feed(parser, stream + at, MIN(piece, length - at));
        while ((rc = imap_parser_next(parser, false, &reply)) == 1)
            describe(out, &reply);
    }
    if (rc < 0)
        g_string_append(out, "beyond repair\n");
    return g_string_free(out, FALSE);
}

static const char STREAM[] =
    "* OK [CAPABILITY IMAP4rev1 IDLE] ready {5}\r\n"
    "\0\0\0* 1 FETCH (UID 7 FLAGS (\\Seen $x) BODY[HEADER.FIELDS (DATE \"FROM\")] {5}\r\nab\r\n)"
    " BODY[]<0> ~{4}\r\nx\0y) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n"
    "+\r\n"
    "+ go on\r\n"
    "* LIST (\\HasNoChildren) \"/\" {3}\r\na b\r\n"
    "* 2 FETCH (BODY[1] {0}\r\n BODY[2] NIL BODY[3] \"\" UID 8)\n"
    "Server Unavailable. 15\r\n"
    "\r\n"
    "* 3 FETCH (BODYSTRUCTURE ((\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1)"
    "(\"image\" {3}\r\npng (\"name\" {4}\r\n\"a\\)) NIL NIL \"base64\" 10) \"mixed\") UID 9)\r\n"
    "A1 OK [X 1 2] done\r\n";

static void test_pieces(void)
{
    size_t length = sizeof(STREAM) - 1;
    g_autofree char *whole = parse_in_pieces(STREAM, length, length, NULL);
    g_assert_nonnull(strstr(whole, "uid=9"));
    g_assert_nonnull(strstr(whole, "A1 X done"));
    for (size_t piece = 1; piece < length; piece++) {
        g_autofree char *pieces = parse_in_pieces(STREAM, length, piece, NULL);
        g_assert_cmpstr(pieces, ==, whole);
    }
}

/* The same with literals of all sizes around those that get their own memory. */
static void test_pieces_long(void)
{
    g_autoptr(GString) stream = g_string_new(NULL);
    const struct imap_limits limits = {.literal_max = 20000};
    static const size_t SIZES[] = {0, 1, 4095, 8191, 8192, 8193, 16384, 20000, 20001, 50000};
    for (size_t i = 0; i < G_N_ELEMENTS(SIZES); i++) {
        g_string_append_printf(stream, "* 1 FETCH (BODY[] {%zu}\r\n", SIZES[i]);
        for (size_t j = 0; j < SIZES[i]; j++)
            g_string_append_c(stream, (char)(j * 7 + i));
        g_string_append(stream, " UID 5)\r\n");
    }
    g_autofree char *whole = parse_in_pieces(stream->str, stream->len, stream->len, &limits);
    g_assert_nonnull(strstr(whole, "/20001=oversized"));
    g_assert_null(strstr(whole, "/20000=oversized"));
    for (size_t piece = 1; piece < 30000; piece = piece * 2 + 1) {
        g_autofree char *pieces = parse_in_pieces(stream->str, stream->len, piece, &limits);
        g_assert_cmpstr(pieces, ==, whole);
    }
}

static const struct {
    const char *bytes;
    size_t length;
    const char *kinds; /* a letter for each reply; see kind_letter() */
} LINES[] = {
    {CASE("* OK hi\r\n"), "c"},
    {CASE("* OK hi\n"), "c"},
    {CASE("* OK hi\r\r\n"), "c"},
    {CASE("* OK hi\r"), ""},
    {CASE("* OK text that ends in {5}\r\n* 1 EXISTS\r\n"), "ce"},
    {CASE("A1 NO no {5}\r\n* 1 EXISTS\r\n"), "te"},
    {CASE("+ say {5}\r\n* 1 EXISTS\r\n"), "+e"},
    {CASE("\0\0* 1 EXISTS\r\n\0* 1 EXISTS\r\n"), "ee"},
    {CASE("\r\n* 1 EXISTS\r\n"), "ie"},
    {CASE("nonsense {7}\r\n* 1 EXISTS\r\n"), "ie"},
    {CASE("* 1 FETCH (X {-1}\r\n* 1 EXISTS\r\n"), "fe"},
    {CASE("* 1 FETCH (X {}\r\n* 1 EXISTS\r\n"), "fe"},
    {CASE("* 1 FETCH (X {3}\r\n* 1)\r\n* 1 EXISTS\r\n"), "fe"},
    {CASE("* 1 FETCH (X {3+}\r\n* 1)\r\n* 1 EXISTS\r\n"), "fe"},
    {CASE("* 1 FETCH (X ~{3}\r\n* 1)\r\n* 1 EXISTS\r\n"), "fe"},
    {CASE("* UNKNOWN {3}\r\n\r\n*\r\n* 1 EXISTS\r\n"), "ie"},
    /* a literal that is too short: the rest of its line is dropped, then lines make sense again */
    {CASE("* 1 FETCH (BODY[] {3}\r\nabcde)\r\n* 1 EXISTS\r\n"), "fe"},
    {CASE("* 1 FETCH (BODY[] {1}\r\na\r\n)\r\n* 1 EXISTS\r\n"), "fie"},
    {CASE("* 1 FETCH (BODY[] {1}\r\nabc {9}\r\n)\r\n* 1 EXISTS\r\n"), "fie"},
    /* too long by one, by two */
    {CASE("* 1 FETCH (BODY[] {4}\r\nabc)\r\n* 1 EXISTS\r\n"), "fe"},
    {CASE("* 1 FETCH (BODY[] {5}\r\nabc)\r\n* 1 EXISTS\r\n"), "fe"},
    /* a number that cannot be skipped */
    {CASE("* 1 FETCH (X {9223372036854775808}\r\n* 1 EXISTS\r\n"), "!"},
    {CASE("* 1 FETCH (X {99999999999999999999999}\r\n* 1 EXISTS\r\n"), "!"},
    {CASE("* 1 FETCH (X {9223372036854775807}\r\n* 1 EXISTS\r\n"), ""},
};

static char kind_letter(enum imap_reply_kind kind)
{
    static const char LETTERS[] = {
        [IMAP_REPLY_CONTINUE] = '+', [IMAP_REPLY_TAGGED] = 't', [IMAP_REPLY_CONDITION] = 'c',
        [IMAP_REPLY_EXISTS] = 'e',   [IMAP_REPLY_FETCH] = 'f',  [IMAP_REPLY_IGNORED] = 'i',
    };
    return LETTERS[kind];
}

static void test_lines(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(LINES); i++) {
        g_autoptr(imap_parser) parser = parser_with(LINES[i].bytes, LINES[i].length);
        g_autoptr(GString) kinds = g_string_new(NULL);
        struct imap_reply reply;
        int rc;
        while ((rc = imap_parser_next(parser, false, &reply)) == 1)
            g_string_append_c(kinds, kind_letter(reply.kind));
        if (rc < 0)
            g_string_append_c(kinds, '!');
        g_test_message("%s", LINES[i].bytes);
        g_assert_cmpstr(kinds->str, ==, LINES[i].kinds);
    }
}

/* What came with a literal of a wrong length is not taken for a body. */
static void test_damaged(void)
{
    static const char LINE[] = "* 1 FETCH (UID 3 BODY[1] \"x\" BODY[] {3}\r\nabcde)\r\n";
    g_autoptr(imap_parser) parser = parser_with(CASE(LINE));
    struct imap_reply reply;
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, 1);
    g_assert_cmpuint(reply.fetch.uid, ==, 3);
    g_assert_cmpuint(reply.fetch.body_count, ==, 1);
    g_assert_cmpstr(reply.fetch.bodies[0].section, ==, "1");
}

static void test_line_max(void)
{
    const struct imap_limits limits = {.line_max = 30, .literal_max = 100};
    static const char FITS[] = "* OK 4567890123456789012345678\r\n* OK\r\n";
    static const char LITERALS[] = "* 1 FETCH (X {40}\r\n0123456789012345678901234567890123456789)"
                                   "\r\n* OK\r\n";
    static const char TOO_LONG[] = "* OK 45678901234567890123456789\r\n* OK\r\n";
    g_autofree char *fits = parse_in_pieces(FITS + 2, sizeof(FITS) - 3, 7, &limits);
    g_autofree char *literals = parse_in_pieces(CASE(LITERALS), 7, &limits);
    g_autofree char *too_long = parse_in_pieces(CASE(TOO_LONG), 7, &limits);
    g_assert_null(strstr(fits, "beyond repair"));
    g_assert_null(strstr(literals, "beyond repair"));
    g_assert_cmpstr(too_long, ==, "beyond repair\n");
}

/* Once beyond repair, always. */
static void test_failed(void)
{
    const struct imap_limits limits = {.token_max = 3};
    g_autoptr(imap_parser) parser = imap_parser_new(&limits);
    struct imap_reply reply;
    imap_parser_feed(parser, CASE("* 1 FETCH (UID 1)\r\n* 1 FETCH (UID 1 A B)\r\n* OK\r\n"));
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, 1);
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, -1);
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, -1);
    imap_parser_feed(parser, CASE("* OK\r\n"));
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, -1);
}

/* All literals of a reply together are bounded too. */
static void test_literal_sum(void)
{
    const struct imap_limits limits = {.literal_max = 4};
    g_autoptr(imap_parser) parser = imap_parser_new(&limits);
    struct imap_reply reply;
    imap_parser_feed(parser, CASE("* 1 FETCH (BODY[1] {4}\r\nabcd BODY[2] {5}\r\nabcde"
                                  " BODY[3] {4}\r\nabcd BODY[4] {1}\r\na UID 2)\r\n"));
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, 1);
    g_assert_cmpuint(reply.fetch.uid, ==, 2);
    g_assert_cmpuint(reply.fetch.body_count, ==, 4);
    for (guint i = 0; i < 4; i++) {
        g_assert_cmpint(reply.fetch.bodies[i].oversized, ==, i % 2 == 1);
        g_assert_true((reply.fetch.bodies[i].bytes == NULL) == (i % 2 == 1));
    }
    g_assert_cmpuint(reply.fetch.bodies[1].size, ==, 5);
}

static void test_pending(void)
{
    static const struct {
        const char *bytes;
        bool pending;
    } CASES[] = {
        {"", false},         {"* OK\r\n", false},
        {"* OK\r\n*", true}, {"* OK\r\n* 1 FETCH (X {3}\r\n", true},
        {"* O", true},       {"* OK\r\n* OK\r\n", true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(imap_parser) parser = parser_with(CASES[i].bytes, strlen(CASES[i].bytes));
        struct imap_reply reply;
        imap_parser_next(parser, false, &reply);
        g_assert_cmpint(imap_parser_pending(parser), ==, CASES[i].pending);
    }
}

static void test_amid_data(void)
{
    static const struct {
        const char *bytes;
        unsigned more; /* so many "x" behind it */
        bool amid;
    } CASES[] = {
        {"", 0, false},
        {"* OK\r\n", 0, false},
        {"* OK still here", 4000, false},
        {"* ok [ALERT] ", 4000, false},
        {"* NO ", 4000, false},
        {"* [COPYUID ", 4000, false},
        {"+ ", 4000, false},
        {"a1 OK ", 4000, false},
        {"* SEARCH 1", 400, false},
        {"* SEARCH 1", 4000, true},
        {"* 1 FETCH (FLAGS (", 400, false},
        {"* 1 FETCH (BODY[] {9000}\r\n", 0, false},
        {"* 1 FETCH (BODY[] {9000}\r\n", 400, false},
        {"* 1 FETCH (BODY[] {9000}\r\n", 600, true},
        {"* 1 FETCH (BODY[] {9000000000000}\r\n", 600, true},
        {"* 1 FETCH (BODY[] {600}\r\n", 600, true},
        {"* OK\r\n* 1 FETCH (BODY[] {9000}\r\n", 8000, true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autofree char *more = g_strnfill(CASES[i].more, 'x');
        g_autofree char *bytes = g_strconcat(CASES[i].bytes, more, NULL);
        g_autoptr(imap_parser) parser = parser_with(bytes, strlen(bytes));
        struct imap_reply reply;
        while (imap_parser_next(parser, false, &reply) > 0)
            ;
        g_assert_cmpint(imap_parser_amid_data(parser), ==, CASES[i].amid);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/parse/pieces", test_pieces);
    g_test_add_func("/imap/parse/pieces-long", test_pieces_long);
    g_test_add_func("/imap/parse/lines", test_lines);
    g_test_add_func("/imap/parse/damaged", test_damaged);
    g_test_add_func("/imap/parse/line-max", test_line_max);
    g_test_add_func("/imap/parse/failed", test_failed);
    g_test_add_func("/imap/parse/literal-sum", test_literal_sum);
    g_test_add_func("/imap/parse/pending", test_pending);
    g_test_add_func("/imap/parse/amid-data", test_amid_data);
    return g_test_run();
}
