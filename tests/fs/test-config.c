#include "fs/config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/source.h"

/* ---- SOURCE ---- */

static void test_source_good(void)
{
    static const struct {
        const char *text, *user, *host;
        uint16_t port;
        const char *written;
    } CASES[] = {
        {"imaps://alice@imap.example.org", "alice", "imap.example.org", 0, NULL},
        {"imaps://imap.example.org", NULL, "imap.example.org", 0, NULL},
        {"imap://a@h:1143", "a", "h", 1143, NULL},
        {"imaps://a@h:993/", "a", "h", 993, "imaps://a@h"},
        {"imap://a@h:993", "a", "h", 993, NULL},
        {"IMAPS://A@IMAP.Example.ORG", "A", "imap.example.org", 0, "imaps://A@imap.example.org"},
        {"imaps://alice%40example.org@h", "alice@example.org", "h", 0, NULL},
        {"imaps://alice@example.org@h", "alice@example.org", "h", 0,
         "imaps://alice%40example.org@h"},
        {"imaps://a%3Ab%2Cc%5C@h", "a:b,c\\", "h", 0, NULL},
        {"imaps://gr%C3%BCn@h", "gr\303\274n", "h", 0, NULL},
        {"imaps://a@[::1]:1993", "a", "::1", 1993, NULL},
        {"imaps://a@[FE80::1%25eth0]", "a", "fe80::1%eth0", 0, "imaps://a@[fe80::1%25eth0]"},
        {"imaps://a@127.0.0.1:65535", "a", "127.0.0.1", 65535, NULL},
        {"imaps://a@m\303\274nchen.example", "a", "xn--mnchen-3ya.example", 0,
         "imaps://a@xn--mnchen-3ya.example"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_auto(source) source = {0};
        g_autoptr(GError) error = NULL;
        source_parse(CASES[i].text, &source, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(source.user, ==, CASES[i].user);
        g_assert_cmpstr(source.host, ==, CASES[i].host);
        g_assert_cmpuint(source.port, ==, CASES[i].port);
        g_autofree char *written = source_write(&source);
        g_assert_cmpstr(written, ==, CASES[i].written ? CASES[i].written : CASES[i].text);
    }
}

static void test_source_bad(void)
{
    static const char *const CASES[] = {
        "imaps://",
        "imaps:///",
        "imaps://a@",
        "imaps://@h",
        "imaps://alice:hunter2@h",
        "imaps://:hunter2@h",
        "imaps://alice:hunter2@h@h",
        "imaps://alice;AUTH=PLAIN@h",
        "imaps://a%0A@h",
        "imaps://a%00@h",
        "imaps://a%ff@h",
        "imaps://a%zz@h",
        "imaps://a%2@h",
        "imaps://a@h:0",
        "imaps://a@h:65536",
        "imaps://a@h:",
        "imaps://a@h:99x",
        "imaps://a@h:-1",
        "imaps://a@h:1:2",
        "imaps://a@h/INBOX",
        "imaps://a@h?x",
        "imaps://a@h#x",
        "imaps://a@h h",
        "imaps://a@h,h",
        "imaps://a@-h",
        "imaps://a@\033h",
        "imaps://a@::1",
        "imaps://a@[::1",
        "imaps://a@[::1]x",
        "imaps://a@[127.0.0.1]",
        "imaps://a@[]",
        "imaps://a@[::1%25e/0]",
        "http://alice:hunter2@h",
        "xhunter2://h",
        "pop3://a@h",
        "://",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_auto(source) source = {0};
        g_autoptr(GError) error = NULL;
        if (source_parse(CASES[i], &source, &error))
            g_error("accepted: %s", CASES[i]);
        g_assert_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE);
        g_assert_null(strstr(error->message, "hunter2"));
        g_assert_null(source.user);
    }
}

/* ---- accounts ---- */

static const char TEXT[] = "# a comment\n"
                           "[work]\n"
                           "source = imaps://alice@imap.example.org\n"
                           "password_command = printf 'a\\nb' | \"head\" -1; # kept \n"
                           "cache_size=2G\n"
                           "folders = INBOX;Work/*\n"
                           "ro = yes\n"
                           "\n"
                           "[private mail]\n"
                           "source = imap://localhost:1143\n"
                           "user = bob@example.org\n"
                           "tls = none\n"
                           "cache_dir = ~/c\n"
                           "ro = no\n";

static GPtrArray *load(const char *source, const char *text, const GPtrArray *settings,
                       bool *several, GError **error)
{
    return config_accounts_of_text(source, "FILE", text, strlen(text), settings, several, NULL,
                                   error);
}

static void test_accounts(void)
{
    g_autoptr(GError) error = NULL;
    bool several = false;
    g_autoptr(GPtrArray) accounts = load("all", TEXT, NULL, &several, &error);

    g_assert_no_error(error);
    g_assert_true(several);
    g_assert_cmpuint(accounts->len, ==, 2);
    const struct account *work = accounts->pdata[0], *private = accounts->pdata[1];
    g_assert_null(accounts->pdata[2]);
    g_assert_cmpstr(work->name, ==, "work");
    g_assert_cmpstr(work->source, ==, "imaps://alice@imap.example.org");
    g_assert_cmpstr(work->password_command, ==, "printf 'a\\nb' | \"head\" -1; # kept");
    g_assert_cmpuint(work->port, ==, 993);
    g_assert_true(work->read_only);
    g_assert_cmpuint(work->cache_size, ==, G_GUINT64_CONSTANT(2) << 30);
    g_assert_cmpstr(private->name, ==, "private mail");
    g_assert_cmpstr(private->user, ==, "bob@example.org");
    g_assert_cmpint(private->tls, ==, ACCOUNT_TLS_NONE);
    g_assert_cmpstr(private->source, ==, "imap://bob%40example.org@localhost:1143");
    g_assert_cmpuint(private->port, ==, 1143);
    g_autofree char *cache = g_build_filename(g_get_home_dir(), "c", NULL);
    g_assert_cmpstr(private->cache_dir, ==, cache);
}

static void test_selection(void)
{
    static const struct {
        const char *source, *names;
        bool several;
    } CASES[] = {{"work", "work", false},
                 {"private mail", "private mail", false},
                 {"private mail,work", "private mail|work", true},
                 {"all", "work|private mail", true},
                 {"imaps://x@h", "x@h", false},
                 {"x@example.org", "x@example.org", false}};

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) names = g_string_new(NULL);
        bool several = !CASES[i].several;
        g_autoptr(GPtrArray) accounts = load(CASES[i].source, TEXT, NULL, &several, &error);
        g_assert_no_error(error);
        for (guint j = 0; j < accounts->len; j++)
            g_string_append_printf(names, "%s%s", j > 0 ? "|" : "",
                                   ((struct account *)accounts->pdata[j])->name);
        g_assert_cmpstr(names->str, ==, CASES[i].names);
        g_assert_true(several == CASES[i].several);
    }
}

