/* What replies say, one at a time. FETCH and BODYSTRUCTURE have tests of their own. */
#include "imap/reply.h"

#include <string.h>

static struct imap_parser *parser_of(const char *line, bool utf8, struct imap_reply *reply)
{
    struct imap_parser *parser = imap_parser_new(NULL);
    imap_parser_feed(parser, line, strlen(line));
    imap_parser_feed(parser, "\r\n", 2);
    g_test_message("%s", line);
    g_assert_cmpint(imap_parser_next(parser, utf8, reply), ==, 1);
    return parser;
}

static const struct {
    const char *line;
    enum imap_reply_kind kind;
    enum imap_condition condition;
    const char *tag, *code, *value;
    uint64_t number;
    const char *text;
} CONDITIONS[] = {
    {"* OK ready", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, NULL, NULL, 0, "ready"},
    {"* ok ready", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, NULL, NULL, 0, "ready"},
    {"* OK", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, NULL, NULL, 0, ""},
    {"* OK ", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, NULL, NULL, 0, ""},
    {"*  BYE  so long", IMAP_REPLY_CONDITION, IMAP_COND_BYE, NULL, NULL, NULL, 0, "so long"},
    {"* PREAUTH hi", IMAP_REPLY_CONDITION, IMAP_COND_PREAUTH, NULL, NULL, NULL, 0, "hi"},
    {"* BAD \"what\" (?", IMAP_REPLY_CONDITION, IMAP_COND_BAD, NULL, NULL, NULL, 0, "\"what\" (?"},
    {"* NO [ALERT] full", IMAP_REPLY_CONDITION, IMAP_COND_NO, NULL, "ALERT", NULL, 0, "full"},
    {"* OK [HIGHESTMODSEQ 715194045007]", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, "HIGHESTMODSEQ",
     "715194045007", 715194045007, ""},
    {"* OK [UIDNEXT 4294967295]x", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, "UIDNEXT",
     "4294967295", 4294967295, "x"},
    {"* OK [uidvalidity 0] x", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, "UIDVALIDITY", "0", 0,
     "x"},
    {"* OK [X -5] x", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, "X", "-5", 0, "x"},
    {"* OK [X 99999999999999999999] x", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, "X",
     "99999999999999999999", 0, "x"},
    {"* OK [PERMANENTFLAGS (\\Seen $a] \\*)] x]", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL,
     "PERMANENTFLAGS", "(\\Seen $a", 0, "\\*)] x]"},
    {"* OK [PERMANENTFLAGS (\\Seen a]b \\*)] x]", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL,
     "PERMANENTFLAGS", "(\\Seen a]b \\*)", 0, "x]"},
    {"* OK [no end", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, NULL, NULL, 0, "[no end"},
    {"* OK [] x", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, NULL, NULL, 0, "[] x"},
    {"* [COPYUID 7 1 2]", IMAP_REPLY_CONDITION, IMAP_COND_OK, NULL, "COPYUID", "7 1 2", 7, ""},
    {"A1 OK done", IMAP_REPLY_TAGGED, IMAP_COND_OK, "A1", NULL, NULL, 0, "done"},
    {"A1 NO [TryCreate] no", IMAP_REPLY_TAGGED, IMAP_COND_NO, "A1", "TRYCREATE", NULL, 0, "no"},
    {"A1 BAD", IMAP_REPLY_TAGGED, IMAP_COND_BAD, "A1", NULL, NULL, 0, ""},
    {"A1 OK [COPYUID 1  ] x", IMAP_REPLY_TAGGED, IMAP_COND_OK, "A1", "COPYUID", "1  ", 1, "x"},
    {"+", IMAP_REPLY_CONTINUE, IMAP_COND_OK, NULL, NULL, NULL, 0, ""},
    {"+ ", IMAP_REPLY_CONTINUE, IMAP_COND_OK, NULL, NULL, NULL, 0, ""},
    {"+ PDE+", IMAP_REPLY_CONTINUE, IMAP_COND_OK, NULL, NULL, NULL, 0, "PDE+"},
    {"+ [X] y", IMAP_REPLY_CONTINUE, IMAP_COND_OK, NULL, NULL, NULL, 0, "[X] y"},
};

