/* Connections cut at each step of a change, and processes that end there: afterwards there is one
 * copy of each message, in the right place, and nothing was sent twice. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

#define CAPABLE "CONDSTORE ESEARCH UIDPLUS SPECIAL-USE MOVE LITERAL+"
#define COPYING "CONDSTORE ESEARCH UIDPLUS SPECIAL-USE LITERAL+"
#define POOR "ESEARCH"
#define MAIL "Message-ID: <one@example.org>\r\nSubject: x\r\nFrom: a@example.org\r\n\r\nhello\r\n"
#define PLAIN \
    "Subject: x\r\nFrom: a@example.org\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\nhello\r\n"
#define DATE 1795000000
#define NOON 1795176000 /* what imapd says of each message */

static void setup(struct fixture *fixture, gconstpointer data)
{
    fixture_setup(fixture, data);
    imapd_add_box(fixture->imapd, "Archive", "");
    for (unsigned i = 0; i < 4; i++)
        imapd_add(fixture_inbox(fixture), 200);
    imapd_add(imapd_box(fixture->imapd, "Archive"), 300);
    struct imapd_message *others = imapd_message(fixture_inbox(fixture), 4);
    g_free(others->flags);
    others->flags = g_strdup("\\Deleted"); /* marked by another client */
    fixture->imapd->capabilities = CAPABLE;
    fixture_journal(fixture);
}

static struct imapd_box *box(struct fixture *fixture, const char *name)
{
    return imapd_box(fixture->imapd, name);
}

static unsigned held(struct fixture *fixture, const char *name)
{
    g_mutex_lock(&fixture->imapd->lock);
    unsigned messages = box(fixture, name) != NULL ? box(fixture, name)->messages->len : 0;
    g_mutex_unlock(&fixture->imapd->lock);
    return messages;
}

static bool journal_is_empty(struct fixture *fixture)
{
    g_autoptr(journal_entry) entry = journal_next(fixture->journal, 0);
    return entry == NULL;
}

/* Time passes for the engine, so that what it puts off comes soon. */
static void wait_settled(struct fixture *fixture)
{
    for (unsigned i = 0; !journal_is_empty(fixture); i++) {
        g_usleep(5000);
        if (i % 20 == 19)
            fixture_pass(1);
    }
}

static void start_listed(struct fixture *fixture)
{
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, "Archive"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
}

static void set_flaw(struct fixture *fixture, const char *on, bool done)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = on;
    fixture->imapd->flaw_words = NULL;
    fixture->imapd->flaw_done = done;
    fixture->imapd->flaw_times = 1;
    g_mutex_unlock(&fixture->imapd->lock);
}

static void check_no_blind_expunge(struct fixture *fixture)
{
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "EXPUNGE"), ==, 0);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "CLOSE"), ==, 0);
    g_assert_nonnull(imapd_message(fixture_inbox(fixture), 4));
}

/* ---- each step of each change ---------------------------------------------------------------- */

