#include "fs/command.h"

#include <string.h>

#include "fs/source.h"

/* False, for the caller to return. */
#define command_refuse(error, format, ...)                                                       \
    (g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, format " (see mailmount --help)", \
                 __VA_ARGS__),                                                                   \
     false)

/* ---- -o ------------------------------------------------------------------------------------- */

static bool is_octal(const char *at)
{
    return at[0] >= '0' && at[0] <= '3' && at[1] >= '0' && at[1] <= '7' && at[2] >= '0' &&
           at[2] <= '7';
}

/* Appends one character, its quoting removed; returns what follows. */
static const char *character_take(const char *at, GString *out)
{
    if (at[0] != '\\' || at[1] == '\0') {
        g_string_append_c(out, at[0]);
        return at + 1;
    }
    at++;
    if (is_octal(at)) {
        g_string_append_c(out, (char)((at[0] - '0') << 6 | (at[1] - '0') << 3 | (at[2] - '0')));
        return at + 3;
    }
    g_string_append_c(out, at[0]);
    return at + 1;
}

GStrv command_split(const char *options)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_autoptr(GString) word = g_string_new(NULL);

    for (const char *at = options; *at != '\0';) {
        if (*at != ',') {
            at = character_take(at, word);
            continue;
        }
        if (word->len > 0)
            g_strv_builder_add(words, word->str);
        g_string_truncate(word, 0);
        at++;
    }
    if (word->len > 0)
        g_strv_builder_add(words, word->str);
    return g_strv_builder_end(words);
}

static void setting_free(void *data)
{
    struct setting *setting = data;
    g_free(setting->value);
    g_free(setting);
}

static bool setting_add(struct command *command, const struct option *option, const char *value,
                        struct account *scratch, GError **error)
{
    if (!option_set(option, value, scratch, error))
        return false;
    struct setting *setting = g_new0(struct setting, 1);
    setting->option = option;
    setting->value = g_strdup(value);
    g_ptr_array_add(command->settings, setting);
    return true;
}

static bool run_as_set(struct command *command, const char *value, struct account *scratch,
                       GError **error)
{
    struct option as_user = *option_find("uid", true);

    as_user.name = "setuid";
    if (!option_set(&as_user, value, scratch, error))
        return false;
    command->has_run_as = command->has_setuid = true;
    command->run_as = scratch->uid;
    return true;
}

static bool config_set(struct command *command, const char *value, GError **error)
{
    struct option file = {"config", OPTION_PATH, .field = offsetof(struct account, tls_ca)};
    g_autoptr(account) scratch = g_new0(struct account, 1);

    if (!option_set(&file, value, scratch, error))
        return false;
    g_free(command->config);
    command->config = g_steal_pointer(&scratch->tls_ca);
    return true;
}

static bool option_apply(struct command *command, const struct option *option, const char *value,
                         struct account *scratch, GError **error)
{
    switch (option->kind) {
    case OPTION_IGNORED:
        return true;
    case OPTION_FUSE:
        if (!g_ptr_array_find(command->fuse, option->name, NULL))
            g_ptr_array_add(command->fuse, (char *)option->name);
        return true;
    case OPTION_COMMAND_SWITCH:
        command->nonempty = true;
        return true;
    case OPTION_COMMAND_VALUE:
        return g_str_equal(option->name, "setuid") ? run_as_set(command, value, scratch, error)
                                                   : config_set(command, value, error);
    default:
        return setting_add(command, option, value, scratch, error);
    }
}

/* fstab's options for other programs. */
static bool word_is_foreign(const char *word)
{
    return g_str_has_prefix(word, "x-") || g_str_has_prefix(word, "X-") ||
           g_str_has_prefix(word, "comment=");
}

