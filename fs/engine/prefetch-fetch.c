/* Fetching what a mailbox lacks. */
#include "fs/engine/job.h"
#include "fs/engine/prefetch.h"

/* Bigger messages come one by one, in pieces. */
#define SET_MESSAGE_MAX (1u << 20)
#define SINGLES_MOST 16
#define SINGLES_BYTES ((uint64_t)8 << 20)
#define LOSSES_MOST 3

/* ---- one by one ------------------------------------------------------------------------------ */

static struct lack array_pop(GArray *array)
{
    struct lack last = g_array_index(array, struct lack, array->len - 1);
    g_array_set_size(array, array->len - 1);
    return last;
}

static gboolean fetch_later(gpointer data)
{
    struct engine *engine = data;
    engine->prefetch->fetch_posted = false;
    prefetch_fetch(engine);
    return G_SOURCE_REMOVE;
}

/* In the loop's next turn: many that are gone are answered at once, each by the one before. */
static void fetch_again(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    if (prefetch->fetch_posted || g_atomic_int_get(&engine->stopping))
        return;
    prefetch->fetch_posted = true;
    engine_post(engine->context, fetch_later, engine, NULL);
}

/* Whether it is of the pass that is under way; if not, it is freed. */
static bool single_is_mine(struct single *single, enum engine_error error)
{
    struct engine *engine = single->engine;
    if (error != ENGINE_STOPPED && single->pass == engine->prefetch->pass)
        return true;
    g_free(single);
    return false;
}

static void single_over(struct single *single, enum engine_error error)
{
    struct engine *engine = single->engine;
    struct prefetch *prefetch = engine->prefetch;
    g_queue_remove(&prefetch->singles, single);
    prefetch->bytes -= single->lack.size;
    if (error == ENGINE_OK)
        prefetch_got(engine, &single->lack);
    else if (error == ENGINE_TIMEOUT)
        prefetch_stalled(engine);
    g_free(single);
    if (error == ENGINE_FULL)
        prefetch_over(engine, ENGINE_PREFETCH_TOO_SMALL, error);
    else
        fetch_again(engine);
}

static void single_parts_done(enum engine_error error, void *data)
{
    struct single *single = data;
    if (single_is_mine(single, error))
        single_over(single, error);
}

static void single_ask_parts(struct single *single)
{
    const struct engine_wish wish = {
        .want = ENGINE_PARTS, .messages = single->messages, .uid = single->lack.uid, .ahead = true};
    single->wish = 0;
    engine_ask_inside(single->engine, &wish, single_parts_done, single);
}

static void single_bytes_done(enum engine_error error, void *data)
{
    struct single *single = data;
    if (!single_is_mine(single, error))
        return;
    if (error == ENGINE_OK)
        single_ask_parts(single);
    else
        single_over(single, error);
}

static void single_begin(struct engine *engine, const struct lack *lack)
{
    struct prefetch *prefetch = engine->prefetch;
    struct single *single = g_new0(struct single, 1);
    *single = (struct single){engine, prefetch->pass, *lack, prefetch->messages, 0};
    g_queue_push_tail(&prefetch->singles, single);
    prefetch->bytes += lack->size;
    if (lack->size == 0) {
        single_ask_parts(single);
        return;
    }
    const struct engine_wish wish = {
        .want = ENGINE_BYTES,
        .messages = prefetch->messages,
        .uid = lack->uid,
        .section = "",
        .length = (uint64_t)lack->size + 1,
        .ahead = true,
    };
    uint64_t id = engine_ask_inside(engine, &wish, single_bytes_done, single);
    if (g_queue_find(&prefetch->singles, single) != NULL) /* not answered at once */
        single->wish = id;
}

/* It is about to be asked for. */
static void fetch_spend(struct engine *engine, uint64_t bytes)
{
    if (!engine->prefetch->now->asked)
        engine->prefetch->spent += bytes;
}

/* Whether the day's budget is used up, for what nobody asked for. */
static bool fetch_is_spent(struct engine *engine)
{
    return !engine->prefetch->now->asked && prefetch_budget(engine) == 0;
}

static void singles_fill(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    while (prefetch->now != NULL && prefetch->odd->len > 0 && !fetch_is_spent(engine) &&
           prefetch->singles.length < SINGLES_MOST &&
           (prefetch->bytes == 0 || prefetch->bytes < SINGLES_BYTES)) {
        struct lack lack = array_pop(prefetch->odd);
        fetch_spend(engine, lack.size);
        single_begin(engine, &lack);
    }
}

/* ---- sets ------------------------------------------------------------------------------------ */

static int lack_order(gconstpointer a, gconstpointer b)
{
    uint32_t one = ((const struct lack *)a)->uid, other = ((const struct lack *)b)->uid;
    return (one > other) - (one < other);
}

