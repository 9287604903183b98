/* The index against a model that knows only the list of entries and looks through all of it, under
 * random operations. */
#include "tests/cache/journal-scratch.h"

#include <string.h>

#define STEPS 1500
#define UIDS 8

static const char *const MAILBOXES[] = {"a", "a/x", "b", "b/x", "c"};

struct model {
    struct journal *journal;
    GPtrArray *entries; /* all, by id */
    GHashTable *taken;  /* ids with the engine */
};

static void model_read(struct model *model)
{
    uint64_t after = 0;

    g_clear_pointer(&model->entries, g_ptr_array_unref);
    model->entries = g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    for (struct journal_entry *entry; (entry = journal_next(model->journal, after)) != NULL;
         after = entry->id)
        g_ptr_array_add(model->entries, entry);
}

static const struct journal_entry *model_find(const struct model *model, uint64_t id)
{
    for (guint i = 0; i < model->entries->len; i++) {
        const struct journal_entry *entry = model->entries->pdata[i];
        if (entry->id == id)
            return entry;
    }
    return NULL;
}

/* A name as of the entry `id`, after all later RENAMEs. */
static char *model_final(const struct model *model, const char *name, uint64_t id)
{
    GString *final = g_string_new(name);

    for (guint i = 0; i < model->entries->len; i++) {
        const struct journal_entry *rename = model->entries->pdata[i];
        size_t length = strlen(rename->message.mailbox);
        if (rename->kind != JOURNAL_RENAME || rename->id <= id ||
            strncmp(final->str, rename->message.mailbox, length) != 0 ||
            (final->str[length] != 0 && final->str[length] != '/'))
            continue;
        g_string_erase(final, 0, (gssize)length);
        g_string_prepend(final, rename->target);
    }
    return g_string_free(final, FALSE);
}

static bool model_named(const struct model *model, const char *name, uint64_t id,
                        const char *wanted)
{
    g_autofree char *final = model_final(model, name, id);
    return strcmp(final, wanted) == 0;
}

/* Whether an entry is about this message, by final names. */
static bool model_about(const struct model *model, const struct journal_entry *entry,
                        const struct journal_address *message)
{
    struct journal_address address = entry->message;
    uint64_t named = entry->id;

    if (entry->source != 0) {
        const struct journal_entry *source = model_find(model, entry->source);
        if (source == NULL || source->step != JOURNAL_PLACED || source->target_uid == 0)
            return false;
        address = (struct journal_address){source->target, source->target_uidvalidity,
                                           source->target_uid};
        named = source->id;
    }
    return address.uid == message->uid && address.uidvalidity == message->uidvalidity &&
           model_named(model, address.mailbox, named, message->mailbox);
}

static bool model_hides(const struct model *model, const struct journal_address *message)
{
    for (guint i = 0; i < model->entries->len; i++) {
        const struct journal_entry *entry = model->entries->pdata[i];
        if ((entry->kind == JOURNAL_MOVE || entry->kind == JOURNAL_EXPUNGE) &&
            model_about(model, entry, message))
            return true;
    }
    return false;
}

static bool model_went_on(const struct model *model, uint64_t id)
{
    for (guint i = 0; i < model->entries->len; i++) {
        const struct journal_entry *entry = model->entries->pdata[i];
        if (entry->source == id && (entry->kind == JOURNAL_MOVE || entry->kind == JOURNAL_EXPUNGE))
            return true;
    }
    return false;
}

static char *model_arrivals(const struct model *model, const char *mailbox)
{
    GString *ids = g_string_new(NULL);

    for (guint i = 0; i < model->entries->len; i++) {
        const struct journal_entry *entry = model->entries->pdata[i];
        bool places = entry->kind == JOURNAL_MOVE || entry->kind == JOURNAL_COPY ||
                      entry->kind == JOURNAL_APPEND;
        if (places && !entry->kept && !model_went_on(model, entry->id) &&
            model_named(model, entry->target, entry->id, mailbox))
            g_string_append_printf(ids, "%s%" G_GUINT64_FORMAT, ids->len > 0 ? " " : "", entry->id);
    }
    return g_string_free(ids, FALSE);
}

