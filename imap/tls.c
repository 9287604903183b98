#include "imap/tls.h"

#include "imap/authorities.h"
#include "imap/transcript.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { FIRST_BYTES = 128, SHA256_BYTES = 32, NAME_MAX_BYTES = 200 };

struct imap_tls_layer {
    int fd;
    SSL *ssl;
    short wants;
    const char *reason; /* static: why the connection is over */
    char *host;         /* for messages */
    uint16_t port;
    char *ca_file; /* for messages; NULL: the system's authorities */
    bool pinned;   /* `fingerprint` instead of chain and name */
    uint8_t fingerprint[SHA256_BYTES];
    /* the handshake */
    char first[FIRST_BYTES]; /* what the server sent first, before any decryption */
    size_t first_length;
    int verify_error;  /* X509_V_*, 0: none */
    char *verify_date; /* when the certificate in question began or ended */
    char *leaf;        /* its fingerprint in hex, to be shown */
};

/* ---- a BIO on the socket: as OpenSSL's own, but it raises no SIGPIPE and remembers what a server
 * that speaks no TLS said ---------------------------------------------------------------------- */

static bool again(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int bio_read(BIO *bio, char *buffer, size_t size, size_t *done)
{
    struct imap_tls_layer *tls = BIO_get_data(bio);
    ssize_t n = recv(tls->fd, buffer, size, 0);

    BIO_clear_retry_flags(bio);
    if (n < 0 && again(errno))
        BIO_set_retry_read(bio);
    if (n <= 0)
        return 0;
    size_t fits = MIN((size_t)n, FIRST_BYTES - tls->first_length);
    memcpy(tls->first + tls->first_length, buffer, fits);
    tls->first_length += fits;
    *done = (size_t)n;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t length, size_t *done)
{
    struct imap_tls_layer *tls = BIO_get_data(bio);
    ssize_t n = send(tls->fd, bytes, length, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (n < 0 && again(errno))
        BIO_set_retry_write(bio);
    if (n <= 0)
        return 0;
    *done = (size_t)n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP;
}

static gpointer bio_method_make(gpointer data)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "imap socket");

    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
}

static BIO *bio_new(struct imap_tls_layer *tls)
{
    static GOnce once = G_ONCE_INIT;
    BIO *bio = BIO_new(g_once(&once, bio_method_make, NULL));

    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- is this the right server? ----------------------------------------------------------------
 */

static char *certificate_fingerprint(const X509 *certificate)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    GString *hex = g_string_new(NULL);

    if (X509_digest(certificate, EVP_sha256(), digest, &length) == 1)
        for (unsigned i = 0; i < length; i++)
            g_string_append_printf(hex, "%s%02X", i ? ":" : "", digest[i]);
    return g_string_free(hex, FALSE);
}

static char *time_text(const ASN1_TIME *time)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return g_strdup("an unreadable date");
    return g_strdup_printf("%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

/* Called by OpenSSL for each certificate of the chain; remembers the first thing that is wrong. */
static int verify_callback(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct imap_tls_layer *tls = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store), *at = X509_STORE_CTX_get_current_cert(store);

    if (ok || tls->verify_error)
        return ok;
    tls->verify_error = X509_STORE_CTX_get_error(store);
    if (leaf)
        tls->leaf = certificate_fingerprint(leaf);
    if (at)
        tls->verify_date =
            time_text(tls->verify_error == X509_V_ERR_CERT_NOT_YET_VALID ? X509_get0_notBefore(at)
                                                                         : X509_get0_notAfter(at));
    return 0;
}

/* What is wrong in plain words; %s is the date. The first row that matches, the last always does.
 */
static const struct verify_words {
    int error;
    bool pin; /* whether the user may want this very certificate nevertheless */
    const char *words;
    bool alien; /* the authority is not among those that are known here */
} VERIFY_WORDS[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, false, "expired on %s"},
    {X509_V_ERR_CERT_NOT_YET_VALID, false,
     "is not valid before %s; is this machine's clock right?"},
    {X509_V_ERR_HOSTNAME_MISMATCH, true, "is for another host name; check the spelling"},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, true,
     "does not name this address; use the server's host name"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, true, "is self-signed"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, true,
     "comes from an authority that is not trusted here; tls_ca=FILE names another", true},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, true,
     "comes from an authority that is not known here; tls_ca=FILE names another", true},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, true,
     "comes from an authority that is not known here; tls_ca=FILE names another", true},
    {X509_V_ERR_CERT_REVOKED, false, "was revoked"},
    {X509_V_ERR_INVALID_PURPOSE, true, "is not made for a server"},
    {0, false, NULL},
};

