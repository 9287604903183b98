#include "fs/engine/structure.h"

#include <string.h>

#include "fs/engine/job.h"
#include "fs/engine/message.h"
#include "fs/engine/parse.h"
#include "fs/mime.h"
#include "fs/node.h"

/* Above what a message's directory can show; the tree notes that there was more. */
#define ENTITIES_MAX 20000
#define WINDOW_FIRST 8
#define WINDOW_GROWS 8
#define WINDOW_MOST 256
/* Messages up to this size are parsed rather than asked for, if they are in the cache anyway. */
#define PARSE_AT_HAND_MAX ((uint64_t)1 << 20)
/* Trees, and parts in them, held before they are written: a commit costs a write to the disk. */
#define TREES_MOST WINDOW_MOST
#define TREES_PARTS_MOST 8192

enum structure_step { STRUCTURE_ASKED, STRUCTURE_NEIGHBOURS };

struct structure {
    struct job job;
    uint64_t object;
    GArray *neighbours; /* uint32_t, ascending */
    GPtrArray *trees;   /* struct parse_result: to be written */
    size_t parts;       /* in them */
    bool have;          /* the asked one is among them, or written */
};

/* ---- BODYSTRUCTURE to entities --------------------------------------------------------------- */

static const enum mime_entity_kind KINDS[] = {
    [IMAP_PART_LEAF] = MIME_LEAF,
    [IMAP_PART_MULTIPART] = MIME_MULTIPART,
    [IMAP_PART_MESSAGE] = MIME_MESSAGE,
};

static const char *part_charset(const struct imap_part *part)
{
    for (uint32_t i = 0; i < part->parameter_count; i++)
        if (part->parameters[i].name != NULL &&
            g_ascii_strcasecmp(part->parameters[i].name, "charset") == 0)
            return part->parameters[i].value;
    return NULL;
}

static struct mime_parameter *part_parameters(const struct imap_parameter *from, uint32_t count,
                                              size_t *kept)
{
    struct mime_parameter *to = g_new0(struct mime_parameter, count + 1);
    for (uint32_t i = 0; i < count; i++)
        if (from[i].name != NULL && from[i].value != NULL)
            to[(*kept)++] = (struct mime_parameter){from[i].name, from[i].value};
    return to;
}

static char *part_name(const struct imap_part *part)
{
    if (part->parameter_count == 0 && part->disposition_parameter_count == 0)
        return NULL;
    size_t types = 0, dispositions = 0;
    g_autofree struct mime_parameter *type =
        part_parameters(part->parameters, part->parameter_count, &types);
    g_autofree struct mime_parameter *disposition = part_parameters(
        part->disposition_parameters, part->disposition_parameter_count, &dispositions);
    return mime_file_name(disposition, dispositions, type, types);
}

void structure_convert(const struct imap_structure *structure, struct structure_entities *out)
{
    out->count = MIN(structure->count, ENTITIES_MAX);
    out->entities = g_new0(struct mime_entity, out->count + 1);
    out->names = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < out->count; i++) {
        const struct imap_part *part = &structure->parts[i];
        char *name = part_name(part);
        if (name != NULL)
            g_ptr_array_add(out->names, name);
        out->entities[i] = (struct mime_entity){
            .kind = KINDS[part->kind],
            .parent = part->parent,
            .section = part->section,
            .type = part->type,
            .subtype = part->subtype,
            .encoding = part->encoding,
            .charset = part_charset(part),
            .name = name,
            .octets = part->octets,
        };
    }
}

void structure_entities_clear(struct structure_entities *entities)
{
    g_clear_pointer(&entities->entities, g_free);
    g_clear_pointer(&entities->names, g_ptr_array_unref);
}

struct mime_tree *structure_tree(struct engine *engine, uint32_t messages,
                                 const struct imap_fetch *fetch, uint64_t *object)
{
    struct structure_entities entities = {0};
    struct mime_tree *tree = NULL;
    structure_convert(&fetch->structure, &entities);

    struct cache_txn *txn = cache_txn_read(engine->cache);
    struct cache_message message;
    const char *doubt = "it is not in the cache";
    if (cache_message_get(txn, messages, fetch->uid, &message) == CACHE_OK) {
        const void *header = "";
        size_t length = 0;
        if (cache_header_get(txn, message.object, &header, &length) != CACHE_OK)
            length = 0;
        *object = message.object;
        doubt =
            mime_structure_doubt(entities.entities, entities.count, header, length, message.size);
    }
    cache_txn_end(txn);
    if (doubt == NULL)
        tree = mime_tree_build(entities.entities, entities.count, NODE_PART_FIRST, false);
    else
        g_info("UID %u: BODYSTRUCTURE is not believed: %s", fetch->uid, doubt);
    structure_entities_clear(&entities);
    return tree;
}

/* ---- to the cache ---------------------------------------------------------------------------- */

