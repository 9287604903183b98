/* Files that are written into the mount: a real journal, and doors of the test's own behind it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/change.h"
#include "fs/draft.h"
#include "fs/error.h"
#include "fs/mime.h"
#include "fs/notify.h"
#include "tests/remove.h"

#define INBOX (UINT64_C(5) << 46)
#define ARCHIVE (UINT64_C(6) << 46)
#define OTHER (UINT64_C(7) << 46)  /* of another account */
#define CLOSED (UINT64_C(8) << 46) /* nothing may be added */
#define MESSAGE (UINT64_C(9) << 46 | UINT64_C(3) << 14)
#define MAIL "From: a@b\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\nbody\r\n"
#define MAIL_LF "From: a@b\nDate: Fri, 20 Nov 2026 10:00:00 +0000\n\nbody\n"
#define MAIL_DATE 1795168800
#define ME 77

/* ---- the other rooms ---- */

static struct {
    struct account account;
    struct mounted_account accounts[2];
    struct mounted mounted;
    struct journal *journal;
    char *directory;
    unsigned appends, copies;
    uint64_t last_parent, last_replaces, append_limit;
    int64_t last_date;
    int append_error;
    uint64_t message_size;
    /* what FLUSH waits for */
    uint64_t wished;
    uint64_t notified; /* the last one */
} test;

int change_may_add(const struct mounted *mounted, uint64_t parent)
{
    return parent == CLOSED ? EACCES : 0;
}

int change_append(const struct mounted *mounted, uint64_t parent, struct journal_entry *facts,
                  uint64_t replaces, uint64_t *entry)
{
    if (test.append_error != 0)
        return test.append_error;
    test.appends++;
    test.last_parent = parent;
    test.last_replaces = replaces;
    test.last_date = facts->internaldate;
    facts->kind = JOURNAL_APPEND;
    facts->target = parent == INBOX ? "INBOX" : "Archive";
    int error = journal_add(test.journal, facts, true, entry);
    g_assert_cmpint(error, ==, CACHE_OK);
    return 0;
}

int change_copy(const struct mounted *mounted, uint64_t inode, uint64_t parent, const char *name,
                uint64_t replaces, uint64_t *entry)
{
    test.copies++;
    test.last_parent = parent;
    struct journal_entry copy = {
        .kind = JOURNAL_COPY,
        .message = {"INBOX", 9, 3},
        .target = "Archive",
        .name = name,
    };
    g_assert_cmpint(journal_add(test.journal, &copy, true, entry), ==, CACHE_OK);
    return 0;
}

int place_find(const struct mounted *mounted, uint64_t inode, struct place *place)
{
    *place = (struct place){.node = node_of(inode), .kind = PLACE_MAILBOX};
    place->account = &test.accounts[inode == OTHER];
    place->mailbox.wire = inode == INBOX ? "INBOX" : "Archive";
    if (place->node.uid == 0)
        return 0;
    place->kind = PLACE_MESSAGE;
    place->mailbox.wire = "INBOX";
    place->mailbox.uidvalidity = 9;
    return 0;
}

void place_end(struct place *place)
{
}

int tree_place_attr(const struct mounted *mounted, struct place *place, bool exact,
                    struct tree_attr *attr, struct need *need)
{
    *attr = (struct tree_attr){
        .exact = true, .size = test.message_size, .mtime_ns = INT64_C(1500000000) * 1000000000};
    return 0;
}

int tree_attr(const struct mounted *mounted, uint64_t inode, bool exact, struct tree_attr *attr,
              struct need *need)
{
    return tree_place_attr(mounted, NULL, exact, attr, need);
}

int need_add(struct need *need, struct engine *engine, const struct engine_wish *wish)
{
    g_assert_cmpint(wish->want, ==, ENGINE_PUSHED);
    test.wished = wish->entry;
    need->count = 1;
    return NEED_WAIT;
}

void need_clear(struct need *need)
{
    need->count = 0;
}

void engine_push(struct engine *engine)
{
}

void notify_inode(uint64_t inode)
{
    test.notified = inode;
}

void engine_status_read(struct engine *engine, struct engine_status *status)
{
    *status = (struct engine_status){.append_limit = test.append_limit};
}

int error_of_cache(int error)
{
    return error == CACHE_OK ? 0 : EIO;
}

/* ---- the mount ---- */

static void open_journal(void)
{
    struct journal_options options = {
        .directory = test.directory, .account = "a@h:993", .owner = "a test"};
    g_autoptr(GError) error = NULL;
    test.journal = journal_open(&options, &error);
    g_assert_no_error(error);
    test.accounts[0].journal = test.accounts[1].journal = test.journal;
}

static void set_up(void)
{
    memset(&test, 0, sizeof(test));
    test.directory = g_dir_make_tmp("mailmount-XXXXXX", NULL);
    test.account = (struct account){.name = (char *)"a", .umask = 077};
    test.accounts[0].account = test.accounts[1].account = &test.account;
    test.mounted = (struct mounted){.accounts = test.accounts, .count = 2};
    open_journal();
}

