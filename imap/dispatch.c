/* What each kind of reply does to a session, by table. */
#include "imap/list.h"
#include "imap/session.h"
#include "imap/transcript.h"

#include <string.h>

enum { TEXT_MAX = 500, ALERTS_MAX = 20 };

void imap_session_alert(struct imap_session *session, const char *text)
{
    if (session->source)
        EMIT(session, alert, text);
    else if (session->alerts->len < ALERTS_MAX)
        g_ptr_array_add(session->alerts, g_strdup(text));
}

void imap_session_enabled(struct imap_session *session, const char *const *words)
{
    for (; words && *words; words++) {
        bool rev2 = g_ascii_strcasecmp(*words, "IMAP4rev2") == 0;
        if (rev2)
            imap_capabilities_rev2(&session->capabilities);
        session->utf8 |= rev2 || g_ascii_strcasecmp(*words, "UTF8=ACCEPT") == 0;
        session->qresync |= g_ascii_strcasecmp(*words, "QRESYNC") == 0;
    }
}

/* An untagged code, of commands that change mail. Some servers say COPYUID of several commands
 * before they tag any of them, or behind others that were sent before: so it is about the oldest
 * that asked for these messages, a MOVE before a COPY, or about the only one that there is. */
static void report_untagged(struct imap_session *session, const struct imap_reply *reply)
{
    struct imap_report *only = NULL, *taker = NULL;
    bool several = false;

    for (GList *link = session->queue.commands.head; link; link = link->next) {
        const struct imap_command *command = link->data;
        struct imap_report *report = command->request->report;
        if (!command->begun || !report || !imap_report_knows(report, reply->code))
            continue;
        bool moves = imap_report_kind(report) == IMAP_REPORT_MOVES;
        bool better = !taker || (moves && imap_report_kind(taker) != IMAP_REPORT_MOVES);
        if (better && imap_report_takes(report, reply->code_value))
            taker = report;
        several |= only && only != report;
        only = report;
    }
    if (taker || (only && !several))
        imap_report_code(taker ? taker : only, reply->code_value);
}

static void report_tagged(const struct imap_command *command, const struct imap_reply *reply)
{
    struct imap_report *report = command->request->report;

    if (report && imap_report_knows(report, reply->code))
        imap_report_code(report, reply->code_value);
}

bool imap_session_opening(const struct imap_session *session)
{
    const struct imap_command *oldest = imap_queue_oldest(&session->queue);
    return oldest && oldest->current && oldest->kind->begins;
}

/* Another UIDVALIDITY in the midst of a session, where there can be none (RFC 9051, 2.3.1.1): what
 * the UIDs in the commands on their way stand for is not known. */
static bool code_renumbers(const struct imap_session *session, const struct imap_reply *reply)
{
    uint32_t uidvalidity = session->mailbox.state.uidvalidity;
    return session->mailbox.open && reply->condition == IMAP_COND_OK &&
           strcmp(reply->code, "UIDVALIDITY") == 0 && uidvalidity != 0 &&
           reply->code_number != uidvalidity && !imap_session_opening(session);
}

/* What a response code says beside its condition (RFC 9051, 7.1). */
static void reply_code(struct imap_session *session, const struct imap_reply *reply)
{
    struct imap_command *oldest = imap_queue_oldest(&session->queue);

    if (!reply->code)
        return;
    if (reply->words && strcmp(reply->code, "CAPABILITY") == 0) {
        imap_capabilities_set(&session->capabilities, reply->words);
    } else if (strcmp(reply->code, "ALERT") == 0) {
        g_autofree char *text = imap_text_safe(reply->text, strlen(reply->text), TEXT_MAX);
        imap_session_alert(session, text);
    } else if (strcmp(reply->code, "NOTIFICATIONOVERFLOW") == 0) {
        g_autofree char *text = imap_text_safe(reply->text, strlen(reply->text), TEXT_MAX);
        if (reply->kind == IMAP_REPLY_CONDITION)
            EMIT(session, overflow, text);
    } else if (strcmp(reply->code, "CLOSED") == 0) {
        if (oldest && oldest->current && oldest->kind->begins)
            oldest->kind->begins(session, oldest);
    } else if (code_renumbers(session, reply)) {
        imap_session_fail(session, IMAP_ERROR_LOST, "the mailbox was renumbered while selected");
    } else if (session->mailbox.open && reply->condition == IMAP_COND_OK) {
        imap_mailbox_code(&session->mailbox, reply->code, reply->code_value, reply->code_number);
    }
}

