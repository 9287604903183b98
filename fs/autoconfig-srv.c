/* SRV records (RFC 2782) of IMAP (RFC 6186, 3.2). */
#include <string.h>

#include "fs/autoconfig-private.h"

#define SECONDS 10    /* for all lookups */
#define TARGETS_MAX 4 /* that are tried */

static const struct {
    const char *service;
    bool implicit_tls;
} SERVICES[] = {{"imaps", true}, {"imap", false}}; /* TLS from the first byte is to be preferred */

struct lookup {
    struct search *search;
    GList *targets; /* GSrvTarget, sorted by priority, drawn by weight */
    GError *error;
};

struct search {
    struct lookup lookups[G_N_ELEMENTS(SERVICES)];
    bool no_exchanger;
    unsigned open;
    GCancellable *cancel;
    bool late;
};

static void on_found(GObject *resolver, GAsyncResult *result, gpointer data)
{
    struct lookup *lookup = data;

    lookup->targets =
        g_resolver_lookup_service_finish(G_RESOLVER(resolver), result, &lookup->error);
    lookup->search->open--;
}

static void on_exchanger(GObject *resolver, GAsyncResult *result, gpointer data)
{
    struct search *search = data;
    g_autoptr(GError) error = NULL;
    GList *records = g_resolver_lookup_records_finish(G_RESOLVER(resolver), result, &error);

    search->no_exchanger = g_error_matches(error, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND);
    g_list_free_full(records, (GDestroyNotify)g_variant_unref);
    search->open--;
}

static gboolean on_late(gpointer data)
{
    struct search *search = data;

    search->late = true;
    g_cancellable_cancel(search->cancel);
    return G_SOURCE_REMOVE;
}

static void on_cancelled(GCancellable *cancel, gpointer data)
{
    g_cancellable_cancel(data);
}

/* All at once, in a context of their own. */
static void search_run(struct search *search, const char *domain)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    g_autoptr(GResolver) resolver = g_resolver_get_default();
    g_autoptr(GSource) late = g_timeout_source_new_seconds(SECONDS);

    g_main_context_push_thread_default(context);
    g_source_set_callback(late, on_late, search, NULL);
    g_source_attach(late, context);
    search->open = G_N_ELEMENTS(SERVICES) + 1;
    g_resolver_lookup_records_async(resolver, domain, G_RESOLVER_RECORD_MX, search->cancel,
                                    on_exchanger, search);
    for (size_t i = 0; i < G_N_ELEMENTS(SERVICES); i++) {
        search->lookups[i].search = search;
        g_resolver_lookup_service_async(resolver, SERVICES[i].service, "tcp", domain,
                                        search->cancel, on_found, &search->lookups[i]);
    }
    while (search->open > 0)
        g_main_context_iteration(context, TRUE);
    g_source_destroy(late);
    g_main_context_pop_thread_default(context);
}

static void search_clear(struct search *search)
{
    for (size_t i = 0; i < G_N_ELEMENTS(SERVICES); i++) {
        g_resolver_free_targets(search->lookups[i].targets);
        g_clear_error(&search->lookups[i].error);
    }
    g_object_unref(search->cancel);
}
typedef struct search search;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(search, search_clear)

/* A target of "." says that there is no such service. */
static bool target_take(GSrvTarget *target, bool implicit_tls, const char *address,
                        struct source *source, bool *none)
{
    g_autofree char *host = g_strdup(g_srv_target_get_hostname(target));

    if (g_str_has_suffix(host, "."))
        host[strlen(host) - 1] = '\0';
    if (*host == '\0') {
        *none = true;
        return false;
    }
    *source = (struct source){implicit_tls, g_strdup(address), g_steal_pointer(&host),
                              g_srv_target_get_port(target)};
    return autoconfig_settle(source);
}

/* All that can be servers, those with TLS from the first byte first. */
static GArray *search_targets(const struct search *search, const char *address, bool *none)
{
    GArray *servers = g_array_new(FALSE, FALSE, sizeof(struct source));
    struct source server;

    g_array_set_clear_func(servers, (GDestroyNotify)source_clear);
    for (size_t i = 0; i < G_N_ELEMENTS(SERVICES); i++)
        for (GList *at = search->lookups[i].targets; at != NULL; at = at->next)
            if (servers->len < TARGETS_MAX &&
                target_take(at->data, SERVICES[i].implicit_tls, address, &server, none))
                g_array_append_val(servers, server);
    return servers;
}

static bool search_take(const struct search *search, const char *address,
                        const struct autoconfig_way *way, struct source *source, bool *none)
{
    g_autoptr(GArray) servers = search_targets(search, address, none);
    guint chosen = 0;

    if (servers->len == 0 || g_cancellable_is_cancelled(way->cancel))
        return false;
    while (servers->len > 1 && chosen < servers->len &&
           !autoconfig_answers(&g_array_index(servers, struct source, chosen), way))
        chosen++;
    if (g_cancellable_is_cancelled(way->cancel))
        return false;
    struct source *server = &g_array_index(servers, struct source, chosen % servers->len);
    *source = *server;
    *server = (struct source){0};
    return true;
}

static bool search_failed(const struct search *search, GCancellable *cancel, const char *domain,
                          GError **error)
{
    bool unknown = true;

    for (size_t i = 0; i < G_N_ELEMENTS(SERVICES); i++)
        unknown = unknown && (search->lookups[i].error == NULL ||
                              g_error_matches(search->lookups[i].error, G_RESOLVER_ERROR,
                                              G_RESOLVER_ERROR_NOT_FOUND));
    if (g_cancellable_is_cancelled(cancel))
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_CANCELLED, "interrupted");
    else if (unknown)
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_NOTHING, "%s has no SRV records of IMAP",
                    domain);
    else
        g_set_error(error, AUTOCONFIG_ERROR, AUTOCONFIG_NETWORK,
                    "the SRV records of %s cannot be looked up now%s", domain,
                    search->late ? " (the name server does not answer)" : "");
    return false;
}

bool autoconfig_srv(const char *address, const struct autoconfig_way *way, struct source *source,
                    struct autoconfig_told *told, GError **error)
{
    const char *domain = autoconfig_domain(address);
    GCancellable *cancel = way->cancel;
    g_auto(search) search = {.cancel = g_cancellable_new()};

    *told = (struct autoconfig_told){0};
    gulong handler = g_cancellable_connect(cancel, G_CALLBACK(on_cancelled), search.cancel, NULL);
    search_run(&search, domain);
    g_cancellable_disconnect(cancel, handler);
    told->no_exchanger = search.no_exchanger;
    return search_take(&search, address, way, source, &told->no_imap) ||
           search_failed(&search, cancel, domain, error);
}
