#include "imap/flaws.h"

#include "imap/session.h"

#include <string.h>

enum {
    CROWDS_NEW = 2,   /* so many connections end of crowded commands before that is believed */
    CROWDS_KNOWN = 5, /* and of a server that has answered such: it may be the network */
};

struct imap_flaws {
    gint references; /* atomic */
    GMutex lock;
    /* under the lock */
    unsigned known;    /* enum imap_capability and enum imap_flaw */
    unsigned suspects; /* capabilities that were in use once when a connection ended */
    bool careful;      /* the last attempt to set up ended early */
    bool patient;      /* the server may take all the time that the owner gives it */
    bool learned;      /* and something was learned since */
    unsigned crowds;   /* connections that ended, since a crowded command was last answered well */
    bool took_crowds;  /* one was, ever */
    bool in_doubt;     /* it may have been for something else that was learned in the same moment */
    const struct imap_command_kind *refused; /* crowded, with BAD; NULL: none, or that was why */
};

struct imap_flaws *imap_flaws_new(unsigned known)
{
    struct imap_flaws *flaws = g_new0(struct imap_flaws, 1);

    flaws->references = 1;
    flaws->known = known;
    g_mutex_init(&flaws->lock);
    return flaws;
}

struct imap_flaws *imap_flaws_ref(struct imap_flaws *flaws)
{
    if (flaws)
        g_atomic_int_inc(&flaws->references);
    return flaws;
}

void imap_flaws_unref(struct imap_flaws *flaws)
{
    if (!flaws || !g_atomic_int_dec_and_test(&flaws->references))
        return;
    g_mutex_clear(&flaws->lock);
    g_free(flaws);
}

static bool flaws_lock(struct imap_flaws *flaws)
{
    if (flaws)
        g_mutex_lock(&flaws->lock);
    return flaws != NULL;
}

unsigned imap_flaws_known(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return 0;
    unsigned known = flaws->known;
    g_mutex_unlock(&flaws->lock);
    return known;
}

/* ---- in words ---------------------------------------------------------------------------------
 */

static const struct {
    const char *word;
    unsigned flaw;
} WORDS[] = {
    {"ID", IMAP_CAP_ID},
    {"ENABLE", IMAP_CAP_ENABLE | IMAP_CAP_IMAP4REV2},
    {"NAMESPACE", IMAP_CAP_NAMESPACE},
    {"COMPRESS", IMAP_CAP_COMPRESS},
    {"LIST-STATUS", IMAP_CAP_LIST_STATUS},
    {"LIST-RETURN", IMAP_CAP_LIST_EXTENDED | IMAP_CAP_SPECIAL_USE},
    {"NOTIFY", IMAP_CAP_NOTIFY},
    {"QUOTA", IMAP_CAP_QUOTA},
    {"ACL", IMAP_CAP_ACL},
    {"LIST-INCOMPLETE", IMAP_FLAW_LIST_INCOMPLETE},
    {"PIPELINING", IMAP_FLAW_PIPELINING},
};

char *imap_flaws_write(unsigned known)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(WORDS); i++)
        if (known & WORDS[i].flaw)
            g_string_append_printf(text, "%s%s", text->len ? " " : "", WORDS[i].word);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

unsigned imap_flaws_read(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", (gint)G_N_ELEMENTS(WORDS) + 1);
    unsigned known = 0;

    for (char **word = words; *word; word++)
        for (size_t i = 0; i < G_N_ELEMENTS(WORDS); i++)
            if (strcmp(*word, WORDS[i].word) == 0)
                known |= WORDS[i].flaw;
    return known;
}

/* ---- under the lock ---------------------------------------------------------------------------
 */

static void learn(struct imap_flaws *flaws, unsigned what)
{
    g_autofree char *words = imap_flaws_write(what);

    if ((flaws->known & what) != what)
        g_message("the server does not stand this, it is left out from now on: %s", words);
    flaws->known |= what;
    flaws->suspects &= ~what;
    flaws->learned = true;
}

/* Returns whether the suspicion is confirmed. */
static bool suspect(struct imap_flaws *flaws, unsigned blame)
{
    if (blame == 0)
        return false;
    if ((flaws->suspects & blame) != blame) {
        flaws->suspects |= blame;
        return false;
    }
    learn(flaws, blame);
    return true;
}

/* A connection ended of too much at once, as it seems. */
static bool count_crowd(struct imap_flaws *flaws)
{
    unsigned most = flaws->took_crowds ? CROWDS_KNOWN : CROWDS_NEW;

    if (++flaws->crowds < most)
        return false;
    learn(flaws, IMAP_FLAW_PIPELINING);
    return true;
}

static void unlearn_pipelining(struct imap_flaws *flaws)
{
    flaws->known &= ~(unsigned)IMAP_FLAW_PIPELINING;
    flaws->in_doubt = false;
    flaws->refused = NULL;
}

