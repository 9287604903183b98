/* The journal sent: changes that are refused and sent once more. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, setup, function, fixture_teardown)
#define CAPABLE "CONDSTORE ESEARCH UIDPLUS SPECIAL-USE MOVE LITERAL+"
#define MAIL "Message-ID: <one@example.org>\r\nSubject: x\r\nFrom: a@example.org\r\n\r\nhello\r\n"

static void setup(struct fixture *fixture, gconstpointer data)
{
    fixture_setup(fixture, data);
    imapd_add_box(fixture->imapd, "Archive", "");
    fixture->imapd->capabilities = CAPABLE;
    fixture_journal(fixture);
}

static void start_listed(struct fixture *fixture)
{
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_list(fixture, "Archive"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
}

static unsigned held(struct fixture *fixture, const char *name)
{
    g_mutex_lock(&fixture->imapd->lock);
    unsigned messages = imapd_box(fixture->imapd, name)->messages->len;
    g_mutex_unlock(&fixture->imapd->lock);
    return messages;
}

static bool journal_is_empty(struct fixture *fixture)
{
    g_autoptr(journal_entry) entry = journal_next(fixture->journal, 0);
    return entry == NULL;
}

static uint64_t add_append(struct fixture *fixture, const char *target, const char *name)
{
    const struct journal_entry entry = {.kind = JOURNAL_APPEND,
                                        .target = target,
                                        .name = name,
                                        .add = "\\Seen",
                                        .message_id = "<one@example.org>",
                                        .size = strlen(MAIL),
                                        .internaldate = 1795000000,
                                        .staged = fixture_stage(fixture, MAIL, strlen(MAIL))};
    return fixture_add(fixture, &entry);
}

static void refuse(struct fixture *fixture, const char *command, const char *words, unsigned times)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->flaw_on = command;
    fixture->imapd->flaw_words = words;
    fixture->imapd->flaw_times = times;
    g_mutex_unlock(&fixture->imapd->lock);
}

/* ---- a target that is gone ------------------------------------------------------------------- */

static const char *const GONE[] = {
    "NO Mailbox was deleted under us (0.001 + 0.000 secs).",
    "NO [SERVERBUG] Mailbox was deleted under us",
    "NO Mailbox does not exist",
    "NO [TRYCREATE] Mailbox does not exist",
    "NO [NONEXISTENT] Mailbox does not exist",
};

/* It is there all the same: the second attempt goes well. */
static void test_there_again(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(GONE); i++) {
        refuse(fixture, "APPEND", GONE[i], 1);
        imapd_forget_counts(fixture->imapd);
        uint64_t id = add_append(fixture, "Archive", "x.eml");
        g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
        g_assert_cmpuint(imapd_count_lines(fixture->imapd, "APPEND"), ==, 2);
        g_assert_cmpuint(imapd_count_lines(fixture->imapd, "LIST"), >=, 1);
        g_assert_cmpuint(held(fixture, "Archive"), ==, i + 1);
    }
    g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 0);
}

/* The list shows it, and the server refuses it again: that is the end. */
static void test_refused_again(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(GONE); i++) {
        refuse(fixture, "APPEND", GONE[i], 0);
        imapd_forget_counts(fixture->imapd);
        uint64_t id = add_append(fixture, "Archive", "x.eml");
        g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_GONE);
        g_assert_cmpuint(imapd_count_lines(fixture->imapd, "APPEND"), ==, 2);
        g_assert_true(journal_is_empty(fixture));
    }
}

/* Another client has deleted it: nothing is sent to what is not there. */
static void test_deleted(struct fixture *fixture, gconstpointer data)
{
    start_listed(fixture);
    refuse(fixture, "APPEND", GONE[0], 0);
    g_mutex_lock(&fixture->imapd->lock);
    g_ptr_array_remove(fixture->imapd->boxes, imapd_box(fixture->imapd, "Archive"));
    g_mutex_unlock(&fixture->imapd->lock);
    uint64_t ids[] = {add_append(fixture, "Archive", "x.eml"),
                      add_append(fixture, "Archive", "y.eml")};
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        g_assert_cmpint(fixture_pushed(fixture, ids[i]), ==, ENGINE_GONE);
    g_assert_cmpuint(imapd_count_lines(fixture->imapd, "APPEND"), <=, 2);
    g_assert_true(journal_is_empty(fixture));
}

/* Another client has renamed it: the message goes there. */
static void test_renamed(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->capabilities = CAPABLE " OBJECTID LIST-EXTENDED LIST-STATUS";
    start_listed(fixture);
    refuse(fixture, "APPEND", GONE[0], 1);
    g_mutex_lock(&fixture->imapd->lock);
    struct imapd_box *box = imapd_box(fixture->imapd, "Archive");
    g_free(box->name);
    box->name = g_strdup("Older");
    g_mutex_unlock(&fixture->imapd->lock);
    uint64_t id = add_append(fixture, "Archive", "x.eml");
    const struct journal_entry flags = {
        .kind = JOURNAL_FLAGS, .message.mailbox = "Archive", .source = id, .add = "\\Flagged"};
    uint64_t behind = fixture_add(fixture, &flags);
    g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    g_assert_cmpint(fixture_pushed(fixture, behind), ==, ENGINE_OK);
    g_assert_cmpuint(held(fixture, "Older"), ==, 1);
    g_assert_cmpuint(fixture_object(fixture, "Older", 1), !=, 0);
    g_assert_cmpstr(imapd_message(imapd_box(fixture->imapd, "Older"), 1)->flags, ==,
                    "\\Seen \\Flagged");
    g_assert_true(journal_is_empty(fixture));
}

