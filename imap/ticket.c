/* Whether there is a Kerberos ticket, before anything is said to the server. */
#include "imap/aside.h"
#include "imap/auth.h"

static void first_step(void *auth)
{
    imap_auth_step(auth, NULL);
}

static void auth_release(void *auth)
{
    imap_auth_unref(auth);
}

bool imap_ticket(const struct imap_server *server, const struct imap_login *login,
                 GCancellable *cancel)
{
    const struct imap_line line = {.host = server->host, .port = server->port, .secure = true};
    g_autoptr(imap_auth) auth = imap_auth_new(imap_mechanism_kerberos(), login, &line);
    g_autoptr(GError) error = NULL;
    struct imap_wait wait;

    imap_wait_start(&wait, server->host, server->timeout_s, cancel);
    wait.until_us -= (gint64)wait.timeout_s * G_USEC_PER_SEC * 2 / 3; /* as when signing in */
    if (!imap_aside(first_step, imap_auth_ref(auth), auth_release, &wait, &error)) {
        g_info("no Kerberos ticket: %s", error->message);
        return false;
    }
    enum imap_auth_state state = imap_auth_state(auth);
    bool found = state == IMAP_AUTH_MORE || state == IMAP_AUTH_DONE;
    if (!found)
        g_info("%s: no Kerberos ticket: %s", server->host, imap_auth_why(auth));
    return found;
}
