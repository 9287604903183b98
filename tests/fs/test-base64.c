#include <string.h>

#include "fs/mime.h"

/* A part of `size` bytes in lines of `line` characters, each followed by `end`; with `last_end` the
 * last one too. */
struct sample {
    GBytes *plain;
    GString *text;
};

static struct sample sample_new(GRand *rand, size_t size, size_t line, const char *end,
                                bool last_end)
{
    guint8 *bytes = g_malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (guint8)g_rand_int_range(rand, 0, 256);
    g_autofree char *encoded = g_base64_encode(bytes, size);
    struct sample sample = {g_bytes_new_take(bytes, size), g_string_new(NULL)};
    for (size_t at = 0; at < strlen(encoded); at += line) {
        if (at > 0)
            g_string_append(sample.text, end);
        g_string_append_printf(sample.text, "%.*s", (int)line, encoded + at);
    }
    if (last_end && size > 0)
        g_string_append(sample.text, end);
    return sample;
}

static void sample_free(struct sample *sample)
{
    g_bytes_unref(sample->plain);
    g_string_free(sample->text, TRUE);
}

/* Reads [offset, offset + length) of the decoded part as the reader of files does. */
static void assert_range(const struct sample *sample, const struct mime_base64_layout *layout,
                         uint64_t offset, uint64_t length)
{
    uint64_t octets = sample->text->len, from, to;
    mime_base64_range(layout, octets, offset, length, &from, &to);
    g_assert_cmpuint(from, <=, to);
    g_assert_cmpuint(to, <=, octets);
    g_autoptr(GBytes) got =
        mime_base64_decode(layout, sample->text->str + from, (size_t)(to - from), to == octets);
    g_assert_nonnull(got);
    gsize have, all;
    const guint8 *bytes = g_bytes_get_data(got, &have);
    const guint8 *plain = g_bytes_get_data(sample->plain, &all);
    uint64_t begin = from / (layout->line + layout->end) * (layout->line / 4 * 3);
    uint64_t end = MIN(offset + length, all);
    if (offset >= end)
        return;
    g_assert_cmpuint(begin, <=, offset);
    g_assert_cmpuint(begin + have, >=, end);
    g_assert_cmpmem(bytes + (offset - begin), end - offset, plain + offset, end - offset);
}

static void assert_sample(const struct sample *sample, size_t seen, GRand *rand)
{
    struct mime_base64_layout layout;
    size_t octets = sample->text->len;
    seen = MIN(seen, octets);
    if (!mime_base64_learn(sample->text->str, seen, seen == octets, &layout))
        g_error("not regular: %s", sample->text->str);
    uint64_t tail = mime_base64_tail(&layout, octets), size = 0;
    g_assert_cmpuint(tail, <=, octets);
    g_assert_true(
        mime_base64_size(&layout, octets, sample->text->str + tail, octets - tail, &size));
    g_assert_cmpuint(size, ==, g_bytes_get_size(sample->plain));
    assert_range(sample, &layout, 0, size);
    assert_range(sample, &layout, 0, UINT64_MAX);
    for (int i = 0; i < 6; i++)
        assert_range(sample, &layout, (guint32)g_rand_int_range(rand, 0, (gint32)size + 10),
                     (guint32)g_rand_int_range(rand, 0, (gint32)size + 10));
}

/* All layouts that mail programs make, at sizes around the ends of lines. */
static void test_regular(void)
{
    static const size_t lines[] = {4, 60, 64, 72, 76, 996};
    static const size_t sizes[] = {0,  1,  2,  3,   44,  45,  46,  53,  54,   55,   56,
                                   57, 58, 59, 113, 114, 115, 171, 747, 1000, 5000, 20000};
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    for (size_t l = 0; l < G_N_ELEMENTS(lines); l++)
        for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++)
            for (int form = 0; form < 4; form++) {
                struct sample sample =
                    sample_new(rand, sizes[s], lines[l], form & 1 ? "\r\n" : "\n", form & 2);
                assert_sample(&sample, 4096, rand);
                assert_sample(&sample, G_MAXSIZE, rand);
                sample_free(&sample);
            }
}

static void test_irregular_at_once(void)
{
    static const struct {
        const char *text;
        bool whole;
    } cases[] = {
        {"QUJ", true},                          /* no whole group */
        {"QUJD\r\nQUJ\r\n", true},              /* */
        {"QUJDQUJD\r\nQUJD\r\nQUJD\r\n", true}, /* a short line that is not the last */
        {"QUJD\r\nQUJDQUJD\r\n", true},         /* a longer line */
        {"QUI=\r\nQUJD\r\n", true},             /* padding that is not at the end */
        {"Q===\r\n", true},                     /* too much padding */
        {"====", true},                         /* */
        {"QU!D\r\n", true},                     /* not of the alphabet */
        {" QUJD\r\n", true},                    /* */
        {"\r\nQUJD\r\n", true},                 /* */
        {"QUJD\r\n\r\nQUJD\r\n", true},         /* an empty line between */
        {"QUJD\r\n-- \r\nlist\r\n", true},      /* a footer */
        {"QUJD\rQUJD\r", true},                 /* CR alone */
        {"QUJD \r\nQUJD \r\n", true},           /* blanks at line ends */
        {"QUJD\r\nQUJD\nQUJD\r\n", true},       /* mixed line ends */
        {"", false},                            /* nothing seen */
        {"QUJDQUJD", false},                    /* no line end seen */
        {"QUI=\r\n", false},                    /* padding so early */
        {"QUJD\r\nQU!D", false},                /* a bad beginning of a line */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct mime_base64_layout layout;
        if (mime_base64_learn(cases[i].text, strlen(cases[i].text), cases[i].whole, &layout))
            g_error("taken for regular: %s", cases[i].text);
    }
}

