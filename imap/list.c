#include "imap/list.h"

#include "imap/session.h"
#include "imap/write.h"

#include <string.h>

enum { ENTRIES_MAX = 500 * 1000 };

/* One imap_send_list(): what was found, kept while subscriptions are still to come. */
struct imap_listing {
    bool status;         /* STATUS is wanted */
    bool extended;       /* the LIST in flight has RETURN (...) */
    bool subscribed_too; /* LSUB was sent beside it: replies are collected */
    bool inbox;          /* INBOX was named */
    bool sought;         /* it was asked for beside */
    GHashTable *given;   /* wire names that were handed on already; NULL: none */
    uint32_t seen;       /* bit i: a reply to "*" lay in the session's namespace i */
    uint32_t asked;      /* bit i: namespace i was asked for by itself */
    GPtrArray *entries;  /* of struct imap_list, owned, in the server's order */
    GHashTable *by_wire; /* const char * to struct imap_list, borrowed */
};

static void entry_free(gpointer data)
{
    struct imap_list *entry = data;

    g_free((char *)entry->wire);
    g_free((char *)entry->name);
    g_free(entry);
}

void imap_listing_free(struct imap_listing *listing)
{
    if (!listing)
        return;
    g_clear_pointer(&listing->given, g_hash_table_unref);
    g_hash_table_unref(listing->by_wire);
    g_ptr_array_unref(listing->entries);
    g_free(listing);
}

static struct imap_listing *listing_new(bool status)
{
    struct imap_listing *listing = g_new0(struct imap_listing, 1);

