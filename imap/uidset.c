/* A set is an array of ranges, ascending and apart. A UID that would have to be put into its middle
 * waits in `pending`; once that is a quarter of the set, or somebody wants to see the ranges, both
 * are sorted into one. So UIDs may come in any order, a million of them, without quadratic cost. */
#include "imap/imap.h"

#include <string.h>

#define RANGES_MAX 1000000
#define PENDING_MIN 256

struct imap_uidset {
    GArray *ranges;  /* struct imap_range: sorted, not touching */
    GArray *pending; /* struct imap_range: anything */
};

struct imap_uidset *imap_uidset_new(void)
{
    struct imap_uidset *set = g_new(struct imap_uidset, 1);
    set->ranges = g_array_new(FALSE, FALSE, sizeof(struct imap_range));
    set->pending = g_array_new(FALSE, FALSE, sizeof(struct imap_range));
    return set;
}

void imap_uidset_free(struct imap_uidset *set)
{
    if (set == NULL)
        return;
    g_array_unref(set->ranges);
    g_array_unref(set->pending);
    g_free(set);
}

static struct imap_range *range_at(const GArray *ranges, guint index)
{
    return &g_array_index(ranges, struct imap_range, index);
}

/* The first range that ends at `uid` or above; ranges->len if there is none. */
static guint range_find(const GArray *ranges, uint32_t uid)
{
    guint low = 0, high = ranges->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (range_at(ranges, middle)->last < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int range_compare(const void *a, const void *b)
{
    const struct imap_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Appends a range whose `first` is not below that of the last one. */
static void range_append(GArray *ranges, struct imap_range range)
{
    struct imap_range *last = ranges->len > 0 ? range_at(ranges, ranges->len - 1) : NULL;
    if (last != NULL && (uint64_t)last->last + 1 >= range.first)
        last->last = MAX(last->last, range.last);
    else
        g_array_append_val(ranges, range);
}

static void pending_merge(struct imap_uidset *set)
{
    if (set->pending->len == 0)
        return;
    GArray *old = set->ranges, *pending = set->pending;
    set->ranges =
        g_array_sized_new(FALSE, FALSE, sizeof(struct imap_range), old->len + pending->len);
    g_array_sort(pending, range_compare);
    for (guint i = 0, j = 0; i < old->len || j < pending->len;) {
        bool take_old = j == pending->len ||
                        (i < old->len && range_at(old, i)->first <= range_at(pending, j)->first);
        range_append(set->ranges, take_old ? *range_at(old, i++) : *range_at(pending, j++));
    }
    g_array_unref(old);
    g_array_set_size(pending, 0);
}

/* Merging changes how a set is kept, not what is in it. */
static const GArray *merged(const struct imap_uidset *set)
{
    pending_merge((struct imap_uidset *)set);
    return set->ranges;
}

/* Widens the one range that first..last lies in or touches. Returns false, changing nothing, if
 * there is no such range or the next one is touched too. */
static bool range_widen(GArray *ranges, uint32_t first, uint32_t last)
{
    guint index = range_find(ranges, first - 1);
    if (index == ranges->len)
        return false;
    struct imap_range *range = range_at(ranges, index);
    if ((uint64_t)last + 1 < range->first)
        return false;
    if (index + 1 < ranges->len && (uint64_t)last + 1 >= range_at(ranges, index + 1)->first)
        return false;
    range->first = MIN(range->first, first);
    range->last = MAX(range->last, last);
    return true;
}

bool imap_uidset_add(struct imap_uidset *set, uint32_t first, uint32_t last)
{
    struct imap_range range = {first, last};
    if (first == 0 || first > last)
        return false;
    guint count = set->ranges->len;
    if (count == 0 || first >= range_at(set->ranges, count - 1)->first) {
        range_append(set->ranges, range);
    } else if (!range_widen(set->ranges, first, last)) {
        g_array_append_val(set->pending, range);
        if (set->pending->len >= MAX(PENDING_MIN, count / 4))
            pending_merge(set);
    }
    return true;
}

bool imap_uidset_contains(const struct imap_uidset *set, uint32_t uid)
{
    if (set->pending->len > PENDING_MIN)
        merged(set);
    guint index = range_find(set->ranges, uid);
    if (index < set->ranges->len && range_at(set->ranges, index)->first <= uid)
        return true;
    for (guint i = 0; i < set->pending->len; i++)
        if (range_at(set->pending, i)->first <= uid && uid <= range_at(set->pending, i)->last)
            return true;
    return false;
}

uint64_t imap_uidset_count(const struct imap_uidset *set)
{
    const GArray *ranges = merged(set);
    uint64_t count = 0;
    for (guint i = 0; i < ranges->len; i++)
        count += (uint64_t)range_at(ranges, i)->last - range_at(ranges, i)->first + 1;
    return count;
}

size_t imap_uidset_ranges(const struct imap_uidset *set, const struct imap_range **ranges)
{
    const GArray *array = merged(set);
    *ranges = (const struct imap_range *)(void *)array->data;
    return array->len;
}

/* Reads one UID at *text, moving it behind. Returns 0 if there is none. */
static uint32_t uid_read(const char **text, const char *end)
{
    uint64_t uid = 0;
    for (; *text < end && g_ascii_isdigit(**text); ++*text) {
        uid = uid * 10 + (uint64_t)(**text - '0');
        if (uid > G_MAXUINT32)
            return 0;
    }
    return (uint32_t)uid;
}

struct imap_uidset *imap_uidset_parse(const char *text, size_t length)
{
    g_autoptr(imap_uidset) set = imap_uidset_new();
    const char *end = text + length;
    for (guint count = 0; count < RANGES_MAX; count++) {
        uint32_t first = uid_read(&text, end), last = first;
        if (text < end && *text == ':') {
            text++;
            last = uid_read(&text, end);
        }
        if (!imap_uidset_add(set, MIN(first, last), MAX(first, last)))
            return NULL;
        if (text == end)
            return g_steal_pointer(&set);
        if (*text++ != ',')
            return NULL;
    }
    return NULL;
}

uint32_t imap_uidset_write(const struct imap_uidset *set, uint32_t from, size_t max, GString *out)
{
    const GArray *ranges = merged(set);
    size_t begin = out->len;
    for (guint i = range_find(ranges, from); i < ranges->len; i++) {
        struct imap_range range = *range_at(ranges, i);
        size_t before = out->len;
        range.first = MAX(range.first, from);
        g_string_append_printf(out, before > begin ? ",%u" : "%u", range.first);
        if (range.last > range.first)
            g_string_append_printf(out, ":%u", range.last);
        if (out->len - begin > max) {
            g_string_truncate(out, before);
            return range.first;
        }
    }
    return 0;
}
