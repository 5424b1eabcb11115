#include "daemon/base/loop.h"
#include "daemon/base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>
/* cmocka needs those above first */
#include <cmocka.h>

#define THREADS 4
#define POSTS   5000

/* What the callbacks of a test write down. */
struct trace {
    struct loop *loop;
    char text[64];
    unsigned count;
    struct deferred a;
    struct deferred b;
    struct deferred c;
    struct timer timer;
    struct timer other;
};

static void note(struct trace *t, const char *what)
{
    strncat(t->text, what, sizeof(t->text) - strlen(t->text) - 1);
}

static void on_a(void *arg)
{
    note(arg, "a");
}

static void on_b(void *arg)
{
    note(arg, "b");
}

static void on_c(void *arg)
{
    note(arg, "c");
}

static void on_count(void *arg)
{
    struct trace *t = arg;
    t->count++;
}

static void on_stop(void *arg)
{
    struct trace *t = arg;
    note(t, "!");
    loop_stop(t->loop);
}

/* ---- both kinds of loop run the same tests ---- */

static int setup_with(void **state, struct loop *loop)
{
    struct trace *t = MEM_NEW(struct trace);
    t->loop = loop;
    deferred_init(&t->a, loop, on_a, t);
    deferred_init(&t->b, loop, on_b, t);
    deferred_init(&t->c, loop, on_c, t);
    *state = t;
    return 0;
}

static int setup_real(void **state)
{
    return setup_with(state, loop_new(7));
}

static int setup_virtual(void **state)
{
    return setup_with(state, loop_new_virtual(7, 1000000));
}

static int teardown(void **state)
{
    struct trace *t = *state;
    loop_free(t->loop);
    mem_free(t);
    return 0;
}

static void test_deferred_runs_in_order_and_once(void **state)
{
    struct trace *t = *state;
    deferred_call(&t->b);
    deferred_call(&t->a);
    deferred_call(&t->b);
    deferred_call(&t->c);
    assert_string_equal(t->text, "");
    loop_run_once(t->loop);
    assert_string_equal(t->text, "bac");
    loop_run_once(t->loop);
    assert_string_equal(t->text, "bac");
}

static void cancel_b_and_again_a(void *arg)
{
    struct trace *t = arg;
    note(t, "a");
    deferred_cancel(&t->b);
    deferred_call(&t->a); /* for the turn after this */
}

static void test_deferred_may_cancel_and_repeat(void **state)
{
    struct trace *t = *state;
    deferred_init(&t->a, t->loop, cancel_b_and_again_a, t);
    deferred_call(&t->a);
    deferred_call(&t->b);
    deferred_call(&t->c);
    loop_run_once(t->loop);
    assert_string_equal(t->text, "ac");
    loop_run_once(t->loop);
    assert_string_equal(t->text, "aca");
    deferred_cancel(&t->a);
    deferred_cancel(&t->a);
    loop_run_once(t->loop);
    assert_string_equal(t->text, "aca");
}

static void test_cancel_at_every_place(void **state)
{
    struct trace *t = *state;
    struct deferred *all[] = {&t->a, &t->b, &t->c};
    const char *const want[] = {"bca", "acb", "abc"};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 3; k++) {
            deferred_call(all[k]);
        }
        deferred_cancel(all[i]);
        deferred_call(all[i]); /* now it is the last */
        t->text[0] = '\0';
        loop_run_once(t->loop);
        assert_string_equal(t->text, want[i]);
    }
}

static void test_pending_calls_are_dropped_with_the_loop(void **state)
{
    struct trace *t = *state;
    deferred_call(&t->a);
    loop_post(t->loop, on_a, t);
}

static void post_again(void *arg)
{
    struct trace *t = arg;
    note(t, "p");
    loop_post(t->loop, on_stop, t);
}

static void test_posts_keep_their_order(void **state)
{
    struct trace *t = *state;
    loop_post(t->loop, on_a, t);
    loop_post(t->loop, on_b, t);
    loop_post(t->loop, post_again, t);
    loop_post(t->loop, on_c, t);
    loop_run(t->loop);
    assert_string_equal(t->text, "abpc!");
}

static void test_stop_while_nothing_runs(void **state)
{
    struct trace *t = *state;
    loop_stop(t->loop); /* must not keep loop_free() from its work */
}

static void set_count(void *arg)
{
    struct trace *t = arg;
    t->count += 41;
}

static void work_done(void *arg)
{
    struct trace *t = arg;
    t->count++;
    loop_stop(t->loop);
}

static void test_work_is_done_and_told(void **state)
{
    struct trace *t = *state;
    loop_work(t->loop, set_count, work_done, t);
    loop_run(t->loop);
    assert_int_equal(t->count, 42);
}

