/* Whole messages out of the content cache, taken apart (fs/mime-message.c) in a pool of two
 * threads, since that takes too long for the engine's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/engine/state.h"
#include "fs/mime.h"

/* Bigger messages are not parsed: their tree is empty and says so. */
#define PARSE_BYTES_MAX ((uint64_t)64 << 20)

/* A part tree on its way into the cache. */
struct parse_result {
    gint references;
    enum engine_error error;
    uint64_t object;
    struct mime_tree *tree; /* NULL if error */
    bool replaces;          /* an older tree that proved wrong */
};
/* Takes the tree. */
struct parse_result *parse_result_new(uint64_t object, struct mime_tree *tree);
struct parse_result *parse_result_ref(struct parse_result *result);
void parse_result_unref(struct parse_result *result);
/* Stores the tree; if it replaces one, the sizes of the old parts are forgotten. */
int parse_result_store(const struct parse_result *result, struct cache_txn *txn);

/* Parses section "" of `object`, which must be in the content cache. `replaces`: numbers begin
 * above all that the stored tree has. `done` is called in the engine's thread, or
 * never if that ends before. */
typedef void (*parse_done)(struct parse_result *result, void *data);
void parse_message(struct engine *engine, uint64_t object, bool replaces, parse_done done,
                   void *data, GDestroyNotify drop);
/* Waits for the parsers and frees them; their results are dropped. */
void parse_stop(struct engine *engine);
