/* The face of cache/: what mailmount remembers, in LMDB.
 *
 * An account has two environments in one directory: "meta" (mailboxes, messages, part trees, sizes;
 * small, kept) and "content" (bytes; bounded, least recently used goes first, may be thrown away at
 * any time). Beside the accounts' directories lies "slots", the registry that gives out mailbox
 * slots for all of them. cache/ knows nothing of servers or FUSE.
 *
 * Every value carries a layout version and a checksum. A value that does not fit is CACHE_CORRUPT
 * for the caller of that one record, and never returned as data; an environment that cannot be
 * opened, or is of another layout, is moved aside and begun anew.
 *
 * Threads: all functions may be called from any thread. A transaction belongs to the thread that
 * began it, must end before that thread waits for anything, and no thread holds two. Pointers read
 * from a transaction live until it ends.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum cache_error {
    CACHE_OK = 0,
    CACHE_NOT_FOUND,
    CACHE_CORRUPT, /* the record does not make sense; treat it as not there, or, if it was to be
                      stored: it was not, and the transaction is as before */
    CACHE_FULL,    /* no space on the disk, or in the map */
    CACHE_LOCKED,  /* another process uses this account's cache */
    CACHE_IO,      /* anything else from LMDB or the disk; logged */
};
#define CACHE_ERROR cache_error_quark()
GQuark cache_error_quark(void);

/* ---- opening -------------------------------------------------------------------------------- */

struct cache_options {
    const char *directory;  /* the cache folder; made with mode 0700 if missing */
    const char *account;    /* "alice@imap.example.org:993": names the account's directory */
    const char *owner;      /* what a second process is told ("mounted on /home/a/Mail, pid 7") */
    uint64_t content_bytes; /* bound of the content environment; at least 16 MiB is used */
    unsigned lock_wait_ms;  /* how long to wait for another process that is just ending */
    bool begin_anew;        /* move aside what is there: after a process died inside cache/ */
};

struct cache;
/* Returns NULL and sets `error` (CACHE_ERROR, one line) on failure: CACHE_LOCKED names the owner.
 */
struct cache *cache_open(const struct cache_options *options, GError **error);
void cache_close(struct cache *cache);
/* Whether the cache folder `directory` has something of `account`, as a file system tells. */
bool cache_is_there(const char *directory, const char *account);
/* Whether the metadata environment was begun anew by this open. */
bool cache_is_new(const struct cache *cache);
/* Writes what is not yet on the disk. */
int cache_sync(struct cache *cache);

/* ---- transactions over the metadata --------------------------------------------------------- */

struct cache_txn;
/* Never NULL: failure to begin shows as CACHE_IO from each call on it. */
struct cache_txn *cache_txn_read(struct cache *cache);
struct cache_txn *cache_txn_write(struct cache *cache);
/* Makes a write transaction's changes visible, all or none. The transaction is over either way. */
int cache_txn_commit(struct cache_txn *txn);
/* Ends a transaction; a write transaction's changes are dropped. NULL is fine. */
void cache_txn_end(struct cache_txn *txn);
typedef struct cache_txn cache_txn; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(cache_txn, cache_txn_end)

/* ---- slots ---------------------------------------------------------------------------------- */

/* The directory's slot of a mailbox, and the slot of its messages under one UIDVALIDITY; 1 to
 * 2^17 - 1, the same for ever, unique among all accounts of the cache folder. 0: none is left, or
 * the registry cannot be written. Takes no metadata transaction; may be called inside one. */
uint32_t cache_slot_of_mailbox(struct cache *cache, const char *wire);
uint32_t cache_slot_of_messages(struct cache *cache, const char *wire, uint32_t uidvalidity);

/* ---- mailboxes ------------------------------------------------------------------------------ */

