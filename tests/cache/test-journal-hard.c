/* Killed writers, damaged bytes, full disks, many entries, many threads. */
#include "tests/cache/journal-scratch.h"

#include "tests/cache/scratch.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct journal *open_in(const char *directory)
{
    g_autoptr(GError) error = NULL;
    struct journal *journal = journal_scratch_open_in(directory, &error);
    g_assert_no_error(error);
    return journal;
}

/* What an entry of this id must look like. */
static struct journal_entry made_entry(uint32_t uid)
{
    struct journal_entry entry = entry_about(JOURNAL_FLAGS, "A", uid, NULL);
    static char text[400];
    memset(text, 'a' + (int)(uid % 26), sizeof text - 1);
    entry.add = text;
    entry.internaldate = uid * 3;
    return entry;
}

static void check_entry(const struct journal_entry *entry)
{
    struct journal_entry wanted = made_entry(entry->message.uid);
    g_assert_cmpstr(entry->message.mailbox, ==, "A");
    g_assert_cmpuint(entry->size, ==, wanted.size);
    g_assert_cmpstr(entry->add, ==, wanted.add);
    g_assert_cmpint(entry->internaldate, ==, wanted.internaldate);
    g_assert_cmpint(entry->step, <=, JOURNAL_PLACED);
}

/* ---- killed ---------------------------------------------------------------------------------- */

#define KILL_ENTRIES 4096

/* What the child said that it had done, and what it was about to do. */
struct said {
    uint32_t added[KILL_ENTRIES]; /* by UID: 1 begun, 2 returned */
    uint32_t placed[KILL_ENTRIES];
    uint32_t settled[KILL_ENTRIES];
};

static void child_step(struct journal *journal, uint64_t id, uint32_t uid, struct said *said,
                       bool settle)
{
    g_autoptr(GPtrArray) entries =
        g_ptr_array_new_with_free_func((GDestroyNotify)journal_entry_free);
    uint32_t *state = settle ? &said->settled[uid] : &said->placed[uid];
    struct journal_entry *entry = journal_next(journal, id - 1);

    if (entry == NULL || entry->id != id)
        _exit(3);
    entry->step = JOURNAL_PLACED;
    g_ptr_array_add(entries, entry);
    __atomic_store_n(state, 1, __ATOMIC_SEQ_CST);
    int rc =
        settle ? journal_settle(journal, entries, true, NULL) : journal_update(journal, entries);
    if (rc != CACHE_OK)
        _exit(4);
    __atomic_store_n(state, 2, __ATOMIC_SEQ_CST);
}

static void child_run(const char *directory, struct said *said, uint32_t first)
{
    struct journal *journal = journal_scratch_open_in(directory, NULL);
    uint64_t ids[KILL_ENTRIES] = {0};

    if (journal == NULL)
        _exit(2);
    for (uint32_t uid = first; uid < KILL_ENTRIES; uid++) {
        struct journal_entry entry = made_entry(uid);
        __atomic_store_n(&said->added[uid], 1, __ATOMIC_SEQ_CST);
        if (journal_add(journal, &entry, uid % 7 == 0, &ids[uid]) != CACHE_OK)
            _exit(5);
        __atomic_store_n(&said->added[uid], 2, __ATOMIC_SEQ_CST);
        if (uid > first + 5 && uid % 3 == 0)
            child_step(journal, ids[uid - 4], uid - 4, said, false);
        if (uid > first + 9 && uid % 2 == 0)
            child_step(journal, ids[uid - 8], uid - 8, said, true);
        if (uid % 29 == 0)
            journal_sync(journal);
    }
    _exit(0);
}

static uint32_t check_said(const char *directory, const struct said *said)
{
    struct journal *journal = open_in(directory);
    uint8_t found[KILL_ENTRIES] = {0};
    uint64_t after = 0;
    uint32_t next = 1;

    for (struct journal_entry *entry; (entry = journal_next(journal, after)) != NULL;
         journal_entry_free(entry)) {
        check_entry(entry);
        g_assert_cmpuint(entry->message.uid, <, KILL_ENTRIES);
        found[entry->message.uid] = entry->step == JOURNAL_PLACED ? 2 : 1;
        after = entry->id;
    }
    for (uint32_t uid = 1; uid < KILL_ENTRIES; uid++) {
        if (said->added[uid] == 2 && said->settled[uid] == 0)
            g_assert_cmpuint(found[uid], !=, 0);
        if (said->added[uid] == 0 || said->settled[uid] == 2)
            g_assert_cmpuint(found[uid], ==, 0);
        if (said->placed[uid] == 2 && found[uid] != 0)
            g_assert_cmpuint(found[uid], ==, 2);
        if (said->added[uid] != 0)
            next = uid + 1;
    }
    journal_close(journal);
    return next;
}

