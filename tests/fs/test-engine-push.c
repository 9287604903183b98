/* The journal sent: what each kind of change does on a server, and what it must not do there. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, setup, function, fixture_teardown)
#define CAPABLE "CONDSTORE ESEARCH UIDPLUS SPECIAL-USE MOVE LITERAL+"

static void setup(struct fixture *fixture, gconstpointer data)
{
    fixture_setup(fixture, data);
    imapd_add_box(fixture->imapd, "Archive", "");
    fixture->imapd->capabilities = CAPABLE;
    fixture_journal(fixture);
}

static uint64_t count(struct fixture *fixture, const uint64_t *counter)
{
    return imapd_count(fixture->imapd, counter);
}

static struct imapd_box *box(struct fixture *fixture, const char *name)
{
    return imapd_box(fixture->imapd, name);
}

static unsigned held(struct fixture *fixture, const char *name)
{
    g_mutex_lock(&fixture->imapd->lock);
    unsigned messages = box(fixture, name)->messages->len;
    g_mutex_unlock(&fixture->imapd->lock);
    return messages;
}

static void fill(struct fixture *fixture, unsigned messages)
{
    for (unsigned i = 0; i < messages; i++)
        imapd_add(fixture_inbox(fixture), 200);
}

static void start_listed(struct fixture *fixture, unsigned messages)
{
    fill(fixture, messages);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, "Archive"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
}

static struct journal_address address(struct fixture *fixture, const char *mailbox, uint32_t uid)
{
    return (struct journal_address){mailbox, box(fixture, mailbox)->uidvalidity, uid};
}

static uint64_t add_move(struct fixture *fixture, enum journal_kind kind, uint32_t uid)
{
    const struct journal_entry entry = {.kind = kind,
                                        .message = address(fixture, "INBOX", uid),
                                        .target = kind == JOURNAL_EXPUNGE ? "" : "Archive",
                                        .size = 240};
    return fixture_add(fixture, &entry);
}

static bool journal_is_empty(struct fixture *fixture)
{
    g_autoptr(journal_entry) entry = journal_next(fixture->journal, 0);
    return entry == NULL;
}

static char *last_ending(struct fixture *fixture)
{
    g_mutex_lock(&fixture->lock);
    char *ending = g_strdup(g_queue_peek_tail(&fixture->endings));
    g_mutex_unlock(&fixture->lock);
    return ending;
}

/* Nothing that could remove what others have marked. */
static void check_no_blind_expunge(struct fixture *fixture)
{
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "EXPUNGE"), ==, 0);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "CLOSE"), ==, 0);
}

/* ---- moves ----------------------------------------------------------------------------------- */

static void test_move(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 3);
    uint64_t object = fixture_object(fixture, "INBOX", 2);
    uint64_t id = add_move(fixture, JOURNAL_MOVE, 2);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_true(journal_is_empty(fixture));
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 2);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
    g_assert_cmpuint(fixture_object(fixture, "Archive", 1), ==, object); /* its content too */
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 2), ==, 0);
    while (g_atomic_int_get(&fixture->settled) < 1) /* told just after the journal is empty */
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&fixture->settled), ==, 1);
    g_assert_cmpuint(count(fixture, &fixture->imapd->moves), ==, 1);
    g_assert_cmpuint(count(fixture, &fixture->imapd->copies), ==, 0);
    check_no_blind_expunge(fixture);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK); /* asked again: it is done */
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
}

static void test_move_many(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 10000);
    for (uint32_t uid = 1; uid <= 10000; uid++)
        add_move(fixture, JOURNAL_MOVE, uid);
    engine_push(fixture->engine);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
    g_assert_true(journal_is_empty(fixture));
    g_assert_cmpuint(held(fixture, "Archive"), ==, 10000);
    g_assert_cmpuint(count(fixture, &fixture->imapd->moves), ==, 20);
    g_assert_cmpuint(count(fixture, &fixture->imapd->selects), ==, 1);
    g_assert_cmpuint(count(fixture, &fixture->imapd->statuses), ==, 1);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), <, 80);
    g_test_message("%u flights", (unsigned)count(fixture, &fixture->imapd->flights));
    g_assert_cmpuint(fixture_mailbox(fixture, "Archive").count, ==, 10000);
    while (g_atomic_int_get(&fixture->settled) < 10000) /* told just after the journal is empty */
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&fixture->settled), ==, 10000);
}

/* Nobody waits: what is added one by one goes out together. */
static void test_move_gathered(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 200);
    for (uint32_t uid = 1; uid <= 200; uid++) {
        add_move(fixture, JOURNAL_MOVE, uid);
        engine_push(fixture->engine);
    }
    while (!journal_is_empty(fixture))
        g_usleep(5000);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 200);
    g_assert_cmpuint(count(fixture, &fixture->imapd->moves), <, 5);
}

static void test_move_gone(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 3);
    g_mutex_lock(&fixture->imapd->lock);
    imapd_remove(fixture_inbox(fixture), 2);
    g_mutex_unlock(&fixture->imapd->lock);
    add_move(fixture, JOURNAL_MOVE, 1);
    uint64_t gone = add_move(fixture, JOURNAL_MOVE, 2);
    add_move(fixture, JOURNAL_MOVE, 3);
    g_assert_cmpint(fixture_pushed(fixture, gone), ==, ENGINE_GONE);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
    while (g_atomic_int_get(&fixture->settled) < 2) /* told just after the journal is empty */
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&fixture->settled), ==, 2);
    g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 1);
}

