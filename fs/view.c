#include <errno.h>
#include <string.h>

#include "fs/name.h"
#include "fs/view-private.h"

#define OFFSET_FIRST (UINT64_C(1) << 4)
#define OFFSET_MESSAGE (UINT64_C(1) << 40)

/* ---- flags ---- */

/* In the order of their parts from VIEW_UNREAD on. */
static const struct flag_view FLAG_VIEWS[] = {
    {"unread", "\\Seen", CACHE_FLAG_SEEN, true},
    {"flagged", "\\Flagged", CACHE_FLAG_FLAGGED, false},
    {"answered", "\\Answered", CACHE_FLAG_ANSWERED, false},
    {"draft", "\\Draft", CACHE_FLAG_DRAFT, false},
    {"deleted", "\\Deleted", CACHE_FLAG_DELETED, false},
};

uint32_t view_flags(const struct place *message, GString *keywords)
{
    uint32_t flags = message->message.flags;
    const struct journal_address address = {
        .mailbox = message->mailbox.wire,
        .uidvalidity = message->mailbox.uidvalidity,
        .uid = message->message.uid,
    };
    g_string_assign(keywords, message->message.keywords);
    if (message->account->journal != NULL)
        journal_flags(message->account->journal, &address, &flags, keywords);
    return flags;
}

void view_flag_words(uint32_t flags, const char *keywords, GString *words)
{
    static const struct {
        const char *word;
        uint32_t bit;
    } FLAGS[] = {
        {"\\Seen", CACHE_FLAG_SEEN},       {"\\Answered", CACHE_FLAG_ANSWERED},
        {"\\Flagged", CACHE_FLAG_FLAGGED}, {"\\Deleted", CACHE_FLAG_DELETED},
        {"\\Draft", CACHE_FLAG_DRAFT},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(FLAGS); i++)
        if ((flags & FLAGS[i].bit) != 0)
            g_string_append_printf(words, "%s%s", words->len > 0 ? " " : "", FLAGS[i].word);
    if (*keywords != '\0')
        g_string_append_printf(words, "%s%s", words->len > 0 ? " " : "", keywords);
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; *at != '\0';) {
        size_t here = strcspn(at, " ");
        if (here == length && g_ascii_strncasecmp(at, word, length) == 0)
            return true;
        at += here + (at[here] == ' ');
    }
    return false;
}

/* ---- which view ---- */

const struct flag_view *view_flag(uint16_t part)
{
    unsigned index = (unsigned)part - VIEW_UNREAD;
    return part >= VIEW_UNREAD && index < G_N_ELEMENTS(FLAG_VIEWS) ? &FLAG_VIEWS[index] : NULL;
}

uint16_t view_above(uint16_t part)
{
    if (part == VIEW_TOP)
        return 0;
    if (part <= VIEW_TAGS)
        return VIEW_TOP;
    return part < VIEW_KEYWORD ? VIEW_FLAGS : VIEW_TAGS;
}

bool view_is(uint64_t inode)
{
    struct node node = node_of(inode);
    return node.slot != 0 && node.uid == 0 && node.part != 0;
}

int view_find(struct place *place)
{
    uint16_t part = place->node.part;
    if (place->mailbox.flags & CACHE_MAILBOX_NOSELECT && part != VIEW_TOP)
        return ESTALE;
    place->kind = part <= VIEW_TAGS ? PLACE_VIEWS : PLACE_VIEW;
    return part <= VIEW_TAGS || view_flag(part) != NULL || keyword_of(part) != NULL ? 0 : ESTALE;
}

/* Whether a view holds a message. */
bool view_holds(const struct place *message, uint16_t part)
{
    g_autoptr(GString) words = g_string_new(NULL);
    uint32_t flags = view_flags(message, words);
    const struct flag_view *view = view_flag(part);
    if (view != NULL)
        return ((flags & view->bit) != 0) != view->inverse;
    const char *keyword = keyword_of(part);
    return keyword != NULL && has_word(words->str, keyword);
}

