#include "fs/list-command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/config.h"
#include "fs/log.h"
#include "fs/mountpoint.h"
#include "fs/running.h"
#include "fs/source.h"

#define ANSWER_US (2 * G_USEC_PER_SEC) /* that a mount may take to say how it is */
#define STATUS_MAX (64 * 1024)         /* bytes of it that are read */

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
    cell_set(row, STATE, "not mounted");
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

/* ---- one mount ------------------------------------------------------------------------------- */

static gpointer status_read(gpointer data)
{
    g_autofree char *path = ((gpointer *)data)[0];
    GAsyncQueue *answers = ((gpointer *)data)[1];
    g_autofree char *text = g_new0(char, STATUS_MAX + 1);
    FILE *file = fopen(path, "re");

    if (file != NULL) {
        text[fread(text, 1, STATUS_MAX, file)] = '\0';
        fclose(file);
    }
    g_free(data);
    g_async_queue_push(answers, g_steal_pointer(&text));
    g_async_queue_unref(answers);
    return NULL;
}

/* What a mount says of itself; NULL: it does not answer. A hanging one holds up its own thread. */
static char *mount_status(const char *path)
{
    GAsyncQueue *answers = g_async_queue_new_full(g_free);
    gpointer *look = g_new(gpointer, 2);

    look[0] = g_build_filename(path, ".mailmount", "status", NULL);
    look[1] = g_async_queue_ref(answers);
    g_thread_unref(g_thread_new("status", status_read, look));
    char *text = g_async_queue_timeout_pop(answers, ANSWER_US);
    g_async_queue_unref(answers);
    return text;
}

/* The value of "KEY: value", NULL: it is another line. Borrowed. */
static const char *line_value(const char *line, const char *key)
{
    size_t length = strlen(key);

    return strncmp(line, key, length) == 0 && g_str_has_prefix(line + length, ": ")
               ? line + length + 2
               : NULL;
}

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
static void status_take(const char *text, const char *path, bool several, GPtrArray *rows)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const char *name = NULL, *source = NULL;

    for (char **line = lines; *line != NULL; line++) {
        const char *value;
        if ((value = line_value(*line, "account")) != NULL)
            name = value;
        else if ((value = line_value(*line, "source")) != NULL)
            source = value;
        else if ((value = line_value(*line, "state")) != NULL && name != NULL && source != NULL)
            row_mounted(row_find(rows, name, source), path, several ? name : NULL, value);
    }
}

/* False: it does not answer. */
static bool mount_take(const char *path, const char *source, GPtrArray *rows)
{
    bool several = g_str_equal(source, "all") || strchr(source, ',') != NULL;
    g_autofree char *text = mount_status(path);

    if (text != NULL && *text != '\0') {
        status_take(text, path, several && !source_is_url(source), rows);
        return true;
    }
    struct row *row = row_new(source, source_is_url(source) ? source : NULL);
    row_mounted(row, path, NULL, "does not answer; see mailmount(1) for unmounting it");
    g_ptr_array_add(rows, row);
    return text != NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* False: one of them hangs, and a thread of ours with it. */
static bool rows_of_mounts(GPtrArray *rows)
{
    g_auto(GStrv) paths = running_mine();
    g_autofree char *text = NULL;
    bool all = true;

    g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL);
    for (char **path = paths; text != NULL && *path != NULL; path++) {
        g_auto(mount_row) row = {0};
        if (mount_row_find(text, *path, &row))
            all &= mount_take(*path, row.source, rows);
    }
    return all;
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
    bool all = rows_of_mounts(rows);
    rows_write(rows);
    if (!all && fflush(stdout) == 0)
        _exit(0); /* what runs at the end of a process might wait for the thread that hangs */
    return true;
}
