#include "fs/arrival.h"

#include <errno.h>
#include <string.h>

#include "fs/draft.h"
#include "fs/trace.h"

bool arrival_concerns(const struct place *mailbox)
{
    struct journal *journal = mailbox->account->journal;
    return mailbox->kind == PLACE_MAILBOX && journal != NULL &&
           journal_concerns(journal, mailbox->mailbox.wire);
}

bool arrival_hides(const struct place *mailbox, uint32_t uid)
{
    const struct journal_address address = {mailbox->mailbox.wire, mailbox->mailbox.uidvalidity,
                                            uid};
    return journal_hides(mailbox->account->journal, &address);
}

char *arrival_directory_name(const char *name)
{
    return g_strconcat(name, "/", NULL);
}

uint64_t arrival_staged(const struct mounted *mounted, const struct place *mailbox,
                        const struct journal_entry *entry)
{
    return draft_inode(mounted, mailbox->account, entry->staged);
}

bool arrival_waits_for_ghost(uint64_t face)
{
    uint64_t before = moved_before(face);
    return ghost_is(face) || (before != 0 && ghost_is(before));
}

/* ---- the message ---- */

static bool message_set(struct place *place, uint32_t uid)
{
    place->node = (struct node){place->mailbox.messages, uid, NODE_PART_MESSAGE};
    return place->mailbox.messages != 0;
}

static bool message_at(struct place *place, uint32_t uid)
{
    return message_set(place, uid) &&
           cache_message_get(place->txn, place->mailbox.messages, uid, &place->message) == CACHE_OK;
}

/* Where it was at first. The mailbox may have another name by now. */
static bool message_at_origin(struct place *place, const struct journal_address *origin)
{
    struct journal *journal = place->account->journal;
    int error = cache_mailbox_by_wire(place->txn, origin->mailbox, &place->mailbox);
    if (error != CACHE_OK) {
        g_autofree char *wire = journal_renamed(journal, origin->mailbox);
        error = cache_mailbox_by_wire(place->txn, wire, &place->mailbox);
    }
    return error == CACHE_OK && place->mailbox.uidvalidity == origin->uidvalidity &&
           message_set(place, origin->uid) &&
           place_message(place, place->mailbox.messages, origin->uid) == CACHE_OK;
}

bool arrival_place(const struct place *mailbox, const struct journal_entry *entry,
                   struct place *message)
{
    *message = (struct place){
        .kind = PLACE_MESSAGE,
        .account = mailbox->account,
        .txn = mailbox->txn,
        .mailbox = mailbox->mailbox,
        .part = {.name = "", .section = "", .type = "", .charset = ""},
    };
    bool told = entry->target_uid != 0 && entry->target_uidvalidity == mailbox->mailbox.uidvalidity;
    if (told && message_at(message, entry->target_uid))
        return true;
    return entry->origin.uid != 0 && message_at_origin(message, &entry->origin);
}

/* ---- names ---- */

/* The other face of a name that was asked for, as it is remembered; the caller's. */
static char *other_face(const char *name)
{
    if (!g_str_has_suffix(name, ".eml"))
        return g_strconcat(name, ".eml", NULL);
    return g_strdup_printf("%.*s/", (int)(strlen(name) - strlen(".eml")), name);
}

struct asked {
    struct journal_entry *entry; /* NULL: none */
    uint16_t part;               /* the face */
    bool other;                  /* the other face was asked for */
};

static struct asked entry_asked(struct journal *journal, const char *wire, const char *name)
{
    struct asked asked = {.entry = journal_arrival_named(journal, wire, name)};
    if (asked.entry != NULL)
        return asked;
    g_autofree char *directory = arrival_directory_name(name);
    asked.part = NODE_PART_DIRECTORY;
    asked.entry = journal_arrival_named(journal, wire, directory);
    if (asked.entry != NULL)
        return asked;
    g_autofree char *other = other_face(name);
    asked.part = g_str_has_suffix(name, ".eml") ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY;
    asked.other = true;
    asked.entry = journal_arrival_named(journal, wire, other);
    return asked;
}

