/* What finding a server asks of the network: the settings file that a provider keeps at a
 * well-known place, and whether a server answers. */
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

    return imap_answers(&there, way->cancel);
}

static bool place_look(size_t place, const char *address, const struct autoconfig_way *way,
                       struct source *source)
{
    const struct imap_https how = {.ca_file = way->ca_file,
                                   .proxy = way->proxy,
                                   .most = AUTOCONFIG_FILE_MAX,
                                   .seconds = SECONDS,
                                   .redirects = REDIRECTS_MAX};
    g_autofree char *escaped = g_uri_escape_string(address, NULL, FALSE);
    g_autofree char *url = g_strdup_printf("https://%s%s%s?emailaddress=%s", PLACES[place].host,
                                           autoconfig_domain(address), PLACES[place].path, escaped);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = imap_https_get(url, &how, way->cancel, &error);

    if (bytes == NULL) {
        g_info("%s: %s", url, error->message);
        return false;
    }
    gsize length;
    const char *text = g_bytes_get_data(bytes, &length);
    return autoconfig_file_parse(text, length, address, source);
}

bool autoconfig_file(const char *address, const struct autoconfig_way *way, struct source *source,
                     char **where, GError **error)
{
    GCancellable *cancel = way->cancel;

    for (size_t i = 0; i < G_N_ELEMENTS(PLACES) && !g_cancellable_is_cancelled(cancel); i++)
        if (place_look(i, address, way, source)) {
            *where = g_strconcat(PLACES[i].host, autoconfig_domain(address), NULL);
            return true;
        }
    if (g_cancellable_is_cancelled(cancel))
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_CANCELLED, "interrupted");
    else
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_NOTHING,
                    "%s has no settings file that names an IMAP server with TLS",
                    autoconfig_domain(address));
    return false;
}
