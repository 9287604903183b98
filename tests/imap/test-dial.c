/* Racing a name's addresses: the resolver is replaced, some addresses let connections hang. */
#include "imap/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HELD = 8, TIMEOUT_S = 60 };

/* What the resolver says, numbers with spaces between. */
static const char *addresses;

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **found)
{
    g_auto(GStrv) words = g_strsplit(addresses, " ", -1);
    struct addrinfo **end = found;

    for (char **word = words; *word; word++) {
        struct addrinfo *one = g_new0(struct addrinfo, 1);
        struct sockaddr_in6 *in6 = g_new0(struct sockaddr_in6, 1);
        struct sockaddr_in *in = (struct sockaddr_in *)in6;
        bool six = strchr(*word, ':') != NULL;
        one->ai_family = six ? AF_INET6 : AF_INET;
        one->ai_socktype = SOCK_STREAM;
        one->ai_addrlen = six ? sizeof(*in6) : sizeof(*in);
        one->ai_addr = (struct sockaddr *)in6;
        in->sin_family = (sa_family_t)one->ai_family;
        in->sin_port = htons((uint16_t)atoi(port));
        inet_pton(one->ai_family, *word, six ? (void *)&in6->sin6_addr : (void *)&in->sin_addr);
        *end = one;
        end = &one->ai_next;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    while (found) {
        struct addrinfo *next = found->ai_next;
        g_free(found->ai_addr);
        g_free(found);
        found = next;
    }
}

/* A socket at an address of this machine; port 0: any. -1: there is no such address here. */
static int listener_new(const char *address, uint16_t *port, int backlog)
{
    struct sockaddr_storage any = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&any;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&any;
    bool six = strchr(address, ':') != NULL;
    socklen_t length = six ? sizeof(*in6) : sizeof(*in);
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    any.ss_family = six ? AF_INET6 : AF_INET;
    in->sin_port = htons(*port);
    inet_pton(any.ss_family, address, six ? (void *)&in6->sin6_addr : (void *)&in->sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, length) < 0 || listen(fd, backlog) < 0)
        return -1;
    getsockname(fd, (struct sockaddr *)&any, &length);
    *port = ntohs(in->sin_port);
    return fd;
}

/* A listener whose queue is full: who connects hears nothing. */
struct hole {
    int listener, held[HELD];
};

static bool hole_new(struct hole *hole, const char *address, uint16_t port)
{
    hole->listener = listener_new(address, &port, 0);
    for (int i = 0; i < HELD; i++)
        hole->held[i] = -1;
    if (hole->listener < 0)
        return false;
    struct sockaddr_storage own;
    socklen_t length = sizeof(own);
    getsockname(hole->listener, (struct sockaddr *)&own, &length);
    for (int i = 0; i < HELD; i++) {
        hole->held[i] = socket(own.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(hole->held[i], (struct sockaddr *)&own, length) == 0)
            continue;
        g_assert_cmpint(errno, ==, EINPROGRESS);
    }
    return true;
}

static void hole_clear(struct hole *hole)
{
    for (int i = 0; i < HELD; i++)
        if (hole->held[i] >= 0)
            close(hole->held[i]);
    if (hole->listener >= 0)
        close(hole->listener);
}

