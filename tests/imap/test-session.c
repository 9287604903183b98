/* A session in its thread: commands, their order, what the server says in between, the end. */
#include "client.h"

#include <string.h>

#define HELLO_(caps) "S:* PREAUTH [CAPABILITY IMAP4rev1 " caps "] ready"
#define HELLO HELLO_("UNSELECT")

/* What the owner asks for, before it listens for the last answer. */
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

static void fetch(struct client *client, const char *set, const char *name)
{
    struct imap_fetch_request request = {.items = IMAP_ITEM_FLAGS};
    g_autoptr(imap_uidset) wanted = uids(set);

    imap_send_uid_fetch(client->session, wanted, &request, client_done, client_note(client, name));
}

static void examine(struct client *client, const char *mailbox, const char *name)
{
    imap_send_examine(client->session, mailbox, client_done, client_note(client, name));
}

static void ask_two_fetches(struct client *client)
{
    examine(client, "INBOX", "examine");
    fetch(client, "1:9", "first");
    fetch(client, "10", "second");
}

static void ask_list(struct client *client)
{
    imap_send_list(client->session, true, client_done, client_note(client, "list"));
    imap_send_noop(client->session, client_done, client_note(client, "noop"));
}

static void ask_list_behind(struct client *client)
{
    imap_send_noop(client->session, client_done, client_note(client, "noop"));
    imap_send_list(client->session, true, client_done, client_note(client, "list"));
}

static void ask_list_apart(struct client *client)
{
    static const char *const prefixes[] = {"#s/", "#elsewhere/", "", NULL};
    imap_session_set_apart(client->session, prefixes);
    ask_list(client);
}

static void ask_status(struct client *client)
{
    imap_send_status(client->session, "Entw\"\xc3\xbcrfe", client_done,
                     client_note(client, "status"));
    imap_send_noop(client->session, client_done, client_note(client, "noop"));
}

static void ask_search(struct client *client)
{
    examine(client, "INBOX", "examine");
    imap_send_uid_search(client->session, 100, 0, client_done, client_note(client, "all"));
    imap_send_uid_search(client->session, 1, 50, client_done, client_note(client, "some"));
}

static void ask_two_mailboxes(struct client *client)
{
    examine(client, "A", "a");
    fetch(client, "1:9", "of a");
    examine(client, "B", "b");
    fetch(client, "1:9", "of b");
}

static void ask_unselect(struct client *client)
{
    examine(client, "INBOX", "examine");
    imap_send_unselect(client->session, client_done, client_note(client, "unselect"));
    g_assert_null(imap_session_mailbox(client->session));
}

static void ask_everything(struct client *client)
{
    struct imap_fetch_request request = {
        .items = IMAP_ITEM_FLAGS | IMAP_ITEM_INTERNALDATE | IMAP_ITEM_SIZE | IMAP_ITEM_MODSEQ |
                 IMAP_ITEM_EMAILID | IMAP_ITEM_GM_MSGID | IMAP_ITEM_STRUCTURE,
        .header_fields = "DATE FROM",
        .section = "1.MIME",
        .origin = 5,
        .length = 10,
        .changed_since = 7};
    g_autoptr(imap_uidset) wanted = uids("4:6");

    examine(client, "INBOX", "examine");
    imap_send_uid_fetch(client->session, wanted, &request, client_done,
                        client_note(client, "fetched"));
    request = (struct imap_fetch_request){.section = "1] {3}"};
    imap_send_uid_fetch(client->session, wanted, &request, client_done, client_note(client, "odd"));
}

#define EXAMINED "S:* 3 EXISTS\r\n* OK [UIDVALIDITY 9] .\r\n$1 OK [READ-ONLY] done"

