/* The tables of all environments. Their numbers enter the checksums of what they hold, so they stay
 * what they are. */
#pragma once

enum table {
    /* in every environment: its layout and generation, and counters */
    TABLE_ENV = 1,
    /* meta */
    TABLE_NOTE = 2,             /* text -> text */
    TABLE_MAILBOX = 3,          /* slot -> mailbox */
    TABLE_MAILBOX_WIRE = 4,     /* SHA-256 of the wire name -> slot */
    TABLE_MAILBOX_NAME = 5,     /* parent, SHA-256 of the name -> slot */
    TABLE_MAILBOX_CHILD = 6,    /* parent, slot -> slot */
    TABLE_MAILBOX_MESSAGES = 7, /* messages slot -> slot */
    TABLE_MESSAGE = 8,          /* messages slot, UID -> message */
    TABLE_MESSAGE_COUNT = 9,    /* messages slot -> number of records */
    TABLE_OBJECT = 10,          /* object -> references, server's id */
    TABLE_OBJECT_SERVER = 11,   /* kind, server's id -> object */
    TABLE_ORPHAN = 12,          /* object without a message -> 0 */
    TABLE_HEADER = 13,          /* object -> bytes */
    TABLE_PARTS = 14,           /* object -> part tree */
    TABLE_SIZE = 15,            /* object, part number -> size */
    /* content */
    TABLE_SECTION = 16, /* object, section -> id, size */
    TABLE_SEGMENT = 17, /* id, segment -> stamp, object, section */
    TABLE_USE = 18,     /* stamp, id, segment -> 0 */
    TABLE_BLOCK = 19,   /* id, block -> bytes */
    /* slots */
    TABLE_SLOT = 20, /* account, kind, wire name, UIDVALIDITY -> slot */
    /* journal */
    TABLE_JOURNAL = 21,        /* id -> entry */
    TABLE_JOURNAL_FAILED = 22, /* number of the file -> name, why */
    TABLE_JOURNAL_NAMED = 23,  /* SHA-256 of the wire name -> number, count, wire name */
    TABLE_JOURNAL_NAME = 24,   /* number, SHA-256 of the name -> place, UIDVALIDITY, UID */
    TABLE_JOURNAL_PLACE = 25,  /* number, place -> SHA-256 of the name; oldest first */
    /* meta */
    TABLE_TWIN = 26,     /* size, INTERNALDATE, object -> messages slot, SHA-256 of the header */
    TABLE_IDENTITY = 27, /* object -> size, INTERNALDATE */
    TABLE_DEPARTED = 28, /* messages slot, UID -> message that went and is on its way elsewhere */
    TABLE_END
};
