/* Writes to .mailmount/control: each takes one line, which is one request. */
#include <errno.h>
#include <string.h>

#include "fs/control.h"
#include "fs/ops-private.h"

static int step_control(struct request *request)
{
    int error = control_request(ops_mounted(), request->name, &request->stage, &request->need);
    if (error == 0)
        fuse_reply_write(request->fuse, request->size);
    return error;
}

void ops_control_write(fuse_req_t fuse, const char *bytes, size_t size)
{
    const char *end = memchr(bytes, '\n', size);
    size_t length = end != NULL ? (size_t)(end - bytes) : size;
    if (length > CONTROL_LINE_MAX || memchr(bytes, '\0', length) != NULL) {
        fuse_reply_err(fuse, EINVAL);
        return;
    }
    g_autofree char *line = g_strndup(bytes, length);
    /* what follows the line is the caller's next write */
    struct request request = {
        .fuse = fuse,
        .step = step_control,
        .inode = NODE_REQUESTS,
        .name = line,
        .size = end != NULL ? length + 1 : length,
    };
    request_start(&request);
}