static int departed(struct fixture *fixture, uint32_t uid)
{
    uint32_t messages = fixture_mailbox(fixture, "INBOX").messages;
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    struct cache_message message;
    int rc = cache_message_departed(txn, messages, uid, &message);
    if (rc == CACHE_OK)
        g_assert_true(strstr(message.name, "[2]") != NULL);
    return rc;
}

/* The list that it leaves is told of it before it is in the other: what is shown of it stays until
 * the change is settled, and no longer. */
static void test_move_on_its_way(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 3);
    uint64_t id = add_move(fixture, JOURNAL_MOVE, 2);
    g_mutex_lock(&fixture->imapd->lock);
    imapd_remove(fixture_inbox(fixture), 1);
    imapd_remove(fixture_inbox(fixture), 2);
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 2), ==, 0);
    g_assert_cmpuint(fixture_mailbox(fixture, "INBOX").count, ==, 1);
    g_assert_cmpint(departed(fixture, 2), ==, CACHE_OK);
    g_assert_cmpint(departed(fixture, 1), ==, CACHE_NOT_FOUND); /* nobody moves that one */
    fixture_stop(fixture); /* and it is kept as long as the entry is */
    fixture_start(fixture);
    fixture_pushed(fixture, id); /* one way or the other */
    while (departed(fixture, 2) != CACHE_NOT_FOUND)
        g_usleep(1000);
}

static void test_move_no_target(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 2);
    g_mutex_lock(&fixture->imapd->lock);
    g_ptr_array_remove(fixture->imapd->boxes, box(fixture, "Archive"));
    g_mutex_unlock(&fixture->imapd->lock);
    uint64_t id = add_move(fixture, JOURNAL_MOVE, 2);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_GONE);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 2);
    g_assert_true(journal_is_empty(fixture));
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 2), !=, 0);
    g_assert_cmpuint(count(fixture, &fixture->imapd->stores), ==, 0);
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    g_assert_cmpuint(status.refusals, ==, 1);
    g_assert_nonnull(strstr(status.refused[0], "move INBOX/"));
    g_assert_nonnull(strstr(status.refused[0], " [2] to Archive: "));
    g_assert_cmpstr(status.refused[1], ==, "");
}

/* All are counted, the last ones named. */
static void test_refusals(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, ENGINE_REFUSED_SHOWN + 3);
    g_mutex_lock(&fixture->imapd->lock);
    g_ptr_array_remove(fixture->imapd->boxes, box(fixture, "Archive"));
    g_mutex_unlock(&fixture->imapd->lock);
    for (uint32_t uid = 1; uid <= ENGINE_REFUSED_SHOWN + 3; uid++)
        add_move(fixture, JOURNAL_MOVE, uid);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_GONE);
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    g_assert_cmpuint(status.refusals, ==, ENGINE_REFUSED_SHOWN + 3);
    for (unsigned i = 0; i < ENGINE_REFUSED_SHOWN; i++) {
        g_autofree char *end = g_strdup_printf(" [%u] to Archive: ", ENGINE_REFUSED_SHOWN + 3 - i);
        g_assert_nonnull(strstr(status.refused[i], end));
    }
}

static void test_move_renumbered(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 2);
    uint64_t id = add_move(fixture, JOURNAL_MOVE, 2);
    g_mutex_lock(&fixture->imapd->lock);
    fixture_inbox(fixture)->uidvalidity = 77;
    g_mutex_unlock(&fixture->imapd->lock);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_GONE);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 2);
    g_assert_cmpuint(count(fixture, &fixture->imapd->moves), ==, 0);
}

static void test_move_read_only(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 2);
    fixture->imapd->read_box = "INBOX";
    uint64_t id = add_move(fixture, JOURNAL_MOVE, 2);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_REFUSED);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 2);
    g_assert_cmpuint(fixture_mailbox(fixture, "INBOX").flags & CACHE_MAILBOX_READONLY, !=, 0);
}

/* One that the server does not take does not keep the others. */
static void test_move_poison(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 20);
    imapd_message(fixture_inbox(fixture), 7)->poison = true;
    for (uint32_t uid = 1; uid <= 20; uid++)
        add_move(fixture, JOURNAL_MOVE, uid);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_REFUSED);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 1);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 19);
    g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 1);
    while (g_atomic_int_get(&fixture->settled) < 19) /* told just after the journal is empty */
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&fixture->settled), ==, 19);
}

static void check_fallback(struct fixture *fixture)
{
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 2);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
    g_assert_cmpuint(count(fixture, &fixture->imapd->copies), ==, 2);
    g_assert_cmpuint(count(fixture, &fixture->imapd->expunges), ==, 2);
    g_assert_nonnull(imapd_message(fixture_inbox(fixture), 3)); /* marked by others */
    check_no_blind_expunge(fixture);
}

static void move_two(struct fixture *fixture)
{
    start_listed(fixture, 4);
    struct imapd_message *others = imapd_message(fixture_inbox(fixture), 3);
    g_free(others->flags);
    others->flags = g_strdup("\\Deleted");
    uint64_t object = fixture_object(fixture, "INBOX", 2);
    g_assert_cmpint(fixture_pushed(fixture, add_move(fixture, JOURNAL_MOVE, 2)), ==, ENGINE_OK);
    g_assert_cmpuint(fixture_object(fixture, "Archive", 1), ==, object);
    g_assert_cmpint(fixture_pushed(fixture, add_move(fixture, JOURNAL_MOVE, 4)), ==, ENGINE_OK);
}

