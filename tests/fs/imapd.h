/* A tiny IMAP server in threads of the test, with a table of mailboxes and flaws to switch on. It
 * knows the commands that fs/engine/ sends and counts them. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

struct imapd_message {
    uint32_t uid;
    uint64_t modseq;
    char *flags; /* "\\Seen work" */
    GString *bytes;
    char *structure; /* BODYSTRUCTURE; NULL: one text/plain part */
    int64_t claimed; /* RFC822.SIZE; -1: the truth */
    bool refused;    /* FETCH of it is answered NO */
    bool bare;       /* META comes without header and date */
    bool poison;     /* cannot be copied or moved */
    char *date;      /* INTERNALDATE; NULL: noon of 20 November 2026 */
    bool gone;       /* expunged by another, which this session was not told */
};
struct imapd_box {
    char *name, *list_flags;
    uint32_t uidvalidity, uidnext;
    uint64_t modseq;
    GPtrArray *messages; /* struct imapd_message, by UID */
};

struct imapd {
    /* fixed while it runs */
    uint16_t port;
    GSocketListener *listener;
    GThread *thread;
    GCancellable *cancel;
    /* under `lock` */
    GMutex lock;
    GPtrArray *boxes;   /* struct imapd_box */
    GPtrArray *sockets; /* open connections */
    GPtrArray *threads;
    GPtrArray *talks; /* struct talk */
    /* flaws */
    const char *capabilities; /* beside IMAP4rev1 */
    const char *password;
    const char *refusal; /* what it answers to a wrong one, tagged or as "* BYE" */
    unsigned connections_max;
    bool stall;            /* reads commands and says nothing */
    const char *stall_box; /* says nothing any more once this one is selected */
    bool placeholder;      /* OK and a made-up body for a message that is gone (Courier) */
    int64_t cut_after;     /* bytes sent; then the connection is cut, once; -1: never */
    bool cut_mute;         /* it stays open then, and nothing more is said there */
    unsigned nil_bodies;   /* so many bodies come as NIL */
    bool no_partial;       /* ranges are ignored, origins not echoed */
    unsigned search_most;  /* UIDs that SEARCH and FETCH give at most (RFC 9738); 0: all */
    unsigned search_short; /* so many of the first UIDs are left out of the next SEARCH, once */
    const char *throttle;  /* the next FETCH is answered NO with this, once */
    /* a command that begins so ("UID MOVE", "APPEND") gets these words, or, NULL, ends the
     * connection, or, "", is the last that is heard of the server (`stall`); before or after it was
     * done; so many times, 0: always; the first few are left out */
    const char *flaw_on, *flaw_words;
    bool flaw_done;
    unsigned flaw_times, flaw_skip;
    bool flaw_twice;     /* the APPEND that is cut is done twice */
    bool flaw_late;      /* the UID MOVE that is cut before it is done is done when STATUS comes */
    unsigned list_blind; /* so many sessions are told by LIST of INBOX alone, from now on */
    bool list_held;      /* the end of LIST's answer is held back */
    bool examine_held;   /* EXAMINE and SELECT are not begun */
    bool flags_held;     /* the answer to UID FETCH of UID, FLAGS and MODSEQ is */
    const char *greeting;
    const char *flaw_arrival; /* a message that another stores in its mailbox when it is cut */
    int64_t cut_literal;      /* the next literal is cut off after so many octets; -1: none */
    unsigned expunge_short;   /* so many of the next UID EXPUNGEs remove one message, and say OK */
    const char *parting;      /* said where the next IDLE ends */
    const char *read_box;     /* SELECTed READ-ONLY */
    bool modseqs;             /* FETCH of flags gives MODSEQ as well (RFC 7162, 3.1) */
    bool resync_silent;       /* QRESYNC is agreed to, and what it would tell is not told */
    char *late;               /* that UID MOVE; NULL: none */
    unsigned renumber; /* so many of the next selects find another mailbox (imapd_renumber) */
    struct imapd_box *late_box;
    /* counted */
    uint64_t signed_in, flights, examines, lists, searches, fetches, structures, bodies, noops;
    uint64_t body_bytes, attempts; /* to sign in */
    uint64_t selects, moves, copies, stores, expunges, appends, creates, deletes, renames;
    uint64_t subscribes, statuses, rights, idles, notifies, resyncs;
    /* every command's line, but for LOGIN */
    GPtrArray *lines;
    char words[65536]; /* of an answer in the making */
};

struct imapd *imapd_start(void);
/* Ends connections and threads, frees everything. */
void imapd_stop(struct imapd *imapd);
/* Ends connections and refuses new ones; and takes them again at the same port. */
void imapd_down(struct imapd *imapd);
void imapd_up(struct imapd *imapd);
/* Ends all open connections. */
void imapd_hang_up(struct imapd *imapd);
/* Says this, unasked, to those who idle in this mailbox, or, NULL, in any or none. How many did. */
unsigned imapd_tell(struct imapd *imapd, const char *mailbox, const char *text);
/* How many commands so far began so. */
unsigned imapd_count_lines(struct imapd *imapd, const char *prefix);
void imapd_forget_counts(struct imapd *imapd);
/* Sessions that are open now are told of no mailbox that comes from now on. */
void imapd_freeze_lists(struct imapd *imapd);
/* What a counter says now. */
uint64_t imapd_count(struct imapd *imapd, const uint64_t *counter);

struct imapd_box *imapd_add_box(struct imapd *imapd, const char *name, const char *list_flags);
struct imapd_box *imapd_box(struct imapd *imapd, const char *name);
/* A message of about `size` bytes whose Subject is "message UID"; the next UID. */
struct imapd_message *imapd_add(struct imapd_box *box, size_t size);
struct imapd_message *imapd_add_bytes(struct imapd_box *box, const char *bytes, gssize length);
struct imapd_message *imapd_message(struct imapd_box *box, uint32_t uid);
void imapd_remove(struct imapd_box *box, uint32_t uid);
/* Another mailbox in the place of this one: another UIDVALIDITY, and for every UID and each of its
 * octets another message. The server's lock is held. */
void imapd_renumber(struct imapd_box *box);
