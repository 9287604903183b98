#include "fs/engine/signin.h"

#define SECOND ((gint64)G_USEC_PER_SEC)
/* Connections that are opened within moments share a token. */
#define TOKEN_SHARED (30 * SECOND)
/* From a refusal to the look for another secret; doubled each time that another one is refused. */
#define LOOK_AFTER (300 * SECOND)
#define LOOK_MOST (3600 * SECOND)
/* The same where the source gave nothing: no server heard of it. */
#define ASK_AFTER (60 * SECOND)
#define ASK_MOST LOOK_AFTER

void signin_init(struct signin *signin, struct secret *secret)
{
    *signin = (struct signin){.secret = secret != NULL ? secret_ref(secret) : NULL};
}

void signin_clear(struct signin *signin)
{
    g_clear_pointer(&signin->secret, secret_unref);
    g_clear_pointer(&signin->refused, secret_unref);
}

static void secret_keep(struct secret **field, struct secret *secret)
{
    if (secret != NULL)
        secret_ref(secret);
    secret_unref(*field);
    *field = secret;
}

enum opening_ask signin_ask(const struct signin *signin, const struct account *account, gint64 now)
{
    if (signin->insist)
        return OPENING_ASK_FIRST;
    if (signin->refused != NULL)
        return OPENING_ASK_ANOTHER;
    bool stale = signin->asked_us == 0 || now - signin->asked_us >= TOKEN_SHARED;
    return account->token_command != NULL && stale ? OPENING_ASK_FIRST : OPENING_ASK_IF_NEEDED;
}

static void secret_note(struct signin *signin, const struct opening *opening)
{
    secret_keep(&signin->secret, opening->secret);
    if (opening->fresh)
        signin->asked_us = opening->began_us;
}

bool signin_accepted(struct signin *signin, const struct opening *opening)
{
    bool refused = signin->refused != NULL;

    secret_note(signin, opening);
    g_clear_pointer(&signin->refused, secret_unref);
    signin->words[0] = '\0';
    signin->refusals = signin->failures = 0;
    return refused;
}

static gint64 doubled(gint64 first, unsigned times, gint64 most)
{
    return times < 10 ? MIN(first << times, most) : most;
}

gint64 signin_failed(struct signin *signin, const struct opening *opening)
{
    if (opening->outcome == OPENING_NOTHING)
        return doubled(ASK_AFTER, signin->failures++, ASK_MOST);
    signin->failures = 0;
    if (opening->outcome == OPENING_NOBODY)
        return -1;
    if (opening->outcome == OPENING_TRIED && opening->secret != NULL &&
        g_error_matches(opening->error, IMAP_ERROR, IMAP_ERROR_LOGIN)) {
        secret_note(signin, opening);
        secret_keep(&signin->refused, opening->secret);
        signin->refusals++;
        g_strlcpy(signin->words, opening->error->message, sizeof signin->words);
        if (!opening->can_ask)
            return -1;
    }
    return doubled(LOOK_AFTER, MAX(signin->refusals, 1) - 1, LOOK_MOST);
}
