#include "fs/engine/relist.h"

#include <string.h>

#include "fs/engine/pause.h"
#include "fs/engine/state.h"
#include "fs/engine/watch.h"

#define SECOND ((gint64)G_USEC_PER_SEC)
#define QUIET_US (5 * SECOND)
#define PAUSE_MOST_US (60 * SECOND)

void relist_changed(struct engine *engine)
{
    engine->relist.changed_us = engine_now(engine);
}

static bool line_may_be_old(const struct line *line)
{
    g_autofree char *name = g_ascii_strdown(imap_session_server_name(line->session), -1);
    return strstr(name, "dovecot") != NULL;
}

static bool line_is_sure(const struct line *line)
{
    return line->opened_us >= line->engine->relist.changed_us + QUIET_US;
}

/* What else was open tells an old list, and is told of no changes. Who has work there keeps it. */
static void relist_leave_others(const struct line *sure)
{
    const struct pool *pool = &sure->engine->pool;
    for (guint i = 0; i < pool->lines->len; i++) {
        struct line *line = pool->lines->pdata[i];
        if (line != sure && g_queue_is_empty(&line->jobs))
            pool_doom(line, IMAP_OK);
    }
}

void relist_taken(const struct line *line, bool changed)
{
    struct engine *engine = line->engine;
    struct relist *relist = &engine->relist;
    bool sure = relist->changed_us != 0 && line_is_sure(line);
    if (sure && !changed)
        *relist = (struct relist){0};
    if (!changed)
        return;
    relist_changed(engine);
    if (!sure)
        return;
    g_info("a newer session tells another list of mailboxes");
    relist_leave_others(line);
    relist->pause_us = CLAMP(relist->pause_us * 2, QUIET_US, PAUSE_MOST_US);
    relist->next_us = relist->changed_us + relist->pause_us;
}

static struct line *relist_newest(const struct engine *engine)
{
    struct line *newest = NULL;
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        struct line *line = engine->pool.lines->pdata[i];
        if (!line->doomed && (newest == NULL || line->opened_us > newest->opened_us))
            newest = line;
    }
    return newest;
}

/* Opens one more, or, where there may be no more, ends one that has nothing to do. Not while the
 * server lets us have fewer than we want: what is open then is all that we have. */
static void relist_open(struct engine *engine)
{
    const struct pool *pool = &engine->pool;
    if (pool_may_open(engine)) {
        pool_open(engine);
        return;
    }
    if (pool->lines->len < MAX(engine->account->connections, 1))
        return;
    for (guint i = 0; i < pool->lines->len; i++) {
        struct line *line = pool->lines->pdata[i];
        if (g_queue_is_empty(&line->jobs)) {
            pool_doom(line, IMAP_OK);
            return;
        }
    }
}

void relist_tick(struct engine *engine, gint64 now)
{
    struct relist *relist = &engine->relist;
    const struct pool *pool = &engine->pool;
    gint64 due = MAX(relist->changed_us + QUIET_US, relist->next_us);
    if (relist->changed_us == 0 || now < due || pool->openings->len > 0 || pause_lasts(engine))
        return;
    struct line *newest = relist_newest(engine);
    if (newest == NULL)
        return;
    if (!line_may_be_old(newest)) {
        *relist = (struct relist){0};
    } else if (line_is_sure(newest)) {
        relist->next_us = now + QUIET_US; /* perhaps another line is chosen, as this has work */
        watch_list(engine);
    } else {
        relist_open(engine);
    }
}
