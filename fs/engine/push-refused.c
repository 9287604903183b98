/* What the status says of changes that the server refused, for good or for now. */
#include <string.h>

#include "fs/engine/push.h"

/* A mailbox as the mount shows it; one that it does not show, as the server spells it. The
 * caller's. */
static char *mailbox_shown(struct engine *engine, const char *wire)
{
    struct push_box box;
    if (!push_box(engine, wire, &box))
        return g_strdup(wire);
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    char *path = cache_mailbox_path(txn, box.folder);
    return path != NULL ? path : g_strdup(wire);
}

/* "/NAME" or " UID N" of the message in its mailbox, "" if it is about none; the caller's. */
static char *message_shown(struct engine *engine, const struct journal_address *address)
{
    struct push_box box;
    struct cache_message message;
    if (address->uid == 0)
        return g_strdup("");
    if (push_box(engine, address->mailbox, &box) && box.uidvalidity == address->uidvalidity) {
        g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
        if (cache_message_get(txn, box.messages, address->uid, &message) == CACHE_OK)
            return g_strdup_printf("/%s", message.name);
    }
    return g_strdup_printf(" UID %u", address->uid);
}

/* What it was to change: "move INBOX/NAME to Archive". The caller's. */
static char *change_shown(struct engine *engine, const struct journal_entry *entry)
{
    GString *text = g_string_new(push_kind_name(entry->kind));
    bool from = entry->message.mailbox[0] != '\0';
    if (from) {
        g_autofree char *mailbox = mailbox_shown(engine, entry->message.mailbox);
        g_autofree char *message = message_shown(engine, &entry->message);
        g_string_append_printf(text, " %s%s", mailbox, message);
    }
    if (entry->target[0] != '\0') {
        g_autofree char *target = mailbox_shown(engine, entry->target);
        const char *name = entry->kind == JOURNAL_APPEND ? entry->name : "";
        g_string_append_printf(text, " %s%s%s%s", from ? "to " : "", target,
                               name[0] != '\0' ? "/" : "", name);
    }
    return g_string_free(text, FALSE);
}

/* Cuts between characters. */
static void line_copy(char *line, size_t size, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    const char *end = NULL;
    g_strlcpy(line, valid, size);
    g_utf8_validate(line, -1, &end);
    line[end - line] = '\0';
}

void push_note_refusal(struct engine *engine, const struct journal_entry *entry, const char *text)
{
    struct engine_status *status = &engine->status;
    g_autofree char *change = change_shown(engine, entry);
    g_autofree char *what = g_strdup_printf("%s: %s", change, text);
    g_message("refused: %s", what);
    g_mutex_lock(&engine->lock);
    memmove(status->refused[1], status->refused[0],
            sizeof status->refused - sizeof *status->refused);
    line_copy(status->refused[0], sizeof status->refused[0], what);
    status->refusals++;
    g_mutex_unlock(&engine->lock);
}

/* ---- for now --------------------------------------------------------------------------------- */

/* So many are remembered; of more there is no telling but their number. */
#define PUT_OFF_MOST 1000
#define WORDS_MOST 512

static void put_off_free(void *data)
{
    struct engine_put_off *put_off = data;
    g_free(put_off->what);
    g_free(put_off->why);
    g_free(put_off);
}

static int ids_compare(const void *a, const void *b, void *data)
{
    const uint64_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

GTree *push_put_offs_new(void)
{
    return g_tree_new_full(ids_compare, NULL, NULL, put_off_free);
}

static char *line_new(const char *text)
{
    char line[WORDS_MOST];
    line_copy(line, sizeof line, text);
    return g_strdup(line);
}

static void entry_put_off(struct engine *engine, const struct journal_entry *entry, const char *why)
{
    GTree *tree = engine->push->put_off;
    const struct engine_put_off *known = g_tree_lookup(tree, &entry->id);
    if (known == NULL && g_tree_nnodes(tree) >= PUT_OFF_MOST)
        return;
    struct engine_put_off *put_off = g_new0(struct engine_put_off, 1);
    g_autofree char *what = known == NULL ? change_shown(engine, entry) : NULL;
    put_off->entry = entry->id;
    put_off->what = known == NULL ? line_new(what) : g_strdup(known->what);
    put_off->why = line_new(why);
    put_off->since_us = entry->asked_us;
    if (known == NULL)
        g_message("put off: %s: %s", put_off->what, put_off->why);
    g_mutex_lock(&engine->lock);
    g_tree_replace(tree, &put_off->entry, put_off);
    g_mutex_unlock(&engine->lock);
}

void push_note_put_off(struct engine *engine, const GPtrArray *entries, const char *why)
{
    for (guint i = 0; why != NULL && i < entries->len; i++)
        entry_put_off(engine, entries->pdata[i], why);
}

void push_forget_put_off(struct engine *engine, const GPtrArray *entries)
{
    g_mutex_lock(&engine->lock);
    for (guint i = 0; i < entries->len; i++)
        g_tree_remove(engine->push->put_off, &((struct journal_entry *)entries->pdata[i])->id);
    g_mutex_unlock(&engine->lock);
}

static gboolean put_off_collect(gpointer key, gpointer value, gpointer data)
{
    const struct engine_put_off *put_off = value;
    struct engine_put_off *copy = g_memdup2(put_off, sizeof *put_off);
    copy->what = g_strdup(put_off->what);
    copy->why = g_strdup(put_off->why);
    g_ptr_array_add(data, copy);
    return FALSE;
}

/* What the user has taken back, or what another change has replaced, is not in the journal. */
static bool put_off_waits(struct engine *engine, const struct engine_put_off *put_off)
{
    g_autoptr(journal_entry) entry = journal_next(engine->journal, put_off->entry - 1);
    return entry != NULL && entry->id == put_off->entry;
}

GPtrArray *engine_put_offs_read(struct engine *engine, unsigned most, unsigned *all)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(put_off_free);
    g_mutex_lock(&engine->lock);
    g_tree_foreach(engine->push->put_off, put_off_collect, list);
    g_mutex_unlock(&engine->lock);
    for (guint i = list->len; i-- > 0;)
        if (!put_off_waits(engine, list->pdata[i]))
            g_ptr_array_remove_index(list, i);
    *all = list->len;
    g_ptr_array_set_size(list, (int)MIN(list->len, most));
    return list;
}
