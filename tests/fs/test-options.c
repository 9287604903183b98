#include "fs/options.h"

#include <string.h>
#include <unistd.h>

#include "fs/command.h"

static bool set_one(struct account *account, const char *name, const char *value, GError **error)
{
    const struct option *option = option_find(name, value != NULL);

    g_assert_nonnull(option);
    return option_set(option, value, account, error);
}

static void test_defaults(void)
{
    g_autoptr(account) account = options_account_new();

    g_assert_cmpstr(account->auth, ==, "auto");
    g_assert_cmpuint(account->cache_size, ==, 1 << 30);
    g_assert_cmpuint(account->timeout_s, ==, 30);
    g_assert_cmpuint(account->connections, ==, 4);
    g_assert_cmpuint(account->umask, ==, 077);
    g_assert_cmpuint(account->uid, ==, geteuid());
    g_assert_cmpuint(account->gid, ==, getegid());
    g_assert_cmpint(account->view, ==, ACCOUNT_VIEW_BOTH);
    g_assert_cmpint(account->size, ==, ACCOUNT_SIZE_EXACT);
    g_assert_cmpint(account->control, ==, ACCOUNT_CONTROL_HIDDEN);
    g_assert_false(account->read_only);
    g_assert_null(account->folders);
    g_assert_true(g_path_is_absolute(account->cache_dir));
    g_assert_true(g_path_is_absolute(account->state_dir));
    g_assert_cmpint(account->delete, ==, ACCOUNT_DELETE_TRASH);
    g_assert_null(account->trash);
}

static void test_values_good(void)
{
    g_autoptr(account) account = options_account_new();
    static const char *const FINGERPRINT =
        "0011223344556677889900AABBCCDDEEFF00112233445566778899aabbccddee";
    static const char *const CASES[][2] = {{"user", "al,ice"},
                                           {"auth", "SCRAM-SHA-256-Plus"},
                                           {"tls", "none"},
                                           {"cache_size", "16M"},
                                           {"view", "messages"},
                                           {"size", "bound"},
                                           {"control", "listed"},
                                           {"delete", "expunge"},
                                           {"trash", "Work/Bin"},
                                           {"state_dir", "/x/y/../z"},
                                           {"timeout", "1"},
                                           {"proxy", "none"},
                                           {"proxy", "socks5://u:p%40w@h:1080"},
                                           {"proxy", "http://[::1]:3128/"},
                                           {"tunnel_command", "ssh host imapd"},
                                           {"connections", "16"},
                                           {"umask", "027"},
                                           {"uid", "root"},
                                           {"gid", "0"},
                                           {"ro", NULL},
                                           {"folders", " INBOX; Work/*;;!Junk "},
                                           {"tls_ca", "/etc/ca.pem"},
                                           {"tls_cert", "/etc/alice.pem"},
                                           {"tls_key", "/etc/alice.key"}};

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) error = NULL;
        set_one(account, CASES[i][0], CASES[i][1], &error);
        g_assert_no_error(error);
    }
    g_assert_cmpstr(account->user, ==, "al,ice");
    g_assert_cmpstr(account->auth, ==, "scram-sha-256-plus");
    g_assert_cmpint(account->tls, ==, ACCOUNT_TLS_NONE);
    g_assert_cmpuint(account->cache_size, ==, 16 << 20);
    g_assert_cmpint(account->view, ==, ACCOUNT_VIEW_MESSAGES);
    g_assert_cmpint(account->size, ==, ACCOUNT_SIZE_BOUND);
    g_assert_cmpint(account->control, ==, ACCOUNT_CONTROL_LISTED);
    g_assert_cmpint(account->delete, ==, ACCOUNT_DELETE_EXPUNGE);
    g_assert_cmpstr(account->trash, ==, "Work/Bin");
    g_assert_cmpstr(account->state_dir, ==, "/x/z");
    g_assert_cmpuint(account->umask, ==, 027);
    g_assert_true(account->read_only);
    g_assert_cmpuint(g_strv_length(account->folders), ==, 3);
    g_assert_cmpstr(account->folders[2], ==, "!Junk");
    g_assert_true(set_one(account, "tls_fingerprint", FINGERPRINT, NULL));
    g_autofree char *lower = g_ascii_strdown(FINGERPRINT, -1);
    g_assert_cmpstr(account->tls_fingerprint, ==, lower);
}

