/* Text from strangers to file names, and back (see mailmount-tree(7)).
 *
 * Every name that these functions make is valid UTF-8, not empty, not "." or "..", and holds no "/"
 * or NUL or control character; names from mail also hold no bidirectional control, zero-width or
 * line-separator character, none of \ : * ? " < > |, no leading dot, minus or space and no trailing
 * dot or space, and are in NFC. All are pure functions. Strings returned are the caller's.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The longest name of a message without ".eml", of a part, and of a mailbox, in bytes. */
#define NAME_MESSAGE_MAX 200
#define NAME_PART_MAX 200
#define NAME_MAILBOX_MAX 255

/* "2026-11-20 Bob Jones - Lunch_ [4710]". The day is year, month, day as they shall stand; `who`
 * and `subject` are decoded text, NULL or any bytes; missing ones become "unknown" and "no
 * subject". */
char *name_of_message(int year, int month, int day, const char *who, const char *subject,
                      uint32_t uid);
/* Reads the UID from a name's end: "... [4710]" or "... [4710].eml". Says which face it is. Returns
 * false if the name has not the form of a message's. */
bool name_message_uid(const char *name, uint32_t *uid, bool *eml);

/* A part's name: `wanted` (decoded, may be NULL or hostile) made safe, its extension kept when it
 * is cut; else `fallback`, which must be safe. */
char *name_of_part(const char *wanted, const char *fallback);

/* Siblings' names without regard to case. */
struct name_set;
struct name_set *name_set_new(void);
void name_set_free(struct name_set *set);
typedef struct name_set name_set; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(name_set, name_set_free)
/* Adds `name`, or the first free of "stem (2).ext", "stem (3).ext" ..., and returns what was added.
 * Adding n equal names costs O(n) in all. `max`: the longest result in bytes. */
char *name_set_add(struct name_set *set, const char *name, size_t max);
bool name_set_has(const struct name_set *set, const char *name);
/* Adds both "stem.eml" and "stem", or "stem (2).eml" and "stem (2)" ..., the first pair of which
 * both are free, and returns what stands for "stem". `max`: the longest "stem.eml". */
char *name_set_add_message(struct name_set *set, const char *stem, size_t max);

/* One level of a mailbox name (UTF-8) as a directory entry that gives it back: "/", NUL, controls,
 * a leading "." and a "%" before two hex digits become %XX; not normalised. Over 255 bytes it is
 * cut and ends in a hash. A name of the form of a message's gets " (2)". */
char *name_of_mailbox(const char *component);
/* Back to the level's text, for creating; NULL if no mailbox can have that name here. */
char *name_to_mailbox(const char *name);
