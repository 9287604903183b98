/* Any bytes: what is taken for a message goes out clean, the same however it came in, and goes
 * through unchanged the second time. */
#include <errno.h>
#include <string.h>

#include "fs/deliver.h"
#include "fs/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int gather(const void *bytes, size_t length, void *data)
{
    g_string_append_len(data, bytes, (gssize)length);
    return 0;
}

static int run(const void *bytes, size_t length, size_t step, GString *out,
               struct deliver_facts *facts)
{
    g_autoptr(deliver) deliver = deliver_new(gather, out);
    for (size_t at = 0; at < length; at += step) {
        int error = deliver_feed(deliver, (const char *)bytes + at, MIN(step, length - at));
        if (error != 0)
            return error;
    }
    return deliver_end(deliver, facts);
}

static void check_clean(const GString *out)
{
    g_assert_cmpuint(strlen(out->str), ==, out->len);
    g_assert_true(g_str_has_suffix(out->str, "\r\n"));
    for (size_t i = 0; i < out->len; i++) {
        g_assert_true(out->str[i] != '\n' || (i > 0 && out->str[i - 1] == '\r'));
        g_assert_true(out->str[i] != '\r' || out->str[i + 1] == '\n');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mime_init();
    g_autoptr(GString) whole = g_string_new(NULL), bytes = g_string_new(NULL);
    g_autoptr(GString) again = g_string_new(NULL);
    g_auto(deliver_facts) facts = {0}, same = {0}, third = {0};
    int error = run(data, size, size + 1, whole, &facts);
    g_assert_cmpint(run(data, size, 1, bytes, &same), ==, error);
    if (error != 0) {
        g_assert_cmpint(error, ==, EINVAL);
        return 0;
    }
    g_assert_cmpstr(whole->str, ==, bytes->str);
    g_assert_cmpmem(facts.digest, DELIVER_DIGEST, same.digest, DELIVER_DIGEST);
    check_clean(whole);
    g_assert_cmpint(facts.changed, ==, whole->len != size || memcmp(whole->str, data, size) != 0);
    if (g_str_has_prefix(whole->str, "From "))
        return 0; /* "From  : x" is a field, and the second time an mbox line */
    error = run(whole->str, whole->len, 7, again, &third);
    if (error == 0)
        g_assert_false(third.changed);
    return 0;
}
