#include "imap/auth.h"

#include <sasl/sasl.h>
#include <string.h>

enum { CHALLENGE_MAX = 64 * 1024 };

struct imap_auth {
    const struct imap_mechanism *mechanism;
    const struct imap_login *login;
    unsigned step;
    GString *initial; /* raw; NULL: none */
    /* with libsasl2; NULL: the mechanism's own respond() */
    sasl_conn_t *sasl;
    sasl_secret_t *password;
    sasl_callback_t callbacks[5];
};

void imap_wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    g_free(secret);
}

void imap_wipe_string(GString *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret->str, secret->allocated_len);
    g_string_free(secret, TRUE);
}

/* ---- the mechanisms ---------------------------------------------------------------------------
 */

/* RFC 4616 */
static bool plain_respond(const struct imap_auth *auth, unsigned step, GString *out)
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
static bool login_respond(const struct imap_auth *auth, unsigned step, GString *out)
{
    if (step != 1 && step != 2)
        return false;
    g_string_append(out, step == 1 ? auth->login->user : auth->login->secret);
    return true;
}

static const struct imap_mechanism MECHANISMS[] = {
    {"PLAIN", .rank = 30, .needs_secret = true, .respond = plain_respond},
    {"LOGIN", .rank = 20, .needs_secret = true, .respond = login_respond},
    {"LOGIN", .rank = 10, .needs_secret = true, .command = true},
};

static bool mechanism_offered(const struct imap_mechanism *mechanism,
                              const struct imap_capabilities *capabilities)
{
    if (mechanism->command)
        return !(capabilities->flags & IMAP_CAP_LOGINDISABLED);
    return imap_capabilities_mechanism(capabilities, mechanism->name);
}

/* Whether `auth` names this mechanism. "login" is the command, and SASL's LOGIN where the command
 * is disabled. */
static bool mechanism_named(const struct imap_mechanism *mechanism, const char *auth)
{
    return g_ascii_strcasecmp(mechanism->name, auth) == 0;
}

static void mechanism_missing(const char *auth, const struct imap_capabilities *capabilities,
                              const char *host, GError **error)
{
    g_autoptr(GString) offered = g_string_new(NULL);

    for (guint i = 0; capabilities->mechanisms && i < capabilities->mechanisms->len; i++)
        g_string_append_printf(offered, "%s%s", i ? ", " : "",
                               (const char *)capabilities->mechanisms->pdata[i]);
    g_autofree char *safe = g_str_to_ascii(offered->str, "C");
    g_set_error(error, IMAP_ERROR, IMAP_ERROR_MECHANISM,
                "%s offers no way to sign in that auth=%s allows; it offers %s", host, auth,
                *safe ? safe : "none");
}

const struct imap_mechanism *imap_mechanism_pick(const struct imap_login *login,
                                                 const struct imap_capabilities *capabilities,
                                                 const char *host, GError **error)
{
    const char *auth = login->auth ? login->auth : "auto";
    bool automatic = g_ascii_strcasecmp(auth, "auto") == 0, known = automatic;
    const struct imap_mechanism *best = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(MECHANISMS); i++) {
        const struct imap_mechanism *row = &MECHANISMS[i];
        bool wanted = automatic ? row->rank > 0 : mechanism_named(row, auth);
        known |= wanted;
        if (!wanted || !mechanism_offered(row, capabilities))
            continue;
        bool better = !best || (automatic ? row->rank > best->rank : row->command);
        best = better ? row : best;
    }
    if (!known)
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_MECHANISM,
                    "%s: auth=%s is not known here; use auto, login or plain", host, auth);
    else if (!best)
        mechanism_missing(auth, capabilities, host, error);
    else if (best->needs_secret && !login->secret)
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_MECHANISM, "%s wants a password", host);
    else
        return best;
    return NULL;
}

/* ---- libsasl2 ---------------------------------------------------------------------------------
 */

static int sasl_log(void *context, int level, const char *message)
{
    g_debug("sasl: %s", message ? message : "");
    return SASL_OK;
}

static int sasl_name(void *context, int id, const char **result, unsigned *length)
{
    const struct imap_auth *auth = context;

    /* no authorization identity: the server takes the one that signs in */
    *result = id == SASL_CB_AUTHNAME ? auth->login->user : "";
    if (length)
        *length = (unsigned)strlen(*result);
    return SASL_OK;
}

