/* The selected mailbox as the server tells it: its state, and which UID each message sequence
 * number stands for (RFC 9051, 2.3.1.2). Private to imap/. */
#pragma once

#include "imap/imap.h"

/* Sequence numbers above this are not mapped: 40 MB for what a server may make us keep. */
enum { IMAP_SEQUENCE_MAX = 10 * 1000 * 1000 };

struct imap_mailbox {
    bool open; /* data of the server is about this mailbox; false: none is selected */
    struct imap_mailbox_state state;
    GArray *uids; /* of uint32_t, [sequence number - 1]; 0: not known; as long as it is known */
};

void imap_mailbox_init(struct imap_mailbox *mailbox);
void imap_mailbox_clear(struct imap_mailbox *mailbox); /* frees */
/* Forgets all; from now on a new mailbox is open, or none. */
void imap_mailbox_reset(struct imap_mailbox *mailbox, bool open);

/* EXISTS. A count below the known one breaks the protocol: then all UIDs are forgotten. Returns
 * whether the count changed. */
bool imap_mailbox_exists(struct imap_mailbox *mailbox, uint32_t count);
/* EXPUNGE: the later ones move up. Returns the UID that went, 0: not known. `sequence` 0 or above
 * EXISTS changes nothing and sets *ignored. */
uint32_t imap_mailbox_expunge(struct imap_mailbox *mailbox, uint32_t sequence, bool *ignored);
/* VANISHED (RFC 7162, 3.2.10), not EARLIER: these are gone. If one's place is not known, no place
 * is any more. */
void imap_mailbox_vanish(struct imap_mailbox *mailbox, const struct imap_uidset *uids);
/* FETCH of `sequence` with `uid` (0: it told none). Returns its UID, 0: not known. */
uint32_t imap_mailbox_fetch(struct imap_mailbox *mailbox, uint32_t sequence, uint32_t uid);

/* A response code that is about the mailbox (UIDVALIDITY, READ-ONLY, ...); others do nothing.
 * `value` is what it says (NULL: nothing), `number` what that begins with. */
void imap_mailbox_code(struct imap_mailbox *mailbox, const char *code, const char *value,
                       uint64_t number);
