#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#include "tests/fs/imapd-talk.h"

/* ---- the mailboxes --------------------------------------------------------------------------- */

static void message_free(struct imapd_message *message)
{
    g_free(message->flags);
    g_free(message->structure);
    g_free(message->date);
    g_string_free(message->bytes, TRUE);
    g_free(message);
}

static void box_free(struct imapd_box *box)
{
    g_free(box->name);
    g_free(box->list_flags);
    g_ptr_array_unref(box->messages);
    g_free(box);
}

struct imapd_box *imapd_add_box(struct imapd *imapd, const char *name, const char *list_flags)
{
    struct imapd_box *box = g_new0(struct imapd_box, 1);
    box->name = g_strdup(name);
    box->list_flags = g_strdup(list_flags);
    box->uidvalidity = 1000 + imapd->boxes->len;
    box->uidnext = 1;
    box->modseq = 1;
    box->messages = g_ptr_array_new_with_free_func((GDestroyNotify)message_free);
    g_ptr_array_add(imapd->boxes, box);
    return box;
}

struct imapd_box *imapd_box(struct imapd *imapd, const char *name)
{
    for (guint i = 0; i < imapd->boxes->len; i++) {
        struct imapd_box *box = imapd->boxes->pdata[i];
        if (strcmp(box->name, name) == 0)
            return box;
    }
    return NULL;
}

struct imapd_message *imapd_add_bytes(struct imapd_box *box, const char *bytes, gssize length)
{
    struct imapd_message *message = g_new0(struct imapd_message, 1);
    message->uid = box->uidnext++;
    message->modseq = ++box->modseq;
    message->flags = g_strdup("");
    message->bytes = g_string_new_len(bytes, length < 0 ? (gssize)strlen(bytes) : length);
    message->claimed = -1;
    g_ptr_array_add(box->messages, message);
    return message;
}

struct imapd_message *imapd_add(struct imapd_box *box, size_t size)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_printf(text,
                    "From: Alice <alice@example.org>\r\nSubject: message %u\r\n"
                    "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\n",
                    box->uidnext);
    for (unsigned line = 0; text->len < size; line++)
        g_string_append_printf(text, "this is line %u of message %u\r\n", line, box->uidnext);
    return imapd_add_bytes(box, text->str, (gssize)text->len);
}

struct imapd_message *imapd_message(struct imapd_box *box, uint32_t uid)
{
    for (guint i = 0; i < box->messages->len; i++) {
        struct imapd_message *message = box->messages->pdata[i];
        if (message->uid == uid)
            return message;
    }
    return NULL;
}

void imapd_remove(struct imapd_box *box, uint32_t uid)
{
    box->modseq++;
    g_ptr_array_remove(box->messages, imapd_message(box, uid));
}

void imapd_renumber(struct imapd_box *box)
{
    box->uidvalidity += 7;
    for (guint i = 0; i < box->messages->len; i++) {
        GString *bytes = ((struct imapd_message *)box->messages->pdata[i])->bytes;
        for (char *at = strstr(bytes->str, "Subject: ") + 9; *at != '\0'; at++)
            if (g_ascii_strncasecmp(at, "Date: ", 6) == 0) /* which makes the name */
                at = strchr(at, '\n');
            else
                *at = g_ascii_toupper(*at);
    }
}

/* ---- one connection -------------------------------------------------------------------------- */

static void talk_flush(struct talk *talk)
{
    struct imapd *imapd = talk->imapd;
    if (talk->mute)
        g_string_truncate(talk->out, 0);
    size_t length = talk->out->len;
    g_mutex_lock(&imapd->lock);
    bool cut = imapd->cut_after >= 0 && (int64_t)length >= imapd->cut_after;
    if (cut)
        length = (size_t)imapd->cut_after;
    if (imapd->cut_after >= 0)
        imapd->cut_after = cut ? -1 : imapd->cut_after - (int64_t)length;
    bool mute = cut && imapd->cut_mute;
    g_mutex_unlock(&imapd->lock);
    GOutputStream *stream = g_io_stream_get_output_stream(G_IO_STREAM(talk->connection));
    g_mutex_lock(&talk->writing);
    if (!g_output_stream_write_all(stream, talk->out->str, length, NULL, NULL, NULL) ||
        (cut && !mute))
        talk->over = true;
    talk->mute |= mute;
    g_mutex_unlock(&talk->writing);
    g_string_truncate(talk->out, 0);
}

