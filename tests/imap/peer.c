#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    const struct peer_plan *plan;
    int listener;
    uint16_t port;
    GThread *thread;
    GString *log;
    gint stopping; /* atomic */
    /* of a connection */
    int fd;
    SSL *ssl;
    sasl_conn_t *sasl;
    bool layered, broken;
    GString *heard; /* opened, not yet read */
    uint8_t binding[64];
    sasl_channel_binding_t channel;
};

/* ---- libsasl2's server ------------------------------------------------------------------------
 */

static int option_get(void *context, const char *plugin, const char *option, const char **result,
                      unsigned *length)
{
    if (strcmp(option, "auxprop_plugin") != 0)
        return SASL_FAIL;
    *result = "memory";
    if (length)
        *length = 6;
    return SASL_OK;
}

static int say_nothing(void *context, int level, const char *message)
{
    return SASL_OK;
}

static int secret_lookup(void *global, sasl_server_params_t *params, unsigned flags,
                         const char *user, unsigned length)
{
    const char *names[] = {SASL_AUX_PASSWORD, "*cmusaslsecretSCRAM", NULL};
    struct propval found[3] = {{0}};

    if (length != 5 || strncmp(user, "alice", 5) != 0)
        return SASL_NOUSER;
    params->utils->prop_getnames(params->propctx, names, found);
    for (const struct propval *value = params->utils->prop_get(params->propctx);
         value && value->name; value++)
        if (g_str_has_suffix(value->name, "userPassword"))
            params->utils->prop_set(params->propctx, value->name, "sesame", 6);
    return SASL_OK;
}

static int memory_init(const sasl_utils_t *utils, int most, int *version,
                       sasl_auxprop_plug_t **plugin, const char *name)
{
    static sasl_auxprop_plug_t memory = {.auxprop_lookup = secret_lookup, .name = (char *)"memory"};
    *version = SASL_AUXPROP_PLUG_VERSION;
    *plugin = &memory;
    return SASL_OK;
}

#define PROC(function) ((int (*)(void))(void (*)(void))(function))

static gpointer library_start(gpointer data)
{
    static const sasl_callback_t callbacks[] = {{SASL_CB_GETOPT, PROC(option_get), NULL},
                                                {SASL_CB_LOG, PROC(say_nothing), NULL},
                                                {SASL_CB_LIST_END, NULL, NULL}};

    sasl_auxprop_add_plugin("memory", memory_init);
    g_assert_cmpint(sasl_server_init(callbacks, "peer"), ==, SASL_OK);
    return NULL;
}

/* The client's first Finished, or what both export. */
static void binding_set(struct peer *peer)
{
    bool unique = strcmp(peer->plan->binding, "tls-unique") == 0;
    static const char label[] = "EXPORTER-Channel-Binding";

    peer->channel.name = peer->plan->binding;
    peer->channel.data = peer->binding;
    peer->channel.len =
        unique ? SSL_get_peer_finished(peer->ssl, peer->binding, sizeof(peer->binding)) : 32;
    if (!unique)
        g_assert_cmpint(SSL_export_keying_material(peer->ssl, peer->binding, 32, label,
                                                   strlen(label), NULL, 0, 0),
                        ==, 1);
    sasl_setprop(peer->sasl, SASL_CHANNEL_BINDING, &peer->channel);
}

