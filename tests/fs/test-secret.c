#include "fs/secret.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "fs/secret-command.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED /* its mlock() does nothing */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static struct account *account_new(void)
{
    struct account *account = g_new0(struct account, 1);

    account->name = g_strdup("work");
    account->user = g_strdup("alice");
    account->host = g_strdup("imap.example.org");
    return account;
}

static struct secret *ask_for(const char *command, bool may_prompt, GError **error)
{
    g_autoptr(account) account = account_new();

    account->password_command = g_strdup(command);
    return secret_ask(account, may_prompt, NULL, error);
}

static struct secret *ask(const char *command, GError **error)
{
    return ask_for(command, false, error);
}

static void test_memory(void)
{
    struct secret *secret = secret_new("hunter2xxx", 7);

    g_assert_cmpstr(secret_text(secret), ==, "hunter2");
    g_assert_true(secret_ref(secret) == secret);
    secret_unref(secret);
    g_assert_cmpstr(secret_text(secret), ==, "hunter2");
    secret_unref(secret);
    secret_unref(NULL);
}

/* "dd" (do not dump) and "lo" (locked) in the flags of the mapping that holds the secret. */
static void test_memory_flags(void)
{
    g_autoptr(secret) secret = secret_new("x", 1);
    g_autofree char *maps = NULL;
    g_autofree char *start = g_strdup_printf(
        "%lx-", (gulong)((guintptr)secret_text(secret) & ~(guintptr)(sysconf(_SC_PAGESIZE) - 1)));

    g_assert_true(g_file_get_contents("/proc/self/smaps", &maps, NULL, NULL));
    const char *mapping = strstr(maps, start);
    if (mapping == NULL) {
        g_test_skip("the mapping was merged with a neighbour");
        return;
    }
    const char *flags = strstr(mapping, "VmFlags:");
    g_assert_nonnull(flags);
    g_autofree char *line = g_strndup(flags, strcspn(flags, "\n"));
    g_assert_nonnull(strstr(line, " dd"));
#ifndef SANITIZED
    g_assert_nonnull(strstr(line, " lo"));
#endif
}