static bool word_apply(struct command *command, const char *word, struct account *scratch,
                       GError **error)
{
    const char *equals = strchr(word, '=');
    g_autofree char *name = equals ? g_strndup(word, (size_t)(equals - word)) : g_strdup(word);

    if (word_is_foreign(word))
        return true;
    const struct option *option = option_find(name, equals != NULL);
    if (option == NULL && option_find(name, equals == NULL) != NULL)
        return command_refuse(error, "option %s %s", name,
                              equals != NULL ? "takes no value" : "needs a value");
    if (option == NULL || !(option->where & OPTION_ON_COMMAND_LINE))
        return command_refuse(error, "there is no option \"%s\"", name);
    return option_apply(command, option, equals != NULL ? equals + 1 : NULL, scratch, error);
}

static bool words_apply(struct command *command, const char *options, struct account *scratch,
                        GError **error)
{
    g_auto(GStrv) words = command_split(options);

    for (char **word = words; *word != NULL; word++)
        if (!word_apply(command, *word, scratch, error))
            return false;
    return true;
}

/* ---- the whole line ------------------------------------------------------------------------- */

/* What GOptionContext fills. */
struct line {
    gboolean help, version, foreground, debug, check, list, fake, nothing, retry;
    char *namespace, *type;
    char **options, **words, **prefetch;
};

static void line_clear(struct line *line)
{
    g_free(line->namespace);
    g_free(line->type);
    g_strfreev(line->options);
    g_strfreev(line->words);
    g_strfreev(line->prefetch);
}
typedef struct line line;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(line, line_clear)

static GOptionEntry *entries_new(struct line *line)
{
    const GOptionEntry entries[] = {
        {"help", 'h', 0, G_OPTION_ARG_NONE, &line->help, "show this", NULL},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &line->version, "show the version", NULL},
        {"foreground", 'f', 0, G_OPTION_ARG_NONE, &line->foreground, "stay in the foreground",
         NULL},
        {"debug", 'd', 0, G_OPTION_ARG_NONE, &line->debug,
         "stay, and write the protocol to standard error", NULL},
        {"option", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &line->options,
         "see below; \\, for a comma in a value", "OPTION[,OPTION...]"},
        {"check", 0, 0, G_OPTION_ARG_NONE, &line->check,
         "mount nothing; try SOURCE step by step and say what works", NULL},
        {"list", 0, 0, G_OPTION_ARG_NONE, &line->list,
         "list the accounts, and where they are mounted", NULL},
        {"prefetch", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &line->prefetch,
         "mount nothing; have a running mount fetch all of FOLDER into its cache", "FOLDER"},
        {"retry", 0, 0, G_OPTION_ARG_NONE, &line->retry,
         "mount nothing; have the mount at MOUNTPOINT, or all of yours, sign in again now", NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &line->words, NULL, NULL},
        {NULL}};
    return g_memdup2(entries, sizeof(entries));
}

const GOptionEntry *command_entries(void)
{
    static struct line nobodys;
    static GOptionEntry *entries;

    if (entries == NULL)
        entries = entries_new(&nobodys);
    return entries;
}

static GOptionContext *context_new(struct line *line)
{
    g_autofree GOptionEntry *entries = entries_new(line);
    GOptionContext *context = g_option_context_new("SOURCE [MOUNTPOINT]");

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, entries, NULL);
    return context;
}

/* mount(8), EXTERNAL HELPERS. */
static GOptionContext *helper_context_new(struct line *line)
{
    const GOptionEntry entries[] = {
        {"fake", 'f', 0, G_OPTION_ARG_NONE, &line->fake, NULL, NULL},
        {"sloppy", 's', 0, G_OPTION_ARG_NONE, &line->nothing, NULL, NULL},
        {"no-mtab", 'n', 0, G_OPTION_ARG_NONE, &line->nothing, NULL, NULL},
        {"verbose", 'v', 0, G_OPTION_ARG_NONE, &line->nothing, NULL, NULL},
        {"namespace", 'N', 0, G_OPTION_ARG_FILENAME, &line->namespace, NULL, NULL},
        {"types", 't', 0, G_OPTION_ARG_FILENAME, &line->type, NULL, NULL},
        {"options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &line->options, NULL, NULL},
        {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &line->words, NULL, NULL},
        {NULL}};
    GOptionContext *context = g_option_context_new("SOURCE MOUNTPOINT");

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, entries, NULL);
    return context;
}

