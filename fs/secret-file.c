#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/netrc.h"
#include "fs/secret-private.h"

/* A file with a secret in it. */
struct file {
    const char *option; /* what it is to the user */
    const char *path;
    bool optional;     /* it need not be there */
    bool is_entrusted; /* who gave it to us has seen to its permissions */
};

#define file_refuse(file, error, ...) \
    file_refuse_as(file, g_strdup_printf(__VA_ARGS__), G_IO_ERROR_FAILED, error)

static void file_refuse_as(const struct file *file, char *reason, GIOErrorEnum code, GError **error)
{
    g_set_error(error, G_IO_ERROR, (gint)code, "%s %s: %s", file->option, file->path, reason);
    g_free(reason);
}

static bool file_is_private(const struct file *file, const struct stat *st, GError **error)
{
    if (!S_ISREG(st->st_mode))
        file_refuse(file, error, "not a regular file");
    else if (!file->is_entrusted && st->st_uid != geteuid() && st->st_uid != 0)
        file_refuse(file, error, "belongs to another user; chown it");
    else if (!file->is_entrusted && (st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
        file_refuse(file, error, "open to other users; chmod 600 it");
    else
        return true;
    return false;
}

static bool file_is_safe(const struct file *file, int fd, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        file_refuse(file, error, "%s", g_strerror(errno));
    else if (S_ISREG(st.st_mode) && st.st_size > SECRET_MAX)
        file_refuse(file, error, "too big to hold a password");
    else
        return file_is_private(file, &st, error);
    return false;
}

bool secret_key_is_private(const struct account *account, GError **error)
{
    bool apart = account->tls_key != NULL;
    const struct file file = {.option = apart ? "tls_key" : "tls_cert",
                              .path = apart ? account->tls_key : account->tls_cert};
    struct stat st;

    if (account->tls_cert == NULL || stat(file.path, &st) != 0)
        return true; /* who reads it says what is wrong */
    return file_is_private(&file, &st, error);
}

/* Straight into the secret, so that no buffer holds a copy. */
static struct secret *fd_read(const struct file *file, int fd, size_t *length, GError **error)
{
    g_autoptr(secret) text = secret_blank(SECRET_MAX);

    for (*length = 0; *length < SECRET_MAX;) {
        ssize_t n = read(fd, secret_room(text) + *length, SECRET_MAX - *length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            file_refuse(file, error, "%s", g_strerror(errno));
            return NULL;
        }
        if (n == 0)
            return g_steal_pointer(&text);
        *length += (size_t)n;
    }
    file_refuse(file, error, "too big to hold a password");
    return NULL;
}

static struct secret *file_read(const struct file *file, size_t *length, GError **error)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        bool missing = file->optional && (errno == ENOENT || errno == ENOTDIR);
        file_refuse_as(file, g_strdup(g_strerror(errno)),
                       missing ? G_IO_ERROR_NOT_FOUND : G_IO_ERROR_FAILED, error);
        return NULL;
    }
    struct secret *text = file_is_safe(file, fd, error) ? fd_read(file, fd, length, error) : NULL;
    close(fd);
    return text;
}

static struct secret *line_read(const struct file *file, GError **error)
{
    size_t length;
    g_autoptr(secret) text = file_read(file, &length, error);
    if (text == NULL)
        return NULL;
    struct secret *secret = secret_of_line(text, length, false, "holds", error);
    if (secret == NULL)
        g_prefix_error(error, "%s %s ", file->option, file->path);
    return secret;
}

static void nothing(GError **error)
{
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "there is none");
}

struct secret *secret_of_file(const struct account *account, GError **error)
{
    if (account->password_file == NULL) {
        nothing(error);
        return NULL;
    }
    const struct file file = {.option = "password_file", .path = account->password_file};
    return line_read(&file, error);
}

/* ---- systemd.exec(5), CREDENTIALS ----------------------------------------------------------- */

struct secret *secret_of_credential(const struct account *account, GError **error)
{
    const char *directory = g_getenv("CREDENTIALS_DIRECTORY");
    const char *const PREFIXES[] = {"", "mailmount."};

    nothing(error);
    if (directory == NULL || *directory != '/' || strchr(account->name, '/') != NULL)
        return NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(PREFIXES); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s%s", directory, PREFIXES[i], account->name);
        const struct file file = {"the credential", path, .optional = true, .is_entrusted = true};
        g_clear_error(error);
        struct secret *secret = line_read(&file, error);
        if (secret != NULL || !g_error_matches(*error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
            return secret;
    }
    return NULL;
}

/* ---- netrc ---------------------------------------------------------------------------------- */

static struct secret *netrc_read(const struct account *account, const struct file *file,
                                 GError **error)
{
    size_t length, written = 0;
    unsigned line = 0;
    g_autoptr(secret) text = file_read(file, &length, error);
    if (text == NULL)
        return NULL;
    g_autoptr(secret) password = secret_blank(length);
    enum netrc_result result = netrc_find(secret_text(text), length, account->host, account->user,
                                          secret_room(password), &written, &line);
    if (result == NETRC_BROKEN)
        file_refuse(file, error, "line %u makes no sense", line);
    else if (result == NETRC_NONE)
        file_refuse_as(
            file,
            g_strdup_printf("has no password of %s for machine %s", account->user, account->host),
            file->optional ? G_IO_ERROR_NOT_FOUND : G_IO_ERROR_FAILED, error);
    else if (written == 0 || memchr(secret_text(password), '\0', written) != NULL)
        file_refuse(file, error, "has something for machine %s that cannot be a password",
                    account->host);
    else
        return secret_new(secret_text(password), written);
    return NULL;
}

/* What is wrong with a file that nobody named is said, but keeps nobody from being asked. */
struct secret *secret_of_netrc(const struct account *account, GError **error)
{
    g_autofree char *usual = g_build_filename(g_get_home_dir(), ".netrc", NULL);
    const struct file file = {.option = "netrc",
                              .path = account->netrc != NULL ? account->netrc : usual,
                              .optional = account->netrc == NULL};
    g_autoptr(GError) why = NULL;

    struct secret *secret = netrc_read(account, &file, &why);
    if (secret != NULL)
        return secret;
    if (file.optional && !g_error_matches(why, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)) {
        g_warning("%s; it is not used", why->message);
        g_clear_error(&why);
        nothing(&why);
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}
