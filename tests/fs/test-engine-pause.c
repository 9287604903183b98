/* What the engine does while the server wants less: pauses, deadlines, what is cached. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

static void list_some(struct fixture *fixture)
{
    for (unsigned i = 0; i < 12; i++)
        imapd_add(fixture_inbox(fixture), 3000);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
}

/* From now on commands that begin with `on` get these words; NULL: none do. */
static void refuse(struct fixture *fixture, const char *on, const char *words)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = on;
    fixture->imapd->flaw_words = words;
    fixture->imapd->flaw_times = 0;
    g_mutex_unlock(&fixture->imapd->lock);
}

static struct pending *begin_bytes(struct fixture *fixture, uint32_t uid)
{
    const struct engine_wish wish = {.want = ENGINE_BYTES,
                                     .messages = fixture_mailbox(fixture, "INBOX").messages,
                                     .uid = uid,
                                     .section = "",
                                     .length = 4096};
    return fixture_begin(fixture, &wish);
}

static struct engine_status status_of(struct fixture *fixture)
{
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    return status;
}

static unsigned count_fetches(struct fixture *fixture)
{
    return imapd_count_lines(fixture->imapd, "UID FETCH");
}

/* Waits until so many were sent; a test that hangs here has failed. */
static void wait_fetches(struct fixture *fixture, unsigned count)
{
    while (count_fetches(fixture) < count)
        g_usleep(2000);
}

/* However short the pauses are that it asks for: each is twice as long as the one before, and who
 * waits has his answer when his time is up. */
static void test_none(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    refuse(fixture, "UID FETCH", "NO Request is throttled. Suggested Backoff Time: 0 milliseconds");
    struct pending *pending = begin_bytes(fixture, 1);
    wait_fetches(fixture, 1);
    for (unsigned i = 1; i < 4; i++) {
        g_usleep(200000);
        g_assert_cmpuint(count_fetches(fixture), ==, i);
        fixture_pass((2 << i) - 1); /* twice the pause at least, so with its jitter */
        wait_fetches(fixture, i + 1);
    }
    fixture_pass(30);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_TIMEOUT);
    g_assert_cmpuint(count_fetches(fixture), <=, 5);
    g_assert_true(status_of(fixture).online);
    refuse(fixture, NULL, NULL);
    pending = begin_bytes(fixture, 1);
    g_usleep(100000);
    fixture_pass(20);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
}

/* Longer than anybody waits; it is not believed for longer than some minutes. */
static void test_long(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    refuse(fixture, "UID FETCH", "NO Suggested Backoff Time: 99999999999999999999999 milliseconds");
    struct pending *pending = begin_bytes(fixture, 1);
    wait_fetches(fixture, 1);
    g_usleep(300000);
    refuse(fixture, NULL, NULL);
    fixture_pass(31);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_TIMEOUT);
    g_assert_cmpuint(count_fetches(fixture), ==, 1);
    fixture_pass(360);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
}

/* What is refused together is one pause. */
static void test_together(struct fixture *fixture, gconstpointer data)
{
    struct pending *pending[3];
    list_some(fixture);
    refuse(fixture, "UID FETCH", "NO Suggested Backoff Time: 0 milliseconds");
    for (unsigned i = 0; i < G_N_ELEMENTS(pending); i++)
        pending[i] = begin_bytes(fixture, i + 1);
    wait_fetches(fixture, 3);
    g_usleep(300000);
    refuse(fixture, NULL, NULL);
    fixture_pass(2);
    for (unsigned i = 0; i < G_N_ELEMENTS(pending); i++)
        g_assert_cmpint(fixture_wait(pending[i]), ==, ENGINE_OK);
}

