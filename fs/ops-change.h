/* The FUSE operations that change names: see fs/change.h. */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

void op_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags);
void op_link(fuse_req_t fuse, fuse_ino_t inode, fuse_ino_t new_parent, const char *new_name);
void op_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode);
/* A regular file is an empty local file. */
void op_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void op_symlink(fuse_req_t fuse, const char *link, fuse_ino_t parent, const char *name);
/* Waits until what the account's journal holds now is settled. */
void op_fsyncdir(fuse_req_t fuse, fuse_ino_t inode, int data_only, struct fuse_file_info *info);
void op_statfs(fuse_req_t fuse, fuse_ino_t inode);