static void test_work_that_waits_at_the_end(void **state)
{
    struct trace *t = *state;
    loop_work(t->loop, set_count, on_count, t); /* no leak */
}

static void test_timer_stops_and_moves(void **state)
{
    struct trace *t = *state;
    timer_init(&t->timer, t->loop, on_a, t);
    timer_init(&t->other, t->loop, on_stop, t);
    timer_stop(&t->timer);
    assert_false(timer_is_running(&t->timer));
    timer_start(&t->timer, 1);
    assert_true(timer_is_running(&t->timer));
    timer_start(&t->other, 30);
    timer_start(&t->timer, 1000000);
    loop_run(t->loop);
    assert_string_equal(t->text, "!");
    timer_start(&t->timer, 5);
    timer_start(&t->other, 10);
    loop_run(t->loop);
    assert_string_equal(t->text, "!a!");
    assert_false(timer_is_running(&t->timer));
}

static void restart(void *arg)
{
    struct trace *t = arg;
    note(t, "r");
    if (++t->count < 3) {
        timer_start(&t->timer, 0);
    } else {
        loop_stop(t->loop);
    }
}

static void test_timer_starts_itself_again(void **state)
{
    struct trace *t = *state;
    timer_init(&t->timer, t->loop, restart, t);
    timer_start(&t->timer, 0);
    assert_string_equal(t->text, "");
    loop_run(t->loop);
    assert_string_equal(t->text, "rrr");
}

static void stop_other(void *arg)
{
    struct trace *t = arg;
    note(t, "s");
    timer_stop(&t->other);
    loop_stop(t->loop);
}

/* Both are due in the same turn; the first takes the second back. */
static void test_due_timer_is_stopped_by_another(void **state)
{
    struct trace *t = *state;
    timer_init(&t->timer, t->loop, stop_other, t);
    timer_init(&t->other, t->loop, on_a, t);
    timer_start(&t->timer, 0);
    timer_start(&t->other, 1);
    loop_run(t->loop);
    loop_run_once(t->loop);
    assert_string_equal(t->text, "s");
}

static void test_clock(void **state)
{
    struct trace *t = *state;
    uint64_t now = loop_now_ms(t->loop);
    assert_true(now > 0);
    assert_true(loop_now_us(t->loop) > 0);
    assert_true(loop_wall_ms(t->loop) > 0);
    timer_init(&t->timer, t->loop, on_stop, t);
    timer_start(&t->timer, 20);
    loop_run(t->loop);
    assert_true(loop_now_ms(t->loop) >= now + 20);
}

static void test_random_numbers(void **state)
{
    struct trace *t = *state;
    unsigned seen[10] = {0};
    unsigned char bytes[37] = {0};
    unsigned zeros = 0;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t n = loop_random(t->loop, 10);
        assert_true(n < 10);
        seen[n]++;
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_true(seen[i] > 9500 && seen[i] < 10500);
    }
    assert_true(loop_random(t->loop, 1) == 0);
    assert_true(loop_random(t->loop, UINT64_MAX) < UINT64_MAX);
    loop_random_bytes(t->loop, bytes, sizeof(bytes) - 1);
    assert_int_equal(bytes[36], 0);
    for (unsigned i = 0; i < 36; i++) {
        zeros += bytes[i] == 0;
    }
    assert_true(zeros < 5);
}

/* ---- threads ---- */

struct poster {
    struct trace *trace;
    pthread_t thread;
    unsigned next; /* of the messages that came */
    struct posted {
        struct poster *from;
        unsigned number;
    } posted[POSTS];
};

static void on_posted(void *arg)
{
    struct posted *p = arg;
    assert_int_equal(p->number, p->from->next);
    p->from->next++;
    if (++p->from->trace->count == THREADS * POSTS) {
        loop_stop(p->from->trace->loop);
    }
}

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        p->posted[i] = (struct posted){.from = p, .number = i};
        loop_post(p->trace->loop, on_posted, &p->posted[i]);
    }
    return NULL;
}

static void test_posts_of_many_threads(void **state)
{
    struct trace *t = *state;
    struct poster *posters = mem_array(THREADS, sizeof(*posters));
    for (unsigned i = 0; i < THREADS; i++) {
        posters[i].trace = t;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    loop_run(t->loop);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].next, POSTS);
    }
    mem_free(posters);
}

/* ---- virtual time ---- */

