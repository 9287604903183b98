#include "fs/deliver.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/mime.h"

#define PIECE (64u << 10)
#define MBOX_LINE "From "

/* Where in the file the next byte lies. */
enum deliver_state {
    DELIVER_START, /* it may still be the mbox line */
    DELIVER_MBOX,  /* in that line */
    DELIVER_HEADER,
    DELIVER_BODY,
};

struct deliver {
    deliver_out out;
    void *data;
    GChecksum *checksum;
    enum deliver_state state;
    bool cr;       /* the last byte was a CR, and is not out yet */
    bool at_start; /* of a line, in what goes out */
    bool changed;
    uint64_t size;
    GString *header; /* as it goes out, up to its end */
    size_t line;     /* where its current line begins */
    unsigned fields; /* lines of it that are fields */
    unsigned known;  /* of these, ones that only mail has */
    /* what is to go out, up to PIECE */
    GString *pending;
};

struct deliver *deliver_new(deliver_out out, void *data)
{
    struct deliver *deliver = g_new0(struct deliver, 1);
    deliver->out = out;
    deliver->data = data;
    deliver->checksum = g_checksum_new(G_CHECKSUM_SHA256);
    deliver->at_start = true;
    deliver->header = g_string_new(NULL);
    deliver->pending = g_string_sized_new(PIECE + 2);
    return deliver;
}

void deliver_free(struct deliver *deliver)
{
    g_checksum_free(deliver->checksum);
    g_string_free(deliver->header, TRUE);
    g_string_free(deliver->pending, TRUE);
    g_free(deliver);
}

void deliver_facts_clear(struct deliver_facts *facts)
{
    g_clear_pointer(&facts->message_id, g_free);
}

/* ---- header lines ---- */

static bool is_known(const char *name, size_t length)
{
    static const char *const NAMES[] = {
        "from",       "to",       "cc",           "bcc",         "date",   "subject",
        "message-id", "received", "mime-version", "return-path", "sender", "content-type",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++)
        if (strlen(NAMES[i]) == length && g_ascii_strncasecmp(NAMES[i], name, length) == 0)
            return true;
    return false;
}

/* Counts a line of the header (without its end). False if it is neither a field nor the
 * continuation of one. */
static bool line_is_field(struct deliver *deliver, const char *line, size_t length)
{
    if (line[0] == ' ' || line[0] == '\t')
        return deliver->fields > 0;
    size_t name = 0;
    while (name < length && line[name] > ' ' && line[name] < 0x7f && line[name] != ':')
        name++;
    size_t colon = name;
    while (colon < length && (line[colon] == ' ' || line[colon] == '\t'))
        colon++;
    if (name == 0 || colon == length || line[colon] != ':')
        return length > 6 && memcmp(line, ">From ", 6) == 0; /* mbox again, in the middle */
    deliver->fields++;
    deliver->known += is_known(line, name);
    return true;
}

/* A line of the header is complete; `deliver->header` ends with it. */
static int header_line(struct deliver *deliver)
{
    const char *line = deliver->header->str + deliver->line;
    size_t length = deliver->header->len - deliver->line - 2;
    if (length > 0 && line_is_field(deliver, line, length)) {
        deliver->line = deliver->header->len;
        return 0;
    }
    deliver->state = DELIVER_BODY;
    return deliver->known >= (length == 0 ? 1 : 2) ? 0 : EINVAL;
}

/* ---- what goes out ---- */

static int flush(struct deliver *deliver)
{
    GString *pending = deliver->pending;
    g_checksum_update(deliver->checksum, (const guchar *)pending->str, (gssize)pending->len);
    deliver->size += pending->len;
    int error = 0;
    if (deliver->out != NULL && pending->len > 0)
        error = deliver->out(pending->str, pending->len, deliver->data);
    g_string_truncate(pending, 0);
    return error;
}

/* Bytes within a line. */
static int put(struct deliver *deliver, const char *bytes, size_t length)
{
    deliver->at_start = false;
    if (deliver->state == DELIVER_HEADER) {
        g_string_append_len(deliver->header, bytes, (gssize)length);
        if (deliver->header->len > DELIVER_HEADER_MAX ||
            deliver->header->len - deliver->line > DELIVER_LINE_MAX)
            return EINVAL;
    }
    g_string_append_len(deliver->pending, bytes, (gssize)length);
    return deliver->pending->len >= PIECE ? flush(deliver) : 0;
}

static int put_end(struct deliver *deliver)
{
    if (deliver->state == DELIVER_MBOX) {
        deliver->state = DELIVER_HEADER;
        return 0;
    }
    int error = put(deliver, "\r\n", 2);
    deliver->at_start = true;
    if (error == 0 && deliver->state == DELIVER_HEADER)
        error = header_line(deliver);
    return error;
}

/* ---- what comes in ---- */

