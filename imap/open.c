/* Opening a session: one conversation, step by step, in a thread that may wait. */
#include "imap/opening.h"

#include "imap/auth.h"
#include "imap/transcript.h"
#include "imap/write.h"

#include <string.h>

enum {
    GREETING_MAX = 1024,
    TEXT_MAX = 300,
    WORDS_MAX = 4 * TEXT_MAX, /* bytes of the server's words that are looked at */
    ATTEMPTS_MAX = 6,
};

bool imap_opening_fail(struct opening *o, enum imap_error code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error_literal(o->error, IMAP_ERROR, (gint)code, text);
    return false;
}

char *imap_opening_shown(const struct opening *o, const char *text)
{
    g_autoptr(GString) line = g_string_new_len(text, (gssize)strnlen(text, WORDS_MAX));

    imap_hidden_cover(o->hidden, line);
    return imap_text_safe(line->str, line->len, TEXT_MAX);
}

char *imap_opening_said(const struct opening *o, const char *text)
{
    char *said = g_strstrip(imap_opening_shown(o, text));

    for (size_t length = strlen(said); length > 0 && said[length - 1] == '.'; length--)
        said[length - 1] = '\0';
    if (*said)
        return said;
    g_free(said);
    return g_strdup("no reason given");
}

/* ---- talking ----------------------------------------------------------------------------------
 */

void imap_opening_say(struct opening *o, const char *bytes, size_t length, const char *shown)
{
    imap_stream_put(o->session->stream, bytes, length, shown);
}

/* Writes what waits and reads what comes. Returns how many bytes are in `buffer`; 0 with `error`
 * set. */
static size_t hear(struct opening *o, char *buffer, size_t size)
{
    struct imap_stream *stream = o->session->stream;

    for (;;) {
        int written = imap_stream_flush(stream);
        ssize_t n = imap_stream_read(stream, buffer, size);
        if (n > 0) {
            imap_wait_progress(&o->wait);
            return (size_t)n;
        }
        if (n < 0 || written < 0) {
            g_autofree char *why = imap_stream_reason_wait(stream);
            imap_opening_fail(o, IMAP_ERROR_LOST, "%s ended the connection: %s", o->server->host,
                              why);
            return 0;
        }
        if (!imap_stream_wait(stream, &o->wait, o->error))
            return 0;
    }
}

/* What counts whenever it comes. False: the conversation is over. */
static bool heed(struct opening *o, const struct imap_reply *reply)
{
    struct imap_session *session = o->session;

    if (reply->kind == IMAP_REPLY_CAPABILITY ||
        (reply->words && reply->code && strcmp(reply->code, "CAPABILITY") == 0))
        imap_capabilities_set(&session->capabilities, reply->words);
    if (reply->kind == IMAP_REPLY_ENABLED)
        imap_session_enabled(session, reply->words);
    if (reply->kind == IMAP_REPLY_NAMESPACE) {
        g_strfreev(session->namespaces);
        session->namespaces = g_strdupv((char **)reply->words);
    }
    if (reply->kind == IMAP_REPLY_ID && reply->id_name && *reply->id_name) {
        g_free(session->server_name);
        session->server_name = imap_opening_shown(o, reply->id_name);
    }
    if (reply->code && strcmp(reply->code, "ALERT") == 0) {
        g_autofree char *text = imap_opening_said(o, reply->text);
        imap_session_alert(session, text);
    }
    if (reply->kind != IMAP_REPLY_CONDITION || reply->condition != IMAP_COND_BYE)
        return true;
    enum imap_error error = imap_auth_error(reply->code, reply->text, IMAP_OK);
    if (error == IMAP_ERROR_UNAVAILABLE)
        o->asking = false; /* it is not for what was asked */
    if (error != IMAP_ERROR_LOGIN || !o->signing)
        error = IMAP_ERROR_UNAVAILABLE;
    g_autofree char *text = imap_opening_said(o, reply->text);
    return imap_opening_fail(o, error, "%s ends the connection: %s", o->server->host, text);
}

