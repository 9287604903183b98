/* What engines tell, as lines: over a real cache, with a reader, and nobody who watches. */
#include <errno.h>
#include <string.h>

#include "cache/cache.h"
#include "fs/events.h"
#include "fs/inotify.h"
#include "fs/news.h"
#include "tests/remove.h"

/* ---- the other rooms ---- */

static struct {
    enum inotify_what what;
    char *text;
} told[16];
static guint told_count;
static GMutex told_lock; /* over the two */

bool inotify_active(void)
{
    return true;
}

void inotify_tell(const struct inotify_change *change)
{
    g_mutex_lock(&told_lock);
    g_assert_cmpuint(told_count, <, G_N_ELEMENTS(told));
    told[told_count].what = change->what;
    told[told_count].text = g_strdup_printf("%s/%s %s/%s", change->at.path, change->at.name,
                                            change->to.path != NULL ? change->to.path : "",
                                            change->to.name != NULL ? change->to.name : "");
    told_count++;
    g_mutex_unlock(&told_lock);
}

/* ---- a cache with two mailboxes, one below the other ---- */

struct fixture {
    char *directory;
    struct account account;
    struct mounted_account mine;
    struct mounted mounted;
    uint32_t folders[2], messages[2];
    struct events_reader *reader;
    uint64_t offset;
};

static void put_mailbox(struct fixture *f, struct cache_txn *txn, unsigned index, const char *name)
{
    const struct cache_mailbox mailbox = {
        .slot = f->folders[index],
        .parent = index > 0 ? f->folders[0] : 0,
        .wire = index > 0 ? "A/B" : "A",
        .name = name,
        .delimiter = '/',
        .messages = f->messages[index],
        .uidvalidity = 9,
        .flags = CACHE_MAILBOX_COMPLETE,
    };
    g_assert_cmpint(cache_mailbox_put(txn, &mailbox), ==, CACHE_OK);
}

static void set_up(struct fixture *f, const void *unused)
{
    f->directory = g_dir_make_tmp("mailmount-XXXXXX", NULL);
    struct cache_options options = {
        .directory = f->directory, .account = "a@h:993", .owner = "a test"};
    f->account = (struct account){.name = (char *)"a", .source = (char *)"imaps://a@h"};
    f->mine = (struct mounted_account){.account = &f->account};
    f->mine.cache = cache_open(&options, NULL);
    g_assert_nonnull(f->mine.cache);
    f->mounted = (struct mounted){.accounts = &f->mine, .count = 1};
    g_autoptr(cache_txn) txn = NULL;
    for (unsigned i = 0; i < 2; i++) {
        f->folders[i] = cache_slot_of_mailbox(f->mine.cache, i > 0 ? "A/B" : "A");
        f->messages[i] = cache_slot_of_messages(f->mine.cache, i > 0 ? "A/B" : "A", 9);
    }
    txn = cache_txn_write(f->mine.cache);
    put_mailbox(f, txn, 0, "A");
    put_mailbox(f, txn, 1, "B");
    g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
    f->reader = events_open();
}

static void tear_down(struct fixture *f, const void *unused)
{
    g_mutex_lock(&told_lock);
    for (guint i = 0; i < told_count; i++)
        g_free(told[i].text);
    told_count = 0;
    g_mutex_unlock(&told_lock);
    events_close(f->reader);
    cache_close(f->mine.cache);
    remove_tree(f->directory);
    g_free(f->directory);
}

/* A record, under a new object if `object` is 0; returns it. */
static uint64_t put(struct fixture *f, unsigned index, uint32_t uid, uint64_t object)
{
    g_autoptr(cache_txn) txn = cache_txn_write(f->mine.cache);
    const struct cache_message message = {
        .uid = uid,
        .object = object != 0 ? object : cache_object_new(txn),
        .keywords = "",
        .name = "x",
    };
    g_assert_cmpint(cache_message_put(txn, f->messages[index], &message), ==, CACHE_OK);
    g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
    return message.object;
}