static char *peer_text(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    char text[NI_MAXHOST];

    g_assert_cmpint(getpeername(fd, (struct sockaddr *)&peer, &length), ==, 0);
    getnameinfo((struct sockaddr *)&peer, length, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
    return g_strdup(text);
}

/* 127.0.0.9 answers; the others are as told. */
static void test_race(void)
{
    static const struct {
        const char *addresses, *holes[3];
    } CASES[] = {
        {"127.0.0.9", {NULL}},
        {"127.0.0.2 127.0.0.9", {"127.0.0.2"}},
        {"127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.9", {"127.0.0.2", "127.0.0.3", "127.0.0.4"}},
        {"::1 127.0.0.9", {"::1"}},
        {"::1 ::1 ::1 127.0.0.9", {"::1"}},
        {"127.0.0.7 127.0.0.9", {NULL}}, /* refused */
        {"127.0.0.7 127.0.0.2 127.0.0.9", {"127.0.0.2"}},
        {"2001:db8::1 127.0.0.9", {NULL}}, /* no route, or nobody there */
        {"127.0.0.9 127.0.0.2", {"127.0.0.2"}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        uint16_t port = 0;
        int listener = listener_new("127.0.0.9", &port, 10);
        struct hole holes[3];
        struct imap_wait wait;
        g_autoptr(GError) error = NULL;
        bool able = true;

        for (unsigned h = 0; h < 3; h++) {
            memset(&holes[h], -1, sizeof(holes[h]));
            if (CASES[i].holes[h])
                able = hole_new(&holes[h], CASES[i].holes[h], port) && able;
        }
        addresses = CASES[i].addresses;
        imap_wait_start(&wait, "host.example", TIMEOUT_S, NULL);
        gint64 began = g_get_monotonic_time();
        int fd = imap_dial("host.example", port, &wait, &error);
        double took = (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC;
        g_test_message("%s: %.3f s%s", addresses, took, able ? "" : " (no such address here)");
        g_assert_no_error(error);
        g_autofree char *peer = peer_text(fd);
        g_assert_cmpstr(peer, ==, "127.0.0.9");
        g_assert_cmpfloat(took, <,
                          TIMEOUT_S / 4); /* waiting for one that hangs would take longer */
        close(fd);
        close(listener);
        for (unsigned h = 0; h < 3; h++)
            hole_clear(&holes[h]);
    }
}

static void test_nobody(void)
{
    static const struct {
        const char *addresses;
        bool hole;
        enum imap_error error;
    } CASES[] = {
        {"127.0.0.7 127.0.0.8", false, IMAP_ERROR_CONNECT},
        {"127.0.0.2", true, IMAP_ERROR_TIMEOUT},
        {"127.0.0.7 127.0.0.2", true, IMAP_ERROR_TIMEOUT},
        {"127.0.0.2 127.0.0.7", true, IMAP_ERROR_TIMEOUT},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        uint16_t port = 0;
        int listener = listener_new("127.0.0.9", &port, 1);
        struct hole hole;
        struct imap_wait wait;
        g_autoptr(GError) error = NULL;

        memset(&hole, -1, sizeof(hole));
        if (CASES[i].hole)
            g_assert_true(hole_new(&hole, "127.0.0.2", port));
        addresses = CASES[i].addresses;
        imap_wait_start(&wait, "host.example", 1, NULL);
        g_assert_cmpint(imap_dial("host.example", port, &wait, &error), ==, -1);
        g_assert_error(error, IMAP_ERROR, (gint)CASES[i].error);
        hole_clear(&hole);
        close(listener);
    }
}

static gpointer cancel_soon(gpointer data)
{
    g_usleep(600000); /* several attempts run */
    g_cancellable_cancel(data);
    return NULL;
}

static void test_cancel(void)
{
    uint16_t port = 0;
    int listener = listener_new("127.0.0.9", &port, 1);
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_autoptr(GError) error = NULL;
    struct hole hole;
    struct imap_wait wait;

    g_assert_true(hole_new(&hole, "127.0.0.2", port));
    addresses = "127.0.0.2 127.0.0.2 127.0.0.2 127.0.0.2";
    imap_wait_start(&wait, "host.example", 600, cancel);
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);
    g_assert_cmpint(imap_dial("host.example", port, &wait, &error), ==, -1);
    g_assert_error(error, IMAP_ERROR, IMAP_ERROR_CANCELLED);
    g_thread_join(thread);
    hole_clear(&hole);
    close(listener);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/dial/race", test_race);
    g_test_add_func("/imap/dial/nobody", test_nobody);
    g_test_add_func("/imap/dial/cancel", test_cancel);
    return g_test_run();
}