struct cut_case {
    const char *capabilities;
    enum journal_kind kind;
    const char *on; /* the command at which the connection is cut */
    bool done;      /* after it was done, before the answer */
};
static const struct cut_case CUTS[] = {
    {CAPABLE, JOURNAL_MOVE, "STATUS", false},
    {CAPABLE, JOURNAL_MOVE, "SELECT", false},
    {CAPABLE, JOURNAL_MOVE, "UID MOVE", false},
    {CAPABLE, JOURNAL_MOVE, "UID MOVE", true},
    {CAPABLE, JOURNAL_MOVE, "EXAMINE", false},
    {COPYING, JOURNAL_MOVE, "SELECT", false},
    {COPYING, JOURNAL_MOVE, "UID COPY", false},
    {COPYING, JOURNAL_MOVE, "UID COPY", true},
    {COPYING, JOURNAL_MOVE, "UID STORE", false},
    {COPYING, JOURNAL_MOVE, "UID STORE", true},
    {COPYING, JOURNAL_MOVE, "UID EXPUNGE", false},
    {COPYING, JOURNAL_MOVE, "UID EXPUNGE", true},
    {CAPABLE, JOURNAL_COPY, "UID COPY", false},
    {CAPABLE, JOURNAL_COPY, "UID COPY", true},
    {CAPABLE, JOURNAL_EXPUNGE, "UID STORE", false},
    {CAPABLE, JOURNAL_EXPUNGE, "UID STORE", true},
    {CAPABLE, JOURNAL_EXPUNGE, "UID EXPUNGE", false},
    {CAPABLE, JOURNAL_EXPUNGE, "UID EXPUNGE", true},
    {CAPABLE, JOURNAL_APPEND, "STATUS", true},
    {CAPABLE, JOURNAL_APPEND, "APPEND", false},
    {CAPABLE, JOURNAL_APPEND, "APPEND", true},
    {POOR, JOURNAL_APPEND, "APPEND", false},
    {POOR, JOURNAL_APPEND, "APPEND", true},
    {CAPABLE, JOURNAL_CREATE, "CREATE", false},
    {CAPABLE, JOURNAL_CREATE, "CREATE", true},
    {CAPABLE, JOURNAL_RENAME, "RENAME", false},
    {CAPABLE, JOURNAL_RENAME, "RENAME", true},
    {CAPABLE, JOURNAL_REMOVE, "DELETE", false},
    {CAPABLE, JOURNAL_REMOVE, "DELETE", true},
    {CAPABLE, JOURNAL_FLAGS, "UID STORE", false},
    {CAPABLE, JOURNAL_FLAGS, "UID STORE", true},
};

static void entry_add(struct fixture *fixture, enum journal_kind kind, const char *mail)
{
    struct journal_entry entry = {.kind = kind, .delimiter = '/', .internaldate = DATE};
    bool message = kind == JOURNAL_MOVE || kind == JOURNAL_COPY || kind == JOURNAL_EXPUNGE ||
                   kind == JOURNAL_FLAGS;
    if (message) {
        entry.message = (struct journal_address){"INBOX", fixture_inbox(fixture)->uidvalidity, 2};
        entry.size = imapd_message(fixture_inbox(fixture), 2)->bytes->len;
    }
    if (kind == JOURNAL_MOVE || kind == JOURNAL_COPY)
        entry.target = "Archive";
    if (kind == JOURNAL_FLAGS)
        entry.add = "\\Flagged";
    if (kind == JOURNAL_CREATE)
        entry.target = "New";
    if (kind == JOURNAL_RENAME)
        entry.target = "New";
    if (kind == JOURNAL_RENAME || kind == JOURNAL_REMOVE)
        entry.message.mailbox = "Empty";
    if (kind == JOURNAL_APPEND) {
        gsize digest = sizeof entry.digest;
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        g_checksum_update(checksum, (const guchar *)mail, (gssize)strlen(mail));
        g_checksum_get_digest(checksum, entry.digest, &digest);
        entry.target = "Archive";
        entry.message_id = strcmp(mail, MAIL) == 0 ? "<one@example.org>" : "";
        entry.size = strlen(mail);
        entry.staged = fixture_stage(fixture, mail, strlen(mail));
    }
    fixture_add(fixture, &entry);
}

static void check_outcome(struct fixture *fixture, enum journal_kind kind)
{
    bool taken = kind == JOURNAL_MOVE || kind == JOURNAL_EXPUNGE;
    bool brought = kind == JOURNAL_MOVE || kind == JOURNAL_COPY || kind == JOURNAL_APPEND;
    g_assert_cmpuint(held(fixture, "INBOX"), ==, taken ? 3 : 4);
    g_assert_cmpuint(held(fixture, "Archive"), ==, brought ? 2 : 1);
    g_assert_true((imapd_message(fixture_inbox(fixture), 2) == NULL) == taken);
    g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 0);
    g_assert_true((box(fixture, "New") != NULL) ==
                  (kind == JOURNAL_CREATE || kind == JOURNAL_RENAME));
    g_assert_true((box(fixture, "Empty") == NULL) ==
                  (kind == JOURNAL_REMOVE || kind == JOURNAL_RENAME));
    if (kind == JOURNAL_FLAGS)
        g_assert_cmpstr(imapd_message(fixture_inbox(fixture), 2)->flags, ==, "\\Flagged");
    if (brought)
        g_assert_cmpuint(fixture_object(fixture, "Archive", 2), !=, 0);
    check_no_blind_expunge(fixture);
}