static void test_command_good(void)
{
    static const struct {
        const char *command, *secret;
    } CASES[] = {
        {"echo hunter2", "hunter2"},
        {"printf hunter2", "hunter2"},
        {"printf 'one\\ntwo\\n'", "one"},
        {"printf 'crlf\\r\\n'", "crlf"},
        {"printf ' blanks stay \\n'", " blanks stay "},
        {"printf 'gr\\303\\274n\\n'", "gr\303\274n"},
        {"pwd", "/"},
        {"cat; echo no input", "no input"},
        {"echo first; yes | head -c 300000", "first"},
        {"echo quick; while kill -0 $PPID; do sleep 1; done 2>/dev/null &", "quick"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(secret) secret = ask(CASES[i].command, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(secret_text(secret), ==, CASES[i].secret);
    }
}

static void test_command_bad(void)
{
    static const struct {
        const char *command, *message;
    } CASES[] = {
        {"true", "the password_command of work printed no password"},
        {"printf '\\nsecond\\n'", "the password_command of work printed no password"},
        {"echo hunter2; exit 3", "the password_command of work ended with status 3"},
        {"mailmount-no-such-command 2>/dev/null",
         "the password_command of work ended with status 127"},
        {"kill -9 $$", "the password_command of work was killed by signal 9"},
        {"echo keyring is locked >&2; exit 1",
         "the password_command of work ended with status 1: keyring is locked"},
        {"printf 'first\\n  last \\r\\n\\n' >&2; kill -9 $$",
         "the password_command of work was killed by signal 9: last"},
        {"printf '\\033[31mred\\377\\n' >&2; exit 2",
         "the password_command of work ended with status 2: \\x1b[31mred\\xff"},
        {"echo no entry >&2", "the password_command of work printed no password: no entry"},
        {"set -x; echo hunter2; exit 2",
         "the password_command of work ended with status 2: + exit 2"},
        {"echo hunter2; echo hunter2 is old >&2; exit 2",
         "the password_command of work ended with status 2"},
        {"printf '\\n \\n' >&2; exit 2", "the password_command of work ended with status 2"},
        {"head -c 3000 /dev/zero | tr '\\000' x >&2; exit 2",
         "the password_command of work ended with status 2: "
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
        {"printf 'a\\000b\\n'",
         "the password_command of work printed something that cannot be a password"},
        {"head -c 200000 /dev/zero | tr '\\000' x",
         "the password_command of work printed something that cannot be a password"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(ask(CASES[i].command, &error));
        g_assert_cmpstr(error->message, ==, CASES[i].message);
    }
}

/* The whole process group goes, not only the shell. */
static void test_command_timeout(void)
{
    g_autoptr(GError) error = NULL;
    char output[64];
    g_autofree char *said = NULL;
    size_t length = 0;
    long pid = 0;

    const struct secret_command command = {
        .option = "token_command", .text = "sleep 300 & echo $!; wait", .seconds = 1};
    g_assert_false(
        secret_command_run(&command, output, sizeof(output) - 1, &length, &said, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    output[length] = '\0';
    g_assert_cmpint(sscanf(output, "%ld", &pid), ==, 1);
    g_autofree char *path = g_strdup_printf("/proc/%ld/stat", pid);
    for (;;) { /* dead or a zombie that init has yet to reap; the test's own hang guard ends it */
        g_autofree char *stat = NULL;
        if (!g_file_get_contents(path, &stat, NULL, NULL) || strstr(stat, ") Z") != NULL)
            break;
        g_usleep(10000);
    }
}

static void test_endless_output(void)
{
    g_autoptr(GError) error = NULL;
    char output[64];
    g_autofree char *said = NULL;
    size_t length = 0;

    const struct secret_command command = {
        .option = "password_command", .text = "yes", .seconds = 1};
    g_assert_false(secret_command_run(&command, output, sizeof(output), &length, &said, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    g_assert_cmpuint(length, ==, sizeof(output));
}

static void test_stderr_logged(void)
{
    g_test_expect_message("fs", G_LOG_LEVEL_MESSAGE, "password_command: the vault is locked");
    g_autoptr(GError) error = NULL;
    g_assert_null(ask("echo the vault is locked >&2; exit 1", &error));
    g_test_assert_expected_messages();
}

static gpointer cancel_soon(gpointer cancel)
{
    g_usleep(100000);
    g_cancellable_cancel(cancel);
    return NULL;
}

/* A stop need not wait for a command that hangs. */
static void test_command_cancelled(void)
{
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    const struct secret_command command = {
        .option = "token_command", .text = "sleep 1000", .seconds = 900, .cancel = cancel};
    char output[64];
    g_autofree char *said = NULL;
    size_t length = 0;
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);

    for (int round = 0; round < 2; round++) { /* while it runs, and before it is run */
        g_autoptr(GError) error = NULL;
        g_assert_false(
            secret_command_run(&command, output, sizeof(output), &length, &said, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    }
    g_thread_join(thread);
}

static void test_token(void)
{
    static const struct {
        const char *command, *token, *message; /* one of them is NULL */
    } CASES[] = {
        {"echo ya29.a0-_~+/==", "ya29.a0-_~+/==", NULL},
        {"true", NULL, "the token_command of work printed no token"},
        {"echo 'no token here'", NULL,
         "the token_command of work printed something that cannot be a token"},
        {"printf 'a\\001b\\n'", NULL,
         "the token_command of work printed something that cannot be a token"},
        {"exit 4", NULL, "the token_command of work ended with status 4"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(account) account = account_new();
        g_autoptr(GError) error = NULL;
        account->token_command = g_strdup(CASES[i].command);
        g_autoptr(secret) secret = secret_ask(account, false, NULL, &error);
        if (CASES[i].token != NULL)
            g_assert_cmpstr(secret_text(secret), ==, CASES[i].token);
        else
            g_assert_cmpstr(error->message, ==, CASES[i].message);
    }
}

/* ---- files ---- */

static char *home; /* of the test's own */

/* Writes a file in the home folder; the caller's path. */
static char *file_put(const char *name, const char *text, int mode)
{
    char *path = g_build_filename(home, name, NULL);
    g_unlink(path);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(g_chmod(path, mode), ==, 0);
    return path;
}

static void test_file(void)
{
    static const struct {
        const char *text;
        int mode;
        const char *secret, *message; /* one of them is NULL */
    } CASES[] = {
        {"hunter2\n", 0600, "hunter2", NULL},
        {"hunter2", 0400, "hunter2", NULL},
        {"hunter2\r\nsecond\n", 0600, "hunter2", NULL},
        {"hunter2\n", 0640, NULL, "open to other users; chmod 600 it"},
        {"hunter2\n", 0604, NULL, "open to other users; chmod 600 it"},
        {"hunter2\n", 0620, NULL, "open to other users; chmod 600 it"},
        {"hunter2\n", 0601, NULL, "open to other users; chmod 600 it"},
        {"", 0600, NULL, "holds no password"},
        {"\nhunter2\n", 0600, NULL, "holds no password"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(account) account = account_new();
        g_autoptr(GError) error = NULL;
        account->password_file = file_put("password", CASES[i].text, CASES[i].mode);
        g_autoptr(secret) secret = secret_ask(account, true, NULL, &error);
        if (CASES[i].secret != NULL) {
            g_assert_no_error(error);
            g_assert_cmpstr(secret_text(secret), ==, CASES[i].secret);
            continue;
        }
        g_assert_null(secret);
        g_assert_nonnull(strstr(error->message, CASES[i].message));
        g_assert_nonnull(strstr(error->message, account->password_file));
        g_assert_null(strstr(error->message, "hunter2"));
    }
    g_autofree char *gone = g_build_filename(home, "password", NULL);
    g_unlink(gone);
}

static void test_file_bad(void)
{
    g_autofree char *long_text = g_strnfill(100 * 1024, 'x');
    g_autofree char *long_file = file_put("long", long_text, 0600);
    g_autofree char *link = g_build_filename(home, "link", NULL);
    g_assert_cmpint(symlink("/dev/zero", link), ==, 0);
    const char *const CASES[][2] = {{"/nonexistent/password", "No such file"},
                                    {home, "not a regular file"},
                                    {link, "not a regular file"},
                                    {long_file, "too big"}};

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(account) account = account_new();
        g_autoptr(GError) error = NULL;
        account->password_file = g_strdup(CASES[i][0]);
        g_assert_null(secret_ask(account, true, NULL, &error));
        g_assert_nonnull(strstr(error->message, CASES[i][1]));
    }
    if (geteuid() == 0) { /* another user's */
        g_autoptr(account) account = account_new();
        g_autoptr(GError) error = NULL;
        account->password_file = file_put("long", "hunter2\n", 0600);
        g_assert_cmpint(chown(account->password_file, 65534, 65534), ==, 0);
        g_assert_null(secret_ask(account, true, NULL, &error));
        g_assert_nonnull(strstr(error->message, "belongs to another user"));
    }
    g_unlink(long_file);
    g_unlink(link);
}

/* The key of a client certificate, wherever it is. */
static void test_key(void)
{
    static const struct {
        const char *cert, *key; /* modes, NULL: no such option, "": no such file */
        const char *message;    /* NULL: it may be used */
    } CASES[] = {
        {NULL, NULL, NULL},        {NULL, "644", NULL}, /* never read */
        {"600", NULL, NULL},       {"400", NULL, NULL},       {"644", "600", NULL},
        {"644", "", NULL},         {"", NULL, NULL},          {"644", NULL, "tls_cert"},
        {"640", NULL, "tls_cert"}, {"644", "640", "tls_key"}, {"600", "604", "tls_key"},
        {"600", "620", "tls_key"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        const char *const modes[] = {CASES[i].cert, CASES[i].key};
        char *paths[] = {NULL, NULL};
        for (int n = 0; n < 2; n++) {
            guint64 mode = modes[n] != NULL ? g_ascii_strtoull(modes[n], NULL, 8) : 0;
            if (mode != 0)
                paths[n] = file_put(n == 0 ? "cert" : "key", "x", (int)mode);
            else if (modes[n] != NULL)
                paths[n] = g_strdup("/nonexistent/key");
        }
        g_autoptr(account) account = account_new();
        g_autoptr(GError) error = NULL;
        account->tls_cert = paths[0];
        account->tls_key = paths[1];
        g_assert_true(secret_key_is_private(account, &error) == (CASES[i].message == NULL));
        g_assert_true(error == NULL || g_str_has_prefix(error->message, CASES[i].message));
        g_assert_true(error == NULL || strstr(error->message, "chmod 600") != NULL);
        for (int n = 0; n < 2; n++)
            if (paths[n] != NULL)
                g_unlink(paths[n]);
    }
}

static void test_netrc_file(void)
{
    static const char TEXT[] = "machine imap.example.org login alice password \"hunter 2\"\n";
    g_autoptr(account) account = account_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *usual = file_put(".netrc", TEXT, 0600);
    g_autoptr(secret) first = secret_ask(account, false, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(secret_text(first), ==, "hunter 2");

    /* the usual one is only passed over */
    static const struct {
        const char *text;
        int mode;
        const char *warning; /* NULL: none */
    } CASES[] = {{TEXT, 0644, "*open to other users*not used*"},
                 {"machine \"x", 0600, "*line 1 makes no sense*not used*"},
                 {"machine other password x", 0600, NULL},
                 {"default login alice password x", 0600, NULL}};
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GError) none = NULL;
        g_free(file_put(".netrc", CASES[i].text, CASES[i].mode));
        if (CASES[i].warning != NULL)
            g_test_expect_message("fs", G_LOG_LEVEL_WARNING, CASES[i].warning);
        g_assert_null(secret_ask(account, false, NULL, &none));
        g_assert_error(none, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
        g_test_assert_expected_messages();
        g_clear_pointer(&account->netrc, g_free); /* but not one that was named */
        g_autoptr(GError) named = NULL;
        account->netrc = g_strdup(usual);
        g_assert_null(secret_ask(account, true, NULL, &named));
        g_assert_error(named, G_IO_ERROR, G_IO_ERROR_FAILED);
        g_assert_nonnull(strstr(named->message, usual));
        g_clear_pointer(&account->netrc, g_free);
    }
    g_unlink(usual);
}

static void check_ask(const struct account *account, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(secret) secret = secret_ask(account, false, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(secret_text(secret), ==, expected);
}

/* Each source before those that came here before it. */
static void test_order(void)
{
    g_autoptr(account) account = account_new();
    g_autofree char *netrc = file_put(".netrc", "machine imap.example.org password netrc\n", 0600);
    check_ask(account, "netrc");
    g_setenv("CREDENTIALS_DIRECTORY", "relative", TRUE);
    check_ask(account, "netrc");
    g_setenv("CREDENTIALS_DIRECTORY", home, TRUE);
    check_ask(account, "netrc");
    g_autofree char *prefixed = file_put("mailmount.work", "prefixed\n", 0440);
    check_ask(account, "prefixed");
    g_autofree char *credential = file_put("work", "credential", 0440);
    check_ask(account, "credential");
    account->password_file = file_put("password", "file\n", 0600);
    check_ask(account, "file");
    account->password_command = g_strdup("echo command");
    check_ask(account, "command");
    g_unsetenv("CREDENTIALS_DIRECTORY");
    const char *const PATHS[] = {netrc, prefixed, credential, account->password_file};
    for (size_t i = 0; i < G_N_ELEMENTS(PATHS); i++)
        g_assert_cmpint(g_unlink(PATHS[i]), ==, 0);
}

/* The name of an account leads nowhere else. */
static void test_credential_name(void)
{
    g_autoptr(account) account = account_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *file = file_put("work", "stolen\n", 0600);
    g_autofree char *below = g_build_filename(home, "below", NULL);
    g_assert_cmpint(g_mkdir(below, 0700), ==, 0);
    g_setenv("CREDENTIALS_DIRECTORY", below, TRUE);
    g_free(account->name);
    account->name = g_strdup("../work");
    g_assert_null(secret_ask(account, false, NULL, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
    g_unsetenv("CREDENTIALS_DIRECTORY");
    g_rmdir(below);
    g_unlink(file);
}

static void test_no_terminal(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(ask(NULL, &error));
    g_assert_nonnull(strstr(error->message, "set password_command="));
}

/* ---- the prompt ---- */

static bool terminal_echoes(void)
{
    struct termios now;
    return tcgetattr(STDIN_FILENO, &now) == 0 && (now.c_lflag & ECHO) != 0;
}

static void on_interrupt(int number)
{
}

/* As the program catches it: what waits is interrupted. */
static void interrupt_catch(void)
{
    const struct sigaction caught = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &caught, NULL);
}

enum { READ_RIGHT, READ_WRONG, READ_NONE, READ_DEAF = 9 };

/* In a child with a terminal of its own; READ_DEAF: it was left without echo. */
static int prompt_child(const char *expected)
{
    interrupt_catch();
    g_autoptr(secret) secret = ask_for(NULL, true, NULL);

    if (!terminal_echoes())
        return READ_DEAF;
    if (secret == NULL)
        return READ_NONE;
    return strcmp(secret_text(secret), expected) == 0 ? READ_RIGHT : READ_WRONG;
}

/* Reads what the terminal shows until `until` is in it. */
static void terminal_expect(int tty, const char *until, GString *shown)
{
    char c;

    while (strstr(shown->str, until) == NULL && read(tty, &c, 1) == 1)
        g_string_append_c(shown, c);
}

/* To the end; of a flood the terminal may drop the end of the line too, and who types presses Enter
 * again. */
static void terminal_finish(int tty, GString *shown)
{
    struct pollfd fd = {tty, POLLIN, 0};
    char c;

    for (;;)
        if (poll(&fd, 1, 1000) == 0)
            g_assert_cmpint(write(tty, "\n", 1), ==, 1);
        else if (read(tty, &c, 1) == 1)
            g_string_append_c(shown, c);
        else
            return;
}

static int prompt_run(const char *typed, const char *expected, GString *shown)
{
    int tty, status;
    pid_t pid = forkpty(&tty, NULL, NULL, NULL);

    if (pid == 0)
        _exit(prompt_child(expected));
    terminal_expect(tty, "Password of alice at imap.example.org: ", shown);
    g_assert_cmpint(write(tty, typed, strlen(typed)), ==, strlen(typed));
    terminal_finish(tty, shown);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    close(tty);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void test_prompt(void)
{
    static const struct {
        const char *typed, *expected;
        int result;
    } CASES[] = {
        {"hunter2\n", "hunter2", READ_RIGHT},
        {"hunter3\n", "hunter2", READ_WRONG},
        {"hunter22\177\n", "hunter2", READ_RIGHT}, /* backspace */
        {"hunter9\025hunter2\n", "hunter2", READ_RIGHT},
        {" hunter2 \n", " hunter2 ", READ_RIGHT},
        {"hunt\303\274r\n", "hunt\303\274r", READ_RIGHT},
        {"hunt\377\n", "hunt\377", READ_RIGHT},       /* whatever it is, it is his */
        {"hunter\0322\n", "hunter\0322", READ_RIGHT}, /* Ctrl-Z stops nobody */
        {"\n", "", READ_NONE},
        {"\004", "", READ_NONE},
        {"hunt\003", "", READ_NONE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GString) shown = g_string_new(NULL);
        g_assert_cmpint(prompt_run(CASES[i].typed, CASES[i].expected, shown), ==, CASES[i].result);
        g_assert_null(strstr(shown->str, "hunt"));
    }
}

/* A terminal keeps 4095 bytes of a line; whatever comes, it ends. */
static void test_prompt_long(void)
{
    g_autofree char *most = g_strnfill(4000, 'x');
    g_autofree char *much = g_strnfill(20000, 'x');
    g_autofree char *typed = g_strconcat(most, "\n", NULL);
    g_autofree char *flood = g_strconcat(much, "\n", NULL);
    g_autoptr(GString) shown = g_string_new(NULL);

    g_assert_cmpint(prompt_run(typed, most, shown), ==, READ_RIGHT);
    g_assert_null(strstr(shown->str, "xx"));
    int result = prompt_run(flood, much, shown); /* a part of it, or nothing */
    g_assert_true(result == READ_WRONG || result == READ_NONE);
}

int main(int argc, char *argv[])
{
    home = g_dir_make_tmp("mailmount-home-XXXXXX", NULL);
    g_setenv("HOME", home, TRUE);
    g_unsetenv("CREDENTIALS_DIRECTORY");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/secret/memory", test_memory);
    g_test_add_func("/secret/memory-flags", test_memory_flags);
    g_test_add_func("/secret/command-good", test_command_good);
    g_test_add_func("/secret/command-bad", test_command_bad);
    g_test_add_func("/secret/command-timeout", test_command_timeout);
    g_test_add_func("/secret/command-cancelled", test_command_cancelled);
    g_test_add_func("/secret/token", test_token);
    g_test_add_func("/secret/endless-output", test_endless_output);
    g_test_add_func("/secret/stderr-logged", test_stderr_logged);
    g_test_add_func("/secret/file", test_file);
    g_test_add_func("/secret/file-bad", test_file_bad);
    g_test_add_func("/secret/key", test_key);
    g_test_add_func("/secret/netrc", test_netrc_file);
    g_test_add_func("/secret/order", test_order);
    g_test_add_func("/secret/credential-name", test_credential_name);
    g_test_add_func("/secret/no-terminal", test_no_terminal);
    g_test_add_func("/secret/prompt", test_prompt);
    g_test_add_func("/secret/prompt-long", test_prompt_long);
    int status = g_test_run();
    g_rmdir(home);
    g_free(home);
    return status;
}
