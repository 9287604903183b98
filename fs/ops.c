#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>

#include "fs/content.h"
#include "fs/control.h"
#include "fs/draft.h"
#include "fs/notify.h"
#include "fs/ops-change.h"
#include "fs/ops-private.h"
#include "fs/request.h"
#include "fs/trace.h"
#include "fs/tree.h"

/* Seconds that the kernel may keep what is told when it changes, and names that are not there. */
#define KEPT 3600.0
#define KEPT_TRUSTED 60.0 /* a size that the server only says */
#define ABSENT_LASTING 60.0
#define ABSENT 1.0

#define BACKGROUND_MAX 256
#define BACKGROUND_CONGESTED 192

static const struct mounted *mounted;
static void (*ready_hook)(void *data);
static void *ready_data;

/* ---- what the kernel is told ---- */

static struct timespec timespec_of(int64_t ns)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000000;
    }
    return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

const struct mounted *ops_mounted(void)
{
    return mounted;
}

void ops_stat_fill(const struct tree_attr *attr, struct stat *st)
{
    *st = (struct stat){
        .st_ino = attr->inode,
        .st_mode = (attr->directory ? S_IFDIR : S_IFREG) | attr->permissions,
        .st_nlink = 1,
        .st_uid = attr->uid,
        .st_gid = attr->gid,
        .st_size = (off_t)MIN(attr->size, (uint64_t)INT64_MAX),
        .st_blksize = 4096,
        .st_mtim = timespec_of(attr->mtime_ns),
        .st_ctim = timespec_of(attr->ctime_ns),
    };
    st->st_atim = st->st_mtim;
    st->st_blocks = (st->st_size + 511) / 512;
}

double ops_attr_kept(const struct tree_attr *attr)
{
    bool message = node_of(attr->inode).uid != 0 && node_of(attr->inode).part == NODE_PART_MESSAGE;
    if (!attr->steady)
        return 0;
    return message ? KEPT_TRUSTED : KEPT;
}

void ops_entry_fill(const struct tree_attr *attr, struct fuse_entry_param *entry)
{
    *entry = (struct fuse_entry_param){
        .ino = attr->inode,
        .entry_timeout = attr->steady || attr->directory ? KEPT : 0,
        .attr_timeout = ops_attr_kept(attr),
    };
    if (node_of(attr->inode).uid != 0 && !draft_is_inode(attr->inode))
        entry->entry_timeout = KEPT; /* the name stays even while the size is not settled */
    if (attr->passing)
        entry->entry_timeout = 0;
    ops_stat_fill(attr, &entry->attr);
}

/* ---- operations ---- */

static int step_lookup(struct request *request)
{
    struct tree_attr attr;
    struct fuse_entry_param entry = {0};
    bool lasting = false;
    int error =
        tree_lookup(mounted, request->inode, request->name, &attr, &lasting, &request->need);
    if (error == ENOENT) {
        entry.entry_timeout = lasting ? ABSENT_LASTING : ABSENT;
        fuse_reply_entry(request->fuse, &entry);
        return 0;
    }
    if (error != 0)
        return error;
    ops_entry_fill(&attr, &entry);
    if (attr.inode == NODE_REQUESTS)
        entry.ino = ops_control_inode();
    fuse_reply_entry(request->fuse, &entry);
    return 0;
}

static void op_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
    struct request request = {.fuse = fuse, .step = step_lookup, .inode = parent, .name = name};
    if (!own_lookup(&request))
        request_start(&request);
}

int ops_step_getattr(struct request *request)
{
    if (draft_is_inode(request->inode))
        return ops_draft_getattr(request);
    struct tree_attr attr;
    struct content *content =
        request->with_info ? (struct content *)(uintptr_t)request->info.fh : NULL;
    int error = tree_attr(mounted, request->inode, content == NULL, &attr, &request->need);
    if (error != 0)
        return error;
    if (content != NULL)
        attr.size = content_length(content);
    struct stat st;
    ops_stat_fill(&attr, &st);
    fuse_reply_attr(request->fuse, &st, ops_attr_kept(&attr));
    return 0;
}

static void op_getattr(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info)
{
    struct request request = {.fuse = fuse, .step = ops_step_getattr, .inode = inode};
    if (info != NULL && inode == NODE_EVENTS) {
        ops_events_getattr(info);
    } else if (info != NULL) {
        request.info = *info;
        request.with_info = true;
    }
    request_start(&request);
}

static int step_open(struct request *request)
{
    struct content *content = NULL;
    uint64_t told;
    {
        g_auto(place) place = {0};
        int error = place_find(mounted, request->inode, &place);
        if (error != 0)
            return error;
        if (place_is_directory(&place))
            return EISDIR;
        request->info.keep_cache = !control_is_text(&place);
        request->info.direct_io = place.kind == PLACE_REQUESTS;
        told = place.kind == PLACE_MESSAGE ? place.message.size : 0;
        error = content_open(mounted, &place, &content, &request->need);
        if (error != 0)
            return error;
    }
    /* the kernel may still hold what the server said, whatever is known of it by now */
    if (told != 0 && told != content_length(content))
        notify_attributes_now(request->inode);
    request->info.fh = (uintptr_t)content;
    request->info.noflush = 1;
    if (fuse_reply_open(request->fuse, &request->info) != 0)
        content_unref(content); /* the caller is gone: no RELEASE will come */
    return 0;
}

static void op_open(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info)
{
    if (draft_is_inode(inode)) {
        ops_draft_open(fuse, inode, info);
        return;
    }
    bool writes = (info->flags & O_ACCMODE) != O_RDONLY || (info->flags & O_TRUNC);
    if (writes && !node_is_requests(inode)) {
        /* parts cannot be changed; a message can be replaced, but not written to */
        fuse_reply_err(fuse, node_of(inode).part >= NODE_PART_HEADERS ? EPERM : EACCES);
        return;
    }
    if (inode == NODE_EVENTS) {
        ops_events_open(fuse, info);
        return;
    }
    struct request request = {.fuse = fuse, .step = step_open, .inode = inode, .info = *info};
    request_start(&request);
}

