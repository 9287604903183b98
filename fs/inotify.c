#include "fs/inotify.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/node.h"
#include "fs/notify.h"

/* Both faces of each message. */
#define WAITING_MAX (2 * INOTIFY_BULK)
/* Of all directories together. */
#define QUEUE_MAX 4096
#define WAIT_US G_USEC_PER_SEC

struct job {
    enum inotify_what what;
    char *path, *name, *to_path, *to_name;
    uint64_t directory, to_directory;
    uint64_t inode;
    bool is_directory;
};

static char *root_path;
static dev_t device;
static GThread *thread;
static gint thread_id; /* atomic: 0: it does not run */
static gint active;    /* atomic */
static GMutex lock;
static GCond changed;       /* of all below, which is under the lock */
static GQueue jobs;         /* struct job */
static GHashTable *waiting; /* path -> how many jobs; the path is a job's */
static bool ending, busy;
static struct job *posted;      /* what is being done; NULL: nothing */
static uint64_t posted_at[2];   /* its directories */
static char probe[32];          /* the name that is asked for to see that requests are known */
static bool probed, recognized; /* it was asked for, and seen to be */

/* ---- jobs ---- */

static void job_free(void *data)
{
    struct job *job = data;
    g_free(job->path);
    g_free(job->name);
    g_free(job->to_path);
    g_free(job->to_name);
    g_free(job);
}

static struct job *job_new(const struct inotify_change *change)
{
    struct job *job = g_new(struct job, 1);
    *job = (struct job){
        .what = change->what,
        .path = g_strdup(change->at.path),
        .name = g_strdup(change->at.name),
        .directory = change->at.directory,
        .to_path = g_strdup(change->to.path),
        .to_name = g_strdup(change->to.name),
        .to_directory = change->to.directory,
        .inode = change->inode,
        .is_directory =
            change->directory || change->what == INOTIFY_MKDIR || change->what == INOTIFY_RMDIR,
    };
    return job;
}

/* Jobs of a directory that waits for very many are dropped, those that wait too. */
static void jobs_drop(const char *path)
{
    for (GList *at = jobs.head, *next; at != NULL; at = next) {
        next = at->next;
        if (strcmp(((struct job *)at->data)->path, path) != 0)
            continue;
        job_free(at->data);
        g_queue_delete_link(&jobs, at);
    }
}

/* With the lock. */
static void job_put(struct job *job)
{
    guint count = GPOINTER_TO_UINT(g_hash_table_lookup(waiting, job->path)) + 1;
    g_hash_table_replace(waiting, g_strdup(job->path), GUINT_TO_POINTER(count));
    if (count == WAITING_MAX + 1)
        jobs_drop(job->path);
    if (count > WAITING_MAX || jobs.length >= QUEUE_MAX) {
        job_free(job);
        return;
    }
    g_queue_push_tail(&jobs, job);
    g_cond_broadcast(&changed);
}

void inotify_tell(const struct inotify_change *change)
{
    if (!inotify_active())
        return;
    struct job *job = job_new(change);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    if (ending || waiting == NULL)
        job_free(job);
    else
        job_put(job);
}

/* With the lock; NULL: the end. When nothing waits any more the counts begin anew. */
static struct job *job_take(void)
{
    while (jobs.length == 0 && !ending) {
        g_hash_table_remove_all(waiting);
        g_cond_wait(&changed, &lock);
    }
    return ending ? NULL : g_queue_pop_head(&jobs);
}

/* ---- doing it ---- */

static void give_up(const char *why)
{
    if (g_atomic_int_compare_and_exchange(&active, 1, 0))
        g_info("watchers of directories are not told of changes: %s", why);
}

static void post(struct job *job, uint64_t at, uint64_t to)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    posted = job;
    posted_at[0] = at;
    posted_at[1] = to;
}

