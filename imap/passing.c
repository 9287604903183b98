/* Which refusals pass, by their codes (RFC 5530, 3) and, where servers have none, by their words.
 */
#include <string.h>

#include "imap/imap.h"

#define WAIT_MOST_MS ((uint64_t)24 * 3600 * 1000)
/* Between the words and the number of "Backoff Time: 300". */
#define NUMBER_APART 4

enum where {
    ANYWHERE,
    BARE, /* without a code that says otherwise */
};

/* The first row that fits says it. Words are in lower case. */
static const struct row {
    const char *code, *words; /* NULL: any */
    enum where where;
    enum imap_passing passing;
} ROWS[] = {
    {"OVERQUOTA", NULL, ANYWHERE, IMAP_PASSING_QUOTA}, /* Gmail, for what is fetched */
    {"QUOTA", NULL, ANYWHERE, IMAP_PASSING_QUOTA},
    {"THROTTLED", NULL, ANYWHERE, IMAP_PASSING_PAUSE},
    {NULL, "throttl", ANYWHERE, IMAP_PASSING_PAUSE}, /* Exchange */
    {NULL, "backoff time", ANYWHERE, IMAP_PASSING_PAUSE},
    {NULL, "back-off time", ANYWHERE, IMAP_PASSING_PAUSE},
    {NULL, "rate limit", ANYWHERE, IMAP_PASSING_PAUSE}, /* Yahoo */
    {NULL, "bandwidth limit", ANYWHERE, IMAP_PASSING_PAUSE},
    {NULL, "too many requests", ANYWHERE, IMAP_PASSING_PAUSE},
    {NULL, "too many commands", ANYWHERE, IMAP_PASSING_PAUSE},
    {"LIMIT", NULL, ANYWHERE, IMAP_PASSING_LATER}, /* of rates, or of what a message may be */
    {"UNAVAILABLE", NULL, ANYWHERE, IMAP_PASSING_TROUBLE},
    {"SERVERBUG", NULL, ANYWHERE, IMAP_PASSING_TROUBLE},
    {"INUSE", NULL, ANYWHERE, IMAP_PASSING_TROUBLE},
    {"CONTACTADMIN", NULL, ANYWHERE, IMAP_PASSING_TROUBLE},
    {NULL, "try again later", BARE, IMAP_PASSING_LATER},
    {NULL, "try later", BARE, IMAP_PASSING_LATER},
    {NULL, "retry later", BARE, IMAP_PASSING_LATER},
    {NULL, "try again in", BARE, IMAP_PASSING_LATER},
    {NULL, "retry after", BARE, IMAP_PASSING_LATER},
};

/* Of a NO without a code, in lower case. */
static const char *const TROUBLES[] = {
    "i/o error", "input/output error", "internal error", "internal server error",
    "temporar",  "cannot open",
};

/* Of a mailbox that is not there, in lower case. */
static const char *const GONE[] = {
    "deleted under us",       /* Dovecot, while it is written to */
    "mailbox does not exist", /* Cyrus */
    "mailbox doesn't exist",  /* Dovecot */
    "mailbox has been deleted", "no such mailbox", "unknown mailbox", "folder does not exist",
    "folder doesn't exist",     "no such folder",  "unknown folder",
};

/* Of rights, in lower case. */
static const char *const RIGHTS[] = {"permission denied", "access denied", "not permitted"};

/* What stands before the time to wait, and the unit of a number that has none. */
static const struct spelling {
    const char *words;
    uint64_t unit_ms;
} SPELLINGS[] = {
    {"backoff time", 1}, {"back-off time", 1},   {"retry after", 1000},
    {"retry in", 1000},  {"try again in", 1000}, {"try again after", 1000},
};

static const struct unit {
    const char *word; /* how it begins */
    uint64_t ms;
} UNITS[] = {
    {"ms", 1}, {"milli", 1}, {"msec", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000},
};

static uint64_t unit_of(const char *text, uint64_t otherwise)
{
    text += strspn(text, " ");
    for (size_t i = 0; i < G_N_ELEMENTS(UNITS); i++)
        if (g_str_has_prefix(text, UNITS[i].word))
            return UNITS[i].ms;
    return otherwise;
}