static const struct dialogue DIALOGUES[] = {
    {"pipelined, with shifting sequence numbers", ask_two_fetches,
     (const char *[]){HELLO, "C:EXAMINE INBOX", "C:UID FETCH 1:9 (UID FLAGS)",
                      "C:UID FETCH 10 (UID FLAGS)", EXAMINED,
                      "S:* 1 FETCH (UID 4 FLAGS (\\Seen))\r\n* 2 FETCH (UID 5 FLAGS ())",
                      "S:* 3 FETCH (FLAGS (unknown))\r\n* 3 FETCH (UID 6 FLAGS ())",
                      "S:* 1 EXPUNGE\r\n* 1 FETCH (FLAGS (new))\r\n* 9 EXPUNGE\r\n* 0 EXPUNGE",
                      "S:* 2 EXPUNGE\r\n* 4 EXISTS\r\n* 4 EXISTS\r\n* 4 EXPUNGE", "S:$2 OK done",
                      "S:$3 NO [UNAVAILABLE] not now", NULL},
     "second",
     "examine ok done\nfetch 4 \\Seen\nfetch 5\nfetch 0 unknown\nfetch 6\nexpunged 4\n"
     "fetch 5 new\nexpunged 6\nexists 4\nexpunged 0\nfirst ok done\nsecond unavailable not now\n"},
    {"answered out of order, told in order", ask_two_fetches,
     (const char *[]){HELLO, "C:EXAMINE INBOX", "C:UID FETCH 1:9 (UID FLAGS)",
                      "C:UID FETCH 10 (UID FLAGS)", EXAMINED, "S:$3 OK second",
                      "S:M0 OK nobody's\r\n+ what?\r\n$2 OK first", NULL},
     "second ok", "examine ok done\nfirst ok first\nsecond ok second\n"},
    {"EXAMINE fails", ask_two_fetches,
     (const char *[]){HELLO, "C:EXAMINE INBOX", "C:UID FETCH 1:9 (UID FLAGS)",
                      "C:UID FETCH 10 (UID FLAGS)", "S:* 3 EXISTS", "S:$1 NO [NONEXISTENT] gone",
                      "S:* 1 FETCH (UID 4 FLAGS ())\r\n$2 OK what\r\n$3 BAD no mailbox", NULL},
     "second", "examine nonexistent gone\nfirst nonexistent gone\nsecond nonexistent gone\n"},
    {"two mailboxes", ask_two_mailboxes,
     (const char *[]){HELLO, "C:EXAMINE A", "C:UID FETCH 1:9 (UID FLAGS)", "C:EXAMINE B",
                      "C:UID FETCH 1:9 (UID FLAGS)", EXAMINED,
                      "S:* 1 FETCH (UID 4 FLAGS ())\r\n$2 OK",
                      "S:* OK [CLOSED] bye\r\n* 1 EXISTS\r\n* 1 FETCH (FLAGS (b))",
                      "S:$3 OK [READ-ONLY] b\r\n* 1 FETCH (UID 7 FLAGS ())\r\n$4 OK", NULL},
     "of b", "a ok done\nfetch 4\nof a ok \nfetch 0 b\nb ok b\nfetch 7\nof b ok \n"},
    {"the first EXAMINE fails, the second does not", ask_two_mailboxes,
     (const char *[]){HELLO, "C:EXAMINE A", "C:UID FETCH 1:9 (UID FLAGS)", "C:EXAMINE B",
                      "C:UID FETCH 1:9 (UID FLAGS)", "S:$1 NO gone\r\n$2 BAD none\r\n$3 OK b",
                      "S:* 1 EXISTS\r\n* 1 FETCH (UID 7 FLAGS ())\r\n$4 OK", NULL},
     "of b", "a no gone\nof a no gone\nb ok b\nexists 1\nfetch 7\nof b ok \n"},
    {"UNSELECT", ask_unselect,
     (const char *[]){HELLO, "C:EXAMINE INBOX", "C:UNSELECT", EXAMINED,
                      "S:$2 OK none\r\n* 7 EXISTS\r\n* 1 EXPUNGE\r\n* OK [ALERT] end", NULL},
     "alert", "examine ok done\nunselect ok none\nalert end\n"},
    {"no UNSELECT", ask_unselect,
     (const char *[]){HELLO_(""), "C:EXAMINE INBOX", "C:NOOP", EXAMINED,
                      "S:$2 OK none\r\n* 7 EXISTS\r\n* OK [ALERT] end", NULL},
     "alert", "examine ok done\nunselect ok none\nalert end\n"},
    {"extended LIST", ask_list,
     (const char *[]){HELLO_("LIST-EXTENDED LIST-STATUS SPECIAL-USE CONDSTORE"),
                      "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE STATUS (MESSAGES "
                      "UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ))",
                      "C:NOOP", "S:* LIST (\\Subscribed \\Trash) \"/\" Bin",
                      "S:* STATUS Bin (MESSAGES 3)\r\n$1 OK done\r\n$2 OK", NULL},
     "noop", "list Bin subscribed trash\nstatus Bin 3\nlist ok done\nnoop ok \n"},
    {"LIST with object ids", ask_list,
     (const char *[]){HELLO_("LIST-STATUS OBJECTID"),
                      "C:LIST \"\" \"*\" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN "
                      "MAILBOXID))",
                      "C:LSUB \"\" \"*\"", "C:NOOP", "S:* STATUS A (MAILBOXID (F-1) MESSAGES 3)",
                      "S:* LIST () \"/\" A\r\n$1 OK\r\n$2 OK\r\n$3 OK", NULL},
     "noop", "status A 3 id F-1\nlist A\nlist ok \nnoop ok \n"},
    {"Cyrus is not asked for object ids", ask_list,
     (const char *[]){"S:* PREAUTH [CAPABILITY IMAP4rev1 LIST-STATUS OBJECTID] Cyrus IMAP 3.6.1",
                      "C:LIST \"\" \"*\" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))",
                      "C:LSUB \"\" \"*\"", "C:NOOP", "S:$1 OK\r\n$2 OK\r\n$3 OK", NULL},
     "noop", "list ok \nnoop ok \n"},
    {"LIST and LSUB", ask_list,
     (const char *[]){HELLO, "C:LIST \"\" \"*\"", "C:LSUB \"\" \"*\"", "C:NOOP",
                      "S:* LIST () \"/\" A\r\n* LIST (\\Noselect) \"/\" B\r\n$1 OK done",
                      "S:* LSUB () \"/\" A\r\n* LSUB () \"/\" Gone\r\n$2 BAD lsub?\r\n$3 OK", NULL},
     "noop", "list A subscribed\nlist B noselect\nlist ok done\nnoop ok \n"},
    {"LIST overtakes", ask_list_behind,
     (const char *[]){HELLO, "C:NOOP", "C:LIST \"\" \"*\"", "C:LSUB \"\" \"*\"",
                      "S:* LIST () \"/\" A\r\n$2 OK\r\n* LSUB () \"/\" A\r\n$3 OK\r\n$1 OK", NULL},
     "list ok", "list A subscribed\nnoop ok \nlist ok \n"},
    {"extended LIST is refused", ask_list,
     (const char *[]){HELLO_("LIST-EXTENDED"), "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN)",
                      "C:NOOP", "S:$1 BAD what?\r\n$2 OK", "C:LIST \"\" \"*\"", "C:LSUB \"\" \"*\"",
                      "S:* LIST () NIL A\r\n$3 OK listed\r\n* LSUB () NIL A", "S:$4 OK subscribed",
                      NULL},
     "noop", "list A subscribed\nlist ok subscribed\nnoop ok \n"},
    {"plain LIST is refused too", ask_list,
     (const char *[]){HELLO_("SPECIAL-USE"), "C:LIST \"\" \"*\" RETURN (SPECIAL-USE)",
                      "C:LSUB \"\" \"*\"", "C:NOOP", "S:$1 NO what?", "S:* LSUB () NIL A\r\n$2 OK",
                      "S:$3 OK", "C:LIST \"\" \"*\"", "C:LSUB \"\" \"*\"",
                      "S:$4 NO never\r\n$5 NO never", NULL},
     "noop", "list no never\nnoop ok \n"},
    {"a namespace that LIST leaves out", ask_list,
     (const char *[]){HELLO_("NAMESPACE LIST-EXTENDED"), "C:NAMESPACE",
                      "S:* NAMESPACE ((\"\" \"/\")) ((\"#u/\" \"/\")) ((\"#s/\" \"/\"))\r\n$1 OK",
                      "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN)", "C:NOOP",
                      "S:* LIST () \"/\" A\r\n* LIST () \"/\" #u/B\r\n$2 OK\r\n$3 OK",
                      "C:LIST \"\" \"#s/*\" RETURN (SUBSCRIBED CHILDREN)",
                      "S:* LIST () \"/\" #s/C\r\n$4 OK more", NULL},
     "noop", "list A\nlist #u/B\nlist #s/C\nlist ok more\nnoop ok \n"},
    {"a namespace that cannot be listed", ask_list,
     (const char *[]){HELLO_("NAMESPACE"), "C:NAMESPACE",
                      "S:* NAMESPACE NIL NIL ((\"#s.\" \".\"))\r\n$1 OK", "C:LIST \"\" \"*\"",
                      "C:LSUB \"\" \"*\"", "C:NOOP",
                      "S:* LIST () \".\" A\r\n$2 OK\r\n$3 OK\r\n$4 OK", "C:LIST \"\" \"#s.*\"",
                      "S:$5 NO not for you", NULL},
     "noop", "list A\nlist ok \nnoop ok \n"},
    {"a namespace that LIST is known to leave out", ask_list_apart,
     (const char *[]){HELLO_("NAMESPACE LIST-EXTENDED"), "C:NAMESPACE",
                      "S:* NAMESPACE ((\"\" \"/\")) ((\"#u/\" \"/\")) ((\"#s/\" \"/\"))\r\n$1 OK",
                      "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN)",
                      "C:LIST \"\" \"#s/*\" RETURN (SUBSCRIBED CHILDREN)", "C:NOOP",
                      "S:* LIST () \"/\" A\r\n* LIST () \"/\" #u/B\r\n$2 OK\r\n"
                      "* LIST () \"/\" #s/C\r\n$3 OK more\r\n$4 OK",
                      NULL},
     "noop", "list A\nlist #u/B\nlist #s/C\nlist ok more\nnoop ok \n"},
    {"one of two is known, and answered first", ask_list_apart,
     (const char *[]){HELLO_("NAMESPACE"), "C:NAMESPACE",
                      "S:* NAMESPACE ((\"\" \"/\")) ((\"#u/\" \"/\")) ((\"#s/\" \"/\"))\r\n$1 OK",
                      "C:LIST \"\" \"*\"", "C:LIST \"\" \"#s/*\"", "C:LSUB \"\" \"*\"", "C:NOOP",
                      "S:* LIST () \"/\" #s/C\r\n$3 OK\r\n* LIST () \"/\" A\r\n$2 OK\r\n"
                      "* LSUB () \"/\" #s/C\r\n$4 OK\r\n$5 OK",
                      "C:LIST \"\" \"#u/*\"", "S:* LIST () \"/\" #u/B\r\n$6 OK", NULL},
     "noop", "list #s/C subscribed\nlist A\nlist #u/B\nlist ok \nnoop ok \n"},
    {"extended LIST is refused beside a namespace", ask_list_apart,
     (const char *[]){HELLO_("NAMESPACE LIST-EXTENDED"), "C:NAMESPACE",
                      "S:* NAMESPACE ((\"\" \"/\")) NIL ((\"#s/\" \"/\"))\r\n$1 OK",
                      "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN)",
                      "C:LIST \"\" \"#s/*\" RETURN (SUBSCRIBED CHILDREN)", "C:NOOP",
                      "S:$2 BAD what?\r\n$3 BAD what?\r\n$4 OK", "C:LIST \"\" \"*\"",
                      "C:LSUB \"\" \"*\"",
                      "S:* LIST () \"/\" A\r\n$5 OK listed\r\n* LSUB () \"/\" A\r\n$6 OK",
                      "C:LIST \"\" \"#s/*\"", "S:* LIST () \"/\" #s/C\r\n$7 OK more", NULL},
     "noop", "list A subscribed\nlist #s/C\nlist ok more\nnoop ok \n"},
    {"XLIST", ask_list,
     (const char *[]){HELLO_("XLIST"), "C:XLIST \"\" \"*\"", "C:LSUB \"\" \"*\"", "C:NOOP",
                      "S:* XLIST (\\Trash) \"/\" Bin\r\n$1 OK\r\n* LSUB () \"/\" Bin\r\n$2 OK",
                      "S:$3 OK", NULL},
     "noop", "list Bin subscribed trash\nlist ok \nnoop ok \n"},
    {"a literal that waits", ask_status,
     (const char *[]){HELLO, "C:STATUS {10}", "S:+ yes",
                      "L:Entw\"\xc3\xbcrfe (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "C:NOOP",
                      "S:$1 OK s\r\n$2 OK n", NULL},
     "noop", "status ok s\nnoop ok n\n"},
    {"a literal that is refused", ask_status,
     (const char *[]){HELLO, "C:STATUS {10}", "S:$1 BAD no literals", "C:NOOP", "S:$2 OK n", NULL},
     "noop", "status bad no literals\nnoop ok n\n"},
    {"a literal that need not wait", ask_status,
     (const char *[]){HELLO_("LITERAL-"), "C:STATUS {10+}",
                      "L:Entw\"\xc3\xbcrfe (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)", "C:NOOP",
                      "S:$1 OK s\r\n$2 OK n", NULL},
     "noop", "status ok s\nnoop ok n\n"},
    {"SEARCH", ask_search,
     (const char *[]){HELLO, "C:EXAMINE INBOX", "C:UID SEARCH UID 100:*", "C:UID SEARCH UID 1:50",
                      EXAMINED, "S:* SEARCH 99\r\n$2 OK", "S:* SEARCH 7 5 6 60\r\n$3 OK", NULL},
     "some", "examine ok done\nsearch \nall ok \nsearch 5:7\nsome ok \n"},
    {"ESEARCH", ask_search,
     (const char *[]){HELLO_("ESEARCH"), "C:EXAMINE INBOX", "C:UID SEARCH RETURN (ALL) UID 100:*",
                      "C:UID SEARCH RETURN (ALL) UID 1:50", EXAMINED,
                      "S:* ESEARCH (TAG \"$2\") UID ALL 99:104\r\n$2 OK",
                      "S:* ESEARCH (TAG \"$3\") UID\r\n$3 OK", NULL},
     "some", "examine ok done\nsearch 100:104\nall ok \nsearch \nsome ok \n"},
    {"all that can be fetched", ask_everything,
     (const char *[]){HELLO_("CONDSTORE OBJECTID X-GM-EXT-1"), "C:EXAMINE INBOX (CONDSTORE)",
                      "C:UID FETCH 4:6 (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ EMAILID "
                      "X-GM-MSGID BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (DATE FROM)] "
                      "BODY.PEEK[1.MIME]<5.10>) (CHANGEDSINCE 7)",
                      EXAMINED, "S:* 1 FETCH (UID 4 BODY[1.MIME]<5> {2}\r\nhi FLAGS (x))\r\n$2 OK",
                      NULL},
     "odd",
     "examine ok done\nfetch 4 x [1.MIME]=hi\nfetched ok \nodd bad this is not the name of a "
     "section\n"},
    {"only what the server has", ask_everything,
     (const char *[]){HELLO, "C:EXAMINE INBOX",
                      "C:UID FETCH 4:6 (UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE "
                      "BODY.PEEK[HEADER.FIELDS (DATE FROM)] BODY.PEEK[1.MIME]<5.10>)",
                      EXAMINED, "S:$2 BAD Request is throttled. Suggested Backoff Time: 9", NULL},
     "odd",
     "examine ok done\nfetched unavailable Request is throttled. Suggested Backoff Time: 9\nodd "
     "bad this "
     "is not the name of a section\n"},
    {"renumbered while selected", ask_two_fetches,
     (const char *[]){HELLO, "C:EXAMINE INBOX", "C:UID FETCH 1:9 (UID FLAGS)",
                      "C:UID FETCH 10 (UID FLAGS)", EXAMINED,
                      "S:* OK [UIDVALIDITY 9] still\r\n* 1 FETCH (UID 4 FLAGS ())\r\n$2 OK",
                      "S:* OK [UIDVALIDITY 10] now\r\n* 1 FETCH (UID 4 FLAGS (b))\r\n$3 OK", NULL},
     "closed",
     "examine ok done\nfetch 4\nfirst ok \nsecond lost the mailbox was renumbered while "
     "selected\nclosed lost the mailbox was renumbered while selected\n"},
    {"BYE", ask_two_fetches,
     (const char *[]){HELLO, "C:EXAMINE INBOX", "C:UID FETCH 1:9 (UID FLAGS)",
                      "C:UID FETCH 10 (UID FLAGS)", EXAMINED, "S:* BYE shutting down\r\n$2 OK",
                      NULL},
     "closed",
     "examine ok done\nfirst lost shutting down\nsecond lost shutting down\nclosed lost shutting "
     "down\n"},
    {"BYE that says not now", ask_two_fetches,
     (const char *[]){HELLO, "C:EXAMINE INBOX", "C:UID FETCH 1:9 (UID FLAGS)",
                      "C:UID FETCH 10 (UID FLAGS)", "S:* BYE [UNAVAILABLE] maintenance", NULL},
     "closed",
     "examine unavailable maintenance\nfirst unavailable maintenance\nsecond unavailable "
     "maintenance\n"
     "closed unavailable maintenance\n"},
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
        g_assert_cmpstr(client.log->str, ==, row->log);
        client_end(&client, true);
    }
}

