/* Both ways: what decodes encodes to the same bytes, what encodes decodes to the same text. */
#include "imap/imap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *input = g_strndup((const char *)data, size);
    g_autofree char *decoded = imap_utf7_decode(input);
    g_autofree char *encoded = imap_utf7_encode(input);
    if (decoded != NULL) {
        g_autofree char *again = imap_utf7_encode(decoded);
        g_assert_true(g_utf8_validate(decoded, -1, NULL));
        g_assert_cmpstr(again, ==, input);
    }
    g_assert_true((encoded != NULL) == g_utf8_validate(input, -1, NULL));
    if (encoded != NULL) {
        g_autofree char *again = imap_utf7_decode(encoded);
        g_assert_true(g_str_is_ascii(encoded));
        g_assert_cmpstr(again, ==, input);
    }
    return 0;
}
