/* Several changes as one: all or nothing. */
#include "cache/journal-private.h"

void journal_batch_init(struct journal_batch *batch, struct journal *journal, bool durable)
{
    *batch = (struct journal_batch){.journal = journal, .durable = durable};
    batch->changed = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                           (GDestroyNotify)journal_entry_free);
}

void journal_batch_clear(struct journal_batch *batch)
{
    g_hash_table_unref(batch->changed);
}

void journal_batch_put(struct journal_batch *batch, const struct journal_entry *entry)
{
    g_hash_table_insert(batch->changed, g_memdup2(&entry->id, sizeof entry->id),
                        journal_entry_copy(entry));
}

void journal_batch_remove(struct journal_batch *batch, uint64_t id)
{
    g_hash_table_insert(batch->changed, g_memdup2(&id, sizeof id), NULL);
}

bool journal_batch_removes(const struct journal_batch *batch, uint64_t id)
{
    void *entry;
    return g_hash_table_lookup_extended(batch->changed, &id, NULL, &entry) && entry == NULL;
}

/* An entry as it will be, as far as is known. */
const struct journal_entry *journal_batch_entry(const struct journal_batch *batch,
                                                const struct journal_item *item)
{
    const struct journal_entry *entry = g_hash_table_lookup(batch->changed, &item->entry->id);
    return entry != NULL ? entry : item->entry;
}

static int batch_write(struct journal_batch *batch)
{
    GHashTableIter each;
    struct journal_entry *entry;
    uint64_t *id;
    int rc = CACHE_OK;

    journal_change_begin(batch->journal);
    g_hash_table_iter_init(&each, batch->changed);
    while (rc == CACHE_OK && g_hash_table_iter_next(&each, (void **)&id, (void **)&entry))
        rc = entry != NULL ? journal_change_put(batch->journal, entry)
                           : journal_change_remove(batch->journal, *id);
    if (rc == CACHE_OK && batch->renamed.rename)
        rc = journal_change_name(batch->journal, &batch->renamed);
    return rc == CACHE_OK ? journal_change_write(batch->journal, batch->durable) : rc;
}

/* All or nothing, first on the disk and then in memory. */
int journal_batch_commit(struct journal_batch *batch)
{
    struct journal *journal = batch->journal;
    GHashTableIter each;
    struct journal_entry *entry;
    uint64_t *id;

    int rc = batch_write(batch);
    if (rc != CACHE_OK)
        return rc;
    pthread_mutex_lock(&journal->lock);
    g_hash_table_iter_init(&each, batch->changed);
    while (g_hash_table_iter_next(&each, (void **)&id, (void **)&entry)) {
        g_hash_table_add(journal->dirty, g_memdup2(id, sizeof *id));
        g_hash_table_iter_steal(&each);
        if (entry != NULL)
            journal_item_put(journal, entry);
        else
            journal_item_remove(journal, *id);
        g_free(id);
    }
    pthread_mutex_unlock(&journal->lock);
    if (batch->renamed.rename) {
        journal_name_note(journal, &batch->renamed);
        journal_flush(journal);
    }
    return CACHE_OK;
}
