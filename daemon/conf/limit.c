#include "daemon/conf/limit.h"

#include "daemon/conf/units.h"

#include <ctype.h>

#define DAY_MINUTES 1440
#define TEXT_MAX    1024

#define BYTES_LEAST    UINT64_C(1000)
#define BYTES_MOST     UINT64_C(1000000000000)
#define REQUESTS_MOST  1000000
#define BANDWIDTH_HINT "bits: 200mbit; bytes: 25MB/s; by time: 08:00-20:00 100mbit, 400mbit; or off"
#define REQUESTS_HINT  "write 500/s; by time: 08:00-20:00 100/s, 400/s; or off"

typedef bool parse_rate_fn(struct span text, uint64_t *ret);

static bool parse_bandwidth(struct span text, uint64_t *ret)
{
    return units_parse_rate(text, ret) && *ret >= BYTES_LEAST && *ret <= BYTES_MOST;
}

static bool parse_requests(struct span text, uint64_t *ret)
{
    unsigned long long n = 0;
    if (!span_ends_with(text, span_str("/s")) ||
        span_to_u64(span_of(text.ptr, text.len - 2), &n) != 0) {
        return false;
    }
    *ret = n;
    return n > 0 && n <= REQUESTS_MOST;
}

/* ---- the timetable ---- */

/* "HH:MM" as a minute of the day, 24:00 included. */
static bool parse_clock(struct span text, unsigned *ret)
{
    const char *t = text.ptr;
    bool good = text.len == 5 && isdigit((unsigned char)t[0]) && isdigit((unsigned char)t[1]) &&
                t[2] == ':' && isdigit((unsigned char)t[3]) && isdigit((unsigned char)t[4]);
    if (!good) {
        return false;
    }
    unsigned hour = (unsigned)(t[0] - '0') * 10 + (unsigned)(t[1] - '0');
    unsigned minute = (unsigned)(t[3] - '0') * 10 + (unsigned)(t[4] - '0');
    *ret = hour * 60 + minute;
    return minute < 60 && *ret <= DAY_MINUTES;
}

static bool parse_window(struct span text, struct limit_entry *ret)
{
    struct span rest = text;
    struct span from = span_cut(&rest, '-');
    if (rest.ptr == NULL || !parse_clock(from, &ret->from) || !parse_clock(rest, &ret->to)) {
        return false;
    }
    if (ret->from == ret->to || ret->from == DAY_MINUTES) {
        return false;
    }
    ret->to %= DAY_MINUTES; /* which makes 00:00-24:00 the whole day */
    return true;
}

static bool is_inside(const struct limit_entry *e, unsigned minute)
{
    if (e->from < e->to) {
        return minute >= e->from && minute < e->to;
    }
    return minute >= e->from || minute < e->to;
}

static const char *add_entry(struct limit *l, struct span text, parse_rate_fn *parse,
                             struct arena *a)
{
    struct limit_entry e = {0};
    struct span rate = span_trim(text);
    bool has_window = memchr(rate.ptr, ':', rate.len) != NULL;
    if (l->count > 0 && l->entries[l->count - 1].from == l->entries[l->count - 1].to) {
        return "has something behind the entry for the whole day";
    }
    if (has_window) {
        struct span window = span_cut(&rate, ' ');
        rate = span_trim(rate);
        if (rate.ptr == NULL || !parse_window(window, &e)) {
            return "has a window that is not HH:MM-HH:MM and a rate";
        }
    }
    if (!span_eq_str(rate, "off") && !parse(rate, &e.rate)) {
        return "is not a rate";
    }
    for (size_t i = 0; has_window && i < l->count; i++) {
        if (is_inside(&l->entries[i], e.from) || is_inside(&e, l->entries[i].from)) {
            return "has windows that overlap";
        }
    }
    e.text = arena_span(a, rate).ptr;
    l->entries[l->count++] = e;
    return NULL;
}

static const char *parse(struct span text, parse_rate_fn *rate, struct arena *a, struct limit *ret)
{
    struct span rest = text;
    ret->text = arena_span(a, text).ptr;
    ret->entries = arena_alloc(a, LIMIT_ENTRIES_MAX * sizeof(*ret->entries));
    ret->count = 0;
    while (rest.ptr != NULL) {
        const char *wrong = ret->count == LIMIT_ENTRIES_MAX
                                ? "has too many entries"
                                : add_entry(ret, span_cut(&rest, ','), rate, a);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}

static int parse_limit(struct span text, parse_rate_fn *rate, const char *hint, struct arena *a,
                       struct limit *ret, struct fail *f)
{
    struct limit l = {0};
    struct span trimmed = span_trim(text);
    const char *wrong = trimmed.len == 0              ? "is empty"
                        : trimmed.len > TEXT_MAX      ? "is too long"
                        : span_eq_str(trimmed, "off") ? NULL
                                                      : parse(trimmed, rate, a, &l);
    if (wrong != NULL) {
        struct span shown = span_of(trimmed.ptr, trimmed.len > 60 ? 60 : trimmed.len);
        fail_set(f, REPL_EBADINPUT, "\"%.*s\" %s", SPAN_ARG(shown), wrong);
        fail_hint(f, "%s", hint);
        return REPL_EBADINPUT;
    }
    *ret = l;
    return 0;
}

int limit_parse_bandwidth(struct span text, struct arena *a, void *ret_limit, struct fail *f)
{
    return parse_limit(text, parse_bandwidth, BANDWIDTH_HINT, a, ret_limit, f);
}

int limit_parse_requests(struct span text, struct arena *a, void *ret_limit, struct fail *f)
{
    return parse_limit(text, parse_requests, REQUESTS_HINT, a, ret_limit, f);
}

void limit_print(const void *limit, struct buf *to)
{
    const struct limit *l = limit;
    buf_str(to, l->text != NULL ? l->text : "off");
}

const struct limit_entry *limit_at(const struct limit *l, unsigned minute)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct limit_entry *e = &l->entries[i];
        if (e->from == e->to || is_inside(e, minute)) {
            return e->rate > 0 ? e : NULL;
        }
    }
    return NULL;
}
