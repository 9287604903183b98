/* Whose STATUS a poll asks for where LIST tells none. */
#include "fs/engine/folders.h"
#include "fs/engine/watch.h"

/* So many mailboxes in one poll; of more than that the ones in use, half of it at most, and the
 * others in turn. */
#define STATUS_MOST 1000

static gint slot_order(gconstpointer a, gconstpointer b)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

/* All mailboxes whose list is kept, by their slots, which stay the same whatever comes and goes. */
static GArray *slots_kept(struct cache_txn *txn, uint32_t selected)
{
    GArray *kept = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_auto(cache_walk) walk = {0};
    struct cache_mailbox mailbox;
    while (cache_walk_next(&walk, txn, &mailbox)) {
        /* of the one that is selected no STATUS may be asked (RFC 9051, 6.3.11) */
        if ((mailbox.flags & CACHE_MAILBOX_COMPLETE) != 0 && mailbox.slot != selected)
            g_array_append_val(kept, mailbox.slot);
    }
    g_array_sort(kept, slot_order);
    return kept;
}

static GArray *slots_in_use(const struct engine *engine, const GArray *kept)
{
    GArray *used = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (guint i = 0; i < kept->len && used->len < STATUS_MOST / 2; i++)
        if (watch_in_use(engine, g_array_index(kept, uint32_t, i)))
            g_array_append_val(used, g_array_index(kept, uint32_t, i));
    return used;
}

/* Adds those that come next; some that are in use may be there twice. */
static void slots_turn(struct engine *engine, const GArray *kept, GArray *slots)
{
    guint first = 0, room = STATUS_MOST - slots->len;
    while (first < kept->len && g_array_index(kept, uint32_t, first) <= engine->status_turn)
        first++;
    for (guint i = 0; i < MIN(kept->len, room); i++) {
        engine->status_turn = g_array_index(kept, uint32_t, (first + i) % kept->len);
        g_array_append_val(slots, engine->status_turn);
    }
}

static GArray *slots_asked(struct engine *engine, GArray *kept)
{
    if (kept->len <= STATUS_MOST)
        return g_array_ref(kept);
    GArray *slots = slots_in_use(engine, kept);
    slots_turn(engine, kept, slots);
    g_array_sort(slots, slot_order);
    return slots;
}

GPtrArray *folders_to_ask(struct engine *engine, uint32_t selected)
{
    GPtrArray *wires = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    g_autoptr(GArray) kept = slots_kept(txn, selected);
    g_autoptr(GArray) slots = slots_asked(engine, kept);
    for (guint i = 0; i < slots->len; i++) {
        uint32_t slot = g_array_index(slots, uint32_t, i);
        struct cache_mailbox mailbox;
        bool twice = i > 0 && slot == g_array_index(slots, uint32_t, i - 1);
        if (!twice && cache_mailbox_get(txn, slot, &mailbox) == CACHE_OK)
            g_ptr_array_add(wires, g_strdup(mailbox.wire));
    }
    return wires;
}
