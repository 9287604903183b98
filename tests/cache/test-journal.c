/* What the journal shows, keeps and gives to be sent. */
#include "tests/cache/journal-scratch.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct journal_scratch Scratch;

#define ASSERT_IDS(call, wanted)           \
    G_STMT_START                           \
    {                                      \
        g_autofree char *ids_ = call;      \
        g_assert_cmpstr(ids_, ==, wanted); \
    }                                      \
    G_STMT_END

static void setup(Scratch *scratch, gconstpointer data)
{
    (void)data;
    journal_scratch_setup(scratch);
}

static void teardown(Scratch *scratch, gconstpointer data)
{
    (void)data;
    journal_scratch_teardown(scratch);
}

static void reopen(Scratch *scratch)
{
    journal_scratch_close(scratch);
    journal_scratch_open(scratch);
}

static unsigned waiting(struct journal *journal)
{
    struct journal_counts counts;
    journal_counts(journal, &counts);
    return counts.waiting;
}

/* ---- kept ------------------------------------------------------------------------------------ */

static void test_fields(Scratch *scratch, gconstpointer data)
{
    (void)data;
    uint64_t id;
    struct journal_entry entry = entry_about(JOURNAL_APPEND, NULL, 0, "Sent");
    entry.staged = stage(scratch->journal, "Subject: a\r\n\r\n");
    entry.name = "a.eml";
    entry.add = "\\Seen work";
    entry.message_id = "<1@example.org>";
    entry.internaldate = -5;
    memset(entry.digest, 0xa5, sizeof entry.digest);
    entry.asked_us = 77;
    g_assert_cmpint(journal_add(scratch->journal, &entry, true, &id), ==, CACHE_OK);
    g_assert_cmpuint(id, ==, 1);
    for (int i = 0; i < 2; i++) {
        g_autoptr(journal_entry) found = journal_next(scratch->journal, 0);
        g_assert_cmpuint(found->id, ==, 1);
        g_assert_cmpint(found->kind, ==, JOURNAL_APPEND);
        g_assert_cmpint(found->step, ==, JOURNAL_QUEUED);
        g_assert_cmpstr(found->target, ==, "Sent");
        g_assert_cmpstr(found->name, ==, "a.eml");
        g_assert_cmpstr(found->add, ==, "\\Seen work");
        g_assert_cmpstr(found->remove, ==, "");
        g_assert_cmpstr(found->message_id, ==, "<1@example.org>");
        g_assert_cmpint(found->internaldate, ==, -5);
        g_assert_cmpuint(found->asked_us, ==, 77);
        g_assert_cmpmem(found->digest, 32, entry.digest, 32);
        g_assert_null(journal_next(scratch->journal, 1));
        reopen(scratch);
    }
    int fd = journal_staged_open(scratch->journal, entry.staged);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
}

/* Where another client has renamed the target of an APPEND; nothing else changes its target. */
static void test_target(Scratch *scratch, gconstpointer data)
{
    (void)data;
    uint64_t append, move;
    struct journal_entry entry = entry_about(JOURNAL_APPEND, NULL, 0, "Sent");
    entry.staged = stage(scratch->journal, "Subject: a\r\n\r\n");
    g_assert_cmpint(journal_add(scratch->journal, &entry, true, &append), ==, CACHE_OK);
    entry = entry_about(JOURNAL_MOVE, "A", 1, "Sent");
    g_assert_cmpint(journal_add(scratch->journal, &entry, false, &move), ==, CACHE_OK);
    for (uint64_t after = 0; after < move; after++) {
        g_autoptr(journal_entry) found = journal_next(scratch->journal, after);
        g_autoptr(GPtrArray) news = g_ptr_array_new();
        struct journal_entry moved = *found;
        moved.target = "Older";
        g_ptr_array_add(news, &moved);
        g_assert_cmpint(journal_update(scratch->journal, news), ==, CACHE_OK);
    }
    for (int i = 0; i < 2; i++) {
        g_autoptr(journal_entry) first = journal_next(scratch->journal, 0);
        g_autoptr(journal_entry) second = journal_next(scratch->journal, append);
        g_autoptr(journal_entry) there = journal_arrival(scratch->journal, "Older", 0);
        g_autoptr(journal_entry) here = journal_arrival(scratch->journal, "Sent", 0);
        g_assert_cmpstr(first->target, ==, "Older");
        g_assert_cmpstr(second->target, ==, "Sent");
        g_assert_cmpuint(there->id, ==, append);
        g_assert_cmpuint(here->id, ==, move);
        reopen(scratch);
    }
}

