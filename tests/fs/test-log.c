#include "fs/log.h"

#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_escape(void)
{
    static const struct {
        const char *text, *escaped;
    } CASES[] = {
        {"", ""},
        {"plain text, 100 %s", "plain text, 100 %s"},
        {"gr\303\274n", "gr\303\274n"},
        {"a\nb\r\tc", "a\\nb\\x0d\\x09c"},
        {"\033]0;title\007", "\\x1b]0;title\\x07"},
        {"del\177", "del\\x7f"},
        {"c1\302\233m", "c1\\u{9b}m"},
        {"rlo\342\200\256x", "rlo\\u{202e}x"},
        {"iso\342\201\246x", "iso\\u{2066}x"},
        {"not\377utf8", "not\\xffutf8"},
        {"cut\303", "cut\\xc3"},
        {"over\300\257long", "over\\xc0\\xaflong"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autofree char *escaped = log_escape(CASES[i].text);
        g_assert_cmpstr(escaped, ==, CASES[i].escaped);
    }
}

static void test_escape_long(void)
{
    g_autofree char *text = g_strnfill(100000, 'x');
    g_autofree char *escaped = log_escape(text);

    g_assert_cmpuint(strlen(escaped), ==, 4096 + 3);
    g_assert_true(g_str_has_suffix(escaped, "..."));
}

static void test_lines(void)
{
    if (g_test_subprocess()) {
        g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
        log_open(false, G_LOG_LEVEL_MESSAGE);
        g_message("one\nline %d", 1);
        g_log("imap", G_LOG_LEVEL_WARNING, "beware");
        g_log("fs", G_LOG_LEVEL_MESSAGE, "of us");
        g_info("not shown");
        log_open(false, G_LOG_LEVEL_DEBUG);
        g_log("imap", G_LOG_LEVEL_DEBUG, "shown now");
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*mailmount: *one\\nline 1\n*");
    g_test_trap_assert_stderr("*mailmount: imap: beware\n*");
    g_test_trap_assert_stderr("*mailmount: of us\n*");
    g_test_trap_assert_stderr("*mailmount: imap: shown now\n*");
    g_test_trap_assert_stderr_unmatched("*not shown*");
}

/* Where JOURNAL_STREAM names standard error, levels come first. */
static void test_journal(void)
{
    if (g_test_subprocess()) {
        struct stat st;
        g_assert_cmpint(fstat(STDERR_FILENO, &st), ==, 0);
        g_autofree char *stream =
            g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        g_setenv("JOURNAL_STREAM", stream, TRUE);
        g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
        log_open(false, G_LOG_LEVEL_DEBUG);
        g_critical("bad");
        g_log("imap", G_LOG_LEVEL_WARNING, "beware");
        g_log("fs", G_LOG_LEVEL_MESSAGE, "one\n<0>two");
        g_log("fs", G_LOG_LEVEL_DEBUG, "detail");
        log_end("the end");
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*<3>error: test: bad\n<4>imap: beware\n<5>one\\n<0>two\n"
                              "<7>detail\n<3>the end\n*");
    g_test_trap_assert_stderr_unmatched("*mailmount: *");
}

static void test_is_journal(void)
{
    struct stat st;

    g_assert_cmpint(fstat(STDERR_FILENO, &st), ==, 0);
    const struct {
        const char *format;
        bool is;
    } CASES[] = {{"%ju:%ju", true}, {"%ju:%ju ", false}, {"%ju:1%ju", false}, {"%ju:", false},
                 {"", false},       {":", false},        {"%ju", false},      {"x%ju:%ju", false}};
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        g_autofree char *stream =
            g_strdup_printf(CASES[i].format, (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
#pragma GCC diagnostic pop
        g_assert_true(log_is_journal(STDERR_FILENO, stream) == CASES[i].is);
    }
    g_assert_false(log_is_journal(STDERR_FILENO, NULL));
    g_assert_false(log_is_journal(-1, "0:0"));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/escape", test_escape);
    g_test_add_func("/log/escape-long", test_escape_long);
    g_test_add_func("/log/lines", test_lines);
    g_test_add_func("/log/journal", test_journal);
    g_test_add_func("/log/is-journal", test_is_journal);
    return g_test_run();
}
