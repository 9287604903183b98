/* libsasl2: the only place that calls it. */
#include "imap/auth-private.h"
#include "imap/transcript.h"

#include <string.h>

enum {
    DETAIL_MAX = 200,
    LAYER_BUFFER = 64 * 1024, /* bytes of a sealed packet, both ways */
    LAYER_SSF_MAX = 256,
};

/* ---- what libsasl2 asks of us -----------------------------------------------------------------
 */

/* Its debug levels show what passes, secrets among it: only what went wrong is let through. */
static int sasl_log(void *context, int level, const char *message)
{
    if (level > SASL_LOG_NOTE || level == SASL_LOG_NONE || !message)
        return SASL_OK;
    g_autofree char *text = imap_text_safe(message, strlen(message), DETAIL_MAX);
    g_debug("sasl: %s", text);
    return SASL_OK;
}

static int sasl_name(void *context, int id, const char **result, unsigned *length)
{
    const struct imap_auth *auth = context;
    bool names = id == SASL_CB_AUTHNAME || (auth->mechanism->flags & IMAP_MECH_OTHER);

    /* no authorization identity: the server takes the one that signs in */
    *result = names ? auth->user : "";
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

/* DIGEST-MD5 (RFC 2831, 2.1.2.1): the realm of the user's address if it is offered, else the first.
 */
static int sasl_realm(void *context, int id, const char **realms, const char **result)
{
    const struct imap_auth *auth = context;
    const char *at = strrchr(auth->user, '@');

    *result = realms && realms[0] ? realms[0] : "";
    for (size_t i = 0; at && realms && realms[i]; i++)
        if (g_ascii_strcasecmp(realms[i], at + 1) == 0)
            *result = realms[i];
    return SASL_OK;
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

static gpointer library_start(gpointer data)
{
    static const sasl_callback_t callbacks[] = {
        {SASL_CB_LOG, SASL_PROC(sasl_log), NULL},
        {SASL_CB_LIST_END, NULL, NULL},
    };

    imap_sasl_memory();
    sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_free);
    int rc = sasl_client_init(callbacks);
    if (rc != SASL_OK)
        g_warning("libsasl2 cannot be used: %s", sasl_errstring(rc, NULL, NULL));
    return GINT_TO_POINTER(rc == SASL_OK);
}

/* SASL_CB_ECHOPROMPT is never among them: OTP would take its answer for the one-time password
 * instead of computing it from the passphrase. */
static void callbacks_set(struct imap_auth *auth)
{
    const sasl_callback_t callbacks[G_N_ELEMENTS(auth->callbacks)] = {
        {SASL_CB_LOG, SASL_PROC(sasl_log), auth},
        {SASL_CB_USER, SASL_PROC(sasl_name), auth},
        {SASL_CB_AUTHNAME, SASL_PROC(sasl_name), auth},
        {SASL_CB_GETREALM, SASL_PROC(sasl_realm), auth},
        {auth->password ? SASL_CB_PASS : SASL_CB_LIST_END, SASL_PROC(sasl_password), auth},
        {SASL_CB_LIST_END, NULL, NULL},
    };
    memcpy(auth->callbacks, callbacks, sizeof(callbacks));
}

/* ---- what the run owns ------------------------------------------------------------------------
 */

void imap_sasl_prepare(struct imap_auth *auth)
{
    const char *secret = auth->mechanism->flags & IMAP_MECH_SECRET ? auth->login->secret : NULL;
    size_t length = secret ? strlen(secret) : 0;

    auth->user = g_strdup(auth->login->user);
    auth->host = g_strdup(auth->line->host);
    auth->secure = auth->line->secure;
    auth->named = !imap_mechanism_automatic(auth->login);
    auth->binding_name = g_strdup(auth->line->binding_name);
    auth->binding = auth->line->binding ? g_bytes_ref(auth->line->binding) : NULL;
    if (!secret)
        return;
    auth->password = g_malloc0(sizeof(sasl_secret_t) + length);
    auth->password->len = length;
    memcpy(auth->password->data, secret, length);
}

void imap_sasl_forget(struct imap_auth *auth)
{
    if (!auth->password)
        return;
    explicit_bzero(auth->password->data, auth->password->len);
    g_clear_pointer(&auth->password, g_free);
}

/* ---- what went wrong --------------------------------------------------------------------------
 */

/* Kerberos' own words stand in the last brackets: "... Minor code may provide more information
 * (Ticket expired)". */
static char *kerberos_detail(const char *detail)
{
    static const char BEFORE[] = "may provide more information (";
    const char *at = strstr(detail, BEFORE);
    const char *begin = at ? at + strlen(BEFORE) : detail, *end = at ? strrchr(begin, ')') : NULL;

    return imap_text_safe(begin, end ? (size_t)(end - begin) : strlen(begin), DETAIL_MAX);
}

static const struct kerberos_words {
    const char *part, *advice;
    enum imap_error code;
} KERBEROS_WORDS[] = {
    {"No Kerberos credentials", "; kinit gets a ticket", IMAP_ERROR_MECHANISM},
    {"No credentials cache", "; kinit gets a ticket", IMAP_ERROR_MECHANISM},
    {"expired", "; kinit gets a new ticket", IMAP_ERROR_MECHANISM},
    {"Cannot contact any KDC", "", IMAP_ERROR_UNAVAILABLE},
    {"Cannot find KDC", "", IMAP_ERROR_UNAVAILABLE},
    {"", "", IMAP_ERROR_MECHANISM},
};

static void kerberos_failed(struct imap_auth *auth, enum imap_auth_state state)
{
    g_autofree char *detail = kerberos_detail(sasl_errdetail(auth->sasl));
    const struct kerberos_words *row = KERBEROS_WORDS;

    while (!strstr(detail, row->part))
        row++;
    imap_auth_fail(auth, state, row->code, "Kerberos says: %s%s", detail, row->advice);
}

static void sasl_failed(struct imap_auth *auth, int rc, enum imap_auth_state state)
{
    const char *detail = sasl_errdetail(auth->sasl);
    g_autofree char *text = imap_text_safe(detail, strlen(detail), DETAIL_MAX);

    g_debug("libsasl2: %s: %s", auth->mechanism->name, text);
    if (rc == SASL_NOMECH)
        imap_auth_fail(auth, state, IMAP_ERROR_MECHANISM,
                       "sign-in by %s needs the Debian package %s", auth->mechanism->name,
                       auth->mechanism->package);
    else if (auth->mechanism->flags & IMAP_MECH_KERBEROS)
        kerberos_failed(auth, state);
    else if (rc == SASL_BADSERV ||
             (rc == SASL_BADAUTH && (auth->mechanism->flags & IMAP_MECH_SCRAM)))
        imap_auth_fail(auth, state, IMAP_ERROR_MECHANISM,
                       "it does not prove that it knows the password: it is not the true server, "
                       "or the password is wrong");
    else
        imap_auth_fail(auth, state, IMAP_ERROR_PROTOCOL, "its challenge makes no sense (%s)", text);
}

/* ---- the steps --------------------------------------------------------------------------------
 */

static void sasl_said(struct imap_auth *auth, int rc, const char *out, unsigned length)
{
    auth->state = rc == SASL_OK ? IMAP_AUTH_DONE : IMAP_AUTH_MORE;
    auth->out = out ? g_string_new_len(out, length) : NULL;
}

static bool sasl_open(struct imap_auth *auth)
{
    static GOnce once = G_ONCE_INIT;
    /* A layer is asked for only in the clear: in TLS it would protect nothing more. */
    const sasl_security_properties_t properties = {
        .max_ssf = auth->secure ? 0 : LAYER_SSF_MAX,
        .maxbufsize = auth->secure ? 0 : LAYER_BUFFER,
        .security_flags = SASL_SEC_NOANONYMOUS,
    };

    if (!g_once(&once, library_start, NULL))
        return false;
    callbacks_set(auth);
    if (sasl_client_new("imap", auth->host, NULL, NULL, auth->callbacks, 0, &auth->sasl) != SASL_OK)
        return false;
    return sasl_setprop(auth->sasl, SASL_SEC_PROPS, &properties) == SASL_OK;
}

/* Gives libsasl2 the binding where it counts. Without -PLUS it makes a SCRAM of `auto` say that we
 * could have bound (RFC 5802, 6: "y"), so that a server notices if somebody took its -PLUS out of
 * the list; libsasl2 says so only where it seems to have had a choice. */
static const char *sasl_bind(struct imap_auth *auth, char *list, size_t size)
{
    bool binds = auth->mechanism->flags & IMAP_MECH_BINDING;
    bool could = (auth->mechanism->flags & IMAP_MECH_SCRAM) && !auth->named;

    g_strlcpy(list, auth->mechanism->name, size);
    if (!auth->binding || !(binds || could))
        return list;
    gsize length = 0;
    auth->channel.data = g_bytes_get_data(auth->binding, &length);
    auth->channel.len = length;
    auth->channel.name = auth->binding_name;
    auth->channel.critical = binds;
    sasl_setprop(auth->sasl, SASL_CHANNEL_BINDING, &auth->channel);
    if (!binds)
        g_strlcat(list, " X-NONE", size);
    return list;
}

void imap_sasl_start(struct imap_auth *auth)
{
    const char *out = NULL;
    unsigned length = 0;
    char list[64];

    if (!sasl_open(auth)) {
        imap_auth_fail(auth, IMAP_AUTH_ABSENT, IMAP_ERROR_MECHANISM, "libsasl2 cannot be used");
        return;
    }
    /* In the old ones the server speaks first. DIGEST-MD5 would take up an earlier sign-in with
     * what it remembers of it (RFC 2831, 2.2), which fails where the server asks anew all the same.
     */
    bool first = !(auth->mechanism->flags & IMAP_MECH_HASH);
    int rc = sasl_client_start(auth->sasl, sasl_bind(auth, list, sizeof(list)), NULL,
                               first ? &out : NULL, first ? &length : NULL, NULL);
    if (rc == SASL_OK || rc == SASL_CONTINUE) {
        sasl_said(auth, rc, out, length);
        return;
    }
    sasl_failed(auth, rc, IMAP_AUTH_ABSENT);
    sasl_dispose(&auth->sasl);
}

void imap_sasl_step(struct imap_auth *auth, const char *bytes, size_t length)
{
    const char *out = NULL;
    unsigned out_length = 0;
    int rc = sasl_client_step(auth->sasl, bytes, (unsigned)length, NULL, &out, &out_length);

    if (rc == SASL_OK || rc == SASL_CONTINUE)
        sasl_said(auth, rc, out ? out : "", out ? out_length : 0);
    else
        sasl_failed(auth, rc, IMAP_AUTH_FAILED);
}

/* ---- the security layer -----------------------------------------------------------------------
 */

size_t imap_auth_layer(const struct imap_auth *auth)
{
    const void *ssf = NULL, *most = NULL;

    if (!auth->sasl || auth->state != IMAP_AUTH_DONE ||
        sasl_getprop(auth->sasl, SASL_SSF, &ssf) != SASL_OK || *(const sasl_ssf_t *)ssf == 0)
        return 0;
    if (sasl_getprop(auth->sasl, SASL_MAXOUTBUF, &most) != SASL_OK)
        return 0;
    return CLAMP(*(const unsigned *)most, 1, LAYER_BUFFER);
}

bool imap_auth_encode(struct imap_auth *auth, const void *bytes, size_t length, const char **out,
                      size_t *out_length)
{
    unsigned n = 0;
    int rc = sasl_encode(auth->sasl, bytes, (unsigned)length, out, &n);

    *out_length = n;
    return rc == SASL_OK;
}

bool imap_auth_decode(struct imap_auth *auth, const void *bytes, size_t length, const char **out,
                      size_t *out_length)
{
    unsigned n = 0;
    int rc = sasl_decode(auth->sasl, bytes, (unsigned)length, out, &n);

    *out_length = n;
    return rc == SASL_OK;
}
