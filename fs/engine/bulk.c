/* The job that fetches small messages in sets: UID FETCH of many (UID BODYSTRUCTURE BODY.PEEK[]),
 * two commands and more on the way. It runs for a whole mailbox on one connection, on which nobody
 * waits for anything, unless there is but one: then what is on the way is little, and it ends when
 * somebody waits.
 *
 * A body is believed only if it is of an asked UID and as long as announced. The others are left to
 * be asked for one by one (reader.c), which finds out why.
 */
#include <string.h>

#include "fs/engine/identity.h"
#include "fs/engine/job.h"
#include "fs/engine/message.h"
#include "fs/engine/parse.h"
#include "fs/engine/prefetch.h"
#include "fs/engine/reader.h"
#include "fs/engine/structure.h"
#include "fs/mime.h"

#define SET_MOST 256
#define SET_BYTES ((uint64_t)1 << 20)
#define SET_BYTES_SHARED ((uint64_t)64 << 10) /* on the only connection */
#define SETS_FEWEST 2                         /* on the way, however many bytes */
#define SETS_MOST 16
#define WINDOW_FIRST ((uint64_t)512 << 10)
#define WINDOW_MOST ((uint64_t)8 << 20)
/* What a reply takes beside the body. */
#define REPLY_BYTES 1024
/* Parts in trees that wait to be written. */
#define PARTS_MOST 8192

struct set {
    unsigned step;
    bool bodies;   /* else only structures */
    GArray *lacks; /* struct lack, ascending */
    guint8 *got;
    uint64_t bytes;
};

struct bulk {
    struct job job;
    GQueue sets; /* struct set, on the way */
    unsigned last_step;
    uint64_t on_the_way, window; /* bytes */
    bool over;                   /* nothing more is to be asked for */
    unsigned got;
    /* to be written at the end of a set */
    GPtrArray *trees; /* struct parse_result */
    size_t parts;     /* in them */
    GArray *sizes;    /* struct reader_size */
};

static void set_free(struct set *set)
{
    g_array_unref(set->lacks);
    g_free(set->got);
    g_free(set);
}

