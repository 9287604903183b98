#include "fs/engine/watch.h"

#include <string.h>

#include "fs/engine/job.h"
#include "fs/engine/mirror.h"
#include "fs/engine/sync.h"
#include "fs/engine/watch-private.h"

#define SECOND ((gint64)G_USEC_PER_SEC)
#define IN_USE_US (300 * SECOND)
/* After so long without a word IDLE is given anew, so that no NAT forgets the connection. */
#define AGAIN_US (300 * SECOND)
#define DONE_US (30 * SECOND)
/* What NOTIFY does not tell of (a mailbox of others) is found by the second poll at the latest. */
#define POLLS 2
/* After NOTIFICATIONOVERFLOW. */
#define NOTIFY_AGAIN_US (600 * SECOND)
/* A poll that failed is tried again. */
#define ASK_AGAIN_US (10 * SECOND)
#define FRESH_KEY GUINT_TO_POINTER(UINT32_MAX)

/* A mailbox that changed: its sync is asked for once at a time. */
struct watched {
    struct engine *engine;
    uint32_t folder;
    bool again; /* more has changed since */
};

void watch_init(struct engine *engine)
{
    struct watch *watch = g_new0(struct watch, 1);
    engine->watch = watch;
    watch->used = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    watch->syncing = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

void watch_free(struct engine *engine)
{
    g_hash_table_unref(engine->watch->used);
    g_hash_table_unref(engine->watch->syncing);
    g_free(engine->watch);
}

/* ---- mailboxes in use -------------------------------------------------------------------------
 */

void watch_used(struct engine *engine, uint32_t folder)
{
    gint64 now = engine_now(engine);
    if (folder != 0)
        g_hash_table_insert(engine->watch->used, GUINT_TO_POINTER(folder),
                            g_memdup2(&now, sizeof now));
}

static bool watch_is_heard(const struct engine *engine)
{
    const struct engine_events *events = engine->events;
    return events != NULL && events->listened != NULL && events->listened(engine->events_data);
}

gint64 watch_used_us(const struct engine *engine, uint32_t folder)
{
    const gint64 *at = g_hash_table_lookup(engine->watch->used, GUINT_TO_POINTER(folder));
    bool used = at != NULL && (engine_now(engine) - *at < IN_USE_US || watch_is_heard(engine));
    return used ? *at : 0;
}

bool watch_in_use(const struct engine *engine, uint32_t folder)
{
    return watch_used_us(engine, folder) != 0;
}

/* Whether the line hears of changes at once. */
static bool line_listens(const struct line *line)
{
    gint64 ending_us = 0;
    return !line->doomed && line->examining == 0 &&
           imap_session_idling(line->session, &ending_us) && ending_us == 0;
}

bool watch_has_modseq(const struct engine *engine, uint32_t folder)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_get(txn, folder, &mailbox) == CACHE_OK && mailbox.highestmodseq != 0;
}

bool watch_covers(const struct engine *engine, uint32_t folder, gint64 since_us)
{
    gint64 poll = (gint64)engine->account->poll_s * SECOND;
    if (engine_now(engine) - since_us >= poll && !watch_has_modseq(engine, folder))
        return false;
    gint64 polls = POLLS * poll;
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        const struct line *line = engine->pool.lines->pdata[i];
        if (!line_listens(line))
            continue;
        if (line->folder == folder && line->selected_us <= since_us)
            return true;
        if (line->notifies && line->folder != folder && line->notify_us <= since_us &&
            engine_now(engine) - since_us < polls)
            return true;
    }
    return false;
}

void watch_flush(struct engine *engine, uint32_t folder)
{
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        const struct line *line = engine->pool.lines->pdata[i];
        if (line->folder == folder && line->mirror != NULL)
            mirror_flush(line->mirror);
    }
}

/* ---- what changed -----------------------------------------------------------------------------
 */

static void watch_ask(struct watched *watched);

