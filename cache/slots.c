#include "cache/slots.h"

#include "cache/env.h"
#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>

static const enum table TABLES[] = {TABLE_ENV, TABLE_SLOT};

static const struct env_spec SPEC = {
    .name = "slots",
    .tables = TABLES,
    .table_count = G_N_ELEMENTS(TABLES),
    .walked = TABLE_SLOT,
    .flags = MDB_NOMETASYNC,
    .map_bytes = 256 << 20,
    .keep_broken = true,
};

struct slots {
    struct env env;
    /* under REGISTRIES_LOCK */
    dev_t device;
    ino_t inode;
    unsigned holds;
    /* under `lock` */
    pthread_mutex_t lock;
    GHashTable *unnumbered; /* key's bytes (GBytes) -> slot, for UIDVALIDITY 0 */
};

static pthread_mutex_t REGISTRIES_LOCK = PTHREAD_MUTEX_INITIALIZER;
static GList *REGISTRIES;

static struct slots *slots_find(const struct stat *status)
{
    for (GList *at = REGISTRIES; at != NULL; at = at->next) {
        struct slots *slots = at->data;
        if (slots->device == status->st_dev && slots->inode == status->st_ino)
            return slots;
    }
    return NULL;
}

static struct slots *slots_new(int directory, const char *path, const struct stat *status,
                               bool begin_anew, GError **error)
{
    struct slots *slots = g_new0(struct slots, 1);
    struct env_spec spec = SPEC;
    spec.begin_anew = begin_anew;

    /* Two processes must not both find it broken and move each other's aside. */
    while (flock(directory, LOCK_EX) != 0 && errno == EINTR)
        continue;
    int rc = env_open(&slots->env, directory, path, &spec, error);
    flock(directory, LOCK_UN);
    if (rc != CACHE_OK) {
        g_free(slots);
        return NULL;
    }
    slots->device = status->st_dev;
    slots->inode = status->st_ino;
    slots->unnumbered =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    pthread_mutex_init(&slots->lock, NULL);
    REGISTRIES = g_list_prepend(REGISTRIES, slots);
    return slots;
}

struct slots *slots_open(int directory, const char *path, bool begin_anew, GError **error)
{
    struct stat status;

    if (fstat(directory, &status) != 0) {
        g_set_error(error, CACHE_ERROR, CACHE_IO, "cannot examine %s: %s", path, g_strerror(errno));
        return NULL;
    }
    pthread_mutex_lock(&REGISTRIES_LOCK);
    struct slots *slots = slots_find(&status);
    if (slots == NULL)
        slots = slots_new(directory, path, &status, begin_anew, error);
    if (slots != NULL)
        slots->holds++;
    pthread_mutex_unlock(&REGISTRIES_LOCK);
    return slots;
}

void slots_close(struct slots *slots)
{
    if (slots == NULL)
        return;
    pthread_mutex_lock(&REGISTRIES_LOCK);
    if (--slots->holds == 0) {
        REGISTRIES = g_list_remove(REGISTRIES, slots);
        env_close(&slots->env);
        g_hash_table_unref(slots->unnumbered);
        pthread_mutex_destroy(&slots->lock);
        g_free(slots);
    }
    pthread_mutex_unlock(&REGISTRIES_LOCK);
}

uint64_t slots_generation(const struct slots *slots)
{
    return slots->env.generation;
}

int slots_sync(struct slots *slots)
{
    return env_sync(&slots->env);
}

/* Without UIDVALIDITY a message's identity ends with the mount; so does its slot. */
static uint32_t slots_get_unnumbered(struct slots *slots, const struct key *key)
{
    g_autoptr(GBytes) name = g_bytes_new(key->bytes, key->length);

    pthread_mutex_lock(&slots->lock);
    uint32_t slot = GPOINTER_TO_UINT(g_hash_table_lookup(slots->unnumbered, name));
    guint given = g_hash_table_size(slots->unnumbered);
    if (slot == 0 && given < SLOT_UNNUMBERED) {
        slot = SLOT_MAX - given;
        g_hash_table_insert(slots->unnumbered, g_steal_pointer(&name), GUINT_TO_POINTER(slot));
    }
    pthread_mutex_unlock(&slots->lock);
    return slot;
}

static uint32_t slots_find_stored(struct slots *slots, const struct key *key)
{
    struct env_reader reader;
    uint64_t slot = 0;

    if (env_read_begin(&slots->env, &reader) != CACHE_OK)
        return 0;
    if (env_get_number(&slots->env, reader.txn, TABLE_SLOT, key, &slot) != CACHE_OK)
        slot = 0;
    env_read_end(&slots->env, &reader);
    return (uint32_t)slot;
}

