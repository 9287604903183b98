/* Offsets in a decoded base64 part from offsets in the encoded one, for parts laid out as nearly
 * all are: lines of one length, no padding but at the end. A range of decoded bytes then needs only
 * the lines that hold it. Every line that is decoded this way is checked again; the first one that
 * does not fit ends it, and the part is decoded whole. */
#include <string.h>

#include "fs/mime-private.h"

enum { LINE_MAX_LEARNED = 1 << 16 };

/* Each digit's value and one; 0: none. */
static const uint8_t DIGITS[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64};

uint8_t mime_base64_digit(uint8_t c)
{
    return DIGITS[c] ? DIGITS[c] - 1 : MIME_BASE64_NONE;
}

/* How many digits `bytes` begins with. */
static size_t digits_span(const uint8_t *bytes, size_t length)
{
    size_t i = 0;
    while (i < length && mime_base64_digit(bytes[i]) != MIME_BASE64_NONE)
        i++;
    return i;
}

static uint64_t layout_stride(const struct mime_base64_layout *layout)
{
    return (uint64_t)layout->line + layout->end;
}

/* Whether there is a line end as the layout's at `bytes`. */
static bool is_end(const struct mime_base64_layout *layout, const uint8_t *bytes, size_t length)
{
    if (length < layout->end)
        return false;
    return layout->end == 1 ? bytes[0] == '\n' : bytes[0] == '\r' && bytes[1] == '\n';
}

static bool is_full_line(const struct mime_base64_layout *layout, const uint8_t *bytes,
                         size_t length)
{
    return length >= layout_stride(layout) && digits_span(bytes, layout->line) == layout->line &&
           is_end(layout, bytes + layout->line, length - layout->line);
}

/* Takes apart what follows the full lines of a part: at most one shorter or padded line, then only
 * line ends. Returns the decoded size, -1 if it is something else. */
static int64_t last_line_size(const struct mime_base64_layout *layout, const uint8_t *bytes,
                              size_t length)
{
    size_t digits = digits_span(bytes, length), pads = 0;
    while (digits + pads < length && bytes[digits + pads] == '=')
        pads++;
    size_t all = digits + pads;
    if (all > layout->line || all % 4 != 0 || pads > 2)
        return -1;
    for (size_t i = all; i < length; i++)
        if (bytes[i] != '\r' && bytes[i] != '\n')
            return -1;
    return (int64_t)(all / 4 * 3 - pads);
}

/* How many full lines `bytes` begins with. */
static size_t full_lines(const struct mime_base64_layout *layout, const uint8_t *bytes,
                         size_t length)
{
    size_t lines = 0, stride = layout_stride(layout);
    while (is_full_line(layout, bytes + lines * stride, length - lines * stride))
        lines++;
    return lines;
}

/* Whether the bytes after the full lines are the beginning of another. */
static bool is_line_begun(const struct mime_base64_layout *layout, const uint8_t *bytes,
                          size_t length)
{
    size_t digits = digits_span(bytes, MIN(length, layout->line));
    if (digits < layout->line)
        return digits == length;
    return length == digits || (layout->end == 2 && length == digits + 1u && bytes[digits] == '\r');
}

bool mime_base64_learn(const void *bytes, size_t length, bool whole,
                       struct mime_base64_layout *layout)
{
    const uint8_t *text = bytes;
    *layout = (struct mime_base64_layout){76, 2};
    if (length == 0)
        return whole;
    size_t line = digits_span(text, MIN(length, LINE_MAX_LEARNED + 1));
    if (line < length && text[line] == '=' && whole)
        line = (line + 3) / 4 * 4;
    if (line == 0 || line % 4 != 0 || line > LINE_MAX_LEARNED)
        return false;
    layout->line = (uint32_t)line;
    layout->end = line < length && text[line] == '\n' ? 1 : 2;
    size_t used = full_lines(layout, text, length) * layout_stride(layout);
    if (whole)
        return last_line_size(layout, text + used, length - used) >= 0;
    return used > 0 && is_line_begun(layout, text + used, length - used);
}

static uint64_t multiply(uint64_t a, uint64_t b)
{
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

void mime_base64_range(const struct mime_base64_layout *layout, uint64_t octets, uint64_t offset,
                       uint64_t length, uint64_t *from, uint64_t *to)
{
    uint64_t decoded = layout->line / 4 * 3;
    uint64_t end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    uint64_t lines = end / decoded + (end % decoded != 0);
    *from = MIN(multiply(offset / decoded, layout_stride(layout)), octets);
    *to = MIN(multiply(lines, layout_stride(layout)), octets);
    if (length == 0 || *to < *from)
        *to = *from;
}

uint64_t mime_base64_tail(const struct mime_base64_layout *layout, uint64_t octets)
{
    uint64_t stride = layout_stride(layout), lines = octets / stride;
    return lines > 1 ? (lines - 1) * stride : 0;
}

bool mime_base64_size(const struct mime_base64_layout *layout, uint64_t octets, const void *tail,
                      size_t length, uint64_t *size)
{
    uint64_t begin = mime_base64_tail(layout, octets), stride = layout_stride(layout);
    if (octets - begin != length)
        return false;
    size_t lines = full_lines(layout, tail, length);
    const uint8_t *last = (const uint8_t *)tail + lines * stride;
    int64_t rest = last_line_size(layout, last, length - lines * stride);
    if (rest < 0 || (begin > 0 && lines == 0 && rest == 0))
        return false;
    *size = (begin / stride + lines) * (layout->line / 4 * 3) + (uint64_t)rest;
    return true;
}

/* Decodes `digits` digits (without padding); appends to `out`. */
static void digits_decode(const uint8_t *bytes, size_t digits, GByteArray *out)
{
    uint8_t three[3];
    for (size_t i = 0; i < digits; i += 4) {
        size_t have = MIN(digits - i, 4);
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++)
            bits = bits << 6 | (j < have ? mime_base64_digit(bytes[i + j]) : 0);
        three[0] = (uint8_t)(bits >> 16);
        three[1] = (uint8_t)(bits >> 8);
        three[2] = (uint8_t)bits;
        g_byte_array_append(out, three, (guint)(have * 3 / 4));
    }
}

GBytes *mime_base64_decode(const struct mime_base64_layout *layout, const void *bytes,
                           size_t length, bool last)
{
    const uint8_t *text = bytes;
    size_t stride = layout_stride(layout), lines = full_lines(layout, text, length);
    const uint8_t *rest = text + lines * stride;
    size_t left = length - lines * stride;
    if (last ? last_line_size(layout, rest, left) < 0 : left > 0)
        return NULL;
    GByteArray *out = g_byte_array_sized_new((guint)(length / 4 * 3 + 3));
    for (size_t i = 0; i < lines; i++)
        digits_decode(text + i * stride, layout->line, out);
    digits_decode(rest, digits_span(rest, left), out);
    return g_byte_array_free_to_bytes(out);
}
