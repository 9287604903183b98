/* Challenges of any kind: the first byte names the mechanism, a line each is a challenge. Nothing
 * is answered after a failure, and no answer is longer than what can be sent. */
#include "imap/auth.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not DIGEST-MD5, whose plugin forgets memory at each run. */
static const char *const NAMES[] = {"SCRAM-SHA-1", "SCRAM-SHA-256", "CRAM-MD5", "OTP",
                                    "PLAIN",       "LOGIN",         "XOAUTH2",  "OAUTHBEARER",
                                    "EXTERNAL",    "SCRAM-SHA-512"};

static struct imap_auth *begin(const char *name, struct imap_login *login, struct imap_line *line)
{
    struct imap_capabilities capabilities = {0};
    g_autofree char *offered = g_strdup_printf("AUTH=%s", name);
    const char *const words[] = {offered, "LOGINDISABLED", NULL};

    *login = (struct imap_login){.user = "alice", .secret = "sesame", .token = "tok", .auth = name};
    *line = (struct imap_line){.host = "localhost", .secure = true, .identity = true};
    imap_capabilities_set(&capabilities, words);
    g_autoptr(GPtrArray) found = imap_mechanisms_choose(login, &capabilities, line, NULL);
    imap_capabilities_clear(&capabilities);
    return imap_auth_new(found->pdata[0], login, line);
}

/* As bytes, so that the mechanism sees what the fuzzer makes of it; "=" before it: as base64. */
static void challenge(struct imap_auth *auth, const char *line)
{
    g_autofree char *encoded = g_base64_encode((const guchar *)line, strlen(line));

    imap_auth_step(auth, *line == '=' ? line + 1 : encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imap_login login;
    struct imap_line line;

    if (size < 1 || size > 4096)
        return 0;
    g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 16);
    g_autoptr(imap_auth) auth = begin(NAMES[data[0] % G_N_ELEMENTS(NAMES)], &login, &line);

    imap_auth_step(auth, NULL);
    for (char **p = lines; *p && imap_auth_state(auth) != IMAP_AUTH_ABSENT; p++) {
        const char *rounds = strstr(*p, "i=");
        if (rounds && strlen(rounds) > 6)
            return 0; /* hashing is not what is tested here */
        challenge(auth, *p);
        g_autoptr(imap_secret) response = imap_auth_response(auth);
        if (imap_auth_state(auth) == IMAP_AUTH_FAILED) {
            g_assert_null(response);
            g_assert_nonnull(imap_auth_why(auth));
            return 0;
        }
        g_assert_true(!response || strlen(response) < 64 * 1024);
        g_assert_cmpuint(imap_auth_layer(auth), ==, 0);
    }
    return 0;
}
