#include "imap/session.h"

#include <string.h>

enum { TURN_MAX = 1024 * 1024, READ_SIZE = 64 * 1024 };

/* ---- life -------------------------------------------------------------------------------------
 */

struct imap_session *imap_session_new(void)
{
    static gint last;
    struct imap_session *session = g_new0(struct imap_session, 1);

    session->number = (unsigned)g_atomic_int_add(&last, 1) + 1;
    session->server_name = g_strdup("");
    session->alerts = g_ptr_array_new_with_free_func(g_free);
    session->holds = 1;
    imap_mailbox_init(&session->mailbox);
    return session;
}

/* Gives up one use of the memory; the last frees it. */
static void session_release(struct imap_session *session)
{
    if (--session->holds > 0)
        return;
    imap_stream_free(session->stream);
    imap_parser_free(session->parser);
    imap_flaws_unref(session->flaws);
    imap_capabilities_clear(&session->capabilities);
    imap_queue_clear(&session->queue);
    imap_mailbox_clear(&session->mailbox);
    g_ptr_array_unref(session->alerts);
    g_free(session->server_name);
    g_strfreev(session->namespaces);
    g_free(session->wanted);
    g_free(session->closed_text);
    g_free(session);
}

void imap_session_fail(struct imap_session *session, enum imap_error error, const char *text)
{
    if (session->closed)
        return;
    g_debug("connection %u ends: %s", session->number, text);
    if (error != IMAP_ERROR_UNAVAILABLE)
        imap_flaws_ended(session);
    session->closed = error;
    session->closed_text = g_strdup(text);
    imap_mailbox_reset(&session->mailbox, false);
    if (session->fd_tag)
        g_source_remove_unix_fd(session->source, session->fd_tag);
    session->fd_tag = NULL;
    imap_session_wake(session);
}

void imap_session_heed(struct imap_session *session)
{
    unsigned known = imap_flaws_known(session->flaws);

    session->capabilities.without |= known;
    session->capabilities.flags &= ~known;
    session->queue.serial |= (known & IMAP_FLAW_PIPELINING) != 0;
}

void imap_session_stalled(const struct imap_session *session)
{
    if (!session->closed)
        imap_flaws_ended(session);
}

void imap_session_wake(struct imap_session *session)
{
    if (session->source)
        g_source_set_ready_time(session->source, 0);
}

/* ---- who waits for an answer ------------------------------------------------------------------
 */

void imap_session_finish(struct imap_session *session)
{
    struct imap_request *request;

    while ((request = imap_queue_done(&session->queue))) {
        struct imap_result result = {.error = request->error,
                                     .code = request->code,
                                     .text = request->text ? request->text : "",
                                     .highestmodseq = request->highestmodseq};
        if (request->report) {
            result.copied = imap_report_copied(request->report);
            result.modified = imap_report_modified(request->report);
        }
        session->finishing = request;
        if (request->done)
            request->done(session, &result, request->data);
        session->finishing = NULL;
        imap_request_free(request);
    }
}

/* Answers everything, also what is queued by those that are answered. */
static void requests_fail(struct imap_session *session, enum imap_error error, const char *text)
{
    struct imap_result result = {.error = error, .text = text};
    struct imap_command *command;

    do {
        while ((command = imap_queue_oldest(&session->queue)))
            imap_queue_answer(&session->queue, command, &result);
        imap_session_finish(session);
    } while (session->queue.requests.length > 0);
}

bool imap_session_over(const struct imap_session *session)
{
    return session->freed || session->closed;
}

/* ---- a turn of the main loop ------------------------------------------------------------------
 */

static void handle_replies(struct imap_session *session)
{
    struct imap_reply reply;

    while (!imap_session_over(session)) {
        int rc = imap_parser_next(session->parser, session->utf8, &reply);
        if (rc < 0)
            imap_session_fail(session, IMAP_ERROR_PROTOCOL, "the server's replies make no sense");
        if (rc <= 0)
            return;
        imap_session_reply(session, &reply);
    }
}

static void turn_alerts(struct imap_session *session)
{
    g_autoptr(GPtrArray) alerts = session->alerts;

    session->alerts = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < alerts->len; i++)
        EMIT(session, alert, (const char *)alerts->pdata[i]);
}

/* Reads what is there, at most TURN_MAX, so that others get their turn. */
static void turn_read(struct imap_session *session)
{
    g_autofree char *buffer = g_malloc(READ_SIZE);
    size_t total = 0;

    while (total < TURN_MAX && !imap_session_over(session)) {
        ssize_t n = imap_stream_read(session->stream, buffer, READ_SIZE);
        if (n < 0)
            imap_session_fail(session, IMAP_ERROR_LOST, imap_stream_reason(session->stream));
        if (n <= 0)
            return;
        total += (size_t)n;
        imap_parser_feed(session->parser, buffer, (size_t)n);
        handle_replies(session);
        if (!imap_session_over(session) && imap_parser_amid_data(session->parser))
            session->amid += (uint64_t)n;
    }
}

/* As imap_stream_flush(), noting what went. */
static int session_flush(struct imap_session *session)
{
    int flushed = imap_stream_flush(session->stream);

    imap_queue_written(&session->queue, imap_stream_handed(session->stream));
    return flushed;
}

