#include "cache/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_MAX ((size_t)1 << 20) /* up to here bytes are in memory */
#define PIECE ((size_t)256 << 10)

struct mapped {
    void *bytes;
    size_t length;
};

static void mapped_free(void *data)
{
    struct mapped *mapped = data;
    munmap(mapped->bytes, mapped->length);
    g_free(mapped);
}

/* A file without a name beside the content; -1: there can be none. */
static int spool_open(const struct cache *cache)
{
    return openat(cache->content.directory, ".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
}

static bool spool_write(int fd, const void *bytes, size_t length)
{
    for (const char *at = bytes; length > 0;) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
        length -= (size_t)written;
    }
    return true;
}

/* All that was written; NULL: it cannot be mapped. */
static GBytes *spool_map(int fd, size_t length)
{
    void *bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return NULL;
    struct mapped *mapped = g_new(struct mapped, 1);
    *mapped = (struct mapped){bytes, length};
    return g_bytes_new_with_free_func(bytes, length, mapped_free, mapped);
}

static bool spool_content(struct cache *cache, uint64_t object, const char *section,
                          uint64_t offset, size_t length, int fd)
{
    g_autofree char *piece = g_malloc(PIECE);
    for (size_t done = 0; done < length;) {
        size_t got = cache_content_get(cache, object, section, offset + done, piece,
                                       MIN(PIECE, length - done));
        if (got == 0 || !spool_write(fd, piece, got))
            return false;
        done += got;
    }
    return true;
}

static GBytes *content_mapped(struct cache *cache, uint64_t object, const char *section,
                              uint64_t offset, size_t length)
{
    int fd = spool_open(cache);
    if (fd < 0)
        return NULL;
    bool whole = spool_content(cache, object, section, offset, length, fd);
    GBytes *bytes = whole ? spool_map(fd, length) : NULL;
    close(fd);
    return bytes;
}

GBytes *cache_content_bytes(struct cache *cache, uint64_t object, const char *section,
                            uint64_t offset, size_t length, size_t *got)
{
    if (length > MEMORY_MAX) {
        *got = cache_content_have(cache, object, section, offset, length);
        GBytes *bytes =
            *got == length ? content_mapped(cache, object, section, offset, length) : NULL;
        if (bytes != NULL || *got < length)
            return bytes;
    }
    g_autofree char *bytes = g_try_malloc(length + 1);
    *got = length;
    if (bytes == NULL)
        return NULL;
    *got = cache_content_get(cache, object, section, offset, bytes, length);
    return *got == length ? g_bytes_new_take(g_steal_pointer(&bytes), length) : NULL;
}

GBytes *cache_spool(struct cache *cache, GBytes *bytes)
{
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);
    int fd = length > MEMORY_MAX ? spool_open(cache) : -1;
    if (fd < 0)
        return bytes;
    GBytes *spooled = spool_write(fd, data, length) ? spool_map(fd, length) : NULL;
    close(fd);
    if (spooled == NULL)
        return bytes;
    g_bytes_unref(bytes);
    return spooled;
}
