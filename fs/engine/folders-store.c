/* The cache brought in line with LIST, with what the user has asked for on top. */
#include <string.h>

#include "fs/engine/folders.h"
#include "fs/engine/identity.h"
#include "fs/engine/prefetch.h"
#include "fs/engine/push.h"

/* What LIST does not say. */
#define KEPT_FLAGS                                                                     \
    ((uint32_t)(CACHE_MAILBOX_COMPLETE | CACHE_MAILBOX_READONLY | CACHE_MAILBOX_MADE | \
                CACHE_MAILBOX_NOWHERE))

struct store {
    struct engine *engine;
    struct cache_txn *txn;
    GHashTable *kept;    /* slots that LIST named */
    GHashTable *touched; /* directories whose names came or went */
    GPtrArray *left;     /* struct folder_left */
    GPtrArray
        *changes; /* struct engine_folder_change, in their order; NULL: it is the first list */
    bool changed;
    int rc;
};

/* A name under which a directory is not to be found any more. */
struct folder_left {
    uint32_t parent;
    char name[];
};

static void store_note_left(struct store *store, uint32_t parent, const char *name)
{
    size_t size = strlen(name) + 1;
    struct folder_left *left = g_malloc(sizeof *left + size);
    left->parent = parent;
    memcpy(left->name, name, size);
    g_ptr_array_add(store->left, left);
}

static void store_touch(struct store *store, uint32_t folder)
{
    store->changed = true;
    if (folder != 0)
        g_hash_table_add(store->touched, GUINT_TO_POINTER(folder));
}

static void folder_change_free(void *data)
{
    struct engine_folder_change *change = data;
    g_free((char *)change->path);
    g_free((char *)change->old);
    g_free(change);
}

/* Notes for later what became of a directory. Takes `old`. */
static void store_note(struct store *store, enum engine_folder what, uint32_t folder, char *old,
                       bool own)
{
    char *path = store->changes != NULL ? cache_mailbox_path(store->txn, folder) : NULL;
    if (path == NULL) {
        g_free(old);
        return;
    }
    struct engine_folder_change *change = g_new(struct engine_folder_change, 1);
    *change = (struct engine_folder_change){what, folder, path, old, own};
    g_ptr_array_add(store->changes, change);
}

static void store_note_gone(struct store *store, const struct cache_mailbox *mailbox)
{
    struct journal *journal = store->engine->journal;
    bool own = journal != NULL && journal_removes(journal, mailbox->wire);
    store_note(store, ENGINE_FOLDER_GONE, mailbox->slot, NULL, own);
}

static bool mailbox_same(const struct cache_mailbox *a, const struct cache_mailbox *b)
{
    return a->parent == b->parent && a->flags == b->flags && a->delimiter == b->delimiter &&
           strcmp(a->name, b->name) == 0;
}

/* What is only a name by now has no messages: those of before are told by nobody any more. Returns
 * whether there was a list. */
static bool place_drop_list(struct cache_mailbox *mailbox)
{
    if ((mailbox->flags & CACHE_MAILBOX_NOSELECT) == 0 || mailbox->messages == 0)
        return false;
    mailbox->messages = mailbox->uidvalidity = mailbox->uidnext = mailbox->count = 0;
    mailbox->highestmodseq = 0;
    mailbox->flags &= ~(uint32_t)CACHE_MAILBOX_COMPLETE;
    return true;
}

