/* The stream of events: who has it open reads what is said from then on, in pieces of any size. */
#include <errno.h>
#include <string.h>

#include "fs/events.h"

static gint woken, told, dropped; /* atomic */

static void wake(void *data)
{
    g_atomic_int_inc(&woken);
    if (data != NULL)
        g_atomic_int_set((gint *)data, 1);
}

static void handle_tell(void *handle)
{
    told++;
}

static void handle_drop(void *handle)
{
    dropped++;
}

static void say(unsigned number)
{
    g_autofree char *name = g_strdup_printf("%u.eml", number);
    events_say(INT64_C(1700000000000000), "new", "INBOX", name, NULL);
}

#define LINE(number) "2023-11-14T22:13:20Z\tnew\tINBOX\t" number ".eml\n"

/* Reads on from where it was; "" with `error` EAGAIN or at the end. */
static char *read_at(struct events_reader *reader, uint64_t *offset, size_t size, int *error)
{
    char *text = g_malloc(size + 1);
    size_t got;
    *error = events_read(reader, *offset, size, text, &got);
    text[got] = '\0';
    *offset += got;
    return text;
}

static void assert_reads(struct events_reader *reader, uint64_t *offset, const char *wanted)
{
    int error;
    g_autofree char *text = read_at(reader, offset, strlen(wanted), &error);
    g_assert_cmpint(error, ==, 0);
    g_assert_cmpstr(text, ==, wanted);
}

static void assert_nothing(struct events_reader *reader, uint64_t *offset)
{
    int error;
    g_autofree char *text = read_at(reader, offset, 10, &error);
    g_assert_cmpint(error, ==, EAGAIN);
    g_assert_cmpstr(text, ==, "");
}

static void test_from_the_opening_on(void)
{
    uint64_t a_at = 0, b_at = 0;
    g_assert_false(events_listened());
    say(1);
    struct events_reader *a = events_open();
    g_assert_true(events_listened());
    assert_nothing(a, &a_at);
    say(2);
    struct events_reader *b = events_open();
    say(3);
    assert_reads(a, &a_at, LINE("2") LINE("3"));
    assert_reads(b, &b_at, LINE("3"));
    assert_nothing(a, &a_at);
    assert_nothing(b, &b_at);
    events_close(a);
    say(4);
    assert_reads(b, &b_at, LINE("4"));
    events_close(b);
    g_assert_false(events_listened());
}

static void test_pieces(void)
{
    struct events_reader *reader = events_open();
    uint64_t offset = 0;
    for (size_t size = 1; size < 100; size += 7) {
        g_autoptr(GString) all = g_string_new(NULL);
        int error = 0;
        say(1);
        say(2);
        while (error == 0) {
            g_autofree char *text = read_at(reader, &offset, size, &error);
            g_string_append(all, text);
        }
        g_assert_cmpint(error, ==, EAGAIN);
        g_assert_cmpstr(all->str, ==, LINE("1") LINE("2"));
    }
    events_close(reader);
}

/* As shells do: they read ahead and go back to the end of the line. */
static void test_back(void)
{
    struct events_reader *reader = events_open();
    uint64_t offset = 0;
    say(1);
    say(2);
    say(3);
    assert_reads(reader, &offset, LINE("1") LINE("2") "20");
    offset -= strlen(LINE("2")) + 2;
    assert_reads(reader, &offset, LINE("2") "2023");
    offset -= 4;
    say(4);
    assert_reads(reader, &offset, LINE("3") LINE("4"));
    assert_nothing(reader, &offset);
    offset -= strlen(LINE("4"));
    assert_reads(reader, &offset, LINE("4"));
    offset += 1000; /* it is as if nothing had been sought */
    assert_nothing(reader, &offset);
    say(5);
    assert_reads(reader, &offset, LINE("5"));
    offset = 0;
    assert_nothing(reader, &offset);
    events_close(reader);
}

