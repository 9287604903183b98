/* Mailboxes of fs/change.h. What is asked for is in the cache at once, and on the server when the
 * journal is done; a mailbox that goes is hidden until then, so that its messages, which go before
 * it, are still known. */
#include <errno.h>
#include <string.h>

#include "fs/change-private.h"
#include "fs/draft.h"
#include "fs/error.h"
#include "fs/name.h"
#include "fs/news.h"
#include "fs/notify.h"
#include "fs/trace.h"

enum { LEVELS_MAX = 100 };

/* ---- names ---- */

/* The delimiter of the hierarchy where it is not said of the parent: INBOX's, or anyone's. */
static char account_delimiter(struct cache_txn *txn)
{
    struct cache_mailbox mailbox = {0};
    if (cache_mailbox_by_wire(txn, "INBOX", &mailbox) == CACHE_OK && mailbox.delimiter != 0)
        return mailbox.delimiter;
    mailbox.slot = 0;
    while (cache_mailbox_next(txn, 0, mailbox.slot, &mailbox) == CACHE_OK)
        if (mailbox.delimiter != 0)
            return mailbox.delimiter;
    return 0;
}

/* A directory in which mailboxes may be made: its wire name ("" at the top) and delimiter. */
struct above {
    uint32_t slot;
    char *wire;
    char delimiter;
};

static int above_find(struct mounted_account *account, uint32_t slot, struct above *above)
{
    g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
    struct cache_mailbox parent;
    if (slot == 0) {
        *above = (struct above){.wire = g_strdup(""), .delimiter = account_delimiter(txn)};
        return 0;
    }
    if (cache_mailbox_get(txn, slot, &parent) != CACHE_OK)
        return ESTALE;
    if (parent.delimiter == 0 || (parent.flags & CACHE_MAILBOX_NOINFERIORS))
        return EPERM;
    bool known = parent.rights != NULL && parent.rights[0] != '\0';
    int error = known ? change_rights(&parent, "k") : 0;
    if (error != 0)
        return error;
    *above = (struct above){slot, g_strdup(parent.wire), parent.delimiter};
    return 0;
}

/* The wire name of a directory entry below. EINVAL: no mailbox can have it. */
static int wire_of(struct mounted_account *account, const struct above *above, const char *name,
                   char **wire)
{
    g_autofree char *text = name_to_mailbox(name);
    if (text == NULL || !g_utf8_validate(text, -1, NULL) ||
        (above->delimiter != 0 && strchr(text, above->delimiter) != NULL))
        return EINVAL;
    g_autofree char *level = engine_mailbox_wire(account->engine, text);
    if (level == NULL)
        return EINVAL;
    if (above->slot == 0 && g_ascii_strcasecmp(level, "INBOX") == 0)
        return EEXIST;
    *wire = above->slot == 0 ? g_strdup(level)
                             : g_strdup_printf("%s%c%s", above->wire, above->delimiter, level);
    return 0;
}

/* From the account's directory; the caller's. */
static char *path_of(const struct mounted_account *account, uint32_t slot)
{
    g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
    return cache_mailbox_path(txn, slot);
}

static void tell(const struct mounted_account *account, enum engine_folder what, uint32_t slot,
                 const char *path, const char *old)
{
    const struct engine_folder_change change = {what, slot, path, old, true};
    if (path != NULL)
        news_folder(account, &change);
}

/* ---- making ---- */

static int mailbox_store(struct mounted_account *account, const struct above *above,
                         const char *name, const char *wire, uint32_t *slot)
{
    *slot = cache_slot_of_mailbox(account->cache, wire);
    if (*slot == 0)
        return ENOSPC;
    g_autoptr(cache_txn) txn = cache_txn_write(account->cache);
    struct cache_mailbox old;
    if (cache_mailbox_get(txn, *slot, &old) == CACHE_OK)
        return 0; /* it goes, and comes again */
    const struct cache_mailbox mailbox = {
        .slot = *slot,
        .parent = above->slot,
        .wire = wire,
        .name = name,
        .delimiter = above->delimiter,
        .mtime_ns = g_get_real_time() * 1000,
    };
    int error = cache_mailbox_put(txn, &mailbox);
    if (error == CACHE_OK)
        error = cache_txn_commit(g_steal_pointer(&txn));
    return error_of_cache(error);
}