static GStrv arguments_copy(int argc, char *const argv[])
{
    GStrv copy = g_new0(char *, (gsize)argc + 1);

    for (int i = 0; i < argc; i++)
        copy[i] = g_strdup(argv[i]);
    return copy;
}

static bool line_parse(int argc, char *const argv[], bool helper, struct line *line, GError **error)
{
    g_autoptr(GOptionContext) context = helper ? helper_context_new(line) : context_new(line);
    g_auto(GStrv) arguments = arguments_copy(argc, argv);
    g_autoptr(GError) wrong = NULL;

    if (g_option_context_parse_strv(context, &arguments, &wrong))
        return true;
    return command_refuse(error, "%s", wrong->message);
}

static bool exclusive_check(const struct command *command, GError **error)
{
    const char *others[] = {"allow_other", "allow_root"};
    unsigned count = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        for (guint j = 0; j < command->fuse->len; j++)
            count += g_str_equal(others[i], g_ptr_array_index(command->fuse, j));
    return count < 2 ||
           command_refuse(error, "%s exclude each other", "allow_other and allow_root");
}

static void uid_note(struct command *command)
{
    for (guint i = 0; i < command->settings->len && !command->has_run_as; i++) {
        const struct setting *setting = g_ptr_array_index(command->settings, i);
        g_autoptr(account) scratch = g_new0(struct account, 1);
        if (setting->option->kind != OPTION_USER)
            continue;
        if (option_set(setting->option, setting->value, scratch, NULL)) {
            command->has_run_as = true;
            command->run_as = scratch->uid;
        }
    }
}

/* mount(8) makes a path of what is also the name of a file where it is called, as "home" is in /.
 * No SOURCE is a path. */
static char *source_take(const char *word)
{
    return g_path_is_absolute(word) ? g_path_get_basename(word) : g_strdup(word);
}

static bool line_take(struct command *command, struct line *line, GError **error)
{
    g_autoptr(account) scratch = g_new0(struct account, 1);

    guint words = line->words != NULL ? g_strv_length(line->words) : 0;
    bool alone = words == 1 && !command->helper && !source_is_url(line->words[0]);

    if (line->list && (words != 0 || line->check))
        return command_refuse(error, "%s takes neither SOURCE nor MOUNTPOINT", "--list");
    if (line->check && words != 1)
        return command_refuse(error, "%s takes a SOURCE, and nothing else", "--check");
    if (!line->list && !line->check && words == 0)
        return command_refuse(error,
                              "a %s is needed: a mail address, imaps://USER@HOST, or the "
                              "name of an account",
                              "SOURCE");
    if (!line->list && !line->check && words != 2 && !alone)
        return command_refuse(error, "%s are needed, and nothing else", "SOURCE and MOUNTPOINT");
    command->list = line->list;
    command->check = line->check;
    command->source = words > 0 ? source_take(line->words[0]) : NULL;
    command->mountpoint = words == 2 ? g_strdup(line->words[1]) : NULL;
    for (char **options = line->options; options != NULL && *options != NULL; options++)
        if (!words_apply(command, *options, scratch, error))
            return false;
    uid_note(command);
    return exclusive_check(command, error);
}

/* --prefetch and --retry: for a mount that runs, so that no option of a mount makes sense. */
static bool request_take(struct command *command, struct line *line, GError **error)
{
    guint words = line->words != NULL ? g_strv_length(line->words) : 0;
    if (words > 1 || line->options != NULL || line->foreground || line->debug || line->check ||
        line->list || (line->retry && line->prefetch != NULL))
        return command_refuse(error, "%s takes a MOUNTPOINT, and nothing else",
                              line->retry ? "--retry" : "--prefetch");
    command->prefetch = g_steal_pointer(&line->prefetch);
    command->retry = line->retry;
    command->mountpoint = words == 1 ? g_strdup(line->words[0]) : NULL;
    return true;
}