static void test_names_are_safe(void)
{
    struct events_reader *reader = events_open();
    uint64_t offset = 0;
    events_say(INT64_C(1700000000000000), "new", "a\tb\nc", "\x7f\xc3\xa4 \\", NULL);
    assert_reads(reader, &offset, "2023-11-14T22:13:20Z\tnew\ta_b_c\t_\xc3\xa4 \\\n");
    events_close(reader);
}

/* Lines until there are none; `overrun` is how many an overrun line says. */
static unsigned drain(struct events_reader *reader, uint64_t *offset, unsigned *overrun,
                      unsigned *first)
{
    int error = 0;
    g_autoptr(GString) all = g_string_new(NULL);
    while (error == 0) {
        g_autofree char *text = read_at(reader, offset, 4096, &error);
        g_string_append(all, text);
    }
    g_auto(GStrv) lines = g_strsplit(all->str, "\n", -1);
    unsigned count = 0;
    *overrun = *first = 0;
    for (char **line = lines; **line != '\0'; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, "\t", -1);
        g_assert_cmpuint(g_strv_length(fields), >=, 3);
        if (strcmp(fields[1], "overrun") == 0) {
            g_assert_cmpuint(*overrun, ==, 0);
            *overrun = (unsigned)atoi(fields[2]);
            continue;
        }
        if (*first == 0)
            *first = (unsigned)atoi(fields[3]);
        count++;
    }
    return count;
}

static void test_overrun(void)
{
    struct events_reader *slow = events_open(), *quick = events_open();
    uint64_t slow_at = 0, quick_at = 0;
    unsigned overrun, first, many = EVENTS_LINES + 100;
    for (unsigned i = 1; i <= many; i++) {
        g_autofree char *line = g_strdup_printf(LINE("%u"), i);
        say(i);
        assert_reads(quick, &quick_at, line);
    }
    g_assert_cmpuint(drain(slow, &slow_at, &overrun, &first), ==, EVENTS_LINES);
    g_assert_cmpuint(overrun, ==, 100);
    g_assert_cmpuint(first, ==, 101);
    say(7);
    g_assert_cmpuint(drain(slow, &slow_at, &overrun, &first), ==, 1);
    g_assert_cmpuint(overrun, ==, 0);
    events_close(slow);
    events_close(quick);
}

/* A line that was begun is ended before another is told of. */
static void test_overrun_in_a_line(void)
{
    struct events_reader *reader = events_open();
    uint64_t offset = 0;
    unsigned overrun, first;
    say(5);
    assert_reads(reader, &offset, "2023");
    for (unsigned i = 6; i < 6 + EVENTS_LINES; i++)
        say(i);
    assert_reads(reader, &offset, &LINE("5")[4]);
    g_assert_cmpuint(drain(reader, &offset, &overrun, &first), ==, EVENTS_LINES - 1);
    g_assert_cmpuint(overrun, ==, 1);
    g_assert_cmpuint(first, ==, 7);
    events_close(reader);
}

static void test_bytes_are_bounded(void)
{
    struct events_reader *reader = events_open();
    g_autofree char *name = g_strnfill(EVENTS_BYTES / 10, 'x');
    uint64_t offset = 0;
    for (unsigned i = 0; i < 20; i++)
        events_say(0, "new", "INBOX", name, NULL);
    g_autofree char *buffer = g_malloc(4 * EVENTS_BYTES);
    size_t got;
    g_assert_cmpint(events_read(reader, offset, 4 * EVENTS_BYTES, buffer, &got), ==, 0);
    g_assert_cmpuint(got, <, EVENTS_BYTES + 1000);
    g_assert_cmpuint(got, >, EVENTS_BYTES / 2);
    g_assert_nonnull(strstr(buffer, "\toverrun\t11\n"));
    events_close(reader);
}

static void test_waiting(void)
{
    struct events_reader *reader = events_open();
    uint64_t offset = 0;
    gint mine = 0, other = 0;
    woken = 0;
    events_wait(reader, wake, &mine);
    events_wait(reader, wake, &other);
    g_assert_cmpint(woken, ==, 0);
    events_cancel(reader, &other);
    g_assert_cmpint(woken, ==, 1);
    g_assert_true(other && !mine);
    events_cancel(reader, &other); /* it was called */
    say(1);
    g_assert_cmpint(woken, ==, 2);
    g_assert_true(mine);
    say(2);
    events_wait(reader, wake, NULL); /* there is something */
    g_assert_cmpint(woken, ==, 3);
    assert_reads(reader, &offset, LINE("1") LINE("2"));
    events_close(reader);
}

