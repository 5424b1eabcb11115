/* stat: counters, gauges and histograms of one context, and their Prometheus text form. Loop
 * thread only. Names follow the Prometheus conventions: repl_ prefix, base units, _total for
 * counters. */
#ifndef REPL_BASE_STAT_H
#define REPL_BASE_STAT_H

#include "daemon/base/buf.h"

#include <stdint.h>

struct stat_set;    /* all of a process */
struct stat_family; /* one name */
struct stat;        /* one name with one set of label values */

enum stat_type { STAT_COUNTER, STAT_GAUGE, STAT_HISTOGRAM };

#define STAT_MAX_LABELS 4

/* Bounds of every latency histogram, in seconds, from 5 ms to 6 h. */
#define STAT_LATENCY_BUCKETS 20
extern const double stat_latency_bounds[STAT_LATENCY_BUCKETS];

struct stat_set *stat_set_new(void);
void stat_set_free(struct stat_set *set);

/* labels: names, NULL-terminated, at most STAT_MAX_LABELS; NULL for none. The same name gives the
 * same family. The family lives as long as the set. */
struct stat_family *stat_family(struct stat_set *set, enum stat_type type, const char *name,
                                const char *help, const char *const *labels);
/* values: as many as the family has labels. Made when first asked for; lives until
 * stat_drop() or the set's end. At most 1,000 a family, then one with the values "other". */
struct stat *stat_get(struct stat_family *family, const char *const *values);
/* Forgets the series whose first label has this value (a rule that was deleted). */
void stat_drop(struct stat_family *family, const char *first_value);

/* A gauge is not printed before it was added to or put: 0 would be a value. */
void stat_add(struct stat *s, double n);
void stat_put(struct stat *s, double value);
/* The gauge has no value now: it is not printed until it is put again. */
void stat_unset(struct stat *s);
/* A moment, shown in seconds; 0 or less = there is none, as stat_unset(). */
void stat_put_ms(struct stat *s, int64_t ms);
void stat_observe(struct stat *s, double value);
double stat_value(const struct stat *s);
uint64_t stat_count(const struct stat *s);
/* 0 <= q <= 1, interpolated within the bucket; 0 without observations. */
double stat_quantile(const struct stat *s, double q);
/* For what survives restarts: counts of STAT_LATENCY_BUCKETS + 1 buckets, and the sum. */
void stat_load(struct stat *s, const uint64_t *counts, double sum);

/* Called before each printing, to refresh gauges. */
typedef void stat_collect_fn(void *arg);
void stat_on_collect(struct stat_set *set, stat_collect_fn *fn, void *arg);

/* Prometheus text format 0.0.4. */
void stat_print(struct stat_set *set, struct buf *to);

#endif
