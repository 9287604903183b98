/* The journal on the disk: the tail, and LMDB behind it. */
#include "cache/directory.h"
#include "cache/journal-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAP_BYTES (1ull << 30)
#define TAIL_NAME "tail"
#define TAIL_FLUSH (4u << 20) /* bytes from which it is carried over without waiting */
#define FRAME_HEADER 16       /* length (4), CRC-32 of the rest (4), number (8) */
#define FRAME_MAX (32u << 20)

enum tail_operation { TAIL_PUT = 1, TAIL_REMOVE, TAIL_NAME_PUT, TAIL_NAME_RENAME };

static const enum table TABLES[] = {
    TABLE_ENV,           TABLE_JOURNAL,      TABLE_JOURNAL_FAILED,
    TABLE_JOURNAL_NAMED, TABLE_JOURNAL_NAME, TABLE_JOURNAL_PLACE,
};

/* ---- changes --------------------------------------------------------------------------------- */

static struct record_writer frame_writer(struct journal *journal)
{
    return (struct record_writer){.buffer = journal->frame};
}

void journal_change_begin(struct journal *journal)
{
    g_byte_array_set_size(journal->frame, FRAME_HEADER);
}

int journal_change_put(struct journal *journal, const struct journal_entry *entry)
{
    struct record_writer writer = frame_writer(journal);

    if (journal->frame->len > FRAME_MAX / 2)
        return CACHE_FULL;
    record_add_u8(&writer, TAIL_PUT);
    record_add_u64(&writer, entry->id);
    guint at = journal->frame->len;
    record_add_u32(&writer, 0);
    record_encode_journal(&writer, entry);
    if (writer.bad)
        return CACHE_CORRUPT;
    uint32_t length = GUINT32_TO_LE(journal->frame->len - at - 4);
    memcpy(journal->frame->data + at, &length, sizeof length);
    return CACHE_OK;
}

int journal_change_remove(struct journal *journal, uint64_t id)
{
    struct record_writer writer = frame_writer(journal);

    record_add_u8(&writer, TAIL_REMOVE);
    record_add_u64(&writer, id);
    return writer.bad ? CACHE_FULL : CACHE_OK;
}

int journal_change_name(struct journal *journal, const struct journal_name_change *change)
{
    struct record_writer writer = frame_writer(journal);

    record_add_u8(&writer, change->rename ? TAIL_NAME_RENAME : TAIL_NAME_PUT);
    record_add_string(&writer, change->mailbox);
    record_add_string(&writer, change->name);
    record_add_u8(&writer, (uint8_t)change->delimiter);
    record_add_u32(&writer, change->uidvalidity);
    record_add_u32(&writer, change->uid);
    return writer.bad ? CACHE_CORRUPT : CACHE_OK;
}

static void frame_seal(struct journal *journal)
{
    uint8_t *bytes = journal->frame->data;
    uint32_t length = GUINT32_TO_LE(journal->frame->len);
    uint64_t number = GUINT64_TO_LE(journal->frame_number + 1);

    memcpy(bytes, &length, sizeof length);
    memcpy(bytes + 8, &number, sizeof number);
    uint32_t sum = (uint32_t)crc32_z(0, bytes + 8, journal->frame->len - 8);
    sum = GUINT32_TO_LE(sum);
    memcpy(bytes + 4, &sum, sizeof sum);
}

static int tail_error(int err_no)
{
    if (err_no == ENOSPC || err_no == EDQUOT || err_no == EFBIG)
        return CACHE_FULL;
    g_warning("cannot write the journal: %s", g_strerror(err_no));
    return CACHE_IO;
}

