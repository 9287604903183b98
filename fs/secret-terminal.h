/* Lends the terminal to a command that asks on it. The command runs as a background group of its
 * own; the system stops it when it reads from the terminal, or hides what is typed there, and then
 * it gets the foreground, as a shell's fg does it. One that asks nothing leaves the keyboard's
 * signals to us. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

struct secret_terminal {
    int tty;               /* -1: there is none */
    pid_t group;           /* the command's */
    bool lent;             /* it has the foreground, and the others wait for it */
    struct termios before; /* if it was lent */
};

/* Looks whether we have a terminal. */
void secret_terminal_open(struct secret_terminal *terminal, pid_t group);
/* Lends it if the command was stopped for it and we have the foreground; to be called now and
 * then. */
void secret_terminal_look(struct secret_terminal *terminal);
/* Takes it back as it was. If `status`, as of waitpid(), says that the command ended by the
 * keyboard's SIGINT meanwhile, our own group gets that too. */
void secret_terminal_close(struct secret_terminal *terminal, int status);
