#include "tests/cache/journal-scratch.h"

#include "tests/cache/scratch.h"
#include <string.h>
#include <unistd.h>

struct journal *journal_scratch_open_in(const char *directory, GError **error)
{
    const struct journal_options options = {
        .directory = directory,
        .account = "a@b:993",
        .owner = "mounted on /mail, pid 7",
    };
    return journal_open(&options, error);
}

void journal_scratch_open(struct journal_scratch *scratch)
{
    g_autoptr(GError) error = NULL;
    scratch->journal = journal_scratch_open_in(scratch->directory, &error);
    g_assert_no_error(error);
    g_assert_nonnull(scratch->journal);
}

void journal_scratch_close(struct journal_scratch *scratch)
{
    g_clear_pointer(&scratch->journal, journal_close);
}

void journal_scratch_setup(struct journal_scratch *scratch)
{
    scratch->directory = g_dir_make_tmp("mailmount-journal-XXXXXX", NULL);
    g_assert_nonnull(scratch->directory);
    journal_scratch_open(scratch);
}

void journal_scratch_teardown(struct journal_scratch *scratch)
{
    journal_scratch_close(scratch);
    remove_tree(scratch->directory);
    g_clear_pointer(&scratch->directory, g_free);
}

char *journal_scratch_path(const char *directory, const char *name)
{
    return g_build_filename(directory, "a@b:993", name, NULL);
}

struct journal_entry entry_about(enum journal_kind kind, const char *mailbox, uint32_t uid,
                                 const char *target)
{
    return (struct journal_entry){
        .kind = kind, .message = {mailbox, 7, uid}, .target = target, .size = 1000 + uid};
}

struct journal_entry entry_since(enum journal_kind kind, uint64_t source, const char *target)
{
    return (struct journal_entry){.kind = kind, .source = source, .target = target};
}

struct journal_entry entry_mailbox(enum journal_kind kind, const char *mailbox, const char *target)
{
    return (struct journal_entry){
        .kind = kind,
        .message = {kind == JOURNAL_CREATE ? NULL : mailbox, 0, 0},
        .target = kind == JOURNAL_CREATE ? mailbox : target,
        .delimiter = '/',
    };
}

uint64_t add(struct journal *journal, struct journal_entry entry)
{
    uint64_t id = 0;
    g_assert_cmpint(journal_add(journal, &entry, false, &id), ==, CACHE_OK);
    return id;
}

uint64_t stage(struct journal *journal, const char *bytes)
{
    uint64_t staged;
    int fd = journal_stage(journal, &staged);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, bytes, strlen(bytes)), ==, (ssize_t)strlen(bytes));
    close(fd);
    return staged;
}

static void ids_add(GString *ids, uint64_t id)
{
    g_string_append_printf(ids, "%s%" G_GUINT64_FORMAT, ids->len > 0 ? " " : "", id);
}

char *take_ids(struct journal *journal, unsigned most)
{
    g_autoptr(GPtrArray) taken = journal_take(journal, most);
    GString *ids = g_string_new(NULL);

    for (guint i = 0; taken != NULL && i < taken->len; i++)
        ids_add(ids, ((const struct journal_entry *)taken->pdata[i])->id);
    return g_string_free(ids, FALSE);
}

void settle_one(struct journal *journal, uint64_t id, bool done, uint32_t target_uid)
{
    g_autoptr(GPtrArray) entries =
        g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    struct journal_entry *entry = journal_next(journal, id - 1);

    g_assert_nonnull(entry);
    g_assert_cmpuint(entry->id, ==, id);
    entry->target_uidvalidity = 8;
    entry->target_uid = target_uid;
    g_ptr_array_add(entries, entry);
    g_assert_cmpint(journal_settle(journal, entries, done, NULL), ==, CACHE_OK);
}

char *arrival_ids(struct journal *journal, const char *mailbox)
{
    GString *ids = g_string_new(NULL);
    uint64_t after = 0;

    for (struct journal_entry *entry; (entry = journal_arrival(journal, mailbox, after)) != NULL;
         journal_entry_free(entry))
        ids_add(ids, after = entry->id);
    return g_string_free(ids, FALSE);
}

bool hides(struct journal *journal, const char *mailbox, uint32_t uid)
{
    return journal_hides(journal, &(struct journal_address){mailbox, 7, uid});
}
