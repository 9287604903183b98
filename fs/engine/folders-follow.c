/* Mailboxes that other clients renamed, known by MAILBOXID (RFC 8474): their records, and with them
 * the numbers of directory and messages, go on under the new name. The id of a record is a note of
 * the account. */
#include <string.h>

#include "fs/engine/folders.h"

static char *note_key(uint32_t slot)
{
    return g_strdup_printf("mailboxid.%u", slot);
}

/* The ids that are told for one mailbox only: id -> wire, borrowed. */
static GHashTable *ids_turn(GHashTable *ids)
{
    GHashTable *wires = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter each;
    gpointer wire, id;
    g_hash_table_iter_init(&each, ids);
    while (g_hash_table_iter_next(&each, &wire, &id))
        g_hash_table_insert(wires, id, g_hash_table_contains(wires, id) ? (gpointer) "" : wire);
    return wires;
}

/* Mailboxes whose ids are told under other names: id -> slot. */
static GHashTable *records_elsewhere(struct cache_txn *txn, GHashTable *wires)
{
    GHashTable *slots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(cache_walk) walk = {0};
    struct cache_mailbox mailbox;
    while (cache_walk_next(&walk, txn, &mailbox)) {
        g_autofree char *key = note_key(mailbox.slot);
        const char *id;
        if (cache_note_get(txn, key, &id) != CACHE_OK)
            continue;
        const char *wire = g_hash_table_lookup(wires, id);
        if (wire != NULL && wire[0] != '\0' && strcmp(wire, mailbox.wire) != 0)
            g_hash_table_insert(slots, g_strdup(id), GUINT_TO_POINTER(mailbox.slot));
    }
    return slots;
}

static bool is_new(struct cache_txn *txn, const struct folder_node *node)
{
    struct cache_mailbox mailbox;
    return node->shown && (node->flags & IMAP_LIST_NOSELECT) == 0 &&
           cache_mailbox_by_wire(txn, node->wire, &mailbox) != CACHE_OK;
}

/* Parent and directory entry stay for now: whoever stores the node puts them right. */
static bool record_follow(struct cache_txn *txn, uint32_t slot, const char *wire)
{
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, slot, &mailbox) != CACHE_OK || strcmp(mailbox.wire, "INBOX") == 0)
        return false;
    g_autofree char *name = g_strdup(mailbox.name);
    g_message("%s is %s now", mailbox.wire, wire);
    return cache_mailbox_rename(txn, slot, wire, mailbox.parent, name) == CACHE_OK;
}

bool folders_follow(struct cache_txn *txn, GPtrArray *nodes, GHashTable *ids)
{
    g_autoptr(GHashTable) wires = NULL, slots = NULL;
    bool followed = false;
    for (guint i = 0; i < nodes->len; i++) {
        const struct folder_node *node = nodes->pdata[i];
        const char *id = g_hash_table_lookup(ids, node->wire);
        if (id == NULL || !is_new(txn, node))
            continue;
        if (slots == NULL) {
            wires = ids_turn(ids);
            slots = records_elsewhere(txn, wires);
        }
        uint32_t slot = GPOINTER_TO_UINT(g_hash_table_lookup(slots, id));
        followed = (slot != 0 && record_follow(txn, slot, node->wire)) || followed;
    }
    return followed;
}

bool folders_note_ids(struct cache_txn *txn, GHashTable *ids)
{
    bool changed = false;
    GHashTableIter each;
    gpointer wire, id;
    g_hash_table_iter_init(&each, ids);
    while (g_hash_table_iter_next(&each, &wire, &id)) {
        struct cache_mailbox mailbox;
        if (cache_mailbox_by_wire(txn, wire, &mailbox) != CACHE_OK)
            continue;
        g_autofree char *key = note_key(mailbox.slot);
        const char *noted;
        if (cache_note_get(txn, key, &noted) == CACHE_OK && strcmp(noted, id) == 0)
            continue;
        changed = cache_note_put(txn, key, id) == CACHE_OK || changed;
    }
    return changed;
}