static void watch_synced(enum engine_error error, void *data)
{
    struct watched *watched = data;
    struct engine *engine = watched->engine;
    if (error == ENGINE_STOPPED)
        return;
    watch_ended(engine, watched->folder, error);
    if (watched->again && error == ENGINE_OK)
        watch_ask(watched);
    else
        g_hash_table_remove(engine->watch->syncing, GUINT_TO_POINTER(watched->folder));
}

static void watch_ask(struct watched *watched)
{
    struct engine *engine = watched->engine;
    const struct engine_wish list = {
        .want = ENGINE_MAILBOX, .folder = watched->folder, .ahead = true};
    g_autofree char *key = g_strdup_printf("M%u", watched->folder);
    const struct job *running = g_hash_table_lookup(engine->jobs, key);
    /* what runs already may have looked before */
    watched->again = running != NULL && running->state != JOB_WAITING;
    g_hash_table_remove(engine->fresh, GUINT_TO_POINTER(watched->folder));
    engine_ask_inside(engine, &list, watch_synced, watched);
}

bool watch_is_kept(struct engine *engine, uint32_t folder)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_get(txn, folder, &mailbox) == CACHE_OK &&
           (mailbox.flags & (CACHE_MAILBOX_COMPLETE | CACHE_MAILBOX_MADE)) != 0;
}

static gboolean watch_ask_later(gpointer data)
{
    struct watched *watched = data;
    if (!g_atomic_int_get(&watched->engine->stopping))
        watch_ask(watched);
    return G_SOURCE_REMOVE;
}

void watch_sync(struct engine *engine, uint32_t folder)
{
    struct watched *watched = g_hash_table_lookup(engine->watch->syncing, GUINT_TO_POINTER(folder));
    g_hash_table_remove(engine->fresh, GUINT_TO_POINTER(folder));
    if (watched != NULL) {
        watched->again = true;
        return;
    }
    if (folder == 0 || engine->pool.failing || !watch_is_kept(engine, folder))
        return;
    watched = g_new0(struct watched, 1);
    watched->engine = engine;
    watched->folder = folder;
    g_hash_table_insert(engine->watch->syncing, GUINT_TO_POINTER(folder), watched);
    engine_post(engine->context, watch_ask_later, watched, NULL);
}

static bool folder_by_wire(struct engine *engine, const char *wire, struct cache_mailbox *mailbox)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    return cache_mailbox_by_wire(txn, wire, mailbox) == CACHE_OK;
}

bool watch_fits(const struct imap_status *status, const struct cache_mailbox *mailbox)
{
    if ((mailbox->flags & CACHE_MAILBOX_MADE) != 0)
        return status->messages <= 0;
    return (status->messages < 0 || status->messages == mailbox->count) &&
           (status->uidnext == 0 || status->uidnext == mailbox->uidnext) &&
           (status->uidvalidity == 0 || status->uidvalidity == mailbox->uidvalidity) &&
           (status->highestmodseq <= 0 || mailbox->highestmodseq == 0 ||
            status->highestmodseq == (int64_t)mailbox->highestmodseq);
}

void watch_status_news(struct imap_session *session, const struct imap_status *status, void *data)
{
    const struct line *line = data;
    struct cache_mailbox mailbox;
    if (!folder_by_wire(line->engine, status->wire, &mailbox) || watch_fits(status, &mailbox))
        return;
    sync_note_status(line->engine, status, &mailbox);
    watch_sync(line->engine, mailbox.slot);
}

/* ---- the list of mailboxes --------------------------------------------------------------------
 */

static void watch_listed(enum engine_error error, void *data)
{
    struct engine *engine = data;
    struct watch *watch = engine->watch;
    watch->polling = false;
    if (watch->folders_again && error == ENGINE_OK)
        watch_list(engine);
}

