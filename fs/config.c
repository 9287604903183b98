#include "fs/config.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/source.h"

#define CONFIG_MAX (1024 * 1024) /* bytes */
#define ACCOUNTS_MAX 64
#define NAME_MAX_BYTES 200

G_DEFINE_QUARK(mailmount - config - error, config_error)

#define config_refuse(error, ...) g_set_error(error, CONFIG_ERROR, 0, __VA_ARGS__)

char *config_default_file(void)
{
    return g_build_filename(g_get_user_config_dir(), "mailmount", "mailmount.conf", NULL);
}

/* ---- one account ---------------------------------------------------------------------------- */

/* What SOURCE says of the account; options may overrule user and tls. */
static void account_take_source(struct account *account, const struct source *source)
{
    g_free(account->host);
    account->host = g_strdup(source->host);
    account->port = source->port;
    account->tls = source->implicit_tls ? ACCOUNT_TLS_IMPLICIT : ACCOUNT_TLS_UNSAID;
    if (source->user != NULL) {
        g_free(account->user);
        account->user = g_strdup(source->user);
    }
}

static bool settings_apply(const GPtrArray *settings, struct account *account, GError **error)
{
    for (guint i = 0; settings != NULL && i < settings->len; i++) {
        const struct setting *setting = g_ptr_array_index(settings, i);
        if (!option_set(setting->option, setting->value, account, error))
            return false;
    }
    return true;
}

static bool option_is_secret_source(const struct option *option)
{
    static const char *const SOURCES[] = {"password_command", "token_command", "password_file",
                                          "netrc", NULL};

    return g_strv_contains(SOURCES, option->name);
}

/* Where the secret comes from is one setting in several spellings, of which one counts: one on the
 * command line overrules all of the file's. */
static void secret_overrule(const GPtrArray *settings, struct account *account)
{
    bool said = false;

    for (guint i = 0; settings != NULL && i < settings->len; i++)
        said |= option_is_secret_source(((const struct setting *)settings->pdata[i])->option);
    for (const struct option *option = OPTIONS; said && option->name != NULL; option++)
        if (option_is_secret_source(option))
            g_clear_pointer(&G_STRUCT_MEMBER(char *, account, option->field), g_free);
}

/* Where it is will be found out. */
static void account_take_address(struct account *account, const char *address)
{
    account->address = g_strdup(address);
    account->tls = ACCOUNT_TLS_UNKNOWN;
}

/* Settles what follows from the rest; NULL or what is wrong. */
static const char *account_complete(struct account *account, const struct source *source)
{
    if (account->tunnel_command != NULL && strstr(account->proxy, "://") != NULL)
        return "tunnel_command= and proxy= exclude each other: remove one";
    if (account->address != NULL)
        return account->tls == ACCOUNT_TLS_UNKNOWN
                   ? NULL
                   : "tls= is found out with the server: leave it out, or write imaps://USER@HOST";
    if (account->user == NULL)
        return "there is no user: write it before the host (USER@HOST), or set user=";
    if (source->implicit_tls && account->tls != ACCOUNT_TLS_IMPLICIT)
        return "tls= contradicts imaps://: write imap:// instead";
    if (account->tls == ACCOUNT_TLS_UNSAID)
        account->tls = account->tunnel_command != NULL ? ACCOUNT_TLS_NONE : ACCOUNT_TLS_STARTTLS;
    if (account->port == 0)
        account->port = account->tls == ACCOUNT_TLS_IMPLICIT ? 993 : 143;
    struct source whole = {source->implicit_tls, account->user, account->host, account->port};
    account->source = source_write(&whole);
    return NULL;
}

/* What no order of reading settles, wherever it was said. */
static const char *account_contradicts(const struct account *account)
{
    if (account->password_command != NULL && account->token_command != NULL)
        return "password_command= and token_command= exclude each other: remove one";
    return NULL;
}

static struct account *account_of_url(const char *url, const GPtrArray *settings, GError **error)
{
    g_auto(source) source = {0};
    g_autoptr(account) account = options_account_new();

    if (source_is_address(url))
        account_take_address(account, url);
    else if (source_parse(url, &source, error))
        account_take_source(account, &source);
    else
        return NULL;
    if (!settings_apply(settings, account, error))
        return NULL;
    const char *wrong = account_complete(account, &source);
    if (wrong != NULL) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "SOURCE: %s", wrong);
        return NULL;
    }
    wrong = account_contradicts(account);
    if (wrong != NULL) {
        config_refuse(error, "%s", wrong);
        return NULL;
    }
    account->name = account->address != NULL
                        ? g_strdup(account->address)
                        : g_strdup_printf("%s@%s", account->user, account->host);
    return g_steal_pointer(&account);
}

