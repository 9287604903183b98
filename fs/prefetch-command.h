/* mailmount --prefetch: asks a running mount to fetch folders whole, and shows how far it is. */
#pragma once

#include "fs/command.h"

enum prefetch_result {
    PREFETCH_OK,
    PREFETCH_NO_FOLDER,   /* there is no such folder */
    PREFETCH_NO_SERVER,   /* it is out of reach, or wants less */
    PREFETCH_NO_MOUNT,    /* nothing is mounted there, or it went away */
    PREFETCH_CUT,         /* the cache is too small, or messages cannot be had */
    PREFETCH_INTERRUPTED, /* by a signal; the mount has stopped, too */
};
/* Runs until all folders are in the cache. Else `error` is set, one line. */
enum prefetch_result prefetch_command(const struct command *command, GError **error);

/* For tests: the path within the mount at `mountpoint` that a FOLDER names (absolute below it, or
 * relative to it), the caller's; NULL if it lies elsewhere. */
char *prefetch_folder(const char *mountpoint, const char *folder);