static void test_state(void)
{
    static const char *const steps[] = {
        HELLO_("CONDSTORE"),
        "C:EXAMINE INBOX (CONDSTORE)",
        "S:* 3 EXISTS\r\n* OK [UIDVALIDITY 9] .\r\n* OK [UIDNEXT 12] .\r\n"
        "* OK [HIGHESTMODSEQ 90060115205545359]\r\n* OK [MAILBOXID (F_1)] .\r\n"
        "$$ OK [READ-ONLY] done",
        "C:EXAMINE Other (CONDSTORE)",
        "S:* 1 EXISTS\r\n* OK [UIDVALIDITY 4294967296] .\r\n* OK [NOMODSEQ] .\r\n"
        "* OK [MAILBOXID (F*1)] .\r\n$$ OK done",
        "C:EXAMINE None (CONDSTORE)",
        "S:$$ NO [NOPERM] no",
        NULL};
    const struct imap_mailbox_state *state;
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    examine(&client, "INBOX", "one");
    g_assert_cmpstr(imap_session_mailbox(client.session), ==, "INBOX");
    g_assert_cmpuint(imap_session_in_flight(client.session), ==, 1);
    client_until(&client, "one ok");
    g_assert_cmpuint(imap_session_in_flight(client.session), ==, 0);
    state = imap_session_state(client.session);
    g_assert_cmpuint(state->exists, ==, 3);
    g_assert_cmpuint(state->uidvalidity, ==, 9);
    g_assert_cmpuint(state->uidnext, ==, 12);
    g_assert_cmpuint(state->highestmodseq, ==, 90060115205545359);
    g_assert_true(state->read_only);
    g_assert_cmpstr(state->mailboxid, ==, "F_1");
    examine(&client, "Other", "two");
    client_until(&client, "two ok");
    state = imap_session_state(client.session);
    g_assert_cmpuint(state->exists, ==, 1);
    g_assert_cmpuint(state->uidvalidity, ==, 0);
    g_assert_cmpuint(state->uidnext, ==, 0);
    g_assert_cmpuint(state->highestmodseq, ==, 0);
    g_assert_cmpstr(state->mailboxid, ==, "");
    examine(&client, "None", "three");
    client_until(&client, "three noperm");
    g_assert_null(imap_session_mailbox(client.session));
    g_assert_cmpuint(imap_session_bytes_in(client.session), ==, script_sent(client.script));
    client_end(&client, true);
}