bool talk_set_has(const char *set, uint32_t uid)
{
    g_auto(GStrv) parts = g_strsplit(set, ",", -1);
    for (char **at = parts; *at != NULL; at++) {
        char *end;
        guint64 first = g_ascii_strtoull(*at, &end, 10), last = first;
        if (*end == ':')
            last = end[1] == '*' ? UINT32_MAX : g_ascii_strtoull(end + 1, NULL, 10);
        if (uid >= first && uid <= last)
            return true;
    }
    return false;
}

static void put_structure(GString *out, const struct imapd_message *message)
{
    if (message->structure != NULL)
        g_string_append_printf(out, " BODYSTRUCTURE %s", message->structure);
    else
        g_string_append_printf(
            out,
            " BODYSTRUCTURE (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL "
            "NIL \"7BIT\" %zu 10 NIL NIL NIL NIL)",
            message->bytes->len -
                (size_t)(strstr(message->bytes->str, "\r\n\r\n") - message->bytes->str) - 4);
}

/* BODY[] and BODY[TEXT]-like sections "1", whole or `<origin.length>`. */
static void put_body(struct talk *talk, const struct imapd_message *message, const char *section,
                     const char *range)
{
    struct imapd *imapd = talk->imapd;
    const char *bytes = message->bytes->str;
    size_t length = message->bytes->len;
    if (section[0] != '\0') {
        const char *body = strstr(bytes, "\r\n\r\n") + 4;
        length -= (size_t)(body - bytes);
        bytes = body;
    }
    imapd->bodies++;
    if (imapd->nil_bodies > 0) {
        imapd->nil_bodies--;
        g_string_append_printf(talk->out, " BODY[%s] NIL", section);
        return;
    }
    if (message->gone) {
        bytes = "Subject: message unavailable\r\n\r\nmessage unavailable\r\n";
        length = strlen(bytes);
    }
    unsigned long long origin = 0, most = length;
    bool partial = !imapd->no_partial && sscanf(range, "<%llu.%llu>", &origin, &most) == 2;
    g_string_append_printf(talk->out, " BODY[%s]", section);
    if (partial)
        g_string_append_printf(talk->out, "<%llu>", origin);
    origin = MIN(origin, length);
    size_t count = MIN(length - origin, most);
    imapd->body_bytes += count;
    g_string_append_printf(talk->out, " {%zu}\r\n", count);
    g_string_append_len(talk->out, bytes + origin, (gssize)count);
}

static void put_header(GString *out, const struct imapd_message *message, const char *fields)
{
    size_t length = (size_t)(strstr(message->bytes->str, "\r\n\r\n") - message->bytes->str) + 4;
    size_t list = strcspn(fields, "]");
    g_string_append_printf(out, " BODY[%.*s] {%zu}\r\n", (int)list, fields, length);
    g_string_append_len(out, message->bytes->str, (gssize)length);
}

