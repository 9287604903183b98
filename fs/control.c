#include "fs/control.h"

#include <inttypes.h>

#include "fs/change.h"
#include "fs/log.h"

/* Wall clock, in the zone of whoever mounted. */
static char *time_text(uint64_t wall_us)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local((gint64)(wall_us / 1000000));
    return time != NULL ? g_date_time_format(time, "%F %T") : g_strdup("");
}

static void status_failed(struct journal *journal, GString *text)
{
    struct journal_failed failed = {0};
    while (journal_failed_next(journal, failed.number, &failed)) {
        uint64_t number = failed.number;
        g_string_append_printf(text, "not sent: %s: %s\n", failed.name, failed.why);
        journal_failed_clear(&failed);
        failed = (struct journal_failed){.number = number};
    }
}

/* Changes that were refused, of which only the last are remembered. */
static void status_refused(const struct engine_status *status, GString *text)
{
    unsigned shown = 0;
    if (status->refusals == 0)
        return;
    g_string_append_printf(text, "changes refused: %" PRIu64 "\n", status->refusals);
    for (; shown < ENGINE_REFUSED_SHOWN && status->refused[shown][0] != '\0'; shown++)
        g_string_append_printf(text, "%s refusal: %s\n", shown == 0 ? "last" : "earlier",
                               status->refused[shown]);
    if (status->refusals > shown)
        g_string_append_printf(text, "earlier refusals: %" PRIu64 " more, see the log\n",
                               status->refusals - shown);
}

/* Changes that are tried again, since the server's words do not sound as if they were for good. */
static void status_put_off(const struct mounted_account *mine, GString *text)
{
    unsigned all;
    g_autoptr(GPtrArray) shown = engine_put_offs_read(mine->engine, ENGINE_REFUSED_SHOWN, &all);
    for (guint i = 0; i < shown->len; i++) {
        const struct engine_put_off *put_off = shown->pdata[i];
        g_autofree char *since = time_text((uint64_t)put_off->since_us);
        g_string_append_printf(text, "put off: %s, since %s: %s\n", put_off->what, since,
                               put_off->why);
    }
    if (all > shown->len)
        g_string_append_printf(text, "put off: %u more\n", all - shown->len);
}

/* Of an account that was never seen nobody knows what is marked as trash. */
static bool folders_are_known(const struct mounted_account *mine)
{
    g_autoptr(cache_txn) txn = cache_txn_read(mine->cache);
    struct cache_mailbox any;
    return cache_mailbox_next(txn, 0, 0, &any) == CACHE_OK;
}

/* What the server has not got yet, and never will. */
static void status_changes(const struct mounted_account *mine, const struct engine_status *status,
                           GString *text)
{
    struct journal_counts counts;
    journal_counts(mine->journal, &counts);
    g_string_append_printf(text, "changes to be sent: %u", counts.waiting);
    if (counts.oldest_us != 0) {
        g_autofree char *since = time_text(counts.oldest_us);
        g_string_append_printf(text, ", since %s", since);
    }
    g_string_append_c(text, '\n');
    status_put_off(mine, text);
    if (counts.marked > 0)
        g_string_append_printf(text,
                               "hidden and marked as deleted, since the server cannot remove "
                               "single messages: %u\n",
                               counts.marked);
    status_refused(status, text);
    if (folders_are_known(mine) && !change_has_trash((struct mounted_account *)mine))
        g_string_append(text, "deleting: refused, as no folder is marked as trash; set trash= or "
                              "delete=expunge\n");
    g_string_append_printf(text, "messages that could not be sent: %u\n", counts.failed);
    status_failed(mine->journal, text);
}

static void status_state(const struct engine_status *status, GString *text)
{
    static const char *const LIVE[] = {
        [ENGINE_LIVE_POLL] = "looked for now and then",
        [ENGINE_LIVE_IDLE] = "told by the server for the folders in use",
        [ENGINE_LIVE_NOTIFY] = "told by the server for all folders",
    };
    gint64 wait = status->next_try_us - g_get_real_time();
    g_string_append(text, status->online ? "state: online\n" : "state: offline");
    if (status->connecting)
        g_string_append(text, ", connecting");
    else if (!status->online && status->next_try_us != 0)
        g_string_append_printf(text, ", next attempt in %" PRId64 " s",
                               MAX(wait / G_USEC_PER_SEC, 0));
    if (status->online)
        g_string_append_printf(text, "changes on the server: %s", LIVE[status->live]);
    g_string_append_c(text, '\n');
}

