/* Messages parsed here, a few kept, because a message's parts are read one after the other. */
#pragma once

#include "cache/cache.h"
#include "fs/mime.h"

/* The bytes of one part of the message `object` as its file shows them, in `bytes` (NULL if there
 * is no such part). `raw`: the whole message, to be parsed if it is not; with NULL false is
 * returned then. */
bool parsed_part(const struct cache *cache, uint64_t object, GBytes *raw,
                 const struct cache_part *part, GBytes **bytes);
/* Frees what is kept. */
void parsed_clear(void);
