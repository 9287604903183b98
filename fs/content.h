/* The bytes of files: how many, and which, by range.
 *
 * The exact size of a file is often not known until some of it was fetched (servers lie about
 * RFC822.SIZE, and nobody announces decoded sizes). Until then a listing shows an upper bound that
 * the kernel may not keep, and GETATTR and OPEN settle the size before they answer; so a reader
 * that goes by st_size, one that reads to the end and one that maps the file all get the same
 * bytes.
 *
 * What is settled, and how:
 *      NAME.eml        RFC822.SIZE, once three bodies of this server proved its word; else the body
 *      headers.txt     the header is fetched and converted
 *      parts           up to 1 MiB are fetched and decoded whole; above that base64 by line
 * arithmetic from the first and the last lines, other encodings whole, no encoding from the end of
 * the section; parts counted here (CACHE_PART_LOCAL) from the whole message
 *
 * An open file up to 1 MiB is whole in memory before OPEN is answered, and stays so until it is
 * released. Bigger ones stream through the content cache, if their encoding allows.
 */
#pragma once

#include "fs/place.h"

/* Up to here a file is fetched whole, and complete when it is open. */
#define CONTENT_WHOLE_MAX (1u << 20)

/* Told when the size of a file turned out to be another than was shown; may come from any thread.
 */
void content_on_change(void (*changed)(uint64_t inode));

/* The size of a file, in bytes. With `exact` it is settled first (NEED_WAIT), else it may be an
 * upper bound; `is_exact` says which it is. May end the place's transaction. 0, NEED_WAIT or errno.
 */
int content_size(const struct mounted *mounted, struct place *place, bool exact, uint64_t *size,
                 bool *is_exact, struct need *need);

/* An open file. Shared by all who have the same inode open; thread-safe. */
struct content;
/* Opens the file at a place; ends the place's transaction. 0 and a reference in `content`,
 * NEED_WAIT or errno. */
int content_open(const struct mounted *mounted, struct place *place, struct content **content,
                 struct need *need);
void content_unref(struct content *content);
uint64_t content_length(const struct content *content);
/* Copies what lies in [offset, offset + length) of the file, less at its end, to `buffer`; `got` is
 * how much. 0, NEED_WAIT, or errno: EIO once the file proved to be another than when it was opened.
 */
int content_read(struct content *content, uint64_t offset, size_t length, void *buffer, size_t *got,
                 struct need *need);
