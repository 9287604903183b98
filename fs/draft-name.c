/* Names of files that stay in the mount, and of directories that are never made on a server. */
#include <string.h>

#include <glib.h>

#include "fs/draft-name.h"
#include "fs/name.h"

/* Patterns without regard to case: "*" any bytes, "?" one byte, "@" an ASCII letter, digit or "_",
 * "&" a letter, "%" digits up to the end. */
static const char *const SCRATCH[] = {
    /* editors' and desktops' own files, rsync's, gio's, Apple's "._x", LibreOffice's locks */
    ".*",
    /* copies of what was edited: most editors', Git's while it applies a patch, Emacs' unsaved */
    "*~",
    "*~%",
    "#*#",
    "*.bak",
    "*.bak?",
    "*.orig",
    "*.rej",
    /* Vim: swap files, and its probe for whether it may write here, 123 higher if there is one */
    "*.swp",
    "*.swx",
    "*.swo",
    "4913",
    "5036",
    "5159",
    /* under another name until they are whole */
    "*.tmp",
    "*.temp",
    "*.part",
    "*.partial",
    "*.filepart",
    "*.crdownload",
    "*.download",
    "*.eml.&&&&&&",   /* Qt */
    "sed@@@@@@",      /* sed -i */
    "tmp@@@@@@@@",    /* Python's tempfile */
    "tmp.@@@@@@@@@@", /* mktemp */
    /* office programs' locks */
    "~$*",
    /* what other systems put into every folder */
    "desktop.ini",
    "thumbs.db",
    "ehthumbs.db",
    "autorun.inf",
};

static const char *const NO_MAILBOX[] = {
    ".*", /* .Trash-1000, .git, .mailmount */
    "$recycle.bin", "system volume information", "lost+found", "__macosx", "@eadir",
};

static bool is_one(char pattern, char c)
{
    if (pattern == '@')
        return g_ascii_isalnum(c) || c == '_';
    if (pattern == '&')
        return g_ascii_isalpha(c);
    return pattern == '?' || pattern == g_ascii_tolower(c);
}

static bool is_digits(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* Each "*" is tried from where the last one ended, so this costs pattern x name at most. */
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL;
    while (*name != '\0') {
        if (*pattern == '%' && is_digits(name))
            return true;
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (*pattern != '\0' && is_one(*pattern, *name)) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool matches_any(const char *const *patterns, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (matches(patterns[i], name))
            return true;
    return false;
}

bool draft_is_scratch(const char *name)
{
    return matches_any(SCRATCH, G_N_ELEMENTS(SCRATCH), name);
}

/* " [4710]" */
static bool ends_in_uid(const char *name)
{
    size_t length = strlen(name), begin = length - 1;
    if (length < 4 || name[length - 1] != ']')
        return false;
    while (begin > 0 && g_ascii_isdigit(name[begin - 1]))
        begin--;
    return begin >= 2 && begin < length - 1 && name[begin] != '0' && name[begin - 1] == '[' &&
           name[begin - 2] == ' ';
}

bool draft_is_no_mailbox(const char *name)
{
    uint32_t uid;
    bool eml;
    return ends_in_uid(name) || name_message_uid(name, &uid, &eml) ||
           matches_any(NO_MAILBOX, G_N_ELEMENTS(NO_MAILBOX), name);
}
