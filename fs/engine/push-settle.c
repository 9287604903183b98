/* How changes ended: lists brought up to date, entries removed from the journal, everybody told. */
#include <string.h>

#include "fs/engine/push.h"

/* So often what met trouble of the server's own is tried again. */
#define TROUBLES_MOST 5
#define ROUNDS_MAX 3
#define SETTLE_AGAIN_US (5 * G_USEC_PER_SEC)
#define PLACED_MOST 2000
#define REFUSALS_KEPT 1000
#define CLAIMS_MOST 50000
/* Key of the list of mailboxes among the fresh mailboxes. */
#define FRESH_KEY GUINT_TO_POINTER(UINT32_MAX)

/* What waits for one list. */
struct push_placed {
    struct engine *engine;
    char *target;       /* wire name; "": the list of mailboxes */
    GPtrArray *entries; /* NULL: settled, while `asking` */
    unsigned rounds;
    gint64 due_us;
    bool asking;
    bool early; /* a list was on its way already, which may be of before */
};

/* ---- memory of entries ----------------------------------------------------------------------- */

unsigned push_count_try(struct engine *engine, uint64_t id)
{
    GHashTable *tries = engine->push->tries;
    unsigned count = GPOINTER_TO_UINT(g_hash_table_lookup(tries, &id)) + 1;
    g_hash_table_insert(tries, g_memdup2(&id, sizeof id), GUINT_TO_POINTER(count));
    return count;
}

bool push_may_retry(const struct push *push, guint index)
{
    uint64_t id = push_entry(push, index)->id;
    gpointer tries = g_hash_table_lookup(push->job.engine->push->tries, &id);
    return GPOINTER_TO_UINT(tries) < TROUBLES_MOST;
}

static void push_forget(struct engine *engine, const GPtrArray *entries)
{
    push_forget_objects(engine, entries);
    push_gone_forget(engine, entries);
    push_forget_put_off(engine, entries);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        g_hash_table_remove(engine->push->tries, &entry->id);
        g_hash_table_remove(engine->push->hierarchy, &entry->id);
    }
}

static char *claim_key(const char *target, uint32_t uidvalidity, uint32_t uid)
{
    return g_strdup_printf("%u/%u/%s", uidvalidity, uid, target);
}

static void push_claim(struct engine *engine, const GPtrArray *entries)
{
    GHashTable *claims = engine->push->claims;
    if (g_hash_table_size(claims) > CLAIMS_MOST)
        g_hash_table_remove_all(claims);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        if (entry->target_uid != 0)
            g_hash_table_add(
                claims, claim_key(entry->target, entry->target_uidvalidity, entry->target_uid));
    }
}

