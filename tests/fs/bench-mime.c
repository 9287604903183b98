/* What a listing costs per message here: facts and name of header blocks as servers send them. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs/mime.h"

enum { MESSAGES = 100000 };

static const char *const FROM[] = {
    "Bob Jones <bob@example.org>",
    "\"Smith, Alice\" <alice.smith@example.com>",
    "=?utf-8?Q?J=C3=BCrgen_Gro=C3=9F?= <jg@example.net>",
    "no-reply@shop.example",
};
static const char *const SUBJECTS[] = {
    "Lunch?",
    "Re: [list] quarterly report for the board of directors",
    "=?UTF-8?B?R3LDvMOfZSBhdXMgTcO8bmNoZW4=?=",
    "=?iso-8859-1?Q?Caf=E9_und_Kuchen?=\r\n =?iso-8859-1?Q?_am_Sonntag?=",
    ("Gr\xc3\xbc\xc3\x9f"
     "e"),
};

static char *header_new(int i)
{
    return g_strdup_printf(
        "Date: Fri, %d Nov 2026 10:%02d:05 +0100\r\nFrom: %s\r\n"
        "To: Reader <reader@example.net>, other@example.net\r\nSubject: %s\r\n"
        "Message-ID: <bench.%d@example.org>\r\nReferences: <a@example.org>\r\n <b@example.org>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_%d\"\r\n\r\n",
        1 + i % 28, i % 60, FROM[i % G_N_ELEMENTS(FROM)], SUBJECTS[i % G_N_ELEMENTS(SUBJECTS)], i,
        i);
}

int main(void)
{
    mime_init();
    char **headers = g_new(char *, MESSAGES + 1);
    for (int i = 0; i < MESSAGES; i++)
        headers[i] = header_new(i);
    headers[MESSAGES] = NULL;
    gsize bytes = 0;
    clock_t begin = clock();
    for (int i = 0; i < MESSAGES; i++) {
        g_auto(mime_facts) facts;
        mime_facts_read(headers[i], strlen(headers[i]), &facts);
        g_autofree char *name = mime_message_name(&facts, 1795000000, false, (uint32_t)i + 1);
        bytes += strlen(name);
    }
    double us = (double)(clock() - begin) / CLOCKS_PER_SEC * 1e6 / MESSAGES;
    printf("%.2f us of processor time a message, %.1f bytes a name\n", us,
           (double)bytes / MESSAGES);
    g_strfreev(headers);
    return 0;
}
