/* One copy at a time: each path of the state machine, and each way in which it can go wrong. */
#include "tests/unit/support/copy_bench.h"

#include "daemon/base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOUR 3600000

static struct bench *bench(void)
{
    struct bench_options o = {.from = {.latency_ms = 5}, .to = {.latency_ms = 20}, .commit_ms = 2};
    return bench_new(&o);
}

static struct bench_job *copy_one(struct bench *b, const char *key, size_t size)
{
    fake_put_random(b->from, "src", key, size, size + 1);
    return bench_add(b, key, COPY_OBJECT);
}

static void run(struct bench *b, enum copy_end end)
{
    assert_true(bench_run(b, HOUR, false));
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

static void small_costs_one_get_and_one_put(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct bench_job *j = copy_one(b, "a", 1000);
    j->size_hint = 1000;
    run(b, COPY_DONE);
    assert_int_equal(fake_count(b->from, STORE_GET), 1);
    assert_int_equal(fake_count(b->from, STORE_HEAD), 0);
    assert_int_equal(fake_count(b->to, STORE_PUT), 1);
    assert_int_equal(fake_count(b->to, STORE_HEAD), 0);
    assert_int_equal(j->outcome.bytes, 1000);
    assert_int_equal(j->outcome.bytes_sent, 1000);
    bench_free(b);
}

static void sizes_around_the_part_arrive(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 8193, 50000};
    static const int64_t hints[] = {-1, 0, 1, 4096, 9000, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct bench *b = bench();
        for (size_t k = 0; k < sizeof(hints) / sizeof(hints[0]); k++) {
            char key[16];
            snprintf(key, sizeof(key), "k%zu", k);
            copy_one(b, key, sizes[i])->size_hint = hints[k];
        }
        run(b, COPY_DONE);
        bench_free(b);
    }
}

static void large_reads_each_byte_once(void **state)
{
    (void)state;
    struct bench *b = bench();
    copy_one(b, "big", 100000)->size_hint = 100000;
    run(b, COPY_DONE);
    assert_int_equal(fake_count(b->from, STORE_GET), 25);
    assert_int_equal(fake_count(b->to, STORE_PART), 25);
    assert_int_equal(fake_count(b->to, STORE_COMPLETE), 1);
    assert_int_equal(fake_body_bytes(b->to), 100000);
    assert_int_equal(fake_uploads(b->to), 0);
    bench_free(b);
}

/* Whatever life sent them: bytes of accepted parts are recorded with the part. */
static void sent_bytes_outlive_a_crash(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 400; at += 21) {
        struct bench *b = bench();
        struct bench_job *j = copy_one(b, "k", 60000);
        fake_fault(b->to, &(struct fake_fault){
                              .kind = STORE_PART, .part = 3, .count = 2, .code = REPL_ESERVER});
        bench_start(b);
        loop_run_for(b->loop, at);
        bench_crash(b);
        run(b, COPY_DONE);
        assert_true(j->recorded_bytes + j->outcome.bytes_sent >= 60000);
        assert_int_equal(j->outcome.bytes_sent, 0); /* all were of parts */
        bench_free(b);
    }
}

static void metadata_tags_and_marker_travel(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct store_pair user[] = {{span_str("colour"), span_str("green")}};
    struct store_pair tags[] = {{span_str("team"), span_str("x")}};
    struct store_meta meta = {.content_type = span_str("text/html"),
                              .user = user,
                              .user_count = 1,
                              .tags = tags,
                              .tag_count = 1};
    char body[9000] = "hello";
    fake_put(b->from, "src", span_str("s"), span_of(body, 5), &meta);
    fake_put(b->from, "src", span_str("l"), span_of(body, sizeof(body)), &meta);
    bench_add(b, "s", COPY_OBJECT);
    bench_add(b, "l", COPY_OBJECT);
    run(b, COPY_DONE);
    const char *keys[] = {"s", "l"};
    for (size_t i = 0; i < 2; i++) {
        struct fake_object o;
        assert_true(fake_get(b->to, "dst", span_str(keys[i]), &o));
        assert_true(span_eq_str(o.meta.content_type, "text/html"));
        assert_int_equal(o.meta.user_count, 2);
        assert_true(span_eq_str(o.meta.user[0].value, "green"));
        assert_true(span_eq_str(o.meta.user[1].name, "repl-source"));
        assert_int_equal(o.meta.tag_count, 1);
        assert_true(span_eq_str(o.meta.tags[0].value, "x"));
    }
    bench_free(b);
}

