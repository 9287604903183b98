#include <string.h>

#include "fs/mime-private.h"

size_t mime_line(const char *bytes, size_t length, size_t at, size_t *next)
{
    const char *end = memchr(bytes + at, '\n', length - at);
    size_t stop = end ? (size_t)(end - bytes) : length;
    *next = end ? stop + 1 : length;
    if (end && stop > at && bytes[stop - 1] == '\r')
        stop--;
    return stop - at;
}

static size_t field_name_length(const char *line, size_t length)
{
    size_t i = 0;
    while (i < length && line[i] > ' ' && line[i] < 127 && line[i] != ':')
        i++;
    return i;
}

bool mime_line_is_field(const char *line, size_t length)
{
    size_t i = field_name_length(line, length);
    if (i == 0)
        return false;
    while (i < length && (line[i] == ' ' || line[i] == '\t'))
        i++;
    return i < length && line[i] == ':';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The end of the field that begins at `at`: after its last continuation line. */
static size_t field_end(const struct mime_fields *fields, size_t at)
{
    size_t next;
    mime_line(fields->bytes, fields->length, at, &next);
    while (next < fields->length && is_blank(fields->bytes[next]))
        mime_line(fields->bytes, fields->length, next, &next);
    return next;
}

bool mime_fields_next(struct mime_fields *fields, struct mime_field *field)
{
    while (fields->at < fields->length) {
        size_t begin = fields->at, next;
        const char *line = fields->bytes + begin;
        size_t length = mime_line(fields->bytes, fields->length, begin, &next);
        if (length == 0)
            return false;
        fields->at = next;
        if (!mime_line_is_field(line, length))
            continue;
        fields->at = field_end(fields, begin);
        field->name = line;
        field->name_length = field_name_length(line, length);
        const char *colon = memchr(line, ':', length);
        field->value = colon + 1;
        field->value_length = (size_t)(fields->bytes + fields->at - field->value);
        return true;
    }
    return false;
}

bool mime_field_is(const struct mime_field *field, const char *name)
{
    return field->name_length == strlen(name) &&
           g_ascii_strncasecmp(field->name, name, field->name_length) == 0;
}

char *mime_field_value(const struct mime_field *field, size_t max)
{
    GString *out = g_string_sized_new(MIN(field->value_length, max) + 1);
    size_t next;
    for (size_t at = 0; at < field->value_length && out->len < max; at = next) {
        size_t end = at + mime_line(field->value, field->value_length, at, &next);
        while (at < end && is_blank(field->value[at]))
            at++;
        if (at < end && out->len > 0)
            g_string_append_c(out, ' ');
        g_string_append_len(out, field->value + at, (gssize)MIN(end - at, max - out->len));
    }
    return g_strchomp(g_string_free(mime_text_without_nuls(out), FALSE));
}

char *mime_field_find(const void *bytes, size_t length, const char *name, unsigned *count)
{
    struct mime_fields fields = {.bytes = bytes, .length = length};
    struct mime_field field;
    char *value = NULL;
    unsigned found = 0;
    while (mime_fields_next(&fields, &field)) {
        if (!mime_field_is(&field, name))
            continue;
        if (found++ == 0)
            value = mime_field_value(&field, G_MAXSIZE / 2);
    }
    if (count)
        *count = found;
    return value;
}
