#include "fs/name.h"

#include <string.h>

#include "fs/name-private.h"

/* What of the input is looked at, in bytes: normalising is quadratic in runs of combining marks. */
enum { WHO_IN = 512, SUBJECT_IN = 1024, PART_IN = 1024 };
enum { WHO_MAX = 80, EXTENSION_MAX = 32, MARKS_MAX = 16 };

/* Characters that a name from mail must not hold. */
static const struct {
    gunichar first, last;
} FORBIDDEN[] = {
    {0x00, 0x1f},       /* controls */
    {'"', '"'},         /* from here on what other filesystems refuse */
    {'*', '*'},         /* asterisk */
    {'/', '/'},         /* slash */
    {':', ':'},         /* colon */
    {'<', '<'},         /* less than */
    {'>', '?'},         /* greater than, question mark */
    {'\\', '\\'},       /* backslash */
    {'|', '|'},         /* bar */
    {0x7f, 0x9f},       /* DEL and C1 controls */
    {0x061c, 0x061c},   /* Arabic letter mark */
    {0x180e, 0x180e},   /* Mongolian vowel separator */
    {0x200b, 0x200f},   /* zero width, left-to-right and right-to-left marks */
    {0x2028, 0x202e},   /* line and paragraph separators, embeddings and overrides */
    {0x2060, 0x206f},   /* word joiner, invisible operators, isolates */
    {0xfdd0, 0xfdef},   /* not characters */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xfff9, 0xfffb},   /* interlinear annotation */
    {0xe0000, 0xe007f}, /* tags */
};

/* Names that mean something to DOS, whatever follows their first dot, and to desktops. */
static const char *const DEVICES[] = {"con",  "prn",  "aux",  "nul",  "com0", "com1", "com2",
                                      "com3", "com4", "com5", "com6", "com7", "com8", "com9",
                                      "lpt0", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6",
                                      "lpt7", "lpt8", "lpt9", NULL};
static const char *const ACTIVE[] = {"desktop.ini", "autorun.inf", NULL};

static bool is_forbidden(gunichar c)
{
    if ((c & 0xfffe) == 0xfffe)
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(FORBIDDEN); i++) {
        if (c < FORBIDDEN[i].first)
            return false;
        if (c <= FORBIDDEN[i].last)
            return true;
    }
    return false;
}

static bool is_mark(gunichar c)
{
    GUnicodeType type = g_unichar_type(c);
    return type == G_UNICODE_NON_SPACING_MARK || type == G_UNICODE_SPACING_MARK ||
           type == G_UNICODE_ENCLOSING_MARK || (c >= 0x1f3fb && c <= 0x1f3ff);
}

size_t name_cut(const char *text, size_t max)
{
    size_t length = strlen(text);
    if (length <= max)
        return length;
    const char *end = text + max;
    while (end > text && ((unsigned char)*end & 0xc0) == 0x80)
        end--;
    const char *cut = end;
    for (int i = 0; i < MARKS_MAX && cut > text; i++) {
        if (!is_mark(g_utf8_get_char(cut)))
            return (size_t)(cut - text);
        cut = g_utf8_prev_char(cut);
    }
    return (size_t)(end - text);
}

const char *name_extension(const char *name)
{
    const char *end = name + strlen(name);
    const char *dot = strrchr(name, '.');
    if (!dot || dot == name || end - dot < 2 || end - dot > EXTENSION_MAX || strchr(dot, ' '))
        return end;
    if (dot - name > 4 && g_ascii_strncasecmp(dot - 4, ".tar", 4) == 0)
        return dot - 4;
    return dot;
}

/* The first `max` bytes of any text, as valid UTF-8 in NFC. */
static char *text_normal(const char *text, size_t max)
{
    size_t length = strnlen(text, max + 1);
    if (length > max) {
        length = max;
        while (length > max - 4 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)length);
    if (g_str_is_ascii(valid))
        return g_steal_pointer(&valid);
    return g_utf8_normalize(valid, -1, G_NORMALIZE_NFC);
}

/* Text for the middle of a message's name: safe characters, single spaces, none at the ends, at
 * most `max` bytes. The caller's. */
static char *text_for_message(const char *text, size_t max_in, size_t max)
{
    g_autofree char *normal = text_normal(text, max_in);
    GString *out = g_string_new(NULL);
    bool space = false;
    for (const char *p = normal; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (g_unichar_isspace(c)) {
            space = out->len > 0;
            continue;
        }
        if (space)
            g_string_append_c(out, ' ');
        space = false;
        g_string_append_unichar(out, is_forbidden(c) ? '_' : c);
    }
    g_string_truncate(out, name_cut(out->str, max));
    g_strchomp(out->str);
    return g_string_free(out, FALSE);
}

