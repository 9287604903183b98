/* The engine and a server that refuses the password: what is tried, what is asked, and when it
 * stops. */
#include <glib/gstdio.h>
#include <string.h>

#include "fs/engine/signin.h"
#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

static uint64_t attempts(struct fixture *fixture)
{
    return imapd_count(fixture->imapd, &fixture->imapd->attempts);
}

static struct engine_status status_of(struct fixture *fixture)
{
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    return status;
}

static enum engine_error connect_now(struct fixture *fixture)
{
    const struct engine_wish wish = {.want = ENGINE_CONNECT, .anew = true};
    return fixture_ask(fixture, &wish);
}

static enum engine_error folders_now(struct fixture *fixture)
{
    const struct engine_wish wish = {.want = ENGINE_FOLDERS, .anew = true};
    return fixture_ask(fixture, &wish);
}

static void set_password(struct fixture *fixture, const char *password)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->password = password;
    g_mutex_unlock(&fixture->imapd->lock);
}

/* ---- a password_command that prints a file, and notes that it ran ---- */

static char *path_of(struct fixture *fixture, const char *name)
{
    return g_build_filename(fixture->folder, name, NULL);
}

static void command_gives(struct fixture *fixture, const char *password)
{
    g_autofree char *path = path_of(fixture, "password");
    g_autofree char *line = g_strconcat(password, "\n", NULL);
    g_assert_true(g_file_set_contents(path, line, -1, NULL));
}

static void command_set(struct fixture *fixture, const char *rest)
{
    fixture->account.password_command = g_strdup_printf("echo >> %s/runs; cat %s/password; %s",
                                                        fixture->folder, fixture->folder, rest);
}

static unsigned command_runs(struct fixture *fixture)
{
    g_autofree char *path = path_of(fixture, "runs");
    g_autofree char *text = NULL;
    gsize length = 0;
    return g_file_get_contents(path, &text, &length, NULL) ? (unsigned)length : 0;
}

static void teardown_command(struct fixture *fixture)
{
    fixture_stop(fixture);
    g_clear_pointer(&fixture->account.password_command, g_free);
}

/* Signed in with "secret", INBOX listed and message 1 cached; then the password is another one, and
 * the connection gone. */
static void lock_out(struct fixture *fixture)
{
    imapd_add(fixture_inbox(fixture), 3000);
    imapd_add(fixture_inbox(fixture), 3000);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
    set_password(fixture, "another");
    imapd_hang_up(fixture->imapd);
}

static void wait_refused(struct fixture *fixture)
{
    while (folders_now(fixture) != ENGINE_LOGIN)
        g_usleep(2000);
    g_assert_nonnull(strstr(status_of(fixture).refusal, "wrong password"));
    g_assert_false(status_of(fixture).online);
}

static void wait_runs(struct fixture *fixture, unsigned runs)
{
    while (command_runs(fixture) < runs)
        g_usleep(2000);
}

/* What is cached can be read. */
static void check_cached(struct fixture *fixture)
{
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
}

/* ---- nobody to ask but the user ---- */

static void test_stops(struct fixture *fixture, gconstpointer data)
{
    lock_out(fixture);
    wait_refused(fixture);
    for (int hour = 0; hour < 30; hour++) {
        fixture_pass(3600);
        g_assert_cmpint(folders_now(fixture), ==, ENGINE_LOGIN);
        g_usleep(20000); /* for the timer; whether it comes in time changes only what is proved */
        check_cached(fixture);
    }
    g_assert_cmpuint(attempts(fixture), ==, 1);
    g_assert_cmpint(status_of(fixture).next_try_us, ==, 0);
    g_assert_cmpint(connect_now(fixture), ==, ENGINE_LOGIN); /* the user says so */
    g_assert_cmpuint(attempts(fixture), ==, 2);
    set_password(fixture, "secret");
    g_assert_cmpint(connect_now(fixture), ==, ENGINE_OK);
    g_assert_cmpuint(attempts(fixture), ==, 3);
    g_assert_cmpint(folders_now(fixture), ==, ENGINE_OK);
    g_assert_cmpstr(status_of(fixture).refusal, ==, "");
}

/* Nor when the machine wakes up, which tries anew whatever the back-off. */
static void test_stops_for_suspend(struct fixture *fixture, gconstpointer data)
{
    lock_out(fixture);
    wait_refused(fixture);
    fixture_suspend(3600);
    for (int i = 0; i < 5; i++) {
        g_usleep(300000);
        folders_now(fixture);
    }
    g_assert_cmpuint(attempts(fixture), ==, 1);
}

/* What servers say that lock out who asks on, and what status shows of it. */
static const char *const LOCKED[] = {
    "NO [AUTHENTICATIONFAILED] Too many failed login attempts",
    "NO [AUTHENTICATIONFAILED] Temporarily unavailable, try again later",
    "NO [ALERT] Too many failed login attempts",
    "NO Account temporarily locked: wrong password",
    "NO Too many login attempts, try again later",
    "NO",
    "* BYE Too many failed login attempts",
    "* BYE [AUTHENTICATIONFAILED] temporarily",
};

