#include "tests/unit/support/copy_bench.h"

#include "daemon/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void wrong(struct bench *b, const char *what, const struct bench_job *j)
{
    if (b->wrong[0] == '\0') {
        snprintf(b->wrong, sizeof(b->wrong), "%s: %s", what, j == NULL ? "" : j->key);
    }
}

/* ---- the journal ---- */

static void take_part(struct bench_job *j, const struct store_part *part)
{
    for (size_t i = 0; i < j->part_count; i++) {
        if (j->parts[i].number == part->number) {
            j->parts[i] = *part;
            return;
        }
    }
    if (j->part_count == sizeof(j->parts) / sizeof(j->parts[0])) {
        wrong(j->bench, "too many parts for the bench", j);
        return;
    }
    size_t at = j->part_count++;
    while (at > 0 && j->parts[at - 1].number > part->number) {
        j->parts[at] = j->parts[at - 1];
        at--;
    }
    j->parts[at] = *part;
}

static void forget_upload(struct bench_job *j)
{
    j->intended = j->open = j->completing = false;
    j->part_count = 0;
    j->upload_id = (struct span){0};
}

static void take_record(struct bench_job *j)
{
    struct bench *b = j->bench;
    const struct copy_record *rec = &j->rec;
    switch (rec->kind) {
    case COPY_UPLOAD_INTENDED:
        j->intended_last_ms = loop_wall_ms(b->loop);
        j->intended_ms = j->intended ? j->intended_ms : j->intended_last_ms;
        forget_upload(j);
        j->intended = true;
        break;
    case COPY_UPLOAD_OPEN:
        j->intended = false;
        j->open = true;
        j->upload_id = rec->upload_id;
        j->etag = rec->source_etag;
        j->version = rec->source_version;
        j->mtime_ms = rec->source_mtime_ms;
        j->read_ms = rec->source_read_ms;
        j->size = rec->size;
        j->part_size = rec->part_size;
        break;
    case COPY_PART_DONE:
        take_part(j, &rec->part);
        j->recorded_bytes += rec->bytes_sent;
        break;
    case COPY_COMPLETING:
        j->completing = true;
        break;
    case COPY_ABANDONED:
        if (rec->upload_id.len > 0) {
            b->abandoned[b->abandoned_count++] = rec->upload_id;
        }
        forget_upload(j);
        break;
    case COPY_UPLOAD_ENDED:
        forget_upload(j);
        break;
    }
}

static void committed(void *arg)
{
    struct bench_job *j = arg;
    struct bench *b = j->bench;
    if (b->is_crashed) {
        sched_committed(b->sched, j->copy, REPL_EJOURNAL);
        return;
    }
    take_record(j);
    sched_committed(b->sched, j->copy, 0);
}

static void on_record(void *arg, struct copy *c, const struct copy_record *rec)
{
    struct bench *b = arg;
    struct bench_job *j = copy_owner(c);
    if (timer_is_running(&j->commit)) {
        wrong(b, "second record while one is being committed", j);
    }
    j->rec = *rec;
    j->rec.upload_id = arena_span(&b->arena, rec->upload_id);
    j->rec.source_etag = arena_span(&b->arena, rec->source_etag);
    j->rec.source_version = arena_span(&b->arena, rec->source_version);
    j->rec.part.etag = arena_span(&b->arena, rec->part.etag);
    j->rec.part.checksum = arena_span(&b->arena, rec->part.checksum);
    timer_start(&j->commit, b->o.commit_ms);
}

static void on_done(void *arg, struct copy *c, const struct copy_outcome *outcome)
{
    struct bench *b = arg;
    struct bench_job *j = copy_owner(c);
    if (timer_is_running(&j->commit)) {
        wrong(b, "done while a record is being committed", j);
    }
    j->copy = NULL;
    j->outcome = *outcome;
    j->outcome.source = j->outcome.dest = (struct store_object){0};
    j->outcome.source.etag = arena_span(&b->arena, outcome->source.etag);
    j->outcome.dest.etag = arena_span(&b->arena, outcome->dest.etag);
    j->done_at_ms = loop_now_ms(b->loop);
    j->is_done = !b->is_crashed && outcome->end != COPY_STOPPED && outcome->end != COPY_FAILED;
}

