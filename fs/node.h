/* What an inode number says (there is no table of nodes).
 *
 *      slot (18 bits) | UID (32 bits) | part number (14 bits)
 *
 *      slot 0          the root (inode 1), .mailmount and its files; with a UID a local file: part
 *                      n a staged file of account n, NODE_PART_REFUSED + n a failed message,
 *                      NODE_PART_REQUESTS .mailmount/control as one lookup found it
 *      UID 0           the directory of the mailbox with this slot; part 1 and up: its .mailmount
 *      otherwise       a message of the mailbox whose messages have this slot: part 0 is NAME.eml,
 *                      1 the directory NAME/ (higher, so that tools which sort by inode meet the
 *                      .eml first), 2 its headers.txt, 3 the message's second face in views, from 4
 *                      on its parts in pre-order
 *
 * Slots stay below 2^17, so that st_ino stays positive. Slots are never used twice, so the
 * generation is always 0.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    NODE_PART_MESSAGE = 0,
    NODE_PART_DIRECTORY = 1,
    NODE_PART_HEADERS = 2,
    NODE_PART_VIEW = 3,
    NODE_PART_FIRST = 4,    /* the first number that a part can have */
    NODE_PART_LAST = 16000, /* and the last */
};
#define NODE_SLOT_MAX ((1u << 17) - 1)

/* Inode numbers of slot 0. */
enum {
    NODE_ROOT = 1, /* FUSE_ROOT_ID */
    NODE_CONTROL = 2,
    NODE_STATUS = 3,
    NODE_FAILED = 4,
    NODE_REQUESTS = 5,    /* .mailmount/control */
    NODE_EVENTS = 6,      /* .mailmount/events */
    NODE_PREFETCH = 7,    /* .mailmount/prefetch */
    NODE_STATUS_JSON = 8, /* .mailmount/status.json */
    /* for indexers, in the root by name only */
    NODE_TRACKERIGNORE = 9,
    NODE_NOMEDIA = 10,
    NODE_NEVER_INDEX = 11,
};

#define NODE_PART_REFUSED 8192   /* and up, with slot 0 */
#define NODE_PART_REQUESTS 16383 /* with slot 0; above all of them */

struct node {
    uint32_t slot, uid;
    uint16_t part;
};

static inline bool node_is_refused(struct node node)
{
    return node.slot == 0 && node.uid != 0 && node.part >= NODE_PART_REFUSED &&
           node.part != NODE_PART_REQUESTS;
}

/* Whether a number is .mailmount/control, by its own number or by that of one lookup. */
static inline bool node_is_requests(uint64_t inode)
{
    return inode == NODE_REQUESTS ||
           (inode >> 46 == 0 && inode >> 14 != 0 && (inode & 0x3fff) == NODE_PART_REQUESTS);
}

static inline uint64_t node_inode(struct node node)
{
    return (uint64_t)node.slot << 46 | (uint64_t)node.uid << 14 | node.part;
}

static inline struct node node_of(uint64_t inode)
{
    return (struct node){
        .slot = (uint32_t)(inode >> 46),
        .uid = (uint32_t)(inode >> 14),
        .part = inode & 0x3fff,
    };
}
