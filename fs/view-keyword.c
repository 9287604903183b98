#include <string.h>

#include "fs/view-private.h"

/* Keywords by number, for the life of the process; and which were made by mkdir in which mailbox.
 */
static GMutex keywords_lock;
static GPtrArray *keywords;
static GHashTable *keyword_numbers; /* in lower case -> index + 1 */
static GHashTable *made;            /* slot << 14 | part, of mkdir */

uint16_t keyword_part(const char *keyword)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&keywords_lock);
    g_autofree char *lower = g_ascii_strdown(keyword, -1);
    if (keywords == NULL) {
        keywords = g_ptr_array_new();
        keyword_numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    guint known = GPOINTER_TO_UINT(g_hash_table_lookup(keyword_numbers, lower));
    if (known == 0 && keywords->len < NODE_PART_LAST - VIEW_KEYWORD) {
        g_ptr_array_add(keywords, g_strdup(keyword));
        known = keywords->len;
        g_hash_table_insert(keyword_numbers, g_steal_pointer(&lower), GUINT_TO_POINTER(known));
    }
    return known != 0 ? (uint16_t)(VIEW_KEYWORD + known - 1) : 0;
}

const char *keyword_of(uint16_t part)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&keywords_lock);
    unsigned index = (unsigned)part - VIEW_KEYWORD;
    return part >= VIEW_KEYWORD && keywords != NULL && index < keywords->len
               ? keywords->pdata[index]
               : NULL;
}

static gpointer made_key(struct node node)
{
    return GSIZE_TO_POINTER((gsize)node.slot << 14 | node.part);
}

bool keyword_made(struct node node)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&keywords_lock);
    return made != NULL && g_hash_table_contains(made, made_key(node));
}

void keyword_make(struct node node, bool is)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&keywords_lock);
    if (made == NULL)
        made = g_hash_table_new(NULL, NULL);
    if (is)
        g_hash_table_add(made, made_key(node));
    else
        g_hash_table_remove(made, made_key(node));
}

bool keyword_is(const char *word)
{
    if (*word == '\0' || strlen(word) > 200)
        return false;
    for (const char *c = word; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("(){%*\"\\]", *c) != NULL)
            return false;
    return true;
}

void keyword_add_made(GHashTable *parts, uint32_t slot)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&keywords_lock);
    GHashTableIter each;
    gpointer key;
    if (made == NULL)
        return;
    g_hash_table_iter_init(&each, made);
    while (g_hash_table_iter_next(&each, &key, NULL))
        if (GPOINTER_TO_SIZE(key) >> 14 == slot)
            g_hash_table_add(parts, GUINT_TO_POINTER(GPOINTER_TO_SIZE(key) & 0x3fff));
}
