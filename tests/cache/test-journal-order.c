/* Renamed mailboxes, the order of sending, and how entries end. */
#include "tests/cache/journal-scratch.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct journal_scratch Scratch;

#define ASSERT_TEXT(call, wanted)           \
    G_STMT_START                            \
    {                                       \
        g_autofree char *text_ = call;      \
        g_assert_cmpstr(text_, ==, wanted); \
    }                                       \
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

static uint64_t add_append(struct journal *journal, const char *target, const char *name,
                           uint64_t after)
{
    struct journal_entry append = entry_about(JOURNAL_APPEND, NULL, 0, target);
    append.staged = stage(journal, "Subject: x\r\n\r\nbytes");
    append.name = name;
    append.after = after;
    append.add = "\\Seen";
    return add(journal, append);
}

static void update(struct journal *journal, uint64_t id, enum journal_step step, uint32_t uid,
                   bool kept)
{
    g_autoptr(GPtrArray) entries =
        g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    struct journal_entry *entry = journal_next(journal, id - 1);
    entry->step = step;
    entry->target_uid = uid;
    entry->target_uidvalidity = 8;
    entry->kept = kept;
    g_ptr_array_add(entries, entry);
    g_assert_cmpint(journal_update(journal, entries), ==, CACHE_OK);
}

/* ---- renames --------------------------------------------------------------------------------- */

static void check_renamed(struct journal *journal)
{
    ASSERT_TEXT(journal_renamed(journal, "a"), "b");
    ASSERT_TEXT(journal_renamed(journal, "a/x"), "b/x");
    ASSERT_TEXT(journal_renamed(journal, "ab"), "ab");
    ASSERT_TEXT(journal_original(journal, "b/x"), "a/x");
    g_assert_true(hides(journal, "b", 5));
    g_assert_true(hides(journal, "b/x", 6));
    g_assert_true(hides(journal, "a", 5)); /* by the name of now, too */
    g_assert_false(hides(journal, "b", 6));
    ASSERT_TEXT(arrival_ids(journal, "b"), "3");
    ASSERT_TEXT(arrival_ids(journal, "a"), "");
    ASSERT_TEXT(arrival_ids(journal, "c"), "1 2 5");
    g_autoptr(journal_entry) first = journal_arrival(journal, "c", 0);
    g_assert_cmpstr(first->origin.mailbox, ==, "b");
    g_autoptr(journal_entry) placing =
        journal_placing(journal, &(struct journal_address){"b", 7, 5}, 0);
    g_assert_cmpuint(placing->id, ==, 1);
    g_autoptr(journal_entry) sent = journal_next(journal, 0);
    g_assert_cmpstr(sent->message.mailbox, ==, "a");
}

static void add_renamed(struct journal *journal)
{
    add(journal, entry_about(JOURNAL_MOVE, "a", 5, "c"));
    add(journal, entry_about(JOURNAL_MOVE, "a/x", 6, "c"));
    add(journal, entry_about(JOURNAL_COPY, "c", 9, "a"));
    add(journal, entry_mailbox(JOURNAL_RENAME, "a", "b"));
    add(journal, entry_about(JOURNAL_MOVE, "b", 8, "c"));
}

static void test_rename_done(Scratch *scratch, gconstpointer data)
{
    (void)data;
    add_renamed(scratch->journal);
    check_renamed(scratch->journal);
    reopen(scratch);
    check_renamed(scratch->journal);
    struct journal *journal = scratch->journal;
    ASSERT_TEXT(take_ids(journal, 10), "1");
    ASSERT_TEXT(take_ids(journal, 10), "2");
    ASSERT_TEXT(take_ids(journal, 10), "3");
    ASSERT_TEXT(take_ids(journal, 10), "");
    settle_one(journal, 2, true, 60);
    settle_one(journal, 3, true, 70);
    ASSERT_TEXT(take_ids(journal, 10), "");
    update(journal, 1, JOURNAL_MARKED, 80, true);
    ASSERT_TEXT(take_ids(journal, 10), "4");
    settle_one(journal, 4, true, 0);
    /* what stays bears the new name */
    g_autoptr(journal_entry) kept = journal_next(journal, 0);
    g_assert_cmpstr(kept->message.mailbox, ==, "b");
    g_assert_true(hides(journal, "b", 5));
    g_assert_false(hides(journal, "a", 5));
    ASSERT_TEXT(journal_renamed(journal, "a"), "a");
    ASSERT_TEXT(take_ids(journal, 10), "5");
}

