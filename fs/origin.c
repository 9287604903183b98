#include "fs/origin.h"

#include <errno.h>
#include <string.h>

#include "fs/content.h"
#include "fs/mime.h"
#include "fs/sizes.h"

/* No file that must be decoded whole is bigger: it would have to fit in memory, and in the cache
 * beside what others read. */
#define WHOLE_LIMIT (256u << 20)
#define CACHE_SHARE 2
/* Whole sections come in few rounds; more mean that they are pushed out as fast as they come. */
#define SECTION_ROUNDS 12
/* Of messages up to this size the whole is fetched when a part or the header is wanted: it costs
 * the same round trip, and the other parts come with it. */
#define SMALL_MAX ((uint64_t)32 << 10)
/* Bigger messages are not taken apart here, even if all of them is in the cache. */
#define PARSE_MAX ((uint64_t)64 << 20)
#define HEADER_FIRST ((size_t)64 << 10) /* bytes looked at for the end of a header, then more */
/* Longer section numbers are not asked of servers. */
#define SECTION_MAX 60
/* A size record under the part's number with this bit set marks irregular base64. */
#define IRREGULAR_BIT 0x4000

void origin_copy(struct origin *to, const struct origin *from)
{
    *to = *from;
    to->part.name = g_strdup(from->part.name);
    to->part.section = g_strdup(from->part.section);
    to->part.type = g_strdup(from->part.type);
    to->part.charset = g_strdup(from->part.charset);
}

void origin_clear(struct origin *origin)
{
    g_free((char *)origin->part.name);
    g_free((char *)origin->part.section);
    g_free((char *)origin->part.type);
    g_free((char *)origin->part.charset);
    *origin = (struct origin){0};
}

int origin_of(struct place *place, struct origin *origin, struct need *need)
{
    struct cache_parts parts = {0};
    if (place->kind == PLACE_HEADERS &&
        cache_parts_get(place->txn, place->message.object, &parts) != CACHE_OK)
        return need_parts(place, need);

    struct origin view = {
        .account = place->account,
        .kind = place->kind,
        .inode = node_inode(place->node),
        .node = place->node,
        .object = place->message.object,
        .message_size = place->message.size,
        .truncated = parts.truncated,
        .part = place->part,
    };
    origin_copy(origin, &view);
    place_end(place);
    return 0;
}

/* ---- sizes ---- */

static bool size_get(const struct origin *origin, uint16_t number, uint64_t *size)
{
    g_autoptr(cache_txn) txn = cache_txn_read(origin->account->cache);
    return sizes_get(origin->account->cache, txn, origin->object, number, size);
}

/* The engine keeps the sizes of messages, which it compares with what the server says. */
void origin_size_store(const struct origin *origin, uint64_t size)
{
    uint64_t known;
    if (origin->kind == PLACE_MESSAGE && size == origin->message_size)
        return;
    if (!size_get(origin, origin->node.part, &known) || known != size)
        sizes_put(origin->account->cache, origin->object, origin->node.part, size);
}

bool origin_irregular(const struct origin *origin)
{
    uint64_t mark;
    return size_get(origin, origin->node.part | IRREGULAR_BIT, &mark);
}

void origin_irregular_store(const struct origin *origin)
{
    sizes_remove(origin->account->cache, origin->object, origin->node.part);
    sizes_put(origin->account->cache, origin->object, origin->node.part | IRREGULAR_BIT, 1);
}

/* ---- sections of the server's message ---- */

int origin_wish(const struct origin *origin, const char *section, uint64_t offset, uint64_t length,
                struct need *need)
{
    if (strlen(section) > SECTION_MAX)
        return EIO;
    struct engine_wish wish = {
        .want = ENGINE_BYTES,
        .messages = origin->node.slot,
        .uid = origin->node.uid,
        .section = section,
        .offset = offset,
        .length = length,
    };
    return need_add(need, origin->account->engine, &wish);
}

static uint64_t whole_limit(const struct origin *origin)
{
    return MIN(WHOLE_LIMIT, origin->account->account->cache_size / CACHE_SHARE);
}

/* Bytes [offset, offset + length) of a section, which are known to be there on the server. */
static int section_range(const struct origin *origin, const char *section, uint64_t offset,
                         uint64_t length, GBytes **bytes, struct need *need)
{
    size_t got;
    if (need->round > SECTION_ROUNDS)
        return EIO;
    *bytes =
        cache_content_bytes(origin->account->cache, origin->object, section, offset, length, &got);
    if (*bytes != NULL)
        return 0;
    return got < length ? origin_wish(origin, section, offset + got, length - got, need) : ENOMEM;
}

