#include "cache/directory.h"
#include "tests/cache/scratch.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a reopened cache must still have, or must not have any more. */
static void put_something(struct scratch *scratch)
{
    struct cache_txn *txn = cache_txn_write(scratch->cache);
    struct cache_message message = scratch_message(1, cache_object_new(txn));
    g_assert_cmpint(cache_message_put(txn, 5, &message), ==, CACHE_OK);
    g_assert_cmpint(cache_note_put(txn, "object", "x"), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_assert_cmpint(cache_content_put(scratch->cache, 77, "", 0, "abc", 3), ==, CACHE_OK);
    g_assert_cmpuint(cache_slot_of_mailbox(scratch->cache, "INBOX"), ==, 1);
}

static bool has_meta(struct scratch *scratch)
{
    struct cache_txn *txn = cache_txn_read(scratch->cache);
    struct cache_message message;
    bool there = cache_message_get(txn, 5, 1, &message) == CACHE_OK;
    cache_txn_end(txn);
    g_assert_cmpint(there, ==, !cache_is_new(scratch->cache));
    return there;
}

static bool has_content(struct scratch *scratch)
{
    char bytes[3];
    return cache_content_get(scratch->cache, 77, "", 0, bytes, 3) == 3 &&
           memcmp(bytes, "abc", 3) == 0;
}

static void test_again(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    g_assert_true(cache_is_new(scratch.cache));
    put_something(&scratch);
    g_assert_cmpint(cache_sync(scratch.cache), ==, CACHE_OK);
    scratch_close(&scratch);
    scratch_open(&scratch);
    g_assert_true(has_meta(&scratch) && has_content(&scratch));
    g_assert_cmpuint(cache_slot_of_mailbox(scratch.cache, "INBOX"), ==, 1);
    scratch_teardown(&scratch);
    cache_close(NULL);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void check_modes(const char *path)
{
    g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
    const char *name;
    GStatBuf status;

    g_assert_cmpint(g_stat(path, &status), ==, 0);
    g_assert_cmpuint(status.st_mode & 07777, ==, 0700);
    while ((name = g_dir_read_name(entries)) != NULL) {
        g_autofree char *entry = g_build_filename(path, name, NULL);
        g_assert_cmpint(g_lstat(entry, &status), ==, 0);
        if (S_ISDIR(status.st_mode))
            check_modes(entry);
        else
            g_assert_cmpuint(status.st_mode & 07777, ==, 0600);
    }
}

static void test_modes(void)
{
    static const mode_t MASKS[] = {0, 022, 0277, 0777};
    for (size_t i = 0; i < G_N_ELEMENTS(MASKS); i++) {
        g_autofree char *base = g_dir_make_tmp("mailmount-cache-XXXXXX", NULL);
        g_autofree char *directory = g_build_filename(base, "a", "b", NULL);
        mode_t mask = umask(MASKS[i]);
        g_autoptr(GError) error = NULL;
        struct cache *cache = scratch_open_as(directory, "a@b:993", 0, &error);
        umask(mask);
        g_assert_no_error(error);
        check_modes(base);
        cache_close(cache);
        remove_tree(base);
    }
}

static void test_too_open(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    put_something(&scratch);
    scratch_close(&scratch);
    g_autofree char *account = scratch_path(&scratch, ""), *meta = scratch_path(&scratch, "meta");
    g_autofree char *data = scratch_path(&scratch, "meta/data.mdb");
    g_assert_cmpint(chmod(scratch.directory, 0755) | chmod(account, 0777) | chmod(meta, 01770) |
                        chmod(data, 0666),
                    ==, 0);
    scratch_open(&scratch);
    check_modes(scratch.directory);
    g_assert_true(has_meta(&scratch));
    scratch_teardown(&scratch);
}

static void assert_refused(const char *directory, int code, const char *pattern)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(scratch_open_as(directory, "a@b:993", 0, &error));
    g_assert_error(error, CACHE_ERROR, code);
    if (!g_pattern_match_simple(pattern, error->message) || strchr(error->message, '\n') != NULL)
        g_error("the message is: %s", error->message);
}

static void test_another_user(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root can give a directory away");
        return;
    }
    struct scratch scratch;
    scratch_setup(&scratch);
    scratch_close(&scratch);
    g_autofree char *account = scratch_path(&scratch, "");
    g_assert_cmpint(chown(account, 65534, 65534), ==, 0);
    assert_refused(scratch.directory, CACHE_IO, "*belongs to another user");
    g_assert_cmpint(chown(account, 0, 0) | chown(scratch.directory, 65534, 65534), ==, 0);
    assert_refused(scratch.directory, CACHE_IO, "*belongs to another user");
    scratch_teardown(&scratch);
}