int structure_store(struct cache_txn *txn, const GPtrArray *trees)
{
    int rc = CACHE_OK;
    for (guint i = 0; i < trees->len && rc == CACHE_OK; i++) {
        const struct parse_result *result = trees->pdata[i];
        struct cache_parts old;
        bool known = cache_parts_get(txn, result->object, &old) == CACHE_OK;
        if (!known || result->replaces) /* what was shown once stays */
            rc = parse_result_store(result, txn);
    }
    return rc;
}

static enum engine_error structure_write(struct structure *structure)
{
    if (structure->trees->len == 0)
        return ENGINE_OK;
    struct cache_txn *txn = cache_txn_write(structure->job.engine->cache);
    int rc = structure_store(txn, structure->trees);
    if (rc == CACHE_OK)
        rc = cache_txn_commit(txn);
    else
        cache_txn_end(txn);
    g_ptr_array_set_size(structure->trees, 0);
    structure->parts = 0;
    return engine_error_of_cache(rc);
}

/* ---- parsing the message itself -------------------------------------------------------------- */

/* The job is parked while others work for it; it is held by a reference. */
static void structure_parsed(struct parse_result *result, void *data)
{
    struct structure *structure = data;
    struct job *job = &structure->job;
    const struct engine_events *events = job->engine->events;
    if (job->state == JOB_PARKED && result->error != ENGINE_OK) {
        job_end(job, result->error);
    } else if (job->state == JOB_PARKED) {
        bool replaces = result->replaces;
        g_ptr_array_add(structure->trees, parse_result_ref(result));
        enum engine_error error = structure_write(structure);
        if (error == ENGINE_OK && replaces && events != NULL && events->content_changed != NULL)
            events->content_changed(job->wish.messages, job->wish.uid, job->engine->events_data);
        job_end(job, error);
    }
    job_unref(job);
}

static void structure_drop(void *data)
{
    job_unref(data);
}

static void structure_bytes_there(enum engine_error error, void *data)
{
    struct structure *structure = data;
    struct job *job = &structure->job;
    if (job->state != JOB_PARKED) {
        job_unref(job);
    } else if (error != ENGINE_OK) {
        job_end(job, error);
        job_unref(job);
    } else {
        parse_message(job->engine, structure->object, job->wish.want == ENGINE_REPARTS,
                      structure_parsed, structure, structure_drop);
    }
}

static void structure_parse(struct structure *structure)
{
    struct job *job = &structure->job;
    if (job->state == JOB_RUNNING)
        job_park(job);
    job_ref(job);
    const struct engine_wish wish = {
        .want = ENGINE_BYTES,
        .messages = job->wish.messages,
        .uid = job->wish.uid,
        .section = "",
        .length = PARSE_BYTES_MAX + 1,
        .ahead = job->ahead,
    };
    uint64_t size = message_size(job->engine, job->wish.messages, job->wish.uid);
    if (size > PARSE_BYTES_MAX) /* not fetched: an empty tree says that there was more */
        structure_bytes_there(ENGINE_OK, structure);
    else
        engine_ask_inside(job->engine, &wish, structure_bytes_there, structure);
}

/* ---- the job --------------------------------------------------------------------------------- */

static enum engine_error structure_prepare(struct job *job)
{
    struct structure *structure = (struct structure *)job;
    struct message message;
    if (!message_find(job->engine, job->wish.messages, job->wish.uid, &message))
        return ENGINE_GONE;
    job->mailbox = g_steal_pointer(&message.mailbox);
    job->folder = message.folder;
    job->uidvalidity = message.uidvalidity;
    job->cost = 4096;
    structure->object = message.object;
    structure->trees = g_ptr_array_new_with_free_func((GDestroyNotify)parse_result_unref);
    structure->neighbours = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    return ENGINE_OK;
}

static bool structure_satisfied(struct job *job)
{
    const struct structure *structure = (const struct structure *)job;
    g_autoptr(cache_txn) txn = cache_txn_read(job->engine->cache);
    struct cache_parts parts;
    return job->wish.want == ENGINE_PARTS &&
           cache_parts_get(txn, structure->object, &parts) == CACHE_OK;
}

/* Whether the whole message is in the cache: then its tree, its sizes and its bytes need no server.
 */
static bool structure_at_hand(const struct structure *structure)
{
    struct cache *cache = structure->job.engine->cache;
    uint64_t size;
    return cache_content_size(cache, structure->object, "", &size) == CACHE_OK &&
           size <= PARSE_AT_HAND_MAX &&
           cache_content_have(cache, structure->object, "", 0, (size_t)size) == size;
}

static bool structure_alone(const struct job *job)
{
    return job->wish.want == ENGINE_REPARTS || structure_at_hand((const struct structure *)job);
}

/* The next messages without a tree, as many as the folder's window, which grows while they are
 * missed one after the other. */
