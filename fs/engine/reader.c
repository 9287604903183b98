#include "fs/engine/reader.h"

#include <string.h>

#include "fs/engine/identity.h"
#include "fs/engine/mirror.h"
#include "fs/engine/reader-private.h"

/* Messages up to this size are fetched whole. */
#define WHOLE_MAX ((uint64_t)1 << 20)
#define PROOFS_NEEDED 3
/* So many messages of another length than announced show that the server's sizes are wrong; fewer
 * may be damaged messages, whose own sizes are corrected. */
#define MISFITS_NEEDED 3
#define BACK_FIRST ((uint64_t)64 << 10)
#define BACKS_MOST 40

/* ---- the job --------------------------------------------------------------------------------- */

static enum engine_error reader_load(struct reader *reader)
{
    struct job *job = &reader->job;
    struct message message;
    if (!message_find(job->engine, job->wish.messages, job->wish.uid, &message))
        return ENGINE_GONE;
    g_free(job->mailbox);
    job->mailbox = message.mailbox;
    job->folder = message.folder;
    job->uidvalidity = message.uidvalidity;
    reader->object = message.object;
    reader->message = job->wish.section[0] == '\0';
    int64_t octets = reader->message
                         ? (int64_t)MIN(message.size, INT64_MAX)
                         : message_octets(job->engine, message.object, job->wish.section);
    reader->has_announced = octets >= 0;
    reader->announced = (uint64_t)MAX(octets, 0);
    return ENGINE_OK;
}

static enum engine_error reader_prepare(struct job *job)
{
    struct reader *reader = (struct reader *)job;
    reader->from = job->wish.offset;
    reader->to = job->wish.offset + MIN(job->wish.length, UINT64_MAX / 2 - job->wish.offset);
    enum engine_error error = job->wish.offset > UINT64_MAX / 4 ? ENGINE_BROKEN : ENGINE_OK;
    if (error == ENGINE_OK)
        error = reader_load(reader);
    job->cost = MIN(reader->to - reader->from, WHOLE_MAX);
    if (reader->has_announced)
        job->cost = MIN(job->cost, reader->announced);
    return error;
}

static bool reader_satisfied(struct job *job)
{
    const struct reader *reader = (const struct reader *)job;
    struct cache *cache = job->engine->cache;
    const char *section = job->wish.section;
    uint64_t to = reader->to, size;
    if (cache_content_size(cache, reader->object, section, &size) == CACHE_OK)
        to = MIN(to, size);
    if (reader->from >= to)
        return true;
    return to - reader->from <= SIZE_MAX / 2 &&
           cache_content_have(cache, reader->object, section, reader->from,
                              (size_t)(to - reader->from)) == to - reader->from;
}

static bool reader_clashes(const struct job *job, const struct job *running)
{
    const struct reader *one = (const struct reader *)job, *two = (const struct reader *)running;
    return job->wish.uid == running->wish.uid &&
           strcmp(job->wish.section, running->wish.section) == 0 &&
           (two->whole || (one->from <= two->to && two->from <= one->to));
}

static enum engine_error reader_offline(struct job *job, enum engine_error why)
{
    return why;
}

static void reader_reset(struct reader *reader)
{
    reader_forget_pieces(reader);
    g_clear_pointer(&reader->held, g_bytes_unref);
    reader->next = reader->from;
    reader->ended = reader->again_whole = reader->oversized = false;
    reader->full = ENGINE_OK;
    reader->checked = reader->checking = reader->seen = reader->has_seen_size = false;
    reader->repeated = false;
    reader->missing = reader->backs = 0;
    reader->refused = ENGINE_OK;
    reader->back = 0;
}

