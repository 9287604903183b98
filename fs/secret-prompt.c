#include <errno.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "fs/secret-private.h"

/* Reads up to the end of the line. Returns its length, -1 if it was interrupted, is too long, or
 * the terminal went away. */
static ssize_t terminal_read(int tty, char *text, size_t max)
{
    size_t length = 0;

    while (length < max) {
        ssize_t n = read(tty, text + length, 1);
        if (n != 1)
            return -1;
        if (text[length] == '\n')
            return (ssize_t)length;
        length++;
    }
    return -1;
}

/* What a shell has taken back meanwhile may be set nevertheless: it is restored, whatever comes. */
static bool terminal_set(int tty, int when, const struct termios *to)
{
    sigset_t ttou, before;

    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &before);
    bool done = tcsetattr(tty, when, to) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return done;
}

/* Without echo, and without Ctrl-Z, which would leave the terminal so. */
static ssize_t terminal_ask(int tty, const char *prompt, char *text, size_t max)
{
    struct termios shown, hidden;

    if (tcgetattr(tty, &shown) != 0)
        return -1;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    hidden.c_lflag |= ICANON | ISIG;
    hidden.c_cc[VSUSP] = _POSIX_VDISABLE;
    if (!terminal_set(tty, TCSAFLUSH, &hidden))
        return -1;
    ssize_t length = -1;
    if (write(tty, prompt, strlen(prompt)) >= 0)
        length = terminal_read(tty, text, max);
    terminal_set(tty, TCSAFLUSH, &shown);
    if (write(tty, "\n", 1) != 1)
        return -1;
    return length;
}

struct secret *secret_of_terminal(const struct account *account, int tty, GError **error)
{
    g_autofree char *prompt =
        g_strdup_printf("Password of %s at %s: ", account->user, account->host);
    g_autoptr(secret) line = secret_blank(SECRET_MAX);

    ssize_t length = terminal_ask(tty, prompt, secret_room(line), SECRET_MAX);
    if (length <= 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "no password was given for %s",
                    account->name);
        return NULL;
    }
    return secret_new(secret_text(line), (size_t)length);
}
