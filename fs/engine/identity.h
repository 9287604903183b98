/* Messages that are known again, where the server has no ids for them: under a new UIDVALIDITY, or
 * moved by another client. Senders control Message-ID, size and date, so those only say where to
 * look; it takes the SHA-256 of the whole header, which the servers on the way wrote too, and which
 * was seen when the message was read. Content that was read is then not fetched again. */
#pragma once

#include <stdbool.h>

#include "fs/engine/state.h"

void identity_init(struct engine *engine);
void identity_free(struct engine *engine);

/* Bytes of a section of this message's object came into the content cache: if its header is among
 * them, the message is known from now on. */
void identity_read(struct engine *engine, uint32_t messages, uint32_t uid, uint64_t object,
                   const char *section);
/* Writes what became known. Nothing may leave the cache before that. */
void identity_flush(struct engine *engine);
/* The same once in a while. */
void identity_tick(struct engine *engine);

/* The SHA-256 of a header, with or without the empty line at its end. */
void identity_digest(const void *header, size_t length, uint8_t digest[CACHE_DIGEST]);

/* A message without the server's id came into the cache, within the transaction `txn`: if it may be
 * a known one, that is kept in mind until it is looked at. */
void identity_arrived(struct engine *engine, struct cache_txn *txn, uint32_t messages,
                      uint32_t uid);
/* Their UIDs (uint32_t), the engine's; NULL: none. */
GArray *identity_arrivals(struct engine *engine, uint32_t messages);
void identity_forget_arrivals(struct engine *engine, uint32_t messages);
