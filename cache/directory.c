#include "cache/directory.h"

#include "cache/cache.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOCK_STEP_MS 50
#define OWNER_MAX 1000 /* bytes of another process's words that are shown */

G_DEFINE_QUARK(mailmount - cache - error - quark, cache_error)

void directory_error(GError **error, int err_no, const char *what, const char *name)
{
    if (err_no == ENOSPC || err_no == EDQUOT) {
        g_set_error(error, CACHE_ERROR, CACHE_FULL, "no space left on the disk for the cache: %s",
                    name);
        return;
    }
    g_set_error(error, CACHE_ERROR, CACHE_IO, "cannot %s %s: %s", what, name, g_strerror(err_no));
}

bool directory_type_refused(long type)
{
    static const unsigned TYPES[] = {NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                     CIFS_SUPER_MAGIC};
    for (size_t i = 0; i < G_N_ELEMENTS(TYPES); i++) {
        if ((unsigned)type == TYPES[i])
            return true;
    }
    return false;
}

/* Checks and corrects the owner, mode and filesystem of an open directory; closes it on failure. */
static int directory_check(int fd, const char *name, GError **error)
{
    struct stat status;
    struct statfs filesystem;

    if (fstat(fd, &status) != 0 || fstatfs(fd, &filesystem) != 0) {
        directory_error(error, errno, "examine", name);
    } else if (status.st_uid != geteuid()) {
        g_set_error(error, CACHE_ERROR, CACHE_IO, "the cache directory %s belongs to another user",
                    name);
    } else if (directory_type_refused((long)filesystem.f_type)) {
        g_set_error(
            error, CACHE_ERROR, CACHE_IO,
            "the cache directory %s is on a network filesystem, where a cache cannot be kept",
            name);
    } else if ((status.st_mode & 07777) != 0700 && fchmod(fd, 0700) != 0) {
        directory_error(error, errno, "protect", name);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

static bool directory_make(const char *path, GError **error)
{
    if (mkdir(path, 0700) == 0) {
        if (chmod(path, 0700) == 0)
            return true;
        directory_error(error, errno, "protect", path);
        return false;
    }
    if (errno == EEXIST)
        return true;
    directory_error(error, errno, "make the directory", path);
    return false;
}

int directory_open(const char *path, GError **error)
{
    g_autofree char *whole = g_canonicalize_filename(path, NULL);

    for (char *slash = strchr(whole + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        bool there = access(whole, F_OK) == 0 || directory_make(whole, error);
        *slash = '/';
        if (!there)
            return -1;
    }
    if (!directory_make(whole, error))
        return -1;
    int fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && chmod(whole, 0700) == 0)
        fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return directory_check(fd, whole, error);
    directory_error(error, errno, "open the directory", whole);
    return -1;
}

int directory_open_at(int parent, const char *name, GError **error)
{
    bool made = mkdirat(parent, name, 0700) == 0;
    if (made ? fchmodat(parent, name, 0700, 0) != 0 : errno != EEXIST) {
        directory_error(error, errno, "make the directory", name);
        return -1;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return directory_check(fd, name, error);
    directory_error(error, errno, "open the directory", name);
    return -1;
}

int directory_file_open(int directory, const char *name)
{
    struct stat status;
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);

    if (fd < 0)
        return -1;
    int err_no = 0;
    if (fstat(fd, &status) != 0)
        err_no = errno;
    else if (!S_ISREG(status.st_mode))
        err_no = EINVAL;
    else if ((status.st_mode & 07777) != 0600 && fchmod(fd, 0600) != 0)
        err_no = errno;
    if (err_no == 0)
        return fd;
    close(fd);
    errno = err_no;
    return -1;
}

bool directory_remove_at(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;

    if (entries == NULL) {
        if (fd >= 0)
            close(fd);
        return unlinkat(parent, name, 0) == 0 || errno == ENOENT;
    }
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
    return unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

char *directory_account_name(const char *account)
{
    GString *name = g_string_new(NULL);
    bool reserved = g_str_has_prefix(account, "slots");

    for (const char *at = account; *at != 0; at++) {
        bool first = at == account;
        bool plain = g_ascii_isalnum(*at) || strchr("@_-+.:", *at) != NULL;
        if (plain && !(first && (reserved || *at == '.')))
            g_string_append_c(name, *at);
        else
            g_string_append_printf(name, "%%%02X", (unsigned char)*at);
    }
    if (name->len == 0)
        g_string_assign(name, "%");
    if (name->len > 200) {
        g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, account, -1);
        g_string_truncate(name, 150);
        g_string_append_printf(name, "%%-%.32s", hash);
    }
    return g_string_free(name, FALSE);
}

/* What the process that has the lock wrote, made safe to show. */
static void directory_lock_refuse(int fd, GError **error)
{
    char owner[OWNER_MAX + 1];
    ssize_t length = pread(fd, owner, OWNER_MAX, 0);

    owner[length > 0 ? length : 0] = 0;
    for (char *at = owner; *at != 0; at++) {
        if (g_ascii_iscntrl(*at))
            *at = ' ';
    }
    g_autofree char *shown = g_utf8_make_valid(g_strstrip(owner), -1);
    g_set_error(error, CACHE_ERROR, CACHE_LOCKED, "this account is already mounted: %s",
                *shown != 0 ? shown : "by another process");
}

int directory_lock(int directory, const char *owner, unsigned wait_ms, GError **error)
{
    int fd = directory_file_open(directory, "lock");
    if (fd < 0) {
        directory_error(error, errno, "open the file", "lock");
        return -1;
    }
    for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += LOCK_STEP_MS) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            directory_error(error, errno, "lock the file", "lock");
        else if (waited >= wait_ms)
            directory_lock_refuse(fd, error);
        else {
            g_usleep(LOCK_STEP_MS * 1000);
            continue;
        }
        close(fd);
        return -1;
    }
    /* Only a courtesy to the next one: a full disk shows where it matters. */
    size_t length = strnlen(owner, OWNER_MAX);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, owner, length, 0) != (ssize_t)length)
        g_info("cannot write the owner into the lock file: %s", g_strerror(errno));
    return fd;
}
