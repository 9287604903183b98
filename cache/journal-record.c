/* Entries in memory and as records. */
#include "cache/journal-private.h"

#include <stddef.h>

#define TEXT_MAX (64 << 10) /* bytes of one string of an entry */

static const size_t TEXTS[] = {
    offsetof(struct journal_entry, message.mailbox),
    offsetof(struct journal_entry, target),
    offsetof(struct journal_entry, name),
    offsetof(struct journal_entry, add),
    offsetof(struct journal_entry, remove),
    offsetof(struct journal_entry, message_id),
    offsetof(struct journal_entry, origin.mailbox),
};

static const char **entry_text(const struct journal_entry *entry, size_t text)
{
    return (const char **)((char *)(uintptr_t)entry + TEXTS[text]);
}

struct journal_entry *journal_entry_copy(const struct journal_entry *entry)
{
    size_t length = sizeof *entry;

    for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
        const char *text = *entry_text(entry, i);
        length += text != NULL ? strlen(text) + 1 : 1;
    }
    char *block = g_malloc(length);
    char *at = block + sizeof *entry;
    memcpy(block, entry, sizeof *entry);
    struct journal_entry *copy = (void *)block;
    for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
        const char *text = *entry_text(entry, i);
        size_t bytes = text != NULL ? strlen(text) + 1 : 1;
        memcpy(at, text != NULL ? text : "", bytes);
        *entry_text(copy, i) = at;
        at += bytes;
    }
    return copy;
}

void journal_entry_free(struct journal_entry *entry)
{
    g_free(entry);
}

/* ---- what makes sense ------------------------------------------------------------------------ */

static const struct kind_rule {
    bool message, mailbox, target, staged; /* what it needs */
} RULES[] = {
    [JOURNAL_MOVE] = {.message = true, .target = true},
    [JOURNAL_COPY] = {.message = true, .target = true},
    [JOURNAL_EXPUNGE] = {.message = true},
    [JOURNAL_FLAGS] = {.message = true},
    [JOURNAL_APPEND] = {.target = true, .staged = true},
    [JOURNAL_CREATE] = {.target = true},
    [JOURNAL_REMOVE] = {.mailbox = true},
    [JOURNAL_RENAME] = {.mailbox = true, .target = true},
};

static bool text_there(const char *text)
{
    return text != NULL && *text != 0;
}

bool journal_entry_valid(const struct journal_entry *entry)
{
    if (entry->kind < JOURNAL_MOVE || entry->kind > JOURNAL_RENAME || entry->step < 0 ||
        entry->step > JOURNAL_PLACED)
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
        const char *text = *entry_text(entry, i);
        if (text != NULL && strnlen(text, TEXT_MAX) == TEXT_MAX)
            return false;
    }
    const struct kind_rule *rule = &RULES[entry->kind];
    bool addressed = entry->message.uid != 0 && text_there(entry->message.mailbox);
    return (!rule->message || addressed || entry->source != 0) &&
           (!rule->mailbox || text_there(entry->message.mailbox)) &&
           (!rule->target || text_there(entry->target)) && (!rule->staged || entry->staged != 0);
}

/* ---- records --------------------------------------------------------------------------------- */

static void address_decode(struct record *record, struct journal_address *address)
{
    address->uidvalidity = record_u32(record);
    address->uid = record_u32(record);
}

static void address_encode(struct record_writer *writer, const struct journal_address *address)
{
    record_add_u32(writer, address->uidvalidity);
    record_add_u32(writer, address->uid);
}

int record_decode_journal(struct record *record, struct journal_entry *entry)
{
    *entry = (struct journal_entry){0};
    uint8_t kind = record_u8(record), step = record_u8(record), kept = record_u8(record);
    entry->delimiter = (char)record_u8(record);
    address_decode(record, &entry->message);
    address_decode(record, &entry->origin);
    entry->source = record_u64(record);
    entry->after = record_u64(record);
    entry->size = record_u64(record);
    entry->internaldate = (int64_t)record_u64(record);
    for (size_t i = 0; i < JOURNAL_DIGEST; i += 8)
        memcpy(entry->digest + i, record_take(record, 8), 8);
    entry->staged = record_u64(record);
    entry->target_uidvalidity = record_u32(record);
    entry->target_uidnext = record_u32(record);
    entry->target_uid = record_u32(record);
    entry->asked_us = (int64_t)record_u64(record);
    for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++)
        *entry_text(entry, i) = record_string(record);
    entry->kind = (enum journal_kind)kind;
    entry->step = (enum journal_step)step;
    entry->kept = kept == 1;
    if (record_close(record) != CACHE_OK || kept > 1 || !journal_entry_valid(entry))
        return CACHE_CORRUPT;
    return CACHE_OK;
}

void record_encode_journal(struct record_writer *writer, const struct journal_entry *entry)
{
    record_add_u8(writer, (uint8_t)entry->kind);
    record_add_u8(writer, (uint8_t)entry->step);
    record_add_u8(writer, entry->kept);
    record_add_u8(writer, (uint8_t)entry->delimiter);
    address_encode(writer, &entry->message);
    address_encode(writer, &entry->origin);
    record_add_u64(writer, entry->source);
    record_add_u64(writer, entry->after);
    record_add_u64(writer, entry->size);
    record_add_u64(writer, (uint64_t)entry->internaldate);
    record_add_bytes(writer, entry->digest, sizeof entry->digest);
    record_add_u64(writer, entry->staged);
    record_add_u32(writer, entry->target_uidvalidity);
    record_add_u32(writer, entry->target_uidnext);
    record_add_u32(writer, entry->target_uid);
    record_add_u64(writer, (uint64_t)entry->asked_us);
    for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++)
        record_add_string(writer, *entry_text(entry, i));
}