static void marker_that_does_not_fit_is_counted(void **state)
{
    (void)state;
    struct bench *b = bench();
    char value[2001];
    memset(value, 'v', 2000);
    value[2000] = '\0';
    struct store_pair user[] = {{span_str("colour"), span_str(value)}};
    struct store_meta meta = {.user = user, .user_count = 1};
    fake_put(b->from, "src", span_str("s"), span_str("x"), &meta);
    struct bench_job *j = bench_add(b, "s", COPY_OBJECT);
    run(b, COPY_DONE);
    assert_int_equal(j->outcome.lost_meta, 1);
    bench_free(b);
}

/* Keys are bytes; a marker stays short and is recognised whatever they are. */
static void marker_holds_any_key(void **state)
{
    (void)state;
    char key[1025];
    for (size_t i = 0; i < 1024; i++) {
        key[i] = (char)(1 + (i * 7) % 255);
    }
    key[1024] = '\0';
    struct bench *b = bench();
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT, .count = 1, .lost = true});
    copy_one(b, key, 100);
    run(b, COPY_DONE);
    assert_int_equal(fake_count(b->to, STORE_PUT), 1);
    struct fake_object o;
    assert_true(fake_get(b->to, "dst", span_str(key), &o));
    struct span marker = o.meta.user[0].value;
    assert_true(marker.len < 300);
    for (size_t i = 0; i < marker.len; i++) {
        assert_in_range(marker.ptr[i], 0x21, 0x7e);
    }
    bench_free(b);
}

static void named_version_is_copied(void **state)
{
    (void)state;
    for (size_t size = 1000; size < 50000; size += 40000) {
        struct bench_options o = {.from = {.latency_ms = 5, .versions = true}};
        struct bench *b = bench_new(&o);
        struct span etag = fake_put_random(b->from, "src", "k", size, 1);
        struct fake_object old, now;
        assert_true(fake_get(b->from, "src", span_str("k"), &old));
        fake_put_random(b->from, "src", "k", size, 2);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        j->version_id = old.version_id;
        assert_true(bench_run(b, HOUR, false));
        assert_int_equal(j->outcome.end, COPY_DONE);
        assert_true(span_eq(j->outcome.source.etag, etag));
        assert_true(fake_get(b->to, "dst", span_str("k"), &now));
        assert_true(span_eq(now.body, old.body));
        bench_free(b);
    }
}

/* ---- the same bytes with other metadata ---- */

static void put_coloured(struct bench *b, const char *key, size_t size, const char *colour)
{
    char *body = mem_alloc(size);
    struct store_pair user[] = {{span_str("colour"), span_str(colour)}};
    struct store_meta meta = {.content_type = span_str("text/html"), .user = user, .user_count = 1};
    memset(body, 'x', size);
    fake_put(b->from, "src", span_str(key), span_of(body, size), &meta);
    mem_free(body);
}

static void assert_coloured(struct bench *b, const char *key, const char *colour)
{
    struct fake_object o;
    assert_true(fake_get(b->to, "dst", span_str(key), &o));
    assert_true(span_eq_str(o.meta.user[0].value, colour));
}

/* The next run of j knows what the source shows now, read so long after it was written. */
static void know(struct bench *b, struct bench_job *j, int64_t quiet_ms)
{
    struct fake_object o;
    assert_true(fake_get(b->from, "src", span_str(j->key), &o));
    j->known_etag = arena_span(&b->arena, o.etag);
    j->known_mtime_ms = o.mtime_ms;
    j->known_read_ms = o.mtime_ms + quiet_ms;
    j->is_done = false;
}

static void equal_is_skipped_without_reading(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_put_random(b->from, "src", "a", 1000, 1);
    know(b, bench_add(b, "a", COPY_OBJECT), 2000);
    run(b, COPY_SKIPPED);
    assert_int_equal(fake_count(b->from, STORE_GET), 0);
    assert_int_equal(fake_count(b->to, STORE_HEAD), 0);
    assert_int_equal(fake_count(b->to, STORE_PUT), 0);
    bench_free(b);
}

/* It was read in the second in which it was written: times cannot tell it from another one of that
 * second, the destination's metadata can. */
static void what_was_read_at_once_is_compared_at_the_destination(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool marker = i & 1, changes = i & 2;
        struct bench_options o = {.no_marker = !marker};
        struct bench *b = bench_new(&o);
        put_coloured(b, "k", 1000, "red");
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        run(b, COPY_DONE);
        put_coloured(b, "k", 1000, changes ? "blue" : "red");
        know(b, j, 0);
        run(b, changes ? COPY_DONE : COPY_SKIPPED);
        assert_int_equal(fake_count(b->to, STORE_PUT), changes ? 2 : 1);
        assert_coloured(b, "k", changes ? "blue" : "red");
        bench_free(b);
    }
}

