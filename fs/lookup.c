/* Names of fs/tree.h. In a mailbox a name is looked for among local files and ghosts, what the
 * journal brings, the messages, the names that were asked for, and the mailboxes below. */
#include <errno.h>
#include <string.h>

#include "fs/arrival.h"
#include "fs/control.h"
#include "fs/draft.h"
#include "fs/name.h"
#include "fs/refused.h"
#include "fs/trace.h"
#include "fs/tree.h"
#include "fs/view.h"

#define CONTROL_NAME ".mailmount"
#define HEADERS_NAME "headers.txt"
/* What is not found is looked for again where a change was settled meanwhile; so often at most. */
#define LOOKUP_TRIES_MAX 5

struct finding {
    const struct mounted *mounted;
    const struct place *parent;
    const char *name;
    struct need *need;
    /* found */
    struct node node;
    bool passing; /* by a name that does not last */
};

/* Attributes of a node that was found under its parent. */
static int found(const struct finding *finding, struct tree_attr *attr)
{
    struct need none = {0};
    int error = tree_attr(finding->mounted, node_inode(finding->node), false, attr, &none);
    need_clear(&none);
    attr->passing = attr->passing || finding->passing;
    return error == ESTALE ? ENOENT : error;
}

static int lookup_root(struct finding *finding)
{
    const struct mounted *mounted = finding->mounted;
    for (unsigned i = 0; i < mounted->count; i++) {
        if (strcmp(mounted->accounts[i].account->name, finding->name) == 0) {
            finding->node = (struct node){.slot = mounted->accounts[i].root};
            return 0;
        }
    }
    return ENOENT;
}

static int lookup_control(struct finding *finding)
{
    for (const struct control_entry *entry = CONTROL_ENTRIES; entry->name != NULL; entry++) {
        if (strcmp(finding->name, entry->name) == 0) {
            finding->node = (struct node){.part = entry->node};
            return 0;
        }
    }
    return ENOENT;
}

static int lookup_refused(struct finding *finding)
{
    uint64_t inode = refused_find(finding->mounted, finding->name);
    finding->node = node_of(inode);
    return inode != 0 ? 0 : ENOENT;
}

static int lookup_nothing(struct finding *finding)
{
    return ENOENT;
}

/* ---- in a mailbox ---- */

static bool face_shown(const struct place *place, bool eml)
{
    enum account_view view = place->account->account->view;
    return view == ACCOUNT_VIEW_BOTH || (view == ACCOUNT_VIEW_MESSAGES) == eml;
}

/* Whether the list may lack a message: it was never whole, or is older than the UID. */
static bool list_may_lack(const struct place *parent, uint32_t uid)
{
    const struct cache_mailbox *mailbox = &parent->mailbox;
    if (parent->account->journal != NULL &&
        journal_creates(parent->account->journal, mailbox->wire))
        return false;
    return !(mailbox->flags & CACHE_MAILBOX_COMPLETE) || uid >= mailbox->uidnext;
}

/* Whether a message is not to be found by its own name: it goes, or bears another. */
static bool message_is_hidden(const struct place *parent, struct node node)
{
    uint64_t message = node_inode((struct node){node.slot, node.uid, NODE_PART_MESSAGE});
    g_autofree char *alias = node.part == NODE_PART_MESSAGE ? alias_of(message) : NULL;
    return alias != NULL || (arrival_concerns(parent) && arrival_hides(parent, node.uid));
}

/* A message's name holds its UID. */
static int lookup_message(struct finding *finding, uint32_t uid, bool eml, struct need *need)
{
    const struct place *parent = finding->parent;
    const struct cache_mailbox *mailbox = &parent->mailbox;
    const char *name = finding->name;
    struct cache_message message;
    if (mailbox->messages == 0 ||
        cache_message_get(parent->txn, mailbox->messages, uid, &message) != CACHE_OK) {
        if (need->round > 0)
            asked_add(mailbox->slot);
        if (need->round > 0 || !list_may_lack(parent, uid) ||
            ((mailbox->flags & CACHE_MAILBOX_COMPLETE) && asked_lately(mailbox->slot)))
            return ENOENT;
        struct engine_wish wish = {.want = ENGINE_MAILBOX, .folder = mailbox->slot};
        return need_add(need, parent->account->engine, &wish);
    }
    size_t length = strlen(message.name);
    if (strncmp(message.name, name, length) != 0 || strcmp(name + length, eml ? ".eml" : "") != 0 ||
        !face_shown(parent, eml))
        return ENOENT;
    finding->node = (struct node){
        .slot = mailbox->messages,
        .uid = uid,
        .part = eml ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY,
    };
    return message_is_hidden(parent, finding->node) ? ENOENT : 0;
}

/* What lies in a directory though no record of the cache says so. */
static int lookup_local(struct finding *finding)
{
    const struct place *parent = finding->parent;
    uint64_t directory = node_inode(parent->node);
    uint64_t inode = draft_find(finding->mounted, directory, finding->name);
    if (inode == 0)
        inode = alias_find(directory, finding->name);
    uint64_t ghost = inode == 0 ? ghost_find(directory, finding->name) : 0;
    if (ghost != 0)
        inode = ghost_inode(ghost);
    finding->node = node_of(inode);
    if (inode != 0 || parent->kind != PLACE_MAILBOX)
        return inode != 0 ? 0 : ENOENT;
    return arrival_lookup(finding->mounted, parent, finding->name, &finding->node, finding->need);
}

