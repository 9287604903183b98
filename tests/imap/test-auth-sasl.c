/* What libsasl2 says for us: the examples of the standards, and challenges that must not be
 * answered. Where this machine has no plugins the tests are skipped. */
#include "imap/auth.h"

#include <sasl/sasl.h>
#include <string.h>

struct run {
    struct imap_login login;
    struct imap_line line;
    struct imap_auth *auth;
};

static void run_start(struct run *run, const char *name, const char *user, const char *secret)
{
    struct imap_capabilities capabilities = {0};
    g_autofree char *offered = g_strdup_printf("AUTH=%s", name);
    const char *const words[] = {offered, NULL};
    g_autoptr(GError) error = NULL;

    run->login = (struct imap_login){.user = user, .secret = secret, .auth = name};
    run->line = (struct imap_line){.host = "elwood.innosoft.com", .port = 143, .secure = true};
    imap_capabilities_set(&capabilities, words);
    g_autoptr(GPtrArray) found =
        imap_mechanisms_choose(&run->login, &capabilities, &run->line, &error);
    g_assert_no_error(error);
    run->auth = imap_auth_new(found->pdata[0], &run->login, &run->line);
    imap_auth_step(run->auth, NULL);
    imap_capabilities_clear(&capabilities);
}

static char *decoded(const struct imap_auth *auth)
{
    g_autoptr(imap_secret) base64 = imap_auth_response(auth);
    gsize length = 0;
    g_autofree guchar *raw = base64 ? g_base64_decode(base64, &length) : NULL;

    return base64 ? g_strndup((const char *)raw, length) : NULL;
}

/* Answers a challenge; NULL: it does not. */
static char *answer(struct run *run, const char *challenge)
{
    g_autofree char *base64 = g_base64_encode((const guchar *)challenge, strlen(challenge));

    imap_auth_step(run->auth, base64);
    return decoded(run->auth);
}

static bool absent(struct run *run)
{
    bool none = imap_auth_state(run->auth) == IMAP_AUTH_ABSENT;

    if (none) {
        g_test_skip(imap_auth_why(run->auth));
        imap_auth_unref(run->auth);
    }
    return none;
}

/* RFC 2195, 2 */
static void test_cram(void)
{
    struct run run;

    run_start(&run, "CRAM-MD5", "tim", "tanstaaftanstaaf");
    if (absent(&run))
        return;
    g_autofree char *said = answer(&run, "<1896.697170952@postoffice.reston.mci.net>");
    g_assert_cmpstr(said, ==, "tim b913a602c7eda7a495b4e6e7334d3890");
    g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_DONE);
    imap_auth_unref(run.auth);
}

/* RFC 2289, appendix C: "This is a test.", seed "TeSt" (in lower case), what is sent is the hash of
 * the number that the challenge names. RFC 2444, 3: six words or hex. */
