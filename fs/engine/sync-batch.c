#include <string.h>

#include "fs/engine/sync.h"
#include "fs/mime.h"

#define BATCH_MESSAGES 1000
#define BATCHES_IN_FLIGHT 4
/* A server that refuses so many one after the other, and has granted none, grants nothing now. */
#define REFUSALS_MAX 64
/* And one that grants some is asked so often in one sync; the next goes on from there. */
#define REFUSALS_TOTAL 4096
/* About what META is on the wire, for the window. */
#define META_BYTES 700

enum { ROUND_META, ROUND_AGAIN, ROUND_FLAGS };

#define META_NEEDED (IMAP_ITEM_UID | IMAP_ITEM_FLAGS | IMAP_ITEM_INTERNALDATE | IMAP_ITEM_SIZE)

GBytes *sync_header(const struct imap_fetch *fetch, bool *there)
{
    for (uint32_t i = 0; i < fetch->body_count; i++) {
        const struct imap_body *body = &fetch->bodies[i];
        if (g_ascii_strncasecmp(body->section, "HEADER.FIELDS", 13) != 0)
            continue;
        *there = true;
        return body->bytes;
    }
    *there = false;
    return NULL;
}

bool sync_is_whole(const struct imap_fetch *fetch)
{
    bool there;
    GBytes *header = sync_header(fetch, &there);
    return fetch->uid != 0 &&
           (fetch->items & (META_NEEDED & ~IMAP_ITEM_UID)) ==
               (META_NEEDED & ~(unsigned)IMAP_ITEM_UID) &&
           header != NULL;
}

unsigned sync_items(const struct sync *sync)
{
    unsigned capabilities = imap_session_capabilities(sync->job.line->session);
    unsigned items = META_NEEDED;
    if ((capabilities & IMAP_CAP_OBJECTID) != 0)
        items |= IMAP_ITEM_EMAILID;
    if ((capabilities & IMAP_CAP_GMAIL) != 0)
        items |= IMAP_ITEM_GM_MSGID;
    if ((capabilities & IMAP_CAP_CONDSTORE) != 0)
        items |= IMAP_ITEM_MODSEQ;
    return items;
}

/* ---- batches --------------------------------------------------------------------------------- */

static void batch_free(struct batch *batch)
{
    g_free(batch->uids);
    g_free(batch->got);
    g_free(batch);
}

static struct batch *batch_new(const uint32_t *uids, guint count, unsigned round, bool whole)
{
    struct batch *batch = g_new0(struct batch, 1);
    batch->uids = g_memdup2(uids, count * sizeof *uids);
    batch->got = g_malloc0(count);
    batch->count = count;
    batch->round = round;
    batch->whole = whole;
    return batch;
}

void sync_batch_add(struct sync *sync, const uint32_t *uids, guint count, bool whole)
{
    for (guint at = 0; at < count; at += BATCH_MESSAGES)
        g_queue_push_tail(&sync->todo,
                          batch_new(uids + at, MIN(count - at, BATCH_MESSAGES), ROUND_META, whole));
}

void sync_batch_clear(struct sync *sync)
{
    g_queue_clear_full(&sync->todo, (GDestroyNotify)batch_free);
    g_queue_clear_full(&sync->sent, (GDestroyNotify)batch_free);
}

static void batch_send(struct sync *sync, struct batch *batch)
{
    g_autoptr(imap_uidset) uids = imap_uidset_new();
    if (batch->whole && batch->round == ROUND_META)
        imap_uidset_add(uids, batch->uids[0], batch->uids[batch->count - 1]);
    else
        for (guint i = 0; i < batch->count; i++)
            imap_uidset_add(uids, batch->uids[i], batch->uids[i]);
    struct imap_fetch_request request = {.items = sync_items(sync),
                                         .header_fields = MIME_LIST_FIELDS};
    if (batch->round == ROUND_FLAGS)
        request = (struct imap_fetch_request){.items = IMAP_ITEM_UID | IMAP_ITEM_FLAGS};
    batch->step = SYNC_BATCH + sync->last_step++;
    g_queue_push_tail(&sync->sent, batch);
    job_send_fetch(&sync->job, batch->step, uids, &request, (uint64_t)batch->count * META_BYTES);
}

