#include "fs/list-command.h"

#include <stdio.h>
#include <string.h>

#include "fs/config.h"
#include "fs/log.h"
#include "fs/mountpoint.h"
#include "fs/running-account.h"
#include "fs/running.h"
#include "fs/source.h"

#define IDLE "not mounted"
#define SILENT "does not answer; see mailmount(1) for unmounting it"

enum column { NAME, SERVER, USER, MOUNTED, STATE, COLUMNS };
static const char *const TITLES[COLUMNS] = {"ACCOUNT", "SERVER", "USER", "MOUNTED", "STATE"};

/* A line of the answer. */
struct row {
    char *cells[COLUMNS];
    char *source; /* the account's, NULL: it is only known by an address */
};

static void row_free(void *data)
{
    struct row *row = data;

    for (int i = 0; i < COLUMNS; i++)
        g_free(row->cells[i]);
    g_free(row->source);
    g_free(row);
}

static void cell_set(struct row *row, enum column column, const char *text)
{
    g_free(row->cells[column]);
    row->cells[column] = log_escape(text != NULL && *text != '\0' ? text : "-");
}

/* "imaps://alice@h" as server and user. */
static void row_locate(struct row *row, const char *url)
{
    g_auto(source) source = {0};

    if (!source_parse(url, &source, NULL)) {
        cell_set(row, SERVER, url);
        return;
    }
    cell_set(row, USER, source.user);
    g_clear_pointer(&source.user, g_free);
    g_autofree char *server = source_write(&source);
    cell_set(row, SERVER, server);
}

static struct row *row_new(const char *name, const char *url)
{
    struct row *row = g_new0(struct row, 1);

    for (int i = 0; i < COLUMNS; i++)
        cell_set(row, (enum column)i, NULL);
    cell_set(row, NAME, name);
    cell_set(row, STATE, IDLE);
    if (url != NULL)
        row_locate(row, url);
    row->source = g_strdup(url);
    return row;
}

/* ---- the configuration ----------------------------------------------------------------------- */

static struct row *row_of_account(const struct account *account)
{
    struct row *row = row_new(account->name, account->source);

    if (account->address != NULL) {
        cell_set(row, SERVER, account->address);
        cell_set(row, USER, account->user);
    }
    return row;
}

static struct row *row_of_fault(const struct config_fault *fault)
{
    struct row *row = row_new(fault->name, NULL);

    cell_set(row, STATE, fault->why);
    return row;
}

static bool rows_of_file(const struct command *command, GPtrArray *rows, GError **error)
{
    g_autofree char *standard = config_default_file();
    bool several;

    if (command->config == NULL && !g_file_test(standard, G_FILE_TEST_EXISTS)) {
        g_autofree char *shown = log_escape(standard);
        fprintf(stderr,
                "mailmount: there is no configuration %s; mailmount.conf(5) says how to write "
                "one, and mailmount ADDRESS DIRECTORY mounts without\n",
                shown);
        return true;
    }
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(config_fault_free);
    g_autoptr(GPtrArray) accounts =
        config_accounts("all", command->config, command->settings, &several, faults, error);
    for (guint i = 0; accounts != NULL && i < faults->len; i++)
        g_ptr_array_add(rows, row_of_fault(faults->pdata[i]));
    for (guint i = 0; accounts != NULL && i < accounts->len; i++)
        g_ptr_array_add(rows, row_of_account(accounts->pdata[i]));
    return accounts != NULL;
}

static bool source_is_several(const char *source)
{
    return !source_is_url(source) && (g_str_equal(source, "all") || strchr(source, ',') != NULL);
}

/* ---- one mount ------------------------------------------------------------------------------- */

/* One not yet found mounted, or a new one behind the others. */
static struct row *row_find(GPtrArray *rows, const char *name, const char *source)
{
    for (guint i = 0; i < rows->len; i++) {
        struct row *row = rows->pdata[i];
        bool same = row->source != NULL ? g_str_equal(row->source, source)
                                        : g_str_equal(row->cells[NAME], name);
        if (same && g_str_equal(row->cells[MOUNTED], "-"))
            return row;
    }
    struct row *row = row_new(name, source);
    g_ptr_array_add(rows, row);
    return row;
}

static void row_mounted(struct row *row, const char *path, const char *below, const char *state)
{
    g_autofree char *whole = below != NULL ? g_build_filename(path, below, NULL) : g_strdup(path);

    cell_set(row, MOUNTED, whole);
    cell_set(row, STATE, state);
}

