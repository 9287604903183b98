/* What each kind of value holds: the fields in their order. */
#include "cache/record.h"

int record_decode_mailbox(struct record *record, struct cache_mailbox *mailbox)
{
    mailbox->parent = record_u32(record);
    mailbox->delimiter = (char)record_u8(record);
    mailbox->flags = record_u32(record);
    mailbox->messages = record_u32(record);
    mailbox->uidvalidity = record_u32(record);
    mailbox->uidnext = record_u32(record);
    mailbox->highestmodseq = record_u64(record);
    mailbox->count = record_u32(record);
    mailbox->mtime_ns = (int64_t)record_u64(record);
    mailbox->synced_us = (int64_t)record_u64(record);
    mailbox->wire = record_string(record);
    mailbox->name = record_string(record);
    mailbox->rights = record_string(record);
    return record_close(record);
}

void record_encode_mailbox(struct record_writer *writer, const struct cache_mailbox *mailbox)
{
    record_add_u32(writer, mailbox->parent);
    record_add_u8(writer, (uint8_t)mailbox->delimiter);
    record_add_u32(writer, mailbox->flags);
    record_add_u32(writer, mailbox->messages);
    record_add_u32(writer, mailbox->uidvalidity);
    record_add_u32(writer, mailbox->uidnext);
    record_add_u64(writer, mailbox->highestmodseq);
    record_add_u32(writer, mailbox->count);
    record_add_u64(writer, (uint64_t)mailbox->mtime_ns);
    record_add_u64(writer, (uint64_t)mailbox->synced_us);
    record_add_string(writer, mailbox->wire);
    record_add_string(writer, mailbox->name);
    record_add_string(writer, mailbox->rights);
}

int record_decode_message(struct record *record, struct cache_message *message)
{
    message->object = record_u64(record);
    message->internaldate = (int64_t)record_u64(record);
    message->ctime_ns = (int64_t)record_u64(record);
    message->size = record_u64(record);
    message->modseq = record_u64(record);
    message->flags = record_u32(record);
    message->keywords = record_string(record);
    message->name = record_string(record);
    return record_close(record);
}

void record_encode_message(struct record_writer *writer, const struct cache_message *message)
{
    record_add_u64(writer, message->object);
    record_add_u64(writer, (uint64_t)message->internaldate);
    record_add_u64(writer, (uint64_t)message->ctime_ns);
    record_add_u64(writer, message->size);
    record_add_u64(writer, message->modseq);
    record_add_u32(writer, message->flags);
    record_add_string(writer, message->keywords);
    record_add_string(writer, message->name);
}

int record_decode_object(struct record *record, struct object_record *object)
{
    object->references = record_u32(record);
    object->kind = (char)record_u8(record);
    object->server_id = record_string(record);
    return record_close(record);
}

void record_encode_object(struct record_writer *writer, const struct object_record *object)
{
    record_add_u32(writer, object->references);
    record_add_u8(writer, (uint8_t)object->kind);
    record_add_string(writer, object->server_id);
}

static int part_decode(struct record *record, struct cache_part *part)
{
    part->number = record_u16(record);
    part->parent = record_u16(record);
    uint8_t kind = record_u8(record);
    uint8_t encoding = record_u8(record);
    part->flags = record_u32(record);
    part->octets = (int64_t)record_u64(record);
    part->name = record_string(record);
    part->section = record_string(record);
    part->type = record_string(record);
    part->charset = record_string(record);
    if (record->bad || kind > CACHE_PART_HEADERS || encoding > CACHE_ENCODING_UUENCODE)
        return CACHE_CORRUPT;
    part->kind = (enum cache_part_kind)kind;
    part->encoding = (enum cache_part_encoding)encoding;
    return CACHE_OK;
}

static void part_encode(struct record_writer *writer, const struct cache_part *part)
{
    record_add_u16(writer, part->number);
    record_add_u16(writer, part->parent);
    record_add_u8(writer, (uint8_t)part->kind);
    record_add_u8(writer, (uint8_t)part->encoding);
    record_add_u32(writer, part->flags);
    record_add_u64(writer, (uint64_t)part->octets);
    record_add_string(writer, part->name);
    record_add_string(writer, part->section);
    record_add_string(writer, part->type);
    record_add_string(writer, part->charset);
}

int record_decode_parts(struct record *record, struct cache_parts *parts)
{
    parts->count = record_u32(record);
    parts->truncated = record_u8(record) != 0;
    if (record->bad || parts->count > UINT16_MAX)
        return CACHE_CORRUPT;
    parts->bytes = record->at;
    parts->length = (size_t)(record->end - record->at);
    return CACHE_OK;
}

int record_encode_parts(struct record_writer *writer, const struct cache_part *parts, size_t count,
                        bool truncated)
{
    if (count > UINT16_MAX)
        writer->bad = true;
    record_add_u32(writer, (uint32_t)count);
    record_add_u8(writer, truncated);
    for (size_t i = 0; i < count && !writer->bad; i++) {
        if (i > 0 && parts[i].number <= parts[i - 1].number)
            writer->bad = true;
        part_encode(writer, &parts[i]);
    }
    return writer->bad ? CACHE_CORRUPT : CACHE_OK;
}

bool cache_parts_next(const struct cache_parts *parts, size_t *at, struct cache_part *part)
{
    if (*at >= parts->length)
        return false;
    struct record record = {parts->bytes + *at, parts->bytes + parts->length, false};
    if (part_decode(&record, part) != CACHE_OK)
        return false;
    *at = (size_t)(record.at - parts->bytes);
    return true;
}

int record_decode_section(struct record *record, struct section_record *section)
{
    section->id = record_u64(record);
    section->ended = record_u8(record) != 0;
    section->size = record_u64(record);
    return record_close(record);
}

void record_encode_section(struct record_writer *writer, const struct section_record *section)
{
    record_add_u64(writer, section->id);
    record_add_u8(writer, section->ended);
    record_add_u64(writer, section->size);
}

int record_decode_segment(struct record *record, struct segment_record *segment)
{
    segment->stamp = record_u64(record);
    segment->object = record_u64(record);
    segment->section = record_string(record);
    return record_close(record);
}

void record_encode_segment(struct record_writer *writer, const struct segment_record *segment)
{
    record_add_u64(writer, segment->stamp);
    record_add_u64(writer, segment->object);
    record_add_string(writer, segment->section);
}

int record_decode_block(struct record *record, struct block_record *block)
{
    block->from = record_u16(record);
    block->to = record_u16(record);
    if (record->bad || block->from >= block->to || block->to > CONTENT_BLOCK)
        return CACHE_CORRUPT;
    block->bytes = record_take(record, (size_t)(block->to - block->from));
    return record_close(record);
}

void record_encode_block(struct record_writer *writer, const struct block_record *block)
{
    record_add_u16(writer, block->from);
    record_add_u16(writer, block->to);
    record_add_bytes(writer, block->bytes, (size_t)(block->to - block->from));
}

int record_decode_number(struct record *record, uint64_t *number)
{
    *number = record_u64(record);
    return record_close(record);
}

void record_encode_number(struct record_writer *writer, uint64_t number)
{
    record_add_u64(writer, number);
}
