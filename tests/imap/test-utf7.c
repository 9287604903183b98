#include "imap/imap.h"

static const struct {
    const char *wire, *utf8;
} BOTH_WAYS[] = {
    {"", ""},
    {"INBOX", "INBOX"},
    {"a b~!\"\\", "a b~!\"\\"},
    {"Tom &- Jerry", "Tom & Jerry"},
    {"&-", "&"},
    {"&-&-", "&&"},
    {"&-&-a", "&&a"},
    {"&-AOk-", "&AOk-"},
    {"Entw&APw-rfe", "Entwürfe"},
    {"&AOkA6Q-", "éé"},
    {"&AOk-&-&AOk-", "é&é"},
    {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},
    {"&Jjo-!", "☺!"},
    {"&2D3eAA-", "😀"},
    {"&AOnYPd4AAOk-", "é😀é"},
    {"&2D3eANg93gE-", "😀😁"},
    {"&2,,f,w-", "\xf4\x8f\xbf\xbf"},
    {"&2ADcAA-", "\xf0\x90\x80\x80"},
    {"&,,8-", "\xef\xbf\xbf"},
    {"&1,8-", "\xed\x9f\xbf"},
    {"&AAk-", "\t"},
    {"&AH8-", "\x7f"},
    {"&AIA-", "\xc2\x80"},
    {"+AOk-", "+AOk-"},
    {"-", "-"},
    {"a-&AOk-b-", "a-éb-"},
};

static void test_both_ways(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(BOTH_WAYS); i++) {
        g_autofree char *utf8 = imap_utf7_decode(BOTH_WAYS[i].wire);
        g_autofree char *wire = imap_utf7_encode(BOTH_WAYS[i].utf8);
        g_assert_cmpstr(utf8, ==, BOTH_WAYS[i].utf8);
        g_assert_cmpstr(wire, ==, BOTH_WAYS[i].wire);
    }
}

static const struct {
    const char *wire, *why;
} REFUSED[] = {
    {"&", "the shift does not end"},
    {"a&", "the same"},
    {"&AOk", "the same"},
    {"&Jjo!", "RFC 3501, 5.1.3: not shifted back before !"},
    {"&U,BTFw-&ZeVnLIqe-", "RFC 3501, 5.1.3: superfluous shift"},
    {"&AOk-&AOk-", "the same"},
    {"&AGE-", "a, which stands for itself"},
    {"&AOkAYQ-", "the same behind another character"},
    {"&AC8-", "/: no delimiter out of nothing"},
    {"&ACY-", "the ampersand, which is &-"},
    {"&ACAA6Q-", "a blank"},
    {"&AAA-", "NUL"},
    {"&AOkAAA-", "the same"},
    {"&A-", "6 bits are no character"},
    {"&AO-", "nor are 12"},
    {"&AOkA-", "8 bits too many"},
    {"&AOl-", "the bits left over are not 0"},
    {"&AOkAAAAA-", "NULs for padding"},
    {"&AOk=-", "padding"},
    {"&A/k-", "/ is no digit here"},
    {"&A Ok-", "nor is a blank"},
    {"&AOk\xc3\xa9-", "nor is 8-bit"},
    {"&2D0-", "half a surrogate pair"},
    {"&3gA-", "the other half"},
    {"&3gDYPQ-", "the wrong way round"},
    {"&2D3YPQ-", "the first half twice"},
    {"&2D0AYd4A-", "something in between"},
    {"&2D0-&3gA-", "a pair in two shifts"},
    {"&2D3eAN4A-", "half a pair too many"},
    {"caf\xc3\xa9", "raw UTF-8"},
    {"\xff", "raw 8-bit"},
    {"a\tb", "a raw control character"},
    {"a\x7f", "another"},
};

static void test_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSED); i++) {
        g_autofree char *utf8 = imap_utf7_decode(REFUSED[i].wire);
        if (utf8 != NULL)
            g_test_message("%s was taken for %s: %s", REFUSED[i].wire, utf8, REFUSED[i].why);
        g_assert_null(utf8);
    }
}

static void test_not_utf8(void)
{
    static const char *const TEXTS[] = {"\xff", "a\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < G_N_ELEMENTS(TEXTS); i++)
        g_assert_null(imap_utf7_encode(TEXTS[i]));
}

/* Characters of all planes, behind another one: all of the first, every seventeenth of the rest. */
static void test_all_characters(void)
{
    for (gunichar c = 1; c <= 0x10ffff; c += c < 0x3000 ? 1 : 17) {
        char text[16] = "é";
        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        text[2 + g_unichar_to_utf8(c, text + 2)] = '\0';
        g_autofree char *wire = imap_utf7_encode(text);
        g_autofree char *again = imap_utf7_decode(wire);
        g_assert_cmpstr(again, ==, text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/utf7/both-ways", test_both_ways);
    g_test_add_func("/imap/utf7/refused", test_refused);
    g_test_add_func("/imap/utf7/not-utf8", test_not_utf8);
    g_test_add_func("/imap/utf7/all-characters", test_all_characters);
    return g_test_run();
}
