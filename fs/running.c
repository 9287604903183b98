#include "fs/running.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/mountpoint.h"
#include "fs/running-child.h"

#define MOUNTINFO "/proc/self/mountinfo"
#define ANSWER_US (2 * G_USEC_PER_SEC) /* that a mount may take to say how it is */
/* Between looks at whether a mount is alive that has a request to do. */
#define REQUEST_US (5 * G_USEC_PER_SEC)

static void text_write(int out, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t count = write(out, text, length);
        if (count <= 0)
            return;
        text += count;
        length -= (size_t)count;
    }
}

static void path_resolve(int out, const char *path, const char *line)
{
    char *real = realpath(path, NULL);
    if (real != NULL)
        text_write(out, real, strlen(real));
    free(real);
}

char *running_resolve(const char *path)
{
    struct running_child child;
    running_child_start(&child, path_resolve, path, NULL);
    GString *real = running_child_end(&child, ANSWER_US, NULL);
    if (real != NULL && real->len > 0)
        return g_string_free(real, FALSE);
    if (real != NULL)
        g_string_free(real, TRUE);
    return g_canonicalize_filename(path, NULL);
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

/* ---- asking ---------------------------------------------------------------------------------- */

static void status_read(int out, const char *path, const char *line)
{
    g_autofree char *whole = g_build_filename(path, ".mailmount/status", NULL);
    int fd = open(whole, O_RDONLY | O_CLOEXEC);
    char piece[4096];

    for (ssize_t count; fd >= 0 && (count = read(fd, piece, sizeof piece)) > 0;)
        text_write(out, piece, (size_t)count);
}

char *running_status(const char *mountpoint)
{
    struct running_child child;
    running_child_start(&child, status_read, mountpoint, NULL);
    GString *text = running_child_end(&child, ANSWER_US, NULL);
    return text != NULL ? g_string_free(text, FALSE) : NULL;
}

static bool mount_answers(const char *mountpoint)
{
    g_autofree char *status = running_status(mountpoint);
    return status != NULL;
}

/* Its answer is the errno, in digits. */
static void request_write(int out, const char *path, const char *line)
{
    g_autofree char *whole = g_build_filename(path, ".mailmount/control", NULL);
    g_autofree char *request = g_strconcat(line, "\n", NULL);
    int fd = open(whole, O_WRONLY | O_CLOEXEC);
    int error = fd < 0 || write(fd, request, strlen(request)) < 0 ? errno : 0;
    if (fd < 0 && error == ENOENT)
        error = ENOTCONN;
    g_autofree char *answer = g_strdup_printf("%d", error);
    text_write(out, answer, strlen(answer));
}

static int request_end(struct running_child *child)
{
    GString *answer = running_child_end(child, REQUEST_US, mount_answers);
    if (answer == NULL)
        return RUNNING_SILENT;
    int error = answer->len > 0 ? (int)g_ascii_strtoll(answer->str, NULL, 10) : EIO;
    g_string_free(answer, TRUE);
    return error;
}

int running_request(const char *mountpoint, const char *line)
{
    struct running_child child;
    running_child_start(&child, request_write, mountpoint, line);
    return request_end(&child);
}

void running_requests(const char *mountpoint, const char *const *lines, int *errors)
{
    guint count = g_strv_length((char **)lines);
    g_autofree struct running_child *children = g_new0(struct running_child, count);
    for (guint i = 0; i < count; i++)
        running_child_start(&children[i], request_write, mountpoint, lines[i]);
    for (guint i = 0; i < count; i++)
        errors[i] = request_end(&children[i]);
}