static void certificate_refused(const struct imap_tls_layer *tls, GError **error)
{
    const struct verify_words *row = VERIFY_WORDS;
    g_autoptr(GString) text = g_string_new(NULL);

    while (row->words && row->error != tls->verify_error)
        row++;
    if (row->alien && !tls->ca_file && !imap_authorities_any()) {
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE,
                    "the certificate of %s cannot be checked: no certificate authorities are "
                    "installed here (in Debian the package ca-certificates has them)",
                    tls->host);
        return;
    }
    g_string_printf(text, "the certificate of %s ", tls->host);
    g_string_append(text, row->words ? row->words : "cannot be trusted: ");
    if (row->words)
        g_string_replace(text, "%s", tls->verify_date ? tls->verify_date : "an unknown date", 1);
    else
        g_string_append(text, X509_verify_cert_error_string(tls->verify_error));
    if (row->pin && tls->leaf)
        g_string_append_printf(text, "; if it is the right one: tls_fingerprint=%s", tls->leaf);
    g_set_error_literal(error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE, text->str);
}

/* With a fingerprint: the leaf is exactly that certificate. */
static bool certificate_pinned(const struct imap_tls_layer *tls, GError **error)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    X509 *leaf = SSL_get0_peer_certificate(tls->ssl);

    if (leaf && X509_digest(leaf, EVP_sha256(), digest, &length) == 1 && length == SHA256_BYTES &&
        CRYPTO_memcmp(digest, tls->fingerprint, SHA256_BYTES) == 0)
        return true;
    g_autofree char *shown = leaf ? certificate_fingerprint(leaf) : g_strdup("none");
    g_set_error(error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE,
                "the certificate of %s is not the one that tls_fingerprint= names; it has %s",
                tls->host, shown);
    return false;
}

static bool fingerprint_parse(const char *text, uint8_t out[SHA256_BYTES])
{
    size_t n = 0;

    for (const char *p = text; *p; p++) {
        if (*p == ':' || *p == ' ')
            continue;
        int digit = g_ascii_xdigit_value(*p);
        if (digit < 0 || n == 2 * SHA256_BYTES)
            return false;
        out[n / 2] = (uint8_t)(n % 2 ? out[n / 2] | digit : digit << 4);
        n++;
    }
    return n == 2 * SHA256_BYTES;
}

/* ---- setting up -------------------------------------------------------------------------------
 */

/* The name to ask for and to find in the certificate: no brackets, no zone, no final dot, ASCII. */
static char *host_name(const char *host)
{
    size_t length = strlen(host);

    if (length > 2 && host[0] == '[' && host[length - 1] == ']')
        return g_strndup(host + 1, strcspn(host + 1, "%]"));
    if (strchr(host, ':'))
        return g_strndup(host, strcspn(host, "%"));
    char *ascii = g_hostname_is_non_ascii(host) ? g_hostname_to_ascii(host) : g_strdup(host);
    if (ascii && g_str_has_suffix(ascii, "."))
        ascii[strlen(ascii) - 1] = '\0';
    return ascii;
}

