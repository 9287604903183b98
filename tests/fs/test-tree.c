/* The tree without FUSE and without a server: a real cache filled by hand, and an engine that notes
 * what is wished for. */
#include <errno.h>
#include <string.h>

#include "cache/cache.h"
#include "fs/content.h"
#include "fs/mime.h"
#include "fs/trace.h"
#include "fs/tree.h"
#include "tests/fs/quiet.h"
#include "tests/remove.h"

/* ---- an engine that only notes ---- */

static struct engine_wish wished[64];
static unsigned wish_count;

uint64_t engine_ask(struct engine *engine, const struct engine_wish *wish, engine_done done,
                    void *data)
{
    g_assert_cmpuint(wish_count, <, G_N_ELEMENTS(wished));
    wished[wish_count++] = *wish;
    done(ENGINE_OK, data);
    return wish_count;
}

void engine_status_read(struct engine *engine, struct engine_status *status)
{
    *status = (struct engine_status){.online = true, .connections = 1};
    g_strlcpy(status->server, "a \xe2\x82\xac server", sizeof(status->server));
}

/* ---- a cache with one account ---- */

struct fixture {
    char *directory;
    struct account account;
    struct mounted_account mine;
    struct mounted mounted;
    uint32_t inbox, child, messages;
    uint64_t object;
};

static void put_mailbox(struct cache_txn *txn, struct cache_mailbox mailbox)
{
    g_assert_cmpint(cache_mailbox_put(txn, &mailbox), ==, CACHE_OK);
}

static void put_message(struct fixture *f, struct cache_txn *txn, uint32_t uid, uint64_t size,
                        const char *name)
{
    struct cache_message message = {
        .uid = uid,
        .object = cache_object_new(txn),
        .internaldate = 1700000000,
        .ctime_ns = INT64_C(1700000500) * 1000000000,
        .size = size,
        .keywords = "",
        .name = name,
    };
    f->object = message.object;
    g_assert_cmpint(cache_message_put(txn, f->messages, &message), ==, CACHE_OK);
}

static void set_up(struct fixture *f, const void *unused)
{
    quiet_sizes = ENGINE_SIZES_RIGHT;
    wish_count = 0;
    f->directory = g_dir_make_tmp("mailmount-XXXXXX", NULL);
    struct cache_options options = {
        .directory = f->directory, .account = "a@h:993", .owner = "a test"};
    f->account = (struct account){.name = (char *)"a",
                                  .source = (char *)"imaps://a@h",
                                  .umask = 077,
                                  .uid = 7,
                                  .cache_size = 64 << 20};
    f->mine = (struct mounted_account){.account = &f->account};
    f->mine.cache = cache_open(&options, NULL);
    g_assert_nonnull(f->mine.cache);
    f->mounted = (struct mounted){.accounts = &f->mine, .count = 1, .since_ns = 5};
    f->inbox = cache_slot_of_mailbox(f->mine.cache, "INBOX");
    f->child = cache_slot_of_mailbox(f->mine.cache, "INBOX/x");
    f->messages = cache_slot_of_messages(f->mine.cache, "INBOX", 9);

    g_autoptr(cache_txn) txn = cache_txn_write(f->mine.cache);
    put_mailbox(txn, (struct cache_mailbox){.slot = f->inbox,
                                            .wire = "INBOX",
                                            .name = "INBOX",
                                            .delimiter = '/',
                                            .flags = CACHE_MAILBOX_COMPLETE,
                                            .messages = f->messages,
                                            .uidvalidity = 9,
                                            .uidnext = 6,
                                            .mtime_ns = 42});
    put_mailbox(txn, (struct cache_mailbox){
                         .slot = f->child, .parent = f->inbox, .wire = "INBOX/x", .name = "x"});
    put_message(f, txn, 3, 1000, "2026-11-20 A - B [3]");
    put_message(f, txn, 4, 5000000, "2026-11-20 A - C [4]");
    g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
}

