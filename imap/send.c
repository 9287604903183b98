/* The commands that the owner of a session can ask for. */
#include "imap/list.h"
#include "imap/session.h"

#include <string.h>

/* What the servers at hand take is 16 KiB at the least; RFC 7162, section 4 recommends 8,192. */
enum { COMMAND_MAX = 8000, SET_MIN = 100 };

static const struct imap_command_kind PLAIN = {0};
static const struct imap_command_kind IN_MAILBOX = {.needs_mailbox = true};

/* An IDLE that was not sent is over as soon as anything is asked behind it. */
static void idle_yields(struct imap_session *session, const struct imap_request *request)
{
    struct imap_command *last = g_queue_peek_tail(&session->queue.commands);
    struct imap_result result = {.text = "not needed"};

    if (last && last->kind->idles && !last->begun && last->request != request)
        imap_queue_answer(&session->queue, last, &result);
}

struct imap_command *imap_session_command(struct imap_session *session,
                                          struct imap_request *request,
                                          const struct imap_command_kind *kind, const char *text)
{
    idle_yields(session, request);
    struct imap_command *command = imap_queue_command(&session->queue, request, kind);

    g_string_append(imap_command_text(command), text);
    imap_session_wake(session);
    return command;
}

struct imap_request *imap_session_request(struct imap_session *session, imap_done done, void *data)
{
    idle_yields(session, NULL);
    imap_session_heed(session);
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

void imap_session_blame(const struct imap_session *session, struct imap_command *command,
                        unsigned blame)
{
    command->blame = blame;
    command->tested = imap_flaws_suspected(session->flaws, blame);
}

struct imap_command *imap_session_line(struct imap_session *session,
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
    imap_session_line(session, &PLAIN, "NOOP", done, data);
}

void imap_send_list(struct imap_session *session, bool status, imap_done done, void *data)
{
    imap_listing_start(session, imap_session_request(session, done, data), status);
}

/* Cyrus 3.6 sends freed memory as MAILBOXID, in LIST too; what SELECT tells is right. */
static bool has_status_mailboxid(const struct imap_session *session)
{
    return session->capabilities.flags & IMAP_CAP_OBJECTID &&
           !strstr(session->server_name, "Cyrus");
}

const char *imap_status_items(const struct imap_session *session)
{
    static const char *const ITEMS_OF[] = {
        "MESSAGES UIDNEXT UIDVALIDITY UNSEEN",
        "MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ",
        "MESSAGES UIDNEXT UIDVALIDITY UNSEEN MAILBOXID",
        "MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ MAILBOXID",
    };
    bool modseq = session->capabilities.flags & IMAP_CAP_CONDSTORE;
    return ITEMS_OF[modseq + 2 * has_status_mailboxid(session)];
}

void imap_send_status(struct imap_session *session, const char *mailbox, imap_done done, void *data)
{
    unsigned has = session->capabilities.flags;
    struct imap_request *request = imap_session_request(session, done, data);
    struct imap_command *command = imap_session_command(session, request, &PLAIN, "STATUS ");

    imap_command_mailbox(command, mailbox, session->utf8, has);
    g_string_append_printf(imap_command_text(command), " (%s)", imap_status_items(session));
    imap_command_end(command);
    command->about = g_strdup(mailbox);
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
    struct imap_command *command = imap_session_line(session, &IN_MAILBOX, text, done, data);

    command->first = MAX(first, 1);
    command->last = last;
}
