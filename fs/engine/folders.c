#include "fs/engine/folders.h"

#include <string.h>

#include "fs/name.h"

#define LEVELS_MAX 100

/* ---- entries --------------------------------------------------------------------------------- */

/* INBOX is the same in any case (RFC 9051, 5.1); everything else is exactly what the server says.
 * Delimiters at the end, as some servers send for mere places, are no level. */
struct folder_entry *folder_entry_new(const struct imap_list *list)
{
    struct folder_entry *entry = g_new0(struct folder_entry, 1);
    bool inbox = g_ascii_strcasecmp(list->wire, "INBOX") == 0;
    entry->wire = g_strdup(inbox ? "INBOX" : list->wire);
    entry->name = g_strdup(inbox ? "INBOX" : list->name);
    entry->delimiter = list->delimiter;
    entry->flags = list->flags;
    char *const texts[] = {entry->wire, entry->name};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        for (size_t length = strlen(texts[i]);
             entry->delimiter != 0 && length > 1 && texts[i][length - 1] == entry->delimiter;)
            texts[i][--length] = '\0';
    return entry;
}

void folder_entry_free(struct folder_entry *entry)
{
    g_free(entry->wire);
    g_free(entry->name);
    g_free(entry);
}

void folder_entries_settle(GPtrArray *entries)
{
    g_autoptr(GHashTable) gone = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint kept = 0;
    for (guint i = 0; i < entries->len; i++) {
        const struct folder_entry *entry = entries->pdata[i];
        if ((entry->flags & IMAP_LIST_NONEXISTENT) != 0)
            g_hash_table_add(gone, g_strdup(entry->wire));
        else
            g_hash_table_remove(gone, entry->wire);
    }
    for (guint i = 0; i < entries->len; i++) {
        struct folder_entry *entry = entries->pdata[i];
        if ((entry->flags & IMAP_LIST_NONEXISTENT) != 0 || g_hash_table_contains(gone, entry->wire))
            continue;
        entries->pdata[i] = entries->pdata[kept];
        entries->pdata[kept++] = entry;
    }
    g_ptr_array_set_size(entries, (gint)kept);
}

static const struct {
    unsigned imap, cache;
} FLAGS[] = {
    {IMAP_LIST_NOSELECT, CACHE_MAILBOX_NOSELECT},
    {IMAP_LIST_NOINFERIORS, CACHE_MAILBOX_NOINFERIORS},
    {IMAP_LIST_SUBSCRIBED, CACHE_MAILBOX_SUBSCRIBED},
    {IMAP_LIST_ALL, CACHE_MAILBOX_ALL},
    {IMAP_LIST_ARCHIVE, CACHE_MAILBOX_ARCHIVE},
    {IMAP_LIST_DRAFTS, CACHE_MAILBOX_DRAFTS},
    {IMAP_LIST_FLAGGED, CACHE_MAILBOX_FLAGGED},
    {IMAP_LIST_JUNK, CACHE_MAILBOX_JUNK},
    {IMAP_LIST_SENT, CACHE_MAILBOX_SENT},
    {IMAP_LIST_TRASH, CACHE_MAILBOX_TRASH},
    {IMAP_LIST_IMPORTANT, CACHE_MAILBOX_IMPORTANT},
};

uint32_t folder_cache_flags(unsigned imap)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(FLAGS); i++)
        if ((imap & FLAGS[i].imap) != 0)
            flags |= FLAGS[i].cache;
    return flags;
}

unsigned folder_list_flags(uint32_t cached)
{
    unsigned flags = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(FLAGS); i++)
        if ((cached & FLAGS[i].cache) != 0)
            flags |= FLAGS[i].imap;
    return flags;
}

static char **folder_levels(const char *text, char delimiter)
{
    /* without a delimiter the name is flat; g_strsplit() wants some separator, which it then does
     * not look for */
    const char separator[] = {delimiter != 0 ? delimiter : '/', '\0'};
    return g_strsplit(text, separator, delimiter != 0 ? LEVELS_MAX : 1);
}

/* ---- the tree -------------------------------------------------------------------------------- */

void folder_node_free(struct folder_node *node)
{
    g_free(node->wire);
    g_free(node->label);
    g_free(node->path);
    g_free(node->name);
    g_free(node);
}

/* One level as text. The whole name's own levels are right unless a decoded level holds the
 * delimiter; then each is decoded by itself. */
static char *folder_label(char **wires, char **names, guint level)
{
    if (g_strv_length(wires) == g_strv_length(names))
        return g_strdup(names[level]);
    char *decoded = imap_utf7_decode(wires[level]);
    return decoded != NULL ? decoded : g_utf8_make_valid(wires[level], -1);
}

struct tree {
    GPtrArray *nodes;
    GHashTable *by_wire; /* wire -> index + 1 */
};

static int tree_find(const struct tree *tree, const char *wire)
{
    return GPOINTER_TO_INT(g_hash_table_lookup(tree->by_wire, wire)) - 1;
}

