/* What a server does not stand: that it is found out, and what is done otherwise from then on. */
#include "client.h"

#include <string.h>

#define HELLO_(caps) "S:* PREAUTH [CAPABILITY IMAP4rev1 " caps "] ready"
#define HELLO HELLO_("ID NAMESPACE")
#define OK(command) "C:" command, "S:$$ OK"
#define BOTH "C:ID *", "C:NAMESPACE"

/* One imap_session_open(). */
static const struct opened {
    const char *name;
    const char *before; /* what is known */
    const char *after;
    enum imap_error error;
    const char *const *steps;
} OPENED[] = {
    {"one ends it, and again when it is alone", "", "NAMESPACE", IMAP_OK,
     (const char *[]){HELLO, BOTH, "S:$1 OK", "X:", HELLO, OK("NOOP"), OK("ID *"), "C:NAMESPACE",
                      "X:", HELLO, OK("NOOP"), OK("ID *"), NULL}},
    {"the answers before it are lost, too", "", "NAMESPACE", IMAP_OK,
     (const char *[]){HELLO, BOTH, "X:", HELLO, OK("NOOP"), OK("ID *"), "C:NAMESPACE", "X:", HELLO,
                      OK("NOOP"), OK("ID *"), NULL}},
    {"both do", "", "ID NAMESPACE", IMAP_OK,
     (const char *[]){HELLO, BOTH, "X:", HELLO, OK("NOOP"), "C:ID *", "X:", HELLO, OK("NOOP"),
                      "C:NAMESPACE", "X:", HELLO, OK("NOOP"), NULL}},
    {"BYE is an end", "", "ID", IMAP_OK,
     (const char *[]){HELLO, BOTH, "S:* BYE what?", "X:", HELLO, OK("NOOP"), "C:ID *",
                      "S:* BYE what?", "X:", HELLO, OK("NOOP"), OK("NAMESPACE"), NULL}},
    {"BYE for want of room is not for what was asked", "", "", IMAP_ERROR_UNAVAILABLE,
     (const char *[]){HELLO, BOTH, "S:* BYE Too many connections", "X:", NULL}},
    {"once only", "", "", IMAP_OK,
     (const char *[]){HELLO, BOTH, "X:", HELLO, OK("NOOP"), OK("ID *"), OK("NAMESPACE"), NULL}},
    {"whatever is asked", "", "", IMAP_ERROR_LOST,
     (const char *[]){HELLO, BOTH, "X:", HELLO, "C:NOOP", "X:", NULL}},
    {"before anything is asked", "", "", IMAP_ERROR_LOST,
     (const char *[]){"P:* OK hel", "X:", NULL}},
    {"COMPRESS", "", "COMPRESS", IMAP_OK,
     (const char *[]){HELLO_("COMPRESS=DEFLATE"), "C:COMPRESS DEFLATE",
                      "X:", HELLO_("COMPRESS=DEFLATE"), OK("NOOP"), "C:COMPRESS DEFLATE",
                      "X:", HELLO_("COMPRESS=DEFLATE"), OK("NOOP"), NULL}},
    {"it is known", "ID NAMESPACE", "ID NAMESPACE", IMAP_OK, (const char *[]){HELLO, NULL}},
    {"ENABLE is known", "ENABLE", "ENABLE", IMAP_OK,
     (const char *[]){HELLO_("ENABLE QRESYNC IMAP4rev2"), NULL}},
};

static void test_open(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(OPENED); i++) {
        const struct opened *row = &OPENED[i];
        struct client client;
        g_test_message("%s", row->name);
        client_init(&client, row->steps, NULL);
        client.server.flaws = imap_flaws_new(imap_flaws_read(row->before), NULL);
        client_open(&client);
        if (row->error != IMAP_OK)
            g_assert_error(client.error, IMAP_ERROR, (gint)row->error);
        else
            g_assert_no_error(client.error);
        g_autofree char *known = imap_flaws_write(imap_flaws_known(client.server.flaws));
        g_assert_cmpstr(known, ==, row->after);
        struct imap_flaws *flaws = client.server.flaws;
        client_end(&client, true);
        imap_flaws_unref(flaws);
    }
}

/* ---- attached sessions ----------------------------------------------------------------------- */

struct asked {
    const char *name;
    void (*ask)(struct client *client);
    const char *before, *after;
    const char *last; /* the log is complete when it holds this */
    const char *log;
    const char *const *steps;
};

static void ask_list(struct client *client)
{
    imap_send_list(client->session, true, client_done, client_note(client, "list"));
}

