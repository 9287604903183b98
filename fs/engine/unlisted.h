/* Mailboxes that the cache has and a list does not name. A list is not proof that they are gone:
 * a session of Dovecot's, begun while others make and rename mailboxes, may go on for ever to tell
 * only some of them, or those that there were some time ago. So STATUS is asked for what is missing
 * before it is given up. If the server has it all the same, the list is asked for once more in
 * another session; if that does not name it either, it stays, as STATUS is the better witness. */
#pragma once

#include "fs/engine/state.h"

struct unlisted {
    GPtrArray *missing; /* wire names: the list lacks them; NULL: it has not come yet */
    GPtrArray *present; /* those among them that STATUS has told of, and those to be made here */
    unsigned asked;     /* STATUS on their way */
    bool told;          /* STATUS has told of one */
};

/* Fills `unlisted` from `entries` (struct folder_entry): at most 100 are missing, of more the
 * others are taken for gone. What is removed here is not missed. */
void unlisted_find(struct engine *engine, const GPtrArray *entries, struct unlisted *unlisted);
void unlisted_clear(struct unlisted *unlisted);
/* STATUS has told of the mailbox. */
void unlisted_told(struct unlisted *unlisted, const char *wire);
/* All STATUS are answered: whether the list is to be asked for in another session. */
bool unlisted_doubt(struct engine *engine, const struct unlisted *unlisted);
/* Adds what is there to `entries`, as the cache has it. */
void unlisted_keep(struct engine *engine, const struct unlisted *unlisted, GPtrArray *entries);
