/* Opening and closing, and the thread that carries the tail over. */
#include "cache/directory.h"
#include "cache/journal-private.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define TIMER_DELAY_NS 700000000 /* from a change until it is carried over */
#define NANOSECONDS 1000000000

/* ---- the timer ------------------------------------------------------------------------------- */

static void timer_sleep(struct journal *journal)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TIMER_DELAY_NS;
    until.tv_sec += until.tv_nsec / NANOSECONDS;
    until.tv_nsec %= NANOSECONDS;
    while (!journal->stop &&
           pthread_cond_timedwait(&journal->wake, &journal->change_lock, &until) == 0)
        continue;
}

static void *timer_run(void *data)
{
    struct journal *journal = data;

    pthread_mutex_lock(&journal->change_lock);
    while (!journal->stop) {
        if (journal->tail_bytes == 0) {
            pthread_cond_wait(&journal->wake, &journal->change_lock);
            continue;
        }
        timer_sleep(journal);
        if (!journal->stop)
            journal_flush(journal);
    }
    pthread_mutex_unlock(&journal->change_lock);
    return NULL;
}

static void timer_start(struct journal *journal)
{
    pthread_mutex_lock(&journal->change_lock);
    int rc = pthread_create(&journal->timer, NULL, timer_run, journal);
    journal->timed = rc == 0;
    pthread_mutex_unlock(&journal->change_lock);
    if (rc != 0)
        g_warning("cannot start the journal's thread: %s", g_strerror(rc));
}

static void timer_stop(struct journal *journal)
{
    if (!journal->timed)
        return;
    pthread_mutex_lock(&journal->change_lock);
    journal->stop = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->change_lock);
    pthread_join(journal->timer, NULL);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void journal_init(struct journal *journal)
{
    pthread_condattr_t attributes;

    journal->directory = journal->lock_file = journal->tail = -1;
    journal->staged_directory = journal->failed_directory = -1;
    pthread_mutex_init(&journal->change_lock, NULL);
    pthread_mutex_init(&journal->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&journal->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    journal_index_init(journal);
    journal->name_changes =
        g_ptr_array_new_with_free_func((GDestroyNotify)journal_name_change_free);
    journal->names_changed =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
}

/* What waits for entries that are not there any more waits for nothing. */
static void journal_drop_orphans(struct journal *journal)
{
    g_autoptr(GPtrArray) orphans = g_ptr_array_new();

    for (GTreeNode *node = g_tree_node_first(journal->items); node != NULL;
         node = g_tree_node_next(node)) {
        struct journal_item *item = g_tree_node_value(node);
        const struct journal_entry *entry = item->entry;
        if ((entry->source != 0 && journal_item_find(journal, entry->source) == NULL) ||
            (entry->after != 0 && journal_item_find(journal, entry->after) == NULL))
            g_ptr_array_add(orphans, item->entry);
    }
    for (guint i = 0; i < orphans->len; i++) {
        const struct journal_entry *entry = orphans->pdata[i];
        if (entry->kind == JOURNAL_APPEND)
            journal_fail(journal, entry, "the journal that said what it was to follow is damaged",
                         NULL);
    }
    if (orphans->len == 0)
        return;
    g_warning("%u entries of the journal depend on damaged ones and are dropped", orphans->len);
    journal_settle(journal, orphans, false, NULL);
}

static bool journal_begin(struct journal *journal, int root, const struct journal_options *options,
                          GError **error)
{
    g_autofree char *name = directory_account_name(options->account);
    g_autofree char *path = g_build_filename(options->directory, name, NULL);
    bool damaged = false;

    journal->directory = directory_open_at(root, name, error);
    if (journal->directory < 0)
        return false;
    journal->lock_file =
        directory_lock(journal->directory, options->owner != NULL ? options->owner : "",
                       options->lock_wait_ms, error);
    if (journal->lock_file < 0 || journal_files_open(journal, error) != CACHE_OK ||
        journal_store_open(journal, path, &damaged, error) != CACHE_OK)
        return false;
    journal_files_tidy(journal, damaged);
    journal_drop_orphans(journal);
    return true;
}

struct journal *journal_open(const struct journal_options *options, GError **error)
{
    int root = directory_open(options->directory, error);
    if (root < 0)
        return NULL;
    struct journal *journal = g_new0(struct journal, 1);
    journal_init(journal);
    bool begun = journal_begin(journal, root, options, error);
    close(root);
    if (!begun) {
        journal_close(journal);
        return NULL;
    }
    pthread_mutex_lock(&journal->change_lock);
    journal_flush(journal);
    pthread_mutex_unlock(&journal->change_lock);
    timer_start(journal);
    return journal;
}

int journal_sync(struct journal *journal)
{
    pthread_mutex_lock(&journal->change_lock);
    int rc = journal_flush(journal);
    pthread_mutex_unlock(&journal->change_lock);
    return rc;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    timer_stop(journal);
    if (journal->env.env != NULL)
        journal_sync(journal);
    journal_store_close(journal);
    journal_files_close(journal);
    journal_index_clear(journal);
    g_hash_table_unref(journal->names_changed);
    g_ptr_array_unref(journal->name_changes);
    if (journal->lock_file >= 0)
        close(journal->lock_file);
    if (journal->directory >= 0)
        close(journal->directory);
    pthread_cond_destroy(&journal->wake);
    pthread_mutex_destroy(&journal->lock);
    pthread_mutex_destroy(&journal->change_lock);
    g_free(journal);
}