/* The connection ends there; the same process goes on. */
static void test_cut(struct fixture *fixture, gconstpointer data)
{
    const struct cut_case *cut = data;
    imapd_add_box(fixture->imapd, "Empty", "");
    fixture->imapd->capabilities = cut->capabilities;
    start_listed(fixture);
    set_flaw(fixture, cut->on, cut->done);
    entry_add(fixture, cut->kind, MAIL);
    engine_push(fixture->engine);
    wait_settled(fixture);
    check_outcome(fixture, cut->kind);
    g_assert_null(fixture->imapd->flaw_on); /* it was cut */
}

/* The process ends there too, and another takes the journal up. */
static void test_end(struct fixture *fixture, gconstpointer data)
{
    const struct cut_case *cut = data;
    imapd_add_box(fixture->imapd, "Empty", "");
    fixture->imapd->capabilities = cut->capabilities;
    start_listed(fixture);
    set_flaw(fixture, cut->on, cut->done);
    entry_add(fixture, cut->kind, MAIL);
    engine_push(fixture->engine);
    for (bool over = false; !over;) {
        g_usleep(500);
        g_mutex_lock(&fixture->imapd->lock);
        over = fixture->imapd->flaw_on == NULL;
        g_mutex_unlock(&fixture->imapd->lock);
    }
    fixture_stop(fixture);
    fixture_journal_again(fixture);
    fixture_start(fixture);
    wait_settled(fixture);
    check_outcome(fixture, cut->kind);
}

/* ---- where it lies then ---------------------------------------------------------------------- */

static void move_and_delete(struct fixture *fixture)
{
    const struct journal_entry move = {
        .kind = JOURNAL_MOVE,
        .message = {"INBOX", fixture_inbox(fixture)->uidvalidity, 2},
        .target = "Archive",
        .size = imapd_message(fixture_inbox(fixture), 2)->bytes->len,
        .internaldate = NOON,
    };
    const struct journal_entry delete = {.kind = JOURNAL_EXPUNGE,
                                         .source = fixture_add(fixture, &move)};
    engine_push(fixture->engine);
    while (imapd_count_lines(fixture->imapd, "UID MOVE") == 0) /* else the two become one */
        g_usleep(500);
    fixture_add(fixture, &delete);
    engine_push(fixture->engine);
    wait_settled(fixture);
}

/* What was sent over a connection that was cut is done only when it is about to be sent again: then
 * the answer says nothing, and the message is found, and what is to follow is done to it. */
static void test_late(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    set_flaw(fixture, "UID MOVE", false);
    fixture->imapd->flaw_late = true;
    move_and_delete(fixture);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "UID MOVE"), ==, 2);
    g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 0);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 3);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1);
    check_no_blind_expunge(fixture);
}

/* Another client has taken the message away before: nothing is said to have been done, and nothing
 * that has come to the target is touched. */
static void test_taken(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    entry_add(fixture, JOURNAL_MOVE, NULL); /* COPYUID is heard */
    engine_push(fixture->engine);
    wait_settled(fixture);
    const struct journal_entry move = {
        .kind = JOURNAL_MOVE,
        .message = {"INBOX", fixture_inbox(fixture)->uidvalidity, 3},
        .target = "Archive",
    };
    g_mutex_lock(&fixture->imapd->lock);
    imapd_remove(fixture_inbox(fixture), 3);
    g_mutex_unlock(&fixture->imapd->lock);
    fixture_add(fixture, &move);
    engine_push(fixture->engine);
    wait_settled(fixture);
    g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 1);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 2);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
    check_no_blind_expunge(fixture);
}

/* ---- lists that are old ---------------------------------------------------------------------- */

/* The answer to a RENAME is lost, and the sessions that are asked afterwards tell of INBOX alone.
 */
