#include "fs/change.h"

#include <errno.h>
#include <string.h>

#include "fs/change-private.h"
#include "fs/draft.h"
#include "fs/error.h"
#include "fs/notify.h"
#include "fs/refused.h"
#include "fs/trace.h"
#include "fs/view.h"

/* ---- what may be changed ---- */

int change_child(const struct mounted *mounted, uint64_t parent, const char *name,
                 struct change_child *child)
{
    struct need need = {.round = 1};
    struct tree_attr attr;
    bool lasting;
    *child = (struct change_child){0};
    int error = tree_lookup(mounted, parent, name, &attr, &lasting, &need);
    need_clear(&need);
    if (error != 0)
        return error == ENOENT || error == NEED_WAIT ? 0 : error;
    *child = (struct change_child){attr.inode, node_of(attr.inode), attr.directory};
    return 0;
}

static bool all_read_only(const struct mounted *mounted)
{
    for (unsigned i = 0; i < mounted->count; i++)
        if (!mounted->accounts[i].account->read_only)
            return false;
    return true;
}

int change_directory(const struct mounted *mounted, uint64_t inode, struct place *place)
{
    int error = place_find(mounted, inode, place);
    if (error != 0)
        return error;
    if (!place_is_directory(place))
        return ENOTDIR;
    bool mail = place->kind == PLACE_ACCOUNT || place->kind == PLACE_MAILBOX;
    if (place->account != NULL ? place->account->account->read_only : all_read_only(mounted))
        return EROFS;
    if (!mail && place->kind != PLACE_FAILED)
        return EPERM;
    return mail && place->account->journal == NULL ? EROFS : 0;
}

/* Servers of RFC 2086 know two letters in the place of five. */
static bool right_granted(const char *rights, char letter)
{
    if (strchr(rights, letter) != NULL)
        return true;
    if (strpbrk(rights, "kxte") != NULL)
        return false;
    return (strchr("tex", letter) != NULL && strchr(rights, 'd') != NULL) ||
           (strchr("kx", letter) != NULL && strchr(rights, 'c') != NULL);
}

int change_rights(const struct cache_mailbox *mailbox, const char *letters)
{
    bool known = mailbox->rights != NULL && mailbox->rights[0] != '\0';
    if (!known)
        return mailbox->flags & CACHE_MAILBOX_READONLY ? EACCES : 0;
    for (const char *letter = letters; *letter != '\0'; letter++)
        if (!right_granted(mailbox->rights, *letter))
            return EACCES;
    return 0;
}

int change_quota(const struct mounted_account *account)
{
    struct engine_status status;
    engine_status_read(account->engine, &status);
    bool full = status.quota_known &&
                ((status.quota_limit >= 0 && status.quota_used >= status.quota_limit) ||
                 (status.quota_messages_limit >= 0 &&
                  status.quota_messages >= status.quota_messages_limit));
    return full ? EDQUOT : 0;
}

int change_add(struct mounted_account *account, const struct journal_entry *entry, bool durable,
               uint64_t *id)
{
    uint64_t given = 0;
    int error = error_of_cache(journal_add(account->journal, entry, durable, &given));
    if (id != NULL)
        *id = given;
    if (error == 0)
        engine_push(account->engine);
    return error;
}

int change_await(struct mounted_account *account, uint64_t id, struct need *need)
{
    struct journal_counts counts;
    journal_counts(account->journal, &counts);
    if (counts.waiting > 1) /* 0: it was quick, and is answered at once */
        return 0;
    need->made = id;
    need->optional = true;
    struct engine_wish wish = {.want = ENGINE_PUSHED, .entry = id, .brief = true};
    return need_add(need, account->engine, &wish);
}

int change_said(const struct mounted *mounted, uint64_t parent, const struct need *need)
{
    g_auto(place) place = {0};
    int error = need->answer != ENGINE_OK ? place_find(mounted, parent, &place) : 0;
    if (error != 0 || need->answer == ENGINE_OK || place.account == NULL)
        return error;
    g_autoptr(journal_entry) entry = journal_next(place.account->journal, need->made - 1);
    bool waits = entry != NULL && entry->id == need->made;
    return waits ? 0 : error_of_engine(need->answer);
}

int change_may_add(const struct mounted *mounted, uint64_t parent)
{
    g_auto(place) place = {0};
    int error = change_directory(mounted, parent, &place);
    if (error != 0)
        return error;
    if (place.kind != PLACE_MAILBOX || (place.mailbox.flags & CACHE_MAILBOX_NOSELECT))
        return EPERM;
    error = change_rights(&place.mailbox, "i");
    return error != 0 ? error : change_quota(place.account);
}

