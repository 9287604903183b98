#include "fs/options.h"

#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const struct option_choice AUTHS[] = {{"auto", 0},          {"login", 0},
                                             {"plain", 0},         {"external", 0},
                                             {"gssapi", 0},        {"gs2-krb5", 0},
                                             {"scram-sha-512", 0}, {"scram-sha-512-plus", 0},
                                             {"scram-sha-384", 0}, {"scram-sha-384-plus", 0},
                                             {"scram-sha-256", 0}, {"scram-sha-256-plus", 0},
                                             {"scram-sha-1", 0},   {"scram-sha-1-plus", 0},
                                             {"otp", 0},           {"cram-md5", 0},
                                             {"digest-md5", 0},    {"oauthbearer", 0},
                                             {"xoauth2", 0},       {NULL, 0}};
static const struct option_choice TLS[] = {{"implicit", ACCOUNT_TLS_IMPLICIT},
                                           {"starttls", ACCOUNT_TLS_STARTTLS},
                                           {"none", ACCOUNT_TLS_NONE},
                                           {NULL, 0}};
static const struct option_choice VIEWS[] = {{"both", ACCOUNT_VIEW_BOTH},
                                             {"messages", ACCOUNT_VIEW_MESSAGES},
                                             {"parts", ACCOUNT_VIEW_PARTS},
                                             {NULL, 0}};
static const struct option_choice SIZES[] = {
    {"exact", ACCOUNT_SIZE_EXACT}, {"bound", ACCOUNT_SIZE_BOUND}, {NULL, 0}};
static const struct option_choice CONTROLS[] = {
    {"hidden", ACCOUNT_CONTROL_HIDDEN}, {"listed", ACCOUNT_CONTROL_LISTED}, {NULL, 0}};

static const struct option_choice DELETES[] = {
    {"trash", ACCOUNT_DELETE_TRASH}, {"expunge", ACCOUNT_DELETE_EXPUNGE}, {NULL, 0}};

#define FIELD(member) .field = offsetof(struct account, member)
#define HERE OPTION_ON_COMMAND_LINE
#define ANYWHERE OPTION_ANYWHERE

