/* Read-ahead across files: who opens the messages of a folder one after the other (grep -r, cp -r,
 * tar) finds the next ones in the cache, fetched in one pipelined batch while it reads. */
#pragma once

#include "fs/place.h"

/* Notes that the message at a place, or a part of it, is being opened; asks for what comes next.
 * Never waits; any thread. */
void ahead_opened(const struct place *place);
