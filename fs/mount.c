#include "fs/mount.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs/change.h"
#include "fs/content.h"
#include "fs/draft.h"
#include "fs/inotify.h"
#include "fs/mime.h"
#include "fs/mountpoint.h"
#include "fs/news.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/parsed.h"
#include "fs/request.h"
#include "fs/session.h"
#include "fs/sizes.h"
#include "fs/trace.h"

#define LOCK_WAIT_MS 5000

static struct mounted mounted;
static const struct mount_config *config;
static _Atomic(struct session *) session; /* NULL: not mounted; the stopper looks at any time */
static int stop_fd = -1;                  /* an eventfd: mount_stop() writes, the stopper reads */
static atomic_bool stopping;
static atomic_bool ready_told;

void mount_stop(void)
{
    uint64_t one = 1;
    stopping = true;
    if (stop_fd >= 0 && write(stop_fd, &one, sizeof(one)) < 0)
        return; /* it is full: told already */
}

/* ---- what engines tell ---- */

static void on_mailbox_changed(uint32_t folder, void *data)
{
    notify_inode(node_inode((struct node){.slot = folder}));
}

static void on_message_arrived(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                               void *data)
{
    news_arrived(data, folder, messages, uid, name);
}

static void on_message_removed(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                               uint64_t object, void *data)
{
    news_removed(data, folder, messages, uid, name, object);
    uint64_t parent = node_inode((struct node){.slot = folder});
    g_autofree char *eml = g_strconcat(name, ".eml", NULL);
    notify_gone(parent, eml, node_inode((struct node){messages, uid, NODE_PART_MESSAGE}));
    notify_gone(parent, name, node_inode((struct node){messages, uid, NODE_PART_DIRECTORY}));
}

static void on_message_changed(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                               const struct engine_flags *was, const struct engine_flags *is,
                               void *data)
{
    news_flags(data, folder, messages, uid, name, is);
    notify_attributes(node_inode((struct node){messages, uid, NODE_PART_MESSAGE}));
}

static void on_content_changed(uint32_t messages, uint32_t uid, void *data)
{
    notify_inode(node_inode((struct node){messages, uid, NODE_PART_MESSAGE}));
    notify_inode(node_inode((struct node){messages, uid, NODE_PART_DIRECTORY}));
    notify_inode(node_inode((struct node){messages, uid, NODE_PART_HEADERS}));
}

static void on_folder_left(uint32_t parent, const char *name, void *data)
{
    const struct mounted_account *mine = data;
    bool top = parent == 0 && !mounted.several;
    struct node node = {.slot = parent != 0 ? parent : mine->root};
    notify_entry(top ? NODE_ROOT : node_inode(node), name);
}

static void on_folders_changed(void *data)
{
    notify_inode(NODE_ROOT);
}

static void on_folder_changed(const struct engine_folder_change *change, void *data)
{
    news_folder(data, change);
}

static void on_change_settled(const struct journal_entry *entry, enum engine_error error,
                              const char *text, void *data)
{
    change_settled(&mounted, data, entry, error, text);
}

static const struct engine_events EVENTS = {
    .mailbox_changed = on_mailbox_changed,
    .message_arrived = on_message_arrived,
    .message_removed = on_message_removed,
    .message_changed = on_message_changed,
    .content_changed = on_content_changed,
    .folders_changed = on_folders_changed,
    .folder_changed = on_folder_changed,
    .folder_left = on_folder_left,
    .change_settled = on_change_settled,
};

/* ---- accounts ---- */

/* The main thread makes engines and ends them; the stopper ends them too, at any time. */
static GMutex engines_lock;
static bool engines_stopped; /* under engines_lock: none may be made any more */

static void accounts_stop(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&engines_lock);
    for (unsigned i = 0; i < mounted.count && !engines_stopped; i++)
        if (mounted.accounts[i].engine != NULL)
            engine_stop(mounted.accounts[i].engine);
    engines_stopped = true;
}

static enum mount_error stopped(GError **error)
{
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INTR, "stopped before it was mounted");
    return MOUNT_FUSE;
}

static bool engine_make(struct mounted_account *mine, const struct engine_config *with)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&engines_lock);
    if (!engines_stopped)
        mine->engine = engine_new(with);
    return mine->engine != NULL;
}

/* Takes `why`. */
static enum mount_error cache_refused(GError *why, const char *option, GError **error)
{
    bool locked = g_error_matches(why, CACHE_ERROR, CACHE_LOCKED);
    g_set_error(error, CACHE_ERROR, why->code, "%s%s%s%s", why->message,
                locked ? "; unmount that first, or give this one a " : "", locked ? option : "",
                locked ? " of its own" : "");
    g_error_free(why);
    return MOUNT_CACHE;
}

