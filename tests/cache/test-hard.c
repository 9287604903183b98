/* Full disks, killed writers, flipped bytes, many threads. */
#include "tests/cache/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE 20000

static int put_content(struct cache *cache, uint64_t object, size_t length)
{
    g_autofree uint8_t *bytes = g_malloc(length);
    scratch_fill(object, 0, bytes, length);
    return cache_content_put(cache, object, "", 0, bytes, length);
}

/* How much of an object's content is there; fails on a byte that was not put. */
static size_t check_content(struct cache *cache, uint64_t object, size_t length)
{
    g_autofree uint8_t *bytes = g_malloc(length), *wanted = g_malloc(length);
    size_t got = cache_content_get(cache, object, "", 0, bytes, length);
    scratch_fill(object, 0, wanted, got);
    g_assert_cmpmem(bytes, got, wanted, got);
    return got;
}

static int put_messages(struct cache *cache, uint32_t messages, uint32_t first, uint32_t count)
{
    struct cache_txn *txn = cache_txn_write(cache);
    int rc = CACHE_OK;
    for (uint32_t uid = first; uid < first + count && rc == CACHE_OK; uid++) {
        struct cache_message message = scratch_message(uid, cache_object_new(txn));
        if (message.object == 0) {
            cache_txn_end(txn);
            return CACHE_FULL;
        }
        rc = cache_header_put(txn, message.object, message.name, strlen(message.name));
        if (rc == CACHE_OK)
            rc = cache_message_put(txn, messages, &message);
    }
    int committed = cache_txn_commit(txn);
    return rc != CACHE_OK ? rc : committed;
}

/* Walks all messages: each is whole, has its header, and the count is right. */
static uint32_t check_messages(struct cache *cache, uint32_t messages)
{
    struct cache_txn *txn = cache_txn_read(cache);
    struct cache_message message;
    uint32_t count = 0, from = 1;

    for (; cache_message_next(txn, messages, from, &message) == CACHE_OK; from = message.uid + 1) {
        struct cache_message wanted = scratch_message(message.uid, message.object);
        const void *bytes;
        size_t length;
        g_assert_cmpstr(message.name, ==, wanted.name);
        g_assert_cmpint(cache_header_get(txn, message.object, &bytes, &length), ==, CACHE_OK);
        g_assert_cmpmem(bytes, length, wanted.name, strlen(wanted.name));
        count++;
    }
    g_assert_cmpuint(cache_message_count(txn, messages), ==, count);
    cache_txn_end(txn);
    return count;
}

/* ---- a full disk ---------------------------------------------------------------------------- */

