/* Names asked for. A mailbox has a number in LMDB, under which its names stand, so that a RENAME
 * moves only the number. What is not yet in LMDB is in memory. */
#include "cache/journal-private.h"

struct named {
    uint64_t number, count, next; /* place of the next name */
};

/* ---- in memory ------------------------------------------------------------------------------- */

void journal_name_change_free(struct journal_name_change *change)
{
    g_free(change->mailbox);
    g_free(change->name);
    g_free(change);
}

/* Both names as one; a NUL is in neither. */
static GBytes *name_bytes(const char *mailbox, const char *name)
{
    GByteArray *bytes = g_byte_array_new();

    g_byte_array_append(bytes, (const guint8 *)mailbox, (guint)strlen(mailbox) + 1);
    g_byte_array_append(bytes, (const guint8 *)name, (guint)strlen(name));
    return g_byte_array_free_to_bytes(bytes);
}

void journal_name_note(struct journal *journal, const struct journal_name_change *change)
{
    struct journal_name_change *copy = g_memdup2(change, sizeof *change);

    copy->mailbox = g_strdup(change->mailbox);
    copy->name = g_strdup(change->name);
    pthread_mutex_lock(&journal->lock);
    g_ptr_array_add(journal->name_changes, copy);
    if (!change->rename)
        g_hash_table_insert(journal->names_changed, name_bytes(copy->mailbox, copy->name), copy);
    pthread_mutex_unlock(&journal->lock);
}

void journal_names_stored(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    g_hash_table_remove_all(journal->names_changed);
    g_ptr_array_set_size(journal->name_changes, 0);
    pthread_mutex_unlock(&journal->lock);
}

/* ---- in LMDB --------------------------------------------------------------------------------- */

static void key_mailbox(struct key *key, const char *mailbox)
{
    key->length = 0;
    key_add_digest(key, mailbox);
}

static void key_name(struct key *key, uint64_t number, const char *name)
{
    key_u64(key, number);
    key_add_digest(key, name);
}

static void key_place(struct key *key, uint64_t number, uint64_t place)
{
    key_u64(key, number);
    key_add_u64(key, place);
}

static int named_get(struct env *env, MDB_txn *txn, const char *mailbox, struct named *named)
{
    struct record record;
    struct key key;

    key_mailbox(&key, mailbox);
    int rc = env_get(env, txn, TABLE_JOURNAL_NAMED, &key, &record);
    if (rc != CACHE_OK)
        return rc;
    named->number = record_u64(&record);
    named->count = record_u64(&record);
    named->next = record_u64(&record);
    record_string(&record);
    return record_close(&record);
}

static int named_put(struct env *env, MDB_txn *txn, const char *mailbox, const struct named *named)
{
    struct record_writer writer;
    struct key key;

    key_mailbox(&key, mailbox);
    record_writer_init(&writer);
    record_begin(&writer);
    record_add_u64(&writer, named->number);
    record_add_u64(&writer, named->count);
    record_add_u64(&writer, named->next);
    record_add_string(&writer, mailbox);
    int rc = env_put(env, txn, TABLE_JOURNAL_NAMED, &key, &writer);
    record_writer_clear(&writer);
    return rc;
}

/* A mailbox without a number, or with a damaged one, gets a new one. */
static int named_begin(struct env *env, MDB_txn *txn, const char *mailbox, struct named *named)
{
    uint64_t last;

    int rc = named_get(env, txn, mailbox, named);
    if (rc == CACHE_OK || (rc != CACHE_NOT_FOUND && rc != CACHE_CORRUPT))
        return rc;
    if (env_get_counter(env, txn, "named", &last) != CACHE_OK)
        last = 0;
    *named = (struct named){.number = last + 1};
    return env_put_counter(env, txn, "named", last + 1);
}

struct asked {
    uint64_t place;
    uint32_t uidvalidity, uid;
};

static int asked_get(struct env *env, MDB_txn *txn, const struct key *key, struct asked *asked)
{
    struct record record;

    int rc = env_get(env, txn, TABLE_JOURNAL_NAME, key, &record);
    if (rc != CACHE_OK)
        return rc;
    asked->place = record_u64(&record);
    asked->uidvalidity = record_u32(&record);
    asked->uid = record_u32(&record);
    return record_close(&record);
}

static int asked_put(struct env *env, MDB_txn *txn, const struct key *key,
                     const struct asked *asked)
{
    struct record_writer writer;

    record_writer_init(&writer);
    record_begin(&writer);
    record_add_u64(&writer, asked->place);
    record_add_u32(&writer, asked->uidvalidity);
    record_add_u32(&writer, asked->uid);
    int rc = env_put(env, txn, TABLE_JOURNAL_NAME, key, &writer);
    record_writer_clear(&writer);
    return rc;
}

