/* A file made ready for APPEND: what is no message is refused, and line ends are made what IMAP
 * carries (RFC 3501, 6.3.11; RFC 5322, 2.1).
 *
 * Bytes stream through, so a file may be of any size:
 *      an mbox "From " line in front       goes
 *      LF or CR without the other          becomes CRLF
 *      no line end at the end              gets one; an empty line too if there is no body
 *      NUL anywhere                        is refused
 *      the header                          must have at least one of the fields that only mail has;
 *                                          two, if it ends in a line that is no field
 * What is right already passes as it is.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* No header, and no line of one, is longer; in bytes. */
#define DELIVER_HEADER_MAX (1u << 20)
#define DELIVER_LINE_MAX (1u << 16)

enum { DELIVER_DIGEST = 32 };
struct deliver_facts {
    uint64_t size;                  /* as it goes out */
    bool changed;                   /* what goes out is not what came in */
    bool has_date;                  /* the Date field is valid */
    int64_t date;                   /* seconds since 1970 */
    char *message_id;               /* without angle brackets; "": none */
    uint8_t digest[DELIVER_DIGEST]; /* SHA-256 of what goes out */
};
void deliver_facts_clear(struct deliver_facts *facts);
typedef struct deliver_facts deliver_facts; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(deliver_facts, deliver_facts_clear)

/* Takes what goes out, piece by piece. 0, or an errno that ends it. */
typedef int (*deliver_out)(const void *bytes, size_t length, void *data);

struct deliver;
struct deliver *deliver_new(deliver_out out, void *data); /* `out` may be NULL */
void deliver_free(struct deliver *deliver);
typedef struct deliver deliver; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(deliver, deliver_free)
/* The next bytes. 0; EINVAL: it is no message; or what `out` answered. After an error there must be
 * no more calls. */
int deliver_feed(struct deliver *deliver, const void *bytes, size_t length);
/* There are no more. EINVAL as above; else `facts` are filled. */
int deliver_end(struct deliver *deliver, struct deliver_facts *facts);

/* The first `size` bytes of a file: whether they are a message, and its facts. 0, EINVAL, or what
 * reading it gave; EIO if it is shorter. */
int deliver_check(int fd, uint64_t size, struct deliver_facts *facts);
/* The same, and writes what goes out to another file, from its start. */
int deliver_write(int fd, uint64_t size, int out, struct deliver_facts *facts);
