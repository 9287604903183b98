#include "fs/json.h"

static void test_strings(void)
{
    static const struct {
        const char *text, *json;
    } CASES[] = {
        {NULL, "null"},
        {"", "\"\""},
        {"gr\303\274n", "\"gr\303\274n\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\t\033\177", "\"\\u000a\\u0009\\u001b\\u007f\""},
        {"cut\303", "\"cut\357\277\275\""},
        {"\300\257\355\240\200",
         "\"\357\277\275\357\277\275\357\277\275\357\277\275\357\277\275\""},
        {"{\",:[", "\"{\\\",:[\""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        json_string(out, NULL, CASES[i].text);
        g_assert_cmpstr(out->str, ==, CASES[i].json);
    }
}

static void test_nested(void)
{
    g_autoptr(GString) out = g_string_new(NULL);

    json_open(out, NULL, '{');
    json_number(out, "least", INT64_MIN);
    json_string(out, "ends", "[");
    json_open(out, "list", '[');
    json_open(out, NULL, '{');
    json_close(out, '}');
    json_open(out, NULL, '[');
    json_close(out, ']');
    json_bool(out, NULL, true);
    json_null(out, NULL);
    json_close(out, ']');
    json_bool(out, "last", false);
    json_close(out, '}');
    g_assert_cmpstr(out->str, ==,
                    "{\"least\":-9223372036854775808,\"ends\":\"[\",\"list\":[{},[],true,null],"
                    "\"last\":false}");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/strings", test_strings);
    g_test_add_func("/json/nested", test_nested);
    return g_test_run();
}
