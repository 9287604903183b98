#include "fs/place.h"

#include <errno.h>
#include <string.h>

#include "fs/change.h"
#include "fs/control.h"
#include "fs/draft.h"
#include "fs/error.h"
#include "fs/trace.h"
#include "fs/view.h"

int need_add(struct need *need, struct engine *engine, const struct engine_wish *wish)
{
    need->engine = engine;
    if (need->count == NEED_MAX)
        return NEED_WAIT;
    struct engine_wish *copy = &need->wishes[need->count++];
    *copy = *wish;
    copy->section = g_strdup(wish->section);
    return NEED_WAIT;
}

void need_clear(struct need *need)
{
    for (unsigned i = 0; i < need->count; i++)
        g_free((char *)need->wishes[i].section);
    *need = (struct need){.round = need->round,
                          .may_decode = need->may_decode,
                          .made = need->made,
                          .answer = need->answer};
}

static void ahead_done(enum engine_error error, void *data)
{
}

void wish_ahead(struct engine *engine, const struct engine_wish *wish)
{
    struct engine_wish ahead = *wish;
    ahead.ahead = true;
    engine_ask(engine, &ahead, ahead_done, NULL);
}

void place_end(struct place *place)
{
    g_clear_pointer(&place->txn, cache_txn_end);
}

bool place_is_directory(const struct place *place)
{
    switch (place->kind) {
    case PLACE_STATUS:
    case PLACE_REQUESTS:
    case PLACE_EVENTS:
    case PLACE_PREFETCH:
    case PLACE_STATUS_JSON:
    case PLACE_MARK:
    case PLACE_MESSAGE:
    case PLACE_HEADERS:
    case PLACE_PART:
    case PLACE_DRAFT:
    case PLACE_GHOST_FILE:
    case PLACE_REFUSED:
        return false;
    default:
        return true;
    }
}

bool place_is_local(const struct place *place)
{
    switch (place->kind) {
    case PLACE_DRAFT:
    case PLACE_GHOST:
    case PLACE_GHOST_FILE:
    case PLACE_REFUSED:
        return true;
    default:
        return false;
    }
}

/* The last word on a mailbox that is removed, and made too. */
static bool goes_at_last(struct journal *journal, const char *wire)
{
    bool goes = true;
    uint64_t after = 0;
    for (;;) {
        g_autoptr(journal_entry) entry = journal_next(journal, after);
        if (entry == NULL)
            return goes;
        after = entry->id;
        bool makes = entry->kind == JOURNAL_CREATE || entry->kind == JOURNAL_RENAME;
        if (makes && strcmp(entry->target, wire) == 0)
            goes = false;
        else if (entry->kind == JOURNAL_REMOVE && strcmp(entry->message.mailbox, wire) == 0)
            goes = true;
    }
}

bool place_mailbox_goes(const struct mounted_account *account, const char *wire)
{
    struct journal *journal = account->journal;
    if (journal == NULL || !journal_removes(journal, wire))
        return false;
    g_autofree char *original = journal_original(journal, wire);
    return (!journal_creates(journal, wire) && strcmp(original, wire) == 0) ||
           goes_at_last(journal, wire);
}

int need_parts(const struct place *place, struct need *need)
{
    if (need->round > 0)
        return EIO;
    struct engine_wish wish = {
        .want = ENGINE_PARTS, .messages = place->node.slot, .uid = place->node.uid};
    return need_add(need, place->account->engine, &wish);
}

/* What is not there, or makes no sense, is a node that is gone. */
static int errno_of_record(int error)
{
    return error == CACHE_NOT_FOUND || error == CACHE_CORRUPT ? ESTALE : error_of_cache(error);
}

/* Local files, which no record of the cache names. */
static int find_local(const struct mounted *mounted, struct place *place)
{
    if (!node_is_refused(place->node)) {
        struct tree_attr attr;
        uint64_t inode = node_inode(place->node);
        place->kind = PLACE_DRAFT;
        bool arrived = change_moved(inode) != inode;
        return arrived && draft_attr(mounted, inode, &attr) != 0 ? ESTALE : 0;
    }
    unsigned index = place->node.part - NODE_PART_REFUSED;
    if (index >= mounted->count || mounted->accounts[index].journal == NULL)
        return ESTALE;
    place->kind = PLACE_REFUSED;
    place->account = &mounted->accounts[index];
    return 0;
}