static int step_read(struct request *request)
{
    struct content *content = (struct content *)(uintptr_t)request->info.fh;
    g_autofree char *buffer = g_malloc(request->size);
    size_t got;
    int error = content_read(content, request->offset, request->size, buffer, &got, &request->need);
    if (error == 0)
        fuse_reply_buf(request->fuse, buffer, got);
    return error;
}

static void op_read(fuse_req_t fuse, fuse_ino_t inode, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    if (draft_is_inode(inode)) {
        ops_draft_read(fuse, size, offset, info);
        return;
    }
    if (inode == NODE_EVENTS) {
        ops_events_read(fuse, size, offset, info);
        return;
    }
    struct request request = {
        .fuse = fuse,
        .step = step_read,
        .gone = ESTALE,
        .inode = inode,
        .info = *info,
        .size = size,
        .offset = (uint64_t)offset,
    };
    request_start(&request);
}

static void op_release(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info)
{
    if (draft_is_inode(inode)) {
        ops_draft_release(fuse, info);
        return;
    }
    if (inode == NODE_EVENTS) {
        ops_events_release(fuse, info);
        return;
    }
    content_unref((struct content *)(uintptr_t)info->fh);
    fuse_reply_err(fuse, 0);
}

static int step_opendir(struct request *request)
{
    int error = tree_open(mounted, request->inode, &request->need);
    if (error != 0)
        return error;
    bool lasting = node_of(request->inode).uid != 0 && !ghost_is(request->inode);
    request->info.cache_readdir = request->info.keep_cache = lasting;
    fuse_reply_open(request->fuse, &request->info);
    return 0;
}

static void op_opendir(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info)
{
    struct request request = {.fuse = fuse, .step = step_opendir, .inode = inode, .info = *info};
    request_start(&request);
}

/* A page is listed again where a change was settled meanwhile; so often at most. */
#define LIST_TRIES_MAX 20

struct page {
    fuse_req_t fuse;
    char *bytes;
    size_t length, size;
    bool attributes;
};

static bool page_put(const struct tree_entry *item, void *data)
{
    struct page *page = data;
    size_t room = page->size - page->length, length;
    struct fuse_entry_param entry = {0};
    if (item->attr != NULL)
        ops_entry_fill(item->attr, &entry);
    entry.attr.st_ino = item->inode;
    entry.attr.st_mode = item->directory ? S_IFDIR : S_IFREG;
    if (item->attr != NULL)
        entry.attr.st_mode |= item->attr->permissions;
    if (page->attributes)
        length = fuse_add_direntry_plus(page->fuse, page->bytes + page->length, room, item->name,
                                        &entry, (off_t)item->offset);
    else
        length = fuse_add_direntry(page->fuse, page->bytes + page->length, room, item->name,
                                   &entry.attr, (off_t)item->offset);
    if (length > room)
        return false;
    page->length += length;
    return true;
}

static void read_directory(fuse_req_t fuse, fuse_ino_t inode, size_t size, off_t offset,
                           bool attributes)
{
    g_autofree char *bytes = g_malloc(size);
    struct page page = {.fuse = fuse, .bytes = bytes, .size = size, .attributes = attributes};
    uint64_t settled;
    int error;
    unsigned tries = 0;
    do {
        settled = tree_settled(mounted);
        page.length = 0;
        error = tree_list(mounted, inode, (uint64_t)offset, attributes, page_put, &page);
    } while (tree_settled(mounted) != settled && ++tries < LIST_TRIES_MAX);
    if (error != 0)
        fuse_reply_err(fuse, error);
    else
        fuse_reply_buf(fuse, bytes, page.length);
}

static void op_readdir(fuse_req_t fuse, fuse_ino_t inode, size_t size, off_t offset,
                       struct fuse_file_info *info)
{
    read_directory(fuse, inode, size, offset, false);
}

static void op_readdirplus(fuse_req_t fuse, fuse_ino_t inode, size_t size, off_t offset,
                           struct fuse_file_info *info)
{
    read_directory(fuse, inode, size, offset, true);
}

static void op_releasedir(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info)
{
    fuse_reply_err(fuse, 0);
}

static void op_forget(fuse_req_t fuse, fuse_ino_t inode, uint64_t count)
{
    fuse_reply_none(fuse);
}

static void op_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
    fuse_reply_none(fuse);
}

static void op_init(void *data, struct fuse_conn_info *conn)
{
    conn->max_background = BACKGROUND_MAX;
    conn->congestion_threshold = BACKGROUND_CONGESTED;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    ready_hook(ready_data);
}

const struct fuse_lowlevel_ops OPS = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .open = op_open,
    .read = op_read,
    .create = op_create,
    .write = op_write,
    .flush = op_flush,
    .fsync = op_fsync,
    .setattr = op_setattr,
    .copy_file_range = op_copy_file_range,
    .fallocate = op_fallocate,
    .release = op_release,
    .poll = op_poll,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .statfs = op_statfs,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .rename = op_rename,
    .mkdir = op_mkdir,
    .link = op_link,
    .mknod = op_mknod,
    .symlink = op_symlink,
    .fsyncdir = op_fsyncdir,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .setxattr = op_setxattr,
    .removexattr = op_removexattr,
};

void ops_init(const struct mounted *shown, void (*ready)(void *data), void *data)
{
    ops_events_init();
    mounted = shown;
    ready_hook = ready;
    ready_data = data;
}
