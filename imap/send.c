/* The commands that the owner of a session can ask for. */
#include "imap/list.h"
#include "imap/session.h"

#include <string.h>

/* What the servers at hand take is 16 KiB at the least; RFC 7162, section 4 recommends 8,192. */
enum { COMMAND_MAX = 8000, SET_MIN = 100 };

static const struct imap_command_kind PLAIN = {0};
static const struct imap_command_kind IN_MAILBOX = {.needs_mailbox = true};

struct imap_command *imap_session_command(struct imap_session *session,
                                          struct imap_request *request,
                                          const struct imap_command_kind *kind, const char *text)
{
    struct imap_command *command = imap_queue_command(&session->queue, request, kind);

    g_string_append(imap_command_text(command), text);
    imap_session_wake(session);
    return command;
}

struct imap_request *imap_session_request(struct imap_session *session, imap_done done, void *data)
{
    imap_session_wake(session);
    return imap_queue_request(&session->queue, done, data);
}

void imap_request_refuse(struct imap_request *request, enum imap_error error, const char *text)
{
    if (request->error != IMAP_OK)
        return;
    request->error = error;
    request->text = g_strdup(text);
}

/* One command that is one line. */
static struct imap_command *send_line(struct imap_session *session,
                                      const struct imap_command_kind *kind, const char *text,
                                      imap_done done, void *data)
{
    struct imap_request *request = imap_session_request(session, done, data);
    struct imap_command *command = imap_session_command(session, request, kind, text);

    imap_command_end(command);
    return command;
}

void imap_send_noop(struct imap_session *session, imap_done done, void *data)
{
    send_line(session, &PLAIN, "NOOP", done, data);
}

void imap_send_list(struct imap_session *session, bool status, imap_done done, void *data)
{
    imap_listing_start(session, imap_session_request(session, done, data), status);
}

void imap_send_status(struct imap_session *session, const char *mailbox, imap_done done, void *data)
{
    unsigned has = session->capabilities.flags;
    struct imap_request *request = imap_session_request(session, done, data);
    struct imap_command *command = imap_session_command(session, request, &PLAIN, "STATUS ");

    imap_command_mailbox(command, mailbox, session->utf8, has);
    g_string_append_printf(imap_command_text(command), " (MESSAGES UIDNEXT UIDVALIDITY UNSEEN%s)",
                           has & IMAP_CAP_CONDSTORE ? " HIGHESTMODSEQ" : "");
    imap_command_end(command);
}

void imap_session_split(struct imap_session *session, struct imap_request *request,
                        const struct imap_uidset *uids, const struct imap_split *split)
{
    size_t taken = strlen(split->behind) + 2 * (split->mailbox ? strlen(split->mailbox) : 0) + 60;
    size_t room = MAX(COMMAND_MAX - MIN(taken, COMMAND_MAX), SET_MIN);
    uint32_t from = imap_uidset_count(uids) > 0 ? 1 : 0;

    while (from > 0) {
        struct imap_command *command =
            imap_session_command(session, request, split->kind, split->text);
        from = imap_uidset_write(uids, from, room, imap_command_text(command));
        g_string_append(imap_command_text(command), split->behind);
        if (split->mailbox)
            imap_command_mailbox(command, split->mailbox, session->utf8,
                                 session->capabilities.flags);
        imap_command_end(command);
    }
}

/* ---- which mailbox ----------------------------------------------------------------------------
 */

/* From here on the server speaks of the new mailbox; until it says OK none is selected. */
static void examine_begins(struct imap_session *session, struct imap_command *command)
{
    imap_mailbox_reset(&session->mailbox, true);
    session->mailbox.state.read_only = true;
}

static void select_begins(struct imap_session *session, struct imap_command *command)
{
    imap_mailbox_reset(&session->mailbox, true); /* the server says if it is read-only */
}

/* What was queued for a mailbox that could not be selected gets its error. What is on its way is
 * refused by the server, which has none selected either (RFC 9051, 6.3.2); the rest is not sent. */
static void followers_doom(struct imap_session *session, const struct imap_command *examine,
                           const struct imap_result *result)
{
    GList *link = g_queue_find(&session->queue.commands, examine)->next;

    while (link) {
        struct imap_command *command = link->data;
        link = link->next;
        if (command->mailbox)
            return;
        if (!command->kind->needs_mailbox)
            continue;
        if (command->begun) {
            command->doomed = result->error;
            g_free(command->doomed_text);
            command->doomed_text = g_strdup(result->text);
        } else {
            imap_queue_answer(&session->queue, command, result);
        }
    }
}

static bool examine_queued_after(const struct imap_session *session,
                                 const struct imap_command *examine)
{
    const GList *link = g_queue_find((GQueue *)&session->queue.commands, examine)->next;

    for (; link; link = link->next)
        if (((const struct imap_command *)link->data)->mailbox)
            return true;
    return false;
}

static void examine_answered(struct imap_session *session, struct imap_command *command,
                             const struct imap_result *result)
{
    if (result->error == IMAP_OK)
        return;
    imap_mailbox_reset(&session->mailbox, false);
    if (!examine_queued_after(session, command))
        g_clear_pointer(&session->wanted, g_free);
    followers_doom(session, command, result);
}

static const struct imap_command_kind EXAMINE = {.begins = examine_begins,
                                                 .answered = examine_answered};
static const struct imap_command_kind SELECT = {.begins = select_begins,
                                                .answered = examine_answered};

