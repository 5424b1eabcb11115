/* Whose object stands at the destination: what is not ours stays, and of two writers the newer one
 * wins, whichever side decides. */
#include "tests/unit/support/copy_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOUR 3600000
#define BODY "body of the object"

static struct bench *bench(bool versions)
{
    struct bench_options o = {
        .from = {.latency_ms = 5}, .to = {.latency_ms = 20, .versions = versions}, .commit_ms = 2};
    return bench_new(&o);
}

static void run(struct bench *b, const struct bench_job *j, enum copy_end end)
{
    char text[512];
    assert_true(bench_run(b, HOUR, false));
    if (j->outcome.end != end) {
        fail_msg("ended as %d: %s %s", (int)j->outcome.end,
                 fail_print(&j->outcome.fail, text, sizeof(text)),
                 j->outcome.skip_reason != NULL ? j->outcome.skip_reason : "");
    }
}

/* An object with a marker that names bucket and key, as of this content there. */
static void put_replica(struct fake *f, const char *bucket, const char *body, const char *of_bucket,
                        const char *of_key, size_t of_size, struct span of_etag, long long of_ms)
{
    char marker[256];
    snprintf(marker, sizeof(marker), "x;%s;%s;%zu;%.*s;;%lld", of_bucket, of_key, of_size,
             SPAN_ARG(of_etag), of_ms);
    struct store_pair user = {span_str("repl-source"), span_str(marker)};
    struct store_meta meta = {.user = &user, .user_count = 1};
    fake_put(f, bucket, span_str("k"), span_str(body), &meta);
}

static struct fake_object get(struct fake *f, const char *bucket)
{
    struct fake_object o = {0};
    assert_true(fake_get(f, bucket, span_str("k"), &o));
    return o;
}

static struct span etag_of(struct bench *b, const char *body)
{
    fake_put(b->from, "scratch", span_str(body), span_str(body), NULL);
    struct fake_object o;
    assert_true(fake_get(b->from, "scratch", span_str(body), &o));
    return o.etag;
}

/* ---- deletes ---- */

static void what_is_not_ours_is_not_deleted(void **state)
{
    (void)state;
    struct bench *b = bench(false);
    fake_put(b->to, "dst", span_str("k"), span_str(BODY), NULL);
    struct bench_job *j = bench_add(b, "k", COPY_DELETE);
    j->protects = true;
    run(b, j, COPY_SKIPPED);
    assert_non_null(strstr(j->outcome.skip_reason, "not of repld's making"));
    assert_false(j->outcome.source_there);
    assert_int_equal(fake_objects(b->to, "dst"), 1);
    bench_free(b);
}

static void what_the_marker_or_the_journal_names_is(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        struct bench *b = bench(false);
        struct span etag = etag_of(b, BODY);
        if (known) {
            fake_put(b->to, "dst", span_str("k"), span_str(BODY), NULL);
        } else {
            put_replica(b->to, "dst", BODY, "src", "k", strlen(BODY), etag, 5000);
        }
        struct bench_job *j = bench_add(b, "k", COPY_DELETE);
        j->protects = true;
        j->known_etag = known ? span_str("e") : (struct span){0};
        run(b, j, COPY_DELETED);
        assert_int_equal(fake_objects(b->to, "dst"), 0);
        assert_int_equal(fake_count(b->to, STORE_HEAD), !known);
        bench_free(b);
    }
}