static void test_otp(void)
{
    static const struct {
        const char *challenge, *hex, *words;
    } rows[] = {
        {"otp-md5 1 test ext", "7965e05436f5029f", "EASE OIL FUM CURE AWRY AVIS"},
        {"otp-md5 99 TeSt ext", "50fe1962c4965880", "BAIL TUFT BITS GANG CHEF THY"},
        {"otp-sha1 99 test ext", "87fec7768b73ccf9", "GAFF WAIT SKID GIG SKY EYED"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct run run;
        run_start(&run, "OTP", "tim", "This is a test.");
        if (absent(&run))
            return;
        g_autofree char *name = decoded(run.auth);
        g_assert_cmpstr(name, ==, "tim"); /* for whom; behind it, who */
        g_autofree char *said = answer(&run, rows[i].challenge);
        g_assert_nonnull(said);
        g_test_message("%s", said);
        /* "hex:..."; or "init-hex:...:..." with a new beginning, as the count is low */
        const char *rest = said + (g_str_has_prefix(said, "init-") ? 5 : 0);
        bool words = g_str_has_prefix(rest, "word:");
        g_assert_true(words || g_str_has_prefix(rest, "hex:"));
        rest = strchr(rest, ':') + 1;
        g_autoptr(GString) bare = g_string_new_len(rest, (gssize)strcspn(rest, ":"));
        if (!words)
            g_string_replace(bare, " ", "", 0);
        g_assert_cmpint(g_ascii_strcasecmp(bare->str, words ? rows[i].words : rows[i].hex), ==, 0);
        imap_auth_unref(run.auth);
    }
}

/* ---- DIGEST-MD5 (RFC 2831, 2.1.2.1), computed here from what was sent -------------------------
 */

static char *field(const char *text, const char *name)
{
    g_autofree char *key = g_strdup_printf("%s=", name);
    const char *at = text;

    while ((at = strstr(at, key)) && at != text && at[-1] != ',')
        at++;
    if (!at)
        return NULL;
    at += strlen(key);
    return *at == '"' ? g_strndup(at + 1, strcspn(at + 1, "\"")) : g_strndup(at, strcspn(at, ","));
}

/* H(user:realm:password) is bytes, all else is hex. */
static char *digest_response(const char *user, const char *realm, const char *password,
                             const char *nonce, const char *cnonce, const char *nc, const char *uri,
                             const char *method)
{
    g_autofree char *who = g_strdup_printf("%s:%s:%s", user, realm, password);
    g_autofree char *rest = g_strdup_printf(":%s:%s", nonce, cnonce);
    g_autofree char *what = g_strdup_printf("%s:%s", method, uri);
    g_autoptr(GChecksum) inner = g_checksum_new(G_CHECKSUM_MD5);
    g_autoptr(GChecksum) outer = g_checksum_new(G_CHECKSUM_MD5);
    guint8 bytes[16];
    gsize length = sizeof(bytes);

    g_checksum_update(inner, (const guchar *)who, -1);
    g_checksum_get_digest(inner, bytes, &length);
    g_checksum_update(outer, bytes, sizeof(bytes));
    g_checksum_update(outer, (const guchar *)rest, -1);
    g_autofree char *a2 = g_compute_checksum_for_string(G_CHECKSUM_MD5, what, -1);
    g_autofree char *all =
        g_strdup_printf("%s:%s:%s:%s:auth:%s", g_checksum_get_string(outer), nonce, nc, cnonce, a2);
    return g_compute_checksum_for_string(G_CHECKSUM_MD5, all, -1);
}

static void test_digest_known(void)
{
    /* RFC 2831, 4 */
    g_autofree char *response =
        digest_response("chris", "elwood.innosoft.com", "secret", "OA6MG9tEQGm2hh",
                        "OA6MHXh6VqTrRk", "00000001", "imap/elwood.innosoft.com", "AUTHENTICATE");
    g_assert_cmpstr(response, ==, "d388dad90d4bbd760a152321f2143af7");
}

static void test_digest(void)
{
    struct run run;

    run_start(&run, "DIGEST-MD5", "chris", "secret");
    if (absent(&run))
        return;
    g_assert_null(imap_auth_response(run.auth));
    g_autofree char *said =
        answer(&run, "realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",qop=\"auth\","
                     "algorithm=md5-sess,charset=utf-8");
    g_assert_nonnull(said);
    g_autofree char *cnonce = field(said, "cnonce"), *uri = field(said, "digest-uri");
    g_autofree char *nc = field(said, "nc"), *response = field(said, "response");
    g_autofree char *realm = field(said, "realm");
    g_assert_cmpstr(uri, ==, "imap/elwood.innosoft.com");
    g_assert_cmpstr(realm, ==, "elwood.innosoft.com");
    g_autofree char *expected = digest_response("chris", realm, "secret", "OA6MG9tEQGm2hh", cnonce,
                                                nc, uri, "AUTHENTICATE");
    g_assert_cmpstr(response, ==, expected);
    g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_MORE);
    g_autofree char *proof =
        digest_response("chris", realm, "secret", "OA6MG9tEQGm2hh", cnonce, nc, uri, "");
    g_autofree char *rspauth = g_strdup_printf("rspauth=%s", proof);
    g_autofree char *end = answer(&run, rspauth);
    g_assert_cmpstr(end, ==, "");
    g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_DONE);
    imap_auth_unref(run.auth);
}

/* ---- SCRAM (RFC 5802, 3) ----------------------------------------------------------------------
 */

struct scram {
    char *proof, *signature; /* base64 */
};

static GBytes *hmac(GChecksumType type, GBytes *key, const char *text, gssize length)
{
    gsize size, digest_length = 64;
    guint8 digest[64];
    const guchar *bytes = g_bytes_get_data(key, &size);
    g_autoptr(GHmac) mac = g_hmac_new(type, bytes, size);

    g_hmac_update(mac, (const guchar *)text, length);
    g_hmac_get_digest(mac, digest, &digest_length);
    return g_bytes_new(digest, digest_length);
}

