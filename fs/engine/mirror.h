/* Records on their way into the cache: what FETCH replies and EXPUNGEs say about one mailbox,
 * gathered and written some hundred at a time, and told to the file side afterwards. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/engine/state.h"
#include "imap/imap.h"

/* So many changes are gathered at most; then they are written. */
#define MIRROR_BATCH 512

struct mirror;
/* For the mailbox with this directory slot. NULL if it is not in the cache, or not with this
 * UIDVALIDITY. */
struct mirror *mirror_new(struct engine *engine, uint32_t folder, uint32_t uidvalidity);
/* Drops what was not flushed. NULL is fine. */
void mirror_free(struct mirror *mirror);

/* A message's record from a FETCH reply; what the reply lacks is empty. `header`: the block of
 * MIME_LIST_FIELDS, or NULL. */
void mirror_add(struct mirror *mirror, const struct imap_fetch *fetch, GBytes *header);
/* A message of which nothing but its UID is known. */
void mirror_add_bare(struct mirror *mirror, uint32_t uid);
/* New flags of a message; if it has no record nothing happens. */
void mirror_flags(struct mirror *mirror, const struct imap_fetch *fetch);
void mirror_remove(struct mirror *mirror, uint32_t uid);

/* Writes what was gathered and tells the file side. Returns why it, or one before, could not be
 * written. */
enum engine_error mirror_flush(struct mirror *mirror);
/* The same, and in the same transaction, after it, what `seal` makes of the mailbox's record; it
 * returns whether it changed that. ENGINE_GONE: the mailbox has no record any more. */
typedef bool (*mirror_seal)(struct cache_txn *txn, struct cache_mailbox *mailbox, void *data);
enum engine_error mirror_commit(struct mirror *mirror, mirror_seal seal, void *data);
/* Changes gather until they are flushed or committed, unless they are a great many: so they are one
 * transaction. */
void mirror_set_whole(struct mirror *mirror);
/* What is gathered here the server told by itself, once, or no list is sealed with it: flags that
 * are older than the known ones are late (RFC 7162, 3.1); where it cannot be written the mailbox is
 * synced, and what comes next is written all the same. Else an error is the mirror's for good. */
void mirror_set_unasked(struct mirror *mirror);
/* How many of the changes written were not in the cache already. */
uint64_t mirror_changes(const struct mirror *mirror);
/* Whether names have been added or removed; the newest INTERNALDATE of those added. */
bool mirror_named(const struct mirror *mirror);
int64_t mirror_newest(const struct mirror *mirror);
/* Whether the list was complete when the mirror was made: then each flush that changes names
 * updates the mailbox's count and time. Else whoever completes the list does. */
void mirror_set_quiet(struct mirror *mirror, bool quiet);