/* The one word is no pattern; the last value holds. */
static void test_folders_subscribed(void)
{
    static const struct {
        const char *value;
        bool subscribed;
        unsigned patterns;
    } CASES[] = {
        {"subscribed", true, 0},  {" subscribed ; ", true, 0},    {"INBOX", false, 1},
        {"subscribed", true, 0},  {"subscribed;INBOX", false, 2}, {"!subscribed", false, 1},
        {"Subscribed", false, 1},
    };
    g_autoptr(account) account = options_account_new();

    g_assert_false(account->folders_subscribed);
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_assert_true(set_one(account, "folders", CASES[i].value, NULL));
        g_assert_true(account->folders_subscribed == CASES[i].subscribed);
        unsigned patterns = account->folders != NULL ? g_strv_length(account->folders) : 0;
        g_assert_cmpuint(patterns, ==, CASES[i].patterns);
    }
}

static void test_values_bad(void)
{
    g_autoptr(account) account = options_account_new();
    static const char *const CASES[][2] = {
        {"user", ""},
        {"user", "a\nb"},
        {"user", "\377"},
        {"password_command", ""},
        {"auth", "scram-md5"},
        {"delete", "never"},
        {"trash", ""},
        {"tls", "maybe"},
        {"tls_ca", ""},
        {"tls_fingerprint", "00:11"},
        {"proxy", "yes"},
        {"proxy", "socks4://h:1"},
        {"proxy", "http://h"},
        {"proxy", "http://h:1/path"},
        {"proxy", "socks5://:1"},
        {"tls_fingerprint", "0011223344556677889900AABBCCDDEEFF00112233445566778899aabbccddeg"},
        {"tls_fingerprint", "0011223344556677889900AABBCCDDEEFF00112233445566778899aabbccddee0"},
        {"cache_size", "15M"},
        {"cache_size", "1GB"},
        {"cache_size", "-1G"},
        {"cache_size", "G"},
        {"cache_size", "17T"},
        {"cache_size", "99999999999999999999"},
        {"cache_size", "18014398509481984K"},
        {"view", "Both ways"},
        {"timeout", "0"},
        {"timeout", "3601"},
        {"timeout", "30s"},
        {"timeout", " 30"},
        {"connections", "17"},
        {"connections", "0"},
        {"umask", "0888"},
        {"umask", "1000"},
        {"umask", "-1"},
        {"uid", "no such user"},
        {"uid", "4294967295"},
        {"gid", "no such group"},
        {"folders", " ; ;"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(set_one(account, CASES[i][0], CASES[i][1], &error));
        g_assert_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE);
        g_assert_nonnull(strstr(error->message, CASES[i][0]));
    }
    g_assert_cmpstr(account->auth, ==, "auto"); /* as before */
    g_assert_cmpuint(account->cache_size, ==, 1 << 30);
}

/* ---- the command line ---- */

static bool parse(const char *line, struct command *command, GError **error)
{
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    return command_parse((int)g_strv_length(argv), argv, command, error);
}

