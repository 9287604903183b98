/* Signing in: which mechanism, and what it says (SASL, RFC 4422; RFC 9051, 6.2.2 and 6.2.3). No
 * I/O of our own. Private to imap/. */
#pragma once

#include "imap/capability.h"
#include "imap/imap.h"

/* ---- which mechanisms there are (auth-table.c) ----------------------------------------------- */

enum imap_mechanism_flag {
    IMAP_MECH_SECRET = 1 << 0,   /* needs the password */
    IMAP_MECH_TOKEN = 1 << 1,    /* needs an access token */
    IMAP_MECH_IDENTITY = 1 << 2, /* needs a client certificate, and TLS to show it in */
    IMAP_MECH_BINDING = 1 << 3,  /* binds to the TLS connection, so needs one */
    IMAP_MECH_KERBEROS = 1 << 4, /* needs a ticket, and may ask a KDC for another */
    IMAP_MECH_COMMAND = 1 << 5,  /* not SASL but the LOGIN command */
    IMAP_MECH_HASH = 1 << 6,     /* an old hash: better than a password in the clear, else last */
    IMAP_MECH_OTHER = 1 << 7,    /* acts for the identity that TLS or Kerberos shows: names the
                                    user as authorization identity (RFC 4422, 3.4.1) */
    IMAP_MECH_PROMPTS = 1 << 8,  /* what the server asks does not matter */
    IMAP_MECH_BEARER = 1 << 9,   /* what the server asks is why it refuses (RFC 7628, 3.2.2) */
    IMAP_MECH_SCRAM = 1 << 10,   /* RFC 5802 */
    IMAP_MECH_ONCE = 1 << 11,    /* the secret is a passphrase for one-time passwords (RFC 2444) */
};

struct imap_auth;

/* One way to sign in; the table of them is in auth-table.c, a new one is a row there. */
struct imap_mechanism {
    const char *name; /* as in AUTH=name */
    unsigned flags;
    /* Debian's package of the plugin with which libsasl2 does it; NULL: `respond` alone does. */
    const char *package;
    /* Our own, for where libsasl2 has no plugin: the raw bytes to answer with at `step` (0: before
     * the server's first word). False: nothing to say at this step. NULL: only libsasl2 has it. */
    bool (*respond)(struct imap_auth *auth, unsigned step, GString *out);
};

/* What the connection is on which we sign in. */
struct imap_line {
    const char *host;
    uint16_t port;
    bool secure;              /* TLS */
    bool identity;            /* a client certificate was configured */
    const char *binding_name; /* of the channel binding (RFC 5929, RFC 9266); NULL: none */
    GBytes *binding;          /* its data */
};

/* The mechanisms (const struct imap_mechanism *) for login->auth among those that the server
 * offers, best first, at least one. Returns NULL with IMAP_ERROR_MECHANISM set if there is none, or
 * what it needs is missing. */
GPtrArray *imap_mechanisms_choose(const struct imap_login *login,
                                  const struct imap_capabilities *capabilities,
                                  const struct imap_line *line, GError **error);
/* The mechanism by which it shows whether there is a ticket. */
const struct imap_mechanism *imap_mechanism_kerberos(void);
/* Whether login->auth leaves the choice to us. */
bool imap_mechanism_automatic(const struct imap_login *login);

/* Whether `before`, by which we signed in once, is offered no more and `now` is weaker. */
bool imap_mechanism_missed(const char *before, const char *now,
                           const struct imap_capabilities *capabilities);

/* ---- one run of a mechanism (auth.c) --------------------------------------------------------- */

/* `login` and `line` must live until the run ends. Counted, since a step that blocks may outlive
 * its caller: after a step was left alone nothing but imap_auth_unref() may be done. */
struct imap_auth *imap_auth_new(const struct imap_mechanism *mechanism,
                                const struct imap_login *login, const struct imap_line *line);
struct imap_auth *imap_auth_ref(struct imap_auth *auth);
void imap_auth_unref(struct imap_auth *auth);
typedef struct imap_auth imap_auth; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_auth, imap_auth_unref)

/* Whether steps may take long: they are done by libsasl2, which may ask a KDC or hash for seconds.
 * They touch nothing then but what the run owns. */
bool imap_auth_blocks(const struct imap_auth *auth);
/* The next step: first with NULL, then with each challenge as received (base64). */
void imap_auth_step(struct imap_auth *auth, const char *challenge);

/* How the last step went. */
enum imap_auth_state {
    IMAP_AUTH_MORE,   /* the server must say more before it may say OK */
    IMAP_AUTH_DONE,   /* all is said, and the server has proved what the mechanism makes it prove */
    IMAP_AUTH_ABSENT, /* the first step: there is no plugin or no ticket; nothing was said yet */
    IMAP_AUTH_FAILED, /* the exchange must be cancelled */
};
enum imap_auth_state imap_auth_state(const struct imap_auth *auth);
/* What the last step says, base64 ("": an empty response); NULL: nothing. To be freed with
 * imap_wipe(). */
char *imap_auth_response(const struct imap_auth *auth);
/* Why it is ABSENT or FAILED, or what the server told of its refusal (BEARER); NULL: not known. */
const char *imap_auth_why(const struct imap_auth *auth);
/* The error that ABSENT or FAILED is. */
enum imap_error imap_auth_code(const struct imap_auth *auth);

/* The security layer that was negotiated (RFC 4422, 3.7): how many bytes encode takes at most; 0:
 * none. */
size_t imap_auth_layer(const struct imap_auth *auth);
/* What was said in secret is wiped; only the layer remains. */
void imap_auth_forget(struct imap_auth *auth);
/* Bytes through the layer. `out` is the layer's until the next call of the same function, and may
 * be empty. False: the connection is broken. */
bool imap_auth_encode(struct imap_auth *auth, const void *bytes, size_t length, const char **out,
                      size_t *out_length);
bool imap_auth_decode(struct imap_auth *auth, const void *bytes, size_t length, const char **out,
                      size_t *out_length);

/* Why the server refused, from its response code (may be NULL) and text (RFC 5530); `otherwise` if
 * they do not say. */
enum imap_error imap_auth_error(const char *code, const char *text, enum imap_error otherwise);

/* ---- secrets --------------------------------------------------------------------------------- */

/* Overwrites and frees; NULL does nothing. */
void imap_wipe(char *secret);
void imap_wipe_string(GString *secret);
typedef char imap_secret; /* for g_autoptr(): a string freed with imap_wipe() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_secret, imap_wipe)
