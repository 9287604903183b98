/* What is said once a session is signed in. What a server turns out not to stand is left out. */
#include "imap/opening.h"

#include <string.h>

enum { ASK_NOOP = 1, ASK_CAPABILITY = 2, ASK_ID = 4, ASK_ENABLE = 8, ASK_NAMESPACE = 16, ASKS = 5 };

/* What goes without each. */
static const unsigned BLAMES[ASKS] = {0, 0, IMAP_CAP_ID, IMAP_CAP_ENABLE | IMAP_CAP_IMAP4REV2,
                                      IMAP_CAP_NAMESPACE};

static const char ID[] = "ID (\"name\" \"mailmount\" \"version\" \"" MAILMOUNT_VERSION "\")";

static const struct enabled {
    unsigned capability;
    const char *word;
} ENABLED[] = {
    {IMAP_CAP_IMAP4REV2, " IMAP4rev2"},
    {IMAP_CAP_UTF8_ACCEPT, " UTF8=ACCEPT"},
    {IMAP_CAP_CONDSTORE, " CONDSTORE"},
    {IMAP_CAP_QRESYNC, " QRESYNC"},
};

/* iCloud's QRESYNC reports wrong messages as vanished; so does a server that tells its
 * capabilities (imap_capabilities_set()). */
static bool qresync_broken(const char *host)
{
    g_autofree char *lower = g_ascii_strdown(host, -1);

    return strcmp(lower, "imap.mail.me.com") == 0 || g_str_has_suffix(lower, "-imap.mail.me.com");
}

/* "ENABLE" and what of this the server has; NULL: nothing. */
static char *enable_command(const struct opening *o, unsigned has)
{
    g_autoptr(GString) text = g_string_new("ENABLE");
    size_t bare = text->len;

    if (!(has & (IMAP_CAP_ENABLE | IMAP_CAP_IMAP4REV2)))
        return NULL;
    if (qresync_broken(o->server->host))
        has &= ~(unsigned)IMAP_CAP_QRESYNC;
    for (size_t i = 0; i < G_N_ELEMENTS(ENABLED); i++)
        if (has & ENABLED[i].capability)
            g_string_append(text, ENABLED[i].word);
    return text->len > bare ? g_strdup(text->str) : NULL;
}

/* What is worth asking a server that has these. */
static unsigned asks_for(const struct opening *o, unsigned has)
{
    g_autofree char *enable = enable_command(o, has);

    return (has & IMAP_CAP_ID ? ASK_ID : 0) | (enable ? ASK_ENABLE : 0) |
           (has & IMAP_CAP_NAMESPACE ? ASK_NAMESPACE : 0);
}

static void note_outstanding(struct opening *o, unsigned pending)
{
    o->cut.blame = 0;
    for (unsigned i = 0; i < ASKS; i++)
        o->cut.blame |= pending & 1U << i ? BLAMES[i] : 0;
    o->cut.several = (pending & (pending - 1)) != 0;
}

/* Sends these in one write and waits for the answers, which may be refusals. */
static bool ask_at_once(struct opening *o, unsigned asks, const char *const texts[ASKS])
{
    g_autoptr(GString) lines = g_string_new(NULL);
    char tags[ASKS][24];
    unsigned pending = asks;
    struct imap_reply reply;

    for (unsigned i = 0; i < ASKS; i++) {
        if (!(asks & 1U << i))
            continue;
        imap_tag_next(tags[i]);
        g_string_append_printf(lines, "%s %s\r\n", tags[i], texts[i]);
    }
    imap_opening_say(o, lines->str, lines->len, NULL);
    while (pending) {
        note_outstanding(o, pending);
        if (!imap_opening_reply(o, &reply))
            return false;
        for (unsigned i = 0; i < ASKS && reply.kind == IMAP_REPLY_TAGGED; i++) {
            if (!(pending & 1U << i) || strcmp(reply.tag, tags[i]) != 0)
                continue;
            pending &= ~(1U << i);
            imap_flaws_acquit(o->server->flaws, BLAMES[i]);
        }
    }
    if ((asks & (asks - 1)) != 0)
        imap_flaws_took_several(o->server->flaws);
    return true;
}

/* The same, or each alone. */
static bool ask(struct opening *o, unsigned asks, unsigned has)
{
    g_autofree char *enable = enable_command(o, has);
    const char *const texts[ASKS] = {"NOOP", "CAPABILITY", ID, enable, "NAMESPACE"};
    bool alone = o->caution.one_by_one || o->session->queue.serial;

    if (!alone)
        return ask_at_once(o, asks, texts);
    for (unsigned i = 0; i < ASKS; i++)
        if (asks & 1U << i && !ask_at_once(o, 1U << i, texts))
            return false;
    return true;
}

bool imap_opening_introduce(struct opening *o)
{
    struct imap_capabilities *capabilities = &o->session->capabilities;
    unsigned has = capabilities->flags, asked = asks_for(o, has);

    o->asking = true;
    if (o->caution.brief)
        o->wait.timeout_s = MAX(o->wait.timeout_s / 4, 1);
    imap_wait_progress(&o->wait);
    unsigned first = (capabilities->known ? 0U : ASK_CAPABILITY) |
                     (o->caution.one_by_one ? (unsigned)ASK_NOOP : 0U);
    if (!ask(o, asked | first, has))
        return false;
    has = capabilities->flags;
    return ask(o, asks_for(o, has) & ~asked, has);
}

bool imap_opening_compress(struct opening *o)
{
    struct imap_session *session = o->session;
    struct imap_reply reply;

    if (o->server->no_compression || !(session->capabilities.flags & IMAP_CAP_COMPRESS))
        return true;
    o->bytewise = true;
    o->cut = (struct imap_cut){.blame = IMAP_CAP_COMPRESS};
    bool answered = imap_opening_command(o, "COMPRESS DEFLATE", &reply);
    o->bytewise = false;
    if (answered)
        imap_flaws_acquit(o->server->flaws, IMAP_CAP_COMPRESS);
    if (!answered || reply.condition != IMAP_COND_OK)
        return answered;
    return imap_stream_compress(session->stream) ||
           imap_opening_fail(o, IMAP_ERROR_LOST, "%s: no memory for compression", o->server->host);
}
