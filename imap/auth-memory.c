/* Memory for libsasl2 that is wiped when it is freed: its mechanisms keep passwords, hashes of them
 * and what they send in buffers that they give back as they are. */
#include "imap/auth-private.h"

#include <malloc.h>
#include <sasl/sasl.h>
#include <stdlib.h>
#include <string.h>

static void wiped_free(void *memory)
{
    if (!memory)
        return;
    explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

/* realloc() would leave the old bytes where they were. */
static void *wiped_realloc(void *memory, size_t size)
{
    void *moved = malloc(size);

    if (!moved || !memory)
        return moved;
    memcpy(moved, memory, MIN(malloc_usable_size(memory), size));
    wiped_free(memory);
    return moved;
}

void imap_sasl_memory(void)
{
    sasl_set_alloc(malloc, calloc, wiped_realloc, wiped_free);
}
