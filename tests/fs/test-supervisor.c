#include "fs/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a worker does in a test. It tells its PID, or what it sees, through `told`. */
enum deed {
    DEED_STATUS,
    DEED_READY,
    DEED_SERVE,
    DEED_CRASH,
    DEED_READY_CRASH,
    DEED_FAULT,       /* SIGSEGV in the first life, ready in the second */
    DEED_FAULT_TWICE, /* in both */
    DEED_HANG,
    DEED_DEAF,       /* is ready, then ignores SIGTERM */
    DEED_DEAF_EARLY, /* ignores it before it is ready */
};

struct scene {
    enum deed deed;
    int status;
    int told[2];
};

static volatile sig_atomic_t term_seen;

static void on_term(int number)
{
    term_seen = 1;
}

static void wait_for_term(void)
{
    sigset_t none;

    sigemptyset(&none);
    while (!term_seen)
        sigsuspend(&none);
}

static void tell(const struct scene *scene, pid_t value)
{
    g_assert_cmpint(write(scene->told[1], &value, sizeof(value)), ==, sizeof(value));
}

static pid_t told(const struct scene *scene)
{
    pid_t value = 0;

    g_assert_cmpint(read(scene->told[0], &value, sizeof(value)), ==, sizeof(value));
    return value;
}

static int work(bool again, void *data)
{
    struct scene *scene = data;
    struct sigaction term = {.sa_handler = on_term};
    sigset_t blocked;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL); /* until wait_for_term() looks */
    sigaction(SIGTERM, &term, NULL);
    if (scene->deed == DEED_CRASH)
        raise(SIGKILL);
    if (scene->deed == DEED_FAULT_TWICE || (scene->deed == DEED_FAULT && !again)) {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    if (scene->deed == DEED_FAULT)
        supervisor_ready(4711, 0);
    if (scene->deed == DEED_READY || scene->deed == DEED_SERVE || scene->deed == DEED_READY_CRASH)
        supervisor_ready(4711, 0);
    if (scene->deed == DEED_READY_CRASH)
        raise(SIGKILL);
    if (scene->deed == DEED_SERVE || scene->deed == DEED_HANG) {
        tell(scene, getpid());
        wait_for_term();
        tell(scene, 0);
    }
    if (scene->deed == DEED_DEAF)
        supervisor_ready(4711, 0);
    if (scene->deed == DEED_DEAF || scene->deed == DEED_DEAF_EARLY) {
        tell(scene, getpid());
        for (;;)
            pause(); /* SIGTERM is blocked */
    }
    return scene->status;
}

static bool is_deaf(const struct scene *scene)
{
    return scene->deed == DEED_DEAF || scene->deed == DEED_DEAF_EARLY;
}

/* supervisor_run() in a child, since it forks and returns in each process. */
static pid_t scene_start(struct scene *scene, bool foreground)
{
    if (scene->told[1] == 0)
        g_assert_cmpint(pipe2(scene->told, O_CLOEXEC), ==, 0);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    const struct supervisor supervisor = {.mountpoint = "/nonexistent",
                                          .foreground = foreground,
                                          .patience_ms = is_deaf(scene) ? 100 : 3600 * 1000,
                                          .work = work,
                                          .data = scene};
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
    _exit(supervisor_run(&supervisor));
}

