/* Our errors as errno values and in words: the only place that decides this. */
#pragma once

#include "cache/cache.h"
#include "fs/engine/engine.h"

/* The errno (positive; 0 for ENGINE_OK) that a FUSE request is answered with. EIO for a number that
 * is none of ours. */
int error_of_engine(enum engine_error error);
/* What happened, for the log and .mailmount/status: a few words, never NULL. */
const char *error_meaning(enum engine_error error);

/* The same for what cache/ returns: CACHE_NOT_FOUND is ENOENT. */
int error_of_cache(int error);
