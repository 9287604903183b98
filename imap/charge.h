/* By which evidence a command is held to be what a server ends connections at. Private to imap/.
 *
 * A connection that ends while a command waits for its answer may have ended of that command, or of
 * a network that cuts by chance. What tells them apart:
 *
 *   - A server that does not stand a command never answers it. One answer *acquits*: the count of
 *     ends begins anew, and from then on it takes ENDS_MOST of them in a row.
 *   - It ends every connection at it, also where the command is the only thing on its way. After
 *     the first end the command is given *alone*: it waits for all before it, and all behind it
 *     wait for it. Only ends of that kind are added up; any other is good for the suspicion alone.
 *     So two connections that go down together count once.
 *   - It ends none elsewhere. An end that no suspect accounts for is a *loss*: of a connection that
 *     waited for nothing, or for a command that the server is known to answer, or that had not got
 *     so far. Each that comes after the first end of a suspect, or some minutes (CALM) before it,
 *     raises by one the number of ends that it takes.
 *   - Once the command is left out, connections last. A loss soon after a verdict says that it was
 *     not for that: the verdict is withdrawn, and the command is given again, alone. The count of
 *     ends stays, so that a server that does not stand it, on a network that cuts as well, is found
 *     out again at the first.
 *
 * A verdict is *unproved* until the command was given once more, alone, on the first connection
 * that is made when it is CALM old: then it was passed on a network that has been good since. If
 * that one ends at it too, and nothing was lost meanwhile, the verdict is *sure*; if it is answered
 * it is acquitted.
 *
 * Times are of a clock that only goes forward, in microseconds. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum {
    IMAP_CHARGE_ENDS = 2,      /* so many ends are believed, of what was never answered */
    IMAP_CHARGE_ENDS_MOST = 6, /* whatever was lost, or answered before */
};
#define IMAP_CHARGE_CALM ((gint64)10 * 60 * G_USEC_PER_SEC)

/* How much is lost at all. */
struct imap_weather {
    unsigned losses; /* ever */
    unsigned recent; /* of them: each less than CALM after the one before */
    gint64 last_us;  /* the last one */
};
void imap_weather_loss(struct imap_weather *weather, gint64 now_us);

/* All 0: nothing is known. */
struct imap_charge {
    unsigned ends;   /* since it was last answered */
    unsigned before; /* weather's losses that do not count, as they were long before */
    bool stood;      /* it was answered, ever */
    bool passed;     /* the verdict: it is left out */
    bool sure;       /* and proved */
    bool retried;    /* it is tried anew, and nothing was lost since: the next end proves it */
    gint64 since_us;
};

/* A connection ended at it. `tested`: the count of ends before it was given alone, 0: it was not
 * alone. Returns whether the verdict is passed now. */
bool imap_charge_end(struct imap_charge *charge, unsigned tested,
                     const struct imap_weather *weather, gint64 now_us);
/* It was answered. Returns whether a verdict is lifted; one that is sure never is, as it may have
 * been found in another way: an answer that leaves something out. */
bool imap_charge_acquit(struct imap_charge *charge);
/* Passes the verdict as it was found before, or in another way. */
void imap_charge_pass(struct imap_charge *charge, bool sure, gint64 now_us);
/* There was a loss. Returns whether a verdict is withdrawn. */
bool imap_charge_withdraw(struct imap_charge *charge, gint64 now_us);
/* Whether it is to be tried anew on the next connection. */
bool imap_charge_is_due(const struct imap_charge *charge, gint64 now_us);
/* That is made now: takes the verdict back. */
void imap_charge_retry(struct imap_charge *charge, const struct imap_weather *weather);
