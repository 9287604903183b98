#include "fs/news.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/events.h"
#include "fs/inotify.h"
#include "fs/news-private.h"
#include "fs/view.h"

#define HOLD_US G_USEC_PER_SEC
#define FACTS_MAX 10000 /* that wait; the oldest are told then, whatever may still come */

static const struct mounted *mounted;
static dev_t device;
static GThread *thread;
static int wake_fd = -1;
static gint stopping; /* atomic */
static GMutex lock;
static GQueue facts; /* under the lock: struct fact, oldest first */
static GHashTable
    *halves; /* under the lock: whole -> link of `facts`, of what may be half a move */

/* ---- facts ---- */

static guint whole_hash(gconstpointer key)
{
    const struct whole *whole = key;
    return g_int64_hash(&whole->object) ^ g_direct_hash(whole->account);
}

static gboolean whole_equal(gconstpointer a, gconstpointer b)
{
    const struct whole *one = a, *other = b;
    return one->account == other->account && one->object == other->object;
}

static void fact_free(void *data)
{
    struct fact *fact = data;
    for (size_t i = 0; i < G_N_ELEMENTS(fact->fields); i++)
        g_free(fact->fields[i]);
    g_free(fact);
}

static struct fact *fact_new(const struct mounted_account *account, enum news_kind kind,
                             uint64_t object)
{
    struct fact *fact = g_new0(struct fact, 1);
    *fact = (struct fact){
        .whole = {account, object},
        .kind = kind,
        .wall_us = g_get_real_time(),
    };
    return fact;
}

static bool anybody_listens(void)
{
    return events_listened() || inotify_active();
}

/* A fact that is told alone, or with another. */
static void half_forget(GList *link)
{
    const struct fact *fact = link->data;
    if (g_hash_table_lookup(halves, &fact->whole) == link)
        g_hash_table_remove(halves, &fact->whole);
}

/* Makes one of two, which stands where the second does. */
static void fact_join(struct fact *fact, GList *first)
{
    struct fact *other = first->data;
    struct fact *from = fact->kind == NEWS_REMOVED ? fact : other;
    struct fact *to = fact->kind == NEWS_REMOVED ? other : fact;
    struct fact moved = {
        .whole = fact->whole,
        .kind = NEWS_MOVED,
        .own = fact->own || other->own,
        .inode = to->inode,
        .directory = to->directory,
        .old_directory = from->directory,
        .fields = {g_strdup(to->fields[0]), g_strdup(to->fields[1]),
                   g_build_filename(from->fields[0], from->fields[1], NULL)},
        .wall_us = fact->wall_us,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fact->fields); i++)
        g_free(fact->fields[i]);
    *fact = moved;
    half_forget(first);
    g_queue_delete_link(&facts, first);
    fact_free(other);
}

/* Whether they are one message that left one place for the other. One that comes and goes again, or
 * is missed for a moment, has gone nowhere. */
static bool facts_are_a_move(const struct fact *one, const struct fact *other)
{
    return one->kind != other->kind && one->inode != other->inode;
}

static void fact_hold(struct fact *fact)
{
    GList *other = g_hash_table_lookup(halves, &fact->whole);
    if (other != NULL && facts_are_a_move(fact, other->data)) {
        fact_join(fact, other);
        g_queue_push_tail(&facts, fact);
        return;
    }
    if (other != NULL)
        half_forget(other);
    fact->due_us = g_get_monotonic_time() + HOLD_US;
    g_queue_push_tail(&facts, fact);
    g_hash_table_insert(halves, &fact->whole, facts.tail);
}

static void news_wake(void)
{
    uint64_t one = 1;
    if (wake_fd >= 0 && write(wake_fd, &one, sizeof(one)) < 0)
        return; /* it is full: woken already */
}

/* Takes it. `half`: it may be half of a move. */
static void fact_add(struct fact *fact, bool half)
{
    g_mutex_lock(&lock);
    bool taken = thread != NULL && halves != NULL;
    if (taken && half)
        fact_hold(fact);
    else if (taken)
        g_queue_push_tail(&facts, fact);
    g_mutex_unlock(&lock);
    if (taken)
        news_wake();
    else
        fact_free(fact);
}

