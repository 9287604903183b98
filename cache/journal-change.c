/* How entries change and go. */
#include "cache/journal-private.h"

#define ENDED_MAX 20000 /* entries gone whose end is remembered */

/* ---- updated --------------------------------------------------------------------------------- */

void journal_entry_learn(struct journal_entry *entry, const struct journal_entry *news)
{
    entry->step = news->step;
    entry->kept = news->kept && news->step == JOURNAL_MARKED;
    entry->target_uidvalidity = news->target_uidvalidity;
    entry->target_uidnext = news->target_uidnext;
    entry->target_uid = news->target_uid;
    entry->asked_us = news->asked_us;
    entry->size = news->size;
    entry->internaldate = news->internaldate;
    memcpy(entry->digest, news->digest, sizeof entry->digest);
    if (news->message_id != NULL && *news->message_id != 0)
        entry->message_id = news->message_id;
    if (news->message.uid != 0 && entry->source == 0)
        entry->message = news->message;
    if (entry->kind == JOURNAL_APPEND && news->target != NULL && news->target[0] != '\0')
        entry->target = news->target;
}

/* What is kept is with nobody, so that it is sent on when it is no longer kept. */
static void update_release_kept(struct journal *journal, const GPtrArray *entries)
{
    pthread_mutex_lock(&journal->lock);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *news = entries->pdata[i];
        struct journal_item *item = journal_item_find(journal, news->id);
        if (item != NULL && item->entry->kept)
            item->taken = false;
    }
    pthread_mutex_unlock(&journal->lock);
}

int journal_update(struct journal *journal, const GPtrArray *entries)
{
    struct journal_batch batch;

    pthread_mutex_lock(&journal->change_lock);
    journal_batch_init(&batch, journal, true);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *news = entries->pdata[i];
        const struct journal_item *item = journal_item_find(journal, news->id);
        if (item == NULL)
            continue;
        struct journal_entry entry = *item->entry;
        journal_entry_learn(&entry, news);
        journal_batch_put(&batch, &entry);
    }
    int rc = journal_batch_commit(&batch);
    journal_batch_clear(&batch);
    if (rc == CACHE_OK)
        update_release_kept(journal, entries);
    pthread_mutex_unlock(&journal->change_lock);
    return rc;
}

void journal_give_back(struct journal *journal, const GPtrArray *entries)
{
    pthread_mutex_lock(&journal->change_lock);
    pthread_mutex_lock(&journal->lock);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        struct journal_item *item = journal_item_find(journal, entry->id);
        if (item != NULL)
            item->taken = false;
    }
    pthread_mutex_unlock(&journal->lock);
    pthread_mutex_unlock(&journal->change_lock);
}

/* ---- settled --------------------------------------------------------------------------------- */

struct settling {
    struct journal_batch batch;
    bool done;
    GPtrArray *ended;   /* copies of what goes, with how it ended; owned */
    GPtrArray *dropped; /* those of `ended` that were not asked for; not owned */
};

static void settle_end(struct settling *settling, const struct journal_entry *entry, bool dropped)
{
    struct journal_entry *copy = journal_entry_copy(entry);

    journal_batch_remove(&settling->batch, entry->id);
    g_ptr_array_add(settling->ended, copy);
    if (dropped)
        g_ptr_array_add(settling->dropped, copy);
}

/* The entry that depends on one that ended; it goes on, or goes with it. */
static void settle_dependent(struct settling *settling, const struct journal_entry *ended,
                             bool done, const struct journal_item *item)
{
    struct journal_entry entry = *journal_batch_entry(&settling->batch, item);

    if (entry.source == ended->id) {
        if (!done || ended->target_uid == 0) {
            settle_end(settling, &entry, true);
            return;
        }
        g_autofree char *mailbox =
            journal_name_at(settling->batch.journal, ended->target, ended->id, entry.id);
        entry.source = 0;
        entry.message =
            (struct journal_address){mailbox, ended->target_uidvalidity, ended->target_uid};
        entry.origin = entry.message;
        entry.staged = 0;
        if (entry.after == ended->id)
            entry.after = 0;
        journal_batch_put(&settling->batch, &entry);
    } else if (!done) {
        settle_end(settling, &entry, true);
    } else {
        entry.after = 0;
        journal_batch_put(&settling->batch, &entry);
    }
}