/* Read-only, what an earlier mount left to be sent is neither sent nor shown. */
static bool journal_make(struct mounted_account *mine, const char *name, const char *owner,
                         GError **error)
{
    const struct journal_options options = {
        .directory = mine->account->state_dir,
        .account = name,
        .owner = owner,
        .lock_wait_ms = LOCK_WAIT_MS,
    };
    if (mine->account->read_only)
        return true;
    mine->journal = journal_open(&options, error);
    return mine->journal != NULL;
}

static enum mount_error account_open(unsigned index, GError **error)
{
    struct account *account = config->accounts[index];
    struct mounted_account *mine = &mounted.accounts[index];
    g_autofree char *name =
        g_strdup_printf("%s@%s:%u", account->user, account->host, account->port);
    g_autofree char *owner =
        g_strdup_printf("mounted on %s by process %d", config->mountpoint, (int)getpid());
    struct cache_options options = {
        .directory = account->cache_dir,
        .account = name,
        .owner = owner,
        .content_bytes = account->cache_size,
        .lock_wait_ms = LOCK_WAIT_MS,
        .begin_anew = config->begin_anew,
    };
    g_autoptr(GError) why = NULL;
    mine->account = account;
    mine->cache = cache_open(&options, &why);
    if (mine->cache == NULL)
        return cache_refused(g_steal_pointer(&why), "cache_dir=", error);
    if (!journal_make(mine, name, owner, &why))
        return cache_refused(g_steal_pointer(&why), "state_dir=", error);
    if (config->several)
        mine->root = cache_slot_of_mailbox(mine->cache, "");
    struct engine_config engine = {
        .account = account,
        .cache = mine->cache,
        .journal = mine->journal,
        .secret = config->secrets != NULL ? config->secrets[index] : NULL,
        .events = &EVENTS,
        .events_data = mine,
        .transcript = config->transcript,
    };
    return engine_make(mine, &engine) ? MOUNT_OK : stopped(error);
}

