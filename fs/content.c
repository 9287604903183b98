#include "fs/content.h"

#include <errno.h>
#include <string.h>

#include "fs/ahead.h"
#include "fs/control.h"
#include "fs/events.h"
#include "fs/mime.h"
#include "fs/origin.h"
#include "fs/refused.h"
#include "fs/sizes.h"
#include "fs/stream.h"

/* Messages that prove a server's RFC822.SIZE: so small at most, looked for among so many
 * neighbours. */
#define PROOF_MAX (16u << 10)
#define PROOF_SEARCH 256
/* Other parts of a message whose size is settled along with the one asked for: together so big at
 * most. */
#define SIBLINGS_MAX (64u << 10)

static void (*change_hook)(uint64_t inode);

void content_on_change(void (*changed)(uint64_t inode))
{
    change_hook = changed;
}

/* ---- sizes ---- */

static uint64_t message_bound(const struct place *place)
{
    uint64_t size = place->message.size;
    return engine_sizes(place->account->engine) == ENGINE_SIZES_WRONG ? size + size / 4 + 65536
                                                                      : size;
}

static uint64_t size_bound(const struct place *place)
{
    if (place->kind == PLACE_MESSAGE)
        return message_bound(place);
    if (place->kind == PLACE_HEADERS)
        return 3 * place->message.size + 65536;
    return mime_part_bound(&place->part);
}

static bool size_known(const struct place *place, uint64_t *size)
{
    if (sizes_get(place->account->cache, place->txn, place->message.object, place->node.part, size))
        return true;
    if (place->kind != PLACE_MESSAGE || engine_sizes(place->account->engine) != ENGINE_SIZES_RIGHT)
        return false;
    *size = place->message.size;
    return true;
}

/* Wishes for some of the smallest messages near this one: bodies that prove the server's sizes. */
static int need_proof(const struct place *place, struct need *need)
{
    struct cache_message message;
    uint32_t from = 1;
    for (unsigned i = 0; i < PROOF_SEARCH && need->count < 3; i++) {
        if (cache_message_next(place->txn, place->node.slot, from, &message) != CACHE_OK)
            break;
        uint64_t known;
        if (message.size <= PROOF_MAX &&
            !sizes_get(place->account->cache, place->txn, message.object, 0, &known)) {
            struct engine_wish wish = {
                .want = ENGINE_BYTES,
                .messages = place->node.slot,
                .uid = message.uid,
                .section = "",
                .length = message.size + 1,
            };
            need_add(need, place->account->engine, &wish);
        }
        if (message.uid == UINT32_MAX)
            break;
        from = message.uid + 1;
    }
    need->optional = true;
    return need->count > 0 ? NEED_WAIT : 0;
}

/* Asks, without waiting, for what settles the small siblings of a part, so that they share its
 * round trip. */
static void ask_siblings(const struct place *place)
{
    struct cache_parts parts;
    struct cache_part part;
    if (cache_parts_get(place->txn, place->message.object, &parts) != CACHE_OK)
        return;
    int64_t sum = 0;
    for (size_t at = 0; sum < SIBLINGS_MAX && cache_parts_next(&parts, &at, &part);) {
        uint64_t known;
        if (part.kind != CACHE_PART_LEAF || (part.flags & CACHE_PART_LOCAL) || part.octets < 0 ||
            sum + part.octets > SIBLINGS_MAX || part.number == place->node.part ||
            sizes_get(place->account->cache, place->txn, place->message.object, part.number,
                      &known))
            continue;
        struct engine_wish wish = {
            .want = ENGINE_BYTES,
            .messages = place->node.slot,
            .uid = place->node.uid,
            .section = part.section,
            .length = (uint64_t)part.octets + 1,
        };
        wish_ahead(place->account->engine, &wish);
        sum += part.octets;
    }
}

