/* Views of a mailbox: the directories in the .mailmount/ of its directory, which list the messages
 * that bear a flag.
 *
 *      flags/unread flags/flagged flags/answered flags/draft flags/deleted
 *      tags/KEYWORD    one for each keyword that a message of the mailbox bears, its name written
 *                      like a mailbox's; and those made with mkdir, which are on the server from
 * the first message on
 *
 * A view holds only the .eml faces, each under the message's second inode number (NODE_PART_VIEW),
 * so that no directory has two parents and a removed link can be made again. A link to a message,
 * or a message moved into a view, sets the flag; unlink clears it ("unread" the other way round).
 * The message stays where it is.
 *
 * inode: the mailbox's slot, UID 0, part 1 for .mailmount, 2 flags, 3 tags, then one a flag, and
 * from VIEW_KEYWORD on one a keyword; keywords are numbered in the order they are seen, until
 * unmount.
 */
#pragma once

#include "fs/place.h"
#include "fs/tree.h"

#define VIEW_TOP_NAME ".mailmount"
enum {
    VIEW_TOP = 1,
    VIEW_FLAGS = 2,
    VIEW_TAGS = 3,
    VIEW_UNREAD = 4, /* and the others in the order of the table */
    VIEW_KEYWORD = 16,
};

/* Completes a place whose node is a view's, its mailbox found: its kind. ESTALE: no such view. */
int view_find(struct place *place);
/* The part of the directory that holds a view; 0: the mailbox's own. */
uint16_t view_above(uint16_t part);
/* Children of a view by name. 0, ENOENT, or NEED_WAIT. */
int view_lookup(const struct place *parent, const char *name, struct node *node, struct need *need);
/* The entries of a view's directory, as tree_list() emits them. */
void view_list(const struct mounted *mounted, struct place *place, uint64_t offset, bool attributes,
               tree_emit emit, void *data);
/* The flags of a message as they will be once the journal is done: enum cache_flag, and keywords
 * between spaces, appended to an empty `keywords`. */
uint32_t view_flags(const struct place *message, GString *keywords);
/* Appends both as words between spaces: "\Seen \Flagged work". */
void view_flag_words(uint32_t flags, const char *keywords, GString *words);

/* Whether an inode number is a view's directory, as far as the number tells. */
bool view_is(uint64_t inode);
/* The inode of the message (NAME.eml) that a view lists under a name, and its mailbox's directory;
 * 0 with `error` set if it is not there. */
uint64_t view_message(const struct mounted *mounted, uint64_t view, const char *name,
                      uint64_t *directory, int *error, struct need *need);
/* Changes, by fs/change.h. EPERM where a view cannot be changed so. */
int view_add(const struct mounted *mounted, uint64_t view, uint64_t message,
             struct tree_attr *attr);
int view_remove(const struct mounted *mounted, uint64_t view, const char *name, struct need *need);
/* From one view to another. */
int view_move(const struct mounted *mounted, uint64_t view, const char *name, uint64_t target,
              struct need *need);
/* A new tag: EPERM where the server takes no new keywords, EINVAL if it is no keyword. */
int view_mkdir(const struct mounted *mounted, uint64_t parent, const char *name,
               struct tree_attr *attr);
int view_rmdir(const struct mounted *mounted, uint64_t parent, const char *name);