/* A user has copied our object with its metadata, or put other bytes under it. */
static void a_marker_of_something_else_does_not_count(void **state)
{
    (void)state;
    static const struct {
        const char *bucket;
        const char *key;
        size_t size;
        const char *body;
    } cases[] = {{"src", "other", sizeof(BODY) - 1, BODY},
                 {"other", "k", sizeof(BODY) - 1, BODY},
                 {"src", "k", 3, BODY},
                 {"src", "k", sizeof(BODY) - 1, "BODY of the object"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench *b = bench(false);
        struct span etag = etag_of(b, BODY);
        put_replica(b->to, "dst", cases[i].body, cases[i].bucket, cases[i].key, cases[i].size, etag,
                    5000);
        struct bench_job *j = bench_add(b, "k", COPY_DELETE);
        j->protects = true;
        run(b, j, COPY_SKIPPED);
        assert_int_equal(fake_objects(b->to, "dst"), 1);
        bench_free(b);
    }
}

static void nothing_there_makes_no_delete_marker(void **state)
{
    (void)state;
    struct bench *b = bench(true);
    struct bench_job *j = bench_add(b, "k", COPY_DELETE);
    j->protects = true;
    run(b, j, COPY_SKIPPED);
    assert_true(j->outcome.dest_gone);
    assert_int_equal(fake_count(b->to, STORE_DELETE), 0);
    assert_int_equal(fake_count(b->from, STORE_HEAD), 1);
    bench_free(b);
}

/* HEAD says 404 for a missing bucket as for a missing key. */
static void a_missing_destination_bucket_is_no_deletion(void **state)
{
    (void)state;
    struct bench *b = bench(false);
    fake_drop_bucket(b->to, "dst");
    struct bench_job *j = bench_add(b, "k", COPY_DELETE);
    j->protects = true;
    run(b, j, COPY_FAILED);
    bench_free(b);
}

static void a_version_that_would_not_stay_is_not_deleted(void **state)
{
    (void)state;
    for (int versions = 0; versions < 2; versions++) {
        struct bench *b = bench(versions);
        fake_put(b->to, "dst", span_str("k"), span_str(BODY), NULL);
        struct bench_job *j = bench_add(b, "k", COPY_DELETE);
        j->keep_version = true;
        run(b, j, versions ? COPY_DELETED : COPY_FAILED);
        if (versions) {
            assert_int_equal(fake_versions(b->to, "dst", span_str("k")), 2); /* and its marker */
        } else {
            assert_int_equal(j->outcome.fail.code, REPL_EREFUSED);
            assert_int_equal(fake_objects(b->to, "dst"), 1);
        }
        bench_free(b);
    }
}

static void a_late_delete_costs_one_question(void **state)
{
    (void)state;
    struct bench *b = bench(false);
    fake_put(b->from, "src", span_str("k"), span_str(BODY), NULL);
    struct fake_object o = get(b->from, "src");
    struct bench_job *j = bench_add(b, "k", COPY_DELETE);
    j->known_etag = o.etag;
    j->known_mtime_ms = o.mtime_ms;
    j->known_read_ms = o.mtime_ms + 60000;
    run(b, j, COPY_SKIPPED);
    assert_false(j->outcome.source_there);
    assert_int_equal(fake_count(b->from, STORE_HEAD), 1);
    assert_int_equal(fake_count(b->to, STORE_HEAD) + fake_count(b->to, STORE_DELETE), 0);
    bench_free(b);
}

/* ---- our own replicas ---- */

static void a_replica_is_not_sent_back(void **state)
{
    (void)state;
    for (int two_way = 0; two_way < 2; two_way++) {
        struct bench *b = bench(false);
        fake_put(b->to, "dst", span_str("k"), span_str(BODY), NULL);
        struct fake_object o = get(b->to, "dst");
        put_replica(b->from, "src", BODY, "dst", "k", strlen(BODY), o.etag, o.mtime_ms);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        j->two_way = two_way;
        run(b, j, COPY_SKIPPED);
        assert_true(j->outcome.is_there);
        assert_false(j->outcome.is_conflict);
        assert_true(span_eq(j->outcome.dest.etag, o.etag));
        assert_int_equal(fake_count(b->to, STORE_PUT), 0);
        assert_int_equal(fake_count(b->from, STORE_GET), !two_way);
        bench_free(b);
    }
}

static void an_old_replica_is_not_sent_back(void **state)
{
    (void)state;
    for (int two_way = 0; two_way < 2; two_way++) {
        struct bench *b = bench(false);
        put_replica(b->from, "src", BODY, "dst", "k", strlen(BODY), etag_of(b, BODY), 5000);
        fake_put(b->to, "dst", span_str("k"), span_str("newer"), NULL);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        j->two_way = two_way;
        run(b, j, COPY_SKIPPED);
        assert_false(j->outcome.is_there);
        assert_true(span_eq_str(get(b->to, "dst").body, "newer"));
        bench_free(b);
    }
}

/* In two-way it was deleted there; in one-way the bucket was lost and is to be restored. */
static void a_replica_of_what_is_gone(void **state)
{
    (void)state;
    for (int two_way = 0; two_way < 2; two_way++) {
        struct bench *b = bench(false);
        put_replica(b->from, "src", BODY, "dst", "k", strlen(BODY), etag_of(b, BODY), 5000);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        j->two_way = two_way;
        run(b, j, two_way ? COPY_SKIPPED : COPY_DONE);
        assert_int_equal(fake_objects(b->to, "dst"), !two_way);
        bench_free(b);
    }
}

static void a_changed_replica_is_a_write(void **state)
{
    (void)state;
    struct bench *b = bench(false);
    fake_put(b->to, "dst", span_str("k"), span_str(BODY), NULL);
    struct fake_object o = get(b->to, "dst");
    loop_run_for(b->loop, 5000);
    put_replica(b->from, "src", "BODY of the object", "dst", "k", strlen(BODY), o.etag, o.mtime_ms);
    struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
    j->two_way = true;
    run(b, j, COPY_DONE);
    assert_true(span_eq_str(get(b->to, "dst").body, "BODY of the object"));
    bench_free(b);
}

/* ---- two writers ---- */

static void the_newer_write_wins(void **state)
{
    (void)state;
    for (int dest_newer = 0; dest_newer < 2; dest_newer++) {
        struct bench *b = bench(false);
        struct fake *first = dest_newer ? b->from : b->to;
        struct fake *second = dest_newer ? b->to : b->from;
        fake_put(first, dest_newer ? "src" : "dst", span_str("k"), span_str("first"), NULL);
        loop_run_for(b->loop, 5000);
        fake_put(second, dest_newer ? "dst" : "src", span_str("k"), span_str("second"), NULL);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        j->two_way = true;
        run(b, j, dest_newer ? COPY_SKIPPED : COPY_DONE);
        assert_int_equal(j->outcome.is_conflict, !dest_newer); /* told by the winner's rule */
        assert_true(span_eq_str(get(b->to, "dst").body, "second"));
        bench_free(b);
    }
}

/* In the same second the greater ETag wins: seen from either side. */
static void a_tie_is_broken_alike(void **state)
{
    (void)state;
    unsigned done = 0, conflicts = 0;
    for (int side = 0; side < 2; side++) {
        struct bench *b = bench(false);
        fake_put(b->from, "src", span_str("k"), span_str(side ? "one" : "two"), NULL);
        fake_put(b->to, "dst", span_str("k"), span_str(side ? "two" : "one"), NULL);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        j->two_way = true;
        assert_true(bench_run(b, HOUR, false));
        done += j->outcome.end == COPY_DONE;
        conflicts += j->outcome.is_conflict;
        bench_free(b);
    }
    assert_int_equal(done, 1);
    assert_int_equal(conflicts, 1);
}

/* Both were sent at once, and each has replaced the other's original. */
static void crossed_replicas_come_together(void **state)
{
    (void)state;
    for (int source_newer = 0; source_newer < 2; source_newer++) {
        struct bench *b = bench(false);
        struct span one = etag_of(b, "one");
        struct span two = etag_of(b, "two");
        put_replica(b->from, "src", "two", "dst", "k", 3, two, source_newer ? 9000 : 5000);
        put_replica(b->to, "dst", "one", "src", "k", 3, one, 7000);
        struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
        j->two_way = true;
        run(b, j, source_newer ? COPY_DONE : COPY_SKIPPED);
        assert_int_equal(j->outcome.is_conflict, source_newer);
        assert_true(span_eq_str(get(b->to, "dst").body, source_newer ? "two" : "one"));
        bench_free(b);
    }
}

/* Clocks differ: what the journal knows to be there is not a write of its own. */
static void what_is_known_is_replaced_whatever_its_time(void **state)
{
    (void)state;
    struct bench *b = bench(false);
    fake_put(b->from, "src", span_str("k"), span_str("new"), NULL);
    loop_run_for(b->loop, 60000);
    fake_put(b->to, "dst", span_str("k"), span_str("known"), NULL);
    struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
    j->two_way = true;
    j->known_etag = span_str("before");
    j->known_dest_etag = get(b->to, "dst").etag;
    run(b, j, COPY_DONE);
    assert_false(j->outcome.is_conflict);
    assert_true(span_eq_str(get(b->to, "dst").body, "new"));
    bench_free(b);
}

/* While parts were sent somebody has written there: no Complete, and no upload stays. */
static void a_large_one_looks_again_before_it_completes(void **state)
{
    (void)state;
    struct bench_options o = {
        .from = {.latency_ms = 5}, .to = {.latency_ms = 1000}, .commit_ms = 2, .part_max = 4096};
    struct bench *b = bench_new(&o);
    fake_put_random(b->from, "src", "k", 50000, 1);
    struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
    j->two_way = true;
    bench_run(b, 2500, false);
    assert_int_equal(fake_uploads(b->to), 1);
    fake_put(b->to, "dst", span_str("k"), span_str("in between"), NULL);
    run(b, j, COPY_SKIPPED);
    assert_false(j->outcome.is_conflict); /* the other way's to tell */
    assert_int_equal(fake_count(b->to, STORE_COMPLETE), 0);
    assert_false(j->open); /* abandoned: the owner aborts it */
    assert_true(span_eq_str(get(b->to, "dst").body, "in between"));
    bench_free(b);
}

static void a_write_beats_a_delete(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        struct bench *b = bench(false);
        fake_put(b->to, "dst", span_str("k"), span_str("theirs"), NULL);
        struct bench_job *j = bench_add(b, "k", COPY_DELETE);
        j->two_way = true;
        j->known_etag = span_str("e");
        j->known_dest_etag = known ? get(b->to, "dst").etag : span_str("another");
        run(b, j, known ? COPY_DELETED : COPY_SKIPPED);
        assert_int_equal(j->outcome.is_conflict, !known);
        assert_int_equal(fake_objects(b->to, "dst"), !known);
        bench_free(b);
    }
}

