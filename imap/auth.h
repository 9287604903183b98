/* Signing in: which mechanism, and what it says (SASL, RFC 4422; RFC 9051, 6.2.2 and 6.2.3). No
 * I/O. Private to imap/. */
#pragma once

#include "imap/capability.h"
#include "imap/imap.h"

struct imap_auth;

/* One way to sign in; the table of them is in auth.c, a new one is a row there. */
struct imap_mechanism {
    const char *name; /* as in AUTH=name */
    unsigned rank;    /* `auto` takes the highest that is offered; 0: only when asked by name */
    bool needs_secret;
    bool command; /* not SASL but the LOGIN command */
    /* Our own, for where libsasl2 has no plugin: the raw bytes to answer with at `step` (0: before
     * the server's first word). False: nothing to say at this step. NULL: only libsasl2 has it. */
    bool (*respond)(const struct imap_auth *auth, unsigned step, GString *out);
};

/* The mechanism for login->auth among those that the server offers. Returns NULL with
 * IMAP_ERROR_MECHANISM set if there is none, or it needs a secret and login has none. */
const struct imap_mechanism *imap_mechanism_pick(const struct imap_login *login,
                                                 const struct imap_capabilities *capabilities,
                                                 const char *host, GError **error);

/* One run of a SASL mechanism. `login` is borrowed. NULL with `error` set. */
struct imap_auth *imap_auth_new(const struct imap_mechanism *mechanism,
                                const struct imap_login *login, const char *host, GError **error);
void imap_auth_free(struct imap_auth *auth);
typedef struct imap_auth imap_auth; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_auth, imap_auth_free)

/* What to say before the server's first challenge, in base64 ("": an empty response); NULL: the
 * mechanism waits for the server. To be freed with imap_wipe(). */
char *imap_auth_initial(struct imap_auth *auth);
/* The answer to a challenge (base64 as received), in base64; NULL: the exchange must be cancelled.
 * To be freed with imap_wipe(). */
char *imap_auth_respond(struct imap_auth *auth, const char *challenge);

/* Why the server refused, from its response code (may be NULL) and text (RFC 5530). */
enum imap_error imap_auth_error(const char *code, const char *text);

/* Overwrites and frees; NULL does nothing. */
void imap_wipe(char *secret);
void imap_wipe_string(GString *secret);
typedef char imap_secret; /* for g_autoptr(): a string freed with imap_wipe() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_secret, imap_wipe)
