/* A scripted server, a cache in a temporary folder and an engine between them. */
#pragma once

#include "fs/engine/engine.h"
#include "tests/fs/imapd.h"

struct fixture {
    struct imapd *imapd;
    char *folder;
    struct account account;
    struct cache *cache;
    struct journal *journal; /* NULL: none; closed at the end */
    struct secret *secret;
    struct engine *engine; /* NULL: not started */
    /* events, counted; atomic */
    gint settled, refused;
    GQueue endings; /* of settled entries, char * "ID error text"; under `lock` */
    GMutex lock;
    gint mailbox_changed, arrived, removed, flags_changed, content_changed, folders_changed;
};

/* Opens a journal in the fixture's folder; before the engine is made. */
void fixture_journal(struct fixture *fixture);
/* Closes and opens it again, as a new process would. */
void fixture_journal_again(struct fixture *fixture);
/* Adds an entry; its id. */
uint64_t fixture_add(struct fixture *fixture, const struct journal_entry *entry);
/* Asks for ENGINE_PUSHED. */
enum engine_error fixture_pushed(struct fixture *fixture, uint64_t entry);
/* A staged file with these bytes; its number. */
uint64_t fixture_stage(struct fixture *fixture, const char *bytes, size_t length);
/* A server with INBOX, an open cache; no engine yet. */
void fixture_setup(struct fixture *fixture, gconstpointer data);
void fixture_teardown(struct fixture *fixture, gconstpointer data);
/* Makes the engine and waits for its start, which must succeed. */
void fixture_start(struct fixture *fixture);
/* Makes it, without waiting. */
void fixture_make(struct fixture *fixture);
void fixture_stop(struct fixture *fixture);
/* Time as the engine sees it: all clocks, or those that run on while suspended. Reset by setup. */
void fixture_pass(gint64 seconds);
void fixture_suspend(gint64 seconds);

/* Asks and waits. */
enum engine_error fixture_ask(struct fixture *fixture, const struct engine_wish *wish);
enum engine_error fixture_list(struct fixture *fixture, const char *mailbox);
enum engine_error fixture_parts(struct fixture *fixture, const char *mailbox, uint32_t uid);
enum engine_error fixture_bytes(struct fixture *fixture, const char *mailbox, uint32_t uid,
                                const char *section, uint64_t offset, uint64_t length);
/* A wish that is waited for later. */
struct pending;
struct pending *fixture_begin(struct fixture *fixture, const struct engine_wish *wish);
enum engine_error fixture_wait(struct pending *pending);
uint64_t fixture_id(const struct pending *pending);

/* The mailbox's record, strings not set; must be there. */
struct cache_mailbox fixture_mailbox(struct fixture *fixture, const char *mailbox);
/* The message's record; false: none. `name` and `keywords` are the caller's. */
bool fixture_message(struct fixture *fixture, const char *mailbox, uint32_t uid,
                     struct cache_message *message, char **name, char **keywords);
uint64_t fixture_object(struct fixture *fixture, const char *mailbox, uint32_t uid);
/* Whether the content cache holds exactly these bytes of a section from `offset`. */
bool fixture_holds(struct fixture *fixture, uint64_t object, const char *section, uint64_t offset,
                   const char *bytes, size_t length);
struct imapd_box *fixture_inbox(struct fixture *fixture);
