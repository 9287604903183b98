/* The end of a sync: messages that came into the list and may be known ones get their content back.
 *
 * Message-ID, size and INTERNALDATE must be unique where the message was and where it is, and the
 * header, fetched now, must be the very one that was seen there. */
#include <string.h>

#include "fs/engine/identity.h"
#include "fs/engine/push.h"
#include "fs/engine/sync.h"

/* The newest so many are asked for in one sync, for which who opens the directory waits; the others
 * are like new. */
#define BIND_MOST 2000
#define BIND_STEP 100     /* messages of one command */
#define HEADER_BYTES 4096 /* about what a header is on the wire, for the window */

struct binding {
    uint32_t uid;
    uint64_t size;
    int64_t internaldate;
    uint64_t own; /* the object that it has */
    struct cache_identity known;
    bool twin;  /* another is like it */
    bool equal; /* the header is the same */
};

static guint binding_hash(gconstpointer data)
{
    const struct binding *binding = data;
    guint date = g_int64_hash(&binding->internaldate);
    return (guint)binding->size * 31 + date;
}

static gboolean binding_equal(gconstpointer a, gconstpointer b)
{
    const struct binding *one = a, *other = b;
    return one->size == other->size && one->internaldate == other->internaldate;
}

/* ---- which ----------------------------------------------------------------------------------- */

/* What came into the very list in which a known message was is no old one: it is an edited one,
 * say, whose header, size and date are the same. Nor is what we have stored ourselves. */
static bool binding_is_new(const struct sync *sync, const struct binding *binding)
{
    return binding->known.messages == sync->messages ||
           push_is_claimed(sync->job.engine, sync->job.mailbox, sync->state.uidvalidity,
                           binding->uid);
}

static GArray *bindings_find(struct sync *sync, const GArray *uids)
{
    GArray *bindings = g_array_new(FALSE, TRUE, sizeof(struct binding));
    g_autoptr(cache_txn) txn = cache_txn_read(sync->job.engine->cache);
    for (guint i = uids->len > BIND_MOST ? uids->len - BIND_MOST : 0; i < uids->len; i++) {
        struct binding binding = {.uid = g_array_index(uids, uint32_t, i)};
        struct cache_message message;
        if (cache_message_get(txn, sync->messages, binding.uid, &message) != CACHE_OK ||
            cache_identity_find(txn, sync->messages, binding.uid, &binding.known) != CACHE_OK ||
            binding_is_new(sync, &binding))
            continue;
        binding.size = message.size;
        binding.internaldate = message.internaldate;
        binding.own = message.object;
        g_array_append_val(bindings, binding);
    }
    return bindings;
}

/* Marks those that `message` could be as well. `wanted`: struct binding -> GSList of them. */
static void twins_mark(struct sync *sync, struct cache_txn *txn, GHashTable *wanted,
                       const struct cache_message *message)
{
    const struct binding like = {.size = message->size, .internaldate = message->internaldate};
    for (GSList *at = g_hash_table_lookup(wanted, &like); at != NULL; at = at->next) {
        struct binding *binding = at->data;
        if (message->object != binding->own && message->object != binding->known.object &&
            cache_object_same_id(txn, message->object, binding->own))
            binding->twin = true;
    }
}

#define WALK_MOST 1000

/* Looks at some records of a mailbox from `from` on; returns where to go on, 0: at the end. */
static uint32_t twins_walk(struct sync *sync, GHashTable *wanted, uint32_t messages, uint32_t from)
{
    g_autoptr(cache_txn) txn = cache_txn_read(sync->job.engine->cache);
    struct cache_message message;
    for (guint i = 0; i < WALK_MOST; i++) {
        if (cache_message_next(txn, messages, from, &message) != CACHE_OK)
            return 0;
        twins_mark(sync, txn, wanted, &message);
        if (message.uid == UINT32_MAX)
            return 0;
        from = message.uid + 1;
    }
    return from;
}

/* Both sides are looked at: this mailbox, and those in which the known ones were read. */
static void bindings_check(struct sync *sync)
{
    g_autoptr(GHashTable) wanted =
        g_hash_table_new_full(binding_hash, binding_equal, NULL, (GDestroyNotify)g_slist_free);
    g_autoptr(GHashTable) sides = g_hash_table_new(NULL, NULL);
    g_hash_table_add(sides, GUINT_TO_POINTER(sync->messages));
    for (guint i = 0; i < sync->bindings->len; i++) {
        struct binding *binding = &g_array_index(sync->bindings, struct binding, i);
        GSList *same = g_hash_table_lookup(wanted, binding);
        if (same == NULL)
            g_hash_table_insert(wanted, binding, g_slist_prepend(NULL, binding));
        else
            same->next = g_slist_prepend(same->next, binding); /* its head stays */
        g_hash_table_add(sides, GUINT_TO_POINTER(binding->known.messages));
    }
    g_autoptr(GList) slots = g_hash_table_get_keys(sides);
    for (GList *at = slots; at != NULL; at = at->next)
        for (uint32_t from = 1; from != 0;)
            from = twins_walk(sync, wanted, GPOINTER_TO_UINT(at->data), from);
    for (guint i = sync->bindings->len; i-- > 0;)
        if (g_array_index(sync->bindings, struct binding, i).twin)
            g_array_remove_index(sync->bindings, i);
}

