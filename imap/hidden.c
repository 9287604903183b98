#include "imap/hidden.h"

#include "imap/auth.h"

#include <string.h>

enum {
    ALWAYS_MIN = 6, /* bytes; a shorter secret is looked for only in what looks like an echo */
    RUN_MIN = 12,   /* bytes that are no accident */
};

struct entry {
    char *text; /* in lower case */
    size_t length;
    bool chosen;
};

struct imap_hidden {
    char *user;         /* in lower case */
    GPtrArray *entries; /* struct entry */
};

/* A line, and which of its bytes are to be covered. */
struct cover {
    char *low; /* in lower case */
    size_t length;
    bool *marks;
};

static void entry_free(gpointer data)
{
    struct entry *entry = data;

    imap_wipe(entry->text);
    g_free(entry);
}

struct imap_hidden *imap_hidden_new(const char *user)
{
    struct imap_hidden *hidden = g_new0(struct imap_hidden, 1);

    hidden->user = g_ascii_strdown(user, -1);
    hidden->entries = g_ptr_array_new_with_free_func(entry_free);
    return hidden;
}

static char *lower(const char *bytes, size_t length)
{
    char *low = g_malloc(length + 1);

    for (size_t i = 0; i < length; i++)
        low[i] = g_ascii_tolower(bytes[i]);
    low[length] = '\0';
    return low;
}

void imap_hidden_free(struct imap_hidden *hidden)
{
    if (!hidden)
        return;
    g_ptr_array_unref(hidden->entries);
    g_free(hidden->user);
    g_free(hidden);
}

void imap_hidden_add(struct imap_hidden *hidden, const char *secret, bool chosen)
{
    if (!secret || !*secret)
        return;
    struct entry *entry = g_new0(struct entry, 1);
    entry->length = strlen(secret);
    entry->text = lower(secret, entry->length);
    entry->chosen = chosen;
    g_ptr_array_add(hidden->entries, entry);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

static bool is_letter(char c)
{
    return g_ascii_isalnum(c) || (unsigned char)c >= 0x80;
}

/* Of base64, of a token (RFC 6750, 2.1). */
static bool is_coded(char c)
{
    return is_letter(c) || (c && strchr("+/=-_.~", c));
}

static const char *find(const struct cover *cover, size_t from, const char *text, size_t length)
{
    return memmem(cover->low + from, cover->length - from, text, length);
}

/* From where on the line may repeat what was said to the server; its length: nowhere. */
static size_t echo_begin(const struct imap_hidden *hidden, const struct cover *cover)
{
    const char *const signs[] = {hidden->user, "login", "authenticate"};
    size_t begin = cover->length;

    for (size_t i = 0; i < G_N_ELEMENTS(signs); i++) {
        const char *at = *signs[i] ? find(cover, 0, signs[i], strlen(signs[i])) : NULL;
        if (at)
            begin = MIN(begin, (size_t)(at - cover->low) + strlen(signs[i]));
    }
    return begin;
}

static bool is_within(const struct cover *cover, size_t begin, size_t end)
{
    const char *low = cover->low;

    return (begin > 0 && is_letter(low[begin - 1]) && is_letter(low[begin])) ||
           (end < cover->length && is_letter(low[end - 1]) && is_letter(low[end]));
}

static void mark(struct cover *cover, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        cover->marks[i] = true;
}

/* Wherever it stands as a whole. */
static void mark_whole(struct cover *cover, const struct entry *entry, size_t from)
{
    const char *at;

    while (from < cover->length && (at = find(cover, from, entry->text, entry->length))) {
        size_t begin = (size_t)(at - cover->low), end = begin + entry->length;
        bool within = is_within(cover, begin, end);
        if (!within)
            mark(cover, begin, end);
        from = within ? begin + 1 : end;
    }
}

static bool run_counts(const struct entry *entry, const char *run)
{
    bool letters = true;

    for (size_t i = 0; i < RUN_MIN; i++)
        letters = letters && (g_ascii_isalpha(run[i]) || run[i] == ' ');
    return !(letters && entry->chosen) && memmem(entry->text, entry->length, run, RUN_MIN);
}

/* Wherever a piece of it stands, with all of the word that it is in. */
static void mark_runs(struct cover *cover, const struct entry *entry)
{
    for (size_t i = 0; i + RUN_MIN <= cover->length; i++) {
        size_t begin = i, end = i + RUN_MIN;
        if (!run_counts(entry, cover->low + i))
            continue;
        while (begin > 0 && is_coded(cover->low[begin]) && is_coded(cover->low[begin - 1]) &&
               !cover->marks[begin - 1])
            begin--;
        while (end < cover->length && is_coded(cover->low[end - 1]) && is_coded(cover->low[end]))
            end++;
        mark(cover, begin, end);
        if (is_coded(cover->low[i + RUN_MIN - 1]))
            i = MAX(i, end - RUN_MIN);
    }
}

/* ---- hiding -----------------------------------------------------------------------------------
 */

static void replace_marked(const struct cover *cover, GString *line)
{
    for (size_t end = cover->length; end > 0; end--) {
        size_t begin = end;
        while (begin > 0 && cover->marks[begin - 1])
            begin--;
        if (begin == end)
            continue;
        g_string_erase(line, (gssize)begin, (gssize)(end - begin));
        g_string_insert(line, (gssize)begin, "<secret>");
        end = begin + 1;
    }
}

void imap_hidden_cover(const struct imap_hidden *hidden, GString *line)
{
    if (!hidden || line->len == 0)
        return;
    struct cover cover = {lower(line->str, line->len), line->len, g_new0(bool, line->len)};
    size_t echo = echo_begin(hidden, &cover);

    for (guint i = 0; i < hidden->entries->len; i++) {
        const struct entry *entry = hidden->entries->pdata[i];
        mark_whole(&cover, entry, entry->length < ALWAYS_MIN ? echo : 0);
        if (entry->length >= RUN_MIN)
            mark_runs(&cover, entry);
    }
    replace_marked(&cover, line);
    explicit_bzero(cover.low, cover.length);
    g_free(cover.low);
    g_free(cover.marks);
}
