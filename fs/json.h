/* Writes JSON (RFC 8259), a value after the other; commas come by themselves. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* `name` is the member's in an object, NULL in an array and for the outermost value; a word of our
 * own, without anything to escape. */

/* `bracket`: '{' or '['. json_close() takes '}' or ']'. */
void json_open(GString *out, const char *name, char bracket);
void json_close(GString *out, char bracket);
void json_number(GString *out, const char *name, int64_t value);
void json_bool(GString *out, const char *name, bool value);
void json_null(GString *out, const char *name);
/* Anything: bytes that are no UTF-8 become U+FFFD. NULL is null. */
void json_string(GString *out, const char *name, const char *text);
