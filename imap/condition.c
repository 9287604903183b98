/* Replies in words: conditions with their response codes, tagged or not, and lists of words. */
#include "imap/decode.h"

#include <string.h>

static void upper(char *text)
{
    for (; *text != '\0'; text++)
        *text = g_ascii_toupper(*text);
}

/* Splits at blanks. "LITERAL +" becomes one word, as it was meant. */
static const char *const *words_split(struct imap_decoder *decoder, char *text)
{
    size_t size = 2;
    for (const char *c = text; *c != '\0'; c++)
        size += *c == ' ';
    const char **words = imap_arena_alloc(decoder->parser->arena, size * sizeof(*words));
    size_t count = 0;
    upper(text);
    for (char *save, *word = strtok_r(text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        if (count > 0 && strcmp(word, "+") == 0 && strcmp(words[count - 1], "LITERAL") == 0)
            words[count - 1] = "LITERAL+";
        else
            words[count++] = word;
    }
    words[count] = NULL;
    return words;
}

enum imap_outcome imap_read_words(struct imap_decoder *decoder)
{
    imap_cursor_blank(&decoder->cursor);
    decoder->reply->words = words_split(decoder, imap_cursor_rest(&decoder->cursor));
    return IMAP_UNDERSTOOD;
}

static const struct imap_condition_word CONDITIONS[] = {
    {"OK", IMAP_COND_OK, true},
    {"NO", IMAP_COND_NO, true},
    {"BAD", IMAP_COND_BAD, true},
    {"BYE", IMAP_COND_BYE, false},
    {"PREAUTH", IMAP_COND_PREAUTH, false},
};

const struct imap_condition_word *imap_condition_find(const char *word)
{
    for (size_t i = 0; i < G_N_ELEMENTS(CONDITIONS); i++)
        if (g_ascii_strcasecmp(CONDITIONS[i].name, word) == 0)
            return &CONDITIONS[i];
    return NULL;
}

/* The "]" that ends a code: one before a blank or the end of the line, since flags hold "]" too. */
static char *code_end(char *text)
{
    char *first = strchr(text, ']');
    for (char *end = first; end != NULL; end = strchr(end + 1, ']'))
        if (end[1] == ' ' || end[1] == '\0')
            return end;
    return first;
}

static void code_read(struct imap_decoder *decoder, char *code)
{
    struct imap_reply *reply = decoder->reply;
    code += strspn(code, " ");
    char *value = code + strcspn(code, " ");
    if (*value != '\0') {
        *value++ = '\0';
        value += strspn(value, " ");
    }
    upper(code);
    reply->code = code;
    if (*value == '\0')
        return;
    reply->code_value = value;
    for (const char *digit = value; g_ascii_isdigit(*digit); digit++) {
        if (reply->code_number > G_MAXINT64 / 10 - 1) {
            reply->code_number = 0;
            return;
        }
        reply->code_number = reply->code_number * 10 + (uint64_t)(*digit - '0');
    }
}

/* "[CODE value] text" (RFC 9051, 9: resp-text); code and text may both be missing. */
static void text_read(struct imap_decoder *decoder)
{
    imap_cursor_blank(&decoder->cursor);
    char *text = imap_cursor_rest(&decoder->cursor);
    char *end = *text == '[' ? code_end(text) : NULL;
    decoder->reply->text = text;
    if (end == NULL || end == text + 1)
        return;
    *end++ = '\0';
    decoder->reply->text = end + strspn(end, " ");
    code_read(decoder, text + 1);
    if (strcmp(decoder->reply->code, "CAPABILITY") == 0 && decoder->reply->code_value != NULL) {
        size_t size = strlen(decoder->reply->code_value) + 1;
        char *copy = imap_arena_alloc(decoder->parser->arena, size);
        memcpy(copy, decoder->reply->code_value, size);
        decoder->reply->words = words_split(decoder, copy);
    }
}

enum imap_outcome imap_read_condition(struct imap_decoder *decoder,
                                      const struct imap_condition_word *condition)
{
    decoder->reply->condition = condition->condition;
    text_read(decoder);
    return IMAP_UNDERSTOOD;
}

enum imap_outcome imap_read_tagged(struct imap_decoder *decoder)
{
    struct imap_token tag, word;
    if (imap_cursor_next(&decoder->cursor, &tag) != IMAP_TOKEN_ATOM ||
        imap_cursor_next(&decoder->cursor, &word) != IMAP_TOKEN_ATOM)
        return IMAP_NONSENSE;
    const struct imap_condition_word *condition = imap_condition_find(word.data);
    if (condition == NULL || !condition->tagged)
        return IMAP_NONSENSE;
    decoder->reply->kind = IMAP_REPLY_TAGGED;
    decoder->reply->tag = tag.data;
    return imap_read_condition(decoder, condition);
}

enum imap_outcome imap_read_continue(struct imap_decoder *decoder)
{
    struct imap_cursor *cursor = &decoder->cursor;
    imap_cursor_init(cursor, decoder->parser, 1);
    if (cursor->c != '\0' && cursor->c != ' ')
        return IMAP_NONSENSE;
    imap_cursor_blank(cursor);
    decoder->reply->kind = IMAP_REPLY_CONTINUE;
    decoder->reply->text = imap_cursor_rest(cursor);
    return IMAP_UNDERSTOOD;
}
