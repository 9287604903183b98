#include "tests/cache/scratch.h"
#include <string.h>

static struct cache_mailbox mailbox(uint32_t slot, uint32_t parent, const char *wire,
                                    const char *name)
{
    return (struct cache_mailbox){
        .slot = slot,
        .parent = parent,
        .wire = wire,
        .name = name,
        .delimiter = '/',
        .flags = CACHE_MAILBOX_SENT | CACHE_MAILBOX_COMPLETE,
        .uidvalidity = 4000000000u,
        .uidnext = 9,
        .highestmodseq = 1ull << 62,
        .count = 3,
        .mtime_ns = -1,
        .synced_us = 1ll << 50,
    };
}

static void check(const struct cache_mailbox *found, const struct cache_mailbox *wanted)
{
    g_assert_cmpuint(found->slot, ==, wanted->slot);
    g_assert_cmpuint(found->parent, ==, wanted->parent);
    g_assert_cmpstr(found->wire, ==, wanted->wire);
    g_assert_cmpstr(found->name, ==, wanted->name);
    g_assert_cmpint(found->delimiter, ==, wanted->delimiter);
    g_assert_cmpuint(found->flags, ==, wanted->flags);
    g_assert_cmpuint(found->messages, ==, wanted->messages);
    g_assert_cmpuint(found->uidvalidity, ==, wanted->uidvalidity);
    g_assert_cmpuint(found->uidnext, ==, wanted->uidnext);
    g_assert_cmpuint(found->highestmodseq, ==, wanted->highestmodseq);
    g_assert_cmpuint(found->count, ==, wanted->count);
    g_assert_cmpint(found->mtime_ns, ==, wanted->mtime_ns);
    g_assert_cmpint(found->synced_us, ==, wanted->synced_us);
}

