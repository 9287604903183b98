#include "imap/mailbox.h"

#include "imap/parse.h"

#include <string.h>

void imap_mailbox_init(struct imap_mailbox *mailbox)
{
    *mailbox = (struct imap_mailbox){.uids = g_array_new(FALSE, TRUE, sizeof(uint32_t))};
}

void imap_mailbox_clear(struct imap_mailbox *mailbox)
{
    if (mailbox->uids)
        g_array_unref(mailbox->uids);
    *mailbox = (struct imap_mailbox){0};
}

void imap_mailbox_reset(struct imap_mailbox *mailbox, bool open)
{
    imap_mailbox_clear(mailbox);
    imap_mailbox_init(mailbox);
    mailbox->open = open;
}

bool imap_mailbox_exists(struct imap_mailbox *mailbox, uint32_t count)
{
    bool changed = count != mailbox->state.exists;

    if (count < mailbox->state.exists)
        g_array_set_size(mailbox->uids, 0);
    mailbox->state.exists = count;
    return changed;
}

uint32_t imap_mailbox_expunge(struct imap_mailbox *mailbox, uint32_t sequence, bool *ignored)
{
    uint32_t uid = 0;

    *ignored = sequence == 0 || sequence > mailbox->state.exists;
    if (*ignored)
        return 0;
    mailbox->state.exists--;
    if (sequence <= mailbox->uids->len) {
        uid = g_array_index(mailbox->uids, uint32_t, sequence - 1);
        g_array_remove_index(mailbox->uids, sequence - 1);
    }
    return uid;
}

void imap_mailbox_vanish(struct imap_mailbox *mailbox, const struct imap_uidset *uids)
{
    uint64_t gone = imap_uidset_count(uids);
    guint kept = 0, length = mailbox->uids->len;

    for (guint i = 0; i < length; i++) {
        uint32_t uid = g_array_index(mailbox->uids, uint32_t, i);
        if (uid == 0 || !imap_uidset_contains(uids, uid))
            g_array_index(mailbox->uids, uint32_t, kept++) = uid;
    }
    g_array_set_size(mailbox->uids, length - kept == gone ? kept : 0);
    mailbox->state.exists -= (uint32_t)MIN(gone, mailbox->state.exists);
}

/* Some servers tell messages before their count; so many before. */
#define AHEAD_MAX 1000

uint32_t imap_mailbox_fetch(struct imap_mailbox *mailbox, uint32_t sequence, uint32_t uid)
{
    if (sequence == 0 || sequence > IMAP_SEQUENCE_MAX ||
        (uid != 0 && sequence > mailbox->state.exists + AHEAD_MAX))
        return uid;
    if (uid == 0)
        return sequence <= mailbox->uids->len ? g_array_index(mailbox->uids, uint32_t, sequence - 1)
                                              : 0;
    if (sequence > mailbox->state.exists)
        mailbox->state.exists = sequence;
    if (sequence > mailbox->uids->len)
        g_array_set_size(mailbox->uids, sequence);
    g_array_index(mailbox->uids, uint32_t, sequence - 1) = uid;
    return uid;
}

static void code_uidvalidity(struct imap_mailbox_state *state, uint64_t number)
{
    state->uidvalidity = number <= UINT32_MAX ? (uint32_t)number : 0;
}

static void code_uidnext(struct imap_mailbox_state *state, uint64_t number)
{
    state->uidnext = number <= UINT32_MAX ? (uint32_t)number : 0;
}

static void code_highestmodseq(struct imap_mailbox_state *state, uint64_t number)
{
    state->highestmodseq = number <= INT64_MAX ? number : 0; /* Zoho says -1 */
}

static void code_nomodseq(struct imap_mailbox_state *state, uint64_t number)
{
    state->highestmodseq = 0;
}

static void code_read_only(struct imap_mailbox_state *state, uint64_t number)
{
    state->read_only = true;
}

static void code_read_write(struct imap_mailbox_state *state, uint64_t number)
{
    state->read_only = false;
}

static const struct mailbox_code {
    const char *code;
    void (*apply)(struct imap_mailbox_state *state, uint64_t number);
} CODES[] = {
    {"UIDVALIDITY", code_uidvalidity},     {"UIDNEXT", code_uidnext},
    {"HIGHESTMODSEQ", code_highestmodseq}, {"NOMODSEQ", code_nomodseq},
    {"READ-ONLY", code_read_only},         {"READ-WRITE", code_read_write},
};

/* "(F1)" */
static void code_mailboxid(struct imap_mailbox_state *state, const char *value)
{
    size_t length = strlen(value);
    g_autofree char *id = length < 3 || value[0] != '(' || value[length - 1] != ')'
                              ? NULL
                              : g_strndup(value + 1, length - 2);

    if (id && imap_objectid_valid(id))
        g_strlcpy(state->mailboxid, id, sizeof(state->mailboxid));
}

void imap_mailbox_code(struct imap_mailbox *mailbox, const char *code, const char *value,
                       uint64_t number)
{
    if (value && strcmp(code, "MAILBOXID") == 0)
        code_mailboxid(&mailbox->state, value);
    for (size_t i = 0; i < G_N_ELEMENTS(CODES); i++)
        if (strcmp(code, CODES[i].code) == 0)
            CODES[i].apply(&mailbox->state, number);
}