/* A slot whose record is damaged is lost; its key gets a new one. */
static uint32_t slots_add(struct slots *slots, const struct key *key)
{
    uint64_t slot, last;
    MDB_txn *txn;

    if (env_write_begin(&slots->env, &txn) != CACHE_OK)
        return 0;
    if (env_get_number(&slots->env, txn, TABLE_SLOT, key, &slot) == CACHE_OK) {
        mdb_txn_abort(txn);
        return (uint32_t)slot;
    }
    int rc = env_get_counter(&slots->env, txn, "last", &last);
    if (rc == CACHE_NOT_FOUND) {
        last = 0;
        rc = CACHE_OK;
    }
    if (rc == CACHE_OK && last >= SLOT_MAX - SLOT_UNNUMBERED)
        rc = CACHE_FULL;
    if (rc == CACHE_OK)
        rc = env_put_number(&slots->env, txn, TABLE_SLOT, key, last + 1);
    if (rc == CACHE_OK)
        rc = env_put_counter(&slots->env, txn, "last", last + 1);
    if (rc == CACHE_OK)
        return env_commit(&slots->env, txn) == CACHE_OK ? (uint32_t)last + 1 : 0;
    mdb_txn_abort(txn);
    return 0;
}

static void slots_key(struct key *key, const char *account, enum slot_kind kind, const char *wire,
                      uint32_t uidvalidity)
{
    key->length = 0;
    key_add_digest(key, account);
    key_add_digest(key, wire);
    key_add_u8(key, (uint8_t)kind);
    key_add_u32(key, uidvalidity);
}

uint32_t slots_get(struct slots *slots, const char *account, enum slot_kind kind, const char *wire,
                   uint32_t uidvalidity)
{
    struct key key;

    slots_key(&key, account, kind, wire, uidvalidity);
    if (kind == SLOT_MESSAGES && uidvalidity == 0)
        return slots_get_unnumbered(slots, &key);
    uint32_t slot = slots_find_stored(slots, &key);
    return slot != 0 ? slot : slots_add(slots, &key);
}

/* ---- another name ---------------------------------------------------------------------------- */

/* Numbers are counted by what is in the table, so none is taken out: the names change places. */
static void slots_rebind_unnumbered(struct slots *slots, const struct key *from,
                                    const struct key *to, uint32_t slot)
{
    g_autoptr(GBytes) old = g_bytes_new(from->bytes, from->length);
    g_autoptr(GBytes) new = g_bytes_new(to->bytes, to->length);

    pthread_mutex_lock(&slots->lock);
    if (GPOINTER_TO_UINT(g_hash_table_lookup(slots->unnumbered, old)) == slot) {
        void *other = g_hash_table_lookup(slots->unnumbered, new);
        g_hash_table_remove(slots->unnumbered, old);
        g_hash_table_insert(slots->unnumbered, g_bytes_ref(new), GUINT_TO_POINTER(slot));
        if (other != NULL)
            g_hash_table_insert(slots->unnumbered, g_bytes_ref(old), other);
    }
    pthread_mutex_unlock(&slots->lock);
}

int slots_rebind(struct slots *slots, const char *account, enum slot_kind kind, const char *from,
                 const char *to, uint32_t uidvalidity, uint32_t slot)
{
    struct key old, new;
    uint64_t found;
    MDB_txn *txn;

    slots_key(&old, account, kind, from, uidvalidity);
    slots_key(&new, account, kind, to, uidvalidity);
    if (kind == SLOT_MESSAGES && uidvalidity == 0) {
        slots_rebind_unnumbered(slots, &old, &new, slot);
        return CACHE_OK;
    }
    int rc = env_write_begin(&slots->env, &txn);
    if (rc != CACHE_OK)
        return rc;
    rc = env_get_number(&slots->env, txn, TABLE_SLOT, &old, &found);
    if (rc == CACHE_OK && found == slot)
        rc = env_remove(&slots->env, txn, TABLE_SLOT, &old);
    else if (rc == CACHE_NOT_FOUND || rc == CACHE_CORRUPT)
        rc = CACHE_OK;
    if (rc == CACHE_OK)
        rc = env_put_number(&slots->env, txn, TABLE_SLOT, &new, slot);
    if (rc == CACHE_OK)
        return env_commit(&slots->env, txn);
    mdb_txn_abort(txn);
    return rc;
}
