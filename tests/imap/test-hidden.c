/* What is hidden where a server repeats it, and what stays. */
#include "imap/hidden.h"

#include <string.h>

#define JWT "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"

static const struct hidden_case {
    const char *chosen, *coded; /* a password, and what was sent */
    const char *line, *shown;
} CASES[] = {
    /* the password itself */
    {"sesame", NULL, "NO sesame is not it", "NO <secret> is not it"},
    {"sesame", NULL, "pass=sesame! SESAME", "pass=<secret>! <secret>"},
    {"sesame", NULL, "sesames, asesame", "sesames, asesame"},
    {"sesame", NULL, "sesamesesame sesame", "sesamesesame <secret>"},
    {"(open)", NULL, "it(open)ed", "it<secret>ed"},
    {"sesame", NULL, "", ""},
    {"", "", "LOGIN alice ", "LOGIN alice "},
    /* a short one */
    {"wrong", NULL, "wrong user or password", "wrong user or password"},
    {"1234", NULL, "line 1234: BAD LOGIN alice 1234", "line 1234: BAD LOGIN alice <secret>"},
    {"1234", NULL, "BAD \"alice\" \"1234\"", "BAD \"alice\" \"<secret>\""},
    {"x", NULL, "BAD login: x", "BAD login: <secret>"},
    {"1234", NULL, "12345 alice 12345", "12345 alice 12345"},
    /* a part of it */
    {"pass-phrase-of-9-words", NULL, "LOGIN alice pass-phrase-of-9...", "LOGIN alice <secret>"},
    {"correct horse 7 battery", NULL, "BAD horse 7 battery?", "BAD<secret>?"},
    {"authentications", NULL, "authentication failed", "authentication failed"},
    /* as it was sent */
    {"sesame", "AGFsaWNlAHNlc2FtZQ==", "BAD AUTHENTICATE PLAIN AGFsaWNlAHNlc2FtZQ==",
     "BAD AUTHENTICATE PLAIN <secret>"},
    {"sesame", "AGFsaWNlAHNlc2FtZQ==", "BAD AUTHENTICATE PLAIN \"AGFsaWNlAHNlc2F\"",
     "BAD AUTHENTICATE PLAIN \"<secret>\""},
    {"sesame", "AGFsaWNlAHNlc2FtZQ==", "bad: agfsawnlahnlc2ftzq (unknown)",
     "bad: <secret> (unknown)"},
    {"sesame", "AGFsaWNlAHNlc2FtZQ==", "AGFsaWNlA only", "AGFsaWNlA only"},
    {"sesame", "AGFsaWNlAHNlc2FtZQ==", "xxAHNlc2FtZQ==xx and AGFsaWNlAHNl",
     "<secret> and <secret>"},
    {NULL, "c2VzYW1l", "BAD c2VzYW1l", "BAD <secret>"},
    {"a\"b\\c", "\"a\\\"b\\\\c\"", "BAD LOGIN \"alice\" \"a\\\"b\\\\c\"",
     "BAD LOGIN \"alice\" <secret>"},
    {NULL, JWT, "invalid token " JWT ".", "invalid token <secret>"},
    {NULL, JWT, "claims eyJzdWIiOiJhbGljZSJ9: no", "claims <secret>: no"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(imap_hidden) hidden = imap_hidden_new("Alice");
        g_autoptr(GString) line = g_string_new(CASES[i].line);
        g_test_message("%s", CASES[i].line);
        imap_hidden_add(hidden, CASES[i].chosen, true);
        imap_hidden_add(hidden, CASES[i].coded, false);
        imap_hidden_cover(hidden, line);
        g_assert_cmpstr(line->str, ==, CASES[i].shown);
        g_assert_cmpuint(line->len, ==, strlen(CASES[i].shown));
    }
}

/* Any bytes, and nothing to hide. */
static void test_bytes(void)
{
    static const char bytes[] = "\0sesame\0\xff\0"
                                "alice\0sesame";
    static const char shown[] = "\0<secret>\0\xff\0"
                                "alice\0<secret>";
    g_autoptr(imap_hidden) hidden = imap_hidden_new("");
    g_autoptr(GString) line = g_string_new_len(bytes, sizeof bytes - 1);

    imap_hidden_cover(NULL, line);
    imap_hidden_cover(hidden, line);
    g_assert_cmpmem(line->str, line->len, bytes, sizeof bytes - 1);
    imap_hidden_add(hidden, "sesame", true);
    imap_hidden_cover(hidden, line);
    g_assert_cmpmem(line->str, line->len, shown, sizeof shown - 1);
    imap_hidden_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/hidden/cases", test_cases);
    g_test_add_func("/imap/hidden/bytes", test_bytes);
    return g_test_run();
}