/* ---- promises, at the moment of effect ---- */

static struct bench_job *job_of(struct bench *b, struct span key)
{
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        if (span_eq_str(key, j->key)) {
            return j;
        }
    }
    return NULL;
}

static void check_part(struct bench *b, struct bench_job *j, const struct store_op *op)
{
    if (!j->open || !span_eq(j->upload_id, op->upload_id)) {
        wrong(b, "part before its upload is recorded", j);
    }
    for (size_t i = 0; i < j->part_count; i++) {
        b->resent += j->parts[i].number == op->part_number;
    }
}

static void at_effect(void *arg, struct fake *f, const struct store_op *op)
{
    struct bench *b = arg;
    (void)f;
    struct bench_job *j = job_of(b, op->key);
    if (j == NULL) {
        return;
    }
    if (op->kind == STORE_CREATE && !j->intended) {
        wrong(b, "Create before the intention is recorded", j);
    } else if (op->kind == STORE_PART) {
        check_part(b, j, op);
    } else if (op->kind == STORE_COMPLETE && (!j->completing || op->part_count != j->part_count)) {
        wrong(b, "Complete before it, or all its parts, are recorded", j);
    }
}

/* ---- life ---- */

void bench_begin(struct bench *b)
{
    struct sched_options o = {.loop = b->loop,
                              .stats = b->stats,
                              .memory_bytes = b->o.memory_bytes,
                              .copies = b->o.copies,
                              .shares = {60, 25, 15},
                              .sink = &b->sink,
                              .sink_arg = b};
    b->sched = sched_new(&o);
    b->is_crashed = false;
    b->is_stopped = false;
}

struct bench *bench_new(const struct bench_options *options)
{
    struct bench *b = MEM_NEW(struct bench);
    b->o = *options;
    b->o.memory_bytes = b->o.memory_bytes == 0 ? 1 << 20 : b->o.memory_bytes;
    b->o.copies = b->o.copies == 0 ? 64 : b->o.copies;
    b->o.part_max = b->o.part_max == 0 ? 4096 : b->o.part_max;
    b->loop = loop_new_virtual(options->seed == 0 ? 1 : options->seed, 1764000000000);
    b->o.from.loop = b->o.to.loop = b->loop;
    b->o.from.name = "from";
    b->o.to.name = "to";
    b->from = fake_new(&b->o.from);
    b->to = fake_new(&b->o.to);
    fake_bucket(b->from, "src");
    fake_bucket(b->to, "dst");
    fake_hook(b->to, at_effect, b);
    b->stats = stat_set_new();
    arena_init(&b->arena);
    list_init(&b->jobs);
    b->sink = (struct copy_sink){.record = on_record, .done = on_done};
    bench_begin(b);
    return b;
}

static void stopped(void *arg)
{
    struct bench *b = arg;
    b->is_stopped = true;
}

void bench_stop(struct bench *b, uint64_t limit_ms)
{
    sched_stop(b->sched, limit_ms, stopped, b);
    for (int i = 0; i < 100000 && !b->is_stopped; i++) {
        loop_run_for(b->loop, 1);
    }
    if (!b->is_stopped) {
        fail_msg("the scheduler does not stop");
    }
    sched_free(b->sched);
}

void bench_restart(struct bench *b, uint64_t limit_ms)
{
    bench_stop(b, limit_ms);
    bench_begin(b);
    bench_start(b);
}

void bench_crash(struct bench *b)
{
    b->is_crashed = true;
    bench_restart(b, 0);
}

