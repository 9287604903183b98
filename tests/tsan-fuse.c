/* For builds with ThreadSanitizer only: tells it what the kernel orders. See tsan.c. */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/content.h"
#include "tests/tsan.h"

/* The kernel's promise: READ comes after the answer to OPEN, and RELEASE after the answers to all
 * READs of its handle. */
WRAP(int, fuse_reply_open, fuse_req_t request, const struct fuse_file_info *info)
{
    __tsan_release((void *)(uintptr_t)info->fh);
    return __real_fuse_reply_open(request, info);
}

WRAP(int, content_read, struct content *content, uint64_t offset, size_t length, void *buffer,
     size_t *got, struct need *need)
{
    __tsan_acquire(content);
    int error = __real_content_read(content, offset, length, buffer, got, need);
    __tsan_release(content);
    return error;
}

WRAP(void, content_unref, struct content *content)
{
    __tsan_acquire(content);
    __real_content_unref(content);
}
