/* By which evidence a verdict is passed, withdrawn, tried again and proved. */
#include "imap/charge.h"

/* What happens, a letter each:
 *   e   a connection ends at the command, which was given alone if it is suspected
 *   c   one does that had something else on its way, or was made before the last one ended
 *   a   it is answered
 *   l   a connection is lost
 *   m   a minute goes by
 *   d   ten of them
 *   n   a new connection: it is tried again if that is due
 * and what is known behind each: '.' nothing, 'V' a verdict, 'S' one that is sure. */
static const struct {
    const char *name, *events, *known;
} ROWS[] = {
    {"two ends", "ee", ".V"},
    {"an answer between", "eae", "..."},
    {"an answer lifts it", "eea", ".V."},
    {"two that went down together", "ecc", "..."},
    {"one of company, and one alone", "ce", ".V"},
    {"the first of company, then alone only", "ccce", "...V"},
    {"long between them", "edde", "...V"},
    {"answered before: six", "aeeeeee", "......V"},
    {"answered between: six from there", "eeaeeeeee", ".V......V"},
    {"a loss before: three", "leee", "...V"},
    {"a loss between: three", "elee", "...V"},
    {"losses long before", "llldee", ".....V"},
    {"losses minutes before", "lmmmmmeee", "........V"},
    {"losses one by one before", "lmmmmmmlmmmmmmleeeee", "...................V"},
    {"losses long between", "eldee", "....V"},
    {"never more than six", "lllllllleeeeee", ".............V"},
    {"a loss withdraws it", "eel", ".V."},
    {"and the next end passes it again", "eele", ".V.V"},
    {"and again", "eelele", ".V.V.V"},
    {"or an answer does away with it", "eelaee", ".V...."},
    {"two losses: two ends", "eellee", ".V...V"},
    {"a loss that comes late does not", "eedl", ".VVV"},
    {"a new connection soon", "eemmn", ".VVVV"},
    {"late: tried again", "eedn", ".VV."},
    {"one end proves it", "eedne", ".VV.S"},
    {"for good", "eednelldnl", ".VV.SSSSSS"},
    {"whatever is answered where it was given before", "eednea", ".VV.SS"},
    {"tried and answered", "eednaee", ".VV...."},
    {"tried and lost: that proves nothing", "eednlee", ".VV..VV"},
};

struct bench {
    struct imap_weather weather;
    struct imap_charge charge;
    gint64 now;
};

static void happens(struct bench *bench, char event)
{
    struct imap_charge *charge = &bench->charge;
    bool passed = charge->passed;

    if (event == 'e')
        imap_charge_end(charge, charge->ends, &bench->weather, bench->now);
    else if (event == 'c')
        imap_charge_end(charge, 0, &bench->weather, bench->now);
    else if (event == 'a')
        g_assert_true(imap_charge_acquit(charge) == (passed && !charge->sure));
    else if (event == 'm')
        bench->now += IMAP_CHARGE_CALM / 10;
    else if (event == 'd')
        bench->now += IMAP_CHARGE_CALM;
    else if (event == 'n' && imap_charge_is_due(charge, bench->now))
        imap_charge_retry(charge, &bench->weather);
    if (event != 'l')
        return;
    imap_weather_loss(&bench->weather, bench->now);
    bool withdrawn = imap_charge_withdraw(charge, bench->now);
    g_assert_true(withdrawn == (passed && !charge->passed));
}

static void test_rows(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        struct bench bench = {.now = (gint64)1000 * 1000};
        g_autoptr(GString) known = g_string_new(NULL);
        for (const char *event = ROWS[i].events; *event; event++) {
            happens(&bench, *event);
            g_string_append_c(known, !bench.charge.passed ? '.' : bench.charge.sure ? 'S' : 'V');
        }
        g_test_message("%s: %s", ROWS[i].name, ROWS[i].events);
        g_assert_cmpstr(known->str, ==, ROWS[i].known);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/charge/rows", test_rows);
    return g_test_run();
}
