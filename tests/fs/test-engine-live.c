/* Staying true: the tiers of a sync, what is told at once, polls, and silence. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

#define QRESYNC "ENABLE CONDSTORE QRESYNC ESEARCH UIDPLUS"

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

static void wait_event(const gint *counter, gint least)
{
    while (g_atomic_int_get(counter) < least)
        g_usleep(1000);
}

static void fill(struct fixture *fixture, const char *mailbox, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        imapd_add(imapd_box(fixture->imapd, mailbox), 200);
}

static void set_flags(struct fixture *fixture, uint32_t uid, const char *flags)
{
    struct imapd_message *message = imapd_message(fixture_inbox(fixture), uid);
    g_free(message->flags);
    message->flags = g_strdup(flags);
    message->modseq = ++fixture_inbox(fixture)->modseq;
}

static uint32_t records(struct fixture *fixture, const char *mailbox)
{
    uint32_t messages = fixture_mailbox(fixture, mailbox).messages;
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    return cache_message_count(txn, messages);
}

static uint32_t flags(struct fixture *fixture, uint32_t uid)
{
    struct cache_message message;
    g_assert_true(fixture_message(fixture, "INBOX", uid, &message, NULL, NULL));
    return message.flags;
}

static struct engine_status status_of(struct fixture *fixture)
{
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    return status;
}

static void start_listed(struct fixture *fixture, const char *capabilities, unsigned messages)
{
    fixture->imapd->capabilities = capabilities;
    fill(fixture, "INBOX", messages);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
}

/* ---- tiers ------------------------------------------------------------------------------------
 */

/* 10 of 200: four marked, three gone, three new. */
static void change_ten(struct fixture *fixture)
{
    g_mutex_lock(&fixture->imapd->lock);
    for (uint32_t uid = 10; uid < 14; uid++)
        set_flags(fixture, uid, "\\Seen");
    for (uint32_t uid = 20; uid < 23; uid++)
        imapd_remove(fixture_inbox(fixture), uid);
    fill(fixture, "INBOX", 3);
    g_mutex_unlock(&fixture->imapd->lock);
}

static const struct tier_case {
    const char *name, *capabilities;
    uint64_t flights, searches, resyncs; /* of the sync */
} TIERS[] = {
    {"qresync", QRESYNC, 1, 0, 1},
    {"condstore", "CONDSTORE ESEARCH UIDPLUS", 2, 1, 0},
    {"plain", "UIDPLUS", 2, 1, 0},
};

static void test_tier(struct fixture *fixture, gconstpointer data)
{
    const struct tier_case *tier = data;
    start_listed(fixture, tier->capabilities, 200);
    change_ten(fixture);
    fixture_pass(3);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), <=, tier->flights);
    g_assert_cmpuint(count(fixture, &fixture->imapd->searches), ==, tier->searches);
    g_assert_cmpuint(count(fixture, &fixture->imapd->resyncs), ==, tier->resyncs);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 200);
    g_assert_cmpuint(flags(fixture, 13), ==, CACHE_FLAG_SEEN);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, 3);
    g_assert_cmpint(g_atomic_int_get(&fixture->arrived), ==, 3);
    g_assert_cmpint(g_atomic_int_get(&fixture->flags_changed), ==, 4);
    if (strstr(tier->capabilities, "CONDSTORE") != NULL)
        g_assert_cmpuint(fixture_mailbox(fixture, "INBOX").highestmodseq, ==,
                         fixture_inbox(fixture)->modseq);
}

#define LIST_STATUS " LIST-EXTENDED LIST-STATUS"

/* What was asked behind EXAMINE to know which of 200 are gone; what was asked when the list did not
 * fit. */
#define AHEAD(fixture) imapd_count_lines((fixture)->imapd, "UID SEARCH RETURN (ALL) UID 1:200")
#define BEHIND(fixture) imapd_count_lines((fixture)->imapd, "UID SEARCH RETURN (ALL) UID 1:*")