static enum imap_error reply_error(const struct imap_reply *reply)
{
    enum imap_error error = imap_error_of_code(reply->condition, reply->code);
    const struct imap_result result = {.error = error, .code = reply->code, .text = reply->text};

    if ((error == IMAP_ERROR_NO || error == IMAP_ERROR_BAD) &&
        imap_passing_of(&result, NULL) >= IMAP_PASSING_LATER)
        return IMAP_ERROR_UNAVAILABLE;
    return error;
}

static void on_tagged(struct imap_session *session, struct imap_reply *reply)
{
    struct imap_command *command = imap_queue_find(&session->queue, reply->tag);
    if (!command) {
        g_debug("connection %u: a reply to nothing we sent", session->number);
        return;
    }

    if (reply->condition == IMAP_COND_OK && !imap_command_is_out(&session->queue, command)) {
        imap_session_fail(session, IMAP_ERROR_PROTOCOL, "the server said OK to half a command");
        return;
    }
    g_autofree char *text = imap_text_safe(reply->text, strlen(reply->text), TEXT_MAX);
    struct imap_result result = {.error = reply_error(reply), .code = reply->code, .text = text};
    if (imap_flaws_answered(session, command, result.error)) {
        imap_session_fail(session, IMAP_ERROR_LOST, text);
        return;
    }
    if (command->doomed)
        result = (struct imap_result){.error = command->doomed, .text = command->doomed_text};
    if (!command->doomed && reply->code)
        report_tagged(command, reply);
    if (reply->code && strcmp(reply->code, "HIGHESTMODSEQ") == 0 && result.error == IMAP_OK)
        command->request->highestmodseq = reply->code_number;
    reply_code(session, reply);
    if (!session->freed && command->kind->answered)
        command->kind->answered(session, command, &result);
    if (session->freed || imap_queue_postpone(&session->queue, command, &result))
        return;
    imap_queue_answer(&session->queue, command, &result);
    imap_session_finish(session);
}

static void on_condition(struct imap_session *session, struct imap_reply *reply)
{
    if (reply->code)
        report_untagged(session, reply);
    reply_code(session, reply);
    if (session->freed || reply->condition != IMAP_COND_BYE)
        return;
    g_autofree char *text = imap_text_safe(reply->text, strlen(reply->text), TEXT_MAX);
    bool not_now = imap_error_of_code(IMAP_COND_NO, reply->code) == IMAP_ERROR_UNAVAILABLE;
    imap_session_fail(session, not_now ? IMAP_ERROR_UNAVAILABLE : IMAP_ERROR_LOST, text);
}

static void on_continue(struct imap_session *session, struct imap_reply *reply)
{
    if (!imap_queue_continue(&session->queue))
        g_debug("connection %u: \"+\" that nobody waits for", session->number);
}

static void on_capability(struct imap_session *session, struct imap_reply *reply)
{
    imap_capabilities_set(&session->capabilities, reply->words);
}

static void on_enabled(struct imap_session *session, struct imap_reply *reply)
{
    imap_session_enabled(session, reply->words);
}

static void on_list(struct imap_session *session, struct imap_reply *reply)
{
    imap_listing_reply(session, &reply->list);
}

/* Whether this mailbox's STATUS was asked for. */
static bool status_asked(const struct imap_session *session, const char *wire)
{
    if (!session->notified)
        return true; /* however the server spells the name */
    for (const GList *link = session->queue.commands.head; link; link = link->next) {
        const struct imap_command *command = link->data;
        if (command->begun && command->about && g_ascii_strcasecmp(command->about, wire) == 0)
            return true;
    }
    return imap_listing_wants_status(session);
}

static void on_status(struct imap_session *session, struct imap_reply *reply)
{
    if (status_asked(session, reply->status.wire))
        EMIT(session, status, &reply->status);
    else
        EMIT(session, status_news, &reply->status);
}

