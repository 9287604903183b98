/* All entries in memory, and what leads to them: the message, the mailbox, the entry that another
 * one waits for. Mailboxes stand under the names that they will have: a RENAME that is added takes
 * what is there along to its new name. */
#include "cache/journal-private.h"

static int id_compare(gconstpointer a, gconstpointer b, gpointer data)
{
    (void)data;
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

uint64_t journal_key(uint32_t uidvalidity, uint32_t uid)
{
    return (uint64_t)uidvalidity << 32 | uid;
}

/* ---- lists by id ----------------------------------------------------------------------------- */

static void list_add(GPtrArray *list, struct journal_item *item)
{
    guint at = list->len;

    while (at > 0 && ((struct journal_item *)list->pdata[at - 1])->entry->id > item->entry->id)
        at--;
    g_ptr_array_insert(list, (gint)at, item);
}

static GHashTable *lists_new(void)
{
    return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                 (GDestroyNotify)g_ptr_array_unref);
}

static void lists_add(GHashTable *lists, uint64_t key, struct journal_item *item)
{
    GPtrArray *list = g_hash_table_lookup(lists, &key);

    if (list == NULL) {
        list = g_ptr_array_new();
        g_hash_table_insert(lists, g_memdup2(&key, sizeof key), list);
    }
    list_add(list, item);
}

static void lists_remove(GHashTable *lists, uint64_t key, struct journal_item *item)
{
    GPtrArray *list = g_hash_table_lookup(lists, &key);

    if (list != NULL && g_ptr_array_remove(list, item) && list->len == 0)
        g_hash_table_remove(lists, &key);
}

/* ---- names ----------------------------------------------------------------------------------- */

char *journal_name_replace(const char *name, const char *from, const char *to, char delimiter)
{
    size_t length = strlen(from);

    if (strncmp(name, from, length) != 0)
        return NULL;
    if (name[length] == 0 || (delimiter != 0 && name[length] == delimiter))
        return g_strconcat(to, name + length, NULL);
    return NULL;
}

char *journal_name_at(struct journal *journal, const char *name, uint64_t id, uint64_t until)
{
    char *current = g_strdup(name);

    for (guint i = 0; i < journal->renames->len; i++) {
        const struct journal_item *item = journal->renames->pdata[i];
        const struct journal_entry *rename = item->entry;
        if (rename->id <= id || rename->id >= until)
            continue;
        char *renamed = journal_name_replace(current, rename->message.mailbox, rename->target,
                                             rename->delimiter);
        if (renamed == NULL)
            continue;
        g_free(current);
        current = renamed;
    }
    return current;
}

char *journal_name_final(struct journal *journal, const char *name, uint64_t id)
{
    return journal_name_at(journal, name, id, UINT64_MAX);
}

char *journal_name_original(struct journal *journal, const char *name)
{
    char *original = g_strdup(name);

    for (guint i = journal->renames->len; i > 0; i--) {
        const struct journal_item *item = journal->renames->pdata[i - 1];
        const struct journal_entry *rename = item->entry;
        char *before = journal_name_replace(original, rename->target, rename->message.mailbox,
                                            rename->delimiter);
        if (before == NULL)
            continue;
        g_free(original);
        original = before;
    }
    return original;
}

/* ---- boxes ----------------------------------------------------------------------------------- */

static struct journal_box *box_new(const char *name)
{
    struct journal_box *box = g_new0(struct journal_box, 1);

    box->name = g_strdup(name);
    box->messages = lists_new();
    box->origins = lists_new();
    box->arrivals = g_tree_new_full(id_compare, NULL, NULL, NULL);
    box->names =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    return box;
}

static void box_free(struct journal_box *box)
{
    g_hash_table_unref(box->messages);
    g_hash_table_unref(box->origins);
    g_tree_unref(box->arrivals);
    g_hash_table_unref(box->names);
    g_free(box->name);
    g_free(box);
}

static struct journal_box *box_hold(struct journal *journal, const char *name, uint64_t id)
{
    g_autofree char *final = NULL;

