/* Hearing of changes at once: IDLE (RFC 2177) and NOTIFY (RFC 5465). */
#include "imap/session.h"

#include <string.h>

enum { LINE_MAX_OCTETS = 8000 };

static const struct imap_command_kind PLAIN = {0};
static const struct imap_command_kind IDLE = {.idles = true};

/* A request that the server cannot do: its `done` comes without anything being sent. */
static void refuse(struct imap_session *session, const char *text, imap_done done, void *data)
{
    imap_request_refuse(imap_session_request(session, done, data), IMAP_ERROR_CANNOT, text);
}

void imap_send_idle(struct imap_session *session, imap_done done, void *data)
{
    if (!(session->capabilities.flags & IMAP_CAP_IDLE)) {
        refuse(session, "the server has no IDLE", done, data);
        return;
    }
    struct imap_command *idle = imap_session_line(session, &IDLE, "IDLE", done, data);
    g_queue_push_tail(&idle->pieces, g_string_new("DONE\r\n"));
}

/* ---- NOTIFY -----------------------------------------------------------------------------------
 */

static bool names_fit(const char *const *mailboxes)
{
    size_t taken = 200;

    for (; *mailboxes; mailboxes++) {
        size_t length = strlen(*mailboxes);
        if (length > LINE_MAX_OCTETS || (taken += 2 * length + 12) > LINE_MAX_OCTETS)
            return false;
    }
    return true;
}

/* " (mailboxes (a b) (events))"; no name: nothing */
static void mailboxes_write(struct imap_session *session, struct imap_command *command,
                            const char *const *mailboxes, const char *events)
{
    const char *between = " (mailboxes (";

    if (!*mailboxes)
        return;
    for (; *mailboxes; mailboxes++) {
        g_string_append(imap_command_text(command), between);
        imap_command_mailbox(command, *mailboxes, session->utf8, session->capabilities.flags);
        between = " ";
    }
    g_string_append_printf(imap_command_text(command), ") (%s))", events);
}

static void notify_set(struct imap_session *session, const struct imap_notify *notify,
                       imap_done done, void *data)
{
    static const char OTHERS[] = "MessageNew MessageExpunge MailboxName";
    struct imap_request *request = imap_session_request(session, done, data);
    struct imap_command *command = imap_session_command(session, request, &PLAIN, "NOTIFY SET ");

    imap_session_blame(session, command, IMAP_CAP_NOTIFY);
    session->notified = true;
    g_string_append_printf(
        imap_command_text(command), "%s(%s (MessageNew (UID FLAGS) MessageExpunge FlagChange))",
        notify->status ? "STATUS " : "", notify->delayed ? "selected-delayed" : "selected");
    if (notify->mailboxes)
        mailboxes_write(session, command, notify->mailboxes, OTHERS);
    else
        g_string_append_printf(imap_command_text(command), " (personal (%s))", OTHERS);
    imap_command_end(command);
}

void imap_send_notify(struct imap_session *session, const struct imap_notify *notify,
                      imap_done done, void *data)
{
    if (!(session->capabilities.flags & IMAP_CAP_NOTIFY))
        refuse(session, "the server has no NOTIFY", done, data);
    else if (!notify)
        imap_session_line(session, &PLAIN, "NOTIFY NONE", done, data);
    else if (notify->mailboxes && !names_fit(notify->mailboxes))
        refuse(session, "too many mailboxes for NOTIFY", done, data);
    else
        notify_set(session, notify, done, data);
}
