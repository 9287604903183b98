/* The input as a server's stream, fed in pieces whose sizes it says itself and then all at once:
 * whatever comes, both ways give the same replies, and all that a reply points to can be read. */
#include "imap/copied.h"
#include "imap/reply.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(GChecksum *sum, const char *text)
{
    if (text != NULL)
        g_checksum_update(sum, (const guchar *)text, -1);
    g_checksum_update(sum, (const guchar *)"|", 1);
}

static void touch_parameters(GChecksum *sum, const struct imap_parameter *parameters,
                             uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        g_assert(parameters[i].name != NULL && parameters[i].value != NULL);
        touch(sum, parameters[i].name);
        touch(sum, parameters[i].value);
    }
}

static void touch_structure(GChecksum *sum, const struct imap_structure *structure)
{
    for (uint32_t i = 0; i < structure->count; i++) {
        const struct imap_part *part = &structure->parts[i];
        g_assert(i == 0 ? part->parent == UINT32_MAX : part->parent < i);
        g_assert(part->type != NULL && part->subtype != NULL && part->section != NULL);
        g_assert((part->encoding == NULL) == (part->kind == IMAP_PART_MULTIPART));
        touch(sum, part->section);
        touch(sum, part->type);
        touch(sum, part->subtype);
        touch(sum, part->encoding);
        touch(sum, part->id);
        touch(sum, part->description);
        touch(sum, part->disposition);
        touch_parameters(sum, part->parameters, part->parameter_count);
        touch_parameters(sum, part->disposition_parameters, part->disposition_parameter_count);
    }
}

static void touch_fetch(GChecksum *sum, const struct imap_fetch *fetch)
{
    for (guint i = 0; fetch->flags != NULL && fetch->flags[i] != NULL; i++)
        touch(sum, fetch->flags[i]);
    touch(sum, fetch->emailid);
    for (uint32_t i = 0; i < fetch->body_count; i++) {
        const struct imap_body *body = &fetch->bodies[i];
        g_assert((body->bytes == NULL) == (body->nil || body->oversized));
        g_assert(body->origin >= -1);
        touch(sum, body->section);
        if (body->bytes != NULL) {
            gsize size;
            const guchar *bytes = g_bytes_get_data(body->bytes, &size);
            g_assert(size == body->size);
            g_checksum_update(sum, bytes, (gssize)size);
        }
    }
    touch_structure(sum, &fetch->structure);
}

static void touch_quota(GChecksum *sum, const struct imap_quota *quota)
{
    g_checksum_update(sum, (const guchar *)quota, sizeof(*quota));
}

/* The code as the answer to a COPY or STORE of some messages, and to an APPEND. */
static void touch_report(GChecksum *sum, const struct imap_reply *reply)
{
    g_autoptr(imap_uidset) asked = imap_uidset_new();
    imap_uidset_add(asked, 1, 1000);
    for (enum imap_report_kind kind = 0; kind <= IMAP_REPORT_APPEND; kind++) {
        bool append = kind == IMAP_REPORT_APPEND;
        struct imap_report *report = imap_report_new(kind, append ? NULL : asked);
        imap_report_takes(report, reply->code_value);
        if (imap_report_knows(report, reply->code))
            imap_report_code(report, reply->code_value);
        const struct imap_copied *copied = imap_report_copied(report);
        if (copied != NULL) {
            g_assert((copied->from == NULL) == append);
            g_assert(copied->count <= (append ? 1 : 1000));
            g_checksum_update(sum, (const guchar *)copied->to,
                              (gssize)(copied->count * sizeof(uint32_t)));
        }
        imap_report_free(report);
    }
}

static void touch_reply(GChecksum *sum, const struct imap_reply *reply)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_string_append_printf(line, "%d %d %u %u %u %x ", reply->kind, reply->condition, reply->number,
                           reply->fetch.uid, reply->fetch.sequence, reply->fetch.items);
    if (reply->uids != NULL)
        imap_uidset_write(reply->uids, 0, 1000, line);
    touch(sum, line->str);
    touch(sum, reply->tag);
    touch(sum, reply->code);
    touch(sum, reply->code_value);
    touch(sum, reply->text);
    for (guint i = 0; reply->words != NULL && reply->words[i] != NULL; i++)
        touch(sum, reply->words[i]);
    touch(sum, reply->list.wire);
    touch(sum, reply->list.name);
    touch(sum, reply->list.old_wire);
    touch(sum, reply->status.mailboxid);
    touch(sum, reply->status.wire);
    touch(sum, reply->id_name);
    touch(sum, reply->rights_wire);
    touch(sum, reply->rights);
    touch_quota(sum, &reply->quota);
    if (reply->code != NULL)
        touch_report(sum, reply);
    if (reply->kind == IMAP_REPLY_LIST)
        g_assert(g_utf8_validate(reply->list.name, -1, NULL));
    touch_fetch(sum, &reply->fetch);
}

/* `sizes` chooses the sizes of the pieces, 0: all at once; odd: names are UTF-8. */
static char *parse(const uint8_t *data, size_t size, uint8_t sizes)
{
    const struct imap_limits limits = {
        .line_max = 20000, .literal_max = 30000, .depth_max = 50, .token_max = 2000};
    g_autoptr(imap_parser) parser = imap_parser_new(&limits);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    uint32_t state = sizes;
    for (size_t at = 0; at < size;) {
        struct imap_reply reply;
        state = state * 1664525 + 1013904223;
        size_t piece = sizes == 0 ? size : 1 + (state >> 24) % sizes;
        piece = MIN(piece, size - at);
        imap_parser_feed(parser, data + at, piece);
        at += piece;
        int rc;
        while ((rc = imap_parser_next(parser, (sizes & 1) != 0, &reply)) == 1)
            touch_reply(sum, &reply);
        if (rc < 0) {
            touch(sum, "beyond repair");
            break;
        }
    }
    return g_strdup(g_checksum_get_string(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    g_autofree char *pieces = parse(data + 1, size - 1, data[0] & 0xfe);
    g_autofree char *whole = parse(data + 1, size - 1, 0);
    g_assert_cmpstr(pieces, ==, whole);
    g_free(parse(data + 1, size - 1, data[0] | 1));
    return 0;
}
