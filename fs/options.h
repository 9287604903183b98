/* The one table of options: -o on the command line, keys in mailmount.conf(5), --help. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "fs/account.h"

enum option_kind {
    /* set a field of struct account */
    OPTION_TEXT,
    OPTION_PATH,
    OPTION_CHOICE,
    OPTION_WORD, /* a choice that is kept as text */
    OPTION_BYTES,
    OPTION_NUMBER,
    OPTION_MODE,
    OPTION_PATTERNS,
    OPTION_FINGERPRINT,
    OPTION_PROXY,
    OPTION_USER,
    OPTION_GROUP,
    OPTION_SWITCH,
    /* concern the mount as a whole: fs/command.h */
    OPTION_COMMAND_VALUE,
    OPTION_COMMAND_SWITCH,
    OPTION_FUSE,    /* handed on to FUSE */
    OPTION_IGNORED, /* mount(8)'s business, or overridden by us */
};

enum option_where { OPTION_ON_COMMAND_LINE = 1, OPTION_IN_FILE = 2, OPTION_ANYWHERE = 3 };

struct option_choice {
    const char *word;
    int value;
};

struct option {
    const char *name;
    enum option_kind kind;
    enum option_where where;
    size_t field;                        /* offset in struct account */
    const char *value;                   /* what --help calls the value; NULL: takes none */
    const char *initial;                 /* default, as it would be written; NULL: none */
    const char *help;                    /* one line; NULL: not in --help */
    guint64 least, most;                 /* of BYTES and NUMBER */
    const struct option_choice *choices; /* of CHOICE and WORD; ends with a NULL word */
};

/* Ends with a NULL name. */
extern const struct option OPTIONS[];

/* The option of this name that takes a value, or none; NULL if there is none. */
const struct option *option_find(const char *name, bool with_value);

/* Sets the field of `account` from a value as the user wrote it (NULL for a switch). A path is made
 * absolute from the current folder if it starts with neither "/" nor "~/". False with `error` set,
 * one line that names the option; the account is then as before. */
bool option_set(const struct option *option, const char *value, struct account *account,
                GError **error);

/* A new account with every option at its default; without name, source, host and user. */
struct account *options_account_new(void);

/* The table as text for --help, the caller's. */
char *options_help(void);

/* An option as given on the command line. */
struct setting {
    const struct option *option;
    char *value; /* NULL: a switch */
};
