#include "fs/engine/identity.h"

#include <string.h>

/* Longer headers are not looked at. */
#define HEADER_MAX ((size_t)256 << 10)
#define HEADER_FIRST ((size_t)16 << 10)
/* So much is kept in mind at most: seen and not written, and to be looked at in one mailbox. */
#define SEEN_MOST 512
#define ARRIVALS_MOST 100000
#define FLUSH_US (2 * (gint64)G_USEC_PER_SEC)

struct seen {
    uint32_t messages, uid;
    uint64_t object;
    uint8_t digest[CACHE_DIGEST];
};

struct identities {
    GArray *seen;         /* struct seen */
    gint64 since_us;      /* of the first of them */
    GHashTable *arrivals; /* messages slot -> GArray of uint32_t */
};

void identity_init(struct engine *engine)
{
    engine->identities = g_new0(struct identities, 1);
    engine->identities->seen = g_array_new(FALSE, FALSE, sizeof(struct seen));
    engine->identities->arrivals =
        g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
}

void identity_free(struct engine *engine)
{
    g_array_unref(engine->identities->seen);
    g_hash_table_unref(engine->identities->arrivals);
    g_free(engine->identities);
}

/* ---- becoming known -------------------------------------------------------------------------- */

/* Without the line ends at its end, which not all servers count to it. */
void identity_digest(const void *header, size_t length, uint8_t digest[CACHE_DIGEST])
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    const char *bytes = header;
    gsize size = CACHE_DIGEST;
    while (length > 0 && (bytes[length - 1] == '\r' || bytes[length - 1] == '\n'))
        length--;
    g_checksum_update(checksum, header, (gssize)length);
    g_checksum_get_digest(checksum, digest, &size);
}

/* The header's length in a message's first bytes; 0: it does not end there. */
static size_t header_length(const char *bytes, size_t length, bool whole)
{
    if (length >= 2 && memcmp(bytes, "\r\n", 2) == 0)
        return 2;
    const char *end = g_strstr_len(bytes, (gssize)length, "\r\n\r\n");
    if (end != NULL)
        return (size_t)(end - bytes) + 4;
    return whole ? length : 0;
}

/* Reads the header out of what is stored of a section. */
static bool header_read(struct engine *engine, struct seen *seen, const char *section, size_t most)
{
    g_autofree char *bytes = g_malloc(most);
    size_t got = cache_content_get(engine->cache, seen->object, section, 0, bytes, most);
    uint64_t end = UINT64_MAX;
    if (cache_content_size(engine->cache, seen->object, section, &end) != CACHE_OK)
        end = UINT64_MAX;
    bool whole = got == end;
    size_t length = section[0] == '\0' ? header_length(bytes, got, whole) : whole ? got : 0;
    if (length == 0)
        return false;
    identity_digest(bytes, length, seen->digest);
    return true;
}

/* Whether the object needs no such knowledge, or has it. */
static bool is_known(struct engine *engine, uint64_t object)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *id;
    char kind;
    return cache_object_server_id(txn, object, &kind, &id) == CACHE_OK ||
           cache_identity_has(txn, object);
}

void identity_read(struct engine *engine, uint32_t messages, uint32_t uid, uint64_t object,
                   const char *section)
{
    struct identities *identities = engine->identities;
    struct seen seen = {.messages = messages, .uid = uid, .object = object};
    if ((section[0] != '\0' && g_ascii_strcasecmp(section, "HEADER") != 0) ||
        is_known(engine, object))
        return;
    if (!header_read(engine, &seen, section, HEADER_FIRST) &&
        !header_read(engine, &seen, section, HEADER_MAX))
        return;
    if (identities->seen->len == 0)
        identities->since_us = engine_now(engine);
    g_array_append_val(identities->seen, seen);
    if (identities->seen->len >= SEEN_MOST)
        identity_flush(engine);
}

void identity_flush(struct engine *engine)
{
    GArray *all = engine->identities->seen;
    if (all->len == 0)
        return;
    struct cache_txn *txn = cache_txn_write(engine->cache);
    for (guint i = 0; i < all->len; i++) {
        const struct seen *seen = &g_array_index(all, struct seen, i);
        struct cache_message message;
        if (cache_message_get(txn, seen->messages, seen->uid, &message) == CACHE_OK &&
            message.object == seen->object)
            cache_identity_put(txn, seen->messages, seen->uid, seen->digest);
    }
    cache_txn_commit(txn);
    g_array_set_size(all, 0);
}

void identity_tick(struct engine *engine)
{
    if (engine_now(engine) - engine->identities->since_us >= FLUSH_US)
        identity_flush(engine);
}

/* ---- coming back ----------------------------------------------------------------------------- */

void identity_arrived(struct engine *engine, struct cache_txn *txn, uint32_t messages, uint32_t uid)
{
    GHashTable *all = engine->identities->arrivals;
    struct cache_identity found;
    if (cache_identity_find(txn, messages, uid, &found) != CACHE_OK)
        return;
    GArray *uids = identity_arrivals(engine, messages);
    if (uids == NULL) {
        uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_hash_table_insert(all, GUINT_TO_POINTER(messages), uids);
    }
    if (uids->len < ARRIVALS_MOST)
        g_array_append_val(uids, uid);
}

GArray *identity_arrivals(struct engine *engine, uint32_t messages)
{
    return g_hash_table_lookup(engine->identities->arrivals, GUINT_TO_POINTER(messages));
}

void identity_forget_arrivals(struct engine *engine, uint32_t messages)
{
    g_hash_table_remove(engine->identities->arrivals, GUINT_TO_POINTER(messages));
}
