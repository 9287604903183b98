/* What is held to be the server's fault where the network cuts by chance, during sign-in and at
 * work: nothing, or it is forgotten when the network is good again; but what the server does not
 * stand is found out all the same. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imap/imap.h"

enum {
    BAD_ROUNDS = 25, /* sessions on a bad network, and then on a good one */
    GOOD_ROUNDS = 6,
    SEEDS = 12,
    ROUND_S = 20, /* between two of them */
    CALM_S = 700,
};

#define CAPABILITIES                                                                               \
    "IMAP4rev1 ID NAMESPACE ENABLE CONDSTORE QRESYNC LIST-EXTENDED LIST-STATUS SPECIAL-USE QUOTA " \
    "NOTIFY IDLE"

/* ---- the server, one connection after the other ---------------------------------------------- */

struct host {
    int listener;
    uint16_t port;
    GThread *thread;
    GRand *chance; /* of the thread */
    /* atomic */
    gint percent; /* how often the connection is cut at a line, before or after it is answered */
    gint ending;
    const char *verb; /* at which the server ends it; NULL: none. While no session is open */
    gint ends;        /* atomic: how often it did */
};

static bool is_cut(struct host *host)
{
    return g_rand_int_range(host->chance, 0, 100) < g_atomic_int_get(&host->percent);
}

