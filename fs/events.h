/* The stream behind .mailmount/events: lines that say what happens to mail, for everybody who has
 * the file open. Each reader has a place of its own in it, from when it was opened, and its own
 * offsets, which count the bytes that it was given. Knows nothing of FUSE, of mail or of the cache.
 * Any thread.
 *
 * A line has fields between tabs: the time, what happened, and then as that says. Of a reader that
 * does not keep up the oldest lines are dropped, and a line "TIME overrun N" says how many.
 *
 * A reader that goes back by at most EVENTS_KEPT is given the same bytes again: shells read ahead
 * in what can be sought, and go back to the end of the line. Any other seek changes nothing but the
 * offset.
 *
 * For tail(1) -f: who asks for the file's end (lseek(2), SEEK_END) wants what is there now, so its
 * reads are told the end of the file where others wait; and the size and time of the file grow with
 * what is said, which is how it sees that there is more.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EVENTS_READERS = 32,    /* at the same time */
    EVENTS_LINES = 2048,    /* that wait for one reader, */
    EVENTS_BYTES = 1 << 20, /* and bytes in them */
    EVENTS_KEPT = 64 << 10, /* bytes */
};

struct events_reader;
/* NULL: there are EVENTS_READERS. After events_end() one that is at the end at once. */
struct events_reader *events_open(void);
/* Nobody may read or wait by it any more. */
void events_close(struct events_reader *reader);

/* Copies what comes next, at most `size` bytes; `got` is how much, 0 at the end of the stream. 0,
 * or EAGAIN: there is nothing yet. */
int events_read(struct events_reader *reader, uint64_t offset, size_t size, char *buffer,
                size_t *got);
/* Somebody asks where the file ends. */
void events_ask_end(struct events_reader *reader);
/* Calls `wake` once, as soon as a read would not say EAGAIN, perhaps before this returns. It must
 * neither block nor call anything here. */
typedef void (*events_wake)(void *data);
void events_wait(struct events_reader *reader, events_wake wake, void *data);
/* Calls it now, if it was not called. */
void events_cancel(struct events_reader *reader, void *data);

/* Whether a read would not say EAGAIN. If it would, and `handle` is not NULL, then `tell` below is
 * called with it once that changes; a reader has one handle. Takes the handle in any case. */
bool events_poll(struct events_reader *reader, void *handle);
/* What is done with handles. Once, before all else; neither may call anything here. */
void events_on_poll(void (*tell)(void *handle), void (*drop)(void *handle));

/* Whether anybody reads: else nothing need be said. */
bool events_listened(void);
/* How many bytes were said in all, and when last (since 1970; 0: never). */
uint64_t events_size(void);
int64_t events_last_ns(void);
/* Adds a line: when it happened (wall clock), what, and further fields, up to a NULL. Control
 * characters in them are replaced by '_'. */
void events_say(gint64 wall_us, const char *what, ...) G_GNUC_NULL_TERMINATED;
/* Every reader is at the end after what it has, from now on. */
void events_end(void);
