#include "fs/tree.h"

#include <errno.h>
#include <string.h>

#include "fs/content.h"
#include "fs/draft.h"
#include "fs/error.h"
#include "fs/events.h"
#include "fs/refused.h"
#include "fs/trace.h"
#include "fs/view.h"

/* ---- attributes ---- */

static void attr_times(const struct mounted *mounted, const struct place *place,
                       struct tree_attr *attr)
{
    attr->mtime_ns = attr->ctime_ns = mounted->since_ns;
    if (place->kind == PLACE_EVENTS) /* by which tail(1) sees that there is more */
        attr->mtime_ns = attr->ctime_ns = MAX(mounted->since_ns, events_last_ns());
    if (place->message.uid != 0) {
        attr->mtime_ns = place->message.internaldate * (int64_t)1000000000;
        attr->ctime_ns = MAX(place->message.ctime_ns, attr->mtime_ns);
    } else if (place->mailbox.mtime_ns != 0) {
        int64_t touched = touched_ns(node_inode(place->node));
        attr->mtime_ns = attr->ctime_ns = MAX(place->mailbox.mtime_ns, touched);
    }
}

static void attr_owner(const struct mounted *mounted, const struct place *place,
                       struct tree_attr *attr)
{
    const struct mounted_account *mine =
        place->account != NULL ? place->account : &mounted->accounts[0];
    attr->permissions = (attr->directory ? 0777 : 0666) & ~mine->account->umask;
    attr->uid = mine->account->uid;
    attr->gid = mine->account->gid;
}

/* Fills all but the size of files. */
static void attr_of(const struct mounted *mounted, const struct place *place,
                    struct tree_attr *attr)
{
    struct node node = place->node;
    if (place->view)
        node.part = NODE_PART_VIEW;
    *attr = (struct tree_attr){
        .inode = node_inode(node),
        .directory = place_is_directory(place),
        .exact = true,
        .steady = place->message.uid != 0 && !place->view,
        .passing = place->view || place->kind == PLACE_VIEW,
    };
    attr_times(mounted, place, attr);
    attr_owner(mounted, place, attr);
}

/* Of what no server has. */
static int local_attr(const struct mounted *mounted, const struct place *place,
                      struct tree_attr *attr)
{
    attr->passing = true;
    if (place->kind == PLACE_DRAFT)
        return draft_attr(mounted, node_inode(place->node), attr);
    return place->kind == PLACE_REFUSED ? refused_attr(place, attr) : 0;
}

int tree_place_attr(const struct mounted *mounted, struct place *place, bool exact,
                    struct tree_attr *attr, struct need *need)
{
    attr_of(mounted, place, attr);
    if (place_is_local(place))
        return local_attr(mounted, place, attr);
    if (attr->directory)
        return 0;
    int error = content_size(mounted, place, exact, &attr->size, &attr->exact, need);
    attr->steady = attr->steady && attr->exact;
    return error;
}

int tree_attr(const struct mounted *mounted, uint64_t inode, bool exact, struct tree_attr *attr,
              struct need *need)
{
    g_auto(place) place = {0};
    int error = place_find(mounted, inode, &place);
    return error == 0 ? tree_place_attr(mounted, &place, exact, attr, need) : error;
}

/* ---- opening a directory ---- */

/* Whether the server does not have a mailbox yet: nothing is to be asked. */
static bool mailbox_is_awaited(const struct place *place)
{
    return place->kind == PLACE_MAILBOX && place->account->journal != NULL &&
           journal_creates(place->account->journal, place->mailbox.wire);
}

/* Whether a list that was whole may serve though the server does not know the mailbox: by a name
 * that it has only here, until its RENAME is done. */
static bool list_is_good(const struct place *place)
{
    if (place->kind != PLACE_MAILBOX || place->account->journal == NULL ||
        !(place->mailbox.flags & CACHE_MAILBOX_COMPLETE))
        return false;
    g_autofree char *original = journal_original(place->account->journal, place->mailbox.wire);
    return strcmp(original, place->mailbox.wire) != 0;
}

/* Whether the account's mailboxes were listed once; INBOX is always among them. What was never seen
 * is not empty: who mirrors it would empty the mirror. */
static bool account_is_seen(const struct place *place)
{
    struct cache_mailbox any;
    return place->kind == PLACE_ACCOUNT && cache_mailbox_next(place->txn, 0, 0, &any) == CACHE_OK;
}

/* A mailbox that another client has deleted may be listed on for what lies below it (RFC 9051,
 * 6.3.5), also by servers that do not say that it is only a name (Dovecot). */
static bool has_below(const struct place *place)
{
    struct cache_mailbox below;
    return place->kind == PLACE_MAILBOX &&
           cache_mailbox_next(place->txn, place->mailbox.slot, 0, &below) == CACHE_OK;
}

/* Whether a list may be shown that the server did not give. */
static bool list_will_do(const struct place *place, enum engine_error why)
{
    uint32_t flags = place->mailbox.flags;
    bool nothing = (flags & CACHE_MAILBOX_NOWHERE) != 0 && (flags & CACHE_MAILBOX_COMPLETE) == 0;
    return account_is_seen(place) || list_is_good(place) ||
           (why == ENGINE_GONE && nothing && has_below(place));
}

int tree_open(const struct mounted *mounted, uint64_t inode, struct need *need)
{
    g_auto(place) place = {0};
    int error = place_find(mounted, inode, &place);
    if (error != 0)
        return error;
    if (!place_is_directory(&place))
        return ENOTDIR;
    if (place.kind == PLACE_PARTS && !ghost_is(inode)) {
        struct cache_parts parts;
        int have = cache_parts_get(place.txn, place.message.object, &parts);
        return have == CACHE_OK ? 0 : need_parts(&place, need);
    }
    if (need->round > 0 && need->answer != ENGINE_OK && !list_will_do(&place, need->answer))
        return error_of_engine(need->answer);
    if (need->round > 0 || mailbox_is_awaited(&place))
        return 0;
    struct engine_wish wish = {.want = ENGINE_FOLDERS};
    bool listed = place.kind == PLACE_MAILBOX || place.kind == PLACE_VIEW ||
                  (place.kind == PLACE_VIEWS && place.node.part == VIEW_TAGS);
    if (listed && !(place.mailbox.flags & CACHE_MAILBOX_NOSELECT))
        wish = (struct engine_wish){.want = ENGINE_MAILBOX, .folder = place.mailbox.slot};
    else if (place.kind != PLACE_ACCOUNT)
        return 0;
    need->optional = account_is_seen(&place) || list_is_good(&place) || has_below(&place);
    return need_add(need, place.account->engine, &wish);
}