static const struct lack *set_lack(const struct set *set, guint at)
{
    return &g_array_index(set->lacks, struct lack, at);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool bulk_shares(const struct bulk *bulk)
{
    return bulk->job.engine->pool.cap <= 1;
}

static void set_send(struct bulk *bulk, struct set *set)
{
    g_autoptr(imap_uidset) uids = imap_uidset_new();
    for (guint i = 0; i < set->lacks->len; i++) {
        const struct lack *lack = set_lack(set, i);
        imap_uidset_add(uids, lack->uid, lack->uid);
        set->bytes += lack->size + REPLY_BYTES;
    }
    const struct imap_fetch_request request = {
        .items = IMAP_ITEM_UID | IMAP_ITEM_STRUCTURE,
        .section = set->bodies ? "" : NULL,
    };
    set->step = ++bulk->last_step;
    set->got = g_new0(guint8, set->lacks->len);
    bulk->on_the_way += set->bytes;
    g_queue_push_tail(&bulk->sets, set);
    job_send_fetch(&bulk->job, set->step, uids, &request, set->bytes);
}

static void bulk_fill(struct bulk *bulk)
{
    struct engine *engine = bulk->job.engine;
    bool shares = bulk_shares(bulk);
    guint most = shares ? 1 : SETS_MOST;
    while (!bulk->over && !bulk->job.lost && bulk->sets.length < most &&
           (bulk->sets.length < SETS_FEWEST || bulk->on_the_way < bulk->window)) {
        if (shares && bulk->last_step > 0 && !g_queue_is_empty(&engine->waiting)) {
            bulk->over = true;
            return;
        }
        g_autoptr(GArray) lacks = g_array_new(FALSE, FALSE, sizeof(struct lack));
        if (!prefetch_take(engine, lacks, SET_MOST, shares ? SET_BYTES_SHARED : SET_BYTES)) {
            bulk->over = true;
            return;
        }
        struct set *set = g_new0(struct set, 1);
        set->bodies = g_array_index(lacks, struct lack, 0).size != 0;
        set->lacks = g_steal_pointer(&lacks);
        set_send(bulk, set);
    }
}

static void bulk_start(struct job *job)
{
    struct bulk *bulk = (struct bulk *)job;
    bulk->window = WINDOW_FIRST;
    bulk->trees = g_ptr_array_new_with_free_func((GDestroyNotify)parse_result_unref);
    bulk->sizes = g_array_new(FALSE, FALSE, sizeof(struct reader_size));
    bulk_fill(bulk);
    if (job->in_flight == 0 || g_queue_is_empty(&bulk->sets))
        job_end(job, ENGINE_OK);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static bool set_find(const struct set *set, uint32_t uid, guint *at)
{
    guint low = 0, high = set->lacks->len;
    while (low < high) {
        *at = (low + high) / 2;
        if (set_lack(set, *at)->uid == uid)
            return true;
        if (set_lack(set, *at)->uid < uid)
            low = *at + 1;
        else
            high = *at;
    }
    return false;
}

static struct set *bulk_set_of(struct bulk *bulk, uint32_t uid, guint *at)
{
    for (GList *each = bulk->sets.head; each != NULL; each = each->next)
        if (set_find(each->data, uid, at))
            return each->data;
    return NULL;
}

static const struct imap_body *fetch_body(const struct imap_fetch *fetch)
{
    for (uint32_t i = 0; i < fetch->body_count; i++)
        if (fetch->bodies[i].section[0] == '\0' && fetch->bodies[i].origin < 0)
            return &fetch->bodies[i];
    return NULL;
}

/* Stores a body that is believed. False: it is not, or cannot be stored. */
static bool bulk_store(struct bulk *bulk, uint32_t uid, const struct imap_body *body)
{
    struct engine *engine = bulk->job.engine;
    struct cache_txn *txn = cache_txn_read(engine->cache);
    struct cache_message message;
    bool known = cache_message_get(txn, bulk->job.wish.messages, uid, &message) == CACHE_OK &&
                 message.size == body->size;
    struct reader_size size = {message.object, body->size};
    cache_txn_end(txn);
    if (!known || body->nil || body->oversized || body->size == 0)
        return false;
    gsize length;
    const void *bytes = g_bytes_get_data(body->bytes, &length);
    if (cache_content_put(engine->cache, size.object, "", 0, bytes, length) != CACHE_OK ||
        cache_content_end(engine->cache, size.object, "", body->size) != CACHE_OK)
        return false;
    identity_read(engine, bulk->job.wish.messages, uid, size.object, "");
    g_array_append_val(bulk->sizes, size);
    return true;
}

/* All that was told so far, in one write to the disk. */
static enum engine_error bulk_commit(struct bulk *bulk)
{
    struct engine *engine = bulk->job.engine;
    struct cache_txn *txn = cache_txn_write(engine->cache);
    int rc = structure_store(txn, bulk->trees);
    if (rc == CACHE_OK) {
        reader_prove(engine, txn, (const struct reader_size *)(void *)bulk->sizes->data,
                     bulk->sizes->len);
        prefetch_write_spent(engine, txn);
        rc = cache_txn_commit(txn);
    } else {
        cache_txn_end(txn);
    }
    g_ptr_array_set_size(bulk->trees, 0);
    g_array_set_size(bulk->sizes, 0);
    bulk->parts = 0;
    return engine_error_of_cache(rc);
}

static bool bulk_fetch(struct job *job, const struct imap_fetch *fetch)
{
    struct bulk *bulk = (struct bulk *)job;
    guint at;
    const struct imap_body *body = fetch_body(fetch);
    struct set *set = fetch->uid != 0 ? bulk_set_of(bulk, fetch->uid, &at) : NULL;
    if (set == NULL || set->got[at] || (set->bodies && body == NULL) ||
        (fetch->items & (IMAP_ITEM_STRUCTURE | IMAP_ITEM_STRUCTURE_BROKEN)) == 0)
        return false;
    if (set->bodies && !bulk_store(bulk, fetch->uid, body))
        return true;
    uint64_t object = 0;
    struct mime_tree *tree = NULL;
    if ((fetch->items & IMAP_ITEM_STRUCTURE_BROKEN) == 0)
        tree = structure_tree(job->engine, job->wish.messages, fetch, &object);
    if (tree == NULL)
        return true; /* what has come is kept; its tree is made of it, alone */
    g_ptr_array_add(bulk->trees, parse_result_new(object, tree));
    bulk->parts += tree->parts->len;
    if (bulk->parts >= PARTS_MOST)
        bulk_commit(bulk);
    set->got[at] = 1;
    bulk->got++;
    prefetch_got(job->engine, set_lack(set, at));
    return true;
}

/* ---- the end of a set ------------------------------------------------------------------------ */

static struct set *bulk_take_set(struct bulk *bulk, unsigned step)
{
    for (GList *at = bulk->sets.head; at != NULL; at = at->next) {
        struct set *set = at->data;
        if (set->step != step)
            continue;
        g_queue_delete_link(&bulk->sets, at);
        bulk->on_the_way -= set->bytes;
        return set;
    }
    return NULL;
}

static void bulk_answered(struct job *job, unsigned step, const struct imap_result *result)
{
    struct bulk *bulk = (struct bulk *)job;
    struct set *set = bulk_take_set(bulk, step);
    if (prefetch_refused(job->engine, result))
        bulk->over = true;
    for (guint i = 0; set != NULL && i < set->lacks->len; i++)
        if (!set->got[i])
            prefetch_leave(job->engine, set_lack(set, i));
    g_clear_pointer(&set, set_free);
    enum engine_error error = bulk_commit(bulk);
    if (error != ENGINE_OK)
        bulk->over = true;
    bulk->window = MIN(bulk->window * 2, WINDOW_MOST);
    bulk_fill(bulk);
    if (job->in_flight == 0)
        job_end(job, error);
}

static void bulk_lost(struct job *job, const struct imap_session *session, unsigned step)
{
    if (job->line->reason == IMAP_ERROR_TIMEOUT)
        prefetch_stalled(job->engine);
}

static enum engine_error bulk_offline(struct job *job, enum engine_error why)
{
    return why;
}

static void bulk_clear(struct job *job)
{
    struct bulk *bulk = (struct bulk *)job;
    g_queue_clear_full(&bulk->sets, (GDestroyNotify)set_free);
    g_clear_pointer(&bulk->trees, g_ptr_array_unref);
    g_clear_pointer(&bulk->sizes, g_array_unref);
    prefetch_bulk_over(job->engine, bulk->got == 0);
}

const struct job_class BULK_CLASS = {
    .name = "bulk",
    .size = sizeof(struct bulk),
    .start = bulk_start,
    .answered = bulk_answered,
    .fetch = bulk_fetch,
    .lost = bulk_lost,
    .offline = bulk_offline,
    .clear = bulk_clear,
    .bulk = true,
};
