/* The ways to find a server; shared by fs/autoconfig*.c. */
#pragma once

#include "fs/autoconfig.h"
#include "fs/source.h"

#define AUTOCONFIG_FILE_MAX (1024 * 1024) /* bytes of a settings file */

/* The domain of an address. */
const char *autoconfig_domain(const char *address);
/* Completes a server that somebody tells of: false, with `server` cleared, if that is no host, port
 * or user of IMAP. */
bool autoconfig_settle(struct source *server);

/* How the outside is reached. */
struct autoconfig_way {
    const char *ca_file; /* PEM; NULL: the system's store */
    const char *proxy;   /* as account.proxy */
    GCancellable *cancel;
};

/* Whether somebody takes connections there; waits a few seconds. */
bool autoconfig_answers(const struct source *server, const struct autoconfig_way *way);

/* What the DNS tells of a domain beside its servers. */
struct autoconfig_told {
    bool no_imap;      /* it says itself that it has none */
    bool no_exchanger; /* nothing takes mail for it (MX, RFC 5321, 5.1) but a host of its name */
};

/* By SRV records (RFC 6186): of several targets the first that answers, in the order of RFC 2782,
 * else the first. True: `source` is set. False: AUTOCONFIG_NOTHING, AUTOCONFIG_NETWORK or
 * AUTOCONFIG_CANCELLED. */
bool autoconfig_srv(const char *address, const struct autoconfig_way *way, struct source *source,
                    struct autoconfig_told *told, GError **error);

/* From the provider's settings file; `*where` is the host that has it, the caller's. False:
 * AUTOCONFIG_NOTHING, with `*nowhere` set if there is no host that could have it;
 * AUTOCONFIG_UNUSABLE; AUTOCONFIG_NETWORK; AUTOCONFIG_CANCELLED. */
bool autoconfig_file(const char *address, const struct autoconfig_way *way, struct source *source,
                     char **where, bool *nowhere, GError **error);
/* The first IMAP server with TLS in such a file; false: there is none, or it is no such file. */
bool autoconfig_file_parse(const char *text, size_t length, const char *address,
                           struct source *source);
