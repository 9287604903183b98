#include <string.h>

#include "fs/engine/reader-private.h"

#define PIECE_MAX ((uint64_t)2 << 20)
#define PIECES_IN_FLIGHT 4
/* Sections are not followed further than this. */
#define SECTION_MAX ((uint64_t)4 << 30)

/* ---- asking ---------------------------------------------------------------------------------- */

void reader_forget_pieces(struct reader *reader)
{
    g_queue_clear_full(&reader->pieces, g_free);
}

void reader_send_piece(struct reader *reader, uint64_t origin, uint64_t length)
{
    struct piece *piece = g_new0(struct piece, 1);
    piece->step = READER_PIECE + reader->last_step++;
    piece->origin = origin;
    piece->length = length;
    g_queue_push_tail(&reader->pieces, piece);

    g_autoptr(imap_uidset) uids = imap_uidset_new();
    imap_uidset_add(uids, reader->job.wish.uid, reader->job.wish.uid);
    const struct imap_fetch_request request = {
        .items = IMAP_ITEM_UID,
        .section = reader->job.wish.section,
        .origin = origin,
        .length = length,
    };
    job_send_fetch(&reader->job, piece->step, uids, &request,
                   length != PIECE_WHOLE ? length : reader->announced);
}

/* Whether somebody still wants what is not there yet (Ctrl-C ends wishes, not jobs). */
static bool reader_is_wanted(const struct reader *reader)
{
    return !g_queue_is_empty((GQueue *)&reader->job.wishes);
}

/* Passes over what is stored. Returns false at the end of what is wished for. */
static bool reader_skip(struct reader *reader)
{
    uint64_t limit = reader->ended ? MIN(reader->to, reader->end) : reader->to;
    while (reader->next < limit) {
        size_t most = (size_t)MIN(limit - reader->next, (uint64_t)64 << 20);
        size_t have = cache_content_have(reader->job.engine->cache, reader->object,
                                         reader->job.wish.section, reader->next, most);
        if (have == 0)
            return reader->next < SECTION_MAX;
        reader->next += have;
    }
    return false;
}

void reader_fill(struct reader *reader)
{
    if (reader->whole)
        return;
    while (reader->pieces.length < PIECES_IN_FLIGHT && !reader->job.lost &&
           reader_is_wanted(reader) && reader_skip(reader)) {
        uint64_t left = reader->to - reader->next + 1; /* one more: shows whether it ends there */
        uint64_t length = MIN(left, PIECE_MAX);
        if (left == length + 1)
            length++;
        uint64_t origin = reader->next;
        reader->next += length;
        reader_send_piece(reader, origin, length);
    }
}

/* ---- believing ------------------------------------------------------------------------------- */

void reader_store(struct reader *reader, uint64_t origin, GBytes *bytes)
{
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);
    if (length == 0)
        return;
    int rc = cache_content_put(reader->job.engine->cache, reader->object, reader->job.wish.section,
                               origin, data, length);
    if (reader->full == ENGINE_OK)
        reader->full = engine_error_of_cache(rc);
}

static void reader_hold(struct reader *reader, uint64_t origin, GBytes *bytes, uint64_t end)
{
    g_clear_pointer(&reader->held, g_bytes_unref);
    reader->held = g_bytes_ref(bytes);
    reader->held_origin = origin;
    reader->held_end = end;
}

/* These bytes end the section at `end`. */
static void reader_take_last(struct reader *reader, uint64_t origin, GBytes *bytes, uint64_t end)
{
    bool doubtful = reader->has_announced ? end != reader->announced : end == 0;
    if (doubtful) {
        reader_hold(reader, origin, bytes, end);
        return;
    }
    g_clear_pointer(&reader->held, g_bytes_unref);
    reader_store(reader, origin, bytes);
    reader->ended = true;
    reader->end = end;
}

/* An empty answer says only that the section does not go beyond: it may end long before. */
static void reader_take_nothing(struct reader *reader, uint64_t origin, GBytes *bytes)
{
    bool before = origin == 0 || (reader->has_announced && reader->announced == origin) ||
                  cache_content_have(reader->job.engine->cache, reader->object,
                                     reader->job.wish.section, origin - 1, 1) == 1;
    if (before)
        reader_take_last(reader, origin, bytes, origin);
    else
        reader->back = MAX(reader->back, 1);
    if (!before && (!reader->ended || origin < reader->end))
        reader->next = MIN(reader->next, origin);
}

/* There is more than was announced: only the end tells how much. */
static void reader_overrun(struct reader *reader)
{
    if (reader->message && reader->has_announced && !reader->ended)
        reader->to = SECTION_MAX;
}

static void reader_take(struct reader *reader, struct piece *piece, const struct imap_body *body)
{
    piece->got = true;
    bool whole = piece->length == PIECE_WHOLE || body->origin < 0;
    if (body->oversized) {
        reader->oversized = true;
    } else if (whole) {
        reader_take_last(reader, 0, body->bytes, body->size);
    } else if (body->size > piece->length) {
        reader->again_whole = true; /* some ignore the range and still echo its origin */
    } else if (body->size == 0) {
        reader_take_nothing(reader, piece->origin, body->bytes);
    } else if (body->size < piece->length) {
        reader_take_last(reader, piece->origin, body->bytes, piece->origin + body->size);
    } else {
        reader_store(reader, piece->origin, body->bytes);
        if (reader->has_announced && piece->origin + body->size > reader->announced)
            reader_overrun(reader);
    }
}

/* The piece that a body answers: replies come in the order of the commands. */
static struct piece *reader_piece_of(struct reader *reader, const struct imap_body *body)
{
    for (GList *at = reader->pieces.head; at != NULL; at = at->next) {
        struct piece *piece = at->data;
        if (piece->got)
            continue;
        bool whole = piece->length == PIECE_WHOLE;
        bool nothing = !whole && body->size == 0; /* past the end, whatever origin they name */
        if (body->origin < 0 || nothing || (uint64_t)body->origin == piece->origin)
            return piece;
        if (whole)
            return NULL;
    }
    return NULL;
}

bool reader_fetch(struct job *job, const struct imap_fetch *fetch)
{
    struct reader *reader = (struct reader *)job;
    if (fetch->uid == 0 || fetch->uid != job->wish.uid)
        return false;
    if (reader->checking && (fetch->items & IMAP_ITEM_SIZE) != 0 && fetch->body_count == 0) {
        reader->seen = reader->has_seen_size = true;
        reader->seen_size = fetch->size;
        return true;
    }
    for (uint32_t i = 0; i < fetch->body_count; i++) {
        const struct imap_body *body = &fetch->bodies[i];
        if (g_ascii_strcasecmp(body->section, job->wish.section) != 0)
            continue;
        struct piece *piece = reader_piece_of(reader, body);
        if (piece == NULL)
            continue;
        if (!body->nil)
            reader_take(reader, piece, body);
        return true;
    }
    return false;
}
