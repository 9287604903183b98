/* The list of mailboxes: the server's LIST replies to cache_mailbox records. */
#pragma once

#include <stdbool.h>

#include "fs/account.h"
#include "fs/engine/state.h"
#include "imap/imap.h"

/* One mailbox on its way from LIST to the cache. */
struct folder_entry {
    char *wire, *name; /* the server's bytes; decoded */
    char delimiter;
    unsigned flags; /* enum imap_list_flag */
};
struct folder_entry *folder_entry_new(const struct imap_list *list);
void folder_entry_free(struct folder_entry *entry);
/* Drops from a LIST's answer, in the order it was told, what does not exist: that another client's
 * deletion is told amid the answer counts for what was said before (RFC 5465, 5.4), and a level
 * that is only above others (RFC 5258, 3) is made from these. */
void folder_entries_settle(GPtrArray *entries);
/* enum imap_list_flag as enum cache_mailbox_flag, and back: what both know. */
uint32_t folder_cache_flags(unsigned imap);
unsigned folder_list_flags(uint32_t cached);

/* One directory of the tree that LIST makes. */
struct folder_node {
    char *wire, *label; /* the server's bytes up to this level; this level decoded */
    char *path;         /* decoded levels with "/" between: what patterns see */
    char *name;         /* the directory entry */
    int parent;         /* index, -1: the root */
    char delimiter;
    unsigned flags; /* enum imap_list_flag; NOSELECT for a level that LIST did not name */
    bool shown;
};
void folder_node_free(struct folder_node *node);

/* The tree of `entries` (struct folder_entry), as struct folder_node, parents before children and
 * siblings in the order that their names were given: levels that LIST left out are there, only what
 * the account wants is `shown`, names are unique among siblings. Free with g_ptr_array_unref(). */
GPtrArray *folders_tree(GPtrArray *entries, const struct account *account);

/* ---- folders-follow.c ---- */

/* Renames records whose mailboxes have other names on the server now, before the tree is stored.
 * `ids`: wire -> MAILBOXID, as told with this list. Returns whether there were any. */
bool folders_follow(struct cache_txn *txn, GPtrArray *nodes, GHashTable *ids);
/* Keeps the ids, once the tree is stored. Returns whether that changed anything. */
bool folders_note_ids(struct cache_txn *txn, GHashTable *ids);

/* ---- folders-store.c ---- */

/* Brings the cache in line with LIST's entries (struct folder_entry, changed on the way) and `ids`,
 * wire -> MAILBOXID, and tells what came of it. The journal is asked within the transaction, so
 * that what others put into the cache for a change of theirs is either seen there or comes after.
 * ENGINE_FULL, ENGINE_CACHE: nothing was kept. `changed` becomes true if there was a list before,
 * and it was another. */
enum engine_error folders_store(struct engine *engine, GPtrArray *entries, GHashTable *ids,
                                bool *changed);

/* ---- folders-status.c ---- */

/* The wire names of mailboxes whose STATUS is to be asked in this poll, one by one, but for the one
 * that is `selected`; free with g_ptr_array_unref(). Of very many each gets its turn. */
GPtrArray *folders_to_ask(struct engine *engine, uint32_t selected);

/* ---- folders-apart.c ---- */

/* Tells a session which namespaces LIST "*" left out the last time, before it is asked to LIST. */
void folders_know_apart(struct engine *engine, struct imap_session *session);
/* Keeps which it left out this time. */
void folders_note_apart(struct engine *engine, const struct imap_session *session);
