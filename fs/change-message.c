/* Messages of fs/change.h: to another mailbox, to the Trash, and for good. */
#include <errno.h>
#include <string.h>

#include "fs/arrival.h"
#include "fs/change-private.h"
#include "fs/draft.h"
#include "fs/mime.h"
#include "fs/notify.h"
#include "fs/trace.h"

void change_message_clear(struct change_message *message)
{
    g_free(message->wire);
    g_free(message->stem);
    g_free(message->origin);
    g_free(message->id);
    *message = (struct change_message){0};
}

/* ---- what it is ---- */

static char *message_id_of(struct cache_txn *txn, uint64_t object)
{
    const void *bytes;
    size_t length;
    if (cache_header_get(txn, object, &bytes, &length) != CACHE_OK)
        return NULL;
    g_auto(mime_facts) facts = {0};
    mime_facts_read(bytes, length, &facts);
    return g_steal_pointer(&facts.message_id);
}

/* The entry that brings a message to where it is shown; NULL: it lies there. */
static struct journal_entry *bringer(const struct place *shown, const struct place *place,
                                     const char *name)
{
    struct journal *journal = shown->account->journal;
    if (place->mailbox.slot == shown->mailbox.slot)
        return NULL;
    struct journal_entry *entry = journal_arrival_named(journal, shown->mailbox.wire, name);
    if (entry != NULL)
        return entry;
    const struct journal_address address = {place->mailbox.wire, place->mailbox.uidvalidity,
                                            place->message.uid};
    entry = journal_placing(journal, &address, 0);
    if (entry != NULL && strcmp(entry->target, shown->mailbox.wire) != 0)
        g_clear_pointer(&entry, journal_entry_free);
    return entry;
}

static void message_fill(struct change_message *message, const struct place *place)
{
    message->stem = g_strdup(place->message.name);
    message->id = message_id_of(place->txn, place->message.object);
    message->entry.message_id = message->id;
    message->entry.size = place->message.size;
    message->entry.internaldate = place->message.internaldate;
}

static int message_read(const struct place *shown, const struct place *place, const char *name,
                        const char *letters, struct change_message *message)
{
    g_autoptr(journal_entry) entry = bringer(shown, place, name);
    int error = change_rights(entry == NULL ? &place->mailbox : &shown->mailbox, letters);
    if (error != 0)
        return error;
    message_fill(message, place);
    if (entry != NULL) {
        message->entry.source = entry->id;
        return 0;
    }
    if (place->mailbox.slot != shown->mailbox.slot)
        return ENOENT; /* it has just gone elsewhere */
    if (place->mailbox.uidvalidity == 0)
        return EPERM; /* the server cannot say later which message it was */
    message->origin = g_strdup(place->mailbox.wire);
    message->entry.message =
        (struct journal_address){message->origin, place->mailbox.uidvalidity, place->message.uid};
    return 0;
}

/* The mailbox where it is shown: two places of one transaction. */
static int message_at(const struct mounted *mounted, const struct place *shown,
                      const struct change_child *child, const char *name, const char *letters,
                      struct change_message *message)
{
    struct place place = {.account = shown->account, .txn = shown->txn, .node = child->node};
    if (cache_mailbox_of_messages(shown->txn, child->node.slot, &place.mailbox) != CACHE_OK ||
        cache_message_get(shown->txn, child->node.slot, child->node.uid, &place.message) !=
            CACHE_OK)
        return ENOENT;
    return message_read(shown, &place, name, letters, message);
}

int change_message_of(const struct mounted *mounted, uint64_t parent, const char *name,
                      const struct change_child *child, const char *letters,
                      struct change_message *message)
{
    g_auto(place) shown = {0};
    int error = place_find(mounted, parent, &shown);
    if (error != 0)
        return error;
    struct node node = child->node;
    node.part = NODE_PART_MESSAGE;
    *message = (struct change_message){
        .account = shown.account,
        .inode = node_inode(node),
        .directory = parent,
        .wire = g_strdup(shown.mailbox.wire),
        .in_trash = (shown.mailbox.flags & CACHE_MAILBOX_TRASH) != 0,
    };
    g_autofree char *directory_name =
        child->directory ? arrival_directory_name(name) : g_strdup(name);
    error = message_at(mounted, &shown, child, directory_name, letters, message);
    if (error != 0)
        change_message_clear(message);
    return error;
}

/* ---- removing ---- */

static bool is_both(const struct change_message *message)
{
    return message->account->account->view == ACCOUNT_VIEW_BOTH;
}

