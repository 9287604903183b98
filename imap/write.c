#include "imap/write.h"

#include <string.h>

enum { QUOTED_MAX = 1000, FLAGS_MAX = 4000, LITERAL_MINUS_MAX = 4096 /* RFC 7888, 5 */ };

static bool has_8bit(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return true;
    return false;
}

bool imap_write_quoted(GString *out, const char *text, bool utf8)
{
    size_t length = strlen(text);
    if (length > QUOTED_MAX || strpbrk(text, "\r\n") != NULL)
        return false;
    if (has_8bit(text) && (!utf8 || !g_utf8_validate(text, (gssize)length, NULL)))
        return false;
    g_string_append_c(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *text);
    }
    g_string_append_c(out, '"');
    return true;
}

static bool is_atom_text(const char *text)
{
    for (; *text != '\0'; text++)
        if (!g_ascii_isgraph(*text) || strchr("(){%*\"\\]", *text) != NULL)
            return false;
    return true;
}

/* An astring's atom (RFC 9051, 9); "NIL" would do too, but some servers take it for one. */
static bool is_atom(const char *text)
{
    if (*text == '\0' || g_ascii_strcasecmp(text, "NIL") == 0)
        return false;
    return is_atom_text(text);
}

bool imap_write_mailbox(GString *out, const char *wire, bool utf8)
{
    if (strlen(wire) > QUOTED_MAX || !is_atom(wire))
        return imap_write_quoted(out, wire, utf8);
    g_string_append(out, wire);
    return true;
}

bool imap_write_literal(GString *out, size_t length, unsigned capabilities)
{
    bool unasked = capabilities & IMAP_CAP_LITERAL_PLUS ||
                   (capabilities & IMAP_CAP_LITERAL_MINUS && length <= LITERAL_MINUS_MAX);

    g_string_append_printf(out, "{%zu%s}\r\n", length, unasked ? "+" : "");
    return unasked;
}

/* A flag (RFC 9051, 9): an atom, or a backslash and an atom. \Recent is the server's alone. */
static bool flag_valid(const char *flag)
{
    const char *atom = flag + (*flag == '\\');

    if (*atom == '\0' || g_ascii_strcasecmp(flag, "\\Recent") == 0)
        return false;
    return is_atom_text(atom);
}

bool imap_flags_write(GString *out, const char *flags)
{
    g_auto(GStrv) words = g_strsplit(flags, " ", -1);
    const char *between = "(";

    if (strlen(flags) > FLAGS_MAX)
        return false;
    for (char **word = words; *word; word++) {
        if (**word == '\0')
            continue;
        if (!flag_valid(*word))
            return false;
        g_string_append(out, between);
        g_string_append(out, *word);
        between = " ";
    }
    g_string_append(out, *between == '(' ? "()" : ")");
    return true;
}

bool imap_date_write(GString *out, int64_t seconds)
{
    static const char *const MONTHS[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(seconds);

    if (!date)
        return false;
    g_string_append_printf(
        out, "%2d-%s-%04d %02d:%02d:%02d +0000", g_date_time_get_day_of_month(date),
        MONTHS[g_date_time_get_month(date) - 1], g_date_time_get_year(date),
        g_date_time_get_hour(date), g_date_time_get_minute(date), g_date_time_get_second(date));
    return true;
}