static void refuse_so(struct fixture *fixture, const char *refusal)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->refusal = refusal;
    g_mutex_unlock(&fixture->imapd->lock);
}

static void test_locked(struct fixture *fixture, gconstpointer refusal)
{
    refuse_so(fixture, refusal);
    lock_out(fixture);
    while (folders_now(fixture) != ENGINE_LOGIN)
        g_assert_cmpuint(attempts(fixture), <=, 1);
    for (int hour = 0; hour < 5; hour++) {
        fixture_pass(3600);
        g_assert_cmpint(folders_now(fixture), ==, ENGINE_LOGIN);
        g_usleep(20000); /* as in test_stops */
    }
    g_assert_cmpuint(attempts(fixture), ==, 1);
    g_assert_cmpstr(status_of(fixture).refusal, !=, "");
}

/* It is tried again, later and later, and who asks meanwhile changes nothing in that. */
static void test_not_now(struct fixture *fixture, gconstpointer refusal)
{
    refuse_so(fixture, refusal);
    lock_out(fixture);
    while (attempts(fixture) < 8) {
        fixture_pass(100);
        g_usleep(20000);
    }
    while (status_of(fixture).next_try_us == 0)
        g_usleep(2000);
    gint64 due_us = status_of(fixture).next_try_us;
    g_assert_cmpint(folders_now(fixture), ==, ENGINE_OFFLINE);
    g_assert_cmpint(ABS(status_of(fixture).next_try_us - due_us), <, G_USEC_PER_SEC);
    g_assert_cmpstr(status_of(fixture).refusal, ==, "");
    set_password(fixture, "secret");
    while (folders_now(fixture) != ENGINE_OK) {
        fixture_pass(100);
        g_usleep(20000);
    }
}

/* ---- a command ---- */

static void test_another(struct fixture *fixture, gconstpointer data)
{
    command_gives(fixture, "another");
    command_set(fixture, "");
    lock_out(fixture);
    while (folders_now(fixture) != ENGINE_OK)
        g_usleep(2000);
    g_assert_cmpuint(attempts(fixture), ==, 2); /* the old, the new */
    g_assert_cmpuint(command_runs(fixture), ==, 1);
    teardown_command(fixture);
}

static void test_looks(struct fixture *fixture, gconstpointer data)
{
    command_gives(fixture, "secret");
    command_set(fixture, "");
    lock_out(fixture);
    wait_refused(fixture);
    for (unsigned look = 1; look <= 4; look++) {
        wait_runs(fixture, look);
        g_assert_cmpint(folders_now(fixture), ==, ENGINE_LOGIN);
        g_assert_cmpuint(command_runs(fixture), ==, look); /* not for every wish */
        check_cached(fixture);
        while (status_of(fixture).next_try_us == 0)
            g_usleep(2000);
        fixture_pass(301);
    }
    wait_runs(fixture, 5);
    g_assert_cmpuint(attempts(fixture), ==, 1); /* the server was not asked */
    command_gives(fixture, "another");
    while (!status_of(fixture).online) {
        fixture_pass(301);
        g_usleep(100000);
    }
    g_assert_cmpuint(attempts(fixture), ==, 2);
    g_assert_cmpstr(status_of(fixture).refusal, ==, "");
    teardown_command(fixture);
}

/* Each is tried once, and the looks become rarer. */
static void test_many_wrong(struct fixture *fixture, gconstpointer data)
{
    static const char *const WRONG[] = {"wrong1", "wrong2", "wrong3"};
    command_gives(fixture, WRONG[0]);
    command_set(fixture, "");
    lock_out(fixture);
    wait_refused(fixture);
    g_assert_cmpuint(attempts(fixture), ==, 2);
    for (unsigned i = 1; i < G_N_ELEMENTS(WRONG); i++) {
        command_gives(fixture, WRONG[i]);
        while (attempts(fixture) < 2 + i) {
            fixture_pass(301);
            g_usleep(50000);
        }
        while (status_of(fixture).next_try_us == 0)
            g_usleep(2000);
        g_assert_cmpint(status_of(fixture).next_try_us - g_get_real_time(), >,
                        (gint64)(300 << i) * G_USEC_PER_SEC / 2);
    }
    g_assert_cmpuint(attempts(fixture), ==, 4);
    teardown_command(fixture);
}

/* No server hears of a command that fails; the user's retry runs it at once. */
static void test_fails(struct fixture *fixture, gconstpointer data)
{
    command_gives(fixture, "another");
    command_set(fixture, "exit 3");
    lock_out(fixture);
    wait_refused(fixture);
    g_assert_cmpint(connect_now(fixture), ==, ENGINE_LOGIN);
    g_assert_nonnull(strstr(status_of(fixture).last_error, "ended with status 3"));
    g_assert_cmpuint(attempts(fixture), ==, 1);
    check_cached(fixture);
    teardown_command(fixture);
}

