/* The one door for changes of mail. What a user does with files (unlink, rename, mkdir, link, a
 * close of what he wrote) is checked here against what is known, written to the journal, shown in
 * the tree at once, and left to the engine to send. Knows nothing of FUSE.
 *
 * Nothing waits for the server while there is more to be sent: the kernel holds the directory's
 * lock meanwhile. A mailbox that is made, renamed or removed while the journal is empty waits for
 * the server's word, for some seconds at most, so that a refusal is the caller's to know. It is in
 * the journal by then, whatever becomes of the wait: need->made, with which the caller calls again.
 *
 * All functions answer 0, an errno, or NEED_WAIT with `need` filled (fs/place.h). What is known
 * beforehand is refused at once and changes nothing:
 *      EROFS   the mount is read-only
 *      EACCES  the server grants no right to it (ACL, READ-ONLY)
 *      EPERM   a part of a message, a control file, a name that is never made on a server; deleting
 *              where there is no Trash and the configuration names none
 *      EDQUOT  the account is full
 * What the server refuses later comes back to where it was, with the reason in status and log.
 */
#pragma once

#include "fs/place.h"
#include "fs/tree.h"

/* `name` in directory `parent`, which is not a directory (a message's NAME.eml, a local file, a
 * failed message, a flag's entry). A message goes to the Trash, or for good inside of it and with
 * delete=expunge. */
int change_unlink(const struct mounted *mounted, uint64_t parent, const char *name,
                  struct need *need);
/* A mailbox that is empty and has no children (ENOTEMPTY), the ghost of a message's directory, or,
 * with view=parts, a message's directory, which stands for the message. */
int change_rmdir(const struct mounted *mounted, uint64_t parent, const char *name,
                 struct need *need);
/* rename(2); `noreplace` as of RENAME_NOREPLACE. Messages move, in either face, mailboxes are
 * renamed, local files take another name or are delivered (fs/draft.h). EXDEV between accounts, so
 * that mv copies and removes. */
int change_rename(const struct mounted *mounted, uint64_t parent, const char *name,
                  uint64_t new_parent, const char *new_name, bool noreplace, struct need *need);
/* link(2): delivers a local file under another name. EPERM for all else but flags. */
int change_link(const struct mounted *mounted, uint64_t inode, uint64_t new_parent,
                const char *new_name, struct tree_attr *attr, struct need *need);
/* A new mailbox. */
int change_mkdir(const struct mounted *mounted, uint64_t parent, const char *name,
                 struct tree_attr *attr, struct need *need);

/* Flags of a message: words between spaces, "\Seen" and keywords; NULL for none. EINVAL: a word
 * that is no flag. */
int change_flags(const struct mounted *mounted, uint64_t inode, const char *add,
                 const char *remove);

/* A staged message goes into the mailbox of directory `parent`. `facts` says what it is (see
 * fs/draft.h; kind, target and origin are filled in here); `replaces` is the inode of a message
 * that goes to the Trash after this one has arrived, 0: none. The entry is on the disk when this
 * returns; `entry` is its id, for ENGINE_PUSHED. */
int change_append(const struct mounted *mounted, uint64_t parent, struct journal_entry *facts,
                  uint64_t replaces, uint64_t *entry);
/* A copy of message `inode` under `name` into the mailbox of directory `parent`, of the same
 * account. */
int change_copy(const struct mounted *mounted, uint64_t inode, uint64_t parent, const char *name,
                uint64_t replaces, uint64_t *entry);
/* Whether something may be put into a directory at all: EROFS, EACCES, EPERM, EDQUOT, or 0. */
int change_may_add(const struct mounted *mounted, uint64_t parent);

/* What the engine says of an entry that is settled (engine_events.change_settled), in its thread:
 * names asked for, moved addresses, and what the kernel is told. */
void change_settled(const struct mounted *mounted, struct mounted_account *account,
                    const struct journal_entry *entry, enum engine_error error, const char *text);

/* Whether it is known what becomes of deleted messages: else change_unlink() answers EPERM. */
bool change_has_trash(struct mounted_account *account);

/* ---- what was where in this session --------------------------------------------------------- */

/* When one face of a message (NAME.eml, NAME/) was moved or removed by name, the other stays for a
 * moment as a *ghost*: not listed, found by name, empty if it is a directory, and gone once it was
 * removed or moved too. The newest 100,000 are kept, until unmount. */

/* Where the object of an inode is now: a moved message's old number, or a local file's, leads to
 * its new one. The inode itself if it did not move. */
uint64_t change_moved(uint64_t inode);
