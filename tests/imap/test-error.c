#include "imap/reply.h"

static const struct {
    enum imap_condition condition;
    const char *code;
    enum imap_error error;
} CASES[] = {
    {IMAP_COND_OK, NULL, IMAP_OK},
    {IMAP_COND_OK, "NONEXISTENT", IMAP_OK},
    {IMAP_COND_PREAUTH, NULL, IMAP_OK},
    {IMAP_COND_BYE, NULL, IMAP_ERROR_UNAVAILABLE},
    {IMAP_COND_NO, NULL, IMAP_ERROR_NO},
    {IMAP_COND_BAD, NULL, IMAP_ERROR_BAD},
    {IMAP_COND_NO, "", IMAP_ERROR_NO},
    {IMAP_COND_NO, "ALERT", IMAP_ERROR_NO},
    {IMAP_COND_BAD, "CLIENTBUG", IMAP_ERROR_BAD},
    {IMAP_COND_NO, "TRYCREATE", IMAP_ERROR_NONEXISTENT},
    {IMAP_COND_NO, "trycreate", IMAP_ERROR_NONEXISTENT},
    {IMAP_COND_BAD, "NONEXISTENT", IMAP_ERROR_NONEXISTENT},
    {IMAP_COND_NO, "NOPERM", IMAP_ERROR_NOPERM},
    {IMAP_COND_NO, "OVERQUOTA", IMAP_ERROR_OVERQUOTA},
    {IMAP_COND_NO, "TOOBIG", IMAP_ERROR_TOOBIG},
    {IMAP_COND_NO, "APPENDLIMIT", IMAP_ERROR_TOOBIG},
    {IMAP_COND_NO, "CANNOT", IMAP_ERROR_CANNOT},
    {IMAP_COND_NO, "ALREADYEXISTS", IMAP_ERROR_EXISTS},
    {IMAP_COND_NO, "AUTHENTICATIONFAILED", IMAP_ERROR_LOGIN},
    {IMAP_COND_NO, "UNAVAILABLE", IMAP_ERROR_UNAVAILABLE},
    {IMAP_COND_NO, "INUSE", IMAP_ERROR_UNAVAILABLE},
};

static void test_codes(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++)
        g_assert_cmpint(imap_error_of_code(CASES[i].condition, CASES[i].code), ==, CASES[i].error);
}

static void test_domain(void)
{
    g_assert_cmpstr(g_quark_to_string(IMAP_ERROR), ==, "imap-error");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/error/codes", test_codes);
    g_test_add_func("/imap/error/domain", test_domain);
    return g_test_run();
}
