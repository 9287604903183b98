#include "fs/trace.h"

#include <string.h>

#include "fs/recent.h"

enum { MOST = 100000, MOST_ALIASES = 10000, MOVES_MAX = 64 };

static struct recent ghosts = RECENT_INIT(MOST);          /* directory, name -> face */
static struct recent faces = RECENT_INIT(MOST);           /* face -> directory and name */
static struct recent moves = RECENT_INIT(MOST);           /* message -> message */
static struct recent befores = RECENT_INIT(MOST);         /* and back */
static struct recent owns = RECENT_INIT(MOST);            /* directory, stem -> message */
static struct recent aliases = RECENT_INIT(MOST_ALIASES); /* directory, name -> message */
static struct recent aliased = RECENT_INIT(MOST_ALIASES); /* message -> directory and name */
static struct recent asked = RECENT_INIT(MOST_ALIASES);   /* mailbox -> when */
static struct recent touches = RECENT_INIT(MOST_ALIASES); /* directory -> when */

static uint64_t with_part(uint64_t inode, uint16_t part)
{
    struct node node = node_of(inode);
    node.part = part;
    return node_inode(node);
}

/* ---- ghosts ---- */

void ghost_add(uint64_t directory, const char *name, uint64_t face)
{
    recent_put(&ghosts, directory, name, face, NULL);
    recent_put(&faces, face, NULL, directory, name);
}

uint64_t ghost_find(uint64_t directory, const char *name)
{
    uint64_t face;
    return recent_get(&ghosts, directory, name, &face, NULL) ? face : 0;
}

bool ghost_is(uint64_t face)
{
    return recent_get(&faces, face, NULL, NULL, NULL);
}

bool ghost_take(uint64_t directory, const char *name)
{
    uint64_t face, at;
    g_autofree char *of = NULL;
    if (!recent_take(&ghosts, directory, name, &face, NULL))
        return false;
    if (recent_get(&faces, face, NULL, &at, &of) && at == directory && strcmp(of, name) == 0)
        recent_take(&faces, face, NULL, NULL, NULL);
    return true;
}

void ghost_end(uint64_t face)
{
    uint64_t directory;
    g_autofree char *name = NULL;
    if (recent_take(&faces, face, NULL, &directory, &name))
        recent_take(&ghosts, directory, name, NULL, NULL);
}

uint64_t ghost_inode(uint64_t face)
{
    bool file = node_of(face).part == NODE_PART_MESSAGE;
    return with_part(face, file ? NODE_PART_GHOST_FILE : NODE_PART_GHOST_DIRECTORY);
}

uint64_t ghost_face(uint64_t inode)
{
    bool file = node_of(inode).part == NODE_PART_GHOST_FILE;
    return with_part(inode, file ? NODE_PART_MESSAGE : NODE_PART_DIRECTORY);
}

/* ---- moved ---- */

void moved_add(uint64_t from, uint64_t to)
{
    recent_put(&moves, with_part(from, 0), NULL, with_part(to, 0), NULL);
    recent_put(&befores, with_part(to, 0), NULL, with_part(from, 0), NULL);
}

uint64_t moved_find(uint64_t inode)
{
    uint64_t at = with_part(inode, 0), to;
    for (unsigned i = 0; i < MOVES_MAX && recent_get(&moves, at, NULL, &to, NULL); i++)
        at = to;
    return with_part(at, node_of(inode).part);
}

uint64_t moved_before(uint64_t inode)
{
    uint64_t from;
    bool found = recent_get(&befores, with_part(inode, 0), NULL, &from, NULL);
    return found ? with_part(from, node_of(inode).part) : 0;
}

/* ---- own names ---- */

void own_add(uint64_t directory, const char *stem, uint64_t message)
{
    recent_put(&owns, directory, stem, with_part(message, 0), NULL);
}

uint64_t own_find(uint64_t directory, const char *stem)
{
    uint64_t message;
    return recent_get(&owns, directory, stem, &message, NULL) ? message : 0;
}

/* ---- aliases ---- */

void alias_add(uint64_t directory, const char *name, uint64_t message)
{
    alias_remove(message);
    recent_put(&aliases, directory, name, message, NULL);
    recent_put(&aliased, message, NULL, directory, name);
}

bool alias_remove(uint64_t message)
{
    uint64_t directory;
    g_autofree char *name = NULL;
    if (!recent_take(&aliased, message, NULL, &directory, &name))
        return false;
    recent_take(&aliases, directory, name, NULL, NULL);
    return true;
}

uint64_t alias_find(uint64_t directory, const char *name)
{
    uint64_t message;
    return recent_get(&aliases, directory, name, &message, NULL) ? message : 0;
}

char *alias_of(uint64_t message)
{
    char *name = NULL;
    return recent_get(&aliased, message, NULL, NULL, &name) ? name : NULL;
}

/* ---- touched ---- */

void asked_add(uint32_t mailbox)
{
    recent_put(&asked, mailbox, NULL, (uint64_t)g_get_monotonic_time(), NULL);
}

bool asked_lately(uint32_t mailbox)
{
    uint64_t when;
    return recent_get(&asked, mailbox, NULL, &when, NULL) &&
           g_get_monotonic_time() - (gint64)when < G_USEC_PER_SEC;
}

void touched_add(uint64_t directory)
{
    recent_put(&touches, directory, NULL, (uint64_t)g_get_real_time() * 1000, NULL);
}

int64_t touched_ns(uint64_t directory)
{
    uint64_t when;
    return recent_get(&touches, directory, NULL, &when, NULL) ? (int64_t)when : 0;
}

void trace_clear(void)
{
    struct recent *const ALL[] = {&ghosts,  &faces,   &moves, &befores, &owns,
                                  &aliases, &aliased, &asked, &touches};
    for (size_t i = 0; i < G_N_ELEMENTS(ALL); i++)
        recent_clear(ALL[i]);
}
