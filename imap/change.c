/* The commands that change messages, flags and mailboxes; APPEND is in append.c. */
#include "imap/session.h"
#include "imap/write.h"

static const struct imap_command_kind PLAIN = {0};
static const struct imap_command_kind CHANGES = {.needs_mailbox = true, .waits = true};

/* ---- messages of the selected mailbox --------------------------------------------------------
 */

/* A new request about these messages; refused if the server lacks all of `needs` (0: nothing), or
 * if nobody selected a mailbox: what the server has selected may then be another. */
static struct imap_request *change_begin(struct imap_session *session, unsigned needs,
                                         imap_done done, void *data)
{
    struct imap_request *request = imap_session_request(session, done, data);

    if (needs != 0 && (session->capabilities.flags & needs) == 0)
        imap_request_refuse(request, IMAP_ERROR_CANNOT, "the server does not offer this");
    else if (!session->wanted)
        imap_request_refuse(request, IMAP_ERROR_CANNOT, "no mailbox is selected");
    return request;
}

static void send_change(struct imap_session *session, const struct imap_uidset *uids,
                        unsigned needs, const struct imap_split *split, imap_done done, void *data)
{
    struct imap_request *request = change_begin(session, needs, done, data);

    if (split->mailbox)
        request->report =
            imap_report_new(needs == IMAP_CAP_MOVE ? IMAP_REPORT_MOVES : IMAP_REPORT_COPIES, uids);
    if (request->error == IMAP_OK)
        imap_session_split(session, request, uids, split);
}

void imap_send_uid_move(struct imap_session *session, const struct imap_uidset *uids,
                        const char *mailbox, imap_done done, void *data)
{
    const struct imap_split split = {&CHANGES, "UID MOVE ", " ", mailbox};
    send_change(session, uids, IMAP_CAP_MOVE, &split, done, data);
}

void imap_send_uid_copy(struct imap_session *session, const struct imap_uidset *uids,
                        const char *mailbox, imap_done done, void *data)
{
    const struct imap_split split = {&CHANGES, "UID COPY ", " ", mailbox};
    send_change(session, uids, 0, &split, done, data);
}

void imap_send_uid_expunge(struct imap_session *session, const struct imap_uidset *uids,
                           imap_done done, void *data)
{
    const struct imap_split split = {&CHANGES, "UID EXPUNGE ", "", NULL};
    send_change(session, uids, IMAP_CAP_UIDPLUS | IMAP_CAP_IMAP4REV2, &split, done, data);
}

void imap_send_uid_store(struct imap_session *session, const struct imap_uidset *uids, bool add,
                         const char *flags, uint64_t unchanged_since, imap_done done, void *data)
{
    struct imap_request *request = change_begin(session, 0, done, data);
    g_autoptr(GString) behind = g_string_new(NULL);

    request->report = imap_report_new(IMAP_REPORT_STORES, uids);
    if (unchanged_since > 0 && session->capabilities.flags & IMAP_CAP_CONDSTORE)
        g_string_append_printf(behind, " (UNCHANGEDSINCE %" G_GUINT64_FORMAT ")", unchanged_since);
    g_string_append(behind, add ? " +FLAGS.SILENT " : " -FLAGS.SILENT ");
    if (!imap_flags_write(behind, flags))
        imap_request_refuse(request, IMAP_ERROR_CANNOT, "this is not a flag");
    if (request->error != IMAP_OK || g_str_has_suffix(behind->str, " ()"))
        return; /* nothing to change */
    const struct imap_split split = {&CHANGES, "UID STORE ", behind->str, NULL};
    imap_session_split(session, request, uids, &split);
}

/* ---- mailboxes -------------------------------------------------------------------------------
 */

/* "TEXT mailbox[ second]" */
static struct imap_command *send_mailbox(struct imap_session *session, const char *text,
                                         const char *mailbox, const char *second, imap_done done,
                                         void *data)
{
    unsigned has = session->capabilities.flags;
    struct imap_request *request = imap_session_request(session, done, data);
    struct imap_command *command = imap_session_command(session, request, &PLAIN, text);

    imap_command_mailbox(command, mailbox, session->utf8, has);
    if (second) {
        g_string_append_c(imap_command_text(command), ' ');
        imap_command_mailbox(command, second, session->utf8, has);
    }
    imap_command_end(command);
    return command;
}

void imap_send_create(struct imap_session *session, const char *mailbox, imap_done done, void *data)
{
    send_mailbox(session, "CREATE ", mailbox, NULL, done, data);
}

void imap_send_delete(struct imap_session *session, const char *mailbox, imap_done done, void *data)
{
    send_mailbox(session, "DELETE ", mailbox, NULL, done, data);
}

void imap_send_rename(struct imap_session *session, const char *from, const char *to,
                      imap_done done, void *data)
{
    send_mailbox(session, "RENAME ", from, to, done, data);
}

void imap_send_subscribe(struct imap_session *session, const char *mailbox, bool subscribe,
                         imap_done done, void *data)
{
    send_mailbox(session, subscribe ? "SUBSCRIBE " : "UNSUBSCRIBE ", mailbox, NULL, done, data);
}

static void send_question(struct imap_session *session, unsigned needs, const char *text,
                          const char *mailbox, imap_done done, void *data)
{
    if (session->capabilities.flags & needs)
        imap_session_blame(session, send_mailbox(session, text, mailbox, NULL, done, data), needs);
    else
        imap_request_refuse(imap_session_request(session, done, data), IMAP_ERROR_CANNOT,
                            "the server does not offer this");
}

void imap_send_quota(struct imap_session *session, const char *mailbox, imap_done done, void *data)
{
    send_question(session, IMAP_CAP_QUOTA, "GETQUOTAROOT ", mailbox, done, data);
}

void imap_send_rights(struct imap_session *session, const char *mailbox, imap_done done, void *data)
{
    send_question(session, IMAP_CAP_ACL, "MYRIGHTS ", mailbox, done, data);
}