/* By the name that the message bears where it was. */
static struct asked entry_own(const struct place *mailbox, const char *name)
{
    bool eml = g_str_has_suffix(name, ".eml");
    g_autofree char *stem = g_strndup(name, strlen(name) - (eml ? strlen(".eml") : 0));
    uint64_t inode = own_find(node_inode(mailbox->node), stem);
    struct cache_mailbox origin;
    if (inode == 0 || cache_mailbox_of_messages(mailbox->txn, node_of(inode).slot, &origin) != 0)
        return (struct asked){0};
    const struct journal_address address = {origin.wire, origin.uidvalidity, node_of(inode).uid};
    struct journal_entry *entry = journal_placing(mailbox->account->journal, &address, 0);
    if (entry != NULL && strcmp(entry->target, mailbox->mailbox.wire) != 0)
        g_clear_pointer(&entry, journal_entry_free);
    return (struct asked){
        .entry = entry, .part = eml ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY, .other = true};
}

static int entry_node(const struct mounted *mounted, const struct place *mailbox,
                      const struct asked *asked, struct node *node, struct need *need)
{
    struct place message;
    const struct journal_entry *entry = asked->entry;
    bool found = arrival_place(mailbox, entry, &message);
    if (found && (!message.departed || need->round > 0)) {
        *node = message.node;
        node->part = asked->part;
        bool absent = (asked->part == NODE_PART_DIRECTORY && entry->kind == JOURNAL_COPY) ||
                      (asked->other && arrival_waits_for_ghost(node_inode(*node)));
        return absent ? ENOENT : 0;
    }
    if (entry->origin.uid == 0) {
        *node = node_of(arrival_staged(mounted, mailbox, entry));
        return asked->part == NODE_PART_DIRECTORY ? ENOENT : 0;
    }
    if (need->round > 0) /* it has left the one list and is not in the other yet */
        return ENOENT;
    struct engine_wish wish = {.want = ENGINE_PUSHED, .entry = entry->id};
    need->optional = true;
    return need_add(need, mailbox->account->engine, &wish);
}

int arrival_lookup(const struct mounted *mounted, const struct place *mailbox, const char *name,
                   struct node *node, struct need *need)
{
    if (!arrival_concerns(mailbox))
        return ENOENT;
    struct asked asked = entry_asked(mailbox->account->journal, mailbox->mailbox.wire, name);
    if (asked.entry == NULL)
        asked = entry_own(mailbox, name);
    if (asked.entry == NULL)
        return ENOENT;
    g_autoptr(journal_entry) entry G_GNUC_UNUSED = asked.entry;
    return entry_node(mounted, mailbox, &asked, node, need);
}

/* ---- names of what has arrived ---- */

/* The message of a name asked for, in this life of the mailbox; 0: none. */
static uint32_t name_uid(const struct place *mailbox, const char *name)
{
    uint32_t uidvalidity, uid;
    bool found = journal_name_get(mailbox->account->journal, mailbox->mailbox.wire, name,
                                  &uidvalidity, &uid);
    uint32_t now = mailbox->mailbox.uidvalidity; /* 0: its list was never read */
    return found && (now == 0 || now == uidvalidity) ? uid : 0;
}

int arrival_asked(const struct place *mailbox, const char *name, struct node *node,
                  struct need *need)
{
    if (mailbox->kind != PLACE_MAILBOX || mailbox->account->journal == NULL)
        return ENOENT;
    g_autofree char *directory = arrival_directory_name(name);
    g_autofree char *other = other_face(name);
    bool eml = g_str_has_suffix(name, ".eml");
    const struct {
        const char *name;
        uint16_t part;
        bool other;
    } WAYS[] = {{name, NODE_PART_MESSAGE, false},
                {directory, NODE_PART_DIRECTORY, false},
                {other, eml ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY, true}};
    uint32_t uid = 0;
    size_t way = 0;
    while (way < G_N_ELEMENTS(WAYS) && (uid = name_uid(mailbox, WAYS[way].name)) == 0)
        way++;
    if (uid == 0 || arrival_hides(mailbox, uid))
        return ENOENT;
    *node = (struct node){mailbox->mailbox.messages, uid, WAYS[way].part};
    if (WAYS[way].other && arrival_waits_for_ghost(node_inode(*node)))
        return ENOENT;
    struct cache_message message;
    if (mailbox->mailbox.messages != 0 &&
        cache_message_get(mailbox->txn, mailbox->mailbox.messages, uid, &message) == CACHE_OK)
        return 0;
    if (need->round > 0)
        return ENOENT;
    struct engine_wish wish = {.want = ENGINE_MAILBOX, .folder = mailbox->mailbox.slot};
    return need_add(need, mailbox->account->engine, &wish);
}
