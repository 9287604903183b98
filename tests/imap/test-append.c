/* APPEND: a message streamed from a file, whatever the server does meanwhile. */
#include "client.h"
#include "imap/session.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HELLO_(caps) "S:* PREAUTH [CAPABILITY IMAP4rev1 UIDPLUS " caps "] ready"
#define DATE "\"17-Jul-1996 09:44:25 +0000\""
enum { DATE_SECONDS = 837596665, BIG = 32 * 1024 * 1024 };

/* A file with the octets that the script's N: hears. */
static int message_file(size_t size)
{
    int fd = memfd_create("message", MFD_CLOEXEC);
    g_autofree char *octets = g_malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        octets[i] = script_octet(i);
    g_assert_cmpint(write(fd, octets, size), ==, (ssize_t)size);
    return fd;
}

static void append(struct client *client, int fd, uint64_t size, const char *name)
{
    const struct imap_append message = {.mailbox = "Sent",
                                        .flags = "\\Seen $Label",
                                        .internaldate = DATE_SECONDS,
                                        .descriptor = fd,
                                        .size = size};
    imap_send_append(client->session, &message, client_done, client_note(client, name));
}

#define APPEND_(literal) "C:APPEND Sent (\\Seen $Label) " DATE " " literal

static const struct dialogue {
    const char *name;
    size_t size;
    const char *const *steps;
    const char *log; /* complete with its last line; a NOOP follows the APPEND */
} DIALOGUES[] = {
    {"synchronising", 1000,
     (const char *[]){HELLO_(""), APPEND_("{1000}"), "S:+ go", "N:1000", "L:", "C:NOOP",
                      "S:* 4 EXISTS\r\n$1 OK [APPENDUID 5 7] done\r\n$2 OK", NULL},
     "append ok done copied 5: 0>7 (out)\nnoop ok \n"},
    {"LITERAL+", 1000,
     (const char *[]){HELLO_("LITERAL+"), APPEND_("{1000+}"), "N:1000", "L:", "C:NOOP",
                      "S:$1 OK done\r\n$2 OK", NULL},
     "append ok done (out)\nnoop ok \n"},
    {"LITERAL-", 4096,
     (const char *[]){HELLO_("LITERAL-"), APPEND_("{4096+}"), "N:4096", "L:", "C:NOOP",
                      "S:$1 OK [APPENDUID 5 7:8] done\r\n$2 OK", NULL},
     "append ok done (out)\nnoop ok \n"},
    {"LITERAL- and too long for it", 4097,
     (const char *[]){HELLO_("LITERAL-"), APPEND_("{4097}"), "S:+", "N:4097", "L:", "C:NOOP",
                      "S:* OK [APPENDUID 5 7] .\r\n$1 OK done\r\n$2 OK", NULL},
     "append ok done copied 5: 0>7 (out)\nnoop ok \n"},
    {"NO instead of +", 1000,
     (const char *[]){HELLO_(""), APPEND_("{1000}"), "S:$1 NO [TRYCREATE] none", "C:NOOP",
                      "S:$2 OK", NULL},
     "append nonexistent none\nnoop ok \n"},
    {"BAD instead of +", 1000,
     (const char *[]){HELLO_(""), APPEND_("{1000}"), "S:$1 BAD what?", "C:NOOP", "S:$2 OK", NULL},
     "append bad what?\nnoop ok \n"},
    {"OK instead of +", 1000,
     (const char *[]){HELLO_(""), APPEND_("{1000}"), "S:$1 OK [APPENDUID 5 7] stored", NULL},
     "append protocol the server said OK to half a command\nnoop protocol the server said OK to "
     "half a command\nclosed protocol the server said OK to half a command\n"},
    {"NO in the middle", BIG,
     (const char *[]){HELLO_("LITERAL+"), APPEND_("{33554432+}"), "S:$1 NO [OVERQUOTA] full",
                      "N:33554432", "L:", "C:NOOP", "S:$2 OK", NULL},
     "append overquota full\nnoop ok \n"},
    {"NO in the middle, and then OK", BIG,
     (const char *[]){HELLO_(""), APPEND_("{33554432}"), "S:+ go\r\n$1 NO [TOOBIG] big\r\n$1 OK",
                      NULL},
     "append toobig big\nnoop protocol the server said OK to half a command\nclosed protocol the "
     "server said OK to half a command\n"},
    {"long", BIG,
     (const char *[]){HELLO_(""), APPEND_("{33554432}"), "S:+ go", "N:33554432", "L:", "C:NOOP",
                      "S:$1 OK [APPENDUID 5 7] done\r\n$2 OK", NULL},
     "append ok done copied 5: 0>7 (out)\nnoop ok \n"},
    {"BYE in the middle", BIG,
     (const char *[]){HELLO_("LITERAL+"), APPEND_("{33554432+}"), "S:* BYE enough", NULL},
     "append lost enough\nnoop lost enough\nclosed lost enough\n"},
};

