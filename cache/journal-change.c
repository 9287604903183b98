/* How entries come, change and go. */
#include "cache/journal-private.h"

#define ENDED_MAX 20000

/* ---- several changes as one ------------------------------------------------------------------ */

struct batch {
    struct journal *journal;
    GHashTable *changed; /* id -> entry as it will be; NULL: it goes */
    struct journal_name_change renamed;
    bool durable;
};

static void batch_init(struct batch *batch, struct journal *journal, bool durable)
{
    *batch = (struct batch){.journal = journal, .durable = durable};
    batch->changed = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                           (GDestroyNotify)journal_entry_free);
}

static void batch_clear(struct batch *batch)
{
    g_hash_table_unref(batch->changed);
}

static void batch_put(struct batch *batch, const struct journal_entry *entry)
{
    g_hash_table_insert(batch->changed, g_memdup2(&entry->id, sizeof entry->id),
                        journal_entry_copy(entry));
}

static void batch_remove(struct batch *batch, uint64_t id)
{
    g_hash_table_insert(batch->changed, g_memdup2(&id, sizeof id), NULL);
}

static bool batch_removes(const struct batch *batch, uint64_t id)
{
    void *entry;
    return g_hash_table_lookup_extended(batch->changed, &id, NULL, &entry) && entry == NULL;
}

/* An entry as it will be, as far as is known. */
static const struct journal_entry *batch_entry(const struct batch *batch,
                                               const struct journal_item *item)
{
    const struct journal_entry *entry = g_hash_table_lookup(batch->changed, &item->entry->id);
    return entry != NULL ? entry : item->entry;
}

static int batch_write(struct batch *batch)
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
static int batch_commit(struct batch *batch)
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

/* ---- added: which message is meant ------------------------------------------------------------
 */

static bool places(const struct journal_entry *entry)
{
    return entry->kind == JOURNAL_MOVE || entry->kind == JOURNAL_COPY ||
           entry->kind == JOURNAL_APPEND;
}

/* The waiting MOVE of a message, 0: none. */
static uint64_t add_find_move(struct journal *journal, const struct journal_address *message)
{
    GPtrArray *items = journal_items_about(journal, message);

    for (guint i = items != NULL ? items->len : 0; i > 0; i--) {
        const struct journal_item *item = items->pdata[i - 1];
        if (item->entry->kind == JOURNAL_MOVE && !item->entry->kept)
            return item->entry->id;
    }
    return 0;
}

static int add_resolve_ended(struct journal *journal, struct journal_entry *work, char **owned)
{
    const struct journal_ended *ended = g_hash_table_lookup(journal->ended, &work->source);

    if (ended == NULL || !ended->done || ended->uid == 0)
        return CACHE_NOT_FOUND;
    *owned = journal_name_final(journal, ended->mailbox, ended->id);
    work->message = (struct journal_address){*owned, ended->uidvalidity, ended->uid};
    work->source = 0;
    return CACHE_OK;
}

/* A message's mailbox by its name of now gets the one it will have. */
static void add_resolve_name(struct journal *journal, struct journal_entry *work, char **owned)
{
    if (journal->renames->len == 0 || work->message.uid == 0)
        return;
    g_autofree char *original = journal_name_original(journal, work->message.mailbox);
    if (strcmp(original, work->message.mailbox) != 0)
        return;
    char *final = journal_name_final(journal, work->message.mailbox, 0);
    g_free(*owned);
    work->message.mailbox = *owned = final;
}

static int add_resolve_source(struct journal *journal, struct journal_entry *work)
{
    if (work->source == 0 && work->message.uid != 0 && work->kind <= JOURNAL_FLAGS)
        work->source = add_find_move(journal, &work->message);
    if (work->source == 0)
        return CACHE_OK;
    for (struct journal_item *onward; (onward = journal_item_onward(journal, work->source)) != NULL;
         work->source = onward->entry->id) {
        if (onward->entry->kind != JOURNAL_MOVE)
            return CACHE_NOT_FOUND;
    }
    work->message = (struct journal_address){0};
    return CACHE_OK;
}

