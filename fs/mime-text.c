#include <errno.h>
#include <gmime/gmime.h>
#include <string.h>

#include "fs/mime-private.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* The charsets that are converted, each by a codec of iconv's that widens a byte to three at most.
 * No other is ever handed to iconv: its names come from strangers. `unit`: bytes that are passed
 * over where a sequence is invalid. Codecs beginning with ':' are ours. */
static const struct charset {
    const char *name, *codec;
    unsigned unit;
} CHARSETS[] = {
    {"utf-8", ":utf-8", 1},
    {"utf8", ":utf-8", 1},
    {"unicode-1-1-utf-8", ":utf-8", 1},
    {"us-ascii", ":ascii", 1},
    {"ascii", ":ascii", 1},
    {"ansi-x3.4-1968", ":ascii", 1},
    {"iso646-us", ":ascii", 1},
    {"unknown-8bit", ":ascii", 1},
    {"utf-16", ":utf-16", 2},
    {"utf16", ":utf-16", 2},
    {"unicode", ":utf-16", 2},
    {"ucs-2", ":utf-16", 2},
    {"iso-10646-ucs-2", ":utf-16", 2},
    {"utf-16le", "UTF-16LE", 2},
    {"utf-16be", "UTF-16BE", 2},
    {"utf-32", ":utf-32", 4},
    {"ucs-4", ":utf-32", 4},
    {"iso-10646-ucs-4", ":utf-32", 4},
    {"utf-32le", "UTF-32LE", 4},
    {"utf-32be", "UTF-32BE", 4},
    {"utf-7", "UTF-7", 1},
    {"unicode-1-1-utf-7", "UTF-7", 1},
    {"unicode-2-0-utf-7", "UTF-7", 1},
    {"latin1", "ISO-8859-1", 1},
    {"latin2", "ISO-8859-2", 1},
    {"iso-8859-6-e", "ISO-8859-6", 1},
    {"iso-8859-6-i", "ISO-8859-6", 1},
    {"iso-8859-8-e", "ISO-8859-8", 1},
    {"iso-8859-8-i", "ISO-8859-8", 1},
    {"koi8-r", "KOI8-R", 1},
    {"koi8-u", "KOI8-U", 1},
    {"koi8-ru", "KOI8-U", 1},
    {"shift-jis", "CP932", 1},
    {"sjis", "CP932", 1},
    {"ms-kanji", "CP932", 1},
    {"windows-31j", "CP932", 1},
    {"cp932", "CP932", 1},
    {"ms932", "CP932", 1},
    {"euc-jp", "EUC-JP", 1},
    {"eucjp", "EUC-JP", 1},
    {"iso-2022-jp", "ISO-2022-JP", 1},
    {"iso-2022-jp-1", "ISO-2022-JP-1", 1},
    {"iso-2022-jp-2", "ISO-2022-JP-2", 1},
    {"iso-2022-kr", "ISO-2022-KR", 1},
    {"iso-2022-cn", "ISO-2022-CN", 1},
    {"gb2312", "GB18030", 1},
    {"gb-2312-80", "GB18030", 1},
    {"gb2312-80", "GB18030", 1},
    {"euc-cn", "GB18030", 1},
    {"gbk", "GB18030", 1},
    {"cp936", "GB18030", 1},
    {"windows-936", "GB18030", 1},
    {"ms936", "GB18030", 1},
    {"gb18030", "GB18030", 1},
    {"big5", "BIG5", 1},
    {"big-5", "BIG5", 1},
    {"cn-big5", "BIG5", 1},
    {"cp950", "BIG5", 1},
    {"windows-950", "BIG5", 1},
    {"big5-hkscs", "BIG5-HKSCS", 1},
    {"euc-tw", "EUC-TW", 1},
    {"euc-kr", "UHC", 1},
    {"ks-c-5601-1987", "UHC", 1},
    {"ks-c-5601", "UHC", 1},
    {"ksc5601", "UHC", 1},
    {"ksc-5601", "UHC", 1},
    {"uhc", "UHC", 1},
    {"cp949", "UHC", 1},
    {"windows-949", "UHC", 1},
    {"ms949", "UHC", 1},
    {"johab", "JOHAB", 1},
    {"cp1361", "JOHAB", 1},
    {"tis-620", "TIS-620", 1},
    {"macintosh", "MACINTOSH", 1},
    {"mac-roman", "MACINTOSH", 1},
    {"mac-cyrillic", "MAC-CYRILLIC", 1},
    {"viscii", "VISCII", 1},
    {"tcvn", "TCVN5712-1", 1},
    {"tcvn5712-1", "TCVN5712-1", 1},
    {"armscii-8", "ARMSCII-8", 1},
    {"georgian-ps", "GEORGIAN-PS", 1},
    {"georgian-academy", "GEORGIAN-ACADEMY", 1},
    {"hp-roman8", "HP-ROMAN8", 1},
};

