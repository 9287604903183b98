/* The input as a BODYSTRUCTURE inside a FETCH: whatever it is, its sections are those of a tree and
 * what stood before it is understood. */
#include "imap/reply.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A child's section is its parent's, or that and a number. */
static void check_section(const struct imap_part *parts, const struct imap_part *part)
{
    if (part->parent == UINT32_MAX) {
        g_assert_cmpstr(part->section, ==, part->kind == IMAP_PART_MULTIPART ? "" : "1");
        return;
    }
    const struct imap_part *parent = &parts[part->parent];
    size_t length = strlen(parent->section);
    g_assert_true(parent->kind != IMAP_PART_LEAF);
    g_assert_cmpint(strncmp(part->section, parent->section, length), ==, 0);
    const char *rest = part->section + length;
    if (parent->kind == IMAP_PART_MESSAGE && part->kind == IMAP_PART_MULTIPART)
        g_assert_cmpstr(rest, ==, "");
    else
        g_assert_cmpuint(strspn(rest + (length > 0), "0123456789"), ==,
                         strlen(rest) - (length > 0));
}

static void check_parameters(const struct imap_parameter *parameters, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        g_assert_true(strlen(parameters[i].name) + strlen(parameters[i].value) < G_MAXINT);
}

static void check(const struct imap_structure *structure)
{
    for (uint32_t i = 0; i < structure->count; i++) {
        const struct imap_part *part = &structure->parts[i];
        g_assert_true(i == 0 ? part->parent == UINT32_MAX : part->parent < i);
        g_assert_true(part->octets >= -1);
        check_section(structure->parts, part);
        check_parameters(part->parameters, part->parameter_count);
        check_parameters(part->disposition_parameters, part->disposition_parameter_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char BEFORE[] = "* 1 FETCH (UID 5 BODYSTRUCTURE ", AFTER[] = " FLAGS (x))\r\n";
    const struct imap_limits limits = {.depth_max = 100};
    g_autoptr(imap_parser) parser = imap_parser_new(&limits);
    struct imap_reply reply;
    imap_parser_feed(parser, BEFORE, sizeof(BEFORE) - 1);
    imap_parser_feed(parser, data, size);
    imap_parser_feed(parser, AFTER, sizeof(AFTER) - 1);
    if (imap_parser_next(parser, false, &reply) != 1)
        return 0;
    g_assert_cmpint(reply.kind, ==, IMAP_REPLY_FETCH);
    g_assert_true(size > 100 || (reply.fetch.items & IMAP_ITEM_UID) != 0);
    check(&reply.fetch.structure);
    return 0;
}