/* ---- setting up -------------------------------------------------------------------------------
 */

struct imap_caution imap_flaws_begin(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return (struct imap_caution){0};
    struct imap_caution caution = {
        .known = flaws->known, .one_by_one = flaws->careful, .brief = !flaws->patient};
    g_mutex_unlock(&flaws->lock);
    return caution;
}

/* It is not for what was asked. Returns whether there was not enough time. */
static bool cut_idle(struct imap_flaws *flaws, bool silent)
{
    bool hurried = silent && !flaws->patient;

    flaws->suspects = 0;
    flaws->careful = flaws->learned = false;
    flaws->patient |= silent;
    return hurried;
}

bool imap_flaws_cut_short(struct imap_flaws *flaws, const struct imap_cut *cut)
{
    bool again = true;

    if (!flaws_lock(flaws))
        return false;
    if (cut->blame == 0) {
        again = cut_idle(flaws, cut->silent);
    } else {
        flaws->careful = true;
        if (cut->several)
            flaws->suspects |= cut->blame;
        else
            suspect(flaws, cut->blame);
    }
    g_mutex_unlock(&flaws->lock);
    return again;
}

void imap_flaws_through(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return;
    if (flaws->careful && !flaws->learned && !(flaws->known & IMAP_FLAW_PIPELINING))
        count_crowd(flaws);
    flaws->careful = flaws->learned = false;
    g_mutex_unlock(&flaws->lock);
}

void imap_flaws_acquit(struct imap_flaws *flaws, unsigned blame)
{
    if (blame == 0 || !flaws_lock(flaws))
        return;
    flaws->suspects &= ~blame;
    g_mutex_unlock(&flaws->lock);
}

void imap_flaws_learn(struct imap_flaws *flaws, unsigned what)
{
    if (!flaws_lock(flaws))
        return;
    learn(flaws, what);
    g_mutex_unlock(&flaws->lock);
}

/* ---- attached ---------------------------------------------------------------------------------
 */

/* What was given alone tells whether it was for the company that it was refused before. */
static void answered_alone(struct imap_flaws *flaws, const struct imap_command *command,
                           enum imap_error error)
{
    if (flaws->in_doubt && error == IMAP_OK) {
        unlearn_pipelining(flaws);
        flaws->crowds--; /* once more, and it was this after all */
        return;
    }
    if (flaws->refused != command->kind)
        return;
    flaws->refused = NULL;
    if (error == IMAP_ERROR_BAD) {
        unlearn_pipelining(flaws);
        flaws->crowds = 0;
        flaws->took_crowds = true; /* its BADs mean what they say */
    }
}

/* Returns whether it is refused for its company, as it seems. `in_turn`: none before it waits for
 * an answer, which a server may have forgotten for this one. */
static bool answered_crowded(struct imap_flaws *flaws, const struct imap_command *command,
                             enum imap_error error, bool in_turn)
{
    if (command->behind && in_turn && error == IMAP_OK) {
        flaws->crowds = 0;
        flaws->took_crowds = true;
        flaws->refused = NULL;
    }
    if (error != IMAP_ERROR_BAD || flaws->took_crowds || flaws->known & IMAP_FLAW_PIPELINING ||
        command->blame != 0) /* what is offered and refused is no rarity */
        return false;
    flaws->refused = command->kind;
    return true;
}

bool imap_flaws_answered(struct imap_session *session, const struct imap_command *command,
                         enum imap_error error)
{
    struct imap_flaws *flaws = session->flaws;

    if (command->doomed || !flaws_lock(flaws))
        return false;
    flaws->suspects &= ~command->blame;
    bool in_turn = command == imap_queue_oldest(&session->queue);
    bool end = command->crowded && answered_crowded(flaws, command, error, in_turn);
    if (!command->crowded && session->queue.serial)
        answered_alone(flaws, command, error);
    g_mutex_unlock(&flaws->lock);
    return end;
}

/* The server was at the oldest command; or it did not stand that there were others. A command that
 * it has refused is not what it ended of. */
void imap_flaws_ended(const struct imap_session *session)
{
    const struct imap_command *oldest = imap_queue_oldest(&session->queue);
    struct imap_flaws *flaws = session->flaws;
    bool crowded = false;

    for (const GList *link = session->queue.commands.head; link; link = link->next)
        crowded |= ((const struct imap_command *)link->data)->crowded;
    if (!oldest || !oldest->begun || !flaws_lock(flaws))
        return;
    bool blamed = !flaws->refused && suspect(flaws, oldest->blame);
    if (crowded && !(flaws->known & IMAP_FLAW_PIPELINING))
        flaws->in_doubt = count_crowd(flaws) && blamed;
    g_mutex_unlock(&flaws->lock);
}
