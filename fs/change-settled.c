/* What the engine says of changes, see fs/change.h. */
#include <string.h>

#include "fs/change-private.h"
#include "fs/draft.h"
#include "fs/error.h"
#include "fs/news.h"
#include "fs/notify.h"
#include "fs/trace.h"

static uint64_t directory_of(const struct mounted_account *account, const char *wire)
{
    uint32_t slot = cache_slot_of_mailbox(account->cache, wire);
    return node_inode((struct node){.slot = slot});
}

static uint64_t inode_of(const struct mounted_account *account,
                         const struct journal_address *address)
{
    uint32_t slot = 0;
    if (address->mailbox != NULL && address->uid != 0)
        slot = cache_slot_of_messages(account->cache, address->mailbox, address->uidvalidity);
    return slot != 0 ? node_inode((struct node){.slot = slot, .uid = address->uid}) : 0;
}

/* The directory entry's own name: those of directories are remembered with a slash. */
static char *name_of(const struct journal_entry *entry)
{
    size_t length = strlen(entry->name);
    return g_strndup(entry->name, length - (length > 0 && entry->name[length - 1] == '/'));
}

/* ---- messages ---- */

static uint64_t placed_in(const struct mounted_account *account, const struct journal_entry *entry)
{
    const struct journal_address address = {entry->target, entry->target_uidvalidity,
                                            entry->target_uid};
    return inode_of(account, &address);
}

static void note_name(struct mounted_account *account, const struct journal_entry *entry)
{
    if (entry->name[0] != '\0' && entry->target_uid != 0)
        journal_name_put(account->journal, entry->target, entry->name, entry->target_uidvalidity,
                         entry->target_uid);
}

static void tell_target(const struct mounted_account *account, const struct journal_entry *entry)
{
    g_autofree char *name = name_of(entry);
    uint64_t directory = directory_of(account, entry->target);
    if (name[0] != '\0')
        notify_entry(directory, name);
    notify_inode(directory);
}

static void move_done(const struct mounted *mounted, struct mounted_account *account,
                      const struct journal_entry *entry)
{
    uint64_t from = inode_of(account, &entry->origin), to = placed_in(account, entry);
    if (entry->origin.uid == 0 && entry->staged != 0)
        from = draft_inode(mounted, account, entry->staged);
    note_name(account, entry);
    if (from != 0 && to != 0)
        moved_add(from, to);
    if (to != 0)
        draft_saved_add(to);
    tell_target(account, entry);
}

static void placed_done(const struct mounted *mounted, struct mounted_account *account,
                        const struct journal_entry *entry)
{
    uint64_t to = placed_in(account, entry);
    note_name(account, entry);
    if (entry->kind == JOURNAL_APPEND && to != 0)
        moved_add(draft_inode(mounted, account, entry->staged), to);
    draft_settled(mounted, account, entry->id, to, 0, 0);
    tell_target(account, entry);
}

/* It is where it was. */
static void comes_back(struct mounted_account *account, const struct journal_entry *entry)
{
    uint64_t message = inode_of(account, &entry->origin);
    if (message == 0)
        message = inode_of(account, &entry->message);
    struct node node = node_of(message);
    if (message == 0)
        return;
    ghost_end(message);
    node.part = NODE_PART_DIRECTORY;
    ghost_end(node_inode(node));
    notify_inode(message);
    notify_inode(node_inode(node));
    const char *wire = entry->origin.uid != 0 ? entry->origin.mailbox : entry->message.mailbox;
    uint64_t directory = directory_of(account, wire);
    touched_add(directory);
    notify_inode(directory);
}

static void move_refused(const struct mounted *mounted, struct mounted_account *account,
                         const struct journal_entry *entry, int error)
{
    comes_back(account, entry);
    if (entry->kind == JOURNAL_MOVE)
        tell_target(account, entry);
}

static void placed_refused(const struct mounted *mounted, struct mounted_account *account,
                           const struct journal_entry *entry, int error)
{
    draft_settled(mounted, account, entry->id, 0, error, entry->failed);
    tell_target(account, entry);
    notify_inode(NODE_FAILED);
}

static void expunge_done(const struct mounted *mounted, struct mounted_account *account,
                         const struct journal_entry *entry)
{
}