static int settle(const struct origin *origin, uint64_t *size, struct need *need)
{
    struct stream stream;
    int error = ENOTSUP;
    if (origin->kind != PLACE_MESSAGE || origin->message_size > CONTENT_WHOLE_MAX)
        error = stream_probe(origin, &stream, need);
    if (error == 0) {
        *size = stream.size;
        origin_size_store(origin, *size);
        return 0;
    }
    if (error != ENOTSUP)
        return error;
    g_autoptr(GBytes) bytes = NULL;
    error = origin_whole(origin, &bytes, need);
    if (error == 0)
        *size = g_bytes_get_size(bytes);
    return error;
}

/* A file of .mailmount, whose text is made when it is asked for. */
static int control_size(const struct mounted *mounted, const struct place *place, uint64_t *size)
{
    g_autoptr(GBytes) text = control_text(mounted, place);
    *size = g_bytes_get_size(text);
    return 0;
}

int content_size(const struct mounted *mounted, struct place *place, bool exact, uint64_t *size,
                 bool *is_exact, struct need *need)
{
    *is_exact = true;
    if (control_is_text(place))
        return control_size(mounted, place, size);
    if (place->kind == PLACE_EVENTS) {
        *size = events_size();
        return 0;
    }
    if (size_known(place, size))
        return 0;
    *is_exact = exact && place->account->account->size == ACCOUNT_SIZE_EXACT;
    if (!*is_exact) {
        *size = size_bound(place);
        return 0;
    }
    if (place->kind == PLACE_MESSAGE && place->message.size > PROOF_MAX && need->round == 0 &&
        engine_sizes(place->account->engine) == ENGINE_SIZES_UNPROVED && need_proof(place, need))
        return NEED_WAIT;
    if (place->kind == PLACE_PART && need->round == 0)
        ask_siblings(place);
    g_auto(origin) origin = {0};
    int error = origin_of(place, &origin, need);
    return error == 0 ? settle(&origin, size, need) : error;
}

/* ---- open files ---- */

struct content {
    gatomicrefcount references;
    uint64_t inode;
    uint64_t size;
    GBytes *bytes;        /* the whole file; NULL: it streams */
    struct origin origin; /* where it streams from; zeroed if it does not */
    struct stream stream;
    gint changed; /* atomic: it is not the file that was opened any more */
};

/* Who has what open, so that bytes are held once: inode -> content, not owned. */
static GHashTable *opened;
static GMutex opened_lock;

static struct content *opened_get(uint64_t inode)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&opened_lock);
    struct content *content = opened != NULL ? g_hash_table_lookup(opened, &inode) : NULL;
    if (content != NULL)
        g_atomic_ref_count_inc(&content->references);
    return content;
}

void content_unref(struct content *content)
{
    g_mutex_lock(&opened_lock);
    bool last = g_atomic_ref_count_dec(&content->references);
    if (last && opened != NULL && g_hash_table_lookup(opened, &content->inode) == content)
        g_hash_table_remove(opened, &content->inode);
    g_mutex_unlock(&opened_lock);
    if (!last)
        return;
    g_clear_pointer(&content->bytes, g_bytes_unref);
    if (content->origin.account != NULL)
        stream_clear(&content->stream);
    origin_clear(&content->origin);
    g_free(content);
}

/* What another has opened in the same moment is taken instead. */
static struct content *opened_add(struct content *content)
{
    g_mutex_lock(&opened_lock);
    if (opened == NULL)
        opened = g_hash_table_new(g_int64_hash, g_int64_equal);
    struct content *other = g_hash_table_lookup(opened, &content->inode);
    bool same = other != NULL && other->size == content->size && !g_atomic_int_get(&other->changed);
    if (same)
        g_atomic_ref_count_inc(&other->references);
    else
        g_hash_table_replace(opened, &content->inode, content);
    g_mutex_unlock(&opened_lock);
    if (!same)
        return content;
    content_unref(content);
    return other;
}

static struct content *content_new(uint64_t inode, GBytes *bytes)
{
    struct content *content = g_new0(struct content, 1);
    g_atomic_ref_count_init(&content->references);
    content->inode = inode;
    content->bytes = bytes;
    content->size = bytes != NULL ? g_bytes_get_size(bytes) : 0;
    return content;
}

