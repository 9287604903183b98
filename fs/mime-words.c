/* Encoded words (RFC 2047), as they are met: in quotes, without blanks around them, too long, with
 * a character cut in two between them. GMime's decoder is not used: of neighbouring base64 words
 * with padding it keeps the first only. */
#include <string.h>

#include "fs/mime-private.h"

enum { WORD_CHARSET_MAX = 64 };

struct word {
    const char *charset, *text, *end; /* `end` is behind the "?=" */
    size_t charset_length, text_length;
    bool base64;
};

/* What has been read of neighbouring words of one charset, and where the text goes. */
struct decoder {
    GString *out, *bytes;
    char charset[WORD_CHARSET_MAX]; /* "": there are no bytes */
};

/* Reads the word at `p` ("=?"). Sets *hopeless if there is no "?=" in the text up to `end`. */
static bool word_read(const char *p, const char *end, struct word *word, bool *hopeless)
{
    word->charset = p + 2;
    word->charset_length = strcspn(word->charset, "?* \t()<>@,;:\"/[].=");
    const char *mark = word->charset + strcspn(word->charset, "? ");
    if (word->charset_length == 0 || word->charset_length >= WORD_CHARSET_MAX || mark[0] != '?' ||
        !mark[1] || !strchr("bBqQ", mark[1]) || mark[2] != '?')
        return false;
    word->base64 = g_ascii_tolower(mark[1]) == 'b';
    word->text = mark + 3;
    const char *close = g_strstr_len(word->text, end - word->text, "?=");
    if (!close) {
        *hopeless = true;
        return false;
    }
    word->text_length = (size_t)(close - word->text);
    word->end = close + 2;
    return true;
}

static void q_append(GString *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '=' && i + 2 < length && g_ascii_isxdigit(text[i + 1]) &&
            g_ascii_isxdigit(text[i + 2])) {
            int c = g_ascii_xdigit_value(text[i + 1]) << 4 | g_ascii_xdigit_value(text[i + 2]);
            g_string_append_c(out, (char)c);
            i += 2;
        } else {
            g_string_append_c(out, text[i] == '_' ? ' ' : text[i]);
        }
    }
}

/* Converts the bytes of the words read so far. */
static void decoder_flush(struct decoder *decoder)
{
    const GString *bytes = decoder->bytes;
    if (*decoder->charset &&
        !mime_text_convert(decoder->charset, bytes->str, bytes->len, decoder->out))
        mime_text_guess(bytes->str, bytes->len, decoder->out);
    g_string_truncate(decoder->bytes, 0);
    *decoder->charset = '\0';
}

static void decoder_word(struct decoder *decoder, const struct word *word)
{
    char charset[WORD_CHARSET_MAX];
    g_snprintf(charset, sizeof charset, "%.*s", (int)word->charset_length, word->charset);
    if (g_ascii_strcasecmp(charset, decoder->charset) != 0) {
        decoder_flush(decoder);
        g_strlcpy(decoder->charset, charset, sizeof decoder->charset);
    }
    if (!word->base64) {
        q_append(decoder->bytes, word->text, word->text_length);
        return;
    }
    g_autoptr(GBytes) bytes =
        mime_encoding_remove(CACHE_ENCODING_BASE64, word->text, word->text_length);
    gsize length;
    const char *data = g_bytes_get_data(bytes, &length);
    g_string_append_len(decoder->bytes, data ? data : "", (gssize)length);
}

/* Text between words. Blanks between two words do not count. */
static void decoder_plain(struct decoder *decoder, const char *from, const char *to, bool last)
{
    bool blank = strspn(from, " \t") >= (size_t)(to - from);
    if (*decoder->charset && blank && !last)
        return;
    decoder_flush(decoder);
    mime_text_guess(from, (size_t)(to - from), decoder->out);
}

static void decode(struct decoder *decoder, const char *text)
{
    bool hopeless = false;
    const char *plain = text, *end = text + strlen(text);
    for (const char *p = text; !hopeless && (p = g_strstr_len(p, end - p, "=?"));) {
        struct word word;
        if (!word_read(p, end, &word, &hopeless)) {
            p += 2;
            continue;
        }
        decoder_plain(decoder, plain, p, false);
        decoder_word(decoder, &word);
        plain = p = word.end;
    }
    decoder_plain(decoder, plain, end, true);
}

char *mime_words_decode(const char *text)
{
    if (g_str_is_ascii(text) && !strstr(text, "=?"))
        return g_strdup(text);
    struct decoder decoder = {.out = g_string_new(NULL), .bytes = g_string_new(NULL)};
    decode(&decoder, text);
    g_string_free(decoder.bytes, TRUE);
    return g_string_free(mime_text_without_nuls(decoder.out), FALSE);
}
