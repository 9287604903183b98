/* The jobs behind ENGINE_PUSHED: they have no line, and end when the journal says so. */
#include "fs/engine/push.h"

struct pushed {
    struct job job;
    uint64_t from, last; /* waits for all: looked through up to `from`; the last that counts */
    enum engine_error error;
};

static enum engine_error pushed_prepare(struct job *job)
{
    struct pushed *pushed = (struct pushed *)job;
    struct engine *engine = job->engine;
    if (engine->journal == NULL)
        return ENGINE_OK;
    push_scan(engine);
    pushed->last = engine->push->scanned;
    gpointer refused = g_hash_table_lookup(engine->push->refusals, &job->wish.entry);
    return (enum engine_error)GPOINTER_TO_INT(refused);
}

static bool pushed_rests(const struct journal_entry *entry)
{
    return entry->step == JOURNAL_MARKED && entry->kept;
}

/* Whether all that it waits for is done, or rests. */
static bool pushed_is_over(struct pushed *pushed)
{
    struct engine *engine = pushed->job.engine;
    for (;;) {
        g_autoptr(journal_entry) entry = journal_next(engine->journal, pushed->from);
        if (entry == NULL || entry->id > pushed->last)
            return true;
        if (!pushed_rests(entry))
            return false;
        pushed->from = entry->id;
    }
}

static bool pushed_satisfied(struct job *job)
{
    struct engine *engine = job->engine;
    if (engine->journal == NULL)
        return true;
    if (job->wish.entry == 0)
        return pushed_is_over((struct pushed *)job);
    g_autoptr(journal_entry) entry = journal_next(engine->journal, job->wish.entry - 1);
    return entry == NULL || entry->id != job->wish.entry || pushed_rests(entry);
}

/* Who waits for everything wants it sent now: another attempt to reach the server is worth it. */
static bool pushed_alone(const struct job *job)
{
    const struct pool *pool = &job->engine->pool;
    return !pool->failing || (job->wish.entry == 0 && pool->why != ENGINE_LOGIN);
}

static void pushed_start(struct job *job)
{
    struct engine *engine = job->engine;
    engine->push->waiters++;
    engine->push->wanted = true;
    if (engine->pool.failing)
        pool_try(engine);
    if (engine->push->unsettled)
        push_settle_placed(engine);
    push_kick(engine);
}

static void pushed_clear(struct job *job)
{
    if (job->state == JOB_ENDED && job->engine->push->waiters > 0)
        job->engine->push->waiters--;
}

static enum engine_error pushed_offline(struct job *job, enum engine_error why)
{
    return why;
}

const struct job_class PUSHED_CLASS = {
    .name = "pushed",
    .size = sizeof(struct pushed),
    .prepare = pushed_prepare,
    .satisfied = pushed_satisfied,
    .alone = pushed_alone,
    .start = pushed_start,
    .offline = pushed_offline,
    .clear = pushed_clear,
    .mailless = true,
};

/* ---- answers --------------------------------------------------------------------------------- */

static struct job *pushed_find(const struct engine *engine, uint64_t id)
{
    g_autofree char *key = g_strdup_printf("W%" G_GUINT64_FORMAT, id);
    return g_hash_table_lookup(engine->jobs, key);
}

bool pushed_is_awaited(const struct engine *engine, uint64_t id)
{
    const struct job *job = pushed_find(engine, id);
    return job != NULL && job->wishes.length > 0;
}

static GPtrArray *pushed_all(const struct engine *engine)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)job_unref);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, engine->jobs);
    while (engine->push->waiters > 0 && g_hash_table_iter_next(&iter, NULL, &value)) {
        struct job *job = value;
        if (job->class == &PUSHED_CLASS)
            g_ptr_array_add(all, job_ref(job));
    }
    return all;
}

bool pushed_answer(struct engine *engine, uint64_t id, enum engine_error error)
{
    struct job *job = engine->push->waiters > 0 ? pushed_find(engine, id) : NULL;
    if (error != ENGINE_OK && engine->push->waiters > 0) {
        g_autoptr(GPtrArray) all = pushed_all(engine);
        for (guint i = 0; i < all->len; i++) {
            struct pushed *pushed = all->pdata[i];
            if (pushed->job.wish.entry == 0 && id <= pushed->last && pushed->error == ENGINE_OK)
                pushed->error = error;
        }
    }
    if (job == NULL)
        return false;
    job_end(job, error);
    return true;
}

void pushed_check(struct engine *engine)
{
    g_autoptr(GPtrArray) all = pushed_all(engine);
    for (guint i = 0; i < all->len; i++) {
        struct pushed *pushed = all->pdata[i];
        if (pushed->job.state == JOB_PARKED && pushed_satisfied(&pushed->job))
            job_end(&pushed->job, pushed->error);
    }
}

void pushed_fail(struct engine *engine, enum engine_error why)
{
    g_autoptr(GPtrArray) all = pushed_all(engine);
    for (guint i = 0; i < all->len; i++)
        if (((struct job *)all->pdata[i])->state == JOB_PARKED)
            job_end(all->pdata[i], why);
}
