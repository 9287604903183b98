/* Bounded tables of what happened in this session, by a number (an inode) and a name. The newest
 * are kept, until unmount. Any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct recent {
    unsigned most; /* entries */
    gint count;    /* atomic: 0 answers without the lock */
    GMutex lock;
    GHashTable *table; /* under the lock; NULL: empty */
    GQueue order;      /* oldest first */
};
#define RECENT_INIT(max) \
    {                    \
        .most = (max)    \
    }

/* Replaces what is there. `name` and `text` may be NULL, which is "". */
void recent_put(struct recent *recent, uint64_t number, const char *name, uint64_t value,
                const char *text);
/* False: it is not there. `value` and `text` (the caller's) may be NULL. */
bool recent_get(struct recent *recent, uint64_t number, const char *name, uint64_t *value,
                char **text);
/* The same, and removes it. */
bool recent_take(struct recent *recent, uint64_t number, const char *name, uint64_t *value,
                 char **text);
void recent_clear(struct recent *recent);
static inline bool recent_is_empty(struct recent *recent)
{
    return g_atomic_int_get(&recent->count) == 0;
}
