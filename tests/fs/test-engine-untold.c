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

static uint32_t flags_in(struct fixture *fixture, const char *mailbox, uint32_t uid)
{
    struct cache_message message;
    g_assert_true(fixture_message(fixture, mailbox, uid, &message, NULL, NULL));
    return message.flags;
}

static uint32_t flags(struct fixture *fixture, uint32_t uid)
{
    return flags_in(fixture, "INBOX", uid);
}

/* To who idles there, as soon as somebody does. */
static void tell(struct fixture *fixture, const char *text)
{
    while (imapd_tell(fixture->imapd, "INBOX", text) == 0)
        g_usleep(1000);
}

/* Ten messages, listed; the first connection idles there. */
static void start_listed_by(struct fixture *fixture, const char *capabilities, unsigned connections)
{
    fixture->account.connections = connections;
    fixture->imapd->capabilities = capabilities;
    for (unsigned i = 0; i < 10; i++)
        imapd_add(fixture_inbox(fixture), 200);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    tell(fixture, "* OK here\r\n");
}

static void start_listed(struct fixture *fixture, const char *capabilities)
{
    start_listed_by(fixture, capabilities, 1);
}

static void hold(struct fixture *fixture, bool *what, bool held)
{
    g_mutex_lock(&fixture->imapd->lock);
    *what = held;
    g_mutex_unlock(&fixture->imapd->lock);
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

/* Gives a message other flags, and both it and its mailbox a new modification sequence. */
static uint64_t change_flags(struct fixture *fixture, uint32_t uid, const char *to)
{
    set_flags(fixture, uid, to);
    g_mutex_lock(&fixture->imapd->lock);
    uint64_t modseq = ++fixture_inbox(fixture)->modseq;
    imapd_message(fixture_inbox(fixture), uid)->modseq = modseq;
    g_mutex_unlock(&fixture->imapd->lock);
    return modseq;
}

static void tell_flags(struct fixture *fixture, uint32_t uid, const char *to, uint64_t modseq)
{
    g_autofree char *text = g_strdup_printf(
        "* %u FETCH (UID %u FLAGS (%s) MODSEQ (%" G_GUINT64_FORMAT "))\r\n", uid, uid, to, modseq);
    tell(fixture, text);
}

static void wait_flags(struct fixture *fixture, uint32_t uid, uint32_t wanted)
{
    while (flags(fixture, uid) != wanted)
        g_usleep(1000);
}

static void list_anew(struct fixture *fixture, const char *mailbox)
{
    const struct engine_wish wish = {
        .want = ENGINE_MAILBOX, .folder = fixture_mailbox(fixture, mailbox).slot, .anew = true};
    g_assert_cmpint(fixture_ask(fixture, &wish), ==, ENGINE_OK);
}

#define MODSEQ "ENABLE CONDSTORE QRESYNC ESEARCH UIDPLUS IDLE"

/* A slow connection tells what another has told newer flags of since: nothing would correct it, as
 * the list is known up to HIGHESTMODSEQ. What is new there counts. */
static void test_told_late(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, MODSEQ);
    uint64_t before = change_flags(fixture, 2, "\\Flagged");
    change_flags(fixture, 2, ""); /* as the list has it already */
    list_anew(fixture, "INBOX");
    tell_flags(fixture, 2, "\\Flagged", before);
    tell_flags(fixture, 3, "\\Seen", change_flags(fixture, 3, "\\Seen"));
    wait_flags(fixture, 3, CACHE_FLAG_SEEN);
    g_assert_cmpuint(flags(fixture, 2), ==, 0);
}

/* Modification sequences that went back are no old news, also where not all flags were compared
 * yet. */
static void test_told_back(struct fixture *fixture, gconstpointer data)
{
    enum { MANY = 1500 };
    fixture->imapd->modseqs = true;
    for (unsigned i = 10; i < MANY; i++)
        imapd_add(fixture_inbox(fixture), 200);
    start_listed(fixture, MODSEQ);
    g_mutex_lock(&fixture->imapd->lock);
    fixture_inbox(fixture)->modseq = 3;
    g_mutex_unlock(&fixture->imapd->lock);
    list_anew(fixture, "INBOX");
    uint64_t modseq = change_flags(fixture, 2, "\\Flagged");
    tell_flags(fixture, 2, "\\Flagged", modseq);
    wait_flags(fixture, 2, CACHE_FLAG_FLAGGED);
}

