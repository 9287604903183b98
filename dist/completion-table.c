/* Writes a shell's completion script, a line @TABLE@ of which becomes all words of the command
 * line, from the program's own tables. A line of it:
 *
 *      WHERE|NAME|KIND|CHOICES|HELP
 *
 * WHERE is "flag" for "--NAME" and "-N", "option" for what follows -o. KIND says what value is
 * wanted: "none", "options", "choice" (one of CHOICES, between spaces), "file", "dir", "user",
 * "group", "account", "any". The table is to stand between single quotes.
 */
#include <stdio.h>
#include <string.h>

#include "fs/command.h"
#include "fs/options.h"

/* What --help calls values. */
static const struct {
    const char *value, *kind;
} KINDS[] = {
    {"FILE", "file"}, {"DIR", "dir"},     {"MOUNTPOINT", "dir"},  {"FOLDER", "dir"},
    {"USER", "user"}, {"GROUP", "group"}, {"ACCOUNT", "account"}, {"OPTION[,OPTION...]", "options"},
};

static const char *kind_of(const char *value)
{
    for (size_t i = 0; i < G_N_ELEMENTS(KINDS); i++)
        if (value != NULL && g_str_equal(KINDS[i].value, value))
            return KINDS[i].kind;
    return value != NULL ? "any" : "none";
}

/* A quote ends the quoting, is escaped, and begins it again: bash, fish and zsh agree on that. */
static void help_write(const char *help, GString *out)
{
    for (const char *at = help; *at != '\0'; at++) {
        if (*at == '\'')
            g_string_append(out, "'\\''");
        else
            g_string_append_c(out, *at == '|' ? '/' : *at);
    }
    g_string_append_c(out, '\n');
}

static void option_write(const struct option *option, GString *out)
{
    bool chosen = option->choices != NULL;

    g_string_append_printf(out, "option|%s|%s|", option->name,
                           chosen ? "choice" : kind_of(option->value));
    for (const struct option_choice *choice = option->choices; chosen && choice->word != NULL;
         choice++)
        g_string_append_printf(out, "%s%s", choice == option->choices ? "" : " ", choice->word);
    g_string_append_c(out, '|');
    help_write(option->help, out);
}

static void flag_write(const GOptionEntry *entry, GString *out)
{
    const char *kind = kind_of(entry->arg_description);

    g_string_append_printf(out, "flag|--%s|%s||", entry->long_name, kind);
    help_write(entry->description, out);
    if (entry->short_name == '\0')
        return;
    g_string_append_printf(out, "flag|-%c|%s||", entry->short_name, kind);
    help_write(entry->description, out);
}

static char *table_write(void)
{
    GString *out = g_string_new(NULL);

    for (const GOptionEntry *entry = command_entries(); entry->long_name != NULL; entry++)
        if (entry->description != NULL)
            flag_write(entry, out);
    for (const struct option *option = OPTIONS; option->name != NULL; option++)
        if (option->help != NULL && (option->where & OPTION_ON_COMMAND_LINE))
            option_write(option, out);
    g_string_truncate(out, out->len - 1);
    return g_string_free(out, FALSE);
}

int main(int argc, char *argv[])
{
    g_autofree char *script = NULL;
    g_autofree char *table = table_write();
    g_autoptr(GError) error = NULL;

    if (argc != 2 || !g_file_get_contents(argv[1], &script, NULL, &error)) {
        fprintf(stderr, "completion-table: %s\n", error != NULL ? error->message : "which file?");
        return 1;
    }
    g_auto(GStrv) pieces = g_strsplit(script, "@TABLE@", -1);
    g_autofree char *whole = g_strjoinv(table, pieces);
    fputs(whole, stdout);
    return g_strv_length(pieces) == 2 && fflush(stdout) == 0 ? 0 : 1;
}
