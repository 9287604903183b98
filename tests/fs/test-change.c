/* Changes of mail without FUSE and without a server: a real cache and a real journal, and an engine
 * that sends nothing until the test says what became of an entry. */
#include <errno.h>
#include <string.h>

#include "cache/journal.h"
#include "fs/change.h"
#include "fs/draft.h"
#include "fs/mime.h"
#include "fs/trace.h"
#include "fs/tree.h"
#include "tests/fs/quiet.h"
#include "tests/remove.h"

/* ---- an engine and a kernel that only listen ---- */

static unsigned wish_count;
static enum engine_want wished;
static struct engine_status told;

uint64_t engine_ask(struct engine *engine, const struct engine_wish *wish, engine_done done,
                    void *data)
{
    wish_count++;
    wished = wish->want;
    done(ENGINE_OK, data);
    return 1;
}

void engine_status_read(struct engine *engine, struct engine_status *status)
{
    *status = told;
}

/* ---- two accounts: one with mail ---- */

#define ONE "2026-11-20 A - One [1]"
#define TWO "2026-11-20 A - Two [2]"
#define THREE "2026-11-20 A - Three [3]"

struct fixture {
    char *directory;
    struct account account, other;
    struct mounted_account mine[2];
    struct mounted mounted;
    uint32_t inbox, archive, trash, messages, archived;
};