static void test_rename_refused(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    add_renamed(journal);
    settle_one(journal, 4, false, 0);
    g_assert_true(hides(journal, "a", 5));
    g_assert_true(hides(journal, "a/x", 6));
    g_assert_true(hides(journal, "a", 8));
    g_assert_false(hides(journal, "b", 5));
    ASSERT_TEXT(arrival_ids(journal, "a"), "3");
    ASSERT_TEXT(journal_renamed(journal, "a"), "a");
    g_autoptr(journal_entry) last = journal_next(journal, 4);
    g_assert_cmpstr(last->message.mailbox, ==, "a");
}

/* Two mailboxes change names. */
static void test_rename_swap(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    add(journal, entry_about(JOURNAL_EXPUNGE, "a", 1, NULL));
    add(journal, entry_about(JOURNAL_EXPUNGE, "b", 2, NULL));
    add(journal, entry_mailbox(JOURNAL_RENAME, "a", "t"));
    add(journal, entry_mailbox(JOURNAL_RENAME, "b", "a"));
    add(journal, entry_mailbox(JOURNAL_RENAME, "t", "b"));
    add(journal, entry_about(JOURNAL_EXPUNGE, "a", 12, NULL));
    ASSERT_TEXT(journal_renamed(journal, "a"), "b");
    ASSERT_TEXT(journal_renamed(journal, "b"), "a");
    g_assert_true(hides(journal, "b", 1));
    g_assert_true(hides(journal, "a", 2));
    g_assert_true(hides(journal, "a", 12));
    static const char *const ORDER[] = {"1", "2", "3", "4", "5", "6", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(ORDER); i++) {
        g_autofree char *ids = take_ids(journal, 1);
        g_assert_cmpstr(ids, ==, ORDER[i]);
        if (*ids != 0)
            settle_one(journal, i + 1, true, 0);
    }
}

/* What waits for a message to arrive gets the name that its mailbox has then, not a later one. */
static void test_rename_after(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t first = add(journal, entry_about(JOURNAL_MOVE, "a", 5, "b"));
    add(journal, entry_mailbox(JOURNAL_RENAME, "b", "c"));
    uint64_t onward = add(journal, entry_since(JOURNAL_MOVE, first, "d"));
    add(journal, entry_mailbox(JOURNAL_RENAME, "c", "e"));
    settle_one(journal, first, true, 60);
    g_assert_false(hides(journal, "c", 60));
    for (uint64_t id = first + 1; id <= onward; id++) {
        g_autoptr(journal_entry) entry = journal_next(journal, onward - 1);
        g_assert_cmpstr(entry->message.mailbox, ==, "c");
        g_assert_cmpstr(entry->origin.mailbox, ==, "c");
        g_assert_cmpuint(entry->message.uid, ==, 60);
        g_autofree char *id_text = g_strdup_printf("%" G_GUINT64_FORMAT, id);
        ASSERT_TEXT(take_ids(journal, 10), id_text);
        settle_one(journal, id, true, 70);
    }
    ASSERT_TEXT(take_ids(journal, 10), "4");
}

static void test_mailboxes(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t create = add(journal, entry_mailbox(JOURNAL_CREATE, "n", NULL));
    uint64_t remove = add(journal, entry_mailbox(JOURNAL_REMOVE, "o", NULL));
    g_assert_true(journal_creates(journal, "n"));
    g_assert_false(journal_creates(journal, "o"));
    g_assert_true(journal_removes(journal, "o"));
    uint64_t rename = add(journal, entry_mailbox(JOURNAL_RENAME, "n", "m"));
    g_assert_true(journal_creates(journal, "m"));
    g_assert_false(journal_creates(journal, "n"));
    add(journal, entry_mailbox(JOURNAL_CREATE, "n", NULL));
    g_assert_true(journal_creates(journal, "n"));
    g_assert_cmpint(journal_cancel(journal, rename), ==, CACHE_OK);
    g_assert_true(journal_creates(journal, "n"));
    g_assert_false(journal_creates(journal, "m"));
    settle_one(journal, create, true, 0);
    settle_one(journal, remove, false, 0);
    g_assert_false(journal_removes(journal, "o"));
}

/* ---- order ----------------------------------------------------------------------------------- */

static struct journal_entry flags(const char *mailbox, uint32_t uid, const char *add)
{
    struct journal_entry entry = entry_about(JOURNAL_FLAGS, mailbox, uid, NULL);
    entry.add = add;
    return entry;
}

