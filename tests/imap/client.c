#include "client.h"

#include <string.h>

static const char *const ERRORS[] = {
    [IMAP_OK] = "ok",
    [IMAP_ERROR_UNAVAILABLE] = "unavailable",
    [IMAP_ERROR_LOST] = "lost",
    [IMAP_ERROR_PROTOCOL] = "protocol",
    [IMAP_ERROR_CANCELLED] = "cancelled",
    [IMAP_ERROR_NO] = "no",
    [IMAP_ERROR_BAD] = "bad",
    [IMAP_ERROR_NONEXISTENT] = "nonexistent",
    [IMAP_ERROR_NOPERM] = "noperm",
    [IMAP_ERROR_OVERQUOTA] = "overquota",
    [IMAP_ERROR_TOOBIG] = "toobig",
    [IMAP_ERROR_CANNOT] = "cannot",
    [IMAP_ERROR_EXISTS] = "exists",
};

static void note(struct client *client, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void note(struct client *client, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_string_append_printf(client->log, "%s\n", line);
    if (client->free_at && g_str_has_prefix(line, client->free_at) && client->session) {
        struct imap_session *session = g_steal_pointer(&client->session);
        imap_session_free(session);
    }
}

static void on_fetch(struct imap_session *session, const struct imap_fetch *fetch, void *data)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (fetch->items & IMAP_ITEM_FLAGS)
        for (const char *const *flag = fetch->flags; *flag; flag++)
            g_string_append_printf(text, " %s", *flag);
    for (uint32_t i = 0; i < fetch->body_count; i++) {
        const struct imap_body *body = &fetch->bodies[i];
        g_string_append_printf(text, " [%s]=", body->section);
        if (body->bytes)
            g_string_append_len(text, g_bytes_get_data(body->bytes, NULL),
                                (gssize)g_bytes_get_size(body->bytes));
    }
    note(data, "fetch %u%s", fetch->uid, text->str);
}

static void on_expunged(struct imap_session *session, uint32_t uid, void *data)
{
    note(data, "expunged %u", uid);
}

static void on_vanished(struct imap_session *session, const struct imap_uidset *uids, void *data)
{
    g_autoptr(GString) text = g_string_new(NULL);

    imap_uidset_write(uids, 1, 1000, text);
    note(data, "vanished %s", text->str);
}

static void on_exists(struct imap_session *session, uint32_t count, void *data)
{
    note(data, "exists %u", count);
}

static void on_list(struct imap_session *session, const struct imap_list *list, void *data)
{
    note(data, "list %s%s%s%s", list->name, list->flags & IMAP_LIST_SUBSCRIBED ? " subscribed" : "",
         list->flags & IMAP_LIST_TRASH ? " trash" : "",
         list->flags & IMAP_LIST_NOSELECT ? " noselect" : "");
}

static void on_status(struct imap_session *session, const struct imap_status *status, void *data)
{
    note(data, "status %s %d%s%s", status->wire, (int)status->messages,
         status->mailboxid ? " id " : "", status->mailboxid ? status->mailboxid : "");
}

static void on_list_news(struct imap_session *session, const struct imap_list *list, void *data)
{
    note(data, "news of %s%s%s%s%s", list->wire,
         list->flags & IMAP_LIST_NONEXISTENT ? " nonexistent" : "",
         list->flags & IMAP_LIST_SUBSCRIBED ? " subscribed" : "", list->old_wire ? " was " : "",
         list->old_wire ? list->old_wire : "");
}

static void on_status_news(struct imap_session *session, const struct imap_status *status,
                           void *data)
{
    note(data, "news in %s %d next %u", status->wire, (int)status->messages, status->uidnext);
}

static void on_overflow(struct imap_session *session, const char *text, void *data)
{
    note(data, "overflow %s", text);
}

static void on_search(struct imap_session *session, const struct imap_uidset *uids, void *data)
{
    g_autoptr(GString) text = g_string_new(NULL);

    imap_uidset_write(uids, 1, 1000, text);
    note(data, "search %s", text->str);
}

static void on_quota(struct imap_session *session, const struct imap_quota *quota, void *data)
{
    note(data, "quota %d/%d KiB %d/%d messages", (int)quota->storage_used,
         (int)quota->storage_limit, (int)quota->messages_used, (int)quota->messages_limit);
}

static void on_rights(struct imap_session *session, const char *wire, const char *rights,
                      void *data)
{
    note(data, "rights %s %s", wire, rights);
}

static void on_alert(struct imap_session *session, const char *text, void *data)
{
    note(data, "alert %s", text);
}