static void without_room_for_the_marker_nothing_is_sent(void **state)
{
    (void)state;
    struct bench *b = bench(false);
    char big[2000];
    memset(big, 'x', sizeof(big));
    struct store_pair user = {span_str("big"), span_of(big, sizeof(big))};
    struct store_meta meta = {.user = &user, .user_count = 1};
    fake_put(b->from, "src", span_str("k"), span_str(BODY), &meta);
    struct bench_job *j = bench_add(b, "k", COPY_OBJECT);
    j->two_way = true;
    run(b, j, COPY_FAILED);
    assert_int_equal(j->outcome.fail.code, REPL_EREFUSED);
    assert_int_equal(fake_objects(b->to, "dst"), 0);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_ours_is_not_deleted),
        cmocka_unit_test(what_the_marker_or_the_journal_names_is),
        cmocka_unit_test(a_marker_of_something_else_does_not_count),
        cmocka_unit_test(nothing_there_makes_no_delete_marker),
        cmocka_unit_test(a_missing_destination_bucket_is_no_deletion),
        cmocka_unit_test(a_version_that_would_not_stay_is_not_deleted),
        cmocka_unit_test(a_late_delete_costs_one_question),
        cmocka_unit_test(a_replica_is_not_sent_back),
        cmocka_unit_test(an_old_replica_is_not_sent_back),
        cmocka_unit_test(a_replica_of_what_is_gone),
        cmocka_unit_test(a_changed_replica_is_a_write),
        cmocka_unit_test(the_newer_write_wins),
        cmocka_unit_test(a_tie_is_broken_alike),
        cmocka_unit_test(crossed_replicas_come_together),
        cmocka_unit_test(what_is_known_is_replaced_whatever_its_time),
        cmocka_unit_test(a_large_one_looks_again_before_it_completes),
        cmocka_unit_test(a_write_beats_a_delete),
        cmocka_unit_test(without_room_for_the_marker_nothing_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
