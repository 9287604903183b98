/* What the tree asks: messages and mailboxes as they will be. */
#include "cache/journal-private.h"

/* A copy with the names that its mailboxes will have. */
static struct journal_entry *item_copy(struct journal *journal, const struct journal_item *item)
{
    struct journal_entry entry = *item->entry;

    if (journal->renames->len == 0)
        return journal_entry_copy(&entry);
    g_autofree char *mailbox = journal_name_final(journal, entry.message.mailbox, entry.id);
    g_autofree char *target = journal_name_final(journal, entry.target, entry.id);
    g_autofree char *origin = journal_name_final(journal, entry.origin.mailbox, entry.id);
    entry.message.mailbox = mailbox;
    entry.target = target;
    entry.origin.mailbox = origin;
    return journal_entry_copy(&entry);
}

bool journal_concerns(struct journal *journal, const char *mailbox)
{
    pthread_mutex_lock(&journal->lock);
    bool concerns = journal_box_find(journal, mailbox) != NULL;
    if (!concerns && journal->renames->len > 0) {
        g_autofree char *final = journal_name_final(journal, mailbox, 0);
        concerns = journal_box_find(journal, final) != NULL;
    }
    pthread_mutex_unlock(&journal->lock);
    return concerns;
}

bool journal_hides(struct journal *journal, const struct journal_address *message)
{
    bool hides = false;

    pthread_mutex_lock(&journal->lock);
    GPtrArray *items = journal_items_about(journal, message);
    for (guint i = 0; items != NULL && !hides && i < items->len; i++) {
        const struct journal_item *item = items->pdata[i];
        hides = item->entry->kind == JOURNAL_MOVE || item->entry->kind == JOURNAL_EXPUNGE;
    }
    pthread_mutex_unlock(&journal->lock);
    return hides;
}

/* ---- flags ----------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    enum cache_flag flag;
} SYSTEM_FLAGS[] = {
    {"\\Seen", CACHE_FLAG_SEEN},       {"\\Answered", CACHE_FLAG_ANSWERED},
    {"\\Flagged", CACHE_FLAG_FLAGGED}, {"\\Deleted", CACHE_FLAG_DELETED},
    {"\\Draft", CACHE_FLAG_DRAFT},
};

static uint32_t system_flag(const char *word)
{
    for (size_t i = 0; i < G_N_ELEMENTS(SYSTEM_FLAGS); i++) {
        if (g_ascii_strcasecmp(SYSTEM_FLAGS[i].word, word) == 0)
            return SYSTEM_FLAGS[i].flag;
    }
    return 0;
}

/* Takes a word out of words between spaces; returns whether it was there. */
static bool keyword_remove(GString *keywords, const char *word)
{
    g_auto(GStrv) words = g_strsplit(keywords->str, " ", -1);
    g_autoptr(GString) left = g_string_new(NULL);
    bool found = false;

    for (size_t i = 0; words[i] != NULL; i++) {
        if (g_ascii_strcasecmp(words[i], word) == 0)
            found = true;
        else if (*words[i] != 0)
            g_string_append_printf(left, "%s%s", left->len > 0 ? " " : "", words[i]);
    }
    if (found)
        g_string_assign(keywords, left->str);
    return found;
}

static bool flag_apply(const char *word, bool add, uint32_t *flags, GString *keywords)
{
    uint32_t flag = system_flag(word), before = *flags;

    if (flag != 0) {
        *flags = add ? *flags | flag : *flags & ~flag;
        return *flags != before;
    }
    if (*word == 0 || *word == '\\')
        return false;
    bool was = keyword_remove(keywords, word);
    if (add)
        g_string_append_printf(keywords, "%s%s", keywords->len > 0 ? " " : "", word);
    return was != add;
}

static bool words_apply(const char *text, bool add, uint32_t *flags, GString *keywords)
{
    bool changed = false;

    if (*text == 0)
        return false;
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    for (size_t i = 0; words[i] != NULL; i++)
        changed |= flag_apply(words[i], add, flags, keywords);
    return changed;
}

