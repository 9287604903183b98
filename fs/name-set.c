#include <string.h>

#include "fs/name-private.h"
#include "fs/name.h"

/* " (4294967295)" */
enum { SUFFIX_MAX = 13 };

/* `next` remembers for each pair of a stem (as cut for a suffix) and an extension which number is
 * to be tried next, so that no number is tried twice for it. */
struct name_set {
    GHashTable *names; /* folded names */
    GHashTable *next;  /* folded "stem/extension" -> number */
};

struct name_set *name_set_new(void)
{
    struct name_set *set = g_new(struct name_set, 1);
    set->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    set->next = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return set;
}

void name_set_free(struct name_set *set)
{
    if (!set)
        return;
    g_hash_table_destroy(set->names);
    g_hash_table_destroy(set->next);
    g_free(set);
}

/* Names that a filesystem without regard to case takes for the same become equal. */
static char *name_fold(const char *name)
{
    if (g_str_is_ascii(name) || !g_utf8_validate(name, -1, NULL))
        return g_ascii_strdown(name, -1);
    g_autofree char *folded = g_utf8_casefold(name, -1);
    return g_utf8_normalize(folded, -1, G_NORMALIZE_NFC);
}

bool name_set_has(const struct name_set *set, const char *name)
{
    g_autofree char *folded = name_fold(name);
    return g_hash_table_contains(set->names, folded);
}

static void set_take(struct name_set *set, const char *name)
{
    g_hash_table_add(set->names, name_fold(name));
}

/* "stem (n)" and `extension`; the bare name for n = 1. */
static char *name_variant(const char *stem, unsigned n, const char *extension)
{
    if (n == 1)
        return g_strconcat(stem, extension, NULL);
    return g_strdup_printf("%s (%u)%s", stem, n, extension);
}

/* Whether the variant, and with `also` the variant with that after it, are free. */
static bool set_is_free(const struct name_set *set, const char *name, const char *also)
{
    if (name_set_has(set, name))
        return false;
    if (!also)
        return true;
    g_autofree char *other = g_strconcat(name, also, NULL);
    return !name_set_has(set, other);
}

/* The first free variant of a name that is not free itself. */
static char *set_find(struct name_set *set, const char *stem, const char *extension,
                      const char *also, size_t max)
{
    size_t room = strlen(extension) + (also ? strlen(also) : 0) + SUFFIX_MAX;
    g_autofree char *cut = g_strndup(stem, name_cut(stem, max > room ? max - room : 0));
    g_autofree char *whole = g_strconcat(cut, "/", extension, also, NULL);
    g_autofree char *key = name_fold(whole);
    unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(set->next, key));
    for (n = MAX(n, 2);; n++) {
        g_autofree char *name = name_variant(cut, n, extension);
        if (!set_is_free(set, name, also))
            continue;
        g_hash_table_insert(set->next, g_steal_pointer(&key), GUINT_TO_POINTER(n + 1));
        return g_steal_pointer(&name);
    }
}

char *name_set_add(struct name_set *set, const char *name, size_t max)
{
    g_autofree char *added = NULL;
    if (strlen(name) <= max && set_is_free(set, name, NULL)) {
        added = g_strdup(name);
    } else {
        const char *extension = name_extension(name);
        g_autofree char *stem = g_strndup(name, (gsize)(extension - name));
        added = set_find(set, stem, extension, NULL, max);
    }
    set_take(set, added);
    return g_steal_pointer(&added);
}

char *name_set_add_message(struct name_set *set, const char *stem, size_t max)
{
    static const char eml[] = ".eml";
    g_autofree char *added = NULL;
    if (strlen(stem) + strlen(eml) <= max && set_is_free(set, stem, eml))
        added = g_strdup(stem);
    else
        added = set_find(set, stem, "", eml, max);
    g_autofree char *file = g_strconcat(added, eml, NULL);
    set_take(set, added);
    set_take(set, file);
    return g_steal_pointer(&added);
}
