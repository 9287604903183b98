#include "fs/engine/mirror.h"

#include <string.h>

#include "fs/engine/identity.h"
#include "fs/engine/prefetch.h"
#include "fs/engine/push.h"
#include "fs/engine/watch.h"
#include "fs/mime.h"

#define KEYWORDS_MAX 2048
/* Where even a whole delta is cut. */
#define WHOLE_CHANGES 20000
#define WHOLE_BYTES (8u << 20)

/* One change. Offsets point into the mirror's bytes, where every text ends in NUL; 0 is "". */
enum change_kind { CHANGE_ADD, CHANGE_FLAGS, CHANGE_REMOVE };
struct change {
    enum change_kind kind;
    struct cache_message message; /* its pointers are set when it is written */
    size_t keywords, name, id, header, header_length;
    char id_kind; /* 'E', 'G', 0: the server has no id for it */
    bool has_modseq;
    bool done; /* it changed something */
    /* what was there */
    bool known;
    uint64_t object;
    uint32_t old_flags;
    size_t old_keywords;
};

struct mirror {
    struct engine *engine;
    uint32_t folder, messages, uidvalidity;
    char *wire;
    bool outgoing; /* \Sent or \Drafts */
    bool quiet, whole, unasked;
    uint64_t changed;  /* changes that were none before */
    GArray *changes;   /* struct change */
    GByteArray *bytes; /* texts of the changes */
    GSource *soon;     /* a flush is due */
    bool named;
    int64_t newest;
    enum engine_error error;
};

struct mirror *mirror_new(struct engine *engine, uint32_t folder, uint32_t uidvalidity)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, folder, &mailbox) != CACHE_OK || mailbox.messages == 0 ||
        mailbox.uidvalidity != uidvalidity)
        return NULL;
    struct mirror *mirror = g_new0(struct mirror, 1);
    mirror->engine = engine;
    mirror->folder = folder;
    mirror->messages = mailbox.messages;
    mirror->uidvalidity = uidvalidity;
    mirror->wire = g_strdup(mailbox.wire);
    mirror->outgoing = (mailbox.flags & (CACHE_MAILBOX_SENT | CACHE_MAILBOX_DRAFTS)) != 0;
    mirror->quiet = (mailbox.flags & CACHE_MAILBOX_COMPLETE) == 0;
    mirror->newest = INT64_MIN;
    mirror->changes = g_array_sized_new(FALSE, TRUE, sizeof(struct change), MIRROR_BATCH);
    mirror->bytes = g_byte_array_new();
    g_byte_array_append(mirror->bytes, (const guint8 *)"", 1);
    return mirror;
}

void mirror_free(struct mirror *mirror)
{
    if (mirror == NULL)
        return;
    if (mirror->soon != NULL) {
        g_source_destroy(mirror->soon);
        g_source_unref(mirror->soon);
    }
    g_array_unref(mirror->changes);
    g_byte_array_unref(mirror->bytes);
    g_free(mirror->wire);
    g_free(mirror);
}

bool mirror_named(const struct mirror *mirror)
{
    return mirror->named;
}

int64_t mirror_newest(const struct mirror *mirror)
{
    return mirror->newest;
}

void mirror_set_quiet(struct mirror *mirror, bool quiet)
{
    mirror->quiet = quiet;
}

void mirror_set_whole(struct mirror *mirror)
{
    mirror->whole = true;
}

void mirror_set_unasked(struct mirror *mirror)
{
    mirror->unasked = true;
}

uint64_t mirror_changes(const struct mirror *mirror)
{
    return mirror->changed;
}

/* ---- gathering ------------------------------------------------------------------------------- */

static size_t mirror_text(struct mirror *mirror, const void *bytes, size_t length)
{
    size_t at = mirror->bytes->len;
    if (length == 0)
        return 0;
    g_byte_array_append(mirror->bytes, bytes, (guint)length);
    g_byte_array_append(mirror->bytes, (const guint8 *)"", 1);
    return at;
}