/* A message by its own name, or by one that was asked for. What is asked of the server for the
 * first is not asked if the second is there. */
static int lookup_named(struct finding *finding)
{
    uint32_t uid;
    bool eml;
    struct need wished = {.round = finding->need->round};
    int error = ENOENT;
    if (name_message_uid(finding->name, &uid, &eml))
        error = lookup_message(finding, uid, eml, &wished);
    if (error == 0)
        return 0;
    int asked = arrival_asked(finding->parent, finding->name, &finding->node, finding->need);
    finding->passing = asked == 0;
    if (asked == ENOENT && error == NEED_WAIT)
        return need_add(finding->need, wished.engine, &wished.wishes[0]);
    return asked;
}

/* A name that no folder had may be a new one's. Names with a dot in front are asked for by tools in
 * every directory, and not worth a round trip. */
static int need_folders(const struct finding *finding)
{
    if (finding->need->round > 0 || finding->name[0] == '.')
        return ENOENT;
    struct engine_wish wish = {.want = ENGINE_FOLDERS};
    finding->need->optional = true;
    return need_add(finding->need, finding->parent->account->engine, &wish);
}

static int lookup_mailbox(struct finding *finding)
{
    const struct place *parent = finding->parent;
    uint32_t uid;
    bool eml;
    int error = lookup_local(finding);
    finding->passing = error == 0;
    if (error == ENOENT && parent->kind == PLACE_MAILBOX)
        error = lookup_named(finding);
    if (error != ENOENT ||
        (parent->kind == PLACE_MAILBOX && name_message_uid(finding->name, &uid, &eml)))
        return error;
    struct cache_mailbox child;
    if (cache_mailbox_by_name(parent->txn, parent->mailbox.slot, finding->name, &child) != CACHE_OK)
        return need_folders(finding);
    if (place_mailbox_goes(parent->account, child.wire))
        return ENOENT;
    finding->node = (struct node){.slot = child.slot};
    return 0;
}

static int lookup_view(struct finding *finding)
{
    return view_lookup(finding->parent, finding->name, &finding->node, finding->need);
}

/* .mailmount, in the root and in mailboxes; marks in the root. */
static bool lookup_hidden(struct finding *finding)
{
    const struct place *parent = finding->parent;
    bool root = node_inode(parent->node) == NODE_ROOT;
    const struct control_entry *mark = root ? control_mark(finding->name) : NULL;
    if (mark != NULL) {
        finding->node = (struct node){.part = mark->node};
        return true;
    }
    if ((!root && parent->kind != PLACE_MAILBOX) || strcmp(finding->name, CONTROL_NAME) != 0)
        return false;
    finding->node = root ? (struct node){.part = NODE_CONTROL}
                         : (struct node){.slot = parent->mailbox.slot, .part = VIEW_TOP};
    return true;
}

/* ---- in a message ---- */

static int lookup_part(struct finding *finding)
{
    const struct place *parent = finding->parent;
    struct cache_parts parts;
    if (ghost_is(node_inode(parent->node)))
        return ENOENT;
    finding->node = parent->node;
    if (cache_parts_get(parent->txn, parent->message.object, &parts) != CACHE_OK)
        return need_parts(parent, finding->need);
    if (parent->node.part == NODE_PART_DIRECTORY && strcmp(finding->name, HEADERS_NAME) == 0) {
        finding->node.part = NODE_PART_HEADERS;
        return 0;
    }
    struct cache_part part;
    for (size_t at = 0; cache_parts_next(&parts, &at, &part);) {
        if (part.parent == parent->node.part && strcmp(part.name, finding->name) == 0) {
            finding->node.part = part.number;
            return 0;
        }
    }
    return ENOENT;
}

static int lookup(const struct mounted *mounted, uint64_t parent, const char *name,
                  struct tree_attr *attr, bool *lasting, struct need *need)
{
    static int (*const LOOKUP[PLACE_KINDS])(struct finding *) = {
        [PLACE_ROOT] = lookup_root,       [PLACE_ACCOUNT] = lookup_mailbox,
        [PLACE_MAILBOX] = lookup_mailbox, [PLACE_CONTROL] = lookup_control,
        [PLACE_PARTS] = lookup_part,      [PLACE_GHOST] = lookup_nothing,
        [PLACE_FAILED] = lookup_refused,  [PLACE_VIEWS] = lookup_view,
        [PLACE_VIEW] = lookup_view,
    };
    struct finding finding = {.mounted = mounted, .name = name, .need = need};
    {
        g_auto(place) place = {0};
        int error = place_find(mounted, parent, &place);
        if (error != 0)
            return error;
        if (!place_is_directory(&place))
            return ENOTDIR;
        *lasting = place.kind == PLACE_PARTS || name[0] == '.';
        finding.parent = &place;
        if (!lookup_hidden(&finding))
            error = LOOKUP[place.kind](&finding);
        if (error != 0)
            return error;
    }
    return found(&finding, attr);
}

int tree_lookup(const struct mounted *mounted, uint64_t parent, const char *name,
                struct tree_attr *attr, bool *lasting, struct need *need)
{
    uint64_t settled = tree_settled(mounted);
    int error = lookup(mounted, parent, name, attr, lasting, need);
    for (unsigned tries = 1; error == ENOENT && tries < LOOKUP_TRIES_MAX; tries++) {
        uint64_t now = tree_settled(mounted);
        if (now == settled)
            break;
        settled = now;
        error = lookup(mounted, parent, name, attr, lasting, need);
    }
    return error;
}
