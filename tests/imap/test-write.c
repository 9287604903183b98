#include "imap/write.h"

#include <string.h>

static const struct {
    const char *text;
    bool utf8;
    const char *quoted, *mailbox; /* NULL: needs a literal */
} CASES[] = {
    {"INBOX", false, "\"INBOX\"", "INBOX"},
    {"", false, "\"\"", "\"\""},
    {"a b", false, "\"a b\"", "\"a b\""},
    {"Entw&APw-rfe/x.y", false, "\"Entw&APw-rfe/x.y\"", "Entw&APw-rfe/x.y"},
    {"say \"hi\"", false, "\"say \\\"hi\\\"\"", "\"say \\\"hi\\\"\""},
    {"a\\b", false, "\"a\\\\b\"", "\"a\\\\b\""},
    {"[Gmail]", false, "\"[Gmail]\"", "\"[Gmail]\""},
    {"50%", false, "\"50%\"", "\"50%\""},
    {"*", false, "\"*\"", "\"*\""},
    {"(x)", false, "\"(x)\"", "\"(x)\""},
    {"{3}", false, "\"{3}\"", "\"{3}\""},
    {"{3+}", false, "\"{3+}\"", "\"{3+}\""},
    {"nil", false, "\"nil\"", "\"nil\""},
    {"nile", false, "\"nile\"", "nile"},
    {"a\tb", false, "\"a\tb\"", "\"a\tb\""},
    {"a\x7f", false, "\"a\x7f\"", "\"a\x7f\""},
    {"a\rb", false, NULL, NULL},
    {"a\nA1 LOGOUT", false, NULL, NULL},
    {"caf\xc3\xa9", false, NULL, NULL},
    {"caf\xc3\xa9", true, "\"caf\xc3\xa9\"", "\"caf\xc3\xa9\""},
    {"caf\xe9", true, NULL, NULL},
    {"a\nb", true, NULL, NULL},
};

static void check(bool written, const GString *out, const char *expected)
{
    g_assert_cmpint(written, ==, expected != NULL);
    g_assert_cmpstr(out->str, ==, expected != NULL ? expected : "");
}

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GString) quoted = g_string_new(NULL);
        g_autoptr(GString) mailbox = g_string_new(NULL);
        check(imap_write_quoted(quoted, CASES[i].text, CASES[i].utf8), quoted, CASES[i].quoted);
        check(imap_write_mailbox(mailbox, CASES[i].text, CASES[i].utf8), mailbox, CASES[i].mailbox);
    }
}

static void test_length(void)
{
    g_autoptr(GString) out = g_string_new("A1 SELECT ");
    g_autofree char *fits = g_strnfill(1000, 'x'), *too_long = g_strnfill(1001, 'x');
    g_assert_false(imap_write_quoted(out, too_long, false));
    g_assert_false(imap_write_mailbox(out, too_long, false));
    g_assert_cmpstr(out->str, ==, "A1 SELECT ");
    g_assert_true(imap_write_mailbox(out, fits, false));
    g_assert_true(imap_write_quoted(out, fits, false));
    g_assert_cmpuint(out->len, ==, strlen("A1 SELECT ") + 1000 + 1002);
}

static void test_literal(void)
{
    static const struct {
        size_t length;
        unsigned capabilities;
        bool at_once;
        const char *head;
    } rows[] = {
        {0, 0, false, "{0}\r\n"},
        {12, 0, false, "{12}\r\n"},
        {12, IMAP_CAP_LITERAL_MINUS, true, "{12+}\r\n"},
        {4096, IMAP_CAP_LITERAL_MINUS, true, "{4096+}\r\n"},
        {4097, IMAP_CAP_LITERAL_MINUS, false, "{4097}\r\n"},
        {4097, IMAP_CAP_LITERAL_PLUS, true, "{4097+}\r\n"},
        {4097, IMAP_CAP_LITERAL_PLUS | IMAP_CAP_LITERAL_MINUS, true, "{4097+}\r\n"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        bool at_once = imap_write_literal(out, rows[i].length, rows[i].capabilities);
        g_assert_cmpint(at_once, ==, rows[i].at_once);
        g_assert_cmpstr(out->str, ==, rows[i].head);
    }
}

static const struct flags_case {
    const char *flags, *wire; /* NULL: refused */
} FLAGS[] = {
    {"", "()"},
    {"  ", "()"},
    {"\\Seen", "(\\Seen)"},
    {" \\Seen  $Forwarded a:b/c ", "(\\Seen $Forwarded a:b/c)"},
    {"\\recent", NULL},
    {"\\*", NULL},
    {"a\r\nb", NULL},
    {"a)b", NULL},
    {"\\", NULL},
    {"a\\", NULL},
    {"\xc3\xb6", NULL},
};

static void test_flags(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(FLAGS); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        bool valid = imap_flags_write(out, FLAGS[i].flags);
        g_assert_cmpint(valid, ==, FLAGS[i].wire != NULL);
        if (valid)
            g_assert_cmpstr(out->str, ==, FLAGS[i].wire);
    }
}

static const struct date_case {
    int64_t seconds;
    const char *wire; /* NULL: refused */
} DATES[] = {
    {0, " 1-Jan-1970 00:00:00 +0000"},
    {837596665, "17-Jul-1996 09:44:25 +0000"},
    {-1, "31-Dec-1969 23:59:59 +0000"},
    {4294967296, " 7-Feb-2106 06:28:16 +0000"},
    {253402300799, "31-Dec-9999 23:59:59 +0000"},
    {253402300800, NULL},
    {-62135596800, " 1-Jan-0001 00:00:00 +0000"},
    {-62135596801, NULL},
    {G_MAXINT64, NULL},
    {G_MININT64, NULL},
};

static void test_dates(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(DATES); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        g_assert_cmpint(imap_date_write(out, DATES[i].seconds), ==, DATES[i].wire != NULL);
        g_assert_cmpstr(out->str, ==, DATES[i].wire ? DATES[i].wire : "");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/write/cases", test_cases);
    g_test_add_func("/imap/write/length", test_length);
    g_test_add_func("/imap/write/literal", test_literal);
    g_test_add_func("/imap/write/flags", test_flags);
    g_test_add_func("/imap/write/dates", test_dates);
    return g_test_run();
}