static int sasl_password(sasl_conn_t *conn, void *context, int id, sasl_secret_t **secret)
{
    const struct imap_auth *auth = context;

    *secret = auth->password;
    return auth->password ? SASL_OK : SASL_FAIL;
}

static void *mutex_new(void)
{
    GMutex *mutex = g_new(GMutex, 1);
    g_mutex_init(mutex);
    return mutex;
}

static int mutex_lock(void *mutex)
{
    g_mutex_lock(mutex);
    return SASL_OK;
}

static int mutex_unlock(void *mutex)
{
    g_mutex_unlock(mutex);
    return SASL_OK;
}

static void mutex_free(void *mutex)
{
    g_mutex_clear(mutex);
    g_free(mutex);
}

#define SASL_PROC(function) ((int (*)(void))(void (*)(void))(function))

static gpointer sasl_start(gpointer data)
{
    static const sasl_callback_t callbacks[] = {
        {SASL_CB_LOG, SASL_PROC(sasl_log), NULL},
        {SASL_CB_LIST_END, NULL, NULL},
    };

    sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_free);
    int rc = sasl_client_init(callbacks);
    if (rc != SASL_OK)
        g_warning("libsasl2 cannot be used: %s", sasl_errstring(rc, NULL, NULL));
    return GINT_TO_POINTER(rc == SASL_OK);
}

static void auth_callbacks(struct imap_auth *auth)
{
    const sasl_callback_t callbacks[G_N_ELEMENTS(auth->callbacks)] = {
        {SASL_CB_LOG, SASL_PROC(sasl_log), auth},
        {SASL_CB_USER, SASL_PROC(sasl_name), auth},
        {SASL_CB_AUTHNAME, SASL_PROC(sasl_name), auth},
        {auth->password ? SASL_CB_PASS : SASL_CB_LIST_END, SASL_PROC(sasl_password), auth},
        {SASL_CB_LIST_END, NULL, NULL},
    };
    memcpy(auth->callbacks, callbacks, sizeof(callbacks));
}

static void auth_password(struct imap_auth *auth)
{
    const char *secret = auth->login->secret;
    size_t length = secret ? strlen(secret) : 0;

    if (!secret)
        return;
    auth->password = g_malloc0(sizeof(sasl_secret_t) + length);
    auth->password->len = length;
    memcpy(auth->password->data, secret, length);
}

/* Whether libsasl2 does this mechanism; then its first response is in auth->initial. */
static bool auth_start_sasl(struct imap_auth *auth, const char *host)
{
    static GOnce once = G_ONCE_INIT;
    static const sasl_security_properties_t no_layer = {0};
    const char *out = NULL;
    unsigned length = 0;

    if (!g_once(&once, sasl_start, NULL))
        return false;
    auth_password(auth);
    auth_callbacks(auth);
    if (sasl_client_new("imap", host, NULL, NULL, auth->callbacks, 0, &auth->sasl) != SASL_OK)
        return false;
    sasl_setprop(auth->sasl, SASL_SEC_PROPS, &no_layer);
    int rc = sasl_client_start(auth->sasl, auth->mechanism->name, NULL, &out, &length, NULL);
    if (rc != SASL_OK && rc != SASL_CONTINUE) {
        g_debug("libsasl2 has no %s: %s", auth->mechanism->name, sasl_errstring(rc, NULL, NULL));
        sasl_dispose(&auth->sasl);
        return false;
    }
    auth->initial = out ? g_string_new_len(out, length) : NULL;
    return true;
}

/* ---- one run ----------------------------------------------------------------------------------
 */

/* Room for all that a mechanism of ours says, so that growing leaves no copies behind. */
static GString *auth_buffer(const struct imap_auth *auth)
{
    size_t secret = auth->login->secret ? strlen(auth->login->secret) : 0;
    return g_string_sized_new(strlen(auth->login->user) + secret + 8);
}

static bool auth_start_own(struct imap_auth *auth)
{
    if (!auth->mechanism->respond)
        return false;
    auth->initial = auth_buffer(auth);
    if (!auth->mechanism->respond(auth, 0, auth->initial))
        g_clear_pointer(&auth->initial, imap_wipe_string);
    return true;
}

