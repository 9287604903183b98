/* The table of mechanisms, and which of them to take. */
#include "imap/auth-private.h"

#include <string.h>

#define MODULES "libsasl2-modules"
#define KERBEROS_MODULES "libsasl2-modules-gssapi-mit"

enum {
    SCRAM = IMAP_MECH_SECRET | IMAP_MECH_SCRAM,
    SCRAM_PLUS = SCRAM | IMAP_MECH_BINDING,
    KERBEROS = IMAP_MECH_KERBEROS | IMAP_MECH_OTHER,
    BEARER = IMAP_MECH_TOKEN | IMAP_MECH_BEARER,
};

/* In the order of `auto`, best first; HASH rows stand where they belong on a line in the clear. */
static const struct imap_mechanism MECHANISMS[] = {
    {"OAUTHBEARER", BEARER, NULL, imap_own_oauthbearer},
    {"XOAUTH2", BEARER, NULL, imap_own_xoauth2},
    {"EXTERNAL", IMAP_MECH_IDENTITY | IMAP_MECH_OTHER, NULL, imap_own_external},
    {"GSSAPI", KERBEROS, KERBEROS_MODULES, NULL},
    {"GS2-KRB5", KERBEROS, KERBEROS_MODULES, NULL},
    {"SCRAM-SHA-512-PLUS", SCRAM_PLUS, MODULES, NULL},
    {"SCRAM-SHA-384-PLUS", SCRAM_PLUS, MODULES, NULL},
    {"SCRAM-SHA-256-PLUS", SCRAM_PLUS, MODULES, NULL},
    {"SCRAM-SHA-1-PLUS", SCRAM_PLUS, MODULES, NULL},
    {"SCRAM-SHA-512", SCRAM, MODULES, NULL},
    {"SCRAM-SHA-384", SCRAM, MODULES, NULL},
    {"SCRAM-SHA-256", SCRAM, MODULES, NULL},
    {"SCRAM-SHA-1", SCRAM, MODULES, NULL},
    {"DIGEST-MD5", IMAP_MECH_SECRET | IMAP_MECH_HASH, MODULES, NULL},
    {"CRAM-MD5", IMAP_MECH_SECRET | IMAP_MECH_HASH, MODULES, NULL},
    {"PLAIN", IMAP_MECH_SECRET, MODULES, imap_own_plain},
    {"LOGIN", IMAP_MECH_SECRET | IMAP_MECH_PROMPTS, MODULES, imap_own_login},
    {"LOGIN", IMAP_MECH_SECRET | IMAP_MECH_COMMAND, NULL, NULL},
    {"OTP", IMAP_MECH_SECRET | IMAP_MECH_ONCE, "libsasl2-modules-otp", NULL},
};

static bool mechanism_offered(const struct imap_mechanism *mechanism,
                              const struct imap_capabilities *capabilities)
{
    if (mechanism->flags & IMAP_MECH_COMMAND)
        return !(capabilities->flags & IMAP_CAP_LOGINDISABLED);
    return imap_capabilities_mechanism(capabilities, mechanism->name);
}

/* What it takes and is not there, in words; NULL: nothing is missing. */
static const char *mechanism_lacks(const struct imap_mechanism *mechanism,
                                   const struct imap_login *login, const struct imap_line *line)
{
    if ((mechanism->flags & IMAP_MECH_SECRET) && !login->secret)
        return "wants a password";
    if ((mechanism->flags & IMAP_MECH_TOKEN) && !login->token)
        return "wants an access token; token_command= gets one";
    if ((mechanism->flags & IMAP_MECH_IDENTITY) && !line->identity)
        return "wants a client certificate; tls_cert= names it";
    if ((mechanism->flags & (IMAP_MECH_IDENTITY | IMAP_MECH_BINDING)) && !line->secure)
        return "can do that only in TLS";
    if ((mechanism->flags & IMAP_MECH_BINDING) && !line->binding)
        return "can do that only on a TLS connection that can be bound to";
    return NULL;
}

/* ---- choosing --------------------------------------------------------------------------------
 */

bool imap_mechanism_automatic(const struct imap_login *login)
{
    return !login->auth || g_ascii_strcasecmp(login->auth, "auto") == 0;
}

/* With a token `auto` uses that, without one everything else. */
static bool mechanism_wanted(const struct imap_mechanism *mechanism, const struct imap_login *login)
{
    if (imap_mechanism_automatic(login))
        return !(mechanism->flags & IMAP_MECH_TOKEN) == !login->token;
    return g_ascii_strcasecmp(mechanism->name, login->auth) == 0;
}

/* LOGIN by name is the command, and SASL's LOGIN only where that is disabled; old hashes come last
 * where TLS keeps the password anyway. What takes another secret than a password does so always. */
