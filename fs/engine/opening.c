#include "fs/engine/opening.h"

#include <string.h>

#include "fs/engine/state.h"

/* ---- the crew -------------------------------------------------------------------------------- */

struct crew {
    gint references; /* atomic */
    GMutex lock;
    GCond changed;
    unsigned running; /* under `lock` */
};

struct crew *crew_new(void)
{
    struct crew *crew = g_new0(struct crew, 1);
    crew->references = 1;
    g_mutex_init(&crew->lock);
    g_cond_init(&crew->changed);
    return crew;
}

void crew_unref(struct crew *crew)
{
    if (!g_atomic_int_dec_and_test(&crew->references))
        return;
    g_mutex_clear(&crew->lock);
    g_cond_clear(&crew->changed);
    g_free(crew);
}

static struct crew *crew_enter(struct crew *crew)
{
    g_atomic_int_inc(&crew->references);
    g_mutex_lock(&crew->lock);
    crew->running++;
    g_mutex_unlock(&crew->lock);
    return crew;
}

static void crew_leave(struct crew *crew)
{
    g_mutex_lock(&crew->lock);
    crew->running--;
    g_cond_broadcast(&crew->changed);
    g_mutex_unlock(&crew->lock);
}

void crew_wait(struct crew *crew, gint64 wait_us)
{
    gint64 until = g_get_monotonic_time() + wait_us;
    g_mutex_lock(&crew->lock);
    while (crew->running > 0)
        if (!g_cond_wait_until(&crew->changed, &crew->lock, until))
            break;
    g_mutex_unlock(&crew->lock);
}

/* ---- the account's copy ---------------------------------------------------------------------- */

/* The thread may outlive the engine's account: it works on copies of the strings that it needs. */
static const size_t ACCOUNT_STRINGS[] = {
    offsetof(struct account, name),          offsetof(struct account, source),
    offsetof(struct account, host),          offsetof(struct account, user),
    offsetof(struct account, auth),          offsetof(struct account, password_command),
    offsetof(struct account, tls_ca),        offsetof(struct account, tls_fingerprint),
    offsetof(struct account, netrc),         offsetof(struct account, token_command),
    offsetof(struct account, password_file), offsetof(struct account, tls_cert),
    offsetof(struct account, tls_key),       offsetof(struct account, tunnel_command),
    offsetof(struct account, proxy),
};

static char **account_string(struct account *account, size_t i)
{
    return (char **)(void *)((char *)account + ACCOUNT_STRINGS[i]);
}

static void account_copy(struct account *to, const struct account *from)
{
    *to = *from;
    to->folders = NULL;
    to->cache_dir = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(ACCOUNT_STRINGS); i++)
        *account_string(to, i) = g_strdup(*account_string(to, i));
}

static void account_drop(struct account *account)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ACCOUNT_STRINGS); i++)
        account_wipe(*account_string(account, i));
}

/* ---- opening --------------------------------------------------------------------------------- */

void opening_unref(struct opening *opening)
{
    if (!g_atomic_int_dec_and_test(&opening->references))
        return;
    if (opening->session != NULL)
        imap_session_free(opening->session);
    g_clear_error(&opening->error);
    g_object_unref(opening->cancel);
    account_drop(&opening->account);
    secret_unref(opening->secret);
    imap_flaws_unref(opening->flaws);
    g_clear_pointer(&opening->context, g_main_context_unref);
    crew_unref(opening->crew);
    g_free(opening);
}

static void opening_transcript(unsigned connection, bool from_server, const char *line, void *data)
{
    g_debug("%u %s %s", connection, from_server ? "<" : ">", line);
}

static const enum imap_tls TLS[] = {
    [ACCOUNT_TLS_IMPLICIT] = IMAP_TLS_IMPLICIT,
    [ACCOUNT_TLS_STARTTLS] = IMAP_TLS_STARTTLS,
    [ACCOUNT_TLS_NONE] = IMAP_TLS_NONE,
    [ACCOUNT_TLS_UNSAID] = IMAP_TLS_STARTTLS,
};