static bool entry_apply(const struct journal_entry *entry, uint32_t *flags, GString *keywords)
{
    bool changed = words_apply(entry->add, true, flags, keywords);
    if (entry->kind == JOURNAL_FLAGS)
        changed |= words_apply(entry->remove, false, flags, keywords);
    return changed;
}

/* Applies the FLAGS of a list that come before the entry `before`; of those with `source`, if it is
 * not 0. Returns the MOVE in it that takes the message on. */
static const struct journal_item *list_apply(const GPtrArray *list, uint64_t source,
                                             uint64_t before, uint32_t *flags, GString *keywords,
                                             bool *changed)
{
    const struct journal_item *move = NULL;

    for (guint i = 0; list != NULL && i < list->len; i++) {
        const struct journal_item *item = list->pdata[i];
        if (item->entry->id >= before || (source != 0 && item->entry->source != source))
            continue;
        if (item->entry->kind == JOURNAL_FLAGS)
            *changed |= entry_apply(item->entry, flags, keywords);
        else if (item->entry->kind == JOURNAL_MOVE)
            move = item;
    }
    return move;
}

bool journal_flags(struct journal *journal, const struct journal_address *message, uint32_t *flags,
                   GString *keywords)
{
    bool changed = false;

    pthread_mutex_lock(&journal->lock);
    const struct journal_item *move =
        list_apply(journal_items_about(journal, message), 0, UINT64_MAX, flags, keywords, &changed);
    while (move != NULL) {
        uint64_t id = move->entry->id;
        move =
            list_apply(journal_dependents(journal, id), id, UINT64_MAX, flags, keywords, &changed);
    }
    pthread_mutex_unlock(&journal->lock);
    return changed;
}

bool journal_flags_of(struct journal *journal, uint64_t id, uint32_t *flags, GString *keywords)
{
    g_autoptr(GPtrArray) chain = g_ptr_array_new();
    bool changed = false;

    pthread_mutex_lock(&journal->lock);
    for (struct journal_item *item = journal_item_find(journal, id); item != NULL;
         item = journal_item_find(journal, item->entry->source))
        g_ptr_array_add(chain, item);
    for (guint i = chain->len; i > 0; i--) {
        const struct journal_item *item = chain->pdata[i - 1];
        const struct journal_item *next = i > 1 ? chain->pdata[i - 2] : NULL;
        if (i == chain->len && item->entry->kind != JOURNAL_APPEND)
            list_apply(journal_item_group(journal, item), 0, item->entry->id, flags, keywords,
                       &changed);
        else if (i == chain->len)
            changed |= entry_apply(item->entry, flags, keywords);
        list_apply(journal_dependents(journal, item->entry->id), item->entry->id,
                   next != NULL ? next->entry->id : UINT64_MAX, flags, keywords, &changed);
    }
    pthread_mutex_unlock(&journal->lock);
    return changed;
}

/* ---- arrivals -------------------------------------------------------------------------------- */

struct journal_entry *journal_arrival(struct journal *journal, const char *mailbox, uint64_t after)
{
    struct journal_entry *entry = NULL;

    pthread_mutex_lock(&journal->lock);
    struct journal_box *box = journal_box_find(journal, mailbox);
    GTreeNode *node = box != NULL ? g_tree_upper_bound(box->arrivals, &after) : NULL;
    if (node != NULL)
        entry = item_copy(journal, g_tree_node_value(node));
    pthread_mutex_unlock(&journal->lock);
    return entry;
}

struct journal_entry *journal_arrival_named(struct journal *journal, const char *mailbox,
                                            const char *name)
{
    struct journal_entry *entry = NULL;

    pthread_mutex_lock(&journal->lock);
    struct journal_box *box = journal_box_find(journal, mailbox);
    GPtrArray *list = box != NULL ? g_hash_table_lookup(box->names, name) : NULL;
    if (list != NULL)
        entry = item_copy(journal, list->pdata[list->len - 1]);
    pthread_mutex_unlock(&journal->lock);
    return entry;
}

