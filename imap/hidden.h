/* What is said in secret while signing in, and must not be seen where a server repeats it: in its
 * refusals, which end in error lines, the status and the journal, and in the transcript. Private to
 * imap/. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct imap_hidden;

/* `user` is who signs in: what stands behind the name is more likely an echo. Copied. */
struct imap_hidden *imap_hidden_new(const char *user);
void imap_hidden_free(struct imap_hidden *hidden);
typedef struct imap_hidden imap_hidden; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_hidden, imap_hidden_free)

/* From here on this is secret; copied, and the copy is wiped. `chosen`: a person may have chosen
 * it, so words of it may be the server's own. NULL and "" do nothing. */
void imap_hidden_add(struct imap_hidden *hidden, const char *secret, bool chosen);
/* Puts "<secret>" into `line` instead of what is secret: all of it, in whatever case, or 12 bytes
 * or more of it with the word that they are in. One that is part of a longer word, that is shorter
 * than 6 bytes and stands behind no name or command, or of which only letters agree, is more likely
 * the server's own word, and to hide that would tell it. NULL does nothing. */
void imap_hidden_cover(const struct imap_hidden *hidden, GString *line);
