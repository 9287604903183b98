#include "fs/engine/remade.h"

#include <string.h>

#include "fs/engine/folders.h"

#define REMEMBERED_US (60 * G_USEC_PER_SEC)
#define REMEMBERED_MOST 1000

struct remade {
    char *gone, *made; /* wire names; NULL: none */
    char delimiter;
    gint64 when_us;
};

static void remade_free(struct remade *remade)
{
    g_free(remade->gone);
    g_free(remade->made);
    g_free(remade);
}

void remade_clear(struct engine *engine)
{
    g_queue_clear_full(&engine->remade, (GDestroyNotify)remade_free);
}

/* Whether a mailbox is this one or lies below it. */
static bool is_within(const char *wire, const char *top, char delimiter)
{
    size_t length = top != NULL ? strlen(top) : 0;
    return wire != NULL && top != NULL && strncmp(wire, top, length) == 0 &&
           (wire[length] == '\0' || (delimiter != 0 && wire[length] == delimiter));
}

static bool remade_is_replaced(const struct remade *remade, const struct remade *by)
{
    char delimiter = by->delimiter;
    return is_within(remade->gone, by->gone, delimiter) ||
           is_within(remade->gone, by->made, delimiter) ||
           is_within(remade->made, by->gone, delimiter) ||
           is_within(remade->made, by->made, delimiter);
}

/* The newest word on a name counts, and only for a while. */
static void remade_forget(struct engine *engine, const struct remade *newer)
{
    gint64 since = engine_now(engine) - REMEMBERED_US;
    GList *next;
    for (GList *at = engine->remade.head; at != NULL; at = next) {
        struct remade *remade = at->data;
        next = at->next;
        bool replaced = newer != NULL && remade_is_replaced(remade, newer);
        if (!replaced && remade->when_us >= since && engine->remade.length < REMEMBERED_MOST)
            continue;
        remade_free(remade);
        g_queue_delete_link(&engine->remade, at);
    }
}

void remade_note(struct engine *engine, const struct journal_entry *entry)
{
    struct remade *remade = g_new0(struct remade, 1);
    remade->gone = entry->kind != JOURNAL_CREATE ? g_strdup(entry->message.mailbox) : NULL;
    remade->made = entry->kind != JOURNAL_REMOVE ? g_strdup(entry->target) : NULL;
    remade->delimiter = entry->delimiter;
    remade->when_us = engine_now(engine);
    remade_forget(engine, remade);
    g_queue_push_tail(&engine->remade, remade);
    relist_changed(engine);
}

/* A level of names counts as there if something lies below, and as gone if it is only that. */
static bool is_listed(const GPtrArray *entries, const struct remade *remade, const char *wire)
{
    for (guint i = 0; i < entries->len; i++) {
        const struct folder_entry *entry = entries->pdata[i];
        if (remade->made != NULL
                ? is_within(entry->wire, wire, remade->delimiter)
                : strcmp(entry->wire, wire) == 0 && (entry->flags & IMAP_LIST_NOSELECT) == 0)
            return true;
    }
    return false;
}

/* A name that is gone may come again beside the one that it became. */
static bool remade_is_told(const struct remade *remade, const GPtrArray *entries)
{
    return remade->made != NULL ? is_listed(entries, remade, remade->made)
                                : !is_listed(entries, remade, remade->gone);
}

enum remade_doubt remade_doubt(struct engine *engine, const GPtrArray *entries, gint64 begun_us,
                               gint64 opened_us)
{
    enum remade_doubt doubt = REMADE_NONE;
    remade_forget(engine, NULL);
    for (GList *at = engine->remade.head; at != NULL; at = at->next) {
        const struct remade *remade = at->data;
        if (opened_us > remade->when_us || remade_is_told(remade, entries))
            continue;
        bool early = begun_us <= remade->when_us;
        doubt = MAX(doubt, early ? REMADE_EARLY : REMADE_STALE);
    }
    return doubt;
}
