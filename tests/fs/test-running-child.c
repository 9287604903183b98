/* Work that may never come back. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "fs/running-child.h"

#define LONG_US (600 * G_USEC_PER_SEC)
#define SHORT_US (G_USEC_PER_SEC / 20)

static unsigned asked;

static void say(int out, const char *path, const char *line)
{
    for (const char *words[] = {path, line}, **word = words; word < words + 2; word++)
        if (write(out, *word, strlen(*word)) < 0)
            return;
}

static void say_much(int out, const char *path, const char *line)
{
    char piece[1000];
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < 200; i++)
        if (write(out, piece, sizeof piece) < 0)
            return;
}

static void stop(int out, const char *path, const char *line)
{
    raise(SIGSTOP);
}

static bool twice(const char *path)
{
    g_assert_cmpstr(path, ==, "path");
    return ++asked < 2;
}

static GString *run(running_work work, gint64 patience_us, running_patience patient)
{
    struct running_child child;
    running_child_start(&child, work, "path", "line");
    return running_child_end(&child, patience_us, patient);
}

static void test_answers(void)
{
    GString *answer = run(say, LONG_US, NULL);
    g_assert_cmpstr(answer->str, ==, "pathline");
    g_string_free(answer, TRUE);
    answer = run(say_much, LONG_US, NULL);
    g_assert_cmpuint(answer->len, ==, 64 * 1024);
    g_string_free(answer, TRUE);
}

static void test_several(void)
{
    struct running_child children[8];
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++)
        running_child_start(&children[i], say, "path", i % 2 == 0 ? "even" : "odd");
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        GString *answer = running_child_end(&children[i], LONG_US, NULL);
        g_assert_cmpstr(answer->str, ==, i % 2 == 0 ? "patheven" : "pathodd");
        g_string_free(answer, TRUE);
    }
}

static void test_silent(void)
{
    g_assert_null(run(stop, SHORT_US, NULL));
    g_assert_null(run(stop, SHORT_US, twice));
    g_assert_cmpuint(asked, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/running/child/answers", test_answers);
    g_test_add_func("/running/child/several", test_several);
    g_test_add_func("/running/child/silent", test_silent);
    return g_test_run();
}
