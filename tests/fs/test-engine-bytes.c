/* The engine's bytes and part trees: what is fetched, what is believed, what is stored. */
#include <string.h>

#include "fs/node.h"
#include "tests/fs/engine-fixture.h"

#define ADD(path, function) \
    g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)
#define BIG ((size_t)9 << 20)

static uint64_t count(struct fixture *fixture, const uint64_t *counter)
{
    return imapd_count(fixture->imapd, counter);
}

/* INBOX with three small messages (1 to 3) and a big one (4), listed. */
static void list_some(struct fixture *fixture)
{
    for (unsigned i = 0; i < 3; i++)
        imapd_add(fixture_inbox(fixture), 3000 + i);
    imapd_add(fixture_inbox(fixture), BIG);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
}

static const GString *bytes_of(struct fixture *fixture, uint32_t uid)
{
    return imapd_message(fixture_inbox(fixture), uid)->bytes;
}

static bool holds_all(struct fixture *fixture, uint32_t uid)
{
    const GString *bytes = bytes_of(fixture, uid);
    uint64_t object = fixture_object(fixture, "INBOX", uid), size = 0;
    return fixture_holds(fixture, object, "", 0, bytes->str, bytes->len) &&
           cache_content_size(fixture->cache, object, "", &size) == CACHE_OK && size == bytes->len;
}

static uint64_t exact_size(struct fixture *fixture, uint32_t uid)
{
    uint64_t object = fixture_object(fixture, "INBOX", uid), size = UINT64_MAX;
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    return cache_size_get(txn, object, 0, &size) == CACHE_OK ? size : UINT64_MAX;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void test_whole(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 10, 20), ==, ENGINE_OK);
    g_assert_true(holds_all(fixture, 1)); /* small: whole */
    g_assert_cmpuint(exact_size(fixture, 1), ==, bytes_of(fixture, 1)->len);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), ==, 1);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, UINT64_MAX), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->bodies), ==, 1);
    g_assert_cmpint(engine_sizes(fixture->engine), ==, ENGINE_SIZES_UNPROVED);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 1), ==, ENGINE_OK);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 3, "", 0, 1), ==, ENGINE_OK);
    g_assert_cmpint(engine_sizes(fixture->engine), ==, ENGINE_SIZES_RIGHT);
    fixture_stop(fixture);
    fixture_start(fixture); /* remembered */
    g_assert_cmpint(engine_sizes(fixture->engine), ==, ENGINE_SIZES_RIGHT);
}

static void test_ranges(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    const GString *bytes = bytes_of(fixture, 4);
    uint64_t object = fixture_object(fixture, "INBOX", 4), size;
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 4, "", 5000, 4096), ==, ENGINE_OK);
    g_assert_true(fixture_holds(fixture, object, "", 5000, bytes->str + 5000, 4096));
    g_assert_cmpuint(count(fixture, &fixture->imapd->body_bytes), <, 8192);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 4, "", 6000, 1000), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->bodies), ==, 1);
    g_assert_cmpint(cache_content_size(fixture->cache, object, "", &size), ==, CACHE_NOT_FOUND);
    /* the tail proves the end */
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 4, "", bytes->len - 100, 100), ==, ENGINE_OK);
    g_assert_cmpint(cache_content_size(fixture->cache, object, "", &size), ==, CACHE_OK);
    g_assert_cmpuint(size, ==, bytes->len);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 4, "", 0, UINT64_MAX), ==, ENGINE_OK);
    g_assert_true(holds_all(fixture, 4));
    g_assert_cmpuint(count(fixture, &fixture->imapd->body_bytes), <, BIG + 16384);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 4, "", bytes->len + 5, 10), ==, ENGINE_OK);
}

/* Sections other than the whole, with and without a word on how long they are. */
static void test_section(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    const char *body = strstr(bytes_of(fixture, 1)->str, "\r\n\r\n") + 4;
    uint64_t object = fixture_object(fixture, "INBOX", 1), size;
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "1", 0, 64), ==, ENGINE_OK);
    g_assert_true(fixture_holds(fixture, object, "1", 0, body, 64));
    /* beyond the end, of which nothing is known */
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "1", 100000, 10), ==, ENGINE_OK);
    g_assert_cmpint(cache_content_size(fixture->cache, object, "1", &size), ==, CACHE_OK);
    g_assert_cmpuint(size, ==, strlen(body));
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "1", 0, 10000000), ==, ENGINE_OK);
    g_assert_true(fixture_holds(fixture, object, "1", 0, body, strlen(body)));
}

