/* Which drafts there are, by number, by name, and by what was delivered. */
#include <errno.h>
#include <string.h>

#include "fs/draft-private.h"

#define DRAFTS_MAX 20000
#define SAVED_MAX 100000
#define EARLY_MAX 1000

static GMutex lock;
/* under `lock` */
static GHashTable *by_inode; /* number -> draft; a delivered one also by the number of what went */
static GTree *by_place;      /* drafts that have names, by directory and inode */
static GHashTable *by_name;  /* the same, by directory and name */
static GHashTable *by_entry; /* account and entry of the journal, as draft_number() -> draft */
static GQueue early = G_QUEUE_INIT; /* struct settled, of entries that no draft had yet */
static GHashTable *open_handles;    /* a mount that ends by force releases none */
static GHashTable *saved;           /* inodes of messages */
static GQueue saved_order = G_QUEUE_INIT;

/* How an entry of the journal ended. */
struct settled {
    uint64_t number; /* as of by_entry */
    uint64_t message;
    int error;
    uint64_t failed;
};

#define LOCKED g_autoptr(GMutexLocker) locked G_GNUC_UNUSED = g_mutex_locker_new(&lock)

/* A draft's own `parent` and `name` serve as key. */
static guint name_hash(const void *key)
{
    const struct draft *draft = key;
    return g_str_hash(draft->name) ^ (guint)(draft->parent * 2654435761u);
}

static gboolean name_equal(const void *a, const void *b)
{
    const struct draft *one = a, *other = b;
    return one->parent == other->parent && strcmp(one->name, other->name) == 0;
}

static int place_compare(const void *a, const void *b)
{
    const struct draft *one = a, *other = b;
    if (one->parent != other->parent)
        return one->parent < other->parent ? -1 : 1;
    return one->inode < other->inode ? -1 : one->inode > other->inode;
}

