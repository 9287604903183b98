/* Addresses, and what a provider's settings file says of its servers. */
#include <string.h>

#include "fs/autoconfig-private.h"

static void test_addresses(void)
{
    static const struct {
        const char *text;
        bool good;
    } CASES[] = {
        {"alice@example.org", true},
        {"a.b+c_d-e'f@mail.example.org", true},
        {"alice@localhost", true},
        {"gr\303\274n@m\303\274nchen.example", true},
        {"alice", false},
        {"@example.org", false},
        {"alice@", false},
        {"alice@@example.org", false},
        {"alice@bob@example.org", false},
        {"alice:secret@example.org", false},
        {"imaps://alice@example.org", false},
        {"alice@example.org/x", false},
        {"alice@example.org:993", false},
        {"alice,bob@example.org", false},
        {"a b@example.org", false},
        {"a\nb@example.org", false},
        {"alice@.org", false},
        {"alice@-o.org", false},
        {"alice@exa mple.org", false},
        {"a\377@example.org", false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++)
        if (source_is_address(CASES[i].text) != CASES[i].good)
            g_error("%s", CASES[i].text);
    g_autofree char *local = g_strnfill(320, 'x');
    g_autofree char *overlong = g_strconcat(local, "@example.org", NULL);
    g_assert_false(source_is_address(overlong));
}

#define FILE_OF(servers) \
    "<clientConfig><emailProvider id=\"x\">" servers "</emailProvider></clientConfig>"
#define SERVER(type, host, port, socket, user)                                   \
    "<incomingServer type=\"" type "\"><hostname>" host "</hostname><port>" port \
    "</port><socketType>" socket "</socketType><username>" user "</username></incomingServer>"

/* What a file leads to; NULL: nothing. */
static const struct {
    const char *text, *url;
} FILES[] = {
    {FILE_OF(SERVER("imap", "imap.example.org", "993", "SSL", "%EMAILADDRESS%")),
     "imaps://alice%40example.org@imap.example.org"},
    {FILE_OF(SERVER("imap", "%EMAILDOMAIN%", "1143", "STARTTLS", "%EMAILLOCALPART%")),
     "imap://alice@example.org:1143"},
    {FILE_OF(SERVER("IMAP", " H.example.org\n", " 993 ", " ssl ", " u ")),
     "imaps://u@h.example.org"},
    {FILE_OF("<incomingServer type=\"imap\"><socketType>SSL</socketType>"
             "<hostname><![CDATA[h.example.org]]></hostname></incomingServer>"),
     "imaps://alice%40example.org@h.example.org"},
    {FILE_OF(SERVER("imap", "a", "143", "plain", "u") SERVER("imap", "b", "993", "SSL", "u")),
     "imaps://u@b"},
    {FILE_OF(SERVER("imap", "a", "993", "SSL", "u") SERVER("imap", "b", "993", "SSL", "u")),
     "imaps://u@a"},
    /* the settings of one server are not another's */
    {FILE_OF(SERVER("pop3", "a", "993", "SSL",
                    "u") "<incomingServer type=\"imap\"><hostname>b</hostname></incomingServer>"),
     NULL},
    {FILE_OF("<incomingServer><hostname>a</hostname><socketType>SSL</socketType>"
             "</incomingServer>"),
     NULL},
    {FILE_OF(SERVER("imap", "a", "993", "", "u")), NULL},
    {FILE_OF(SERVER("imap", "a", "0", "SSL", "u")), NULL},
    {FILE_OF(SERVER("imap", "a", "65536", "SSL", "u")), NULL},
    {FILE_OF(SERVER("imap", "", "993", "SSL", "u")), NULL},
    {FILE_OF(SERVER("imap", "u@a", "993", "SSL", "u")), NULL},
    {FILE_OF(SERVER("imap", "a/b", "993", "SSL", "u")), NULL},
    {FILE_OF(SERVER("imap", "a", "993", "SSL", "u&#13;&#10;x")), NULL},
    {FILE_OF("<x>" SERVER("imap", "a", "993", "SSL", "u") "</x>"), NULL},
    {SERVER("imap", "a", "993", "SSL", "u"), NULL},
    {"<clientConfig><emailProvider>" SERVER("imap", "a", "993", "SSL", "u"), NULL},
    {"", NULL},
    {"\377\376", NULL},
};

static void test_files(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(FILES); i++) {
        g_auto(source) found = {0};
        g_autofree char *url = NULL;
        if (autoconfig_file_parse(FILES[i].text, strlen(FILES[i].text), "alice@example.org",
                                  &found))
            url = source_write(&found);
        g_assert_cmpstr(url, ==, FILES[i].url);
    }
}

static void test_big(void)
{
    g_autoptr(GString) text = g_string_new("<clientConfig><emailProvider><incomingServer "
                                           "type=\"imap\"><socketType>SSL</socketType><hostname>");
    g_auto(source) found = {0};

    while (text->len < AUTOCONFIG_FILE_MAX - 200)
        g_string_append_c(text, 'x');
    g_string_append(text, "</hostname></incomingServer></emailProvider></clientConfig>");
    g_assert_false(autoconfig_file_parse(text->str, text->len, "alice@example.org", &found));
    g_string_truncate(text, 0);
    while (text->len < AUTOCONFIG_FILE_MAX)
        g_string_append(text, "<a>");
    g_assert_false(autoconfig_file_parse(text->str, text->len, "alice@example.org", &found));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/autoconfig/addresses", test_addresses);
    g_test_add_func("/autoconfig/files", test_files);
    g_test_add_func("/autoconfig/big", test_big);
    return g_test_run();
}
