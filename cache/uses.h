/* When the content was used: stamps by segment of a section, gathered in memory while reading and
 * written with the next write. A stamp is a count of uses, not a time. */
#pragma once

#include "cache/env.h"

#define SEGMENT_BLOCKS 256 /* about 1 MiB */

struct uses;
struct uses *uses_new(struct env *content);
void uses_free(struct uses *uses); /* NULL is fine */

/* Notes a use; cheap, from any thread. */
void uses_touch(struct uses *uses, uint64_t id, uint32_t segment);
/* Writes what was noted, in `txn` or in a transaction of its own. */
int uses_write(struct uses *uses, MDB_txn *txn);
int uses_flush(struct uses *uses);
/* States in `txn` that a segment is there and used now. */
int uses_add(struct uses *uses, MDB_txn *txn, uint64_t id, uint32_t segment, uint64_t object,
             const char *section);
/* Removes the record of a segment and its stamp. */
int uses_remove(struct uses *uses, MDB_txn *txn, uint64_t id, uint32_t segment);
/* The segment that was used least recently; CACHE_NOT_FOUND if there is none. */
int uses_oldest(struct uses *uses, MDB_txn *txn, uint64_t *stamp, uint64_t *id, uint32_t *segment);
/* The key of a stamp. */
void key_use(struct key *key, uint64_t stamp, uint64_t id, uint32_t segment);
