#include "fs/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEAD_MAX 16 /* dead mounts stacked on one directory */
/* How long a mount may take to say that it is there, and how often it is looked whether it did. */
#define ANSWER_MS 5000
#define ANSWER_LOOK_MS 2

/* ---- mountinfo ------------------------------------------------------------------------------ */

void mount_row_clear(struct mount_row *row)
{
    g_clear_pointer(&row->type, g_free);
    g_clear_pointer(&row->source, g_free);
}

/* "36 35 98:0 /root /mnt options [optional ...] - type source super": proc(5). */
static bool row_parse(const char *line, const char *path, struct mount_row *row)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    guint count = g_strv_length(words), dash = 6;
    unsigned major_number, minor_number;

    if (count < 10 || sscanf(words[2], "%u:%u", &major_number, &minor_number) != 2)
        return false;
    g_autofree char *where = g_strcompress(words[4]);
    if (!g_str_equal(where, path))
        return false;
    while (dash < count && !g_str_equal(words[dash], "-"))
        dash++;
    if (dash + 3 >= count)
        return false;
    mount_row_clear(row);
    row->device = makedev(major_number, minor_number);
    row->type = g_strcompress(words[dash + 1]);
    row->source = g_strcompress(words[dash + 2]);
    const char *user = strstr(words[dash + 3], "user_id=");
    row->user = user != NULL ? (uid_t)strtoul(user + strlen("user_id="), NULL, 10) : (uid_t)-1;
    return true;
}

bool mount_row_find(const char *mountinfo, const char *path, struct mount_row *row)
{
    g_auto(GStrv) lines = g_strsplit(mountinfo, "\n", -1);
    bool found = false;

    memset(row, 0, sizeof(*row));
    for (char **line = lines; *line != NULL; line++)
        found |= row_parse(*line, path, row);
    return found;
}

static bool row_read(const char *path, struct mount_row *row)
{
    g_autofree char *text = NULL;

    memset(row, 0, sizeof(*row));
    return g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL) &&
           mount_row_find(text, path, row);
}

/* ---- unmounting ----------------------------------------------------------------------------- */