static void reader_clear(struct job *job)
{
    reader_reset((struct reader *)job);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void reader_send_check(struct reader *reader)
{
    struct job *job = &reader->job;
    reader->checking = true;
    reader->seen = reader->has_seen_size = false;
    g_autoptr(imap_uidset) uids = imap_uidset_new();
    imap_uidset_add(uids, job->wish.uid, job->wish.uid);
    const struct imap_fetch_request request = {.items = IMAP_ITEM_UID | IMAP_ITEM_SIZE};
    job_send_noop(job, READER_NOOP);
    job_send_fetch(job, READER_CHECK, uids, &request, 0);
}

static void reader_start(struct job *job)
{
    struct reader *reader = (struct reader *)job;
    reader_reset(reader);
    enum engine_error error = reader_load(reader);
    if (error != ENGINE_OK) {
        job_end(job, error);
        return;
    }
    struct cache *cache = job->engine->cache;
    reader->ended =
        cache_content_size(cache, reader->object, job->wish.section, &reader->end) == CACHE_OK;
    bool wrong = engine_sizes(job->engine) == ENGINE_SIZES_WRONG;
    reader->whole = reader->message && reader->announced > 0 && reader->announced <= WHOLE_MAX &&
                    !wrong && !reader->ended &&
                    cache_content_have(cache, reader->object, "", 0, 1) == 0;
    if (reader->whole)
        reader_send_piece(reader, 0, PIECE_WHOLE);
    reader_fill(reader);
    if (job->in_flight == 0 && !job->lost)
        job_end(job, ENGINE_OK);
    else if (reader->message && wrong)
        reader_send_check(reader); /* it will not fit: ask now, not one round trip later */
}

/* ---- what bodies prove ----------------------------------------------------------------------- */

/* The end of a message, to be written down, and the job that is answered then. */
struct fact {
    struct job *job; /* a reference */
    uint64_t object, size;
    bool changed; /* it is not what the server announced */
};

static void reader_set_sizes(struct engine *engine, struct cache_txn *txn, enum engine_sizes sizes)
{
    if (engine_sizes(engine) == sizes)
        return;
    g_atomic_int_set(&engine->sizes, (gint)sizes);
    cache_note_put(txn, "server.sizes", sizes == ENGINE_SIZES_RIGHT ? "right" : "wrong");
    if (sizes == ENGINE_SIZES_WRONG)
        g_message("%s: RFC822.SIZE is not the length of the messages", engine->account->host);
}

static void fact_write(struct engine *engine, struct cache_txn *txn, const struct fact *fact)
{
    cache_size_put(txn, fact->object, 0, fact->size);
    if (fact->changed && g_hash_table_size(engine->misfits) >= MISFITS_NEEDED)
        reader_set_sizes(engine, txn, ENGINE_SIZES_WRONG);
    else if (!fact->changed && engine_sizes(engine) == ENGINE_SIZES_UNPROVED &&
             g_hash_table_size(engine->proofs) >= PROOFS_NEEDED)
        reader_set_sizes(engine, txn, ENGINE_SIZES_RIGHT);
}

static void fact_tell(struct engine *engine, struct fact *fact, enum engine_error error)
{
    const struct job *job = fact->job;
    const struct engine_events *events = engine->events;
    if (fact->changed && error == ENGINE_OK && events != NULL && events->content_changed != NULL)
        events->content_changed(job->wish.messages, job->wish.uid, engine->events_data);
    job_end(fact->job, error);
    job_unref(fact->job);
    g_free(fact);
}

void reader_flush(struct engine *engine)
{
    GQueue facts = engine->ledger;
    g_queue_init(&engine->ledger);
    if (g_queue_is_empty(&facts))
        return;
    struct cache_txn *txn = cache_txn_write(engine->cache);
    for (GList *at = facts.head; at != NULL; at = at->next)
        fact_write(engine, txn, at->data);
    enum engine_error error = engine_error_of_cache(cache_txn_commit(txn));
    struct fact *fact;
    while ((fact = g_queue_pop_head(&facts)) != NULL)
        fact_tell(engine, fact, error);
}

static gboolean reader_flush_later(gpointer data)
{
    reader_flush(data);
    return G_SOURCE_REMOVE;
}

/* Facts that come in one turn of the loop share one commit. */
static void reader_note(struct reader *reader, bool changed)
{
    struct engine *engine = reader->job.engine;
    struct fact *fact = g_new0(struct fact, 1);
    fact->job = job_ref(&reader->job);
    fact->object = reader->object;
    fact->size = reader->end;
    fact->changed = changed;
    if (g_queue_is_empty(&engine->ledger))
        engine_post(engine->context, reader_flush_later, engine, NULL);
    g_queue_push_tail(&engine->ledger, fact);
    job_park(&reader->job);
}

/* Counts the message among `some`, of which no more than are needed are noted. */
static void reader_count(const struct reader *reader, GHashTable *some, guint needed)
{
    if (g_hash_table_size(some) < needed)
        g_hash_table_add(some, g_memdup2(&reader->object, sizeof reader->object));
}

void reader_prove(struct engine *engine, struct cache_txn *txn, const struct reader_size *sizes,
                  size_t count)
{
    for (size_t i = 0; i < count && engine_sizes(engine) != ENGINE_SIZES_RIGHT; i++) {
        if (g_hash_table_size(engine->proofs) < PROOFS_NEEDED)
            g_hash_table_add(engine->proofs, g_memdup2(&sizes[i].object, sizeof sizes[i].object));
        const struct fact fact = {.object = sizes[i].object, .size = sizes[i].size};
        fact_write(engine, txn, &fact);
    }
}

/* All that was wished for is stored. */
static void reader_finish(struct reader *reader)
{
    struct job *job = &reader->job;
    if (!reader->ended) {
        identity_read(job->engine, job->wish.messages, job->wish.uid, reader->object,
                      job->wish.section);
        job_end(job, ENGINE_OK);
        return;
    }
    enum engine_error error = engine_error_of_cache(
        cache_content_end(job->engine->cache, reader->object, job->wish.section, reader->end));
    if (error != ENGINE_OK) {
        job_end(job, error);
        return;
    }
    identity_read(job->engine, job->wish.messages, job->wish.uid, reader->object,
                  job->wish.section);
    bool fits = reader->end == reader->announced;
    bool right = engine_sizes(job->engine) == ENGINE_SIZES_RIGHT;
    if (reader->message && fits && reader->end > 0)
        reader_count(reader, job->engine->proofs, PROOFS_NEEDED);
    else if (reader->message && !fits)
        reader_count(reader, job->engine->misfits, MISFITS_NEEDED);
    if (!reader->message || (fits && right))
        job_end(job, ENGINE_OK);
    else
        reader_note(reader, !fits);
}

/* ---- what to believe ------------------------------------------------------------------------- */

static void reader_lost_message(struct reader *reader)
{
    struct job *job = &reader->job;
    message_gone(job->engine, job->wish.messages, job->wish.uid);
    job_end(job, ENGINE_GONE);
}

/* What was held is believed: it came twice, or the server has corrected itself. */
static void reader_accept(struct reader *reader)
{
    g_autoptr(GBytes) held = g_steal_pointer(&reader->held);
    reader_store(reader, reader->held_origin, held);
    reader->ended = true;
    reader->end = reader->held_end;
}

static void reader_settle_held(struct reader *reader)
{
    struct job *job = &reader->job;
    if (reader->message && reader->has_seen_size && reader->seen_size == reader->held_end) {
        message_set_size(job->engine, job->wish.messages, job->wish.uid, reader->seen_size);
        reader->announced = reader->seen_size;
        reader_accept(reader);
        return;
    }
    bool known = reader->message && engine_sizes(job->engine) == ENGINE_SIZES_WRONG;
    if (known || (reader->repeated && reader->repeat_end == reader->held_end)) {
        reader_accept(reader);
        return;
    }
    if (reader->repeated) { /* another length each time */
        job_end(job, ENGINE_BROKEN);
        return;
    }
    reader->repeated = true;
    reader->repeat_end = reader->held_end;
    uint64_t origin = reader->held_origin;
    uint64_t length = reader->held_end - origin + 1;
    reader_send_piece(reader, origin, reader->whole ? PIECE_WHOLE : length);
}

/* Looks for the end below a range that was empty: twice as far each time. */
static void reader_look_back(struct reader *reader)
{
    if (++reader->backs > BACKS_MOST) {
        job_end(&reader->job, ENGINE_BROKEN);
        return;
    }
    uint64_t back = reader->back <= 1 ? BACK_FIRST : reader->back * 2;
    uint64_t origin = reader->next > back ? reader->next - back : 0;
    uint64_t length = reader->next - origin;
    reader->back = origin == 0 ? 0 : back;
    reader->next = origin;
    reader_send_piece(reader, origin, MIN(length + 1, (uint64_t)8 << 20));
}

/* Refused: because it is not there any more, if the server said so meanwhile. */
static enum engine_error reader_verdict(const struct reader *reader)
{
    const struct job *job = &reader->job;
    struct message message;
    if (job->line != NULL && job->line->mirror != NULL)
        mirror_flush(job->line->mirror);
    if (!message_find(job->engine, job->wish.messages, job->wish.uid, &message))
        return ENGINE_GONE;
    g_free(message.mailbox);
    return reader->refused;
}

/* What went wrong and what to do about it; false if nothing did. Ends the job, or sends something.
 */
static bool reader_trouble(struct reader *reader)
{
    struct job *job = &reader->job;
    if (reader->oversized)
        job_end(job, ENGINE_BROKEN);
    else if (reader->full != ENGINE_OK)
        job_end(job, reader->full);
    else if (reader->checked && !reader->seen)
        reader_lost_message(reader);
    else if (!reader->checked &&
             (reader->held != NULL || reader->missing > 0 || reader->refused != ENGINE_OK))
        reader_send_check(reader);
    else if (reader->refused != ENGINE_OK)
        job_end(job, reader_verdict(reader));
    else if (reader->held != NULL)
        reader_settle_held(reader);
    else if (reader->missing > 1)
        job_end(job, ENGINE_BROKEN);
    else
        return false;
    return job->state != JOB_RUNNING || job->in_flight > 0;
}

/* Nothing is in flight: what next? */
static void reader_settle(struct reader *reader)
{
    struct job *job = &reader->job;
    if (reader_trouble(reader))
        return;
    if (reader->full != ENGINE_OK) {
        job_end(job, reader->full);
    } else if (g_queue_is_empty(&job->wishes)) {
        job_end(job, ENGINE_INTERRUPTED);
    } else if (reader->again_whole && reader->whole) {
        job_end(job, ENGINE_BROKEN);
    } else if (reader->again_whole || (reader->whole && !reader->ended)) {
        reader->whole = true;
        reader->again_whole = false;
        reader_send_piece(reader, 0, PIECE_WHOLE);
    } else if (reader->back > 0 && !reader->ended) {
        reader_look_back(reader);
    } else {
        reader_fill(reader);
        if (job->in_flight == 0 && !job->lost)
            reader_finish(reader);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct piece *reader_take_piece(struct reader *reader, unsigned step)
{
    for (GList *at = reader->pieces.head; at != NULL; at = at->next) {
        struct piece *piece = at->data;
        if (piece->step != step)
            continue;
        g_queue_delete_link(&reader->pieces, at);
        return piece;
    }
    return NULL;
}

/* Lack of rights has a code: without one (a mailbox that is removed, a message that cannot be read)
 * it is not that. */
static enum engine_error reader_refusal(const struct imap_result *result)
{
    bool bare = result->error == IMAP_ERROR_NO && result->code == NULL;
    return bare ? ENGINE_BROKEN : job_error_of(result);
}

static void reader_piece_answered(struct reader *reader, unsigned step,
                                  const struct imap_result *result)
{
    g_autofree struct piece *piece = reader_take_piece(reader, step);
    if (piece == NULL || piece->got)
        return;
    if (result->error != IMAP_OK)
        reader->refused = reader_refusal(result);
    else
        reader->missing++;
    if (piece->length != PIECE_WHOLE)
        reader->next = MIN(reader->next, piece->origin);
}

static bool reader_has_trouble(const struct reader *reader)
{
    return reader->refused != ENGINE_OK || reader->missing > 0 || reader->held != NULL ||
           reader->full != ENGINE_OK || reader->oversized || reader->again_whole ||
           reader->back > 0;
}

static void reader_answered(struct job *job, unsigned step, const struct imap_result *result)
{
    struct reader *reader = (struct reader *)job;
    if (step == READER_CHECK) {
        reader->checking = false;
        reader->checked = true;
        if (result->error != IMAP_OK)
            reader->seen = true; /* refused: that is no proof that it is gone */
    } else if (step >= READER_PIECE) {
        reader_piece_answered(reader, step, result);
    }
    if (job->in_flight == 0)
        reader_settle(reader);
    else if (!reader_has_trouble(reader) && !reader->checking)
        reader_fill(reader);
}

const struct job_class READER_CLASS = {
    .name = "reader",
    .size = sizeof(struct reader),
    .prepare = reader_prepare,
    .satisfied = reader_satisfied,
    .start = reader_start,
    .answered = reader_answered,
    .fetch = reader_fetch,
    .clashes = reader_clashes,
    .offline = reader_offline,
    .clear = reader_clear,
};
