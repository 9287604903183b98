#include "fs/prefetch-command.h"

#include <errno.h>
#include <gio/gio.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fs/mountpoint.h"
#include "fs/progress.h"
#include "fs/running.h"

#define LOOK_EVERY_US (200 * 1000)
#define COLUMNS_USUAL 80

#define fail(error, ...) g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, __VA_ARGS__)

/* ---- which mount, which folder ------------------------------------------------------------------
 */

char *prefetch_folder(const char *mountpoint, const char *folder)
{
    if (!g_path_is_absolute(folder))
        return g_strdup(folder);
    if (!path_is_below(folder, mountpoint))
        return NULL;
    return g_strdup(folder + strlen(mountpoint) + strspn(folder + strlen(mountpoint), "/"));
}

/* ---- the mount ------------------------------------------------------------------------------- */

struct asked {
    char *folder; /* within the mount */
    bool over;
    bool told; /* the mount knows it, when last looked */
    int shown; /* enum engine_prefetch_state that was printed, -1: none */
    struct progress last;
    uint64_t began; /* bytes that were there when it began to fetch */
    gint64 began_us;
};

struct asking {
    char *mountpoint;
    GPtrArray *folders; /* struct asked */
    bool terminal;
    enum prefetch_result result;
};

static void asked_free(void *data)
{
    struct asked *asked = data;
    g_free(asked->folder);
    g_free(asked);
}

static void asking_clear(struct asking *asking)
{
    g_free(asking->mountpoint);
    g_clear_pointer(&asking->folders, g_ptr_array_unref);
}
typedef struct asking asking;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(asking, asking_clear)

/* Writes a request; 0 or errno. */
static int request_write(const struct asking *asking, const char *verb, const char *folder)
{
    g_autofree char *line = g_strdup_printf("%s %s", verb, folder);
    return strchr(folder, '\n') == NULL ? running_request(asking->mountpoint, line) : ENOENT;
}

static enum prefetch_result request_failed(const struct asking *asking, const char *folder,
                                           int error, GError **why)
{
    if (error == ENOENT || error == EINVAL) {
        fail(why, error == ENOENT ? "%s has no folder %s" : "in %s, %s is no folder with messages",
             asking->mountpoint, folder);
        return PREFETCH_NO_FOLDER;
    }
    if (error == EROFS)
        fail(why, "%s is mounted with ro, and takes no requests; mount it with prefetch=",
             asking->mountpoint);
    else if (error == RUNNING_SILENT)
        fail(why, "%s does not answer; see mailmount(1) for unmounting it", asking->mountpoint);
    else
        fail(why, "%s does not take requests: %s", asking->mountpoint, g_strerror(error));
    return PREFETCH_NO_MOUNT;
}

/* ---- what is shown --------------------------------------------------------------------------- */

static unsigned terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u
                                                                           : COLUMNS_USUAL - 1;
}

static void show_line(const struct progress *progress)
{
    g_autofree char *done = g_format_size(progress->bytes_done);
    g_autofree char *all = g_format_size(progress->bytes);
    printf("%s: %s, %" PRIu64 " of %" PRIu64 " messages, %s of %s\n", progress->folder,
           progress_word(progress->state), progress->messages_done, progress->messages, done, all);
    fflush(stdout);
}

static void show_bar(struct asked *asked)
{
    double seconds = (double)(g_get_monotonic_time() - asked->began_us) / G_USEC_PER_SEC;
    uint64_t fetched = asked->last.bytes_done - MIN(asked->began, asked->last.bytes_done);
    g_autofree char *bar = progress_bar(&asked->last, seconds, fetched, terminal_columns());
    printf("\r%s\033[K%s", bar, asked->over ? "\n" : "");
    fflush(stdout);
}

/* A line when it begins to fetch and one at the end; on a terminal a bar. */
static void show(const struct asking *asking, struct asked *asked)
{
    bool fetching = asked->last.state == ENGINE_PREFETCH_FETCHING;
    if (asked->shown != (int)asked->last.state && fetching) {
        asked->began = asked->last.bytes_done;
        asked->began_us = g_get_monotonic_time();
    }
    if (asking->terminal && (fetching || asked->over))
        show_bar(asked);
    else if (asked->shown != (int)asked->last.state && (fetching || asked->over))
        show_line(&asked->last);
    asked->shown = (int)asked->last.state;
}

/* ---- following ------------------------------------------------------------------------------- */

static const struct ending {
    enum engine_prefetch_state state;
    enum prefetch_result result;
    const char *words; /* NULL: none */
} ENDINGS[] = {
    {ENGINE_PREFETCH_COMPLETE, PREFETCH_OK, NULL},
    {ENGINE_PREFETCH_TOO_SMALL, PREFETCH_CUT, "the cache is too small for all of it"},
    {ENGINE_PREFETCH_PAUSED, PREFETCH_NO_SERVER, "it is paused"},
    {ENGINE_PREFETCH_OFFLINE, PREFETCH_NO_SERVER, "the server is out of reach"},
    {ENGINE_PREFETCH_STOPPED, PREFETCH_INTERRUPTED, "it was stopped by a request"},
    {ENGINE_PREFETCH_FAILED, PREFETCH_CUT, "not all messages could be fetched"},
};

static void asked_end(struct asking *asking, struct asked *asked, const struct ending *ending,
                      GError **error)
{
    asked->over = true;
    if (ending->words == NULL || asking->result != PREFETCH_OK)
        return;
    const struct progress *last = &asked->last;
    asking->result = ending->result;
    fail(error, "%s: %s; %" PRIu64 " of %" PRIu64 " messages are in the cache%s%s%s", asked->folder,
         ending->words, last->messages_done, last->messages, last->why[0] != '\0' ? " (" : "",
         last->why, last->why[0] != '\0' ? ")" : "");
}