void watch_list(struct engine *engine)
{
    struct watch *watch = engine->watch;
    const struct engine_wish folders = {.want = ENGINE_FOLDERS, .ahead = true};
    watch->folders_again = watch->polling;
    if (watch->polling || engine->pool.failing)
        return;
    watch->polling = true;
    watch->asked_us = engine_now(engine);
    g_hash_table_remove(engine->fresh, FRESH_KEY);
    engine_ask_inside(engine, &folders, watch_listed, engine);
}

static gboolean watch_list_later(gpointer data)
{
    struct engine *engine = data;
    const struct job *running = g_hash_table_lookup(engine->jobs, "F");
    bool late = running != NULL && running->state != JOB_WAITING; /* it may have been told before */
    if (!g_atomic_int_get(&engine->stopping))
        watch_list(engine);
    engine->watch->folders_again |= late && engine->watch->polling;
    return G_SOURCE_REMOVE;
}

/* A mailbox came, went, or has another name or subscription. */
void watch_list_news(struct imap_session *session, const struct imap_list *list, void *data)
{
    const struct line *line = data;
    engine_post(line->engine->context, watch_list_later, line->engine, NULL);
}

void watch_polled(struct engine *engine)
{
    engine->watch->polled_us = engine_now(engine);
}

void watch_poll_now(struct engine *engine)
{
    engine->watch->polled_us = 0;
}

bool watch_polls(const struct engine *engine)
{
    const struct watch *watch = engine->watch;
    gint64 every = (gint64)engine->account->poll_s * SECOND;
    return watch->polled_us == 0 || engine_now(engine) - watch->polled_us >= every;
}

/* ---- NOTIFY -----------------------------------------------------------------------------------
 */

struct line *watch_notifier(const struct engine *engine)
{
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        struct line *line = engine->pool.lines->pdata[i];
        if (line->notifies && !line->doomed)
            return line;
    }
    return NULL;
}

static void watch_notified(struct imap_session *session, const struct imap_result *result,
                           void *data)
{
    struct line *line = data;
    struct rest *rest = &line->engine->watch->notify_rest;
    if (result->error == IMAP_OK) {
        rest->length_us = 0;
        return;
    }
    line->notifies = false;
    pause_wanted(line->engine, result);
    if (!job_is_loss(result->error))
        rest_refused(rest, line->engine);
}

static void watch_notify(struct line *line)
{
    struct engine *engine = line->engine;
    const unsigned needed = IMAP_CAP_NOTIFY | IMAP_CAP_IDLE;
    static const struct imap_notify ALL = {.delayed = true};
    if ((imap_session_capabilities(line->session) & needed) != needed ||
        watch_notifier(engine) != NULL || rest_lasts(&engine->watch->notify_rest, engine))
        return;
    line->notifies = true;
    line->notify_us = engine_now(engine);
    imap_send_notify(line->session, &ALL, watch_notified, line);
}

void watch_overflow(struct imap_session *session, const char *text, void *data)
{
    struct line *line = data;
    struct engine *engine = line->engine;
    g_info("the server notifies no more: %s", text);
    line->notifies = false;
    engine->watch->notify_rest.until_us = engine_now(engine) + NOTIFY_AGAIN_US;
    engine->watch->polled_us = engine->watch->asked_us = 0;
    engine_hurry(engine);
}

void watch_opened(struct line *line)
{
    struct engine *engine = line->engine;
    watch_notify(line);
    if (engine->pool.lines->len == 1)
        engine->watch->polled_us = engine->watch->asked_us = 0; /* what happened meanwhile? */
}

/* ---- IDLE -------------------------------------------------------------------------------------
 */

bool watch_may_idle(const struct line *line)
{
    return (imap_session_capabilities(line->session) & IMAP_CAP_IDLE) != 0 &&
           !rest_lasts(&line->idle_rest, line->engine);
}

