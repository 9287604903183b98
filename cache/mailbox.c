#include "cache/store.h"

#define LEVELS_MAX 256

/* A name of any length is found by its SHA-256; the record says whether it is the one. */
static void key_wire(struct key *key, const char *wire)
{
    key->length = 0;
    key_add_digest(key, wire);
}

static void key_name(struct key *key, uint32_t parent, const char *name)
{
    key_u32(key, parent);
    key_add_digest(key, name);
}

int cache_mailbox_get(struct cache_txn *txn, uint32_t slot, struct cache_mailbox *mailbox)
{
    struct record record;
    struct key key;

    key_u32(&key, slot);
    int rc = store_get(txn, TABLE_MAILBOX, &key, &record);
    if (rc != CACHE_OK)
        return rc;
    mailbox->slot = slot;
    return record_decode_mailbox(&record, mailbox);
}

static int mailbox_by(struct cache_txn *txn, enum table table, const struct key *key,
                      struct cache_mailbox *mailbox)
{
    uint64_t slot;
    int rc = store_get_number(txn, table, key, &slot);
    return rc != CACHE_OK ? rc : cache_mailbox_get(txn, (uint32_t)slot, mailbox);
}

int cache_mailbox_by_wire(struct cache_txn *txn, const char *wire, struct cache_mailbox *mailbox)
{
    struct key key;

    key_wire(&key, wire);
    int rc = mailbox_by(txn, TABLE_MAILBOX_WIRE, &key, mailbox);
    return rc == CACHE_OK && strcmp(mailbox->wire, wire) != 0 ? CACHE_NOT_FOUND : rc;
}

int cache_mailbox_by_name(struct cache_txn *txn, uint32_t parent, const char *name,
                          struct cache_mailbox *mailbox)
{
    struct key key;

    key_name(&key, parent, name);
    int rc = mailbox_by(txn, TABLE_MAILBOX_NAME, &key, mailbox);
    if (rc == CACHE_OK && (mailbox->parent != parent || strcmp(mailbox->name, name) != 0))
        return CACHE_NOT_FOUND;
    return rc;
}

char *cache_mailbox_path(struct cache_txn *txn, uint32_t slot)
{
    struct cache_mailbox mailbox = {.parent = slot};
    g_autoptr(GString) path = g_string_new(NULL);
    for (unsigned level = 0; mailbox.parent != 0; level++) {
        if (level == LEVELS_MAX || cache_mailbox_get(txn, mailbox.parent, &mailbox) != CACHE_OK)
            return NULL;
        if (path->len > 0)
            g_string_prepend_c(path, '/');
        g_string_prepend(path, mailbox.name);
    }
    return path->len > 0 ? g_string_free(g_steal_pointer(&path), FALSE) : NULL;
}

int cache_mailbox_of_messages(struct cache_txn *txn, uint32_t messages,
                              struct cache_mailbox *mailbox)
{
    struct key key;

    key_u32(&key, messages);
    int rc = mailbox_by(txn, TABLE_MAILBOX_MESSAGES, &key, mailbox);
    return rc == CACHE_OK && mailbox->messages != messages ? CACHE_NOT_FOUND : rc;
}

/* The slots of `parent`'s children above `after`, damaged or not. 0 at the end. */
static uint32_t mailbox_child(struct cache_txn *txn, MDB_cursor *cursor, uint32_t parent,
                              uint32_t after)
{
    struct key key;

    if (after == UINT32_MAX)
        return 0;
    key_u32_u32(&key, parent, after + 1);
    MDB_val name = {key.length, key.bytes}, value;
    if (mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE) != 0 || name.mv_size != 8 ||
        key_read_u32(name.mv_data) != parent)
        return 0;
    return key_read_u32((const uint8_t *)name.mv_data + 4);
}

int cache_mailbox_next(struct cache_txn *txn, uint32_t parent, uint32_t after,
                       struct cache_mailbox *mailbox)
{
    MDB_cursor *cursor;