/* The first bytes: an mbox line, or the header already. */
static int feed_start(struct deliver *deliver, char c)
{
    g_string_append_c(deliver->header, c);
    size_t length = deliver->header->len, mbox = strlen(MBOX_LINE);
    if (memcmp(deliver->header->str, MBOX_LINE, MIN(length, mbox)) == 0) {
        if (length <= mbox)
            return 0;
        if (c != ':') { /* "From : a@b" is a field */
            deliver->state = DELIVER_MBOX;
            deliver->changed = true;
            g_string_truncate(deliver->header, 0);
            return 0;
        }
    }
    g_autofree char *first = g_strdup(deliver->header->str);
    g_string_truncate(deliver->header, 0);
    deliver->state = DELIVER_HEADER;
    return deliver_feed(deliver, first, length);
}

/* A line end, or a CR of which that is not yet known. */
static int feed_end(struct deliver *deliver, char c)
{
    if (c == '\n') {
        deliver->changed |= !deliver->cr;
        deliver->cr = false;
        return put_end(deliver);
    }
    int error = 0;
    if (deliver->cr) {
        deliver->changed = true;
        error = put_end(deliver);
    }
    deliver->cr = true;
    return error;
}

/* Bytes of a line, none of them an end. */
static int feed_line(struct deliver *deliver, const char *bytes, size_t length)
{
    if (deliver->cr) {
        deliver->changed = true;
        deliver->cr = false;
        int error = put_end(deliver);
        if (error != 0)
            return error;
    }
    return deliver->state == DELIVER_MBOX ? 0 : put(deliver, bytes, length);
}

static size_t line_length(const char *bytes, size_t length)
{
    const char *lf = memchr(bytes, '\n', length);
    if (lf != NULL)
        length = (size_t)(lf - bytes);
    const char *cr = memchr(bytes, '\r', length);
    return cr != NULL ? (size_t)(cr - bytes) : length;
}

int deliver_feed(struct deliver *deliver, const void *bytes, size_t length)
{
    const char *at = bytes, *end = at + length;
    if (length > 0 && memchr(bytes, '\0', length) != NULL)
        return EINVAL;
    int error = 0;
    while (at < end && error == 0) {
        if (deliver->state == DELIVER_START && *at != '\r' && *at != '\n') {
            error = feed_start(deliver, *at++);
        } else if (deliver->state == DELIVER_START) {
            return EINVAL; /* it begins with an empty line, or is one word */
        } else if (*at == '\r' || *at == '\n') {
            error = feed_end(deliver, *at++);
        } else {
            size_t piece = MIN(line_length(at, (size_t)(end - at)), PIECE);
            error = feed_line(deliver, at, piece);
            at += piece;
        }
    }
    return error;
}

/* Ends the last line, and a header that has no body. */
static int finish(struct deliver *deliver)
{
    int error = 0;
    if (deliver->cr || !deliver->at_start) {
        deliver->changed = true;
        error = put_end(deliver);
    }
    if (error == 0 && deliver->state == DELIVER_HEADER) {
        deliver->changed = true;
        error = put_end(deliver);
    }
    if (error == 0 && deliver->state != DELIVER_BODY)
        error = EINVAL;
    return error == 0 ? flush(deliver) : error;
}

int deliver_end(struct deliver *deliver, struct deliver_facts *facts)
{
    int error = finish(deliver);
    if (error != 0)
        return error;
    g_auto(mime_facts) said = {0};
    mime_facts_read(deliver->header->str, deliver->header->len, &said);
    *facts = (struct deliver_facts){
        .size = deliver->size,
        .changed = deliver->changed,
        .has_date = said.has_date,
        .date = said.date,
        .message_id = g_strdup(said.message_id != NULL ? said.message_id : ""),
    };
    gsize length = sizeof(facts->digest);
    g_checksum_get_digest(deliver->checksum, facts->digest, &length);
    return 0;
}

/* ---- files ---- */

static int run(int fd, uint64_t size, deliver_out out, void *data, struct deliver_facts *facts)
{
    g_autoptr(deliver) deliver = deliver_new(out, data);
    g_autofree char *buffer = g_malloc(PIECE);
    for (uint64_t at = 0; at < size;) {
        ssize_t got = pread(fd, buffer, MIN(size - at, PIECE), (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : EIO;
        int error = deliver_feed(deliver, buffer, (size_t)got);
        if (error != 0)
            return error;
        at += (uint64_t)got;
    }
    return deliver_end(deliver, facts);
}

int deliver_check(int fd, uint64_t size, struct deliver_facts *facts)
{
    return run(fd, size, NULL, NULL, facts);
}

struct written {
    int fd;
    uint64_t at;
};

static int write_out(const void *bytes, size_t length, void *data)
{
    struct written *to = data;
    for (size_t done = 0; done < length;) {
        ssize_t put_now = pwrite(to->fd, (const char *)bytes + done, length - done, (off_t)to->at);
        if (put_now < 0 && errno == EINTR)
            continue;
        if (put_now <= 0)
            return put_now < 0 ? errno : EIO;
        done += (size_t)put_now;
        to->at += (uint64_t)put_now;
    }
    return 0;
}

int deliver_write(int fd, uint64_t size, int out, struct deliver_facts *facts)
{
    struct written to = {.fd = out};
    return run(fd, size, write_out, &to, facts);
}