static void test_move_by_copy(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "CONDSTORE ESEARCH UIDPLUS";
    move_two(fixture);
    check_fallback(fixture);
}

/* It says that it can and does not: remembered. */
static void test_move_refused(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->flaw_on = "UID MOVE";
    fixture->imapd->flaw_words = "NO command not permitted with UID";
    move_two(fixture);
    check_fallback(fixture);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "UID MOVE"), ==, 1);
}

/* It can be copied and not be taken away: the copy goes, the message stays as and where it was. */
static void move_undone(struct fixture *fixture, const char *on)
{
    fixture->imapd->capabilities = "CONDSTORE ESEARCH UIDPLUS";
    start_listed(fixture, 2);
    fixture->imapd->flaw_on = on;
    fixture->imapd->flaw_words = "NO [NOPERM] you may not delete";
    fixture->imapd->flaw_times = 1;
    uint64_t id = add_move(fixture, JOURNAL_MOVE, 2);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_REFUSED);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 2);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 0);
    g_assert_cmpstr(imapd_message(fixture_inbox(fixture), 2)->flags, ==, "");
    check_no_blind_expunge(fixture);
}

static void test_move_undone(struct fixture *fixture, gconstpointer data)
{
    move_undone(fixture, "UID STORE");
}

/* Who expunges next must not find our mark on it. */
static void test_move_undone_marked(struct fixture *fixture, gconstpointer data)
{
    move_undone(fixture, "UID EXPUNGE");
}

/* Another client took it away once it was copied: the copy is the only one, and stays. */
static void test_move_not_undone(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "CONDSTORE ESEARCH UIDPLUS";
    start_listed(fixture, 2);
    fixture->imapd->flaw_on = "UID STORE";
    fixture->imapd->flaw_words = "NO [UNAVAILABLE] later";
    add_move(fixture, JOURNAL_MOVE, 2);
    engine_push(fixture->engine);
    while (imapd_count_lines(fixture->imapd, "UID STORE") == 0) {
        g_usleep(1000);
        fixture_pass(1);
    }
    g_mutex_lock(&fixture->imapd->lock);
    imapd_remove(fixture_inbox(fixture), 2);
    fixture->imapd->flaw_words = "NO [NOPERM] you may not delete";
    g_mutex_unlock(&fixture->imapd->lock);
    while (g_atomic_int_get(&fixture->settled) == 0) {
        g_usleep(1000);
        fixture_pass(1);
    }
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 0);
}

/* What follows a move that is never quite done does not wait for ever. */
static void test_move_kept(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "ESEARCH";
    start_listed(fixture, 2);
    uint64_t move = add_move(fixture, JOURNAL_MOVE, 2);
    const struct journal_entry flags = {.kind = JOURNAL_FLAGS, .source = move, .add = "\\Flagged"};
    const struct journal_entry next = {
        .kind = JOURNAL_EXPUNGE,
        .message = {"INBOX", fixture_inbox(fixture)->uidvalidity, 1},
        .after = move,
    };
    uint64_t flagged = fixture_add(fixture, &flags), removed = fixture_add(fixture, &next);
    g_assert_cmpint(fixture_pushed(fixture, flagged), ==, ENGINE_GONE);
    g_assert_cmpint(fixture_pushed(fixture, removed), ==, ENGINE_OK);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
    check_no_blind_expunge(fixture);
}

/* On the only connection readers get their turn. */
static void test_one_line(struct fixture *fixture, gconstpointer data)
{
    fixture->account.connections = 1;
    start_listed(fixture, 1200);
    for (uint32_t uid = 1; uid <= 1200; uid++)
        add_move(fixture, JOURNAL_MOVE, uid);
    engine_push(fixture->engine);
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1200);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 1200), ==, 0);
}

static void test_move_poor(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "";
    start_listed(fixture, 3);
    uint64_t id = add_move(fixture, JOURNAL_MOVE, 2);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 3);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
    g_assert_cmpstr(imapd_message(fixture_inbox(fixture), 2)->flags, ==, "\\Deleted");
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "UID EXPUNGE"), ==, 0);
    check_no_blind_expunge(fixture);
    struct journal_counts counts;
    journal_counts(fixture->journal, &counts);
    g_assert_cmpuint(counts.marked, ==, 1);
    struct journal_address hidden = address(fixture, "INBOX", 2);
    g_assert_true(journal_hides(fixture->journal, &hidden));

    g_mutex_lock(&fixture->imapd->lock); /* another client expunges it */
    imapd_remove(fixture_inbox(fixture), 2);
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    while (!journal_is_empty(fixture))
        g_usleep(2000);
}

static void test_copy(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 3);
    uint64_t object = fixture_object(fixture, "INBOX", 2);
    uint64_t id = add_move(fixture, JOURNAL_COPY, 2);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 3);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
    g_assert_cmpuint(fixture_object(fixture, "Archive", 1), ==, object);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 2), ==, object);
    g_assert_cmpuint(count(fixture, &fixture->imapd->moves), ==, 0);
    g_assert_cmpuint(count(fixture, &fixture->imapd->stores), ==, 0);
}

