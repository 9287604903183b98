/* The job behind ENGINE_CONNECT: an attempt to reach the server now, whatever the back-off says. It
 * needs no line and waits, parked, for the attempt to end. */
#include "fs/engine/job.h"

#define CONNECT_KEY "C"

/* A pause that the server wants is to be ended. */
static bool connect_satisfied(struct job *job)
{
    return !pause_lasts(job->engine) && job->engine->pool.lines->len > 0 &&
           engine_hears(job->engine);
}

static bool connect_alone(const struct job *job)
{
    return true;
}

static void connect_start(struct job *job)
{
    pool_retry(job->engine);
    if (job->engine->pool.lines->len > 0)
        job_end(job, ENGINE_OK);
    else if (job->engine->pool.openings->len == 0)
        job_end(job, ENGINE_OFFLINE);
}

static enum engine_error connect_offline(struct job *job, enum engine_error why)
{
    return why;
}

void connect_settle(struct engine *engine)
{
    struct job *job = g_hash_table_lookup(engine->jobs, CONNECT_KEY);
    const struct pool *pool = &engine->pool;
    if (job == NULL || (pool->lines->len == 0 && pool->openings->len > 0))
        return;
    job_end(job, pool->lines->len > 0 ? ENGINE_OK : pool->why);
}

const struct job_class CONNECT_CLASS = {
    .name = "connect",
    .size = sizeof(struct job),
    .satisfied = connect_satisfied,
    .alone = connect_alone,
    .start = connect_start,
    .offline = connect_offline,
    .mailless = true,
};
