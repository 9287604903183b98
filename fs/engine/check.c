#include "fs/engine/check.h"

#include <string.h>

#include "fs/engine/advice.h"
#include "fs/engine/folders.h"
#include "fs/engine/opening.h"

#define ENTRIES_MAX 100000 /* folders; more are not counted */
#define TOLD_MAX 200       /* bytes of a folder's name */

static const char *const STEPS[IMAP_STEPS] = {
    [IMAP_STEP_RESOLVE] = "resolve", [IMAP_STEP_CONNECT] = "connect", [IMAP_STEP_TLS] = "TLS",
    [IMAP_STEP_SERVER] = "server",   [IMAP_STEP_SIGN_IN] = "sign-in",
};

/* One run. */
struct run {
    const struct check *check;
    enum imap_step begun;  /* the last one */
    bool told[IMAP_STEPS]; /* an attempt that is made again tells nothing twice */
    struct imap_session *session;
    GMainContext *context;
    /* of the command that is waited for */
    bool waiting;
    enum imap_error error;
    char *words;
    uint64_t heard;   /* bytes, when there was progress */
    gint64 heard_us;  /* and when that was */
    GPtrArray *found; /* struct folder_entry */
    char *rights;     /* NULL: not told */
};

static void run_clear(struct run *run)
{
    if (run->session != NULL)
        imap_session_free(run->session);
    if (run->found != NULL)
        g_ptr_array_unref(run->found);
    g_clear_pointer(&run->context, g_main_context_unref);
    g_free(run->words);
    g_free(run->rights);
}
typedef struct run run;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(run, run_clear)

static void run_tell(const struct run *run, const char *step, enum check_mark mark,
                     const char *text)
{
    run->check->report(step, mark, text, run->check->data);
}

/* ---- the session ----------------------------------------------------------------------------- */

static void on_progress(enum imap_step step, const char *found, void *data)
{
    struct run *run = data;
    bool clear = run->check->account->tls == ACCOUNT_TLS_NONE;

    if (found == NULL) {
        run->begun = step;
        return;
    }
    if (step == IMAP_STEP_SERVER && clear && !run->told[IMAP_STEP_TLS]) {
        run->told[IMAP_STEP_TLS] = true;
        bool tunnel = run->check->account->tunnel_command != NULL;
        run_tell(run, STEPS[IMAP_STEP_TLS], CHECK_NOTE,
                 tunnel ? "none: what protects the connection is tunnel_command's matter"
                        : "none (tls=none): all can be read and changed on the way");
    }
    if (!run->told[step])
        run_tell(run, STEPS[step], CHECK_GOOD, found);
    run->told[step] = true;
}

static bool run_fail(struct run *run, const char *step, const GError *error,
                     enum engine_start_reason *reason)
{
    const char *advice = advice_of(error);
    g_autofree char *text = g_strdup_printf("%s%s%s", error->message, advice != NULL ? "; " : "",
                                            advice != NULL ? advice : "");
    run_tell(run, step, CHECK_BAD, text);
    *reason = engine_reason(error);
    return false;
}