static void poll_and_list(struct fixture *fixture)
{
    const struct engine_wish folders = {.want = ENGINE_FOLDERS, .anew = true};
    fixture_pass(3);
    g_assert_cmpint(fixture_ask(fixture, &folders), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
}

static const struct tier_case TOLD[] = {
    {"qresync", QRESYNC LIST_STATUS, 2, 0, 1},
    {"condstore", "CONDSTORE ESEARCH" LIST_STATUS, 2, 1, 0},
    {"plain", "ESEARCH" LIST_STATUS, 2, 1, 0},
};

/* With STATUS in the list it is known that messages are gone, and asked at once which. */
static void test_told(struct fixture *fixture, gconstpointer data)
{
    const struct tier_case *tier = data;
    start_listed(fixture, tier->capabilities, 200);
    change_ten(fixture);
    poll_and_list(fixture);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), <=, tier->flights);
    g_assert_cmpuint(AHEAD(fixture), ==, tier->searches);
    g_assert_cmpuint(BEHIND(fixture), ==, 0);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 200);
    g_assert_cmpuint(flags(fixture, 13), ==, CACHE_FLAG_SEEN);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, 3);
    g_assert_cmpint(g_atomic_int_get(&fixture->arrived), ==, 3);
    g_assert_cmpint(g_atomic_int_get(&fixture->flags_changed), ==, 4);
    if (strstr(tier->capabilities, "CONDSTORE") != NULL)
        g_assert_cmpuint(fixture_mailbox(fixture, "INBOX").highestmodseq, ==,
                         fixture_inbox(fixture)->modseq);

    imapd_forget_counts(fixture->imapd); /* nothing is gone: it is not asked again */
    g_mutex_lock(&fixture->imapd->lock);
    fill(fixture, "INBOX", 2);
    g_mutex_unlock(&fixture->imapd->lock);
    poll_and_list(fixture);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 202);
    g_assert_cmpuint(count(fixture, &fixture->imapd->searches), ==, 0);
}

/* All old ones are gone, and all. */
static void test_told_none(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, "CONDSTORE ESEARCH" LIST_STATUS, 200);
    g_mutex_lock(&fixture->imapd->lock);
    for (uint32_t uid = 1; uid <= 200; uid++)
        imapd_remove(fixture_inbox(fixture), uid);
    fill(fixture, "INBOX", 2);
    g_mutex_unlock(&fixture->imapd->lock);
    poll_and_list(fixture);
    g_assert_cmpuint(AHEAD(fixture), ==, 1);
    g_assert_cmpuint(BEHIND(fixture), ==, 0);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 2);
    g_mutex_lock(&fixture->imapd->lock);
    imapd_remove(fixture_inbox(fixture), 201);
    imapd_remove(fixture_inbox(fixture), 202);
    g_mutex_unlock(&fixture->imapd->lock);
    poll_and_list(fixture);
    g_assert_cmpuint(BEHIND(fixture), ==, 0);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 0);
}

/* An answer that does not make as many as there are removes nothing; nor does a refusal. */
static void test_told_wrong(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, "CONDSTORE ESEARCH" LIST_STATUS, 200);
    change_ten(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->search_short = 100;
    g_mutex_unlock(&fixture->imapd->lock);
    poll_and_list(fixture);
    g_assert_cmpuint(AHEAD(fixture), ==, 1);
    g_assert_cmpuint(BEHIND(fixture), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, 3);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 200);

    g_mutex_lock(&fixture->imapd->lock);
    imapd_remove(fixture_inbox(fixture), 30);
    fixture->imapd->flaw_words = "NO not now";
    fixture->imapd->flaw_times = 1;
    fixture->imapd->flaw_on = "UID SEARCH";
    g_mutex_unlock(&fixture->imapd->lock);
    poll_and_list(fixture);
    g_assert_null(fixture->imapd->flaw_on);
    g_assert_cmpuint(BEHIND(fixture), ==, 2);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, 4);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 199);
}

/* Of another UIDVALIDITY: what was asked on the strength of the old one is not used. */
static void test_told_other(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, "CONDSTORE ESEARCH" LIST_STATUS, 200);
    g_mutex_lock(&fixture->imapd->lock);
    struct imapd_box *box = fixture_inbox(fixture);
    for (uint32_t uid = 50; uid <= 200; uid++)
        imapd_remove(box, uid);
    set_flags(fixture, 7, "\\Flagged");
    box->uidvalidity++;
    box->uidnext = 50;
    g_mutex_unlock(&fixture->imapd->lock);
    poll_and_list(fixture);
    g_assert_cmpuint(AHEAD(fixture), ==, 1);
    g_assert_cmpuint(BEHIND(fixture), ==, 1);
    g_assert_cmpuint(fixture_mailbox(fixture, "INBOX").uidvalidity, ==, box->uidvalidity);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 49);
    g_assert_cmpuint(flags(fixture, 7), ==, CACHE_FLAG_FLAGGED);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, 200);
}