/* A set of 4,000 single UIDs needs several commands, and `done` once. */
static void check_apart(const struct client *client, const char *expected)
{
    g_auto(GStrv) prefixes = imap_session_apart(client->session);
    g_autofree char *text = g_strjoinv(" ", prefixes);

    g_assert_cmpstr(text, ==, expected);
}

static void list_again(struct client *client, const char *name)
{
    g_autofree char *last = g_strconcat(name, " ok", NULL);

    imap_send_list(client->session, false, client_done, client_note(client, name));
    client_until(client, last);
}

/* What LIST leaves out is found by the first and asked for by the second, until it is named. */
static void test_apart(void)
{
    static const char *const steps[] = {
        HELLO_("NAMESPACE SPECIAL-USE LIST-EXTENDED"),
        "C:NAMESPACE",
        "S:* NAMESPACE ((\"\" \"/\")) ((\"#u/\" \"/\")) ((\"#s/\" \"/\"))\r\n$$ OK",
        "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "S:* LIST () \"/\" A\r\n$$ OK",
        "C:LIST \"\" \"#u/*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "C:LIST \"\" \"#s/*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "S:* LIST () \"/\" #u/B\r\n$3 OK\r\n$4 OK",
        "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "C:LIST \"\" \"#u/*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "C:LIST \"\" \"#s/*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "S:* LIST () \"/\" A\r\n* LIST () \"/\" #u/B\r\n$5 OK\r\n* LIST () \"/\" #u/B\r\n"
        "$6 OK\r\n$7 OK",
        "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "C:LIST \"\" \"#s/*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "S:* LIST () \"/\" A\r\n* LIST () \"/\" #u/B\r\n$8 OK\r\n$9 OK",
        NULL};
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    check_apart(&client, "");
    list_again(&client, "one");
    check_apart(&client, "#u/ #s/");
    list_again(&client, "two");
    check_apart(&client, "#s/");
    list_again(&client, "three");
    check_apart(&client, "#s/");
    client_end(&client, true);
}

