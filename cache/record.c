#include "cache/record.h"

#include "cache/key.h"
#include <zlib.h>

static uint32_t record_sum(unsigned table, const void *key, size_t key_length,
                           const uint8_t *payload, size_t length)
{
    uint32_t seed = key_fold(key, key_length) + table * 0x9e3779b1u;
    return (uint32_t)crc32_z(seed, payload, length);
}

int record_open(struct record *record, unsigned table, const void *key, size_t key_length,
                const void *value, size_t length)
{
    const uint8_t *bytes = value;
    uint32_t sum;

    if (length < RECORD_HEADER || length > RECORD_MAX || bytes[0] != RECORD_VERSION)
        return CACHE_CORRUPT;
    *record = (struct record){bytes + RECORD_HEADER, bytes + length, false};
    memcpy(&sum, bytes + 1, sizeof sum);
    if (GUINT32_FROM_LE(sum) !=
        record_sum(table, key, key_length, record->at, length - RECORD_HEADER))
        return CACHE_CORRUPT;
    return CACHE_OK;
}

const char *record_string(struct record *record)
{
    uint32_t length = record_u32(record);
    if (length > RECORD_STRING_MAX)
        record->bad = true;
    const char *text = (const char *)record_take(record, (size_t)length + 1);
    if (record->bad)
        return "";
    if (text[length] != 0 || memchr(text, 0, length) != NULL) {
        record->bad = true;
        return "";
    }
    return text;
}

int record_close(const struct record *record)
{
    return record->bad || record->at != record->end ? CACHE_CORRUPT : CACHE_OK;
}

void record_writer_init(struct record_writer *writer)
{
    *writer = (struct record_writer){.buffer = g_byte_array_sized_new(512)};
}

void record_writer_clear(struct record_writer *writer)
{
    g_clear_pointer(&writer->buffer, g_byte_array_unref);
}

void record_begin(struct record_writer *writer)
{
    writer->bad = writer->buffer == NULL; /* a read transaction has none */
    if (!writer->bad)
        g_byte_array_set_size(writer->buffer, RECORD_HEADER);
}

void record_add_bytes(struct record_writer *writer, const void *bytes, size_t length)
{
    if (writer->bad || length > RECORD_MAX - writer->buffer->len) {
        writer->bad = true;
        return;
    }
    g_byte_array_append(writer->buffer, bytes, (guint)length);
}

void record_add_u8(struct record_writer *writer, uint8_t value)
{
    record_add_bytes(writer, &value, sizeof value);
}

void record_add_u16(struct record_writer *writer, uint16_t value)
{
    value = GUINT16_TO_LE(value);
    record_add_bytes(writer, &value, sizeof value);
}

void record_add_u32(struct record_writer *writer, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    record_add_bytes(writer, &value, sizeof value);
}

void record_add_u64(struct record_writer *writer, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    record_add_bytes(writer, &value, sizeof value);
}

void record_add_string(struct record_writer *writer, const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    if (length > RECORD_STRING_MAX) {
        writer->bad = true;
        return;
    }
    record_add_u32(writer, (uint32_t)length);
    record_add_bytes(writer, length > 0 ? text : "", length + 1);
}

int record_end(struct record_writer *writer, unsigned table, const void *key, size_t key_length)
{
    if (writer->bad)
        return CACHE_CORRUPT;
    uint8_t *bytes = writer->buffer->data;
    uint32_t sum = record_sum(table, key, key_length, bytes + RECORD_HEADER,
                              writer->buffer->len - RECORD_HEADER);
    sum = GUINT32_TO_LE(sum);
    bytes[0] = RECORD_VERSION;
    memcpy(bytes + 1, &sum, sizeof sum);
    return CACHE_OK;
}