/* QRESYNC that tells nothing: the count gives it away, flags that it kept back are asked for at
 * once, and it is not asked again for a day. */
static void test_lowered(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->resync_silent = true;
    start_listed(fixture, QRESYNC, 50);
    for (unsigned round = 0; round < 3; round++) {
        g_mutex_lock(&fixture->imapd->lock);
        imapd_remove(fixture_inbox(fixture), 10 + round);
        set_flags(fixture, 30 + round, "\\Flagged");
        g_mutex_unlock(&fixture->imapd->lock);
        fixture_pass(round < 2 ? 3 : 25 * 3600);
        g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
        g_assert_cmpuint(flags(fixture, 30 + round), ==, CACHE_FLAG_FLAGGED);
        g_assert_cmpuint(records(fixture, "INBOX"), ==, 49 - round);
        g_assert_cmpuint(count(fixture, &fixture->imapd->resyncs), ==, round < 2 ? 1 : 2);
    }
}

/* A flag that it does not tell shows in no count: once a day all are compared, and what is found
 * lowers the tier. */
static void test_audit(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->resync_silent = true;
    start_listed(fixture, QRESYNC, 50);
    fixture_pass(3);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK); /* from now on it is a day */
    g_mutex_lock(&fixture->imapd->lock);
    set_flags(fixture, 7, "\\Flagged");
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(3600);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(flags(fixture, 7), ==, 0);
    fixture_pass(24 * 3600);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    wait_event(&fixture->flags_changed, 1);
    g_assert_cmpuint(flags(fixture, 7), ==, CACHE_FLAG_FLAGGED);
    uint64_t resyncs = count(fixture, &fixture->imapd->resyncs);
    g_mutex_lock(&fixture->imapd->lock);
    set_flags(fixture, 8, "\\Flagged");
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(3);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(flags(fixture, 8), ==, CACHE_FLAG_FLAGGED); /* by CONDSTORE */
    g_assert_cmpuint(count(fixture, &fixture->imapd->resyncs), ==, resyncs);
}

static const struct back_case {
    const char *name, *capabilities;
    unsigned messages;
    bool modseqs;
} BACKS[] = {
    {"condstore", "CONDSTORE ESEARCH", 20, false},
    {"condstore-told", "CONDSTORE ESEARCH", 20, true},
    {"qresync", QRESYNC, 20, false},
    {"qresync-told", QRESYNC, 20, true},
    {"many", "CONDSTORE ESEARCH", 1500, true},
};

/* Modification sequences that went back: all flags are asked for, and what is told with the new
 * ones counts. */
static void test_modseq_back(struct fixture *fixture, gconstpointer data)
{
    const struct back_case *back = data;
    uint32_t last = back->messages;
    fixture->imapd->modseqs = back->modseqs;
    start_listed(fixture, back->capabilities, back->messages);
    g_mutex_lock(&fixture->imapd->lock);
    set_flags(fixture, last, "\\Flagged");
    imapd_message(fixture_inbox(fixture), last)->modseq = 2;
    fixture_inbox(fixture)->modseq = 3;
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(3);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(flags(fixture, last), ==, CACHE_FLAG_FLAGGED);
}

/* Without CONDSTORE the newest 1000 are asked for at once, the others behind the answer. */
static void test_plain_pieces(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, "UIDPLUS", 2500);
    g_mutex_lock(&fixture->imapd->lock);
    set_flags(fixture, 100, "\\Seen");
    set_flags(fixture, 2400, "\\Seen");
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(3);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(flags(fixture, 2400), ==, CACHE_FLAG_SEEN);
    wait_event(&fixture->flags_changed, 2);
    g_assert_cmpuint(flags(fixture, 100), ==, CACHE_FLAG_SEEN);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "UID FETCH 1501:2500 (UID FLAGS)"), ==, 1);

    imapd_forget_counts(fixture->imapd); /* within the hour only the newest */
    fixture_pass(60);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "UID FETCH 1:2500 (UID FLAGS)"), ==, 0);
}

/* ---- told at once -----------------------------------------------------------------------------
 */

static void wait_idle(struct fixture *fixture)
{
    wait_count(fixture, &fixture->imapd->idles, 1);
    while (status_of(fixture).live == ENGINE_LIVE_POLL)
        g_usleep(1000);
}

/* To who idles there, as soon as somebody does. */
static void tell(struct fixture *fixture, const char *mailbox, const char *text)
{
    while (imapd_tell(fixture->imapd, mailbox, text) == 0)
        g_usleep(1000);
}

