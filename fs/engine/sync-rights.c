/* What we may do in a mailbox, where the server has ACL (RFC 4314). */
#include <string.h>

#include "fs/engine/sync.h"

#define RIGHTS_US (60 * G_USEC_PER_SEC)
#define RIGHTS_MAX 64

void sync_ask_rights(struct sync *sync)
{
    struct engine *engine = sync->job.engine;
    struct imap_session *session = sync->job.line->session;
    gpointer key = GUINT_TO_POINTER(sync->job.folder);
    const gint64 *at = g_hash_table_lookup(engine->rights, key);
    gint64 now = engine_now(engine);
    if ((imap_session_capabilities(session) & IMAP_CAP_ACL) == 0 || engine->journal == NULL ||
        (at != NULL && now - *at < RIGHTS_US))
        return;
    g_hash_table_insert(engine->rights, key, g_memdup2(&now, sizeof now));
    imap_send_rights(session, sync->job.mailbox, job_done, job_ticket(&sync->job, SYNC_RIGHTS, 0));
}

void sync_note_rights(struct imap_session *session, const char *wire, const char *rights,
                      void *data)
{
    const struct line *line = data;
    struct cache_mailbox mailbox;
    struct cache_txn *txn = cache_txn_write(line->engine->cache);
    if (cache_mailbox_by_wire(txn, wire, &mailbox) != CACHE_OK || strlen(rights) > RIGHTS_MAX ||
        strcmp(mailbox.rights, rights) == 0) {
        cache_txn_end(txn);
        return;
    }
    mailbox.rights = rights;
    if (cache_mailbox_put(txn, &mailbox) == CACHE_OK)
        cache_txn_commit(txn);
    else
        cache_txn_end(txn);
}
