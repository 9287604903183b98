/* Hearing of changes: IDLE, NOTIFY, and what changed while nobody listened. */
#include "client.h"

#include <string.h>

#define HELLO_(caps) "S:* PREAUTH [CAPABILITY IMAP4rev1 " caps "] ready"
#define EXAMINED "S:* 3 EXISTS\r\n* OK [UIDVALIDITY 9] .\r\n$1 OK [READ-ONLY] done"

/* What the owner asks for, before it listens for the last answer. */
struct dialogue {
    const char *name;
    void (*ask)(struct client *client);
    const char *const *steps;
    const char *last; /* the log is complete when it holds this */
    const char *log;
};

static void dialogues_run(const struct dialogue *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct client client;
        g_test_message("%s", rows[i].name);
        client_init(&client, rows[i].steps, NULL);
        client_open(&client);
        g_assert_no_error(client.error);
        rows[i].ask(&client);
        client_until(&client, rows[i].last);
        g_assert_cmpstr(client.log->str, ==, rows[i].log);
        client_end(&client, true);
    }
}

static void idle(struct client *client, const char *name)
{
    imap_send_idle(client->session, client_done, client_note(client, name));
}

static void noop(struct client *client, const char *name)
{
    imap_send_noop(client->session, client_done, client_note(client, name));
}

static void examine(struct client *client)
{
    imap_send_examine(client->session, "INBOX", client_done, client_note(client, "examine"));
}

/* Runs the main loop until the transcript shows this. */
static void until_shown(struct client *client, const char *text)
{
    while (!strstr(client->transcript->str, text))
        g_main_context_iteration(client->context, TRUE);
}

/* ---- IDLE -------------------------------------------------------------------------------------
 */

static void ask_idle(struct client *client)
{
    idle(client, "idle");
}

static void ask_idle_behind(struct client *client)
{
    examine(client);
    idle(client, "idle");
    noop(client, "noop");
}

static void ask_idle_behind_list(struct client *client)
{
    imap_send_list(client->session, false, client_done, client_note(client, "list"));
    idle(client, "idle");
}

static void ask_idle_twice(struct client *client)
{
    idle(client, "first");
    idle(client, "second");
}

static void ask_idle_and_impossible(struct client *client)
{
    g_autoptr(imap_uidset) uids = imap_uidset_parse("4", 1);

    idle(client, "idle");
    until_shown(client, "< + ");
    imap_send_uid_move(client->session, uids, "Bin", client_done, client_note(client, "move"));
}

static void ask_before_continue(struct client *client)
{
    idle(client, "idle");
    until_shown(client, " IDLE\n");
    noop(client, "noop");
}

static const struct dialogue IDLES[] = {
    {"not offered", ask_idle, (const char *[]){HELLO_(""), NULL}, "idle",
     "idle cannot the server has no IDLE\n"},
    {"the server ends it", ask_idle,
     (const char *[]){HELLO_("IDLE"), "C:IDLE", "S:+ idling\r\n* OK Still here\r\n$1 OK enough",
                      NULL},
     "idle ok", "idle ok enough\n"},
    {"refused", ask_idle, (const char *[]){HELLO_("IDLE"), "C:IDLE", "S:$1 BAD what?", NULL},
     "idle bad", "idle bad what?\n"},
    {"something is asked before it was sent", ask_idle_behind,
     (const char *[]){HELLO_("IDLE"), "C:EXAMINE INBOX", "C:NOOP", EXAMINED, "S:$2 OK n", NULL},
     "noop", "examine ok done\nidle ok not needed\nnoop ok n\n"},
    {"two at once", ask_idle_twice,
     (const char *[]){HELLO_("IDLE"), "C:IDLE", "S:+\r\n$1 OK enough", NULL}, "second",
     "first ok not needed\nsecond ok enough\n"},
    {"a command before it needs another", ask_idle_behind_list,
     (const char *[]){HELLO_("IDLE SPECIAL-USE"), "C:LIST \"\" \"*\" RETURN (SPECIAL-USE)",
                      "C:LSUB \"\" \"*\"", "S:$1 BAD no\r\n$2 OK", "C:LIST \"\" \"*\"",
                      "C:LSUB \"\" \"*\"", "S:$3 OK\r\n$4 OK", NULL},
     "idle", "list ok \nidle ok not needed\n"},
    {"ended by what cannot be done", ask_idle_and_impossible,
     (const char *[]){HELLO_("IDLE"), "C:IDLE", "S:+ idling", "L:DONE", "S:$1 OK i", NULL}, "move",
     "idle ok i\nmove cannot the server does not offer this\n"},
    {"asked before the server idles", ask_before_continue,
     (const char *[]){HELLO_("IDLE"), "C:IDLE", "S:* OK wait\r\n+ idling", "L:DONE", "C:NOOP",
                      "S:$1 OK i\r\n$2 OK n", NULL},
     "noop", "idle ok i\nnoop ok n\n"},
};