bool prefetch_take(struct engine *engine, GArray *set, guint most, uint64_t bytes)
{
    struct prefetch *prefetch = engine->prefetch;
    bool wrong = engine_sizes(engine) == ENGINE_SIZES_WRONG;
    uint64_t sum = 0;
    while (prefetch->now != NULL && prefetch->lacks->len > 0 && set->len < most && sum < bytes &&
           !fetch_is_spent(engine)) {
        const struct lack *next =
            &g_array_index(prefetch->lacks, struct lack, prefetch->lacks->len - 1);
        bool whole = next->size != 0;
        if (set->len > 0 && whole != (g_array_index(set, struct lack, 0).size != 0))
            break; /* a set is of one kind */
        struct lack lack = array_pop(prefetch->lacks);
        bool odd = lack.size > SET_MESSAGE_MAX || (whole && wrong);
        sum += odd ? 0 : lack.size;
        fetch_spend(engine, odd ? 0 : lack.size);
        g_array_append_val(odd ? prefetch->odd : set, lack);
    }
    g_array_sort(set, lack_order);
    return set->len > 0;
}

void prefetch_leave(struct engine *engine, const struct lack *lack)
{
    g_array_append_vals(engine->prefetch->odd, lack, 1);
}

void prefetch_got(struct engine *engine, const struct lack *lack)
{
    struct prefetch *prefetch = engine->prefetch;
    struct engine_prefetch shown = prefetch->now->shown;
    shown.messages_done++;
    shown.bytes_done = MIN(shown.bytes_done + lack->size, shown.bytes);
    prefetch_show(engine, prefetch->now, &shown);
    prefetch->got++;
    prefetch->losses = prefetch->stalls = 0;
}

void prefetch_stalled(struct engine *engine)
{
    engine->prefetch->stalls++;
}

/* No more comes: of the server, if it says nothing; of these messages, if it says something. */
static void fetch_fail(struct engine *engine)
{
    const struct prefetch *prefetch = engine->prefetch;
    bool silent = prefetch->stalls >= LOSSES_MOST ||
                  (prefetch->stalls > 0 && prefetch->now->shown.messages_done == 0);
    if (silent)
        prefetch_over(engine, ENGINE_PREFETCH_OFFLINE, ENGINE_TIMEOUT);
    else
        prefetch_over(engine, ENGINE_PREFETCH_FAILED, ENGINE_BROKEN);
}

void prefetch_bulk_over(struct engine *engine, bool fruitless)
{
    struct prefetch *prefetch = engine->prefetch;
    prefetch->bulk = NULL;
    prefetch->losses = fruitless ? prefetch->losses + 1 : 0;
    fetch_again(engine);
}

static void bulk_begin(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    struct job *job = job_begin(engine, &BULK_CLASS, "U");
    job->mailbox = g_strdup(prefetch->mailbox);
    job->folder = prefetch->now->shown.folder;
    job->uidvalidity = prefetch->uidvalidity;
    job->wish.messages = prefetch->messages;
    prefetch->bulk = job;
}

/* ---- both ------------------------------------------------------------------------------------ */

void prefetch_fetch(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    if (prefetch->now == NULL || prefetch->scanning || g_atomic_int_get(&engine->stopping))
        return;
    bool under_way = prefetch->bulk != NULL || prefetch->singles.length > 0;
    if (engine->pool.failing) {
        prefetch_over(engine, ENGINE_PREFETCH_OFFLINE, engine->pool.why);
    } else if (prefetch->paused_until_us != 0 || (!under_way && fetch_is_spent(engine))) {
        prefetch_over(engine, ENGINE_PREFETCH_PAUSED, ENGINE_OK);
    } else if (prefetch->losses >= LOSSES_MOST) {
        fetch_fail(engine);
    } else if (prefetch->bulk == NULL && prefetch->lacks->len > 0 && !fetch_is_spent(engine)) {
        bulk_begin(engine);
        singles_fill(engine);
    } else if (prefetch->odd->len > 0) {
        singles_fill(engine);
    } else if (!under_way) {
        prefetch_scan(engine);
    }
}

void prefetch_fetch_stop(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    g_array_set_size(prefetch->lacks, 0);
    g_array_set_size(prefetch->odd, 0);
    for (GList *at = prefetch->singles.head; at != NULL; at = at->next) {
        const struct single *single = at->data;
        if (single->wish != 0)
            engine_cancel(engine, single->wish, ENGINE_INTERRUPTED);
    }
    g_queue_clear(&prefetch->singles); /* each frees itself when it is answered */
    prefetch->bytes = 0;
    if (prefetch->bulk != NULL)
        job_end(prefetch->bulk, ENGINE_INTERRUPTED);
}

void prefetch_scanned(struct engine *engine)
{
    struct prefetch *prefetch = engine->prefetch;
    struct engine_prefetch shown = prefetch->counts;
    bool whole = prefetch->lacks->len == 0;
    shown.state = whole ? ENGINE_PREFETCH_WAITING : ENGINE_PREFETCH_FETCHING;
    prefetch_show(engine, prefetch->now, &shown);
    if (whole)
        prefetch_over(engine,
                      prefetch->small ? ENGINE_PREFETCH_TOO_SMALL : ENGINE_PREFETCH_COMPLETE,
                      ENGINE_OK);
    else if (prefetch->passes++ > 0 && prefetch->got == 0 && prefetch->losses == 0)
        fetch_fail(engine);
    else
        prefetch->got = 0;
    prefetch_fetch(engine);
}