/* It says so of a mailbox, to the job that would read of it. */
static void test_examine(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    imapd_add(imapd_add_box(fixture->imapd, "Other", ""), 300);
    const struct engine_wish folders = {.want = ENGINE_FOLDERS, .anew = true};
    g_assert_cmpint(fixture_ask(fixture, &folders), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, "Other"), ==, ENGINE_OK);
    imapd_hang_up(fixture->imapd);
    imapd_forget_counts(fixture->imapd);
    refuse(fixture, "EXAMINE",
           "NO Request is throttled. Suggested Backoff Time: 1000 milliseconds");
    struct pending *pending = begin_bytes(fixture, 1), *behind = begin_bytes(fixture, 2);
    while (imapd_count_lines(fixture->imapd, "EXAMINE") < 1)
        g_usleep(2000);
    g_usleep(300000);
    refuse(fixture, NULL, NULL);
    fixture_pass(2);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
    g_assert_cmpint(fixture_wait(behind), ==, ENGINE_OK);
}

static const char *const PAUSES[] = {
    "NO [THROTTLED] too much, try later",
    "NO [OVERQUOTA] Account exceeded command or bandwidth limits",
    "NO [LIMIT] FETCH Rate limit hit.",
    "BAD Request is throttled. Backoff time=500",
};

static void test_words(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(PAUSES); i++) {
        g_test_message("%s", PAUSES[i]);
        imapd_forget_counts(fixture->imapd);
        refuse(fixture, "UID FETCH", PAUSES[i]);
        struct pending *pending = begin_bytes(fixture, (uint32_t)i + 1);
        wait_fetches(fixture, 1);
        g_usleep(200000);
        g_assert_cmpuint(count_fetches(fixture), ==, 1);
        for (unsigned pass = 2; pass < 4; pass++) {
            fixture_pass(4); /* 1 and 2 s, each and a quarter */
            g_usleep(600000);
        }
        fixture_pass(30);
        g_assert_cmpint(fixture_wait(pending), ==, ENGINE_TIMEOUT);
        g_assert_cmpuint(count_fetches(fixture), >, 1);
        g_assert_cmpuint(count_fetches(fixture), <, 7);
        refuse(fixture, NULL, NULL);
        fixture_pass(600); /* the next one is a first one */
        g_assert_cmpint(fixture_bytes(fixture, "INBOX", (uint32_t)i + 1, "", 0, 10), ==, ENGINE_OK);
    }
}

/* Words that may be about one mailbox or message: whoever asked for that hears them. */
static const char *const LATER[] = {
    "NO Try again later",
    "NO [LIMIT] too long",
    "NO Internal trouble, retry after 300 seconds",
    "NO [UNAVAILABLE] try again later",
};

/* No time passes: what is answered here waits for no pause. */
static void test_later(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(LATER); i++) {
        g_test_message("%s", LATER[i]);
        imapd_forget_counts(fixture->imapd);
        refuse(fixture, "UID FETCH 12 ", LATER[i]);
        g_assert_cmpint(fixture_wait(begin_bytes(fixture, 12)), ==, ENGINE_BROKEN);
        g_assert_cmpint(status_of(fixture).pause_until_us, ==, 0);
        g_assert_cmpuint(count_fetches(fixture), <=, 2);
        g_assert_cmpint(fixture_bytes(fixture, "INBOX", (uint32_t)i + 1, "", 0, 10), ==, ENGINE_OK);
    }
}

/* It says so of a mailbox: the others are read. */
static void test_later_mailbox(struct fixture *fixture, gconstpointer data)
{
    imapd_add(imapd_add_box(fixture->imapd, "Bad", ""), 300);
    list_some(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(LATER); i++) {
        g_test_message("%s", LATER[i]);
        refuse(fixture, "EXAMINE Bad", LATER[i]);
        imapd_forget_counts(fixture->imapd);
        g_assert_cmpint(fixture_list(fixture, "Bad"), ==, ENGINE_BROKEN);
        g_assert_cmpuint(imapd_count_lines(fixture->imapd, "EXAMINE Bad"), ==, 1);
        g_assert_cmpint(status_of(fixture).pause_until_us, ==, 0);
        g_assert_cmpint(fixture_bytes(fixture, "INBOX", (uint32_t)i + 1, "", 0, 10), ==, ENGINE_OK);
    }
    refuse(fixture, NULL, NULL);
    g_assert_cmpint(fixture_list(fixture, "Bad"), ==, ENGINE_OK);
}

