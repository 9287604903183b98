/* What the rooms of fs/view share. Private to them. */
#pragma once

#include "fs/view.h"

struct flag_view {
    const char *name;
    const char *flag; /* as the server spells it */
    uint32_t bit;
    bool inverse; /* lists those that do not bear it */
};
/* The view of a flag; NULL: the part is none's. */
const struct flag_view *view_flag(uint16_t part);

/* The number of a keyword, given out now if it is new; 0: none is left. And back: lives as long as
 * the process; NULL: there is none. */
uint16_t keyword_part(const char *keyword);
const char *keyword_of(uint16_t part);
/* Whether a tag's directory was made by mkdir, in the mailbox of the node. */
bool keyword_made(struct node node);
void keyword_make(struct node node, bool is);
/* Adds the parts of those that were made in a mailbox. */
void keyword_add_made(GHashTable *parts, uint32_t slot);
/* An atom that is no system flag (RFC 9051, 9: flag-keyword). */
bool keyword_is(const char *word);

/* A walk over the messages of a view's mailbox that are shown. */
struct place view_first_message(const struct place *view);
bool view_next_message(struct place *message, uint64_t from);
bool view_holds(const struct place *message, uint16_t part);
int view_lookup_tag(const struct place *parent, const char *name, struct node *node);