/* An address is an account's name if there is one of that name. */
static void test_addresses(void)
{
    static const char ADDRESSES[] = "[alice@example.org]\nsource = imaps://a@h\n"
                                    "[bob]\nsource = bob@example.org\nuser = b\n"
                                    "[carol]\nsource = carol@example.org\ntls = starttls\n";
    g_autoptr(GError) error = NULL;
    bool several;

    g_autoptr(GPtrArray) named = load("alice@example.org", ADDRESSES, NULL, &several, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(((struct account *)named->pdata[0])->host, ==, "h");
    g_autoptr(GPtrArray) bob = load("bob", ADDRESSES, NULL, &several, &error);
    g_assert_no_error(error);
    const struct account *account = bob->pdata[0];
    g_assert_cmpstr(account->address, ==, "bob@example.org");
    g_assert_cmpstr(account->user, ==, "b");
    g_assert_null(account->host);
    g_assert_null(account->source);
    g_assert_null(load("carol", ADDRESSES, NULL, &several, &error));
    g_assert_nonnull(strstr(error->message, "[carol] tls="));
}

static void test_settings_overrule(void)
{
    struct setting size = {option_find("cache_size", true), (char *)"16M"};
    struct setting user = {option_find("user", true), (char *)"carol"};
    g_autoptr(GPtrArray) settings = g_ptr_array_new();
    bool several;

    g_ptr_array_add(settings, &size);
    g_ptr_array_add(settings, &user);
    g_autoptr(GPtrArray) named = load("work", TEXT, settings, &several, NULL);
    const struct account *work = named->pdata[0];
    g_assert_cmpuint(work->cache_size, ==, 16 << 20);
    g_assert_cmpstr(work->source, ==, "imaps://carol@imap.example.org");
    g_autoptr(GPtrArray) by_url = load("imap://h", "", settings, &several, NULL);
    const struct account *url = by_url->pdata[0];
    g_assert_cmpstr(url->name, ==, "carol@h");
    g_assert_cmpint(url->tls, ==, ACCOUNT_TLS_STARTTLS);
    g_assert_cmpuint(url->port, ==, 143);
}

/* A source of the secret that is named on the command line beats all of the file's. */
static void test_secret_overrules(void)
{
    static const char *const SOURCES[] = {"password_command", "token_command", "password_file",
                                          "netrc"};
    for (size_t file = 0; file < G_N_ELEMENTS(SOURCES); file++)
        for (size_t said = 0; said < G_N_ELEMENTS(SOURCES); said++) {
            struct setting source = {option_find(SOURCES[said], true), (char *)"/said"};
            g_autoptr(GPtrArray) settings = g_ptr_array_new();
            g_autofree char *text = g_strdup_printf("[a]\nsource = imaps://u@h\n%s = /file\n"
                                                    "[b]\nsource = imaps://u@h\n",
                                                    SOURCES[file]);
            bool several;
            g_ptr_array_add(settings, &source);
            g_autoptr(GPtrArray) named = load("a", text, settings, &several, NULL);
            const struct account *a = named->pdata[0];
            const char *const found[] = {a->password_command, a->token_command, a->password_file,
                                         a->netrc};
            for (size_t i = 0; i < G_N_ELEMENTS(SOURCES); i++)
                g_assert_cmpstr(found[i], ==, i == said ? "/said" : NULL);
        }
}

/* Both on the command line: there is nothing to choose by. */
static void test_secrets_said_twice(void)
{
    struct setting password = {option_find("password_command", true), (char *)"x"};
    struct setting token = {option_find("token_command", true), (char *)"y"};
    g_autoptr(GPtrArray) settings = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    bool several;

    g_ptr_array_add(settings, &password);
    g_ptr_array_add(settings, &token);
    g_assert_null(load("a", "[a]\nsource = imaps://u@h\n", settings, &several, &error));
    g_assert_nonnull(strstr(error->message, "exclude each other"));
}

static void test_bad(void)
{
    static const struct {
        const char *source, *text, *part; /* of the message */
    } CASES[] = {
        {"nobody", TEXT, "no account \"nobody\" in FILE"},
        {"work,nobody", TEXT, "no account \"nobody\" in FILE"},
        {"work,work", TEXT, "twice"},
        {"work,", TEXT, "no account \"\""},
        {"alice:hunter2@h", TEXT, "no mail address"},
        {"all", "", "names no account"},
        {"all", "# nothing\n", "names no account"},
        {"a", "hunter2\n", "FILE: not made of"},
        {"a", "[a]\npoll = 5\n\n[b]\npoll=5\n[a]\npoll = 6\n", "FILE: line 6 begins a group"},
        {"a", "[a]\npoll = 5\n# poll = 7\n poll=6\n", "FILE: [a] poll: line 4 says"},
        {"all", "[a]\nsource = imaps://u@h\nsource= imaps://v@h\n", "FILE: [a] source: line 3"},
        {"a,b", "[a]\n[b]\n [a] \n", "FILE: line 3 begins a group"},
        {"a", "key = hunter2\n", "FILE: not made of"},
        {"a", "[a]\nsource = imaps://u@h\npassword = hunter2\n",
         "FILE: [a] password: there is no such key"},
        {"b", "[a]\nsource = imaps://u@h\n[b]\nfrob = 1\n", "FILE: [b] frob"},
        {"a", "[a]\nsource = imaps://u@h\nconfig = /x\n", "FILE: [a] config"},
        {"a", "[a]\nsource = imaps://u@h\nallow_other = yes\n", "FILE: [a] allow_other"},
        {"a", "[a]\nsource = imaps://u@h\nuid = 0\n", "FILE: [a] uid"},
        {"a", "[a]\nsource = imaps://u@h\nrw = yes\n", "FILE: [a] rw"},
        {"a", "[a]\nuser = u\n", "FILE: [a] has no source="},
        {"a", "[a]\nsource =\n", "FILE: [a] SOURCE"},
        {"a", "[a]\nsource = imaps://u:hunter2@h\n", "FILE: [a] SOURCE: a password"},
        {"a", "[a]\nsource = imaps://h\n", "FILE: [a] there is no user"},
        {"a", "[a]\nsource = imaps://u@h\ntls = none\n", "contradicts"},
        {"a", "[a]\nsource = imaps://u@h\npassword_command = x\ntoken_command = y\n",
         "FILE: [a] password_command= and token_command= exclude each other"},
        {"a", "[a]\nsource = imaps://u@h\ntls = hunter2\n", "FILE: [a] option tls"},
        {"a", "[a]\nsource = imaps://u@h\ntimeout =\n", "FILE: [a] timeout"},
        {"a", "[a]\nsource = imaps://u@h\nro = perhaps\n", "FILE: [a] option ro"},
        {"a", "[a]\nsource = imaps://u@h\ncache_dir = x/y\n", "path from /"},
        {"all", "[all]\nsource = imaps://u@h\n", "[all] cannot be the name"},
        {".a", "[.a]\nsource = imaps://u@h\n", "cannot be the name"},
        {"all", "[a/b]\nsource = imaps://u@h\n", "cannot be the name"},
        {"all", "[a,b]\nsource = imaps://u@h\n", "cannot be the name"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) error = NULL;
        bool several;
        g_assert_null(load(CASES[i].source, CASES[i].text, NULL, &several, &error));
        g_assert_true(error->domain == CONFIG_ERROR);
        if (strstr(error->message, CASES[i].part) == NULL)
            g_error("\"%s\" is not in: %s", CASES[i].part, error->message);
        g_assert_null(strstr(error->message, "hunter2"));
    }
}

static void test_url_bad(void)
{
    static const char *const CASES[] = {"imaps://h", "imaps://u:hunter2@h", "ftp://u@h"};

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) error = NULL;
        bool several;
        g_assert_null(load(CASES[i], "", NULL, &several, &error));
        g_assert_true(error->domain == G_OPTION_ERROR);
        g_assert_null(strstr(error->message, "hunter2"));
    }
}