static struct imap_server server_of(const struct account *account,
                                    const struct opening_watch *watch)
{
    return (struct imap_server){
        .host = account->host,
        .port = account->port,
        .tls = TLS[account->tls],
        .ca_file = account->tls_ca,
        .fingerprint = account->tls_fingerprint,
        .cert_file = account->tls_cert,
        .key_file = account->tls_key,
        .timeout_s = account->timeout_s,
        .flaws = watch->flaws,
        .worked = watch->worked,
        .tunnel = account->tunnel_command,
        .proxy = account->proxy,
        .transcript = watch->transcript ? opening_transcript : NULL,
        .progress = watch->progress,
        .progress_data = watch->data,
    };
}

static struct imap_login login_of(const struct account *account, const struct secret *with)
{
    const char *secret = with != NULL ? secret_text(with) : NULL;

    return (struct imap_login){
        .user = account->user,
        .secret = account->token_command == NULL ? secret : NULL,
        .token = account->token_command != NULL ? secret : NULL,
        .auth = account->auth != NULL ? account->auth : "auto",
    };
}

static bool key_is_private(const struct account *account, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (secret_key_is_private(account, &why))
        return true;
    g_set_error(error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE, "%s: %s", account->host, why->message);
    return false;
}

struct imap_session *opening_session(const struct account *account, const struct secret *with,
                                     const struct opening_watch *watch, GCancellable *cancel,
                                     GError **error)
{
    const struct imap_server server = server_of(account, watch);
    struct imap_login login = login_of(account, with);

    login.before = watch->before;
    if (!key_is_private(account, error))
        return NULL;
    return imap_session_open(&server, &login, cancel, error);
}

bool opening_ticket(const struct account *account, GCancellable *cancel)
{
    static const struct opening_watch nobody = {0};
    const struct imap_server server = server_of(account, &nobody);
    const struct imap_login login = login_of(account, NULL);

    return account_prefers_ticket(account) && imap_ticket(&server, &login, cancel);
}

bool opening_needs_secret(const GError *error)
{
    return g_error_matches(error, IMAP_ERROR, IMAP_ERROR_LOGIN) ||
           g_error_matches(error, IMAP_ERROR, IMAP_ERROR_MECHANISM);
}

static void opening_try(struct opening *opening)
{
    const struct opening_watch watch = {.transcript = opening->transcript,
                                        .before = opening->before,
                                        .worked = opening->worked,
                                        .flaws = opening->flaws};

    g_clear_error(&opening->error);
    opening->session = opening_session(&opening->account, opening->secret, &watch, opening->cancel,
                                       &opening->error);
}

G_DEFINE_QUARK(opening - error - quark, opening_error)

/* ---- the secret ------------------------------------------------------------------------------ */

static bool opening_refused(const struct opening *opening)
{
    return opening->session == NULL &&
           g_error_matches(opening->error, IMAP_ERROR, IMAP_ERROR_LOGIN);
}

/* Asks for a secret anew; `*changed` says whether it is another one. OPENING_TRIED: there is one.
 */
