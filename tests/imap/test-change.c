/* Commands that change messages and mailboxes: what goes out, what the answers mean. */
#include "client.h"

#include <string.h>

#define HELLO_(caps) "S:* PREAUTH [CAPABILITY IMAP4rev1 " caps "] ready"
#define HELLO HELLO_("MOVE UIDPLUS CONDSTORE QUOTA=RES-STORAGE ACL")
#define SELECTED "S:* 3 EXISTS\r\n* OK [UIDVALIDITY 9] .\r\n$1 OK [READ-WRITE] done"

struct dialogue {
    const char *name;
    void (*ask)(struct client *client);
    const char *const *steps;
    const char *last; /* the log is complete when it holds this */
    const char *log;
};

static struct imap_uidset *uids(const char *text)
{
    return imap_uidset_parse(text, strlen(text));
}

static void select_box(struct client *client, const char *mailbox, const char *name)
{
    imap_send_select(client->session, mailbox, client_done, client_note(client, name));
}

static void move(struct client *client, const char *set, const char *mailbox, const char *name)
{
    g_autoptr(imap_uidset) wanted = uids(set);
    imap_send_uid_move(client->session, wanted, mailbox, client_done, client_note(client, name));
}

static void copy(struct client *client, const char *set, const char *mailbox, const char *name)
{
    g_autoptr(imap_uidset) wanted = uids(set);
    imap_send_uid_copy(client->session, wanted, mailbox, client_done, client_note(client, name));
}

static void expunge(struct client *client, const char *set, const char *name)
{
    g_autoptr(imap_uidset) wanted = uids(set);
    imap_send_uid_expunge(client->session, wanted, client_done, client_note(client, name));
}

static void store(struct client *client, bool add, const char *flags, uint64_t since,
                  const char *name)
{
    g_autoptr(imap_uidset) wanted = uids("4:6");
    imap_send_uid_store(client->session, wanted, add, flags, since, client_done,
                        client_note(client, name));
}

static void ask_move(struct client *client)
{
    select_box(client, "INBOX", "select");
    move(client, "4:6", "Bin", "move");
}

static void ask_two_moves(struct client *client)
{
    select_box(client, "INBOX", "select");
    move(client, "4:6", "A", "first");
    move(client, "7", "B", "second");
}

static void ask_store_move(struct client *client)
{
    select_box(client, "INBOX", "select");
    store(client, true, "\\Seen", 0, "store");
    move(client, "4:6", "A", "move");
}

static void ask_copy_move(struct client *client)
{
    select_box(client, "INBOX", "select");
    copy(client, "4:6", "A", "copy");
    move(client, "4:6", "A", "move");
}

static void ask_copy(struct client *client)
{
    select_box(client, "INBOX", "select");
    copy(client, "4:6", "Entw\"\xc3\xbcrfe", "copy");
}

static void ask_store(struct client *client)
{
    select_box(client, "INBOX", "select");
    store(client, true, "\\Seen $Label1", 0, "add");
    store(client, false, " \\Deleted  ", 77, "remove");
    store(client, true, "", 0, "nothing");
}

static void ask_store_odd(struct client *client)
{
    static const char *const ODD[] = {
        "\\Recent", "\\*", "a(b", "a)",   "{3}", "a\r\nb", "\\",   "\\\\Seen", "a\"",
        "\xfc",     "a]",  "a%",  "a\tb", "a*",  "x\\",    "\x7f", "a b{",     "\\seen \\re\\"};

    select_box(client, "INBOX", "select");
    client_until(client, "select");
    for (size_t i = 0; i < G_N_ELEMENTS(ODD); i++)
        store(client, true, ODD[i], 0, "odd");
    g_autofree char *lengthy = g_strnfill(5000, 'x');
    store(client, true, lengthy, 0, "odd");
    imap_send_noop(client->session, client_done, client_note(client, "noop"));
}

static void ask_expunge(struct client *client)
{
    select_box(client, "INBOX", "select");
    expunge(client, "4:6,9", "expunge");
}