/* ---- what engines tell ---- */

static char *path_in_mount(const struct mounted_account *account, const char *path)
{
    return mounted->several ? g_build_filename(account->account->name, path, NULL) : g_strdup(path);
}

/* What a message's fact says in any case. False: its folder is not there any more. */
static bool fact_locate(struct fact *fact, struct cache_txn *txn, uint32_t folder,
                        struct node message, const char *name)
{
    const struct mounted_account *account = fact->whole.account;
    g_autofree char *path = cache_mailbox_path(txn, folder);
    if (path == NULL)
        return false;
    bool directory = account->account->view == ACCOUNT_VIEW_PARTS;
    fact->directory = node_inode((struct node){.slot = folder});
    fact->inode = node_inode(message);
    fact->fields[0] = path_in_mount(account, path);
    fact->fields[1] = directory ? g_strdup(name) : g_strconcat(name, ".eml", NULL);
    return true;
}

/* Whether somebody here brings messages to a mailbox. */
static bool comes(const struct mounted_account *account, struct cache_txn *txn, uint32_t folder)
{
    struct cache_mailbox mailbox;
    if (account->journal == NULL || cache_mailbox_get(txn, folder, &mailbox) != CACHE_OK)
        return false;
    g_autoptr(journal_entry) entry = journal_arrival(account->journal, mailbox.wire, 0);
    return entry != NULL;
}

/* Whether somebody here moves or removes it. */
static bool goes(const struct mounted_account *account, struct cache_txn *txn, struct node message)
{
    struct cache_mailbox mailbox;
    if (account->journal == NULL ||
        cache_mailbox_of_messages(txn, message.slot, &mailbox) != CACHE_OK)
        return false;
    const struct journal_address address = {mailbox.wire, mailbox.uidvalidity, message.uid};
    return journal_hides(account->journal, &address);
}

/* It has come, or is a copy of what is elsewhere, or the message is still where it was, too. */
static bool may_have_moved(struct cache_txn *txn, const struct fact *fact)
{
    if (cache_object_messages(txn, fact->whole.object) > 1)
        return true;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    return halves != NULL && g_hash_table_contains(halves, &fact->whole);
}

void news_arrived(const struct mounted_account *account, uint32_t folder, uint32_t messages,
                  uint32_t uid, const char *name)
{
    if (!anybody_listens())
        return;
    g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
    struct cache_message message;
    bool there = cache_message_get(txn, messages, uid, &message) == CACHE_OK;
    /* else it went at once, which is told too, and may be half of its move elsewhere */
    struct fact *fact = fact_new(account, NEWS_ARRIVED, there ? message.object : 0);
    fact->own = comes(account, txn, folder);
    if (fact_locate(fact, txn, folder, (struct node){messages, uid, 0}, name))
        fact_add(fact, there && may_have_moved(txn, fact));
    else
        fact_free(fact);
}

void news_removed(const struct mounted_account *account, uint32_t folder, uint32_t messages,
                  uint32_t uid, const char *name, uint64_t object)
{
    if (!anybody_listens())
        return;
    g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
    struct fact *fact = fact_new(account, NEWS_REMOVED, object);
    const struct node message = {messages, uid, 0};
    fact->own = goes(account, txn, message);
    if (fact_locate(fact, txn, folder, message, name))
        fact_add(fact, true);
    else
        fact_free(fact);
}

void news_flags(const struct mounted_account *account, uint32_t folder, uint32_t messages,
                uint32_t uid, const char *name, const struct engine_flags *is)
{
    const struct node message = {messages, uid, 0};
    if (!anybody_listens())
        return;
    g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
    if (goes(account, txn, message))
        return;
    g_autoptr(GString) words = g_string_new(NULL);
    struct fact *fact = fact_new(account, NEWS_FLAGS, 0);
    view_flag_words(is->flags, is->keywords, words);
    if (!fact_locate(fact, txn, folder, message, name)) {
        fact_free(fact);
        return;
    }
    fact->fields[2] = words->len > 0 ? g_strdup(words->str) : NULL;
    fact_add(fact, false);
}