int change_delete_check(const struct mounted *mounted, struct change_message *message, char **trash)
{
    *trash = NULL;
    if (message->in_trash || message->account->account->delete == ACCOUNT_DELETE_EXPUNGE)
        return 0;
    int error = change_trash(mounted, message->account, trash);
    if (error == 0 && strcmp(*trash, message->wire) == 0)
        g_clear_pointer(trash, g_free);
    return error;
}

static int delete_to(struct change_message *message, const char *trash, uint64_t after)
{
    message->entry.kind = trash != NULL ? JOURNAL_MOVE : JOURNAL_EXPUNGE;
    message->entry.target = trash;
    message->entry.after = after;
    int error = change_add(message->account, &message->entry, false, NULL);
    if (error == 0)
        touched_add(message->directory);
    return error;
}

int change_delete(const struct mounted *mounted, struct change_message *message, uint64_t after)
{
    g_autofree char *trash = NULL;
    int error = change_delete_check(mounted, message, &trash);
    return error != 0 ? error : delete_to(message, trash, after);
}

int change_replace(const struct mounted *mounted, uint64_t parent, uint64_t replaces,
                   uint64_t after)
{
    if (replaces == 0)
        return 0;
    g_auto(change_message) message = {0};
    const struct change_child child = {.inode = replaces, .node = node_of(replaces)};
    int error = change_message_of(mounted, parent, "", &child, "te", &message);
    return error != 0 ? error : change_delete(mounted, &message, after);
}

/* The face that was not named. */
static void leave_ghost(const struct change_message *message, const struct change_child *child)
{
    struct node node = child->node;
    node.part = child->directory ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY;
    g_autofree char *name =
        child->directory ? g_strconcat(message->stem, ".eml", NULL) : g_strdup(message->stem);
    if (is_both(message))
        ghost_add(message->directory, name, node_inode(node));
    notify_entry(message->directory, name);
}

int change_unlink_message(const struct mounted *mounted, uint64_t parent, const char *name,
                          const struct change_child *child)
{
    g_auto(change_message) message = {0};
    int error = change_message_of(mounted, parent, name, child, "te", &message);
    if (error == 0)
        error = change_delete(mounted, &message, 0);
    if (error != 0)
        return error;
    alias_remove(message.inode);
    leave_ghost(&message, child);
    return 0;
}

/* ---- renaming ---- */

/* Under which name the user finds it, beside its own; uid 0: he does not any more. */
static void ask_name(const struct change_message *message, const char *name, uint32_t uid)
{
    journal_name_put(message->account->journal, message->wire, name,
                     message->entry.message.uidvalidity, uid);
}

/* In its own directory a message has its own name, and for a while a scratch name: an editor's
 * backup, that may get back the name which was asked for. */
static int rename_here(const struct mounted *mounted, struct change_message *message,
                       const struct change_child *old, const char *name, const char *new_name,
                       const struct change_child *target)
{
    g_autofree char *own = g_strconcat(message->stem, ".eml", NULL);
    if (old->directory || message->entry.source != 0)
        return EPERM;
    if (strcmp(new_name, own) == 0)
        return alias_remove(message->inode) ? 0 : EPERM;
    if (target->inode != 0 && !draft_is_inode(target->inode))
        return EPERM;
    if (!draft_is_scratch(new_name)) {
        if (target->inode != 0 || !alias_remove(message->inode))
            return EPERM;
        ask_name(message, new_name, message->entry.message.uid);
        return 0;
    }
    int error = target->inode != 0 ? draft_unlink(mounted, message->directory, new_name) : 0;
    if (error != 0)
        return error;
    if (strcmp(name, own) != 0)
        ask_name(message, name, 0);
    alias_add(message->directory, new_name, message->inode);
    return 0;
}

/* Where a message shall go. */
static int target_find(const struct mounted *mounted, uint64_t directory, char **wire)
{
    g_auto(place) place = {0};
    int error = change_directory(mounted, directory, &place);
    if (error != 0)
        return error;
    if (place.kind != PLACE_MAILBOX || (place.mailbox.flags & CACHE_MAILBOX_NOSELECT))
        return EPERM;
    *wire = g_strdup(place.mailbox.wire);
    return change_rights(&place.mailbox, "i");
}

