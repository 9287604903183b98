/* From a draft to the journal. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/change.h"
#include "fs/deliver.h"
#include "fs/draft-private.h"
#include "fs/error.h"

#define NS_PER_S INT64_C(1000000000)
#define DATE_LAST INT64_C(253402300799) /* the last that IMAP's four digits of a year can say */

/* ---- a copy of a whole message ---- */

/* Whether the draft holds one message of its account, all of it, and nothing else; its inode. */
static uint64_t whole_message(const struct draft *draft)
{
    struct tree_attr attr;
    struct need need = {0};
    if (draft->copied == 0 || draft->copied_size != draft->file.size)
        return 0;
    {
        g_auto(place) place = {0};
        if (place_find(draft->mounted, draft->copied, &place) != 0 || place.kind != PLACE_MESSAGE ||
            place.account != draft->account)
            return 0;
        int error = tree_place_attr(draft->mounted, &place, true, &attr, &need);
        need_clear(&need);
        if (error != 0 || !attr.exact || attr.size != draft->file.size)
            return 0;
    }
    bool other_time = draft->set_mtime && draft->mtime_ns / NS_PER_S != attr.mtime_ns / NS_PER_S;
    return other_time ? 0 : draft->copied; /* a COPY keeps the date that the message has */
}

static int send_copy(struct draft *draft, uint64_t message, uint64_t parent, const char *name,
                     uint64_t replaces, struct draft_sent *sent)
{
    struct tree_attr attr;
    struct need need = {0};
    int error = tree_attr(draft->mounted, message, false, &attr, &need);
    need_clear(&need);
    if (error == 0)
        error = change_copy(draft->mounted, message, parent, name, replaces, &sent->entry);
    if (error != 0)
        return error;
    sent->size = draft->file.size;
    sent->internaldate = attr.mtime_ns / NS_PER_S;
    return 0;
}

/* ---- an APPEND ---- */

static int64_t internaldate_of(const struct draft *draft, const struct deliver_facts *facts)
{
    int64_t date = g_get_real_time() / G_USEC_PER_SEC;
    if (draft->set_mtime)
        date = draft->mtime_ns / NS_PER_S;
    else if (facts->has_date)
        date = facts->date;
    return CLAMP(date, 0, DATE_LAST);
}

static int check_limit(const struct draft *draft, uint64_t size)
{
    struct engine_status status;
    if (size > UINT32_MAX)
        return EFBIG;
    engine_status_read(draft->account->engine, &status);
    return status.append_limit != 0 && size > status.append_limit ? EFBIG : 0;
}

/* A file of the journal's with the bytes as they go out, on the disk. */
static int stage_clean(struct draft *draft, struct deliver_facts *facts, uint64_t *staged)
{
    int fd = journal_stage(draft->account->journal, staged);
    if (fd < 0)
        return errno;
    g_auto(deliver_facts) written = {0};
    int error = deliver_write(draft->file.fd, draft->file.size, fd, &written);
    if (error == 0 && memcmp(written.digest, facts->digest, sizeof(facts->digest)) != 0)
        error = EIO;
    if (error == 0 && fdatasync(fd) != 0)
        error = errno;
    close(fd);
    if (error != 0)
        journal_staged_remove(draft->account->journal, *staged);
    return error;
}

static int stage(struct draft *draft, bool share, struct deliver_facts *facts, uint64_t *staged)
{
    if (!share || facts->changed || !draft->file.own)
        return stage_clean(draft, facts, staged);
    int error = draft_file_sync(draft);
    *staged = draft->file.staged;
    return error;
}

static int append(struct draft *draft, uint64_t parent, const char *name, uint64_t replaces,
                  const struct deliver_facts *facts, struct draft_sent *sent)
{
    struct journal_entry entry = {
        .name = name,
        .add = "",
        .message_id = facts->message_id,
        .size = facts->size,
        .internaldate = sent->internaldate,
        .staged = sent->staged,
    };
    G_STATIC_ASSERT(sizeof(entry.digest) == sizeof(facts->digest));
    memcpy(entry.digest, facts->digest, sizeof(entry.digest));
    return change_append(draft->mounted, parent, &entry, replaces, &sent->entry);
}

static int send_append(struct draft *draft, uint64_t parent, const char *name, uint64_t replaces,
                       bool share, struct draft_sent *sent)
{
    g_auto(deliver_facts) facts = {0};
    int error = draft_file_open(draft);
    if (error == 0)
        error = deliver_check(draft->file.fd, draft->file.size, &facts);
    if (error == 0)
        error = check_limit(draft, facts.size);
    if (error == 0)
        error = stage(draft, share, &facts, &sent->staged);
    if (error != 0)
        return error;
    sent->size = facts.size;
    sent->internaldate = internaldate_of(draft, &facts);
    bool shared = sent->staged == draft->file.staged;
    error = append(draft, parent, name, replaces, &facts, sent);
    if (error != 0 && !shared)
        journal_staged_remove(draft->account->journal, sent->staged);
    if (error == 0 && shared)
        draft->file.own = draft->file.writable = false;
    return error;
}

int draft_send(struct draft *draft, uint64_t parent, const char *name, uint64_t replaces,
               bool share, struct draft_sent *sent)
{
    *sent = (struct draft_sent){0};
    int error = change_may_add(draft->mounted, parent);
    if (error != 0)
        return error;
    uint64_t message = whole_message(draft);
    if (message != 0 && send_copy(draft, message, parent, name, replaces, sent) == 0)
        return 0;
    return send_append(draft, parent, name, replaces, share, sent);
}

/* ---- what was delivered before ---- */

/* The address of a message, its mailbox the caller's; false: it is gone. */
static bool address_of(const struct mounted *mounted, uint64_t message,
                       struct journal_address *address)
{
    g_auto(place) place = {0};
    if (place_find(mounted, message, &place) != 0 || place.kind != PLACE_MESSAGE)
        return false;
    *address = (struct journal_address){g_strdup(place.mailbox.wire), place.mailbox.uidvalidity,
                                        place.node.uid};
    return true;
}

/* The journal remembers for a while where what it placed is; after that, the address says it. */
static int remove_add(struct draft *draft, const struct draft_sent *earlier, uint64_t after)
{
    uint64_t id;
    struct journal_entry entry = {
        .kind = JOURNAL_EXPUNGE, .source = earlier->entry, .after = after};
    int error = journal_add(draft->account->journal, &entry, true, &id);
    if (error != CACHE_NOT_FOUND || !earlier->settled)
        return error;
    entry.source = 0;
    if (!address_of(draft->mounted, earlier->message, &entry.message))
        return error;
    error = journal_add(draft->account->journal, &entry, true, &id);
    g_free((char *)entry.message.mailbox);
    return error;
}

void draft_remove_earlier(struct draft *draft, const struct draft_sent *earlier, uint64_t after)
{
    if (earlier->entry == 0 || earlier->error != 0)
        return;
    int error = remove_add(draft, earlier, after);
    if (error != CACHE_OK)
        g_warning("%s: a message that was saved twice may stay twice: %s",
                  draft->account->account->name, g_strerror(error_of_cache(error)));
    if (!earlier->settled) /* and what removes it, but not what it replaces */
        journal_supersede(draft->account->journal, earlier->entry, after);
    engine_push(draft->account->engine);
}
