#include "fs/mount.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs/autoconfig.h"
#include "fs/change.h"
#include "fs/content.h"
#include "fs/draft.h"
#include "fs/events.h"
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
#include "fs/watched.h"

#define LOCK_WAIT_MS 5000
/* So long accounts are waited for that neither signed in nor failed, if another one did. */
#define START_PATIENCE_US (6 * G_USEC_PER_SEC)

static struct mounted mounted;
static const struct mount_config *config;
static _Atomic(struct session *) session; /* NULL: not mounted; the stopper looks at any time */
static int stop_fd = -1;                  /* an eventfd: mount_stop() writes, the stopper reads */
static atomic_bool stopping;
static atomic_bool ready_told;
static enum mount_error account_failed; /* the first one's failure, before it is mounted */

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

static bool on_listened(void *data)
{
    return events_listened();
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
    .listened = on_listened,
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

static bool engines_are_stopped(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&engines_lock);
    return engines_stopped;
}

/* With it the account is one of those mounted. */
static bool engine_make(struct mounted_account *mine, const struct engine_config *with)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&engines_lock);
    if (!engines_stopped)
        mine->engine = engine_new(with);
    if (mine->engine != NULL)
        mounted.count++;
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

/* `mine` is the next of mounted.accounts. */
static enum mount_error account_open(unsigned index, struct mounted_account *mine, GError **error)
{
    struct account *account = config->accounts[index];
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
        autoconfig_keep(mine->account);
        if (mine->account->folders != NULL && !has_cache(mine->cache))
            g_warning("%s: no folder of the server matches folders=", mine->account->name);
        return MOUNT_OK;
    }
    bool cached = has_cache(mine->cache);
    bool told = mine->account->password_command == NULL && mine->account->token_command == NULL;
    if (reason == ENGINE_START_SECRET && told)
        reason = ENGINE_START_LOGIN; /* a file that nobody may read, say */
    bool passes = reason == ENGINE_START_NETWORK ? cached || mounted.several
                                                 : reason == ENGINE_START_SECRET && cached;
    if (passes) {
        g_warning("%s: %s; %s", mine->account->name, why->message,
                  cached ? "showing what is cached" : "nothing of it is cached");
        return MOUNT_OK;
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return ERRORS[reason];
}

/* The starts run side by side, each in a thread of its own that may outlive them all: an account
 * that is slow goes on after the mount is there. */
struct start {
    struct mounted_account *mine;
    GThread *thread;
    /* under `starts.lock` */
    bool done;
    enum mount_error result;
    GError *error;
};

static struct {
    GMutex lock;
    GCond changed;
    bool over; /* nobody waits any more */
    struct start *all;
    unsigned count;
} starts;

static gpointer start_run(gpointer data)
{
    struct start *start = data;
    g_autoptr(GError) error = NULL;

    enum mount_error result = account_start(start->mine, &error);
    g_mutex_lock(&starts.lock);
    if (starts.over && result != MOUNT_OK && !engines_are_stopped())
        g_warning("%s: %s", start->mine->account->name, error->message);
    start->result = result;
    start->error = g_steal_pointer(&error);
    start->done = true;
    g_cond_broadcast(&starts.changed);
    g_mutex_unlock(&starts.lock);
    return NULL;
}

/* Until all are done, or some are and the patience with the others is over. The lock is held. */
static void starts_wait(void)
{
    gint64 until_us = g_get_monotonic_time() + START_PATIENCE_US;

    for (;;) {
        unsigned done = 0;
        for (unsigned i = 0; i < starts.count; i++)
            done += starts.all[i].done;
        if (done == starts.count || (done > 0 && g_get_monotonic_time() >= until_us))
            return;
        if (done > 0)
            g_cond_wait_until(&starts.changed, &starts.lock, until_us);
        else
            g_cond_wait(&starts.changed, &starts.lock);
    }
}

/* The first failure, MOUNT_OK if there is none; each but one that is told as `error` is a warning.
 * Whether any account is of use. The lock is held. */
