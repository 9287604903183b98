#include "fs/source.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <string.h>

#define USER_MAX 512 /* bytes */
#define HOST_MAX 255
#define ADDRESS_MAX 320

static bool source_refuse(GError **error, const char *reason)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "SOURCE: %s", reason);
    return false;
}

bool source_is_url(const char *text)
{
    return strstr(text, "://") != NULL;
}

static char *name_parse(const char *text, size_t length);

bool source_is_address(const char *text)
{
    static const char ODD[] = "\"(),:;<>[\\]@/";
    const char *at = strrchr(text, '@');
    size_t length = strlen(text);

    if (at == NULL || at == text || length > ADDRESS_MAX || !g_utf8_validate(text, -1, NULL))
        return false;
    for (const char *c = text; c < at; c++)
        if (strchr(ODD, *c) != NULL || *c == ' ' || g_ascii_iscntrl(*c))
            return false;
    g_autofree char *domain = name_parse(at + 1, strlen(at + 1));
    return domain != NULL && strlen(domain) <= HOST_MAX;
}

static bool user_parse(const char *text, size_t length, struct source *source, GError **error)
{
    g_autofree char *raw = g_strndup(text, length);

    if (strchr(raw, ':') != NULL)
        return source_refuse(error, "a password does not belong here (leave it out: it is asked "
                                    "for, or set password_command=); a : in the user name is %3A");
    if (strchr(raw, ';') != NULL)
        return source_refuse(error, "parameters do not belong here (use -o auth=)");
    g_autofree char *user = g_uri_unescape_string(raw, NULL);
    if (user == NULL || *user == '\0' || !g_utf8_validate(user, -1, NULL))
        return source_refuse(error, "the user name is empty or wrongly encoded");
    for (const char *at = user; *at != '\0'; at++)
        if (g_ascii_iscntrl(*at))
            return source_refuse(error, "the user name has control characters");
    if (strlen(user) > USER_MAX)
        return source_refuse(error, "the user name is too long");
    source->user = g_steal_pointer(&user);
    return true;
}

/* An address in brackets, with or without a zone ("fe80::1%25eth0"). */
static char *address_parse(const char *text, size_t length)
{
    g_autofree char *address = g_uri_unescape_segment(text, text + length, NULL);
    if (address == NULL)
        return NULL;
    char *zone = strchr(address, '%');
    g_autofree char *bare = g_strndup(address, zone ? (size_t)(zone - address) : strlen(address));
    struct in6_addr parsed;

    if (inet_pton(AF_INET6, bare, &parsed) != 1)
        return NULL;
    for (const char *at = zone != NULL ? zone + 1 : ""; *at != '\0'; at++)
        if (!g_ascii_isalnum(*at) && strchr("._-", *at) == NULL)
            return NULL;
    return g_ascii_strdown(address, -1);
}

static char *name_parse(const char *text, size_t length)
{
    g_autofree char *name = g_strndup(text, length);
    g_autofree char *ascii = NULL;

    if (length > 0 && g_utf8_validate(name, -1, NULL))
        ascii = g_hostname_to_ascii(name);
    if (ascii == NULL || *ascii == '\0' || *ascii == '-' || *ascii == '.')
        return NULL;
    for (const char *at = ascii; *at != '\0'; at++)
        if (!g_ascii_isalnum(*at) && strchr(".-_", *at) == NULL)
            return NULL;
    return g_ascii_strdown(ascii, -1);
}

static bool port_parse(const char *text, struct source *source, GError **error)
{
    guint64 port;

    if (*text == '\0')
        return true;
    if (*text != ':' || !g_ascii_string_to_unsigned(text + 1, 10, 1, 65535, &port, NULL))
        return source_refuse(error, "after the host only :PORT may follow, 1 to 65535");
    source->port = (uint16_t)port;
    return true;
}

static bool host_parse(const char *text, struct source *source, GError **error)
{
    const char *end;

    if (*text == '[') {
        size_t length = strcspn(++text, "]");
        if (text[length] == '\0')
            return source_refuse(error, "the address lacks its closing bracket");
        source->host = address_parse(text, length);
        end = text + length + 1;
    } else {
        size_t length = strcspn(text, ":");
        source->host = name_parse(text, length);
        end = text + length;
    }
    if (source->host == NULL || strlen(source->host) > HOST_MAX)
        return source_refuse(error, "there is no valid host name or address in it");
    return port_parse(end, source, error);
}

static bool scheme_parse(const char **text, struct source *source, GError **error)
{
    source->implicit_tls = g_ascii_strncasecmp(*text, "imaps://", 8) == 0;
    if (!source->implicit_tls && g_ascii_strncasecmp(*text, "imap://", 7) != 0)
        return source_refuse(error, "it must begin with imaps:// or imap://");
    *text = strstr(*text, "://") + 3;
    return true;
}

static bool url_parse(const char *text, struct source *source, GError **error)
{
    if (!scheme_parse(&text, source, error))
        return false;
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '/')
        length--;
    g_autofree char *authority = g_strndup(text, length);
    const char *at = strrchr(authority, '@');

    if (at != NULL && !user_parse(authority, (size_t)(at - authority), source, error))
        return false;
    const char *host = at != NULL ? at + 1 : authority;
    if (strpbrk(host, "/?#") != NULL)
        return source_refuse(error, "a path does not belong here (use -o folders=)");
    return host_parse(host, source, error);
}

bool source_parse(const char *text, struct source *source, GError **error)
{
    memset(source, 0, sizeof(*source));
    if (url_parse(text, source, error))
        return true;
    source_clear(source);
    return false;
}

void source_clear(struct source *source)
{
    g_clear_pointer(&source->user, g_free);
    g_clear_pointer(&source->host, g_free);
}

char *source_write(const struct source *source)
{
    GString *out = g_string_new(source->implicit_tls ? "imaps://" : "imap://");

    if (source->user != NULL) {
        g_string_append_uri_escaped(out, source->user, NULL, FALSE);
        g_string_append_c(out, '@');
    }
    if (strchr(source->host, ':') != NULL) {
        g_autofree char *zone = g_uri_escape_string(source->host, ":", FALSE);
        g_string_append_printf(out, "[%s]", zone);
    } else {
        g_string_append(out, source->host);
    }
    if (source->port != 0 && source->port != (source->implicit_tls ? 993 : 143))
        g_string_append_printf(out, ":%u", source->port);
    return g_string_free(out, FALSE);
}