/* The place of a name holds the second half of its key. */
static int place_put(struct env *env, MDB_txn *txn, uint64_t number, uint64_t place,
                     const struct key *name)
{
    struct record_writer writer;
    struct key key;

    key_place(&key, number, place);
    record_writer_init(&writer);
    record_begin(&writer);
    record_add_bytes(&writer, name->bytes + 8, KEY_DIGEST);
    int rc = env_put(env, txn, TABLE_JOURNAL_PLACE, &key, &writer);
    record_writer_clear(&writer);
    return rc;
}

static int asked_remove(struct env *env, MDB_txn *txn, struct named *named, const struct key *name)
{
    struct asked asked;
    struct key place;

    int rc = asked_get(env, txn, name, &asked);
    if (rc == CACHE_NOT_FOUND)
        return CACHE_OK;
    if (rc == CACHE_OK) {
        key_place(&place, named->number, asked.place);
        rc = env_remove(env, txn, TABLE_JOURNAL_PLACE, &place);
    }
    if (rc == CACHE_OK || rc == CACHE_CORRUPT)
        rc = env_remove(env, txn, TABLE_JOURNAL_NAME, name);
    if (named->count > 0)
        named->count--;
    return rc;
}

/* Forgets the name that was asked for first. */
static int asked_remove_oldest(struct env *env, MDB_txn *txn, struct named *named)
{
    MDB_val name, value;
    MDB_cursor *cursor;
    struct key key;

    if (mdb_cursor_open(txn, env->dbis[TABLE_JOURNAL_PLACE], &cursor) != 0)
        return CACHE_IO;
    key_place(&key, named->number, 0);
    name = (MDB_val){key.length, key.bytes};
    int found = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
    bool ours = found == 0 && name.mv_size == 16 && key_read_u64(name.mv_data) == named->number;
    if (ours)
        memcpy(key.bytes, name.mv_data, key.length = 16);
    struct key asked;
    key_u64(&asked, named->number);
    if (ours && value.mv_size == RECORD_HEADER + KEY_DIGEST) {
        memcpy(asked.bytes + 8, (uint8_t *)value.mv_data + RECORD_HEADER, KEY_DIGEST);
        asked.length += KEY_DIGEST;
    }
    mdb_cursor_close(cursor);
    if (!ours) {
        named->count = 0; /* it was wrong */
        return CACHE_OK;
    }
    int rc = env_remove(env, txn, TABLE_JOURNAL_PLACE, &key);
    if (rc == CACHE_OK && asked.length > 8)
        rc = env_remove(env, txn, TABLE_JOURNAL_NAME, &asked);
    named->count--;
    return rc;
}

static int name_store(struct env *env, MDB_txn *txn, const struct journal_name_change *change)
{
    struct named named;
    struct key name;

    int rc = named_begin(env, txn, change->mailbox, &named);
    if (rc != CACHE_OK)
        return rc;
    key_name(&name, named.number, change->name);
    rc = asked_remove(env, txn, &named, &name);
    while (rc == CACHE_OK && change->uid != 0 && named.count >= JOURNAL_NAMES_MAX)
        rc = asked_remove_oldest(env, txn, &named);
    if (rc == CACHE_OK && change->uid != 0) {
        const struct asked asked = {named.next, change->uidvalidity, change->uid};
        rc = asked_put(env, txn, &name, &asked);
        if (rc == CACHE_OK)
            rc = place_put(env, txn, named.number, named.next, &name);
        named.next++;
        named.count++;
    }
    return rc == CACHE_OK ? named_put(env, txn, change->mailbox, &named) : rc;
}

static int named_rename(struct env *env, MDB_txn *txn, const char *from, const char *to)
{
    struct named named;
    struct key key;

    int rc = named_get(env, txn, from, &named);
    if (rc != CACHE_OK)
        return rc == CACHE_CORRUPT || rc == CACHE_NOT_FOUND ? CACHE_OK : rc;
    key_mailbox(&key, from);
    rc = env_remove(env, txn, TABLE_JOURNAL_NAMED, &key);
    return rc == CACHE_OK ? named_put(env, txn, to, &named) : rc;
}

static GPtrArray *named_all(struct env *env, MDB_txn *txn)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(g_free);
    MDB_val name, value;
    MDB_cursor *cursor;

    if (mdb_cursor_open(txn, env->dbis[TABLE_JOURNAL_NAMED], &cursor) != 0)
        return all;
    for (int rc = mdb_cursor_get(cursor, &name, &value, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) {
        struct record record;
        if (record_open(&record, TABLE_JOURNAL_NAMED, name.mv_data, name.mv_size, value.mv_data,
                        value.mv_size) != CACHE_OK)
            continue;
        record_take(&record, 3 * sizeof(uint64_t));
        const char *mailbox = record_string(&record);
        if (record_close(&record) == CACHE_OK)
            g_ptr_array_add(all, g_strdup(mailbox));
    }
    mdb_cursor_close(cursor);
    return all;
}

