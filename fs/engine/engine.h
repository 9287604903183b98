/* The engine: one thread an account, which joins imap/ and cache/.
 *
 * Facts flow through it one way: the server's replies become records in the cache. Wishes come back
 * through engine_ask(): "this mailbox's list shall be true", "these bytes shall be in the cache".
 * Each wish is answered exactly once, by a callback without data: what was wished for is then in
 * the cache (or the error says why not), and the asker looks there again. So nothing here outlives
 * a wait but ids, and the file side never touches a socket.
 *
 * Wishes for the same thing share one command. Every wish has a deadline (account.timeout_s without
 * progress on the connection that serves it) and can be cancelled. While the server is known to be
 * out of reach, wishes fail at once with ENGINE_OFFLINE.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"
#include "cache/journal.h"
#include "fs/account.h"
#include "fs/secret.h"

/* Why a wish was not granted; fs/error.h makes errno of it. */
enum engine_error {
    ENGINE_OK = 0,
    ENGINE_GONE,        /* the message or mailbox is not on the server any more */
    ENGINE_REFUSED,     /* the server says no (rights, read-only) */
    ENGINE_TIMEOUT,     /* no progress until the deadline */
    ENGINE_OFFLINE,     /* the server is known to be out of reach */
    ENGINE_LOGIN,       /* signing in failed */
    ENGINE_INTERRUPTED, /* cancelled by engine_cancel() */
    ENGINE_BROKEN,      /* the server cannot give it: its answers make no sense */
    ENGINE_CACHE,       /* the cache cannot take it: damaged, or the disk fails */
    ENGINE_FULL,        /* the cache cannot take it: no space */
    ENGINE_STOPPED,     /* the engine is shutting down */
    /* changes */
    ENGINE_QUOTA,     /* the account is full */
    ENGINE_TOO_BIG,   /* the server takes no message of this size */
    ENGINE_INVALID,   /* the server does not take it for a message, or for a mailbox name */
    ENGINE_EXISTS,    /* a mailbox of this name exists */
    ENGINE_NOT_EMPTY, /* the mailbox holds messages or other mailboxes */
};

enum engine_want {
    ENGINE_FOLDERS, /* the list of mailboxes is fresh */
    ENGINE_MAILBOX, /* the message list of mailbox `folder` is complete and fresh */
    ENGINE_PARTS,   /* message (`messages`, `uid`) has its part tree in the cache */
    ENGINE_REPARTS, /* the same, rebuilt from the message itself: the structure proved wrong */
    ENGINE_BYTES,  /* bytes [offset, offset + length) of `section`, as the server sends them, are in
                      the content cache under the message's object; or all up to the section's end,
                      which is then stated, if that comes before */
    ENGINE_PUSHED, /* the journal's entry `entry` is settled; 0: all that it holds now are, for
                      which another attempt to reach the server is made. The error is the server's
                      refusal, or that it is out of reach: the entry then stays */
    ENGINE_CONNECT,  /* a connection is open: if none is, an attempt is made now */
    ENGINE_PREFETCH, /* mailbox `folder` will be fetched whole; answered as soon as that is noted,
                        see engine_prefetch_read() */
    ENGINE_PREFETCH_STOP, /* no more, unless the configuration says so */
};
struct engine_wish {
    enum engine_want want;
    uint32_t folder;   /* MAILBOX, PREFETCH: the directory's slot */
    uint32_t messages; /* else: the slot of the messages, and the UID */
    uint32_t uid;
    const char *section; /* BYTES: "", "HEADER", "2.1" ...; copied */
    uint64_t offset, length;
    uint64_t entry; /* PUSHED */
    bool brief;     /* PUSHED: answered OK after some seconds, settled or not */
    bool ahead;     /* nobody waits for it: comes after what somebody waits for */
    bool anew;      /* FOLDERS, MAILBOX: the server is asked, however fresh the list is */
};

/* Called once, from any thread, without locks held; must not block. */
typedef void (*engine_done)(enum engine_error error, void *data);

/* How a message's flags changed: as they were and as they are. */
struct engine_flags {
    uint32_t flags;       /* enum cache_flag */
    const char *keywords; /* sorted, between spaces; "" */
};

/* What became of a mailbox's directory. */
enum engine_folder { ENGINE_FOLDER_NEW, ENGINE_FOLDER_GONE, ENGINE_FOLDER_MOVED };
struct engine_folder_change {
    enum engine_folder what;
    uint32_t folder;  /* its slot */
    const char *path; /* leads to it from the account's directory; GONE: led */
    const char *old;  /* MOVED: where it was; else NULL */
    bool own;         /* it was done here */
};