static bool host_expect(SSL *ssl, const char *host)
{
    g_autofree char *name = host_name(host);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (!name || !*name)
        return false;
    if (g_hostname_is_ip_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* Threads that open connections may be at work when main() returns: OpenSSL's own exit handler
 * would take away what they use. */
static gpointer library_start(gpointer data)
{
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    return NULL;
}

/* A passphrase is never asked for. */
static int passphrase_none(char *buffer, int size, int writing, void *data)
{
    return 0;
}

/* Our own certificate; NULL, or what is wrong. */
static const char *identity_load(SSL_CTX *context, const struct imap_server *server)
{
    const char *key = server->key_file ? server->key_file : server->cert_file;

    SSL_CTX_set_default_passwd_cb(context, passphrase_none);
    if (SSL_CTX_use_certificate_chain_file(context, server->cert_file) != 1)
        return "cannot read a certificate (PEM) from tls_cert=";
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH
                   ? "the key does not belong to the certificate in tls_cert="
                   : "cannot read a key (PEM, without passphrase) from tls_key=";
    return NULL;
}

static bool identity_use(SSL_CTX *context, const struct imap_server *server, GError **error)
{
    const char *wrong = server->cert_file ? identity_load(context, server) : NULL;

    ERR_clear_error();
    if (wrong)
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE, "%s: %s%s", server->host, wrong,
                    server->key_file && strstr(wrong, "key") ? server->key_file
                                                             : server->cert_file);
    return !wrong;
}

static SSL_CTX *context_new(const struct imap_server *server, GError **error)
{
    static GOnce once = G_ONCE_INIT;
    g_once(&once, library_start, NULL);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (server->fingerprint) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        return context;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, verify_callback);
    if (!server->ca_file) {
        SSL_CTX_set_default_verify_paths(context);
    } else if (SSL_CTX_load_verify_file(context, server->ca_file) != 1) {
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE,
                    "%s: cannot read certificates from tls_ca=%s", server->host, server->ca_file);
        ERR_clear_error();
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

struct imap_tls_layer *imap_tls_new(int fd, const struct imap_server *server, GError **error)
{
    uint8_t fingerprint[SHA256_BYTES];

    if (server->fingerprint && !fingerprint_parse(server->fingerprint, fingerprint)) {
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE,
                    "%s: tls_fingerprint= is not a SHA-256 (64 hexadecimal digits)", server->host);
        return NULL;
    }
    SSL_CTX *context = context_new(server, error);
    if (!context)
        return NULL;
    if (!identity_use(context, server, error)) {
        SSL_CTX_free(context);
        return NULL;
    }

    struct imap_tls_layer *tls = g_new0(struct imap_tls_layer, 1);
    tls->fd = fd;
    tls->host = g_strdup(server->host);
    tls->port = server->port;
    tls->ca_file = g_strdup(server->ca_file);
    tls->pinned = server->fingerprint != NULL;
    if (tls->pinned)
        memcpy(tls->fingerprint, fingerprint, SHA256_BYTES);
    tls->ssl = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_app_data(tls->ssl, tls);
    BIO *bio = bio_new(tls);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_connect_state(tls->ssl);
    if (!host_expect(tls->ssl, server->host)) {
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE, "%s is not a valid host name",
                    server->host);
        g_clear_pointer(&tls, imap_tls_free);
    }
    return tls;
}

void imap_tls_free(struct imap_tls_layer *tls)
{
    if (!tls)
        return;
    ERR_clear_error();
    if (SSL_is_init_finished(tls->ssl))
        SSL_shutdown(tls->ssl);
    SSL_free(tls->ssl);
    ERR_clear_error();
    g_free(tls->host);
    g_free(tls->ca_file);
    g_free(tls->verify_date);
    g_free(tls->leaf);
    g_free(tls);
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

/* In TLS 1.3 a server tells only after the handshake what it thinks of our certificate (RFC 8446,
 * 6.2). */
static const struct alert {
    int reason;
    const char *words;
} ALERTS[] = {
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the server wants a client certificate (tls_cert=)"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the server refused the client certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "the server refused the client certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "the client certificate was revoked"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the client certificate has expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the server refused the client certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the server does not know who issued the client certificate"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, "the server refused the client certificate"},
};

static const char *alert_words(unsigned long code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ALERTS) && ERR_GET_LIB(code) == ERR_LIB_SSL; i++)
        if (ERR_GET_REASON(code) == ALERTS[i].reason)
            return ALERTS[i].words;
    return NULL;
}

/* 0: wait for `wants`; -1: the connection is over. */
static int io_failed(struct imap_tls_layer *tls, int rc)
{
    int reason = SSL_get_error(tls->ssl, rc);
    const char *alert = alert_words(ERR_peek_last_error());

    tls->reason = alert ? alert : "the server closed the connection";
    tls->wants = reason == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
    return reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

ssize_t imap_tls_read(struct imap_tls_layer *tls, void *buffer, size_t size)
{
    size_t done = 0;

    ERR_clear_error();
    int rc = SSL_read_ex(tls->ssl, buffer, size, &done);
    return rc == 1 ? (ssize_t)done : io_failed(tls, rc);
}

ssize_t imap_tls_write(struct imap_tls_layer *tls, const void *bytes, size_t length)
{
    size_t done = 0;

    if (length == 0)
        return 0;
    ERR_clear_error();
    int rc = SSL_write_ex(tls->ssl, bytes, length, &done);
    return rc == 1 ? (ssize_t)done : io_failed(tls, rc);
}

const char *imap_tls_reason(const struct imap_tls_layer *tls)
{
    return tls->reason;
}

short imap_tls_wants(const struct imap_tls_layer *tls)
{
    return tls->wants;
}

bool imap_tls_pending(const struct imap_tls_layer *tls)
{
    return SSL_pending(tls->ssl) > 0;
}

/* ---- the handshake ----------------------------------------------------------------------------
 */

/* Whether what came first can be a TLS record: its type and major version (RFC 8446, 5.1). */
static bool spoke_tls(const struct imap_tls_layer *tls)
{
    return tls->first_length < 2 ||
           (tls->first[0] >= 0x14 && tls->first[0] <= 0x18 && tls->first[1] == 0x03);
}

/* OpenSSL took only a record's head of it. */
static void first_complete(struct imap_tls_layer *tls)
{
    ssize_t n = recv(tls->fd, tls->first + tls->first_length, FIRST_BYTES - tls->first_length,
                     MSG_DONTWAIT);
    if (n > 0)
        tls->first_length += (size_t)n;
}

static void handshake_failed(struct imap_tls_layer *tls, GError **error)
{
    unsigned long code = ERR_peek_last_error();

    if (tls->verify_error) {
        certificate_refused(tls, error);
    } else if (!spoke_tls(tls)) {
        first_complete(tls);
        g_autofree char *said = imap_text_line(tls->first, tls->first_length, FIRST_BYTES);
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_NOT_IMAP,
                    "%s speaks no TLS at port %u: it says \"%s\"%s", tls->host, tls->port, said,
                    g_str_has_prefix(said, "* OK") ? "; use imap:// (STARTTLS)" : "");
    } else if (tls->first_length == 0 && code == 0) {
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_LOST,
                    "%s closed the connection at port %u before TLS was made", tls->host,
                    tls->port);
    } else {
        const char *alert = alert_words(code);
        const char *reason = alert ? alert : code ? ERR_reason_error_string(code) : NULL;
        g_set_error(error, IMAP_ERROR, IMAP_ERROR_TLS, "TLS with %s failed: %s", tls->host,
                    reason ? reason : "the connection was closed");
    }
}

