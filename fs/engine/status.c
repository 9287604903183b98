/* What the engine tells of itself to other threads: copied under its lock. */
#include <string.h>

#include "fs/engine/pool.h"
#include "fs/engine/watch.h"

void engine_publish(struct engine *engine)
{
    uint64_t bytes = engine->bytes_closed;
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        const struct line *line = engine->pool.lines->pdata[i];
        if (line->session != NULL)
            bytes += imap_session_bytes_in(line->session);
    }
    g_autofree char *flaws = imap_flaws_write(imap_flaws_known(engine->pool.flaws));
    g_mutex_lock(&engine->lock);
    struct engine_status *status = &engine->status;
    g_strlcpy(status->flaws, flaws, sizeof status->flaws);
    status->connecting = engine->pool.lines->len == 0 && engine->pool.openings->len > 0;
    status->online = engine->pool.lines->len > 0;
    status->next_try_us = pool_next_try(engine);
    status->pause_until_us = pause_end(engine);
    g_strlcpy(status->pause_words, engine->pause.words, sizeof status->pause_words);
    g_strlcpy(status->refusal, engine->pool.signin.words, sizeof status->refusal);
    status->live = watch_live(engine);
    status->connections = engine->pool.lines->len;
    status->waiting = g_hash_table_size(engine->wishes);
    status->bytes_in = bytes;
    status->commands = engine->commands;
    status->mailboxes_incomplete = g_hash_table_size(engine->partial);
    g_mutex_unlock(&engine->lock);
}

void engine_note_error(struct engine *engine, const GError *error)
{
    g_info("%s", error->message);
    g_mutex_lock(&engine->lock);
    g_strlcpy(engine->status.last_error, error->message, sizeof engine->status.last_error);
    g_clear_error(&engine->open_error);
    engine->open_error = g_error_copy(error);
    g_mutex_unlock(&engine->lock);
}

void engine_status_read(struct engine *engine, struct engine_status *status)
{
    g_mutex_lock(&engine->lock);
    *status = engine->status;
    g_mutex_unlock(&engine->lock);
}

enum engine_sizes engine_sizes(struct engine *engine)
{
    return (enum engine_sizes)g_atomic_int_get(&engine->sizes);
}
