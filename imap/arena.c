#include "imap/arena.h"

#define BLOCK_SIZE (16 * 1024)
#define ALIGNMENT 16

struct block {
    struct block *previous;
    size_t size;
    char _Alignas(ALIGNMENT) bytes[];
};

struct imap_arena {
    struct block *block; /* the one being filled; the chain ends at the first, of BLOCK_SIZE */
    size_t used;
};

static struct block *block_new(size_t size, struct block *previous)
{
    struct block *block = g_malloc(sizeof(*block) + size);
    block->previous = previous;
    block->size = size;
    return block;
}

struct imap_arena *imap_arena_new(void)
{
    struct imap_arena *arena = g_new0(struct imap_arena, 1);
    arena->block = block_new(BLOCK_SIZE, NULL);
    return arena;
}

void imap_arena_free(struct imap_arena *arena)
{
    if (arena == NULL)
        return;
    imap_arena_reset(arena);
    g_free(arena->block);
    g_free(arena);
}

void *imap_arena_alloc(struct imap_arena *arena, size_t size)
{
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (size > arena->block->size - arena->used) {
        arena->block = block_new(MAX(size, 2 * arena->block->size), arena->block);
        arena->used = 0;
    }
    void *bytes = arena->block->bytes + arena->used;
    arena->used += size;
    return bytes;
}

void imap_arena_reset(struct imap_arena *arena)
{
    while (arena->block->previous != NULL) {
        struct block *previous = arena->block->previous;
        g_free(arena->block);
        arena->block = previous;
    }
    arena->used = 0;
}