static void arrives(struct fixture *f, unsigned index, uint32_t uid, const char *name)
{
    news_arrived(&f->mine, f->folders[index], f->messages[index], uid, name);
}

static void goes(struct fixture *f, unsigned index, uint32_t uid, const char *name, uint64_t object)
{
    g_autoptr(cache_txn) txn = cache_txn_write(f->mine.cache);
    cache_message_remove(txn, f->messages[index], uid);
    g_assert_cmpint(cache_txn_commit(g_steal_pointer(&txn)), ==, CACHE_OK);
    news_removed(&f->mine, f->folders[index], f->messages[index], uid, name, object);
}

/* Waits for so many lines; they must be these, without their times. */
static void assert_lines(struct fixture *f, const char *wanted)
{
    g_autoptr(GString) got = g_string_new(NULL);
    unsigned lines = 0, count = 0;
    for (const char *c = wanted; *c != '\0'; c++)
        count += *c == '\n';
    while (lines < count) {
        char byte;
        size_t length;
        int error = events_read(f->reader, f->offset, 1, &byte, &length);
        if (error == EAGAIN) {
            g_usleep(1000);
            continue;
        }
        f->offset += length;
        g_string_append_len(got, &byte, (gssize)length);
        lines += byte == '\n';
    }
    g_auto(GStrv) all = g_strsplit(got->str, "\n", -1);
    g_string_truncate(got, 0);
    for (char **line = all; **line != '\0'; line++)
        g_string_append_printf(got, "%s\n", strchr(*line, '\t') + 1);
    g_assert_cmpstr(got->str, ==, wanted);
}

static bool is_told(guint at)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&told_lock);
    return told_count > at;
}

static void assert_told(guint at, enum inotify_what what, const char *text)
{
    while (!is_told(at))
        g_usleep(1000);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&told_lock);
    g_assert_cmpint(told[at].what, ==, what);
    g_assert_cmpstr(told[at].text, ==, text);
}

/* ---- tests ---- */

static void test_new_and_flags(struct fixture *f, const void *unused)
{
    const struct engine_flags is = {CACHE_FLAG_SEEN, "work"}, none = {0, ""};
    put(f, 1, 5, 0);
    arrives(f, 1, 5, "m [5]");
    news_flags(&f->mine, f->folders[1], f->messages[1], 5, "m [5]", &is);
    news_flags(&f->mine, f->folders[1], f->messages[1], 5, "m [5]", &none);
    arrives(f, 1, 6, "m [6]"); /* it went before it could be told, which is told next */
    assert_lines(f, "new\tA/B\tm [5].eml\n"
                    "flags\tA/B\tm [5].eml\t\\Seen work\n"
                    "flags\tA/B\tm [5].eml\n"
                    "new\tA/B\tm [6].eml\n");
    assert_told(0, INOTIFY_CREATE, "A/B/m [5].eml /");
    assert_told(1, INOTIFY_MKDIR, "A/B/m [5] /");
    assert_told(2, INOTIFY_ATTRIB, "A/B/m [5].eml /");
}

/* First it goes, then it comes. */
static void test_moved(struct fixture *f, const void *unused)
{
    uint64_t object = put(f, 0, 3, 0), other = put(f, 0, 4, 0);
    goes(f, 0, 3, "m [3]", object);
    goes(f, 0, 4, "m [4]", other);
    put(f, 1, 8, object);
    arrives(f, 1, 8, "m [8]");
    put(f, 1, 9, 0);
    arrives(f, 1, 9, "n [9]");
    assert_lines(f, "removed\tA\tm [4].eml\n"
                    "moved\tA/B\tm [8].eml\tA/m [3].eml\n"
                    "new\tA/B\tn [9].eml\n");
    assert_told(0, INOTIFY_UNLINK, "A/m [4].eml /");
    assert_told(1, INOTIFY_RMDIR, "A/m [4] /");
    assert_told(2, INOTIFY_RENAME, "A/m [3].eml A/B/m [8].eml");
    assert_told(3, INOTIFY_RENAME, "A/m [3] A/B/m [8]");
}