static const struct {
    const char *name;
    uint32_t flag; /* 0: not kept */
} FLAGS[] = {
    {"\\Seen", CACHE_FLAG_SEEN},       {"\\Answered", CACHE_FLAG_ANSWERED},
    {"\\Flagged", CACHE_FLAG_FLAGGED}, {"\\Deleted", CACHE_FLAG_DELETED},
    {"\\Draft", CACHE_FLAG_DRAFT},     {"\\Recent", 0},
};

static bool flag_find(const char *name, uint32_t *flag)
{
    for (size_t i = 0; i < G_N_ELEMENTS(FLAGS); i++) {
        if (g_ascii_strcasecmp(name, FLAGS[i].name) != 0)
            continue;
        *flag = FLAGS[i].flag;
        return true;
    }
    return false;
}

static int keyword_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that the same set is the same text in whatever order the server says it. */
static size_t mirror_keywords(struct mirror *mirror, const char **words, size_t count)
{
    if (count == 0)
        return 0;
    qsort(words, count, sizeof *words, keyword_order);
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < count && text->len + strlen(words[i]) < KEYWORDS_MAX; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", words[i]);
    return mirror_text(mirror, text->str, text->len);
}

static void change_flags(struct mirror *mirror, struct change *change,
                         const struct imap_fetch *fetch)
{
    const char *words[64];
    size_t count = 0;
    if ((fetch->items & IMAP_ITEM_FLAGS) == 0)
        return;
    for (const char *const *at = fetch->flags; *at != NULL; at++) {
        uint32_t flag;
        if (flag_find(*at, &flag))
            change->message.flags |= flag;
        else if (count < G_N_ELEMENTS(words))
            words[count++] = *at;
    }
    change->keywords = mirror_keywords(mirror, words, count);
    if ((fetch->items & IMAP_ITEM_MODSEQ) != 0) {
        change->message.modseq = fetch->modseq;
        change->has_modseq = true;
    }
}

static gboolean mirror_flush_soon(gpointer data)
{
    struct mirror *mirror = data;
    g_clear_pointer(&mirror->soon, g_source_unref);
    mirror_flush(mirror);
    return G_SOURCE_REMOVE;
}

static void mirror_push(struct mirror *mirror, const struct change *change)
{
    g_array_append_val(mirror->changes, *change);
    bool full = mirror->whole
                    ? mirror->changes->len >= WHOLE_CHANGES || mirror->bytes->len >= WHOLE_BYTES
                    : mirror->changes->len >= MIRROR_BATCH;
    if (full) {
        mirror_flush(mirror);
        return;
    }
    bool waits = !mirror->unasked && (mirror->quiet || mirror->whole);
    if (mirror->soon != NULL || waits)
        return;
    mirror->soon = g_idle_source_new(); /* when nothing else is to do */
    g_source_set_callback(mirror->soon, mirror_flush_soon, mirror, NULL);
    g_source_attach(mirror->soon, mirror->engine->context);
}

static void change_id(struct mirror *mirror, struct change *change, const struct imap_fetch *fetch)
{
    if ((fetch->items & IMAP_ITEM_EMAILID) != 0 && fetch->emailid[0] != '\0') {
        change->id_kind = 'E';
        change->id = mirror_text(mirror, fetch->emailid, strlen(fetch->emailid));
    } else if ((fetch->items & IMAP_ITEM_GM_MSGID) != 0) {
        char id[24];
        int length = g_snprintf(id, sizeof id, "%" G_GUINT64_FORMAT, fetch->gm_msgid);
        change->id_kind = 'G';
        change->id = mirror_text(mirror, id, (size_t)length);
    }
}