static void structure_choose(struct structure *structure)
{
    struct job *job = &structure->job;
    gpointer key = GUINT_TO_POINTER(job->wish.messages);
    guint window = GPOINTER_TO_UINT(g_hash_table_lookup(job->engine->windows, key));
    window = CLAMP(window, WINDOW_FIRST, WINDOW_MOST);
    g_hash_table_insert(job->engine->windows, key,
                        GUINT_TO_POINTER(MIN(window * WINDOW_GROWS, WINDOW_MOST)));
    g_array_set_size(structure->neighbours, 0);
    g_autoptr(cache_txn) txn = cache_txn_read(job->engine->cache);
    uint32_t uid = job->wish.uid;
    for (guint looked = 0; looked < 2 * window && uid != UINT32_MAX; looked++) {
        struct cache_message message;
        struct cache_parts parts;
        if (structure->neighbours->len == window ||
            cache_message_next(txn, job->wish.messages, uid + 1, &message) != CACHE_OK)
            return;
        uid = message.uid;
        if (cache_parts_get(txn, message.object, &parts) != CACHE_OK)
            g_array_append_val(structure->neighbours, uid);
    }
}

static void structure_start(struct job *job)
{
    struct structure *structure = (struct structure *)job;
    g_ptr_array_set_size(structure->trees, 0);
    if (job->state == JOB_PARKED) {
        structure_parse(structure);
        return;
    }
    const struct imap_fetch_request request = {.items = IMAP_ITEM_UID | IMAP_ITEM_STRUCTURE};
    g_autoptr(imap_uidset) asked = imap_uidset_new();
    imap_uidset_add(asked, job->wish.uid, job->wish.uid);
    job_send_fetch(job, STRUCTURE_ASKED, asked, &request, 1024);

    structure_choose(structure);
    g_autoptr(imap_uidset) others = imap_uidset_new();
    for (guint i = 0; i < structure->neighbours->len; i++) {
        uint32_t uid = g_array_index(structure->neighbours, uint32_t, i);
        imap_uidset_add(others, uid, uid);
    }
    if (structure->neighbours->len > 0)
        job_send_fetch(job, STRUCTURE_NEIGHBOURS, others, &request,
                       (uint64_t)structure->neighbours->len * 1024);
}

static bool structure_wants(const struct structure *structure, uint32_t uid)
{
    if (uid == structure->job.wish.uid)
        return true;
    for (guint i = 0; i < structure->neighbours->len; i++)
        if (g_array_index(structure->neighbours, uint32_t, i) == uid)
            return true;
    return false;
}

static bool structure_fetch(struct job *job, const struct imap_fetch *fetch)
{
    struct structure *structure = (struct structure *)job;
    if ((fetch->items & (IMAP_ITEM_STRUCTURE | IMAP_ITEM_STRUCTURE_BROKEN)) == 0 ||
        !structure_wants(structure, fetch->uid))
        return false;
    if ((fetch->items & IMAP_ITEM_STRUCTURE_BROKEN) != 0)
        return true;
    uint64_t object = 0;
    struct mime_tree *tree = structure_tree(job->engine, job->wish.messages, fetch, &object);
    if (tree == NULL)
        return true;
    g_ptr_array_add(structure->trees, parse_result_new(object, tree));
    structure->have = structure->have || fetch->uid == job->wish.uid;
    structure->parts += tree->parts->len;
    if (structure->trees->len >= TREES_MOST || structure->parts >= TREES_PARTS_MOST)
        structure_write(structure);
    return true;
}

/* Those who wait get their answer before the neighbours are through. */
static void structure_answered(struct job *job, unsigned step, const struct imap_result *result)
{
    struct structure *structure = (struct structure *)job;
    enum engine_error error = structure_write(structure);
    if (step == STRUCTURE_ASKED && structure->have)
        job_answer_early(job, error);
    if (job->in_flight > 0)
        return;
    if (error != ENGINE_OK || structure->have)
        job_end(job, error);
    else
        structure_parse(structure);
}

/* One that a running job already asks for, or may: it will be looked at again afterwards. */
static bool structure_clashes(const struct job *job, const struct job *running)
{
    const struct structure *other = (const struct structure *)running;
    return running->wish.uid == job->wish.uid || structure_wants(other, job->wish.uid);
}

static enum engine_error structure_offline(struct job *job, enum engine_error why)
{
    return why;
}

static void structure_clear(struct job *job)
{
    struct structure *structure = (struct structure *)job;
    g_clear_pointer(&structure->trees, g_ptr_array_unref);
    g_clear_pointer(&structure->neighbours, g_array_unref);
}

const struct job_class STRUCTURE_CLASS = {
    .name = "structure",
    .size = sizeof(struct structure),
    .prepare = structure_prepare,
    .satisfied = structure_satisfied,
    .alone = structure_alone,
    .start = structure_start,
    .answered = structure_answered,
    .fetch = structure_fetch,
    .clashes = structure_clashes,
    .offline = structure_offline,
    .clear = structure_clear,
};
