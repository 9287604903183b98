/* A FUSE request on its way to its one answer.
 *
 * An operation is a step: a function that looks at the cache and either answers, or says what must
 * be in the cache first. Then the request is parked with the engine, holding no thread; when its
 * wishes are granted the same step runs again, on a small pool, and finds what it needs. A step
 * that must decode much says so (NEED_DECODER) and runs again on a pool of two, so that it holds up
 * nobody else. A wish that fails, the deadline, or a signal to the caller (FUSE_INTERRUPT) answers
 * the request with an error instead.
 *
 * The kernel sends one INTERRUPT a request, for whichever signal came first. So it is looked up
 * what is pending for the caller: a signal that is meant to end it ends the request (EINTR), others
 * (SIGWINCH, Go's SIGURG) are waited through, with a new look every 100 ms.
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/place.h"

/* Returned by a step that waits for events (request->reader): it runs again once there are some. An
 * INTERRUPT ends it at once, whichever signal it was for: so does a pipe's read, programs expect
 * it, and a machine that is to be suspended need not wait for it. */
#define NEED_EVENT (-3)

struct events_reader;
struct request;
/* Answers the request and returns 0; or returns NEED_WAIT with request->need filled, or
 * NEED_DECODER, NEED_EVENT, or an errno. */
typedef int (*request_step)(struct request *request);
struct request {
    fuse_req_t fuse;
    request_step step;
    uint64_t inode;
    const char *name; /* borrowed from libfuse until the request is parked, then copied */
    /* RENAME, whose flags are in `info` */
    const char *new_name; /* as `name` */
    uint64_t new_parent;
    struct fuse_file_info info;
    bool with_info;
    size_t size;
    uint64_t offset;
    unsigned stage;           /* of a write to .mailmount/control, see fs/control.h */
    int gone;                 /* errno for what is not on the server any more, 0: ENOENT */
    pid_t thread_group;       /* FLUSH: of who asks, 0: not known */
    struct fuse_file_info to; /* COPY_FILE_RANGE: the file that is written */
    uint64_t to_offset;
    struct events_reader *reader; /* of .mailmount/events; else NULL */
    struct need need;
};

void request_init(void);
/* Runs the step, on the caller's thread first; `request` may live on its stack. */
void request_start(const struct request *request);
/* Waits until every parked request was answered (the engines must have been stopped), and ends the
 * threads. */
void request_finish(void);
/* Requests parked now. */
unsigned request_parked(void);