static void test_split(void)
{
    static const char *const steps[] = {HELLO,
                                        "C:EXAMINE INBOX",
                                        EXAMINED,
                                        "C:UID FETCH 1000,1002,*",
                                        "C:UID FETCH *",
                                        "C:UID FETCH *",
                                        "S:$2 OK a\r\n$3 NO b\r\n$4 BAD c",
                                        "C:NOOP",
                                        "S:$$ OK",
                                        NULL};
    g_autoptr(imap_uidset) set = imap_uidset_new();
    struct imap_fetch_request request = {.items = IMAP_ITEM_FLAGS};
    struct client client;

    for (uint32_t uid = 1000; uid < 9000; uid += 2)
        imap_uidset_add(set, uid, uid);
    client_init(&client, steps, NULL);
    client_open(&client);
    examine(&client, "INBOX", "examine");
    client_until(&client, "examine");
    imap_send_uid_fetch(client.session, set, &request, client_done,
                        client_note(&client, "fetched"));
    g_assert_cmpuint(imap_session_in_flight(client.session), ==, 3);
    client_until(&client, "fetched");
    imap_send_noop(client.session, client_done, client_note(&client, "noop"));
    g_autoptr(imap_uidset) none = imap_uidset_new();
    imap_send_uid_fetch(client.session, none, &request, client_done, client_note(&client, "none"));
    client_until(&client, "none");
    g_assert_cmpstr(client.log->str, ==, "examine ok done\nfetched no b\nnoop ok \nnone ok \n");
    client_end(&client, true);
}

