/* The job behind ENGINE_PARTS and ENGINE_REPARTS: a message's part tree.
 *
 * BODYSTRUCTURE is asked for, with that of the neighbours that have none yet in a second command
 * behind it: who enters one message directory enters the next. Where the server's word is broken,
 * missing or doubtful (mime_structure_doubt()), and for ENGINE_REPARTS, the whole message is
 * fetched into the content cache and taken apart from its own bytes (parse.h).
 */
#pragma once

#include "fs/engine/state.h"
#include "imap/imap.h"

/* What mime_tree_build() takes, made of BODYSTRUCTURE. The strings of `structure` are borrowed. */
struct structure_entities {
    struct mime_entity *entities;
    size_t count;
    GPtrArray *names; /* decoded, owned */
};
void structure_convert(const struct imap_structure *structure, struct structure_entities *out);
void structure_entities_clear(struct structure_entities *entities);

struct mime_tree;
/* The tree of one FETCH reply with a BODYSTRUCTURE, and its message's object; NULL if it cannot be
 * shown without a look at the message. */
struct mime_tree *structure_tree(struct engine *engine, uint32_t messages,
                                 const struct imap_fetch *fetch, uint64_t *object);
/* Stores trees (struct parse_result) of messages that have none yet, or that replace one. Returns
 * enum cache_error. */
int structure_store(struct cache_txn *txn, const GPtrArray *trees);
