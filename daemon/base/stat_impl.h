/* Shared by stat.c and stat_print.c. */
#ifndef REPL_BASE_STAT_IMPL_H
#define REPL_BASE_STAT_IMPL_H

#include "daemon/base/hash.h"
#include "daemon/base/list.h"
#include "daemon/base/stat.h"

#define STAT_SERIES_MAX 1000

struct stat_set {
    struct list families; /* in the order they were made */
    struct list collectors;
};

struct stat_family {
    struct list link;
    enum stat_type type;
    char *name;
    char *help;
    char *labels[STAT_MAX_LABELS];
    unsigned label_count;
    struct list series;
    struct hash by_values;
    struct stat *other; /* stands for all beyond STAT_SERIES_MAX; NULL = none needed yet */
};

struct stat {
    struct list link;
    struct hash_entry entry;
    struct stat_family *family;
    char *values[STAT_MAX_LABELS];
    char *id;       /* the values, joined: key of by_values */
    bool has_value; /* gauge: false until the first stat_put() */
    double value;   /* histogram: the sum */
    uint64_t count;
    uint64_t *buckets; /* histogram: STAT_LATENCY_BUCKETS + 1, not cumulated */
};

struct stat_collector {
    struct list link;
    stat_collect_fn *fn;
    void *arg;
};

#endif
