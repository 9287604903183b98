/* The engine's connections: opening, losing, waiting, ending. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

static uint64_t count(struct fixture *fixture, const uint64_t *counter)
{
    return imapd_count(fixture->imapd, counter);
}

static struct engine_wish bytes_wish(struct fixture *fixture, uint32_t uid)
{
    return (struct engine_wish){.want = ENGINE_BYTES,
                                .messages = fixture_mailbox(fixture, "INBOX").messages,
                                .uid = uid,
                                .section = "",
                                .length = 4096};
}

static void list_some(struct fixture *fixture, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        imapd_add(fixture_inbox(fixture), 3000);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
}

static void set_stall(struct fixture *fixture, bool stall)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->stall = stall;
    g_mutex_unlock(&fixture->imapd->lock);
}

static struct engine_status status_of(struct fixture *fixture)
{
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    return status;
}

/* Waits until the engine knows; a test that hangs here has failed. */
static void wait_online(struct fixture *fixture, bool online)
{
    while (status_of(fixture).online != online)
        g_usleep(2000);
}

static void wait_flights(struct fixture *fixture, unsigned flights)
{
    for (uint64_t now = 0; now < flights;) {
        now = count(fixture, &fixture->imapd->flights);
        g_usleep(1000);
    }
}

/* ---- starting -------------------------------------------------------------------------------- */

static void test_start(struct fixture *fixture, gconstpointer data)
{
    fixture_start(fixture);
    struct engine_status status = status_of(fixture);
    g_assert_true(status.online);
    g_assert_cmpuint(status.connections, ==, 1);
    g_assert_cmpstr(status.last_error, ==, "");
    g_assert_cmpuint(count(fixture, &fixture->imapd->lists), ==, 1);
}

static void check_start_fails(struct fixture *fixture, enum engine_start_reason expected)
{
    g_autoptr(GError) error = NULL;
    enum engine_start_reason reason;
    fixture_make(fixture);
    g_assert_false(engine_start(fixture->engine, &reason, &error));
    g_assert_nonnull(error);
    g_assert_cmpint(reason, ==, expected);
    g_assert_null(strchr(error->message, '\n'));
    g_assert_null(strstr(error->message, "secret"));
    g_assert_true(g_str_has_prefix(error->message, status_of(fixture).last_error)); /* advice */
}

static void test_start_password(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->password = "another";
    check_start_fails(fixture, ENGINE_START_LOGIN);
    const struct engine_wish wish = {.want = ENGINE_FOLDERS};
    g_assert_cmpint(fixture_ask(fixture, &wish), ==, ENGINE_LOGIN);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), <,
                     4); /* not tried again: accounts get locked */
}

static void test_start_fresh_password(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->password = "changed";
    fixture->account.password_command = (char *)"echo changed";
    fixture_start(fixture);
    g_assert_cmpuint(count(fixture, &fixture->imapd->signed_in), ==, 1);
}

static void test_start_refused(struct fixture *fixture, gconstpointer data)
{
    imapd_down(fixture->imapd);
    check_start_fails(fixture, ENGINE_START_NETWORK);
}

static void test_start_stopped(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->stall = true;
    fixture_make(fixture);
    const struct engine_wish wish = {.want = ENGINE_FOLDERS};
    struct pending *pending = fixture_begin(fixture, &wish);
    wait_flights(fixture, 1);
    gint64 began = g_get_monotonic_time();
    engine_stop(fixture->engine);
    g_assert_cmpint(g_get_monotonic_time() - began, <, 20 * G_USEC_PER_SEC);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_STOPPED);
    g_assert_cmpint(fixture_ask(fixture, &wish), ==, ENGINE_STOPPED);
}

/* ---- out of reach ---------------------------------------------------------------------------- */

static void test_offline(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "Never", "");
    list_some(fixture, 3);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
    imapd_down(fixture->imapd);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_OFFLINE);
    wait_online(fixture, false);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_OFFLINE);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK); /* is there */
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, "Never"), ==, ENGINE_OFFLINE);
    g_assert_cmpstr(status_of(fixture).last_error, !=, "");
    imapd_up(fixture->imapd);
    fixture_pass(120); /* past any back-off */
    wait_online(fixture, true);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_OK);
}

