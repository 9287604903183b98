#include "fs/name.h"

#include <string.h>

/* ---- what every name must be ---------------------------------------------------------------- */

static bool holds_forbidden(const char *name)
{
    for (const char *p = name; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (g_unichar_iscntrl(c) || (c < 128 && strchr("/\\:*?\"<>|", (int)c)) || c == 0x61c ||
            (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
            (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f))
            return true;
    }
    return false;
}

/* The rules for names from mail; says which one is broken, NULL: none. */
static const char *broken_rule(const char *name, size_t max)
{
    size_t length = strlen(name);
    if (length == 0 || length > max)
        return "length";
    if (!g_utf8_validate(name, -1, NULL))
        return "UTF-8";
    g_autofree char *normal = g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
    if (strcmp(normal, name) != 0)
        return "NFC";
    if (holds_forbidden(name))
        return "a forbidden character";
    if (strchr(". -", name[0]))
        return "the first character";
    if (strchr(". ", name[length - 1]))
        return "the last character";
    return NULL;
}

static void assert_rules(const char *name, size_t max)
{
    const char *broken = broken_rule(name, max);
    if (broken)
        g_error("\"%s\" breaks the rule of %s", name, broken);
}

static void test_rules_themselves(void)
{
    static const char *const bad[] = {"",
                                      ".x",
                                      "-x",
                                      " x",
                                      "x.",
                                      "x ",
                                      "a/b",
                                      "a:b",
                                      "a\nb",
                                      "a\x7f",
                                      "a\xff",
                                      "e\xcc\x81",
                                      "\xe2\x80\xae",
                                      "a\xe2\x80\xa8z",
                                      "\xef\xbb\xbfx",
                                      "a\\b",
                                      "a\"b"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_nonnull(broken_rule(bad[i], 200));
    g_assert_null(broken_rule("2026-11-20 J\xc3\xbcrgen - x [1]", 200));
}

/* ---- messages ------------------------------------------------------------------------------- */

static void test_message(void)
{
    static const struct {
        const char *who, *subject, *name;
    } cases[] = {
        {"Bob Jones", "Lunch?", "2026-11-20 Bob Jones - Lunch_ [7]"},
        {NULL, NULL, "2026-11-20 unknown - no subject [7]"},
        {"", " \t ", "2026-11-20 unknown - no subject [7]"},
        {"a\tb", "x\r\n y  z ", "2026-11-20 a b - x y z [7]"},
        {"../../x", "a/b\\c:d*e?f\"g<h>i|j", "2026-11-20 .._.._x - a_b_c_d_e_f_g_h_i_j [7]"},
        {"J\xc3\xbcrgen", "caf\xe9", "2026-11-20 J\xc3\xbcrgen - caf\xef\xbf\xbd [7]"},
        {"x", "e\xcc\x81", "2026-11-20 x - \xc3\xa9 [7]"},
        {"x",
         "a\xe2\x80\xae"
         "b\x1b[1m",
         "2026-11-20 x - a_b_[1m [7]"},
        {"x", "ends.", "2026-11-20 x - ends. [7]"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = name_of_message(2026, 11, 20, cases[i].who, cases[i].subject, 7);
        g_assert_cmpstr(name, ==, cases[i].name);
        assert_rules(name, NAME_MESSAGE_MAX);
    }
}

static void test_message_long(void)
{
    g_autofree char *who = g_strnfill(5000, 'w');
    g_autofree char *ascii = g_strnfill(100000, 's');
    g_autoptr(GString) wide = g_string_new(NULL);
    for (int i = 0; i < 500; i++)
        g_string_append(wide, "\xe6\xbc\xa2");
    const char *subjects[] = {ascii, wide->str};
    for (int i = 0; i < 2; i++) {
        g_autofree char *name = name_of_message(2026, 1, 2, who, subjects[i], UINT32_MAX);
        assert_rules(name, NAME_MESSAGE_MAX);
        g_assert_cmpuint(strlen(name), >, NAME_MESSAGE_MAX - 4);
        g_assert_true(g_str_has_suffix(name, " [4294967295]"));
        g_assert_nonnull(strstr(name, " - "));
    }
}

static void test_message_uid(void)
{
    static const struct {
        const char *name;
        uint32_t uid; /* 0: it is no message's name */
        bool eml;
    } cases[] = {
        {"2026-11-20 a - b [1]", 1, false},
        {"2026-11-20 a - b [4294967295].eml", UINT32_MAX, true},
        {"2026-11-20 [7] [8]", 8, false},
        {"2026-11-20  [8]", 8, false},
        {"2026-11-20 a - b [4294967296]", 0, false},
        {"2026-11-20 a - b [0]", 0, false},
        {"2026-11-20 a - b [01]", 0, false},
        {"2026-11-20 a - b []", 0, false},
        {"2026-11-20 a - b[1]", 0, false},
        {"2026-11-20 a - b [1] ", 0, false},
        {"2026-11-20 a - b [1", 0, false},
        {"2026-11-20 a - b [1].EML", 0, false},
        {"2026-11-20 a - b [99999999999999999999]", 0, false},
        {"2026-11-2x a [1]", 0, false},
        {"Project [12]", 0, false},
        {"[12]", 0, false},
        {"", 0, false},
        {".eml", 0, false},
        {"2026-11-20 ", 0, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t uid = 0;
        bool eml = false;
        bool ok = name_message_uid(cases[i].name, &uid, &eml);
        g_assert_cmpint(ok, ==, cases[i].uid != 0);
        if (ok) {
            g_assert_cmpuint(uid, ==, cases[i].uid);
            g_assert_cmpint(eml, ==, cases[i].eml);
        }
    }
}

/* ---- parts ---------------------------------------------------------------------------------- */

static void test_part(void)
{
    static const struct {
        const char *wanted, *name;
    } cases[] = {
        {"report.pdf", "report.pdf"},
        {NULL, "part-1.bin"},
        {"", "part-1.bin"},
        {" ", "part-1.bin"},
        {"/", "part-1.bin"},
        {"dir/", "part-1.bin"},
        {"../../../../etc/passwd", "passwd"},
        {"..\\..\\windows\\cmd.exe", "cmd.exe"},
        {"C:\\autoexec.bat", "autoexec.bat"},
        {".", "_"},
        {"..", "__"},
        {"...", "_._"},
        {"../..", "__"},
        {".bashrc", "_bashrc"},
        {".mailmount", "_mailmount"},
        {"-rf", "_rf"},
        {"- x", "_ x"},
        {" leading.txt", "leading.txt"},
        {"trailing. ", "trailing_"},
        {"trailing ", "trailing"},
        {"a:b.txt", "a_b.txt"},
        {"*?[a].txt", "__[a].txt"},
        {"$(touch x);`id`|&.txt", "$(touch x);`id`_&.txt"},
        {"CON", "_CON"},
        {"aux.txt", "_aux.txt"},
        {"nul .txt", "_nul .txt"},
        {"COM1.tar.gz", "_COM1.tar.gz"},
        {"console", "console"},
        {"desktop.ini", "_desktop.ini"},
        {"new\nline.txt", "new_line.txt"},
        {"\x1b[31mred\x1b[0m.txt", "_[31mred_[0m.txt"},
        {"c1\xc2\x85nel.txt", "c1_nel.txt"},
        {"invoice\xe2\x80\xae"
         "fdp.exe",
         "invoice_fdp.exe"},
        {"zero\xe2\x80\x8bwidth\xe2\x80\x8d.txt", "zero_width_.txt"},
        {"\xef\xbb\xbf"
         "bom.txt",
         "_bom.txt"},
        {"caf\xe9.txt", "caf\xef\xbf\xbd.txt"},
        {"e\xcc\x81t.txt", "\xc3\xa9t.txt"},
        {"x\xef\xbf\xbe\xef\xbf\xbf.txt", "x__.txt"},
        {"\xc2\xa0.\xc2\xa0", "_"},
        {"a\xe2\x88\x95"
         "b",
         "a\xe2\x88\x95"
         "b"}, /* DIVISION SLASH is no slash */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = name_of_part(cases[i].wanted, "part-1.bin");
        g_assert_cmpstr(name, ==, cases[i].name);
        assert_rules(name, NAME_PART_MAX);
    }
}

static void test_part_long(void)
{
    static const struct {
        const char *begin, *repeat;
        int times;
        const char *end, *suffix; /* what the name must end in */
    } cases[] = {
        {"", "a", 252, ".txt", "a.txt"},
        {"", "c", 65000, "", "c"},
        {"x.", "e", 300, "", "e"},
        {"", "\xe6\xbc\xa2", 100, ".txt", "\xe6\xbc\xa2.txt"},
        {"a", "\xf0\x9f\x98\x80", 64, "", "\xf0\x9f\x98\x80"},
        {"a", "\xcc\x81", 130, ".txt", ".txt"},
        {"", "e\xcc\x81", 5000, ".tar.gz", ".tar.gz"},
        {"", ".", 1000, "", "_"},
        {"", " ", 1000, "x", "x"},
        {"Mr. ", "word ", 100, "", "w"},
        {"", "ab\xff", 1000, ".pdf", ".pdf"},
        {"", "\xf0\x9d\x85\xa0", 500, ".x", ".x"}, /* grows under NFC */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) wanted = g_string_new(cases[i].begin);
        for (int n = 0; n < cases[i].times; n++)
            g_string_append(wanted, cases[i].repeat);
        g_string_append(wanted, cases[i].end);
        g_autofree char *name = name_of_part(wanted->str, "part-1.bin");
        assert_rules(name, NAME_PART_MAX);
        if (!g_str_has_suffix(name, cases[i].suffix))
            g_error("\"%s\" does not end in \"%s\"", name, cases[i].suffix);
    }
}

/* A letter and its marks are not torn apart. */
static void test_part_marks(void)
{
    for (size_t pad = NAME_PART_MAX - 8; pad <= NAME_PART_MAX; pad++) {
        g_autofree char *fill = g_strnfill(pad, 'x');
        g_autofree char *wanted = g_strconcat(fill, "q\xcc\xa3\xcc\x87", "zzzzzzzz", NULL);
        g_autofree char *name = name_of_part(wanted, "f");
        assert_rules(name, NAME_PART_MAX);
        if (strchr(name, 'q'))
            g_assert_nonnull(strstr(name, "q\xcc\xa3\xcc\x87"));
    }
}

/* Any bytes make a name that keeps the rules, and always the same one. */
static void test_random(void)
{
    static const char *const pieces[] = {"a",
                                         "Z",
                                         ".",
                                         "..",
                                         "/",
                                         "\\",
                                         " ",
                                         "-",
                                         "_",
                                         ":",
                                         "\n",
                                         "\x01",
                                         "\xff",
                                         "\xc3",
                                         "con",
                                         ".tar",
                                         ".gz",
                                         "\xe2\x80\xae",
                                         "\xcc\x81",
                                         "e",
                                         "\xe6\xbc\xa2",
                                         "\xf0\x9f\x98\x80",
                                         "\xc2\xa0",
                                         "\xe1\x84\x80\xe1\x85\xa1",
                                         "\xe0\xa5\x98",
                                         "\xef\xbb\xbf",
                                         "nul",
                                         "[1]"};
    g_autoptr(GRand) rand = g_rand_new_with_seed(20261120);
    for (int round = 0; round < 20000; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        int n = g_rand_int_range(rand, 0, round % 10 == 0 ? 300 : 12);
        while (n-- > 0)
            g_string_append(text, pieces[g_rand_int_range(rand, 0, G_N_ELEMENTS(pieces))]);
        g_autofree char *part = name_of_part(text->str, "part-1.bin");
        assert_rules(part, NAME_PART_MAX);
        g_autofree char *again = name_of_part(part, "part-1.bin");
        g_assert_cmpstr(again, ==, part);
        g_autofree char *message = name_of_message(2026, 1, 31, text->str, text->str, 42);
        assert_rules(message, NAME_MESSAGE_MAX);
        uint32_t uid = 0;
        bool eml;
        g_assert_true(name_message_uid(message, &uid, &eml));
        g_assert_cmpuint(uid, ==, 42);
    }
}

/* ---- mailboxes ------------------------------------------------------------------------------ */

static void test_mailbox(void)
{
    static const struct {
        const char *component, *name;
    } cases[] = {
        {"INBOX", "INBOX"},
        {"Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe"},
        {"e\xcc\x81", "e\xcc\x81"},
        {"a/b", "a%2Fb"},
        {".hidden", "%2Ehidden"},
        {".", "%2E"},
        {"..", "%2E."},
        {".mailmount", "%2Emailmount"},
        {"a\nb", "a%0Ab"},
        {"a\xc2\x85z", "a%C2%85z"},
        {"a\xffz", "a%FFz"},
        {"100%", "100%"},
        {"100%zz", "100%zz"},
        {"%2F", "%252F"},
        {"%%41", "%%2541"},
        {"", "%00"},
        {" x ", " x "},
        {"CON", "CON"},
        {"2026-11-20 a - b [1]", "2026-11-20 a - b [1] (2)"},
        {"Project [12]", "Project [12]"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = name_of_mailbox(cases[i].component);
        g_assert_cmpstr(name, ==, cases[i].name);
        g_autofree char *back = name_to_mailbox(name);
        if (strcmp(cases[i].component, "") != 0 && !g_str_has_suffix(name, " (2)"))
            g_assert_cmpstr(back, ==, cases[i].component);
    }
}

/* Directory names that no mailbox can have. */
static void test_mailbox_never(void)
{
    static const char *const cases[] = {
        "", ".x", "%41", "%2f", "%00", "a%00b", "a\nb", "\xff", "2026-11-20 a - b [1]"};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_null(name_to_mailbox(cases[i]));
}

static void test_mailbox_long(void)
{
    g_autofree char *fill = g_strnfill(300, 'm');
    g_autofree char *one = g_strconcat(fill, "1", NULL), *two = g_strconcat(fill, "2", NULL);
    g_autofree char *first = name_of_mailbox(one), *second = name_of_mailbox(two);
    g_assert_cmpuint(strlen(first), ==, NAME_MAILBOX_MAX);
    g_assert_cmpstr(first, !=, second);
    for (size_t pad = 225; pad < 250; pad++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (size_t i = 0; i < pad; i++)
            g_string_append_c(text, 'x');
        for (int i = 0; i < 40; i++)
            g_string_append(text, "\xe6\xbc\xa2\n");
        g_autofree char *name = name_of_mailbox(text->str);
        g_assert_cmpuint(strlen(name), <=, NAME_MAILBOX_MAX);
        g_assert_true(g_utf8_validate(name, -1, NULL));
        g_assert_null(strstr(name, "%~"));
        g_assert_null(strstr(name, "%0~"));
    }
}

static void test_mailbox_random(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    for (int round = 0; round < 20000; round++) {
        char text[64];
        int length = g_rand_int_range(rand, 1, 60);
        for (int i = 0; i < length; i++)
            text[i] =
                (char)(g_rand_boolean(rand) ? "%2F./\n[1] \xc3\xa9"[g_rand_int_range(rand, 0, 12)]
                                            : g_rand_int_range(rand, 1, 256));
        text[length] = '\0';
        g_autofree char *name = name_of_mailbox(text);
        g_assert_true(g_utf8_validate(name, -1, NULL) && *name && *name != '.');
        g_assert_null(strchr(name, '/'));
        g_assert_cmpuint(strlen(name), <=, NAME_MAILBOX_MAX);
        g_autofree char *back = name_to_mailbox(name);
        if (!g_str_has_suffix(name, " (2)"))
            g_assert_cmpstr(back, ==, text);
    }
}

/* ---- sets ----------------------------------------------------------------------------------- */

static void test_set(void)
{
    static const struct {
        const char *name, *added;
    } cases[] = {
        {"report.pdf", "report.pdf"},
        {"report.pdf", "report (2).pdf"},
        {"REPORT.PDF", "REPORT (3).PDF"},
        {"report (4).pdf", "report (4).pdf"},
        {"report.pdf", "report (5).pdf"},
        {"report (2).pdf", "report (2) (2).pdf"},
        {"a", "a"},
        {"a", "a (2)"},
        {"x.tar.gz", "x.tar.gz"},
        {"x.tar.gz", "x (2).tar.gz"},
        {"\xc3\x89", "\xc3\x89"},
        {"\xc3\xa9", "\xc3\xa9 (2)"},
        {"stra\xc3\x9f"
         "e",
         "stra\xc3\x9f"
         "e"},
        {"STRASSE", "STRASSE (2)"},
    };
    g_autoptr(name_set) set = name_set_new();
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *added = name_set_add(set, cases[i].name, NAME_PART_MAX);
        g_assert_cmpstr(added, ==, cases[i].added);
        g_assert_true(name_set_has(set, added));
    }
    g_assert_false(name_set_has(set, "b"));
}

static void test_set_message(void)
{
    g_autoptr(name_set) set = name_set_new();
    g_free(name_set_add(set, "y.eml", NAME_PART_MAX));
    g_free(name_set_add(set, "z", NAME_PART_MAX));
    static const struct {
        const char *stem, *added;
    } cases[] = {
        {"x", "x"}, {"X", "X (2)"}, {"y", "y (2)"}, {"z", "z (2)"}, {"x", "x (3)"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *added = name_set_add_message(set, cases[i].stem, NAME_PART_MAX);
        g_assert_cmpstr(added, ==, cases[i].added);
    }
    g_assert_true(name_set_has(set, "x (3).EML"));
}

/* Many names that are equal, or equal once they are cut for a suffix: each is tried a few times
 * only, or this would not end. */
static void test_set_many(void)
{
    g_autoptr(name_set) set = name_set_new();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *fill = g_strnfill(NAME_PART_MAX - 9, 'x');
    for (int i = 0; i < 60000; i++) {
        g_autofree char *name =
            i % 2 ? g_strdup("same.txt") : g_strdup_printf("%s%05d.txt", fill, i / 4);
        char *added = name_set_add(set, name, NAME_PART_MAX);
        g_assert_cmpuint(strlen(added), <=, NAME_PART_MAX);
        g_assert_true(g_str_has_suffix(added, ".txt"));
        g_assert_true(g_hash_table_add(seen, added));
    }
    g_assert_true(name_set_has(set, "same (30000).txt"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/name/rules", test_rules_themselves);
    g_test_add_func("/name/message", test_message);
    g_test_add_func("/name/message/long", test_message_long);
    g_test_add_func("/name/message/uid", test_message_uid);
    g_test_add_func("/name/part", test_part);
    g_test_add_func("/name/part/long", test_part_long);
    g_test_add_func("/name/part/marks", test_part_marks);
    g_test_add_func("/name/random", test_random);
    g_test_add_func("/name/mailbox", test_mailbox);
    g_test_add_func("/name/mailbox/never", test_mailbox_never);
    g_test_add_func("/name/mailbox/long", test_mailbox_long);
    g_test_add_func("/name/mailbox/random", test_mailbox_random);
    g_test_add_func("/name/set", test_set);
    g_test_add_func("/name/set/message", test_set_message);
    g_test_add_func("/name/set/many", test_set_many);
    return g_test_run();
}