static void test_killed(void)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-journal-XXXXXX", NULL);
    struct said *said =
        mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t first = 1;

    for (int round = 0; round < 25 && first < KILL_ENTRIES; round++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            child_run(directory, said, first);
        g_usleep((gulong)g_test_rand_int_range(3000, 60000));
        kill(child, SIGKILL);
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        first = check_said(directory, said);
    }
    g_assert_cmpuint(first, >, 50);
    munmap(said, sizeof *said);
    remove_tree(directory);
}

/* ---- damaged --------------------------------------------------------------------------------- */

static void fill(struct journal *journal, uint32_t first, uint32_t count)
{
    for (uint32_t uid = first; uid < first + count; uid++)
        add(journal, made_entry(uid));
}

/* Runs in a process of its own, since LMDB may be brought to its end by a damaged page. */
static bool survives(const char *directory, unsigned *left)
{
    int status, ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        struct journal *journal = journal_scratch_open_in(directory, NULL);
        struct journal_counts counts = {0};
        uint64_t after = 0;
        if (journal == NULL)
            _exit(1);
        for (struct journal_entry *entry; (entry = journal_next(journal, after)) != NULL;
             journal_entry_free(entry)) {
            check_entry(entry);
            after = entry->id;
        }
        journal_counts(journal, &counts);
        fill(journal, 500, 5);
        journal_close(journal);
        if (write(ends[1], &counts.waiting, sizeof counts.waiting) < 0)
            _exit(2);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    close(ends[1]);
    bool got = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
               read(ends[0], left, sizeof *left) == sizeof *left;
    close(ends[0]);
    return got;
}

static void copy_file(const char *from, const char *to, size_t flip, uint8_t with)
{
    g_autofree char *bytes = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(from, &bytes, &length, NULL));
    if (with != 0)
        bytes[flip % length] ^= (char)with;
    g_assert_true(g_file_set_contents(to, bytes, (gssize)length, NULL));
}

/* A whole file of frames, then each with one byte that is another. What comes before it is there,
 * and nothing half; a copy of the tail is kept. */
static void test_tail_damaged(void)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-journal-XXXXXX", NULL);
    g_autofree char *tail = journal_scratch_path(directory, "tail");
    g_autofree char *data = journal_scratch_path(directory, "journal/data.mdb");
    g_autofree char *kept_tail = journal_scratch_path(directory, "kept-tail");
    g_autofree char *kept_data = journal_scratch_path(directory, "kept-data");
    g_autofree char *broken = journal_scratch_path(directory, "tail.broken-1");
    pid_t child = fork();
    int status;
    if (child == 0) {
        struct journal *journal = journal_scratch_open_in(directory, NULL);
        for (uint32_t uid = 1; uid <= 20; uid++) {
            struct journal_entry entry = made_entry(uid);
            uint64_t id;
            if (journal_add(journal, &entry, false, &id) != CACHE_OK)
                _exit(1);
        }
        copy_file(tail, kept_tail, 0, 0);
        copy_file(data, kept_data, 0, 0);
        kill(getpid(), SIGKILL);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status));
    for (int round = 0; round < 40; round++) {
        unsigned left = 0;
        size_t at = (size_t)g_test_rand_int_range(0, 1 << 20);
        g_autofree char *bytes = NULL;
        gsize length;
        g_assert_true(g_file_get_contents(kept_tail, &bytes, &length, NULL));
        copy_file(kept_data, data, 0, 0);
        copy_file(kept_tail, tail, at, round == 0 ? 0 : 0x41);
        g_assert_true(survives(directory, &left));
        g_assert_cmpuint(left, ==, round == 0 ? 20 : at % length / (length / 20));
        g_assert_cmpint(g_file_test(broken, G_FILE_TEST_EXISTS), ==, round > 0);
    }
    remove_tree(directory);
}

/* Overwritten bytes of LMDB's file: an entry is as it was or not there, or all is moved aside. */
static void test_data_damaged(void)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-journal-XXXXXX", NULL);
    g_autofree char *data = journal_scratch_path(directory, "journal/data.mdb");
    g_autofree char *kept = journal_scratch_path(directory, "kept");
    struct journal *journal = open_in(directory);
    unsigned good = 0;
    fill(journal, 1, 40);
    journal_close(journal);
    copy_file(data, kept, 0, 0);
    for (int round = 0; round < 40; round++) {
        unsigned left = 0;
        copy_file(kept, data, (size_t)g_test_rand_int_range(0, 1 << 24), 0x81);
        if (survives(directory, &left))
            good++;
        g_assert_cmpuint(left, <=, 45);
    }
    g_assert_cmpuint(good, >, 20); /* LMDB itself may end the process over a branch page */
    remove_tree(directory);
}