/* A mailbox that takes messages and shows none: what was said to be done is not done again, and
 * what may have been is not either. */
static void test_copy_unseen(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "ESEARCH";
    start_listed(fixture, 3);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = "SELECT Archive";
    fixture->imapd->flaw_words = "NO [NOPERM] you may not read it";
    g_mutex_unlock(&fixture->imapd->lock);
    uint64_t id = add_move(fixture, JOURNAL_COPY, 2);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->copies), ==, 1);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
}

static void test_expunge(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 4);
    struct imapd_message *others = imapd_message(fixture_inbox(fixture), 3);
    g_free(others->flags);
    others->flags = g_strdup("\\Deleted");
    add_move(fixture, JOURNAL_EXPUNGE, 1);
    add_move(fixture, JOURNAL_EXPUNGE, 2);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 2);
    g_assert_nonnull(imapd_message(fixture_inbox(fixture), 3));
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 1), ==, 0);
    g_assert_cmpuint(count(fixture, &fixture->imapd->expunges), ==, 1);
    check_no_blind_expunge(fixture);
}

/* Dovecot 2.3 says OK to UID EXPUNGE, and does not see all marks, where mail has come since. */
static const struct expunge_short {
    const char *path, *capabilities;
    enum journal_kind kind;
    unsigned times, expunges, left;
} SHORTS[] = {
    {"/engine/push/expunge-short/once", CAPABLE, JOURNAL_EXPUNGE, 1, 2, 1},
    {"/engine/push/expunge-short/twice", CAPABLE, JOURNAL_EXPUNGE, 2, 3, 1},
    {"/engine/push/expunge-short/always", CAPABLE, JOURNAL_EXPUNGE, 99, 4, 3},
    {"/engine/push/expunge-short/copied", "UIDPLUS", JOURNAL_MOVE, 1, 2, 1},
};

static void test_expunge_short(struct fixture *fixture, gconstpointer data)
{
    const struct expunge_short *shorts = data;
    fixture->imapd->capabilities = shorts->capabilities;
    start_listed(fixture, 7);
    fixture->imapd->expunge_short = shorts->times;
    for (uint32_t uid = 1; uid <= 6; uid++)
        add_move(fixture, shorts->kind, uid);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
    g_assert_true(journal_is_empty(fixture));
    g_assert_cmpuint(count(fixture, &fixture->imapd->expunges), ==, shorts->expunges);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, shorts->left);
    g_assert_cmpuint(held(fixture, "Archive"), ==, shorts->kind == JOURNAL_MOVE ? 6 : 0);
    check_no_blind_expunge(fixture);
}

/* ---- flags ----------------------------------------------------------------------------------- */

static uint64_t add_flags(struct fixture *fixture, uint32_t uid, const char *add,
                          const char *remove)
{
    const struct journal_entry entry = {.kind = JOURNAL_FLAGS,
                                        .message = address(fixture, "INBOX", uid),
                                        .add = add,
                                        .remove = remove};
    return fixture_add(fixture, &entry);
}

static void test_flags(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 3);
    uint64_t id = add_flags(fixture, 2, "\\Seen work", "");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpstr(imapd_message(fixture_inbox(fixture), 2)->flags, ==, "\\Seen work");
    g_autofree char *keywords = NULL;
    struct cache_message message;
    g_assert_true(fixture_message(fixture, "INBOX", 2, &message, NULL, &keywords));
    g_assert_cmpuint(message.flags, ==, CACHE_FLAG_SEEN);
    g_assert_cmpstr(keywords, ==, "work");
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "UID STORE 2 (UNCHANGEDSINCE"), ==, 1);
    id = add_flags(fixture, 2, "", "\\Seen");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpstr(imapd_message(fixture_inbox(fixture), 2)->flags, ==, "work");
}

/* Changed by others since: read anew, then done all the same, and theirs is kept. */
static void test_flags_modified(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 3);
    g_mutex_lock(&fixture->imapd->lock);
    struct imapd_message *message = imapd_message(fixture_inbox(fixture), 2);
    g_free(message->flags);
    message->flags = g_strdup("\\Flagged");
    message->modseq = ++fixture_inbox(fixture)->modseq;
    g_mutex_unlock(&fixture->imapd->lock);
    uint64_t id = add_flags(fixture, 2, "\\Seen", "");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpstr(message->flags, ==, "\\Flagged \\Seen");
    struct cache_message record;
    g_assert_true(fixture_message(fixture, "INBOX", 2, &record, NULL, NULL));
    g_assert_cmpuint(record.flags, ==, CACHE_FLAG_SEEN | CACHE_FLAG_FLAGGED);
    g_assert_cmpuint(count(fixture, &fixture->imapd->stores), ==, 2);
}

static void test_flags_refused(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 3);
    fixture->imapd->flaw_on = "UID STORE";
    fixture->imapd->flaw_words = "NO [CANNOT] no new keywords";
    uint64_t id = add_flags(fixture, 2, "work", "");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_REFUSED);
    g_assert_true(journal_is_empty(fixture));
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    g_assert_false(status.new_keywords);
}

/* ---- appends --------------------------------------------------------------------------------- */

#define MAIL "Message-ID: <one@example.org>\r\nSubject: x\r\nFrom: a@example.org\r\n\r\nhello\r\n"