static void put_fetch(struct talk *talk, guint sequence, const struct imapd_message *message,
                      const char *items)
{
    GString *out = talk->out;
    const char *body = strstr(items, "BODY.PEEK[");
    const char *fields = strstr(items, "BODY.PEEK[HEADER.FIELDS");
    g_string_append_printf(out, "* %u FETCH (UID %u", sequence, message->uid);
    if (strstr(items, "FLAGS") != NULL)
        g_string_append_printf(out, " FLAGS (%s)", message->flags);
    if (strstr(items, "MODSEQ") != NULL || strstr(items, "CHANGEDSINCE") != NULL ||
        (talk->imapd->modseqs && strstr(items, "FLAGS") != NULL))
        g_string_append_printf(out, " MODSEQ (%" G_GUINT64_FORMAT ")", message->modseq);
    if (strstr(items, "EMAILID") != NULL)
        g_string_append_printf(out, " EMAILID (M%zu)", message->bytes->len);
    if (strstr(items, "RFC822.SIZE") != NULL)
        g_string_append_printf(out, " RFC822.SIZE %" G_GINT64_FORMAT,
                               message->claimed >= 0 ? message->claimed
                                                     : (int64_t)message->bytes->len);
    if (strstr(items, "INTERNALDATE") != NULL && !message->bare)
        g_string_append_printf(out, " INTERNALDATE \"%s\"",
                               message->date != NULL ? message->date
                                                     : "20-Nov-2026 12:00:00 +0000");
    if (strstr(items, "BODYSTRUCTURE") != NULL)
        put_structure(out, message);
    if (fields != NULL && !message->bare) {
        put_header(out, message, fields + strlen("BODY.PEEK["));
    } else if (fields == NULL && body != NULL) {
        const char *section = body + strlen("BODY.PEEK[");
        size_t length = strcspn(section, "]");
        g_autofree char *name = g_strndup(section, length);
        put_body(talk, message, name, section + length + 1);
    }
    g_string_append(out, ")\r\n");
}

/* Returns the answer's words. */
static const char *talk_fetch(struct talk *talk, const char *set, const char *items)
{
    struct imapd *imapd = talk->imapd;
    const char *since = strstr(items, "CHANGEDSINCE ");
    guint64 modseq = since != NULL ? g_ascii_strtoull(since + 13, NULL, 10) : 0;
    imapd->fetches++;
    imapd->structures += strstr(items, "BODYSTRUCTURE") != NULL;
    if (imapd->throttle != NULL) {
        const char *words = imapd->throttle;
        imapd->throttle = NULL;
        return words;
    }
    for (guint i = 0; i < talk->box->messages->len; i++) {
        const struct imapd_message *message = talk->box->messages->pdata[i];
        bool hidden = message->gone && (!imapd->placeholder || strstr(items, "BODY.PEEK[") == NULL);
        if (!talk_set_has(set, message->uid) || message->modseq <= modseq || hidden)
            continue;
        if (message->refused && strstr(items, "BODY.PEEK[") != NULL)
            return "NO [SERVERBUG] server error";
        if (imapd->search_most > 0 && i >= imapd->search_most)
            break;
        put_fetch(talk, i + 1, message, items);
    }
    return "OK fetched";
}

static const char *talk_search(struct talk *talk, bool extended)
{
    talk->imapd->searches++;
    g_string_append(talk->out, extended ? "* ESEARCH (TAG \"x\") UID" : "* SEARCH");
    unsigned count = 0;
    for (guint i = talk->imapd->search_short; i < talk->box->messages->len; i++) {
        const struct imapd_message *message = talk->box->messages->pdata[i];
        if (talk->imapd->search_most > 0 && i >= talk->imapd->search_most)
            break;
        if (extended)
            g_string_append_printf(talk->out, "%s%u", count++ == 0 ? " ALL " : ",", message->uid);
        else
            g_string_append_printf(talk->out, " %u", message->uid);
    }
    talk->imapd->search_short = 0;
    g_string_append(talk->out, "\r\n");
    return "OK searched";
}

static void talk_hold(const struct talk *talk, const bool *held)
{
    struct imapd *imapd = talk->imapd;
    while (*held && !g_cancellable_is_cancelled(imapd->cancel)) {
        g_mutex_unlock(&imapd->lock);
        g_usleep(1000);
        g_mutex_lock(&imapd->lock);
    }
}

