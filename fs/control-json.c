/* .mailmount/status.json: what .mailmount/status says, for programs. */
#include "fs/change.h"
#include "fs/control.h"
#include "fs/json.h"

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void json_failed(struct journal *journal, GString *out)
{
    struct journal_failed failed = {0};
    json_open(out, "failed", '[');
    while (journal_failed_next(journal, failed.number, &failed)) {
        uint64_t number = failed.number;
        json_open(out, NULL, '{');
        json_string(out, "name", failed.name);
        json_string(out, "why", failed.why);
        json_close(out, '}');
        journal_failed_clear(&failed);
        failed = (struct journal_failed){.number = number};
    }
    json_close(out, ']');
}

static void json_refused(const struct engine_status *status, GString *out)
{
    json_number(out, "refusals", (int64_t)status->refusals);
    json_open(out, "refused", '[');
    for (unsigned i = 0; i < ENGINE_REFUSED_SHOWN && status->refused[i][0] != '\0'; i++)
        json_string(out, NULL, status->refused[i]);
    json_close(out, ']');
}

static void json_put_off(const struct mounted_account *mine, GString *out)
{
    unsigned all;
    g_autoptr(GPtrArray) shown = engine_put_offs_read(mine->engine, ENGINE_REFUSED_SHOWN, &all);
    json_open(out, "put_off", '[');
    for (guint i = 0; i < shown->len; i++) {
        const struct engine_put_off *put_off = shown->pdata[i];
        json_open(out, NULL, '{');
        json_string(out, "change", put_off->what);
        json_string(out, "why", text_or_null(put_off->why));
        json_number(out, "since", put_off->since_us / G_USEC_PER_SEC);
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void json_changes(const struct mounted_account *mine, const struct engine_status *status,
                         GString *out)
{
    struct journal_counts counts;
    if (mine->journal == NULL) {
        json_null(out, "changes");
        return;
    }
    journal_counts(mine->journal, &counts);
    json_open(out, "changes", '{');
    json_number(out, "waiting", counts.waiting);
    if (counts.oldest_us != 0)
        json_number(out, "waiting_since", (int64_t)(counts.oldest_us / G_USEC_PER_SEC));
    else
        json_null(out, "waiting_since");
    json_put_off(mine, out);
    json_number(out, "marked_deleted", counts.marked);
    json_string(out, "last_refusal", text_or_null(status->refused[0]));
    json_refused(status, out);
    json_bool(out, "can_delete", change_has_trash((struct mounted_account *)mine));
    json_failed(mine->journal, out);
    json_close(out, '}');
}

static void json_listings(const struct mounted *mounted, const struct mounted_account *mine,
                          GString *out)
{
    g_autoptr(GArray) listings = control_listings(mounted, mine);
    json_open(out, "listings", '[');
    for (guint i = 0; i < listings->len; i++) {
        const struct control_listing *listing = &g_array_index(listings, struct control_listing, i);
        json_open(out, NULL, '{');
        json_string(out, "folder", listing->folder);
        json_number(out, "messages", (int64_t)listing->messages);
        json_number(out, "messages_done", (int64_t)listing->messages_done);
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void json_flaws(const struct engine_status *status, GString *out)
{
    g_auto(GStrv) words = g_strsplit(status->flaws, " ", -1);
    json_open(out, "flaws", '[');
    for (char **word = words; *word != NULL; word++)
        json_string(out, NULL, *word);
    json_close(out, ']');
}

static void json_connection(const struct mounted_account *mine, const struct engine_status *status,
                            GString *out)
{
    static const char *const LIVE[] = {
        [ENGINE_LIVE_POLL] = "poll", [ENGINE_LIVE_IDLE] = "idle", [ENGINE_LIVE_NOTIFY] = "notify"};
    gint64 wait_us = status->next_try_us - g_get_real_time();

    json_bool(out, "online", status->online);
    json_bool(out, "connecting", status->connecting);
    if (!status->online && status->next_try_us != 0)
        json_number(out, "next_attempt_in", MAX(wait_us / G_USEC_PER_SEC, 0));
    else
        json_null(out, "next_attempt_in");
    if (status->pause_until_us != 0)
        json_number(out, "paused_until", status->pause_until_us / G_USEC_PER_SEC);
    else
        json_null(out, "paused_until");
    json_string(out, "paused_by", status->pause_until_us != 0 ? status->pause_words : NULL);
    json_string(out, "told_by", status->online ? LIVE[status->live] : NULL);
    json_string(out, "server", text_or_null(status->server));
    json_string(out, "last_error", text_or_null(status->last_error));
    json_flaws(status, out);
    json_number(out, "connections", status->connections);
    json_number(out, "connections_most", mine->account->connections);
    json_number(out, "waiting", status->waiting);
    json_number(out, "bytes_received", (int64_t)status->bytes_in);
    json_number(out, "commands", (int64_t)status->commands);
}

static void json_account(const struct mounted *mounted, const struct mounted_account *mine,
                         GString *out)
{
    static const char *const SIZES[] = {[ENGINE_SIZES_UNPROVED] = "unproved",
                                        [ENGINE_SIZES_RIGHT] = "right",
                                        [ENGINE_SIZES_WRONG] = "wrong"};
    struct engine_status status;
    engine_status_read(mine->engine, &status);

    json_open(out, NULL, '{');
    json_string(out, "account", mine->account->name);
    json_string(out, "source", mine->account->source);
    json_connection(mine, &status, out);
    json_string(out, "sizes", SIZES[engine_sizes(mine->engine)]);
    json_number(out, "cache_bytes", (int64_t)cache_content_used(mine->cache));
    json_number(out, "cache_bytes_most", (int64_t)mine->account->cache_size);
    json_changes(mine, &status, out);
    json_number(out, "folders_incomplete", (int64_t)status.mailboxes_incomplete);
    json_listings(mounted, mine, out);
    control_prefetch_json(mounted, mine, out);
    json_close(out, '}');
}

GBytes *control_status_json(const struct mounted *mounted)
{
    GString *out = g_string_new(NULL);
    json_open(out, NULL, '{');
    json_string(out, "version", MAILMOUNT_VERSION);
    json_open(out, "accounts", '[');
    for (unsigned i = 0; i < mounted->count; i++)
        json_account(mounted, &mounted->accounts[i], out);
    json_close(out, ']');
    json_close(out, '}');
    g_string_append_c(out, '\n');
    return g_string_free_to_bytes(out);
}