static void test_no_partial(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->no_partial = true;
    list_some(fixture);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 4, "", 5000, 10), ==, ENGINE_OK);
    g_assert_true(holds_all(fixture, 4));
}

static void test_coalesce(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    const struct engine_wish wish = {.want = ENGINE_BYTES,
                                     .messages = fixture_mailbox(fixture, "INBOX").messages,
                                     .uid = 4,
                                     .section = "",
                                     .offset = 0,
                                     .length = 1 << 20};
    struct engine_wish inside = wish;
    inside.offset = 5;
    inside.length = 70000;
    struct pending *pending[12];
    for (guint i = 0; i < G_N_ELEMENTS(pending); i++)
        pending[i] = fixture_begin(fixture, i % 3 == 2 ? &inside : &wish);
    for (guint i = 0; i < G_N_ELEMENTS(pending); i++)
        g_assert_cmpint(fixture_wait(pending[i]), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->bodies), ==, 1);
}

/* Many at once, nobody waits: one write, one mailbox, one connection. */
static void test_ahead(struct fixture *fixture, gconstpointer data)
{
    for (unsigned i = 0; i < 100; i++)
        imapd_add(fixture_inbox(fixture), 2000);
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
    struct pending *pending[100];
    for (guint i = 0; i < G_N_ELEMENTS(pending); i++) {
        const struct engine_wish wish = {.want = ENGINE_BYTES,
                                         .messages = fixture_mailbox(fixture, "INBOX").messages,
                                         .uid = i + 1,
                                         .section = "",
                                         .length = 2000,
                                         .ahead = true};
        pending[i] = fixture_begin(fixture, &wish);
    }
    for (guint i = 0; i < G_N_ELEMENTS(pending); i++)
        g_assert_cmpint(fixture_wait(pending[i]), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->flights), <, 50);
    for (uint32_t uid = 1; uid <= 100; uid++)
        g_assert_true(holds_all(fixture, uid));
}

/* ---- believing ------------------------------------------------------------------------------- */

struct claim {
    const char *what;
    int64_t claimed;
};
static const struct claim CLAIMS[] = {
    {"too big", 50000}, {"too small", 100},       {"a little too small", 3005},
    {"zero", 0},        {"far too big", 5000000},
};

static void test_wrong_size(struct fixture *fixture, gconstpointer data)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CLAIMS); i++)
        imapd_add(fixture_inbox(fixture), 3000)->claimed = CLAIMS[i].claimed;
    imapd_add(fixture_inbox(fixture), BIG)->claimed = BIG - 1000000;
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    for (uint32_t uid = 1; uid <= G_N_ELEMENTS(CLAIMS) + 1; uid++) {
        g_assert_cmpint(fixture_bytes(fixture, "INBOX", uid, "", 0, UINT64_MAX), ==, ENGINE_OK);
        g_assert_true(holds_all(fixture, uid));
        g_assert_cmpuint(exact_size(fixture, uid), ==, bytes_of(fixture, uid)->len);
    }
    g_assert_cmpint(engine_sizes(fixture->engine), ==, ENGINE_SIZES_WRONG);
    g_assert_cmpint(g_atomic_int_get(&fixture->content_changed), ==,
                    (gint)G_N_ELEMENTS(CLAIMS) + 1);
}

/* Who asks for no more than what was announced still learns that there is more. */
static void test_wrong_size_asked(struct fixture *fixture, gconstpointer data)
{
    imapd_add(fixture_inbox(fixture), BIG)->claimed = 2000000;
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 2000000), ==, ENGINE_OK);
    g_assert_cmpuint(exact_size(fixture, 1), ==, bytes_of(fixture, 1)->len);
}