static uint64_t add_append(struct fixture *fixture, const char *target, const char *bytes)
{
    size_t length = strlen(bytes);
    struct journal_entry entry = {.kind = JOURNAL_APPEND,
                                  .target = target,
                                  .name = "x.eml",
                                  .add = "\\Seen",
                                  .message_id = "<one@example.org>",
                                  .size = length,
                                  .internaldate = 1795000000,
                                  .staged = fixture_stage(fixture, bytes, length)};
    gsize digest = sizeof entry.digest;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, (const guchar *)bytes, (gssize)length);
    g_checksum_get_digest(checksum, entry.digest, &digest);
    return fixture_add(fixture, &entry);
}

static void test_append(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 1);
    uint64_t id = add_append(fixture, "Archive", MAIL);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
    const struct imapd_message *message = imapd_message(box(fixture, "Archive"), 1);
    g_assert_cmpstr(message->bytes->str, ==, MAIL);
    g_assert_cmpstr(message->flags, ==, "\\Seen");
    g_assert_nonnull(strstr(message->date, "Nov-2026"));
    g_assert_cmpuint(fixture_object(fixture, "Archive", 1), !=,
                     0); /* listed before it is settled */
    g_assert_true(journal_is_empty(fixture));
}

static void test_append_silent(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "ESEARCH";
    start_listed(fixture, 1);
    uint64_t id = add_append(fixture, "Archive", MAIL);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
    g_assert_cmpuint(count(fixture, &fixture->imapd->appends), ==, 1);
    g_assert_cmpuint(fixture_object(fixture, "Archive", 1), !=, 0);
    add_append(fixture, "Archive", MAIL); /* two of the same: each is found */
    const struct journal_entry flags = {.kind = JOURNAL_FLAGS,
                                        .message.mailbox = "Archive",
                                        .source = add_append(fixture, "Archive", MAIL),
                                        .add = "\\Flagged"};
    fixture_add(fixture, &flags);
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 3);
    g_assert_cmpstr(imapd_message(box(fixture, "Archive"), 3)->flags, ==, "\\Seen \\Flagged");
}

struct refusal_case {
    const char *words;
    enum engine_error error;
};
static const struct refusal_case REFUSALS[] = {
    {"NO [OVERQUOTA] the account is full", ENGINE_QUOTA},
    {"NO [TOOBIG] too big", ENGINE_TOO_BIG},
    {"NO [NOPERM] not here", ENGINE_REFUSED},
    {"NO Message contains bare newlines", ENGINE_INVALID},
    {"BAD invalid message", ENGINE_INVALID},
};

/* The server has trouble of its own: it is tried again, later and later, and not for ever. */
static void test_append_trouble(struct fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *words;
        unsigned times, sent;
        enum engine_error error;
    } TROUBLES[] = {
        {"NO System I/O error", 3, 4, ENGINE_OK},
        {"NO Internal error occurred. Refer to server log", 1, 2, ENGINE_OK},
        {"NO System I/O error", 0, 6, ENGINE_INVALID},
        {"NO [NOPERM] I/O error", 1, 1, ENGINE_REFUSED},
        {"BAD I/O error", 1, 1, ENGINE_INVALID},
    };
    start_listed(fixture, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(TROUBLES); i++) {
        g_mutex_lock(&fixture->imapd->lock);
        fixture->imapd->flaw_on = "APPEND";
        fixture->imapd->flaw_words = TROUBLES[i].words;
        fixture->imapd->flaw_times = TROUBLES[i].times;
        g_mutex_unlock(&fixture->imapd->lock);
        imapd_forget_counts(fixture->imapd);
        uint64_t id = add_append(fixture, "Archive", MAIL);
        engine_push(fixture->engine);
        for (unsigned sent = 1; sent < TROUBLES[i].sent; sent++) {
            while (imapd_count_lines(fixture->imapd, "APPEND") < sent)
                g_usleep(1000);
            g_usleep(100000); /* the answer is heard */
            fixture_pass(1 << (sent + 1));
        }
        while (!journal_is_empty(fixture))
            g_usleep(1000);
        g_assert_cmpint(fixture_pushed(fixture, id), ==, TROUBLES[i].error);
        g_assert_cmpuint(imapd_count_lines(fixture->imapd, "APPEND"), ==, TROUBLES[i].sent);
    }
}

/* Where the server has trouble to open a mailbox that is not gone: a change of it is tried again.
 */
static void test_select_trouble(struct fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *words;
        unsigned times, sent;
        enum engine_error error;
    } TROUBLES[] = {
        {"NO System I/O error", 2, 3, ENGINE_OK},
        {"NO System I/O error", 0, 6, ENGINE_BROKEN},
        {"NO Mailbox does not exist", 0, 1, ENGINE_GONE},
    };
    start_listed(fixture, 3);
    for (size_t i = 0; i < G_N_ELEMENTS(TROUBLES); i++) {
        const struct journal_entry flags = {
            .kind = JOURNAL_FLAGS,
            .message = {"INBOX", fixture_inbox(fixture)->uidvalidity, (uint32_t)i + 1},
            .add = "\\Flagged",
        };
        g_mutex_lock(&fixture->imapd->lock);
        fixture->imapd->flaw_on = "SELECT INBOX";
        fixture->imapd->flaw_words = TROUBLES[i].words;
        fixture->imapd->flaw_times = TROUBLES[i].times;
        g_mutex_unlock(&fixture->imapd->lock);
        imapd_forget_counts(fixture->imapd);
        uint64_t id = fixture_add(fixture, &flags);
        engine_push(fixture->engine);
        while (!journal_is_empty(fixture)) {
            fixture_pass(1);
            g_usleep(10000);
        }
        g_assert_cmpint(fixture_pushed(fixture, id), ==, TROUBLES[i].error);
        g_assert_cmpuint(imapd_count_lines(fixture->imapd, "SELECT INBOX"), ==, TROUBLES[i].sent);
    }
}