/* Returns the node's slot, 0: it cannot be kept. */
static uint32_t store_node(struct store *store, const struct folder_node *node, uint32_t parent)
{
    uint32_t slot = cache_slot_of_mailbox(store->engine->cache, node->wire);
    if (slot == 0) {
        store->rc = CACHE_FULL;
        return 0;
    }
    g_hash_table_add(store->kept, GUINT_TO_POINTER(slot));
    struct cache_mailbox old = {0};
    bool known = cache_mailbox_get(store->txn, slot, &old) == CACHE_OK;
    struct cache_mailbox mailbox = old;
    mailbox.slot = slot;
    mailbox.parent = parent;
    mailbox.wire = node->wire;
    mailbox.name = node->name;
    mailbox.delimiter = node->delimiter;
    mailbox.flags = folder_cache_flags(node->flags) | (old.flags & KEPT_FLAGS);
    g_autofree char *rights = g_strdup(old.rights);
    mailbox.rights = rights;
    if (place_drop_list(&mailbox))
        store_touch(store, slot);
    else if (known && mailbox_same(&old, &mailbox))
        return slot;
    if (!known)
        mailbox.mtime_ns = store->engine->clock->wall() * 1000;
    bool renamed = known && (old.parent != parent || strcmp(old.name, node->name) != 0);
    uint32_t old_parent = old.parent;
    if (!known || renamed)
        store_touch(store, parent);
    if (renamed) {
        store_touch(store, old_parent);
        store_note_left(store, old_parent, old.name);
    }
    store->changed = true;
    char *was = renamed ? cache_mailbox_path(store->txn, slot) : NULL;
    int rc = cache_mailbox_put(store->txn, &mailbox);
    store->rc = store->rc != CACHE_OK ? store->rc : rc;
    if (!known || was != NULL)
        store_note(store, known ? ENGINE_FOLDER_MOVED : ENGINE_FOLDER_NEW, slot, was, false);
    return slot;
}

static void store_tree(struct store *store, GPtrArray *nodes)
{
    g_autofree uint32_t *slots = g_new0(uint32_t, nodes->len + 1);
    for (guint i = 0; i < nodes->len && store->rc == CACHE_OK; i++) {
        const struct folder_node *node = nodes->pdata[i];
        if (node->shown)
            slots[i] = store_node(store, node, node->parent >= 0 ? slots[node->parent] : 0);
    }
}

/* Removes what LIST did not name. */
static void store_prune(struct store *store)
{
    g_autoptr(GArray) lost = g_array_new(FALSE, FALSE, sizeof(struct cache_mailbox));
    g_auto(cache_walk) walk = {0};
    struct cache_mailbox each;
    while (cache_walk_next(&walk, store->txn, &each))
        if (!g_hash_table_contains(store->kept, GUINT_TO_POINTER(each.slot)))
            g_array_append_val(lost, each);
    for (guint i = lost->len; i-- > 0;) /* what lies below comes first */
        store_note_gone(store, &g_array_index(lost, struct cache_mailbox, i));
    for (guint i = 0; i < lost->len; i++) {
        const struct cache_mailbox *mailbox = &g_array_index(lost, struct cache_mailbox, i);
        store_touch(store, mailbox->parent);
        gpointer key = GUINT_TO_POINTER(mailbox->slot);
        g_hash_table_remove(store->engine->fresh, key);
        g_hash_table_remove(store->engine->partial, key);
        int rc = cache_mailbox_remove(store->txn, mailbox->slot);
        store->rc = store->rc != CACHE_OK ? store->rc : rc;
    }
}

static void store_bump(struct store *store, uint32_t folder)
{
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(store->txn, folder, &mailbox) != CACHE_OK) {
        g_hash_table_remove(store->touched, GUINT_TO_POINTER(folder));
        return;
    }
    mailbox.mtime_ns = store->engine->clock->wall() * 1000;
    cache_mailbox_put(store->txn, &mailbox);
}

static void store_tell(const struct store *store)
{
    struct engine *engine = store->engine;
    if (store->changed)
        prefetch_folders_changed(engine);
    if (!store->changed || engine->events == NULL)
        return;
    GHashTableIter iter;
    gpointer folder;
    g_hash_table_iter_init(&iter, store->touched);
    while (engine->events->mailbox_changed != NULL && g_hash_table_iter_next(&iter, &folder, NULL))
        engine->events->mailbox_changed(GPOINTER_TO_UINT(folder), engine->events_data);
    bool noted = engine->events->folder_changed != NULL && store->changes != NULL;
    for (guint i = 0; noted && i < store->changes->len; i++)
        engine->events->folder_changed(store->changes->pdata[i], engine->events_data);
    for (guint i = 0; i < store->left->len && engine->events->folder_left != NULL; i++) {
        const struct folder_left *left = store->left->pdata[i];
        engine->events->folder_left(left->parent, left->name, engine->events_data);
    }
    if (engine->events->folders_changed != NULL)
        engine->events->folders_changed(engine->events_data);
}

