/* Any bytes as an entry of the journal: as a payload whose checksum is right, and as a whole value.
 * What decodes stays inside the bytes, makes sense, survives a copy, and comes out the same after
 * encoding. */
#include "cache/journal-private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "journal"

static void check_texts(const struct record *whole, const struct journal_entry *entry)
{
    const char *const TEXTS[] = {
        entry->message.mailbox, entry->target,     entry->name,          entry->add,
        entry->remove,          entry->message_id, entry->origin.mailbox};
    for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++) {
        const uint8_t *bytes = (const uint8_t *)TEXTS[i];
        g_assert(bytes >= whole->at && bytes + strlen(TEXTS[i]) < whole->end);
    }
}

static void fuzz_entry(struct record record)
{
    struct record whole = record, again;
    struct record_writer writer;
    struct journal_entry entry;

    if (record_decode_journal(&record, &entry) != CACHE_OK)
        return;
    check_texts(&whole, &entry);
    g_assert(journal_entry_valid(&entry));
    g_autoptr(journal_entry) copy = journal_entry_copy(&entry);
    record_writer_init(&writer);
    record_begin(&writer);
    record_encode_journal(&writer, copy);
    g_assert_cmpint(record_end(&writer, TABLE_JOURNAL, KEY, strlen(KEY)), ==, CACHE_OK);
    g_assert_cmpint(record_open(&again, TABLE_JOURNAL, KEY, strlen(KEY), writer.buffer->data,
                                writer.buffer->len),
                    ==, CACHE_OK);
    g_assert_cmpmem(again.at, again.end - again.at, whole.at, whole.end - whole.at);
    record_writer_clear(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record record;

    if (size == 0)
        return 0;
    g_autofree uint8_t *copy = g_memdup2(data, size); /* so that ASan sees its end */
    fuzz_entry((struct record){copy, copy + size, false});
    if (record_open(&record, TABLE_JOURNAL, KEY, strlen(KEY), copy, size) == CACHE_OK)
        fuzz_entry(record);
    return 0;
}
