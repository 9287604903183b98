#include "fs/progress.h"

#include <inttypes.h>
#include <string.h>

#define FIELDS 7
#define NAME_COLUMNS 24
#define BAR_COLUMNS_MOST 40

static const char *const WORDS[] = {
    [ENGINE_PREFETCH_WAITING] = "waiting",   [ENGINE_PREFETCH_FETCHING] = "fetching",
    [ENGINE_PREFETCH_COMPLETE] = "complete", [ENGINE_PREFETCH_TOO_SMALL] = "too small",
    [ENGINE_PREFETCH_PAUSED] = "paused",     [ENGINE_PREFETCH_OFFLINE] = "offline",
    [ENGINE_PREFETCH_STOPPED] = "stopped",   [ENGINE_PREFETCH_FAILED] = "failed",
};

const char *progress_word(enum engine_prefetch_state state)
{
    return WORDS[state];
}

void progress_write(const struct progress *progress, GString *text)
{
    g_string_append_printf(text, "%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\n",
                           WORDS[progress->state], progress->messages_done, progress->messages,
                           progress->bytes_done, progress->bytes, progress->folder, progress->why);
}

static bool word_read(const char *word, enum engine_prefetch_state *state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(WORDS); i++) {
        if (strcmp(WORDS[i], word) != 0)
            continue;
        *state = (enum engine_prefetch_state)i;
        return true;
    }
    return false;
}

bool progress_read(char *line, struct progress *progress)
{
    char *fields[FIELDS];
    for (size_t i = 0; i < FIELDS; i++) {
        fields[i] = line;
        char *end = line != NULL ? strchr(line, '\t') : NULL;
        if (line == NULL || (end == NULL) != (i == FIELDS - 1))
            return false;
        if (end != NULL)
            *end = '\0';
        line = end != NULL ? end + 1 : NULL;
    }
    uint64_t *const numbers[] = {&progress->messages_done, &progress->messages,
                                 &progress->bytes_done, &progress->bytes};
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (!g_ascii_string_to_unsigned(fields[i + 1], 10, 0, G_MAXUINT64, numbers[i], NULL))
            return false;
    progress->folder = fields[5];
    progress->why = fields[6];
    return word_read(fields[0], &progress->state);
}

/* ---- the bar --------------------------------------------------------------------------------- */

/* The last columns of a name, "..." before them if it is longer; cut between characters. */
static char *name_fit(const char *name, glong columns)
{
    glong length = g_utf8_strlen(name, -1);
    if (length <= columns)
        return g_strdup(name);
    return g_strdup_printf("...%s", g_utf8_offset_to_pointer(name, length - columns + 3));
}

static double progress_share(const struct progress *progress)
{
    if (progress->bytes > 0)
        return MIN((double)progress->bytes_done / (double)progress->bytes, 1);
    return progress->messages > 0 && progress->messages_done < progress->messages ? 0 : 1;
}

static char *time_left(const struct progress *progress, double rate)
{
    double left = (double)(progress->bytes - MIN(progress->bytes_done, progress->bytes)) / rate;
    if (left >= 100 * 3600)
        return g_strdup("--:--");
    unsigned seconds = (unsigned)(left + 0.5);
    if (seconds >= 3600)
        return g_strdup_printf("%u:%02u:%02u", seconds / 3600, seconds / 60 % 60, seconds % 60);
    return g_strdup_printf("%u:%02u", seconds / 60, seconds % 60);
}

static void append_rate(GString *out, const struct progress *progress, double seconds,
                        uint64_t fetched)
{
    if (seconds <= 0 || fetched == 0)
        return;
    double rate = (double)fetched / seconds;
    g_autofree char *amount = g_format_size((guint64)rate);
    g_autofree char *left = time_left(progress, rate);
    g_string_append_printf(out, "  %s/s  %s left", amount, left);
}

char *progress_bar(const struct progress *progress, double seconds, uint64_t fetched,
                   unsigned columns)
{
    g_autofree char *name = name_fit(progress->folder, NAME_COLUMNS);
    g_autofree char *done = g_format_size(progress->bytes_done);
    g_autofree char *all = g_format_size(progress->bytes);
    g_autoptr(GString) numbers = g_string_new(NULL);
    g_string_append_printf(numbers, " %" PRIu64 "/%" PRIu64 "  %s of %s", progress->messages_done,
                           progress->messages, done, all);
    append_rate(numbers, progress, seconds, fetched);

    g_autoptr(GString) line = g_string_new(name);
    glong used = g_utf8_strlen(name, -1) + g_utf8_strlen(numbers->str, -1) + 3; /* " [" and "]" */
    glong room = MIN((glong)columns - used, BAR_COLUMNS_MOST);
    if (room >= 4) {
        glong full = (glong)(progress_share(progress) * (double)room);
        g_string_append(line, " [");
        for (glong i = 0; i < room; i++)
            g_string_append_c(line, i < full ? '#' : '.');
        g_string_append_c(line, ']');
    }
    g_string_append(line, numbers->str);
    if (g_utf8_strlen(line->str, -1) > (glong)columns)
        g_string_truncate(line, (gsize)(g_utf8_offset_to_pointer(line->str, columns) - line->str));
    return g_strdup(line->str);
}
