/* Connecting through a SOCKS5 proxy (RFC 1928, RFC 1929) or an HTTP one (CONNECT, RFC 9110, 9.3.6).
 * Private to imap/. */
#pragma once

#include "imap/dial.h"

struct imap_proxy {
    enum imap_proxy_kind { IMAP_PROXY_SOCKS5, IMAP_PROXY_HTTP } kind;
    char *host;
    uint16_t port;
    char *user, *password; /* NULL: none. Secret, as is the URI that they come from */
};

/* Parses "socks5://[USER:PASSWORD@]HOST:PORT" or "http://...". NULL with IMAP_ERROR_CONNECT set; no
 * part of `uri` is in the message but its scheme. */
struct imap_proxy *imap_proxy_parse(const char *uri, GError **error);
void imap_proxy_free(struct imap_proxy *proxy);
typedef struct imap_proxy imap_proxy; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_proxy, imap_proxy_free)

/* Asks the proxy at the other end of `fd` for a connection to host and port, and reads no byte
 * beyond its answer. False with IMAP_ERROR_CONNECT, _RESOLVE, _TIMEOUT or _CANCELLED set. */
bool imap_proxy_ask(const struct imap_proxy *proxy, int fd, const char *host, uint16_t port,
                    const struct imap_wait *wait, GError **error);

/* As imap_dial(), by the way that server->proxy says. `direct`: whether there is no proxy in it. */
int imap_proxy_dial(const struct imap_server *server, struct imap_wait *wait, bool *direct,
                    GError **error);
