/* Transfer encodings, charsets, names in parameters. */
#include <string.h>

#include "fs/mime.h"

#define TEXT CACHE_PART_TEXT
#define HTML (CACHE_PART_TEXT | CACHE_PART_HTML)
#define BYTES(text) text, sizeof text - 1

static void assert_bytes(GBytes *got, const char *expected, size_t length, const char *what)
{
    gsize size;
    const char *bytes = g_bytes_get_data(got, &size);
    if (size != length || (length && memcmp(bytes, expected, length) != 0))
        g_error("%s: %zu bytes \"%.*s\"", what, size, (int)size, bytes ? bytes : "");
}

static void test_encodings(void)
{
    static const struct {
        const char *name;
        enum cache_part_encoding encoding;
        const char *in;
        size_t in_length;
        const char *out;
        size_t out_length;
    } cases[] = {
        {NULL, CACHE_ENCODING_IDENTITY, BYTES("a=3D\r\n"), BYTES("a=3D\r\n")},
        {"7bit", CACHE_ENCODING_IDENTITY, BYTES("a\r\n"), BYTES("a\r\n")},
        {"x-foo", CACHE_ENCODING_IDENTITY, BYTES("a\0b"), BYTES("a\0b")},
        {"", CACHE_ENCODING_IDENTITY, BYTES(""), BYTES("")},
        {"base64", CACHE_ENCODING_BASE64, BYTES("QUJD\r\nREU=\r\n"), BYTES("ABCDE")},
        {"BASE64", CACHE_ENCODING_BASE64, BYTES("QQ"), BYTES("A")},
        {"\"base64\"", CACHE_ENCODING_BASE64, BYTES("QUI"), BYTES("AB")},
        {"(c) base64 (d)", CACHE_ENCODING_BASE64,
         BYTES("Q!U*J\xff"
               "D"),
         BYTES("ABC")},
        {"base64; x=y", CACHE_ENCODING_BASE64, BYTES("QQ==\r\nQUJD"), BYTES("A")},
        {" base64 ", CACHE_ENCODING_BASE64, BYTES("===="), BYTES("")},
        {"base64", CACHE_ENCODING_BASE64, BYTES("Q"), BYTES("")},
        {"base64", CACHE_ENCODING_BASE64, BYTES(""), BYTES("")},
        {"quoted-printable", CACHE_ENCODING_QUOTED_PRINTABLE, BYTES("a=3D=\r\nb=c3=A9\r\n"),
         BYTES("a=b\xc3\xa9\r\n")},
        {"quoted-printable", CACHE_ENCODING_QUOTED_PRINTABLE, BYTES("=\r\n=\r\nx="), BYTES("x")},
        {"quoted-printable", CACHE_ENCODING_QUOTED_PRINTABLE, BYTES("a= \t\r\nb=\t\nc \r\nd= e= "),
         BYTES("abc \r\nd= e")},
        {"quoted-printable", CACHE_ENCODING_QUOTED_PRINTABLE, BYTES("x==\r\n==41 =4 =g1 =\r=4"),
         BYTES("x==\r\n==41 =4 =g1 =\r=4")},
        {"x-uuencode", CACHE_ENCODING_UUENCODE,
         BYTES("text\r\nbegin 644 f\r\n#0V%T\r\n`\r\nend\r\nmore\r\n"), BYTES("Cat")},
        {"uuencode", CACHE_ENCODING_UUENCODE, BYTES("begin 644 f\nM0\n"), BYTES("@\0\0")},
        {"uue", CACHE_ENCODING_UUENCODE, BYTES("no uuencode\n"), BYTES("no uuencode\n")},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(mime_encoding(cases[i].name), ==, cases[i].encoding);
        struct cache_part part = {.encoding = cases[i].encoding};
        g_autoptr(GBytes) got = mime_part_decode(&part, cases[i].in, cases[i].in_length);
        assert_bytes(got, cases[i].out, cases[i].out_length, cases[i].in);
    }
}

