/* Listings of fs/tree.h. Offsets name entries, not positions, so that a listing can be taken up
 * anywhere while mail comes and goes: 1 and 2 for the dots, 3 for .mailmount, OFFSET_FOLDER + slot
 * for a mailbox below, OFFSET_MESSAGE + 2 x UID + face for a message, OFFSET_ARRIVAL + 2 x id +
 * face for what entry `id` of the journal brings, OFFSET_LOCAL + number for local files,
 * OFFSET_PART + number inside a message's directory. */
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

#define OFFSET_PART (UINT64_C(1) << 4)
#define OFFSET_FOLDER (UINT64_C(1) << 24)
#define OFFSET_MESSAGE (UINT64_C(1) << 40)
#define OFFSET_ARRIVAL (UINT64_C(1) << 41)
#define OFFSET_LOCAL (UINT64_C(1) << 62)

struct listing {
    const struct mounted *mounted;
    struct place *place;
    uint64_t offset; /* entries up to this one are out already */
    bool attributes;
    bool concerned; /* the journal has something to say about the mailbox */
    bool passing;   /* the names that follow do not last */
    tree_emit emit;
    void *data;
};

/* Emits one entry for a child whose place is filled as far as its kind needs. */
static bool put(struct listing *listing, const char *name, struct place *child, uint64_t offset)
{
    struct tree_entry entry = {
        .name = name,
        .inode = node_inode(child->node),
        .directory = place_is_directory(child),
        .offset = offset,
    };
    struct tree_attr attr = {0};
    struct need none = {0};
    if (listing->attributes && tree_place_attr(listing->mounted, child, false, &attr, &none) == 0)
        entry.attr = &attr;
    attr.passing = attr.passing || listing->passing;
    return listing->emit(&entry, listing->data);
}

static struct node parent_of(const struct listing *listing)
{
    const struct place *place = listing->place;
    struct node root = {.part = NODE_ROOT};
    if (place->kind == PLACE_MAILBOX && place->mailbox.parent != 0)
        return (struct node){.slot = place->mailbox.parent};
    if (place->kind == PLACE_MAILBOX && listing->mounted->several)
        return (struct node){.slot = place->account->root};
    if (place->kind == PLACE_VIEWS || place->kind == PLACE_VIEW)
        return (struct node){.slot = place->node.slot, .part = view_above(place->node.part)};
    if (place->kind == PLACE_FAILED)
        return (struct node){.part = NODE_CONTROL};
    if (place->kind != PLACE_PARTS)
        return root;
    if (place->node.part == NODE_PART_DIRECTORY)
        return (struct node){.slot = place->mailbox.slot};
    return (struct node){place->node.slot, place->node.uid, place->part.parent};
}

static bool list_dots(struct listing *listing)
{
    struct tree_entry dot = {
        .name = ".", .inode = node_inode(listing->place->node), .directory = true, .offset = 1};
    struct tree_entry dots = {
        .name = "..", .inode = node_inode(parent_of(listing)), .directory = true, .offset = 2};
    if (listing->offset < 1 && !listing->emit(&dot, listing->data))
        return false;
    return listing->offset >= 2 || listing->emit(&dots, listing->data);
}

static void list_root(struct listing *listing)
{
    for (unsigned i = 0; i < listing->mounted->count; i++) {
        struct mounted_account *account = &listing->mounted->accounts[i];
        uint64_t offset = OFFSET_FOLDER + account->root;
        struct place child = {
            .kind = PLACE_ACCOUNT, .account = account, .node = {.slot = account->root}};
        if (offset > listing->offset && !put(listing, account->account->name, &child, offset))
            return;
    }
}

static bool list_folders(struct listing *listing)
{
    if (listing->offset >= OFFSET_MESSAGE)
        return true;
    struct place child = {
        .kind = PLACE_MAILBOX, .account = listing->place->account, .txn = listing->place->txn};
    uint32_t after = listing->offset > OFFSET_FOLDER ? listing->offset - OFFSET_FOLDER : 0;
    while (cache_mailbox_next(child.txn, listing->place->mailbox.slot, after, &child.mailbox) ==
           CACHE_OK) {
        after = child.node.slot = child.mailbox.slot;
        if (place_mailbox_goes(child.account, child.mailbox.wire))
            continue;
        if (!put(listing, child.mailbox.name, &child, OFFSET_FOLDER + after))
            return false;
    }
    return true;
}

