/* A cache in a directory of its own, for tests. */
#pragma once

#include "cache/cache.h"
#include "tests/remove.h"

struct scratch {
    char *directory;
    struct cache *cache; /* NULL: closed */
};

/* Makes the directory and opens the account "a@b:993". */
void scratch_setup(struct scratch *scratch);
/* Closes the cache and removes the directory. */
void scratch_teardown(struct scratch *scratch);
void scratch_open(struct scratch *scratch);
void scratch_close(struct scratch *scratch);
struct cache *scratch_open_as(const char *directory, const char *account, uint64_t content_bytes,
                              GError **error);
/* "DIRECTORY/a@b:993/NAME", owned by the caller. */
char *scratch_path(const struct scratch *scratch, const char *name);

/* A message as a server might have it; strings are static. */
struct cache_message scratch_message(uint32_t uid, uint64_t object);
/* A byte of a made-up content, by place. */
uint8_t scratch_byte(uint64_t object, uint64_t offset);
void scratch_fill(uint64_t object, uint64_t offset, uint8_t *bytes, size_t length);
