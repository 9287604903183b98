/* Both directions of COMPRESS=DEFLATE (RFC 4978), without I/O. Private to imap/. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct imap_deflate;

/* Nobody compresses 256 to one for long but to harm: what is received may inflate to that and
 * `slack` bytes more (0: 256 MiB), so that a message that is all the same still passes. Returns
 * NULL without memory. */
struct imap_deflate *imap_deflate_new(uint64_t slack);
void imap_deflate_free(struct imap_deflate *deflate);

/* Where bytes from the server go, once imap_deflate_read() has returned 0; and how many went. */
void *imap_deflate_room(struct imap_deflate *deflate, size_t *size);
void imap_deflate_received(struct imap_deflate *deflate, size_t length);
/* Up to `size` plain bytes: their number; 0: more must be received first; -1: this is no deflate
 * data, or its end, or too much of it, see imap_deflate_reason(). */
ssize_t imap_deflate_read(struct imap_deflate *deflate, void *buffer, size_t size);
/* Whether reading may give something although nothing is received. */
bool imap_deflate_pending(const struct imap_deflate *deflate);
const char *imap_deflate_reason(const struct imap_deflate *deflate);

/* Appends what the server needs to see all of these bytes. */
void imap_deflate_write(struct imap_deflate *deflate, const void *bytes, size_t length,
                        GByteArray *out);
