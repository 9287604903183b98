/* Namespaces that LIST "*" leaves out: a note of the account, so that the next session asks for
 * them in the same write. */
#include <string.h>

#include "fs/engine/folders.h"

#define KEY "folders.apart"
/* Prefixes come on one line each: none holds a line end, as a server could not be asked for it. */
#define SEPARATOR "\n"
#define NOTE_MAX 4096

void folders_know_apart(struct engine *engine, struct imap_session *session)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *note;
    if (cache_note_get(txn, KEY, &note) != CACHE_OK)
        return;
    g_auto(GStrv) prefixes = g_strsplit(note, SEPARATOR, 0);
    imap_session_set_apart(session, (const char *const *)prefixes);
}

static bool note_is(struct engine *engine, const char *note)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *old;
    return strcmp(cache_note_get(txn, KEY, &old) == CACHE_OK ? old : "", note) == 0;
}

void folders_note_apart(struct engine *engine, const struct imap_session *session)
{
    g_auto(GStrv) prefixes = imap_session_apart(session);
    g_autofree char *note = g_strjoinv(SEPARATOR, prefixes);
    if (strlen(note) > NOTE_MAX || note_is(engine, note))
        return;
    struct cache_txn *txn = cache_txn_write(engine->cache);
    if (cache_note_put(txn, KEY, note) == CACHE_OK)
        cache_txn_commit(txn);
    else
        cache_txn_end(txn);
}