static int name_store_rename(struct env *env, MDB_txn *txn,
                             const struct journal_name_change *change)
{
    g_autoptr(GPtrArray) all = named_all(env, txn);
    int rc = CACHE_OK;

    for (guint i = 0; rc == CACHE_OK && i < all->len; i++) {
        const char *mailbox = all->pdata[i];
        g_autofree char *renamed =
            journal_name_replace(mailbox, change->mailbox, change->name, change->delimiter);
        if (renamed != NULL)
            rc = named_rename(env, txn, mailbox, renamed);
    }
    return rc;
}

int journal_names_store(struct journal *journal, MDB_txn *txn)
{
    int rc = CACHE_OK;

    for (guint i = 0; rc == CACHE_OK && i < journal->name_changes->len; i++) {
        const struct journal_name_change *change = journal->name_changes->pdata[i];
        rc = change->rename ? name_store_rename(&journal->env, txn, change)
                            : name_store(&journal->env, txn, change);
    }
    return rc;
}

/* ---- asked ----------------------------------------------------------------------------------- */

int journal_name_put(struct journal *journal, const char *mailbox, const char *name,
                     uint32_t uidvalidity, uint32_t uid)
{
    const struct journal_name_change change = {
        .mailbox = (char *)(uintptr_t)mailbox,
        .name = (char *)(uintptr_t)name,
        .uidvalidity = uidvalidity,
        .uid = uid,
    };
    if (strlen(mailbox) > UINT16_MAX || strlen(name) > UINT16_MAX)
        return CACHE_CORRUPT;
    pthread_mutex_lock(&journal->change_lock);
    journal_change_begin(journal);
    int rc = journal_change_name(journal, &change);
    if (rc == CACHE_OK)
        rc = journal_change_write(journal, false);
    if (rc == CACHE_OK)
        journal_name_note(journal, &change);
    pthread_mutex_unlock(&journal->change_lock);
    return rc;
}

/* A mailbox's name before the RENAMEs that LMDB has not seen. */
static char *name_before(struct journal *journal, const char *mailbox)
{
    char *current = g_strdup(mailbox);

    for (guint i = journal->name_changes->len; i > 0; i--) {
        const struct journal_name_change *change = journal->name_changes->pdata[i - 1];
        char *before = change->rename ? journal_name_replace(current, change->name, change->mailbox,
                                                             change->delimiter)
                                      : NULL;
        if (before == NULL)
            continue;
        g_free(current);
        current = before;
    }
    return current;
}

/* The newest that is not in LMDB. */
static bool name_find_noted(struct journal *journal, const char *mailbox, const char *name,
                            struct asked *asked)
{
    g_autoptr(GBytes) bytes = name_bytes(mailbox, name);
    const struct journal_name_change *change = g_hash_table_lookup(journal->names_changed, bytes);

    if (change == NULL)
        return false;
    *asked = (struct asked){0, change->uidvalidity, change->uid};
    return true;
}

static bool name_find_stored(struct journal *journal, const char *mailbox, const char *name,
                             struct asked *asked)
{
    struct env_reader reader;
    struct named named;
    struct key key;

    if (env_read_begin(&journal->env, &reader) != CACHE_OK)
        return false;
    bool found = named_get(&journal->env, reader.txn, mailbox, &named) == CACHE_OK;
    if (found) {
        key_name(&key, named.number, name);
        found = asked_get(&journal->env, reader.txn, &key, asked) == CACHE_OK;
    }
    env_read_end(&journal->env, &reader);
    return found;
}

bool journal_name_get(struct journal *journal, const char *mailbox, const char *name,
                      uint32_t *uidvalidity, uint32_t *uid)
{
    struct asked asked = {0};
    bool found = false;

    pthread_mutex_lock(&journal->lock);
    g_autofree char *original = journal_name_original(journal, mailbox);
    g_autofree char *before = name_before(journal, original);
    const char *names[3] = {mailbox};
    size_t count = 1;
    if (strcmp(original, mailbox) != 0)
        names[count++] = original;
    if (strcmp(before, names[count - 1]) != 0)
        names[count++] = before;
    for (size_t i = 0; !found && i < count; i++)
        found = name_find_noted(journal, names[i], name, &asked);
    pthread_mutex_unlock(&journal->lock);
    for (size_t i = 0; !found && i < count; i++)
        found = name_find_stored(journal, names[i], name, &asked);
    *uidvalidity = asked.uidvalidity;
    *uid = asked.uid;
    return found && asked.uid != 0;
}