/* Goes through what ended; the array grows meanwhile by what goes with it. */
static void settle_dependents(struct settling *settling)
{
    guint asked = settling->ended->len;

    for (guint i = 0; i < settling->ended->len; i++) {
        const struct journal_entry *ended = settling->ended->pdata[i];
        GPtrArray *list = journal_dependents(settling->batch.journal, ended->id);
        for (guint j = 0; list != NULL && j < list->len; j++) {
            const struct journal_item *item = list->pdata[j];
            if (!journal_batch_removes(&settling->batch, item->entry->id))
                settle_dependent(settling, ended, settling->done && i < asked, item);
        }
    }
}

/* Puts an entry with its names as after a RENAME; returns whether any changed. */
static void settle_rename_entry(struct settling *settling, const struct journal_item *item,
                                const char *from, const char *to, char delimiter)
{
    if (journal_batch_removes(&settling->batch, item->entry->id))
        return;
    struct journal_entry entry = *journal_batch_entry(&settling->batch, item);
    g_autofree char *mailbox = journal_name_replace(entry.message.mailbox, from, to, delimiter);
    g_autofree char *target = journal_name_replace(entry.target, from, to, delimiter);
    g_autofree char *origin = journal_name_replace(entry.origin.mailbox, from, to, delimiter);
    if (mailbox == NULL && target == NULL && origin == NULL)
        return;
    if (mailbox != NULL)
        entry.message.mailbox = mailbox;
    if (target != NULL)
        entry.target = target;
    if (origin != NULL)
        entry.origin.mailbox = origin;
    g_autoptr(journal_entry) copy = journal_entry_copy(&entry);
    journal_batch_put(&settling->batch, copy);
}

/* Done: what was there before bears the new name. */
static void settle_renamed(struct settling *settling, const struct journal_entry *rename)
{
    struct journal *journal = settling->batch.journal;
    const char *from = rename->message.mailbox, *to = rename->target;
    GHashTableIter each;
    struct journal_ended *ended;

    for (GTreeNode *node = g_tree_node_first(journal->items); node != NULL;
         node = g_tree_node_next(node)) {
        const struct journal_item *item = g_tree_node_value(node);
        if (item->entry->id < rename->id)
            settle_rename_entry(settling, item, from, to, rename->delimiter);
    }
    g_hash_table_iter_init(&each, journal->ended);
    while (g_hash_table_iter_next(&each, NULL, (void **)&ended)) {
        char *name = ended->id < rename->id
                         ? journal_name_replace(ended->mailbox, from, to, rename->delimiter)
                         : NULL;
        if (name == NULL)
            continue;
        g_free(ended->mailbox);
        ended->mailbox = name;
    }
    settling->batch.renamed = (struct journal_name_change){
        .mailbox = (char *)(uintptr_t)from,
        .name = (char *)(uintptr_t)to,
        .delimiter = rename->delimiter,
        .rename = true,
    };
}

/* Refused: what came after it by the new name is about the mailbox by its old one, up to another
 * RENAME of it. */
static void settle_not_renamed(struct settling *settling, const struct journal_entry *rename)
{
    struct journal *journal = settling->batch.journal;

    for (GTreeNode *node = journal_item_above(journal, rename->id); node != NULL;
         node = g_tree_node_next(node)) {
        const struct journal_item *item = g_tree_node_value(node);
        bool moves_on = item->entry->kind == JOURNAL_RENAME &&
                        strcmp(item->entry->message.mailbox, rename->target) == 0;
        settle_rename_entry(settling, item, rename->target, rename->message.mailbox,
                            rename->delimiter);
        if (moves_on)
            return;
    }
}

/* The bytes of an APPEND that goes with another are kept. */
static int settle_keep(struct settling *settling)
{
    int rc = CACHE_OK;

    for (guint i = 0; rc == CACHE_OK && i < settling->dropped->len; i++) {
        struct journal_entry *entry = settling->dropped->pdata[i];
        if (entry->kind == JOURNAL_APPEND)
            rc = journal_file_fail(settling->batch.journal, entry->staged, entry->name,
                                   "what it was to follow was not done", &entry->failed);
        if (rc == CACHE_NOT_FOUND) /* no bytes, nothing to keep */
            rc = CACHE_OK;
    }
    return rc;
}

