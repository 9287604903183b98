#include "fs/running.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/mountpoint.h"

#define MOUNTINFO "/proc/self/mountinfo"

char *running_resolve(const char *path)
{
    g_autofree char *real = realpath(path, NULL);
    return real != NULL ? g_strdup(real) : g_canonicalize_filename(path, NULL);
}

char *running_above(const char *path)
{
    g_autofree char *text = NULL;
    g_autofree char *at = running_resolve(path);
    if (!g_file_get_contents(MOUNTINFO, &text, NULL, NULL))
        return NULL;
    for (;;) {
        g_auto(mount_row) row = {0};
        if (mount_row_find(text, at, &row))
            return g_str_equal(row.type, "fuse.mailmount") ? g_steal_pointer(&at) : NULL;
        if (g_str_equal(at, "/"))
            return NULL;
        char *parent = g_path_get_dirname(at);
        g_free(at);
        at = parent;
    }
}

/* The fifth word of a line is where it is mounted (proc(5)). */
static char *line_path(const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 6);
    return g_strv_length(words) > 5 ? g_strcompress(words[4]) : NULL;
}

GStrv running_mine(void)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = NULL;
    g_file_get_contents(MOUNTINFO, &text, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        g_auto(mount_row) row = {0};
        g_autofree char *path = strstr(*line, "fuse.mailmount") != NULL ? line_path(*line) : NULL;
        if (path != NULL && mount_row_find(text, path, &row) && row.user == geteuid() &&
            g_str_equal(row.type, "fuse.mailmount") &&
            !g_ptr_array_find_with_equal_func(paths, path, g_str_equal, NULL))
            g_ptr_array_add(paths, g_steal_pointer(&path));
    }
    g_ptr_array_add(paths, NULL);
    return (GStrv)g_ptr_array_steal(paths, NULL);
}

int running_request(const char *mountpoint, const char *line)
{
    g_autofree char *path = g_build_filename(mountpoint, ".mailmount/control", NULL);
    g_autofree char *whole = g_strconcat(line, "\n", NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ENOTCONN : errno;
    int error = write(fd, whole, strlen(whole)) < 0 ? errno : 0;
    close(fd);
    return error;
}
