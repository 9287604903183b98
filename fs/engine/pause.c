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

bool pause_lasts(const struct engine *engine)
{
    return engine->pause.until_us > engine_now(engine);
}

gint64 pause_end(const struct engine *engine)
{
    gint64 left = engine->pause.until_us - engine_now(engine);
    return left > 0 ? engine->clock->wall() + left : 0;
}

/* Commands that were on their way together are refused together: that is one pause. */
static void pause_begin(struct engine *engine, gint64 told_us, const char *words)
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
    g_autofree char *valid = g_utf8_make_valid(words, -1);
    g_strlcpy(pause->words, valid, sizeof pause->words);
    g_message("the server asks for a pause, which will be %" G_GINT64_FORMAT " ms: %s",
              (length + jitter) / 1000, words);
    engine_hurry(engine);
}

/* Whether it is this job's to wait for the end of the pause: the others hear the refusal. What
 * stores is put off; what is fetched ahead rests for longer, or leaves a message out. */
static bool pause_repeats(const struct job *job)
{
    return !job->class->exclusive && !job->class->bulk;
}

/* What may be said of one mailbox or message alone holds up nothing else. What changes mail is told
 * of a quota when the account is full. */
static bool pause_is_wanted(const struct job *job, enum imap_passing passing)
{
    return passing == IMAP_PASSING_PAUSE ||
           (passing == IMAP_PASSING_QUOTA && !job->class->exclusive);
}

bool pause_heard(struct job *job, const struct imap_result *result)
{
    uint64_t told_ms = 0;
    if (!pause_is_wanted(job, imap_passing_of(result, &told_ms)))
        return false;
    pause_begin(job->engine, (gint64)told_ms * 1000, result->text);
    if (!pause_repeats(job))
        return false;
    job->pauses++;
    if (job->refused_us == 0)
        job->refused_us = engine_now(job->engine);
    return true;
}

void pause_wanted(struct engine *engine, const struct imap_result *result)
{
    uint64_t told_ms = 0;
    if (imap_passing_of(result, &told_ms) == IMAP_PASSING_PAUSE)
        pause_begin(engine, (gint64)told_ms * 1000, result->text);
}

void pause_eased(struct job *job)
{
    if (job->pauses <= PAUSES_MOST)
        job->refused_us = 0;
}

void pause_cease(struct engine *engine)
{
    struct pause *pause = &engine->pause;
    pause->until_us = MIN(pause->until_us, engine_now(engine));
    pause->due = false;
    job_schedule(engine);
}

void pause_tick(struct engine *engine, gint64 now)
{
    struct pause *pause = &engine->pause;
    if (!pause->due || now < pause->until_us)
        return;
    pause->due = false;
    job_schedule(engine);
}
