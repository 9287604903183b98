#include "fs/secret.h"

#include <fcntl.h>
#include <gio/gio.h>
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

static struct secret *ask_for(const char *command, bool may_prompt, GError **error)
{
    g_autoptr(account) account = g_new0(struct account, 1);

    account->name = g_strdup("work");
    account->user = g_strdup("alice");
    account->host = g_strdup("imap.example.org");
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
    size_t length = 0;
    long pid = 0;

    const struct secret_command command = {
        .option = "token_command", .text = "sleep 300 & echo $!; wait", .seconds = 1};
    g_assert_false(secret_command_run(&command, output, sizeof(output) - 1, &length, &error));
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
    size_t length = 0;

    const struct secret_command command = {
        .option = "password_command", .text = "yes", .seconds = 1};
    g_assert_false(secret_command_run(&command, output, sizeof(output), &length, &error));
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

static void test_no_terminal(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(ask(NULL, &error));
    g_assert_nonnull(strstr(error->message, "set password_command="));
}

/* ---- the prompt ---- */

/* In a child with a terminal of its own: 0 if the secret was read as typed. */
static int prompt_child(void)
{
    g_autoptr(secret) secret = ask_for(NULL, true, NULL);

    return secret != NULL && strcmp(secret_text(secret), "hunter2") == 0 ? 0 : 1;
}

/* Reads what the terminal shows until `until` is in it, or until its end (NULL). */
static void terminal_expect(int tty, const char *until, GString *shown)
{
    char c;

    while ((until == NULL || strstr(shown->str, until) == NULL) && read(tty, &c, 1) == 1)
        g_string_append_c(shown, c);
}

static int prompt_run(const char *typed, GString *shown)
{
    int tty, status;
    pid_t pid = forkpty(&tty, NULL, NULL, NULL);

    if (pid == 0)
        _exit(prompt_child());
    terminal_expect(tty, "Password of alice at imap.example.org: ", shown);
    g_assert_cmpint(write(tty, typed, strlen(typed)), ==, strlen(typed));
    terminal_expect(tty, NULL, shown);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    close(tty);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void test_prompt(void)
{
    static const struct {
        const char *typed;
        int status;
    } CASES[] = {
        {"hunter2\n", 0}, {"wrong\n", 1}, {"\n", 1}, {"\004", 1}, {"hunt\003", 100 + SIGINT}};

    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autoptr(GString) shown = g_string_new(NULL);
        g_assert_cmpint(prompt_run(CASES[i].typed, shown), ==, CASES[i].status);
        g_assert_null(strstr(shown->str, "hunt"));
        g_assert_null(strstr(shown->str, "wrong"));
    }
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/secret/memory", test_memory);
    g_test_add_func("/secret/memory-flags", test_memory_flags);
    g_test_add_func("/secret/command-good", test_command_good);
    g_test_add_func("/secret/command-bad", test_command_bad);
    g_test_add_func("/secret/command-timeout", test_command_timeout);
    g_test_add_func("/secret/endless-output", test_endless_output);
    g_test_add_func("/secret/stderr-logged", test_stderr_logged);
    g_test_add_func("/secret/no-terminal", test_no_terminal);
    g_test_add_func("/secret/prompt", test_prompt);
    return g_test_run();
}