static void turn_write(struct imap_session *session)
{
    if (imap_session_over(session))
        return;
    if (!imap_queue_write(&session->queue, session->stream)) {
        imap_session_fail(session, IMAP_ERROR_LOST, "a message's file became shorter");
        return;
    }
    if (session_flush(session) >= 0)
        return;
    turn_read(session); /* a last word may explain it */
    imap_session_fail(session, IMAP_ERROR_LOST, imap_stream_reason(session->stream));
}

static void turn_close(struct imap_session *session)
{
    requests_fail(session, session->closed, session->closed_text);
    if (session->freed || session->closed_told)
        return;
    session->closed_told = true;
    EMIT(session, closed, session->closed, session->closed_text);
}

/* Sets what wakes the session next. */
static void turn_end(struct imap_session *session)
{
    if (session->freed)
        return;
    if (session->closed) {
        g_source_set_ready_time(session->source, session->queue.requests.length ? 0 : -1);
        return;
    }
    g_source_modify_unix_fd(session->source, session->fd_tag,
                            imap_stream_condition(session->stream));
    if (imap_stream_pending(session->stream) ||
        (imap_queue_writable(&session->queue) && imap_stream_queued(session->stream) == 0))
        g_source_set_ready_time(session->source, 0);
}

struct session_source {
    GSource base;
    struct imap_session *session;
};

static gboolean session_turn(GSource *source, GSourceFunc callback, gpointer data)
{
    struct imap_session *session = ((struct session_source *)source)->session;

    session->holds++;
    g_source_set_ready_time(source, -1);
    turn_alerts(session);
    if (!imap_session_over(session))
        turn_read(session);
    turn_write(session);
    imap_session_finish(session);
    if (session->closed && !session->freed)
        turn_close(session);
    turn_end(session);
    session_release(session);
    return G_SOURCE_CONTINUE;
}

void imap_session_attach(struct imap_session *session, GMainContext *context,
                         const struct imap_events *events, void *data)
{
    static GSourceFuncs functions = {.dispatch = session_turn};

    g_return_if_fail(session->source == NULL);
    imap_session_heed(session);
    session->events = events;
    session->events_data = data;
    session->source = g_source_new(&functions, sizeof(struct session_source));
    ((struct session_source *)session->source)->session = session;
    g_source_set_static_name(session->source, "imap session");
    session->fd_tag = g_source_add_unix_fd(session->source, imap_stream_fd(session->stream),
                                           imap_stream_condition(session->stream));
    imap_session_wake(session); /* replies and alerts that came with the last of the opening */
    g_source_attach(session->source, context);
}

/* Says goodbye, unless that would land in the middle of a command. */
static void session_logout(struct imap_session *session)
{
    char tag[24];
    bool idles = imap_queue_idle_lasts(&session->queue) && !session->queue.awaits_continue;

    if (session->closed || (!idles && !imap_queue_is_whole(&session->queue)) ||
        session_flush(session) != 1)
        return;
    imap_tag_next(tag);
    g_autofree char *line = g_strdup_printf("%s%s LOGOUT\r\n", idles ? "DONE\r\n" : "", tag);
    imap_stream_put(session->stream, line, strlen(line), NULL);
    imap_stream_flush(session->stream);
}

void imap_session_free(struct imap_session *session)
{
    if (!session || session->freed)
        return;
    session->freed = true;
    if (session->stream)
        session_logout(session);
    if (session->source)
        g_source_destroy(session->source);
    g_clear_pointer(&session->stream, imap_stream_free);
    requests_fail(session, IMAP_ERROR_CANCELLED, "cancelled");
    g_clear_pointer(&session->source, g_source_unref);
    session_release(session);
}

/* ---- what it says of itself -------------------------------------------------------------------
 */

unsigned imap_session_capabilities(const struct imap_session *session)
{
    return session->capabilities.flags;
}

unsigned imap_session_without(const struct imap_session *session)
{
    return session->capabilities.without;
}

const char *imap_session_mechanism(const struct imap_session *session)
{
    return session->mechanism;
}

const char *imap_session_missed(const struct imap_session *session)
{
    return session->missed;
}

const char *imap_session_server_name(const struct imap_session *session)
{
    return session->server_name;
}

unsigned imap_session_number(const struct imap_session *session)
{
    return session->number;
}

uint64_t imap_session_bytes_in(const struct imap_session *session)
{
    return session->stream ? imap_stream_bytes_in(session->stream) : 0;
}

uint64_t imap_session_bytes_amid(const struct imap_session *session)
{
    return session->amid;
}

uint64_t imap_session_bytes_out(const struct imap_session *session)
{
    return session->stream ? imap_stream_bytes_out(session->stream) : 0;
}

unsigned imap_session_in_flight(const struct imap_session *session)
{
    return imap_queue_in_flight(&session->queue);
}

bool imap_session_idling(const struct imap_session *session, gint64 *ending_us)
{
    bool idles = imap_queue_idle(&session->queue) != NULL;

    if (ending_us)
        *ending_us = idles && !imap_queue_idle_lasts(&session->queue) ? session->queue.done_us : 0;
    return idles;
}

bool imap_session_qresync(const struct imap_session *session)
{
    return session->qresync;
}

bool imap_session_compressed(const struct imap_session *session)
{
    return session->stream && imap_stream_is_compressed(session->stream);
}

const char *imap_session_mailbox(const struct imap_session *session)
{
    return session->wanted;
}

const struct imap_mailbox_state *imap_session_state(const struct imap_session *session)
{
    return &session->mailbox.state;
}
