#include "imap/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TIMEOUT_DEFAULT_S = 30, SHARE_LEAST_US = G_USEC_PER_SEC, ADDRESSES_TOLD = 8 };

/* Dead peers: asked after a minute of silence, given up when that, or data sent, stays unanswered
 * for 20 s. */
enum { KEEPALIVE_IDLE_S = 60, KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_COUNT = 4, UNACKED_MS = 20000 };

void imap_wait_start(struct imap_wait *wait, const char *host, unsigned timeout_s,
                     GCancellable *cancel)
{
    *wait = (struct imap_wait){.host = host, .cancel = cancel};
    wait->timeout_s = timeout_s ? timeout_s : TIMEOUT_DEFAULT_S;
    wait->last_us = g_get_monotonic_time() + 4 * wait->timeout_s * G_USEC_PER_SEC;
    imap_wait_progress(wait);
}

void imap_wait_progress(struct imap_wait *wait)
{
    gint64 until = g_get_monotonic_time() + wait->timeout_s * G_USEC_PER_SEC;
    wait->until_us = MIN(until, wait->last_us);
}

void imap_wait_tell(const struct imap_wait *wait, enum imap_step step, const char *found)
{
    if (wait->server && wait->server->progress)
        wait->server->progress(step, found, wait->server->progress_data);
}

/* 1: ready, 0: `until_us` has passed, -1: cancelled. */
static int wait_poll(const struct imap_wait *wait, int fd, short events, gint64 until_us)
{
    GPollFD cancel = {.fd = -1};
    bool cancellable = wait->cancel && g_cancellable_make_pollfd(wait->cancel, &cancel);
    struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = cancel.fd, .events = POLLIN}};
    int ready = 0;

    for (;;) {
        gint64 left_us = until_us - g_get_monotonic_time();
        int rc = poll(fds, cancellable ? 2 : 1, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
        if (wait->cancel && g_cancellable_is_cancelled(wait->cancel))
            ready = -1;
        else if (rc > 0 && fds[0].revents)
            ready = 1;
        else if (left_us > 0 && (rc >= 0 || errno == EINTR))
            continue;
        break;
    }
    if (cancellable)
        g_cancellable_release_fd(wait->cancel);
    return ready;
}

static bool wait_failed(const struct imap_wait *wait, int ready, GError **error)
{
    if (ready < 0)
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CANCELLED, "%s: cancelled", wait->host);
    else if (ready == 0)
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_TIMEOUT, "%s does not answer within %u s",
                    wait->host, wait->timeout_s);
    return ready <= 0;
}

bool imap_wait_ready(const struct imap_wait *wait, int fd, short events, GError **error)
{
    return !wait_failed(wait, wait_poll(wait, fd, events, wait->until_us), error);
}

/* ---- names to addresses: getaddrinfo() cannot be interrupted, so it has a thread that is left
 * behind when we stop waiting for it ----------------------------------------------------------- */

struct lookup {
    atomic_uint refs;
    atomic_bool done;
    int done_fd; /* eventfd */
    char *host;
    char port[8];
    int rc;
    struct addrinfo *found;
};

static void lookup_unref(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->refs, 1) > 1)
        return;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    if (lookup->done_fd >= 0)
        close(lookup->done_fd);
    g_free(lookup->host);
    g_free(lookup);
}
typedef struct lookup lookup;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(lookup, lookup_unref)

static gpointer lookup_run(gpointer data)
{
    struct lookup *lookup = data;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

    lookup->rc = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
    atomic_store(&lookup->done, true);
    if (eventfd_write(lookup->done_fd, 1) < 0)
        g_debug("eventfd: %s", g_strerror(errno));
    lookup_unref(lookup);
    return NULL;
}

/* The host as the resolver wants it: "[::1]" without brackets, other names as they are. */
static char *lookup_name(const char *host)
{
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']')
        return g_strndup(host + 1, length - 2);
    return g_hostname_is_non_ascii(host) ? g_hostname_to_ascii(host) : g_strdup(host);
}

static struct lookup *lookup_new(const char *host, uint16_t port)
{
    struct lookup *lookup = g_new0(struct lookup, 1);

    atomic_init(&lookup->refs, 1);
    lookup->host = lookup_name(host);
    g_snprintf(lookup->port, sizeof(lookup->port), "%u", port);
    lookup->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return lookup;
}

static void resolve_failed(const char *host, int rc, GError **error)
{
    if (rc == EAI_AGAIN || rc == EAI_SYSTEM || rc == EAI_MEMORY)
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_RESOLVE,
                    "the host name %s cannot be looked up now (%s)", host, gai_strerror(rc));
    else
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_RESOLVE,
                    "the host name %s is not known; check its spelling", host);
}