/* ---- the file ------------------------------------------------------------------------------- */

struct config {
    const char *file;
    GKeyFile *keys;
    GHashTable *repeated; /* group -> struct repeated, of those that give a key twice */
};

struct repeated {
    char *key;
    unsigned line;
};

static void repeated_free(void *data)
{
    struct repeated *repeated = data;

    g_free(repeated->key);
    g_free(repeated);
}

/* Values are taken as they are written, so that commands need no second quoting. */
static char *value_read(const struct config *config, const char *group, const char *key)
{
    char *value = g_key_file_get_value(config->keys, group, key, NULL);

    return value != NULL ? g_strstrip(value) : NULL;
}

static const struct option *key_find(const char *key)
{
    const struct option *option = option_find(key, true);

    if (option == NULL)
        option = option_find(key, false);
    return option != NULL && (option->where & OPTION_IN_FILE) ? option : NULL;
}

static bool key_apply(const struct config *config, const char *group, const char *key,
                      struct account *account, GError **error)
{
    const struct option *option = key_find(key);
    g_autofree char *value = value_read(config, group, key);
    g_autoptr(GError) wrong = NULL;

    if (value == NULL || *value == '\0') {
        config_refuse(error, "%s: [%s] %s: it needs a value", config->file, group, key);
        return false;
    }
    if (option->kind == OPTION_PATH && *value != '/' && !g_str_has_prefix(value, "~/")) {
        config_refuse(error, "%s: [%s] %s: write a path from / or ~/ on", config->file, group, key);
        return false;
    }
    if (!option_set(option, value, account, &wrong)) {
        config_refuse(error, "%s: [%s] %s", config->file, group, wrong->message);
        return false;
    }
    return true;
}

static bool keys_apply(const struct config *config, const char *group, struct account *account,
                       GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(config->keys, group, NULL, NULL);

    for (char **key = keys; key != NULL && *key != NULL; key++)
        if (!g_str_equal(*key, "source") && !key_apply(config, group, *key, account, error))
            return false;
    return true;
}

static bool group_source(const struct config *config, const char *group, struct account *account,
                         struct source *source, GError **error)
{
    g_autofree char *url = value_read(config, group, "source");
    g_autoptr(GError) wrong = NULL;

    if (url == NULL) {
        config_refuse(error, "%s: [%s] has no source=", config->file, group);
        return false;
    }
    if (source_is_address(url)) {
        account_take_address(account, url);
        return true;
    }
    if (!source_parse(url, source, &wrong)) {
        config_refuse(error, "%s: [%s] %s", config->file, group, wrong->message);
        return false;
    }
    account_take_source(account, source);
    return true;
}

/* A group's name may become a directory. */
static bool name_is_good(const char *name)
{
    if (*name == '\0' || *name == '.' || g_str_equal(name, "all") ||
        strlen(name) > NAME_MAX_BYTES || !g_utf8_validate(name, -1, NULL))
        return false;
    for (const char *at = name; *at != '\0'; at++)
        if (g_ascii_iscntrl(*at) || strchr("/,\\", *at) != NULL)
            return false;
    return true;
}

static bool group_check(const struct config *config, const char *group, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(config->keys, group, NULL, NULL);

    if (!name_is_good(group)) {
        config_refuse(error, "%s: [%s] cannot be the name of an account", config->file, group);
        return false;
    }
    const struct repeated *repeated = g_hash_table_lookup(config->repeated, group);
    if (repeated != NULL) {
        config_refuse(error, "%s: [%s] %s: line %u says it for the second time", config->file,
                      group, repeated->key, repeated->line);
        return false;
    }
    for (char **key = keys; key != NULL && *key != NULL; key++)
        if (!g_str_equal(*key, "source") && key_find(*key) == NULL) {
            config_refuse(error, "%s: [%s] %s: there is no such key", config->file, group, *key);
            return false;
        }
    return true;
}

static struct account *account_of_group(const struct config *config, const char *group,
                                        const GPtrArray *settings, GError **error)
{
    g_auto(source) source = {0};
    g_autoptr(account) account = options_account_new();

    if (!group_check(config, group, error) || !group_source(config, group, account, &source, error))
        return NULL;
    if (!keys_apply(config, group, account, error))
        return NULL;
    secret_overrule(settings, account);
    if (!settings_apply(settings, account, error))
        return NULL;
    const char *wrong = account_complete(account, &source);
    if (wrong == NULL)
        wrong = account_contradicts(account);
    if (wrong != NULL) {
        config_refuse(error, "%s: [%s] %s", config->file, group, wrong);
        return NULL;
    }
    account->name = g_strdup(group);
    return g_steal_pointer(&account);
}

