/* Writes to .mailmount/control: each takes one line, which is one request.
 *
 * The kernel lets one write at a time into an inode, and one change of its size, which shells ask
 * for before they write; and a request may wait for a server. So that nobody waits for another's
 * request, every lookup gives the file a number of its own: each who opens it has an inode to
 * himself. st_ino, which is told beside it, stays the same.
 */
#include <errno.h>
#include <string.h>

#include "fs/control.h"
#include "fs/ops-private.h"

uint64_t ops_control_inode(void)
{
    static gint last; /* atomic */
    uint32_t number = (uint32_t)g_atomic_int_add(&last, 1) + 1;
    return node_inode((struct node){.uid = MAX(number, 1), .part = NODE_PART_REQUESTS});
}

static int step_control(struct request *request)
{
    request->need.round = 0; /* its stages are bounded: one an account at most */
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