static void test_size_corrected(struct fixture *fixture, gconstpointer data)
{
    imapd_add(fixture_inbox(fixture), 3000)->claimed = 1234;
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_mutex_lock(&fixture->imapd->lock);
    imapd_message(fixture_inbox(fixture), 1)->claimed = -1;
    g_mutex_unlock(&fixture->imapd->lock);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 5000), ==, ENGINE_OK);
    g_assert_true(holds_all(fixture, 1));
    g_assert_cmpint(engine_sizes(fixture->engine), ==, ENGINE_SIZES_UNPROVED);
    struct cache_message message;
    g_assert_true(fixture_message(fixture, "INBOX", 1, &message, NULL, NULL));
    g_assert_cmpuint(message.size, ==, bytes_of(fixture, 1)->len);
}

static void test_nil(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    fixture->imapd->nil_bodies = 1; /* once */
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
    g_assert_true(holds_all(fixture, 1));
    fixture->imapd->nil_bodies = 1000;
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_BROKEN);
    g_assert_cmpuint(
        cache_content_have(fixture->cache, fixture_object(fixture, "INBOX", 2), "", 0, 1), ==, 0);
}

static void expunge_elsewhere(struct fixture *fixture, uint32_t uid)
{
    g_mutex_lock(&fixture->imapd->lock);
    imapd_message(fixture_inbox(fixture), uid)->gone = true;
    g_mutex_unlock(&fixture->imapd->lock);
}

static void test_gone(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    expunge_elsewhere(fixture, 2);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_GONE);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 2), ==, 0);
    g_assert_cmpint(g_atomic_int_get(&fixture->removed), ==, 1);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_GONE);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 99, "", 0, 10), ==, ENGINE_GONE);
}

static void test_placeholder(struct fixture *fixture, gconstpointer data)
{
    fixture->imapd->placeholder = true;
    list_some(fixture);
    uint64_t object = fixture_object(fixture, "INBOX", 2);
    expunge_elsewhere(fixture, 2);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_GONE);
    g_assert_cmpuint(cache_content_have(fixture->cache, object, "", 0, 1), ==, 0);
    g_assert_cmpint(engine_sizes(fixture->engine), ==, ENGINE_SIZES_UNPROVED);
}

static void test_refused(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    imapd_message(fixture_inbox(fixture), 2)->refused = true;
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, ENGINE_BROKEN);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 2), !=, 0); /* it is still listed */
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_OK);
}

/* Only a refusal with a code is a matter of rights. */
static void test_refused_words(struct fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *words;
        enum engine_error error;
    } CASES[] = {{"NO Mailbox does not exist", ENGINE_BROKEN},
                 {"NO [NOPERM] not for you", ENGINE_REFUSED},
                 {"BAD what", ENGINE_BROKEN}};
    list_some(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_mutex_lock(&fixture->imapd->lock);
        fixture->imapd->flaw_on = "UID FETCH";
        fixture->imapd->flaw_words = CASES[i].words;
        g_mutex_unlock(&fixture->imapd->lock);
        g_assert_cmpint(fixture_bytes(fixture, "INBOX", 2, "", 0, 10), ==, CASES[i].error);
    }
}

static void test_cut(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    for (int64_t after = 100; after < (int64_t)BIG; after = after * 7 + 13) {
        uint64_t object = fixture_object(fixture, "INBOX", 4);
        g_assert_cmpint(cache_content_forget(fixture->cache, object), ==, CACHE_OK);
        g_mutex_lock(&fixture->imapd->lock);
        fixture->imapd->cut_after = after;
        g_mutex_unlock(&fixture->imapd->lock);
        g_assert_cmpint(fixture_bytes(fixture, "INBOX", 4, "", 0, UINT64_MAX), ==, ENGINE_OK);
        g_assert_true(holds_all(fixture, 4));
    }
}

static void test_uidvalidity(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    g_mutex_lock(&fixture->imapd->lock);
    fixture_inbox(fixture)->uidvalidity++;
    g_mutex_unlock(&fixture->imapd->lock);
    imapd_hang_up(fixture->imapd);
    g_assert_cmpint(fixture_bytes(fixture, "INBOX", 1, "", 0, 10), ==, ENGINE_GONE);
    g_assert_cmpuint(count(fixture, &fixture->imapd->bodies), <=, 1);
    g_assert_cmpuint(
        cache_content_have(fixture->cache, fixture_object(fixture, "INBOX", 1), "", 0, 1), ==, 0);
}

