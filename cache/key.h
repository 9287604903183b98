/* The byte layout of LMDB keys: integers big-endian, so that the order of keys is the order of
 * numbers, and names of any length as their SHA-256 (LMDB's keys end at 511 bytes).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define KEY_TEXT_MAX 255 /* bytes of a text that is stored as it is */
#define KEY_DIGEST 32    /* bytes of a name that is stored as its SHA-256 */

struct key {
    size_t length;
    uint8_t bytes[KEY_TEXT_MAX + 17];
};

static inline void key_add_u8(struct key *key, uint8_t value)
{
    key->bytes[key->length++] = value;
}

static inline void key_add_u16(struct key *key, uint16_t value)
{
    uint16_t big = GUINT16_TO_BE(value);
    memcpy(key->bytes + key->length, &big, sizeof big);
    key->length += sizeof big;
}

static inline void key_add_u32(struct key *key, uint32_t value)
{
    uint32_t big = GUINT32_TO_BE(value);
    memcpy(key->bytes + key->length, &big, sizeof big);
    key->length += sizeof big;
}

static inline void key_add_u64(struct key *key, uint64_t value)
{
    uint64_t big = GUINT64_TO_BE(value);
    memcpy(key->bytes + key->length, &big, sizeof big);
    key->length += sizeof big;
}

static inline uint32_t key_read_u32(const void *bytes)
{
    uint32_t big;
    memcpy(&big, bytes, sizeof big);
    return GUINT32_FROM_BE(big);
}

static inline uint64_t key_read_u64(const void *bytes)
{
    uint64_t big;
    memcpy(&big, bytes, sizeof big);
    return GUINT64_FROM_BE(big);
}

/* A key of one number, and of two. */
static inline void key_u32(struct key *key, uint32_t value)
{
    key->length = 0;
    key_add_u32(key, value);
}

static inline void key_u64(struct key *key, uint64_t value)
{
    key->length = 0;
    key_add_u64(key, value);
}

static inline void key_u32_u32(struct key *key, uint32_t first, uint32_t second)
{
    key_u32(key, first);
    key_add_u32(key, second);
}

static inline void key_u64_u32(struct key *key, uint64_t first, uint32_t second)
{
    key_u64(key, first);
    key_add_u32(key, second);
}

/* Appends a short text as it is. Returns false, changing nothing, above KEY_TEXT_MAX bytes. */
bool key_add_text(struct key *key, const char *text);
/* Appends the SHA-256 of a text. */
void key_add_digest(struct key *key, const char *text);

/* A number that differs where the key differs; checksums start from it. */
uint32_t key_fold(const void *bytes, size_t length);
