/* Telling the kernel what changed. One thread does it, fed by a queue, because a notification may
 * block in the kernel on a directory lock or a page that some request of ours is about to release:
 * no handler, no engine and no lock of ours may ever wait for it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fuse_session;
void notify_start(struct fuse_session *session);
/* Any thread; returns at once. Past 10,000 waiting notices entries are dropped: listings stay right
 * by their directory's mtime. */
void notify_inode(uint64_t inode);      /* its attributes and its bytes */
void notify_attributes(uint64_t inode); /* its attributes */
void notify_entry(uint64_t parent, const char *name);
/* The same before this returns, also from a handler: without bytes the kernel takes no lock for it.
 */
void notify_attributes_now(uint64_t inode);
/* Waits until what was told before is done, at most so long; false: it is not. Never in a handler
 * or an engine. */
bool notify_wait(int64_t wait_us);
/* Drops what is queued and waits for the thread; every request must be answered before. */
void notify_stop(void);