bool imap_opening_reply(struct opening *o, struct imap_reply *reply)
{
    char buffer[16 * 1024];

    for (;;) {
        int rc = imap_parser_next(o->session->parser, o->session->utf8, reply);
        if (rc > 0)
            return heed(o, reply);
        if (rc < 0)
            return imap_opening_fail(o, IMAP_ERROR_PROTOCOL, "the replies of %s make no sense",
                                     o->server->host);
        size_t n = hear(o, buffer, o->bytewise ? 1 : sizeof(buffer));
        if (n == 0)
            return false;
        imap_parser_feed(o->session->parser, buffer, n);
    }
}

bool imap_opening_answer(struct opening *o, const char *tag, bool plus, struct imap_reply *reply)
{
    while (imap_opening_reply(o, reply)) {
        if (reply->kind == IMAP_REPLY_TAGGED && strcmp(reply->tag, tag) == 0)
            return true;
        if (reply->kind == IMAP_REPLY_CONTINUE && plus)
            return true;
    }
    return false;
}

bool imap_opening_command(struct opening *o, const char *text, struct imap_reply *reply)
{
    char tag[24];

    imap_tag_next(tag);
    g_autofree char *line = g_strdup_printf("%s %s\r\n", tag, text);
    imap_opening_say(o, line, strlen(line), NULL);
    return imap_opening_answer(o, tag, false, reply);
}

/* ---- the greeting -----------------------------------------------------------------------------
 */

/* Where it was reached, the caller's. */
static char *place(const struct opening *o)
{
    return o->server->tunnel ? g_strdup("through tunnel_command")
                             : g_strdup_printf("at port %u", o->server->port);
}

static bool not_imap(struct opening *o, const char *bytes, size_t length)
{
    g_autofree char *where = place(o);
    bool tls = length >= 2 && bytes[0] >= 0x14 && bytes[0] <= 0x18 && bytes[1] == 0x03;
    if (tls)
        return imap_opening_fail(o, IMAP_ERROR_NOT_IMAP,
                                 "%s does not speak IMAP in the clear %s but TLS; use imaps://",
                                 o->server->host, where);

    g_autofree char *line = imap_text_line(bytes, length, 100);
    if (!*line)
        return imap_opening_fail(o, IMAP_ERROR_NOT_IMAP,
                                 "%s does not speak IMAP %s: it says nothing", o->server->host,
                                 where);
    return imap_opening_fail(o, IMAP_ERROR_NOT_IMAP, "%s does not speak IMAP %s: it says \"%s\"",
                             o->server->host, where, line);
}

/* Reads the first line as bytes, since what is no IMAP need not look like a reply at all. */
static bool first_line(struct opening *o)
{
    char bytes[GREETING_MAX];
    size_t length = 0, skip = 0;

    while (length < sizeof(bytes) && !memchr(bytes, '\n', length)) {
        size_t n = hear(o, bytes + length, sizeof(bytes) - length);
        if (n == 0)
            break;
        length += n;
        for (skip = 0; skip < length && strchr("\r\n", bytes[skip]);) /* NUL padding too */
            skip++;
        if (length > skip && bytes[skip] != '*')
            return not_imap(o, bytes + skip, length - skip);
        if (skip == length)
            length = 0;
    }
    if (length == 0) {
        bool sure =
            imap_stream_is_secure(o->session->stream) || o->server->tunnel || o->server->worked;
        g_autofree char *where = place(o);
        if (g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_TIMEOUT))
            g_prefix_error(o->error, "no greeting %s%s: ", where,
                           sure ? "" : " (if that is a TLS port, use imaps://)");
        return false;
    }
    g_clear_error(o->error);
    imap_parser_feed(o->session->parser, bytes + skip, length - skip);
    return true;
}

/* What the server is and how it lets people in. */
static void server_tell(const struct opening *o)
{
    const struct imap_session *session = o->session;
    const GPtrArray *mechanisms = session->capabilities.mechanisms;
    g_autoptr(GString) text = g_string_new(session->server_name);
    bool command = !(session->capabilities.flags & IMAP_CAP_LOGINDISABLED);

    g_string_append(text, o->preauth ? "" : "; lets in by ");
    g_string_append(text, command && !o->preauth ? "LOGIN command" : "");
    for (guint i = 0; mechanisms && i < mechanisms->len; i++)
        g_string_append_printf(text, "%s%s", i || command ? ", " : "",
                               (const char *)mechanisms->pdata[i]);
    imap_wait_tell(&o->wait, IMAP_STEP_SERVER, text->str);
}

