/* Root mounts for a user on an automount point.
 *
 * Root who was told setuid= becomes that user, whose mount fusermount3(1) then makes where the user
 * may write. An automount point (autofs) is root's and stands in the way of that. So before root is
 * left, a process is made that stays root until it has mounted there once, on demand, in the user's
 * name, and hands over the connection to /dev/fuse. It takes nothing but a name to show and whether
 * the mount is to be read-only; it ends with those who could ask it. It holds the automount point
 * itself: the user, whose configuration and commands are read meanwhile, may own the directories
 * that its path goes through, and can make it lead elsewhere. */
#pragma once

#include <glib.h>
#include <pwd.h>
#include <stdbool.h>

/* As root, with one thread. Nothing happens unless `mountpoint` is an automount point. `fuse`: the
 * options that FUSE is to know, names only (struct command). */
void mounter_start(const char *mountpoint, const struct passwd *user, const GPtrArray *fuse);

/* Has it mount, with the options of command_fuse_options(). Returns the descriptor of /dev/fuse,
 * the caller's; -1: there is nobody to ask, or (errno not 0) it failed. */
int mounter_mount(const char *const *options);