static bool config_check(const struct config *config, GError **error)
{
    gsize count;
    g_strfreev(g_key_file_get_groups(config->keys, &count));

    if (count > ACCOUNTS_MAX) {
        config_refuse(error, "%s: more than %d accounts", config->file, ACCOUNTS_MAX);
        return false;
    }
    return true;
}

/* ---- which accounts ------------------------------------------------------------------------- */

/* What cannot be a name may hold a password by mistake and is not repeated. */
static void name_refuse(const struct config *config, const char *name, GError **error)
{
    if (name[strcspn(name, ":@/")] != '\0')
        config_refuse(error,
                      "SOURCE is no mail address, no imaps://USER@HOST, and no account in %s",
                      config->file);
    else
        config_refuse(error, "there is no account \"%s\" in %s", name, config->file);
}

static GStrv names_of_source(const struct config *config, const char *source)
{
    return g_str_equal(source, "all") ? g_key_file_get_groups(config->keys, NULL)
                                      : g_strsplit(source, ",", -1);
}

void config_fault_free(void *data)
{
    struct config_fault *fault = data;

    g_free(fault->name);
    g_free(fault->why);
    g_free(fault);
}

/* What is wrong with those that are not meant concerns nobody now. */
static void others_check(const struct config *config, GStrv names)
{
    g_auto(GStrv) groups = g_key_file_get_groups(config->keys, NULL);

    for (char **group = groups; *group != NULL; group++) {
        g_autoptr(GError) why = NULL;
        if (!g_strv_contains((const char *const *)names, *group) &&
            !group_check(config, *group, &why))
            g_warning("%s", why->message);
    }
}

/* Whether the others can do without it; takes `why`, or passes it on. */
static bool fault_take(GPtrArray *faults, const char *name, GError *why, GError **error)
{
    if (faults == NULL || why->domain != CONFIG_ERROR) {
        g_propagate_error(error, why);
        return false;
    }
    struct config_fault *fault = g_new0(struct config_fault, 1);
    fault->name = g_strdup(name);
    fault->why = g_strdup(why->message);
    g_ptr_array_add(faults, fault);
    g_error_free(why);
    return true;
}

/* `error` is set if none is left: there is none, or each has a fault. */
static bool accounts_left(const struct config *config, const GPtrArray *accounts,
                          const GPtrArray *faults, GError **error)
{
    if (accounts->len > 0)
        return true;
    if (faults != NULL && faults->len > 0)
        config_refuse(error, "%s", ((const struct config_fault *)faults->pdata[0])->why);
    else
        config_refuse(error, "%s names no account", config->file);
    return false;
}

static GPtrArray *accounts_named(const struct config *config, const char *source,
                                 const GPtrArray *settings, GPtrArray *faults, GError **error)
{
    g_autoptr(GPtrArray) accounts =
        g_ptr_array_new_null_terminated(4, (GDestroyNotify)account_free, TRUE);
    g_auto(GStrv) names = names_of_source(config, source);

    for (char **name = names; *name != NULL; name++) {
        if (!g_key_file_has_group(config->keys, *name)) {
            name_refuse(config, *name, error);
            return NULL;
        }
        if (g_strv_contains((const char *const *)name + 1, *name)) {
            config_refuse(error, "the account \"%s\" is named twice", *name);
            return NULL;
        }
        GError *why = NULL;
        struct account *account = account_of_group(config, *name, settings, &why);
        if (account != NULL)
            g_ptr_array_add(accounts, account);
        else if (!fault_take(faults, *name, why, error))
            return NULL;
    }
    others_check(config, names);
    return accounts_left(config, accounts, faults, error) ? g_steal_pointer(&accounts) : NULL;
}

/* A line of a group: notes the key that it gives, if that is the first to come again. */
static void key_note(const struct config *config, const char *group, const char *line,
                     unsigned number, GHashTable *seen)
{
    g_autofree char *key = g_strndup(line, strcspn(line, " \t="));

    if (g_hash_table_add(seen, g_strdup(key)) || g_hash_table_contains(config->repeated, group))
        return;
    struct repeated *repeated = g_new0(struct repeated, 1);
    repeated->key = g_steal_pointer(&key);
    repeated->line = number;
    g_hash_table_insert(config->repeated, g_strdup(group), repeated);
}

/* Finds what is given for the second time, of which GLib takes the last: a group, which was perhaps
 * copied and not renamed, so that nobody knows which account is meant: returns the first such line,
 * 0: none; and, in config->repeated, keys in a group. */
