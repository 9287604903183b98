/* An account as configured: what the command line and mailmount.conf(5) say, checked and complete.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum account_tls {
    ACCOUNT_TLS_IMPLICIT,
    ACCOUNT_TLS_STARTTLS,
    ACCOUNT_TLS_NONE,
    ACCOUNT_TLS_UNKNOWN, /* with the host, see `address` */
    ACCOUNT_TLS_UNSAID   /* only while it is made: STARTTLS, or NONE through a tunnel */
};
enum account_view { ACCOUNT_VIEW_BOTH, ACCOUNT_VIEW_MESSAGES, ACCOUNT_VIEW_PARTS };
enum account_size { ACCOUNT_SIZE_EXACT, ACCOUNT_SIZE_BOUND };
enum account_delete { ACCOUNT_DELETE_TRASH, ACCOUNT_DELETE_EXPUNGE };
enum account_control { ACCOUNT_CONTROL_HIDDEN, ACCOUNT_CONTROL_LISTED };

/* Strings belong to the struct; NULL where nothing was said and there is no default. */
struct account {
    char *name;    /* the configuration's group, or "user@host" */
    char *source;  /* "imaps://alice@imap.example.org", no secret; for mountinfo and the log */
    char *address; /* what SOURCE says instead of a host; NULL: it does. Then host, port, tls and
                      source are not known before autoconfig_find() */
    char *found;   /* the file that knows since an earlier time where that is; NULL: none */
    char *host;
    uint16_t port;
    enum account_tls tls;
    char *user;
    /* where the secret comes from, see secret_ask() */
    char *password_command;
    char *token_command; /* an OAuth2 access token instead of a password */
    char *password_file;
    char *netrc; /* NULL: ~/.netrc, if it is there */
    char *auth;  /* "auto", "login", or a SASL mechanism */
    char *tls_ca, *tls_fingerprint;
    char *tls_cert, *tls_key; /* our own certificate; tls_key NULL: in the same file */
    char *mountpoint;         /* where it is mounted if the command line does not say */
    char *proxy;              /* "auto", "none" or a URI, which may hold a password */
    char *tunnel_command;     /* its standard input and output are the connection */
    char *cache_dir, *state_dir;
    uint64_t cache_size;     /* bytes of content kept */
    char **folders;          /* patterns, "!" excludes; NULL: all */
    bool folders_subscribed; /* only subscribed ones; `folders` is NULL then */
    enum account_view view;
    enum account_size size;
    enum account_control control;
    char **prefetch;         /* patterns of folders that are kept whole, as `folders`; NULL: none */
    uint64_t prefetch_daily; /* bytes that may be fetched for them a day */
    unsigned timeout_s, connections;
    unsigned poll_s; /* between looks at all folders, beside what is told at once */
    bool xattr;      /* flags are extended attributes too */
    bool read_only;  /* nothing is ever changed, and what an earlier mount left to send waits */
    char *trash;     /* path of the folder for what is deleted, where the server marks none */
    enum account_delete delete;
    uid_t uid;
    gid_t gid;
    mode_t umask; /* 077 */
};

/* Overwrites and frees what may hold a password (account.proxy); NULL is fine. */
void account_wipe(char *text);
/* Whether it signs in by a Kerberos ticket where one will do, and by a password else. */
bool account_prefers_ticket(const struct account *account);
/* Whether it signs in by a password (or token) rather than by certificate or Kerberos ticket. */
bool account_needs_password(const struct account *account);
void account_free(struct account *account);
typedef struct account account; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(account, account_free)

/* An account that was meant to be mounted and cannot be shown at all. */
struct left_out {
    char *name;
    char *why; /* one line */
    int error; /* enum mount_error */
};

/* A list of them, and one more. */
GPtrArray *left_out_new(void);
void left_out_add(GPtrArray *list, const char *name, const char *why, int error);
