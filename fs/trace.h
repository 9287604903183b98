/* What was where in this session: things that the tree shows for a while though no record says so.
 * All of it is in memory, bounded, and ends with the mount.
 *
 * ghosts   the second face of a message whose first was moved or removed by name. Not listed, found
 *          by name, empty, gone once it was removed or moved too. So that `rm -r` and `mv *`, which
 *          meet both faces, end well, whichever they meet first.
 * moved    addresses that lead to others: of a message that the server gave another UID, of a
 *          local file that became a message
 * own      names of messages on their way into a mailbox, as they were listed: those that they
 *          bear where they were
 * aliases  scratch names that a message bears in its own directory, instead of its own
 * asked    when the server was last asked whether a mailbox has a message that a name names
 * touched  when names of a directory came or went by changes that no record shows yet
 */
#pragma once

#include "fs/node.h"

/* Numbers in a ghost's inode in the place of the part. The inode is the message's otherwise. */
enum { NODE_PART_GHOST_FILE = 16001, NODE_PART_GHOST_DIRECTORY = 16002 };
static inline bool node_is_ghost(struct node node)
{
    return node.uid != 0 &&
           (node.part == NODE_PART_GHOST_FILE || node.part == NODE_PART_GHOST_DIRECTORY);
}

/* The face of a message (inode of NAME.eml or NAME/) that bears a name in a directory becomes a
 * ghost. */
void ghost_add(uint64_t directory, const char *name, uint64_t face);
uint64_t ghost_find(uint64_t directory, const char *name); /* the face; 0: none */
/* Whether a ghost of this face is left somewhere. */
bool ghost_is(uint64_t face);
/* It was removed or moved. False: there was none. */
bool ghost_take(uint64_t directory, const char *name);
/* The face is no ghost any more. */
void ghost_end(uint64_t face);
/* The inode that stands for the ghost of a face, and back. */
uint64_t ghost_inode(uint64_t face);
uint64_t ghost_face(uint64_t inode);
/* The message of `from` is that of `to` now; ghosts of `from` stand for it. */
void moved_add(uint64_t from, uint64_t to);
/* Where an inode leads, see change_moved(). And the number that the message had before, 0: none. */
uint64_t moved_find(uint64_t inode);
uint64_t moved_before(uint64_t inode);

/* `stem`: NAME of NAME.eml. */
void own_add(uint64_t directory, const char *stem, uint64_t message);
uint64_t own_find(uint64_t directory, const char *stem); /* 0: none */

void alias_add(uint64_t directory, const char *name, uint64_t message);
bool alias_remove(uint64_t message);
uint64_t alias_find(uint64_t directory, const char *name); /* 0: none */
/* The scratch name of a message, the caller's; NULL: it bears its own. */
char *alias_of(uint64_t message);

void asked_add(uint32_t mailbox);
/* Whether it was within the last second: then the answer is still good. */
bool asked_lately(uint32_t mailbox);

void touched_add(uint64_t directory);
int64_t touched_ns(uint64_t directory); /* 0: never */

void trace_clear(void);