static unsigned lines_check(const struct config *config, const char *text, size_t length)
{
    g_autofree char *copy = g_strndup(text, length);
    g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
    g_autoptr(GHashTable) groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *group = g_strdup("");

    for (unsigned i = 0; lines[i] != NULL; i++) {
        const char *line = g_strstrip(lines[i]);
        if (line[0] == '[') {
            g_free(group);
            group = g_strndup(line + 1, strcspn(line + 1, "]"));
            g_hash_table_remove_all(keys);
            if (!g_hash_table_add(groups, g_strdup(group)))
                return i + 1;
        } else if (line[0] != '#' && strchr(line, '=') != NULL) {
            key_note(config, group, line, i + 1, keys);
        }
    }
    return 0;
}

GPtrArray *config_accounts_of_text(const char *source, const char *file, const char *text,
                                   size_t length, const GPtrArray *settings, bool *several,
                                   GPtrArray *faults, GError **error)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autoptr(GHashTable) repeated =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, repeated_free);
    struct config config = {file, keys, repeated};

    if (length > CONFIG_MAX || memchr(text, '\0', length) != NULL ||
        (length > 0 && !g_key_file_load_from_data(keys, text, length, G_KEY_FILE_NONE, NULL))) {
        config_refuse(error, "%s: not made of [NAME], key = value and # comment lines", file);
        return NULL;
    }
    unsigned again = lines_check(&config, text, length);
    if (again != 0) {
        config_refuse(error, "%s: line %u begins a group that was there before", file, again);
        return NULL;
    }
    if (!config_check(&config, error))
        return NULL;
    bool named = !source_is_url(source) &&
                 (!source_is_address(source) || g_key_file_has_group(keys, source));
    *several = named && (g_str_equal(source, "all") || strchr(source, ',') != NULL);
    if (named)
        return accounts_named(&config, source, settings, *several ? faults : NULL, error);
    struct account *account = account_of_url(source, settings, error);
    if (account == NULL)
        return NULL;
    GPtrArray *accounts = g_ptr_array_new_null_terminated(1, (GDestroyNotify)account_free, TRUE);
    g_ptr_array_add(accounts, account);
    return accounts;
}

/* ---- reading it ----------------------------------------------------------------------------- */

/* It names commands that are run: only its reader or root may have written it. */
static bool file_is_safe(int fd, const char *file, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        config_refuse(error, "%s: not a regular file", file);
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        config_refuse(error, "%s: belongs to another user; chown it", file);
    else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        config_refuse(error, "%s: others may write to it; chmod go-w it", file);
    else if (st.st_size > CONFIG_MAX)
        config_refuse(error, "%s: too big for a configuration", file);
    else
        return true;
    return false;
}

static bool fd_read(int fd, const char *file, GString *text, GError **error)
{
    char piece[4096];

    while (text->len <= CONFIG_MAX) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0) {
            config_refuse(error, "%s: %s", file, g_strerror(errno));
            return false;
        }
        if (n == 0)
            break;
        g_string_append_len(text, piece, n);
    }
    return true;
}

static bool file_read(const char *file, GString *text, GError **error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        config_refuse(error, "%s: %s", file, g_strerror(errno));
        return false;
    }
    bool good = file_is_safe(fd, file, error) && fd_read(fd, file, text, error);
    close(fd);
    return good;
}

GPtrArray *config_accounts(const char *source, const char *file, const GPtrArray *settings,
                           bool *several, GPtrArray *faults, GError **error)
{
    g_autofree char *standard = config_default_file();
    g_autoptr(GString) text = g_string_new(NULL);
    bool address = source_is_address(source);
    bool needed = file != NULL || !source_is_url(source);

    if (file == NULL)
        file = standard;
    if (!address && file == standard && !source_is_url(source) && strpbrk(source, ":@/") != NULL &&
        !g_file_test(file, G_FILE_TEST_EXISTS)) {
        config_refuse(error, "SOURCE is no mail address, no imaps://USER@HOST, and no account");
        return NULL;
    }
    if (address && file == standard && !g_file_test(file, G_FILE_TEST_EXISTS))
        needed = false; /* the address may be the name of an account, and need not */
    if (needed && !file_read(file, text, error)) {
        bool named = source[strcspn(source, ":@/")] == '\0';
        if (!source_is_url(source))
            g_prefix_error(error, named ? "no account can be found: "
                                        : "SOURCE is no mail address and no imaps://USER@HOST, "
                                          "and accounts cannot be read: ");
        return NULL;
    }
    return config_accounts_of_text(source, file, text->str, text->len, settings, several, faults,
                                   error);
}
