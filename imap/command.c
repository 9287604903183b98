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
    g_free(command->about);
    g_free(command->doomed_text);
    g_free(command->upload);
    g_free(command->answer.code);
    g_free(command->answer.text);
    g_free(command);
}

void imap_request_free(struct imap_request *request)
{
    imap_listing_free(request->listing);
    imap_report_free(request->report);
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
    queue->uploads = 0;
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

void imap_command_upload(struct imap_queue *queue, struct imap_command *command,
                         const struct imap_append *append, unsigned capabilities)
{
    struct imap_upload *upload = g_new0(struct imap_upload, 1);

    upload->descriptor = append->descriptor;
    upload->size = append->size;
    upload->unasked =
        imap_write_literal(imap_command_text(command), (size_t)append->size, capabilities);
    command->upload = upload;
    queue->uploads++;
    g_queue_push_tail(&command->pieces, g_string_new(NULL));
    imap_command_end(command);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* Whether a SELECT or EXAMINE before the first unsent command is not yet answered. */
static bool selects_in_flight(const struct imap_queue *queue)
{
    for (const GList *link = queue->commands.head; link != queue->unsent; link = link->next)
        if (((const struct imap_command *)link->data)->mailbox)
            return true;
    return false;
}

/* IDLE goes out alone; DONE when anybody waits behind it. */
static bool idle_writable(const struct imap_queue *queue)
{
    const struct imap_command *idle = queue->unsent->data;
    const struct imap_request *last = g_queue_peek_tail((GQueue *)&queue->requests);

    if (!idle->begun)
        return queue->unsent == queue->commands.head;
    return queue->unsent->next || last != idle->request;
}

bool imap_queue_writable(const struct imap_queue *queue)
{
    if (!queue->unsent || queue->awaits_continue)
        return false;
    const struct imap_command *command = queue->unsent->data, *oldest = imap_queue_oldest(queue);
    if ((queue->serial || command->tested || oldest->tested) && command != oldest)
        return false;
    if (command->kind->idles)
        return idle_writable(queue);
    return !command->kind->waits || !selects_in_flight(queue);
}

/* Whether only its message and its line end are left, and nobody has to ask for them. */
static bool upload_is_next(const struct imap_command *command)
{
    return command->upload && command->pieces.length == 1;
}

static void answer_postponed(struct imap_queue *queue, struct imap_command *command);

/* Notes that a command about to be written does not wait for those before it. DONE does not count:
 * it is what the server waits for. */
static void note_crowd(const struct imap_queue *queue, struct imap_command *command)
{
    struct imap_command *oldest = g_queue_peek_head((GQueue *)&queue->commands);

    if (command->begun || command == oldest || oldest->kind->idles)
        return;
    command->behind = command->crowded = oldest->crowded = true;
}

static void piece_write(struct imap_queue *queue, struct imap_command *command,
                        struct imap_stream *stream)
{
    GString *piece = g_queue_pop_head(&command->pieces);

    imap_stream_put(stream, piece->str, piece->len, NULL);
    g_string_free(piece, TRUE);
    note_crowd(queue, command);
    command->begun = true;
    if (!g_queue_is_empty(&command->pieces)) {
        queue->awaits_continue = !upload_is_next(command) || !command->upload->unasked;
        return;
    }
    queue->unsent = queue->unsent->next;
    if (command->kind->idles)
        queue->done_us = g_get_monotonic_time();
    if (command->upload)
        command->upload->end = imap_stream_handed(stream) + imap_stream_queued(stream);
    if (command->answer.given)
        answer_postponed(queue, command);
}

static void answer_keep(struct imap_command *command, enum imap_error error, const char *code,
                        const char *text)
{
    if (command->answer.given)
        return;
    command->answer = (struct imap_answer){.given = true, error, g_strdup(code), g_strdup(text)};
}

bool imap_queue_write(struct imap_queue *queue, struct imap_stream *stream)
{
    while (imap_queue_writable(queue)) {
        struct imap_command *command = queue->unsent->data;
        int given = upload_is_next(command) ? imap_upload_write(command->upload, stream) : 1;
        if (given == 0)
            return true;
        if (given < 0) {
            answer_keep(command, IMAP_ERROR_CANNOT, NULL, "the message's file became shorter");
            return false;
        }
        piece_write(queue, command, stream);
    }
    return true;
}

void imap_queue_written(struct imap_queue *queue, uint64_t handed)
{
    if (queue->uploads == 0)
        return;
    for (GList *link = queue->commands.head; link; link = link->next) {
        struct imap_upload *upload = ((struct imap_command *)link->data)->upload;
        if (upload && upload->end > 0 && upload->end <= handed)
            upload->out = true;
    }
}

bool imap_queue_is_whole(const struct imap_queue *queue)
{
    return !queue->unsent || !((const struct imap_command *)queue->unsent->data)->begun;
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

struct imap_command *imap_queue_idle(const struct imap_queue *queue)
{
    struct imap_command *oldest = imap_queue_oldest(queue);
    return oldest && oldest->kind->idles && oldest->begun ? oldest : NULL;
}

bool imap_queue_idle_lasts(const struct imap_queue *queue)
{
    return imap_queue_idle(queue) && queue->unsent == queue->commands.head;
}

unsigned imap_queue_in_flight(const struct imap_queue *queue)
{
    return queue->commands.length - imap_queue_idle_lasts(queue);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

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

bool imap_command_is_out(const struct imap_queue *queue, const struct imap_command *command)
{
    if (command->upload)
        return command->upload->out;
    if (command->kind->idles)
        return true;
    return !queue->unsent || queue->unsent->data != command;
}

bool imap_queue_postpone(struct imap_queue *queue, struct imap_command *command,
                         const struct imap_result *result)
{
    bool first = queue->unsent && queue->unsent->data == command;

    if (!first || queue->awaits_continue || !upload_is_next(command))
        return false;
    answer_keep(command, result->error, result->code, result->text);
    return true;
}

static void answer_postponed(struct imap_queue *queue, struct imap_command *command)
{
    struct imap_result ignored = {.text = ""};
    imap_queue_answer(queue, command, &ignored);
}

void imap_queue_answer(struct imap_queue *queue, struct imap_command *command,
                       const struct imap_result *result)
{
    GList *link = g_queue_find(&queue->commands, command);
    const struct imap_answer *kept = &command->answer;
    struct imap_result earlier = {.error = kept->error, .code = kept->code, .text = kept->text};

    if (queue->unsent == link) { /* refused before its literal was sent, or never begun */
        queue->unsent = link->next;
        queue->awaits_continue = false;
    }
    g_queue_delete_link(&queue->commands, link);
    command->request->pending--;
    if (command->upload) {
        queue->uploads--;
        command->request->out |= command->upload->out;
    }
    if (!command->forgiven)
        request_note(command->request, kept->given ? &earlier : result);
    command_free(command);
}

struct imap_request *imap_queue_done(struct imap_queue *queue)
{
    struct imap_request *oldest = g_queue_peek_head(&queue->requests);

    if (!oldest || oldest->pending > 0)
        return NULL;
    return g_queue_pop_head(&queue->requests);
}
