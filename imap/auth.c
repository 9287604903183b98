/* One run of a mechanism: libsasl2's or our own. */
#include "imap/auth-private.h"

#include <string.h>

enum { CHALLENGE_MAX = 64 * 1024, WHY_MAX = 300 };

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

/* ---- life -------------------------------------------------------------------------------------
 */

struct imap_auth *imap_auth_new(const struct imap_mechanism *mechanism,
                                const struct imap_login *login, const struct imap_line *line)
{
    struct imap_auth *auth = g_new0(struct imap_auth, 1);

    auth->references = 1;
    auth->mechanism = mechanism;
    auth->login = login;
    auth->line = line;
    auth->code = IMAP_ERROR_MECHANISM;
    if (mechanism->package)
        imap_sasl_prepare(auth);
    return auth;
}

struct imap_auth *imap_auth_ref(struct imap_auth *auth)
{
    g_atomic_int_inc(&auth->references);
    return auth;
}

void imap_auth_forget(struct imap_auth *auth)
{
    g_clear_pointer(&auth->out, imap_wipe_string);
    imap_sasl_forget(auth);
}

void imap_auth_unref(struct imap_auth *auth)
{
    if (!auth || !g_atomic_int_dec_and_test(&auth->references))
        return;
    if (auth->sasl)
        sasl_dispose(&auth->sasl);
    imap_auth_forget(auth);
    g_clear_pointer(&auth->binding, g_bytes_unref);
    g_free(auth->binding_name);
    g_free(auth->user);
    g_free(auth->host);
    g_free(auth->why);
    g_free(auth);
}

void imap_auth_fail(struct imap_auth *auth, enum imap_auth_state state, enum imap_error code,
                    const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_free(auth->why);
    auth->why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    auth->state = state;
    auth->code = code;
    g_clear_pointer(&auth->out, imap_wipe_string);
}

/* ---- our own answers --------------------------------------------------------------------------
 */

/* Room for all that a mechanism of ours says, so that growing leaves no copies behind. */
static GString *own_buffer(const struct imap_auth *auth)
{
    const struct imap_login *login = auth->login;
    size_t secret = login->secret ? strlen(login->secret) : 0;
    size_t token = login->token ? strlen(login->token) : 0;

    return g_string_sized_new(3 * strlen(login->user) + secret + token + strlen(auth->line->host) +
                              80);
}

static void asks_on(struct imap_auth *auth)
{
    imap_auth_fail(auth, IMAP_AUTH_FAILED, IMAP_ERROR_PROTOCOL, "it asks more than %s answers",
                   auth->mechanism->name);
}

/* Our mechanisms make the server prove nothing; whether they have said all does not matter. */
static void own_respond(struct imap_auth *auth)
{
    auth->state = IMAP_AUTH_DONE;
    auth->out = own_buffer(auth);
    if (auth->mechanism->respond(auth, auth->step, auth->out))
        return;
    g_clear_pointer(&auth->out, imap_wipe_string);
    if (auth->state == IMAP_AUTH_DONE && auth->step > 0)
        asks_on(auth);
}

/* ---- challenges -------------------------------------------------------------------------------
 */

/* RFC 4648, 4, with nothing in between; NULL: it is not. */
static guchar *challenge_decode(const char *text, gsize *length)
{
    size_t n = strlen(text), digits = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                   "abcdefghijklmnopqrstuvwxyz0123456789+/");
    size_t padding = n - digits;

    *length = 0;
    if (n == 0)
        return g_malloc0(1);
    if (n % 4 != 0 || padding > 2 || strspn(text + digits, "=") != padding)
        return NULL;
    return g_base64_decode(text, length);
}

/* The iterations that a SCRAM server asks for ("r=...,s=...,i=4096"; RFC 5802, 5.1), which libsasl2
 * takes as they are. So many that hashing would not end are refused, and, where anybody may listen
 * or be the server, so few that the password could be guessed at quickly. */
static bool iterations_bearable(const struct imap_auth *auth, const char *bytes, size_t length)
{
    enum { ITERATIONS_MAX = 10 * 1000 * 1000, ITERATIONS_CLEAR_MIN = 4096 };
    g_autofree char *text = g_strndup(bytes, length);
    const char *at = g_str_has_prefix(text, "r=") ? strstr(text, ",i=") : NULL;
    g_autofree char *digits = at ? g_strndup(at + 3, strcspn(at + 3, ",")) : NULL;
    guint64 iterations;

    return !at || g_ascii_string_to_unsigned(digits, 10, auth->secure ? 1 : ITERATIONS_CLEAR_MIN,
                                             ITERATIONS_MAX, &iterations, NULL);
}

/* The reason of a refusal is taken down; the answer to it is our own mechanism's. */
static bool challenge_heed(struct imap_auth *auth, const char *bytes, size_t length)
{
    if (auth->mechanism->flags & IMAP_MECH_BEARER) {
        g_free(auth->why);
        auth->why = imap_own_refusal(bytes, length);
    }
    if (!(auth->mechanism->flags & IMAP_MECH_SCRAM) || iterations_bearable(auth, bytes, length))
        return true;
    imap_auth_fail(auth, IMAP_AUTH_FAILED, IMAP_ERROR_PROTOCOL,
                   "it wants too many rounds of hashing, or too few");
    return false;
}