void bench_free(struct bench *b)
{
    bench_stop(b, 0);
    while (!list_is_empty(&b->jobs)) {
        struct bench_job *j = CONTAINER_OF(list_first(&b->jobs), struct bench_job, link);
        list_remove(&j->link);
        timer_stop(&j->commit);
        mem_free(j->key);
        mem_free(j);
    }
    fake_free(b->from);
    fake_free(b->to);
    stat_set_free(b->stats);
    arena_done(&b->arena);
    loop_free(b->loop);
    mem_free(b);
}

/* ---- work ---- */

struct bench_job *bench_add(struct bench *b, const char *key, enum copy_kind kind)
{
    struct bench_job *j = MEM_NEW(struct bench_job);
    j->bench = b;
    j->key = mem_strdup(key);
    j->kind = kind;
    j->size_hint = -1;
    j->deadline_ms = loop_wall_ms(b->loop) + 24 * 3600000;
    timer_init(&j->commit, b->loop, committed, j);
    list_push_back(&b->jobs, &j->link);
    return j;
}

static struct copy_job job_spec(struct bench_job *j)
{
    struct bench *b = j->bench;
    struct copy_job job = {.kind = j->kind,
                           .from = fake_store(b->from),
                           .to = fake_store(b->to),
                           .from_bucket = span_str("src"),
                           .from_key = span_str(j->key),
                           .to_bucket = span_str("dst"),
                           .to_key = span_str(j->key),
                           .size_hint = j->size_hint,
                           .marker = !b->o.no_marker,
                           .instance = span_str("bench"),
                           .part_max = b->o.part_max,
                           .deadline_ms = j->deadline_ms,
                           .priority = j->priority,
                           .group = j->group,
                           .backfill = j->backfill,
                           .version_id = j->version_id,
                           .known_etag = j->known_etag,
                           .known_version = j->known_version,
                           .known_mtime_ms = j->known_mtime_ms,
                           .known_read_ms = j->known_read_ms,
                           .known_dest_etag = j->known_dest_etag,
                           .known_dest_version = j->known_dest_version,
                           .two_way = j->two_way,
                           .delete_foreign = !j->protects,
                           .keep_version = j->keep_version};
    job.upload_intended = j->intended;
    job.upload_created_ms = j->intended_ms;
    job.upload_intended_ms = j->intended_last_ms;
    if (j->open) {
        job.upload_id = j->upload_id;
        job.upload_completing = j->completing;
        job.upload_etag = j->etag;
        job.upload_version = j->version;
        job.upload_mtime_ms = j->mtime_ms;
        job.upload_read_ms = j->read_ms;
        job.upload_size = j->size;
        job.upload_part_size = j->part_size;
        job.upload_parts = arena_alloc(&b->arena, (j->part_count + 1) * sizeof(j->parts[0]));
        memcpy((void *)(uintptr_t)job.upload_parts, j->parts, j->part_count * sizeof(j->parts[0]));
        job.upload_part_count = j->part_count;
    }
    return job;
}

void bench_start(struct bench *b)
{
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        if (!j->is_done && j->copy == NULL && sched_room(b->sched) > 0) {
            struct copy_job job = job_spec(j);
            j->runs++;
            j->copy = sched_add(b->sched, &job, j);
        }
    }
}

static bool all_ended(struct bench *b, bool stubborn)
{
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        if (j->copy != NULL || j->runs == 0 || (stubborn && !j->is_done)) {
            return false;
        }
    }
    return true;
}

bool bench_run(struct bench *b, uint64_t limit_ms, bool stubborn)
{
    uint64_t end_ms = loop_now_ms(b->loop) + limit_ms;
    bench_start(b);
    while (!all_ended(b, stubborn)) {
        if (loop_now_ms(b->loop) >= end_ms) {
            return false;
        }
        loop_run_for(b->loop, 5);
        uint64_t memory = sched_memory_used(b->sched);
        b->most_memory = memory > b->most_memory ? memory : b->most_memory;
        if (stubborn) {
            bench_start(b);
        }
    }
    return true;
}