static void test_split(void)
{
    static const struct {
        const char *options, *words; /* joined by | */
    } CASES[] = {
        {"", ""},
        {"a", "a"},
        {"a,b=c,,d,", "a|b=c|d"},
        {"a=1\\,2,b", "a=1,2|b"},
        {"a=\\\\,b", "a=\\|b"},
        {"a=\\054b", "a=,b"},
        {"a=\\0541", "a=,1"},
        {"a=\\48", "a=48"},
        {"a=x\\", "a=x\\"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_auto(GStrv) words = command_split(CASES[i].options);
        g_autofree char *joined = g_strjoinv("|", words);
        g_assert_cmpstr(joined, ==, CASES[i].words);
    }
}

static void test_command_good(void)
{
    g_auto(command) command = {0};
    g_autoptr(GError) error = NULL;

    parse("mailmount -o rw,noexec,dev,suid,user,_netdev,nofail,x-systemd.automount,comment=a,"
          "defaults,user=bob -f imaps://h /m -o cache_size=2G,allow_other,allow_other,nonempty"
          ",config=/etc/m.conf",
          &command, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(command.source, ==, "imaps://h");
    g_assert_cmpstr(command.mountpoint, ==, "/m");
    g_assert_cmpstr(command.config, ==, "/etc/m.conf");
    g_assert_true(command.foreground && command.nonempty);
    g_assert_false(command.debug || command.helper || command.has_run_as);
    g_assert_cmpuint(command.settings->len, ==, 2);
    g_autofree char *fuse = NULL;
    g_auto(GStrv) options = command_fuse_options(&command, "a,b\\c", true);
    fuse = g_strjoinv(" ", options);
    g_assert_cmpstr(fuse, ==,
                    "fsname=a\\,b\\\\c subtype=mailmount nosuid nodev noexec allow_other "
                    "default_permissions ro");
}

static void test_command_name_alone(void)
{
    g_auto(command) command = {0};

    g_assert_true(parse("mailmount -f -- work", &command, NULL));
    g_assert_cmpstr(command.source, ==, "work");
    g_assert_null(command.mountpoint);
}

static void test_command_identity(void)
{
    static const char *const CASES[] = {"mailmount -d a b -o uid=7", "mailmount -d a b -o setuid=7",
                                        "mailmount -d a b -o uid=5,setuid=7",
                                        "mailmount -d a b -o setuid=7,uid=5"};
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_auto(command) command = {0};
        g_assert_true(parse(CASES[i], &command, NULL));
        g_assert_true(command.foreground && command.has_run_as);
        g_assert_cmpuint(command.run_as, ==, 7);
    }
}

static void test_command_helper(void)
{
    g_auto(command) command = {0};
    g_autoptr(GError) error = NULL;

    parse("/sbin/mount.mailmount /work /m -sfnv -N /proc/1/ns/mnt -t mailmount -o ro", &command,
          &error);
    g_assert_no_error(error);
    g_assert_true(command.helper && command.fake);
    g_assert_false(command.foreground);
    g_assert_cmpstr(command.namespace, ==, "/proc/1/ns/mnt");
    g_assert_cmpuint(command.settings->len, ==, 1);
    g_assert_cmpstr(command.source, ==, "work"); /* where there is a file /work */
}

static void test_command_bad(void)
{
    static const struct {
        const char *line, *part;
    } CASES[] = {
        {"mailmount", "a SOURCE is needed"},
        {"mailmount imaps://a", "SOURCE and MOUNTPOINT"},
        {"mount.mailmount a", "SOURCE and MOUNTPOINT"},
        {"mailmount a b -o mountpoint=/c", "mountpoint"},
        {"mailmount a b c", "SOURCE and MOUNTPOINT"},
        {"mailmount -x a b", "-x"},
        {"mailmount a b -o", "-o"},
        {"mailmount a b -o frobnicate", "\"frobnicate\""},
        {"mailmount a b -o password=hunter2", "\"password\""},
        {"mailmount a b -o ro=1", "takes no value"},
        {"mailmount a b -o cache_size", "needs a value"},
        {"mailmount a b -o cache_size=", "cache_size"},
        {"mailmount a b -o timeout=x", "timeout"},
        {"mailmount a b -o setuid=no.such.user", "setuid"},
        {"mailmount a b -o config=", "config"},
        {"mailmount a b -o fsname=x", "fsname"},
        {"mailmount a b -o subtype=x", "subtype"},
        {"mailmount a b -o allow_other,allow_root", "exclude"},
        {"mailmount a b -o source=imaps://h", "source"},
    };
    static const char *const LATER[] = {"since=2y", "retry", "poll=1"};
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_auto(command) command = {0};
        g_autoptr(GError) error = NULL;
        g_assert_false(parse(CASES[i].line, &command, &error));
        g_assert_true(error->domain == G_OPTION_ERROR);
        g_assert_nonnull(strstr(error->message, CASES[i].part));
        g_assert_null(strstr(error->message, "hunter2"));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(LATER); i++) {
        g_auto(command) command = {0};
        g_autofree char *line = g_strdup_printf("mailmount a b -o %s", LATER[i]);
        g_assert_false(parse(line, &command, NULL));
    }
}