static void answer_challenge(struct imap_auth *auth, const char *challenge)
{
    gsize length = 0;
    size_t size = strlen(challenge);
    g_autofree guchar *raw = size <= CHALLENGE_MAX ? challenge_decode(challenge, &length) : NULL;

    auth->step++;
    if (!raw && size <= CHALLENGE_MAX && (auth->mechanism->flags & IMAP_MECH_PROMPTS))
        raw = g_malloc0(1);
    if (!raw) {
        imap_auth_fail(auth, IMAP_AUTH_FAILED, IMAP_ERROR_PROTOCOL, "its challenge makes no sense");
        return;
    }
    if (!challenge_heed(auth, (const char *)raw, length))
        return;
    if (auth->sasl && auth->state == IMAP_AUTH_DONE)
        asks_on(auth);
    else if (auth->sasl)
        imap_sasl_step(auth, (const char *)raw, length);
    else
        own_respond(auth);
}

static void begin(struct imap_auth *auth)
{
    auth->state = IMAP_AUTH_ABSENT;
    if (auth->mechanism->package)
        imap_sasl_start(auth);
    if (auth->state != IMAP_AUTH_ABSENT || !auth->mechanism->respond)
        return;
    g_clear_pointer(&auth->why, g_free);
    own_respond(auth);
}

void imap_auth_step(struct imap_auth *auth, const char *challenge)
{
    g_clear_pointer(&auth->out, imap_wipe_string);
    if (challenge)
        answer_challenge(auth, challenge);
    else
        begin(auth);
}

/* ---- how it went ------------------------------------------------------------------------------
 */

bool imap_auth_blocks(const struct imap_auth *auth)
{
    return !auth->mechanism->respond;
}

enum imap_auth_state imap_auth_state(const struct imap_auth *auth)
{
    return auth->state;
}

char *imap_auth_response(const struct imap_auth *auth)
{
    if (!auth->out)
        return NULL;
    return auth->out->len > 0 ? g_base64_encode((const guchar *)auth->out->str, auth->out->len)
                              : g_strdup("");
}

const char *imap_auth_why(const struct imap_auth *auth)
{
    return auth->why;
}

enum imap_error imap_auth_code(const struct imap_auth *auth)
{
    return auth->code;
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
    /* who is told so and goes on makes it worse */
    {NULL, "failed login", IMAP_ERROR_LOGIN},
    {NULL, "failed attempt", IMAP_ERROR_LOGIN},
    {NULL, "failed password", IMAP_ERROR_LOGIN},
    {NULL, "invalid login", IMAP_ERROR_LOGIN},
    {NULL, "invalid attempt", IMAP_ERROR_LOGIN},
    {NULL, "incorrect login", IMAP_ERROR_LOGIN},
    {NULL, "unsuccessful", IMAP_ERROR_LOGIN},
    {NULL, "failed authentication", IMAP_ERROR_LOGIN},
    {NULL, "login attempt", IMAP_ERROR_LOGIN},
    {NULL, "login failures", IMAP_ERROR_LOGIN},
    {NULL, "authentication failures", IMAP_ERROR_LOGIN},
    {NULL, "mailbox is locked", IMAP_ERROR_UNAVAILABLE}, /* by another program */
    {NULL, "mailbox locked", IMAP_ERROR_UNAVAILABLE},
    {NULL, "inbox is locked", IMAP_ERROR_UNAVAILABLE},
    {NULL, "inbox locked", IMAP_ERROR_UNAVAILABLE},
    {NULL, "locked", IMAP_ERROR_LOGIN}, /* "blocked" too */
    {NULL, "lockout", IMAP_ERROR_LOGIN},
    {NULL, "wrong password", IMAP_ERROR_LOGIN},
    {NULL, "invalid password", IMAP_ERROR_LOGIN},
    {NULL, "incorrect password", IMAP_ERROR_LOGIN},
    {NULL, "too many", IMAP_ERROR_UNAVAILABLE},
    {NULL, "simultaneous", IMAP_ERROR_UNAVAILABLE},
    {NULL, "connection limit", IMAP_ERROR_UNAVAILABLE},
    {NULL, "maximum number", IMAP_ERROR_UNAVAILABLE},
    {NULL, "throttle", IMAP_ERROR_UNAVAILABLE},
    {NULL, "rate limit", IMAP_ERROR_UNAVAILABLE},
    {NULL, "temporar", IMAP_ERROR_UNAVAILABLE},
    {NULL, "unavailable", IMAP_ERROR_UNAVAILABLE},
    {NULL, "again later", IMAP_ERROR_UNAVAILABLE},
    {NULL, "authenticated but not connected", IMAP_ERROR_UNAVAILABLE}, /* Exchange */
};

enum imap_error imap_auth_error(const char *code, const char *text, enum imap_error otherwise)
{
    g_autofree char *lower = g_ascii_strdown(text ? text : "", -1);

    for (size_t i = 0; i < G_N_ELEMENTS(REFUSALS); i++) {
        const struct refusal *row = &REFUSALS[i];
        if (row->code ? code && g_ascii_strcasecmp(code, row->code) == 0
                      : strstr(lower, row->words) != NULL)
            return row->error;
    }
    return otherwise;
}
