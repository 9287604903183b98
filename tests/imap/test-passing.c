#include "imap/imap.h"

static const struct {
    enum imap_error error;
    const char *code, *text;
    enum imap_passing passing;
    uint64_t wait_ms;
} CASES[] = {
    /* no refusals */
    {IMAP_OK, NULL, "Request is throttled. Suggested Backoff Time: 9", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_LOST, NULL, "try again later", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_TIMEOUT, NULL, "", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_NONEXISTENT, "NONEXISTENT", "try again later", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_LOGIN, "AUTHENTICATIONFAILED", "try again later", IMAP_PASSING_NOT, 0},
    /* for good */
    {IMAP_ERROR_NO, NULL, "", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_NO, NULL, NULL, IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_NO, NULL, "no such message", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_NO, NULL, "later", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_NO, "CORRUPTION", "try again later", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_NO, "EXPUNGEISSUED", "try later", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_NOPERM, "NOPERM", "throttled", IMAP_PASSING_NOT, 0},
    {IMAP_ERROR_BAD, NULL, "Command Argument Error. 11", IMAP_PASSING_NOT, 0},
    /* trouble */
    {IMAP_ERROR_UNAVAILABLE, "UNAVAILABLE", "UID FETCH Server error", IMAP_PASSING_TROUBLE, 0},
    {IMAP_ERROR_UNAVAILABLE, "UNAVAILABLE", "try again later", IMAP_PASSING_TROUBLE, 0},
    {IMAP_ERROR_UNAVAILABLE, "SERVERBUG", "try later", IMAP_PASSING_TROUBLE, 0},
    {IMAP_ERROR_UNAVAILABLE, "INUSE", "", IMAP_PASSING_TROUBLE, 0},
    {IMAP_ERROR_NO, "CONTACTADMIN", "", IMAP_PASSING_TROUBLE, 0},
    {IMAP_ERROR_UNAVAILABLE, NULL, "", IMAP_PASSING_TROUBLE, 0},
    /* later */
    {IMAP_ERROR_NO, NULL, "Try again later", IMAP_PASSING_LATER, 0},
    {IMAP_ERROR_NO, "ALERT", "please TRY LATER.", IMAP_PASSING_LATER, 0},
    {IMAP_ERROR_NO, NULL, "busy, try again in 5 minutes", IMAP_PASSING_LATER, 300000},
    {IMAP_ERROR_UNAVAILABLE, "LIMIT", "too long", IMAP_PASSING_LATER, 0},
    /* a pause */
    {IMAP_ERROR_UNAVAILABLE, "THROTTLED", "try later", IMAP_PASSING_PAUSE, 0},
    {IMAP_ERROR_NO, "throttled", "", IMAP_PASSING_PAUSE, 0},
    {IMAP_ERROR_UNAVAILABLE, "LIMIT", "FETCH Rate limit hit.", IMAP_PASSING_PAUSE, 0},
    {IMAP_ERROR_BAD, NULL, "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
     IMAP_PASSING_PAUSE, 299961},
    {IMAP_ERROR_NO, NULL, "Backoff Time: 0 milliseconds", IMAP_PASSING_PAUSE, 0},
    {IMAP_ERROR_NO, NULL, "Backoff Time:20", IMAP_PASSING_PAUSE, 20},
    {IMAP_ERROR_NO, NULL, "backoff time = 20ms", IMAP_PASSING_PAUSE, 20},
    {IMAP_ERROR_NO, NULL, "BACKOFF TIME 20 s", IMAP_PASSING_PAUSE, 20000},
    {IMAP_ERROR_NO, NULL, "Back-off time: 2.5 min", IMAP_PASSING_PAUSE, 120000},
    {IMAP_ERROR_NO, NULL, "Backoff Time: soon", IMAP_PASSING_PAUSE, 0},
    {IMAP_ERROR_NO, NULL, "Backoff Time: -5 milliseconds", IMAP_PASSING_PAUSE, 0},
    {IMAP_ERROR_NO, NULL, "Backoff Time:", IMAP_PASSING_PAUSE, 0},
    {IMAP_ERROR_NO, NULL, "throttled, retry after 7 seconds", IMAP_PASSING_PAUSE, 7000},
    {IMAP_ERROR_NO, NULL, "Backoff Time: 99999999999999999999999999 hours", IMAP_PASSING_PAUSE,
     24 * 3600 * 1000},
    /* the quota */
    {IMAP_ERROR_OVERQUOTA, "OVERQUOTA", "Account exceeded command or bandwidth limits",
     IMAP_PASSING_QUOTA, 0},
};

