/* The engine's lists: mailboxes, messages, flags, what vanishes. */
#include <string.h>

#include "fs/engine/folders.h"
#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

static uint64_t count(struct fixture *fixture, const uint64_t *counter)
{
    return imapd_count(fixture->imapd, counter);
}

/* ---- mailbox names --------------------------------------------------------------------------- */

struct tree_case {
    const char *listed;   /* "WIRE" or "WIRE!" (\Noselect), "WIRE+" (subscribed), spaces between */
    const char *patterns; /* ";" between */
    bool subscribed;
    const char *shown; /* names with "/" between levels, "!" behind mere places, sorted */
};
static const struct tree_case TREES[] = {
    {"INBOX A/B", NULL, false, "A! A!/B INBOX"},
    {"inbox Inbox/Sub", NULL, false, "INBOX INBOX/Sub"},
    {"INBOX A! A/B/C", NULL, false, "A! A!/B! A!/B!/C INBOX"},
    {"INBOX A/ A//B", NULL, false, NULL},
    {"INBOX Foo foo FOO", NULL, false, "FOO Foo (2) INBOX foo (3)"},
    {"INBOX Entw&APw-rfe", NULL, false, "Entwürfe INBOX"},
    {"INBOX A&AC8-B", NULL, false, "A&AC8-B INBOX"},
    {"INBOX .hidden", NULL, false, "%2Ehidden INBOX"},
    {"INBOX A A/B C", "A/*", false, "A! A!/B"},
    {"INBOX A A/B C", "!A*", false, "C INBOX"},
    {"INBOX A A/B C", "*;!A/*", false, "A C INBOX"},
    {"INBOX A+ B C/D+", NULL, true, "A C! C!/D INBOX"},
};

static GPtrArray *entries_of(const char *listed)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func((GDestroyNotify)folder_entry_free);
    g_auto(GStrv) words = g_strsplit(listed, " ", -1);
    for (char **at = words; *at != NULL; at++) {
        struct imap_list list = {.delimiter = '/'};
        size_t length = strlen(*at);
        if ((*at)[length - 1] == '!')
            list.flags = IMAP_LIST_NOSELECT;
        else if ((*at)[length - 1] == '+')
            list.flags = IMAP_LIST_SUBSCRIBED;
        else if ((*at)[length - 1] == '-')
            list.flags = IMAP_LIST_NONEXISTENT | IMAP_LIST_NOSELECT;
        if (list.flags != 0)
            (*at)[length - 1] = '\0';
        g_autofree char *name = imap_utf7_decode(*at);
        list.wire = *at;
        list.name = name != NULL ? name : *at;
        g_ptr_array_add(entries, folder_entry_new(&list));
    }
    return entries;
}

static char *node_path(const GPtrArray *nodes, guint i)
{
    const struct folder_node *node = nodes->pdata[i];
    const char *mark = (node->flags & IMAP_LIST_NOSELECT) != 0 ? "!" : "";
    if (node->parent < 0)
        return g_strconcat(node->name, mark, NULL);
    g_autofree char *above = node_path(nodes, (guint)node->parent);
    return g_strconcat(above, "/", node->name, mark, NULL);
}

static gint path_order(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void test_tree(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(TREES); i++) {
        g_auto(GStrv) patterns =
            TREES[i].patterns != NULL ? g_strsplit(TREES[i].patterns, ";", -1) : NULL;
        const struct account wanted = {.folders = patterns,
                                       .folders_subscribed = TREES[i].subscribed};
        g_autoptr(GPtrArray) entries = entries_of(TREES[i].listed);
        g_autoptr(GPtrArray) nodes = folders_tree(entries, &wanted);
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
        for (guint k = 0; k < nodes->len; k++)
            if (((const struct folder_node *)nodes->pdata[k])->shown)
                g_ptr_array_add(paths, node_path(nodes, k));
        g_ptr_array_sort(paths, path_order);
        g_ptr_array_add(paths, NULL);
        g_autofree char *shown = g_strjoinv(" ", (char **)paths->pdata);
        if (TREES[i].shown != NULL)
            g_assert_cmpstr(shown, ==, TREES[i].shown);
    }
}