/* Without a connection it is not online, not even for a moment. */
static void test_lost_all(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture, 3);
    g_assert_true(status_of(fixture).online);
    imapd_down(fixture->imapd);
    struct engine_status status = status_of(fixture);
    while (status.connections > 0) {
        g_usleep(100);
        status = status_of(fixture);
    }
    g_assert_false(status.online);
}

static void test_lost(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture, 3);
    imapd_hang_up(fixture->imapd);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->signed_in), ==, 1);
}

static void test_suspend(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture, 3);
    fixture_suspend(3600);
    for (uint64_t signed_in = 0; signed_in == 0; g_usleep(2000)) {
        fixture_bytes(fixture, "INBOX", 1, "", 0, 10);
        signed_in = count(fixture, &fixture->imapd->signed_in);
    }
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_OK);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void test_deadline(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture, 3);
    set_stall(fixture, true);
    const struct engine_wish wish = bytes_wish(fixture, 1);
    struct pending *pending = fixture_begin(fixture, &wish);
    wait_flights(fixture, 1);
    for (int i = 0; i < 3; i++) { /* bytes that came before count from when they are noticed */
        fixture_pass(31);
        g_usleep(300000);
    }
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_TIMEOUT);
    /* that connection is given up, and the server out of reach until a new one succeeds */
    wait_online(fixture, false);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OFFLINE);
    set_stall(fixture, false);
    fixture_pass(120);
    wait_online(fixture, true);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->signed_in), ==, 1);
}

/* Who was waiting when the deadline came hears that it came, whenever he began to; who comes after
 * it, that the server is out of reach. */
static void test_deadline_of_all(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture, 3);
    set_stall(fixture, true);
    const struct engine_wish first = bytes_wish(fixture, 1), second = bytes_wish(fixture, 2);
    struct pending *early = fixture_begin(fixture, &first);
    wait_flights(fixture, 1);
    g_usleep(600000); /* bytes that came before are noticed */
    fixture_pass(20);
    struct pending *late = fixture_begin(fixture, &second);
    wait_flights(fixture, 2);
    fixture_pass(15);
    g_assert_cmpint(fixture_wait(early), ==, ENGINE_TIMEOUT);
    g_assert_cmpint(fixture_wait(late), ==, ENGINE_TIMEOUT);
    wait_online(fixture, false);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 3, "", 0, 10), ==, ENGINE_OFFLINE);
    engine_stop(fixture->engine);
}

static void test_cancel(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture, 3);
    set_stall(fixture, true);
    const struct engine_wish wish = bytes_wish(fixture, 1);
    struct pending *one = fixture_begin(fixture, &wish), *two = fixture_begin(fixture, &wish);
    engine_cancel(fixture->engine, fixture_id(one), ENGINE_INTERRUPTED);
    g_assert_cmpint(fixture_wait(one), ==, ENGINE_INTERRUPTED);
    engine_cancel(fixture->engine, 987654, ENGINE_INTERRUPTED); /* nobody's */
    engine_stop(fixture->engine);
    g_assert_cmpint(fixture_wait(two), ==, ENGINE_STOPPED);
}

static void test_throttle(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture, 3);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->throttle =
        "NO Request is throttled. Suggested Backoff Time: 20000 milliseconds";
    g_mutex_unlock(&fixture->imapd->lock);
    const struct engine_wish wish = bytes_wish(fixture, 1);
    struct pending *pending = fixture_begin(fixture, &wish);
    wait_flights(fixture, 1);
    g_usleep(300000);
    g_assert_cmpuint(count(fixture, &fixture->imapd->bodies), ==, 0);
    fixture_pass(26); /* and a little by chance */
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
}

