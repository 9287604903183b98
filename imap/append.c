/* APPEND (RFC 9051, 6.3.12): its message is streamed from a file, see upload.h. */
#include "imap/session.h"
#include "imap/write.h"

static const struct imap_command_kind APPEND = {0};

/* What can be known without asking the server; NULL: nothing is wrong. */
static const char *append_flaw(const struct imap_session *session, const struct imap_append *append,
                               enum imap_error *error)
{
    uint64_t limit = imap_session_append_limit(session);

    *error = IMAP_ERROR_TOOBIG;
    if (append->size > UINT32_MAX)
        return "the message is larger than a literal can be";
    if (limit > 0 && append->size > limit)
        return "the message is larger than the server takes";
    *error = IMAP_ERROR_CANNOT;
    return append->size == 0 ? "the message is empty" : NULL;
}

/* " (flags) "date" ": what stands between the mailbox and the literal. */
static const char *append_options(GString *out, const struct imap_append *append)
{
    g_string_append_c(out, ' ');
    if (!imap_flags_write(out, append->flags))
        return "this is not a flag";
    g_string_append(out, " \"");
    if (!imap_date_write(out, append->internaldate))
        return "this is not a date";
    g_string_append(out, "\" ");
    return NULL;
}

void imap_send_append(struct imap_session *session, const struct imap_append *append,
                      imap_done done, void *data)
{
    struct imap_request *request = imap_session_request(session, done, data);
    g_autoptr(GString) options = g_string_new(NULL);
    unsigned has = session->capabilities.flags;
    enum imap_error error;

    const char *flaw = append_flaw(session, append, &error);
    if (!flaw)
        flaw = append_options(options, append);
    if (flaw) {
        imap_request_refuse(request, error, flaw);
        return;
    }
    request->report = imap_report_new(IMAP_REPORT_APPEND, NULL);
    struct imap_command *command = imap_session_command(session, request, &APPEND, "APPEND ");
    imap_command_mailbox(command, append->mailbox, session->utf8, has);
    g_string_append(imap_command_text(command), options->str);
    imap_command_upload(&session->queue, command, append, has);
}

bool imap_append_is_out(const struct imap_session *session)
{
    if (session->finishing)
        return session->finishing->out;
    for (const GList *link = session->queue.commands.head; link; link = link->next) {
        const struct imap_command *command = link->data;
        if (command->upload && command->upload->out)
            return true;
    }
    return false;
}

uint64_t imap_session_append_limit(const struct imap_session *session)
{
    return session->capabilities.append_limit;
}
