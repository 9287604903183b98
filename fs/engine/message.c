#include "fs/engine/message.h"

#include <string.h>

#include "fs/engine/mirror.h"

bool message_find(struct engine *engine, uint32_t messages, uint32_t uid, struct message *message)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    struct cache_message record;
    if (cache_mailbox_of_messages(txn, messages, &mailbox) != CACHE_OK ||
        cache_message_get(txn, messages, uid, &record) != CACHE_OK)
        return false;
    *message = (struct message){
        .mailbox = g_strdup(mailbox.wire),
        .folder = mailbox.slot,
        .uidvalidity = mailbox.uidvalidity,
        .object = record.object,
        .size = record.size,
    };
    return true;
}

uint64_t message_size(struct engine *engine, uint32_t messages, uint32_t uid)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_message record;
    return cache_message_get(txn, messages, uid, &record) == CACHE_OK ? record.size : 0;
}

void message_set_size(struct engine *engine, uint32_t messages, uint32_t uid, uint64_t size)
{
    struct cache_txn *txn = cache_txn_write(engine->cache);
    struct cache_message record;
    if (cache_message_get(txn, messages, uid, &record) != CACHE_OK) {
        cache_txn_end(txn);
        return;
    }
    record.size = size;
    if (cache_message_put(txn, messages, &record) == CACHE_OK)
        cache_txn_commit(txn);
    else
        cache_txn_end(txn);
}

void message_gone(struct engine *engine, uint32_t messages, uint32_t uid)
{
    struct message message;
    if (!message_find(engine, messages, uid, &message))
        return;
    g_autofree char *mailbox = message.mailbox;
    g_info("%s: UID %u is gone", mailbox, uid);
    g_hash_table_remove(engine->fresh, GUINT_TO_POINTER(message.folder));
    struct mirror *mirror = mirror_new(engine, message.folder, message.uidvalidity);
    if (mirror == NULL)
        return;
    mirror_remove(mirror, uid);
    mirror_flush(mirror);
    mirror_free(mirror);
}

int64_t message_octets(struct engine *engine, uint64_t object, const char *section)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_parts parts;
    struct cache_part part;
    size_t at = 0;
    if (cache_parts_get(txn, object, &parts) != CACHE_OK)
        return -1;
    while (cache_parts_next(&parts, &at, &part)) {
        bool content = part.kind == CACHE_PART_LEAF || part.kind == CACHE_PART_MESSAGE;
        if (content && (part.flags & CACHE_PART_LOCAL) == 0 && strcmp(part.section, section) == 0)
            return part.octets;
    }
    return -1;
}