struct imap_auth *imap_auth_new(const struct imap_mechanism *mechanism,
                                const struct imap_login *login, const char *host, GError **error)
{
    g_autoptr(imap_auth) auth = g_new0(struct imap_auth, 1);

    auth->mechanism = mechanism;
    auth->login = login;
    if (auth_start_sasl(auth, host) || auth_start_own(auth))
        return g_steal_pointer(&auth);
    g_set_error(error, IMAP_ERROR, IMAP_ERROR_MECHANISM,
                "%s: %s needs a libsasl2 module that is not installed", host, mechanism->name);
    return NULL;
}

void imap_auth_free(struct imap_auth *auth)
{
    if (!auth)
        return;
    if (auth->sasl)
        sasl_dispose(&auth->sasl);
    if (auth->password) {
        explicit_bzero(auth->password->data, auth->password->len);
        g_free(auth->password);
    }
    imap_wipe_string(auth->initial);
    g_free(auth);
}

static char *encode(const char *bytes, size_t length)
{
    return length > 0 ? g_base64_encode((const guchar *)bytes, length) : g_strdup("");
}

char *imap_auth_initial(struct imap_auth *auth)
{
    return auth->initial ? encode(auth->initial->str, auth->initial->len) : NULL;
}

static char *respond_own(struct imap_auth *auth)
{
    GString *out = auth_buffer(auth);
    char *response = NULL;

    if (auth->mechanism->respond(auth, auth->step, out))
        response = encode(out->str, out->len);
    imap_wipe_string(out);
    return response;
}

char *imap_auth_respond(struct imap_auth *auth, const char *challenge)
{
    gsize length = 0;
    const char *out = NULL;
    unsigned out_length = 0;

    if (strlen(challenge) > CHALLENGE_MAX)
        return NULL;
    auth->step++;
    if (!auth->sasl)
        return respond_own(auth);
    g_autofree guchar *raw = g_base64_decode(challenge, &length);
    int rc = sasl_client_step(auth->sasl, raw ? (const char *)raw : "", (unsigned)length, NULL,
                              &out, &out_length);
    if (rc != SASL_OK && rc != SASL_CONTINUE)
        return NULL;
    return encode(out ? out : "", out ? out_length : 0);
}

/* ---- refusals ---------------------------------------------------------------------------------
 */

static const struct refusal {
    const char *code, *words; /* either may be NULL; words in lower case */
    enum imap_error error;
} REFUSALS[] = {
    {"AUTHENTICATIONFAILED", NULL, IMAP_ERROR_LOGIN},
    {"AUTHORIZATIONFAILED", NULL, IMAP_ERROR_LOGIN},
    {"EXPIRED", NULL, IMAP_ERROR_LOGIN},
    {"PRIVACYREQUIRED", NULL, IMAP_ERROR_MECHANISM},
    {"UNAVAILABLE", NULL, IMAP_ERROR_UNAVAILABLE},
    {"INUSE", NULL, IMAP_ERROR_UNAVAILABLE},
    {"LIMIT", NULL, IMAP_ERROR_UNAVAILABLE},
    {"SERVERBUG", NULL, IMAP_ERROR_UNAVAILABLE},
    {NULL, "too many", IMAP_ERROR_UNAVAILABLE},
    {NULL, "maximum number", IMAP_ERROR_UNAVAILABLE},
    {NULL, "throttle", IMAP_ERROR_UNAVAILABLE},
    {NULL, "rate limit", IMAP_ERROR_UNAVAILABLE},
    {NULL, "temporar", IMAP_ERROR_UNAVAILABLE},
    {NULL, "unavailable", IMAP_ERROR_UNAVAILABLE},
    {NULL, "again later", IMAP_ERROR_UNAVAILABLE},
    {NULL, "authenticated but not connected", IMAP_ERROR_UNAVAILABLE}, /* Exchange */
};

enum imap_error imap_auth_error(const char *code, const char *text)
{
    g_autofree char *lower = g_ascii_strdown(text ? text : "", -1);

    for (size_t i = 0; i < G_N_ELEMENTS(REFUSALS); i++) {
        const struct refusal *row = &REFUSALS[i];
        if (row->code ? code && g_ascii_strcasecmp(code, row->code) == 0
                      : strstr(lower, row->words) != NULL)
            return row->error;
    }
    return IMAP_ERROR_LOGIN;
}
