/* Which entries go out next, and which together.
 *
 * One walk by id. What cannot be sent now is passed over, and so is all that must stay behind it:
 * later entries about the same message, and, around a CREATE, REMOVE or RENAME, those that name its
 * mailboxes or what is below them. Everything else may overtake. What the server has done already
 * (PLACED), or will not do (kept), holds nothing back.
 */
#include "cache/journal-private.h"

/* Characters at which a mailbox name may be above another; too many do no harm. */
#define DELIMITERS "/.\\|^~:"

struct walk {
    struct journal *journal;
    bool ordered;        /* there are changes of mailboxes: names count */
    GHashTable *named;   /* names of what was passed over, and all above them */
    GHashTable *blocked; /* names of changes of mailboxes that were passed over */
};

static bool holds_back(const struct journal_entry *entry)
{
    return entry->step != JOURNAL_PLACED && !entry->kept;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Calls `visit` for a name and those above it until that returns true. */
static bool names_above(const char *name, bool (*visit)(GHashTable *set, const char *name),
                        GHashTable *set)
{
    g_autofree char *above = g_strdup(name);

    if (*name == 0)
        return false;
    for (;;) {
        if (visit(set, above))
            return true;
        size_t length = strlen(above);
        while (length > 0 && strchr(DELIMITERS, above[length - 1]) == NULL)
            length--;
        if (length <= 1)
            return false;
        above[length - 1] = 0;
    }
}

static bool name_contained(GHashTable *set, const char *name)
{
    return g_hash_table_contains(set, name);
}

static bool name_add(GHashTable *set, const char *name)
{
    if (g_hash_table_contains(set, name))
        return true;
    g_hash_table_add(set, g_strdup(name));
    return false;
}

/* The mailboxes that an entry names: where its message is or comes from, and its target. */
static void entry_names(struct journal *journal, const struct journal_entry *entry,
                        const char *names[2])
{
    const struct journal_item *source =
        entry->source != 0 ? journal_item_find(journal, entry->source) : NULL;

    names[0] = source != NULL ? source->entry->target : entry->message.mailbox;
    names[1] = entry->target;
}

static bool is_hierarchy(const struct journal_entry *entry)
{
    return entry->kind >= JOURNAL_CREATE;
}

static void walk_pass(struct walk *walk, const struct journal_entry *entry)
{
    const char *names[2];

    if (!walk->ordered || !holds_back(entry))
        return;
    entry_names(walk->journal, entry, names);
    for (int i = 0; i < 2; i++) {
        names_above(names[i], name_add, walk->named);
        if (is_hierarchy(entry) && *names[i] != 0)
            g_hash_table_add(walk->blocked, g_strdup(names[i]));
    }
}

static bool walk_names_blocked(struct walk *walk, const struct journal_entry *entry)
{
    const char *names[2];

    if (!walk->ordered)
        return false;
    entry_names(walk->journal, entry, names);
    for (int i = 0; i < 2; i++) {
        if (names_above(names[i], name_contained, walk->blocked) ||
            (is_hierarchy(entry) && g_hash_table_contains(walk->named, names[i])))
            return true;
    }
    return false;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* Whether an earlier entry about the same message is in the way. */
static bool message_blocked(struct journal *journal, const struct journal_item *item)
{
    const GPtrArray *group = journal_item_group(journal, item);

    for (guint i = 0; group != NULL && i < group->len; i++) {
        const struct journal_item *other = group->pdata[i];
        if (other->entry->id >= item->entry->id)
            return false;
        if (holds_back(other->entry))
            return true;
    }
    return false;
}

/* What is kept is as far as it will ever be. */
static bool is_ahead(struct journal *journal, uint64_t after)
{
    const struct journal_item *item = after != 0 ? journal_item_find(journal, after) : NULL;
    return item != NULL && !item->entry->kept;
}

static bool item_ready(struct walk *walk, const struct journal_item *item)
{
    const struct journal_entry *entry = item->entry;

    return !item->taken && holds_back(entry) &&
           (entry->source == 0 || journal_item_find(walk->journal, entry->source) == NULL) &&
           !is_ahead(walk->journal, entry->after) && !message_blocked(walk->journal, item) &&
           !walk_names_blocked(walk, entry);
}

static bool goes_alone(const struct journal_entry *entry)
{
    return entry->kind >= JOURNAL_APPEND;
}

static bool goes_with(const struct journal_entry *a, const struct journal_entry *b)
{
    return a->kind == b->kind && a->step == b->step &&
           a->message.uidvalidity == b->message.uidvalidity &&
           strcmp(a->message.mailbox, b->message.mailbox) == 0 &&
           strcmp(a->target, b->target) == 0 && strcmp(a->add, b->add) == 0 &&
           strcmp(a->remove, b->remove) == 0;
}

/* How many entries are looked at after the first one that goes out. */
#define LOOK_AHEAD 20000

static GPtrArray *walk_take(struct walk *walk, unsigned most)
{
    GPtrArray *taken = NULL;
    unsigned looked = 0;

    for (GTreeNode *node = g_tree_node_first(walk->journal->items);
         node != NULL && looked < LOOK_AHEAD; node = g_tree_node_next(node)) {
        struct journal_item *item = g_tree_node_value(node);
        bool wanted = taken == NULL || goes_with(taken->pdata[0], item->entry);
        if (taken != NULL)
            looked++;
        if (!wanted || !item_ready(walk, item)) {
            walk_pass(walk, item->entry);
            continue;
        }
        if (taken == NULL)
            taken = g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
        item->taken = true;
        g_ptr_array_add(taken, journal_entry_copy(item->entry));
        if (taken->len >= most || goes_alone(item->entry))
            break;
    }
    return taken;
}

GPtrArray *journal_take(struct journal *journal, unsigned most)
{
    struct walk walk = {.journal = journal};

    if (most == 0)
        return NULL;
    walk.named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    walk.blocked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    pthread_mutex_lock(&journal->change_lock);
    pthread_mutex_lock(&journal->lock);
    walk.ordered = journal->hierarchy->len > 0;
    GPtrArray *taken = walk_take(&walk, most);
    pthread_mutex_unlock(&journal->lock);
    pthread_mutex_unlock(&journal->change_lock);
    g_hash_table_unref(walk.named);
    g_hash_table_unref(walk.blocked);
    return taken;
}