static void test_conditions(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CONDITIONS); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(CONDITIONS[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, CONDITIONS[i].kind);
        g_assert_cmpint(reply.condition, ==, CONDITIONS[i].condition);
        g_assert_cmpstr(reply.tag, ==, CONDITIONS[i].tag);
        g_assert_cmpstr(reply.code, ==, CONDITIONS[i].code);
        g_assert_cmpstr(reply.code_value, ==, CONDITIONS[i].value);
        g_assert_cmpuint(reply.code_number, ==, CONDITIONS[i].number);
        g_assert_cmpstr(reply.text, ==, CONDITIONS[i].text);
    }
}

static const char *const IGNORED[] = {
    "",
    " ",
    "*",
    "* ",
    "*OK x",
    "x",
    "A1",
    "A1 ",
    "A1 MAYBE x",
    "A1 BYE x",
    "A1 PREAUTH x",
    "(A1) OK x",
    "\"A1\" OK x",
    "+x",
    "++ b/file",
    "Server Unavailable. 15",
    "* 12",
    "* 12 ",
    "* 12 RECENT",
    "* 12 (FETCH)",
    "* -1 EXISTS",
    "* 4294967296 EXISTS",
    "* EXISTS 12",
    "* FETCH (UID 1)",
    "* 5 LIST () \"/\" x",
    "* 0 UIDFETCH (FLAGS ())",
    "* METADATA \"\" (/x {3}",
    "* (OK) x",
    "* QUOTA",
    "* QUOTA x",
    "* QUOTA (STORAGE 1 2)",
    "* QUOTA x y (STORAGE 1 2)",
    "* MYRIGHTS",
    "* MYRIGHTS INBOX",
    "* MYRIGHTS \"INBOX\"",
    "* MYRIGHTS \"INBOX\" (l)",
    "* MYRIGHTS INBOX l-r",
    "* MYRIGHTS INBOX lrswipkxtecdalrswipkxtecdalrswipkxtecdalrswipkxtecdalrswipkxtecda",
    "* LIST",
    "* LIST ()",
    "* LIST () \"/\"",
    "* LIST (\\Noselect \"/\" x",
    "* LIST ((\\Noselect)) \"/\" x",
    "* LIST x \"/\" y",
    "* STATUS",
    "* STATUS x",
    "* STATUS x y",
    "* SEARCH 1 x 2",
    "* SEARCH 1,2",
    "* SEARCH 1-2",
    "* ESEARCH ALL x",
    "* ESEARCH (TAG \"A\") UID ALL (1 2)",
    "* VANISHED",
    "* VANISHED (EARLIER)",
    "* VANISHED (EARLIER) x",
    "* VANISHED 1:*",
    "* VANISHED \"1:4\"",
};

static void test_ignored(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(IGNORED); i++) {
        g_autoptr(imap_parser) parser = imap_parser_new(NULL);
        g_autofree char *lines = g_strconcat(IGNORED[i], "\r\nabc\r\n* 5 EXISTS\r\n", NULL);
        struct imap_reply reply;
        bool first = true;
        g_test_message("%s", IGNORED[i]);
        imap_parser_feed(parser, lines, strlen(lines));
        while (imap_parser_next(parser, false, &reply) == 1 && reply.kind == IMAP_REPLY_IGNORED)
            first = false;
        g_assert_false(first);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_EXISTS);
        g_assert_cmpuint(reply.number, ==, 5);
    }
}

static const struct {
    const char *line;
    enum imap_reply_kind kind;
    const char *words;
} WORDS[] = {
    {"* CAPABILITY IMAP4rev1 idle AUTH=PLAIN", IMAP_REPLY_CAPABILITY, "IMAP4REV1|IDLE|AUTH=PLAIN"},
    {"* CAPABILITY  IMAP4rev1  ", IMAP_REPLY_CAPABILITY, "IMAP4REV1"},
    {"* CAPABILITY", IMAP_REPLY_CAPABILITY, ""},
    {"* CAPABILITY LITERAL + IDLE", IMAP_REPLY_CAPABILITY, "LITERAL+|IDLE"},
    {"* CAPABILITY literal  +", IMAP_REPLY_CAPABILITY, "LITERAL+"},
    {"* CAPABILITY LITERAL + +", IMAP_REPLY_CAPABILITY, "LITERAL+|+"},
    {"* CAPABILITY + IDLE", IMAP_REPLY_CAPABILITY, "+|IDLE"},
    {"* CAPABILITY IDLE +", IMAP_REPLY_CAPABILITY, "IDLE|+"},
    {"* ENABLED CONDSTORE", IMAP_REPLY_ENABLED, "CONDSTORE"},
    {"* ENABLED", IMAP_REPLY_ENABLED, ""},
    {"* OK [CAPABILITY IMAP4rev1 SASL-IR] hi", IMAP_REPLY_CONDITION, "IMAP4REV1|SASL-IR"},
    {"A1 OK [capability IDLE]", IMAP_REPLY_TAGGED, "IDLE"},
};

