#include "imap/command.h"

#include "imap/list.h"
#include "imap/write.h"

#include <stdatomic.h>
#include <string.h>

void imap_tag_next(char tag[24])
{
    static _Atomic uint64_t last;
    g_snprintf(tag, 24, "M%" G_GUINT64_FORMAT, (guint64)atomic_fetch_add(&last, 1) + 1);
}

static void piece_free(gpointer piece)
{
    g_string_free(piece, TRUE);
}

static void command_free(struct imap_command *command)
{
    g_queue_clear_full(&command->pieces, piece_free);
    g_free(command->mailbox);
    g_free(command->doomed_text);
    g_free(command);
}

void imap_request_free(struct imap_request *request)
{
    imap_listing_free(request->listing);
    g_free(request->code);
    g_free(request->text);
    g_free(request);
}

void imap_queue_clear(struct imap_queue *queue)
{
    g_queue_clear_full(&queue->commands, (GDestroyNotify)command_free);
    g_queue_clear_full(&queue->requests, (GDestroyNotify)imap_request_free);
    queue->unsent = NULL;
    queue->awaits_continue = false;
}

struct imap_request *imap_queue_request(struct imap_queue *queue, imap_done done, void *data)
{
    struct imap_request *request = g_new0(struct imap_request, 1);

    request->done = done;
    request->data = data;
    g_queue_push_tail(&queue->requests, request);
    return request;
}

struct imap_command *imap_queue_command(struct imap_queue *queue, struct imap_request *request,
                                        const struct imap_command_kind *kind)
{
    struct imap_command *command = g_new0(struct imap_command, 1);

    imap_tag_next(command->tag);
    command->kind = kind;
    command->request = request;
    request->pending++;
    g_queue_push_tail(&command->pieces, g_string_new(command->tag));
    g_string_append_c(imap_command_text(command), ' ');
    g_queue_push_tail(&queue->commands, command);
    if (!queue->unsent)
        queue->unsent = g_queue_peek_tail_link(&queue->commands);
    return command;
}

GString *imap_command_text(struct imap_command *command)
{
    return g_queue_peek_tail(&command->pieces);
}

void imap_command_mailbox(struct imap_command *command, const char *wire, bool utf8,
                          unsigned capabilities)
{
    GString *text = imap_command_text(command);

    if (imap_write_mailbox(text, wire, utf8))
        return;
    if (!imap_write_literal(text, strlen(wire), capabilities))
        g_queue_push_tail(&command->pieces, g_string_new(NULL));
    g_string_append(imap_command_text(command), wire);
}

void imap_command_end(struct imap_command *command)
{
    g_string_append(imap_command_text(command), "\r\n");
}

void imap_queue_write(struct imap_queue *queue, struct imap_stream *stream)
{
    while (queue->unsent && !queue->awaits_continue) {
        struct imap_command *command = queue->unsent->data;
        GString *piece = g_queue_pop_head(&command->pieces);
        imap_stream_put(stream, piece->str, piece->len, NULL);
        g_string_free(piece, TRUE);
        command->begun = true;
        if (g_queue_is_empty(&command->pieces))
            queue->unsent = queue->unsent->next;
        else
            queue->awaits_continue = true;
    }
}

bool imap_queue_continue(struct imap_queue *queue)
{
    bool awaited = queue->awaits_continue;
    queue->awaits_continue = false;
    return awaited;
}

struct imap_command *imap_queue_find(const struct imap_queue *queue, const char *tag)
{
    for (GList *link = queue->commands.head; link; link = link->next) {
        struct imap_command *command = link->data;
        if (strcmp(command->tag, tag) == 0)
            return command->begun ? command : NULL;
    }
    return NULL;
}

struct imap_command *imap_queue_oldest(const struct imap_queue *queue)
{
    return g_queue_peek_head((GQueue *)&queue->commands);
}

unsigned imap_queue_in_flight(const struct imap_queue *queue)
{
    return queue->commands.length;
}

/* The first failure stays; before there is one, the latest answer. */
static void request_note(struct imap_request *request, const struct imap_result *result)
{
    if (request->error != IMAP_OK)
        return;
    request->error = result->error;
    g_free(request->code);
    g_free(request->text);
    request->code = g_strdup(result->code);
    request->text = g_strdup(result->text);
}

void imap_queue_answer(struct imap_queue *queue, struct imap_command *command,
                       const struct imap_result *result)
{
    GList *link = g_queue_find(&queue->commands, command);

    if (queue->unsent == link) { /* refused before its literal was sent, or never begun */
        queue->unsent = link->next;
        queue->awaits_continue = false;
    }
    g_queue_delete_link(&queue->commands, link);
    command->request->pending--;
    if (!command->forgiven)
        request_note(command->request, result);
    command_free(command);
}

struct imap_request *imap_queue_done(struct imap_queue *queue)
{
    struct imap_request *oldest = g_queue_peek_head(&queue->requests);

    if (!oldest || oldest->pending > 0)
        return NULL;
    return g_queue_pop_head(&queue->requests);
}
