/* One connection of the tiny server; shared by its files. */
#pragma once

#include "tests/fs/imapd.h"

struct talk {
    struct imapd *imapd;
    GSocketConnection *connection;
    struct imapd_box *box; /* selected */
    bool read_only;
    GString *out;
    GString *literal; /* the last of the line; NULL: none */
    bool over;
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
/* Whether the line's command must get another answer, or ends the connection; called before and
 * after it is done. */
const char *talk_flaw(struct talk *talk, const char *line, bool done);
