/* A scripted IMAP server on a loopback socket, in a thread of its own: what it says, and what it
 * must hear, step by step. */
#pragma once

#include <glib.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

/* A step is a letter, a colon, and text:
 *   S:text  sends the text and CRLF; $1..$9 is the tag of the first, second, ... command heard, $$
 *           of the last
 *   P:text  sends the text as it is
 *   C:text  hears a line that is a tag, a space, and this text ("*" at its end: any rest)
 *   L:text  hears exactly this line
 *   N:count hears so many bytes, which must be those of script_octet() (the first from 0)
 *   T:      begins TLS
 *   Z:      compresses from here on, both ways (RFC 4978)
 *   R:text  sends the text as it is, not compressed
 *   X:      closes the connection (the next connection goes on behind it)
 * After the last step it waits until the client closes. */
struct script;

/* Starts it; `steps` ends with NULL and must outlive it. `cut` >= 0: closes for good after so many
 * bytes sent. `tls` for T:, or NULL. */
struct script *script_start(const char *const *steps, int64_t cut, SSL_CTX *tls);
uint16_t script_port(const struct script *script);
/* The bytes of the messages that N: hears. */
char script_octet(uint64_t offset);
/* Waits for its end. Returns NULL, or what it heard instead of what it should have (g_free). */
char *script_end(struct script *script);
/* How many bytes it has sent; after script_end() of it is no more. */
int64_t script_sent(const struct script *script);