/* Whether the message that was first there is itself what is placed, and not a copy of it. */
static bool item_is_itself(struct journal *journal, const struct journal_item *item)
{
    while (item != NULL && item->entry->kind == JOURNAL_MOVE && item->entry->source != 0)
        item = journal_item_find(journal, item->entry->source);
    return item == NULL || item->entry->kind != JOURNAL_COPY;
}

static const struct journal_item *list_placing(struct journal *journal, const GPtrArray *list)
{
    const struct journal_item *placing = NULL;
    bool itself = false;

    for (guint i = 0; list != NULL && i < list->len; i++) {
        const struct journal_item *item = list->pdata[i];
        if (item->entry->kind > JOURNAL_COPY && item->entry->kind != JOURNAL_APPEND)
            continue;
        bool moves = item_is_itself(journal, item);
        if (!moves && itself)
            continue;
        placing = item;
        itself = moves;
    }
    return placing;
}

struct journal_entry *journal_placing(struct journal *journal,
                                      const struct journal_address *message, uint64_t staged)
{
    struct journal_entry *entry = NULL;

    pthread_mutex_lock(&journal->lock);
    bool addressed = message != NULL && message->uid != 0;
    GPtrArray *list = addressed ? journal_items_from(journal, message)
                                : g_hash_table_lookup(journal->files, &staged);
    const struct journal_item *item = list_placing(journal, list);
    if (item != NULL)
        entry = item_copy(journal, item);
    pthread_mutex_unlock(&journal->lock);
    return entry;
}

/* ---- mailboxes ------------------------------------------------------------------------------- */

bool journal_creates(struct journal *journal, const char *wire)
{
    pthread_mutex_lock(&journal->lock);
    const struct journal_box *box = journal_box_find(journal, wire);
    bool creates = box != NULL && box->creates > 0;
    pthread_mutex_unlock(&journal->lock);
    return creates;
}

bool journal_removes(struct journal *journal, const char *wire)
{
    pthread_mutex_lock(&journal->lock);
    const struct journal_box *box = journal_box_find(journal, wire);
    bool removes = box != NULL && box->removes > 0;
    pthread_mutex_unlock(&journal->lock);
    return removes;
}

char *journal_renamed(struct journal *journal, const char *wire)
{
    pthread_mutex_lock(&journal->lock);
    char *renamed = journal_name_final(journal, wire, 0);
    pthread_mutex_unlock(&journal->lock);
    return renamed;
}

char *journal_original(struct journal *journal, const char *wire)
{
    pthread_mutex_lock(&journal->lock);
    char *original = journal_name_original(journal, wire);
    pthread_mutex_unlock(&journal->lock);
    return original;
}

uint64_t journal_settled(struct journal *journal)
{
    return atomic_load(&journal->settled);
}

/* ---- all ------------------------------------------------------------------------------------- */

static gboolean count_item(gpointer id, gpointer data, gpointer counts_)
{
    const struct journal_item *item = data;
    struct journal_counts *counts = counts_;

    (void)id;
    if (item->entry->kept) {
        counts->marked++;
    } else if (item->entry->step != JOURNAL_PLACED) {
        uint64_t asked = (uint64_t)item->entry->asked_us;
        if (counts->oldest_us == 0 || asked < counts->oldest_us)
            counts->oldest_us = asked;
        counts->waiting++;
    }
    return FALSE;
}

void journal_counts(struct journal *journal, struct journal_counts *counts)
{
    *counts = (struct journal_counts){0};
    pthread_mutex_lock(&journal->lock);
    g_tree_foreach(journal->items, count_item, counts);
    counts->failed = journal->failed->len;
    pthread_mutex_unlock(&journal->lock);
}

struct journal_entry *journal_next(struct journal *journal, uint64_t after)
{
    struct journal_entry *entry = NULL;

    pthread_mutex_lock(&journal->lock);
    GTreeNode *node = journal_item_above(journal, after);
    if (node != NULL) {
        const struct journal_item *item = g_tree_node_value(node);
        entry = journal_entry_copy(item->entry);
    }
    pthread_mutex_unlock(&journal->lock);
    return entry;
}
