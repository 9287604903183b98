/* Exact sizes learned by decoding, kept in memory until they are written together: a commit waits
 * for the disk, and grep -r learns thousands of them. What a crash loses is learned again. Any
 * thread. */
#pragma once

#include "cache/cache.h"

/* As cache_size_get(), in a transaction over the same cache. */
bool sizes_get(struct cache *cache, struct cache_txn *txn, uint64_t object, uint16_t number,
               uint64_t *size);
/* Takes a write transaction of its own every now and then: hold none. */
void sizes_put(struct cache *cache, uint64_t object, uint16_t number, uint64_t size);
void sizes_remove(struct cache *cache, uint64_t object, uint16_t number);
/* Writes what is kept. */
void sizes_flush(struct cache *cache);