/* Hi(): PBKDF2 with one block (RFC 5802, 2.2) */
static GBytes *salted(GChecksumType type, const char *password, const char *salt64, unsigned rounds)
{
    gsize length;
    g_autofree guchar *salt = g_base64_decode(salt64, &length);
    g_autoptr(GByteArray) first = g_byte_array_append(g_byte_array_new(), salt, (guint)length);
    g_autoptr(GBytes) key = g_bytes_new(password, strlen(password));

    g_byte_array_append(first, (const guchar *)"\0\0\0\1", 4);
    g_autoptr(GBytes) u = hmac(type, key, (const char *)first->data, first->len);
    gsize size = g_bytes_get_size(u);
    guint8 *sum = g_memdup2(g_bytes_get_data(u, NULL), size);
    for (unsigned i = 1; i < rounds; i++) {
        GBytes *next = hmac(type, key, g_bytes_get_data(u, NULL), (gssize)size);
        g_bytes_unref(u);
        u = next;
        for (gsize n = 0; n < size; n++)
            sum[n] ^= ((const guint8 *)g_bytes_get_data(u, NULL))[n];
    }
    return g_bytes_new_take(sum, size);
}

static char *base64(GBytes *bytes)
{
    gsize length;
    const guchar *data = g_bytes_get_data(bytes, &length);
    return g_base64_encode(data, length);
}

static void scram_compute(GChecksumType type, const char *password, const char *salt,
                          unsigned rounds, const char *message, struct scram *out)
{
    g_autoptr(GBytes) key = salted(type, password, salt, rounds);
    g_autoptr(GBytes) client = hmac(type, key, "Client Key", -1);
    g_autoptr(GBytes) server = hmac(type, key, "Server Key", -1);
    guint8 stored[64];
    gsize length = sizeof(stored);
    g_autoptr(GChecksum) sum = g_checksum_new(type);

    g_checksum_update(sum, g_bytes_get_data(client, NULL), (gssize)g_bytes_get_size(client));
    g_checksum_get_digest(sum, stored, &length);
    g_autoptr(GBytes) stored_key = g_bytes_new(stored, length);
    g_autoptr(GBytes) signature = hmac(type, stored_key, message, -1);
    g_autoptr(GBytes) proved = hmac(type, server, message, -1);
    guint8 *proof = g_memdup2(g_bytes_get_data(client, NULL), length);
    for (gsize i = 0; i < length; i++)
        proof[i] ^= ((const guint8 *)g_bytes_get_data(signature, NULL))[i];
    out->proof = g_base64_encode(proof, length);
    out->signature = base64(proved);
    g_free(proof);
}

static void scram_clear(struct scram *scram)
{
    g_free(scram->proof);
    g_free(scram->signature);
}

/* The examples: what computes the expected answers below is right. */
static void test_scram_known(void)
{
    static const struct {
        GChecksumType type;
        const char *salt, *message, *proof, *signature;
    } rows[] = {
        /* RFC 5802, 5 */
        {G_CHECKSUM_SHA1, "QSXCR+Q6sek8bf92",
         "n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
         "s=QSXCR+Q6sek8bf92,i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
         "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ="},
        /* RFC 7677, 3 */
        {G_CHECKSUM_SHA256, "W22ZaJ0SNY7soEsUEjb6gQ==",
         "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
         "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,"
         "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
         "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct scram scram;
        scram_compute(rows[i].type, "pencil", rows[i].salt, 4096, rows[i].message, &scram);
        g_assert_cmpstr(scram.proof, ==, rows[i].proof);
        g_assert_cmpstr(scram.signature, ==, rows[i].signature);
        scram_clear(&scram);
    }
}

static const struct scram_case {
    const char *name;
    GChecksumType type;
} SCRAMS[] = {
    {"SCRAM-SHA-1", G_CHECKSUM_SHA1},
    {"SCRAM-SHA-256", G_CHECKSUM_SHA256},
    {"SCRAM-SHA-384", G_CHECKSUM_SHA384},
    {"SCRAM-SHA-512", G_CHECKSUM_SHA512},
};

/* The first two messages; what the client says then, and what it should say. */
static char *scram_until_proof(struct run *run, GChecksumType type, struct scram *scram)
{
    g_autofree char *first = decoded(run->auth);
    g_assert_true(g_str_has_prefix(first, "n,,n=user,r="));
    g_autofree char *nonce = field(first, "r");
    g_autofree char *server =
        g_strdup_printf("r=%s3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096", nonce);
    char *said = answer(run, server);
    g_autofree char *message =
        g_strdup_printf("%s,%s,c=biws,r=%s3rfcNHYJY1ZVvWVs7j", first + 3, server, nonce);
    scram_compute(type, "pencil", "QSXCR+Q6sek8bf92", 4096, message, scram);
    return said;
}

static void test_scram(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(SCRAMS); i++)
        for (int forged = 0; forged < 2; forged++) {
            struct run run;
            struct scram scram;
            run_start(&run, SCRAMS[i].name, "user", "pencil");
            if (absent(&run))
                return;
            g_autofree char *said = scram_until_proof(&run, SCRAMS[i].type, &scram);
            g_autofree char *proof = g_strdup_printf(",p=%s", scram.proof);
            g_assert_true(g_str_has_suffix(said, proof));
            g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_MORE);
            g_autofree char *final =
                g_strdup_printf("v=%s", forged ? scram.proof : scram.signature);
            g_autofree char *end = answer(&run, final);
            g_assert_cmpint(imap_auth_state(run.auth), ==,
                            forged ? IMAP_AUTH_FAILED : IMAP_AUTH_DONE);
            g_assert_cmpstr(end, ==, forged ? NULL : "");
            scram_clear(&scram);
            imap_auth_unref(run.auth);
        }
}