/* A mount whose process is gone answers everything so. */
static bool path_is_dead(const char *path)
{
    struct stat st;
    return lstat(path, &st) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

static bool row_is_ours(const struct mount_row *row)
{
    return g_str_equal(row->type, "fuse.mailmount") && row->user == geteuid();
}

static void child_signals_reset(gpointer data)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void path_detach(const char *path)
{
    const char *const argv[] = {"fusermount3", "-u", "-z", "--", path, NULL};

    if (geteuid() == 0 && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return;
    g_spawn_sync("/", (char **)argv, NULL,
                 G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                 child_signals_reset, NULL, NULL, NULL, NULL, NULL);
}

void mountpoint_detach(const char *path, dev_t device)
{
    g_auto(mount_row) row = {0};

    if (!row_read(path, &row))
        return;
    if (device != 0 ? row.device == device : row_is_ours(&row) && path_is_dead(path))
        path_detach(path);
}

void mountpoint_abort(const char *path, dev_t device)
{
    g_autofree char *file = g_strdup_printf("/sys/fs/fuse/connections/%u/abort", minor(device));
    int fd = major(device) == 0 ? open(file, O_WRONLY | O_CLOEXEC) : -1;
    g_auto(mount_row) row = {0};

    /* there is none any more, or fusectl is not mounted: to force an unmount ends it first */
    if (fd < 0 && geteuid() == 0 && row_read(path, &row) && row.device == device)
        umount2(path, MNT_FORCE | UMOUNT_NOFOLLOW);
    if (fd < 0)
        return;
    if (write(fd, "1", 1) != 1)
        g_debug("%s: %s", file, g_strerror(errno));
    close(fd);
}

/* ---- checking ------------------------------------------------------------------------------- */

static void mountpoint_refuse(GError **error, const char *path, const char *reason)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the mount point %s %s", path, reason);
}

/* realpath() that also resolves the place of a dead mount. */
static char *path_resolve(const char *path)
{
    char buffer[PATH_MAX];

    if (realpath(path, buffer) != NULL)
        return g_strdup(buffer);
    if (errno != ENOTCONN && errno != ECONNABORTED)
        return NULL;
    g_autofree char *whole = g_canonicalize_filename(path, NULL);
    g_autofree char *parent = g_path_get_dirname(whole);
    g_autofree char *last = g_path_get_basename(whole);
    if (realpath(parent, buffer) == NULL) {
        errno = ENOTCONN;
        return NULL;
    }
    return g_build_filename(buffer, last, NULL);
}

static void resolve_refuse(GError **error, const char *path, int err)
{
    g_autofree char *other = g_strdup_printf("cannot be reached: %s", g_strerror(err));

    if (err == ENOENT)
        mountpoint_refuse(error, path, "does not exist: make it first (mkdir)");
    else if (err == ENOTDIR)
        mountpoint_refuse(error, path, "is not a directory");
    else
        mountpoint_refuse(error, path, other);
}

/* Whether a look at it ends at all. Who looks may hang beyond the reach of SIGKILL. */
static bool path_answers(const char *path)
{
    struct stat st;
    pid_t child = fork();
    if (child == 0) {
        if (lstat(path, &st) != 0)
            _exit(1);
        _exit(0);
    }
    bool ended = child < 0;
    for (int waited = 0; !ended && waited < ANSWER_MS; waited += ANSWER_LOOK_MS) {
        ended = waitpid(child, NULL, WNOHANG) != 0;
        if (!ended)
            g_usleep(ANSWER_LOOK_MS * 1000);
    }
    if (!ended)
        kill(child, SIGKILL);
    return ended;
}

/* False with `error` set if something is mounted there that answers nobody: its process is stopped,
 * or was killed while the kernel held it. */
static bool silence_check(const char *path, GError **error)
{
    g_autofree char *whole = g_canonicalize_filename(path, NULL);
    g_auto(mount_row) row = {0};

    if (!row_read(whole, &row) || g_str_equal(row.type, "autofs") || path_answers(whole))
        return true;
    g_autofree char *reason = g_strdup_printf(
        "is in use: %s (%s) is mounted there and does not answer; unmount it first (umount -f -l)",
        row.source, row.type);
    mountpoint_refuse(error, path, reason);
    return false;
}

/* False with `error` set if something lives there. */
static bool occupation_check(const char *path, GError **error)
{
    for (int dead = 0; dead < DEAD_MAX; dead++) {
        g_auto(mount_row) row = {0};
        if (!row_read(path, &row) || g_str_equal(row.type, "autofs"))
            return true;
        if (!row_is_ours(&row) || !path_is_dead(path)) {
            g_autofree char *reason =
                g_strdup_printf("is in use: %s (%s) is mounted there; unmount it first (umount)",
                                row.source, row.type);
            mountpoint_refuse(error, path, reason);
            return false;
        }
        path_detach(path);
    }
    mountpoint_refuse(error, path, "has a dead mount that cannot be unmounted");
    return false;
}

static bool directory_is_empty(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry = NULL;

    if (directory == NULL)
        return true; /* whether we may use it is for FUSE to say */
    while ((entry = readdir(directory)) != NULL)
        if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
            break;
    closedir(directory);
    return entry == NULL;
}

static bool content_check(const char *path, bool nonempty, GError **error)
{
    g_auto(mount_row) automount = {0};
    struct stat st;

    if (stat(path, &st) != 0) {
        resolve_refuse(error, path, errno);
        return false;
    }
    if (!S_ISDIR(st.st_mode)) {
        mountpoint_refuse(error, path, "is not a directory");
        return false;
    }
    /* To look into an automount point would wait for this very mount. */
    if (nonempty || row_read(path, &automount) || directory_is_empty(path))
        return true;
    mountpoint_refuse(error, path, "is not empty: take another, or set -o nonempty");
    return false;
}

char *mountpoint_check(const char *path, bool nonempty, GError **error)
{
    if (!silence_check(path, error))
        return NULL;
    g_autofree char *resolved = path_resolve(path);
    if (resolved == NULL) {
        resolve_refuse(error, path, errno);
        return NULL;
    }
    if (!occupation_check(resolved, error) || !content_check(resolved, nonempty, error))
        return NULL;
    return g_steal_pointer(&resolved);
}

/* ---- other paths ---------------------------------------------------------------------------- */

/* The longest existing beginning of `path`, resolved, and the rest as it is. */
static char *path_settle(const char *path)
{
    g_autofree char *head = g_canonicalize_filename(path, NULL);
    g_autofree char *tail = g_strdup("");
    char buffer[PATH_MAX];

    while (realpath(head, buffer) == NULL) {
        g_autofree char *last = g_path_get_basename(head);
        char *longer = g_build_filename(last, *tail != '\0' ? tail : NULL, NULL);
        char *parent = g_path_get_dirname(head);
        g_free(tail);
        tail = longer;
        g_free(head);
        head = parent;
        if (g_str_equal(head, "/"))
            break;
    }
    const char *base = realpath(head, buffer) != NULL ? buffer : head;
    return *tail != '\0' ? g_build_filename(base, tail, NULL) : g_strdup(base);
}

bool path_is_below(const char *path, const char *folder)
{
    g_autofree char *inner = path_settle(path);
    g_autofree char *outer = path_settle(folder);
    size_t length = strlen(outer);

    if (g_str_equal(outer, "/"))
        return true;
    return strncmp(inner, outer, length) == 0 && (inner[length] == '/' || inner[length] == '\0');
}

static void path_go_up(char **path)
{
    char *parent = g_path_get_dirname(*path);

    g_free(*path);
    *path = parent;
}

bool path_is_remote(const char *path)
{
    static const guint32 REMOTE[] = {NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC,
                                     SMB2_SUPER_MAGIC, AFS_SUPER_MAGIC};
    g_autofree char *at = g_canonicalize_filename(path, NULL);
    struct statfs st = {0};

    while (statfs(at, &st) != 0 && !g_str_equal(at, "/"))
        path_go_up(&at);
    for (size_t i = 0; i < G_N_ELEMENTS(REMOTE); i++)
        if ((guint32)st.f_type == REMOTE[i])
            return true;
    return false;
}

/* ---- making --------------------------------------------------------------------------------- */

/* Whether what is made at `path` is made in a mount of ours. */
static bool path_is_in_ours(const char *path)
{
    g_autofree char *at = g_canonicalize_filename(path, NULL);
    g_auto(mount_row) row = {0};
    char *resolved;

    while ((resolved = realpath(at, NULL)) == NULL && !g_str_equal(at, "/"))
        path_go_up(&at);
    g_free(at);
    at = g_strdup(resolved != NULL ? resolved : "/");
    free(resolved);
    while (!row_read(at, &row) && !g_str_equal(at, "/")) {
        mount_row_clear(&row);
        path_go_up(&at);
    }
    return row.type != NULL && g_str_equal(row.type, "fuse.mailmount");
}

/* The uppermost folder on the way to `path` that is not there yet. */
static char *path_first_missing(const char *path)
{
    char *at = g_strdup(path), *parent = g_path_get_dirname(at);

    while (!g_file_test(parent, G_FILE_TEST_EXISTS) && !g_str_equal(parent, at)) {
        g_free(at);
        at = parent;
        parent = g_path_get_dirname(at);
    }
    g_free(parent);
    return at;
}

bool mountpoint_make(const char *path, char **made, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    struct stat st;

    *made = NULL;
    if (lstat(path, &st) == 0 || path_is_dead(path))
        return true; /* what is there is mountpoint_check()'s business */
    if (path_is_in_ours(parent)) {
        mountpoint_refuse(error, path, "would be a folder in another mount of mail");
        return false;
    }
    *made = path_first_missing(path);
    if (g_mkdir_with_parents(parent, 0700) == 0 && mkdir(path, 0700) == 0)
        return true;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the mount point %s cannot be made: %s", path,
                g_strerror(errno));
    return false;
}

void mountpoint_unmake(const char *path, const char *made)
{
    g_autofree char *at = g_strdup(path);

    while (rmdir(at) == 0 && !g_str_equal(at, made))
        path_go_up(&at);
}