/* Who asks for a connection ends a pause. */
static void test_retry(struct fixture *fixture, gconstpointer data)
{
    const struct engine_wish connect = {.want = ENGINE_CONNECT};
    list_some(fixture);
    refuse(fixture, "UID FETCH", "NO Suggested Backoff Time: 20000 milliseconds");
    struct pending *pending = begin_bytes(fixture, 1);
    while (status_of(fixture).pause_until_us == 0)
        g_usleep(2000);
    refuse(fixture, NULL, NULL);
    g_assert_cmpint(fixture_ask(fixture, &connect), ==, ENGINE_OK);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
    while (status_of(fixture).pause_until_us != 0)
        g_usleep(2000);
}

/* A refused IDLE or NOTIFY holds up nothing, and is given again after a minute, two, and so on. */
static const struct listen_case {
    const char *name, *capabilities, *command, *words;
} LISTENS[] = {
    {"idle/unavailable", "IDLE", "IDLE", "NO [UNAVAILABLE] not now"},
    {"idle/limit", "IDLE", "IDLE", "NO [LIMIT] too many"},
    {"idle/later", "IDLE", "IDLE", "NO Try again later"},
    {"idle/bad", "IDLE", "IDLE", "BAD what?"},
    {"idle/short", "IDLE", "IDLE", "OK done"},
    {"idle/noperm", "IDLE", "IDLE", "NO [NOPERM] no"},
    {"notify/unavailable", "IDLE NOTIFY", "NOTIFY", "NO [UNAVAILABLE] not now"},
    {"notify/limit", "IDLE NOTIFY", "NOTIFY", "NO [LIMIT] too many"},
    {"notify/later", "IDLE NOTIFY", "NOTIFY", "NO Try again later"},
    {"notify/bad", "IDLE NOTIFY", "NOTIFY", "BAD what?"},
};

static void wait_lines(struct fixture *fixture, const char *command, unsigned count)
{
    while (imapd_count_lines(fixture->imapd, command) < count)
        g_usleep(2000);
}

static void test_listen(struct fixture *fixture, gconstpointer data)
{
    const struct listen_case *listen = data;
    fixture->imapd->capabilities = listen->capabilities;
    refuse(fixture, listen->command, listen->words);
    imapd_add(fixture_inbox(fixture), 3000);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    for (unsigned i = 1; i < 4; i++) {
        wait_lines(fixture, listen->command, i);
        g_usleep(100000);
        g_assert_cmpint(status_of(fixture).pause_until_us, ==, 0);
        g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
        fixture_pass((30 << i) - 5); /* of 60, 120, 240 */
        g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
        g_usleep(1500000);
        g_assert_cmpuint(imapd_count_lines(fixture->imapd, listen->command), ==, i);
        fixture_pass(10);
    }
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
}

/* A mailbox in use, listed before, that cannot be selected any more. */
static const struct refused_case {
    const char *name, *words;
} REFUSED[] = {
    {"refused/rights", "NO [NOPERM] no right to read"},
    {"refused/later", "NO Mailbox is being rebuilt, try again later"},
    {"refused/gone", "NO there is none"},
};

/* It idles in the mailbox. */
static void wait_listens(struct fixture *fixture, const char *mailbox)
{
    while (imapd_tell(fixture->imapd, mailbox, "* OK here\r\n") == 0)
        g_usleep(2000);
}

/* Lets time pass until so many commands were sent; how many seconds those were, at least. */
static gint64 pass_lines(struct fixture *fixture, const char *command, unsigned count)
{
    gint64 passed = 0;
    for (; imapd_count_lines(fixture->imapd, command) < count; passed += 3) {
        fixture_pass(3);
        g_usleep(300000); /* longer than from one tick to the next */
    }
    return passed;
}

