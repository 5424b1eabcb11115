#include "daemon/base/stat.h"
#include "daemon/base/stat_impl.h"

#include <math.h>
#include <stdio.h>

static void print_number(struct buf *to, double value)
{
    if (isnan(value)) {
        buf_str(to, "NaN");
    } else if (isinf(value)) {
        buf_str(to, value > 0 ? "+Inf" : "-Inf");
    } else if (value == floor(value) && fabs(value) < 9007199254740992.0) { /* 2^53: exact */
        buf_printf(to, "%.0f", value);
    } else {
        buf_printf(to, "%.15g", value);
    }
}

/* Bytes that are not UTF-8 become '?': they would spoil the whole scrape. */
static void print_escaped(struct buf *to, const char *text, bool quotes)
{
    struct span rest = span_str(text);
    while (rest.len > 0) {
        size_t n = span_utf8(rest);
        char c = rest.ptr[0];
        if (n == 0) {
            buf_char(to, '?');
        } else if (c == '\n') {
            buf_str(to, "\\n");
        } else if (c == '\\' || (c == '"' && quotes)) {
            buf_printf(to, "\\%c", c);
        } else {
            buf_append(to, rest.ptr, n);
        }
        rest = span_skip(rest, n > 0 ? n : 1);
    }
}

/* name_suffix{label="value",…} with `le` as one more label when it is given. */
static void print_name(struct buf *to, const struct stat *s, const char *suffix, const char *le)
{
    const struct stat_family *f = s->family;
    buf_printf(to, "%s%s", f->name, suffix);
    if (f->label_count == 0 && le == NULL) {
        buf_char(to, ' ');
        return;
    }
    buf_char(to, '{');
    for (unsigned i = 0; i < f->label_count; i++) {
        buf_printf(to, "%s%s=\"", i > 0 ? "," : "", f->labels[i]);
        print_escaped(to, s->values[i], true);
        buf_char(to, '"');
    }
    if (le != NULL) {
        buf_printf(to, "%sle=\"%s\"", f->label_count > 0 ? "," : "", le);
    }
    buf_str(to, "} ");
}

static void print_histogram(struct buf *to, const struct stat *s)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < STAT_LATENCY_BUCKETS; i++) {
        char le[32];
        snprintf(le, sizeof(le), "%g", stat_latency_bounds[i]);
        total += s->buckets[i];
        print_name(to, s, "_bucket", le);
        buf_printf(to, "%llu\n", (unsigned long long)total);
    }
    print_name(to, s, "_bucket", "+Inf");
    buf_printf(to, "%llu\n", (unsigned long long)s->count);
    print_name(to, s, "_sum", NULL);
    print_number(to, s->value);
    buf_char(to, '\n');
    print_name(to, s, "_count", NULL);
    buf_printf(to, "%llu\n", (unsigned long long)s->count);
}

static bool is_shown(const struct stat *s)
{
    return s->family->type != STAT_GAUGE || s->has_value;
}

static bool has_sample(const struct stat_family *f)
{
    LIST_FOR (node, &f->series) {
        if (is_shown(CONTAINER_OF(node, struct stat, link))) {
            return true;
        }
    }
    return false;
}

static void print_family(struct buf *to, const struct stat_family *f)
{
    static const char *const types[] = {
        [STAT_COUNTER] = "counter", [STAT_GAUGE] = "gauge", [STAT_HISTOGRAM] = "histogram"};
    if (!has_sample(f)) {
        return;
    }
    buf_printf(to, "# HELP %s ", f->name);
    print_escaped(to, f->help, false);
    buf_printf(to, "\n# TYPE %s %s\n", f->name, types[f->type]);
    LIST_FOR (node, &f->series) {
        const struct stat *s = CONTAINER_OF(node, struct stat, link);
        if (f->type == STAT_HISTOGRAM) {
            print_histogram(to, s);
            continue;
        }
        if (!is_shown(s)) {
            continue;
        }
        print_name(to, s, "", NULL);
        print_number(to, s->value);
        buf_char(to, '\n');
    }
}

void stat_print(struct stat_set *set, struct buf *to)
{
    LIST_FOR (node, &set->collectors) {
        struct stat_collector *c = CONTAINER_OF(node, struct stat_collector, link);
        c->fn(c->arg);
    }
    LIST_FOR (node, &set->families) {
        print_family(to, CONTAINER_OF(node, struct stat_family, link));
    }
}
