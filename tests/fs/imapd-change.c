#include <stdio.h>
#include <string.h>

#include "tests/fs/imapd-talk.h"

/* ---- words ----------------------------------------------------------------------------------- */

/* The next word or quoted string; the caller's. */
static char *word_take(const char **at)
{
    const char *from = *at;
    while (*from == ' ')
        from++;
    const char *end;
    if (*from == '"') {
        from++;
        end = strchr(from, '"');
        *at = end + 1;
    } else {
        end = from + strcspn(from, " ");
        *at = end;
    }
    return g_strndup(from, (gsize)(end - from));
}

const char *talk_flaw(struct talk *talk, const char *line, bool done)
{
    struct imapd *imapd = talk->imapd;
    if (imapd->flaw_on == NULL || !g_str_has_prefix(line, imapd->flaw_on) ||
        imapd->flaw_done != done)
        return NULL;
    if (imapd->flaw_skip > 0) {
        imapd->flaw_skip--;
        return NULL;
    }
    const char *words = imapd->flaw_words;
    if (imapd->flaw_late) {
        g_free(imapd->late);
        imapd->late = g_strdup(talk_after(line, "UID"));
        imapd->late_box = talk->box;
        imapd->flaw_late = false;
    }
    if (imapd->flaw_twice || imapd->flaw_arrival != NULL) {
        struct imapd_box *archive = talk_box(talk, "Archive");
        const char *bytes = imapd->flaw_arrival != NULL ? imapd->flaw_arrival : talk->literal->str;
        struct imapd_message *message = imapd_add_bytes(archive, bytes, -1);
        const struct imapd_message *first = imapd_message(archive, message->uid - 1);
        message->date = g_strdup(first->date);
        imapd->flaw_twice = false;
        imapd->flaw_arrival = NULL;
    }
    if (imapd->flaw_times > 0 && --imapd->flaw_times == 0)
        imapd->flaw_on = NULL;
    if (words == NULL)
        talk->over = true;
    return words != NULL ? words : "OK";
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool flag_is(const struct imapd_message *message, const char *flag)
{
    g_auto(GStrv) words = g_strsplit(message->flags, " ", -1);
    return g_strv_contains((const char *const *)words, flag);
}

static void flags_change(struct imapd_message *message, const char *flags, bool add)
{
    g_auto(GStrv) words = g_strsplit(flags, " ", -1);
    for (char **at = words; *at != NULL; at++) {
        bool has = flag_is(message, *at);
        if (**at == '\0' || has == add)
            continue;
        g_autoptr(GString) now = g_string_new(NULL);
        g_auto(GStrv) old = g_strsplit(message->flags, " ", -1);
        for (char **each = old; *each != NULL; each++)
            if (**each != '\0' && strcmp(*each, *at) != 0)
                g_string_append_printf(now, "%s%s", now->len > 0 ? " " : "", *each);
        if (add)
            g_string_append_printf(now, "%s%s", now->len > 0 ? " " : "", *at);
        g_free(message->flags);
        message->flags = g_strdup(now->str);
    }
}

static const char *talk_store(struct talk *talk, const char *set, const char *rest)
{
    const char *since = strstr(rest, "(UNCHANGEDSINCE ");
    guint64 most = since != NULL ? g_ascii_strtoull(since + 16, NULL, 10) : UINT64_MAX;
    bool add = strstr(rest, "+FLAGS") != NULL;
    const char *open = strrchr(rest, '(');
    g_autofree char *flags = g_strndup(open + 1, strcspn(open + 1, ")"));
    g_autoptr(GString) modified = g_string_new(NULL);
    if (talk->read_only)
        return "NO [READ-ONLY] it can only be read";
    talk->imapd->stores++;
    for (guint i = 0; i < talk->box->messages->len; i++) {
        struct imapd_message *message = talk->box->messages->pdata[i];
        if (!talk_set_has(set, message->uid))
            continue;
        if (message->modseq > most) {
            g_string_append_printf(modified, "%s%u", modified->len > 0 ? "," : "", message->uid);
            continue;
        }
        flags_change(message, flags, add);
        message->modseq = ++talk->box->modseq;
    }
    if (modified->len == 0)
        return "OK stored";
    g_snprintf(talk->imapd->words, sizeof talk->imapd->words, "OK [MODIFIED %s] some were changed",
               modified->str);
    return talk->imapd->words;
}

static void box_expunge(struct talk *talk, struct imapd_box *box, guint index)
{
    g_string_append_printf(talk->out, "* %u EXPUNGE\r\n", index + 1);
    g_ptr_array_remove_index(box->messages, index);
    box->modseq++;
}

static const char *talk_expunge(struct talk *talk, const char *set)
{
    if (!talk_can(talk, "UIDPLUS"))
        return "BAD what?";
    talk->imapd->expunges++;
    bool falls_short = talk->imapd->expunge_short > 0;
    talk->imapd->expunge_short -= falls_short;
    for (guint i = talk->box->messages->len; i-- > 0;) {
        struct imapd_message *message = talk->box->messages->pdata[i];
        if (!talk_set_has(set, message->uid) || !flag_is(message, "\\Deleted"))
            continue;
        box_expunge(talk, talk->box, i);
        if (falls_short)
            break;
    }
    return "OK expunged";
}

static const char *talk_copy(struct talk *talk, const char *set, const char *name, bool move)
{
    struct imapd *imapd = talk->imapd;
    struct imapd_box *target = talk_box(talk, name);
    g_autoptr(GString) from = g_string_new(NULL), to = g_string_new(NULL);
    if (target == NULL)
        return "NO [TRYCREATE] no such mailbox";
    if (move && !talk_can(talk, "MOVE"))
        return "BAD what?";
    imapd->moves += move;
    imapd->copies += !move;
    for (guint i = 0; i < talk->box->messages->len; i++) {
        struct imapd_message *message = talk->box->messages->pdata[i];
        if (talk_set_has(set, message->uid) && message->poison)
            return "NO this message can not be copied";
    }
    for (guint i = 0; i < talk->box->messages->len;) {
        struct imapd_message *message = talk->box->messages->pdata[i];
        if (!talk_set_has(set, message->uid)) {
            i++;
            continue;
        }
        struct imapd_message *copy =
            imapd_add_bytes(target, message->bytes->str, (gssize)message->bytes->len);
        g_free(copy->flags);
        copy->flags = g_strdup(message->flags);
        copy->date = g_strdup(message->date);
        g_string_append_printf(from, "%s%u", from->len > 0 ? "," : "", message->uid);
        g_string_append_printf(to, "%s%u", to->len > 0 ? "," : "", copy->uid);
        if (move)
            box_expunge(talk, talk->box, i);
        else
            i++;
    }
    if (!talk_can(talk, "UIDPLUS") || from->len == 0)
        return "OK nothing said";
    g_snprintf(imapd->words, sizeof imapd->words, "OK [COPYUID %u %s %s] done", target->uidvalidity,
               from->str, to->str);
    return imapd->words;
}

const char *talk_change_uid(struct talk *talk, const char *rest)
{
    const char *at = rest;
    g_autofree char *command = word_take(&at);
    g_autofree char *set = word_take(&at);
    if (strcmp(command, "STORE") == 0)
        return talk_store(talk, set, at);
    if (strcmp(command, "EXPUNGE") == 0)
        return talk_expunge(talk, set);
    if (strcmp(command, "COPY") != 0 && strcmp(command, "MOVE") != 0)
        return NULL;
    g_autofree char *name = word_take(&at);
    return talk_copy(talk, set, name, command[0] == 'M');
}

static const char *talk_append(struct talk *talk, const char *rest)
{
    struct imapd *imapd = talk->imapd;
    const char *at = rest;
    g_autofree char *name = word_take(&at);
    struct imapd_box *box = talk_box(talk, name);
    if (box == NULL)
        return "NO [TRYCREATE] no such mailbox";
    imapd->appends++;
    struct imapd_message *message =
        imapd_add_bytes(box, talk->literal->str, (gssize)talk->literal->len);
    const char *open = strchr(at, '('), *quote = strchr(at, '"');
    if (open != NULL) {
        g_free(message->flags);
        message->flags = g_strndup(open + 1, strcspn(open + 1, ")"));
    }
    if (quote != NULL)
        message->date = g_strndup(quote + 1, strcspn(quote + 1, "\""));
    if (!talk_can(talk, "UIDPLUS"))
        return "OK stored";
    g_snprintf(imapd->words, sizeof imapd->words, "OK [APPENDUID %u %u] stored", box->uidvalidity,
               message->uid);
    return imapd->words;
}

/* ---- mailboxes ------------------------------------------------------------------------------- */

/* What a connection that was cut had sent: other sessions are not told of it. */
static void talk_do_late(struct talk *talk)
{
    struct imapd_box *box = talk->box;
    gsize length = talk->out->len;
    g_autofree char *late = g_steal_pointer(&talk->imapd->late);
    if (late == NULL)
        return;
    talk->box = talk->imapd->late_box;
    talk_change_uid(talk, late);
    g_string_truncate(talk->out, length);
    talk->box = box;
}

static const char *talk_status(struct talk *talk, const char *rest)
{
    const char *at = rest;
    g_autofree char *name = word_take(&at);
    talk_do_late(talk);
    const struct imapd_box *box = talk_box(talk, name);
    if (box == NULL)
        return "NO [NONEXISTENT] no such mailbox";
    talk->imapd->statuses++;
    talk_put_status(talk, box);
    return "OK status";
}

static const char *talk_create(struct talk *talk, const char *rest)
{
    const char *at = rest;
    g_autofree char *name = word_take(&at);
    if (talk_box(talk, name) != NULL)
        return "NO [ALREADYEXISTS] it is there";
    talk->imapd->creates++;
    imapd_add_box(talk->imapd, name, "");
    return "OK made";
}

static const char *talk_delete(struct talk *talk, const char *rest)
{
    const char *at = rest;
    g_autofree char *name = word_take(&at);
    struct imapd_box *box = talk_box(talk, name);
    if (box == NULL)
        return "NO [NONEXISTENT] no such mailbox";
    talk->imapd->deletes++;
    if (talk->box == box)
        talk->box = NULL;
    g_ptr_array_remove(talk->imapd->boxes, box);
    return "OK deleted";
}

static const char *talk_rename(struct talk *talk, const char *rest)
{
    const char *at = rest;
    g_autofree char *from = word_take(&at);
    g_autofree char *to = word_take(&at);
    struct imapd_box *box = talk_box(talk, from);
    if (box == NULL)
        return "NO [NONEXISTENT] no such mailbox";
    if (talk_box(talk, to) != NULL)
        return "NO [ALREADYEXISTS] it is there";
    talk->imapd->renames++;
    g_free(box->name);
    box->name = g_strdup(to);
    return "OK renamed";
}

static const char *talk_subscribe(struct talk *talk, const char *rest)
{
    talk->imapd->subscribes++;
    return "OK subscribed";
}

static const char *talk_rights(struct talk *talk, const char *rest)
{
    const char *at = rest;
    g_autofree char *name = word_take(&at);
    talk->imapd->rights++;
    g_string_append_printf(talk->out, "* MYRIGHTS \"%s\" lrs\r\n", name);
    return "OK rights";
}

static const char *talk_quota(struct talk *talk, const char *rest)
{
    g_string_append(talk->out,
                    "* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 512 2048 MESSAGE 3 100)\r\n");
    return "OK quota";
}

const char *talk_change(struct talk *talk, const char *line)
{
    static const struct {
        const char *name;
        const char *(*run)(struct talk *talk, const char *rest);
    } COMMANDS[] = {
        {"STATUS ", talk_status},   {"APPEND ", talk_append},      {"CREATE ", talk_create},
        {"DELETE ", talk_delete},   {"RENAME ", talk_rename},      {"SUBSCRIBE ", talk_subscribe},
        {"MYRIGHTS ", talk_rights}, {"GETQUOTAROOT ", talk_quota}, {"UNSUBSCRIBE ", talk_subscribe},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(COMMANDS); i++)
        if (g_str_has_prefix(line, COMMANDS[i].name))
            return COMMANDS[i].run(talk, line + strlen(COMMANDS[i].name));
    return NULL;
}
