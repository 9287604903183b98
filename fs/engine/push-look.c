/* Messages as FETCH tells them, to know one again. */
#include <string.h>

#include "fs/engine/push.h"

/* Of more the older half is forgotten: what we have put there came last. */
#define LOOKED_MAX 100000

static void looked_clear(struct looked *looked)
{
    g_free(looked->message_id);
    g_free(looked->server_id);
}

GArray *push_looked_new(void)
{
    GArray *looked = g_array_new(FALSE, TRUE, sizeof(struct looked));
    g_array_set_clear_func(looked, (GDestroyNotify)looked_clear);
    return looked;
}

void push_look_clear(struct push *push)
{
    g_array_set_size(push->looked, 0);
    g_array_set_size(push->sources, 0);
}

char *looked_id(const char *text, size_t length)
{
    g_autoptr(GString) id = g_string_new(NULL);
    for (size_t i = 0; i < length && text[i] != '\0'; i++)
        if ((unsigned char)text[i] > ' ' && text[i] != '<' && text[i] != '>')
            g_string_append_c(id, text[i]);
    return g_strdup(id->str);
}

static char *looked_message_id(const struct imap_fetch *fetch)
{
    for (uint32_t i = 0; i < fetch->body_count; i++) {
        const struct imap_body *body = &fetch->bodies[i];
        gsize length = 0;
        const char *bytes = body->bytes != NULL ? g_bytes_get_data(body->bytes, &length) : NULL;
        if (g_ascii_strncasecmp(body->section, "HEADER.FIELDS", 13) != 0 || bytes == NULL)
            continue;
        g_autofree char *text = g_strndup(bytes, length); /* some send more than was asked for */
        g_autofree char *lower = g_ascii_strdown(text, -1);
        const char *at = g_str_has_prefix(lower, "message-id:") ? lower : NULL;
        if (at == NULL && (at = strstr(lower, "\nmessage-id:")) != NULL)
            at++;
        if (at == NULL)
            return g_strdup("");
        const char *value = text + (at - lower) + strlen("message-id:"), *end = value;
        while (*end != '\0' && !(*end == '\n' && end[1] != ' ' && end[1] != '\t'))
            end++;
        return looked_id(value, (size_t)(end - value));
    }
    return NULL;
}

static char *looked_server_id(const struct imap_fetch *fetch)
{
    if ((fetch->items & IMAP_ITEM_EMAILID) != 0)
        return g_strconcat("E", fetch->emailid, NULL);
    if ((fetch->items & IMAP_ITEM_GM_MSGID) != 0)
        return g_strdup_printf("G%" G_GUINT64_FORMAT, fetch->gm_msgid);
    return g_strdup("");
}

struct looked *looked_find(const GArray *looked, uint32_t uid)
{
    for (guint i = 0; i < looked->len; i++)
        if (g_array_index(looked, struct looked, i).uid == uid)
            return &g_array_index(looked, struct looked, i);
    return NULL;
}

static void looked_take(GArray *into, const struct imap_fetch *fetch)
{
    char *message_id = looked_message_id(fetch);
    if (message_id == NULL || fetch->uid == 0) {
        g_free(message_id); /* flags that changed meanwhile */
        return;
    }
    if (into->len >= LOOKED_MAX)
        g_array_remove_range(into, 0, LOOKED_MAX / 2);
    struct looked looked = {
        .uid = fetch->uid,
        .size = (fetch->items & IMAP_ITEM_SIZE) != 0 ? fetch->size : 0,
        .date = (fetch->items & IMAP_ITEM_INTERNALDATE) != 0 ? fetch->internaldate : 0,
        .message_id = message_id,
        .server_id = looked_server_id(fetch),
    };
    g_array_append_val(into, looked);
}

static bool look_fetch(struct push *push, const struct imap_fetch *fetch)
{
    looked_take(push->into, fetch);
    return fetch->body_count > 0;
}

static void look_heard(struct push *push, unsigned step, const struct imap_result *result)
{
    push_note(push, result);
}

void push_look_uids(struct push *push, const struct imap_uidset *uids, GArray *into, push_then then)
{
    struct imap_session *session = push->job.line->session;
    unsigned capabilities = imap_session_capabilities(session);
    struct imap_fetch_request request = {
        .items = IMAP_ITEM_UID | IMAP_ITEM_SIZE | IMAP_ITEM_INTERNALDATE,
        .header_fields = "MESSAGE-ID",
    };
    if ((capabilities & IMAP_CAP_OBJECTID) != 0)
        request.items |= IMAP_ITEM_EMAILID;
    if ((capabilities & IMAP_CAP_GMAIL) != 0)
        request.items |= IMAP_ITEM_GM_MSGID;
    push_forget_refusal(push);
    g_array_set_size(into, 0);
    push->into = into;
    push->fetch = look_fetch;
    imap_send_uid_fetch(session, uids, &request, job_done, push_ticket(push, PUSH_LOOK));
    push_await(push, look_heard, then);
}

/* "n:*" also gives the last message, if that lies below n. */
static void look_drop_below(GArray *looked, uint32_t first)
{
    for (guint i = looked->len; i-- > 0;)
        if (g_array_index(looked, struct looked, i).uid < first)
            g_array_remove_index(looked, i);
}

/* What other entries have brought is theirs, however alike. */
static void look_mark_claimed(struct push *push)
{
    const char *target = push_entry(push, 0)->target;
    uint32_t uidvalidity = imap_session_state(push->job.line->session)->uidvalidity;
    for (guint i = 0; i < push->into->len; i++) {
        struct looked *looked = &g_array_index(push->into, struct looked, i);
        looked->taken = push_is_claimed(push->job.engine, target, uidvalidity, looked->uid);
    }
}

static void look_from_done(struct push *push)
{
    look_drop_below(push->into, push->look_first);
    look_mark_claimed(push);
    push->look_then(push);
}

void push_look_from(struct push *push, uint32_t first, GArray *into, push_then then)
{
    g_autoptr(imap_uidset) uids = imap_uidset_new();
    push->look_first = MAX(first, 1);
    push->look_then = then;
    imap_uidset_add(uids, push->look_first, UINT32_MAX);
    push_look_uids(push, uids, into, look_from_done);
}

/* ---- knowing again --------------------------------------------------------------------------- */

/* Copies are of one size; a little apart where a server counts what it adds. */
static bool size_may_be(uint64_t one, uint64_t other)
{
    uint64_t apart = one > other ? one - other : other - one;
    return one == 0 || other == 0 || apart <= MAX(MAX(one, other) / 50, 100);
}

static bool looked_same(const struct looked *one, const struct looked *other)
{
    if (one->server_id[0] != '\0' && other->server_id[0] != '\0')
        return strcmp(one->server_id, other->server_id) == 0;
    if (one->message_id[0] != '\0' || other->message_id[0] != '\0')
        return strcmp(one->message_id, other->message_id) == 0 &&
               size_may_be(one->size, other->size);
    return one->size != 0 && one->size == other->size && one->date == other->date;
}

struct looked *looked_match(const GArray *looked, const struct journal_entry *entry,
                            const struct looked *source)
{
    g_autofree char *id = looked_id(entry->message_id, strlen(entry->message_id));
    const struct looked told = {.size = id[0] != '\0' ? 0 : entry->size,
                                .date = entry->internaldate,
                                .message_id = id,
                                .server_id = (char *)""};
    for (guint i = 0; i < looked->len; i++) {
        struct looked *candidate = &g_array_index(looked, struct looked, i);
        if (!candidate->taken && looked_same(candidate, source != NULL ? source : &told))
            return candidate;
    }
    return NULL;
}
