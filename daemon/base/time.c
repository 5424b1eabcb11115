/* Dates as text and back. Civil dates by the algorithm of days from 0000-03-01. */
#include "daemon/base/fail.h"
#include "daemon/base/loop.h"
#include "daemon/base/span.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second, ms;
};

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void civil_from_days(int64_t days, struct civil *c)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    c->day = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    c->month = (unsigned)(month < 10 ? month + 3 : month - 9);
    c->year = year + era * 400 + (c->month <= 2);
}

static struct civil civil_of(int64_t wall_ms)
{
    struct civil c;
    int64_t days = wall_ms / 86400000;
    int64_t rest = wall_ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    civil_from_days(days, &c);
    c.hour = (unsigned)(rest / 3600000);
    c.minute = (unsigned)(rest / 60000 % 60);
    c.second = (unsigned)(rest / 1000 % 60);
    c.ms = (unsigned)(rest % 1000);
    return c;
}

void time_iso(int64_t wall_ms, char to[32])
{
    struct civil c = civil_of(wall_ms);
    snprintf(to, 32, "%04d-%02u-%02uT%02u:%02u:%02uZ", (int)c.year, c.month, c.day, c.hour,
             c.minute, c.second);
}

void time_iso_basic(int64_t wall_ms, char to[32])
{
    struct civil c = civil_of(wall_ms);
    snprintf(to, 32, "%04d%02u%02uT%02u%02u%02uZ", (int)c.year, c.month, c.day, c.hour, c.minute,
             c.second);
}

/* ---- reading ---- */

struct cursor {
    const char *at;
    const char *end;
};

static bool take_char(struct cursor *c, char want)
{
    if (c->at < c->end && *c->at == want) {
        c->at++;
        return true;
    }
    return false;
}

static bool take_digits(struct cursor *c, unsigned count, unsigned *ret)
{
    unsigned value = 0;
    for (unsigned i = 0; i < count; i++) {
        if (c->at >= c->end || *c->at < '0' || *c->at > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(*c->at++ - '0');
    }
    *ret = value;
    return true;
}

static bool is_valid(const struct civil *c)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (c->month < 1 || c->month > 12 || c->day < 1 || c->hour > 23 || c->minute > 59 ||
        c->second > 60) {
        return false;
    }
    bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
    return c->day <= days[c->month - 1] + (unsigned)(c->month == 2 && leap);
}

static int64_t to_ms(const struct civil *c)
{
    return ((days_from_civil(c->year, c->month, c->day) * 24 + c->hour) * 60 + c->minute) * 60000 +
           (int64_t)c->second * 1000 + c->ms;
}

/* ".123456": milliseconds, the rest cut off. */
static bool take_fraction(struct cursor *c, unsigned *ret_ms)
{
    unsigned scale = 100;
    const char *start = c->at;
    *ret_ms = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        *ret_ms += (unsigned)(*c->at++ - '0') * scale;
        scale /= 10;
    }
    return c->at > start;
}

/* "Z", "+02:00", "-0530", "+02" or nothing (UTC). */
static bool take_zone(struct cursor *c, int64_t *ret_offset_ms)
{
    unsigned hours;
    unsigned minutes = 0;
    *ret_offset_ms = 0;
    if (c->at == c->end || take_char(c, 'Z') || take_char(c, 'z')) {
        return true;
    }
    bool west = *c->at == '-';
    if (!west && *c->at != '+') {
        return false;
    }
    c->at++;
    if (!take_digits(c, 2, &hours)) {
        return false;
    }
    bool more = c->at < c->end;
    take_char(c, ':');
    if ((more && !take_digits(c, 2, &minutes)) || hours > 23 || minutes > 59) {
        return false;
    }
    *ret_offset_ms = ((int64_t)hours * 60 + minutes) * 60000 * (west ? -1 : 1);
    return true;
}