/* "-" behind a name: it does not exist, or not any more. */
static void test_nonexistent(void)
{
    static const struct {
        const char *told, *left;
    } CASES[] = {
        {"INBOX A B", "INBOX A B"},  {"A- INBOX A/B", "INBOX A/B"},
        {"INBOX A B A-", "INBOX B"}, {"A- INBOX A B", "INBOX A B"},
        {"A A- A A-", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GPtrArray) entries = entries_of(CASES[i].told);
        folder_entries_settle(entries);
        g_autoptr(GString) left = g_string_new(NULL);
        for (guint k = 0; k < entries->len; k++)
            g_string_append_printf(left, "%s%s", k > 0 ? " " : "",
                                   ((const struct folder_entry *)entries->pdata[k])->wire);
        g_assert_cmpstr(left->str, ==, CASES[i].left);
    }
}

static void test_folders(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "Sent", "\\Sent");
    imapd_add_box(fixture->imapd, "A/B/C", "");
    fixture_start(fixture);
    struct cache_mailbox box = fixture_mailbox(fixture, "A/B/C");
    struct cache_mailbox above = fixture_mailbox(fixture, "A/B");
    g_assert_cmpuint(box.parent, ==, above.slot);
    g_assert_cmpuint(above.flags & CACHE_MAILBOX_NOSELECT, !=, 0);
    g_assert_cmpuint(fixture_mailbox(fixture, "Sent").flags & CACHE_MAILBOX_SENT, !=, 0);
    g_assert_cmpint(fixture_list(fixture, "A/B"), ==, ENGINE_OK); /* a mere place holds nothing */

    g_mutex_lock(&fixture->imapd->lock);
    g_ptr_array_remove(fixture->imapd->boxes, imapd_box(fixture->imapd, "A/B/C"));
    g_mutex_unlock(&fixture->imapd->lock);
    gint before = g_atomic_int_get(&fixture->folders_changed);
    const struct engine_wish again = {.want = ENGINE_FOLDERS};
    g_assert_cmpint(fixture_ask(fixture, &again), ==, ENGINE_OK); /* fresh: not asked */
    g_assert_cmpint(g_atomic_int_get(&fixture->folders_changed), ==, before);
    fixture_pass(2);
    g_assert_cmpint(fixture_ask(fixture, &again), ==, ENGINE_OK);
    g_assert_cmpint(g_atomic_int_get(&fixture->folders_changed), ==, before + 1);
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    struct cache_mailbox gone;
    g_assert_cmpint(cache_mailbox_by_wire(txn, "A/B/C", &gone), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_by_wire(txn, "A", &gone), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_by_wire(txn, "Sent", &gone), ==, CACHE_OK);
}

/* ---- lists that lack what is there ----------------------------------------------------------- */

static void list_again(struct fixture *fixture)
{
    const struct engine_wish folders = {.want = ENGINE_FOLDERS};
    fixture_pass(2);
    g_assert_cmpint(fixture_ask(fixture, &folders), ==, ENGINE_OK);
}

static bool is_known(struct fixture *fixture, const char *mailbox)
{
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    struct cache_mailbox found;
    return cache_mailbox_by_wire(txn, mailbox, &found) == CACHE_OK;
}

static void start_with_boxes(struct fixture *fixture)
{
    imapd_add_box(fixture->imapd, "Trash", "\\Trash");
    imapd_add_box(fixture->imapd, "Work/Deep", "");
    fixture_start(fixture);
    imapd_forget_counts(fixture->imapd);
}

static void set_blind(struct fixture *fixture, unsigned sessions)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->list_blind = sessions;
    g_mutex_unlock(&fixture->imapd->lock);
}

static void remove_box(struct fixture *fixture, const char *name)
{
    g_mutex_lock(&fixture->imapd->lock);
    g_ptr_array_remove(fixture->imapd->boxes, imapd_box(fixture->imapd, name));
    g_mutex_unlock(&fixture->imapd->lock);
}

/* One session tells of INBOX alone, for ever; another is asked, and nothing is seen of it. */
static void test_blind_session(struct fixture *fixture, gconstpointer data)
{
    start_with_boxes(fixture);
    uint32_t slot = fixture_mailbox(fixture, "Work/Deep").slot;
    gint before = g_atomic_int_get(&fixture->folders_changed);
    set_blind(fixture, 1);
    list_again(fixture);
    g_assert_cmpuint(fixture_mailbox(fixture, "Work/Deep").slot, ==, slot);
    g_assert_cmpint(g_atomic_int_get(&fixture->folders_changed), ==, before);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "LIST"), ==, 2);
    list_again(fixture); /* that session is not asked any more */
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "LIST"), ==, 3);
}