/* The write of the new version never happens; what is there has its bytes. */
static void metadata_is_not_assumed(bool marker, size_t size, uint64_t later_ms)
{
    struct bench_options o = {.no_marker = !marker};
    struct bench *b = bench_new(&o);
    put_coloured(b, "k", size, "red");
    struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
    run(b, COPY_DONE);
    loop_run_for(b->loop, later_ms);
    put_coloured(b, "k", size, "blue");
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT, .count = 1, .in_vain = true});
    fake_fault(b->to,
               &(struct fake_fault){.kind = STORE_COMPLETE, .count = 1, .code = REPL_ENOUPLOAD});
    fake_fault(b->to,
               &(struct fake_fault){.kind = STORE_LIST_PARTS, .count = 1, .code = REPL_ENOUPLOAD});
    j->is_done = false;
    assert_true(bench_run(b, HOUR, false));
    assert_int_equal(j->outcome.end, COPY_DONE);
    assert_coloured(b, "k", "blue");
    bench_free(b);
}

static void metadata_of_an_unanswered_write_is_not_assumed(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        metadata_is_not_assumed(i & 1, i & 2 ? 1000 : 30000, i & 4 ? 5000 : 0);
    }
}

/* Create was given the metadata of what is replaced before the next life. */
static void resume_does_not_keep_old_metadata(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct bench_options o = {
            .to = {.latency_ms = 20}, .commit_ms = 2, .no_marker = (i & 1) != 0};
        struct bench *b = bench_new(&o);
        fake_fault(b->to, &(struct fake_fault){
                              .kind = STORE_PART, .part = 50, .count = 1, .slow_ms = 60000});
        put_coloured(b, "k", 300000, "red");
        loop_run_for(b->loop, i & 2 ? 5000 : 0);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        bench_start(b);
        while (j->part_count == 0) {
            loop_run_for(b->loop, 1);
        }
        loop_run_for(b->loop, i & 2 ? 5000 : 0);
        assert_true(j->open && !j->completing);
        put_coloured(b, "k", 300000, "blue");
        bench_crash(b);
        assert_true(bench_run(b, HOUR, false));
        assert_int_equal(j->outcome.end, COPY_DONE);
        assert_coloured(b, "k", "blue");
        assert_int_equal(fake_count(b->to, STORE_COMPLETE), i & 2 ? 1 : 2); /* found out in time */
        bench_free(b);
    }
}

/* "null" is no version that stays: it is replaced in its place. */
static void null_is_no_version(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.suspended = true}};
    struct bench *b = bench_new(&o);
    put_coloured(b, "k", 1000, "red");
    struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
    run(b, COPY_DONE);
    know(b, j, 5000);
    j->known_version = span_str("null");
    loop_run_for(b->loop, 5000);
    put_coloured(b, "k", 1000, "blue");
    run(b, COPY_DONE);
    assert_coloured(b, "k", "blue");
    bench_free(b);
}

static void gone_source_is_skipped(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct bench_job *j = bench_add(b, "a", COPY_OBJECT);
    run(b, COPY_SKIPPED);
    assert_string_equal(j->outcome.skip_reason, "source object is gone");
    bench_free(b);
}

/* ---- deletes ---- */

