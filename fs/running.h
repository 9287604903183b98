/* Mounts that run: which there are, and requests to them (.mailmount/control). */
#pragma once

#include <errno.h>
#include <glib.h>

/* A path without symbolic links, as far as it exists and what is mounted there answers; the
 * caller's. */
char *running_resolve(const char *path);
/* The nearest mount of ours at or above a path. The caller's; NULL: none. */
char *running_above(const char *path);
/* Those of the user who asks; the caller's, NULL-terminated, perhaps empty. */
GStrv running_mine(void);
/* What a mount says of itself, at most 64 KiB of it; "" if it cannot be read. The caller's; NULL:
 * nothing comes within 2 seconds, as from a mount whose process is stopped. */
char *running_status(const char *mountpoint);
/* Writes a request, one line, and waits until the mount has done it, which lasts as long as it
 * lasts while the mount still tells its status. 0 or errno; ENOTCONN if it takes none. */
int running_request(const char *mountpoint, const char *line);
/* The same for several at once, NULL-terminated: `errors` gets one for each. */
void running_requests(const char *mountpoint, const char *const *lines, int *errors);
#define RUNNING_SILENT EHOSTDOWN /* it does not answer */
