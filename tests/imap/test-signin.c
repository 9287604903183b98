/* Signing in at a server that is libsasl2's other half: bindings, proofs, security layers. Where
 * this machine has no plugins the tests are skipped. */
#include "client.h"
#include "peer.h"

#include <openssl/x509v3.h>
#include <sasl/sasl.h>
#include <signal.h>
#include <string.h>

enum { TLS = 1, TLS12 = 2, WRONG = 4, VAGUE = 8 };

static SSL_CTX *tls13, *tls12;
static char *pin;

/* ---- a server's TLS ------------------------------------------------------------------------- */

static SSL_CTX *context_new(X509 *certificate, EVP_PKEY *key, int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    g_assert_cmpint(SSL_CTX_use_certificate(context, certificate), ==, 1);
    g_assert_cmpint(SSL_CTX_use_PrivateKey(context, key), ==, 1);
    SSL_CTX_set_max_proto_version(context, version);
    return context;
}

static void tls_make(void)
{
    X509 *certificate = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_NAME *name = X509_get_subject_name(certificate);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    g_autoptr(GString) hex = g_string_new(NULL);

    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"peer", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    g_assert_cmpint(X509_sign(certificate, key, EVP_sha256()), >, 0);
    X509_digest(certificate, EVP_sha256(), digest, &length);
    for (unsigned i = 0; i < length; i++)
        g_string_append_printf(hex, "%02x", digest[i]);
    pin = g_strdup(hex->str);
    tls13 = context_new(certificate, key, TLS1_3_VERSION);
    tls12 = context_new(certificate, key, TLS1_2_VERSION);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* ---- what comes of it ----------------------------------------------------------------------- */

#define WAY_ON "; auth=plain would send the password itself, in TLS"

static const struct signin_case {
    const char *auth, *offered;
    unsigned with;
    const char *binding;
    enum peer_lie lie;
    const char *log;       /* peer_end() */
    enum imap_error error; /* IMAP_OK: signed in */
    const char *words;     /* at the end of the message */
    const char *before;    /* how it signed in once */
    bool missed;           /* and that is told */
} CASES[] = {
    {"auto", "AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS, NULL, 0, "SCRAM-SHA-256 y in\n",
     0, NULL},
    {"auto", "SASL-IR AUTH=SCRAM-SHA-512 AUTH=SCRAM-SHA-256", TLS, NULL, 0, "SCRAM-SHA-512 y in\n",
     0, NULL},
    {"scram-sha-256", "AUTH=SCRAM-SHA-256", TLS, NULL, 0, "SCRAM-SHA-256 n in\n", 0, NULL},
    {"auto", "AUTH=SCRAM-SHA-256 LOGINDISABLED", 0, NULL, 0, "SCRAM-SHA-256 n in\n", 0, NULL},
    {"scram-sha-1", "SASL-IR AUTH=SCRAM-SHA-1", TLS, NULL, 0, "SCRAM-SHA-1 n in\n", 0, NULL},
    {"cram-md5", "AUTH=CRAM-MD5", TLS, NULL, 0, "CRAM-MD5 in\n", 0, NULL},
    {"digest-md5", "AUTH=DIGEST-MD5", TLS, NULL, 0, "DIGEST-MD5 in\n", 0, NULL},
    {"auto", "AUTH=CRAM-MD5 AUTH=PLAIN LOGINDISABLED", 0, NULL, 0, "CRAM-MD5 in\n", 0, NULL},
    {"login", "AUTH=LOGIN LOGINDISABLED", TLS, NULL, 0, "LOGIN in\n", 0, NULL},
    /* binding to TLS, and once more in the other way */
    {"auto", "AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS", TLS, "tls-exporter", 0,
     "SCRAM-SHA-256-PLUS p=tls-exporter in\n", 0, NULL},
    {"auto", "SASL-IR AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-1-PLUS", TLS | TLS12, "tls-unique", 0,
     "SCRAM-SHA-1-PLUS p=tls-unique in\n", 0, NULL},
    {"scram-sha-256-plus", "AUTH=SCRAM-SHA-256-PLUS", TLS | VAGUE, "tls-unique", 0,
     "SCRAM-SHA-256-PLUS p=tls-exporter refused\nSCRAM-SHA-256-PLUS p=tls-unique in\n", 0, NULL},
    {"auto", "AUTH=SCRAM-SHA-256-PLUS AUTH=PLAIN", TLS | TLS12 | VAGUE, "tls-exporter", 0,
     "SCRAM-SHA-256-PLUS p=tls-unique refused\nSCRAM-SHA-256-PLUS p=tls-exporter in\n", 0, NULL},
    /* the binding says that somebody is between: never anything less */
    {"auto", "AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS | VAGUE, "x-other", 0,
     "SCRAM-SHA-256-PLUS p=tls-exporter refused\nSCRAM-SHA-256-PLUS p=tls-unique refused\n",
     IMAP_ERROR_MECHANISM,
     "bad protocol / cancel; auth=scram-sha-256 signs in without binding to TLS"},
    /* a list that somebody made shorter: the server notices */
    {"auto", "AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS, "tls-exporter", 0, "SCRAM-SHA-256 y refused\n",
     IMAP_ERROR_LOGIN, "refused to sign in alice by SCRAM-SHA-256: wrong" WAY_ON},
    /* a wrong password: no second attempt */
    {"auto", "AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS | WRONG, NULL, 0, "SCRAM-SHA-256 y refused\n",
     IMAP_ERROR_LOGIN, "refused to sign in alice by SCRAM-SHA-256: wrong" WAY_ON},
    {"auto", "AUTH=SCRAM-SHA-256-PLUS AUTH=PLAIN", TLS | WRONG, "tls-exporter", 0,
     "SCRAM-SHA-256-PLUS p=tls-exporter refused\n", IMAP_ERROR_LOGIN,
     "refused to sign in alice by SCRAM-SHA-256-PLUS: wrong"},
    {"cram-md5", "AUTH=CRAM-MD5", TLS | WRONG, NULL, 0, "CRAM-MD5 refused\n", IMAP_ERROR_LOGIN,
     "by CRAM-MD5: wrong"},
    {"digest-md5", "AUTH=DIGEST-MD5", WRONG, NULL, 0, "DIGEST-MD5 refused\n", IMAP_ERROR_LOGIN,
     "by DIGEST-MD5: wrong"},
    /* a server that offered better once */
    {"auto", "AUTH=SCRAM-SHA-1", TLS, NULL, 0, "SCRAM-SHA-1 y in\n", 0, NULL, "SCRAM-SHA-256",
     true},
    {"auto", "AUTH=SCRAM-SHA-1", TLS, NULL, 0, "SCRAM-SHA-1 y in\n", 0, NULL, "CRAM-MD5"},
    {"scram-sha-1", "AUTH=SCRAM-SHA-1", TLS, NULL, 0, "SCRAM-SHA-1 n in\n", 0, NULL,
     "SCRAM-SHA-256"},
    {"auto", "AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256", TLS, NULL, 0, "SCRAM-SHA-256 y in\n", 0, NULL,
     "SCRAM-SHA-256"},
    {"auto", "AUTH=SCRAM-SHA-1 LOGINDISABLED", 0, NULL, 0, "", IMAP_ERROR_MECHANISM,
     "only auth= can say to sign in by less (SCRAM-SHA-1)", "SCRAM-SHA-256"},
    {"auto", "AUTH=SCRAM-SHA-256", TLS | WRONG, NULL, 0, "SCRAM-SHA-256 y refused\n",
     IMAP_ERROR_LOGIN, "refused to sign in alice by SCRAM-SHA-256: wrong"},
    {"auto", "AUTH=SCRAM-SHA-256 AUTH=PLAIN LOGINDISABLED", WRONG, NULL, 0,
     "SCRAM-SHA-256 n refused\n", IMAP_ERROR_LOGIN, "by SCRAM-SHA-256: wrong"},
    {"plain", "AUTH=PLAIN", TLS | WRONG, NULL, 0, "PLAIN refused\n", IMAP_ERROR_LOGIN,
     "refused to sign in alice: wrong"},
    /* servers that lie */
    {"auto", "AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS, NULL, PEER_EARLY, "SCRAM-SHA-256 y in\n",
     IMAP_ERROR_MECHANISM, "too early: it has not proved that it is the true server"},
    {"digest-md5", "AUTH=DIGEST-MD5", TLS, NULL, PEER_EARLY, "DIGEST-MD5 in\n",
     IMAP_ERROR_MECHANISM, "too early: it has not proved that it is the true server"},
    {"auto", "AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS, NULL, PEER_FORGED, "SCRAM-SHA-256 y cancelled\n",
     IMAP_ERROR_MECHANISM, "it is not the true server, or the password is wrong"},
    {"auto", "AUTH=SCRAM-SHA-256-PLUS", TLS, "tls-exporter", PEER_FORGED,
     "SCRAM-SHA-256-PLUS p=tls-exporter cancelled\nSCRAM-SHA-256-PLUS p=tls-unique refused\n",
     IMAP_ERROR_LOGIN, "by SCRAM-SHA-256-PLUS: wrong"},
    {"digest-md5", "AUTH=DIGEST-MD5", TLS, NULL, PEER_FORGED, "DIGEST-MD5 cancelled\n",
     IMAP_ERROR_MECHANISM, "it is not the true server, or the password is wrong"},
    {"auto", "AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS, NULL, PEER_ROUNDS, "SCRAM-SHA-256 y cancelled\n",
     IMAP_ERROR_PROTOCOL, "it wants too many rounds of hashing, or too few"},
    {"auto", "AUTH=SCRAM-SHA-256 AUTH=PLAIN", TLS, NULL, PEER_ENDLESS,
     "SCRAM-SHA-256 y cancelled\n", IMAP_ERROR_PROTOCOL, ""},
    {"cram-md5", "AUTH=CRAM-MD5", TLS, NULL, PEER_GARBAGE, "CRAM-MD5 cancelled\n",
     IMAP_ERROR_PROTOCOL, "was broken off: its challenge makes no sense"},
    {"scram-sha-1", "AUTH=SCRAM-SHA-1", TLS, NULL, PEER_GARBAGE, "SCRAM-SHA-1 n cancelled\n",
     IMAP_ERROR_PROTOCOL, "was broken off: its challenge makes no sense"},
    /* security layers */
    {"digest-md5", "AUTH=DIGEST-MD5", 0, NULL, 0, "DIGEST-MD5 in layer 128\n", 0, NULL},
    {"auto", "AUTH=DIGEST-MD5 AUTH=CRAM-MD5 AUTH=PLAIN", 0, NULL, 0, "DIGEST-MD5 in layer 128\n", 0,
     NULL},
    {"digest-md5", "AUTH=DIGEST-MD5", 0, NULL, PEER_LAYER, "DIGEST-MD5 in layer 128\n",
     IMAP_ERROR_LOST, "the server broke the security layer"},
    {"digest-md5", "AUTH=DIGEST-MD5", 0, NULL, PEER_HUGE, "DIGEST-MD5 in layer 128\n",
     IMAP_ERROR_LOST, "the server broke the security layer"},
};

static void check_secrets(const struct client *client)
{
    static const char *const SECRETS[] = {"sesame", ",s=", "v=", "cnonce", "nonce"};

    for (size_t i = 0; i < G_N_ELEMENTS(SECRETS); i++) {
        g_assert_null(strstr(client->transcript->str, SECRETS[i]));
        g_autofree char *base64 =
            g_base64_encode((const guchar *)SECRETS[i], strlen(SECRETS[i]) / 3 * 3);
        if (*base64)
            g_assert_null(strstr(client->transcript->str, base64));
    }
}

static void check_session(const struct signin_case *row, struct client *client)
{
    if (row->error) {
        g_assert_error(client->error, IMAP_ERROR, (gint)row->error);
        g_assert_true(g_str_has_suffix(client->error->message, row->words));
        g_assert_null(strstr(client->error->message, "sesame"));
        return;
    }
    g_assert_no_error(client->error);
    g_assert_true(strstr(row->log, imap_session_mechanism(client->session)) != NULL);
    g_assert_cmpstr(imap_session_missed(client->session), ==, row->missed ? row->before : NULL);
    /* what was said before the layer does not count */
    bool layer = strstr(row->log, "layer") != NULL;
    g_assert_cmpuint(imap_session_capabilities(client->session) & IMAP_CAP_ID, ==,
                     layer ? IMAP_CAP_ID : 0);
    g_assert_true(!layer == !strstr(client->transcript->str, "filled the line 399"));
}

static void check_case(const struct signin_case *row)
{
    const struct peer_plan plan = {
        .offered = row->offered,
        .tls = row->with & TLS12 ? tls12
               : row->with & TLS ? tls13
                                 : NULL,
        .binding = row->binding,
        .lie = row->lie,
        .vague = row->with & VAGUE,
    };
    static const char *const nothing[] = {"X:", NULL};
    struct peer *peer = peer_start(&plan);
    struct client client;

    client_init(&client, nothing, NULL);
    uint16_t port = client.server.port;
    client.server.port = peer_port(peer);
    client.server.tls = plan.tls ? IMAP_TLS_IMPLICIT : IMAP_TLS_NONE;
    client.server.fingerprint = plan.tls ? pin : NULL;
    client.login.auth = row->auth;
    client.login.before = row->before;
    client.login.secret = row->with & WRONG ? "mustard" : "sesame";
    client_open(&client);
    if (client.error)
        g_test_message("message: %s", client.error->message);
    check_session(row, &client);
    check_secrets(&client);
    g_clear_pointer(&client.session, imap_session_free);
    g_autofree char *log = peer_end(peer);
    g_assert_cmpstr(log, ==, row->log);
    g_clear_error(&client.error);
    client.server.port = port; /* so that the script ends */
    client.server.tls = IMAP_TLS_NONE;
    client_open(&client);
    client_end(&client, false);
}

/* Those by DIGEST-MD5, or all others. */
static void test_cases(gconstpointer digest)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        if (!digest != !strstr(CASES[i].log, "DIGEST"))
            continue;
        g_test_message("%zu: %s, %s", i, CASES[i].auth, CASES[i].log);
        check_case(&CASES[i]);
    }
}

static bool plugins_here(void)
{
    const char **mechanisms = NULL;

    if (sasl_client_init(NULL) != SASL_OK)
        return false;
    for (mechanisms = sasl_global_listmech(); mechanisms && *mechanisms; mechanisms++)
        if (strcmp(*mechanisms, "SCRAM-SHA-256") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!plugins_here()) {
        g_print("1..0 # SKIP libsasl2-modules is not installed\n");
        return 77;
    }
    signal(SIGPIPE, SIG_IGN); /* OpenSSL's writes, of the server */
    tls_make();
    /* A process of its own, as meson.build says. */
    bool digest = argc > 1 && strcmp(argv[1], "digest-md5") == 0;
    g_test_add_data_func(digest ? "/imap/signin/digest-md5" : "/imap/signin/cases",
                         GINT_TO_POINTER(digest), test_cases);
    int rc = g_test_run();
    SSL_CTX_free(tls13);
    SSL_CTX_free(tls12);
    g_free(pin);
    return rc;
}
