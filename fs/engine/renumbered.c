/* Mailboxes whose UIDs mean other messages than before: another UIDVALIDITY. */
#include "fs/engine/job.h"
#include "fs/engine/watch.h"

static bool job_asks_by_uid(const struct job *job)
{
    return !job->class->mailless && !job->class->examines;
}

bool job_is_current(const struct job *job)
{
    return !job_asks_by_uid(job) ||
           imap_session_state(job->line->session)->uidvalidity == job->uidvalidity;
}

bool line_is_kept(const struct line *line)
{
    g_autoptr(cache_txn) txn = cache_txn_read(line->engine->cache);
    struct cache_mailbox mailbox;
    return cache_mailbox_get(txn, line->folder, &mailbox) == CACHE_OK &&
           mailbox.uidvalidity == line->uidvalidity;
}

/* Ending one may end others. */
static void line_end_old(struct line *line)
{
    g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func((GDestroyNotify)job_unref);
    for (GList *at = line->jobs.head; at != NULL; at = at->next)
        g_ptr_array_add(jobs, job_ref(at->data));
    for (guint i = 0; i < jobs->len; i++) {
        struct job *job = jobs->pdata[i];
        if (job->state == JOB_RUNNING && !job->lost && job_asks_by_uid(job) &&
            job->uidvalidity != line->uidvalidity)
            job_end(job, ENGINE_GONE);
    }
}

void line_examined(struct line *line, const struct job *by)
{
    job_forget_mirror(line);
    line->uidvalidity = imap_session_state(line->session)->uidvalidity;
    line_end_old(line);
    if (!by->class->examines && line->folder != 0 && !line_is_kept(line))
        watch_sync(line->engine, line->folder);
}

void line_leave_old(struct line *current)
{
    const GPtrArray *lines = current->engine->pool.lines;
    for (guint i = 0; i < lines->len; i++) {
        struct line *line = lines->pdata[i];
        if (line == current || line->doomed || line->examining > 0 ||
            line->folder != current->folder || line->uidvalidity == current->uidvalidity)
            continue;
        job_forget_mirror(line);
        line->folder = line->uidvalidity = 0;
        if (g_queue_is_empty(&line->jobs)) /* else it goes with the next mailbox */
            imap_send_unselect(line->session, NULL, NULL);
    }
}