    listing->status = status;
    listing->entries = g_ptr_array_new_with_free_func(entry_free);
    listing->by_wire = g_hash_table_new(g_str_hash, g_str_equal);
    return listing;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static void list_answered(struct imap_session *session, struct imap_command *command,
                          const struct imap_result *result);
static void lsub_answered(struct imap_session *session, struct imap_command *command,
                          const struct imap_result *result);
static void more_answered(struct imap_session *session, struct imap_command *command,
                          const struct imap_result *result);
static const struct imap_command_kind LIST = {.answered = list_answered};
static const struct imap_command_kind LIST_MORE = {.answered = more_answered};
static const struct imap_command_kind LSUB = {.answered = lsub_answered};

/* The RETURN options that the server has and can, "" if none. */
static char *return_options(const struct imap_session *session, bool status)
{
    unsigned has = session->capabilities.flags;
    g_autoptr(GString) options = g_string_new(NULL);

    if (has & IMAP_CAP_LIST_EXTENDED)
        g_string_append(options, " SUBSCRIBED CHILDREN");
    if (has & IMAP_CAP_SPECIAL_USE)
        g_string_append(options, " SPECIAL-USE");
    if (has & IMAP_CAP_LIST_STATUS && status)
        g_string_append_printf(options, " STATUS (%s)", imap_status_items(session));
    return g_strdup(options->len ? options->str + 1 : "");
}

static struct imap_command *send_line(struct imap_session *session, struct imap_request *request,
                                      const struct imap_command_kind *kind, const char *text)
{
    struct imap_command *command = imap_session_command(session, request, kind, text);

    imap_command_end(command);
    return command;
}

static void send_plain(struct imap_session *session, struct imap_request *request)
{
    unsigned has = session->capabilities.flags;
    bool xlist = has & IMAP_CAP_XLIST && !(has & IMAP_CAP_SPECIAL_USE);

    request->listing->extended = false;
    send_line(session, request, &LIST, xlist ? "XLIST \"\" \"*\"" : "LIST \"\" \"*\"");
}

static void send_lsub(struct imap_session *session, struct imap_request *request)
{
    request->listing->subscribed_too = true;
    send_line(session, request, &LSUB, "LSUB \"\" \"*\"");
}

/* LIST with these options. */
static void send_extended(struct imap_session *session, struct imap_request *request,
                          const struct imap_command_kind *kind, const char *options)
{
    g_autofree char *text = g_strdup_printf("LIST \"\" \"*\" RETURN (%s)", options);
    bool status = strstr(options, "STATUS (") != NULL;

    request->listing->extended = true;
    imap_session_blame(session, send_line(session, request, kind, text),
                       status ? IMAP_CAP_LIST_STATUS
                              : IMAP_CAP_LIST_EXTENDED | IMAP_CAP_SPECIAL_USE);
}

/* Asks plainly, and for INBOX by its name, beside an extended LIST that leaves it out, or all. */
static void send_complement(struct imap_session *session, struct imap_request *request)
{
    request->listing->sought = session->inbox_sought = true;
    send_plain(session, request);
    send_line(session, request, &LIST_MORE, "LIST \"\" INBOX");
    send_lsub(session, request);
}

/* LIST of one namespace. At most 32 are told apart, see imap_read_namespace(). */
static void send_namespace(struct imap_session *session, struct imap_request *request, guint i)
{
    struct imap_listing *listing = request->listing;
    g_autofree char *options = return_options(session, listing->status);
    g_autofree char *pattern = g_strconcat(session->namespaces[i], "*", NULL);
    g_autoptr(GString) text = g_string_new("LIST \"\" ");

    if (!imap_write_quoted(text, pattern, session->utf8))
        return;
    if (listing->extended)
        g_string_append_printf(text, " RETURN (%s)", options);
    listing->asked |= 1U << i;
    send_line(session, request, &LIST_MORE, text->str);
}

static bool has_namespace(const struct imap_session *session, guint i)
{
    return session->namespaces && session->namespaces[i];
}

/* LIST of the namespaces that "*" is known to leave out: some servers hide those of other users, or
 * the shared ones. */
static void send_apart(struct imap_session *session, struct imap_request *request)
{
    for (guint i = 0; has_namespace(session, i); i++)
        if (session->apart & 1U << i)
            send_namespace(session, request, i);
}

/* LIST of those that it turned out to leave out. */
static void send_namespaces(struct imap_session *session, struct imap_request *request)
{
    struct imap_listing *listing = request->listing;

    session->apart = 0;
    for (guint i = 0; has_namespace(session, i); i++) {
        if (session->namespaces[i][0] == '\0' || listing->seen & 1U << i)
            continue;
        session->apart |= 1U << i;
        if (!(listing->asked & 1U << i))
            send_namespace(session, request, i);
    }
}

/* Notes which namespace a name lies in. */
static void note_namespace(const struct imap_session *session, struct imap_listing *listing,
                           const char *wire)
{
    for (guint i = 0; has_namespace(session, i); i++)
        if (session->namespaces[i][0] != '\0' && g_str_has_prefix(wire, session->namespaces[i]))
            listing->seen |= 1U << i;
}

void imap_listing_start(struct imap_session *session, struct imap_request *request, bool status)
{
    unsigned has = session->capabilities.flags;
    g_autofree char *options = return_options(session, status);

    request->listing = listing_new(status);
    if (session->capabilities.without & IMAP_FLAW_LIST_INCOMPLETE) {
        if (*options)
            send_extended(session, request, &LIST_MORE, options);
        send_complement(session, request);
        send_apart(session, request);
        return;
    }
    if (*options) {
        send_extended(session, request, &LIST, options);
    } else {
        send_plain(session, request);
    }
    send_apart(session, request);
    if (!(has & IMAP_CAP_LIST_EXTENDED))
        send_lsub(session, request);
}

char **imap_session_apart(const struct imap_session *session)
{
    g_autoptr(GStrvBuilder) prefixes = g_strv_builder_new();

    for (guint i = 0; has_namespace(session, i); i++)
        if (session->apart & 1U << i)
            g_strv_builder_add(prefixes, session->namespaces[i]);
    return g_strv_builder_end(prefixes);
}

void imap_session_set_apart(struct imap_session *session, const char *const *prefixes)
{
    session->apart = 0;
    for (guint i = 0; has_namespace(session, i); i++)
        if (session->namespaces[i][0] != '\0' && g_strv_contains(prefixes, session->namespaces[i]))
            session->apart |= 1U << i;
}

/* ---- what comes back --------------------------------------------------------------------------
 */

static void deliver_all(struct imap_session *session, struct imap_listing *listing)
{
    g_autoptr(GPtrArray) entries = g_steal_pointer(&listing->entries);

    listing->entries = g_ptr_array_new_with_free_func(entry_free);
    g_hash_table_remove_all(listing->by_wire);
    for (guint i = 0; i < entries->len; i++)
        EMIT(session, list, (const struct imap_list *)entries->pdata[i]);
}

static void collect(struct imap_listing *listing, const struct imap_list *list)
{
    struct imap_list *entry = g_hash_table_lookup(listing->by_wire, list->wire);

    if (entry) {
        entry->flags |= list->flags;
        return;
    }
    if (listing->given && g_hash_table_contains(listing->given, list->wire))
        return;
    if (listing->entries->len >= ENTRIES_MAX)
        return;
    entry = g_memdup2(list, sizeof(*list));
    entry->wire = g_strdup(list->wire);
    entry->name = g_strdup(list->name);
    entry->old_wire = NULL;
    g_ptr_array_add(listing->entries, entry);
    g_hash_table_insert(listing->by_wire, (char *)entry->wire, entry);
}

/* LSUB only marks: a name that LIST does not know is subscribed but does not exist, and its flags
 * are not those of the mailbox (RFC 3501, 6.3.9). */
static void mark_subscribed(struct imap_listing *listing, const struct imap_list *list)
{
    struct imap_list *entry = g_hash_table_lookup(listing->by_wire, list->wire);

    if (entry && !(list->flags & IMAP_LIST_NOSELECT))
        entry->flags |= IMAP_LIST_SUBSCRIBED;
}

/* The LIST or LSUB that the server is answering: the first that is not answered, which need not be
 * the oldest command, as servers may overtake (RFC 9051, 5.5). NULL: none. */
static const struct imap_command *listing_command(const struct imap_session *session)
{
    for (const GList *link = session->queue.commands.head; link; link = link->next) {
        const struct imap_command *command = link->data;
        if (command->begun && command->request->listing)
            return command;
    }
    return NULL;
}

bool imap_listing_wants_status(const struct imap_session *session)
{
    const struct imap_command *command = listing_command(session);

    return command && command->request->listing->status;
}

/* Until INBOX has come it may have to be asked for in another way, which tells all again. */
static void hand_on(struct imap_session *session, struct imap_listing *listing,
                    const struct imap_list *list)
{
    if (session->flaws && !listing->inbox) {
        if (!listing->given)
            listing->given = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        if (g_hash_table_size(listing->given) < ENTRIES_MAX)
            g_hash_table_add(listing->given, g_strdup(list->wire));
    }
    EMIT(session, list, list);
}

void imap_listing_reply(struct imap_session *session, const struct imap_list *list)
{
    const struct imap_command *command = listing_command(session);
    struct imap_listing *listing = command ? command->request->listing : NULL;

    if (!listing || list->old_wire) {
        EMIT(session, list_news, list);
        return;
    }
    if (command->kind == &LIST)
        note_namespace(session, listing, list->wire);
    if (command->kind != &LSUB)
        listing->inbox |= g_ascii_strcasecmp(list->wire, "INBOX") == 0;
    if (!listing->subscribed_too)
        hand_on(session, listing, list);
    else if (command->kind == &LSUB)
        mark_subscribed(listing, list);
    else
        collect(listing, list);
}

/* INBOX came only when it was asked for beside: from now on that goes with each LIST. Its STATUS
 * is to be asked for then, and so are all. */
static void note_incomplete(struct imap_session *session)
{
    unsigned what = (unsigned)IMAP_FLAW_LIST_INCOMPLETE | (unsigned)IMAP_CAP_LIST_STATUS;

    if (session->capabilities.without & IMAP_FLAW_LIST_INCOMPLETE)
        return;
    session->capabilities.without |= what;
    session->capabilities.flags &= ~what;
    imap_flaws_learn(session->flaws, what);
}

/* When the request's last command is answered, what was collected is handed on. */
static void part_answered(struct imap_session *session, struct imap_command *command)
{
    struct imap_listing *listing = command->request->listing;

    if (command->request->pending != 1)
        return;
    if (listing->sought && listing->inbox)
        note_incomplete(session);
    deliver_all(session, listing);
}

static bool refused(const struct imap_result *result)
{
    return result->error == IMAP_ERROR_BAD || result->error == IMAP_ERROR_NO ||
           result->error == IMAP_ERROR_CANNOT;
}

/* A server that refuses what it advertises is asked once more, plainly. */
static void list_answered(struct imap_session *session, struct imap_command *command,
                          const struct imap_result *result)
{
    struct imap_request *request = command->request;
    struct imap_listing *listing = request->listing;

    if (listing->extended && refused(result)) {
        g_debug("extended LIST was refused: %s", result->text);
        command->forgiven = true;
        listing->asked = 0; /* refused as well */
        send_plain(session, request);
        send_lsub(session, request);
        return;
    }
    if (result->error == IMAP_OK && !listing->inbox && !session->inbox_sought && session->flaws) {
        send_complement(session, request);
        return;
    }
    if (result->error == IMAP_OK)
        send_namespaces(session, request);
    part_answered(session, command);
}

/* A namespace that cannot be listed is not there for this user. */
static void more_answered(struct imap_session *session, struct imap_command *command,
                          const struct imap_result *result)
{
    command->forgiven = refused(result);
    part_answered(session, command);
}

/* Without LSUB nothing is known of subscriptions, but the mailboxes are (Exchange as IMAP4rev2). */
static void lsub_answered(struct imap_session *session, struct imap_command *command,
                          const struct imap_result *result)
{
    command->forgiven = result->error == IMAP_ERROR_BAD || result->error == IMAP_ERROR_NO;
    part_answered(session, command);
}