static void test_append_refused(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSALS); i++) {
        g_mutex_lock(&fixture->imapd->lock);
        fixture->imapd->flaw_on = "APPEND";
        fixture->imapd->flaw_words = REFUSALS[i].words;
        fixture->imapd->flaw_times = 1;
        g_mutex_unlock(&fixture->imapd->lock);
        uint64_t id = add_append(fixture, "Archive", MAIL);
        g_assert_cmpint(fixture_pushed(fixture, id), ==, REFUSALS[i].error);
        g_assert_true(journal_is_empty(fixture));
        g_autofree char *ending = last_ending(fixture);
        g_assert_nonnull(strstr(ending, strchr(REFUSALS[i].words, ' ') + 1 != NULL ? " " : ""));
    }
    g_assert_cmpuint(held(fixture, "Archive"), ==, 0);
}

/* Nobody waits for it: the bytes are kept. */
static void test_append_failed(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 1);
    fixture->imapd->flaw_on = "APPEND";
    fixture->imapd->flaw_words = "NO [OVERQUOTA] the account is full";
    add_append(fixture, "Archive", MAIL);
    engine_push(fixture->engine);
    while (!journal_is_empty(fixture))
        g_usleep(2000);
    struct journal_failed failed;
    g_assert_true(journal_failed_next(fixture->journal, 0, &failed));
    g_assert_cmpstr(failed.why, ==, "the account is full");
    g_assert_cmpuint(failed.size, ==, strlen(MAIL));
    journal_failed_clear(&failed);
}

static void test_append_too_big(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = CAPABLE " APPENDLIMIT=20";
    start_listed(fixture, 1);
    uint64_t id = add_append(fixture, "Archive", MAIL);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_TOO_BIG);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "APPEND"), ==, 0);
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    g_assert_cmpuint(status.append_limit, ==, 20);
}

/* Not now: stays, and is tried again. */
static void test_append_passing(struct fixture *fixture, gconstpointer data)
{
    static const char *const WORDS[] = {
        "NO [UNAVAILABLE] later",
        "NO [THROTTLED] too much",
        "NO Try again later",
        "BAD Request is throttled. Suggested Backoff Time: 500 milliseconds",
    };
    start_listed(fixture, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(WORDS); i++) {
        g_test_message("%s", WORDS[i]);
        g_mutex_lock(&fixture->imapd->lock);
        fixture->imapd->flaw_on = "APPEND";
        fixture->imapd->flaw_words = WORDS[i];
        fixture->imapd->flaw_times = 1;
        g_mutex_unlock(&fixture->imapd->lock);
        uint64_t id = add_append(fixture, "Archive", MAIL);
        g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
        g_assert_cmpuint(held(fixture, "Archive"), ==, i + 1);
        g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 0);
    }
}

/* ---- mailboxes ------------------------------------------------------------------------------- */

static uint64_t add_mailbox(struct fixture *fixture, enum journal_kind kind, const char *mailbox,
                            const char *target)
{
    const struct journal_entry entry = {
        .kind = kind, .message.mailbox = mailbox, .target = target, .delimiter = '/'};
    return fixture_add(fixture, &entry);
}

static bool in_cache(struct fixture *fixture, const char *wire)
{
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_by_wire(txn, wire, &mailbox) == CACHE_OK;
}

static void test_create(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 1);
    uint64_t id = add_mailbox(fixture, JOURNAL_CREATE, "", "New");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_nonnull(box(fixture, "New"));
    g_assert_true(in_cache(fixture, "New"));
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "SUBSCRIBE"), ==, 1);
    id = add_mailbox(fixture, JOURNAL_CREATE, "", "New"); /* made by others meanwhile */
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->creates), ==, 1);
}

/* Who asks for a mailbox that the server does not have yet waits until it has. */
static void test_create_bars(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 1);
    add_mailbox(fixture, JOURNAL_CREATE, "", "New");
    struct cache_txn *txn = cache_txn_write(fixture->cache);
    const struct cache_mailbox mailbox = {.slot = cache_slot_of_mailbox(fixture->cache, "New"),
                                          .wire = "New",
                                          .name = "New",
                                          .delimiter = '/'};
    g_assert_cmpint(cache_mailbox_put(txn, &mailbox), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    engine_push(fixture->engine);
    g_assert_cmpint(fixture_list(fixture, "New"), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->creates), ==, 1);
}

static void test_create_refused(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 1);
    fixture->imapd->flaw_on = "CREATE";
    fixture->imapd->flaw_words = "NO [CANNOT] not such a name";
    uint64_t id = add_mailbox(fixture, JOURNAL_CREATE, "", "New");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_INVALID);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "SUBSCRIBE"), ==, 0);
    fixture->imapd->flaw_words = "NO [NOPERM] not you";
    id = add_mailbox(fixture, JOURNAL_CREATE, "", "New");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_REFUSED);
}

