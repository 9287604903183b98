/* Memory that lives as long as one reply: handed out in order, taken back all at once. */
#pragma once

#include <glib.h>

struct imap_arena;
struct imap_arena *imap_arena_new(void);
void imap_arena_free(struct imap_arena *arena);

/* `size` bytes, aligned for any type, not zeroed; they die at the next imap_arena_reset(). */
void *imap_arena_alloc(struct imap_arena *arena, size_t size);
/* Takes everything back. One block is kept for the next reply. */
void imap_arena_reset(struct imap_arena *arena);