/* So may the connection that changes flags, and reads them. */
static void test_told_late_of_ours(struct fixture *fixture, gconstpointer data)
{
    fixture_journal(fixture);
    start_listed_by(fixture, MODSEQ, 2);
    hold(fixture, &fixture->imapd->flags_held, true);
    const struct journal_entry entry = {
        .kind = JOURNAL_FLAGS,
        .message = {"INBOX", fixture_inbox(fixture)->uidvalidity, 2},
        .add = "\\Flagged",
    };
    const struct engine_wish pushed = {.want = ENGINE_PUSHED,
                                       .entry = fixture_add(fixture, &entry)};
    struct pending *pending = fixture_begin(fixture, &pushed);
    wait_count(fixture, &fixture->imapd->stores, 1);
    uint64_t after = change_flags(fixture, 2, "\\Seen");
    list_anew(fixture, "INBOX");
    tell_flags(fixture, 2, "\\Seen", after);
    wait_flags(fixture, 2, CACHE_FLAG_SEEN);
    hold(fixture, &fixture->imapd->flags_held, false);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
    g_assert_cmpuint(flags(fixture, 2), ==, CACHE_FLAG_SEEN);
}

/* What a mailbox still has to say when another is asked for already is its own, also where both
 * have one UIDVALIDITY. */
