/* A mailbox whose UIDs mean other messages all of a sudden: nothing of the new ones may become
 * content of the old, whoever asked for it and whoever's EXAMINE brought the news. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

#define MESSAGES 60
#define BODY 2000

static uint64_t old_objects[MESSAGES + 1];

static void wait_commands(struct fixture *fixture, uint64_t least)
{
    struct engine_status status;
    do {
        engine_status_read(fixture->engine, &status);
        g_usleep(1000);
    } while (status.commands < least);
}

static uint64_t count(struct fixture *fixture, const uint64_t *counter)
{
    return imapd_count(fixture->imapd, counter);
}

static uint64_t commands(struct fixture *fixture)
{
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    return status.commands;
}

/* One connection; INBOX and Other are listed, and the one named is selected last. */
static void setup(struct fixture *fixture, gconstpointer data)
{
    fixture_setup(fixture, data);
    fixture->account.connections = 1;
    fixture->account.prefetch_daily = 1 << 30;
    fixture->imapd->capabilities = "ESEARCH UIDPLUS MOVE";
    imapd_add_box(fixture->imapd, "Other", "");
    for (unsigned i = 0; i < MESSAGES; i++)
        imapd_add(fixture_inbox(fixture), BODY);
    fixture_journal(fixture);
}

static void start_listed(struct fixture *fixture, const char *first, const char *last)
{
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, first), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, last), ==, ENGINE_OK);
    for (uint32_t uid = 1; uid <= MESSAGES; uid++)
        old_objects[uid] = fixture_object(fixture, "INBOX", uid);
    imapd_forget_counts(fixture->imapd);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static struct pending *ask_list(struct fixture *fixture)
{
    const struct engine_wish wish = {
        .want = ENGINE_MAILBOX, .folder = fixture_mailbox(fixture, "INBOX").slot, .anew = true};
    return fixture_begin(fixture, &wish);
}

static struct pending *ask_uid(struct fixture *fixture, enum engine_want want, uint32_t uid)
{
    const struct engine_wish wish = {.want = want,
                                     .messages = fixture_mailbox(fixture, "INBOX").messages,
                                     .uid = uid,
                                     .section = want == ENGINE_BYTES ? "" : NULL,
                                     .length = UINT64_MAX};
    return fixture_begin(fixture, &wish);
}

static struct pending *ask_bytes(struct fixture *fixture)
{
    return ask_uid(fixture, ENGINE_BYTES, 2);
}

static struct pending *ask_first(struct fixture *fixture)
{
    return ask_uid(fixture, ENGINE_BYTES, 1);
}

static struct pending *ask_parts(struct fixture *fixture)
{
    return ask_uid(fixture, ENGINE_PARTS, 2);
}

static struct pending *ask_prefetch(struct fixture *fixture)
{
    const struct engine_wish wish = {.want = ENGINE_PREFETCH,
                                     .folder = fixture_mailbox(fixture, "INBOX").slot};
    return fixture_begin(fixture, &wish);
}

static struct pending *ask_again(struct fixture *fixture)
{
    return ask_uid(fixture, ENGINE_BYTES, 3);
}

/* ---- what may not be ------------------------------------------------------------------------- */

/* Whether the object holds what now is the message with this UID. */
static bool holds_new(struct fixture *fixture, uint64_t object, uint32_t uid)
{
    const GString *bytes = imapd_message(fixture_inbox(fixture), uid)->bytes;
    return fixture_holds(fixture, object, "", 0, bytes->str, bytes->len);
}

static bool has_tree(struct fixture *fixture, uint64_t object)
{
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    struct cache_parts parts;
    return cache_parts_get(txn, object, &parts) == CACHE_OK;
}

static void check_old(struct fixture *fixture)
{
    for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
        g_assert_false(holds_new(fixture, old_objects[uid], uid));
        g_assert_false(has_tree(fixture, old_objects[uid]));
    }
}

/* The new list, which comes by itself, and its first message's bytes. */
static void check_new(struct fixture *fixture)
{
    while (fixture_mailbox(fixture, "INBOX").uidvalidity != fixture_inbox(fixture)->uidvalidity)
        g_usleep(1000);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    for (uint32_t uid = 1; uid <= 4; uid++) {
        g_assert_cmpint(fixture_bytes(fixture, "INBOX", uid, "", 0, UINT64_MAX), ==, ENGINE_OK);
        g_assert_true(holds_new(fixture, fixture_object(fixture, "INBOX", uid), uid));
    }
}