static void delete_needs_evidence(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_put_random(b->to, "dst", "gone", 10, 1);
    fake_put_random(b->to, "dst", "kept", 10, 1);
    fake_put_random(b->from, "src", "kept", 10, 1);
    struct bench_job *gone = bench_add(b, "gone", COPY_DELETE);
    struct bench_job *kept = bench_add(b, "kept", COPY_DELETE);
    struct bench_job *never = bench_add(b, "never", COPY_DELETE);
    assert_true(bench_run(b, HOUR, false));
    assert_int_equal(gone->outcome.end, COPY_DELETED);
    assert_int_equal(kept->outcome.end, COPY_SKIPPED);
    assert_int_equal(never->outcome.end, COPY_DELETED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

/* HEAD says 404 for a missing bucket as for a missing key. */
static void missing_source_bucket_deletes_nothing(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_drop_bucket(b->from, "src");
    bench_add(b, "a", COPY_DELETE);
    run(b, COPY_FAILED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

static void denied_source_deletes_nothing(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_deny(b->from, true);
    bench_add(b, "a", COPY_DELETE);
    assert_false(bench_run(b, 10 * 60000, false));
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->from), &f), SCHED_DENIED);
    assert_int_equal(f.code, REPL_EDENIED);
    fake_deny(b->from, false);
    run(b, COPY_DELETED);
    bench_free(b);
}

struct returner {
    struct fake *from;
    enum store_op_kind at; /* the key is there again when the destination gets this */
};

static void put_again(void *arg, struct fake *f, const struct store_op *op)
{
    struct returner *r = arg;
    (void)f;
    if (op->kind == r->at) {
        fake_put_random(r->from, "src", "a", 10, 1);
    }
}

/* The key is there again when the delete, which has failed once, goes out again. */
static void evidence_does_not_outlive_a_failure(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct returner r = {.from = b->from, .at = STORE_DELETE};
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_DELETE, .count = 1, .in_vain = true});
    fake_hook(b->to, put_again, &r);
    bench_add(b, "a", COPY_DELETE);
    run(b, COPY_SKIPPED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

/* It waits in an outage of the destination, the probe that ends it brings the key back. */
static void evidence_does_not_outlive_an_outage(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct returner r = {.from = b->from, .at = STORE_HEAD_BUCKET};
    uint64_t now_ms = loop_now_ms(b->loop);
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_put_random(b->to, "dst", "b", 10, 1);
    fake_outage(b->to, now_ms, now_ms + 1500);
    fake_hook(b->to, put_again, &r);
    struct bench_job *a = bench_add(b, "a", COPY_DELETE);
    struct bench_job *other = bench_add(b, "b", COPY_DELETE);
    assert_true(bench_run(b, HOUR, false));
    assert_int_equal(a->outcome.end, COPY_SKIPPED);
    assert_int_equal(other->outcome.end, COPY_DELETED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

/* Nor a long wait for a slot. */
static void evidence_does_not_outlive_a_wait(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_put_random(b->to, "dst", "a", 10, 1);
    fake_set_slots(b->to, 0);
    bench_add(b, "a", COPY_DELETE);
    bench_start(b);
    loop_run_for(b->loop, 60000);
    fake_put_random(b->from, "src", "a", 10, 1);
    fake_set_slots(b->to, 4);
    run(b, COPY_SKIPPED);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

/* The object of an upload in work is deleted: the upload must not outlive it. */
static void delete_ends_what_a_copy_began(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 420; at += 7) {
        struct bench *b = bench();
        struct bench_job *j = copy_one(b, "k", 60000);
        bench_start(b);
        loop_run_for(b->loop, at);
        fake_remove(b->from, "src", span_str("k"));
        j->kind = COPY_DELETE;
        j->is_done = false;
        bench_crash(b);
        run(b, COPY_DELETED);
        assert_int_equal(fake_objects(b->to, "dst"), 0);
        bench_free(b);
    }
}

/* Complete was sent and never received: the upload is gone when the delete has ended, but is not
 * aborted before a Complete at work had its time. */
static void delete_outlasts_a_complete(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct bench_job *j = copy_one(b, "k", 60000);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_COMPLETE, .in_vain = true});
    bench_start(b);
    while (!j->completing) {
        loop_run_for(b->loop, 1);
    }
    fake_remove(b->from, "src", span_str("k"));
    j->kind = COPY_DELETE;
    bench_crash(b);
    assert_int_equal(fake_uploads(b->to), 1);
    uint64_t begun_ms = loop_now_ms(b->loop);
    run(b, COPY_DELETED);
    assert_int_equal(fake_uploads(b->to), 0);
    assert_int_equal(fake_objects(b->to, "dst"), 0);
    assert_true(loop_now_ms(b->loop) - begun_ms >= 20000);
    bench_free(b);
}

/* ---- the source changes ---- */

struct changer {
    struct bench *bench;
    unsigned at; /* the nth GET */
    unsigned seen;
    unsigned times;
    size_t size;
    uint64_t seed;
    bool removes;
};

static void change_source(void *arg, struct fake *f, const struct store_op *op)
{
    struct changer *c = arg;
    if (op->kind != STORE_GET || ++c->seen < c->at || c->times == 0) {
        return;
    }
    c->times--;
    c->seen = 0;
    if (c->removes) {
        fake_remove(f, "src", op->key);
    } else {
        fake_put_random(f, "src", "big", c->size, c->seed++);
    }
}

static void changed_source_is_never_mixed(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 12; at++) {
        struct bench *b = bench();
        struct changer c = {.at = at, .times = 2, .size = 30000 + at, .seed = 99};
        copy_one(b, "big", 40000);
        fake_hook(b->from, change_source, &c);
        run(b, COPY_DONE);
        bench_free(b);
    }
}

