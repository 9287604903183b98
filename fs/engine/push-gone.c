/* An APPEND whose target is not there any more, as the server says: another client has deleted or
 * renamed it. The list of mailboxes is asked for anew, once; then the message goes to where the
 * mailbox is, or there is none. */
#include <string.h>

#include "fs/engine/push.h"

struct anew {
    struct engine *engine;
    GPtrArray *entries; /* one */
    uint32_t folder;    /* the target's slot before; 0: it had none */
    char *words;
};

static void anew_free(struct anew *anew)
{
    g_clear_pointer(&anew->entries, g_ptr_array_unref);
    g_free(anew->words);
    g_free(anew);
}

/* The name that the mailbox has now; the caller's. NULL: it is gone. */
static char *anew_wire(const struct anew *anew, const struct journal_entry *entry)
{
    struct cache_mailbox mailbox;
    struct push_box box;
    g_autoptr(cache_txn) txn = cache_txn_read(anew->engine->cache);
    if (anew->folder != 0 && cache_mailbox_get(txn, anew->folder, &mailbox) == CACHE_OK)
        return g_strdup(mailbox.wire);
    g_clear_pointer(&txn, cache_txn_end);
    return push_box(anew->engine, entry->target, &box) ? g_strdup(entry->target) : NULL;
}

static void anew_send(struct anew *anew)
{
    struct engine *engine = anew->engine;
    const struct journal_entry *entry = anew->entries->pdata[0];
    g_autofree char *wire = anew_wire(anew, entry);
    if (wire == NULL) {
        push_refuse(engine, g_steal_pointer(&anew->entries), ENGINE_GONE, anew->words);
        return;
    }
    struct journal_entry moved = *entry;
    moved.target = wire;
    g_autoptr(GPtrArray) news = g_ptr_array_new();
    g_ptr_array_add(news, &moved);
    if (strcmp(wire, entry->target) != 0)
        g_message("what was to go to %s goes to %s", entry->target, wire);
    journal_update(engine->journal, news);
    journal_give_back(engine->journal, anew->entries);
}

static void anew_listed(enum engine_error error, void *data)
{
    struct anew *anew = data;
    struct engine *engine = anew->engine;
    if (error == ENGINE_STOPPED) {
        anew_free(anew);
        return;
    }
    if (error == ENGINE_OK) {
        anew_send(anew);
    } else { /* asked for once more when it is refused once more */
        push_gone_forget(engine, anew->entries);
        journal_give_back(engine->journal, anew->entries);
    }
    anew_free(anew);
    engine->push->wanted = true;
    push_kick(engine);
}

void push_gone_forget(struct engine *engine, const GPtrArray *entries)
{
    for (guint i = 0; i < entries->len; i++)
        g_hash_table_remove(engine->push->gone, &((struct journal_entry *)entries->pdata[i])->id);
}

bool push_look_anew(struct push *push, guint index, const char *words)
{
    struct engine *engine = push->job.engine;
    struct journal_entry *entry = push_entry(push, index);
    struct push_box box = {0};
    if (!g_hash_table_add(engine->push->gone, g_memdup2(&entry->id, sizeof entry->id)))
        return false;
    push_box(engine, entry->target, &box);
    push->batch->pdata[index] = NULL;
    push_entry_undone(entry);
    push_forget_target(push);
    struct anew *anew = g_new0(struct anew, 1);
    anew->engine = engine;
    anew->folder = box.folder;
    anew->words = g_strdup(words);
    anew->entries = push_entries_new();
    g_ptr_array_add(anew->entries, entry);
    journal_update(engine->journal, anew->entries);
    const struct engine_wish folders = {.want = ENGINE_FOLDERS, .anew = true};
    engine_ask_inside(engine, &folders, anew_listed, anew);
    return true;
}
