/* One copy at a time: what travels besides the bytes, and when it is compared. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void metadata_tags_and_marker_travel(void **state)
{
    (void)state;
    struct bench *b = bench_near_far();
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
    bench_run_to(b, COPY_DONE);
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
    struct bench *b = bench_near_far();
    char value[2001];
    memset(value, 'v', 2000);
    value[2000] = '\0';
    struct store_pair user[] = {{span_str("colour"), span_str(value)}};
    struct store_meta meta = {.user = user, .user_count = 1};
    fake_put(b->from, "src", span_str("s"), span_str("x"), &meta);
    struct bench_job *j = bench_add(b, "s", COPY_OBJECT);
    bench_run_to(b, COPY_DONE);
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
    struct bench *b = bench_near_far();
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT, .count = 1, .lost = true});
    bench_copy_one(b, key, 100);
    bench_run_to(b, COPY_DONE);
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
    struct bench *b = bench_near_far();
    fake_put_random(b->from, "src", "a", 1000, 1);
    know(b, bench_add(b, "a", COPY_OBJECT), 2000);
    bench_run_to(b, COPY_SKIPPED);
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
        bench_run_to(b, COPY_DONE);
        put_coloured(b, "k", 1000, changes ? "blue" : "red");
        know(b, j, 0);
        bench_run_to(b, changes ? COPY_DONE : COPY_SKIPPED);
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
    bench_run_to(b, COPY_DONE);
    loop_run_for(b->loop, later_ms);
    put_coloured(b, "k", size, "blue");
    fake_fault(b->to, &(struct fake_fault){.kind = STORE_PUT, .count = 1, .in_vain = true});
    fake_fault(b->to,
               &(struct fake_fault){.kind = STORE_COMPLETE, .count = 1, .code = REPL_ENOUPLOAD});
    fake_fault(b->to,
               &(struct fake_fault){.kind = STORE_LIST_PARTS, .count = 1, .code = REPL_ENOUPLOAD});
    j->is_done = false;
    assert_true(bench_run(b, BENCH_HOUR_MS, false));
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
        assert_true(bench_run(b, BENCH_HOUR_MS, false));
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
    bench_run_to(b, COPY_DONE);
    know(b, j, 5000);
    j->known_version = span_str("null");
    loop_run_for(b->loop, 5000);
    put_coloured(b, "k", 1000, "blue");
    bench_run_to(b, COPY_DONE);
    assert_coloured(b, "k", "blue");
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_tags_and_marker_travel),
        cmocka_unit_test(marker_that_does_not_fit_is_counted),
        cmocka_unit_test(marker_holds_any_key),
        cmocka_unit_test(equal_is_skipped_without_reading),
        cmocka_unit_test(what_was_read_at_once_is_compared_at_the_destination),
        cmocka_unit_test(metadata_of_an_unanswered_write_is_not_assumed),
        cmocka_unit_test(resume_does_not_keep_old_metadata),
        cmocka_unit_test(null_is_no_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