/* ---- part trees ------------------------------------------------------------------------------ */

static const char MULTIPART[] = "From: a@b\r\nSubject: parts\r\nMIME-Version: 1.0\r\n"
                                "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
                                "--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
                                "--x\r\nContent-Type: text/plain; name=\"a.txt\"\r\n\r\nfile\r\n"
                                "--x--\r\n";

/* The names in a message's tree with their numbers, "4:body.txt 5:a.txt". */
static char *tree_text(struct fixture *fixture, uint32_t uid, bool *local)
{
    uint64_t object = fixture_object(fixture, "INBOX", uid);
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    GString *text = g_string_new(NULL);
    struct cache_parts parts;
    struct cache_part part;
    size_t at = 0;
    if (cache_parts_get(txn, object, &parts) != CACHE_OK)
        g_string_append(text, "none");
    else
        while (cache_parts_next(&parts, &at, &part)) {
            g_string_append_printf(text, "%s%u:%s", text->len > 0 ? " " : "", part.number,
                                   part.name);
            *local = (part.flags & CACHE_PART_LOCAL) != 0;
        }
    return g_string_free(text, FALSE);
}

static void check_tree(struct fixture *fixture, uint32_t uid, const char *expected, bool local)
{
    bool is_local = local;
    g_autofree char *text = tree_text(fixture, uid, &is_local);
    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpint(is_local, ==, local);
}

static void test_parts(struct fixture *fixture, gconstpointer data)
{
    for (unsigned i = 0; i < 40; i++)
        imapd_add(fixture_inbox(fixture), 500);
    imapd_message(fixture_inbox(fixture), 5)->structure = g_strdup("(NIL (((");
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
    g_assert_cmpint(fixture_parts(fixture, "INBOX", 1), ==, ENGINE_OK);
    check_tree(fixture, 1, "4:body.txt", false);
    g_assert_cmpint(fixture_parts(fixture, "INBOX", 3), ==, ENGINE_OK); /* came along */
    check_tree(fixture, 3, "4:body.txt", false);
    g_assert_cmpuint(count(fixture, &fixture->imapd->structures), ==, 2);
    g_assert_cmpuint(count(fixture, &fixture->imapd->bodies), ==, 0);
    check_tree(fixture, 5, "none", false); /* a neighbour that is broken is left alone */
    check_tree(fixture, 9, "4:body.txt", false);
    check_tree(fixture, 10, "none", false);
    g_assert_cmpint(fixture_parts(fixture, "INBOX", 10), ==, ENGINE_OK);
    g_assert_cmpuint(count(fixture, &fixture->imapd->structures), ==, 4);
    g_assert_cmpint(fixture_parts(fixture, "INBOX", 40), ==, ENGINE_OK); /* the window has grown */
    g_assert_cmpuint(count(fixture, &fixture->imapd->structures), ==, 4);
}

static void test_broken_structure(struct fixture *fixture, gconstpointer data)
{
    struct imapd_message *message = imapd_add_bytes(fixture_inbox(fixture), MULTIPART, -1);
    message->structure = g_strdup("((\"TEXT\" \"PLAIN\" NIL (");
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_parts(fixture, "INBOX", 1), ==, ENGINE_OK);
    check_tree(fixture, 1, "4:body.txt 5:a.txt", true);
    g_assert_true(holds_all(fixture, 1));
}