static void server_without_pins_is_found_out(void **state)
{
    (void)state;
    for (unsigned at = 2; at < 12; at++) {
        struct bench_options o = {.from = {.latency_ms = 5, .ignores_pins = true}};
        struct bench *b = bench_new(&o);
        struct changer c = {.bench = b, .at = at, .times = 1, .size = 40000, .seed = 99};
        copy_one(b, "big", 40000);
        fake_hook(b->from, change_source, &c);
        run(b, COPY_DONE);
        bench_free(b);
    }
}

static void etag_that_is_no_md5_costs_only_the_md5(void **state)
{
    (void)state;
    struct bench_options o = {.from = {.odd_etags = true}};
    struct bench *b = bench_new(&o);
    copy_one(b, "s", 1000);
    copy_one(b, "l", 10000);
    run(b, COPY_DONE);
    bench_free(b);
}

static void source_that_never_rests_fails(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct changer c = {.at = 3, .times = 1000, .size = 40000, .seed = 99};
    struct bench_job *j = copy_one(b, "big", 40000);
    fake_hook(b->from, change_source, &c);
    run(b, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_ECHANGED);
    assert_true(j->outcome.source_side);
    assert_int_equal(b->abandoned_count, 4);
    bench_free(b);
}

static void source_removed_midway_leaves_no_upload(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct changer c = {.at = 4, .times = 1, .removes = true};
    copy_one(b, "big", 40000);
    fake_hook(b->from, change_source, &c);
    run(b, COPY_SKIPPED);
    assert_int_equal(b->abandoned_count, 1);
    bench_free(b);
}

/* ---- where repeats go ---- */

struct witness {
    uint64_t avoided[8];
    size_t count;
};

static void see_avoided(void *arg, struct fake *f, const struct store_op *op)
{
    struct witness *w = arg;
    (void)f;
    assert_true(w->count < 8);
    w->avoided[w->count++] = op->avoid;
}

static void repeats_avoid_the_address_that_failed(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct witness from = {.count = 0};
    struct witness to = {.count = 0};
    fake_fault(b->from, &(struct fake_fault){.kind = STORE_GET, .count = 2, .code = REPL_ENET});
    fake_fault(b->to, &(struct fake_fault){
                          .kind = STORE_PUT, .count = 1, .code = REPL_ESERVER, .http_status = 500});
    fake_hook(b->from, see_avoided, &from);
    fake_hook(b->to, see_avoided, &to);
    copy_one(b, "k", 1000);
    run(b, COPY_DONE);
    assert_int_equal(from.count, 3);
    assert_int_equal(from.avoided[0], 0);
    assert_int_equal(from.avoided[1], FAKE_ADDRESS);
    assert_int_equal(from.avoided[2], FAKE_ADDRESS);
    for (size_t i = 0; i < to.count; i++) { /* an answer is no failure of an address */
        assert_int_equal(to.avoided[i], 0);
    }
    bench_free(b);
}

/* ---- lost answers ---- */

struct repeats {
    struct loop *loop;
    int kind;
    uint64_t at_ms[4]; /* they reached the server, or were lost */
    size_t count;
};

static void see_repeats(void *arg, struct fake *f, const struct store_op *op)
{
    struct repeats *r = arg;
    (void)f;
    if ((int)op->kind == r->kind && op->part_number <= 1) {
        assert_true(r->count < 4);
        r->at_ms[r->count++] = loop_now_ms(r->loop);
    }
}

/* The bytes of the first one may arrive still: it is not sent again before two round trips. */
static void write_without_an_answer_settles_first(void **state)
{
    (void)state;
    static const int kinds[] = {STORE_PUT, STORE_PART, STORE_CREATE, STORE_DELETE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct bench_options o = {.from = {.latency_ms = 1}, .to = {.latency_ms = 300}};
        struct bench *b = bench_new(&o);
        struct repeats seen = {.loop = b->loop, .kind = kinds[i]};
        bool deletes = kinds[i] == STORE_DELETE;
        fake_fault(b->to, &(struct fake_fault){.kind = kinds[i], .count = 1, .in_vain = true});
        fake_hook(b->to, see_repeats, &seen);
        copy_one(b, "k", kinds[i] == STORE_PUT ? 1000 : 4096 * 3)->kind =
            deletes ? COPY_DELETE : COPY_OBJECT;
        if (deletes) {
            fake_remove(b->from, "src", span_str("k"));
        }
        run(b, deletes ? COPY_DELETED : COPY_DONE);
        assert_int_equal(seen.count, 2);
        assert_true(seen.at_ms[1] - seen.at_ms[0] >= 600 + 300);
        bench_free(b);
    }
}

