#include "imap/charge.h"

static bool is_calm(const struct imap_weather *weather, gint64 now_us)
{
    return weather->recent == 0 || now_us - weather->last_us >= IMAP_CHARGE_CALM;
}

void imap_weather_loss(struct imap_weather *weather, gint64 now_us)
{
    weather->recent = is_calm(weather, now_us) ? 1 : weather->recent + 1;
    weather->losses++;
    weather->last_us = now_us;
}

/* How many ends it takes. */
static unsigned ends_needed(const struct imap_charge *charge, const struct imap_weather *weather)
{
    unsigned losses = weather->losses - charge->before;

    if (charge->stood)
        return IMAP_CHARGE_ENDS_MOST;
    return IMAP_CHARGE_ENDS + MIN(losses, (unsigned)IMAP_CHARGE_ENDS_MOST - IMAP_CHARGE_ENDS);
}

bool imap_charge_end(struct imap_charge *charge, unsigned tested,
                     const struct imap_weather *weather, gint64 now_us)
{
    if (charge->passed)
        return false;
    if (charge->ends == 0) {
        charge->ends = 1;
        charge->before = weather->losses - (is_calm(weather, now_us) ? 0 : weather->recent);
        return false;
    }
    if (tested != charge->ends) /* another connection has ended at it meanwhile, or of company */
        return false;
    charge->ends = MIN(charge->ends + 1, (unsigned)IMAP_CHARGE_ENDS_MOST);
    if (charge->ends < ends_needed(charge, weather))
        return false;
    imap_charge_pass(charge, charge->retried, now_us);
    return true;
}

bool imap_charge_acquit(struct imap_charge *charge)
{
    bool lifted = charge->passed;

    if (charge->sure)
        return false;
    *charge = (struct imap_charge){.stood = true};
    return lifted;
}

void imap_charge_pass(struct imap_charge *charge, bool sure, gint64 now_us)
{
    charge->ends = MAX(charge->ends, (unsigned)IMAP_CHARGE_ENDS);
    charge->passed = true;
    charge->sure |= sure;
    charge->since_us = now_us;
}

bool imap_charge_withdraw(struct imap_charge *charge, gint64 now_us)
{
    bool withdrawn = charge->passed;

    if (charge->sure || imap_charge_is_due(charge, now_us))
        return false;
    charge->passed = charge->retried = false;
    return withdrawn;
}

bool imap_charge_is_due(const struct imap_charge *charge, gint64 now_us)
{
    return charge->passed && !charge->sure && now_us - charge->since_us >= IMAP_CHARGE_CALM;
}

void imap_charge_retry(struct imap_charge *charge, const struct imap_weather *weather)
{
    charge->before = weather->losses;
    charge->passed = false;
    charge->retried = true;
}
