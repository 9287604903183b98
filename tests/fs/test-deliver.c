/* What is a message, and what becomes of it before it goes out. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/deliver.h"
#include "fs/mime.h"

static int gather(const void *bytes, size_t length, void *data)
{
    g_string_append_len(data, bytes, (gssize)length);
    return 0;
}

/* Feeds in pieces of `step` bytes. */
static int run(const char *bytes, size_t length, size_t step, GString *out,
               struct deliver_facts *facts)
{
    g_autoptr(deliver) deliver = deliver_new(gather, out);
    for (size_t at = 0; at < length; at += step) {
        int error = deliver_feed(deliver, bytes + at, MIN(step, length - at));
        if (error != 0)
            return error;
    }
    return deliver_end(deliver, facts);
}

#define H "From: a@b\r\n"
static const struct {
    const char *in, *out; /* NULL: EINVAL */
} CASES[] = {
    {H "\r\nx\r\n", H "\r\nx\r\n"},
    {H "\r\n", H "\r\n"},
    /* line ends */
    {"From: a@b\n\nx\ny\n", H "\r\nx\r\ny\r\n"},
    {"From: a@b\r\rx\ry\r", H "\r\nx\r\ny\r\n"},
    {H "\r\nx", H "\r\nx\r\n"},
    {H "\r\nx\r", H "\r\nx\r\n"},
    {H "\r\nx\r\ry\n\rz\r\n", H "\r\nx\r\n\r\ny\r\n\r\nz\r\n"},
    {H "\r\nx\r\r\ny", H "\r\nx\r\n\r\ny\r\n"},
    {H "\r\n\r\n\r\n", H "\r\n\r\n\r\n"},
    /* a header and nothing else */
    {"From: a@b", H "\r\n"},
    {"From: a@b\r", H "\r\n"},
    {H, H "\r\n"},
    /* mbox */
    {"From a@b Mon Jan  1\n" H "\r\nx\r\n", H "\r\nx\r\n"},
    {"From a@b Mon Jan  1\r\n" H "\r\nx\r\n", H "\r\nx\r\n"},
    {"From a@b Mon Jan  1\r" H "\r\nx\r\n", H "\r\nx\r\n"},
    {"From a@b\nFrom c@d\n" H "\r\nx\r\n", NULL},
    {H ">From c@d\r\nTo: x\r\n\r\nx\r\n", H ">From c@d\r\nTo: x\r\n\r\nx\r\n"},
    {H "\r\nFrom here\r\n", H "\r\nFrom here\r\n"},
    {"From \n", NULL},
    {"From ", NULL},
    {"From", NULL},
    {"Fro", NULL},
    {"From x", NULL},
    /* fields */
    {"SUBJECT: x\r\n\r\n", "SUBJECT: x\r\n\r\n"},
    {"subject : x\r\n\r\n", "subject : x\r\n\r\n"},
    {"From : a@b\r\n\r\n", "From : a@b\r\n\r\n"},
    {"To:\r\n\r\n", "To:\r\n\r\n"},
    {"X-A: 1\r\n b\r\nReceived: x\r\n\ty\r\n\r\n", "X-A: 1\r\n b\r\nReceived: x\r\n\ty\r\n\r\n"},
    {"X-A: 1\r\n\r\nFrom: a@b\r\n", NULL},
    {"X-A: 1\r\n", NULL},
    {" From: a@b\r\n\r\n", NULL},
    {"From\xe2\x82\xac: a@b\r\n\r\n", NULL},
    {"\xef\xbb\xbf" H "\r\n", NULL},
    {": a\r\n\r\n", NULL},
    {"From\r\n\r\n", NULL},
    /* the header ends in a line that is no field */
    {H "garbage\r\nx\r\n", NULL},
    {H "To: x\r\ngarbage\r\n", H "To: x\r\ngarbage\r\n"},
    /* no messages */
    {"", NULL},
    {"\n", NULL},
    {"\r\n\r\n" H, NULL},
    {" \n", NULL},
    {"hello\n", NULL},
    {"#!/bin/sh\necho From: x\n", NULL},
    {"%PDF-1.4\nSubject: x\n", NULL},
    {"Dear all,\nDate: tomorrow\n", NULL},
    {"Subject: shopping\nmilk\nbread\n", NULL},
    {"http://x/\n", NULL},
};

static void test_cases(void)
{
    static const size_t STEPS[] = {1, 2, 3, 7, 100000};
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        for (size_t step = 0; step < G_N_ELEMENTS(STEPS); step++) {
            g_autoptr(GString) out = g_string_new(NULL);
            g_auto(deliver_facts) facts = {0};
            g_test_message("case %zu, steps of %zu", i, STEPS[step]);
            int error = run(CASES[i].in, strlen(CASES[i].in), STEPS[step], out, &facts);
            g_assert_cmpint(error, ==, CASES[i].out != NULL ? 0 : EINVAL);
            if (error != 0)
                continue;
            g_assert_cmpstr(out->str, ==, CASES[i].out);
            g_assert_cmpuint(facts.size, ==, out->len);
            g_assert_cmpint(facts.changed, ==, strcmp(CASES[i].in, CASES[i].out) != 0);
        }
    }
}