/* ---- the judge ---- */

static bool is_accounted(const struct bench *b, struct span id)
{
    for (size_t i = 0; i < b->abandoned_count; i++) {
        if (span_eq(b->abandoned[i], id)) {
            return true;
        }
    }
    LIST_FOR (node, &b->jobs) {
        const struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        if ((j->open && span_eq(j->upload_id, id)) || j->intended) {
            return true;
        }
    }
    return false;
}

static void check_job(struct bench *b, const struct bench_job *j)
{
    struct fake_object from = {0}, to = {0};
    bool has_from = fake_get(b->from, "src", span_str(j->key), &from);
    bool has_to = fake_get(b->to, "dst", span_str(j->key), &to);
    if (j->kind == COPY_DELETE && j->outcome.end == COPY_DELETED && has_to) {
        fail_msg("%s is still there", j->key);
    }
    if (j->is_done && (j->open || j->intended)) {
        fail_msg("%s has ended and its upload has not", j->key);
    }
    bool same = has_from == has_to && (!has_from || span_eq(from.body, to.body));
    if (j->kind == COPY_OBJECT && j->outcome.end == COPY_DONE && !same) {
        fail_msg("%s differs: %zu bytes at the source, %zu at the destination", j->key,
                 from.body.len, to.body.len);
    }
}

void bench_check(struct bench *b)
{
    LIST_FOR (node, &b->jobs) {
        check_job(b, CONTAINER_OF(node, struct bench_job, link));
    }
    for (size_t i = 0; i < fake_uploads(b->to); i++) {
        if (!is_accounted(b, fake_upload_id(b->to, i))) {
            fail_msg("orphan upload %.*s", SPAN_ARG(fake_upload_id(b->to, i)));
        }
    }
    assert_string_equal(b->wrong, "");
    assert_string_equal(fake_violations(b->to), "");
    assert_string_equal(fake_violations(b->from), "");
    assert_int_equal(b->resent, 0);
    assert_true(b->most_memory <= b->o.memory_bytes);
}

/* ---- one at a time ---- */

struct bench *bench_near_far(void)
{
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 20}, .commit_ms = 2};
    return bench_new(&o);
}

struct bench_job *bench_copy_one(struct bench *b, const char *key, size_t size)
{
    fake_put_random(b->from, "src", key, size, size + 1);
    return bench_add(b, key, COPY_OBJECT);
}

struct bench_job *bench_copy_told(struct bench *b, const char *key, size_t size)
{
    struct bench_job *j = bench_copy_one(b, key, size);
    j->size_hint = (int64_t)size;
    return j;
}

void bench_copy_many(struct bench *b, const char *prefix, unsigned count, size_t size)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s%03u", prefix, i);
        bench_copy_told(b, key, size);
    }
}

void bench_copy_class(struct bench *b, const char *prefix, unsigned count, enum copy_class class)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s%03u", prefix, i);
        struct bench_job *j = bench_copy_told(b, key, 10);
        j->backfill = class == COPY_BACKFILL;
        if (class == COPY_LATE) {
            j->deadline_ms = loop_wall_ms(b->loop) - 100000 + i;
        }
    }
}

unsigned bench_count_done(struct bench *b, const char *prefix)
{
    unsigned n = 0;
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        n += j->is_done && strncmp(j->key, prefix, strlen(prefix)) == 0;
    }
    return n;
}

void bench_run_to(struct bench *b, enum copy_end end)
{
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
    LIST_FOR (node, &b->jobs) {
        struct bench_job *j = CONTAINER_OF(node, struct bench_job, link);
        if (j->outcome.end != end) {
            char text[512];
            fail_msg("%s ended as %d: %s", j->key, (int)j->outcome.end,
                     fail_print(&j->outcome.fail, text, sizeof(text)));
        }
    }
    bench_check(b);
    assert_int_equal(sched_memory_used(b->sched), 0);
}