static void status_pause(const struct engine_status *status, GString *text)
{
    if (status->pause_until_us == 0)
        return;
    g_autofree char *until = time_text((uint64_t)status->pause_until_us);
    g_string_append_printf(text, "the server wants a pause: until %s%s%s\n", until,
                           status->pause_words[0] != '\0' ? ": " : "", status->pause_words);
}

static void status_listings(const struct mounted *mounted, const struct mounted_account *mine,
                            GString *text)
{
    g_autoptr(GArray) listings = control_listings(mounted, mine);
    for (guint i = 0; i < listings->len; i++) {
        const struct control_listing *listing = &g_array_index(listings, struct control_listing, i);
        g_string_append_printf(text, "listing: %s: %" PRIu64 " of %" PRIu64 " messages\n",
                               listing->folder, listing->messages_done, listing->messages);
    }
}

static void status_refusal(const struct mounted *mounted, const struct engine_status *status,
                           GString *text)
{
    if (status->refusal[0] == '\0')
        return;
    g_autofree char *path = log_escape(mounted->path);
    g_string_append_printf(text, "sign-in refused: %s; mailmount --retry %s tries again\n",
                           status->refusal, path);
}

/* Fewer mechanisms than before may mean that somebody between wants to hear the password. */
static void status_mechanism(const struct engine_status *status, GString *text)
{
    if (status->signed_in_by != NULL)
        g_string_append_printf(text, "signed in by: %s%s%s%s\n", status->signed_in_by,
                               status->missed != NULL ? " (the server no longer offers " : "",
                               status->missed != NULL ? status->missed : "",
                               status->missed != NULL ? ", which is safer)" : "");
}

/* Of what the server was seen not to stand: words that are no extension's name. */
static const struct {
    const char *word, *meaning;
} FLAWS[] = {
    {"LIST-RETURN", "LIST with RETURN"},
    {"LIST-INCOMPLETE", "LIST with RETURN (it leaves folders out)"},
    {"PIPELINING", "more than one command at a time"},
};

static void status_flaws(const struct engine_status *status, GString *text)
{
    g_auto(GStrv) words = g_strsplit(status->flaws, " ", -1);
    for (char **word = words; *word != NULL; word++) {
        const char *meaning = *word;
        for (size_t i = 0; i < G_N_ELEMENTS(FLAWS); i++)
            if (g_str_equal(*word, FLAWS[i].word))
                meaning = FLAWS[i].meaning;
        g_string_append_printf(text, "%s%s", word == words ? "the server does not stand: " : ", ",
                               meaning);
    }
    if (words[0] != NULL)
        g_string_append_c(text, '\n');
}

static void status_account(const struct mounted *mounted, const struct mounted_account *mine,
                           GString *text)
{
    static const char *const SIZES[] = {
        [ENGINE_SIZES_UNPROVED] = "not compared with messages yet",
        [ENGINE_SIZES_RIGHT] = "right",
        [ENGINE_SIZES_WRONG] = "wrong; messages are fetched to learn their size",
    };
    struct engine_status status;
    engine_status_read(mine->engine, &status);
    g_autofree char *used = g_format_size(cache_content_used(mine->cache));
    g_autofree char *limit = g_format_size(mine->account->cache_size);
    g_autofree char *received = g_format_size(status.bytes_in);

    g_string_append_printf(text, "account: %s\n", mine->account->name);
    g_string_append_printf(text, "source: %s\n", mine->account->source);
    status_state(&status, text);
    status_pause(&status, text);
    if (status.server[0] != '\0')
        g_string_append_printf(text, "server: %s\n", status.server);
    status_mechanism(&status, text);
    status_flaws(&status, text);
    if (status.last_error[0] != '\0')
        g_string_append_printf(text, "last error: %s\n", status.last_error);
    status_refusal(mounted, &status, text);
    g_string_append_printf(text, "connections: %u of %u\n", status.connections,
                           mine->account->connections);
    g_string_append_printf(text, "waiting: %u\n", status.waiting);
    g_string_append_printf(text, "received: %s in answer to %" PRIu64 " commands\n", received,
                           status.commands);
    g_string_append_printf(text, "sizes told by the server: %s\n",
                           SIZES[engine_sizes(mine->engine)]);
    g_string_append_printf(text, "content cache: %s of %s\n", used, limit);
    if (mine->journal != NULL)
        status_changes(mine, &status, text);
    status_listings(mounted, mine, text);
    if (status.mailboxes_incomplete > 0)
        g_string_append_printf(text, "folders of which the server shows only a part: %" PRIu64 "\n",
                               status.mailboxes_incomplete);
}

