/* Modified UTF-7 (RFC 3501, 5.1.3).
 *
 * Decoding accepts exactly what encoding writes. A name that is put more clumsily ("&AGE-" for "a",
 * "&AOk-&AOk-" for two letters in one) or wrongly is refused, so that no two mailboxes decode to
 * one name and no hierarchy delimiter appears that is not in the wire name; Dovecot and Cyrus
 * refuse to make such mailboxes, and what other servers hold is still shown, byte for byte. */
#include "imap/imap.h"

#include <string.h>

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool is_direct(gunichar c)
{
    return c >= 0x20 && c <= 0x7e;
}

/* Bits on their way to base64, fewer than six of them between calls. */
struct shift {
    GString *out;
    uint32_t bits;
    unsigned count;
};

static void shift_put(struct shift *shift, uint32_t unit)
{
    shift->bits = shift->bits << 16 | unit;
    for (shift->count += 16; shift->count >= 6; shift->count -= 6)
        g_string_append_c(shift->out, BASE64[shift->bits >> (shift->count - 6) & 63]);
}

static void shift_end(struct shift *shift)
{
    if (shift->count > 0)
        g_string_append_c(shift->out, BASE64[shift->bits << (6 - shift->count) & 63]);
    shift->bits = shift->count = 0;
    g_string_append_c(shift->out, '-');
}

static void shift_put_character(struct shift *shift, gunichar c)
{
    if (c >= 0x10000) {
        c -= 0x10000;
        shift_put(shift, 0xd800 + (c >> 10));
        c = 0xdc00 + (c & 0x3ff);
    }
    shift_put(shift, c);
}

char *imap_utf7_encode(const char *utf8)
{
    if (!g_utf8_validate(utf8, -1, NULL))
        return NULL;
    GString *out = g_string_new(NULL);
    struct shift shift = {.out = out};
    bool shifted = false;
    for (; *utf8 != '\0'; utf8 = g_utf8_next_char(utf8)) {
        gunichar c = g_utf8_get_char(utf8);
        if (shifted && is_direct(c))
            shift_end(&shift);
        else if (!shifted && !is_direct(c))
            g_string_append_c(out, '&');
        shifted = !is_direct(c);
        if (shifted)
            shift_put_character(&shift, c);
        else
            g_string_append(out, c == '&' ? "&-" : (char[]){(char)c, '\0'});
    }
    if (shifted)
        shift_end(&shift);
    return g_string_free(out, FALSE);
}

/* UTF-16 on its way to UTF-8. */
struct units {
    GString *out;
    uint32_t high; /* the first half of a pair, 0: none */
};

/* Returns false if the unit cannot stand here. */
static bool unit_put(struct units *units, uint32_t unit)
{
    bool low = unit >= 0xdc00 && unit <= 0xdfff;
    if (unit == 0 || low != (units->high != 0))
        return false;
    if (low) {
        unit = 0x10000 + ((units->high - 0xd800) << 10) + (unit - 0xdc00);
        units->high = 0;
    } else if (unit >= 0xd800 && unit <= 0xdbff) {
        units->high = unit;
        return true;
    }
    g_string_append_unichar(units->out, unit);
    return true;
}

/* Decodes the base64 behind "&". Returns what is behind its "-", NULL if it is wrong. */
static const char *shift_decode(const char *wire, GString *out)
{
    struct units units = {.out = out};
    uint32_t bits = 0;
    unsigned count = 0;
    for (; *wire != '-'; wire++) {
        const char *digit = *wire == '\0' ? NULL : strchr(BASE64, *wire);
        if (digit == NULL)
            return NULL;
        bits = bits << 6 | (uint32_t)(digit - BASE64);
        count += 6;
        if (count >= 16) {
            count -= 16;
            if (!unit_put(&units, bits >> count & 0xffff))
                return NULL;
        }
    }
    return units.high == 0 ? wire + 1 : NULL;
}

char *imap_utf7_decode(const char *wire)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const char *at = wire;
    while (at != NULL && *at != '\0') {
        if (*at == '&' && at[1] == '-') {
            g_string_append_c(out, '&');
            at += 2;
        } else if (*at == '&') {
            at = shift_decode(at + 1, out);
        } else {
            g_string_append_c(out, *at);
            at += 1;
        }
    }
    if (at == NULL || !g_utf8_validate(out->str, (gssize)out->len, NULL))
        return NULL;
    g_autofree char *again = imap_utf7_encode(out->str);
    return strcmp(again, wire) == 0 ? g_strdup(out->str) : NULL;
}
