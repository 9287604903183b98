#include "imap/flaws.h"

#include "imap/charge.h"
#include "imap/session.h"

#include <string.h>

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

enum {
    ROWS = G_N_ELEMENTS(WORDS),
    CROWDS = ROWS - 1,
    SETUP = IMAP_CAP_ID | IMAP_CAP_ENABLE | IMAP_CAP_IMAP4REV2 | IMAP_CAP_NAMESPACE |
            IMAP_CAP_COMPRESS, /* blames of what is asked while setting up */
};

struct imap_flaws {
    gint references; /* atomic */
    gint64 (*now)(void);
    GMutex lock;
    /* under the lock */
    struct imap_charge charges[ROWS]; /* as WORDS */
    struct imap_charge several;       /* asked at once while setting up, for PIPELINING */
    struct imap_weather weather;
    bool careful; /* the last attempt to set up ended early */
    bool cut;     /* an attempt did while several commands were outstanding */
    bool patient; /* the server may take all the time that the owner gives it */
    bool learned; /* something was learned since */
    const struct imap_command_kind *refused; /* crowded, with BAD; NULL: none, or that was why */
};

struct imap_flaws *imap_flaws_new(unsigned known, gint64 (*now)(void))
{
    struct imap_flaws *flaws = g_new0(struct imap_flaws, 1);

    flaws->references = 1;
    flaws->now = now ? now : g_get_monotonic_time;
    g_mutex_init(&flaws->lock);
    imap_flaws_learn(flaws, known);
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

/* What verdicts are passed on, and of these those that are not sure. */
static unsigned passed(const struct imap_flaws *flaws, bool unproved)
{
    unsigned known = 0;

    for (size_t i = 0; i < ROWS; i++)
        if (flaws->charges[i].passed && !(unproved && flaws->charges[i].sure))
            known |= WORDS[i].flaw;
    return known;
}

unsigned imap_flaws_known(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return 0;
    unsigned known = passed(flaws, false);
    g_mutex_unlock(&flaws->lock);
    return known;
}

unsigned imap_flaws_unproved(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return 0;
    unsigned unproved = passed(flaws, true);
    g_mutex_unlock(&flaws->lock);
    return unproved;
}

unsigned imap_flaws_due(struct imap_flaws *flaws)
{
    unsigned due = 0;

    if (!flaws_lock(flaws))
        return 0;
    for (size_t i = 0; i < ROWS; i++)
        if (imap_charge_is_due(&flaws->charges[i], flaws->now()))
            due |= WORDS[i].flaw;
    g_mutex_unlock(&flaws->lock);
    return due;
}

/* ---- in words ---------------------------------------------------------------------------------
 */

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

static void say_learned(struct imap_flaws *flaws, const char *word)
{
    g_message("the server does not stand this, it is left out from now on: %s", word);
    flaws->learned = true;
}

static void pass(struct imap_flaws *flaws, unsigned what, bool sure)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!(what & WORDS[i].flaw))
            continue;
        if (!flaws->charges[i].passed)
            say_learned(flaws, WORDS[i].word);
        imap_charge_pass(&flaws->charges[i], sure, flaws->now());
    }
}

static void acquit(struct imap_flaws *flaws, unsigned blame)
{
    for (size_t i = 0; i < ROWS; i++)
        if (blame & WORDS[i].flaw && imap_charge_acquit(&flaws->charges[i]))
            g_message("the server does stand this: %s", WORDS[i].word);
}

/* What these were blamed for together. `tested`: as of imap_charge_end(). */
static void end_at(struct imap_flaws *flaws, unsigned blame, unsigned tested)
{
    for (size_t i = 0; i < ROWS; i++)
        if (blame & WORDS[i].flaw &&
            imap_charge_end(&flaws->charges[i], tested, &flaws->weather, flaws->now()))
            say_learned(flaws, WORDS[i].word);
}

static unsigned ends_at(const struct imap_flaws *flaws, unsigned blame)
{
    unsigned ends = 0;

    for (size_t i = 0; i < ROWS; i++)
        if (blame & WORDS[i].flaw)
            ends = MAX(ends, flaws->charges[i].ends);
    return ends;
}

/* Whether one of these was never answered. */
static bool may_be_for(const struct imap_flaws *flaws, unsigned blame)
{
    for (size_t i = 0; i < ROWS; i++)
        if (blame & WORDS[i].flaw && !flaws->charges[i].stood)
            return true;
    return false;
}

static bool is_serial(const struct imap_flaws *flaws)
{
    return flaws->charges[CROWDS].passed;
}

/* A connection ended of nothing that is suspected. */
static void loss(struct imap_flaws *flaws)
{
    gint64 now = flaws->now();

    imap_weather_loss(&flaws->weather, now);
    for (size_t i = 0; i < ROWS; i++)
        if (imap_charge_withdraw(&flaws->charges[i], now))
            g_message("connections end without it as well, it is tried again: %s", WORDS[i].word);
}

/* ---- setting up -------------------------------------------------------------------------------
 */

static void retry_due(struct imap_flaws *flaws)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!imap_charge_is_due(&flaws->charges[i], flaws->now()))
            continue;
        g_message("what the server did not stand is tried again: %s", WORDS[i].word);
        imap_charge_retry(&flaws->charges[i], &flaws->weather);
    }
}

struct imap_caution imap_flaws_begin(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return (struct imap_caution){0};
    retry_due(flaws);
    unsigned known = passed(flaws, false);
    struct imap_caution caution = {
        .known = known,
        .crowds = flaws->charges[CROWDS].ends,
        .one_by_one = flaws->careful || ends_at(flaws, SETUP & ~known) > 0,
        .brief = !flaws->patient,
    };
    g_mutex_unlock(&flaws->lock);
    return caution;
}