static struct lookup *resolve(const char *host, uint16_t port, struct imap_wait *wait,
                              GError **error)
{
    g_autoptr(lookup) lookup = lookup_new(host, port);

    if (!lookup->host || lookup->done_fd < 0) {
        resolve_failed(host, lookup->host ? EAI_SYSTEM : EAI_NONAME, error);
        return NULL;
    }
    atomic_fetch_add(&lookup->refs, 1);
    g_autoptr(GThread) thread = g_thread_try_new("imap-resolve", lookup_run, lookup, NULL);
    if (!thread)
        lookup_run(lookup);
    if (!imap_wait_ready(wait, lookup->done_fd, POLLIN, error))
        return NULL;
    if (!atomic_load(&lookup->done) || lookup->rc != 0) {
        resolve_failed(host, lookup->rc, error);
        return NULL;
    }
    return g_steal_pointer(&lookup);
}

/* ---- connecting ----------------------------------------------------------------------------- */

static void socket_option(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
        g_debug("setsockopt %d: %s", name, g_strerror(errno));
}

static int socket_new(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    socket_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
    socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS);
    return fd;
}

/* Connects to one address before `until_us`. Returns the socket; -1 with errno set (ETIMEDOUT when
 * time is up, ECANCELED). */
static int address_connect(const struct addrinfo *address, const struct imap_wait *wait,
                           gint64 until_us)
{
    int fd = socket_new(address->ai_family);
    if (fd < 0)
        return -1;

    int failure = 0;
    socklen_t length = sizeof(failure);
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    if (errno == EINPROGRESS) {
        int ready = wait_poll(wait, fd, POLLOUT, until_us);
        if (ready < 0)
            failure = ECANCELED;
        else if (ready == 0)
            failure = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) < 0)
            failure = errno;
    } else {
        failure = errno;
    }
    if (failure == 0)
        return fd;
    close(fd);
    errno = failure;
    return -1;
}

/* An address's share of what is left, so that a dead first one leaves time for the others. */
static gint64 address_until(const struct imap_wait *wait, unsigned left)
{
    gint64 now = g_get_monotonic_time();
    gint64 share = MAX((wait->until_us - now) / left, SHARE_LEAST_US);
    return MIN(now + share, wait->until_us);
}

/* Whether the failure says only that this machine has no such network, not what is wrong. */
static bool address_useless(int failure)
{
    return failure == ENETUNREACH || failure == EADDRNOTAVAIL || failure == EAFNOSUPPORT;
}

/* An address as numbers, the caller's. */
static char *address_text(const struct addrinfo *address)
{
    char text[NI_MAXHOST];

    int rc = getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof(text), NULL, 0,
                         NI_NUMERICHOST);
    return g_strdup(rc == 0 ? text : "an unknown address");
}

static void addresses_tell(const struct imap_wait *wait, const struct addrinfo *found)
{
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned count = 0;

    for (const struct addrinfo *a = found; a && count < ADDRESSES_TOLD; a = a->ai_next, count++) {
        g_autofree char *address = address_text(a);
        g_string_append_printf(text, "%s%s", count ? ", " : "", address);
    }
    imap_wait_tell(wait, IMAP_STEP_RESOLVE, text->str);
}

static void connected_tell(const struct imap_wait *wait, const struct addrinfo *address,
                           uint16_t port)
{
    g_autofree char *text = address_text(address);
    g_autofree char *found = g_strdup_printf("%s, port %u", text, port);

    imap_wait_tell(wait, IMAP_STEP_CONNECT, found);
}

int imap_dial(const char *host, uint16_t port, struct imap_wait *wait, GError **error)
{
    imap_wait_tell(wait, IMAP_STEP_RESOLVE, NULL);
    g_autoptr(lookup) lookup = resolve(host, port, wait, error);
    if (!lookup)
        return -1;
    addresses_tell(wait, lookup->found);
    imap_wait_tell(wait, IMAP_STEP_CONNECT, NULL);

    unsigned left = 0;
    int failure = ENETUNREACH;
    for (const struct addrinfo *a = lookup->found; a; a = a->ai_next)
        left++;
    imap_wait_progress(wait);
    for (const struct addrinfo *a = lookup->found; a; a = a->ai_next, left--) {
        int fd = address_connect(a, wait, address_until(wait, left));
        if (fd >= 0) {
            imap_wait_progress(wait);
            connected_tell(wait, a, port);
            return fd;
        }
        if (!address_useless(errno))
            failure = errno;
        if (failure == ECANCELED)
            break;
    }
    if (failure == ECANCELED || failure == ETIMEDOUT)
        wait_failed(wait, failure == ECANCELED ? -1 : 0, error);
    else
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CONNECT, "cannot connect to %s, port %u: %s",
                    host, port, g_strerror(failure));
    return -1;
}
