/* What response codes say of messages that a command changed: where they went (COPYUID, APPENDUID:
 * RFC 4315), which were left alone (MODIFIED: RFC 7162). Collected over all commands of a request.
 * Private to imap/. */
#pragma once

#include "imap/imap.h"

/* UIDs that are kept of one request; if a server tells more, nothing it told is believed. */
enum { IMAP_COPIED_MAX = 1000 * 1000 };

struct imap_report;

enum imap_report_kind {
    IMAP_REPORT_COPIES, /* COPYUID */
    IMAP_REPORT_MOVES,  /* COPYUID, mostly untagged (RFC 6851, 4.3) */
    IMAP_REPORT_STORES, /* STORE: MODIFIED */
    IMAP_REPORT_APPEND, /* APPENDUID */
};
/* `asked`: the messages that the request is about (copied); NULL with an APPEND. */
struct imap_report *imap_report_new(enum imap_report_kind kind, const struct imap_uidset *asked);
void imap_report_free(struct imap_report *report); /* NULL: nothing */

/* Whether a response code is about such a request at all. */
bool imap_report_knows(const struct imap_report *report, const char *code);
/* Whether an untagged code that it knows must be about this very request, by what it asked and was
 * not told yet. */
bool imap_report_takes(const struct imap_report *report, const char *value);
enum imap_report_kind imap_report_kind(const struct imap_report *report);
/* A response code that it knows, and its value (NULL: none). */
void imap_report_code(struct imap_report *report, const char *value);

/* What was told so far, valid until the next call of any function here. NULL: nothing, or what
 * makes no sense: sets that do not match, a UID that was not asked for, one that went twice. */
const struct imap_copied *imap_report_copied(struct imap_report *report);
/* NULL: none. If MODIFIED came with what is no set, all that was asked for. */
const struct imap_uidset *imap_report_modified(const struct imap_report *report);
