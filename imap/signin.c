/* Signing in: the exchange with the server. */
#include "imap/aside.h"
#include "imap/auth.h"
#include "imap/opening.h"
#include "imap/write.h"

#include <string.h>

enum {
    INITIAL_MAX = 7000, /* a longer initial response goes as an answer instead */
    QUOTED_MAX = 1000,  /* a longer argument of LOGIN goes as a literal */
    CHALLENGES_MAX = 32,
};

#define fail imap_opening_fail

enum outcome {
    SIGNED_IN,
    NOT_SIGNED_IN, /* the error is set */
    PASSED_OVER,   /* the error is set, but no secret was refused: another mechanism may do */
};

/* ---- which way of binding a server takes ------------------------------------------------------
 * There is no telling beforehand (Cyrus 3.6 wants tls-unique in TLS 1.3 too), and a refusal costs a
 * connection, so what worked is kept while the program runs. */

static GMutex bindings_lock;
static GHashTable *bindings_other; /* "host:port" of those that take the other one */

static char *server_key(const struct opening *o)
{
    return g_strdup_printf("%s:%u", o->server->host, o->server->port);
}

static bool binding_is_other(const struct opening *o)
{
    g_autofree char *key = server_key(o);

    g_mutex_lock(&bindings_lock);
    bool other = bindings_other && g_hash_table_contains(bindings_other, key);
    g_mutex_unlock(&bindings_lock);
    return other != o->other_binding;
}

static void binding_worked(const struct opening *o)
{
    g_autofree char *key = server_key(o);

    if (!o->other_binding)
        return;
    g_mutex_lock(&bindings_lock);
    if (!bindings_other)
        bindings_other = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!g_hash_table_remove(bindings_other, key))
        g_hash_table_add(bindings_other, g_steal_pointer(&key));
    g_mutex_unlock(&bindings_lock);
}

/* ---- refusals ---------------------------------------------------------------------------------
 */

/* Whether the server says that it is the password, and so not the way of binding. */
static bool blames_secret(const struct imap_reply *reply)
{
    g_autofree char *lower = g_ascii_strdown(reply->text ? reply->text : "", -1);

    return (reply->code && g_ascii_strcasecmp(reply->code, "AUTHENTICATIONFAILED") == 0) ||
           strstr(lower, "authentication fail");
}

/* Whether it says the password itself: PLAIN, and LOGIN in both forms. */
static bool is_bare(const struct imap_mechanism *mechanism)
{
    return mechanism->flags == IMAP_MECH_SECRET ||
           (mechanism->flags & (IMAP_MECH_PROMPTS | IMAP_MECH_COMMAND));
}

/* " by NAME" where there is more than a password to it. */
static char *by_mechanism(const struct imap_mechanism *mechanism)
{
    return is_bare(mechanism) ? g_strdup("") : g_strdup_printf(" by %s", mechanism->name);
}

/* The account may have no entry for this mechanism, though the password is right. A binding that is
 * refused is no reason to send more. */
static const char *way_on(const struct opening *o, const struct imap_mechanism *mechanism,
                          enum imap_error error)
{
    const struct imap_session *session = o->session;
    bool may = error == IMAP_ERROR_LOGIN && (mechanism->flags & IMAP_MECH_SECRET) &&
               !is_bare(mechanism) && !(mechanism->flags & IMAP_MECH_BINDING) &&
               imap_mechanism_automatic(o->login) && imap_stream_is_secure(session->stream) &&
               imap_capabilities_mechanism(&session->capabilities, "PLAIN");

    return may ? "; auth=plain would send the password itself, in TLS" : "";
}

static bool refused(struct opening *o, const struct imap_mechanism *mechanism,
                    const struct imap_reply *reply, const char *why)
{
    enum imap_error error = imap_auth_error(reply->code, reply->text, IMAP_ERROR_LOGIN);
    g_autofree char *text = imap_opening_said(o, reply->text ? reply->text : "");
    g_autofree char *by = by_mechanism(mechanism);
    g_autofree char *reason = why ? imap_opening_shown(o, why) : NULL;

    if ((mechanism->flags & IMAP_MECH_BINDING) && !blames_secret(reply))
        o->unbound = mechanism->name;
    return fail(o, error,
                error == IMAP_ERROR_UNAVAILABLE ? "%s cannot sign in %s now%s: %s%s%s%s"
                                                : "%s refused to sign in %s%s: %s%s%s%s",
                o->server->host, o->login->user, by, text, why ? "; " : "", why ? reason : "",
                way_on(o, mechanism, error));
}