int origin_section(const struct origin *origin, const char *section, uint64_t expected,
                   GBytes **bytes, struct need *need)
{
    struct cache *cache = origin->account->cache;
    uint64_t end, limit = whole_limit(origin);
    if (need->round > SECTION_ROUNDS)
        return EIO;
    if (cache_content_size(cache, origin->object, section, &end) != CACHE_OK) {
        uint64_t have = cache_content_have(cache, origin->object, section, 0, limit);
        if (MAX(have, expected) >= limit)
            return EFBIG;
        uint64_t rest = expected >= have ? expected - have + 1 : CONTENT_WHOLE_MAX;
        return origin_wish(origin, section, have, rest, need);
    }
    return end > limit ? EFBIG : section_range(origin, section, 0, end, bytes, need);
}

/* ---- parts of a message that was taken apart here ---- */

int origin_extent(const struct origin *origin, struct parsed_extent *extent, struct need *need)
{
    g_autoptr(GBytes) raw = NULL;
    struct cache *cache = origin->account->cache;
    while (!parsed_part(cache, origin->object, raw, &origin->part, extent)) {
        if (origin->message_size > CONTENT_WHOLE_MAX && !need->may_decode)
            return NEED_DECODER;
        int error = origin_section(origin, "", origin->message_size, &raw, need);
        if (error != 0)
            return error;
    }
    return extent->found ? 0 : EIO;
}

static int local_part(const struct origin *origin, GBytes **bytes, struct need *need)
{
    struct parsed_extent extent;
    g_autoptr(GBytes) raw = NULL;
    int error = origin_extent(origin, &extent, need);
    if (error == 0)
        error = section_range(origin, "", extent.offset, extent.length, &raw, need);
    if (error != 0)
        return error;
    gsize length;
    const char *data = g_bytes_get_data(raw, &length);
    *bytes = mime_part_decode(&origin->part, data != NULL ? data : "", length);
    return *bytes != NULL ? 0 : EIO;
}

/* ---- whole files ---- */

/* The length of the header block, with the empty line. */
static size_t header_length(const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        if (end == NULL)
            return length;
        size_t line = (size_t)(end - bytes) - at;
        bool empty = line == 0 || (line == 1 && bytes[at] == '\r');
        at = (size_t)(end - bytes) + 1;
        if (empty)
            return at;
    }
    return length;
}

/* Whether the whole message is in the cache, or small enough to be fetched for one of its parts. */
static bool message_at_hand(const struct origin *origin)
{
    struct cache *cache = origin->account->cache;
    uint64_t size;
    if (cache_content_size(cache, origin->object, "", &size) != CACHE_OK)
        return origin->message_size <= SMALL_MAX &&
               engine_sizes(origin->account->engine) != ENGINE_SIZES_WRONG;
    return size <= MIN(PARSE_MAX, whole_limit(origin)) &&
           (size <= SMALL_MAX || cache_content_have(cache, origin->object, "", 0, size) == size);
}

static bool section_at_hand(const struct origin *origin, const char *section)
{
    struct cache *cache = origin->account->cache;
    uint64_t size;
    return cache_content_size(cache, origin->object, section, &size) == CACHE_OK &&
           size <= SIZE_MAX / 2 &&
           cache_content_have(cache, origin->object, section, 0, (size_t)size) == size;
}

bool origin_parses(const struct origin *origin)
{
    if (origin->part.flags & CACHE_PART_LOCAL)
        return true;
    bool nested = origin->kind == PLACE_HEADERS && origin->part.section[0] != '\0';
    return (origin->kind == PLACE_PART || nested) &&
           !section_at_hand(origin, origin->part.section) && message_at_hand(origin);
}

/* The header block out of a message that is in the cache, NULL if it is not. */
static GBytes *header_at_hand(const struct origin *origin)
{
    struct cache *cache = origin->account->cache;
    uint64_t size;
    if (cache_content_size(cache, origin->object, "", &size) != CACHE_OK || size > PARSE_MAX)
        return NULL;
    for (size_t length = MIN(HEADER_FIRST, size);; length = MIN(4 * length, size)) {
        g_autofree char *bytes = g_malloc(length + 1);
        if (cache_content_get(cache, origin->object, "", 0, bytes, length) < length)
            return NULL;
        size_t header = header_length(bytes, length);
        if (header < length || length == size)
            return g_bytes_new(bytes, header);
    }
}