static void test_words(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(WORDS); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(WORDS[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, WORDS[i].kind);
        g_assert_nonnull(reply.words);
        g_autofree char *words = g_strjoinv("|", (char **)reply.words);
        g_assert_cmpstr(words, ==, WORDS[i].words);
    }
}

static const struct {
    const char *line, *wire, *name;
    char delimiter;
    unsigned flags;
    bool utf8;
} LISTS[] = {
    {"* LIST () \"/\" INBOX", "INBOX", "INBOX", '/', 0, false},
    {"* list (\\noSELECT \\Subscribed) \".\" \"a b\"", "a b", "a b", '.',
     IMAP_LIST_NOSELECT | IMAP_LIST_SUBSCRIBED, false},
    {"* LSUB (\\NonExistent \\NoInferiors \\X) NIL x", "x", "x", 0,
     IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT | IMAP_LIST_NOINFERIORS, false},
    {"* LIST (\\All \\Archive \\drafts \\Flagged \\Junk \\Sent \\Trash \\Important) \"/\" x", "x",
     "x", '/',
     IMAP_LIST_ALL | IMAP_LIST_ARCHIVE | IMAP_LIST_DRAFTS | IMAP_LIST_FLAGGED | IMAP_LIST_JUNK |
         IMAP_LIST_SENT | IMAP_LIST_TRASH | IMAP_LIST_IMPORTANT,
     false},
    {"* XLIST (\\AllMail \\Starred \\Spam) \"/\" x", "x", "x", '/',
     IMAP_LIST_ALL | IMAP_LIST_FLAGGED | IMAP_LIST_JUNK, false},
    {"* LIST NIL \"/\" x", "x", "x", '/', 0, false},
    {"* LIST () \"\" x", "x", "x", 0, 0, false},
    {"* LIST () \"\\\\\" \"a\\\\b\\\"c\"", "a\\b\"c", "a\\b\"c", '\\', 0, false},
    {"* LIST () \"/\" Entw&APw-rfe", "Entw&APw-rfe", "Entwürfe", '/', 0, false},
    {"* LIST () \"/\" Entw&APw-rfe", "Entw&APw-rfe", "Entw&APw-rfe", '/', 0, true},
    {"* LIST () \"/\" \"Entw\xc3\xbcrfe\"", "Entw\xc3\xbcrfe", "Entwürfe", '/', 0, true},
    {"* LIST () \"/\" Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe", "Entwürfe", '/', 0, false},
    {"* LIST () \"/\" Entw\xfcrfe", "Entw\xfcrfe", "Entw\xef\xbf\xbdrfe", '/', 0, true},
    {"* LIST () \"/\" A & B", "A & B", "A & B", '/', 0, false},
    {"* LIST () \"/\" my mail (old) \x02*", "my mail (old) \x02*", "my mail (old) \x02*", '/', 0,
     false},
    {"* LIST () \"/\" a (b", "a (b", "a (b", '/', 0, false},
    {"* LIST () \"/\" it\"s", "it\"s", "it\"s", '/', 0, false},
    {"* LIST () \"/\" \"it \"is\" so\"", "it \"is\" so", "it \"is\" so", '/', 0, false},
    {"* LIST () \"/\" \"it", "\"it", "\"it", '/', 0, false},
    {"* LIST () \"/\" \"a\\\"", "a\\", "a\\", '/', 0, false},
    {"* LIST () \"/\" NIL", "NIL", "NIL", '/', 0, false},
    {"* LIST () \"/\" \"\"", "", "", '/', 0, false},
    {"* LIST () \"/\" {5}\r\na\"b )", "a\"b )", "a\"b )", '/', 0, false},
    {"* LIST () {1}\r\n/ x", "x", "x", '/', 0, false},
    {"* LIST () \"/\" x (\"CHILDINFO\" (\"SUBSCRIBED\"))", "x", "x", '/', 0, false},
    {"* LIST () \"/\" a b (OLDNAME (\"c\"))", "a b", "a b", '/', 0, false},
    {"* LIST () \"/\" \"x y\" (\"CHILDINFO\" (\"SUBSCRIBED\"))", "x y", "x y", '/', 0, false},
};

