#include "fs/engine/prefetch.h"

#include <string.h>

#include "fs/engine/job.h"

#define NOTE_SPENT "prefetch.spent"
/* After the server said that it is too much, or asked for a pause. */
#define REST_US (4 * 3600 * (gint64)G_USEC_PER_SEC)
#define REST_BRIEF_US (300 * (gint64)G_USEC_PER_SEC)
/* Before what failed in a kept mailbox is tried again, unless it changes. */
#define AGAIN_US (3600 * (gint64)G_USEC_PER_SEC)
/* Before a server that was silent is asked for a mailbox again. */
#define STALLED_US (300 * (gint64)G_USEC_PER_SEC)
/* Looks for what was evicted come when nothing is for a while, and not often. */
#define EVICTED_US (600 * (gint64)G_USEC_PER_SEC)
#define CALM_US (5 * (gint64)G_USEC_PER_SEC)

/* ---- life ------------------------------------------------------------------------------------ */

static void prefetch_read_spent(struct engine *engine)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    const char *text = NULL;
    if (cache_note_get(txn, NOTE_SPENT, &text) != CACHE_OK)
        return;
    char *end = NULL;
    engine->prefetch->day = (uint32_t)g_ascii_strtoull(text, &end, 10);
    engine->prefetch->spent = g_ascii_strtoull(end, NULL, 10);
}

void prefetch_init(struct engine *engine)
{
    struct prefetch *prefetch = g_new0(struct prefetch, 1);
    engine->prefetch = prefetch;
    prefetch->keeps = g_ptr_array_new_with_free_func(g_free);
    prefetch->folders_due = engine->account->prefetch != NULL;
    prefetch->lacks = g_array_new(FALSE, FALSE, sizeof(struct lack));
    prefetch->odd = g_array_new(FALSE, FALSE, sizeof(struct lack));
    g_queue_init(&prefetch->singles);
    prefetch_read_spent(engine);
}

void prefetch_free(struct engine *engine)
{
    struct prefetch *prefetch = g_steal_pointer(&engine->prefetch);
    g_queue_clear(&prefetch->singles); /* each was freed when it was answered */
    g_ptr_array_unref(prefetch->keeps);
    g_array_unref(prefetch->lacks);
    g_array_unref(prefetch->odd);
    g_free(prefetch->mailbox);
    g_free(prefetch->paused_why);
    g_free(prefetch);
}

static struct keep *keep_find(const struct engine *engine, uint32_t folder)
{
    const GPtrArray *keeps = engine->prefetch->keeps;
    for (guint i = 0; i < keeps->len; i++) {
        struct keep *keep = keeps->pdata[i];
        if (keep->shown.folder == folder)
            return keep;
    }
    return NULL;
}

struct keep *prefetch_keep(struct engine *engine, uint32_t folder)
{
    struct keep *keep = keep_find(engine, folder);
    if (keep != NULL)
        return keep;
    keep = g_new0(struct keep, 1);
    keep->shown.folder = folder;
    g_mutex_lock(&engine->lock);
    g_ptr_array_add(engine->prefetch->keeps, keep);
    g_mutex_unlock(&engine->lock);
    return keep;
}

/* ---- what is shown --------------------------------------------------------------------------- */

void prefetch_show(struct engine *engine, struct keep *keep, const struct engine_prefetch *shown)
{
    g_mutex_lock(&engine->lock);
    keep->shown = *shown;
    g_mutex_unlock(&engine->lock);
}

static void keep_show_state(struct engine *engine, struct keep *keep,
                            enum engine_prefetch_state state, enum engine_error error)
{
    struct engine_prefetch shown = keep->shown;
    const struct prefetch *prefetch = engine->prefetch;
    bool rests = state == ENGINE_PREFETCH_PAUSED && prefetch->paused_until_us != 0;
    shown.state = state;
    shown.error = error;
    shown.until_us = rests ? prefetch->paused_until_us : 0;
    g_strlcpy(shown.why, rests ? prefetch->paused_why : "", sizeof shown.why);
    prefetch_show(engine, keep, &shown);
}

GArray *engine_prefetch_read(struct engine *engine)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(struct engine_prefetch));
    g_mutex_lock(&engine->lock);
    const GPtrArray *keeps = engine->prefetch->keeps;
    for (guint i = 0; i < keeps->len; i++)
        g_array_append_val(all, ((const struct keep *)keeps->pdata[i])->shown);
    g_mutex_unlock(&engine->lock);
    return all;
}

/* ---- how much -------------------------------------------------------------------------------- */

static uint32_t day_now(const struct engine *engine)
{
    g_autoptr(GDateTime) now =
        g_date_time_new_from_unix_local(engine->clock->wall() / G_USEC_PER_SEC);
    return now == NULL
               ? 0
               : (uint32_t)(g_date_time_get_year(now) * 10000 + g_date_time_get_month(now) * 100 +
                            g_date_time_get_day_of_month(now));
}

