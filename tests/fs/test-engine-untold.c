/* What the server does not tell, or tells in vain, is asked for. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

static uint64_t count(struct fixture *fixture, const uint64_t *counter)
{
    return imapd_count(fixture->imapd, counter);
}

/* Waits until a counter is so high; a test that hangs here has failed. */
static void wait_count(struct fixture *fixture, const uint64_t *counter, uint64_t least)
{
    while (count(fixture, counter) < least)
        g_usleep(1000);
}

static void set_flags(struct fixture *fixture, uint32_t uid, const char *flags)
{
    g_mutex_lock(&fixture->imapd->lock);
    struct imapd_message *message = imapd_message(fixture_inbox(fixture), uid);
    g_free(message->flags);
    message->flags = g_strdup(flags);
    g_mutex_unlock(&fixture->imapd->lock);
}

static uint32_t flags(struct fixture *fixture, uint32_t uid)
{
    struct cache_message message;
    g_assert_true(fixture_message(fixture, "INBOX", uid, &message, NULL, NULL));
    return message.flags;
}

/* To who idles there, as soon as somebody does. */
static void tell(struct fixture *fixture, const char *text)
{
    while (imapd_tell(fixture->imapd, "INBOX", text) == 0)
        g_usleep(1000);
}

/* Ten messages, listed; the only connection idles there. */
static void start_listed(struct fixture *fixture, const char *capabilities)
{
    fixture->account.connections = 1;
    fixture->imapd->capabilities = capabilities;
    for (unsigned i = 0; i < 10; i++)
        imapd_add(fixture_inbox(fixture), 200);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    tell(fixture, "* OK here\r\n");
}

static void disk_is_full(bool full)
{
    struct rlimit limit;
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    limit.rlim_cur = full ? 4096 : limit.rlim_max;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

/* What is told and cannot be written is asked for, and what is told next is written. */
static void test_told_full(struct fixture *fixture, gconstpointer data)
{
    signal(SIGXFSZ, SIG_IGN);
    start_listed(fixture, "ESEARCH UIDPLUS IDLE");
    set_flags(fixture, 2, "\\Flagged");
    uint64_t looks = count(fixture, &fixture->imapd->examines);
    disk_is_full(true);
    tell(fixture, "* 2 FETCH (UID 2 FLAGS (\\Flagged))\r\n");
    wait_count(fixture, &fixture->imapd->examines, looks + 1);
    tell(fixture, "* OK here\r\n"); /* after the sync, which was in vain */
    g_assert_cmpuint(flags(fixture, 2), ==, 0);
    disk_is_full(false);
    tell(fixture, "* 3 FETCH (UID 3 FLAGS (\\Seen))\r\n");
    while (flags(fixture, 3) != CACHE_FLAG_SEEN)
        g_usleep(1000);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(flags(fixture, 2), ==, CACHE_FLAG_FLAGGED);
}

/* What is told live needs no sync, but once a day all is compared all the same. */
static void test_look(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, "ENABLE CONDSTORE QRESYNC ESEARCH UIDPLUS IDLE");
    set_flags(fixture, 2, "\\Flagged"); /* without a modification sequence */
    imapd_forget_counts(fixture->imapd);
    fixture_pass(25 * 3600);
    while (flags(fixture, 2) != CACHE_FLAG_FLAGGED) {
        g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
        g_usleep(10000);
    }
    g_assert_cmpuint(count(fixture, &fixture->imapd->signed_in), ==, 0);
}

/* Where neither STATUS nor IDLE tells of flags, each poll looks at those of mailboxes in use; and
 * who lists one after that time sees them in any case. */
static void test_poll(struct fixture *fixture, gconstpointer data)
{
    fixture->account.poll_s = 60;
    start_listed(fixture, "ESEARCH UIDPLUS IDLE LIST-EXTENDED LIST-STATUS");
    set_flags(fixture, 2, "\\Flagged");
    fixture_pass(61);
    while (flags(fixture, 2) != CACHE_FLAG_FLAGGED)
        g_usleep(1000);
    tell(fixture, "* OK here\r\n");
    set_flags(fixture, 3, "\\Flagged");
    fixture_pass(61);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(flags(fixture, 3), ==, CACHE_FLAG_FLAGGED);
}

/* The mailbox opened last is listened to however long ago that was. */
static void test_long_ago(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, "ESEARCH UIDPLUS IDLE");
    uint64_t idles = count(fixture, &fixture->imapd->idles);
    while (count(fixture, &fixture->imapd->idles) == idles) { /* until it is given anew */
        fixture_pass(10);
        g_usleep(100000);
    }
    g_mutex_lock(&fixture->imapd->lock);
    imapd_add(fixture_inbox(fixture), 200);
    g_mutex_unlock(&fixture->imapd->lock);
    tell(fixture, "* 11 EXISTS\r\n");
    while (g_atomic_int_get(&fixture->arrived) == 0)
        g_usleep(1000);
    g_assert_cmpuint(count(fixture, &fixture->imapd->noops), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/untold/full", test_told_full);
    ADD("/engine/untold/look", test_look);
    ADD("/engine/untold/poll", test_poll);
    ADD("/engine/untold/long-ago", test_long_ago);
    return g_test_run();
}