/* The session may be freed from inside whatever callback; all that waits is answered, once. */
static void test_freed_inside(void)
{
    static const char *const steps[] = {
        HELLO_("LIST-EXTENDED"),
        "C:EXAMINE INBOX",
        "C:UID FETCH 1:9 (UID FLAGS)",
        "C:UID SEARCH UID 1:*",
        "C:LIST *",
        "C:STATUS *",
        "C:NOOP",
        "S:* 2 EXISTS\r\n$1 OK\r\n* 3 EXISTS\r\n* 1 FETCH (UID 4 FLAGS ())\r\n* 1 EXPUNGE\r\n$2 "
        "OK\r\n"
        "* SEARCH 5\r\n$3 OK\r\n* LIST () NIL A\r\n$4 OK\r\n* STATUS A (MESSAGES 1)\r\n$5 OK\r\n"
        "* OK [ALERT] end\r\n* BYE",
        NULL};
    static const char *const WHERE[] = {"examine",   "exists", "fetch 4", "expunged", "first",
                                        "search",    "all",    "list A",  "list ok",  "status A",
                                        "status ok", "alert",  "noop",    "closed"};

    for (size_t i = 0; i < G_N_ELEMENTS(WHERE); i++) {
        struct client client;
        g_test_message("%s", WHERE[i]);
        client_init(&client, steps, NULL);
        client.free_at = WHERE[i];
        client_open(&client);
        g_assert_no_error(client.error);
        examine(&client, "INBOX", "examine");
        fetch(&client, "1:9", "first");
        imap_send_uid_search(client.session, 1, 0, client_done, client_note(&client, "all"));
        imap_send_list(client.session, false, client_done, client_note(&client, "list"));
        imap_send_status(client.session, "A", client_done, client_note(&client, "status"));
        imap_send_noop(client.session, client_done, client_note(&client, "noop"));
        while (client.session)
            g_main_context_iteration(client.context, TRUE);
        g_assert_nonnull(strstr(client.log->str, "noop"));
        g_assert_true(strstr(client.log->str, "closed") == NULL || strcmp(WHERE[i], "closed") == 0);
        client_end(&client, true);
    }
}