static void ask_messages(struct client *client)
{
    imap_send_examine(client->session, "A", client_done, client_note(client, "examine"));
    imap_send_uid_search(client->session, 1, 0, client_done, client_note(client, "search"));
}

static void ask_quota(struct client *client)
{
    imap_send_quota(client->session, "A", client_done, client_note(client, "quota"));
}

static void ask_notify(struct client *client)
{
    static const struct imap_notify notify = {0};

    imap_send_notify(client->session, &notify, client_done, client_note(client, "notify"));
}

#define LIST_X "C:LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN)"
#define LIST_ALL "C:LIST \"\" \"*\""
#define LIST_INBOX "C:LIST \"\" INBOX"
#define LSUB "C:LSUB \"\" \"*\""
#define EXAMINED "S:* OK [UIDVALIDITY 9] .\r\n$1 OK [READ-ONLY] done"

/* Each is one session; what is learned goes from row to row unless a row says what is known. */
static const struct asked ASKED[] = {
    {"LIST leaves out INBOX", ask_list, "", "LIST-STATUS LIST-INCOMPLETE", "list ok",
     "list B\nlist INBOX subscribed\nlist ok done\n",
     (const char *[]){
         HELLO_("LIST-EXTENDED"), LIST_X, "S:* LIST () \"/\" B\r\n$1 OK done", LIST_ALL, LIST_INBOX,
         LSUB, "S:* LIST () \"/\" INBOX\r\n* LIST () \"/\" B\r\n$2 OK done",
         "S:* LIST () \"/\" INBOX\r\n$3 OK done\r\n* LSUB () \"/\" INBOX\r\n$4 OK done", NULL}},
    {"that is known", ask_list, NULL, "LIST-STATUS LIST-INCOMPLETE", "list ok",
     "list B noselect\nlist INBOX\nlist ok done\n",
     (const char *[]){HELLO_("LIST-EXTENDED"), LIST_X, LIST_ALL, LIST_INBOX, LSUB,
                      "S:* LIST (\\Noselect) \"/\" B\r\n$1 OK done",
                      "S:* LIST () \"/\" INBOX\r\n* LIST () \"/\" B\r\n$2 OK done",
                      "S:$3 OK done\r\n$4 OK done", NULL}},
    {"there is no INBOX", ask_list, "", "", "list ok", "list B\nlist ok done\n",
     (const char *[]){HELLO_("LIST-EXTENDED"), LIST_X, "S:* LIST () \"/\" B\r\n$1 OK done",
                      LIST_ALL, LIST_INBOX, LSUB, "S:* LIST () \"/\" B\r\n$2 OK done",
                      "S:$3 OK done\r\n$4 OK done", NULL}},
    {"GETQUOTAROOT ends it", ask_quota, "", "", "closed", "quota lost *",
     (const char *[]){HELLO_("QUOTA"), "C:GETQUOTAROOT A", "X:", NULL}},
    {"and again", ask_quota, NULL, "QUOTA", "closed", "quota lost *",
     (const char *[]){HELLO_("QUOTA"), "C:GETQUOTAROOT A", "X:", NULL}},
    {"it is left out", ask_quota, NULL, "QUOTA", "quota cannot", "quota cannot *",
     (const char *[]){HELLO_("QUOTA"), NULL}},
    {"NOTIFY ends it", ask_notify, "", "", "closed", "notify lost *",
     (const char *[]){HELLO_("NOTIFY"), "C:NOTIFY *", "X:", NULL}},
    {"is refused then", ask_notify, NULL, "", "notify bad", "notify bad *",
     (const char *[]){HELLO_("NOTIFY"), "C:NOTIFY *", "S:$1 BAD no", NULL}},
    {"ends it; that was not twice in a row", ask_notify, NULL, "", "closed", "notify lost *",
     (const char *[]){HELLO_("NOTIFY"), "C:NOTIFY *", "X:", NULL}},
    {"two commands at once end it", ask_messages, "", "", "closed", "examine lost *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", "C:UID SEARCH *", "X:", NULL}},
    {"and again, with the second", ask_messages, NULL, "PIPELINING", "closed", "examine ok *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", "C:UID SEARCH *", EXAMINED, "X:", NULL}},
    {"one after the other", ask_messages, NULL, "PIPELINING", "search ok", "examine ok *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", EXAMINED, "C:UID SEARCH *", "S:$2 OK", NULL}},
    {"two commands at once are refused", ask_messages, "", "", "closed", "examine lost *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", "C:UID SEARCH *", "S:$1 BAD wait", NULL}},
    {"and again, the second", ask_messages, NULL, "PIPELINING", "closed", "examine ok *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", "C:UID SEARCH *", EXAMINED, "S:$2 BAD wait",
                      NULL}},
    {"and alone: it is not for that", ask_messages, NULL, "", "search bad", "examine ok *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", EXAMINED, "C:UID SEARCH *", "S:$2 BAD wait",
                      NULL}},
    {"and so it is taken from now on", ask_messages, NULL, "", "search bad", "examine ok *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", "C:UID SEARCH *", EXAMINED, "S:$2 BAD wait",
                      NULL}},
    {"two commands at once, answered well", ask_messages, "", "", "search ok", "examine ok *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", "C:UID SEARCH *", EXAMINED, "S:$2 OK", NULL}},
    {"then it takes more than two ends", ask_messages, NULL, "", "closed", "examine lost *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", "C:UID SEARCH *", "X:", NULL}},
    {"still", ask_messages, NULL, "", "closed", "examine lost *",
     (const char *[]){HELLO_("X"), "C:EXAMINE A", "C:UID SEARCH *", "X:", NULL}},
};