static bool run_open(struct run *run, enum engine_start_reason *reason)
{
    const struct check *check = run->check;
    const struct opening_watch watch = {
        .transcript = check->transcript, .progress = on_progress, .data = run};
    g_autoptr(GError) error = NULL;

    run->session = opening_session(check->account, check->secret, &watch, check->cancel, &error);
    return run->session != NULL || run_fail(run, STEPS[run->begun], error, reason);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void run_end(struct run *run, enum imap_error error, const char *words)
{
    if (!run->waiting)
        return;
    run->waiting = false;
    run->error = error;
    g_free(run->words);
    run->words = g_strdup(words);
}

static void on_done(struct imap_session *session, const struct imap_result *result, void *data)
{
    run_end(data, result->error, result->text);
}

static void on_closed(struct imap_session *session, enum imap_error error, const char *text,
                      void *data)
{
    run_end(data, error != IMAP_OK ? error : IMAP_ERROR_LOST, text);
}

static void on_list(struct imap_session *session, const struct imap_list *list, void *data)
{
    struct run *run = data;

    if (run->found->len < ENTRIES_MAX && list->wire[0] != '\0')
        g_ptr_array_add(run->found, folder_entry_new(list));
}

static void on_rights(struct imap_session *session, const char *wire, const char *rights,
                      void *data)
{
    struct run *run = data;

    g_free(run->rights);
    run->rights = g_strdup(rights);
}

static const struct imap_events EVENTS = {
    .list = on_list, .rights = on_rights, .closed = on_closed};

static gboolean on_cancelled(GCancellable *cancel, gpointer data)
{
    run_end(data, IMAP_ERROR_CANCELLED, "interrupted");
    return G_SOURCE_REMOVE;
}

static gboolean on_second(gpointer data)
{
    struct run *run = data;
    uint64_t heard = imap_session_bytes_in(run->session);
    gint64 now = g_get_monotonic_time();

    if (heard != run->heard)
        run->heard_us = now;
    run->heard = heard;
    if (now - run->heard_us > run->check->account->timeout_s * G_USEC_PER_SEC)
        run_end(run, IMAP_ERROR_TIMEOUT, "the server does not answer");
    return G_SOURCE_CONTINUE;
}

static void source_add(struct run *run, GSource *source, GSourceFunc call, GSource **keep)
{
    g_source_set_callback(source, call, run, NULL);
    g_source_attach(source, run->context);
    *keep = source;
}

/* Waits for the command that was just sent; what it said is in `error` and `words`. */
static bool run_wait(struct run *run)
{
    GSource *second, *cancelled;

    run->heard_us = g_get_monotonic_time();
    source_add(run, g_timeout_source_new_seconds(1), on_second, &second);
    source_add(run, g_cancellable_source_new(run->check->cancel),
               (GSourceFunc)(void (*)(void))on_cancelled, &cancelled);
    while (run->waiting)
        g_main_context_iteration(run->context, TRUE);
    g_source_destroy(second);
    g_source_unref(second);
    g_source_destroy(cancelled);
    g_source_unref(cancelled);
    return run->error == IMAP_OK;
}

static bool run_refused(struct run *run, const char *step, const char *what,
                        enum engine_start_reason *reason)
{
    g_autoptr(GError) error = g_error_new(
        IMAP_ERROR, (gint)run->error, "%s: %s", what,
        run->words != NULL && run->words[0] != '\0' ? run->words : "the server says no more");

    return run_fail(run, step, error, reason);
}

/* ---- folders --------------------------------------------------------------------------------- */

static const struct {
    unsigned flag;
    const char *word;
} SPECIAL[] = {
    {IMAP_LIST_TRASH, "trash"},     {IMAP_LIST_SENT, "sent"}, {IMAP_LIST_DRAFTS, "drafts"},
    {IMAP_LIST_ARCHIVE, "archive"}, {IMAP_LIST_JUNK, "junk"},
};

static const struct folder_node *node_find(GPtrArray *nodes, unsigned flag, const char *path)
{
    for (guint i = 0; i < nodes->len; i++) {
        const struct folder_node *node = g_ptr_array_index(nodes, i);
        if ((node->flags & flag) != 0 || (path != NULL && g_str_equal(node->path, path)))
            return node;
    }
    return NULL;
}

static unsigned nodes_count(GPtrArray *nodes, bool shown)
{
    unsigned count = 0;

    for (guint i = 0; i < nodes->len; i++) {
        const struct folder_node *node = g_ptr_array_index(nodes, i);
        count += node->shown || !shown;
    }
    return count;
}

static void special_describe(GPtrArray *nodes, GString *text)
{
    for (size_t i = 0; i < G_N_ELEMENTS(SPECIAL); i++) {
        const struct folder_node *node = node_find(nodes, SPECIAL[i].flag, NULL);
        if (node != NULL)
            g_string_append_printf(text, "; %s is %.*s", SPECIAL[i].word, TOLD_MAX, node->path);
    }
}

/* NULL, or why not everything will go. The caller's. */
static char *folders_lack(const struct account *account, GPtrArray *nodes)
{
    if (nodes_count(nodes, true) == 0)
        return g_strdup("none is shown, since none matches folders=");
    if (account->read_only || account->delete == ACCOUNT_DELETE_EXPUNGE ||
        node_find(nodes, IMAP_LIST_TRASH, NULL) != NULL)
        return NULL;
    if (account->trash == NULL)
        return g_strdup("the server marks no trash, so nothing can be deleted: set trash=FOLDER, "
                        "or delete=expunge");
    return node_find(nodes, 0, account->trash) != NULL
               ? NULL
               : g_strdup_printf("there is no folder \"%s\" as trash= has it", account->trash);
}

static void folders_tell(struct run *run, GPtrArray *nodes)
{
    const struct account *account = run->check->account;
    g_autofree char *lack = folders_lack(account, nodes);
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned all = nodes_count(nodes, false), shown = nodes_count(nodes, true);

    g_string_printf(text, "%u", all);
    if (shown != all)
        g_string_append_printf(text, ", of which %u are shown", shown);
    special_describe(nodes, text);
    if (lack != NULL)
        g_string_append_printf(text, "; %s", lack);
    run_tell(run, "folders", lack != NULL ? CHECK_NOTE : CHECK_GOOD, text->str);
}

static bool run_folders(struct run *run, enum engine_start_reason *reason)
{
    run->found = g_ptr_array_new_with_free_func((GDestroyNotify)folder_entry_free);
    run->waiting = true;
    imap_send_list(run->session, false, on_done, run);
    if (!run_wait(run))
        return run_refused(run, "folders", "the folders are not listed", reason);
    folder_entries_settle(run->found);
    g_autoptr(GPtrArray) nodes = folders_tree(run->found, run->check->account);
    folders_tell(run, nodes);
    return true;
}

/* ---- write permission ------------------------------------------------------------------------ */

/* RFC 4314, 2.1, and the older letters that stand for these (2.1.1). */
static const struct {
    const char *letters, *words;
} RIGHTS[] = {
    {"i", "no message can be stored"},
    {"w", "no flag can be changed"},
    {"td", "no message can be deleted"},
    {"ed", "nothing can be removed for good"},
};

static void rights_tell(struct run *run)
{
    g_autoptr(GString) text = g_string_new(NULL);
    bool lacks = false;

    g_string_printf(text, "rights on INBOX are \"%s\"", run->rights);
    for (size_t i = 0; i < G_N_ELEMENTS(RIGHTS); i++) {
        if (strpbrk(run->rights, RIGHTS[i].letters) != NULL)
            continue;
        g_string_append_printf(text, "%s%s", lacks ? ", " : ": ", RIGHTS[i].words);
        lacks = true;
    }
    if (lacks)
        g_string_append(text, "; who owns it can give more, or mount with ro");
    run_tell(run, "changes", lacks ? CHECK_NOTE : CHECK_GOOD, text->str);
}

static bool run_rights(struct run *run)
{
    run->waiting = true;
    imap_send_rights(run->session, "INBOX", on_done, run);
    return run_wait(run) && run->rights != NULL && run->rights[0] != '\0';
}

static bool run_select(struct run *run, enum engine_start_reason *reason)
{
    run->waiting = true;
    imap_send_select(run->session, "INBOX", on_done, run);
    if (!run_wait(run))
        return run_refused(run, "changes", "INBOX cannot be opened", reason);
    bool read_only = imap_session_state(run->session)->read_only;
    run_tell(run, "changes", read_only ? CHECK_NOTE : CHECK_GOOD,
             read_only ? "the server opens INBOX for reading only; mount with ro"
                       : "the server opens INBOX for reading and writing");
    return true;
}

static bool run_changes(struct run *run, enum engine_start_reason *reason)
{
    unsigned has = imap_session_capabilities(run->session);

    if (run->check->account->read_only) {
        run_tell(run, "changes", CHECK_NOTE, "none will be made, since ro is set");
        return true;
    }
    if ((has & IMAP_CAP_UIDPLUS) == 0)
        run_tell(
            run, "changes", CHECK_NOTE,
            "the server has no UIDPLUS: what is deleted is hidden here but stays there, marked "
            "as deleted");
    if ((has & IMAP_CAP_ACL) == 0 || !run_rights(run))
        return run_select(run, reason);
    rights_tell(run);
    return true;
}

bool engine_check(const struct check *check, enum engine_start_reason *reason)
{
    g_auto(run) run = {.check = check, .context = g_main_context_new()};

    if (!run_open(&run, reason))
        return false;
    imap_session_attach(run.session, run.context, &EVENTS, &run);
    return run_folders(&run, reason) && run_changes(&run, reason);
}
