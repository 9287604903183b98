#include "tests/cache/scratch.h"
#include <string.h>

static void put(struct cache_txn *txn, uint32_t messages, uint32_t uid, uint64_t object)
{
    struct cache_message message = scratch_message(uid, object);
    g_assert_cmpint(cache_message_put(txn, messages, &message), ==, CACHE_OK);
}

static void check(const struct cache_message *found, uint32_t uid)
{
    struct cache_message wanted = scratch_message(uid, found->object);
    g_assert_cmpuint(found->uid, ==, uid);
    g_assert_cmpint(found->internaldate, ==, wanted.internaldate);
    g_assert_cmpint(found->ctime_ns, ==, wanted.ctime_ns);
    g_assert_cmpuint(found->size, ==, wanted.size);
    g_assert_cmpuint(found->modseq, ==, wanted.modseq);
    g_assert_cmpuint(found->flags, ==, wanted.flags);
    g_assert_cmpstr(found->keywords, ==, wanted.keywords);
    g_assert_cmpstr(found->name, ==, wanted.name);
}

static void fill(struct scratch *scratch, uint32_t messages, uint32_t first, uint32_t last)
{
    struct cache_txn *txn = cache_txn_write(scratch->cache);
    for (uint32_t uid = first; uid <= last; uid++)
        put(txn, messages, uid, cache_object_new(txn));
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
}

static uint32_t walk_count(struct cache_txn *txn, uint32_t messages)
{
    struct cache_message message;
    uint32_t count = 0, from = 1;
    for (; cache_message_next(txn, messages, from, &message) == CACHE_OK; from = message.uid + 1)
        count++;
    return count;
}

static void test_order(void)
{
    static const uint32_t UIDS[] = {1, 255, 256, 65536, 16777216, 4294967295u};
    struct cache_message message;
    struct scratch scratch;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    for (size_t i = G_N_ELEMENTS(UIDS); i-- > 0;) {
        put(txn, 7, UIDS[i], cache_object_new(txn));
        put(txn, 8, UIDS[i], cache_object_new(txn));
    }
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    txn = cache_txn_read(scratch.cache);
    uint32_t from = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(UIDS); i++) {
        g_assert_cmpint(cache_message_next(txn, 7, from, &message), ==, CACHE_OK);
        check(&message, UIDS[i]);
        from = message.uid + 1;
    }
    g_assert_cmpuint(cache_message_last(txn, 7), ==, 4294967295u);
    g_assert_cmpuint(cache_message_last(txn, 6), ==, 0);
    g_assert_cmpuint(cache_message_last(txn, 9), ==, 0);
    g_assert_cmpuint(cache_message_count(txn, 8), ==, G_N_ELEMENTS(UIDS));
    g_assert_cmpuint(cache_message_count(txn, 6), ==, 0);
    g_assert_cmpint(cache_message_next(txn, 6, 1, &message), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_message_get(txn, 7, 2, &message), ==, CACHE_NOT_FOUND);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