static void test_too_many(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    bool several;

    for (int i = 0; i < 65; i++)
        g_string_append_printf(text, "[a%d]\nsource = imaps://u@h\n", i);
    g_assert_null(load("a1", text->str, NULL, &several, &error));
    g_assert_nonnull(strstr(error->message, "more than 64"));
}

/* ---- the file ---- */

static void test_file(void)
{
    g_autofree char *folder = g_dir_make_tmp("mailmount-test-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "c.conf", NULL);
    static const struct {
        mode_t mode;
        const char *part; /* NULL: accepted */
    } CASES[] = {{0600, NULL}, {0644, NULL}, {0664, "chmod go-w"}, {0602, "chmod go-w"}};
    bool several;

    g_assert_true(g_file_set_contents(file, TEXT, -1, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(g_chmod(file, CASES[i].mode), ==, 0);
        g_autoptr(GPtrArray) accounts = config_accounts("work", file, NULL, &several, NULL, &error);
        g_assert_true((accounts != NULL) == (CASES[i].part == NULL));
        if (CASES[i].part != NULL)
            g_assert_nonnull(strstr(error->message, CASES[i].part));
    }
    g_assert_cmpint(g_unlink(file), ==, 0);
    g_autoptr(GError) missing = NULL, directory = NULL, fifo = NULL, other = NULL;
    g_assert_null(config_accounts("work", file, NULL, &several, NULL, &missing));
    g_assert_nonnull(strstr(missing->message, file));
    g_assert_null(config_accounts("imaps://a@h", file, NULL, &several, NULL, NULL));
    g_assert_null(config_accounts("work", folder, NULL, &several, NULL, &directory));
    g_assert_nonnull(strstr(directory->message, "not a regular file"));
    g_assert_cmpint(mkfifo(file, 0600), ==, 0);
    g_assert_null(config_accounts("work", file, NULL, &several, NULL, &fifo));
    g_assert_nonnull(strstr(fifo->message, "not a regular file"));
    g_unlink(file);
    if (geteuid() == 0) {
        g_assert_true(g_file_set_contents(file, TEXT, -1, NULL));
        g_assert_cmpint(chown(file, 12345, 0), ==, 0);
        g_assert_null(config_accounts("work", file, NULL, &several, NULL, &other));
        g_assert_nonnull(strstr(other->message, "another user"));
        g_unlink(file);
    }
    g_rmdir(folder);
}

/* What is wrong with one account concerns the others little. */
static void test_faults(void)
{
    static const char FAULTY[] = "[good]\nsource = imaps://u@h\n[bad]\nsource = imaps://u@h\n"
                                 "frob = 1\n[a/b]\nsource = imaps://u@h\n[none]\nuser = u\n";
    static const char *const NAMES[] = {"bad", "a/b", "none"};
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(config_fault_free);
    g_autoptr(GError) error = NULL;
    bool several;

    g_autoptr(GPtrArray) all = config_accounts_of_text("all", "FILE", FAULTY, strlen(FAULTY), NULL,
                                                       &several, faults, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(all->len, ==, 1);
    g_assert_cmpuint(faults->len, ==, G_N_ELEMENTS(NAMES));
    for (guint i = 0; i < faults->len; i++) {
        const struct config_fault *fault = faults->pdata[i];
        g_assert_cmpstr(fault->name, ==, NAMES[i]);
        g_assert_true(g_str_has_prefix(fault->why, "FILE: ["));
    }
    g_test_expect_message("fs", G_LOG_LEVEL_WARNING, "FILE: ?bad? frob*");
    g_test_expect_message("fs", G_LOG_LEVEL_WARNING, "FILE: ?a/b? cannot be*");
    g_autoptr(GPtrArray) good = load("good", FAULTY, NULL, &several, &error);
    g_test_assert_expected_messages();
    g_assert_no_error(error);
    g_assert_cmpuint(good->len, ==, 1);
    g_ptr_array_set_size(faults, 0);
    g_test_expect_message("fs", G_LOG_LEVEL_WARNING, "FILE: ?a/b? cannot be*");
    g_assert_null(config_accounts_of_text("bad,none", "FILE", FAULTY, strlen(FAULTY), NULL,
                                          &several, faults, &error));
    g_assert_true(g_str_has_prefix(error->message, "FILE: [bad] frob"));
}

/* A key twice is a fault of its group alone. */
static void test_key_twice(void)
{
    static const char TWICE[] = "[one]\nsource = imaps://u@h\npoll = 5\n"
                                "[two]\nsource = imaps://u@h\npoll = 5\n  poll=6\npoll = 7\n"
                                "# poll = 8\n[three]\npoll = 9\nsource = imaps://u@h\n";
    static const char *const SOURCES[] = {"all", "one,two", "two,three"};
    bool several;

    for (size_t i = 0; i < G_N_ELEMENTS(SOURCES); i++) {
        g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(config_fault_free);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) some = config_accounts_of_text(
            SOURCES[i], "FILE", TWICE, strlen(TWICE), NULL, &several, faults, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(some->len, ==, i == 0 ? 2 : 1);
        g_assert_cmpuint(faults->len, ==, 1);
        const struct config_fault *fault = faults->pdata[0];
        g_assert_cmpstr(fault->name, ==, "two");
        g_assert_cmpstr(fault->why, ==, "FILE: [two] poll: line 7 says it for the second time");
    }
    g_autoptr(GError) error = NULL;
    g_test_expect_message("fs", G_LOG_LEVEL_WARNING, "FILE: ?two? poll: line 7*");
    g_autoptr(GPtrArray) one = load("one", TWICE, NULL, &several, &error);
    g_test_assert_expected_messages();
    g_assert_no_error(error);
    g_assert_cmpuint(one->len, ==, 1);
    g_assert_null(load("two", TWICE, NULL, &several, &error));
    g_assert_true(g_str_has_prefix(error->message, "FILE: [two] poll: line 7"));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/source/good", test_source_good);
    g_test_add_func("/source/bad", test_source_bad);
    g_test_add_func("/config/faults", test_faults);
    g_test_add_func("/config/key-twice", test_key_twice);
    g_test_add_func("/config/accounts", test_accounts);
    g_test_add_func("/config/selection", test_selection);
    g_test_add_func("/config/addresses", test_addresses);
    g_test_add_func("/config/settings-overrule", test_settings_overrule);
    g_test_add_func("/config/secret-overrules", test_secret_overrules);
    g_test_add_func("/config/secrets-said-twice", test_secrets_said_twice);
    g_test_add_func("/config/bad", test_bad);
    g_test_add_func("/config/url-bad", test_url_bad);
    g_test_add_func("/config/too-many", test_too_many);
    g_test_add_func("/config/file", test_file);
    return g_test_run();
}