static void session_run(const struct asked *row, struct imap_flaws *flaws)
{
    struct client client;

    g_test_message("%s", row->name);
    client_init(&client, row->steps, NULL);
    client.server.flaws = flaws;
    client_open(&client);
    g_assert_no_error(client.error);
    row->ask(&client);
    client_until(&client, row->last);
    g_autofree char *known = imap_flaws_write(imap_flaws_known(flaws));
    g_assert_cmpstr(known, ==, row->after);
    g_test_message("%s", client.log->str);
    if (!g_pattern_match_simple(row->log, client.log->str))
        g_error("%s: it was told: %s", row->name, client.log->str);
    client_end(&client, true);
}

static void test_sessions(void)
{
    struct imap_flaws *flaws = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(ASKED); i++) {
        const struct asked *row = &ASKED[i];
        if (row->before) {
            imap_flaws_unref(flaws);
            flaws = imap_flaws_new(imap_flaws_read(row->before), NULL);
        }
        session_run(row, flaws);
    }
    imap_flaws_unref(flaws);
}

/* The second waits for the answer to the first, and so do commands while a session is set up. */
static void test_serial(void)
{
    static const char *const steps[] = {HELLO,
                                        OK("ID *"),
                                        OK("NAMESPACE"),
                                        "C:EXAMINE A",
                                        "S:* OK [UIDVALIDITY 9] .\r\n$3 OK [READ-ONLY] done",
                                        "C:UID SEARCH *",
                                        "S:$4 OK",
                                        NULL};
    struct client client;

    client_init(&client, steps, NULL);
    struct imap_flaws *flaws = imap_flaws_new(IMAP_FLAW_PIPELINING, NULL);
    client.server.flaws = flaws;
    client_open(&client);
    ask_messages(&client);
    client_until(&client, "search ok");
    bool waits = false;
    g_auto(GStrv) lines = g_strsplit(client.transcript->str, "\n", -1);
    for (char **line = lines; *line; line++) {
        bool asks = **line == '>';
        g_assert_false(asks && waits);
        waits = asks || (waits && !(**line == '<' && strstr(*line, " OK") && (*line)[2] == 'M'));
    }
    g_assert_false(waits);
    client_end(&client, true);
    imap_flaws_unref(flaws);
}

/* Nothing is said to be known that is not, whatever a record holds. */
static void test_words(void)
{
    static const struct {
        const char *text, *again;
    } rows[] = {
        {"", ""},
        {"ID", "ID"},
        {"PIPELINING  id NOTIFY nonsense IDLE ID", "ID NOTIFY PIPELINING"},
        {"LIST-RETURN LIST-STATUS LIST-INCOMPLETE", "LIST-STATUS LIST-RETURN LIST-INCOMPLETE"},
        {" \t\n\xff", ""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *again = imap_flaws_write(imap_flaws_read(rows[i].text));
        g_assert_cmpstr(again, ==, rows[i].again);
    }
    g_assert_cmpuint(imap_flaws_known(NULL), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/flaws/open", test_open);
    g_test_add_func("/imap/flaws/sessions", test_sessions);
    g_test_add_func("/imap/flaws/serial", test_serial);
    g_test_add_func("/imap/flaws/words", test_words);
    return g_test_run();
}