static void put_mailbox(struct fixture *f, struct cache_mailbox mailbox)
{
    g_autoptr(cache_txn) txn = cache_txn_write(f->mine[0].cache);
    mailbox.slot = cache_slot_of_mailbox(f->mine[0].cache, mailbox.wire);
    mailbox.delimiter = '/';
    mailbox.mtime_ns = 42;
    g_assert_cmpint(cache_mailbox_put(txn, &mailbox), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
}

static void put_message(struct fixture *f, uint32_t messages, uint32_t uid, const char *name)
{
    g_autoptr(cache_txn) txn = cache_txn_write(f->mine[0].cache);
    struct cache_message message = {
        .uid = uid,
        .object = cache_object_new(txn),
        .internaldate = 1700000000,
        .size = 100,
        .keywords = "",
        .name = name,
    };
    g_assert_cmpint(cache_message_put(txn, messages, &message), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
}

static void remove_message(struct fixture *f, uint32_t messages, uint32_t uid)
{
    g_autoptr(cache_txn) txn = cache_txn_write(f->mine[0].cache);
    cache_message_remove(txn, messages, uid);
    g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
}

static void open_account(struct fixture *f, unsigned index, const char *name,
                         struct account *account)
{
    g_autofree char *full = g_strdup_printf("%s@h:993", name);
    g_autofree char *state = g_build_filename(f->directory, "state", NULL);
    struct cache_options cache = {.directory = f->directory, .account = full, .owner = "a test"};
    struct journal_options journal = {.directory = state, .account = full, .owner = "a test"};
    *account = (struct account){.name = (char *)name, .umask = 077, .cache_size = 64 << 20};
    f->mine[index].account = account;
    f->mine[index].cache = cache_open(&cache, NULL);
    f->mine[index].journal = journal_open(&journal, NULL);
    g_assert_nonnull(f->mine[index].cache);
    g_assert_nonnull(f->mine[index].journal);
    f->mine[index].root = cache_slot_of_mailbox(f->mine[index].cache, "");
}

static void set_up(struct fixture *f, const void *unused)
{
    wish_count = 0;
    told = (struct engine_status){.online = true};
    f->directory = g_dir_make_tmp("mailmount-XXXXXX", NULL);
    open_account(f, 0, "a", &f->account);
    open_account(f, 1, "b", &f->other);
    f->mounted = (struct mounted){.accounts = f->mine, .count = 2, .several = true, .since_ns = 5};
    f->messages = cache_slot_of_messages(f->mine[0].cache, "INBOX", 9);
    f->archived = cache_slot_of_messages(f->mine[0].cache, "Archive", 8);
    uint32_t bin = cache_slot_of_messages(f->mine[0].cache, "Bin", 7);
    put_mailbox(f, (struct cache_mailbox){.wire = "INBOX",
                                          .name = "INBOX",
                                          .flags = CACHE_MAILBOX_COMPLETE,
                                          .messages = f->messages,
                                          .uidvalidity = 9,
                                          .uidnext = 4});
    put_mailbox(f, (struct cache_mailbox){.wire = "Archive",
                                          .name = "Archive",
                                          .flags = CACHE_MAILBOX_COMPLETE,
                                          .messages = f->archived,
                                          .uidvalidity = 8,
                                          .uidnext = 1});
    put_mailbox(f, (struct cache_mailbox){.wire = "Bin",
                                          .name = "Bin",
                                          .flags = CACHE_MAILBOX_COMPLETE | CACHE_MAILBOX_TRASH,
                                          .messages = bin,
                                          .uidvalidity = 7,
                                          .uidnext = 1});
    f->inbox = cache_slot_of_mailbox(f->mine[0].cache, "INBOX");
    f->archive = cache_slot_of_mailbox(f->mine[0].cache, "Archive");
    f->trash = cache_slot_of_mailbox(f->mine[0].cache, "Bin");
    put_message(f, f->messages, 1, ONE);
    put_message(f, f->messages, 2, TWO);
    put_message(f, f->messages, 3, THREE);
}

static void tear_down(struct fixture *f, const void *unused)
{
    draft_clear();
    trace_clear();
    for (unsigned i = 0; i < 2; i++) {
        journal_close(f->mine[i].journal);
        cache_close(f->mine[i].cache);
    }
    remove_tree(f->directory);
    g_free(f->directory);
}

/* ---- helpers ---- */

static uint64_t dir(uint32_t slot)
{
    return node_inode((struct node){.slot = slot});
}

static uint64_t look(struct fixture *f, uint64_t parent, const char *name)
{
    struct need need = {.round = 1};
    struct tree_attr attr;
    bool lasting;
    int error = tree_lookup(&f->mounted, parent, name, &attr, &lasting, &need);
    need_clear(&need);
    g_assert_true(error == 0 || error == ENOENT);
    return error == 0 ? attr.inode : 0;
}

static bool collect(const struct tree_entry *entry, void *data)
{
    g_ptr_array_add(data, g_strdup_printf("%s%s", entry->name, entry->directory ? "/" : ""));
    return true;
}

static char *list(struct fixture *f, uint32_t slot)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_assert_cmpint(tree_list(&f->mounted, dir(slot), 2, true, collect, names), ==, 0);
    g_ptr_array_add(names, NULL);
    return g_strjoinv("|", (char **)names->pdata);
}

#define assert_lists(f, slot, expected)        \
    do {                                       \
        g_autofree char *all_ = list(f, slot); \
        g_assert_cmpstr(all_, ==, expected);   \
    } while (0)

static int rm(struct fixture *f, uint32_t slot, const char *name)
{
    struct need need = {0};
    return change_unlink(&f->mounted, dir(slot), name, &need);
}

/* Whether it only waits for the server's word on what is in the journal already, which does not
 * come. */
static bool is_made(int error, struct need *need)
{
    need_clear(need);
    need->round = 1;
    return error == NEED_WAIT && need->made != 0;
}

static int rmdir_(struct fixture *f, uint32_t slot, const char *name)
{
    struct need need = {0};
    int error = change_rmdir(&f->mounted, dir(slot), name, &need);
    if (is_made(error, &need))
        error = change_rmdir(&f->mounted, dir(slot), name, &need);
    return error;
}

static int mv(struct fixture *f, uint32_t from, const char *name, uint32_t to, const char *as)
{
    struct need need = {0};
    int error = change_rename(&f->mounted, dir(from), name, dir(to), as, true, &need);
    if (is_made(error, &need))
        error = change_rename(&f->mounted, dir(from), name, dir(to), as, true, &need);
    return error;
}

static int mkdir_(struct fixture *f, uint32_t slot, const char *name)
{
    struct need need = {0};
    struct tree_attr attr;
    int error = change_mkdir(&f->mounted, dir(slot), name, &attr, &need);
    if (is_made(error, &need))
        error = change_mkdir(&f->mounted, dir(slot), name, &attr, &need);
    if (error == 0)
        g_assert_cmpuint(attr.inode, ==, look(f, dir(slot), name));
    return error;
}

/* All entries: "kind mailbox:uid>target name". */
static char *entries(struct fixture *f)
{
    static const char *const KINDS[] = {"",       "move",   "copy",   "expunge", "flags",
                                        "append", "create", "remove", "rename"};
    g_autoptr(GString) text = g_string_new(NULL);
    uint64_t after = 0;
    for (;;) {
        g_autoptr(journal_entry) entry = journal_next(f->mine[0].journal, after);
        if (entry == NULL)
            return g_strdup(text->str);
        after = entry->id;
        g_string_append_printf(text, "%s%s %s:%u>%s %s", text->len > 0 ? "|" : "",
                               KINDS[entry->kind], entry->message.mailbox, entry->message.uid,
                               entry->target, entry->name);
    }
}

#define assert_entries(f, expected)          \
    do {                                     \
        g_autofree char *all_ = entries(f);  \
        g_assert_cmpstr(all_, ==, expected); \
    } while (0)

/* The server has moved what the first entry says, to this UID; or not, with an error. */
static void settle(struct fixture *f, uint32_t uidvalidity, uint32_t uid, enum engine_error error)
{
    g_autoptr(GPtrArray) batch = journal_take(f->mine[0].journal, 1);
    g_assert_nonnull(batch);
    struct journal_entry *entry = batch->pdata[0];
    entry->target_uidvalidity = uidvalidity;
    entry->target_uid = uid;
    g_assert_cmpint(journal_settle(f->mine[0].journal, batch, error == ENGINE_OK, NULL), ==,
                    CACHE_OK);
    change_settled(&f->mounted, &f->mine[0], entry, error, "");
}

/* ---- deleting ---- */

static void test_rm(struct fixture *f, const void *unused)
{
    uint64_t two = look(f, dir(f->inbox), TWO ".eml");
    g_assert_cmpint(rm(f, f->inbox, TWO ".eml"), ==, 0);
    assert_entries(f, "move INBOX:2>Bin ");
    assert_lists(f, f->inbox, ONE ".eml|" ONE "/|" THREE ".eml|" THREE "/");
    g_assert_cmpuint(look(f, dir(f->inbox), TWO ".eml"), ==, 0);
    g_assert_cmpint(rm(f, f->inbox, TWO ".eml"), ==, ENOENT);
    /* the other face: once, empty, not listed */
    uint64_t ghost = look(f, dir(f->inbox), TWO);
    g_assert_cmpuint(ghost, !=, 0);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    tree_list(&f->mounted, ghost, 2, true, collect, names);
    g_assert_cmpuint(names->len, ==, 0);
    g_assert_cmpint(rmdir_(f, f->inbox, TWO), ==, 0);
    g_assert_cmpint(rmdir_(f, f->inbox, TWO), ==, ENOENT);
    assert_entries(f, "move INBOX:2>Bin ");
    assert_lists(f, f->trash, TWO ".eml|" TWO "/");
    g_assert_cmpuint(look(f, dir(f->trash), TWO ".eml"), ==, two);
}

static void test_rm_for_good(struct fixture *f, const void *unused)
{
    f->account.delete = ACCOUNT_DELETE_EXPUNGE;
    g_assert_cmpint(rm(f, f->inbox, ONE ".eml"), ==, 0);
    assert_entries(f, "expunge INBOX:1> ");
    f->account.delete = ACCOUNT_DELETE_TRASH;
    put_message(f, cache_slot_of_messages(f->mine[0].cache, "Bin", 7), 5, "2026-11-20 A - X [5]");
    g_assert_cmpint(rm(f, f->trash, "2026-11-20 A - X [5].eml"), ==, 0);
    assert_entries(f, "expunge INBOX:1> |expunge Bin:5> ");
    assert_lists(f, f->trash, "");
}

/* A message on its way to the Trash, removed there: never to be in it. */
static void test_rm_twice(struct fixture *f, const void *unused)
{
    g_assert_cmpint(rm(f, f->inbox, ONE ".eml"), ==, 0);
    assert_lists(f, f->trash, ONE ".eml");
    g_assert_cmpint(rm(f, f->trash, ONE ".eml"), ==, 0);
    assert_entries(f, "expunge INBOX:1> ");
    assert_lists(f, f->trash, "");
}

static void test_no_trash(struct fixture *f, const void *unused)
{
    put_mailbox(f, (struct cache_mailbox){.wire = "Bin", .name = "Bin"});
    g_assert_cmpint(rm(f, f->inbox, ONE ".eml"), ==, EPERM);
    g_assert_false(change_has_trash(&f->mine[0]));
    assert_entries(f, "");
    g_assert_cmpuint(look(f, dir(f->inbox), ONE ".eml"), !=, 0);
    f->account.trash = (char *)"Mine/Old";
    g_assert_true(change_has_trash(&f->mine[0]));
    g_assert_cmpint(rm(f, f->inbox, ONE ".eml"), ==, 0);
    assert_entries(f, "create :0>Mine |create :0>Mine/Old |move INBOX:1>Mine/Old ");
    g_assert_cmpint(rm(f, f->inbox, TWO ".eml"), ==, 0);
    assert_entries(f, "create :0>Mine |create :0>Mine/Old |move INBOX:1>Mine/Old |"
                      "move INBOX:2>Mine/Old ");
}

static void test_refused(struct fixture *f, const void *unused)
{
    struct need need = {0};
    uint64_t parts = look(f, dir(f->inbox), ONE);
    g_assert_cmpint(change_unlink(&f->mounted, parts, "headers.txt", &need), ==, EPERM);
    g_assert_cmpint(change_unlink(&f->mounted, NODE_CONTROL, "status", &need), ==, EPERM);
    g_assert_cmpint(change_rmdir(&f->mounted, NODE_ROOT, "a", &need), ==, EPERM);
    g_assert_cmpint(rm(f, f->inbox, ONE), ==, EISDIR);
    g_assert_cmpint(rmdir_(f, f->inbox, ONE ".eml"), ==, ENOTDIR);
    g_assert_cmpint(rmdir_(f, f->inbox, ONE), ==, ENOTEMPTY);
    g_assert_cmpint(rm(f, f->inbox, "x"), ==, ENOENT);
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->inbox, "x"), ==, EPERM);
    g_assert_cmpint(mv(f, f->inbox, ONE, f->inbox, ".x.swp"), ==, EPERM);
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->mine[0].root, "x"), ==, EPERM);
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->mine[1].root, "x"), ==, EXDEV);
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->inbox, TWO ".eml"), ==, EEXIST);
    f->account.read_only = true;
    g_assert_cmpint(rm(f, f->inbox, ONE ".eml"), ==, EROFS);
    g_assert_cmpint(mkdir_(f, f->inbox, "x"), ==, EROFS);
    g_assert_cmpint(change_may_add(&f->mounted, dir(f->inbox)), ==, EROFS);
    f->account.read_only = false;
    assert_entries(f, "");
    assert_lists(f, f->inbox, ONE ".eml|" ONE "/|" TWO ".eml|" TWO "/|" THREE ".eml|" THREE "/");
}