/* A name of a certificate as text (RFC 4514), cut where it is long. The caller's. */
static char *name_text(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes = NULL;

    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    long length = BIO_get_mem_data(bio, &bytes);
    g_autofree char *raw = g_strndup(bytes, (gsize)MIN(length, NAME_MAX_BYTES));
    BIO_free(bio);
    return *raw ? g_utf8_make_valid(raw, -1) : g_strdup("no name");
}

char *imap_tls_describe(const struct imap_tls_layer *tls)
{
    X509 *leaf = SSL_get0_peer_certificate(tls->ssl);

    if (!leaf)
        return g_strdup(SSL_get_version(tls->ssl));
    g_autofree char *subject = name_text(X509_get_subject_name(leaf));
    g_autofree char *issuer = name_text(X509_get_issuer_name(leaf));
    g_autofree char *end = time_text(X509_get0_notAfter(leaf));
    g_autofree char *trust = tls->pinned    ? g_strdup("it is the one that tls_fingerprint= names")
                             : tls->ca_file ? g_strdup_printf("trusted by tls_ca=%s", tls->ca_file)
                                            : g_strdup("trusted by this system's authorities");
    return g_strdup_printf("%s; certificate of %s from %s, until %s; %s", SSL_get_version(tls->ssl),
                           subject, issuer, end, trust);
}

int imap_tls_handshake(struct imap_tls_layer *tls, GError **error)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(tls->ssl);
    if (rc == 1)
        return !tls->pinned || certificate_pinned(tls, error) ? 1 : -1;
    if (io_failed(tls, rc) == 0)
        return 0;
    handshake_failed(tls, error);
    ERR_clear_error();
    return -1;
}

/* ---- channel binding --------------------------------------------------------------------------
 */

static GBytes *binding_exporter(SSL *ssl)
{
    static const char LABEL[] = "EXPORTER-Channel-Binding";
    uint8_t bytes[32];

    if (SSL_export_keying_material(ssl, bytes, sizeof(bytes), LABEL, strlen(LABEL), NULL, 0, 0) !=
        1)
        return NULL;
    return g_bytes_new(bytes, sizeof(bytes));
}

/* The first Finished message: ours, but the server's where a session was taken up again. */
static GBytes *binding_unique(SSL *ssl)
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    size_t length = SSL_session_reused(ssl) ? SSL_get_peer_finished(ssl, bytes, sizeof(bytes))
                                            : SSL_get_finished(ssl, bytes, sizeof(bytes));

    return length > 0 ? g_bytes_new(bytes, MIN(length, sizeof(bytes))) : NULL;
}

GBytes *imap_tls_binding(const struct imap_tls_layer *tls, bool other, const char **name)
{
    bool exporter = (SSL_version(tls->ssl) >= TLS1_3_VERSION) != other;

    *name = exporter ? "tls-exporter" : "tls-unique";
    GBytes *binding = exporter ? binding_exporter(tls->ssl) : binding_unique(tls->ssl);
    ERR_clear_error();
    return binding;
}