static void test_list(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(LISTS); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser =
            parser_of(LISTS[i].line, LISTS[i].utf8, &reply);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_LIST);
        g_assert_cmpstr(reply.list.wire, ==, LISTS[i].wire);
        g_assert_cmpstr(reply.list.name, ==, LISTS[i].name);
        g_assert_cmpint(reply.list.delimiter, ==, LISTS[i].delimiter);
        g_assert_cmpuint(reply.list.flags, ==, LISTS[i].flags);
    }
}

static const struct {
    const char *line, *wire, *old_wire;
} RENAMES[] = {
    {"* LIST () \"/\" b (\"OLDNAME\" (\"a\"))", "b", "a"},
    {"* LIST () \"/\" \"b c\" (\"OLDNAME\" (a))", "b c", "a"},
    {"* LIST () \"/\" b c (OLDNAME (\"a \\\" b\"))", "b c", "a \" b"},
    {"* LIST () \"/\" b (\"OLDNAME\" ({3}\r\na b))", "b", "a b"},
    {"* LIST () \"/\" {1}\r\nb (\"OLDNAME\" ({1}\r\na))", "b", "a"},
    {"* LIST () \"/\" b (\"CHILDINFO\" (\"SUBSCRIBED\") \"oldname\" (\"a\"))", "b", "a"},
    {"* LIST () \"/\" b (\"OLDNAME\" a)", "b (\"OLDNAME\" a)", NULL},
    {"* LIST () \"/\" \"b\" (\"OLDNAME\" a)", "b", "a"},
    {"* LIST () \"/\" b (\"OLDNAME\" ())", "b", NULL},
    {"* LIST () \"/\" b (\"OLDNAME\" (NIL))", "b", NULL},
    {"* LIST () \"/\" b (\"OLDNAME\" (\"a", "b", "\"a"},
    {"* LIST () \"/\" \"b\" (\"OLDNAME\")", "b", NULL},
    {"* LIST () \"/\" \"b\" ((\"OLDNAME\") (\"a\"))", "b", NULL},
    {"* LIST () \"/\" \"b\" ()", "b", NULL},
    {"* LIST () \"/\" b", "b", NULL},
};

static void test_renames(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(RENAMES); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(RENAMES[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_LIST);
        g_assert_cmpstr(reply.list.wire, ==, RENAMES[i].wire);
        g_assert_cmpstr(reply.list.old_wire, ==, RENAMES[i].old_wire);
    }
}

static const struct {
    const char *line, *id;
} MAILBOX_IDS[] = {
    {"* STATUS x (MAILBOXID (F2212ea87-6097) MESSAGES 1)", "F2212ea87-6097"},
    {"* STATUS x (MAILBOXID F1)", "F1"},
    {"* STATUS x (MAILBOXID ())", NULL},
    {"* STATUS x (MAILBOXID (\"\"))", NULL},
    {"* STATUS x (MAILBOXID NIL)", NULL},
    {"* STATUS x (MAILBOXID ((a)))", NULL},
    {"* STATUS x (MAILBOXID)", NULL},
    {"* STATUS x (MAILBOXID (\xf0\x1a"
     "c*V) MESSAGES 1)",
     NULL},
    {"* STATUS x (MAILBOXID (a/b))", NULL},
};

