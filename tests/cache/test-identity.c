/* What messages are known by, where the server has no ids. */
#include "tests/cache/scratch.h"
#include <string.h>

static const uint8_t DIGEST[CACHE_DIGEST] = {1, 2, 3, [31] = 9};

/* A message with a Message-ID field as given; returns its object. */
static uint64_t put(struct cache_txn *txn, uint32_t messages, uint32_t uid, uint64_t size,
                    int64_t date, const char *header)
{
    struct cache_message message = {
        .uid = uid,
        .object = cache_object_new(txn),
        .internaldate = date,
        .size = size,
        .keywords = "",
        .name = "n",
    };
    g_assert_cmpint(cache_message_put(txn, messages, &message), ==, CACHE_OK);
    g_assert_cmpint(cache_header_put(txn, message.object, header, strlen(header)), ==, CACHE_OK);
    return message.object;
}

#define LETTER "Subject: x\r\nMessage-ID: <a@b>\r\n\r\n"

static void test_found(void)
{
    static const struct {
        const char *what;
        uint64_t size;
        int64_t date;
        const char *header;
        bool found;
    } CASES[] = {
        {"the same", 100, 7, LETTER, true},
        {"other fields", 100, 7, "message-id:<a@b>\r\nTo: y\r\n\r\n", true},
        {"folded", 100, 7, "Message-ID:\r\n <a@b>\r\nTo: y\r\n\r\n", true},
        {"another size", 101, 7, LETTER, false},
        {"another date", 100, 8, LETTER, false},
        {"another id", 100, 7, "Message-ID: <a@bc>\r\n\r\n", false},
        {"a part of the id", 100, 7, "Message-ID: <a@b\r\n\r\n", false},
        {"the id in another field", 100, 7, "X: y\r\n Message-ID: <a@b>\r\n\r\n", false},
        {"no id", 100, 7, "Subject: x\r\n\r\n", false},
        {"an empty id", 100, 7, "Message-ID: \r\n\r\n", false},
        {"no header", 100, 7, "", false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        struct scratch scratch;
        struct cache_identity found = {0};
        scratch_setup(&scratch);
        struct cache_txn *txn = cache_txn_write(scratch.cache);
        uint64_t object = put(txn, 1, 5, 100, 7, LETTER);
        g_assert_false(cache_identity_has(txn, object));
        g_assert_cmpint(cache_identity_put(txn, 1, 5, DIGEST), ==, CACHE_OK);
        g_assert_true(cache_identity_has(txn, object));
        g_assert_cmpint(cache_identity_find(txn, 1, 5, &found), ==, CACHE_NOT_FOUND);
        put(txn, 2, 1, CASES[i].size, CASES[i].date, CASES[i].header);
        g_test_message("%s", CASES[i].what);
        g_assert_cmpint(cache_identity_find(txn, 2, 1, &found), ==,
                        CASES[i].found ? CACHE_OK : CACHE_NOT_FOUND);
        if (CASES[i].found) {
            g_assert_cmpuint(found.object, ==, object);
            g_assert_cmpuint(found.messages, ==, 1);
            g_assert_cmpmem(found.digest, CACHE_DIGEST, DIGEST, CACHE_DIGEST);
        }
        g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
        scratch_teardown(&scratch);
    }
}

/* Messages that have no Message-ID are never the same. */
static void test_without_id(void)
{
    struct scratch scratch;
    struct cache_identity found;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    put(txn, 1, 5, 100, 7, "Subject: x\r\n\r\n");
    g_assert_cmpint(cache_identity_put(txn, 1, 5, DIGEST), ==, CACHE_OK);
    put(txn, 2, 1, 100, 7, "Subject: x\r\n\r\n");
    g_assert_cmpint(cache_identity_find(txn, 2, 1, &found), ==, CACHE_NOT_FOUND);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

static void test_twins(void)
{
    struct scratch scratch;
    struct cache_identity found;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    uint64_t one = put(txn, 1, 5, 100, 7, LETTER);
    put(txn, 1, 6, 100, 7, LETTER);
    put(txn, 2, 1, 100, 7, LETTER);
    g_assert_cmpint(cache_identity_put(txn, 1, 5, DIGEST), ==, CACHE_OK);
    g_assert_cmpint(cache_identity_put(txn, 1, 6, DIGEST), ==, CACHE_OK);
    g_assert_cmpint(cache_identity_find(txn, 2, 1, &found), ==, CACHE_NOT_FOUND); /* which? */

    /* one leaves, and neither is certain any more, whichever it is */
    g_assert_cmpint(cache_message_remove(txn, 1, 6), ==, CACHE_OK);
    g_assert_false(cache_identity_has(txn, one));
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    scratch_teardown(&scratch);
}

/* A twin that was never read leaves, before or after the one that was. */
static void test_blurred(void)
{
    for (unsigned first = 0; first < 2; first++) {
        struct scratch scratch;
        struct cache_identity found;
        scratch_setup(&scratch);
        struct cache_txn *txn = cache_txn_write(scratch.cache);
        put(txn, 1, 5, 100, 7, LETTER);
        put(txn, 1, 6, 100, 7, "Subject: other\r\nMessage-ID: <a@b>\r\n\r\n");
        uint64_t other = put(txn, 1, 7, 100, 7, "Message-ID: <other>\r\n\r\n");
        g_assert_cmpint(cache_identity_put(txn, 1, 5, DIGEST), ==, CACHE_OK);
        g_assert_cmpint(cache_identity_put(txn, 1, 7, DIGEST), ==, CACHE_OK);
        for (uint32_t i = 0; i < 2; i++)
            g_assert_cmpint(cache_message_remove(txn, 1, 5 + (first + i) % 2), ==, CACHE_OK);
        put(txn, 2, 1, 100, 7, LETTER);
        g_assert_cmpint(cache_identity_find(txn, 2, 1, &found), ==, CACHE_NOT_FOUND);
        g_assert_true(cache_identity_has(txn, other));
        g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
        scratch_teardown(&scratch);
    }
}

/* What is known outlives the message, and goes with the object. */
static void test_collected(void)
{
    struct scratch scratch;
    struct cache_identity found;
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    uint64_t object = put(txn, 1, 5, 100, 7, LETTER);
    g_assert_cmpint(cache_identity_put(txn, 1, 5, DIGEST), ==, CACHE_OK);
    g_assert_cmpint(cache_message_remove(txn, 1, 5), ==, CACHE_OK);
    put(txn, 2, 1, 100, 7, LETTER);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_assert_cmpuint(cache_collect_old(scratch.cache, 10, now - 3600), ==, 0);
    txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_identity_find(txn, 2, 1, &found), ==, CACHE_OK);
    g_assert_cmpuint(found.object, ==, object);
    cache_txn_end(txn);

    g_assert_cmpuint(cache_collect_old(scratch.cache, 10, now + 3600), ==, 1);
    txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_identity_find(txn, 2, 1, &found), ==, CACHE_NOT_FOUND);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/identity/found", test_found);
    g_test_add_func("/identity/without-id", test_without_id);
    g_test_add_func("/identity/twins", test_twins);
    g_test_add_func("/identity/blurred", test_blurred);
    g_test_add_func("/identity/collected", test_collected);
    return g_test_run();
}
