/* Names from any bytes keep their rules. */
#include <string.h>

#include "fs/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *name, size_t max, bool mail)
{
    size_t length = strlen(name);
    g_assert_true(length > 0 && length <= max && g_utf8_validate(name, -1, NULL));
    g_assert_true(!strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    for (const char *p = name; *p; p = g_utf8_next_char(p))
        g_assert_false(g_unichar_iscntrl(g_utf8_get_char(p)));
    if (!mail)
        return;
    g_assert_true(!strchr(". -", name[0]) && !strchr(". ", name[length - 1]));
    g_assert_null(strpbrk(name, "\\:*?\"<>|"));
    g_autofree char *normal = g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
    g_assert_cmpstr(normal, ==, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autofree char *part = name_of_part(text, "part-1.bin");
    check(part, NAME_PART_MAX, true);
    g_autofree char *message = name_of_message(2026, 11, 20, text, text, 7);
    check(message, NAME_MESSAGE_MAX, true);
    g_autofree char *mailbox = name_of_mailbox(text);
    check(mailbox, NAME_MAILBOX_MAX, false);
    g_autofree char *back = name_to_mailbox(mailbox);
    if (back && 3 * strlen(text) <= NAME_MAILBOX_MAX && !g_str_has_suffix(mailbox, " (2)"))
        g_assert_cmpstr(back, ==, text);
    g_autofree char *wanted = name_to_mailbox(text);
    if (wanted) {
        g_autofree char *again = name_of_mailbox(wanted);
        g_assert_cmpstr(again, ==, text);
    }
    uint32_t uid;
    bool eml;
    name_message_uid(text, &uid, &eml);
    g_autoptr(name_set) set = name_set_new();
    for (int i = 0; i < 3; i++) {
        g_autofree char *added = name_set_add(set, part, NAME_PART_MAX);
        check(added, NAME_PART_MAX, true);
        g_assert_true(name_set_has(set, added));
    }
    return 0;
}