GBytes *control_status(const struct mounted *mounted)
{
    GString *text = g_string_new("mailmount " MAILMOUNT_VERSION "\n");
    for (unsigned i = 0; i < mounted->count; i++) {
        g_string_append_c(text, '\n');
        status_account(mounted, &mounted->accounts[i], text);
        control_prefetch_status(mounted, &mounted->accounts[i], text);
    }
    for (guint i = 0; mounted->left_out != NULL && i < mounted->left_out->len; i++) {
        const struct left_out *out = mounted->left_out->pdata[i];
        g_autofree char *name = log_escape(out->name);
        g_autofree char *why = log_escape(out->why);
        g_string_append_printf(text, "\naccount: %s\nstate: not shown: %s\n", name, why);
    }
    return g_string_free_to_bytes(text);
}

/* ---- the directory --------------------------------------------------------------------------- */

const struct control_entry CONTROL_ENTRIES[] = {
    {"status", NODE_STATUS, PLACE_STATUS, control_status},
    {"failed", NODE_FAILED, PLACE_FAILED, NULL},
    {"control", NODE_REQUESTS, PLACE_REQUESTS, control_requests},
    {"events", NODE_EVENTS, PLACE_EVENTS, NULL},
    {"prefetch", NODE_PREFETCH, PLACE_PREFETCH, control_prefetch},
    {"status.json", NODE_STATUS_JSON, PLACE_STATUS_JSON, control_status_json},
    {NULL},
};

static GBytes *mark_text(const struct mounted *mounted)
{
    return g_bytes_new_static("", 0);
}

static const struct control_entry MARKS[] = {
    {".trackerignore", NODE_TRACKERIGNORE, PLACE_MARK, mark_text},
    {".nomedia", NODE_NOMEDIA, PLACE_MARK, mark_text},
    {".metadata_never_index", NODE_NEVER_INDEX, PLACE_MARK, mark_text},
    {NULL},
};

const struct control_entry *control_mark(const char *name)
{
    for (const struct control_entry *mark = MARKS; mark->name != NULL; mark++)
        if (g_str_equal(mark->name, name))
            return mark;
    return NULL;
}

const struct control_entry *control_entry(uint16_t node)
{
    for (const struct control_entry *entry = CONTROL_ENTRIES; entry->name != NULL; entry++)
        if (entry->node == node)
            return entry;
    for (const struct control_entry *mark = MARKS; mark->name != NULL; mark++)
        if (mark->node == node)
            return mark;
    return NULL;
}

/* Kinds of places are shared with nothing else, so the node need not be looked at; and marks are
 * all alike. */
static const struct control_entry *entry_of(const struct place *place)
{
    for (const struct control_entry *entry = CONTROL_ENTRIES; entry->name != NULL; entry++)
        if (entry->kind == place->kind)
            return entry;
    return place->kind == PLACE_MARK ? MARKS : NULL;
}

bool control_is_text(const struct place *place)
{
    const struct control_entry *entry = entry_of(place);
    return entry != NULL && entry->text != NULL;
}

GBytes *control_text(const struct mounted *mounted, const struct place *place)
{
    return entry_of(place)->text(mounted);
}