char *name_of_message(int year, int month, int day, const char *who, const char *subject,
                      uint32_t uid)
{
    g_autofree char *from = text_for_message(who ? who : "", WHO_IN, WHO_MAX);
    g_autofree char *about = text_for_message(subject ? subject : "", SUBJECT_IN, NAME_MESSAGE_MAX);
    g_autofree char *tail = g_strdup_printf(" [%u]", uid);
    GString *name = g_string_new(NULL);
    g_string_printf(name, "%04d-%02d-%02d %s - %s", CLAMP(year, 0, 9999), CLAMP(month, 1, 12),
                    CLAMP(day, 1, 31), *from ? from : "unknown", *about ? about : "no subject");
    g_string_truncate(name, name_cut(name->str, NAME_MESSAGE_MAX - strlen(tail)));
    while (name->len > 0 && name->str[name->len - 1] == ' ')
        g_string_truncate(name, name->len - 1);
    g_string_append(name, tail);
    return g_string_free(name, FALSE);
}

/* "2026-11-20 " */
static bool has_day(const char *name, size_t length)
{
    static const char form[] = "dddd-dd-dd ";
    if (length < sizeof form - 1)
        return false;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? !g_ascii_isdigit(name[i]) : name[i] != form[i])
            return false;
    return true;
}

bool name_message_uid(const char *name, uint32_t *uid, bool *eml)
{
    size_t length = strlen(name);
    *eml = length > 4 && strcmp(name + length - 4, ".eml") == 0;
    if (*eml)
        length -= 4;
    if (!has_day(name, length) || name[length - 1] != ']')
        return false;
    size_t begin = length - 1;
    while (begin > 0 && g_ascii_isdigit(name[begin - 1]))
        begin--;
    if (begin < 2 || name[begin - 1] != '[' || name[begin - 2] != ' ')
        return false;
    if (name[begin] == '0' || length - 1 - begin > 10)
        return false;
    uint64_t number = g_ascii_strtoull(name + begin, NULL, 10);
    if (number == 0 || number > UINT32_MAX)
        return false;
    *uid = (uint32_t)number;
    return true;
}

/* What follows the last slash of either kind. */
static const char *part_basename(const char *wanted)
{
    const char *base = wanted;
    for (const char *p = wanted; *p; p++)
        if (*p == '/' || *p == '\\')
            base = p + 1;
    return base;
}

/* A long name's beginning and extension: all that can become part of the result. The caller's. */
static char *part_shorten(const char *base)
{
    if (strlen(base) <= PART_IN)
        return text_normal(base, PART_IN);
    g_autofree char *head = text_normal(base, PART_IN - EXTENSION_MAX);
    g_autofree char *tail = text_normal(name_extension(base), EXTENSION_MAX);
    return g_strconcat(head, tail, NULL);
}

/* Trims white space of any kind at both ends. */
static void text_trim(GString *text)
{
    while (text->len > 0) {
        char *last = g_utf8_prev_char(text->str + text->len);
        if (!g_unichar_isspace(g_utf8_get_char(last)))
            break;
        g_string_truncate(text, (gsize)(last - text->str));
    }
    char *p = text->str;
    while (*p && g_unichar_isspace(g_utf8_get_char(p)))
        p = g_utf8_next_char(p);
    g_string_erase(text, 0, p - text->str);
}

static bool is_reserved(const char *name)
{
    g_autofree char *lower = g_ascii_strdown(name, -1);
    if (g_strv_contains(ACTIVE, lower))
        return true;
    char *dot = strchr(lower, '.');
    if (dot)
        *dot = '\0';
    return g_strv_contains(DEVICES, g_strchomp(lower));
}

/* Cuts a name that is too long, keeping its extension. */
static void part_cut(GString *name)
{
    if (name->len <= NAME_PART_MAX)
        return;
    g_autofree char *extension = g_strdup(name_extension(name->str));
    g_string_truncate(name, name->len - strlen(extension));
    g_string_truncate(name, name_cut(name->str, NAME_PART_MAX - strlen(extension)));
    g_string_append(name, extension);
    text_trim(name);
}

char *name_of_part(const char *wanted, const char *fallback)
{
    if (!wanted)
        return g_strdup(fallback);
    g_autofree char *normal = part_shorten(part_basename(wanted));
    g_autoptr(GString) name = g_string_new(NULL);
    for (const char *p = normal; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(name, is_forbidden(c) ? '_' : c);
    }
    text_trim(name);
    if (name->len == 0)
        return g_strdup(fallback);
    if (is_reserved(name->str))
        g_string_prepend_c(name, '_');
    part_cut(name);
    if (name->str[0] == '.' || name->str[0] == '-')
        name->str[0] = '_';
    if (name->str[name->len - 1] == '.')
        name->str[name->len - 1] = '_';
    return g_strdup(name->str);
}