/* What the first bytes did not show is noticed when it is read. */
static void test_irregular_later(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    struct sample sample = sample_new(rand, 20000, 76, "\r\n", true);
    static const char *const changes[] = {" ", "\n", "=", "!", "\r\n", "\xff"};
    struct mime_base64_layout layout;
    g_assert_true(mime_base64_learn(sample.text->str, 4096, false, &layout));
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GString) bad = g_string_new(sample.text->str);
        gssize at = 78 * 100 + 30;
        g_string_erase(bad, at, (gssize)strlen(changes[i]));
        g_string_insert(bad, at, changes[i]);
        g_assert_null(mime_base64_decode(&layout, bad->str + 78 * 100, 78 * 3, false));
        g_assert_null(mime_base64_decode(&layout, bad->str, bad->len, true));
        g_autoptr(GBytes) other = mime_base64_decode(&layout, bad->str + 78 * 101, 78 * 3, false);
        g_assert_nonnull(other);
    }
    g_assert_null(mime_base64_decode(&layout, sample.text->str, 78 * 3 - 1, false));
    sample_free(&sample);
}

static void test_tail(void)
{
    struct mime_base64_layout layout = {8, 2};
    static const struct {
        const char *text;
        int64_t size; /* -1: not regular */
    } cases[] = {
        {"QUJDQUJD\r\nQUJDQUJD\r\n", 12},
        {"QUJDQUJD\r\nQUJDQUJD", 12},
        {"QUJDQUJD\r\nQUJD\r\n", 9},
        {"QUJDQUJD\r\nQUI=\r\n", 8},
        {"QUJDQUJD\r\nQQ==", 7},
        {"QUJDQUJD\r\nQUJDQUJD\r\n\r\n", 12},
        {"QUJDQUJD\r\nQUJDQUJ", -1},
        {"QUJDQUJD\r\nQUJDQUJDQ", -1},
        {"QUJDQUJD\r\nQUJD\r\nx", -1},
        {"QUJDQUJD\r\n-- \r\nfoot", -1},
        {"QUJDQUJD\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", -1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t octets = strlen(cases[i].text), tail = mime_base64_tail(&layout, octets), size;
        bool ok = mime_base64_size(&layout, octets, cases[i].text + tail, octets - tail, &size);
        g_assert_cmpint(ok ? (int64_t)size : -1, ==, cases[i].size);
    }
    uint64_t size;
    g_assert_false(mime_base64_size(&layout, 20, "QUJDQUJD\r\n", 9, &size));
}

static void test_range_bounds(void)
{
    struct mime_base64_layout layout = {76, 2};
    static const uint64_t ends[] = {0, 1, 57, 58, 1000000, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(ends); j++) {
            uint64_t from, to;
            mime_base64_range(&layout, 7801, ends[i], ends[j], &from, &to);
            g_assert_cmpuint(from, <=, to);
            g_assert_cmpuint(to, <=, 7801);
            g_assert_true(from % 78 == 0 || from == 7801);
        }
}

/* Where line arithmetic takes a part, it gives what decoding the whole gives. */
static void test_same_as_whole(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    unsigned regular = 0;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        int length = g_rand_int_range(rand, 0, 60);
        for (int i = 0; i < length; i++)
            text[i] = "AQUJDz+/\n\n\r="[g_rand_int_range(rand, 0, round % 2 ? 12 : 9)];
        struct mime_base64_layout layout;
        if (!mime_base64_learn(text, (size_t)length, true, &layout))
            continue;
        regular++;
        g_autoptr(GBytes) parts = mime_base64_decode(&layout, text, (size_t)length, true);
        struct cache_part part = {.encoding = CACHE_ENCODING_BASE64};
        g_autoptr(GBytes) whole = mime_part_decode(&part, text, (size_t)length);
        g_assert_nonnull(parts);
        g_assert_true(g_bytes_equal(parts, whole));
        uint64_t size, tail = mime_base64_tail(&layout, (uint64_t)length);
        if (mime_base64_size(&layout, (uint64_t)length, text + tail, (size_t)length - tail, &size))
            g_assert_cmpuint(size, ==, g_bytes_get_size(whole));
    }
    g_assert_cmpuint(regular, >, 100);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
    g_test_add_func("/base64/regular", test_regular);
    g_test_add_func("/base64/irregular/at-once", test_irregular_at_once);
    g_test_add_func("/base64/irregular/later", test_irregular_later);
    g_test_add_func("/base64/tail", test_tail);
    g_test_add_func("/base64/range", test_range_bounds);
    g_test_add_func("/base64/same-as-whole", test_same_as_whole);
    return g_test_run();
}