static int add_resolve_after(struct journal *journal, struct journal_entry *work)
{
    if (work->after == 0 || journal_item_find(journal, work->after) != NULL)
        return CACHE_OK;
    const struct journal_ended *ended = g_hash_table_lookup(journal->ended, &work->after);
    work->after = 0;
    return ended != NULL && ended->done ? CACHE_OK : CACHE_NOT_FOUND;
}

/* What the tree shows for it. */
static void add_resolve_origin(struct journal *journal, struct journal_entry *work, char **owned)
{
    if (work->kind == JOURNAL_APPEND) {
        work->origin = (struct journal_address){0};
        return;
    }
    work->staged = 0;
    work->origin = work->message;
    if (work->source == 0)
        return;
    const struct journal_entry *source = journal_item_find(journal, work->source)->entry;
    work->origin = source->origin;
    if (source->origin.uid == 0)
        work->staged = source->staged;
    else
        work->origin.mailbox = *owned =
            journal_name_final(journal, source->origin.mailbox, source->id);
}

static int add_resolve(struct journal *journal, struct journal_entry *work, char **owned)
{
    if (work->kind >= JOURNAL_APPEND)
        work->source = 0;
    if (work->source != 0) {
        const struct journal_item *source = journal_item_find(journal, work->source);
        if (source != NULL && !places(source->entry))
            return CACHE_CORRUPT;
        int rc = source != NULL ? CACHE_OK : add_resolve_ended(journal, work, &owned[0]);
        if (rc != CACHE_OK)
            return rc;
    } else {
        add_resolve_name(journal, work, &owned[0]);
    }
    int rc = add_resolve_source(journal, work);
    if (rc == CACHE_OK)
        rc = add_resolve_after(journal, work);
    if (rc == CACHE_OK)
        add_resolve_origin(journal, work, &owned[1]);
    return rc;
}

/* ---- added: into an entry that waits ----------------------------------------------------------
 */

/* Whether the entry that brings the message can still be another one. Not across a change of
 * mailboxes, which must come between. */
static struct journal_item *merge_find(struct journal *journal, const struct journal_entry *work)
{
    if ((work->kind != JOURNAL_MOVE && work->kind != JOURNAL_EXPUNGE) || work->source == 0 ||
        work->after != 0)
        return NULL;
    struct journal_item *item = journal_item_find(journal, work->source);
    if (item->taken || item->entry->step != JOURNAL_QUEUED)
        return NULL;
    const GPtrArray *hierarchy = journal->hierarchy;
    if (hierarchy->len > 0) {
        const struct journal_item *last = hierarchy->pdata[hierarchy->len - 1];
        if (last->entry->id > item->entry->id)
            return NULL;
    }
    return item;
}

/* Where the message of a waiting MOVE lies; the caller's, NULL if that is not known. */
static char *merge_place(struct journal *journal, const struct journal_entry *move)
{
    if (move->message.uid != 0)
        return journal_name_final(journal, move->message.mailbox, move->id);
    const struct journal_item *source = journal_item_find(journal, move->source);
    return source == NULL ? NULL
                          : journal_name_final(journal, source->entry->target, source->entry->id);
}

/* What depends on a MOVE that is not made is about the message where it lies. */
static void merge_back(struct batch *batch, const struct journal_entry *move)
{
    GPtrArray *list = journal_dependents(batch->journal, move->id);

    for (guint i = 0; list != NULL && i < list->len; i++) {
        const struct journal_item *item = list->pdata[i];
        struct journal_entry entry = *item->entry;
        g_autofree char *mailbox =
            journal_name_final(batch->journal, move->message.mailbox, move->id);
        if (entry.source == move->id) {
            entry.source = move->source;
            entry.message = move->message;
            entry.message.mailbox = mailbox;
        }
        if (entry.after == move->id)
            entry.after = 0;
        batch_put(batch, &entry);
    }
    batch_remove(batch, move->id);
}

