/* What the cache has of messages that move: their content goes with them. */
#include "fs/engine/mirror.h"
#include "fs/engine/push.h"

bool push_box(struct engine *engine, const char *wire, struct push_box *box)
{
    g_autofree char *now = journal_renamed(engine->journal, wire);
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_by_wire(txn, now, &mailbox) != CACHE_OK)
        return false;
    *box = (struct push_box){
        .folder = mailbox.slot,
        .messages = mailbox.messages,
        .uidvalidity = mailbox.uidvalidity,
        .listed = (mailbox.messages != 0 && (mailbox.flags & CACHE_MAILBOX_COMPLETE) != 0) ||
                  (mailbox.flags & CACHE_MAILBOX_MADE) != 0,
    };
    return true;
}

/* ---- objects --------------------------------------------------------------------------------- */

static uint64_t moved_key(uint32_t messages, uint32_t uid)
{
    return (uint64_t)messages << 32 | uid;
}

void push_note_objects(struct engine *engine, const GPtrArray *entries)
{
    const struct journal_entry *first = entries->pdata[0];
    struct push_box box;
    if (!push_box(engine, first->message.mailbox, &box) || box.messages == 0 ||
        box.uidvalidity != first->message.uidvalidity)
        return;
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        struct cache_message message;
        if (cache_message_get(txn, box.messages, entry->message.uid, &message) == CACHE_OK)
            g_hash_table_insert(engine->push->objects, g_memdup2(&entry->id, sizeof entry->id),
                                g_memdup2(&message.object, sizeof message.object));
    }
}

/* The slot of the target's messages, which one that was never listed has not got yet; 0: the entry
 * has placed its message in another life of it. */
static uint32_t target_messages(struct engine *engine, const struct push_box *box,
                                const struct journal_entry *entry)
{
    if (box->messages != 0)
        return entry->target_uidvalidity == box->uidvalidity ? box->messages : 0;
    g_autofree char *now = journal_renamed(engine->journal, entry->target);
    return entry->target_uidvalidity != 0
               ? cache_slot_of_messages(engine->cache, now, entry->target_uidvalidity)
               : 0;
}

void push_move_objects(struct engine *engine, const struct push_box *box, const GPtrArray *entries)
{
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        const uint64_t *object = g_hash_table_lookup(engine->push->objects, &entry->id);
        if (object == NULL || entry->target_uid == 0)
            continue;
        uint32_t messages = target_messages(engine, box, entry);
        if (messages == 0)
            continue;
        uint64_t key = moved_key(messages, entry->target_uid);
        g_hash_table_insert(engine->push->moved, g_memdup2(&key, sizeof key),
                            g_memdup2(object, sizeof *object));
    }
}

uint64_t push_moved_object(const struct engine *engine, uint32_t messages, uint32_t uid)
{
    uint64_t key = moved_key(messages, uid);
    const uint64_t *object = g_hash_table_lookup(engine->push->moved, &key);
    return object != NULL ? *object : 0;
}

void push_forget_objects(struct engine *engine, const GPtrArray *entries)
{
    struct push_box box;
    const struct journal_entry *first = entries->len > 0 ? entries->pdata[0] : NULL;
    bool known = first != NULL && first->target[0] != '\0' && push_box(engine, first->target, &box);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        uint64_t key = known ? moved_key(box.messages, entry->target_uid) : 0;
        g_hash_table_remove(engine->push->objects, &entry->id);
        if (known)
            g_hash_table_remove(engine->push->moved, &key);
    }
}

/* ---- messages that left ---------------------------------------------------------------------- */

static bool entry_takes_away(const struct journal_entry *entry)
{
    return (entry->kind == JOURNAL_MOVE || entry->kind == JOURNAL_EXPUNGE) &&
           entry->message.uid != 0;
}

void push_remove_records(struct engine *engine, const GPtrArray *entries)
{
    struct mirror *mirror = NULL;
    const struct journal_entry *of = NULL;
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        struct push_box box;
        if (!entry_takes_away(entry))
            continue;
        bool same = of != NULL && g_str_equal(of->message.mailbox, entry->message.mailbox) &&
                    of->message.uidvalidity == entry->message.uidvalidity;
        if (!same && mirror != NULL) {
            mirror_flush(mirror);
            g_clear_pointer(&mirror, mirror_free);
        }
        if (!same && push_box(engine, entry->message.mailbox, &box))
            mirror = mirror_new(engine, box.folder, entry->message.uidvalidity);
        of = entry;
        if (mirror != NULL)
            mirror_remove(mirror, entry->message.uid);
    }
    if (mirror != NULL)
        mirror_flush(mirror);
    mirror_free(mirror);
}

/* ---- marked for good ------------------------------------------------------------------------- */

void push_mailbox_listed(struct engine *engine, uint32_t folder)
{
    struct journal_counts counts = {0};
    if (engine->journal == NULL)
        return;
    journal_counts(engine->journal, &counts);
    if (counts.marked == 0)
        return;
    GPtrArray *gone = push_entries_new();
    uint64_t at = 0;
    struct journal_entry *entry;
    while ((entry = journal_next(engine->journal, at)) != NULL) {
        at = entry->id;
        struct push_box box;
        struct cache_message message;
        bool here = entry->step == JOURNAL_MARKED && entry->kept &&
                    push_box(engine, entry->message.mailbox, &box) && box.folder == folder &&
                    box.listed && box.uidvalidity == entry->message.uidvalidity;
        struct cache_txn *txn = here ? cache_txn_read(engine->cache) : NULL;
        bool left = here && cache_message_get(txn, box.messages, entry->message.uid, &message) ==
                                CACHE_NOT_FOUND;
        cache_txn_end(txn);
        if (left)
            g_ptr_array_add(gone, entry);
        else
            journal_entry_free(entry);
    }
    push_settle(engine, gone);
}
