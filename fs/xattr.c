#include "fs/xattr.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/change.h"
#include "fs/view.h"

#define VALUE_MAX (64u << 10)

/* ---- values ---- */

static bool is_message(const struct place *place)
{
    return place->message.uid != 0 &&
           (place->kind == PLACE_MESSAGE ||
            (place->kind == PLACE_PARTS && place->node.part == NODE_PART_DIRECTORY));
}

static bool get_flags(const struct place *place, GString *value)
{
    g_autoptr(GString) keywords = g_string_new(NULL);
    uint32_t flags = view_flags(place, keywords);
    view_flag_words(flags, keywords->str, value);
    return true;
}

/* Whether a keyword is shown as a tag: those with "$" are programs' own (RFC 5788). */
static bool is_tag(const char *word)
{
    return *word != '\0' && *word != '$' && *word != '\\';
}

static bool get_tags(const struct place *place, GString *value)
{
    g_autoptr(GString) keywords = g_string_new(NULL);
    view_flags(place, keywords);
    g_auto(GStrv) words = g_strsplit(keywords->str, " ", -1);
    for (char **word = words; *word != NULL; word++)
        if (is_tag(*word))
            g_string_append_printf(value, "%s%s", value->len > 0 ? "," : "", *word);
    return value->len > 0;
}

static bool get_uid(const struct place *place, GString *value)
{
    g_string_append_printf(value, "%u", place->message.uid);
    return true;
}

static bool get_uidvalidity(const struct place *place, GString *value)
{
    g_string_append_printf(value, "%u", place->mailbox.uidvalidity);
    return place->mailbox.uidvalidity != 0;
}

static bool get_internaldate(const struct place *place, GString *value)
{
    g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc(place->message.internaldate);
    g_autofree char *text = when != NULL ? g_date_time_format_iso8601(when) : NULL;
    g_string_append(value, text != NULL ? text : "");
    return text != NULL;
}

static bool get_emailid(const struct place *place, GString *value)
{
    char kind;
    const char *id;
    if (cache_object_server_id(place->txn, place->message.object, &kind, &id) != CACHE_OK)
        return false;
    g_string_append(value, id);
    return true;
}

/* The mailbox's name, decoded, as its directory's path. */
static bool get_mailbox(const struct place *place, GString *value)
{
    g_autofree char *path = cache_mailbox_path(place->txn, place->mailbox.slot);
    g_string_append(value, path != NULL ? path : "");
    return path != NULL;
}

static bool get_type(const struct place *place, GString *value)
{
    bool message =
        is_message(place) || (place->kind == PLACE_PART && place->part.kind == CACHE_PART_MESSAGE);
    g_string_append(value, message ? "message/rfc822" : place->part.type);
    return value->len > 0;
}

/* ---- changes ---- */

static bool has_word(char **words, const char *word)
{
    for (; *words != NULL; words++)
        if (g_ascii_strcasecmp(*words, word) == 0)
            return true;
    return false;
}

/* Those of `words` that `others` lacks, between spaces. `tags`: only tags count. */
static char *words_without(char **words, char **others, bool tags)
{
    GString *left = g_string_new(NULL);
    for (; *words != NULL; words++)
        if (**words != '\0' && (!tags || is_tag(*words)) && !has_word(others, *words))
            g_string_append_printf(left, "%s%s", left->len > 0 ? " " : "", *words);
    return g_string_free(left, FALSE);
}

/* What must change for a message to have these words as its flags, or as its tags. */
static int set_words(const struct mounted *mounted, struct place *place, const char *value,
                     bool tags)
{
    g_autoptr(GString) now = g_string_new(NULL);
    get_flags(place, now);
    g_auto(GStrv) has = g_strsplit(now->str, " ", -1);
    g_auto(GStrv) wants = g_strsplit_set(value, tags ? "," : " ", -1);
    for (char **word = wants; *word != NULL; word++) {
        g_strstrip(*word);
        if (tags && **word != '\0' && (!is_tag(*word) || strchr(*word, ' ') != NULL))
            return EINVAL;
    }
    g_autofree char *add = words_without(wants, has, tags);
    g_autofree char *remove = words_without(has, wants, tags);
    if (*add == '\0' && *remove == '\0')
        return 0;
    struct node node = place->node;
    node.part = NODE_PART_MESSAGE;
    place_end(place);
    return change_flags(mounted, node_inode(node), *add != '\0' ? add : NULL,
                        *remove != '\0' ? remove : NULL);
}

