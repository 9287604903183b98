#include "fs/engine/flaws.h"

#include <stdlib.h>
#include <string.h>

#include "fs/engine/job.h"
#include "fs/engine/pause.h"

#define NOTE "server.flaws"
#define NOTE_UNPROVED "server.flaws.unproved" /* of those, what is not sure */
#define NOTE_DAYS 30
#define DAY_US ((gint64)24 * 3600 * G_USEC_PER_SEC)
#define REFUSALS_MOST 3
#define LINE_OLD ((gint64)10 * 60 * G_USEC_PER_SEC)

/* ---- what is known of the server ------------------------------------------------------------- */

static gint64 today(const struct engine *engine)
{
    return engine->clock->wall() / DAY_US;
}

/* "DAY WORDS", the day counted from 1970. */
static unsigned note_read(const struct engine *engine, struct cache_txn *txn, const char *name)
{
    const char *text = NULL;
    if (cache_note_get(txn, name, &text) != CACHE_OK)
        return 0;
    char *words;
    gint64 day = g_ascii_strtoll(text, &words, 10), now = today(engine);
    if (*words != ' ' || day > now || now - day >= NOTE_DAYS)
        return 0;
    return imap_flaws_read(words + 1);
}

static void note_write(const struct engine *engine, struct cache_txn *txn, const char *name,
                       unsigned known)
{
    g_autofree char *words = imap_flaws_write(known);
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT " %s", today(engine), words);
    cache_note_put(txn, name, text);
}

void flaws_load(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    unsigned known = note_read(engine, txn, NOTE);
    unsigned unproved = known & note_read(engine, txn, NOTE_UNPROVED);
    imap_flaws_learn(pool->flaws, known & ~unproved);
    imap_flaws_presume(pool->flaws, unproved);
    pool->flaws_kept = pool->flaws_seen = known;
    pool->flaws_unproved = unproved;
}

void flaws_keep(struct engine *engine)
{
    struct pool *pool = &engine->pool;
    unsigned known = imap_flaws_known(pool->flaws);
    unsigned unproved = imap_flaws_unproved(pool->flaws);
    if ((known == pool->flaws_kept && unproved == pool->flaws_unproved) || pool->lines->len == 0)
        return;
    struct cache_txn *txn = cache_txn_write(engine->cache);
    note_write(engine, txn, NOTE, known);
    note_write(engine, txn, NOTE_UNPROVED, unproved);
    if (cache_txn_commit(txn) != CACHE_OK)
        return;
    pool->flaws_kept = known;
    pool->flaws_unproved = unproved;
}

/* ---- connections that lack something --------------------------------------------------------- */

static bool line_lacks(const struct line *line)
{
    struct imap_flaws *flaws = line->engine->pool.flaws;
    return (imap_session_without(line->session) &
            (~imap_flaws_known(flaws) | imap_flaws_due(flaws))) != 0;
}

void flaws_tick(struct engine *engine, gint64 now)
{
    const struct pool *pool = &engine->pool;
    struct line *lacks = NULL;
    bool whole = false;
    for (guint i = 0; i < pool->lines->len; i++) {
        struct line *line = pool->lines->pdata[i];
        if (line->doomed || pool->openings->len > 0)
            return;
        if (!line_lacks(line))
            whole = true;
        else if (now - line->opened_us >= LINE_OLD && g_queue_is_empty(&line->jobs))
            lacks = line;
    }
    /* while the server lets us have fewer than we want, what is open is all that we have */
    bool all = !whole && pool->cap < MAX(engine->account->connections, 1);
    if (lacks == NULL || all || pause_lasts(engine))
        return;
    if (!whole && pool_may_open(engine)) { /* that it is there when the other goes */
        pool_open(engine);
        return;
    }
    g_info("connection %u lacks what the server may stand", imap_session_number(lacks->session));
    pool_doom(lacks, IMAP_OK);
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
