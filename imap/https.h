/* Fetching one small file by HTTPS (RFC 9110, RFC 9112), with the TLS that sessions use: what a
 * mail provider tells of its servers. No cookies, no caching, no authentication. */
#pragma once

#include <gio/gio.h>

struct imap_https {
    const char *ca_file; /* PEM; NULL: the system's store */
    const char *proxy;   /* as imap_server.proxy */
    size_t most;         /* bytes of the file; a longer one is an error */
    unsigned seconds;    /* for all of it, redirects included */
    unsigned redirects;  /* at most so many, to https:// only */
};

/* GETs `url`, which begins with https://. Blocks; `cancel` (NULL: none) ends it. The body of the
 * answer 200, the caller's; NULL with `error` set: IMAP_ERROR's codes, IMAP_ERROR_UNAVAILABLE for a
 * failure of the server's own (5xx), IMAP_ERROR_NONEXISTENT for another answer of it,
 * IMAP_ERROR_TOOBIG, IMAP_ERROR_PROTOCOL. */
GBytes *imap_https_get(const char *url, const struct imap_https *how, GCancellable *cancel,
                       GError **error);