static bool greeting(struct opening *o)
{
    struct imap_reply reply;

    if (!first_line(o) || !imap_opening_reply(o, &reply))
        return false;
    if (reply.kind != IMAP_REPLY_CONDITION ||
        (reply.condition != IMAP_COND_OK && reply.condition != IMAP_COND_PREAUTH))
        return not_imap(o, reply.text ? reply.text : "", reply.text ? strlen(reply.text) : 0);
    o->preauth = reply.condition == IMAP_COND_PREAUTH;
    if (o->preauth && o->server->tls == IMAP_TLS_NONE && !imap_stream_is_near(o->session->stream))
        return imap_opening_fail(o, IMAP_ERROR_TLS,
                                 "%s signs us in unasked (PREAUTH) on a line that anybody can "
                                 "change; use TLS or tunnel_command=",
                                 o->server->host);
    g_free(o->session->server_name);
    o->session->server_name = imap_text_safe(reply.text, strlen(reply.text), TEXT_MAX);
    return true;
}

static bool ask_capabilities(struct opening *o)
{
    struct imap_reply reply;

    if (o->session->capabilities.known)
        return true;
    if (!imap_opening_command(o, "CAPABILITY", &reply))
        return false;
    return reply.condition == IMAP_COND_OK ||
           imap_opening_fail(o, IMAP_ERROR_PROTOCOL, "%s does not tell what it can do",
                             o->server->host);
}

/* RFC 9051, 6.2.1. Nothing that came before the handshake counts after it. */
static bool starttls(struct opening *o)
{
    struct imap_session *session = o->session;
    struct imap_reply reply;

    imap_wait_tell(&o->wait, IMAP_STEP_TLS, NULL);
    if (o->preauth)
        return imap_opening_fail(o, IMAP_ERROR_TLS,
                                 "%s wants to skip TLS by signing us in unasked (PREAUTH)",
                                 o->server->host);
    if (!ask_capabilities(o))
        return false;
    if (!(session->capabilities.flags & IMAP_CAP_STARTTLS))
        return imap_opening_fail(o, IMAP_ERROR_TLS, "%s offers no STARTTLS at port %u%s",
                                 o->server->host, o->server->port,
                                 o->server->worked
                                     ? ", though it did before"
                                     : "; use imaps:// if it has TLS at another port");
    if (!imap_opening_command(o, "STARTTLS", &reply))
        return false;
    if (reply.condition != IMAP_COND_OK) {
        g_autofree char *text = imap_opening_said(o, reply.text);
        return imap_opening_fail(o, IMAP_ERROR_TLS, "%s refuses STARTTLS: %s", o->server->host,
                                 text);
    }
    if (imap_parser_pending(session->parser))
        return imap_opening_fail(o, IMAP_ERROR_TLS,
                                 "%s, or somebody between, slipped in replies before TLS was made",
                                 o->server->host);
    imap_capabilities_clear(&session->capabilities);
    g_ptr_array_set_size(session->alerts, 0);
    if (imap_stream_secure(session->stream, o->server, &o->wait, o->error))
        return true;
    if (g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_NOT_IMAP))
        (*o->error)->code = IMAP_ERROR_TLS; /* it does speak IMAP, and went on with it */
    return false;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static void signed_in_tell(const struct opening *o)
{
    g_autofree char *text =
        o->preauth ? g_strdup("the server knows who we are (PREAUTH)")
                   : g_strdup_printf("as %s by %s", o->login->user, o->session->mechanism);

    imap_wait_tell(&o->wait, IMAP_STEP_SIGN_IN, text);
}