/* The faces of one message that come after the listing's offset. */
static bool list_message(struct listing *listing, struct place *child)
{
    enum account_view view = child->account->account->view;
    uint64_t offset = OFFSET_MESSAGE + 2 * (uint64_t)child->message.uid;
    child->node.uid = child->message.uid;
    if (offset > listing->offset && view != ACCOUNT_VIEW_PARTS) {
        char name[NAME_MESSAGE_MAX + sizeof(".eml")];
        size_t length = MIN(strlen(child->message.name), NAME_MESSAGE_MAX);
        memcpy(name, child->message.name, length);
        memcpy(name + length, ".eml", sizeof(".eml"));
        child->kind = PLACE_MESSAGE;
        child->node.part = NODE_PART_MESSAGE;
        g_autofree char *alias = alias_of(node_inode(child->node));
        if (!put(listing, alias != NULL ? alias : name, child, offset))
            return false;
    }
    child->kind = PLACE_PARTS;
    child->node.part = NODE_PART_DIRECTORY;
    return offset + 1 <= listing->offset || view == ACCOUNT_VIEW_MESSAGES ||
           put(listing, child->message.name, child, offset + 1);
}

static bool list_messages(struct listing *listing)
{
    const struct place *place = listing->place;
    if (place->mailbox.messages == 0 || listing->offset >= OFFSET_ARRIVAL)
        return true;
    struct place child = {
        .account = place->account,
        .txn = place->txn,
        .mailbox = place->mailbox,
        .node = {.slot = place->mailbox.messages},
    };
    uint64_t from = listing->offset > OFFSET_MESSAGE ? (listing->offset - OFFSET_MESSAGE) / 2 : 1;
    while (from <= UINT32_MAX && cache_message_next(place->txn, place->mailbox.messages,
                                                    (uint32_t)from, &child.message) == CACHE_OK) {
        from = (uint64_t)child.message.uid + 1;
        if (listing->concerned && arrival_hides(place, child.message.uid))
            continue;
        if (!list_message(listing, &child))
            return false;
    }
    return true;
}

/* One face of what the journal brings, if it is shown. */
static bool list_face(struct listing *listing, struct place *child, const char *name, bool eml,
                      uint64_t offset)
{
    enum account_view hidden = eml ? ACCOUNT_VIEW_PARTS : ACCOUNT_VIEW_MESSAGES;
    child->kind = eml ? PLACE_MESSAGE : PLACE_PARTS;
    child->node.part = eml ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY;
    if (offset <= listing->offset || child->account->account->view == hidden ||
        arrival_waits_for_ghost(node_inode(child->node)))
        return true;
    return put(listing, name, child, offset);
}

static bool list_arrival(struct listing *listing, const struct journal_entry *entry)
{
    uint64_t offset = OFFSET_ARRIVAL + 2 * entry->id;
    struct place child;
    if (!arrival_place(listing->place, entry, &child)) {
        child = (struct place){
            .kind = PLACE_DRAFT,
            .node = node_of(arrival_staged(listing->mounted, listing->place, entry))};
        return entry->origin.uid != 0 || entry->name[0] == '\0' || offset <= listing->offset ||
               put(listing, entry->name, &child, offset);
    }
    if (child.node.slot == listing->place->mailbox.messages)
        return true; /* it is in the list */
    own_add(node_inode(listing->place->node), child.message.name, node_inode(child.node));
    g_autofree char *eml = g_strconcat(child.message.name, ".eml", NULL);
    g_autofree char *stem = g_strdup(child.message.name);
    return list_face(listing, &child, eml, true, offset) &&
           (entry->kind == JOURNAL_COPY || list_face(listing, &child, stem, false, offset + 1));
}

static bool list_arrivals(struct listing *listing)
{
    if (!listing->concerned || listing->offset >= OFFSET_LOCAL)
        return true;
    const struct place *place = listing->place;
    uint64_t after = listing->offset > OFFSET_ARRIVAL ? (listing->offset - OFFSET_ARRIVAL) / 2 : 0;
    after -= after > 0;
    listing->passing = true;
    for (;;) {
        g_autoptr(journal_entry) entry =
            journal_arrival(place->account->journal, place->mailbox.wire, after);
        if (entry == NULL)
            return true;
        after = entry->id;
        if (!list_arrival(listing, entry))
            return false;
    }
}

static void list_drafts(struct listing *listing)
{
    uint64_t directory = node_inode(listing->place->node), inode = 0;
    char *next = NULL;
    if (listing->offset > OFFSET_LOCAL)
        inode = node_inode((struct node){.uid = (uint32_t)(listing->offset - OFFSET_LOCAL)});
    while ((inode = draft_next(directory, inode, &next)) != 0) {
        g_autofree char *name = next;
        struct place child = {.kind = PLACE_DRAFT, .node = node_of(inode)};
        if (!put(listing, name, &child, OFFSET_LOCAL + child.node.uid))
            return;
    }
}

static void list_mailbox(struct listing *listing)
{
    listing->concerned = arrival_concerns(listing->place);
    if (list_folders(listing) && list_messages(listing) && list_arrivals(listing))
        list_drafts(listing);
}