/* clang-format off */
const struct option OPTIONS[] = {
    {"user", OPTION_TEXT, ANYWHERE, FIELD(user), "NAME", NULL, "login name, if SOURCE has none"},
    {"password_command", OPTION_TEXT, ANYWHERE, FIELD(password_command), "COMMAND", NULL,
     "run with sh -c, its first line is the password; else a prompt"},
    {"token_command", OPTION_TEXT, ANYWHERE, FIELD(token_command), "COMMAND", NULL,
     "the same for an OAuth2 access token instead of a password"},
    {"password_file", OPTION_PATH, ANYWHERE, FIELD(password_file), "FILE", NULL,
     "its first line is the password; only the user may read it"},
    {"netrc", OPTION_PATH, ANYWHERE, FIELD(netrc), "FILE", NULL,
     "has a password for the host (default ~/.netrc, if it is there)"},
    {"auth", OPTION_WORD, ANYWHERE, FIELD(auth), "MECHANISM", "auto",
     "how to sign in: auto, login, or a SASL mechanism such as scram-sha-256", .choices = AUTHS},
    {"tls", OPTION_CHOICE, ANYWHERE, FIELD(tls), "implicit|starttls|none", NULL,
     "default by SOURCE; none only for imap://", .choices = TLS},
    {"tls_ca", OPTION_PATH, ANYWHERE, FIELD(tls_ca), "FILE", NULL,
     "trust the CAs in this file (PEM) instead of the system's"},
    {"tls_fingerprint", OPTION_FINGERPRINT, ANYWHERE, FIELD(tls_fingerprint), "SHA256", NULL,
     "trust exactly this certificate"},
    {"tls_cert", OPTION_PATH, ANYWHERE, FIELD(tls_cert), "FILE", NULL,
     "our own certificate (PEM), to show to the server"},
    {"tls_key", OPTION_PATH, ANYWHERE, FIELD(tls_key), "FILE", NULL,
     "its key (PEM), if that is not in the same file"},
    {"mountpoint", OPTION_PATH, OPTION_IN_FILE, FIELD(mountpoint), "DIR"},
    {"proxy", OPTION_PROXY, ANYWHERE, FIELD(proxy), "auto|none|URI", "auto",
     "connect through socks5://HOST:PORT or http://HOST:PORT"},
    {"tunnel_command", OPTION_TEXT, ANYWHERE, FIELD(tunnel_command), "COMMAND", NULL,
     "its standard input and output are the connection: ssh host imapd"},
    {"cache_dir", OPTION_PATH, ANYWHERE, FIELD(cache_dir), "DIR", NULL,
     "where the cache lives (default $XDG_CACHE_HOME/mailmount)"},
    {"cache_size", OPTION_BYTES, ANYWHERE, FIELD(cache_size), "BYTES", "1G",
     "bytes of content kept, K M G T", .least = 16 << 20, .most = G_GUINT64_CONSTANT(1) << 44},
    {"state_dir", OPTION_PATH, ANYWHERE, FIELD(state_dir), "DIR", NULL,
     "where changes wait to be sent (default $XDG_STATE_HOME/mailmount)"},
    {"folders", OPTION_PATTERNS, ANYWHERE, FIELD(folders), "PATTERNS", NULL,
     "folders to show, ! excludes, ; between; or subscribed (default all)"},
    {"prefetch", OPTION_PATTERNS, ANYWHERE, FIELD(prefetch), "PATTERNS", NULL,
     "folders to keep whole in the cache, ! excludes, ; between"},
    {"prefetch_daily", OPTION_BYTES, ANYWHERE, FIELD(prefetch_daily), "BYTES", "1G",
     "at most so many are fetched for them a day", .least = 16 << 20,
     .most = G_GUINT64_CONSTANT(1) << 44},
    {"view", OPTION_CHOICE, ANYWHERE, FIELD(view), "both|messages|parts", "both",
     "messages as .eml files, directories of parts, or both", .choices = VIEWS},
    {"size", OPTION_CHOICE, ANYWHERE, FIELD(size), "exact|bound", "exact",
     "whether stat may have to ask the server for exact sizes", .choices = SIZES},
    {"control", OPTION_CHOICE, ANYWHERE, FIELD(control), "hidden|listed", "hidden",
     "whether .mailmount is in listings", .choices = CONTROLS},
    {"trash", OPTION_TEXT, ANYWHERE, FIELD(trash), "FOLDER", NULL,
     "where deleted messages go if the server marks no folder \\Trash"},
    {"delete", OPTION_CHOICE, ANYWHERE, FIELD(delete), "trash|expunge", "trash",
     "whether deleted messages go to the trash or for good", .choices = DELETES},
    {"timeout", OPTION_NUMBER, ANYWHERE, FIELD(timeout_s), "SECONDS", "30",
     "without progress, until a request fails", .least = 1, .most = 3600},
    {"connections", OPTION_NUMBER, ANYWHERE, FIELD(connections), "COUNT", "4",
     "at most so many to the server", .least = 1, .most = 16},
    {"poll", OPTION_NUMBER, ANYWHERE, FIELD(poll_s), "SECONDS", "60",
     "between looks for changes in all folders", .least = 5, .most = 86400},
    {"umask", OPTION_MODE, ANYWHERE, FIELD(umask), "OCTAL", "077", "of files and directories"},
    {"uid", OPTION_USER, HERE, FIELD(uid), "USER", NULL,
     "owner of the files; root: mount as this user"},
    {"gid", OPTION_GROUP, HERE, FIELD(gid), "GROUP", NULL, "group of the files"},
    {"setuid", OPTION_COMMAND_VALUE, HERE, 0, "USER", NULL, "for root: mount as this user"},
    {"xattr", OPTION_SWITCH, ANYWHERE, FIELD(xattr), NULL, NULL,
     "show flags as extended attributes (slows ls -l)"},
    {"ro", OPTION_SWITCH, ANYWHERE, FIELD(read_only), NULL, NULL, "change nothing"},
    {"config", OPTION_COMMAND_VALUE, HERE, 0, "FILE", NULL,
     "configuration (default $XDG_CONFIG_HOME/mailmount/mailmount.conf)"},
    {"nonempty", OPTION_COMMAND_SWITCH, HERE, 0, NULL, NULL, "mount over a directory with files"},
    {"allow_other", OPTION_FUSE, HERE, 0, NULL, NULL,
     "let other users in, as far as uid, gid and umask permit"},
    {"allow_root", OPTION_FUSE, HERE, 0, NULL, NULL, "let root in"},
    {"default_permissions", OPTION_FUSE, HERE, 0, NULL, NULL, "let the kernel check permissions"},
    {"noexec", OPTION_FUSE, HERE, 0, NULL, NULL, "permit no running of programs"},
    {"noatime", OPTION_FUSE, HERE, 0, NULL, NULL, "keep no times of access"},
#define IGNORED(name) {name, OPTION_IGNORED, HERE}
    IGNORED("rw"), IGNORED("dev"), IGNORED("suid"), IGNORED("nodev"), IGNORED("nosuid"),
    IGNORED("exec"), IGNORED("atime"), IGNORED("relatime"), IGNORED("async"),
    IGNORED("user"), IGNORED("nouser"), IGNORED("users"), IGNORED("owner"), IGNORED("group"),
    IGNORED("auto"), IGNORED("noauto"), IGNORED("_netdev"), IGNORED("nofail"), IGNORED("defaults"),
#undef IGNORED
    {NULL},
};
/* clang-format on */