/* What is asked after the end is answered too, but not from inside the asking. */
static void test_ask_after_end(void)
{
    static const char *const steps[] = {HELLO, "X:", NULL};
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    client_until(&client, "closed lost");
    imap_send_noop(client.session, client_done, client_note(&client, "late"));
    g_assert_null(strstr(client.log->str, "late"));
    client_until(&client, "late lost");
    imap_send_list(client.session, true, client_done, client_note(&client, "later"));
    client_end(&client, true); /* answered by the freeing; else ASan sees the leak */
}

/* Cut after every byte: each `done` once and in order, then `closed`. */
static void test_cut(void)
{
    static const char *const steps[] = {HELLO,
                                        "C:EXAMINE INBOX",
                                        "C:UID FETCH 1:9 (UID FLAGS)",
                                        "C:UID FETCH 10 (UID FLAGS)",
                                        "S:* 3 EXISTS\r\n$1 OK",
                                        "S:* 1 FETCH (UID 4 FLAGS () BODY[] {5}\r\nhello)\r\n$2 OK",
                                        "S:$3 OK",
                                        "X:",
                                        NULL};
    bool whole = false;

    for (int cut = 0; !whole; cut++) {
        struct client client;
        client_init_cut(&client, steps, cut);
        client_open(&client);
        if (!client.error) {
            ask_two_fetches(&client);
            client_until(&client, "closed lost");
            const char *a = strstr(client.log->str, "examine"),
                       *b = strstr(client.log->str, "first"),
                       *c = strstr(client.log->str, "second"),
                       *d = strstr(client.log->str, "\nclosed");
            g_assert_true(a && a < b && b < c && c < d);
            whole = strstr(client.log->str, "second ok") != NULL;
        }
        client_end(&client, false);
        g_assert_cmpint(cut, <, 1000);
    }
}