    if (*name == 0)
        return NULL;
    if (journal->renames->len > 0)
        name = final = journal_name_final(journal, name, id);
    struct journal_box *box = g_hash_table_lookup(journal->boxes, name);
    if (box == NULL) {
        box = box_new(name);
        g_hash_table_insert(journal->boxes, box->name, box);
    }
    box->holds++;
    return box;
}

static void box_release(struct journal *journal, struct journal_box **box)
{
    if (*box != NULL && --(*box)->holds == 0)
        g_hash_table_remove(journal->boxes, (*box)->name);
    *box = NULL;
}

struct journal_box *journal_box_find(struct journal *journal, const char *name)
{
    return g_hash_table_lookup(journal->boxes, name);
}

/* A message's mailbox may be asked for by its name of now: another mailbox that takes this name
 * later has other messages. */
static GPtrArray *box_items(struct journal *journal, const struct journal_address *address,
                            bool origins)
{
    if (address->uid == 0 || address->mailbox == NULL)
        return NULL;
    uint64_t key = journal_key(address->uidvalidity, address->uid);
    struct journal_box *box = journal_box_find(journal, address->mailbox);
    GPtrArray *items = NULL;
    if (box != NULL)
        items = g_hash_table_lookup(origins ? box->origins : box->messages, &key);
    if (items != NULL || journal->renames->len == 0)
        return items;
    g_autofree char *final = journal_name_final(journal, address->mailbox, 0);
    box = journal_box_find(journal, final);
    return box == NULL ? NULL : g_hash_table_lookup(origins ? box->origins : box->messages, &key);
}

GPtrArray *journal_items_about(struct journal *journal, const struct journal_address *message)
{
    return box_items(journal, message, false);
}

GPtrArray *journal_items_from(struct journal *journal, const struct journal_address *origin)
{
    return box_items(journal, origin, true);
}

/* ---- arrivals -------------------------------------------------------------------------------- */

struct journal_item *journal_item_find(struct journal *journal, uint64_t id)
{
    return g_tree_lookup(journal->items, &id);
}

GTreeNode *journal_item_above(struct journal *journal, uint64_t after)
{
    return g_tree_upper_bound(journal->items, &after);
}

GPtrArray *journal_dependents(struct journal *journal, uint64_t id)
{
    return g_hash_table_lookup(journal->dependents, &id);
}

struct journal_item *journal_item_onward(struct journal *journal, uint64_t id)
{
    GPtrArray *list = journal_dependents(journal, id);

    for (guint i = 0; list != NULL && i < list->len; i++) {
        struct journal_item *item = list->pdata[i];
        if (item->entry->source == id &&
            (item->entry->kind == JOURNAL_MOVE || item->entry->kind == JOURNAL_EXPUNGE))
            return item;
    }
    return NULL;
}

static bool item_arrives(struct journal *journal, const struct journal_item *item)
{
    const struct journal_entry *entry = item->entry;

    return item->target_box != NULL && !entry->kept &&
           (entry->kind == JOURNAL_MOVE || entry->kind == JOURNAL_COPY ||
            entry->kind == JOURNAL_APPEND) &&
           journal_item_onward(journal, entry->id) == NULL;
}

static void arrival_add(struct journal_item *item)
{
    struct journal_box *box = item->target_box;

    g_tree_insert(box->arrivals, &item->entry->id, item);
    item->arrival = true;
    if (*item->entry->name == 0)
        return;
    GPtrArray *list = g_hash_table_lookup(box->names, item->entry->name);
    if (list == NULL) {
        list = g_ptr_array_new();
        g_hash_table_insert(box->names, g_strdup(item->entry->name), list);
    }
    list_add(list, item);
}

static void arrival_remove(struct journal_item *item)
{
    struct journal_box *box = item->target_box;

    g_tree_remove(box->arrivals, &item->entry->id);
    item->arrival = false;
    GPtrArray *list = g_hash_table_lookup(box->names, item->entry->name);
    if (list != NULL && g_ptr_array_remove(list, item) && list->len == 0)
        g_hash_table_remove(box->names, item->entry->name);
}