static void on_closed(struct imap_session *session, enum imap_error error, const char *text,
                      void *data)
{
    note(data, "closed %s %s", ERRORS[error], text);
}

static const struct imap_events EVENTS = {
    .fetch = on_fetch,
    .expunged = on_expunged,
    .vanished = on_vanished,
    .exists = on_exists,
    .list = on_list,
    .status = on_status,
    .list_news = on_list_news,
    .status_news = on_status_news,
    .overflow = on_overflow,
    .search = on_search,
    .quota = on_quota,
    .rights = on_rights,
    .alert = on_alert,
    .closed = on_closed,
};

static void on_line(unsigned connection, bool from_server, const char *line, void *data)
{
    struct client *client = data;
    g_string_append_printf(client->transcript, "%c %s\n", from_server ? '<' : '>', line);
}

static void client_start(struct client *client, struct script *script)
{
    *client = (struct client){.script = script};
    client->server = (struct imap_server){.host = "127.0.0.1",
                                          .port = script_port(client->script),
                                          .tls = IMAP_TLS_NONE,
                                          .timeout_s = 20,
                                          .transcript = on_line,
                                          .transcript_data = client};
    client->login = (struct imap_login){.user = "alice", .secret = "sesame", .auth = "auto"};
    client->context = g_main_context_new();
    client->log = g_string_new(NULL);
    client->transcript = g_string_new(NULL);
}

void client_init(struct client *client, const char *const *steps, SSL_CTX *tls)
{
    client_start(client, script_start(steps, -1, tls));
}

void client_init_cut(struct client *client, const char *const *steps, int64_t cut)
{
    client_start(client, script_start(steps, cut, NULL));
}

void client_open(struct client *client)
{
    client->session = imap_session_open(&client->server, &client->login, NULL, &client->error);
    g_assert_true((client->session == NULL) == (client->error != NULL));
    if (client->session)
        imap_session_attach(client->session, client->context, &EVENTS, client);
}

void client_until(struct client *client, const char *text)
{
    if (client->error)
        g_test_message("%s", client->error->message);
    g_assert_no_error(client->error);
    while (!strstr(client->log->str, text))
        g_main_context_iteration(client->context, TRUE);
}

struct note {
    struct client *client;
    char *name;
};

void *client_note(struct client *client, const char *name)
{
    struct note *data = g_new(struct note, 1);
    *data = (struct note){client, g_strdup(name)};
    return data;
}

static void copied_print(GString *line, const struct imap_copied *copied)
{
    g_string_append_printf(line, " copied %u:", copied->uidvalidity);
    for (size_t i = 0; i < copied->count; i++)
        g_string_append_printf(line, " %u>%u", copied->from ? copied->from[i] : 0, copied->to[i]);
}

void client_done(struct imap_session *session, const struct imap_result *result, void *data)
{
    struct note *told = data;
    struct client *client = told->client;
    g_autofree char *name = told->name;

    g_free(told); /* a second call would be seen by ASan */
    g_autoptr(GString) line = g_string_new(NULL);
    g_string_printf(line, "%s %s %s", name, ERRORS[result->error], result->text);
    if (result->copied)
        copied_print(line, result->copied);
    if (result->modified) {
        g_string_append(line, " modified ");
        imap_uidset_write(result->modified, 1, 1000, line);
    }
    if (result->highestmodseq > 0)
        g_string_append_printf(line, " modseq %" G_GUINT64_FORMAT, result->highestmodseq);
    if (imap_append_is_out(session))
        g_string_append(line, " (out)");
    note(client, "%s", line->str);
}

void client_end(struct client *client, bool whole)
{
    imap_session_free(g_steal_pointer(&client->session));
    g_autofree char *failure = script_end(client->script);
    if (whole)
        g_assert_cmpstr(failure, ==, NULL);
    g_clear_error(&client->error);
    g_main_context_unref(client->context);
    g_string_free(client->log, TRUE);
    g_string_free(client->transcript, TRUE);
}

void client_refuses(const char *const *steps, enum imap_tls tls, SSL_CTX *context,
                    enum imap_error code, const char *words)
{
    struct client client;

    client_init(&client, steps, context);
    client.server.tls = tls;
    client_open(&client);
    if (client.error && !strstr(client.error->message, words))
        g_printerr("message: %s\n", client.error->message);
    g_assert_error(client.error, IMAP_ERROR, (gint)code);
    g_assert_nonnull(strstr(client.error->message, words));
    g_assert_null(strstr(client.error->message, "sesame"));
    g_assert_null(strchr(client.error->message, '\n'));
    g_assert_false(g_str_has_suffix(client.error->message, "."));
    client_end(&client, true);
}