static void test_rights(struct fixture *f, const void *unused)
{
    struct cache_mailbox inbox = {.wire = "INBOX",
                                  .name = "INBOX",
                                  .flags = CACHE_MAILBOX_COMPLETE,
                                  .messages = f->messages,
                                  .uidvalidity = 9,
                                  .uidnext = 4};
    static const struct {
        const char *rights;
        int rm, add, flag, mkdir;
    } CASES[] = {
        {"lr", EACCES, EACCES, EACCES, EACCES},
        {"lrte", 0, EACCES, EACCES, EACCES},
        {"lrt", EACCES, EACCES, EACCES, EACCES},
        {"lriswk", EACCES, 0, 0, 0},
        {"lrswipcd", 0, 0, 0, 0}, /* RFC 2086 */
        {"", 0, 0, 0, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        inbox.rights = CASES[i].rights;
        put_mailbox(f, inbox);
        g_autofree char *name = g_strdup_printf("m%zu", i);
        g_assert_cmpint(change_may_add(&f->mounted, dir(f->inbox)), ==, CASES[i].add);
        g_assert_cmpint(
            change_flags(&f->mounted, look(f, dir(f->inbox), THREE ".eml"), "\\Flagged", NULL), ==,
            CASES[i].flag);
        g_assert_cmpint(mkdir_(f, f->inbox, name), ==, CASES[i].mkdir);
        uint32_t uid = 10 + (uint32_t)i;
        g_autofree char *message = g_strdup_printf("2026-11-20 A - X [%u]", uid);
        g_autofree char *eml = g_strconcat(message, ".eml", NULL);
        put_message(f, f->messages, uid, message);
        g_assert_cmpint(rm(f, f->inbox, eml), ==, CASES[i].rm);
    }
    inbox.flags |= CACHE_MAILBOX_READONLY;
    inbox.rights = "";
    put_mailbox(f, inbox);
    g_assert_cmpint(rm(f, f->inbox, ONE ".eml"), ==, EACCES);
    g_assert_cmpint(change_may_add(&f->mounted, dir(f->inbox)), ==, EACCES);
    told = (struct engine_status){
        .quota_known = true, .quota_used = 10, .quota_limit = 10, .quota_messages_limit = -1};
    g_assert_cmpint(change_may_add(&f->mounted, dir(f->archive)), ==, EDQUOT);
    told.quota_limit = -1;
    g_assert_cmpint(change_may_add(&f->mounted, dir(f->archive)), ==, 0);
}

/* ---- moving ---- */

static void test_mv(struct fixture *f, const void *unused)
{
    uint64_t one = look(f, dir(f->inbox), ONE ".eml");
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->archive, "mine.eml"), ==, 0);
    assert_entries(f, "move INBOX:1>Archive mine.eml");
    assert_lists(f, f->archive, ONE ".eml"); /* its directory may be moved yet */
    g_assert_cmpuint(look(f, dir(f->archive), "mine.eml"), ==, one);
    g_assert_cmpuint(look(f, dir(f->archive), ONE ".eml"), ==, one);
    g_assert_cmpuint(look(f, dir(f->archive), ONE), ==, 0);
    g_assert_cmpint(mv(f, f->inbox, ONE, f->trash, ONE), ==, ENOENT);
    g_assert_cmpint(mv(f, f->inbox, ONE, f->archive, ONE), ==, 0);
    g_assert_cmpuint(look(f, dir(f->inbox), ONE), ==, 0);
    assert_lists(f, f->archive, ONE ".eml|" ONE "/");

    /* the server has done it */
    put_message(f, f->archived, 77, "2026-11-20 A - One [77]");
    settle(f, 8, 77, ENGINE_OK);
    remove_message(f, f->messages, 1);
    uint64_t moved = node_inode((struct node){f->archived, 77, 0});
    g_assert_cmpuint(look(f, dir(f->archive), "mine.eml"), ==, moved);
    g_assert_cmpuint(look(f, dir(f->archive), "mine"), ==, moved + NODE_PART_DIRECTORY);
    assert_lists(f, f->archive, "2026-11-20 A - One [77].eml|2026-11-20 A - One [77]/");
    g_assert_cmpuint(change_moved(one), ==, moved);
    struct tree_attr attr;
    struct need need = {0};
    g_assert_cmpint(tree_attr(&f->mounted, one, false, &attr, &need), ==, 0);
    g_assert_cmpuint(attr.inode, ==, moved);
}

