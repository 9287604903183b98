/* \Deleted, then UID EXPUNGE (RFC 4315) of exactly these messages. Both can be sent again and
 * again.
 *
 * They go in one flight. Where mail comes in between the two, Dovecot 2.3 says OK to UID EXPUNGE
 * and removes nothing, as it does not see the mark yet. So what was not told to be gone is looked
 * for; what is still there is marked and expunged again, each answered before the next is sent.
 */
#include "fs/engine/push.h"

enum { STEP_MARK = PUSH_CHANGE, STEP_EXPUNGE, STEP_LOOK };
#define ROUNDS_MOST 4

bool push_can_expunge(const struct push *push)
{
    unsigned capabilities = imap_session_capabilities(push->job.line->session);
    return (capabilities & (IMAP_CAP_UIDPLUS | IMAP_CAP_IMAP4REV2)) != 0;
}

void push_expunge_clear(struct push *push)
{
    g_clear_pointer(&push->expunge.uids, imap_uidset_free);
    g_clear_pointer(&push->expunge.gone, imap_uidset_free);
    g_clear_pointer(&push->expunge.found, imap_uidset_free);
}

static void expunge_begin(struct push *push, struct imap_uidset *uids)
{
    push_expunge_clear(push);
    push->expunge.uids = uids;
    push->expunge.gone = imap_uidset_new();
    push->expunge.found = imap_uidset_new();
    imap_send_uid_store(push->job.line->session, uids, true, "\\Deleted", 0, job_done,
                        push_ticket(push, STEP_MARK));
}

static void expunge_send(struct push *push)
{
    imap_send_uid_expunge(push->job.line->session, push->expunge.uids, job_done,
                          push_ticket(push, STEP_EXPUNGE));
}

static void expunge_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    push_note(push, result);
    push->marked = push->marked || (step == STEP_MARK && result->error == IMAP_OK);
}

static void expunge_end(struct push *push)
{
    push_expunge_clear(push);
    push->expunge.then(push);
}

/* ---- what is still there --------------------------------------------------------------------- */

void push_expunged(struct job *job, uint32_t uid)
{
    struct push *push = (struct push *)job;
    if (push->expunge.gone != NULL)
        imap_uidset_add(push->expunge.gone, uid, uid);
}

/* Those of `among` that were not told to be gone. */
static struct imap_uidset *expunge_untold(const struct push *push, const struct imap_uidset *among)
{
    struct imap_uidset *untold = imap_uidset_new();
    const struct imap_range *ranges;
    size_t count = imap_uidset_ranges(among, &ranges);
    for (size_t i = 0; i < count; i++)
        for (uint64_t uid = ranges[i].first; uid <= ranges[i].last; uid++)
            if (!imap_uidset_contains(push->expunge.gone, (uint32_t)uid))
                imap_uidset_add(untold, (uint32_t)uid, (uint32_t)uid);
    return untold;
}

static bool expunge_fetch(struct push *push, const struct imap_fetch *fetch)
{
    if (fetch->uid != 0 && imap_uidset_contains(push->expunge.uids, fetch->uid))
        imap_uidset_add(push->expunge.found, fetch->uid, fetch->uid);
    return false; /* its flags are for the list as well */
}

static void expunge_marked(struct push *push);

static void expunge_looked(struct push *push)
{
    g_autoptr(imap_uidset) there = expunge_untold(push, push->expunge.found);
    uint64_t left = imap_uidset_count(there);
    if (left > 0 && ++push->expunge.rounds < ROUNDS_MOST) {
        expunge_begin(push, g_steal_pointer(&there));
        push_await(push, expunge_heard, expunge_marked);
        return;
    }
    if (left > 0)
        g_message("the server says that it has expunged messages, and %" G_GUINT64_FORMAT
                  " of them are there still",
                  left);
    expunge_end(push);
}

/* A refusal to look says nothing of what was asked for. */
static void look_heard(struct push *push, unsigned step, const struct imap_result *result)
{
}

static void expunge_done(struct push *push)
{
    const struct imap_fetch_request request = {.items = IMAP_ITEM_UID | IMAP_ITEM_FLAGS};
    g_autoptr(imap_uidset) untold = expunge_untold(push, push->expunge.uids);
    if (push->refusal.imap != IMAP_OK || !push_can_expunge(push) ||
        imap_uidset_count(untold) == 0) {
        expunge_end(push);
        return;
    }
    push->fetch = expunge_fetch;
    imap_send_uid_fetch(push->job.line->session, untold, &request, job_done,
                        push_ticket(push, STEP_LOOK));
    push_await(push, look_heard, expunge_looked);
}

static void expunge_marked(struct push *push)
{
    if (push->refusal.imap == IMAP_OK)
        expunge_send(push);
    push_await(push, expunge_heard, expunge_done);
}

void push_expunge(struct push *push, struct imap_uidset *uids, push_then then)
{
    push_forget_refusal(push);
    push->marked = false;
    push->expunge.rounds = 0;
    push->expunge.then = then;
    expunge_begin(push, uids);
    if (push_can_expunge(push))
        expunge_send(push);
    push_await(push, expunge_heard, expunge_done);
}
