/* FUSE handlers of extended attributes. Where no account has xattr they say ENOSYS, once: the
 * kernel then asks no more, and `ls -l` is spared two questions a file. */
#include <errno.h>

#include "fs/ops-private.h"
#include "fs/xattr.h"

static bool enabled(fuse_req_t fuse)
{
    const struct mounted *mounted = ops_mounted();

    for (unsigned i = 0; i < mounted->count; i++)
        if (mounted->accounts[i].account->xattr)
            return true;
    fuse_reply_err(fuse, ENOSYS);
    return false;
}

/* Answers with the bytes, or with their number if `size` is 0. */
static void reply_value(fuse_req_t fuse, int error, const GString *value, size_t size)
{
    if (error != 0)
        fuse_reply_err(fuse, error);
    else if (size == 0)
        fuse_reply_xattr(fuse, value->len);
    else if (value->len > size)
        fuse_reply_err(fuse, ERANGE);
    else
        fuse_reply_buf(fuse, value->str, value->len);
}

void op_getxattr(fuse_req_t fuse, fuse_ino_t inode, const char *name, size_t size)
{
    if (!enabled(fuse))
        return;
    g_autoptr(GString) value = g_string_new(NULL);
    int error = xattr_get(ops_mounted(), inode, name, value);
    reply_value(fuse, error, value, size);
}

void op_listxattr(fuse_req_t fuse, fuse_ino_t inode, size_t size)
{
    if (!enabled(fuse))
        return;
    g_autoptr(GString) names = g_string_new(NULL);
    int error = xattr_list(ops_mounted(), inode, names);
    reply_value(fuse, error, names, size);
}

void op_setxattr(fuse_req_t fuse, fuse_ino_t inode, const char *name, const char *value,
                 size_t size, int flags)
{
    if (enabled(fuse))
        fuse_reply_err(fuse, xattr_set(ops_mounted(), inode, name, value, size, flags));
}

void op_removexattr(fuse_req_t fuse, fuse_ino_t inode, const char *name)
{
    if (enabled(fuse))
        fuse_reply_err(fuse, xattr_remove(ops_mounted(), inode, name));
}