bool push_is_claimed(const struct engine *engine, const char *target, uint32_t uidvalidity,
                     uint32_t uid)
{
    g_autofree char *key = claim_key(target, uidvalidity, uid);
    return g_hash_table_contains(engine->push->claims, key);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void push_tell(struct engine *engine, const struct journal_entry *entry,
                      enum engine_error error, const char *text)
{
    const struct engine_events *events = engine->events;
    if (events != NULL && events->change_settled != NULL)
        events->change_settled(entry, error, text, engine->events_data);
    pushed_answer(engine, entry->id, error);
}

static void push_remember_refusal(struct engine *engine, uint64_t id, enum engine_error error)
{
    struct pusher *pusher = engine->push;
    g_hash_table_insert(pusher->refusals, g_memdup2(&id, sizeof id), GINT_TO_POINTER(error));
    g_queue_push_tail(&pusher->refused, g_memdup2(&id, sizeof id));
    while (pusher->refused.length > REFUSALS_KEPT) {
        g_autofree uint64_t *oldest = g_queue_pop_head(&pusher->refused);
        g_hash_table_remove(pusher->refusals, oldest);
    }
}

/* ---- settling -------------------------------------------------------------------------------- */

static void folders_listed(enum engine_error error, void *data)
{
}

static void push_list_folders(struct engine *engine)
{
    const struct engine_wish folders = {.want = ENGINE_FOLDERS, .ahead = true};
    g_hash_table_remove(engine->fresh, FRESH_KEY);
    if (!engine->pool.failing)
        engine_ask_inside(engine, &folders, folders_listed, NULL);
}

static bool entry_is_of_hierarchy(const struct journal_entry *entry)
{
    return entry->kind == JOURNAL_CREATE || entry->kind == JOURNAL_REMOVE ||
           entry->kind == JOURNAL_RENAME;
}

/* The mailbox is gone: so is its record. */
static void push_remove_mailbox(struct engine *engine, const struct journal_entry *entry)
{
    struct push_box box;
    if (!push_box(engine, entry->message.mailbox, &box))
        return;
    struct cache_txn *txn = cache_txn_write(engine->cache);
    gpointer key = GUINT_TO_POINTER(box.folder);
    g_hash_table_remove(engine->fresh, key);
    g_hash_table_remove(engine->partial, key);
    g_autofree char *path = cache_mailbox_path(txn, box.folder);
    if (cache_mailbox_remove(txn, box.folder) == CACHE_OK)
        cache_txn_commit(txn);
    else
        cache_txn_end(txn);
    const struct engine_events *events = engine->events;
    const struct engine_folder_change change = {
        .what = ENGINE_FOLDER_GONE, .folder = box.folder, .path = path, .own = true};
    if (events != NULL && events->folder_changed != NULL && path != NULL)
        events->folder_changed(&change, engine->events_data);
    if (events != NULL && events->folders_changed != NULL)
        events->folders_changed(engine->events_data);
}

static void push_tell_dropped(struct engine *engine, const GPtrArray *dropped,
                              enum engine_error error, const char *text)
{
    push_forget(engine, dropped);
    for (guint i = 0; i < dropped->len; i++) {
        const struct journal_entry *entry = dropped->pdata[i];
        push_note_refusal(engine, entry, text);
        push_remember_refusal(engine, entry->id, error);
        push_tell(engine, entry, error, text);
    }
}

void push_settle(struct engine *engine, GPtrArray *taken)
{
    g_autoptr(GPtrArray) entries = taken;
    g_autoptr(GPtrArray) dropped = push_entries_new();
    if (entries->len == 0)
        return;
    push_remove_records(engine, entries);
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        if (entry->kind == JOURNAL_REMOVE)
            push_remove_mailbox(engine, entry);
    }
    if (journal_settle(engine->journal, entries, true, dropped) != CACHE_OK) {
        g_warning("the journal cannot be written; what is done is kept there as placed");
        push_settle_later(engine, g_ptr_array_ref(entries));
        return;
    }
    push_forget(engine, entries);
    for (guint i = 0; i < entries->len; i++)
        push_tell(engine, entries->pdata[i], ENGINE_OK, "");
    push_tell_dropped(engine, dropped, ENGINE_GONE, "where the message lies now is not known");
    push_forget_departed(engine, entries);
    push_forget_departed(engine, dropped);
    engine->push->wanted = true; /* what waited for these */
    engine->push->losses = 0;
    pushed_check(engine);
}

/* Takes those out whose bytes cannot be kept elsewhere, and puts them off: the journal has the only
 * copy. */
static void push_keep_bytes(struct engine *engine, GPtrArray *entries, const char *why)
{
    GPtrArray *unkept = push_entries_new();
    for (guint i = entries->len; i-- > 0;) {
        struct journal_entry *entry = entries->pdata[i];
        if (entry->kind != JOURNAL_APPEND || pushed_is_awaited(engine, entry->id))
            continue;
        int rc = journal_fail(engine->journal, entry, why, &entry->failed);
        if (rc == CACHE_OK || rc == CACHE_NOT_FOUND)
            continue;
        g_warning("a message that was refused cannot be kept, and is tried again: %s", why);
        g_ptr_array_insert(unkept, 0, g_ptr_array_steal_index(entries, i));
    }
    push_put_off(engine, unkept, 0, "what the server refused cannot be kept here");
}

