/* Mechanisms of our own: those that libsasl2 has no plugin for, and those that are too simple to do
 * without when its plugins are not installed. */
#include "imap/auth-private.h"
#include "imap/transcript.h"

#include <string.h>

enum { TOKEN_MAX = 48 * 1024, STATUS_MAX = 100 };

/* RFC 4616 */
bool imap_own_plain(struct imap_auth *auth, unsigned step, GString *out)
{
    if (step != 0)
        return false;
    g_string_append_c(out, '\0');
    g_string_append(out, auth->login->user);
    g_string_append_c(out, '\0');
    g_string_append(out, auth->login->secret);
    return true;
}

/* draft-murchison-sasl-login: the server asks twice, what it asks does not matter */
bool imap_own_login(struct imap_auth *auth, unsigned step, GString *out)
{
    if (step != 1 && step != 2)
        return false;
    g_string_append(out, step == 1 ? auth->login->user : auth->login->secret);
    return true;
}

/* RFC 4422, appendix A: who we are says the certificate, whom we act for the user name. */
bool imap_own_external(struct imap_auth *auth, unsigned step, GString *out)
{
    if (step > 1)
        return false;
    g_string_append(out, auth->login->user);
    return true;
}

/* ---- access tokens ----------------------------------------------------------------------------
 */

/* A b64token (RFC 6750, 2.1), or whatever else holds no blank, control or 8-bit character. */
static bool token_valid(const char *token)
{
    size_t length = 0;

    while (token[length] > 0x20 && token[length] < 0x7f)
        length++;
    return length > 0 && length <= TOKEN_MAX && token[length] == '\0';
}

/* Whether the name and the token can stand between the separators. */
static bool bearer_ready(struct imap_auth *auth)
{
    if (!token_valid(auth->login->token))
        imap_auth_fail(auth, IMAP_AUTH_FAILED, IMAP_ERROR_LOGIN,
                       "what token_command= printed is no access token");
    else if (strchr(auth->login->user, '\x01'))
        imap_auth_fail(auth, IMAP_AUTH_FAILED, IMAP_ERROR_LOGIN, "the user name cannot be sent");
    else
        return true;
    return false;
}

/* A saslname (RFC 5801, 4) */
static void saslname_append(GString *out, const char *name)
{
    for (const char *p = name; *p; p++)
        if (*p == ',' || *p == '=')
            g_string_append(out, *p == ',' ? "=2C" : "=3D");
        else
            g_string_append_c(out, *p);
}

/* RFC 7628, 3.1. A challenge is a refusal, which a lone separator acknowledges (3.2.3). */
bool imap_own_oauthbearer(struct imap_auth *auth, unsigned step, GString *out)
{
    if (step == 1)
        g_string_append_c(out, '\x01');
    if (step > 0 || !bearer_ready(auth))
        return step == 1;
    g_string_append(out, "n,a=");
    saslname_append(out, auth->login->user);
    g_string_append_printf(out,
                           ",\x01host=%s\x01port=%u\x01"
                           "auth=Bearer ",
                           auth->line->host, auth->line->port);
    g_string_append(out, auth->login->token);
    g_string_append(out, "\x01\x01");
    return true;
}

/* Google's and Microsoft's; here an empty line acknowledges the refusal. */
bool imap_own_xoauth2(struct imap_auth *auth, unsigned step, GString *out)
{
    if (step > 0 || !bearer_ready(auth))
        return step == 1;
    g_string_append(out, "user=");
    g_string_append(out, auth->login->user);
    g_string_append(out, "\x01"
                         "auth=Bearer ");
    g_string_append(out, auth->login->token);
    g_string_append(out, "\x01\x01");
    return true;
}

/* ---- why a token was refused ------------------------------------------------------------------
 */

static const struct status {
    const char *status, *words;
} STATUSES[] = {
    {"invalid_token", "the access token is not valid, or no longer"},
    {"401", "the access token is not valid, or no longer"},
    {"insufficient_scope", "the access token does not permit IMAP"},
    {"403", "the access token does not permit IMAP"},
    {"invalid_request", "it does not understand the request"},
    {"400", "it does not understand the access token, or it is for another user"},
};

/* The value of "name" in a JSON object, if it is a string without escapes or a number: no more is
 * needed here, and no more of a stranger's text is looked at. NULL: there is none. */
static char *json_value(const char *json, const char *name)
{
    g_autofree char *key = g_strdup_printf("\"%s\"", name);
    const char *at = strstr(json, key);

    if (!at)
        return NULL;
    at += strlen(key);
    at += strspn(at, " \t\r\n");
    if (*at++ != ':')
        return NULL;
    at += strspn(at, " \t\r\n");
    size_t length = *at == '"' ? strcspn(++at, "\"\\") : strspn(at, "0123456789");
    return length > 0 && length <= STATUS_MAX ? imap_text_safe(at, length, STATUS_MAX) : NULL;
}

char *imap_own_refusal(const char *bytes, size_t length)
{
    g_autofree char *json = g_strndup(bytes, length);
    g_autofree char *status = json_value(json, "status");
    g_autofree char *scope = json_value(json, "scope");
    const char *words = NULL;

    for (size_t i = 0; status && i < G_N_ELEMENTS(STATUSES); i++)
        if (g_ascii_strcasecmp(status, STATUSES[i].status) == 0)
            words = STATUSES[i].words;
    if (!status)
        return NULL;
    return g_strdup_printf("%s%s%s%s%s", words ? words : "it answers with status ",
                           words ? "" : status, scope ? " (it wants the scope " : "",
                           scope ? scope : "", scope ? ")" : "");
}
