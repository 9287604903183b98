#include "imap/imap.h"

#include <string.h>

static char *text_of(const struct imap_uidset *set)
{
    GString *out = g_string_new(NULL);
    g_assert_cmpuint(imap_uidset_write(set, 0, G_MAXSIZE, out), ==, 0);
    return g_string_free(out, FALSE);
}

static const struct {
    const char *text, *written; /* NULL: not a set */
    uint64_t count;
} SETS[] = {
    {"1", "1", 1},
    {"1:4,7", "1:4,7", 5},
    {"4:1", "1:4", 4},
    {"7,1:4", "1:4,7", 5},
    {"1,2,3", "1:3", 3},
    {"3,2,1", "1:3", 3},
    {"1:5,3:9", "1:9", 9},
    {"5,1,3,2,4", "1:5", 5},
    {"1,3,5,2,9,4", "1:5,9", 6},
    {"10:20,1:30", "1:30", 30},
    {"10,20,30,5:35", "5:35", 31},
    {"4294967295", "4294967295", 1},
    {"1:4294967295", "1:4294967295", 4294967295},
    {"4294967294,4294967295,1", "1,4294967294:4294967295", 3},
    {"0001", "1", 1},
    {"", NULL, 0},
    {"0", NULL, 0},
    {"0:4", NULL, 0},
    {"1:0", NULL, 0},
    {"*", NULL, 0},
    {"1:*", NULL, 0},
    {"1,", NULL, 0},
    {",1", NULL, 0},
    {"1,,2", NULL, 0},
    {"1:", NULL, 0},
    {":1", NULL, 0},
    {"1:2:3", NULL, 0},
    {"1 2", NULL, 0},
    {" 1", NULL, 0},
    {"-1", NULL, 0},
    {"4294967296", NULL, 0},
    {"99999999999999999999999", NULL, 0},
    {"1\n", NULL, 0},
};

static void test_parse(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(SETS); i++) {
        g_autoptr(imap_uidset) set = imap_uidset_parse(SETS[i].text, strlen(SETS[i].text));
        g_test_message("%s", SETS[i].text);
        g_assert_true((set == NULL) == (SETS[i].written == NULL));
        if (set == NULL)
            continue;
        g_autofree char *written = text_of(set);
        g_assert_cmpstr(written, ==, SETS[i].written);
        g_assert_cmpuint(imap_uidset_count(set), ==, SETS[i].count);
    }
}

static void test_parse_length(void)
{
    g_autoptr(imap_uidset) set = imap_uidset_parse("1:25,9", 3);
    g_autofree char *written = text_of(set);
    g_assert_cmpstr(written, ==, "1:2");
    g_assert_null(imap_uidset_parse("1\0"
                                    "2",
                                    3));
}

static void test_add_refuses(void)
{
    g_autoptr(imap_uidset) set = imap_uidset_new();
    const struct imap_range *ranges;
    g_assert_false(imap_uidset_add(set, 0, 4));
    g_assert_false(imap_uidset_add(set, 5, 4));
    g_assert_cmpuint(imap_uidset_count(set), ==, 0);
    g_assert_cmpuint(imap_uidset_ranges(set, &ranges), ==, 0);
    g_assert_false(imap_uidset_contains(set, 0));
    g_assert_false(imap_uidset_contains(set, 1));
    g_autofree char *written = text_of(set);
    g_assert_cmpstr(written, ==, "");
}

static const struct {
    uint32_t from;
    size_t max;
    const char *written;
    uint32_t next;
} WRITES[] = {
    {0, 100, "1:4,7,10:4000000000", 0},
    {1, 100, "1:4,7,10:4000000000", 0},
    {2, 100, "2:4,7,10:4000000000", 0},
    {4, 100, "4,7,10:4000000000", 0},
    {5, 100, "7,10:4000000000", 0},
    {10, 100, "10:4000000000", 0},
    {4000000000, 100, "4000000000", 0},
    {4000000001, 100, "", 0},
    {1, 19, "1:4,7,10:4000000000", 0},
    {1, 18, "1:4,7", 10},
    {1, 5, "1:4,7", 10},
    {1, 4, "1:4", 7},
    {1, 3, "1:4", 7},
    {1, 2, "", 1},
    {3, 0, "", 3},
    {5, 0, "", 7},
};