/* Garbage that the parser cannot get over ends the session, not the process. */
static void test_protocol(void)
{
    static const char *const steps[] = {HELLO, "C:EXAMINE INBOX", "S:* 4294967295 EXISTS\r\n$$ OK",
                                        "S:* 4000000000 FETCH (UID 1 FLAGS ())\r\n"
                                        "* 4000000000 FETCH (FLAGS (x))\r\n* 4000000000 EXPUNGE\r\n"
                                        "* 1 EXISTS\r\n* VANISHED 1:4294967295",
                                        NULL};
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    examine(&client, "INBOX", "examine");
    client_until(&client, "closed");
    g_assert_cmpstr(client.log->str, ==,
                    "examine ok \nfetch 1\nfetch 0 x\nexpunged 0\nexists 1\n"
                    "closed protocol more messages vanished than there can be\n");
    client_end(&client, true);
}

/* Both sides write more than the sockets hold: reading goes on while writing waits. */
static void test_both_ways(void)
{
    enum { COMMANDS = 20000 };
    g_autoptr(GPtrArray) steps = g_ptr_array_new();
    g_autoptr(GString) big = g_string_new("P:");
    g_autofree char *text = g_strnfill(900, 'x');
    struct client client;

    for (int i = 0; i < 20000; i++)
        g_string_append_printf(big, "* OK %s\r\n", text);
    g_ptr_array_add(steps, (gpointer)HELLO);
    g_ptr_array_add(steps, (gpointer) "C:NOOP");
    g_ptr_array_add(steps, big->str);
    g_ptr_array_add(steps, (gpointer) "S:$$ OK");
    for (int i = 1; i < COMMANDS; i++) {
        g_ptr_array_add(steps, (gpointer) "C:NOOP");
        g_ptr_array_add(steps, (gpointer) "S:$$ OK");
    }
    g_ptr_array_add(steps, NULL);
    client_init(&client, (const char *const *)steps->pdata, NULL);
    client_open(&client);
    for (int i = 1; i < COMMANDS; i++)
        imap_send_noop(client.session, NULL, NULL);
    imap_send_noop(client.session, client_done, client_note(&client, "last"));
    client_until(&client, "last");
    client_end(&client, true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/session/dialogues", test_dialogues);
    g_test_add_func("/imap/session/state", test_state);
    g_test_add_func("/imap/session/apart", test_apart);
    g_test_add_func("/imap/session/split", test_split);
    g_test_add_func("/imap/session/freed-inside", test_freed_inside);
    g_test_add_func("/imap/session/ask-after-end", test_ask_after_end);
    g_test_add_func("/imap/session/cut", test_cut);
    g_test_add_func("/imap/session/protocol", test_protocol);
    g_test_add_func("/imap/session/both-ways", test_both_ways);
    return g_test_run();
}