static void test_links(void)
{
    static const char *const NAMES[] = {"lock", "meta/data.mdb", "content/lock.mdb", "content", ""};
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        struct scratch scratch;
        g_autofree char *elsewhere = g_dir_make_tmp("mailmount-cache-XXXXXX", NULL);
        g_autofree char *target = g_build_filename(elsewhere, "target", NULL);
        g_assert_true(g_file_set_contents(target, "untouched", -1, NULL));
        scratch_setup(&scratch);
        scratch_close(&scratch);
        g_autofree char *path = scratch_path(&scratch, NAMES[i]);
        g_autofree char *trimmed = g_canonicalize_filename(path, NULL);
        remove_tree(trimmed);
        g_remove(trimmed);
        bool directory = *NAMES[i] == 0 || strcmp(NAMES[i], "content") == 0;
        g_assert_cmpint(symlink(directory ? elsewhere : target, trimmed), ==, 0);
        g_test_expect_message("cache", G_LOG_LEVEL_MESSAGE, "*moved aside*");
        g_autoptr(GError) error = NULL;
        scratch.cache = scratch_open_as(scratch.directory, "a@b:993", 0, &error);
        if (strstr(NAMES[i], "meta") == NULL)
            g_log("cache", G_LOG_LEVEL_MESSAGE, "moved aside");
        g_test_assert_expected_messages();
        /* refused, or begun anew in its place; never written through */
        g_autofree char *bytes = NULL;
        g_assert_true(g_file_get_contents(target, &bytes, NULL, NULL));
        g_assert_cmpstr(bytes, ==, "untouched");
        g_autoptr(GDir) entries = g_dir_open(elsewhere, 0, NULL);
        g_assert_cmpstr(g_dir_read_name(entries), ==, "target");
        g_assert_null(g_dir_read_name(entries));
        scratch_teardown(&scratch);
        remove_tree(elsewhere);
    }
}

static void test_names(void)
{
    static const struct {
        const char *account, *name;
    } CASES[] = {
        {"alice@imap.example.org:993", "alice@imap.example.org:993"},
        {".", "%2E"},
        {"..", "%2E."},
        {"", "%"},
        {"a/../b", "a%2F..%2Fb"},
        {"slots", "%73lots"},
        {"slots.broken", "%73lots.broken"},
        {"50%", "50%25"},
        {"\303\244 \n", "%C3%A4%20%0A"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autofree char *name = directory_account_name(CASES[i].account);
        g_assert_cmpstr(name, ==, CASES[i].name);
    }
    g_autofree char *a = g_strnfill(300, '/'), *b = g_strnfill(301, '/');
    g_autofree char *name_a = directory_account_name(a), *name_b = directory_account_name(b);
    g_assert_cmpuint(strlen(name_a), <=, 255);
    g_assert_cmpstr(name_a, !=, name_b);
}

static void test_filesystems(void)
{
    g_assert_true(directory_type_refused(NFS_SUPER_MAGIC));
    g_assert_true(directory_type_refused((int)CIFS_SUPER_MAGIC)); /* sign-extended */
    g_assert_false(directory_type_refused(EXT4_SUPER_MAGIC));
    g_assert_false(directory_type_refused(TMPFS_MAGIC));
}

static void test_no_directory(void)
{
    assert_refused("/proc/self/cache", CACHE_IO, "cannot make the directory /proc/self/cache: *");
    assert_refused("/dev/null/cache", CACHE_IO, "cannot *");
}

/* ---- the lock ------------------------------------------------------------------------------- */

static void test_locked(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    assert_refused(scratch.directory, CACHE_LOCKED,
                   "this account is already mounted: mounted on /mail, pid 7");
    /* two accounts do not meet */
    g_autoptr(GError) error = NULL;
    struct cache *other = scratch_open_as(scratch.directory, "c@d:993", 0, &error);
    g_assert_no_error(error);
    cache_close(other);
    scratch_teardown(&scratch);
}

static void test_lock_shown(void)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-cache-XXXXXX", NULL);
    g_autoptr(GError) error = NULL;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int held = directory_lock(fd, "\033[2Jevil\n\377", 0, NULL);
    g_assert_cmpint(held, >=, 0);
    g_assert_cmpint(directory_lock(fd, "other", 120, &error), <, 0);
    g_assert_error(error, CACHE_ERROR, CACHE_LOCKED);
    g_assert_cmpstr(error->message, ==, "this account is already mounted: [2Jevil \357\277\275");
    close(held);
    held = directory_lock(fd, "", 0, NULL);
    g_clear_error(&error);
    g_assert_cmpint(directory_lock(fd, "other", 0, &error), <, 0);
    g_assert_cmpstr(error->message, ==, "this account is already mounted: by another process");
    close(held);
    close(fd);
    remove_tree(directory);
}