static void test_idle(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, QRESYNC " IDLE", 10);
    wait_idle(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    fill(fixture, "INBOX", 1);
    g_mutex_unlock(&fixture->imapd->lock);
    tell(fixture, "INBOX", "* 11 EXISTS\r\n");
    wait_event(&fixture->arrived, 1);
    g_assert_cmpuint(records(fixture, "INBOX"), ==, 11);

    wait_count(fixture, &fixture->imapd->idles, 2); /* it idles again */
    tell(fixture, "INBOX", "* 3 FETCH (UID 3 FLAGS (\\Flagged))\r\n");
    wait_event(&fixture->flags_changed, 1);
    g_assert_cmpuint(flags(fixture, 3), ==, CACHE_FLAG_FLAGGED);
    imapd_forget_counts(fixture->imapd);
    fixture_pass(60); /* what is watched is shown without asking */
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), ==, 0);
}

/* Each mailbox in use has a line of its own, one short of the cap. */
static void test_idle_lines(struct fixture *fixture, gconstpointer data)
{
    static const char *const NAMES[] = {"A", "B", "C", "D"};
    fixture->account.connections = 3;
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        imapd_add_box(fixture->imapd, NAMES[i], "");
        fill(fixture, NAMES[i], 2);
    }
    start_listed(fixture, QRESYNC " IDLE", 1);
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++)
        g_assert_cmpint(fixture_list(fixture, NAMES[i]), ==, ENGINE_OK);
    while (imapd_tell(fixture->imapd, "D", "* OK here\r\n") == 0 ||
           imapd_tell(fixture->imapd, "C", "* OK here\r\n") == 0)
        g_usleep(2000);
    g_assert_cmpuint(status_of(fixture).connections, <=, 3);
    /* work takes a line from one of them */
    g_assert_cmpint(fixture_list(fixture, "A"), ==, ENGINE_OK);
}

/* An IDLE without a word is given anew; a DONE that is not answered ends the line. */
static void test_idle_again(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, QRESYNC " IDLE", 3);
    wait_idle(fixture);
    imapd_forget_counts(fixture->imapd);
    fixture_pass(290);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK); /* it is still in use */
    fixture_pass(15);
    wait_count(fixture, &fixture->imapd->idles, 1);
    wait_idle(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->stall = true;
    g_mutex_unlock(&fixture->imapd->lock);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    fixture_pass(299);
    while (status_of(fixture).live != ENGINE_LIVE_POLL) {
        fixture_list(fixture, "INBOX");
        g_usleep(100000);
        fixture_pass(10);
    }
    while (status_of(fixture).online) {
        fixture_pass(31);
        g_usleep(100000);
    }
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->stall = false;
    g_mutex_unlock(&fixture->imapd->lock);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
}

static void test_notify(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "A", "");
    fill(fixture, "A", 2);
    start_listed(fixture, QRESYNC " IDLE NOTIFY LIST-EXTENDED LIST-STATUS", 3);
    g_assert_cmpint(fixture_list(fixture, "A"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    wait_idle(fixture);
    g_assert_cmpint(status_of(fixture).live, ==, ENGINE_LIVE_NOTIFY);
    g_mutex_lock(&fixture->imapd->lock);
    fill(fixture, "A", 1);
    g_mutex_unlock(&fixture->imapd->lock);
    gint before = g_atomic_int_get(&fixture->arrived);
    tell(fixture, NULL, "* STATUS A (MESSAGES 3 UIDNEXT 4)\r\n");
    wait_event(&fixture->arrived, before + 1);
    g_assert_cmpuint(records(fixture, "A"), ==, 3);

    g_mutex_lock(&fixture->imapd->lock); /* a mailbox is made */
    imapd_add_box(fixture->imapd, "New", "");
    g_mutex_unlock(&fixture->imapd->lock);
    gint folders = g_atomic_int_get(&fixture->folders_changed);
    tell(fixture, NULL, "* LIST () \"/\" New\r\n");
    wait_event(&fixture->folders_changed, folders + 1);
    tell(fixture, NULL, "* OK [NOTIFICATIONOVERFLOW] too much\r\n");
    while (status_of(fixture).live == ENGINE_LIVE_NOTIFY)
        g_usleep(1000);
}

/* ---- polls ------------------------------------------------------------------------------------
 */

static void check_poll(struct fixture *fixture, const char *capabilities)
{
    fixture->account.poll_s = 60;
    imapd_add_box(fixture->imapd, "A", "");
    imapd_add_box(fixture->imapd, "Never", "");
    fill(fixture, "A", 2);
    fill(fixture, "Never", 2);
    start_listed(fixture, capabilities, 3);
    g_assert_cmpint(fixture_list(fixture, "A"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
    g_mutex_lock(&fixture->imapd->lock);
    fill(fixture, "A", 1);
    fill(fixture, "INBOX", 1);
    fill(fixture, "Never", 1);
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(61);
    for (uint32_t have = 0; have < 2; g_usleep(1000)) {
        have = (records(fixture, "A") == 3) + (records(fixture, "INBOX") == 4);
    }
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "LIST"), ==, 1);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "EXAMINE Never"), ==, 0);
}

