#include "daemon/conf/units.h"

#include "daemon/conf/conf.h"

#include <ctype.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Binary units first, largest first: the order of printing. */
static const struct unit byte_units[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"B", 1},
    {"TB", UINT64_C(1000000000000)},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"kB", 1000},
    {"KB", 1000},
    {NULL, 0},
};
static const struct unit bit_units[] = {
    {"gbit", 1000000000},
    {"mbit", 1000000},
    {"kbit", 1000},
    {NULL, 0},
};
static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000},   {"min", 60000}, {"s", 1000},
    {"ms", 1},       {"w", 604800000}, {NULL, 0},
};

#define UNITS_MAX (UINT64_C(1) << 62)

static const struct unit *find_unit(const struct unit *units, struct span name)
{
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (span_eq_str(name, u->name)) {
            return u;
        }
    }
    return NULL;
}

static size_t run_of(struct span s, size_t from, bool digits)
{
    size_t at = from;
    while (at < s.len && (digits ? isdigit((unsigned char)s.ptr[at]) != 0
                                 : isalpha((unsigned char)s.ptr[at]) != 0)) {
        at++;
    }
    return at - from;
}

/* value += "12.5" units of factor; exact in integers, rounded down. */
static bool add_number(struct span whole, struct span fraction, uint64_t factor, uint64_t *value)
{
    unsigned long long n = 0;
    if (span_to_u64(whole, &n) != 0 || n > UNITS_MAX / factor) {
        return false;
    }
    uint64_t sum = n * factor;
    unsigned long long part = 0;
    uint64_t scale = 1;
    for (size_t i = 0; i < fraction.len; i++) {
        part = part * 10 + (unsigned)(fraction.ptr[i] - '0');
        scale *= 10;
    }
    /* In two steps, because part x factor may exceed 64 bits. */
    sum += factor / scale * part + factor % scale * part / scale;
    if (sum > UNITS_MAX - *value) {
        return false;
    }
    *value += sum;
    return true;
}

/* One "12.5unit" off the front; false when it cannot be read. */
static bool take_term(struct span *text, const struct unit *units, uint64_t *value)
{
    size_t digits = run_of(*text, 0, true);
    size_t at = digits;
    struct span fraction = span_of(text->ptr + at, 0);
    if (at < text->len && text->ptr[at] == '.') {
        fraction = span_of(text->ptr + at + 1, run_of(*text, at + 1, true));
        at += 1 + fraction.len;
        if (fraction.len == 0 || fraction.len > 9) {
            return false;
        }
    }
    size_t name_at = at + (at < text->len && text->ptr[at] == ' ' ? 1 : 0);
    size_t name_len = run_of(*text, name_at, false);
    const struct unit *u = find_unit(units, span_of(text->ptr + name_at, name_len));
    if (digits == 0 || u == NULL ||
        !add_number(span_of(text->ptr, digits), fraction, u->factor, value)) {
        return false;
    }
    *text = span_skip(*text, name_at + name_len);
    return true;
}

static bool parse_terms(struct span text, const struct unit *units, bool several, uint64_t *ret)
{
    uint64_t value = 0;
    struct span rest = span_trim(text);
    if (span_eq_str(rest, "0")) {
        *ret = 0;
        return true;
    }
    do {
        if (!take_term(&rest, units, &value)) {
            return false;
        }
    } while (several && rest.len > 0);
    if (rest.len > 0) {
        return false;
    }
    *ret = value;
    return true;
}

bool units_parse_rate(struct span text, uint64_t *ret)
{
    struct span amount = span_trim(text);
    bool by_second = span_ends_with(amount, span_str("/s"));
    amount.len -= by_second ? 2 : 0;
    if (parse_terms(amount, bit_units, false, ret)) {
        *ret /= 8;
        return true;
    }
    return by_second && parse_terms(amount, byte_units, false, ret);
}

/* What an error text repeats of it. */
static struct span shown(struct span text)
{
    return span_of(text.ptr, text.len > 40 ? 40 : text.len);
}

int conf_parse_bytes(struct span text, uint64_t *ret, struct fail *f)
{
    if (!parse_terms(text, byte_units, false, ret)) {
        fail_set(f, REPL_EBADINPUT, "\"%.*s\" is not a size", SPAN_ARG(shown(text)));
        fail_hint(f, "write a number with a unit: 64MiB, 1.5GiB, 10GB");
        return REPL_EBADINPUT;
    }
    return 0;
}

int conf_parse_duration(struct span text, uint64_t *ret_ms, struct fail *f)
{
    if (!parse_terms(text, time_units, true, ret_ms)) {
        fail_set(f, REPL_EBADINPUT, "\"%.*s\" is not a duration", SPAN_ARG(shown(text)));
        fail_hint(f, "write a number with a unit (ms, s, min, h, d, w): 30s, 10min, 1h30min");
        return REPL_EBADINPUT;
    }
    return 0;
}

static void print_units(uint64_t value, const struct unit *units, const char *smallest,
                        struct buf *to)
{
    for (const struct unit *u = units; value != 0; u++) {
        if (value % u->factor == 0) {
            buf_printf(to, "%llu%s", (unsigned long long)(value / u->factor), u->name);
            return;
        }
    }
    buf_printf(to, "0%s", smallest);
}

void units_print_bytes(uint64_t bytes, struct buf *to)
{
    print_units(bytes, byte_units, "B", to);
}

void units_print_duration(uint64_t ms, struct buf *to)
{
    print_units(ms, time_units, "ms", to);
}
