/* Any bytes as any kind of value. The first byte chooses the kind; the rest goes to its decoder
 * twice: as a payload whose checksum is right, and as a whole value. What decodes must stay inside
 * the bytes, and must come out the same after encoding. */
#include "cache/key.h"
#include "cache/record.h"
#include <glib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "key"

static void check_text(const struct record *whole, const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;
    g_assert(*text == 0 || (bytes >= whole->at && bytes + strlen(text) < whole->end));
}

/* Seals what was written, opens it again and compares it with the payload it was decoded from. */
static void check_same(struct record_writer *writer, const struct record *whole)
{
    struct record again;
    g_assert_cmpint(record_end(writer, 1, KEY, strlen(KEY)), ==, CACHE_OK);
    g_assert_cmpint(
        record_open(&again, 1, KEY, strlen(KEY), writer->buffer->data, writer->buffer->len), ==,
        CACHE_OK);
    g_assert_cmpmem(again.at, again.end - again.at, whole->at, whole->end - whole->at);
}

static void fuzz_mailbox(struct record record, struct record_writer *writer)
{
    struct record whole = record;
    struct cache_mailbox mailbox;
    if (record_decode_mailbox(&record, &mailbox) != CACHE_OK)
        return;
    check_text(&whole, mailbox.wire);
    check_text(&whole, mailbox.name);
    record_encode_mailbox(writer, &mailbox);
    check_same(writer, &whole);
}

static void fuzz_message(struct record record, struct record_writer *writer)
{
    struct record whole = record;
    struct cache_message message;
    if (record_decode_message(&record, &message) != CACHE_OK)
        return;
    check_text(&whole, message.keywords);
    check_text(&whole, message.name);
    record_encode_message(writer, &message);
    check_same(writer, &whole);
}

static void fuzz_object(struct record record, struct record_writer *writer)
{
    struct record whole = record;
    struct object_record object;
    if (record_decode_object(&record, &object) != CACHE_OK)
        return;
    check_text(&whole, object.server_id);
    record_encode_object(writer, &object);
    check_same(writer, &whole);
}

static void fuzz_parts(struct record record, struct record_writer *writer)
{
    struct record whole = record;
    struct cache_parts parts;
    struct cache_part part;
    size_t at = 0, count = 0;
    if (record_decode_parts(&record, &parts) != CACHE_OK)
        return;
    for (; cache_parts_next(&parts, &at, &part); count++) {
        const char *const TEXTS[] = {part.name, part.section, part.type, part.charset};
        for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++)
            check_text(&whole, TEXTS[i]);
        g_assert(part.kind <= CACHE_PART_HEADERS && part.encoding <= CACHE_ENCODING_UUENCODE);
    }
    g_assert(at <= parts.length && count <= parts.length);
}

static void fuzz_section(struct record record, struct record_writer *writer)
{
    struct section_record section;
    if (record_decode_section(&record, &section) == CACHE_OK)
        record_encode_section(writer, &section);
}

static void fuzz_segment(struct record record, struct record_writer *writer)
{
    struct record whole = record;
    struct segment_record segment;
    if (record_decode_segment(&record, &segment) != CACHE_OK)
        return;
    check_text(&whole, segment.section);
    record_encode_segment(writer, &segment);
    check_same(writer, &whole);
}

static void fuzz_block(struct record record, struct record_writer *writer)
{
    struct record whole = record;
    struct block_record block;
    if (record_decode_block(&record, &block) != CACHE_OK)
        return;
    g_assert(block.from < block.to && block.to <= CONTENT_BLOCK);
    g_assert(block.bytes + (block.to - block.from) == whole.end);
    record_encode_block(writer, &block);
    check_same(writer, &whole);
}

static void fuzz_number(struct record record, struct record_writer *writer)
{
    struct record whole = record;
    uint64_t number;
    if (record_decode_number(&record, &number) != CACHE_OK)
        return;
    record_encode_number(writer, number);
    check_same(writer, &whole);
}

static void fuzz_string(struct record record, struct record_writer *writer)
{
    struct record whole = record;
    check_text(&whole, record_string(&record));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const KINDS[])(struct record, struct record_writer *) = {
        fuzz_mailbox, fuzz_message, fuzz_object, fuzz_parts,  fuzz_section,
        fuzz_segment, fuzz_block,   fuzz_number, fuzz_string,
    };
    struct record_writer writer;
    struct record record;

    if (size <= 1)
        return 0;
    void (*kind)(struct record, struct record_writer *) = KINDS[data[0] % G_N_ELEMENTS(KINDS)];
    g_autofree uint8_t *copy = g_memdup2(data + 1, size - 1); /* so that ASan sees its end */
    record_writer_init(&writer);
    record_begin(&writer);
    kind((struct record){copy, copy + (size - 1), false}, &writer);
    if (record_open(&record, 1, KEY, strlen(KEY), copy, size - 1) == CACHE_OK)
        kind(record, &writer);
    record_writer_clear(&writer);
    return 0;
}