/* Charsets with a number: "iso-8859-15", "windows-1252", "ibm850". */
static const struct {
    const char *prefix, *codec;
    int first, last;
} FAMILIES[] = {
    {"iso-8859-", "ISO-8859-%d", 1, 16},
    {"iso8859-", "ISO-8859-%d", 1, 16},
    {"8859-", "ISO-8859-%d", 1, 16},
    {"windows-", "CP%d", 1250, 1258},
    {"cp-", "CP%d", 1250, 1258},
    {"cp", "CP%d", 1250, 1258},
    {"windows-", "CP%d", 874, 874},
    {"cp", "CP%d", 874, 874},
    {"ibm", "IBM%d", 437, 437},
    {"cp", "IBM%d", 437, 437},
    {"ibm", "IBM%d", 850, 850},
    {"cp", "IBM%d", 850, 850},
    {"ibm", "IBM%d", 852, 869},
    {"cp", "IBM%d", 852, 869},
    {"cp", "CP%d", 737, 775},
};

enum { CHARSET_NAME_MAX = 40 };

/* Small differences of spelling removed: case, quotes, "_" for "-", "x-" and "cs" in front. */
static void charset_normalize(const char *name, char out[CHARSET_NAME_MAX])
{
    size_t length = 0;
    for (; *name && length < CHARSET_NAME_MAX - 1; name++) {
        if (strchr("\"' \t", *name))
            continue;
        out[length++] = *name == '_' ? '-' : g_ascii_tolower(*name);
    }
    out[*name ? 0 : length] = '\0';
    while (strncmp(out, "x-", 2) == 0)
        memmove(out, out + 2, strlen(out + 2) + 1);
    if (strncmp(out, "cs", 2) == 0 && out[2] != '-')
        memmove(out, out + 2, strlen(out + 2) + 1);
}

static bool charset_of_family(const char *name, char codec[CHARSET_NAME_MAX])
{
    for (size_t i = 0; i < G_N_ELEMENTS(FAMILIES); i++) {
        size_t length = strlen(FAMILIES[i].prefix);
        if (strncmp(name, FAMILIES[i].prefix, length) != 0 || !g_ascii_isdigit(name[length]))
            continue;
        char *end;
        guint64 number = g_ascii_strtoull(name + length, &end, 10);
        if (*end || number < (guint64)FAMILIES[i].first || number > (guint64)FAMILIES[i].last)
            continue;
        const char *digits = strstr(FAMILIES[i].codec, "%d");
        g_snprintf(codec, CHARSET_NAME_MAX, "%.*s%d", (int)(digits - FAMILIES[i].codec),
                   FAMILIES[i].codec, (int)number);
        return true;
    }
    return false;
}

/* Finds the codec for a charset's name. Returns its unit, 0: unknown. */
static unsigned charset_find(const char *name, char codec[CHARSET_NAME_MAX])
{
    char normal[CHARSET_NAME_MAX];
    charset_normalize(name, normal);
    if (!*normal)
        g_strlcpy(normal, "us-ascii", sizeof normal);
    for (size_t i = 0; i < G_N_ELEMENTS(CHARSETS); i++) {
        if (strcmp(CHARSETS[i].name, normal) != 0)
            continue;
        g_strlcpy(codec, CHARSETS[i].codec, CHARSET_NAME_MAX);
        return CHARSETS[i].unit;
    }
    return charset_of_family(normal, codec) ? 1 : 0;
}

/* The length of the UTF-8 character at `p`; 0 if it is invalid, and then `bad` is how many bytes
 * one U+FFFD stands for: the longest start of a valid character (Unicode, 3.9, as browsers do). */
static size_t utf8_length(const unsigned char *p, size_t length, size_t *bad)
{
    *bad = 1;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    size_t need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    unsigned low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < need; i++) {
        if (i >= length || p[i] < low || p[i] > high)
            return 0;
        *bad = i + 1;
        low = 0x80;
        high = 0xbf;
    }
    return need;
}

