#include <string.h>

#include "fs/name-private.h"
#include "fs/name.h"

enum { HASH_DIGITS = 16 };

static bool is_escape(const char *p)
{
    return p[0] == '%' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2]);
}

static void escape_bytes(GString *out, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        g_string_append_printf(out, "%%%02X", (unsigned char)bytes[i]);
}

/* Appends the character at `p`, escaped where it must be; returns the next. */
static const char *escape_character(GString *out, const char *p, bool first)
{
    gunichar c = g_utf8_get_char_validated(p, -1);
    if (c == (gunichar)-1 || c == (gunichar)-2) {
        escape_bytes(out, p, 1); /* not UTF-8 */
        return p + 1;
    }
    const char *next = g_utf8_next_char(p);
    if (c == '/' || g_unichar_iscntrl(c) || (c == '.' && first) || is_escape(p))
        escape_bytes(out, p, (size_t)(next - p));
    else
        g_string_append_len(out, p, next - p);
    return next;
}

/* The longest whole start of an escaped name within `max` bytes. */
static size_t escaped_cut(const char *name, size_t max)
{
    size_t cut = name_cut(name, max);
    for (size_t back = 1; back <= 2 && back <= cut; back++)
        if (is_escape(name + cut - back))
            return cut - back;
    return cut;
}

static void name_shorten(GString *name, const char *component)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, component, -1);
    g_string_truncate(name, escaped_cut(name->str, NAME_MAILBOX_MAX - HASH_DIGITS - 1));
    g_string_append_printf(name, "~%.*s", HASH_DIGITS, hash);
}

char *name_of_mailbox(const char *component)
{
    uint32_t uid;
    bool eml;
    GString *name = g_string_new(NULL);
    for (const char *p = component; *p;)
        p = escape_character(name, p, p == component);
    if (name->len == 0)
        g_string_append(name, "%00"); /* no text can hold a NUL, so this stands for none */
    if (name_message_uid(name->str, &uid, &eml))
        g_string_append(name, " (2)");
    if (name->len > NAME_MAILBOX_MAX)
        name_shorten(name, component);
    return g_string_free(name, FALSE);
}

char *name_to_mailbox(const char *name)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (const char *p = name; *p; p++) {
        if (is_escape(p)) {
            g_string_append_c(text,
                              (char)(g_ascii_xdigit_value(p[1]) << 4 | g_ascii_xdigit_value(p[2])));
            p += 2;
        } else {
            g_string_append_c(text, *p);
        }
    }
    if (text->len == 0 || strlen(text->str) != text->len)
        return NULL;
    g_autofree char *again = name_of_mailbox(text->str);
    return strcmp(again, name) == 0 ? g_strdup(text->str) : NULL;
}