/* ---- what must not be answered ----------------------------------------------------------------
 */

static const struct hostile_case {
    const char *name, *challenge; /* %s: the client's nonce */
} HOSTILE[] = {
    {"SCRAM-SHA-256", ""},
    {"SCRAM-SHA-256", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
    {"SCRAM-SHA-256", "r=other,s=QSXCR+Q6sek8bf92,i=4096"},
    {"SCRAM-SHA-256", "r=%s3rfc,s=QSXCR+Q6sek8bf92,i=0"},
    {"SCRAM-SHA-256", "r=%s3rfc,s=QSXCR+Q6sek8bf92,i=99999999999999999999"},
    {"SCRAM-SHA-256", "r=%s3rfc,s=QSXCR+Q6sek8bf92,i=-1"},
    {"SCRAM-SHA-256", "r=%s3rfc,s=QSXCR+Q6sek8bf92,i=10000001"},
    {"SCRAM-SHA-256", "r=%s3rfc,s=???,i=4096"},
    {"SCRAM-SHA-256", "r=%s3rfc"},
    {"SCRAM-SHA-256", "m=x,r=%s3rfc,s=QSXCR+Q6sek8bf92,i=4096"},
    {"SCRAM-SHA-256", "e=other-error"},
    {"DIGEST-MD5", ""},
    {"DIGEST-MD5", "nonce"},
    {"DIGEST-MD5", "realm=\"x\",qop=\"auth\",algorithm=md5-sess"},
    {"DIGEST-MD5", "nonce=\"a\",qop=\"auth-conf\",cipher=\"rc4\",algorithm=md5-sess"},
    {"DIGEST-MD5", "nonce=\"a\",qop=\"auth\",algorithm=sha"},
    {"OTP", ""},
    {"OTP", "otp-md5"},
    {"OTP", "otp-md5 999999999999999 test ext"},
    {"OTP", "otp-none 5 test ext"},
};

static void test_hostile(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(HOSTILE); i++) {
        struct run run;
        run_start(&run, HOSTILE[i].name, "user", "pencil");
        if (absent(&run))
            continue;
        g_autofree char *first = decoded(run.auth);
        g_autofree char *nonce = first ? field(first, "r") : NULL;
        g_autoptr(GString) challenge = g_string_new(HOSTILE[i].challenge);
        g_string_replace(challenge, "%s", nonce ? nonce : "", 1);
        g_test_message("%s: %s", HOSTILE[i].name, challenge->str);
        g_autofree char *said = answer(&run, challenge->str);
        g_assert_cmpint(imap_auth_state(run.auth), !=, IMAP_AUTH_DONE);
        g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_FAILED);
        g_assert_null(said);
        g_assert_nonnull(imap_auth_why(run.auth));
        imap_auth_unref(run.auth);
    }
}

static void test_not_base64(void)
{
    g_autofree char *huge = g_strnfill(64 * 1024 + 4, 'A');
    const char *const rows[] = {
        "x", "AAA", "AA=A", "A===", "AAAA=", "AA A", "AAA\xff", "====", huge};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct run run;
        run_start(&run, "CRAM-MD5", "tim", "tanstaaftanstaaf");
        if (absent(&run))
            return;
        imap_auth_step(run.auth, rows[i]);
        g_assert_cmpint(imap_auth_state(run.auth), ==, IMAP_AUTH_FAILED);
        g_assert_cmpint(imap_auth_code(run.auth), ==, IMAP_ERROR_PROTOCOL);
        g_assert_null(imap_auth_response(run.auth));
        imap_auth_unref(run.auth);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/auth-sasl/cram-md5", test_cram);
    g_test_add_func("/imap/auth-sasl/otp", test_otp);
    g_test_add_func("/imap/auth-sasl/digest-md5-known", test_digest_known);
    g_test_add_func("/imap/auth-sasl/digest-md5", test_digest);
    g_test_add_func("/imap/auth-sasl/scram-known", test_scram_known);
    g_test_add_func("/imap/auth-sasl/scram", test_scram);
    g_test_add_func("/imap/auth-sasl/hostile", test_hostile);
    g_test_add_func("/imap/auth-sasl/not-base64", test_not_base64);
    return g_test_run();
}
