/* TLS: which certificates are taken, and what is said of those that are not. */
#include "client.h"

#include <glib/gstdio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HELLO "S:* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready"
#define SIGN_IN "C:AUTHENTICATE PLAIN AGFsaWNlAHNlc2FtZQ==", "S:$$ OK [CAPABILITY IMAP4rev1] in"

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

static struct identity authority, other_authority;
static char *folder, *ca_file;

/* ---- making certificates ------------------------------------------------------------------------
 */

static void extend(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    g_assert_nonnull(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* Valid from `from_s` to `to_s`, both from now. `issuer` NULL: signed by itself. `names` as in
 * subjectAltName; NULL: an authority. */
static struct identity make(const char *subject, const char *names, const struct identity *issuer,
                            long from_s, long to_s)
{
    static long serial = 1;
    struct identity made = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *name = X509_get_subject_name(made.certificate);

    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), to_s);
    X509_set_pubkey(made.certificate, made.key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)subject, -1, -1,
                               0);
    X509_set_issuer_name(made.certificate,
                         issuer ? X509_get_subject_name(issuer->certificate) : name);
    extend(made.certificate, NID_basic_constraints, names ? "CA:FALSE" : "critical,CA:TRUE");
    if (names)
        extend(made.certificate, NID_subject_alt_name, names);
    g_assert_cmpint(X509_sign(made.certificate, issuer ? issuer->key : made.key, EVP_sha256()), >,
                    0);
    return made;
}

static void forget(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

static SSL_CTX *server_context(const struct identity *identity)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    g_assert_cmpint(SSL_CTX_use_certificate(context, identity->certificate), ==, 1);
    g_assert_cmpint(SSL_CTX_use_PrivateKey(context, identity->key), ==, 1);
    return context;
}

static char *fingerprint(const struct identity *identity, const char *separator)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    GString *hex = g_string_new(NULL);

    X509_digest(identity->certificate, EVP_sha256(), digest, &length);
    for (unsigned i = 0; i < length; i++)
        g_string_append_printf(hex, "%s%02x", i ? separator : "", digest[i]);
    return g_string_free(hex, FALSE);
}

/* ---- the tests ----------------------------------------------------------------------------------
 */

enum { DAY = 86400 };
enum pin { NO_PIN, PIN, PIN_COLONS, WRONG_PIN, NO_SUCH_PIN };

static const struct certificate_case {
    const char *name, *host, *names;
    const struct identity *issuer; /* NULL: self-signed */
    long from_s, to_s;
    enum pin pin;
    enum imap_error error; /* IMAP_OK: it is taken */
    const char *words;
} CASES[] = {
    {"valid", "localhost", "DNS:localhost", &authority, -DAY, DAY, NO_PIN, IMAP_OK, NULL},
    {"valid address", "127.0.0.1", "IP:127.0.0.1", &authority, -DAY, DAY, NO_PIN, IMAP_OK, NULL},
    {"brackets", "[127.0.0.1]", "IP:127.0.0.1", &authority, -DAY, DAY, NO_PIN, IMAP_OK, NULL},
    {"expired", "localhost", "DNS:localhost", &authority, -9 * DAY, -DAY, NO_PIN,
     IMAP_ERROR_CERTIFICATE, "the certificate of localhost expired on 20"},
    {"not yet valid", "localhost", "DNS:localhost", &authority, DAY, 9 * DAY, NO_PIN,
     IMAP_ERROR_CERTIFICATE, "is not valid before 20"},
    {"self-signed", "localhost", "DNS:localhost", NULL, -DAY, DAY, NO_PIN, IMAP_ERROR_CERTIFICATE,
     "is self-signed; if it is the right one: tls_fingerprint="},
    {"unknown authority", "localhost", "DNS:localhost", &other_authority, -DAY, DAY, NO_PIN,
     IMAP_ERROR_CERTIFICATE, "an authority that is not known here; tls_ca=FILE"},
    {"another name", "localhost", "DNS:imap.example.org", &authority, -DAY, DAY, NO_PIN,
     IMAP_ERROR_CERTIFICATE, "is for another host name"},
    {"another address", "127.0.0.1", "IP:127.0.0.2", &authority, -DAY, DAY, NO_PIN,
     IMAP_ERROR_CERTIFICATE, "does not name this address"},
    {"a name is no address", "127.0.0.1", "DNS:127.0.0.1", &authority, -DAY, DAY, NO_PIN,
     IMAP_ERROR_CERTIFICATE, "does not name this address"},
    {"pinned", "localhost", "DNS:else.example", NULL, -9 * DAY, -DAY, PIN, IMAP_OK, NULL},
    {"pinned with colons", "localhost", "DNS:x", NULL, -DAY, DAY, PIN_COLONS, IMAP_OK, NULL},
    {"wrong pin on a valid one", "localhost", "DNS:localhost", &authority, -DAY, DAY, WRONG_PIN,
     IMAP_ERROR_CERTIFICATE, "is not the one that tls_fingerprint= names"},
    {"no such pin", "localhost", "DNS:localhost", &authority, -DAY, DAY, NO_SUCH_PIN,
     IMAP_ERROR_CERTIFICATE, "64 hexadecimal digits"},
};

