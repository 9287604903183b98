/* .mailmount/prefetch and long listings: how far what takes long is. */
#include <inttypes.h>

#include "fs/control.h"
#include "fs/error.h"
#include "fs/json.h"
#include "fs/progress.h"

/* The path of a mailbox in the mount; NULL if it is not there any more. The caller's. */
static char *mailbox_path(const struct mounted *mounted, const struct mounted_account *mine,
                          uint32_t folder)
{
    g_autoptr(cache_txn) txn = cache_txn_read(mine->cache);
    g_autofree char *path = cache_mailbox_path(txn, folder);
    return path != NULL && mounted->several ? g_build_filename(mine->account->name, path, NULL)
                                            : g_steal_pointer(&path);
}

static char *paused_words(const struct engine_prefetch *shown)
{
    if (shown->until_us == 0)
        return g_strdup("prefetch_daily is used up until midnight");
    g_autoptr(GDateTime) until = g_date_time_new_from_unix_local(shown->until_us / G_USEC_PER_SEC);
    g_autofree char *time = until != NULL ? g_date_time_format(until, "%H:%M") : g_strdup("");
    g_autofree char *why = g_strdup(shown->why);
    return g_strdup_printf("until %s, the server says: %s", time, g_strdelimit(why, "\t\r\n", ' '));
}

/* What there is to say beside the numbers; the caller's. */
static char *words(const struct mounted_account *mine, const struct engine_prefetch *shown)
{
    if (shown->state == ENGINE_PREFETCH_PAUSED)
        return paused_words(shown);
    if (shown->state == ENGINE_PREFETCH_TOO_SMALL) {
        g_autofree char *size =
            g_format_size_full(mine->account->cache_size, G_FORMAT_SIZE_IEC_UNITS);
        return g_strdup_printf("cache_size is %s, of which two thirds can be filled so", size);
    }
    if (shown->error != ENGINE_OK)
        return g_strdup(error_meaning(shown->error));
    return g_strdup("");
}

static void prefetch_each(const struct mounted *mounted, const struct mounted_account *mine,
                          void (*each)(const struct progress *progress, GString *text),
                          GString *text)
{
    g_autoptr(GArray) all = engine_prefetch_read(mine->engine);
    for (guint i = 0; i < all->len; i++) {
        const struct engine_prefetch *shown = &g_array_index(all, struct engine_prefetch, i);
        g_autofree char *folder = mailbox_path(mounted, mine, shown->folder);
        g_autofree char *why = words(mine, shown);
        const struct progress progress = {
            .state = shown->state,
            .messages = shown->messages,
            .messages_done = shown->messages_done,
            .bytes = shown->bytes,
            .bytes_done = shown->bytes_done,
            .folder = folder,
            .why = why,
        };
        if (folder != NULL)
            each(&progress, text);
    }
}

GBytes *control_prefetch(const struct mounted *mounted)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < mounted->count; i++)
        prefetch_each(mounted, &mounted->accounts[i], progress_write, text);
    return g_string_free_to_bytes(text);
}

static void status_line(const struct progress *progress, GString *text)
{
    g_autofree char *done = g_format_size(progress->bytes_done);
    g_autofree char *all = g_format_size(progress->bytes);
    g_string_append_printf(text, "prefetch: %s: %s, %" PRIu64 " of %" PRIu64 " messages, %s of %s",
                           progress->folder, progress_word(progress->state),
                           progress->messages_done, progress->messages, done, all);
    if (progress->why[0] != '\0')
        g_string_append_printf(text, "; %s", progress->why);
    g_string_append_c(text, '\n');
}

void control_prefetch_status(const struct mounted *mounted, const struct mounted_account *mine,
                             GString *text)
{
    prefetch_each(mounted, mine, status_line, text);
}

static void json_row(const struct progress *progress, GString *out)
{
    json_open(out, NULL, '{');
    json_string(out, "folder", progress->folder);
    json_string(out, "state", progress_word(progress->state));
    json_number(out, "messages", (int64_t)progress->messages);
    json_number(out, "messages_done", (int64_t)progress->messages_done);
    json_number(out, "bytes", (int64_t)progress->bytes);
    json_number(out, "bytes_done", (int64_t)progress->bytes_done);
    json_string(out, "why", progress->why[0] != '\0' ? progress->why : NULL);
    json_close(out, '}');
}

void control_prefetch_json(const struct mounted *mounted, const struct mounted_account *mine,
                           GString *out)
{
    json_open(out, "prefetch", '[');
    prefetch_each(mounted, mine, json_row, out);
    json_close(out, ']');
}

/* ---- lists that are fetched for the first time ----------------------------------------------- */

static void listing_clear(void *data)
{
    g_free(((struct control_listing *)data)->folder);
}

/* How many of its messages are in the cache already. */
static uint64_t listing_done(const struct mounted_account *mine, uint32_t folder)
{
    g_autoptr(cache_txn) txn = cache_txn_read(mine->cache);
    struct cache_mailbox mailbox;
    if (cache_mailbox_get(txn, folder, &mailbox) != CACHE_OK || mailbox.messages == 0)
        return 0;
    return cache_message_count(txn, mailbox.messages);
}

GArray *control_listings(const struct mounted *mounted, const struct mounted_account *mine)
{
    g_autoptr(GArray) all = engine_listings_read(mine->engine);
    GArray *listings = g_array_new(FALSE, FALSE, sizeof(struct control_listing));
    g_array_set_clear_func(listings, listing_clear);
    for (guint i = 0; i < all->len; i++) {
        const struct engine_listing *shown = &g_array_index(all, struct engine_listing, i);
        struct control_listing listing = {.folder = mailbox_path(mounted, mine, shown->folder),
                                          .messages = shown->messages};
        if (listing.folder == NULL)
            continue;
        listing.messages_done = MIN(listing_done(mine, shown->folder), listing.messages);
        g_array_append_val(listings, listing);
    }
    return listings;
}