/* It holds nothing up, and not the end either. */
static void test_hangs(struct fixture *fixture, gconstpointer data)
{
    command_gives(fixture, "another");
    command_set(fixture, "sleep 1000");
    lock_out(fixture);
    wait_runs(fixture, 1);
    check_cached(fixture);
    struct pending *pending =
        fixture_begin(fixture, &(struct engine_wish){.want = ENGINE_FOLDERS, .anew = true});
    fixture_pass(45); /* past the deadline: the command has one of its own */
    check_cached(fixture);
    gint64 began = g_get_monotonic_time();
    engine_stop(fixture->engine);
    g_assert_cmpint(g_get_monotonic_time() - began, <, 20 * G_USEC_PER_SEC);
    g_assert_cmpint(fixture_wait(pending), !=, ENGINE_TIMEOUT);
    g_assert_cmpuint(attempts(fixture), ==, 1);
    teardown_command(fixture);
}

/* ---- what an attempt does about its secret ---- */

static void test_ask(void)
{
    const gint64 second = G_USEC_PER_SEC;
    const struct account password = {.password_command = (char *)"p"};
    const struct account token = {.token_command = (char *)"t"};
    g_autoptr(secret) secret = secret_new("s", 1);
    struct signin signin;

    signin_init(&signin, secret);
    g_assert_cmpint(signin_ask(&signin, &password, 0), ==, OPENING_ASK_IF_NEEDED);
    g_assert_cmpint(signin_ask(&signin, &token, 0), ==, OPENING_ASK_FIRST);
    struct opening opening = {.secret = secret, .fresh = true, .began_us = 100 * second};
    g_assert_false(signin_accepted(&signin, &opening));
    g_assert_cmpint(signin_ask(&signin, &token, 101 * second), ==, OPENING_ASK_IF_NEEDED);
    g_assert_cmpint(signin_ask(&signin, &token, 140 * second), ==, OPENING_ASK_FIRST);
    g_assert_cmpint(signin_ask(&signin, &password, 9999 * second), ==, OPENING_ASK_IF_NEEDED);
    opening.error = g_error_new_literal(IMAP_ERROR, IMAP_ERROR_LOGIN, "no");
    opening.can_ask = true;
    g_assert_cmpint(signin_failed(&signin, &opening), ==, 300 * second);
    g_assert_cmpint(signin_ask(&signin, &token, 101 * second), ==, OPENING_ASK_ANOTHER);
    g_assert_cmpint(signin_ask(&signin, &password, 101 * second), ==, OPENING_ASK_ANOTHER);
    signin.insist = true;
    g_assert_cmpint(signin_ask(&signin, &password, 101 * second), ==, OPENING_ASK_FIRST);
    for (int i = 0; i < 40; i++)
        g_assert_cmpint(signin_failed(&signin, &opening), <=, 3600 * second);
    opening.can_ask = false;
    g_assert_cmpint(signin_failed(&signin, &opening), ==, -1);
    opening.outcome = OPENING_NOTHING;
    g_assert_cmpint(signin_failed(&signin, &opening), ==, 60 * second);
    g_assert_cmpint(signin_failed(&signin, &opening), ==, 120 * second);
    g_assert_true(signin_accepted(&signin, &opening));
    g_assert_cmpstr(signin.words, ==, "");
    g_error_free(opening.error);
    signin_clear(&signin);
}

int main(int argc, char *argv[])
{
    g_autofree char *home = g_dir_make_tmp("mailmount-home-XXXXXX", NULL);
    g_setenv("HOME", home, TRUE); /* no .netrc */
    g_unsetenv("CREDENTIALS_DIRECTORY");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/signin/ask", test_ask);
    ADD("/engine/signin/stops", test_stops);
    ADD("/engine/signin/stops-for-suspend", test_stops_for_suspend);
    for (size_t i = 0; i < G_N_ELEMENTS(LOCKED); i++) {
        g_autofree char *path = g_strdup_printf("/engine/signin/locked/%zu", i);
        g_test_add(path, struct fixture, LOCKED[i], fixture_setup, test_locked, fixture_teardown);
    }
    g_test_add("/engine/signin/not-now", struct fixture, "NO [UNAVAILABLE] Temporary failure",
               fixture_setup, test_not_now, fixture_teardown);
    ADD("/engine/signin/another", test_another);
    ADD("/engine/signin/looks", test_looks);
    ADD("/engine/signin/many-wrong", test_many_wrong);
    ADD("/engine/signin/fails", test_fails);
    ADD("/engine/signin/hangs", test_hangs);
    int status = g_test_run();
    g_rmdir(home);
    return status;
}
