#include "fs/watched.h"

#define FIRST_US (5 * G_USEC_PER_SEC)
#define EVERY_US (60 * G_USEC_PER_SEC)

static const struct mounted *accounts;
static dev_t device;
static GThread *thread;
static GMutex lock;
static GCond changed;
static bool ending; /* under the lock */

/* Whether some server would be asked to tell of the folders in use. */
static bool is_worth_it(void)
{
    for (unsigned i = 0; i < accounts->count; i++) {
        struct engine_status status;
        engine_status_read(accounts->accounts[i].engine, &status);
        if (status.online && status.live != ENGINE_LIVE_NOTIFY)
            return true;
    }
    return false;
}

static void folder_tell(uint64_t inode)
{
    struct node node = node_of(inode);
    g_auto(place) place = {0};
    if (node.slot == 0 || node.uid != 0 || node.part != 0 ||
        place_find(accounts, inode, &place) != 0 || place.kind != PLACE_MAILBOX)
        return;
    engine_watched(place.account->engine, node.slot);
}

static void look(void)
{
    if (!is_worth_it())
        return;
    g_autoptr(GHashTable) found = watched_scan(device);
    GHashTableIter each;
    gpointer inode;
    g_hash_table_iter_init(&each, found);
    while (g_hash_table_iter_next(&each, &inode, NULL))
        folder_tell(*(const uint64_t *)inode);
}

static void *run(void *data)
{
    gint64 until = g_get_monotonic_time() + FIRST_US;
    g_mutex_lock(&lock);
    while (!ending) {
        if (g_cond_wait_until(&changed, &lock, until))
            continue;
        g_mutex_unlock(&lock);
        look();
        until = g_get_monotonic_time() + EVERY_US;
        g_mutex_lock(&lock);
    }
    g_mutex_unlock(&lock);
    return NULL;
}

void watched_start(const struct mounted *mounted, dev_t mount_device)
{
    accounts = mounted;
    device = mount_device;
    thread = g_thread_new("watched", run, NULL);
}

void watched_stop(void)
{
    if (thread == NULL)
        return;
    g_mutex_lock(&lock);
    ending = true;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    g_thread_join(g_steal_pointer(&thread));
}