static void tear_down(void)
{
    draft_clear();
    journal_close(test.journal);
    remove_tree(test.directory);
    g_free(test.directory);
}

static struct draft_handle *create(uint64_t parent, const char *name, uint64_t *inode)
{
    struct draft_handle *handle = NULL;
    g_assert_cmpint(draft_create(&test.mounted, parent, name, ME, inode, &handle), ==, 0);
    g_assert_true(draft_is_inode(*inode));
    return handle;
}

static void write_at(struct draft_handle *handle, uint64_t offset, const char *text)
{
    g_assert_cmpint(draft_write(handle, offset, text, strlen(text)), ==, 0);
}

static int flush_as(struct draft_handle *handle, pid_t who)
{
    struct need need = {0};
    test.wished = 0;
    int error = draft_flush(handle, who, &need);
    if (error == NEED_WAIT) {
        need.round = 1;
        error = draft_flush(handle, who, &need);
    }
    return error;
}

static int flush(struct draft_handle *handle)
{
    return flush_as(handle, ME);
}

/* Writes a whole file; what close(2) says. */
static int save(uint64_t parent, const char *name, const char *text, uint64_t *inode)
{
    struct draft_handle *handle = create(parent, name, inode);
    write_at(handle, 0, text);
    int error = flush(handle);
    draft_release(handle);
    return error;
}

static void check_bytes(uint64_t inode, const char *expected)
{
    struct draft_handle *handle;
    char buffer[512] = "";
    size_t got;
    struct tree_attr attr;
    g_assert_cmpint(draft_open(&test.mounted, inode, false, false, ME, &handle), ==, 0);
    g_assert_cmpint(draft_read(handle, 0, sizeof(buffer), buffer, &got), ==, 0);
    g_assert_cmpmem(buffer, got, expected, strlen(expected));
    g_assert_cmpint(draft_attr(&test.mounted, inode, &attr), ==, 0);
    g_assert_cmpuint(attr.size, ==, strlen(expected));
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
}

static uint64_t find(uint64_t parent, const char *name)
{
    return draft_find(&test.mounted, parent, name);
}

/* Entries in the journal, and the one that is there. */
static unsigned waiting(struct journal_entry **only)
{
    unsigned count = 0;
    uint64_t id = 0;
    for (;; count++) {
        struct journal_entry *entry = journal_next(test.journal, id);
        if (entry == NULL)
            return count;
        id = entry->id;
        if (only != NULL && *only == NULL)
            *only = entry;
        else
            journal_entry_free(entry);
    }
}

static unsigned staged_files(void)
{
    unsigned count = 0;
    g_autofree char *found = NULL;
    g_autofree char *command =
        g_strdup_printf("find %s -path '*/staged/*' -type f", test.directory);
    g_assert_true(g_spawn_command_line_sync(command, &found, NULL, NULL, NULL));
    for (const char *p = found; (p = strchr(p, '\n')) != NULL; p++)
        count++;
    return count;
}

/* `kept`: as when nobody waited for it, whose bytes go to failed/. */
static void settle_as(uint64_t message, int error, bool kept)
{
    g_autoptr(GPtrArray) taken = journal_take(test.journal, 100);
    g_assert_nonnull(taken);
    for (guint i = 0; i < taken->len; i++) {
        struct journal_entry *entry = taken->pdata[i];
        entry->target_uid = 3;
        entry->target_uidvalidity = 9;
        if (kept)
            g_assert_cmpint(journal_fail(test.journal, entry, "full", &entry->failed), ==,
                            CACHE_OK);
    }
    g_assert_cmpint(journal_settle(test.journal, taken, error == 0, NULL), ==, CACHE_OK);
    for (guint i = 0; i < taken->len; i++) {
        const struct journal_entry *entry = taken->pdata[i];
        draft_settled(&test.mounted, &test.accounts[0], entry->id, message, error, entry->failed);
    }
}

static void settle(uint64_t message, int error)
{
    settle_as(message, error, false);
}

/* The names in failed/, with a ";" after each. Owned by the caller. */
static char *failed_messages(void)
{
    GString *names = g_string_new(NULL);
    for (struct journal_failed failed = {0};
         journal_failed_next(test.journal, failed.number, &failed);) {
        g_string_append_printf(names, "%s;", failed.name);
        journal_failed_clear(&failed);
    }
    return g_string_free(names, FALSE);
}

static void check_failed(const char *names)
{
    g_autofree char *found = failed_messages();
    g_assert_cmpstr(found, ==, names);
}

/* ---- saving ---- */