static void test_poll(void)
{
    struct events_reader *reader = events_open();
    uint64_t offset = 0;
    char one, other;
    told = dropped = 0;
    g_assert_false(events_poll(reader, NULL));
    g_assert_false(events_poll(reader, &one));
    g_assert_false(events_poll(reader, &other)); /* instead */
    g_assert_true(told == 0 && dropped == 1);
    say(1);
    g_assert_true(told == 1 && dropped == 2);
    g_assert_true(events_poll(reader, &one));
    g_assert_true(told == 1 && dropped == 3);
    say(2);
    assert_reads(reader, &offset, LINE("1") LINE("2"));
    g_assert_false(events_poll(reader, &one));
    events_close(reader);
    g_assert_true(told == 1 && dropped == 4);
}

/* tail(1) wants what is there, and then what comes. */
static void test_asked_for_the_end(void)
{
    struct events_reader *reader = events_open();
    uint64_t offset = 0;
    int error;
    events_ask_end(reader);
    say(1);
    assert_reads(reader, &offset, LINE("1"));
    g_autofree char *text = read_at(reader, &offset, 10, &error);
    g_assert_cmpint(error, ==, 0);
    g_assert_cmpstr(text, ==, "");
    g_free(read_at(reader, &offset, 10, &error));
    g_assert_cmpint(error, ==, 0);
    uint64_t size = events_size();
    int64_t when = events_last_ns();
    say(2);
    g_assert_cmpuint(events_size(), ==, size + strlen(LINE("2")));
    g_assert_cmpint(events_last_ns(), >, when);
    assert_reads(reader, &offset, LINE("2"));
    events_close(reader);
}

static void test_readers_are_bounded(void)
{
    struct events_reader *all[EVENTS_READERS];
    for (unsigned i = 0; i < EVENTS_READERS; i++)
        g_assert_nonnull(all[i] = events_open());
    g_assert_null(events_open());
    for (unsigned i = 0; i < EVENTS_READERS; i++)
        events_close(all[i]);
}

/* The last test: nothing comes after it. */
static void test_end(void)
{
    struct events_reader *reader = events_open();
    uint64_t offset = 0;
    char handle;
    int error;
    gint mine = 0;
    told = 0;
    events_wait(reader, wake, &mine);
    g_assert_false(events_poll(reader, &handle));
    events_end();
    g_assert_true(mine && told == 1);
    say(1);
    g_autofree char *text = read_at(reader, &offset, 10, &error);
    g_assert_cmpint(error, ==, 0);
    g_assert_cmpstr(text, ==, "");
    g_assert_true(events_poll(reader, &handle));
    struct events_reader *late = events_open();
    g_free(read_at(late, &offset, 10, &error));
    g_assert_cmpint(error, ==, 0);
    events_close(reader);
    events_close(late);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    events_on_poll(handle_tell, handle_drop);
    g_test_add_func("/events/from-the-opening-on", test_from_the_opening_on);
    g_test_add_func("/events/pieces", test_pieces);
    g_test_add_func("/events/back", test_back);
    g_test_add_func("/events/names-are-safe", test_names_are_safe);
    g_test_add_func("/events/overrun", test_overrun);
    g_test_add_func("/events/overrun-in-a-line", test_overrun_in_a_line);
    g_test_add_func("/events/bytes-are-bounded", test_bytes_are_bounded);
    g_test_add_func("/events/waiting", test_waiting);
    g_test_add_func("/events/poll", test_poll);
    g_test_add_func("/events/asked-for-the-end", test_asked_for_the_end);
    g_test_add_func("/events/readers-are-bounded", test_readers_are_bounded);
    g_test_add_func("/events/end", test_end);
    return g_test_run();
}
