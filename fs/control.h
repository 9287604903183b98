/* .mailmount in the root: what the mount says of itself, and what it can be asked to do. */
#pragma once

#include "fs/place.h"

/* What is in it, in the order of listings, which is that of the inode numbers. */
struct control_entry {
    const char *name;
    uint16_t node; /* the inode's part number, slot 0 */
    enum place_kind kind;
    /* The text of a file that is made when it is read: UTF-8, a line a fact, the caller's. NULL:
     * it is a directory, or the stream of fs/events.h. */
    GBytes *(*text)(const struct mounted *mounted);
};
extern const struct control_entry CONTROL_ENTRIES[]; /* ends with a NULL name */
/* The mark of this name: an empty file in the root, there by name only, by which indexers and media
 * libraries know that they are to stay away. NULL: there is none. */
const struct control_entry *control_mark(const char *name);
/* The entry or mark with this number, NULL: there is none. */
const struct control_entry *control_entry(uint16_t node);
/* Whether a place is one of these files, and its text. */
bool control_is_text(const struct place *place);
GBytes *control_text(const struct mounted *mounted, const struct place *place);

/* The text of .mailmount/status, and of .mailmount/prefetch (fs/progress.h). */
GBytes *control_status(const struct mounted *mounted);
/* The same facts for programs, an object on one line; mailmount-tree(7) tells its names. */
GBytes *control_status_json(const struct mounted *mounted);
GBytes *control_prefetch(const struct mounted *mounted);
/* An account's lines on prefetching in the status, appended. */
void control_prefetch_json(const struct mounted *mounted, const struct mounted_account *mine,
                           GString *out);
/* A folder that is listed for the first time. */
struct control_listing {
    char *folder; /* its path in the mount */
    uint64_t messages, messages_done;
};
/* All of an account's (struct control_listing), the caller's. */
GArray *control_listings(const struct mounted *mounted, const struct mounted_account *mine);
void control_prefetch_status(const struct mounted *mounted, const struct mounted_account *mine,
                             GString *text);

/* Lines longer than this, in bytes, are no requests. */
#define CONTROL_LINE_MAX 8192
/* One request, a line that was written to .mailmount/control, without its end:
 *
 *      check [FOLDER]      what the server has is compared now; without a name: of all folders
 *      retry [ACCOUNT]     connects and signs in now, if that is not so
 *      prefetch FOLDER     begins to fetch it whole; how far it is is in .mailmount/prefetch
 *      stop FOLDER         ends that
 *
 * FOLDER is the path below the mount point. 0: it is done. EINVAL: no such request. ENOENT: no such
 * folder. NEED_WAIT, and it is called again with the same `stage`, 0 at first. Else why it failed.
 */
int control_request(const struct mounted *mounted, const char *line, unsigned *stage,
                    struct need *need);
/* The requests and what they do, for who reads .mailmount/control. */
GBytes *control_requests(const struct mounted *mounted);