/* ---- flags, mailboxes ---- */

static void flags_done(const struct mounted *mounted, struct mounted_account *account,
                       const struct journal_entry *entry)
{
    uint64_t message = inode_of(account, &entry->message);
    if (message != 0)
        notify_attributes(message);
}

static void flags_refused(const struct mounted *mounted, struct mounted_account *account,
                          const struct journal_entry *entry, int error)
{
    flags_done(mounted, account, entry);
}

/* The directory that holds a mailbox: its names came or went. */
static void tell_parent(const struct mounted_account *account, const char *wire)
{
    uint32_t parent = 0;
    g_autofree char *name = NULL;
    {
        g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
        struct cache_mailbox mailbox;
        if (cache_mailbox_by_wire(txn, wire, &mailbox) == CACHE_OK) {
            parent = mailbox.parent;
            name = g_strdup(mailbox.name);
        }
    }
    uint32_t top = account->root;
    uint64_t directory = parent != 0 ? node_inode((struct node){.slot = parent})
                         : top != 0  ? node_inode((struct node){.slot = top})
                                     : (uint64_t)NODE_ROOT;
    touched_add(directory);
    if (name != NULL)
        notify_entry(directory, name);
    notify_inode(directory);
}

static void mailbox_done(const struct mounted *mounted, struct mounted_account *account,
                         const struct journal_entry *entry)
{
    tell_parent(account, entry->kind == JOURNAL_REMOVE ? entry->message.mailbox : entry->target);
}

/* A record that was written ahead. */
static void mailbox_forget(struct mounted_account *account, const char *wire)
{
    g_autoptr(cache_txn) txn = cache_txn_write(account->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_by_wire(txn, wire, &mailbox) != CACHE_OK || mailbox.synced_us != 0)
        return;
    g_autofree char *path = cache_mailbox_path(txn, mailbox.slot);
    const struct engine_folder_change change = {
        .what = ENGINE_FOLDER_GONE, .folder = mailbox.slot, .path = path};
    if (cache_mailbox_remove(txn, mailbox.slot) == CACHE_OK &&
        cache_txn_commit(g_steal_pointer(&txn)) == CACHE_OK && path != NULL)
        news_folder(account, &change);
}

static void ask_folders(enum engine_error error, void *data)
{
}

static void mailbox_refused(const struct mounted *mounted, struct mounted_account *account,
                            const struct journal_entry *entry, int error)
{
    const struct engine_wish wish = {.want = ENGINE_FOLDERS};
    mailbox_done(mounted, account, entry);
    if (entry->kind == JOURNAL_CREATE)
        mailbox_forget(account, entry->target);
    else if (entry->kind == JOURNAL_RENAME)
        change_rename_back(account, entry->target, entry->message.mailbox);
    engine_ask(account->engine, &wish, ask_folders, NULL);
}

/* ---- all ---- */

static const struct settled {
    void (*done)(const struct mounted *mounted, struct mounted_account *account,
                 const struct journal_entry *entry);
    void (*refused)(const struct mounted *mounted, struct mounted_account *account,
                    const struct journal_entry *entry, int error);
} SETTLED[] = {
    [JOURNAL_MOVE] = {move_done, move_refused},
    [JOURNAL_COPY] = {placed_done, placed_refused},
    [JOURNAL_EXPUNGE] = {expunge_done, move_refused},
    [JOURNAL_FLAGS] = {flags_done, flags_refused},
    [JOURNAL_APPEND] = {placed_done, placed_refused},
    [JOURNAL_CREATE] = {mailbox_done, mailbox_refused},
    [JOURNAL_REMOVE] = {mailbox_done, mailbox_refused},
    [JOURNAL_RENAME] = {mailbox_done, mailbox_refused},
};

void change_settled(const struct mounted *mounted, struct mounted_account *account,
                    const struct journal_entry *entry, enum engine_error error, const char *text)
{
    if (entry->kind >= G_N_ELEMENTS(SETTLED) || SETTLED[entry->kind].done == NULL)
        return;
    if (error == ENGINE_OK)
        SETTLED[entry->kind].done(mounted, account, entry);
    else
        SETTLED[entry->kind].refused(mounted, account, entry, error_of_engine(error));
}