/* Runs until nothing is in flight; what waits in memory stays little. */
static void run(struct client *client)
{
    while (imap_session_in_flight(client->session) > 0) {
        g_main_context_iteration(client->context, TRUE);
        if (client->session->stream)
            g_assert_cmpuint(imap_stream_queued(client->session->stream), <, 256 * 1024);
    }
}

static void test_dialogues(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(DIALOGUES); i++) {
        const struct dialogue *row = &DIALOGUES[i];
        int fd = message_file(row->size);
        struct client client;
        g_test_message("%s", row->name);
        client_init(&client, row->steps, NULL);
        client_open(&client);
        g_assert_no_error(client.error);
        g_assert_false(imap_append_is_out(client.session));
        append(&client, fd, row->size, "append");
        imap_send_noop(client.session, client_done, client_note(&client, "noop"));
        run(&client);
        if (strstr(row->log, "closed"))
            client_until(&client, "closed");
        g_assert_cmpstr(client.log->str, ==, row->log);
        g_assert_false(imap_append_is_out(client.session));
        g_assert_null(strstr(client.transcript->str, "!\"#$%&"));
        client_end(&client, true);
        close(fd);
    }
}

/* Cut after every byte of the server's, and after some of the client's. */
static void test_cut(void)
{
    static const char *const steps[] = {HELLO_(""), APPEND_("{1000}"),
                                        "S:+ go",   "N:1000",
                                        "L:",       "S:$1 OK [APPENDUID 5 7] done",
                                        "X:",       NULL};
    int fd = message_file(1000);
    bool whole = false;

    for (int cut = 0; !whole; cut++) {
        struct client client;
        client_init_cut(&client, steps, cut);
        client_open(&client);
        if (!client.error) {
            append(&client, fd, 1000, "append");
            client_until(&client, "closed lost");
            g_assert_true(g_str_has_prefix(client.log->str, "append "));
            whole = strstr(client.log->str, "append ok") != NULL;
        }
        client_end(&client, false);
        g_assert_cmpint(cut, <, 1000);
    }
    close(fd);
}

static const struct lost_case {
    const char *name, *capabilities, *literal;
    const char *steps[4];
    const char *log; /* begins so */
    bool out;
} LOST[] = {
    {"before the +", "", "{33554432}", {"X:"}, "append lost", false},
    {"before anything", "LITERAL+", "{33554432+}", {"X:"}, "append lost", false},
    {"in the middle", "LITERAL+", "{33554432+}", {"N:1000", "X:"}, "append lost", false},
    {"in the middle, asked for", "", "{33554432}", {"S:+", "N:9999", "X:"}, "append lost", false},
    {"in the middle, refused",
     "LITERAL+",
     "{33554432+}",
     {"S:$1 NO [TOOBIG] big", "N:99", "X:"},
     "append toobig big\n",
     false},
    {"before the answer",
     "LITERAL+",
     "{33554432+}",
     {"N:33554432", "L:", "X:"},
     "append lost",
     true},
};

