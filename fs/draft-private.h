/* What a draft is made of; private to fs/draft*.c. */
#pragma once

#include "fs/draft.h"

/* Where the bytes lie. */
struct draft_file {
    int fd;          /* -1: not open */
    bool writable;   /* the descriptor is, and nobody else has the file */
    bool own;        /* removed with the draft; else the journal's */
    uint64_t staged; /* number of the file, 0: there is none, as nothing was written */
    uint64_t size;   /* bytes */
};

/* What was delivered last. */
struct draft_sent {
    uint64_t entry;  /* of the journal, 0: nothing was */
    uint64_t staged; /* its file, 0: a COPY */
    uint64_t size;   /* of that */
    int64_t internaldate;
    bool settled;
    uint64_t message; /* inode, once settled; 0: in no list here */
    int error;        /* errno, once settled */
    uint64_t failed;  /* its bytes are kept under this number (journal_fail()), 0: they are not */
};

/* Lock order: a draft's own lock, then the table's. The first is held while files are read and
 * written and messages delivered, the second never. */
struct draft {
    /* fixed */
    const struct mounted *mounted;
    struct mounted_account *account;
    uint64_t inode;

    /* under the table's lock */
    unsigned references; /* of callers, of handles, and of the table */
    unsigned handles, writers;
    bool shown;      /* it is in the table */
    uint64_t parent; /* with `name` */
    char *name;      /* NULL: it has none any more */
    struct draft_sent sent;
    bool again; /* it was written to since, and keeps its name */

    GMutex lock;
    /* under `lock` */
    struct draft_file file;
    bool unsent;       /* there are bytes that were not delivered */
    uint64_t replaces; /* inode of a message that goes once this is delivered, 0: none */
    bool set_mtime;
    int64_t mtime_ns;
    /* copied as a whole from one message so far: its inode, and how much; 0: not so */
    uint64_t copied, copied_size;
};

/* Up to here a file is checked by the thread that is asked. */
#define DRAFT_LARGE (1u << 20)

struct draft_handle {
    struct draft *draft; /* a reference */
    bool write;
    pid_t opener; /* thread group, 0: not known */
};

/* ---- the table (fs/draft-table.c); all take its lock ---- */

/* Number of an account's staged file as an inode. */
uint64_t draft_number(const struct mounted *mounted, const struct mounted_account *account,
                      uint64_t staged);
struct mounted_account *draft_account(const struct mounted *mounted, uint64_t inode);
/* Adds a draft with one reference for the caller. `name` NULL: it has none. EEXIST, ENFILE. */
int draft_add(struct draft *draft, uint64_t parent, const char *name);
/* A reference; NULL: there is none (any more). */
struct draft *draft_get(uint64_t inode);
struct draft *draft_get_named(uint64_t parent, const char *name);
void draft_unref(struct draft *draft);
typedef struct draft draft; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(draft, draft_unref)
/* Opens and closes; a draft without a name ends with its last handle. */
struct draft_handle *draft_handle_new(struct draft *draft, bool write, pid_t opener);
/* True if it was the last one that could write; `last`: the last at all. */
bool draft_handle_end(struct draft_handle *handle, bool *last);
/* How many have it open, and open for writing. */
void draft_users(struct draft *draft, unsigned *handles, unsigned *writers);
/* Lets it end if nobody can reach it any more. */
void draft_tidy(struct draft *draft);
/* Gives it another name, or (NULL) none. Another draft that has it loses it. */
void draft_name_set(struct draft *draft, uint64_t parent, const char *name);
/* The caller's; NULL: none. */
char *draft_name_get(struct draft *draft, uint64_t *parent);
struct draft_sent draft_sent_get(struct draft *draft);
void draft_sent_set(struct draft *draft, const struct draft_sent *sent);
/* It is written to again: it keeps its name when what was delivered is settled. */
void draft_again(struct draft *draft);

/* ---- bytes (fs/draft-file.c); called with the draft's lock ---- */

/* So that it can be read. 0 or errno; ESTALE: the journal's file is gone. */
int draft_file_open(struct draft *draft);
/* So that it can be written to: a file of its own, with the first `keep` bytes of what it had. */
int draft_file_own(struct draft *draft, uint64_t keep);
int draft_file_sync(struct draft *draft);
/* Shows what was delivered from now on. */
void draft_file_show_sent(struct draft *draft, const struct draft_sent *sent);
/* No handle needs it any more: closes it. */
void draft_file_rest(struct draft *draft);
/* Closes and removes it. */
void draft_file_end(struct draft *draft);
int draft_file_truncate(struct draft *draft, uint64_t size);

/* ---- delivery (fs/draft-send.c); called with the draft's lock ---- */

/* Hands the bytes over to the journal as `name` in `parent`; `sent` says what was. `share`: the
 * draft's own file may become the journal's. */
int draft_send(struct draft *draft, uint64_t parent, const char *name, uint64_t replaces,
               bool share, struct draft_sent *sent);
/* Removes what was delivered earlier, once entry `after` is done. */
void draft_remove_earlier(struct draft *draft, const struct draft_sent *earlier, uint64_t after);