bool command_parse(int argc, char *const argv[], struct command *command, GError **error)
{
    g_auto(line) line = {0};
    g_autofree char *called = g_path_get_basename(argc > 0 ? argv[0] : "mailmount");

    memset(command, 0, sizeof(*command));
    command->helper = g_str_has_prefix(called, "mount.");
    command->settings = g_ptr_array_new_with_free_func(setting_free);
    command->fuse = g_ptr_array_new();
    if (!line_parse(argc, argv, command->helper, &line, error))
        return false;
    command->help = line.help;
    command->version = line.version;
    command->debug = line.debug;
    command->foreground = line.foreground || line.debug;
    command->fake = line.fake;
    command->namespace = g_steal_pointer(&line.namespace);
    if (command->help || command->version)
        return true;
    return line.prefetch != NULL || line.retry ? request_take(command, &line, error)
                                               : line_take(command, &line, error);
}

void command_clear(struct command *command)
{
    g_clear_pointer(&command->namespace, g_free);
    g_clear_pointer(&command->source, g_free);
    g_clear_pointer(&command->mountpoint, g_free);
    g_clear_pointer(&command->prefetch, g_strfreev);
    g_clear_pointer(&command->config, g_free);
    g_clear_pointer(&command->settings, g_ptr_array_unref);
    g_clear_pointer(&command->fuse, g_ptr_array_unref);
}

char *command_help(void)
{
    g_auto(line) line = {0};
    g_autoptr(GOptionContext) context = context_new(&line);
    g_autofree char *options = options_help();

    g_option_context_set_summary(
        context, "Mounts mail as files. SOURCE is imaps://[USER@]HOST[:PORT] (TLS),\n"
                 "imap://[USER@]HOST[:PORT] (STARTTLS), a mail address whose server is found\n"
                 "out, or in the configuration the NAME of an account, NAME,NAME or all. A @ in\n"
                 "USER is written %40. Without MOUNTPOINT an account is mounted where the\n"
                 "configuration says, or at ~/Mail/NAME.");
    g_option_context_set_description(context, options);
    return g_option_context_get_help(context, TRUE, NULL);
}

/* ---- for FUSE ------------------------------------------------------------------------------- */

/* A comma in it would begin another option. */
static char *value_quote(const char *name, const char *value)
{
    GString *out = g_string_new(name);

    g_string_append_c(out, '=');
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == ',' || *at == '\\')
            g_string_append_c(out, '\\');
        g_string_append_c(out, g_ascii_iscntrl(*at) ? '_' : *at);
    }
    return g_string_free(out, FALSE);
}

static bool fuse_has(const struct command *command, const char *name)
{
    for (guint i = 0; i < command->fuse->len; i++)
        if (g_str_equal(g_ptr_array_index(command->fuse, i), name))
            return true;
    return false;
}

GStrv command_fuse_options(const struct command *command, const char *source, bool read_only)
{
    g_autoptr(GStrvBuilder) options = g_strv_builder_new();
    g_autofree char *fsname = value_quote("fsname", source);
    bool shared = fuse_has(command, "allow_other") || fuse_has(command, "allow_root");

    g_strv_builder_add_many(options, fsname, "subtype=mailmount", "nosuid", "nodev", NULL);
    for (guint i = 0; i < command->fuse->len; i++)
        g_strv_builder_add(options, g_ptr_array_index(command->fuse, i));
    if (shared && !fuse_has(command, "default_permissions"))
        g_strv_builder_add(options, "default_permissions");
    if (read_only)
        g_strv_builder_add(options, "ro");
    return g_strv_builder_end(options);
}