static int mailbox_create(struct mounted_account *account, const struct above *above,
                          const char *name, const char *wire, uint32_t *slot, uint64_t *id)
{
    const struct journal_entry entry = {
        .kind = JOURNAL_CREATE, .target = wire, .delimiter = above->delimiter};
    int error = error_of_cache(journal_add(account->journal, &entry, false, id));
    if (error != 0)
        return error;
    error = mailbox_store(account, above, name, wire, slot);
    if (error != 0)
        journal_cancel(account->journal, *id);
    engine_push(account->engine);
    g_autofree char *path = error == 0 ? path_of(account, *slot) : NULL;
    tell(account, ENGINE_FOLDER_NEW, *slot, path, NULL);
    return error;
}

/* Whether a mailbox beside it has this name but for case: siblings' names differ in more than that,
 * so the new one would get another name than was asked for. */
static bool has_twin(const struct mounted_account *account, uint32_t parent, const char *name)
{
    g_autofree char *folded = g_utf8_casefold(name, -1);
    g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
    struct cache_mailbox child = {0};
    while (cache_mailbox_next(txn, parent, child.slot, &child) == CACHE_OK) {
        g_autofree char *other = g_utf8_casefold(child.name, -1);
        if (strcmp(folded, other) == 0 && !place_mailbox_goes(account, child.wire))
            return true;
    }
    return false;
}

int change_make_mailbox(struct mounted_account *account, uint32_t parent, const char *name,
                        uint32_t *slot, uint64_t *id)
{
    struct above above = {0};
    g_autofree char *wire = NULL;
    int error = above_find(account, parent, &above);
    g_autofree char *above_wire G_GNUC_UNUSED = above.wire;
    if (error == 0 && has_twin(account, parent, name))
        error = EEXIST;
    if (error == 0)
        error = wire_of(account, &above, name, &wire);
    return error != 0 ? error : mailbox_create(account, &above, name, wire, slot, id);
}

/* ---- the Trash ---- */

/* Walks all mailboxes; the result is remembered with the account. */
static uint32_t trash_search(struct cache_txn *txn)
{
    g_auto(cache_walk) walk = {0};
    struct cache_mailbox mailbox;
    while (cache_walk_next(&walk, txn, &mailbox))
        if (mailbox.flags & CACHE_MAILBOX_TRASH)
            return mailbox.slot;
    return 0;
}

static bool trash_marked(struct mounted_account *account, char **wire)
{
    g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
    uint32_t slot = (uint32_t)g_atomic_int_get(&account->trash);
    struct cache_mailbox mailbox;
    bool found = slot != 0 && cache_mailbox_get(txn, slot, &mailbox) == CACHE_OK &&
                 (mailbox.flags & CACHE_MAILBOX_TRASH);
    if (!found) {
        slot = trash_search(txn);
        found = slot != 0 && cache_mailbox_get(txn, slot, &mailbox) == CACHE_OK;
        g_atomic_int_set(&account->trash, (gint)slot);
    }
    if (found)
        *wire = g_strdup(mailbox.wire);
    return found;
}

/* One level of trash=; made if it is not there. */
static int trash_level(struct mounted_account *account, const char *name, uint32_t *slot)
{
    {
        g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
        struct cache_mailbox mailbox;
        if (cache_mailbox_by_name(txn, *slot, name, &mailbox) == CACHE_OK &&
            !place_mailbox_goes(account, mailbox.wire)) {
            *slot = mailbox.slot;
            return 0;
        }
    }
    uint64_t id;
    return change_make_mailbox(account, *slot, name, slot, &id);
}

static int trash_agreed(struct mounted_account *account, char **wire)
{
    g_auto(GStrv) levels = g_strsplit(account->account->trash, "/", LEVELS_MAX);
    uint32_t slot = 0;
    for (char **level = levels; *level != NULL; level++) {
        int error = **level != '\0' ? trash_level(account, *level, &slot) : 0;
        if (error != 0)
            return error;
    }
    g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, slot, &mailbox) != CACHE_OK)
        return EPERM;
    *wire = g_strdup(mailbox.wire);
    return 0;
}

