#include "fs/place.h"

#include <errno.h>

#include "fs/error.h"

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
    *need = (struct need){.round = need->round, .may_decode = need->may_decode};
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
    case PLACE_MESSAGE:
    case PLACE_HEADERS:
    case PLACE_PART:
        return false;
    default:
        return true;
    }
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

/* Nodes of slot 0: the root, .mailmount and status. */
static int find_fixed(const struct mounted *mounted, struct place *place)
{
    if (place->node.uid != 0)
        return ESTALE;
    switch (place->node.part) {
    case NODE_ROOT:
        place->kind = mounted->several ? PLACE_ROOT : PLACE_ACCOUNT;
        if (!mounted->several) {
            place->account = &mounted->accounts[0];
            place->txn = cache_txn_read(place->account->cache);
        }
        return 0;
    case NODE_CONTROL:
        place->kind = PLACE_CONTROL;
        return 0;
    case NODE_STATUS:
        place->kind = PLACE_STATUS;
        return 0;
    default:
        return ESTALE;
    }
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

static int find_message(struct place *place)
{
    int error = cache_mailbox_of_messages(place->txn, place->node.slot, &place->mailbox);
    if (error == CACHE_OK)
        error = cache_message_get(place->txn, place->node.slot, place->node.uid, &place->message);
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
    default:
        return find_part(place);
    }
}

static int find_mailbox(struct place *place)
{
    if (place->node.part != 0)
        return ESTALE;
    if (place->node.slot == place->account->root) {
        place->kind = PLACE_ACCOUNT;
        return 0;
    }
    place->kind = PLACE_MAILBOX;
    int error = cache_mailbox_get(place->txn, place->node.slot, &place->mailbox);
    return error == CACHE_OK ? 0 : errno_of_record(error);
}

/* Slots are unique among the accounts of a mount, so at most one of them knows it. */
int place_find(const struct mounted *mounted, uint64_t inode, struct place *place)
{
    *place = (struct place){.node = node_of(inode)};
    if (place->node.slot == 0)
        return find_fixed(mounted, place);
    int error = ESTALE;
    for (unsigned i = 0; i < mounted->count && error == ESTALE; i++) {
        place_end(place);
        place->account = &mounted->accounts[i];
        place->txn = cache_txn_read(place->account->cache);
        error = place->node.uid == 0 ? find_mailbox(place) : find_message(place);
    }
    return error;
}
