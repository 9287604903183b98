#include "tests/cache/scratch.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

struct cache *scratch_open_as(const char *directory, const char *account, uint64_t content_bytes,
                              GError **error)
{
    struct cache_options options = {
        .directory = directory,
        .account = account,
        .owner = "mounted on /mail, pid 7",
        .content_bytes = content_bytes,
    };
    return cache_open(&options, error);
}

void scratch_open(struct scratch *scratch)
{
    g_autoptr(GError) error = NULL;
    scratch->cache = scratch_open_as(scratch->directory, "a@b:993", 0, &error);
    g_assert_no_error(error);
    g_assert_nonnull(scratch->cache);
}

void scratch_close(struct scratch *scratch)
{
    g_clear_pointer(&scratch->cache, cache_close);
}

void scratch_setup(struct scratch *scratch)
{
    scratch->directory = g_dir_make_tmp("mailmount-cache-XXXXXX", NULL);
    g_assert_nonnull(scratch->directory);
    scratch_open(scratch);
}

void scratch_teardown(struct scratch *scratch)
{
    scratch_close(scratch);
    remove_tree(scratch->directory);
    g_clear_pointer(&scratch->directory, g_free);
}

char *scratch_path(const struct scratch *scratch, const char *name)
{
    return g_build_filename(scratch->directory, "a@b:993", name, NULL);
}

struct cache_message scratch_message(uint32_t uid, uint64_t object)
{
    static char name[96];
    g_snprintf(name, sizeof name, "2026-11-21 Alice Smith - Quarterly report number %u [%u]", uid,
               uid);
    return (struct cache_message){
        .uid = uid,
        .object = object,
        .internaldate = 1790000000 + uid,
        .ctime_ns = -5,
        .size = 1000 + uid,
        .modseq = 1ull << 40,
        .flags = CACHE_FLAG_SEEN,
        .keywords = "$Forwarded work",
        .name = name,
    };
}

uint8_t scratch_byte(uint64_t object, uint64_t offset)
{
    return (uint8_t)((object * 31 + offset * 0x9e3779b97f4a7c15 + (offset >> 9)) >> 24);
}

void scratch_fill(uint64_t object, uint64_t offset, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = scratch_byte(object, offset + i);
}