static int open_stream(const struct origin *origin, struct content **content, struct need *need)
{
    struct stream probed;
    int error = stream_probe(origin, &probed, need);
    if (error != 0)
        return error;
    if (probed.size <= CONTENT_WHOLE_MAX)
        return ENOTSUP;
    origin_size_store(origin, probed.size);
    *content = content_new(origin->inode, NULL);
    (*content)->size = probed.size;
    origin_copy(&(*content)->origin, origin);
    stream_init(&(*content)->stream, &probed);
    if (probed.section == origin->part.section)
        (*content)->stream.section = (*content)->origin.part.section;
    return 0;
}

static int open_source(const struct origin *origin, struct content **content, struct need *need)
{
    int error = ENOTSUP;
    if (origin->kind != PLACE_MESSAGE || origin->message_size > CONTENT_WHOLE_MAX)
        error = open_stream(origin, content, need);
    if (error != ENOTSUP)
        return error;
    GBytes *bytes = NULL;
    error = origin_whole(origin, &bytes, need);
    if (error == 0)
        *content = content_new(origin->inode, bytes);
    return error;
}

/* The file is not as long as it was shown. ESTALE makes the kernel look it up once more, and then
 * it is opened under its true size. */
static int open_misfit(const struct origin *origin, struct content **content)
{
    origin_size_store(origin, (*content)->size);
    if (change_hook != NULL)
        change_hook(origin->inode);
    content_unref(g_steal_pointer(content));
    return ESTALE;
}

static int open_refused(const struct place *place, struct content **content)
{
    GBytes *bytes = NULL;
    int error = refused_bytes(place, &bytes);
    if (error == 0)
        *content = content_new(0, bytes);
    return error;
}

int content_open(const struct mounted *mounted, struct place *place, struct content **content,
                 struct need *need)
{
    if (control_is_text(place)) {
        *content = content_new(0, control_text(mounted, place)); /* each opening its own */
        return 0;
    }
    if (place->kind == PLACE_REFUSED)
        return open_refused(place, content);
    if (place_is_local(place))
        return ENOENT;
    if (need->round == 0)
        ahead_opened(place);
    uint64_t size;
    bool known = size_known(place, &size);
    *content = opened_get(node_inode(place->node));
    if (*content != NULL && known && (*content)->size == size &&
        !g_atomic_int_get(&(*content)->changed))
        return 0;
    if (*content != NULL)
        content_unref(g_steal_pointer(content));

    g_auto(origin) origin = {0};
    int error = origin_of(place, &origin, need);
    if (error == 0)
        error = open_source(&origin, content, need);
    if (error != 0)
        return error;
    if (known && size != (*content)->size)
        return open_misfit(&origin, content);
    *content = opened_add(*content);
    return 0;
}

uint64_t content_length(const struct content *content)
{
    return content->size;
}

/* The lines are not as the first and last ones promised: the size shown may be wrong. Whoever opens
 * it next gets the part decoded whole. */
static int content_irregular(struct content *content)
{
    if (!g_atomic_int_exchange(&content->changed, 1)) {
        origin_irregular_store(&content->origin);
        if (change_hook != NULL)
            change_hook(content->inode);
    }
    return EIO;
}

int content_read(struct content *content, uint64_t offset, size_t length, void *buffer, size_t *got,
                 struct need *need)
{
    *got = 0;
    if (content->bytes != NULL) {
        if (offset >= content->size)
            return 0;
        *got = MIN(length, content->size - offset);
        memcpy(buffer, (const char *)g_bytes_get_data(content->bytes, NULL) + offset, *got);
        return 0;
    }
    if (g_atomic_int_get(&content->changed))
        return EIO;
    int error = stream_read(&content->stream, &content->origin, offset, length, buffer, got, need);
    return error == EILSEQ ? content_irregular(content) : error;
}