/* ---- their headers --------------------------------------------------------------------------- */

static void bindings_send(struct sync *sync)
{
    const struct imap_fetch_request request = {.items = IMAP_ITEM_UID, .section = "HEADER"};
    for (guint at = 0; at < sync->bindings->len && !sync->job.lost; at += BIND_STEP) {
        guint end = MIN(at + BIND_STEP, sync->bindings->len);
        g_autoptr(imap_uidset) uids = imap_uidset_new();
        for (guint i = at; i < end; i++) {
            uint32_t uid = g_array_index(sync->bindings, struct binding, i).uid;
            imap_uidset_add(uids, uid, uid);
        }
        job_send_fetch(&sync->job, SYNC_BIND, uids, &request, (uint64_t)(end - at) * HEADER_BYTES);
    }
}

static void binding_compare(struct binding *binding, const struct imap_body *body)
{
    uint8_t digest[CACHE_DIGEST];
    gsize length;
    if (body->nil || body->oversized || body->bytes == NULL)
        return;
    const void *bytes = g_bytes_get_data(body->bytes, &length);
    identity_digest(bytes, length, digest);
    binding->equal = memcmp(digest, binding->known.digest, CACHE_DIGEST) == 0;
}

bool sync_bind_fetch(struct sync *sync, const struct imap_fetch *fetch)
{
    if (sync->bindings == NULL)
        return false;
    for (uint32_t i = 0; i < fetch->body_count; i++) {
        if (g_ascii_strcasecmp(fetch->bodies[i].section, "HEADER") != 0)
            continue;
        for (guint at = 0; at < sync->bindings->len; at++) {
            struct binding *binding = &g_array_index(sync->bindings, struct binding, at);
            if (binding->uid == fetch->uid)
                binding_compare(binding, &fetch->bodies[i]);
        }
        return true;
    }
    return false;
}

/* ---- binding --------------------------------------------------------------------------------- */

/* Whether something of the message was shown or fetched already, or is on its way: then readers go
 * by the object that it has. */
static bool binding_late(const struct sync *sync, const struct binding *binding)
{
    struct engine *engine = sync->job.engine;
    GHashTableIter each;
    gpointer value;
    g_hash_table_iter_init(&each, engine->jobs);
    while (g_hash_table_iter_next(&each, NULL, &value)) {
        const struct job *job = value;
        bool reads = job->class == &READER_CLASS || job->class == &STRUCTURE_CLASS;
        if (reads && job->wish.messages == sync->messages && job->wish.uid == binding->uid)
            return true;
    }
    return cache_content_any(engine->cache, binding->own);
}

static bool binding_write(const struct sync *sync, struct cache_txn *txn,
                          const struct binding *binding)
{
    struct cache_message message;
    struct cache_identity known;
    struct cache_parts parts;
    if (cache_message_get(txn, sync->messages, binding->uid, &message) != CACHE_OK ||
        message.object != binding->own ||
        cache_identity_find(txn, sync->messages, binding->uid, &known) != CACHE_OK ||
        known.object != binding->known.object ||
        cache_parts_get(txn, binding->own, &parts) == CACHE_OK)
        return false;
    message.object = known.object;
    return cache_message_put(txn, sync->messages, &message) == CACHE_OK &&
           cache_identity_put(txn, sync->messages, binding->uid, known.digest) == CACHE_OK;
}

static void bindings_tell(const struct sync *sync, const GArray *uids)
{
    struct engine *engine = sync->job.engine;
    const struct engine_events *events = engine->events;
    g_info("%s: %u messages are known again", sync->job.mailbox, uids->len);
    for (guint i = 0; i < uids->len && events != NULL && events->content_changed != NULL; i++)
        events->content_changed(sync->messages, g_array_index(uids, uint32_t, i),
                                engine->events_data);
}

static void bindings_write(struct sync *sync)
{
    g_autoptr(GArray) bound = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    struct cache_txn *txn = cache_txn_write(sync->job.engine->cache);
    for (guint i = 0; i < sync->bindings->len; i++) {
        const struct binding *binding = &g_array_index(sync->bindings, struct binding, i);
        if (binding->equal && !binding_late(sync, binding) && binding_write(sync, txn, binding))
            g_array_append_val(bound, binding->uid);
    }
    if (bound->len == 0)
        cache_txn_end(txn);
    else if (cache_txn_commit(txn) == CACHE_OK)
        bindings_tell(sync, bound);
}

bool sync_bind(struct sync *sync)
{
    struct engine *engine = sync->job.engine;
    if (sync->bindings == NULL) {
        const GArray *uids = identity_arrivals(engine, sync->messages);
        if (uids == NULL)
            return false;
        sync->bindings = bindings_find(sync, uids);
        bindings_check(sync);
        bindings_send(sync);
        if (sync->job.in_flight > 0 || sync->job.lost)
            return true;
    }
    bindings_write(sync);
    sync_bind_clear(sync);
    identity_forget_arrivals(engine, sync->messages);
    return false;
}

void sync_bind_clear(struct sync *sync)
{
    g_clear_pointer(&sync->bindings, g_array_unref);
}