static const char *talk_examine(struct talk *talk, const char *name)
{
    struct imapd *imapd = talk->imapd;
    g_autofree char *plain = g_strdup(name);
    g_strdelimit(plain, "\"", ' ');
    g_strstrip(plain);
    imapd->examines++;
    talk_hold(talk, &imapd->examine_held);
    talk->box = imapd_box(imapd, plain);
    if (talk->box != NULL && imapd->renumber > 0 && imapd->renumber--)
        imapd_renumber(talk->box);
    talk->read_only = true;
    if (talk->box == NULL)
        return "NO [NONEXISTENT] no such mailbox";
    /* what another expunged is seen by those who select anew */
    for (guint i = talk->box->messages->len; i-- > 0;)
        if (((struct imapd_message *)talk->box->messages->pdata[i])->gone && !imapd->placeholder)
            g_ptr_array_remove_index(talk->box->messages, i);
    g_string_append_printf(talk->out,
                           "* %u EXISTS\r\n* OK [UIDVALIDITY %u] .\r\n* OK [UIDNEXT %u] .\r\n",
                           talk->box->messages->len, talk->box->uidvalidity, talk->box->uidnext);
    if (strstr(imapd->capabilities, "CONDSTORE") != NULL)
        g_string_append_printf(talk->out, "* OK [HIGHESTMODSEQ %" G_GUINT64_FORMAT "] .\r\n",
                               talk->box->modseq);
    talk_resync(talk);
    return "OK [READ-ONLY] selected";
}

static const char *talk_select(struct talk *talk, const char *name)
{
    struct imapd *imapd = talk->imapd;
    const char *words = talk_examine(talk, name);
    imapd->examines--;
    imapd->selects++;
    if (!g_str_has_prefix(words, "OK"))
        return words;
    talk->read_only = imapd->read_box != NULL && strcmp(imapd->read_box, talk->box->name) == 0;
    return talk->read_only ? words : "OK [READ-WRITE] selected";
}

struct imapd_box *talk_box(struct talk *talk, const char *name)
{
    return imapd_box(talk->imapd, name);
}

bool talk_can(const struct talk *talk, const char *capability)
{
    g_auto(GStrv) words = g_strsplit(talk->imapd->capabilities, " ", -1);
    return g_strv_contains((const char *const *)words, capability);
}

static const char *talk_list(struct talk *talk, bool status)
{
    struct imapd *imapd = talk->imapd;
    imapd->lists++;
    if (imapd->list_blind > 0 && !talk->blind) {
        imapd->list_blind--;
        talk->blind = true;
    }
    for (guint i = 0; i < imapd->boxes->len; i++) {
        const struct imapd_box *box = imapd->boxes->pdata[i];
        if ((talk->blind && strcmp(box->name, "INBOX") != 0) ||
            (talk->frozen > 0 && i >= talk->frozen))
            continue;
        g_string_append_printf(talk->out, "* LIST (%s) \"/\" \"%s\"\r\n", box->list_flags,
                               box->name);
        if (status)
            talk_put_status(talk, box);
    }
    talk_hold(talk, &imapd->list_held);
    return "OK listed";
}

static const char *talk_login(struct talk *talk, const char *rest)
{
    struct imapd *imapd = talk->imapd;
    imapd->attempts++;
    if (strstr(rest, imapd->password) == NULL) {
        if (!g_str_has_prefix(imapd->refusal, "*"))
            return imapd->refusal;
        g_string_append_printf(talk->out, "%s\r\n", imapd->refusal);
        return "NO";
    }
    if (imapd->connections_max > 0 && imapd->sockets->len > imapd->connections_max)
        return "NO [ALERT] Too many simultaneous connections.";
    imapd->signed_in++;
    return "OK signed in";
}

/* What is between the first word's end and the line's. */
const char *talk_after(const char *text, const char *word)
{
    return g_ascii_strncasecmp(text, word, strlen(word)) == 0 ? text + strlen(word) : NULL;
}

static const char *talk_uid(struct talk *talk, const char *rest)
{
    const char *at;
    if (talk->box == NULL)
        return "BAD nothing is selected";
    const char *words = talk_change_uid(talk, rest);
    if (words != NULL)
        return words;
    if ((at = talk_after(rest, "SEARCH")) != NULL)
        return talk_search(talk, strstr(at, "RETURN") != NULL);
    if ((at = talk_after(rest, "FETCH ")) == NULL)
        return "BAD what?";
    g_autofree char *set = g_strndup(at, strcspn(at, " "));
    words = talk_fetch(talk, set, at + strlen(set));
    if (g_str_has_suffix(at, " (UID FLAGS MODSEQ)"))
        talk_hold(talk, &talk->imapd->flags_held);
    return words;
}

