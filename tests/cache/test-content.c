#include "cache/record.h"
#include "tests/cache/scratch.h"
#include <string.h>

#define MIB (1 << 20)

static int put(struct cache *cache, uint64_t object, const char *section, uint64_t offset,
               size_t length)
{
    g_autofree uint8_t *bytes = g_malloc(length + 1);
    scratch_fill(object, offset, bytes, length);
    return cache_content_put(cache, object, section, offset, bytes, length);
}

/* How many right bytes come; fails on a wrong one. */
static size_t get(struct cache *cache, uint64_t object, const char *section, uint64_t offset,
                  size_t length)
{
    g_autofree uint8_t *bytes = g_malloc(length + 1), *wanted = g_malloc(length + 1);
    size_t got = cache_content_get(cache, object, section, offset, bytes, length);
    g_assert_cmpuint(got, <=, length);
    scratch_fill(object, offset, wanted, got);
    g_assert_true(memcmp(bytes, wanted, got) == 0);
    g_assert_cmpuint(cache_content_have(cache, object, section, offset, length), ==, got);
    return got;
}

static void test_ranges(void)
{
    enum { B = CONTENT_BLOCK };
    static const struct {
        uint64_t offset;
        size_t length, have; /* from 0, afterwards */
    } PUTS[] = {
        {0, 1, 1},
        {1, 9, 10},
        {20, 10, 0}, /* apart from what is there: the newer stays */
        {10, 10, 0},
        {5, 3, 0},
        {B, B, 0},
        {B - 1, 1, 0},
        {30, B, 0},
        {3 * B + 7, 100, 0},
        {2 * B, B + 7, 0},
        {0, 30, 3 * B + 107},
        {0, 4 * B, 4 * B},
        {4 * B + 1, 300 * B, 4 * B},
        {4 * B, 1, 304 * B + 1},
    };
    struct scratch scratch;

    scratch_setup(&scratch);
    for (size_t i = 0; i < G_N_ELEMENTS(PUTS); i++) {
        g_assert_cmpint(put(scratch.cache, 5, "1.2", PUTS[i].offset, PUTS[i].length), ==, CACHE_OK);
        g_assert_cmpuint(get(scratch.cache, 5, "1.2", PUTS[i].offset, PUTS[i].length), ==,
                         PUTS[i].length);
        g_assert_cmpuint(get(scratch.cache, 5, "1.2", 0, 400 * B), ==, PUTS[i].have);
    }
    g_assert_cmpuint(get(scratch.cache, 5, "1.2", 2 * B - 1, 3), ==, 3);
    g_assert_cmpuint(get(scratch.cache, 5, "1.2", 304 * B + 1, 3), ==, 0);
    g_assert_cmpuint(get(scratch.cache, 5, "1", 0, 3), ==, 0);
    g_assert_cmpuint(get(scratch.cache, 6, "1.2", 0, 3), ==, 0);
    g_assert_cmpuint(cache_content_get(scratch.cache, 5, "1.2", 0, NULL, 0), ==, 0);
    scratch_teardown(&scratch);
}

/* Any order of any pieces: what comes back was put in. */
static void test_random(void)
{
    enum { SIZE = 40000 };
    struct scratch scratch;

    scratch_setup(&scratch);
    for (int round = 0; round < 20; round++) {
        g_autofree uint8_t *there = g_malloc0(SIZE);
        uint64_t object = (uint64_t)round + 1;
        for (int i = 0; i < 60; i++) {
            size_t offset = (size_t)g_test_rand_int_range(0, SIZE - 1);
            size_t length = (size_t)g_test_rand_int_range(1, (int)MIN(9000, SIZE - offset) + 1);
            g_assert_cmpint(put(scratch.cache, object, "", offset, length), ==, CACHE_OK);
            memset(there + offset, 1, length);
            g_assert_cmpuint(get(scratch.cache, object, "", offset, length), ==, length);
            offset = (size_t)g_test_rand_int_range(0, SIZE);
            size_t got = get(scratch.cache, object, "", offset, 10000);
            for (size_t at = offset; at < offset + got; at++)
                g_assert_true(there[at]);
        }
        g_assert_cmpint(put(scratch.cache, object, "", 0, SIZE), ==, CACHE_OK);
        g_assert_cmpuint(get(scratch.cache, object, "", 0, SIZE + 5), ==, SIZE);
    }
    scratch_teardown(&scratch);
}