/* It has left the list of where it was, and is not in the other yet. */
static void test_mv_on_its_way(struct fixture *f, const void *unused)
{
    uint64_t one = look(f, dir(f->inbox), ONE ".eml"), settled = tree_settled(&f->mounted);
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->archive, ONE ".eml"), ==, 0);
    g_assert_cmpint(mv(f, f->inbox, ONE, f->archive, ONE), ==, 0);
    {
        g_autoptr(cache_txn) txn = cache_txn_write(f->mine[0].cache);
        g_assert_cmpint(cache_message_depart(txn, f->messages, 1), ==, CACHE_OK);
        g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
    }
    assert_lists(f, f->archive, ONE ".eml|" ONE "/");
    assert_lists(f, f->inbox, TWO ".eml|" TWO "/|" THREE ".eml|" THREE "/");
    struct tree_attr attr;
    struct need need = {0};
    g_assert_cmpint(tree_attr(&f->mounted, one, false, &attr, &need), ==, 0);
    g_assert_cmpuint(attr.inode, ==, one);
    put_message(f, f->archived, 77, "2026-11-20 A - One [77]");
    g_assert_cmpuint(tree_settled(&f->mounted), ==, settled);
    settle(f, 8, 77, ENGINE_OK);
    g_assert_cmpuint(tree_settled(&f->mounted), !=, settled);
    assert_lists(f, f->archive, "2026-11-20 A - One [77].eml|2026-11-20 A - One [77]/");
}

