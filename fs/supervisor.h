/* Three processes make a mount, so that none is left dead.
 *
 *     launcher      what the user started: waits until the mount can be used, ends with the status
 *     supervisor    stays: passes signals on, tells systemd, unmounts if the worker dies
 *     worker        mounts and serves; the only one that holds /dev/fuse, threads and secrets
 *
 * A worker that is told to end and hangs instead is killed, and its mount is torn down.
 *
 * A worker that crashes (SIGSEGV, SIGBUS, SIGABRT) is buried and started once more: a damaged cache
 * file can crash LMDB, and the second worker begins the caches anew.
 *
 * In the foreground launcher and supervisor are one. The worker keeps the launcher's terminal until
 * the mount can be used, so that it can ask for a password. No thread may run before
 * supervisor_run(), which forks.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct supervisor {
    const char *mountpoint; /* absolute */
    bool foreground;
    unsigned patience_ms; /* a worker that has not ended so long after it was told to is killed */
    /* The worker's life; returns its exit status, after a message. `again`: another one before it
     * crashed; what may have made it crash is to be left alone. */
    int (*work)(bool again, void *data);
    void *data;
};

#define SUPERVISOR_CRASHED 5 /* the exit status when the worker ended without one */

/* Starts the processes and returns the exit status of this one: the launcher's as soon as the mount
 * can be used (with the status that the worker said) or the worker has ended; in the foreground
 * after the worker's end. */
int supervisor_run(const struct supervisor *supervisor);

/* In the worker: the mount can be used; `device` is its st_dev, `status` what the launcher is to
 * end with: 0 unless something failed nevertheless. Detaches from the terminal unless in the
 * foreground: standard input, output and error are /dev/null then. Once; any thread. */
void supervisor_ready(dev_t device, int status);