static int tail_append(struct journal *journal, bool durable)
{
    const uint8_t *at = journal->frame->data;
    size_t left = journal->frame->len;
    off_t offset = (off_t)journal->tail_bytes;

    while (left > 0) {
        ssize_t written = pwrite(journal->tail, at, left, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        at += written;
        offset += written;
        left -= (size_t)written;
    }
    return durable && fdatasync(journal->tail) != 0 ? errno : 0;
}

int journal_change_write(struct journal *journal, bool durable)
{
    if (journal->tail_bytes + journal->frame->len > TAIL_FLUSH) {
        int rc = journal_flush(journal);
        if (rc != CACHE_OK && journal->tail_bytes + journal->frame->len > JOURNAL_TAIL_MAX)
            return rc;
    }
    frame_seal(journal);
    int err_no = tail_append(journal, durable);
    if (err_no != 0) {
        /* Half a frame is no frame; a whole one whose sync failed must not be found later. */
        if (ftruncate(journal->tail, (off_t)journal->tail_bytes) != 0)
            g_warning("cannot shorten the journal: %s", g_strerror(errno));
        return tail_error(err_no);
    }
    journal->tail_bytes += journal->frame->len;
    journal->frame_number++;
    pthread_cond_signal(&journal->wake);
    return CACHE_OK;
}

/* ---- carrying over --------------------------------------------------------------------------- */

static int store_entry(struct journal *journal, MDB_txn *txn, struct record_writer *writer,
                       uint64_t id)
{
    struct journal_item *item = journal_item_find(journal, id);
    struct key key;

    key_u64(&key, id);
    if (item == NULL)
        return env_remove(&journal->env, txn, TABLE_JOURNAL, &key);
    record_begin(writer);
    record_encode_journal(writer, item->entry);
    return env_put(&journal->env, txn, TABLE_JOURNAL, &key, writer);
}

static int store_dirty(struct journal *journal, MDB_txn *txn)
{
    struct record_writer writer;
    GHashTableIter each;
    uint64_t *id;
    int rc = CACHE_OK;

    record_writer_init(&writer);
    g_hash_table_iter_init(&each, journal->dirty);
    while (rc == CACHE_OK && g_hash_table_iter_next(&each, (void **)&id, NULL))
        rc = store_entry(journal, txn, &writer, *id);
    record_writer_clear(&writer);
    if (rc == CACHE_OK)
        rc = journal_names_store(journal, txn);
    if (rc == CACHE_OK)
        rc = env_put_counter(&journal->env, txn, "frame", journal->frame_number);
    if (rc == CACHE_OK)
        rc = env_put_counter(&journal->env, txn, "next", journal->next_id);
    return rc;
}

static int store_commit(struct journal *journal, MDB_txn *txn, int rc)
{
    if (rc == CACHE_OK)
        return env_commit(&journal->env, txn);
    mdb_txn_abort(txn);
    return rc;
}

int journal_flush(struct journal *journal)
{
    MDB_txn *txn;

    if (journal->tail_bytes == 0)
        return CACHE_OK;
    int rc = env_write_begin(&journal->env, &txn);
    if (rc == CACHE_OK)
        rc = store_commit(journal, txn, store_dirty(journal, txn));
    if (rc != CACHE_OK) {
        if (!journal->flush_failed)
            g_warning("the journal cannot be tidied up%s; nothing is lost",
                      rc == CACHE_FULL ? ": no space left on the disk" : "");
        journal->flush_failed = true;
        return rc;
    }
    journal->flush_failed = false;
    g_hash_table_remove_all(journal->dirty);
    journal_names_stored(journal);
    if (ftruncate(journal->tail, 0) == 0)
        journal->tail_bytes = 0;
    return CACHE_OK;
}

/* ---- failed messages ------------------------------------------------------------------------- */

int journal_store_failed(struct journal *journal, uint64_t number, const char *name,
                         const char *why)
{
    struct record_writer writer;
    struct key key;
    MDB_txn *txn;

    int rc = env_write_begin(&journal->env, &txn);
    if (rc != CACHE_OK)
        return rc;
    key_u64(&key, number);
    record_writer_init(&writer);
    record_begin(&writer);
    record_add_string(&writer, name);
    record_add_string(&writer, why);
    if (name == NULL)
        rc = env_remove(&journal->env, txn, TABLE_JOURNAL_FAILED, &key);
    else
        rc = env_put(&journal->env, txn, TABLE_JOURNAL_FAILED, &key, &writer);
    record_writer_clear(&writer);
    return store_commit(journal, txn, rc);
}

void journal_store_failed_each(struct journal *journal,
                               void (*each)(struct journal *journal, uint64_t number,
                                            const char *name, const char *why))
{
    struct env_reader reader;
    MDB_cursor *cursor;
    MDB_val name, value;

    if (env_read_begin(&journal->env, &reader) != CACHE_OK)
        return;
    if (mdb_cursor_open(reader.txn, journal->env.dbis[TABLE_JOURNAL_FAILED], &cursor) == 0) {
        for (int rc = mdb_cursor_get(cursor, &name, &value, MDB_FIRST); rc == 0;
             rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) {
            struct record record;
            if (name.mv_size != 8 ||
                record_open(&record, TABLE_JOURNAL_FAILED, name.mv_data, name.mv_size,
                            value.mv_data, value.mv_size) != CACHE_OK)
                continue;
            const char *file = record_string(&record), *why = record_string(&record);
            if (record_close(&record) == CACHE_OK)
                each(journal, key_read_u64(name.mv_data), file, why);
        }
        mdb_cursor_close(cursor);
    }
    env_read_end(&journal->env, &reader);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void load_id(struct journal *journal, uint64_t id)
{
    if (id >= journal->next_id && id < UINT64_MAX)
        journal->next_id = id + 1;
}

static void load_entries(struct journal *journal, MDB_cursor *cursor, bool *damaged)
{
    MDB_val name, value;
    int rc;

    for (rc = mdb_cursor_get(cursor, &name, &value, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) {
        struct journal_entry entry;
        struct record record;
        uint64_t id = name.mv_size == 8 ? key_read_u64(name.mv_data) : 0;
        if (id == 0 ||
            record_open(&record, TABLE_JOURNAL, name.mv_data, name.mv_size, value.mv_data,
                        value.mv_size) != CACHE_OK ||
            record_decode_journal(&record, &entry) != CACHE_OK) {
            g_warning("entry %" G_GUINT64_FORMAT " of the journal is damaged; it is left there",
                      id);
            *damaged = true;
            continue;
        }
        load_id(journal, id);
        entry.id = id;
        journal_item_put(journal, journal_entry_copy(&entry));
    }
    if (rc != MDB_NOTFOUND) {
        env_error(&journal->env, rc, "read");
        *damaged = true;
    }
}

static int load_environment(struct journal *journal, bool *damaged)
{
    struct env_reader reader;
    uint64_t next;

    int rc = env_read_begin(&journal->env, &reader);
    if (rc != CACHE_OK)
        return rc;
    load_entries(journal, reader.cursor, damaged);
    if (env_get_counter(&journal->env, reader.txn, "next", &next) == CACHE_OK &&
        next > journal->next_id)
        journal->next_id = next;
    if (env_get_counter(&journal->env, reader.txn, "frame", &journal->frame_number) != CACHE_OK)
        journal->frame_number = 0;
    env_read_end(&journal->env, &reader);
    return CACHE_OK;
}

static void load_dirty(struct journal *journal, uint64_t id)
{
    load_id(journal, id);
    g_hash_table_add(journal->dirty, g_memdup2(&id, sizeof id));
}

static bool load_put(struct journal *journal, struct record *record)
{
    uint64_t id = record_u64(record);
    uint32_t length = record_u32(record);
    const uint8_t *bytes = record_take(record, length);
    struct journal_entry entry;

    if (record->bad || id == 0)
        return false;
    struct record inner = {bytes, bytes + length, false};
    if (record_decode_journal(&inner, &entry) != CACHE_OK)
        return false;
    entry.id = id;
    journal_item_put(journal, journal_entry_copy(&entry));
    load_dirty(journal, id);
    return true;
}

static bool load_name(struct journal *journal, struct record *record, bool rename)
{
    struct journal_name_change change = {.rename = rename};

    change.mailbox = (char *)(uintptr_t)record_string(record);
    change.name = (char *)(uintptr_t)record_string(record);
    change.delimiter = (char)record_u8(record);
    change.uidvalidity = record_u32(record);
    change.uid = record_u32(record);
    if (!record->bad)
        journal_name_note(journal, &change);
    return !record->bad;
}

static bool load_frame(struct journal *journal, struct record *record)
{
    bool good = true;

    while (good && record->at < record->end) {
        uint8_t operation = record_u8(record);
        if (operation == TAIL_PUT) {
            good = load_put(journal, record);
        } else if (operation == TAIL_REMOVE) {
            uint64_t id = record_u64(record);
            journal_item_remove(journal, id);
            load_dirty(journal, id);
        } else if (operation == TAIL_NAME_PUT || operation == TAIL_NAME_RENAME) {
            good = load_name(journal, record, operation == TAIL_NAME_RENAME);
        } else {
            good = false;
        }
    }
    return good && !record->bad;
}

/* The length of the frame at `at`, 0 if there is none. */
static size_t frame_check(const uint8_t *at, size_t left, uint64_t *number)
{
    uint32_t length, sum;

    if (left < FRAME_HEADER)
        return 0;
    memcpy(&length, at, sizeof length);
    memcpy(&sum, at + 4, sizeof sum);
    memcpy(number, at + 8, sizeof *number);
    length = GUINT32_FROM_LE(length);
    *number = GUINT64_FROM_LE(*number);
    if (length < FRAME_HEADER || length > left ||
        (uint32_t)crc32_z(0, at + 8, length - 8) != GUINT32_FROM_LE(sum))
        return 0;
    return length;
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Applies the frames that LMDB has not seen; numbers ascend, or else a frame is an old one that was
 * to be gone. Returns false where bytes are left over that are no frame. */
static bool load_frames(struct journal *journal, const uint8_t *bytes, size_t length)
{
    uint64_t applied = journal->frame_number, number, last = 0;
    size_t at = 0;

    for (size_t frame; (frame = frame_check(bytes + at, length - at, &number)) != 0; at += frame) {
        if (number <= last)
            return true;
        last = number;
        if (number <= applied)
            continue;
        struct record record = {bytes + at + FRAME_HEADER, bytes + at + frame, false};
        journal->frame_number = number;
        if (!load_frame(journal, &record))
            return false;
    }
    return all_zero(bytes + at, length - at);
}

/* Keeps a tail that cannot be read to its end, for whoever wants to look. */
static void tail_keep(struct journal *journal, const uint8_t *bytes, size_t length)
{
    for (unsigned i = 1; i < 1000; i++) {
        g_autofree char *name = g_strdup_printf(TAIL_NAME ".broken-%u", i);
        int fd = openat(journal->directory, name,
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
            g_warning("cannot keep a copy of the journal's end: %s", g_strerror(errno));
        else
            g_warning("the end of the journal is damaged; a copy is in %s", name);
        if (fd >= 0)
            close(fd);
        return;
    }
}

static int load_tail(struct journal *journal, bool *damaged)
{
    struct stat status;

    journal->tail = directory_file_open(journal->directory, TAIL_NAME);
    if (journal->tail < 0 || fstat(journal->tail, &status) != 0 || fsync(journal->directory) != 0)
        return errno;
    if (status.st_size == 0)
        return 0;
    if (status.st_size > (off_t)JOURNAL_TAIL_MAX + (off_t)FRAME_MAX)
        return EFBIG;
    size_t length = (size_t)status.st_size, got = 0;
    g_autofree uint8_t *bytes = g_malloc(length);
    for (ssize_t read; got < length; got += (size_t)read) {
        read = pread(journal->tail, bytes + got, length - got, (off_t)got);
        if (read < 0)
            return errno;
        if (read == 0)
            break;
    }
    if (!load_frames(journal, bytes, got)) {
        tail_keep(journal, bytes, got);
        *damaged = true;
    }
    journal->tail_bytes = got;
    return 0;
}

int journal_store_open(struct journal *journal, const char *path, bool *damaged, GError **error)
{
    const struct env_spec spec = {
        .name = "journal",
        .tables = TABLES,
        .table_count = G_N_ELEMENTS(TABLES),
        .walked = TABLE_JOURNAL,
        .map_bytes = MAP_BYTES,
        .keep_broken = true,
        .keep_all = true,
    };
    journal->tail = -1;
    journal->next_id = 1;
    journal->frame = g_byte_array_new();
    journal->dirty = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    int rc = env_open(&journal->env, journal->directory, path, &spec, error);
    if (rc != CACHE_OK)
        return rc;
    *damaged = journal->env.fresh;
    rc = load_environment(journal, damaged);
    int err_no = rc == CACHE_OK ? load_tail(journal, damaged) : 0;
    if (rc != CACHE_OK)
        g_set_error(error, CACHE_ERROR, rc, "cannot read the journal %s", path);
    else if (err_no != 0)
        directory_error(error, err_no, "read the journal's", TAIL_NAME);
    return rc != CACHE_OK ? rc : err_no != 0 ? CACHE_IO : CACHE_OK;
}

void journal_store_close(struct journal *journal)
{
    env_close(&journal->env);
    if (journal->tail >= 0)
        close(journal->tail);
    g_clear_pointer(&journal->frame, g_byte_array_unref);
    g_clear_pointer(&journal->dirty, g_hash_table_unref);
}