/* LIST does not undo what the server was not told yet. */
static void test_create_offline(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 1);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = "CREATE";
    fixture->imapd->flaw_words = "NO [UNAVAILABLE] later";
    g_mutex_unlock(&fixture->imapd->lock);
    add_mailbox(fixture, JOURNAL_CREATE, "", "New");
    add_mailbox(fixture, JOURNAL_REMOVE, "Archive", "");
    engine_push(fixture->engine);
    fixture_pass(2);
    const struct engine_wish folders = {.want = ENGINE_FOLDERS};
    g_assert_cmpint(fixture_ask(fixture, &folders), ==, ENGINE_OK);
    g_assert_true(in_cache(fixture, "New"));
    g_assert_false(in_cache(fixture, "Archive"));
}

static void test_rename(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 1);
    uint64_t id = add_mailbox(fixture, JOURNAL_RENAME, "Archive", "Old");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_null(box(fixture, "Archive"));
    g_assert_nonnull(box(fixture, "Old"));
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "SUBSCRIBE"), ==, 1);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "UNSUBSCRIBE"), ==, 1);
    id = add_mailbox(fixture, JOURNAL_RENAME, "Old", "INBOX");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_EXISTS);
    g_assert_nonnull(box(fixture, "Old"));
}

/* As the file side shows it at once. */
static void show_renamed(struct fixture *fixture, const char *from, const char *to)
{
    struct cache_txn *txn = cache_txn_write(fixture->cache);
    struct cache_mailbox mailbox;
    g_assert_cmpint(cache_mailbox_by_wire(txn, from, &mailbox), ==, CACHE_OK);
    g_assert_cmpint(cache_mailbox_rename(txn, mailbox.slot, to, 0, to), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
}

/* A message that has come waits for the list of its new mailbox; one that goes on from there, and
 * the mailbox's other name, wait for it. That list can be had under the other name only. */
static void test_rename_behind_moves(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, 3);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = "EXAMINE Archive";
    fixture->imapd->flaw_words = "NO [UNAVAILABLE] not now";
    g_mutex_unlock(&fixture->imapd->lock);
    uint64_t first = add_move(fixture, JOURNAL_MOVE, 2);
    engine_push(fixture->engine);
    while (imapd_count_lines(fixture->imapd, "EXAMINE Archive") == 0)
        g_usleep(1000);
    const struct journal_entry second = {
        .kind = JOURNAL_MOVE, .source = first, .target = "INBOX", .size = 240};
    fixture_add(fixture, &second);
    show_renamed(fixture, "Archive", "Old");
    add_mailbox(fixture, JOURNAL_RENAME, "Archive", "Old");
    engine_push(fixture->engine);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = NULL;
    g_mutex_unlock(&fixture->imapd->lock);
    while (!journal_is_empty(fixture)) {
        fixture_pass(1);
        g_usleep(10000);
    }
    g_assert_null(box(fixture, "Archive"));
    g_assert_cmpuint(held(fixture, "Old"), ==, 0);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 3);
    g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 0);
}

static struct pending *begin_list(struct fixture *fixture, const char *mailbox)
{
    const struct engine_wish list = {
        .want = ENGINE_MAILBOX, .folder = fixture_mailbox(fixture, mailbox).slot, .anew = true};
    return fixture_begin(fixture, &list);
}

static void add_rename(struct fixture *fixture, const char *from, const char *to)
{
    show_renamed(fixture, from, to);
    add_mailbox(fixture, JOURNAL_RENAME, from, to);
}

/* Whoever asks for a list while its mailbox is renamed, and again, gets it by its last name. */
static void test_rename_behind_list(struct fixture *fixture, gconstpointer data)
{
    fixture->account.connections = 1;
    start_listed(fixture, 1);
    add_rename(fixture, "Archive", "Mid");
    struct pending *pending = begin_list(fixture, "Mid"); /* waits for RENAME */
    add_rename(fixture, "Mid", "Old");
    engine_push(fixture->engine);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "EXAMINE Mid"), ==, 0);
    g_assert_nonnull(box(fixture, "Old"));
}

/* So does who has asked by the old name just before. */
static void test_rename_crosses_list(struct fixture *fixture, gconstpointer data)
{
    fixture->account.connections = 2;
    start_listed(fixture, 1);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->examine_held = true;
    g_mutex_unlock(&fixture->imapd->lock);
    struct pending *pending = begin_list(fixture, "Archive");
    while (count(fixture, &fixture->imapd->examines) == 0)
        g_usleep(1000);
    add_rename(fixture, "Archive", "Old");
    engine_push(fixture->engine);
    while (count(fixture, &fixture->imapd->renames) == 0)
        g_usleep(1000);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->examine_held = false;
    g_mutex_unlock(&fixture->imapd->lock);
    g_assert_cmpint(fixture_wait(pending), ==, ENGINE_OK);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "EXAMINE Archive"), ==, 1);
}

static void test_remove(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "A", "");
    imapd_add_box(fixture->imapd, "A/B", "");
    start_listed(fixture, 1);
    uint64_t id = add_mailbox(fixture, JOURNAL_REMOVE, "A", "");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_NOT_EMPTY);
    id = add_mailbox(fixture, JOURNAL_REMOVE, "INBOX", "");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_NOT_EMPTY);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "DELETE"), ==, 0);
    add_mailbox(fixture, JOURNAL_REMOVE, "A/B", "");
    id = add_mailbox(fixture, JOURNAL_REMOVE, "A", "");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_null(box(fixture, "A"));
    g_assert_null(box(fixture, "A/B"));
    g_assert_false(in_cache(fixture, "A"));
}

