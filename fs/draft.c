#include "fs/draft.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/change.h"
#include "fs/draft-private.h"
#include "fs/notify.h"

#define NS_PER_S INT64_C(1000000000)
#define NAME_LENGTH_MAX 255

#define LOCKED(draft) \
    g_autoptr(GMutexLocker) locked G_GNUC_UNUSED = g_mutex_locker_new(&(draft)->lock)

/* ---- making ---- */

static struct draft *draft_new(const struct mounted *mounted, struct mounted_account *account)
{
    struct draft *draft = g_new0(struct draft, 1);
    draft->mounted = mounted;
    draft->account = account;
    draft->references = 1;
    draft->file.fd = -1;
    draft->mtime_ns = g_get_real_time() * 1000;
    g_mutex_init(&draft->lock);
    return draft;
}

/* A staged file that the journal delivers, and that no draft here stands for. The caller's
 * reference; NULL: there is none. */
static struct draft *draft_adopt(const struct mounted *mounted, uint64_t inode)
{
    struct mounted_account *account = draft_account(mounted, inode);
    const struct journal_address none = {0};
    struct stat st;
    if (account == NULL || account->journal == NULL)
        return NULL;
    uint64_t staged = node_of(inode).uid;
    g_autoptr(journal_entry) entry = journal_placing(account->journal, &none, staged);
    if (entry == NULL)
        return NULL;
    g_autoptr(draft) draft = draft_new(mounted, account);
    draft->inode = inode;
    draft->file.staged = staged;
    if (draft_file_open(draft) != 0 || fstat(draft->file.fd, &st) != 0)
        return NULL;
    draft->file.size = (uint64_t)st.st_size;
    draft->mtime_ns = entry->internaldate * NS_PER_S;
    draft->set_mtime = true;
    draft->sent = (struct draft_sent){.entry = entry->id,
                                      .staged = staged,
                                      .size = draft->file.size,
                                      .internaldate = entry->internaldate};
    return g_steal_pointer(&draft);
}

static struct draft *get_or_adopt(const struct mounted *mounted, uint64_t inode)
{
    struct draft *draft = draft_get(inode);
    return draft != NULL ? draft : draft_adopt(mounted, inode);
}

/* The account of a directory into which something may be put. */
static int account_of(const struct mounted *mounted, uint64_t parent,
                      struct mounted_account **account)
{
    int error = change_may_add(mounted, parent);
    if (error != 0)
        return error;
    g_auto(place) place = {0};
    error = place_find(mounted, parent, &place);
    *account = place.account;
    return error;
}

int draft_create(const struct mounted *mounted, uint64_t parent, const char *name, pid_t opener,
                 uint64_t *inode, struct draft_handle **handle)
{
    struct mounted_account *account = NULL;
    if (strlen(name) > NAME_LENGTH_MAX)
        return ENAMETOOLONG;
    int error = account_of(mounted, parent, &account);
    if (error != 0)
        return error;
    g_autoptr(draft) draft = draft_new(mounted, account);
    error = draft_file_own(draft, 0);
    if (error == 0 && draft->file.staged > UINT32_MAX)
        error = ENOSPC;
    draft->inode = draft_number(mounted, account, draft->file.staged);
    if (error == 0)
        error = draft_add(draft, parent, name);
    if (error != 0)
        return error;
    *inode = draft->inode;
    *handle = draft_handle_new(draft, true, opener);
    return 0;
}

int draft_open(const struct mounted *mounted, uint64_t inode, bool write, bool truncate,
               pid_t opener, struct draft_handle **handle)
{
    g_autoptr(draft) draft = draft_get(inode);
    if (draft == NULL) {
        draft = draft_adopt(mounted, inode);
        if (draft == NULL)
            return ESTALE;
        if (write || truncate)
            return EACCES; /* it was saved in another session: it is a message */
        int error = draft_add(draft, 0, NULL);
        if (error != 0)
            return error;
    }
    struct draft_handle *opened = draft_handle_new(draft, write, opener);
    int error;
    {
        LOCKED(draft);
        error = truncate ? draft_file_truncate(draft, 0) : draft_file_open(draft);
    }
    if (error == 0)
        *handle = opened;
    else
        draft_release(opened);
    return error;
}

