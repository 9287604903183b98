#include "fs/engine/parse.h"

#include <string.h>

#include "fs/node.h"

#define PARSERS 2

struct parse_result *parse_result_new(uint64_t object, struct mime_tree *tree)
{
    struct parse_result *result = g_new0(struct parse_result, 1);
    result->references = 1;
    result->object = object;
    result->tree = tree;
    return result;
}

struct parse_result *parse_result_ref(struct parse_result *result)
{
    g_atomic_int_inc(&result->references);
    return result;
}

void parse_result_unref(struct parse_result *result)
{
    if (!g_atomic_int_dec_and_test(&result->references))
        return;
    if (result->tree != NULL)
        mime_tree_free(result->tree);
    g_free(result);
}

static void parse_forget_sizes(const struct parse_result *result, struct cache_txn *txn)
{
    struct cache_parts parts;
    struct cache_part part;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    size_t at = 0;
    if (cache_parts_get(txn, result->object, &parts) != CACHE_OK)
        return;
    while (cache_parts_next(&parts, &at, &part))
        g_array_append_val(numbers, part.number);
    for (guint i = 0; i < numbers->len; i++)
        cache_size_remove(txn, result->object, g_array_index(numbers, uint16_t, i));
}

int parse_result_store(const struct parse_result *result, struct cache_txn *txn)
{
    if (result->replaces)
        parse_forget_sizes(result, txn);
    const GArray *parts = result->tree->parts;
    return cache_parts_put(txn, result->object, (const struct cache_part *)(void *)parts->data,
                           parts->len, result->tree->truncated);
}

/* ---- in a thread of the pool ----------------------------------------------------------------- */

struct parse {
    struct cache *cache;
    GMainContext *context;
    uint64_t object;
    uint16_t first;
    struct parse_result *result;
    parse_done done;
    void *data;
    GDestroyNotify drop; /* of `data`, if `done` is never called */
};

static struct mime_tree *tree_empty(void)
{
    struct mime_tree *tree = mime_tree_build(NULL, 0, NODE_PART_FIRST, true);
    tree->truncated = true;
    return tree;
}

static enum engine_error parse_tree(const struct parse *parse, struct mime_tree **tree)
{
    uint64_t size;
    if (cache_content_size(parse->cache, parse->object, "", &size) != CACHE_OK)
        size = UINT64_MAX; /* its end was not reached within the bound */
    if (size > PARSE_BYTES_MAX) {
        *tree = tree_empty();
        return ENGINE_OK;
    }
    size_t got;
    g_autoptr(GBytes) bytes = cache_content_bytes(parse->cache, parse->object, "", 0, size, &got);
    if (bytes == NULL)
        return ENGINE_CACHE;
    g_autoptr(mime_message) message = mime_message_parse(bytes);
    *tree = message != NULL ? mime_message_tree(message, parse->first) : tree_empty();
    return ENGINE_OK;
}

static gboolean parse_hand_over(gpointer data)
{
    struct parse *parse = data;
    parse->done(parse->result, parse->data);
    parse->data = NULL;
    return G_SOURCE_REMOVE;
}

static void parse_free(struct parse *parse)
{
    if (parse->data != NULL)
        parse->drop(parse->data);
    parse_result_unref(parse->result);
    g_main_context_unref(parse->context);
    g_free(parse);
}

static void parse_run(gpointer data, gpointer user_data)
{
    struct parse *parse = data;
    g_autoptr(GMainContext) context = g_main_context_ref(parse->context);
    parse->result->error = parse_tree(parse, &parse->result->tree);
    engine_post(context, parse_hand_over, parse, (GDestroyNotify)parse_free);
}

/* ---- in the engine's thread ------------------------------------------------------------------ */

static uint16_t parse_first(struct engine *engine, uint64_t object)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_parts parts;
    struct cache_part part;
    uint16_t first = NODE_PART_FIRST;
    size_t at = 0;
    if (cache_parts_get(txn, object, &parts) != CACHE_OK)
        return first;
    while (cache_parts_next(&parts, &at, &part))
        first = MAX(first, part.number + 1);
    return first;
}

void parse_message(struct engine *engine, uint64_t object, bool replaces, parse_done done,
                   void *data, GDestroyNotify drop)
{
    if (engine->parsers == NULL)
        engine->parsers = g_thread_pool_new(parse_run, NULL, PARSERS, FALSE, NULL);
    struct parse *parse = g_new0(struct parse, 1);
    parse->cache = engine->cache;
    parse->context = g_main_context_ref(engine->context);
    parse->object = object;
    parse->first = replaces ? parse_first(engine, object) : NODE_PART_FIRST;
    parse->result = parse_result_new(object, NULL);
    parse->result->replaces = replaces;
    parse->done = done;
    parse->data = data;
    parse->drop = drop;
    g_thread_pool_push(engine->parsers, parse, NULL);
}

void parse_stop(struct engine *engine)
{
    if (engine->parsers != NULL)
        g_thread_pool_free(g_steal_pointer(&engine->parsers), FALSE, TRUE);
}