static bool view_hidden(const struct place *message)
{
    const struct journal_address address = {
        .mailbox = message->mailbox.wire,
        .uidvalidity = message->mailbox.uidvalidity,
        .uid = message->message.uid,
    };
    return message->account->journal != NULL && journal_hides(message->account->journal, &address);
}

/* The messages of a mailbox, one after the other. */
bool view_next_message(struct place *message, uint64_t from)
{
    while (from <= UINT32_MAX && message->mailbox.messages != 0 &&
           cache_message_next(message->txn, message->mailbox.messages, (uint32_t)from,
                              &message->message) == CACHE_OK) {
        message->node.uid = message->message.uid;
        if (!view_hidden(message))
            return true;
        from = (uint64_t)message->message.uid + 1;
    }
    return false;
}

struct place view_first_message(const struct place *view)
{
    struct place message = *view;
    message.kind = PLACE_MESSAGE;
    message.view = true;
    message.node = (struct node){.slot = view->mailbox.messages};
    return message;
}

/* The tags of a mailbox: parts, ascending. */
static int compare_parts(gconstpointer a, gconstpointer b)
{
    return GPOINTER_TO_INT(a) - GPOINTER_TO_INT(b);
}

static void add_words(GHashTable *parts, const char *words)
{
    g_auto(GStrv) split = g_strsplit(words, " ", -1);
    for (char **word = split; *word != NULL; word++) {
        uint16_t part = keyword_is(*word) ? keyword_part(*word) : 0;
        if (part != 0)
            g_hash_table_add(parts, GUINT_TO_POINTER(part));
    }
}

static GList *tags_of(const struct place *view)
{
    g_autoptr(GHashTable) parts = g_hash_table_new(NULL, NULL);
    g_autoptr(GString) words = g_string_new(NULL);
    struct place message = view_first_message(view);
    for (uint64_t from = 1; view_next_message(&message, from);
         from = (uint64_t)message.message.uid + 1) {
        view_flags(&message, words);
        if (words->len > 0)
            add_words(parts, words->str);
    }
    keyword_add_made(parts, view->node.slot);
    return g_list_sort(g_hash_table_get_keys(parts), compare_parts);
}

/* ---- lookup ---- */

static int lookup_fixed(const struct place *parent, const char *name, struct node *node)
{
    if (parent->node.part == VIEW_TOP && strcmp(name, "flags") == 0)
        node->part = VIEW_FLAGS;
    else if (parent->node.part == VIEW_TOP && strcmp(name, "tags") == 0)
        node->part = VIEW_TAGS;
    else
        return ENOENT;
    return 0;
}

static int lookup_flag(const char *name, struct node *node)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(FLAG_VIEWS); i++) {
        if (strcmp(FLAG_VIEWS[i].name, name) == 0) {
            node->part = (uint16_t)(VIEW_UNREAD + i);
            return 0;
        }
    }
    return ENOENT;
}

/* A tag is there if a message bears it, or somebody made it. */
int view_lookup_tag(const struct place *parent, const char *name, struct node *node)
{
    g_autofree char *keyword = name_to_mailbox(name);
    if (keyword == NULL || !keyword_is(keyword))
        return ENOENT;
    node->part = keyword_part(keyword);
    if (node->part == 0)
        return ENOENT;
    if (keyword_made(*node))
        return 0;
    struct place message = view_first_message(parent);
    for (uint64_t from = 1; view_next_message(&message, from);
         from = (uint64_t)message.message.uid + 1)
        if (view_holds(&message, node->part))
            return 0;
    return ENOENT;
}