/* Removes the FLAGS of a message that goes; false: something else needs it. */
static bool merge_flags(struct batch *batch, uint64_t id, bool after_too)
{
    GPtrArray *list = journal_dependents(batch->journal, id);

    for (guint i = 0; list != NULL && i < list->len; i++) {
        const struct journal_item *item = list->pdata[i];
        const struct journal_entry *entry = item->entry;
        if (entry->source != id && !after_too)
            continue;
        if (entry->source != id || entry->kind != JOURNAL_FLAGS || item->taken ||
            journal_dependents(batch->journal, entry->id) != NULL)
            return false;
        batch_remove(batch, entry->id);
    }
    return true;
}

static bool merge_expunge(struct batch *batch, const struct journal_entry *prior, uint64_t *staged)
{
    struct journal_entry entry = *prior;

    if (!merge_flags(batch, prior->id, prior->kind != JOURNAL_MOVE))
        return false;
    if (prior->kind != JOURNAL_MOVE) {
        *staged = prior->kind == JOURNAL_APPEND ? prior->staged : 0;
        batch_remove(batch, prior->id);
        return true;
    }
    entry.kind = JOURNAL_EXPUNGE;
    entry.target = entry.name = "";
    batch_put(batch, &entry);
    return true;
}

static bool merge_move(struct batch *batch, const struct journal_entry *prior,
                       const struct journal_entry *work)
{
    struct journal_entry entry = *prior;
    g_autofree char *place =
        prior->kind == JOURNAL_MOVE ? merge_place(batch->journal, prior) : NULL;

    if (place != NULL && strcmp(place, work->target) == 0) {
        merge_back(batch, prior);
        return true;
    }
    entry.target = work->target;
    entry.name = work->name;
    batch_put(batch, &entry);
    return true;
}

/* ---- added ----------------------------------------------------------------------------------- */

static int add_merge(struct journal *journal, const struct journal_item *item,
                     const struct journal_entry *work, bool durable, uint64_t *id, bool *merged)
{
    uint64_t prior = item->entry->id, staged = 0;
    struct batch batch;

    batch_init(&batch, journal, durable);
    *merged = work->kind == JOURNAL_EXPUNGE ? merge_expunge(&batch, item->entry, &staged)
                                            : merge_move(&batch, item->entry, work);
    int rc = *merged ? batch_commit(&batch) : CACHE_OK;
    batch_clear(&batch);
    if (rc == CACHE_OK && *merged && staged != 0)
        journal_staged_remove(journal, staged);
    if (rc == CACHE_OK)
        *id = journal_item_find(journal, prior) != NULL ? prior : 0;
    return rc;
}

static int add_new(struct journal *journal, struct journal_entry *work, bool durable, uint64_t *id)
{
    struct batch batch;

    work->id = journal->next_id;
    if (work->asked_us == 0)
        work->asked_us = g_get_real_time();
    batch_init(&batch, journal, durable);
    batch_put(&batch, work);
    int rc = batch_commit(&batch);
    batch_clear(&batch);
    if (rc != CACHE_OK)
        return rc;
    journal->next_id++;
    *id = work->id;
    return CACHE_OK;
}

int journal_add(struct journal *journal, const struct journal_entry *entry, bool durable,
                uint64_t *id)
{
    struct journal_entry work = *entry;
    char *owned[2] = {NULL, NULL};
    bool merged = false;

    if (!journal_entry_valid(entry))
        return CACHE_CORRUPT;
    if (durable && entry->kind == JOURNAL_APPEND) {
        int synced = journal_staged_sync(journal, entry->staged);
        if (synced != CACHE_OK)
            return synced;
    }
    pthread_mutex_lock(&journal->change_lock);
    int rc = add_resolve(journal, &work, owned);
    struct journal_item *item = rc == CACHE_OK ? merge_find(journal, &work) : NULL;
    if (item != NULL)
        rc = add_merge(journal, item, &work, durable, id, &merged);
    if (rc == CACHE_OK && !merged)
        rc = add_new(journal, &work, durable, id);
    pthread_mutex_unlock(&journal->change_lock);
    g_free(owned[0]);
    g_free(owned[1]);
    return rc;
}

