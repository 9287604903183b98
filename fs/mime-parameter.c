#include <string.h>

#include "fs/mime-private.h"

enum { PARAMETERS_MAX = 2000, SEGMENTS_MAX = 1000 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Passes over white space and comments, which may nest (RFC 5322, 3.2.2). */
static const char *skip_comments(const char *p)
{
    unsigned depth = 0;
    for (; *p; p++) {
        if (depth > 0 && *p == '\\' && p[1])
            p++;
        else if (*p == '(')
            depth++;
        else if (depth > 0 && *p == ')')
            depth--;
        else if (depth == 0 && !is_space(*p))
            break;
    }
    return p;
}

static const char *skip_token(const char *p, const char *stops)
{
    while (*p && !is_space(*p) && !strchr(stops, *p))
        p++;
    return p;
}

static char *lower_copy(const char *from, const char *to)
{
    return g_ascii_strdown(from, to - from);
}

/* A quoted string's content; `p` is after the opening quote. An unterminated one ends with the
 * text.
 */
static const char *read_quoted(const char *p, GString *out)
{
    for (; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        g_string_append_c(out, *p);
    }
    return *p ? p + 1 : p;
}

/* A bare value: a token; but file names are often written with spaces and no quotes. */
static const char *read_bare(const char *p, const char *name, GString *out)
{
    bool loose = g_str_has_prefix(name, "filename") || g_str_has_prefix(name, "name");
    const char *end = loose ? p + strcspn(p, ";\r\n") : skip_token(p, ";(");
    const char *last = end;
    while (last > p && is_space(last[-1]))
        last--;
    g_string_append_len(out, p, last - p);
    return end;
}

/* Reads "name = value" at `p` and adds it. Returns where it ends. */
static const char *read_parameter(const char *p, struct mime_value *value)
{
    const char *begin = p = skip_comments(p);
    const char *end = p = skip_token(p, "=;(\"");
    p = skip_comments(p);
    if (*p != '=' || end == begin)
        return p;
    g_autofree char *name = lower_copy(begin, end);
    g_autoptr(GString) text = g_string_new(NULL);
    p = skip_comments(p + 1);
    p = *p == '"' ? read_quoted(p + 1, text) : read_bare(p, name, text);
    struct mime_parameter parameter = {g_string_chunk_insert(value->strings, name),
                                       g_string_chunk_insert(value->strings, text->str)};
    g_array_append_val(value->parameters, parameter);
    return p;
}

void mime_value_parse(const char *text, struct mime_value *value)
{
    value->strings = g_string_chunk_new(256);
    value->parameters = g_array_new(FALSE, FALSE, sizeof(struct mime_parameter));
    const char *begin = skip_comments(text);
    if (*begin == '"')
        begin++;
    const char *p = skip_token(begin, "/;(\"");
    value->type = lower_copy(begin, p);
    value->subtype = NULL;
    p = skip_comments(*p == '"' ? p + 1 : p);
    if (*p == '/') {
        begin = skip_comments(p + 1);
        p = skip_token(begin, "/;(\"");
        value->subtype = lower_copy(begin, p);
    }
    if (!value->subtype)
        value->subtype = g_strdup("");
    while ((p = strchr(p, ';')) && value->parameters->len < PARAMETERS_MAX)
        p = read_parameter(p + 1, value);
}

void mime_value_clear(struct mime_value *value)
{
    g_free(value->type);
    g_free(value->subtype);
    g_array_free(value->parameters, TRUE);
    g_string_chunk_free(value->strings);
}

/* ---- RFC 2231 ------------------------------------------------------------------------------- */

static void percent_append(GString *out, const char *text)
{
    for (; *text; text++) {
        if (*text != '%' || !g_ascii_isxdigit(text[1]) || !g_ascii_isxdigit(text[2])) {
            g_string_append_c(out, *text);
            continue;
        }
        int c = g_ascii_xdigit_value(text[1]) << 4 | g_ascii_xdigit_value(text[2]);
        g_string_append_c(out, (char)c);
        text += 2;
    }
}

/* The value's beginning after charset'language', and the charset; the whole and NULL if it has
 * none.
 */
static const char *extended_split(const char *value, char **charset)
{
    const char *first = strchr(value, '\'');
    const char *second = first ? strchr(first + 1, '\'') : NULL;
    *charset = NULL;
    if (!second || first - value > 40)
        return value;
    *charset = g_strndup(value, (gsize)(first - value));
    return second + 1;
}

/* Bytes in a charset as a C string of UTF-8: a NUL in the text becomes "_". The caller's. */
static char *extended_convert(const char *charset, const GString *bytes)
{
    GString *out = g_string_new(NULL);
    bool known = charset && *charset && mime_text_convert(charset, bytes->str, bytes->len, out);
    if (!known)
        mime_text_guess(bytes->str, bytes->len, out);
    for (gsize i = 0; i < out->len; i++)
        if (out->str[i] == '\0')
            out->str[i] = '_';
    return g_string_free(out, FALSE);
}

static char *extended_decode(const char *value)
{
    g_autofree char *charset = NULL;
    g_autoptr(GString) bytes = g_string_new(NULL);
    percent_append(bytes, extended_split(value, &charset));
    return extended_convert(charset, bytes);
}

/* Whether a plain value is an extended one that lost its star. */
static bool looks_extended(const char *value)
{
    g_autofree char *charset = NULL;
    const char *rest = extended_split(value, &charset);
    if (!charset || !*charset || !strchr(rest, '%') || strchr(value, ' '))
        return false;
    g_autoptr(GString) nothing = g_string_new(NULL);
    return mime_text_convert(charset, "", 0, nothing);
}

static char *plain_decode(const char *value)
{
    if (looks_extended(value))
        return extended_decode(value);
    if (strstr(value, "=?"))
        return mime_words_decode(value);
    GString *out = g_string_new(NULL);
    mime_text_guess(value, strlen(value), out);
    return g_string_free(out, FALSE);
}

/* A segment's number ("filename*12*"), -1 if the parameter is none of `name`'s; `extended` says
 * whether it is percent-encoded. */
static int segment_number(const char *parameter, const char *name, bool *extended)
{
    size_t length = strlen(name);
    if (g_ascii_strncasecmp(parameter, name, length) != 0 || parameter[length] != '*' ||
        !g_ascii_isdigit(parameter[length + 1]))
        return -1;
    char *end;
    guint64 number = g_ascii_strtoull(parameter + length + 1, &end, 10);
    *extended = *end == '*';
    return number < SEGMENTS_MAX && !end[*extended] ? (int)number : -1;
}

/* Sorts the segments of `name` into an array by number; the first of equal ones counts. Returns how
 * many there are without a gap. */
static int segments_find(const struct mime_parameter *parameters, size_t count, const char *name,
                         const char *values[SEGMENTS_MAX], bool extended[SEGMENTS_MAX])
{
    memset(values, 0, SEGMENTS_MAX * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        bool percent = false;
        if (!parameters[i].name || !parameters[i].value)
            continue;
        int number = segment_number(parameters[i].name, name, &percent);
        if (number < 0 || values[number])
            continue;
        values[number] = parameters[i].value;
        extended[number] = percent;
    }
    int found = 0;
    while (found < SEGMENTS_MAX && values[found])
        found++;
    return found;
}

static char *segments_decode(const struct mime_parameter *parameters, size_t count,
                             const char *name)
{
    const char *values[SEGMENTS_MAX];
    bool extended[SEGMENTS_MAX], any = false;
    int found = segments_find(parameters, count, name, values, extended);
    if (found == 0)
        return NULL;
    g_autofree char *charset = NULL;
    g_autoptr(GString) bytes = g_string_new(NULL);
    for (int i = 0; i < found; i++) {
        const char *value = values[i];
        any = any || extended[i];
        if (i == 0 && extended[i])
            value = extended_split(value, &charset);
        if (extended[i])
            percent_append(bytes, value);
        else
            g_string_append(bytes, value);
    }
    return any ? extended_convert(charset, bytes) : plain_decode(bytes->str);
}

static const char *parameter_find(const struct mime_parameter *parameters, size_t count,
                                  const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (parameters[i].name && parameters[i].value &&
            g_ascii_strcasecmp(parameters[i].name, name) == 0)
            return parameters[i].value;
    return NULL;
}

char *mime_parameter_decode(const struct mime_parameter *parameters, size_t count, const char *name)
{
    g_autofree char *starred = g_strconcat(name, "*", NULL);
    const char *value = parameter_find(parameters, count, starred);
    if (value && *value) {
        g_autofree char *decoded = extended_decode(value);
        if (*decoded)
            return g_steal_pointer(&decoded);
    }
    char *joined = segments_decode(parameters, count, name);
    if (joined)
        return joined;
    value = parameter_find(parameters, count, name);
    return value ? plain_decode(value) : NULL;
}

char *mime_file_name(const struct mime_parameter *disposition, size_t disposition_count,
                     const struct mime_parameter *type, size_t type_count)
{
    g_autofree char *name = mime_parameter_decode(disposition, disposition_count, "filename");
    if (name && *name)
        return g_steal_pointer(&name);
    g_autofree char *other = mime_parameter_decode(type, type_count, "name");
    return other && *other ? g_steal_pointer(&other) : NULL;
}