static void test_mv_back(struct fixture *f, const void *unused)
{
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->archive, ONE ".eml"), ==, 0);
    g_assert_cmpint(mv(f, f->archive, ONE ".eml", f->trash, ONE ".eml"), ==, 0);
    assert_entries(f, "move INBOX:1>Bin " ONE ".eml");
    g_assert_cmpint(mv(f, f->trash, ONE ".eml", f->inbox, ONE ".eml"), ==, 0);
    assert_entries(f, "");
    g_assert_cmpuint(look(f, dir(f->inbox), ONE ".eml"), !=, 0);
}

/* mv * as the shell has it: directories come before files, and all of it again from there. */
static void test_mv_all(struct fixture *f, const void *unused)
{
    static const char *const NAMES[] = {ONE, ONE ".eml", THREE, THREE ".eml", TWO, TWO ".eml"};
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        g_assert_cmpuint(look(f, dir(f->archive), NAMES[i]), ==, 0);
        g_assert_cmpint(mv(f, f->inbox, NAMES[i], f->archive, NAMES[i]), ==, 0);
    }
    assert_lists(f, f->inbox, "");
    assert_lists(f, f->archive, ONE ".eml|" ONE "/|" THREE ".eml|" THREE "/|" TWO ".eml|" TWO "/");
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        g_assert_cmpuint(look(f, dir(f->trash), NAMES[i]), ==, 0);
        g_assert_cmpint(mv(f, f->archive, NAMES[i], f->trash, NAMES[i]), ==, 0);
    }
    assert_lists(f, f->archive, "");
    assert_entries(f, "move INBOX:1>Bin " ONE "/|move INBOX:3>Bin " THREE "/|move INBOX:2>Bin " TWO
                      "/");
}

static void test_mv_over(struct fixture *f, const void *unused)
{
    struct need need = {0};
    put_message(f, f->archived, 4, "2026-11-20 A - Old [4]");
    g_assert_cmpint(change_rename(&f->mounted, dir(f->inbox), ONE ".eml", dir(f->archive),
                                  "2026-11-20 A - Old [4].eml", true, &need),
                    ==, EEXIST);
    g_assert_cmpint(change_rename(&f->mounted, dir(f->inbox), ONE ".eml", dir(f->archive),
                                  "2026-11-20 A - Old [4]", false, &need),
                    ==, EISDIR);
    g_assert_cmpint(change_rename(&f->mounted, dir(f->inbox), ONE, dir(f->archive),
                                  "2026-11-20 A - Old [4]", false, &need),
                    ==, ENOTEMPTY);
    g_assert_cmpint(change_rename(&f->mounted, dir(f->inbox), ONE, dir(f->archive),
                                  "2026-11-20 A - Old [4].eml", false, &need),
                    ==, ENOTDIR);
    assert_entries(f, "");
    g_assert_cmpint(change_rename(&f->mounted, dir(f->inbox), ONE ".eml", dir(f->archive),
                                  "2026-11-20 A - Old [4].eml", false, &need),
                    ==, 0);
    assert_entries(f, "move INBOX:1>Archive 2026-11-20 A - Old [4].eml|move Archive:4>Bin ");
    g_autoptr(journal_entry) first = journal_next(f->mine[0].journal, 0);
    g_autoptr(journal_entry) second = journal_next(f->mine[0].journal, first->id);
    g_assert_cmpuint(second->after, ==, first->id);
}

/* The server refuses: all is as before. */
static void test_mv_refused(struct fixture *f, const void *unused)
{
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->archive, ONE ".eml"), ==, 0);
    g_assert_cmpint(rm(f, f->inbox, TWO ".eml"), ==, 0);
    settle(f, 0, 0, ENGINE_REFUSED);
    settle(f, 0, 0, ENGINE_REFUSED);
    assert_lists(f, f->inbox, ONE ".eml|" ONE "/|" TWO ".eml|" TWO "/|" THREE ".eml|" THREE "/");
    assert_lists(f, f->archive, "");
    g_assert_cmpuint(look(f, dir(f->inbox), ONE), ==,
                     node_inode((struct node){f->messages, 1, NODE_PART_DIRECTORY}));
}