static void tear_down(struct fixture *f, const void *unused)
{
    trace_clear();
    cache_close(f->mine.cache);
    remove_tree(f->directory);
    g_free(f->directory);
}

/* ---- helpers ---- */

/* What a look-up comes to when the server was asked in vain. */
static int look(struct fixture *f, uint64_t parent, const char *name, struct tree_attr *attr)
{
    struct need need = {.round = 1};
    bool lasting;
    int error = tree_lookup(&f->mounted, parent, name, attr, &lasting, &need);
    need_clear(&need);
    return error;
}

static uint64_t inode_of(struct fixture *f, uint32_t slot, uint32_t uid, uint16_t part)
{
    return node_inode((struct node){slot, uid, part});
}

static bool collect(const struct tree_entry *entry, void *data)
{
    GPtrArray *names = data;
    g_ptr_array_add(names, g_strdup_printf("%s%s", entry->name, entry->directory ? "/" : ""));
    return true;
}

static char *list(struct fixture *f, uint64_t inode, uint64_t offset, bool attributes)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_assert_cmpint(tree_list(&f->mounted, inode, offset, attributes, collect, names), ==, 0);
    g_ptr_array_add(names, NULL);
    return g_strjoinv("|", (char **)names->pdata);
}

static void put_parts(struct fixture *f, const struct cache_part *parts, size_t count)
{
    g_autoptr(cache_txn) txn = cache_txn_write(f->mine.cache);
    g_assert_cmpint(cache_parts_put(txn, f->object, parts, count, false), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
}

/* ---- tests ---- */

static void test_lists(struct fixture *f, const void *unused)
{
    uint64_t inbox = inode_of(f, f->inbox, 0, 0);
    g_autofree char *root = list(f, NODE_ROOT, 0, false);
    g_assert_cmpstr(root, ==, "./|../|INBOX/");
    g_autofree char *all = list(f, inbox, 0, true);
    g_assert_cmpstr(all, ==,
                    "./|../|x/|2026-11-20 A - B [3].eml|2026-11-20 A - B [3]/|"
                    "2026-11-20 A - C [4].eml|2026-11-20 A - C [4]/");
    f->account.view = ACCOUNT_VIEW_MESSAGES;
    g_autofree char *messages = list(f, inbox, 0, false);
    g_assert_cmpstr(messages, ==, "./|../|x/|2026-11-20 A - B [3].eml|2026-11-20 A - C [4].eml");
    f->account.view = ACCOUNT_VIEW_PARTS;
    g_autofree char *parts = list(f, inbox, 0, false);
    g_assert_cmpstr(parts, ==, "./|../|x/|2026-11-20 A - B [3]/|2026-11-20 A - C [4]/");
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

/* One entry a call, going on by offset, gives the same as all at once; also when what was just
 * listed goes away. */
static void test_list_resumes(struct fixture *f, const void *unused)
{
    static const char *const EXPECTED[] = {".",
                                           "..",
                                           "x",
                                           "2026-11-20 A - B [3].eml",
                                           "2026-11-20 A - C [4].eml",
                                           "2026-11-20 A - C [4]"};
    uint64_t offset = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(EXPECTED); i++) {
        struct step step = {0};
        tree_list(&f->mounted, inode_of(f, f->inbox, 0, 0), offset, false, take_one, &step);
        g_assert_cmpstr(step.name, ==, EXPECTED[i]);
        g_assert_cmpuint(step.offset, >, offset);
        offset = step.offset;
        g_free(step.name);
        if (i == 3) {
            g_autoptr(cache_txn) txn = cache_txn_write(f->mine.cache);
            cache_message_remove(txn, f->messages, 3);
            cache_txn_commit(g_steal_pointer(&txn));
        }
    }
}

static void test_lookup(struct fixture *f, const void *unused)
{
    struct tree_attr attr;
    uint64_t inbox = inode_of(f, f->inbox, 0, 0);
    g_assert_cmpint(look(f, NODE_ROOT, "INBOX", &attr), ==, 0);
    g_assert_cmpuint(attr.inode, ==, inbox);
    g_assert_true(attr.directory);
    g_assert_cmpint(attr.mtime_ns, ==, 42);
    g_assert_cmpint(look(f, inbox, "x", &attr), ==, 0);
    g_assert_cmpint(look(f, inbox, "2026-11-20 A - B [3].eml", &attr), ==, 0);
    g_assert_cmpuint(attr.inode, ==, inode_of(f, f->messages, 3, 0));
    g_assert_cmpuint(attr.size, ==, 1000);
    g_assert_true(attr.exact && attr.steady && !attr.directory);
    g_assert_cmpuint(attr.permissions, ==, 0600);
    g_assert_cmpuint(attr.uid, ==, 7);
    g_assert_cmpint(look(f, inbox, "2026-11-20 A - B [3]", &attr), ==, 0);
    g_assert_true(attr.directory);

    static const char *const ABSENT[] = {"2026-11-20 A - B [4].eml", "2026-11-20 A - X [3]",
                                         "2026-11-20 A - B [5]",     "[3]",
                                         "2026-11-20 A - B [3].em",  "y"};
    for (unsigned i = 0; i < G_N_ELEMENTS(ABSENT); i++)
        g_assert_cmpint(look(f, inbox, ABSENT[i], &attr), ==, ENOENT);
    struct need need = {0};
    bool lasting;
    g_assert_cmpint(tree_lookup(&f->mounted, NODE_ROOT, "New", &attr, &lasting, &need), ==,
                    NEED_WAIT);
    g_assert_cmpint(need.wishes[0].want, ==, ENGINE_FOLDERS);
    need_clear(&need);
    g_assert_cmpint(look(f, NODE_ROOT, ".mailmount", &attr), ==, 0);
    g_assert_cmpint(look(f, NODE_CONTROL, "status", &attr), ==, 0);
    g_assert_cmpuint(attr.size, >, 10);
    g_assert_cmpint(look(f, inode_of(f, f->messages, 3, 0), "x", &attr), ==, ENOTDIR);
    g_assert_cmpint(look(f, inode_of(f, 999, 0, 0), "x", &attr), ==, ESTALE);
    g_assert_cmpint(look(f, inode_of(f, f->messages, 77, 1), "x", &attr), ==, ESTALE);
}

static void test_parts_are_wished(struct fixture *f, const void *unused)
{
    struct need need = {0};
    uint64_t directory = inode_of(f, f->messages, 4, NODE_PART_DIRECTORY);
    g_assert_cmpint(tree_open(&f->mounted, directory, &need), ==, NEED_WAIT);
    g_assert_cmpuint(need.count, ==, 1);
    g_assert_cmpint(need.wishes[0].want, ==, ENGINE_PARTS);
    g_assert_cmpuint(need.wishes[0].uid, ==, 4);
    need_clear(&need);

    static const struct cache_part PARTS[] = {
        {.number = 4,
         .parent = 1,
         .kind = CACHE_PART_LEAF,
         .flags = CACHE_PART_TEXT,
         .octets = 10,
         .name = "body.txt",
         .section = "1",
         .type = "text/plain",
         .charset = "utf-8"},
        {.number = 5,
         .parent = 1,
         .kind = CACHE_PART_MESSAGE,
         .octets = 90,
         .name = "forwarded.eml",
         .section = "2",
         .type = "message/rfc822",
         .charset = ""},
        {.number = 6,
         .parent = 1,
         .kind = CACHE_PART_DIRECTORY,
         .octets = -1,
         .name = "forwarded",
         .section = "2",
         .type = "",
         .charset = ""},
        {.number = 7,
         .parent = 6,
         .kind = CACHE_PART_HEADERS,
         .octets = -1,
         .name = "headers.txt",
         .section = "2",
         .type = "",
         .charset = ""},
        {.number = 8,
         .parent = 6,
         .kind = CACHE_PART_LEAF,
         .octets = 12,
         .name = "a.bin",
         .section = "2.1",
         .type = "application/octet-stream",
         .charset = ""},
    };
    put_parts(f, PARTS, G_N_ELEMENTS(PARTS));
    g_assert_cmpint(tree_open(&f->mounted, directory, &need), ==, 0);
    g_autofree char *top = list(f, directory, 0, true);
    g_assert_cmpstr(top, ==, "./|../|headers.txt|body.txt|forwarded.eml|forwarded/");
    uint64_t nested = inode_of(f, f->messages, 4, 6);
    g_autofree char *below = list(f, nested, 0, false);
    g_assert_cmpstr(below, ==, "./|../|headers.txt|a.bin");
    struct tree_attr attr;
    g_assert_cmpint(look(f, nested, "a.bin", &attr), ==, 0);
    g_assert_cmpuint(attr.inode, ==, inode_of(f, f->messages, 4, 8));
    g_assert_false(attr.exact);
    g_assert_false(attr.steady);
    g_assert_cmpint(look(f, directory, "a.bin", &attr), ==, ENOENT);
}

/* A size that is not proved is a bound for lookups, and is settled for GETATTR. */
static void test_sizes(struct fixture *f, const void *unused)
{
    struct tree_attr attr;
    struct need need = {0};
    uint64_t big = inode_of(f, f->messages, 4, 0), small = inode_of(f, f->messages, 3, 0);
    quiet_sizes = ENGINE_SIZES_UNPROVED;
    g_assert_cmpint(tree_attr(&f->mounted, big, false, &attr, &need), ==, 0);
    g_assert_false(attr.exact);
    g_assert_cmpint(tree_attr(&f->mounted, big, true, &attr, &need), ==, NEED_WAIT);
    g_assert_cmpuint(need.wishes[0].uid, ==, 3); /* a small body proves the server's word */
    g_assert_true(need.optional);
    need_clear(&need);
    quiet_sizes = ENGINE_SIZES_WRONG;
    need.round = 1;
    g_assert_cmpint(tree_attr(&f->mounted, big, true, &attr, &need), ==, NEED_WAIT);
    g_assert_cmpuint(need.wishes[0].uid, ==, 4);
    g_assert_cmpuint(need.wishes[0].offset, ==, 5000000 - 1);
    need_clear(&need);

    static const char BODY[1200] = "Subject: x\r\n\r\n";
    uint64_t object = 0;
    {
        g_autoptr(cache_txn) txn = cache_txn_read(f->mine.cache);
        struct cache_message message;
        g_assert_cmpint(cache_message_get(txn, f->messages, 3, &message), ==, CACHE_OK);
        object = message.object;
    }
    cache_content_put(f->mine.cache, object, "", 0, BODY, sizeof(BODY));
    cache_content_end(f->mine.cache, object, "", sizeof(BODY));
    g_assert_cmpint(tree_attr(&f->mounted, small, true, &attr, &need), ==, 0);
    g_assert_cmpuint(attr.size, ==, sizeof(BODY));
    g_assert_true(attr.exact);
    g_assert_cmpint(tree_attr(&f->mounted, small, false, &attr, &need), ==, 0);
    g_assert_cmpuint(attr.size, ==, sizeof(BODY)); /* known for ever */
}

static void test_never_listed(struct fixture *f, const void *unused)
{
    struct need need = {0};
    struct tree_attr attr;
    bool lasting;
    uint64_t child = inode_of(f, f->child, 0, 0);
    g_assert_cmpint(
        tree_lookup(&f->mounted, child, "2026-11-20 A - B [3].eml", &attr, &lasting, &need), ==,
        NEED_WAIT);
    g_assert_cmpint(need.wishes[0].want, ==, ENGINE_MAILBOX);
    g_assert_cmpuint(need.wishes[0].folder, ==, f->child);
    need_clear(&need);
    need.round = 1;
    g_assert_cmpint(
        tree_lookup(&f->mounted, child, "2026-11-20 A - B [3].eml", &attr, &lasting, &need), ==,
        ENOENT);
    need.round = 0;
    uint64_t inbox = inode_of(f, f->inbox, 0, 0); /* listed, but before UID 6 was given out */
    g_assert_cmpint(
        tree_lookup(&f->mounted, inbox, "2026-11-20 A - B [6].eml", &attr, &lasting, &need), ==,
        NEED_WAIT);
    need_clear(&need);
    g_assert_cmpint(tree_lookup(&f->mounted, child, ".git", &attr, &lasting, &need), ==, ENOENT);
    g_assert_true(lasting);
}

static void test_content(struct fixture *f, const void *unused)
{
    static const struct cache_part PART = {.number = 4,
                                           .parent = 1,
                                           .kind = CACHE_PART_LEAF,
                                           .encoding = CACHE_ENCODING_BASE64,
                                           .octets = 10,
                                           .name = "a.bin",
                                           .section = "1",
                                           .type = "application/octet-stream",
                                           .charset = ""};
    put_parts(f, &PART, 1);
    struct need need = {0};
    struct content *content = NULL;
    uint64_t inode = inode_of(f, f->messages, 4, 4);
    g_auto(place) place = {0};
    g_assert_cmpint(place_find(&f->mounted, inode, &place), ==, 0);
    g_assert_cmpint(content_open(&f->mounted, &place, &content, &need), ==, NEED_WAIT);
    g_assert_cmpint(need.wishes[0].want, ==, ENGINE_BYTES);
    g_assert_cmpstr(need.wishes[0].section, ==, "1");
    g_assert_cmpuint(need.wishes[0].length, ==, 11);
    need_clear(&need);

    cache_content_put(f->mine.cache, f->object, "1", 0, "aGVsbG8=\r\n", 10);
    cache_content_end(f->mine.cache, f->object, "1", 10);
    place_end(&place);
    g_assert_cmpint(place_find(&f->mounted, inode, &place), ==, 0);
    g_assert_cmpint(content_open(&f->mounted, &place, &content, &need), ==, 0);
    char buffer[16];
    size_t got;
    g_assert_cmpuint(content_length(content), ==, 5);
    g_assert_cmpint(content_read(content, 1, sizeof(buffer), buffer, &got, &need), ==, 0);
    g_assert_cmpmem(buffer, got, "ello", 4);
    g_assert_cmpint(content_read(content, 5, sizeof(buffer), buffer, &got, &need), ==, 0);
    g_assert_cmpuint(got, ==, 0);
    content_unref(content);
}

/* What the structure says and the bytes do not agree: the tree is made anew from the message. */
static void test_structure_lies(struct fixture *f, const void *unused)
{
    static const struct cache_part PART = {.number = 4,
                                           .parent = 1,
                                           .kind = CACHE_PART_LEAF,
                                           .octets = 12,
                                           .name = "a.bin",
                                           .section = "1",
                                           .type = "application/octet-stream",
                                           .charset = ""};
    put_parts(f, &PART, 1);
    cache_content_put(f->mine.cache, f->object, "1", 0, "0123456789", 10);
    cache_content_end(f->mine.cache, f->object, "1", 10);
    struct need need = {0};
    struct content *content = NULL;
    g_auto(place) place = {0};
    g_assert_cmpint(place_find(&f->mounted, inode_of(f, f->messages, 4, 4), &place), ==, 0);
    g_assert_cmpint(content_open(&f->mounted, &place, &content, &need), ==, NEED_WAIT);
    g_assert_cmpint(need.wishes[0].want, ==, ENGINE_REPARTS);
    need_clear(&need);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
#define ADD(name, test) g_test_add("/tree/" name, struct fixture, NULL, set_up, test, tear_down)
    ADD("lists", test_lists);
    ADD("list-resumes", test_list_resumes);
    ADD("lookup", test_lookup);
    ADD("parts-are-wished", test_parts_are_wished);
    ADD("sizes", test_sizes);
    ADD("never-listed", test_never_listed);
    ADD("content", test_content);
    ADD("structure-lies", test_structure_lies);
    return g_test_run();
}
