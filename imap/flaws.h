/* What a server was seen not to stand, learned while talking to it. Private to imap/; what the
 * owner of a session sees of it is in imap.h, the rule by which it is learned in charge.h.
 *
 * A *blame* is a set of capabilities that a command makes use of (NOTIFY, or ENABLE and IMAP4rev2).
 * A command that is outstanding when the connection ends is suspected, and given alone from then
 * on; when the verdict is passed its capabilities are left out, as if they were not offered.
 *
 * Setting up goes one step further, as there several commands are outstanding at once, and nothing
 * works at all until it is through. If a connection ends there the next one is made at once, and
 * there they are asked one at a time behind a NOOP. If the NOOP dies too then that was a loss. If
 * all are answered then they may have been too many at once.
 *
 * Commands that did not wait for the answers before them are *crowded*. If connections end again
 * and again while such are outstanding the server is given one command at a time. That is learned
 * by the same rule, but that nothing can be given alone: the end of a connection counts if it was
 * made after the one before had ended.
 *
 * All functions may be called from any thread, and with NULL: then nothing is known or learned. */
#pragma once

#include "imap/imap.h"

struct imap_session;

/* What a session that is being set up has to go by. */
struct imap_caution {
    unsigned known;  /* as of imap_flaws_known() */
    unsigned crowds; /* connections that ended of crowded commands, as it seems, up to now */
    bool one_by_one;
    bool brief; /* a quarter of the time-out is time enough, as there will be other attempts */
};
struct imap_caution imap_flaws_begin(struct imap_flaws *flaws);
/* How it ended. */
struct imap_cut {
    unsigned blame; /* of what was outstanding; 0: of a NOOP */
    bool several;   /* it was more than one command */
    bool silent;    /* the connection was not closed, but nothing came */
};
/* Returns whether another attempt would learn more. */
bool imap_flaws_cut_short(struct imap_flaws *flaws, const struct imap_cut *cut);
/* It ended before anything was asked that may be left out. */
void imap_flaws_lost(struct imap_flaws *flaws);
/* Several commands were outstanding at once, and all were answered. */
void imap_flaws_took_several(struct imap_flaws *flaws);
/* It is through. */
void imap_flaws_through(struct imap_flaws *flaws);

/* The server answered what makes use of these. */
void imap_flaws_acquit(struct imap_flaws *flaws, unsigned blame);

/* How often connections have ended at a command with this blame since it was last answered; not 0:
 * it must be given alone. */
unsigned imap_flaws_suspected(struct imap_flaws *flaws, unsigned blame);

/* What an attached session heard or met with. The first is called for each tagged reply, and says
 * whether it is a BAD for what did not wait, of a server that nobody has seen to take such: then
 * the connection must end. */
struct imap_command;
bool imap_flaws_answered(struct imap_session *session, const struct imap_command *command,
                         enum imap_error error);
void imap_flaws_ended(const struct imap_session *session);