static void test_alias(struct fixture *f, const void *unused)
{
    uint64_t one = look(f, dir(f->inbox), ONE ".eml");
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->inbox, ONE ".eml~"), ==, 0);
    g_assert_cmpuint(look(f, dir(f->inbox), ONE ".eml"), ==, 0);
    g_assert_cmpuint(look(f, dir(f->inbox), ONE ".eml~"), ==, one);
    assert_lists(f, f->inbox, ONE ".eml~|" ONE "/|" TWO ".eml|" TWO "/|" THREE ".eml|" THREE "/");
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml~", f->inbox, ONE ".eml"), ==, 0);
    g_assert_cmpuint(look(f, dir(f->inbox), ONE ".eml"), ==, one);
    g_assert_cmpuint(look(f, dir(f->inbox), ONE ".eml~"), ==, 0);
    assert_entries(f, "");
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->inbox, ONE ".eml~"), ==, 0);
    g_assert_cmpint(rm(f, f->inbox, ONE ".eml~"), ==, 0);
    assert_entries(f, "move INBOX:1>Bin ");
    g_assert_cmpuint(look(f, dir(f->inbox), ONE ".eml~"), ==, 0);
}

static void test_view_parts(struct fixture *f, const void *unused)
{
    f->account.view = ACCOUNT_VIEW_PARTS;
    g_assert_cmpint(mv(f, f->inbox, ONE, f->archive, ONE), ==, 0);
    g_assert_cmpint(rmdir_(f, f->inbox, TWO), ==, 0);
    assert_entries(f, "move INBOX:1>Archive " ONE "/|move INBOX:2>Bin ");
    assert_lists(f, f->inbox, THREE "/");
    assert_lists(f, f->archive, ONE "/");
    g_assert_cmpuint(look(f, dir(f->inbox), ONE ".eml"), ==, 0);
}

/* ---- mailboxes ---- */