static void test_reparts(struct fixture *fixture, gconstpointer data)
{
    struct imapd_message *message = imapd_add_bytes(fixture_inbox(fixture), MULTIPART, -1);
    message->structure =
        g_strdup("((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 5 1 NIL NIL NIL NIL)(\"TEXT\" "
                 "\"PLAIN\" (\"NAME\" \"a.txt\") NIL NIL \"7BIT\" 4 1 NIL NIL NIL NIL) \"MIXED\" "
                 "(\"BOUNDARY\" \"x\") NIL NIL NIL)");
    fixture_start(fixture);
    g_assert_cmpint(fixture_list(fixture, "INBOX"), ==, ENGINE_OK);
    g_assert_cmpint(fixture_parts(fixture, "INBOX", 1), ==, ENGINE_OK);
    check_tree(fixture, 1, "4:body.txt 5:a.txt", false);
    uint64_t object = fixture_object(fixture, "INBOX", 1), size;
    struct cache_txn *txn = cache_txn_write(fixture->cache);
    cache_size_put(txn, object, 5, 777);
    cache_txn_commit(txn);

    const struct engine_wish wish = {
        .want = ENGINE_REPARTS, .messages = fixture_mailbox(fixture, "INBOX").messages, .uid = 1};
    g_assert_cmpint(fixture_ask(fixture, &wish), ==, ENGINE_OK);
    check_tree(fixture, 1, "6:body.txt 7:a.txt", true); /* numbers are never used again */
    txn = cache_txn_read(fixture->cache);
    g_assert_cmpint(cache_size_get(txn, object, 5, &size), ==, CACHE_NOT_FOUND);
    cache_txn_end(txn);
    g_assert_cmpint(g_atomic_int_get(&fixture->content_changed), ==, 1);
}

static void test_parts_gone(struct fixture *fixture, gconstpointer data)
{
    list_some(fixture);
    expunge_elsewhere(fixture, 2);
    g_assert_cmpint(fixture_parts(fixture, "INBOX", 2), ==, ENGINE_GONE);
    g_assert_cmpuint(fixture_object(fixture, "INBOX", 2), ==, 0);
}

/* Two read over one EXAMINE that is refused: the mailbox is gone for both, which is asked about. */
static void test_examine_refused(struct fixture *fixture, gconstpointer data)
{
    imapd_add_box(fixture->imapd, "Archive", "");
    list_some(fixture);
    g_assert_cmpint(fixture_list(fixture, "Archive"), ==, ENGINE_OK);
    imapd_forget_counts(fixture->imapd);
    fixture_pass(2); /* the list of mailboxes is not of just now */
    fixture->imapd->flaw_on = "EXAMINE INBOX";
    fixture->imapd->flaw_words = "NO it has another name by now";
    uint32_t messages = fixture_mailbox(fixture, "INBOX").messages;
    struct pending *pending[3];
    for (uint32_t i = 0; i < 3; i++) {
        const struct engine_wish wish = {
            .want = ENGINE_BYTES, .messages = messages, .uid = i + 1, .section = "", .length = 100};
        pending[i] = fixture_begin(fixture, &wish);
    }
    for (uint32_t i = 0; i < 3; i++)
        g_assert_cmpint(fixture_wait(pending[i]), ==, ENGINE_GONE);
    while (count(fixture, &fixture->imapd->lists) == 0)
        g_usleep(1000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/engine/bytes/whole", test_whole);
    ADD("/engine/bytes/ranges", test_ranges);
    ADD("/engine/bytes/section", test_section);
    ADD("/engine/bytes/no-partial", test_no_partial);
    ADD("/engine/bytes/coalesce", test_coalesce);
    ADD("/engine/bytes/ahead", test_ahead);
    ADD("/engine/bytes/wrong-size", test_wrong_size);
    ADD("/engine/bytes/wrong-size-asked", test_wrong_size_asked);
    ADD("/engine/bytes/size-corrected", test_size_corrected);
    ADD("/engine/bytes/nil", test_nil);
    ADD("/engine/bytes/gone", test_gone);
    ADD("/engine/bytes/placeholder", test_placeholder);
    ADD("/engine/bytes/refused", test_refused);
    ADD("/engine/bytes/refused-words", test_refused_words);
    ADD("/engine/bytes/cut", test_cut);
    ADD("/engine/bytes/uidvalidity", test_uidvalidity);
    ADD("/engine/parts/structure", test_parts);
    ADD("/engine/bytes/examine-refused", test_examine_refused);
    ADD("/engine/parts/broken", test_broken_structure);
    ADD("/engine/parts/again", test_reparts);
    ADD("/engine/parts/gone", test_parts_gone);
    return g_test_run();
}