static void test_end(void)
{
    struct scratch scratch;
    uint64_t size;

    scratch_setup(&scratch);
    struct cache *cache = scratch.cache;
    g_assert_cmpint(cache_content_size(cache, 1, "2", &size), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(put(cache, 1, "2", 0, 9000), ==, CACHE_OK);
    g_assert_cmpint(cache_content_size(cache, 1, "2", &size), ==, CACHE_NOT_FOUND);
    g_assert_cmpint(cache_content_end(cache, 1, "2", 9000), ==, CACHE_OK);
    g_assert_cmpint(cache_content_end(cache, 1, "2", 9000), ==, CACHE_OK);
    g_assert_cmpint(cache_content_size(cache, 1, "2", &size), ==, CACHE_OK);
    g_assert_cmpuint(size, ==, 9000);
    g_assert_cmpuint(get(cache, 1, "2", 8990, 100), ==, 10);
    g_assert_cmpint(cache_content_end(cache, 1, "2", 5000), ==, CACHE_OK);
    g_assert_cmpuint(get(cache, 1, "2", 0, 10000), ==, 5000);
    g_assert_cmpint(put(cache, 1, "2", 4000, 3000), ==, CACHE_OK); /* beyond: not kept */
    g_assert_cmpint(cache_content_end(cache, 1, "2", 9000), ==, CACHE_OK);
    g_assert_cmpuint(get(cache, 1, "2", 0, 10000), ==, 5000);
    g_assert_cmpint(cache_content_end(cache, 1, "empty", 0), ==, CACHE_OK);
    g_assert_cmpint(cache_content_size(cache, 1, "empty", &size), ==, CACHE_OK);
    g_assert_cmpuint(size, ==, 0);
    g_assert_cmpuint(get(cache, 1, "empty", 0, 10), ==, 0);
    g_assert_cmpint(put(cache, 1, "empty", 0, 10), ==, CACHE_OK);
    g_assert_cmpuint(get(cache, 1, "empty", 0, 10), ==, 0);
    scratch_teardown(&scratch);
}

static void test_refused(void)
{
    struct scratch scratch;
    g_autofree char *name = g_strnfill(64, 'x'), *longer = g_strnfill(65, 'x');

    scratch_setup(&scratch);
    g_assert_cmpint(put(scratch.cache, 1, name, 0, 10), ==, CACHE_OK);
    g_assert_cmpuint(get(scratch.cache, 1, name, 0, 10), ==, 10);
    g_assert_cmpint(put(scratch.cache, 1, longer, 0, 10), ==, CACHE_CORRUPT);
    g_assert_cmpint(cache_content_end(scratch.cache, 1, longer, 1), ==, CACHE_CORRUPT);
    g_assert_cmpint(put(scratch.cache, 1, "1", UINT64_MAX - 4, 10), ==, CACHE_CORRUPT);
    g_assert_cmpint(put(scratch.cache, 1, "1", 1ull << 45, 10), ==, CACHE_CORRUPT);
    g_assert_cmpuint(cache_content_have(scratch.cache, 1, "1", UINT64_MAX - 4, 10), ==, 0);
    g_assert_cmpint(put(scratch.cache, 1, "1", 1ull << 43, 10), ==, CACHE_OK);
    g_assert_cmpuint(get(scratch.cache, 1, "1", 1ull << 43, 11), ==, 10);
    g_assert_cmpint(put(scratch.cache, 1, "1", 0, 0), ==, CACHE_OK);
    scratch_teardown(&scratch);
}

static void test_forget(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    struct cache *cache = scratch.cache;
    uint64_t empty = cache_content_used(cache), size;
    g_assert_cmpint(put(cache, 1, "", 0, 5 * MIB), ==, CACHE_OK);
    g_assert_cmpint(put(cache, 1, "2", 0, 100), ==, CACHE_OK);
    g_assert_cmpint(cache_content_end(cache, 1, "3", 0), ==, CACHE_OK);
    g_assert_cmpint(put(cache, 2, "2", 0, 100), ==, CACHE_OK);
    g_assert_cmpuint(cache_content_used(cache), >, 5 * MIB);
    g_assert_cmpint(cache_content_forget(cache, 1), ==, CACHE_OK);
    g_assert_cmpint(cache_content_forget(cache, 1), ==, CACHE_OK);
    g_assert_cmpuint(get(cache, 1, "", 0, 10), ==, 0);
    g_assert_cmpuint(get(cache, 1, "2", 0, 10), ==, 0);
    g_assert_cmpint(cache_content_size(cache, 1, "3", &size), ==, CACHE_NOT_FOUND);
    g_assert_cmpuint(get(cache, 2, "2", 0, 100), ==, 100);
    g_assert_cmpuint(cache_content_used(cache), <, empty + MIB);
    scratch_teardown(&scratch);
}

/* ---- the bound ------------------------------------------------------------------------------ */

static uint64_t file_bytes(const struct scratch *scratch)
{
    g_autofree char *path = scratch_path(scratch, "content/data.mdb");
    g_autofree char *bytes = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    return length;
}

static void test_eviction(void)
{
    struct scratch scratch;

    scratch_setup(&scratch); /* 16 MiB */
    struct cache *cache = scratch.cache;
    for (uint64_t object = 1; object <= 100; object++) {
        g_assert_cmpint(put(cache, object, "", 0, 700000), ==, CACHE_OK);
        g_assert_cmpuint(get(cache, object, "", 0, 700000), ==, 700000);
        g_assert_cmpuint(cache_content_used(cache), <=, 16 * MIB);
        if (object > 1) /* in use all the time: never the oldest */
            g_assert_cmpuint(get(cache, 1, "", 0, 700000), ==, 700000);
    }
    g_assert_cmpuint(get(cache, 2, "", 0, 10), ==, 0);
    for (uint64_t object = 90; object <= 100; object++)
        g_assert_cmpuint(get(cache, object, "", 0, 700000), ==, 700000);
    g_assert_cmpuint(file_bytes(&scratch), <=, 16 * MIB);
    /* also after a restart, whatever was used last before it stays longest */
    g_assert_cmpuint(get(cache, 95, "", 0, 10), ==, 10);
    scratch_close(&scratch);
    scratch_open(&scratch);
    cache = scratch.cache;
    for (uint64_t object = 200; object < 208; object++)
        g_assert_cmpint(put(cache, object, "", 0, 700000), ==, CACHE_OK);
    g_assert_cmpuint(get(cache, 95, "", 0, 10), ==, 10);
    g_assert_cmpuint(get(cache, 90, "", 0, 10), ==, 0);
    scratch_teardown(&scratch);
}

/* Many small ones: their records must go with them. */
/* What counts as used stays, though it is not read; what goes for others is counted. */
static void test_touch(void)
{
    struct scratch scratch;

    scratch_setup(&scratch); /* 16 MiB */
    struct cache *cache = scratch.cache;
    g_assert_cmpuint(cache_content_room(cache), <, 11 * MIB);
    g_assert_cmpuint(cache_content_room(cache), >, 10 * MIB);
    for (uint64_t object = 1; object <= 4; object++)
        g_assert_cmpint(put(cache, object, "", 0, 2 * MIB), ==, CACHE_OK);
    g_assert_cmpuint(cache_content_evicted(cache), ==, 0);
    cache_content_touch(cache, 1, "", 2 * MIB);
    cache_content_touch(cache, 2, "", 1); /* its first piece only */
    cache_content_touch(cache, 99, "", 2 * MIB);
    cache_content_touch(cache, 3, "x", 2 * MIB);
    cache_content_touch(cache, 3, "", 0);
    cache_content_touch(cache, 3, "", UINT64_MAX);
    for (uint64_t object = 10; object <= 13; object++)
        g_assert_cmpint(put(cache, object, "", 0, 2 * MIB), ==, CACHE_OK);
    g_assert_cmpuint(cache_content_evicted(cache), >, 0);
    g_assert_cmpuint(get(cache, 1, "", 0, 2 * MIB), ==, 2 * MIB);
    g_assert_cmpuint(get(cache, 2, "", 0, 2 * MIB), <, 2 * MIB);
    g_assert_cmpuint(get(cache, 2, "", 0, 10), ==, 10);
    g_assert_cmpuint(get(cache, 3, "", 0, 2 * MIB), <, 2 * MIB);
    scratch_teardown(&scratch);
}

static void test_eviction_small(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    for (uint64_t object = 1; object <= 20000; object++) {
        g_assert_cmpint(put(scratch.cache, object, "", 0, 3000), ==, CACHE_OK);
        if (object % 2 == 0)
            g_assert_cmpint(cache_content_end(scratch.cache, object, "", 3000), ==, CACHE_OK);
        if (object % 3 == 0)
            g_assert_cmpint(cache_content_end(scratch.cache, object, "e", 0), ==, CACHE_OK);
    }
    g_assert_cmpuint(get(scratch.cache, 1, "", 0, 3000), ==, 0);
    g_assert_cmpuint(get(scratch.cache, 20000, "", 0, 3000), ==, 3000);
    g_assert_cmpuint(cache_content_used(scratch.cache), <=, 16 * MIB);
    g_assert_cmpuint(file_bytes(&scratch), <=, 16 * MIB);
    scratch_teardown(&scratch);
}

static void test_too_big(void)
{
    struct scratch scratch;

    scratch_setup(&scratch);
    g_assert_cmpint(put(scratch.cache, 1, "", 0, 100), ==, CACHE_OK);
    g_assert_cmpint(put(scratch.cache, 2, "", 0, 20 * MIB), ==, CACHE_FULL);
    g_assert_cmpuint(get(scratch.cache, 2, "", 0, 10), ==, 0);
    g_assert_cmpuint(get(scratch.cache, 1, "", 0, 100), ==, 100);
    for (uint64_t at = 0; at < 64 * MIB; at += 8 * MIB) { /* a stream far above the bound */
        g_assert_cmpint(put(scratch.cache, 3, "", at, 8 * MIB), ==, CACHE_OK);
        g_assert_cmpuint(get(scratch.cache, 3, "", at, 8 * MIB), ==, 8 * MIB);
    }
    g_assert_cmpuint(file_bytes(&scratch), <=, 16 * MIB);
    scratch_teardown(&scratch);
}

/* Whether an address lies in a mapped file that has no name. */
static bool is_spooled(const void *address)
{
    g_autofree char *maps = NULL;
    g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(maps, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        char *rest;
        guint64 from = g_ascii_strtoull(*line, &rest, 16);
        guint64 to = *rest == '-' ? g_ascii_strtoull(rest + 1, NULL, 16) : 0;
        if ((guint64)(uintptr_t)address >= from && (guint64)(uintptr_t)address < to)
            return g_str_has_suffix(*line, "(deleted)");
    }
    return false;
}

static void check_bytes(GBytes *bytes, uint64_t object, uint64_t offset, size_t length,
                        bool spooled)
{
    gsize got;
    const uint8_t *data = g_bytes_get_data(bytes, &got);
    g_assert_cmpuint(got, ==, length);
    for (size_t i = 0; i < length; i++)
        if (data[i] != scratch_byte(object, offset + i))
            g_error("byte %zu of %zu from %" G_GUINT64_FORMAT " is another", i, length, offset);
    g_assert_cmpint(is_spooled(data), ==, length > 0 && spooled);
}

static void test_bytes(void)
{
    static const struct {
        uint64_t offset;
        size_t length, got;
    } cases[] = {
        {0, 0, 0},
        {0, 1, 1},
        {5, MIB, MIB},
        {5, MIB + 1, MIB + 1},
        {MIB + 77, 2 * MIB - 77, 2 * MIB - 77},
        {0, 3 * MIB, 3 * MIB},
        /* not all there */
        {0, 3 * MIB + 1, 3 * MIB},
        {3 * MIB - 5, 10, 5},
        {3 * MIB, 10, 0},
        {4 * MIB, 2 * MIB, 0},
    };
    struct scratch scratch;
    scratch_setup(&scratch);
    g_assert_cmpint(put(scratch.cache, 1, "", 0, 3 * MIB), ==, CACHE_OK);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t got = 99, length = cases[i].length;
        g_autoptr(GBytes) bytes =
            cache_content_bytes(scratch.cache, 1, "", cases[i].offset, length, &got);
        g_assert_cmpuint(got, ==, cases[i].got);
        g_assert_cmpint(bytes != NULL, ==, got == length);
        if (bytes != NULL)
            check_bytes(bytes, 1, cases[i].offset, length, length > MIB);
    }
    scratch_teardown(&scratch);
}