static void test_refused(Scratch *scratch, gconstpointer data)
{
    (void)data;
    g_autofree char *huge = g_strnfill(1 << 17, 'x');
    const struct journal_entry ENTRIES[] = {
        {0},
        {.kind = (enum journal_kind)99},
        entry_about(JOURNAL_MOVE, "A", 1, NULL),
        entry_about(JOURNAL_MOVE, "A", 0, "B"),
        entry_about(JOURNAL_MOVE, "", 5, "B"),
        entry_about(JOURNAL_COPY, "A", 1, ""),
        entry_about(JOURNAL_COPY, "A", 1, huge),
        entry_about(JOURNAL_APPEND, NULL, 0, "B"),
        entry_mailbox(JOURNAL_CREATE, NULL, NULL),
        entry_mailbox(JOURNAL_RENAME, "A", NULL),
        entry_mailbox(JOURNAL_REMOVE, "", NULL),
        {.kind = JOURNAL_EXPUNGE, .message = {"A", 7, 1}, .step = (enum journal_step)9},
    };
    uint64_t id;
    for (size_t i = 0; i < G_N_ELEMENTS(ENTRIES); i++)
        g_assert_cmpint(journal_add(scratch->journal, &ENTRIES[i], false, &id), ==, CACHE_CORRUPT);
    struct journal_entry since = entry_since(JOURNAL_MOVE, 55, "B");
    g_assert_cmpint(journal_add(scratch->journal, &since, false, &id), ==, CACHE_NOT_FOUND);
    struct journal_entry after = entry_about(JOURNAL_MOVE, "A", 1, "B");
    after.after = 55;
    g_assert_cmpint(journal_add(scratch->journal, &after, false, &id), ==, CACHE_NOT_FOUND);
    struct journal_entry unstaged = entry_about(JOURNAL_APPEND, NULL, 0, "B");
    unstaged.staged = 1234;
    g_assert_cmpint(journal_add(scratch->journal, &unstaged, true, &id), ==, CACHE_NOT_FOUND);
    uint64_t flags = add(scratch->journal, entry_about(JOURNAL_FLAGS, "A", 1, NULL));
    since = entry_since(JOURNAL_MOVE, flags, "B");
    g_assert_cmpint(journal_add(scratch->journal, &since, false, &id), ==, CACHE_CORRUPT);
    g_assert_cmpuint(waiting(scratch->journal), ==, 1);
}

static void test_locked(Scratch *scratch, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_assert_null(journal_scratch_open_in(scratch->directory, &error));
    g_assert_error(error, CACHE_ERROR, CACHE_LOCKED);
    g_assert_nonnull(strstr(error->message, "pid 7"));
}

/* ---- moves ----------------------------------------------------------------------------------- */

static void test_move(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    struct journal_entry move = entry_about(JOURNAL_MOVE, "A", 5, "B");
    move.name = "mail.eml";
    uint64_t id = add(journal, move);
    g_assert_true(hides(journal, "A", 5));
    g_assert_false(hides(journal, "A", 6));
    g_assert_false(hides(journal, "B", 5));
    g_assert_true(journal_concerns(journal, "A"));
    g_assert_true(journal_concerns(journal, "B"));
    g_assert_false(journal_concerns(journal, "C"));
    ASSERT_IDS(arrival_ids(journal, "B"), "1");
    g_autoptr(journal_entry) named = journal_arrival_named(journal, "B", "mail.eml");
    g_assert_cmpuint(named->origin.uid, ==, 5);
    g_assert_cmpstr(named->origin.mailbox, ==, "A");
    g_assert_null(journal_arrival_named(journal, "B", "other.eml"));
    g_autoptr(journal_entry) placing =
        journal_placing(journal, &(struct journal_address){"A", 7, 5}, 0);
    g_assert_cmpuint(placing->id, ==, id);
    settle_one(journal, id, true, 50);
    g_assert_false(hides(journal, "A", 5));
    g_assert_false(journal_concerns(journal, "B"));
    g_assert_cmpuint(waiting(journal), ==, 0);
}

/* A second move of what waits is the first with another target; back again is nothing at all. */
static void test_merge(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t id = add(journal, entry_about(JOURNAL_MOVE, "A", 5, "B"));
    uint64_t flags = add(journal, entry_since(JOURNAL_FLAGS, id, NULL));
    g_assert_cmpuint(add(journal, entry_since(JOURNAL_MOVE, id, "C")), ==, id);
    ASSERT_IDS(arrival_ids(journal, "B"), "");
    ASSERT_IDS(arrival_ids(journal, "C"), "1");
    g_assert_cmpuint(add(journal, entry_about(JOURNAL_MOVE, "A", 5, "D")), ==, id);
    ASSERT_IDS(arrival_ids(journal, "D"), "1");
    reopen(scratch);
    journal = scratch->journal;
    ASSERT_IDS(arrival_ids(journal, "D"), "1");
    g_assert_cmpuint(add(journal, entry_since(JOURNAL_MOVE, id, "A")), ==, 0);
    g_assert_false(hides(journal, "A", 5));
    g_autoptr(journal_entry) left = journal_next(journal, 0);
    g_assert_cmpuint(left->id, ==, flags);
    g_assert_cmpuint(left->message.uid, ==, 5);
    g_assert_cmpuint(left->source, ==, 0);
}

