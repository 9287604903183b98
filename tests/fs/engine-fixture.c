#include "tests/fs/engine-fixture.h"
#include "tests/remove.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static gint passed_s, suspended_s; /* atomic: the engine's thread reads them */

static gint64 clock_monotonic(void)
{
    return g_get_monotonic_time() + (gint64)g_atomic_int_get(&passed_s) * G_USEC_PER_SEC;
}

static gint64 clock_boottime(void)
{
    return clock_monotonic() + (gint64)g_atomic_int_get(&suspended_s) * G_USEC_PER_SEC;
}

static gint64 clock_wall(void)
{
    return g_get_real_time() + (clock_boottime() - g_get_monotonic_time());
}

static const struct engine_clock CLOCK = {
    .monotonic = clock_monotonic,
    .boottime = clock_boottime,
    .wall = clock_wall,
};

void fixture_pass(gint64 seconds)
{
    g_atomic_int_add(&passed_s, (gint)seconds);
}

void fixture_suspend(gint64 seconds)
{
    g_atomic_int_add(&suspended_s, (gint)seconds);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void on_mailbox(uint32_t folder, void *data)
{
    g_atomic_int_inc(&((struct fixture *)data)->mailbox_changed);
}

static void on_arrived(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                       void *data)
{
    g_assert_cmpuint(strlen(name), >, 0);
    g_atomic_int_inc(&((struct fixture *)data)->arrived);
}

static void on_removed(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                       uint64_t object, void *data)
{
    g_assert_cmpuint(strlen(name), >, 0);
    g_assert_cmpuint(object, !=, 0);
    g_atomic_int_inc(&((struct fixture *)data)->removed);
}

static void on_flags(uint32_t folder, uint32_t messages, uint32_t uid, const char *name,
                     const struct engine_flags *was, const struct engine_flags *is, void *data)
{
    g_assert_cmpuint(strlen(name), >, 0);
    g_assert_true(was->flags != is->flags || strcmp(was->keywords, is->keywords) != 0);
    g_atomic_int_inc(&((struct fixture *)data)->flags_changed);
}

static void on_content(uint32_t messages, uint32_t uid, void *data)
{
    g_atomic_int_inc(&((struct fixture *)data)->content_changed);
}

static void on_folders(void *data)
{
    g_atomic_int_inc(&((struct fixture *)data)->folders_changed);
}

static void on_settled(const struct journal_entry *entry, enum engine_error error, const char *text,
                       void *data)
{
    struct fixture *fixture = data;
    g_mutex_lock(&fixture->lock);
    g_queue_push_tail(&fixture->endings,
                      g_strdup_printf("%" G_GUINT64_FORMAT " %d %s", entry->id, error, text));
    g_mutex_unlock(&fixture->lock);
    g_atomic_int_inc(error == ENGINE_OK ? &fixture->settled : &fixture->refused);
}

static const struct engine_events EVENTS = {
    .change_settled = on_settled,
    .mailbox_changed = on_mailbox,
    .message_arrived = on_arrived,
    .message_removed = on_removed,
    .message_changed = on_flags,
    .content_changed = on_content,
    .folders_changed = on_folders,
};

/* ---- life ------------------------------------------------------------------------------------ */

void fixture_setup(struct fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_atomic_int_set(&passed_s, 0);
    g_atomic_int_set(&suspended_s, 0);
    fixture->imapd = imapd_start();
    imapd_add_box(fixture->imapd, "INBOX", "");
    fixture->folder = g_dir_make_tmp("mailmount-engine-XXXXXX", NULL);
    fixture->account = (struct account){
        .name = (char *)"test",
        .host = (char *)"127.0.0.1",
        .port = fixture->imapd->port,
        .tls = ACCOUNT_TLS_NONE,
        .user = (char *)"alice",
        .auth = (char *)"login",
        .timeout_s = 30,
        .connections = 4,
        .poll_s = 3600,
    };
    const struct cache_options options = {
        .directory = fixture->folder,
        .account = "alice@test",
        .owner = "test",
    };
    fixture->cache = cache_open(&options, &error);
    g_assert_no_error(error);
    fixture->secret = secret_new("secret", 6);
    fixture->journal = NULL;
    g_mutex_init(&fixture->lock);
    g_queue_init(&fixture->endings);
}

void fixture_stop(struct fixture *fixture)
{
    g_clear_pointer(&fixture->engine, engine_free);
}

void fixture_teardown(struct fixture *fixture, gconstpointer data)
{
    fixture_stop(fixture);
    imapd_stop(fixture->imapd);
    cache_close(fixture->cache);
    if (fixture->journal != NULL)
        journal_close(fixture->journal);
    g_queue_clear_full(&fixture->endings, g_free);
    g_mutex_clear(&fixture->lock);
    remove_tree(fixture->folder);
    g_free(fixture->folder);
    secret_unref(fixture->secret);
}

void fixture_make(struct fixture *fixture)
{
    const struct engine_config config = {
        .account = &fixture->account,
        .cache = fixture->cache,
        .journal = fixture->journal,
        .secret = fixture->secret,
        .events = &EVENTS,
        .events_data = fixture,
        .clock = &CLOCK,
        .transcript = g_getenv("MAILMOUNT_TEST_TRANSCRIPT") != NULL,
    };
    fixture->engine = engine_new(&config);
}

void fixture_start(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    enum engine_start_reason reason;
    fixture_make(fixture);
    engine_start(fixture->engine, &reason, &error);
    g_assert_no_error(error);
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct pending {
    GMutex lock;
    GCond changed;
    unsigned answers;
    enum engine_error error;
    uint64_t id;
};

static void on_done(enum engine_error error, void *data)
{
    struct pending *pending = data;
    g_mutex_lock(&pending->lock);
    pending->answers++;
    pending->error = error;
    g_cond_broadcast(&pending->changed);
    g_mutex_unlock(&pending->lock);
}

struct pending *fixture_begin(struct fixture *fixture, const struct engine_wish *wish)
{
    struct pending *pending = g_new0(struct pending, 1);
    g_mutex_init(&pending->lock);
    g_cond_init(&pending->changed);
    pending->id = engine_ask(fixture->engine, wish, on_done, pending);
    g_assert_cmpuint(pending->id, !=, 0);
    return pending;
}

uint64_t fixture_id(const struct pending *pending)
{
    return pending->id;
}

enum engine_error fixture_wait(struct pending *pending)
{
    g_mutex_lock(&pending->lock);
    while (pending->answers == 0)
        g_cond_wait(&pending->changed, &pending->lock);
    g_assert_cmpuint(pending->answers, ==, 1);
    enum engine_error error = pending->error;
    g_mutex_unlock(&pending->lock);
    g_mutex_clear(&pending->lock);
    g_cond_clear(&pending->changed);
    g_free(pending);
    return error;
}

enum engine_error fixture_ask(struct fixture *fixture, const struct engine_wish *wish)
{
    return fixture_wait(fixture_begin(fixture, wish));
}

enum engine_error fixture_list(struct fixture *fixture, const char *mailbox)
{
    const struct engine_wish wish = {.want = ENGINE_MAILBOX,
                                     .folder = fixture_mailbox(fixture, mailbox).slot};
    return fixture_ask(fixture, &wish);
}

enum engine_error fixture_parts(struct fixture *fixture, const char *mailbox, uint32_t uid)
{
    const struct engine_wish wish = {
        .want = ENGINE_PARTS, .messages = fixture_mailbox(fixture, mailbox).messages, .uid = uid};
    return fixture_ask(fixture, &wish);
}

enum engine_error fixture_bytes(struct fixture *fixture, const char *mailbox, uint32_t uid,
                                const char *section, uint64_t offset, uint64_t length)
{
    const struct engine_wish wish = {.want = ENGINE_BYTES,
                                     .messages = fixture_mailbox(fixture, mailbox).messages,
                                     .uid = uid,
                                     .section = section,
                                     .offset = offset,
                                     .length = length};
    return fixture_ask(fixture, &wish);
}

/* ---- the journal ----------------------------------------------------------------------------- */

void fixture_journal(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_build_filename(fixture->folder, "state", NULL);
    const struct journal_options options = {
        .directory = directory, .account = "alice@test", .owner = "test"};
    fixture->journal = journal_open(&options, &error);
    g_assert_no_error(error);
}

void fixture_journal_again(struct fixture *fixture)
{
    journal_close(fixture->journal);
    fixture_journal(fixture);
}

uint64_t fixture_add(struct fixture *fixture, const struct journal_entry *entry)
{
    uint64_t id = 0;
    g_assert_cmpint(journal_add(fixture->journal, entry, false, &id), ==, CACHE_OK);
    g_assert_cmpuint(id, !=, 0);
    return id;
}

enum engine_error fixture_pushed(struct fixture *fixture, uint64_t entry)
{
    const struct engine_wish wish = {.want = ENGINE_PUSHED, .entry = entry};
    return fixture_ask(fixture, &wish);
}

uint64_t fixture_stage(struct fixture *fixture, const char *bytes, size_t length)
{
    uint64_t staged = 0;
    int descriptor = journal_stage(fixture->journal, &staged);
    g_assert_cmpint(descriptor, >=, 0);
    g_assert_cmpint(write(descriptor, bytes, length), ==, (gssize)length);
    close(descriptor);
    return staged;
}

/* ---- looking --------------------------------------------------------------------------------- */

struct cache_mailbox fixture_mailbox(struct fixture *fixture, const char *mailbox)
{
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    struct cache_mailbox found;
    g_assert_cmpint(cache_mailbox_by_wire(txn, mailbox, &found), ==, CACHE_OK);
    found.wire = found.name = NULL;
    return found;
}

bool fixture_message(struct fixture *fixture, const char *mailbox, uint32_t uid,
                     struct cache_message *message, char **name, char **keywords)
{
    uint32_t messages = fixture_mailbox(fixture, mailbox).messages;
    g_autoptr(cache_txn) txn = cache_txn_read(fixture->cache);
    if (cache_message_get(txn, messages, uid, message) != CACHE_OK)
        return false;
    if (name != NULL)
        *name = g_strdup(message->name);
    if (keywords != NULL)
        *keywords = g_strdup(message->keywords);
    return true;
}

uint64_t fixture_object(struct fixture *fixture, const char *mailbox, uint32_t uid)
{
    struct cache_message message;
    return fixture_message(fixture, mailbox, uid, &message, NULL, NULL) ? message.object : 0;
}

bool fixture_holds(struct fixture *fixture, uint64_t object, const char *section, uint64_t offset,
                   const char *bytes, size_t length)
{
    g_autofree char *held = g_malloc(length + 1);
    size_t got = 0, more;
    while (got < length && (more = cache_content_get(fixture->cache, object, section, offset + got,
                                                     held + got, length - got)) > 0)
        got += more;
    return got == length && memcmp(held, bytes, length) == 0;
}

struct imapd_box *fixture_inbox(struct fixture *fixture)
{
    return imapd_box(fixture->imapd, "INBOX");
}