uint64_t prefetch_budget(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    uint32_t day = day_now(engine);
    if (prefetch->day != day) {
        prefetch->day = day;
        prefetch->spent = 0;
    }
    uint64_t limit = engine->account->prefetch_daily;
    return limit > prefetch->spent ? limit - prefetch->spent : 0;
}

void prefetch_write_spent(struct engine *engine, struct cache_txn *txn)
{
    const struct prefetch *prefetch = engine->prefetch;
    g_autofree char *text =
        g_strdup_printf("%u %" G_GUINT64_FORMAT, prefetch->day, prefetch->spent);
    cache_note_put(txn, NOTE_SPENT, text);
}

bool prefetch_refused(struct engine *engine, const struct imap_result *result)
{
    struct prefetch *prefetch = engine->prefetch;
    enum imap_passing passing = imap_passing_of(result, NULL);
    bool limit = passing == IMAP_PASSING_QUOTA ||
                 (result->code != NULL && strcmp(result->code, "LIMIT") == 0);
    if (!limit && passing != IMAP_PASSING_PAUSE)
        return false;
    prefetch->paused_until_us = engine->clock->wall() + (limit ? REST_US : REST_BRIEF_US);
    g_free(prefetch->paused_why);
    prefetch->paused_why = g_utf8_make_valid(result->text != NULL ? result->text : "", -1);
    g_message("the server limits what is fetched; prefetching rests: %s", prefetch->paused_why);
    return true;
}

static bool prefetch_rests(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    if (engine->clock->wall() >= prefetch->paused_until_us)
        prefetch->paused_until_us = 0;
    return prefetch->paused_until_us != 0;
}

/* ---- one mailbox after the other ------------------------------------------------------------- */

/* What sets did not write. */
static void prefetch_save(struct engine *engine)
{
    struct cache_txn *txn = cache_txn_write(engine->cache);
    prefetch_write_spent(engine, txn);
    cache_txn_commit(txn);
}

void prefetch_over(struct engine *engine, enum engine_prefetch_state state, enum engine_error error)
{
    struct prefetch *prefetch = engine->prefetch;
    struct keep *keep = g_steal_pointer(&prefetch->now);
    bool later = state == ENGINE_PREFETCH_OFFLINE || state == ENGINE_PREFETCH_PAUSED ||
                 state == ENGINE_PREFETCH_WAITING;
    if (keep == NULL)
        return;
    prefetch->pass++;
    prefetch->scanning = false;
    prefetch_fetch_stop(engine);
    if (keep->shown.kept && prefetch->passes > 0)
        prefetch_save(engine);
    keep->due = keep->due || later;
    keep->asked = keep->asked && later;
    if (!keep->asked && !keep->shown.kept)
        keep->due = false;
    if (state == ENGINE_PREFETCH_FAILED && keep->shown.kept && error != ENGINE_GONE) {
        keep->due = true;
        keep->again_us = engine_now(engine) + AGAIN_US;
    }
    if (error == ENGINE_TIMEOUT)
        keep->again_us = engine_now(engine) + STALLED_US;
    keep_show_state(engine, keep, state, error);
    g_debug("prefetch of mailbox %u: state %d, error %d", keep->shown.folder, (int)state,
            (int)error);
    engine_hurry(engine);
}

static void prefetch_listed(enum engine_error error, void *data)
{
    struct single *single = data;
    struct engine *engine = single->engine;
    bool mine = error != ENGINE_STOPPED && engine->prefetch->pass == single->pass &&
                engine->prefetch->now != NULL;
    g_free(single);
    if (!mine)
        return;
    if (error == ENGINE_OFFLINE || error == ENGINE_LOGIN || error == ENGINE_TIMEOUT ||
        engine->pool.failing)
        prefetch_over(engine, ENGINE_PREFETCH_OFFLINE, error);
    else if (error != ENGINE_OK)
        prefetch_over(engine, ENGINE_PREFETCH_FAILED, error);
    else
        prefetch_scan(engine);
}

static void prefetch_begin(struct engine *engine, struct keep *keep)
{
    struct prefetch *prefetch = engine->prefetch;
    prefetch->now = keep;
    prefetch->passes = prefetch->got = prefetch->losses = prefetch->stalls = 0;
    prefetch->small = false;
    keep->due = false;
    keep_show_state(engine, keep, ENGINE_PREFETCH_WAITING, ENGINE_OK);
    struct single *single = g_new0(struct single, 1);
    single->engine = engine;
    single->pass = ++prefetch->pass;
    const struct engine_wish list = {
        .want = ENGINE_MAILBOX, .folder = keep->shown.folder, .ahead = true};
    engine_ask_inside(engine, &list, prefetch_listed, single);
}