/* A journal that is no journal is moved aside, each under a name of its own, and the bytes that
 * waited are not lost with it. */
static void test_moved_aside(void)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-journal-XXXXXX", NULL);
    g_autofree char *data = journal_scratch_path(directory, "journal/data.mdb");
    static const char *const NAMES[] = {"journal.broken", "journal.broken-2", "journal.broken-3"};
    for (size_t i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        struct journal *journal = open_in(directory);
        struct journal_entry append = entry_about(JOURNAL_APPEND, NULL, 0, "B");
        struct journal_counts counts;
        g_autofree char *aside = journal_scratch_path(directory, NAMES[i]);
        append.staged = stage(journal, "precious");
        add(journal, append);
        journal_close(journal);
        g_assert_true(g_file_set_contents(data, "garbage", -1, NULL));
        g_assert_false(g_file_test(aside, G_FILE_TEST_EXISTS));
        journal = open_in(directory);
        g_assert_true(g_file_test(aside, G_FILE_TEST_IS_DIR));
        journal_counts(journal, &counts);
        g_assert_cmpuint(counts.waiting, ==, 0);
        g_assert_cmpuint(counts.failed, ==, i + 1);
        journal_close(journal);
    }
    remove_tree(directory);
}

/* A tail that was to be emptied when the machine stopped: LMDB has seen all of it, and more. */
static void test_tail_old(void)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-journal-XXXXXX", NULL);
    g_autofree char *tail = journal_scratch_path(directory, "tail");
    struct journal *journal = open_in(directory);
    g_autofree char *bytes = NULL;
    gsize length = 0;
    uint32_t uid = 1;
    for (; length == 0; uid++) {
        g_clear_pointer(&bytes, g_free);
        fill(journal, uid, 1);
        g_assert_true(g_file_get_contents(tail, &bytes, &length, NULL));
    }
    for (struct journal_entry *entry; (entry = journal_next(journal, 0)) != NULL;
         journal_entry_free(entry))
        settle_one(journal, entry->id, true, 0);
    journal_close(journal);
    g_assert_true(g_file_set_contents(tail, bytes, (gssize)length, NULL));
    journal = open_in(directory);
    g_assert_null(journal_next(journal, 0));
    fill(journal, uid, 1);
    g_autoptr(journal_entry) entry = journal_next(journal, 0);
    g_assert_cmpuint(entry->id, ==, uid);
    journal_close(journal);
    remove_tree(directory);
}

/* Staged files that nobody named are removed. */
static void test_tidy(void)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-journal-XXXXXX", NULL);
    struct journal *journal = open_in(directory);
    struct journal_entry append = entry_about(JOURNAL_APPEND, NULL, 0, "B");
    struct journal_counts counts;
    uint64_t lost = stage(journal, "lost");
    append.staged = stage(journal, "kept");
    add(journal, append);
    journal_close(journal);
    journal = open_in(directory);
    g_assert_cmpint(journal_staged_open(journal, lost), ==, -1);
    int fd = journal_staged_open(journal, append.staged);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    journal_counts(journal, &counts);
    g_assert_cmpuint(counts.failed, ==, 0);
    g_assert_cmpuint(stage(journal, "x"), >, append.staged);
    journal_close(journal);
    remove_tree(directory);
}

/* ---- a full disk ----------------------------------------------------------------------------- */

static void full_body(const char *directory)
{
    struct journal *journal = open_in(directory);
    uint64_t id, last = 0;
    uint32_t uid = 1;
    int rc = CACHE_OK;

    for (; rc == CACHE_OK; uid++) {
        struct journal_entry entry = made_entry(uid);
        rc = journal_add(journal, &entry, uid % 50 == 0, &id);
        if (rc == CACHE_OK)
            last = uid;
    }
    g_assert_cmpint(rc, ==, CACHE_FULL);
    g_assert_cmpuint(last, >, 100);
    for (int round = 0; round < 2; round++) {
        uint64_t after = 0;
        uint32_t count = 0;
        for (struct journal_entry *entry; (entry = journal_next(journal, after)) != NULL;
             journal_entry_free(entry), count++) {
            check_entry(entry);
            after = entry->id;
        }
        g_assert_cmpuint(count, ==, last);
        if (round == 1)
            break;
        journal_close(journal);
        /* a journal needs a little room to open; nothing is lost if it has none */
        g_autofree char *filler = g_build_filename(directory, "filler", NULL);
        journal = journal_scratch_open_in(directory, NULL);
        g_remove(filler);
        if (journal == NULL)
            journal = open_in(directory);
    }
    journal_close(journal);
}