/* Takes what a mount says of its accounts; `several`: each is a directory in it. */
static void status_take(char *text, const char *path, bool several, GPtrArray *rows)
{
    g_autoptr(GArray) accounts = running_accounts(text);

    for (guint i = 0; i < accounts->len; i++) {
        const struct running_account *account = &g_array_index(accounts, struct running_account, i);
        row_mounted(row_find(rows, account->name, account->source), path,
                    several ? account->name : NULL, account->state);
    }
}

/* ---- mounts that do not answer --------------------------------------------------------------- */

static bool row_is_idle(const struct row *row)
{
    return g_str_equal(row->cells[STATE], IDLE) && g_str_equal(row->cells[MOUNTED], "-");
}

/* One of the configuration's, known by its group; or a new one. */
static struct row *row_named(GPtrArray *rows, const char *name)
{
    g_autofree char *shown = log_escape(name);

    for (guint i = 0; i < rows->len; i++) {
        struct row *row = rows->pdata[i];
        if (row_is_idle(row) && g_str_equal(row->cells[NAME], shown))
            return row;
    }
    struct row *row = row_new(name, NULL);
    g_ptr_array_add(rows, row);
    return row;
}

/* All that the configuration has and no other mount shows. */
static void silent_all(const char *path, GPtrArray *rows)
{
    bool any = false;

    for (guint i = 0; i < rows->len; i++) {
        struct row *row = rows->pdata[i];
        if (!row_is_idle(row))
            continue;
        g_autofree char *name = g_strdup(row->cells[NAME]);
        row_mounted(row, path, name, SILENT);
        any = true;
    }
    if (!any)
        row_mounted(row_named(rows, "all"), path, NULL, SILENT);
}

/* What it shows is only known from what it was asked for, which mountinfo tells. */
static void silent_take(const char *path, const char *source, GPtrArray *rows)
{
    g_auto(GStrv) names = g_strsplit(source, ",", -1);

    if (source_is_url(source))
        row_mounted(row_find(rows, source, source), path, NULL, SILENT);
    else if (g_str_equal(source, "all"))
        silent_all(path, rows);
    else
        for (char **name = names; *name != NULL; name++)
            row_mounted(row_named(rows, *name), path, names[1] != NULL ? *name : NULL, SILENT);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Those that do not answer come last: they get what is left. */
static void rows_of_mounts(GPtrArray *rows)
{
    g_auto(GStrv) paths = running_mine();
    g_autofree char *mountinfo = NULL;
    g_autoptr(GPtrArray) silent = g_ptr_array_new();

    g_file_get_contents("/proc/self/mountinfo", &mountinfo, NULL, NULL);
    for (char **path = paths; mountinfo != NULL && *path != NULL; path++) {
        g_auto(mount_row) row = {0};
        if (!mount_row_find(mountinfo, *path, &row))
            continue;
        g_autofree char *text = running_status(*path);
        if (text != NULL && *text != '\0')
            status_take(text, *path, source_is_several(row.source), rows);
        else
            g_ptr_array_add(silent, *path);
    }
    for (guint i = 0; i < silent->len; i++) {
        g_auto(mount_row) row = {0};
        if (mount_row_find(mountinfo, silent->pdata[i], &row))
            silent_take(silent->pdata[i], row.source, rows);
    }
}

static void rows_write(const GPtrArray *rows)
{
    glong widths[COLUMNS] = {0};

    for (int i = 0; i < COLUMNS; i++) {
        widths[i] = g_utf8_strlen(TITLES[i], -1);
        for (guint k = 0; k < rows->len; k++)
            widths[i] = MAX(widths[i], g_utf8_strlen(((struct row *)rows->pdata[k])->cells[i], -1));
    }
    for (guint k = 0; rows->len > 0 && k <= rows->len; k++)
        for (int i = 0; i < COLUMNS; i++) {
            const char *cell = k == 0 ? TITLES[i] : ((struct row *)rows->pdata[k - 1])->cells[i];
            int rest = (int)(widths[i] - g_utf8_strlen(cell, -1));
            printf("%s%*s", cell, i + 1 < COLUMNS ? rest + 2 : 0, i + 1 < COLUMNS ? "" : "\n");
        }
}

bool list_command(const struct command *command)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);
    g_autoptr(GError) error = NULL;

    if (!rows_of_file(command, rows, &error)) {
        g_autofree char *line = log_escape(error->message);
        fprintf(stderr, "mailmount: %s\n", line);
        return false;
    }
    rows_of_mounts(rows);
    rows_write(rows);
    return true;
}