static bool starts_judge(enum mount_error *first, GError **error)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < starts.count; i++)
        failed += starts.all[i].result != MOUNT_OK;
    for (unsigned i = 0; i < starts.count; i++) {
        struct start *start = &starts.all[i];
        const char *name = start->mine->account->name;
        if (!start->done)
            g_warning("%s: has not signed in yet; it is tried on", name);
        if (start->result == MOUNT_OK)
            continue;
        if (*first == MOUNT_OK)
            *first = start->result;
        if (failed < starts.count)
            g_warning("%s: %s; the others are mounted", name, start->error->message);
        else if (error != NULL && *error == NULL)
            g_set_error(error, start->error->domain, start->error->code, "%s%s%s",
                        mounted.several ? name : "", mounted.several ? ": " : "",
                        start->error->message);
        else
            g_warning("%s: %s", name, start->error->message);
    }
    return failed < starts.count;
}

static enum mount_error accounts_start(GError **error)
{
    starts.all = g_new0(struct start, mounted.count);
    starts.count = mounted.count;
    for (unsigned i = 0; i < mounted.count; i++) {
        starts.all[i].mine = &mounted.accounts[i];
        starts.all[i].thread = g_thread_new("start", start_run, &starts.all[i]);
    }
    g_mutex_lock(&starts.lock);
    starts_wait();
    starts.over = true;
    bool usable = stopping || starts_judge(&account_failed, error);
    g_mutex_unlock(&starts.lock);
    return usable ? MOUNT_OK : account_failed;
}

/* After accounts_stop(). */
static void starts_join(void)
{
    for (unsigned i = 0; i < starts.count; i++) {
        g_thread_join(starts.all[i].thread);
        g_clear_error(&starts.all[i].error);
    }
    g_clear_pointer(&starts.all, g_free);
    starts.count = 0;
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

static void account_close(struct mounted_account *mine)
{
    if (mine->journal != NULL)
        journal_close(mine->journal);
    if (mine->cache != NULL)
        cache_close(mine->cache);
    *mine = (struct mounted_account){0};
}

static enum mount_error accounts_open(GError **error)
{
    unsigned count = 0;
    while (config->accounts[count] != NULL)
        count++;
    mounted.several = config->several;
    mounted.path = config->mountpoint;
    mounted.left_out = config->left_out;
    mounted.accounts = g_new0(struct mounted_account, count);
    mounted.since_ns = g_get_real_time() * 1000;
    for (unsigned i = 0; i < count; i++) {
        struct mounted_account *mine = &mounted.accounts[mounted.count];
        g_autoptr(GError) why = NULL;
        enum mount_error result = account_open(i, mine, &why);
        if (result == MOUNT_OK)
            continue;
        account_close(mine);
        if (stopping || (i + 1 == count && mounted.count == 0)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return result;
        }
        left_out_add(config->left_out, config->accounts[i]->name, why->message, (int)result);
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

/* What else was meant. The first failure of all. */
static enum mount_error left_out_tell(void)
{
    for (guint i = 0; i < config->left_out->len; i++) {
        const struct left_out *out = config->left_out->pdata[i];
        g_warning("%s: %s; the others are mounted", out->name, out->why);
        if (account_failed == MOUNT_OK)
            account_failed = (enum mount_error)out->error;
    }
    return account_failed;
}

static void on_init(void *data)
{
    if (!atomic_exchange(&ready_told, true) && config->ready != NULL)
        config->ready(session_device(session), left_out_tell(), config->data);
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
    if (session_device(mine) != 0)
        watched_start(&mounted, session_device(mine));
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
    watched_stop();
    news_stop();
    if (session != NULL && !inotify_rests())
        mountpoint_abort(config->mountpoint, session_device(session));
    notify_stop();
    end_stopper(thread);
    if (session != NULL)
        session_free(atomic_exchange(&session, NULL));
    inotify_stop(); /* its thread may have told something until now */
    notify_free();
    parsed_clear();
    draft_clear();
    trace_clear();
    starts_join();
    accounts_free();
    return result;
}