/* What has the new name: nothing, a ghost, a local file, or a message that goes to the Trash. */
static int target_clear(const struct mounted *mounted, uint64_t directory, const char *name,
                        const struct change_child *target, struct change_message *replaced)
{
    if (target->inode == 0)
        return 0;
    if (node_is_ghost(target->node)) {
        ghost_take(directory, name);
        return 0;
    }
    if (target->directory)
        return ENOTEMPTY;
    if (draft_is_inode(target->inode))
        return draft_unlink(mounted, directory, name);
    if (!change_is_message(target))
        return EPERM;
    g_autofree char *trash = NULL;
    int error = change_message_of(mounted, directory, name, target, "te", replaced);
    return error != 0 ? error : change_delete_check(mounted, replaced, &trash);
}

/* What was to replace it is in the journal by then, and will be done: that it was in vain is no
 * answer, and would make the caller do it once more. */
static void replaced_stays(const struct mounted_account *account, int error)
{
    if (error != 0 && error != ENOENT)
        g_warning("%s: a message that was overwritten stays beside the new one: %s",
                  account->account->name, g_strerror(error));
}

static int move_to(const struct mounted *mounted, struct change_message *message, const char *wire,
                   const char *asked, struct change_message *replaced)
{
    uint64_t id;
    message->entry.kind = JOURNAL_MOVE;
    message->entry.target = wire;
    message->entry.name = asked;
    int error = change_add(message->account, &message->entry, false, &id);
    if (error == 0 && replaced->account != NULL)
        replaced_stays(message->account, change_delete(mounted, replaced, id));
    return error;
}

int change_rename_message(const struct mounted *mounted, uint64_t parent, const char *name,
                          const struct change_child *old, uint64_t new_parent, const char *new_name,
                          const struct change_child *target)
{
    g_auto(change_message) message = {0}, replaced = {0};
    g_autofree char *wire = NULL;
    if (parent == new_parent) {
        int error = change_message_of(mounted, parent, name, old, "", &message);
        return error != 0 ? error : rename_here(mounted, &message, old, name, new_name, target);
    }
    int error = target_find(mounted, new_parent, &wire);
    if (error == 0)
        error = change_message_of(mounted, parent, name, old, "te", &message);
    if (error == 0)
        error = target_clear(mounted, new_parent, new_name, target, &replaced);
    g_autofree char *asked = old->directory ? arrival_directory_name(new_name) : g_strdup(new_name);
    if (error == 0)
        error = move_to(mounted, &message, wire, asked, &replaced);
    if (error != 0)
        return error;
    alias_remove(message.inode);
    touched_add(parent);
    touched_add(new_parent);
    leave_ghost(&message, old);
    notify_entry(new_parent, new_name);
    return 0;
}

/* ---- ghosts ---- */

/* The mailbox directory in which a message is shown now; 0: none. */
static uint64_t shown_in(const struct mounted *mounted, uint64_t message)
{
    g_auto(place) place = {0};
    if (place_find(mounted, message, &place) != 0 || place.account == NULL)
        return 0;
    const struct journal_address address = {place.mailbox.wire, place.mailbox.uidvalidity,
                                            place.message.uid};
    g_autoptr(journal_entry) entry = journal_placing(place.account->journal, &address, 0);
    struct cache_mailbox mailbox = place.mailbox;
    if (entry != NULL && entry->kind != JOURNAL_COPY &&
        cache_mailbox_by_wire(place.txn, entry->target, &mailbox) != CACHE_OK)
        return 0;
    return node_inode((struct node){.slot = mailbox.slot});
}

/* Onto the other face of the message that it belongs to, or where that would be. */
int change_rename_ghost(const struct mounted *mounted, uint64_t parent, const char *name,
                        const struct change_child *old, uint64_t new_parent,
                        const struct change_child *target)
{
    uint64_t face = ghost_face(old->inode);
    if (shown_in(mounted, face) != new_parent)
        return ENOENT;
    if (target->inode != 0 && !node_is_ghost(target->node) && target->inode != moved_find(face) &&
        target->inode != face)
        return EEXIST;
    ghost_take(parent, name);
    return 0;
}

/* ---- copies, flags ---- */

static bool is_flag(const char *word)
{
    static const char *const SYSTEM[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
                                         "\\Draft"};
    if (*word == '\\') {
        for (size_t i = 0; i < G_N_ELEMENTS(SYSTEM); i++)
            if (g_ascii_strcasecmp(word, SYSTEM[i]) == 0)
                return true;
        return false;
    }
    size_t length = strlen(word);
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isgraph(word[i]) || strchr("(){%*\"\\]", word[i]) != NULL)
            return false;
    return length > 0 && length <= 200;
}

