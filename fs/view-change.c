#include <errno.h>
#include <string.h>

#include "fs/change.h"
#include "fs/name.h"
#include "fs/view-private.h"

/* Sets (or clears) what a view stands for. */
static int view_change(const struct mounted *mounted, uint16_t part, uint64_t message, bool into)
{
    const struct flag_view *view = view_flag(part);
    const char *flag = view != NULL ? view->flag : keyword_of(part);
    bool set = view != NULL && view->inverse ? !into : into;
    if (flag == NULL)
        return EPERM;
    return change_flags(mounted, message, set ? flag : NULL, set ? NULL : flag);
}

/* A view that can be changed, and the mailbox that it is of. */
static int view_at(const struct mounted *mounted, uint64_t inode, struct place *place)
{
    int error = place_find(mounted, inode, place);
    if (error == 0 && place->kind != PLACE_VIEW)
        error = EPERM;
    return error;
}

/* Whether a message is shown in the mailbox of a view: it lies there, or is on its way. */
static bool is_shown(const struct place *view, struct node node)
{
    struct cache_mailbox from;
    if (node.slot == view->mailbox.messages)
        return true;
    if (view->account->journal == NULL ||
        cache_mailbox_of_messages(view->txn, node.slot, &from) != CACHE_OK)
        return false;
    const struct journal_address address = {from.wire, from.uidvalidity, node.uid};
    g_autoptr(journal_entry) entry = journal_placing(view->account->journal, &address, 0);
    return entry != NULL && strcmp(entry->target, view->mailbox.wire) == 0;
}

/* Why a message is not shown in the mailbox of a view: it lies in another, or it moved while we
 * looked, and the kernel does well to look its name up once more. `moved`: the inode that it was
 * taken to have. */
static int not_shown(const struct mounted *mounted, uint64_t view, uint64_t message, uint64_t moved)
{
    struct node node = node_of(moved);
    {
        g_auto(place) place = {0};
        node.part = NODE_PART_MESSAGE;
        if (place_find(mounted, node_inode(node), &place) != 0 || place.departed)
            return ESTALE;
    }
    g_auto(place) again = {0};
    bool still = change_moved(message) == moved && view_at(mounted, view, &again) == 0 &&
                 !is_shown(&again, node);
    return still ? EPERM : ESTALE;
}

/* Finds the view of `part`, and the message's node where it is now. */
static int view_of_message(const struct mounted *mounted, uint64_t view, uint64_t message,
                           struct node *node, uint16_t *part)
{
    g_auto(place) place = {0};
    int error = view_at(mounted, view, &place);
    if (error != 0)
        return error;
    uint64_t moved = change_moved(message);
    *node = node_of(moved);
    *part = place.node.part;
    bool whole = node->part == NODE_PART_MESSAGE || node->part == NODE_PART_VIEW;
    if (node->uid == 0 || !whole) /* a view is of whole messages, and of its own mailbox */
        return EPERM;
    if (is_shown(&place, *node))
        return 0;
    place_end(&place);
    return not_shown(mounted, view, message, moved);
}

int view_add(const struct mounted *mounted, uint64_t view, uint64_t message, struct tree_attr *attr)
{
    struct node node;
    uint16_t part;
    int error = view_of_message(mounted, view, message, &node, &part);
    if (error != 0)
        return error;
    node.part = NODE_PART_MESSAGE;
    error = view_change(mounted, part, node_inode(node), true);
    node.part = NODE_PART_VIEW;
    struct need none = {0};
    if (error == 0 && attr != NULL)
        error = tree_attr(mounted, node_inode(node), false, attr, &none);
    return error;
}

uint64_t view_message(const struct mounted *mounted, uint64_t view, const char *name,
                      uint64_t *directory, int *error, struct need *need)
{
    g_auto(place) place = {0};
    struct node node;
    *error = view_at(mounted, view, &place);
    if (*error == 0)
        *error = view_lookup(&place, name, &node, need);
    if (*error != 0)
        return 0;
    *directory = node_inode((struct node){.slot = place.mailbox.slot});
    node.part = NODE_PART_MESSAGE;
    return node_inode(node);
}

int view_remove(const struct mounted *mounted, uint64_t view, const char *name, struct need *need)
{
    uint64_t directory;
    int error;
    uint64_t message = view_message(mounted, view, name, &directory, &error, need);
    return message != 0 ? view_change(mounted, node_of(view).part, message, false) : error;
}

int view_move(const struct mounted *mounted, uint64_t view, const char *name, uint64_t target,
              struct need *need)
{
    uint64_t directory;
    int error;
    uint64_t message = view_message(mounted, view, name, &directory, &error, need);
    if (message == 0 || view == target)
        return error;
    error = view_add(mounted, target, message, NULL);
    return error == 0 ? view_change(mounted, node_of(view).part, message, false) : error;
}

int view_mkdir(const struct mounted *mounted, uint64_t parent, const char *name,
               struct tree_attr *attr)
{
    g_autofree char *keyword = name_to_mailbox(name);
    struct node node;
    {
        g_auto(place) place = {0};
        int error = place_find(mounted, parent, &place);
        if (error != 0)
            return error;
        if (place.kind != PLACE_VIEWS || place.node.part != VIEW_TAGS)
            return EPERM;
        if (place.account->account->read_only)
            return EROFS;
        struct engine_status status;
        engine_status_read(place.account->engine, &status);
        if (!status.new_keywords)
            return EPERM;
        if (keyword == NULL || !keyword_is(keyword))
            return EINVAL;
        if (view_lookup_tag(&place, name, &node) == 0)
            return EEXIST;
        node = place.node;
    }
    node.part = keyword_part(keyword);
    if (node.part == 0)
        return ENOSPC;
    keyword_make(node, true);
    struct need none = {0};
    return tree_attr(mounted, node_inode(node), false, attr, &none);
}

int view_rmdir(const struct mounted *mounted, uint64_t parent, const char *name)
{
    g_auto(place) place = {0};
    struct node node;
    int error = place_find(mounted, parent, &place);
    if (error != 0)
        return error;
    if (place.kind != PLACE_VIEWS || place.node.part != VIEW_TAGS)
        return EPERM;
    node = place.node;
    error = view_lookup_tag(&place, name, &node);
    if (error != 0)
        return error;
    struct place message = view_first_message(&place);
    for (uint64_t from = 1; view_next_message(&message, from);
         from = (uint64_t)message.message.uid + 1)
        if (view_holds(&message, node.part))
            return ENOTEMPTY;
    keyword_make(node, false);
    return 0;
}