static int tree_level(struct tree *tree, int parent, const char *wire, char *label, char delimiter)
{
    int found = tree_find(tree, wire);
    if (found >= 0) {
        g_free(label);
        return found;
    }
    struct folder_node *node = g_new0(struct folder_node, 1);
    const struct folder_node *above = parent >= 0 ? tree->nodes->pdata[parent] : NULL;
    node->wire = g_strdup(wire);
    node->label = label;
    node->path = above != NULL ? g_strconcat(above->path, "/", label, NULL) : g_strdup(label);
    node->parent = parent;
    node->delimiter = delimiter;
    node->flags = IMAP_LIST_NOSELECT;
    g_ptr_array_add(tree->nodes, node);
    g_hash_table_insert(tree->by_wire, node->wire, GINT_TO_POINTER((int)tree->nodes->len));
    return (int)tree->nodes->len - 1;
}

static void tree_add(struct tree *tree, const struct folder_entry *entry)
{
    g_auto(GStrv) wires = folder_levels(entry->wire, entry->delimiter);
    g_auto(GStrv) names = folder_levels(entry->name, entry->delimiter);
    g_autoptr(GString) wire = g_string_new(NULL);
    int at = -1;
    for (guint i = 0; wires[i] != NULL; i++) {
        if (i > 0)
            g_string_append_c(wire, entry->delimiter);
        g_string_append(wire, wires[i]);
        if (i == 0 && g_ascii_strcasecmp(wires[0], "INBOX") == 0) {
            at = tree_level(tree, -1, "INBOX", g_strdup("INBOX"), entry->delimiter);
            continue;
        }
        at = tree_level(tree, at, wire->str, folder_label(wires, names, i), entry->delimiter);
    }
    struct folder_node *node = at >= 0 ? tree->nodes->pdata[at] : NULL;
    if (node == NULL)
        return;
    node->flags = entry->flags;
    node->delimiter = entry->delimiter;
}

/* INBOX first, so that its name is never another's; then by the server's bytes: every session
 * gives the same names. */
static gint entry_order(gconstpointer a, gconstpointer b)
{
    const struct folder_entry *const *one = a, *const *two = b;
    int inbox = (strcmp((*two)->wire, "INBOX") == 0) - (strcmp((*one)->wire, "INBOX") == 0);
    return inbox != 0 ? inbox : strcmp((*one)->wire, (*two)->wire);
}

/* ---- what the account wants ------------------------------------------------------------------ */

/* Patterns ("*" and "?", over the whole path): those with "!" exclude; without any other all else
 * is wanted. */
static bool folder_wanted(const struct folder_node *node, const struct account *account)
{
    if (account->folders_subscribed && (node->flags & IMAP_LIST_SUBSCRIBED) == 0 &&
        strcmp(node->wire, "INBOX") != 0)
        return false;
    bool some = false, matched = false;
    for (char **at = account->folders; at != NULL && *at != NULL; at++) {
        bool exclude = **at == '!';
        bool hit = g_pattern_match_simple(exclude ? *at + 1 : *at, node->path);
        if (exclude && hit)
            return false;
        some = some || !exclude;
        matched = matched || (!exclude && hit);
    }
    return matched || !some;
}

/* Shows what is wanted, and the way to it. Levels that are only a way are mere places. */
static void folders_select(GPtrArray *nodes, const struct account *account)
{
    for (guint i = 0; i < nodes->len; i++) {
        struct folder_node *node = nodes->pdata[i];
        bool place = (node->flags & IMAP_LIST_NOSELECT) != 0;
        node->shown = folder_wanted(node, account) && !(place && account->folders_subscribed);
    }
    for (guint i = nodes->len; i-- > 0;) {
        const struct folder_node *node = nodes->pdata[i];
        struct folder_node *above = node->parent >= 0 ? nodes->pdata[node->parent] : NULL;
        if (!node->shown || above == NULL || above->shown)
            continue;
        above->shown = true;
        above->flags |= IMAP_LIST_NOSELECT;
    }
}

static void folders_name(GPtrArray *nodes)
{
    g_autoptr(GHashTable) sets =
        g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)name_set_free);
    for (guint i = 0; i < nodes->len; i++) {
        struct folder_node *node = nodes->pdata[i];
        if (!node->shown)
            continue;
        gpointer key = GINT_TO_POINTER(node->parent);
        struct name_set *set = g_hash_table_lookup(sets, key);
        if (set == NULL) {
            set = name_set_new();
            g_hash_table_insert(sets, key, set);
        }
        g_autofree char *safe = name_of_mailbox(node->label);
        node->name = name_set_add(set, safe, NAME_MAILBOX_MAX);
    }
}

GPtrArray *folders_tree(GPtrArray *entries, const struct account *account)
{
    struct tree tree = {
        .nodes = g_ptr_array_new_with_free_func((GDestroyNotify)folder_node_free),
        .by_wire = g_hash_table_new(g_str_hash, g_str_equal),
    };
    g_ptr_array_sort(entries, entry_order);
    for (guint i = 0; i < entries->len; i++)
        tree_add(&tree, entries->pdata[i]);
    g_hash_table_unref(tree.by_wire);
    folders_select(tree.nodes, account);
    folders_name(tree.nodes);
    return tree.nodes;
}