static bool opening_run(struct opening *o)
{
    struct imap_session *session = o->session;

    session->stream = imap_stream_open(o->server, session->number, &o->wait, o->error);
    if (!session->stream)
        return false;
    imap_stream_hide(session->stream, o->hidden);
    if (o->server->tls == IMAP_TLS_IMPLICIT &&
        !imap_stream_secure(session->stream, o->server, &o->wait, o->error))
        return false;
    imap_wait_tell(&o->wait, IMAP_STEP_SERVER, NULL);
    if (!greeting(o))
        return false;
    if (o->server->tls == IMAP_TLS_STARTTLS && !starttls(o))
        return false;
    imap_wait_tell(&o->wait, IMAP_STEP_SERVER, NULL);
    if (!o->preauth && !ask_capabilities(o))
        return false;
    server_tell(o);
    imap_wait_tell(&o->wait, IMAP_STEP_SIGN_IN, NULL);
    if (!o->preauth && !imap_opening_sign_in(o))
        return false;
    if (!imap_opening_introduce(o) || !imap_opening_compress(o))
        return false;
    signed_in_tell(o);
    return true;
}

static bool opening_try(struct opening *o)
{
    const struct imap_limits limits = {.literal_max = o->server->literal_max};
    struct imap_session *session = o->session = imap_session_new();

    o->asking = false;
    o->caution = imap_flaws_begin(o->server->flaws);
    session->flaws = imap_flaws_ref(o->server->flaws);
    session->capabilities.without = o->caution.known;
    session->crowds = o->caution.crowds;
    session->queue.serial = o->caution.known & IMAP_FLAW_PIPELINING;
    session->parser = imap_parser_new(&limits);
    if (opening_run(o)) {
        imap_stream_hide(session->stream, NULL);
        return true;
    }
    if (!o->asking && session->stream &&
        (g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_LOST) ||
         g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_TIMEOUT)))
        imap_flaws_lost(o->server->flaws);
    g_clear_pointer(&o->session, imap_session_free);
    return false;
}

/* Whether it failed of what was asked, so that it may go better without. */
static bool opening_learns(struct opening *o)
{
    if (!o->asking || g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_CANCELLED))
        return false;
    o->cut.silent = g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_TIMEOUT);
    return imap_flaws_cut_short(o->server->flaws, &o->cut);
}

/* Signing in without binding to TLS would be what somebody between wants, so that is for the user
 * to say. */
static void unbound_refused(struct opening *o)
{
    GError *error = *o->error;
    g_autofree char *plain = g_ascii_strdown(o->unbound, -1), *message = error->message;

    *strstr(plain, "-plus") = '\0';
    error->message = g_strdup_printf("%s; auth=%s signs in without binding to TLS", message, plain);
    if (error->code != IMAP_ERROR_LOST)
        error->code = IMAP_ERROR_MECHANISM;
}

struct imap_session *imap_session_open(const struct imap_server *server,
                                       const struct imap_login *login, GCancellable *cancel,
                                       GError **error)
{
    GError *failure = NULL;
    g_autoptr(imap_hidden) hidden = imap_hidden_new(login->user);
    struct opening o = {.server = server, .login = login, .hidden = hidden, .error = &failure};

    imap_hidden_add(hidden, login->secret, true);
    imap_hidden_add(hidden, login->token, false);
    imap_wait_start(&o.wait, server->host, server->timeout_s, cancel);
    o.wait.server = server;
    bool opened = opening_try(&o);
    /* once more, on a new connection: there are two ways (RFC 5929, RFC 9266) */
    if (!opened && o.unbound) {
        g_clear_error(&failure);
        o.other_binding = true;
        o.unbound = NULL;
        opened = opening_try(&o);
    }
    for (unsigned i = 1; !opened && opening_learns(&o) && i < ATTEMPTS_MAX; i++) {
        g_info("%s; once more", failure->message);
        g_clear_error(&failure);
        imap_wait_start(&o.wait, server->host, server->timeout_s, cancel);
        o.wait.server = server;
        opened = opening_try(&o);
    }
    if (opened) {
        imap_flaws_through(server->flaws);
        return o.session;
    }
    if (o.unbound)
        unbound_refused(&o);
    g_propagate_error(error, failure);
    return NULL;
}