/* What the file side is told, from the engine's thread, once it is in the cache; must not block.
 * Slots as in the cache. NULL members are skipped. Strings die when the callback returns; a `name`
 * is the file's without ".eml".
 *
 * A message's events come in the order in which the cache changed, and those of one change of a
 * mailbox together: first its messages', then one mailbox_changed if names came or went. It does
 * not matter who changed them, another client or we. While a mailbox is listed for the first time
 * there is one mailbox_changed at the end and no message_arrived; when the UIDVALIDITY of one that
 * is listed changes, a message_removed each at once and, when the new list is there, a
 * message_arrived each, of the same `object` where the message is known again. A message that
 * another client moves is removed in one mailbox and arrives in another, in either order, minutes
 * apart perhaps; where the server has object ids, or we moved it, its record there has the same
 * `object` (message_removed). Without them it may get that a little later, which is a
 * content_changed. */
struct engine_events {
    void (*mailbox_changed)(uint32_t folder, void *data); /* names came or went; mtime is bumped */
    void (*message_arrived)(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                            void *data);
    void (*message_removed)(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                            uint64_t object, void *data);
    void (*message_changed)(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                            const struct engine_flags *was, const struct engine_flags *is,
                            void *data);
    void (*content_changed)(uint32_t messages, uint32_t uid,
                            void *data); /* size or parts corrected */
    /* Whether somebody waits to be told: then mailboxes that were opened stay in use. */
    bool (*listened)(void *data);
    void (*folders_changed)(void *data);
    /* LIST shows another directory, one less, or one under another path, than the cache had, or a
     * JOURNAL_REMOVE is done; but the first LIST of all tells nothing. */
    void (*folder_changed)(const struct engine_folder_change *change, void *data);
    /* The directory that was entry `name` of the mailbox `parent` (0: of the account) is not there
     * any more, though its slot is, under another name. */
    void (*folder_left)(uint32_t parent, const char *name, void *data);
    /* An entry of the journal is done, or (not ENGINE_OK) refused for good, with the server's
     * words, and is no longer in it. Its message is in the list of the target by now, where that
     * list is kept at all. */
    void (*change_settled)(const struct journal_entry *entry, enum engine_error error,
                           const char *text, void *data);
};

/* Clocks, which tests replace. Microseconds. */
struct engine_clock {
    gint64 (*monotonic)(void); /* stands still while suspended */
    gint64 (*boottime)(void);  /* runs on while suspended */
    gint64 (*wall)(void);
};
extern const struct engine_clock ENGINE_CLOCK;

struct engine_config {
    const struct account *account; /* outlives the engine */
    struct cache *cache;           /* outlives the engine */
    struct journal *journal;       /* outlives the engine; NULL: nothing is ever changed */
    struct secret
        *secret; /* as asked at start; a reference is taken. NULL: password_command is run */
    const struct engine_events *events;
    void *events_data;
    const struct engine_clock *clock; /* NULL: ENGINE_CLOCK */
    bool transcript;                  /* protocol lines to the log */
};

struct engine;
/* Starts the thread. */
struct engine *engine_new(const struct engine_config *config);
/* Waits for the first sign-in and list of mailboxes. False: `error` is set (IMAP's message, one
 * line) and `reason` says what kind it is; the engine then still lives, offline, and tries again.
 */
enum engine_start_reason {
    ENGINE_START_NETWORK,
    ENGINE_START_SECRET, /* nobody gave one, so that no server was asked */
    ENGINE_START_LOGIN,
    ENGINE_START_TLS,
    ENGINE_START_CACHE, /* it cannot be written */
    ENGINE_START_OTHER
};
bool engine_start(struct engine *engine, enum engine_start_reason *reason, GError **error);
/* Answers every wish ENGINE_STOPPED, closes the connections (within 2 s whatever the network does),
 * ends the thread. */
void engine_stop(struct engine *engine);
void engine_free(struct engine *engine);

/* Asks; returns an id for engine_cancel(), never 0. `done` may be called before this returns. */
uint64_t engine_ask(struct engine *engine, const struct engine_wish *wish, engine_done done,
                    void *data);
/* Somebody watches the directory of a mailbox: it counts as opened for some minutes. Any thread. */
void engine_watched(struct engine *engine, uint32_t folder);
/* Answers the wish `error` if it is not answered yet. Any thread. */
void engine_cancel(struct engine *engine, uint64_t id, enum engine_error error);

/* A level of a mailbox name (UTF-8) as the server spells it; NULL if it cannot be spelt. The
 * caller's. Any thread. */
char *engine_mailbox_wire(struct engine *engine, const char *text);

/* There is something new in the journal: it is sent as soon as can be. Any thread. */
void engine_push(struct engine *engine);

/* Whether the server's RFC822.SIZE can be shown as the size of a file: it was compared with bodies
 * (persistent, per account). WRONG once a body did not fit. */
