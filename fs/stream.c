#include "fs/stream.h"

#include <errno.h>
#include <string.h>

#include "fs/content.h"

#define HEAD 4096 /* bytes of a base64 part that show its layout */
#define WINDOW_FIRST (128u << 10)
#define WINDOW_MAX (8u << 20)
#define REORDER (512u << 10) /* the kernel's own read-ahead asks a little out of order */

/* ---- probing ---- */

/* Settles the end of a section that should be `octets` long by a look at its last byte. */
static int probe_end(const struct origin *origin, const char *section, uint64_t octets,
                     uint64_t *end, struct need *need)
{
    if (cache_content_size(origin->account->cache, origin->object, section, end) == CACHE_OK)
        return 0;
    uint64_t last = octets > 0 ? octets - 1 : 0;
    uint64_t have = cache_content_have(origin->account->cache, origin->object, section, last, 2);
    if (have > 1) /* longer than announced, and the end still unknown: walk to it */
        return origin_wish(origin, section, octets + have - 1, 2 * octets, need);
    return origin_wish(origin, section, last, 2, need);
}

static int probe_raw(const struct origin *origin, const char *section, uint64_t octets,
                     struct stream *stream, struct need *need)
{
    int error = probe_end(origin, section, octets, &stream->octets, need);
    if (error != 0)
        return error;
    stream->kind = STREAM_RAW;
    stream->section = section;
    stream->size = stream->end = stream->octets;
    return 0;
}

static int probe_head(const struct origin *origin, struct stream *stream, struct need *need)
{
    char head[HEAD];
    size_t got = cache_content_get(origin->account->cache, origin->object, stream->section,
                                   stream->base, head, sizeof(head));
    if (got < sizeof(head))
        return origin_wish(origin, stream->section, stream->base + got, sizeof(head) - got, need);
    return mime_base64_learn(head, sizeof(head), false, &stream->layout) ? 0 : ENOTSUP;
}

static int probe_tail(const struct origin *origin, struct stream *stream, struct need *need)
{
    uint64_t from = mime_base64_tail(&stream->layout, stream->octets);
    uint64_t length = stream->octets - from;
    if (length > CONTENT_WHOLE_MAX)
        return ENOTSUP;
    g_autofree char *tail = g_malloc(length + 1);
    from += stream->base;
    size_t got = cache_content_get(origin->account->cache, origin->object, stream->section, from,
                                   tail, length);
    uint64_t end;
    if (got < length || cache_content_size(origin->account->cache, origin->object, stream->section,
                                           &end) != CACHE_OK)
        /* one byte more than there are: where the section ends must be known too */
        return origin_wish(origin, stream->section, from + got, length - got + 1, need);
    if (end != stream->end)
        return ENOTSUP;
    return mime_base64_size(&stream->layout, stream->octets, tail, length, &stream->size) ? 0
                                                                                          : ENOTSUP;
}

static int probe_base64(const struct origin *origin, struct stream *stream, struct need *need)
{
    stream->kind = STREAM_BASE64;
    if (origin_irregular(origin))
        return ENOTSUP;
    int error = probe_head(origin, stream, need);
    return error == 0 ? probe_tail(origin, stream, need) : error;
}

/* A part within the message, which is in the cache. ENOTSUP also if there is none. */
static int probe_within(const struct origin *origin, struct stream *stream, struct need *need)
{
    struct parsed_extent extent;
    int error = origin_extent(origin, &extent, need);
    if (error != 0)
        return error == EIO ? ENOTSUP : error;
    if (extent.length <= CONTENT_WHOLE_MAX ||
        cache_content_size(origin->account->cache, origin->object, "", &stream->end) != CACHE_OK)
        return ENOTSUP;
    stream->section = "";
    stream->base = extent.offset;
    stream->octets = stream->size = extent.length;
    stream->kind = STREAM_RAW;
    return origin->part.encoding == CACHE_ENCODING_IDENTITY ? 0
                                                            : probe_base64(origin, stream, need);
}

static int probe_part(const struct origin *origin, struct stream *stream, struct need *need)
{
    const struct cache_part *part = &origin->part;
    bool base64 = part->encoding == CACHE_ENCODING_BASE64;
    if ((part->flags & CACHE_PART_TEXT) || part->octets <= (int64_t)CONTENT_WHOLE_MAX ||
        (!base64 && part->encoding != CACHE_ENCODING_IDENTITY))
        return ENOTSUP;
    if (origin_parses(origin))
        return probe_within(origin, stream, need);
    if (!base64)
        return probe_raw(origin, part->section, (uint64_t)part->octets, stream, need);
    stream->section = part->section;
    stream->octets = stream->end = (uint64_t)part->octets;
    return probe_base64(origin, stream, need);
}

