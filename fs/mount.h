/* A mount from start to end: caches, engines, the FUSE session. main() calls it in the worker. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "fs/account.h"
#include "fs/secret.h"

/* Why it could not be mounted; each has its exit status. */
enum mount_error {
    MOUNT_OK,
    MOUNT_CONFIG,
    MOUNT_NETWORK,
    MOUNT_SECRET, /* a command that was to give the password gave none */
    MOUNT_TLS,
    MOUNT_LOGIN,
    MOUNT_CACHE,
    MOUNT_FUSE
};

struct mount_config {
    struct account **accounts; /* at least one, then NULL; outlive the mount */
    struct secret **secrets;   /* one an account, in the same order; an entry is NULL where the
                                  engine runs password_command itself */
    bool several;              /* the root shows accounts as directories, even if there is one */
    const char *mountpoint;    /* absolute; exists, is a directory, is not mounted on */
    GStrv fuse_options;        /* for fuse_session_new(), one "-o" each, complete (fsname, subtype,
                                  nosuid, nodev and default_permissions too), quoted for its parser */
    bool transcript;           /* -d: protocol lines to the log */
    GPtrArray *left_out;       /* struct left_out: what else was meant; mount_run() adds those whose
                                  cache cannot be used */
    bool begin_anew;           /* move the caches aside: a process died with them */

    /* Called once, as soon as the mount can be used (INIT is answered), from any thread.
     * `device`: st_dev of the mount's root, made without asking the mount itself. `failed`: what is
     * wrong with the first of several accounts that failed, which a warning told. */
    void (*ready)(dev_t device, enum mount_error failed, void *data);
    void *data;
};

/* Opens the caches, signs in, mounts, serves until it is unmounted or mount_stop() is called, and
 * puts everything away. MOUNT_OK if it came to serving; else nothing is mounted and `error` is set:
 * one line that says what to do, without a secret, without "mailmount: ". An unreachable server,
 * or no password, with a cache from an earlier login is no error (a warning in the log). Of several
 * accounts those that fail, or are slow, are mounted with the others, if any can be used. Called
 * once a process. */
enum mount_error mount_run(const struct mount_config *config, GError **error);

/* Ends mount_run() soon, also while it is still starting. Async-signal-safe. */
void mount_stop(void);