/* All sessions do: what STATUS knows stays, as it was, and not every list costs a session. */
static void test_blind_server(struct fixture *fixture, gconstpointer data)
{
    start_with_boxes(fixture);
    gint before = g_atomic_int_get(&fixture->folders_changed);
    set_blind(fixture, 1000);
    for (unsigned i = 0; i < 4; i++)
        list_again(fixture);
    g_assert_true(is_known(fixture, "Work/Deep"));
    g_assert_cmpuint(fixture_mailbox(fixture, "Trash").flags & CACHE_MAILBOX_TRASH, !=, 0);
    g_assert_cmpint(g_atomic_int_get(&fixture->folders_changed), ==, before);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "LIST"), ==, 5);
    remove_box(fixture, "Work/Deep"); /* by another client */
    list_again(fixture);
    g_assert_false(is_known(fixture, "Work/Deep"));
    g_assert_false(is_known(fixture, "Work")); /* a mere place */
    g_assert_true(is_known(fixture, "Trash"));
}

/* What is gone goes, at once, for one question more in the same session. */
static void test_gone_at_once(struct fixture *fixture, gconstpointer data)
{
    start_with_boxes(fixture);
    remove_box(fixture, "Work/Deep");
    list_again(fixture);
    g_assert_false(is_known(fixture, "Work/Deep"));
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "LIST"), ==, 1);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "STATUS"), ==, 1);
    list_again(fixture);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "STATUS"), ==, 1);
}

/* More of them than are asked for one by one. */
static void test_many_gone(struct fixture *fixture, gconstpointer data)
{
    for (unsigned i = 0; i < 300; i++) {
        g_autofree char *name = g_strdup_printf("Old %u", i);
        imapd_add_box(fixture->imapd, name, "");
    }
    start_with_boxes(fixture);
    for (unsigned i = 0; i < 300; i++) {
        g_autofree char *name = g_strdup_printf("Old %u", i);
        remove_box(fixture, name);
    }
    list_again(fixture);
    g_assert_false(is_known(fixture, "Old 0"));
    g_assert_false(is_known(fixture, "Old 299"));
    g_assert_true(is_known(fixture, "Work/Deep"));
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "STATUS"), <=, 100);
}

/* ---- message lists --------------------------------------------------------------------------- */

static void fill(struct fixture *fixture, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        imapd_add(fixture_inbox(fixture), 200);
}

static uint32_t records(struct fixture *fixture)
{
    uint32_t messages = fixture_mailbox(fixture, "INBOX").messages;
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    return cache_message_count(txn, messages);
}

static void test_first(struct fixture *fixture, gconstpointer data)
{
    fill(fixture, 2500);
    g_mutex_lock(&fixture->imapd->lock);
    for (uint32_t uid = 3; uid < 2500; uid += 7)
        imapd_remove(fixture_inbox(fixture), uid);
    uint32_t there = fixture_inbox(fixture)->messages->len;
    imapd_message(fixture_inbox(fixture), 2)->flags[0] = '\0';
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(records(fixture), ==, there);
    struct cache_mailbox box = fixture_mailbox(fixture, "INBOX");
    g_assert_cmpuint(box.flags & CACHE_MAILBOX_COMPLETE, !=, 0);
    g_assert_cmpuint(box.count, ==, there);
    g_assert_cmpuint(box.uidnext, ==, 2501);
    g_assert_cmpuint(box.highestmodseq, ==, fixture_inbox(fixture)->modseq);
    g_assert_cmpint(box.mtime_ns, ==, 1795176000000000000); /* the newest INTERNALDATE */

    struct cache_message message;
    g_autofree char *name = NULL;
    g_assert_true(fixture_message(fixture, "INBOX", 1, &message, &name, NULL));
    g_assert_cmpstr(name, ==, "2026-11-20 Alice - message 1 [1]");
    g_assert_cmpuint(message.size, ==, imapd_message(fixture_inbox(fixture), 1)->bytes->len);
    g_assert_false(fixture_message(fixture, "INBOX", 3, &message, NULL, NULL));
}

