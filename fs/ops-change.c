#include "fs/ops-change.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fs/change.h"
#include "fs/draft.h"
#include "fs/error.h"
#include "fs/ops-private.h"

/* For those that never wait. */
static int settle(int error, struct need *need)
{
    need_clear(need);
    return error == NEED_WAIT || error == NEED_DECODER ? EIO : error;
}

static void reply_entry(fuse_req_t fuse, int error, const struct tree_attr *attr)
{
    struct fuse_entry_param entry;
    if (error != 0) {
        fuse_reply_err(fuse, error);
        return;
    }
    ops_entry_fill(attr, &entry);
    fuse_reply_entry(fuse, &entry);
}

/* ---- removing ---- */

void op_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
    if (own_remove(fuse, parent, name, false))
        return;
    struct need need = {0};
    fuse_reply_err(fuse, settle(change_unlink(ops_mounted(), parent, name, &need), &need));
}

/* May wait for the list of a mailbox that was never listed, and for the server's word. */
static int step_rmdir(struct request *request)
{
    int error = change_rmdir(ops_mounted(), request->inode, request->name, &request->need);
    if (error == 0)
        fuse_reply_err(request->fuse, 0);
    return error;
}

void op_rmdir(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
    if (own_remove(fuse, parent, name, true))
        return;
    struct request request = {.fuse = fuse, .step = step_rmdir, .inode = parent, .name = name};
    request_start(&request);
}

/* ---- renaming ---- */

static int step_rename(struct request *request)
{
    bool noreplace = (request->info.flags & RENAME_NOREPLACE) != 0;
    int error = change_rename(ops_mounted(), request->inode, request->name, request->new_parent,
                              request->new_name, noreplace, &request->need);
    if (error == 0)
        fuse_reply_err(request->fuse, 0);
    return error;
}

void op_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags)
{
    if (own_rename(fuse, parent, name, new_parent, new_name))
        return;
    if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0) {
        fuse_reply_err(fuse, EINVAL);
        return;
    }
    struct request request = {.fuse = fuse,
                              .step = step_rename,
                              .inode = parent,
                              .name = name,
                              .new_parent = new_parent,
                              .new_name = new_name,
                              .info = {.flags = (int)flags}};
    request_start(&request);
}

/* ---- making ---- */

void op_link(fuse_req_t fuse, fuse_ino_t inode, fuse_ino_t new_parent, const char *new_name)
{
    struct need need = {0};
    struct tree_attr attr = {0};
    int error = change_link(ops_mounted(), inode, new_parent, new_name, &attr, &need);
    reply_entry(fuse, settle(error, &need), &attr);
}

static int step_mkdir(struct request *request)
{
    struct tree_attr attr = {0};
    int error = change_mkdir(ops_mounted(), request->inode, request->name, &attr, &request->need);
    if (error == 0)
        reply_entry(request->fuse, 0, &attr);
    return error;
}

void op_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode)
{
    if (own_make(fuse, parent, name, true))
        return;
    struct request request = {.fuse = fuse, .step = step_mkdir, .inode = parent, .name = name};
    request_start(&request);
}

void op_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    if (own_make(fuse, parent, name, false))
        return;
    struct draft_handle *handle;
    struct tree_attr attr = {0};
    uint64_t inode;
    int error =
        S_ISREG(mode) ? draft_create(ops_mounted(), parent, name, 0, &inode, &handle) : EPERM;
    if (error == 0) {
        draft_release(handle);
        error = draft_attr(ops_mounted(), inode, &attr);
    }
    reply_entry(fuse, error, &attr);
}

void op_symlink(fuse_req_t fuse, const char *link, fuse_ino_t parent, const char *name)
{
    fuse_reply_err(fuse, EPERM);
}

/* ---- waiting for the server ---- */

static struct mounted_account *account_of(uint64_t inode)
{
    g_auto(place) place = {0};
    return place_find(ops_mounted(), inode, &place) == 0 ? place.account : NULL;
}

static int step_fsyncdir(struct request *request)
{
    struct mounted_account *account = account_of(request->inode);
    if (account == NULL || account->journal == NULL || request->need.round > 0) {
        fuse_reply_err(request->fuse, 0);
        return 0;
    }
    int error = error_of_cache(journal_sync(account->journal));
    if (error != 0)
        return error;
    struct engine_wish wish = {.want = ENGINE_PUSHED};
    return need_add(&request->need, account->engine, &wish);
}

void op_fsyncdir(fuse_req_t fuse, fuse_ino_t inode, int data_only, struct fuse_file_info *info)
{
    /* what is not there is what a change was about: the directory is */
    struct request request = {.fuse = fuse, .step = step_fsyncdir, .inode = inode, .gone = EIO};
    request_start(&request);
}

/* ---- space ---- */

/* Without a quota there is much of everything: programs look whether a copy will fit. */
static const struct statvfs ENDLESS = {
    .f_bsize = 4096,
    .f_frsize = 4096,
    .f_blocks = UINT64_C(1) << 28,
    .f_bfree = UINT64_C(1) << 28,
    .f_bavail = UINT64_C(1) << 28,
    .f_files = UINT32_MAX,
    .f_ffree = UINT32_MAX,
    .f_favail = UINT32_MAX,
    .f_namemax = 255,
};

/* STORAGE is in KiB, MESSAGE counts messages (RFC 9208, 5). */
static void space_of(const struct mounted_account *account, struct statvfs *st)
{
    struct engine_status status = {0};
    engine_status_read(account->engine, &status);
    if (status.quota_known && status.quota_limit >= 0) {
        int64_t left = MAX(status.quota_limit - MAX(status.quota_used, 0), 0);
        st->f_frsize = 1024;
        st->f_blocks = (fsblkcnt_t)status.quota_limit;
        st->f_bfree = st->f_bavail = (fsblkcnt_t)left;
    }
    if (status.quota_known && status.quota_messages_limit >= 0) {
        int64_t left = MAX(status.quota_messages_limit - MAX(status.quota_messages, 0), 0);
        st->f_files = (fsfilcnt_t)status.quota_messages_limit;
        st->f_ffree = st->f_favail = (fsfilcnt_t)left;
    }
}

/* From memory, never from the server: a disk widget that waits here keeps a laptop from sleeping.
 */
void op_statfs(fuse_req_t fuse, fuse_ino_t inode)
{
    struct statvfs st = ENDLESS;
    const struct mounted_account *account = account_of(inode);
    if (account != NULL)
        space_of(account, &st);
    fuse_reply_statfs(fuse, &st);
}