static enum opening_outcome opening_ask(struct opening *opening, bool *changed, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_atomic_int_set(&opening->asking, true);
    g_autoptr(secret) fresh = secret_ask(&opening->account, false, opening->cancel, &why);
    g_atomic_int_set(&opening->asking, false);
    opening->can_ask = !g_error_matches(why, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
    if (fresh == NULL) {
        g_set_error_literal(error, OPENING_ERROR, 0, why->message);
        return opening->can_ask ? OPENING_NOTHING : OPENING_NOBODY;
    }
    *changed = opening->secret == NULL || !secret_equal(fresh, opening->secret);
    secret_unref(opening->secret);
    opening->secret = g_steal_pointer(&fresh);
    opening->fresh = true;
    return OPENING_TRIED;
}

/* By a Kerberos ticket, before anybody is asked for a password. True: that will not be needed, or
 * would not help. Else opening->error says what became of it, if there was one. */
static bool opening_by_ticket(struct opening *opening)
{
    if (opening->secret != NULL || !opening_ticket(&opening->account, opening->cancel))
        return false;
    opening_try(opening);
    return opening->session != NULL || !opening_needs_secret(opening->error);
}

/* Whether there is something to try with; a mechanism may need no secret, but `tried` says that
 * none was found to do without. */
static bool opening_prepare(struct opening *opening, bool tried)
{
    bool changed = false;
    g_autoptr(GError) error = NULL;
    if (opening->ask == OPENING_ASK_IF_NEEDED && opening->secret != NULL)
        return true;
    enum opening_outcome outcome = opening_ask(opening, &changed, &error);
    if (outcome == OPENING_NOBODY && opening->ask != OPENING_ASK_ANOTHER)
        return !tried;
    if (error != NULL) {
        g_clear_error(&opening->error);
        opening->error = g_steal_pointer(&error);
    }
    opening->outcome = outcome;
    if (outcome == OPENING_TRIED && opening->ask == OPENING_ASK_ANOTHER && !changed) {
        opening->outcome = OPENING_SAME;
        g_set_error_literal(&opening->error, IMAP_ERROR, IMAP_ERROR_LOGIN,
                            "the password was refused, and there is no other one yet");
    }
    return opening->outcome == OPENING_TRIED;
}

static void opening_sign_in(struct opening *opening)
{
    bool changed = false;
    if (opening_by_ticket(opening) || !opening_prepare(opening, opening->error != NULL))
        return;
    opening_try(opening);
    if (!opening_refused(opening) || opening->fresh)
        return;
    if (!g_cancellable_is_cancelled(opening->cancel) &&
        opening_ask(opening, &changed, NULL) == OPENING_TRIED && changed)
        opening_try(opening);
}

void opening_abandon(struct opening *opening)
{
    g_cancellable_cancel(opening->cancel);
    g_mutex_lock(&opening->crew->lock);
    g_clear_pointer(&opening->context, g_main_context_unref);
    g_mutex_unlock(&opening->crew->lock);
    opening_unref(opening);
}

static GMainContext *opening_context(struct opening *opening)
{
    g_mutex_lock(&opening->crew->lock);
    GMainContext *context = opening->context != NULL ? g_main_context_ref(opening->context) : NULL;
    g_mutex_unlock(&opening->crew->lock);
    return context;
}

static gpointer opening_run(gpointer data)
{
    struct opening *opening = data;
    struct crew *crew = opening->crew;
    g_atomic_int_inc(&crew->references);
    opening_sign_in(opening);
    g_autoptr(GMainContext) context = opening_context(opening);
    if (context != NULL)
        engine_post(context, opening->ready, opening, (GDestroyNotify)opening_unref);
    else
        opening_unref(opening);
    crew_leave(crew);
    crew_unref(crew);
    return NULL;
}

struct opening *opening_start(const struct account *account, struct imap_flaws *flaws,
                              struct secret *secret, enum opening_ask ask, const char *before,
                              bool worked, bool transcript, struct crew *crew,
                              GMainContext *context, GSourceFunc ready, void *owner)
{
    struct opening *opening = g_new0(struct opening, 1);
    opening->references = 2; /* the caller's and the thread's */
    opening->cancel = g_cancellable_new();
    account_copy(&opening->account, account);
    opening->flaws = imap_flaws_ref(flaws);
    opening->secret = secret != NULL ? secret_ref(secret) : NULL;
    opening->ask = ask;
    opening->transcript = transcript;
    opening->before = g_intern_string(before);
    opening->worked = worked;
    opening->crew = crew_enter(crew);
    opening->context = g_main_context_ref(context);
    opening->ready = ready;
    opening->owner = owner;
    g_thread_unref(g_thread_new("imap-open", opening_run, opening));
    return opening;
}
