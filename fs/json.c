#include "fs/json.h"

#include <inttypes.h>
#include <string.h>

/* Begins a value: a comma if one came before it in the same brackets, and its name. */
static void value_begin(GString *out, const char *name)
{
    if (out->len > 0 && strchr("{[:", out->str[out->len - 1]) == NULL)
        g_string_append_c(out, ',');
    if (name != NULL)
        g_string_append_printf(out, "\"%s\":", name);
}

void json_open(GString *out, const char *name, char bracket)
{
    value_begin(out, name);
    g_string_append_c(out, bracket);
}

void json_close(GString *out, char bracket)
{
    g_string_append_c(out, bracket);
}

void json_number(GString *out, const char *name, int64_t value)
{
    value_begin(out, name);
    g_string_append_printf(out, "%" PRId64, value);
}

void json_bool(GString *out, const char *name, bool value)
{
    value_begin(out, name);
    g_string_append(out, value ? "true" : "false");
}

void json_null(GString *out, const char *name)
{
    value_begin(out, name);
    g_string_append(out, "null");
}

void json_string(GString *out, const char *name, const char *text)
{
    if (text == NULL) {
        json_null(out, name);
        return;
    }
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    value_begin(out, name);
    g_string_append_c(out, '"');
    for (const unsigned char *at = (const unsigned char *)valid; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f)
            g_string_append_printf(out, "\\u%04x", *at);
        else if (*at == '"' || *at == '\\')
            g_string_append_printf(out, "\\%c", *at);
        else
            g_string_append_c(out, (char)*at);
    }
    g_string_append_c(out, '"');
}