static void ask_unselected(struct client *client)
{
    move(client, "4:6", "Bin", "move");
    expunge(client, "4", "expunge");
    store(client, true, "no flag)", 0, "store");
    imap_send_noop(client->session, client_done, client_note(client, "noop"));
}

static void ask_after_unselect(struct client *client)
{
    select_box(client, "INBOX", "select");
    imap_send_unselect(client->session, client_done, client_note(client, "unselect"));
    expunge(client, "4", "expunge");
}

static void ask_empty(struct client *client)
{
    g_autoptr(imap_uidset) none = imap_uidset_new();

    select_box(client, "INBOX", "select");
    imap_send_uid_expunge(client->session, none, client_done, client_note(client, "none"));
}

static void ask_mailboxes(struct client *client)
{
    imap_send_create(client->session, "A b", client_done, client_note(client, "create"));
    imap_send_rename(client->session, "A b", "C\"\xc3\xbc", client_done,
                     client_note(client, "rename"));
    imap_send_subscribe(client->session, "C", true, client_done, client_note(client, "subscribe"));
    imap_send_subscribe(client->session, "C", false, client_done, client_note(client, "not"));
    imap_send_delete(client->session, "C", client_done, client_note(client, "delete"));
}

static void ask_questions(struct client *client)
{
    imap_send_quota(client->session, "INBOX", client_done, client_note(client, "quota"));
    imap_send_rights(client->session, "INBOX", client_done, client_note(client, "rights"));
    imap_send_noop(client->session, client_done, client_note(client, "noop"));
}

static void ask_two_selects(struct client *client)
{
    select_box(client, "A", "a");
    expunge(client, "4", "of a");
    select_box(client, "B", "b");
    expunge(client, "5", "of b");
}

