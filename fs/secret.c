#include "fs/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs/secret-command.h"
#include "fs/secret-private.h"

#define COMMAND_SECONDS 60

/* Lives in pages of its own, so that locking and wiping concern nothing else. */
struct secret {
    atomic_uint references;
    size_t mapped; /* bytes of the mapping, this struct included */
    char text[];
};

struct secret *secret_blank(size_t length)
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
    madvise(secret, mapped, MADV_DONTFORK); /* no command that is run has a copy */
    secret->mapped = mapped;
    atomic_init(&secret->references, 1);
    return secret;
}

char *secret_room(struct secret *secret)
{
    return secret->text;
}

struct secret *secret_new(const char *bytes, size_t length)
{
    struct secret *secret = secret_blank(length);

    memcpy(secret->text, bytes, length);
    return secret;
}

const char *secret_text(const struct secret *secret)
{
    return secret->text;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    return strcmp(a->text, b->text) == 0;
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

/* ---- what can be one ------------------------------------------------------------------------ */

/* RFC 6750, 2.1: printable, without blanks. */
static bool token_is_good(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isgraph(text[i]))
            return false;
    return true;
}

struct secret *secret_of_line(const struct secret *text, size_t length, bool token,
                              const char *verb, GError **error)
{
    const char *what = token ? "token" : "password";
    const char *end = memchr(text->text, '\n', length);

    size_t line = end != NULL ? (size_t)(end - text->text) : length;
    if (line > 0 && text->text[line - 1] == '\r')
        line--;
    if (line == 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s no %s", verb, what);
        return NULL;
    }
    if (memchr(text->text, '\0', line) != NULL || (end == NULL && length >= SECRET_MAX) ||
        (token && !token_is_good(text->text, line))) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s something that cannot be a %s",
                    verb, what);
        return NULL;
    }
    return secret_new(text->text, line);
}

/* ---- asking --------------------------------------------------------------------------------- */

/* Whether a command wrote its answer to standard error too, as a shell with -x does. */
static bool says_secret(const char *said, const struct secret *output, size_t length)
{
    size_t line = 0;

    while (line < length && strchr("\r\n", output->text[line]) == NULL)
        line++;
    return line > 0 && memmem(said, strlen(said), output->text, line) != NULL;
}

static struct secret *secret_of_command(const struct account *account, const char *option,
                                        GCancellable *cancel, GError **error)
{
    bool token = account->token_command != NULL;
    g_autoptr(secret) output = secret_blank(SECRET_MAX);
    const struct secret_command command = {
        .option = option,
        .text = token ? account->token_command : account->password_command,
        .seconds = COMMAND_SECONDS,
        .cancel = cancel,
    };
    g_autofree char *said = NULL;
    g_autoptr(GError) why = NULL;
    struct secret *secret = NULL;
    size_t length = 0;

    if (secret_command_run(&command, output->text, SECRET_MAX, &length, &said, &why))
        secret = secret_of_line(output, length, token, "printed", &why);
    if (said != NULL && says_secret(said, output, length))
        g_clear_pointer(&said, g_free);
    if (secret == NULL)
        g_set_error(error, why->domain, why->code, "the %s of %s %s%s%s", option, account->name,
                    why->message, said != NULL ? ": " : "", said != NULL ? said : "");
    return secret;
}

static struct secret *secret_of_prompt(const struct account *account, bool may_prompt,
                                       GError **error)
{
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

struct secret *secret_ask(const struct account *account, bool may_prompt, GCancellable *cancel,
                          GError **error)
{
    static struct secret *(*const FILES[])(const struct account *account, GError **error) = {
        secret_of_file, secret_of_credential, secret_of_netrc};

    if (account->token_command != NULL)
        return secret_of_command(account, "token_command", cancel, error);
    if (account->password_command != NULL)
        return secret_of_command(account, "password_command", cancel, error);
    for (size_t i = 0; i < G_N_ELEMENTS(FILES); i++) {
        g_autoptr(GError) why = NULL;
        struct secret *secret = FILES[i](account, &why);
        if (secret != NULL)
            return secret;
        if (g_error_matches(why, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
            continue;
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    return secret_of_prompt(account, may_prompt, error);
}