static void put(struct scratch *scratch, const struct cache_mailbox *mailbox)
{
    struct cache_txn *txn = cache_txn_write(scratch->cache);
    g_assert_cmpint(cache_mailbox_put(txn, mailbox), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
}

/* The children's names in the order of slots, with a ";" after each. Owned by the caller. */
static char *children(struct scratch *scratch, uint32_t parent)
{
    GString *names = g_string_new(NULL);
    struct cache_txn *txn = cache_txn_read(scratch->cache);
    struct cache_mailbox found;
    uint32_t after = 0;
    for (; cache_mailbox_next(txn, parent, after, &found) == CACHE_OK; after = found.slot)
        g_string_append_printf(names, "%s;", found.name);
    cache_txn_end(txn);
    return g_string_free(names, FALSE);
}

static void test_lookups(void)
{
    g_autofree char *wire = g_strnfill(3000, 'w'), *longer = g_strnfill(3001, 'w');
    struct cache_mailbox found, one = mailbox(5, 0, wire, "long"), two = mailbox(256, 0, "", "x");
    struct scratch scratch;

    scratch_setup(&scratch);
    one.messages = 6;
    put(&scratch, &one);
    put(&scratch, &two);
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_mailbox_get(txn, 5, &found), ==, CACHE_OK);
    check(&found, &one);
    g_assert_cmpint(cache_mailbox_by_wire(txn, wire, &found), ==, CACHE_OK);
    check(&found, &one);
    g_assert_cmpint(cache_mailbox_by_wire(txn, "", &found), ==, CACHE_OK);
    check(&found, &two);
    g_assert_cmpint(cache_mailbox_by_name(txn, 0, "long", &found), ==, CACHE_OK);
    check(&found, &one);
    g_assert_cmpint(cache_mailbox_of_messages(txn, 6, &found), ==, CACHE_OK);
    check(&found, &one);
    g_assert_cmpint(cache_mailbox_by_wire(txn, longer, &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_by_name(txn, 1, "long", &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_by_name(txn, 0, "Long", &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_of_messages(txn, 5, &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_of_messages(txn, 0, &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_get(txn, 6, &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_put(txn, &one), !=, CACHE_OK); /* only reads */
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

/* Those above come first, each once; what hangs on nothing is not met. */
static void test_walk(void)
{
    static const uint32_t PLACES[][2] = {{9, 0}, {4, 9}, {2, 4}, {7, 9},
                                         {8, 0}, {3, 8}, {5, 6}, {6, 5}};
    g_autoptr(GString) met = g_string_new(NULL);
    g_auto(cache_walk) walk = {0};
    struct cache_mailbox found;
    struct scratch scratch;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    g_assert_false(cache_walk_next(&walk, txn, &found));
    cache_txn_end(txn);
    for (size_t i = 0; i < G_N_ELEMENTS(PLACES); i++) {
        g_autofree char *wire = g_strdup_printf("W%u", PLACES[i][0]);
        const struct cache_mailbox made = mailbox(PLACES[i][0], PLACES[i][1], wire, wire);
        put(&scratch, &made);
    }
    cache_walk_clear(&walk);
    txn = cache_txn_read(scratch.cache);
    while (cache_walk_next(&walk, txn, &found))
        g_string_append_printf(met, "%s ", found.name);
    g_assert_false(cache_walk_next(&walk, txn, &found));
    cache_txn_end(txn);
    g_assert_cmpstr(met->str, ==, "W8 W9 W3 W4 W7 W2 ");
    scratch_teardown(&scratch);
}

/* Names from the top down, as deep as they are followed, and no part of a path beyond that. */
static void test_path(void)
{
    enum { DEPTH = 257 };
    struct scratch scratch;

    scratch_setup(&scratch);
    for (uint32_t slot = 1; slot <= DEPTH; slot++) {
        g_autofree char *wire = g_strdup_printf("W%u", slot);
        g_autofree char *name = g_strdup_printf("n%u", slot);
        const struct cache_mailbox made = mailbox(slot, slot - 1, wire, name);
        put(&scratch, &made);
    }
    const struct cache_mailbox orphan = mailbox(DEPTH + 1, 9999, "orphan", "orphan");
    put(&scratch, &orphan);
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    g_autofree char *one = cache_mailbox_path(txn, 1);
    g_autofree char *three = cache_mailbox_path(txn, 3);
    g_autofree char *deep = cache_mailbox_path(txn, DEPTH - 1);
    g_assert_cmpstr(one, ==, "n1");
    g_assert_cmpstr(three, ==, "n1/n2/n3");
    g_assert_nonnull(deep);
    g_assert_true(g_str_has_prefix(deep, "n1/n2/") && g_str_has_suffix(deep, "/n255/n256"));
    g_assert_null(cache_mailbox_path(txn, DEPTH));     /* too deep */
    g_assert_null(cache_mailbox_path(txn, DEPTH + 1)); /* cut off */
    g_assert_null(cache_mailbox_path(txn, DEPTH + 2)); /* not there */
    g_assert_null(cache_mailbox_path(txn, 0));
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

static void test_rename(void)
{
    struct cache_mailbox found, parent = mailbox(1, 0, "A", "A"), child = mailbox(2, 1, "A/b", "b");
    struct cache_mailbox other = mailbox(3, 0, "C", "C");
    struct scratch scratch;

    scratch_setup(&scratch);
    put(&scratch, &parent);
    put(&scratch, &child);
    put(&scratch, &other);
    child.parent = 3;
    child.wire = "C/d";
    child.name = "d";
    put(&scratch, &child);
    g_autofree char *of_a = children(&scratch, 1), *of_c = children(&scratch, 3);
    g_assert_cmpstr(of_a, ==, "");
    g_assert_cmpstr(of_c, ==, "d;");
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_mailbox_by_wire(txn, "A/b", &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_by_name(txn, 1, "b", &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_by_wire(txn, "C/d", &found), ==, CACHE_OK);
    check(&found, &child);
    cache_txn_end(txn);

    /* two exchange their names in one transaction, one after the other */
    txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_mailbox_get(txn, 1, &parent), ==, CACHE_OK);
    g_assert_cmpint(cache_mailbox_get(txn, 3, &other), ==, CACHE_OK);
    const char *wire = parent.wire, *name = parent.name;
    parent.wire = other.wire;
    parent.name = other.name;
    g_assert_cmpint(cache_mailbox_put(txn, &parent), ==, CACHE_OK);
    other.wire = wire;
    other.name = name;
    g_assert_cmpint(cache_mailbox_put(txn, &other), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_mailbox_by_wire(txn, "A", &found), ==, CACHE_OK);
    g_assert_cmpuint(found.slot, ==, 3);
    g_assert_cmpint(cache_mailbox_by_name(txn, 0, "C", &found), ==, CACHE_OK);
    g_assert_cmpuint(found.slot, ==, 1);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

static void put_messages(struct scratch *scratch, uint32_t messages, uint32_t count)
{
    struct cache_txn *txn = cache_txn_write(scratch->cache);
    for (uint32_t uid = 1; uid <= count; uid++) {
        struct cache_message message = scratch_message(uid, cache_object_new(txn));
        g_assert_cmpint(cache_message_put(txn, messages, &message), ==, CACHE_OK);
    }
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
}

static uint32_t count_messages(struct scratch *scratch, uint32_t messages)
{
    struct cache_txn *txn = cache_txn_read(scratch->cache);
    struct cache_message message;
    uint32_t count = 0, from = 1;
    for (; cache_message_next(txn, messages, from, &message) == CACHE_OK; from = message.uid + 1)
        count++;
    g_assert_cmpuint(cache_message_count(txn, messages), ==, count);
    cache_txn_end(txn);
    return count;
}

static int rename_as(struct scratch *scratch, uint32_t slot, const char *wire, uint32_t parent,
                     const char *name)
{
    struct cache_txn *txn = cache_txn_write(scratch->cache);
    int rc = cache_mailbox_rename(txn, slot, wire, parent, name);
    if (rc == CACHE_OK)
        return cache_txn_commit(txn);
    cache_txn_end(txn);
    return rc;
}

/* A mailbox and its messages keep their slots under another wire name, so inode numbers stay. */
static void test_rename_wire(void)
{
    static const uint32_t UIDVALIDITIES[] = {4000000000u, 0};
    for (size_t i = 0; i < G_N_ELEMENTS(UIDVALIDITIES); i++) {
        uint32_t uidvalidity = UIDVALIDITIES[i];
        struct cache_mailbox found;
        struct scratch scratch;
        scratch_setup(&scratch);
        struct cache *cache = scratch.cache;
        uint32_t slot = cache_slot_of_mailbox(cache, "a/b");
        struct cache_mailbox one = mailbox(slot, 0, "a/b", "b");
        one.uidvalidity = uidvalidity;
        one.messages = cache_slot_of_messages(cache, "a/b", uidvalidity);
        uint32_t other = cache_slot_of_messages(cache, "other", uidvalidity);
        struct cache_mailbox two =
            mailbox(cache_slot_of_mailbox(cache, "other"), 0, "other", "other");
        put(&scratch, &one);
        put(&scratch, &two);

        g_assert_cmpint(rename_as(&scratch, slot, "other", 0, "x"), ==, CACHE_CORRUPT);
        g_assert_cmpuint(cache_slot_of_mailbox(cache, "a/b"), ==, slot);
        g_assert_cmpint(rename_as(&scratch, 9999, "y", 0, "y"), ==, CACHE_NOT_FOUND);
        g_assert_cmpint(rename_as(&scratch, slot, "c/d", 77, "d"), ==, CACHE_OK);

        g_assert_cmpuint(cache_slot_of_mailbox(cache, "c/d"), ==, slot);
        g_assert_cmpuint(cache_slot_of_messages(cache, "c/d", uidvalidity), ==, one.messages);
        uint32_t fresh = cache_slot_of_mailbox(cache, "a/b");
        uint32_t fresh_messages = cache_slot_of_messages(cache, "a/b", uidvalidity);
        g_assert_true(fresh != slot && fresh != two.slot && fresh != 0);
        g_assert_true(fresh_messages != one.messages && fresh_messages != other &&
                      fresh_messages != 0);
        g_assert_cmpuint(cache_slot_of_messages(cache, "other", uidvalidity), ==, other);
        struct cache_txn *txn = cache_txn_read(cache);
        g_assert_cmpint(cache_mailbox_by_wire(txn, "a/b", &found), ==, CACHE_NOT_FOUND);
        g_assert_cmpint(cache_mailbox_by_wire(txn, "c/d", &found), ==, CACHE_OK);
        one.wire = "c/d", one.parent = 77, one.name = "d";
        check(&found, &one);
        g_assert_cmpint(cache_mailbox_by_name(txn, 77, "d", &found), ==, CACHE_OK);
        g_assert_cmpint(cache_mailbox_by_name(txn, 0, "b", &found), ==, CACHE_NOT_FOUND);
        g_assert_cmpint(cache_mailbox_of_messages(txn, one.messages, &found), ==, CACHE_OK);
        g_assert_cmpuint(found.slot, ==, slot);
        cache_txn_end(txn);
        /* and back, when the fresh ones have no records */
        g_assert_cmpint(rename_as(&scratch, slot, "a/b", 0, "b"), ==, CACHE_OK);
        g_assert_cmpuint(cache_slot_of_mailbox(cache, "a/b"), ==, slot);
        g_assert_cmpuint(cache_slot_of_messages(cache, "a/b", uidvalidity), ==, one.messages);
        g_assert_cmpuint(cache_slot_of_mailbox(cache, "c/d"), !=, slot);
        scratch_teardown(&scratch);
    }
}

static void test_messages_slot(void)
{
    struct cache_mailbox found, one = mailbox(1, 0, "A", "A"), two = mailbox(2, 0, "B", "B");
    struct scratch scratch;

    scratch_setup(&scratch);
    one.messages = 10;
    two.messages = 11;
    put(&scratch, &one);
    put(&scratch, &two);
    put_messages(&scratch, 10, 700);
    put_messages(&scratch, 11, 5);
    put(&scratch, &one);
    g_assert_cmpuint(count_messages(&scratch, 10), ==, 700);
    one.messages = 12; /* another UIDVALIDITY */
    put(&scratch, &one);
    g_assert_cmpuint(count_messages(&scratch, 10), ==, 0);
    g_assert_cmpuint(count_messages(&scratch, 11), ==, 5);
    g_assert_cmpuint(cache_collect(scratch.cache, 1000), ==, 700);
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_mailbox_of_messages(txn, 10, &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_of_messages(txn, 12, &found), ==, CACHE_OK);
    cache_txn_end(txn);
    /* a slot that another mailbox has: its messages are never shown here */
    one.messages = 11;
    put(&scratch, &one);
    g_assert_cmpuint(count_messages(&scratch, 11), ==, 0);
    txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_mailbox_get(txn, 2, &found), ==, CACHE_OK);
    g_assert_cmpuint(found.messages, ==, 0);
    g_assert_cmpint(cache_mailbox_of_messages(txn, 11, &found), ==, CACHE_OK);
    g_assert_cmpuint(found.slot, ==, 1);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

static void test_remove(void)
{
    struct cache_mailbox found, one = mailbox(1, 0, "A", "A"), two = mailbox(2, 0, "B", "B");
    struct scratch scratch;

    scratch_setup(&scratch);
    one.messages = 10;
    put(&scratch, &one);
    put(&scratch, &two);
    put_messages(&scratch, 10, 3);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_mailbox_remove(txn, 1), ==, CACHE_OK);
    g_assert_cmpint(cache_mailbox_remove(txn, 1), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    g_autofree char *left = children(&scratch, 0);
    g_assert_cmpstr(left, ==, "B;");
    g_assert_cmpuint(count_messages(&scratch, 10), ==, 0);
    txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_mailbox_by_wire(txn, "A", &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_by_name(txn, 0, "A", &found), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_mailbox_of_messages(txn, 10, &found), ==, CACHE_NOT_FOUND);
    cache_txn_end(txn);
    g_assert_cmpuint(cache_collect(scratch.cache, 1000), ==, 3);
    scratch_teardown(&scratch);
}

/* ---- slots ---------------------------------------------------------------------------------- */

static void test_slots(void)
{
    g_autofree char *wire = g_strnfill(5000, 'w');
    struct scratch scratch;

    scratch_setup(&scratch);
    struct cache *cache = scratch.cache;
    struct cache_txn *txn = cache_txn_write(cache); /* may be called inside one */
    uint32_t inbox = cache_slot_of_mailbox(cache, "INBOX");
    uint32_t messages = cache_slot_of_messages(cache, "INBOX", 1);
    cache_txn_end(txn);
    uint32_t later = cache_slot_of_messages(cache, "INBOX", 2);
    uint32_t other = cache_slot_of_mailbox(cache, wire);
    const uint32_t SLOTS[] = {inbox, messages, later, other};
    for (size_t i = 0; i < G_N_ELEMENTS(SLOTS); i++) {
        g_assert_cmpuint(SLOTS[i], >, 0);
        for (size_t j = 0; j < i; j++)
            g_assert_cmpuint(SLOTS[i], !=, SLOTS[j]);
    }
    /* two accounts in one process, one registry */
    g_autoptr(GError) error = NULL;
    struct cache *second = scratch_open_as(scratch.directory, "c@d:993", 0, &error);
    g_assert_no_error(error);
    uint32_t theirs = cache_slot_of_mailbox(second, "INBOX");
    for (size_t i = 0; i < G_N_ELEMENTS(SLOTS); i++)
        g_assert_cmpuint(SLOTS[i], !=, theirs);
    scratch_close(&scratch);
    g_assert_cmpuint(cache_slot_of_mailbox(second, "INBOX"), ==, theirs);
    cache_close(second);
    scratch_open(&scratch);
    g_assert_cmpuint(cache_slot_of_mailbox(scratch.cache, "INBOX"), ==, inbox);
    g_assert_cmpuint(cache_slot_of_messages(scratch.cache, "INBOX", 1), ==, messages);
    g_assert_cmpuint(cache_slot_of_messages(scratch.cache, "INBOX", 2), ==, later);
    scratch_teardown(&scratch);
}

/* Without UIDVALIDITY a message's identity ends with the session. */
static void test_unnumbered(void)
{
    struct cache_mailbox found, one = mailbox(1, 0, "A", "A");
    struct scratch scratch;

    scratch_setup(&scratch);
    uint32_t slot = cache_slot_of_messages(scratch.cache, "A", 0);
    g_assert_cmpuint(slot, ==, (1 << 17) - 1);
    g_assert_cmpuint(cache_slot_of_messages(scratch.cache, "A", 0), ==, slot);
    g_assert_cmpuint(cache_slot_of_messages(scratch.cache, "B", 0), ==, slot - 1);
    one.uidvalidity = 0;
    one.messages = slot;
    put(&scratch, &one);
    put_messages(&scratch, slot, 3);
    scratch_close(&scratch);
    scratch_open(&scratch);
    g_assert_cmpuint(count_messages(&scratch, slot), ==, 0);
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_mailbox_get(txn, 1, &found), ==, CACHE_OK);
    g_assert_cmpuint(found.messages, ==, 0);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

/* ---- details -------------------------------------------------------------------------------- */

static void test_parts(void)
{
    static const struct cache_part PARTS[] = {
        {4, 1, CACHE_PART_LEAF, CACHE_ENCODING_BASE64, CACHE_PART_TEXT, -1, "body.txt", "1",
         "text/plain", "utf-8"},
        {5, 1, CACHE_PART_MESSAGE, CACHE_ENCODING_IDENTITY, 0, 1ll << 40, "forwarded.eml", "2",
         "message/rfc822", ""},
        {16000, 5, CACHE_PART_HEADERS, CACHE_ENCODING_UUENCODE, 7, 0, "", "2.1", "", NULL},
    };
    struct cache_parts parts;
    struct cache_part part;
    struct scratch scratch;
    size_t at = 0;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_parts_get(txn, 9, &parts), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_parts_put(txn, 9, PARTS, 3, true), ==, CACHE_OK);
    g_assert_cmpint(cache_parts_put(txn, 10, NULL, 0, false), ==, CACHE_OK);
    const struct cache_part DOUBLE[] = {PARTS[0], PARTS[0]};
    g_assert_cmpint(cache_parts_put(txn, 11, DOUBLE, 2, false), ==, CACHE_CORRUPT);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_parts_get(txn, 9, &parts), ==, CACHE_OK);
    g_assert_cmpuint(parts.count, ==, 3);
    g_assert_true(parts.truncated);
    for (size_t i = 0; i < G_N_ELEMENTS(PARTS); i++) {
        const struct cache_part *wanted = &PARTS[i];
        g_assert_true(cache_parts_next(&parts, &at, &part));
        g_assert_cmpuint(part.number, ==, wanted->number);
        g_assert_cmpuint(part.parent, ==, wanted->parent);
        g_assert_cmpint(part.kind, ==, wanted->kind);
        g_assert_cmpint(part.encoding, ==, wanted->encoding);
        g_assert_cmpuint(part.flags, ==, wanted->flags);
        g_assert_cmpint(part.octets, ==, wanted->octets);
        g_assert_cmpstr(part.name, ==, wanted->name);
        g_assert_cmpstr(part.section, ==, wanted->section);
        g_assert_cmpstr(part.type, ==, wanted->type);
        g_assert_cmpstr(part.charset, ==, wanted->charset != NULL ? wanted->charset : "");
    }
    g_assert_false(cache_parts_next(&parts, &at, &part));
    g_assert_cmpint(cache_parts_get(txn, 10, &parts), ==, CACHE_OK);
    at = 0;
    g_assert_false(cache_parts_next(&parts, &at, &part));
    g_assert_cmpint(cache_parts_get(txn, 11, &parts), ==, CACHE_NOT_FOUND);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

static void test_details(void)
{
    g_autofree char *key = g_strnfill(255, 'k'), *longer = g_strnfill(256, 'k');
    g_autofree char *big = g_strnfill(100000, 'h');
    struct scratch scratch;
    const char *value;
    const void *bytes;
    uint64_t size;
    size_t length;

    scratch_setup(&scratch);
    struct cache_txn *txn = cache_txn_write(scratch.cache);
    g_assert_cmpint(cache_note_put(txn, "server.sizes", "wrong"), ==, CACHE_OK);
    g_assert_cmpint(cache_note_put(txn, "server.sizes", "right"), ==, CACHE_OK);
    g_assert_cmpint(cache_note_put(txn, key, ""), ==, CACHE_OK);
    g_assert_cmpint(cache_note_put(txn, longer, ""), ==, CACHE_CORRUPT);
    g_assert_cmpint(cache_note_put(txn, "", ""), ==, CACHE_CORRUPT);
    g_assert_cmpint(cache_header_put(txn, 1, big, 100000), ==, CACHE_OK);
    g_assert_cmpint(cache_header_put(txn, 2, NULL, 0), ==, CACHE_OK);
    g_assert_cmpint(cache_header_put(txn, 3, big, (size_t)32 << 20), ==, CACHE_CORRUPT);
    g_assert_cmpint(cache_size_put(txn, 1, 65535, UINT64_MAX), ==, CACHE_OK);
    g_assert_cmpint(cache_size_put(txn, 1, 3, 0), ==, CACHE_OK);
    g_assert_cmpint(cache_size_remove(txn, 1, 3), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_note_get(txn, "server.sizes", &value), ==, CACHE_OK);
    g_assert_cmpstr(value, ==, "right");
    g_assert_cmpint(cache_note_get(txn, key, &value), ==, CACHE_OK);
    g_assert_cmpint(cache_note_get(txn, "server.size", &value), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_header_get(txn, 1, &bytes, &length), ==, CACHE_OK);
    g_assert_cmpmem(bytes, length, big, 100000);
    g_assert_cmpint(cache_header_get(txn, 2, &bytes, &length), ==, CACHE_OK);
    g_assert_cmpuint(length, ==, 0);
    g_assert_cmpint(cache_size_get(txn, 1, 65535, &size), ==, CACHE_OK);
    g_assert_cmpuint(size, ==, UINT64_MAX);
    g_assert_cmpint(cache_size_get(txn, 1, 3, &size), ==, CACHE_NOT_FOUND);
    cache_txn_end(txn);
    scratch_teardown(&scratch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mailbox/lookups", test_lookups);
    g_test_add_func("/mailbox/walk", test_walk);
    g_test_add_func("/mailbox/path", test_path);
    g_test_add_func("/mailbox/rename", test_rename);
    g_test_add_func("/mailbox/rename-wire", test_rename_wire);
    g_test_add_func("/mailbox/messages-slot", test_messages_slot);
    g_test_add_func("/mailbox/remove", test_remove);
    g_test_add_func("/slots/slots", test_slots);
    g_test_add_func("/slots/unnumbered", test_unnumbered);
    g_test_add_func("/details/parts", test_parts);
    g_test_add_func("/details/details", test_details);
    return g_test_run();
}