static void test_mkdir(struct fixture *f, const void *unused)
{
    static const struct {
        const char *name;
        int error;
    } CASES[] = {
        {"New", 0},           {"New", EEXIST},     {".Trash-1000", EPERM}, {"X [12]", EPERM},
        {"a%2Fb", EINVAL},    {"Archive", EEXIST}, {"inbox", EEXIST},      {"a%00", EINVAL},
        {"\xff\xfe", EINVAL}, {"Gr\xc3\xbcn", 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++)
        g_assert_cmpint(mkdir_(f, f->mine[0].root, CASES[i].name), ==, CASES[i].error);
    uint64_t new = look(f, dir(f->mine[0].root), "New");
    g_assert_cmpint(mkdir_(f, node_of(new).slot, "Below"), ==, 0);
    assert_entries(f, "create :0>New |create :0>Gr\xc3\xbcn |create :0>New/Below ");
    struct need need = {0};
    g_assert_cmpint(tree_open(&f->mounted, new, &need), ==, 0); /* the server is not asked */
    g_assert_cmpuint(need.count, ==, 0);
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", node_of(new).slot, ONE ".eml"), ==, 0);
    assert_lists(f, node_of(new).slot, "Below/|" ONE ".eml");
}

static void test_rmdir(struct fixture *f, const void *unused)
{
    uint32_t root = f->mine[0].root;
    g_assert_cmpint(rmdir_(f, root, "INBOX"), ==, EPERM);
    g_assert_cmpint(mkdir_(f, f->archive, "Below"), ==, 0);
    g_assert_cmpint(rmdir_(f, root, "Archive"), ==, ENOTEMPTY);
    g_assert_cmpint(rmdir_(f, f->archive, "Below"), ==, 0);
    assert_entries(f, ""); /* it was never made */
    put_message(f, f->archived, 1, ONE);
    g_assert_cmpint(rmdir_(f, root, "Archive"), ==, ENOTEMPTY);
    g_assert_cmpint(rm(f, f->archive, ONE ".eml"), ==, 0);
    g_assert_cmpint(mv(f, f->inbox, TWO ".eml", f->archive, TWO ".eml"), ==, 0);
    g_assert_cmpint(rmdir_(f, root, "Archive"), ==, ENOTEMPTY);
    g_assert_cmpint(rm(f, f->archive, TWO ".eml"), ==, 0);
    g_assert_cmpint(rmdir_(f, root, "Archive"), ==, 0);
    g_assert_cmpuint(look(f, dir(root), "Archive"), ==, 0);
    assert_lists(f, root, "INBOX/|Bin/");
    assert_lists(f, f->trash, ONE ".eml|" TWO ".eml");
    g_assert_cmpint(mkdir_(f, root, "Archive"), ==, 0);
    g_assert_cmpuint(look(f, dir(root), "Archive"), ==, dir(f->archive));
}

/* A mailbox that a message passes through is made nevertheless: the message comes from there. */
static void test_rmdir_passed(struct fixture *f, const void *unused)
{
    uint32_t root = f->mine[0].root;
    g_assert_cmpint(mkdir_(f, root, "New"), ==, 0);
    uint32_t new = node_of(look(f, dir(root), "New")).slot;
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", new, ONE ".eml"), ==, 0);
    g_assert_cmpint(mkdir_(f, root, "Other"), ==, 0); /* one move cannot stand for both */
    g_assert_cmpint(mv(f, new, ONE ".eml", f->archive, ONE ".eml"), ==, 0);
    g_assert_cmpint(rmdir_(f, root, "New"), ==, 0);
    assert_entries(f, "create :0>New |move INBOX:1>New " ONE
                      ".eml|create :0>Other |move :0>Archive " ONE ".eml|remove New:0> ");
    g_assert_cmpuint(look(f, dir(root), "New"), ==, 0);
}

/* A list that nobody has seen is not taken for empty. */
static void test_rmdir_unknown(struct fixture *f, const void *unused)
{
    struct need need = {0};
    put_mailbox(f, (struct cache_mailbox){.wire = "Old", .name = "Old"});
    g_assert_cmpint(change_rmdir(&f->mounted, dir(f->mine[0].root), "Old", &need), ==, NEED_WAIT);
    g_assert_cmpint(need.wishes[0].want, ==, ENGINE_MAILBOX);
    g_assert_true(need.optional);
    need_clear(&need);
    need.round = 1;
    g_assert_cmpint(change_rmdir(&f->mounted, dir(f->mine[0].root), "Old", &need), ==, NEED_WAIT);
    assert_entries(f, "remove Old:0> ");
    g_assert_cmpuint(need.made, !=, 0);
    g_assert_true(need.wishes[0].brief);
    g_assert_cmpuint(need.wishes[0].entry, ==, need.made);
    need_clear(&need);
    need.answer = ENGINE_OFFLINE;
    g_assert_cmpint(change_rmdir(&f->mounted, dir(f->mine[0].root), "Old", &need), ==, 0);
    settle(f, 0, 0, ENGINE_NOT_EMPTY);
    need.answer = ENGINE_NOT_EMPTY;
    g_assert_cmpint(change_rmdir(&f->mounted, dir(f->mine[0].root), "Old", &need), ==, ENOTEMPTY);
    g_assert_cmpuint(look(f, dir(f->mine[0].root), "Old"), !=, 0);
    g_assert_cmpuint(wish_count, ==, 1);
    g_assert_cmpint(wished, ==, ENGINE_FOLDERS);
}

static void test_rename_mailbox(struct fixture *f, const void *unused)
{
    uint32_t root = f->mine[0].root;
    uint64_t one;
    g_assert_cmpint(mkdir_(f, f->archive, "Below"), ==, 0);
    put_message(f, f->archived, 1, ONE);
    one = look(f, dir(f->archive), ONE ".eml");
    uint64_t below = look(f, dir(f->archive), "Below");
    g_assert_cmpint(mv(f, root, "INBOX", root, "x"), ==, EPERM);
    g_assert_cmpint(mv(f, root, "Archive", f->archive, "x"), ==, EINVAL);
    g_assert_cmpint(mv(f, root, "Archive", node_of(below).slot, "x"), ==, EINVAL);
    g_assert_cmpint(mv(f, root, "Archive", root, ".x"), ==, EPERM);
    g_assert_cmpint(mv(f, root, "Archive", root, "a%2fb"), ==, EINVAL);
    g_assert_cmpint(mv(f, root, "Archive", root, "Bin"), ==, EEXIST);
    g_assert_cmpint(mv(f, root, "Archive", f->mine[1].root, "x"), ==, EXDEV);
    g_assert_cmpint(mv(f, root, "Archive", f->inbox, "Kept"), ==, 0);
    assert_entries(f, "create :0>Archive/Below |rename Archive:0>INBOX/Kept ");
    g_assert_cmpuint(look(f, dir(root), "Archive"), ==, 0);
    g_assert_cmpuint(look(f, dir(f->inbox), "Kept"), ==, dir(f->archive));
    g_assert_cmpuint(look(f, dir(f->archive), "Below"), ==, below);
    g_assert_cmpuint(look(f, dir(f->archive), ONE ".eml"), ==, one);
    g_assert_cmpint(rm(f, f->archive, ONE ".eml"), ==, 0);
    assert_lists(f, f->archive, "Below/");
    assert_lists(f, f->trash, ONE ".eml");
}

static void test_rename_over(struct fixture *f, const void *unused)
{
    struct need need = {0};
    uint32_t root = f->mine[0].root;
    put_message(f, f->archived, 1, ONE);
    g_assert_cmpint(
        change_rename(&f->mounted, dir(root), "Bin", dir(root), "Archive", false, &need), ==,
        ENOTEMPTY);
    assert_entries(f, "");
    g_assert_cmpint(
        change_rename(&f->mounted, dir(root), "Archive", dir(root), "Bin", false, &need), ==, 0);
    assert_entries(f, "remove Bin:0> |rename Archive:0>Bin ");
    assert_lists(f, root, "INBOX/|Bin/");
    g_assert_cmpuint(look(f, dir(root), "Bin"), ==, dir(f->archive));
}

static void test_rename_refused(struct fixture *f, const void *unused)
{
    uint32_t root = f->mine[0].root;
    put_message(f, f->archived, 1, ONE);
    g_assert_cmpint(mv(f, root, "Archive", root, "Kept"), ==, 0);
    settle(f, 0, 0, ENGINE_REFUSED);
    g_autoptr(cache_txn) txn = cache_txn_read(f->mine[0].cache);
    struct cache_mailbox mailbox;
    g_assert_cmpint(cache_mailbox_by_wire(txn, "Archive", &mailbox), ==, CACHE_OK);
    g_assert_cmpuint(mailbox.slot, ==, f->archive);
    g_assert_cmpuint(mailbox.messages, ==, f->archived);
    g_assert_cmpint(wished, ==, ENGINE_FOLDERS);
}

/* ---- flags, and what did not change ---- */

static void test_flags(struct fixture *f, const void *unused)
{
    uint64_t one = look(f, dir(f->inbox), ONE ".eml");
    static const char *const BAD[] = {"\\Recent", "a(b", "a\"", "\\", "a\x80"};
    for (size_t i = 0; i < G_N_ELEMENTS(BAD); i++)
        g_assert_cmpint(change_flags(&f->mounted, one, BAD[i], NULL), ==, EINVAL);
    assert_entries(f, "");
    g_assert_cmpint(change_flags(&f->mounted, one, "\\Seen work", "\\Flagged"), ==, 0);
    assert_entries(f, "flags INBOX:1> ");
    uint32_t flags = 0;
    g_autoptr(GString) words = g_string_new(NULL);
    const struct journal_address address = {"INBOX", 9, 1};
    g_assert_true(journal_flags(f->mine[0].journal, &address, &flags, words));
    g_assert_cmpuint(flags, ==, CACHE_FLAG_SEEN);
    g_assert_cmpstr(words->str, ==, "work");
    g_assert_cmpint(change_flags(&f->mounted, NODE_STATUS, "\\Seen", NULL), !=, 0);
}

/* A view is of its own mailbox; but what has just left another is not known to be elsewhere. */
static void test_flags_elsewhere(struct fixture *f, const void *unused)
{
    uint64_t one = look(f, dir(f->inbox), ONE ".eml");
    uint64_t view = look(f, look(f, look(f, dir(f->archive), ".mailmount"), "flags"), "flagged");
    struct tree_attr attr;
    struct need need = {0};
    g_assert_cmpint(change_link(&f->mounted, one, view, ONE ".eml", &attr, &need), ==, EPERM);
    {
        g_autoptr(cache_txn) txn = cache_txn_write(f->mine[0].cache);
        g_assert_cmpint(cache_message_depart(txn, f->messages, 1), ==, CACHE_OK);
        g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
    }
    g_assert_cmpint(change_link(&f->mounted, one, view, ONE ".eml", &attr, &need), ==, ESTALE);
    remove_message(f, f->messages, 2);
    uint64_t two = node_inode((struct node){f->messages, 2, 0});
    g_assert_cmpint(change_link(&f->mounted, two, view, TWO ".eml", &attr, &need), ==, ESTALE);
    assert_entries(f, "");
}

struct step {
    uint64_t offset;
    char *name;
};

static bool take_one(const struct tree_entry *entry, void *data)
{
    struct step *step = data;
    if (step->name != NULL)
        return false;
    *step = (struct step){entry->offset, g_strdup(entry->name)};
    return true;
}

/* One entry a call gives the same as all at once, with what is on its way too. */
static void test_list_resumes(struct fixture *f, const void *unused)
{
    g_assert_cmpint(mv(f, f->inbox, ONE, f->archive, ONE), ==, 0);
    g_assert_cmpint(mv(f, f->inbox, ONE ".eml", f->archive, ONE ".eml"), ==, 0);
    g_assert_cmpint(mv(f, f->inbox, TWO, f->archive, TWO), ==, 0);
    g_autoptr(GString) all = g_string_new(NULL);
    for (uint64_t offset = 2;;) {
        struct step step = {0};
        tree_list(&f->mounted, dir(f->archive), offset, true, take_one, &step);
        if (step.name == NULL)
            break;
        g_assert_cmpuint(step.offset, >, offset);
        offset = step.offset;
        g_string_append_printf(all, "%s|", step.name);
        g_free(step.name);
    }
    g_assert_cmpstr(all->str, ==, ONE ".eml|" ONE "|" TWO "|");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
#define ADD(name, test) g_test_add("/change/" name, struct fixture, NULL, set_up, test, tear_down)
    ADD("rm", test_rm);
    ADD("rm-for-good", test_rm_for_good);
    ADD("rm-twice", test_rm_twice);
    ADD("no-trash", test_no_trash);
    ADD("refused", test_refused);
    ADD("rights", test_rights);
    ADD("mv", test_mv);
    ADD("mv-on-its-way", test_mv_on_its_way);
    ADD("mv-back", test_mv_back);
    ADD("mv-all", test_mv_all);
    ADD("mv-over", test_mv_over);
    ADD("mv-refused", test_mv_refused);
    ADD("alias", test_alias);
    ADD("view-parts", test_view_parts);
    ADD("mkdir", test_mkdir);
    ADD("rmdir", test_rmdir);
    ADD("rmdir-passed", test_rmdir_passed);
    ADD("rmdir-unknown", test_rmdir_unknown);
    ADD("rename-mailbox", test_rename_mailbox);
    ADD("rename-over", test_rename_over);
    ADD("rename-refused", test_rename_refused);
    ADD("flags", test_flags);
    ADD("flags-elsewhere", test_flags_elsewhere);
    ADD("list-resumes", test_list_resumes);
    return g_test_run();
}
