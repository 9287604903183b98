#include "imap/parse.h"

static const struct {
    const char *text;
    int64_t seconds;
} DATES[] = {
    {"17-Jul-1996 02:44:25 -0700", 837596665},
    {" 7-Jul-1996 02:44:25 -0700", 836732665},
    {"7-Jul-1996 02:44:25 -0700", 836732665},
    {"07-jul-1996 02:44:25 -0700", 836732665},
    {"01-Jan-1970 00:00:00 +0000", 0},
    {"01-Jan-1970 01:00:00 +0100", 0},
    {"31-Dec-1969 23:59:59 -0000", -1},
    {"29-Feb-2000 12:00:00 +0000", 951825600},
    {"29-FEB-2024 23:59:60 +0000", 1709251200},
    {"01-Mar-2024 05:30:00 +0530", 1709251200},
    {"19-Jan-2038 03:14:08 +0000", 2147483648},
    {"01-Jan-1900 00:00:00 +0000", -2208988800},
    {"31-Dec-9999 23:59:59 +0000", 253402300799},
};

static const char *const REFUSED[] = {
    "",
    "x",
    "17-Jul-1996",
    "17-Jul-1996 02:44:25",
    "17-Jul-1996 02:44:25 -070",
    "17-Jul-1996 02:44:25 -07000",
    "17-Jul-1996 02:44:25 GMT  ",
    "17-Jul-1996 02:44:25 0700-",
    "17 Jul 1996 02:44:25 -0700",
    "00-Jul-1996 02:44:25 -0700",
    "32-Jul-1996 02:44:25 -0700",
    "31-Jun-1996 02:44:25 -0700",
    "29-Feb-1900 02:44:25 -0700",
    "29-Feb-2023 02:44:25 -0700",
    "17-Foo-1996 02:44:25 -0700",
    "17-ulA-1996 02:44:25 -0700",
    "17-Jul-1899 02:44:25 -0700",
    "17-Jul--996 02:44:25 -0700",
    "17-Jul-1996 24:44:25 -0700",
    "17-Jul-1996 02:60:25 -0700",
    "17-Jul-1996 02:44:61 -0700",
    "17-Jul-1996 02.44.25 -0700",
    "17-Jul-1996 02:44:25 -2400",
    "17-Jul-1996 02:44:25 -0760",
    "17-Jul-1996T02:44:25 -0700",
    "-7-Jul-1996 02:44:25 -0700",
    "   -Jul-1996 02:44:25 -0700",
};

static void test_dates(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(DATES); i++) {
        int64_t seconds = 1;
        g_test_message("%s", DATES[i].text);
        g_assert_true(imap_date_parse(DATES[i].text, &seconds));
        g_assert_cmpint(seconds, ==, DATES[i].seconds);
    }
}

static void test_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(REFUSED); i++) {
        int64_t seconds;
        g_test_message("%s", REFUSED[i]);
        g_assert_false(imap_date_parse(REFUSED[i], &seconds));
    }
}

/* Every day of 400 years against GLib's calendar. */
static void test_calendar(void)
{
    g_autoptr(GDateTime) start = g_date_time_new_utc(1900, 1, 1, 12, 34, 56);
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int day = 0; day < 146097; day++) {
        g_autoptr(GDateTime) date = g_date_time_add_days(start, day);
        int year, month, day_of_month;
        int64_t seconds;
        g_date_time_get_ymd(date, &year, &month, &day_of_month);
        g_autofree char *text = g_strdup_printf("%02d-%.3s-%04d 12:34:56 +0000", day_of_month,
                                                MONTHS + 3 * (month - 1), year);
        g_assert_true(imap_date_parse(text, &seconds));
        g_assert_cmpint(seconds, ==, g_date_time_to_unix(date));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/date/dates", test_dates);
    g_test_add_func("/imap/date/refused", test_refused);
    g_test_add_func("/imap/date/calendar", test_calendar);
    return g_test_run();
}
