#include "fs/autoconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/autoconfig-private.h"
#include "fs/log.h"

#define REMEMBERED_MAX 4096 /* bytes */

G_DEFINE_QUARK(mailmount - autoconfig - error, autoconfig_error)

/* ---- what was found before ------------------------------------------------------------------- */

/* A file an address, which holds one URL. */
static char *memory_file(const struct account *account)
{
    g_autofree char *lower = g_utf8_strdown(account->address, -1);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lower, -1);

    return g_build_filename(account->state_dir, "found", hash, NULL);
}

static bool memory_read(const struct account *account, struct source *source)
{
    g_autofree char *file = memory_file(account);
    g_autofree char *text = NULL;
    gsize length;
    struct stat st;

    if (stat(file, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > REMEMBERED_MAX ||
        !g_file_get_contents(file, &text, &length, NULL) || length > REMEMBERED_MAX)
        return false;
    text[strcspn(text, "\n")] = '\0';
    if (!source_parse(text, source, NULL))
        return false;
    if (source->user != NULL)
        return true;
    source_clear(source);
    return false;
}

void autoconfig_keep(const struct account *account)
{
    if (account->address == NULL || account->found != NULL)
        return;
    const struct source source = {account->tls == ACCOUNT_TLS_IMPLICIT, account->user,
                                  account->host, account->port};
    g_autofree char *file = memory_file(account);
    g_autofree char *folder = g_path_get_dirname(file);
    g_autofree char *url = source_write(&source);
    g_autofree char *text = g_strconcat(url, "\n", NULL);
    g_autoptr(GError) error = NULL;

    if (g_mkdir_with_parents(folder, 0700) != 0)
        g_warning("%s: %s", folder, g_strerror(errno));
    else if (!g_file_set_contents_full(file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                       &error))
        g_warning("what was found is not remembered: %s", error->message);
}

/* ---- whether it is the right one ------------------------------------------------------------- */

static bool host_is_within(const char *host, const char *domain)
{
    g_autofree char *ascii = g_hostname_to_ascii(domain);
    g_autofree char *lower = g_ascii_strdown(ascii != NULL ? ascii : domain, -1);
    g_autofree char *below = g_strconcat(".", lower, NULL);

    return g_str_equal(host, lower) || g_str_has_suffix(host, below);
}

/* Reads a line; only its first letter counts. False: interrupted, or the terminal is gone. */
static bool terminal_yes(int tty, const char *question, bool *yes)
{
    char c, first = '\0';

    if (write(tty, question, strlen(question)) < 0)
        return false;
    do {
        if (read(tty, &c, 1) != 1)
            return false;
        if (first == '\0')
            first = c;
    } while (c != '\n');
    *yes = first == 'y' || first == 'Y';
    return true;
}

static bool server_unsure(const struct account *account, const struct source *source,
                          GError **error)
{
    g_autofree char *url = source_write(source);

    g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_UNSURE,
                "the DNS says that the mail of %s is at %s, in another domain, and that could be "
                "forged: if it is right, write %s instead of the address",
                account->address, source->host, url);
    return false;
}

/* RFC 6186, 6: who forges DNS must not choose who hears the password. */
static bool server_confirm(const struct account *account, const struct source *source,
                           GError **error)
{
    bool yes = false;

    if (host_is_within(source->host, autoconfig_domain(account->address)))
        return true;
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0)
        return server_unsure(account, source, error);
    g_autofree char *question = g_strdup_printf(
        "The DNS says that the mail of %s is at %s, in another domain; that could be forged.\n"
        "Is %s the server of your mail? [y/N] ",
        account->address, source->host, source->host);
    bool answered = terminal_yes(tty, question, &yes);
    close(tty);
    if (!answered)
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_CANCELLED, "interrupted");
    return answered && (yes || server_unsure(account, source, error));
}

/* ---- looking --------------------------------------------------------------------------------- */

/* What neither the DNS nor the web knows; `told`, `nowhere`: as autoconfig_srv() and
 * autoconfig_file() have them. */