enum engine_sizes { ENGINE_SIZES_UNPROVED, ENGINE_SIZES_RIGHT, ENGINE_SIZES_WRONG };
enum engine_sizes engine_sizes(struct engine *engine);

/* A mailbox that is, or was, fetched whole. */
enum engine_prefetch_state {
    ENGINE_PREFETCH_WAITING,   /* for its turn, or to be listed */
    ENGINE_PREFETCH_FETCHING,  /* the numbers say how far it is */
    ENGINE_PREFETCH_COMPLETE,  /* all that was in it is in the cache */
    ENGINE_PREFETCH_TOO_SMALL, /* the cache is: the newest messages are in it */
    ENGINE_PREFETCH_PAUSED,    /* the server wants less, `why`; or the day's budget is used up */
    ENGINE_PREFETCH_OFFLINE,   /* goes on when the server can be reached */
    ENGINE_PREFETCH_STOPPED,   /* by ENGINE_PREFETCH_STOP */
    ENGINE_PREFETCH_FAILED,    /* `error`: some messages cannot be had; or the mailbox is gone */
};
struct engine_prefetch {
    uint32_t folder;
    enum engine_prefetch_state state;
    bool kept; /* as the configuration says: whatever comes is fetched, too */
    enum engine_error error;
    uint64_t messages, messages_done, bytes, bytes_done; /* as of when it was last looked at */
    int64_t until_us;                                    /* PAUSED: wall clock; 0: midnight */
    char why[128];                                       /* the server's words, "" if none */
};
/* All of them (struct engine_prefetch), in the order in which they came; the caller's. Any thread.
 */
GArray *engine_prefetch_read(struct engine *engine);

/* A mailbox whose messages are fetched into the list for the first time. */
struct engine_listing {
    uint32_t folder;
    uint64_t messages; /* that it will have */
};
/* All of them (struct engine_listing), the caller's. Any thread. */
GArray *engine_listings_read(struct engine *engine);

/* A change that the server refused with words that do not sound as if it stays so: it is tried
 * again, for as long as that lasts. */
struct engine_put_off {
    uint64_t entry;
    char *what;       /* "move INBOX/NAME to Archive" */
    char *why;        /* the server's words, "" if none */
    int64_t since_us; /* wall clock: when the user asked for it */
};
/* At most the first `most` (struct engine_put_off), in the order in which they were asked for; the
 * caller's, frees what is in it. `all` gets how many there are. Any thread. */
GPtrArray *engine_put_offs_read(struct engine *engine, unsigned most, unsigned *all);

/* A snapshot for .mailmount/status. */
enum engine_live {
    ENGINE_LIVE_POLL,   /* changes are looked for every account.poll_s seconds only */
    ENGINE_LIVE_IDLE,   /* and told at once of the folders in use (IDLE) */
    ENGINE_LIVE_NOTIFY, /* and of all folders (NOTIFY) */
};
#define ENGINE_REFUSED_SHOWN 10
struct engine_status {
    bool online;        /* there is a connection */
    bool connecting;    /* not online, but an attempt is under way: it may wait for a password */
    gint64 next_try_us; /* wall clock of the next attempt to connect; 0: none is due, or one is
                           under way */
    gint64
        pause_until_us; /* wall clock: the server wants to be asked for nothing; 0: it does not */
    char pause_words[128]; /* so it says */
    enum engine_live live;
    char server[128];         /* its name for itself */
    const char *signed_in_by; /* the mechanism, static; NULL: not yet, or none was needed */
    const char *missed;   /* the better one that the server offered before, static; NULL: none */
    char last_error[256]; /* "" if none */
    char refusal[256];    /* why the server lets us not sign in: with the same secret it is
                             not asked again before ENGINE_CONNECT. "" if it does */
    unsigned connections, waiting; /* open connections; wishes not answered */
    uint64_t bytes_in, commands;
    char flaws[128]; /* what the server was seen not to stand, words between blanks: extensions,
                        "PIPELINING", "LIST-INCOMPLETE" (imap/imap.h); "" if nothing */
    uint64_t mailboxes_incomplete; /* EXISTS is above what FETCH gives (RFC 9738) */
    uint64_t refusals;             /* changes that the server refused since the start */
    /* the last of them, the newest first: what, and the server's words; "" if no more */
    char refused[ENGINE_REFUSED_SHOWN][512];
    bool quota_known;
    int64_t quota_used, quota_limit;              /* KiB; -1: not limited */
    int64_t quota_messages, quota_messages_limit; /* -1: not limited */
    uint64_t append_limit;                        /* octets, 0: not told */
    bool new_keywords;                            /* unless the server is known to refuse them */
};
void engine_status_read(struct engine *engine, struct engine_status *status);
