/* Telling who watches directories (inotify(7)) what others did to mail.
 *
 * The kernel makes such events only of operations that go through it; of a notification it makes
 * none. So a thread here does the operation itself, on the mount: mknod for a message that came,
 * unlink for one that went. What it is about to do it *posts* first; the handlers know its requests
 * by the thread, and answer those that were posted without doing anything (the mail is there, or
 * gone, already). A request of this thread that was not posted is refused, so none can ever change
 * mail; the same operation from anybody else is served as ever.
 *
 * The thread holds no lock while it is in the kernel, nothing waits for it, and it has nothing of
 * the mount open but while it does one thing, so that it can be unmounted. It is found out first
 * that its requests are known by their thread and that the path leads to this mount (they are not
 * in another PID namespace, or under another mount). Where they are not, or the mount is read-only,
 * there are no such events. Of very many changes in a directory at once there are none either:
 * those are only invalidated, as everything is besides. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum inotify_what {
    INOTIFY_NONE,
    INOTIFY_CREATE, /* a file */
    INOTIFY_MKDIR,
    INOTIFY_UNLINK,
    INOTIFY_RMDIR,
    INOTIFY_RENAME,
    INOTIFY_ATTRIB, /* of a file */
    INOTIFY_PROBE,
};
/* So many changes wait for one directory at most. */
enum { INOTIFY_BULK = 64 };

/* Where a name is: the directory's path from the root of the mount ("": that itself), and its inode
 * (0: whichever the path leads to). */
struct inotify_place {
    const char *path;
    uint64_t directory;
    const char *name;
};
struct inotify_change {
    enum inotify_what what;
    struct inotify_place at; /* RENAME: where it was */
    struct inotify_place to; /* RENAME: where it is */
    uint64_t inode;          /* of what is there now; CREATE, MKDIR, RENAME */
    bool directory;          /* RENAME: it is one */
};

void inotify_start(const char *mountpoint, dev_t device);
/* Whether there is anybody to tell; else inotify_tell() does nothing. */
bool inotify_active(void);
/* Takes copies. Any thread, returns at once. */
void inotify_tell(const struct inotify_change *change);
/* Nothing more is told. Any thread. */
void inotify_end(void);
/* Waits until the thread is not in the kernel, for a second at most; false: it still is, since
 * nobody answers it. The connection must then be ended. */
bool inotify_rests(void);
/* Ends the thread. The connection must be closed, or inotify_rests() true. */
void inotify_stop(void);

/* ---- for the handlers ---- */

/* Whether a request comes from the thread. */
bool inotify_is_own(pid_t thread);
/* What is posted for a name: `inode` of what is there now, 0: it is to be taken for absent (CREATE,
 * MKDIR, PROBE, the new name of RENAME); `directory` is what it was or will be. NONE: nothing. */
enum inotify_what inotify_posted(uint64_t parent, const char *name, bool *absent, uint64_t *inode,
                                 bool *directory);
/* Whether exactly this operation is posted. */
bool inotify_posted_rename(uint64_t parent, const char *name, uint64_t to, const char *to_name);
