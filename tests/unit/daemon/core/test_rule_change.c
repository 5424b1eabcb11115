/* A rule begins to take more at the very moment when a scan of less is about to prove something:
 * the change is on its way into the journal, together with what would prove. */
#include "tests/unit/support/engine_bench.h"

#include "daemon/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define RULE "pages"

static const char *few[] = {"k/*[02468]"};
static const char *many[] = {"k/*"};

#define SCAN_MS    20 /* a scan ends earlier */
#define SLOW_MS    4000
#define TURNS      8  /* of the loop in a millisecond are tried */
#define MEASURE_MS 90 /* after a scan began it has ended and is measured */

struct widening {
    struct engine_bench b;
    struct timer timer;
    struct deferred turn;
    int turns; /* until the rule is put */
    int status;
};

static struct rule taking(const char **include)
{
    struct rule rule = engine_bench_rule(RULE);
    rule.existing = true;
    rule.include = include;
    rule.include_count = 1;
    return rule;
}

static struct scan_state scan_state(struct widening *w)
{
    struct scan_report r;
    struct fail f;
    assert_int_equal(engine_scan_report(w->b.engine, RULE, &r, &f), 0);
    return r.state;
}

static int64_t proven_ms(struct widening *w)
{
    struct rule_lag lag;
    assert_int_equal(engine_lag(w->b.engine, RULE, &lag), 0);
    return lag.proven_ms;
}

/* No listing after this is answered soon. */
static void take_more(void *arg)
{
    struct widening *w = arg;
    struct rule rule = taking(many);
    if (w->turns-- > 0) {
        deferred_call(&w->turn);
        return;
    }
    fake_fault(w->b.near, &(struct fake_fault){.kind = STORE_LIST, .slow_ms = SLOW_MS});
    engine_rule_put(w->b.engine, &rule, true, engine_bench_done_fn, &w->status);
}

static void begin_scan(struct widening *w)
{
    struct fail f;
    assert_int_equal(engine_scan_begin(w->b.engine, RULE, &f), 0);
}

/* The rule takes few keys, all of them are proven. */
static void take_few(struct widening *w)
{
    struct rule rule = taking(few);
    assert_int_equal(engine_bench_put_rule(&w->b, &rule, true, NULL), 0);
    for (int i = 0; i < 1000 && (scan_state(w).phase != SCAN_IDLE || scan_state(w).is_changed ||
                                 proven_ms(w) < (int64_t)scan_state(w).started_ms);
         i++) {
        loop_run_for(w->b.loop, 100);
    }
    assert_int_equal(proven_ms(w), scan_state(w).started_ms);
}

static void check_moment(struct widening *w, uint64_t ms, int turns)
{
    int64_t stored = 0;
    take_few(w);
    w->turns = turns;
    w->status = 1;
    timer_start(&w->timer, ms + 1); /* before any that the scan starts for the same time */
    begin_scan(w);
    while (w->status == 1) {
        stored = proven_ms(w);
        loop_run_for(w->b.loop, 1);
    }
    assert_int_equal(w->status, 0);
    loop_run_for(w->b.loop, SLOW_MS / 2);
    if (proven_ms(w) != stored || scan_state(w).proven_ms != 0) {
        fail_msg("put at %d ms, turn %d: proven", (int)ms, turns);
    }
    fake_clear_faults(w->b.near);
    loop_run_for(w->b.loop, SLOW_MS);
}

static void what_was_looked_at_before_proves_nothing(void **state)
{
    struct widening w = {0};
    (void)state;
    engine_bench_init(&w.b, 5, 10);
    engine_bench_start(&w.b);
    timer_init(&w.timer, w.b.loop, take_more, &w);
    deferred_init(&w.turn, w.b.loop, take_more, &w);
    fake_put(w.b.near, "src", span_str("k/0"), span_str("even"), NULL);
    fake_put(w.b.near, "src", span_str("k/1"), span_str("odd"), NULL);
    for (uint64_t ms = 0; ms < MEASURE_MS; ms++) {
        for (int turn = 0; turn < (ms < SCAN_MS ? TURNS : 1); turn++) {
            check_moment(&w, ms, turn);
        }
    }
    engine_bench_done(&w.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_looked_at_before_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