static bool goes_last(const struct imap_mechanism *mechanism, const struct imap_login *login,
                      const struct imap_line *line)
{
    if (imap_mechanism_automatic(login))
        return (mechanism->flags & IMAP_MECH_ONCE) ||
               ((mechanism->flags & IMAP_MECH_HASH) && line->secure);
    return mechanism->flags & IMAP_MECH_PROMPTS;
}

static GPtrArray *mechanisms_offered(const struct imap_login *login,
                                     const struct imap_capabilities *capabilities,
                                     const struct imap_line *line)
{
    GPtrArray *found = g_ptr_array_new();

    for (int last = 0; last <= 1; last++)
        for (size_t i = 0; i < G_N_ELEMENTS(MECHANISMS); i++) {
            const struct imap_mechanism *row = &MECHANISMS[i];
            if (goes_last(row, login, line) == last && mechanism_wanted(row, login) &&
                mechanism_offered(row, capabilities))
                g_ptr_array_add(found, (gpointer)row);
        }
    return found;
}

static bool mechanism_known(const char *auth)
{
    for (size_t i = 0; i < G_N_ELEMENTS(MECHANISMS); i++)
        if (g_ascii_strcasecmp(MECHANISMS[i].name, auth) == 0)
            return true;
    return false;
}

static void mechanism_missing(const struct imap_login *login,
                              const struct imap_capabilities *capabilities, const char *host,
                              GError **error)
{
    g_autoptr(GString) offered = g_string_new(NULL);

    for (guint i = 0; capabilities->mechanisms && i < capabilities->mechanisms->len; i++)
        g_string_append_printf(offered, "%s%s", i ? ", " : "",
                               (const char *)capabilities->mechanisms->pdata[i]);
    g_autofree char *safe = g_str_to_ascii(offered->str, "C");
    g_autofree char *allowed =
        login->token && imap_mechanism_automatic(login)
            ? g_strdup("takes an access token")
            : g_strdup_printf("auth=%s allows", login->auth ? login->auth : "auto");
    g_set_error(error, IMAP_ERROR, IMAP_ERROR_MECHANISM,
                "%s offers no way to sign in that %s; it offers %s", host, allowed,
                *safe ? safe : "none");
}

/* Those of `found` for which nothing is missing. What the last of them lacks is what most people
 * can give: a password. */
static GPtrArray *mechanisms_possible(GPtrArray *found, const struct imap_login *login,
                                      const struct imap_line *line, GError **error)
{
    GPtrArray *possible = g_ptr_array_new();
    const char *lacks = NULL;

    for (guint i = 0; i < found->len; i++) {
        const struct imap_mechanism *row = found->pdata[i];
        const char *missing = mechanism_lacks(row, login, line);
        if (!missing)
            g_ptr_array_add(possible, (gpointer)row);
        else
            lacks = missing;
    }
    if (possible->len > 0)
        return possible;
    g_set_error(error, IMAP_ERROR, IMAP_ERROR_MECHANISM, "%s %s", line->host, lacks);
    g_ptr_array_unref(possible);
    return NULL;
}

GPtrArray *imap_mechanisms_choose(const struct imap_login *login,
                                  const struct imap_capabilities *capabilities,
                                  const struct imap_line *line, GError **error)
{
    if (!imap_mechanism_automatic(login) && !mechanism_known(login->auth)) {
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_MECHANISM, "%s: auth=%s is not known here",
                    line->host, login->auth);
        return NULL;
    }
    g_autoptr(GPtrArray) found = mechanisms_offered(login, capabilities, line);
    if (found->len > 0)
        return mechanisms_possible(found, login, line, error);
    mechanism_missing(login, capabilities, line->host, error);
    return NULL;
}

const struct imap_mechanism *imap_mechanism_kerberos(void)
{
    const struct imap_mechanism *row = MECHANISMS;

    while (!(row->flags & IMAP_MECH_KERBEROS))
        row++;
    return row;
}

static size_t mechanism_place(const char *name)
{
    size_t i = 0;

    while (i < G_N_ELEMENTS(MECHANISMS) && g_ascii_strcasecmp(MECHANISMS[i].name, name) != 0)
        i++;
    return i;
}

bool imap_mechanism_better(const char *better, const char *worse)
{
    return mechanism_place(better) < mechanism_place(worse);
}

/* A certificate or token that is no longer given, and one clear way instead of another, are no
 * weakening. */
bool imap_mechanism_missed(const char *before, const char *now,
                           const struct imap_capabilities *capabilities)
{
    size_t place = mechanism_place(before);
    unsigned other = IMAP_MECH_IDENTITY | IMAP_MECH_TOKEN | IMAP_MECH_PROMPTS;

    if (place >= mechanism_place(now) || imap_capabilities_mechanism(capabilities, before))
        return false;
    bool clear = MECHANISMS[place].flags == IMAP_MECH_SECRET && MECHANISMS[place].respond != NULL;
    return !clear && !(MECHANISMS[place].flags & other);
}
