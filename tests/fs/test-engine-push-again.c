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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/push/again/there", test_there_again);
    ADD("/engine/push/again/refused", test_refused_again);
    ADD("/engine/push/again/deleted", test_deleted);
    ADD("/engine/push/again/renamed", test_renamed);
    return g_test_run();
}
