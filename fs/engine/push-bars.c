/* Mailboxes that are about to be: who wants something of them waits until the server has them. */
#include "fs/engine/push.h"

void push_scan(struct engine *engine)
{
    struct pusher *pusher = engine->push;
    struct journal_entry *entry;
    while (engine->journal != NULL &&
           (entry = journal_next(engine->journal, pusher->scanned)) != NULL) {
        pusher->scanned = entry->id;
        if (entry->kind == JOURNAL_CREATE || entry->kind == JOURNAL_RENAME)
            g_hash_table_insert(pusher->hierarchy, g_memdup2(&entry->id, sizeof entry->id),
                                g_strdup(entry->target));
        journal_entry_free(entry);
    }
}

/* Whether the entry still waits, and is not put off. */
static bool hierarchy_waits(struct engine *engine, uint64_t id)
{
    g_autoptr(journal_entry) entry = journal_next(engine->journal, id - 1);
    if (entry == NULL || entry->id != id)
        return false;
    return !g_hash_table_contains(engine->push->tries, &id);
}

bool push_bars(struct engine *engine, const struct job *job)
{
    if (engine->journal == NULL || job->mailbox == NULL || job->class->exclusive)
        return false;
    push_scan(engine); /* what was asked for is sent at the next tick, but counts at once */
    GHashTableIter iter;
    gpointer id, name;
    g_hash_table_iter_init(&iter, engine->push->hierarchy);
    while (g_hash_table_iter_next(&iter, &id, &name)) {
        if (!g_str_has_prefix(job->mailbox, name))
            continue;
        if (hierarchy_waits(engine, *(const uint64_t *)id))
            return true;
    }
    return false;
}