static void test_save(void)
{
    uint64_t inode;
    g_autoptr(journal_entry) entry = NULL;
    g_assert_cmpint(save(INBOX, "n.eml", MAIL, &inode), ==, 0);
    g_assert_cmpuint(waiting(&entry), ==, 1);
    g_assert_cmpint(entry->kind, ==, JOURNAL_APPEND);
    g_assert_cmpstr(entry->name, ==, "n.eml");
    g_assert_cmpint(entry->internaldate, ==, MAIL_DATE);
    g_assert_cmpuint(entry->size, ==, strlen(MAIL));
    g_assert_cmpuint(test.wished, ==, entry->id);
    g_assert_cmpuint(staged_files(), ==, 1);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, inode);
    g_assert_cmpuint(draft_inode(&test.mounted, &test.accounts[0], entry->staged), ==, inode);
    check_bytes(inode, MAIL);
    struct tree_attr attr;
    g_assert_cmpint(draft_attr(&test.mounted, inode, &attr), ==, 0);
    g_assert_cmpint(attr.mtime_ns, ==, MAIL_DATE * INT64_C(1000000000));
    g_assert_cmpint(attr.permissions, ==, 0600);

    settle(MESSAGE, 0);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, 0);
    g_assert_cmpint(draft_attr(&test.mounted, inode, &attr), ==, ESTALE);
    g_assert_true(draft_saved(MESSAGE));
    g_assert_false(draft_saved(MESSAGE + 1));
    g_assert_cmpuint(staged_files(), ==, 0);
}

/* What has to be changed goes out in a file of its own; who wrote it still reads what he wrote. */
static void test_line_ends(void)
{
    uint64_t inode;
    g_autoptr(journal_entry) entry = NULL;
    char buffer[512];
    size_t got;
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    write_at(handle, 0, MAIL_LF);
    g_assert_cmpint(flush(handle), ==, 0);
    g_assert_cmpint(draft_read(handle, 0, sizeof(buffer), buffer, &got), ==, 0);
    g_assert_cmpmem(buffer, got, MAIL_LF, strlen(MAIL_LF));
    g_assert_cmpuint(waiting(&entry), ==, 1);
    uint64_t shown = draft_inode(&test.mounted, &test.accounts[0], entry->staged);
    g_assert_cmpuint(shown, ==, inode);
    draft_release(handle);
    check_bytes(inode, MAIL);
    g_assert_cmpuint(staged_files(), ==, 1);
}

static const struct {
    const char *name, *text;
    int error;
} REFUSED[] = {
    {"report.pdf", "%PDF-1.4\n", EINVAL},
    {"n.eml", "hello\n", EINVAL},
    {"n.eml", "\n", EINVAL},
};

static void test_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSED); i++) {
        uint64_t inode;
        g_assert_cmpint(save(INBOX, REFUSED[i].name, REFUSED[i].text, &inode), ==,
                        REFUSED[i].error);
        g_assert_cmpuint(find(INBOX, REFUSED[i].name), ==, 0);
        g_assert_cmpuint(waiting(NULL), ==, 0);
        g_assert_cmpuint(staged_files(), ==, 0);
    }
}

static void test_limits(void)
{
    uint64_t inode;
    struct draft_handle *handle;
    test.append_limit = strlen(MAIL) - 1;
    g_assert_cmpint(save(INBOX, "n.eml", MAIL, &inode), ==, EFBIG);
    test.append_limit = strlen(MAIL);
    g_assert_cmpint(save(INBOX, "n.eml", MAIL, &inode), ==, 0);
    test.append_error = EDQUOT;
    g_assert_cmpint(save(INBOX, "m.eml", MAIL, &inode), ==, EDQUOT);
    g_assert_cmpint(save(INBOX, "m.eml", MAIL_LF, &inode), ==, EDQUOT);
    g_assert_cmpuint(find(INBOX, "m.eml"), ==, 0);
    g_assert_cmpuint(staged_files(), ==, 1);
    g_assert_cmpint(draft_create(&test.mounted, CLOSED, "n", ME, &inode, &handle), ==, EACCES);
    g_assert_cmpint(draft_create(&test.mounted, INBOX, "n.eml", ME, &inode, &handle), ==, EEXIST);
    g_autofree char *name = g_strnfill(256, 'x');
    g_assert_cmpint(draft_create(&test.mounted, INBOX, name, ME, &inode, &handle), ==,
                    ENAMETOOLONG);
    handle = create(INBOX, "big", &inode);
    g_assert_cmpint(draft_write(handle, UINT32_MAX, "x", 1), ==, EFBIG);
    g_assert_cmpint(draft_write(handle, UINT64_MAX, "x", 1), ==, EFBIG);
    g_assert_cmpint(draft_truncate(&test.mounted, inode, UINT64_MAX), ==, EFBIG);
    draft_release(handle);
}

/* The server refuses while close(2) waits, and after. */
static void test_late_refusal(void)
{
    uint64_t inode;
    struct need need = {0};
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(draft_flush(handle, ME, &need), ==, NEED_WAIT);
    g_assert_true(need.optional);
    settle(0, EDQUOT);
    need.round = 1;
    g_assert_cmpint(draft_flush(handle, ME, &need), ==, EDQUOT);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, 0);
    draft_release(handle);

    g_assert_cmpint(save(INBOX, "n.eml", MAIL, &inode), ==, 0);
    settle(0, EDQUOT);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, 0);
    g_assert_cmpuint(staged_files(), ==, 0);
}