static char *pin_text(const struct certificate_case *row, const struct identity *identity)
{
    switch (row->pin) {
    case PIN:
        return fingerprint(identity, "");
    case PIN_COLONS:
        return fingerprint(identity, ":");
    case WRONG_PIN:
        return fingerprint(&authority, ":");
    case NO_SUCH_PIN:
        return g_strdup("AB:CD");
    default:
        return NULL;
    }
}

static void check_case(const struct certificate_case *row, enum imap_tls tls,
                       const char *const *steps)
{
    struct identity identity = make("test", row->names, row->issuer, row->from_s, row->to_s);
    SSL_CTX *context = server_context(&identity);
    g_autofree char *pin = pin_text(row, &identity);
    struct client client;

    client_init(&client, steps, context);
    client.server.host = row->host;
    client.server.tls = tls;
    client.server.ca_file = ca_file;
    client.server.fingerprint = pin;
    client_open(&client);
    if (row->error == IMAP_OK) {
        g_assert_no_error(client.error);
    } else {
        g_assert_error(client.error, IMAP_ERROR, (gint)row->error);
        if (!strstr(client.error->message, row->words))
            g_printerr("message: %s\n", client.error->message);
        g_assert_nonnull(strstr(client.error->message, row->words));
        g_assert_null(strstr(client.transcript->str, "AUTHENTICATE"));
    }
    client_end(&client, row->error == IMAP_OK);
    SSL_CTX_free(context);
    forget(&identity);
}

static void test_implicit(void)
{
    static const char *const steps[] = {"T:", HELLO, SIGN_IN, NULL};

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_test_message("%s", CASES[i].name);
        check_case(&CASES[i], IMAP_TLS_IMPLICIT, steps);
    }
}

/* The capabilities of before count no more: they are asked for anew. */
static void test_starttls(void)
{
    static const char *const steps[] = {"S:* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi",
                                        "C:STARTTLS",
                                        "S:$$ OK go",
                                        "T:",
                                        "C:CAPABILITY",
                                        "S:* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR",
                                        "S:$$ OK",
                                        SIGN_IN,
                                        NULL};

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_test_message("%s", CASES[i].name);
        check_case(&CASES[i], IMAP_TLS_STARTTLS, steps);
    }
}

