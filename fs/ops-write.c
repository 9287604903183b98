/* FUSE handlers of files that programs write: drafts (fs/draft.h), and what is refused of others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>

#include "fs/content.h"
#include "fs/draft.h"
#include "fs/ops-private.h"

#define NS_PER_S INT64_C(1000000000)
/* What one COPY_FILE_RANGE copies at most, in bytes. */
#define COPY_MAX (1u << 20)

static struct draft_handle *handle_of(const struct fuse_file_info *info)
{
    return (struct draft_handle *)(uintptr_t)info->fh;
}

/* The thread group of who asks, 0: it cannot be known. FUSE says only the thread. */
static pid_t thread_group(fuse_req_t fuse)
{
    pid_t thread = fuse_req_ctx(fuse)->pid;
    char path[64], line[256];
    g_snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
    FILE *status = thread > 0 ? fopen(path, "re") : NULL;
    if (status == NULL)
        return 0;
    pid_t group = 0;
    while (group == 0 && fgets(line, sizeof(line), status) != NULL)
        if (g_str_has_prefix(line, "Tgid:"))
            group = (pid_t)g_ascii_strtoll(line + strlen("Tgid:") + 1, NULL, 10);
    fclose(status);
    return group;
}

static bool wants_write(const struct fuse_file_info *info)
{
    return (info->flags & O_ACCMODE) != O_RDONLY;
}

/* ---- opening and closing ---- */

static int open_draft(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info,
                      struct draft_handle **handle)
{
    return draft_open(ops_mounted(), inode, wants_write(info), (info->flags & O_TRUNC) != 0,
                      thread_group(fuse), handle);
}

/* A draft that another process has made meanwhile is opened. */
static int create_or_open(fuse_req_t fuse, fuse_ino_t parent, const char *name,
                          struct fuse_file_info *info, uint64_t *inode,
                          struct draft_handle **handle)
{
    int error = draft_create(ops_mounted(), parent, name, thread_group(fuse), inode, handle);
    if (error != EEXIST || (info->flags & O_EXCL))
        return error;
    *inode = draft_find(ops_mounted(), parent, name);
    return *inode != 0 ? open_draft(fuse, *inode, info, handle) : ESTALE;
}

void op_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *info)
{
    uint64_t inode;
    struct draft_handle *handle = NULL;
    struct tree_attr attr;
    struct fuse_entry_param entry;
    int error = create_or_open(fuse, parent, name, info, &inode, &handle);
    if (error == 0)
        error = draft_attr(ops_mounted(), inode, &attr);
    if (error != 0) {
        if (handle != NULL)
            draft_release(handle);
        fuse_reply_err(fuse, error);
        return;
    }
    ops_entry_fill(&attr, &entry);
    info->fh = (uintptr_t)handle;
    if (fuse_reply_create(fuse, &entry, info) != 0)
        draft_release(handle); /* the caller is gone: no RELEASE will come */
}

void ops_draft_open(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info)
{
    struct draft_handle *handle;
    int error = open_draft(fuse, inode, info, &handle);
    if (error != 0) {
        fuse_reply_err(fuse, error);
        return;
    }
    info->fh = (uintptr_t)handle;
    info->noflush = !wants_write(info);
    if (fuse_reply_open(fuse, info) != 0)
        draft_release(handle);
}

void ops_draft_release(fuse_req_t fuse, struct fuse_file_info *info)
{
    draft_release(handle_of(info));
    fuse_reply_err(fuse, 0);
}

static int step_flush(struct request *request)
{
    int error = draft_flush(handle_of(&request->info), request->thread_group, &request->need);
    if (error == 0)
        fuse_reply_err(request->fuse, 0);
    return error;
}

void op_flush(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info)
{
    if (!draft_is_inode(inode)) {
        fuse_reply_err(fuse, 0);
        return;
    }
    struct request request = {
        .fuse = fuse,
        .step = step_flush,
        .inode = inode,
        .info = *info,
        .thread_group = thread_group(fuse),
    };
    request_start(&request);
}

void op_fsync(fuse_req_t fuse, fuse_ino_t inode, int datasync, struct fuse_file_info *info)
{
    fuse_reply_err(fuse, draft_is_inode(inode) ? draft_sync(handle_of(info)) : 0);
}

/* ---- bytes ---- */

void ops_draft_read(fuse_req_t fuse, size_t size, off_t offset, struct fuse_file_info *info)
{
    g_autofree char *buffer = g_malloc(size);
    size_t got;
    int error = draft_read(handle_of(info), (uint64_t)offset, size, buffer, &got);
    if (error == 0)
        fuse_reply_buf(fuse, buffer, got);
    else
        fuse_reply_err(fuse, error);
}

void op_write(fuse_req_t fuse, fuse_ino_t inode, const char *bytes, size_t size, off_t offset,
              struct fuse_file_info *info)
{
    if (node_is_requests(inode)) {
        ops_control_write(fuse, bytes, size);
        return;
    }
    int error = draft_is_inode(inode) ? draft_write(handle_of(info), (uint64_t)offset, bytes, size)
                                      : EACCES;
    if (error == 0)
        fuse_reply_write(fuse, size);
    else
        fuse_reply_err(fuse, error);
}