/* ---- what it looks like ---- */

static void attr_fill(const struct draft *draft, uint64_t inode, struct tree_attr *attr)
{
    const struct account *account = draft->account->account;
    *attr = (struct tree_attr){
        .inode = inode,
        .exact = true,
        .passing = true,
        .size = draft->file.size,
        .mtime_ns = draft->mtime_ns,
        .ctime_ns = draft->mtime_ns,
        .permissions = 0666 & ~account->umask,
        .uid = account->uid,
        .gid = account->gid,
    };
}

int draft_attr(const struct mounted *mounted, uint64_t inode, struct tree_attr *attr)
{
    g_autoptr(draft) draft = get_or_adopt(mounted, inode);
    if (draft == NULL)
        return ESTALE;
    LOCKED(draft);
    attr_fill(draft, draft->inode, attr);
    return 0;
}

int draft_set_mtime(const struct mounted *mounted, uint64_t inode, int64_t mtime_ns)
{
    g_autoptr(draft) draft = get_or_adopt(mounted, inode);
    if (draft == NULL)
        return ESTALE;
    LOCKED(draft);
    if (draft_sent_get(draft).entry != 0 && !draft->unsent)
        return 0;
    draft->mtime_ns = mtime_ns;
    draft->set_mtime = true;
    return 0;
}

int draft_sync(struct draft_handle *handle)
{
    LOCKED(handle->draft);
    return draft_file_sync(handle->draft);
}

/* ---- delivering ---- */

/* Notes that the bytes are the journal's now, under `name`. */
static void delivered(struct draft *draft, uint64_t parent, const char *name,
                      const struct draft_sent *sent)
{
    unsigned handles, writers;
    draft_users(draft, &handles, &writers);
    draft->unsent = false;
    draft->replaces = 0;
    draft->mtime_ns = sent->internaldate * NS_PER_S;
    draft->set_mtime = true;
    if (handles == 0)
        draft_file_show_sent(draft, sent);
    draft_name_set(draft, parent, name);
    draft_sent_set(draft, sent);
    draft_tidy(draft);
}

/* Whether it is for the server, as it is and where it is. */
static bool is_due(struct draft *draft, uint64_t *parent, char **name)
{
    *name = draft_name_get(draft, parent);
    return *name != NULL && draft->unsent && draft->file.size > 0 && !draft_is_scratch(*name);
}

static int deliver(struct draft *draft, uint64_t parent, const char *name)
{
    struct draft_sent earlier = draft_sent_get(draft), sent;
    int error = draft_send(draft, parent, name, draft->replaces, true, &sent);
    if (error != 0)
        return error;
    draft_remove_earlier(draft, &earlier, sent.entry);
    delivered(draft, parent, name, &sent);
    return 0;
}

/* close(2) tells that it is refused, so nothing stays of it: neither its name, nor what was kept
 * for want of somebody who waits, when the server was quicker than we. */
static void forget_refused(struct draft *draft, const struct draft_sent *sent,
                           const struct need *need)
{
    draft_name_set(draft, 0, NULL);
    bool told = need->round == 0 || need->answer != ENGINE_INTERRUPTED;
    if (!told || sent->failed == 0)
        return;
    journal_failed_remove(draft->account->journal, sent->failed);
    notify_inode(NODE_FAILED);
}

/* What the server has said so far. */
static int outcome(struct draft *draft, struct need *need)
{
    struct draft_sent sent = draft_sent_get(draft);
    if (sent.settled && sent.error != 0)
        forget_refused(draft, &sent, need);
    if (sent.settled || need->round > 0)
        return sent.error;
    struct engine_wish wish = {.want = ENGINE_PUSHED, .entry = sent.entry};
    need->optional = true; /* it is in the journal, whatever becomes of the wait */
    return need_add(need, draft->account->engine, &wish);
}