static void ended_note(struct journal *journal, const struct journal_entry *entry, bool done)
{
    struct journal_ended *ended = g_new0(struct journal_ended, 1);

    *ended = (struct journal_ended){entry->id, done, entry->target_uidvalidity, entry->target_uid,
                                    g_strdup(entry->target)};
    g_hash_table_replace(journal->ended, &ended->id, ended);
    g_queue_push_tail(&journal->ended_order, ended);
    if (journal->ended_order.length > ENDED_MAX) {
        const struct journal_ended *oldest = g_queue_pop_head(&journal->ended_order);
        g_hash_table_remove(journal->ended, &oldest->id);
    }
}

static void settle_finish(struct settling *settling, guint asked, GPtrArray *dropped)
{
    struct journal *journal = settling->batch.journal;

    pthread_mutex_lock(&journal->lock);
    for (guint i = 0; i < settling->ended->len; i++)
        ended_note(journal, settling->ended->pdata[i], settling->done && i < asked);
    pthread_mutex_unlock(&journal->lock);
    for (guint i = 0; i < settling->ended->len; i++) {
        const struct journal_entry *entry = settling->ended->pdata[i];
        if (entry->kind == JOURNAL_APPEND)
            journal_staged_remove(journal, entry->staged);
    }
    for (guint i = 0; dropped != NULL && i < settling->dropped->len; i++)
        g_ptr_array_add(dropped, journal_entry_copy(settling->dropped->pdata[i]));
}

/* Under change_lock. */
static int settle(struct journal *journal, const GPtrArray *entries, bool done, GPtrArray *dropped)
{
    struct settling settling = {.done = done};

    atomic_fetch_add(&journal->settled, 1); /* before the index changes */
    journal_batch_init(&settling.batch, journal, true);
    settling.ended = g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    settling.dropped = g_ptr_array_new();
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *news = entries->pdata[i];
        const struct journal_item *item = journal_item_find(journal, news->id);
        if (item == NULL || journal_batch_removes(&settling.batch, news->id))
            continue;
        struct journal_entry entry = *item->entry;
        journal_entry_learn(&entry, news);
        settle_end(&settling, &entry, false);
    }
    guint asked = settling.ended->len;
    settle_dependents(&settling);
    for (guint i = 0; i < settling.ended->len; i++) {
        const struct journal_entry *entry = settling.ended->pdata[i];
        if (entry->kind == JOURNAL_RENAME && done && i < asked)
            settle_renamed(&settling, entry);
        else if (entry->kind == JOURNAL_RENAME)
            settle_not_renamed(&settling, entry);
    }
    int rc = settle_keep(&settling);
    if (rc == CACHE_OK)
        rc = journal_batch_commit(&settling.batch);
    if (rc == CACHE_OK)
        settle_finish(&settling, asked, dropped);
    journal_batch_clear(&settling.batch);
    g_ptr_array_unref(settling.dropped);
    g_ptr_array_unref(settling.ended);
    return rc;
}

int journal_settle(struct journal *journal, const GPtrArray *entries, bool done, GPtrArray *dropped)
{
    pthread_mutex_lock(&journal->change_lock);
    int rc = settle(journal, entries, done, dropped);
    pthread_mutex_unlock(&journal->change_lock);
    return rc;
}

static int cancel(struct journal *journal, uint64_t id, GPtrArray *dropped)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new();
    int rc = CACHE_NOT_FOUND;

    pthread_mutex_lock(&journal->change_lock);
    const struct journal_item *item = journal_item_find(journal, id);
    if (item != NULL && !item->taken && item->entry->step == JOURNAL_QUEUED) {
        g_ptr_array_add(entries, item->entry);
        rc = settle(journal, entries, false, dropped);
    }
    pthread_mutex_unlock(&journal->change_lock);
    return rc;
}

int journal_cancel(struct journal *journal, uint64_t id)
{
    return cancel(journal, id, NULL);
}

int journal_supersede(struct journal *journal, uint64_t id, uint64_t by)
{
    g_autoptr(GPtrArray) dropped =
        g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    int rc = cancel(journal, id, dropped);

    for (guint i = 0; rc == CACHE_OK && i < dropped->len; i++) {
        struct journal_entry *entry = dropped->pdata[i];
        uint64_t again;
        bool removes = entry->kind == JOURNAL_MOVE || entry->kind == JOURNAL_EXPUNGE;
        if (!removes || entry->after != id || entry->source == id)
            continue;
        entry->after = by;
        rc = journal_add(journal, entry, false, &again);
        if (rc == CACHE_NOT_FOUND) /* it has gone with another entry */
            rc = CACHE_OK;
    }
    return rc;
}
