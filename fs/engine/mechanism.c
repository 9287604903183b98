#include "fs/engine/mechanism.h"

#include "cache/cache.h"
#include "fs/engine/state.h"

static const char NOTE[] = "signed-in-by", NOTE_TLS[] = "signed-in-over";

static const char *const TLS_WORDS[] = {
    [ACCOUNT_TLS_IMPLICIT] = "implicit",
    [ACCOUNT_TLS_STARTTLS] = "starttls",
    [ACCOUNT_TLS_NONE] = "none",
    [ACCOUNT_TLS_UNSAID] = "starttls",
};

char *mechanism_before(struct engine *engine)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *name = NULL;

    return cache_note_get(txn, NOTE, &name) == CACHE_OK ? g_strdup(name) : NULL;
}

bool mechanism_worked(struct engine *engine)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *word = NULL;

    return cache_note_get(txn, NOTE_TLS, &word) == CACHE_OK &&
           g_str_equal(word, TLS_WORDS[engine->account->tls]);
}

static void mechanism_note_tls(struct engine *engine)
{
    if (mechanism_worked(engine))
        return;
    g_autoptr(cache_txn) txn = cache_txn_write(engine->cache);
    if (cache_note_put(txn, NOTE_TLS, TLS_WORDS[engine->account->tls]) == CACHE_OK)
        cache_txn_commit(g_steal_pointer(&txn));
}

/* A choice of the user's is no yardstick for what the server offers. */
static bool mechanism_counts(const struct account *account)
{
    bool automatic = account->auth == NULL || g_str_equal(account->auth, "auto");

    return automatic && account->tls_cert == NULL && account->token_command == NULL;
}

static void mechanism_remember(struct engine *engine, const char *name)
{
    g_autofree char *before = mechanism_before(engine);

    if (before != NULL && !imap_mechanism_better(name, before))
        return;
    g_autoptr(cache_txn) txn = cache_txn_write(engine->cache);
    if (cache_note_put(txn, NOTE, name) == CACHE_OK)
        cache_txn_commit(g_steal_pointer(&txn));
}

void mechanism_used(struct engine *engine, const struct imap_session *session)
{
    const char *name = imap_session_mechanism(session), *missed = imap_session_missed(session);

    g_mutex_lock(&engine->lock);
    bool news = missed != NULL && engine->status.missed == NULL;
    engine->status.signed_in_by = name;
    engine->status.missed = missed;
    g_mutex_unlock(&engine->lock);
    if (news)
        g_warning("%s no longer offers %s, by which %s signed in before; this time it was %s",
                  engine->account->host, missed, engine->account->user, name);
    mechanism_note_tls(engine);
    if (name != NULL && mechanism_counts(engine->account))
        mechanism_remember(engine, name);
}