struct misses {
    const struct autoconfig_told *told;
    bool nowhere;
    const GError *srv, *file;
};

static bool misses_tell(const struct misses *misses, const char *domain, GError **error)
{
    static const char ADVICE[] = "the provider says which server it is; write imaps://USER@HOST "
                                 "instead of the address";
    bool dns = misses->srv->code != AUTOCONFIG_NETWORK;
    bool web = misses->file->code != AUTOCONFIG_NETWORK && (dns || !misses->nowhere);
    const char *later = dns ? "" : "try again later; ";

    if (!dns && !web)
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_NETWORK, "%s; is this machine online?",
                    misses->srv->message);
    else if (!web)
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_NETWORK,
                    "%s, and its settings file cannot be fetched now (%s): try again later; %s",
                    misses->srv->message, misses->file->message, ADVICE);
    else if (dns && misses->nowhere && misses->told->no_exchanger)
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_NOTHING,
                    "nothing is known of %s, not even a host that takes its mail: check the "
                    "spelling",
                    domain);
    else if (misses->file->code == AUTOCONFIG_UNUSABLE)
        g_set_error(error, AUTOCONFIG_ERROR, misses->srv->code,
                    "%s, and its settings file is of no use (%s): %s%s", misses->srv->message,
                    misses->file->message, later, ADVICE);
    else
        g_set_error(error, AUTOCONFIG_ERROR, misses->srv->code,
                    "%s, nor is there a settings file: %s%s", misses->srv->message, later, ADVICE);
    return false;
}

static bool file_look(const struct account *account, const struct autoconfig_way *way,
                      struct misses *misses, struct source *source, char **means, GError **error)
{
    g_autofree char *where = NULL;
    g_autoptr(GError) why = NULL;

    if (autoconfig_file(account->address, way, source, &where, &misses->nowhere, &why)) {
        *means = g_strdup_printf("by the settings file of %s", where);
        return true;
    }
    misses->file = why;
    if (why->code != AUTOCONFIG_CANCELLED)
        return misses_tell(misses, autoconfig_domain(account->address), error);
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

/* `*means`: how it was found, the caller's. */
static bool server_look(const struct account *account, GCancellable *cancel, struct source *source,
                        char **means, GError **error)
{
    const char *domain = autoconfig_domain(account->address);
    g_autoptr(GError) why = NULL;
    const struct autoconfig_way way = {account->tls_ca, account->proxy, cancel};
    struct autoconfig_told told;

    if (autoconfig_srv(account->address, &way, source, &told, &why)) {
        *means = g_strdup_printf("by an SRV record of %s", domain);
        return server_confirm(account, source, error);
    }
    if (told.no_imap) {
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_NOTHING, "%s says that it offers no IMAP",
                    domain);
        return false;
    }
    if (why->code == AUTOCONFIG_CANCELLED) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    struct misses misses = {.told = &told, .srv = why};
    return file_look(account, &way, &misses, source, means, error);
}

static void account_settle(struct account *account, const struct source *source)
{
    account->host = g_strdup(source->host);
    account->tls = source->implicit_tls ? ACCOUNT_TLS_IMPLICIT : ACCOUNT_TLS_STARTTLS;
    account->port = source->port != 0 ? source->port : source->implicit_tls ? 993 : 143;
    if (account->user == NULL)
        account->user = g_strdup(source->user);
    struct source whole = {source->implicit_tls, account->user, account->host, account->port};
    account->source = source_write(&whole);
}

bool autoconfig_find(struct account *account, GCancellable *cancel, char **found, bool *anew,
                     GError **error)
{
    g_auto(source) server = {0};
    g_autofree char *means = NULL;

    *anew = !memory_read(account, &server);
    if (*anew) {
        if (!server_look(account, cancel, &server, &means, error))
            return false;
    } else {
        account->found = memory_file(account);
        means = g_strdup_printf("before; remove %s to look anew", account->found);
    }
    account_settle(account, &server);
    *found = g_strdup_printf("the server of %s is %s (%s), found %s", account->address,
                             account->host, account->source, means);
    return true;
}