static gint id_order(gconstpointer a, gconstpointer b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return (one > other) - (one < other);
}

/* ---- what the user has asked for and the server does not have yet -----------------------------
 */

/* A CREATE that LIST does not know yet. */
static void merge_create(struct engine *engine, GPtrArray *entries, const char *wire)
{
    g_autofree char *now = journal_renamed(engine->journal, wire);
    char delimiter = 0;
    for (guint i = 0; i < entries->len; i++) {
        const struct folder_entry *entry = entries->pdata[i];
        delimiter = delimiter != 0 ? delimiter : entry->delimiter;
        if (strcmp(entry->wire, now) == 0)
            return;
    }
    g_autofree char *name = imap_utf7_decode(now);
    const struct imap_list list = {
        .wire = now,
        .name = name != NULL ? name : now,
        .delimiter = delimiter,
        .flags = IMAP_LIST_SUBSCRIBED,
    };
    g_ptr_array_add(entries, folder_entry_new(&list));
}

static void merge_rename(struct engine *engine, struct folder_entry *entry)
{
    char *now = journal_renamed(engine->journal, entry->wire);
    char *name = strcmp(now, entry->wire) != 0 ? imap_utf7_decode(now) : NULL;
    if (strcmp(now, entry->wire) != 0) {
        g_free(entry->name);
        entry->name = name != NULL ? name : g_utf8_make_valid(now, -1);
    }
    g_free(entry->wire);
    entry->wire = now;
}

/* LIST with the journal's changes on top, so that the tree goes on showing what the user did. */
static void folders_merge(struct engine *engine, GPtrArray *entries)
{
    if (engine->journal == NULL)
        return;
    push_scan(engine);
    for (guint i = entries->len; i-- > 0;) {
        struct folder_entry *entry = entries->pdata[i];
        merge_rename(engine, entry);
        if (journal_removes(engine->journal, entry->wire))
            g_ptr_array_remove_index(entries, i);
    }
    uint64_t at = 0;
    struct journal_entry *change;
    g_autoptr(GList) ids = g_list_sort(g_hash_table_get_keys(engine->push->hierarchy), id_order);
    for (GList *id = ids; id != NULL; id = id->next) {
        at = *(const uint64_t *)id->data;
        change = journal_next(engine->journal, at - 1);
        if (change != NULL && change->id == at && change->kind == JOURNAL_CREATE)
            merge_create(engine, entries, change->target);
        journal_entry_free(change);
    }
}

enum engine_error folders_store(struct engine *engine, GPtrArray *entries, GHashTable *ids,
                                bool *changed)
{
    identity_flush(engine);
    g_autoptr(GHashTable) kept = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) touched = g_hash_table_new(NULL, NULL);
    g_autoptr(GPtrArray) left = g_ptr_array_new_with_free_func(g_free);
    struct store store = {
        .engine = engine,
        .txn = cache_txn_write(engine->cache),
        .kept = kept,
        .touched = touched,
        .left = left,
    };
    struct cache_mailbox any;
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(folder_change_free);
    if (cache_mailbox_next(store.txn, 0, 0, &any) == CACHE_OK)
        store.changes = changes;
    folders_merge(engine, entries);
    g_autoptr(GPtrArray) nodes = folders_tree(entries, engine->account);
    store.changed = folders_follow(store.txn, nodes, ids);
    store_tree(&store, nodes);
    if (store.rc == CACHE_OK)
        store_prune(&store);
    bool noted = store.rc == CACHE_OK && folders_note_ids(store.txn, ids);
    g_autoptr(GList) folders = g_hash_table_get_keys(touched);
    for (GList *at = folders; at != NULL && store.rc == CACHE_OK; at = at->next)
        store_bump(&store, GPOINTER_TO_UINT(at->data));
    if (store.rc == CACHE_OK && (store.changed || noted)) {
        store.rc = cache_txn_commit(store.txn);
    } else {
        cache_txn_end(store.txn);
    }
    if (store.rc != CACHE_OK)
        return engine_error_of_cache(store.rc);
    store_tell(&store);
    *changed = store.changed && store.changes != NULL;
    return ENGINE_OK;
}
