/* The byte layout of values: a version, a checksum over table, key and payload, and the payload.
 *
 *      version (1) | CRC-32 (4) | payload: little-endian integers; strings as length (4), bytes,
 * NUL
 *
 * Reading never allocates and never leaves the value: strings point into it, and a field that does
 * not fit makes the record bad from there on. Pages that LMDB mixes up, or a disk changes, fail the
 * checksum, because it starts from the table and the key that the value was stored under.
 */
#pragma once

#include "cache/cache.h"
#include <string.h>

#define RECORD_VERSION 1
#define RECORD_HEADER 5             /* bytes before the payload */
#define RECORD_STRING_MAX (1 << 20) /* bytes of one string */
#define RECORD_MAX (16 << 20)       /* bytes of one value */

/* ---- reading -------------------------------------------------------------------------------- */

struct record {
    const uint8_t *at, *end;
    bool bad;
};

/* Checks version and checksum; `table` and `key` are what the value was found under. Returns
 * CACHE_OK with `record` at the payload, or CACHE_CORRUPT. */
int record_open(struct record *record, unsigned table, const void *key, size_t key_length,
                const void *value, size_t length);

static inline const uint8_t *record_take(struct record *record, size_t length)
{
    static const uint8_t nothing[8];
    if (record->bad || (size_t)(record->end - record->at) < length) {
        record->bad = true;
        return nothing;
    }
    const uint8_t *taken = record->at;
    record->at += length;
    return taken;
}

static inline uint8_t record_u8(struct record *record)
{
    return *record_take(record, 1);
}

static inline uint16_t record_u16(struct record *record)
{
    uint16_t value;
    memcpy(&value, record_take(record, sizeof value), sizeof value);
    return GUINT16_FROM_LE(value);
}

static inline uint32_t record_u32(struct record *record)
{
    uint32_t value;
    memcpy(&value, record_take(record, sizeof value), sizeof value);
    return GUINT32_FROM_LE(value);
}

static inline uint64_t record_u64(struct record *record)
{
    uint64_t value;
    memcpy(&value, record_take(record, sizeof value), sizeof value);
    return GUINT64_FROM_LE(value);
}

/* A string inside the value; "" when the record is bad. */
const char *record_string(struct record *record);
/* CACHE_OK if everything was there and nothing is left over, else CACHE_CORRUPT. */
int record_close(const struct record *record);

/* ---- writing -------------------------------------------------------------------------------- */

/* A value in the making. The buffer is kept from one record to the next. */
struct record_writer {
    GByteArray *buffer;
    bool bad; /* a field was too long */
};

void record_writer_init(struct record_writer *writer);
void record_writer_clear(struct record_writer *writer);
void record_begin(struct record_writer *writer);
void record_add_u8(struct record_writer *writer, uint8_t value);
void record_add_u16(struct record_writer *writer, uint16_t value);
void record_add_u32(struct record_writer *writer, uint32_t value);
void record_add_u64(struct record_writer *writer, uint64_t value);
void record_add_bytes(struct record_writer *writer, const void *bytes, size_t length);
/* NULL is stored as "". */
void record_add_string(struct record_writer *writer, const char *text);
/* Fills in version and checksum. CACHE_CORRUPT if a field or the whole was too long. */
int record_end(struct record_writer *writer, unsigned table, const void *key, size_t key_length);

/* ---- what is stored ------------------------------------------------------------------------- */

/* Each decoder takes a record at its payload and returns CACHE_OK or CACHE_CORRUPT; strings point
 * into the value. What stands in the key (slot, UID) is left to the caller. */

int record_decode_mailbox(struct record *record, struct cache_mailbox *mailbox);
void record_encode_mailbox(struct record_writer *writer, const struct cache_mailbox *mailbox);

int record_decode_message(struct record *record, struct cache_message *message);
void record_encode_message(struct record_writer *writer, const struct cache_message *message);

struct object_record {
    uint32_t references;   /* messages that have this object */
    char kind;             /* of the server's id, 0: none */
    const char *server_id; /* "" */
};
int record_decode_object(struct record *record, struct object_record *object);
void record_encode_object(struct record_writer *writer, const struct object_record *object);

int record_decode_parts(struct record *record, struct cache_parts *parts);
/* Returns CACHE_CORRUPT, leaving the writer bad, if the numbers do not ascend. */
int record_encode_parts(struct record_writer *writer, const struct cache_part *parts, size_t count,
                        bool truncated);

/* One section of an object's content. */
struct section_record {
    uint64_t id; /* of its blocks and segments */
    bool ended;  /* `size` is known */
    uint64_t size;
};
int record_decode_section(struct record *record, struct section_record *section);
void record_encode_section(struct record_writer *writer, const struct section_record *section);

/* One segment of a section: when it was used last, and whose it is. */
struct segment_record {
    uint64_t stamp;
    uint64_t object;
    const char *section;
};
int record_decode_segment(struct record *record, struct segment_record *segment);
void record_encode_segment(struct record_writer *writer, const struct segment_record *segment);

/* One block's bytes from..to; the others are not known. */
struct block_record {
    uint16_t from, to; /* from < to <= CONTENT_BLOCK */
    const uint8_t *bytes;
};
/* The largest block with which a value takes one overflow page of 4096 bytes, less LMDB's header of
 * 16, ours, and the two numbers. */
#define CONTENT_BLOCK (4096 - 16 - RECORD_HEADER - 4)
int record_decode_block(struct record *record, struct block_record *block);
void record_encode_block(struct record_writer *writer, const struct block_record *block);

/* A single number. */
int record_decode_number(struct record *record, uint64_t *number);
void record_encode_number(struct record_writer *writer, uint64_t number);