static const struct dialogue DIALOGUES[] = {
    {"MOVE, told untagged", ask_move,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID MOVE 4:6 Bin",
                      "S:* OK [COPYUID 5 4,6 8:9] moved\r\n* 1 EXPUNGE\r\n* VANISHED 6\r\n$2 OK "
                      "done",
                      NULL},
     "move", "select ok done\nexpunged 0\nexpunged 6\nmove ok done copied 5: 4>8 6>9\n"},
    {"MOVE, told tagged", ask_move,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID MOVE 4:6 Bin",
                      "S:* 1 EXPUNGE\r\n$2 OK [COPYUID 5 6,4 8:9] done", NULL},
     "move", "select ok done\nexpunged 0\nmove ok done copied 5: 6>8 4>9\n"},
    {"MOVE, told both ways and without OK", ask_move,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID MOVE 4:6 Bin",
                      "S:* [COPYUID 5 6 8]\r\n$2 OK [COPYUID 5 6 8] done", NULL},
     "move", "select ok done\nmove ok done copied 5: 6>8\n"},
    {"MOVE of what is gone", ask_move,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID MOVE 4:6 Bin",
                      "S:$2 OK [COPYUID 5  ] none", NULL},
     "move", "select ok done\nmove ok none copied 5:\n"},
    {"MOVE that makes no sense", ask_move,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID MOVE 4:6 Bin",
                      "S:$2 OK [COPYUID 5 4:6 8:9] hm", NULL},
     "move", "select ok done\nmove ok hm\n"},
    {"MOVE that failed in between", ask_move,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID MOVE 4:6 Bin",
                      "S:* OK [COPYUID 5 4 8] one\r\n* 1 EXPUNGE\r\n$2 NO [OVERQUOTA] full", NULL},
     "move", "select ok done\nexpunged 0\nmove overquota full copied 5: 4>8\n"},
    {"no MOVE", ask_move, (const char *[]){HELLO_("UIDPLUS"), "C:SELECT INBOX", SELECTED, NULL},
     "move", "select ok done\nmove cannot the server does not offer this\n"},
    {"two at once, told apart", ask_two_moves,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID MOVE 4:6 A",
                      "C:UID MOVE 7 B", "S:* OK [COPYUID 5 4:5 1:2] .\r\n$2 OK 1",
                      "S:* OK [COPYUID 6 7 3] .\r\n$3 OK 2", NULL},
     "second", "select ok done\nfirst ok 1 copied 5: 4>1 5>2\nsecond ok 2 copied 6: 7>3\n"},
    {"two at once, told before any is tagged", ask_two_moves,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID MOVE 4:6 A",
                      "C:UID MOVE 7 B", "S:* OK [COPYUID 6 7 3] .\r\n* OK [COPYUID 5 4:5 1:2] .",
                      "S:* OK [COPYUID 7  ] whose?\r\n$2 OK 1\r\n$3 OK 2", NULL},
     "second", "select ok done\nfirst ok 1 copied 5: 4>1 5>2\nsecond ok 2 copied 6: 7>3\n"},
    {"a MOVE told while a STORE before it is not answered", ask_store_move,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED,
                      "C:UID STORE 4:6 +FLAGS.SILENT (\\Seen)", "C:UID MOVE 4:6 A",
                      "S:* OK [COPYUID 5 4 1] .\r\n$2 OK [MODIFIED 5] 1\r\n$3 OK 2", NULL},
     "move", "select ok done\nstore ok 1 modified 5\nmove ok 2 copied 5: 4>1\n"},
    {"a MOVE told while a COPY of the same is not answered", ask_copy_move,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID COPY 4:6 A",
                      "C:UID MOVE 4:6 A",
                      "S:* OK [COPYUID 5 4 2] .\r\n$2 OK [COPYUID 5 4 1] 1\r\n$3 OK 2", NULL},
     "move", "select ok done\ncopy ok 1 copied 5: 4>1\nmove ok 2 copied 5: 4>2\n"},
    {"COPY to a name that waits for \"+\"", ask_copy,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID COPY 4:6 {10}",
                      "S:+ go", "L:Entw\"\xc3\xbcrfe", "S:$2 NO [TRYCREATE] none", NULL},
     "copy", "select ok done\ncopy nonexistent none\n"},
    {"COPY to a name that is refused", ask_copy,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID COPY 4:6 {10}",
                      "S:$2 BAD no", NULL},
     "copy", "select ok done\ncopy bad no\n"},
    {"COPY, OK to half a command", ask_copy,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID COPY 4:6 {10}",
                      "S:$2 OK [COPYUID 5 4:6 7:9] liar", NULL},
     "closed",
     "select ok done\ncopy protocol the server said OK to half a command\nclosed protocol the "
     "server said OK to half a command\n"},
    {"STORE", ask_store,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED,
                      "C:UID STORE 4:6 +FLAGS.SILENT (\\Seen $Label1)",
                      "C:UID STORE 4:6 (UNCHANGEDSINCE 77) -FLAGS.SILENT (\\Deleted)",
                      "S:* 1 FETCH (UID 4 MODSEQ (80))\r\n$2 OK 1", "S:$3 OK [MODIFIED 6,5] 2",
                      NULL},
     "nothing", "select ok done\nfetch 4\nadd ok 1\nremove ok 2 modified 5:6\nnothing ok \n"},
    {"STORE, MODIFIED with NO", ask_store,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED,
                      "C:UID STORE 4:6 +FLAGS.SILENT (\\Seen $Label1)",
                      "C:UID STORE 4:6 (UNCHANGEDSINCE 77) -FLAGS.SILENT (\\Deleted)",
                      "S:$2 OK 1\r\n$3 NO [MODIFIED 4] 2", NULL},
     "nothing", "select ok done\nadd ok 1\nremove no 2 modified 4\nnothing ok \n"},
    {"STORE without CONDSTORE", ask_store,
     (const char *[]){HELLO_(""), "C:SELECT INBOX", SELECTED,
                      "C:UID STORE 4:6 +FLAGS.SILENT (\\Seen $Label1)",
                      "C:UID STORE 4:6 -FLAGS.SILENT (\\Deleted)", "S:$2 OK 1\r\n$3 OK 2", NULL},
     "nothing", "select ok done\nadd ok 1\nremove ok 2\nnothing ok \n"},
    {"EXPUNGE", ask_expunge,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:UID EXPUNGE 4:6,9",
                      "S:* VANISHED 4:5\r\n$2 OK done", NULL},
     "expunge", "select ok done\nexpunged 4\nexpunged 5\nexpunge ok done\n"},
    {"EXPUNGE in IMAP4rev2", ask_expunge,
     (const char *[]){HELLO_("IMAP4rev2"), "C:ENABLE IMAP4rev2", "S:$1 OK", "C:SELECT INBOX",
                      "S:$2 OK done", "C:UID EXPUNGE 4:6,9", "S:$3 NO [NOPERM] no", NULL},
     "expunge", "select ok done\nexpunge noperm no\n"},
    {"no UIDPLUS", ask_expunge, (const char *[]){HELLO_("MOVE"), "C:SELECT INBOX", SELECTED, NULL},
     "expunge", "select ok done\nexpunge cannot the server does not offer this\n"},
    {"SELECT fails, and the server keeps the mailbox before", ask_two_selects,
     (const char *[]){HELLO, "C:SELECT A (CONDSTORE)", "S:$1 OK [READ-WRITE] a", "C:UID EXPUNGE 4",
                      "C:SELECT B (CONDSTORE)", "S:$2 OK 4\r\n$3 NO none", NULL},
     "of b", "a ok a\nof a ok 4\nb no none\nof b no none\n"},
    {"nothing is selected", ask_unselected, (const char *[]){HELLO, "C:NOOP", "S:$1 OK", NULL},
     "noop",
     "move cannot no mailbox is selected\nexpunge cannot no mailbox is selected\n"
     "store cannot no mailbox is selected\nnoop ok \n"},
    {"it was forgotten, but the server still has it selected", ask_after_unselect,
     (const char *[]){HELLO_("UIDPLUS"), "C:SELECT INBOX", "C:NOOP", SELECTED, "S:$2 OK", NULL},
     "expunge", "select ok done\nunselect ok \nexpunge cannot no mailbox is selected\n"},
    {"no messages", ask_empty,
     (const char *[]){HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, NULL}, "none",
     "select ok done\nnone ok \n"},
    {"mailboxes", ask_mailboxes,
     (const char *[]){HELLO_("LITERAL+"), "C:CREATE \"A b\"", "C:RENAME \"A b\" {4+}",
                      "L:C\"\xc3\xbc", "C:SUBSCRIBE C", "C:UNSUBSCRIBE C", "C:DELETE C",
                      "S:$1 NO [ALREADYEXISTS] it is there\r\n$2 OK\r\n$3 OK\r\n$4 OK",
                      "S:$5 NO [NOPERM] mine", NULL},
     "delete",
     "create exists it is there\nrename ok \nsubscribe ok \nnot ok \ndelete noperm mine\n"},
    {"quota and rights", ask_questions,
     (const char *[]){HELLO, "C:GETQUOTAROOT INBOX", "C:MYRIGHTS INBOX", "C:NOOP",
                      "S:* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 10 512)\r\n$1 OK",
                      "S:* MYRIGHTS INBOX lrswi\r\n$2 OK\r\n$3 OK", NULL},
     "noop",
     "quota 10/512 KiB -1/-1 messages\nquota ok \nrights INBOX lrswi\nrights ok \nnoop ok \n"},
    {"neither quota nor rights", ask_questions,
     (const char *[]){HELLO_(""), "C:NOOP", "S:$1 OK", NULL}, "noop",
     "quota cannot the server does not offer this\nrights cannot the server does not offer "
     "this\nnoop ok \n"},
};

