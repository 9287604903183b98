#include "fs/secret-terminal.h"

#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static GMutex lending; /* locked while the terminal is lent */

/* Both stop whoever is in the background. */
static void foreground_set(int tty, pid_t group, const struct termios *modes)
{
    sigset_t ttou, before;

    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &before);
    tcsetpgrp(tty, group);
    if (modes != NULL)
        tcsetattr(tty, TCSADRAIN, modes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void secret_terminal_open(struct secret_terminal *terminal, pid_t group)
{
    *terminal = (struct secret_terminal){
        .tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC),
        .group = group,
    };
}

static bool is_stopped(pid_t process)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)process, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == process && (info.si_status == SIGTTIN || info.si_status == SIGTTOU);
}

void secret_terminal_look(struct secret_terminal *terminal)
{
    if (terminal->tty < 0 || terminal->lent || !is_stopped(terminal->group) ||
        !g_mutex_trylock(&lending))
        return;
    if (tcgetpgrp(terminal->tty) != getpgrp() || tcgetattr(terminal->tty, &terminal->before) != 0) {
        g_mutex_unlock(&lending);
        return;
    }
    terminal->lent = true;
    foreground_set(terminal->tty, terminal->group, NULL);
    kill(-terminal->group, SIGCONT);
}

void secret_terminal_close(struct secret_terminal *terminal, int status)
{
    if (terminal->tty < 0)
        return;
    if (terminal->lent) {
        foreground_set(terminal->tty, getpgrp(), &terminal->before);
        g_mutex_unlock(&lending);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)
            kill(0, SIGINT);
    }
    close(terminal->tty);
}