int stream_probe(const struct origin *origin, struct stream *stream, struct need *need)
{
    *stream = (struct stream){0};
    if (origin->kind == PLACE_MESSAGE)
        return probe_raw(origin, "", origin->message_size, stream, need);
    return origin->kind == PLACE_PART ? probe_part(origin, stream, need) : ENOTSUP;
}

void stream_init(struct stream *stream, const struct stream *probed)
{
    *stream = *probed;
    stream->window = WINDOW_FIRST;
    g_mutex_init(&stream->lock);
}

void stream_clear(struct stream *stream)
{
    g_mutex_clear(&stream->lock);
}

/* ---- reading ---- */

/* Notes a read of [from, to) and returns how much to fetch at once; asks for the next window before
 * the reader gets there. */
static uint64_t stream_advance(struct stream *stream, const struct origin *origin, uint64_t from,
                               uint64_t to)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&stream->lock);
    bool sequential = from <= stream->next + REORDER && from + REORDER >= stream->next && from > 0;
    if (!sequential) {
        stream->window = WINDOW_FIRST;
        stream->asked = 0;
    }
    stream->next = MAX(to, sequential ? stream->next : 0);
    if (stream->tight)
        return 0;
    if (!sequential || to + stream->window / 2 < stream->asked || stream->asked >= stream->octets)
        return stream->window;
    stream->window = MIN(stream->window * 2, WINDOW_MAX);
    uint64_t start = MAX(to, stream->asked);
    stream->asked = MIN(start + stream->window, stream->octets);
    struct engine_wish wish = {
        .want = ENGINE_BYTES,
        .messages = origin->node.slot,
        .uid = origin->node.uid,
        .section = stream->section,
        .offset = stream->base + start,
        .length = stream->asked - start,
    };
    if (stream->asked > start)
        wish_ahead(origin->account->engine, &wish);
    return stream->window;
}

/* What was fetched for this very read is gone already: the cache, or the disk under it, is too
 * small for whole windows. */
static void stream_tighten(struct stream *stream)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&stream->lock);
    stream->tight = true;
}

/* Copies [from, to) of the section; what is missing becomes a wish. */
static int section_read(struct stream *stream, const struct origin *origin, uint64_t from,
                        uint64_t to, char *buffer, struct need *need)
{
    uint64_t window = need->round == 0 ? stream_advance(stream, origin, from, to) : 0;
    size_t length = to - from;
    size_t got = cache_content_get(origin->account->cache, origin->object, stream->section,
                                   stream->base + from, buffer, length);
    if (got == length)
        return 0;
    uint64_t end;
    if (cache_content_size(origin->account->cache, origin->object, stream->section, &end) ==
            CACHE_OK &&
        end != stream->end)
        return EIO;
    if (need->round > 0)
        stream_tighten(stream);
    uint64_t wanted = MIN(MAX(length - got, window), stream->octets - from - got);
    return origin_wish(origin, stream->section, stream->base + from + got, wanted, need);
}

static int base64_read(struct stream *stream, const struct origin *origin, uint64_t offset,
                       size_t length, char *buffer, struct need *need)
{
    uint64_t from, to;
    mime_base64_range(&stream->layout, stream->octets, offset, length, &from, &to);
    g_autofree char *encoded = g_malloc(to - from + 1);
    int error = section_read(stream, origin, from, to, encoded, need);
    if (error != 0)
        return error;
    g_autoptr(GBytes) decoded =
        mime_base64_decode(&stream->layout, encoded, to - from, to == stream->octets);
    uint64_t start =
        from / (stream->layout.line + stream->layout.end) * (stream->layout.line / 4) * 3;
    if (decoded == NULL || g_bytes_get_size(decoded) < offset - start + length)
        return EILSEQ;
    memcpy(buffer, (const char *)g_bytes_get_data(decoded, NULL) + (offset - start), length);
    return 0;
}

int stream_read(struct stream *stream, const struct origin *origin, uint64_t offset, size_t length,
                void *buffer, size_t *got, struct need *need)
{
    *got = 0;
    if (offset >= stream->size)
        return 0;
    length = MIN(length, stream->size - offset);
    int error = stream->kind == STREAM_RAW
                    ? section_read(stream, origin, offset, offset + length, buffer, need)
                    : base64_read(stream, origin, offset, length, buffer, need);
    if (error == 0)
        *got = length;
    return error;
}