void news_folder(const struct mounted_account *account, const struct engine_folder_change *change)
{
    static const enum news_kind KINDS[] = {
        [ENGINE_FOLDER_NEW] = NEWS_FOLDER_NEW,
        [ENGINE_FOLDER_GONE] = NEWS_FOLDER_GONE,
        [ENGINE_FOLDER_MOVED] = NEWS_FOLDER_MOVED,
    };
    if (!anybody_listens())
        return;
    struct fact *fact = fact_new(account, KINDS[change->what], 0);
    fact->own = change->own;
    fact->inode = node_inode((struct node){.slot = change->folder});
    fact->fields[0] = path_in_mount(account, change->path);
    fact->fields[1] = change->old != NULL ? path_in_mount(account, change->old) : NULL;
    fact_add(fact, false);
}

/* ---- the thread ---- */

/* The oldest fact if it is to be told now, the caller's; else NULL, and `wait_us` is how long that
 * takes, -1: there is none. */
static struct fact *fact_take(gint64 *wait_us)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    GList *link = facts.head;
    *wait_us = -1;
    if (link == NULL)
        return NULL;
    struct fact *fact = link->data;
    *wait_us = MAX(fact->due_us - g_get_monotonic_time(), 0);
    if (*wait_us > 0 && facts.length <= FACTS_MAX)
        return NULL;
    half_forget(link);
    g_queue_delete_link(&facts, link);
    return fact;
}

/* Tells what is due; returns how long the next takes, in ms, -1: there is none. */
static int tell_due(void)
{
    static const char *const WHAT[] = {
        [NEWS_ARRIVED] = "new",
        [NEWS_REMOVED] = "removed",
        [NEWS_MOVED] = "moved",
        [NEWS_FLAGS] = "flags",
        [NEWS_FOLDER_NEW] = "folder-new",
        [NEWS_FOLDER_GONE] = "folder-removed",
        [NEWS_FOLDER_MOVED] = "folder-moved",
    };
    gint64 wait_us;
    struct fact *fact;
    while ((fact = fact_take(&wait_us)) != NULL) {
        if (events_listened())
            events_say(fact->wall_us, WHAT[fact->kind], fact->fields[0], fact->fields[1],
                       fact->fields[2], NULL);
        if (!fact->own)
            news_watchers(fact);
        fact_free(fact);
    }
    return wait_us < 0 ? -1 : (int)(wait_us / 1000) + 1;
}

static bool still_mounted(void)
{
    g_autofree char *text = NULL;
    g_autofree char *field = g_strdup_printf(" %u:%u ", major(device), minor(device));
    return device == 0 || !g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL) ||
           strstr(text, field) != NULL;
}

static void *run(void *data)
{
    int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    struct pollfd fds[] = {{.fd = wake_fd, .events = POLLIN}, {.fd = mounts, .events = POLLPRI}};
    while (!g_atomic_int_get(&stopping)) {
        uint64_t count;
        int wait = tell_due();
        if (poll(fds, G_N_ELEMENTS(fds), wait) <= 0)
            continue;
        if ((fds[0].revents & POLLIN) != 0 && read(wake_fd, &count, sizeof(count)) < 0)
            continue;
        if (fds[1].revents != 0 && !still_mounted())
            events_end();
    }
    if (mounts >= 0)
        close(mounts);
    return NULL;
}

void news_start(const struct mounted *of, dev_t mount_device)
{
    mounted = of;
    device = mount_device;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    GThread *started = g_thread_new("news", run, NULL);
    g_mutex_lock(&lock);
    halves = g_hash_table_new(whole_hash, whole_equal);
    thread = started;
    g_mutex_unlock(&lock);
}

void news_end(void)
{
    events_end();
}

void news_stop(void)
{
    g_mutex_lock(&lock);
    GThread *started = g_steal_pointer(&thread);
    g_mutex_unlock(&lock);
    if (started == NULL)
        return;
    g_atomic_int_set(&stopping, 1);
    news_wake();
    g_thread_join(started);
    g_mutex_lock(&lock);
    g_clear_pointer(&halves, g_hash_table_unref);
    g_queue_clear_full(&facts, fact_free);
    g_mutex_unlock(&lock);
    close(wake_fd);
    wake_fd = -1;
}