static void test_mailbox_ids(void)
{
    g_autofree char *id = g_strnfill(256, 'x');
    g_autofree char *line = g_strdup_printf("* STATUS x (MAILBOXID (%s))", id);
    struct imap_reply reply;

    for (size_t i = 0; i < G_N_ELEMENTS(MAILBOX_IDS); i++) {
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(MAILBOX_IDS[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_STATUS);
        g_assert_cmpstr(reply.status.mailboxid, ==, MAILBOX_IDS[i].id);
    }
    G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(line, false, &reply);
    g_assert_null(reply.status.mailboxid);
}

static void test_list_name_bounded(void)
{
    g_autofree char *name = g_strnfill(20000, 'x');
    g_autofree char *list = g_strdup_printf("* LIST () \"/\" %s", name);
    g_autofree char *status = g_strdup_printf("* STATUS %s (UNSEEN 1)", name);
    struct imap_reply reply;
    G_GNUC_UNUSED g_autoptr(imap_parser) first = parser_of(list, false, &reply);
    g_assert_cmpint(reply.kind, ==, IMAP_REPLY_IGNORED);
    G_GNUC_UNUSED g_autoptr(imap_parser) second = parser_of(status, false, &reply);
    g_assert_cmpint(reply.kind, ==, IMAP_REPLY_IGNORED);
}

static const struct {
    const char *line, *wire;
    int64_t messages, unseen, highestmodseq;
    uint32_t uidnext, uidvalidity;
} STATUSES[] = {
    {"* STATUS INBOX (MESSAGES 3 UNSEEN 1 UIDNEXT 9 UIDVALIDITY 5 HIGHESTMODSEQ 77)", "INBOX", 3, 1,
     77, 9, 5},
    {"* STATUS \"a \\\"b\" (uidnext 9)", "a \"b", -1, -1, -1, 9, 0},
    {"* STATUS {3}\r\na b (MESSAGES 0)", "a b", 0, -1, -1, 0, 0},
    {"* STATUS a (b) c (MESSAGES 3 MAILBOXID (F1(2)) SIZE 5 UNSEEN 2) ", "a (b) c", 3, 2, -1, 0, 0},
    {"* STATUS x ()", "x", -1, -1, -1, 0, 0},
    {"* STATUS x (MESSAGES)", "x", -1, -1, -1, 0, 0},
    {"* STATUS x (MESSAGES -1 UIDNEXT 4294967296 UNSEEN 9.37e+06 HIGHESTMODSEQ NIL UIDVALIDITY 2)",
     "x", -1, -1, -1, 0, 2},
    {"* STATUS x (X \"y\" Z {1}\r\nz MESSAGES 4)", "x", 4, -1, -1, 0, 0},
    {"* STATUS x (MESSAGES 4", "x", 4, -1, -1, 0, 0},
    {"* STATUS &AOk- (MESSAGES \"4\")", "&AOk-", 4, -1, -1, 0, 0},
};

static void test_status(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(STATUSES); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(STATUSES[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_STATUS);
        g_assert_cmpstr(reply.status.wire, ==, STATUSES[i].wire);
        g_assert_cmpint(reply.status.messages, ==, STATUSES[i].messages);
        g_assert_cmpint(reply.status.unseen, ==, STATUSES[i].unseen);
        g_assert_cmpint(reply.status.highestmodseq, ==, STATUSES[i].highestmodseq);
        g_assert_cmpuint(reply.status.uidnext, ==, STATUSES[i].uidnext);
        g_assert_cmpuint(reply.status.uidvalidity, ==, STATUSES[i].uidvalidity);
    }
}

static const struct {
    const char *line;
    enum imap_reply_kind kind;
    const char *uids;
    bool earlier;
} SETS[] = {
    {"* SEARCH", IMAP_REPLY_SEARCH, "", false},
    {"* SEARCH ", IMAP_REPLY_SEARCH, "", false},
    {"* SEARCH 3 1 2 9", IMAP_REPLY_SEARCH, "1:3,9", false},
    {"* SEARCH 1 2 (MODSEQ 917)", IMAP_REPLY_SEARCH, "1:2", false},
    {"* SEARCH (MODSEQ 917)", IMAP_REPLY_SEARCH, "", false},
    {"* SEARCH 0 4294967296 -1 99999999999999999999 5", IMAP_REPLY_SEARCH, "5", false},
    {"* ESEARCH (TAG \"A1\") UID ALL 1:4,7", IMAP_REPLY_SEARCH, "1:4,7", false},
    {"* ESEARCH (TAG \"A1\") UID MIN 1 COUNT 5 ALL 1:4,7 MODSEQ 9", IMAP_REPLY_SEARCH, "1:4,7",
     false},
    {"* ESEARCH (TAG \"A1\") UID", IMAP_REPLY_SEARCH, "", false},
    {"* ESEARCH", IMAP_REPLY_SEARCH, "", false},
    {"* ESEARCH UID ALL 5 PARTIAL (1:2 5)", IMAP_REPLY_SEARCH, "5", false},
    {"* ESEARCH UID ALL 5 ALL 6", IMAP_REPLY_SEARCH, "6", false},
    {"* VANISHED 5", IMAP_REPLY_VANISHED, "5", false},
    {"* VANISHED (EARLIER) 41,43:116", IMAP_REPLY_VANISHED, "41,43:116", true},
    {"* vanished (earlier)41", IMAP_REPLY_VANISHED, "41", true},
    {"* VANISHED EARLIER 41", IMAP_REPLY_VANISHED, "41", true},
};

static void test_sets(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(SETS); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(SETS[i].line, false, &reply);
        g_autoptr(GString) uids = g_string_new(NULL);
        g_assert_cmpint(reply.kind, ==, SETS[i].kind);
        g_assert_nonnull(reply.uids);
        imap_uidset_write(reply.uids, 0, G_MAXSIZE, uids);
        g_assert_cmpstr(uids->str, ==, SETS[i].uids);
        g_assert_cmpint(reply.earlier, ==, SETS[i].earlier);
    }
}