/* Whether the account can be shown without its server. */
static bool has_cache(struct cache *cache)
{
    g_autoptr(cache_txn) txn = cache_txn_read(cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_next(txn, 0, 0, &mailbox) == CACHE_OK;
}

static enum mount_error account_start(struct mounted_account *mine, GError **error)
{
    static const enum mount_error ERRORS[] = {
        [ENGINE_START_NETWORK] = MOUNT_NETWORK, [ENGINE_START_SECRET] = MOUNT_SECRET,
        [ENGINE_START_LOGIN] = MOUNT_LOGIN,     [ENGINE_START_TLS] = MOUNT_TLS,
        [ENGINE_START_CACHE] = MOUNT_CACHE,     [ENGINE_START_OTHER] = MOUNT_NETWORK,
    };
    enum engine_start_reason reason;
    g_autoptr(GError) why = NULL;
    if (engine_start(mine->engine, &reason, &why)) {
        if (mine->account->folders != NULL && !has_cache(mine->cache))
            g_warning("%s: no folder of the server matches folders=", mine->account->name);
        return MOUNT_OK;
    }
    bool cached = has_cache(mine->cache);
    bool passes = reason == ENGINE_START_NETWORK || reason == ENGINE_START_SECRET;
    if (passes && (cached || mounted.several)) {
        g_warning("%s: %s; %s", mine->account->name, why->message,
                  cached ? "showing what is cached" : "nothing of it is cached");
        return MOUNT_OK;
    }
    g_propagate_prefixed_error(error, g_steal_pointer(&why), "%s%s",
                               mounted.several ? mine->account->name : "",
                               mounted.several ? ": " : "");
    return ERRORS[reason];
}

static void accounts_free(void)
{
    for (unsigned i = 0; i < mounted.count; i++) {
        if (mounted.accounts[i].engine != NULL)
            engine_free(mounted.accounts[i].engine);
        if (mounted.accounts[i].journal != NULL)
            journal_close(mounted.accounts[i].journal);
        if (mounted.accounts[i].cache != NULL) {
            sizes_flush(mounted.accounts[i].cache);
            cache_close(mounted.accounts[i].cache);
        }
    }
    g_clear_pointer(&mounted.accounts, g_free);
    mounted.count = 0;
}

/* The first failure of starts that run side by side. */
struct starts {
    GMutex lock;
    enum mount_error result;
    GError *error;
};

struct start {
    struct starts *starts;
    struct mounted_account *mine;
    GThread *thread;
};

/* A failure ends the other starts, which may wait long for their servers. */
static gpointer start_run(gpointer data)
{
    struct start *start = data;
    struct starts *starts = start->starts;
    g_autoptr(GError) error = NULL;

    enum mount_error result = account_start(start->mine, &error);
    if (result == MOUNT_OK)
        return NULL;
    g_mutex_lock(&starts->lock);
    if (starts->result == MOUNT_OK) {
        starts->result = result;
        starts->error = g_steal_pointer(&error);
    }
    g_mutex_unlock(&starts->lock);
    accounts_stop();
    return NULL;
}

/* Side by side, so that one that does not answer holds up the others once, not one after another.
 */
static enum mount_error accounts_start(GError **error)
{
    g_autofree struct start *all = g_new0(struct start, mounted.count);
    struct starts starts = {.result = MOUNT_OK};

    g_mutex_init(&starts.lock);
    for (unsigned i = 0; i < mounted.count; i++) {
        all[i] = (struct start){.starts = &starts, .mine = &mounted.accounts[i]};
        all[i].thread = g_thread_new("start", start_run, &all[i]);
    }
    for (unsigned i = 0; i < mounted.count; i++)
        g_thread_join(all[i].thread);
    g_mutex_clear(&starts.lock);
    if (starts.error != NULL)
        g_propagate_error(error, starts.error);
    return starts.result;
}

static enum mount_error accounts_open(GError **error)
{
    mounted.several = config->several;
    mounted.path = config->mountpoint;
    unsigned count = 0;
    while (config->accounts[count] != NULL)
        count++;
    mounted.accounts = g_new0(struct mounted_account, count);
    g_mutex_lock(&engines_lock);
    mounted.count = count;
    g_mutex_unlock(&engines_lock);
    mounted.since_ns = g_get_real_time() * 1000;
    for (unsigned i = 0; i < mounted.count; i++) {
        enum mount_error result = account_open(i, error);
        if (result != MOUNT_OK)
            return result;
    }
    return accounts_start(error);
}

/* ---- stopping ---- */

static void on_wake(int signal)
{
}

/* Waits for mount_stop(). Before the session loops it stops the engines, which ends a start that
 * waits for a server. */
static void *stopper(void *data)
{
    uint64_t count;
    while (read(stop_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    if (!stopping)
        return NULL; /* served to the end */
    news_end();
    inotify_end();
    accounts_stop();
    struct session *served = session;
    if (served != NULL)
        session_exit(served);
    return NULL;
}

/* Signals that end the mount go to the main thread, so that they can interrupt the loop there. */
static GThread *start_stopper(void)
{
    struct sigaction wake = {.sa_handler = on_wake};
    sigaction(SIGUSR1, &wake, NULL);
    stop_fd = eventfd(0, EFD_CLOEXEC);
    return g_thread_new("stopper", stopper, NULL);
}

static void end_stopper(GThread *thread)
{
    uint64_t one = 1;
    if (write(stop_fd, &one, sizeof(one)) < 0)
        g_warning("cannot wake a thread: %s", g_strerror(errno));
    g_thread_join(thread);
    close(stop_fd);
    stop_fd = -1;
}

/* ---- all of it ---- */

static void on_init(void *data)
{
    if (!atomic_exchange(&ready_told, true) && config->ready != NULL)
        config->ready(session_device(session), config->data);
}

static enum mount_error serve(GError **error)
{
    content_on_change(notify_inode);
    ops_init(&mounted, on_init, NULL);
    struct session *mine = session_mount(config->mountpoint, config->fuse_options, error);
    if (mine == NULL)
        return MOUNT_FUSE;
    session = mine; /* before `stopping` is read: the stopper does it the other way round */
    notify_start(session_fuse(mine));
    news_start(&mounted, session_device(mine));
    if (session_device(mine) != 0)
        inotify_start(config->mountpoint, session_device(mine));
    if (!stopping)
        session_loop(mine);
    return MOUNT_OK;
}

enum mount_error mount_run(const struct mount_config *of, GError **error)
{
    config = of;
    mime_init();
    request_init();
    GThread *thread = start_stopper();
    enum mount_error result = accounts_open(error);
    if (result == MOUNT_OK)
        result = stopping ? stopped(error) : serve(error);
    news_end();
    inotify_end();
    accounts_stop();
    request_finish();
    news_stop();
    if (session != NULL && !inotify_rests())
        mountpoint_abort(config->mountpoint, session_device(session));
    notify_stop();
    end_stopper(thread);
    if (session != NULL)
        session_free(atomic_exchange(&session, NULL));
    inotify_stop();
    parsed_clear();
    draft_clear();
    trace_clear();
    accounts_free();
    return result;
}
