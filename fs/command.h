/* The command line, as a person, mount.fuse3(8) or mount(8) writes it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "fs/account.h"
#include "fs/options.h"

struct command {
    bool help, version;
    bool foreground, debug; /* -d implies -f */
    bool helper;            /* called as mount.mailmount: mount(8)'s flags and statuses */
    bool fake;              /* the helper's -f: check, mount nothing */
    char *namespace;        /* the helper's -N: a mount namespace's path or PID; or NULL */
    char *source;           /* NULL with `prefetch` */
    char *mountpoint;       /* NULL: as the configuration says; with `prefetch`, none was given */
    bool list;              /* list accounts; neither source nor mount point */
    bool check;             /* try the accounts of `source`; no mount point */
    bool retry;             /* running mounts are to sign in; then no source either */
    GStrv prefetch;         /* folders that a running mount is to fetch; NULL: mount */
    char *config;           /* NULL: the default file */
    bool has_run_as;        /* setuid= or uid=: who to be when started by root */
    bool has_setuid;        /* it was setuid=, which only root may set to another than oneself */
    uid_t run_as;
    bool nonempty;
    GPtrArray *settings; /* struct setting: what changes accounts, in order */
    GPtrArray *fuse;     /* names that FUSE is to know, each once; not owned */
};

/* Parses and checks everything that can be checked without looking at files. False with `error`
 * (G_OPTION_ERROR) set, one line. */
bool command_parse(int argc, char *const argv[], struct command *command, GError **error);
void command_clear(struct command *command);
typedef struct command command; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(command, command_clear)

/* The command's own flags as --help has them, up to a row without a name; for who writes of them.
 */
const GOptionEntry *command_entries(void);

/* The text of --help, the caller's. */
char *command_help(void);

/* The options of fuse_session_new(), one "-o" each, quoted for its parser. `source` is what
 * mountinfo shows. Always nosuid and nodev; default_permissions wherever others may come in. The
 * caller's. */
GStrv command_fuse_options(const struct command *command, const char *source, bool read_only);

/* Splits the value of -o at its commas; "\," is a comma, "\\" a backslash, "\ooo" an octal byte, as
 * fuse_opt_parse() has it. The caller's. */
GStrv command_split(const char *options);