static const struct behind_case {
    const char *name;
    bool elsewhere; /* another mailbox is selected before */
    struct pending *(*first)(struct fixture *fixture);
    unsigned commands; /* that it sends, EXAMINE among them */
    struct pending *(*second)(struct fixture *fixture);
    bool answered; /* the second is answered whatever becomes of it */
} BEHIND[] = {
    {"list/bytes", false, ask_list, 3, ask_bytes, false},
    {"list/parts", false, ask_list, 3, ask_parts, false},
    {"bytes/bytes", true, ask_first, 2, ask_bytes, false},
    {"bytes/parts", true, ask_first, 2, ask_parts, false},
    {"bytes/bulk", true, ask_first, 2, ask_prefetch, true},
    {"parts/bytes", true, ask_parts, 3, ask_again, false},
};

/* The second is sent behind the first one's EXAMINE, before that is answered. */
static void test_behind(struct fixture *fixture, gconstpointer data)
{
    const struct behind_case *behind = data;
    start_listed(fixture, behind->elsewhere ? "INBOX" : "Other",
                 behind->elsewhere ? "Other" : "INBOX");
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->renumber = 1;
    uint64_t before = commands(fixture);
    struct pending *first = behind->first(fixture);
    wait_commands(fixture, before + behind->commands);
    struct pending *second = behind->second(fixture);
    wait_commands(fixture, before + behind->commands + 1);
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_wait(first);
    enum engine_error error = fixture_wait(second);
    if (!behind->answered)
        g_assert_cmpint(error, ==, ENGINE_GONE);
    check_new(fixture);
    check_old(fixture);
}

/* ---- what is told ---------------------------------------------------------------------------- */

/* Says it to the line that idles, once it does. */
static void tell(struct fixture *fixture, const char *text)
{
    while (imapd_tell(fixture->imapd, "INBOX", text) == 0)
        g_usleep(1000);
}

static uint32_t flags_of(struct fixture *fixture, uint32_t uid)
{
    struct cache_message message;
    return fixture_message(fixture, "INBOX", uid, &message, NULL, NULL) ? message.flags : 0;
}

/* A line that was told of the old messages hears of the new ones as well. */
static void test_told(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "ESEARCH UIDPLUS IDLE";
    start_listed(fixture, "Other", "INBOX");
    tell(fixture, "* 1 FETCH (UID 1 FLAGS (\\Flagged))\r\n");
    while (flags_of(fixture, 1) != CACHE_FLAG_FLAGGED)
        g_usleep(1000);
    g_mutex_lock(&fixture->imapd->lock);
    imapd_renumber(fixture_inbox(fixture));
    imapd_add(fixture_inbox(fixture), BODY);
    g_mutex_unlock(&fixture->imapd->lock);
    tell(fixture, "* 61 EXISTS\r\n");
    while (fixture_object(fixture, "INBOX", MESSAGES + 1) == 0)
        g_usleep(1000);
    check_new(fixture);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, MESSAGES);
    g_assert_cmpint(g_atomic_int_get(&fixture->arrived), ==, MESSAGES + 1);
    uint64_t looks = count(fixture, &fixture->imapd->examines);
    tell(fixture, "* 2 FETCH (UID 2 FLAGS (\\Answered))\r\n");
    while (flags_of(fixture, 2) != CACHE_FLAG_ANSWERED)
        g_usleep(1000);
    tell(fixture, "* 2 EXPUNGE\r\n");
    while (fixture_object(fixture, "INBOX", 2) != 0)
        g_usleep(1000);
    g_assert_cmpuint(count(fixture, &fixture->imapd->examines), ==, looks);
}

/* ---- changes --------------------------------------------------------------------------------- */

static struct journal_address address(struct fixture *fixture, uint32_t uid)
{
    return (struct journal_address){"INBOX", fixture_inbox(fixture)->uidvalidity, uid};
}

