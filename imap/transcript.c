#include "imap/transcript.h"

#include <string.h>

enum { LINE_SHOWN = 1000, TAIL = 32 };

/* One direction's line in the making. */
struct half {
    GString *line;   /* its first LINE_SHOWN bytes */
    uint64_t length; /* of the whole line */
    char tail[TAIL]; /* its last bytes, where a literal is announced */
    size_t tail_length;
    uint64_t literal; /* bytes of a literal still to pass */
};

struct imap_transcriber {
    imap_transcript sink;
    void *data;
    unsigned connection;
    const struct imap_hidden *hidden; /* borrowed, or NULL */
    bool hush;
    struct half half[2];
};

struct imap_transcriber *imap_transcriber_new(imap_transcript sink, void *data, unsigned connection)
{
    if (!sink)
        return NULL;
    struct imap_transcriber *transcriber = g_new0(struct imap_transcriber, 1);
    transcriber->sink = sink;
    transcriber->data = data;
    transcriber->connection = connection;
    for (int i = 0; i < 2; i++)
        transcriber->half[i].line = g_string_new(NULL);
    return transcriber;
}

void imap_transcriber_free(struct imap_transcriber *transcriber)
{
    if (!transcriber)
        return;
    for (int i = 0; i < 2; i++)
        g_string_free(transcriber->half[i].line, TRUE);
    g_free(transcriber);
}

void imap_transcriber_hide(struct imap_transcriber *transcriber, const struct imap_hidden *hidden)
{
    if (transcriber)
        transcriber->hidden = hidden;
}

void imap_transcriber_hush(struct imap_transcriber *transcriber, bool hush)
{
    if (transcriber)
        transcriber->hush = hush;
}

char *imap_text_safe(const char *text, size_t length, size_t max)
{
    bool cut = length > max;
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)MIN(length, max));
    GString *safe = g_string_sized_new(strlen(valid) + 4);

    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (g_unichar_isprint(c) && g_unichar_type(c) != G_UNICODE_FORMAT)
            g_string_append_unichar(safe, c);
        else
            g_string_append_c(safe, c == '\t' ? ' ' : '?');
    }
    if (cut)
        g_string_append(safe, "...");
    return g_string_free(safe, FALSE);
}

char *imap_text_line(const char *text, size_t length, size_t max)
{
    size_t end = 0;

    while (end < length && text[end] != '\r' && text[end] != '\n')
        end++;
    return imap_text_safe(text, end, max);
}

void imap_transcriber_line(struct imap_transcriber *transcriber, bool from_server, const char *line)
{
    if (transcriber)
        transcriber->sink(transcriber->connection, from_server, line, transcriber->data);
}

static void half_emit(struct imap_transcriber *transcriber, struct half *half, bool from_server)
{
    g_autoptr(GString) line = g_string_new(NULL);
    bool cut = half->length > half->line->len;

    imap_hidden_cover(transcriber->hidden, half->line);
    g_autofree char *safe = imap_text_safe(half->line->str, half->line->len, SIZE_MAX);
    g_string_assign(line, safe);
    if (from_server && transcriber->hush && line->len > 2 && g_str_has_prefix(safe, "+ ")) {
        g_string_assign(line, "+ <challenge>");
        cut = false;
    }
    if (cut)
        g_string_append_printf(line, "... (%" G_GUINT64_FORMAT " bytes)", half->length);
    imap_transcriber_line(transcriber, from_server, line->str);
    g_string_truncate(half->line, 0);
    half->length = half->tail_length = 0;
}

/* The length announced by a line that ends in "{n}" or "{n+}"; -1 if it announces none. */
static int64_t half_literal(const struct half *half)
{
    char text[TAIL + 1];

    memcpy(text, half->tail, half->tail_length);
    text[half->tail_length] = '\0';
    g_strchomp(text);
    char *open = strrchr(text, '{');
    if (!open || !g_ascii_isdigit(open[1]))
        return -1;
    char *end;
    guint64 length = g_ascii_strtoull(open + 1, &end, 10);
    if (*end == '+' || *end == '-')
        end++;
    return *end == '}' && end[1] == '\0' && length < G_MAXINT64 ? (int64_t)length : -1;
}

static void half_append(struct half *half, const char *bytes, size_t length)
{
    if (half->line->len < LINE_SHOWN)
        g_string_append_len(half->line, bytes, MIN(length, LINE_SHOWN - half->line->len));
    half->length += length;

    size_t fresh = MIN(length, TAIL), kept = MIN(half->tail_length, TAIL - fresh);
    memmove(half->tail, half->tail + half->tail_length - kept, kept);
    memcpy(half->tail + kept, bytes + length - fresh, fresh);
    half->tail_length = kept + fresh;
}

static void half_line_end(struct imap_transcriber *transcriber, struct half *half, bool from_server)
{
    int64_t literal = half_literal(half);

    while (half->line->len > 0 && strchr("\r\n", half->line->str[half->line->len - 1]))
        g_string_truncate(half->line, half->line->len - 1);
    if (half->length <= LINE_SHOWN)
        half->length = half->line->len;
    if (literal < 0) {
        half_emit(transcriber, half, from_server);
        return;
    }
    char *open = strrchr(half->line->str, '{');
    if (half->length <= LINE_SHOWN && open)
        g_string_truncate(half->line, (size_t)(open - half->line->str));
    g_autofree char *note = g_strdup_printf("{%" G_GINT64_FORMAT " bytes}", literal);
    g_string_append(half->line, note);
    half->length = MAX(half->length, half->line->len);
    half->tail_length = 0;
    half->literal = (uint64_t)literal;
}

void imap_transcriber_bytes(struct imap_transcriber *transcriber, bool from_server,
                            const void *bytes, size_t length)
{
    const char *p = bytes, *end = p + length;
    if (!transcriber)
        return;

    struct half *half = &transcriber->half[from_server];
    while (p < end) {
        size_t left = (size_t)(end - p);
        if (half->literal > 0) {
            size_t skip = (size_t)MIN(half->literal, left);
            half->literal -= skip;
            p += skip;
            continue;
        }
        const char *lf = memchr(p, '\n', left);
        size_t taken = lf ? (size_t)(lf + 1 - p) : left;
        half_append(half, p, taken);
        if (lf)
            half_line_end(transcriber, half, from_server);
        p += taken;
    }
}
