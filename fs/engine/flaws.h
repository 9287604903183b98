/* What the server was seen not to stand, kept beyond this run, and connections that open nothing.
 */
#pragma once

#include "fs/engine/state.h"

/* Takes up what earlier runs have noted, in the engine's thread before the first attempt. What is
 * older than 30 days is tried anew; what was not sure counts as learned just now. */
void flaws_load(struct engine *engine);
/* Notes what is new. */
void flaws_keep(struct engine *engine);
/* Makes another connection instead of one that has nothing to do, that was made ten minutes ago or
 * more, and on which something is left out that the server is no longer held not to stand, or that
 * is to be tried again. */
void flaws_tick(struct engine *engine, gint64 now);

/* How an EXAMINE or SELECT of a mailbox that LIST shows was answered. A connection on which the
 * server refuses one after the other, for no reason that is the mailbox's own, is given up: the
 * next is made after a pause, which grows while that goes on. Returns whether it is; then the job
 * may be tried there. */
bool flaws_opened(struct job *job, const struct imap_result *result);
