/* By which mechanism the account signed in: shown in the status, and remembered, so that a server
 * that suddenly offers less is noticed. */
#pragma once

#include "fs/engine/engine.h"
#include "imap/imap.h"

/* The best by which it ever did, for imap_login.before; NULL: not known. To be freed. */
char *mechanism_before(struct engine *engine);
/* Whether it ever did, with the TLS that is set now. */
bool mechanism_worked(struct engine *engine);
/* A session has been opened. */
void mechanism_used(struct engine *engine, const struct imap_session *session);