static const struct {
    enum imap_error error;
    const char *code, *text;
    bool trouble;
} TROUBLES[] = {
    {IMAP_ERROR_NO, NULL, "System I/O error", true},
    {IMAP_ERROR_NO, NULL, "EXAMINE failed: Input/output error", true},
    {IMAP_ERROR_NO, NULL, "Internal error occurred. Refer to server log", true},
    {IMAP_ERROR_NO, NULL, "INTERNAL SERVER ERROR", true},
    {IMAP_ERROR_NO, NULL, "Temporary failure", true},
    {IMAP_ERROR_NO, NULL, "mailbox is temporarily unavailable", true},
    {IMAP_ERROR_NO, NULL, "Cannot open mailbox", true},
    {IMAP_ERROR_NO, "ALERT", "internal error", true},
    /* about what was asked */
    {IMAP_ERROR_NO, NULL, "Mailbox does not exist", false},
    {IMAP_ERROR_NO, NULL, "Unable to open this mailbox.", false}, /* Courier: it is not there */
    {IMAP_ERROR_NO, NULL, "", false},
    {IMAP_ERROR_NO, NULL, NULL, false},
    /* with a code, or no NO */
    {IMAP_ERROR_NO, "TRYCREATE", "internal error", false},
    {IMAP_ERROR_NONEXISTENT, "NONEXISTENT", "cannot open", false},
    {IMAP_ERROR_BAD, NULL, "internal error", false},
    {IMAP_ERROR_LOST, NULL, "input/output error", false},
    {IMAP_OK, NULL, "internal error", false},
};

static const struct {
    enum imap_error error;
    const char *code, *text;
    bool gone;
} GONE[] = {
    {IMAP_ERROR_NO, NULL, "Mailbox was deleted under us", true},
    {IMAP_ERROR_UNAVAILABLE, "SERVERBUG", "Mailbox was deleted under us (0.1 secs).", true},
    {IMAP_ERROR_CANNOT, "CANNOT", "Mailbox was deleted under us", true},
    {IMAP_ERROR_NO, NULL, "Mailbox does not exist", true},
    {IMAP_ERROR_NO, "ALERT", "MAILBOX DOESN'T EXIST: Archive", true},
    {IMAP_ERROR_NONEXISTENT, "TRYCREATE", "Mailbox does not exist", true},
    {IMAP_ERROR_NONEXISTENT, "NONEXISTENT", NULL, true},
    {IMAP_ERROR_NO, NULL, "no such mailbox", true},
    /* about something else */
    {IMAP_ERROR_NO, NULL, "Message was deleted", false},
    {IMAP_ERROR_NO, NULL, "User does not exist", false},
    {IMAP_ERROR_NO, NULL, "", false},
    {IMAP_ERROR_NO, NULL, NULL, false},
    {IMAP_ERROR_NOPERM, "NOPERM", "Mailbox does not exist", false},
    {IMAP_ERROR_OVERQUOTA, "OVERQUOTA", "no such mailbox", false},
    {IMAP_ERROR_BAD, NULL, "no such mailbox", false},
    {IMAP_ERROR_LOST, NULL, "Mailbox does not exist", false},
    {IMAP_OK, NULL, "Mailbox does not exist", false},
};

static void test_gone(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(GONE); i++) {
        const struct imap_result result = {
            .error = GONE[i].error, .code = GONE[i].code, .text = GONE[i].text};
        g_assert_true(imap_is_mailbox_gone(&result) == GONE[i].gone);
    }
}

static const struct {
    enum imap_error error;
    const char *code, *text;
    bool rights;
} RIGHTS[] = {
    {IMAP_ERROR_NO, NULL, "Permission denied", true}, /* Cyrus */
    {IMAP_ERROR_NO, "ALERT", "access denied here", true},
    {IMAP_ERROR_NOPERM, "NOPERM", NULL, true},
    {IMAP_ERROR_NO, NULL, "Mailbox does not exist", false},
    {IMAP_ERROR_NO, NULL, NULL, false},
    {IMAP_ERROR_NO, "CORRUPTION", "Permission denied", false},
    {IMAP_ERROR_NONEXISTENT, "NONEXISTENT", "Permission denied", false},
    {IMAP_ERROR_LOST, NULL, "Permission denied", false},
    {IMAP_OK, NULL, "Permission denied", false},
};

static void test_rights(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(RIGHTS); i++) {
        const struct imap_result result = {
            .error = RIGHTS[i].error, .code = RIGHTS[i].code, .text = RIGHTS[i].text};
        g_assert_true(imap_is_not_permitted(&result) == RIGHTS[i].rights);
    }
}

static void test_trouble(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(TROUBLES); i++) {
        const struct imap_result result = {
            .error = TROUBLES[i].error, .code = TROUBLES[i].code, .text = TROUBLES[i].text};
        g_assert_true(imap_is_trouble(&result) == TROUBLES[i].trouble);
    }
}

static void test_cases(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        const struct imap_result result = {
            .error = CASES[i].error, .code = CASES[i].code, .text = CASES[i].text};
        uint64_t wait_ms = 1;
        g_assert_cmpint(imap_passing_of(&result, &wait_ms), ==, CASES[i].passing);
        g_assert_cmpuint(wait_ms, ==, CASES[i].wait_ms);
        g_assert_cmpint(imap_passing_of(&result, NULL), ==, CASES[i].passing);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/passing/cases", test_cases);
    g_test_add_func("/imap/passing/trouble", test_trouble);
    g_test_add_func("/imap/passing/gone", test_gone);
    g_test_add_func("/imap/passing/rights", test_rights);
    return g_test_run();
}