static void lost_answer(int kind, bool marker, size_t size, bool lost)
{
    struct bench_options o = {
        .from = {.latency_ms = 5}, .to = {.latency_ms = 20}, .commit_ms = 2, .no_marker = !marker};
    struct bench *b = bench_new(&o);
    fake_fault(b->to, &(struct fake_fault){.kind = kind,
                                           .count = 1,
                                           .lost = lost,
                                           .code = lost ? REPL_ENET : REPL_ESERVER});
    copy_one(b, "k", size);
    run(b, COPY_DONE);
    assert_int_equal(fake_uploads(b->to), 0);
    if (lost && kind == STORE_PUT) {
        assert_int_equal(fake_count(b->to, STORE_PUT), 1);
    }
    if (lost && kind == STORE_COMPLETE) {
        assert_int_equal(fake_count(b->to, STORE_COMPLETE), 1);
        assert_int_equal(fake_count(b->to, STORE_GET), 1); /* the last byte */
    }
    bench_free(b);
}

static void lost_answers_are_asked_for(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool marker = i & 1, lost = i & 2;
        lost_answer(STORE_PUT, marker, 1000, lost);
        lost_answer(STORE_CREATE, marker, 30000, lost);
        lost_answer(STORE_PART, marker, 30000, lost);
        lost_answer(STORE_COMPLETE, marker, 30000, lost);
        lost_answer(STORE_HEAD, marker, 30000, lost);
    }
}

/* The same version is there from before: it does not prove that this Complete happened. */
static void older_copy_is_no_proof(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct bench_job *j = copy_one(b, "k", 30000);
    run(b, COPY_DONE);
    fake_fault(b->to,
               &(struct fake_fault){.kind = STORE_COMPLETE, .count = 1, .code = REPL_ESERVER});
    j->is_done = false;
    run(b, COPY_DONE);
    assert_int_equal(j->runs, 2);
    assert_int_equal(fake_uploads(b->to), 0);
    bench_free(b);
}

/* What is there carries a marker of ours and has the right size, but is an older version. */
static void older_version_is_not_taken_for_the_new_one(void **state)
{
    (void)state;
    for (size_t size = 1000; size < 40000; size += 38000) {
        struct bench *b = bench();
        struct bench_job *j = copy_one(b, "k", size);
        run(b, COPY_DONE);
        fake_put_random(b->from, "src", "k", size, 4711);
        fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT, .count = 1, .in_vain = true});
        fake_fault(b->to,
                   &(struct fake_fault){.kind = STORE_COMPLETE, .count = 1, .in_vain = true});
        j->is_done = false;
        run(b, COPY_DONE);
        assert_int_equal(fake_uploads(b->to), 0);
        bench_free(b);
    }
}

/* Create never gets an answer: whatever it made is found in the next life. */
static void intention_outlives_a_failed_create(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_fault(b->to,
               &(struct fake_fault){.kind = STORE_CREATE, .lost = true, .code = REPL_ESERVER});
    struct bench_job *j = copy_one(b, "k", 30000);
    assert_true(bench_run(b, HOUR, false));
    assert_int_equal(j->outcome.end, COPY_FAILED);
    assert_true(j->intended);
    assert_int_equal(fake_uploads(b->to), 1);
    fake_clear_faults(b->to);
    run(b, COPY_DONE);
    assert_int_equal(fake_uploads(b->to), 0);
    bench_free(b);
}

/* A server that lists neither uploads nor parts is worked with all the same. */
static void mute_server_is_no_obstacle(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 400; at += 21) {
        struct bench *b = bench();
        fake_fault(b->to,
                   &(struct fake_fault){.kind = STORE_LIST_PARTS, .code = REPL_EUNSUPPORTED});
        fake_fault(b->to,
                   &(struct fake_fault){.kind = STORE_LIST_UPLOADS, .code = REPL_EUNSUPPORTED});
        struct bench_job *j = copy_one(b, "k", 60000);
        bench_start(b);
        loop_run_for(b->loop, at);
        bench_crash(b);
        assert_true(bench_run(b, HOUR, false));
        assert_int_equal(j->outcome.end, COPY_DONE);
        bench_free(b);
    }
}

static void vanished_upload_starts_again(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_fault(b->to, &(struct fake_fault){
                          .kind = STORE_PART, .skip = 3, .count = 1, .code = REPL_ENOUPLOAD});
    struct bench_job *j = copy_one(b, "k", 30000);
    assert_true(bench_run(b, HOUR, false));
    assert_int_equal(j->outcome.end, COPY_DONE);
    assert_int_equal(fake_count(b->to, STORE_CREATE), 2);
    bench_free(b);
}