static void test_dialogues(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(DIALOGUES); i++) {
        const struct dialogue *row = &DIALOGUES[i];
        struct client client;
        g_test_message("%s", row->name);
        client_init(&client, row->steps, NULL);
        client_open(&client);
        g_assert_no_error(client.error);
        row->ask(&client);
        client_until(&client, row->last);
        while (imap_session_in_flight(client.session) > 0)
            g_main_context_iteration(client.context, TRUE);
        g_assert_cmpstr(client.log->str, ==, row->log);
        client_end(&client, true);
    }
}

static void test_flags_refused(void)
{
    static const char *const steps[] = {
        HELLO, "C:SELECT INBOX (CONDSTORE)", SELECTED, "C:NOOP", "S:$2 OK", NULL};
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    ask_store_odd(&client);
    client_until(&client, "noop");
    g_auto(GStrv) lines = g_strsplit(client.log->str, "\n", -1);
    for (guint i = 1; lines[i] && !g_str_has_prefix(lines[i], "noop"); i++)
        g_assert_cmpstr(lines[i], ==, "odd cannot this is not a flag");
    g_assert_cmpuint(g_strv_length(lines), ==, 22);
    client_end(&client, true);
}

static const struct state_case {
    const char *answer;
    bool read_only;
} STATES[] = {
    {"S:$$ OK [READ-WRITE] done", false},
    {"S:$$ OK [READ-ONLY] done", true},
    {"S:$$ OK done", false},
    {"S:* OK [READ-ONLY] not yours\r\n$$ OK done", true},
};

