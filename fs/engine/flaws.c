#include "fs/engine/flaws.h"

#include <stdlib.h>
#include <string.h>

#include "fs/engine/job.h"

#define NOTE "server.flaws"
#define NOTE_DAYS 30
#define DAY_US ((gint64)24 * 3600 * G_USEC_PER_SEC)
#define REFUSALS_MOST 3

/* ---- what is known of the server ------------------------------------------------------------- */

static gint64 today(const struct engine *engine)
{
    return engine->clock->wall() / DAY_US;
}

/* "DAY WORDS", the day counted from 1970. */
static unsigned note_read(const struct engine *engine, const char *text)
{
    char *words;
    gint64 day = g_ascii_strtoll(text, &words, 10), now = today(engine);
    if (*words != ' ' || day > now || now - day >= NOTE_DAYS)
        return 0;
    return imap_flaws_read(words + 1);
}

void flaws_load(struct engine *engine)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *text = NULL;
    unsigned known = 0;
    if (cache_note_get(txn, NOTE, &text) == CACHE_OK)
        known = note_read(engine, text);
    imap_flaws_learn(engine->pool.flaws, known);
    engine->pool.flaws_kept = engine->pool.flaws_seen = known;
}

void flaws_keep(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    unsigned known = imap_flaws_known(pool->flaws);
    if (known == pool->flaws_kept || pool->lines->len == 0)
        return;
    g_autofree char *words = imap_flaws_write(known);
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT " %s", today(engine), words);
    struct cache_txn *txn = cache_txn_write(engine->cache);
    cache_note_put(txn, NOTE, text);
    if (cache_txn_commit(txn) == CACHE_OK)
        pool->flaws_kept = known;
}

/* ---- connections that open no mailbox -------------------------------------------------------- */

static bool mailbox_is_listed(const struct line *line, bool *inbox)
{
    g_autoptr(cache_txn) txn = cache_txn_read(line->engine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, line->folder, &mailbox) != CACHE_OK)
        return false;
    *inbox = strcmp(mailbox.wire, "INBOX") == 0;
    return (mailbox.flags & CACHE_MAILBOX_NOSELECT) == 0;
}

/* Whether the reason is, as it seems, the connection's: the server is in trouble or does not take
 * the command at all. A plain NO may well be the mailbox's own, but INBOX can always be opened. */
static bool refusal_counts(const struct line *line, const struct imap_result *result)
{
    bool inbox = false;
    if (imap_passing_of(result, NULL) >= IMAP_PASSING_LATER || !mailbox_is_listed(line, &inbox))
        return false;
    if (result->error == IMAP_ERROR_BAD || job_is_passing(result))
        return true;
    return inbox && result->error == IMAP_ERROR_NO && result->code == NULL;
}

/* Whether mailboxes can be opened elsewhere at this time. */
static bool others_open(const struct line *line)
{
    const GPtrArray *lines = line->engine->pool.lines;
    for (guint i = 0; i < lines->len; i++) {
        const struct line *other = lines->pdata[i];
        if (other != line && !other->doomed && other->opened)
            return true;
    }
    return false;
}

bool flaws_opened(struct job *job, const struct imap_result *result)
{
    struct line *line = job->line;
    line->opened = line->opened || result->error == IMAP_OK;
    if (line->opened || line->doomed || !refusal_counts(line, result))
        return false;
    if (++line->refusals < REFUSALS_MOST)
        return false;
    g_message("connection %u opens no mailbox and is given up: %s",
              imap_session_number(line->session), result->text);
    if (!others_open(line))
        pool_bar(job->engine);
    pool_doom(line, IMAP_ERROR_UNAVAILABLE);
    return true;
}