int draft_flush(struct draft_handle *handle, pid_t thread_group, struct need *need)
{
    struct draft *draft = handle->draft;
    LOCKED(draft);
    if (need->round > 0)
        return outcome(draft, need);
    g_autofree char *name = NULL;
    uint64_t parent;
    if (!handle->write || thread_group == 0 || thread_group != handle->opener ||
        !is_due(draft, &parent, &name))
        return 0;
    if (draft->file.size > DRAFT_LARGE && !need->may_decode)
        return NEED_DECODER;
    int error = deliver(draft, parent, name);
    if (error == 0)
        return outcome(draft, need);
    draft_name_set(draft, 0, NULL);
    return error;
}

/* Nobody hears of an error any more. What is no message goes, as it does with FLUSH; what the disk
 * could not take stays in the mount. */
static void deliver_last(struct draft *draft)
{
    g_autofree char *name = NULL;
    uint64_t parent;
    if (!is_due(draft, &parent, &name))
        return;
    int error = deliver(draft, parent, name);
    if (error == 0)
        return;
    bool goes = error == EINVAL || error == EFBIG;
    g_warning("%s: a file that was written into a folder cannot be sent%s: %s",
              draft->account->account->name, goes ? "" : " and stays in the mount only",
              error == EINVAL ? "it is no message" : g_strerror(error));
    if (goes)
        draft_name_set(draft, 0, NULL);
}

void draft_release(struct draft_handle *handle)
{
    g_autoptr(draft) draft = handle->draft; /* the handle's reference */
    bool last, written = draft_handle_end(handle, &last);
    {
        LOCKED(draft);
        if (written)
            deliver_last(draft);
        struct draft_sent sent = draft_sent_get(draft);
        if (written && sent.settled && !draft->unsent)
            draft_name_set(draft, 0, NULL);
        if (last && sent.entry != 0 && !draft->unsent)
            draft_file_show_sent(draft, &sent);
        if (last)
            draft_file_rest(draft);
    }
    draft_tidy(draft);
}

int draft_truncate(const struct mounted *mounted, uint64_t inode, uint64_t size)
{
    g_autoptr(draft) draft = draft_get(inode);
    if (draft == NULL)
        return ESTALE;
    unsigned handles, writers;
    draft_users(draft, &handles, &writers);
    LOCKED(draft);
    int error = draft_file_truncate(draft, size);
    if (error == 0 && writers == 0)
        deliver_last(draft);
    if (handles == 0)
        draft_file_rest(draft);
    return error;
}

/* ---- names ---- */

static int unlink_arrival(const struct mounted *mounted, uint64_t parent, const char *name)
{
    g_auto(place) place = {0};
    int error = place_find(mounted, parent, &place);
    if (error != 0)
        return error;
    if (place.kind != PLACE_MAILBOX || place.account->journal == NULL)
        return ENOENT;
    g_autoptr(journal_entry) entry =
        journal_arrival_named(place.account->journal, place.mailbox.wire, name);
    if (entry == NULL || entry->staged == 0)
        return ENOENT;
    uint64_t inode = draft_number(mounted, place.account, entry->staged);
    place_end(&place);
    g_autoptr(draft) draft = get_or_adopt(mounted, inode);
    struct draft_sent sent = {.entry = entry->id};
    if (draft != NULL)
        draft_remove_earlier(draft, &sent, 0);
    return draft != NULL ? 0 : ENOENT;
}

int draft_unlink(const struct mounted *mounted, uint64_t parent, const char *name)
{
    g_autoptr(draft) draft = draft_get_named(parent, name);
    if (draft == NULL)
        return unlink_arrival(mounted, parent, name);
    LOCKED(draft);
    struct draft_sent sent = draft_sent_get(draft);
    draft_remove_earlier(draft, &sent, 0);
    draft_name_set(draft, 0, NULL);
    return 0;
}

/* Whether a draft is delivered because it gets another name. */
static bool rename_delivers(struct draft *draft, const char *old_name, const char *new_name)
{
    unsigned handles, writers;
    draft_users(draft, &handles, &writers);
    if (draft_is_scratch(new_name) || draft->file.size == 0)
        return false;
    return !draft->unsent || old_name == NULL || draft_is_scratch(old_name) || writers == 0;
}