static bool are_flags(const char *words)
{
    g_auto(GStrv) each = g_strsplit(words != NULL ? words : "", " ", -1);
    for (char **word = each; *word != NULL; word++)
        if (**word != '\0' && !is_flag(*word))
            return false;
    return true;
}

/* "\Seen" needs another right than "\Deleted", and both another than the rest (RFC 4314, 4). */
static void rights_of(const char *words, char letters[4])
{
    g_auto(GStrv) each = g_strsplit(words != NULL ? words : "", " ", -1);
    for (char **word = each; *word != NULL; word++) {
        char letter = g_ascii_strcasecmp(*word, "\\Seen") == 0      ? 's'
                      : g_ascii_strcasecmp(*word, "\\Deleted") == 0 ? 't'
                                                                    : 'w';
        if (**word != '\0' && strchr(letters, letter) == NULL)
            letters[strlen(letters)] = letter;
    }
}

/* The message of an inode, where it is shown now. */
static int message_of_inode(const struct mounted *mounted, uint64_t inode, const char *letters,
                            struct change_message *message)
{
    uint64_t now = change_moved(inode), shown = shown_in(mounted, now);
    if (shown == 0)
        return ESTALE;
    {
        g_auto(place) place = {0};
        int error = change_directory(mounted, shown, &place);
        if (error != 0)
            return error;
    }
    const struct change_child child = {.inode = now, .node = node_of(now)};
    return change_is_message(&child) || child.node.part == NODE_PART_VIEW
               ? change_message_of(mounted, shown, "", &child, letters, message)
               : EPERM;
}

int change_flags(const struct mounted *mounted, uint64_t inode, const char *add, const char *remove)
{
    char letters[4] = "";
    if (!are_flags(add) || !are_flags(remove))
        return EINVAL;
    rights_of(add, letters);
    rights_of(remove, letters);
    g_auto(change_message) message = {0};
    int error = message_of_inode(mounted, inode, letters, &message);
    if (error != 0)
        return error;
    message.entry.kind = JOURNAL_FLAGS;
    message.entry.add = add;
    message.entry.remove = remove;
    error = change_add(message.account, &message.entry, false, NULL);
    notify_attributes(message.inode);
    return error;
}

/* ---- new messages ---- */

/* Checks what is known before anything is written down. */
static int may_put(const struct mounted *mounted, uint64_t parent, uint64_t replaces, char **wire,
                   struct mounted_account **account)
{
    int error = change_may_add(mounted, parent);
    if (error != 0)
        return error;
    g_auto(place) place = {0};
    error = place_find(mounted, parent, &place);
    if (error != 0)
        return error;
    *wire = g_strdup(place.mailbox.wire);
    *account = place.account;
    place_end(&place);
    if (replaces == 0)
        return 0;
    g_auto(change_message) replaced = {0};
    g_autofree char *trash = NULL;
    const struct change_child child = {.inode = replaces, .node = node_of(replaces)};
    error = change_message_of(mounted, parent, "", &child, "te", &replaced);
    return error != 0 ? error : change_delete_check(mounted, &replaced, &trash);
}

static int put(const struct mounted *mounted, uint64_t parent, struct mounted_account *account,
               const struct journal_entry *facts, uint64_t replaces, uint64_t *entry)
{
    int error = change_add(account, facts, true, entry);
    if (error != 0)
        return error;
    touched_add(parent);
    replaced_stays(account, change_replace(mounted, parent, replaces, *entry));
    return 0;
}

int change_append(const struct mounted *mounted, uint64_t parent, struct journal_entry *facts,
                  uint64_t replaces, uint64_t *entry)
{
    g_autofree char *wire = NULL;
    struct mounted_account *account;
    int error = may_put(mounted, parent, replaces, &wire, &account);
    if (error != 0)
        return error;
    facts->kind = JOURNAL_APPEND;
    facts->target = wire;
    error = put(mounted, parent, account, facts, replaces, entry);
    facts->target = NULL;
    return error;
}

int change_copy(const struct mounted *mounted, uint64_t inode, uint64_t parent, const char *name,
                uint64_t replaces, uint64_t *entry)
{
    g_autofree char *wire = NULL;
    struct mounted_account *account;
    g_auto(change_message) message = {0};
    int error = may_put(mounted, parent, replaces, &wire, &account);
    if (error == 0)
        error = message_of_inode(mounted, inode, "r", &message);
    if (error != 0)
        return error;
    if (message.account != account)
        return EXDEV;
    message.entry.kind = JOURNAL_COPY;
    message.entry.target = wire;
    message.entry.name = name;
    return put(mounted, parent, account, &message.entry, replaces, entry);
}
