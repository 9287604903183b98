/* .mailmount/failed: messages that could not be sent, to be read and removed. */
#pragma once

#include "fs/place.h"
#include "fs/tree.h"

/* The inode of a name; 0: none. With several accounts names begin with the account's. */
uint64_t refused_find(const struct mounted *mounted, const char *name);
/* The one that is listed after inode `after` (0: the first); false at the end. `name` is the
 * caller's. */
bool refused_next(const struct mounted *mounted, uint64_t after, uint64_t *inode, char **name);
/* Completes the attributes of a place of kind REFUSED. ESTALE: it is gone. */
int refused_attr(const struct place *place, struct tree_attr *attr);
/* Its bytes. */
int refused_bytes(const struct place *place, GBytes **bytes);
int refused_remove(const struct mounted *mounted, uint64_t inode);
