/* The conversation as lines for people to read: literals become "{n bytes}", long lines are cut,
 * control characters are escaped, and what is secret is never handed in (or, in a server's echo, is
 * replaced). Private to imap/. */
#pragma once

#include "imap/hidden.h"
#include "imap/imap.h"

struct imap_transcriber;

/* Returns NULL if `sink` is NULL; all functions take NULL and then do nothing. */
struct imap_transcriber *imap_transcriber_new(imap_transcript sink, void *data,
                                              unsigned connection);
void imap_transcriber_free(struct imap_transcriber *transcriber);

/* What is not to be shown although the server may repeat it; NULL: nothing. Borrowed until the next
 * call. */
void imap_transcriber_hide(struct imap_transcriber *transcriber, const struct imap_hidden *hidden);

/* Whether the server's challenges ("+ ...") are left out: with them a password can be guessed at
 * leisure. */
void imap_transcriber_hush(struct imap_transcriber *transcriber, bool hush);

/* Bytes as they pass, cut anywhere; a line is handed on when it is whole. */
void imap_transcriber_bytes(struct imap_transcriber *transcriber, bool from_server,
                            const void *bytes, size_t length);
/* A line to show instead of the bytes that really passed. */
void imap_transcriber_line(struct imap_transcriber *transcriber, bool from_server,
                           const char *line);

/* `text` as one line that is fit for a log or a terminal: valid UTF-8, control characters as "?",
 * at most `max` bytes and "..." if it was longer. Caller frees. */
char *imap_text_safe(const char *text, size_t length, size_t max);
/* The same of its first line. */
char *imap_text_line(const char *text, size_t length, size_t max);
