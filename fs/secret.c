#include "fs/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "fs/secret-command.h"

#define SECRET_MAX (64 * 1024) /* longer ones are a mistake */

/* Lives in pages of its own, so that locking and wiping concern nothing else. */
struct secret {
    atomic_uint references;
    size_t mapped; /* bytes of the mapping, this struct included */
    char text[];
};

static struct secret *secret_map(size_t length)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t mapped = (sizeof(struct secret) + length + 1 + page - 1) / page * page;
    struct secret *secret =
        mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (secret == MAP_FAILED)
        g_error("no memory for a password");
    if (mlock(secret, mapped) != 0)
        g_debug("a password's memory cannot be locked: %s", g_strerror(errno));
    madvise(secret, mapped, MADV_DONTDUMP);
    secret->mapped = mapped;
    atomic_init(&secret->references, 1);
    return secret;
}

struct secret *secret_new(const char *bytes, size_t length)
{
    struct secret *secret = secret_map(length);

    memcpy(secret->text, bytes, length);
    return secret;
}

const char *secret_text(const struct secret *secret)
{
    return secret->text;
}

struct secret *secret_ref(struct secret *secret)
{
    atomic_fetch_add(&secret->references, 1);
    return secret;
}

void secret_unref(struct secret *secret)
{
    if (secret == NULL || atomic_fetch_sub(&secret->references, 1) != 1)
        return;
    size_t mapped = secret->mapped;
    explicit_bzero(secret, mapped);
    munmap(secret, mapped);
}

/* ---- from a command ------------------------------------------------------------------------- */

/* The first line of `output` as a secret of its right length. */
static struct secret *line_take(const struct secret *output, size_t length, GError **error)
{
    const char *text = output->text;
    const char *end = memchr(text, '\n', length);

    size_t line = end != NULL ? (size_t)(end - text) : length;
    if (line > 0 && text[line - 1] == '\r')
        line--;
    if (line == 0) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "printed no password");
        return NULL;
    }
    if (memchr(text, '\0', line) != NULL || (end == NULL && length == SECRET_MAX)) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                            "printed something that cannot be a password");
        return NULL;
    }
    return secret_new(text, line);
}

static struct secret *secret_of_command(const struct account *account, GError **error)
{
    g_autoptr(secret) output = secret_map(SECRET_MAX);
    struct secret *secret = NULL;
    size_t length = 0;

    if (secret_command_run(account->password_command, 60, output->text, SECRET_MAX, &length, error))
        secret = line_take(output, length, error);
    if (secret == NULL)
        g_prefix_error(error, "the password_command of %s ", account->name);
    return secret;
}

/* ---- from the terminal ---------------------------------------------------------------------- */

/* Reads up to the end of the line, without echo. Returns its length, -1 if it was interrupted or
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

static ssize_t terminal_ask(int tty, const char *prompt, char *text, size_t max)
{
    struct termios shown, hidden;

    if (tcgetattr(tty, &shown) != 0)
        return -1;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    if (tcsetattr(tty, TCSAFLUSH, &hidden) != 0)
        return -1;
    ssize_t length = -1;
    if (write(tty, prompt, strlen(prompt)) >= 0)
        length = terminal_read(tty, text, max);
    tcsetattr(tty, TCSAFLUSH, &shown);
    if (write(tty, "\n", 1) != 1)
        return -1;
    return length;
}

static struct secret *secret_of_terminal(const struct account *account, int tty, GError **error)
{
    g_autofree char *prompt =
        g_strdup_printf("Password of %s at %s: ", account->user, account->host);
    g_autoptr(secret) line = secret_map(SECRET_MAX);

    ssize_t length = terminal_ask(tty, prompt, line->text, SECRET_MAX);
    if (length <= 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "no password was given for %s",
                    account->name);
        return NULL;
    }
    return secret_new(line->text, (size_t)length);
}

struct secret *secret_ask(const struct account *account, bool may_prompt, GError **error)
{
    if (account->password_command != NULL)
        return secret_of_command(account, error);
    int tty = may_prompt ? open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    if (tty < 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                    "there is no terminal to ask for the password of %s: set password_command=",
                    account->name);
        return NULL;
    }
    struct secret *secret = secret_of_terminal(account, tty, error);
    close(tty);
    return secret;
}
