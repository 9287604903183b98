/* The conversation as lines. */
#include "imap/transcript.h"

#include <string.h>

static void collect(unsigned connection, bool from_server, const char *line, void *data)
{
    g_string_append_printf(data, "%u%c%s\n", connection, from_server ? '<' : '>', line);
}

static const struct transcript_case {
    const char *bytes, *shown;
} CASES[] = {
    {"* OK hi\r\n", "7<* OK hi\n"},
    {"* OK hi\n\r\n", "7<* OK hi\n7<\n"},
    {"not whole", ""},
    {"* 1 FETCH (BODY[] {5}\r\na\r\nbc UID 3)\r\n", "7<* 1 FETCH (BODY[] {5 bytes} UID 3)\n"},
    {"A {0}\r\n {3+}\r\nxyz\r\n", "7<A {0 bytes} {3 bytes}\n"},
    {"~{3}\r\nxyz\r\n", "7<~{3 bytes}\n"},
    {"{x}\r\n}\r\n{9\r\n", "7<{x}\n7<}\n7<{9\n"},
    {"{99999999999999999999}\r\nx\r\n", "7<{99999999999999999999}\n7<x\n"},
    {"esc \x1b[31m \xff \xe2\x80\xae end\r\n", "7<esc ?[31m \xef\xbf\xbd ? end\n"},
    {"NO \"hunter2\" is wrong\r\n", "7<NO \"<secret>\" is wrong\n"},
};

/* Whole and byte by byte: the same lines. */
static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        size_t length = strlen(CASES[i].bytes);
        for (size_t piece = 1; piece <= MAX(length, 1); piece += MAX(length - 1, 1)) {
            g_autoptr(GString) shown = g_string_new(NULL);
            struct imap_transcriber *transcriber = imap_transcriber_new(collect, shown, 7);
            g_autoptr(imap_hidden) hidden = imap_hidden_new("alice");
            imap_hidden_add(hidden, "hunter2", true);
            imap_transcriber_hide(transcriber, hidden);
            for (size_t at = 0; at < length; at += piece)
                imap_transcriber_bytes(transcriber, true, CASES[i].bytes + at,
                                       MIN(piece, length - at));
            g_assert_cmpstr(shown->str, ==, CASES[i].shown);
            imap_transcriber_free(transcriber);
        }
    }
}

static void test_long(void)
{
    g_autoptr(GString) shown = g_string_new(NULL);
    g_autofree char *text = g_strnfill(5000, 'x');
    struct imap_transcriber *transcriber = imap_transcriber_new(collect, shown, 1);

    imap_transcriber_bytes(transcriber, false, text, 5000);
    imap_transcriber_bytes(transcriber, false, " {3}\r\nabc)\r\n", 12);
    g_assert_cmpuint(shown->len, <, 1100);
    g_assert_nonnull(strstr(shown->str, "{3 bytes}"));
    g_assert_nonnull(strstr(shown->str, "bytes)\n"));
    imap_transcriber_bytes(transcriber, false, "B\r\n", 3);
    g_assert_true(g_str_has_suffix(shown->str, "\n1>B\n"));
    imap_transcriber_line(transcriber, false, "instead");
    g_assert_true(g_str_has_suffix(shown->str, "\n1>instead\n"));
    imap_transcriber_free(transcriber);
}

static void test_none(void)
{
    g_assert_null(imap_transcriber_new(NULL, NULL, 1));
    imap_transcriber_bytes(NULL, true, "x\r\n", 3);
    imap_transcriber_line(NULL, true, "x");
    imap_transcriber_hide(NULL, NULL);
    imap_transcriber_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/transcript/cases", test_cases);
    g_test_add_func("/imap/transcript/long", test_long);
    g_test_add_func("/imap/transcript/none", test_none);
    return g_test_run();
}
