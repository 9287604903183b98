/* What a server does not stand: kept beyond a run, shown, and forgotten in time. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)
#define NOTE "server.flaws"
#define NOTE_UNPROVED "server.flaws.unproved"
#define LIVE "IDLE NOTIFY LIST-EXTENDED LIST-STATUS"
#define DAY_US ((gint64)24 * 3600 * G_USEC_PER_SEC)

static char *flaws_shown(struct fixture *fixture)
{
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    return g_strdup(status.flaws);
}

static void note_write(struct fixture *fixture, const char *name, gint64 days_ago,
                       const char *words)
{
    g_autofree char *text =
        g_strdup_printf("%" G_GINT64_FORMAT "%s", g_get_real_time() / DAY_US - days_ago, words);
    struct cache_txn *txn = cache_txn_write(fixture->cache);
    g_assert_cmpint(cache_note_put(txn, name, text), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
}

static char *note_read(struct fixture *fixture, const char *name)
{
    const char *text = NULL;
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    return cache_note_get(txn, name, &text) == CACHE_OK ? g_strdup(text) : g_strdup("");
}

static void test_loaded(struct fixture *fixture, gconstpointer data)
{
    static const struct {
        gint64 days_ago;
        const char *words, *shown;
    } NOTES[] = {
        {0, " NOTIFY PIPELINING", "NOTIFY PIPELINING"},
        {29, " NOTIFY", "NOTIFY"},
        {30, " NOTIFY", ""},
        {-2, " NOTIFY", ""}, /* of a clock that was wrong */
        {0, " NONSENSE", ""},
        {0, "", ""},
        {0, "NOTIFY", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(NOTES); i++) {
        note_write(fixture, NOTE, NOTES[i].days_ago, NOTES[i].words);
        fixture_start(fixture);
        g_autofree char *shown = flaws_shown(fixture);
        g_assert_cmpstr(shown, ==, NOTES[i].shown);
        fixture_stop(fixture);
    }
}

/* What is known is not asked. */
static void test_heeded(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = LIVE;
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    while (imapd_count_lines(fixture->imapd, "NOTIFY") == 0)
        g_usleep(1000);
    fixture_stop(fixture);
    note_write(fixture, NOTE, 1, " NOTIFY");
    imapd_forget_counts(fixture->imapd);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "NOTIFY"), ==, 0);
}

/* A server that ends the connection at a command is not asked it for ever, nor in the next run. */
static void test_kept(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = LIVE;
    fixture->imapd->flaw_on = "NOTIFY";
    fixture->imapd->flaw_words = NULL;
    fixture_start(fixture);
    g_autofree char *shown = flaws_shown(fixture);
    while (strstr(shown, "NOTIFY") == NULL) {
        fixture_list(fixture, "INBOX");
        g_usleep(10000);
        fixture_pass(2);
        g_free(shown);
        shown = flaws_shown(fixture);
    }
    fixture_stop(fixture);
    g_autofree char *note = note_read(fixture, NOTE);
    g_assert_nonnull(strstr(note, " NOTIFY"));
}

static bool is_shown(struct fixture *fixture, const char *word)
{
    g_autofree char *shown = flaws_shown(fixture);
    return strstr(shown, word) != NULL;
}

static void notify_flaw(struct fixture *fixture, bool on)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = on ? "NOTIFY" : NULL;
    fixture->imapd->flaw_words = NULL;
    g_mutex_unlock(&fixture->imapd->lock);
}

/* Lets pass what must be calm before it is tried again, in steps that no deadline minds. */
static void calm_passes(void)
{
    for (unsigned i = 0; i < 610; i += 10) {
        fixture_pass(10);
        g_usleep(2000);
    }
}

/* The first trial ten minutes later proves it, by one more end; there is no second. */
static void test_proved(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = LIVE;
    notify_flaw(fixture, true);
    fixture_start(fixture);
    while (!is_shown(fixture, "NOTIFY")) {
        fixture_list(fixture, "INBOX");
        fixture_pass(2);
        g_usleep(10000);
    }
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "NOTIFY"), ==, 2);
    for (unsigned i = 0; i < 3; i++) {
        calm_passes();
        while (imapd_count_lines(fixture->imapd, "NOTIFY") < 3 || !is_shown(fixture, "NOTIFY")) {
            fixture_pass(1);
            g_usleep(10000);
        }
    }
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "NOTIFY"), ==, 3);
    fixture_stop(fixture);
    g_autofree char *note = note_read(fixture, NOTE);
    g_assert_nonnull(strstr(note, " NOTIFY"));
    g_autofree char *unproved = note_read(fixture, NOTE_UNPROVED);
    g_assert_null(strstr(unproved, "NOTIFY"));
}

/* It is asked again by itself, and taken up where it is answered. */
static void test_forgotten(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = LIVE;
    note_write(fixture, NOTE, 1, " NOTIFY QUOTA");
    note_write(fixture, NOTE_UNPROVED, 1, " NOTIFY");
    fixture_start(fixture);
    g_assert_true(is_shown(fixture, "NOTIFY"));
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "NOTIFY"), ==, 0);
    calm_passes();
    while (imapd_count_lines(fixture->imapd, "NOTIFY") == 0 || is_shown(fixture, "NOTIFY")) {
        fixture_pass(1);
        g_usleep(10000);
    }
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_true(is_shown(fixture, "QUOTA"));
    fixture_stop(fixture);
    g_autofree char *note = note_read(fixture, NOTE);
    g_assert_null(strstr(note, "NOTIFY"));
    g_assert_nonnull(strstr(note, "QUOTA"));
}

/* A connection on which nothing can be opened is given up; the next may do. */
static void test_opens_nothing(struct fixture *fixture, gconstpointer data)
{
    imapd_add(fixture_inbox(fixture), 200);
    fixture_start(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = "EXAMINE";
    fixture->imapd->flaw_words = "BAD what?";
    fixture->imapd->flaw_times = 3;
    g_mutex_unlock(&fixture->imapd->lock);
    while (fixture_list(fixture, "INBOX") != ENGINE_OK) {
        g_usleep(10000);
        fixture_pass(2);
    }
    g_assert_cmpuint(imapd_count(fixture->imapd, &fixture->imapd->signed_in), ==, 2);
    g_autofree char *shown = flaws_shown(fixture);
    g_assert_cmpstr(shown, ==, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/flaws/loaded", test_loaded);
    ADD("/engine/flaws/heeded", test_heeded);
    ADD("/engine/flaws/kept", test_kept);
    ADD("/engine/flaws/proved", test_proved);
    ADD("/engine/flaws/forgotten", test_forgotten);
    ADD("/engine/flaws/opens-nothing", test_opens_nothing);
    return g_test_run();
}
