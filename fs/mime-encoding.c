#include <string.h>

#include "fs/mime-private.h"

static const struct {
    const char *name;
    enum cache_part_encoding encoding;
} ENCODINGS[] = {
    {"7bit", CACHE_ENCODING_IDENTITY},
    {"8bit", CACHE_ENCODING_IDENTITY},
    {"binary", CACHE_ENCODING_IDENTITY},
    {"base64", CACHE_ENCODING_BASE64},
    {"quoted-printable", CACHE_ENCODING_QUOTED_PRINTABLE},
    {"x-uuencode", CACHE_ENCODING_UUENCODE},
    {"uuencode", CACHE_ENCODING_UUENCODE},
    {"x-uue", CACHE_ENCODING_UUENCODE},
    {"uue", CACHE_ENCODING_UUENCODE},
};

enum cache_part_encoding mime_encoding(const char *name)
{
    if (!name)
        return CACHE_ENCODING_IDENTITY;
    g_auto(mime_value) value;
    mime_value_parse(name, &value);
    for (size_t i = 0; i < G_N_ELEMENTS(ENCODINGS); i++)
        if (strcmp(value.type, ENCODINGS[i].name) == 0)
            return ENCODINGS[i].encoding;
    return CACHE_ENCODING_IDENTITY;
}

/* ---- base64 --------------------------------------------------------------------------------- */

/* Whatever is no digit is passed over; complete padding ends it, since lists put their footers
 * there; missing padding loses nothing. (GMime's decoder would drop what is not padded, and go on
 * behind the padding.) */
static size_t base64_remove(const uint8_t *in, size_t length, uint8_t *out)
{
    size_t made = 0;
    unsigned digits = 0, pads = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < length && digits + pads < 4; i++) {
        uint8_t digit = mime_base64_digit(in[i]);
        if (digit == MIME_BASE64_NONE) {
            pads += in[i] == '=' && digits >= 2;
            continue;
        }
        pads = 0;
        bits = bits << 6 | digit;
        if (++digits < 4)
            continue;
        out[made++] = (uint8_t)(bits >> 16);
        out[made++] = (uint8_t)(bits >> 8);
        out[made++] = (uint8_t)bits;
        digits = 0;
    }
    if (digits >= 2)
        out[made++] = (uint8_t)(bits << 6 * (4 - digits) >> 16);
    if (digits == 3)
        out[made++] = (uint8_t)(bits << 6 >> 8);
    return made;
}

/* ---- uuencode ------------------------------------------------------------------------------- */

/* One line's bytes: a character that counts them, then four characters for each three. Bytes that
 * the line is too short for are left out. */
static size_t uu_line(const uint8_t *line, size_t length, uint8_t *out)
{
    size_t count = (line[0] - 32) & 63, made = 0;
    for (size_t i = 1; i < length && made < count; i += 4) {
        uint32_t bits = 0;
        for (size_t j = i; j < i + 4; j++)
            bits = bits << 6 | (j < length ? (line[j] - 32) & 63 : 0);
        for (int shift = 16; shift >= 0 && made < count; shift -= 8)
            out[made++] = (uint8_t)(bits >> shift);
    }
    return made;
}

/* Without a "begin" line there is nothing to remove. */
static size_t uu_remove(const uint8_t *in, size_t length, uint8_t *out)
{
    const char *text = (const char *)in;
    size_t next, made = 0;
    bool begun = false;
    for (size_t at = 0; at < length; at = next) {
        size_t line = mime_line(text, length, at, &next);
        if (!begun)
            begun = line >= 6 && memcmp(text + at, "begin ", 6) == 0;
        else if (line == 3 && memcmp(text + at, "end", 3) == 0)
            return made;
        else if (line > 0)
            made += uu_line(in + at, line, out + made);
    }
    if (begun)
        return made;
    memcpy(out, in, length);
    return length;
}

/* ---- quoted-printable ----------------------------------------------------------------------- */

/* Whether the bytes after a "=" make a soft line break, of `bytes` bytes. White space before the
 * line end was added on the way (RFC 2045, 6.7), and the last line's end may be missing. */
static bool qp_is_soft(const uint8_t *in, size_t length, size_t *bytes)
{
    size_t i = 0;
    while (i < length && (in[i] == ' ' || in[i] == '\t'))
        i++;
    if (i + 1 < length && in[i] == '\r' && in[i + 1] == '\n')
        i++;
    *bytes = i < length ? i + 1 : i;
    return i == length || in[i] == '\n';
}

static bool qp_is_byte(const uint8_t *in, size_t length)
{
    return length >= 2 && g_ascii_isxdigit((char)in[0]) && g_ascii_isxdigit((char)in[1]);
}

/* A "=" that means nothing stays, with the byte behind it: such text was never encoded. */
static size_t qp_remove(const uint8_t *in, size_t length, uint8_t *out)
{
    size_t made = 0, i = 0, soft;
    while (i < length) {
        uint8_t c = in[i++];
        if (c != '=') {
            out[made++] = c;
        } else if (qp_is_soft(in + i, length - i, &soft)) {
            i += soft;
        } else if (qp_is_byte(in + i, length - i)) {
            out[made++] = (uint8_t)(g_ascii_xdigit_value((char)in[i]) << 4 |
                                    g_ascii_xdigit_value((char)in[i + 1]));
            i += 2;
        } else {
            out[made++] = c;
            out[made++] = in[i++];
        }
    }
    return made;
}

/* ---- all ------------------------------------------------------------------------------------ */

static size_t (*const REMOVE[])(const uint8_t *in, size_t length, uint8_t *out) = {
    [CACHE_ENCODING_BASE64] = base64_remove,
    [CACHE_ENCODING_QUOTED_PRINTABLE] = qp_remove,
    [CACHE_ENCODING_UUENCODE] = uu_remove,
};

GBytes *mime_encoding_remove(enum cache_part_encoding encoding, const void *bytes, size_t length)
{
    if (length == 0 || encoding >= G_N_ELEMENTS(REMOVE) || !REMOVE[encoding])
        return g_bytes_new(bytes, length);
    uint8_t *out = g_malloc(length + 4); /* base64 and uuencode may end in a part of a group */
    size_t made = REMOVE[encoding](bytes, length, out);
    return g_bytes_new_take(g_realloc(out, made ? made : 1), made);
}