static int read_source(struct request *request, size_t length, void *buffer, size_t *got)
{
    if (draft_is_inode(request->inode))
        return draft_read(handle_of(&request->info), request->offset, length, buffer, got);
    struct content *content = (struct content *)(uintptr_t)request->info.fh;
    return content_read(content, request->offset, length, buffer, got, &request->need);
}

static int step_copy(struct request *request)
{
    size_t length = MIN(request->size, COPY_MAX), got;
    g_autofree char *buffer = g_malloc(length);
    int error = read_source(request, length, buffer, &got);
    if (error == 0 && got > 0)
        error = draft_copy(handle_of(&request->to), request->to_offset, request->inode,
                           request->offset, buffer, got);
    if (error == 0)
        fuse_reply_write(request->fuse, got);
    return error;
}

void op_copy_file_range(fuse_req_t fuse, fuse_ino_t inode, off_t offset,
                        struct fuse_file_info *info, fuse_ino_t to, off_t to_offset,
                        struct fuse_file_info *to_info, size_t length, int flags)
{
    if (!draft_is_inode(to)) {
        fuse_reply_err(fuse, EACCES);
        return;
    }
    if (inode == NODE_EVENTS || node_is_requests(inode)) { /* no file with contents: read it */
        fuse_reply_err(fuse, EOPNOTSUPP);
        return;
    }
    struct request request = {
        .fuse = fuse,
        .step = step_copy,
        .inode = inode,
        .info = *info,
        .offset = (uint64_t)offset,
        .to = *to_info,
        .to_offset = (uint64_t)to_offset,
        .size = length,
    };
    request_start(&request);
}

/* Room is not set aside; files grow when they are written. */
void op_fallocate(fuse_req_t fuse, fuse_ino_t inode, int mode, off_t offset, off_t length,
                  struct fuse_file_info *info)
{
    bool harmless = draft_is_inode(inode) && mode == FALLOC_FL_KEEP_SIZE;
    fuse_reply_err(fuse, harmless ? 0 : EOPNOTSUPP);
}

/* ---- attributes ---- */

int ops_draft_getattr(struct request *request)
{
    struct tree_attr attr;
    struct stat st;
    int error = draft_attr(ops_mounted(), request->inode, &attr);
    if (error != 0)
        return error;
    ops_stat_fill(&attr, &st);
    fuse_reply_attr(request->fuse, &st, 0);
    return 0;
}

static int64_t mtime_of(const struct stat *attr, int to_set)
{
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        return g_get_real_time() * 1000;
    int64_t seconds = CLAMP(attr->st_mtim.tv_sec, -(INT64_C(1) << 32), INT64_C(1) << 33);
    return seconds * NS_PER_S + attr->st_mtim.tv_nsec;
}

#define TIMES                                                              \
    (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | \
     FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME)

/* Mode and owner of a draft are what they are; what programs ask for beyond that is not an error,
 * as on other filesystems that have none. */
static int set_draft(fuse_ino_t inode, const struct stat *attr, int to_set)
{
    int error = 0;
    if (to_set & FUSE_SET_ATTR_SIZE)
        error = attr->st_size < 0 ? EINVAL
                                  : draft_truncate(ops_mounted(), inode, (uint64_t)attr->st_size);
    if (error == 0 && (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)))
        error = draft_set_mtime(ops_mounted(), inode, mtime_of(attr, to_set));
    return error;
}

/* No server keeps times or modes of folders: archivers, which set those of every directory that
 * they enter, are told nothing else than that it is well. */
static bool is_folder(fuse_ino_t inode)
{
    g_auto(place) place = {0};
    return place_find(ops_mounted(), inode, &place) == 0 &&
           (place.kind == PLACE_ACCOUNT || place.kind == PLACE_MAILBOX);
}

static int set_other(fuse_ino_t inode, const struct stat *attr, int to_set)
{
    struct tree_attr now;
    struct need need = {0};
    if (node_is_requests(inode) && !(to_set & ~(TIMES | FUSE_SET_ATTR_SIZE)))
        return 0; /* what shells do before they write to it */
    int error = tree_attr(ops_mounted(), inode, false, &now, &need);
    need_clear(&need);
    if (error != 0)
        return error;
    bool same =
        (!(to_set & FUSE_SET_ATTR_MODE) || (attr->st_mode & 07777) == (now.permissions & 07777)) &&
        (!(to_set & FUSE_SET_ATTR_UID) || attr->st_uid == now.uid) &&
        (!(to_set & FUSE_SET_ATTR_GID) || attr->st_gid == now.gid);
    if (to_set & FUSE_SET_ATTR_SIZE)
        return node_of(inode).part == NODE_PART_MESSAGE ? EACCES : EPERM;
    if (draft_saved(inode) || is_folder(inode))
        return 0;
    return same && !(to_set & TIMES) ? 0 : EPERM;
}

void op_setattr(fuse_req_t fuse, fuse_ino_t inode, struct stat *attr, int to_set,
                struct fuse_file_info *info)
{
    if (own_setattr(fuse, inode))
        return;
    int error =
        draft_is_inode(inode) ? set_draft(inode, attr, to_set) : set_other(inode, attr, to_set);
    if (error != 0) {
        fuse_reply_err(fuse, error);
        return;
    }
    struct request request = {.fuse = fuse, .step = ops_step_getattr, .inode = inode};
    if (info != NULL) {
        request.info = *info;
        request.with_info = true;
    }
    request_start(&request);
}