static void test_merge_expunge(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t id = add(journal, entry_about(JOURNAL_MOVE, "A", 5, "B"));
    g_assert_cmpuint(add(journal, entry_since(JOURNAL_EXPUNGE, id, NULL)), ==, id);
    ASSERT_IDS(arrival_ids(journal, "B"), "");
    g_assert_true(hides(journal, "A", 5));
    /* what is to be copied must still be there then */
    id = add(journal, entry_about(JOURNAL_MOVE, "A", 6, "B"));
    uint64_t copy = add(journal, entry_since(JOURNAL_COPY, id, "C"));
    uint64_t expunge = add(journal, entry_since(JOURNAL_EXPUNGE, id, NULL));
    g_assert_cmpuint(expunge, >, copy);
    ASSERT_IDS(arrival_ids(journal, "B"), "");
    ASSERT_IDS(arrival_ids(journal, "C"), "3");
    /* a staged file goes with its entry */
    struct journal_entry append = entry_about(JOURNAL_APPEND, NULL, 0, "D");
    append.staged = stage(journal, "x");
    id = add(journal, append);
    g_assert_cmpuint(add(journal, entry_since(JOURNAL_EXPUNGE, id, NULL)), ==, 0);
    g_assert_cmpint(journal_staged_open(journal, append.staged), ==, -1);
}

/* Not across a new mailbox, which has to be there first, nor what the engine has. */
static void test_merge_not(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t first = add(journal, entry_about(JOURNAL_MOVE, "A", 5, "B"));
    add(journal, entry_mailbox(JOURNAL_CREATE, "C", NULL));
    uint64_t second = add(journal, entry_since(JOURNAL_MOVE, first, "C"));
    g_assert_cmpuint(second, ==, 3);
    ASSERT_IDS(arrival_ids(journal, "B"), "");
    ASSERT_IDS(arrival_ids(journal, "C"), "3");
    ASSERT_IDS(take_ids(journal, 10), "1");
    ASSERT_IDS(take_ids(journal, 10), "2");
    ASSERT_IDS(take_ids(journal, 10), "");
    settle_one(journal, 2, true, 0);
    settle_one(journal, 1, true, 90);
    g_autoptr(GPtrArray) taken = journal_take(journal, 10);
    const struct journal_entry *entry = taken->pdata[0];
    g_assert_cmpuint(entry->id, ==, second);
    g_assert_cmpstr(entry->message.mailbox, ==, "B");
    g_assert_cmpuint(entry->message.uid, ==, 90);
    g_assert_cmpuint(entry->message.uidvalidity, ==, 8);
    g_assert_cmpuint(add(journal, entry_since(JOURNAL_MOVE, second, "D")), ==, 4);
}

/* What was settled a moment ago can still be named; what was refused cannot. */
static void test_late(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t done = add(journal, entry_about(JOURNAL_MOVE, "A", 5, "B"));
    uint64_t refused = add(journal, entry_about(JOURNAL_MOVE, "A", 6, "B")), id;
    settle_one(journal, done, true, 50);
    settle_one(journal, refused, false, 0);
    struct journal_entry since = entry_since(JOURNAL_MOVE, done, "C");
    since.after = done;
    id = add(journal, since);
    g_autoptr(journal_entry) entry = journal_next(journal, 0);
    g_assert_cmpuint(entry->id, ==, id);
    g_assert_cmpstr(entry->message.mailbox, ==, "B");
    g_assert_cmpuint(entry->message.uid, ==, 50);
    since = entry_since(JOURNAL_MOVE, refused, "C");
    g_assert_cmpint(journal_add(journal, &since, false, &id), ==, CACHE_NOT_FOUND);
    since = entry_about(JOURNAL_MOVE, "A", 9, "C");
    since.after = refused;
    g_assert_cmpint(journal_add(journal, &since, false, &id), ==, CACHE_NOT_FOUND);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Scratch *scratch, gconstpointer data);
    } TESTS[] = {
        {"/journal/fields", test_fields},
        {"/journal/target", test_target},
        {"/journal/refused", test_refused},
        {"/journal/locked", test_locked},
        {"/journal/move", test_move},
        {"/journal/merge", test_merge},
        {"/journal/merge/expunge", test_merge_expunge},
        {"/journal/merge/not", test_merge_not},
        {"/journal/late", test_late},
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(TESTS); i++)
        g_test_add(TESTS[i].path, Scratch, NULL, setup, TESTS[i].test, teardown);
    return g_test_run();
}