/* ---- values --------------------------------------------------------------------------------- */

static bool value_refuse(const struct option *option, const char *reason, GError **error)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "option %s: %s", option->name,
                reason);
    return false;
}

static bool text_set(const struct option *option, void *field, const char *value, GError **error)
{
    if (!g_utf8_validate(value, -1, NULL))
        return value_refuse(option, "the value is not UTF-8", error);
    for (const char *at = value; *at != '\0'; at++)
        if (g_ascii_iscntrl(*at) && *at != '\t')
            return value_refuse(option, "the value has control characters", error);
    g_free(*(char **)field);
    *(char **)field = g_strdup(value);
    return true;
}

static bool path_set(const struct option *option, void *field, const char *value, GError **error)
{
    g_autofree char *home =
        g_str_has_prefix(value, "~/") ? g_build_filename(g_get_home_dir(), value + 2, NULL) : NULL;
    g_free(*(char **)field);
    *(char **)field = g_canonicalize_filename(home != NULL ? home : value, NULL);
    return true;
}

static const struct option_choice *choice_find(const struct option *option, const char *value,
                                               GError **error)
{
    for (const struct option_choice *choice = option->choices; choice->word != NULL; choice++)
        if (g_ascii_strcasecmp(choice->word, value) == 0)
            return choice;
    g_autoptr(GString) words = g_string_new(NULL);
    for (const struct option_choice *choice = option->choices; choice->word != NULL; choice++)
        g_string_append_printf(words, "%s%s", words->len > 0 ? ", " : "", choice->word);
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "option %s: not one of %s",
                option->name, option->kind == OPTION_WORD ? words->str : option->value);
    return NULL;
}

static bool choice_set(const struct option *option, void *field, const char *value, GError **error)
{
    const struct option_choice *choice = choice_find(option, value, error);
    if (choice == NULL)
        return false;
    /* The enums of struct account are all of one size: they have no negative values. */
    G_STATIC_ASSERT(sizeof(enum account_tls) == sizeof(unsigned));
    *(unsigned *)field = (unsigned)choice->value;
    return true;
}

static bool word_set(const struct option *option, void *field, const char *value, GError **error)
{
    const struct option_choice *choice = choice_find(option, value, error);
    if (choice == NULL)
        return false;
    g_free(*(char **)field);
    *(char **)field = g_strdup(choice->word);
    return true;
}

static bool number_parse(const struct option *option, const char *value, guint64 *number,
                         GError **error)
{
    if (!g_ascii_string_to_unsigned(value, 10, option->least, option->most, number, NULL)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "option %s: not a number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                    option->name, option->least, option->most);
        return false;
    }
    return true;
}

