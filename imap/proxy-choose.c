/* Which way to the server, and going it. */
#include "imap/aside.h"
#include "imap/proxy.h"

#include <string.h>
#include <unistd.h>

enum { WAYS_MAX = 8 };

static const char DIRECT[] = "direct://";

/* ---- what the environment and the desktop say -------------------------------------------------
 */

static const char *environment(const char *lower, const char *upper)
{
    const char *value = g_getenv(lower);

    if (!value || !*value)
        value = g_getenv(upper);
    return value && *value ? value : NULL;
}

/* all_proxy but for what no_proxy names. NULL: there is none. */
static GProxyResolver *resolver_of_environment(void)
{
    const char *all = environment("all_proxy", "ALL_PROXY");
    const char *none = environment("no_proxy", "NO_PROXY");
    g_auto(GStrv) ignored = g_strsplit(none ? none : "", ",", -1);

    if (!all)
        return NULL;
    for (char **host = ignored; *host; host++)
        if (strcmp(g_strstrip(*host), "*") == 0)
            all = DIRECT;
    return g_simple_proxy_resolver_new(all, ignored);
}

/* Asking the desktop may take long (D-Bus, PAC files). */
struct question {
    gint references; /* atomic */
    char *uri;
    char **ways; /* NULL: no answer */
};

static void question_unref(void *data)
{
    struct question *question = data;

    if (!g_atomic_int_dec_and_test(&question->references))
        return;
    g_free(question->uri);
    g_strfreev(question->ways);
    g_free(question);
}

static void question_ask(void *data)
{
    struct question *question = data;
    g_autoptr(GProxyResolver) own = resolver_of_environment();
    GProxyResolver *resolver = own ? own : g_proxy_resolver_get_default();
    g_autoptr(GError) error = NULL;

    question->ways = g_proxy_resolver_lookup(resolver, question->uri, NULL, &error);
    if (error)
        g_info("the desktop's proxies cannot be asked for: %s", error->message);
}

/* NULL with the error set. */
static char **ways_ask(const struct imap_server *server, const struct imap_wait *wait,
                       GError **error)
{
    bool address = strchr(server->host, ':') != NULL;
    struct question *question = g_new0(struct question, 1);
    char **ways = NULL;

    question->references = 2;
    question->uri =
        g_strdup_printf(address ? "%s://[%s]:%u" : "%s://%s:%u",
                        server->scheme ? server->scheme : "imap", server->host, server->port);
    if (imap_aside(question_ask, question, question_unref, wait, error)) {
        ways = g_strdupv(question->ways);
        if (!ways || !*ways) {
            g_strfreev(ways);
            ways = g_strsplit(DIRECT, ",", -1);
        }
    }
    question_unref(question);
    return ways;
}

/* Whether the name says that it is this machine. */
static bool host_is_own(const char *host)
{
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(host);

    if (address)
        return g_inet_address_get_is_loopback(address);
    return g_ascii_strcasecmp(host, "localhost") == 0 || g_str_has_suffix(host, ".localhost");
}

static char **ways_find(const struct imap_server *server, const struct imap_wait *wait,
                        GError **error)
{
    const char *proxy = server->proxy ? server->proxy : "none";

    if (strcmp(proxy, "auto") == 0 && !host_is_own(server->host))
        return ways_ask(server, wait, error);
    return g_strsplit(strstr(proxy, "://") ? proxy : DIRECT, "\n", -1);
}

/* ---- going one --------------------------------------------------------------------------------
 */

static int through(const struct imap_proxy *proxy, const struct imap_server *server,
                   struct imap_wait *wait, GError **error)
{
    g_autofree char *name = g_strdup_printf("the proxy %s", proxy->host);
    g_autofree char *told = g_strdup_printf("through %s, port %u", name, proxy->port);
    struct imap_wait via = *wait;

    via.host = name;
    via.server = NULL; /* the steps are the server's, not the proxy's */
    imap_wait_tell(wait, IMAP_STEP_CONNECT, NULL);
    int fd = imap_dial(proxy->host, proxy->port, &via, error);
    if (fd < 0) {
        if (!g_error_matches(*error, IMAP_ERROR, IMAP_ERROR_TIMEOUT))
            g_prefix_error(error, "its proxy is out of reach: ");
        return -1;
    }
    if (!imap_proxy_ask(proxy, fd, server->host, server->port, &via, error)) {
        close(fd);
        return -1;
    }
    imap_wait_progress(wait);
    imap_wait_tell(wait, IMAP_STEP_CONNECT, told);
    return fd;
}

static int way_go(const char *way, const struct imap_server *server, struct imap_wait *wait,
                  GError **error)
{
    if (strcmp(way, DIRECT) == 0)
        return imap_dial(server->host, server->port, wait, error);
    g_autoptr(imap_proxy) proxy = imap_proxy_parse(way, error);
    int fd = proxy ? through(proxy, server, wait, error) : -1;
    if (fd < 0)
        g_prefix_error(error, "%s: ", server->host);
    return fd;
}

/* Whether another way may still do. */
static bool may_go_on(const GError *error)
{
    return !g_error_matches(error, IMAP_ERROR, IMAP_ERROR_CANCELLED) &&
           !g_error_matches(error, IMAP_ERROR, IMAP_ERROR_TIMEOUT);
}

int imap_proxy_dial(const struct imap_server *server, struct imap_wait *wait, bool *direct,
                    GError **error)
{
    g_auto(GStrv) ways = ways_find(server, wait, error);
    GError *first = NULL;
    int fd = -1;

    for (unsigned i = 0; ways && ways[i] && i < WAYS_MAX && fd < 0; i++) {
        g_autoptr(GError) failure = NULL;
        *direct = strcmp(ways[i], DIRECT) == 0;
        fd = way_go(ways[i], server, wait, &failure);
        bool over = fd < 0 && !may_go_on(failure);
        if (fd < 0 && !first)
            first = g_steal_pointer(&failure);
        if (over)
            break;
    }
    if (fd >= 0)
        g_clear_error(&first);
    else if (first)
        g_propagate_error(error, first);
    return fd;
}

bool imap_answers(const struct imap_server *server, GCancellable *cancel, GError **error)
{
    struct imap_wait wait;
    bool direct;

    imap_wait_start(&wait, server->host, server->timeout_s, cancel);
    wait.last_us = wait.until_us;
    int fd = imap_proxy_dial(server, &wait, &direct, error);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}