/* ---- updated --------------------------------------------------------------------------------- */

static void entry_learn(struct journal_entry *entry, const struct journal_entry *news)
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
    struct batch batch;

    pthread_mutex_lock(&journal->change_lock);
    batch_init(&batch, journal, true);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *news = entries->pdata[i];
        const struct journal_item *item = journal_item_find(journal, news->id);
        if (item == NULL)
            continue;
        struct journal_entry entry = *item->entry;
        entry_learn(&entry, news);
        batch_put(&batch, &entry);
    }
    int rc = batch_commit(&batch);
    batch_clear(&batch);
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
    struct batch batch;
    bool done;
    GPtrArray *ended;   /* copies of what goes, with how it ended; owned */
    GPtrArray *dropped; /* those of `ended` that were not asked for; not owned */
};

static void settle_end(struct settling *settling, const struct journal_entry *entry, bool dropped)
{
    struct journal_entry *copy = journal_entry_copy(entry);

    batch_remove(&settling->batch, entry->id);
    g_ptr_array_add(settling->ended, copy);
    if (dropped)
        g_ptr_array_add(settling->dropped, copy);
}

/* The entry that depends on one that ended; it goes on, or goes with it. */
static void settle_dependent(struct settling *settling, const struct journal_entry *ended,
                             bool done, const struct journal_item *item)
{
    struct journal_entry entry = *batch_entry(&settling->batch, item);

    if (entry.source == ended->id) {
        if (!done || ended->target_uid == 0) {
            settle_end(settling, &entry, true);
            return;
        }
        g_autofree char *mailbox =
            journal_name_final(settling->batch.journal, ended->target, ended->id);
        entry.source = 0;
        entry.message =
            (struct journal_address){mailbox, ended->target_uidvalidity, ended->target_uid};
        entry.origin = entry.message;
        entry.staged = 0;
        if (entry.after == ended->id)
            entry.after = 0;
        batch_put(&settling->batch, &entry);
    } else if (!done) {
        settle_end(settling, &entry, true);
    } else {
        entry.after = 0;
        batch_put(&settling->batch, &entry);
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
            if (!batch_removes(&settling->batch, item->entry->id))
                settle_dependent(settling, ended, settling->done && i < asked, item);
        }
    }
}

/* Puts an entry with its names as after a RENAME; returns whether any changed. */
static void settle_rename_entry(struct settling *settling, const struct journal_item *item,
                                const char *from, const char *to, char delimiter)
{
    if (batch_removes(&settling->batch, item->entry->id))
        return;
    struct journal_entry entry = *batch_entry(&settling->batch, item);
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
    batch_put(&settling->batch, copy);
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
        const struct journal_entry *entry = settling->dropped->pdata[i];
        if (entry->kind == JOURNAL_APPEND)
            rc = journal_file_fail(settling->batch.journal, entry->staged, entry->name,
                                   "what it was to follow was not done");
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

    batch_init(&settling.batch, journal, true);
    settling.ended = g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    settling.dropped = g_ptr_array_new();
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *news = entries->pdata[i];
        const struct journal_item *item = journal_item_find(journal, news->id);
        if (item == NULL || batch_removes(&settling.batch, news->id))
            continue;
        struct journal_entry entry = *item->entry;
        entry_learn(&entry, news);
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
        rc = batch_commit(&settling.batch);
    if (rc == CACHE_OK)
        settle_finish(&settling, asked, dropped);
    batch_clear(&settling.batch);
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

int journal_cancel(struct journal *journal, uint64_t id)
{
    g_autoptr(GPtrArray) entries = g_ptr_array_new();
    int rc = CACHE_NOT_FOUND;

    pthread_mutex_lock(&journal->change_lock);
    const struct journal_item *item = journal_item_find(journal, id);
    if (item != NULL && !item->taken && item->entry->step == JOURNAL_QUEUED) {
        g_ptr_array_add(entries, item->entry);
        rc = settle(journal, entries, false, NULL);
    }
    pthread_mutex_unlock(&journal->change_lock);
    return rc;
}