static void test_nul(void)
{
    static const char IN[] = H "\r\nx\0y\r\n";
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(deliver_facts) facts = {0};
    g_assert_cmpint(run(IN, sizeof(IN) - 1, 1, out, &facts), ==, EINVAL);
    g_assert_cmpint(run(IN, sizeof(IN) - 1, 1000, out, &facts), ==, EINVAL);
}

static void test_facts(void)
{
    static const char IN[] = "From: a@b\nMessage-ID:\n <1@x>\nDate: Fri, 20 Nov 2026 10:00:00 "
                             "+0100\n\nx\n";
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(deliver_facts) facts = {0};
    g_assert_cmpint(run(IN, sizeof(IN) - 1, 5, out, &facts), ==, 0);
    g_assert_cmpstr(facts.message_id, ==, "1@x");
    g_assert_true(facts.has_date);
    g_assert_cmpint(facts.date, ==, 1795165200);
    uint8_t digest[DELIVER_DIGEST];
    gsize length = sizeof(digest);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, (const guchar *)out->str, (gssize)out->len);
    g_checksum_get_digest(checksum, digest, &length);
    g_assert_cmpmem(facts.digest, sizeof(facts.digest), digest, length);
}

static void test_no_facts(void)
{
    static const char IN[] = "From: a@b\nDate: yesterday\n\nx\n";
    g_autoptr(GString) out = g_string_new(NULL);
    g_auto(deliver_facts) facts = {0};
    g_assert_cmpint(run(IN, sizeof(IN) - 1, 5, out, &facts), ==, 0);
    g_assert_cmpstr(facts.message_id, ==, "");
    g_assert_false(facts.has_date);
}

/* A header that has no end takes no more memory than there may be, a body any length. */
static void test_bounds(void)
{
    g_autofree char *line = g_strnfill(1000, 'x');
    g_auto(deliver_facts) facts = {0};
    g_autoptr(deliver) one = deliver_new(NULL, NULL);
    g_assert_cmpint(deliver_feed(one, "From: a", 7), ==, 0);
    size_t fed = 0;
    while (deliver_feed(one, line, 1000) == 0)
        fed += 1000;
    g_assert_cmpuint(fed, >, DELIVER_LINE_MAX - 2000);
    g_assert_cmpuint(fed, <=, DELIVER_LINE_MAX);

    g_autoptr(deliver) many = deliver_new(NULL, NULL);
    memcpy(line, "From: ", 6);
    line[999] = '\n';
    for (fed = 0; deliver_feed(many, line, 1000) == 0;)
        fed += 1000;
    g_assert_cmpuint(fed, >, DELIVER_HEADER_MAX - 5000);
    g_assert_cmpuint(fed, <=, DELIVER_HEADER_MAX);

    g_autoptr(deliver) body = deliver_new(NULL, NULL);
    g_assert_cmpint(deliver_feed(body, H "\r\n", strlen(H) + 2), ==, 0);
    for (size_t i = 0; i < 10000; i++)
        g_assert_cmpint(deliver_feed(body, line + 1, 998), ==, 0);
    g_assert_cmpint(deliver_end(body, &facts), ==, 0);
    g_assert_cmpuint(facts.size, ==, strlen(H) + 2 + 9980000 + 2);
}

static int refuse(const void *bytes, size_t length, void *data)
{
    return ENOSPC;
}

static void test_refused(void)
{
    g_auto(deliver_facts) facts = {0};
    g_autoptr(deliver) deliver = deliver_new(refuse, NULL);
    g_assert_cmpint(deliver_feed(deliver, H, strlen(H)), ==, 0);
    g_assert_cmpint(deliver_end(deliver, &facts), ==, ENOSPC);
}

static int scratch_file(const char *bytes)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("mailmount-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_unlink(path);
    g_assert_cmpint(write(fd, bytes, strlen(bytes)), ==, (ssize_t)strlen(bytes));
    return fd;
}

static void test_files(void)
{
    char got[64] = "";
    g_auto(deliver_facts) checked = {0}, written = {0};
    int in = scratch_file("From: a@b\n\nx"), out = scratch_file("");
    g_assert_cmpint(deliver_check(in, 12, &checked), ==, 0);
    g_assert_true(checked.changed);
    g_assert_cmpint(deliver_write(in, 12, out, &written), ==, 0);
    g_assert_cmpmem(checked.digest, DELIVER_DIGEST, written.digest, DELIVER_DIGEST);
    g_assert_cmpint(pread(out, got, sizeof(got), 0), ==, (ssize_t)checked.size);
    g_assert_cmpstr(got, ==, H "\r\nx\r\n");
    g_assert_cmpint(deliver_check(in, 13, &checked), ==, EIO);
    g_assert_cmpint(deliver_check(in, 0, &checked), ==, EINVAL);
    close(in);
    close(out);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    mime_init();
    g_test_add_func("/deliver/cases", test_cases);
    g_test_add_func("/deliver/nul", test_nul);
    g_test_add_func("/deliver/facts", test_facts);
    g_test_add_func("/deliver/no-facts", test_no_facts);
    g_test_add_func("/deliver/bounds", test_bounds);
    g_test_add_func("/deliver/refused", test_refused);
    g_test_add_func("/deliver/files", test_files);
    return g_test_run();
}