static bool utf8_is_valid(const unsigned char *bytes, size_t length)
{
    size_t bad, step;
    for (size_t at = 0; at < length; at += step)
        if ((step = utf8_length(bytes + at, length - at, &bad)) == 0)
            return false;
    return true;
}

static void utf8_append(const unsigned char *bytes, size_t length, GString *out)
{
    size_t bad, run = 0;
    for (size_t at = 0; at < length;) {
        size_t step = utf8_length(bytes + at, length - at, &bad);
        if (step) {
            at += step;
            continue;
        }
        g_string_append_len(out, (const char *)bytes + run, (gssize)(at - run));
        g_string_append(out, REPLACEMENT);
        at += bad;
        run = at;
    }
    g_string_append_len(out, (const char *)bytes + run, (gssize)(length - run));
}

/* Runs iconv over all input. */
static bool iconv_append(const char *codec, unsigned unit, const void *bytes, size_t length,
                         GString *out)
{
    iconv_t cd = g_mime_iconv_open("UTF-8", codec);
    if (cd == (iconv_t)-1)
        return false;
    char *in = (char *)bytes, buffer[4096];
    size_t left = length;
    for (bool flushing = false;;) {
        char *at = buffer;
        size_t room = sizeof buffer;
        size_t rc =
            flushing ? iconv(cd, NULL, NULL, &at, &room) : iconv(cd, &in, &left, &at, &room);
        int error = rc == (size_t)-1 ? errno : 0;
        g_string_append_len(out, buffer, at - buffer);
        if (error == E2BIG)
            continue;
        if (flushing)
            break;
        if (error && left > 0) {
            g_string_append(out, REPLACEMENT);
            size_t skip = error == EINVAL ? left : MIN(unit, left);
            in += skip;
            left -= skip;
        }
        flushing = left == 0;
    }
    g_mime_iconv_close(cd);
    return true;
}

GString *mime_text_without_nuls(GString *text)
{
    if (!memchr(text->str, '\0', text->len))
        return text;
    GString *out = g_string_sized_new(text->len + 16);
    for (gsize i = 0; i < text->len; i++)
        if (text->str[i])
            g_string_append_c(out, text->str[i]);
        else
            g_string_append(out, REPLACEMENT);
    g_string_free(text, TRUE);
    return out;
}

void mime_text_guess(const void *bytes, size_t length, GString *out)
{
    if (utf8_is_valid(bytes, length) || !iconv_append("CP1252", 1, bytes, length, out))
        utf8_append(bytes, length, out);
}

/* UTF-16 or UTF-32 by its byte order mark, which `mark` counts; without one by where the zeros are,
 * big-endian if they do not say (RFC 2781, 4.3). */
static const char *unicode_codec(unsigned unit, const unsigned char *bytes, size_t length,
                                 size_t *mark)
{
    const char *little = unit == 2 ? "UTF-16LE" : "UTF-32LE";
    const char *big = unit == 2 ? "UTF-16BE" : "UTF-32BE";
    *mark = length >= unit ? unit : 0;
    if (*mark && bytes[0] == 0xff && bytes[1] == 0xfe)
        return little;
    if (*mark && bytes[unit - 2] == 0xfe && bytes[unit - 1] == 0xff)
        return big;
    *mark = 0;
    size_t first = 0, last = 0;
    for (size_t i = 0; i + unit <= MIN(length, 4096); i += unit) {
        first += bytes[i] == 0;
        last += bytes[i + unit - 1] == 0;
    }
    return last > first ? little : big;
}

bool mime_text_convert(const char *charset, const void *bytes, size_t length, GString *out)
{
    char codec[CHARSET_NAME_MAX];
    unsigned unit = charset_find(charset ? charset : "", codec);
    if (unit == 0)
        return false;
    if (strcmp(codec, ":utf-8") == 0) {
        utf8_append(bytes, length, out);
        return true;
    }
    if (strcmp(codec, ":ascii") == 0) {
        mime_text_guess(bytes, length, out);
        return true;
    }
    const unsigned char *text = bytes;
    size_t mark = 0;
    if (*codec == ':')
        g_strlcpy(codec, unicode_codec(unit, text, length, &mark), sizeof codec);
    return iconv_append(codec, unit, text + mark, length - mark, out);
}
