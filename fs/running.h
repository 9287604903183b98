/* Mounts that run: which there are, and requests to them (.mailmount/control). */
#pragma once

#include <glib.h>

/* A path without symbolic links, as far as it exists; the caller's. */
char *running_resolve(const char *path);
/* The nearest mount of ours at or above a path. The caller's; NULL: none. */
char *running_above(const char *path);
/* Those of the user who asks; the caller's, NULL-terminated, perhaps empty. */
GStrv running_mine(void);
/* Writes a request, one line, and waits until the mount has done it. 0 or errno; ENOTCONN if it
 * takes none. */
int running_request(const char *mountpoint, const char *line);
