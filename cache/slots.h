/* The registry that gives out mailbox slots: one for all accounts of a cache folder, shared by all
 * processes that use the folder, and by all accounts of one process (LMDB allows an environment to
 * be open once in a process).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define SLOT_MAX ((1u << 17) - 1)
#define SLOT_UNNUMBERED 1024 /* the topmost, for mailboxes without UIDVALIDITY: in memory only */

enum slot_kind { SLOT_MAILBOX = 'D', SLOT_MESSAGES = 'M' };

struct slots;
/* Opens the registry in the cache folder `directory` (a descriptor; `path` is its name), or takes
 * another hold on it; `begin_anew` as in struct cache_options. NULL with `error` on failure. */
struct slots *slots_open(int directory, const char *path, bool begin_anew, GError **error);
void slots_close(struct slots *slots);
/* A random number of the registry's beginning: slots mean nothing under another. */
uint64_t slots_generation(const struct slots *slots);
/* The slot for a key, given out now if it is new; 0: none left, or the registry cannot be written.
 */
uint32_t slots_get(struct slots *slots, const char *account, enum slot_kind kind, const char *wire,
                   uint32_t uidvalidity);
/* Binds the slot that `from` has, if it has this `slot`, to `to` instead, whatever that had. */
int slots_rebind(struct slots *slots, const char *account, enum slot_kind kind, const char *from,
                 const char *to, uint32_t uidvalidity, uint32_t slot);
int slots_sync(struct slots *slots);
