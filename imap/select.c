/* Which mailbox is selected: SELECT, EXAMINE, UNSELECT, and taking up what is known of one. */
#include "imap/session.h"

#include <string.h>

enum { KNOWN_MAX = 6000 }; /* bytes of the set in QRESYNC, of a line of 8,000 or so */

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

/* UIDs that are not known do no harm, so a set that is too long becomes its span. */
static void known_write(GString *text, const struct imap_uidset *known)
{
    const struct imap_range *ranges;
    size_t count = imap_uidset_ranges(known, &ranges), begin = text->len;

    if (count == 0 || imap_uidset_write(known, 1, KNOWN_MAX, text) == 0)
        return;
    g_string_truncate(text, begin);
    g_string_append_printf(text, "%u:%u", ranges[0].first, ranges[count - 1].last);
}

/* RFC 7162, 7: select-param */
static void resync_write(GString *text, const struct imap_resync *resync)
{
    g_string_append_printf(text, " (QRESYNC (%u %" G_GUINT64_FORMAT, resync->uidvalidity,
                           resync->modseq);
    if (resync->known && imap_uidset_count(resync->known) > 0) {
        g_string_append_c(text, ' ');
        known_write(text, resync->known);
    }
    g_string_append(text, "))");
}

static void send_select(struct imap_session *session, const struct imap_command_kind *kind,
                        const char *mailbox, const struct imap_resync *resync, imap_done done,
                        void *data)
{
    unsigned has = session->capabilities.flags;
    struct imap_request *request = imap_session_request(session, done, data);
    struct imap_command *command =
        imap_session_command(session, request, kind, kind == &SELECT ? "SELECT " : "EXAMINE ");

    imap_command_mailbox(command, mailbox, session->utf8, has);
    if (resync && session->qresync && resync->uidvalidity > 0 && resync->modseq > 0)
        resync_write(imap_command_text(command), resync);
    else if (has & IMAP_CAP_CONDSTORE)
        g_string_append(imap_command_text(command), " (CONDSTORE)");
    imap_command_end(command);
    command->mailbox = g_strdup(mailbox);
    g_free(session->wanted);
    session->wanted = g_strdup(mailbox);
}

void imap_send_examine(struct imap_session *session, const char *mailbox, imap_done done,
                       void *data)
{
    send_select(session, &EXAMINE, mailbox, NULL, done, data);
}

void imap_send_select(struct imap_session *session, const char *mailbox, imap_done done, void *data)
{
    send_select(session, &SELECT, mailbox, NULL, done, data);
}

void imap_send_resync(struct imap_session *session, const char *mailbox, bool read_only,
                      const struct imap_resync *resync, imap_done done, void *data)
{
    send_select(session, read_only ? &EXAMINE : &SELECT, mailbox, resync, done, data);
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

    imap_session_line(session, &UNSELECT, has ? "UNSELECT" : "NOOP", done, data);
    g_clear_pointer(&session->wanted, g_free);
}