static void test_full(void)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-journal-XXXXXX", NULL);
    int status;
    pid_t child = fork();
    if (child == 0) {
        g_autofree char *filler = g_build_filename(directory, "filler", NULL);
        g_autofree char *zeros = g_malloc0(1 << 20);
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, "size=3m,mode=0700") != 0)
            _exit(77);
        g_assert_true(g_file_set_contents(filler, zeros, 1 << 20, NULL));
        full_body(directory);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_rmdir(directory);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77 && geteuid() != 0) {
        g_test_skip("only root can mount a small disk");
        return;
    }
    g_assert_cmpint(status, ==, 0);
}

/* ---- many ------------------------------------------------------------------------------------ */

static void say_time(const char *what, int64_t since)
{
    g_test_message("%s: %.3f s", what, (double)(g_get_monotonic_time() - since) / 1e6);
}

static void test_many(void)
{
    enum { COUNT = 10000 };
    struct journal_scratch scratch;
    struct journal_counts counts;
    uint64_t after = 0;
    unsigned seen = 0, batches = 0;

    journal_scratch_setup(&scratch);
    struct journal *journal = scratch.journal;
    int64_t since = g_get_monotonic_time();
    for (uint32_t uid = 1; uid <= COUNT; uid++)
        add(journal, entry_about(JOURNAL_MOVE, "A", uid, uid % 2 != 0 ? "B" : "C"));
    say_time("add", since);
    since = g_get_monotonic_time();
    for (uint32_t uid = 1; uid <= COUNT; uid++)
        g_assert_true(hides(journal, "A", uid));
    say_time("hides", since);
    since = g_get_monotonic_time();
    for (struct journal_entry *entry; (entry = journal_arrival(journal, "B", after)) != NULL;
         journal_entry_free(entry), seen++)
        after = entry->id;
    g_assert_cmpuint(seen, ==, COUNT / 2);
    say_time("arrivals", since);
    since = g_get_monotonic_time();
    for (;; batches++) {
        g_autoptr(GPtrArray) taken = journal_take(journal, 500);
        if (taken == NULL)
            break;
        g_assert_cmpuint(taken->len, ==, 500);
        g_assert_cmpint(journal_update(journal, taken), ==, CACHE_OK);
        g_assert_cmpint(journal_settle(journal, taken, true, NULL), ==, CACHE_OK);
    }
    say_time("take, update, settle", since);
    g_assert_cmpuint(batches, ==, COUNT / 500);
    journal_counts(journal, &counts);
    g_assert_cmpuint(counts.waiting, ==, 0);
    journal_scratch_teardown(&scratch);
}

static void *many_add(void *data)
{
    struct journal *journal = data;
    for (uint32_t uid = 1; uid <= 300; uid++) {
        struct journal_entry entry = entry_about(JOURNAL_COPY, "A", uid, "B");
        uint64_t id;
        g_assert_cmpint(journal_add(journal, &entry, false, &id), ==, CACHE_OK);
        journal_hides(journal, &entry.message);
        journal_entry_free(journal_arrival(journal, "B", id - 1));
        journal_entry_free(journal_placing(journal, &entry.message, 0));
    }
    return NULL;
}

static void *many_send(void *data)
{
    struct journal *journal = data;
    for (unsigned settled = 0; settled < 900;) {
        g_autoptr(GPtrArray) taken = journal_take(journal, 50);
        if (taken == NULL) {
            g_usleep(1000);
            continue;
        }
        g_assert_cmpint(journal_settle(journal, taken, true, NULL), ==, CACHE_OK);
        settled += taken->len;
    }
    return NULL;
}

static void test_threads(void)
{
    struct journal_scratch scratch;
    pthread_t threads[4];

    journal_scratch_setup(&scratch);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        pthread_create(&threads[i], NULL, i == 3 ? many_send : many_add, scratch.journal);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        pthread_join(threads[i], NULL);
    g_assert_null(journal_next(scratch.journal, 0));
    journal_scratch_teardown(&scratch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
    g_test_add_func("/journal/killed", test_killed);
    g_test_add_func("/journal/damaged/tail", test_tail_damaged);
    g_test_add_func("/journal/damaged/data", test_data_damaged);
    g_test_add_func("/journal/damaged/aside", test_moved_aside);
    g_test_add_func("/journal/tail-old", test_tail_old);
    g_test_add_func("/journal/tidy", test_tidy);
    g_test_add_func("/journal/full", test_full);
    g_test_add_func("/journal/many", test_many);
    g_test_add_func("/journal/threads", test_threads);
    return g_test_run();
}