/* What changes, by server: with CONDSTORE, without it. */
static void check_changes(struct fixture *fixture)
{
    fill(fixture, 50);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), ==, 0); /* fresh for a second */
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), ==, 1);
    g_assert_cmpuint(count(fixture, &fixture->imapd->searches), ==, 0);

    g_mutex_lock(&fixture->imapd->lock);
    struct imapd_message *message = imapd_message(fixture_inbox(fixture), 7);
    g_free(message->flags);
    message->flags = g_strdup("\\Seen work $Later \\Recent");
    message->modseq = ++fixture_inbox(fixture)->modseq;
    imapd_remove(fixture_inbox(fixture), 9);
    fill(fixture, 2);
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(2);
    gint named = g_atomic_int_get(&fixture->mailbox_changed);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    struct cache_message record;
    g_autofree char *keywords = NULL;
    g_assert_true(fixture_message(fixture, "INBOX", 7, &record, NULL, &keywords));
    g_assert_cmpuint(record.flags, ==, CACHE_FLAG_SEEN);
    g_assert_cmpstr(keywords, ==, "$Later work");
    g_assert_false(fixture_message(fixture, "INBOX", 9, &record, NULL, NULL));
    g_assert_true(fixture_message(fixture, "INBOX", 52, &record, NULL, NULL));
    g_assert_cmpuint(records(fixture), ==, 51);
    g_assert_cmpuint(fixture_mailbox(fixture, "INBOX").count, ==, 51);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&fixture->flags_changed), ==, 1);
    g_assert_cmpint(g_atomic_int_get(&fixture->mailbox_changed), >, named);
}

static void test_condstore(struct fixture *fixture, gconstpointer data)
{
    check_changes(fixture);
}

static void test_plain(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "";
    check_changes(fixture);
}

static void test_remount(struct fixture *fixture, gconstpointer data)
{
    fill(fixture, 30);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    fixture_stop(fixture);
    fixture_start(fixture);
    imapd_forget_counts(fixture->imapd);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    /* none if its STATUS, asked for with the list of mailboxes, has come by now */
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), <=, 1);
    g_assert_cmpuint(records(fixture), ==, 30);
}

static void test_uidvalidity(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = "CONDSTORE OBJECTID"; /* EMAILIDs: equal size, equal message */
    fill(fixture, 5);
    imapd_add(fixture_inbox(fixture), 999);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    struct cache_mailbox before = fixture_mailbox(fixture, "INBOX");
    uint64_t object = fixture_object(fixture, "INBOX", 6);
    g_mutex_lock(&fixture->imapd->lock);
    struct imapd_box *box = fixture_inbox(fixture);
    box->uidvalidity = 77;
    for (guint i = 0; i < box->messages->len; i++)
        ((struct imapd_message *)box->messages->pdata[i])->uid += 10;
    box->uidnext += 10;
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    struct cache_mailbox after = fixture_mailbox(fixture, "INBOX");
    g_assert_cmpuint(after.slot, ==, before.slot);
    g_assert_cmpuint(after.messages, !=, before.messages);
    g_assert_cmpuint(after.uidvalidity, ==, 77);
    g_assert_cmpuint(records(fixture), ==, 6);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, 6);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 16), ==, object);
}

static void test_uidvalidity_zero(struct fixture *fixture, gconstpointer data)
{
    fixture_inbox(fixture)->uidvalidity = 0;
    fill(fixture, 5);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    uint64_t object = fixture_object(fixture, "INBOX", 1);
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 1), ==, object);
    fixture_stop(fixture);
    fixture_start(fixture); /* another session: the same numbers may be other messages */
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 1), !=, object);
    g_assert_cmpuint(records(fixture), ==, 5);
}

static void test_refused(struct fixture *fixture, gconstpointer data)
{
    fill(fixture, 600);
    imapd_message(fixture_inbox(fixture), 123)->refused = true;
    imapd_message(fixture_inbox(fixture), 600)->refused = true;
    imapd_message(fixture_inbox(fixture), 300)->bare = true;
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(records(fixture), ==, 600);
    struct cache_message message;
    g_autofree char *name = NULL, *bare = NULL;
    g_assert_true(fixture_message(fixture, "INBOX", 123, &message, &name, NULL));
    g_assert_nonnull(strstr(name, "[123]"));
    g_assert_true(fixture_message(fixture, "INBOX", 300, &message, &bare, NULL));
    g_assert_nonnull(strstr(bare, "[300]"));
}