/* ---- SASL -------------------------------------------------------------------------------------
 */

/* Sends one line of a SASL exchange, base64. */
static void say_response(struct opening *o, const char *response)
{
    GString *line = g_string_sized_new(strlen(response) + 8);

    imap_hidden_add(o->hidden, response, false);
    g_string_append(line, response);
    g_string_append(line, "\r\n");
    imap_opening_say(o, line->str, line->len, "<secret>");
    imap_wipe_string(line);
}

static void say_authenticate(struct opening *o, const char *tag, const char *name,
                             const char *initial)
{
    GString *line = g_string_sized_new(strlen(name) + (initial ? strlen(initial) : 0) + 64);
    g_autofree char *shown =
        g_strdup_printf("%s AUTHENTICATE %s%s", tag, name, initial ? " <secret>" : "");

    g_string_append_printf(line, "%s AUTHENTICATE %s", tag, name);
    if (initial) {
        imap_hidden_add(o->hidden, initial, false);
        g_string_append_c(line, ' ');
        g_string_append(line, *initial ? initial : "=");
    }
    g_string_append(line, "\r\n");
    imap_opening_say(o, line->str, line->len, shown);
    imap_wipe_string(line);
}

struct auth_step {
    struct imap_auth *auth;
    char *challenge;
};

static void auth_step_run(void *data)
{
    struct auth_step *step = data;
    imap_auth_step(step->auth, step->challenge);
}

static void auth_step_free(void *data)
{
    struct auth_step *step = data;

    imap_auth_unref(step->auth);
    g_free(step->challenge);
    g_free(step);
}

/* Does a step, in a thread of its own if it may take long. False with the error set: it takes
 * longer than `wait` allows. */
static bool auth_step(struct opening *o, struct imap_auth *auth, const char *challenge,
                      const struct imap_wait *wait)
{
    if (!imap_auth_blocks(auth)) {
        imap_auth_step(auth, challenge);
        return true;
    }
    struct auth_step *step = g_new0(struct auth_step, 1);
    step->auth = imap_auth_ref(auth);
    step->challenge = g_strdup(challenge);
    if (!imap_aside(auth_step_run, step, auth_step_free, wait, o->error))
        return false;
    imap_wait_progress(&o->wait);
    return true;
}

/* The first step. A KDC that does not answer holds up only so long what can do without, and is
 * named before somebody else finds that the time is up. */
static enum outcome auth_begin(struct opening *o, struct imap_auth *auth,
                               const struct imap_mechanism *mechanism, bool more)
{
    bool kerberos = mechanism->flags & IMAP_MECH_KERBEROS;
    struct imap_wait wait = o->wait;

    if (kerberos) {
        gint64 most_us = (gint64)wait.timeout_s * G_USEC_PER_SEC * (more ? 1 : 2) / 3;
        wait.until_us = MIN(wait.until_us, g_get_monotonic_time() + most_us);
    }
    if (!auth_step(o, auth, NULL, &wait)) {
        if (!kerberos || !g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_TIMEOUT))
            return NOT_SIGNED_IN;
        g_clear_error(o->error);
        fail(o, IMAP_ERROR_TIMEOUT, "%s: no KDC answers, so there is no sign-in by %s",
             o->server->host, mechanism->name);
        return PASSED_OVER;
    }
    if (imap_auth_state(auth) == IMAP_AUTH_DONE || imap_auth_state(auth) == IMAP_AUTH_MORE)
        return SIGNED_IN;
    fail(o, imap_auth_code(auth), "%s: %s", o->server->host, imap_auth_why(auth));
    return imap_auth_state(auth) == IMAP_AUTH_ABSENT ? PASSED_OVER : NOT_SIGNED_IN;
}

/* Ends an exchange that we do not want to go on with, whatever the server says to that. */
static bool auth_cancel(struct opening *o, struct imap_auth *auth, const char *tag,
                        const struct imap_mechanism *mechanism)
{
    g_autofree char *why = imap_opening_said(o, imap_auth_why(auth));
    struct imap_reply reply;

    say_response(o, "*");
    if (!imap_opening_answer(o, tag, true, &reply))
        g_clear_error(o->error);
    if (mechanism->flags & IMAP_MECH_BINDING)
        o->unbound = mechanism->name;
    return fail(o, imap_auth_code(auth), "%s: sign-in by %s was broken off: %s", o->server->host,
                mechanism->name, why);
}

