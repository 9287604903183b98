/* Whom an address field names first (RFC 5322, 3.4), read as people write it. GMime's address
 * parser is not used because of its encoded words, see mime-words.c. */
#include <string.h>

#include "fs/mime-private.h"

/* One mailbox while it is read. */
struct reading {
    GString *phrase;  /* outside brackets: a display name, or a bare address */
    GString *comment; /* the first one's text */
    GString *address; /* in angle brackets */
};

/* Appends a quoted string's content; `p` is at the opening quote. Returns what follows. */
static const char *read_quoted(const char *p, GString *out)
{
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        g_string_append_c(out, *p);
    }
    return *p ? p + 1 : p;
}

/* Appends a comment's content, nested ones with their brackets. */
static const char *read_comment(const char *p, GString *out)
{
    unsigned depth = 1;
    for (p++; *p; p++) {
        if (*p == '\\' && p[1])
            p++;
        else if (*p == '(')
            depth++;
        else if (*p == ')' && --depth == 0)
            return p + 1;
        g_string_append_c(out, *p);
    }
    return p;
}

/* Reads "<address>" with as many brackets as there are, without a route. */
static const char *read_address(const char *p, GString *out)
{
    p += strspn(p, "< \t");
    size_t length = strcspn(p, ">");
    const char *route = memchr(p, ':', *p == '@' ? length : 0);
    const char *begin = route ? route + 1 : p;
    g_string_append_len(out, begin, p + length - begin);
    g_strchomp(out->str);
    return p + length;
}

/* Reads up to the end of the first mailbox that is not empty. */
static void read_first(const char *p, struct reading *r)
{
    bool groups = strchr(p, ';') != NULL;
    while (*p && r->address->len == 0) {
        if (*p == '"') {
            p = read_quoted(p, r->phrase);
        } else if (*p == '(') {
            p = read_comment(p, r->comment);
        } else if (*p == '<') {
            p = read_address(p, r->address);
        } else if (*p == ',' || *p == ';') {
            if (strspn(r->phrase->str, " \t") < r->phrase->len)
                return;
            p++;
        } else if (*p == ':' && groups) {
            g_string_truncate(r->phrase, 0); /* the name of a group */
            p++;
        } else {
            g_string_append_c(r->phrase, *p++);
        }
    }
}

/* The decoded text without blanks at its ends; NULL if nothing is left. */
static char *decoded_or_null(const char *text)
{
    g_autofree char *decoded = mime_words_decode(text);
    g_strstrip(decoded);
    return *decoded ? g_steal_pointer(&decoded) : NULL;
}

char *mime_address_who(const char *value)
{
    struct reading r = {g_string_new(NULL), g_string_new(NULL), g_string_new(NULL)};
    read_first(value, &r);
    bool bare = strchr(r.phrase->str, '@') && r.address->len == 0;
    const char *const order[] = {bare ? "" : r.phrase->str, r.comment->str,
                                 bare ? r.phrase->str : "", r.address->str};
    char *who = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(order) && !who; i++)
        who = decoded_or_null(order[i]);
    g_string_free(r.phrase, TRUE);
    g_string_free(r.comment, TRUE);
    g_string_free(r.address, TRUE);
    return who;
}