static void sasl_begin(struct peer *peer)
{
    sasl_security_properties_t properties = {.max_ssf = peer->ssl ? 0 : 256, .maxbufsize = 8192};

    g_assert_cmpint(sasl_server_new("imap", "127.0.0.1", NULL, NULL, NULL, NULL, 0, &peer->sasl),
                    ==, SASL_OK);
    sasl_setprop(peer->sasl, SASL_SEC_PROPS, &properties);
    if (peer->plan->binding)
        binding_set(peer);
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

static ssize_t wire_read(struct peer *peer, void *buffer, size_t size)
{
    return peer->ssl ? SSL_read(peer->ssl, buffer, (int)size) : recv(peer->fd, buffer, size, 0);
}

static void wire_write(struct peer *peer, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = peer->ssl ? SSL_write(peer->ssl, bytes, (int)length)
                              : send(peer->fd, bytes, length, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes += n;
        length -= (size_t)n;
    }
}

static void say(struct peer *peer, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void say(struct peer *peer, const char *format, ...)
{
    va_list arguments;
    const char *out;
    unsigned length;

    va_start(arguments, format);
    g_autofree char *line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (!peer->layered) {
        wire_write(peer, line, strlen(line));
        return;
    }
    for (const char *p = line; *p; p += MIN(strlen(p), 4000)) { /* several packets */
        g_assert_cmpint(sasl_encode(peer->sasl, p, (unsigned)MIN(strlen(p), 4000), &out, &length),
                        ==, SASL_OK);
        g_autofree char *packet = g_memdup2(out, length);
        if (peer->plan->lie == PEER_LAYER)
            packet[length - 1] = (char)(packet[length - 1] ^ 1);
        if (peer->plan->lie == PEER_HUGE)
            packet[0] = 0x7f;
        wire_write(peer, packet, length);
    }
}

/* A line without its CRLF; NULL: the client is gone. */
static char *hear(struct peer *peer)
{
    char *end;

    while (!(end = strstr(peer->heard->str, "\r\n"))) {
        char raw[4096];
        ssize_t n = wire_read(peer, raw, sizeof(raw));
        const char *out = raw;
        unsigned length = (unsigned)n;
        if (n <= 0)
            return NULL;
        if (peer->layered && sasl_decode(peer->sasl, raw, (unsigned)n, &out, &length) != SASL_OK)
            return NULL;
        if (length > 0)
            g_string_append_len(peer->heard, out, length);
    }
    char *line = g_strndup(peer->heard->str, (gsize)(end - peer->heard->str));
    g_string_erase(peer->heard, 0, end - peer->heard->str + 2);
    return line;
}

/* ---- the exchange -----------------------------------------------------------------------------
 */

static void note_header(struct peer *peer, const char *name, const char *bytes, size_t length)
{
    g_autofree char *text = g_strndup(bytes, length);
    char *end = g_str_has_prefix(name, "SCRAM") ? strstr(text, ",,") : NULL;

    if (!end)
        return;
    *end = '\0';
    g_string_append_printf(peer->log, " %s", text);
}

/* Sends a challenge, or the lie that takes its place. False: it said OK instead. */
static bool challenge(struct peer *peer, const char *bytes, size_t length)
{
    g_autofree char *raw = g_strndup(bytes, length);
    bool last = g_str_has_prefix(raw, "v=") || g_str_has_prefix(raw, "rspauth=");
    char *iterations = strstr(raw, ",i=");

    if (last && peer->plan->lie == PEER_EARLY)
        return false;
    if (last && peer->plan->lie == PEER_FORGED)
        raw[9] = raw[9] == 'A' ? 'B' : 'A';
    if (iterations && peer->plan->lie == PEER_ROUNDS) {
        *iterations = '\0';
        char *more = g_strconcat(raw, ",i=4294967295", NULL);
        g_free(raw);
        raw = more;
        length = strlen(raw);
    }
    g_autofree char *text = g_base64_encode((guchar *)raw, length);
    say(peer, "+ %s\r\n", peer->plan->lie == PEER_GARBAGE && length > 0 ? "never base64!" : text);
    return true;
}

/* Returns what came of it. */
static const char *exchange(struct peer *peer, const char *name, const char *initial)
{
    const char *out = NULL;
    unsigned length = 0;
    g_autofree char *line = g_strdup(initial);
    bool started = false, noted = false;

    for (;;) {
        gsize size = 0;
        if (line && strcmp(line, "*") == 0)
            return "cancelled";
        g_autofree guchar *raw =
            line && strcmp(line, "=") != 0 ? g_base64_decode(line, &size) : g_malloc0(1);
        if (line && !noted)
            note_header(peer, name, (char *)raw, size);
        noted |= line != NULL;
        out = NULL;
        length = 0;
        int rc = started ? sasl_server_step(peer->sasl, (char *)raw, (unsigned)size, &out, &length)
                         : sasl_server_start(peer->sasl, name, line ? (char *)raw : NULL,
                                             (unsigned)size, &out, &length);
        started = true;
        if (rc == SASL_OK && !(out && length > 0) && peer->plan->lie != PEER_ENDLESS)
            return "in";
        if (rc != SASL_CONTINUE && rc != SASL_OK)
            return "refused";
        if (!challenge(peer, out ? out : "", out ? length : 0))
            return "in";
        g_free(line);
        line = hear(peer);
        if (!line)
            return "lost";
        if (rc == SASL_OK)
            return strcmp(line, "*") == 0 ? "cancelled" : "in";
    }
}

static void authenticate(struct peer *peer, const char *tag, const char *name, const char *initial)
{
    const void *strength = NULL;

    g_string_append(peer->log, name);
    sasl_begin(peer);
    const char *end = exchange(peer, name, initial);
    g_string_append_printf(peer->log, " %s", end);
    if (strcmp(end, "in") != 0) {
        say(peer, "%s NO%s\r\n", tag,
            peer->plan->vague ? " bad protocol / cancel" : " [AUTHENTICATIONFAILED] wrong");
    } else {
        say(peer, "%s OK [CAPABILITY IMAP4rev1 LIE] in\r\n", tag);
        sasl_getprop(peer->sasl, SASL_SSF, &strength);
        peer->layered = strength && *(const sasl_ssf_t *)strength > 0;
        if (peer->layered)
            g_string_append_printf(peer->log, " layer %u", *(const sasl_ssf_t *)strength);
    }
    g_string_append_c(peer->log, '\n');
}

static void command(struct peer *peer, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 4);
    guint count = g_strv_length(words);

    if (count >= 3 && g_str_equal(words[1], "AUTHENTICATE")) {
        authenticate(peer, words[0], words[2], words[3]);
        return;
    }
    if (count >= 2 && g_str_equal(words[1], "CAPABILITY"))
        say(peer, "* CAPABILITY IMAP4rev1 %s\r\n",
            peer->layered ? "ID COMPRESS=DEFLATE" : peer->plan->offered);
    if (count >= 2 && g_str_equal(words[1], "ID"))
        for (int i = 0; i < 400; i++) /* so much that it takes several packets */
            say(peer, "* OK and then it went on to say something that filled the line %d\r\n", i);
    say(peer, "%s %s\r\n", words[0] ? words[0] : "*",
        count >= 2 && g_str_equal(words[1], "COMPRESS") ? "NO" : "OK done");
}

static void serve(struct peer *peer)
{
    char *line;

    if (peer->plan->tls) {
        peer->ssl = SSL_new(peer->plan->tls);
        SSL_set_fd(peer->ssl, peer->fd);
        if (SSL_accept(peer->ssl) != 1)
            return;
    }
    say(peer, "* OK [CAPABILITY IMAP4rev1 %s] ready\r\n", peer->plan->offered);
    while ((line = hear(peer))) {
        command(peer, line);
        g_free(line);
    }
}

static gpointer run(gpointer data)
{
    struct peer *peer = data;

    while ((peer->fd = accept(peer->listener, NULL, NULL)) >= 0) {
        if (g_atomic_int_get(&peer->stopping))
            break;
        peer->heard = g_string_new(NULL);
        serve(peer);
        g_string_free(peer->heard, TRUE);
        g_clear_pointer(&peer->ssl, SSL_free);
        if (peer->sasl)
            sasl_dispose(&peer->sasl);
        peer->layered = false;
        close(peer->fd);
    }
    if (peer->fd >= 0)
        close(peer->fd);
    return NULL;
}

struct peer *peer_start(const struct peer_plan *plan)
{
    static GOnce once = G_ONCE_INIT;
    struct peer *peer = g_new0(struct peer, 1);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);

    g_once(&once, library_start, NULL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->plan = plan;
    peer->log = g_string_new(NULL);
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(peer->listener, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(listen(peer->listener, 5), ==, 0);
    g_assert_cmpint(getsockname(peer->listener, (struct sockaddr *)&address, &length), ==, 0);
    peer->port = ntohs(address.sin_port);
    peer->thread = g_thread_new("peer", run, peer);
    return peer;
}

uint16_t peer_port(const struct peer *peer)
{
    return peer->port;
}

char *peer_end(struct peer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(peer->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_atomic_int_set(&peer->stopping, 1);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_thread_join(peer->thread);
    close(fd);
    close(peer->listener);
    char *log = g_string_free(peer->log, FALSE);
    g_free(peer);
    return log;
}