/* Asks for a name that nobody can guess: the handler sees it come from this thread. */
static bool is_recognized(int root)
{
    struct stat st;
    if (!probed) {
        g_snprintf(probe, sizeof(probe), ".%08x%08x", g_random_int(), g_random_int());
        struct job ask = {.what = INOTIFY_PROBE, .name = probe, .path = probe};
        post(&ask, NODE_ROOT, 0);
        probed = true;
        if (fstatat(root, probe, &st, AT_SYMLINK_NOFOLLOW) == 0)
            recognized = false;
        post(NULL, 0, 0);
    }
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    return recognized;
}

/* The root of this mount, -1: the path does not lead to it now. */
static int root_open(void)
{
    struct stat st;
    struct statvfs fs;
    int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *why = NULL;
    if (root < 0 || fstat(root, &st) != 0 || fstatvfs(root, &fs) != 0)
        why = g_strerror(errno);
    else if (st.st_dev != device)
        why = "another mount is at its place";
    else if ((fs.f_flag & ST_RDONLY) != 0)
        why = "it is read-only";
    else if (!is_recognized(root))
        why = "requests of this program cannot be told from others";
    if (why == NULL)
        return root;
    give_up(why);
    if (root >= 0)
        close(root);
    return -1;
}

/* A directory below, and its inode. -1: it is not there, or not the one that was meant. */
static int folder_open(int root, const char *path, uint64_t wanted, uint64_t *inode)
{
    const struct open_how HOW = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    struct stat st;
    int folder = (int)syscall(SYS_openat2, root, path[0] != '\0' ? path : ".", &HOW, sizeof(HOW));
    if (folder >= 0 && fstat(folder, &st) == 0 && (wanted == 0 || st.st_ino == wanted)) {
        *inode = st.st_ino;
        return folder;
    }
    if (folder >= 0)
        close(folder);
    return -1;
}

static int do_create(const struct job *job, int at, int to)
{
    return mknodat(at, job->name, S_IFREG | 0600, 0);
}

static int do_mkdir(const struct job *job, int at, int to)
{
    return mkdirat(at, job->name, 0700);
}

static int do_unlink(const struct job *job, int at, int to)
{
    return unlinkat(at, job->name, 0);
}

static int do_rmdir(const struct job *job, int at, int to)
{
    return unlinkat(at, job->name, AT_REMOVEDIR);
}

static int do_rename(const struct job *job, int at, int to)
{
    return renameat2(at, job->name, to, job->to_name, RENAME_NOREPLACE);
}