static void name_trim(struct talk *talk, char *name)
{
    char *option = strstr(name, " (CONDSTORE)");
    if (option != NULL)
        *option = '\0';
    talk_resync_take(talk, name);
}

static const char *talk_command(struct talk *talk, const char *line)
{
    const char *at;
    struct imapd *imapd = talk->imapd;
    const char *words = talk_change(talk, line);
    words = words != NULL ? words : talk_live(talk, line);
    if (words != NULL)
        return words;
    if ((at = talk_after(line, "SELECT ")) != NULL) {
        g_autofree char *name = g_strdup(at);
        name_trim(talk, name);
        return talk_select(talk, name);
    }
    if ((at = talk_after(line, "UID ")) != NULL)
        return talk_uid(talk, at);
    if ((at = talk_after(line, "EXAMINE ")) != NULL) {
        g_autofree char *name = g_strdup(at);
        name_trim(talk, name);
        return talk_examine(talk, name);
    }
    if ((at = talk_after(line, "LOGIN ")) != NULL)
        return talk_login(talk, at);
    if (talk_after(line, "LIST") != NULL)
        return talk_list(talk, strstr(line, "STATUS (") != NULL);
    if (talk_after(line, "CAPABILITY") != NULL)
        g_string_append_printf(talk->out, "* CAPABILITY IMAP4rev1 %s\r\n", imapd->capabilities);
    else if (talk_after(line, "LOGOUT") != NULL)
        talk->over = true;
    else if (talk_after(line, "NOOP") != NULL)
        imapd->noops++;
    else if (talk_after(line, "LSUB") == NULL && talk_after(line, "UNSELECT") == NULL)
        return "BAD unknown command";
    return "OK done";
}

static void talk_line(struct talk *talk, char *line)
{
    char *rest = strchr(line, ' ');
    if (talk_idle(talk, line) || rest == NULL)
        return;
    *rest++ = '\0';
    g_mutex_lock(&talk->imapd->lock);
    const char *stuck = talk->imapd->stall_box;
    bool stall = talk->imapd->stall ||
                 (stuck != NULL && talk->box != NULL && strcmp(talk->box->name, stuck) == 0);
    if (talk_after(rest, "LOGIN") == NULL)
        g_ptr_array_add(talk->imapd->lines, g_strdup(rest));
    const char *words = talk_flaw(talk, rest, false);
    if (words == NULL && !stall) {
        words = talk_command(talk, rest);
        const char *other = talk_flaw(talk, rest, true);
        words = other != NULL ? other : words;
    }
    if (words != NULL && words[0] == '\0')
        stall = talk->imapd->stall = true;
    g_autofree char *answer = g_strdup(words);
    words = answer;
    g_mutex_unlock(&talk->imapd->lock);
    if (talk->over)
        g_string_truncate(talk->out, 0);
    else if (!stall)
        g_string_append_printf(talk->out, "%s %s\r\n", line, words);
    if (talk->out->len > 65536)
        talk_flush(talk);
}

/* How long a literal the line announces, -1: none. `*waits`: for "+". */
static int64_t literal_size(const char *line, bool *waits)
{
    size_t length = strlen(line);
    const char *open = strrchr(line, '{');
    if (open == NULL || length == 0 || line[length - 1] != '}')
        return -1;
    *waits = line[length - 2] != '+';
    return (int64_t)g_ascii_strtoull(open + 1, NULL, 10);
}