/* The header block as the server sends it. */
static int raw_header(const struct origin *origin, const char *section, GBytes **bytes,
                      struct need *need)
{
    g_autofree char *header =
        section[0] != '\0' ? g_strconcat(section, ".HEADER", NULL) : g_strdup("HEADER");
    *bytes = section[0] == '\0' ? header_at_hand(origin) : NULL;
    if (*bytes != NULL)
        return 0;
    if (section[0] != '\0' || section_at_hand(origin, header) || !message_at_hand(origin))
        return origin_section(origin, header, MIN(origin->message_size, 64 * 1024), bytes, need);
    g_autoptr(GBytes) message = NULL;
    int error = origin_section(origin, "", origin->message_size, &message, need);
    if (error != 0)
        return error;
    gsize length;
    const char *data = g_bytes_get_data(message, &length);
    *bytes = g_bytes_new_from_bytes(message, 0, header_length(data, length));
    return 0;
}

static int headers_text(const struct origin *origin, GBytes **bytes, struct need *need)
{
    if (origin->part.flags & CACHE_PART_LOCAL)
        return local_part(origin, bytes, need);
    if (origin_parses(origin)) {
        int error = local_part(origin, bytes, need);
        if (error != EIO)
            return error;
    }
    g_autoptr(GBytes) raw = NULL;
    int error = raw_header(origin, origin->part.section, &raw, need);
    if (error != 0)
        return error;
    gsize length;
    const void *data = g_bytes_get_data(raw, &length);
    const char *note = origin->truncated && origin->node.part == NODE_PART_HEADERS
                           ? "X-Mailmount: this message has more parts than are shown; all of it "
                             "is in its .eml file"
                           : NULL;
    *bytes = mime_headers_text(data, length, note);
    return 0;
}

/* The structure said another length than the bytes have: have the tree made from the message. */
static int structure_disagrees(const struct origin *origin, struct need *need)
{
    struct engine_wish wish = {
        .want = ENGINE_REPARTS, .messages = origin->node.slot, .uid = origin->node.uid};
    return need_add(need, origin->account->engine, &wish);
}

static int remote_part(const struct origin *origin, GBytes **bytes, struct need *need)
{
    if (strlen(origin->part.section) > SECTION_MAX)
        return structure_disagrees(origin, need);
    if (origin_parses(origin)) {
        int error = local_part(origin, bytes, need);
        if (error != EIO)
            return error;
    }
    g_autoptr(GBytes) raw = NULL;
    uint64_t expected = origin->part.octets >= 0 ? (uint64_t)origin->part.octets : 0;
    int error = origin_section(origin, origin->part.section, expected, &raw, need);
    if (error != 0)
        return error;
    gsize length;
    const void *data = g_bytes_get_data(raw, &length);
    if (origin->part.octets >= 0 && length != expected)
        return structure_disagrees(origin, need);
    *bytes = mime_part_decode(&origin->part, data, length);
    return *bytes != NULL ? 0 : EIO;
}

/* Whether the file takes long to decode. */
static bool is_big(const struct origin *origin)
{
    uint64_t size =
        origin_parses(origin) ? origin->message_size : (uint64_t)MAX(origin->part.octets, 0);
    return origin->kind != PLACE_MESSAGE && size > CONTENT_WHOLE_MAX;
}

int origin_whole(const struct origin *origin, GBytes **bytes, struct need *need)
{
    int error;
    if (is_big(origin) && !need->may_decode)
        return NEED_DECODER;
    if (origin->kind == PLACE_MESSAGE)
        error = origin_section(origin, "", origin->message_size, bytes, need);
    else if (origin->kind == PLACE_HEADERS)
        error = headers_text(origin, bytes, need);
    else if (origin->part.flags & CACHE_PART_LOCAL)
        error = local_part(origin, bytes, need);
    else
        error = remote_part(origin, bytes, need);
    if (error != 0)
        return error;
    *bytes = cache_spool(origin->account->cache, *bytes);
    origin_size_store(origin, g_bytes_get_size(*bytes));
    return 0;
}