/* More UIDs than a reply may have tokens. */
static void test_search_long(void)
{
    const struct imap_limits limits = {.token_max = 100};
    g_autoptr(imap_parser) parser = imap_parser_new(&limits);
    g_autoptr(GString) line = g_string_new("* SEARCH");
    struct imap_reply reply;
    for (unsigned uid = 1; uid <= 300000; uid++)
        g_string_append_printf(line, " %u", uid * 3);
    g_string_append(line, "\r\n");
    imap_parser_feed(parser, line->str, line->len);
    g_assert_cmpint(imap_parser_next(parser, false, &reply), ==, 1);
    g_assert_cmpuint(imap_uidset_count(reply.uids), ==, 300000);
}

static const struct {
    const char *line;
    enum imap_reply_kind kind;
    uint32_t number;
} NUMBERS[] = {
    {"* 23 EXISTS", IMAP_REPLY_EXISTS, 23},
    {"* 0 exists", IMAP_REPLY_EXISTS, 0},
    {"* 4294967295 EXISTS", IMAP_REPLY_EXISTS, 4294967295},
    {"* 7 EXPUNGE", IMAP_REPLY_EXPUNGE, 7},
    {"* 7 EXPUNGED", IMAP_REPLY_EXPUNGE, 7},
    {"* FLAGS (\\Seen)", IMAP_REPLY_FLAGS, 0},
};

static void test_numbers(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(NUMBERS); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(NUMBERS[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, NUMBERS[i].kind);
        g_assert_cmpuint(reply.number, ==, NUMBERS[i].number);
    }
}

