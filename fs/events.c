#include "fs/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

struct waiter {
    events_wake wake;
    void *data;
};

struct events_reader {
    GQueue unread;   /* of GRefString, oldest first */
    size_t bytes;    /* in them */
    size_t given;    /* of the first one */
    bool begun;      /* the first one is a line of which some was given: it must stay */
    guint64 lost;    /* lines that were dropped after what was begun */
    GString *kept;   /* what was given last */
    uint64_t offset; /* where the next byte lies, as the reader counts */
    bool asked_end;
    GArray *waiters; /* struct waiter */
    void *handle;    /* of poll; NULL: nobody waits */
};

static GMutex lock;
static GQueue readers; /* under the lock, as all below */
static gint count;     /* atomic, for events_listened() */
static bool ended;
static uint64_t total; /* bytes */
static int64_t last_ns;
static void (*handle_tell)(void *handle);
static void (*handle_drop)(void *handle);

/* ---- lines ---- */

static void field_add(GString *line, const char *text)
{
    if (line->len > 0)
        g_string_append_c(line, '\t');
    for (const char *c = text; *c != '\0'; c++)
        g_string_append_c(line, (unsigned char)*c < ' ' || *c == 0x7f ? '_' : *c);
}

static GString *line_begin(gint64 wall_us, const char *what)
{
    GString *line = g_string_new(NULL);
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(wall_us / G_USEC_PER_SEC);
    g_autofree char *text = time != NULL ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;
    field_add(line, text != NULL ? text : "-");
    field_add(line, what);
    return line;
}

static char *line_end(GString *line)
{
    g_string_append_c(line, '\n');
    char *end = g_ref_string_new_len(line->str, (gssize)line->len);
    g_string_free(line, TRUE);
    return end;
}

static char *line_overrun(guint64 lost)
{
    char number[24];
    g_snprintf(number, sizeof(number), "%" PRIu64, lost);
    GString *line = line_begin(g_get_real_time(), "overrun");
    field_add(line, number);
    return line_end(line);
}

/* ---- a reader's lines ---- */

static void reader_drop_oldest(struct events_reader *reader)
{
    char *line = g_queue_pop_nth(&reader->unread, reader->begun ? 1 : 0);
    reader->bytes -= g_ref_string_length(line);
    reader->lost++;
    g_ref_string_release(line);
}

static void reader_put(struct events_reader *reader, char *line)
{
    g_queue_push_tail(&reader->unread, g_ref_string_acquire(line));
    reader->bytes += g_ref_string_length(line);
    while (reader->unread.length > 2 &&
           (reader->unread.length > EVENTS_LINES || reader->bytes > EVENTS_BYTES))
        reader_drop_oldest(reader);
}

static void reader_put_first(struct events_reader *reader, char *line)
{
    g_queue_push_head(&reader->unread, line);
    reader->bytes += g_ref_string_length(line);
}

static void reader_take_first(struct events_reader *reader)
{
    char *line = g_queue_pop_head(&reader->unread);
    reader->bytes -= g_ref_string_length(line);
    reader->given = 0;
    reader->begun = false;
    g_ref_string_release(line);
}

static bool reader_has(const struct events_reader *reader)
{
    return reader->unread.length > 0;
}

/* Up to `size` bytes of the first line. */
static size_t reader_give(struct events_reader *reader, size_t size, char *buffer)
{
    if (reader->lost > 0 && !reader->begun) {
        reader_put_first(reader, line_overrun(reader->lost));
        reader->lost = 0;
    }
    char *line = g_queue_peek_head(&reader->unread);
    size_t length = MIN(size, g_ref_string_length(line) - reader->given);
    memcpy(buffer, line + reader->given, length);
    g_string_append_len(reader->kept, buffer, (gssize)length);
    reader->given += length;
    reader->offset += length;
    reader->begun = true;
    if (reader->given == g_ref_string_length(line))
        reader_take_first(reader);
    return length;
}

/* What was given comes once more, from `length` bytes back. */
static void reader_back(struct events_reader *reader, size_t length)
{
    size_t from = reader->kept->len - length;
    g_autoptr(GString) text = g_string_new(reader->kept->str + from);
    if (reader->begun) {
        char *line = g_queue_peek_head(&reader->unread);
        g_string_append(text, line + reader->given);
        reader_take_first(reader);
    }
    reader_put_first(reader, g_ref_string_new_len(text->str, (gssize)text->len));
    reader->begun = true;
    reader->offset -= length;
    g_string_truncate(reader->kept, from);
}

