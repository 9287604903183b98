/* Arguments of commands as bytes (RFC 9051, 9). Private to imap/. */
#pragma once

#include "imap/imap.h"

/* Appends `text` (any bytes but NUL) as a quoted string. Returns false, appending nothing, if it
 * needs a literal: CR, LF, 8-bit bytes (unless `utf8`), or over 1,000 bytes. */
bool imap_write_quoted(GString *out, const char *text, bool utf8);
/* Appends a wire name as an astring: an atom where that is valid, else quoted; false as above. */
bool imap_write_mailbox(GString *out, const char *wire, bool utf8);
/* Appends "(flags)" of words between spaces (RFC 9051, 9: flag-list). Returns false if one is no
 * flag, \Recent, or they are over 4,000 bytes; what was appended is then of no use. */
bool imap_flags_write(GString *out, const char *flags);
/* Appends "17-Jul-1996 02:44:25 +0000" (RFC 9051, 9: date-time, without quotes) for seconds since
 * 1970. Returns false, appending nothing, outside of the years 1 to 9999. */
bool imap_date_write(GString *out, int64_t seconds);
/* Appends the head of a literal of `length` bytes, with its line end. Returns true if the bytes may
 * follow at once (RFC 7888); false if the server must ask for them first. */
bool imap_write_literal(GString *out, size_t length, unsigned capabilities);