static bool model_counts(const struct model *model, enum journal_kind kind, const char *mailbox)
{
    for (guint i = 0; i < model->entries->len; i++) {
        const struct journal_entry *entry = model->entries->pdata[i];
        const char *name = kind == JOURNAL_CREATE ? entry->target : entry->message.mailbox;
        if (entry->kind == kind && model_named(model, name, entry->id, mailbox))
            return true;
    }
    return false;
}

static void check_all(struct model *model)
{
    struct journal_counts counts;
    unsigned waiting = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(MAILBOXES); i++) {
        g_autofree char *wanted = model_arrivals(model, MAILBOXES[i]);
        g_autofree char *found = arrival_ids(model->journal, MAILBOXES[i]);
        g_assert_cmpstr(found, ==, wanted);
        g_assert_cmpint(journal_creates(model->journal, MAILBOXES[i]), ==,
                        model_counts(model, JOURNAL_CREATE, MAILBOXES[i]));
        g_assert_cmpint(journal_removes(model->journal, MAILBOXES[i]), ==,
                        model_counts(model, JOURNAL_REMOVE, MAILBOXES[i]));
        g_autofree char *renamed = journal_renamed(model->journal, MAILBOXES[i]);
        g_autofree char *final = model_final(model, MAILBOXES[i], 0);
        g_assert_cmpstr(renamed, ==, final);
        bool is_old_name = strcmp(final, MAILBOXES[i]) != 0; /* found by that, too */
        for (uint32_t uid = 1; uid <= UIDS; uid++) {
            const struct journal_address message = {MAILBOXES[i], 7 + uid % 2, uid};
            bool hidden = model_hides(model, &message);
            if (hidden || !is_old_name)
                g_assert_cmpint(journal_hides(model->journal, &message), ==, hidden);
        }
    }
    for (guint i = 0; i < model->entries->len; i++) {
        const struct journal_entry *entry = model->entries->pdata[i];
        waiting += !entry->kept && entry->step != JOURNAL_PLACED;
        g_assert_true(entry->source == 0 || model_find(model, entry->source) != NULL);
        g_assert_true(entry->after == 0 || model_find(model, entry->after) != NULL);
        g_assert_true(entry->source < entry->id && entry->after < entry->id);
    }
    journal_counts(model->journal, &counts);
    g_assert_cmpuint(counts.waiting, ==, waiting);
}

/* ---- operations ------------------------------------------------------------------------------ */

static const char *any_mailbox(void)
{
    return MAILBOXES[g_test_rand_int_range(0, G_N_ELEMENTS(MAILBOXES))];
}

static const struct journal_entry *any_entry(const struct model *model)
{
    if (model->entries->len == 0)
        return NULL;
    return model->entries->pdata[g_test_rand_int_range(0, (gint32)model->entries->len)];
}