static void short_body_is_read_again(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_fault(b->from, &(struct fake_fault){.kind = STORE_GET, .count = 3, .shorten = true});
    copy_one(b, "s", 100);
    copy_one(b, "l", 30000);
    run(b, COPY_DONE);
    bench_free(b);
}

/* ---- failures ---- */

static void permanent_failure_abandons(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PART, .skip = 2, .code = REPL_EREFUSED});
    struct bench_job *j = copy_one(b, "k", 30000);
    run(b, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_EREFUSED);
    assert_false(j->outcome.source_side);
    assert_int_equal(b->abandoned_count, 1);
    bench_free(b);
}

static void transient_failure_keeps_the_upload(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PART, .part = 3, .code = REPL_ESERVER});
    struct bench_job *j = copy_one(b, "k", 30000);
    run(b, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_ESERVER);
    assert_true(j->open);
    size_t kept = j->part_count;
    unsigned sent = fake_count(b->to, STORE_PART);
    assert_true(kept > 0);
    fake_clear_faults(b->to);
    run(b, COPY_DONE);
    assert_int_equal(fake_count(b->to, STORE_PART), sent + 8 - kept);
    assert_int_equal(fake_count(b->to, STORE_CREATE), 1);
    bench_free(b);
}

static void too_large_for_the_budget_says_what_it_needs(void **state)
{
    (void)state;
    struct bench_options o = {
        .memory_bytes = 1 << 20, .part_max = 1 << 20, .to = {.part_min = 512 * 1024}};
    struct bench *b = bench_new(&o);
    struct bench_job *j = copy_one(b, "k", 3 << 20);
    run(b, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_ENOMEMORY);
    assert_non_null(strstr(j->outcome.fail.hint, "MiB"));
    bench_free(b);
}

static void bucket_that_is_missing_fails_the_copy_only(void **state)
{
    (void)state;
    struct bench *b = bench();
    fake_drop_bucket(b->to, "dst");
    struct bench_job *j = copy_one(b, "k", 100);
    assert_true(bench_run(b, HOUR, false));
    assert_int_equal(j->outcome.fail.code, REPL_ENOBUCKET);
    struct fail f;
    assert_int_equal(sched_endpoint(b->sched, fake_store(b->to), &f), SCHED_UP);
    bench_free(b);
}

/* ---- resume ---- */

static void resume_goes_on_at_any_moment(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 400; at += 7) {
        struct bench *b = bench();
        copy_one(b, "k", 60000);
        bench_start(b);
        loop_run_for(b->loop, at);
        bench_crash(b);
        run(b, COPY_DONE);
        assert_int_equal(fake_uploads(b->to), b->abandoned_count);
        bench_free(b);
    }
}

/* What the server has is not what the journal says: that part is sent again. */
static void resume_sends_a_part_that_differs(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct bench_job *j = copy_one(b, "k", 300000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    bench_crash(b);
    assert_true(j->part_count > 2);
    char body[4096] = "not ours";
    fake_part(b->to, j->upload_id, 2, span_of(body, sizeof(body)));
    assert_true(bench_run(b, HOUR, false));
    assert_int_equal(b->resent, 1);
    b->resent = 0;
    assert_int_equal(b->abandoned_count, 0);
    bench_check(b);
    bench_free(b);
}

/* Somebody else writes into the upload: Complete is refused, the upload given up. */
static void foreign_part_starts_again(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct bench_job *j = copy_one(b, "k", 300000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    assert_true(j->part_count > 2);
    fake_part(b->to, j->upload_id, 2, span_str("not ours"));
    run(b, COPY_DONE);
    assert_int_equal(b->abandoned_count, 1);
    bench_free(b);
}

static void resume_of_a_changed_source_starts_clean(void **state)
{
    (void)state;
    struct bench *b = bench();
    copy_one(b, "k", 300000);
    bench_start(b);
    loop_run_for(b->loop, 100);
    bench_crash(b);
    fake_put_random(b->from, "src", "k", 300000, 77);
    run(b, COPY_DONE);
    assert_int_equal(b->abandoned_count, 1);
    bench_free(b);
}

static void intention_aborts_only_what_can_be_ours(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct bench_job *j = copy_one(b, "k", 30000);
    fake_create(b->to, "dst", span_str("k"));
    fake_create(b->to, "dst", span_str("k2"));
    j->intended = true;
    j->intended_ms = loop_wall_ms(b->loop);
    assert_true(bench_run(b, HOUR, false));
    assert_int_equal(j->outcome.end, COPY_DONE);
    assert_int_equal(fake_uploads(b->to), 1); /* of k2 */
    bench_free(b);
}

/* Its parts no longer fit into memory, and none is needed: Complete may be at work. */
static void completing_is_asked_for_whatever_the_budget(void **state)
{
    (void)state;
    struct bench_options o = {
        .to = {.latency_ms = 20}, .part_max = 65536, .memory_bytes = 1 << 20, .commit_ms = 2};
    struct bench *b = bench_new(&o);
    struct bench_job *j = copy_one(b, "k", 400000);
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_COMPLETE, .count = 1, .in_vain = true});
    bench_start(b);
    while (!j->completing) {
        loop_run_for(b->loop, 1);
    }
    b->o.memory_bytes = 3 * 65536;
    bench_crash(b);
    run(b, COPY_DONE);
    assert_int_equal(b->abandoned_count, 0);
    assert_int_equal(fake_count(b->to, STORE_CREATE), 1);
    bench_free(b);
}

