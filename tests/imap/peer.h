/* A server that signs in by libsasl2's other half, in a thread: real mechanisms, channel bindings
 * and security layers, and lies at one place if it is told to. */
#pragma once

#include <glib.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum peer_lie {
    PEER_HONEST,
    PEER_EARLY,   /* says OK instead of its last challenge */
    PEER_FORGED,  /* its last challenge is another one */
    PEER_ENDLESS, /* asks on when all is said */
    PEER_ROUNDS,  /* wants 4294967295 iterations */
    PEER_GARBAGE, /* what it asks is no base64 */
    PEER_LAYER,   /* the first packet of the security layer is broken */
    PEER_HUGE,    /* the first packet announces 2 GiB */
};

struct peer_plan {
    const char *offered; /* capabilities, behind IMAP4rev1 */
    SSL_CTX *tls;        /* implicit; NULL: in the clear */
    const char *binding; /* "tls-unique" or "tls-exporter"; NULL: none */
    enum peer_lie lie;
    bool vague; /* a refusal does not say that it is the password */
};

struct peer;
/* The user is alice, the password "sesame". `plan` must outlive it. */
struct peer *peer_start(const struct peer_plan *plan);
uint16_t peer_port(const struct peer *peer);
/* Ends it. Returns a line for each attempt: the mechanism, the GS2 header where there is one, what
 * came of it ("in", "refused", "cancelled", "lost"), and " layer N" where it has that strength. */
char *peer_end(struct peer *peer);
