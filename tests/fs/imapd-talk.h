/* One connection of the tiny server; shared by its files. */
#pragma once

#include "tests/fs/imapd.h"

struct talk {
    struct imapd *imapd;
    GSocketConnection *connection;
    GMutex writing;        /* to it: what is told unasked comes from another thread */
    struct imapd_box *box; /* selected */
    bool read_only;
    GString *out;
    GString *literal; /* the last of the line; NULL: none */
    bool over;
    bool blind;     /* LIST tells it of INBOX alone */
    guint frozen;   /* LIST tells it of so many mailboxes at most, 0: of all */
    bool mute;      /* reads and says nothing more */
    char *idle;     /* the tag of the IDLE that it is in; NULL: in none */
    uint64_t known; /* QRESYNC: changes since this modification sequence are told */
};

bool talk_set_has(const char *set, uint32_t uid);
struct imapd_box *talk_box(struct talk *talk, const char *name);
/* What follows `word` in `text`, NULL: it begins otherwise. */
const char *talk_after(const char *text, const char *word);
bool talk_can(const struct talk *talk, const char *capability);

/* ---- imapd-change.c ---- */

/* A command that changes something, or STATUS and the like: the answer's words, NULL: it is none
 * of these. `rest`: behind "UID " if `uid`. */
const char *talk_change(struct talk *talk, const char *line);
const char *talk_change_uid(struct talk *talk, const char *rest);
/* ---- imapd-live.c ---- */

/* IDLE and its DONE, to which nothing else is said: true if the line was that. */
bool talk_idle(struct talk *talk, const char *line);
/* ENABLE, NOTIFY: the answer's words, NULL: it is none of these. */
const char *talk_live(struct talk *talk, const char *line);
/* Takes QRESYNC's part off a mailbox name. */
void talk_resync_take(struct talk *talk, char *name);
/* What QRESYNC tells of the mailbox that was selected. */
void talk_resync(struct talk *talk);
void talk_put_status(struct talk *talk, const struct imapd_box *box);

/* ---- imapd-change.c ---- */

/* Whether the line's command must get another answer, or ends the connection; called before and
 * after it is done. */
const char *talk_flaw(struct talk *talk, const char *line, bool done);