static void reader_seek(struct events_reader *reader, uint64_t offset)
{
    if (offset < reader->offset && reader->offset - offset <= reader->kept->len) {
        reader_back(reader, (size_t)(reader->offset - offset));
    } else if (offset != reader->offset) {
        g_string_truncate(reader->kept, 0);
        reader->offset = offset;
    }
}

int events_read(struct events_reader *reader, uint64_t offset, size_t size, char *buffer,
                size_t *got)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    *got = 0;
    reader_seek(reader, offset);
    while (*got < size && reader_has(reader))
        *got += reader_give(reader, size - *got, buffer + *got);
    if (reader->kept->len > 2 * EVENTS_KEPT)
        g_string_erase(reader->kept, 0, (gssize)reader->kept->len - EVENTS_KEPT);
    if (*got > 0 || ended || size == 0)
        return 0;
    return reader->asked_end ? 0 : EAGAIN;
}

void events_ask_end(struct events_reader *reader)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    reader->asked_end = true;
}

/* ---- waiting ---- */

static void reader_wake(struct events_reader *reader)
{
    for (guint i = 0; i < reader->waiters->len; i++) {
        const struct waiter *waiter = &g_array_index(reader->waiters, struct waiter, i);
        waiter->wake(waiter->data);
    }
    g_array_set_size(reader->waiters, 0);
    void *handle = g_steal_pointer(&reader->handle);
    if (handle == NULL)
        return;
    handle_tell(handle);
    handle_drop(handle);
}

void events_wait(struct events_reader *reader, events_wake wake, void *data)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    const struct waiter waiter = {wake, data};
    if (reader_has(reader) || ended)
        wake(data);
    else
        g_array_append_val(reader->waiters, waiter);
}

void events_cancel(struct events_reader *reader, void *data)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    for (guint i = reader->waiters->len; i-- > 0;) {
        const struct waiter waiter = g_array_index(reader->waiters, struct waiter, i);
        if (waiter.data != data)
            continue;
        g_array_remove_index(reader->waiters, i);
        waiter.wake(data);
    }
}

void events_on_poll(void (*tell)(void *handle), void (*drop)(void *handle))
{
    handle_tell = tell;
    handle_drop = drop;
}

bool events_poll(struct events_reader *reader, void *handle)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    bool ready = reader_has(reader) || ended;
    if (handle == NULL)
        return ready;
    if (reader->handle != NULL)
        handle_drop(reader->handle);
    reader->handle = ready ? NULL : handle;
    if (ready)
        handle_drop(handle);
    return ready;
}

/* ---- readers ---- */

struct events_reader *events_open(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    if (readers.length >= EVENTS_READERS)
        return NULL;
    struct events_reader *reader = g_new0(struct events_reader, 1);
    reader->kept = g_string_new(NULL);
    reader->waiters = g_array_new(FALSE, FALSE, sizeof(struct waiter));
    g_queue_push_tail(&readers, reader);
    g_atomic_int_set(&count, (gint)readers.length);
    return reader;
}

void events_close(struct events_reader *reader)
{
    g_mutex_lock(&lock);
    g_queue_remove(&readers, reader);
    g_atomic_int_set(&count, (gint)readers.length);
    g_mutex_unlock(&lock);
    if (reader->handle != NULL)
        handle_drop(reader->handle);
    g_queue_clear_full(&reader->unread, (GDestroyNotify)g_ref_string_release);
    g_string_free(reader->kept, TRUE);
    g_array_unref(reader->waiters);
    g_free(reader);
}

/* ---- all readers ---- */

bool events_listened(void)
{
    return g_atomic_int_get(&count) > 0;
}

uint64_t events_size(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    return total;
}

int64_t events_last_ns(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    return last_ns;
}

void events_say(gint64 wall_us, const char *what, ...)
{
    GString *text = line_begin(wall_us, what);
    va_list fields;
    va_start(fields, what);
    for (const char *field; (field = va_arg(fields, const char *)) != NULL;)
        field_add(text, field);
    va_end(fields);
    char *line = line_end(text);
    g_mutex_lock(&lock);
    total += g_ref_string_length(line);
    last_ns = MAX(g_get_real_time() * 1000, last_ns + 1);
    for (GList *at = readers.head; at != NULL && !ended; at = at->next) {
        reader_put(at->data, line);
        reader_wake(at->data);
    }
    g_mutex_unlock(&lock);
    g_ref_string_release(line);
}

void events_end(void)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&lock);
    ended = true;
    for (GList *at = readers.head; at != NULL; at = at->next)
        reader_wake(at->data);
}
