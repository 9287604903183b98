#include "fs/recent.h"

#include <string.h>

struct item {
    uint64_t number, value;
    const char *name, *text; /* behind it, or literal */
    GList link;              /* in `order` */
};

static guint item_hash(gconstpointer data)
{
    const struct item *item = data;
    return g_str_hash(item->name) ^ g_int64_hash(&item->number);
}

static gboolean item_equal(gconstpointer a, gconstpointer b)
{
    const struct item *one = a, *two = b;
    return one->number == two->number && strcmp(one->name, two->name) == 0;
}

static struct item *item_new(uint64_t number, const char *name, uint64_t value, const char *text)
{
    size_t name_size = strlen(name) + 1, text_size = strlen(text) + 1;
    struct item *item = g_malloc(sizeof(*item) + name_size + text_size);
    char *strings = (char *)(item + 1);
    memcpy(strings, name, name_size);
    memcpy(strings + name_size, text, text_size);
    *item = (struct item){
        .number = number, .value = value, .name = strings, .text = strings + name_size};
    item->link.data = item;
    return item;
}

static struct item *item_find(struct recent *recent, uint64_t number, const char *name)
{
    const struct item key = {.number = number, .name = name != NULL ? name : ""};
    return recent->table != NULL ? g_hash_table_lookup(recent->table, &key) : NULL;
}

static void item_remove(struct recent *recent, struct item *item)
{
    g_hash_table_remove(recent->table, item);
    g_queue_unlink(&recent->order, &item->link);
    g_atomic_int_add(&recent->count, -1);
    g_free(item);
}

void recent_put(struct recent *recent, uint64_t number, const char *name, uint64_t value,
                const char *text)
{
    struct item *item = item_new(number, name != NULL ? name : "", value, text != NULL ? text : "");
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&recent->lock);
    if (recent->table == NULL)
        recent->table = g_hash_table_new(item_hash, item_equal);
    struct item *old = item_find(recent, number, name);
    if (old != NULL)
        item_remove(recent, old);
    if (g_hash_table_size(recent->table) >= recent->most)
        item_remove(recent, g_queue_peek_head(&recent->order));
    g_hash_table_add(recent->table, item);
    g_queue_push_tail_link(&recent->order, &item->link);
    g_atomic_int_inc(&recent->count);
}

static bool find(struct recent *recent, uint64_t number, const char *name, bool take,
                 uint64_t *value, char **text)
{
    if (recent_is_empty(recent))
        return false;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&recent->lock);
    struct item *item = item_find(recent, number, name);
    if (item == NULL)
        return false;
    if (value != NULL)
        *value = item->value;
    if (text != NULL)
        *text = g_strdup(item->text);
    if (take)
        item_remove(recent, item);
    return true;
}

bool recent_get(struct recent *recent, uint64_t number, const char *name, uint64_t *value,
                char **text)
{
    return find(recent, number, name, false, value, text);
}

bool recent_take(struct recent *recent, uint64_t number, const char *name, uint64_t *value,
                 char **text)
{
    return find(recent, number, name, true, value, text);
}

void recent_clear(struct recent *recent)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&recent->lock);
    while (!g_queue_is_empty(&recent->order))
        item_remove(recent, g_queue_peek_head(&recent->order));
    g_clear_pointer(&recent->table, g_hash_table_unref);
}
