#include "imap/parse.h"

#include <string.h>

/* Days from 1970-01-01 in the Gregorian calendar; a year begins in March here, so that the leap day
 * is its last. */
static int64_t days_since_1970(int year, int month, int day)
{
    year -= month <= 2;
    int month_from_march = (month + 9) % 12;
    int64_t leap_days = year / 4 - year / 100 + year / 400;
    return 365 * (int64_t)year + leap_days + (153 * month_from_march + 2) / 5 + day - 1 - 719468;
}

/* `count` digits, the first may be a blank. Returns -1 if they are not. */
static int digits(const char *text, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (i == 0 && text[i] == ' ' && count > 1)
            continue;
        if (!g_ascii_isdigit(text[i]))
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

static int month_find(const char *text)
{
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (g_ascii_strncasecmp(text, MONTHS + 3 * i, 3) == 0)
            return i + 1;
    return -1;
}

/* "+hhmm" to seconds east. */
static bool zone_parse(const char *text, int *seconds)
{
    int hours = digits(text + 1, 2), minutes = hours < 0 ? -1 : digits(text + 3, 2);
    if ((text[0] != '+' && text[0] != '-') || hours < 0 || hours > 23 || minutes < 0 ||
        minutes > 59)
        return false;
    *seconds = (text[0] == '-' ? -60 : 60) * (hours * 60 + minutes);
    return true;
}

/* "hh:mm:ss" to seconds; 60 is a leap second. */
static bool time_parse(const char *text, int *seconds)
{
    int hour = digits(text, 2), minute = digits(text + 3, 2), second = digits(text + 6, 2);
    if (text[2] != ':' || text[5] != ':' || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 60)
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

static int days_in_month(int year, int month)
{
    static const char DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return DAYS[month - 1] + (month == 2 && leap);
}

bool imap_date_parse(const char *text, int64_t *seconds)
{
    char padded[sizeof(" 7-Jul-1996 02:44:25 -0700")];
    int time, zone;
    size_t length = strlen(text);
    if (length + 2 < sizeof(padded) || length + 1 > sizeof(padded))
        return false;
    /* a day of one digit without its blank */
    g_snprintf(padded, sizeof(padded), "%s%s", length + 2 == sizeof(padded) ? " " : "", text);
    int day = digits(padded, 2), month = month_find(padded + 3), year = digits(padded + 7, 4);
    if (padded[2] != '-' || padded[6] != '-' || padded[11] != ' ' || padded[20] != ' ')
        return false;
    if (month < 0 || year < 1900 || day < 1 || day > days_in_month(year, month))
        return false;
    if (!time_parse(padded + 12, &time) || !zone_parse(padded + 21, &zone))
        return false;
    *seconds = days_since_1970(year, month, day) * 86400 + time - zone;
    return true;
}