static void rename_blindly(struct fixture *fixture, bool done)
{
    imapd_add_box(fixture->imapd, "Empty", "");
    start_listed(fixture);
    set_flaw(fixture, "RENAME", done);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->list_blind = 1000;
    g_mutex_unlock(&fixture->imapd->lock);
    entry_add(fixture, JOURNAL_RENAME, NULL);
    engine_push(fixture->engine);
    wait_settled(fixture);
    check_outcome(fixture, JOURNAL_RENAME);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "RENAME"), ==, done ? 1 : 2);
}

static void test_rename_done(struct fixture *fixture, gconstpointer data)
{
    rename_blindly(fixture, true);
}

static void test_rename_undone(struct fixture *fixture, gconstpointer data)
{
    rename_blindly(fixture, false);
}

/* A list that lacks it is no proof that it is removed. */
static void test_remove_unlisted(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "Empty", "");
    start_listed(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->list_blind = 1000;
    g_mutex_unlock(&fixture->imapd->lock);
    entry_add(fixture, JOURNAL_REMOVE, NULL);
    engine_push(fixture->engine);
    wait_settled(fixture);
    check_outcome(fixture, JOURNAL_REMOVE);
}

/* ---- appends --------------------------------------------------------------------------------- */

static void append_cut(struct fixture *fixture, const char *mail)
{
    start_listed(fixture);
    set_flaw(fixture, "APPEND", true);
    entry_add(fixture, JOURNAL_APPEND, mail);
    engine_push(fixture->engine);
    wait_settled(fixture);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "APPEND"), ==, 1); /* never again */
}

static void test_append_known(struct fixture *fixture, gconstpointer data)
{
    append_cut(fixture, MAIL);
}

static void test_append_plain(struct fixture *fixture, gconstpointer data)
{
    append_cut(fixture, PLAIN);
}

/* In the middle of its bytes: nothing was stored, and nobody needs to look. */
static void test_append_half(struct fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) mail = g_string_new(PLAIN);
    while (mail->len < 24u << 20) /* more than the socket's buffers hold */
        g_string_append(mail,
                        "a line of text that goes on and on, and then some, until the end\r\n");
    start_listed(fixture);
    fixture->imapd->cut_literal = 1000;
    entry_add(fixture, JOURNAL_APPEND, mail->str);
    engine_push(fixture->engine);
    wait_settled(fixture);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
    g_assert_cmpuint(fixture->imapd->appends, ==, 1);
    g_assert_cmpuint(imapd_message(box(fixture, "Archive"), 2)->bytes->len, ==, mail->len);
}

/* Two of the same bytes are two messages, also if the answers are lost. */
static void test_append_twins(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    set_flaw(fixture, "APPEND", true);
    fixture->imapd->flaw_skip = 1;
    entry_add(fixture, JOURNAL_APPEND, MAIL);
    entry_add(fixture, JOURNAL_APPEND, MAIL);
    engine_push(fixture->engine);
    wait_settled(fixture);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 3);
    check_no_blind_expunge(fixture);
}

/* Stored once by the connection that was cut, slowly, and once more: the later goes. `before`: how
 * many are in the mailbox. */
static void check_append_double(struct fixture *fixture, unsigned before)
{
    start_listed(fixture);
    set_flaw(fixture, "APPEND", true);
    fixture->imapd->flaw_twice = true;
    entry_add(fixture, JOURNAL_APPEND, MAIL);
    engine_push(fixture->engine);
    wait_settled(fixture);
    g_assert_cmpuint(held(fixture, "Archive"), ==, before + 1);
    g_assert_nonnull(imapd_message(box(fixture, "Archive"), before + 1));
    check_no_blind_expunge(fixture);
}

static void test_append_double(struct fixture *fixture, gconstpointer data)
{
    check_append_double(fixture, 1);
}

/* The same where nothing was before, so that it can be seen from UID 1 on. */
static void test_append_double_first(struct fixture *fixture, gconstpointer data)
{
    imapd_remove(box(fixture, "Archive"), 1);
    box(fixture, "Archive")->uidnext = 1;
    check_append_double(fixture, 0);
}