int change_trash(const struct mounted *mounted, struct mounted_account *account, char **wire)
{
    if (trash_marked(account, wire))
        return 0;
    return account->account->trash != NULL ? trash_agreed(account, wire) : EPERM;
}

bool change_has_trash(struct mounted_account *account)
{
    g_autofree char *wire = NULL;
    return account->account->trash != NULL || account->account->delete == ACCOUNT_DELETE_EXPUNGE ||
           trash_marked(account, &wire);
}

/* ---- removing ---- */

static bool has_children(const struct place *place)
{
    struct cache_mailbox child = {0};
    while (cache_mailbox_next(place->txn, place->mailbox.slot, child.slot, &child) == CACHE_OK)
        if (!place_mailbox_goes(place->account, child.wire))
            return true;
    return false;
}

static bool has_messages(const struct place *place)
{
    struct journal *journal = place->account->journal;
    struct cache_message message;
    uint64_t from = 1;
    while (place->mailbox.messages != 0 && from <= UINT32_MAX &&
           cache_message_next(place->txn, place->mailbox.messages, (uint32_t)from, &message) ==
               CACHE_OK) {
        const struct journal_address address = {place->mailbox.wire, place->mailbox.uidvalidity,
                                                message.uid};
        if (!journal_hides(journal, &address))
            return true;
        from = (uint64_t)message.uid + 1;
    }
    g_autoptr(journal_entry) arrival = journal_arrival(journal, place->mailbox.wire, 0);
    return arrival != NULL;
}

static bool has_local_files(const struct place *place)
{
    g_autofree char *name = NULL;
    return draft_next(node_inode(place->node), 0, &name) != 0;
}

/* A list that is not known is asked for: a full mailbox is told from an empty one. What comes to it
 * later is found out by the engine, before it sends anything. */
static int remove_check(const struct place *place, struct need *need)
{
    const struct cache_mailbox *mailbox = &place->mailbox;
    if (strcmp(mailbox->wire, "INBOX") == 0)
        return EPERM;
    bool known = mailbox->rights != NULL && mailbox->rights[0] != '\0';
    int error = known ? change_rights(mailbox, "x") : 0;
    if (error != 0)
        return error;
    if (has_children(place) || has_messages(place) || has_local_files(place))
        return ENOTEMPTY;
    bool listed = mailbox->flags & (CACHE_MAILBOX_COMPLETE | CACHE_MAILBOX_NOSELECT);
    if (listed || need->round > 0 || journal_creates(place->account->journal, mailbox->wire))
        return 0;
    struct engine_wish wish = {.want = ENGINE_MAILBOX, .folder = mailbox->slot};
    need->optional = true;
    return need_add(need, place->account->engine, &wish);
}

/* Whether `wire` is the mailbox, or one below it. */
static bool is_below(const char *wire, const char *mailbox, char delimiter)
{
    size_t length = strlen(mailbox);
    return strncmp(wire, mailbox, length) == 0 &&
           (wire[length] == '\0' || (delimiter != 0 && wire[length] == delimiter));
}

/* Whether anything but its CREATE waits that needs the mailbox, as what passes through it does. */
static bool mailbox_is_needed(struct journal *journal, const char *wire, char delimiter)
{
    uint64_t after = 0;
    for (;;) {
        g_autoptr(journal_entry) entry = journal_next(journal, after);
        if (entry == NULL)
            return false;
        after = entry->id;
        bool creates = entry->kind == JOURNAL_CREATE && strcmp(entry->target, wire) == 0;
        if (!creates && (is_below(entry->target, wire, delimiter) ||
                         is_below(entry->message.mailbox, wire, delimiter)))
            return true;
    }
}

/* A CREATE that was not sent is taken back. */
static bool remove_unmade(struct mounted_account *account, const char *wire, char delimiter)
{
    if (!journal_creates(account->journal, wire) ||
        mailbox_is_needed(account->journal, wire, delimiter))
        return false;
    uint64_t after = 0;
    for (;;) {
        g_autoptr(journal_entry) entry = journal_next(account->journal, after);
        if (entry == NULL)
            return false;
        after = entry->id;
        if (entry->kind == JOURNAL_CREATE && strcmp(entry->target, wire) == 0 &&
            journal_cancel(account->journal, entry->id) == CACHE_OK)
            return true;
    }
}

