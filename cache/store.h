/* What an open cache and a transaction are made of; private to cache/. */
#pragma once

#include "cache/env.h"
#include "cache/slots.h"
#include "cache/uses.h"

struct cache {
    char *account;
    int lock; /* descriptor that holds the account's lock */
    bool is_new;
    struct slots *slots;
    struct env meta, content;
    struct uses *uses;        /* what of the content was used, not yet written */
    _Atomic uint64_t evicted; /* segments, for others */
};

/* Where cache_message_next() stands. */
struct walk {
    bool valid; /* the cursor stands at messages/uid and nothing has moved it */
    uint32_t messages, uid;
};

struct cache_txn {
    struct cache *cache;
    MDB_txn *txn;       /* NULL: it could not begin */
    MDB_cursor *cursor; /* over the messages; a write transaction opens it late */
    bool write;
    struct walk walk;
    /* write transactions only */
    int failed; /* the first failure after which nothing may be committed */
    struct record_writer writer;
    uint32_t written;  /* tables that were changed, as bits */
    GPtrArray *copies; /* values that were read from changed tables: LMDB moves those */
    struct {
        uint32_t messages; /* 0: none */
        uint32_t count;
    } tally;               /* records of one messages slot, not yet stored */
    uint64_t next_object;  /* 0: not read yet */
    uint64_t fresh_object; /* given out and not yet stored: mostly a message follows; 0: none */
};

/* Reads a record; its bytes live until the transaction ends. */
int store_get(struct cache_txn *txn, enum table table, const struct key *key,
              struct record *record);
/* Stores txn->writer's record. Any failure but CACHE_CORRUPT spoils the transaction. */
int store_put(struct cache_txn *txn, enum table table, const struct key *key);
int store_put_number(struct cache_txn *txn, enum table table, const struct key *key,
                     uint64_t number);
int store_get_number(struct cache_txn *txn, enum table table, const struct key *key,
                     uint64_t *number);
int store_remove(struct cache_txn *txn, enum table table, const struct key *key);
/* Notes that nothing of this transaction may be committed; returns `rc`. */
int store_fail(struct cache_txn *txn, int rc);
/* Whether `txn` can read, and write. CACHE_OK or CACHE_IO. */
int store_check(const struct cache_txn *txn, bool write);

/* In message.c: removes all records of a messages slot, and what is stored late. */
int message_remove_all(struct cache_txn *txn, uint32_t messages);
int message_flush_tally(struct cache_txn *txn);
/* In object.c: a message has, or no longer has, this object. */
int object_hold(struct cache_txn *txn, uint64_t object);
int object_drop(struct cache_txn *txn, uint64_t object);
int object_flush(struct cache_txn *txn);
/* In identity.c: an object is known by nothing any more; and a message leaves, so that another that
 * is just like it (size, INTERNALDATE, Message-ID) is not certain to be told from it later. */
int identity_remove(struct cache_txn *txn, uint64_t object);
int identity_blur(struct cache_txn *txn, const struct cache_message *message);
/* In mailbox.c: forgets the message lists of mailboxes without UIDVALIDITY, at opening. */
int mailbox_forget_unnumbered(struct cache *cache);
