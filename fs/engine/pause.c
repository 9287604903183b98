#include "fs/engine/pause.h"

#include <string.h>

#include "fs/engine/job.h"

#define SECOND ((gint64)G_USEC_PER_SEC)
#define LEAST_FIRST SECOND
#define LEAST_MOST (60 * SECOND)
#define PAUSE_MOST (300 * SECOND)
/* A pause that begins so long after the last one is a first one. */
#define PAUSE_APART (60 * SECOND)
/* So many pauses of a job that gets on between them; then it gets no further time by that. */
#define PAUSES_MOST 10

/* "Suggested Backoff Time: 299961 milliseconds" (Exchange). */
static bool pause_told(const struct imap_result *result, gint64 *told_us)
{
    const char *at = result->error != IMAP_OK ? strstr(result->text, "Backoff Time:") : NULL;
    if (at == NULL)
        return false;
    guint64 milliseconds = g_ascii_strtoull(at + strlen("Backoff Time:"), NULL, 10);
    *told_us = (gint64)MIN(milliseconds, PAUSE_MOST / 1000) * 1000;
    return true;
}

bool pause_lasts(const struct engine *engine)
{
    return engine->pause.until_us > engine_now(engine);
}

/* Commands that were on their way together are refused together: that is one pause. */
static void pause_begin(struct engine *engine, gint64 told_us)
{
    struct pause *pause = &engine->pause;
    gint64 now = engine_now(engine);
    if (pause->until_us <= now) {
        bool first = now - pause->until_us >= PAUSE_APART || pause->least_us == 0;
        pause->least_us = first ? LEAST_FIRST : MIN(pause->least_us * 2, LEAST_MOST);
    }
    gint64 length = MIN(MAX(told_us, pause->least_us), PAUSE_MOST);
    gint64 jitter = (gint64)(g_random_double() * (double)length / 4);
    if (now + length <= pause->until_us)
        return;
    pause->until_us = now + length + jitter;
    pause->due = true;
    g_message("the server asks for a pause, which will be %" G_GINT64_FORMAT " ms",
              (length + jitter) / 1000);
    engine_hurry(engine);
}

bool pause_heard(struct job *job, const struct imap_result *result)
{
    gint64 told_us = 0;
    if (!pause_told(result, &told_us))
        return false;
    pause_begin(job->engine, told_us);
    job->pauses++;
    if (job->refused_us == 0)
        job->refused_us = engine_now(job->engine);
    return true;
}

void pause_eased(struct job *job)
{
    if (job->pauses <= PAUSES_MOST)
        job->refused_us = 0;
}

void pause_tick(struct engine *engine, gint64 now)
{
    struct pause *pause = &engine->pause;
    if (!pause->due || now < pause->until_us)
        return;
    pause->due = false;
    job_schedule(engine);
}
