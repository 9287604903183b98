/* What others tell of servers; the settings file that providers keep for mail programs
 * (Thunderbird's config-v1.1.xml). No I/O. */
#include <string.h>

#include "fs/autoconfig-private.h"

#define VALUE_MAX 512 /* bytes of one setting */

const char *autoconfig_domain(const char *address)
{
    return strrchr(address, '@') + 1;
}

/* Written and read again, it must be the same. */
bool autoconfig_settle(struct source *server)
{
    g_auto(source) again = {0};
    g_autofree char *host = g_ascii_strdown(server->host, -1);
    g_autofree char *url = source_write(server);

    if (source_parse(url, &again, NULL) && g_strcmp0(again.user, server->user) == 0 &&
        g_str_equal(again.host, host)) {
        g_free(server->host);
        server->host = g_steal_pointer(&host);
        return true;
    }
    source_clear(server);
    return false;
}

/* ---- the file -------------------------------------------------------------------------------- */

enum value { VALUE_HOST, VALUE_PORT, VALUE_SOCKET, VALUE_USER, VALUES };
static const char *const VALUE_NAMES[VALUES] = {"hostname", "port", "socketType", "username"};

struct reading {
    const char *address;
    bool imap;               /* within an incomingServer of type imap */
    GString *values[VALUES]; /* of it; empty: not told */
    bool found;
    struct source source;
};

static void reading_clear(struct reading *reading)
{
    for (int i = 0; i < VALUES; i++)
        g_string_free(reading->values[i], TRUE);
    source_clear(&reading->source);
}
typedef struct reading reading;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(reading, reading_clear)

/* Whether the innermost elements are these, from the root on. */
static bool stack_is(const GSList *stack, const char *const *path, size_t depth)
{
    for (size_t i = depth; i > 0; i--, stack = stack->next)
        if (stack == NULL || !g_str_equal(stack->data, path[i - 1]))
            return false;
    return stack == NULL;
}

static const char *const SERVER[] = {"clientConfig", "emailProvider", "incomingServer"};

static bool within_server(GMarkupParseContext *context)
{
    return stack_is(g_markup_parse_context_get_element_stack(context), SERVER,
                    G_N_ELEMENTS(SERVER));
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names,
                     const char **values, gpointer data, GError **error)
{
    struct reading *reading = data;

    if (!within_server(context))
        return;
    reading->imap = false;
    for (; *names != NULL; names++, values++)
        if (g_str_equal(*names, "type"))
            reading->imap = g_ascii_strcasecmp(*values, "imap") == 0;
    for (int i = 0; i < VALUES; i++)
        g_string_truncate(reading->values[i], 0);
}

/* The setting that text belongs to; NULL: none. */
static GString *value_of(struct reading *reading, GMarkupParseContext *context)
{
    const GSList *stack = g_markup_parse_context_get_element_stack(context);

    if (!reading->imap || stack == NULL || !stack_is(stack->next, SERVER, G_N_ELEMENTS(SERVER)))
        return NULL;
    for (int i = 0; i < VALUES; i++)
        if (g_str_equal(stack->data, VALUE_NAMES[i]))
            return reading->values[i];
    return NULL;
}

static void on_text(GMarkupParseContext *context, const char *text, gsize length, gpointer data,
                    GError **error)
{
    GString *value = value_of(data, context);

    if (value != NULL)
        g_string_append_len(value, text, (gssize)MIN(length, VALUE_MAX + 1 - value->len));
}

/* ---- what it says ---------------------------------------------------------------------------- */

/* Puts the address and its halves where the file leaves room for them. The caller's; NULL: too
 * long. */
static char *value_fill(const GString *value, const char *address)
{
    g_autoptr(GString) text = g_string_new(value->str);
    const char *domain = autoconfig_domain(address);
    g_autofree char *local = g_strndup(address, (gsize)(domain - address) - 1);

    if (value->len > VALUE_MAX)
        return NULL;
    g_string_replace(text, "%EMAILADDRESS%", address, 8);
    g_string_replace(text, "%EMAILLOCALPART%", local, 8);
    g_string_replace(text, "%EMAILDOMAIN%", domain, 8);
    return g_strdup(g_strstrip(text->str));
}

static bool socket_read(const char *word, bool *implicit_tls)
{
    *implicit_tls = g_ascii_strcasecmp(word, "SSL") == 0 || g_ascii_strcasecmp(word, "TLS") == 0;
    return *implicit_tls || g_ascii_strcasecmp(word, "STARTTLS") == 0;
}

static bool server_take(struct reading *reading)
{
    g_autofree char *host = value_fill(reading->values[VALUE_HOST], reading->address);
    g_autofree char *user = value_fill(reading->values[VALUE_USER], reading->address);
    const char *port = g_strstrip(reading->values[VALUE_PORT]->str);
    const char *socket = g_strstrip(reading->values[VALUE_SOCKET]->str);
    bool implicit_tls;
    guint64 number = 0;

    if (host == NULL || user == NULL || !socket_read(socket, &implicit_tls) ||
        (*port != '\0' && !g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL)))
        return false;
    reading->source =
        (struct source){implicit_tls, g_strdup(*user != '\0' ? user : reading->address),
                        g_steal_pointer(&host), (uint16_t)number};
    return autoconfig_settle(&reading->source);
}

static void on_end(GMarkupParseContext *context, const char *element, gpointer data, GError **error)
{
    struct reading *reading = data;

    if (reading->imap && !reading->found && within_server(context))
        reading->found = server_take(reading);
}

bool autoconfig_file_parse(const char *text, size_t length, const char *address,
                           struct source *source)
{
    static const GMarkupParser PARSER = {
        .start_element = on_start, .end_element = on_end, .text = on_text};
    g_auto(reading) reading = {.address = address};

    for (int i = 0; i < VALUES; i++)
        reading.values[i] = g_string_new(NULL);
    if (length > AUTOCONFIG_FILE_MAX)
        return false;
    g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(
        &PARSER, G_MARKUP_TREAT_CDATA_AS_TEXT | G_MARKUP_IGNORE_QUALIFIED, &reading, NULL);
    if (!g_markup_parse_context_parse(context, text, (gssize)length, NULL) ||
        !g_markup_parse_context_end_parse(context, NULL) || !reading.found)
        return false;
    *source = reading.source;
    reading.source = (struct source){0};
    return true;
}
