/* The job behind ENGINE_BYTES: ranges of a body section into the content cache.
 *
 * A range is fetched in pieces, several in flight, and one byte more than was wished for: a piece
 * that comes back short proves where the section ends. A body is believed only if it is of the
 * asked UID, section and origin, and no longer than asked. Where the end is not where RFC822.SIZE
 * (or the part tree) says, three things may be so, and the connection is asked which:
 *
 *      the UID is gone       servers then make a body up, or send none: ENGINE_GONE, nothing stored
 *      the same comes again  the server's sizes are wrong: stored, and noted for the account
 *      it comes right        it was garbled once
 *
 * Three messages whose bodies are as long as announced prove the server's sizes right.
 */
#pragma once

#include "fs/engine/state.h"

/* A message whose body was as long as the server announced. */
struct reader_size {
    uint64_t object, size;
};
/* Counts such messages, and writes down what they prove, in a transaction over the metadata. */
void reader_prove(struct engine *engine, struct cache_txn *txn, const struct reader_size *sizes,
                  size_t count);
/* Writes what bodies have proved, and answers the jobs that wait for it. */
void reader_flush(struct engine *engine);
