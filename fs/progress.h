/* How far a folder is fetched: as a line of .mailmount/prefetch, and as a bar on a terminal.
 *
 *      STATE \t MESSAGES DONE \t MESSAGES \t BYTES DONE \t BYTES \t FOLDER \t WHY
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/engine/engine.h"

struct progress {
    enum engine_prefetch_state state;
    uint64_t messages, messages_done, bytes, bytes_done;
    const char *folder; /* its path in the mount */
    const char *why;    /* "" if there is nothing to say */
};

/* The word for a state ("complete"). */
const char *progress_word(enum engine_prefetch_state state);
/* Appends the line, with its end. */
void progress_write(const struct progress *progress, GString *text);
/* Takes a line, without its end, apart; the strings point into it. False: it is none. */
bool progress_read(char *line, struct progress *progress);

/* The bar: name, how much of it is done, and, of `seconds` in which `fetched` bytes came (0: not
 * known yet), the rate and the time left. At most `columns` wide, one line without its end; the
 * caller's. */
char *progress_bar(const struct progress *progress, double seconds, uint64_t fetched,
                   unsigned columns);