static void arrival_refresh(struct journal *journal, struct journal_item *item)
{
    bool arrives = item_arrives(journal, item);

    if (arrives && !item->arrival)
        arrival_add(item);
    else if (!arrives && item->arrival)
        arrival_remove(item);
}

/* ---- one item -------------------------------------------------------------------------------- */

/* Where the message of an entry is: its address, or where its source has placed it. */
static bool item_address(struct journal *journal, const struct journal_entry *entry,
                         struct journal_address *address, uint64_t *named)
{
    *address = entry->message;
    *named = entry->id;
    if (entry->source == 0)
        return entry->message.uid != 0;
    const struct journal_item *source = journal_item_find(journal, entry->source);
    if (source == NULL || source->entry->step != JOURNAL_PLACED || source->entry->target_uid == 0)
        return false;
    *address = (struct journal_address){source->entry->target, source->entry->target_uidvalidity,
                                        source->entry->target_uid};
    *named = source->entry->id;
    return true;
}

static void item_place_message(struct journal *journal, struct journal_item *item)
{
    struct journal_address address;
    uint64_t named;

    bool known = item_address(journal, item->entry, &address, &named);
    item->message_key = known ? journal_key(address.uidvalidity, address.uid) : 0;
    item->message_box = box_hold(journal, address.mailbox, named);
    if (known && item->message_box != NULL)
        lists_add(item->message_box->messages, item->message_key, item);
}

static bool is_hierarchy(const struct journal_entry *entry)
{
    return entry->kind >= JOURNAL_CREATE;
}

static void box_count(const struct journal_item *item, int change)
{
    if (item->entry->kind == JOURNAL_CREATE && item->target_box != NULL)
        item->target_box->creates += (unsigned)change;
    if (item->entry->kind == JOURNAL_REMOVE && item->message_box != NULL)
        item->message_box->removes += (unsigned)change;
}

static void item_place(struct journal *journal, struct journal_item *item)
{
    const struct journal_entry *entry = item->entry;

    item_place_message(journal, item);
    item->target_box = box_hold(journal, entry->target, entry->id);
    if (entry->origin.uid != 0) {
        item->origin_key = journal_key(entry->origin.uidvalidity, entry->origin.uid);
        item->origin_box = box_hold(journal, entry->origin.mailbox, entry->id);
    }
    if (item->origin_box != NULL)
        lists_add(item->origin_box->origins, item->origin_key, item);
    box_count(item, 1);
    arrival_refresh(journal, item);
}

static void item_unplace(struct journal *journal, struct journal_item *item)
{
    if (item->arrival)
        arrival_remove(item);
    box_count(item, -1);
    if (item->message_box != NULL)
        lists_remove(item->message_box->messages, item->message_key, item);
    if (item->origin_box != NULL)
        lists_remove(item->origin_box->origins, item->origin_key, item);
    item->message_key = item->origin_key = 0;
    box_release(journal, &item->message_box);
    box_release(journal, &item->target_box);
    box_release(journal, &item->origin_box);
}

static void item_link(struct journal *journal, struct journal_item *item)
{
    const struct journal_entry *entry = item->entry;

    if (entry->source != 0)
        lists_add(journal->dependents, entry->source, item);
    if (entry->after != 0 && entry->after != entry->source)
        lists_add(journal->dependents, entry->after, item);
    if (entry->staged != 0)
        lists_add(journal->files, entry->staged, item);
    if (is_hierarchy(entry))
        list_add(journal->hierarchy, item);
    if (entry->kind == JOURNAL_RENAME)
        list_add(journal->renames, item);
}

static void item_unlink(struct journal *journal, struct journal_item *item)
{
    const struct journal_entry *entry = item->entry;

    if (entry->source != 0)
        lists_remove(journal->dependents, entry->source, item);
    if (entry->after != 0)
        lists_remove(journal->dependents, entry->after, item);
    if (entry->staged != 0)
        lists_remove(journal->files, entry->staged, item);
    if (is_hierarchy(entry))
        g_ptr_array_remove(journal->hierarchy, item);
    if (entry->kind == JOURNAL_RENAME)
        g_ptr_array_remove(journal->renames, item);
}

/* ---- renames --------------------------------------------------------------------------------- */

