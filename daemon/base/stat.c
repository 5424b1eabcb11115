#include "daemon/base/stat.h"

#include "daemon/base/mem.h"
#include "daemon/base/stat_impl.h"

#include <assert.h>

const double stat_latency_bounds[STAT_LATENCY_BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,
                                                          1,     2.5,  5,     10,   30,   60,   120,
                                                          300,   600,  1800,  3600, 7200, 21600};

struct stat_set *stat_set_new(void)
{
    struct stat_set *set = MEM_NEW(struct stat_set);
    list_init(&set->families);
    list_init(&set->collectors);
    return set;
}

static void free_series(struct stat *s)
{
    if (s->family->other == s) {
        s->family->other = NULL;
    }
    hash_remove(&s->family->by_values, &s->entry);
    list_remove(&s->link);
    for (unsigned i = 0; i < s->family->label_count; i++) {
        mem_free(s->values[i]);
    }
    mem_free(s->id);
    mem_free(s->buckets);
    mem_free(s);
}

static void free_family(struct stat_family *f)
{
    LIST_FOR_SAFE (node, &f->series) {
        free_series(CONTAINER_OF(node, struct stat, link));
    }
    for (unsigned i = 0; i < f->label_count; i++) {
        mem_free(f->labels[i]);
    }
    hash_done(&f->by_values);
    mem_free(f->name);
    mem_free(f->help);
    mem_free(f);
}

void stat_set_free(struct stat_set *set)
{
    if (set == NULL) {
        return;
    }
    LIST_FOR_SAFE (node, &set->families) {
        free_family(CONTAINER_OF(node, struct stat_family, link));
    }
    LIST_FOR_SAFE (node, &set->collectors) {
        mem_free(CONTAINER_OF(node, struct stat_collector, link));
    }
    mem_free(set);
}

struct stat_family *stat_family(struct stat_set *set, enum stat_type type, const char *name,
                                const char *help, const char *const *labels)
{
    LIST_FOR (node, &set->families) {
        struct stat_family *f = CONTAINER_OF(node, struct stat_family, link);
        if (strcmp(f->name, name) == 0) {
            assert(f->type == type);
            return f;
        }
    }
    struct stat_family *f = MEM_NEW(struct stat_family);
    f->type = type;
    f->name = mem_strdup(name);
    f->help = mem_strdup(help);
    for (; labels != NULL && labels[f->label_count] != NULL; f->label_count++) {
        assert(f->label_count < STAT_MAX_LABELS);
        f->labels[f->label_count] = mem_strdup(labels[f->label_count]);
    }
    list_init(&f->series);
    hash_init(&f->by_values, 0);
    list_push_back(&set->families, &f->link);
    return f;
}

static char *join_values(const struct stat_family *f, const char *const *values)
{
    struct buf b;
    buf_init(&b, 0);
    for (unsigned i = 0; i < f->label_count; i++) {
        buf_printf(&b, "%zu:%s", strlen(values[i]), values[i]);
    }
    return buf_take(&b);
}

struct stat *stat_get(struct stat_family *f, const char *const *values)
{
    static const char *const other[STAT_MAX_LABELS] = {"other", "other", "other", "other"};
    char *id = join_values(f, values);
    struct hash_entry *found = hash_find(&f->by_values, span_str(id));
    if (found != NULL) {
        mem_free(id);
        return CONTAINER_OF(found, struct stat, entry);
    }
    if (f->by_values.count - (f->other != NULL) >= STAT_SERIES_MAX && values != other) {
        mem_free(id);
        f->other = stat_get(f, other);
        return f->other;
    }
    struct stat *s = MEM_NEW(struct stat);
    s->family = f;
    s->id = id;
    for (unsigned i = 0; i < f->label_count; i++) {
        s->values[i] = mem_strdup(values[i]);
    }
    if (f->type == STAT_HISTOGRAM) {
        s->buckets = mem_array(STAT_LATENCY_BUCKETS + 1, sizeof(uint64_t));
    }
    list_push_back(&f->series, &s->link);
    hash_put(&f->by_values, &s->entry, span_str(s->id));
    return s;
}

void stat_drop(struct stat_family *f, const char *first_value)
{
    LIST_FOR_SAFE (node, &f->series) {
        struct stat *s = CONTAINER_OF(node, struct stat, link);
        if (f->label_count > 0 && strcmp(s->values[0], first_value) == 0) {
            free_series(s);
        }
    }
}

void stat_add(struct stat *s, double n)
{
    s->value += n;
    s->has_value = true;
}

void stat_put(struct stat *s, double value)
{
    s->value = value;
    s->has_value = true;
}

void stat_unset(struct stat *s)
{
    s->value = 0;
    s->has_value = false;
}

void stat_put_ms(struct stat *s, int64_t ms)
{
    if (ms > 0) {
        stat_put(s, (double)ms / 1000);
    } else {
        stat_unset(s);
    }
}

void stat_observe(struct stat *s, double value)
{
    unsigned at = 0;
    while (at < STAT_LATENCY_BUCKETS && value > stat_latency_bounds[at]) {
        at++;
    }
    s->buckets[at]++;
    s->count++;
    s->value += value;
}

double stat_value(const struct stat *s)
{
    return s->value;
}

uint64_t stat_count(const struct stat *s)
{
    return s->count;
}

double stat_quantile(const struct stat *s, double q)
{
    double rank = q * (double)s->count;
    double below = 0;
    if (s->count == 0) {
        return 0;
    }
    for (unsigned i = 0; i < STAT_LATENCY_BUCKETS; i++) {
        double here = (double)s->buckets[i];
        if (here > 0 && below + here >= rank) {
            double low = i > 0 ? stat_latency_bounds[i - 1] : 0;
            return low + (stat_latency_bounds[i] - low) * (rank - below) / here;
        }
        below += here;
    }
    return stat_latency_bounds[STAT_LATENCY_BUCKETS - 1];
}

void stat_load(struct stat *s, const uint64_t *counts, double sum)
{
    s->count = 0;
    s->value = sum;
    for (unsigned i = 0; i <= STAT_LATENCY_BUCKETS; i++) {
        s->buckets[i] = counts[i];
        s->count += counts[i];
    }
}

void stat_on_collect(struct stat_set *set, stat_collect_fn *fn, void *arg)
{
    struct stat_collector *c = MEM_NEW(struct stat_collector);
    c->fn = fn;
    c->arg = arg;
    list_push_back(&set->collectors, &c->link);
}