static const struct change_case {
    const char *name;
    struct journal_entry entry;
} CHANGES[] = {
    {"move", {.kind = JOURNAL_MOVE, .target = "Other"}},
    {"copy", {.kind = JOURNAL_COPY, .target = "Other"}},
    {"expunge", {.kind = JOURNAL_EXPUNGE}},
    {"flags", {.kind = JOURNAL_FLAGS, .add = "\\Seen"}},
};

static uint64_t add_change(struct fixture *fixture, const struct change_case *change)
{
    struct journal_entry entry = change->entry;
    entry.message = address(fixture, 2);
    return fixture_add(fixture, &entry);
}

static void check_unchanged(struct fixture *fixture)
{
    g_mutex_lock(&fixture->imapd->lock);
    g_assert_cmpuint(fixture_inbox(fixture)->messages->len, ==, MESSAGES);
    g_assert_cmpuint(imapd_box(fixture->imapd, "Other")->messages->len, ==, 0);
    g_assert_cmpstr(imapd_message(fixture_inbox(fixture), 2)->flags, ==, "");
    const struct imapd *imapd = fixture->imapd;
    g_assert_cmpuint(imapd->moves + imapd->copies + imapd->stores + imapd->expunges, ==, 0);
    g_mutex_unlock(&fixture->imapd->lock);
}

/* Renumbered when the mailbox is selected for it. */
static void test_change(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture, "Other", "INBOX");
    uint64_t id = add_change(fixture, data);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->renumber = 1;
    g_mutex_unlock(&fixture->imapd->lock);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_GONE);
    check_unchanged(fixture);
    check_new(fixture);
}

/* A MOVE that is copied, and cannot be taken away: its copy has this UID, of that UIDVALIDITY. */
static uint64_t add_copied(struct fixture *fixture, uint32_t uid, uint32_t uidvalidity)
{
    const struct journal_entry entry = {
        .kind = JOURNAL_MOVE, .message = address(fixture, uid), .target = "Other"};
    uint64_t id = fixture_add(fixture, &entry);
    g_autoptr(GPtrArray) entries =
        g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    struct journal_entry *copied = journal_next(fixture->journal, id - 1);
    copied->step = JOURNAL_COPIED;
    copied->target_uidvalidity = uidvalidity;
    copied->target_uid = uid;
    g_ptr_array_add(entries, copied);
    g_assert_cmpint(journal_update(fixture->journal, entries), ==, CACHE_OK);
    return id;
}

/* Its copy is taken back, but only where the UID is still the copy's: the target was renumbered
 * between the one and the other. */
static void test_undo(struct fixture *fixture, gconstpointer data)
{
    struct imapd_box *other = imapd_box(fixture->imapd, "Other");
    for (unsigned i = 0; i < 2; i++)
        imapd_add(other, BODY);
    fixture->imapd->flaw_on = "UID STORE";
    fixture->imapd->flaw_words = "NO [NOPERM] you may not delete";
    fixture->imapd->flaw_times = 1;
    add_copied(fixture, 1, other->uidvalidity);
    add_copied(fixture, 2, other->uidvalidity - 1);
    start_listed(fixture, "Other", "INBOX");
    g_assert_cmpint(fixture_pushed(fixture, 0), ==, ENGINE_OK);
    g_mutex_lock(&fixture->imapd->lock);
    g_assert_null(imapd_message(other, 1));
    g_assert_nonnull(imapd_message(other, 2));
    g_assert_cmpstr(imapd_message(other, 2)->flags, ==, "");
    g_assert_cmpuint(fixture_inbox(fixture)->messages->len, ==, MESSAGES);
    g_mutex_unlock(&fixture->imapd->lock);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(BEHIND); i++) {
        g_autofree char *path = g_strconcat("/engine/renumber/behind/", BEHIND[i].name, NULL);
        g_test_add(path, struct fixture, &BEHIND[i], setup, test_behind, fixture_teardown);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(CHANGES); i++) {
        g_autofree char *path = g_strconcat("/engine/renumber/change/", CHANGES[i].name, NULL);
        g_test_add(path, struct fixture, &CHANGES[i], setup, test_change, fixture_teardown);
    }
    g_test_add("/engine/renumber/told", struct fixture, NULL, setup, test_told, fixture_teardown);
    g_test_add("/engine/renumber/undo", struct fixture, NULL, setup, test_undo, fixture_teardown);
    return g_test_run();
}
