/* FUSE handlers of what this program asks of its own mount, see fs/inotify.h. Each answers, and
 * returns true, if the request comes from that thread. None of them waits. */
#include <errno.h>

#include "fs/inotify.h"
#include "fs/ops-private.h"

/* Part of the inode of what is gone, with slot 0 and any UID: a number of its own each time, so
 * that an inode which somebody still has open is left alone. */
#define PART_GONE NODE_PART_LAST

static bool is_own(fuse_req_t fuse)
{
    return inotify_is_own(fuse_req_ctx(fuse)->pid);
}

static uint64_t inode_gone(void)
{
    static gint last;
    return node_inode((struct node){.uid = ((uint32_t)g_atomic_int_add(&last, 1) & INT32_MAX) + 1,
                                    .part = PART_GONE});
}

/* What was there. A directory of mail that goes on under another name is itself; one that is
 * removed is not, since it may come again with the number that it had. */
static void reply_gone(fuse_req_t fuse, enum inotify_what what, uint64_t inode, bool directory)
{
    struct fuse_entry_param entry;
    bool lasts = what == INOTIFY_RENAME && inode != 0 && node_of(inode).uid == 0;
    const struct tree_attr attr = {
        .inode = lasts ? inode : inode_gone(),
        .directory = directory,
        .permissions = directory ? 0700 : 0600,
        .uid = ops_mounted()->accounts[0].account->uid,
        .gid = ops_mounted()->accounts[0].account->gid,
        .passing = true,
    };
    ops_entry_fill(&attr, &entry);
    fuse_reply_entry(fuse, &entry);
}

/* What is there, without waiting for the server. */
static bool lookup_there(struct request *request)
{
    struct tree_attr attr;
    struct fuse_entry_param entry;
    struct need none = {.round = 1};
    bool lasting;
    int error = tree_lookup(ops_mounted(), request->inode, request->name, &attr, &lasting, &none);
    need_clear(&none);
    if (error != 0) {
        fuse_reply_err(request->fuse, error > 0 ? error : ENOENT);
        return true;
    }
    ops_entry_fill(&attr, &entry);
    fuse_reply_entry(request->fuse, &entry);
    return true;
}

bool own_lookup(struct request *request)
{
    bool absent, directory;
    uint64_t inode;
    if (!is_own(request->fuse))
        return false;
    enum inotify_what what =
        inotify_posted(request->inode, request->name, &absent, &inode, &directory);
    if (what == INOTIFY_NONE || what == INOTIFY_ATTRIB)
        return lookup_there(request); /* the way to a directory; and what is there anyway */
    if (absent)
        fuse_reply_err(request->fuse, ENOENT);
    else
        reply_gone(request->fuse, what, inode, directory);
    return true;
}

/* Answers with what is there by now. */
static void reply_there(fuse_req_t fuse, uint64_t inode)
{
    struct tree_attr attr;
    struct fuse_entry_param entry;
    struct need none = {0};
    int error = tree_attr(ops_mounted(), inode, false, &attr, &none);
    need_clear(&none);
    if (error != 0) {
        fuse_reply_err(fuse, error > 0 ? error : EAGAIN);
        return;
    }
    ops_entry_fill(&attr, &entry);
    fuse_reply_entry(fuse, &entry);
}

bool own_make(fuse_req_t fuse, uint64_t parent, const char *name, bool makes_directory)
{
    bool absent, directory;
    uint64_t inode;
    if (!is_own(fuse))
        return false;
    enum inotify_what what = inotify_posted(parent, name, &absent, &inode, &directory);
    if (what == (makes_directory ? INOTIFY_MKDIR : INOTIFY_CREATE))
        reply_there(fuse, inode);
    else
        fuse_reply_err(fuse, EPERM);
    return true;
}

bool own_remove(fuse_req_t fuse, uint64_t parent, const char *name, bool removes_directory)
{
    bool absent, directory;
    uint64_t inode;
    if (!is_own(fuse))
        return false;
    enum inotify_what what = inotify_posted(parent, name, &absent, &inode, &directory);
    fuse_reply_err(fuse, what == (removes_directory ? INOTIFY_RMDIR : INOTIFY_UNLINK) ? 0 : EPERM);
    return true;
}

bool own_rename(fuse_req_t fuse, uint64_t parent, const char *name, uint64_t new_parent,
                const char *new_name)
{
    if (!is_own(fuse))
        return false;
    fuse_reply_err(fuse, inotify_posted_rename(parent, name, new_parent, new_name) ? 0 : EPERM);
    return true;
}

bool own_setattr(fuse_req_t fuse, uint64_t inode)
{
    struct tree_attr attr;
    struct stat st;
    struct need none = {0};
    if (!is_own(fuse))
        return false;
    int error = tree_attr(ops_mounted(), inode, false, &attr, &none);
    need_clear(&none);
    if (error != 0) {
        fuse_reply_err(fuse, error > 0 ? error : EAGAIN);
        return true;
    }
    ops_stat_fill(&attr, &st);
    fuse_reply_attr(fuse, &st, ops_attr_kept(&attr));
    return true;
}
