/* FUSE handlers of .mailmount/events (fs/events.h). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "fs/events.h"
#include "fs/ops-private.h"

/* A read of many pages goes on after one that was filled to the last byte, and would wait with what
 * it has: from this size on one byte less is given. */
#define PAGE 4096

static struct events_reader *reader_of(const struct fuse_file_info *info)
{
    return (struct events_reader *)(uintptr_t)info->fh;
}

/* Not through the page cache, which would end where the size does. */
void ops_events_open(fuse_req_t fuse, struct fuse_file_info *info)
{
    struct events_reader *reader = events_open();
    if (reader == NULL) {
        fuse_reply_err(fuse, ENFILE);
        return;
    }
    info->fh = (uintptr_t)reader;
    info->direct_io = 1;
    info->noflush = 1;
    if (fuse_reply_open(fuse, info) != 0)
        events_close(reader);
}

static int step_read_events(struct request *request)
{
    size_t size = request->size >= PAGE ? request->size - 1 : request->size, got;
    g_autofree char *buffer = g_malloc(size);
    int error = events_read(request->reader, request->offset, size, buffer, &got);
    if (error == 0)
        fuse_reply_buf(request->fuse, buffer, got);
    return error == EAGAIN && !(request->info.flags & O_NONBLOCK) ? NEED_EVENT : error;
}

void ops_events_read(fuse_req_t fuse, size_t size, off_t offset, struct fuse_file_info *info)
{
    struct request request = {
        .fuse = fuse,
        .step = step_read_events,
        .inode = NODE_EVENTS,
        .info = *info,
        .size = size,
        .offset = (uint64_t)offset,
        .reader = reader_of(info),
    };
    request_start(&request);
}

void ops_events_release(fuse_req_t fuse, struct fuse_file_info *info)
{
    events_close(reader_of(info));
    fuse_reply_err(fuse, 0);
}

/* With a file the kernel asks for the attributes only because somebody seeks the end. */
void ops_events_getattr(struct fuse_file_info *info)
{
    events_ask_end(reader_of(info));
}

/* ---- poll ---- */

/* Wakes who polls. Of all notices only this one takes no lock in the kernel that a request may
 * hold, so it need not come from the notifier's thread. */
static void handle_tell(void *handle)
{
    fuse_lowlevel_notify_poll(handle);
}

static void handle_drop(void *handle)
{
    fuse_pollhandle_destroy(handle);
}

void ops_events_init(void)
{
    events_on_poll(handle_tell, handle_drop);
}

/* All other files never make anybody wait. */
void op_poll(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *info,
             struct fuse_pollhandle *handle)
{
    unsigned ready = POLLIN | POLLRDNORM;
    if (inode != NODE_EVENTS) {
        ready |= POLLOUT | POLLWRNORM;
        if (handle != NULL)
            fuse_pollhandle_destroy(handle);
    } else if (!events_poll(reader_of(info), handle)) {
        ready = 0;
    }
    fuse_reply_poll(fuse, ready);
}