    if (txn->txn == NULL ||
        mdb_cursor_open(txn->txn, txn->cache->meta.dbis[TABLE_MAILBOX_CHILD], &cursor) != 0)
        return CACHE_IO;
    int rc = CACHE_NOT_FOUND;
    for (uint32_t slot = mailbox_child(txn, cursor, parent, after); slot != 0;
         slot = mailbox_child(txn, cursor, parent, slot)) {
        rc = cache_mailbox_get(txn, slot, mailbox);
        if (rc == CACHE_OK && mailbox->parent == parent)
            break;
        rc = CACHE_NOT_FOUND;
    }
    mdb_cursor_close(cursor);
    return rc;
}

bool cache_walk_next(struct cache_walk *walk, struct cache_txn *txn, struct cache_mailbox *mailbox)
{
    static const uint32_t root = 0;

    if (walk->todo == NULL) {
        walk->todo = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_array_append_val(walk->todo, root);
    }
    for (; walk->at < walk->todo->len; walk->at++, walk->after = 0) {
        uint32_t parent = g_array_index(walk->todo, uint32_t, walk->at);
        if (cache_mailbox_next(txn, parent, walk->after, mailbox) != CACHE_OK)
            continue;
        walk->after = mailbox->slot;
        g_array_append_val(walk->todo, mailbox->slot);
        return true;
    }
    return false;
}

void cache_walk_clear(struct cache_walk *walk)
{
    g_clear_pointer(&walk->todo, g_array_unref);
    *walk = (struct cache_walk){0};
}

/* ---- storing -------------------------------------------------------------------------------- */

/* Removes an index entry if it leads to this slot; another mailbox may have taken the name. */
static int mailbox_index_remove(struct cache_txn *txn, enum table table, const struct key *key,
                                uint32_t slot)
{
    uint64_t found;
    int rc = store_get_number(txn, table, key, &found);

    if (rc == CACHE_NOT_FOUND || (rc == CACHE_OK && found != slot))
        return CACHE_OK;
    return store_remove(txn, table, key);
}

static int mailbox_unindex(struct cache_txn *txn, const struct cache_mailbox *mailbox)
{
    struct key key;

    key_wire(&key, mailbox->wire);
    int rc = mailbox_index_remove(txn, TABLE_MAILBOX_WIRE, &key, mailbox->slot);
    key_name(&key, mailbox->parent, mailbox->name);
    if (rc == CACHE_OK)
        rc = mailbox_index_remove(txn, TABLE_MAILBOX_NAME, &key, mailbox->slot);
    key_u32_u32(&key, mailbox->parent, mailbox->slot);
    if (rc == CACHE_OK)
        rc = store_remove(txn, TABLE_MAILBOX_CHILD, &key);
    key_u32(&key, mailbox->messages);
    if (rc == CACHE_OK && mailbox->messages != 0)
        rc = mailbox_index_remove(txn, TABLE_MAILBOX_MESSAGES, &key, mailbox->slot);
    return rc;
}

static int mailbox_index(struct cache_txn *txn, const struct cache_mailbox *mailbox)
{
    struct key key;

    key_wire(&key, mailbox->wire);
    int rc = store_put_number(txn, TABLE_MAILBOX_WIRE, &key, mailbox->slot);
    key_name(&key, mailbox->parent, mailbox->name);
    if (rc == CACHE_OK)
        rc = store_put_number(txn, TABLE_MAILBOX_NAME, &key, mailbox->slot);
    key_u32_u32(&key, mailbox->parent, mailbox->slot);
    if (rc == CACHE_OK)
        rc = store_put_number(txn, TABLE_MAILBOX_CHILD, &key, mailbox->slot);
    key_u32(&key, mailbox->messages);
    if (rc == CACHE_OK && mailbox->messages != 0)
        rc = store_put_number(txn, TABLE_MAILBOX_MESSAGES, &key, mailbox->slot);
    return rc;
}