/* All bytes from here on go through the layer, and what was told before it does not count. */
static bool auth_protect(struct opening *o, struct imap_auth *auth)
{
    if (imap_auth_layer(auth) == 0)
        return true;
    if (imap_parser_pending(o->session->parser))
        return fail(o, IMAP_ERROR_PROTOCOL, "%s: replies came before they were protected",
                    o->server->host);
    imap_capabilities_clear(&o->session->capabilities);
    imap_auth_forget(auth);
    imap_stream_protect(o->session->stream, auth);
    return true;
}

static bool auth_ended(struct opening *o, struct imap_auth *auth,
                       const struct imap_mechanism *mechanism, const struct imap_reply *reply)
{
    if (reply->condition != IMAP_COND_OK)
        return refused(o, mechanism, reply, imap_auth_why(auth));
    if (imap_auth_state(auth) == IMAP_AUTH_DONE)
        return auth_protect(o, auth);
    return fail(o, IMAP_ERROR_MECHANISM,
                "%s ends the sign-in by %s too early: it has not proved that it is the true server",
                o->server->host, mechanism->name);
}

/* The exchange from AUTHENTICATE to the tagged answer. */
static bool auth_exchange(struct opening *o, struct imap_auth *auth,
                          const struct imap_mechanism *mechanism)
{
    bool at_once = o->session->capabilities.flags & IMAP_CAP_SASL_IR;
    struct imap_reply reply;
    char tag[24];

    g_autoptr(imap_secret) initial = imap_auth_response(auth);
    at_once = at_once && initial && strlen(initial) <= INITIAL_MAX;
    imap_tag_next(tag);
    say_authenticate(o, tag, mechanism->name, at_once ? initial : NULL);
    for (unsigned i = 0; i < CHALLENGES_MAX; i++) {
        if (!imap_opening_answer(o, tag, true, &reply)) {
            if ((mechanism->flags & IMAP_MECH_BINDING) &&
                g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_LOST))
                o->unbound = mechanism->name;
            return false;
        }
        if (reply.kind == IMAP_REPLY_TAGGED)
            return auth_ended(o, auth, mechanism, &reply);
        if (initial && !at_once && i == 0) {
            say_response(o, initial);
            continue;
        }
        if (!auth_step(o, auth, reply.text, &o->wait))
            return false;
        g_autoptr(imap_secret) response = imap_auth_response(auth);
        if (imap_auth_state(auth) == IMAP_AUTH_FAILED || !response)
            return auth_cancel(o, auth, tag, mechanism);
        say_response(o, response);
    }
    return fail(o, IMAP_ERROR_PROTOCOL, "%s asks without end while signing in", o->server->host);
}

/* Whose ticket it is may not act for this user, but a password is no ticket's. */
static bool ticket_refused(const struct opening *o, const struct imap_mechanism *mechanism)
{
    return (mechanism->flags & IMAP_MECH_KERBEROS) && imap_mechanism_automatic(o->login) &&
           g_error_matches(*o->error, IMAP_ERROR, IMAP_ERROR_LOGIN);
}

static enum outcome authenticate(struct opening *o, const struct imap_mechanism *mechanism,
                                 const struct imap_line *line, bool more)
{
    g_autoptr(imap_auth) auth = imap_auth_new(mechanism, o->login, line);
    enum outcome began = auth_begin(o, auth, mechanism, more);

    if (began != SIGNED_IN)
        return began;
    /* what follows the last reply may come through a layer, which exists only in the clear */
    o->bytewise = !line->secure && imap_auth_blocks(auth);
    imap_stream_hush(o->session->stream, true);
    bool done = auth_exchange(o, auth, mechanism);
    imap_stream_hush(o->session->stream, false);
    o->bytewise = false;
    if (done)
        return SIGNED_IN;
    return ticket_refused(o, mechanism) ? PASSED_OVER : NOT_SIGNED_IN;
}

/* ---- the LOGIN command ------------------------------------------------------------------------
 */

/* Appends an argument of LOGIN, quoted or as a literal. A synchronising one begins a new piece. */
static void login_argument(struct opening *o, GPtrArray *pieces, const char *value)
{
    GString *line = pieces->pdata[pieces->len - 1];

    g_string_append_c(line, ' ');
    size_t begin = line->len;
    if (strlen(value) <= QUOTED_MAX && imap_write_quoted(line, value, false)) {
        if (value == o->login->secret)
            imap_hidden_add(o->hidden, line->str + begin, true);
        return;
    }
    if (!imap_write_literal(line, strlen(value), o->session->capabilities.flags)) {
        line = g_string_sized_new(line->allocated_len);
        g_ptr_array_add(pieces, line);
    }
    g_string_append(line, value);
}

