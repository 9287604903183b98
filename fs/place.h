/* Where an inode number leads: the records behind it, for as long as one read transaction.
 *
 * A place is looked up anew for every request, and again after every wait: between two looks a
 * message may have gone, a mailbox been renumbered. Nothing of a place outlives place_end() but
 * numbers.
 */
#pragma once

#include "cache/cache.h"
#include "fs/account.h"
#include "fs/engine/engine.h"
#include "fs/node.h"

/* One account of the mount. */
struct mounted_account {
    const struct account *account;
    struct cache *cache;
    struct journal *journal; /* NULL: nothing can be changed */
    struct engine *engine;
    gint trash;    /* atomic: slot of the mailbox marked \\Trash, as far as was looked; 0: none */
    uint32_t root; /* slot of the account's own directory, where the mount has several */
};

/* The mount: fixed before the first request. */
struct mounted {
    struct mounted_account *accounts;
    unsigned count;
    bool several; /* the root shows the accounts; else it is the only account's own directory */
    const GPtrArray *left_out; /* struct left_out */
    int64_t since_ns;          /* when it was mounted, since 1970 */
    const char *path;          /* of the mount point */
};

/* What must be in the cache before a question can be answered: one to NEED_MAX wishes to one
 * engine. Zero it first; need_clear() afterwards. */
enum { NEED_MAX = 8 };
struct need {
    struct engine *engine;
    unsigned count;
    struct engine_wish wishes[NEED_MAX]; /* their sections are the need's own */
    bool optional;                       /* the answer can be given, worse, if a wish fails */
    unsigned round;  /* how often the asker has waited already; kept by need_clear() */
    bool may_decode; /* the caller's thread may be busy for long: big decodes are done there */
    /* kept by need_clear() too */
    uint64_t made; /* what is waited for is the server's word on this entry of the journal */
    enum engine_error answer; /* of the last round, where its wishes were optional */
};
/* Returned by functions that fill a need: ask, wait, then call again. Other values are errno codes;
 * 0 is success. */
#define NEED_WAIT (-1)
/* The step must be taken again on a thread that may decode: `may_decode` was not set. */
#define NEED_DECODER (-2)
/* Adds a wish (section copied); past NEED_MAX it is dropped, to be asked for in the next round.
 * Returns NEED_WAIT. */
int need_add(struct need *need, struct engine *engine, const struct engine_wish *wish);
void need_clear(struct need *need);
/* Wishes for what somebody will probably want: after all that is waited for, its answer ignored. */
void wish_ahead(struct engine *engine, const struct engine_wish *wish);

enum place_kind {
    PLACE_ROOT,        /* of several accounts */
    PLACE_ACCOUNT,     /* top of one account's mailboxes */
    PLACE_MAILBOX,     /* its children and messages */
    PLACE_CONTROL,     /* .mailmount */
    PLACE_STATUS,      /* .mailmount/status */
    PLACE_REQUESTS,    /* .mailmount/control */
    PLACE_EVENTS,      /* .mailmount/events */
    PLACE_PREFETCH,    /* .mailmount/prefetch */
    PLACE_STATUS_JSON, /* .mailmount/status.json */
    PLACE_MARK,        /* an empty file in the root that says: do not index */
    PLACE_MESSAGE,     /* NAME.eml */
    PLACE_PARTS,       /* NAME/, or X/ of a part */
    PLACE_HEADERS,     /* headers.txt in either */
    PLACE_PART,        /* a leaf, or X.eml */
    PLACE_DRAFT,       /* a local file (fs/draft.h) */
    PLACE_GHOST,       /* NAME/ or, FILE, NAME.eml of a message that went (fs/trace.h) */
    PLACE_GHOST_FILE,
    PLACE_FAILED,  /* .mailmount/failed */
    PLACE_REFUSED, /* a message in it */
    PLACE_VIEWS,   /* .mailmount, flags/ or tags/ of a mailbox (fs/view.h) */
    PLACE_VIEW,    /* one flag's or keyword's messages */
    PLACE_KINDS
};
struct place {
    enum place_kind kind;
    struct node node;
    struct mounted_account *account; /* NULL for ROOT, .mailmount and its files, local files */
    struct cache_txn *txn;           /* over the account's metadata; NULL as above */
    struct cache_mailbox mailbox;    /* MAILBOX: itself; of a message: where it lies */
    struct cache_message message;    /* MESSAGE and below */
    bool departed;                   /* MESSAGE and below: it has left this mailbox, and the
                                        server is not known to have it where it goes */
    bool view;                       /* MESSAGE: seen under its second inode number */
    struct cache_part part;          /* PARTS, HEADERS, PART below the top: the node's record */
};

/* Resolves an inode number. ESTALE: what it named is not there any more. EIO: the cache fails. */
int place_find(const struct mounted *mounted, uint64_t inode, struct place *place);
void place_end(struct place *place);
/* Reads the record of a message into a place that has a transaction, also of one that left its
 * mailbox and is on its way. A cache_error. */
int place_message(struct place *place, uint32_t messages, uint32_t uid);
typedef struct place place; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(place, place_end)

/* Wishes for the part tree of the message at a place. NEED_WAIT; EIO if that was wished for
 * already. */
int need_parts(const struct place *place, struct need *need);

/* Whether it is something that no server has: a local file, a ghost, a failed message. */
bool place_is_local(const struct place *place);
/* Whether a mailbox is on its way out, so that it is not shown. */
bool place_mailbox_goes(const struct mounted_account *account, const char *wire);

/* Whether it is a directory. */
bool place_is_directory(const struct place *place);
