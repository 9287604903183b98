/* Mailboxes that we made, renamed or removed a moment ago, and lists that do not know it yet: one
 * that was asked for before, or one of a session that goes on telling what it saw before (Dovecot,
 * where the change came in the second in which that session had looked). */
#pragma once

#include "cache/journal.h"
#include "fs/engine/state.h"

enum remade_doubt {
    REMADE_NONE,  /* it has it all; or somebody else has changed it again */
    REMADE_EARLY, /* it was asked for before the change: ask again */
    REMADE_STALE, /* it comes from a session that is older than the change: ask another */
};

/* The server says that it has done a CREATE, DELETE or RENAME. */
void remade_note(struct engine *engine, const struct journal_entry *entry);
/* Whether to believe a list, `entries` (struct folder_entry), asked for at `begun_us` in a session
 * that was opened at `opened_us`. */
enum remade_doubt remade_doubt(struct engine *engine, const GPtrArray *entries, gint64 begun_us,
                               gint64 opened_us);
void remade_clear(struct engine *engine);