static void change_name(struct mirror *mirror, struct change *change, const void *header,
                        size_t length)
{
    g_auto(mime_facts) facts = {0};
    mime_facts_read(header, length, &facts);
    g_autofree char *name = mime_message_name(&facts, change->message.internaldate,
                                              mirror->outgoing, change->message.uid);
    change->name = mirror_text(mirror, name, strlen(name));
}

void mirror_add(struct mirror *mirror, const struct imap_fetch *fetch, GBytes *header)
{
    struct change change = {.kind = CHANGE_ADD, .message.uid = fetch->uid};
    gsize length = 0;
    const void *bytes = header != NULL ? g_bytes_get_data(header, &length) : NULL;
    if ((fetch->items & IMAP_ITEM_INTERNALDATE) != 0)
        change.message.internaldate = fetch->internaldate;
    if ((fetch->items & IMAP_ITEM_SIZE) != 0)
        change.message.size = fetch->size;
    change_flags(mirror, &change, fetch);
    change_id(mirror, &change, fetch);
    change_name(mirror, &change, bytes != NULL ? bytes : "", length);
    change.header = mirror_text(mirror, bytes, length);
    change.header_length = length;
    mirror->newest = MAX(mirror->newest, change.message.internaldate);
    mirror_push(mirror, &change);
}

void mirror_add_bare(struct mirror *mirror, uint32_t uid)
{
    const struct imap_fetch nothing = {.uid = uid};
    mirror_add(mirror, &nothing, NULL);
}

void mirror_flags(struct mirror *mirror, const struct imap_fetch *fetch)
{
    struct change change = {.kind = CHANGE_FLAGS, .message.uid = fetch->uid};
    change_flags(mirror, &change, fetch);
    mirror_push(mirror, &change);
}

void mirror_remove(struct mirror *mirror, uint32_t uid)
{
    const struct change change = {.kind = CHANGE_REMOVE, .message.uid = uid};
    mirror_push(mirror, &change);
}

/* ---- writing --------------------------------------------------------------------------------- */

static uint64_t change_object(const struct mirror *mirror, struct cache_txn *txn,
                              const struct change *change)
{
    if (change->id_kind != 0)
        return cache_object_for(txn, change->id_kind,
                                (const char *)mirror->bytes->data + change->id);
    struct cache_message old;
    if (cache_message_get(txn, mirror->messages, change->message.uid, &old) == CACHE_OK)
        return old.object;
    uint64_t moved = push_moved_object(mirror->engine, mirror->messages, change->message.uid);
    return moved != 0 ? moved : cache_object_new(txn);
}

static int change_add(const struct mirror *mirror, struct cache_txn *txn, struct change *change)
{
    const char *texts = (const char *)mirror->bytes->data;
    struct cache_message *message = &change->message;
    struct cache_message old;
    change->known = cache_message_get(txn, mirror->messages, message->uid, &old) == CACHE_OK;
    message->object = change_object(mirror, txn, change);
    if (message->object == 0)
        return CACHE_IO;
    message->ctime_ns = mirror->engine->clock->wall() * 1000;
    message->keywords = texts + change->keywords;
    message->name = texts + change->name;
    change->done = true;
    int rc = cache_message_put(txn, mirror->messages, message);
    if (rc == CACHE_OK)
        rc = cache_header_put(txn, message->object, texts + change->header, change->header_length);
    if (rc == CACHE_OK && !change->known && change->id_kind == 0)
        identity_arrived(mirror->engine, txn, mirror->messages, message->uid);
    return rc;
}

/* A slow connection may tell flags when another has told newer ones (RFC 7162, 3.1): these would
 * stay, if the list is sealed with their HIGHESTMODSEQ. What a list is sealed with counts in any
 * case: what is newer is above that sequence. */
static bool change_is_late(const struct mirror *mirror, const struct change *change,
                           const struct cache_message *known)
{
    return mirror->unasked && change->has_modseq && change->message.modseq < known->modseq;
}

