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

bool push_is_listing(const struct engine *engine, uint32_t folder)
{
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, engine->jobs);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        const struct job *job = value;
        if (job->class == &SYNC_CLASS && job->folder == folder && job->state == JOB_RUNNING)
            return true;
    }
    return false;
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

/* ---- on their way ---------------------------------------------------------------------------- */

bool push_places(struct engine *engine, const char *wire, uint32_t uidvalidity, uint32_t uid)
{
    const struct journal_address address = {wire, uidvalidity, uid};
    if (engine->journal == NULL)
        return false;
    g_autoptr(journal_entry) entry = journal_placing(engine->journal, &address, 0);
    return entry != NULL;
}

/* The mailbox may have another name by now. */
static uint32_t departed_slot(struct engine *engine, const struct journal_address *origin)
{
    struct push_box box;
    bool same = origin->uid != 0 && push_box(engine, origin->mailbox, &box) &&
                box.uidvalidity == origin->uidvalidity;
    return same ? box.messages : 0;
}

struct departed {
    uint32_t messages, uid;
};

static bool departed_is_there(struct engine *engine, const struct departed *departed)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_message message;
    return cache_message_departed(txn, departed->messages, departed->uid, &message) !=
           CACHE_NOT_FOUND;
}

static void departed_forget(struct engine *engine, const GArray *departed)
{
    if (departed->len == 0)
        return;
    struct cache_txn *txn = cache_txn_write(engine->cache);
    for (guint i = 0; i < departed->len; i++) {
        const struct departed *one = &g_array_index(departed, struct departed, i);
        cache_message_forget(txn, one->messages, one->uid);
    }
    cache_txn_commit(txn);
}

void push_forget_departed(struct engine *engine, const GPtrArray *entries)
{
    g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(struct departed));
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        const struct journal_address *origin = &entry->origin;
        const struct departed one = {departed_slot(engine, origin), origin->uid};
        if (one.messages != 0 && departed_is_there(engine, &one) &&
            !push_places(engine, origin->mailbox, origin->uidvalidity, origin->uid))
            g_array_append_val(gone, one);
    }
    departed_forget(engine, gone);
}

static bool departed_is_placed(struct engine *engine, struct cache_txn *txn,
                               const struct departed *one)
{
    struct cache_mailbox mailbox;
    return cache_mailbox_of_messages(txn, one->messages, &mailbox) == CACHE_OK &&
           push_places(engine, mailbox.wire, mailbox.uidvalidity, one->uid);
}

void push_check_departed(struct engine *engine)
{
    g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(struct departed));
    struct departed one = {0, 0};
    struct cache_txn *txn = cache_txn_read(engine->cache);
    while (cache_departed_next(txn, &one.messages, &one.uid))
        if (!departed_is_placed(engine, txn, &one))
            g_array_append_val(gone, one);
    cache_txn_end(txn);
    departed_forget(engine, gone);
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