static void run_add(struct model *model)
{
    static const enum journal_kind KINDS[] = {
        JOURNAL_MOVE,    JOURNAL_MOVE,   JOURNAL_MOVE,   JOURNAL_COPY,   JOURNAL_FLAGS,
        JOURNAL_EXPUNGE, JOURNAL_APPEND, JOURNAL_CREATE, JOURNAL_REMOVE, JOURNAL_RENAME};
    const struct journal_entry *other = any_entry(model);
    struct journal_entry entry = {
        .kind = KINDS[g_test_rand_int_range(0, G_N_ELEMENTS(KINDS))],
        .target = any_mailbox(),
        .delimiter = '/',
        .name = "n",
    };
    uint64_t id;

    if (entry.kind == JOURNAL_APPEND)
        entry.staged = stage(model->journal, "x");
    else if (entry.kind < JOURNAL_APPEND && other != NULL && g_test_rand_int_range(0, 3) == 0)
        entry.source = other->id;
    else if (entry.kind != JOURNAL_CREATE)
        entry.message.mailbox = any_mailbox();
    if (entry.kind < JOURNAL_APPEND && entry.source == 0) {
        entry.message.uid = (uint32_t)g_test_rand_int_range(1, UIDS + 1);
        entry.message.uidvalidity = 7 + entry.message.uid % 2;
    }
    if (entry.kind == JOURNAL_EXPUNGE || entry.kind == JOURNAL_FLAGS ||
        entry.kind == JOURNAL_REMOVE)
        entry.target = NULL;
    if (entry.kind == JOURNAL_RENAME && strcmp(entry.target, entry.message.mailbox) == 0)
        return;
    if (other != NULL && g_test_rand_int_range(0, 8) == 0)
        entry.after = other->id;
    int rc = journal_add(model->journal, &entry, g_test_rand_int_range(0, 4) == 0, &id);
    if (rc != CACHE_OK && entry.staged != 0)
        journal_staged_remove(model->journal, entry.staged);
    g_assert_true(rc == CACHE_OK || rc == CACHE_NOT_FOUND || rc == CACHE_CORRUPT);
}

/* Nothing that is taken may have something in its way. */
static void check_taken(const struct model *model, const struct journal_entry *entry)
{
    const struct journal_entry *after = model_find(model, entry->after);

    g_assert_cmpuint(entry->source, ==, 0);
    g_assert_true(entry->after == 0 || after->kept);
    g_assert_true(!entry->kept && entry->step != JOURNAL_PLACED);
    g_assert_false(g_hash_table_contains(model->taken, &entry->id));
    for (guint i = 0; i < model->entries->len; i++) {
        const struct journal_entry *other = model->entries->pdata[i];
        if (other->id >= entry->id || other->kept || other->step == JOURNAL_PLACED)
            continue;
        if (entry->message.uid != 0) {
            g_autofree char *final = model_final(model, entry->message.mailbox, entry->id);
            const struct journal_address address = {final, entry->message.uidvalidity,
                                                    entry->message.uid};
            g_assert_false(model_about(model, other, &address));
        }
        const char *const OURS[] = {entry->message.mailbox, entry->target};
        const char *const THEIRS[] = {other->message.mailbox, other->target};
        for (int pair = 0; pair < 4; pair++) {
            const char *ours = OURS[pair / 2], *theirs = THEIRS[pair % 2];
            if (*ours == 0 || *theirs == 0 || strcmp(ours, theirs) != 0)
                continue;
            g_assert_true(entry->kind < JOURNAL_CREATE && other->kind < JOURNAL_CREATE);
        }
    }
}

static void run_take(struct model *model)
{
    g_autoptr(GPtrArray) taken =
        journal_take(model->journal, (unsigned)g_test_rand_int_range(1, 5));
    for (guint i = 0; taken != NULL && i < taken->len; i++)
        check_taken(model, taken->pdata[i]);
    if (taken != NULL && g_test_rand_int_range(0, 4) == 0) {
        journal_give_back(model->journal, taken);
        return;
    }
    for (guint i = 0; taken != NULL && i < taken->len; i++) {
        const struct journal_entry *entry = taken->pdata[i];
        g_hash_table_add(model->taken, g_memdup2(&entry->id, sizeof entry->id));
    }
}

/* An entry with the engine, a copy in an array. */
static GPtrArray *any_taken(struct model *model)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);

    for (guint i = 0; i < model->entries->len && entries->len == 0; i++) {
        const struct journal_entry *entry = model->entries->pdata[i];
        if (!g_hash_table_contains(model->taken, &entry->id) || g_test_rand_int_range(0, 3) == 0)
            continue;
        struct journal_entry *copy = journal_next(model->journal, entry->id - 1);
        copy->target_uidvalidity = 7;
        copy->target_uid = (uint32_t)g_test_rand_int_range(0, UIDS + 1);
        copy->target_uidvalidity += copy->target_uid % 2;
        g_ptr_array_add(entries, copy);
    }
    return entries;
}