static void save_refused(const char *name, bool kept, enum engine_error answer)
{
    uint64_t inode;
    struct need need = {0};
    struct draft_handle *handle = create(INBOX, name, &inode);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(draft_flush(handle, ME, &need), ==, NEED_WAIT);
    settle_as(0, EDQUOT, kept);
    need.round = 1;
    need.answer = answer;
    g_assert_cmpint(draft_flush(handle, ME, &need), ==, EDQUOT);
    draft_release(handle);
}

/* The server refuses before close(2) has asked, which still tells it: then nothing is kept, but of
 * others, whose numbers may be those of staged files. Nobody hears a call that was interrupted. */
static void test_early_refusal(void)
{
    uint64_t inode;
    g_assert_cmpint(save(INBOX, "later.eml", MAIL, &inode), ==, 0);
    settle_as(0, EDQUOT, true);
    check_failed("later.eml;");
    for (unsigned i = 0; i < 3; i++)
        save_refused("told.eml", i != 1, ENGINE_QUOTA);
    check_failed("later.eml;");
    g_assert_cmpuint(test.notified, ==, NODE_FAILED);
    save_refused("untold.eml", true, ENGINE_INTERRUPTED);
    check_failed("later.eml;untold.eml;");
}

/* As in another session, where staged files are numbered from 1 again. */
static void test_refusal_again(void)
{
    uint64_t inode;
    g_assert_cmpint(save(INBOX, "first.eml", MAIL, &inode), ==, 0);
    settle_as(0, EDQUOT, true);
    draft_clear();
    journal_close(test.journal);
    open_journal();
    save_refused("second.eml", false, ENGINE_QUOTA);
    save_refused("third.eml", true, ENGINE_QUOTA);
    check_failed("first.eml;");
}

/* The engine may be done before who delivers has noted whose the entry is. */
static void test_settled_early(void)
{
    uint64_t inode;
    draft_settled(&test.mounted, &test.accounts[0], 1, MESSAGE, 0, 0);
    struct need need = {0};
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(draft_flush(handle, ME, &need), ==, 0);
    draft_release(handle);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, 0);
}

static void test_empty(void)
{
    uint64_t inode;
    g_assert_cmpint(save(INBOX, "n.eml", "", &inode), ==, 0);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, inode);
    g_assert_cmpuint(staged_files(), ==, 0);
    g_assert_cmpuint(test.appends, ==, 0);
    check_bytes(inode, "");
    struct draft_handle *handle;
    g_assert_cmpint(draft_open(&test.mounted, inode, true, false, ME, &handle), ==, 0);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpuint(test.appends, ==, 1);
}

/* ---- who closes ---- */

static void test_flushes(void)
{
    uint64_t inode;
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    g_assert_cmpint(flush(handle), ==, 0);
    write_at(handle, 0, "From: a@b\r\n");
    g_assert_cmpint(flush_as(handle, ME + 1), ==, 0);
    g_assert_cmpint(flush_as(handle, 0), ==, 0);
    write_at(handle, 11, "\r\nbody\r\n");
    g_assert_cmpint(flush_as(handle, ME + 1), ==, 0);
    g_assert_cmpuint(test.appends, ==, 0);
    g_assert_cmpint(flush(handle), ==, 0);
    g_assert_cmpuint(test.appends, ==, 1);
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpuint(test.appends, ==, 1);
}

static void test_release(void)
{
    uint64_t inode;
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    write_at(handle, 0, MAIL);
    draft_release(handle);
    g_assert_cmpuint(test.appends, ==, 1);
    handle = create(INBOX, "no", &inode);
    write_at(handle, 0, "no message\n");
    g_test_expect_message("test", G_LOG_LEVEL_WARNING, "*it is no message");
    draft_release(handle);
    g_test_assert_expected_messages();
    g_assert_cmpuint(find(INBOX, "no"), ==, 0);
}

/* Two have it open for writing: the last one delivers. */
static void test_two_writers(void)
{
    uint64_t inode;
    struct draft_handle *one = create(INBOX, "n.eml", &inode), *two;
    g_assert_cmpint(draft_open(&test.mounted, inode, true, false, ME + 1, &two), ==, 0);
    write_at(one, 0, MAIL);
    draft_release(one);
    g_assert_cmpuint(test.appends, ==, 0);
    draft_release(two);
    g_assert_cmpuint(test.appends, ==, 1);
}

/* ---- written again ---- */

