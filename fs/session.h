/* The FUSE session: mounting, the loop, and what libfuse 3.14 leaves to be mended.
 *
 * libfuse 3.14 accepts FUSE_CAP_PARALLEL_DIROPS but never sends it, so that the kernel would
 * serialise all lookups and listings of one directory. The flag is set in the INIT reply on its way
 * out, where the kernel offered it; later versions send it themselves.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include "fs/place.h"

struct session;
/* Makes a session and mounts it. NULL with `error` (one line) on failure. `options`: one "-o" each.
 */
struct session *session_mount(const char *mountpoint, GStrv options, GError **error);
/* The st_dev of the mount, 0: not found in mountinfo. */
dev_t session_device(const struct session *session);
struct fuse_session *session_fuse(struct session *session);
/* Serves until unmounted or session_exit(). */
void session_loop(struct session *session);
/* Makes session_loop() return soon. Any thread. */
void session_exit(struct session *session);
/* Unmounts if it is still mounted. */
void session_free(struct session *session);
