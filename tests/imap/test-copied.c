/* Response codes that say where messages went and which were left alone. */
#include "imap/copied.h"

#include <string.h>

static const struct copied_case {
    const char *asked;    /* NULL: APPEND */
    const char *codes[4]; /* "CODE value" */
    const char *copied;   /* NULL: nothing is believed */
} COPIED[] = {
    {"1:9", {NULL}, NULL},
    {"1:9", {"COPYUID 38505 3,5:6 17,20:21"}, "38505: 3>17 5>20 6>21"},
    {"1:9", {"COPYUID 7 3,1 8,4"}, "7: 3>8 1>4"},
    {"1:9", {"COPYUID 7 4:2 10:12"}, "7: 2>10 3>11 4>12"},
    {"1:9", {"COPYUID 0 3 8"}, "0: 3>8"},
    {"1:9", {"COPYUID 7  3  8 "}, "7: 3>8"},
    {"1:9", {"COPYUID 7 3 8", "COPYUID 7 4 9"}, "7: 3>8 4>9"},
    {"1:9", {"COPYUID 7 3 8", "COPYUID 7 3 8"}, "7: 3>8"},
    {"1:9", {"COPYUID 7 4294967295 8"}, NULL},
    {"4294967295", {"COPYUID 7 4294967295 4294967295"}, "7: 4294967295>4294967295"},
    /* nothing was copied */
    {"1:9", {"COPYUID 7  "}, "7:"},
    {"1:9", {"COPYUID 7"}, "7:"},
    {"1:9", {"COPYUID 7  ", "COPYUID 7 3 8"}, "7: 3>8"},
    /* nonsense, and then nothing else is believed either */
    {"1:9", {"COPYUID"}, NULL},
    {"1:9", {"COPYUID 7 3"}, NULL},
    {"1:9", {"COPYUID 7 3:4 8"}, NULL},
    {"1:9", {"COPYUID 7 3 8:9"}, NULL},
    {"1:9", {"COPYUID 7 3 8 9"}, NULL},
    {"1:9", {"COPYUID 7 3,,4 8,9"}, NULL},
    {"1:9", {"COPYUID 7 3, 8,"}, NULL},
    {"1:9", {"COPYUID 7 3: 8:"}, NULL},
    {"1:9", {"COPYUID 7 * 8"}, NULL},
    {"1:9", {"COPYUID 7 0 8"}, NULL},
    {"1:9", {"COPYUID 7 3 0"}, NULL},
    {"1:9", {"COPYUID -7 3 8"}, NULL},
    {"1:9", {"COPYUID x 3 8"}, NULL},
    {"1:9", {"COPYUID 7x 3 8"}, NULL},
    {"1:9", {"COPYUID 4294967296 3 8"}, NULL},
    {"1:9", {"COPYUID 7 3 4294967296"}, NULL},
    {"1:9", {"COPYUID 7 1:4294967295 1:4294967295"}, NULL},
    {"1:4294967295", {"COPYUID 7 1:4294967295 1:4294967295"}, NULL},
    {"1:4294967295", {"COPYUID 7 1:1000001 1:1000001"}, NULL},
    {"1:9", {"COPYUID 7 10 8"}, NULL},
    {"1:9", {"COPYUID 7 3 8", "COPYUID 8 4 9"}, NULL},
    {"1:9", {"COPYUID 7 3 8", "COPYUID 7 4:5 9"}, NULL},
    {"1:9", {"COPYUID 7 4:5 9", "COPYUID 7 3 8"}, NULL},
    {"1:9", {"COPYUID 7 3 8", "COPYUID 7 3 9"}, NULL},
    {"1:9", {"COPYUID 7 3,4 8,8"}, NULL},
    {"1:9", {"APPENDUID 7 8"}, NULL},
    {"1:9", {"APPENDUID 7 8", "COPYUID 7 3 8"}, "7: 3>8"},
    {NULL, {"APPENDUID 38505 3955"}, "38505: 0>3955"},
    {NULL, {"APPENDUID 0 1"}, "0: 0>1"},
    {NULL, {"APPENDUID 7 8", "APPENDUID 7 8"}, "7: 0>8"},
    {NULL, {"APPENDUID 7 8", "APPENDUID 7 9"}, NULL},
    {NULL, {"APPENDUID 7 8:9"}, NULL},
    {NULL, {"APPENDUID 7 0"}, NULL},
    {NULL, {"APPENDUID 7 "}, NULL},
    {NULL, {"APPENDUID"}, NULL},
    {NULL, {"APPENDUID 7 8 9"}, NULL},
    {NULL, {"COPYUID 7 3 8"}, NULL},
};