/* Takes a literal out of `in`, reading on as needed. */
static bool talk_literal(struct talk *talk, GString *in, size_t size)
{
    GInputStream *stream = g_io_stream_get_input_stream(G_IO_STREAM(talk->connection));
    char buffer[65536];
    g_mutex_lock(&talk->imapd->lock);
    int64_t cut = talk->imapd->cut_literal;
    talk->imapd->cut_literal = -1;
    g_mutex_unlock(&talk->imapd->lock);
    while (in->len < size + 2) {
        if (cut >= 0 && in->len >= (size_t)cut)
            return false;
        gssize got = g_input_stream_read(stream, buffer, sizeof buffer, NULL, NULL);
        if (got <= 0)
            return false;
        g_string_append_len(in, buffer, got);
    }
    if (cut >= 0)
        return false;
    talk->literal = g_string_new_len(in->str, (gssize)size);
    g_string_erase(in, 0, (gssize)size + 2);
    return true;
}

/* Every read that brings commands is one flight: a round trip, if the client waits. */
static void talk_run(struct talk *talk)
{
    g_autoptr(GString) in = g_string_new(NULL);
    GInputStream *stream = g_io_stream_get_input_stream(G_IO_STREAM(talk->connection));
    char buffer[65536];
    gssize got;
    g_string_append_printf(talk->out, "* OK %s\r\n", talk->imapd->greeting);
    talk_flush(talk);
    while (!talk->over &&
           (got = g_input_stream_read(stream, buffer, sizeof buffer, NULL, NULL)) > 0) {
        g_string_append_len(in, buffer, got);
        char *end;
        bool any = false;
        while (!talk->over && (end = strstr(in->str, "\r\n")) != NULL) {
            g_autofree char *line = g_strndup(in->str, (gsize)(end - in->str));
            g_string_erase(in, 0, end + 2 - in->str);
            bool waits = false;
            int64_t size = literal_size(line, &waits);
            if (size >= 0 && waits) {
                g_string_append(talk->out, "+ go on\r\n");
                talk_flush(talk);
            }
            if (size >= 0 && !talk_literal(talk, in, (size_t)size)) {
                talk->over = true;
                break;
            }
            talk_line(talk, line);
            if (talk->literal != NULL)
                g_string_free(g_steal_pointer(&talk->literal), TRUE);
            any = true;
        }
        g_mutex_lock(&talk->imapd->lock);
        talk->imapd->flights += any;
        g_mutex_unlock(&talk->imapd->lock);
        if (!talk->over || talk->out->len > 0)
            talk_flush(talk);
    }
    if (talk->literal != NULL)
        g_string_free(g_steal_pointer(&talk->literal), TRUE);
}

static gpointer talk_thread(gpointer data)
{
    struct talk *talk = data;
    talk_run(talk);
    g_mutex_lock(&talk->imapd->lock);
    g_ptr_array_remove(talk->imapd->sockets, talk->connection);
    g_ptr_array_remove(talk->imapd->talks, talk);
    g_mutex_unlock(&talk->imapd->lock);
    g_io_stream_close(G_IO_STREAM(talk->connection), NULL, NULL);
    g_object_unref(talk->connection);
    g_string_free(talk->out, TRUE);
    g_free(talk->idle);
    g_mutex_clear(&talk->writing);
    g_free(talk);
    return NULL;
}

/* ---- the server ------------------------------------------------------------------------------ */

static gpointer imapd_accept(gpointer data)
{
    struct imapd *imapd = data;
    GSocketConnection *connection;
    while ((connection = g_socket_listener_accept(imapd->listener, NULL, imapd->cancel, NULL)) !=
           NULL) {
        struct talk *talk = g_new0(struct talk, 1);
        talk->imapd = imapd;
        talk->connection = connection;
        talk->out = g_string_new(NULL);
        g_mutex_init(&talk->writing);
        g_mutex_lock(&imapd->lock);
        g_ptr_array_add(imapd->sockets, connection);
        g_ptr_array_add(imapd->talks, talk);
        g_ptr_array_add(imapd->threads, g_thread_new("imapd-talk", talk_thread, talk));
        g_mutex_unlock(&imapd->lock);
    }
    return NULL;
}