static int rename_and_deliver(struct draft *draft, uint64_t parent, const char *name,
                              uint64_t replaces)
{
    struct draft_sent earlier = draft_sent_get(draft), target_sent, sent;
    g_autoptr(draft) target = draft_get_named(parent, name);
    int error = draft_send(draft, parent, name, replaces, true, &sent);
    if (error != 0)
        return error;
    draft_remove_earlier(draft, &earlier, sent.entry);
    if (target != NULL && target != draft) {
        target_sent = draft_sent_get(target);
        draft_remove_earlier(target, &target_sent, sent.entry);
    }
    delivered(draft, parent, name, &sent);
    return 0;
}

/* Only the name; what has the new one goes. */
static int rename_locally(struct draft *draft, uint64_t parent, const char *name, uint64_t replaces)
{
    if (replaces != 0 && draft->file.size == 0)
        return EINVAL; /* a message cannot become an empty file */
    g_autoptr(draft) target = draft_get_named(parent, name);
    if (target != NULL && target != draft) {
        struct draft_sent sent = draft_sent_get(target);
        draft_remove_earlier(target, &sent, 0);
    }
    draft->replaces = replaces;
    draft_name_set(draft, parent, name);
    return 0;
}

int draft_rename(const struct mounted *mounted, uint64_t inode, uint64_t new_parent,
                 const char *new_name, uint64_t replaces)
{
    struct mounted_account *account = NULL;
    if (strlen(new_name) > NAME_LENGTH_MAX)
        return ENAMETOOLONG;
    g_autoptr(draft) draft = get_or_adopt(mounted, inode);
    if (draft == NULL)
        return ENOENT;
    int error = account_of(mounted, new_parent, &account);
    if (error != 0)
        return error;
    if (account != draft->account)
        return EXDEV;
    if (draft_is_inode(replaces))
        replaces = 0; /* found by its name */
    LOCKED(draft);
    struct draft_sent sent = draft_sent_get(draft);
    uint64_t parent;
    g_autofree char *name = draft_name_get(draft, &parent);
    if (sent.entry != 0 && !sent.settled && draft_is_scratch(new_name))
        return EBUSY;
    if (rename_delivers(draft, name, new_name))
        return rename_and_deliver(draft, new_parent, new_name, replaces);
    return rename_locally(draft, new_parent, new_name, replaces);
}

/* The journal's file under its new name. */
static void link_add(struct draft *draft, uint64_t parent, const char *name,
                     const struct draft_sent *sent, struct tree_attr *attr)
{
    g_autoptr(draft) link = draft_new(draft->mounted, draft->account);
    link->inode = draft_number(draft->mounted, draft->account, sent->staged);
    link->file.staged = sent->staged;
    link->file.size = sent->size;
    link->mtime_ns = sent->internaldate * NS_PER_S;
    link->set_mtime = true;
    link->sent = *sent;
    attr_fill(link, link->inode, attr);
    if (draft_add(link, parent, name) != 0)
        g_debug("%s is shown out of the journal", name);
    draft_tidy(link);
}

int draft_link(const struct mounted *mounted, uint64_t inode, uint64_t new_parent,
               const char *new_name, struct tree_attr *attr)
{
    struct mounted_account *account = NULL;
    g_autoptr(draft) draft = draft_get(inode);
    if (draft == NULL)
        return EPERM;
    int error = account_of(mounted, new_parent, &account);
    if (error != 0)
        return error;
    if (account != draft->account)
        return EXDEV;
    LOCKED(draft);
    uint64_t parent;
    g_autofree char *name = draft_name_get(draft, &parent);
    if (name == NULL || !draft_is_scratch(name) || draft_is_scratch(new_name) ||
        draft->file.size == 0)
        return EPERM;
    struct draft_sent sent;
    draft->copied = 0;
    error = draft_send(draft, new_parent, new_name, 0, false, &sent);
    if (error == 0)
        link_add(draft, new_parent, new_name, &sent, attr);
    return error;
}