static int cache_forget(struct mounted_account *account, uint32_t slot)
{
    g_autofree char *path = path_of(account, slot);
    g_autoptr(cache_txn) txn = cache_txn_write(account->cache);
    int error = cache_mailbox_remove(txn, slot);
    if (error == CACHE_OK)
        error = cache_txn_commit(g_steal_pointer(&txn));
    if (error == CACHE_OK)
        tell(account, ENGINE_FOLDER_GONE, slot, path, NULL);
    return error_of_cache(error);
}

int change_remove_mailbox(const struct mounted *mounted, const struct change_child *child,
                          struct need *need)
{
    struct mounted_account *account;
    g_autofree char *wire = NULL;
    uint32_t slot, parent;
    char delimiter;
    {
        g_auto(place) place = {0};
        int error = place_find(mounted, child->inode, &place);
        if (error != 0)
            return error;
        if (place.kind != PLACE_MAILBOX)
            return EPERM;
        error = remove_check(&place, need);
        if (error != 0)
            return error;
        account = place.account;
        wire = g_strdup(place.mailbox.wire);
        slot = place.mailbox.slot;
        parent = place.mailbox.parent;
        delimiter = place.mailbox.delimiter;
    }
    touched_add(node_inode((struct node){.slot = parent}));
    if (remove_unmade(account, wire, delimiter))
        return cache_forget(account, slot);
    const struct journal_entry entry = {
        .kind = JOURNAL_REMOVE, .message = {.mailbox = wire}, .delimiter = delimiter};
    uint64_t id;
    int error = change_add(account, &entry, false, &id);
    return error != 0 ? error : change_await(account, id, need);
}

/* ---- renaming ---- */

struct renamed {
    uint32_t slot, parent;
    char *old, *wire, *name;
};

static void renamed_clear(struct renamed *one)
{
    g_free(one->old);
    g_free(one->wire);
    g_free(one->name);
}

static void renamed_add(GArray *all, const struct cache_mailbox *mailbox, char *wire)
{
    const struct renamed one = {
        .slot = mailbox->slot,
        .parent = mailbox->parent,
        .old = g_strdup(mailbox->wire),
        .wire = wire,
        .name = g_strdup(mailbox->name),
    };
    g_array_append_val(all, one);
}

/* The mailbox and all below it, parents first, each with the name that it will have. */
static GArray *renamed_find(struct cache_txn *txn, const struct cache_mailbox *mailbox,
                            const char *wire)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct renamed));
    g_array_set_clear_func(all, (GDestroyNotify)renamed_clear);
    renamed_add(all, mailbox, g_strdup(wire));
    size_t length = strlen(g_array_index(all, struct renamed, 0).old);
    for (guint i = 0; i < all->len; i++) {
        struct cache_mailbox child = {0};
        uint32_t parent = g_array_index(all, struct renamed, i).slot;
        while (cache_mailbox_next(txn, parent, child.slot, &child) == CACHE_OK)
            if (strlen(child.wire) > length)
                renamed_add(all, &child, g_strconcat(wire, child.wire + length, NULL));
    }
    return all;
}

static int renamed_store(struct mounted_account *account, const GArray *all)
{
    g_autoptr(cache_txn) txn = cache_txn_write(account->cache);
    int error = CACHE_OK;
    for (guint i = 0; i < all->len && error == CACHE_OK; i++) {
        const struct renamed *one = &g_array_index(all, struct renamed, i);
        error = cache_mailbox_rename(txn, one->slot, one->wire, one->parent, one->name);
    }
    if (error == CACHE_OK)
        error = cache_txn_commit(g_steal_pointer(&txn));
    return error_of_cache(error);
}

void change_rename_back(struct mounted_account *account, const char *from, const char *to)
{
    g_autoptr(GArray) all = NULL;
    {
        g_autoptr(cache_txn) txn = cache_txn_read(account->cache);
        struct cache_mailbox mailbox;
        if (cache_mailbox_by_wire(txn, from, &mailbox) != CACHE_OK ||
            cache_mailbox_by_wire(txn, to, &(struct cache_mailbox){0}) == CACHE_OK)
            return;
        all = renamed_find(txn, &mailbox, to);
    }
    uint32_t slot = g_array_index(all, struct renamed, 0).slot;
    g_autofree char *was = path_of(account, slot);
    renamed_store(account, all);
    g_autofree char *is = path_of(account, slot);
    tell(account, ENGINE_FOLDER_MOVED, slot, is, was);
}

