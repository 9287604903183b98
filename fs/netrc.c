#include "fs/netrc.h"

#include <glib.h>
#include <string.h>

/* A word of the file, where it stands: nothing of it is copied, as it may be a password. */
struct token {
    const char *text; /* NULL: there is none */
    size_t length;    /* without its quotes */
    bool quoted;      /* backslashes mean something */
};

struct reader {
    const char *at, *end;
    const char *start;
};

struct entry {
    bool here; /* of the host that is looked for */
    struct token login, password;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void line_skip(struct reader *reader)
{
    const char *end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    reader->at = end != NULL ? end + 1 : reader->end;
}

/* Up to the next word; a # that begins a line, or stands where a keyword may, begins a comment. */
static void blanks_skip(struct reader *reader, bool keyword)
{
    bool fresh = keyword || reader->at == reader->start || reader->at[-1] == '\n';

    while (reader->at < reader->end) {
        char c = *reader->at;
        if (c == '\n')
            fresh = true;
        else if (c == '#' && fresh) {
            line_skip(reader);
            continue;
        } else if (!is_blank(c))
            return;
        reader->at++;
    }
}

/* False if the closing quote is missing. */
static bool quoted_take(struct reader *reader, struct token *token)
{
    const char *at = ++reader->at;

    while (at < reader->end && *at != '"' && *at != '\n')
        at += *at == '\\' ? 2 : 1;
    if (at >= reader->end || *at != '"')
        return false;
    *token = (struct token){reader->at, (size_t)(at - reader->at), true};
    reader->at = at + 1;
    return true;
}

/* False if it makes no sense; a token without text at the end of the file. */
static bool token_take(struct reader *reader, bool keyword, struct token *token)
{
    *token = (struct token){0};
    blanks_skip(reader, keyword);
    if (reader->at == reader->end)
        return true;
    if (*reader->at == '"')
        return quoted_take(reader, token);
    token->text = reader->at;
    while (reader->at < reader->end && *reader->at != '\n' && !is_blank(*reader->at))
        reader->at++;
    token->length = (size_t)(reader->at - token->text);
    return true;
}

/* The byte at `*i`, which moves on behind it. */
static char token_byte(const struct token *token, size_t *i)
{
    char c = token->text[(*i)++];

    if (c != '\\' || !token->quoted || *i == token->length)
        return c;
    c = token->text[(*i)++];
    return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
}

static bool token_is(const struct token *token, const char *word, bool any_case)
{
    size_t i = 0;

    while (i < token->length) {
        char c = token_byte(token, &i);
        if (any_case ? g_ascii_tolower(c) != g_ascii_tolower(*word) : c != *word)
            return false;
        if (*word++ == '\0')
            return false;
    }
    return *word == '\0';
}

/* A macro ends with an empty line. */
static void macro_skip(struct reader *reader)
{
    line_skip(reader);
    while (reader->at < reader->end) {
        const char *at = reader->at;
        line_skip(reader);
        while (at < reader->end && is_blank(*at))
            at++;
        if (at == reader->end || *at == '\n')
            return;
    }
}

/* ---- entries -------------------------------------------------------------------------------- */

struct search {
    struct reader reader;
    const char *host, *user;
    struct entry entry;
    struct token found; /* of the right user, or of no named one */
    bool exact;
};

static void entry_end(struct search *search)
{
    const struct entry *entry = &search->entry;
    bool named = entry->login.text != NULL;

    if (entry->here && entry->password.text != NULL && !search->exact &&
        (named ? token_is(&entry->login, search->user, false) : search->found.text == NULL)) {
        search->found = entry->password;
        search->exact = named;
    }
    search->entry = (struct entry){0};
}

static bool machine_take(struct search *search)
{
    struct token name;

    entry_end(search);
    if (!token_take(&search->reader, false, &name) || name.text == NULL)
        return false;
    search->entry.here = token_is(&name, search->host, true);
    return true;
}

static bool default_take(struct search *search)
{
    entry_end(search);
    return true;
}

static bool value_take(struct search *search, struct token *token)
{
    return token_take(&search->reader, false, token) && token->text != NULL;
}

static bool login_take(struct search *search)
{
    return value_take(search, &search->entry.login);
}

static bool password_take(struct search *search)
{
    return value_take(search, &search->entry.password);
}

static bool account_take(struct search *search)
{
    struct token ignored;
    return value_take(search, &ignored);
}

static bool macdef_take(struct search *search)
{
    macro_skip(&search->reader);
    return true;
}

static const struct keyword {
    const char *word;
    bool (*take)(struct search *search);
} KEYWORDS[] = {
    {"machine", machine_take},   {"default", default_take}, {"login", login_take},
    {"password", password_take}, {"account", account_take}, {"macdef", macdef_take},
};

/* What is no keyword is passed over, as curl does. */
static bool keyword_take(struct search *search, const struct token *token)
{
    for (size_t i = 0; i < G_N_ELEMENTS(KEYWORDS); i++)
        if (token_is(token, KEYWORDS[i].word, true))
            return KEYWORDS[i].take(search);
    return true;
}

static unsigned line_number(const struct reader *reader)
{
    unsigned line = 1;

    for (const char *at = reader->start; at < reader->at && at < reader->end; at++)
        line += *at == '\n';
    return line;
}

enum netrc_result netrc_find(const char *text, size_t length, const char *host, const char *user,
                             char *password, size_t *written, unsigned *line)
{
    struct search search = {.reader = {text, text + length, text}, .host = host, .user = user};
    struct token token;

    do {
        if (!token_take(&search.reader, true, &token) ||
            (token.text != NULL && !keyword_take(&search, &token))) {
            *line = line_number(&search.reader);
            return NETRC_BROKEN;
        }
    } while (token.text != NULL);
    entry_end(&search);
    if (search.found.text == NULL)
        return NETRC_NONE;
    *written = 0;
    for (size_t i = 0; i < search.found.length;)
        password[(*written)++] = token_byte(&search.found, &i);
    return NETRC_FOUND;
}