static void hold_selects(struct fixture *fixture, bool held)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->examine_held = held;
    g_mutex_unlock(&fixture->imapd->lock);
}

/* The connection is lost while the second copy is removed: it is looked for again, not sent. */
static void test_append_double_cut(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    set_flaw(fixture, "APPEND", true);
    fixture->imapd->flaw_twice = true;
    hold_selects(fixture, true);
    entry_add(fixture, JOURNAL_APPEND, MAIL);
    engine_push(fixture->engine);
    while (imapd_count(fixture->imapd, &fixture->imapd->examines) == 0) {
        fixture_pass(1);
        g_usleep(10000);
    }
    fixture->imapd->flaw_twice = false;
    set_flaw(fixture, "UID STORE", false);
    hold_selects(fixture, false);
    wait_settled(fixture);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "APPEND"), ==, 1);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
    check_no_blind_expunge(fixture);
}

/* Another's message of the same Message-ID and other bytes is not taken for ours, nor removed. */
static void test_append_other(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    set_flaw(fixture, "APPEND", false);
    entry_add(fixture, JOURNAL_APPEND, MAIL);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_arrival = "Message-ID: <one@example.org>\r\nSubject: another\r\n\r\n"
                                   "much longer than what we had in mind to store here\r\n";
    g_mutex_unlock(&fixture->imapd->lock);
    engine_push(fixture->engine);
    wait_settled(fixture);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 3);
    check_no_blind_expunge(fixture);
}

/* ---- out of reach ---------------------------------------------------------------------------- */

static void test_offline(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    imapd_down(fixture->imapd);
    entry_add(fixture, JOURNAL_MOVE, NULL);
    engine_push(fixture->engine);
    const struct engine_wish wish = {.want = ENGINE_PUSHED};
    enum engine_error error = fixture_ask(fixture, &wish);
    g_assert_true(error == ENGINE_OFFLINE || error == ENGINE_TIMEOUT);
    g_assert_false(journal_is_empty(fixture)); /* it stays */
    fixture_pass(3600);
    g_assert_false(journal_is_empty(fixture));
    imapd_up(fixture->imapd);
    wait_settled(fixture);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 3);
    while (g_atomic_int_get(&fixture->settled) < 1) /* told just after the journal is empty */
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&fixture->settled), ==, 1);
}

/* It was out of reach a moment ago: who waits for everything gets another attempt. */
static void test_back(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    imapd_down(fixture->imapd);
    entry_add(fixture, JOURNAL_MOVE, NULL);
    const struct engine_wish wish = {.want = ENGINE_PUSHED};
    g_assert_cmpint(fixture_ask(fixture, &wish), !=, ENGINE_OK);
    imapd_up(fixture->imapd);
    g_assert_cmpint(fixture_ask(fixture, &wish), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
}

/* A server that says nothing: the wish has a deadline, the change stays. */
static void test_stall(struct fixture *fixture, gconstpointer data)
{
    fixture->account.timeout_s = 3;
    start_listed(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->stall = true;
    g_mutex_unlock(&fixture->imapd->lock);
    entry_add(fixture, JOURNAL_MOVE, NULL);
    const struct engine_wish wish = {.want = ENGINE_PUSHED};
    struct pending *pending = fixture_begin(fixture, &wish);
    while (imapd_count_lines(fixture->imapd, "SELECT") == 0)
        g_usleep(1000);
    fixture_pass(31);
    g_assert_cmpint(fixture_wait(pending), !=, ENGINE_OK);
    g_assert_false(journal_is_empty(fixture));
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->stall = false;
    g_mutex_unlock(&fixture->imapd->lock);
    wait_settled(fixture);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
}

/* Nothing more is heard once a message is sent: the connection is given up. */
static void stall_append(struct fixture *fixture, bool done)
{
    fixture->account.timeout_s = 3;
    start_listed(fixture);
    set_flaw(fixture, "APPEND", done);
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_words = "";
    g_mutex_unlock(&fixture->imapd->lock);
    entry_add(fixture, JOURNAL_APPEND, MAIL);
    const struct engine_wish wish = {.want = ENGINE_PUSHED};
    struct pending *pending = fixture_begin(fixture, &wish);
    while (imapd_count_lines(fixture->imapd, "APPEND") == 0)
        g_usleep(1000);
    fixture_pass(31);
    g_assert_cmpint(fixture_wait(pending), !=, ENGINE_OK);
    g_assert_false(journal_is_empty(fixture));
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->stall = false;
    g_mutex_unlock(&fixture->imapd->lock);
    wait_settled(fixture);
    g_assert_cmpuint(held(fixture, "Archive"), ==, 2);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "APPEND"), ==, done ? 1 : 2);
}

