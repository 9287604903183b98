#include "cache/record.h"

#include "cache/key.h"

static int open_as(struct record_writer *writer, unsigned table, const char *key,
                   struct record *record)
{
    return record_open(record, table, key, strlen(key), writer->buffer->data, writer->buffer->len);
}

static void test_sum(void)
{
    struct record_writer writer;
    struct record record;

    record_writer_init(&writer);
    record_begin(&writer);
    record_add_u64(&writer, 5);
    record_add_string(&writer, "text");
    g_assert_cmpint(record_end(&writer, 8, "key", 3), ==, CACHE_OK);
    g_assert_cmpint(open_as(&writer, 8, "key", &record), ==, CACHE_OK);
    g_assert_cmpuint(record_u64(&record), ==, 5);
    g_assert_cmpstr(record_string(&record), ==, "text");
    g_assert_cmpint(record_close(&record), ==, CACHE_OK);
    g_assert_cmpint(open_as(&writer, 9, "key", &record), ==, CACHE_CORRUPT);
    g_assert_cmpint(open_as(&writer, 8, "kez", &record), ==, CACHE_CORRUPT);
    g_assert_cmpint(open_as(&writer, 8, "keyy", &record), ==, CACHE_CORRUPT);
    for (guint bit = 0; bit < writer.buffer->len * 8; bit++) {
        writer.buffer->data[bit / 8] ^= (guint8)(1 << bit % 8);
        g_assert_cmpint(open_as(&writer, 8, "key", &record), ==, CACHE_CORRUPT);
        writer.buffer->data[bit / 8] ^= (guint8)(1 << bit % 8);
    }
    for (guint length = 0; length < writer.buffer->len; length++)
        g_assert_cmpint(record_open(&record, 8, "key", 3, writer.buffer->data, length), ==,
                        CACHE_CORRUPT);
    record_writer_clear(&writer);
}

static void test_bounds(void)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *text; /* NULL: bad */
    } STRINGS[] = {
        {"\0\0\0\0\0", 5, ""},
        {"\2\0\0\0ab\0", 7, "ab"},
        {"\2\0\0\0ab", 6, NULL},
        {"\2\0\0\0abc", 7, NULL},
        {"\2\0\0\0a\0\0", 7, NULL},
        {"\1\0\0", 3, NULL},
        {"", 0, NULL},
        {"\377\377\377\377a", 5, NULL},
        {"\0\0\0\0", 4, NULL},
        {"\0\0\0\0\0x", 6, NULL}, /* something is left over */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(STRINGS); i++) {
        g_autofree uint8_t *bytes = g_memdup2(STRINGS[i].bytes, STRINGS[i].length);
        struct record record = {bytes, bytes + STRINGS[i].length, false};
        const char *text = record_string(&record);
        bool good = record_close(&record) == CACHE_OK;
        g_assert_cmpint(good, ==, STRINGS[i].text != NULL);
        if (good)
            g_assert_cmpstr(text, ==, STRINGS[i].text);
    }
}

/* The order of keys is the order of numbers. */
static void test_key_order(void)
{
    static const uint32_t NUMBERS[] = {0,     1,     127,        128,        255,       256,
                                       65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff};
    struct key before = {0}, key;
    for (size_t i = 0; i < G_N_ELEMENTS(NUMBERS); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(NUMBERS); j++) {
            key_u32_u32(&key, NUMBERS[i], NUMBERS[j]);
            g_assert_cmpuint(key.length, ==, 8);
            if (i + j > 0)
                g_assert_cmpint(memcmp(before.bytes, key.bytes, 8), <, 0);
            g_assert_cmpuint(key_read_u32(key.bytes + 4), ==, NUMBERS[j]);
            before = key;
        }
    }
    key_u64(&key, 0x0102030405060708);
    g_assert_cmpmem(key.bytes, key.length, "\1\2\3\4\5\6\7\10", 8);
    g_assert_cmpuint(key_read_u64(key.bytes), ==, 0x0102030405060708);
}

static void test_key_text(void)
{
    g_autofree char *most = g_strnfill(KEY_TEXT_MAX, 'x'),
                    *more = g_strnfill(KEY_TEXT_MAX + 1, 'x');
    struct key key = {0};

    key_add_u64(&key, 1);
    g_assert_false(key_add_text(&key, more));
    g_assert_cmpuint(key.length, ==, 8);
    g_assert_true(key_add_text(&key, most));
    g_assert_cmpuint(key.length, ==, 8 + KEY_TEXT_MAX);
    key.length = 0;
    key_add_digest(&key, "abc");
    g_assert_cmpuint(key.length, ==, KEY_DIGEST);
    g_assert_cmpuint(key_read_u32(key.bytes), ==, 0xba7816bf);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/sum", test_sum);
    g_test_add_func("/record/bounds", test_bounds);
    g_test_add_func("/key/order", test_key_order);
    g_test_add_func("/key/text", test_key_text);
    return g_test_run();
}