static void test_virtual_time_jumps(void **state)
{
    struct trace *t = *state;
    uint64_t start = loop_now_ms(t->loop);
    timer_init(&t->timer, t->loop, on_a, t);
    timer_start(&t->timer, 3600000);
    loop_run_for(t->loop, 3599999);
    assert_string_equal(t->text, "");
    assert_true(loop_now_ms(t->loop) == start + 3599999);
    assert_true(loop_wall_ms(t->loop) == 1000000 + 3599999);
    loop_run_for(t->loop, 1);
    assert_string_equal(t->text, "a");
    loop_run_for(t->loop, 5000);
    assert_true(loop_now_ms(t->loop) == start + 3605000);
    assert_null(loop_uv(t->loop));
    assert_true(loop_is_virtual(t->loop));
}

static void test_virtual_loop_ends_when_idle(void **state)
{
    struct trace *t = *state;
    timer_init(&t->timer, t->loop, on_a, t);
    timer_start(&t->timer, UINT64_MAX);
    timer_stop(&t->timer);
    timer_start(&t->timer, 500);
    loop_run(t->loop);
    assert_string_equal(t->text, "a");
}

enum { TIMERS = 500 };

struct clockwork {
    struct loop *loop;
    uint64_t last_ms;
    unsigned fired;
    unsigned stopped;
    struct ticker {
        struct clockwork *of;
        struct timer timer;
        uint64_t due_ms;
    } tickers[TIMERS];
};

/* Each that fires moves or stops another at random. */
static void on_tick(void *arg)
{
    struct ticker *ticker = arg;
    struct clockwork *w = ticker->of;
    assert_true(loop_now_ms(w->loop) == ticker->due_ms);
    assert_true(ticker->due_ms >= w->last_ms);
    w->last_ms = ticker->due_ms;
    w->fired++;
    struct ticker *other = &w->tickers[loop_random(w->loop, TIMERS)];
    if (!timer_is_running(&other->timer)) {
        return;
    }
    if (loop_random(w->loop, 3) == 0) {
        timer_stop(&other->timer);
        w->stopped++;
    } else {
        uint64_t delay = loop_random(w->loop, 1000);
        other->due_ms = loop_now_ms(w->loop) + delay;
        timer_start(&other->timer, delay);
    }
}

static void test_timers_fire_in_order(void **state)
{
    struct trace *t = *state;
    struct clockwork *w = MEM_NEW(struct clockwork);
    w->loop = t->loop;
    for (unsigned i = 0; i < TIMERS; i++) {
        uint64_t delay = loop_random(w->loop, 10000);
        w->tickers[i].of = w;
        w->tickers[i].due_ms = loop_now_ms(w->loop) + delay;
        timer_init(&w->tickers[i].timer, w->loop, on_tick, &w->tickers[i]);
        timer_start(&w->tickers[i].timer, delay);
    }
    loop_run(t->loop);
    assert_int_equal(w->fired + w->stopped, TIMERS);
    mem_free(w);
}

static void test_same_seed_same_numbers(void **state)
{
    (void)state;
    struct loop *a = loop_new_virtual(99, 0);
    struct loop *b = loop_new_virtual(99, 0);
    struct loop *c = loop_new_virtual(0, 0);
    unsigned same = 0;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t n = loop_random(a, 1000);
        assert_true(n == loop_random(b, 1000));
        same += n == loop_random(c, 1000);
    }
    assert_true(same < 20);
    loop_free(a);
    loop_free(b);
    loop_free(c);
}

/* Handles that others closed without waiting are finished by loop_free(). */
static void closed(uv_handle_t *handle)
{
    mem_free(handle);
}

static void test_free_finishes_closing_handles(void **state)
{
    struct trace *t = *state;
    uv_idle_t *idle = MEM_NEW(uv_idle_t);
    uv_idle_init(loop_uv(t->loop), idle);
    uv_close((uv_handle_t *)idle, closed);
}

#define REAL(name)    cmocka_unit_test_setup_teardown(test_##name, setup_real, teardown)
#define VIRTUAL(name) cmocka_unit_test_setup_teardown(test_##name, setup_virtual, teardown)
#define BOTH(name)    REAL(name), VIRTUAL(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(deferred_runs_in_order_and_once),
        BOTH(deferred_may_cancel_and_repeat),
        BOTH(cancel_at_every_place),
        BOTH(pending_calls_are_dropped_with_the_loop),
        BOTH(posts_keep_their_order),
        BOTH(stop_while_nothing_runs),
        BOTH(work_is_done_and_told),
        BOTH(work_that_waits_at_the_end),
        BOTH(timer_stops_and_moves),
        BOTH(timer_starts_itself_again),
        BOTH(due_timer_is_stopped_by_another),
        BOTH(clock),
        BOTH(random_numbers),
        REAL(posts_of_many_threads),
        REAL(free_finishes_closing_handles),
        VIRTUAL(virtual_time_jumps),
        VIRTUAL(virtual_loop_ends_when_idle),
        VIRTUAL(timers_fire_in_order),
        cmocka_unit_test(test_same_seed_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