/* ---- removing ---- */

static int unlink_child(const struct mounted *mounted, uint64_t parent, const char *name,
                        const struct change_child *child)
{
    if (child->directory)
        return EISDIR;
    if (node_is_ghost(child->node))
        return ghost_take(parent, name) ? 0 : ENOENT;
    if (node_is_refused(child->node))
        return refused_remove(mounted, child->inode);
    if (draft_is_inode(child->inode))
        return draft_unlink(mounted, parent, name);
    if (child->node.slot == 0)
        return EPERM;
    return change_unlink_message(mounted, parent, name, child);
}

int change_unlink(const struct mounted *mounted, uint64_t parent, const char *name,
                  struct need *need)
{
    if (view_is(parent))
        return view_remove(mounted, parent, name, need);
    {
        g_auto(place) place = {0};
        int error = change_directory(mounted, parent, &place);
        if (error != 0)
            return error;
    }
    struct change_child child;
    int error = change_child(mounted, parent, name, &child);
    if (error != 0)
        return error;
    return child.inode != 0 ? unlink_child(mounted, parent, name, &child) : ENOENT;
}

/* The message's directory stands for the message where there is nothing else of it. */
static int rmdir_message(const struct mounted *mounted, uint64_t parent, const char *name,
                         const struct change_child *child)
{
    g_auto(place) place = {0};
    int error = place_find(mounted, parent, &place);
    if (error != 0)
        return error;
    if (place.account->account->view != ACCOUNT_VIEW_PARTS)
        return ENOTEMPTY;
    place_end(&place);
    return change_unlink_message(mounted, parent, name, child);
}

int change_rmdir(const struct mounted *mounted, uint64_t parent, const char *name,
                 struct need *need)
{
    if (view_is(parent))
        return view_rmdir(mounted, parent, name);
    if (need->made != 0)
        return change_said(mounted, parent, need);
    {
        g_auto(place) place = {0};
        int error = change_directory(mounted, parent, &place);
        if (error != 0)
            return error;
    }
    struct change_child child;
    int error = change_child(mounted, parent, name, &child);
    if (error != 0 || child.inode == 0)
        return error != 0 ? error : ENOENT;
    if (!child.directory)
        return ENOTDIR;
    if (node_is_ghost(child.node))
        return ghost_take(parent, name) ? 0 : ENOENT;
    if (change_is_message(&child))
        return rmdir_message(mounted, parent, name, &child);
    return change_is_mailbox(&child) ? change_remove_mailbox(mounted, &child, need) : EPERM;
}

/* ---- renaming ---- */

/* What rename(2) says of what is already there. */
static int target_allows(const struct change_child *old, const struct change_child *target,
                         bool noreplace)
{
    if (target->inode == 0)
        return 0;
    if (noreplace)
        return EEXIST;
    if (target->directory && !old->directory)
        return EISDIR;
    return !target->directory && old->directory ? ENOTDIR : 0;
}

static int rename_draft(const struct mounted *mounted, const struct change_child *old,
                        uint64_t new_parent, const char *new_name,
                        const struct change_child *target)
{
    if (node_is_ghost(target->node))
        ghost_take(new_parent, new_name);
    uint64_t replaces = change_is_message(target) ? target->inode : 0;
    return draft_rename(mounted, old->inode, new_parent, new_name, replaces);
}

/* EXDEV between accounts: mv then copies and removes. */
static int same_account(const struct mounted *mounted, uint64_t one, uint64_t other)
{
    g_auto(place) a = {0};
    int error = change_directory(mounted, one, &a);
    const struct mounted_account *account = a.account;
    place_end(&a);
    g_auto(place) b = {0};
    if (error == 0)
        error = change_directory(mounted, other, &b);
    if (error != 0)
        return error;
    return account != b.account ? EXDEV : account == NULL ? EPERM : 0;
}

/* Into a view: the message bears the flag, and stays where it is. */
static int rename_into_view(const struct mounted *mounted, uint64_t parent, const char *name,
                            uint64_t view, const char *new_name, struct need *need)
{
    struct change_child old;
    int error = view_is(parent) ? view_move(mounted, parent, name, view, need)
                                : change_child(mounted, parent, name, &old);
    if (error == 0 && !view_is(parent))
        error = old.inode != 0 ? view_add(mounted, view, old.inode, NULL) : ENOENT;
    if (error != 0)
        return error;
    notify_entry(parent, name); /* the kernel takes it for gone there */
    notify_entry(view, new_name);
    return 0;
}

