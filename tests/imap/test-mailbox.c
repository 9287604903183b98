/* Sequence numbers and UIDs. */
#include "imap/mailbox.h"

#include <string.h>

/* The map as text: "4,?,6 of 3". */
static char *shown(const struct imap_mailbox *mailbox)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < mailbox->uids->len; i++) {
        uint32_t uid = g_array_index(mailbox->uids, uint32_t, i);
        if (uid)
            g_string_append_printf(text, "%s%u", i ? "," : "", uid);
        else
            g_string_append(text, i ? ",?" : "?");
    }
    g_string_append_printf(text, " of %u", mailbox->state.exists);
    return g_string_free(text, FALSE);
}

/* A line of steps: e5 EXISTS, x2 EXPUNGE, f3=7 FETCH 3 with UID 7, v4:5 VANISHED. */
static const struct mailbox_case {
    const char *steps, *shown;
} CASES[] = {
    {"", " of 0"},
    {"e3", " of 3"},
    {"e3 f1=4 f3=6", "4,?,6 of 3"},
    {"e3 f1=4 f2=5 f3=6 x1", "5,6 of 2"},
    {"e3 f1=4 f2=5 f3=6 x3", "4,5 of 2"},
    {"e3 f1=4 x2", "4 of 2"},
    {"e3 f3=6 x1", "?,6 of 2"},
    {"e1 x2 x0 x1 x1", " of 0"},
    {"e3 f1=4 f2=5 f3=6 e5", "4,5,6 of 5"},
    {"e3 f1=4 f2=5 f3=6 e2", " of 2"},
    {"e1 f2=9", "?,9 of 2"},
    {"f4294967295=9", " of 0"},
    {"e1 f10000000=9", " of 1"},
    {"f0=9", " of 0"},
    {"e3 f1=4 f2=5 f3=6 v4:5", "6 of 1"},
    {"e3 f1=4 f2=5 f3=6 v5,77", " of 1"},
    {"e1 v1:4000000000", " of 0"},
};

static void apply(struct imap_mailbox *mailbox, const char *step)
{
    uint32_t number = (uint32_t)g_ascii_strtoull(step + 1, NULL, 10);
    bool ignored;

    if (*step == 'e') {
        imap_mailbox_exists(mailbox, number);
    } else if (*step == 'x') {
        imap_mailbox_expunge(mailbox, number, &ignored);
    } else if (*step == 'f') {
        imap_mailbox_fetch(mailbox, number,
                           (uint32_t)g_ascii_strtoull(strchr(step, '=') + 1, NULL, 10));
    } else if (*step == 'v') {
        g_autoptr(imap_uidset) set = imap_uidset_parse(step + 1, strlen(step + 1));
        imap_mailbox_vanish(mailbox, set);
    }
}

static void test_map(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_auto(GStrv) steps = g_strsplit(CASES[i].steps, " ", -1);
        struct imap_mailbox mailbox;
        imap_mailbox_init(&mailbox);
        for (char **step = steps; *step; step++)
            apply(&mailbox, *step);
        g_autofree char *text = shown(&mailbox);
        g_assert_cmpstr(text, ==, CASES[i].shown);
        imap_mailbox_clear(&mailbox);
    }
}

static void test_answers(void)
{
    struct imap_mailbox mailbox;
    bool ignored;

    imap_mailbox_init(&mailbox);
    g_assert_true(imap_mailbox_exists(&mailbox, 2));
    g_assert_false(imap_mailbox_exists(&mailbox, 2));
    g_assert_cmpuint(imap_mailbox_fetch(&mailbox, 2, 0), ==, 0);
    g_assert_cmpuint(imap_mailbox_fetch(&mailbox, 2, 8), ==, 8);
    g_assert_cmpuint(imap_mailbox_fetch(&mailbox, 2, 0), ==, 8);
    g_assert_cmpuint(imap_mailbox_expunge(&mailbox, 3, &ignored), ==, 0);
    g_assert_true(ignored);
    g_assert_cmpuint(imap_mailbox_expunge(&mailbox, 2, &ignored), ==, 8);
    g_assert_false(ignored);
    imap_mailbox_clear(&mailbox);
}

static void test_codes(void)
{
    static const char *const NO_IDS[] = {NULL,  "",      "(",      "()", "F1",
                                         "(F1", "(F 1)", "((F1))", "(*)"};
    struct imap_mailbox mailbox;

    imap_mailbox_init(&mailbox);
    imap_mailbox_code(&mailbox, "UIDVALIDITY", NULL, 4294967295);
    imap_mailbox_code(&mailbox, "UIDNEXT", NULL, 4294967296);
    imap_mailbox_code(&mailbox, "HIGHESTMODSEQ", NULL, UINT64_MAX);
    imap_mailbox_code(&mailbox, "READ-ONLY", NULL, 0);
    imap_mailbox_code(&mailbox, "X-UNKNOWN", NULL, 3);
    imap_mailbox_code(&mailbox, "MAILBOXID", "(F-1_a)", 0);
    for (size_t i = 0; i < G_N_ELEMENTS(NO_IDS); i++)
        imap_mailbox_code(&mailbox, "MAILBOXID", NO_IDS[i], 0);
    g_assert_cmpstr(mailbox.state.mailboxid, ==, "F-1_a");
    g_assert_cmpuint(mailbox.state.uidvalidity, ==, 4294967295);
    g_assert_cmpuint(mailbox.state.uidnext, ==, 0);
    g_assert_cmpuint(mailbox.state.highestmodseq, ==, 0);
    g_assert_true(mailbox.state.read_only);
    imap_mailbox_code(&mailbox, "HIGHESTMODSEQ", NULL, 7);
    imap_mailbox_code(&mailbox, "READ-WRITE", NULL, 0);
    g_assert_cmpuint(mailbox.state.highestmodseq, ==, 7);
    g_assert_false(mailbox.state.read_only);
    imap_mailbox_clear(&mailbox);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/mailbox/map", test_map);
    g_test_add_func("/imap/mailbox/answers", test_answers);
    g_test_add_func("/imap/mailbox/codes", test_codes);
    return g_test_run();
}
