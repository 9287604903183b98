/* Telling the kernel what changed. One thread does it, fed by a queue, because a notification may
 * block in the kernel on a directory lock or a page that some request of ours is about to release:
 * no handler, no engine and no lock of ours may ever wait for it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fuse_session;
void notify_start(struct fuse_session *session);
/* Any thread; returns at once. Past 10,000 waiting notices attributes come last, each once. */
void notify_inode(uint64_t inode);      /* its attributes and its bytes */
void notify_attributes(uint64_t inode); /* its attributes */
/* False: too many wait, and this one is left out. */
bool notify_entry(uint64_t parent, const char *name);
/* That a name is gone, with the inode that it had. Where too many wait, the kernel is to ask for
 * the inode's attributes anew, and hears then that it is gone: names are long, and inodes are not.
 */
void notify_gone(uint64_t parent, const char *name, uint64_t inode);
/* The same before this returns, also from a handler: without bytes the kernel takes no lock for it.
 */
void notify_attributes_now(uint64_t inode);
/* Waits until what was told before is done, at most so long; false: it is not. Never in a handler
 * or an engine. */
bool notify_wait(int64_t wait_us);
/* Ends the thread, which tells no more of what is queued; every request must be answered before.
 * Whoever still tells something then does so in vain. */
void notify_stop(void);
/* Frees what notify_stop() left, when no other thread tells anything any more. */
void notify_free(void);
