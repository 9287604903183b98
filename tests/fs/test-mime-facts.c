#include <string.h>

#include "fs/mime.h"

#define DAY 86400

static void facts_of(const char *block, struct mime_facts *facts)
{
    mime_facts_read(block, strlen(block), facts);
}

/* ---- dates ---------------------------------------------------------------------------------- */

static void test_dates(void)
{
    static const struct {
        const char *field;
        const char *day; /* NULL: not valid */
        int64_t date;
    } cases[] = {
        {"Fri, 20 Nov 2026 10:20:30 +0000", "2026-11-20", 1795170030},
        {"Fri, 20 Nov 2026 23:59:59 -0800", "2026-11-20", 1795247999},
        {"Sat, 21 Nov 2026 00:10:00 +1300", "2026-11-21", 1795173000},
        {"20 Nov 2026 10:20", "2026-11-20", 1795170000},
        {"Fri, 20 Nov 2026 10:20:30 +0100 (CET (nested))", "2026-11-20", 1795166430},
        {"Fri,\r\n 20 Nov 2026\r\n\t10:20:30 GMT", "2026-11-20", 1795170030},
        {"Tue, 3 Mar 98 04:05:06 EST", "1998-03-03", 888915906},
        {"", NULL, 0},
        {"yesterday", NULL, 0},
        {"Wed, 31 Dec 1969 23:59:59 +0000", NULL, 0},
        {"Mon, 1 Jan 1900 00:00:00 +0000", NULL, 0},
        {"Fri, 31 Dec 9999 23:59:59 +0000", NULL, 0},
        {"Fri, 31 Dec 99999999999 23:59:59 +0000", NULL, 0},
        {"Sun, 30 Feb 2020 25:61:61 +0000", NULL, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *block = g_strdup_printf("Date: %s\r\nSubject: x\r\n\r\n", cases[i].field);
        g_auto(mime_facts) facts;
        facts_of(block, &facts);
        if (facts.has_date != (cases[i].day != NULL))
            g_error("%s: valid %d", cases[i].field, facts.has_date);
        if (!cases[i].day)
            continue;
        g_autofree char *day =
            g_strdup_printf("%04d-%02d-%02d", facts.year, facts.month, facts.day);
        g_assert_cmpstr(day, ==, cases[i].day);
        g_assert_cmpint(facts.date, ==, cases[i].date);
    }
}

static void test_name_day(void)
{
    static const struct {
        const char *date;
        int64_t internaldate;
        const char *name;
    } cases[] = {
        {"Fri, 20 Nov 2026 23:59:59 -0800", 1795247999, "2026-11-20 a - s [9]"},
        {"Fri, 20 Nov 2026 10:20:30 +0000", 1795170030 - DAY, "2026-11-20 a - s [9]"},
        {"Fri, 20 Nov 2026 10:20:30 +0000", 1795170030 - DAY - 1, "2026-11-19 a - s [9]"},
        {"Fri, 20 Nov 2020 10:20:30 +0000", 1795170030, "2020-11-20 a - s [9]"},
        {"nonsense", 1795219199, "2026-11-20 a - s [9]"},
        {"nonsense", 1795219200, "2026-11-21 a - s [9]"},
        {"nonsense", 0, "1970-01-01 a - s [9]"},
        {"nonsense", INT64_MIN, "0000-01-01 a - s [9]"},
        {"nonsense", INT64_MAX - DAY, "0000-01-01 a - s [9]"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *block =
            g_strdup_printf("Date: %s\r\nFrom: a <a@b>\r\nSubject: s\r\n\r\n", cases[i].date);
        g_auto(mime_facts) facts;
        facts_of(block, &facts);
        g_autofree char *name = mime_message_name(&facts, cases[i].internaldate, false, 9);
        g_assert_cmpstr(name, ==, cases[i].name);
    }
}

/* ---- people --------------------------------------------------------------------------------- */

static void test_who(void)
{
    static const struct {
        const char *block, *from, *to;
    } cases[] = {
        {"From: Bob Jones <bob@x.org>\n\n", "Bob Jones", NULL},
        {"From: \"Jones, Bob\" <bob@x.org>\n\n", "Jones, Bob", NULL},
        {"From: bob@x.org\n\n", "bob@x.org", NULL},
        {"From: <bob@x.org>\n\n", "bob@x.org", NULL},
        {"From: bob@x.org (Bob)\n\n", "Bob", NULL},
        {"From: =?utf-8?q?J=C3=BCrgen?= <j@x>\n\n", "J\xc3\xbcrgen", NULL},
        {"From: \"=?utf-8?b?SsO8cmdlbg==?=\" <j@x>\n\n", "J\xc3\xbcrgen", NULL},
        {"From: J\xc3\xbcrgen <j@x>\n\n", "J\xc3\xbcrgen", NULL},
        {"From: J\xfcrgen <j@x>\n\n", "J\xc3\xbcrgen", NULL},
        {"From: Just A Name\n\n", "Just A Name", NULL},
        {"From: G: a@b, c@d;\n\n", "a@b", NULL},
        {"From: a@b, c@d\n\n", "a@b", NULL},
        {"Sender: s@x\n\n", "s@x", NULL},
        {"From:\nSender: s@x\n\n", "s@x", NULL},
        {"From: undisclosed:;\nSender: s@x\n\n", NULL, NULL},
        {"To: t@x\nCc: c@x\n\n", NULL, "t@x"},
        {"Cc: Carl <c@x>\n\n", NULL, "Carl"},
        {"FROM: a <a@x>\nfrom: b <b@x>\n\n", "a", NULL},
        {"From : spaced <a@x>\n\n", "spaced", NULL},
        {"\xef\xbb\xbfX: y\nFrom: a <a@x>\n\n", "a", NULL},
        {"no field\nFrom: a <a@x>\n\n", "a", NULL},
        {"X: y\n\nFrom: body@x\n", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(mime_facts) facts;
        facts_of(cases[i].block, &facts);
        if (cases[i].from || !strstr(cases[i].block, "undisclosed"))
            g_assert_cmpstr(facts.from, ==, cases[i].from);
        g_assert_cmpstr(facts.to, ==, cases[i].to);
    }
}

static void test_outgoing(void)
{
    g_auto(mime_facts) facts;
    facts_of("Date: 20 Nov 2026 10:20:30 +0000\nFrom: Me <m@x>\nTo: You <y@x>\nSubject: Hi?\n\n",
             &facts);
    g_autofree char *in = mime_message_name(&facts, 1795170030, false, 4710);
    g_autofree char *out = mime_message_name(&facts, 1795170030, true, 4710);
    g_assert_cmpstr(in, ==, "2026-11-20 Me - Hi_ [4710]");
    g_assert_cmpstr(out, ==, "2026-11-20 You - Hi_ [4710]");
}

/* ---- subject and id ------------------------------------------------------------------------- */

static void test_subject(void)
{
    static const struct {
        const char *field, *subject;
    } cases[] = {
        {"plain", "plain"},
        {"  two   spaces ", "two   spaces"},
        {"folded\r\n here", "folded here"},
        {"=?utf-8?B?R3LDvMOfZQ==?=", "Gr\xc3\xbc\xc3\x9f"
                                     "e"},
        {"=?utf-8?Q?a?=\r\n =?utf-8?Q?b?= c", "ab c"},
        {"=?utf-8?B?w4M=?= =?utf-8?B?4g==?= =?utf-8?B?gqw=?=", "\xc3\x83\xe2\x82\xac"},
        {"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
        {"Gr\xc3\xbc\xc3\x9f"
         "e",
         "Gr\xc3\xbc\xc3\x9f"
         "e"},
        {"Gr\xfc\xdf"
         "e",
         "Gr\xc3\xbc\xc3\x9f"
         "e"},
        {"100% %s", "100% %s"},
        {"", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *block = g_strdup_printf("Subject: %s\r\n\r\n", cases[i].field);
        g_auto(mime_facts) facts;
        facts_of(block, &facts);
        g_assert_cmpstr(facts.subject, ==, cases[i].subject);
    }
    g_auto(mime_facts) none;
    facts_of("X: y\n", &none);
    g_assert_null(none.subject);
}

static void test_message_id(void)
{
    static const struct {
        const char *field, *id;
    } cases[] = {
        {"<a@b>", "a@b"}, {" <a@b> <c@d>", "a@b"}, {"bare", "bare"}, {"", NULL}, {"<open", "<open"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *block = g_strdup_printf("Message-ID: %s\r\n\r\n", cases[i].field);
        g_auto(mime_facts) facts;
        facts_of(block, &facts);
        g_assert_cmpstr(facts.message_id, ==, cases[i].id);
    }
}

/* ---- headers.txt ---------------------------------------------------------------------------- */

static char *headers_of(const char *block, size_t length, const char *note)
{
    g_autoptr(GBytes) text = mime_headers_text(block, length, note);
    gsize size;
    const char *bytes = g_bytes_get_data(text, &size);
    return g_strndup(bytes ? bytes : "", size);
}

static void test_headers(void)
{
    static const struct {
        const char *block, *text;
    } cases[] = {
        {"A: b\r\nC: d\r\n\r\nbody: no\r\n", "A: b\nC: d\n"},
        {"A: b", "A: b\n"},
        {"A: folded\r\n\t twice\r\n here\r\n", "A: folded twice here\n"},
        {"Subject: =?utf-8?Q?caf=C3=A9?=\n", "Subject: caf\xc3\xa9\n"},
        {"Subject: =?utf-8?B?YQpYLUluamVjdGVkOiB5ZXM=?=\n",
         "Subject: a\xef\xbf\xbdX-Injected: yes\n"},
        {"S: \x1b]0;x\x07\n", "S: \xef\xbf\xbd]0;x\xef\xbf\xbd\n"},
        {"Content-Disposition: attachment;\r\n filename*0*=utf-8''caf%C3%A9;\r\n "
         "filename*1=.txt; size=3\r\n",
         "Content-Disposition: attachment; filename=\"caf\xc3\xa9.txt\"; size=\"3\"\n"},
        {"Content-Type: text/plain; charset=utf-8\n", "Content-Type: text/plain; charset=utf-8\n"},
        {"no field here\nA: b\n", "A: b\n"},
        {"A:\n", "A: \n"},
        {"", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = headers_of(cases[i].block, strlen(cases[i].block), NULL);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
    g_autofree char *noted = headers_of("A: b\n", 5, "(the rest is only in the .eml)");
    g_assert_cmpstr(noted, ==, "A: b\n(the rest is only in the .eml)\n");
    g_autofree char *nul = headers_of("A: b\0c\nD: e\n", 12, NULL);
    g_assert_cmpstr(nul, ==,
                    "A: b\xef\xbf\xbd"
                    "c\nD: e\n");
}

/* A field of any size takes time that grows with it only. */
static void test_huge(void)
{
    g_autoptr(GString) block = g_string_new("X: ");
    for (int i = 0; i < 200000; i++)
        g_string_append(block, i % 2 ? "=?utf-8?Q?=C3?=\r\n " : "=?utf-8?Q?=A9?= ");
    g_string_append(block, "\r\nFrom: ");
    for (int i = 0; i < 50000; i++)
        g_string_append_printf(block, "u%d@example.org, ", i);
    g_string_append(block, "\r\nSubject: s\r\n\r\n");
    g_auto(mime_facts) facts;
    mime_facts_read(block->str, block->len, &facts);
    g_assert_cmpstr(facts.from, ==, "u0@example.org");
    g_assert_cmpstr(facts.subject, ==, "s");
    g_autofree char *text = headers_of(block->str, block->len, NULL);
    g_assert_nonnull(strstr(text, "\nSubject: s\n"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
    g_test_add_func("/mime/facts/dates", test_dates);
    g_test_add_func("/mime/facts/name-day", test_name_day);
    g_test_add_func("/mime/facts/who", test_who);
    g_test_add_func("/mime/facts/outgoing", test_outgoing);
    g_test_add_func("/mime/facts/subject", test_subject);
    g_test_add_func("/mime/facts/message-id", test_message_id);
    g_test_add_func("/mime/headers", test_headers);
    g_test_add_func("/mime/headers/huge", test_huge);
    return g_test_run();
}
