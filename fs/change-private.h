/* What the rooms of fs/change share. Private to them. */
#pragma once

#include "fs/change.h"

/* ---- change.c -------------------------------------------------------------------------------- */

/* What a name in a directory leads to. */
struct change_child {
    uint64_t inode; /* 0: there is nothing of that name */
    struct node node;
    bool directory;
};
/* Never waits: the kernel has looked the name up before. 0, or why the directory cannot be asked.
 */
int change_child(const struct mounted *mounted, uint64_t parent, const char *name,
                 struct change_child *child);
static inline bool change_is_message(const struct change_child *child)
{
    return child->node.uid != 0 && child->node.slot != 0 && child->node.part < NODE_PART_HEADERS;
}
static inline bool change_is_mailbox(const struct change_child *child)
{
    return child->node.uid == 0 && child->node.slot != 0 && child->node.part == 0;
}

/* A place in which names may change: EROFS where nothing may, EPERM in messages and in what the
 * mount says of itself. */
int change_directory(const struct mounted *mounted, uint64_t inode, struct place *place);
/* EACCES if the server is known not to grant one of these rights (RFC 4314), or any change. */
int change_rights(const struct cache_mailbox *mailbox, const char *letters);
/* EDQUOT if the account is known to be full. */
int change_quota(const struct mounted_account *account);
/* Adds an entry, and tells the engine. An errno. */
int change_add(struct mounted_account *account, const struct journal_entry *entry, bool durable,
               uint64_t *id);

/* For one that is about a mailbox: asks for the server's word on it, if nothing else is to be sent.
 * NEED_WAIT, or 0. */
int change_await(struct mounted_account *account, uint64_t id, struct need *need);
/* What that was: 0 if there is none yet. */
int change_said(const struct mounted *mounted, uint64_t parent, const struct need *need);

/* ---- change-message.c ------------------------------------------------------------------------ */

/* A message that is about to be changed, copied out of the cache. */
struct change_message {
    struct mounted_account *account;
    uint64_t inode;             /* NAME.eml; of a staged file its own */
    uint64_t directory;         /* where it is shown */
    char *wire;                 /* of that mailbox */
    char *stem;                 /* NAME */
    char *origin, *id;          /* what `entry` points to */
    bool in_trash;              /* it is shown in the Trash */
    struct journal_entry entry; /* filled with what the message is; kind and target are not */
};
void change_message_clear(struct change_message *message);
typedef struct change_message change_message; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(change_message, change_message_clear)

/* The message of `child`, as it is shown in `parent`. `letters`: the rights that are needed where
 * it lies. */
int change_message_of(const struct mounted *mounted, uint64_t parent, const char *name,
                      const struct change_child *child, const char *letters,
                      struct change_message *message);
/* To the Trash, or for good. With `after` only once that entry is done. */
int change_delete(const struct mounted *mounted, struct change_message *message, uint64_t after);
/* What would come in the way of that: 0 or an errno. May make the Trash. */
int change_delete_check(const struct mounted *mounted, struct change_message *message,
                        char **trash);
/* A message that is overwritten: 0 (nothing to do) or the inode of a message. */
int change_replace(const struct mounted *mounted, uint64_t parent, uint64_t replaces,
                   uint64_t after);
int change_rename_message(const struct mounted *mounted, uint64_t parent, const char *name,
                          const struct change_child *old, uint64_t new_parent, const char *new_name,
                          const struct change_child *target);
int change_rename_ghost(const struct mounted *mounted, uint64_t parent, const char *name,
                        const struct change_child *old, uint64_t new_parent,
                        const struct change_child *target);
/* Removes one face by name: the other becomes a ghost where both are shown. */
int change_unlink_message(const struct mounted *mounted, uint64_t parent, const char *name,
                          const struct change_child *child);

/* ---- change-mailbox.c ------------------------------------------------------------------------ */

/* The wire name of the mailbox where an account's deleted messages go, the caller's. EPERM: there
 * is none, and none was agreed to. Makes the one that was. No transaction may be open. */
int change_trash(const struct mounted *mounted, struct mounted_account *account, char **wire);
/* Makes a mailbox below `parent` (slot, 0: the top), at once in the cache, and by the journal,
 * whose entry is `id`. */
int change_make_mailbox(struct mounted_account *account, uint32_t parent, const char *name,
                        uint32_t *slot, uint64_t *id);
int change_remove_mailbox(const struct mounted *mounted, const struct change_child *child,
                          struct need *need);
/* The server did not do it: the records have the server's names again. */
void change_rename_back(struct mounted_account *account, const char *from, const char *to);
int change_rename_mailbox(const struct mounted *mounted, const struct change_child *old,
                          uint64_t new_parent, const char *new_name,
                          const struct change_child *target, struct need *need);