enum cache_mailbox_flag {
    CACHE_MAILBOX_NOSELECT = 1 << 0, /* only a place in the hierarchy */
    CACHE_MAILBOX_SUBSCRIBED = 1 << 1,
    CACHE_MAILBOX_SENT = 1 << 2, /* special use, RFC 6154 */
    CACHE_MAILBOX_DRAFTS = 1 << 3,
    CACHE_MAILBOX_TRASH = 1 << 4,
    CACHE_MAILBOX_JUNK = 1 << 5,
    CACHE_MAILBOX_ARCHIVE = 1 << 6,
    CACHE_MAILBOX_ALL = 1 << 7,
    CACHE_MAILBOX_FLAGGED = 1 << 8,
    CACHE_MAILBOX_IMPORTANT = 1 << 9,
    CACHE_MAILBOX_NOINFERIORS = 1 << 10,
    CACHE_MAILBOX_COMPLETE = 1 << 16, /* the message list is whole as of the last sync */
    CACHE_MAILBOX_READONLY = 1 << 17, /* the server selects it for reading only */
    CACHE_MAILBOX_MADE = 1 << 18,     /* made from here, and not listed since: it was empty then */
    CACHE_MAILBOX_NOWHERE = 1 << 19,  /* lists name it, and the server says it does not exist */
};
struct cache_mailbox {
    uint32_t slot;     /* the directory's */
    uint32_t parent;   /* the parent directory's slot, 0: the root */
    const char *wire;  /* the server's bytes */
    const char *name;  /* the directory entry, unique among its siblings */
    char delimiter;    /* 0: none */
    uint32_t flags;    /* enum cache_mailbox_flag */
    uint32_t messages; /* the slot of the messages, 0: never opened */
    uint32_t uidvalidity, uidnext;
    uint64_t highestmodseq; /* 0: none */
    uint32_t count;         /* messages in the list */
    int64_t mtime_ns;       /* last change of its names, since 1970 */
    int64_t synced_us;      /* wall clock of the last complete sync, 0: never */
    const char *rights;     /* letters of MYRIGHTS (RFC 4314); "" or NULL: not known */
};
int cache_mailbox_get(struct cache_txn *txn, uint32_t slot, struct cache_mailbox *mailbox);
int cache_mailbox_by_wire(struct cache_txn *txn, const char *wire, struct cache_mailbox *mailbox);
int cache_mailbox_by_name(struct cache_txn *txn, uint32_t parent, const char *name,
                          struct cache_mailbox *mailbox);
/* Where a mailbox lies: names from the top down with slashes between, which no name holds. The
 * caller's. NULL: it is not there, cut off from the top, or has over 255 others above it. */
char *cache_mailbox_path(struct cache_txn *txn, uint32_t slot);
/* The mailbox whose messages have this slot. */
int cache_mailbox_of_messages(struct cache_txn *txn, uint32_t messages,
                              struct cache_mailbox *mailbox);
/* The child of `parent` with the smallest slot above `after`; CACHE_NOT_FOUND at the end. */
int cache_mailbox_next(struct cache_txn *txn, uint32_t parent, uint32_t after,
                       struct cache_mailbox *mailbox);

/* A walk over all mailboxes in one transaction, those above before those below. It begins where all
 * of it is zero; g_auto(cache_walk) clears it. */