static void test_charsets(void)
{
    static const struct {
        const char *charset;
        unsigned flags;
        const char *in;
        size_t in_length;
        const char *out;
        size_t out_length;
    } cases[] = {
        {"utf-8", TEXT, BYTES("a\r\nb\nc\rd\r\r\n"), BYTES("a\nb\nc\rd\r\n")},
        {"utf-8", 0, BYTES("a\r\n\xff"), BYTES("a\r\n\xff")},
        {"UTF8", HTML, BYTES("<p>\r\n"), BYTES("\xef\xbb\xbf<p>\n")},
        {"utf-8", HTML, BYTES("\xef\xbb\xbf<p>"), BYTES("\xef\xbb\xbf<p>")},
        {"utf-8", TEXT,
         BYTES("\xef\xbb\xbf"
               "a"),
         BYTES("a")},
        {"utf-8", TEXT, BYTES("a\0b"), BYTES("a\0b")},
        {"utf-8", TEXT, BYTES("\xe9 \xe6\xbc \xc0\xaf"),
         BYTES("\xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd")},
        {"utf-8", TEXT, BYTES("\xed\xa0\x80"), BYTES("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
        {"utf-8", TEXT, BYTES("\xf0\x9f\x98"), BYTES("\xef\xbf\xbd")},
        {"", TEXT, BYTES("caf\xc3\xa9"), BYTES("caf\xc3\xa9")},
        {"us-ascii", TEXT, BYTES("caf\xe9 \x80"), BYTES("caf\xc3\xa9 \xe2\x82\xac")},
        {"ISO_8859-1", TEXT, BYTES("caf\xe9"), BYTES("caf\xc3\xa9")},
        {"\"iso-8859-15\"", TEXT, BYTES("\xa4"), BYTES("\xe2\x82\xac")},
        {"windows-1252", TEXT, BYTES("\x80\x81"), BYTES("\xe2\x82\xac\xef\xbf\xbd")},
        {"cp1251", TEXT, BYTES("\xcf"), BYTES("\xd0\x9f")},
        {"windows-1258", TEXT, BYTES("a"), BYTES("a")}, /* iconv keeps the last letter back */
        {"koi8-r", TEXT, BYTES("\xf0"), BYTES("\xd0\x9f")},
        {"shift_jis", TEXT, BYTES("\x83\x5c"), BYTES("\xe3\x82\xbd")},
        {"iso-2022-jp", TEXT, BYTES("\x1b$BF|\x1b(B\r\n"), BYTES("\xe6\x97\xa5\n")},
        {"gb2312", TEXT, BYTES("\xd6\xd0"), BYTES("\xe4\xb8\xad")},
        {"ks_c_5601-1987", TEXT, BYTES("\xc7\xd1"), BYTES("\xed\x95\x9c")},
        {"big5", TEXT, BYTES("\xa4\xa4"), BYTES("\xe4\xb8\xad")},
        {"utf-16", TEXT,
         BYTES("\xff\xfe"
               "a\0\r\0\n\0"),
         BYTES("a\n")},
        {"utf-16", TEXT, BYTES("\xfe\xff\0a"), BYTES("a")},
        {"utf-16", TEXT, BYTES("\0a\0b"), BYTES("ab")},
        {"utf-16", TEXT, BYTES("a\0b\0"), BYTES("ab")},
        {"utf-16le", TEXT, BYTES("a\0b"), BYTES("a\xef\xbf\xbd")},
        {"utf-16be", TEXT, BYTES("\xdc\x00\0a"),
         BYTES("\xef\xbf\xbd"
               "a")},
        {"utf-32", TEXT, BYTES("\xff\xfe\0\0a\0\0\0"), BYTES("a")},
        {"utf-7", TEXT, BYTES("+AOk-"), BYTES("\xc3\xa9")},
        {"x-unknown", TEXT, BYTES("caf\xe9\r\n"), BYTES("caf\xe9\n")},
        {"x-unknown", HTML, BYTES("caf\xe9\r\n"), BYTES("caf\xe9\n")},
        {"../../../x", TEXT, BYTES("a\r\n"), BYTES("a\n")},
        {"UTF-8//TRANSLIT", TEXT, BYTES("\xff\r\n"), BYTES("\xff\n")},
        {"iso-8859-1000000000000000000001", TEXT, BYTES("\xff"), BYTES("\xff")},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct cache_part part = {.flags = cases[i].flags, .charset = cases[i].charset};
        g_autoptr(GBytes) got = mime_part_decode(&part, cases[i].in, cases[i].in_length);
        assert_bytes(got, cases[i].out, cases[i].out_length, cases[i].charset);
    }
}

/* Nothing becomes longer than it may, whatever it is; text in a known charset is valid UTF-8. */
static void test_bound(void)
{
    static const char *const charsets[] = {"",
                                           "utf-8",
                                           "utf-7",
                                           "utf-16",
                                           "utf-32",
                                           "iso-8859-1",
                                           "iso-8859-8",
                                           "windows-1252",
                                           "windows-1255",
                                           "windows-1258",
                                           "cp437",
                                           "koi8-u",
                                           "shift_jis",
                                           "euc-jp",
                                           "iso-2022-jp",
                                           "iso-2022-jp-2",
                                           "iso-2022-kr",
                                           "iso-2022-cn",
                                           "gb18030",
                                           "big5",
                                           "big5-hkscs",
                                           "euc-tw",
                                           "euc-kr",
                                           "johab",
                                           "tis-620",
                                           "macintosh",
                                           "viscii",
                                           "tcvn",
                                           "armscii-8",
                                           "hp-roman8",
                                           "mac-cyrillic",
                                           "georgian-ps",
                                           "ibm866",
                                           "windows-874",
                                           "x-unknown"};
    g_autoptr(GRand) rand = g_rand_new_with_seed(11);
    for (int round = 0; round < 40000; round++) {
        char bytes[80];
        int length = g_rand_int_range(rand, 0, 80);
        for (int i = 0; i < length; i++)
            bytes[i] = (char)(g_rand_int_range(rand, 0, 3)
                                  ? g_rand_int_range(rand, 0, 256)
                                  : "=\r\nbegin ?ABCDEF09+/\x1b$(~"[g_rand_int_range(rand, 0, 24)]);
        struct cache_part part = {
            .kind = round % 16 ? CACHE_PART_LEAF : CACHE_PART_HEADERS,
            .encoding = (enum cache_part_encoding)g_rand_int_range(rand, 0, 4),
            .flags = g_rand_boolean(rand) ? TEXT : HTML,
            .octets = length,
            .charset = charsets[round % G_N_ELEMENTS(charsets)],
        };
        g_autoptr(GBytes) got = mime_part_decode(&part, bytes, (size_t)length);
        gsize size;
        const char *text = g_bytes_get_data(got, &size);
        if (size > mime_part_bound(&part))
            g_error("%zu bytes of %d in %s", size, length, part.charset);
        if (strcmp(part.charset, "x-unknown") == 0 && part.kind == CACHE_PART_LEAF)
            continue;
        for (gsize i = 0; i < size; i += strnlen(text + i, size - i) + 1)
            g_assert_true(g_utf8_validate(text + i, (gssize)strnlen(text + i, size - i), NULL));
    }
}

/* ---- file names ----------------------------------------------------------------------------- */

static void test_file_names(void)
{
    enum { MOST = 4 };
    static const struct {
        struct mime_parameter disposition[MOST], type[MOST];
        const char *name; /* NULL: none */
    } cases[] = {
        {{{NULL}}, {{NULL}}, NULL},
        {{{"filename", "a.txt"}}, {{"name", "b.txt"}}, "a.txt"},
        {{{"filename", ""}}, {{"name", "b.txt"}}, "b.txt"},
        {{{"size", "1"}}, {{"NAME", "b.txt"}}, "b.txt"},
        {{{"filename", "a"}, {"filename", "b"}}, {{NULL}}, "a"},
        {{{"filename", "caf\xc3\xa9.txt"}}, {{NULL}}, "caf\xc3\xa9.txt"},
        {{{"filename", "caf\xe9.txt"}}, {{NULL}}, "caf\xc3\xa9.txt"},
        {{{"filename", "=?utf-8?B?Y2Fmw6kudHh0?="}}, {{NULL}}, "caf\xc3\xa9.txt"},
        {{{"filename", "=?utf-8?Q?a=C3?= =?utf-8?Q?=A9b?="}},
         {{NULL}},
         "a\xc3\xa9"
         "b"},
        {{{"filename", "=?utf-8?q?not_a_word"}}, {{NULL}}, "=?utf-8?q?not_a_word"},
        {{{"filename*", "utf-8''caf%C3%A9.txt"}}, {{NULL}}, "caf\xc3\xa9.txt"},
        {{{"filename*", "iso-8859-1'en'caf%E9.txt"}}, {{NULL}}, "caf\xc3\xa9.txt"},
        {{{"filename*", "caf%C3%A9.txt"}}, {{NULL}}, "caf\xc3\xa9.txt"},
        {{{"filename*", "x-bogus''caf%E9"}}, {{NULL}}, "caf\xc3\xa9"},
        {{{"filename*", "utf-8''100%zz%4"}}, {{NULL}}, "100%zz%4"},
        {{{"filename*", "utf-8''a%00b"}}, {{NULL}}, "a_b"},
        {{{"filename*", "utf-8''%C0%AE%C0%AF"}},
         {{NULL}},
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {{{"filename*", "utf-16''%FF%FEa%00"}}, {{NULL}}, "a"},
        {{{"filename", "fall.txt"}, {"filename*", "utf-8''r%C3%A9al"}},
         {{NULL}},
         "r\xc3\xa9"
         "al"},
        {{{"filename", "fall.txt"}, {"filename*", "utf-8''"}}, {{NULL}}, "fall.txt"},
        {{{"filename", "utf-8''caf%C3%A9.txt"}}, {{NULL}}, "caf\xc3\xa9.txt"},
        {{{"filename", "it's 'so' 100%"}}, {{NULL}}, "it's 'so' 100%"},
        {{{"filename*2", "c"}, {"filename*0", "a"}, {"filename*1", "b"}}, {{NULL}}, "abc"},
        {{{"filename*0*", "utf-8''caf%C3"}, {"filename*1*", "%A9 "}, {"filename*2", "x%20"}},
         {{NULL}},
         "caf\xc3\xa9 x%20"},
        {{{"filename*0", "=?utf-8?Q?caf="}, {"filename*1", "C3=A9?="}}, {{NULL}}, "caf\xc3\xa9"},
        {{{"filename*0", "a"}, {"filename*2", "c"}}, {{NULL}}, "a"},
        {{{"filename*1", "b"}}, {{"name", "n"}}, "n"},
        {{{"filename*99999999999", "b"}}, {{NULL}}, NULL},
        {{{NULL}}, {{"name*", "utf-8''n%C3%A9"}}, "n\xc3\xa9"},
        {{{"filename", NULL}}, {{NULL, "x"}}, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = mime_file_name(cases[i].disposition, MOST, cases[i].type, MOST);
        g_assert_cmpstr(name, ==, cases[i].name);
    }
    g_assert_null(mime_file_name(NULL, 0, NULL, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
    g_test_add_func("/mime/text/encodings", test_encodings);
    g_test_add_func("/mime/text/charsets", test_charsets);
    g_test_add_func("/mime/text/bound", test_bound);
    g_test_add_func("/mime/text/file-names", test_file_names);
    return g_test_run();
}