static gboolean item_unplace_each(gpointer id, gpointer item, gpointer journal)
{
    (void)id;
    item_unplace(journal, item);
    return FALSE;
}

static gboolean item_place_each(gpointer id, gpointer item, gpointer journal)
{
    (void)id;
    item_place(journal, item);
    return FALSE;
}

static void index_rebuild(struct journal *journal)
{
    g_tree_foreach(journal->items, item_unplace_each, journal);
    g_tree_foreach(journal->items, item_place_each, journal);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* What depends on an entry stands elsewhere when that one's step or target changes. */
static void dependents_replace(struct journal *journal, uint64_t id)
{
    GPtrArray *list = journal_dependents(journal, id);

    for (guint i = 0; list != NULL && i < list->len; i++) {
        struct journal_item *item = list->pdata[i];
        if (item->entry->source != id)
            continue;
        item_unplace(journal, item);
        item_place(journal, item);
    }
}

static void source_refresh(struct journal *journal, const struct journal_entry *entry)
{
    struct journal_item *source =
        entry->source != 0 ? journal_item_find(journal, entry->source) : NULL;
    if (source != NULL)
        arrival_refresh(journal, source);
}

static struct journal_item *item_detach(struct journal *journal, uint64_t id)
{
    struct journal_item *item = journal_item_find(journal, id);

    if (item == NULL)
        return NULL;
    item_unplace(journal, item);
    item_unlink(journal, item);
    source_refresh(journal, item->entry);
    g_tree_steal(journal->items, &id);
    return item;
}

static void item_attach(struct journal *journal, struct journal_item *item)
{
    g_tree_insert(journal->items, &item->entry->id, item);
    item_link(journal, item);
    item_place(journal, item);
    source_refresh(journal, item->entry);
    dependents_replace(journal, item->entry->id);
}

void journal_item_put(struct journal *journal, struct journal_entry *entry)
{
    struct journal_item *item = item_detach(journal, entry->id);
    bool rename = entry->kind == JOURNAL_RENAME;

    if (item == NULL)
        item = g_new0(struct journal_item, 1);
    else
        rename = rename || item->entry->kind == JOURNAL_RENAME;
    journal_entry_free(item->entry);
    item->entry = entry;
    item_attach(journal, item);
    if (rename)
        index_rebuild(journal);
}

void journal_item_remove(struct journal *journal, uint64_t id)
{
    struct journal_item *item = item_detach(journal, id);

    if (item == NULL)
        return;
    bool rename = item->entry->kind == JOURNAL_RENAME;
    journal_entry_free(item->entry);
    g_free(item);
    dependents_replace(journal, id);
    if (rename)
        index_rebuild(journal);
}

GPtrArray *journal_item_group(struct journal *journal, const struct journal_item *item)
{
    if (item->message_box != NULL && item->message_key != 0)
        return g_hash_table_lookup(item->message_box->messages, &item->message_key);
    return item->entry->source != 0 ? journal_dependents(journal, item->entry->source) : NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void item_free(void *data)
{
    struct journal_item *item = data;

    journal_entry_free(item->entry);
    g_free(item);
}

static void ended_free(void *data)
{
    struct journal_ended *ended = data;

    g_free(ended->mailbox);
    g_free(ended);
}

void journal_index_init(struct journal *journal)
{
    journal->items = g_tree_new_full(id_compare, NULL, NULL, item_free);
    journal->renames = g_ptr_array_new();
    journal->hierarchy = g_ptr_array_new();
    journal->boxes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)box_free);
    journal->dependents = lists_new();
    journal->files = lists_new();
    journal->ended = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, ended_free);
    g_queue_init(&journal->ended_order);
}

void journal_index_clear(struct journal *journal)
{
    g_ptr_array_unref(journal->renames);
    g_ptr_array_unref(journal->hierarchy);
    g_hash_table_unref(journal->dependents);
    g_hash_table_unref(journal->files);
    g_hash_table_unref(journal->boxes);
    g_tree_unref(journal->items);
    g_queue_clear(&journal->ended_order);
    g_hash_table_unref(journal->ended);
}
