/* What the status says of changes that the server refused. */
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