/* "2026-11-23T10:20:30.5Z", "2026-11-23 10:20:30", "20261123T102030Z", "2026-11-23". */
static bool parse_iso(struct cursor c, int64_t *ret)
{
    struct civil t = {0};
    unsigned year;
    int64_t offset = 0;
    if (!take_digits(&c, 4, &year)) {
        return false;
    }
    t.year = year;
    bool dashed = take_char(&c, '-');
    if (!take_digits(&c, 2, &t.month) || (dashed && !take_char(&c, '-')) ||
        !take_digits(&c, 2, &t.day)) {
        return false;
    }
    if (c.at < c.end) {
        if (!take_char(&c, 'T') && !take_char(&c, 't') && !take_char(&c, ' ')) {
            return false;
        }
        if (!take_digits(&c, 2, &t.hour)) {
            return false;
        }
        bool colons = take_char(&c, ':');
        if (!take_digits(&c, 2, &t.minute)) {
            return false;
        }
        if ((colons ? take_char(&c, ':') : c.at < c.end && *c.at >= '0' && *c.at <= '9') &&
            !take_digits(&c, 2, &t.second)) {
            return false;
        }
        if ((take_char(&c, '.') || take_char(&c, ',')) && !take_fraction(&c, &t.ms)) {
            return false;
        }
        if (!take_zone(&c, &offset)) {
            return false;
        }
    }
    if (c.at != c.end || !is_valid(&t)) {
        return false;
    }
    *ret = to_ms(&t) - offset;
    return true;
}

static bool take_month(struct cursor *c, unsigned *ret)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (unsigned i = 0; i < 12 && c->end - c->at >= 3; i++) {
        if (strncasecmp(c->at, names + (size_t)3 * i, 3) == 0) {
            *ret = i + 1;
            c->at += 3;
            return true;
        }
    }
    return false;
}

/* "10:20:30" */
static bool take_clock(struct cursor *c, struct civil *t)
{
    return take_digits(c, 2, &t->hour) && take_char(c, ':') && take_digits(c, 2, &t->minute) &&
           take_char(c, ':') && take_digits(c, 2, &t->second);
}

/* "2026", or the two digits of RFC 850 (POSIX: 69 to 99 are of the last century). */
static bool take_year(struct cursor *c, bool is_short, int64_t *ret)
{
    unsigned year;
    if (!take_digits(c, is_short ? 2 : 4, &year)) {
        return false;
    }
    *ret = is_short ? year + (year < 69 ? 2000 : 1900) : year;
    return true;
}

static bool is_utc(struct span zone)
{
    return span_eq_str(zone, "GMT") || span_eq_str(zone, "UTC") || span_eq_str(zone, "+0000");
}

/* After the comma: "23 Nov 2026 10:20:30 GMT", "23-Nov-26 10:20:30 GMT". */
static bool take_date(struct cursor *c, struct civil *t)
{
    while (take_char(c, ' ')) {
    }
    if (!take_digits(c, 2, &t->day)) {
        return false;
    }
    char sep = take_char(c, '-') ? '-' : ' ';
    return (sep == '-' || take_char(c, ' ')) && take_month(c, &t->month) && take_char(c, sep) &&
           take_year(c, sep == '-', &t->year) && take_char(c, ' ') && take_clock(c, t) &&
           take_char(c, ' ') && is_utc(span_of(c->at, (size_t)(c->end - c->at)));
}

/* After the weekday: "Nov 23 10:20:30 2026", "Nov  1 10:20:30 2026". */
static bool take_asctime(struct cursor *c, struct civil *t)
{
    if (!take_char(c, ' ') || !take_month(c, &t->month) || !take_char(c, ' ')) {
        return false;
    }
    bool one = take_char(c, ' ');
    return take_digits(c, one ? 1 : 2, &t->day) && take_char(c, ' ') && take_clock(c, t) &&
           take_char(c, ' ') && take_year(c, false, &t->year) && c->at == c->end;
}

/* The three forms of RFC 9110, 5.6.7. The weekday is not looked at. */
static bool parse_http(struct cursor c, int64_t *ret)
{
    struct civil t = {0};
    const char *start = c.at;
    while (c.at < c.end && ((*c.at | 0x20) >= 'a' && (*c.at | 0x20) <= 'z')) {
        c.at++;
    }
    if (c.at - start < 3 || !(take_char(&c, ',') ? take_date(&c, &t) : take_asctime(&c, &t)) ||
        !is_valid(&t)) {
        return false;
    }
    *ret = to_ms(&t);
    return true;
}

int time_parse(const char *text, size_t len, int64_t *ret_wall_ms)
{
    if (len == 0) {
        return REPL_EBADINPUT;
    }
    struct cursor c = {.at = text, .end = text + len};
    bool digit = *text >= '0' && *text <= '9';
    return (digit ? parse_iso(c, ret_wall_ms) : parse_http(c, ret_wall_ms)) ? 0 : REPL_EBADINPUT;
}

unsigned time_minute_of_day(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local = {0};
    localtime_r(&seconds, &local);
    return (unsigned)(local.tm_hour * 60 + local.tm_min);
}
