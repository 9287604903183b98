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

enum {
    TIMEOUT_DEFAULT_S = 30,
    ADDRESSES_TOLD = 8,
    ADDRESSES_MAX = 32,         /* that are tried */
    HEAD_START_US = 250 * 1000, /* of an address before the next (RFC 8305, 5) */
};

/* Dead peers: asked after a minute of silence, given up when that, or data
 * sent, stays unanswered for 20 s. */
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

/* 1: one of `fds` is ready, 0: `until_us` has passed, -1: cancelled. There is
 * room for one more behind them. */
static int wait_poll_all(const struct imap_wait *wait, struct pollfd *fds, nfds_t count,
                         gint64 until_us)
{
    GPollFD cancel = {.fd = -1};
    bool cancellable = wait->cancel && g_cancellable_make_pollfd(wait->cancel, &cancel);
    int ready = 0;

    fds[count] = (struct pollfd){.fd = cancel.fd, .events = POLLIN};
    for (;;) {
        gint64 left_us = until_us - g_get_monotonic_time();
        int rc = poll(fds, count + 1, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
        if (wait->cancel && g_cancellable_is_cancelled(wait->cancel))
            ready = -1;
        else if (rc > (fds[count].revents ? 1 : 0))
            ready = 1;
        else if (left_us > 0 && (rc >= 0 || errno == EINTR))
            continue;
        break;
    }
    if (cancellable)
        g_cancellable_release_fd(wait->cancel);
    return ready;
}

static int wait_poll(const struct imap_wait *wait, int fd, short events, gint64 until_us)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}};

    return wait_poll_all(wait, fds, 1, until_us);
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

/* ---- names to addresses: getaddrinfo() cannot be interrupted, so it has a
 * thread that is left behind when we stop waiting for it
 * ----------------------------------------------------------- */

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

/* The host as the resolver wants it: "[::1]" without brackets, other names as
 * they are. */
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

/* ---- connecting
 * -----------------------------------------------------------------------------
 */

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

/* Whether the failure says only that this machine has no such network, not what
 * is wrong. */
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

/* ---- the race of the addresses (RFC 8305)
 * -----------------------------------------------------
 */

struct race {
    const struct imap_wait *wait;
    const struct addrinfo *order[ADDRESSES_MAX]; /* both families in turn */
    unsigned total, begun;
    gint64 next_us; /* when the next begins, if no attempt is decided before */
    /* the attempts that run; fds has room for one more */
    struct pollfd fds[ADDRESSES_MAX + 1];
    const struct addrinfo *addresses[ADDRESSES_MAX];
    unsigned running;
    const struct addrinfo *winner;
    int failure; /* errno of the last attempt that says something */
};

static const struct addrinfo *race_add(struct race *race, const struct addrinfo *from, int family,
                                       bool own)
{
    while (from && (from->ai_family == family) != own)
        from = from->ai_next;
    if (!from || race->total == ADDRESSES_MAX)
        return NULL;
    race->order[race->total++] = from;
    return from->ai_next;
}

static void race_order(struct race *race, const struct addrinfo *found)
{
    const struct addrinfo *own = found, *other = found;

    while (own || other) {
        own = race_add(race, own, found->ai_family, true);
        other = race_add(race, other, found->ai_family, false);
    }
}

static void attempt_note(const struct addrinfo *address, const char *what)
{
    g_autofree char *text = address_text(address);

    g_debug("connecting to %s: %s", text, what);
}

static void race_failed(struct race *race, const struct addrinfo *address, int failure)
{
    attempt_note(address, g_strerror(failure));
    if (!address_useless(failure))
        race->failure = failure;
    race->next_us = 0; /* the next need not wait */
}

/* Begins the next attempt. Returns its socket if it is connected at once, else
 * -1. */
static int race_begin(struct race *race)
{
    const struct addrinfo *address = race->order[race->begun++];
    int fd = socket_new(address->ai_family);

    attempt_note(address, "begun");
    race->next_us = g_get_monotonic_time() + HEAD_START_US;
    if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        race->winner = address;
        return fd;
    }
    if (fd >= 0 && errno == EINPROGRESS) {
        race->fds[race->running] = (struct pollfd){.fd = fd, .events = POLLOUT};
        race->addresses[race->running++] = address;
        return -1;
    }
    race_failed(race, address, errno);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* What became of the attempts that are decided: the socket of one that is
 * connected, else -1. */
static int race_look(struct race *race)
{
    for (unsigned i = race->running; i-- > 0;) {
        const struct addrinfo *address = race->addresses[i];
        int fd = race->fds[i].fd, failure = 0;
        socklen_t length = sizeof(failure);

        if (!race->fds[i].revents)
            continue;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) < 0)
            failure = errno;
        race->running--;
        race->fds[i] = race->fds[race->running];
        race->addresses[i] = race->addresses[race->running];
        if (failure == 0) {
            race->winner = address;
            return fd;
        }
        race_failed(race, address, failure);
        close(fd);
    }
    return -1;
}

/* Waits for the next thing to do. False if there is no time left, or it was
 * cancelled. */
static bool race_wait(struct race *race, int *fd)
{
    const gint64 end_us = race->wait->until_us;
    bool more = race->begun < race->total;
    int ready = wait_poll_all(race->wait, race->fds, race->running,
                              more ? MIN(race->next_us, end_us) : end_us);

    if (ready > 0)
        *fd = race_look(race);
    if (ready < 0)
        race->failure = ECANCELED;
    else if (ready == 0 && g_get_monotonic_time() >= end_us)
        race->failure = ETIMEDOUT;
    else
        return true;
    return false;
}

/* Returns the first socket that is connected; -1 with race->failure set. */
static int race_run(struct race *race)
{
    int fd = -1;

    while (fd < 0 && (race->begun < race->total || race->running > 0)) {
        bool due = race->running == 0 || g_get_monotonic_time() >= race->next_us;
        if (race->begun < race->total && due)
            fd = race_begin(race);
        else if (!race_wait(race, &fd))
            break;
    }
    while (race->running > 0)
        close(race->fds[--race->running].fd);
    return fd;
}

int imap_dial(const char *host, uint16_t port, struct imap_wait *wait, GError **error)
{
    imap_wait_tell(wait, IMAP_STEP_RESOLVE, NULL);
    g_autoptr(lookup) lookup = resolve(host, port, wait, error);
    if (!lookup)
        return -1;
    addresses_tell(wait, lookup->found);
    imap_wait_tell(wait, IMAP_STEP_CONNECT, NULL);

    struct race race = {.wait = wait, .failure = ENETUNREACH};
    race_order(&race, lookup->found);
    imap_wait_progress(wait);
    int fd = race_run(&race);
    if (fd >= 0) {
        imap_wait_progress(wait);
        connected_tell(wait, race.winner, port);
        return fd;
    }
    if (race.failure == ECANCELED || race.failure == ETIMEDOUT)
        wait_failed(wait, race.failure == ECANCELED ? -1 : 0, error);
    else
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CONNECT, "cannot connect to %s, port %u: %s",
                    host, port, g_strerror(race.failure));
    return -1;
}