static void test_partial(struct fixture *fixture, gconstpointer data)
{
    fill(fixture, 40);
    fixture->imapd->search_most = 25;
    fixture_start(fixture);
    g_test_expect_message("fs", G_LOG_LEVEL_WARNING, "*lists only 25 of them*");
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_test_assert_expected_messages();
    struct engine_status status;
    engine_status_read(fixture->engine, &status);
    g_assert_cmpuint(status.mailboxes_incomplete, ==, 1);
}

static void test_cut(struct fixture *fixture, gconstpointer data)
{
    fill(fixture, 1500);
    fixture_start(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->cut_after = 100000; /* in the midst of the first listing */
    g_mutex_unlock(&fixture->imapd->lock);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpuint(records(fixture), ==, 1500);
}

static void test_gone_mailbox(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "Old", "");
    fixture_start(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    g_ptr_array_remove(fixture->imapd->boxes, imapd_box(fixture->imapd, "Old"));
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "Old"), ==, ENGINE_GONE);
    while (g_atomic_int_get(&fixture->folders_changed) < 2) /* it leaves the list by itself */
        g_usleep(1000);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK); /* empty */
    g_assert_cmpuint(fixture_mailbox(fixture, "INBOX").count, ==, 0);
}

/* The server says so without a code, as Dovecot and Cyrus do. */
static void test_gone_without_code(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "Old", "");
    fixture_start(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    g_ptr_array_remove(fixture->imapd->boxes, imapd_box(fixture->imapd, "Old"));
    fixture->imapd->flaw_on = "EXAMINE Old";
    fixture->imapd->flaw_words = "NO Mailbox does not exist";
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_pass(2);
    g_assert_cmpint(fixture_list(fixture, "Old"), ==, ENGINE_GONE);
    while (g_atomic_int_get(&fixture->folders_changed) < 2)
        g_usleep(1000);
}

/* Trouble of the server's own is not told as a mailbox that is gone. */
static void test_not_gone(struct fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *words;
        enum engine_error error;
    } CASES[] = {
        {"NO System I/O error", ENGINE_BROKEN},
        {"NO Internal error occurred. Refer to server log", ENGINE_BROKEN},
        {"NO Temporary failure", ENGINE_BROKEN},
        {"NO Cannot open mailbox", ENGINE_BROKEN},
        {"NO [NOPERM] not yours", ENGINE_REFUSED},
        {"NO Unable to open this mailbox.", ENGINE_GONE},
    };
    imapd_add_box(fixture->imapd, "Old", "");
    fixture_start(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_mutex_lock(&fixture->imapd->lock);
        fixture->imapd->flaw_on = "EXAMINE Old";
        fixture->imapd->flaw_words = CASES[i].words;
        g_mutex_unlock(&fixture->imapd->lock);
        fixture_pass(2);
        g_assert_cmpint(fixture_list(fixture, "Old"), ==, CASES[i].error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/engine/folders/tree", test_tree);
    g_test_add_func("/engine/folders/nonexistent", test_nonexistent);
    ADD("/engine/folders/list", test_folders);
    ADD("/engine/folders/blind-session", test_blind_session);
    ADD("/engine/folders/blind-server", test_blind_server);
    ADD("/engine/folders/gone-at-once", test_gone_at_once);
    ADD("/engine/folders/many-gone", test_many_gone);
    ADD("/engine/list/first", test_first);
    ADD("/engine/list/condstore", test_condstore);
    ADD("/engine/list/plain", test_plain);
    ADD("/engine/list/remount", test_remount);
    ADD("/engine/list/uidvalidity", test_uidvalidity);
    ADD("/engine/list/uidvalidity-zero", test_uidvalidity_zero);
    ADD("/engine/list/refused", test_refused);
    ADD("/engine/list/partial", test_partial);
    ADD("/engine/list/cut", test_cut);
    ADD("/engine/list/gone-mailbox", test_gone_mailbox);
    ADD("/engine/list/gone-without-code", test_gone_without_code);
    ADD("/engine/list/not-gone", test_not_gone);
    return g_test_run();
}
