/* What a job needs to know of one message, copied out of the cache. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/engine/state.h"

struct message {
    char *mailbox;   /* wire name, the caller's */
    uint32_t folder; /* the directory's slot */
    uint32_t uidvalidity;
    uint64_t object, size; /* size: RFC822.SIZE */
};
/* False if there is no such message. */
bool message_find(struct engine *engine, uint32_t messages, uint32_t uid, struct message *message);
/* RFC822.SIZE as stored, 0: no such message. */
uint64_t message_size(struct engine *engine, uint32_t messages, uint32_t uid);
/* The server's word has changed. */
void message_set_size(struct engine *engine, uint32_t messages, uint32_t uid, uint64_t size);
/* The server does not have it any more: forgets its record. What was stored of its content stays
 * for a while, for those who have it open, and in case it was moved. */
void message_gone(struct engine *engine, uint32_t messages, uint32_t uid);
/* How many encoded octets the part tree says that a section has; -1: it does not say. */
int64_t message_octets(struct engine *engine, uint64_t object, const char *section);