static void test_again_waiting(void)
{
    uint64_t inode;
    struct draft_handle *handle;
    g_autoptr(journal_entry) entry = NULL;
    g_assert_cmpint(save(INBOX, "n.eml", MAIL, &inode), ==, 0);
    g_assert_cmpint(draft_open(&test.mounted, inode, true, true, ME, &handle), ==, 0);
    write_at(handle, 0, "From: c@d\r\n\r\nsecond\r\n");
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpuint(waiting(&entry), ==, 1);
    g_assert_cmpuint(entry->size, ==, 21);
    check_bytes(inode, "From: c@d\r\n\r\nsecond\r\n");
    g_assert_cmpuint(staged_files(), ==, 1);
}

/* The first is with the engine: it is removed after the second has arrived. */
static void test_again_sent(void)
{
    uint64_t inode;
    struct draft_handle *handle;
    g_assert_cmpint(save(INBOX, "n.eml", MAIL, &inode), ==, 0);
    g_autoptr(GPtrArray) taken = journal_take(test.journal, 1);
    g_assert_cmpint(draft_open(&test.mounted, inode, true, false, ME, &handle), ==, 0);
    write_at(handle, strlen(MAIL), "more\r\n");
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpuint(waiting(NULL), ==, 3);
    const struct journal_entry *first = taken->pdata[0];
    g_autoptr(journal_entry) second = journal_next(test.journal, first->id);
    g_autoptr(journal_entry) third = journal_next(test.journal, second->id);
    g_assert_cmpint(second->kind, ==, JOURNAL_APPEND);
    g_assert_cmpint(third->kind, ==, JOURNAL_EXPUNGE);
    g_assert_cmpuint(third->source, ==, first->id);
    g_assert_cmpuint(third->after, ==, second->id);
    check_bytes(inode, MAIL "more\r\n");
}

/* The first is in the list already: `exec 3>n.eml; ...; dup, close; ...; close`. */
static void test_again_settled(void)
{
    uint64_t inode;
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(flush(handle), ==, 0);
    settle(MESSAGE, 0);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, inode);
    write_at(handle, strlen(MAIL), "more\r\n");
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpuint(test.appends, ==, 2);
    g_assert_cmpuint(waiting(NULL), ==, 2);
    g_autoptr(journal_entry) second = journal_next(test.journal, 0);
    g_autoptr(journal_entry) third = journal_next(test.journal, second->id);
    g_assert_cmpint(third->kind, ==, JOURNAL_EXPUNGE);
    g_assert_cmpstr(third->message.mailbox, ==, "INBOX"); /* where the journal knows it to be */
    g_assert_cmpuint(third->message.uid, ==, 3);
    g_assert_cmpuint(third->after, ==, second->id);
}

static void test_settled_while_open(void)
{
    uint64_t inode;
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(flush(handle), ==, 0);
    settle(MESSAGE, 0);
    draft_release(handle);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, 0);
    g_assert_cmpuint(test.appends, ==, 1);
}

/* ---- dates ---- */

static void test_dates(void)
{
    uint64_t inode;
    struct tree_attr attr;
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(draft_set_mtime(&test.mounted, inode, INT64_C(1600000000500000000)), ==, 0);
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpint(test.last_date, ==, 1600000000);
    /* too late */
    g_assert_cmpint(draft_set_mtime(&test.mounted, inode, 0), ==, 0);
    g_assert_cmpint(draft_attr(&test.mounted, inode, &attr), ==, 0);
    g_assert_cmpint(attr.mtime_ns, ==, INT64_C(1600000000000000000));

    handle = create(INBOX, "set-before", &inode);
    g_assert_cmpint(draft_set_mtime(&test.mounted, inode, 5), ==, 0);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpint(test.last_date, ==, MAIL_DATE);

    handle = create(INBOX, "ancient", &inode);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(draft_set_mtime(&test.mounted, inode, -5000000000), ==, 0);
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpint(test.last_date, ==, 0);

    int64_t now = g_get_real_time() / G_USEC_PER_SEC;
    g_assert_cmpint(save(INBOX, "undated", "From: a@b\r\n\r\n", &inode), ==, 0);
    g_assert_cmpint(test.last_date, >=, now);
}

/* ---- scratch files and renames ---- */

static void test_scratch(void)
{
    uint64_t inode, after = 0;
    g_autofree char *name = NULL;
    g_assert_cmpint(save(INBOX, ".n.eml.AbCdEf", MAIL_LF, &inode), ==, 0);
    g_assert_cmpint(save(INBOX, "n.swp", "b0VIM", &inode), ==, 0);
    g_assert_cmpuint(test.appends, ==, 0);
    check_bytes(find(INBOX, "n.swp"), "b0VIM");
    unsigned count = 0;
    while ((after = draft_next(INBOX, after, &name)) != 0) {
        g_clear_pointer(&name, g_free);
        count++;
    }
    g_assert_cmpuint(count, ==, 2);
    g_assert_cmpuint(draft_next(ARCHIVE, 0, &name), ==, 0);
    g_assert_cmpint(draft_unlink(&test.mounted, INBOX, "n.swp"), ==, 0);
    g_assert_cmpint(draft_unlink(&test.mounted, INBOX, "n.swp"), ==, ENOENT);
    g_assert_cmpuint(staged_files(), ==, 1);
}