static void test_write(void)
{
    g_autoptr(imap_uidset) set = imap_uidset_parse("1:4,7,10:4000000000", 19);
    for (size_t i = 0; i < G_N_ELEMENTS(WRITES); i++) {
        g_autoptr(GString) out = g_string_new("x ");
        uint32_t next = imap_uidset_write(set, WRITES[i].from, WRITES[i].max, out);
        g_assert_cmpuint(next, ==, WRITES[i].next);
        g_assert_cmpstr(out->str + 2, ==, WRITES[i].written);
    }
}

/* Against an array of truth, asking in between, so that the waiting UIDs are asked too. */
static void test_random(void)
{
    enum { SPACE = 3000, ROUNDS = 4000 };
    g_autoptr(imap_uidset) set = imap_uidset_new();
    bool truth[SPACE + 1] = {false};
    uint64_t count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t first = (uint32_t)g_test_rand_int_range(1, SPACE + 1);
        uint32_t last = first + (round % 7 == 0 ? (uint32_t)g_test_rand_int_range(0, 9) : 0);
        last = MIN(last, SPACE);
        g_assert_true(imap_uidset_add(set, first, last));
        for (uint32_t uid = first; uid <= last; uid++) {
            count += !truth[uid];
            truth[uid] = true;
        }
        uint32_t asked = (uint32_t)g_test_rand_int_range(1, SPACE + 1);
        g_assert_cmpint(imap_uidset_contains(set, asked), ==, truth[asked]);
        if (round % 500 == 0)
            g_assert_cmpuint(imap_uidset_count(set), ==, count);
    }
    const struct imap_range *ranges;
    size_t ranges_count = imap_uidset_ranges(set, &ranges);
    for (size_t i = 0; i < ranges_count; i++) {
        g_assert_cmpuint(ranges[i].first, <=, ranges[i].last);
        g_assert_true(i == 0 || ranges[i - 1].last + 1 < ranges[i].first);
    }
    g_assert_cmpuint(imap_uidset_count(set), ==, count);
    for (uint32_t uid = 1; uid <= SPACE; uid++)
        g_assert_cmpint(imap_uidset_contains(set, uid), ==, truth[uid]);
}

/* 262,144 UIDs apart from each other, in the order of a walk that visits each once. Quadratic
 * work would not end while somebody watches. */
static void test_scattered(void)
{
    enum { COUNT = 1 << 18 };
    g_autoptr(imap_uidset) ascending = imap_uidset_new();
    g_autoptr(imap_uidset) scattered = imap_uidset_new();
    const struct imap_range *a, *b;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t uid = (uint32_t)((uint64_t)i * 618033 % COUNT);
        g_assert_true(imap_uidset_add(ascending, 2 * i + 1, 2 * i + 1));
        g_assert_true(imap_uidset_add(scattered, 2 * uid + 1, 2 * uid + 1));
    }
    g_assert_cmpuint(imap_uidset_count(ascending), ==, COUNT);
    g_assert_cmpuint(imap_uidset_count(scattered), ==, COUNT);
    size_t count = imap_uidset_ranges(ascending, &a);
    g_assert_cmpuint(imap_uidset_ranges(scattered, &b), ==, count);
    g_assert_cmpint(memcmp(a, b, count * sizeof(*a)), ==, 0);
    for (uint32_t i = 0; i < COUNT; i++)
        g_assert_true(imap_uidset_contains(scattered, 2 * i + 1) &&
                      !imap_uidset_contains(scattered, 2 * i + 2));
}

/* What is parsed is bounded; what is built is not. */
static void test_range_limit(void)
{
    g_autoptr(GString) text = g_string_new("1");
    for (uint32_t i = 1; i < 1000000; i++)
        g_string_append_printf(text, ",%u", 2 * i + 1);
    g_autoptr(imap_uidset) set = imap_uidset_parse(text->str, text->len);
    g_assert_nonnull(set);
    g_string_append(text, ",4000000");
    g_assert_null(imap_uidset_parse(text->str, text->len));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/uidset/parse", test_parse);
    g_test_add_func("/imap/uidset/parse-length", test_parse_length);
    g_test_add_func("/imap/uidset/add-refuses", test_add_refuses);
    g_test_add_func("/imap/uidset/write", test_write);
    g_test_add_func("/imap/uidset/random", test_random);
    g_test_add_func("/imap/uidset/scattered", test_scattered);
    g_test_add_func("/imap/uidset/range-limit", test_range_limit);
    return g_test_run();
}