/* Why a mailbox that is due must wait, or WAITING if it need not. */
static enum engine_prefetch_state keep_hindrance(struct engine *engine, const struct keep *keep)
{
    if (engine->pool.failing)
        return ENGINE_PREFETCH_OFFLINE;
    if (prefetch_rests(engine) || (!keep->asked && prefetch_budget(engine) == 0))
        return ENGINE_PREFETCH_PAUSED;
    return ENGINE_PREFETCH_WAITING;
}

/* The next one: first what somebody asked for. */
static struct keep *prefetch_choose(struct engine *engine)
{
    const GPtrArray *keeps = engine->prefetch->keeps;
    struct keep *chosen = NULL;
    gint64 now = engine_now(engine);
    for (guint i = 0; i < keeps->len; i++) {
        struct keep *keep = keeps->pdata[i];
        if (!keep->due || keep->again_us > now)
            continue;
        enum engine_prefetch_state state = keep_hindrance(engine, keep);
        if (state != keep->shown.state)
            keep_show_state(engine, keep, state, ENGINE_OK);
        if (state == ENGINE_PREFETCH_WAITING && (chosen == NULL || (keep->asked && !chosen->asked)))
            chosen = keep;
    }
    return chosen;
}

static void prefetch_look_evicted(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    uint64_t evicted = cache_content_evicted(engine->cache);
    gint64 now = engine_now(engine);
    if (evicted != prefetch->evicted)
        prefetch->evicting_us = now;
    prefetch->evicted = evicted;
    bool often = prefetch->evicted_us != 0 && now - prefetch->evicted_us < EVICTED_US;
    if (prefetch->evicting_us == 0 || now - prefetch->evicting_us < CALM_US || often)
        return;
    prefetch->evicting_us = 0;
    prefetch->evicted_us = now;
    for (guint i = 0; i < prefetch->keeps->len; i++) {
        struct keep *keep = prefetch->keeps->pdata[i];
        keep->due = keep->due || keep->shown.kept;
    }
}

void prefetch_tick(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    if (g_atomic_int_get(&engine->stopping))
        return;
    if (prefetch->folders_due)
        prefetch_match(engine);
    if (prefetch->keeps->len == 0)
        return;
    prefetch_look_evicted(engine);
    struct keep *next = prefetch->now == NULL ? prefetch_choose(engine) : NULL;
    if (next != NULL)
        prefetch_begin(engine, next);
}

/* ---- what others say ------------------------------------------------------------------------- */

void prefetch_changed(struct engine *engine, uint32_t folder)
{
    struct keep *keep = keep_find(engine, folder);
    if (keep == NULL || !(keep->shown.kept || keep->asked))
        return;
    keep->due = true;
    keep->again_us = 0;
    engine_hurry(engine);
}

void prefetch_folders_changed(struct engine *engine)
{
    engine->prefetch->folders_due = engine->account->prefetch != NULL;
    engine_hurry(engine);
}

static bool folder_holds_mail(struct engine *engine, uint32_t folder)
{
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_get(txn, folder, &mailbox) == CACHE_OK &&
           (mailbox.flags & CACHE_MAILBOX_NOSELECT) == 0;
}

static enum engine_error asked_prepare(struct job *job)
{
    struct engine *engine = job->engine;
    if (!folder_holds_mail(engine, job->folder))
        return ENGINE_INVALID;
    struct keep *keep = prefetch_keep(engine, job->folder);
    keep->asked = true;
    keep->again_us = 0;
    keep->due = keep->due || engine->prefetch->now != keep;
    if (engine->prefetch->now != keep)
        keep_show_state(engine, keep, keep_hindrance(engine, keep), ENGINE_OK);
    if (engine->prefetch->now != NULL && !engine->prefetch->now->asked)
        prefetch_over(engine, ENGINE_PREFETCH_WAITING, ENGINE_OK);
    engine_hurry(engine);
    return ENGINE_OK;
}

static enum engine_error stop_prepare(struct job *job)
{
    struct engine *engine = job->engine;
    struct keep *keep = keep_find(engine, job->folder);
    if (keep == NULL || !keep->asked)
        return ENGINE_OK;
    keep->asked = false;
    if (keep->shown.kept)
        return ENGINE_OK;
    keep->due = false;
    if (engine->prefetch->now == keep)
        prefetch_over(engine, ENGINE_PREFETCH_STOPPED, ENGINE_OK);
    else
        keep_show_state(engine, keep, ENGINE_PREFETCH_STOPPED, ENGINE_OK);
    return ENGINE_OK;
}

static bool always(struct job *job)
{
    return true;
}

const struct job_class PREFETCH_CLASS = {
    .name = "prefetch",
    .size = sizeof(struct job),
    .prepare = asked_prepare,
    .satisfied = always,
};
const struct job_class PREFETCH_STOP_CLASS = {
    .name = "prefetch stop",
    .size = sizeof(struct job),
    .prepare = stop_prepare,
    .satisfied = always,
};
