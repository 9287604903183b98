/* IDLE, NOTIFY and QRESYNC of the tiny server. */
#include <string.h>

#include "tests/fs/imapd-talk.h"

static void talk_say(struct talk *talk, const char *text)
{
    GOutputStream *stream = g_io_stream_get_output_stream(G_IO_STREAM(talk->connection));
    g_mutex_lock(&talk->writing);
    g_output_stream_write_all(stream, text, strlen(text), NULL, NULL, NULL);
    g_mutex_unlock(&talk->writing);
}

bool talk_idle(struct talk *talk, const char *line)
{
    struct imapd *imapd = talk->imapd;
    const char *space = strchr(line, ' ');
    bool begins = space != NULL && strcmp(space + 1, "IDLE") == 0 && talk_can(talk, "IDLE");
    if (!begins && strcmp(line, "DONE") != 0)
        return false;
    g_mutex_lock(&imapd->lock);
    if (begins)
        g_ptr_array_add(imapd->lines, g_strdup("IDLE"));
    const char *refusal = begins ? talk_flaw(talk, "IDLE", false) : NULL;
    if (refusal != NULL) {
        g_string_append_printf(talk->out, "%.*s %s\r\n", (int)(space - line), line, refusal);
    } else if (begins && !imapd->stall) {
        imapd->idles++;
        talk->idle = g_strndup(line, (gsize)(space - line));
        g_string_append(talk->out, "+ idling\r\n");
    } else if (talk->idle != NULL && !imapd->stall) {
        if (imapd->parting != NULL)
            g_string_append(talk->out, imapd->parting);
        imapd->parting = NULL;
        g_string_append_printf(talk->out, "%s OK idled\r\n", talk->idle);
        g_clear_pointer(&talk->idle, g_free);
    }
    g_mutex_unlock(&imapd->lock);
    return true;
}

unsigned imapd_tell(struct imapd *imapd, const char *mailbox, const char *text)
{
    unsigned told = 0;
    g_mutex_lock(&imapd->lock);
    for (guint i = 0; i < imapd->talks->len; i++) {
        struct talk *talk = imapd->talks->pdata[i];
        bool here = mailbox == NULL || (talk->box != NULL && strcmp(talk->box->name, mailbox) == 0);
        if (talk->idle == NULL || !here)
            continue;
        talk_say(talk, text);
        told++;
    }
    g_mutex_unlock(&imapd->lock);
    return told;
}

void imapd_freeze_lists(struct imapd *imapd)
{
    g_mutex_lock(&imapd->lock);
    for (guint i = 0; i < imapd->talks->len; i++)
        ((struct talk *)imapd->talks->pdata[i])->frozen = imapd->boxes->len;
    g_mutex_unlock(&imapd->lock);
}

static void put_enabled(struct talk *talk, const char *what)
{
    bool agreed = strstr(what, "QRESYNC") != NULL && talk_can(talk, "QRESYNC");
    g_string_append_printf(talk->out, "* ENABLED%s\r\n", agreed ? " QRESYNC" : "");
}

const char *talk_live(struct talk *talk, const char *line)
{
    const char *at;
    if ((at = talk_after(line, "ENABLE ")) != NULL && talk_can(talk, "ENABLE")) {
        put_enabled(talk, at);
        return "OK enabled";
    }
    if (talk_after(line, "NOTIFY ") == NULL || !talk_can(talk, "NOTIFY"))
        return NULL;
    talk->imapd->notifies++;
    return "OK notified";
}

void talk_resync_take(struct talk *talk, char *name)
{
    char *option = strstr(name, " (QRESYNC (");
    talk->known = 0;
    if (option == NULL)
        return;
    const char *modseq = strchr(option + strlen(" (QRESYNC ("), ' ');
    talk->known = g_ascii_strtoull(modseq, NULL, 10);
    *option = '\0';
    talk->imapd->resyncs++;
}

/* It remembers nothing: all UIDs that it does not have have vanished (RFC 7162, 3.2.5.1). */
void talk_resync(struct talk *talk)
{
    if (talk->known == 0 || talk->imapd->resync_silent)
        return;
    g_autoptr(GString) gone = g_string_new(NULL);
    for (uint32_t uid = 1; uid < talk->box->uidnext; uid++)
        if (imapd_message(talk->box, uid) == NULL)
            g_string_append_printf(gone, "%s%u", gone->len > 0 ? "," : "", uid);
    if (gone->len > 0)
        g_string_append_printf(talk->out, "* VANISHED (EARLIER) %s\r\n", gone->str);
    for (guint i = 0; i < talk->box->messages->len; i++) {
        const struct imapd_message *message = talk->box->messages->pdata[i];
        if (message->modseq > talk->known)
            g_string_append_printf(
                talk->out, "* %u FETCH (UID %u FLAGS (%s) MODSEQ (%" G_GUINT64_FORMAT "))\r\n",
                i + 1, message->uid, message->flags, message->modseq);
    }
}

void talk_put_status(struct talk *talk, const struct imapd_box *box)
{
    g_string_append_printf(talk->out,
                           "* STATUS \"%s\" (MESSAGES %u UIDNEXT %u UIDVALIDITY %u UNSEEN 0",
                           box->name, box->messages->len, box->uidnext, box->uidvalidity);
    if (talk_can(talk, "CONDSTORE"))
        g_string_append_printf(talk->out, " HIGHESTMODSEQ %" G_GUINT64_FORMAT, box->modseq);
    if (talk_can(talk, "OBJECTID"))
        g_string_append_printf(talk->out, " MAILBOXID (F%u)", box->uidvalidity);
    g_string_append(talk->out, ")\r\n");
}
