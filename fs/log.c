#include "fs/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static const struct log_level {
    GLogLevelFlags level;
    int priority; /* syslog's */
    const char *word;
} LEVELS[] = {
    {G_LOG_LEVEL_ERROR, LOG_CRIT, "fatal: "}, {G_LOG_LEVEL_CRITICAL, LOG_ERR, "error: "},
    {G_LOG_LEVEL_WARNING, LOG_WARNING, ""},   {G_LOG_LEVEL_MESSAGE, LOG_NOTICE, ""},
    {G_LOG_LEVEL_INFO, LOG_INFO, ""},         {G_LOG_LEVEL_DEBUG, LOG_DEBUG, ""},
};

/* Read by every thread that logs. */
static atomic_bool log_to_syslog;
static atomic_uint log_most = G_LOG_LEVEL_WARNING;

static bool character_is_unsafe(gunichar c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* Appends the character or byte at `at` and returns what follows it. */
static const char *character_escape(const char *at, size_t left, GString *out)
{
    gunichar c = g_utf8_get_char_validated(at, (gssize)left);
    if (c == (gunichar)-1 || c == (gunichar)-2) {
        g_string_append_printf(out, "\\x%02x", (unsigned char)*at);
        return at + 1;
    }
    const char *next = g_utf8_next_char(at);
    if (!character_is_unsafe(c))
        g_string_append_len(out, at, next - at);
    else if (c == '\n')
        g_string_append(out, "\\n");
    else if (c < 0x80)
        g_string_append_printf(out, "\\x%02x", c);
    else
        g_string_append_printf(out, "\\u{%x}", c);
    return next;
}

char *log_escape(const char *text)
{
    GString *out = g_string_new(NULL);
    const char *end = text + strnlen(text, LINE_MAX_BYTES);

    for (const char *at = text; at < end;)
        at = character_escape(at, (size_t)(end - at), out);
    if (*end != '\0')
        g_string_append(out, "...");
    return g_string_free(out, FALSE);
}

static const char *field_text(const GLogField *fields, gsize count, const char *key)
{
    for (gsize i = 0; i < count; i++)
        if (g_str_equal(fields[i].key, key) && fields[i].length < 0)
            return fields[i].value;
    return NULL;
}

static const struct log_level *level_find(GLogLevelFlags level)
{
    for (size_t i = 0; i + 1 < G_N_ELEMENTS(LEVELS); i++)
        if (level & LEVELS[i].level)
            return &LEVELS[i];
    return &LEVELS[G_N_ELEMENTS(LEVELS) - 1];
}

bool log_is_journal(int fd, const char *stream)
{
    uintmax_t device, inode;
    struct stat st;
    int end = 0;

    return stream != NULL &&
           sscanf(stream, "%" SCNuMAX ":%" SCNuMAX "%n", &device, &inode, &end) == 2 &&
           stream[end] == '\0' && fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* One write(), so that lines of several threads do not mix. */
static void line_to_stderr(const struct log_level *level, const char *domain, const char *text)
{
    g_autoptr(GString) line = g_string_new("mailmount: ");

    if (log_is_journal(STDERR_FILENO, g_getenv("JOURNAL_STREAM")))
        g_string_printf(line, "<%d>", level->priority);
    g_string_append_printf(line, "%s%s%s%s\n", level->word, domain, *domain ? ": " : "", text);
    for (size_t done = 0; done < line->len;) {
        ssize_t n = write(STDERR_FILENO, line->str + done, line->len - done);
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

static GLogWriterOutput log_write(GLogLevelFlags level, const GLogField *fields, gsize count,
                                  gpointer data)
{
    const char *message = field_text(fields, count, "MESSAGE");
    const char *domain = field_text(fields, count, "GLIB_DOMAIN");
    const struct log_level *row = level_find(level);

    if (message == NULL || (unsigned)row->level > atomic_load(&log_most))
        return G_LOG_WRITER_HANDLED;
    g_autofree char *text = log_escape(message);
    if (domain == NULL || g_str_equal(domain, "fs"))
        domain = "";
    if (atomic_load(&log_to_syslog))
        syslog(row->priority, "%s%s%s%s", row->word, domain, *domain ? ": " : "", text);
    else
        line_to_stderr(row, domain, text);
    return G_LOG_WRITER_HANDLED;
}

void log_end(const char *why)
{
    static const struct log_level END = {G_LOG_LEVEL_CRITICAL, LOG_ERR, ""};
    g_autofree char *text = log_escape(why);

    line_to_stderr(&END, "", text);
}

void log_open(bool to_syslog, GLogLevelFlags most)
{
    static atomic_flag installed = ATOMIC_FLAG_INIT;

    if (to_syslog)
        openlog("mailmount", LOG_PID | LOG_NDELAY, LOG_MAIL);
    atomic_store(&log_most, (unsigned)most);
    atomic_store(&log_to_syslog, to_syslog);
    if (!atomic_flag_test_and_set(&installed))
        g_log_set_writer_func(log_write, NULL, NULL);
}