/* ---- help and manual pages ---- */

static void test_help(void)
{
    g_autofree char *help = command_help();

    for (const struct option *option = OPTIONS; option->name != NULL; option++)
        if (option->help != NULL)
            g_assert_nonnull(strstr(help, option->help));
}

/* Collects "NAME=" or "NAME" of each ".It Cm NAME Ns = Ns Ar X" and ".It Cm A , B" in a section. */
static GHashTable *page_options(const char *page, const char *section)
{
    g_autofree char *heading = g_strconcat(".Sh ", section, NULL);
    bool inside = false;
    GHashTable *names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *path = g_build_filename(g_getenv("MAILMOUNT_MAN"), page, NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (g_str_has_prefix(*line, ".Sh "))
            inside = g_str_equal(*line, heading);
        if (!inside || !g_str_has_prefix(*line, ".It Cm "))
            continue;
        g_auto(GStrv) words = g_strsplit(*line + strlen(".It Cm "), " ", -1);
        bool value = g_strv_contains((const char *const *)words, "=");
        for (char **word = words; *word != NULL && !g_str_equal(*word, "Ns"); word++)
            if (!g_str_equal(*word, ","))
                g_hash_table_add(names, g_strconcat(*word, value ? "=" : "", NULL));
    }
    return names;
}

static void page_check(const char *page, const char *section, enum option_where where,
                       const char *also)
{
    g_autoptr(GHashTable) names = page_options(page, section);

    for (const struct option *option = OPTIONS; option->name != NULL; option++) {
        g_autofree char *name = g_strconcat(option->name, option->value ? "=" : "", NULL);
        if ((option->where & where) && !g_hash_table_remove(names, name))
            g_error("%s lacks %s", page, name);
    }
    if (also != NULL)
        g_assert_true(g_hash_table_remove(names, also));
    GHashTableIter left;
    gpointer name;
    g_hash_table_iter_init(&left, names);
    if (g_hash_table_iter_next(&left, &name, NULL))
        g_error("%s describes %s, which is not in the table", page, (const char *)name);
}

static void test_pages(void)
{
    if (g_getenv("MAILMOUNT_MAN") == NULL) {
        g_test_skip("MAILMOUNT_MAN is not set");
        return;
    }
    page_check("mailmount.1", "OPTIONS", OPTION_ON_COMMAND_LINE, NULL);
}

static void test_page_of_file(void)
{
    if (g_getenv("MAILMOUNT_MAN") == NULL) {
        g_test_skip("MAILMOUNT_MAN is not set");
        return;
    }
    page_check("mailmount.conf.5", "DESCRIPTION", OPTION_IN_FILE, "source=");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/defaults", test_defaults);
    g_test_add_func("/options/values-good", test_values_good);
    g_test_add_func("/options/folders-subscribed", test_folders_subscribed);
    g_test_add_func("/options/values-bad", test_values_bad);
    g_test_add_func("/command/split", test_split);
    g_test_add_func("/command/good", test_command_good);
    g_test_add_func("/command/name-alone", test_command_name_alone);
    g_test_add_func("/command/identity", test_command_identity);
    g_test_add_func("/command/helper", test_command_helper);
    g_test_add_func("/command/bad", test_command_bad);
    g_test_add_func("/command/help", test_help);
    g_test_add_func("/pages/mailmount.1", test_pages);
    g_test_add_func("/pages/mailmount.conf.5", test_page_of_file);
    return g_test_run();
}