static void test_no_tls(void)
{
    client_refuses((const char *[]){"S:* OK plain IMAP here", NULL}, IMAP_TLS_IMPLICIT, NULL,
                   IMAP_ERROR_NOT_IMAP, "speaks no TLS at port");
    client_refuses((const char *[]){"S:220 mail ESMTP", NULL}, IMAP_TLS_IMPLICIT, NULL,
                   IMAP_ERROR_NOT_IMAP, "it says \"220 mail ESMTP\"");
    client_refuses((const char *[]){"P:", "X:", NULL}, IMAP_TLS_IMPLICIT, NULL, IMAP_ERROR_LOST,
                   "closed the connection");
}

/* Plain bytes between STARTTLS's OK and the handshake never pass for the server's. */
static void test_injected(void)
{
    client_refuses((const char *[]){"S:* OK [CAPABILITY IMAP4rev1 STARTTLS] hi", "C:STARTTLS",
                                    "S:$$ OK go", "S:* PREAUTH welcome", NULL},
                   IMAP_TLS_STARTTLS, NULL, IMAP_ERROR_TLS, "");
}

static void test_ca_unreadable(void)
{
    static const char *const steps[] = {"T:", NULL};
    struct client client;
    SSL_CTX *context = server_context(&authority);

    client_init(&client, steps, context);
    client.server.tls = IMAP_TLS_IMPLICIT;
    client.server.ca_file = "/nowhere/ca.pem";
    client_open(&client);
    g_assert_error(client.error, IMAP_ERROR, IMAP_ERROR_CERTIFICATE);
    g_assert_nonnull(strstr(client.error->message, "tls_ca=/nowhere/ca.pem"));
    client_end(&client, false);
    SSL_CTX_free(context);
}

/* Much in one record and over many: what TLS holds back from poll() is read all the same. */
static void test_bulk(void)
{
    g_autofree char *text = g_strnfill(3000000, 'x');
    g_autofree char *literal =
        g_strdup_printf("P:* 1 FETCH (UID 4 BODY[] {3000000}\r\n%s)\r\n$$ OK\r\n", text);
    const char *const steps[] = {"T:",        HELLO,     SIGN_IN, "C:EXAMINE INBOX",
                                 "S:$$ OK .", "C:UID *", literal, NULL};
    struct identity identity = make("test", "DNS:localhost", &authority, -DAY, DAY);
    SSL_CTX *context = server_context(&identity);
    struct imap_fetch_request request = {.section = ""};
    g_autoptr(imap_uidset) set = imap_uidset_new();
    struct client client;

    client_init(&client, steps, context);
    client.server.host = "localhost";
    client.server.tls = IMAP_TLS_IMPLICIT;
    client.server.ca_file = ca_file;
    client_open(&client);
    g_assert_no_error(client.error);
    imap_uidset_add(set, 4, 4);
    imap_send_examine(client.session, "INBOX", client_done, client_note(&client, "examine"));
    imap_send_uid_fetch(client.session, set, &request, client_done,
                        client_note(&client, "fetched"));
    client_until(&client, "fetched ok");
    g_assert_cmpuint(client.log->len, >, 3000000);
    g_assert_nonnull(strstr(client.transcript->str, "{3000000 bytes})"));
    client_end(&client, true);
    SSL_CTX_free(context);
    forget(&identity);
}

/* A message that the sockets cannot hold: what a record waits with may have moved meanwhile. */
static void test_upload(void)
{
    enum { SIZE = 16000000 };
    const char *const steps[] = {"T:",         HELLO,
                                 SIGN_IN,      "C:APPEND Sent () \"*",
                                 "S:+ go",     "S:* OK [ALERT] hear",
                                 "N:16000000", "L:",
                                 "S:$$ OK .",  NULL};
    struct identity identity = make("test", "DNS:localhost", &authority, -DAY, DAY);
    SSL_CTX *context = server_context(&identity);
    struct imap_append message = {
        .mailbox = "Sent", .flags = "", .descriptor = memfd_create("message", 0), .size = SIZE};
    struct client client;
    g_autofree char *octets = g_malloc(SIZE);

    for (size_t i = 0; i < SIZE; i++)
        octets[i] = script_octet(i);
    g_assert_cmpint(write(message.descriptor, octets, SIZE), ==, SIZE);
    client_init(&client, steps, context);
    client.server.host = "localhost";
    client.server.tls = IMAP_TLS_IMPLICIT;
    client.server.ca_file = ca_file;
    client_open(&client);
    g_assert_no_error(client.error);
    imap_send_append(client.session, &message, client_done, client_note(&client, "append"));
    client_until(&client, "append ok");
    client_end(&client, true);
    close(message.descriptor);
    SSL_CTX_free(context);
    forget(&identity);
}

