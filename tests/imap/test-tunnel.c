/* A command's standard input and output as the connection. */
#include "imap/imap.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define GREET "printf '* PREAUTH [CAPABILITY IMAP4rev1] hello\\r\\n';"

static struct imap_session *tunnel_open(const char *command, enum imap_tls tls, unsigned timeout_s,
                                        GCancellable *cancel, GError **error)
{
    const struct imap_server server = {
        .host = "mail.example", .port = 143, .tls = tls, .timeout_s = timeout_s, .tunnel = command};
    const struct imap_login login = {.user = "alice", .auth = "auto"};

    return imap_session_open(&server, &login, cancel, error);
}

static const struct bad {
    const char *command, *words;
    enum imap_error error;
    enum imap_tls tls;
    unsigned timeout_s;
} BAD[] = {
    {"echo 'Permission denied.' >&2; exit 255", "tunnel_command ended with status 255: Permission",
     IMAP_ERROR_LOST, IMAP_TLS_NONE, 0},
    {"printf 'no\\033newline' >&2; exit 3", "ended with status 3: no?newline", IMAP_ERROR_LOST,
     IMAP_TLS_NONE, 0},
    {"/nonexistent/command", "ended with status 127", IMAP_ERROR_LOST, IMAP_TLS_NONE, 0},
    {"exec true", "ended with status 0", IMAP_ERROR_LOST, IMAP_TLS_NONE, 0},
    {"kill -9 $$", "was killed by signal 9", IMAP_ERROR_LOST, IMAP_TLS_NONE, 0},
    {"echo 220 mail ESMTP; exec cat", "it says \"220 mail ESMTP\"", IMAP_ERROR_NOT_IMAP,
     IMAP_TLS_NONE, 0},
    {"exec sleep 1000", "no greeting through tunnel_command: mail.example does not",
     IMAP_ERROR_TIMEOUT, IMAP_TLS_NONE, 1},
    {"exec <&- >&-; sleep 1000", "tunnel_command ended it", IMAP_ERROR_LOST, IMAP_TLS_NONE, 0},
    {GREET "exec cat", "PREAUTH", IMAP_ERROR_TLS, IMAP_TLS_STARTTLS, 0},
    {"exec cat", "TLS with mail.example failed", IMAP_ERROR_TLS, IMAP_TLS_IMPLICIT, 0},
    {"echo '* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi'; exec cat", "wants a password",
     IMAP_ERROR_MECHANISM, IMAP_TLS_NONE, 0},
};

static void test_bad(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(BAD); i++) {
        g_autoptr(GError) error = NULL;
        struct imap_session *session =
            tunnel_open(BAD[i].command, BAD[i].tls, BAD[i].timeout_s, NULL, &error);
        g_test_message("%s: %s", BAD[i].command, error ? error->message : "opened");
        g_assert_null(session);
        g_assert_error(error, IMAP_ERROR, (gint)BAD[i].error);
        g_assert_nonnull(strstr(error->message, BAD[i].words));
        g_assert_nonnull(strstr(error->message, "mail.example"));
        g_assert_null(strchr(error->message, '\n'));
        g_assert_false(g_str_has_suffix(error->message, "."));
    }
}

/* ---- the process ----------------------------------------------------------------------------- */

struct files {
    char *folder, *told;
};

static struct files files_new(void)
{
    struct files files = {.folder = g_dir_make_tmp("test-tunnel-XXXXXX", NULL)};

    g_assert_nonnull(files.folder);
    files.told = g_build_filename(files.folder, "told", NULL);
    return files;
}

static void files_clear(struct files *files)
{
    g_unlink(files->told);
    g_rmdir(files->folder);
    g_free(files->told);
    g_free(files->folder);
}

static char *told(const struct files *files)
{
    char *text = NULL;

    g_assert_true(g_file_get_contents(files->told, &text, NULL, NULL));
    return text;
}

static bool group_runs(pid_t pid)
{
    return kill(-pid, 0) == 0;
}

/* The command is told to write its process id before it greets. */
static struct imap_session *pid_open(const struct files *files, const char *rest, pid_t *pid)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *command = g_strdup_printf("echo $$ > %s; %s", files->told, rest);
    struct imap_session *session = tunnel_open(command, IMAP_TLS_NONE, 0, NULL, &error);

    g_assert_no_error(error);
    g_autofree char *text = told(files);
    *pid = (pid_t)g_ascii_strtoll(text, NULL, 10);
    g_assert_cmpint(*pid, >, 1);
    g_assert_cmpint(getpgid(*pid), ==, *pid);
    g_assert_cmpint(getsid(*pid), ==, *pid);
    return session;
}