static void stop_lets_parts_in_flight_end(void **state)
{
    (void)state;
    struct bench *b = bench();
    struct bench_job *j = copy_one(b, "k", 300000);
    bench_start(b);
    loop_run_for(b->loop, 90);
    unsigned in_flight = fake_in_flight(b->to);
    size_t before = j->part_count;
    assert_true(in_flight > 0);
    bench_restart(b, 5000);
    assert_true(j->part_count >= before + in_flight);
    run(b, COPY_DONE);
    assert_int_equal(fake_body_bytes(b->to), 300000);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_costs_one_get_and_one_put),
        cmocka_unit_test(sizes_around_the_part_arrive),
        cmocka_unit_test(large_reads_each_byte_once),
        cmocka_unit_test(sent_bytes_outlive_a_crash),
        cmocka_unit_test(metadata_tags_and_marker_travel),
        cmocka_unit_test(marker_that_does_not_fit_is_counted),
        cmocka_unit_test(marker_holds_any_key),
        cmocka_unit_test(named_version_is_copied),
        cmocka_unit_test(equal_is_skipped_without_reading),
        cmocka_unit_test(what_was_read_at_once_is_compared_at_the_destination),
        cmocka_unit_test(metadata_of_an_unanswered_write_is_not_assumed),
        cmocka_unit_test(resume_does_not_keep_old_metadata),
        cmocka_unit_test(null_is_no_version),
        cmocka_unit_test(gone_source_is_skipped),
        cmocka_unit_test(delete_needs_evidence),
        cmocka_unit_test(missing_source_bucket_deletes_nothing),
        cmocka_unit_test(denied_source_deletes_nothing),
        cmocka_unit_test(evidence_does_not_outlive_a_failure),
        cmocka_unit_test(evidence_does_not_outlive_an_outage),
        cmocka_unit_test(evidence_does_not_outlive_a_wait),
        cmocka_unit_test(delete_ends_what_a_copy_began),
        cmocka_unit_test(delete_outlasts_a_complete),
        cmocka_unit_test(changed_source_is_never_mixed),
        cmocka_unit_test(server_without_pins_is_found_out),
        cmocka_unit_test(etag_that_is_no_md5_costs_only_the_md5),
        cmocka_unit_test(source_that_never_rests_fails),
        cmocka_unit_test(source_removed_midway_leaves_no_upload),
        cmocka_unit_test(repeats_avoid_the_address_that_failed),
        cmocka_unit_test(write_without_an_answer_settles_first),
        cmocka_unit_test(lost_answers_are_asked_for),
        cmocka_unit_test(older_copy_is_no_proof),
        cmocka_unit_test(older_version_is_not_taken_for_the_new_one),
        cmocka_unit_test(intention_outlives_a_failed_create),
        cmocka_unit_test(mute_server_is_no_obstacle),
        cmocka_unit_test(vanished_upload_starts_again),
        cmocka_unit_test(short_body_is_read_again),
        cmocka_unit_test(permanent_failure_abandons),
        cmocka_unit_test(transient_failure_keeps_the_upload),
        cmocka_unit_test(too_large_for_the_budget_says_what_it_needs),
        cmocka_unit_test(bucket_that_is_missing_fails_the_copy_only),
        cmocka_unit_test(resume_goes_on_at_any_moment),
        cmocka_unit_test(resume_sends_a_part_that_differs),
        cmocka_unit_test(foreign_part_starts_again),
        cmocka_unit_test(resume_of_a_changed_source_starts_clean),
        cmocka_unit_test(intention_aborts_only_what_can_be_ours),
        cmocka_unit_test(completing_is_asked_for_whatever_the_budget),
        cmocka_unit_test(stop_lets_parts_in_flight_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