/* What had to be in the sockets' buffers and beyond: only then it may have been stored. */
static void test_lost(void)
{
    int fd = message_file(BIG);

    for (size_t i = 0; i < G_N_ELEMENTS(LOST); i++) {
        const struct lost_case *row = &LOST[i];
        g_autofree char *hello =
            g_strdup_printf("S:* PREAUTH [CAPABILITY IMAP4rev1 %s] ready", row->capabilities);
        g_autofree char *command = g_strconcat(APPEND_(""), row->literal, NULL);
        const char *steps[] = {hello, command, row->steps[0], row->steps[1], row->steps[2], NULL};
        struct client client;
        g_test_message("%s", row->name);
        client_init(&client, steps, NULL);
        client_open(&client);
        append(&client, fd, BIG, "append");
        client_until(&client, "closed lost");
        g_auto(GStrv) lines = g_strsplit(client.log->str, "\n", 2);
        g_assert_true(g_str_has_prefix(client.log->str, row->log));
        g_assert_cmpint(g_str_has_suffix(lines[0], " (out)"), ==, row->out);
        g_assert_false(imap_append_is_out(client.session));
        client_end(&client, true);
    }
    close(fd);
}

/* While it is in flight: not out until all of it went, out before the answer. */
static void test_out_in_flight(void)
{
    static const char *const steps[] = {
        HELLO_("LITERAL+"),    APPEND_("{1000+}"), "N:1000",           "L:",
        "S:* OK [ALERT] wait", "C:NOOP",           "S:$1 OK\r\n$2 OK", NULL};
    int fd = message_file(1000);
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    append(&client, fd, 1000, "append");
    g_assert_false(imap_append_is_out(client.session));
    client_until(&client, "alert wait");
    g_assert_true(imap_append_is_out(client.session));
    g_assert_cmpuint(imap_session_bytes_out(client.session), >, 1000);
    imap_send_noop(client.session, client_done, client_note(&client, "noop"));
    client_until(&client, "noop");
    g_assert_cmpstr(client.log->str, ==, "alert wait\nappend ok  (out)\nnoop ok \n");
    client_end(&client, true);
    close(fd);
}

/* A file that is shorter than was said: nothing can be sent instead, so the connection ends. */
static void test_shorter(void)
{
    static const char *const steps[] = {HELLO_("LITERAL+"), APPEND_("{100000+}"), "N:1000", NULL};
    int fd = message_file(99999);
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    append(&client, fd, 100000, "append");
    imap_send_noop(client.session, client_done, client_note(&client, "noop"));
    client_until(&client, "closed");
    g_assert_cmpstr(client.log->str, ==,
                    "append cannot the message's file became shorter\n"
                    "noop lost a message's file became shorter\n"
                    "closed lost a message's file became shorter\n");
    client_end(&client, false);
    close(fd);
}

/* Freed in the middle of the literal: answered, and no LOGOUT is taken for the message's text. */
static void test_freed(void)
{
    static const char *const steps[] = {HELLO_("LITERAL+"), APPEND_("{33554432+}"),
                                        "S:* OK [ALERT] now", "N:33554432", NULL};
    int fd = message_file(BIG);
    struct client client;

    client_init(&client, steps, NULL);
    client.free_at = "alert now";
    client_open(&client);
    append(&client, fd, BIG, "append");
    while (client.session)
        g_main_context_iteration(client.context, TRUE);
    g_assert_cmpstr(client.log->str, ==, "alert now\nappend cancelled cancelled\n");
    g_assert_null(strstr(client.transcript->str, "LOGOUT"));
    client_end(&client, false);
    close(fd);
}