static void test_crowd(struct fixture *fixture, gconstpointer data)
{
    static const char *const NAMES[] = {"A", "B", "C", "D", "E", "F"};
    struct pending *pending[G_N_ELEMENTS(NAMES)];
    fixture->imapd->connections_max = 2;
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++)
        imapd_add(imapd_add_box(fixture->imapd, NAMES[i], ""), 200);
    fixture_start(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        const struct engine_wish wish = {.want = ENGINE_MAILBOX,
                                         .folder = fixture_mailbox(fixture, NAMES[i]).slot};
        pending[i] = fixture_begin(fixture, &wish);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++)
        g_assert_cmpint(fixture_wait(pending[i]), ==, ENGINE_OK);
    g_assert_true(status_of(fixture).online);
    g_assert_cmpuint(status_of(fixture).connections, <=, 2);
}

/* What nobody waits for leaves a connection to those who wait. */
static void test_ahead(struct fixture *fixture, gconstpointer data)
{
    static const char *const NAMES[] = {"A", "B", "C", "D"};
    fixture->account.connections = 2;
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++)
        imapd_add(imapd_add_box(fixture->imapd, NAMES[i], ""), 200);
    list_some(fixture, 1);
    fixture->imapd->stall_box = "A";
    struct pending *pending[G_N_ELEMENTS(NAMES)];
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        const struct engine_wish wish = {.want = ENGINE_MAILBOX,
                                         .folder = fixture_mailbox(fixture, NAMES[i]).slot,
                                         .ahead = true};
        pending[i] = fixture_begin(fixture, &wish);
    }
    wait_flights(fixture, 1);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
    engine_stop(fixture->engine);
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        enum engine_error error = fixture_wait(pending[i]);
        g_assert_true(error == ENGINE_STOPPED || error == ENGINE_OK);
    }
}

/* ---- many at once ---------------------------------------------------------------------------- */

static gpointer storm(gpointer data)
{
    struct fixture *fixture = data;
    for (unsigned round = 0; round < 60; round++) {
        struct engine_wish wish = bytes_wish(fixture, 1 + (uint32_t)g_random_int_range(0, 40));
        wish.offset = (uint64_t)g_random_int_range(0, 4000);
        wish.ahead = round % 5 == 0;
        if (round % 4 == 1)
            wish.want = ENGINE_PARTS;
        if (round % 7 == 3)
            wish = (struct engine_wish){.want = ENGINE_MAILBOX,
                                        .folder = fixture_mailbox(fixture, "INBOX").slot};
        struct pending *pending = fixture_begin(fixture, &wish);
        if (round % 6 == 5)
            engine_cancel(fixture->engine, fixture_id(pending), ENGINE_INTERRUPTED);
        enum engine_error error = fixture_wait(pending);
        g_assert_true(error == ENGINE_OK || error == ENGINE_INTERRUPTED);
    }
    return NULL;
}

static void test_storm(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture, 40);
    GThread *threads[6];
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("storm", storm, fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(status_of(fixture).waiting, ==, 0);
    g_assert_cmpint(engine_sizes(fixture->engine), ==, ENGINE_SIZES_RIGHT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/start/first", test_start);
    ADD("/engine/start/password", test_start_password);
    ADD("/engine/start/fresh-password", test_start_fresh_password);
    ADD("/engine/start/refused", test_start_refused);
    ADD("/engine/start/stopped", test_start_stopped);
    ADD("/engine/lines/offline", test_offline);
    ADD("/engine/lines/lost", test_lost);
    ADD("/engine/lines/lost-all", test_lost_all);
    ADD("/engine/lines/suspend", test_suspend);
    ADD("/engine/lines/deadline", test_deadline);
    ADD("/engine/lines/deadline-of-all", test_deadline_of_all);
    ADD("/engine/lines/cancel", test_cancel);
    ADD("/engine/lines/throttle", test_throttle);
    ADD("/engine/lines/crowd", test_crowd);
    ADD("/engine/lines/ahead", test_ahead);
    ADD("/engine/lines/storm", test_storm);
    return g_test_run();
}
