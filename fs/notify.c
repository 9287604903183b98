#include "fs/notify.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define QUEUE_MAX 10000
/* How long a first notice waits for others. A burst of changes (rm of a folder's files) would else
 * wake this thread for each, to fight the program for the directory's lock. */
#define GATHER_US (3 * G_TIME_SPAN_MILLISECOND)

struct notice {
    uint64_t inode;
    char *name;      /* NULL: the inode itself */
    bool attributes; /* of the inode only */
};

static GAsyncQueue *queue; /* atomic: engines tell before there is a mount */
static GThread *thread;
static struct fuse_session *session;
static struct notice last; /* its address ends the thread */
static struct notice mark; /* its address says that somebody waits */
static GMutex marks_lock;
static GCond marks_changed;
static guint64 marks_put, marks_met; /* under the lock */

static void notice_free(void *data)
{
    struct notice *notice = data;
    if (notice == &last || notice == &mark)
        return;
    g_free(notice->name);
    g_free(notice);
}

static void mark_met(void)
{
    g_mutex_lock(&marks_lock);
    marks_met++;
    g_cond_broadcast(&marks_changed);
    g_mutex_unlock(&marks_lock);
}

static void *run(void *data)
{
    GAsyncQueue *from = data;
    for (;;) {
        bool idle = g_async_queue_length(from) <= 0;
        struct notice *notice = g_async_queue_pop(from);
        if (notice == &last)
            return NULL;
        if (notice == &mark) {
            mark_met();
            continue;
        }
        if (idle && notice->name != NULL) /* a size that proved wrong does not wait */
            g_usleep(GATHER_US);
        if (notice->name == NULL)
            fuse_lowlevel_notify_inval_inode(session, notice->inode, notice->attributes ? -1 : 0,
                                             0);
        else
            fuse_lowlevel_notify_inval_entry(session, notice->inode, notice->name,
                                             strlen(notice->name));
        notice_free(notice);
    }
}

void notify_start(struct fuse_session *of)
{
    session = of;
    GAsyncQueue *notices = g_async_queue_new_full(notice_free);
    thread = g_thread_new("notify", run, notices);
    g_atomic_pointer_set(&queue, notices);
}

static void put(uint64_t inode, const char *name, bool attributes)
{
    GAsyncQueue *to = g_atomic_pointer_get(&queue);
    bool droppable = name != NULL || attributes;
    if (to == NULL || (droppable && g_async_queue_length(to) > QUEUE_MAX))
        return;
    struct notice *notice = g_new(struct notice, 1);
    *notice = (struct notice){.inode = inode, .name = g_strdup(name), .attributes = attributes};
    g_async_queue_push(to, notice);
}

void notify_inode(uint64_t inode)
{
    put(inode, NULL, false);
}

void notify_attributes(uint64_t inode)
{
    put(inode, NULL, true);
}

void notify_attributes_now(uint64_t inode)
{
    if (g_atomic_pointer_get(&queue) != NULL)
        fuse_lowlevel_notify_inval_inode(session, inode, -1, 0);
}

void notify_entry(uint64_t parent, const char *name)
{
    put(parent, name, false);
}

bool notify_wait(int64_t wait_us)
{
    GAsyncQueue *to = g_atomic_pointer_get(&queue);
    gint64 until = g_get_monotonic_time() + wait_us;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&marks_lock);
    if (to == NULL)
        return false;
    g_async_queue_push(to, &mark);
    guint64 mine = ++marks_put;
    while (marks_met < mine)
        if (!g_cond_wait_until(&marks_changed, &marks_lock, until))
            return marks_met >= mine;
    return true;
}

void notify_stop(void)
{
    if (thread == NULL)
        return;
    g_async_queue_push_front(queue, &last);
    g_thread_join(g_steal_pointer(&thread));
    g_clear_pointer(&queue, g_async_queue_unref);
}
