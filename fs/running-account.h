/* What a running mount says of its accounts, read from its .mailmount/status. */
#pragma once

#include <glib.h>

/* All borrowed from the text, NULL if it does not say. */
struct running_account {
    const char *name, *source;
    const char *state;      /* "online", "offline, next attempt in 3 s" ... */
    const char *last_error; /* of its connections */
};

/* Those that it shows (struct running_account), in their order; the caller's. `text`, which may
 * be NULL, is cut into lines, and must live as long. */
GArray *running_accounts(char *text);