static void set_up(void)
{
    folder = g_dir_make_tmp("imap-tls-XXXXXX", NULL);
    ca_file = g_build_filename(folder, "ca.pem", NULL);
    authority = make("Test Authority", NULL, NULL, -30L * DAY, 30L * DAY);
    other_authority = make("Other Authority", NULL, NULL, -30L * DAY, 30L * DAY);
    FILE *file = fopen(ca_file, "we");
    g_assert_nonnull(file);
    g_assert_cmpint(PEM_write_X509(file, authority.certificate), ==, 1);
    fclose(file);
}

static void tear_down(void)
{
    g_unlink(ca_file);
    g_rmdir(folder);
    g_free(ca_file);
    g_free(folder);
    forget(&authority);
    forget(&other_authority);
}

/* ---- our own certificate -------------------------------------------------------------------- */

static char *identity_write(const char *name, X509 *certificate, EVP_PKEY *key,
                            const char *passphrase)
{
    char *path = g_build_filename(folder, name, NULL);
    FILE *file = fopen(path, "w");

    g_assert_nonnull(file);
    if (certificate)
        PEM_write_X509(file, certificate);
    if (key)
        PEM_write_PrivateKey(file, key, passphrase ? EVP_aes_256_cbc() : NULL,
                             (const unsigned char *)passphrase,
                             passphrase ? (int)strlen(passphrase) : 0, NULL, NULL);
    fclose(file);
    return path;
}

/* Takes any certificate, and only with one. */
static int identity_seen(X509_STORE_CTX *store, void *data)
{
    return 1;
}

static SSL_CTX *demanding_context(const struct identity *identity, int version)
{
    SSL_CTX *context = server_context(identity);

    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, identity_seen, NULL);
    return context;
}

static const struct identity_case {
    const char *cert, *key; /* names of files; NULL: none */
    enum imap_error error;
    const char *words;
} IDENTITIES[] = {
    {"alice.pem", NULL, IMAP_OK, NULL},
    {"alice.crt", "alice.key", IMAP_OK, NULL},
    {"alice.crt", "alice.pem", IMAP_OK, NULL},
    {"alice.crt", NULL, IMAP_ERROR_CERTIFICATE, "cannot read a key (PEM, without passphrase)"},
    {"alice.crt", "locked.key", IMAP_ERROR_CERTIFICATE, "without passphrase) from tls_key=/"},
    {"alice.crt", "bob.key", IMAP_ERROR_CERTIFICATE, "does not belong to the certificate"},
    {"alice.key", NULL, IMAP_ERROR_CERTIFICATE, "cannot read a certificate (PEM) from tls_cert=/"},
    {"nowhere", NULL, IMAP_ERROR_CERTIFICATE, "cannot read a certificate (PEM) from tls_cert=/"},
    {"alice.crt", "nowhere", IMAP_ERROR_CERTIFICATE, "nowhere"},
    {NULL, NULL, IMAP_ERROR_MECHANISM, "tls_cert="}, /* the words are of the line below */
};

