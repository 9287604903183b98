/* The FUSE operations: each handler makes a struct request, and its step looks in the tree and
 * answers once. */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/place.h"

extern const struct fuse_lowlevel_ops OPS;

/* Sets what the operations show. `ready` is called when the kernel has sent INIT. */
void ops_init(const struct mounted *mounted, void (*ready)(void *data), void *data);