static void test_idles(void)
{
    dialogues_run(IDLES, G_N_ELEMENTS(IDLES));
}

/* It waits for what is before it, tells what happens, and goes with the next wish. */
static void test_idle(void)
{
    static const char *const steps[] = {HELLO_("IDLE"),
                                        "C:EXAMINE INBOX",
                                        EXAMINED,
                                        "C:IDLE",
                                        "S:+ idling\r\n* 4 EXISTS\r\n* 1 EXPUNGE",
                                        "L:DONE",
                                        "C:NOOP",
                                        "S:* 9 EXISTS\r\n$2 OK i\r\n$3 OK n",
                                        "C:IDLE",
                                        "S:+\r\n* 10 EXISTS",
                                        "L:DONE",
                                        "C:LOGOUT",
                                        NULL};
    gint64 begin = g_get_monotonic_time(), ending_us = 7;
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    examine(&client);
    idle(&client, "idle");
    g_assert_false(imap_session_idling(client.session, NULL));
    client_until(&client, "expunged");
    g_assert_true(imap_session_idling(client.session, &ending_us));
    g_assert_cmpint(ending_us, ==, 0);
    g_assert_cmpuint(imap_session_in_flight(client.session), ==, 0);
    noop(&client, "noop");
    while (ending_us == 0 && imap_session_idling(client.session, &ending_us))
        g_main_context_iteration(client.context, TRUE);
    g_assert_cmpint(ending_us, >=, begin);
    client_until(&client, "noop");
    g_assert_false(imap_session_idling(client.session, NULL));
    g_assert_cmpuint(imap_session_in_flight(client.session), ==, 0);
    idle(&client, "again");
    client_until(&client, "exists 10");
    g_assert_true(imap_session_idling(client.session, &ending_us));
    g_assert_cmpint(ending_us, ==, 0);
    g_assert_cmpstr(client.log->str, ==,
                    "examine ok done\nexists 4\nexpunged 0\nexists 9\nidle ok i\nnoop ok n\n"
                    "exists 10\n");
    client_end(&client, true);
}

/* A server that is deaf to DONE: what was asked waits, and since when can be seen. */
static void test_idle_deaf(void)
{
    static const char *const steps[] = {
        HELLO_("IDLE"), "C:IDLE", "S:+ ", "L:DONE", "C:NOOP", "S:* OK [ALERT] what?", NULL};
    gint64 ending_us = 0;
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    idle(&client, "idle");
    until_shown(&client, "< +");
    noop(&client, "noop");
    client_until(&client, "alert");
    g_assert_true(imap_session_idling(client.session, &ending_us));
    g_assert_cmpint(ending_us, >, 0);
    g_assert_cmpuint(imap_session_in_flight(client.session), ==, 2);
    g_assert_cmpstr(client.log->str, ==, "alert what?\n");
    client_end(&client, true);
}