static void send_select(struct imap_session *session, const struct imap_command_kind *kind,
                        const char *mailbox, imap_done done, void *data)
{
    unsigned has = session->capabilities.flags;
    struct imap_request *request = imap_session_request(session, done, data);
    struct imap_command *command =
        imap_session_command(session, request, kind, kind == &SELECT ? "SELECT " : "EXAMINE ");

    imap_command_mailbox(command, mailbox, session->utf8, has);
    if (has & IMAP_CAP_CONDSTORE)
        g_string_append(imap_command_text(command), " (CONDSTORE)");
    imap_command_end(command);
    command->mailbox = g_strdup(mailbox);
    g_free(session->wanted);
    session->wanted = g_strdup(mailbox);
}

void imap_send_examine(struct imap_session *session, const char *mailbox, imap_done done,
                       void *data)
{
    send_select(session, &EXAMINE, mailbox, done, data);
}

void imap_send_select(struct imap_session *session, const char *mailbox, imap_done done, void *data)
{
    send_select(session, &SELECT, mailbox, done, data);
}

static void unselect_answered(struct imap_session *session, struct imap_command *command,
                              const struct imap_result *result)
{
    imap_mailbox_reset(&session->mailbox, false);
}

static const struct imap_command_kind UNSELECT = {.needs_mailbox = true,
                                                  .answered = unselect_answered};

/* Without UNSELECT only we forget the mailbox: CLOSE is never sent, as it would expunge. */
void imap_send_unselect(struct imap_session *session, imap_done done, void *data)
{
    bool has = session->capabilities.flags & IMAP_CAP_UNSELECT;

    send_line(session, &UNSELECT, has ? "UNSELECT" : "NOOP", done, data);
    g_clear_pointer(&session->wanted, g_free);
}

/* ---- messages ---------------------------------------------------------------------------------
 */

static const struct fetch_item {
    unsigned item;
    const char *text;
    unsigned capability; /* needed, 0: none */
} ITEMS[] = {
    {IMAP_ITEM_FLAGS, "FLAGS", 0},
    {IMAP_ITEM_INTERNALDATE, "INTERNALDATE", 0},
    {IMAP_ITEM_SIZE, "RFC822.SIZE", 0},
    {IMAP_ITEM_MODSEQ, "MODSEQ", IMAP_CAP_CONDSTORE},
    {IMAP_ITEM_EMAILID, "EMAILID", IMAP_CAP_OBJECTID},
    {IMAP_ITEM_GM_MSGID, "X-GM-MSGID", IMAP_CAP_GMAIL},
    {IMAP_ITEM_STRUCTURE, "BODYSTRUCTURE", 0},
};

/* Whether it can stand between brackets as it is: section numbers and names of header fields. */
static bool section_valid(const char *section)
{
    for (const char *p = section; *p; p++)
        if (*p <= ' ' ? *p != ' ' : *p >= 0x7f || strchr("()<>[]{}\"\\%*", *p) != NULL)
            return false;
    return strlen(section) < COMMAND_MAX / 2;
}

/* " (items) (CHANGEDSINCE n)\r\n" */
static GString *fetch_items(unsigned has, const struct imap_fetch_request *request)
{
    GString *text = g_string_new(" (UID");

    for (size_t i = 0; i < G_N_ELEMENTS(ITEMS); i++)
        if (request->items & ITEMS[i].item && (has & ITEMS[i].capability) == ITEMS[i].capability)
            g_string_append_printf(text, " %s", ITEMS[i].text);
    if (request->header_fields)
        g_string_append_printf(text, " BODY.PEEK[HEADER.FIELDS (%s)]", request->header_fields);
    if (request->section)
        g_string_append_printf(text, " BODY.PEEK[%s]", request->section);
    if (request->section && request->length > 0)
        g_string_append_printf(text, "<%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ">",
                               request->origin, request->length);
    g_string_append_c(text, ')');
    if (request->changed_since > 0 && has & IMAP_CAP_CONDSTORE)
        g_string_append_printf(text, " (CHANGEDSINCE %" G_GUINT64_FORMAT ")",
                               request->changed_since);
    return text;
}

void imap_send_uid_fetch(struct imap_session *session, const struct imap_uidset *uids,
                         const struct imap_fetch_request *fetch, imap_done done, void *data)
{
    struct imap_request *request = imap_session_request(session, done, data);

    if ((fetch->section && !section_valid(fetch->section)) ||
        (fetch->header_fields && !section_valid(fetch->header_fields))) {
        imap_request_refuse(request, IMAP_ERROR_BAD, "this is not the name of a section");
        return;
    }
    g_autoptr(GString) items = fetch_items(session->capabilities.flags, fetch);
    struct imap_split split = {&IN_MAILBOX, "UID FETCH ", items->str, NULL};
    imap_session_split(session, request, uids, &split);
}

void imap_send_uid_search(struct imap_session *session, uint32_t first, uint32_t last,
                          imap_done done, void *data)
{
    bool extended = session->capabilities.flags & IMAP_CAP_ESEARCH;
    g_autofree char *end = last ? g_strdup_printf("%u", last) : g_strdup("*");
    g_autofree char *text = g_strdup_printf("UID SEARCH %sUID %u:%s",
                                            extended ? "RETURN (ALL) " : "", MAX(first, 1), end);
    struct imap_command *command = send_line(session, &IN_MAILBOX, text, done, data);

    command->first = MAX(first, 1);
    command->last = last;
}