/* Nodes of slot 0: the root, .mailmount and its files. */
static int find_fixed(const struct mounted *mounted, struct place *place)
{
    if (place->node.uid != 0)
        return find_local(mounted, place);
    const struct control_entry *entry = control_entry(place->node.part);
    if (place->node.part == NODE_CONTROL || entry != NULL) {
        place->kind = entry != NULL ? entry->kind : PLACE_CONTROL;
        return 0;
    }
    if (place->node.part != NODE_ROOT)
        return ESTALE;
    place->kind = mounted->several ? PLACE_ROOT : PLACE_ACCOUNT;
    if (!mounted->several) {
        place->account = &mounted->accounts[0];
        place->txn = cache_txn_read(place->account->cache);
    }
    return 0;
}

static int find_part(struct place *place)
{
    struct cache_parts parts;
    int error = cache_parts_get(place->txn, place->message.object, &parts);
    if (error != CACHE_OK)
        return errno_of_record(error);
    for (size_t at = 0; cache_parts_next(&parts, &at, &place->part);) {
        if (place->part.number != place->node.part)
            continue;
        static const enum place_kind KINDS[] = {
            [CACHE_PART_LEAF] = PLACE_PART,
            [CACHE_PART_MESSAGE] = PLACE_PART,
            [CACHE_PART_DIRECTORY] = PLACE_PARTS,
            [CACHE_PART_HEADERS] = PLACE_HEADERS,
        };
        place->kind = KINDS[place->part.kind];
        return 0;
    }
    return ESTALE;
}

int place_message(struct place *place, uint32_t messages, uint32_t uid)
{
    int error = cache_message_get(place->txn, messages, uid, &place->message);
    place->departed = error == CACHE_NOT_FOUND;
    return place->departed ? cache_message_departed(place->txn, messages, uid, &place->message)
                           : error;
}

static int find_message(struct place *place)
{
    int error = cache_mailbox_of_messages(place->txn, place->node.slot, &place->mailbox);
    if (error == CACHE_OK)
        error = place_message(place, place->node.slot, place->node.uid);
    if (error != CACHE_OK)
        return errno_of_record(error);
    place->part = (struct cache_part){.name = "", .section = "", .type = "", .charset = ""};
    switch (place->node.part) {
    case NODE_PART_MESSAGE:
        place->kind = PLACE_MESSAGE;
        return 0;
    case NODE_PART_DIRECTORY:
        place->kind = PLACE_PARTS;
        return 0;
    case NODE_PART_HEADERS:
        place->kind = PLACE_HEADERS;
        return 0;
    case NODE_PART_VIEW:
        place->kind = PLACE_MESSAGE;
        place->node.part = NODE_PART_MESSAGE;
        place->view = true;
        return 0;
    default:
        return find_part(place);
    }
}

static int find_mailbox(struct place *place)
{
    if (place->node.slot == place->account->root) {
        if (place->node.part != 0)
            return ESTALE;
        place->kind = PLACE_ACCOUNT;
        return 0;
    }
    place->kind = PLACE_MAILBOX;
    int error = cache_mailbox_get(place->txn, place->node.slot, &place->mailbox);
    if (error != CACHE_OK)
        return errno_of_record(error);
    return place->node.part != 0 ? view_find(place) : 0;
}

/* Slots are unique among the accounts of a mount, so at most one of them knows it. */
static int find_recorded(const struct mounted *mounted, struct place *place)
{
    int error = ESTALE;
    for (unsigned i = 0; i < mounted->count && error == ESTALE; i++) {
        place_end(place);
        place->account = &mounted->accounts[i];
        place->txn = cache_txn_read(place->account->cache);
        error = place->node.uid == 0 ? find_mailbox(place) : find_message(place);
    }
    return error;
}

static int find_inode(const struct mounted *mounted, uint64_t inode, struct place *place)
{
    *place = (struct place){.node = node_of(node_is_requests(inode) ? NODE_REQUESTS : inode)};
    if (place->node.slot == 0)
        return find_fixed(mounted, place);
    if (node_is_ghost(place->node)) {
        place->kind = place->node.part == NODE_PART_GHOST_FILE ? PLACE_GHOST_FILE : PLACE_GHOST;
        return 0;
    }
    return find_recorded(mounted, place);
}

int place_find(const struct mounted *mounted, uint64_t inode, struct place *place)
{
    int error = find_inode(mounted, inode, place);
    uint64_t moved = error == ESTALE ? change_moved(inode) : inode;
    if (moved == inode)
        return error;
    place_end(place);
    return find_inode(mounted, moved, place);
}