/* Cut after every byte: each `done` once and in order, then `closed`. */
static void test_idle_cut(void)
{
    static const char *const steps[] = {HELLO_("IDLE"), "C:IDLE", "S:+ idling\r\n* OK [ALERT] x",
                                        "L:DONE",       "C:NOOP", "S:$1 OK\r\n$2 OK",
                                        "X:",           NULL};
    bool whole = false;

    for (int cut = 0; !whole; cut++) {
        struct client client;
        client_init_cut(&client, steps, cut);
        client_open(&client);
        if (!client.error) {
            idle(&client, "idle");
            while (!strstr(client.log->str, "alert") && !strstr(client.log->str, "closed"))
                g_main_context_iteration(client.context, TRUE);
            noop(&client, "noop");
            client_until(&client, "noop");
            client_until(&client, "closed");
            g_assert_nonnull(strstr(client.log->str, "idle "));
            whole = strstr(client.log->str, "noop ok") != NULL;
        }
        client_end(&client, false);
        g_assert_cmpint(cut, <, 1000);
    }
}

/* ---- NOTIFY -----------------------------------------------------------------------------------
 */

#define SELECTED_EVENTS "(MessageNew (UID FLAGS) MessageExpunge FlagChange))"
#define OTHER_EVENTS "(MessageNew MessageExpunge MailboxName))"

static void notify(struct client *client, const struct imap_notify *what)
{
    imap_send_notify(client->session, what, client_done, client_note(client, "notify"));
}

static void ask_notify(struct client *client)
{
    notify(client, &(struct imap_notify){.delayed = false});
}

static void ask_notify_none(struct client *client)
{
    notify(client, NULL);
}

static void ask_notify_some(struct client *client)
{
    static const char *const names[] = {"INBOX", "a b", "Entw\xc3\xbcrfe", NULL};
    notify(client, &(struct imap_notify){.delayed = true, .mailboxes = names, .status = true});
}

static void ask_notify_no_mailbox(struct client *client)
{
    static const char *const names[] = {NULL};
    notify(client, &(struct imap_notify){.mailboxes = names});
}

static void ask_notify_too_many(struct client *client)
{
    const char *names[1001] = {NULL};
    for (size_t i = 0; i + 1 < G_N_ELEMENTS(names); i++)
        names[i] = "Archive";
    notify(client, &(struct imap_notify){.mailboxes = names});
}

static void ask_notify_and_more(struct client *client)
{
    ask_notify(client);
    imap_send_status(client->session, "A", client_done, client_note(client, "status"));
    imap_send_list(client->session, false, client_done, client_note(client, "list"));
    idle(client, "idle");
}

static void ask_status(struct client *client)
{
    imap_send_status(client->session, "inbox", client_done, client_note(client, "status"));
}

#define NOTIFY_ALL "C:NOTIFY SET (selected " SELECTED_EVENTS " (personal " OTHER_EVENTS

