/* What the rooms of fs/name share. Private to them. */
#pragma once

#include <stddef.h>

/* The longest prefix of `text` (valid UTF-8) of at most `max` bytes that ends between characters,
 * and where that costs little not between a letter and its marks. Returns its length. */
size_t name_cut(const char *text, size_t max);

/* Where a file name's extension begins, with its dot (".gz" of "a.gz", ".tar.gz" of "a.tar.gz");
 * the name's end if it has none. */
const char *name_extension(const char *name);