static void test_told_parting(struct fixture *fixture, gconstpointer data)
{
    struct imapd_box *archive = imapd_add_box(fixture->imapd, "Archive", "");
    archive->uidvalidity = fixture_inbox(fixture)->uidvalidity;
    for (unsigned i = 0; i < 10; i++)
        imapd_add(archive, 200);
    start_listed(fixture, MODSEQ);
    list_anew(fixture, "Archive");
    list_anew(fixture, "INBOX");
    tell(fixture, "* OK here\r\n");
    change_flags(fixture, 2, "\\Flagged");
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->parting = "* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (99))\r\n"
                              "* VANISHED (EARLIER) 3\r\n";
    g_mutex_unlock(&fixture->imapd->lock);
    list_anew(fixture, "Archive");
    g_assert_null(fixture->imapd->parting);
    wait_flags(fixture, 2, CACHE_FLAG_FLAGGED); /* it was asked */
    g_assert_cmpuint(flags_in(fixture, "Archive", 2), ==, 0);
    g_assert_cmpuint(flags_in(fixture, "Archive", 3), ==, 0);
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

/* How many mailboxes named so were selected `times` times. */
static unsigned count_examined(struct fixture *fixture, unsigned boxes, unsigned times)
{
    unsigned hits = 0;
    for (unsigned i = 0; i < boxes; i++) {
        g_autofree char *prefix = g_strdup_printf("EXAMINE b%02u", i);
        hits += imapd_count_lines(fixture->imapd, prefix) == times;
    }
    return hits;
}

static void box_flag(const struct imapd_box *box, const char *flags)
{
    for (guint i = 0; i < box->messages->len; i++) {
        struct imapd_message *message = box->messages->pdata[i];
        g_free(message->flags);
        message->flags = g_strdup(flags);
    }
}

/* However many mailboxes are in use, a poll looks at the ten opened last and at five others. */
static void test_poll_many(struct fixture *fixture, gconstpointer data)
{
    enum { BOXES = 30, LAST = 10, TURN = 5, POLLS = (BOXES - LAST) / TURN };
    static const char *const FLAGS[POLLS] = {"\\Flagged", "\\Seen", "\\Answered", "\\Draft"};
    fixture->account.poll_s = 60;
    fixture->account.connections = 1;
    fixture->imapd->capabilities = "ESEARCH UIDPLUS LIST-EXTENDED LIST-STATUS";
    for (unsigned i = 0; i < BOXES; i++) {
        g_autofree char *name = g_strdup_printf("b%02u", i);
        imapd_add(imapd_add_box(fixture->imapd, name, ""), 200);
    }
    fixture_start(fixture);
    for (unsigned i = 0; i < BOXES; i++) {
        g_autofree char *name = g_strdup_printf("b%02u", i);
        g_assert_cmpint(fixture_list(fixture, name), ==, ENGINE_OK);
    }
    imapd_forget_counts(fixture->imapd);
    for (unsigned poll = 1; poll <= POLLS; poll++) {
        g_mutex_lock(&fixture->imapd->lock);
        for (guint i = 0; i < fixture->imapd->boxes->len; i++)
            box_flag(fixture->imapd->boxes->pdata[i], FLAGS[poll - 1]);
        g_mutex_unlock(&fixture->imapd->lock);
        fixture_pass(61);
        while (g_atomic_int_get(&fixture->flags_changed) < (gint)poll * (LAST + TURN))
            g_usleep(1000);
    }
    g_assert_cmpuint(count(fixture, &fixture->imapd->examines), ==, POLLS * (LAST + TURN));
    g_assert_cmpuint(count_examined(fixture, BOXES, POLLS), ==, LAST);
    g_assert_cmpuint(count_examined(fixture, BOXES, 1), ==, BOXES - LAST);
}

/* As if each mailbox had been listed, empty. */
static void keep_all(struct fixture *fixture, unsigned boxes)
{
    struct cache_txn *txn = cache_txn_write(fixture->cache);
    for (unsigned i = 0; i < boxes; i++) {
        struct cache_mailbox mailbox;
        g_autofree char *wire = g_strdup_printf("b%04u", i);
        g_assert_cmpint(cache_mailbox_by_wire(txn, wire, &mailbox) == CACHE_OK, ==, true);
        g_autofree char *name = g_strdup(mailbox.name);
        mailbox.wire = wire;
        mailbox.name = name;
        mailbox.rights = "";
        mailbox.flags |= CACHE_MAILBOX_COMPLETE;
        mailbox.uidvalidity = 1001 + i;
        mailbox.uidnext = 1;
        mailbox.highestmodseq = 1;
        g_assert_cmpint(cache_mailbox_put(txn, &mailbox), ==, CACHE_OK);
    }
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
}

/* How many mailboxes STATUS was asked for; adds their names. */
static unsigned status_asked(struct fixture *fixture, GHashTable *names)
{
    unsigned asked = 0;
    g_mutex_lock(&fixture->imapd->lock);
    for (guint i = 0; i < fixture->imapd->lines->len; i++) {
        const char *line = fixture->imapd->lines->pdata[i];
        if (!g_str_has_prefix(line, "STATUS "))
            continue;
        asked++;
        g_hash_table_add(names, g_strndup(line + 7, strcspn(line + 7, " ")));
    }
    g_mutex_unlock(&fixture->imapd->lock);
    return asked;
}

/* Where each mailbox must be asked for by itself, each of very many has its turn; the one in use is
 * asked for each time. */
static void test_poll_very_many(struct fixture *fixture, gconstpointer data)
{
    enum { BOXES = 2500, MOST = 1000, POLLS = 3 };
    const struct engine_wish poll = {.want = ENGINE_FOLDERS, .anew = true};
    g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fixture->account.poll_s = 3600;
    fixture->account.connections = 1;
    fixture->imapd->capabilities = "CONDSTORE ESEARCH UIDPLUS";
    for (unsigned i = 0; i < BOXES; i++) {
        g_autofree char *name = g_strdup_printf("b%04u", i);
        imapd_add_box(fixture->imapd, name, "");
    }
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "b0007"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK); /* is selected then */
    keep_all(fixture, BOXES);
    g_mutex_lock(&fixture->imapd->lock);
    imapd_add(imapd_box(fixture->imapd, "b2400"), 200);
    g_mutex_unlock(&fixture->imapd->lock);
    imapd_forget_counts(fixture->imapd);
    unsigned asked = 0, used = 0;
    while (g_hash_table_size(all) < BOXES) { /* one may join a poll that is not over */
        fixture_pass(2);
        g_assert_cmpint(fixture_ask(fixture, &poll), ==, ENGINE_OK);
        g_usleep(10000);
        used = imapd_count_lines(fixture->imapd, "STATUS b0007 ");
        asked = status_asked(fixture, all);
        g_assert_cmpuint(asked, <=, (used + 1) * MOST);
    }
    g_assert_cmpuint(used, >=, POLLS);
    g_assert_cmpuint(used, >=, asked / MOST);
    while (fixture_mailbox(fixture, "b2400").count == 0)
        g_usleep(1000);
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

static const struct relist_case {
    const char *name, *greeting;
    unsigned connections;
    bool again; /* it is asked in another session */
} RELISTS[] = {
    {"dovecot", "Dovecot ready.", 4, true},
    {"one-connection", "Dovecot ready.", 1, true},
    {"another", "ready.", 4, false},
};

static bool has_box(struct fixture *fixture, const char *name)
{
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_by_wire(txn, name, &mailbox) == CACHE_OK;
}

static void add_box(struct fixture *fixture, const char *name)
{
    g_mutex_lock(&fixture->imapd->lock);
    imapd_add_box(fixture->imapd, name, "");
    g_mutex_unlock(&fixture->imapd->lock);
}

static void ask_folders(struct fixture *fixture)
{
    const struct engine_wish folders = {.want = ENGINE_FOLDERS, .anew = true};
    g_assert_cmpint(fixture_ask(fixture, &folders), ==, ENGINE_OK);
}

/* Minutes go by, in which all that is due is done. */
static void pass_minutes(struct fixture *fixture, unsigned minutes)
{
    for (unsigned i = 0; i < minutes; i++) {
        fixture_pass(60);
        ask_folders(fixture);
        g_usleep(300000); /* the timer has run */
    }
}

/* A session that goes on to tell the mailboxes that there were when it began, after some came. */
static void test_relist(struct fixture *fixture, gconstpointer data)
{
    const struct relist_case *relist = data;
    fixture->account.connections = relist->connections;
    fixture->imapd->capabilities = "ESEARCH UIDPLUS";
    fixture->imapd->greeting = relist->greeting;
    fixture_start(fixture);
    ask_folders(fixture);
    add_box(fixture, "first");
    ask_folders(fixture);
    g_assert_true(has_box(fixture, "first"));
    imapd_freeze_lists(fixture->imapd);
    add_box(fixture, "second");
    ask_folders(fixture);
    g_assert_false(has_box(fixture, "second"));
    fixture_pass(6);
    while (relist->again && !has_box(fixture, "second"))
        g_usleep(1000);
    pass_minutes(fixture, 3);
    g_assert_cmpint(has_box(fixture, "second"), ==, relist->again);
    /* it was asked once more, as that was news, and then never again */
    uint64_t signed_in = count(fixture, &fixture->imapd->signed_in);
    g_assert_cmpuint(signed_in, <=, relist->again ? 3 : 1);
    pass_minutes(fixture, 3);
    g_assert_cmpuint(count(fixture, &fixture->imapd->signed_in), ==, signed_in);
}

/* A mailbox that comes while a list is on its way, in another session than that which tells. */
static void test_list_crossed(struct fixture *fixture, gconstpointer data)
{
    imapd_add(fixture_inbox(fixture), 200);
    fixture->imapd->capabilities = MODSEQ " NOTIFY";
    fixture->imapd->greeting = "Dovecot ready.";
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    add_box(fixture, "first");
    ask_folders(fixture);
    uint64_t lists = count(fixture, &fixture->imapd->lists);
    fixture_pass(6); /* it asks in a newer session, and does from now on */
    while (count(fixture, &fixture->imapd->signed_in) < 2)
        g_usleep(1000);
    wait_count(fixture, &fixture->imapd->lists, lists + 1);
    ask_folders(fixture);

    lists = count(fixture, &fixture->imapd->lists);
    const struct engine_wish folders = {.want = ENGINE_FOLDERS};
    fixture_pass(2); /* the list is not fresh any more */
    hold(fixture, &fixture->imapd->list_held, true);
    struct pending *pending = fixture_begin(fixture, &folders);
    wait_count(fixture, &fixture->imapd->lists, lists + 1);
    add_box(fixture, "second");
    tell(fixture, "* LIST () \"/\" second\r\n");
    tell_flags(fixture, 1, "\\Flagged", change_flags(fixture, 1, "\\Flagged"));
    wait_flags(fixture, 1, CACHE_FLAG_FLAGGED); /* so both were heard */
    hold(fixture, &fixture->imapd->list_held, false);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
    while (!has_box(fixture, "second"))
        g_usleep(1000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/untold/full", test_told_full);
    ADD("/engine/untold/told-late", test_told_late);
    ADD("/engine/untold/told-back", test_told_back);
    ADD("/engine/untold/told-late-of-ours", test_told_late_of_ours);
    ADD("/engine/untold/told-parting", test_told_parting);
    ADD("/engine/untold/look", test_look);
    ADD("/engine/untold/poll", test_poll);
    ADD("/engine/untold/poll-many", test_poll_many);
    ADD("/engine/untold/poll-very-many", test_poll_very_many);
    ADD("/engine/untold/long-ago", test_long_ago);
    ADD("/engine/untold/list-crossed", test_list_crossed);
    for (size_t i = 0; i < G_N_ELEMENTS(RELISTS); i++) {
        g_autofree char *path = g_strdup_printf("/engine/untold/relist/%s", RELISTS[i].name);
        g_test_add(path, struct fixture, &RELISTS[i], fixture_setup, test_relist, fixture_teardown);
    }
    return g_test_run();
}
