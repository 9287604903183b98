#include "cache/key.h"

bool key_add_text(struct key *key, const char *text)
{
    size_t length = strlen(text);
    if (length > KEY_TEXT_MAX || length > sizeof key->bytes - key->length)
        return false;
    memcpy(key->bytes + key->length, text, length);
    key->length += length;
    return true;
}

void key_add_digest(struct key *key, const char *text)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize length = KEY_DIGEST;

    g_checksum_update(checksum, (const guchar *)text, (gssize)strlen(text));
    g_checksum_get_digest(checksum, key->bytes + key->length, &length);
    key->length += length;
}

uint32_t key_fold(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t fold = 0x9e3779b97f4a7c15 ^ length;

    for (; length >= 4; at += 4, length -= 4)
        fold = (fold ^ key_read_u32(at)) * 0xff51afd7ed558ccd;
    for (; length > 0; at++, length--)
        fold = (fold ^ *at) * 0xff51afd7ed558ccd;
    return (uint32_t)(fold >> 32) ^ (uint32_t)fold;
}
