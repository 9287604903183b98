/* Local files: what is being written into a mailbox's directory, and what never leaves the mount.
 *
 * A *draft* is a file that a program creates in a directory of the mount. Its bytes lie in a staged
 * file of the account's state folder. What becomes of it depends on its name and its content:
 *
 *      a scratch name (.x, x~, x.swp, 4913, .x.AbC123, sedXyZ123, x.tmp, x.part ...; see
 *          draft_is_scratch()) stays in the mount, and ends with it. Renamed or linked to another
 *          name it is delivered
 *      any other name is delivered when it is closed: a message is taken whatever its name, else
 *          EINVAL and nothing stays
 *      an empty file stays in the mount until something is written to it
 *
 * To deliver means: the bytes are checked and made ready for APPEND (fs/deliver.h), and handed to
 * change_append(), with INTERNALDATE from the file's time if somebody set it, else from the Date
 * field. FLUSH waits for the server's word and answers it, or 0 where the journal has it and the
 * server is not to be had in time. From then on the draft shows what was delivered until the
 * message itself is in the list; written to again it is delivered again, and our earlier message is
 * removed after.
 *
 * inode: slot 0, UID = number of the staged file, part = index of the account in the mount. A
 * staged file that the journal has and no draft (from an earlier mount) is shown under such a
 * number too. The table of drafts is in memory, bounded, and ends with the mount.
 */
#pragma once

#include "fs/draft-name.h"
#include "fs/place.h"
#include "fs/tree.h"

/* ---- what the tree shows ---- */

bool draft_is_inode(uint64_t inode);
/* The inode under which a staged file of an account is shown. */
uint64_t draft_inode(const struct mounted *mounted, const struct mounted_account *account,
                     uint64_t staged);
/* The draft of this name in a directory: its inode, 0: none. Delivered ones count until the message
 * is in the list. */
uint64_t draft_find(const struct mounted *mounted, uint64_t parent, const char *name);
/* Drafts of a directory for its listing, by ascending inode from above `after`; 0 at the end.
 * `name` is the caller's. Not those that are delivered: these are the journal's arrivals. */
uint64_t draft_next(uint64_t parent, uint64_t after, char **name);
/* Attributes, also of staged files that only the journal has. ESTALE: there is none (any more). */
int draft_attr(const struct mounted *mounted, uint64_t inode, struct tree_attr *attr);

/* ---- files ---- */

/* An open draft. */
struct draft_handle;
/* A new draft, open for writing. `opener`: thread group of the caller, 0: not known. EEXIST: `name`
 * is taken by one. ENFILE: there are too many. Else as change_may_add(). */
int draft_create(const struct mounted *mounted, uint64_t parent, const char *name, pid_t opener,
                 uint64_t *inode, struct draft_handle **handle);
int draft_open(const struct mounted *mounted, uint64_t inode, bool write, bool truncate,
               pid_t opener, struct draft_handle **handle);
int draft_read(struct draft_handle *handle, uint64_t offset, size_t length, void *buffer,
               size_t *got);
/* ENOSPC and others as of the disk; EFBIG beyond what IMAP can carry. */
int draft_write(struct draft_handle *handle, uint64_t offset, const void *bytes, size_t length);
int draft_truncate(const struct mounted *mounted, uint64_t inode, uint64_t size);
/* Ignored once it is delivered. */
int draft_set_mtime(const struct mounted *mounted, uint64_t inode, int64_t mtime_ns);
/* The bytes are on the disk afterwards; nothing is delivered. */
int draft_sync(struct draft_handle *handle);
/* [offset, offset + length) of message `source` goes to `target_offset`: noted, so that a whole
 * message becomes a COPY, and copied. */
int draft_copy(struct draft_handle *handle, uint64_t target_offset, uint64_t source,
               uint64_t offset, const void *bytes, size_t length);
/* FLUSH. Delivers if there is unsent data and `thread_group` is the opener's, and waits for the
 * server's word. May answer NEED_DECODER. */
int draft_flush(struct draft_handle *handle, pid_t thread_group, struct need *need);
/* RELEASE. Delivers what no FLUSH did, without waiting. */
void draft_release(struct draft_handle *handle);

/* ---- for fs/change.c ---- */

/* Also of what was delivered, and of arrivals that are staged files: what has not arrived yet is
 * removed for good. ENOENT: no draft. */
int draft_unlink(const struct mounted *mounted, uint64_t parent, const char *name);
/* Another name, in the same or another directory of the same account (EXDEV): local, or delivered;
 * what was delivered and has not arrived is delivered there instead. A draft that has the new name
 * is replaced. `replaces`: inode of the message that has it, 0: none. EBUSY: a scratch name for
 * what is being delivered. */
int draft_rename(const struct mounted *mounted, uint64_t inode, uint64_t new_parent,
                 const char *new_name, uint64_t replaces);
/* Delivers a scratch file under another name, too. EPERM unless that is so. */
int draft_link(const struct mounted *mounted, uint64_t inode, uint64_t new_parent,
               const char *new_name, struct tree_attr *attr);
/* Entry `entry` of the account's journal is settled: `inode` of its message (0: in no list here),
 * or an errno, and the number under which its bytes are kept (0: they are not). To be called for
 * every APPEND and COPY, before those who wait for it are answered. Any thread; does not block. */
void draft_settled(const struct mounted *mounted, const struct mounted_account *account,
                   uint64_t entry, uint64_t inode, int error, uint64_t failed);

/* Messages that were saved or moved, and mailboxes that were made, in this session (newest
 * 100,000): setting their times, mode and owner is ignored, where it is EPERM for others. */
void draft_saved_add(uint64_t inode);
bool draft_saved(uint64_t inode);

/* Drops all drafts, at the end of the mount. */
void draft_clear(void);
