/* The directory that is mounted on: fit for it, free, and free again afterwards. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* A line of /proc/self/mountinfo (proc(5)), unescaped. */
struct mount_row {
    dev_t device;
    char *type, *source;
    uid_t user; /* FUSE's user_id=, else (uid_t)-1 */
};
void mount_row_clear(struct mount_row *row);
typedef struct mount_row mount_row; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(mount_row, mount_row_clear)

/* The uppermost mount at exactly `path`, in a mountinfo's text. False: none. */
bool mount_row_find(const char *mountinfo, const char *path, struct mount_row *row);

/* Makes the folder `path` and those above it, 0700, if nothing is there; not in a mount of ours,
 * where it would be made on the server. `*made`: the uppermost one that was made, the caller's;
 * NULL: none was. False with `error` set, one line. */
bool mountpoint_make(const char *path, char **made, GError **error);
/* Removes `path` and the folders above it up to `made`, as far as nothing is in them. */
void mountpoint_unmake(const char *path, const char *made);

/* Makes sure that `path` is a directory that nothing is mounted on (autofs apart) and, unless
 * `nonempty`, has nothing in it. A dead mount of ours there is detached first. Returns its absolute
 * path without symbolic links, the caller's; NULL with `error` set, one line that says what to do.
 */
char *mountpoint_check(const char *path, bool nonempty, GError **error);

/* Detaches what is mounted at `path` at once, even if it is in use, if its device is still `device`
 * (0: if it is a dead mount of ours). */
void mountpoint_detach(const char *path, dev_t device);

/* Ends the connection of the FUSE mount at `path` with this device: all who wait for it get
 * ECONNABORTED. It may be unmounted, too. */
void mountpoint_abort(const char *path, dev_t device);

/* Whether `path`, existing or not, is `folder` or lies below it. */
bool path_is_below(const char *path, const char *folder);

/* Whether a folder that exists or is still to be made is on a network filesystem, on which a
 * memory-mapped database is not safe. */
bool path_is_remote(const char *path);