static void test_poll(struct fixture *fixture, gconstpointer data)
{
    check_poll(fixture, QRESYNC " LIST-EXTENDED LIST-STATUS");
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "STATUS"), ==, 0);
}

static void test_poll_status(struct fixture *fixture, gconstpointer data)
{
    check_poll(fixture, "");
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "STATUS Never"), ==, 0);
}

/* ---- silence ----------------------------------------------------------------------------------
 */

/* A list that is in the cache is shown when the server says nothing for some seconds, and at once
 * when nothing is connected. */
static void test_silence(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, QRESYNC, 3);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->stall = true;
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(2);
    const struct engine_wish list = {.want = ENGINE_MAILBOX,
                                     .folder = fixture_mailbox(fixture, "INBOX").slot};
    struct pending *pending = fixture_begin(fixture, &list);
    wait_count(fixture, &fixture->imapd->flights, 1);
    fixture_pass(4);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
    uint64_t flights = count(fixture, &fixture->imapd->flights);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK); /* at once */
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), ==, flights);
    g_assert_true(status_of(fixture).online);
}

/* The first is timed out, the others find the server out of reach, and the status when it is tried
 * again. */
static void test_one_timeout(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, QRESYNC, 3);
    imapd_down(fixture->imapd);
    const struct engine_wish bytes = {.want = ENGINE_BYTES,
                                      .messages = fixture_mailbox(fixture, "INBOX").messages,
                                      .uid = 2,
                                      .section = "",
                                      .length = 10};
    g_assert_cmpint(fixture_ask(fixture, &bytes), ==, ENGINE_OFFLINE);
    while (status_of(fixture).next_try_us == 0)
        g_usleep(1000);
    g_assert_cmpint(status_of(fixture).next_try_us, >, g_get_real_time() - 60 * G_USEC_PER_SEC);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    imapd_up(fixture->imapd);
    for (enum engine_error error = ENGINE_OFFLINE; error != ENGINE_OK; g_usleep(10000))
        error = fixture_ask(fixture, &bytes); /* who asks brings it back, within moments */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(TIERS); i++) {
        g_autofree char *path = g_strconcat("/engine/live/tier-", TIERS[i].name, NULL);
        g_test_add(path, struct fixture, &TIERS[i], fixture_setup, test_tier, fixture_teardown);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(TOLD); i++) {
        g_autofree char *path = g_strconcat("/engine/live/told-", TOLD[i].name, NULL);
        g_test_add(path, struct fixture, &TOLD[i], fixture_setup, test_told, fixture_teardown);
    }
    ADD("/engine/live/told-none", test_told_none);
    ADD("/engine/live/told-wrong", test_told_wrong);
    ADD("/engine/live/told-other", test_told_other);
    ADD("/engine/live/lowered", test_lowered);
    ADD("/engine/live/audit", test_audit);
    for (size_t i = 0; i < G_N_ELEMENTS(BACKS); i++) {
        g_autofree char *path = g_strdup_printf("/engine/live/modseq-back/%s", BACKS[i].name);
        g_test_add(path, struct fixture, &BACKS[i], fixture_setup, test_modseq_back,
                   fixture_teardown);
    }
    ADD("/engine/live/plain-pieces", test_plain_pieces);
    ADD("/engine/live/idle", test_idle);
    ADD("/engine/live/idle-lines", test_idle_lines);
    ADD("/engine/live/idle-again", test_idle_again);
    ADD("/engine/live/notify", test_notify);
    ADD("/engine/live/poll", test_poll);
    ADD("/engine/live/poll-status", test_poll_status);
    ADD("/engine/live/silence", test_silence);
    ADD("/engine/live/one-timeout", test_one_timeout);
    return g_test_run();
}
