#include "fs/tree.h"

#include <errno.h>
#include <string.h>

#include "fs/content.h"
#include "fs/name.h"

#define CONTROL_NAME ".mailmount"
#define STATUS_NAME "status"
#define HEADERS_NAME "headers.txt"

/* ---- attributes ---- */

static void attr_times(const struct mounted *mounted, const struct place *place,
                       struct tree_attr *attr)
{
    attr->mtime_ns = attr->ctime_ns = mounted->since_ns;
    if (place->message.uid != 0) {
        attr->mtime_ns = place->message.internaldate * (int64_t)1000000000;
        attr->ctime_ns = MAX(place->message.ctime_ns, attr->mtime_ns);
    } else if (place->kind == PLACE_MAILBOX && place->mailbox.mtime_ns != 0) {
        attr->mtime_ns = attr->ctime_ns = place->mailbox.mtime_ns;
    }
}

static void attr_owner(const struct mounted *mounted, const struct place *place,
                       struct tree_attr *attr)
{
    const struct mounted_account *mine =
        place->account != NULL ? place->account : &mounted->accounts[0];
    attr->permissions = (attr->directory ? 0777 : 0666) & ~mine->account->umask;
    attr->uid = mine->account->uid;
    attr->gid = mine->account->gid;
}

/* Fills all but the size of files. */
static void attr_of(const struct mounted *mounted, const struct place *place,
                    struct tree_attr *attr)
{
    *attr = (struct tree_attr){
        .inode = node_inode(place->node),
        .directory = place_is_directory(place),
        .exact = true,
        .steady = place->message.uid != 0,
    };
    attr_times(mounted, place, attr);
    attr_owner(mounted, place, attr);
}

int tree_place_attr(const struct mounted *mounted, struct place *place, bool exact,
                    struct tree_attr *attr, struct need *need)
{
    attr_of(mounted, place, attr);
    if (attr->directory)
        return 0;
    int error = content_size(mounted, place, exact, &attr->size, &attr->exact, need);
    attr->steady = attr->steady && attr->exact;
    return error;
}

int tree_attr(const struct mounted *mounted, uint64_t inode, bool exact, struct tree_attr *attr,
              struct need *need)
{
    g_auto(place) place = {0};
    int error = place_find(mounted, inode, &place);
    return error == 0 ? tree_place_attr(mounted, &place, exact, attr, need) : error;
}

/* ---- lookup ---- */

/* Attributes of a node that was found under its parent. */
static int found(const struct mounted *mounted, struct node node, struct tree_attr *attr)
{
    struct need none = {0};
    int error = tree_attr(mounted, node_inode(node), false, attr, &none);
    need_clear(&none);
    return error == ESTALE ? ENOENT : error;
}

static int lookup_root(const struct mounted *mounted, const struct place *parent, const char *name,
                       struct node *node, struct need *need)
{
    for (unsigned i = 0; i < mounted->count; i++) {
        if (strcmp(mounted->accounts[i].account->name, name) == 0) {
            *node = (struct node){.slot = mounted->accounts[i].root};
            return 0;
        }
    }
    return ENOENT;
}

static int lookup_control(const struct mounted *mounted, const struct place *parent,
                          const char *name, struct node *node, struct need *need)
{
    *node = (struct node){.part = NODE_STATUS};
    return strcmp(name, STATUS_NAME) == 0 ? 0 : ENOENT;
}

static bool face_shown(const struct place *place, bool eml)
{
    enum account_view view = place->account->account->view;
    return view == ACCOUNT_VIEW_BOTH || (view == ACCOUNT_VIEW_MESSAGES) == eml;
}

/* Whether the list may lack a message: it was never whole, or is older than the UID. */
static bool list_may_lack(const struct cache_mailbox *mailbox, uint32_t uid)
{
    return !(mailbox->flags & CACHE_MAILBOX_COMPLETE) || uid >= mailbox->uidnext;
}

/* A message's name holds its UID. */
static int lookup_message(const struct place *parent, const char *name, uint32_t uid, bool eml,
                          struct node *node, struct need *need)
{
    const struct cache_mailbox *mailbox = &parent->mailbox;
    struct cache_message message;
    if (mailbox->messages == 0 ||
        cache_message_get(parent->txn, mailbox->messages, uid, &message) != CACHE_OK) {
        if (need->round > 0 || !list_may_lack(mailbox, uid))
            return ENOENT;
        struct engine_wish wish = {.want = ENGINE_MAILBOX, .folder = mailbox->slot};
        return need_add(need, parent->account->engine, &wish);
    }
    size_t length = strlen(message.name);
    if (strncmp(message.name, name, length) != 0 || strcmp(name + length, eml ? ".eml" : "") != 0 ||
        !face_shown(parent, eml))
        return ENOENT;
    *node = (struct node){
        .slot = mailbox->messages,
        .uid = uid,
        .part = eml ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY,
    };
    return 0;
}

