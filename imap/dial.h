/* A connected TCP socket, and waiting on one with a deadline and a way to cancel. Private to imap/.
 */
#pragma once

#include "imap/imap.h"

/* How long the opening of a session may wait. */
struct imap_wait {
    const char *host;     /* for messages */
    GCancellable *cancel; /* NULL: none */
    unsigned timeout_s;   /* without progress */
    gint64 until_us;      /* the next progress must come before this, g_get_monotonic_time() */
    gint64 last_us;       /* nothing goes on beyond this, so that no peer can drip-feed us */
    const struct imap_server *server; /* whose progress() is told; NULL: none */
};

/* Starts the clocks: timeout_s (0: 30) for each step, four times that for all of them. */
void imap_wait_start(struct imap_wait *wait, const char *host, unsigned timeout_s,
                     GCancellable *cancel);
/* There was progress: the next step has timeout_s again. */
void imap_wait_progress(struct imap_wait *wait);
/* Tells the step: begun if `found` is NULL. */
void imap_wait_tell(const struct imap_wait *wait, enum imap_step step, const char *found);
/* Waits until `fd` is ready for `events` (of poll). Returns false with IMAP_ERROR_TIMEOUT or
 * IMAP_ERROR_CANCELLED set. */
bool imap_wait_ready(const struct imap_wait *wait, int fd, short events, GError **error);

/* Looks `host` up and races its addresses (RFC 8305): in the resolver's order (RFC 6724) with the
 * families in turn, each 250 ms after the one before or as soon as one failed; the first that
 * connects wins. Returns a connected socket: non-blocking, close-on-exec, no Nagle delay, dead
 * peers noticed by keepalive. Returns -1 with IMAP_ERROR_RESOLVE, _CONNECT, _TIMEOUT or _CANCELLED
 * set. */
int imap_dial(const char *host, uint16_t port, struct imap_wait *wait, GError **error);