static void test_batches(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    for (uint32_t uid = 1; uid <= 5; uid++)
        add(journal, entry_about(JOURNAL_MOVE, "A", uid, uid == 3 ? "C" : "B"));
    add(journal, entry_about(JOURNAL_COPY, "D", 1, "B"));
    add(journal, entry_about(JOURNAL_MOVE, "D", 1, "C"));
    add(journal, entry_about(JOURNAL_COPY, "D", 1, "B"));
    add(journal, flags("E", 1, "\\Seen"));
    add(journal, flags("E", 1, "\\Seen"));
    add(journal, flags("E", 2, "\\Seen"));
    add(journal, flags("E", 3, "\\Flagged"));
    ASSERT_TEXT(take_ids(journal, 2), "1 2");
    ASSERT_TEXT(take_ids(journal, 10), "3");
    ASSERT_TEXT(take_ids(journal, 10), "4 5");
    ASSERT_TEXT(take_ids(journal, 10), "6");    /* 8 goes after 7 */
    ASSERT_TEXT(take_ids(journal, 10), "9 11"); /* one message not twice */
    ASSERT_TEXT(take_ids(journal, 10), "12");
    ASSERT_TEXT(take_ids(journal, 10), "");
    settle_one(journal, 6, true, 3);
    ASSERT_TEXT(take_ids(journal, 10), "7");
    settle_one(journal, 9, true, 0);
    ASSERT_TEXT(take_ids(journal, 10), "10");
}

static void test_give_back(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t id = add(journal, entry_about(JOURNAL_MOVE, "A", 1, "B"));
    add(journal, entry_about(JOURNAL_MOVE, "A", 2, "B"));
    g_autoptr(GPtrArray) taken = journal_take(journal, 1);
    g_assert_cmpint(journal_cancel(journal, id), ==, CACHE_NOT_FOUND);
    journal_give_back(journal, taken);
    update(journal, id, JOURNAL_SENT, 0, false);
    g_assert_cmpint(journal_cancel(journal, id), ==, CACHE_NOT_FOUND);
    ASSERT_TEXT(take_ids(journal, 10), "1"); /* another step goes apart */
    ASSERT_TEXT(take_ids(journal, 10), "2");
    reopen(scratch);
    ASSERT_TEXT(take_ids(scratch->journal, 10), "1");
}