/* Out of a view into a mailbox: the message itself moves. */
static int rename_out_of_view(const struct mounted *mounted, uint64_t view, const char *name,
                              uint64_t new_parent, const char *new_name, bool noreplace,
                              struct need *need)
{
    uint64_t directory;
    int error;
    uint64_t message = view_message(mounted, view, name, &directory, &error, need);
    return message != 0
               ? change_rename(mounted, directory, name, new_parent, new_name, noreplace, need)
               : error;
}

int change_rename(const struct mounted *mounted, uint64_t parent, const char *name,
                  uint64_t new_parent, const char *new_name, bool noreplace, struct need *need)
{
    if (view_is(new_parent))
        return rename_into_view(mounted, parent, name, new_parent, new_name, need);
    if (view_is(parent))
        return rename_out_of_view(mounted, parent, name, new_parent, new_name, noreplace, need);
    if (need->made != 0)
        return change_said(mounted, new_parent, need);
    struct change_child old, target;
    int error = same_account(mounted, parent, new_parent);
    if (error == 0)
        error = change_child(mounted, parent, name, &old);
    if (error == 0)
        error = change_child(mounted, new_parent, new_name, &target);
    if (error != 0)
        return error;
    if (old.inode == 0)
        return ENOENT;
    if (old.inode == target.inode)
        return 0;
    if (node_is_ghost(old.node))
        return change_rename_ghost(mounted, parent, name, &old, new_parent, &target);
    error = target_allows(&old, &target, noreplace);
    if (error != 0)
        return error;
    if (draft_is_inode(old.inode))
        return rename_draft(mounted, &old, new_parent, new_name, &target);
    if (change_is_message(&old))
        return change_rename_message(mounted, parent, name, &old, new_parent, new_name, &target);
    return change_is_mailbox(&old)
               ? change_rename_mailbox(mounted, &old, new_parent, new_name, &target, need)
               : EPERM;
}

/* ---- adding ---- */

int change_link(const struct mounted *mounted, uint64_t inode, uint64_t new_parent,
                const char *new_name, struct tree_attr *attr, struct need *need)
{
    if (view_is(new_parent))
        return view_add(mounted, new_parent, inode, attr);
    {
        g_auto(place) place = {0};
        int error = change_directory(mounted, new_parent, &place);
        if (error != 0)
            return error;
    }
    struct change_child target;
    int error = change_child(mounted, new_parent, new_name, &target);
    if (error != 0)
        return error;
    if (target.inode != 0)
        return EEXIST;
    return draft_is_inode(inode) ? draft_link(mounted, inode, new_parent, new_name, attr) : EPERM;
}

/* The server's word is there. */
static int mkdir_said(const struct mounted *mounted, uint64_t parent, const char *name,
                      struct tree_attr *attr, struct need *need)
{
    struct change_child made;
    int error = change_said(mounted, parent, need);
    if (error == 0)
        error = change_child(mounted, parent, name, &made);
    if (error == 0 && made.inode == 0)
        error = ENOENT;
    return error != 0 ? error : tree_attr(mounted, made.inode, false, attr, need);
}

int change_mkdir(const struct mounted *mounted, uint64_t parent, const char *name,
                 struct tree_attr *attr, struct need *need)
{
    if (view_is(parent))
        return view_mkdir(mounted, parent, name, attr);
    if (need->made != 0)
        return mkdir_said(mounted, parent, name, attr, need);
    uint64_t id;
    struct mounted_account *account;
    uint32_t above, slot = 0;
    {
        g_auto(place) place = {0};
        int error = change_directory(mounted, parent, &place);
        if (error != 0)
            return error;
        if (place.kind == PLACE_FAILED || draft_is_no_mailbox(name))
            return EPERM;
        account = place.account;
        above = place.kind == PLACE_MAILBOX ? place.mailbox.slot : 0;
    }
    struct change_child target;
    int error = change_child(mounted, parent, name, &target);
    if (error != 0)
        return error;
    if (target.inode != 0)
        return EEXIST;
    error = change_make_mailbox(account, above, name, &slot, &id);
    if (error != 0)
        return error;
    touched_add(parent);
    uint64_t inode = node_inode((struct node){.slot = slot});
    draft_saved_add(inode); /* archivers set times and mode of what they have made */
    error = change_await(account, id, need);
    return error != 0 ? error : tree_attr(mounted, inode, false, attr, need);
}

uint64_t change_moved(uint64_t inode)
{
    return moved_find(inode);
}