static const struct {
    const char *line, *prefixes; /* joined by "|" */
} NAMESPACES[] = {
    {"* NAMESPACE ((\"\" \"/\")) NIL NIL", ""},
    {"* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"#shared.\" \".\"))", "INBOX.|#shared."},
    {"* NAMESPACE ((\"\" NIL)) NIL NIL", ""},
    {"* NAMESPACE ((\"\" \"/\" \"X-P\" (\"a\")) (\"b\" \".\")) NIL NIL", "|b"},
    {"* NAMESPACE NIL NIL ((\"#shared.\" \".\"))", "#shared."},
    {"* NAMESPACE () ((\"#shared.\" \".\")) NIL", "#shared."},
    {"* NAMESPACE ((\"\" \"/\")) ((\"u/\" \"/\")(\"v/\" \"/\")) ((\"w\" \"/\"))", "|u/|v/|w"},
    {"* NAMESPACE (()) NIL NIL", ""},
    {"* NAMESPACE ((NIL NIL)) ((\"x\" \".\")) NIL", "x"},
    {"* NAMESPACE ((\"\")) ((\"x\" \".\")) NIL", "|x"},
    {"* NAMESPACE", ""},
};

static void test_namespace(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(NAMESPACES); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(NAMESPACES[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_NAMESPACE);
        g_autofree char *prefixes = g_strjoinv("|", (char **)reply.words);
        g_assert_cmpstr(prefixes, ==, NAMESPACES[i].prefixes);
    }
}

static const struct {
    const char *line, *name;
} IDS[] = {
    {"* ID (\"name\" \"Dovecot\")", "Dovecot"},
    {"* ID (\"version\" NIL \"NAME\" \"Cyrus \\\"x\\\"\" \"os\" \"y\")", "Cyrus \"x\""},
    {"* ID (\"name\" NIL)", NULL},
    {"* ID (\"name\")", NULL},
    {"* ID (\"vendor\" \"name\" \"x\" \"y\")", NULL},
    {"* ID ()", NULL},
    {"* ID NIL", NULL},
    {"* ID", NULL},
};

static void test_id(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(IDS); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(IDS[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_ID);
        g_assert_cmpstr(reply.id_name, ==, IDS[i].name);
    }
}

static const struct {
    const char *line;
    struct imap_quota quota;
} QUOTAS[] = {
    {"* QUOTA \"\" (STORAGE 10 512 MESSAGE 20 100)", {10, 512, 20, 100}},
    {"* quota x (storage 10 512)", {10, 512, -1, -1}},
    {"* QUOTA \"a b\" (MESSAGE 20 100 MAILBOX 1 2 ANNOTATION-STORAGE 3 4)", {-1, -1, 20, 100}},
    {"* QUOTA {3}\r\na b (\"STORAGE\" 0 9223372036854775807)", {0, G_MAXINT64, -1, -1}},
    {"* QUOTA NIL ()", {-1, -1, -1, -1}},
    {"* QUOTA \"\" (STORAGE 10)", {-1, -1, -1, -1}},
    {"* QUOTA \"\" (STORAGE -1 512 MESSAGE 20 9223372036854775808)", {-1, -1, -1, -1}},
    {"* QUOTA \"\" (STORAGE (10) 512 MESSAGE 20 100)", {-1, -1, -1, -1}},
    {"* QUOTA \"\" (STORAGE 10 512", {10, 512, -1, -1}},
    {"* QUOTA \"\" () STORAGE 10 512", {-1, -1, -1, -1}},
};

static void test_quota(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(QUOTAS); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(QUOTAS[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_QUOTA);
        g_assert_cmpmem(&reply.quota, sizeof(reply.quota), &QUOTAS[i].quota,
                        sizeof(QUOTAS[i].quota));
    }
}

static const struct {
    const char *line, *wire, *rights;
} RIGHTS[] = {
    {"* MYRIGHTS INBOX lrswipkxtecda", "INBOX", "lrswipkxtecda"},
    {"* myrights \"a \\\"b\" \"lr\"", "a \"b", "lr"},
    {"* MYRIGHTS \"a b\" \"\"", "a b", ""},
    {"* MYRIGHTS INBOX \"\"", "INBOX", ""},
    {"* MYRIGHTS {3}\r\na b lr0", "a b", "lr0"},
    {"* MYRIGHTS my old mail  lrs ", "my old mail", "lrs"},
    {"* MYRIGHTS Entw&APw-rfe lr", "Entw&APw-rfe", "lr"},
};

static void test_rights(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(RIGHTS); i++) {
        struct imap_reply reply;
        G_GNUC_UNUSED g_autoptr(imap_parser) parser = parser_of(RIGHTS[i].line, false, &reply);
        g_assert_cmpint(reply.kind, ==, IMAP_REPLY_RIGHTS);
        g_assert_cmpstr(reply.rights_wire, ==, RIGHTS[i].wire);
        g_assert_cmpstr(reply.rights, ==, RIGHTS[i].rights);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/reply/conditions", test_conditions);
    g_test_add_func("/imap/reply/ignored", test_ignored);
    g_test_add_func("/imap/reply/words", test_words);
    g_test_add_func("/imap/reply/list", test_list);
    g_test_add_func("/imap/reply/renames", test_renames);
    g_test_add_func("/imap/reply/mailbox-ids", test_mailbox_ids);
    g_test_add_func("/imap/reply/list-name-bounded", test_list_name_bounded);
    g_test_add_func("/imap/reply/status", test_status);
    g_test_add_func("/imap/reply/sets", test_sets);
    g_test_add_func("/imap/reply/search-long", test_search_long);
    g_test_add_func("/imap/reply/numbers", test_numbers);
    g_test_add_func("/imap/reply/namespace", test_namespace);
    g_test_add_func("/imap/reply/id", test_id);
    g_test_add_func("/imap/reply/quota", test_quota);
    g_test_add_func("/imap/reply/rights", test_rights);
    return g_test_run();
}