static GBytes *made_up(size_t length)
{
    uint8_t *bytes = g_malloc(length);
    scratch_fill(7, 0, bytes, length);
    return g_bytes_new_take(bytes, length);
}

/* Bytes outlive the cache that they were spooled beside; without a file they stay in memory. */
static void test_spool(void)
{
    struct scratch scratch;
    scratch_setup(&scratch);
    g_autoptr(GBytes) small = cache_spool(scratch.cache, made_up(MIB));
    g_autoptr(GBytes) big = cache_spool(scratch.cache, made_up(MIB + 1));
    g_assert_cmpint(put(scratch.cache, 7, "", 0, 2 * MIB), ==, CACHE_OK);
    remove_tree(scratch.directory);
    g_autoptr(GBytes) kept = cache_spool(scratch.cache, made_up(MIB + 1));
    size_t got;
    g_autoptr(GBytes) read = cache_content_bytes(scratch.cache, 7, "", 0, 2 * MIB, &got);
    scratch_teardown(&scratch);
    check_bytes(small, 7, 0, MIB, false);
    check_bytes(big, 7, 0, MIB + 1, true);
    check_bytes(kept, 7, 0, MIB + 1, false);
    check_bytes(read, 7, 0, 2 * MIB, false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/content/ranges", test_ranges);
    g_test_add_func("/content/random", test_random);
    g_test_add_func("/content/end", test_end);
    g_test_add_func("/content/refused", test_refused);
    g_test_add_func("/content/forget", test_forget);
    g_test_add_func("/content/eviction", test_eviction);
    g_test_add_func("/content/touch", test_touch);
    g_test_add_func("/content/eviction-small", test_eviction_small);
    g_test_add_func("/content/too-big", test_too_big);
    g_test_add_func("/content/bytes", test_bytes);
    g_test_add_func("/content/spool", test_spool);
    return g_test_run();
}
