/* What a listing, a lookup, a first sync and reading content cost here; prints, and proves nothing.
 * Usage: bench-cache [DIRECTORY [MESSAGES]] */
#include "tests/cache/scratch.h"
#include <stdio.h>
#include <stdlib.h>

#define MESSAGES 1
#define BATCH 500
#define CONTENT_BYTES (256u << 20)
#define PIECE (128u << 10)

static void show(const char *what, gint64 since_us, double per, const char *unit)
{
    double took = (double)(g_get_monotonic_time() - since_us);
    printf("%-44s %8.1f ms  %8.3f us a %s\n", what, took / 1000, took / per, unit);
}

static void bench_put(struct cache *cache, uint32_t count)
{
    gint64 start = g_get_monotonic_time();
    for (uint32_t first = 1; first <= count; first += BATCH) {
        struct cache_txn *txn = cache_txn_write(cache);
        for (uint32_t uid = first; uid < first + BATCH && uid <= count; uid++) {
            struct cache_message message = scratch_message(uid, cache_object_new(txn));
            if (cache_message_put(txn, MESSAGES, &message) != CACHE_OK)
                abort();
            cache_header_put(txn, message.object, message.name, 90);
        }
        if (cache_txn_commit(txn) != CACHE_OK)
            abort();
    }
    show("put, with header, in batches of 500", start, count, "message");
}

static void bench_list(struct cache *cache, uint32_t count)
{
    gint64 start = g_get_monotonic_time();
    struct cache_txn *txn = cache_txn_read(cache);
    struct cache_message message;
    uint32_t found = 0;
    for (uint32_t from = 1; cache_message_next(txn, MESSAGES, from, &message) == CACHE_OK;
         from = message.uid + 1)
        found++;
    cache_txn_end(txn);
    if (found != count)
        abort();
    show("list", start, count, "message");
}

static void bench_lookup(struct cache *cache, uint32_t count)
{
    gint64 start = g_get_monotonic_time();
    for (uint32_t i = 0; i < count; i++) {
        struct cache_txn *txn = cache_txn_read(cache);
        struct cache_message message;
        if (cache_message_get(txn, MESSAGES, 1 + i * 7919u % count, &message) != CACHE_OK)
            abort();
        cache_txn_end(txn);
    }
    show("lookup, a transaction each", start, count, "lookup");
}

static void bench_content(struct cache *cache, uint8_t *bytes)
{
    gint64 start = g_get_monotonic_time();
    for (uint64_t at = 0; at < CONTENT_BYTES; at += PIECE)
        cache_content_put(cache, 1, "", at, bytes, PIECE);
    show("content put, 256 MiB by 128 KiB", start, CONTENT_BYTES / 4096.0, "4 KiB");
    start = g_get_monotonic_time();
    for (uint64_t at = 0; at < CONTENT_BYTES; at += PIECE)
        cache_content_get(cache, 1, "", at, bytes, PIECE);
    show("content get, 256 MiB by 128 KiB", start, CONTENT_BYTES / 4096.0, "4 KiB");
    start = g_get_monotonic_time();
    for (uint64_t object = 2; object < 10002; object++) {
        cache_content_put(cache, object, "", 0, bytes, 5000);
        cache_content_end(cache, object, "", 5000);
    }
    show("content put and end, 10,000 of 5,000 bytes", start, 10000, "object");
    start = g_get_monotonic_time();
    for (uint64_t object = 2; object < 10002; object++)
        cache_content_get(cache, object, "", 0, bytes, 5000);
    show("content get, 10,000 of 5,000 bytes", start, 10000, "object");
    start = g_get_monotonic_time();
    for (uint64_t at = 0; at < 8ull * CONTENT_BYTES; at += PIECE)
        cache_content_put(cache, 20000, "", at, bytes, PIECE);
    show("content put, evicting (2 GiB in 512 MiB)", start, 8.0 * CONTENT_BYTES / 4096, "4 KiB");
}

static void bench_slots(struct cache *cache)
{
    gint64 start = g_get_monotonic_time();
    for (int i = 0; i < 1000; i++) {
        char wire[16];
        g_snprintf(wire, sizeof wire, "folder%d", i);
        if (cache_slot_of_mailbox(cache, wire) == 0)
            abort();
    }
    show("slots, new", start, 1000, "slot");
}

int main(int argc, char **argv)
{
    g_autofree char *made = argc > 1 ? NULL : g_dir_make_tmp("mailmount-bench-XXXXXX", NULL);
    const char *directory = argc > 1 ? argv[1] : made;
    uint32_t count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100000;
    g_autofree uint8_t *bytes = g_malloc(PIECE);

    struct cache *cache = scratch_open_as(directory, "bench@localhost", 512 << 20, NULL);
    if (cache == NULL || count == 0)
        return 1;
    scratch_fill(1, 0, bytes, PIECE);
    bench_put(cache, count);
    bench_list(cache, count);
    bench_lookup(cache, count);
    bench_content(cache, bytes);
    bench_slots(cache);
    gint64 start = g_get_monotonic_time();
    cache_close(cache);
    show("close", start, 1, "close");
    if (made != NULL)
        remove_tree(made);
    return 0;
}
