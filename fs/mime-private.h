/* What the rooms of fs/mime share. Private to them. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "fs/mime.h"

/* ---- mime-field.c: the fields of a header ---------------------------------------------------- */

/* A walk over a header block, which ends at an empty line or at its bytes' end. Zero-initialise
 * `at`.
 */
struct mime_fields {
    const char *bytes;
    size_t length, at;
};
/* One field; both point into the block, the value still folded. */
struct mime_field {
    const char *name, *value;
    size_t name_length, value_length;
};
/* Returns false at the end. Lines that are no fields are passed over. */
bool mime_fields_next(struct mime_fields *fields, struct mime_field *field);
bool mime_field_is(const struct mime_field *field, const char *name);
/* The value unfolded, without white space at its ends, at most about `max` bytes of it; a NUL
 * becomes U+FFFD. The caller's. */
char *mime_field_value(const struct mime_field *field, size_t max);
/* The first field of that name, as above; NULL: none. `count` may be NULL: how many there are. */
char *mime_field_find(const void *bytes, size_t length, const char *name, unsigned *count);

/* The line of a header at `at`: its length without and with its end. */
size_t mime_line(const char *bytes, size_t length, size_t at, size_t *next);
/* Whether a line is "Name:" and what follows. */
bool mime_line_is_field(const char *line, size_t length);

/* ---- mime-words.c, mime-address.c -------------------------------------------------------------
 */

/* Text with its encoded words decoded (RFC 2047): valid UTF-8. The caller's. */
char *mime_words_decode(const char *text);
/* Whom an address field names first: the display name, else the address. NULL: nobody. The
 * caller's.
 */
char *mime_address_who(const char *value);

/* ---- mime-parameter.c: structured values ----------------------------------------------------- */

/* "text/plain; charset=utf-8" or "attachment; filename=x" taken apart, still encoded. */
struct mime_value {
    char *type, *subtype;  /* lower case; "" where missing */
    GArray *parameters;    /* struct mime_parameter, names in lower case */
    GStringChunk *strings; /* holds them */
};
void mime_value_parse(const char *text, struct mime_value *value);
void mime_value_clear(struct mime_value *value);
typedef struct mime_value mime_value; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(mime_value, mime_value_clear)
/* A parameter decoded (RFC 2231 and the like); NULL: none. The caller's. */
char *mime_parameter_decode(const struct mime_parameter *parameters, size_t count,
                            const char *name);

/* ---- mime-text.c: charsets ------------------------------------------------------------------- */

/* Appends text in a charset as UTF-8, invalid sequences as U+FFFD. Never more than three times
 * `length`. Returns false, appending nothing, if the charset is unknown. */
bool mime_text_convert(const char *charset, const void *bytes, size_t length, GString *out);
/* Appends bytes of no stated charset: UTF-8 if they are that, else windows-1252. */
void mime_text_guess(const void *bytes, size_t length, GString *out);
/* The text with each NUL as U+FFFD. Frees `text` if it returns another. */
GString *mime_text_without_nuls(GString *text);

/* ---- mime-encoding.c, base64.c ----------------------------------------------------------------
 */

/* Content without its transfer encoding; as tolerant as can be. Never over four bytes longer. */
GBytes *mime_encoding_remove(enum cache_part_encoding encoding, const void *bytes, size_t length);
/* The value of a base64 digit. */
enum { MIME_BASE64_NONE = 64 };
uint8_t mime_base64_digit(uint8_t c);

/* ---- mime.c ---------------------------------------------------------------------------------- */

/* The limits of what is taken apart. */
enum { MIME_DEPTH_MAX = 1024, MIME_ENTITIES_MAX = 50000 };
