/* A dialogue of mounting and reading, from the greeting to the last body, that ends at each byte of
 * what the server says: by a connection that is lost, or by silence. Afterwards all can be read. */
#include <string.h>

#include "tests/fs/engine-fixture.h"

static const char MULTIPART[] =
    "From: Bob <bob@example.org>\r\nSubject: two parts\r\nMIME-Version: 1.0\r\n"
    "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\ntext\r\n--x\r\n"
    "Content-Disposition: attachment; filename=a.txt\r\n\r\nfile\r\n--x--\r\n";
static const char STRUCTURE[] =
    "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 4 1 NIL NIL NIL NIL)(\"TEXT\" \"PLAIN\" NIL NIL NIL "
    "\"7BIT\" 4 1 NIL (\"ATTACHMENT\" (\"FILENAME\" \"a.txt\")) NIL NIL) \"MIXED\" "
    "(\"BOUNDARY\" \"x\") NIL NIL NIL)";

struct kind {
    const char *name, *capabilities;
    bool mute;
    unsigned step; /* bytes from one end to the next */
};

static const struct kind KINDS[] = {
    {"lost", "CONDSTORE ESEARCH UIDPLUS SPECIAL-USE", false, 1},
    {"lost-plain", "", false, 5},
    {"lost-qresync", "CONDSTORE QRESYNC ENABLE ESEARCH LIST-EXTENDED LIST-STATUS UIDPLUS", false,
     5},
    {"silence", "CONDSTORE ESEARCH UIDPLUS SPECIAL-USE", true, 191},
};

static void cut_after(struct fixture *fixture, int64_t bytes)
{
    g_mutex_lock(&fixture->imapd->lock);
    fixture->imapd->cut_after = bytes;
    g_mutex_unlock(&fixture->imapd->lock);
}

/* Whether the dialogue came to its end before that. */
static bool is_whole(struct fixture *fixture)
{
    g_mutex_lock(&fixture->imapd->lock);
    bool whole = fixture->imapd->cut_after >= 0;
    fixture->imapd->cut_after = -1;
    g_mutex_unlock(&fixture->imapd->lock);
    return whole;
}

static void setup(struct fixture *fixture, const struct kind *kind)
{
    *fixture = (struct fixture){0};
    fixture_setup(fixture, NULL);
    fixture->imapd->capabilities = kind->capabilities;
    fixture->imapd->cut_mute = kind->mute;
    if (kind->mute)
        fixture->account.timeout_s = 1;
}

/* Asks until it is there: who asks some seconds after a failure brings the server back. Until then
 * it is out of reach, and nothing else is said: that a message is gone, or broken, would be a lie.
 */
static void insist(struct fixture *fixture, const struct engine_wish *wish)
{
    enum engine_error error;
    while ((error = fixture_ask(fixture, wish)) != ENGINE_OK) {
        if (error != ENGINE_OFFLINE && error != ENGINE_TIMEOUT)
            g_error("wish %d ended with error %d", wish->want, error);
        fixture_pass(10);
        g_usleep(1000);
    }
}

/* The newest message, from the list to its last byte. */
static void read_newest(struct fixture *fixture)
{
    const struct imapd_box *inbox = fixture_inbox(fixture);
    const struct imapd_message *message = inbox->messages->pdata[inbox->messages->len - 1];
    struct engine_wish wish = {.want = ENGINE_MAILBOX,
                               .folder = fixture_mailbox(fixture, "INBOX").slot};
    insist(fixture, &wish);
    while (fixture_object(fixture, "INBOX", message->uid) == 0) { /* a list of before was shown */
        fixture_pass(10);
        insist(fixture, &wish);
    }
    wish.messages = fixture_mailbox(fixture, "INBOX").messages;
    wish.uid = message->uid;
    wish.want = ENGINE_PARTS;
    insist(fixture, &wish);
    wish.want = ENGINE_BYTES;
    wish.section = "";
    wish.length = UINT64_MAX;
    insist(fixture, &wish);
    g_assert_true(fixture_holds(fixture, fixture_object(fixture, "INBOX", message->uid), "", 0,
                                message->bytes->str, message->bytes->len));
}

static void deliver(struct fixture *fixture)
{
    struct imapd_box *inbox = fixture_inbox(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    bool resync = strstr(fixture->imapd->capabilities, "QRESYNC") != NULL;
    if (!resync && inbox->messages->len > 2) /* else VANISHED would grow */
        imapd_remove(inbox, ((struct imapd_message *)inbox->messages->pdata[0])->uid);
    struct imapd_message *message = imapd_add_bytes(inbox, MULTIPART, -1);
    message->structure = g_strdup(STRUCTURE);
    g_mutex_unlock(&fixture->imapd->lock);
}

/* From the greeting to the list of mailboxes. Without that there is nothing to go on with: one
 * mounts again. */
static bool start_cut(const struct kind *kind, int64_t bytes)
{
    struct fixture fixture;
    enum engine_start_reason reason = ENGINE_START_OTHER;
    g_autoptr(GError) error = NULL;
    setup(&fixture, kind);
    deliver(&fixture);
    cut_after(&fixture, bytes);
    fixture_make(&fixture);
    if (!engine_start(fixture.engine, &reason, &error)) {
        g_assert_cmpint(reason, ==, ENGINE_START_NETWORK);
        fixture_stop(&fixture);
        fixture_start(&fixture);
    }
    bool whole = is_whole(&fixture);
    read_newest(&fixture);
    fixture_teardown(&fixture, NULL);
    return whole;
}

static void test_start(gconstpointer data)
{
    const struct kind *kind = data;
    int64_t bytes = 0;
    while (!start_cut(kind, bytes))
        bytes += kind->step;
    g_test_message("%s: %" G_GINT64_FORMAT " bytes", kind->name, bytes);
    g_assert_cmpint(bytes, >, 100);
}

/* A new message each time, on a new connection: from the greeting to its last byte. */
static void test_read(gconstpointer data)
{
    const struct kind *kind = data;
    struct fixture fixture;
    int64_t bytes = 0;
    setup(&fixture, kind);
    fixture_start(&fixture);
    for (bool whole = false; !whole; bytes += kind->step) {
        deliver(&fixture);
        imapd_hang_up(fixture.imapd);
        cut_after(&fixture, bytes);
        read_newest(&fixture);
        whole = is_whole(&fixture);
    }
    g_test_message("%s: %" G_GINT64_FORMAT " bytes", kind->name, bytes);
    g_assert_cmpint(bytes, >, 800);
    fixture_teardown(&fixture, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(KINDS); i++) {
        g_autofree char *start = g_strconcat("/engine/cuts/start/", KINDS[i].name, NULL);
        g_autofree char *read = g_strconcat("/engine/cuts/read/", KINDS[i].name, NULL);
        g_test_add_data_func(start, &KINDS[i], test_start);
        g_test_add_data_func(read, &KINDS[i], test_read);
    }
    return g_test_run();
}