/* A process that is just ending is waited for. */
static void test_lock_wait(void)
{
    struct scratch scratch;
    int ready[2];

    scratch_setup(&scratch);
    scratch_close(&scratch);
    g_assert_cmpint(pipe(ready), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        scratch_open(&scratch);
        bool told = write(ready[1], "x", 1) == 1;
        g_usleep(200000);
        _exit(told ? 0 : 1); /* without closing */
    }
    char byte;
    g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
    assert_refused(scratch.directory, CACHE_LOCKED, "this account is already mounted: *");
    struct cache_options options = {
        .directory = scratch.directory, .account = "a@b:993", .owner = "x", .lock_wait_ms = 60000};
    g_autoptr(GError) error = NULL;
    scratch.cache = cache_open(&options, &error);
    g_assert_no_error(error);
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
    close(ready[0]);
    close(ready[1]);
    scratch_teardown(&scratch);
}

/* ---- what is of no use ---------------------------------------------------------------------- */

static void damage(struct scratch *scratch, const char *name, off_t offset, const char *bytes,
                   size_t length)
{
    g_autofree char *path = scratch_path(scratch, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    if (bytes != NULL)
        g_assert_cmpint(pwrite(fd, bytes, length, offset), ==, (ssize_t)length);
    else
        g_assert_cmpint(ftruncate(fd, offset), ==, 0);
    close(fd);
}

/* Each kind of damage to meta/data.mdb: moved aside, begun anew, and the content with it. */
static void test_broken_meta(void)
{
    static const char ZEROS[8192], ONES[] = "\377\377\377\377\377\377\377\377";
    static const struct {
        off_t offset;
        const char *bytes; /* NULL: cut there */
        size_t length;
    } CASES[] = {
        {100, NULL, 0}, {4096, NULL, 0}, {8192, NULL, 0},      {12288, NULL, 0}, {0, ZEROS, 8192},
        {16, ONES, 4},  {20, ONES, 4},   {4096 + 16, ONES, 4}, {40, ZEROS, 4},   {40, ONES, 4},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        struct scratch scratch;
        scratch_setup(&scratch);
        put_something(&scratch);
        scratch_close(&scratch);
        damage(&scratch, "meta/data.mdb", CASES[i].offset, CASES[i].bytes, CASES[i].length);
        for (int copy = 0; copy < 2; copy++) { /* the second time there is a meta.broken already */
            g_test_expect_message("cache", G_LOG_LEVEL_MESSAGE, "*meta is of no use*");
            scratch_open(&scratch);
            g_test_assert_expected_messages();
            g_assert_false(has_meta(&scratch) || has_content(&scratch));
            put_something(&scratch);
            scratch_close(&scratch);
            damage(&scratch, "meta/data.mdb", 4096, NULL, 0);
        }
        g_autofree char *broken = scratch_path(&scratch, "meta.broken/data.mdb");
        g_assert_true(g_file_test(broken, G_FILE_TEST_EXISTS));
        scratch_teardown(&scratch);
    }
}

static void test_broken_content(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    put_something(&scratch);
    scratch_close(&scratch);
    damage(&scratch, "content/data.mdb", 8192, NULL, 0);
    scratch_open(&scratch);
    g_assert_true(has_meta(&scratch) && !has_content(&scratch));
    g_assert_cmpint(cache_content_put(scratch.cache, 77, "", 0, "abc", 3), ==, CACHE_OK);
    g_assert_true(has_content(&scratch));
    scratch_teardown(&scratch);
}

/* The registry lost: slots mean nothing any more, so all that is kept by slot goes. */
static void test_broken_slots(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    put_something(&scratch);
    scratch_close(&scratch);
    damage(&scratch, "../slots/data.mdb", 4096, NULL, 0);
    g_test_expect_message("cache", G_LOG_LEVEL_MESSAGE, "*slots is of no use*");
    g_test_expect_message("cache", G_LOG_LEVEL_MESSAGE, "*meta is of no use*");
    scratch_open(&scratch);
    g_test_assert_expected_messages();
    g_assert_false(has_meta(&scratch) || has_content(&scratch));
    scratch_teardown(&scratch);
}

static void test_begin_anew(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    put_something(&scratch);
    scratch_close(&scratch);
    struct cache_options options = {
        .directory = scratch.directory, .account = "a@b:993", .owner = "x", .begin_anew = true};
    scratch.cache = cache_open(&options, NULL);
    g_assert_nonnull(scratch.cache);
    g_assert_false(has_meta(&scratch) || has_content(&scratch));
    g_assert_cmpuint(cache_slot_of_mailbox(scratch.cache, "INBOX"), ==, 1);
    scratch_teardown(&scratch);
}

static void test_is_there(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    g_assert_true(cache_is_there(scratch.directory, "a@b:993"));
    g_assert_false(cache_is_there(scratch.directory, "a@b:143"));
    g_assert_false(cache_is_there("/nowhere", "a@b:993"));
    scratch_teardown(&scratch);
}

/* A smaller bound holds at once. */
static void test_smaller_bound(void)
{
    g_autofree char *bytes = g_malloc0(24 << 20);
    struct scratch scratch;

    scratch_setup(&scratch);
    scratch_close(&scratch);
    scratch.cache = scratch_open_as(scratch.directory, "a@b:993", 64 << 20, NULL);
    g_assert_cmpint(cache_content_put(scratch.cache, 1, "", 0, bytes, 24 << 20), ==, CACHE_OK);
    scratch_close(&scratch);
    scratch.cache = scratch_open_as(scratch.directory, "a@b:993", 64 << 20, NULL);
    g_assert_cmpuint(cache_content_have(scratch.cache, 1, "", 0, 24 << 20), ==, 24 << 20);
    scratch_close(&scratch);
    scratch_open(&scratch); /* 16 MiB */
    g_assert_cmpuint(cache_content_used(scratch.cache), <, 1 << 20);
    scratch_teardown(&scratch);
}

/* Content that was not closed: good under the same kernel, discarded under another. */
static void test_dirty(void)
{
    for (int another = 0; another < 2; another++) {
        struct scratch scratch;
        scratch_setup(&scratch);
        scratch_close(&scratch);
        g_autofree char *mark = scratch_path(&scratch, "content/dirty");
        g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
        pid_t child = fork();
        if (child == 0) {
            scratch_open(&scratch);
            put_something(&scratch);
            _exit(0);
        }
        int status;
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_cmpint(status, ==, 0);
        g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
        if (another)
            g_assert_true(
                g_file_set_contents(mark, "8d1b7c1e-0000-0000-0000-000000000000\n", -1, NULL));
        scratch_open(&scratch);
        g_assert_true(has_meta(&scratch));
        g_assert_cmpint(has_content(&scratch), ==, !another);
        scratch_teardown(&scratch);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/open/again", test_again);
    g_test_add_func("/open/modes", test_modes);
    g_test_add_func("/open/too-open", test_too_open);
    g_test_add_func("/open/another-user", test_another_user);
    g_test_add_func("/open/links", test_links);
    g_test_add_func("/open/names", test_names);
    g_test_add_func("/open/filesystems", test_filesystems);
    g_test_add_func("/open/no-directory", test_no_directory);
    g_test_add_func("/open/locked", test_locked);
    g_test_add_func("/open/lock-shown", test_lock_shown);
    g_test_add_func("/open/lock-wait", test_lock_wait);
    g_test_add_func("/open/broken-meta", test_broken_meta);
    g_test_add_func("/open/broken-content", test_broken_content);
    g_test_add_func("/open/broken-slots", test_broken_slots);
    g_test_add_func("/open/begin-anew", test_begin_anew);
    g_test_add_func("/open/is-there", test_is_there);
    g_test_add_func("/open/smaller-bound", test_smaller_bound);
    g_test_add_func("/open/dirty", test_dirty);
    return g_test_run();
}