static int set_flags(const struct mounted *mounted, struct place *place, const char *value)
{
    return set_words(mounted, place, value, false);
}

static int set_tags(const struct mounted *mounted, struct place *place, const char *value)
{
    return set_words(mounted, place, value, true);
}

/* ---- the table ---- */

enum { ON_MESSAGE = 1, ON_MAILBOX = 2, ON_PART = 4 };
static const struct attribute {
    const char *name;
    unsigned on;
    bool (*get)(const struct place *place, GString *value); /* false: it has none */
    /* ends the place's transaction */
    int (*set)(const struct mounted *mounted, struct place *place, const char *value);
} ATTRIBUTES[] = {
    {"user.imap.flags", ON_MESSAGE, get_flags, set_flags},
    {"user.imap.uid", ON_MESSAGE, get_uid, NULL},
    {"user.imap.uidvalidity", ON_MESSAGE | ON_MAILBOX, get_uidvalidity, NULL},
    {"user.imap.internaldate", ON_MESSAGE, get_internaldate, NULL},
    {"user.imap.emailid", ON_MESSAGE, get_emailid, NULL},
    {"user.imap.mailbox", ON_MESSAGE | ON_MAILBOX, get_mailbox, NULL},
    {"user.xdg.tags", ON_MESSAGE, get_tags, set_tags},
    {"user.mime_type", ON_MESSAGE | ON_PART, get_type, NULL},
};

/* 0: it has none, as in an account without xattr beside one that has them. */
static unsigned kind_of(const struct place *place)
{
    if (place->account == NULL || !place->account->account->xattr)
        return 0;
    if (is_message(place))
        return ON_MESSAGE;
    if (place->kind == PLACE_MAILBOX)
        return ON_MAILBOX;
    return place->kind == PLACE_PART ? ON_PART : 0;
}

static const struct attribute *attribute_of(const struct place *place, const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ATTRIBUTES); i++)
        if (strcmp(ATTRIBUTES[i].name, name) == 0 && (ATTRIBUTES[i].on & kind_of(place)) != 0)
            return &ATTRIBUTES[i];
    return NULL;
}

int xattr_get(const struct mounted *mounted, uint64_t inode, const char *name, GString *value)
{
    g_auto(place) place = {0};
    if (!g_str_has_prefix(name, "user."))
        return ENOTSUP;
    int error = place_find(mounted, inode, &place);
    if (error != 0)
        return error;
    const struct attribute *attribute = attribute_of(&place, name);
    return attribute != NULL && attribute->get(&place, value) ? 0 : ENODATA;
}

int xattr_list(const struct mounted *mounted, uint64_t inode, GString *names)
{
    g_auto(place) place = {0};
    int error = place_find(mounted, inode, &place);
    if (error != 0)
        return error;
    for (size_t i = 0; i < G_N_ELEMENTS(ATTRIBUTES); i++) {
        g_autoptr(GString) value = g_string_new(NULL);
        if ((ATTRIBUTES[i].on & kind_of(&place)) != 0 && ATTRIBUTES[i].get(&place, value))
            g_string_append_len(names, ATTRIBUTES[i].name, (gssize)strlen(ATTRIBUTES[i].name) + 1);
    }
    return 0;
}

int xattr_set(const struct mounted *mounted, uint64_t inode, const char *name, const char *value,
              size_t size, int flags)
{
    g_auto(place) place = {0};
    if (!g_str_has_prefix(name, "user."))
        return ENOTSUP;
    int error = place_find(mounted, inode, &place);
    if (error != 0)
        return error;
    const struct attribute *attribute = attribute_of(&place, name);
    if (attribute == NULL || attribute->set == NULL)
        return EPERM;
    g_autoptr(GString) old = g_string_new(NULL);
    bool there = attribute->get(&place, old);
    if (there && (flags & XATTR_CREATE))
        return EEXIST;
    if (!there && (flags & XATTR_REPLACE))
        return ENODATA;
    if (size > VALUE_MAX || memchr(value, '\0', size) != NULL)
        return EINVAL;
    g_autofree char *text = g_strndup(value, size);
    return attribute->set(mounted, &place, text);
}

int xattr_remove(const struct mounted *mounted, uint64_t inode, const char *name)
{
    g_autoptr(GString) value = g_string_new(NULL);
    int error = xattr_get(mounted, inode, name, value);
    return error == 0 ? xattr_set(mounted, inode, name, "", 0, 0) : error;
}