static void test_walks(void)
{
    struct cache_message message;
    struct scratch scratch;

    scratch_setup(&scratch);
    fill(&scratch, 1, 1, 3000);
    fill(&scratch, 2, 1, 10);
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    g_assert_cmpuint(walk_count(txn, 1), ==, 3000);
    g_assert_cmpuint(walk_count(txn, 2), ==, 10);
    /* a lookup, the last one, and another walk do not disturb the walk */
    for (uint32_t uid = 1; uid <= 10; uid++) {
        g_assert_cmpint(cache_message_next(txn, 1, uid, &message), ==, CACHE_OK);
        check(&message, uid);
        g_assert_cmpint(cache_message_next(txn, 2, uid, &message), ==, CACHE_OK);
        check(&message, uid);
        g_assert_cmpuint(cache_message_last(txn, 1), ==, 3000);
        g_assert_cmpint(cache_message_get(txn, 1, 2000, &message), ==, CACHE_OK);
    }
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

/* Pointers that a write transaction gave stay good while it writes; a walk goes on under changes.
 */
static void test_changing_walk(void)
{
    struct cache_message message, kept;
    struct scratch scratch;

    scratch_setup(&scratch);
    fill(&scratch, 1, 1, 500);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    put(txn, 1, 501, cache_object_new(txn));
    g_assert_cmpint(cache_message_get(txn, 1, 501, &kept), ==, CACHE_OK);
    uint32_t seen = 0, from = 1;
    while (cache_message_next(txn, 1, from, &message) == CACHE_OK) {
        g_assert_cmpuint(message.uid, ==, seen + 1);
        check(&message, message.uid);
        seen = message.uid;
        if (seen % 2 == 0)
            g_assert_cmpint(cache_message_remove(txn, 1, seen), ==, CACHE_OK);
        else
            g_assert_cmpint(cache_message_put(txn, 1, &message), ==, CACHE_OK);
        from = seen + 1;
    }
    check(&kept, 501);
    g_assert_cmpuint(seen, ==, 501);
    g_assert_cmpuint(cache_message_count(txn, 1), ==, 251);
    g_assert_cmpuint(walk_count(txn, 1), ==, 251);
    g_assert_cmpint(cache_message_remove(txn, 1, 2), ==, CACHE_NOT_FOUND);
    cache_txn_end(txn); /* dropped */
    txn = cache_txn_read(scratch.cache);
    g_assert_cmpuint(walk_count(txn, 1), ==, 500);
    g_assert_cmpuint(cache_message_count(txn, 1), ==, 500);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

static void test_refused(void)
{
    struct scratch scratch;
    g_autofree char *endless = g_strnfill((2 << 20), 'x');

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    struct cache_message message = scratch_message(1, 5);
    g_assert_cmpint(cache_message_put(txn, 1, &message), !=, CACHE_OK);
    g_assert_cmpint(cache_message_remove(txn, 1, 1), !=, CACHE_OK);
    g_assert_cmpuint(cache_object_new(txn), ==, 0);
    cache_txn_end(txn);
    txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_message_put(txn, 0, &message), ==, CACHE_CORRUPT);
    message.uid = 0;
    g_assert_cmpint(cache_message_put(txn, 1, &message), ==, CACHE_CORRUPT);
    message = scratch_message(1, 0);
    g_assert_cmpint(cache_message_put(txn, 1, &message), ==, CACHE_CORRUPT);
    message = scratch_message(1, 5);
    message.name = endless;
    g_assert_cmpint(cache_message_put(txn, 1, &message), ==, CACHE_CORRUPT);
    put(txn, 1, 2, cache_object_new(txn)); /* and the transaction is still good */
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    txn = cache_txn_read(scratch.cache);
    g_assert_cmpuint(walk_count(txn, 1), ==, 1);
    cache_txn_end(txn);
    cache_txn_end(NULL);
    scratch_teardown(&scratch);
}

/* ---- objects -------------------------------------------------------------------------------- */

static void put_details(struct cache_txn *txn, uint64_t object)
{
    static const struct cache_part PART = {.number = 4, .name = "a", .section = "1"};
    g_assert_cmpint(cache_header_put(txn, object, "Subject: a\r\n", 12), ==, CACHE_OK);
    g_assert_cmpint(cache_parts_put(txn, object, &PART, 1, false), ==, CACHE_OK);
    g_assert_cmpint(cache_size_put(txn, object, 0, 77), ==, CACHE_OK);
    g_assert_cmpint(cache_size_put(txn, object, 4, 7), ==, CACHE_OK);
}

static bool has_details(struct cache *cache, uint64_t object)
{
    struct cache_txn *txn = cache_txn_read(cache);
    struct cache_parts parts;
    const void *bytes;
    size_t length;
    uint64_t size;
    int header = cache_header_get(txn, object, &bytes, &length);
    g_assert_cmpint(cache_parts_get(txn, object, &parts), ==, header);
    g_assert_cmpint(cache_size_get(txn, object, 0, &size), ==, header);
    g_assert_cmpint(cache_size_get(txn, object, 4, &size), ==, header);
    cache_txn_end(txn);
    return header == CACHE_OK;
}

static void test_references(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    uint64_t a = cache_object_new(txn), b = cache_object_for(txn, 'E', "M123"),
             lost = cache_object_new(txn);
    g_assert_true(a != 0 && b != 0 && a != b);
    g_assert_cmpuint(cache_object_for(txn, 'E', "M123"), ==, b);
    g_assert_cmpuint(cache_object_for(txn, 'G', "M123"), !=, b);
    g_assert_cmpuint(cache_object_for(txn, 'E', ""), !=, cache_object_for(txn, 'E', ""));
    put_details(txn, a);
    put_details(txn, b);
    put_details(txn, lost);
    put(txn, 1, 1, a);
    put(txn, 1, 2, b);
    put(txn, 2, 9, b); /* the same message under another label */
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_assert_cmpint(cache_content_put(scratch.cache, lost, "", 0, "abc", 3), ==, CACHE_OK);
    g_assert_cmpuint(cache_collect(scratch.cache, 100), ==, 4);
    g_assert_cmpuint(cache_collect(scratch.cache, 100), ==, 0);
    g_assert_false(has_details(scratch.cache, lost));
    g_assert_cmpuint(cache_content_have(scratch.cache, lost, "", 0, 3), ==, 0);
    g_assert_true(has_details(scratch.cache, a) && has_details(scratch.cache, b));

    txn = cache_txn_write(scratch.cache); /* a moves: removed here, put there */
    g_assert_cmpint(cache_message_remove(txn, 1, 1), ==, CACHE_OK);
    put(txn, 2, 10, a);
    put(txn, 2, 10, a); /* again: no second reference */
    g_assert_cmpint(cache_message_remove(txn, 1, 2), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_assert_cmpuint(cache_collect(scratch.cache, 100), ==, 0);

    txn = cache_txn_write(scratch.cache);
    put(txn, 2, 10, b); /* another object in its place */
    g_assert_cmpint(cache_message_remove(txn, 2, 9), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_assert_cmpuint(cache_collect(scratch.cache, 100), ==, 1);
    g_assert_false(has_details(scratch.cache, a));
    g_assert_true(has_details(scratch.cache, b));

    txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_message_remove(txn, 2, 10), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    txn = cache_txn_write(scratch.cache); /* taken up again before it was collected */
    g_assert_cmpuint(cache_object_for(txn, 'E', "M123"), ==, b);
    put(txn, 3, 1, b);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_assert_cmpuint(cache_collect(scratch.cache, 100), ==, 0);
    g_assert_true(has_details(scratch.cache, b));

    txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_message_remove(txn, 3, 1), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_assert_cmpuint(cache_collect(scratch.cache, 100), ==, 1);
    txn = cache_txn_write(scratch.cache);
    g_assert_cmpuint(cache_object_for(txn, 'E', "M123"), !=, b);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

static void test_collect_some(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    fill(&scratch, 1, 1, 100);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    for (uint32_t uid = 1; uid <= 100; uid++)
        g_assert_cmpint(cache_message_remove(txn, 1, uid), ==, CACHE_OK);
    g_assert_cmpuint(cache_message_last(txn, 1), ==, 0);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_assert_cmpuint(cache_collect(scratch.cache, 30), ==, 30);
    g_assert_cmpuint(cache_collect(scratch.cache, 1000), ==, 70);
    g_assert_cmpuint(cache_collect(scratch.cache, 1000), ==, 0);
    scratch_teardown(&scratch);
}

/* Ids are never given twice, also across restarts. */
static void test_object_ids(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    uint64_t first = cache_object_new(txn);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    scratch_close(&scratch);
    scratch_open(&scratch);
    g_assert_cmpuint(cache_collect(scratch.cache, 10), ==, 1);
    txn = cache_txn_write(scratch.cache);
    g_assert_cmpuint(cache_object_new(txn), >, first);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

/* A record that left its list stays readable apart, holds its object, and counts no more. */
static void test_departed(void)
{
    struct cache_message message;
    struct scratch scratch;
    uint32_t messages = 0, uid = 0;

    scratch_setup(&scratch);
    fill(&scratch, 1, 1, 3);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_message_depart(txn, 1, 2), ==, CACHE_OK);
    g_assert_cmpint(cache_message_depart(txn, 1, 2), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    txn = cache_txn_read(scratch.cache);
    g_assert_cmpuint(cache_message_count(txn, 1), ==, 2);
    g_assert_cmpuint(walk_count(txn, 1), ==, 2);
    g_assert_cmpint(cache_message_get(txn, 1, 2, &message), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_message_departed(txn, 1, 1, &message), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_message_departed(txn, 1, 2, &message), ==, CACHE_OK);
    check(&message, 2);
    g_assert_cmpuint(cache_object_messages(txn, message.object), ==, 1);
    uint64_t object = message.object;
    g_assert_true(cache_departed_next(txn, &messages, &uid));
    g_assert_cmpuint(messages, ==, 1);
    g_assert_cmpuint(uid, ==, 2);
    g_assert_false(cache_departed_next(txn, &messages, &uid));
    cache_txn_end(txn);
    txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_message_forget(txn, 1, 2), ==, CACHE_OK);
    g_assert_cmpint(cache_message_forget(txn, 1, 2), ==, CACHE_NOT_FOUND);
    g_assert_cmpuint(cache_object_messages(txn, object), ==, 0);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    scratch_teardown(&scratch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/message/order", test_order);
    g_test_add_func("/message/walks", test_walks);
    g_test_add_func("/message/changing-walk", test_changing_walk);
    g_test_add_func("/message/departed", test_departed);
    g_test_add_func("/message/refused", test_refused);
    g_test_add_func("/object/references", test_references);
    g_test_add_func("/object/collect-some", test_collect_some);
    g_test_add_func("/object/ids", test_object_ids);
    return g_test_run();
}
