/* The grammar of .netrc files, as curl and ftp(1) have it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum netrc_result {
    NETRC_FOUND,
    NETRC_NONE,   /* it has no password for this host and user */
    NETRC_BROKEN, /* it makes no sense in the line that is told */
};

/* Looks for a `machine` of exactly this host whose `login` is the user, else for one that has no
 * `login`. What `default` gives is for any host, and so for none here. The password, its quotes
 * removed, is written to `password` (room for `length` bytes, not terminated), its length to
 * `*written`; or the number of the bad line to `*line`. */
enum netrc_result netrc_find(const char *text, size_t length, const char *host, const char *user,
                             char *password, size_t *written, unsigned *line);