static bool number_set(const struct option *option, void *field, const char *value, GError **error)
{
    guint64 number;
    if (!number_parse(option, value, &number, error))
        return false;
    *(unsigned *)field = (unsigned)number;
    return true;
}

static bool bytes_set(const struct option *option, void *field, const char *value, GError **error)
{
    static const char UNITS[] = "KMGT";
    size_t length = strlen(value);
    const char *unit = length > 0 ? strchr(UNITS, g_ascii_toupper(value[length - 1])) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - UNITS + 1) : 0;
    g_autofree char *digits = g_strndup(value, unit != NULL ? length - 1 : length);
    guint64 number;

    if (!g_ascii_string_to_unsigned(digits, 10, 0, option->most >> shift, &number, NULL) ||
        number << shift < option->least)
        return value_refuse(option, "not a size from 16M to 16T, such as 500M", error);
    *(uint64_t *)field = number << shift;
    return true;
}

static bool mode_set(const struct option *option, void *field, const char *value, GError **error)
{
    guint64 number;
    if (!g_ascii_string_to_unsigned(value, 8, 0, 0777, &number, NULL))
        return value_refuse(option, "not an octal number from 0 to 777", error);
    *(mode_t *)field = (mode_t)number;
    return true;
}

/* Of "folders" the word "subscribed" alone stands for the folders that the server's user has
 * subscribed to. */
static bool patterns_set(const struct option *option, void *field, const char *value,
                         GError **error)
{
    g_auto(GStrv) words = g_strsplit(value, ";", -1);
    g_autoptr(GStrvBuilder) patterns = g_strv_builder_new();
    unsigned count = 0;

    if (!g_utf8_validate(value, -1, NULL))
        return value_refuse(option, "the value is not UTF-8", error);
    for (char **word = words; *word != NULL; word++) {
        if (*g_strstrip(*word) == '\0')
            continue;
        g_strv_builder_add(patterns, *word);
        count++;
    }
    if (count == 0)
        return value_refuse(option, "there is no pattern in it", error);
    char ***list = field;
    g_strfreev(*list);
    *list = g_strv_builder_end(patterns);
    if (option->field != offsetof(struct account, folders))
        return true;
    struct account *account = (struct account *)(void *)((char *)field - option->field);
    account->folders_subscribed = count == 1 && g_str_equal((*list)[0], "subscribed");
    if (account->folders_subscribed)
        g_clear_pointer(list, g_strfreev);
    return true;
}

static bool fingerprint_set(const struct option *option, void *field, const char *value,
                            GError **error)
{
    g_autoptr(GString) digits = g_string_new(NULL);

    for (const char *at = value; *at != '\0'; at++) {
        if (*at == ':')
            continue;
        if (!g_ascii_isxdigit(*at) || digits->len == 64)
            return value_refuse(option, "not the 64 hexadecimal digits of a SHA-256", error);
        g_string_append_c(digits, g_ascii_tolower(*at));
    }
    if (digits->len != 64)
        return value_refuse(option, "not the 64 hexadecimal digits of a SHA-256", error);
    g_free(*(char **)field);
    *(char **)field = g_strdup(digits->str);
    return true;
}

/* The value may hold a password, so nothing of it is ever told. */
static bool proxy_set(const struct option *option, void *field, const char *value, GError **error)
{
    static const char *const SCHEMES[] = {"socks5", "socks5h", "http", NULL};
    static const char *const WORDS[] = {"auto", "none", NULL};
    g_autoptr(GUri) uri = g_uri_parse(value, G_URI_FLAGS_HAS_PASSWORD, NULL);
    bool whole = uri != NULL && g_strv_contains(SCHEMES, g_uri_get_scheme(uri)) &&
                 g_uri_get_host(uri) != NULL && *g_uri_get_host(uri) != '\0' &&
                 g_uri_get_port(uri) > 0 &&
                 strspn(g_uri_get_path(uri), "/") == strlen(g_uri_get_path(uri));

    if (!whole && !g_strv_contains(WORDS, value))
        return value_refuse(option,
                            "not auto, none, socks5://[USER:PASSWORD@]HOST:PORT or http://... "
                            "(%XX for special characters in USER and PASSWORD)",
                            error);
    g_free(*(char **)field);
    *(char **)field = g_strdup(value);
    return true;
}