/* Two messages and what is asked behind them, to a mailbox whose name is a literal too. */
static void test_two(void)
{
    static const char *const steps[] = {HELLO_(""),
                                        "C:APPEND {3}",
                                        "S:+ name",
                                        "L:S\xc3\xb6 () \" 1-Jan-1970 00:00:00 +0000\" {500}",
                                        "S:+ message",
                                        "N:500",
                                        "L:",
                                        APPEND_("{600}"),
                                        "S:$1 OK [APPENDUID 5 7] 1",
                                        "S:+",
                                        "N:600",
                                        "L:",
                                        "C:NOOP",
                                        "S:$2 NO [OVERQUOTA] 2\r\n$3 OK",
                                        NULL};
    int fd = message_file(600);
    const struct imap_append first = {
        .mailbox = "S\xc3\xb6", .flags = "", .descriptor = fd, .size = 500};
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    imap_send_append(client.session, &first, client_done, client_note(&client, "first"));
    append(&client, fd, 600, "second");
    imap_send_noop(client.session, client_done, client_note(&client, "noop"));
    client_until(&client, "noop");
    g_assert_cmpstr(client.log->str, ==,
                    "first ok 1 copied 5: 0>7 (out)\nsecond overquota 2 (out)\nnoop ok \n");
    client_end(&client, true);
    close(fd);
}

static const struct refused_case {
    const char *flags;
    int64_t internaldate;
    uint64_t size;
    const char *log;
} REFUSED[] = {
    {"", 0, 0, "append cannot the message is empty\n"},
    {"\\Seen a(b", 0, 1, "append cannot this is not a flag\n"},
    {"\\Recent", 0, 1, "append cannot this is not a flag\n"},
    {"", INT64_MAX, 1, "append cannot this is not a date\n"},
    {"", INT64_MIN, 1, "append cannot this is not a date\n"},
    {"", 0, 5001, "append toobig the message is larger than the server takes\n"},
    {"", 0, UINT64_MAX, "append toobig the message is larger than a literal can be\n"},
};

/* What is refused without asking the server. */
static void test_refused(void)
{
    static const char *const steps[] = {HELLO_("LITERAL+ APPENDLIMIT=5000"), NULL};
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    g_assert_cmpuint(imap_session_append_limit(client.session), ==, 5000);
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSED); i++) {
        const struct imap_append message = {.mailbox = "Sent",
                                            .flags = REFUSED[i].flags,
                                            .internaldate = REFUSED[i].internaldate,
                                            .descriptor = -1,
                                            .size = REFUSED[i].size};
        g_string_truncate(client.log, 0);
        imap_send_append(client.session, &message, client_done, client_note(&client, "append"));
        client_until(&client, "append");
        g_assert_cmpstr(client.log->str, ==, REFUSED[i].log);
    }
    client_end(&client, true);
}

static const struct limit_case {
    const char *capability;
    uint64_t limit;
} LIMITS[] = {
    {"APPENDLIMIT=35651584", 35651584},
    {"appendlimit=1", 1},
    {"APPENDLIMIT", 0},
    {"APPENDLIMIT=", 0},
    {"APPENDLIMIT=-1", 0},
    {"APPENDLIMIT=1x", 0},
    {"APPENDLIMIT=99999999999999999999", 0},
};

static void test_limit(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(LIMITS); i++) {
        g_autofree char *hello =
            g_strdup_printf("S:* PREAUTH [CAPABILITY IMAP4rev1 %s] ready", LIMITS[i].capability);
        const char *steps[] = {hello, NULL};
        struct client client;
        client_init(&client, steps, NULL);
        client_open(&client);
        g_assert_no_error(client.error);
        g_assert_cmpuint(imap_session_append_limit(client.session), ==, LIMITS[i].limit);
        client_end(&client, true);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/append/dialogues", test_dialogues);
    g_test_add_func("/imap/append/cut", test_cut);
    g_test_add_func("/imap/append/lost", test_lost);
    g_test_add_func("/imap/append/out-in-flight", test_out_in_flight);
    g_test_add_func("/imap/append/shorter", test_shorter);
    g_test_add_func("/imap/append/freed", test_freed);
    g_test_add_func("/imap/append/two", test_two);
    g_test_add_func("/imap/append/refused", test_refused);
    g_test_add_func("/imap/append/limit", test_limit);
    return g_test_run();
}