/* Returns 0 if there is no number where it should be. */
static uint64_t wait_at(const char *text, uint64_t unit_ms)
{
    size_t apart = strspn(text, " :=");
    uint64_t number = 0;
    if (apart > NUMBER_APART || !g_ascii_isdigit(text[apart]))
        return 0;
    for (text += apart; g_ascii_isdigit(*text); text++)
        number = MIN(number * 10 + (uint64_t)(*text - '0'), WAIT_MOST_MS);
    if (*text == '.') /* parts of a unit do not matter */
        text += 1 + strspn(text + 1, "0123456789");
    return MIN(number * unit_of(text, unit_ms), WAIT_MOST_MS);
}

static uint64_t wait_of(const char *lower)
{
    for (size_t i = 0; i < G_N_ELEMENTS(SPELLINGS); i++) {
        const char *at = strstr(lower, SPELLINGS[i].words);
        uint64_t wait =
            at != NULL ? wait_at(at + strlen(SPELLINGS[i].words), SPELLINGS[i].unit_ms) : 0;
        if (wait > 0)
            return wait;
    }
    return 0;
}

static bool is_refusal(enum imap_error error)
{
    return error == IMAP_ERROR_NO || error == IMAP_ERROR_BAD || error == IMAP_ERROR_UNAVAILABLE ||
           error == IMAP_ERROR_OVERQUOTA;
}

static bool is_bare(const char *code)
{
    return code == NULL || strcmp(code, "ALERT") == 0;
}

static bool row_fits(const struct row *row, const char *code, const char *lower)
{
    if (row->where == BARE && !is_bare(code))
        return false;
    if (row->code != NULL && (code == NULL || g_ascii_strcasecmp(row->code, code) != 0))
        return false;
    return row->words == NULL || strstr(lower, row->words) != NULL;
}

enum imap_passing imap_passing_of(const struct imap_result *result, uint64_t *wait_ms)
{
    g_autofree char *lower = g_ascii_strdown(result->text != NULL ? result->text : "", -1);
    if (wait_ms != NULL)
        *wait_ms = 0;
    if (!is_refusal(result->error))
        return IMAP_PASSING_NOT;
    for (size_t i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        if (!row_fits(&ROWS[i], result->code, lower))
            continue;
        if (wait_ms != NULL && ROWS[i].passing > IMAP_PASSING_TROUBLE)
            *wait_ms = wait_of(lower);
        return ROWS[i].passing;
    }
    return result->error == IMAP_ERROR_UNAVAILABLE ? IMAP_PASSING_TROUBLE : IMAP_PASSING_NOT;
}

static bool has_words(const char *text, const char *const *words, size_t count)
{
    g_autofree char *lower = g_ascii_strdown(text, -1);
    for (size_t i = 0; i < count; i++)
        if (strstr(lower, words[i]) != NULL)
            return true;
    return false;
}

bool imap_is_trouble(const struct imap_result *result)
{
    return result->error == IMAP_ERROR_NO && is_bare(result->code) && result->text != NULL &&
           has_words(result->text, TROUBLES, G_N_ELEMENTS(TROUBLES));
}

bool imap_is_mailbox_gone(const struct imap_result *result)
{
    bool vague = result->error == IMAP_ERROR_NO || result->error == IMAP_ERROR_CANNOT ||
                 result->error == IMAP_ERROR_UNAVAILABLE;
    if (result->error == IMAP_ERROR_NONEXISTENT)
        return true;
    return vague && result->text != NULL && has_words(result->text, GONE, G_N_ELEMENTS(GONE));
}

bool imap_is_not_permitted(const struct imap_result *result)
{
    bool bare = result->error == IMAP_ERROR_NO && is_bare(result->code) && result->text != NULL;
    return result->error == IMAP_ERROR_NOPERM ||
           (bare && has_words(result->text, RIGHTS, G_N_ELEMENTS(RIGHTS)));
}