void push_refuse(struct engine *engine, GPtrArray *taken, enum engine_error error, const char *text)
{
    g_autoptr(GPtrArray) entries = taken;
    g_autoptr(GPtrArray) dropped = push_entries_new();
    bool hierarchy = false;
    g_autofree char *words = g_strdup(text != NULL ? text : "");
    push_keep_bytes(engine, entries, words);
    if (entries->len == 0)
        return;
    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        hierarchy = hierarchy || entry_is_of_hierarchy(entry);
        push_note_refusal(engine, entry, words);
        push_remember_refusal(engine, entry->id, error);
    }
    if (journal_settle(engine->journal, entries, false, dropped) != CACHE_OK) {
        g_warning("the journal cannot be written; what was refused is tried again");
        push_put_off(engine, g_ptr_array_ref(entries), 0, "the journal cannot be written");
        return;
    }
    push_forget(engine, entries);
    for (guint i = 0; i < entries->len; i++)
        push_tell(engine, entries->pdata[i], error, words);
    push_tell_dropped(engine, dropped, error, words);
    push_forget_departed(engine, entries);
    push_forget_departed(engine, dropped);
    engine->push->wanted = true;
    engine->push->losses = 0;
    if (hierarchy)
        push_list_folders(engine);
    pushed_check(engine);
}

/* What is about the message where it was moved to would wait for ever to hear where that is. */
static void push_refuse_followers(struct engine *engine, const GPtrArray *kept)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(g_int64_hash, g_int64_equal);
    GPtrArray *followers = push_entries_new();
    struct journal_entry *entry;
    for (guint i = 0; i < kept->len; i++)
        g_hash_table_add(ids, &((struct journal_entry *)kept->pdata[i])->id);
    for (uint64_t at = 0; (entry = journal_next(engine->journal, at)) != NULL;) {
        at = entry->id;
        if (entry->source != 0 && g_hash_table_contains(ids, &entry->source))
            g_ptr_array_add(followers, entry);
        else
            journal_entry_free(entry);
    }
    push_refuse(engine, followers, ENGINE_GONE, "where the message lies now is not known");
}

void push_keep(struct engine *engine, GPtrArray *taken)
{
    g_autoptr(GPtrArray) entries = taken;
    journal_update(engine->journal, entries);
    journal_give_back(engine->journal, entries);
    push_forget_put_off(engine, entries);
    push_claim(engine, entries);
    push_refuse_followers(engine, entries);
    engine->push->losses = 0;
    const struct journal_entry *first = entries->pdata[0];
    struct push_box box;
    if (first->target[0] != '\0' && push_box(engine, first->target, &box) && box.listed) {
        const struct engine_wish list = {.want = ENGINE_MAILBOX, .folder = box.folder};
        push_move_objects(engine, &box, entries);
        g_hash_table_remove(engine->fresh, GUINT_TO_POINTER(box.folder));
        engine_ask_inside(engine, &list, folders_listed, NULL);
    }
    for (guint i = 0; i < entries->len; i++)
        pushed_answer(engine, ((struct journal_entry *)entries->pdata[i])->id, ENGINE_OK);
    pushed_check(engine);
}

/* ---- placed: a list must follow -------------------------------------------------------------- */

static void placed_free(struct push_placed *placed)
{
    g_free(placed->target);
    g_clear_pointer(&placed->entries, g_ptr_array_unref);
    g_free(placed);
}

void push_drop_placed(struct engine *engine)
{
    g_queue_clear_full(&engine->push->placed, (GDestroyNotify)placed_free);
}

