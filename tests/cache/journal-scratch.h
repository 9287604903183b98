/* A journal in a directory of its own, and entries, for tests. */
#pragma once

#include "cache/journal.h"

struct journal_scratch {
    char *directory;
    struct journal *journal; /* NULL: closed */
};

void journal_scratch_setup(struct journal_scratch *scratch);
void journal_scratch_teardown(struct journal_scratch *scratch);
void journal_scratch_open(struct journal_scratch *scratch);
void journal_scratch_close(struct journal_scratch *scratch);
struct journal *journal_scratch_open_in(const char *directory, GError **error);
/* "DIRECTORY/a@b:993/NAME", owned by the caller. */
char *journal_scratch_path(const char *directory, const char *name);

/* An entry about message UID of `mailbox` (UIDVALIDITY 7), or with `source`. */
struct journal_entry entry_about(enum journal_kind kind, const char *mailbox, uint32_t uid,
                                 const char *target);
struct journal_entry entry_since(enum journal_kind kind, uint64_t source, const char *target);
/* CREATE and REMOVE of `mailbox`, and RENAME with delimiter "/". */
struct journal_entry entry_mailbox(enum journal_kind kind, const char *mailbox, const char *target);
/* Adds an entry that must be taken; returns its id. */
uint64_t add(struct journal *journal, struct journal_entry entry);
/* A staged file of these bytes. */
uint64_t stage(struct journal *journal, const char *bytes);
/* Takes what can be sent, at most `most`, and says which ids: "1 2 5"; owned by the caller. */
char *take_ids(struct journal *journal, unsigned most);
/* Settles one entry; its message has this UID in the target, UIDVALIDITY 8. */
void settle_one(struct journal *journal, uint64_t id, bool done, uint32_t target_uid);
/* The arrivals of a mailbox, "1 2 5"; owned by the caller. */
char *arrival_ids(struct journal *journal, const char *mailbox);
bool hides(struct journal *journal, const char *mailbox, uint32_t uid);