typedef struct cache_walk {
    GArray *todo; /* uint32_t slots of those seen, whose children come next */
    guint at;
    uint32_t after;
} cache_walk;
/* The next one; false: that was the last. */
bool cache_walk_next(struct cache_walk *walk, struct cache_txn *txn, struct cache_mailbox *mailbox);
void cache_walk_clear(struct cache_walk *walk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(cache_walk, cache_walk_clear)

/* Stores or replaces by slot. `parent` and `name` may change (RENAME); so may `messages`: the
 * records under the old slot are then removed, their objects kept (see below). The texts may be
 * those of the record that is there. */
int cache_mailbox_put(struct cache_txn *txn, const struct cache_mailbox *mailbox);
/* The mailbox has another wire name, parent and directory entry from now on. Its slot and that of
 * its messages stay, so what they number does: they are bound to the new wire name (at once,
 * whether the transaction is committed or not), and the old one gets others if it is asked for
 * again. Its children are renamed one by one. CACHE_CORRUPT: another mailbox has this wire name. */
int cache_mailbox_rename(struct cache_txn *txn, uint32_t slot, const char *wire, uint32_t parent,
                         const char *name);
/* Forgets the mailbox and the list of its messages. */
int cache_mailbox_remove(struct cache_txn *txn, uint32_t slot);

/* ---- messages ------------------------------------------------------------------------------- */

enum cache_flag {
    CACHE_FLAG_SEEN = 1 << 0,
    CACHE_FLAG_ANSWERED = 1 << 1,
    CACHE_FLAG_FLAGGED = 1 << 2,
    CACHE_FLAG_DELETED = 1 << 3,
    CACHE_FLAG_DRAFT = 1 << 4,
};
struct cache_message {
    uint32_t uid;
    uint64_t object;      /* the content's identity, see cache_object_new() */
    int64_t internaldate; /* seconds since 1970 */
    int64_t ctime_ns;     /* last change of flags seen here */
    uint64_t size;        /* RFC822.SIZE as the server says; the truth, if known, is a cache_size */
    uint64_t modseq;      /* 0: none */
    uint32_t flags;       /* enum cache_flag */
    const char *keywords; /* other flags, between spaces; "" */
    const char *name;     /* the file's, without ".eml" */
};
int cache_message_get(struct cache_txn *txn, uint32_t messages, uint32_t uid,
                      struct cache_message *message);
/* The message with the smallest UID >= `from`; CACHE_NOT_FOUND at the end. Corrupt records are
 * passed over. Successive calls in one transaction walk one cursor, so a listing costs a step each.
 */
int cache_message_next(struct cache_txn *txn, uint32_t messages, uint32_t from,
                       struct cache_message *message);
/* The highest UID, 0: none. And how many records there are. */
uint32_t cache_message_last(struct cache_txn *txn, uint32_t messages);
uint32_t cache_message_count(struct cache_txn *txn, uint32_t messages);
/* Stores or replaces. `message->object` must be of cache_object_*(). The texts may be
 * those of the record that is there. */
int cache_message_put(struct cache_txn *txn, uint32_t messages,
                      const struct cache_message *message);
int cache_message_remove(struct cache_txn *txn, uint32_t messages, uint32_t uid);

/* A message that has left its mailbox and is not in the other's list yet: its record stays, apart,
 * where no count, walk or cache_message_get() meets it, and holds the object. */

/* Like cache_message_remove(), and keeps the record so. */
int cache_message_depart(struct cache_txn *txn, uint32_t messages, uint32_t uid);
/* Reads such a record, by where the message was. */
int cache_message_departed(struct cache_txn *txn, uint32_t messages, uint32_t uid,
                           struct cache_message *message);
/* Drops it. CACHE_NOT_FOUND: there is none. */
int cache_message_forget(struct cache_txn *txn, uint32_t messages, uint32_t uid);
/* The first of them with an address above (*messages, *uid), which it then puts there. False: there
 * is none. */
bool cache_departed_next(struct cache_txn *txn, uint32_t *messages, uint32_t *uid);

/* ---- objects: what belongs to a message wherever it lies ------------------------------------ */

/* An object id names a message's content through moves and renumbering. It is found by the server's
 * own id (kind 'E': EMAILID, 'G': X-GM-MSGID; at most 255 bytes, else it is as if there were none),
 * or new. 0 on failure. Objects that no message uses
 * any more keep what is stored under them until cache_collect(). */
uint64_t cache_object_new(struct cache_txn *txn);
uint64_t cache_object_for(struct cache_txn *txn, char kind, const char *server_id);
/* The server's own id of an object, alive until the transaction changes something. CACHE_NOT_FOUND:
 * it has none. */
int cache_object_server_id(struct cache_txn *txn, uint64_t object, char *kind, const char **id);
/* How many messages have an object; 0 also if that is not known. */
uint32_t cache_object_messages(struct cache_txn *txn, uint64_t object);
/* Drops objects (and their headers, parts and sizes) without a message; some at a time, returns how
 * many. Takes its own transactions. The second: only those that had a message after `before` no
 * more (seconds since 1970). */
unsigned cache_collect(struct cache *cache, unsigned most);
unsigned cache_collect_old(struct cache *cache, unsigned most, int64_t before);

/* The header fields that were fetched for names, dates and search, as the server's bytes. */
int cache_header_put(struct cache_txn *txn, uint64_t object, const void *bytes, size_t length);
int cache_header_get(struct cache_txn *txn, uint64_t object, const void **bytes, size_t *length);

/* One node of a message's part tree: a file or directory in the message's directory. */
enum cache_part_kind {
    CACHE_PART_LEAF,      /* a leaf part's content */
    CACHE_PART_MESSAGE,   /* X.eml of a message/rfc822 part */
    CACHE_PART_DIRECTORY, /* X/ beside it */
    CACHE_PART_HEADERS,   /* headers.txt in X/ */
};
enum cache_part_encoding {
    CACHE_ENCODING_IDENTITY, /* 7bit, 8bit, binary, unknown */
    CACHE_ENCODING_BASE64,
    CACHE_ENCODING_QUOTED_PRINTABLE,
    CACHE_ENCODING_UUENCODE,
};
enum cache_part_flag {
    CACHE_PART_LOCAL = 1 << 0, /* `section` is counted in the message as parsed here, not as the
                                  server counts: content comes from the whole message */
    CACHE_PART_TEXT = 1 << 1,  /* unnamed text: shown as UTF-8 with LF */
    CACHE_PART_HTML = 1 << 2,  /* with TEXT: a BOM in front */
};
struct cache_part {
    uint16_t number; /* the inode's part number, see fs/node.h */
    uint16_t parent; /* number of the directory that holds it */
    enum cache_part_kind kind;
    enum cache_part_encoding encoding;
    uint32_t flags;      /* enum cache_part_flag */
    int64_t octets;      /* encoded, as the structure says; -1: unknown */
    const char *name;    /* the directory entry */
    const char *section; /* IMAP section ("2.1"); of the enclosed message for DIRECTORY, HEADERS */
    const char *type;    /* "text/plain", lower case */
    const char *charset; /* "" if none */
};
/* Replaces the whole tree of an object. Numbers ascend. `truncated`: there were more parts than are
 * kept. */
int cache_parts_put(struct cache_txn *txn, uint64_t object, const struct cache_part *parts,
                    size_t count, bool truncated);
struct cache_parts {
    const uint8_t *bytes; /* private to cache/ */
    size_t length, count;
    bool truncated;
};
/* A view of the stored tree, and its walk: `at` starts at 0. next() returns false at the end. */
int cache_parts_get(struct cache_txn *txn, uint64_t object, struct cache_parts *parts);
bool cache_parts_next(const struct cache_parts *parts, size_t *at, struct cache_part *part);

/* Exact sizes, in bytes as shown to the user, once known: of the message (number 0) or a part. */
int cache_size_put(struct cache_txn *txn, uint64_t object, uint16_t number, uint64_t size);
int cache_size_get(struct cache_txn *txn, uint64_t object, uint16_t number, uint64_t *size);
int cache_size_remove(struct cache_txn *txn, uint64_t object, uint16_t number);

/* Where the server has no ids, a message that comes back under another UID, or in another mailbox,
 * is known by its size, INTERNALDATE and Message-ID, which senders may repeat, and by the SHA-256
 * of its header. */
#define CACHE_DIGEST 32
struct cache_identity {
    uint64_t object;
    uint32_t messages; /* the slot of the messages where it was when it became known */
    uint8_t digest[CACHE_DIGEST];
};
/* From now on the object of this message is known, by this digest; until it is dropped, or a
 * message leaves that differs from it in nothing but the header. */
int cache_identity_put(struct cache_txn *txn, uint32_t messages, uint32_t uid,
                       const uint8_t digest[CACHE_DIGEST]);
bool cache_identity_has(struct cache_txn *txn, uint64_t object);
/* The one known object, other than its own, that this message may be, if the digest is equal too;
 * CACHE_NOT_FOUND: there is none, or several. A message without Message-ID is none. */
int cache_identity_find(struct cache_txn *txn, uint32_t messages, uint32_t uid,
                        struct cache_identity *found);
/* Whether both objects' header fields hold the same Message-ID. */
bool cache_object_same_id(struct cache_txn *txn, uint64_t a, uint64_t b);

/* Small facts of the account ("server.sizes" -> "right"). */
int cache_note_put(struct cache_txn *txn, const char *key, const char *value);
int cache_note_get(struct cache_txn *txn, const char *key, const char **value);

/* ---- content -------------------------------------------------------------------------------- */

/* Bytes by (object, section, offset). `section` is any short string; fs/ uses the IMAP section for
 * what the server sent and a suffix for what was decoded from it. Each call is its own transaction
 * over the content environment, so none may be made while holding one over the metadata in the same
 * thread for longer than the call. */

/* Stores a range; what is stored already is overwritten. Evicts what was used least recently when
 * the bound is near. CACHE_FULL: it could not be stored; nothing of it is. CACHE_CORRUPT: the
 * section has over 64 bytes, or the range lies beyond 16 TiB. */
int cache_content_put(struct cache *cache, uint64_t object, const char *section, uint64_t offset,
                      const void *bytes, size_t length);
/* States the exact size of the whole section: no byte lies at or beyond it. */
int cache_content_end(struct cache *cache, uint64_t object, const char *section, uint64_t size);
/* CACHE_NOT_FOUND while no end was stated. */
int cache_content_size(struct cache *cache, uint64_t object, const char *section, uint64_t *size);
/* Copies up to `length` bytes from `offset` into `buffer`; returns how many are there without a gap
 * (stops at the stated end). Counts as use. */
size_t cache_content_get(struct cache *cache, uint64_t object, const char *section, uint64_t offset,
                         void *buffer, size_t length);
/* How many bytes from `offset`, at most `length`, are there without a gap; reads none. */
size_t cache_content_have(struct cache *cache, uint64_t object, const char *section,
                          uint64_t offset, size_t length);
/* Bytes [offset, offset + length) of a section as one block. Over 1 MiB lie in a file without a
 * name in the cache's directory, which is mapped: so they are not held in memory. Where no such
 * file can be, they are. Counts as use. The caller's. NULL: not all of it is there, and `got` is
 * how much there is without a gap; or, where that is all, there is no memory. */
GBytes *cache_content_bytes(struct cache *cache, uint64_t object, const char *section,
                            uint64_t offset, size_t length, size_t *got);
/* The same bytes, held as above; for what was made of content. Takes `bytes`. */
GBytes *cache_spool(struct cache *cache, GBytes *bytes);
/* Whether anything of an object is stored. */
bool cache_content_any(struct cache *cache, uint64_t object);
/* Forgets every section of an object. */
int cache_content_forget(struct cache *cache, uint64_t object);
/* Counts the first `length` bytes of a section as used, without reading them. */
void cache_content_touch(struct cache *cache, uint64_t object, const char *section,
                         uint64_t length);
/* How many pieces of content (up to about 1 MiB each) were evicted for others since it was opened.
 */
uint64_t cache_content_evicted(const struct cache *cache);
/* How many bytes on the disk can be kept for long beside what else comes and goes: two thirds of
 * the bound. */
uint64_t cache_content_room(const struct cache *cache);
/* Bytes that the content takes on the disk now: pages in use; the file itself never shrinks. */
uint64_t cache_content_used(struct cache *cache);