static int status_of(pid_t pid)
{
    int status;

    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void scene_end(struct scene *scene)
{
    close(scene->told[0]);
    close(scene->told[1]);
}

static void test_statuses(void)
{
    static const struct {
        struct scene scene;
        int foreground, detached; /* expected */
    } CASES[] = {
        {{DEED_STATUS, 0}, 0, 0},
        {{DEED_STATUS, 3}, 3, 3},
        {{DEED_STATUS, 5}, 5, 5},
        {{DEED_READY, 0}, 0, 0},
        {{DEED_READY, 4}, 4, 0}, /* too late for the launcher to know */
        {{DEED_CRASH, 0}, SUPERVISOR_CRASHED, SUPERVISOR_CRASHED},
        {{DEED_READY_CRASH, 0}, SUPERVISOR_CRASHED, 0},
        {{DEED_FAULT, 0}, 0, 0},
        {{DEED_FAULT_TWICE, 0}, SUPERVISOR_CRASHED, SUPERVISOR_CRASHED},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        struct scene scene = CASES[i].scene;
        g_assert_cmpint(status_of(scene_start(&scene, true)), ==, CASES[i].foreground);
        g_assert_cmpint(status_of(scene_start(&scene, false)), ==, CASES[i].detached);
        scene_end(&scene);
    }
}

/* The launcher is back while the worker serves; a signal to the supervisor ends the worker. */
static void test_detached(void)
{
    struct scene scene = {DEED_SERVE};
    char path[64], link[64] = "";
    pid_t launcher = scene_start(&scene, false);

    g_assert_cmpint(status_of(launcher), ==, 0);
    pid_t worker = told(&scene);
    g_assert_cmpint(getsid(worker), ==, worker); /* left the terminal */
    snprintf(path, sizeof(path), "/proc/%d/fd/2", worker);
    g_assert_cmpint(readlink(path, link, sizeof(link) - 1), >, 0);
    g_assert_cmpstr(link, ==, "/dev/null");
    kill(worker, SIGTERM);
    g_assert_cmpint(told(&scene), ==, 0);
    scene_end(&scene);
}

static void test_signals_forwarded(void)
{
    static const int SIGNALS[] = {SIGTERM, SIGINT, SIGHUP};

    for (size_t i = 0; i < G_N_ELEMENTS(SIGNALS); i++) {
        struct scene scene = {DEED_SERVE, 0};
        pid_t supervisor = scene_start(&scene, true);
        told(&scene);
        kill(supervisor, SIGNALS[i]);
        g_assert_cmpint(told(&scene), ==, 0);
        g_assert_cmpint(status_of(supervisor), ==, 0);
        scene_end(&scene);
    }
}

/* kill -9 of the supervisor ends the worker in an orderly way too. */
static void test_supervisor_killed(void)
{
    struct scene scene = {DEED_SERVE, 0};
    pid_t supervisor = scene_start(&scene, true);

    told(&scene);
    kill(supervisor, SIGKILL);
    g_assert_cmpint(told(&scene), ==, 0);
    g_assert_cmpint(status_of(supervisor), ==, 100 + SIGKILL);
    scene_end(&scene);
}

/* Who gives up waiting leaves nothing behind. */
static void test_launcher_killed(void)
{
    struct scene scene = {DEED_HANG, 0};
    pid_t launcher = scene_start(&scene, false);

    told(&scene);
    kill(launcher, SIGINT);
    g_assert_cmpint(status_of(launcher), ==, 100 + SIGINT);
    g_assert_cmpint(told(&scene), ==, 0);
    scene_end(&scene);
}

/* A worker that does not end when told to is killed. */
static void test_deaf(void)
{
    static const enum deed DEEDS[] = {DEED_DEAF, DEED_DEAF_EARLY};

    for (size_t i = 0; i < G_N_ELEMENTS(DEEDS); i++) {
        struct scene scene = {DEEDS[i]};
        pid_t supervisor = scene_start(&scene, true);
        pid_t worker = told(&scene);
        kill(supervisor, SIGTERM);
        g_assert_cmpint(status_of(supervisor), ==, SUPERVISOR_CRASHED);
        g_assert_cmpint(kill(worker, 0), ==, -1);
        g_assert_cmpint(errno, ==, ESRCH);
        scene_end(&scene);
    }
}

static int socket_bind(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    return fd;
}

/* All that a supervisor tells systemd in a scene, one message a line. */
static char *scene_told(struct scene scene)
{
    g_autofree char *folder = g_dir_make_tmp("mailmount-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "notify", NULL);
    GString *all = g_string_new(NULL);
    int fd = socket_bind(path);
    char text[256];
    ssize_t n;

    g_setenv("NOTIFY_SOCKET", path, TRUE);
    status_of(scene_start(&scene, true));
    g_unsetenv("NOTIFY_SOCKET");
    while ((n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0)
        g_string_append_c(g_string_append_len(all, text, n), '\n');
    scene_end(&scene);
    close(fd);
    g_unlink(path);
    g_rmdir(folder);
    return g_string_free(all, FALSE);
}

/* STOPPING=1 only when it is the end: systemd would not wait for a second life. */
static void test_systemd(void)
{
#define STARTS "STATUS=Connecting and signing in\n"
#define READY "READY=1\nSTATUS=Mounted at /nonexistent\n"
#define AGAIN "STATUS=Starting again after a crash\n"
#define ENDS "STOPPING=1\n"
    static const struct {
        struct scene scene;
        const char *told;
    } CASES[] = {
        {{DEED_STATUS, 4}, STARTS ENDS},
        {{DEED_READY, 0}, STARTS READY ENDS},
        {{DEED_READY_CRASH, 0}, STARTS READY ENDS},
        {{DEED_FAULT, 0}, STARTS AGAIN READY ENDS},
        {{DEED_FAULT_TWICE, 0}, STARTS AGAIN ENDS},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(CASES); i++) {
        g_autofree char *all = scene_told(CASES[i].scene);
        g_assert_cmpstr(all, ==, CASES[i].told);
    }
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/supervisor/statuses", test_statuses);
    g_test_add_func("/supervisor/detached", test_detached);
    g_test_add_func("/supervisor/signals-forwarded", test_signals_forwarded);
    g_test_add_func("/supervisor/supervisor-killed", test_supervisor_killed);
    g_test_add_func("/supervisor/launcher-killed", test_launcher_killed);
    g_test_add_func("/supervisor/deaf", test_deaf);
    g_test_add_func("/supervisor/systemd", test_systemd);
    return g_test_run();
}