/* What is renamed, and whether it may be. */
static int rename_from(const struct mounted *mounted, uint64_t inode, const char *wire,
                       const struct above *above, struct mounted_account *account, GArray **all)
{
    g_auto(place) place = {0};
    int error = place_find(mounted, inode, &place);
    if (error != 0)
        return error;
    const struct cache_mailbox *mailbox = &place.mailbox;
    if (place.kind != PLACE_MAILBOX || strcmp(mailbox->wire, "INBOX") == 0)
        return EPERM;
    if (place.account != account)
        return EXDEV;
    bool known = mailbox->rights != NULL && mailbox->rights[0] != '\0';
    error = known ? change_rights(mailbox, "x") : 0;
    if (error != 0)
        return error;
    size_t length = strlen(mailbox->wire);
    if (mailbox->delimiter != 0 && strncmp(wire, mailbox->wire, length) == 0 &&
        wire[length] == mailbox->delimiter)
        return EINVAL;
    *all = renamed_find(place.txn, mailbox, wire);
    return 0;
}

/* An empty mailbox is replaced, as rename(2) does with directories. */
static int rename_over(const struct mounted *mounted, const struct change_child *target)
{
    struct need need = {.round = 1}; /* nothing is waited for */
    if (target->inode == 0)
        return 0;
    int error =
        change_is_mailbox(target) ? change_remove_mailbox(mounted, target, &need) : ENOTEMPTY;
    need_clear(&need);
    return error == NEED_WAIT ? 0 : error;
}

static int rename_do(const struct mounted *mounted, struct mounted_account *account,
                     const struct above *above, const char *new_name, GArray *all,
                     const struct change_child *target, uint64_t *id)
{
    struct renamed *first = &g_array_index(all, struct renamed, 0);
    const struct journal_entry entry = {
        .kind = JOURNAL_RENAME,
        .message = {.mailbox = first->old},
        .target = first->wire,
        .delimiter = above->delimiter,
    };
    int error = rename_over(mounted, target);
    if (error == 0 && target->inode != 0)
        cache_forget(account, target->node.slot);
    if (error == 0)
        error = change_add(account, &entry, false, id);
    if (error != 0)
        return error;
    first->parent = above->slot;
    g_free(first->name);
    first->name = g_strdup(new_name);
    return renamed_store(account, all);
}

int change_rename_mailbox(const struct mounted *mounted, const struct change_child *old,
                          uint64_t new_parent, const char *new_name,
                          const struct change_child *target, struct need *need)
{
    struct mounted_account *account;
    uint32_t slot;
    {
        g_auto(place) place = {0};
        int error = change_directory(mounted, new_parent, &place);
        if (error != 0)
            return error;
        account = place.account;
        slot = place.kind == PLACE_MAILBOX ? place.mailbox.slot : 0;
    }
    if (draft_is_no_mailbox(new_name))
        return EPERM;
    uint64_t id;
    struct above above = {0};
    g_autofree char *wire = NULL;
    g_autoptr(GArray) all = NULL;
    int error = above_find(account, slot, &above);
    g_autofree char *above_wire G_GNUC_UNUSED = above.wire;
    if (error == 0)
        error = wire_of(account, &above, new_name, &wire);
    if (error == 0)
        error = rename_from(mounted, old->inode, wire, &above, account, &all);
    g_autofree char *was = path_of(account, node_of(old->inode).slot);
    if (error == 0)
        error = rename_do(mounted, account, &above, new_name, all, target, &id);
    if (error != 0)
        return error;
    g_autofree char *is = path_of(account, node_of(old->inode).slot);
    tell(account, ENGINE_FOLDER_MOVED, node_of(old->inode).slot, is, was);
    touched_add(node_inode(old->node));
    touched_add(new_parent);
    notify_entry(new_parent, new_name);
    return change_await(account, id, need);
}
