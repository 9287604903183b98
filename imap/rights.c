/* Replies about what may be stored: QUOTA (RFC 9208) and MYRIGHTS (RFC 4314). */
#include "imap/decode.h"

#include <string.h>

enum { RIGHTS_MAX = 64 };

/* ---- QUOTA ------------------------------------------------------------------------------------
 */

static const struct resource {
    const char *name;
    size_t used, limit; /* offsets in struct imap_quota, of int64_t */
} RESOURCES[] = {
    {"STORAGE", offsetof(struct imap_quota, storage_used),
     offsetof(struct imap_quota, storage_limit)},
    {"MESSAGE", offsetof(struct imap_quota, messages_used),
     offsetof(struct imap_quota, messages_limit)},
};

/* A resource's name, use and limit: three tokens. */
static void resource_read(struct imap_quota *quota, const struct imap_token *name,
                          const struct imap_token *used, const struct imap_token *limit)
{
    uint64_t use, most;
    const char *text = imap_token_string(name);

    if (text == NULL || !imap_token_number(used, &use) || !imap_token_number(limit, &most))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(RESOURCES); i++) {
        if (g_ascii_strcasecmp(text, RESOURCES[i].name) != 0)
            continue;
        *(int64_t *)(void *)((char *)quota + RESOURCES[i].used) = (int64_t)use;
        *(int64_t *)(void *)((char *)quota + RESOURCES[i].limit) = (int64_t)most;
    }
}

/* "QUOTA root (STORAGE 10 512 MESSAGE 3 100)" */
enum imap_outcome imap_read_quota(struct imap_decoder *decoder)
{
    struct imap_parser *parser = decoder->parser;
    struct imap_quota *quota = &decoder->reply->quota;

    *quota = (struct imap_quota){-1, -1, -1, -1};
    if (!imap_tokens_read(&decoder->cursor))
        return IMAP_TOO_BIG;
    if (parser->tokens->len < 2 || imap_token_at(parser, 0)->kind == IMAP_TOKEN_LIST)
        return IMAP_NONSENSE;
    const struct imap_token *list = imap_token_at(parser, 1);
    if (list->kind != IMAP_TOKEN_LIST)
        return IMAP_NONSENSE;
    for (uint32_t i = 2; i + 2 < list->next; i += 3)
        resource_read(quota, imap_token_at(parser, i), imap_token_at(parser, i + 1),
                      imap_token_at(parser, i + 2));
    return IMAP_UNDERSTOOD;
}

/* ---- MYRIGHTS ---------------------------------------------------------------------------------
 */

static bool rights_valid(const char *rights)
{
    for (const char *right = rights; *right != '\0'; right++)
        if (!g_ascii_isalnum(*right))
            return false;
    return strlen(rights) <= RIGHTS_MAX;
}

/* "name rights", the name without quotes and perhaps with blanks in it. */
static void bare_read(struct imap_reply *reply, char *rest)
{
    g_strchomp(rest);
    char *blank = strrchr(rest, ' ');
    if (blank == NULL)
        return;
    *blank++ = '\0';
    size_t length = strlen(blank);
    if (length >= 2 && blank[0] == '"' && blank[length - 1] == '"') {
        blank[length - 1] = '\0';
        blank++;
    }
    reply->rights_wire = g_strchomp(rest);
    reply->rights = blank;
}

/* "MYRIGHTS mailbox rights" */
enum imap_outcome imap_read_rights(struct imap_decoder *decoder)
{
    struct imap_cursor *cursor = &decoder->cursor;
    struct imap_reply *reply = decoder->reply;
    struct imap_token token;
    char c = imap_cursor_blank(cursor);

    if (c != '"' && c != '\0') {
        bare_read(reply, imap_cursor_rest(cursor));
    } else {
        imap_cursor_next(cursor, &token);
        reply->rights_wire = imap_token_string(&token);
        imap_cursor_next(cursor, &token);
        reply->rights = imap_token_string(&token);
    }
    if (reply->rights_wire == NULL || reply->rights == NULL ||
        strlen(reply->rights_wire) > IMAP_MAILBOX_MAX || !rights_valid(reply->rights))
        return IMAP_NONSENSE;
    return IMAP_UNDERSTOOD;
}