/* Runs `body` in a process of its own with a small tmpfs at `directory`, seen by nobody else. */
static void run_on_small_disk(void (*body)(const char *directory), const char *size)
{
    g_autofree char *directory = g_dir_make_tmp("mailmount-cache-XXXXXX", NULL);
    g_autofree char *options = g_strdup_printf("size=%s,mode=0700", size);
    int status;

    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
            _exit(77);
        body(directory);
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

static void fill_disk(const char *directory)
{
    g_autofree char *path = g_build_filename(directory, "filler", NULL);
    static char zeros[65536];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (size_t length = sizeof zeros; length > 0;) {
        if (write(fd, zeros, length) <= 0)
            length /= 2;
    }
    close(fd);
}

static void full_while_writing(const char *directory)
{
    struct cache *cache = scratch_open_as(directory, "a@b:993", 64 << 20, NULL);
    uint32_t first = 1, round = 0;
    uint64_t object = 1;

    g_assert_nonnull(cache);
    while (put_messages(cache, 5, first, 100) == CACHE_OK)
        first += 100;
    g_assert_cmpuint(first, >, 1);
    g_assert_cmpint(put_messages(cache, 5, first, 100), ==, CACHE_FULL);
    g_assert_cmpuint(check_messages(cache, 5), ==, first - 1);
    while (put_content(cache, object, PIECE) == CACHE_OK && object < 10000)
        object++;
    for (uint64_t each = 1; each < object; each++)
        check_content(cache, each, PIECE);
    /* what is there is still there afterwards, and there is room again when there is room */
    cache_close(cache);
    cache = scratch_open_as(directory, "a@b:993", 64 << 20, NULL);
    if (cache == NULL)
        _exit(0); /* not even the mark could be written */
    g_assert_cmpuint(check_messages(cache, 5), ==, first - 1);
    while (first > 1 && round++ < 3) {
        struct cache_txn *txn = cache_txn_write(cache);
        for (uint32_t uid = 1; uid < first; uid++)
            cache_message_remove(txn, 5, uid);
        cache_txn_commit(txn);
    }
    cache_close(cache);
}

static void test_full_writing(void)
{
    run_on_small_disk(full_while_writing, "3m");
}

static void full_before_opening(const char *directory)
{
    g_autofree char *filler = g_build_filename(directory, "filler", NULL);
    fill_disk(directory);
    /* at every stage of opening: with no page free, with one, with two, ... */
    for (int pages = 0; pages < 80; pages++) {
        g_autoptr(GError) error = NULL;
        struct cache *cache = scratch_open_as(directory, "a@b:993", 16 << 20, &error);
        if (cache != NULL) {
            g_assert_cmpint(pages, >, 0);
            if (put_messages(cache, 5, 1, 1) == CACHE_OK)
                g_assert_cmpuint(check_messages(cache, 5), ==, 1);
            cache_close(cache);
            return;
        }
        g_assert_error(error, CACHE_ERROR, CACHE_FULL);
        g_assert_nonnull(strstr(error->message, "no space left on the disk"));
        g_assert_null(strchr(error->message, '\n'));
        GStatBuf status;
        g_assert_cmpint(g_stat(filler, &status), ==, 0);
        g_assert_cmpint(truncate(filler, status.st_size - 4096), ==, 0);
    }
    g_assert_not_reached();
}

static void test_full_opening(void)
{
    run_on_small_disk(full_before_opening, "2m");
}

/* ---- killed while writing ------------------------------------------------------------------- */

struct progress {
    uint32_t committed; /* messages of which the commit has returned */
    uint64_t stored;    /* objects whose content has been put */
};

static void write_until_killed(const char *directory, struct progress *progress, uint32_t first,
                               uint64_t object)
{
    struct cache *cache = scratch_open_as(directory, "a@b:993", 16 << 20, NULL);
    if (cache == NULL)
        _exit(1);
    for (;;) {
        if (put_messages(cache, 5, first, 20) != CACHE_OK)
            _exit(2);
        first += 20;
        __atomic_store_n(&progress->committed, first - 1, __ATOMIC_SEQ_CST);
        if (put_content(cache, object, PIECE) != CACHE_OK)
            _exit(3);
        __atomic_store_n(&progress->stored, object, __ATOMIC_SEQ_CST);
        object++;
        if (first % 400 == 1)
            cache_collect(cache, 10);
    }
}

static void test_killed(void)
{
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct scratch scratch;
    uint32_t first = 1;

    scratch_setup(&scratch);
    scratch_close(&scratch);
    for (int round = 0; round < 60; round++) {
        int status;
        *progress = (struct progress){.committed = first - 1};
        pid_t child = fork();
        if (child == 0)
            write_until_killed(scratch.directory, progress, first, 1 + (uint64_t)round * 100000);
        while (__atomic_load_n(&progress->committed, __ATOMIC_SEQ_CST) < first &&
               waitpid(child, &status, WNOHANG) == 0)
            g_usleep(200);
        g_usleep((gulong)g_test_rand_int_range(0, 4000));
        kill(child, SIGKILL);
        if (waitpid(child, &status, 0) == child)
            g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
        scratch_open(&scratch);
        g_assert_false(cache_is_new(scratch.cache));
        uint32_t count = check_messages(scratch.cache, 5);
        g_assert_cmpuint(count, >=, progress->committed);
        g_assert_cmpuint(count % 20, ==, 0); /* whole transactions */
        first = count + 1;
        if (progress->stored > 0) /* the last ones: older may be evicted */
            g_assert_cmpuint(check_content(scratch.cache, progress->stored, PIECE), ==, PIECE);
        scratch_close(&scratch);
    }
    munmap(progress, sizeof *progress);
    scratch_teardown(&scratch);
}

/* ---- flipped bytes -------------------------------------------------------------------------- */

static uint8_t *map_file(const struct scratch *scratch, const char *name, size_t *length)
{
    g_autofree char *path = scratch_path(scratch, name);
    struct stat status;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fstat(fd, &status), ==, 0);
    *length = (size_t)status.st_size;
    uint8_t *bytes = mmap(NULL, *length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    g_assert_true(bytes != MAP_FAILED);
    return bytes;
}

/* Flips a byte in each copy of `text`. Returns how many there were. */
static unsigned flip_text(const struct scratch *scratch, const char *name, const void *text,
                          size_t text_length)
{
    size_t length;
    unsigned count = 0;
    uint8_t *bytes = map_file(scratch, name, &length), *at = bytes;
    while ((at = memmem(at, length - (size_t)(at - bytes), text, text_length)) != NULL) {
        at[g_test_rand_int_range(0, (int)text_length)] ^=
            (uint8_t)(1 << g_test_rand_int_range(0, 8));
        at += text_length;
        count++;
    }
    munmap(bytes, length);
    return count;
}

static void test_flipped_meta(void)
{
    struct cache_message message;
    struct scratch scratch;

    scratch_setup(&scratch);
    g_assert_cmpint(put_messages(scratch.cache, 5, 1, 300), ==, CACHE_OK);
    scratch_close(&scratch);
    struct cache_message victim = scratch_message(77, 0);
    g_autofree char *name = g_strdup(victim.name);
    g_assert_cmpuint(flip_text(&scratch, "meta/data.mdb", name, strlen(name)), >, 0);
    victim = scratch_message(78, 0); /* a date, far from any text */
    g_assert_cmpuint(flip_text(&scratch, "meta/data.mdb", &victim.internaldate, 8), >, 0);
    scratch_open(&scratch);
    struct cache_txn *txn = cache_txn_read(scratch.cache);
    g_assert_cmpint(cache_message_get(txn, 5, 76, &message), ==, CACHE_OK);
    g_assert_cmpint(cache_message_get(txn, 5, 77, &message), ==, CACHE_CORRUPT);
    g_assert_cmpint(cache_message_get(txn, 5, 78, &message), ==, CACHE_CORRUPT);
    g_assert_cmpint(cache_message_next(txn, 5, 77, &message), ==, CACHE_OK);
    g_assert_cmpuint(message.uid, ==, 79); /* passed over */
    cache_txn_end(txn);
    txn = cache_txn_write(scratch.cache); /* and made good by writing it again */
    message = scratch_message(77, cache_object_new(txn));
    g_assert_cmpint(cache_message_put(txn, 5, &message), ==, CACHE_OK);
    g_assert_cmpint(cache_message_remove(txn, 5, 78), ==, CACHE_OK);
    g_assert_cmpuint(cache_message_count(txn, 5), ==, 299);
    g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
    scratch_teardown(&scratch);
}

static void test_flipped_content(void)
{
    struct scratch scratch;
    uint8_t text[64];

    for (int round = 0; round < 50; round++) {
        scratch_setup(&scratch);
        g_assert_cmpint(put_content(scratch.cache, 9, PIECE), ==, CACHE_OK);
        scratch_close(&scratch);
        size_t offset = (size_t)g_test_rand_int_range(0, PIECE - (int)sizeof text);
        scratch_fill(9, offset, text, sizeof text);
        unsigned found = flip_text(&scratch, "content/data.mdb", text, sizeof text);
        scratch_open(&scratch);
        size_t got = check_content(scratch.cache, 9, PIECE);
        if (found > 0) { /* not across two blocks */
            g_assert_cmpuint(got, <=, offset + sizeof text);
            /* the damaged block is known to be missing, and can be put again */
            g_assert_cmpuint(cache_content_have(scratch.cache, 9, "", 0, PIECE), ==, got);
            g_assert_cmpint(put_content(scratch.cache, 9, PIECE), ==, CACHE_OK);
        }
        g_assert_cmpuint(check_content(scratch.cache, 9, PIECE), ==, PIECE);
        scratch_teardown(&scratch);
    }
}

/* ---- threads -------------------------------------------------------------------------------- */

enum { READERS = 6, ROUNDS = 60 };
struct crowd {
    struct cache *cache;
    int done; /* atomic */
};

static gpointer crowd_read(gpointer data)
{
    struct crowd *crowd = data;
    for (unsigned i = 0; !g_atomic_int_get(&crowd->done); i++) {
        struct cache_txn *txn = cache_txn_read(crowd->cache);
        struct cache_message message;
        uint32_t from = 1, count = 0;
        for (; cache_message_next(txn, 5, from, &message) == CACHE_OK; from = message.uid + 1)
            count++;
        g_assert_cmpuint(count % 50, ==, 0);
        g_assert_cmpuint(cache_message_count(txn, 5), ==, count);
        cache_txn_end(txn);
        check_content(crowd->cache, 1 + i % ROUNDS, PIECE);
        cache_content_have(crowd->cache, 1 + i % ROUNDS, "", 0, PIECE);
        g_assert_cmpuint(cache_slot_of_mailbox(crowd->cache, "INBOX"), ==, 1);
        cache_content_used(crowd->cache);
    }
    return NULL;
}

/* On a busy machine a reader can hold the pages of a small cache for longer than a put waits. */
static void put_surely(struct cache *cache, uint64_t object, size_t length)
{
    int rc;
    while ((rc = put_content(cache, object, length)) == CACHE_FULL)
        g_usleep(1000);
    g_assert_cmpint(rc, ==, CACHE_OK);
}

static gpointer crowd_write(gpointer data)
{
    struct crowd *crowd = data;
    for (uint64_t object = 1; object <= 8 * ROUNDS; object++)
        put_surely(crowd->cache, object, 4 * PIECE);
    return NULL;
}

static void test_threads(void)
{
    struct scratch scratch;
    GThread *threads[READERS + 1];

    scratch_setup(&scratch);
    g_assert_cmpuint(cache_slot_of_mailbox(scratch.cache, "INBOX"), ==, 1);
    struct crowd crowd = {.cache = scratch.cache};
    for (int i = 0; i < READERS; i++)
        threads[i] = g_thread_new("reader", crowd_read, &crowd);
    threads[READERS] = g_thread_new("writer", crowd_write, &crowd);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        /* scratch_message() has one buffer, which only this thread uses */
        struct cache_txn *txn = cache_txn_write(crowd.cache);
        for (uint32_t uid = round * 50 + 1; uid <= round * 50 + 50; uid++) {
            struct cache_message message = scratch_message(uid, cache_object_new(txn));
            g_assert_cmpint(cache_message_put(txn, 5, &message), ==, CACHE_OK);
        }
        g_assert_cmpint(cache_txn_commit(txn), ==, CACHE_OK);
        put_surely(crowd.cache, round + 1, PIECE);
        cache_collect(crowd.cache, 5);
        if (round % 20 == 0)
            g_assert_cmpint(cache_sync(crowd.cache), ==, CACHE_OK);
    }
    g_thread_join(threads[READERS]);
    g_atomic_int_set(&crowd.done, 1);
    for (int i = 0; i < READERS; i++)
        g_thread_join(threads[i]);
    scratch_teardown(&scratch);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hard/full-writing", test_full_writing);
    g_test_add_func("/hard/full-opening", test_full_opening);
    g_test_add_func("/hard/killed", test_killed);
    g_test_add_func("/hard/flipped-meta", test_flipped_meta);
    g_test_add_func("/hard/flipped-content", test_flipped_content);
    g_test_add_func("/hard/threads", test_threads);
    return g_test_run();
}