static bool placed_is_asking(const struct pusher *pusher)
{
    for (GList *at = pusher->placed.head; at != NULL; at = at->next)
        if (((struct push_placed *)at->data)->asking)
            return true;
    return false;
}

/* While one list is on its way, more gathers for the next. */
static void placed_add(struct engine *engine, const char *target, GPtrArray *entries)
{
    struct pusher *pusher = engine->push;
    struct push_placed *placed = NULL;
    for (GList *at = pusher->placed.head; at != NULL && placed == NULL; at = at->next) {
        struct push_placed *other = at->data;
        if (!other->asking && other->rounds == 0 && strcmp(other->target, target) == 0)
            placed = other;
    }
    if (placed == NULL) {
        placed = g_new0(struct push_placed, 1);
        placed->engine = engine;
        placed->target = g_strdup(target);
        placed->entries = push_entries_new();
        g_queue_push_tail(&pusher->placed, placed);
    }
    g_ptr_array_extend_and_steal(placed->entries, entries);
    pusher->unsettled = true;
    bool waits = pusher->waiters > 0 && !placed_is_asking(pusher);
    if (waits || placed->entries->len >= PLACED_MOST)
        push_settle_placed(engine);
}

/* Whether the mailbox has another name soon: its list can be had under that one only, and RENAME
 * waits for these. */
static bool placed_is_renamed(struct engine *engine, const char *target)
{
    g_autofree char *now = journal_renamed(engine->journal, target);
    return strcmp(now, target) != 0;
}

/* Settles what has come there without its list, which lacks it. */
static void placed_settle(struct engine *engine, const char *target, GPtrArray *entries)
{
    struct push_box box;
    if (target[0] != '\0' && push_box(engine, target, &box))
        g_hash_table_remove(engine->fresh, GUINT_TO_POINTER(box.folder));
    push_settle(engine, entries);
}

/* The list that must follow before these are settled; NULL: none. */
static const char *placed_target(struct engine *engine, const struct journal_entry *entry)
{
    struct push_box box;
    bool hierarchy = entry->kind == JOURNAL_CREATE || entry->kind == JOURNAL_RENAME;
    bool arrives =
        entry->kind == JOURNAL_MOVE || entry->kind == JOURNAL_COPY || entry->kind == JOURNAL_APPEND;
    if (!hierarchy && !arrives)
        return NULL;
    bool known = push_box(engine, entry->target, &box);
    if (arrives && placed_is_renamed(engine, entry->target))
        return NULL;
    if (hierarchy)
        return known ? NULL : "";
    return known && (box.listed || push_is_listing(engine, box.folder)) ? entry->target : NULL;
}

void push_place(struct engine *engine, GPtrArray *entries)
{
    if (entries->len == 0) {
        g_ptr_array_unref(entries);
        return;
    }
    if (journal_update(engine->journal, entries) != CACHE_OK)
        g_warning("the journal cannot be written; what is done may be looked up again");
    push_forget_put_off(engine, entries);
    push_claim(engine, entries);
    const char *target = placed_target(engine, entries->pdata[0]);
    if (target == NULL)
        placed_settle(engine, ((const struct journal_entry *)entries->pdata[0])->target, entries);
    else
        placed_add(engine, target, entries);
}

void push_load_placed(struct engine *engine)
{
    uint64_t at = 0;
    struct journal_entry *entry;
    push_check_departed(engine);
    while ((entry = journal_next(engine->journal, at)) != NULL) {
        at = entry->id;
        if (entry->step != JOURNAL_PLACED) {
            journal_entry_free(entry);
            continue;
        }
        GPtrArray *one = push_entries_new();
        g_ptr_array_add(one, entry);
        const char *target = placed_target(engine, entry);
        placed_add(engine, target != NULL ? target : entry->target, one);
    }
}

/* ---- placed: the list is there --------------------------------------------------------------- */

