/* Requests to .mailmount/control, over a real cache and an engine that notes what is wished for. */
#include "fs/control.h"
#include "tests/fs/quiet.h"
#include "tests/remove.h"

#include <errno.h>

/* ---- an engine that only notes ---- */

static unsigned asked; /* wishes that are not waited for */

uint64_t engine_ask(struct engine *engine, const struct engine_wish *wish, engine_done done,
                    void *data)
{
    done(ENGINE_OK, data);
    return ++asked;
}

void engine_status_read(struct engine *engine, struct engine_status *status)
{
    *status = (struct engine_status){.online = true};
}

/* ---- accounts "a" and "b", each with INBOX and INBOX/x ---- */

struct fixture {
    char *directory;
    struct account accounts[2];
    struct mounted_account mine[2];
    struct mounted mounted;
    uint32_t inbox, child; /* of the last account that was filled */
};

static void fill(struct fixture *f, struct cache *cache)
{
    f->inbox = cache_slot_of_mailbox(cache, "INBOX");
    f->child = cache_slot_of_mailbox(cache, "INBOX/x");
    const struct cache_mailbox mailboxes[] = {
        {.slot = f->inbox, .wire = "INBOX", .name = "INBOX", .delimiter = '/'},
        {.slot = f->child, .parent = f->inbox, .wire = "INBOX/x", .name = "x y", .delimiter = '/'},
    };
    struct cache_txn *txn = cache_txn_write(cache);
    for (size_t i = 0; i < G_N_ELEMENTS(mailboxes); i++)
        g_assert_cmpint(cache_mailbox_put(txn, &mailboxes[i]), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
}

static void set_up(struct fixture *f, unsigned count)
{
    static const char *const NAMES[] = {"a", "b"};
    *f = (struct fixture){.directory = g_dir_make_tmp("mailmount-XXXXXX", NULL)};
    asked = 0;
    for (unsigned i = 0; i < count; i++) {
        f->accounts[i] = (struct account){.name = (char *)NAMES[i], .cache_size = 64 << 20};
        const struct cache_options options = {
            .directory = f->directory, .account = NAMES[i], .owner = "a test"};
        f->mine[i] = (struct mounted_account){
            .account = &f->accounts[i],
            .cache = cache_open(&options, NULL),
            .engine = (struct engine *)&f->mine[i], /* told apart, never looked into */
        };
        fill(f, f->mine[i].cache);
    }
    f->mounted =
        (struct mounted){.accounts = f->mine, .count = count, .several = count > 1, .path = "/mnt"};
}

static void tear_down(struct fixture *f)
{
    for (unsigned i = 0; i < f->mounted.count; i++)
        cache_close(f->mine[i].cache);
    remove_tree(f->directory);
    g_free(f->directory);
}

/* ---- tests ---- */

static void test_refused(void)
{
    static const struct refused {
        const char *line;
        int error;
        bool looks; /* for a folder, with a fresh list */
    } REFUSED[] = {
        {"", EINVAL, false},
        {" ", EINVAL, false},
        {"nonsense", EINVAL, false},
        {"chec INBOX", EINVAL, false},
        {"checks", EINVAL, false},
        {"check\tINBOX", EINVAL, false},
        {"CHECK", EINVAL, false},
        {"check \xff", EINVAL, false},
        {"retry INBOX", EINVAL, false},
        {"check inbox", ENOENT, true},
        {"check INBOX/", 0, false},
        {"check INBOX/y", ENOENT, true},
        {"check INBOX/x y/z", ENOENT, true},
        {"check ..", ENOENT, true},
    };
    struct fixture f;
    set_up(&f, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSED); i++) {
        struct need need = {0};
        unsigned stage = 0;
        int error = control_request(&f.mounted, REFUSED[i].line, &stage, &need);
        if (REFUSED[i].error == 0 || REFUSED[i].looks) {
            g_assert_cmpint(error, ==, NEED_WAIT);
            need_clear(&need);
            error = control_request(&f.mounted, REFUSED[i].line, &stage, &need);
        }
        g_assert_cmpint(error, ==, REFUSED[i].error);
        need_clear(&need);
    }
    tear_down(&f);
}

static void test_one_folder(void)
{
    struct fixture f;
    set_up(&f, 2);
    const struct taken {
        const char *line;
        enum engine_want want;
        uint32_t folder;
        unsigned account;
    } TAKEN[] = {
        {"check b/INBOX", ENGINE_MAILBOX, f.inbox, 1},
        {"check //b/INBOX//x y/", ENGINE_MAILBOX, f.child, 1},
        {"check b", ENGINE_FOLDERS, 0, 1},
        {"retry a", ENGINE_CONNECT, 0, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(TAKEN); i++) {
        struct need need = {0};
        unsigned stage = 0;
        g_assert_cmpint(control_request(&f.mounted, TAKEN[i].line, &stage, &need), ==, NEED_WAIT);
        g_assert_cmpuint(need.count, ==, 1);
        g_assert_true(need.engine == f.mine[TAKEN[i].account].engine);
        g_assert_false(need.optional);
        g_assert_cmpint(need.wishes[0].want, ==, TAKEN[i].want);
        g_assert_cmpuint(need.wishes[0].folder, ==, TAKEN[i].folder);
        g_assert_true(need.wishes[0].anew);
        need_clear(&need);
        g_assert_cmpint(control_request(&f.mounted, TAKEN[i].line, &stage, &need), ==, 0);
    }
    struct need need = {0};
    unsigned stage = 0;
    g_assert_cmpint(control_request(&f.mounted, "check c/INBOX", &stage, &need), ==, ENOENT);
    tear_down(&f);
}

/* All accounts are asked before one is waited for. */
static void test_all(void)
{
    struct fixture f;
    set_up(&f, 2);
    struct need need = {0};
    unsigned stage = 0;
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(control_request(&f.mounted, "retry", &stage, &need), ==, NEED_WAIT);
        g_assert_true(need.engine == f.mine[i].engine);
        g_assert_cmpint(need.wishes[0].want, ==, ENGINE_CONNECT);
        g_assert_cmpuint(asked, ==, 1);
        need_clear(&need);
    }
    g_assert_cmpint(control_request(&f.mounted, "retry", &stage, &need), ==, 0);
    tear_down(&f);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control/refused", test_refused);
    g_test_add_func("/control/one-folder", test_one_folder);
    g_test_add_func("/control/all", test_all);
    return g_test_run();
}
