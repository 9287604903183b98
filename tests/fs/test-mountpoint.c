#include "fs/mountpoint.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char MOUNTINFO[] =
    "22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
    "28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
    "90 28 0:50 / /home/a/My\\040Mail rw,nosuid,nodev - fuse.mailmount imaps://a@h "
    "rw,user_id=1000,group_id=1000\n"
    "91 28 0:51 / /mnt rw - autofs systemd-1 rw,fd=1\n"
    "92 91 0:52 / /mnt rw shared:2 master:1 - fuse.mailmount a\\134b rw,user_id=0,group_id=0\n"
    "garbage\n"
    "93 28 x:y / /bad rw - ext4 /dev/x rw\n"
    "94 28 0:60 / /short rw shared:1 shared:2 shared:3 shared:4\n"
    "95 28 0:61 / /short rw -\n";

static void test_rows(void)
{
    static const struct {
        const char *path, *type, *source;
        unsigned minor;
        uid_t user;
    } CASES[] = {
        {"/", "ext4", "/dev/vda1", 1, (uid_t)-1},
        {"/home/a/My Mail", "fuse.mailmount", "imaps://a@h", 50, 1000},
        {"/mnt", "fuse.mailmount", "a\\b", 52, 0},
        {"/mn", NULL, NULL, 0, 0},
        {"/mnt/", NULL, NULL, 0, 0},
        {"/bad", NULL, NULL, 0, 0},
        {"/short", NULL, NULL, 0, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_auto(mount_row) row = {0};
        bool found = mount_row_find(MOUNTINFO, CASES[i].path, &row);
        g_assert_true(found == (CASES[i].type != NULL));
        g_assert_cmpstr(row.type, ==, CASES[i].type);
        g_assert_cmpstr(row.source, ==, CASES[i].source);
        if (!found)
            continue;
        g_assert_cmpuint(minor(row.device), ==, CASES[i].minor);
        g_assert_cmpuint(row.user, ==, CASES[i].user);
    }
}

struct fixture {
    char *folder, *empty, *full, *file, *link;
};

static void fixture_set_up(struct fixture *fixture, const void *data)
{
    g_autofree char *made = g_dir_make_tmp("mailmount-test-XXXXXX", NULL);
    g_autofree char *inside = NULL;

    fixture->folder = realpath(made, NULL);
    fixture->empty = g_build_filename(made, "empty", NULL);
    fixture->full = g_build_filename(made, "full", NULL);
    fixture->file = g_build_filename(made, "file", NULL);
    fixture->link = g_build_filename(made, "link", NULL);
    inside = g_build_filename(fixture->full, ".hidden", NULL);
    g_assert_cmpint(g_mkdir(fixture->empty, 0700), ==, 0);
    g_assert_cmpint(g_mkdir(fixture->full, 0700), ==, 0);
    g_assert_true(g_file_set_contents(inside, "", -1, NULL));
    g_assert_true(g_file_set_contents(fixture->file, "", -1, NULL));
    g_assert_cmpint(symlink("empty", fixture->link), ==, 0);
}

static void fixture_tear_down(struct fixture *fixture, const void *data)
{
    g_autofree char *inside = g_build_filename(fixture->full, ".hidden", NULL);

    g_unlink(inside);
    g_unlink(fixture->file);
    g_unlink(fixture->link);
    g_rmdir(fixture->full);
    g_rmdir(fixture->empty);
    g_rmdir(fixture->folder);
    free(fixture->folder);
    g_free(fixture->empty);
    g_free(fixture->full);
    g_free(fixture->file);
    g_free(fixture->link);
}

static void check(const char *path, bool nonempty, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *resolved = mountpoint_check(path, nonempty, &error);

    if (part == NULL) {
        g_assert_no_error(error);
        g_assert_true(g_path_is_absolute(resolved));
        return;
    }
    g_assert_null(resolved);
    g_assert_nonnull(strstr(error->message, part));
    g_assert_nonnull(strstr(error->message, path));
}

static void test_check(struct fixture *fixture, const void *data)
{
    g_autofree char *missing = g_build_filename(fixture->folder, "missing", NULL);
    g_autofree char *below_file = g_build_filename(fixture->file, "x", NULL);
    g_autofree char *by_link = NULL;

    check(fixture->empty, false, NULL);
    check(fixture->full, true, NULL);
    check(fixture->full, false, "not empty");
    check(fixture->file, false, "is not a directory");
    check(below_file, false, "is not a directory");
    check(missing, false, "does not exist");
    check("/proc", false, "is in use: proc (proc)");
    check("/", true, "is in use");
    by_link = mountpoint_check(fixture->link, false, NULL);
    g_assert_true(g_str_has_suffix(by_link, "/empty"));
}

static void made_is(const char *path, const char *uppermost)
{
    g_autofree char *made = NULL;

    g_assert_true(mountpoint_make(path, &made, NULL));
    g_assert_cmpstr(made, ==, uppermost);
}

static void test_make(struct fixture *fixture, const void *data)
{
    g_autofree char *upper = g_build_filename(fixture->empty, "upper", NULL);
    g_autofree char *lower = g_build_filename(upper, "lower", NULL);
    g_autofree char *below_file = g_build_filename(fixture->file, "x", NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *made = NULL;
    struct stat st;

    made_is(fixture->full, NULL);
    made_is(fixture->file, NULL); /* for mountpoint_check() to refuse */
    made_is(lower, upper);
    made_is(lower, NULL);
    g_assert_cmpint(lstat(lower, &st), ==, 0);
    g_assert_cmpuint(st.st_mode, ==, S_IFDIR | 0700);
    g_assert_false(mountpoint_make(below_file, &made, &error));
    g_assert_nonnull(strstr(error->message, "cannot be made"));
    mountpoint_unmake(lower, lower);
    g_assert_true(g_file_test(upper, G_FILE_TEST_IS_DIR));
    made_is(lower, lower);
    mountpoint_unmake(lower, upper);
    g_assert_false(g_file_test(upper, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(fixture->folder, G_FILE_TEST_IS_DIR));
    mountpoint_unmake(fixture->full, fixture->folder); /* something is in it */
    g_assert_true(g_file_test(fixture->full, G_FILE_TEST_IS_DIR));
}

static void test_below(struct fixture *fixture, const void *data)
{
    g_autofree char *deep = g_build_filename(fixture->empty, "not/yet/there", NULL);
    g_autofree char *by_link = g_build_filename(fixture->link, "not/yet", NULL);
    g_autofree char *sibling = g_strconcat(fixture->empty, "2", NULL);

    g_assert_true(path_is_below(fixture->empty, fixture->empty));
    g_assert_true(path_is_below(deep, fixture->empty));
    g_assert_true(path_is_below(by_link, fixture->empty));
    g_assert_true(path_is_below(fixture->empty, "/"));
    g_assert_false(path_is_below(sibling, fixture->empty));
    g_assert_false(path_is_below(fixture->folder, fixture->empty));
    g_assert_false(path_is_below(fixture->full, fixture->empty));
    g_assert_false(path_is_remote(deep));
}

/* What is not our device stays. */
static void test_detach_other(void)
{
    g_auto(mount_row) row = {0};
    g_autofree char *text = NULL;

    mountpoint_detach("/proc", makedev(0, 9999999));
    mountpoint_detach("/proc", 0);
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL));
    g_assert_true(mount_row_find(text, "/proc", &row));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mountpoint/rows", test_rows);
    g_test_add("/mountpoint/check", struct fixture, NULL, fixture_set_up, test_check,
               fixture_tear_down);
    g_test_add("/mountpoint/make", struct fixture, NULL, fixture_set_up, test_make,
               fixture_tear_down);
    g_test_add("/mountpoint/below", struct fixture, NULL, fixture_set_up, test_below,
               fixture_tear_down);
    g_test_add_func("/mountpoint/detach-other", test_detach_other);
    return g_test_run();
}