/* First it comes, then it goes; and one that is a copy. */
static void test_moved_the_other_way_round(struct fixture *f, const void *unused)
{
    uint64_t object = put(f, 0, 3, 0), copied = put(f, 0, 4, 0);
    put(f, 1, 8, object);
    arrives(f, 1, 8, "m [8]");
    put(f, 1, 9, copied);
    arrives(f, 1, 9, "m [9]");
    goes(f, 0, 3, "m [3]", object);
    assert_lines(f, "new\tA/B\tm [9].eml\n"
                    "moved\tA/B\tm [8].eml\tA/m [3].eml\n");
}

/* It comes, is a copy of what is elsewhere, and goes on at once: that is no move to itself. */
static void test_moved_on(struct fixture *f, const void *unused)
{
    uint64_t object = put(f, 0, 3, 0);
    put(f, 1, 8, object);
    arrives(f, 1, 8, "m [8]");
    goes(f, 1, 8, "m [8]", object);
    put(f, 0, 9, object);
    arrives(f, 0, 9, "m [9]");
    assert_lines(f, "new\tA/B\tm [8].eml\n"
                    "moved\tA\tm [9].eml\tA/B/m [8].eml\n");
}

/* It is taken for gone, and is there after all. */
static void test_back_again(struct fixture *f, const void *unused)
{
    uint64_t object = put(f, 0, 3, 0);
    goes(f, 0, 3, "m [3]", object);
    put(f, 0, 3, object);
    arrives(f, 0, 3, "m [3]");
    assert_lines(f, "removed\tA\tm [3].eml\n"
                    "new\tA\tm [3].eml\n");
}

static void test_folders(struct fixture *f, const void *unused)
{
    const struct engine_folder_change made = {ENGINE_FOLDER_NEW, 7, "A/C", NULL, false};
    const struct engine_folder_change own = {ENGINE_FOLDER_NEW, 8, "D", NULL, true};
    const struct engine_folder_change moved = {ENGINE_FOLDER_MOVED, 7, "C", "A/C", false};
    const struct engine_folder_change gone = {ENGINE_FOLDER_GONE, 7, "C", NULL, false};
    const struct engine_folder_change *const ALL[] = {&made, &own, &moved, &gone};
    for (size_t i = 0; i < G_N_ELEMENTS(ALL); i++)
        news_folder(&f->mine, ALL[i]);
    assert_lines(f, "folder-new\tA/C\nfolder-new\tD\nfolder-moved\tC\tA/C\nfolder-removed\tC\n");
    assert_told(0, INOTIFY_MKDIR, "A/C A/C");
    assert_told(1, INOTIFY_RENAME, "A/C /C");
    assert_told(2, INOTIFY_RMDIR, "/C /C");
}

int main(int argc, char **argv)
{
    static struct mounted mounted = {.count = 0};
    g_test_init(&argc, &argv, NULL);
    news_start(&mounted, 0);
    g_test_add("/news/new-and-flags", struct fixture, NULL, set_up, test_new_and_flags, tear_down);
    g_test_add("/news/moved", struct fixture, NULL, set_up, test_moved, tear_down);
    g_test_add("/news/moved-the-other-way-round", struct fixture, NULL, set_up,
               test_moved_the_other_way_round, tear_down);
    g_test_add("/news/moved-on", struct fixture, NULL, set_up, test_moved_on, tear_down);
    g_test_add("/news/back-again", struct fixture, NULL, set_up, test_back_again, tear_down);
    g_test_add("/news/folders", struct fixture, NULL, set_up, test_folders, tear_down);
    int status = g_test_run();
    news_end();
    news_stop();
    return status;
}