static void test_append_stall(struct fixture *fixture, gconstpointer data)
{
    stall_append(fixture, false);
}

static void test_append_stall_done(struct fixture *fixture, gconstpointer data)
{
    stall_append(fixture, true);
}

/* Everything is cut again and again, many messages, on one line. */
static void test_storm(struct fixture *fixture, gconstpointer data)
{
    fixture->account.connections = 1;
    for (unsigned i = 0; i < 1500; i++)
        imapd_add(fixture_inbox(fixture), 100);
    start_listed(fixture);
    for (uint32_t uid = 5; uid <= 1504; uid++) {
        g_mutex_lock(&fixture->imapd->lock); /* what came first may be on its way already */
        const struct imapd_message *message = imapd_message(fixture_inbox(fixture), uid);
        gsize size = message->bytes->len;
        g_mutex_unlock(&fixture->imapd->lock);
        const struct journal_entry entry = {
            .kind = uid % 3 == 0 ? JOURNAL_COPY : JOURNAL_MOVE,
            .message = {"INBOX", fixture_inbox(fixture)->uidvalidity, uid},
            .size = size,
            .target = "Archive"};
        fixture_add(fixture, &entry);
    }
    engine_push(fixture->engine);
    for (unsigned i = 0; !journal_is_empty(fixture); i++) {
        g_usleep(3000);
        if (i % 7 == 6 && i < 200)
            imapd_hang_up(fixture->imapd);
        if (i % 20 == 19)
            fixture_pass(1);
    }
    g_assert_cmpuint(held(fixture, "Archive"), ==, 1 + 1500);
    g_assert_cmpuint(held(fixture, "INBOX"), ==, 4 + 500);
    check_no_blind_expunge(fixture);
}

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, setup, function, fixture_teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(CUTS); i++) {
        g_autofree char *name =
            g_strdup_printf("%zu-%s%s", i, CUTS[i].on, CUTS[i].done ? "-done" : "");
        g_strdelimit(name, " ", '-');
        g_autofree char *cut = g_strdup_printf("/engine/push/cut/%s", name);
        g_autofree char *end = g_strdup_printf("/engine/push/end/%s", name);
        g_test_add(cut, struct fixture, &CUTS[i], setup, test_cut, fixture_teardown);
        g_test_add(end, struct fixture, &CUTS[i], setup, test_end, fixture_teardown);
    }
    ADD("/engine/push/move/late", test_late);
    ADD("/engine/push/move/taken", test_taken);
    ADD("/engine/push/rename/blind-done", test_rename_done);
    ADD("/engine/push/rename/blind-undone", test_rename_undone);
    ADD("/engine/push/remove/blind", test_remove_unlisted);
    ADD("/engine/push/append/known", test_append_known);
    ADD("/engine/push/append/plain", test_append_plain);
    ADD("/engine/push/append/half", test_append_half);
    ADD("/engine/push/append/twins", test_append_twins);
    ADD("/engine/push/append/double", test_append_double);
    ADD("/engine/push/append/double-first", test_append_double_first);
    ADD("/engine/push/append/double-cut", test_append_double_cut);
    ADD("/engine/push/append/other", test_append_other);
    ADD("/engine/push/offline", test_offline);
    ADD("/engine/push/back", test_back);
    ADD("/engine/push/stall", test_stall);
    ADD("/engine/push/append/stall", test_append_stall);
    ADD("/engine/push/append/stall-done", test_append_stall_done);
    ADD("/engine/push/storm", test_storm);
    return g_test_run();
}
