#include "fs/netrc.h"

#include <glib.h>
#include <string.h>

static enum netrc_result find(const char *text, size_t length, const char *user, char **password,
                              unsigned *line)
{
    /* on the heap, at its size, so that a byte too far is noticed */
    g_autofree char *exact = g_memdup2(text, MAX(length, 1));
    size_t written = 0;

    *password = g_malloc(length + 1);
    enum netrc_result result =
        netrc_find(exact, length, "imap.example.org", user, *password, &written, line);
    g_assert_cmpuint(written, <=, length);
    (*password)[written] = '\0';
    return result;
}

#define M "machine imap.example.org "

static void test_found(void)
{
    static const struct {
        const char *text, *password;
    } CASES[] = {
        {M "login alice password hunter2", "hunter2"},
        {M "password hunter2 login alice\n", "hunter2"},
        {"machine imap.example.org\n\tlogin alice\n\tpassword hunter2\n", "hunter2"},
        {"machine\nimap.example.org\r\nlogin\r\nalice\r\npassword\r\nhunter2\r\n", "hunter2"},
        {"MACHINE IMAP.Example.ORG Login alice Password hunter2", "hunter2"},
        {M "password nameless", "nameless"},
        {M "login alice password one\n" M "login alice password two", "one"},
        {M "password nameless\n" M "login alice password named", "named"},
        {M "login bob password his\n" M "login alice password hers", "hers"},
        {M "login alice\n" M "login alice password second", "second"},
        {M "login alice account ftp password hunter2", "hunter2"},
        {M "login alice port 993 password hunter2", "hunter2"},
        {"default login alice password strange\n" M "login alice password mine", "mine"},
        /* quotes */
        {M "login \"alice\" password \"a b\"", "a b"},
        {M "login alice password \"say \\\"hi\\\" \\\\ \\n\\t\"", "say \"hi\" \\ \n\t"},
        {M "login alice password back\\slash\"quote", "back\\slash\"quote"},
        {M "login alice password \"machine\"", "machine"},
        {M "login alice password \"\"x", ""},
        /* comments */
        {"# machine imap.example.org password old\n" M "login alice password new", "new"},
        {M "login alice # password old\n password new", "new"},
        {M "login alice password #new", "#new"},
        {M "login alice password\n# between\nnew", "new"},
        {"   # indented\n" M "login alice password new # end", "new"},
        /* macros */
        {"macdef init\n" M "login alice password macro\n\n" M "login alice password real", "real"},
        {"macdef init\nput\n  \t\n" M "login alice password real", "real"},
        {M "login alice password real\nmacdef last\n" M "login alice password macro", "real"},
        {M "login alice password gr\303\274n", "gr\303\274n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autofree char *password = NULL;
        unsigned line;
        g_test_message("%s", CASES[i].text);
        g_assert_cmpint(find(CASES[i].text, strlen(CASES[i].text), "alice", &password, &line), ==,
                        NETRC_FOUND);
        g_assert_cmpstr(password, ==, CASES[i].password);
    }
}

static void test_none(void)
{
    static const char *const CASES[] = {
        "",
        "\n\n",
        "#",
        "machine imap.example.or login alice password x",
        "machine imap.example.org.evil.net login alice password x",
        "machine example.org login alice password x",
        "machine *.example.org login alice password x",
        "machine \"imap.example.org \" login alice password x",
        M "login alice",
        M "login alic password x",
        M "login alicea password x",
        M "login Alice password x",
        M "login \"\" password x",
        "default login alice password x",
        M "login alice default password x",
        "login alice password x " M,
        "macdef x\n" M "login alice password x\n",
        "machine other login alice # " M "password x",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autofree char *password = NULL;
        unsigned line;
        g_test_message("%s", CASES[i]);
        g_assert_cmpint(find(CASES[i], strlen(CASES[i]), "alice", &password, &line), ==,
                        NETRC_NONE);
    }
}

static void test_broken(void)
{
    static const struct {
        const char *text;
        unsigned line;
    } CASES[] = {
        {"machine", 1},
        {M "login", 1},
        {M "\nlogin alice\npassword", 3},
        {M "account\n\n", 3},
        {M "login alice password \"open", 1},
        {M "login alice password \"open\\\"", 1},
        {M "login alice password \"open\\", 1},
        {"\n" M "login alice password \"two\nlines\"", 2},
        {"\"", 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autofree char *password = NULL;
        unsigned line = 0;
        g_test_message("%s", CASES[i].text);
        g_assert_cmpint(find(CASES[i].text, strlen(CASES[i].text), "alice", &password, &line), ==,
                        NETRC_BROKEN);
        g_assert_cmpuint(line, ==, CASES[i].line);
    }
}

/* Every beginning of a hostile file, and each with a byte changed, is read within its bounds. */
static void test_hostile(void)
{
    static const char TEXT[] = "default login \"a\\\nmacdef x\n\n\nmachine \"imap.example.org\" "
                               "login \"al\\ice\"\r# c\n\tpassword \"\\\"\\\\\\n\" # \"\n\0\377";
    static const char BYTES[] = {0, '"', '\\', '\n', '#', ' ', (char)0xff};

    for (size_t length = 0; length < sizeof(TEXT); length++)
        for (size_t at = 0; at <= length; at++)
            for (size_t i = 0; i < sizeof(BYTES) && at < length; i++) {
                g_autofree char *text = g_memdup2(TEXT, length);
                g_autofree char *password = NULL;
                unsigned line;
                text[at] = BYTES[i];
                find(text, length, "alice", &password, &line);
            }
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netrc/found", test_found);
    g_test_add_func("/netrc/none", test_none);
    g_test_add_func("/netrc/broken", test_broken);
    g_test_add_func("/netrc/hostile", test_hostile);
    return g_test_run();
}