/* That a child was just deleted is told amid the answer to LIST. */
static void test_remove_told(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "A", "");
    imapd_add_box(fixture->imapd, "A/B", "\\NonExistent");
    start_listed(fixture, 1);
    g_assert_false(in_cache(fixture, "A/B"));
    uint64_t id = add_mailbox(fixture, JOURNAL_REMOVE, "A", "");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_null(box(fixture, "A"));
}

/* rm -r: the messages go first, then the mailbox is empty. */
static void test_remove_after_moves(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "Doomed", "");
    imapd_add(box(fixture, "Doomed"), 100);
    imapd_add(box(fixture, "Doomed"), 100);
    start_listed(fixture, 1);
    for (uint32_t uid = 1; uid <= 2; uid++) {
        const struct journal_entry entry = {
            .kind = JOURNAL_MOVE, .message = address(fixture, "Doomed", uid), .target = "Archive"};
        fixture_add(fixture, &entry);
    }
    uint64_t id = add_mailbox(fixture, JOURNAL_REMOVE, "Doomed", "");
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_null(box(fixture, "Doomed"));
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
}

/* ---- rights and quota ------------------------------------------------------------------------ */

static void test_rights(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = CAPABLE " ACL QUOTA";
    start_listed(fixture, 1);
    uint32_t slot = fixture_mailbox(fixture, "INBOX").slot;
    struct cache_txn *txn = cache_txn_read(fixture->cache);
    struct cache_mailbox mailbox;
    g_assert_cmpint(cache_mailbox_get(txn, slot, &mailbox), ==, CACHE_OK);
    g_assert_cmpstr(mailbox.rights, ==, "lrs");
    cache_txn_end(txn);
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->rights), ==, 0); /* once a minute */
    struct engine_status status;
    do
        engine_status_read(fixture->engine, &status);
    while (!status.quota_known);
    g_assert_cmpint(status.quota_used, ==, 512);
    g_assert_cmpint(status.quota_limit, ==, 2048);
    g_assert_cmpint(status.quota_messages_limit, ==, 100);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/push/move", test_move);
    ADD("/engine/push/move-many", test_move_many);
    ADD("/engine/push/move-gathered", test_move_gathered);
    ADD("/engine/push/move-gone", test_move_gone);
    ADD("/engine/push/move-on-its-way", test_move_on_its_way);
    ADD("/engine/push/move-no-target", test_move_no_target);
    ADD("/engine/push/refusals", test_refusals);
    ADD("/engine/push/move-renumbered", test_move_renumbered);
    ADD("/engine/push/move-read-only", test_move_read_only);
    ADD("/engine/push/move-poison", test_move_poison);
    ADD("/engine/push/move-by-copy", test_move_by_copy);
    ADD("/engine/push/move-refused", test_move_refused);
    ADD("/engine/push/move-undone", test_move_undone);
    ADD("/engine/push/move-undone-marked", test_move_undone_marked);
    ADD("/engine/push/move-not-undone", test_move_not_undone);
    ADD("/engine/push/move-kept", test_move_kept);
    ADD("/engine/push/move-poor", test_move_poor);
    ADD("/engine/push/one-line", test_one_line);
    ADD("/engine/push/copy", test_copy);
    ADD("/engine/push/copy-unseen", test_copy_unseen);
    ADD("/engine/push/expunge", test_expunge);
    ADD("/engine/push/flags", test_flags);
    ADD("/engine/push/flags-modified", test_flags_modified);
    ADD("/engine/push/flags-refused", test_flags_refused);
    ADD("/engine/push/append", test_append);
    ADD("/engine/push/append-silent", test_append_silent);
    ADD("/engine/push/append-refused", test_append_refused);
    ADD("/engine/push/append-trouble", test_append_trouble);
    ADD("/engine/push/select-trouble", test_select_trouble);
    ADD("/engine/push/append-failed", test_append_failed);
    ADD("/engine/push/append-too-big", test_append_too_big);
    ADD("/engine/push/append-passing", test_append_passing);
    ADD("/engine/push/create", test_create);
    ADD("/engine/push/create-bars", test_create_bars);
    ADD("/engine/push/create-refused", test_create_refused);
    ADD("/engine/push/create-waiting", test_create_offline);
    ADD("/engine/push/rename", test_rename);
    for (size_t i = 0; i < G_N_ELEMENTS(SHORTS); i++)
        g_test_add(SHORTS[i].path, struct fixture, &SHORTS[i], setup, test_expunge_short,
                   fixture_teardown);
    ADD("/engine/push/rename-behind-moves", test_rename_behind_moves);
    ADD("/engine/push/rename-behind-list", test_rename_behind_list);
    ADD("/engine/push/rename-crosses-list", test_rename_crosses_list);
    ADD("/engine/push/remove", test_remove);
    ADD("/engine/push/remove-told", test_remove_told);
    ADD("/engine/push/remove-after-moves", test_remove_after_moves);
    ADD("/engine/push/rights", test_rights);
    return g_test_run();
}