/* A name that no folder had may be a new one's. Names with a dot in front are asked for by tools in
 * every directory, and not worth a round trip. */
static int need_folders(const struct place *parent, struct need *need)
{
    if (need->round > 0)
        return ENOENT;
    struct engine_wish wish = {.want = ENGINE_FOLDERS};
    need->optional = true;
    return need_add(need, parent->account->engine, &wish);
}

static int lookup_mailbox(const struct mounted *mounted, const struct place *parent,
                          const char *name, struct node *node, struct need *need)
{
    uint32_t uid;
    bool eml;
    if (parent->kind == PLACE_MAILBOX && name_message_uid(name, &uid, &eml))
        return lookup_message(parent, name, uid, eml, node, need);
    struct cache_mailbox child;
    if (cache_mailbox_by_name(parent->txn, parent->mailbox.slot, name, &child) != CACHE_OK)
        return name[0] == '.' ? ENOENT : need_folders(parent, need);
    *node = (struct node){.slot = child.slot};
    return 0;
}

static int lookup_part(const struct mounted *mounted, const struct place *parent, const char *name,
                       struct node *node, struct need *need)
{
    *node = parent->node;
    struct cache_parts parts;
    if (cache_parts_get(parent->txn, parent->message.object, &parts) != CACHE_OK)
        return need_parts(parent, need);
    if (parent->node.part == NODE_PART_DIRECTORY && strcmp(name, HEADERS_NAME) == 0) {
        node->part = NODE_PART_HEADERS;
        return 0;
    }
    struct cache_part part;
    for (size_t at = 0; cache_parts_next(&parts, &at, &part);) {
        if (part.parent == parent->node.part && strcmp(part.name, name) == 0) {
            node->part = part.number;
            return 0;
        }
    }
    return ENOENT;
}

int tree_lookup(const struct mounted *mounted, uint64_t parent, const char *name,
                struct tree_attr *attr, bool *lasting, struct need *need)
{
    static int (*const LOOKUP[])(const struct mounted *, const struct place *, const char *,
                                 struct node *, struct need *) = {
        [PLACE_ROOT] = lookup_root,       [PLACE_ACCOUNT] = lookup_mailbox,
        [PLACE_MAILBOX] = lookup_mailbox, [PLACE_CONTROL] = lookup_control,
        [PLACE_PARTS] = lookup_part,      [PLACE_PART] = NULL,
    };
    struct node node;
    {
        g_auto(place) place = {0};
        int error = place_find(mounted, parent, &place);
        if (error != 0)
            return error;
        if (!place_is_directory(&place))
            return ENOTDIR;
        *lasting = place.kind == PLACE_PARTS || name[0] == '.';
        if (parent == NODE_ROOT && strcmp(name, CONTROL_NAME) == 0)
            node = (struct node){.part = NODE_CONTROL};
        else
            error = LOOKUP[place.kind](mounted, &place, name, &node, need);
        if (error != 0)
            return error;
    }
    return found(mounted, node, attr);
}

/* ---- opening a directory ---- */

int tree_open(const struct mounted *mounted, uint64_t inode, struct need *need)
{
    g_auto(place) place = {0};
    int error = place_find(mounted, inode, &place);
    if (error != 0)
        return error;
    if (!place_is_directory(&place))
        return ENOTDIR;
    if (place.kind == PLACE_PARTS) {
        struct cache_parts parts;
        int have = cache_parts_get(place.txn, place.message.object, &parts);
        return have == CACHE_OK ? 0 : need_parts(&place, need);
    }
    if (need->round > 0)
        return 0;
    struct engine_wish wish = {.want = ENGINE_FOLDERS};
    if (place.kind == PLACE_MAILBOX && !(place.mailbox.flags & CACHE_MAILBOX_NOSELECT))
        wish = (struct engine_wish){.want = ENGINE_MAILBOX, .folder = place.mailbox.slot};
    else if (place.kind != PLACE_ACCOUNT)
        return 0;
    need->optional = place.kind == PLACE_ACCOUNT;
    return need_add(need, place.account->engine, &wish);
}
