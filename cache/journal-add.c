/* How entries come: which message is meant, and whether another entry already does it. */
#include "cache/journal-private.h"

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
        if (source != NULL && source->entry->kept)
            return CACHE_NOT_FOUND; /* it never says where its message lies now */
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
static void merge_back(struct journal_batch *batch, const struct journal_entry *move)
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
        journal_batch_put(batch, &entry);
    }
    journal_batch_remove(batch, move->id);
}

/* Removes the FLAGS of a message that goes; false: something else needs it. */
static bool merge_flags(struct journal_batch *batch, uint64_t id, bool after_too)
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
        journal_batch_remove(batch, entry->id);
    }
    return true;
}

static bool merge_expunge(struct journal_batch *batch, const struct journal_entry *prior,
                          uint64_t *staged)
{
    struct journal_entry entry = *prior;

    if (!merge_flags(batch, prior->id, prior->kind != JOURNAL_MOVE))
        return false;
    if (prior->kind != JOURNAL_MOVE) {
        *staged = prior->kind == JOURNAL_APPEND ? prior->staged : 0;
        journal_batch_remove(batch, prior->id);
        return true;
    }
    entry.kind = JOURNAL_EXPUNGE;
    entry.target = entry.name = "";
    journal_batch_put(batch, &entry);
    return true;
}

static bool merge_move(struct journal_batch *batch, const struct journal_entry *prior,
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
    journal_batch_put(batch, &entry);
    return true;
}

/* ---- added ----------------------------------------------------------------------------------- */

static int add_merge(struct journal *journal, const struct journal_item *item,
                     const struct journal_entry *work, bool durable, uint64_t *id, bool *merged)
{
    uint64_t prior = item->entry->id, staged = 0;
    struct journal_batch batch;

    journal_batch_init(&batch, journal, durable);
    *merged = work->kind == JOURNAL_EXPUNGE ? merge_expunge(&batch, item->entry, &staged)
                                            : merge_move(&batch, item->entry, work);
    int rc = *merged ? journal_batch_commit(&batch) : CACHE_OK;
    journal_batch_clear(&batch);
    if (rc == CACHE_OK && *merged && staged != 0)
        journal_staged_remove(journal, staged);
    if (rc == CACHE_OK)
        *id = journal_item_find(journal, prior) != NULL ? prior : 0;
    return rc;
}

static int add_new(struct journal *journal, struct journal_entry *work, bool durable, uint64_t *id)
{
    struct journal_batch batch;

    work->id = journal->next_id;
    if (work->asked_us == 0)
        work->asked_us = g_get_real_time();
    journal_batch_init(&batch, journal, durable);
    journal_batch_put(&batch, work);
    int rc = journal_batch_commit(&batch);
    journal_batch_clear(&batch);
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