/* The same flags are newly known: no change for anybody, and written only if something else is. */
static int change_same_flags(const struct mirror *mirror, struct cache_txn *txn,
                             const struct change *change, struct cache_message *message)
{
    if (!change->has_modseq || change->message.modseq == message->modseq)
        return CACHE_OK;
    message->modseq = change->message.modseq;
    return cache_message_put(txn, mirror->messages, message);
}

static int change_set_flags(struct mirror *mirror, struct cache_txn *txn, struct change *change)
{
    struct cache_message message;
    const char *keywords = (const char *)mirror->bytes->data + change->keywords;
    if (cache_message_get(txn, mirror->messages, change->message.uid, &message) != CACHE_OK ||
        change_is_late(mirror, change, &message))
        return CACHE_OK;
    if (message.flags == change->message.flags && strcmp(message.keywords, keywords) == 0)
        return change_same_flags(mirror, txn, change, &message);
    change->name = mirror_text(mirror, message.name, strlen(message.name));
    change->old_flags = message.flags;
    change->old_keywords = mirror_text(mirror, message.keywords, strlen(message.keywords));
    message.keywords = (const char *)mirror->bytes->data + change->keywords;
    message.flags = change->message.flags;
    if (change->has_modseq)
        message.modseq = change->message.modseq;
    message.ctime_ns = mirror->engine->clock->wall() * 1000;
    change->done = true;
    return cache_message_put(txn, mirror->messages, &message);
}

static int change_remove(struct mirror *mirror, struct cache_txn *txn, struct change *change)
{
    struct cache_message message = {.uid = change->message.uid};
    if (cache_message_get(txn, mirror->messages, message.uid, &message) == CACHE_OK) {
        change->name = mirror_text(mirror, message.name, strlen(message.name));
        change->object = message.object;
    }
    bool moves = push_places(mirror->engine, mirror->wire, mirror->uidvalidity, message.uid);
    int rc = moves ? cache_message_depart(txn, mirror->messages, message.uid)
                   : cache_message_remove(txn, mirror->messages, message.uid);
    change->done = rc == CACHE_OK && change->name != 0;
    return rc == CACHE_NOT_FOUND ? CACHE_OK : rc;
}

static int mirror_write(struct mirror *mirror, struct cache_txn *txn, bool *named, bool *changed)
{
    int rc = CACHE_OK;
    for (guint i = 0; i < mirror->changes->len && rc == CACHE_OK; i++) {
        struct change *change = &g_array_index(mirror->changes, struct change, i);
        if (change->kind == CHANGE_ADD)
            rc = change_add(mirror, txn, change);
        else if (change->kind == CHANGE_FLAGS)
            rc = change_set_flags(mirror, txn, change);
        else
            rc = change_remove(mirror, txn, change);
        *changed = *changed || change->done;
        mirror->changed += change->done;
        *named = *named || (change->done && change->kind != CHANGE_FLAGS);
    }
    return rc;
}

/* The mailbox's record: its names' time and count, and what seals the delta. */
static int mirror_put(const struct mirror *mirror, struct cache_txn *txn, bool named,
                      mirror_seal seal, void *data, bool *changed)
{
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, mirror->folder, &mailbox) != CACHE_OK)
        return seal != NULL ? CACHE_NOT_FOUND : CACHE_OK;
    if (named) {
        mailbox.count = cache_message_count(txn, mirror->messages);
        mailbox.mtime_ns = mirror->engine->clock->wall() * 1000;
    }
    bool sealed = seal != NULL && seal(txn, &mailbox, data);
    *changed = *changed || sealed;
    return named || sealed ? cache_mailbox_put(txn, &mailbox) : CACHE_OK;
}

static void tell_flags(const struct mirror *mirror, const struct change *change)
{
    const struct engine_events *events = mirror->engine->events;
    const char *texts = (const char *)mirror->bytes->data;
    const struct engine_flags was = {change->old_flags, texts + change->old_keywords};
    const struct engine_flags is = {change->message.flags, texts + change->keywords};
    if (events->message_changed != NULL)
        events->message_changed(mirror->folder, mirror->messages, change->message.uid,
                                texts + change->name, &was, &is, mirror->engine->events_data);
}

