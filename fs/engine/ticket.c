#include "fs/engine/ticket.h"

#include "fs/engine/opening.h"

bool engine_ticket(const struct account *account, bool transcript, GCancellable *cancel)
{
    const struct opening_watch watch = {.transcript = transcript};
    g_autoptr(GError) error = NULL;

    if (!opening_ticket(account, cancel))
        return false;
    struct imap_session *session = opening_session(account, NULL, &watch, cancel, &error);
    if (session != NULL)
        imap_session_free(session);
    return session != NULL || !opening_needs_secret(error);
}
