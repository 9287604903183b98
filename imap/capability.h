/* What the server says it can do (RFC 9051, 7.2.2), as flags and as its list of SASL mechanisms.
 * Private to imap/. */
#pragma once

#include "imap/imap.h"

struct imap_capabilities {
    bool known;            /* the server was heard on this; false: all else is empty */
    unsigned flags;        /* enum imap_capability */
    unsigned without;      /* what is never in them, whatever the server says; stays when cleared */
    uint64_t append_limit; /* APPENDLIMIT=n (RFC 7889), octets; 0: not told */
    GPtrArray *mechanisms; /* of char *: what follows AUTH=, upper case; or NULL */
};

/* Forgets what was known, as after STARTTLS and login (RFC 9051, 6.2.1). */
void imap_capabilities_clear(struct imap_capabilities *capabilities);
/* Takes over the words of a CAPABILITY reply or response code; but not QRESYNC of a server that is
 * known to break it, with wrong VANISHED and sequence numbers (by XAPPLEPUSHSERVICE). */
void imap_capabilities_set(struct imap_capabilities *capabilities, const char *const *words);
/* IMAP4rev2 is enabled: adds what it includes (RFC 9051, appendix E). */
void imap_capabilities_rev2(struct imap_capabilities *capabilities);
/* Whether AUTH=name was offered; `name` in any case. */
bool imap_capabilities_mechanism(const struct imap_capabilities *capabilities, const char *name);
