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
static GAsyncQueue *ended; /* the same after notify_stop(): somebody may just be at it */
static GThread *thread;
static struct fuse_session *session;
static struct notice last; /* its address ends the thread */
static struct notice mark; /* its address says that somebody waits */
static struct notice more; /* its address says that there is something in `late` */
static GMutex late_lock;
static GHashTable *late; /* inodes whose attributes are to be told; NULL: none */
static GMutex marks_lock;
static GCond marks_changed;
static guint64 marks_put, marks_met; /* under the lock */

static void notice_free(void *data)
{
    struct notice *notice = data;
    if (notice == &last || notice == &mark || notice == &more)
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

/* Tells at the end of the queue that there is more, when the first comes. */
static void late_put(GAsyncQueue *to, uint64_t inode)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&late_lock);
    if (late == NULL) {
        late = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        g_async_queue_push(to, &more);
    }
    g_hash_table_add(late, g_memdup2(&inode, sizeof(inode)));
}

static GHashTable *late_take(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&late_lock);
    return g_steal_pointer(&late);
}

static void late_tell(void)
{
    g_autoptr(GHashTable) inodes = late_take();
    GHashTableIter iter;
    gpointer inode;

    g_hash_table_iter_init(&iter, inodes);
    while (g_hash_table_iter_next(&iter, &inode, NULL))
        fuse_lowlevel_notify_inval_inode(session, *(const uint64_t *)inode, -1, 0);
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
        if (notice == &more) {
            late_tell();
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

static bool is_full(GAsyncQueue *to)
{
    return g_async_queue_length(to) > QUEUE_MAX;
}

static void put(GAsyncQueue *to, uint64_t inode, const char *name, bool attributes)
{
    struct notice *notice = g_new(struct notice, 1);
    *notice = (struct notice){.inode = inode, .name = g_strdup(name), .attributes = attributes};
    g_async_queue_push(to, notice);
}

void notify_inode(uint64_t inode)
{
    GAsyncQueue *to = g_atomic_pointer_get(&queue);
    if (to != NULL)
        put(to, inode, NULL, false);
}

void notify_attributes(uint64_t inode)
{
    GAsyncQueue *to = g_atomic_pointer_get(&queue);
    if (to != NULL && is_full(to))
        late_put(to, inode);
    else if (to != NULL)
        put(to, inode, NULL, true);
}

void notify_attributes_now(uint64_t inode)
{
    if (g_atomic_pointer_get(&queue) != NULL)
        fuse_lowlevel_notify_inval_inode(session, inode, -1, 0);
}

bool notify_entry(uint64_t parent, const char *name)
{
    GAsyncQueue *to = g_atomic_pointer_get(&queue);
    if (to == NULL || is_full(to))
        return false;
    put(to, parent, name, false);
    return true;
}

void notify_gone(uint64_t parent, const char *name, uint64_t inode)
{
    if (!notify_entry(parent, name))
        notify_attributes(inode);
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
    ended = queue;
    g_atomic_pointer_set(&queue, NULL);
}

void notify_free(void)
{
    g_clear_pointer(&ended, g_async_queue_unref);
    g_clear_pointer(&late, g_hash_table_unref);
}