static const char *untagged(const char *command)
{
    static const struct {
        const char *command, *reply;
    } REPLIES[] = {
        {"CAPABILITY", "* CAPABILITY " CAPABILITIES "\r\n"},
        {"LIST", "* LIST () \"/\" INBOX\r\n"},
        {"EXAMINE", "* 0 EXISTS\r\n* OK [UIDVALIDITY 9] .\r\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(REPLIES); i++)
        if (g_str_has_prefix(command, REPLIES[i].command))
            return REPLIES[i].reply;
    return "";
}

/* Returns whether the connection goes on. */
static bool line_answer(struct host *host, int fd, char *line)
{
    char *command = strchr(line, ' ');
    if (!command)
        return false;
    *command++ = '\0';
    if (host->verb && g_pattern_match_simple(host->verb, command)) {
        g_atomic_int_inc(&host->ends);
        return false;
    }
    if (is_cut(host))
        return false;
    g_autofree char *reply = g_strdup_printf("%s%s OK done\r\n", untagged(command), line);
    size_t length = strlen(reply);
    if (is_cut(host)) /* amid or behind the answer */
        length = (size_t)g_rand_int_range(host->chance, 1, (gint)length + 1);
    return send(fd, reply, length, MSG_NOSIGNAL) == (ssize_t)strlen(reply);
}

static void host_talk(struct host *host, int fd)
{
    static const char GREETING[] = "* OK [CAPABILITY IMAP4rev1] ready\r\n";
    g_autoptr(GString) heard = g_string_new(NULL);
    char buffer[1024];
    char *end;

    if (is_cut(host) || send(fd, GREETING, strlen(GREETING), MSG_NOSIGNAL) < 0)
        return;
    for (;;) {
        while ((end = strstr(heard->str, "\r\n"))) {
            *end = '\0';
            if (!line_answer(host, fd, heard->str))
                return;
            g_string_erase(heard, 0, end + 2 - heard->str);
        }
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
        if (n <= 0 || heard->len > 64 * 1024)
            return;
        g_string_append_len(heard, buffer, n);
    }
}

static gpointer host_run(gpointer data)
{
    struct host *host = data;
    for (;;) {
        int fd = accept(host->listener, NULL, NULL);
        if (fd < 0 || g_atomic_int_get(&host->ending)) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        host_talk(host, fd);
        close(fd);
    }
}

static void host_start(struct host *host, guint32 seed)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);

    *host = (struct host){.chance = g_rand_new_with_seed(seed)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    host->listener = socket(AF_INET, SOCK_STREAM, 0);
    g_assert_cmpint(bind(host->listener, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(listen(host->listener, 5), ==, 0);
    g_assert_cmpint(getsockname(host->listener, (struct sockaddr *)&address, &length), ==, 0);
    host->port = ntohs(address.sin_port);
    host->thread = g_thread_new("host", host_run, host);
}

static void host_end(struct host *host)
{
    g_atomic_int_set(&host->ending, 1);
    shutdown(host->listener, SHUT_RDWR);
    g_thread_join(host->thread);
    close(host->listener);
    g_rand_free(host->chance);
}

/* ---- the client ------------------------------------------------------------------------------ */

static gint64 clock_us;

static gint64 clock_now(void)
{
    return clock_us;
}

struct guest {
    struct imap_server server;
    GMainContext *context;
    unsigned waiting;
};

static void guest_done(struct imap_session *session, const struct imap_result *result, void *data)
{
    struct guest *guest = data;
    guest->waiting--;
}

static void guest_wait(struct guest *guest)
{
    while (guest->waiting > 0)
        g_main_context_iteration(guest->context, TRUE);
}

/* What a mount does on a connection: some commands alone, some two at a time. */
static void guest_work(struct guest *guest, struct imap_session *session)
{
    static const struct imap_notify NOTIFY = {0};

    bool notify = (imap_session_capabilities(session) & IMAP_CAP_NOTIFY) != 0;

    guest->waiting = notify ? 3 : 2;
    if (notify)
        imap_send_notify(session, &NOTIFY, guest_done, guest);
    imap_send_list(session, true, guest_done, guest);
    imap_send_quota(session, "INBOX", guest_done, guest);
    guest_wait(guest);
    for (unsigned i = 0; i < 3; i++) {
        guest->waiting = 2;
        imap_send_examine(session, "INBOX", guest_done, guest);
        imap_send_uid_search(session, 1, 0, guest_done, guest);
        guest_wait(guest);
    }
}

/* Some sessions, one after the other, each until it ends or has nothing more to do. Returns how
 * many were opened. */
static unsigned guest_visits(struct guest *guest, unsigned rounds)
{
    static const struct imap_login LOGIN = {.user = "u", .secret = "p", .auth = "login"};
    static const struct imap_events EVENTS = {0};
    unsigned opened = 0;

    for (unsigned i = 0; i < rounds; i++) {
        clock_us += (gint64)ROUND_S * G_USEC_PER_SEC;
        struct imap_session *session = imap_session_open(&guest->server, &LOGIN, NULL, NULL);
        if (!session)
            continue;
        opened++;
        imap_session_attach(session, guest->context, &EVENTS, NULL);
        guest_work(guest, session);
        imap_session_free(session);
    }
    return opened;
}

static void guest_init(struct guest *guest, const struct host *host)
{
    *guest = (struct guest){.context = g_main_context_new()};
    guest->server = (struct imap_server){.host = "127.0.0.1",
                                         .port = host->port,
                                         .tls = IMAP_TLS_NONE,
                                         .timeout_s = 60,
                                         .flaws = imap_flaws_new(0, clock_now)};
}

static void guest_clear(struct guest *guest)
{
    imap_flaws_unref(guest->server.flaws);
    g_main_context_unref(guest->context);
}

static char *guest_knows(const struct guest *guest)
{
    return imap_flaws_write(imap_flaws_known(guest->server.flaws));
}

/* ---- both ------------------------------------------------------------------------------------ */

static void calm(void)
{
    clock_us += (gint64)CALM_S * G_USEC_PER_SEC;
}

/* Nothing is left of what a bad network may look like. `known`: the server is seen on a good one
 * before; then nothing is learned at all, where not nearly every connection is cut. */
static void network_run(bool known)
{
    static const int PERCENTS[] = {3, 10, 20, 35};
    unsigned learned = 0;

    for (guint32 seed = 0; seed < SEEDS * G_N_ELEMENTS(PERCENTS); seed++) {
        int percent = PERCENTS[seed % G_N_ELEMENTS(PERCENTS)];
        struct host host;
        struct guest guest;
        host_start(&host, seed);
        guest_init(&guest, &host);
        if (known)
            g_assert_cmpuint(guest_visits(&guest, 1), ==, 1);
        g_atomic_int_set(&host.percent, percent);
        guest_visits(&guest, BAD_ROUNDS);
        g_autofree char *then = guest_knows(&guest);
        learned += *then != '\0';
        g_atomic_int_set(&host.percent, 0);
        calm();
        g_assert_cmpuint(guest_visits(&guest, GOOD_ROUNDS), ==, GOOD_ROUNDS);
        g_autofree char *now = guest_knows(&guest);
        g_test_message("seed %u: \"%s\", then \"%s\"", seed, then, now);
        g_assert_cmpstr(now, ==, "");
        if (known && percent == *PERCENTS)
            g_assert_cmpstr(then, ==, "");
        guest_clear(&guest);
        host_end(&host);
    }
    g_test_message("%u of %u had learned something", learned,
                   (unsigned)(SEEDS * G_N_ELEMENTS(PERCENTS)));
}

static void test_network_first(void)
{
    network_run(false);
}

static void test_network_known(void)
{
    network_run(true);
}

static const struct verb {
    const char *verb, *word;
} VERBS[] = {
    {"ID *", "ID"},
    {"ENABLE *", "ENABLE"},
    {"NAMESPACE", "NAMESPACE"},
    {"LIST *STATUS (*", "LIST-STATUS"},
    {"NOTIFY *", "NOTIFY"},
    {"GETQUOTAROOT *", "QUOTA"},
};

/* A server that does not stand a command, on a good network: two ends and it works, a third proves
 * it, and there is no fourth. */
static void test_server(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(VERBS); i++) {
        struct host host;
        struct guest guest;
        host_start(&host, (guint32)i);
        guest_init(&guest, &host);
        host.verb = VERBS[i].verb;
        guest_visits(&guest, 3);
        g_autofree char *then = guest_knows(&guest);
        g_assert_cmpstr(then, ==, VERBS[i].word);
        g_assert_cmpint(g_atomic_int_get(&host.ends), ==, 2);
        for (unsigned again = 0; again < 3; again++) {
            calm();
            guest_visits(&guest, GOOD_ROUNDS);
            g_autofree char *now = guest_knows(&guest);
            g_assert_cmpstr(now, ==, VERBS[i].word);
            g_assert_cmpint(g_atomic_int_get(&host.ends), ==, 3);
        }
        guest_clear(&guest);
        host_end(&host);
    }
}

/* Both at once: it is found out, too, and is all that is left of it. */
static void test_both(void)
{
    for (guint32 seed = 0; seed < SEEDS * G_N_ELEMENTS(VERBS); seed++) {
        const struct verb *verb = &VERBS[seed % G_N_ELEMENTS(VERBS)];
        struct host host;
        struct guest guest;
        host_start(&host, seed);
        guest_init(&guest, &host);
        host.verb = verb->verb;
        g_atomic_int_set(&host.percent, 5);
        guest_visits(&guest, BAD_ROUNDS);
        g_test_message("seed %u, %s: %d ends", seed, verb->word, g_atomic_int_get(&host.ends));
        g_atomic_int_set(&host.percent, 0);
        calm();
        guest_visits(&guest, GOOD_ROUNDS);
        calm();
        guest_visits(&guest, GOOD_ROUNDS);
        g_autofree char *now = guest_knows(&guest);
        g_assert_cmpstr(now, ==, verb->word);
        guest_clear(&guest);
        host_end(&host);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/flaws/network/first", test_network_first);
    g_test_add_func("/imap/flaws/network/known", test_network_known);
    g_test_add_func("/imap/flaws/server", test_server);
    g_test_add_func("/imap/flaws/both", test_both);
    return g_test_run();
}
