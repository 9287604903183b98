/* What a run of a mechanism is made of. Private to imap/auth*.c. */
#pragma once

#include "imap/auth.h"

#include <sasl/sasl.h>

struct imap_auth {
    gint references; /* atomic */
    const struct imap_mechanism *mechanism;
    /* the caller's; not for steps that block */
    const struct imap_login *login;
    const struct imap_line *line;
    /* since the last step */
    unsigned step; /* challenges answered so far */
    enum imap_auth_state state;
    enum imap_error code;
    GString *out; /* raw; NULL: nothing to say */
    char *why;
    /* with libsasl2; NULL: the mechanism's own respond() */
    sasl_conn_t *sasl;
    sasl_secret_t *password;
    char *user, *host;
    bool secure, named; /* the line is TLS; the user named the mechanism */
    GBytes *binding;
    char *binding_name;
    sasl_channel_binding_t channel;
    sasl_callback_t callbacks[6];
};

/* Ends the run with these words. */
void imap_auth_fail(struct imap_auth *auth, enum imap_auth_state state, enum imap_error code,
                    const char *format, ...) G_GNUC_PRINTF(4, 5);

/* libsasl2 (auth-sasl.c). The first step: whether libsasl2 does this mechanism; else
 * auth->state is ABSENT. Then the answers. */
void imap_sasl_prepare(struct imap_auth *auth);
/* Has libsasl2 wipe what it frees (auth-memory.c); before anything else is asked of it. */
void imap_sasl_memory(void);
void imap_sasl_start(struct imap_auth *auth);
void imap_sasl_step(struct imap_auth *auth, const char *bytes, size_t length);
void imap_sasl_forget(struct imap_auth *auth);

/* Our own answers (auth-own.c), as in struct imap_mechanism. */
bool imap_own_plain(struct imap_auth *auth, unsigned step, GString *out);
bool imap_own_login(struct imap_auth *auth, unsigned step, GString *out);
bool imap_own_external(struct imap_auth *auth, unsigned step, GString *out);
bool imap_own_oauthbearer(struct imap_auth *auth, unsigned step, GString *out);
bool imap_own_xoauth2(struct imap_auth *auth, unsigned step, GString *out);
/* What the challenge of a refused token says (RFC 7628, 3.2.2), in plain words. */
char *imap_own_refusal(const char *json, size_t length);
