/* Messages on their way into a mailbox: what the tree shows of the journal there. */
#pragma once

#include "fs/place.h"

/* Whether the journal has anything to say about a mailbox; once a listing, before all else. */
bool arrival_concerns(const struct place *mailbox);
/* Whether the message at a place of a mailbox is on its way out of it. */
bool arrival_hides(const struct place *mailbox, uint32_t uid);
/* The message that an entry brings, as a place (NAME.eml) that shares the mailbox's transaction:
 * where it was at first, or where it is now. False: it is a staged file, or there is no record. */
bool arrival_place(const struct place *mailbox, const struct journal_entry *entry,
                   struct place *message);
/* The inode of the staged file that an entry brings. */
uint64_t arrival_staged(const struct mounted *mounted, const struct place *mailbox,
                        const struct journal_entry *entry);
/* Whether a face is not shown there because the same face, where the message was, is a ghost that
 * may yet be moved to the same place. */
bool arrival_waits_for_ghost(uint64_t face);

/* A name asked for, of what is on its way. 0, ENOENT or NEED_WAIT. */
int arrival_lookup(const struct mounted *mounted, const struct place *mailbox, const char *name,
                   struct node *node, struct need *need);
/* A name asked for, of what has arrived. */
int arrival_asked(const struct place *mailbox, const char *name, struct node *node,
                  struct need *need);
/* What directories are remembered by among the names asked for, the caller's: "NAME/". */
char *arrival_directory_name(const char *name);
