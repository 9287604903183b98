/* Directories and files of the cache: 0700 and 0600 whatever the umask, the user's own, no links.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Makes `path` and what is missing above it. Returns a descriptor of it, or -1 with `error`
 * (CACHE_FULL, CACHE_IO). Refuses a directory of another user and a network filesystem on which
 * LMDB does not work; takes rights of group and others away. */
int directory_open(const char *path, GError **error);
/* The same for the directory `name` in the directory `parent`, which must not be a link. */
int directory_open_at(int parent, const char *name, GError **error);
/* Opens or makes a regular file in `directory`, for reading and writing, never through a link.
 * Returns -1 with errno. */
int directory_file_open(int directory, const char *name);
/* Removes the directory `name` in `parent` with the files in it. Returns whether it is gone. */
bool directory_remove_at(int parent, const char *name);

/* Whether LMDB must not be used on a filesystem of this statfs(2) type. */
bool directory_type_refused(long type);
/* The directory's name for an account: other characters than letters, digits and a few as %XX, a
 * cut with a hash above 200 bytes, never starting with "." and never a name that the cache folder
 * itself uses. Owned by the caller. */
char *directory_account_name(const char *account);

/* Takes the file `lock` in `directory` for as long as the returned descriptor is open, and writes
 * `owner` to it. Waits `wait_ms` for a process that has it. Returns -1 with `error`: CACHE_LOCKED
 * says what the other wrote. */
int directory_lock(int directory, const char *owner, unsigned wait_ms, GError **error);

/* Sets `error` (CACHE_FULL or CACHE_IO) from an errno: "cannot WHAT NAME: reason". */
void directory_error(GError **error, int err_no, const char *what, const char *name);
