/* LIST in its three dialects: extended (RFC 5258, 5819, 6154), plain with LSUB beside it, and
 * XLIST; then the namespaces (RFC 2342) that the server leaves out of LIST "" "*". Private to
 * imap/. */
#pragma once

#include "imap/command.h"

struct imap_listing;
void imap_listing_free(struct imap_listing *listing);

/* Queues the commands of one imap_send_list(). */
void imap_listing_start(struct imap_session *session, struct imap_request *request, bool status);
/* Whether a STATUS may be part of the answer to a LIST in flight. */
bool imap_listing_wants_status(const struct imap_session *session);
/* A LIST, LSUB or XLIST reply: handed to the `list` event, now or, where subscriptions come apart,
 * when all are there; to `list_news` if nobody asked. */
void imap_listing_reply(struct imap_session *session, const struct imap_list *list);