/* The part of `uids` that was asked for: "n:*" also finds the last message below n. */
static struct imap_uidset *search_clip(const struct imap_uidset *uids, uint32_t first,
                                       uint32_t last)
{
    struct imap_uidset *clipped = imap_uidset_new();
    const struct imap_range *ranges = NULL;
    size_t count = uids ? imap_uidset_ranges(uids, &ranges) : 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t from = MAX(ranges[i].first, first);
        uint32_t to = MIN(ranges[i].last, last ? last : UINT32_MAX);
        if (from <= to)
            imap_uidset_add(clipped, from, to);
    }
    return clipped;
}

static void on_search(struct imap_session *session, struct imap_reply *reply)
{
    for (GList *link = session->queue.commands.head; link; link = link->next) {
        const struct imap_command *command = link->data;
        if (!command->begun || command->first == 0)
            continue;
        g_autoptr(imap_uidset) uids = search_clip(reply->uids, command->first, command->last);
        EMIT(session, search, uids);
        return;
    }
}

static void on_exists(struct imap_session *session, struct imap_reply *reply)
{
    if (!session->mailbox.open || !imap_mailbox_exists(&session->mailbox, reply->number))
        return;
    if (!imap_session_opening(session)) /* then it is no change */
        EMIT(session, exists, reply->number);
}

static void on_expunge(struct imap_session *session, struct imap_reply *reply)
{
    bool ignored;

    if (!session->mailbox.open)
        return;
    uint32_t uid = imap_mailbox_expunge(&session->mailbox, reply->number, &ignored);
    if (!ignored)
        EMIT(session, expunged, uid);
}

static void on_vanished(struct imap_session *session, struct imap_reply *reply)
{
    const struct imap_range *ranges = NULL;

    if (!session->mailbox.open || !reply->uids)
        return;
    if (reply->earlier) {
        EMIT(session, vanished, reply->uids);
        return;
    }
    if (imap_uidset_count(reply->uids) > IMAP_SEQUENCE_MAX) {
        imap_session_fail(session, IMAP_ERROR_PROTOCOL, "more messages vanished than there can be");
        return;
    }
    imap_mailbox_vanish(&session->mailbox, reply->uids);
    size_t count = imap_uidset_ranges(reply->uids, &ranges);
    for (size_t i = 0; i < count; i++)
        for (uint64_t uid = ranges[i].first; uid <= ranges[i].last && !imap_session_over(session);
             uid++)
            EMIT(session, expunged, (uint32_t)uid);
}

static void on_fetch(struct imap_session *session, struct imap_reply *reply)
{
    struct imap_fetch *fetch = &reply->fetch;

    if (!session->mailbox.open)
        return;
    fetch->uid = imap_mailbox_fetch(&session->mailbox, fetch->sequence, fetch->uid);
    EMIT(session, fetch, fetch);
}

static void on_quota(struct imap_session *session, struct imap_reply *reply)
{
    EMIT(session, quota, &reply->quota);
}

static void on_rights(struct imap_session *session, struct imap_reply *reply)
{
    EMIT(session, rights, reply->rights_wire, reply->rights);
}

/* NULL: nothing to do. */
static void (*const HANDLERS[])(struct imap_session *session, struct imap_reply *reply) = {
    [IMAP_REPLY_CONTINUE] = on_continue,   [IMAP_REPLY_TAGGED] = on_tagged,
    [IMAP_REPLY_CONDITION] = on_condition, [IMAP_REPLY_CAPABILITY] = on_capability,
    [IMAP_REPLY_ENABLED] = on_enabled,     [IMAP_REPLY_LIST] = on_list,
    [IMAP_REPLY_STATUS] = on_status,       [IMAP_REPLY_SEARCH] = on_search,
    [IMAP_REPLY_EXISTS] = on_exists,       [IMAP_REPLY_EXPUNGE] = on_expunge,
    [IMAP_REPLY_VANISHED] = on_vanished,   [IMAP_REPLY_FETCH] = on_fetch,
    [IMAP_REPLY_QUOTA] = on_quota,         [IMAP_REPLY_RIGHTS] = on_rights,
    [IMAP_REPLY_IGNORED] = NULL,
};

void imap_session_reply(struct imap_session *session, struct imap_reply *reply)
{
    struct imap_command *oldest = imap_queue_oldest(&session->queue);

    if (oldest && oldest->begun && !oldest->current) {
        oldest->current = true;
        if (oldest->kind->begins)
            oldest->kind->begins(session, oldest);
    }
    if (HANDLERS[reply->kind])
        HANDLERS[reply->kind](session, reply);
}