static void list_parts(struct listing *listing)
{
    static const enum place_kind KINDS[] = {
        [CACHE_PART_LEAF] = PLACE_PART,
        [CACHE_PART_MESSAGE] = PLACE_PART,
        [CACHE_PART_DIRECTORY] = PLACE_PARTS,
        [CACHE_PART_HEADERS] = PLACE_HEADERS,
    };
    struct place child = *listing->place;
    uint16_t directory = listing->place->node.part;
    if (ghost_is(node_inode(child.node)))
        return;
    child.kind = PLACE_HEADERS;
    child.node.part = NODE_PART_HEADERS;
    if (directory == NODE_PART_DIRECTORY && listing->offset < OFFSET_PART + child.node.part &&
        !put(listing, "headers.txt", &child, OFFSET_PART + child.node.part))
        return;
    struct cache_parts parts;
    if (cache_parts_get(child.txn, child.message.object, &parts) != CACHE_OK)
        return;
    for (size_t at = 0; cache_parts_next(&parts, &at, &child.part);) {
        if (child.part.parent != directory || OFFSET_PART + child.part.number <= listing->offset)
            continue;
        child.kind = KINDS[child.part.kind];
        child.node.part = child.part.number;
        if (!put(listing, child.part.name, &child, OFFSET_PART + child.part.number))
            return;
    }
}

static void list_control(struct listing *listing)
{
    for (const struct control_entry *entry = CONTROL_ENTRIES; entry->name != NULL; entry++) {
        struct place child = {.kind = entry->kind, .node = {.part = entry->node}};
        uint64_t offset = OFFSET_PART + entry->node;
        if (offset > listing->offset && !put(listing, entry->name, &child, offset))
            return;
    }
}

/* The offset is the inode, without a slot. */
static void list_refused(struct listing *listing)
{
    uint64_t inode = listing->offset > OFFSET_PART ? listing->offset - OFFSET_PART : 0;
    char *next = NULL;
    while (refused_next(listing->mounted, inode, &inode, &next)) {
        g_autofree char *name = next;
        struct place child = {.kind = PLACE_REFUSED, .node = node_of(inode)};
        child.account = &listing->mounted->accounts[child.node.part - NODE_PART_REFUSED];
        if (!put(listing, name, &child, OFFSET_PART + inode))
            return;
    }
}

static void list_view(struct listing *listing)
{
    view_list(listing->mounted, listing->place, listing->offset, listing->attributes, listing->emit,
              listing->data);
}

static void list_nothing(struct listing *listing)
{
}

/* Whether the account that the place is of wants it, or, in the root of several, one of them. */
static bool wants_control(const struct listing *listing)
{
    const struct mounted *mounted = listing->mounted;
    const struct mounted_account *mine = listing->place->account;

    for (unsigned i = 0; i < mounted->count; i++)
        if ((mine == NULL || mine == &mounted->accounts[i]) &&
            mounted->accounts[i].account->control == ACCOUNT_CONTROL_LISTED)
            return true;
    return false;
}

/* .mailmount in the root and in mailboxes, for those who want to see it. */
static bool list_listed_control(struct listing *listing)
{
    struct place child = *listing->place;
    bool root = node_inode(child.node) == NODE_ROOT, mailbox = child.kind == PLACE_MAILBOX;
    child.node.part = root ? NODE_CONTROL : VIEW_TOP;
    child.kind = root ? PLACE_CONTROL : PLACE_VIEWS;
    bool shown = (root || mailbox) && wants_control(listing);
    return !shown || listing->offset >= 3 || put(listing, ".mailmount", &child, 3);
}

uint64_t tree_settled(const struct mounted *mounted)
{
    uint64_t settled = 0;
    for (unsigned i = 0; i < mounted->count; i++)
        if (mounted->accounts[i].journal != NULL)
            settled += journal_settled(mounted->accounts[i].journal);
    return settled;
}

int tree_list(const struct mounted *mounted, uint64_t inode, uint64_t offset, bool attributes,
              tree_emit emit, void *data)
{
    static void (*const LIST[PLACE_KINDS])(struct listing *) = {
        [PLACE_ROOT] = list_root,       [PLACE_ACCOUNT] = list_mailbox,
        [PLACE_MAILBOX] = list_mailbox, [PLACE_CONTROL] = list_control,
        [PLACE_PARTS] = list_parts,     [PLACE_GHOST] = list_nothing,
        [PLACE_FAILED] = list_refused,  [PLACE_VIEWS] = list_view,
        [PLACE_VIEW] = list_view,
    };
    g_auto(place) place = {0};
    int error = place_find(mounted, inode, &place);
    if (error != 0)
        return error;
    if (!place_is_directory(&place))
        return ENOTDIR;
    struct listing listing = {.mounted = mounted,
                              .place = &place,
                              .offset = offset,
                              .attributes = attributes,
                              .emit = emit,
                              .data = data};
    if (list_dots(&listing) && list_listed_control(&listing))
        LIST[place.kind](&listing);
    return 0;
}