static int do_attrib(const struct job *job, int at, int to)
{
    const struct timespec TIMES[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    return utimensat(at, job->name, TIMES, AT_SYMLINK_NOFOLLOW);
}

static int job_try(struct job *job, int at, int to)
{
    static int (*const DO[])(const struct job *job, int at, int to) = {
        [INOTIFY_CREATE] = do_create, [INOTIFY_MKDIR] = do_mkdir,   [INOTIFY_UNLINK] = do_unlink,
        [INOTIFY_RMDIR] = do_rmdir,   [INOTIFY_RENAME] = do_rename, [INOTIFY_ATTRIB] = do_attrib,
    };
    return DO[job->what](job, at, to) == 0 ? 0 : errno;
}

/* Somebody has looked it up already: the kernel is made to forget that, once. */
static int job_again(struct job *job, uint64_t at_inode, uint64_t to_inode, int at, int to)
{
    bool renames = job->what == INOTIFY_RENAME;
    notify_entry(renames ? to_inode : at_inode, renames ? job->to_name : job->name);
    if (!notify_wait(WAIT_US))
        return EEXIST;
    return job_try(job, at, to);
}

/* The kernel marks a directory that is removed as dead for whoever stands in it: it must not be the
 * one that it knows, which comes again where another client makes the folder anew. */
static bool job_forgets(const struct job *job, uint64_t at_inode)
{
    if (job->what != INOTIFY_RMDIR)
        return true;
    notify_entry(at_inode, job->name);
    return notify_wait(WAIT_US);
}

static void job_in(struct job *job, int root, int at, uint64_t at_inode)
{
    uint64_t to_inode = 0;
    int to = -1;
    if (job->what == INOTIFY_RENAME)
        to = folder_open(root, job->to_path, job->to_directory, &to_inode);
    if (job->what == INOTIFY_RENAME && to < 0)
        return;
    post(job, at_inode, to_inode);
    int error = job_forgets(job, at_inode) ? job_try(job, at, to) : EBUSY;
    if (error == EEXIST)
        error = job_again(job, at_inode, to_inode, at, to);
    post(NULL, 0, 0);
    if (error == 0 && job->what == INOTIFY_RENAME && node_of(job->inode).uid != 0)
        notify_entry(to_inode, job->to_name); /* the kernel takes it for what it was */
    if (error != 0)
        g_debug("watchers of %s are not told of %s: %s", job->path, job->name, g_strerror(error));
    if (to >= 0)
        close(to);
}

static void job_do(struct job *job)
{
    uint64_t at_inode;
    int root = root_open();
    if (root < 0)
        return;
    int at = folder_open(root, job->path, job->directory, &at_inode);
    if (at >= 0) {
        job_in(job, root, at, at_inode);
        close(at);
    }
    close(root);
}

static void *run(void *data)
{
    g_atomic_int_set(&thread_id, (gint)gettid());
    g_mutex_lock(&lock);
    struct job *job;
    while ((job = job_take()) != NULL) {
        busy = true;
        g_mutex_unlock(&lock);
        job_do(job);
        job_free(job);
        g_mutex_lock(&lock);
        busy = false;
        g_cond_broadcast(&changed);
    }
    g_mutex_unlock(&lock);
    return NULL;
}

/* ---- start and end ---- */

void inotify_start(const char *mountpoint, dev_t mount_device)
{
    root_path = g_strdup(mountpoint);
    device = mount_device;
    waiting = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    thread = g_thread_new("inotify", run, NULL);
    g_atomic_int_set(&active, 1);
}

bool inotify_active(void)
{
    return g_atomic_int_get(&active) != 0;
}

void inotify_end(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    g_atomic_int_set(&active, 0);
    ending = true;
    g_cond_broadcast(&changed);
}

bool inotify_rests(void)
{
    gint64 until = g_get_monotonic_time() + WAIT_US;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    while (busy)
        if (!g_cond_wait_until(&changed, &lock, until))
            return !busy;
    return true;
}

void inotify_stop(void)
{
    if (thread == NULL)
        return;
    inotify_end();
    g_thread_join(g_steal_pointer(&thread));
    g_atomic_int_set(&thread_id, 0);
    g_queue_clear_full(&jobs, job_free);
    g_clear_pointer(&waiting, g_hash_table_unref);
    g_clear_pointer(&root_path, g_free);
}

/* ---- for the handlers ---- */

bool inotify_is_own(pid_t who)
{
    return who != 0 && who == g_atomic_int_get(&thread_id);
}

enum inotify_what inotify_posted(uint64_t parent, const char *name, bool *absent, uint64_t *inode,
                                 bool *directory)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    if (posted == NULL)
        return INOTIFY_NONE;
    bool at = parent == posted_at[0] && strcmp(name, posted->name) == 0;
    bool to =
        posted->to_name != NULL && parent == posted_at[1] && strcmp(name, posted->to_name) == 0;
    if (!at && !to)
        return INOTIFY_NONE;
    if (posted->what == INOTIFY_PROBE)
        recognized = true;
    *absent = !at || posted->what == INOTIFY_CREATE || posted->what == INOTIFY_MKDIR ||
              posted->what == INOTIFY_PROBE;
    *inode = posted->inode;
    *directory = posted->is_directory;
    return posted->what;
}

bool inotify_posted_rename(uint64_t parent, const char *name, uint64_t to, const char *to_name)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    return posted != NULL && posted->what == INOTIFY_RENAME && parent == posted_at[0] &&
           to == posted_at[1] && strcmp(name, posted->name) == 0 &&
           strcmp(to_name, posted->to_name) == 0;
}
