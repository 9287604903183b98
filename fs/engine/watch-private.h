/* What the rooms of watch.h share: watch.c hears, watch-spread.c asks by itself. */
#pragma once

#include "fs/engine/rest.h"
#include "fs/engine/watch.h"

struct watch {
    GHashTable *used;    /* folder -> gint64 *, when it was opened last */
    GHashTable *syncing; /* folder -> struct watched */
    gint64 polled_us;    /* when all were asked, 0: not since there was no connection */
    gint64 asked_us;     /* when that was last tried */
    bool polling, folders_again;
    struct rest notify_rest;
    gint64 looked_us; /* when it was last asked what waits for a look */
    uint32_t turn;    /* the folder whose flags a poll looked at last, of those in turn */
};

/* A line that had nothing to do for so long idles, microseconds; a mailbox opened so long ago gets
 * a line for it. */
#define WATCH_REST_US (G_USEC_PER_SEC / 2)

/* ---- watch.c ---- */

/* Whether changes of its flags show in a modification sequence. */
bool watch_has_modseq(const struct engine *engine, uint32_t folder);
/* Whether its list is in the cache. */
bool watch_is_kept(struct engine *engine, uint32_t folder);
/* The line that is told of all mailboxes, NULL: none. */
struct line *watch_notifier(const struct engine *engine);
bool watch_may_idle(const struct line *line);

/* ---- watch-spread.c ---- */

/* A sync that nobody waits for has ended: if it failed, and not because nothing is connected, none
 * of the mailbox is begun again by itself until it has rested (rest.h). What the server tells, and
 * who opens it, has it synced all the same. */
void watch_ended(struct engine *engine, uint32_t folder, enum engine_error error);
/* Each tick: gives the mailboxes opened last a line each; and once a minute has what waits for a
 * look looked at. */
void watch_spread(struct engine *engine, gint64 now);
void watch_look(struct engine *engine, gint64 now);
