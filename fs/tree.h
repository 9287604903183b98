/* What the mount looks like: names to inodes, attributes, listings (see mailmount-tree(7)). Knows
 * nothing of FUSE. All functions answer 0, an errno, or NEED_WAIT with `need` filled: see
 * fs/place.h. */
#pragma once

#include "fs/place.h"

struct tree_attr {
    uint64_t inode;
    bool directory;
    bool exact;   /* `size` is the file's size; else an upper bound that nobody may keep */
    bool steady;  /* the attributes can be kept until a change is notified */
    bool passing; /* the name does not last: nobody may keep it */
    uint64_t size;
    int64_t mtime_ns, ctime_ns; /* since 1970 */
    mode_t permissions;
    uid_t uid;
    gid_t gid;
};

/* The child `name` of a directory. ENOENT: none; `lasting` then says whether that is likely to stay
 * so. */
int tree_lookup(const struct mounted *mounted, uint64_t parent, const char *name,
                struct tree_attr *attr, bool *lasting, struct need *need);
/* Attributes; with `exact` the size is settled first. */
int tree_attr(const struct mounted *mounted, uint64_t inode, bool exact, struct tree_attr *attr,
              struct need *need);
/* The same of a place at hand. Without `exact` it fills no need and leaves the transaction. */
int tree_place_attr(const struct mounted *mounted, struct place *place, bool exact,
                    struct tree_attr *attr, struct need *need);
/* Makes a directory's listing complete and fresh, once an opening (need->round 0). */
int tree_open(const struct mounted *mounted, uint64_t inode, struct need *need);

/* One entry of a listing: `offset` is where to go on after it. `attr` is NULL unless asked for, and
 * for
 * "." and "..". Returns false to stop (the entry was not taken). */
struct tree_entry {
    const char *name;
    uint64_t inode;
    bool directory;
    uint64_t offset;
    const struct tree_attr *attr;
};
typedef bool (*tree_emit)(const struct tree_entry *entry, void *data);
/* Changes with each settled change of mail. A listing is of one moment if this is the same before
 * it and after it; else a message that was settled meanwhile may be missing in it. */
uint64_t tree_settled(const struct mounted *mounted);
/* Emits a directory's entries from `offset` on (0: from the start). Never waits. */
int tree_list(const struct mounted *mounted, uint64_t inode, uint64_t offset, bool attributes,
              tree_emit emit, void *data);
