/* What a scan remembers over a crash, and which listings it believes. */
#include "daemon/base/fail.h"
#include "daemon/feeds/scan_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_round_trip(void **state)
{
    (void)state;
    struct scan_state in = {
        .phase = SCAN_LIST, .since_ms = 1764000000000, .seen = 7, .requests = 9};
    struct scan_piece pieces[] = {{span_of("a\0 b", 4), span_of("9 ", 2)},
                                  {span_of("", 0), {0}},
                                  {span_str("- "), span_str("\xff\xfe 12 ")}};
    struct buf text = {0};
    struct arena a;
    struct scan_state out;
    struct scan_piece *got;
    size_t count;
    arena_init(&a);
    scan_state_print(&in, pieces, 3, &text);
    assert_int_equal(scan_state_parse(buf_view(&text), &a, &out, &got, &count), 0);
    assert_int_equal(count, 3);
    assert_memory_equal(&in, &out, sizeof(in));
    for (size_t i = 0; i < 3; i++) {
        assert_true(span_eq(got[i].after, pieces[i].after));
        assert_true(span_eq(got[i].until, pieces[i].until));
        assert_int_equal(got[i].until.ptr == NULL, pieces[i].until.ptr == NULL);
    }
    /* A text that was cut off anywhere is refused, and nothing is read behind its end. */
    for (size_t len = 0; len < text.len; len++) {
        char *copy = mem_dup_span(span_of(text.data, len));
        assert_int_equal(scan_state_parse(span_of(copy, len), &a, &out, &got, &count),
                         REPL_EBADINPUT);
        mem_free(copy);
    }
    buf_done(&text);
    arena_done(&a);
}

static void test_cursors_of_older_programs_are_read(void **state)
{
    (void)state;
    struct arena a;
    struct scan_state s;
    struct scan_piece *pieces;
    size_t count;
    arena_init(&a);
    const char text[] = "1 2 11 12 13 14 15 0 0 1 1 0 20 21 22 23 24 25 26 27 28 1 1 k- ";
    assert_int_equal(scan_state_parse(span_str(text), &a, &s, &pieces, &count), 0);
    assert_int_equal(s.phase, SCAN_LIST);
    assert_int_equal(s.since_ms, 11);
    assert_int_equal(s.requests, 28);
    assert_int_equal(s.covers, 0);
    assert_int_equal(scan_existing_until(&s), 11);
    assert_int_equal(count, 1);
    arena_done(&a);
}

static void test_which_listings_are_believed(void **state)
{
    (void)state;
    static const struct {
        uint64_t seen, before, doubted, missing;
        bool believed, deletes;
    } cases[] = {
        {100, 100, 0, 5, true, true},    {50, 100, 0, 50, true, true},
        {49, 100, 0, 51, false, false},  {49, 100, 50, 51, true, true}, /* said twice */
        {10, 100, 90, 90, false, false}, /* the one before said something else */
        {0, 100, 0, 100, false, false},  {0, 100, 1, 100, true, false}, /* never of an empty one */
        {0, 0, 0, 0, true, false},       {0, 0, 0, 3, false, false},
        {1, 9, 0, 8, true, true}, /* few may come and go */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scan_state s = {.seen = cases[i].seen,
                               .proven_seen = cases[i].before,
                               .doubted_seen = cases[i].doubted,
                               .missing = cases[i].missing};
        if ((scan_state_doubt(&s) == NULL) != cases[i].believed ||
            scan_state_may_delete(&s) != cases[i].deletes) {
            fail_msg("case %zu", i);
        }
    }
    struct scan_state odd = {.seen = 100, .proven_seen = 100, .is_unordered = 1};
    assert_non_null(scan_state_doubt(&odd));
    assert_false(scan_state_may_delete(&odd));
}

static void test_a_pass_that_is_in_doubt_proves_nothing(void **state)
{
    (void)state;
    struct scan_state s = {.proven_ms = 1, .proven_seen = 100};
    scan_state_begin(&s, 1000);
    s.seen = 20;
    scan_state_end(&s, 2000);
    assert_int_equal(s.proven_ms, 1);
    assert_int_equal(s.proven_seen, 100);
    scan_state_begin(&s, 3000);
    assert_int_equal(s.seen, 0);
    s.seen = 21;
    scan_state_end(&s, 4000);
    assert_int_equal(s.proven_ms, 3000);
    assert_int_equal(s.proven_seen, 21);
    assert_int_equal(s.doubted_seen, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_cursors_of_older_programs_are_read),
        cmocka_unit_test(test_which_listings_are_believed),
        cmocka_unit_test(test_a_pass_that_is_in_doubt_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
