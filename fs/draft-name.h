/* Names that say what becomes of a file or directory. */
#pragma once

#include <stdbool.h>

/* Whether a file of this name stays in the mount: what editors, desktops and copying programs make
 * for themselves. */
bool draft_is_scratch(const char *name);
/* Whether a directory of this name is never made on a server: trash folders of desktops, ".x",
 * names that end like a message's (" [UID]"). */
bool draft_is_no_mailbox(const char *name);