static bool mailbox_same_index(const struct cache_mailbox *a, const struct cache_mailbox *b)
{
    return a->parent == b->parent && a->messages == b->messages && strcmp(a->wire, b->wire) == 0 &&
           strcmp(a->name, b->name) == 0;
}

/* Another mailbox has these messages: only after a power failure that the registry's last slots did
 * not survive. They are not this one's, so they go. */
static int mailbox_claim_messages(struct cache_txn *txn, const struct cache_mailbox *mailbox)
{
    struct cache_mailbox other;

    if (mailbox->messages == 0 ||
        cache_mailbox_of_messages(txn, mailbox->messages, &other) != CACHE_OK ||
        other.slot == mailbox->slot)
        return CACHE_OK;
    g_info("a mailbox takes over messages slot %u; its list is begun anew", mailbox->messages);
    other.messages = other.count = 0;
    other.flags &= ~(uint32_t)CACHE_MAILBOX_COMPLETE;
    return cache_mailbox_put(txn, &other);
}

/* A record whose texts no write changes. */
typedef struct {
    struct cache_mailbox mailbox;
    char *wire, *name, *rights;
} mailbox_copy;

static void mailbox_copy_clear(mailbox_copy *copy)
{
    g_free(copy->wire);
    g_free(copy->name);
    g_free(copy->rights);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(mailbox_copy, mailbox_copy_clear)

static mailbox_copy mailbox_copied(const struct cache_mailbox *mailbox)
{
    mailbox_copy copy = {*mailbox, g_strdup(mailbox->wire), g_strdup(mailbox->name),
                         g_strdup(mailbox->rights)};
    copy.mailbox.wire = copy.wire;
    copy.mailbox.name = copy.name;
    copy.mailbox.rights = copy.rights;
    return copy;
}

static int mailbox_write(struct cache_txn *txn, const struct cache_mailbox *mailbox)
{
    struct key key;

    key_u32(&key, mailbox->slot);
    record_begin(&txn->writer);
    record_encode_mailbox(&txn->writer, mailbox);
    return store_put(txn, TABLE_MAILBOX, &key);
}

/* `old`: what is there, NULL: nothing. */
static int mailbox_replace(struct cache_txn *txn, const struct cache_mailbox *old,
                           const struct cache_mailbox *mailbox)
{
    g_auto(mailbox_copy) before = mailbox_copied(old != NULL ? old : mailbox);
    g_auto(mailbox_copy) after = mailbox_copied(mailbox);

    int rc = mailbox_claim_messages(txn, &after.mailbox);
    if (rc == CACHE_OK)
        rc = mailbox_write(txn, &after.mailbox);
    if (rc == CACHE_OK && before.mailbox.messages != 0 &&
        before.mailbox.messages != after.mailbox.messages)
        rc = message_remove_all(txn, before.mailbox.messages);
    if (rc == CACHE_OK && old != NULL)
        rc = mailbox_unindex(txn, &before.mailbox);
    return rc == CACHE_OK ? mailbox_index(txn, &after.mailbox) : rc;
}

int cache_mailbox_put(struct cache_txn *txn, const struct cache_mailbox *mailbox)
{
    struct cache_mailbox old;
    int rc = store_check(txn, true);

    if (rc != CACHE_OK)
        return rc;
    if (mailbox->slot == 0 || mailbox->wire == NULL || mailbox->name == NULL)
        return CACHE_CORRUPT;
    bool known = cache_mailbox_get(txn, mailbox->slot, &old) == CACHE_OK;
    if (known && mailbox_same_index(&old, mailbox))
        return mailbox_write(txn, mailbox);
    return mailbox_replace(txn, known ? &old : NULL, mailbox);
}

/* The registry first: if the record does not follow, the next list of mailboxes finds the new name
 * with the old slots and puts that right. */
static int mailbox_rebind(struct cache *cache, const struct cache_mailbox *mailbox,
                          const char *wire)
{
    int rc = slots_rebind(cache->slots, cache->account, SLOT_MAILBOX, mailbox->wire, wire, 0,
                          mailbox->slot);
    if (rc == CACHE_OK && mailbox->messages != 0)
        rc = slots_rebind(cache->slots, cache->account, SLOT_MESSAGES, mailbox->wire, wire,
                          mailbox->uidvalidity, mailbox->messages);
    return rc;
}

int cache_mailbox_rename(struct cache_txn *txn, uint32_t slot, const char *wire, uint32_t parent,
                         const char *name)
{
    struct cache_mailbox mailbox, other;

    int rc = store_check(txn, true);
    if (rc == CACHE_OK)
        rc = cache_mailbox_get(txn, slot, &mailbox);
    if (rc != CACHE_OK)
        return rc;
    if (strcmp(mailbox.wire, wire) != 0) {
        rc = cache_mailbox_by_wire(txn, wire, &other);
        if (rc == CACHE_OK)
            return CACHE_CORRUPT;
        rc = rc == CACHE_NOT_FOUND || rc == CACHE_CORRUPT
                 ? mailbox_rebind(txn->cache, &mailbox, wire)
                 : rc;
        if (rc != CACHE_OK)
            return rc;
    }
    mailbox.wire = wire;
    mailbox.parent = parent;
    mailbox.name = name;
    return cache_mailbox_put(txn, &mailbox);
}

int cache_mailbox_remove(struct cache_txn *txn, uint32_t slot)
{
    struct cache_mailbox old;
    struct key key;

    int rc = store_check(txn, true);
    if (rc != CACHE_OK)
        return rc;
    key_u32(&key, slot);
    rc = cache_mailbox_get(txn, slot, &old);
    if (rc == CACHE_CORRUPT) /* what leads to it is not known, and leads to nothing */
        return store_remove(txn, TABLE_MAILBOX, &key);
    if (rc == CACHE_OK)
        rc = mailbox_unindex(txn, &old);
    if (rc == CACHE_OK && old.messages != 0)
        rc = message_remove_all(txn, old.messages);
    return rc == CACHE_OK ? store_remove(txn, TABLE_MAILBOX, &key) : rc;
}

/* ---- at opening ----------------------------------------------------------------------------- */

static void mailbox_find_unnumbered(struct cache_txn *txn, GArray *slots)
{
    MDB_val name, value;
    MDB_cursor *cursor;

    if (mdb_cursor_open(txn->txn, txn->cache->meta.dbis[TABLE_MAILBOX], &cursor) != 0)
        return;
    for (int rc = mdb_cursor_get(cursor, &name, &value, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) {
        struct cache_mailbox mailbox;
        uint32_t slot = name.mv_size == 4 ? key_read_u32(name.mv_data) : 0;
        if (slot != 0 && cache_mailbox_get(txn, slot, &mailbox) == CACHE_OK &&
            mailbox.uidvalidity == 0 && mailbox.messages != 0)
            g_array_append_val(slots, slot);
    }
    mdb_cursor_close(cursor);
}

int mailbox_forget_unnumbered(struct cache *cache)
{
    g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    struct cache_txn *txn = cache_txn_read(cache);

    if (txn->txn != NULL)
        mailbox_find_unnumbered(txn, slots);
    cache_txn_end(txn);
    if (slots->len == 0)
        return CACHE_OK;
    txn = cache_txn_write(cache);
    for (guint i = 0; i < slots->len; i++) {
        struct cache_mailbox mailbox;
        if (cache_mailbox_get(txn, g_array_index(slots, uint32_t, i), &mailbox) != CACHE_OK)
            continue;
        mailbox.messages = mailbox.count = 0;
        mailbox.flags &= ~(uint32_t)CACHE_MAILBOX_COMPLETE;
        cache_mailbox_put(txn, &mailbox);
    }
    return cache_txn_commit(txn);
}
