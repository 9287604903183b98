/* What the rooms of fs/ops share. Private to them. */
#pragma once

#include "fs/request.h"
#include "fs/tree.h"

/* The mount that is served. */
const struct mounted *ops_mounted(void);

/* What the kernel is told of a node, and for how many seconds it may keep that. */
void ops_stat_fill(const struct tree_attr *attr, struct stat *st);
double ops_attr_kept(const struct tree_attr *attr);
void ops_entry_fill(const struct tree_attr *attr, struct fuse_entry_param *entry);
/* GETATTR, with request->inode and, if with_info, the open file. */
int ops_step_getattr(struct request *request);

/* fs/ops-xattr.c: extended attributes. */
void op_getxattr(fuse_req_t fuse, fuse_ino_t inode, const char *name, size_t size);
void op_listxattr(fuse_req_t fuse, fuse_ino_t inode, size_t size);
void op_setxattr(fuse_req_t fuse, fuse_ino_t inode, const char *name, const char *value,
                 size_t size, int flags);
void op_removexattr(fuse_req_t fuse, fuse_ino_t inode, const char *name);
/* fs/ops-control.c: .mailmount/control, a number for who looks it up, and a write to it. */
uint64_t ops_control_inode(void);
void ops_control_write(fuse_req_t fuse, const char *bytes, size_t size);
/* fs/ops-own.c: what this program asks of its own mount. True: it was that, and is answered; but
 * own_setattr() only says that nothing is to be changed. */
bool own_lookup(struct request *request);
bool own_make(fuse_req_t fuse, uint64_t parent, const char *name, bool makes_directory);
bool own_remove(fuse_req_t fuse, uint64_t parent, const char *name, bool removes_directory);
bool own_rename(fuse_req_t fuse, uint64_t parent, const char *name, uint64_t new_parent,
                const char *new_name);
bool own_setattr(fuse_req_t fuse, uint64_t inode);
/* fs/ops-events.c: .mailmount/events. The first four answer for it where fs/ops.c does for all
 * else.
 */
void ops_events_open(fuse_req_t fuse, struct fuse_file_info *info);
void ops_events_read(fuse_req_t fuse, size_t size, off_t offset, struct fuse_file_info *info);
void ops_events_release(fuse_req_t fuse, struct fuse_file_info *info);
/* Does not answer. */
void ops_events_getattr(struct fuse_file_info *info);
void ops_events_init(void);
void op_poll(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info,
             struct fuse_pollhandle *handle);
/* fs/ops-write.c: files that are written. The first four answer for drafts where fs/ops.c does for
 * all else. */
void ops_draft_open(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info);
void ops_draft_read(fuse_req_t fuse, size_t size, off_t offset, struct fuse_file_info *info);
void ops_draft_release(fuse_req_t fuse, struct fuse_file_info *info);
int ops_draft_getattr(struct request *request);
void op_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *info);
void op_write(fuse_req_t fuse, fuse_ino_t inode, const char *bytes, size_t size, off_t offset,
              struct fuse_file_info *info);
void op_flush(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info);
void op_fsync(fuse_req_t fuse, fuse_ino_t inode, int datasync, struct fuse_file_info *info);
void op_setattr(fuse_req_t fuse, fuse_ino_t inode, struct stat *attr, int to_set,
                struct fuse_file_info *info);
void op_copy_file_range(fuse_req_t fuse, fuse_ino_t inode, off_t offset,
                        struct fuse_file_info *info, fuse_ino_t to, off_t to_offset,
                        struct fuse_file_info *to_info, size_t length, int flags);
void op_fallocate(fuse_req_t fuse, fuse_ino_t inode, int mode, off_t offset, off_t length,
                  struct fuse_file_info *info);