/* Whatever it does: it and its group end with the connection. */
static void test_ends(void)
{
    static const char *const COMMANDS[] = {
        GREET "exec cat > /dev/null",
        GREET "exec sleep 1000",
        "sleep 1000 & " GREET "sleep 1000",
        "trap '' TERM HUP; " GREET "while :; do sleep 1; done",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++) {
        struct files files = files_new();
        pid_t pid;
        struct imap_session *session = pid_open(&files, COMMANDS[i], &pid);
        g_assert_null(imap_session_mechanism(session));
        g_assert_true(group_runs(pid));
        imap_session_free(session);
        while (group_runs(pid))
            g_usleep(1000);
        files_clear(&files);
    }
}

static void test_descriptors(void)
{
    struct files files = files_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *command = g_strdup_printf(
        "for fd in /proc/$$/fd/*; do readlink $fd; done > %s; pwd >> %s; " GREET "exec cat >&2",
        files.told, files.told);
    int leak = open("/dev/zero", O_RDONLY); /* without O_CLOEXEC */
    struct imap_session *session = tunnel_open(command, IMAP_TLS_NONE, 0, NULL, &error);

    g_assert_no_error(error);
    imap_session_free(session);
    close(leak);
    g_autofree char *text = told(&files);
    g_test_message("%s", text);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned sockets = 0, pipes = 0;
    for (char **line = lines; *line; line++) {
        sockets += g_str_has_prefix(*line, "socket:");
        pipes += g_str_has_prefix(*line, "pipe:");
    }
    g_assert_null(strstr(text, "/dev/zero"));
    g_assert_null(strstr(text, "eventfd"));
    g_assert_nonnull(strstr(text, "\n/\n"));
    g_assert_cmpuint(sockets, <=, 2);
    g_assert_cmpuint(sockets, >=, 1);
    g_assert_cmpuint(pipes, ==, 1);
    files_clear(&files);
}

static gpointer cancel_soon(gpointer data)
{
    g_usleep(100000);
    g_cancellable_cancel(data);
    return NULL;
}

static void test_cancel(void)
{
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_autoptr(GError) error = NULL;
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);

    g_assert_null(tunnel_open("exec sleep 1000", IMAP_TLS_NONE, 600, cancel, &error));
    g_assert_error(error, IMAP_ERROR, IMAP_ERROR_CANCELLED);
    g_thread_join(thread);
}

/* ---- standard error -------------------------------------------------------------------------- */

static gint lines, longest; /* atomic */

static void on_log(const char *domain, GLogLevelFlags level, const char *text, gpointer data)
{
    if (!g_str_has_prefix(text, "tunnel_command"))
        return;
    g_assert_null(strpbrk(text, "\n\033"));
    if (level & G_LOG_LEVEL_MESSAGE) {
        g_atomic_int_inc(&lines);
        g_atomic_int_set(&longest, MAX(g_atomic_int_get(&longest), (gint)strlen(text)));
    }
}

static void test_complaints(void)
{
    guint handler = g_log_set_handler("imap", G_LOG_LEVEL_MASK, on_log, NULL);
    g_autoptr(GError) error = NULL;
    struct imap_session *session = tunnel_open(
        "(head -c 300000 /dev/zero | tr '\\0' x; echo; yes no | head -n 5000; printf '\\033[2J\\n')"
        " >&2; " GREET "exec cat",
        IMAP_TLS_NONE, 0, NULL, &error);

    g_assert_no_error(error);
    while (g_atomic_int_get(&lines) < 101)
        g_usleep(1000);
    imap_session_free(session);
    g_usleep(100000);
    g_assert_cmpint(g_atomic_int_get(&lines), ==, 101);
    g_assert_cmpint(g_atomic_int_get(&longest), >, 200);
    g_assert_cmpint(g_atomic_int_get(&longest), <, 600);
    g_log_remove_handler("imap", handler);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/tunnel/bad", test_bad);
    g_test_add_func("/imap/tunnel/ends", test_ends);
    g_test_add_func("/imap/tunnel/descriptors", test_descriptors);
    g_test_add_func("/imap/tunnel/cancel", test_cancel);
    g_test_add_func("/imap/tunnel/complaints", test_complaints);
    return g_test_run();
}
