#include "imap/authorities.h"

#include <glib.h>
#include <openssl/x509.h>
#include <sys/stat.h>

enum { HASH_DIGITS = 8 };

static const char *place(const char *variable, const char *usual)
{
    const char *set = g_getenv(variable);

    return set ? set : usual;
}

/* HHHHHHHH.N (openssl-rehash(1)). */
static bool name_is_hash(const char *name)
{
    for (int i = 0; i < HASH_DIGITS; i++)
        if (!g_ascii_isxdigit(name[i]))
            return false;
    return name[HASH_DIGITS] == '.';
}

static bool folder_has_any(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;

    while (folder && (name = g_dir_read_name(folder)))
        if (name_is_hash(name))
            return true;
    return false;
}

bool imap_authorities_any(void)
{
    const char *file = place(X509_get_default_cert_file_env(), X509_get_default_cert_file());
    const char *list = place(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
    g_auto(GStrv) folders = g_strsplit(list, ":", -1);
    struct stat st;

    if (stat(file, &st) == 0 && st.st_size > 0)
        return true;
    for (char **folder = folders; *folder; folder++)
        if (folder_has_any(*folder))
            return true;
    return false;
}