static const struct dialogue NOTIFIES[] = {
    {"not offered", ask_notify, (const char *[]){HELLO_(""), NULL}, "notify",
     "notify cannot the server has no NOTIFY\n"},
    {"too many", ask_notify_too_many, (const char *[]){HELLO_("NOTIFY"), NULL}, "notify",
     "notify cannot too many mailboxes for NOTIFY\n"},
    {"none", ask_notify_none,
     (const char *[]){HELLO_("NOTIFY"), "C:NOTIFY NONE", "S:$1 OK quiet", NULL}, "notify",
     "notify ok quiet\n"},
    {"refused", ask_notify,
     (const char *[]){HELLO_("NOTIFY"), NOTIFY_ALL,
                      "S:$1 NO [NOTIFICATIONOVERFLOW] never\r\n* OK [ALERT] end", NULL},
     "alert", "notify no never\nalert end\n"},
    {"all, what is told, and the end of it", ask_notify,
     (const char *[]){HELLO_("NOTIFY"), NOTIFY_ALL,
                      "S:* STATUS A (MESSAGES 3 UIDNEXT 9)\r\n$1 OK on",
                      "S:* LIST (\\NonExistent) \"/\" Gone\r\n* LIST (\\Subscribed) \"/\" New",
                      "S:* LIST () \"/\" B (\"OLDNAME\" (\"A\"))",
                      "S:* OK [NOTIFICATIONOVERFLOW] too much", NULL},
     "overflow",
     "news in A 3 next 9\nnotify ok on\nnews of Gone nonexistent\nnews of New subscribed\n"
     "news of B was A\noverflow too much\n"},
    {"some", ask_notify_some,
     (const char *[]){HELLO_("NOTIFY LITERAL-"),
                      "C:NOTIFY SET STATUS (selected-delayed " SELECTED_EVENTS
                      " (mailboxes (INBOX \"a b\" {9+}",
                      "L:Entw\xc3\xbcrfe) " OTHER_EVENTS, "S:$1 OK on", NULL},
     "notify", "notify ok on\n"},
    {"of no other mailbox", ask_notify_no_mailbox,
     (const char *[]){HELLO_("NOTIFY"), "C:NOTIFY SET (selected " SELECTED_EVENTS, "S:$1 OK on",
                      NULL},
     "notify", "notify ok on\n"},
    {"answers beside news", ask_notify_and_more,
     (const char *[]){HELLO_("NOTIFY LIST-EXTENDED IDLE"), NOTIFY_ALL,
                      "C:STATUS A (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",
                      "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN)",
                      "S:$1 OK on\r\n* STATUS B (MESSAGES 2)\r\n* STATUS A (MESSAGES 1)",
                      "S:$2 OK\r\n* STATUS A (MESSAGES 4)\r\n* LIST () \"/\" A",
                      "S:* LIST () \"/\" D (\"OLDNAME\" (\"C\"))\r\n$3 OK\r\n* LIST () \"/\" E",
                      "C:IDLE", "S:+\r\n* STATUS E (MESSAGES 1 UIDNEXT 2)\r\n$4 OK", NULL},
     "idle",
     "notify ok on\nnews in B 2 next 0\nstatus A 1\nstatus ok \nnews in A 4 next 0\nlist A\n"
     "news of D was C\nlist ok \nnews of E\nnews in E 1 next 2\nidle ok \n"},
    {"a STATUS whose name is spelt in another way", ask_status,
     (const char *[]){HELLO_("OBJECTID CONDSTORE"),
                      "C:STATUS inbox (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ "
                      "MAILBOXID)",
                      "S:* STATUS INBOX (MESSAGES 1 MAILBOXID (F1))\r\n$1 OK s", NULL},
     "status ok", "status INBOX 1 id F1\nstatus ok s\n"},
};

static void test_notifies(void)
{
    dialogues_run(NOTIFIES, G_N_ELEMENTS(NOTIFIES));
}

/* ---- QRESYNC ----------------------------------------------------------------------------------
 */

#define ENABLES(enabled) HELLO_("QRESYNC MOVE"), "C:ENABLE CONDSTORE QRESYNC", "S:" enabled "$1 OK"

static void resync(struct client *client, const char *known, uint32_t uidvalidity, bool read_only)
{
    g_autoptr(imap_uidset) uids = known ? imap_uidset_parse(known, strlen(known)) : NULL;
    struct imap_resync resync = {.uidvalidity = uidvalidity, .modseq = 20050715194045000};

    resync.known = uids;
    imap_send_resync(client->session, "INBOX", read_only, &resync, client_done,
                     client_note(client, "select"));
}

static void ask_resync(struct client *client)
{
    g_autoptr(imap_uidset) uids = imap_uidset_parse("119", 3);

    resync(client, "41:211,214:541", 67890007, false);
    imap_send_uid_move(client->session, uids, "Bin", client_done, client_note(client, "move"));
}

static void ask_resync_all(struct client *client)
{
    resync(client, NULL, 9, true);
}

static void ask_resync_none_known(struct client *client)
{
    g_autoptr(imap_uidset) none = imap_uidset_new();
    struct imap_resync resync = {.uidvalidity = 9, .modseq = 7, .known = none};

    imap_send_resync(client->session, "INBOX", false, &resync, client_done,
                     client_note(client, "select"));
}

static void ask_resync_without_validity(struct client *client)
{
    resync(client, "4", 0, true);
}

static void ask_resync_sparse(struct client *client)
{
    g_autoptr(imap_uidset) sparse = imap_uidset_new();
    struct imap_resync resync = {.uidvalidity = 9, .modseq = 7, .known = sparse};

    for (uint32_t uid = 100; uid < 20000; uid += 2)
        imap_uidset_add(sparse, uid, uid);
    imap_send_resync(client->session, "INBOX", false, &resync, client_done,
                     client_note(client, "select"));
}