/* At the same port as before; the first time at a free one. */
void imapd_up(struct imapd *imapd)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
    g_autoptr(GSocketAddress) wanted = g_inet_socket_address_new(loopback, imapd->port);
    g_autoptr(GSocketAddress) bound = NULL;
    imapd->listener = g_socket_listener_new();
    imapd->cancel = g_cancellable_new();
    g_socket_listener_add_address(imapd->listener, wanted, G_SOCKET_TYPE_STREAM,
                                  G_SOCKET_PROTOCOL_TCP, NULL, &bound, &error);
    g_assert_no_error(error);
    imapd->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
    imapd->thread = g_thread_new("imapd", imapd_accept, imapd);
}

struct imapd *imapd_start(void)
{
    struct imapd *imapd = g_new0(struct imapd, 1);
    g_mutex_init(&imapd->lock);
    imapd->boxes = g_ptr_array_new_with_free_func((GDestroyNotify)box_free);
    imapd->sockets = g_ptr_array_new();
    imapd->threads = g_ptr_array_new();
    imapd->talks = g_ptr_array_new();
    imapd->capabilities = "CONDSTORE ESEARCH UIDPLUS SPECIAL-USE";
    imapd->password = "secret";
    imapd->greeting = "ready.";
    imapd->refusal = "NO [AUTHENTICATIONFAILED] wrong password";
    imapd->cut_after = imapd->cut_literal = -1;
    imapd->lines = g_ptr_array_new_with_free_func(g_free);
    imapd_up(imapd);
    return imapd;
}

void imapd_hang_up(struct imapd *imapd)
{
    g_mutex_lock(&imapd->lock);
    for (guint i = 0; i < imapd->sockets->len; i++)
        g_socket_shutdown(g_socket_connection_get_socket(imapd->sockets->pdata[i]), TRUE, TRUE,
                          NULL);
    g_mutex_unlock(&imapd->lock);
}

void imapd_down(struct imapd *imapd)
{
    g_cancellable_cancel(imapd->cancel);
    g_thread_join(imapd->thread);
    g_socket_listener_close(imapd->listener);
    g_clear_object(&imapd->listener);
    g_clear_object(&imapd->cancel);
    imapd_hang_up(imapd);
    for (guint i = 0; i < imapd->threads->len; i++)
        g_thread_join(imapd->threads->pdata[i]);
    g_ptr_array_set_size(imapd->threads, 0);
}

void imapd_stop(struct imapd *imapd)
{
    if (imapd->listener != NULL)
        imapd_down(imapd);
    g_ptr_array_unref(imapd->boxes);
    g_ptr_array_unref(imapd->sockets);
    g_ptr_array_unref(imapd->threads);
    g_ptr_array_unref(imapd->talks);
    g_ptr_array_unref(imapd->lines);
    g_mutex_clear(&imapd->lock);
    g_free(imapd->late);
    g_free(imapd);
}

uint64_t imapd_count(struct imapd *imapd, const uint64_t *counter)
{
    g_mutex_lock(&imapd->lock);
    uint64_t count = *counter;
    g_mutex_unlock(&imapd->lock);
    return count;
}

void imapd_forget_counts(struct imapd *imapd)
{
    g_mutex_lock(&imapd->lock);
    imapd->signed_in = imapd->flights = imapd->examines = imapd->lists = imapd->searches = 0;
    imapd->fetches = imapd->structures = imapd->bodies = imapd->noops = 0;
    imapd->body_bytes = imapd->attempts = 0;
    imapd->selects = imapd->moves = imapd->copies = imapd->stores = imapd->expunges = 0;
    imapd->appends = imapd->creates = imapd->deletes = imapd->renames = 0;
    imapd->subscribes = imapd->statuses = imapd->rights = 0;
    imapd->idles = imapd->notifies = imapd->resyncs = 0;
    g_ptr_array_set_size(imapd->lines, 0);
    g_mutex_unlock(&imapd->lock);
}

unsigned imapd_count_lines(struct imapd *imapd, const char *prefix)
{
    unsigned count = 0;
    g_mutex_lock(&imapd->lock);
    for (guint i = 0; i < imapd->lines->len; i++)
        count += g_str_has_prefix(imapd->lines->pdata[i], prefix);
    g_mutex_unlock(&imapd->lock);
    return count;
}