static struct imap_report *report_of(enum imap_report_kind kind, const char *asked,
                                     const char *const *codes)
{
    g_autoptr(imap_uidset) set = asked ? imap_uidset_parse(asked, strlen(asked)) : NULL;
    struct imap_report *report = imap_report_new(kind, set);

    for (; *codes; codes++) {
        g_auto(GStrv) words = g_strsplit(*codes, " ", 2);
        g_test_message("%s", *codes);
        if (imap_report_knows(report, words[0]))
            imap_report_code(report, words[1]);
    }
    return report;
}

static void test_copied(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(COPIED); i++) {
        struct imap_report *report =
            report_of(COPIED[i].asked ? IMAP_REPORT_COPIES : IMAP_REPORT_APPEND, COPIED[i].asked,
                      COPIED[i].codes);
        const struct imap_copied *copied = imap_report_copied(report);
        g_autoptr(GString) text = g_string_new(NULL);
        if (copied)
            g_string_printf(text, "%u:", copied->uidvalidity);
        if (copied)
            g_assert_cmpint(copied->from == NULL, ==, COPIED[i].asked == NULL);
        for (size_t j = 0; copied && j < copied->count; j++)
            g_string_append_printf(text, " %u>%u", copied->from ? copied->from[j] : 0,
                                   copied->to[j]);
        g_assert_cmpstr(copied ? text->str : NULL, ==, COPIED[i].copied);
        g_assert_null(imap_report_modified(report));
        imap_report_free(report);
    }
    imap_report_free(NULL);
}

static const struct modified_case {
    const char *codes[4], *modified; /* NULL: none */
} MODIFIED[] = {
    {{"COPYUID 7 3 8", "ALERT"}, NULL},
    {{"MODIFIED 7,9"}, "7,9"},
    {{"MODIFIED 9,7 "}, "7,9"},
    {{"MODIFIED 5", "MODIFIED 7:8"}, "5,7:8"},
    /* who was left alone is not known: all of them */
    {{"MODIFIED"}, "1:9"},
    {{"MODIFIED x"}, "1:9"},
    {{"MODIFIED 5,*"}, "1:9"},
};

static void test_modified(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(MODIFIED); i++) {
        struct imap_report *report = report_of(IMAP_REPORT_STORES, "1:9", MODIFIED[i].codes);
        const struct imap_uidset *set = imap_report_modified(report);
        g_autoptr(GString) text = g_string_new(NULL);
        if (set)
            imap_uidset_write(set, 1, 1000, text);
        g_assert_cmpstr(set ? text->str : NULL, ==, MODIFIED[i].modified);
        imap_report_free(report);
    }
}

/* A million is believed. */
static void test_many(void)
{
    const char *codes[] = {"COPYUID 7 1:1000000 2000001:3000000", NULL};
    struct imap_report *report = report_of(IMAP_REPORT_COPIES, "1:1000000", codes);
    const struct imap_copied *copied = imap_report_copied(report);

    g_assert_nonnull(copied);
    g_assert_cmpuint(copied->count, ==, 1000000);
    g_assert_cmpuint(copied->to[999999], ==, 3000000);
    imap_report_free(report);
}

static const struct takes_case {
    enum imap_report_kind kind;
    const char *codes[2], *value;
    bool takes;
} TAKES[] = {
    {IMAP_REPORT_COPIES, {NULL}, "7 3 8", true},
    {IMAP_REPORT_COPIES, {"COPYUID 7 4 8"}, "7 3 9", true},
    {IMAP_REPORT_COPIES, {"COPYUID 7 4,3 8:9"}, "7 3 9", false},
    {IMAP_REPORT_COPIES, {NULL}, "7 10 8", false},
    {IMAP_REPORT_COPIES, {NULL}, "7  ", false},
    {IMAP_REPORT_COPIES, {NULL}, "x", false},
    {IMAP_REPORT_COPIES, {NULL}, NULL, false},
    {IMAP_REPORT_APPEND, {NULL}, "7 8", true},
    {IMAP_REPORT_APPEND, {"APPENDUID 7 8"}, "7 9", false},
    {IMAP_REPORT_STORES, {NULL}, "3", false},
};

static void test_takes(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(TAKES); i++) {
        const char *asked = TAKES[i].kind == IMAP_REPORT_APPEND ? NULL : "1:9";
        struct imap_report *report = report_of(TAKES[i].kind, asked, TAKES[i].codes);
        g_assert_cmpint(imap_report_takes(report, TAKES[i].value), ==, TAKES[i].takes);
        imap_report_free(report);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/copied/copied", test_copied);
    g_test_add_func("/imap/copied/modified", test_modified);
    g_test_add_func("/imap/copied/many", test_many);
    g_test_add_func("/imap/copied/takes", test_takes);
    return g_test_run();
}