/* Read, closed, and written again after that. */
static void test_scratch_again(void)
{
    uint64_t inode;
    struct draft_handle *handle;
    g_assert_cmpint(save(INBOX, ".x", "12345", &inode), ==, 0);
    g_assert_cmpint(draft_open(&test.mounted, inode, true, false, ME, &handle), ==, 0);
    write_at(handle, 2, "ab");
    g_assert_cmpint(draft_truncate(&test.mounted, inode, 4), ==, 0);
    write_at(handle, 6, "z");
    draft_release(handle);
    struct tree_attr attr;
    g_assert_cmpint(draft_attr(&test.mounted, inode, &attr), ==, 0);
    g_assert_cmpuint(attr.size, ==, 7);
    char buffer[8];
    size_t got;
    g_assert_cmpint(draft_open(&test.mounted, inode, false, false, ME, &handle), ==, 0);
    g_assert_cmpint(draft_read(handle, 0, 8, buffer, &got), ==, 0);
    g_assert_cmpmem(buffer, got, "12ab\0\0z", 7);
    g_assert_cmpint(draft_read(handle, 7, 8, buffer, &got), ==, 0);
    g_assert_cmpuint(got, ==, 0);
    g_assert_cmpint(draft_write(handle, 0, "x", 1), ==, EBADF);
    draft_release(handle);
    g_assert_cmpuint(staged_files(), ==, 1);
}

static int rename_to(uint64_t inode, uint64_t parent, const char *name, uint64_t replaces)
{
    return draft_rename(&test.mounted, inode, parent, name, replaces);
}

static void test_rename_delivers(void)
{
    uint64_t inode;
    g_autoptr(journal_entry) entry = NULL;
    g_assert_cmpint(save(INBOX, ".n.eml.AbCdEf", MAIL_LF, &inode), ==, 0);
    g_assert_cmpint(draft_set_mtime(&test.mounted, inode, INT64_C(1600000000000000000)), ==, 0);
    g_assert_cmpint(rename_to(inode, INBOX, "n.eml", MESSAGE), ==, 0);
    g_assert_cmpuint(test.last_replaces, ==, MESSAGE);
    g_assert_cmpint(test.last_date, ==, 1600000000);
    g_assert_cmpuint(waiting(&entry), ==, 1);
    g_assert_cmpstr(entry->name, ==, "n.eml");
    g_assert_cmpuint(find(INBOX, ".n.eml.AbCdEf"), ==, 0);
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, inode);
    check_bytes(inode, MAIL);
    g_assert_cmpuint(staged_files(), ==, 1);
}

static void test_rename_refused(void)
{
    uint64_t inode;
    g_assert_cmpint(save(INBOX, ".x", "no message", &inode), ==, 0);
    g_assert_cmpint(rename_to(inode, INBOX, "x.eml", 0), ==, EINVAL);
    g_assert_cmpint(rename_to(inode, OTHER, ".y", 0), ==, EXDEV);
    g_assert_cmpint(rename_to(inode, CLOSED, ".y", 0), ==, EACCES);
    g_assert_cmpint(rename_to(inode + (1 << 20), INBOX, ".y", 0), ==, ENOENT);
    g_assert_cmpuint(find(INBOX, ".x"), ==, inode);
    check_bytes(inode, "no message");
    g_assert_cmpint(rename_to(inode, ARCHIVE, ".y", 0), ==, 0);
    g_assert_cmpuint(find(ARCHIVE, ".y"), ==, inode);
    g_assert_cmpuint(find(INBOX, ".x"), ==, 0);
    g_assert_cmpint(save(INBOX, ".e", "", &inode), ==, 0);
    g_assert_cmpint(rename_to(inode, INBOX, "e.eml", MESSAGE), ==, EINVAL);
    g_assert_cmpint(rename_to(inode, INBOX, "e.eml", 0), ==, 0);
    g_assert_cmpuint(test.appends, ==, 0);
}

/* A real name for a real name, before it is closed: only the name. */
static void test_rename_open(void)
{
    uint64_t inode;
    struct draft_handle *handle = create(INBOX, "a.eml", &inode);
    write_at(handle, 0, MAIL);
    g_assert_cmpint(rename_to(inode, ARCHIVE, "b.eml", 0), ==, 0);
    g_assert_cmpuint(test.appends, ==, 0);
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpuint(test.appends, ==, 1);
    g_assert_cmpuint(test.last_parent, ==, ARCHIVE);
}

/* After it was delivered, and before it arrived. */
static void test_rename_delivered(void)
{
    uint64_t inode;
    g_autoptr(journal_entry) entry = NULL;
    g_assert_cmpint(save(INBOX, "a.eml", MAIL_LF, &inode), ==, 0);
    g_assert_cmpint(rename_to(inode, INBOX, "a.eml~", 0), ==, EBUSY);
    g_assert_cmpint(rename_to(inode, ARCHIVE, "b.eml", 0), ==, 0);
    g_assert_cmpuint(waiting(&entry), ==, 1);
    g_assert_cmpstr(entry->target, ==, "Archive");
    g_assert_cmpint(entry->internaldate, ==, MAIL_DATE);
    g_assert_cmpuint(find(ARCHIVE, "b.eml"), ==, inode);
    check_bytes(inode, MAIL);
    g_assert_cmpuint(staged_files(), ==, 1);
}