bool watch_needs(const struct line *line)
{
    bool stays = line == line->engine->pool.lines->pdata[0] && line->folder != 0;
    return watch_may_idle(line) &&
           (line->notifies || stays || watch_in_use(line->engine, line->folder));
}

/* Whether IDLE was answered at once although nothing else is to be done there. */
static bool idle_was_short(const struct line *line)
{
    return g_queue_is_empty((GQueue *)&line->jobs) && imap_session_in_flight(line->session) == 0 &&
           engine_now(line->engine) - line->idle_us < WATCH_REST_US;
}

static void line_idled(struct imap_session *session, const struct imap_result *result, void *data)
{
    struct line *line = data;
    if (result->error != IMAP_OK || idle_was_short(line)) {
        line->used_us = engine_now(line->engine);
        rest_refused(&line->idle_rest, line->engine);
    } else {
        line->idle_rest.length_us = 0;
    }
    pause_wanted(line->engine, result);
}

static void line_idle(struct line *line, gint64 now)
{
    line->idle_us = now;
    imap_send_idle(line->session, line_idled, line);
}

/* A dead peer answers no DONE. */
static void line_watch_done(struct line *line, gint64 now, gint64 ending_us)
{
    if (ending_us == 0)
        line->done_us = 0;
    else if (line->done_us == 0)
        line->done_us = now;
    else if (now - MAX(line->done_us, line->heard_us) >= DONE_US)
        pool_doom(line, IMAP_ERROR_TIMEOUT);
}

static bool line_rests(const struct line *line)
{
    return g_queue_is_empty((GQueue *)&line->jobs) && imap_session_in_flight(line->session) == 0 &&
           watch_needs(line) && !pause_lasts(line->engine);
}

static void line_watch(struct line *line, gint64 now)
{
    gint64 ending_us = 0;
    bool idling = imap_session_idling(line->session, &ending_us);
    line_watch_done(line, now, idling ? ending_us : 0);
    if (line->missed != 0 && g_queue_is_empty(&line->jobs)) {
        if (watch_in_use(line->engine, line->missed))
            watch_sync(line->engine, line->missed);
        line->missed = 0;
    }
    if (line->doomed || !line_rests(line))
        return;
    if (idling && now - MAX(line->idle_us, line->heard_us) >= AGAIN_US)
        line_idle(line, now);
    else if (!idling && now - line->used_us >= WATCH_REST_US)
        line_idle(line, now);
}

/* ---- time -------------------------------------------------------------------------------------
 */

void watch_tick(struct engine *engine, gint64 now)
{
    struct watch *watch = engine->watch;
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        struct line *line = engine->pool.lines->pdata[i];
        if (!line->doomed)
            line_watch(line, now);
    }
    if (engine->pool.lines->len == 0)
        return;
    struct line *first = engine->pool.lines->pdata[0];
    if (watch_notifier(engine) == NULL && !first->doomed && line_rests(first))
        watch_notify(first);
    watch_spread(engine, now);
    watch_look(engine, now);
    relist_tick(engine, now);
    if (watch_polls(engine) && (watch->asked_us == 0 || now - watch->asked_us >= ASK_AGAIN_US))
        watch_list(engine);
}

bool watch_is_busy(const struct engine *engine)
{
    for (guint i = 0; i < engine->pool.lines->len; i++) {
        const struct line *line = engine->pool.lines->pdata[i];
        gint64 ending_us = 0;
        bool idling = imap_session_idling(line->session, &ending_us);
        if (!line->doomed && watch_needs(line) && (!idling || ending_us != 0))
            return true;
    }
    return false;
}

enum engine_live watch_live(const struct engine *engine)
{
    if (watch_notifier(engine) != NULL)
        return ENGINE_LIVE_NOTIFY;
    for (guint i = 0; i < engine->pool.lines->len; i++)
        if (line_listens(engine->pool.lines->pdata[i]))
            return ENGINE_LIVE_IDLE;
    return ENGINE_LIVE_POLL;
}
