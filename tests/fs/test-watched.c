/* Which directories are watched, as /proc tells it. */
#include <glib/gstdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/watched.h"

static const struct {
    const char *line;
    unsigned major, minor;
    uint64_t inode; /* 0: none */
} LINES[] = {
    {"inotify wd:1 ino:2c4 sdev:30 mask:fce ignored_mask:0 fhandle-bytes:8", 0, 0x30, 0x2c4},
    {"inotify wd:2 ino:7fffc00000000000 sdev:fffff mask:fce", 0, 0xfffff, 0x7fffc00000000000},
    {"inotify wd:1 ino:2c4 sdev:800001 mask:fce", 8, 1, 0x2c4},
    {"inotify wd:1 ino:2c4 sdev:800001 mask:fce", 0, 1, 0},
    {"inotify wd:1 ino:2c4 sdev:31 mask:fce", 0, 0x30, 0},
    {"inotify wd:1 ino:0 sdev:30", 0, 0x30, 0},
    {"inotify wd:1 ino:2c4", 0, 0x30, 0},
    {"inotify wd:1 sdev:30 ino:2c4", 0, 0x30, 0},
    {"fanotify ino:2c4 sdev:30 mflags:0", 0, 0x30, 0},
    {"flags: 00", 0, 0, 0},
    {"", 0, 0, 0},
};

static void test_lines(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(LINES); i++) {
        uint64_t inode = 0;
        bool is = watched_line(LINES[i].line, makedev(LINES[i].major, LINES[i].minor), &inode);
        g_assert_true(is == (LINES[i].inode != 0));
        if (is)
            g_assert_cmpuint(inode, ==, LINES[i].inode);
    }
}

static bool is_watched(const struct stat *st)
{
    g_autoptr(GHashTable) found = watched_scan(st->st_dev);
    uint64_t inode = st->st_ino;
    return g_hash_table_contains(found, &inode);
}

static void test_scan(void)
{
    g_autofree char *folder = g_dir_make_tmp("watched-XXXXXX", NULL);
    struct stat st;
    int fd = inotify_init1(IN_CLOEXEC);

    g_assert_cmpint(g_stat(folder, &st), ==, 0);
    g_assert_false(is_watched(&st));
    int watch = inotify_add_watch(fd, folder, IN_CREATE);
    g_assert_cmpint(watch, >=, 0);
    g_assert_true(is_watched(&st));
    st.st_dev++;
    g_assert_false(is_watched(&st));
    st.st_dev--;
    g_assert_cmpint(inotify_rm_watch(fd, watch), ==, 0);
    g_assert_false(is_watched(&st));
    close(fd);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/watched/lines", test_lines);
    g_test_add_func("/watched/scan", test_scan);
    return g_test_run();
}
