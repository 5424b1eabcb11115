/* copy_bench: a scheduler between two fake stores on virtual time, with a journal of uploads in
 * memory that takes time to commit, and that refuses what the promises forbid: Create before the
 * intention is recorded, a part before its upload is, Complete before that is, an accepted part
 * sent again. Lives can be ended (crash) and begun anew with the journal as it is. */
#ifndef REPL_TEST_COPY_BENCH_H
#define REPL_TEST_COPY_BENCH_H

#include "tests/unit/support/fake_store.h"
#include "transfer/copy/sched.h"

#define BENCH_HOUR_MS 3600000

struct bench_options {
    uint64_t seed;
    struct fake_options from; /* loop is the bench's */
    struct fake_options to;
    uint64_t memory_bytes; /* 0 = 1 MiB */
    uint32_t copies;       /* 0 = 64 */
    uint64_t part_max;     /* 0 = 4096 */
    uint64_t commit_ms;
    bool no_marker;
};

/* One key's work; key is also its name at the destination. */
struct bench_job {
    struct list link;
    struct bench *bench;
    char *key;
    enum copy_kind kind;
    int64_t size_hint;
    bool backfill;
    int64_t deadline_ms; /* a day after it was added */
    int priority;
    uint32_t group;
    struct span known_etag, known_version;
    int64_t known_mtime_ms, known_read_ms;
    struct span known_dest_etag, known_dest_version;
    bool protects; /* COPY_DELETE: what is not known to be ours stays */
    bool two_way, keep_version;
    struct span version_id;
    struct copy *copy; /* while it runs */
    bool is_done;      /* ended otherwise than stopped or failed */
    unsigned runs;
    struct copy_outcome outcome; /* of the last run; its views are bench memory */
    uint64_t done_at_ms;

    /* the journal's row of its upload */
    bool intended, open, completing;
    int64_t intended_ms, intended_last_ms;
    struct span upload_id, etag, version;
    int64_t mtime_ms, read_ms;
    uint64_t size, part_size;
    struct store_part parts[10000 / 8];
    size_t part_count;
    uint64_t recorded_bytes; /* sent, as the records say; the rest is in the outcome */
    struct timer commit;
    struct copy_record rec; /* being committed */
};

struct bench {
    struct loop *loop;
    struct fake *from, *to;
    struct stat_set *stats;
    struct sched *sched;
    struct copy_sink sink;
    struct bench_options o;
    struct arena arena;
    struct list jobs;
    struct span abandoned[4096];
    size_t abandoned_count;
    bool is_crashed;
    bool is_stopped;
    unsigned resent; /* accepted parts that were sent again */
    uint64_t most_memory;
    char wrong[256]; /* the first broken promise; "" = none */
};

struct bench *bench_new(const struct bench_options *options);
void bench_free(struct bench *b);
struct bench_job *bench_add(struct bench *b, const char *key, enum copy_kind kind);
/* Hands every unfinished job to the scheduler. */
void bench_start(struct bench *b);
/* Runs until every job has ended, restarting failed ones when `stubborn`; false after limit_ms. */
bool bench_run(struct bench *b, uint64_t limit_ms, bool stubborn);
/* kill -9: nothing is committed any more, what is in flight is cut off; then a new life. */
void bench_crash(struct bench *b);
/* Orderly stop; a new life, to which bench_start() gives its work, begins with bench_begin(). */
void bench_stop(struct bench *b, uint64_t limit_ms);
void bench_begin(struct bench *b);
/* All of them in a row. */
void bench_restart(struct bench *b, uint64_t limit_ms);
/* Destination equals source for every COPY_OBJECT that is done; no upload is open but those that
 * were abandoned or are recorded; no violation. Fails the test with what is wrong. */
void bench_check(struct bench *b);

/* The source 5 ms away, the destination 20 ms, a commit takes 2 ms. */
struct bench *bench_near_far(void);
/* A random object of this size at the source, and its job. */
struct bench_job *bench_copy_one(struct bench *b, const char *key, size_t size);
/* The same, and its size is known before it is read. */
struct bench_job *bench_copy_told(struct bench *b, const char *key, size_t size);
/* So many, "PREFIXnnn". */
void bench_copy_many(struct bench *b, const char *prefix, unsigned count, size_t size);
/* The same with 10 bytes each, in this class; late ones by turns of a millisecond. */
void bench_copy_class(struct bench *b, const char *prefix, unsigned count, enum copy_class class);
/* Jobs that are done, of those whose keys begin so. */
unsigned bench_count_done(struct bench *b, const char *prefix);
/* Runs until every job has ended as `end`, and checks the bench; fails the test otherwise, and when
 * memory is held still. */
void bench_run_to(struct bench *b, enum copy_end end);

#endif