static void check_identity(const struct identity_case *row, const struct identity *identity)
{
    static const char *const steps[] = {
        "T:", "S:* OK [CAPABILITY IMAP4rev1 AUTH=EXTERNAL SASL-IR] x",
        "C:AUTHENTICATE EXTERNAL YWxpY2U=", "S:$$ OK [CAPABILITY IMAP4rev1] in", NULL};
    g_autofree char *cert = row->cert ? g_build_filename(folder, row->cert, NULL) : NULL;
    g_autofree char *key = row->key ? g_build_filename(folder, row->key, NULL) : NULL;
    SSL_CTX *context =
        row->cert ? demanding_context(identity, TLS1_3_VERSION) : server_context(identity);
    struct client client;

    client_init(&client, steps, context);
    client.server.host = "localhost";
    client.server.tls = IMAP_TLS_IMPLICIT;
    client.server.ca_file = ca_file;
    client.server.cert_file = cert;
    client.server.key_file = key;
    client.login.auth = "external";
    client.login.secret = NULL;
    client_open(&client);
    if (row->error == IMAP_OK) {
        g_assert_no_error(client.error);
        g_assert_cmpstr(imap_session_mechanism(client.session), ==, "EXTERNAL");
    } else {
        g_assert_error(client.error, IMAP_ERROR, (gint)row->error);
        g_assert_nonnull(strstr(client.error->message, row->words));
    }
    client_end(&client, row->error == IMAP_OK);
    SSL_CTX_free(context);
}

static void test_identity(void)
{
    struct identity alice = make("alice", "DNS:alice", &authority, -DAY, DAY);
    struct identity bob = make("bob", "DNS:bob", &authority, -DAY, DAY);
    struct identity server = make("test", "DNS:localhost", &authority, -DAY, DAY);
    g_autofree char *crt = identity_write("alice.crt", alice.certificate, NULL, NULL);
    g_autofree char *key = identity_write("alice.key", NULL, alice.key, NULL);
    g_autofree char *both = identity_write("alice.pem", alice.certificate, alice.key, NULL);
    g_autofree char *locked = identity_write("locked.key", NULL, alice.key, "sesame");
    g_autofree char *other = identity_write("bob.key", NULL, bob.key, NULL);
    const char *const paths[] = {crt, key, both, locked, other};

    for (size_t i = 0; i < G_N_ELEMENTS(IDENTITIES); i++) {
        g_test_message("%s %s", IDENTITIES[i].cert, IDENTITIES[i].key);
        check_identity(&IDENTITIES[i], &server);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
        g_unlink(paths[i]);
    forget(&alice);
    forget(&bob);
    forget(&server);
}

/* A server that wants one and gets none says so at once, or in TLS 1.3 after the handshake. */
static void test_identity_wanted(void)
{
    static const char *const steps[] = {"T:", "X:", NULL};
    struct identity identity = make("test", "DNS:localhost", &authority, -DAY, DAY);

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *context = demanding_context(&identity, version);
        struct client client;
        client_init(&client, steps, context);
        client.server.host = "localhost";
        client.server.tls = IMAP_TLS_IMPLICIT;
        client.server.ca_file = ca_file;
        client_open(&client);
        g_assert_nonnull(client.error);
        g_test_message("%s", client.error->message);
        if (version == TLS1_3_VERSION)
            g_assert_nonnull(
                strstr(client.error->message, "the server wants a client certificate (tls_cert=)"));
        client_end(&client, false);
        SSL_CTX_free(context);
    }
    forget(&identity);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* for the scripted server's TLS */
    set_up();
    g_test_add_func("/imap/tls/implicit", test_implicit);
    g_test_add_func("/imap/tls/starttls", test_starttls);
    g_test_add_func("/imap/tls/no-tls", test_no_tls);
    g_test_add_func("/imap/tls/injected", test_injected);
    g_test_add_func("/imap/tls/ca-unreadable", test_ca_unreadable);
    g_test_add_func("/imap/tls/identity", test_identity);
    g_test_add_func("/imap/tls/identity-wanted", test_identity_wanted);
    g_test_add_func("/imap/tls/bulk", test_bulk);
    g_test_add_func("/imap/tls/upload", test_upload);
    int rc = g_test_run();
    tear_down();
    return rc;
}
