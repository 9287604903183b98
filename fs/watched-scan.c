#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/watched.h"

#define WATCHED_MOST 1000
#define FDINFO_MOST (1024 * 1024) /* bytes of one that are read */
/* As the kernel writes a device number: 12 bits of major, 20 of minor (its kdev_t.h). */
#define KERNEL_MINOR_BITS 20

/* "inotify wd:1 ino:2c4 sdev:30 mask:fce ...", all hexadecimal. */
bool watched_line(const char *line, dev_t device, uint64_t *inode)
{
    const char *at = g_str_has_prefix(line, "inotify ") ? strstr(line, " ino:") : NULL;
    const char *on = at != NULL ? strstr(at, " sdev:") : NULL;
    if (on == NULL)
        return false;
    *inode = g_ascii_strtoull(at + strlen(" ino:"), NULL, 16);
    uint64_t number = g_ascii_strtoull(on + strlen(" sdev:"), NULL, 16);
    return *inode != 0 && number >> KERNEL_MINOR_BITS == major(device) &&
           (number & ((1u << KERNEL_MINOR_BITS) - 1)) == minor(device);
}

static void lines_take(const char *text, dev_t device, GHashTable *found)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL && g_hash_table_size(found) < WATCHED_MOST; line++) {
        uint64_t inode;
        if (watched_line(*line, device, &inode))
            g_hash_table_add(found, g_memdup2(&inode, sizeof inode));
    }
}

static void info_read(int process, const char *number, dev_t device, GHashTable *found)
{
    g_autofree char *path = g_build_filename("fdinfo", number, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    char piece[4096];
    int fd = openat(process, path, O_RDONLY | O_CLOEXEC);
    for (ssize_t count;
         fd >= 0 && text->len < FDINFO_MOST && (count = read(fd, piece, sizeof piece)) > 0;)
        g_string_append_len(text, piece, count);
    if (fd >= 0)
        close(fd);
    lines_take(text->str, device, found);
}

static bool is_inotify(int process, const char *number)
{
    g_autofree char *path = g_build_filename("fd", number, NULL);
    char target[64];
    ssize_t length = readlinkat(process, path, target, sizeof target - 1);
    target[MAX(length, 0)] = '\0';
    return g_str_equal(target, "anon_inode:inotify");
}

static void process_scan(int process, dev_t device, GHashTable *found)
{
    int folder = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *fds = folder >= 0 ? fdopendir(folder) : NULL;
    if (fds == NULL) { /* another user's, or gone */
        if (folder >= 0)
            close(folder);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(fds)) != NULL;)
        if (g_ascii_isdigit(entry->d_name[0]) && is_inotify(process, entry->d_name))
            info_read(process, entry->d_name, device, found);
    closedir(fds);
}

GHashTable *watched_scan(dev_t device)
{
    GHashTable *found = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return found;
    for (const struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        int process = g_ascii_isdigit(entry->d_name[0]) ? openat(dirfd(processes), entry->d_name,
                                                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                                        : -1;
        if (process < 0)
            continue;
        process_scan(process, device, found);
        close(process);
    }
    closedir(processes);
    return found;
}