static void piece_wipe(gpointer piece)
{
    imap_wipe_string(piece);
}

static bool login_command(struct opening *o, const struct imap_mechanism *mechanism)
{
    const char *user = o->login->user, *secret = o->login->secret;
    g_autoptr(GPtrArray) pieces = g_ptr_array_new_with_free_func(piece_wipe);
    struct imap_reply reply;
    char tag[24];

    /* room for all, escaped, so that growing leaves no copies behind */
    GString *line = g_string_sized_new(2 * (strlen(user) + strlen(secret)) + 128);
    g_ptr_array_add(pieces, line);
    imap_tag_next(tag);
    g_string_append_printf(line, "%s LOGIN", tag);
    login_argument(o, pieces, user);
    login_argument(o, pieces, secret);
    g_string_append(pieces->pdata[pieces->len - 1], "\r\n");
    g_autofree char *shown = g_strdup_printf("%s LOGIN <secret>", tag);
    for (guint i = 0; i < pieces->len; i++) {
        const GString *piece = pieces->pdata[i];
        imap_opening_say(o, piece->str, piece->len, i ? "<secret>" : shown);
        if (!imap_opening_answer(o, tag, i + 1 < pieces->len, &reply))
            return false;
        if (reply.kind == IMAP_REPLY_TAGGED)
            break;
    }
    return reply.condition == IMAP_COND_OK || refused(o, mechanism, &reply, NULL);
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/* Either the server's owner changed what it offers, or somebody between wants to hear the password.
 */
static const char *missed(const struct opening *o, const char *name)
{
    const char *before = o->login->before;

    return before && imap_mechanism_automatic(o->login) &&
                   imap_mechanism_missed(before, name, &o->session->capabilities)
               ? g_intern_string(before)
               : NULL;
}

/* In the clear anybody between can shorten the server's list, to hear what the better way keeps. A
 * tunnel is the user's own. */
static bool missed_refused(struct opening *o, const struct imap_line *line)
{
    if (!o->session->missed || line->secure || o->server->tunnel)
        return false;
    fail(
        o, IMAP_ERROR_MECHANISM,
        "%s no longer offers %s, by which %s signed in before, and there is no TLS: only auth= can "
        "say to sign in by less (%s)",
        o->server->host, o->session->missed, o->login->user, o->session->mechanism);
    return true;
}

static bool sign_in_by(struct opening *o, const GPtrArray *mechanisms, const struct imap_line *line)
{
    for (guint i = 0; i < mechanisms->len; i++) {
        const struct imap_mechanism *row = mechanisms->pdata[i];
        bool command = row->flags & IMAP_MECH_COMMAND;

        g_clear_error(o->error);
        o->session->mechanism = row->name;
        o->session->missed = missed(o, row->name);
        if (missed_refused(o, line))
            return false;
        enum outcome outcome = command ? login_command(o, row) ? SIGNED_IN : NOT_SIGNED_IN
                                       : authenticate(o, row, line, i + 1 < mechanisms->len);
        if (outcome == SIGNED_IN && (row->flags & IMAP_MECH_BINDING))
            binding_worked(o);
        if (outcome != PASSED_OVER)
            return outcome == SIGNED_IN;
        g_info("connection %u: %s", o->session->number, (*o->error)->message);
    }
    return false;
}

bool imap_opening_sign_in(struct opening *o)
{
    struct imap_session *session = o->session;
    struct imap_line line = {
        .host = o->server->host,
        .port = o->server->port,
        .secure = imap_stream_is_secure(session->stream),
        .identity = o->server->cert_file != NULL,
    };

    if (o->server->tls != IMAP_TLS_NONE && !line.secure)
        return fail(o, IMAP_ERROR_TLS, "%s: no TLS, so nobody is signed in", o->server->host);
    g_autoptr(GBytes) binding =
        imap_stream_binding(session->stream, binding_is_other(o), &line.binding_name);
    line.binding = binding;
    g_autoptr(GPtrArray) mechanisms =
        imap_mechanisms_choose(o->login, &session->capabilities, &line, o->error);
    if (!mechanisms)
        return false;
    session->capabilities.known = false;
    o->signing = true;
    bool done = sign_in_by(o, mechanisms, &line);
    o->signing = false;
    return done;
}