/* ---- what is put off ------------------------------------------------------------------------- */

static GPtrArray *put_offs(struct fixture *fixture)
{
    unsigned all;
    GPtrArray *list = engine_put_offs_read(fixture->engine, 3, &all);
    g_assert_cmpuint(MIN(all, 3), ==, list->len);
    return list;
}

static void wait_put_offs(struct fixture *fixture, unsigned count)
{
    for (;;) {
        g_autoptr(GPtrArray) list = put_offs(fixture);
        if (list->len == count)
            return;
        fixture_pass(1);
        g_usleep(10000);
    }
}

static uint64_t add_move(struct fixture *fixture, uint32_t uid)
{
    const struct journal_entry entry = {
        .kind = JOURNAL_MOVE,
        .message = {"INBOX", fixture_inbox(fixture)->uidvalidity, uid},
        .target = "Archive",
        .size = 240};
    return fixture_add(fixture, &entry);
}

/* It is told for as long as it lasts, and not when it is over. */
static void test_put_off(struct fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *command, *words, *why;
        bool stored; /* else moved */
    } CASES[] = {
        {"UID MOVE", "NO Try again later", "Try again later", false},
        {"UID MOVE", "NO [INUSE] somebody else has it", "somebody else has it", false},
        {"SELECT INBOX", "NO [UNAVAILABLE] not today", "not today", false},
        {"APPEND", "NO Try again later, \xe2\x98", "Try again later, ", true},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(CASES); i++)
        imapd_add(fixture_inbox(fixture), 200);
    start_listed(fixture);
    for (unsigned i = 0; i < G_N_ELEMENTS(CASES); i++) {
        refuse(fixture, CASES[i].command, CASES[i].words, 0);
        gint64 before = g_get_real_time();
        uint64_t id =
            CASES[i].stored ? add_append(fixture, "Archive", "x.eml") : add_move(fixture, i + 1);
        engine_push(fixture->engine);
        wait_put_offs(fixture, 1);
        g_autoptr(GPtrArray) list = put_offs(fixture);
        const struct engine_put_off *put_off = list->pdata[0];
        g_assert_cmpuint(put_off->entry, ==, id);
        g_assert_true(g_str_has_prefix(put_off->why, CASES[i].why));
        g_assert_true(g_utf8_validate(put_off->why, -1, NULL));
        g_assert_true(g_str_has_prefix(put_off->what,
                                       CASES[i].stored ? "store Archive/x" : "move INBOX/2026-"));
        g_assert_cmpint(put_off->since_us, >=, before);
        g_assert_cmpint(g_atomic_int_get(&fixture->refused), ==, 0);
        refuse(fixture, NULL, NULL, 0);
        wait_put_offs(fixture, 0);
        g_assert_cmpint(fixture_pushed(fixture, id), ==, ENGINE_OK);
    }
}

/* Many, of which a few are shown; and some that the user takes back. */
static void test_put_off_many(struct fixture *fixture, gconstpointer data)
{
    uint64_t ids[5];
    unsigned all;
    start_listed(fixture);
    refuse(fixture, "APPEND", "NO Try again later", 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++)
        ids[i] = add_append(fixture, "Archive", "x.eml");
    engine_push(fixture->engine);
    do {
        g_usleep(10000);
        g_ptr_array_unref(engine_put_offs_read(fixture->engine, 3, &all));
    } while (all < G_N_ELEMENTS(ids));
    g_autoptr(GPtrArray) list = put_offs(fixture);
    for (unsigned i = 0; i < list->len; i++)
        g_assert_cmpuint(((struct engine_put_off *)list->pdata[i])->entry, ==, ids[i]);
    while (journal_cancel(fixture->journal, ids[1]) != CACHE_OK) { /* between two attempts */
        fixture_pass(1);
        g_usleep(1000);
    }
    g_ptr_array_unref(engine_put_offs_read(fixture->engine, 3, &all));
    g_assert_cmpuint(all, ==, G_N_ELEMENTS(ids) - 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/push/again/there", test_there_again);
    ADD("/engine/push/again/refused", test_refused_again);
    ADD("/engine/push/again/deleted", test_deleted);
    ADD("/engine/push/again/renamed", test_renamed);
    ADD("/engine/push/again/put-off", test_put_off);
    ADD("/engine/push/again/put-off-many", test_put_off_many);
    return g_test_run();
}