static void ask_resync_off(struct client *client)
{
    g_assert_false(imap_session_qresync(client->session));
    resync(client, "4", 9, false);
}

static const struct dialogue RESYNCS[] = {
    {"what changed, then what changes", ask_resync,
     (const char *[]){ENABLES("* ENABLED QRESYNC\r\n"),
                      "C:SELECT INBOX (QRESYNC (67890007 20050715194045000 41:211,214:541))",
                      "S:* 2 EXISTS\r\n* OK [UIDVALIDITY 67890007] .\r\n* OK [HIGHESTMODSEQ 9] .",
                      "S:* VANISHED (EARLIER) 41,43:116,4294967295",
                      "S:* 1 FETCH (UID 117 FLAGS (\\Seen) MODSEQ (8))",
                      "S:* 2 FETCH (UID 119 FLAGS () MODSEQ (9))\r\n$2 OK [READ-WRITE] s",
                      "C:UID MOVE 119 Bin", "S:* 2 FETCH (FLAGS (x))\r\n* VANISHED 119",
                      "S:$3 OK [HIGHESTMODSEQ 20010715194045319] moved", NULL},
     "move",
     "vanished 41,43:116,4294967295\nfetch 117 \\Seen\nfetch 119\nselect ok s\nfetch 119 x\n"
     "expunged 119\nmove ok moved modseq 20010715194045319\n"},
    {"all UIDs may be known", ask_resync_all,
     (const char *[]){ENABLES("* ENABLED CONDSTORE QRESYNC\r\n"),
                      "C:EXAMINE INBOX (QRESYNC (9 20050715194045000))",
                      "S:* VANISHED (EARLIER) 1:4000000000\r\n$2 OK e", NULL},
     "select", "vanished 1:4000000000\nselect ok e\n"},
    {"none is known", ask_resync_none_known,
     (const char *[]){ENABLES("* ENABLED QRESYNC\r\n"), "C:SELECT INBOX (QRESYNC (9 7))",
                      "S:$2 OK s", NULL},
     "select", "select ok s\n"},
    {"too many ranges", ask_resync_sparse,
     (const char *[]){ENABLES("* ENABLED QRESYNC\r\n"), "C:SELECT INBOX (QRESYNC (9 7 100:19998))",
                      "S:$2 OK s", NULL},
     "select", "select ok s\n"},
    {"without a UIDVALIDITY", ask_resync_without_validity,
     (const char *[]){ENABLES("* ENABLED QRESYNC\r\n"), "C:EXAMINE INBOX (CONDSTORE)", "S:$2 OK e",
                      NULL},
     "select", "select ok e\n"},
    {"ENABLED is empty", ask_resync_off,
     (const char *[]){ENABLES("* ENABLED\r\n"), "C:SELECT INBOX (CONDSTORE)", "S:$2 OK s", NULL},
     "select", "select ok s\n"},
    {"ENABLED is missing, and yet it is on", ask_resync_off,
     (const char *[]){ENABLES(""), "C:SELECT INBOX (CONDSTORE)",
                      "S:* 1 EXISTS\r\n$2 OK s\r\n* VANISHED 7", NULL},
     "expunged", "select ok s\nexpunged 7\n"},
    {"only CONDSTORE", ask_resync_off,
     (const char *[]){ENABLES("* ENABLED CONDSTORE\r\n"), "C:SELECT INBOX (CONDSTORE)",
                      "S:$2 NO [NONEXISTENT] s", NULL},
     "select", "select nonexistent s\n"},
};

static void test_resyncs(void)
{
    dialogues_run(RESYNCS, G_N_ELEMENTS(RESYNCS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/live/idle", test_idle);
    g_test_add_func("/imap/live/idles", test_idles);
    g_test_add_func("/imap/live/idle-deaf", test_idle_deaf);
    g_test_add_func("/imap/live/idle-cut", test_idle_cut);
    g_test_add_func("/imap/live/notifies", test_notifies);
    g_test_add_func("/imap/live/resyncs", test_resyncs);
    return g_test_run();
}