void sync_batch_send(struct sync *sync)
{
    while (sync->sent.length < BATCHES_IN_FLIGHT && !g_queue_is_empty(&sync->todo) &&
           !sync->job.lost)
        batch_send(sync, g_queue_pop_head(&sync->todo));
}

/* ---- replies --------------------------------------------------------------------------------- */

/* The place of a UID in a batch, count: none. Replies come in order nearly always. */
static guint batch_find(struct batch *batch, uint32_t uid)
{
    if (batch->cursor < batch->count && batch->uids[batch->cursor] == uid)
        return batch->cursor++;
    guint low = 0, high = batch->count;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (batch->uids[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == batch->count || batch->uids[low] != uid)
        return batch->count;
    batch->cursor = low + 1;
    return low;
}

/* Whether a reply is good enough for the round. A message whose flags changed meanwhile comes with
 * flags alone: that is not the answer to META. */
static bool batch_accepts(const struct batch *batch, const struct imap_fetch *fetch)
{
    bool there;
    sync_header(fetch, &there);
    if (batch->round == ROUND_META)
        return sync_is_whole(fetch);
    if (batch->round == ROUND_AGAIN)
        return there || (fetch->items & IMAP_ITEM_INTERNALDATE) != 0;
    return (fetch->items & IMAP_ITEM_FLAGS) != 0 && fetch->body_count == 0;
}

bool sync_batch_fetch(struct sync *sync, const struct imap_fetch *fetch)
{
    for (GList *at = sync->sent.head; at != NULL; at = at->next) {
        struct batch *batch = at->data;
        if (fetch->uid < batch->uids[0] || fetch->uid > batch->uids[batch->count - 1])
            continue;
        guint place = batch_find(batch, fetch->uid);
        if (place == batch->count || batch->got[place])
            continue;
        if (!batch_accepts(batch, fetch))
            return false;
        bool there;
        batch->got[place] = 1;
        mirror_add(sync->mirror, fetch, sync_header(fetch, &there));
        return true;
    }
    return false;
}

/* ---- answers --------------------------------------------------------------------------------- */

static GArray *batch_left(const struct batch *batch)
{
    GArray *left = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (guint i = 0; i < batch->count; i++)
        if (!batch->got[i])
            g_array_append_val(left, batch->uids[i]);
    return left;
}

/* Answered OK and yet not there: the next round, after the last of which it is gone. */
static void batch_missed(struct sync *sync, const struct batch *batch, GArray *left)
{
    if (batch->round < ROUND_FLAGS)
        g_queue_push_tail(&sync->todo, batch_new((const uint32_t *)(void *)left->data, left->len,
                                                 batch->round + 1, false));
}

/* Refused: each half by itself, down to one message; that one is never hidden. */
static void batch_refused(struct sync *sync, const struct batch *batch, GArray *left)
{
    const uint32_t *uids = (const uint32_t *)(void *)left->data;
    if (left->len == 1 && batch->round == ROUND_FLAGS) {
        mirror_add_bare(sync->mirror, uids[0]);
    } else if (left->len == 1) {
        g_queue_push_head(&sync->todo, batch_new(uids, 1, ROUND_FLAGS, false));
    } else {
        guint half = left->len / 2;
        g_queue_push_head(&sync->todo,
                          batch_new(uids + half, left->len - half, batch->round, batch->whole));
        g_queue_push_head(&sync->todo, batch_new(uids, half, batch->round, batch->whole));
    }
}

static struct batch *batch_take(struct sync *sync, unsigned step)
{
    for (GList *at = sync->sent.head; at != NULL; at = at->next) {
        struct batch *batch = at->data;
        if (batch->step != step)
            continue;
        g_queue_delete_link(&sync->sent, at);
        return batch;
    }
    return NULL;
}

/* Whether to go on. Where the first ones are all refused the last is tried: one that is granted
 * tells a server that has many broken messages from one that gives nothing. */
static bool batch_count(struct sync *sync, bool refused)
{
    if (!refused) {
        sync->granted = true;
        return true;
    }
    sync->refusals++;
    if (!sync->granted && sync->refusals == REFUSALS_MAX / 2 && sync->todo.length > 1)
        g_queue_push_head(&sync->todo, g_queue_pop_tail(&sync->todo));
    return sync->refusals < (sync->granted ? REFUSALS_TOTAL : REFUSALS_MAX);
}

bool sync_batch_answered(struct sync *sync, unsigned step, const struct imap_result *result)
{
    struct batch *batch = batch_take(sync, step);
    if (batch == NULL)
        return true;
    g_autoptr(GArray) left = batch_left(batch);
    bool refused = result->error != IMAP_OK;
    if (left->len > 0 && refused)
        batch_refused(sync, batch, left);
    else if (left->len > 0)
        batch_missed(sync, batch, left);
    batch_free(batch);
    if (batch_count(sync, refused))
        return true;
    if (sync->granted) /* what was found out is not found out again */
        mirror_flush(sync->mirror);
    return false;
}

/* ---- reconciling ----------------------------------------------------------------------------- */

#define WALK_MOST 1000

/* Looks at some records from `from` up to `last`: those that are not in `kept` are put into `gone`,
 * those that are appended to `there`. Returns where to go on, 0: at the end. */
static uint32_t records_walk(struct sync *sync, const struct imap_uidset *kept, uint32_t from,
                             uint32_t last, GArray *gone, GArray *there)
{
    g_autoptr(cache_txn) txn = cache_txn_read(sync->job.engine->cache);
    struct cache_message message;
    g_array_set_size(gone, 0);
    for (guint i = 0; i < WALK_MOST; i++) {
        if (cache_message_next(txn, sync->messages, from, &message) != CACHE_OK ||
            message.uid > last)
            return 0;
        if (!imap_uidset_contains(kept, message.uid))
            g_array_append_val(gone, message.uid);
        else if (there != NULL)
            g_array_append_val(there, message.uid);
        if (message.uid == UINT32_MAX)
            return 0;
        from = message.uid + 1;
    }
    return from;
}

void sync_remove_others(struct sync *sync, const struct imap_uidset *kept, uint32_t last,
                        GArray *there)
{
    g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    uint32_t from = 1;
    while (from != 0) {
        from = records_walk(sync, kept, from, last, gone, there);
        for (guint i = 0; i < gone->len; i++)
            mirror_remove(sync->mirror, g_array_index(gone, uint32_t, i));
    }
}

/* All UIDs of `listed` that `there` (ascending) lacks. */
static GArray *records_missing(const struct imap_uidset *listed, const GArray *there)
{
    GArray *missing = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    const struct imap_range *ranges;
    size_t count = imap_uidset_ranges(listed, &ranges);
    guint at = 0;
    for (size_t i = 0; i < count; i++) {
        for (uint64_t uid = ranges[i].first; uid <= ranges[i].last; uid++) {
            uint32_t value = (uint32_t)uid;
            while (at < there->len && g_array_index(there, uint32_t, at) < value)
                at++;
            if (at == there->len || g_array_index(there, uint32_t, at) != value)
                g_array_append_val(missing, value);
        }
    }
    return missing;
}

/* So many messages may have come between EXISTS and the answer to SEARCH. */
#define LISTED_MORE 100000

/* A range costs a server nothing to say; each message in it costs us. */
static bool listed_is_credible(const struct sync *sync)
{
    uint32_t now = imap_session_state(sync->job.line->session)->exists;
    uint64_t listed = imap_uidset_count(sync->listed);
    if (listed <= (uint64_t)MAX(now, sync->state.exists) + LISTED_MORE)
        return true;
    g_warning("%s: SEARCH lists %" G_GUINT64_FORMAT " messages where EXISTS says %u",
              sync->job.mailbox, listed, now);
    return false;
}

enum engine_error sync_reconcile(struct sync *sync)
{
    if (!listed_is_credible(sync))
        return ENGINE_BROKEN;
    g_autoptr(GArray) there = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    sync_remove_others(sync, sync->listed, UINT32_MAX, there);
    enum engine_error error = mirror_flush(sync->mirror);
    if (error != ENGINE_OK)
        return error;
    g_autoptr(GArray) missing = records_missing(sync->listed, there);
    sync_batch_add(sync, (const uint32_t *)(void *)missing->data, missing->len, there->len == 0);
    return ENGINE_OK;
}
