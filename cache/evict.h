/* What leaves the content: segments that were not used for long, blocks past an end, objects. */
#pragma once

#include "cache/store.h"

/* Whether so many bytes can be stored at once at all. */
bool evict_can(struct cache *cache, uint64_t bytes);
/* Makes room for `bytes` more, if the bound is near or (`hard`) LMDB had no pages left. */
int evict_for(struct cache *cache, uint64_t bytes, bool hard);
/* Removes the blocks first..last of a section; adds their number to `count`. */
int evict_blocks(struct cache *cache, MDB_txn *txn, uint64_t id, uint32_t first, uint32_t last,
                 unsigned *count);