/* gio and rsync, twice, faster than the server. */
static void test_rename_over_delivered(void)
{
    uint64_t one, two;
    g_autoptr(journal_entry) entry = NULL;
    g_assert_cmpint(save(INBOX, "a.eml", MAIL, &one), ==, 0);
    g_assert_cmpint(save(INBOX, ".a.eml.AbCdEf", "From: x\r\n\r\n2\r\n", &two), ==, 0);
    g_assert_cmpint(rename_to(two, INBOX, "a.eml", one), ==, 0);
    g_assert_cmpuint(test.last_replaces, ==, 0);
    g_assert_cmpuint(waiting(&entry), ==, 1);
    g_assert_cmpuint(entry->size, ==, 14);
    g_assert_cmpuint(find(INBOX, "a.eml"), ==, two);
    g_assert_cmpuint(staged_files(), ==, 1);
}

static void test_link(void)
{
    uint64_t inode;
    struct tree_attr attr;
    g_autoptr(journal_entry) entry = NULL;
    g_assert_cmpint(save(INBOX, ".x", MAIL, &inode), ==, 0);
    g_assert_cmpint(draft_link(&test.mounted, inode, ARCHIVE, ".y", &attr), ==, EPERM);
    g_assert_cmpint(draft_link(&test.mounted, inode, OTHER, "y", &attr), ==, EXDEV);
    g_assert_cmpint(draft_link(&test.mounted, inode, ARCHIVE, "y", &attr), ==, 0);
    g_assert_cmpuint(attr.inode, !=, inode);
    g_assert_cmpuint(find(ARCHIVE, "y"), ==, attr.inode);
    g_assert_cmpint(draft_unlink(&test.mounted, INBOX, ".x"), ==, 0);
    g_assert_cmpuint(waiting(&entry), ==, 1);
    check_bytes(attr.inode, MAIL);
    g_assert_cmpuint(staged_files(), ==, 1);
    g_assert_cmpint(draft_link(&test.mounted, attr.inode, INBOX, "z", &attr), ==, EPERM);
}

static void test_unlink(void)
{
    uint64_t inode;
    char buffer[8];
    size_t got;
    struct draft_handle *handle = create(INBOX, "n.eml", &inode);
    write_at(handle, 0, "From");
    g_assert_cmpint(draft_unlink(&test.mounted, INBOX, "n.eml"), ==, 0);
    g_assert_cmpint(draft_read(handle, 0, 8, buffer, &got), ==, 0);
    g_assert_cmpmem(buffer, got, "From", 4);
    write_at(handle, 4, ": x");
    g_assert_cmpint(flush(handle), ==, 0);
    draft_release(handle);
    g_assert_cmpuint(test.appends, ==, 0);
    g_assert_cmpuint(staged_files(), ==, 0);
    /* what waits in the journal, with a reader */
    g_assert_cmpint(save(INBOX, "n.eml", MAIL, &inode), ==, 0);
    g_assert_cmpint(draft_open(&test.mounted, inode, false, false, ME, &handle), ==, 0);
    g_assert_cmpint(draft_unlink(&test.mounted, INBOX, "n.eml"), ==, 0);
    g_assert_cmpuint(waiting(NULL), ==, 0);
    g_assert_cmpint(draft_read(handle, 0, 4, buffer, &got), ==, 0);
    g_assert_cmpmem(buffer, got, "From", 4);
    draft_release(handle);
    g_assert_cmpuint(staged_files(), ==, 0);
}

/* ---- copies of messages ---- */

static int copy_in(const char *name, uint64_t split, const char *before)
{
    uint64_t inode;
    size_t length = strlen(MAIL), at = strlen(before);
    struct draft_handle *handle = create(ARCHIVE, name, &inode);
    if (at > 0)
        write_at(handle, 0, before);
    g_assert_cmpint(draft_copy(handle, at, MESSAGE, 0, MAIL, split), ==, 0);
    g_assert_cmpint(draft_copy(handle, at + split, MESSAGE, split, &MAIL[split], length - split),
                    ==, 0);
    int error = flush(handle);
    draft_release(handle);
    return error;
}

static void test_copy(void)
{
    test.message_size = strlen(MAIL);
    g_assert_cmpint(copy_in("a.eml", 10, ""), ==, 0);
    g_assert_cmpuint(test.copies, ==, 1);
    g_assert_cmpuint(test.appends, ==, 0);
    check_bytes(find(ARCHIVE, "a.eml"), MAIL);
    g_assert_cmpint(copy_in("b.eml", 10, "Received: x\r\n"), ==, 0);
    g_assert_cmpuint(test.copies, ==, 1);
    g_assert_cmpuint(test.appends, ==, 1);
    test.message_size++; /* it was not all of it */
    g_assert_cmpint(copy_in("c.eml", 10, ""), ==, 0);
    g_assert_cmpuint(test.copies, ==, 1);
    g_assert_cmpuint(test.appends, ==, 2);
}