static void run_update(struct model *model)
{
    g_autoptr(GPtrArray) entries = any_taken(model);

    for (guint i = 0; i < entries->len; i++) {
        struct journal_entry *entry = entries->pdata[i];
        entry->step = (enum journal_step)g_test_rand_int_range(JOURNAL_SENT, JOURNAL_PLACED + 1);
        if (entry->kind >= JOURNAL_CREATE)
            entry->step = JOURNAL_SENT;
        entry->kept = entry->step == JOURNAL_MARKED && g_test_rand_int_range(0, 2) == 0;
        if (entry->kept)
            g_hash_table_remove(model->taken, &entry->id);
    }
    g_assert_cmpint(journal_update(model->journal, entries), ==, CACHE_OK);
}

static void run_settle(struct model *model)
{
    g_autoptr(GPtrArray) entries = any_taken(model);
    bool done = g_test_rand_int_range(0, 4) != 0;

    for (guint i = 0; i < entries->len; i++) {
        const struct journal_entry *entry = entries->pdata[i];
        g_hash_table_remove(model->taken, &entry->id);
    }
    g_assert_cmpint(journal_settle(model->journal, entries, done, NULL), ==, CACHE_OK);
}

static void run_cancel(struct model *model)
{
    const struct journal_entry *entry = any_entry(model);

    if (entry == NULL)
        return;
    bool may = entry->step == JOURNAL_QUEUED && !g_hash_table_contains(model->taken, &entry->id);
    g_assert_cmpint(journal_cancel(model->journal, entry->id), ==,
                    may ? CACHE_OK : CACHE_NOT_FOUND);
}

static void check_same(const struct journal_entry *a, const struct journal_entry *b)
{
    g_assert_true(a->id == b->id && a->kind == b->kind && a->step == b->step &&
                  a->source == b->source && a->after == b->after && a->kept == b->kept &&
                  a->message.uid == b->message.uid && a->target_uid == b->target_uid &&
                  a->origin.uid == b->origin.uid && a->staged == b->staged);
    g_assert_cmpstr(a->message.mailbox, ==, b->message.mailbox);
    g_assert_cmpstr(a->target, ==, b->target);
    g_assert_cmpstr(a->origin.mailbox, ==, b->origin.mailbox);
}

static void run_reopen(struct model *model, struct journal_scratch *scratch)
{
    g_autoptr(GPtrArray) before = g_steal_pointer(&model->entries);

    journal_scratch_close(scratch);
    journal_scratch_open(scratch);
    model->journal = scratch->journal;
    g_hash_table_remove_all(model->taken);
    model_read(model);
    g_assert_cmpuint(model->entries->len, ==, before->len);
    for (guint i = 0; i < before->len; i++)
        check_same(before->pdata[i], model->entries->pdata[i]);
}

static void test_model(void)
{
    struct journal_scratch scratch;
    struct model model = {0};

    journal_scratch_setup(&scratch);
    model.journal = scratch.journal;
    model.taken = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    model_read(&model);
    for (int step = 0; step < STEPS; step++) {
        int operation = g_test_rand_int_range(0, 100);
        if (operation < 45)
            run_add(&model);
        else if (operation < 65)
            run_take(&model);
        else if (operation < 74)
            run_update(&model);
        else if (operation < 92)
            run_settle(&model);
        else if (operation < 98)
            run_cancel(&model);
        else
            run_reopen(&model, &scratch);
        model_read(&model);
        check_all(&model);
    }
    g_ptr_array_unref(model.entries);
    g_hash_table_unref(model.taken);
    journal_scratch_teardown(&scratch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal/model", test_model);
    return g_test_run();
}