static bool placed_is_listed(struct engine *engine, const struct push_placed *placed)
{
    struct push_box box;
    if (placed->target[0] == '\0' || !push_box(engine, placed->target, &box) || !box.listed)
        return true;
    g_autoptr(cache_txn) txn = cache_txn_read(engine->cache);
    for (guint i = 0; i < placed->entries->len; i++) {
        const struct journal_entry *entry = placed->entries->pdata[i];
        struct cache_message message;
        if (entry->target_uid == 0 && placed->early)
            return false;
        if (entry->target_uid != 0 && entry->target_uidvalidity == box.uidvalidity &&
            cache_message_get(txn, box.messages, entry->target_uid, &message) == CACHE_NOT_FOUND)
            return false;
    }
    return true;
}

static void placed_finish(struct engine *engine, struct push_placed *placed, bool listed)
{
    GPtrArray *entries = g_steal_pointer(&placed->entries);
    g_autofree char *target = g_strdup(listed ? "" : placed->target);
    g_queue_remove(&engine->push->placed, placed);
    engine->push->unsettled = engine->push->placed.length > 0;
    if (!placed->asking)
        placed_free(placed);
    placed_settle(engine, target, entries);
    if (engine->push->waiters > 0)
        push_settle_placed(engine);
    push_kick(engine);
}

static void placed_listed(enum engine_error error, void *data)
{
    struct push_placed *placed = data;
    struct engine *engine = placed->engine;
    placed->asking = false;
    if (placed->entries == NULL) {
        placed_free(placed);
        return;
    }
    if (error == ENGINE_STOPPED)
        return;
    bool reached = error == ENGINE_OK && !engine->pool.failing;
    if (!reached && error != ENGINE_GONE) {
        placed->due_us = engine_now(engine) + SETTLE_AGAIN_US;
        return;
    }
    /* a list that was on its way before may lack them; what others took at once it lacks for ever
     */
    if (error == ENGINE_OK && !placed_is_listed(engine, placed) && ++placed->rounds < ROUNDS_MAX) {
        placed->due_us = 0;
        push_settle_placed(engine);
        return;
    }
    placed_finish(engine, placed, true);
}

static void placed_ask(struct engine *engine, struct push_placed *placed)
{
    struct push_box box = {0};
    struct engine_wish list = {.want = ENGINE_FOLDERS};
    if (placed->target[0] != '\0') {
        placed->early =
            push_box(engine, placed->target, &box) && push_is_listing(engine, box.folder);
        if (box.folder == 0 || (!box.listed && !placed->early)) {
            placed_finish(engine, placed, false);
            return;
        }
        push_move_objects(engine, &box, placed->entries);
        list = (struct engine_wish){.want = ENGINE_MAILBOX, .folder = box.folder};
    }
    g_hash_table_remove(engine->fresh,
                        placed->target[0] != '\0' ? GUINT_TO_POINTER(box.folder) : FRESH_KEY);
    placed->asking = true;
    engine_ask_inside(engine, &list, placed_listed, placed);
}

void push_settle_placed(struct engine *engine)
{
    gint64 now = engine_now(engine);
    if (engine->pool.failing || g_atomic_int_get(&engine->stopping))
        return;
    g_autoptr(GPtrArray) due = g_ptr_array_new();
    for (GList *at = engine->push->placed.head; at != NULL; at = at->next) {
        struct push_placed *placed = at->data;
        bool renamed = placed->target[0] != '\0' && placed_is_renamed(engine, placed->target);
        if (renamed || (!placed->asking && placed->due_us <= now))
            g_ptr_array_add(due, placed);
    }
    for (guint i = 0; i < due->len; i++) {
        struct push_placed *placed = due->pdata[i];
        bool there = g_queue_find(&engine->push->placed, placed) != NULL;
        if (there && placed->target[0] != '\0' && placed_is_renamed(engine, placed->target))
            placed_finish(engine, placed, false);
        else if (there && !placed->asking)
            placed_ask(engine, placed);
    }
}
