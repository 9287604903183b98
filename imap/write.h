/* Arguments of commands as bytes (RFC 9051, 9). Private to imap/. */
#pragma once

#include "imap/imap.h"

/* Appends `text` (any bytes but NUL) as a quoted string. Returns false, appending nothing, if it
 * needs a literal: CR, LF, 8-bit bytes (unless `utf8`), or over 1,000 bytes. */
bool imap_write_quoted(GString *out, const char *text, bool utf8);
/* Appends a wire name as an astring: an atom where that is valid, else quoted; false as above. */
bool imap_write_mailbox(GString *out, const char *wire, bool utf8);