static void test_state(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(STATES); i++) {
        const char *steps[] = {HELLO, "C:SELECT INBOX (CONDSTORE)", STATES[i].answer, NULL};
        struct client client;
        client_init(&client, steps, NULL);
        client_open(&client);
        select_box(&client, "INBOX", "select");
        g_assert_cmpstr(imap_session_mailbox(client.session), ==, "INBOX");
        client_until(&client, "select ok");
        g_assert_cmpint(imap_session_state(client.session)->read_only, ==, STATES[i].read_only);
        client_end(&client, true);
    }
}

/* A long set is several commands, and one result. */
static void test_split(void)
{
    static const char *const steps[] = {
        HELLO,
        "C:SELECT INBOX (CONDSTORE)",
        SELECTED,
        "C:UID MOVE 1000,1002,*",
        "C:UID MOVE *",
        "C:UID MOVE *",
        "S:* OK [COPYUID 5 1000,1002 1:2] .\r\n$2 OK a\r\n* OK [COPYUID 5  ] .\r\n$3 NO b",
        "S:$4 OK [COPYUID 5 8998,8996 3,4] c",
        NULL};
    g_autoptr(imap_uidset) set = imap_uidset_new();
    struct client client;

    for (uint32_t uid = 1000; uid < 9000; uid += 2)
        imap_uidset_add(set, uid, uid);
    client_init(&client, steps, NULL);
    client_open(&client);
    select_box(&client, "INBOX", "select");
    imap_send_uid_move(client.session, set, "Bin", client_done, client_note(&client, "move"));
    client_until(&client, "move");
    g_assert_cmpstr(client.log->str, ==,
                    "select ok done\nmove no b copied 5: 1000>1 1002>2 8998>3 8996>4\n");
    client_end(&client, true);
}

/* Cut after every byte: `done` once, and nothing is claimed to have moved that was not told. */
static void test_cut(void)
{
    static const char *const steps[] = {HELLO,
                                        "C:SELECT INBOX (CONDSTORE)",
                                        SELECTED,
                                        "C:UID MOVE 4:6 Bin",
                                        "S:* OK [COPYUID 5 4,6 8:9] .\r\n* 1 EXPUNGE\r\n$2 OK done",
                                        "X:",
                                        NULL};
    bool whole = false;

    for (int cut = 0; !whole; cut++) {
        struct client client;
        client_init_cut(&client, steps, cut);
        client_open(&client);
        if (!client.error) {
            ask_move(&client);
            client_until(&client, "closed lost");
            bool expunged = strstr(client.log->str, "expunged") != NULL;
            bool copied = strstr(client.log->str, "copied 5: 4>8 6>9") != NULL;
            g_assert_true(copied || !expunged);
            whole = strstr(client.log->str, "move ok") != NULL;
        }
        client_end(&client, false);
        g_assert_cmpint(cut, <, 1000);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/change/dialogues", test_dialogues);
    g_test_add_func("/imap/change/flags-refused", test_flags_refused);
    g_test_add_func("/imap/change/state", test_state);
    g_test_add_func("/imap/change/split", test_split);
    g_test_add_func("/imap/change/cut", test_cut);
    return g_test_run();
}
