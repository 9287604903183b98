#include "fs/engine/unlisted.h"

#include <string.h>

#include "fs/engine/folders.h"
#include "fs/engine/push.h"

#define MISSING_MOST 100

static GHashTable *wires_of(struct engine *engine, const GPtrArray *entries)
{
    GHashTable *wires = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < entries->len; i++) {
        const struct folder_entry *entry = entries->pdata[i];
        g_hash_table_add(wires, engine->journal != NULL
                                    ? journal_renamed(engine->journal, entry->wire)
                                    : g_strdup(entry->wire));
    }
    return wires;
}

/* Whether a CREATE or RENAME here is about to make it: then the server need not have it. */
static bool is_to_be_made(struct engine *engine, const char *wire)
{
    GHashTableIter iter;
    gpointer name;
    g_hash_table_iter_init(&iter, engine->push->hierarchy);
    while (g_hash_table_iter_next(&iter, NULL, &name))
        if (g_str_has_prefix(wire, name))
            return true;
    return false;
}

static void look_at(struct engine *engine, const char *wire, struct unlisted *unlisted)
{
    if (engine->journal != NULL && journal_removes(engine->journal, wire))
        return;
    if (engine->journal != NULL && is_to_be_made(engine, wire))
        g_ptr_array_add(unlisted->present, g_strdup(wire));
    else if (unlisted->missing->len < MISSING_MOST)
        g_ptr_array_add(unlisted->missing, g_strdup(wire));
}

void unlisted_find(struct engine *engine, const GPtrArray *entries, struct unlisted *unlisted)
{
    g_autoptr(GHashTable) wires = wires_of(engine, entries);
    g_auto(cache_walk) walk = {0};
    struct cache_mailbox mailbox;
    unlisted->missing = g_ptr_array_new_with_free_func(g_free);
    unlisted->present = g_ptr_array_new_with_free_func(g_free);
    if (engine->journal != NULL)
        push_scan(engine);
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    while (cache_walk_next(&walk, txn, &mailbox))
        if (!(mailbox.flags & CACHE_MAILBOX_NOSELECT) &&
            !g_hash_table_contains(wires, mailbox.wire))
            look_at(engine, mailbox.wire, unlisted);
}

void unlisted_clear(struct unlisted *unlisted)
{
    g_clear_pointer(&unlisted->missing, g_ptr_array_unref);
    g_clear_pointer(&unlisted->present, g_ptr_array_unref);
    *unlisted = (struct unlisted){0};
}

static bool has(const GPtrArray *wires, const char *wire)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)wires, wire, g_str_equal, NULL);
}

void unlisted_told(struct unlisted *unlisted, const char *wire)
{
    if (unlisted->asked == 0 || !has(unlisted->missing, wire) || has(unlisted->present, wire))
        return;
    g_ptr_array_add(unlisted->present, g_strdup(wire));
    unlisted->told = true;
}

bool unlisted_doubt(struct engine *engine, const struct unlisted *unlisted)
{
    bool news = false;
    for (guint i = 0; i < unlisted->present->len && unlisted->told; i++) {
        const char *wire = unlisted->present->pdata[i];
        news = news ||
               (has(unlisted->missing, wire) && !g_hash_table_contains(engine->unlisted, wire));
    }
    g_hash_table_remove_all(engine->unlisted);
    for (guint i = 0; i < unlisted->present->len; i++)
        g_hash_table_add(engine->unlisted, g_strdup(unlisted->present->pdata[i]));
    if (news)
        g_info("LIST lacks mailboxes that STATUS knows: another session is asked");
    return news;
}

void unlisted_keep(struct engine *engine, const struct unlisted *unlisted, GPtrArray *entries)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    for (guint i = 0; i < unlisted->present->len; i++) {
        struct cache_mailbox mailbox;
        const char *wire = unlisted->present->pdata[i];
        if (cache_mailbox_by_wire(txn, wire, &mailbox) != CACHE_OK)
            continue;
        g_autofree char *name = imap_utf7_decode(wire);
        const struct imap_list list = {
            .wire = wire,
            .name = name != NULL ? name : wire,
            .delimiter = mailbox.delimiter,
            .flags = folder_list_flags(mailbox.flags),
        };
        g_ptr_array_add(entries, folder_entry_new(&list));
    }
}
