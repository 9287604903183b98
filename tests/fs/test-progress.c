/* How far a folder is fetched: the line that says so, and the bar. */
#include "fs/progress.h"

#include <string.h>

#include "fs/prefetch-command.h"

static void test_line(void)
{
    for (int state = ENGINE_PREFETCH_WAITING; state <= ENGINE_PREFETCH_FAILED; state++) {
        const struct progress written = {
            (enum engine_prefetch_state)state, 500, 3, UINT64_MAX, 7, "A/b \xc3\xa4", "why: not"};
        struct progress got;
        g_autoptr(GString) text = g_string_new(NULL);
        progress_write(&written, text);
        g_assert_cmpint(text->str[text->len - 1], ==, '\n');
        g_string_truncate(text, text->len - 1);
        g_assert_true(progress_read(text->str, &got));
        g_assert_cmpint(got.state, ==, written.state);
        g_assert_cmpuint(got.messages, ==, written.messages);
        g_assert_cmpuint(got.messages_done, ==, written.messages_done);
        g_assert_cmpuint(got.bytes, ==, written.bytes);
        g_assert_cmpuint(got.bytes_done, ==, written.bytes_done);
        g_assert_cmpstr(got.folder, ==, written.folder);
        g_assert_cmpstr(got.why, ==, written.why);
    }
}

static void test_what_is_no_line(void)
{
    static const char *const WRONG[] = {
        "",
        "complete",
        "complete\t1\t2\t3\t4\tINBOX",
        "complete\t1\t2\t3\t4\tINBOX\twhy\tmore",
        "complete\t1\t2\t-3\t4\tINBOX\t",
        "complete\t1\t2\t\t4\tINBOX\t",
        "complete\t1\t2\t3x\t4\tINBOX\t",
        "complete\t1\t2\t18446744073709551616\t4\tINBOX\t",
        "done\t1\t2\t3\t4\tINBOX\t",
        "\t1\t2\t3\t4\tINBOX\t",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(WRONG); i++) {
        struct progress got;
        g_autofree char *line = g_strdup(WRONG[i]);
        g_assert_false(progress_read(line, &got));
    }
}

static void test_bar(void)
{
    const struct bar {
        const char *folder;
        uint64_t done, all;
        double seconds;
        uint64_t fetched;
        unsigned columns;
        const char *bar;
    } BARS[] = {
        /* GLib writes a no-break space before units */
        {"INBOX", 0, 4000, 0, 0, 60,
         "INBOX [.............................] 0/4  0 bytes of 4.0\xc2\xa0"
         "kB"},
        {"INBOX", 2000, 4000, 2, 2000, 79,
         "INBOX [##############..............] 2/4  2.0\xc2\xa0"
         "kB of 4.0\xc2\xa0"
         "kB  1.0\xc2\xa0"
         "kB/s  0:02 left"},
        {"INBOX", 4000, 4000, 0, 0, 40,
         "INBOX [##########] 4/4  4.0\xc2\xa0"
         "kB of 4.0\xc2\xa0"
         "kB"},
        {"INBOX", 4000, 4000, 0, 0, 20,
         "INBOX 4/4  4.0\xc2\xa0"
         "kB of"},
        {"INBOX", 0, 0, 0, 0, 40, "INBOX [########] 0/0  0 bytes of 0 bytes"},
        {"a/very/long/name/of/a/fold\xc3\xa4r", 4000, 4000, 0, 0, 60,
         "...long/name/of/a/fold\xc3\xa4"
         "r [###########] 4/4  4.0\xc2\xa0"
         "kB of 4.0\xc2\xa0"
         "kB"},
        {"INBOX", 1, 1000000000000, 1, 1, 100,
         "INBOX [.......................................] 0/1000000000  1 byte of 1.0\xc2\xa0TB  1 "
         "byte/s  --:-- left"},
        {"INBOX", 1, 40000000, 1, 1000, 100,
         "INBOX [........................................] 0/40000  1 byte of 40.0\xc2\xa0MB  "
         "1.0\xc2\xa0"
         "kB/s  11:06:40 left"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(BARS); i++) {
        const struct bar *test = &BARS[i];
        const struct progress progress = {ENGINE_PREFETCH_FETCHING,
                                          test->all / 1000,
                                          test->done / 1000,
                                          test->all,
                                          test->done,
                                          test->folder,
                                          ""};
        g_autofree char *bar = progress_bar(&progress, test->seconds, test->fetched, test->columns);
        g_assert_true(g_utf8_validate(bar, -1, NULL));
        g_assert_cmpint(g_utf8_strlen(bar, -1), <=, test->columns);
        g_assert_cmpstr(bar, ==, test->bar);
    }
}

static void test_folder(void)
{
    static const struct folder {
        const char *mountpoint, *word, *within;
    } FOLDERS[] = {
        {"/home/a/Mail", "INBOX", "INBOX"},        {"/home/a/Mail", "/home/a/Mail/INBOX", "INBOX"},
        {"/home/a/Mail", "/home/a/Mail", ""},      {"/home/a/Mail", "/home/a/Mail//A/b", "A/b"},
        {"/home/a/Mail", "/home/a/Mails/A", NULL}, {"/home/a/Mail", "/", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(FOLDERS); i++) {
        g_autofree char *within = prefetch_folder(FOLDERS[i].mountpoint, FOLDERS[i].word);
        g_assert_cmpstr(within, ==, FOLDERS[i].within);
    }
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/progress/line", test_line);
    g_test_add_func("/progress/what-is-no-line", test_what_is_no_line);
    g_test_add_func("/progress/bar", test_bar);
    g_test_add_func("/progress/folder", test_folder);
    return g_test_run();
}