static void test_copy_changed(void)
{
    uint64_t inode;
    test.message_size = strlen(MAIL);
    for (int i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("%d.eml", i);
        struct draft_handle *handle = create(ARCHIVE, name, &inode);
        g_assert_cmpint(draft_copy(handle, 0, MESSAGE, 0, MAIL, strlen(MAIL)), ==, 0);
        if (i == 0)
            write_at(handle, strlen(MAIL) - 3, "Y"); /* another byte in it */
        else if (i == 1)
            g_assert_cmpint(draft_copy(handle, strlen(MAIL), MESSAGE, 0, MAIL, strlen(MAIL)), ==,
                            0); /* cat a a >b */
        else
            g_assert_cmpint(draft_set_mtime(&test.mounted, inode, 7000000000), ==, 0);
        g_assert_cmpint(flush(handle), ==, 0);
        draft_release(handle);
    }
    g_assert_cmpuint(test.copies, ==, 0);
    g_assert_cmpuint(test.appends, ==, 3);
}

/* ---- from an earlier mount ---- */

static void test_restart(void)
{
    uint64_t inode;
    struct draft_handle *handle;
    g_assert_cmpint(save(INBOX, "n.eml", MAIL, &inode), ==, 0);
    draft_clear();
    journal_close(test.journal);
    open_journal();
    g_assert_cmpuint(find(INBOX, "n.eml"), ==, 0);
    g_autoptr(journal_entry) entry = journal_arrival_named(test.journal, "INBOX", "n.eml");
    g_assert_nonnull(entry);
    inode = draft_inode(&test.mounted, &test.accounts[0], entry->staged);
    check_bytes(inode, MAIL);
    g_assert_cmpint(draft_open(&test.mounted, inode, true, false, ME, &handle), ==, EACCES);
    g_assert_cmpint(rename_to(inode, ARCHIVE, "m.eml", 0), ==, 0);
    g_assert_cmpuint(waiting(NULL), ==, 1);
    g_assert_null(journal_arrival_named(test.journal, "INBOX", "n.eml"));
    g_assert_cmpint(draft_unlink(&test.mounted, ARCHIVE, "m.eml"), ==, 0);
    g_assert_cmpuint(waiting(NULL), ==, 0);
    g_assert_cmpuint(staged_files(), ==, 0);
    g_assert_cmpint(draft_open(&test.mounted, inode, false, false, ME, &handle), ==, ESTALE);
}

static void set_up_one(void *fixture, gconstpointer data)
{
    set_up();
}

static void run_one(void *fixture, gconstpointer data)
{
    void (*function)(void) = (void (*)(void))(uintptr_t)data;
    function();
}

static void tear_down_one(void *fixture, gconstpointer data)
{
    tear_down();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*function)(void);
    } TESTS[] = {
        {"/draft/save", test_save},
        {"/draft/line-ends", test_line_ends},
        {"/draft/refused", test_refused},
        {"/draft/limits", test_limits},
        {"/draft/late-refusal", test_late_refusal},
        {"/draft/settled-early", test_settled_early},
        {"/draft/empty", test_empty},
        {"/draft/early-refusal", test_early_refusal},
        {"/draft/refusal-again", test_refusal_again},
        {"/draft/flushes", test_flushes},
        {"/draft/release", test_release},
        {"/draft/two-writers", test_two_writers},
        {"/draft/again/waiting", test_again_waiting},
        {"/draft/again/sent", test_again_sent},
        {"/draft/again/settled", test_again_settled},
        {"/draft/settled-while-open", test_settled_while_open},
        {"/draft/dates", test_dates},
        {"/draft/scratch", test_scratch},
        {"/draft/scratch-again", test_scratch_again},
        {"/draft/rename/delivers", test_rename_delivers},
        {"/draft/rename/refused", test_rename_refused},
        {"/draft/rename/open", test_rename_open},
        {"/draft/rename/delivered", test_rename_delivered},
        {"/draft/rename/over-delivered", test_rename_over_delivered},
        {"/draft/link", test_link},
        {"/draft/unlink", test_unlink},
        {"/draft/copy", test_copy},
        {"/draft/copy-changed", test_copy_changed},
        {"/draft/restart", test_restart},
    };
    g_test_init(&argc, &argv, NULL);
    mime_init();
    for (size_t i = 0; i < G_N_ELEMENTS(TESTS); i++)
        g_test_add_vtable(TESTS[i].path, 0, (gconstpointer)(uintptr_t)TESTS[i].function, set_up_one,
                          run_one, tear_down_one);
    return g_test_run();
}