/* It is not for what was asked. Returns whether there was not enough time. */
static bool cut_idle(struct imap_flaws *flaws, bool silent)
{
    bool hurried = silent && !flaws->patient;

    flaws->careful = flaws->cut = flaws->learned = false;
    flaws->patient |= silent;
    loss(flaws);
    return hurried;
}

static void cut_at(struct imap_flaws *flaws, const struct imap_cut *cut)
{
    unsigned tested = cut->several ? 0 : ends_at(flaws, cut->blame);
    bool known = !may_be_for(flaws, cut->blame) && !(cut->several && !flaws->several.stood);

    flaws->careful = true;
    flaws->cut |= cut->several;
    end_at(flaws, cut->blame, tested);
    if (known)
        loss(flaws);
}

bool imap_flaws_cut_short(struct imap_flaws *flaws, const struct imap_cut *cut)
{
    bool again = true;

    if (!flaws_lock(flaws))
        return false;
    if (cut->blame == 0)
        again = cut_idle(flaws, cut->silent);
    else
        cut_at(flaws, cut);
    g_mutex_unlock(&flaws->lock);
    return again;
}

void imap_flaws_lost(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return;
    loss(flaws);
    g_mutex_unlock(&flaws->lock);
}

void imap_flaws_took_several(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return;
    imap_charge_acquit(&flaws->several);
    g_mutex_unlock(&flaws->lock);
}

void imap_flaws_through(struct imap_flaws *flaws)
{
    if (!flaws_lock(flaws))
        return;
    struct imap_charge *several = &flaws->several;
    if (flaws->cut && !flaws->learned && !is_serial(flaws) &&
        imap_charge_end(several, several->ends, &flaws->weather, flaws->now())) {
        *several = (struct imap_charge){0};
        pass(flaws, IMAP_FLAW_PIPELINING, false);
    }
    flaws->careful = flaws->cut = flaws->learned = false;
    g_mutex_unlock(&flaws->lock);
}

void imap_flaws_acquit(struct imap_flaws *flaws, unsigned blame)
{
    if (blame == 0 || !flaws_lock(flaws))
        return;
    acquit(flaws, blame);
    g_mutex_unlock(&flaws->lock);
}

unsigned imap_flaws_suspected(struct imap_flaws *flaws, unsigned blame)
{
    if (blame == 0 || !flaws_lock(flaws))
        return 0;
    unsigned ends = ends_at(flaws, blame);
    g_mutex_unlock(&flaws->lock);
    return ends;
}

void imap_flaws_learn(struct imap_flaws *flaws, unsigned what)
{
    if (!flaws_lock(flaws))
        return;
    pass(flaws, what, true);
    g_mutex_unlock(&flaws->lock);
}

void imap_flaws_presume(struct imap_flaws *flaws, unsigned what)
{
    if (!flaws_lock(flaws))
        return;
    pass(flaws, what, false);
    g_mutex_unlock(&flaws->lock);
}

/* ---- attached ---------------------------------------------------------------------------------
 */

/* What was given alone tells whether it was for the company that it was refused before. */
static void answered_alone(struct imap_flaws *flaws, const struct imap_command *command,
                           enum imap_error error)
{
    if (flaws->refused != command->kind)
        return;
    flaws->refused = NULL;
    if (error == IMAP_ERROR_BAD)
        acquit(flaws, IMAP_FLAW_PIPELINING); /* its BADs mean what they say */
}

/* Returns whether it is refused for its company, as it seems. `in_turn`: none before it waits for
 * an answer, which a server may have forgotten for this one. */
static bool answered_crowded(struct imap_flaws *flaws, const struct imap_command *command,
                             enum imap_error error, bool in_turn)
{
    if (command->behind && in_turn && error == IMAP_OK) {
        acquit(flaws, IMAP_FLAW_PIPELINING);
        flaws->refused = NULL;
    }
    if (error != IMAP_ERROR_BAD || flaws->charges[CROWDS].stood || is_serial(flaws) ||
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
    acquit(flaws, command->blame);
    bool in_turn = command == imap_queue_oldest(&session->queue);
    bool end = command->crowded && answered_crowded(flaws, command, error, in_turn);
    if (!command->crowded && session->queue.serial)
        answered_alone(flaws, command, error);
    g_mutex_unlock(&flaws->lock);
    return end;
}

static bool is_crowded(const struct imap_session *session)
{
    for (const GList *link = session->queue.commands.head; link; link = link->next)
        if (((const struct imap_command *)link->data)->crowded)
            return true;
    return false;
}

/* The server was at the oldest command; or it did not stand that there were others. A command that
 * it has refused is not what it ended of. */
void imap_flaws_ended(const struct imap_session *session)
{
    const struct imap_command *oldest = imap_queue_oldest(&session->queue);
    struct imap_flaws *flaws = session->flaws;

    if (!flaws_lock(flaws))
        return;
    unsigned blame = oldest && oldest->begun && !flaws->refused ? oldest->blame : 0;
    bool crowded = is_crowded(session) && !is_serial(flaws);
    bool explained = may_be_for(flaws, blame) || (crowded && !flaws->charges[CROWDS].stood);
    if (blame)
        end_at(flaws, blame, oldest->tested);
    if (crowded)
        end_at(flaws, IMAP_FLAW_PIPELINING, session->crowds);
    if (!explained)
        loss(flaws);
    g_mutex_unlock(&flaws->lock);
}