/* The message of this name in a mailbox. */
static int find_named(struct place *message, const char *name)
{
    uint32_t uid;
    bool eml;
    if (!name_message_uid(name, &uid, &eml) || !eml || message->mailbox.messages == 0 ||
        cache_message_get(message->txn, message->mailbox.messages, uid, &message->message) !=
            CACHE_OK)
        return ENOENT;
    message->node.uid = uid;
    size_t length = strlen(message->message.name);
    bool same =
        strncmp(message->message.name, name, length) == 0 && strcmp(name + length, ".eml") == 0;
    return same && !view_hidden(message) ? 0 : ENOENT;
}

int view_lookup(const struct place *parent, const char *name, struct node *node, struct need *need)
{
    *node = parent->node;
    if (parent->node.part == VIEW_TOP)
        return lookup_fixed(parent, name, node);
    if (parent->node.part == VIEW_FLAGS)
        return lookup_flag(name, node);
    if (parent->node.part == VIEW_TAGS)
        return view_lookup_tag(parent, name, node);
    struct place message = view_first_message(parent);
    int error = find_named(&message, name);
    if (error == 0 && !view_holds(&message, parent->node.part))
        error = ENOENT;
    *node = message.node;
    node->part = NODE_PART_VIEW;
    return error;
}

/* ---- listing ---- */

struct view_listing {
    const struct mounted *mounted;
    struct place *place;
    uint64_t offset;
    bool attributes;
    tree_emit emit;
    void *data;
};

static bool put(struct view_listing *listing, const char *name, struct place *child,
                uint64_t offset)
{
    struct node node = child->node;
    if (child->view)
        node.part = NODE_PART_VIEW;
    struct tree_entry entry = {
        .name = name,
        .inode = node_inode(node),
        .directory = place_is_directory(child),
        .offset = offset,
    };
    struct tree_attr attr;
    struct need none = {0};
    if (offset <= listing->offset)
        return true;
    if (listing->attributes && tree_place_attr(listing->mounted, child, false, &attr, &none) == 0)
        entry.attr = &attr;
    return listing->emit(&entry, listing->data);
}

static bool put_view(struct view_listing *listing, const char *name, uint16_t part)
{
    struct place child = *listing->place;
    child.node.part = part;
    child.kind = part <= VIEW_TAGS ? PLACE_VIEWS : PLACE_VIEW;
    return put(listing, name, &child, OFFSET_FIRST + part);
}

static void list_tags(struct view_listing *listing)
{
    g_autoptr(GList) tags = tags_of(listing->place);
    for (GList *at = tags; at != NULL; at = at->next) {
        uint16_t part = (uint16_t)GPOINTER_TO_UINT(at->data);
        g_autofree char *name = name_of_mailbox(keyword_of(part));
        if (!put_view(listing, name, part))
            return;
    }
}

static void list_messages(struct view_listing *listing)
{
    struct place message = view_first_message(listing->place);
    uint64_t from = listing->offset > OFFSET_MESSAGE ? listing->offset - OFFSET_MESSAGE + 1 : 1;
    for (; view_next_message(&message, from); from = (uint64_t)message.message.uid + 1) {
        if (!view_holds(&message, listing->place->node.part))
            continue;
        g_autofree char *name = g_strconcat(message.message.name, ".eml", NULL);
        if (!put(listing, name, &message, OFFSET_MESSAGE + message.message.uid))
            return;
    }
}

void view_list(const struct mounted *mounted, struct place *place, uint64_t offset, bool attributes,
               tree_emit emit, void *data)
{
    struct view_listing listing = {mounted, place, offset, attributes, emit, data};
    switch (place->node.part) {
    case VIEW_TOP:
        if (put_view(&listing, "flags", VIEW_FLAGS))
            put_view(&listing, "tags", VIEW_TAGS);
        return;
    case VIEW_FLAGS:
        for (unsigned i = 0; i < G_N_ELEMENTS(FLAG_VIEWS); i++)
            if (!put_view(&listing, FLAG_VIEWS[i].name, (uint16_t)(VIEW_UNREAD + i)))
                return;
        return;
    case VIEW_TAGS:
        list_tags(&listing);
        return;
    default:
        list_messages(&listing);
    }
}