static void test_hierarchy(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    add(journal, entry_mailbox(JOURNAL_CREATE, "p", NULL));   /* 1 */
    add(journal, entry_mailbox(JOURNAL_CREATE, "p/q", NULL)); /* 2 */
    add(journal, entry_about(JOURNAL_MOVE, "A", 1, "p/q"));   /* 3 */
    add(journal, entry_about(JOURNAL_MOVE, "A", 2, "B"));     /* 4: overtakes */
    add(journal, entry_mailbox(JOURNAL_REMOVE, "A", NULL));   /* 5: after both */
    add(journal, entry_mailbox(JOURNAL_REMOVE, "pp", NULL));  /* 6: not related */
    ASSERT_TEXT(take_ids(journal, 10), "1");
    ASSERT_TEXT(take_ids(journal, 10), "4");
    ASSERT_TEXT(take_ids(journal, 10), "6");
    ASSERT_TEXT(take_ids(journal, 10), "");
    settle_one(journal, 1, true, 0);
    ASSERT_TEXT(take_ids(journal, 10), "2");
    settle_one(journal, 2, true, 0);
    settle_one(journal, 4, true, 1);
    ASSERT_TEXT(take_ids(journal, 10), "3");
    ASSERT_TEXT(take_ids(journal, 10), "");
    update(journal, 3, JOURNAL_PLACED, 0, false); /* the server has done it */
    ASSERT_TEXT(take_ids(journal, 10), "5");
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void test_dropped(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    g_autoptr(GPtrArray) entries =
        g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    g_autoptr(GPtrArray) dropped =
        g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    struct journal_counts counts;
    struct journal_failed failed;
    uint64_t first = add_append(journal, "B", "n.eml", 0);
    struct journal_entry old = entry_about(JOURNAL_MOVE, "B", 4, "Trash");
    old.after = first;
    uint64_t second = add(journal, old);
    add(journal, entry_since(JOURNAL_FLAGS, second, NULL));
    add_append(journal, "B", "../evil\n.eml", second);
    add(journal, entry_about(JOURNAL_MOVE, "B", 5, "C"));
    ASSERT_TEXT(take_ids(journal, 1), "1");
    ASSERT_TEXT(take_ids(journal, 9), "5");
    g_ptr_array_add(entries, journal_next(journal, 0));
    g_assert_cmpint(journal_fail(journal, entries->pdata[0], "NO\r\nover quota", NULL), ==,
                    CACHE_OK);
    g_assert_cmpint(journal_fail(journal, entries->pdata[0], "again", NULL), ==, CACHE_OK);
    g_assert_cmpint(journal_settle(journal, entries, false, dropped), ==, CACHE_OK);
    g_assert_cmpuint(dropped->len, ==, 3);
    g_assert_false(hides(journal, "B", 4));
    for (int i = 0; i < 2; i++) {
        journal_counts(journal, &counts);
        g_assert_cmpuint(counts.waiting, ==, 1);
        g_assert_cmpuint(counts.failed, ==, 2);
        g_assert_true(journal_failed_next(journal, 0, &failed));
        g_assert_cmpstr(failed.name, ==, "n.eml");
        g_assert_cmpstr(failed.why, ==, "NO  over quota");
        g_assert_cmpuint(failed.size, ==, strlen("Subject: x\r\n\r\nbytes"));
        uint64_t number = failed.number;
        journal_failed_clear(&failed);
        g_assert_true(journal_failed_next(journal, number, &failed));
        g_assert_cmpstr(failed.name, ==, "_._evil_.eml");
        journal_failed_clear(&failed);
        reopen(scratch);
        journal = scratch->journal;
    }
    int fd = journal_failed_open(journal, 1);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_cmpint(journal_failed_remove(journal, 1), ==, CACHE_OK);
    g_assert_cmpint(journal_failed_remove(journal, 1), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(journal_failed_open(journal, 1), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
    reopen(scratch);
    journal_counts(scratch->journal, &counts);
    g_assert_cmpuint(counts.failed, ==, 1);
}

static void test_failed_names(Scratch *scratch, gconstpointer data)
{
    (void)data;
    static const struct {
        const char *asked, *name;
    } NAMES[] = {
        {"", "message.eml"},        {"a", "a.eml"},     {"a.eml", "a (2).eml"},
        {"A.EML", "A.EML.eml"},     {"A", "A (3).eml"}, {"/", "_.eml"},
        {".hidden", "_hidden.eml"}, {"..", "_..eml"},   {"x\x7fy\xff", "x_y\xef\xbf\xbd.eml"},
    };
    struct journal *journal = scratch->journal;
    uint64_t after = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        uint64_t id = add_append(journal, "B", NAMES[i].asked, 0);
        g_autoptr(journal_entry) entry = journal_next(journal, id - 1);
        struct journal_failed failed;
        g_assert_cmpint(journal_fail(journal, entry, "no", NULL), ==, CACHE_OK);
        settle_one(journal, id, false, 0);
        g_assert_true(journal_failed_next(journal, after, &failed));
        g_assert_cmpstr(failed.name, ==, NAMES[i].name);
        after = failed.number;
        journal_failed_clear(&failed);
    }
    g_autofree char *staged = journal_scratch_path(scratch->directory, "staged");
    g_autoptr(GDir) left = g_dir_open(staged, 0, NULL);
    g_assert_null(g_dir_read_name(left));
}

static void test_cancel(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t first = add_append(journal, "B", "n.eml", 0);
    add(journal, entry_since(JOURNAL_FLAGS, first, NULL));
    g_assert_cmpint(journal_cancel(journal, first), ==, CACHE_OK);
    g_assert_cmpint(journal_cancel(journal, first), ==, CACHE_NOT_FOUND);
    g_assert_null(journal_next(journal, 0));
    g_assert_cmpint(journal_staged_open(journal, 1), ==, -1);
    g_assert_false(journal_concerns(journal, "B"));
}

/* What was overwritten by a message that is overwritten itself goes after the newer one. */
static void test_supersede(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t first = add_append(journal, "B", "n.eml", 0);
    struct journal_entry overwritten = entry_about(JOURNAL_MOVE, "B", 7, "Trash");
    overwritten.after = first;
    add(journal, overwritten);
    uint64_t second = add_append(journal, "B", "n.eml", 0);
    struct journal_entry earlier = entry_since(JOURNAL_EXPUNGE, first, NULL);
    earlier.after = second;
    add(journal, earlier);
    g_assert_cmpint(journal_supersede(journal, first, second), ==, CACHE_OK);
    g_autoptr(journal_entry) append = journal_next(journal, 0);
    g_assert_cmpuint(append->id, ==, second);
    g_autoptr(journal_entry) move = journal_next(journal, second);
    g_assert_nonnull(move);
    g_assert_cmpint(move->kind, ==, JOURNAL_MOVE);
    g_assert_cmpuint(move->message.uid, ==, 7);
    g_assert_cmpuint(move->after, ==, second);
    g_assert_null(journal_next(journal, move->id));
    g_assert_cmpint(journal_supersede(journal, second, 0), ==, CACHE_OK);
    g_autoptr(journal_entry) alone = journal_next(journal, 0);
    g_assert_nonnull(alone);
    g_assert_cmpuint(alone->message.uid, ==, 7);
    g_assert_cmpuint(alone->after, ==, 0);
    g_assert_cmpint(journal_supersede(journal, second, 0), ==, CACHE_NOT_FOUND);
}

/* What follows a message shows it, before and after the server has it. */
static void test_chain(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    uint64_t first = add_append(journal, "B", "n.eml", 0);
    ASSERT_TEXT(take_ids(journal, 1), "1");
    uint64_t second = add(journal, entry_since(JOURNAL_MOVE, first, "C"));
    g_autoptr(journal_entry) shown = journal_arrival(journal, "C", 0);
    g_assert_cmpuint(shown->origin.uid, ==, 0);
    g_assert_cmpuint(shown->staged, ==, 1);
    g_autoptr(journal_entry) placing = journal_placing(journal, NULL, 1);
    g_assert_cmpuint(placing->id, ==, second);
    update(journal, first, JOURNAL_PLACED, 31, false);
    g_assert_true(journal_hides(journal, &(struct journal_address){"B", 8, 31}));
    ASSERT_TEXT(take_ids(journal, 1), "");
    settle_one(journal, first, true, 31);
    g_assert_true(journal_hides(journal, &(struct journal_address){"B", 8, 31}));
    g_autoptr(journal_entry) later = journal_arrival(journal, "C", 0);
    g_assert_cmpuint(later->origin.uid, ==, 31);
    g_assert_cmpuint(later->staged, ==, 0);
    ASSERT_TEXT(take_ids(journal, 1), "2");
}

/* ---- flags ----------------------------------------------------------------------------------- */

static void check_flags(bool changed, uint32_t flags, GString *keywords, bool wanted_changed,
                        uint32_t wanted, const char *wanted_keywords)
{
    g_assert_cmpint(changed, ==, wanted_changed);
    g_assert_cmpuint(flags, ==, wanted);
    g_assert_cmpstr(keywords->str, ==, wanted_keywords);
}

static void test_flags(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    const struct journal_address address = {"A", 7, 5};
    g_autoptr(GString) keywords = g_string_new("work $Junk");
    uint32_t bits = CACHE_FLAG_SEEN;
    bool changed = journal_flags(journal, &address, &bits, keywords);
    check_flags(changed, bits, keywords, false, CACHE_FLAG_SEEN, "work $Junk");
    struct journal_entry entry = flags("A", 5, "\\flagged new work");
    entry.remove = "\\Seen $junk";
    add(journal, entry);
    changed = journal_flags(journal, &address, &bits, keywords);
    check_flags(changed, bits, keywords, true, CACHE_FLAG_FLAGGED, "new work");
    /* a copy has what came before it, and what comes for it */
    uint64_t copy = add(journal, entry_about(JOURNAL_COPY, "A", 5, "B"));
    entry = entry_since(JOURNAL_FLAGS, copy, NULL);
    entry.add = "\\Draft";
    add(journal, entry);
    uint64_t move = add(journal, entry_about(JOURNAL_MOVE, "A", 5, "C"));
    entry = flags("A", 5, "\\Answered");
    add(journal, entry); /* goes after the move, wherever that is */
    g_autoptr(journal_entry) last = journal_next(journal, move);
    g_assert_cmpuint(last->source, ==, move);
    bits = 0;
    g_string_assign(keywords, "");
    changed = journal_flags_of(journal, copy, &bits, keywords);
    check_flags(changed, bits, keywords, true, CACHE_FLAG_FLAGGED | CACHE_FLAG_DRAFT, "new work");
    bits = 0;
    changed = journal_flags_of(journal, move, &bits, keywords);
    check_flags(changed, bits, keywords, true, CACHE_FLAG_FLAGGED | CACHE_FLAG_ANSWERED,
                "new work");
    bits = 0;
    changed = journal_flags(journal, &address, &bits, keywords);
    check_flags(changed, bits, keywords, true, CACHE_FLAG_FLAGGED | CACHE_FLAG_ANSWERED,
                "new work");
    uint64_t append = add_append(journal, "B", "", 0);
    bits = 0;
    g_string_assign(keywords, "");
    changed = journal_flags_of(journal, append, &bits, keywords);
    check_flags(changed, bits, keywords, true, CACHE_FLAG_SEEN, "");
    g_assert_false(journal_flags_of(journal, 999, &bits, keywords));
}

/* ---- names asked for ------------------------------------------------------------------------- */

static void check_name(struct journal *journal, const char *mailbox, const char *name,
                       uint32_t wanted)
{
    uint32_t uidvalidity, uid;
    bool found = journal_name_get(journal, mailbox, name, &uidvalidity, &uid);
    g_assert_cmpint(found, ==, wanted != 0);
    if (found)
        g_assert_cmpuint(uid, ==, wanted);
}

static void test_names(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    g_assert_cmpint(journal_name_put(journal, "a", "x.eml", 7, 1), ==, CACHE_OK);
    g_assert_cmpint(journal_name_put(journal, "a/c", "x.eml", 7, 2), ==, CACHE_OK);
    check_name(journal, "a", "x.eml", 1);
    g_assert_cmpint(journal_sync(journal), ==, CACHE_OK);
    check_name(journal, "a", "x.eml", 1);
    check_name(journal, "a", "y.eml", 0);
    check_name(journal, "b", "x.eml", 0);
    g_assert_cmpint(journal_name_put(journal, "a", "y.eml", 7, 3), ==, CACHE_OK);
    uint64_t rename = add(journal, entry_mailbox(JOURNAL_RENAME, "a", "b"));
    check_name(journal, "b", "x.eml", 1);
    settle_one(journal, rename, true, 0);
    for (int i = 0; i < 2; i++) {
        check_name(journal, "b", "x.eml", 1);
        check_name(journal, "b/c", "x.eml", 2);
        check_name(journal, "b", "y.eml", 3);
        reopen(scratch);
        journal = scratch->journal;
    }
    check_name(journal, "a", "x.eml", 0);
    g_assert_cmpint(journal_name_put(journal, "b", "x.eml", 7, 0), ==, CACHE_OK);
    check_name(journal, "b", "x.eml", 0);
    reopen(scratch);
    check_name(scratch->journal, "b", "x.eml", 0);
    check_name(scratch->journal, "b", "y.eml", 3);
}

static void test_names_bounded(Scratch *scratch, gconstpointer data)
{
    (void)data;
    struct journal *journal = scratch->journal;
    for (uint32_t uid = 1; uid <= 100010; uid++) {
        char name[32];
        g_snprintf(name, sizeof name, "%u.eml", uid);
        g_assert_cmpint(journal_name_put(journal, "a", name, 7, uid), ==, CACHE_OK);
    }
    reopen(scratch);
    check_name(scratch->journal, "a", "10.eml", 0);
    check_name(scratch->journal, "a", "11.eml", 11);
    check_name(scratch->journal, "a", "100010.eml", 100010);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Scratch *scratch, gconstpointer data);
    } TESTS[] = {
        {"/journal/rename/done", test_rename_done},
        {"/journal/rename/refused", test_rename_refused},
        {"/journal/rename/swap", test_rename_swap},
        {"/journal/rename/after", test_rename_after},
        {"/journal/mailboxes", test_mailboxes},
        {"/journal/take/batches", test_batches},
        {"/journal/take/give-back", test_give_back},
        {"/journal/take/hierarchy", test_hierarchy},
        {"/journal/dropped", test_dropped},
        {"/journal/failed-names", test_failed_names},
        {"/journal/cancel", test_cancel},
        {"/journal/supersede", test_supersede},
        {"/journal/chain", test_chain},
        {"/journal/flags", test_flags},
        {"/journal/names/all", test_names},
        {"/journal/names/bounded", test_names_bounded},
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(TESTS); i++)
        g_test_add(TESTS[i].path, Scratch, NULL, setup, TESTS[i].test, teardown);
    return g_test_run();
}