/* What nobody waits for is asked for again after a minute; what went well begins anew. */
static void test_refused(struct fixture *fixture, gconstpointer data)
{
    const struct refused_case *refused = data;
    fixture->imapd->capabilities = "ENABLE CONDSTORE QRESYNC ESEARCH UIDPLUS IDLE";
    imapd_add(imapd_add_box(fixture->imapd, "A", ""), 300);
    list_some(fixture);
    g_assert_cmpint(fixture_list(fixture, "A"), ==, ENGINE_OK);
    wait_listens(fixture, "A");
    imapd_forget_counts(fixture->imapd);
    refuse(fixture, "EXAMINE A", refused->words);
    imapd_hang_up(fixture->imapd);
    wait_lines(fixture, "EXAMINE A", 1);
    g_assert_cmpint(pass_lines(fixture, "EXAMINE A", 2), >=, 55);

    refuse(fixture, NULL, NULL);
    while (fixture_list(fixture, "A") != ENGINE_OK) /* who waits need not wait that long */
        g_usleep(2000);
    imapd_hang_up(fixture->imapd);
    wait_listens(fixture, "A");
}

/* What is in the cache is not asked for while a pause lasts, and the status says that it does. */
static void test_cached(struct fixture *fixture, gconstpointer data)
{
    imapd_add(imapd_add_box(fixture->imapd, "Other", ""), 300);
    list_some(fixture);
    g_assert_cmpint(fixture_list(fixture, "Other"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_OK);
    g_assert_cmpint(status_of(fixture).pause_until_us, ==, 0);
    refuse(fixture, "UID FETCH", "NO Suggested Backoff Time: 20000 milliseconds");
    struct pending *pending = begin_bytes(fixture, 1);
    while (status_of(fixture).pause_until_us == 0)
        g_usleep(2000);
    g_assert_cmpint(status_of(fixture).pause_until_us, >, g_get_real_time() + 10 * G_USEC_PER_SEC);
    g_assert_cmpstr(status_of(fixture).pause_words, ==,
                    "Suggested Backoff Time: 20000 milliseconds");
    g_assert_true(status_of(fixture).online);
    fixture_pass(5); /* nothing is fresh any more */
    gint64 began = g_get_monotonic_time();
    unsigned before = imapd_count_lines(fixture->imapd, "");
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpint(fixture_list(fixture, i % 2 == 0 ? "Other" : "INBOX"), ==, ENGINE_OK);
        g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_OK);
    }
    g_test_message("listed 4 times in %" G_GINT64_FORMAT " us", g_get_monotonic_time() - began);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, ""), ==, before);
    g_assert_cmpint(status_of(fixture).pause_until_us, !=, 0);
    refuse(fixture, NULL, NULL);
    fixture_pass(22);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
    while (status_of(fixture).pause_until_us != 0)
        g_usleep(2000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/pause/none", test_none);
    ADD("/engine/pause/long", test_long);
    ADD("/engine/pause/together", test_together);
    ADD("/engine/pause/examine", test_examine);
    ADD("/engine/pause/words", test_words);
    ADD("/engine/pause/later", test_later);
    ADD("/engine/pause/later-mailbox", test_later_mailbox);
    ADD("/engine/pause/retry", test_retry);
    ADD("/engine/pause/cached", test_cached);
    for (size_t i = 0; i < G_N_ELEMENTS(LISTENS); i++) {
        g_autofree char *path = g_strconcat("/engine/pause/", LISTENS[i].name, NULL);
        g_test_add(path, struct fixture, &LISTENS[i], fixture_setup, test_listen, fixture_teardown);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSED); i++) {
        g_autofree char *path = g_strconcat("/engine/pause/", REFUSED[i].name, NULL);
        g_test_add(path, struct fixture, &REFUSED[i], fixture_setup, test_refused,
                   fixture_teardown);
    }
    return g_test_run();
}
