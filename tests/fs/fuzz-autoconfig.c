/* A provider's settings file. */
#include <string.h>

#include "fs/autoconfig-private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_auto(source) found = {0};
    g_auto(source) again = {0};

    if (!autoconfig_file_parse((const char *)data, size, "alice@example.org", &found))
        return 0;
    g_autofree char *url = source_write(&found);
    g_assert_true(source_parse(url, &again, NULL));
    g_assert_cmpstr(again.user, ==, found.user);
    g_assert_cmpstr(again.host, ==, found.host);
    g_assert_null(strpbrk(url, ", \\\n"));
    return 0;
}
