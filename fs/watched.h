/* Folders that somebody watches (inotify(7)), as the window of a file manager does, count as
 * opened.
 *
 * The kernel tells a filesystem nothing of watches. But it shows each process's in /proc (proc(5),
 * fdinfo), to who may see them: those of processes of the same user. So where it matters, since the
 * server tells only of the folders that are listened to one by one (IDLE), a thread looks there
 * once a minute. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/place.h"

void watched_start(const struct mounted *mounted, dev_t device);
/* Ends the thread. */
void watched_stop(void);

/* ---- watched-scan.c ---- */

/* The inodes (uint64_t) on `device` that processes watch, as far as can be seen, at most 1,000;
 * free with g_hash_table_unref(). */
GHashTable *watched_scan(dev_t device);
/* A line of fdinfo. False: it is no watch on `device`. */
bool watched_line(const char *line, dev_t device, uint64_t *inode);