static void tables_make(void)
{
    if (by_inode != NULL)
        return;
    by_inode = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    by_place = g_tree_new(place_compare);
    by_name = g_hash_table_new(name_hash, name_equal);
    by_entry = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    saved = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

static void number_put(GHashTable *table, uint64_t number, struct draft *draft)
{
    g_hash_table_replace(table, g_memdup2(&number, sizeof(number)), draft);
}

/* Removes a number unless it is another draft's by now. */
static void number_drop(GHashTable *table, uint64_t number, const struct draft *draft)
{
    if (g_hash_table_lookup(table, &number) == draft)
        g_hash_table_remove(table, &number);
}

/* ---- numbers ---- */

bool draft_is_inode(uint64_t inode)
{
    struct node node = node_of(inode);
    return node.slot == 0 && node.uid != 0 && !node_is_refused(node) && !node_is_requests(inode);
}

uint64_t draft_number(const struct mounted *mounted, const struct mounted_account *account,
                      uint64_t staged)
{
    return staged << 14 | (uint64_t)(account - mounted->accounts);
}

struct mounted_account *draft_account(const struct mounted *mounted, uint64_t inode)
{
    unsigned index = node_of(inode).part;
    return draft_is_inode(inode) && index < mounted->count ? &mounted->accounts[index] : NULL;
}

uint64_t draft_inode(const struct mounted *mounted, const struct mounted_account *account,
                     uint64_t staged)
{
    LOCKED;
    uint64_t number = draft_number(mounted, account, staged);
    struct draft *draft = by_inode != NULL ? g_hash_table_lookup(by_inode, &number) : NULL;
    return draft != NULL ? draft->inode : number;
}

/* ---- one draft in the tables; with the lock ---- */

static uint64_t sent_number(const struct draft *draft)
{
    return draft_number(draft->mounted, draft->account, draft->sent.staged);
}

static uint64_t entry_number(const struct draft *draft)
{
    return draft_number(draft->mounted, draft->account, draft->sent.entry);
}

static void sent_drop(struct draft *draft)
{
    if (draft->sent.entry == 0)
        return;
    number_drop(by_entry, entry_number(draft), draft);
    if (sent_number(draft) != draft->inode)
        number_drop(by_inode, sent_number(draft), draft);
}

static void sent_put(struct draft *draft)
{
    if (draft->sent.entry == 0)
        return;
    number_put(by_entry, entry_number(draft), draft);
    if (draft->sent.staged != 0)
        number_put(by_inode, sent_number(draft), draft);
}

static void name_drop(struct draft *draft)
{
    if (draft->name != NULL && draft->shown) {
        g_tree_remove(by_place, draft);
        g_hash_table_remove(by_name, draft);
    }
    g_clear_pointer(&draft->name, g_free);
}

/* Takes a draft that nobody can reach any more out of the tables. True: the table's reference is
 * the caller's to drop, without the lock. */
static bool table_leave(struct draft *draft)
{
    if (!draft->shown || draft->name != NULL || draft->handles > 0)
        return false;
    sent_drop(draft);
    number_drop(by_inode, draft->inode, draft);
    draft->shown = false;
    return true;
}

static struct draft *draft_ref(struct draft *draft)
{
    if (draft != NULL)
        draft->references++;
    return draft;
}

static struct draft *find_named(uint64_t parent, const char *name)
{
    struct draft key = {.parent = parent, .name = (char *)name};
    return by_name != NULL ? g_hash_table_lookup(by_name, &key) : NULL;
}

/* ---- how deliveries end; with the lock ---- */

/* Notes how it ended. Who writes to the draft still finds it under its name. */
static void settle(struct draft *draft, const struct settled *settled)
{
    sent_drop(draft);
    draft->sent.settled = true;
    draft->sent.message = settled->message;
    draft->sent.error = settled->error;
    draft->sent.failed = settled->failed;
    if (!draft->again && draft->writers == 0)
        name_drop(draft);
}

/* The engine may be done with an entry before it is noted here whose it is. */
static void early_put(const struct settled *settled)
{
    g_queue_push_tail(&early, g_memdup2(settled, sizeof(*settled)));
    if (g_queue_get_length(&early) > EARLY_MAX)
        g_free(g_queue_pop_head(&early));
}

static void early_take(struct draft *draft)
{
    if (draft->sent.entry == 0)
        return;
    for (GList *at = early.tail; at != NULL; at = at->prev) {
        struct settled *settled = at->data;
        if (settled->number != entry_number(draft))
            continue;
        settle(draft, settled);
        g_free(settled);
        g_queue_delete_link(&early, at);
        return;
    }
}

/* ---- references ---- */

int draft_add(struct draft *draft, uint64_t parent, const char *name)
{
    LOCKED;
    tables_make();
    if (name != NULL && find_named(parent, name) != NULL)
        return EEXIST;
    if (g_hash_table_size(by_inode) >= DRAFTS_MAX)
        return ENFILE;
    draft->references = 2;
    draft->shown = true;
    draft->parent = parent;
    draft->name = g_strdup(name);
    number_put(by_inode, draft->inode, draft);
    sent_put(draft);
    if (name != NULL) {
        g_hash_table_add(by_name, draft);
        g_tree_insert(by_place, draft, draft);
    }
    early_take(draft);
    return 0;
}

struct draft *draft_get(uint64_t inode)
{
    LOCKED;
    return by_inode != NULL ? draft_ref(g_hash_table_lookup(by_inode, &inode)) : NULL;
}

struct draft *draft_get_named(uint64_t parent, const char *name)
{
    LOCKED;
    return draft_ref(find_named(parent, name));
}

void draft_unref(struct draft *draft)
{
    g_mutex_lock(&lock);
    bool last = --draft->references == 0;
    g_mutex_unlock(&lock);
    if (!last)
        return;
    draft_file_end(draft);
    g_free(draft->name);
    g_mutex_clear(&draft->lock);
    g_free(draft);
}

struct draft_handle *draft_handle_new(struct draft *draft, bool write, pid_t opener)
{
    struct draft_handle *handle = g_new(struct draft_handle, 1);
    *handle = (struct draft_handle){.draft = draft, .write = write, .opener = opener};
    LOCKED;
    draft->references++;
    draft->handles++;
    draft->writers += write;
    if (open_handles == NULL)
        open_handles = g_hash_table_new(NULL, NULL);
    g_hash_table_add(open_handles, handle);
    return handle;
}

bool draft_handle_end(struct draft_handle *handle, bool *last)
{
    struct draft *draft = handle->draft;
    g_mutex_lock(&lock);
    bool written = handle->write && --draft->writers == 0;
    *last = --draft->handles == 0;
    g_hash_table_remove(open_handles, handle);
    g_mutex_unlock(&lock);
    g_free(handle);
    return written;
}

void draft_users(struct draft *draft, unsigned *handles, unsigned *writers)
{
    LOCKED;
    *handles = draft->handles;
    *writers = draft->writers;
}

/* ---- names ---- */

void draft_tidy(struct draft *draft)
{
    g_mutex_lock(&lock);
    bool left = table_leave(draft);
    g_mutex_unlock(&lock);
    if (left)
        draft_unref(draft);
}

void draft_name_set(struct draft *draft, uint64_t parent, const char *name)
{
    g_mutex_lock(&lock);
    struct draft *other = name != NULL ? find_named(parent, name) : NULL;
    bool left = false;
    if (other != NULL && other != draft) {
        name_drop(other);
        left = table_leave(other);
    }
    name_drop(draft);
    if (name != NULL && draft->shown) {
        draft->parent = parent;
        draft->name = g_strdup(name);
        g_hash_table_add(by_name, draft);
        g_tree_insert(by_place, draft, draft);
    }
    g_mutex_unlock(&lock);
    if (left)
        draft_unref(other);
    draft_tidy(draft);
}

char *draft_name_get(struct draft *draft, uint64_t *parent)
{
    LOCKED;
    *parent = draft->parent;
    return g_strdup(draft->name);
}

uint64_t draft_find(const struct mounted *mounted, uint64_t parent, const char *name)
{
    LOCKED;
    const struct draft *draft = find_named(parent, name);
    return draft != NULL ? draft->inode : 0;
}

/* Whether the journal's arrival stands for it. */
static bool is_on_its_way(const struct draft *draft)
{
    return draft->sent.entry != 0 && !draft->sent.settled;
}

uint64_t draft_next(uint64_t parent, uint64_t after, char **name)
{
    LOCKED;
    struct draft key = {.parent = parent, .inode = after};
    GTreeNode *node = by_place != NULL ? g_tree_upper_bound(by_place, &key) : NULL;
    for (; node != NULL; node = g_tree_node_next(node)) {
        const struct draft *draft = g_tree_node_value(node);
        if (draft->parent != parent)
            return 0;
        if (is_on_its_way(draft))
            continue;
        *name = g_strdup(draft->name);
        return draft->inode;
    }
    return 0;
}

/* ---- what was delivered ---- */

struct draft_sent draft_sent_get(struct draft *draft)
{
    LOCKED;
    return draft->sent;
}

void draft_sent_set(struct draft *draft, const struct draft_sent *sent)
{
    LOCKED;
    sent_drop(draft);
    draft->sent = *sent;
    draft->again = false;
    if (!draft->shown)
        return;
    sent_put(draft);
    early_take(draft);
}

void draft_again(struct draft *draft)
{
    LOCKED;
    draft->again = true;
}

void draft_settled(const struct mounted *mounted, const struct mounted_account *account,
                   uint64_t entry, uint64_t inode, int error, uint64_t failed)
{
    if (error == 0 && inode != 0)
        draft_saved_add(inode);
    struct settled settled = {
        .number = draft_number(mounted, account, entry),
        .message = error == 0 ? inode : 0,
        .error = error,
        .failed = failed,
    };
    g_mutex_lock(&lock);
    struct draft *draft = by_entry != NULL ? g_hash_table_lookup(by_entry, &settled.number) : NULL;
    if (draft != NULL)
        settle(draft, &settled);
    else
        early_put(&settled);
    bool left = draft != NULL && table_leave(draft);
    g_mutex_unlock(&lock);
    if (left)
        draft_unref(draft);
}

/* ---- messages of this session ---- */

void draft_saved_add(uint64_t inode)
{
    LOCKED;
    tables_make();
    if (g_hash_table_contains(saved, &inode))
        return;
    uint64_t *number = g_memdup2(&inode, sizeof(inode));
    g_hash_table_add(saved, number);
    g_queue_push_tail(&saved_order, number);
    if (g_queue_get_length(&saved_order) > SAVED_MAX)
        g_hash_table_remove(saved, g_queue_pop_head(&saved_order));
}

bool draft_saved(uint64_t inode)
{
    LOCKED;
    return saved != NULL && g_hash_table_contains(saved, &inode);
}

/* ---- the end ---- */

/* Those that are open nevertheless end with their handles. */
static GPtrArray *take_all(void)
{
    LOCKED;
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)draft_unref);
    GHashTableIter each;
    void *item;
    g_hash_table_iter_init(&each, by_inode);
    while (g_hash_table_iter_next(&each, NULL, &item)) {
        struct draft *draft = item;
        if (draft->shown)
            g_ptr_array_add(all, draft);
        draft->shown = false;
    }
    g_clear_pointer(&by_name, g_hash_table_unref);
    g_clear_pointer(&by_place, g_tree_unref);
    g_clear_pointer(&by_entry, g_hash_table_unref);
    g_clear_pointer(&by_inode, g_hash_table_unref);
    g_clear_pointer(&saved, g_hash_table_unref);
    g_queue_clear(&saved_order);
    g_queue_clear_full(&early, g_free);
    return all;
}

/* Those that the kernel did not release. */
static void handles_end(void)
{
    GHashTable *left = g_steal_pointer(&open_handles);
    if (left == NULL)
        return;
    GHashTableIter each;
    void *item;
    g_hash_table_iter_init(&each, left);
    while (g_hash_table_iter_next(&each, &item, NULL)) {
        struct draft_handle *handle = item;
        draft_unref(handle->draft);
        g_free(handle);
    }
    g_hash_table_unref(left);
}

void draft_clear(void)
{
    handles_end();
    tables_make();
    g_ptr_array_unref(take_all());
}