static void asked_look(struct asking *asking, struct asked *asked, const struct progress *progress,
                       GError **error)
{
    asked->told = true;
    asked->last = *progress;
    asked->last.folder = asked->folder;
    for (size_t i = 0; i < G_N_ELEMENTS(ENDINGS); i++)
        if (ENDINGS[i].state == progress->state)
            asked_end(asking, asked, &ENDINGS[i], error);
    if (asked->over && progress->state != ENGINE_PREFETCH_COMPLETE)
        request_write(asking, "stop", asked->folder);
    show(asking, asked);
    asked->last.why = ""; /* pointed into the line */
}

/* The folder was removed or renamed meanwhile. */
static void asked_gone(struct asking *asking, struct asked *asked, GError **error)
{
    asked->over = true;
    if (asking->result != PREFETCH_OK)
        return;
    asking->result = PREFETCH_NO_FOLDER;
    fail(error, "%s: the folder is gone", asked->folder);
}

static struct asked *asked_find(const struct asking *asking, const char *folder)
{
    for (guint i = 0; i < asking->folders->len; i++) {
        struct asked *asked = asking->folders->pdata[i];
        if (!asked->over && strcmp(asked->folder, folder) == 0)
            return asked;
    }
    return NULL;
}

/* False. */
static bool asking_alone(struct asking *asking, GError **error)
{
    g_clear_error(error);
    asking->result = PREFETCH_NO_MOUNT;
    fail(error, "%s: the mount went away", asking->mountpoint);
    return false;
}

static bool asking_mounted(const struct asking *asking)
{
    g_autofree char *above = running_above(asking->mountpoint);
    return above != NULL && g_str_equal(above, asking->mountpoint);
}

/* Reads how far all are. False: the mount went away. */
static bool asking_look(struct asking *asking, GError **error)
{
    g_autofree char *path = g_build_filename(asking->mountpoint, ".mailmount/prefetch", NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL) || !asking_mounted(asking))
        return asking_alone(asking, error); /* one that ends has forgotten its folders */
    for (guint i = 0; i < asking->folders->len; i++)
        ((struct asked *)asking->folders->pdata[i])->told = false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        struct progress progress;
        struct asked *asked =
            progress_read(*line, &progress) ? asked_find(asking, progress.folder) : NULL;
        if (asked != NULL)
            asked_look(asking, asked, &progress, error);
    }
    for (guint i = 0; i < asking->folders->len; i++) {
        struct asked *asked = asking->folders->pdata[i];
        if (!asked->over && !asked->told)
            asked_gone(asking, asked, error);
    }
    return true;
}

static bool asking_is_over(const struct asking *asking)
{
    for (guint i = 0; i < asking->folders->len; i++)
        if (!((const struct asked *)asking->folders->pdata[i])->over)
            return false;
    return true;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void signals_catch(void)
{
    const struct sigaction end = {.sa_handler = on_signal};
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGHUP, &end, NULL);
}

static void asking_stop(struct asking *asking, GError **error)
{
    for (guint i = 0; i < asking->folders->len; i++) {
        const struct asked *asked = asking->folders->pdata[i];
        if (!asked->over)
            request_write(asking, "stop", asked->folder);
    }
    if (asking->terminal)
        putchar('\n');
    g_clear_error(error);
    asking->result = PREFETCH_INTERRUPTED;
    fail(error, "interrupted; what has come stays in the cache");
}

static void asking_follow(struct asking *asking, GError **error)
{
    while (asking_look(asking, error) && !asking_is_over(asking)) {
        if (interrupted != 0) {
            asking_stop(asking, error);
            return;
        }
        g_usleep(LOOK_EVERY_US);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* As the mount names it, without needless slashes. */
static char *folder_plain(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    GString *plain = g_string_new(NULL);
    for (char **part = parts; *part != NULL; part++)
        if (**part != '\0')
            g_string_append_printf(plain, "%s%s", plain->len > 0 ? "/" : "", *part);
    return g_string_free(plain, FALSE);
}

static enum prefetch_result asking_add(struct asking *asking, const char *word, bool is_path,
                                       GError **error)
{
    g_autofree char *real = is_path || g_path_is_absolute(word) ? running_resolve(word) : NULL;
    g_autofree char *within = prefetch_folder(asking->mountpoint, real != NULL ? real : word);
    if (within == NULL) {
        fail(error, "%s does not lie below %s", word, asking->mountpoint);
        return PREFETCH_NO_FOLDER;
    }
    struct asked *asked = g_new0(struct asked, 1);
    asked->folder = folder_plain(within);
    asked->shown = -1;
    asked->last.why = "";
    g_ptr_array_add(asking->folders, asked);
    int failed = request_write(asking, "prefetch", asked->folder);
    return failed == 0 ? PREFETCH_OK : request_failed(asking, asked->folder, failed, error);
}

enum prefetch_result prefetch_command(const struct command *command, GError **error)
{
    g_auto(asking) asking = {.terminal = isatty(STDOUT_FILENO) != 0};
    const char *where = command->mountpoint != NULL ? command->mountpoint : command->prefetch[0];
    asking.mountpoint = running_above(where);
    asking.folders = g_ptr_array_new_with_free_func(asked_free);
    if (asking.mountpoint == NULL) {
        fail(error, "there is no mount of mailmount at %s", where);
        return PREFETCH_NO_MOUNT;
    }
    signals_catch();
    for (char **word = command->prefetch; *word != NULL && asking.result == PREFETCH_OK; word++)
        asking.result = asking_add(&asking, *word, command->mountpoint == NULL, error);
    if (asking.result == PREFETCH_OK)
        asking_follow(&asking, error);
    return asking.result;
}
