/* What finding a server asks of the network: the settings file that a provider keeps at a
 * well-known place, and whether a server answers. */
#include <string.h>

#include "fs/autoconfig-private.h"
#include "imap/https.h"
#include "imap/imap.h"

#define SECONDS 5 /* for each place */
#define REDIRECTS_MAX 3

static const struct {
    const char *host, *path; /* before and behind the domain */
} PLACES[] = {
    {"autoconfig.", "/mail/config-v1.1.xml"},
    {"", "/.well-known/autoconfig/mail/config-v1.1.xml"},
};

bool autoconfig_answers(const struct source *server, const struct autoconfig_way *way)
{
    const struct imap_server there = {
        .host = server->host,
        .port = server->port != 0      ? server->port
                : server->implicit_tls ? 993
                                       : 143,
        .timeout_s = SECONDS,
        .proxy = way->proxy,
    };

    g_autoptr(GError) error = NULL;
    bool answers = imap_answers(&there, way->cancel, &error);
    if (!answers)
        g_info("%s does not answer: %s", server->host, error->message);
    return answers;
}

/* What the failures of imap/ mean for a file that may be there or not; all others: it is of no use.
 */
static const struct {
    enum imap_error error;
    enum autoconfig_error means;
} MEANINGS[] = {
    {IMAP_ERROR_RESOLVE, AUTOCONFIG_NOTHING},     {IMAP_ERROR_NONEXISTENT, AUTOCONFIG_NOTHING},
    {IMAP_ERROR_CONNECT, AUTOCONFIG_NETWORK},     {IMAP_ERROR_TIMEOUT, AUTOCONFIG_NETWORK},
    {IMAP_ERROR_LOST, AUTOCONFIG_NETWORK},        {IMAP_ERROR_UNAVAILABLE, AUTOCONFIG_NETWORK},
    {IMAP_ERROR_CANCELLED, AUTOCONFIG_CANCELLED},
};

static enum autoconfig_error meaning_of(const GError *error, bool asked)
{
    if (!asked && g_error_matches(error, IMAP_ERROR, IMAP_ERROR_RESOLVE))
        return AUTOCONFIG_NETWORK; /* the proxy's own name */
    for (size_t i = 0; i < G_N_ELEMENTS(MEANINGS); i++)
        if (g_error_matches(error, IMAP_ERROR, (gint)MEANINGS[i].error))
            return MEANINGS[i].means;
    return AUTOCONFIG_UNUSABLE;
}

/* `*known`: whether there is such a host, as far as the DNS was asked here. */
static bool place_look(size_t place, const char *address, const struct autoconfig_way *way,
                       struct source *source, bool *known, GError **error)
{
    const struct imap_https how = {.ca_file = way->ca_file,
                                   .proxy = way->proxy,
                                   .most = AUTOCONFIG_FILE_MAX,
                                   .seconds = SECONDS,
                                   .redirects = REDIRECTS_MAX};
    g_autofree char *escaped = g_uri_escape_string(address, NULL, FALSE);
    g_autofree char *url = g_strdup_printf("https://%s%s%s?emailaddress=%s", PLACES[place].host,
                                           autoconfig_domain(address), PLACES[place].path, escaped);
    g_autoptr(GError) why = NULL;
    g_autoptr(GBytes) bytes = imap_https_get(url, &how, way->cancel, &why);

    bool asked = strstr(way->proxy, "://") == NULL; /* else a proxy looks the host up */
    *known = !asked || !g_error_matches(why, IMAP_ERROR, IMAP_ERROR_RESOLVE);
    if (bytes == NULL) {
        g_info("%s: %s", url, why->message);
        g_set_error(error, AUTOCONFIG_ERROR, (gint)meaning_of(why, asked), "%s", why->message);
        return false;
    }
    gsize length;
    const char *text = g_bytes_get_data(bytes, &length);
    if (autoconfig_file_parse(text, length, address, source))
        return true;
    g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_UNUSABLE, "that of %s%s names none with TLS",
                PLACES[place].host, autoconfig_domain(address));
    return false;
}

/* Keeps the failure that leaves most hope: enum autoconfig_error rises with it. */
static void failure_keep(GError **kept, GError **failure)
{
    if (*kept == NULL || (*failure)->code > (*kept)->code) {
        g_clear_error(kept);
        *kept = g_steal_pointer(failure);
    }
}

bool autoconfig_file(const char *address, const struct autoconfig_way *way, struct source *source,
                     char **where, bool *nowhere, GError **error)
{
    g_autoptr(GError) kept = NULL;

    *nowhere = true;
    for (size_t i = 0; i < G_N_ELEMENTS(PLACES); i++) {
        g_autoptr(GError) failure = NULL;
        bool known;
        if (place_look(i, address, way, source, &known, &failure)) {
            *where = g_strconcat(PLACES[i].host, autoconfig_domain(address), NULL);
            return true;
        }
        *nowhere = *nowhere && !known;
        failure_keep(&kept, &failure);
        if (kept->code == AUTOCONFIG_CANCELLED)
            break;
    }
    g_propagate_error(error, g_steal_pointer(&kept));
    return false;
}