static bool user_set(const struct option *option, void *field, const char *value, GError **error)
{
    guint64 number;
    if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32 - 1, &number, NULL)) {
        *(uid_t *)field = (uid_t)number;
        return true;
    }
    const struct passwd *user = getpwnam(value);
    if (user == NULL)
        return value_refuse(option, "there is no such user", error);
    *(uid_t *)field = user->pw_uid;
    return true;
}

static bool group_set(const struct option *option, void *field, const char *value, GError **error)
{
    guint64 number;
    if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32 - 1, &number, NULL)) {
        *(gid_t *)field = (gid_t)number;
        return true;
    }
    const struct group *group = getgrnam(value);
    if (group == NULL)
        return value_refuse(option, "there is no such group", error);
    *(gid_t *)field = group->gr_gid;
    return true;
}

/* On the command line a switch has no value; in the file it is yes or no. */
static bool switch_set(const struct option *option, void *field, const char *value, GError **error)
{
    static const struct option_choice WORDS[] = {{"yes", true},  {"true", true}, {"on", true},
                                                 {"1", true},    {"no", false},  {"false", false},
                                                 {"off", false}, {"0", false},   {NULL, 0}};
    struct option words = {option->name, .value = "yes, no", .choices = WORDS};
    const struct option_choice *choice = choice_find(&words, value != NULL ? value : "yes", error);
    if (choice == NULL)
        return false;
    *(bool *)field = choice->value != 0;
    return true;
}

static bool (*const SETTERS[])(const struct option *, void *, const char *, GError **) = {
    [OPTION_TEXT] = text_set,
    [OPTION_PATH] = path_set,
    [OPTION_CHOICE] = choice_set,
    [OPTION_WORD] = word_set,
    [OPTION_BYTES] = bytes_set,
    [OPTION_NUMBER] = number_set,
    [OPTION_MODE] = mode_set,
    [OPTION_PATTERNS] = patterns_set,
    [OPTION_FINGERPRINT] = fingerprint_set,
    [OPTION_PROXY] = proxy_set,
    [OPTION_USER] = user_set,
    [OPTION_GROUP] = group_set,
    [OPTION_SWITCH] = switch_set,
};

bool option_set(const struct option *option, const char *value, struct account *account,
                GError **error)
{
    g_return_val_if_fail(option->kind < G_N_ELEMENTS(SETTERS), false);
    if (option->kind != OPTION_SWITCH && (value == NULL || *value == '\0'))
        return value_refuse(option, "it needs a value", error);
    return SETTERS[option->kind](option, (char *)account + option->field, value, error);
}

/* ---- the table ------------------------------------------------------------------------------ */

const struct option *option_find(const char *name, bool with_value)
{
    for (const struct option *option = OPTIONS; option->name != NULL; option++)
        if (g_str_equal(option->name, name) && (option->value != NULL) == with_value)
            return option;
    return NULL;
}

struct account *options_account_new(void)
{
    struct account *account = g_new0(struct account, 1);

    account->uid = geteuid();
    account->gid = getegid();
    account->cache_dir = g_build_filename(g_get_user_cache_dir(), "mailmount", NULL);
    account->state_dir = g_build_filename(g_get_user_state_dir(), "mailmount", NULL);
    for (const struct option *option = OPTIONS; option->name != NULL; option++) {
        g_autoptr(GError) error = NULL;
        if (option->initial != NULL && !option_set(option, option->initial, account, &error))
            g_error("%s", error->message);
    }
    return account;
}

char *options_help(void)
{
    GString *out = g_string_new("Options (-o):\n");

    for (const struct option *option = OPTIONS; option->name != NULL; option++) {
        if (option->help == NULL)
            continue;
        g_autofree char *left = option->value != NULL
                                    ? g_strdup_printf("%s=%s", option->name, option->value)
                                    : g_strdup(option->name);
        g_string_append_printf(out, strlen(left) > 26 ? "  %s\n%30s%s" : "  %-28s%.0s%s", left, "",
                               option->help);
        if (option->initial != NULL)
            g_string_append_printf(out, " (default %s)", option->initial);
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}
