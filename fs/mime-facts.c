#include <gmime/gmime.h>
#include <string.h>

#include "fs/mime-private.h"
#include "fs/name.h"

/* How much of a field is looked at, in bytes, and which years a message can be of. */
enum { VALUE_MAX = 4096, YEAR_FIRST = 1970, YEAR_LAST = 2100, DAY_S = 86400 };

static void facts_date(struct mime_facts *facts, const char *value)
{
    GDateTime *date = g_mime_utils_header_decode_date(value);
    if (!date)
        return;
    g_date_time_get_ymd(date, &facts->year, &facts->month, &facts->day);
    facts->date = g_date_time_to_unix(date);
    facts->has_date = facts->year >= YEAR_FIRST && facts->year <= YEAR_LAST && facts->date >= 0;
    g_date_time_unref(date);
}

static char *facts_message_id(const char *value)
{
    const char *open = strchr(value, '<');
    const char *close = open ? strchr(open, '>') : NULL;
    if (close)
        return g_strndup(open + 1, (gsize)(close - open - 1));
    return *value ? g_strdup(value) : NULL;
}

/* Where each field's value is kept while all are gathered. */
enum fact { FACT_DATE, FACT_FROM, FACT_SENDER, FACT_TO, FACT_CC, FACT_SUBJECT, FACT_ID, FACTS };
static const char *const FACT_NAMES[FACTS] = {
    [FACT_DATE] = "date", [FACT_FROM] = "from",       [FACT_SENDER] = "sender", [FACT_TO] = "to",
    [FACT_CC] = "cc",     [FACT_SUBJECT] = "subject", [FACT_ID] = "message-id",
};

/* The first field of each name. */
static void facts_gather(const void *bytes, size_t length, char *values[FACTS])
{
    struct mime_fields fields = {.bytes = bytes, .length = length};
    struct mime_field field;
    while (mime_fields_next(&fields, &field))
        for (int i = 0; i < FACTS; i++)
            if (!values[i] && mime_field_is(&field, FACT_NAMES[i]))
                values[i] = mime_field_value(&field, VALUE_MAX);
}

/* The first of two address fields that names anybody. */
static char *facts_who_of(const char *first, const char *second)
{
    char *who = first ? mime_address_who(first) : NULL;
    return who || !second ? who : mime_address_who(second);
}

void mime_facts_read(const void *bytes, size_t length, struct mime_facts *facts)
{
    char *values[FACTS] = {NULL};
    *facts = (struct mime_facts){0};
    facts_gather(bytes, length, values);
    if (values[FACT_DATE])
        facts_date(facts, values[FACT_DATE]);
    facts->from = facts_who_of(values[FACT_FROM], values[FACT_SENDER]);
    facts->to = facts_who_of(values[FACT_TO], values[FACT_CC]);
    if (values[FACT_SUBJECT])
        facts->subject = mime_words_decode(values[FACT_SUBJECT]);
    if (values[FACT_ID])
        facts->message_id = facts_message_id(values[FACT_ID]);
    for (int i = 0; i < FACTS; i++)
        g_free(values[i]);
}

void mime_facts_clear(struct mime_facts *facts)
{
    g_clear_pointer(&facts->from, g_free);
    g_clear_pointer(&facts->to, g_free);
    g_clear_pointer(&facts->subject, g_free);
    g_clear_pointer(&facts->message_id, g_free);
}

char *mime_message_name(const struct mime_facts *facts, int64_t internaldate, bool outgoing,
                        uint32_t uid)
{
    const char *who = outgoing ? facts->to : facts->from;
    if (facts->has_date && facts->date <= internaldate + DAY_S)
        return name_of_message(facts->year, facts->month, facts->day, who, facts->subject, uid);
    g_autoptr(GDateTime) day = g_date_time_new_from_unix_utc(internaldate);
    if (!day)
        return name_of_message(0, 1, 1, who, facts->subject, uid);
    return name_of_message(g_date_time_get_year(day), g_date_time_get_month(day),
                           g_date_time_get_day_of_month(day), who, facts->subject, uid);
}

/* ---- headers.txt ---------------------------------------------------------------------------- */

/* Appends text as part of one line: controls become U+FFFD. */
static void line_append(GString *out, const char *text)
{
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (c == '\t')
            g_string_append_c(out, ' ');
        else
            g_string_append_unichar(out, g_unichar_iscntrl(c) ? 0xfffd : c);
    }
}

/* The name of a parameter without what RFC 2231 adds. */
static char *parameter_base(const char *name)
{
    return g_strndup(name, strcspn(name, "*"));
}

/* Whether an earlier parameter is a segment of the same. */
static bool parameter_is_done(const struct mime_value *value, guint index, const char *base)
{
    size_t length = strlen(base);
    for (guint i = 0; i < index; i++) {
        const char *name = g_array_index(value->parameters, struct mime_parameter, i).name;
        if (strncmp(name, base, length) == 0 && (name[length] == '*' || name[length] == '\0'))
            return true;
    }
    return false;
}

/* A value with RFC 2231 parameters, written with plain ones. The caller's. */
static char *value_decode_parameters(const char *text)
{
    g_auto(mime_value) value;
    mime_value_parse(text, &value);
    GString *out = g_string_new_len(text, (gssize)strcspn(text, ";"));
    for (guint i = 0; i < value.parameters->len; i++) {
        struct mime_parameter *all = (struct mime_parameter *)(void *)value.parameters->data;
        g_autofree char *base = parameter_base(all[i].name);
        if (parameter_is_done(&value, i, base))
            continue;
        g_autofree char *decoded = mime_parameter_decode(all, value.parameters->len, base);
        g_string_append_printf(out, "; %s=\"%s\"", base, decoded ? decoded : all[i].value);
    }
    g_autofree char *joined = g_string_free(out, FALSE);
    return g_utf8_make_valid(joined, -1);
}

/* Fields whose parameters may be RFC 2231's; beyond this many bytes they stay as they are. */
enum { PARAMETERS_TEXT_MAX = 16384 };

static bool has_parameters(const struct mime_field *field, const char *value)
{
    return (mime_field_is(field, "content-type") || mime_field_is(field, "content-disposition")) &&
           strstr(value, "*") && strlen(value) <= PARAMETERS_TEXT_MAX;
}

static void headers_append(GString *out, const struct mime_field *field)
{
    g_autofree char *value = mime_field_value(field, G_MAXSIZE / 2);
    g_autofree char *decoded =
        has_parameters(field, value) ? value_decode_parameters(value) : mime_words_decode(value);
    size_t begin = out->len;
    g_string_append_len(out, field->name, (gssize)field->name_length);
    g_string_append(out, ": ");
    line_append(out, decoded);
    if (out->len - begin > 4 * (field->name_length + field->value_length)) { /* mime_part_bound() */
        g_string_truncate(out, begin + field->name_length + 2);
        g_autofree char *valid = g_utf8_make_valid(value, -1);
        line_append(out, valid);
    }
    g_string_append_c(out, '\n');
}

GBytes *mime_headers_text(const void *bytes, size_t length, const char *note)
{
    struct mime_fields fields = {.bytes = bytes, .length = length};
    struct mime_field field;
    GString *out = g_string_sized_new(length + 64);
    while (mime_fields_next(&fields, &field))
        headers_append(out, &field);
    if (note)
        g_string_append_printf(out, "%s\n", note);
    return g_string_free_to_bytes(out);
}