static void tell_change(const struct mirror *mirror, const struct change *change)
{
    const struct engine_events *events = mirror->engine->events;
    const char *name = (const char *)mirror->bytes->data + change->name;
    void *data = mirror->engine->events_data;
    bool arrived = change->kind == CHANGE_ADD && !change->known && !mirror->quiet;
    if (arrived && events->message_arrived != NULL)
        events->message_arrived(mirror->folder, mirror->messages, change->message.uid, name, data);
    if (change->kind == CHANGE_FLAGS)
        tell_flags(mirror, change);
    if (change->kind == CHANGE_REMOVE && events->message_removed != NULL)
        events->message_removed(mirror->folder, mirror->messages, change->message.uid, name,
                                change->object, data);
}

static void mirror_tell(const struct mirror *mirror, bool named)
{
    const struct engine_events *events = mirror->engine->events;
    if (named)
        prefetch_changed(mirror->engine, mirror->folder);
    if (events == NULL)
        return;
    for (guint i = 0; i < mirror->changes->len; i++) {
        const struct change *change = &g_array_index(mirror->changes, struct change, i);
        if (change->done)
            tell_change(mirror, change);
    }
    if (named && !mirror->quiet && events->mailbox_changed != NULL)
        events->mailbox_changed(mirror->folder, mirror->engine->events_data);
}

/* What is told unasked outlives the list that was there when it began. */
static bool mirror_is_kept(struct mirror *mirror, struct cache_txn *txn)
{
    struct cache_mailbox mailbox;
    if (!mirror->unasked)
        return true;
    if (cache_mailbox_get(txn, mirror->folder, &mailbox) != CACHE_OK ||
        mailbox.messages != mirror->messages)
        return false;
    mirror->quiet = (mailbox.flags & CACHE_MAILBOX_COMPLETE) == 0;
    return true;
}

static void mirror_clear(struct mirror *mirror)
{
    g_array_set_size(mirror->changes, 0);
    g_byte_array_set_size(mirror->bytes, 1);
}

static enum engine_error mirror_fail(struct mirror *mirror, enum engine_error error)
{
    if (mirror->unasked)
        watch_sync(mirror->engine, mirror->folder);
    else
        mirror->error = error;
    return error;
}

enum engine_error mirror_commit(struct mirror *mirror, mirror_seal seal, void *data)
{
    if (mirror->error != ENGINE_OK) {
        mirror_clear(mirror);
        return mirror->error;
    }
    if (mirror->changes->len == 0 && seal == NULL)
        return ENGINE_OK;
    bool named = false, changed = false;
    enum engine_error error = ENGINE_OK;
    identity_flush(mirror->engine);
    struct cache_txn *txn = cache_txn_write(mirror->engine->cache);
    int rc =
        mirror_is_kept(mirror, txn) ? mirror_write(mirror, txn, &named, &changed) : CACHE_NOT_FOUND;
    if (rc == CACHE_OK)
        rc = mirror_put(mirror, txn, named && !mirror->quiet, seal, data, &changed);
    if (rc == CACHE_OK && changed)
        rc = cache_txn_commit(txn);
    else
        cache_txn_end(txn);
    if (rc == CACHE_OK)
        mirror_tell(mirror, named);
    else
        error =
            mirror_fail(mirror, rc == CACHE_NOT_FOUND ? ENGINE_GONE : engine_error_of_cache(rc));
    mirror->named = mirror->named || (rc == CACHE_OK && named);
    mirror_clear(mirror);
    return error;
}

enum engine_error mirror_flush(struct mirror *mirror)
{
    return mirror_commit(mirror, NULL, NULL);
}
